"""What an agent is declared with: the arguments of ``Agent`` and its decorators."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Optional, Union, overload

import attrs
from typing_extensions import TypeVar

from .deadline import Deadline, resolve_deadline
from .exceptions import UserError
from .messages import AudioUrl, BinaryContent, CachePoint, DocumentUrl, ImageUrl, ModelMessage, UserContent, VideoUrl
from .plan import EndStrategy, PromptFunction, RunPlan, history_processor, prompt_function
from .result_tools import ResultDataT, ResultSchema, ResultValidator
from .settings import ModelSettings, check_settings, merge_model_settings
from .tool_decorators import ToolDecorators, ToolSet
from .tools import (
    AgentDepsT,
    ModelRequestParameters,
    ResultMode,
    SystemPromptFunc,
    Tool,
    ToolFuncEither,
    check_retries,
)
from .usage import Usage, UsageLimits

if TYPE_CHECKING:
    from cattrs import Converter

    from .models.base import Model


__all__ = ["UNSET", "AgentDeclaration", "Override", "RunOptions", "UserPrompt", "model_of", "overrides"]

UserPrompt = Union[str, Sequence[UserContent]]
"""What a run is asked: text, or a sequence of texts and media."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Returned = TypeVar("_Returned", default=Any)


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


NoneType = type(None)
UNSET: Any = _Unset()
"""An argument that was not given, where None means something."""


@attrs.frozen
class Override:
    deps: Any = UNSET
    model: Any = UNSET


NO_OVERRIDE = Override()
_DEFAULT_LIMITS = UsageLimits()
_CONTENT = (str, ImageUrl, AudioUrl, VideoUrl, DocumentUrl, BinaryContent, CachePoint)

overrides: ContextVar[dict[int, Override]] = ContextVar("syncagentoverrides", default={})  # noqa: B039 -- never changed in place


class RunOptions(NamedTuple):
    """The keywords of a run, passed on as one."""

    user_prompt: UserPrompt
    result_type: Any
    message_history: Optional[Sequence[ModelMessage]]
    model: Union[Model, str, None]
    deps: Any
    model_settings: Optional[ModelSettings]
    usage_limits: Optional[UsageLimits]
    usage: Optional[Usage]
    deadline: Union[float, Deadline, None]


class AgentDeclaration(ToolDecorators[AgentDepsT], Generic[AgentDepsT, ResultDataT]):
    """The half of :class:`~syncagent.agent.Agent` that is said before any run."""

    model: Union[Model, str, None]
    name: Optional[str]
    end_strategy: EndStrategy
    model_settings: Optional[ModelSettings]
    result_type: Any

    def __init__(
        self,
        model: Union[Model, str, None] = None,
        *,
        result_type: Any = str,
        system_prompt: Union[str, Sequence[str]] = (),
        deps_type: type[AgentDepsT] = NoneType,  # type: ignore[assignment] # the default of AgentDepsT is None
        name: Optional[str] = None,
        model_settings: Optional[ModelSettings] = None,
        retries: int = 1,
        result_tool_name: str = "final_result",
        result_tool_description: Optional[str] = None,
        result_retries: Optional[int] = None,
        tools: Sequence[Union[Tool[AgentDepsT], ToolFuncEither[AgentDepsT, ...]]] = (),
        defer_model_check: bool = False,
        end_strategy: EndStrategy = "early",
        instructions: Union[str, SystemPromptFunc[AgentDepsT], Sequence[Union[str, SystemPromptFunc[AgentDepsT]]]] = (),
        history_processors: Sequence[Callable[..., list[ModelMessage]]] = (),
        result_mode: Optional[ResultMode] = None,
        deadline: Optional[float] = None,
        converter: Optional[Converter] = None,
        native_tools: Sequence[dict[str, Any]] = (),
        parallel_tools: Optional[int] = None,
        output_type: Any = UNSET,
        output_retries: Any = UNSET,
    ) -> None:
        result_type = _one_of("result_type", result_type, str, "output_type", output_type)
        result_retries = _one_of("result_retries", result_retries, None, "output_retries", output_retries)
        _check_choices(end_strategy, result_mode, deadline)
        _check_parallel(parallel_tools)
        check_retries("retries", retries)
        check_retries("result_retries", result_retries)
        check_settings(model_settings)
        _check_converter(converter)
        self.model = model if model is None or defer_model_check else model_of(model)
        self.name = name
        self.end_strategy = end_strategy
        self.model_settings = model_settings
        self.result_type = result_type
        self._result_mode = result_mode
        self._retries = retries
        self._result_retries = retries if result_retries is None else result_retries
        self._result_tool = (result_tool_name, result_tool_description)
        self._converter = converter
        self._native_tools = _native_tools(native_tools)
        self._deadline = deadline
        self._parallel_tools = parallel_tools or 1
        self._system_prompts = _texts("system_prompt", system_prompt)
        self._system_prompt_functions: list[PromptFunction] = []
        self._instructions = [
            item if isinstance(item, str) else prompt_function(item, "instructions function")
            for item in _items("instructions", [instructions] if callable(instructions) else instructions)
        ]
        self._history_processors = [
            history_processor(processor) for processor in _items("history_processors", history_processors)
        ]
        self._result_schema = ResultSchema(result_type, *self._result_tool, converter)
        self._result_validators: list[ResultValidator[AgentDepsT, ResultDataT]] = []
        self._tools = {}
        self._tool_set = ToolSet({}, [], False)
        for tool in _items("tools", tools):
            self._register_tool(tool if isinstance(tool, Tool) else Tool(tool, max_retries=self._retries))

    def __repr__(self) -> str:
        return (
            f"Agent(model={self.model!r}, name={self.name!r}, end_strategy={self.end_strategy!r}, "
            f"model_settings={_without_secrets(self.model_settings)!r})"
        )

    @overload
    def system_prompt(self, func: _Function, /) -> _Function: ...

    @overload
    def system_prompt(self, /, *, dynamic: bool = False) -> Callable[[_Function], _Function]: ...

    def system_prompt(self, func: Any = None, /, *, dynamic: bool = False) -> Any:
        """
        Register a function that makes a system prompt for new conversations.

        Args:
            func: takes nothing, or the context; returns text.
            dynamic: make the prompt anew for later runs with the same history, too.
        """

        def register(function: _Function) -> _Function:
            self._system_prompt_functions.append(prompt_function(function, "system prompt function", dynamic))
            return function

        return register if func is None else register(func)

    def instructions(self, func: _Function, /) -> _Function:
        """Register a function that makes instructions: sent with every request, not kept in the history."""
        self._instructions.append(prompt_function(func, "instructions function"))
        return func

    def result_validator(self, func: _Function, /) -> _Function:
        """
        Register a function that checks the result.

        Args:
            func: ``f(data)`` or ``f(ctx, data)``; returns the data, changed or not, or raises ``ModelRetry``.
        """
        self._result_validators.append(ResultValidator(func))
        return func

    output_validator = result_validator

    def _plan(self, options: RunOptions) -> RunPlan:
        """All that a run with *options* needs to know."""
        _check_options(options)
        override = overrides.get().get(id(self), NO_OVERRIDE)
        model = self._choose_model(options.model)
        schema = self._schema_for(options.result_type)
        settings = merge_model_settings(self.model_settings, options.model_settings)
        tools, definitions, has_prepare = self._tools_of_now()
        mode = self._mode_for(model, schema, bool(tools))
        deadline = resolve_deadline(options.deadline, self._default_deadline())
        by_tool = mode == "tool"
        limits = options.usage_limits
        parameters = ModelRequestParameters(
            list(definitions),
            schema.allow_text or not by_tool,
            schema.definitions if by_tool else [],
            result_mode=mode,
            result_schema=schema.schema_for(mode),
            native_tools=self._native_tools,
            deadline=deadline,
        )
        if settings and ("retry_policy" in settings or "on_incomplete" in settings):
            settings = settings.copy()
            parameters.retry_policy = settings.pop("retry_policy", None)
            parameters.on_incomplete = settings.pop("on_incomplete", "raise")
        return RunPlan(
            prompt=options.user_prompt,
            deps=options.deps if override.deps is UNSET else override.deps,
            model=model,
            model_settings=settings,
            usage_limits=_DEFAULT_LIMITS if limits is None else limits,
            has_token_limits=limits is not None and limits.has_token_limits(),
            deadline=deadline,
            system_prompts=self._system_prompts,
            system_prompt_functions=self._system_prompt_functions,
            instructions=self._instructions,
            history_processors=self._history_processors,
            tools=tools,
            result_schema=schema,
            result_tools=schema.tools if by_tool else {},
            result_mode=mode,
            result_validators=self._result_validators,
            result_retries=self._result_retries,
            end_strategy=self.end_strategy,
            parallel_tools=self._parallel_tools,
            parameters=parameters,
            has_prepare=has_prepare,
        )

    def _choose_model(self, chosen: Union[Model, str, None]) -> Model:
        override = overrides.get().get(id(self), NO_OVERRIDE).model
        if chosen is None and self.model is None:
            text = "`model` must be set either when creating the agent or when calling it."
            if override is not UNSET:
                text += " (Even when `override(model=...)` is customizing the model that will actually be called)"
            raise UserError(text)
        if override is not UNSET:
            return override  # type: ignore[no-any-return] # a model, since override() took it
        if chosen is not None:
            return model_of(chosen)
        if isinstance(self.model, str):
            self.model = model_of(self.model)
        return self.model  # type: ignore[return-value] # a model by now

    def _schema_for(self, result_type: Any) -> ResultSchema:
        if result_type is None:
            return self._result_schema
        if self._result_validators:
            raise UserError("Cannot set a custom run `result_type` when the agent has result validators")
        schema = ResultSchema(result_type, *self._result_tool, self._converter)
        for name in schema.tools:
            if name in self._tools:
                raise UserError(f"Tool name conflicts with result schema name: {name!r}")
        return schema

    def _mode_for(self, model: Model, schema: ResultSchema, has_tools: bool) -> ResultMode:
        if schema.plain:
            return "tool"
        profile = model.profile
        mode: ResultMode = self._result_mode or profile.result_mode or "tool"  # pyright: ignore[reportAssignmentType] # it forgets the Literal
        return "tool" if mode == "native" and has_tools and not profile.native_with_tools else mode

    def _default_deadline(self) -> Optional[float]:
        if self._deadline is not None:
            return self._deadline
        text = os.environ.get("SYNCAGENT_DEADLINE")
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            raise UserError(f"SYNCAGENT_DEADLINE is a number of seconds; got {text!r}.") from None


def model_of(model: Union[Model, str]) -> Model:
    """The model itself, or the one that a name stands for."""
    from .models.base import Model

    if isinstance(model, Model):
        return model
    from .models.names import infer_model

    return infer_model(model)


def _one_of(name: str, value: Any, default: Any, newer_name: str, newer: Any) -> Any:
    """The value under either of its names."""
    if newer is UNSET:
        return value
    if value is not default:
        raise UserError(f"`{name}` and `{newer_name}` are the same; give one of them.")
    return newer


def _check_options(options: RunOptions) -> None:
    """Refuse what is wrong in any run; what depends on the agent is looked at where it is used."""
    prompt = options.user_prompt
    if not isinstance(prompt, str):
        if not isinstance(prompt, Sequence) or isinstance(prompt, (bytes, bytearray)):
            raise UserError(
                f"user_prompt is text or a sequence of texts and media (BinaryContent); got {type(prompt).__name__}."
            )
        for index, item in enumerate(prompt):
            if not isinstance(item, _CONTENT):
                raise UserError(
                    f"user_prompt[{index}] is neither text nor ImageUrl, AudioUrl, VideoUrl, DocumentUrl or "
                    f"BinaryContent but {type(item).__name__}."
                )
    if options.model_settings is not None:
        check_settings(options.model_settings)
    if options.usage_limits is not None and not isinstance(options.usage_limits, UsageLimits):
        raise UserError(f"usage_limits is UsageLimits(...); got {type(options.usage_limits).__name__}.")
    if options.usage is not None and not isinstance(options.usage, Usage):
        raise UserError(f"usage is a Usage object, to be counted on; got {type(options.usage).__name__}.")


def _check_parallel(parallel_tools: Any) -> None:
    if parallel_tools is not None and (
        isinstance(parallel_tools, bool) or not isinstance(parallel_tools, int) or parallel_tools < 1
    ):
        raise UserError(f"Agent(parallel_tools=) is a number of threads from 1 on, or None; got {parallel_tools!r}.")


def _check_choices(end_strategy: Any, result_mode: Any, deadline: Any) -> None:
    if end_strategy not in ("early", "exhaustive"):
        raise UserError(f"end_strategy is 'early' or 'exhaustive'; got {end_strategy!r}.")
    if result_mode not in (None, "tool", "native", "prompted"):
        raise UserError(f"result_mode is 'tool', 'native' or 'prompted', or None; got {result_mode!r}.")
    if isinstance(deadline, Deadline):
        raise UserError("An agent's deadline is a number of seconds for each run; give a Deadline to a run.")
    if deadline is not None:
        Deadline(deadline)


def _native_tools(value: Any) -> list[dict[str, Any]]:
    tools = list(_items("native_tools", value))
    for tool in tools:
        if not isinstance(tool, dict):
            raise UserError(
                "native_tools holds a provider's own tools as dicts, such as {'type': 'web_search'}; "
                f"got {type(tool).__name__}. Functions of yours go into tools."
            )
    return tools


def _check_converter(converter: Optional[Converter]) -> None:
    if converter is not None:
        from .schema.structure import is_our_converter

        if not is_our_converter(converter):
            raise UserError(
                "Agent(converter=) takes a converter made by syncagent.make_converter(); "
                "register your hooks on one of those."
            )


def _items(name: str, value: Any) -> Sequence[Any]:
    """The items of an argument that is a sequence, or one text."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Sequence):
        return value
    raise UserError(f"{name} is a sequence such as a list; got {type(value).__name__}.")


def _without_secrets(settings: Optional[ModelSettings]) -> Optional[dict[str, Any]]:
    """The settings as they may be shown: headers hold keys, and bodies what an application likes."""
    if settings is None:
        return None
    return {key: "..." if key in ("extra_headers", "extra_body") else value for key, value in settings.items()}


def _texts(name: str, value: Any) -> list[str]:
    texts = list(_items(name, value))
    for text in texts:
        if not isinstance(text, str):
            raise UserError(f"{name} is text or a sequence of texts; got {type(text).__name__} in it.")
    return texts
