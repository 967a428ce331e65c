"""What OpenAI-compatible chat servers stream, read into events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
from ._chat_answer import (
    FINISH,
    NO_QUIRKS,
    arguments_of,
    first_choice,
    identifier_of,
    kept_fields,
    pieces,
    raise_error,
    usage_of,
)
from ._frames import parse_frame
from ._words import text_of, wrong
from .wire import ResponseInfo

if TYPE_CHECKING:
    from ..messages import ModelResponseStreamEvent
    from ..transport.sse import Frame

__all__ = ["decode_stream"]


def decode_stream(
    frames: Iterator[Frame], provider_name: Optional[str] = None, quirks: Mapping[str, Any] = NO_QUIRKS
) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
    """
    The events out of a stream's frames, until its end mark ``[DONE]`` or the end of the frames.

    A stream is complete once a choice had a finish reason, or the end mark came. Each kind of part comes once:
    text that goes on after a tool call belongs to the text before it, as in an answer that comes whole.

    Raises:
        ValueError: a frame has another shape, or holds an error; the text names the field.
    """
    stream = _Stream(provider_name, quirks)
    for frame in frames:
        data = frame.data
        if data[:1] != b"{":
            if data.strip() == b"[DONE]":
                stream.complete = True
                break
            if not data.strip():
                yield ResponseInfo()  # a pause
                continue
        chunk = parse_frame(data)
        if chunk.get("error") or frame.event == "error":
            # A last word on usage or the finish reason may stand beside the error.
            yield from stream.read({key: value for key, value in chunk.items() if key != "error"})
            raise_error(chunk)
        yield from stream.read(chunk)
    yield from stream.end()


class _Call:
    """
    A tool call whose pieces come; announced once it has a name and arguments.

    Attributes:
        length: characters of the name so far.
        texts: arguments as text.
        fields: arguments as an object; None where they come as text.
    """

    __slots__ = ("announced", "fields", "id", "index", "length", "names", "texts")

    def __init__(self, index: int) -> None:
        self.index = index
        self.announced = False
        self.names: list[str] = []
        self.length = 0
        self.texts: list[str] = []
        self.fields: Optional[dict[str, Any]] = None
        self.id: Optional[str] = None

    def name(self) -> str:
        """The name so far; joined once, for it may come in any number of pieces."""
        if len(self.names) > 1:
            self.names[:] = ["".join(self.names)]
        return self.names[0] if self.names else ""

    def add(self, name: str, args: Union[str, dict[str, Any], None]) -> None:
        """More of it, before it is announced."""
        if name:
            self.names.append(name)
            self.length += len(name)
        if isinstance(args, str):
            self.texts.append(args)
        elif args is not None:
            self.fields = {} if self.fields is None else self.fields
            self.fields.update(args)

    def args(self) -> Union[str, dict[str, Any]]:
        """The arguments so far."""
        if self.fields is not None:
            return self.fields
        return self.texts[0] if len(self.texts) == 1 else "".join(self.texts)


class _Stream:
    """What has come of one stream, as far as it is needed to read what comes next."""

    def __init__(self, provider_name: Optional[str], quirks: Mapping[str, Any]) -> None:
        self.complete = False
        self._provider_name = provider_name
        self._keep = kept_fields(quirks)
        self._parts = 0
        self._text: Optional[int] = None
        self._thinking: Optional[int] = None
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._kept: dict[str, _Kept] = {}
        self._refusal: list[str] = []
        self._refused = 0  # pieces of it that were told
        self._logprobs: dict[str, list[Any]] = {}
        self._known: tuple[Any, Any] = (None, None)

    def read(self, chunk: dict[str, Any]) -> Iterable[Union[ModelResponseStreamEvent, ResponseInfo]]:
        """The events of one chunk."""
        events: list[Union[ModelResponseStreamEvent, ResponseInfo]] = []
        if self._known != (known := (chunk.get("id"), chunk.get("model"))):
            self._known = known
            name, identifier = (value if value and isinstance(value, str) else None for value in (known[1], known[0]))
            events.append(ResponseInfo(model_name=name, provider_response_id=identifier))
        choice = first_choice(chunk)
        if choice is not None:
            if choice.get("error"):
                raise_error(choice)
            delta = choice.get("delta")
            if delta:
                self._delta(delta, events)
            elif "message" in choice:
                raise ValueError("choices[0].delta: expected an object, got a whole message")
            if choice.get("logprobs"):
                self._more_logprobs(choice["logprobs"])
            said = choice.get("finish_reason")
            if said and isinstance(said, str):
                self._finish(said, events)
        usage = chunk.get("usage")
        if not usage and isinstance(chunk.get("x_groq"), dict):
            usage = chunk["x_groq"].get("usage")
        if usage:
            events.append(ResponseInfo(usage=usage_of(usage)))
        return events

    def _delta(self, delta: Any, events: list[Any]) -> None:
        if not isinstance(delta, dict):
            wrong("choices[0].delta", "an object", delta)
        thinking = delta.get("reasoning_content") or delta.get("reasoning")
        if thinking and isinstance(thinking, str):
            self._more_thinking(thinking, events)
        content = delta.get("content")
        if content:
            if content.__class__ is str:
                self._more_text(content, events)
            else:
                for part in pieces(content, "choices[0].delta.content", None):
                    if isinstance(part, TextPart):
                        self._more_text(part.content, events)
                    else:
                        self._more_thinking(part.content, events)  # type: ignore[union-attr] # the other kind
        calls = delta.get("tool_calls")
        if calls:
            self._more_calls(calls, events)
        if delta.get("refusal"):
            self._refusal.append(text_of(delta["refusal"], "choices[0].delta.refusal"))
        for key in self._keep:
            if delta.get(key):
                kept = self._kept.get(key)
                if kept is None:
                    kept = self._kept[key] = _Kept()
                kept.add(delta[key])

    def _more_text(self, text: str, events: list[Any]) -> None:
        if self._text is None:
            self._text = self._next()
            events.append(PartStartEvent(self._text, TextPart(text)))
        else:
            events.append(PartDeltaEvent(self._text, TextPartDelta(text)))

    def _more_thinking(self, text: str, events: list[Any]) -> None:
        if self._thinking is None:
            self._thinking = self._next()
            events.append(PartStartEvent(self._thinking, ThinkingPart(text, None, None, self._provider_name)))
        else:
            events.append(PartDeltaEvent(self._thinking, ThinkingPartDelta(text)))

    def _next(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _more_calls(self, calls: object, events: list[Any]) -> None:
        if not isinstance(calls, list):
            wrong("choices[0].delta.tool_calls", "a list", calls)
        for position, piece in enumerate(calls):
            path = f"choices[0].delta.tool_calls[{position}]"
            if not isinstance(piece, dict):
                wrong(path, "an object", piece)
            function = piece.get("function") or {}
            if not isinstance(function, dict):
                wrong(path + ".function", "an object", function)
            call = self._call(piece, function, path, position)
            name = text_of(function.get("name") or "", path + ".function.name")
            if name and len(name) == call.length and name == call.name():
                name = ""  # some servers say the whole name with every piece
            args = function.get("arguments")
            if args is not None:
                args = arguments_of(args, path)
            self._add(call, name, args, events)

    def _call(self, piece: dict[str, Any], function: dict[str, Any], path: str, position: int) -> _Call:
        """The call that a piece belongs to. Servers that give no index, or always the same, give a new id."""
        index = piece.get("index")
        if index is None:
            index = position
        elif index.__class__ is not int:
            wrong(path + ".index", "a number", index)
        identifier = identifier_of(piece.get("id"), path)
        call = self._by_index.get(index)
        if call is not None and identifier and call.id and identifier != call.id:
            if not function.get("name"):
                raise ValueError(f"{path}.id: expected the same as before, or a call with a name, got another one")
            call = None
        if call is None:
            call = self._by_index[index] = _Call(self._next())
            self._calls.append(call)
        call.id = call.id or identifier
        return call

    def _add(self, call: _Call, name: str, args: Union[str, dict[str, Any], None], events: list[Any]) -> None:
        if args is not None and (call.texts if isinstance(args, dict) else call.fields is not None):
            raise ValueError("choices[0].delta.tool_calls: the arguments of a call come as text and as an object")
        if call.announced:
            if name or args:
                events.append(PartDeltaEvent(call.index, ToolCallPartDelta(name or None, args, call.id)))
            if name:
                call.add(name, None)
            return
        call.add(name, args)
        if call.length and (call.texts or call.fields is not None):
            call.announced = True
            events.append(PartStartEvent(call.index, ToolCallPart(call.name(), call.args(), call.id)))

    def _more_logprobs(self, logprobs: object) -> None:
        if isinstance(logprobs, dict):
            for key, items in logprobs.items():
                if items and isinstance(items, list):
                    self._logprobs.setdefault(key, []).extend(items)

    def _finish(self, said: str, events: list[Any]) -> None:
        details: dict[str, Any] = {"finish_reason": said}
        if self._logprobs:
            details["logprobs"] = self._logprobs
        reason = FINISH.get(said)
        if self._refusal:
            if not self.complete:
                details.update(self._told_refusal())
            if self._text is None and not self._calls:
                reason = "content_filter"
        self.complete = True
        events.append(ResponseInfo(finish_reason=reason, provider_details=details, complete=True))

    def _told_refusal(self) -> dict[str, Any]:
        self._refused = len(self._refusal)
        return {"refusal": "".join(self._refusal)}

    def end(self) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
        """What can be said only now: calls without arguments, kept fields, and that it was whole."""
        if self.complete:
            for call in self._calls:
                if not call.length:
                    raise ValueError("choices[0].delta.tool_calls: a tool call came without a name")
                if not call.announced:
                    yield PartStartEvent(call.index, ToolCallPart(call.name(), "", call.id))
        if self._kept:
            kept = {key: items.whole() for key, items in self._kept.items()}
            yield PartStartEvent(self._next(), OpaquePart(self._provider_name, kept))
        # Most servers say a finish reason once; what a model goes on to decline after it is told here.
        more = self._told_refusal() if self.complete and self._refused < len(self._refusal) else None
        yield ResponseInfo(provider_details=more, complete=self.complete)


class _Kept:
    """The items of a field that is kept: pieces of one (the same type and index, side by side) become that item."""

    __slots__ = ("_items", "_texts")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._texts: dict[str, list[str]] = {}  # of the last item, where they go on

    def add(self, more: object) -> None:
        for item in more if isinstance(more, list) else [more]:
            last = self._items[-1] if self._items else None
            if (
                isinstance(item, dict)
                and isinstance(last, dict)
                and (last.get("type"), last.get("index", -1)) == (item.get("type"), item.get("index"))
            ):
                self._go_on(last, item)
            else:
                self._join()
                self._items.append(dict(item) if isinstance(item, dict) else item)

    def _go_on(self, last: dict[str, Any], item: dict[str, Any]) -> None:
        for key, value in item.items():
            if key in ("text", "summary", "data") and isinstance(value, str) and isinstance(last.get(key), str):
                self._texts.setdefault(key, [last[key]]).append(value)
            elif value is not None:
                last[key] = value
                self._texts.pop(key, None)

    def _join(self) -> None:
        if self._texts:
            self._items[-1].update((key, "".join(texts)) for key, texts in self._texts.items())
            self._texts = {}

    def whole(self) -> list[Any]:
        """All items."""
        self._join()
        return self._items
