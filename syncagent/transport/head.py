"""The head of an answer: status and headers, read in one go where it is written as servers write it today."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING, Any, Optional

from .reader import Reader, Source

if TYPE_CHECKING:
    from .connection import Call

__all__ = ["Answer", "Headers", "read_head", "taken_over"]

_MOST_LINES = 100  # http.client's own limit; it says what is wrong with more
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
    end = data.find(b"\r\n\r\n")
    answer = _parsed(reader, data[:end]) if end > 0 and method != "HEAD" else None
    if answer is None:
        reader.ahead = data
        return _read_oddly(reader, method)
    reader.ahead = data[end + 4 :]
    return answer


def taken_over(response: http.client.HTTPResponse, reader: Reader) -> Answer:
    """What http.client made of a head; the body is read from *reader* from now on."""
    file: Any = response.fp
    reader.take_back(file)
    file.detach()  # closing it would close the reader
    response.fp = None  # type: ignore[assignment]  # as after the end
    headers = Headers()
    for name, value in response.headers.items():
        _add(headers, name.lower(), value)
    chunked = bool(response.chunked)
    length = None if chunked else response.length
    answer = Answer(reader, response.status, response.reason, headers, chunked=chunked, length=length)
    answer.will_close = bool(response.will_close)
    return answer


def _read_oddly(reader: Reader, method: str) -> Answer:
    response = http.client.HTTPResponse(Source(reader), method=method)  # type: ignore[arg-type]  # has all that is used
    try:
        response.begin()
        return taken_over(response, reader)
    finally:
        response.close()


def _parsed(reader: Reader, head: bytes) -> Optional[Answer]:
    """The answer; None where anything of its head is not quite as it should be."""
    text = head.decode("latin-1")
    found = _HEAD.fullmatch(text)
    if found is None:
        return None
    pairs = _LINE.findall(text, found.end(1 if found[2] is None else 2))
    headers = Headers([(name.lower(), value) for name, value in pairs])
    if len(headers) != len(pairs):
        headers = _joined(pairs)
    status = int(found[1])
    encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
    chunked = encoding is not None
    if encoding is not None:
        odd = encoding.lower() != "chunked" or length is not None
    else:
        odd = length is not None and _LENGTH.fullmatch(length) is None
    if odd or status in _WITHOUT_BODY or len(pairs) > _MOST_LINES:
        return None
    size = None if length is None else int(length)
    return Answer(reader, status, found[2] or "", headers, chunked=chunked, length=size)


# No part of these can match what the part after it begins with, so that they are linear. Folded lines, blanks around
# names and bare line ends, which smuggled answers are made of, do not match.
_HEAD = re.compile(r"HTTP/1\.1 ([2-5][0-9]{2})(?: ([^\r\n]*))?(?:\r\n[!-9;-~]+:[^\r\n]*)*")
_LINE = re.compile(r"\r\n([!-9;-~]+):[ \t]*([^\r\n]*)")
_LENGTH = re.compile(r"[0-9]{1,18}")


def _joined(pairs: list[tuple[str, str]]) -> Headers:
    headers = Headers()
    for name, value in pairs:
        _add(headers, name.lower(), value)
    return headers


def _add(headers: Headers, name: str, value: str) -> None:
    before = dict.get(headers, name)
    dict.__setitem__(headers, name, value if before is None else f"{before}, {value}")
