"""What Bedrock's ConverseStream sends, read into events."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Optional, Union

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
from ._bedrock_answer import FINISH, SERVER_TOOL, details_of, object_of, raise_error, usage_of
from ._frames import parse_frame
from ._words import text_of, wrong
from .wire import ResponseInfo

if TYPE_CHECKING:
    from ..messages import ModelResponseStreamEvent
    from ..transport.sse import Frame

__all__ = ["decode_stream"]

_EXCEPTION = "exception:"  # as transport.eventstream marks them, which a wire does not import


def decode_stream(
    frames: Iterator[Frame], provider_name: Optional[str] = None
) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
    """
    Part events and facts; complete once ``messageStop`` came. The usage comes after that.

    Raises:
        ValueError: a frame has another shape, or is an exception; the text names the field.
    """
    stream = _Stream(provider_name)
    for frame in frames:
        name = frame.event
        read = _EVENTS.get(name)
        if read is not None:
            yield from read(stream, parse_frame(frame.data))
            if stream.complete and stream.counted:
                break
        elif name.startswith(_EXCEPTION):
            try:
                body: object = parse_frame(frame.data)
            except ValueError:
                body = None  # the name says enough
            raise_error(body, name[len(_EXCEPTION) :])
        elif not frame.data:
            yield ResponseInfo()  # a pause
    yield from stream.end()


class _Block:
    """
    One content block while it comes.

    Attributes:
        index: of its part; None before there is any.
        name: of the tool, for a call.
        kept: what is told once it is whole, for a block without a class of its own.
        pieces: of the arguments or of what is kept.
        signature: pieces of the proof of thinking, which is told once it is whole.
    """

    __slots__ = ("identifier", "index", "kept", "name", "pieces", "signature")

    def __init__(self) -> None:
        self.index: Optional[int] = None
        self.name: Optional[str] = None
        self.identifier: Optional[str] = None
        self.kept: Optional[dict[str, Any]] = None
        self.pieces: list[Any] = []
        self.signature: list[str] = []


_Events = Iterator[Union["ModelResponseStreamEvent", ResponseInfo]]


class _Stream:
    """What has come of one stream, as far as it is needed to read what comes next."""

    def __init__(self, provider_name: Optional[str]) -> None:
        self.complete = False
        self.counted = False
        self._provider_name = provider_name
        self._parts = 0
        self._blocks: dict[int, _Block] = {}
        self._citations: list[Any] = []

    def message_start(self, body: dict[str, Any]) -> _Events:
        """It says who speaks, which is known."""
        yield from ()

    def block_start(self, body: dict[str, Any]) -> _Events:
        """Only tools and images have one."""
        block = self._block(body, "contentBlockStart")
        start = object_of(body.get("start"), "contentBlockStart.start")
        path = "contentBlockStart.start.toolUse"
        use = object_of(start["toolUse"], path) if "toolUse" in start else None
        if use is None or use.get("type") == SERVER_TOOL:
            block.kept = dict(start)
        else:
            block.name = text_of(use.get("name"), path + ".name")
            if not block.name:
                raise ValueError(f"{path}.name: expected the name of a tool, got an empty text")
            block.identifier = text_of(use.get("toolUseId"), path + ".toolUseId") or None
        block.index = self._next()
        yield from ()

    def block_delta(self, body: dict[str, Any]) -> _Events:
        """More of a block."""
        block = self._block(body, "contentBlockDelta")
        delta = body.get("delta")
        if not isinstance(delta, dict):
            wrong("contentBlockDelta.delta", "an object", delta)
        text = delta.get("text")
        if text is not None:
            yield from self._text(block, text_of(text, "contentBlockDelta.delta.text"))
        elif "toolUse" in delta:
            yield from self._args(block, object_of(delta["toolUse"], "contentBlockDelta.delta.toolUse"))
        elif "reasoningContent" in delta:
            path = "contentBlockDelta.delta.reasoningContent"
            yield from self._thinking(block, object_of(delta["reasoningContent"], path), path)
        elif "citation" in delta:
            self._citations.append(delta["citation"])
        elif block.kept is not None:
            block.pieces.append(delta)

    def block_stop(self, body: dict[str, Any]) -> _Events:
        """A block is whole."""
        yield from self._close(self._block(body, "contentBlockStop"))
        del self._blocks[body["contentBlockIndex"]]

    def message_stop(self, body: dict[str, Any]) -> _Events:
        """The provider's end mark."""
        said = text_of(body.get("stopReason"), "messageStop.stopReason")
        self.complete = True
        details: dict[str, Any] = {"finish_reason": said, **details_of(body)}
        if self._citations:
            details["citations"] = self._citations
        yield ResponseInfo(finish_reason=FINISH.get(said), provider_details=details, complete=True)

    def metadata(self, body: dict[str, Any]) -> _Events:
        """The usage, which comes last."""
        self.counted = True
        yield ResponseInfo(usage=usage_of(body.get("usage")), provider_details=details_of(body) or None)

    def end(self) -> _Events:
        """What can be said only now: blocks whose end did not come, and that it was whole."""
        if self.complete:
            for block in self._blocks.values():
                yield from self._close(block)
        yield ResponseInfo(complete=self.complete)

    def _block(self, body: dict[str, Any], path: str) -> _Block:
        index = body.get("contentBlockIndex")
        if index.__class__ is not int:
            wrong(path + ".contentBlockIndex", "a number", index)
        block = self._blocks.get(index)  # type: ignore[arg-type] # it is a number
        if block is None:
            block = self._blocks[index] = _Block()  # type: ignore[index] # as above
        return block

    def _next(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _text(self, block: _Block, text: str) -> _Events:
        if block.name is not None or block.kept is not None or block.signature:
            raise ValueError("contentBlockDelta.delta: a text came in the block of something else")
        if not text:
            return
        if block.index is None:
            block.index = self._next()
            yield PartStartEvent(block.index, TextPart(text))
        else:
            yield PartDeltaEvent(block.index, TextPartDelta(text))

    def _args(self, block: _Block, use: dict[str, Any]) -> _Events:
        """The arguments of a call, which is announced with the first of them."""
        text = text_of(use.get("input"), "contentBlockDelta.delta.toolUse.input")
        if block.kept is not None:
            block.pieces.append(text)
        elif block.name is None or block.index is None:
            raise ValueError("contentBlockDelta.delta.toolUse: the arguments of a call came without its start")
        elif text:
            if block.pieces:
                yield PartDeltaEvent(block.index, ToolCallPartDelta(None, text, block.identifier))
            else:
                block.pieces.append(True)
                yield PartStartEvent(block.index, ToolCallPart(block.name, text, block.identifier))

    def _thinking(self, block: _Block, thought: dict[str, Any], path: str) -> _Events:
        if block.name is not None:
            raise ValueError(f"{path}: thinking came in the block of something else")
        text, signature, redacted = thought.get("text"), thought.get("signature"), thought.get("redactedContent")
        if redacted is not None:
            if block.kept is None:
                if block.index is not None:
                    raise ValueError(f"{path}.redactedContent: it came in the block of something else")
                block.index = self._next()
                block.kept = {"reasoningContent": {}}
            block.pieces.append(text_of(redacted, path + ".redactedContent"))
        elif text is not None or signature is not None:
            if block.kept is not None:
                raise ValueError(f"{path}: thinking came in the block of something else")
            text = text_of("" if text is None else text, path + ".text")
            proof = text_of("" if signature is None else signature, path + ".signature")
            if proof:
                block.signature.append(proof)
            if block.index is None:
                block.index = self._next()
                yield PartStartEvent(block.index, ThinkingPart(text, None, None, self._provider_name))
            elif text:
                yield PartDeltaEvent(block.index, ThinkingPartDelta(text))

    def _close(self, block: _Block) -> _Events:
        index, kept = block.index, block.kept
        if index is None:
            return
        if kept is not None:
            block.kept = None
            block.index = None
            yield PartStartEvent(index, OpaquePart(self._provider_name, _whole(kept, block.pieces)))
        elif block.signature:
            yield PartDeltaEvent(index, ThinkingPartDelta(None, "".join(block.signature)))
        elif block.name is not None and not block.pieces:
            block.pieces.append(True)
            yield PartStartEvent(index, ToolCallPart(block.name, "", block.identifier))


_EVENTS: dict[str, Callable[[_Stream, dict[str, Any]], _Events]] = {
    "messageStart": _Stream.message_start,
    "contentBlockStart": _Stream.block_start,
    "contentBlockDelta": _Stream.block_delta,
    "contentBlockStop": _Stream.block_stop,
    "messageStop": _Stream.message_stop,
    "metadata": _Stream.metadata,
}


# --- blocks without a class of their own -----------------------------------------------------------


def _whole(kept: dict[str, Any], pieces: list[Any]) -> dict[str, Any]:
    """The block as an answer that is not streamed has it, and as it goes back."""
    if "reasoningContent" in kept:
        return {"reasoningContent": {"redactedContent": _joined(pieces)}}
    if "toolUse" in kept:
        try:
            args = json.loads("".join(pieces)) if pieces else {}
        except (ValueError, RecursionError, TypeError):
            raise ValueError("contentBlockDelta.delta.toolUse.input: what a server tool was given is no JSON") from None
        return {"toolUse": {**kept["toolUse"], "input": args}}
    for name, start in kept.items():
        block = dict(object_of(start, f"contentBlockStart.start.{name if name in _STARTS else '[key]'}"))
        data: list[Any] = []  # the bytes of an image
        for piece in pieces:
            more = piece.get(name) if isinstance(piece, dict) else None
            if isinstance(more, list):  # the results of a tool
                block.setdefault("content", []).extend(more)
            elif isinstance(more, dict):
                _add(block, more, data)
        if len(data) > 1:
            block["source"] = {"bytes": _joined(data)}
        if name == "toolResult":
            block.setdefault("content", [])
        return {name: block}
    return {}


_STARTS = frozenset({"image", "toolResult", "toolUse"})


def _add(block: dict[str, Any], more: dict[str, Any], data: list[Any]) -> None:
    """More of an image; its bytes are gathered in *data*, for a source of another kind begins anew."""
    if "source" in more:
        source, before = more["source"], block.get("source")
        if not (isinstance(source, dict) and "bytes" in source):
            data.clear()
        else:
            if not data and isinstance(before, dict) and "bytes" in before:
                data.append(before["bytes"])
            data.append(source["bytes"])
    block.update(more)


def _joined(pieces: list[Any]) -> str:
    """Base64 of all bytes together; each piece may have an end of its own."""
    if len(pieces) == 1 and isinstance(pieces[0], str):
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece, validate=True) for piece in pieces)).decode("ascii")
    except (binascii.Error, TypeError, ValueError):
        raise ValueError("contentBlockDelta.delta: bytes that are not base64") from None
