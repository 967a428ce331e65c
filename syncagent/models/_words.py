"""
What the texts of errors are made of.

An error is printed, logged and stored where an answer is not. So its text names fields and types, and holds no value
out of an answer or a message; what a provider says of an error of its own is cut, for it may be of any length.
"""

from __future__ import annotations

import re
from typing import NoReturn, Optional

__all__ = [
    "cut_code",
    "cut_message",
    "no_json_form",
    "provider_failed",
    "quoted_type",
    "short",
    "text_of",
    "wrong",
    "wrong_count",
]

_MESSAGE = 2_000  # characters
_CODE = 200
_NAME = 200
_TYPE = re.compile(r"[a-z][a-z0-9.+-]{0,39}(?:/[a-z0-9][a-z0-9.+-]{0,79})?")
_REASONS = (": a value of type ", ": a key of type ", ": nested deeper than ")


def wrong(path: str, expected: str, value: object) -> NoReturn:
    """Raise ``ValueError``: what stands at *path* is of another type than expected."""
    came = "nothing" if value is None else "an empty list" if value == [] else type(value).__name__
    raise ValueError(f"{path}: expected {expected}, got {came}")


def wrong_count(path: str, value: object) -> NoReturn:
    """Raise ``ValueError``: what stands at *path* is no number of tokens."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    came = "nothing" if value is None else "another number" if number else type(value).__name__
    raise ValueError(f"{path}: expected a number of tokens, got {came}")


def text_of(value: object, path: str) -> str:
    """The value, which has to be text."""
    if not isinstance(value, str):
        wrong(path, "text", value)
    return value


def cut_message(message: object) -> Optional[str]:
    """What a provider says of an error; None where it says nothing."""
    if message is None or message == "":
        return None
    return (message if isinstance(message, str) else str(message))[:_MESSAGE]


def cut_code(code: object) -> Optional[str]:
    """A provider's code, status or type of an error; None where there is none."""
    if code is None or code == "":
        return None
    return (code if isinstance(code, str) else str(code))[:_CODE]


def provider_failed(message: object, code: object = None) -> NoReturn:
    """Raise ``ValueError``: an error of the provider's stands where an answer should."""
    said, shown = cut_message(message), cut_code(code)
    raise ValueError(f"the provider sent an error: {said or 'without a message'}" + (f" ({shown})" if shown else ""))


def short(name: str) -> str:
    """A model's name as a text can hold it."""
    return name if len(name) <= _NAME else name[:_NAME] + "..."


def quoted_type(kind: str) -> str:
    """A media type, quoted; what does not look like one may be anything a user said."""
    return repr(kind) if _TYPE.fullmatch(kind) else "(no media type)"


def no_json_form(error: TypeError) -> str:
    """Why something has no JSON form, without the keys on the way to it, which are a user's or a model's."""
    text = str(error)
    place = max(text.rfind(reason) for reason in _REASONS)
    return text[place + 2 :] if place >= 0 else "a value in it has no JSON form."
