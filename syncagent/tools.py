"""Tools: functions that a model may call, and what they see of the run."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, Optional, Union

import attrs
from typing_extensions import Concatenate, ParamSpec, TypeVar

from .deadline import Deadline
from .exceptions import UserError
from .usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cattrs import Converter

    from .messages import ModelMessage, UserContent
    from .models.base import Model
    from .schema.signature import FunctionSchema
    from .transport.retry import RetryPolicy

__all__ = [
    "AgentDepsT",
    "DocstringFormat",
    "ModelRequestParameters",
    "ObjectJsonSchema",
    "ResultMode",
    "RunContext",
    "SystemPromptFunc",
    "Tool",
    "ToolDefinition",
    "ToolFuncContext",
    "ToolFuncEither",
    "ToolFuncPlain",
    "ToolParams",
    "ToolPrepareFunc",
    "max_tool_threads",
    "on_tool_thread_exit",
    "tool_thread_exit_hooks",
]

AgentDepsT = TypeVar("AgentDepsT", default=None, contravariant=True)
"""The type of an agent's dependencies."""
if TYPE_CHECKING:
    ToolParams = ParamSpec("ToolParams", default=...)
else:
    ToolParams = ParamSpec("ToolParams")  # typing_extensions 4.6 takes no `...` as a default
"""The parameters of a tool's function."""

DocstringFormat = Literal["google", "numpy", "sphinx", "auto"]
ObjectJsonSchema = dict[str, Any]
ResultMode = Literal["tool", "native", "prompted"]


@attrs.define(kw_only=False)
class RunContext(Generic[AgentDepsT]):
    """
    What a run shows to tools, validators and prompt functions.

    Args:
        deps: the run's dependencies.
        model: the model of the run.
        usage: what the run has used so far; pass it on as ``usage=ctx.usage`` to let a nested run count with it.
        prompt: what the user said.
        messages: the history so far, live.
        tool_call_id: the call's id; None outside of a call.
        tool_name: the tool's name; None outside of tools and result validators.
        retry: failures of this tool, or of the result, in a row.
        run_step: requests prepared so far.
        deadline: the time that is left, and whether somebody stopped the run.
    """

    deps: AgentDepsT
    model: Model
    usage: Usage
    prompt: Union[str, Sequence[UserContent]]
    messages: list[ModelMessage] = attrs.field(factory=list)
    tool_call_id: Optional[str] = None
    tool_name: Optional[str] = None
    retry: int = 0
    run_step: int = 0
    deadline: Deadline = attrs.field(factory=Deadline, kw_only=True, eq=False, repr=False)


if TYPE_CHECKING or sys.version_info >= (3, 10):
    ToolFuncContext = Callable[Concatenate[RunContext[AgentDepsT], ToolParams], Any]
    ToolFuncPlain = Callable[ToolParams, Any]
    ToolFuncEither = Union[ToolFuncContext[AgentDepsT, ToolParams], ToolFuncPlain[ToolParams]]
else:  # 3.9 cannot fill in a ParamSpec; these names are for type checkers
    ToolFuncContext = ToolFuncPlain = ToolFuncEither = Callable[..., Any]
"""A tool's function: with the context first, without it, or either."""
SystemPromptFunc = Union[Callable[[RunContext[AgentDepsT]], str], Callable[[], str]]
"""A function that makes a system prompt, with or without the context."""


@attrs.define
class ToolDefinition:
    """
    What a model is told of a tool.

    Args:
        name: the tool's name.
        description: what it does.
        parameters_json_schema: the JSON schema of its arguments; an object.
        outer_typed_dict_key: the one key under which a result that is no object is wrapped; None elsewhere.
    """

    name: str
    description: str
    parameters_json_schema: ObjectJsonSchema
    outer_typed_dict_key: Optional[str] = None


ToolPrepareFunc = Callable[[RunContext[AgentDepsT], ToolDefinition], Optional[ToolDefinition]]
"""Called before every request; changes the definition for this step, or hides the tool by returning None."""


max_tool_threads = 16
"""
How many threads ``parallel_tools`` may have in this process, all runs together; set it as ``tools.max_tool_threads``.

A run that gets none calls its tools in its own thread.
"""

tool_thread_exit_hooks: list[Callable[[], object]] = []
"""
Called in each thread that called tools before it ends; see :func:`on_tool_thread_exit`. Remove one to be rid of it.

What one raises is logged, and the others are called all the same.
"""

_Hook = TypeVar("_Hook", bound=Callable[[], object])


def on_tool_thread_exit(function: _Hook) -> _Hook:
    """
    Have *function* called in each thread of ``parallel_tools`` before it ends, to close what tools opened there.

    Args:
        function: takes nothing, such as Django's ``django.db.connections.close_all``; added once.

    Returns:
        The function, so that this is a decorator, too.

    Raises:
        UserError: it is no function, or a coroutine function.
    """
    if not callable(function):
        raise UserError(f"What is called at a thread's end is a function; got {type(function).__name__}.")
    from .schema.signature import refuse_coroutine

    refuse_coroutine(function, "thread exit hook")
    if function not in tool_thread_exit_hooks:
        tool_thread_exit_hooks.append(function)
    return function


class Tool(Generic[AgentDepsT]):
    """
    A function that a model may call. Immutable: what changes during a run lives in the run.

    >>> def add(a: int, b: int) -> int:
    ...     "Add two numbers."
    ...     return a + b
    >>> Tool(add).description
    'Add two numbers.'

    Args:
        function: an ordinary function.
        takes_ctx: whether its first parameter is the :class:`RunContext`; by default its annotation says it.
        max_retries: failures in a row that the model may make; by default the agent's ``retries``.
        name: by default the function's.
        description: by default from the docstring.
        prepare: called before every request with the context and the definition.
        docstring_format: ``google``, ``numpy``, ``sphinx``, or ``auto``.
        require_parameter_descriptions: refuse a function whose docstring leaves a parameter out.
        sequential: never run a call of it beside others, also where the agent has ``parallel_tools``.
        timeout: seconds for one call. In a thread of its own (``parallel_tools``) the run stops waiting then, and the
            model is told; in the caller's thread ``ctx.deadline`` ends then, and nothing more can be done.

    Raises:
        UserError: no schema can be made of the function, it is a coroutine function, or *timeout* is no time.
    """

    __slots__ = (
        "description",
        "docstring_format",
        "function",
        "function_schema",
        "max_retries",
        "name",
        "prepare",
        "require_parameter_descriptions",
        "sequential",
        "takes_ctx",
        "timeout",
    )

    function: ToolFuncEither[AgentDepsT, ...]
    takes_ctx: bool
    max_retries: Optional[int]
    name: str
    description: str
    prepare: Optional[ToolPrepareFunc[AgentDepsT]]
    docstring_format: DocstringFormat
    require_parameter_descriptions: bool
    sequential: bool
    timeout: Optional[float]
    function_schema: FunctionSchema

    def __init__(
        self,
        function: ToolFuncEither[AgentDepsT, ...],
        *,
        takes_ctx: Optional[bool] = None,
        max_retries: Optional[int] = None,
        name: Optional[str] = None,
        description: Optional[str] = None,
        prepare: Optional[ToolPrepareFunc[AgentDepsT]] = None,
        docstring_format: DocstringFormat = "auto",
        require_parameter_descriptions: bool = False,
        sequential: bool = False,
        timeout: Optional[float] = None,
    ) -> None:
        if not callable(function):
            raise UserError(f"A tool is a function; got {type(function).__name__}.")
        # Imported here, so that an agent without tools does not pay for reading functions.
        from .schema.signature import function_schema, refuse_coroutine

        refuse_coroutine(function, "tool")
        if prepare is not None:
            refuse_coroutine(prepare, "prepare function")
        check_retries("max_retries", max_retries)
        _check_timing(sequential, timeout)
        schema = function_schema(
            function,
            context_type=RunContext,
            takes_ctx=takes_ctx,
            docstring_format=docstring_format,
            require_parameter_descriptions=require_parameter_descriptions,
        )
        values = (
            description if description is not None else schema.description,
            docstring_format,
            function,
            schema,
            max_retries,
            name or schema.name,
            prepare,
            require_parameter_descriptions,
            sequential,
            schema.takes_ctx,
            timeout,
        )
        for slot, value in zip(Tool.__slots__, values):
            object.__setattr__(self, slot, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A Tool cannot be changed; make a new one with another {name}.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"A Tool cannot be changed; make a new one without {name}.")

    def __repr__(self) -> str:
        shown = f"Tool(name={self.name!r}, takes_ctx={self.takes_ctx!r}, max_retries={self.max_retries!r}"
        if self.sequential:
            shown += ", sequential=True"
        if self.timeout is not None:
            shown += f", timeout={self.timeout!r}"
        return shown + ")"

    def definition(self) -> ToolDefinition:
        """What the model is told, before ``prepare``."""
        return ToolDefinition(self.name, self.description, self.function_schema.parameters_json_schema)

    def registered(self, max_retries: int, converter: Optional[Converter]) -> Tool[AgentDepsT]:
        """The tool as an agent keeps it: with the agent's number of retries and converter filled in."""
        if self.max_retries is not None and converter is None:
            return self
        tool = object.__new__(type(self))
        for slot in Tool.__slots__:
            object.__setattr__(tool, slot, getattr(self, slot))
        if self.max_retries is None:
            object.__setattr__(tool, "max_retries", max_retries)
        if converter is not None:
            from .schema.signature import function_schema

            schema = function_schema(
                self.function,
                context_type=RunContext,
                takes_ctx=self.takes_ctx,
                docstring_format=self.docstring_format,
                require_parameter_descriptions=self.require_parameter_descriptions,
                converter=converter,
            )
            object.__setattr__(tool, "function_schema", schema)
        return tool


def _check_timing(sequential: Any, timeout: Any) -> None:
    if not isinstance(sequential, bool):
        raise UserError(f"Tool(sequential=) is True or False; got {sequential!r}.")
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf
    ):
        raise UserError(f"Tool(timeout=) is a positive number of seconds, or None; got {timeout!r}.")


def check_retries(name: str, value: Optional[int]) -> None:
    """Raise ``UserError`` where a number of retries is none."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise UserError(f"{name} is a whole number from 0 on; got {value!r}.")


@attrs.define
class ModelRequestParameters:
    """
    What one request needs beside its messages and settings. Models pass it on unchanged.

    Args:
        function_tools: the tools that the model may call.
        allow_text_result: whether text may be the final result.
        result_tools: the tools that end the run.
        result_mode: how a typed result is asked for.
        result_schema: the schema of the result in the modes ``native`` and ``prompted``; an object.
        native_tools: the provider's own server-side tools, in its own words.
        deadline: the run's; not part of equality and repr, as all that follows.
        idempotency_key: the same for every try of one request.
        retry_policy: how failed tries are repeated; None for the provider's policy.
        on_incomplete: ``raise`` or ``accept`` for a stream that was cut.
    """

    function_tools: list[ToolDefinition] = attrs.field(factory=list)
    allow_text_result: bool = True
    result_tools: list[ToolDefinition] = attrs.field(factory=list)
    result_mode: ResultMode = attrs.field(default="tool", kw_only=True)
    result_schema: Optional[ObjectJsonSchema] = attrs.field(default=None, kw_only=True)
    native_tools: list[dict[str, Any]] = attrs.field(factory=list, kw_only=True)
    deadline: Deadline = attrs.field(factory=Deadline, kw_only=True, eq=False, repr=False)
    idempotency_key: Optional[str] = attrs.field(default=None, kw_only=True, eq=False, repr=False)
    retry_policy: Optional[RetryPolicy] = attrs.field(default=None, kw_only=True, eq=False, repr=False)
    on_incomplete: Literal["raise", "accept"] = attrs.field(default="raise", kw_only=True, eq=False, repr=False)
