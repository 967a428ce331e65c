"""
From whatever requests, urllib3, http.client, ssl and socket raise, and from every status, to one typed error.

Errors are told by their root, not by their class: requests raises ``ConnectionError`` for a read that timed
out in a body, and raw reads raise urllib3's own.
"""

from __future__ import annotations

import http.client
import math
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

import requests.exceptions as requests_errors
import urllib3.exceptions as urllib3_errors
from urllib3.util.ssl_match_hostname import CertificateError

from ..exceptions import (
    ContextTooLongError,
    ModelAPIError,
    ModelAuthError,
    ModelConnectionError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelResponseError,
    ModelTimeoutError,
    UserError,
)
from .answers import may_be_shown, parse_json, redact, redact_json, request_id
from .body import UnknownEncoding
from .call import AnotherProcess
from .reader import AnswerTooLarge
from .records import HttpRequest
from .retry import RetryPolicy, retry_after, retryable_status

__all__ = ["FAILURES", "Failure", "broken", "is_dead_connection", "never_sent", "refused"]

FAILURES = (
    OSError,
    http.client.HTTPException,
    urllib3_errors.HTTPError,
    zlib.error,
    EOFError,
    AnotherProcess,
    AnswerTooLarge,
    UnknownEncoding,
)
"""What sending and reading may raise; ``requests.RequestException`` is an OSError."""

_TEXT = 200  # characters of a foreign error's text
_SAID = 500  # of a provider's words
_BY_STATUS: dict[int, type[ModelHTTPError]] = {
    401: ModelAuthError,
    402: ModelQuotaError,
    403: ModelAuthError,
    404: ModelNotFoundError,
    429: ModelRateLimitError,
    503: ModelOverloadedError,
    529: ModelOverloadedError,
}
_BY_KIND: dict[str, type[ModelHTTPError]] = {
    "auth": ModelAuthError,
    "not_found": ModelNotFoundError,
    "rate_limit": ModelRateLimitError,
    "quota": ModelQuotaError,
    "overloaded": ModelOverloadedError,
    "context_too_long": ContextTooLongError,
}
_FINAL = frozenset({"auth", "not_found", "quota", "context_too_long", "response"})
_BAD_REQUEST = (
    requests_errors.InvalidURL,
    requests_errors.MissingSchema,
    requests_errors.InvalidSchema,
    requests_errors.InvalidHeader,
    requests_errors.UnrewindableBodyError,
    urllib3_errors.LocationValueError,
)
_CONNECTING = (urllib3_errors.ConnectTimeoutError, requests_errors.ConnectTimeout)
_UNCONNECTED = (
    *_CONNECTING,
    *_BAD_REQUEST,
    urllib3_errors.NewConnectionError,
    urllib3_errors.ProxyError,
    socket.gaierror,
    ConnectionRefusedError,
    ssl.SSLCertVerificationError,
    CertificateError,
)
_DROPPED = (
    ConnectionError,
    http.client.RemoteDisconnected,
    http.client.IncompleteRead,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)


class Failure(NamedTuple):
    """A typed error, and whether the same request is to be sent again."""

    error: ModelAPIError
    again: bool


def refused(
    request: HttpRequest,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    attributes: dict[str, Any],
    auth: Mapping[str, str],
) -> Failure:
    """
    What a status that is not 2xx means.

    Args:
        body: as much of it as was read.
        attributes: ``attempts`` and ``elapsed``.
        auth: headers whose values must not stand in the error.
    """
    parsed = _error_body(body, auth)
    named = headers.get("x-amzn-errortype")
    if named and isinstance(parsed, dict):
        parsed.setdefault("__type", redact(named[:_TEXT], auth))  # AWS says there what others say in the body
    attributes.update(request_id=request_id(headers, auth), retry_after=retry_after(headers))
    if status < 200:
        text = f"The server answered with status {status}, which never ends a request; a proxy may be broken."
        return Failure(ModelResponseError(text, model_name=request.model_name, **attributes), False)
    info = request.decode_error(status, parsed) if request.decode_error is not None else None
    kind = info.kind if info is not None else None
    if attributes["retry_after"] is None:
        attributes["retry_after"] = _asked_in_body(info)
    again = status >= 400 and kind not in _FINAL and retryable_status(status, headers)
    if status == 402:
        again = False
    if kind == "response":
        text = redact((info.message if info is not None else None) or "", auth)[:_SAID]
        if not text or not may_be_shown(text, request.body):
            text = f"The server answered with status {status}."
        return Failure(ModelResponseError(text, model_name=request.model_name, **attributes), False)
    error_class = _BY_KIND.get(kind or "") or _BY_STATUS.get(status, ModelHTTPError)
    error = error_class(status, request.model_name, body=parsed, retryable=again, **attributes)
    if 300 <= status < 400:
        error.message += ". Redirects are not followed: check the base URL."
    return Failure(error, again)


def broken(
    error: Exception,
    request: HttpRequest,
    policy: RetryPolicy,
    sent: Optional[bool],
    attributes: dict[str, Any],
    auth: Mapping[str, str],
) -> Failure:
    """
    What an exception of :data:`FAILURES` means.

    Args:
        sent: whether the request went out whole; None where nobody knows.
        attributes: ``attempts`` and ``elapsed``.
        auth: headers whose values must not stand in the error.

    Raises:
        UserError: the request itself cannot be sent.
    """
    chain = list(_chain(error))
    host = _host(request.url)

    def made(error_class: type[ModelAPIError], text: str, retryable: bool, again: Optional[bool] = None) -> Failure:
        made_error = error_class(
            redact(text, auth), model_name=request.model_name, retryable=retryable, **attributes
        )
        return Failure(made_error, retryable if again is None else again)

    for found in chain:
        if isinstance(found, _BAD_REQUEST):
            # Not their text: it may quote a header's value or a proxy's password.
            raise UserError(
                f"The request to {host} cannot be sent ({type(found).__name__}): check the base URL, the headers "
                "and the proxies; a SOCKS proxy needs the package PySocks."
            ) from None
        if isinstance(found, _CONNECTING) and not isinstance(found, urllib3_errors.NewConnectionError):
            return made(ModelTimeoutError, f"Connecting to {host} took too long.", True)
        if isinstance(found, AnotherProcess):
            text = (
                f"The process was forked while a request to {host} was under way. Its answer belongs to the parent; "
                "this is the child."
            )
            return made(ModelConnectionError, text, False)
        if isinstance(found, AnswerTooLarge):
            return made(ModelResponseError, f"The answer of {host} is larger than allowed.", False)
        if isinstance(found, UnknownEncoding):
            text = f"The answer of {host} has the Content-Encoding {found}, which was not asked for."
            return made(ModelResponseError, text, False)
        if isinstance(found, (zlib.error, EOFError)):
            return made(ModelResponseError, f"The answer of {host} cannot be decompressed: {_words(found)}", False)
    failure = _by_root(chain, host, made, policy, sent)
    if failure is not None:
        return failure
    return made(ModelConnectionError, f"The connection to {host} failed: {_words(chain[-1])}", True)


def is_dead_connection(error: Exception) -> bool:
    """Whether *error* says that the peer had closed the connection, and nothing else."""
    return any(isinstance(found, _DROPPED) for found in _chain(error))


def never_sent(error: Exception) -> bool:
    """Whether *error* says that there was no connection, so that nothing can have been sent."""
    return any(isinstance(found, _UNCONNECTED) for found in _chain(error))


def _by_root(
    chain: list[BaseException],
    host: str,
    made: Callable[..., Failure],
    policy: RetryPolicy,
    sent: Optional[bool],
) -> Optional[Failure]:
    """The meaning of the first rule that a link of the chain meets; None where it says too little."""

    def find(*classes: type[BaseException]) -> Any:
        return next((link for link in chain if isinstance(link, classes)), None)

    if found := find(ssl.SSLCertVerificationError, CertificateError):
        # urllib3 before 2 compares the names itself where it goes to an address that was checked.
        why = getattr(found, "verify_message", "") or found
        text = (
            f"The certificate of {host} is not trusted: {why}. "
            "Where a company's proxy signs it, point verify= or REQUESTS_CA_BUNDLE at its certificate."
        )
        return made(ModelConnectionError, text, False)
    if find(socket.timeout, urllib3_errors.ReadTimeoutError, requests_errors.ReadTimeout):
        again = policy.retry_read_timeouts or sent is False
        words = "Sending to" if sent is False else "Waiting for an answer of"
        return made(ModelTimeoutError, f"{words} {host} took too long; see the setting timeout.", True, again)
    if found := find(urllib3_errors.ProxyError):
        again = "Tunnel connection failed: 4" not in str(found)
        return made(ModelConnectionError, f"The proxy on the way to {host} failed: {_words(chain[0])}", again)
    if found := find(socket.gaierror):
        text = f"The host name {host} cannot be resolved: {_words(found)}"
        return made(ModelConnectionError, text, found.errno == socket.EAI_AGAIN)
    if find(ConnectionRefusedError):
        return made(ModelConnectionError, f"{host} refused the connection: is the server running there?", True)
    if found := find(*_DROPPED, urllib3_errors.InvalidChunkLength):
        return made(ModelConnectionError, f"The connection to {host} broke: {_words(found)}", True)
    if found := find(ssl.SSLError, urllib3_errors.SSLError):
        return made(ModelConnectionError, f"TLS with {host} failed: {_words(found)}", False)
    if found := find(http.client.HTTPException):
        text = f"The answer of {host} is not HTTP that can be read: {_words(found)}"
        return made(ModelResponseError, text, False)
    return None


def _asked_in_body(info: object) -> Optional[float]:
    """The seconds to wait that a wire found in an error's body, where there is no header for it."""
    seconds = getattr(info, "retry_after", None)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    return float(seconds) if 0 < seconds < math.inf else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """*error* and whatever is inside, the innermost first."""
    seen: dict[int, BaseException] = {}
    todo: list[Any] = [error]
    while todo:
        link = todo.pop()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen[id(link)] = link
            todo.extend([*link.args, getattr(link, "reason", None), link.__cause__])
            # urllib3 1.26 has no causes. Nobody else's context: it may be what the caller was handling.
            if isinstance(link, urllib3_errors.HTTPError) and not link.__suppress_context__:
                todo.append(link.__context__)
    return reversed(list(seen.values()))


def _words(error: BaseException) -> str:
    text = str(error)
    return (text if len(text) <= _TEXT else text[:_TEXT] + "...") or type(error).__name__


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2] or "the server"


def _error_body(body: bytes, auth: Mapping[str, str]) -> Optional[object]:
    """Parsed where it is JSON, else text; None for an empty one."""
    text = body.decode("utf-8", "replace")
    try:
        parsed: object = redact_json(parse_json(text.encode()), auth)
    except (ValueError, RecursionError):
        return redact(text, auth).strip() or None
    return parsed
