"""
The run loop: a generator that does no I/O.

It yields a *node* at every boundary, where a driver may look and may send another node instead, and an
*effect* (:class:`~syncagent.plan.Ask`, :class:`~syncagent.plan.RunTools`) where it needs something done. It
knows nothing of HTTP, threads, clocks and files; whoever drives it decides how the answers come to be.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Optional, Union

import attrs

from .exceptions import ContentFilterError, ModelRetry, RunCancelled, UnexpectedModelBehavior, UserError
from .messages import (
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    RetryPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from .plan import Ask, Asked, RunPlan, RunState, RunTools, ToolOutcome
from .result_tools import FinalResult, ResultDataT, run_validators, validate_text
from .schema.errors import ValidationError
from .tools import AgentDepsT

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from typing_extensions import TypeAlias

    from .messages import HandleResponseEvent
    from .response_stream import AgentStream
    from .run import AgentRunContext

__all__ = [
    "AgentNode",
    "CallToolsNode",
    "End",
    "ModelRequestNode",
    "UserPromptNode",
    "check_node",
    "end_of",
    "run_loop",
]

Effect = Union[Ask, RunTools]
Steps = Generator[Effect, Any, "Union[AgentNode, End[Any]]"]

_EMPTY = "The response was empty. Answer, or call one of the functions."
_CUT_OFF = "The response was cut off by the token limit."
_NO_TEXT = "Plain text responses are not permitted, please call one of the functions instead."
_PROCESSED = "Final result processed."
_NOT_EXECUTED = "Tool not executed - a final result was already processed."
_NOT_USED = "Result tool not used - a final result was already processed."
_NOT_USED_FAILED = "Result tool not used - result failed validation."


def run_loop(node: AgentNode, plan: RunPlan, state: RunState) -> Generator[Union[AgentNode, Effect], Any, End[Any]]:
    """
    Run from *node* to the end.

    Yields nodes, to be answered by another node or None, and effects, to be answered by what they ask for.
    """
    following: Union[AgentNode, End[Any]] = node
    while not isinstance(following, End):
        following = (yield following) or following
        if isinstance(following, End):
            break
        following = yield from following.steps(plan, state)
    return following


@attrs.define
class UserPromptNode(Generic[AgentDepsT, ResultDataT]):
    """The first node: turns the user's prompt into the first request."""

    user_prompt: Union[str, Sequence[UserContent]]

    def steps(self, plan: RunPlan, state: RunState) -> Steps:
        """Build the request; needs nothing done."""
        parts: list[ModelRequestPart] = []
        if state.message_history:
            plan.refresh_prompts(state)
        else:
            parts = plan.first_parts(state)
        parts.append(UserPromptPart(self.user_prompt))
        return ModelRequestNode(ModelRequest(parts))
        yield  # pragma: no cover -- makes this a generator, as the other nodes' are


@attrs.define
class ModelRequestNode(Generic[AgentDepsT, ResultDataT]):
    """A request that is about to be sent."""

    request: ModelRequest

    def steps(self, plan: RunPlan, state: RunState) -> Steps:
        """Append the request, check the limits, prepare the tools, ask the model, count, append the response."""
        state.message_history.append(self.request)
        state.usage.begin_request(plan.usage_limits)
        state.asking = True
        try:
            state.run_step += 1
            if plan.usage_limits.cost_limit is not None:
                plan.check_prices()
            messages = plan.outgoing(state)
            asked: Asked = yield Ask(messages, plan.model_settings, plan.prepared(state))
            response = _with_call_ids(asked.response)
            state.end_request(response.usage)
        finally:
            if state.asking:
                state.end_request(None)
        state.message_history.append(response)
        if plan.has_token_limits:
            plan.usage_limits.check_tokens(state.usage)
        if plan.usage_limits.cost_limit is not None:
            plan.count_cost(response, state)
        return CallToolsNode(response, asked.final)

    def stream(self, ctx: AgentRunContext[Any]) -> AbstractContextManager[AgentStream[AgentDepsT, ResultDataT]]:
        """
        Stream the response: ``with node.stream(run.ctx) as stream``, once, while it is the run's next node.

        A normal exit reads the rest, since the run goes on; an exception closes the connection at once.
        """
        return ctx.run.stream_request(self)


@attrs.define
class CallToolsNode(Generic[AgentDepsT, ResultDataT]):
    """A response that came: its tools are about to be called, or it is the result."""

    model_response: ModelResponse
    _final: Optional[FinalResult[Any]] = attrs.field(default=None, repr=False, eq=False)

    def steps(self, plan: RunPlan, state: RunState) -> Steps:
        """Find the result in the response, or call its tools and make the next request."""
        calls: list[ToolCallPart] = []
        texts: list[str] = []
        for part in self.model_response.parts:
            if isinstance(part, ToolCallPart):
                calls.append(part)
            elif isinstance(part, TextPart) and part.content:
                texts.append(part.content)
        if calls:
            return (yield from self._handle_calls(calls, plan, state))
        if texts:
            return self._handle_text("\n\n".join(texts), plan, state)
        if self.model_response.finish_reason == "content_filter":
            raise ContentFilterError("The provider's content filter left nothing of the answer.")
        self._count_retry(plan, state, exceeded="Received empty model response")
        return _retry(RetryPromptPart(_EMPTY))

    def _handle_text(self, text: str, plan: RunPlan, state: RunState) -> Union[AgentNode, End[Any]]:
        typed = plan.result_mode != "tool" and not plan.result_schema.plain
        if not typed and not plan.result_schema.allow_text:
            self._count_retry(plan, state)
            return _retry(RetryPromptPart(_NO_TEXT))
        try:
            data = validate_text(plan.result_schema, plan.result_mode, text) if typed else text
            if plan.result_validators:
                data = run_validators(plan.result_validators, data, plan.context(state, retry=state.retries))
        except ValidationError as error:
            self._count_retry(plan, state, error)
            return _retry(RetryPromptPart(error.errors))
        except ModelRetry as error:
            self._count_retry(plan, state, error)
            return _retry(RetryPromptPart(error.message))
        return End(FinalResult(data))

    def _count_retry(
        self, plan: RunPlan, state: RunState, error: Optional[Exception] = None, exceeded: Optional[str] = None
    ) -> None:
        """Count a failed result; raises where the model may not try again."""
        if self._final is not None:
            raise UnexpectedModelBehavior(
                "The result was refused after it had been streamed, so the model cannot be asked again"
            ) from error
        state.retries += 1
        _check_result_retries(plan, state, exceeded)

    def stream(self, ctx: AgentRunContext[Any]) -> AbstractContextManager[Iterator[HandleResponseEvent]]:
        """
        Stream the calls of the response's tools and what they return: ``with node.stream(run.ctx) as events``.

        A normal exit calls the tools that are left.
        """
        return ctx.run.stream_tools(self)

    # --- tool calls ----------------------------------------------------------------------------

    def _handle_calls(self, calls: list[ToolCallPart], plan: RunPlan, state: RunState) -> Steps:
        failed, final, winner = self._find_result(calls, plan, state)
        runnable = [
            call for call in calls if call.tool_name in plan.tools and (winner is None or plan.end_strategy != "early")
        ]
        # Answers that are there already, by the call's place; the tools' own follow after them.
        parts: list[ModelRequestPart] = []
        unknown = 0
        for index, call in enumerate(calls):
            if call.tool_name in plan.tools:
                if winner is not None and plan.end_strategy == "early":
                    parts.append(_answer(call, _NOT_EXECUTED))
            elif call.tool_name not in plan.result_tools:
                unknown += 1
                parts.append(_unknown_tool(call, plan))
            elif winner is not None:
                text = _PROCESSED if index == winner else _NOT_USED if index > winner else _NOT_USED_FAILED
                parts.append(_answer(call, text))
        if winner is None:
            state.retries += unknown
            if unknown or failed:
                _check_result_retries(plan, state)
        extras: list[ModelRequestPart] = []
        if runnable:
            cut_off = {} if self.model_response.finish_reason != "length" else _cut_off(runnable)
            whole = [call for call in runnable if call.tool_call_id not in cut_off]
            answers = iter((yield from _called(whole, plan, state)))
            for call in runnable:
                outcome = cut_off.get(call.tool_call_id) or next(answers)
                _count_tool_retry(outcome, call, plan, state, fatal=winner is None)
                parts.append(outcome.part)
                extras.extend(outcome.extra)
        request = ModelRequest([*failed, *parts, *extras])
        if final is None:
            return ModelRequestNode(request)
        state.message_history.append(request)
        return End(final)

    def _find_result(
        self, calls: list[ToolCallPart], plan: RunPlan, state: RunState
    ) -> tuple[list[ModelRequestPart], Optional[FinalResult[Any]], Optional[int]]:
        """The refusals of result calls, the first result that holds, and the place of its call."""
        failed: list[ModelRequestPart] = []
        for index, call in enumerate(calls):
            tool = plan.result_tools.get(call.tool_name)
            if tool is None:
                continue
            if self.model_response.finish_reason == "length" and not _parses(call):
                state.retries += 1
                failed.append(RetryPromptPart(_CUT_OFF, call.tool_name, call.tool_call_id))
                continue
            try:
                data = tool.validate(call.args)
                if plan.result_validators:
                    ctx = plan.context(state, call.tool_name, call.tool_call_id, state.retries)
                    data = run_validators(plan.result_validators, data, ctx)
            except (ValidationError, ModelRetry) as error:
                if self._final is not None:
                    self._count_retry(plan, state, error)
                state.retries += 1
                content = error.errors if isinstance(error, ValidationError) else error.message
                failed.append(RetryPromptPart(content, call.tool_name, call.tool_call_id))
                continue
            # A failed call before the winner gets the stub that says so instead of its refusal.
            return [], FinalResult(data, call.tool_name, call.tool_call_id), index
        return failed, None, None


@attrs.frozen
class End(Generic[ResultDataT]):
    """The run is over; ``data`` is its :class:`~syncagent.result_tools.FinalResult`."""

    data: ResultDataT


AgentNode: TypeAlias = "Union[UserPromptNode[Any, Any], ModelRequestNode[Any, Any], CallToolsNode[Any, Any]]"


def end_of(stop: StopIteration) -> End[Any]:
    """The end that a loop came to; one that was closed from another thread has none."""
    if not isinstance(stop.value, End):
        raise RunCancelled("The run was closed.")
    return stop.value


def check_node(node: Any) -> None:
    """Raise ``UserError`` where a run cannot go on with *node*."""
    if isinstance(node, End):
        if not isinstance(node.data, FinalResult):
            raise UserError(f"A run ends with End(FinalResult(data)); got End({type(node.data).__name__}).")
    elif not isinstance(node, (UserPromptNode, ModelRequestNode, CallToolsNode)):
        raise UserError(
            f"A run goes on with one of its nodes, or with End(FinalResult(data)); got {type(node).__name__}."
        )


def _called(calls: list[ToolCallPart], plan: RunPlan, state: RunState) -> Generator[RunTools, Any, list[ToolOutcome]]:
    """What came of *calls*, which are counted before they begin; those that never do are taken back."""
    state.begun = []
    state.usage.begin_tool_calls(len(calls), plan.usage_limits)
    answered = False
    try:
        outcomes: list[ToolOutcome] = (yield RunTools(calls)) if calls else []
        answered = True
    finally:
        if not answered:
            state.usage.count_tool_calls(len(state.begun) - len(calls))
    return outcomes


def _retry(part: RetryPromptPart) -> ModelRequestNode[Any, Any]:
    return ModelRequestNode(ModelRequest([part]))


def _answer(call: ToolCallPart, text: str) -> ToolReturnPart:
    return ToolReturnPart(call.tool_name, text, call.tool_call_id)


def _unknown_tool(call: ToolCallPart, plan: RunPlan) -> RetryPromptPart:
    names = [*plan.tools, *plan.result_tools]
    known = f"Available tools: {', '.join(names)}" if names else "No tools available."
    return RetryPromptPart(f"Unknown tool name: {call.tool_name!r}. {known}", call.tool_name, call.tool_call_id)


def _check_result_retries(plan: RunPlan, state: RunState, exceeded: Optional[str] = None) -> None:
    if state.retries > plan.result_retries:
        raise UnexpectedModelBehavior(
            exceeded or f"Exceeded maximum retries ({plan.result_retries}) for result validation"
        )


def _count_tool_retry(outcome: ToolOutcome, call: ToolCallPart, plan: RunPlan, state: RunState, fatal: bool) -> None:
    if outcome.error is None:
        state.tool_retries.pop(call.tool_name, None)
        return
    count = state.tool_retries[call.tool_name] = state.tool_retries.get(call.tool_name, 0) + 1
    allowed = plan.tools[call.tool_name].max_retries or 0
    if fatal and count > allowed:
        raise UnexpectedModelBehavior(f"Tool exceeded max retries count of {allowed}") from outcome.error


def _parses(call: ToolCallPart) -> bool:
    if isinstance(call.args, dict):
        return True
    try:
        json.loads(call.args)
    except (ValueError, RecursionError):
        return False
    return True


def _cut_off(calls: list[ToolCallPart]) -> dict[Optional[str], ToolOutcome]:
    """Outcomes for the calls whose arguments the token limit cut; they are never executed."""
    return {
        call.tool_call_id: ToolOutcome(
            RetryPromptPart(_CUT_OFF, call.tool_name, call.tool_call_id), error=ModelRetry(_CUT_OFF)
        )
        for call in calls
        if not _parses(call)
    }


def _with_call_ids(response: ModelResponse) -> ModelResponse:
    """The response with an id of its own for every tool call; the model's object is not changed."""
    seen: set[str] = set()
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            if not part.tool_call_id or part.tool_call_id in seen:
                break
            seen.add(part.tool_call_id)
    else:
        return response
    import uuid  # few responses come without ids

    seen.clear()
    parts = list(response.parts)
    for index, part in enumerate(parts):
        if isinstance(part, ToolCallPart):
            if not part.tool_call_id or part.tool_call_id in seen:
                parts[index] = part = attrs.evolve(part, tool_call_id=f"call_{uuid.uuid4().hex[:24]}")
            seen.add(part.tool_call_id)  # type: ignore[arg-type] # it has one now
    return attrs.evolve(response, parts=parts)
