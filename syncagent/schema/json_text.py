"""JSON as it comes from models: anything may be wrong with it, and nothing may break on it."""

from __future__ import annotations

import json
import math
from typing import Any, Union

__all__ = ["parse_json"]

_MAX_DIGITS = 4_300  # Python's own limit, which 3.9 and 3.10 do not all have: reading is quadratic


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _read_int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number has too many digits")
    return int(text)


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_read_float, parse_int=_read_int)


def parse_json(text: Union[str, bytes, bytearray]) -> Any:
    """
    Parse JSON, strictly: no NaN, no infinity, no number of thousands of digits. Lone surrogates are let through.

    Raises:
        ValueError: it is not JSON; the text says why.
    """
    if isinstance(text, (bytes, bytearray)):
        text = text.decode("utf-8-sig", "surrogatepass")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
