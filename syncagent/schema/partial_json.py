"""
JSON that has not finished arriving.

A reader that is fed text in pieces of any size and can say at any moment what the value is so far. Every
character is read once, however many pieces it comes in, and the value is built in place, so that looking at it
after each piece costs no copy of what came before.

What counts as JSON is RFC 8259, read as :mod:`~syncagent.schema.structure` reads the whole: no ``NaN``, no number
too large for a float; of a key that comes twice the last value counts, and half of a surrogate pair stays.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final, Optional, Union

__all__ = ["MAX_DEPTH", "MAX_NUMBER", "MISSING", "PartialJson", "parse_partial"]

MAX_DEPTH = 200  # arrays and objects inside each other
MAX_NUMBER = 4300  # characters of a number: the limit that CPython sets for reading integers


class _Missing:
    """The value where nothing has come yet."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

# What the reader waits for. Numbers have states of their own, by what they hold so far.
_VALUE, _FIRST_ITEM, _FIRST_KEY, _KEY, _COLON, _NEXT, _STRING, _WORD, _NUMBER = range(9)

# None of these can match in more than one way: each is one pass over the text.
_BLANK = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(r"[0-9]*")
_HEX = re.compile(r"[0-9a-fA-F]{0,4}")

_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: dict[str, tuple[str, Any]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}

# A number so far: after "-", "0", digits, ".", digits of the fraction, "e", its sign, digits of the exponent.
_SIGN, _ZERO, _INTEGER, _POINT, _FRACTION, _E, _E_SIGN, _EXPONENT = range(8)
_WHOLE = frozenset({_ZERO, _INTEGER, _FRACTION, _EXPONENT})  # the states in which a number may end
_AFTER_DIGITS = {
    _SIGN: _INTEGER,
    _INTEGER: _INTEGER,
    _POINT: _FRACTION,
    _FRACTION: _FRACTION,
    _E: _EXPONENT,
    _E_SIGN: _EXPONENT,
    _EXPONENT: _EXPONENT,
}
_AFTER_SIGN = {
    (_ZERO, "."): _POINT,
    (_INTEGER, "."): _POINT,
    (_ZERO, "e"): _E,
    (_INTEGER, "e"): _E,
    (_FRACTION, "e"): _E,
    (_E, "+"): _E_SIGN,
    (_E, "-"): _E_SIGN,
}


class PartialJson:
    """
    Reads JSON that comes in pieces.

    >>> reader = PartialJson()
    >>> reader.feed('{"name": "Ada", "born": 18')
    >>> reader.value()
    {'name': 'Ada'}
    >>> reader.feed('15, "field": "mathem')
    >>> reader.value()
    {'name': 'Ada', 'born': 1815, 'field': 'mathem'}

    Attributes:
        complete: whether the text so far is a whole JSON text.
    """

    __slots__ = (
        "_done",
        "_error",
        "_expected",
        "_in_key",
        "_key",
        "_length",
        "_number",
        "_offset",
        "_pieces",
        "_placed",
        "_rest",
        "_root",
        "_stack",
        "_state",
    )

    def __init__(self) -> None:
        self._state = _VALUE
        self._root: Any = MISSING
        self._done = False
        self._stack: list[Union[dict[str, Any], list[Any]]] = []
        self._key = ""  # of the object on top of the stack, once it has been read
        self._in_key = False
        self._placed = False  # whether the open string stands in its container already
        self._pieces: list[str] = []  # of the string, number or word that is open
        self._length = 0  # of the number that is open
        self._number = _SIGN
        self._expected: tuple[str, Any] = ("", None)  # the word that is open
        self._rest = ""  # an escape that is cut in two, 11 characters at most
        self._offset = 0
        self._error: Optional[str] = None

    @property
    def complete(self) -> bool:
        """Whether the text so far is a whole JSON text (a number at the top may still go on)."""
        if self._error is not None:
            return False
        return self._done or (self._state == _NUMBER and not self._stack and self._number in _WHOLE)

    def feed(self, text: str) -> None:
        """
        Read the next piece.

        Args:
            text: the piece; may be empty and may end anywhere, inside an escape too.

        Raises:
            ValueError: the text cannot become valid JSON, whatever follows. The message says what came where,
                counted in characters from the start; the value up to there stays, and every further call
                raises the same error.
        """
        if self._error is not None:
            raise ValueError(self._error)
        if self._rest:
            text, self._offset, self._rest = self._rest + text, self._offset - len(self._rest), ""
        try:
            self._read(text)
        except ValueError as error:
            self._error = str(error)
            raise
        self._offset += len(text)

    def value(self) -> Any:
        """
        The value so far.

        Strings stand as far as they came, without an escape that is cut in two. Numbers and words (``true``)
        come once they have ended, since ``12`` may become ``120``; a key comes with its value. Only a number at
        the top, which nothing but the end of the text can end, is there as soon as it is a number.

        Returns:
            The value, or :data:`MISSING` where none has begun. Arrays and objects are live: they are the same
            ones each time, and :meth:`feed` goes on filling them. Who keeps one copies it; who changes one
            changes what comes.
        """
        if self._error is not None:
            return self._root
        if self._state == _STRING and not self._in_key:
            self._pieces = ["".join(self._pieces)]
            self._place(self._pieces[0])
            self._placed = True
        elif self._state == _NUMBER and self.complete:
            return self._to_number(0)
        return self._root

    # -- reading -------------------------------------------------------------------------------

    def _read(self, text: str) -> None:
        position, end = 0, len(text)
        while position < end:
            state = self._state
            if state == _STRING:
                position = self._read_string(text, position)
                continue
            if state == _NUMBER:
                position = self._read_number(text, position)
                continue
            if state == _WORD:
                position = self._read_word(text, position)
                continue
            character = text[position]
            if character in " \t\n\r":
                position = _BLANK.match(text, position).end()  # type: ignore[union-attr]  # matches the empty text
            elif state == _NEXT:
                position = self._read_next(character, position)
            elif state == _COLON:
                if character != ":":
                    raise self._unexpected(character, position, "':'")
                self._state = _VALUE
                position += 1
            elif state == _KEY or state == _FIRST_KEY:
                if character == '"':
                    self._open_string(in_key=True)
                elif character == "}" and state == _FIRST_KEY:
                    self._close()
                else:
                    raise self._unexpected(character, position, "a key in double quotes")
                position += 1
            elif character == "]" and state == _FIRST_ITEM:
                self._close()
                position += 1
            else:
                position = self._begin_value(character, position)

    def _read_next(self, character: str, position: int) -> int:
        """A value has ended: a comma, the end of its container, or nothing at all."""
        if not self._stack:
            raise self._unexpected(character, position, "nothing after the value")
        in_object = isinstance(self._stack[-1], dict)
        if character == ",":
            self._state = _KEY if in_object else _VALUE
        elif character == ("}" if in_object else "]"):
            self._close()
        else:
            raise self._unexpected(character, position, "',' or '}'" if in_object else "',' or ']'")
        return position + 1

    def _begin_value(self, character: str, position: int) -> int:
        if character == '"':
            self._open_string(in_key=False)
        elif character == "{":
            self._open({}, _FIRST_KEY, position)
        elif character == "[":
            self._open([], _FIRST_ITEM, position)
        elif character in _WORDS:
            self._state, self._expected, self._pieces, self._length = _WORD, _WORDS[character], [], 0
            return position  # the word is read from its first letter
        elif character == "-" or character in "0123456789":
            self._state, self._pieces, self._length = _NUMBER, [character], 1
            self._number = _SIGN if character == "-" else _ZERO if character == "0" else _INTEGER
        else:
            raise self._unexpected(character, position, "a value")
        return position + 1

    def _read_word(self, text: str, position: int) -> int:
        word, value = self._expected
        piece = text[position : position + len(word) - self._length]
        wanted = word[self._length : self._length + len(piece)]
        if piece != wanted:
            wrong = next(index for index in range(len(piece)) if piece[index] != wanted[index])
            raise self._unexpected(piece[wrong], position + wrong, f"{word!r}")
        self._length += len(piece)
        if self._length == len(word):
            self._end(value)
        return position + len(piece)

    def _read_number(self, text: str, position: int) -> int:
        start, end, number = position, len(text), self._number
        while position < end:
            character = text[position]
            if character in "0123456789":
                if number == _ZERO:
                    raise self._unexpected(character, position, "no digit after a leading zero")
                if number == _SIGN and character == "0":
                    number, position = _ZERO, position + 1
                else:
                    number = _AFTER_DIGITS[number]
                    position = _DIGITS.match(text, position).end()  # type: ignore[union-attr]  # matches the empty text
                continue
            following = _AFTER_SIGN.get((number, "e" if character == "E" else character))
            if following is None:
                break
            number, position = following, position + 1
        self._number = number
        self._length += position - start
        self._pieces.append(text[start:position])
        if self._length > MAX_NUMBER:
            raise ValueError(f"A number of more than {MAX_NUMBER} characters at character {self._offset + position}.")
        if position < end:
            if number in _WHOLE:
                self._end(self._to_number(position))
            else:
                raise self._unexpected(text[position], position, "a digit")
        elif self.complete:
            self._to_number(position)  # at the top nothing may follow: too large is too large now
        return position

    def _to_number(self, position: int) -> Union[int, float]:
        text = "".join(self._pieces)
        if self._number <= _INTEGER:
            return int(text)
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"A number too large for a float ends at character {self._offset + position}.")
        return number

    # -- strings -------------------------------------------------------------------------------

    def _open_string(self, *, in_key: bool) -> None:
        self._state, self._in_key, self._pieces = _STRING, in_key, []

    def _read_string(self, text: str, position: int) -> int:
        pieces, end = self._pieces, len(text)
        while True:
            plain = _PLAIN.match(text, position).end()  # type: ignore[union-attr]  # matches the empty text
            if plain > position:
                pieces.append(text[position:plain])
                position = plain
            if position == end:
                return end
            character = text[position]
            if character == '"':
                self._end_string()
                return position + 1
            if character != "\\":
                raise self._unexpected(character, position, "no control character in a string")
            after = self._read_escape(text, position)
            if after == position:
                self._rest = text[position:]
                return end
            position = after

    def _end_string(self) -> None:
        text = "".join(self._pieces)
        if self._in_key:
            self._key, self._state = text, _COLON
        else:
            self._end(text)

    def _read_escape(self, text: str, position: int) -> int:
        """Read the escape at *position*; gives where it ends, or *position* where the text ends before."""
        letter = text[position + 1 : position + 2]
        if not letter:
            return position
        if letter != "u":
            if letter not in _ESCAPES:
                raise self._unexpected(letter, position + 1, 'an escape: one of "\\/bfnrtu')
            self._pieces.append(_ESCAPES[letter])
            return position + 2
        code = self._read_hex(text, position + 2)
        if code < 0:
            return position
        after = position + 6
        if 0xD800 <= code <= 0xDBFF and "\\u".startswith(text[after : after + 2]):
            if len(text) < after + 2:
                return position  # the other half of the pair may follow
            low = self._read_hex(text, after + 2)
            if low < 0:
                return position
            if 0xDC00 <= low <= 0xDFFF:
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                after += 6
        self._pieces.append(chr(code))
        return after

    def _read_hex(self, text: str, position: int) -> int:
        """The number that four hexadecimal digits make, or -1 where the text ends before."""
        end = _HEX.match(text, position).end()  # type: ignore[union-attr]  # matches the empty text
        if end - position == 4:
            return int(text[position:end], 16)
        if end < len(text):
            raise self._unexpected(text[end], end, "a hexadecimal digit")
        return -1

    # -- building ------------------------------------------------------------------------------

    def _place(self, value: Any) -> None:
        """Put a value where it belongs, in place of the shorter one that an open string has left there."""
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        if isinstance(top, dict):
            top[self._key] = value
        elif self._placed:
            top[-1] = value
        else:
            top.append(value)

    def _end(self, value: Any) -> None:
        self._place(value)
        self._placed = False
        self._state = _NEXT
        self._done = not self._stack

    def _open(self, container: Union[dict[str, Any], list[Any]], state: int, position: int) -> None:
        if len(self._stack) == MAX_DEPTH:
            raise ValueError(
                f"Nested deeper than {MAX_DEPTH} arrays and objects at character {self._offset + position}."
            )
        self._place(container)
        self._stack.append(container)
        self._state = state

    def _close(self) -> None:
        self._stack.pop()
        self._state = _NEXT
        self._done = not self._stack

    def _unexpected(self, character: str, position: int, expected: str) -> ValueError:
        place = self._offset + position
        return ValueError(f"Invalid JSON: expected {expected}, got {character!r} at character {place}.")


def parse_partial(text: str) -> Any:
    """
    Read JSON that may be cut off.

    >>> parse_partial('{"cities": ["Oslo", "Ber')
    {'cities': ['Oslo', 'Ber']}

    Args:
        text: the text so far.

    Returns:
        The value so far, as :meth:`PartialJson.value` gives it.

    Raises:
        ValueError: the text cannot become valid JSON, whatever follows.
    """
    reader = PartialJson()
    reader.feed(text)
    return reader.value()
