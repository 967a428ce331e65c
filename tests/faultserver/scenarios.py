"""The scenarios: what a server, a proxy or a network does wrong. Those in lower case answer; factories return one."""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import threading

from .server import Peer, Request, Scenario

__all__ = [
    "bomb",
    "chunked",
    "drip_body",
    "drip_head",
    "echo",
    "fin",
    "in_turn",
    "ok",
    "raw",
    "reset",
    "say",
    "silent",
    "silent_body",
    "stream",
]


def ok(peer: Peer, request: Request) -> None:
    """The right answer."""
    peer.answer()


def echo(peer: Peer, request: Request) -> None:
    """What was asked comes back: tells whether an answer is one's own."""
    peer.answer(request.body)


def say(status: str, body: bytes = b'{"error": {"message": "no"}}', *lines: str) -> Scenario:
    """A whole answer with this status."""

    def scenario(peer: Peer, request: Request) -> None:
        peer.answer(body, status, *lines)

    return scenario


def raw(data: bytes, *, then: str = "close") -> Scenario:
    """These bytes, and then ``close``, ``reset``, ``hang``, or ``keep`` for going on."""

    def scenario(peer: Peer, request: Request) -> None:
        peer.send(data)
        if then != "keep":
            getattr(peer, then)()

    return scenario


def in_turn(*scenarios: Scenario) -> Scenario:
    """One for each request, whatever connection it comes on; the last one for all others."""
    lock = threading.Lock()
    numbers = itertools.count()

    def scenario(peer: Peer, request: Request) -> None:
        with lock:
            number = next(numbers)
        scenarios[min(number, len(scenarios) - 1)](peer, request)

    return scenario


def fin(peer: Peer, request: Request) -> None:
    """The connection ends before an answer."""
    peer.close()


def reset(peer: Peer, request: Request) -> None:
    """The connection is reset before an answer."""
    peer.reset()


def silent(peer: Peer, request: Request) -> None:
    """No answer ever comes."""
    peer.hang()


def silent_body(peer: Peer, request: Request) -> None:
    """A head, and then nothing."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    peer.hang()


def drip_head(peer: Peer, request: Request) -> None:
    """A head that never ends, a byte at a time."""
    peer.send(b"HTTP/1.1 200 OK\r\n")
    while not peer.server.stopping.is_set():
        peer.send(b"X")
        peer.pause(0.05)


def drip_body(peer: Peer, request: Request) -> None:
    """A body of a thousand bytes, one at a time."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    while not peer.server.stopping.is_set():
        peer.send(b" ")
        peer.pause(0.05)


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n", lines: str = "", then: str = "keep") -> Scenario:
    """A chunked event stream; another *end* makes it a broken one."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{lines}\r\n"
    return raw(head.encode() + body + end, then=then)


def stream(pieces: list[bytes], pause: float, framing: str) -> Scenario:
    """
    Events with a pause after each.

    Args:
        framing: ``chunked``, ``gzip`` (chunked as well) or ``close`` (the end of the connection is the end).
    """

    def scenario(peer: Peer, request: Request) -> None:
        lines = {"chunked": "Transfer-Encoding: chunked", "close": "Connection: close"}
        lines["gzip"] = lines["chunked"] + "\r\nContent-Encoding: gzip"
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{lines[framing]}\r\n\r\n".encode())
        for piece in pieces:
            data = gzip.compress(piece) if framing == "gzip" else piece
            peer.send(data if framing == "close" else b"%x\r\n%b\r\n" % (len(data), data))
            peer.pause(pause)
        if framing == "close":
            peer.close()
        else:
            peer.send(b"0\r\n\r\n")

    return scenario


def bomb(peer: Peer, request: Request) -> None:
    """256 MiB of zeros in 255 KiB of gzip."""
    peer.answer(_bomb(), "200 OK", "Content-Encoding: gzip")


@functools.lru_cache(maxsize=1)
def _bomb() -> bytes:
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()


def as_json(value: object) -> bytes:
    """Compact JSON."""
    return json.dumps(value).encode()
