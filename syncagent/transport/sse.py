"""
Server-sent events out of bytes, as they arrive.

The format is that of the HTML standard, section 9.2.6 (https://html.spec.whatwg.org/multipage/server-sent-events.html):
lines end at CR, LF or CRLF and nowhere else, wherever the network cut the bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from ..exceptions import ModelResponseError

__all__ = ["Frame", "sse_frames"]

_BOM = b"\xef\xbb\xbf"
_LF, _CR = 10, 13


class Frame(NamedTuple):
    """One event: its name, ``message`` where it has none, and its data, lines joined by LF."""

    event: str
    data: bytes


def sse_frames(
    chunks: Iterable[bytes], *, max_event: int = 1_048_576, model_name: str = "", pause: Optional[Frame] = None
) -> Iterator[Frame]:
    """
    The events in *chunks*; comments (pings) and events without data give nothing.

    An event at the end of the stream that no blank line ends is given where it can be whole: its last line is
    ended, or is ``[DONE]`` or JSON. A cut one is dropped, as the standard says.

    Args:
        chunks: the body in any pieces.
        max_event: bytes that one event may have.
        model_name: for the error.
        pause: what an empty chunk, by which a stream says that it has nothing now, gives; None for nothing.

    Raises:
        ModelResponseError: an event is larger than *max_event*.
    """
    parser = _Parser(max_event, model_name)
    after_cr = False
    for chunk in chunks:
        if not chunk:
            if pause is not None:
                yield pause
            continue
        if after_cr:
            after_cr = False
            if chunk[0] == _LF:
                chunk = chunk[1:]
                if not chunk:
                    continue
        # Nearly every chunk of nearly every server is a whole number of events that LF ends.
        if parser.between and chunk[-2:] == b"\n\n" and b"\r" not in chunk and len(chunk) <= max_event:
            for block in chunk[:-2].split(b"\n\n"):
                if block[:6] == b"data: " and b"\n" not in block:
                    yield Frame("message", block[6:])
                else:
                    yield from parser.frames([*block.split(b"\n"), b""])
        else:
            after_cr = chunk[-1] == _CR
            yield from parser.frames(parser.lines(chunk))
    yield from parser.last()


class _Parser:
    """
    What stands between two chunks.

    Attributes:
        between: no event and no line has begun, and the first line was seen.
    """

    __slots__ = (
        "_data",
        "_event",
        "_has_data",
        "_held",
        "_held_size",
        "_limit",
        "_model_name",
        "_size",
        "_unmarked",
        "between",
    )

    def __init__(self, limit: int, model_name: str) -> None:
        self._limit = limit
        self._model_name = model_name
        self._data: list[bytes] = []
        self._size = 0
        self._held: list[bytes] = []
        self._held_size = 0
        self._event = "message"
        self._has_data = False
        self._unmarked = False
        self.between = False

    def lines(self, chunk: bytes) -> list[bytes]:
        """The lines that *chunk* ends; what it begins is held in pieces, so that long lines cost linear time."""
        lines = chunk.splitlines()
        rest = b"" if chunk[-1] in (_LF, _CR) else lines.pop()
        if lines:
            if self._held:
                self._held.append(lines[0])
                lines[0] = self._take_held()
            if not self._unmarked:
                lines[0] = self._without_mark(lines[0])
        if rest:
            self._held.append(rest)
            self._held_size += len(rest)
            if self._held_size + self._size > self._limit:
                self._too_large()
        return lines

    def frames(self, lines: list[bytes]) -> Iterator[Frame]:
        """The events that *lines* end."""
        for line in lines:
            if line:
                self._field(line)
            else:
                if self._has_data:
                    yield self._frame()
                self._event = "message"
        self.between = not self._held and not self._has_data and self._event == "message"

    def last(self) -> Iterator[Frame]:
        """The stream is over: the event that no blank line ended, where it can be whole."""
        line = self._take_held()
        if not self._unmarked:
            line = self._without_mark(line)
        if line:
            name, _, value = line.partition(b":")
            if name == b"data" and not self._whole(value):
                return
            self._field(line)
        if self._has_data:
            yield self._frame()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._has_data = True
            self._data.append(value)
            self._size += len(value)
            if self._size > self._limit:
                self._too_large()
        elif name == b"event":
            self._event = value[: self._limit].decode("utf-8", "replace") or "message"

    def _frame(self) -> Frame:
        frame = Frame(self._event, self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
        self._data.clear()
        self._size = 0
        self._has_data = False
        return frame

    def _whole(self, value: bytes) -> bool:
        if value.strip() == b"[DONE]":
            return True
        try:
            json.loads(b"\n".join([*self._data, value]))
        except (ValueError, RecursionError):
            return False
        return True

    def _take_held(self) -> bytes:
        line = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        return line

    def _without_mark(self, line: bytes) -> bytes:
        """The first line without the byte order mark that may stand before it."""
        self._unmarked = True
        return line[3:] if line[:3] == _BOM else line

    def _too_large(self) -> None:
        raise ModelResponseError(
            f"One event of the stream is larger than {self._limit} bytes.", model_name=self._model_name
        )
