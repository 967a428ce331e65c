"""The frames of a stream as JSON objects: what every wire does before it reads them."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ._words import wrong

__all__ = ["parse_frame"]


def parse_frame(data: bytes) -> dict[str, Any]:
    """
    The object of one event.

    Raises:
        ValueError: it is none; also for ``NaN`` and ``Infinity``, which JSON (RFC 8259, section 6) does not have.
    """
    try:
        value = _loads(str(data, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"an event of the stream is not JSON: {str(error)[:100]}") from None
    if not isinstance(value, dict):
        wrong("an event of the stream", "an object", value)
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_loads = json.JSONDecoder(parse_constant=_refuse).decode
