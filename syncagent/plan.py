"""
What a run is made of: the plan, which never changes, the state, which does, and the loop's two effects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Optional, Union

import attrs

from .exceptions import UsageLimitExceeded, UserError
from .jsonable import dump_str
from .messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    RetryPromptPart,
    SystemPromptPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
)
from .result_tools import FinalResult, ResultSchema, ResultTool, ResultValidator
from .tools import ModelRequestParameters, ResultMode, RunContext, Tool, ToolDefinition
from .usage import Usage, UsageLimits

if TYPE_CHECKING:
    from .deadline import Deadline
    from .models.base import Model
    from .settings import ModelSettings

__all__ = [
    "Ask",
    "Asked",
    "EndStrategy",
    "PromptFunction",
    "RunPlan",
    "RunState",
    "RunTools",
    "ToolOutcome",
    "history_processor",
    "prompt_function",
]

EndStrategy = Literal["early", "exhaustive"]
"""Whether function tools beside a winning result tool are skipped (``early``) or run (``exhaustive``)."""

_PROMPTED = "Answer only with JSON that matches this schema:"


class Ask(NamedTuple):
    """An effect of the loop: ask the model this. Answered by :class:`Asked`."""

    messages: list[ModelMessage]
    model_settings: Optional[ModelSettings]
    parameters: ModelRequestParameters


class Asked(NamedTuple):
    """
    The answer to :class:`Ask`.

    Args:
        response: what the model said.
        final: the result that a stream has already handed out whole; such a run does not ask again.
    """

    response: ModelResponse
    final: Optional[FinalResult[Any]] = None


class RunTools(NamedTuple):
    """An effect of the loop: call these tools. Answered by a list of :class:`ToolOutcome` in the same order."""

    calls: list[ToolCallPart]


class ToolOutcome(NamedTuple):
    """
    What came of one tool call.

    Args:
        part: the answer to the call.
        extra: further parts for the next request, after all answers.
        error: why the model has to try again; None for a success.
        deferred: a call that is answered later, outside of this run.
    """

    part: Union[ToolReturnPart, RetryPromptPart]
    extra: Sequence[ModelRequestPart] = ()
    error: Optional[Exception] = None
    deferred: Any = None


class PromptFunction:
    """A user's function that makes a system prompt or instructions."""

    __slots__ = ("dynamic", "function", "name", "takes_ctx")

    def __init__(self, function: Callable[..., str], takes_ctx: bool, dynamic: bool = False) -> None:
        self.function = function
        self.takes_ctx = takes_ctx
        self.dynamic = dynamic
        self.name = getattr(function, "__qualname__", type(function).__qualname__)

    def __call__(self, ctx: RunContext[Any]) -> str:
        text = self.function(ctx) if self.takes_ctx else self.function()
        ctx.deadline.check()
        if not isinstance(text, str):
            raise UserError(f"The prompt function {self.name!r} must return text; got {type(text).__name__}.")
        return text


class RunState:
    """
    What changes during a run.

    Attributes:
        message_history: the live list of messages.
        usage: what was used so far.
        retries: failed results so far.
        tool_retries: failures in a row by tool.
        run_step: requests prepared so far.
        asking: whether a request is under way that was neither counted nor given up.
        begun: the calls of this step that have begun.
    """

    __slots__ = ("asking", "begun", "message_history", "retries", "run_step", "tool_retries", "usage")

    def __init__(self, message_history: list[ModelMessage], usage: Usage) -> None:
        self.message_history = message_history
        self.usage = usage
        self.retries = 0
        self.tool_retries: dict[str, int] = {}
        self.run_step = 0
        self.begun: list[ToolCallPart] = []
        self.asking = False

    def end_request(self, answer: Optional[Usage]) -> None:
        """Count the answer, or None for no answer; once for each request."""
        asking, self.asking = self.asking, False
        if asking:
            self.usage.end_request(answer)


@attrs.define(kw_only=True, eq=False, repr=False)
class RunPlan:
    """All that a run needs to know and does not change. Not frozen, since that costs microseconds in every run."""

    prompt: Union[str, Sequence[UserContent]]
    deps: Any
    model: Model
    model_settings: Optional[ModelSettings]
    usage_limits: UsageLimits
    has_token_limits: bool
    deadline: Deadline
    system_prompts: Sequence[str]
    system_prompt_functions: Sequence[PromptFunction]
    instructions: Sequence[Union[str, PromptFunction]]
    history_processors: Sequence[Callable[[list[ModelMessage], RunContext[Any]], list[ModelMessage]]]
    tools: dict[str, Tool[Any]]
    result_schema: ResultSchema
    result_tools: dict[str, ResultTool]
    result_mode: ResultMode
    result_validators: list[ResultValidator[Any, Any]]
    result_retries: int
    end_strategy: EndStrategy
    parallel_tools: int
    parameters: ModelRequestParameters
    has_prepare: bool

    def context(
        self,
        state: RunState,
        tool_name: Optional[str] = None,
        tool_call_id: Optional[str] = None,
        retry: int = 0,
        deadline: Optional[Deadline] = None,
    ) -> RunContext[Any]:
        """What user code sees of the run at this moment."""
        return RunContext(
            self.deps,
            self.model,
            state.usage,
            self.prompt,
            state.message_history,
            tool_call_id,
            tool_name,
            retry,
            state.run_step,
            deadline=self.deadline if deadline is None else deadline,
        )

    def tool_context(self, state: RunState, call: ToolCallPart, deadline: Deadline) -> RunContext[Any]:
        """What a tool sees while it answers *call*, until *deadline*."""
        retry = state.tool_retries.get(call.tool_name, 0)
        return self.context(state, call.tool_name, call.tool_call_id, retry, deadline)

    def first_parts(self, state: RunState) -> list[ModelRequestPart]:
        """The system prompts of a new conversation."""
        parts: list[ModelRequestPart] = [SystemPromptPart(text) for text in self.system_prompts]
        if self.system_prompt_functions:
            ctx = self.context(state)
            for function in self.system_prompt_functions:
                parts.append(SystemPromptPart(function(ctx), function.name if function.dynamic else None))
        return parts

    def refresh_prompts(self, state: RunState) -> None:
        """Make the dynamic system prompts of an old conversation anew, in messages of our own."""
        dynamic = {function.name: function for function in self.system_prompt_functions if function.dynamic}
        if not dynamic:
            return
        ctx = self.context(state)
        for index, message in enumerate(state.message_history):
            if isinstance(message, ModelRequest) and any(
                isinstance(part, SystemPromptPart) and part.dynamic_ref in dynamic for part in message.parts
            ):
                parts = [
                    SystemPromptPart(dynamic[part.dynamic_ref](ctx), part.dynamic_ref)
                    if isinstance(part, SystemPromptPart) and part.dynamic_ref in dynamic
                    else part
                    for part in message.parts
                ]
                state.message_history[index] = ModelRequest(parts)

    def outgoing(self, state: RunState) -> list[ModelMessage]:
        """The messages as they are sent: history processors and instructions applied to a copy."""
        messages = list(state.message_history)
        if self.history_processors:
            ctx = self.context(state)
            for processor in self.history_processors:
                messages = processor(messages, ctx)
                self.deadline.check()
                if not isinstance(messages, list):
                    got = type(messages).__name__
                elif not messages:
                    got = "an empty one"
                elif not isinstance(messages[-1], ModelRequest):
                    got = f"one that ends in {type(messages[-1]).__name__}"
                else:
                    continue
                raise UserError(
                    f"A history processor must return a list of messages that ends in a ModelRequest; got {got}."
                )
        texts = self._instruction_texts(state)
        if texts:
            _insert_system_parts(messages, texts)
        return messages

    def check_prices(self) -> None:
        """Raise ``UserError`` where a model's name shows that it has no price, although a cost limit is set."""
        from .prices import may_be_priced

        for model in _models_in(self.model):
            if not may_be_priced(model.model_name, model.system, self.usage_limits.prices):
                name = f"{model.system}:{model.model_name}"
                raise UserError(
                    f"A cost_limit is set, and the model {name!r} has no known price. Give it: UsageLimits("
                    f"cost_limit=..., prices={{{name!r}: {{'input': 2.5, 'output': 10}}}}), in US dollars for a "
                    "million tokens."
                )

    def count_cost(self, response: ModelResponse, state: RunState) -> None:
        """
        Add what *response* cost to the run's usage, and check the limit.

        Raises:
            UsageLimitExceeded: the limit is passed, or nobody can say whether it is.
        """
        if response.usage.cost is None:  # else it came with the usage
            cost = self._cost(response)
            if cost is None:
                raise UsageLimitExceeded(
                    f"The cost of a response of {response.model_name or self.model.model_name} is not known, so the "
                    f"cost_limit of {self.usage_limits.cost_limit:f} cannot be kept"
                )
            state.usage.incr(Usage(cost=cost))
        self.usage_limits.check_cost(state.usage)

    def check_cost_so_far(self, usage: Usage, model_name: Optional[str], state: RunState) -> None:
        """Raise ``UsageLimitExceeded`` where a response that still comes is over the limit with what is known of it."""
        cost = self._cost(ModelResponse([], model_name, usage=usage))
        if cost is not None:
            self.usage_limits.check_cost(Usage(cost=cost + (state.usage.cost or 0)))

    def _cost(self, response: ModelResponse) -> Optional[Decimal]:
        prices = self.usage_limits.prices
        cost = response.cost(prices)
        if cost is None:
            # It may say no name, or one that nobody knows; the name that was asked for is known where it is one.
            models = _models_in(self.model)
            provider = response.provider_name or models[0].system
            for name in (response.model_name, models[0].model_name):
                if cost is None and len(models) == 1:
                    cost = attrs.evolve(response, model_name=name, provider_name=provider).cost(prices)
        return cost

    def _instruction_texts(self, state: RunState) -> list[str]:
        texts = []
        if self.instructions:
            ctx = self.context(state)
            made = [item if isinstance(item, str) else item(ctx) for item in self.instructions]
            texts.append("\n\n".join(text for text in made if text))
        if self.result_mode == "prompted" and self.parameters.result_schema is not None:
            texts.append(f"{_PROMPTED}\n{dump_str(self.parameters.result_schema)}")
        return [text for text in texts if text]

    def prepared(self, state: RunState) -> ModelRequestParameters:
        """The request's parameters, with the tools that their ``prepare`` functions leave."""
        if not self.has_prepare:
            return self.parameters
        offered: list[ToolDefinition] = []
        for tool in self.tools.values():
            definition: Optional[ToolDefinition] = tool.definition()
            if tool.prepare is not None:
                ctx = self.context(state, tool.name, retry=state.tool_retries.get(tool.name, 0))
                # A copy: what the function changes holds for this step alone.
                definition = tool.prepare(ctx, deepcopy(tool.definition()))
                self.deadline.check()
                if definition is not None and not isinstance(definition, ToolDefinition):
                    raise UserError(
                        f"The prepare function of tool {tool.name!r} must return a ToolDefinition or None; "
                        f"got {type(definition).__name__}."
                    )
            if definition is not None:
                offered.append(definition)
        return attrs.evolve(self.parameters, function_tools=offered)


def prompt_function(function: Any, what: str, dynamic: bool = False) -> PromptFunction:
    """
    A user's function that makes a prompt.

    Args:
        function: takes nothing, or the context; returns text.
        what: how an error calls it.
        dynamic: whether it is asked again in later runs with the same history.

    Raises:
        UserError: it is no function, or a coroutine function.
    """
    asked: Callable[..., str] = function
    if not callable(function):
        raise UserError(f"The {what} has to be a function that returns text; got {type(function).__name__}.")
    from .schema.signature import positional_parameter_count, refuse_coroutine

    refuse_coroutine(function, what)
    return PromptFunction(asked, positional_parameter_count(asked) > 0, dynamic)


def history_processor(function: Any) -> Callable[[list[ModelMessage], RunContext[Any]], list[ModelMessage]]:
    """
    A user's function that rewrites what is sent, with or without the context, as one that takes both.

    Raises:
        UserError: it is no function, or a coroutine function.
    """
    asked: Callable[..., list[ModelMessage]] = function
    if not callable(function):
        raise UserError(f"A history processor is a function of messages; got {type(function).__name__}.")
    from .schema.signature import positional_parameter_count, refuse_coroutine

    refuse_coroutine(function, "history processor")
    if positional_parameter_count(asked) > 1:
        return lambda messages, ctx: asked(ctx, messages)
    return lambda messages, ctx: asked(messages)


def _models_in(model: Any) -> list[Model]:
    """The models that may answer: those of a fallback, the one in a wrapper, else the model."""
    inside = getattr(model, "models", None)
    if isinstance(inside, (list, tuple)):
        return [found for each in inside for found in _models_in(each)]
    wrapped = getattr(model, "wrapped", None)
    return [model] if wrapped is None else _models_in(wrapped)


def _insert_system_parts(messages: list[ModelMessage], texts: list[str]) -> None:
    """Put *texts* behind the system parts of the first request, in a message of our own."""
    index, first = next((i, each) for i, each in enumerate(messages) if isinstance(each, ModelRequest))
    places = [i for i, part in enumerate(first.parts) if isinstance(part, SystemPromptPart)]
    place = places[-1] + 1 if places else 0
    added = [SystemPromptPart(text) for text in texts]
    messages[index] = ModelRequest([*first.parts[:place], *added, *first.parts[place:]])
