"""AWS's event stream: frames out of bytes however the network cut them, and nothing out of broken ones."""

from __future__ import annotations

import json
import struct
from typing import Any, Optional
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.exceptions import ModelResponseError
from syncagent.transport.eventstream import eventstream_frames
from syncagent.transport.sse import Frame
from tests.conformance import cut, every_split
from tests.wires.eventstream import event, header, packed


def _text(name: str, value: str) -> bytes:
    data = value.encode()
    return header(name, 7, struct.pack(">H", len(data)) + data)


_TWO = event("a", b'{"x":1}') + event("b", b"")
_FRAMES = [Frame("a", b'{"x":1}'), Frame("b", b"")]


def _read(data: bytes, **kwargs: Any) -> list[Frame]:
    return list(eventstream_frames([data], **kwargs))


@every_split
def test_events(split: str) -> None:
    """Each message is a frame with its type and payload, wherever the bytes were cut."""
    assert list(eventstream_frames(cut(_TWO * 3, split))) == _FRAMES * 3


def test_other_messages() -> None:
    """An exception's name is marked; an error, which has no payload, reads as an exception with a message."""
    exception = _text(":message-type", "exception") + _text(":exception-type", "throttlingException")
    error = _text(":message-type", "error") + _text(":error-code", "Odd") + _text(":error-message", 'a "b"')
    assert _read(packed(exception, b'{"message":"slow"}')) == [
        Frame("exception:throttlingException", b'{"message":"slow"}')
    ]
    (frame,) = _read(packed(error))
    assert frame.event == "exception:Odd"
    assert json.loads(frame.data) == {"message": 'a "b"'}


def test_headers_of_all_types() -> None:
    """Headers that are no text are passed over, by their sizes; the fixed ones and the ones that say theirs."""
    values = [b"", b"", b"1", b"12", b"1234", b"12345678", b"\0\3abc", b"\0\2ab", b"12345678", b"1" * 16]
    headers = b"".join(header(f"h{kind}", kind, value) for kind, value in enumerate(values))
    headers += _text(":message-type", "event") + _text(":event-type", "a")
    assert _read(packed(headers, b"{}")) == [Frame("a", b"{}")]


def test_pauses() -> None:
    """An empty chunk gives the pause, also in the middle of a message; none where none is asked for."""
    pause = Frame("pause", b"")
    pieces = [b"", _TWO[:20], b"", _TWO[20:]]
    assert list(eventstream_frames(pieces, pause=pause)) == [pause, pause, *_FRAMES]
    assert list(eventstream_frames(pieces)) == _FRAMES


@pytest.mark.parametrize("size", [0, 1, 11, 12, 13, len(event("a", b'{"x":1}')) - 1])
def test_cut(size: int) -> None:
    """A message that the end of the stream cuts is dropped; those before it are given."""
    assert _read(_TWO + _TWO[:size]) == _FRAMES


@pytest.mark.parametrize("index", range(len(event("a", b'{"x":1}'))))
def test_checksums(index: int) -> None:
    """A single wrong bit anywhere is noticed, at the latest when the message is whole: no frame comes of it."""
    data = bytearray(_TWO)
    data[index] ^= 1
    with pytest.raises(ModelResponseError, match=r"^The event stream cannot be read: the checksum of a message"):
        _read(bytes(data), model_name="m")


def _with_prelude(length: int, headers: int) -> bytes:
    start = struct.pack(">II", length, headers)
    return start + struct.pack(">I", crc32(start)) + b"x" * 8


_EVENT = _text(":message-type", "event")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_with_prelude(15, 0), "a message of 15 bytes says that its headers have 0"),
        (_with_prelude(100, 85), "a message of 100 bytes says that its headers have 85"),
        (_with_prelude(200_000, 131_073), "a message of 200000 bytes says that its headers have 131073"),
        (_with_prelude(16_777_217, 0), "a message has 16777217 bytes, and 16777216 are allowed"),
        (packed(b""), "a message has the :message-type 'None'"),
        (packed(_text(":message-type", "else")), "a message has the :message-type 'else'"),
        (packed(_EVENT), "an event does not say its type"),
        (packed(_text(":message-type", "exception")), "an exception does not say its type"),
        (packed(_text(":message-type", "error")), "an error does not say its type"),
        (packed(_EVENT + _EVENT), "the header ':message-type' comes twice"),
        (packed(header("a", 10, b"")), "its headers are none (IndexError)"),
        (packed(b"\x05ab"), "its headers are none (IndexError)"),
        (packed(header("a", 7, b"\xff\xffabc")), "a header is longer than all headers together"),
        (packed(header("a", 7, b"\0\1\xff")), "its headers are none (UnicodeDecodeError)"),
    ],
)
def test_broken(data: bytes, words: str) -> None:
    """What has right checksums and is still not of the format is refused by what is wrong with it."""
    with pytest.raises(ModelResponseError) as raised:
        _read(data, model_name="m")
    assert str(raised.value).startswith(f"The event stream cannot be read: {words}.")
    assert raised.value.model_name == "m"


def test_largest() -> None:
    """A message of exactly the limit is read, one byte more is refused before its bytes have come."""
    data = event("a", b"x" * 100)
    assert _read(data, max_event=len(data)) == [Frame("a", b"x" * 100)]
    with pytest.raises(ModelResponseError, match="bytes, and"):
        _read(data[:12], max_event=len(data) - 1)


def test_long_message_in_small_pieces() -> None:
    """A large message that comes byte by byte is one frame."""
    data = event("a", b"y" * 200_000)
    assert list(eventstream_frames(data[index : index + 1] for index in range(len(data)))) == [
        Frame("a", b"y" * 200_000)
    ]


def test_many_kinds_of_headers() -> None:
    """More kinds of headers than are remembered are all read."""
    data = b"".join(event(f"e{number}", b"1") for number in range(100))
    assert [frame.event for frame in _read(data * 2)] == [f"e{number}" for number in range(100)] * 2


# --- compared with botocore ------------------------------------------------------------------------

_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda name: len(name.encode()) < 256)
_values = st.one_of(
    st.sampled_from([(0, b""), (1, b"")]),
    *(
        st.binary(min_size=size, max_size=size).map(lambda value, kind=kind: (kind, value))  # type: ignore[misc] # bound now
        for kind, size in ((2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16))
    ),
    st.binary(max_size=20).map(lambda value: (6, struct.pack(">H", len(value)) + value)),
    st.text(max_size=8).map(lambda value: (7, struct.pack(">H", len(value.encode())) + value.encode())),
)


@st.composite
def _messages(draw: st.DrawFn) -> bytes:
    headers = _text(":message-type", "event") + _text(":event-type", draw(st.sampled_from(["a", "bee"])))
    for name in draw(st.lists(_names, max_size=4, unique=True)):
        headers += header(name, *draw(_values))
    return packed(headers, draw(st.binary(max_size=40)))


def _theirs(data: bytes) -> Optional[list[Frame]]:
    """What botocore reads; None where it refuses."""
    eventstream = pytest.importorskip("botocore.eventstream", reason="the oracle is botocore: pip install botocore")
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(data)
    try:
        return [Frame(message.headers[":event-type"], message.payload) for message in buffer]
    except eventstream.ParserError:
        return None


@given(st.lists(_messages(), max_size=4), st.lists(st.integers(1, 30), max_size=20))
def test_as_botocore(messages: list[bytes], sizes: list[int]) -> None:
    """Whole messages read as botocore reads them, in any pieces."""
    data = b"".join(messages)
    pieces, start = [], 0
    for size in sizes:
        pieces.append(data[start : start + size])
        start += size
    pieces.append(data[start:])
    assert list(eventstream_frames(pieces)) == _theirs(data)


@given(st.lists(_messages(), min_size=1, max_size=2), st.data())
def test_wild_bytes(messages: list[bytes], data: st.DataObject) -> None:
    """Changed bytes are refused where botocore refuses them, and never give other frames."""
    whole = bytearray(b"".join(messages))
    index = data.draw(st.integers(0, len(whole) - 1))
    whole[index] = data.draw(st.integers(0, 255))
    theirs = _theirs(bytes(whole))
    if theirs is None:
        with pytest.raises(ModelResponseError):
            _read(bytes(whole))
    else:
        assert _read(bytes(whole)) == theirs
