"""Server-sent events, however the bytes were cut."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.exceptions import ModelResponseError
from syncagent.transport import Frame, sse_frames


def parse(*chunks: bytes, max_event: int = 1_048_576) -> list[tuple[str, bytes]]:
    return [(frame.event, frame.data) for frame in sse_frames(chunks, max_event=max_event)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"data: a\n\n", [("message", b"a")]),
        (b"data:a\n\ndata:  b\n\n", [("message", b"a"), ("message", b" b")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [("message", b"a"), ("message", b"b"), ("message", b"c")]),
        (b"event: delta\ndata: a\n\ndata: b\n\n", [("delta", b"a"), ("message", b"b")]),
        (b"event: delta\n\ndata: b\n\n", [("message", b"b")]),
        (b"event:\ndata: b\n\n", [("message", b"b")]),
        (b"data: a\ndata: b\ndata\n\n", [("message", b"a\nb\n")]),
        (b"data:\n\n", [("message", b"")]),
        (b"data\n\n", [("message", b"")]),
        (b": ping\n\n:\n\n", []),
        (b"id: 7\nretry: 5\nfoo: bar\nfoo\n\n", []),
        (b"\n\n\ndata: a\n\n\n\n", [("message", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", b"a")]),
        (b"data: \xe2\x80\xa8\xc2\x85\x0b\x0c\x1c\x1e\n\n", [("message", b"\xe2\x80\xa8\xc2\x85\x0b\x0c\x1c\x1e")]),
        (b"data: a: b\n\n", [("message", b"a: b")]),
        (b"event: x\rdata: 1\r\r", [("x", b"1")]),
        (b"data: a\n", [("message", b"a")]),
        (b"data: [DONE]", [("message", b"[DONE]")]),
        (b'\xef\xbb\xbfdata: {"a": 1}', [("message", b'{"a": 1}')]),
        (b'data: {"a":\ndata: 1}', [("message", b'{"a":\n1}')]),
        (b'data: 1\n\ndata: {"a": ', [("message", b"1")]),
        (b'data: 1\n\ndata: {"a": "\xff', [("message", b"1")]),
        (b"data: " + b"[" * 100_000, []),
        (b"data: 1\nev", [("message", b"1")]),
        (b"event: \xff\ndata: 1\n\n", [("\ufffd", b"1")]),
    ],
)
def test_bodies(body: bytes, expected: list[tuple[str, bytes]]) -> None:
    """Line ends, names, comments, marks and endings are read as the standard says, in one piece or byte by byte."""
    assert parse(body) == expected
    if len(body) < 1000:
        assert parse(*(body[index : index + 1] for index in range(len(body)))) == expected
        assert parse(b"", body[:9], b"", body[9:], b"") == expected


LINES = st.sampled_from(
    [b"data: x", b"data:", b"data: [1]", b"event: e", b"event:", b": c", b"id: 1", b"nonsense", b"", b"", b"data: \xc3"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def plainly(lines: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """The standard's algorithm in its own words, on lines that are known."""
    name = ""
    data: list[bytes] = []
    for line in lines:
        if not line:
            if data:
                yield name or "message", b"\n".join(data)
            name, data = "", []
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode()


@given(st.lists(st.tuples(LINES, ENDS), max_size=30), st.lists(st.integers(0, 200), max_size=12), st.booleans())
def test_any_cut_of_any_events(lines: list[tuple[bytes, bytes]], cuts: list[int], mark: bool) -> None:
    """Any events with any line ends in any pieces are what the standard's own algorithm reads out of their lines."""
    lines = [*lines, (b"", b"\n")]
    # LF after CR is one line end, so an empty line that only LF ends would vanish after one that CR ends.
    for index in range(1, len(lines)):
        if lines[index - 1][1] == b"\r" and lines[index][0] == b"" and lines[index][1] == b"\n":
            lines[index] = (b"", b"\r\n")
    body = (b"\xef\xbb\xbf" if mark else b"") + b"".join(line + end for line, end in lines)
    places = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    chunks = [body[start:end] for start, end in zip(places, places[1:])]
    assert parse(*chunks) == list(plainly([line for line, _ in lines]))


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_any_bytes(body: bytes, cuts: list[int]) -> None:
    """Whatever comes, the pieces it comes in change nothing."""
    places = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    assert parse(*(body[start:end] for start, end in zip(places, places[1:]))) == parse(body)


def test_against_httpx_sse() -> None:
    """Another reader of the same format agrees on what a provider sends."""
    httpx_sse = pytest.importorskip("httpx_sse")
    body = b'event: a\ndata: {"x": 1}\n\n: ping\n\ndata: b\r\ndata: c\r\n\r\nid: 3\ndata: d\n\n'
    decoder = httpx_sse._decoders.SSEDecoder()
    theirs = [event for event in map(decoder.decode, body.decode().splitlines()) if event]
    assert [(event.event, event.data.encode()) for event in theirs] == parse(body)


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * 101 + b"\n\n"],
        [b"data: " + b"x" * 60 + b"\n", b"data: " + b"x" * 60 + b"\n"],
        [b"x" * 60, b"x" * 60],
        [b"data: 1\n\n", b"data: ", b"x" * 120, b"\n\n"],
    ],
)
def test_the_limit(chunks: list[bytes]) -> None:
    """An event or a line above the limit is an error that names the limit and the model."""
    with pytest.raises(ModelResponseError, match="larger than 100 bytes") as caught:
        list(sse_frames(chunks, max_event=100, model_name="m"))
    assert caught.value.model_name == "m"


def test_the_limit_is_of_one_event() -> None:
    """Many events in one chunk, and comments without end, are no large event."""
    assert len(parse(b"data: 12345\n\n" * 50, max_event=100)) == 50
    assert parse(*[b": ping\n"] * 1000, max_event=100) == []


def test_frames_come_at_once() -> None:
    """An event is there with the chunk that ends it, a CR included."""

    def chunks() -> Iterator[bytes]:
        for chunk in (b"data: 1\r\n\r", b"\ndata: 2\n", b"\n"):
            yield chunk
            seen.append("next")

    seen: list[object] = []
    for frame in sse_frames(chunks()):
        seen.append(frame)
    assert seen == [Frame("message", b"1"), "next", "next", Frame("message", b"2"), "next"]


@pytest.mark.stress
def test_long_lines_cost_linear_time() -> None:
    """Twice as long a line in twice as many pieces takes about twice the time."""

    def cost(pieces: int) -> float:
        began = time.process_time()
        assert len(parse(b"data: ", *[b"x" * 64] * pieces, b"\n\n", max_event=1 << 30)) == 1
        return time.process_time() - began

    cost(10_000)
    small = min(cost(20_000) for _ in range(3))
    assert min(cost(200_000) for _ in range(3)) < small * 30
