"""What Cohere's chat API answers and streams, read into messages and events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from ..messages import (
    ModelResponse,
    ModelResponsePart,
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
from ._frames import parse_frame
from ._words import cut_message, provider_failed, text_of, wrong, wrong_count
from .wire import ErrorInfo, ResponseInfo

if TYPE_CHECKING:
    from ..messages import FinishReason, ModelResponseStreamEvent
    from ..transport.sse import Frame

__all__ = ["decode", "decode_error", "decode_stream"]

_FINISH: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_call",
    "ERROR": "error",
    "ERROR_TOXIC": "content_filter",
    "TIMEOUT": "error",
}
_KEPT = ("tool_plan", "citations")
_BILLED = frozenset({"classifications", "input_tokens", "output_tokens", "search_units"})


def decode(body: Mapping[str, Any], provider_name: Optional[str] = None) -> ModelResponse:
    """
    The response out of a body; the model's plan and its sources are one ``OpaquePart`` at the end.

    Raises:
        ValueError: it has another shape; the text names the field.
    """
    if not isinstance(body, Mapping):
        wrong("the body", "an object", body)
    message = _object(body, "message", "")
    parts: list[ModelResponsePart] = []
    content = message.get("content")
    if isinstance(content, str):
        if content:
            parts.append(TextPart(content))
    else:
        for index, item in enumerate(_list(content, "message.content")):
            parts += _piece(item, f"message.content[{index}]", provider_name)
    for index, call in enumerate(_list(message.get("tool_calls"), "message.tool_calls")):
        parts.append(_tool_call(call, f"message.tool_calls[{index}]"))
    kept = {key: message[key] for key in _KEPT if message.get(key)}
    if kept:
        parts.append(OpaquePart(provider_name, kept))
    details: dict[str, Any] = {}
    reason = _finish(body.get("finish_reason"), details)
    if body.get("logprobs"):
        details["logprobs"] = body["logprobs"]
    return ModelResponse(
        parts,
        usage=_usage(body.get("usage"), "usage"),
        finish_reason=reason,
        provider_name=provider_name,
        provider_response_id=_identifier(body.get("id"), "id"),
        provider_details=details or None,
    )


def decode_stream(
    frames: Iterator[Frame], provider_name: Optional[str] = None
) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
    """
    The events out of a stream's frames; it is complete once ``message-end`` came.

    Raises:
        ValueError: a frame has another shape, or holds an error; the text names the field.
    """
    stream = _Stream(provider_name)
    for frame in frames:
        if not frame.data.strip():
            yield ResponseInfo()  # a pause
            continue
        if frame.data.strip() == b"[DONE]":
            break
        event = parse_frame(frame.data)
        kind = event.get("type")
        read = _EVENTS.get(kind if isinstance(kind, str) else frame.event)
        if read is not None:
            yield from read(stream, event)
        elif "type" not in event and isinstance(event.get("message"), str):
            provider_failed(event["message"])
        if stream.complete:
            break


def decode_error(status: int, body: object) -> ErrorInfo:
    """What an error body says; a body of any shape is fine."""
    if isinstance(body, Mapping):
        text = cut_message(body.get("message") or body.get("error"))
    else:
        text = cut_message(body) if isinstance(body, str) else None
    too_long = status in (400, 413, 422) and any(words in (text or "") for words in _TOO_LONG)
    return ErrorInfo(text, None, "context_too_long" if too_long else None)


_TOO_LONG = ("too many tokens", "maximum context length", "context window")


# --- whole answers ---------------------------------------------------------------------------------


def _object(holder: Mapping[str, Any], key: str, path: str) -> dict[str, Any]:
    value = holder.get(key)
    if not isinstance(value, dict):
        wrong(f"{path}{key}", "an object", value)
    return value


def _list(value: object, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        wrong(path, "a list", value)
    return value


def _identifier(value: object, path: str) -> Optional[str]:
    """An empty one is none; the run makes one."""
    return None if value is None else text_of(value, path) or None


def _piece(item: object, path: str, provider_name: Optional[str]) -> Iterator[ModelResponsePart]:
    if not isinstance(item, dict):
        wrong(path, "an object", item)
    kind = item.get("type")
    if kind == "text":
        text = text_of(item.get("text"), path + ".text")
        if text:
            yield TextPart(text)
    elif kind == "thinking":
        thinking = text_of(item.get("thinking"), path + ".thinking")
        if thinking:
            yield ThinkingPart(thinking, None, None, provider_name)


def _tool_call(call: object, path: str) -> ToolCallPart:
    if not isinstance(call, dict):
        wrong(path, "an object", call)
    function = _object(call, "function", path + ".")
    name = text_of(function.get("name"), path + ".function.name")
    if not name:
        raise ValueError(f"{path}.function.name: expected the name of a tool, got an empty text")
    args = function.get("arguments")
    return ToolCallPart(
        name,
        "" if args is None else text_of(args, path + ".function.arguments"),
        _identifier(call.get("id"), path + ".id"),
    )


def _finish(said: object, details: dict[str, Any]) -> Optional[FinishReason]:
    if not isinstance(said, str) or not said:
        return None
    details["finish_reason"] = said
    return _FINISH.get(said)


def _usage(usage: object, path: str) -> Usage:
    """All tokens are in ``tokens``, cached ones included; ``billed_units`` leave out what Cohere adds itself."""
    if usage is None:
        return Usage()
    if not isinstance(usage, dict):
        wrong(path, "an object", usage)
    tokens, billed = usage.get("tokens"), usage.get("billed_units")
    for name, value in (("tokens", tokens), ("billed_units", billed)):
        if value is not None and not isinstance(value, dict):
            wrong(f"{path}.{name}", "an object", value)
    counted, where = (tokens, "tokens") if tokens else (billed or {}, "billed_units")
    asked = _count(counted.get("input_tokens"), f"{path}.{where}.input_tokens")
    said = _count(counted.get("output_tokens"), f"{path}.{where}.output_tokens")
    details: dict[str, int] = {}
    cached = _count(usage.get("cached_tokens"), f"{path}.cached_tokens")
    if cached is not None:
        details["cached_tokens"] = cached
    for key, value in (billed or {}).items():
        count = _count(value, f"{path}.billed_units.{key if key in _BILLED else '[key]'}")
        if count is not None:
            details[f"billed_{key}"] = count
    total = None if asked is None and said is None else (asked or 0) + (said or 0)
    return Usage(0, asked, said, total, details or None)


def _count(value: object, path: str) -> Optional[int]:
    """A count; the API's types allow 12.0."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or value != value // 1:
        wrong_count(path, value)
    return int(value)


# --- streams ---------------------------------------------------------------------------------------


_Events = Iterator[Union["ModelResponseStreamEvent", ResponseInfo]]


class _Stream:
    """What has come of one stream, as far as it is needed to read what comes next."""

    def __init__(self, provider_name: Optional[str]) -> None:
        self.complete = False
        self._provider_name = provider_name
        self._parts = 0
        self._content: dict[tuple[object, type], int] = {}
        self._calls: dict[object, int] = {}
        self._plan: list[str] = []
        self._citations: list[Any] = []
        self._logprobs: list[Any] = []

    def begin(self, event: dict[str, Any]) -> _Events:
        """``message-start``."""
        yield ResponseInfo(provider_response_id=_identifier(event.get("id"), "id"))

    def content(self, event: dict[str, Any]) -> _Events:
        """``content-start`` and ``content-delta``: more text, or more thinking."""
        if event.get("logprobs"):
            self._logprobs.append(event["logprobs"])
        content = _delta(event, "content")
        text, thinking = content.get("text"), content.get("thinking")
        if text:
            yield from self._more(event, TextPart(text_of(text, "delta.message.content.text")), TextPartDelta(text))
        if thinking:
            part = ThinkingPart(text_of(thinking, "delta.message.content.thinking"), None, None, self._provider_name)
            yield from self._more(event, part, ThinkingPartDelta(thinking))

    def _more(self, event: dict[str, Any], part: Any, delta: Any) -> _Events:
        key = (_index(event), part.__class__)
        if key in self._content:
            yield PartDeltaEvent(self._content[key], delta)
        else:
            self._content[key] = self._next()
            yield PartStartEvent(self._content[key], part)

    def _next(self) -> int:
        self._parts += 1
        return self._parts - 1

    def plan(self, event: dict[str, Any]) -> _Events:
        """``tool-plan-delta``."""
        message = _object(_object(event, "delta", ""), "message", "delta.")
        self._plan.append(text_of(message.get("tool_plan"), "delta.message.tool_plan"))
        return iter(())

    def call(self, event: dict[str, Any]) -> _Events:
        """``tool-call-start``."""
        index = _index(event)
        if index in self._calls:
            raise ValueError(f"index: the tool call {str(index)[:20]} began twice")
        part = _tool_call(_delta(event, "tool_calls"), "delta.message.tool_calls")
        self._calls[index] = self._next()
        yield PartStartEvent(self._calls[index], part)

    def arguments(self, event: dict[str, Any]) -> _Events:
        """``tool-call-delta``."""
        index = _index(event)
        if index not in self._calls:
            raise ValueError(f"index: the tool call {str(index)[:20]} goes on, and has not begun")
        function = _object(_delta(event, "tool_calls"), "function", "delta.message.tool_calls.")
        more = function.get("arguments")
        if more:
            args = text_of(more, "delta.message.tool_calls.function.arguments")
            yield PartDeltaEvent(self._calls[index], ToolCallPartDelta(None, args, None))

    def citation(self, event: dict[str, Any]) -> _Events:
        """``citation-start``."""
        citations = _object(_object(event, "delta", ""), "message", "delta.").get("citations")
        self._citations += citations if isinstance(citations, list) else [citations] if citations else []
        return iter(())

    def end(self, event: dict[str, Any]) -> _Events:
        """``message-end``."""
        delta = _object(event, "delta", "")
        usage = delta.get("usage")
        if usage is not None:
            yield ResponseInfo(usage=_usage(usage, "delta.usage"))
        if delta.get("error"):
            provider_failed(delta["error"])
        kept = {key: value for key, value in zip(_KEPT, ("".join(self._plan), self._citations)) if value}
        if kept:
            yield PartStartEvent(self._next(), OpaquePart(self._provider_name, kept))
        details: dict[str, Any] = {"logprobs": self._logprobs} if self._logprobs else {}
        reason = _finish(delta.get("finish_reason"), details)
        self.complete = True
        yield ResponseInfo(finish_reason=reason, provider_details=details or None, complete=True)


def _delta(event: dict[str, Any], key: str) -> dict[str, Any]:
    return _object(_object(_object(event, "delta", ""), "message", "delta."), key, "delta.message.")


def _index(event: dict[str, Any]) -> int:
    index = event.get("index", 0)
    if index.__class__ is not int:
        wrong("index", "a number", index)
    return index  # type: ignore[no-any-return] # checked above


_EVENTS: dict[str, Callable[[_Stream, dict[str, Any]], _Events]] = {
    "message-start": _Stream.begin,
    "content-start": _Stream.content,
    "content-delta": _Stream.content,
    "tool-plan-delta": _Stream.plan,
    "tool-call-start": _Stream.call,
    "tool-call-delta": _Stream.arguments,
    "citation-start": _Stream.citation,
    "message-end": _Stream.end,
}
