"""
Numbers, texts and times: what is taken for one, and how closely it fits.

Each parser takes a value as JSON or Python gives it, returns the value of its type or refuses it
(:func:`~syncagent.schema.errors.fail`). It is lax where nothing is lost by it: ``"3"`` and ``3.0`` are the integer 3,
``3.5`` is none. Each rank says how closely a value that was taken fits, for unions: an exact fit wins.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import os
import pathlib
import re
import uuid
from collections.abc import Callable
from typing import Any

from .errors import Invalid, Problem, fail
from .times import parse_date, parse_datetime, parse_time, parse_timedelta

__all__ = ["EXACT", "LAX", "Parser", "Rank", "SCALARS", "STRICT", "path_parser", "rank_of_text"]

Parser = Callable[[Any], Any]
Rank = Callable[[Any], int]

LAX, STRICT, EXACT = 0, 1, 2

_MAX_DIGITS = 4_300  # what Python itself reads by default (sys.set_int_max_str_digits); more goes quadratic
_MAX_WHOLE_FLOAT = 2.0**63  # a float beyond it is no exact integer to anybody who reads JSON
_INT = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*(?:\.0+)?", re.ASCII)
_UUID = re.compile(
    r"(?:urn:uuid:)?(?:[0-9a-f]{32}|(\{)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?(1)\}))",
    re.ASCII | re.IGNORECASE,
)
_BOOLS = {
    **dict.fromkeys(("1", "on", "t", "true", "y", "yes"), True),
    **dict.fromkeys(("0", "off", "f", "false", "n", "no"), False),
}


def parse_int(value: Any) -> int:
    """An integer, or what is one without loss: ``"3"``, ``" 4 "``, ``"3.0"``, ``3.0``, True."""
    if type(value) is int:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return _int_of_text(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            fail("finite_number", value)
        if not value.is_integer():
            fail("int_from_float", value)
        if abs(value) >= _MAX_WHOLE_FLOAT:
            fail("int_parsing_size", value)
        return int(value)
    if isinstance(value, decimal.Decimal) and value.is_finite() and value.adjusted() < _MAX_DIGITS:
        if value != value.to_integral_value():
            fail("int_from_float", value)
        return int(value)
    fail("int_type", value)


def _int_of_text(value: str) -> int:
    text = value.strip()
    if not _INT.fullmatch(text):
        fail("int_parsing", value)
    if len(text) > _MAX_DIGITS:
        fail("int_parsing_size", value)
    return int(text.partition(".")[0])


def parse_float(value: Any) -> float:
    """A finite number, or the text of one; True is 1.0."""
    if type(value) is float:
        number = value
    elif isinstance(value, (int, float, decimal.Decimal)):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    elif isinstance(value, str):
        text = value.strip()
        try:
            # Not every digit of Unicode is one in JSON.
            number = float(text) if text.isascii() else fail("float_parsing", value)
        except ValueError:
            fail("float_parsing", value)
    else:
        fail("float_type", value)
    if not math.isfinite(number):
        fail("finite_number", value)
    return number


def parse_bool(value: Any) -> bool:
    """True or False, their usual words, 0 and 1."""
    if value is True or value is False:
        return bool(value)
    if isinstance(value, str):
        found = _BOOLS.get(value.lower())
        return found if found is not None else fail("bool_parsing", value)
    if isinstance(value, (int, float)):
        if value == 0 or value == 1:
            return bool(value)
        fail("bool_type" if isinstance(value, float) and not value.is_integer() else "bool_parsing", value)
    fail("bool_type", value)


def parse_str(value: Any) -> str:
    """A string, and nothing else."""
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)  # an Enum with a string's methods
    fail("string_type", value)


def parse_bytes(value: Any) -> bytes:
    """Bytes; a text's UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    fail("bytes_type", value)


def parse_decimal(value: Any) -> decimal.Decimal:
    """A decimal from a number or a text; a float counts as what it prints, not as its binary fraction."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, decimal.Decimal)):
        fail("decimal_type", value)
    if isinstance(value, (str, float)):
        try:
            number = decimal.Decimal(str(value).strip())
        except decimal.InvalidOperation:
            fail("decimal_parsing", value)
    else:
        number = decimal.Decimal(value)
    if not number.is_finite():
        fail("finite_number", value)
    return number


def parse_uuid(value: Any) -> uuid.UUID:
    """A UUID in one of its written forms: with hyphens, without, in braces, as a URN."""
    if isinstance(value, uuid.UUID):
        return value
    if not isinstance(value, str):
        fail("uuid_type", value)
    if not _UUID.fullmatch(value):
        fail("uuid_parsing", value, error="expected 32 hexadecimal digits, in groups of 8-4-4-4-12 or without hyphens")
    return uuid.UUID(value)


def parse_none(value: Any) -> None:
    """None, null."""
    if value is not None:
        fail("none_required", value)


def parse_any(value: Any) -> Any:
    """Whatever came."""
    return value


def path_parser(cls: type) -> Parser:
    """A parser for *cls*, a class of :mod:`pathlib`: a text or a path."""

    shown = f"<class 'pathlib.{cls.__name__}'>"  # its module's name is a private one on some versions

    def parse_path(value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, (str, os.PathLike)):
            raise Invalid(Problem("path_type", value, None, f"Input is not a valid path for {shown}"))
        return cls(value)

    return parse_path


def rank_of_text(value: Any) -> int:
    """Text stands for what JSON has no form of its own for: as close as JSON comes."""
    return EXACT if isinstance(value, str) else STRICT


def _exact(cls: type) -> Rank:
    return lambda value: EXACT if type(value) is cls else LAX


def _rank_float(value: Any) -> int:
    return EXACT if type(value) is float else STRICT if type(value) is int else LAX


def _rank_date(value: Any) -> int:
    return EXACT if (isinstance(value, str) and len(value) == 10 and "-" in value) or type(value) is dt.date else LAX


def _rank_datetime(value: Any) -> int:
    exact = (isinstance(value, str) and len(value) > 10 and ":" in value) or isinstance(value, dt.datetime)
    return EXACT if exact else LAX


def _rank_time(value: Any) -> int:
    return EXACT if isinstance(value, (str, dt.time)) else LAX


def _rank_timedelta(value: Any) -> int:
    return EXACT if isinstance(value, (str, dt.timedelta)) else LAX


def _rank_decimal(value: Any) -> int:
    return EXACT if isinstance(value, (str, decimal.Decimal)) else STRICT


def _rank_any(value: Any) -> int:
    return STRICT  # it keeps the value, which is better than making another one of it


# Kinds of :mod:`~syncagent.schema.forms`, their parsers, ranks, and how a union calls them in a path.
SCALARS: dict[str, tuple[Parser, Rank, str]] = {
    "any": (parse_any, _rank_any, "any"),
    "bool": (parse_bool, _exact(bool), "bool"),
    "bytes": (parse_bytes, rank_of_text, "bytes"),
    "date": (parse_date, _rank_date, "date"),
    "datetime": (parse_datetime, _rank_datetime, "datetime"),
    "decimal": (parse_decimal, _rank_decimal, "decimal"),
    "float": (parse_float, _rank_float, "float"),
    "int": (parse_int, _exact(int), "int"),
    "none": (parse_none, _exact(type(None)), "none"),
    "path": (path_parser(pathlib.Path), rank_of_text, "path"),
    "str": (parse_str, _exact(str), "str"),
    "time": (parse_time, _rank_time, "time"),
    "timedelta": (parse_timedelta, _rank_timedelta, "timedelta"),
    "uuid": (parse_uuid, rank_of_text, "uuid"),
}
