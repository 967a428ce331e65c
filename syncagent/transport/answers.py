"""Reading an answer: strict JSON out of bytes, ids out of headers, excerpts without secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Optional

__all__ = ["excerpt", "parse_json", "redact", "request_id", "secrets_of"]

_MARK = b"\xef\xbb\xbf"
_EXCERPT = 200  # characters of an unreadable answer that an error's text may hold
_SHORTEST_SECRET = 6  # shorter ones are placeholders such as "none", and parts of ordinary words
_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-correlation-id", "cf-ray")


def parse_json(body: bytes) -> Any:
    """
    Parse *body* as UTF-8 JSON, with or without a byte order mark.

    Raises:
        ValueError: it is not; also for ``NaN`` and ``Infinity``, which JSON (RFC 8259, section 6) does not have.
        RecursionError: it is nested too deep.
    """
    if body[:3] == _MARK:
        body = body[3:]  # the codec that does this is Python code, and is called for every answer
    return _DECODER.decode(str(body, "utf-8"))


def request_id(headers: Mapping[str, str], auth: Mapping[str, str]) -> Optional[str]:
    """The provider's id of a request, out of the headers of its answer; without what *auth* holds."""
    for name in _ID_HEADERS:
        value = headers.get(name)
        if value:
            return redact(value[:200], auth)
    return None


def secrets_of(auth: Mapping[str, str]) -> tuple[str, ...]:
    """What of the headers *auth* must not be shown: their values, and the token after ``Bearer``; longest first."""
    found = {word for value in auth.values() for word in (value, value.rpartition(" ")[2])}
    return tuple(sorted((word for word in found if len(word) >= _SHORTEST_SECRET), key=len, reverse=True))


def redact(text: str, auth: Mapping[str, str]) -> str:
    """*text* without the values of the headers *auth*: some servers repeat the key they refuse."""
    for secret in secrets_of(auth):
        text = text.replace(secret, "***")
    return text


def excerpt(body: bytes, auth: Mapping[str, str]) -> str:
    """The beginning of *body*, quoted; left out where the environment says ``SYNCAGENT_LOG_CONTENT=0``."""
    if os.environ.get("SYNCAGENT_LOG_CONTENT") == "0":
        return "(left out)"
    # A secret that the cut would part is found first, in a piece that is long enough to hold it.
    text = redact(body[: _EXCERPT * 16].decode("utf-8", "replace"), auth)
    return repr(text[:_EXCERPT]) + ("..." if len(text) > _EXCERPT else "")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
