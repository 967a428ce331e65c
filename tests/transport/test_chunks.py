"""The chunked transfer coding, however the bytes were cut."""

from __future__ import annotations

import http.client
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.transport.chunks import Chunks

ENDS = [b"0\r\n\r\n", b"0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n", b"000;last\r\n\r\n", b"0\n\n"]


def decode(*pieces: bytes) -> tuple[bytes, bool, bytes]:
    """What the pieces hold, whether they hold the end, and what came after it."""
    chunks = Chunks()
    out = []
    for index, piece in enumerate(pieces):
        out.append(chunks.feed(piece))
        if chunks.ended:
            return b"".join(out), True, chunks.rest + b"".join(pieces[index + 1 :])
    return b"".join(out), False, b""


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """The body, cut at *places*."""
    borders = sorted({0, len(body), *(min(place, len(body)) for place in places)})
    return [body[start:end] for start, end in zip(borders, borders[1:])]


class Wire:
    """A socket to http.client."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)


EXTENSIONS = st.sampled_from([b"", b";a=b", b" ; x", b"  "])


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), EXTENSIONS), max_size=8),
    st.sampled_from(ENDS),
    st.lists(st.integers(0, 400), max_size=20),
    st.sampled_from([b"", b"HTTP/1.1 200 OK"]),
)
def test_any_chunks_in_any_pieces(
    pieces: list[tuple[bytes, bytes]], end: bytes, places: list[int], after: bytes
) -> None:
    """Any chunks, extensions and trailers in any pieces give the body that http.client gives, and what follows."""
    body = b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extra, piece) for piece, extra in pieces) + end
    assert decode(*cut(body + after, places)) == (b"".join(piece for piece, _ in pieces), True, after)
    sock: Any = Wire(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    theirs = http.client.HTTPResponse(sock)
    theirs.begin()
    assert theirs.read() == b"".join(piece for piece, _ in pieces)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=20))
def test_any_bytes(data: bytes, places: list[int]) -> None:
    """What is no chunked body is an error of http.client's or has no end, whatever pieces it comes in."""

    def outcome(*pieces: bytes) -> tuple[object, ...]:
        try:
            return decode(*pieces)[1:]
        except http.client.IncompleteRead:
            return ("broken",)

    assert outcome(*cut(data, places)) == outcome(data)


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"\r\n",
        b"-1\r\nx\r\n",
        b"+1\r\nx\r\n",
        b"1_0\r\n",
        b"0x1\r\nx\r\n",
        b"1\r\nxy\r\n0\r\n\r\n",
        b"1\r\nx\n\n0\r\n\r\n",
        b"1 2\r\nx\r\n",
        "\u0661\r\nx\r\n".encode(),
        b"1" * 17 + b"\r\n",
    ],
)
def test_what_is_no_chunk(body: bytes) -> None:
    """A size that is none, and data that is longer than its size, break the answer."""
    with pytest.raises(http.client.IncompleteRead):
        decode(body)


@pytest.mark.parametrize("start", [b"", b"1\r\nx\r\n", b"0\r\nX: "])
def test_lines_without_end(start: bytes) -> None:
    """A size line or trailers without an end are an error at 64 KiB."""
    with pytest.raises(http.client.LineTooLong):
        decode(start, *[b"1" * 1000] * 70)


def test_trailers_without_end() -> None:
    """Many short trailers are an error, too."""
    with pytest.raises(http.client.LineTooLong):
        decode(b"0\r\n", *[b"X: " + b"1" * 1000 + b"\r\n"] * 70)


@pytest.mark.parametrize("line", [b"5;a=b\rhello", b"5;a=b\n", b"5;a=\rb\r\n", b"5 ;\n"])
def test_extensions_that_end_in_half_a_line_break(line: bytes) -> None:
    """A CR or an LF alone behind an extension ends the connection: it could hide the beginning of an answer."""
    with pytest.raises(http.client.IncompleteRead):
        decode(line + b"hello\r\n0\r\n\r\n")
