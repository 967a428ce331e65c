"""A model made of a wire, a provider and the transport: all models that speak HTTP are this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional, Union, cast

from ..exceptions import (
    ModelResponseError,
    UserError,
)
from ..settings import merge_model_settings
from ..tools import ModelRequestParameters
from ..transport import HttpRequest
from ..transport.answers import hidden, shown
from . import check_allow_model_requests
from ._inline import inlined
from ._words import short
from .base import Model
from .profiles import ModelProfile, infer_profile
from .wire import MISREAD, CountingWire, ModelCall, Wire

if TYPE_CHECKING:
    from ..messages import ModelMessage, ModelResponse
    from ..providers.base import Provider
    from ..settings import ModelSettings
    from ..transport import HttpResponse, HttpStream
    from ..transport.download import DownloadRules
    from .streamed_response import StreamedResponse
    from .wire import WireRequest

__all__ = ["WireModel"]

_NO_SETTINGS: Mapping[str, Any] = {}


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
        downloads: what holds for URLs whose bytes have to be sent; None for public addresses and 20 MiB.

    Raises:
        UserError: the name is empty, or holds characters that no URL and no JSON can.
    """

    downloads: Optional[DownloadRules] = None

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
            shown = repr(short(model_name)) if isinstance(model_name, str) else type(model_name).__name__
            raise UserError(f"A model's name is a text such as 'gpt-4o'; got {shown}.")
        try:
            model_name.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"A model's name is a text that can be sent; {short(model_name)!r} has half a surrogate pair in it."
            ) from None
        self._model_name = model_name
        self._wire = wire
        self._provider = provider
        self._profile = profile if profile is not None else infer_profile(provider.name, model_name)
        self._quirks = quirks
        self._settings: ModelSettings = cast("ModelSettings", {**self._profile.settings, **(settings or {})})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({short(self._model_name)!r}, provider={self._provider!r})"

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
            UserError: the base URL is not one, there is no such local model, or the policy of this process
                (:func:`syncagent.policy`) forbids it.
        """
        self._provider.check_policy()
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
        except MISREAD as error:
            body = None  # it may repeat the key, and tracebacks with variables show this frame
            raise self.unreadable(error, request, answer) from (None if isinstance(error, ValueError) else error)
        response.usage.count_unanswered(answer.unanswered)
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
        from ._reading import Reading

        check_allow_model_requests()
        settings = merge_model_settings(self._settings, model_settings) or {}
        request = self._encode(messages, settings, model_request_parameters, stream=True)
        accept = (settings.get("on_incomplete") or model_request_parameters.on_incomplete) == "accept"
        with self._provider.transport.stream(request, model_request_parameters.deadline) as http:
            reading = Reading(self, request, http, accept)
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
        except MISREAD as error:
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
        from ..transport.policy import in_force  # which the first request brings in any case

        if in_force() is not None:
            provider.check_policy()
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
            provider=provider.name,
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
        """
        The error that says what a wire raised over *answer*.

        No key that the server repeats is in it, and nothing of the request.
        """
        from ..transport import HttpStream

        words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} while reading it: {error}"
        words = shown(words, hidden(request.headers, getattr(request.auth, "given", None)), request.body)
        found = ModelResponseError(
            f"The answer of {self._provider.name} {short(self._model_name)} cannot be used: {words}",
            model_name=self._model_name,
            request_id=answer.request_id,
            attempts=answer.attempts,
            elapsed=answer.elapsed,
        )
        if not isinstance(answer, HttpStream):  # the usage of a stream that has begun holds them
            found.unanswered_requests = answer.unanswered
        return found
