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
    from .connection import Call

__all__ = ["AnswerTooLarge", "Buffer", "Reader", "Source"]

_SLICE = 0.25  # seconds between two looks at a ``cancelled`` callable while reading
_SLACK = 0.05  # seconds that a read may outlast the deadline; setting a socket's time-out is a system call
_BUFFER = 16_384
_PIECE = 65_536
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError)


class AnswerTooLarge(Exception):
    """More bytes came than the answer may have."""


class Source:
    """Stands for the socket where http.client makes a file of it."""

    __slots__ = ("_call", "_sock")

    def __init__(self, sock: Any, call: Call) -> None:
        self._sock = sock
        self._call = call

    def makefile(self, mode: str) -> io.BufferedReader:
        """The file that the answer's head is read from."""
        return Buffer(Reader(self._sock, self._call), _BUFFER)


class Buffer(io.BufferedReader):
    """Notices bytes after the answer's end: whoever sends them could slip a foreign answer in."""

    def close(self) -> None:
        """Look for them, and close."""
        if not self.closed:
            reader: Any = self.raw
            reader.note_leftover(self)
        super().close()


class Reader(io.RawIOBase):
    """
    Reads from the socket; before each read the time-out is cut to what is left of the deadline.

    Waiting for less than that is waiting for readability, before the read. Silence counts over all waits.
    """

    def __init__(self, sock: Any, call: Call) -> None:
        self._sock = sock
        self._call = call
        self._raw = sock.makefile("rb", 0)  # keeps the socket open for us after its connection let go of it
        self._timeout = sock.gettimeout()
        self._quiet = False
        self._silence = 0.0  # seconds that were waited since the last byte
        self._pending = getattr(sock, "pending", None)
        # TLS inside of a proxy's TLS has its own buffers, into which nobody can look.
        self._can_wait = not isinstance(sock, SSLTransport)

    def readable(self) -> bool:
        """True."""
        return True

    def note_leftover(self, buffer: io.BufferedReader) -> None:
        """Look into *buffer* without reading on."""
        self._quiet = True
        if buffer.peek(1):
            self._call.leftover = True

    def take(self, buffer: io.BufferedReader) -> bytes:
        """What stands in *buffer*, without reading on; afterwards the body is read with :meth:`receive`."""
        self._quiet = True
        try:
            return buffer.read1(_BUFFER)
        finally:
            self._quiet = False

    def readinto(self, buffer: Any) -> Optional[int]:
        """Read, for http.client."""
        if self._quiet:
            return None  # nothing now, to a buffered reader
        data = self.receive(None, len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

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
        """
        call, deadline = self._call, self._call.deadline
        began = monotonic()
        end = min(began + call.read_timeout - self._silence, deadline.end)
        while True:
            deadline.check()
            left = end - monotonic()
            if left <= 0:
                deadline.check()
                raise socket.timeout("timed out")
            try:
                if (until is not None or call.polls) and self._can_wait:
                    data = self._when_ready(left, until, size)
                    if data is None:
                        if until is None or monotonic() < until:
                            continue
                        self._silence += monotonic() - began
                        return None
                else:
                    if self._timeout is None or not left <= self._timeout <= left + _SLACK:
                        self._sock.settimeout(left)
                        self._timeout = left
                    data = self._sock.recv(size)
            except socket.timeout:
                continue
            except OSError:
                if deadline.cancelled:
                    deadline.check()
                raise
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
        if not self.closed:
            super().close()
            self._raw.close()
