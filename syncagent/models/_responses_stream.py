"""What OpenAI's Responses API streams, read into events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Optional, Union

from ..messages import (
    ModelResponsePart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from ._chat_answer import raise_error
from ._frames import parse_frame
from ._responses_answer import Facts, details_of, finish_of, item_of, parts_of, thoughts_of, usage_of
from ._words import text_of, wrong
from .wire import ResponseInfo

if TYPE_CHECKING:
    from ..messages import ModelResponseStreamEvent
    from ..transport.sse import Frame

__all__ = ["decode_stream"]


def decode_stream(
    frames: Iterator[Frame], provider_name: Optional[str] = None
) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
    """
    The events out of a stream's frames, until the response is completed or incomplete, or the frames end.

    Servers differ in how much they say: an item is told by its index, else by its id, else it is the last one of its
    kind that is not done; and what an item holds when it is done, or the response at its end, fills up what the
    deltas left out.

    Raises:
        ValueError: a frame has another shape, or holds an error; the text names the field.
    """
    stream = _Stream(provider_name)
    for frame in frames:
        data = frame.data
        if data[:1] != b"{":
            if data.strip() == b"[DONE]":
                return
            if not data.strip():
                yield ResponseInfo()  # a pause
                continue
        event = parse_frame(data)
        kind = event.get("type")
        if not isinstance(kind, str):
            kind = frame.event
        if kind == "error" or frame.event == "error" or (event.get("error") and kind not in _EVENTS):
            raise_error(event if event.get("error") else {"error": event})
        read = _EVENTS.get(kind or "")
        if read is not None:
            read(stream, event)
            if stream.events:
                yield from stream.events
                stream.events.clear()
            if stream.error is not None:
                raise_error(stream.error)
            if stream.ended:
                return


class _Piece:
    """A part that grows: where it stands, and how many characters of it have come."""

    __slots__ = ("index", "length")

    def __init__(self, index: int) -> None:
        self.index = index
        self.length = 0


class _Item:
    """One item of the output while it comes; *reserved* is the place of its first part, where others came sooner."""

    __slots__ = ("args", "done", "facts", "kind", "pieces", "reserved", "whole")

    def __init__(self, whole: dict[str, Any]) -> None:
        self.whole = whole
        self.kind: str = whole["type"]
        self.done = False
        self.args: list[str] = []  # of a call that cannot be announced yet
        self.pieces: dict[Any, _Piece] = {}
        self.reserved: Optional[int] = None
        self.facts = Facts()


class _Stream:
    """What has come of one stream, as far as it is needed to read what comes next."""

    def __init__(self, provider_name: Optional[str]) -> None:
        self.provider_name = provider_name
        self.events: list[Union[ModelResponseStreamEvent, ResponseInfo]] = []
        self.ended = False
        self.error: Optional[dict[str, Any]] = None
        self.parts = 0
        self.items: list[_Item] = []
        self.undone: dict[str, list[_Item]] = {}  # by kind; done ones are taken out when they are met
        self.by_index: dict[int, _Item] = {}
        self.by_id: dict[str, _Item] = {}
        self.known: tuple[Any, Any] = (None, None)

    def find(self, index: object, identifier: object, kind: str) -> Optional[_Item]:
        if index.__class__ is int:
            return self.by_index.get(index)  # type: ignore[call-overload, no-any-return] # it is a number
        if isinstance(identifier, str) and identifier in self.by_id:
            return self.by_id[identifier]
        undone = self.undone.get(kind, ())
        while undone and undone[-1].done:
            undone.pop()
        return undone[-1] if undone else None

    def item(self, event: dict[str, Any], kind: str) -> _Item:
        """The item that an event speaks of, which is of the given kind; a new one where it was not announced."""
        index, identifier = event.get("output_index"), event.get("item_id")
        item = self.find(index, identifier, kind)
        if item is None:
            return self.add({"type": kind, "id": identifier}, index)
        if item.kind != kind:
            came = repr(item.kind) if item.kind in _KINDS else "one of another"
            raise ValueError(f"{_type(event)}: expected an item of the type {kind!r}, got {came}")
        return item

    def add(self, whole: dict[str, Any], index: object) -> _Item:
        """A new item; one before it that has not said anything yet keeps its place in the order."""
        last = self.items[-1] if self.items else None
        if last is not None and not (last.done or last.pieces):
            last.reserved = self.next()
        item = _Item(whole)
        self.items.append(item)
        self.undone.setdefault(item.kind, []).append(item)
        if index.__class__ is int:
            self.by_index[index] = item  # type: ignore[index] # it is a number
        identifier = whole.get("id")
        if isinstance(identifier, str):
            self.by_id[identifier] = item
        return item

    def next(self) -> int:
        self.parts += 1
        return self.parts - 1

    def start(self, item: _Item, key: Any, part: ModelResponsePart) -> _Piece:
        index, item.reserved = item.reserved, None
        piece = item.pieces[key] = _Piece(self.next() if index is None else index)
        self.events.append(PartStartEvent(piece.index, part))
        return piece

    def text(self, item: _Item, text: str) -> None:
        """More of a message."""
        piece = item.pieces.get("message")
        if piece is None:
            piece = self.start(item, "message", TextPart(text))
        else:
            self.events.append(PartDeltaEvent(piece.index, TextPartDelta(text)))
        piece.length += len(text)

    def thinking(self, item: _Item, key: Any, text: str) -> None:
        """More of one piece of a reasoning item."""
        piece = item.pieces.get(key)
        if piece is None:
            identifier = item.whole.get("id")
            known = identifier if identifier and isinstance(identifier, str) else None
            piece = self.start(item, key, ThinkingPart(text, known, None, self.provider_name))
        else:
            self.events.append(PartDeltaEvent(piece.index, ThinkingPartDelta(text)))
        piece.length += len(text)

    def arguments(self, item: _Item, text: str) -> None:
        """More arguments of a call; it is announced with the first, once it has a name."""
        piece = item.pieces.get("function_call")
        if piece is not None:
            self.events.append(PartDeltaEvent(piece.index, ToolCallPartDelta(None, text)))
            piece.length += len(text)
            return
        item.args.append(text)
        name, identifier = item.whole.get("name"), item.whole.get("call_id")
        if name and isinstance(name, str):
            known = identifier if identifier and isinstance(identifier, str) else None
            args = "".join(item.args)
            self.start(item, "function_call", ToolCallPart(name, args, known)).length = len(args)

    def finish(self, item: _Item, whole: dict[str, Any], path: str) -> None:
        """Fill up what the deltas left out of an item that is whole now."""
        if item.done:
            return
        if whole["type"] != item.kind:
            before, now = (repr(kind) if kind in _KINDS else "another type" for kind in (item.kind, whole["type"]))
            raise ValueError(f"{path}.type: expected {before} as before, got {now}")
        item.done = True
        parts = list(parts_of(whole, path, self.provider_name, item.facts))
        keys: list[Any] = [item.kind]
        if item.kind == "reasoning":
            keys = [key for key, _ in thoughts_of(whole, path)]
            if not keys and item.pieces:
                keys = list(item.pieces)[:1]  # where only the proof came, it is of what was streamed
        for number, part in enumerate(parts):
            key = keys[number] if number < len(keys) else None
            piece = item.pieces.get(key)
            if piece is None:
                self.start(item, key, part)
            else:
                self._fill(part, piece, path)
        if item.pieces and item.kind == "message":
            item.facts.answered = True

    def _fill(self, part: ModelResponsePart, piece: _Piece, path: str) -> None:
        if isinstance(part, TextPart):
            rest = part.content[piece.length :]
            if rest:
                self.events.append(PartDeltaEvent(piece.index, TextPartDelta(rest)))
        elif isinstance(part, ThinkingPart):
            rest = part.content[piece.length :]
            if rest or part.signature:
                self.events.append(PartDeltaEvent(piece.index, ThinkingPartDelta(rest or None, part.signature)))
        else:
            args = part.args if isinstance(part, ToolCallPart) else None
            if not isinstance(args, str):
                raise ValueError(f"{path}.arguments: expected text as in the deltas, got an object")
            rest = args[piece.length :]
            if rest:
                self.events.append(PartDeltaEvent(piece.index, ToolCallPartDelta(None, rest)))

    def learn(self, response: dict[str, Any]) -> None:
        """The id and the model, where they are new."""
        known = (response.get("id"), response.get("model"))
        if known != self.known:
            self.known = known
            identifier, name = (value if value and isinstance(value, str) else None for value in known)
            self.events.append(ResponseInfo(model_name=name, provider_response_id=identifier))


# --- events ----------------------------------------------------------------------------------------


_KINDS = frozenset({"custom_tool_call", "function_call", "message", "reasoning"})


def _type(event: dict[str, Any]) -> str:
    """The name of an event that has a function here; some servers say it beside the event."""
    kind = event.get("type")
    return kind if isinstance(kind, str) else "the event"


def _response(event: dict[str, Any]) -> dict[str, Any]:
    response = event.get("response")
    if not isinstance(response, dict):
        wrong(f"{_type(event)}: response", "an object", response)
    return response


def _created(stream: _Stream, event: dict[str, Any]) -> None:
    stream.learn(_response(event))


def _added(stream: _Stream, event: dict[str, Any]) -> None:
    stream.add(item_of(event.get("item"), "item"), event.get("output_index"))


def _done(stream: _Stream, event: dict[str, Any]) -> None:
    whole = item_of(event.get("item"), "item")
    index = event.get("output_index")
    item = stream.find(index, whole.get("id"), whole["type"])
    stream.finish(stream.add(whole, index) if item is None else item, whole, "item")


def _delta(event: dict[str, Any]) -> str:
    delta = event.get("delta")
    return delta if isinstance(delta, str) else text_of(delta, f"{_type(event)}: delta")


def _place(key: str, event: dict[str, Any]) -> tuple[str, int]:
    """Where a piece of thinking stands; the first where the server does not say."""
    index = event.get(f"{key}_index")
    return key, index if isinstance(index, int) else 0


def _text(stream: _Stream, event: dict[str, Any]) -> None:
    delta = _delta(event)
    if delta:
        stream.text(stream.item(event, "message"), delta)


def _summary(stream: _Stream, event: dict[str, Any]) -> None:
    delta = _delta(event)
    if delta:
        stream.thinking(stream.item(event, "reasoning"), _place("summary", event), delta)


def _reasoning(stream: _Stream, event: dict[str, Any]) -> None:
    delta = _delta(event)
    if delta:
        stream.thinking(stream.item(event, "reasoning"), _place("content", event), delta)


def _arguments(stream: _Stream, event: dict[str, Any]) -> None:
    delta = _delta(event)
    if delta:
        stream.arguments(stream.item(event, "function_call"), delta)


def _end(stream: _Stream, event: dict[str, Any]) -> None:
    """The response as a whole; items that were never said to be done are it now."""
    response = _response(event)
    stream.learn(response)
    output = response.get("output")
    if output is not None and not isinstance(output, list):
        wrong("response.output", "a list", output)
    wholes = [item_of(item, f"response.output[{index}]") for index, item in enumerate(output or [])]
    if not stream.items:
        for index, whole in enumerate(wholes):
            stream.finish(stream.add(whole, index), whole, f"response.output[{index}]")
    for item, whole in zip(stream.items, wholes):
        if not item.done and item.kind == whole["type"]:
            stream.finish(item, whole, "response.output")
    for item in stream.items:
        stream.finish(item, item.whole, "item")
    stream.ended = True
    stream.events.append(ResponseInfo(usage=usage_of(response.get("usage"))))
    facts = Facts()
    for item in stream.items:
        facts.add(item.facts)
    reason, said = finish_of(response, facts)
    stream.events.append(ResponseInfo(finish_reason=reason, provider_details=details_of(facts, said), complete=True))


def _failed(stream: _Stream, event: dict[str, Any]) -> None:
    response = _response(event)
    stream.learn(response)
    if response.get("usage") is not None:
        stream.events.append(ResponseInfo(usage=usage_of(response["usage"])))
    stream.error = response if response.get("error") else {"message": "the response failed"}


# Other events tell how far a server-side tool is, or repeat what deltas said: the items have it all.
_EVENTS: dict[str, Callable[[_Stream, dict[str, Any]], None]] = {
    "response.output_text.delta": _text,
    "response.function_call_arguments.delta": _arguments,
    "response.reasoning_summary_text.delta": _summary,
    "response.reasoning_text.delta": _reasoning,
    "response.created": _created,
    "response.queued": _created,
    "response.in_progress": _created,
    "response.output_item.added": _added,
    "response.output_item.done": _done,
    "response.completed": _end,
    "response.incomplete": _end,
    "response.failed": _failed,
}
