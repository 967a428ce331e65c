"""Faults of connections and of answers."""

from __future__ import annotations

import gzip
import socket
from typing import Any

from syncagent.exceptions import DeadlineExceeded, ModelConnectionError, ModelResponseError, ModelTimeoutError

from . import scenarios as fault
from .catalog import TEXT, add
from .dialects import Dialect
from .server import Peer, Request, Scenario

__all__ = ["HTML", "NEVER", "TWICE", "always", "ok"]

NEVER: dict[str, Any] = {"retried": "no", "bound": "at once"}
TWICE: dict[str, Any] = {"retried": "twice", "bound": "two waits of up to 1 s", "tries": 3}
LOST: dict[str, Any] = {**TWICE, "error": ModelConnectionError, "attributes": {"retryable": True}}
REFUSED: dict[str, Any] = {**NEVER, "error": ModelConnectionError, "attributes": {"retryable": False}}
LATE: dict[str, Any] = {"error": ModelTimeoutError, "attributes": {"retryable": True}, "words": ("took too long",)}
READ: dict[str, Any] = {
    "retried": "no: the work may be done, and billed",
    "bound": "the read time-out: 600 s, streamed 60 s",
    "settings": {"timeout": (5, 0.1)},
    **LATE,
}
DEADLINE: dict[str, Any] = {"retried": "no", "bound": "the deadline", "error": DeadlineExceeded, "deadline": 0.2}
UNREADABLE: dict[str, Any] = {**NEVER, "error": ModelResponseError, "attributes": {"retryable": False}}
HTML = b"<html><body>Bad gateway</body></html>"
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


def connection(name: str, what: str, serve: Any = ok, **keywords: Any) -> None:
    """A fault of the connection."""
    add("Connection", name, what, serve=serve, **keywords)


connection("refused", "nobody listens at the address", place="closed", requests=0, **LOST, words=("refused",))
connection(
    "unknown-name",
    "a name that nobody knows",
    place="name",
    resolver=socket.EAI_NONAME,
    requests=0,
    **{**REFUSED, "bound": "the system's resolver: no deadline interrupts a look-up"},
    words=("nowhere.invalid",),
)
connection(
    "name-server",
    "a name server that does not answer",
    place="name",
    resolver=socket.EAI_AGAIN,
    requests=0,
    **{**LOST, "bound": "the system's resolver, each time"},
    words=("nowhere.invalid",),
)
connection(
    "full",
    "a connection that is not made",
    place="full",
    requests=0,
    retried="twice",
    tries=3,
    bound="the connect time-out, 5 s a try",
    settings={"timeout": (0.05, 5)},
    **LATE,
)
connection(
    "full-to-the-deadline",
    "a connection that is not made until the run's time is over",
    place="full",
    requests=0,
    **DEADLINE,
)
connection(
    "certificate",
    "a certificate that nobody trusts, or of another host",
    tls=True,
    trusted=False,
    requests=0,
    **REFUSED,
    words=("not trusted", "REQUESTS_CA_BUNDLE"),
)
connection(
    "handshake",
    "a TLS handshake that stalls",
    tls=True,
    on_connect=Peer.hang,
    requests=0,
    retried="twice",
    tries=3,
    bound="the connect time-out, 5 s a try",
    settings={"timeout": (0.05, 5)},
    **LATE,
)
connection(
    "handshake-to-the-deadline",
    "a TLS handshake that stalls until the run's time is over",
    tls=True,
    on_connect=Peer.hang,
    requests=0,
    **DEADLINE,
)
connection(
    "reset",
    "the connection is reset before an answer",
    always(fault.reset),
    **LOST,
    note="the same idempotency key and body each time",
)
connection("fin", "the connection ends before an answer", always(fault.fin), **LOST)
connection(
    "reset-once",
    "it is reset once",
    first(fault.reset),
    retried="once",
    bound="one wait of up to 0.5 s",
    tries=2,
)
connection(
    "dead-keep-alive",
    "a kept connection turns out to be dead",
    _answers_and_leaves,
    runs=2,
    retried="at once, on a new connection",
    bound="at once",
    requests=3,
)
connection(
    "stray-bytes",
    "bytes follow an answer, as if they were the next one",
    _strays,
    runs=2,
    **NEVER,
    note="the connection is not used again",
)
connection("silence", "no answer", always(fault.silent), **READ)
connection("silent-body", "an answer that stops in its body", always(fault.silent_body), **READ)
connection("silence-to-the-deadline", "no answer until the run's time is over", always(fault.silent), **DEADLINE)
connection("dripping-head", "headers that come a byte at a time", always(fault.drip_head), **DEADLINE)
connection("dripping-body", "a body that comes a byte at a time", always(fault.drip_body), **DEADLINE)


# --- answers -----------------------------------------------------------------------------------------


def _half(dialect: Dialect) -> Scenario:
    body = dialect.answer(TEXT)
    return fault.raw(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-9])


def _chunks(end: bytes, size: str = "{:x}\r\n") -> Any:
    """The answer as one chunk, with this *end*, and this *size* before it."""

    def serve(dialect: Dialect) -> Scenario:
        body = dialect.answer(TEXT)
        return fault.raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + size.format(len(body)).encode() + body + end)

    return serve


def _body(change: Any, *lines: str) -> Any:
    return lambda dialect: fault.say("200 OK", change(dialect.answer(TEXT)), *lines)


def _no_cookie(dialect: Dialect, requests: list[Request]) -> None:
    assert all("cookie" not in request.headers for request in requests)


# A stream has begun with its head: the work is done, and is not asked for a second time.
BROKEN: dict[str, Any] = {**LOST, "stream_tries": 1, "note": "streamed: not sent again, the work has begun"}

add("Answer", "truncated", "a body that is shorter than it says", serve=_half, **BROKEN)
add("Answer", "truncated-chunks", "chunks without an end", serve=_chunks(b""), **BROKEN)
add("Answer", "bad-chunk", "a chunk whose size is no number", serve=_chunks(b"\r\nzz\r\n"), **BROKEN)
add("Answer", "wrong-chunk", "a chunk that is longer than it says", serve=_chunks(b"\r\n0\r\n\r\n", "9\r\n"), **BROKEN)
add("Answer", "endless-size", "a chunk whose size has no end", serve=_chunks(b"", "1" * 70_000), **UNREADABLE)
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
    words=("text/html",),
)
add(
    "Answer",
    "error-in-200",
    "an error with status 200",
    serve=lambda dialect: fault.say("200 OK", dialect.error("out of order", "server_error")),
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
    **{**UNREADABLE, "bound": "32 MiB, unpacked piece by piece"},
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
    stream_error=ModelConnectionError,
)
add(
    "Answer",
    "cut-head",
    "headers that are cut",
    serve=always(fault.raw(OK[:-4])),
    **LOST,
)
add(
    "Answer",
    "two-lengths",
    "two lengths",
    serve=_body(lambda body: body, "Content-Length: 1"),
    **UNREADABLE,
)
add(
    "Answer",
    "odd-framing",
    "a `Transfer-Encoding` that was not asked for",
    serve=always(fault.raw(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")),
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
