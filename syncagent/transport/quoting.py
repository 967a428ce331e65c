"""What a server's words hold: quotations of what it was asked, however they are written, and texts of an answer."""

from __future__ import annotations

import re
from typing import Union

__all__ = ["is_event_stream", "repeats", "unescaped", "without_texts"]

_REPEATED = 16  # letters and digits in a row that are quoted
_BLOCK = 8  # a run of 16 holds at least one whole block of these, wherever it begins
_LOOKED_AT = 500  # characters of the words
_SEARCHED = 4_194_304  # bytes of a request
_HITS = 200  # places in it that begin alike; a request that has more is not looked through for one text
_SHORTEST = 4  # letters and digits of a prompt that is looked for as a whole

# One pass: what an escape gives is not read again as the beginning of another one.
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\(.)|%([0-9a-fA-F]{2})", re.DOTALL)
_ENTITY = re.compile("&#?[0-9a-zA-Z]{1,31};")
_BLANKS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_JSON_ESCAPES = re.compile(rb"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
# The texts of a request that are short enough to be quoted whole without a run of 16.
_SHORT_TEXTS = re.compile(rb'"(?:content|input|prompt|query|text)"\s*:\s*"((?:[^"\\]|\\.){4,60})"')
# Any text of JSON or of Python, the last one perhaps cut, and the colon of a key after it; each character is looked
# at once.
_TEXTS = re.compile(
    r""""[^"\\]*(?:\\.[^"\\]*)*(?:"(\s*:)?|\Z)|(?<!\w)'[^'\\]*(?:\\.[^'\\]*)*(?:'(\s*:)?|\Z)""", re.DOTALL
)
_EVENTS = re.compile(r"^(?:data|event|id|retry)?:", re.MULTILINE)
_LOWER = bytes.maketrans(bytes(range(65, 91)), bytes(range(97, 123)))
_OTHERS = bytes(code for code in range(128) if not chr(code).isalnum())


def unescaped(text: str) -> str:
    """*text* without the escapes of JSON, URLs and HTML."""
    if "\\" in text or "%" in text:
        text = _ESCAPE.sub(_character, text)
    if "&" in text:
        import html  # two thousand names; nobody needs them before a server says something odd

        text = _ENTITY.sub(lambda found: html.unescape(found.group()), text)
    return text


def repeats(text: str, asked: bytes) -> bool:
    """
    Whether *text* holds sixteen letters and digits in a row of the request *asked*, or one of its short texts.

    The case of ASCII letters, blanks, marks and escapes make no difference. Of a text its first 500 characters are
    looked at; a request of more than 4 MiB is taken to be repeated.
    """
    if len(asked) > _SEARCHED:
        return True
    words = _plain(unescaped(text[:_LOOKED_AT]))
    searched = _written(asked)
    for start in range(0, len(words) - _BLOCK + 1, _BLOCK):
        if _has_run(words, start, searched):
            return True
    shorts = map(_written, _SHORT_TEXTS.findall(asked))
    return any(len(short) >= _SHORTEST and short in words for short in shorts)


def without_texts(text: str) -> str:
    """*text* with the texts in it blanked, those of JSON and of Python, but for keys."""
    return _TEXTS.sub(lambda found: found.group() if found.group(1) or found.group(2) else '"..."', text)


def is_event_stream(text: str) -> bool:
    """Whether *text* begins as server-sent events do."""
    return _EVENTS.match(text) is not None


def _has_run(words: bytes, start: int, searched: bytes) -> bool:
    """Whether the block of *words* at *start* stands in *searched* as part of a run that is long enough."""
    block = words[start : start + _BLOCK]
    place = searched.find(block)
    for _ in range(_HITS):
        if place < 0:
            return False
        before = 0
        while (
            before < _REPEATED
            and before < min(start, place)
            and words[start - before - 1] == searched[place - before - 1]
        ):
            before += 1
        after = _BLOCK
        while (
            before + after < _REPEATED
            and start + after < len(words)
            and place + after < len(searched)
            and words[start + after] == searched[place + after]
        ):
            after += 1
        if before + after >= _REPEATED:
            return True
        place = searched.find(block, place + 1)
    return place >= 0


def _written(asked: bytes) -> bytes:
    """The same of JSON as we write it, in which an escape never stands for a letter."""
    return _plain(_JSON_ESCAPES.sub(b" ", asked) if b"\\" in asked else asked)


def _plain(text: Union[str, bytes]) -> bytes:
    """Letters and digits alone, small ones."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return data.translate(_LOWER, _OTHERS)


def _character(found: re.Match[str]) -> str:
    unicode, octet, other, percent = found.groups()
    code = unicode or octet or percent
    return chr(int(code, 16)) if code else _BLANKS.get(other, other)
