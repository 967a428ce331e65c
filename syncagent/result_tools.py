"""
Result types to result tools: how a model is asked for a typed result, and how its answer becomes one.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Optional, Union, get_args, get_origin

import attrs
from typing_extensions import TypedDict, TypeVar

from .exceptions import UserError
from .messages import ToolCallPart
from .tools import AgentDepsT, ObjectJsonSchema, ResultMode, RunContext, ToolDefinition

if TYPE_CHECKING:
    from cattrs import Converter

    from .schema.structure import Structurer

__all__ = [
    "FinalResult",
    "ResultDataT",
    "ResultSchema",
    "ResultTool",
    "ResultValidator",
    "ResultValidatorFunc",
    "run_validators",
    "validate_text",
]

ResultDataT = TypeVar("ResultDataT", default=str)
"""The type of a run's result."""

ResultValidatorFunc = Union[
    Callable[[RunContext[AgentDepsT], ResultDataT], ResultDataT], Callable[[ResultDataT], ResultDataT]
]
"""A function that checks a result, with or without the context, and returns it, changed or not."""

_DEFAULT_DESCRIPTION = "The final response which ends this conversation"
_WRAPPED = "response"  # the one key of a result that is no object


@attrs.frozen
class FinalResult(Generic[ResultDataT]):
    """
    The result that ended a run.

    Args:
        data: the value, validated.
        tool_name: the result tool that was called; None for text.
        tool_call_id: the id of that call; None for text.
    """

    data: ResultDataT
    tool_name: Optional[str] = None
    tool_call_id: Optional[str] = None


class ResultTool:
    """One result tool: its definition, and how a call of it becomes a value."""

    __slots__ = ("_converter", "_structurer", "_type", "definition")

    def __init__(self, name: str, description: str, tp: Any, wrapped: bool, converter: Optional[Converter]) -> None:
        from .schema.json_schema import json_schema

        self._type = _wrapper(tp) if wrapped else tp
        try:
            schema = json_schema(self._type, titles=True)
        except UserError:
            json_schema(tp)  # says it again with the path inside the user's own type
            raise
        schema.pop("description", None)  # it is the tool's description
        if wrapped:
            schema.pop("title", None)
        self.definition = ToolDefinition(name, description, schema, _WRAPPED if wrapped else None)
        self._converter = converter
        self._structurer: Optional[Structurer] = None

    @property
    def structurer(self) -> Structurer:
        """Made at the first use: a process that never gets an answer does not pay for it."""
        if self._structurer is None:
            from .schema.structure import structurer

            self._structurer = structurer(self._type, converter=self._converter)
        return self._structurer

    def validate(self, args: Union[str, dict[str, Any]]) -> Any:
        """The value; raises ``ValidationError`` with all that is wrong."""
        value = self.structurer.from_json(args) if isinstance(args, str) else self.structurer.from_json_value(args)
        return value if self.definition.outer_typed_dict_key is None else value[_WRAPPED]

    def validate_partial(self, value: Any) -> Any:
        """The value of arguments that are still coming; raises ``ValidationError`` where it cannot be made yet."""
        value = self.structurer.partial(value)
        return value if self.definition.outer_typed_dict_key is None else value[_WRAPPED]


class ResultSchema:
    """
    How one result type is asked for: by tools, by text, or both.

    Args:
        result_type: the type; a Union has a tool for each member, and text where ``str`` is one.
        name: the result tool's name.
        description: the result tool's description.
        converter: the agent's converter.

    Raises:
        UserError: no schema can be made of the type; the text has the path inside it.
    """

    __slots__ = ("_text", "allow_text", "definitions", "plain", "tools")

    def __init__(
        self, result_type: Any, name: str, description: Optional[str], converter: Optional[Converter] = None
    ) -> None:
        members = _members(result_type)
        typed = [member for member in members if member is not str]
        self.plain = not typed
        self.allow_text = len(typed) < len(members)
        self.tools: dict[str, ResultTool] = {}
        for position, member in enumerate(typed, start=1):
            from .schema.json_schema import is_object_type  # an agent that wants text needs nothing of this

            tool_name = name if len(typed) == 1 else f"{name}_{_type_name(member)}"
            while tool_name in self.tools:
                tool_name = f"{tool_name}_{position}"
            wrapped = not is_object_type(member)
            text = _tool_description(member, wrapped, description, len(typed) > 1)
            self.tools[tool_name] = ResultTool(tool_name, text, member, wrapped, converter)
        self.definitions = [tool.definition for tool in self.tools.values()]
        # Native and prompted results have one schema for the whole type; made when a run wants it.
        self._text: Any = None if self.plain else (result_type, name, converter)

    def as_text(self) -> ResultTool:
        """The one schema of the whole type, for the modes ``native`` and ``prompted``."""
        if isinstance(self._text, tuple):
            result_type, name, converter = self._text
            from .schema.json_schema import is_object_type

            wrapped = len(_members(result_type)) > 1 or not is_object_type(result_type)
            self._text = ResultTool(name, "", result_type, wrapped, converter)
        return self._text  # type: ignore[no-any-return] # a ResultTool by now

    def schema_for(self, mode: ResultMode) -> Optional[ObjectJsonSchema]:
        """The schema of the result in *mode*; None where tools or plain text are used."""
        if self.plain or mode == "tool":
            return None
        return self.as_text().definition.parameters_json_schema

    def result_calls(self, calls: list[ToolCallPart]) -> list[tuple[ToolCallPart, ResultTool]]:
        """The calls among *calls* that are of result tools, with their tools."""
        return [(call, self.tools[call.tool_name]) for call in calls if call.tool_name in self.tools]


class ResultValidator(Generic[AgentDepsT, ResultDataT]):
    """A user's function that checks a result."""

    __slots__ = ("function", "takes_ctx")

    def __init__(self, function: ResultValidatorFunc[AgentDepsT, ResultDataT]) -> None:
        if not callable(function):
            raise UserError(f"A result validator is a function of the data; got {type(function).__name__}.")
        from .schema.signature import positional_parameter_count, refuse_coroutine

        refuse_coroutine(function, "result validator")
        self.function: Callable[..., Any] = function
        self.takes_ctx = positional_parameter_count(function) > 1

    def validate(self, data: Any, ctx: RunContext[Any]) -> Any:
        """The data as the function returns it; raises its ``ModelRetry``."""
        return self.function(ctx, data) if self.takes_ctx else self.function(data)


def _strip_code_fence(text: str) -> str:
    """The text without a Markdown code fence around all of it."""
    stripped = text.strip()
    if not stripped.startswith("```") or not stripped.endswith("```") or "\n" not in stripped:
        return stripped
    return stripped[stripped.index("\n") + 1 : -3].strip()


def validate_text(schema: ResultSchema, mode: ResultMode, text: str) -> Any:
    """The value in a native or prompted answer; raises ``ValidationError``."""
    return schema.as_text().validate(_strip_code_fence(text) if mode == "prompted" else text)


def run_validators(validators: list[ResultValidator[Any, Any]], data: Any, ctx: RunContext[Any]) -> Any:
    """The data after all validators in their order; the deadline is looked at after each."""
    for validator in validators:
        data = validator.validate(data, ctx)
        ctx.deadline.check()
    return data


def _members(tp: Any) -> list[Any]:
    origin = get_origin(tp)
    # `X | Y` has a class of its own where Python has it
    if origin is Union or (origin is not None and origin is getattr(types, "UnionType", None)):
        return list(get_args(tp))
    return [tp]


def _type_name(tp: Any) -> str:
    tp = get_origin(tp) or tp
    name = getattr(tp, "__name__", None) or getattr(tp, "_name", None) or type(tp).__name__
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _tool_description(tp: Any, wrapped: bool, description: Optional[str], is_member: bool) -> str:
    from .schema.json_schema import type_description

    documented = None if wrapped else type_description(tp)
    if documented:
        return f"{description}. {documented}" if description else documented
    text = description or _DEFAULT_DESCRIPTION
    return f"{_type_name(tp)}: {text}" if is_member else text


def _wrapper(tp: Any) -> Any:
    """A TypedDict with the one key ``response``: its schema and errors are those of a wrapped result."""
    try:
        return TypedDict("Wrapped", {_WRAPPED: tp})  # type: ignore[operator] # made at run time
    except TypeError:  # 3.9 looks at what it is given, and its words help nobody
        from .schema.json_schema import json_schema

        json_schema(tp)
        raise
