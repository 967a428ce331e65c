"""
Connections that keep a deadline on every read, and tell their call what became of it.

They subclass urllib3's, which are http.client's; :mod:`~syncagent.transport.adapter` brings them into requests.
"""

from __future__ import annotations

import http.client
import math
import select
import socket
import time
from typing import Any, Optional

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.wait import wait_for_read

from .call import Call, current_call
from .reader import Reader, Source

__all__ = ["PlainConnection", "TLSConnection", "is_plain_answer", "socket_options"]

_HAS_POLL = hasattr(select, "poll")
_ONE_SEND = 65_536  # bodies up to this size leave together with the headers
_PIECE = 262_144  # bytes of a larger body between two looks at the clock
_SLICE = 0.25  # seconds between two looks at a ``cancelled`` callable while sending


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
        self._poll = None
        if call is None:
            super().connect()  # type: ignore[misc]  # the connection's
            return
        call.reused = False
        try:
            super().connect()  # type: ignore[misc]  # the connection's
        finally:
            call.limit = math.inf
        call.bind(self.sock)

    def _tunnel(self) -> None:
        """Ask a proxy for a tunnel; the handshake after it has what is left of the time to connect."""
        super()._tunnel()  # type: ignore[misc]  # the connection's
        call = current_call.get()
        if call is not None:
            self.sock.settimeout(call.time_to_connect())

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
        Connect to one address after the other, each with the whole time-out, cut to what is left of the deadline.

        What a proxy and TLS need after it comes out of the same time. urllib3 knows no deadline, and leaves a socket
        open where Ctrl-C comes in the middle of connecting.
        """
        call = current_call.get()
        host = self._dns_host
        seconds = self.timeout
        problem: Optional[OSError] = None
        try:
            family = allowed_gai_family()
            for found in socket.getaddrinfo(host.strip("[]"), self.port, family, socket.SOCK_STREAM):
                if call is not None:
                    call.limit = time.monotonic() + seconds
                    self.timeout = call.time_to_connect()
                try:
                    return self._connected(found, call)
                except OSError as error:
                    problem = error
            if call is not None:
                call.deadline.check()
        except (socket.gaierror, UnicodeError) as error:
            raise NewConnectionError(self, f"Failed to resolve {host!r}: {error}") from error  # type: ignore[arg-type] # is one
        if isinstance(problem, socket.timeout):
            raise ConnectTimeoutError(self, f"Connecting to {host} timed out") from problem
        raise NewConnectionError(self, f"Failed to establish a new connection: {problem}") from problem  # type: ignore[arg-type] # is one

    def _connected(self, found: Any, call: Optional[Call]) -> socket.socket:
        family, kind, protocol, _, address = found
        sock = socket.socket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(self.timeout)
            if self.source_address:
                sock.bind(self.source_address)
            sock.connect(address)
            if call is not None:
                call.bind(sock)  # so that cancelling reaches what a proxy has to say
                sock.settimeout(call.time_to_connect())
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
        if self.sock is None:
            self.connect()
        sock: Any = getattr(self, "sock")  # noqa: B009 - pyright takes the attribute for the None of above
        sock.settimeout(_time_to_send(call))  # it may still be what was left of connecting
        self.send_whole(data, call)

    def send_whole(self, data: memoryview, call: Call) -> None:
        """Send headers and body; where they are small in one call: a thread gives up the interpreter lock once."""
        call.check_process()
        if call.polls:
            self._send_asking(data, call)
        elif len(data) <= _ONE_SEND:
            self.send(data)
        else:
            self._send_pieces(data, call)
        call.sent = True
        call.sent_at = time.monotonic()

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
                self.sock.settimeout(_time_to_send(call))
            self.send(data[start : start + _PIECE])

    def _send_asking(self, data: memoryview, call: Call) -> None:
        """As much as goes, again and again: in between the ``cancelled`` callable is asked."""
        while data:
            end = time.monotonic() + _time_to_send(call)
            while True:
                call.deadline.check()
                self.sock.settimeout(max(0.001, min(_SLICE, end - time.monotonic())))
                try:
                    sent = self.sock.send(data[:_PIECE])
                    break
                except socket.timeout:
                    if time.monotonic() >= end:
                        raise
            data = data[sent:]


def _time_to_send(call: Call) -> float:
    """Seconds that the next piece may take."""
    left = call.deadline.remaining()
    return call.read_timeout if left is None else max(0.001, min(call.read_timeout, left))


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
