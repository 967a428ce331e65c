"""The raw end of an answer: reads from the socket under the deadline, and waits for it without reading."""

from __future__ import annotations

import io
import socket
import ssl
from time import monotonic
from typing import TYPE_CHECKING, Any, Optional

from urllib3.util.ssltransport import SSLTransport
from urllib3.util.wait import wait_for_read

if TYPE_CHECKING:
    from .call import Call

__all__ = ["AnswerTooLarge", "Reader", "Source", "Watched"]

_SLICE = 0.25  # seconds between two looks at a ``cancelled`` callable while reading
_SLACK = 0.05  # seconds that a read may outlast the deadline; setting a socket's time-out is a system call
_BUFFER = 16_384
_PIECE = 65_536
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError)


class AnswerTooLarge(Exception):
    """More bytes came than the answer may have."""


class Source:
    """Stands for the socket where http.client makes a file of it."""

    __slots__ = ("reader",)

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def makefile(self, mode: str) -> io.BufferedReader:
        """The file that the answer's head is read from."""
        return io.BufferedReader(_File(self.reader), _BUFFER)


class _File(io.RawIOBase):
    """A reader as http.client wants it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        """Read."""
        reader = self._reader
        if reader.quiet:
            return None  # nothing now, to a buffered reader
        data = reader.receive(None, len(buffer)) or b""
        reader.head += data
        reader.cut = not data
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Let go of the socket."""
        if not self.closed:
            super().close()
            self._reader.close()


class Reader:
    """
    Reads from the socket; before each read the time-out is cut to what is left of the deadline.

    Waiting for less than that is waiting for readability, before the read. Silence counts over all waits.

    Args:
        sock: the socket.
        call: the try.
        hold: whether to keep the socket open for us after its connection let go of it.

    Attributes:
        ahead: bytes that were read, and are still to be given.
        quiet: whether only such bytes are given.
        head: what http.client was given of the answer.
        cut: whether it was told that there is no more.
    """

    __slots__ = (
        *("_call", "_can_wait", "_held", "_pending", "_silence", "_sock", "_timeout"),
        *("ahead", "cut", "head", "quiet"),
    )

    def __init__(self, sock: Any, call: Call, hold: bool = False) -> None:
        self._sock = sock
        self._call = call
        self._held = sock.makefile("rb", 0) if hold else None
        self._timeout = sock.gettimeout()
        self.ahead = b""
        self.quiet = False
        self.head = bytearray()
        self.cut = False
        self._silence = 0.0  # seconds that were waited since the last byte
        self._pending = getattr(sock, "pending", None)
        # TLS inside of a proxy's TLS has its own buffers, into which nobody can look, and reads until it has a record.
        self._can_wait = not isinstance(sock, SSLTransport)
        if not self._can_wait:
            sock.socket = Watched(sock.socket, call)

    def take_back(self, file: io.BufferedReader) -> None:
        """Take back what stands in *file*, before what it has not taken: the body is read with :meth:`receive`."""
        self.quiet = True
        try:
            untaken = file.read1(_BUFFER)
        finally:
            self.quiet = False
        self.ahead = untaken + self.ahead
        if untaken:
            del self.head[-len(untaken) :]

    def receive(self, until: Optional[float], size: int = _PIECE) -> Optional[bytes]:
        """
        The next bytes; none at the end.

        Args:
            until: when to give up waiting, on the clock of ``time.monotonic()``; the answer is None then.
            size: how many at most.

        Raises:
            socket.timeout: nothing came for the read time-out, waits that were given up included.
            DeadlineExceeded, RunCancelled: the run has to stop.
            AnswerTooLarge: more came than the answer may have.
            AnotherProcess: the answer is a parent's.
        """
        ahead = self.ahead
        if ahead:
            self.ahead = ahead[size:]
            return ahead[:size]
        call, deadline = self._call, self._call.deadline
        began = monotonic()
        end = min(began + call.read_timeout - self._silence, deadline.end, call.limit)
        while True:
            call.check_process()
            deadline.check()
            left = end - monotonic()
            if left <= 0:
                deadline.check()
                raise socket.timeout("timed out")
            try:
                if (until is not None or call.polls) and self._can_wait:
                    ready = self._when_ready(left, until, size)
                    if ready is None:
                        if until is None or monotonic() < until:
                            continue
                        self._silence += monotonic() - began
                        return None
                    data = ready
                else:
                    if self._timeout is None or not left <= self._timeout <= left + _SLACK:
                        self._sock.settimeout(left)
                        self._timeout = left
                    data = self._sock.recv(size) or b""  # a number at the end of TLS in TLS
            except socket.timeout:
                continue
            except OSError:
                call.check_process()
                if deadline.cancelled:
                    deadline.check()
                raise
            call.check_process()  # a greenlet that was waiting at a fork comes back in both processes
            if deadline.cancelled:
                deadline.check()
            self._silence = 0.0
            call.received += len(data)
            if call.received > call.allowance:
                raise AnswerTooLarge
            return data

    def _when_ready(self, left: float, until: Optional[float], size: int) -> Optional[bytes]:
        """Bytes, or None where none came in a slice of the time that is *left*."""
        if until is not None:
            left = max(0.0, min(left, until - monotonic()))
        if self._call.polls:
            left = min(left, _SLICE)
        if self._pending is None:
            if not wait_for_read(self._sock, left):
                return None
            data: bytes = self._sock.recv(size)
            return data
        # What is readable may be half a TLS record, or one of TLS's own.
        if not self._pending() and not wait_for_read(self._sock, left):
            return None
        self._timeout = 0.0
        self._sock.settimeout(0.0)
        try:
            data = self._sock.recv(size)
        except _NOT_YET:
            return None
        return data

    def close(self) -> None:
        """Let go of the socket."""
        if self._held is not None:
            self._held.close()


class Watched:
    """
    A socket of which each read is cut to what is left of the deadline; for what reads by itself, and more than once.

    Args:
        sock: the socket, or another one that is watched.
        call: the try.

    Attributes:
        socket: the socket.
    """

    def __init__(self, sock: Any, call: Call) -> None:
        self.__dict__.update(socket=sock.socket if isinstance(sock, Watched) else sock, _call=call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["socket"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["socket"], name, value)

    def recv(self, *args: Any) -> Any:
        """As of the socket."""
        self._cut()
        return self.__dict__["socket"].recv(*args)

    def recv_into(self, *args: Any) -> Any:
        """As of the socket."""
        self._cut()
        return self.__dict__["socket"].recv_into(*args)

    def _cut(self) -> None:
        call: Call = self.__dict__["_call"]
        call.check_process()
        call.deadline.check()
        left = call.deadline.remaining()
        if left is not None and left < call.read_timeout:
            self.__dict__["socket"].settimeout(max(0.001, left))
