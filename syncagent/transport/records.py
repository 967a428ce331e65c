"""What goes into the transport and what comes out of it: requests, answers, and what a wire says of an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Optional, Protocol, Union

from .answers import excerpt, hidden, parse_json, request_id, shown
from .retry import RetryPolicy

__all__ = ["Auth", "DecodeError", "ErrorInfo", "HttpRequest", "HttpResponse"]

Auth = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
"""
Called with method, URL, headers and body before every try; gives the headers that log in.

Where it has an attribute ``renewable`` that is true, it is asked once more after a 401, whatever the retry policy.
"""


class ErrorInfo(Protocol):
    """What a wire reads out of an error body."""

    @property
    def message(self) -> Optional[str]:
        """The provider's words; None where it says nothing."""

    @property
    def code(self) -> Optional[str]:
        """The provider's code, such as ``insufficient_quota``."""

    @property
    def kind(self) -> Optional[str]:
        """
        None to go by the status, or one of ``auth``, ``not_found``, ``rate_limit``, ``quota``, ``overloaded``,
        ``context_too_long``, and ``response`` for an answer that cannot be used and is not asked for again.
        """

    # An attribute ``retry_after``, seconds that the body asks to wait, is read where there is one.


DecodeError = Callable[[int, object], ErrorInfo]
"""Called with the status and the body, parsed where it is JSON, else text."""


class HttpRequest:
    """
    One logical request, however many tries it takes.

    Args:
        method: ``POST``, ``GET`` ...
        url: absolute, ``http`` or ``https``, without credentials in it.
        headers: without auth; they are the same for every try.
        body: the whole body; None for none.
        auth: asked for every try, so that keys may rotate and signatures stay fresh.
        model_name: for errors.
        timeout: seconds for each socket operation, or a pair (connect, read); None for 5 s to connect and 600 s
            to read, 60 s where the answer is streamed.
        retry_policy: instead of the transport's.
        idempotency_key: the header ``Idempotency-Key`` of all tries; one is made for methods other than GET and HEAD.
        decode_error: reads a provider's error body.
        max_body: bytes that an answer may have after decompression; None for 32 MiB, 1 GiB where
            it is streamed and no JSON.
        provider: the name of the provider that is asked; None for what is no provider's, such as a download.
    """

    __slots__ = (
        "auth",
        "body",
        "decode_error",
        "headers",
        "idempotency_key",
        "max_body",
        "method",
        "model_name",
        "provider",
        "retry_policy",
        "timeout",
        "url",
    )

    def __init__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Optional[bytes] = None,
        auth: Optional[Auth] = None,
        model_name: str = "",
        timeout: Union[float, tuple[float, float], None] = None,
        retry_policy: Optional[RetryPolicy] = None,
        idempotency_key: Optional[str] = None,
        decode_error: Optional[DecodeError] = None,
        max_body: Optional[int] = None,
        provider: Optional[str] = None,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.auth = auth
        self.model_name = model_name
        self.timeout = timeout
        self.retry_policy = retry_policy
        self.idempotency_key = idempotency_key
        self.decode_error = decode_error
        self.max_body = max_body
        self.provider = provider

    def __repr__(self) -> str:
        size = 0 if self.body is None else len(self.body)
        return f"<HttpRequest {self.method} {self.url.partition('?')[0]}, {size} bytes>"


class HttpResponse:
    """
    An answer with a 2xx status, read to its end.

    Attributes:
        status: the HTTP status.
        headers: look-ups ignore case.
        body: decompressed.
        attempts: how many requests it took.
        elapsed: seconds from the first try to the end of the answer.
        unanswered: tries before it that went out and got no complete answer, so that they may have been billed.
    """

    __slots__ = ("_asked", "_auth", "_model_name", "attempts", "body", "elapsed", "headers", "status", "unanswered")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        attempts: int,
        elapsed: float,
        model_name: str = "",
        auth: Optional[Mapping[str, str]] = None,
        unanswered: int = 0,
        asked: Optional[HttpRequest] = None,
    ) -> None:
        self._asked = asked
        self.status = status
        self.headers = headers
        self.body = body
        self.attempts = attempts
        self.elapsed = elapsed
        self._model_name = model_name
        self._auth = auth
        self.unanswered = unanswered

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}, {len(self.body)} bytes>"

    @property
    def request_id(self) -> Optional[str]:
        """The provider's id of the request, for its support."""
        return request_id(self.headers, self._auth or {})

    def json(self) -> Any:
        """
        The body as JSON, read as UTF-8 whatever the headers say.

        Raises:
            ModelResponseError: the content type is not JSON's, or the body is not JSON; NaN, numbers too long and
                nesting too deep count as such. The text shows the first 200 characters.
        """
        problem = None
        kind = self.headers.get("content-type")
        if kind is not None and kind != "application/json":
            problem = _foreign_type(kind)
        if problem is None:
            try:
                return parse_json(self.body)
            except (ValueError, RecursionError) as error:
                problem = _why(error, self.body)
        raise self._unreadable(problem)

    def shown(self, words: str) -> str:
        """What a wire says of this answer, without keys and without what was asked."""
        return shown(words, *self._private())

    def _private(self) -> tuple[Mapping[str, str], Optional[bytes]]:
        asked = self._asked
        return hidden({} if asked is None else asked.headers, self._auth), None if asked is None else asked.body

    def _unreadable(self, problem: str) -> Exception:
        from ..exceptions import ModelResponseError

        error = ModelResponseError(
            f"Expected a JSON answer, got {problem}: {excerpt(self.body, *self._private())}",
            model_name=self._model_name,
            request_id=self.request_id,
            attempts=self.attempts,
            elapsed=self.elapsed,
        )
        error.unanswered_requests = self.unanswered
        return error


def _foreign_type(value: str) -> Optional[str]:
    kind = value.partition(";")[0].strip().lower()
    if kind in _JSON_TYPES or kind.endswith("+json"):
        return None
    return f"the unexpected content type {kind[:80]}"


# Servers that do not set a type, and simple ones that say text, are believed where the body parses.
_JSON_TYPES = frozenset({"", "application/json", "text/json", "text/plain", "application/octet-stream"})


def _why(error: Exception, body: bytes) -> str:
    if not body.strip():
        return "an empty body"
    if isinstance(error, RecursionError):
        return "JSON that is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return f"bytes that are not UTF-8 (at {error.start})"
    return f"something else ({str(error)[:100]})"
