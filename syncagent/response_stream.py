"""One response while it comes: its events, its text, and the result as far as it can be made."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Optional, Union

from .exceptions import ModelRetry
from .messages import (
    FinalResultEvent,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ToolCallPart,
)
from .plan import Ask, RunPlan, RunState
from .result_tools import ResultDataT, run_validators
from .schema.errors import ValidationError
from .tools import AgentDepsT
from .usage import Usage

if TYPE_CHECKING:
    from .models.base import StreamedResponse

__all__ = ["AgentStream", "GrowingText", "PartialResult", "debounced", "partial_response"]

_Event = Union[ModelResponseStreamEvent, FinalResultEvent]


class AgentStream(Generic[AgentDepsT, ResultDataT]):
    """
    One response while it comes. Iterate for its events; a ``FinalResultEvent`` says, once, that what follows
    can be the final result.
    """

    def __init__(self, plan: RunPlan, state: RunState, ask: Ask) -> None:
        plan.deadline.check()
        self._plan = plan
        self._state = state
        self._context = plan.model.request_stream(ask.messages, ask.model_settings, ask.parameters)
        self._response: StreamedResponse = self._context.__enter__()
        self._events = self._read()
        self._ahead: list[_Event] = []
        self._open = True
        self.final: Optional[FinalResultEvent] = None
        self.finished = False

    def __iter__(self) -> Iterator[_Event]:
        while self._ahead:
            yield self._ahead.pop(0)
        # `yield from` would close the events with this iterator; the next iterator goes on with them.
        for event in self._events:  # noqa: UP028 - as above
            yield event

    def put_back(self, events: list[_Event]) -> None:
        """Let the next iterator begin with *events*, which were read and not handed out."""
        self._ahead[:0] = events

    def _read(self) -> Iterator[_Event]:
        deadline, limits = self._plan.deadline, self._plan.usage_limits
        limited = limits.has_token_limits()
        for event in self._response:
            if limited:
                limits.check_tokens(self._state.usage + self._response.usage())
            yield event
            if self.final is None and type(event) is PartStartEvent:
                self.final = self._final_event(event)
                if self.final is not None:
                    yield self.final
            deadline.check()
        self.finished = True

    def _final_event(self, event: PartStartEvent) -> Optional[FinalResultEvent]:
        part, plan = event.part, self._plan
        if isinstance(part, TextPart) and (plan.result_schema.allow_text or plan.result_mode != "tool"):
            return FinalResultEvent(None, None)
        if isinstance(part, ToolCallPart) and part.tool_name in plan.result_tools:
            return FinalResultEvent(part.tool_name, part.tool_call_id)
        return None

    def may_be_final(self) -> bool:
        """Read on to the first part that could be final; False where the response has none."""
        for event in self._events:
            self._ahead.append(event)
            if self.final is not None:
                return True
        return False

    def wait(self, seconds: float) -> bool:
        """Whether the next event can be read within *seconds*; True where the model cannot tell."""
        return bool(self._ahead) or self._response.wait(seconds)

    def get(self) -> ModelResponse:
        """The response so far."""
        return self._response.get()

    def usage(self) -> Usage:
        """What the run has used, with what is known of this response."""
        return self._state.usage + self._response.usage()

    @property
    def response_usage(self) -> Usage:
        """What is known of this response's tokens."""
        return self._response.usage()

    @property
    def timestamp(self) -> dt.datetime:
        """When the response began."""
        return self._response.timestamp

    def drain(self) -> None:
        """Read to the end."""
        self._ahead.clear()
        for _ in self._events:
            continue

    def close(self) -> None:
        """Close the connection at once where the response is not read to its end."""
        if self._open:
            self._open = False
            self._context.__exit__(None, None, None)

    def stream_responses(self, *, debounce_by: Optional[float] = 0.1) -> Iterator[ModelResponse]:
        """The response so far, each time it has grown; at most every *debounce_by* seconds."""
        for _ in debounced(self, debounce_by):
            yield self.get()

    def stream_output(self, *, debounce_by: Optional[float] = 0.1) -> Iterator[ResultDataT]:
        """Validated partial results, each time the response has grown; at most every *debounce_by* seconds."""
        partial = PartialResult(self._plan, self._state)
        for group in debounced(self, debounce_by):
            partial.feed(group)
            found, value = partial.value()
            if found:
                yield value


def debounced(stream: AgentStream[Any, Any], seconds: Optional[float]) -> Iterator[list[_Event]]:
    """
    Groups of events: the first at once, then one at most every *seconds*, what is left at the end.

    No thread: where the next event does not come in time, the model's connection says so.
    """
    events = iter(stream)
    if not seconds:
        for event in events:
            yield [event]
        return
    group: list[_Event] = []
    due = 0.0
    monotonic = time.monotonic
    try:
        while True:
            if not group or stream.wait(due - monotonic()):
                following = next(events, None)
                if following is None:
                    break
                group.append(following)
                if monotonic() < due:
                    continue
            whole, group = group, []
            yield whole
            due = monotonic() + seconds
        whole, group = group, []
        if whole:
            yield whole
    finally:
        stream.put_back(group)


class PartialResult:
    """The typed or textual result of one response, as far as it has come."""

    __slots__ = ("_index", "_json", "_plan", "_state", "_text", "_tool")

    def __init__(self, plan: RunPlan, state: RunState) -> None:
        self._plan = plan
        self._state = state
        self._tool: Optional[Any] = None
        self._index = -1
        self._json: Optional[Any] = None
        self._text = GrowingText()

    def feed(self, events: list[_Event]) -> None:
        """Take further events."""
        from .schema.partial_json import PartialJson

        for event in events:
            if isinstance(event, PartStartEvent) and isinstance(event.part, ToolCallPart):
                tool = self._plan.result_tools.get(event.part.tool_name)
                if tool is not None and self._tool is None:
                    self._tool, self._index, self._json = tool, event.index, PartialJson()
                    self._json.feed(event.part.args_as_json_str())
            elif isinstance(event, PartDeltaEvent) and event.index == self._index and self._json is not None:
                more = getattr(event.delta, "args_delta", None)
                if isinstance(more, str):
                    self._json.feed(more)
            else:
                self._text.feed(event)

    def value(self) -> tuple[bool, Any]:
        """Whether there is a value yet, and the value; one that cannot be made yet is left out."""
        from .schema.partial_json import MISSING, parse_partial

        plan = self._plan
        try:
            if self._json is not None and self._tool is not None:
                raw = self._json.value()
                data = None if raw is MISSING else self._tool.validate_partial(raw)
                found = raw is not MISSING
            elif plan.result_mode != "tool" and not plan.result_schema.plain:
                raw = parse_partial(self._text.text()) if self._text.chunks else MISSING
                data = None if raw is MISSING else plan.result_schema.as_text().validate_partial(raw)
                found = raw is not MISSING
            else:
                return bool(self._text.chunks), self._text.text()
            if found and plan.result_validators:
                data = run_validators(plan.result_validators, data, plan.context(self._state))
            return found, data
        except (ValidationError, ModelRetry, ValueError):
            return False, None


class GrowingText:
    """The texts of a response, or of several, joined by blank lines."""

    __slots__ = ("_separate", "chunks")

    def __init__(self) -> None:
        self.chunks: list[str] = []
        self._separate = False

    def feed(self, event: Any) -> str:
        """Take an event; returns what it adds, the blank line before a new part included."""
        if type(event) is PartDeltaEvent and type(event.delta) is TextPartDelta:
            more = event.delta.content_delta
        elif type(event) is PartStartEvent and type(event.part) is TextPart:
            self._separate = bool(self.chunks)
            more = event.part.content
        else:
            return ""
        if more:
            if self._separate:
                self._separate = False
                more = "\n\n" + more
            self.chunks.append(more)
        return more

    def text(self) -> str:
        """All of it; joined once and kept so."""
        if len(self.chunks) > 1:
            self.chunks[:] = ["".join(self.chunks)]
        return self.chunks[0] if self.chunks else ""


def partial_response(response: ModelResponse) -> Optional[ModelResponse]:
    """
    A response that was cut, as it can stand in a history: its text and thinking, no call without an answer.

    None where nothing of it can be kept.
    """
    parts = [part for part in response.parts if isinstance(part, (TextPart, ThinkingPart)) and part.has_content()]
    if not parts:
        return None
    response.parts = list(parts)
    response.finish_reason = None
    response.provider_details = {**(response.provider_details or {}), "incomplete": True}
    return response
