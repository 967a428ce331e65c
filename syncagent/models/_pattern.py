"""Texts that match a regular expression, for made-up data."""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Optional

__all__ = ["matches_all", "texts_like"]

_MOST_REPEATS = 1_000  # of one item; a longer text is nobody's example
_MOST_STEPS = 100_000  # repeats inside repeats multiply
_SOME = 12  # repeats that give a text of several kinds of characters, for look-aheads that ask for them
_STRIDE = 11  # from one character of such a text to the next
_CHARS = string.ascii_lowercase + string.digits + string.ascii_uppercase + " _-./:" + string.punctuation
_CATEGORIES = {
    "CATEGORY_DIGIT": re.compile(r"\d"),
    "CATEGORY_SPACE": re.compile(r"\s"),
    "CATEGORY_WORD": re.compile(r"\w"),
}


def texts_like(pattern: str, seed: int, min_length: int) -> Iterator[str]:
    """
    A few texts that look like *pattern*; the caller checks them, since look-arounds are not followed.

    Args:
        pattern: a regular expression of :mod:`re`.
        seed: shifts the choice of characters and of branches.
        min_length: the length to aim at.

    Raises:
        re.error: it is no regular expression.
    """
    # Python's own reading of the expression. The module is not documented, but has had this shape since 2.x.
    parser: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
    parsed = parser.parse(pattern)
    for stride in (0, _STRIDE):
        for repeats in (0, 1, min_length, _SOME):
            text = _Sampler(seed, min(repeats, _MOST_REPEATS), stride).sequence(parsed)
            if text is None:
                return
            yield text
            # An expression without anchors matches anywhere.
            yield text.ljust(min_length, "a")
            yield text.rjust(min_length, "a")


class _Sampler:
    """Walks a parsed expression; None stands for an item that no text can be given for."""

    def __init__(self, seed: int, repeats: int, stride: int) -> None:
        self.seed = seed
        self.repeats = repeats
        self.stride = stride
        self.chosen = 0  # characters so far
        self.steps = 0
        self.groups: dict[int, str] = {}

    def sequence(self, parsed: Any) -> Optional[str]:
        texts = []
        for op, arg in parsed:
            self.steps += 1
            text = self._item(str(op), arg) if self.steps < _MOST_STEPS else None
            if text is None:
                return None
            texts.append(text)
        return "".join(texts)

    def _item(self, op: str, arg: Any) -> Optional[str]:
        if op == "LITERAL":
            return chr(arg)
        if op in ("AT", "ASSERT", "ASSERT_NOT"):
            return ""
        if op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = arg
            times = min(max(least, self.repeats), int(most))
            return self.sequence([item for _ in range(times) for item in inner])
        if op == "SUBPATTERN":
            text = self.sequence(arg[-1])
            self.groups[arg[0]] = text or ""
            return text
        if op == "BRANCH":
            branches = arg[1]
            return self.sequence(branches[self.seed % len(branches)])
        if op == "GROUPREF":
            return self.groups.get(arg, "")
        if op == "ATOMIC_GROUP":
            return self.sequence(arg)
        return self._char(op, arg)

    def _char(self, op: str, arg: Any) -> Optional[str]:
        members = arg if op == "IN" else [(op, arg)]
        usual = [char for char in _CHARS if _is_member(char, members)]
        # Letters of another alphabet: those that the expression names.
        named = [
            chr(value if str(kind) == "LITERAL" else value[0])
            for kind, value in members
            if str(kind) in ("LITERAL", "RANGE")
        ]
        chars = usual or named
        if not chars:
            return None
        self.chosen += 1
        return chars[(self.seed + self.stride * (self.chosen - 1)) % len(chars)]


def _is_member(char: str, members: Any) -> bool:
    """Whether a set of a regular expression holds the character."""
    negated = False
    found = False
    for op, arg in members:
        kind = str(op)
        if kind == "NEGATE":
            negated = True
        elif kind == "LITERAL":
            found = found or char == chr(arg)
        elif kind == "NOT_LITERAL":
            found = found or char != chr(arg)
        elif kind == "RANGE":
            found = found or arg[0] <= ord(char) <= arg[1]
        elif kind == "CATEGORY":
            name = str(arg).replace("NOT_", "")
            found = found or (name in _CATEGORIES and bool(_CATEGORIES[name].match(char)) == (name == str(arg)))
        else:
            found = found or kind == "ANY"
    return found != negated


def matches_all(patterns: list[str], text: str) -> bool:
    """Whether each of the expressions is found in the text, as JSON Schema wants it."""
    return all(re.search(pattern, text) for pattern in patterns)
