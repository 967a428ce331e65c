"""A model made of a wire, a provider and the transport: all models that speak HTTP are this one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional, Union, cast

from ..exceptions import (
    DeadlineExceeded,
    IncompleteStreamError,
    ModelAPIError,
    ModelConnectionError,
    ModelResponseError,
    ModelTimeoutError,
    RunCancelled,
    UserError,
)
from ..messages import PartStartEvent
from ..settings import merge_model_settings
from ..tools import ModelRequestParameters
from ..transport import Frame, HttpRequest, sse_frames
from ..transport.answers import parse_json, redact
from ..transport.download import DownloadRules
from . import check_allow_model_requests
from ._inline import inlined
from .base import Model, StreamedResponse
from .profiles import ModelProfile, infer_profile
from .wire import CountingWire, ModelCall, ResponseInfo, Wire

if TYPE_CHECKING:
    from ..messages import ModelMessage, ModelResponse, ModelResponseStreamEvent
    from ..providers.base import Provider
    from ..settings import ModelSettings
    from ..transport import HttpResponse, HttpStream
    from .wire import WireRequest

__all__ = ["WireModel"]

_NO_SETTINGS: Mapping[str, Any] = {}
_MISREAD = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)
"""What a wire may raise over a body of another shape: ValueError by its contract, the others by a slip."""


class WireModel(Model):
    """
    Answers requests over HTTP.

    Args:
        model_name: the provider's name of the model.
        wire: how its API is spoken.
        provider: where it is and how to log in.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.

    Attributes:
        downloads: what holds for URLs whose bytes have to be sent.

    Raises:
        UserError: the name is empty.
    """

    downloads: DownloadRules = DownloadRules()

    def __init__(
        self,
        model_name: str,
        wire: Wire,
        provider: Provider,
        *,
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
        quirks: Mapping[str, Any] = _NO_SETTINGS,
    ) -> None:
        if not isinstance(model_name, str) or not model_name.strip():
            raise UserError(f"A model's name is a text such as 'gpt-4o'; got {model_name!r}.")
        self._model_name = model_name
        self._wire = wire
        self._provider = provider
        self._profile = profile if profile is not None else infer_profile(provider.name, model_name)
        self._quirks = quirks
        self._settings: ModelSettings = cast("ModelSettings", {**self._profile.settings, **(settings or {})})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model_name!r}, provider={self._provider!r})"

    @property
    def model_name(self) -> str:
        """The provider's name of the model."""
        return self._model_name

    @property
    def system(self) -> str:
        """The provider's name."""
        return self._provider.name

    @property
    def base_url(self) -> Optional[str]:
        """The address of the provider's API."""
        return self._provider.base_url

    @property
    def wire(self) -> Wire:
        """How the provider's API is spoken."""
        return self._wire

    @property
    def provider(self) -> Provider:
        """Where it is and how to log in."""
        return self._provider

    @property
    def profile(self) -> ModelProfile:
        """What the model can do."""
        return self._profile

    def check(self) -> None:
        """
        Raise what a request would raise for want of a key.

        Raises:
            MissingKeyError: there is none, and the provider needs one.
            UserError: the base URL is not one, or there is no such local model.
        """
        self._provider.check(self._model_name)

    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """
        Answer the messages.

        Raises:
            ModelAPIError: the provider did not answer, or what came cannot be read.
            DeadlineExceeded, RunCancelled: the run has to stop.
            UserError: a key is missing, or the messages hold what the API has no place for.
        """
        check_allow_model_requests()
        settings = merge_model_settings(self._settings, model_settings) or {}
        request = self._encode(messages, settings, model_request_parameters, stream=False)
        answer = self._provider.transport.send(request, model_request_parameters.deadline)
        body = answer.json()
        try:
            response = self._wire.decode(body)
        except _MISREAD as error:
            raise self.unreadable(error, request, answer) from (None if isinstance(error, ValueError) else error)
        return self._finished(response, answer.attempts)

    @contextmanager
    def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> Iterator[StreamedResponse]:
        """
        Answer the messages piece by piece; leaving the ``with`` before the end closes the socket at once.

        Raises, beside what :meth:`request` does, while it is iterated over:
            IncompleteStreamError: it ended without the provider's end mark; ``.partial`` holds what came. With
                ``on_incomplete="accept"`` the response has ``provider_details["incomplete"]`` instead.
        """
        check_allow_model_requests()
        settings = merge_model_settings(self._settings, model_settings) or {}
        request = self._encode(messages, settings, model_request_parameters, stream=True)
        accept = (settings.get("on_incomplete") or model_request_parameters.on_incomplete) == "accept"
        with self._provider.transport.stream(request, model_request_parameters.deadline) as http:
            reading = _Reading(self, request, http, accept)
            yield reading.response

    def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings] = None,
        model_request_parameters: Optional[ModelRequestParameters] = None,
    ) -> int:
        """
        Ask the provider how many tokens a request with these messages would send; nothing is generated.

        Raises:
            NotImplementedError: the provider cannot be asked for that.
            ModelAPIError, DeadlineExceeded, RunCancelled, UserError: as :meth:`request`.
        """
        wire = self._wire
        if not isinstance(wire, CountingWire):
            return super().count_tokens(messages, model_settings, model_request_parameters)
        check_allow_model_requests()
        parameters = model_request_parameters or ModelRequestParameters()
        settings = merge_model_settings(self._settings, model_settings) or {}
        request = self._encode(messages, settings, parameters, stream=False, encode=wire.encode_count)
        answer = self._provider.transport.send(request, parameters.deadline)
        body = answer.json()
        try:
            return wire.decode_count(body)
        except _MISREAD as error:
            raise self.unreadable(error, request, answer) from (None if isinstance(error, ValueError) else error)

    def _encode(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings,
        parameters: ModelRequestParameters,
        *,
        stream: bool,
        encode: Optional[Callable[[ModelCall], WireRequest]] = None,
    ) -> HttpRequest:
        provider = self._provider
        target = provider.target(self._model_name, parameters.deadline)
        messages = inlined(messages, self._wire.inline, self.downloads, parameters.deadline, self._model_name)
        wired = (encode or self._wire.encode)(
            ModelCall(
                target.model_name,
                messages,
                settings,
                parameters,
                self._profile,
                stream,
                provider.name,
                self._quirks,
            )
        )
        url = target.base_url + wired.path
        if wired.query or target.query:
            from urllib.parse import urlencode

            url += "?" + urlencode({**target.query, **wired.query})
        headers = {"Content-Type": "application/json", **wired.headers}
        extra = settings.get("extra_headers")
        if extra:
            headers.update(extra)
        return HttpRequest(
            wired.method,
            url,
            headers=headers,
            body=wired.body,
            auth=target.auth,
            model_name=self._model_name,
            timeout=settings.get("timeout"),
            retry_policy=parameters.retry_policy or settings.get("retry_policy"),
            idempotency_key=parameters.idempotency_key,
            decode_error=self._wire.decode_error,
        )

    def _finished(self, response: ModelResponse, attempts: int) -> ModelResponse:
        response.provider_name = self._provider.name
        if response.model_name is None:
            response.model_name = self._model_name
        if attempts > 1:
            response.provider_details = {**(response.provider_details or {}), "attempts": attempts}
        return response

    def unreadable(
        self, error: Exception, request: HttpRequest, answer: Union[HttpResponse, HttpStream]
    ) -> ModelResponseError:
        """The error that says what a wire raised over *answer*; a key that the server repeats is not in it."""
        words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} while reading it: {error}"
        given = getattr(request.auth, "given", None)
        if given:
            words = redact(words, given)
        return ModelResponseError(
            f"The answer of {self._provider.name} {self._model_name} cannot be used: {words}",
            model_name=self._model_name,
            request_id=answer.request_id,
            attempts=answer.attempts,
            elapsed=answer.elapsed,
        )


class _Reading:
    """One stream while it is read."""

    def __init__(self, model: WireModel, request: HttpRequest, http: HttpStream, accept: bool) -> None:
        self._model = model
        self._request = request
        self._http = http
        self._accept = accept
        self.response = StreamedResponse(self._items(), model_name=model.model_name, provider_name=model.system)
        self.response.pace = http

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
                error.partial = response.get()
                raise
        except _MISREAD as error:
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
            f"The stream of {self._model.system} {self._model.model_name} ended before its end mark came. "
            ".partial holds what came; on_incomplete='accept' takes such an answer.",
            model_name=self._model.model_name,
            partial=partial,
            retryable=True,
            request_id=self._http.request_id,
            attempts=self._http.attempts,
            elapsed=self._http.elapsed,
        )


_END_PATIENCE = 0.25  # seconds that the end of a body may come after its end mark
_PAUSE = Frame("pause", b"")
_AWS_EVENTS = "application/vnd.amazon.eventstream"
# Servers that name no type, or a simple one, are believed: what is no event gives an incomplete stream.
_EVENTS = frozenset(
    {"text/event-stream", _AWS_EVENTS, "", "text/plain", "application/octet-stream", "binary/octet-stream"}
)
