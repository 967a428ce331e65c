"""
The chunked transfer coding, taken off bytes as they arrive.

The format is that of RFC 9112, section 7.1. http.client reads one chunk at a time, with three calls into its
buffer for each; here everything that came is read at once, and nothing is asked of the socket to do so.
"""

from __future__ import annotations

import http.client

__all__ = ["Chunks"]

_MOST_LINE = 65_536  # as http.client's own limit
_MOST_TRAILERS = 65_536


class Chunks:
    """
    What stands between two pieces of a chunked body.

    Attributes:
        ended: the last chunk and the trailers came.
        rest: bytes that followed the end.
    """

    __slots__ = ("_before", "_held", "_left", "_trailers", "ended", "rest")

    def __init__(self) -> None:
        self._left = 0  # bytes of the current chunk that are still to come
        self._before = False  # whether the line break after a chunk's data is still to come
        self._held = b""
        self._trailers: int = -1  # bytes of them so far; below zero before the last chunk
        self.ended = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """
        The body's bytes in *data*; none where it holds framing only.

        Raises:
            http.client.IncompleteRead: what should be the coding is none.
            http.client.LineTooLong: a chunk's size line or the trailers have no end.
        """
        left = self._left
        if left > len(data):  # the inside of a large chunk
            self._left = left - len(data)
            return data
        if self._held:
            data, self._held = self._held + data, b""
        out: list[bytes] = []
        at, size = 0, len(data)
        while True:
            if left:
                piece = data[at : at + left]
                out.append(piece)
                at += len(piece)
                left -= len(piece)
                if left:
                    break
                self._before = True
            if self._trailers >= 0:
                self._skip_trailers(data[at:])
                break
            end = data.find(b"\n", at + 2 if self._before else at)
            if end < 0:
                self._hold(data[at:])
                break
            if self._before:
                if data[at : at + 2] != b"\r\n":
                    raise http.client.IncompleteRead(b"".join(out))
                at += 2
                self._before = False
            left = _size(data[at:end])
            at = end + 1
            if not left:
                self._trailers = 0
            elif at == size:
                break
        self._left = left
        return out[0] if len(out) == 1 else b"".join(out)

    def _hold(self, data: bytes) -> None:
        if len(data) > _MOST_LINE:
            raise http.client.LineTooLong("chunk size")
        self._held = data

    def _skip_trailers(self, data: bytes) -> None:
        """Read lines up to the empty one; they say nothing that matters here."""
        at = 0
        while True:
            end = data.find(b"\n", at)
            if end < 0:
                self._hold(data[at:])
                return
            line = data[at:end]
            at = end + 1
            if not line.rstrip(b"\r"):
                self.ended = True
                self.rest = data[at:]
                return
            self._trailers += len(line)
            if self._trailers > _MOST_TRAILERS:
                raise http.client.LineTooLong("trailer line")


def _size(line: bytes) -> int:
    """A chunk's size; extensions after a semicolon are skipped."""
    digits, extended, _ = line.partition(b";")
    # Whoever ends an extension with a CR or an LF alone may be heard as going on (RFC 9112, sections 2.2 and 7.1.1).
    if extended and line.find(b"\r") != len(line) - 1:
        raise http.client.IncompleteRead(b"")
    digits = digits.strip(b" \t\r")
    # int() would take signs, underscores and other alphabets' digits, too.
    if not digits or len(digits) > 16 or digits.strip(b"0123456789abcdefABCDEF"):
        raise http.client.IncompleteRead(b"")
    return int(digits, 16)
