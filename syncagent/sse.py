"""
The events of a run as bytes for a browser: server-sent events, as a WSGI server's response.

The format is that of the HTML standard, section 9.2 (https://html.spec.whatwg.org/multipage/server-sent-events.html).
What leaves the server is listed here field by field, so that nothing leaves it by accident.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Optional

from .exceptions import (
    AgentRunError,
    ContentFilterError,
    ContextTooLongError,
    DeadlineExceeded,
    FallbackExceptionGroup,
    IncompleteStreamError,
    ModelAPIError,
    ModelAuthError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelTimeoutError,
    RunCancelled,
    UsageLimitExceeded,
)
from .jsonable import dump_bytes, to_jsonable
from .messages import (
    AgentRunResultEvent,
    FinalResultEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    HeartbeatEvent,
    PartDeltaEvent,
    PartStartEvent,
    RetryEvent,
    RetryPromptPart,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
)

__all__ = ["HEADERS", "VERSION", "as_json", "error_as_json", "events"]

VERSION = 1
"""The version of the JSON; a field that is added does not change it."""

HEADERS: dict[str, str] = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
"""Headers of the response: no cache and no compression in between, and nginx hands each event on at once."""

_HEARTBEAT = b": heartbeat\n\n"

_log = logging.getLogger("syncagent.sse")


class events:
    """
    Turn run events into the bytes of server-sent events; see ``docs/events.md`` for the JSON.

    Heartbeats become comments. An error of the run becomes an ``error`` event and the end; its class is logged.
    A WSGI server calls :meth:`close` when the response is over or the browser left (PEP 3333): that closes the run.

    Args:
        iterator: of run events, mostly what ``Agent.run_stream_events`` returns.
        on_error: called with the error before its event is handed out, to report it; what it raises passes through.
        first_id: the id of the first event.
    """

    def __init__(
        self,
        iterator: Iterable[Any],
        *,
        on_error: Optional[Callable[[Exception], object]] = None,
        first_id: int = 1,
    ) -> None:
        self._source = iterator
        self._events = iter(iterator)
        self._on_error = on_error
        self._id = first_id
        self._over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """
        The next event's bytes.

        Raises:
            StopIteration: the run is over.
            TypeError: the iterator gave something else than run events.
        """
        while not self._over:
            try:
                event = next(self._events)
            except StopIteration:
                self._over = True
                break
            except Exception as error:
                self._over = True
                _log.error("A streamed run failed with %s.", type(error).__name__)
                if self._on_error is not None:
                    self._on_error(error)
                return self._bytes(error_as_json(error))
            if isinstance(event, HeartbeatEvent):
                return _HEARTBEAT
            data = as_json(event)
            if data is not None:
                return self._bytes(data)
        raise StopIteration

    def close(self) -> None:
        """Close the run, from any thread and more than once."""
        self._over = True
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _bytes(self, data: dict[str, Any]) -> bytes:
        number = self._id
        self._id += 1
        text = dump_bytes({"v": VERSION, "id": number, **data})
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, data["event"].encode(), text)


def as_json(event: Any) -> Optional[dict[str, Any]]:
    """
    What of a run event is fit for a browser, without ``v`` and ``id``; None where nothing is.

    Signatures, provider details, metadata and what the model is told about its mistakes stay on the server.

    Raises:
        TypeError: it is no run event.
    """
    write = _WRITERS.get(type(event))
    if write is None:
        raise TypeError(f"expected a run event, as Agent.run_stream_events gives; got {type(event).__name__}.")
    fields = write(event)
    return None if fields is None else {"event": event.event_kind, **fields}


def error_as_json(error: Exception) -> dict[str, Any]:
    """
    What of an error is fit for a browser, without ``v`` and ``id``: never its own text.

    ``type`` is the class's name, or ``Error`` where it is none of this package; ``message`` is a fixed sentence.
    """
    kind = type(error).__name__ if isinstance(error, AgentRunError) else "Error"
    message = next((text for cls, text in _MESSAGES if isinstance(error, cls)), "Something went wrong.")
    return {
        "event": "error",
        "type": kind,
        "message": message,
        "retryable": bool(getattr(error, "retryable", False)) and isinstance(error, ModelAPIError),
        "retry_after": getattr(error, "retry_after", None) if isinstance(error, ModelAPIError) else None,
    }


_BUSY = "The model is busy. Please try again in a moment."
_UNUSABLE = "The model cannot be used at the moment."
_MESSAGES: tuple[tuple[type[Exception], str], ...] = (
    (RunCancelled, "The answer was stopped."),
    (DeadlineExceeded, "The answer took too long."),
    (UsageLimitExceeded, "The answer reached a limit."),
    (ContentFilterError, "The answer was withheld by a content filter."),
    (ContextTooLongError, "The conversation is too long for the model."),
    (ModelRateLimitError, _BUSY),
    (ModelOverloadedError, _BUSY),
    (ModelTimeoutError, "The model did not answer in time."),
    (ModelAuthError, _UNUSABLE),
    (ModelQuotaError, _UNUSABLE),
    (IncompleteStreamError, "The answer broke off."),
    (ModelAPIError, "The model could not answer."),
    (FallbackExceptionGroup, "The model could not answer."),
    (AgentRunError, "The answer could not be finished."),
)


def _part_start(event: PartStartEvent) -> dict[str, Any]:
    part = event.part
    fields: dict[str, Any] = {"part_kind": part.part_kind}
    if isinstance(part, (TextPart, ThinkingPart)):
        fields["content"] = part.content
    elif isinstance(part, ToolCallPart):
        fields.update(tool_name=part.tool_name, args=part.args_as_json_str(), tool_call_id=part.tool_call_id)
    return {"index": event.index, "part": fields}


def _part_delta(event: PartDeltaEvent) -> Optional[dict[str, Any]]:
    delta = event.delta
    fields: dict[str, Any] = {"part_delta_kind": delta.part_delta_kind}
    if isinstance(delta, TextPartDelta):
        fields["content_delta"] = delta.content_delta
    elif isinstance(delta, ThinkingPartDelta):
        if not delta.content_delta:
            return None  # a signature
        fields["content_delta"] = delta.content_delta
    else:
        fields["tool_name_delta"] = delta.tool_name_delta
        fields["args_delta"] = delta.args_delta
        fields["tool_call_id"] = delta.tool_call_id
    return {"index": event.index, "delta": fields}


def _final_result(event: FinalResultEvent) -> dict[str, Any]:
    return {"tool_name": event.tool_name, "tool_call_id": event.tool_call_id}


def _tool_call(event: FunctionToolCallEvent) -> dict[str, Any]:
    part = event.part
    return {"tool_call_id": event.call_id, "tool_name": part.tool_name, "args": part.args_as_json_str()}


def _tool_result(event: FunctionToolResultEvent) -> dict[str, Any]:
    result = event.result
    refused = isinstance(result, RetryPromptPart)
    return {
        "tool_call_id": event.tool_call_id,
        "tool_name": result.tool_name,
        "outcome": "refused" if refused else "returned",
        "content": None if refused else _jsonable(result.content),
    }


def _retry(event: RetryEvent) -> dict[str, Any]:
    return {"tool_name": event.part.tool_name, "tool_call_id": event.part.tool_call_id}


def _run_result(event: AgentRunResultEvent) -> dict[str, Any]:
    result = event.result
    usage = result.usage()
    return {
        "data": _data(result),
        "usage": {
            "requests": usage.requests,
            "request_tokens": usage.request_tokens,
            "response_tokens": usage.response_tokens,
            "total_tokens": usage.total_tokens,
        },
    }


def _jsonable(value: Any) -> Any:
    """*value* for JSON; None where it has no form there, since the event says enough without it."""
    try:
        return to_jsonable(value)
    except TypeError:
        return None


def _data(result: Any) -> Any:
    """A result's data, by the agent's converter where there is one."""
    try:
        return json.loads(result.to_json())
    except TypeError:
        return None


_WRITERS: Mapping[type, Callable[[Any], Optional[dict[str, Any]]]] = {
    PartStartEvent: _part_start,
    PartDeltaEvent: _part_delta,
    FinalResultEvent: _final_result,
    FunctionToolCallEvent: _tool_call,
    FunctionToolResultEvent: _tool_result,
    RetryEvent: _retry,
    HeartbeatEvent: lambda event: None,
    AgentRunResultEvent: _run_result,
}
