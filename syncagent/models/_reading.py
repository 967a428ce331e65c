"""A stream while it is read: its frames through the wire, its end, and what is kept where it breaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Union

from ..exceptions import (
    DeadlineExceeded,
    IncompleteStreamError,
    ModelAPIError,
    ModelConnectionError,
    ModelTimeoutError,
    RunCancelled,
)
from ..messages import PartStartEvent
from ..transport import Frame, HttpRequest, sse_frames
from ..transport.answers import parse_json
from ._words import short
from .streamed_response import StreamedResponse
from .wire import MISREAD, ResponseInfo

if TYPE_CHECKING:
    from ..messages import ModelResponseStreamEvent
    from ..transport import HttpStream
    from .wire_model import WireModel

__all__ = ["Reading"]

_END_PATIENCE = 0.25  # seconds that the end of a body may come after its end mark
_PAUSE = Frame("pause", b"")
_AWS_EVENTS = "application/vnd.amazon.eventstream"
# Servers that name no type, or a simple one, are believed: what is no event gives an incomplete stream.
_EVENTS = frozenset(
    {"text/event-stream", _AWS_EVENTS, "", "text/plain", "application/octet-stream", "binary/octet-stream"}
)


class Reading:
    """One stream while it is read."""

    def __init__(self, model: WireModel, request: HttpRequest, http: HttpStream, accept: bool) -> None:
        self._model = model
        self._request = request
        self._http = http
        self._accept = accept
        self.response = StreamedResponse(self._items(), model_name=model.model_name, provider_name=model.system)
        self.response.pace = http
        if http.unanswered:
            self.response.count_unanswered(http.unanswered)

    def _items(self) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
        http, response = self._http, self.response
        if http.attempts > 1:
            yield ResponseInfo(provider_details={"attempts": http.attempts})
        try:
            yield from self._decoded()
        except ModelAPIError as error:
            # What breaks after the last word takes nothing away; the text before a cut is there for who wants it.
            broken = isinstance(error, (ModelConnectionError, ModelTimeoutError))
            if not (broken and (response.info.complete or self._accept)):
                if error.elapsed is None:  # what reads events knows no requests
                    error.attempts, error.elapsed, error.request_id = http.attempts, http.elapsed, http.request_id
                error.partial = response.get()
                raise
        except MISREAD as error:
            unreadable = self._model.unreadable(error, self._request, http)
            unreadable.partial = response.get()
            raise unreadable from (None if isinstance(error, ValueError) else error)
        if not response.info.complete:
            self._incomplete()
            yield ResponseInfo(provider_details={"incomplete": True})

    def _decoded(self) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
        http, model = self._http, self._model
        kind = http.content_type
        if kind == "application/json" or kind.endswith("+json"):
            yield from self._whole()
        elif kind in _EVENTS:
            read = sse_frames
            if kind == _AWS_EVENTS:
                from ..transport.eventstream import eventstream_frames

                read = eventstream_frames
            yield from model.wire.decode_stream(read(http, model_name=model.model_name, pause=_PAUSE))
            if self.response.info.complete:
                self._read_end()
        else:
            raise ValueError(f"expected a stream of events, got the content type {kind[:80]}")

    def _read_end(self) -> None:
        """The body's end mostly came with the end mark; once it is read, the connection can be used again."""
        self._http.until = time.monotonic() + _END_PATIENCE
        try:
            next(self._http, None)
        except (ModelAPIError, DeadlineExceeded, RunCancelled):
            self._http.close()  # the answer is whole; what follows it is nobody's loss

    def _whole(self) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
        """Some servers answer in one piece although a stream was asked for, above all with an error."""
        answer = self._model.wire.decode(parse_json(b"".join(self._http)))
        for index, part in enumerate(answer.parts):
            yield PartStartEvent(index, part)
        yield ResponseInfo(
            usage=answer.usage,
            finish_reason=answer.finish_reason,
            provider_response_id=answer.provider_response_id,
            model_name=answer.model_name,
            provider_details=answer.provider_details,
            complete=True,
        )

    def _incomplete(self) -> None:
        if self._accept:
            return
        partial = self.response.get()
        partial.provider_details = {**(partial.provider_details or {}), "incomplete": True}
        raise IncompleteStreamError(
            f"The stream of {self._model.system} {short(self._model.model_name)} ended before its end mark came. "
            ".partial holds what came; on_incomplete='accept' takes such an answer.",
            model_name=self._model.model_name,
            partial=partial,
            retryable=True,
            request_id=self._http.request_id,
            attempts=self._http.attempts,
            elapsed=self._http.elapsed,
        )
