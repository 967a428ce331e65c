"""One response while it comes: its events, its text, and the result as far as it can be made."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, Optional, Union, cast

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
    ToolCallPartDelta,
)
from .plan import Ask, RunPlan, RunState
from .result_tools import ResultDataT, ResultTool, run_validators
from .schema.errors import ValidationError
from .tools import AgentDepsT
from .usage import Usage

if TYPE_CHECKING:
    from .models.base import StreamedResponse

__all__ = ["AgentStream", "GrowingText", "PartialResult", "debounced", "partial_response"]

_Event = Union[ModelResponseStreamEvent, FinalResultEvent]

_FENCE = "```"
_LONGEST_FENCE = 100  # characters of the line that begins a code fence, its language included


class AgentStream(Generic[AgentDepsT, ResultDataT]):
    """
    One response while it comes. Iterate for its events; a ``FinalResultEvent`` says, once, that what follows
    can be the final result. Several iterators share the events.

    Attributes:
        final: that event, once it came.
        finished: whether the response was read to its end.
        closed: whether it was closed before that.
    """

    def __init__(self, plan: RunPlan, state: RunState, ask: Ask) -> None:
        plan.deadline.check()
        self._plan = plan
        self._state = state
        self._context = plan.model.request_stream(ask.messages, ask.model_settings, ask.parameters)
        self._response: StreamedResponse = self._context.__enter__()
        self._ahead: deque[_Event] = deque()
        self._open = True
        self.final: Optional[FinalResultEvent] = None
        self.finished = False
        self.closed = False
        if plan.has_token_limits or plan.usage_limits.cost_limit is not None:
            self._response.on_usage = self._check_usage

    def __iter__(self) -> Iterator[_Event]:
        following = self.next_event
        while (event := following()) is not None:
            yield event

    def next_event(self) -> Optional[_Event]:
        """
        The next event; None at the end.

        Raises:
            AgentRunError: the response broke, a limit was reached, or the run has to stop.
        """
        self._plan.deadline.check()
        if self._ahead:
            return self._ahead.popleft()
        event = None if self.closed else next(self._response, None)
        if event is None:
            self.finished = not self.closed
        elif self.final is None and type(event) is PartStartEvent:
            self._look_for_final(event, self._ahead)
        return event

    def gather(self, until: float) -> list[_Event]:
        """The next event, as :meth:`next_event`, and those that come before *until* (``time.monotonic()``)."""
        self._plan.deadline.check()
        if self._ahead:
            events = list(self._ahead)
            self._ahead.clear()
            return events
        events = cast("list[_Event]", [] if self.closed else self._response.gather(until))
        if not events:
            self.finished = not self.closed
        elif self.final is None:
            for place, event in enumerate(events, 1):
                if type(event) is PartStartEvent:
                    found: deque[_Event] = deque()
                    self._look_for_final(event, found)
                    if found:
                        events[place:place] = found
                        break
        return events

    def _look_for_final(self, event: PartStartEvent, events: deque[_Event]) -> None:
        self.final = self._final_event(event)
        if self.final is not None:
            events.append(self.final)

    def _final_event(self, event: PartStartEvent) -> Optional[FinalResultEvent]:
        part, plan = event.part, self._plan
        if isinstance(part, TextPart) and (plan.result_schema.allow_text or plan.result_mode != "tool"):
            return FinalResultEvent(None, None)
        if isinstance(part, ToolCallPart) and part.tool_name in plan.result_tools:
            return FinalResultEvent(part.tool_name, part.tool_call_id)
        return None

    def _check_usage(self, usage: Usage) -> None:
        plan = self._plan
        plan.usage_limits.check_tokens(self._state.usage + usage)
        if plan.usage_limits.cost_limit is not None:
            plan.check_cost_so_far(usage, self._response.model_name, self._state)

    def final_ahead(self) -> Sequence[_Event]:
        """The event that says final, where it is the next one: it belongs to the part before it."""
        if self._ahead and type(self._ahead[0]) is FinalResultEvent:
            return [self._ahead.popleft()]
        return ()

    def may_be_final(self) -> bool:
        """Read on to the first part that could be final; False where the response has none."""
        ahead: deque[_Event] = deque()
        while self.final is None:
            event = self.next_event()
            if event is None:
                break
            ahead.append(event)
        ahead.extend(self._ahead)
        self._ahead = ahead
        return self.final is not None

    def unread_text(self) -> str:
        """Text that stands in :meth:`get` and was not handed out yet."""
        text = GrowingText()
        for event in self._ahead:
            text.feed(event)
        return text.text()

    def wait(self, seconds: float) -> bool:
        """Whether the next event can be read within *seconds*; True where the model cannot tell."""
        return bool(self._ahead) or self.closed or self._response.wait(seconds)

    def get(self) -> ModelResponse:
        """The response so far."""
        return self._response.get()

    def partial(self) -> Optional[ModelResponse]:
        """The response so far, as it can stand in a history after the stream was cut; None where nothing can."""
        return partial_response(self.get())

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
        while self.next_event() is not None:
            continue

    def close(self) -> None:
        """Close the connection at once where the response is not read to its end."""
        if self._open:
            self._open = False
            self.closed = not self.finished
            try:
                self._context.__exit__(None, None, None)
            except ValueError as error:
                # Another thread is inside a model of the user's: it finds the stream closed when it comes out.
                if "already executing" not in str(error):
                    raise

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
    if not seconds:
        while event := stream.next_event():
            yield [event, *stream.final_ahead()]
        return
    due = 0.0
    while group := stream.gather(due):
        yield group
        due = monotonic() + seconds


class PartialResult:
    """The typed or textual result of one response, as far as it has come."""

    __slots__ = ("_index", "_json", "_plan", "_state", "_text", "_tool", "_tool_call_id")

    def __init__(self, plan: RunPlan, state: RunState) -> None:
        self._plan = plan
        self._state = state
        self._tool: Optional[ResultTool] = None
        self._tool_call_id: Optional[str] = None
        self._index = -1
        self._json: Optional[_JsonText] = None
        self._text = GrowingText()
        if plan.result_mode != "tool" and not plan.result_schema.plain:
            self._json = _JsonText(plan.result_mode == "prompted")

    def feed(self, events: Sequence[_Event]) -> None:
        """Take further events."""
        by_text = self._json is not None and self._tool is None
        for event in events:
            if type(event) is PartStartEvent and isinstance(event.part, ToolCallPart):
                tool = self._plan.result_tools.get(event.part.tool_name)
                if tool is not None and self._tool is None:
                    self._tool, self._index, self._json = tool, event.index, _JsonText(False)
                    self._tool_call_id = event.part.tool_call_id
                    self._json.feed(event.part.args_as_json_str())
            elif type(event) is PartDeltaEvent and event.index == self._index and self._json is not None:
                more = event.delta.args_delta if isinstance(event.delta, ToolCallPartDelta) else None
                if isinstance(more, str):
                    self._json.feed(more)
                elif more:
                    self._json.merge(more)
            else:
                more = self._text.feed(event, keep=self._json is None)
                if more and by_text and self._json is not None:
                    self._json.feed(more)

    def value(self) -> tuple[bool, Any]:
        """Whether there is a value yet, and the value; one that cannot be made or is refused yet is none."""
        from .schema.partial_json import MISSING

        plan = self._plan
        try:
            if self._json is None:
                # Text validators run once, on the final text.
                return plan.result_schema.allow_text and self._text.started, self._text.text()
            raw = self._json.value()
            if raw is MISSING:
                return False, None
            tool = self._tool or plan.result_schema.as_text()
            data = tool.validate_partial(raw)
            if plan.result_validators:
                name = None if self._tool is None else self._tool.definition.name
                data = run_validators(
                    plan.result_validators,
                    data,
                    plan.context(self._state, name, self._tool_call_id, self._state.retries),
                )
            return True, data
        except (ValidationError, ModelRetry):
            return False, None


class _JsonText:
    """JSON that comes in pieces, with the code fence that a prompted answer may have around it."""

    __slots__ = ("_fence", "_held", "_merged", "_reader")

    def __init__(self, fence: bool) -> None:
        from .schema.partial_json import PartialJson

        self._reader = PartialJson()
        self._fence = fence  # whether one may still begin
        self._held = ""
        self._merged: Optional[dict[str, Any]] = None

    def feed(self, text: str) -> None:
        """Read on; the value up to what is no JSON stays, be it the fence's end."""
        if self._fence:
            text = self._held = (self._held + text).lstrip()
            begun = text.startswith(_FENCE)
            if (begun and "\n" not in text[:_LONGEST_FENCE]) or _FENCE.startswith(text):
                if len(text) < _LONGEST_FENCE:
                    return
            self._fence = False
            if begun:
                text = text.partition("\n")[2]
        try:
            self._reader.feed(text)
        except ValueError:
            return

    def merge(self, args: dict[str, Any]) -> None:
        """Take further arguments, of a model that gives them as objects."""
        if self._merged is None:
            value = self._reader.value()
            self._merged = dict(value) if isinstance(value, dict) else {}
        self._merged.update(args)

    def value(self) -> Any:
        """What there is, as a copy that does not grow; ``MISSING`` where there is nothing."""
        return _copied(self._reader.value() if self._merged is None else self._merged)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value


class GrowingText:
    """The texts of a response, or of several, joined by blank lines."""

    __slots__ = ("_pieces", "_separate", "started")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._separate = False
        self.started = False

    def feed(self, event: Any, *, keep: bool = True) -> str:
        """Take an event; returns what it adds, the blank line before a new part included."""
        if type(event) is PartDeltaEvent and type(event.delta) is TextPartDelta:
            more = event.delta.content_delta
        elif type(event) is PartStartEvent and type(event.part) is TextPart:
            self._separate = self.started
            more = event.part.content
        else:
            return ""
        if more:
            if self._separate:
                self._separate = False
                more = "\n\n" + more
            self.started = True
            if keep:
                self._pieces.append(more)
        return more

    def restore(self, text: str) -> None:
        """Begin with *text* in place of what was kept."""
        self._pieces[:] = [text]

    def text(self) -> str:
        """All of it; joined once and kept so."""
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


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
