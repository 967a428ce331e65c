"""
AWS's binary event stream out of bytes, as they arrive.

The format is that of https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html and of
https://smithy.io/2.0/aws/amazon-eventstream.html: a message is its length, the length of its headers, a checksum
of those two, the headers, the payload, and a checksum of it all. Numbers are big-endian, checksums CRC-32.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from typing import NoReturn, Optional
from zlib import crc32

from ..exceptions import ModelResponseError
from .sse import Frame

__all__ = ["EXCEPTION", "eventstream_frames"]

EXCEPTION = "exception:"
"""What stands before the name of a frame that is an exception of the service's."""

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_SMALLEST = 16  # bytes of a message with neither headers nor payload
_MOST_HEADERS = 131_072  # the format's own limit
_MOST_NAMES = 64  # header blocks whose meaning is remembered: the same few come all the time
_TEXT = 7
# Bytes of a header's value by its type; those of -2 have their length before them.
_SIZES = (0, 0, 1, 2, 4, 8, -2, -2, 8, 16)


def eventstream_frames(
    chunks: Iterable[bytes], *, max_event: int = 16_777_216, model_name: str = "", pause: Optional[Frame] = None
) -> Iterator[Frame]:
    """
    The messages in *chunks*, each with its ``:event-type`` as the name and its payload as the data.

    An exception's name is :data:`EXCEPTION` and its ``:exception-type``. An error, which has no payload, becomes an
    exception named by its ``:error-code`` whose data is a JSON object with the ``message``. A message that the end
    of the stream cuts is dropped.

    Args:
        chunks: the body in any pieces.
        max_event: bytes that one message may have; a streamed image comes in one.
        model_name: for the error.
        pause: what an empty chunk, by which a stream says that it has nothing now, gives; None for nothing.

    Raises:
        ModelResponseError: a checksum is wrong, a message is larger than *max_event*, or it is not of this format.
    """
    held = bytearray()
    needed = _PRELUDE.size  # bytes before anything can be done
    names: dict[bytes, Optional[str]] = {}
    try:
        for chunk in chunks:
            if not chunk:
                if pause is not None:
                    yield pause
                continue
            held += chunk
            if len(held) < needed:
                continue
            at, size = 0, len(held)
            # One copy of what came: slices of it are cheap, and of one small message there is nothing else.
            data = bytes(held)
            while size - at >= _PRELUDE.size:
                length = _length(data, at, max_event)
                if size - at < length:
                    needed = length
                    break
                yield _message(data, at, length, names)
                at += length
                needed = _PRELUDE.size
            if at:
                del held[:at]
    except _Broken as error:
        raise ModelResponseError(f"The event stream cannot be read: {error}.", model_name=model_name) from None


class _Broken(Exception):
    """The bytes are not of the format."""


def _length(data: bytes, at: int, limit: int) -> int:
    """The whole length of the message that begins at *at*, once its prelude proved right."""
    length, headers, crc = _PRELUDE.unpack_from(data, at)
    if crc32(data[at : at + 8]) != crc:
        raise _Broken("the checksum of a message's beginning is wrong")
    if headers > _MOST_HEADERS or length < _SMALLEST + headers:
        raise _Broken(f"a message of {length} bytes says that its headers have {headers}")
    if length > limit:
        raise _Broken(f"a message has {length} bytes, and {limit} are allowed")
    return int(length)


def _message(data: bytes, at: int, length: int, names: dict[bytes, Optional[str]]) -> Frame:
    end = at + length - _CRC.size
    if crc32(data[at:end]) != _CRC.unpack_from(data, end)[0]:
        raise _Broken("the checksum of a message is wrong")
    start = at + _PRELUDE.size
    middle = start + int.from_bytes(data[at + 4 : at + 8], "big")
    block = data[start:middle]
    name = names.get(block)
    if name is None:
        headers = _headers(block)
        name = _name(headers)
        if headers.get(":message-type") == "error":
            return Frame(name, json.dumps({"message": headers.get(":error-message")}).encode())
        if len(names) < _MOST_NAMES:
            names[block] = name
    return Frame(name, data[middle:end])


def _name(headers: dict[str, Optional[str]]) -> str:
    kind = headers.get(":message-type")
    if kind == "event":
        return headers.get(":event-type") or _nameless(kind)
    if kind == "exception":
        return EXCEPTION + (headers.get(":exception-type") or _nameless(kind))
    if kind == "error":
        return EXCEPTION + (headers.get(":error-code") or _nameless(kind))
    raise _Broken(f"a message has the :message-type {str(kind)[:40]!r}")


def _nameless(kind: str) -> NoReturn:
    raise _Broken(f"an {kind} does not say its type")


def _headers(block: bytes) -> dict[str, Optional[str]]:
    """The headers that are text; None for those of another type."""
    headers: dict[str, Optional[str]] = {}
    at, size = 0, len(block)
    try:
        while at < size:
            start = at + 1
            at = start + block[at]
            name = block[start:at].decode()
            kind = block[at]
            at += 1
            length = _SIZES[kind]
            if length < 0:
                length = int.from_bytes(block[at : at + 2], "big")
                at += 2
            if at + length > size:
                raise _Broken("a header is longer than all headers together")
            if name in headers:
                raise _Broken(f"the header {name[:40]!r} comes twice")
            headers[name] = block[at : at + length].decode() if kind == _TEXT else None
            at += length
    except (IndexError, UnicodeDecodeError) as error:
        raise _Broken(f"its headers are none ({type(error).__name__})") from None
    return headers
