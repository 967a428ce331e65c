"""
Python values to JSON: what tools return, what a result is stored as, what is sent.

JSON is compact UTF-8. Text that UTF-8 cannot hold (lone surrogates) is escaped instead, and numbers that
JSON has no word for (NaN, infinities) become null.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Optional

__all__ = ["bytes_as_base64", "bytes_as_text", "dump_bytes", "dump_str", "isoformat", "to_jsonable"]

_SURROGATE = re.compile("[\ud800-\udfff]")  # stands inside of strings only, so its escape is valid there
_DEPTH = 200  # deeper values are taken for cycles; the providers' own parsers stop far earlier


def dump_str(value: Any) -> str:
    """
    Compact JSON text of any value that :func:`to_jsonable` knows; non-ASCII stays as it is.

    Raises:
        TypeError: a value in it has no JSON form; the text says where and which type.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        # A key that is no string, NaN, a cycle or an unknown type: the slow way says which, and where.
        return _encode(to_jsonable(value))


def dump_bytes(value: Any) -> bytes:
    """:func:`dump_str` as UTF-8; lone surrogates are written as ``\\ud800`` escapes."""
    text = dump_str(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text).encode()


def to_jsonable(value: Any, *, encode_bytes: Optional[Callable[[bytes], str]] = None) -> Any:
    """
    The value in the types that JSON has.

    attrs classes, dataclasses and pydantic models become objects, sets and other iterables arrays; dates,
    times and durations ISO 8601 text; Decimal, UUID and paths text; enums their value.

    Args:
        value: any value.
        encode_bytes: how bytes are written; by default as UTF-8 text, else as URL-safe base64.

    Raises:
        TypeError: a value in it has no JSON form; the text says where and which type.
    """
    return _convert(value, encode_bytes or bytes_as_text, "value", 0)


def isoformat(moment: dt.datetime) -> str:
    """ISO 8601 with ``Z`` for UTC; microseconds only where there are any (RFC 3339)."""
    text = moment.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def bytes_as_text(data: bytes) -> str:
    """UTF-8 text where it is that, else URL-safe base64 (RFC 4648, section 5)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return bytes_as_base64(data)


def bytes_as_base64(data: bytes) -> str:
    """URL-safe base64 with padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(data).decode("ascii")


def _duration(value: dt.timedelta) -> str:
    """ISO 8601 duration in days and seconds, which is exact."""
    sign = "-" if value < dt.timedelta(0) else ""
    value = abs(value)
    seconds = f"{value.seconds}.{value.microseconds:06d}".rstrip("0") if value.microseconds else str(value.seconds)
    days = f"{value.days}D" if value.days else ""
    return f"{sign}P{days}" if days and seconds == "0" else f"{sign}P{days}T{seconds}S"


def _key(key: Any, path: str) -> str:
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return str(key)
    converted = _convert(key, bytes_as_text, path, _DEPTH - 1)
    if isinstance(converted, str):
        return converted
    if converted is None or isinstance(converted, (bool, int, float)):
        return json.dumps(converted)
    raise TypeError(f"{path}: a key of type {type(key).__name__} has no JSON form; use text.")


def _object(pairs: Iterable[tuple[Any, Any]], encode_bytes: Callable[[bytes], str], path: str, depth: int) -> Any:
    return {_key(key, path): _convert(item, encode_bytes, f"{path}.{key}", depth) for key, item in pairs}


def _fields(value: Any) -> Optional[list[tuple[str, Any]]]:
    """Names and values of an attrs class or a dataclass; None for anything else."""
    attributes = getattr(type(value), "__attrs_attrs__", None)
    if attributes is not None:
        return [(field.alias or field.name, getattr(value, field.name)) for field in attributes]
    attributes = getattr(type(value), "__dataclass_fields__", None)
    if attributes is not None:
        names = [name for name, field in attributes.items() if field._field_type.name == "_FIELD"]
        return [(name, getattr(value, name)) for name in names]
    return None


@lru_cache(maxsize=1)
def _texts() -> dict[type, Callable[[Any], str]]:
    """What becomes text, and how; made at the first value that is neither text, number, list nor dict."""
    from decimal import Decimal
    from uuid import UUID

    return {
        dt.datetime: isoformat,
        dt.date: dt.date.isoformat,
        dt.time: dt.time.isoformat,
        dt.timedelta: _duration,
        Decimal: str,
        UUID: str,
        PurePath: str,
    }


def _convert(value: Any, encode_bytes: Callable[[bytes], str], path: str, depth: int) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= _DEPTH:
        raise TypeError(f"{path[:80]}: nested deeper than {_DEPTH} levels, or holds itself; return a flatter value.")
    depth += 1
    if isinstance(value, Mapping):
        return _object(value.items(), encode_bytes, path, depth)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return encode_bytes(bytes(value))
    for cls, text in _texts().items():
        if isinstance(value, cls):
            return text(value)
    fields = _fields(value)
    if fields is not None:
        return _object(fields, encode_bytes, path, depth)
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _convert(dump(mode="json"), encode_bytes, path, depth)
    if hasattr(type(value), "__fields__") and callable(getattr(value, "dict", None)):  # pydantic 1
        return _convert(value.dict(), encode_bytes, path, depth)
    if isinstance(value, Iterable) and not isinstance(value, type):
        return [_convert(item, encode_bytes, f"{path}[{i}]", depth) for i, item in enumerate(value)]
    raise TypeError(
        f"{path}: a value of type {type(value).__name__} has no JSON form; "
        "use text, numbers, lists, dicts, dates, or attrs classes, dataclasses and pydantic models."
    )


def _default(value: Any) -> Any:
    if isinstance(value, Iterator):
        raise TypeError("an iterator is read once: that is left to the slow way, which does not fail half way")
    return _convert(value, bytes_as_text, "value", 0)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_default).encode
