"""Reading an answer: strict JSON out of bytes, ids out of headers, excerpts without secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Optional

__all__ = [
    "Hidden",
    "excerpt",
    "hidden",
    "may_be_shown",
    "parse_json",
    "redact",
    "redact_json",
    "request_id",
    "secrets_of",
    "shown",
]

_MARK = b"\xef\xbb\xbf"
_EXCERPT = 200  # characters of an unreadable answer that an error's text may hold
_WORDS = 500  # and of a provider's own words
_ID = 200
_SHORTEST_SECRET = 6  # shorter ones are placeholders such as "none", and parts of ordinary words
_ESCAPES = 3  # times that a text may have been written as JSON, HTML or a part of a URL
_SECRET_NAMES = ("auth", "cookie", "key", "password", "secret", "token")
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
            return redact(value[: _ID * 16], auth)[:_ID]
    return None


def secrets_of(auth: Mapping[str, str]) -> tuple[str, ...]:
    """What of the headers *auth* must not be shown: their values, and the token after ``Bearer``; longest first."""
    found = {word for value in auth.values() for word in (value, value.rpartition(" ")[2])}
    return tuple(sorted((word for word in found if len(word) >= _SHORTEST_SECRET), key=len, reverse=True))


def redact(text: str, auth: Mapping[str, str]) -> str:
    """
    *text* without the values of the headers *auth*: some servers repeat the key they refuse.

    A text that repeats one in the escapes of JSON, HTML or URLs comes back without those escapes.
    """
    from .quoting import unescaped  # for errors only, and its expressions take a millisecond to compile

    secrets = secrets_of(auth)
    for secret in secrets:
        text = text.replace(secret, "***")
    plain = text
    for _ in range(_ESCAPES):
        plain, before = unescaped(plain), plain
        if plain == before:
            break
        if any(secret in plain for secret in secrets):
            for secret in secrets:
                plain = plain.replace(secret, "***")
            text = plain
    return text


def redact_json(value: Any, auth: Mapping[str, str]) -> Any:
    """
    The same for all texts and keys of parsed JSON.

    Raises:
        RecursionError: it is nested too deep.
    """
    if isinstance(value, str):
        return redact(value, auth)
    if isinstance(value, list):
        return [redact_json(item, auth) for item in value]
    if isinstance(value, dict):
        return {redact(key, auth): redact_json(item, auth) for key, item in value.items()}
    return value


class Hidden(dict[str, str]):
    """Headers that no error and no log may show; nor does the repr, for tracebacks with variables."""

    def __repr__(self) -> str:
        return f"<{', '.join(self) or 'no headers'}>"


def hidden(headers: Mapping[str, str], auth: Optional[Mapping[str, str]]) -> Hidden:
    """The headers that log in, and those of the caller's that sound like it."""
    found = Hidden(auth or {})
    for name, value in headers.items():
        if any(word in name.lower() for word in _SECRET_NAMES):
            found.setdefault(name, value)
    return found


def may_be_shown(text: str, asked: Optional[bytes]) -> bool:
    """
    Whether words of a server may stand in an error.

    Not where the environment says ``SYNCAGENT_LOG_CONTENT=0``, nor where they repeat what was *asked*.
    """
    if os.environ.get("SYNCAGENT_LOG_CONTENT") == "0":
        return False
    if not asked:
        return True
    from .quoting import repeats

    return not repeats(text, asked)


def shown(words: str, secrets: Mapping[str, str], asked: Optional[bytes]) -> str:
    """What a wire says of an answer, ``path: what is wrong``; the path alone where the rest may not be shown."""
    words = redact(words[: _WORDS * 16], secrets)
    words = words if len(words) <= _WORDS else words[:_WORDS] + "..."
    return words if may_be_shown(words, asked) else words.partition(": ")[0][:_EXCERPT]


def excerpt(body: bytes, auth: Mapping[str, str], asked: Optional[bytes] = None) -> str:
    """
    The beginning of *body*, quoted: no texts out of JSON, which may be an answer, but their keys.

    Left out where the environment says ``SYNCAGENT_LOG_CONTENT=0``, where it repeats what was *asked*, and where it is
    an event stream or no text, which cannot be told from an answer.
    """
    from .quoting import is_event_stream, without_texts

    # A secret that the cut would part is found first, in a piece that is long enough to hold it.
    text = redact(body[: _EXCERPT * 16].decode("utf-8", "replace"), auth).lstrip("\ufeff \t\r\n")
    if not text.startswith("<"):
        text = without_texts(text)
    beginning = text[:_EXCERPT]
    if "\ufffd" in beginning or "\0" in beginning or is_event_stream(beginning) or not may_be_shown(beginning, asked):
        return "(left out)"
    return repr(beginning) + ("..." if len(text) > _EXCERPT else "")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
