"""Reading bodies: bounded, decompressed by ourselves, and given back to the pool only when read to the end."""

from __future__ import annotations

import http.client
import socket
import zlib
from typing import Any, Optional

from ..deadline import Deadline
from .call import Call
from .chunks import Chunks
from .connection import is_plain_answer
from .reader import AnswerTooLarge, Reader, Watched

__all__ = ["Body", "UnknownEncoding"]

_PIECE = 65_536
_WIRE_OVERHEAD = 8  # a body of one-byte chunks takes six times its size on the wire
_ZIP_PIECE = 1_048_576  # bytes decompressed at once: a bomb never stands in memory whole
_GZIP = 16 + zlib.MAX_WBITS
_PLAIN = frozenset({"", "identity"})
_GZIPPED = frozenset({"gzip", "x-gzip"})


class UnknownEncoding(Exception):
    """The answer is compressed in a way that was not asked for."""


class Body:
    """
    The body of one answer.

    Args:
        response: a ``requests.Response`` of which nothing was read.
        call: the try that it answers.
        limit: bytes that it may have after decompression.

    Raises:
        UnknownEncoding: its Content-Encoding is neither gzip nor none.
    """

    __slots__ = (
        "_answer",
        "_call",
        "_chunks",
        "_deadline",
        "_gzip",
        "_held",
        "_left",
        "_length",
        "_raw",
        "_reader",
        "_reading",
        "_ready",
        "ended",
    )

    def __init__(self, response: Any, call: Call, limit: int) -> None:
        self._raw = response.raw
        self._call = call
        self._deadline: Deadline = call.deadline
        self._left = limit
        self.ended = False
        self._held: list[Any] = [response.raw]  # whoever takes it out lets go of the connection
        self._reading = False
        self._ready: Optional[bytes] = None
        own = call.answer
        self._reader: Optional[Reader] = None
        self._chunks: Optional[Chunks] = None
        self._length: Optional[int] = None
        self._answer: Optional[http.client.HTTPResponse] = None
        if own is not None:
            self._reader = own.reader
            self._chunks = Chunks() if own.chunked else None
            self._length = own.length
            call.allowance = call.received + (limit + _PIECE) * _WIRE_OVERHEAD
        else:
            self._answer = _answer_of(self._raw)
            _bind_foreign(self._raw, call)
            # A hook or a cache of the caller's session has read it: there is nothing left on the wire.
            if getattr(response, "_content_consumed", False) is True:
                self._ready = response.content or b""
        self._gzip: Any = None
        encoding = response.headers.get("content-encoding")
        if encoding is not None and self._ready is None:
            encoding = encoding.strip().lower()
            if encoding in _GZIPPED:
                self._gzip = zlib.decompressobj(_GZIP)
            elif encoding not in _PLAIN:
                raise UnknownEncoding(encoding[:80])

    def read_all(self) -> bytes:
        """
        The whole body; afterwards the connection is back in its pool.

        Raises:
            AnswerTooLarge: it has more bytes than allowed.
            zlib.error, EOFError: it is no gzip, or a cut one.
            Exception: whatever requests, urllib3 and http.client raise.
        """
        length = self._length
        if length is not None and length > self._left and self._gzip is None:
            raise AnswerTooLarge
        pieces: list[bytes] = []
        while True:
            piece = self.read_some()
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    def read_some(self, until: Optional[float] = None) -> Optional[bytes]:
        """
        The next bytes, as soon as there are any; none at the end, when the connection went back to its pool.

        Args:
            until: when to give up, on the clock of ``time.monotonic()``: the answer is None then. The body of a
                caller's own session cannot be waited for; there it changes nothing.

        Raises:
            as :meth:`read_all`.
        """
        while not self.ended:
            data = self._next_bytes(until)
            if data is None:
                return None
            if self.ended:
                return b""  # whatever came: somebody has closed it
            if not data:
                if self._gzip is not None and not self._gzip.eof:
                    raise EOFError("the gzip stream is cut")
                self._end()
            elif self._gzip is not None:
                data = self._unzip(data)
            if data:
                self._left -= len(data)
                if self._left < 0:
                    raise AnswerTooLarge
                return data
        return b""

    def abort(self) -> None:
        """Close the connection now; what has not been read is never read. Safe from any thread."""
        if self.ended:
            return
        self.ended = True
        try:
            self._call.shutdown(2)  # SHUT_RDWR: wakes whoever reads in another thread
        except (OSError, ValueError):
            pass  # it is closed already
        # A reader lets go of it when it comes back: closed under its hands, the number of the socket could be that
        # of another connection by the time that it reads.
        if not self._reading:
            self._let_go(broken=True)

    def _end(self) -> None:
        self.ended = True
        if self._answer is not None:
            self._answer.close()
        if self._reader is not None:
            if self._reader.ahead:
                self._call.leftover = True  # whoever sends more than the answer could slip a foreign one in
        self._let_go(broken=self._call.leftover)

    def _let_go(self, *, broken: bool) -> None:
        """Give the connection back to its pool; does nothing the second time."""
        try:
            raw = self._held.pop()
        except IndexError:
            return
        self._call.finish()
        if broken:
            raw.close()
        release = getattr(raw, "release_conn", None)
        if release is not None:
            release()

    def _next_bytes(self, until: Optional[float]) -> Optional[bytes]:
        """As they come, before they are decompressed."""
        self._reading = True
        try:
            if self.ended:  # since the last look, by another thread
                return b""
            return self._foreign_bytes() if self._reader is None else self._own_bytes(self._reader, until)
        finally:
            self._reading = False
            if self.ended:
                self._let_go(broken=True)

    def _own_bytes(self, reader: Reader, until: Optional[float]) -> Optional[bytes]:
        """Bytes off the wire, without their framing; none at the body's end, None where none came until then."""
        chunks, length = self._chunks, self._length
        while True:
            if length == 0 or (chunks is not None and chunks.ended):
                return b""
            data = reader.receive(until)
            if data is None:
                return None
            if not data:
                if chunks is not None or length:
                    raise http.client.IncompleteRead(b"", length)
                return b""
            if chunks is not None:
                data = chunks.feed(data)
                if chunks.rest:
                    self._call.leftover = True
                if not data:
                    continue
            elif length is not None:
                if len(data) > length:
                    self._call.leftover = True
                    data = data[:length]
                self._length = length - len(data)
            return data

    def _foreign_bytes(self) -> bytes:
        if self._ready is not None:
            data, self._ready = self._ready, b""
            return data
        self._call.check_process()
        self._deadline.check()
        _cut_foreign(self._call)
        if self._answer is not None:
            data = self._answer_bytes()
        elif hasattr(self._raw, "read1"):
            data = self._raw.read1(_PIECE, decode_content=False) or b""
        else:
            data = self._raw.read(_PIECE, decode_content=False) or b""
        self._call.check_process()
        self._deadline.check()
        return data

    def _answer_bytes(self) -> bytes:
        answer: Any = self._answer
        data: bytes = answer.read1(_PIECE)
        if not data and answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return data

    def _unzip(self, data: bytes) -> bytes:
        """Decompress what came, and stop where it grows past what is allowed; members may follow each other."""
        out: list[bytes] = []
        room = self._left
        while data:
            if self._gzip.eof:
                self._gzip = zlib.decompressobj(_GZIP)
            piece = self._gzip.decompress(data, min(room + 1, _ZIP_PIECE))
            room -= len(piece)
            if room < 0:
                raise AnswerTooLarge
            out.append(piece)
            data = self._gzip.unused_data or self._gzip.unconsumed_tail
        return b"".join(out)


def _answer_of(raw: Any) -> Any:
    """The http.client answer behind *raw*, where urllib3 (before 2.2) has no ``read1`` of its own."""
    if hasattr(raw, "read1"):
        return None
    answer = getattr(raw, "_original_response", None)
    return answer if is_plain_answer(answer) else None


def _bind_foreign(raw: Any, call: Call) -> None:
    """
    Let deadline and cancelling reach the socket of a caller's own session, where it can be seen.

    One read of its body may be many of the socket: a chunk's size line that comes byte by byte.
    """
    sock = getattr(getattr(raw, "connection", None), "sock", None)
    if sock is None:
        return
    call.bind(sock)
    file = getattr(getattr(getattr(raw, "_original_response", None), "fp", None), "raw", None)
    if isinstance(file, socket.SocketIO) and hasattr(file, "_sock"):
        setattr(file, "_sock", Watched(getattr(file, "_sock"), call))  # noqa: B009, B010 - no stub has it


def _cut_foreign(call: Call) -> None:
    """Cut the next read of a caller's own session to what is left of the deadline."""
    left = call.deadline.remaining()
    if left is not None and call.sock is not None and left < call.read_timeout:
        call.sock.settimeout(max(0.001, left))
