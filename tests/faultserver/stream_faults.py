"""Faults in the middle of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syncagent.exceptions import (
    DeadlineExceeded,
    IncompleteStreamError,
    ModelAPIError,
    ModelConnectionError,
    ModelResponseError,
    ModelTimeoutError,
)

from . import scenarios as fault
from .catalog import TEXT, add
from .chat import HEAD, chunk, scenario_of
from .dialects import Dialect
from .server import Peer, Request, Scenario

__all__ = ["events"]

END = b"0\r\n\r\n"
HALF = 9
BEGUN = {"retried": "no: text was handed out", "bound": "at once"}
RIGHT = {"retried": "no", "bound": "at once"}


def events(dialect: Dialect) -> list[bytes]:
    """The right answer in three pieces, with what is hard about text in it."""
    return dialect.stream(TEXT[:HALF], TEXT[HALF:-4], TEXT[-4:])


def _said(change: Callable[[list[bytes]], list[bytes]]) -> Any:
    """The events, changed, each in a chunk of its own."""
    return lambda dialect: scenario_of(HEAD, *map(chunk, change(events(dialect))), END)


def _bytes(change: Callable[[bytes], list[bytes]]) -> Any:
    """All events as bytes, changed."""
    return _said(lambda found: [piece for piece in change(b"".join(found)) if piece])


def _until_text(dialect: Dialect) -> list[bytes]:
    """The events up to the first that holds text, with it."""
    found = events(dialect)
    place = next(index for index, event in enumerate(found) if TEXT[:HALF].encode() in event)
    return found[: place + 1]


def _begun(*then: Any) -> Any:
    """The first text, and then this."""
    return lambda dialect: scenario_of(HEAD, *map(chunk, _until_text(dialect)), *then)


def _for_ever(piece: bytes, every: float) -> Any:
    def serve(dialect: Dialect) -> Scenario:
        begin = HEAD + b"".join(map(chunk, _until_text(dialect)))

        def scenario(peer: Peer, request: Request) -> None:
            peer.send(begin)
            while not peer.server.stopping.is_set():
                peer.send(piece)
                peer.pause(every)

        return scenario

    return serve


def _to_the_end_of_the_connection(dialect: Dialect) -> Scenario:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    return scenario_of(head, b"".join(events(dialect)), "close")


def _error(dialect: Dialect) -> Scenario:
    body = dialect.error("out of order", "server_error")
    name = b"event: error\n" if dialect.name == "anthropic" else b""
    return scenario_of(HEAD, *map(chunk, _until_text(dialect)), chunk(name + b"data: " + body + b"\n\n"), END)


def _after(first: Scenario) -> Any:
    return lambda dialect: fault.in_turn(first, scenario_of(HEAD, *map(chunk, events(dialect)), END))


def add_stream(name: str, what: str, **keywords: Any) -> None:
    """A fault that a caller who streams meets."""
    add("Stream", name, what, streamed=True, **keywords)


add_stream(
    "crlf", "lines that end in CR LF, or in CR", serve=_bytes(lambda data: [data.replace(b"\n", b"\r\n")]), **RIGHT
)
add_stream("cr", "lines that end in CR", serve=_bytes(lambda data: [data.replace(b"\n", b"\r")]), **RIGHT)
add_stream(
    "split-crlf",
    "CR and LF in two packets",
    **RIGHT,
    serve=_bytes(lambda data: [piece for line in data.split(b"\n")[:-1] for piece in (line + b"\r", b"\n")]),
)
add_stream(
    "byte-by-byte",
    "a packet for each byte",
    **RIGHT,
    serve=_bytes(lambda data: [data[index : index + 1] for index in range(len(data))]),
)
add_stream(
    "comments",
    "comments and pings between the events",
    **RIGHT,
    serve=_said(lambda found: [piece for event in found for piece in (b": ping\n\n", event, b":\n\n")]),
)
add_stream(
    "stream-mark",
    "a byte order mark before the first event",
    serve=_bytes(lambda data: [b"\xef\xbb\xbf", data]),
    **RIGHT,
)
add_stream("no-blank", "no blank after the colon", serve=_bytes(lambda data: [data.replace(b": {", b":{")]), **RIGHT)
add_stream(
    "unknown-fields",
    "fields and events that nobody knows",
    **RIGHT,
    serve=_bytes(lambda data: [b"id: 3\nretry: 5\nfoo: bar\n", data, b"event: later\n\n"]),
)
add_stream("unchunked", "a stream that ends with its connection", serve=_to_the_end_of_the_connection, **RIGHT)
add_stream(
    "reset-before-stream",
    "a reset before the answer begins",
    serve=_after(fault.reset),
    retried="once",
    bound="one wait of up to 0.5 s",
    tries=2,
)
add_stream(
    "reset-before-text",
    "a reset before the first text",
    serve=_after(scenario_of(HEAD, "reset")),
    retried="no: the work has begun",
    bound="at once",
    error=ModelConnectionError,
)
add_stream(
    "reset-in-stream",
    "a reset after some text",
    serve=_begun("reset"),
    **BEGUN,
    error=ModelConnectionError,
    note="`.partial` has the text so far",
)
add_stream(
    "cut-stream",
    "an end without the provider's mark",
    serve=_begun(END),
    **BEGUN,
    error=IncompleteStreamError,
    note="`.partial` has the text so far",
)
add_stream("error-in-stream", "an error among the events", serve=_error, **BEGUN, error=ModelAPIError)
add_stream(
    "no-json-in-stream",
    "an event that is no JSON",
    serve=_begun(chunk(b"data: {oops\n\n"), END),
    **BEGUN,
    error=ModelResponseError,
)
add_stream(
    "html-for-stream",
    "a page instead of a stream",
    retried="no",
    bound="at once",
    error=ModelResponseError,
    serve=lambda dialect: fault.say("200 OK", b"<html></html>", "Content-Type: text/html"),
)
add_stream(
    "json-for-stream",
    "a whole answer instead of a stream",
    **RIGHT,
    note="as one piece",
    serve=lambda dialect: fault.say("200 OK", dialect.answer(TEXT)),
)
add_stream(
    "endless-line",
    "a line without an end",
    serve=_for_ever(chunk(b"x" * 65_536), 0),
    retried="no",
    bound="1 MiB a line",
    error=ModelResponseError,
)
add_stream(
    "silence-in-stream",
    "silence after some text",
    serve=_begun("hang"),
    retried="no: text was handed out",
    bound="the read time-out, 60 s",
    settings={"timeout": (5, 0.15)},
    error=ModelTimeoutError,
)
add_stream(
    "pings-for-ever",
    "pings and nothing else",
    serve=_for_ever(chunk(b": ping\n\n"), 0.02),
    retried="no",
    bound="the deadline",
    deadline=0.3,
    error=DeadlineExceeded,
)
add_stream(
    "dripping-stream",
    "a byte at a time",
    serve=_for_ever(chunk(b"d"), 0.02),
    retried="no",
    bound="the deadline",
    deadline=0.3,
    error=DeadlineExceeded,
)
