"""Messages of AWS's event stream, as bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any
from zlib import crc32

__all__ = ["event", "header", "message", "packed"]


def header(name: str, kind: int, value: bytes) -> bytes:
    """A header of any type; *value* has its length in it where the type wants that."""
    return bytes([len(name.encode())]) + name.encode() + bytes([kind]) + value


def packed(headers: bytes, payload: bytes = b"") -> bytes:
    """A message of these headers and this payload, with its checksums."""
    start = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = start + struct.pack(">I", crc32(start)) + headers + payload
    return whole + struct.pack(">I", crc32(whole))


def message(headers: Mapping[str, str], body: Any) -> bytes:
    """A message of headers that are text and a payload that is JSON, or bytes."""
    written = b"".join(
        header(name, 7, struct.pack(">H", len(value.encode())) + value.encode()) for name, value in headers.items()
    )
    return packed(written, body if isinstance(body, bytes) else json.dumps(body).encode())


def event(name: str, body: Any) -> bytes:
    """One event of a stream."""
    kinds = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return message(kinds, body)
