"""A response while it comes."""

from __future__ import annotations

import copy
import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from time import monotonic
from typing import Any, Optional, Protocol, Union

from ..messages import (
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    OpaquePart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from ..usage import Usage
from .wire import ResponseInfo

__all__ = ["Pace", "StreamedResponse"]

_MOST_PIECES = 4096  # texts of a part that are kept apart: each costs more than what it holds
_MOST_BLOCKS = 64  # joined ones


class Pace(Protocol):
    """
    What a stream is read from, where it can stop waiting for more.

    Attributes:
        until: when the next read gives up, on the clock of ``time.monotonic()``; None for never.
        paused: a read gave up. A wire gives an item for every pause, so that its reader can look here.
    """

    until: Optional[float]
    paused: bool


class StreamedResponse:
    """
    A response while it comes: iterate for its events, ask :meth:`get` for what there is so far.

    A delta for an index where nothing has begun begins a part; a tool call begins once it has both a name
    and arguments, and what came before is held back until then.

    Args:
        items: the events of a wire or a model, with :class:`~syncagent.models.wire.ResponseInfo` between them.
        model_name: until the stream says one.
        provider_name: the provider's name.
        timestamp: when the response began; by default now.

    Attributes:
        info: what is known beside the parts.
        pace: what the items are read from, where it can be waited for; None where nobody can tell.
        on_usage: called when the usage changes; what it raises ends the reading.
    """

    def __init__(
        self,
        items: Iterable[Union[ModelResponseStreamEvent, ResponseInfo]],
        *,
        model_name: str,
        provider_name: Optional[str] = None,
        timestamp: Optional[dt.datetime] = None,
    ) -> None:
        self._items: Iterator[Union[ModelResponseStreamEvent, ResponseInfo]] = iter(items)
        self._early: deque[ModelResponseStreamEvent] = deque()
        self._error: Optional[Exception] = None
        self._ended = False
        self._parts: dict[int, _Growing] = {}
        self._usage = Usage()
        self._unanswered = 0
        self._model_name = model_name
        self._provider_name = provider_name
        self.timestamp = timestamp or dt.datetime.now(dt.timezone.utc)
        self.info = ResponseInfo()
        self.pace: Optional[Pace] = None
        self.on_usage: Optional[Callable[[Usage], None]] = None

    def __iter__(self) -> Iterator[ModelResponseStreamEvent]:
        return self

    def __next__(self) -> ModelResponseStreamEvent:
        """The next event; waits for it."""
        if self._early:
            return self._early.popleft()
        if self._error is not None:
            error, self._error = self._error, None
            self._ended = True
            raise error
        if not self._ended:
            for item in self._items:
                event = self._take(item)
                if event is not None:
                    return event
            self._ended = True
        raise StopIteration

    def extend(self, items: Iterable[Union[ModelResponseStreamEvent, ResponseInfo]]) -> None:
        """Read *items* once those before them have ended; they are not asked for anything sooner."""
        self._items = chain(self._items, items)

    def begin(self) -> None:
        """
        Read until there is something to hand out; iterating gives it first.

        Whoever has a second model to ask calls this before the response is anybody's.
        """
        early: list[ModelResponseStreamEvent] = []
        for event in self:
            early.append(event)
            part = event.part if type(event) is PartStartEvent else None
            if part is None or isinstance(part, OpaquePart) or part.has_content():
                break
        self._early.extend(early)

    def wait(self, seconds: float) -> bool:
        """Whether the next event, or the end, can be read within *seconds*; True where the model cannot tell."""
        pace = self.pace
        if pace is None or self._early or self._ended or self._error is not None:
            return True
        pace.until = monotonic() + seconds
        try:
            for item in self._items:
                event = self._take(item)
                if event is not None:
                    self._early.append(event)
                    return True
                if pace.paused:
                    pace.paused = False
                    return False
            self._ended = True
        finally:
            pace.until = None
        return True

    def gather(self, until: float) -> list[ModelResponseStreamEvent]:
        """
        The next event, waited for as long as it takes, and those that come after it.

        Args:
            until: when to give up waiting for more, on the clock of ``time.monotonic()``. A model that cannot
                tell whether there is more is asked for another one before that moment.

        Returns:
            The events; none at the end.
        """
        first = next(self, None)
        if first is None:
            return []
        events = [first, *self._early]
        self._early.clear()
        try:
            if self.pace is not None:
                self._gather_paced(events, self.pace, until)
            else:
                while monotonic() < until:
                    following = next(self, None)
                    if following is None:
                        break
                    events.append(following)
        except Exception as error:
            # What came before the error is handed out first.
            self._error = error
        return events

    def _gather_paced(self, events: list[ModelResponseStreamEvent], pace: Pace, until: float) -> None:
        """What the items give until they pause."""
        parts, take = self._parts, self._take
        pace.until = until
        try:
            for item in self._items:
                if type(item) is PartDeltaEvent and type(item.delta) is TextPartDelta:
                    growing = parts.get(item.index)
                    if growing is not None and growing.is_text:
                        growing.chunks.append(item.delta.content_delta)
                        if len(growing.chunks) > _MOST_PIECES:
                            growing.pack()
                        events.append(item)
                        continue
                event = take(item)
                if event is not None:
                    events.append(event)
                elif pace.paused:
                    pace.paused = False
                    return
            self._ended = True
        finally:
            pace.until = None

    def _take(self, item: Union[ModelResponseStreamEvent, ResponseInfo]) -> Optional[ModelResponseStreamEvent]:
        """Add *item* to the response; gives the event to hand out, if it is one."""
        if type(item) is PartDeltaEvent:
            growing = self._parts.get(item.index)
            if growing is None or type(growing.part) is ToolCallPartDelta:
                return self._start(item, growing)
            growing.add(item.delta)
            return item
        if type(item) is PartStartEvent:
            # A copy is kept: the part in the event is the consumer's.
            self._parts[item.index] = _Growing(copy.copy(item.part))
            return item
        if isinstance(item, ResponseInfo):
            self._learn(item)
            return None
        raise TypeError(
            f"A stream is made of PartStartEvent, PartDeltaEvent and ResponseInfo; got {type(item).__name__}."
        )

    def _start(self, event: PartDeltaEvent, growing: Optional[_Growing]) -> Optional[PartStartEvent]:
        """Begin a part with a delta; None while a tool call's name or arguments are missing."""
        delta, part = event.delta, None if growing is None else growing.part
        whole: Union[ModelResponsePart, ToolCallPartDelta]
        if type(delta) is ToolCallPartDelta:
            whole = delta.apply(ToolCallPartDelta() if part is None else part)
        elif part is not None:
            whole = delta.apply(part)  # type: ignore[arg-type] # raises: half a tool call is neither text nor thinking
        elif type(delta) is TextPartDelta:
            whole = TextPart(delta.content_delta)
        else:
            whole = delta.apply(ThinkingPart(""))
        self._parts[event.index] = _Growing(whole)
        return None if isinstance(whole, ToolCallPartDelta) else PartStartEvent(event.index, copy.copy(whole))

    def _learn(self, info: ResponseInfo) -> None:
        known = self.info
        known.finish_reason = info.finish_reason or known.finish_reason
        known.provider_response_id = info.provider_response_id or known.provider_response_id
        known.complete = info.complete or known.complete
        if info.provider_details:
            known.provider_details = {**(known.provider_details or {}), **info.provider_details}
        if info.model_name:
            self._model_name = known.model_name = info.model_name
        if info.usage is not None:
            usage = info.usage
            if self._unanswered:
                usage = copy.copy(usage)
                usage.count_unanswered(self._unanswered)
            self._usage = known.usage = usage
            if self.on_usage is not None:
                self.on_usage(usage)

    def count_unanswered(self, requests: int) -> None:
        """Count requests that were sent for it and got no complete answer: they stand in its usage."""
        self._unanswered += requests
        self._usage = copy.copy(self._usage)
        self._usage.count_unanswered(requests)

    @property
    def model_name(self) -> str:
        """The model, as the provider says it once it has."""
        return self._model_name

    def usage(self) -> Usage:
        """The tokens so far."""
        return self._usage

    def get(self) -> ModelResponse:
        """The response so far; tool calls without a name or arguments are left out."""
        wholes = [self._parts[index].whole() for index in sorted(self._parts)]
        return ModelResponse(
            [part for part in wholes if not isinstance(part, ToolCallPartDelta)],
            self._model_name,
            self.timestamp,
            usage=self._usage,
            finish_reason=self.info.finish_reason,  # pyright: ignore[reportArgumentType] # it forgets the Literal
            provider_name=self._provider_name,
            provider_response_id=self.info.provider_response_id,
            provider_details=self.info.provider_details,
        )


class _Growing:
    """One part of a stream while it grows; text is joined once, when somebody looks."""

    __slots__ = ("blocks", "chunks", "fields", "is_text", "names", "part")

    def __init__(self, part: Union[ModelResponsePart, ToolCallPartDelta]) -> None:
        self.part = part
        self.is_text = type(part) is TextPart
        self.chunks: list[str] = []
        self.blocks: list[str] = []
        self.names: list[str] = []  # of a tool call whose name goes on
        self.fields: list[dict[str, Any]] = []  # of a tool call whose arguments come as objects

    def add(self, delta: Union[TextPartDelta, ThinkingPartDelta, ToolCallPartDelta]) -> None:
        part = self.part
        if type(delta) is TextPartDelta and type(part) is TextPart:
            self.chunks.append(delta.content_delta)
        elif (
            type(delta) is ToolCallPartDelta
            and type(part) is ToolCallPart
            and delta.tool_call_id in (None, part.tool_call_id)
            and (type(delta.args_delta) is type(part.args) or delta.args_delta is None)
        ):
            if delta.tool_name_delta:
                self.names.append(delta.tool_name_delta)
            if type(delta.args_delta) is str:
                self.chunks.append(delta.args_delta)
            elif delta.args_delta is not None:
                self.fields.append(delta.args_delta)  # type: ignore[arg-type] # it is no text
        elif type(delta) is ThinkingPartDelta and type(part) is ThinkingPart:
            self.chunks.append(delta.content_delta or "")
            if delta.signature_delta is not None or delta.provider_name not in (None, part.provider_name):
                signature = part.signature if delta.signature_delta is None else delta.signature_delta
                # A new one: that which was handed out stays as it was.
                self.part = ThinkingPart(part.content, part.id, signature, delta.provider_name or part.provider_name)
        else:
            self.part = delta.apply(self.whole())  # type: ignore[arg-type] # apply refuses what does not fit
        if len(self.chunks) > _MOST_PIECES:
            self.pack()

    def pack(self) -> None:
        """Join the pieces so far, and what was joined before once it is a lot."""
        self._begin_blocks()
        self.blocks.append("".join(self.chunks))
        self.chunks.clear()
        if len(self.blocks) > _MOST_BLOCKS:
            self.blocks.append(_joined(self.blocks))

    def whole(self) -> Union[ModelResponsePart, ToolCallPartDelta]:
        """The part so far. A grown part is a new object: one that was handed out stays as it was."""
        part = self.part
        if (self.names or self.fields) and isinstance(part, ToolCallPart):
            args = part.args
            if isinstance(args, dict):
                args = dict(args)
                for more in self.fields:
                    args.update(more)
            self.part = ToolCallPart("".join([part.tool_name, *self.names]), args, part.tool_call_id)
            self.names.clear()
            self.fields.clear()
        if not self.chunks and not self.blocks:
            return self.part
        self._begin_blocks()
        part = self.part
        if self.chunks:
            self.blocks.append("".join(self.chunks))
            self.chunks.clear()
        text = _joined(self.blocks)
        if isinstance(part, TextPart):
            part = TextPart(text)
        elif isinstance(part, ThinkingPart):
            part = ThinkingPart(text, part.id, part.signature, part.provider_name)
        else:
            part = ToolCallPartDelta(args_delta=text).apply(part)
        self.part = part
        return part

    def _begin_blocks(self) -> None:
        """What a text begins with is the first block: what is added then adds to it."""
        part = self.part
        if not self.blocks and isinstance(part, (TextPart, ThinkingPart)):
            self.blocks.append(part.content)
            self.part = copy.copy(part)
            self.part.content = ""


def _joined(blocks: list[str]) -> str:
    """
    All blocks as one text; the list is empty afterwards.

    CPython lets a text grow in place that only one name holds: a long one need not stand in memory twice.
    """
    blocks.reverse()
    text = blocks.pop()
    while blocks:
        text += blocks.pop()
    return text
