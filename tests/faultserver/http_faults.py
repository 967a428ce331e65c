"""Faults of connections, of answers, and of statuses."""

from __future__ import annotations

import gzip
from typing import Any

from syncagent.exceptions import (
    ContextTooLongError,
    DeadlineExceeded,
    ModelAuthError,
    ModelConnectionError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelResponseError,
    ModelTimeoutError,
)

from . import scenarios as fault
from .catalog import TEXT, add
from .dialects import Dialect
from .server import Peer, Request, Scenario

__all__ = ["redirected"]

NEVER = {"retried": "no", "bound": "at once"}
TWICE: dict[str, Any] = {"retried": "twice", "bound": "two waits of up to 1 s", "tries": 3}
READ = {"retried": "no: the work may be done, and billed", "bound": "the read time-out"}
DEADLINE = {"retried": "no", "bound": "the deadline", "error": DeadlineExceeded, "deadline": 0.3}
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def ok(dialect: Dialect) -> Scenario:
    """The right answer."""
    return fault.say("200 OK", dialect.answer(TEXT))


def always(scenario: Scenario) -> Any:
    """The same for both providers."""
    return lambda dialect: scenario


def first(scenario: Scenario) -> Any:
    """This, and then the right answer."""
    return lambda dialect: fault.in_turn(scenario, ok(dialect))


def status(line: str, message: str, code: str, *lines: str) -> Any:
    """An error of the provider, in its own form."""
    return lambda dialect: fault.say(line, dialect.error(message, code), *lines)


# --- connections -----------------------------------------------------------------------------------


def _answers_and_leaves(dialect: Dialect) -> Scenario:
    """Says keep-alive, and closes when the next request comes."""
    body = dialect.answer(TEXT)

    def scenario(peer: Peer, request: Request) -> None:
        if getattr(peer, "answered", False):
            peer.reset()
        else:
            peer.answered = True  # type: ignore[attr-defined] # kept with the connection
            peer.answer(body)

    return scenario


def _strays(dialect: Dialect) -> Scenario:
    both = b""
    for body in (dialect.answer(TEXT), dialect.answer("Somebody else's answer.")):
        both += OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return fault.raw(both, then="keep")


add(
    "Connection",
    "reset",
    "the connection is reset before an answer",
    serve=always(fault.reset),
    **TWICE,
    error=ModelConnectionError,
    note="the same idempotency key and body each time",
)
add(
    "Connection",
    "fin",
    "the connection ends before an answer",
    serve=always(fault.fin),
    **TWICE,
    error=ModelConnectionError,
)
add(
    "Connection",
    "reset-once",
    "it is reset once",
    serve=first(fault.reset),
    retried="once",
    bound="one wait of up to 0.5 s",
    tries=2,
)
add(
    "Connection",
    "dead-keep-alive",
    "a kept connection turns out to be dead",
    serve=_answers_and_leaves,
    runs=2,
    retried="at once, on a new connection",
    bound="at once",
    tries=2,
)
add(
    "Connection",
    "stray-bytes",
    "bytes follow an answer, as if they were the next one",
    serve=_strays,
    runs=2,
    **NEVER,
    note="the connection is not used again",
)
add(
    "Connection",
    "certificate",
    "a certificate that nobody trusts, or of another host",
    serve=ok,
    tls=True,
    trusted=False,
    tries=0,
    **NEVER,
    error=ModelConnectionError,
)
add(
    "Connection",
    "handshake",
    "a TLS handshake that stalls",
    serve=ok,
    tls=True,
    on_connect=Peer.hang,
    tries=0,
    **DEADLINE,
)
add(
    "Connection",
    "silence",
    "no answer",
    serve=always(fault.silent),
    **READ,
    settings={"timeout": (5, 0.15)},
    error=ModelTimeoutError,
)
add(
    "Connection",
    "silent-body",
    "an answer that stops in its body",
    serve=always(fault.silent_body),
    **READ,
    settings={"timeout": (5, 0.15)},
    error=ModelTimeoutError,
)
add(
    "Connection",
    "silence-to-the-deadline",
    "no answer until the run's time is over",
    serve=always(fault.silent),
    **DEADLINE,
)
add("Connection", "dripping-head", "headers that come a byte at a time", serve=always(fault.drip_head), **DEADLINE)
add("Connection", "dripping-body", "a body that comes a byte at a time", serve=always(fault.drip_body), **DEADLINE)


# --- answers -----------------------------------------------------------------------------------------


def _half(dialect: Dialect) -> Scenario:
    body = dialect.answer(TEXT)
    return fault.raw(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-9])


def _chunks(end: bytes) -> Any:
    def serve(dialect: Dialect) -> Scenario:
        body = dialect.answer(TEXT)
        return fault.raw(OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body) + end)

    return serve


def _body(change: Any, *lines: str) -> Any:
    return lambda dialect: fault.say("200 OK", change(dialect.answer(TEXT)), *lines)


def _no_cookie(dialect: Dialect, requests: list[Request]) -> None:
    assert all("cookie" not in request.headers for request in requests)


UNREADABLE: dict[str, Any] = {**NEVER, "error": ModelResponseError}
HTML = b"<html><body>Bad gateway</body></html>"

add("Answer", "truncated", "a body that is shorter than it says", serve=_half, **TWICE, error=ModelConnectionError)
add("Answer", "truncated-chunks", "chunks without an end", serve=_chunks(b""), **TWICE, error=ModelConnectionError)
add(
    "Answer",
    "bad-chunk",
    "a chunk whose size is no number",
    serve=_chunks(b"zz\r\n"),
    **TWICE,
    error=ModelConnectionError,
)
add("Answer", "half-json", "JSON that is cut, in a whole answer", serve=_body(lambda body: body[:-9]), **UNREADABLE)
add("Answer", "empty", "an empty body", serve=_body(lambda body: b""), **UNREADABLE)
add(
    "Answer",
    "no-utf-8",
    "bytes that are no UTF-8",
    serve=_body(lambda body: body.replace(b"Hello", b"H\xe9llo")),
    **UNREADABLE,
)
add("Answer", "nan", "NaN, which is no JSON", serve=_body(lambda body: body[:-1] + b', "x": NaN}'), **UNREADABLE)
add(
    "Answer",
    "huge-number",
    "a number of 5,000 digits",
    serve=_body(lambda body: body[:-1] + b', "x": %b}' % (b"9" * 5000)),
    **UNREADABLE,
)
add("Answer", "deep", "100,000 nested lists", serve=_body(lambda body: b"[" * 100_000), **UNREADABLE)
add(
    "Answer",
    "byte-order-mark",
    "a byte order mark before the JSON",
    serve=_body(lambda body: b"\xef\xbb\xbf" + body),
    **NEVER,
)
add(
    "Answer",
    "wrong-charset",
    "a content type that names another charset",
    serve=_body(lambda body: body, "Content-Type: application/json; charset=cp037"),
    **NEVER,
)
add(
    "Answer",
    "html",
    "a proxy's page with status 200",
    serve=always(fault.say("200 OK", HTML, "Content-Type: text/html")),
    **UNREADABLE,
)
add(
    "Answer",
    "error-in-200",
    "an error with status 200",
    serve=status("200 OK", "out of order", "server_error"),
    **UNREADABLE,
)
add(
    "Answer",
    "no-gzip",
    "a body that says gzip and is none",
    serve=_body(lambda body: body, "Content-Encoding: gzip"),
    **UNREADABLE,
)
add("Answer", "gzip", "a body that is packed", serve=_body(gzip.compress, "Content-Encoding: gzip"), **NEVER)
add(
    "Answer",
    "bomb",
    "256 MiB in 255 KiB of gzip",
    serve=always(fault.bomb),
    retried="no",
    bound="32 MiB, unpacked piece by piece",
    error=ModelResponseError,
)
add(
    "Answer",
    "brotli",
    "a packing that was not asked for",
    serve=_body(lambda body: body, "Content-Encoding: br"),
    **UNREADABLE,
)
add(
    "Answer",
    "huge",
    "a body that says it has 99 GB",
    serve=always(fault.raw(OK + b"Content-Length: 99000000000\r\n\r\n{")),
    **UNREADABLE,
)
add(
    "Answer",
    "long-header",
    "a header of 100 KiB",
    serve=always(fault.raw(OK + b"X: " + b"x" * 102_400 + b"\r\n\r\n")),
    **UNREADABLE,
)
add("Answer", "many-headers", "300 headers", serve=always(fault.raw(OK + b"X: x\r\n" * 300 + b"\r\n")), **UNREADABLE)
add("Answer", "status-line", "a first line that is no HTTP", serve=always(fault.raw(b"Hello\r\n\r\n")), **UNREADABLE)
add(
    "Answer",
    "early-hints",
    "103 Early Hints",
    serve=always(fault.raw(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")),
    **UNREADABLE,
)
add(
    "Answer",
    "cookies",
    "cookies",
    serve=_body(lambda body: body, "Set-Cookie: session=1; Path=/"),
    runs=2,
    **NEVER,
    seen=_no_cookie,
    note="they are never sent back",
)


# --- statuses ----------------------------------------------------------------------------------------


def redirected(dialect: Dialect) -> Scenario:
    """To another origin, whose port nobody listens on."""
    return fault.say("307 Temporary Redirect", b"", "Location: http://127.0.0.1:9/elsewhere")


def limited(*lines: str) -> Any:
    """429 with these headers, once."""
    return lambda dialect: fault.in_turn(
        fault.say("429 Too Many Requests", dialect.error("slow down", "rate_limit_error"), *lines), ok(dialect)
    )


ASKED = {"retried": "as the server says, and up to a quarter more", "bound": "`Retry-After`", "tries": 2}

add("Status", "retry-after", "429 with `Retry-After: 1`", serve=limited("Retry-After: 1"), **ASKED)
add("Status", "retry-after-ms", "429 with `retry-after-ms: 500`", serve=limited("retry-after-ms: 500"), **ASKED)
add(
    "Status",
    "retry-after-hours",
    "429 with `Retry-After: 7200`",
    **NEVER,
    error=ModelRateLimitError,
    serve=status("429 Too Many Requests", "slow down", "rate_limit_error", "Retry-After: 7200"),
    note="`.retry_after` is 7200",
)
add(
    "Status",
    "retry-after-garbage",
    "429 with a `Retry-After` that means nothing",
    **TWICE,
    error=ModelRateLimitError,
    serve=status("429 Too Many Requests", "slow down", "rate_limit_error", "Retry-After: soon"),
)
add(
    "Status",
    "quota",
    "429 or 402 for an exhausted quota",
    **NEVER,
    error=ModelQuotaError,
    serve=lambda dialect: (
        status("429 Too Many Requests", "no money", "insufficient_quota")(dialect)
        if dialect.name == "openai"
        else status("402 Payment Required", "no money", "billing_error")(dialect)
    ),
)
add(
    "Status",
    "server-error",
    "500 again and again",
    serve=status("500 Oops", "oops", "server_error"),
    **TWICE,
    error=ModelHTTPError,
)
add(
    "Status",
    "gateway",
    "a proxy's page with status 502",
    **TWICE,
    error=ModelHTTPError,
    serve=always(fault.say("502 Bad Gateway", HTML, "Content-Type: text/html")),
)
add(
    "Status",
    "overloaded",
    "503 or 529",
    serve=status("529 Overloaded", "busy", "overloaded_error"),
    **TWICE,
    error=ModelOverloadedError,
)
add(
    "Status",
    "not-to-be-retried",
    "500 with `x-should-retry: false`",
    **NEVER,
    error=ModelHTTPError,
    serve=status("500 Oops", "oops", "server_error", "x-should-retry: false"),
)
add(
    "Status",
    "to-be-retried",
    "400 with `x-should-retry: true`",
    retried="twice",
    bound="two waits of up to 1 s",
    tries=3,
    error=ModelHTTPError,
    serve=status("400 Bad", "again", "other", "x-should-retry: true"),
)
for _number, _words, _class in (
    (400, "Bad Request", ModelHTTPError),
    (401, "Unauthorized", ModelAuthError),
    (403, "Forbidden", ModelAuthError),
    (404, "Not Found", ModelNotFoundError),
    (413, "Too Large", ModelHTTPError),
    (422, "Unprocessable", ModelHTTPError),
):
    add(
        "Status",
        f"status-{_number}",
        f"{_number}",
        serve=status(f"{_number} {_words}", "no", "invalid_request_error"),
        **NEVER,
        error=_class,
    )
add(
    "Status",
    "too-long",
    "400, since the messages do not fit",
    **NEVER,
    error=ContextTooLongError,
    serve=lambda dialect: status(
        "400 Bad Request",
        "prompt is too long: 9 tokens > 8 maximum",
        "context_length_exceeded" if dialect.name == "openai" else "invalid_request_error",
    )(dialect),
)
add(
    "Status",
    "redirect",
    "a redirect",
    serve=redirected,
    **NEVER,
    error=ModelHTTPError,
    note="it is not followed: the other address sees neither key nor prompt",
)
