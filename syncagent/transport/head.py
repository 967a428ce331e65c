"""The head of an answer: status and headers, read in one go where it is written as servers write it today."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any, Optional

from .reader import Source

if TYPE_CHECKING:
    from .connection import Call

__all__ = ["Answer", "Headers"]

_MOST_LINES = 100  # http.client's own limit; it says what is wrong with more
_LENGTH_DIGITS = 18
_WITHOUT_BODY = frozenset({204, 304})


class Headers(dict[str, str]):
    """An answer's headers under their names in lower case; look-ups ignore case, repeated ones are joined."""

    def __getitem__(self, name: str) -> str:
        return dict.__getitem__(self, name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and dict.__contains__(self, name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """As of a dict."""
        return dict.get(self, name.lower(), default)


class Answer(http.client.HTTPResponse):
    """
    An answer that is read under its call's deadline.

    A head that came in one piece and has nothing unusual in it is read here, which takes a fifth of the time;
    every other one is left to ``http.client``, with not a byte of it taken away.
    """

    fields: Headers
    """The headers, once the head was read."""

    def __init__(self, sock: Any, call: Call, method: Optional[str] = None, **kwargs: Any) -> None:
        super().__init__(Source(sock, call), method=method, **kwargs)  # type: ignore[arg-type]  # has all that is used
        self._asked_with = method
        call.answer = self

    def begin(self) -> None:
        """Read the head."""
        if self.headers is None and self._asked_with != "HEAD" and self._begin_simply():
            return
        super().begin()
        self.fields = Headers()
        for name, value in self.headers.items():
            _add(self.fields, name.lower(), value)

    def _begin_simply(self) -> bool:
        file: Any = self.fp
        seen = file.peek()  # reads at most once, and takes nothing
        end = seen.find(b"\r\n\r\n")
        head = _parsed(seen[:end]) if end > 0 else None
        if head is None:
            return False
        status, reason, fields = head
        encoding, length = fields.get("transfer-encoding"), fields.get("content-length")
        if encoding is not None:
            if encoding.lower() != "chunked" or length is not None:
                return False
            self.chunked, self.chunk_left = True, None
        elif length is not None and not (
            length.isascii() and length.isdigit() and len(length) <= _LENGTH_DIGITS
        ):
            return False
        else:
            self.chunked = False
        file.read(end + 4)
        self.code = self.status = status
        self.reason, self.version = reason, 11
        self.fields = fields
        # Whoever asks for them has what http.client would have made.
        self.length = None if length is None else int(length)
        connection = fields.get("connection")
        closes = connection is not None and "close" in connection.lower()
        self.will_close = closes or (not self.chunked and length is None)
        return True


def _parsed(head: bytes) -> Optional[tuple[int, str, Headers]]:
    """Status, reason and headers; None where anything is not quite as it should be."""
    text = head.decode("latin-1")
    lines = text.split("\r\n")
    if not (len(lines) - 1 == text.count("\n") == text.count("\r") and len(lines) <= _MOST_LINES):
        return None
    first = lines[0]
    code = first[9:12]
    if not (first.startswith("HTTP/1.1 ") and code.isdecimal() and len(code) == 3 and first[12:13] in ("", " ")):
        return None
    status = int(code)
    if not 200 <= status < 600 or status in _WITHOUT_BODY:
        return None
    fields = Headers()
    known = fields.keys()
    del lines[0]
    for line in lines:
        name, colon, value = line.partition(":")
        # Folded lines and blanks around names are what smuggled answers are made of.
        if not colon or not name or " " in name or "\t" in name:
            return None
        name = name.lower()
        value = value.strip(" \t")
        if name in known:
            if name in _FRAMING:
                return None
            _add(fields, name, value)
        else:
            dict.__setitem__(fields, name, value)
    return status, first[13:], fields


_FRAMING = frozenset({"content-length", "transfer-encoding"})


def _add(fields: Headers, name: str, value: str) -> None:
    before = dict.get(fields, name)
    dict.__setitem__(fields, name, value if before is None else f"{before}, {value}")
