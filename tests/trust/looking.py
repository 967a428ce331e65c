"""Where a secret may be found: every way in which an error is shown, stored, or printed with its variables."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator
from typing import Any

__all__ = ["chain", "leaks", "said", "variables"]


def chain(error: BaseException) -> Iterator[BaseException]:
    """*error*, its members, and what Python prints before it."""
    todo: list[Any] = [error]
    while todo:
        link = todo.pop()
        if link is not None:
            yield link
            todo += [link.__cause__, None if link.__suppress_context__ else link.__context__]
            todo += getattr(link, "exceptions", ())


def said(error: BaseException) -> str:
    """Text, repr and arguments of an error and of those behind it."""
    return "\n".join(f"{link}\n{link!r}\n{link.args!r}" for link in chain(error))


def variables(error: BaseException) -> list[str]:
    """What a tracker that shows variables prints of all frames but the tests' own."""
    found = []
    for link in chain(error):
        for frame, _ in traceback.walk_tb(link.__traceback__):
            place = f"{frame.f_code.co_filename}:{frame.f_code.co_name}"
            if "/tests/" not in place:
                found += [f"{place} {name}={value!r}" for name, value in frame.f_locals.items()]
    return found


def leaks(error: BaseException, secret: str) -> list[str]:
    """The places where *secret* shows; none is right. The conversation is not looked at."""
    shown = {
        "text": said(error),
        "attributes": repr([{k: v for k, v in vars(link).items() if k != "messages"} for link in chain(error)]),
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
        "pickle": pickle.dumps(error).decode("latin-1") if isinstance(error, Exception) else "",
    }
    found = [place for place, text in shown.items() if secret in text]
    return found + [text for text in variables(error) if secret in text]
