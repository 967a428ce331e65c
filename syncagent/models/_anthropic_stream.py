"""What Anthropic's Messages API streams, read into events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union

from ..messages import (
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
from ._anthropic_answer import TextRun, call_of, caller_of, facts_of, finish_of, usage_of
from ._chat_answer import raise_error
from ._frames import parse_frame
from ._words import text_of, wrong
from .wire import ResponseInfo

if TYPE_CHECKING:
    from ..messages import ModelResponseStreamEvent
    from ..transport.sse import Frame
    from ..usage import Usage

__all__ = ["decode_stream"]


def decode_stream(
    frames: Iterator[Frame], provider_name: Optional[str] = None
) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
    """
    The events out of a stream's frames, until its end mark ``message_stop`` or the end of the frames.

    Events of an unknown type are passed over, as the API's rules for versions ask for
    (https://platform.claude.com/docs/en/api/versioning).

    Raises:
        ValueError: a frame has another shape, or holds an error; the text names the field.
    """
    stream = _Stream(provider_name)
    for frame in frames:
        if not frame.data.strip():
            yield ResponseInfo()  # a pause
            continue
        event = parse_frame(frame.data)
        kind = event.get("type")
        if kind == "error" or event.get("error"):
            raise_error(event)
        read = _EVENTS.get(kind) if isinstance(kind, str) else None
        if read is not None:
            yield from read(stream, event)
        if stream.complete:
            return


_Items = list[Union["ModelResponseStreamEvent", ResponseInfo]]


class _Stream:
    """What has come of one stream, as far as it is needed to read what comes next."""

    def __init__(self, provider_name: Optional[str]) -> None:
        self.complete = False
        self.provider_name = provider_name
        self.run = TextRun()
        self._text: Optional[int] = None  # the part that neighbouring text blocks make
        self._blocks: dict[int, _Block] = {}
        self._parts = 0
        self._usage: dict[str, Any] = {}

    def next(self) -> int:
        """The number of a new part."""
        self._parts += 1
        return self._parts - 1

    def begin(self, event: dict[str, Any]) -> _Items:
        message = event.get("message")
        if not isinstance(message, dict):
            wrong("message_start.message", "an object", message)
        name, identifier = (
            value if value and isinstance(value, str) else None for value in (message.get("model"), message.get("id"))
        )
        usage = self._more_usage(message.get("usage"))
        return [ResponseInfo(model_name=name, provider_response_id=identifier, usage=usage)]

    def begin_block(self, event: dict[str, Any]) -> _Items:
        block, index = event.get("content_block"), event.get("index")
        if not isinstance(block, dict):
            wrong(_START, "an object", block)
        if index.__class__ is not int:
            wrong("content_block_start.index", "a number", index)
        kind = _BLOCKS.get(text_of(block.get("type"), _START + ".type"), _Opaque)
        items = [] if kind is _Text else self.end_text()
        opened = self._blocks[index] = kind(block, self)  # type: ignore[index] # it is a number
        return items + opened.begin()

    def delta(self, event: dict[str, Any]) -> _Items:
        delta, index = event.get("delta"), event.get("index")
        if not isinstance(delta, dict):
            wrong("content_block_delta.delta", "an object", delta)
        if index.__class__ is not int or index not in self._blocks:
            number = str(index)[:20] if index.__class__ is int else f"that came, which is {type(index).__name__}"
            raise ValueError(f"content_block_delta.index: no open block has the number {number}")
        return self._blocks[index].delta(delta)

    def end_block(self, event: dict[str, Any]) -> _Items:
        index = event.get("index")
        known = index.__class__ is int and index in self._blocks
        return self._blocks.pop(index).end() if known else []  # type: ignore[arg-type] # it is a number

    def message_delta(self, event: dict[str, Any]) -> _Items:
        delta = event.get("delta") or {}
        if not isinstance(delta, dict):
            wrong("message_delta.delta", "an object", delta)
        reason, details = finish_of(delta.get("stop_reason"))
        details.update(facts_of(delta))
        usage = self._more_usage(event.get("usage"))
        return [ResponseInfo(usage=usage, finish_reason=reason, provider_details=details or None)]

    def end(self, event: dict[str, Any]) -> _Items:
        items: _Items = []
        for index in sorted(self._blocks):  # their end was not said; the message's was
            items += self._blocks.pop(index).end()
        self.complete = True
        return [*items, *self.end_text(), ResponseInfo(complete=True)]

    def _more_usage(self, usage: Any) -> Optional[Usage]:
        """A later event tells all counts that have changed, each as it stands then."""
        if usage is None:
            return None
        if not isinstance(usage, dict):
            wrong("usage", "an object", usage)
        self._usage.update({key: value for key, value in usage.items() if value is not None})
        return usage_of(self._usage)

    def more_text(self, text: str) -> _Items:
        """Text of a new block, or more of an open one's."""
        if not text:
            return []
        self.run.length += len(text)
        if self._text is None:
            self._text = self.next()
            return [PartStartEvent(self._text, TextPart(text))]
        return [PartDeltaEvent(self._text, TextPartDelta(text))]

    def end_text(self) -> _Items:
        """What follows is no text: the neighbouring blocks of it have ended."""
        cited = self.run.part(self.provider_name)
        self._text, self.run = None, TextRun()
        return [] if cited is None else [PartStartEvent(self.next(), cited)]


_START = "content_block_start.content_block"
_DELTA = "content_block_delta.delta"
_EVENTS: dict[str, Callable[[_Stream, dict[str, Any]], _Items]] = {
    "message_start": _Stream.begin,
    "content_block_start": _Stream.begin_block,
    "content_block_delta": _Stream.delta,
    "content_block_stop": _Stream.end_block,
    "message_delta": _Stream.message_delta,
    "message_stop": _Stream.end,
}


# --- blocks ----------------------------------------------------------------------------------------


class _Block(ABC):
    """A block of content while its pieces come."""

    def __init__(self, block: dict[str, Any], stream: _Stream) -> None:
        self.block = block
        self.stream = stream

    @abstractmethod
    def begin(self) -> _Items:
        """What the block itself tells."""

    @abstractmethod
    def delta(self, delta: dict[str, Any]) -> _Items:
        """What a piece tells."""

    def end(self) -> _Items:
        """What can be told only now."""
        return []

    def misplaced(self, delta: dict[str, Any]) -> NoReturn:
        kind, own = delta.get("type"), self.block["type"]
        known = repr(kind) if isinstance(kind, str) and kind in _DELTAS else "something else"
        raise ValueError(f"{_DELTA}.type: a block of the type {own!r} cannot go on with {known}")


class _Text(_Block):
    """Text, and what it cites, which comes before it."""

    def begin(self) -> _Items:
        self.start = self.stream.run.length
        citations = self.block.get("citations") or []
        if not isinstance(citations, list):
            wrong(_START + ".citations", "a list", citations)
        self.citations = [*citations]
        return self.stream.more_text(text_of(self.block.get("text") or "", _START + ".text"))

    def delta(self, delta: dict[str, Any]) -> _Items:
        kind = delta.get("type")
        if kind == "text_delta":
            return self.stream.more_text(text_of(delta.get("text"), _DELTA + ".text"))
        if kind != "citations_delta":
            self.misplaced(delta)
        self.citations.append(delta.get("citation"))
        return []

    def end(self) -> _Items:
        self.stream.run.cite(self.start, self.citations)
        return []


class _Thinking(_Block):
    """Thinking; its text may be left out, its signature comes last."""

    index: Optional[int] = None

    def begin(self) -> _Items:
        thinking = text_of(self.block.get("thinking") or "", _START + ".thinking")
        signature = text_of(self.block.get("signature") or "", _START + ".signature")
        return self._more(thinking, signature or None)

    def delta(self, delta: dict[str, Any]) -> _Items:
        kind = delta.get("type")
        if kind == "thinking_delta":
            return self._more(text_of(delta.get("thinking"), _DELTA + ".thinking"), None)
        if kind != "signature_delta":
            self.misplaced(delta)
        return self._more("", text_of(delta.get("signature"), _DELTA + ".signature"))

    def _more(self, thinking: str, signature: Optional[str]) -> _Items:
        if not thinking and not signature:
            return []
        if self.index is None:
            self.index = self.stream.next()
            return [PartStartEvent(self.index, ThinkingPart(thinking, None, signature, self.stream.provider_name))]
        return [PartDeltaEvent(self.index, ThinkingPartDelta(thinking or None, signature))]


class _ToolUse(_Block):
    """A call of a tool of ours."""

    def begin(self) -> _Items:
        self.name, self.id = call_of(self.block, _START)
        self.index = self.stream.next()
        self.announced = False  # with its first piece of arguments, as calls are
        return []

    def delta(self, delta: dict[str, Any]) -> _Items:
        if delta.get("type") != "input_json_delta":
            self.misplaced(delta)
        piece = text_of(delta.get("partial_json"), _DELTA + ".partial_json")
        if self.announced:
            return [PartDeltaEvent(self.index, ToolCallPartDelta(None, piece, self.id))] if piece else []
        self.announced = bool(piece)
        return [PartStartEvent(self.index, ToolCallPart(self.name, piece, self.id))] if piece else []

    def end(self) -> _Items:
        items: _Items = []
        if not self.announced:
            given = self.block.get("input") or {}
            if not isinstance(given, dict):
                wrong(_START + ".input", "an object", given)
            items.append(PartStartEvent(self.index, ToolCallPart(self.name, given, self.id)))
        caller = caller_of(self.block, self.stream.provider_name)
        return items if caller is None else [*items, PartStartEvent(self.stream.next(), caller)]


class _Opaque(_Block):
    """Whatever else comes: the provider's own tools, hidden thinking, blocks of a later day."""

    def begin(self) -> _Items:
        self.json: list[str] = []
        self.texts: dict[str, list[str]] = {}
        return []

    def delta(self, delta: dict[str, Any]) -> _Items:
        if delta.get("type") == "input_json_delta":
            self.json.append(text_of(delta.get("partial_json"), _DELTA + ".partial_json"))
            return []
        for key, value in delta.items():
            if key != "type":
                before = self.block.get(key)
                if isinstance(before, str) and isinstance(value, str):
                    self.texts.setdefault(key, [before]).append(value)  # joined once: there may be many
                else:
                    self.block[key] = value
                    self.texts.pop(key, None)
        return []

    def end(self) -> _Items:
        self.block.update((key, "".join(texts)) for key, texts in self.texts.items())
        text = "".join(self.json)
        if text.strip():
            try:
                self.block["input"] = parse_frame(text.encode("utf-8", "surrogatepass"))
            except ValueError:
                self.block["input"] = {"invalid_json": text}  # cut off; the API wants an object back
        return [PartStartEvent(self.stream.next(), OpaquePart(self.stream.provider_name, self.block))]


_DELTAS = frozenset({"citations_delta", "input_json_delta", "signature_delta", "text_delta", "thinking_delta"})
_BLOCKS: dict[str, type[_Block]] = {"text": _Text, "thinking": _Thinking, "tool_use": _ToolUse}
