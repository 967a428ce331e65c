"""The head of an answer: status and headers, taken as one text where it is written as servers write it today."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterable, Iterator, Mapping
from email import errors
from typing import TYPE_CHECKING, Any, Optional

from .reader import Reader, Source

if TYPE_CHECKING:
    from .call import Call

__all__ = ["Answer", "Headers", "read_head", "taken_over"]

_MOST_DIGITS = 18
_MOST_LINES = 100  # http.client's own limit; it says what is wrong with more
# Found in linear time: names of headers hold no colon.
_ODD_LINE = re.compile(r"\r\n(?![!-9;-~]+:|\Z)")
_BARE_CR = re.compile(rb"\r(?!\n)")
_WITHOUT_BODY = frozenset({204, 304})
# The others are about the body of a multipart message, which http.client's parser is not given.
_NO_HEADER = (
    errors.MissingHeaderBodySeparatorDefect,
    errors.FirstHeaderLineIsContinuationDefect,
    errors.InvalidHeaderDefect,
)


class Headers(Mapping[str, str]):
    """
    An answer's headers; look-ups ignore case, repeated ones are joined.

    Args:
        text: the head in Latin-1, from the end of its first line to that of its last. It is not taken apart before
            somebody asks for more than one header.
    """

    __slots__ = ("_fields", "_lower", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._lower = text.lower()
        self._fields: Optional[dict[str, str]] = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Headers:
        """Of names and values."""
        headers = cls("")
        fields = headers._fields = {}
        for name, value in pairs:
            name, value = name.lower(), value.strip(" \t")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return headers

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self)}>"  # values may be cookies

    def __getitem__(self, name: str) -> str:
        return self._all()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def get(self, name: str, default: Any = None) -> Any:
        """As of a dict."""
        name = name.lower()
        if self._fields is None:
            mark = f"\r\n{name}:"
            start = self._lower.find(mark)
            if start < 0:
                return default
            start += len(mark)
            if self._lower.find(mark, start) < 0:
                return self._text[start : self._text.find("\r\n", start)].strip(" \t")
        return self._all().get(name, default)

    def plain(self) -> bool:
        """
        Whether every line is a header, and those that say where the body ends are there once at most.

        Folded lines, bare line ends and blanks before colons are what smuggled answers are made of.
        """
        text, lower = self._text, self._lower
        return (
            text.count("\r\n") <= _MOST_LINES
            and _ODD_LINE.search(text) is None
            and lower.count("\r\ncontent-length") == lower.count("\r\ncontent-length:") <= 1
            and lower.count("\r\ntransfer-encoding") == lower.count("\r\ntransfer-encoding:") <= 1
            and lower.count("\r\nconnection") == lower.count("\r\nconnection:") <= 1
        )

    def _all(self) -> dict[str, str]:
        if self._fields is None:
            pairs = [line.partition(":") for line in self._text.split("\r\n")[1:-1]]
            self._fields = Headers.of((name, value) for name, _, value in pairs)._all()
        return self._fields


class Answer:
    """
    An answer of which the head was read.

    Attributes:
        reader: gives the body.
        status, reason, headers: what the head says.
        chunked: whether the body is.
        length: bytes of the body; None where only its end says it.
        will_close: whether the connection cannot be used again.
    """

    __slots__ = ("chunked", "headers", "length", "reader", "reason", "status", "will_close")

    def __init__(
        self, reader: Reader, status: int, reason: str, headers: Headers, *, chunked: bool, length: Optional[int]
    ) -> None:
        self.reader = reader
        self.status = status
        self.reason = reason
        self.headers = headers
        self.chunked = chunked
        self.length = length
        connection = headers.get("connection")
        self.will_close = (connection is not None and "close" in connection.lower()) or (
            length is None and not chunked
        )


def read_head(sock: Any, call: Call, method: str) -> Answer:
    """
    Read the head of the answer that comes on *sock*.

    A head that came in one piece and has nothing unusual in it is read here, which takes a tenth of the time;
    every other one is left to ``http.client``, with not a byte of it taken away.

    Raises:
        OSError, http.client.HTTPException: as ``http.client`` does.
    """
    reader = Reader(sock, call)
    data = reader.receive(None) or b""
    end = data.find(b"\r\n\r\n") if method != "HEAD" else -1
    answer = _simple(reader, data[: end + 2].decode("latin-1")) if end > 0 else None
    if answer is None:
        reader.ahead = data
        return _read_oddly(reader, method)
    reader.ahead = data[end + 4 :]
    return answer


def taken_over(response: http.client.HTTPResponse, reader: Reader) -> Answer:
    """
    What http.client made of a head; the body is read from *reader* from now on.

    Raises:
        http.client.IncompleteRead: the connection ended in the middle of the head, which http.client takes for its end.
        http.client.HTTPException: the head says of the body's length what two readers understand differently.
    """
    file: Any = response.fp
    reader.take_back(file)
    file.detach()  # closing it would close the reader
    response.fp = None  # type: ignore[assignment]  # as after the end
    if reader.cut:
        raise http.client.IncompleteRead(b"")
    headers = Headers.of(response.headers.items())
    _check_framing(response, headers, reader.head)
    chunked = bool(response.chunked)
    length = None if chunked else response.length
    answer = Answer(reader, response.status, response.reason, headers, chunked=chunked, length=length)
    # Who sends both a length and chunks may have been led to (RFC 9112, section 6.3): nothing follows on such a one.
    answer.will_close = bool(response.will_close) or (chunked and "content-length" in headers)
    return answer


def _check_framing(response: http.client.HTTPResponse, headers: Headers, head: bytearray) -> None:
    """Refuse a head whose body ends in one place for this reader and in another for the next (RFC 9112, section 6)."""
    encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
    problem = None
    if _BARE_CR.search(head) is not None:
        problem = "a carriage return without a line feed"
    elif any(isinstance(defect, _NO_HEADER) for defect in response.headers.defects):
        problem = "a line that is no header"
    elif encoding is not None and encoding.lower() != "chunked":
        problem = f"the Transfer-Encoding {encoding[:80]!r}"
    elif length is not None:
        said = {each.strip(" \t") for each in length.split(",")}
        (first, *more) = said
        if more or not (first.isascii() and first.isdecimal() and len(first) <= _MOST_DIGITS):
            problem = f"the Content-Length {length[:80]!r}"
    if problem is not None:
        raise http.client.HTTPException(f"its head has {problem}")


def _read_oddly(reader: Reader, method: str) -> Answer:
    response = http.client.HTTPResponse(Source(reader), method=method)  # type: ignore[arg-type]  # has all that is used
    try:
        response.begin()
        return taken_over(response, reader)
    finally:
        response.close()


def _simple(reader: Reader, text: str) -> Optional[Answer]:
    """
    The answer; None where anything of its head is not quite as it should be.

    Args:
        text: the head, up to and with the line break of its last header.
    """
    start = text.find("\r\n")
    code = text[9:12]
    if not (text.startswith("HTTP/1.1 ") and start > 11 and code.isdecimal() and text[12] in " \r"):
        return None
    if not text.count("\r\n") == text.count("\n") == text.count("\r"):
        return None
    status = int(code)
    headers = Headers(text[start:])
    if not 200 <= status < 600 or status in _WITHOUT_BODY or not headers.plain():
        return None
    encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if encoding is not None:
        if encoding.lower() != "chunked" or length is not None:
            return None
    elif length is not None and not (length.isascii() and length.isdecimal() and len(length) <= _MOST_DIGITS):
        return None
    size = None if length is None else int(length)
    return Answer(reader, status, text[13:start].strip(), headers, chunked=encoding is not None, length=size)
