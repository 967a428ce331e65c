"""Faults that a server says itself: statuses, and what their headers ask for."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from time import time
from typing import Any

from syncagent.exceptions import (
    ContextTooLongError,
    ModelAuthError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRateLimitError,
)

from . import scenarios as fault
from .catalog import add
from .dialects import Dialect
from .http_faults import HTML, NEVER, TWICE, always, ok
from .server import Peer, Request, Scenario

__all__ = ["MESSAGE", "REQUEST_ID", "redirected"]

MESSAGE = "The pipes are frozen."
"""What the provider says of its errors."""
REQUEST_ID = "req_0123"
"""The provider's id of each request that ends with an error."""

LIMIT = "429 Too Many Requests"
ASKED: dict[str, Any] = {
    "retried": "as the server says, and up to a quarter more",
    "bound": "`Retry-After`, where it is at most 60 s",
    "tries": 2,
}


def status(name: str, what: str, line: str, code: str, *lines: str, message: str = MESSAGE, **keywords: Any) -> None:
    """An error of the provider, in its own form."""

    def serve(dialect: Dialect) -> Scenario:
        return fault.say(line, dialect.error(message, code), f"x-request-id: {REQUEST_ID}", *lines)

    attributes = {"status_code": int(line[:3]), "request_id": REQUEST_ID, **keywords.pop("attributes", {})}
    words = (message, f"status_code: {line[:3]}")
    add("Status", name, what, serve=serve, attributes=attributes, words=keywords.pop("words", words), **keywords)


def limited(name: str, what: str, header: Callable[[], str], waits: tuple[float, float]) -> None:
    """429 once, with a header that says when to come again."""

    def serve(dialect: Dialect) -> Scenario:
        def refuse(peer: Peer, request: Request) -> None:
            peer.answer(dialect.error(MESSAGE, "rate_limit_error"), LIMIT, header())

        return fault.in_turn(refuse, ok(dialect))

    add("Status", name, what, serve=serve, waits=waits, **ASKED)


def redirected(location: str, line: str = "307 Temporary Redirect") -> Scenario:
    """To another origin."""
    return fault.say(line, b"", f"x-request-id: {REQUEST_ID}", f"Location: {location}")


def _date(seconds: float) -> str:
    return formatdate(time() + seconds, usegmt=True)


limited("retry-after", "429 with `Retry-After: 1`", lambda: "Retry-After: 1", (1, 1.25))
limited("retry-after-ms", "429 with `retry-after-ms: 1500`", lambda: "retry-after-ms: 1500", (1.5, 1.875))
limited("retry-after-date", "429 with a date in 4 s", lambda: f"Retry-After: {_date(4)}", (2.5, 5))
AGAIN: dict[str, Any] = {**TWICE, "attributes": {"retryable": True}}
LATER: dict[str, Any] = {**AGAIN, "error": ModelRateLimitError}
for _name, _what, _value in (
    ("past", "429 with a date that has passed", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("garbage", "429 with a `Retry-After` that means nothing", "soon"),
    ("nan", "429 with `Retry-After: nan`", "nan"),
    ("minus", "429 with `Retry-After: -3`", "-3"),
):
    status(f"retry-after-{_name}", _what, LIMIT, "rate_limit_error", f"Retry-After: {_value}", **LATER)
status(
    "retry-after-hours",
    "429 with `Retry-After: 7200`",
    LIMIT,
    "rate_limit_error",
    "Retry-After: 7200",
    **NEVER,
    error=ModelRateLimitError,
    attributes={"retryable": True, "retry_after": 7200.0},
    note="`.retry_after` is 7200",
)
status(
    "quota",
    "429 for an exhausted quota (OpenAI)",
    LIMIT,
    "insufficient_quota",
    **NEVER,
    error=ModelQuotaError,
    attributes={"retryable": False},
    dialects=("openai",),
)
status(
    "credit",
    "402",
    "402 Payment Required",
    "billing_error",
    **NEVER,
    error=ModelQuotaError,
    attributes={"retryable": False},
)
status("server-error", "500 again and again", "500 Oops", "server_error", **AGAIN, error=ModelHTTPError)
status("unavailable", "503", "503 Service Unavailable", "server_error", **AGAIN, error=ModelOverloadedError)
status("overloaded", "529", "529 Overloaded", "overloaded_error", **AGAIN, error=ModelOverloadedError)
status("busy", "408 or 409", "409 Conflict", "conflict", **AGAIN, error=ModelHTTPError)
add(
    "Status",
    "gateway",
    "a proxy's page with status 502",
    **TWICE,
    error=ModelHTTPError,
    serve=always(fault.say("502 Bad Gateway", HTML, "Content-Type: text/html", f"x-request-id: {REQUEST_ID}")),
    attributes={"retryable": True, "status_code": 502, "request_id": REQUEST_ID},
    words=("Bad gateway",),
)
FINAL: dict[str, Any] = {**NEVER, "attributes": {"retryable": False}}
for _number in (501, 505):
    status(f"status-{_number}", f"{_number}", f"{_number} No", "server_error", **FINAL, error=ModelHTTPError)
status(
    "not-to-be-retried",
    "500 with `x-should-retry: false`",
    "500 Oops",
    "server_error",
    "x-should-retry: false",
    **FINAL,
    error=ModelHTTPError,
)
status(
    "to-be-retried",
    "400 with `x-should-retry: true`",
    "400 Bad",
    "other",
    "x-should-retry: true",
    **AGAIN,
    error=ModelHTTPError,
)
for _number, _class in (
    (400, ModelHTTPError),
    (401, ModelAuthError),
    (403, ModelAuthError),
    (404, ModelNotFoundError),
    (413, ModelHTTPError),
    (422, ModelHTTPError),
):
    status(f"status-{_number}", f"{_number}", f"{_number} No", "invalid_request_error", **FINAL, error=_class)
for _name, _code, _provider in (
    ("too-long", "context_length_exceeded", "openai"),
    ("prompt-too-long", "invalid_request_error", "anthropic"),
):
    status(
        _name,
        f"400, since the messages do not fit ({'OpenAI' if _provider == 'openai' else 'Anthropic'})",
        "400 Bad Request",
        _code,
        message="prompt is too long: 9 tokens > 8 maximum",
        **FINAL,
        error=ContextTooLongError,
        dialects=(_provider,),
    )
add(
    "Status",
    "redirect",
    "a redirect",
    serve=always(redirected("http://127.0.0.1:9/elsewhere")),
    **NEVER,
    error=ModelHTTPError,
    attributes={"retryable": False, "status_code": 307, "request_id": REQUEST_ID},
    words=("Redirects are not followed",),
    note="it is not followed: the other address sees neither key nor prompt",
)
