"""
Connections that keep a deadline on every read, and tell what became of a try.

They subclass urllib3's, which are http.client's; :mod:`~syncagent.transport.adapter` brings them into requests.
"""

from __future__ import annotations

import http.client
import select
import socket
from contextvars import ContextVar
from typing import Any, Optional

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.wait import wait_for_read

from ..deadline import Deadline
from .head import Answer
from .reader import Reader, Source

__all__ = ["Call", "PlainConnection", "TLSConnection", "current_call", "is_plain_answer", "socket_options"]

_HAS_POLL = hasattr(select, "poll")
_ONE_SEND = 65_536  # bodies up to this size leave together with the headers
_PIECE = 262_144  # bytes of a larger body between two looks at the clock
_MOST_HEADERS = 1_048_576  # bytes before the body


class Call:
    """
    One try: what its connection has to know, and what it tells of how far it came.

    Attributes:
        deadline: of the run.
        read_timeout: seconds for each read.
        answer: what is known of the answer, once its head was read.
        odd: what http.client reads the head with, and where from; on the way through a proxy.
        reused: it went out on a kept connection.
        force_fresh: a kept connection must not be used.
        sent: the whole request went out.
        leftover: bytes followed its answer, so the connection cannot be trusted.
        received: bytes of the answer that came, head included.
        allowance: how many may come.
    """

    __slots__ = (
        "allowance",
        "answer",
        "deadline",
        "force_fresh",
        "leftover",
        "odd",
        "polls",
        "read_timeout",
        "received",
        "reused",
        "sent",
        "sock",
    )

    def __init__(self, deadline: Deadline, read_timeout: float) -> None:
        self.deadline = deadline
        self.polls = deadline.polls
        self.read_timeout = read_timeout
        self.force_fresh = False
        self.answer: Optional[Answer] = None
        self.odd: Any = None
        self.reused = False
        self.leftover = False
        self.sent = False
        self.received = 0
        self.allowance = _MOST_HEADERS
        self.sock: Optional[socket.socket] = None

    def bind(self, sock: Any) -> None:
        """Take note of the connection's socket; a cancelling that came just before is seen here."""
        self.sock = sock
        if self.deadline.cancelled:
            self.deadline.check()

    def shutdown(self, how: int) -> None:
        """Wake whoever reads: called by ``Deadline.cancel()``, from any thread."""
        sock = self.sock
        if sock is not None:
            # Not SSLSocket.shutdown: it takes the TLS layer off, and a reader would see ciphertext as the answer.
            socket.socket.shutdown(sock, how)

    def renew(self) -> None:
        """Forget the dead connection; the same try goes out again on a new one."""
        self.sock = None
        self.answer = None
        self._close_odd()
        self.reused = self.sent = False
        self.force_fresh = True

    def finish(self) -> None:
        """The socket goes back to its pool or is closed: cancelling must not reach it any more."""
        self.sock = None
        self.deadline.detach(self)
        self._close_odd()

    def _close_odd(self) -> None:
        odd, self.odd = self.odd, None
        if odd is not None:
            response, reader = odd
            response.close()
            reader.close()


current_call: ContextVar[Optional[Call]] = ContextVar("syncagent_call", default=None)
"""
The try under way; set only around the sending. (A greenlet has a context of its own, whenever gevent patched.)
"""


def is_plain_answer(answer: object) -> bool:
    """Whether *answer* is one that http.client reads from a socket."""
    return isinstance(answer, http.client.HTTPResponse)


def _answer(sock: Any, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
    """An answer that http.client reads, under its call's deadline."""
    call = current_call.get()
    if call is None:
        return http.client.HTTPResponse(sock, *args, **kwargs)
    reader = Reader(sock, call, hold=True)
    response = http.client.HTTPResponse(Source(reader), *args, **kwargs)  # type: ignore[arg-type]  # has all that is used
    call.odd = response, reader
    return response


class _CallMixin:
    """What both kinds of connection do: know their call, and send small requests in one piece."""

    response_class: Any = staticmethod(_answer)
    _held: Optional[list[Any]] = None
    _poll: Any = None
    sock: Any
    port: int
    source_address: Any
    socket_options: Any
    timeout: Any
    _dns_host: Any

    def connect(self) -> None:
        call = current_call.get()
        super().connect()  # type: ignore[misc]  # the connection's
        self._poll = None
        if call is not None:
            call.reused = False
            call.bind(self.sock)

    def stirred(self) -> bool:
        """Whether the server sent something, or closed, while nothing was asked: the connection cannot be used."""
        if not _HAS_POLL:
            return bool(wait_for_read(self.sock, timeout=0.0))
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.sock, select.POLLIN)
        return bool(self._poll.poll(0))

    def _new_conn(self) -> socket.socket:
        """
        Connect to one address after the other, each with what is left of the deadline.

        urllib3 gives each the whole time-out, which for a name with many addresses is far more, and leaves a socket
        open where Ctrl-C comes in the middle of connecting.
        """
        call = current_call.get()
        host = self._dns_host
        problem: Optional[OSError] = None
        try:
            family = allowed_gai_family()
            for found in socket.getaddrinfo(host.strip("[]"), self.port, family, socket.SOCK_STREAM):
                try:
                    return self._connected(found)
                except OSError as error:
                    problem = error
                left = None if call is None else call.deadline.remaining()
                if call is not None and left is not None:
                    call.deadline.check()
                    self.timeout = min(self.timeout, left)
        except (socket.gaierror, UnicodeError) as error:
            raise NewConnectionError(self, f"Failed to resolve {host!r}: {error}") from error  # type: ignore[arg-type] # is one
        if isinstance(problem, socket.timeout):
            raise ConnectTimeoutError(self, f"Connecting to {host} timed out") from problem
        raise NewConnectionError(self, f"Failed to establish a new connection: {problem}") from problem  # type: ignore[arg-type] # is one

    def _connected(self, found: Any) -> socket.socket:
        family, kind, protocol, _, address = found
        sock = socket.socket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(self.timeout)
            if self.source_address:
                sock.bind(self.source_address)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

    def request(self, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> None:
        call = current_call.get()
        if call is None:
            super().request(method, url, body, *args, **kwargs)  # type: ignore[misc]  # the connection's
            return
        if self.sock is not None and self.sock is not call.sock:
            call.reused = True
            call.bind(self.sock)
        held: list[Any] = []
        self._held = held
        try:
            super().request(method, url, body, *args, **kwargs)  # type: ignore[misc]  # the connection's
        finally:
            self._held = None
        data = memoryview(b"".join(held))
        held.clear()  # tracebacks with variables show this frame; a view shows nothing
        self.send_whole(data, call)

    def send_whole(self, data: memoryview, call: Call) -> None:
        """Send headers and body; where they are small in one call: a thread gives up the interpreter lock once."""
        if len(data) <= _ONE_SEND:
            self.send(data)
        else:
            self._send_pieces(data, call)
        call.sent = True

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]  # the connection's
        else:
            self._held.append(data)

    def _send_pieces(self, data: memoryview, call: Call) -> None:
        """Each piece has the read time-out, cut to the deadline: a long upload is no hanging connect."""
        for start in range(0, len(data), _PIECE):
            call.deadline.check()
            if self.sock is not None:
                left = call.deadline.remaining()
                self.sock.settimeout(call.read_timeout if left is None else max(0.001, min(call.read_timeout, left)))
            self.send(data[start : start + _PIECE])


class PlainConnection(_CallMixin, HTTPConnection):
    """A connection without TLS."""


class TLSConnection(_CallMixin, HTTPSConnection):
    """A connection with TLS."""


def socket_options() -> list[tuple[int, int, int]]:
    """No delay, and keep-alive: a reasoning model is silent for minutes, and routers forget silent connections."""
    defaults: Any = HTTPConnection.default_socket_options
    options = [*defaults, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
