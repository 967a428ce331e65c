"""
Histories to JSON and back, by a converter of its own.

What the reference API writes is always written, ``null`` included; what was added since only where it is
set. Loading ignores unknown keys and reads what later versions of that API store.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Callable, Optional, Union, get_args

import attrs
from cattrs import BaseValidationError, ClassValidationError, Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from ..jsonable import bytes_as_base64, dump_bytes, isoformat, to_jsonable
from ..usage import Usage
from ._content import AudioUrl, BinaryContent, CachePoint, DocumentUrl, ImageUrl, VideoUrl
from ._parts import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

__all__ = ["dump_json", "dump_python", "load_json", "load_python"]

_REQUEST_PARTS = {
    "system-prompt": SystemPromptPart,
    "user-prompt": UserPromptPart,
    "tool-return": ToolReturnPart,
    "retry-prompt": RetryPromptPart,
    "retry-feedback": RetryPromptPart,  # the later name of the same part
}
_RESPONSE_PARTS = {"text": TextPart, "thinking": ThinkingPart, "tool-call": ToolCallPart, "opaque": OpaquePart}
_CONTENT = {
    "image-url": ImageUrl,
    "audio-url": AudioUrl,
    "video-url": VideoUrl,
    "document-url": DocumentUrl,
    "binary": BinaryContent,
    "cache-point": CachePoint,
}
_MESSAGES = {"request": ModelRequest, "response": ModelResponse}

# Fields that are written only where they are set: what the reference API of March 2025 did not have.
_ADDED: dict[type, tuple[str, ...]] = {
    ImageUrl: ("force_download",),
    AudioUrl: ("force_download",),
    VideoUrl: ("force_download",),
    DocumentUrl: ("force_download",),
    ToolReturnPart: ("metadata",),
    ThinkingPart: ("id", "signature", "provider_name"),
    ModelResponse: ("usage", "finish_reason", "provider_name", "provider_response_id", "provider_details"),
    Usage: ("tool_calls", "cost"),
}
_SHOWN = 10  # problems that an error names
_KIND = re.compile("[a-z][a-z0-9_-]{0,79}")
# What stands inside comes first: cattrs takes the hooks of a class' fields when it makes the class' own.
_CLASSES = tuple(
    dict.fromkeys(
        (Usage, *_CONTENT.values(), *_REQUEST_PARTS.values(), *_RESPONSE_PARTS.values(), *_MESSAGES.values())
    )
)


def dump_json(messages: Sequence[ModelMessage]) -> bytes:
    return dump_bytes(_dumper(True).unstructure(list(messages)))


def dump_python(messages: Sequence[ModelMessage], mode: str) -> list[Any]:
    return list(_dumper(mode == "json").unstructure(list(messages)))


def load_json(data: Union[str, bytes]) -> list[ModelMessage]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The history is not JSON: {error}") from None
    return load_python(value)


def load_python(data: Any) -> list[ModelMessage]:
    if isinstance(data, (str, bytes, dict)) or not isinstance(data, Sequence):
        raise ValueError(f"A history is a list of messages; got {type(data).__name__}.")
    converter, messages = _loader(), []
    for index, item in enumerate(data):
        try:
            messages.append(_message(item, converter))
        except (ValueError, BaseValidationError) as error:
            found = [f"messages[{index}]{path}: {what}" for path, what in _problems(error)]
            more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
            raise ValueError(f"The history cannot be loaded: {'; '.join(found[:_SHOWN] + more)}") from None
    return messages


class _ListProblems(ValueError):
    """What is wrong inside a list: paths that begin at it, and texts."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        super().__init__(found)
        self.found = found


def _problems(error: BaseException) -> list[tuple[str, str]]:
    if isinstance(error, _ListProblems):
        return error.found
    if isinstance(error, ClassValidationError):
        noted, others = error.group_exceptions()
        found = [(f".{note.name}{path}", what) for inner, note in noted for path, what in _problems(inner)]
        return found + [problem for inner in others for problem in _problems(inner)]
    if isinstance(error, KeyError):
        return [("", "required field missing")]
    if isinstance(error, _Problem):
        return [("", str(error))]
    return [("", "expected another value")]  # what other code says of a value may repeat it


class _Problem(ValueError):
    """What is wrong with a value, in words that do not repeat it: a history holds what people said."""


def _named(kind: str) -> str:
    """A kind, quoted, where it looks like one."""
    return repr(kind) if _KIND.fullmatch(kind) else "(no name of one)"


# --- out -------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _dumper(as_json: bool) -> Converter:
    """The converter for dumping; where not *as_json*, times and bytes stay what they are."""
    converter = Converter()
    if as_json:
        converter.register_unstructure_hook(dt.datetime, _timestamp_out)
        converter.register_unstructure_hook(bytes, bytes_as_base64)
        converter.register_unstructure_hook(Decimal, str)

    media = tuple(_CONTENT.values())

    def content(value: Any) -> Any:
        """A tool's return or a user's content: messages' own classes inside, anything else around them."""
        if isinstance(value, (list, tuple)) and any(isinstance(item, media) for item in value):
            return [converter.unstructure(item) if isinstance(item, media) else content(item) for item in value]
        return to_jsonable(value, encode_bytes=bytes_as_base64) if as_json else value

    untyped = {"content", "args", "metadata", "data", "details", "provider_details"}
    for cls in _CLASSES:
        overrides = {}
        for field in attrs.fields(cls):
            hook: Optional[Callable[[Any], Any]] = content if field.name in untyped else None
            if cls is BinaryContent and field.name == "data":
                hook = bytes_as_base64 if as_json else None
            omit = field.name in _ADDED.get(cls, ())
            overrides[field.name] = override(unstruct_hook=hook, omit_if_default=omit)
        converter.register_unstructure_hook(
            cls,
            make_dict_unstructure_fn(cls, converter, **overrides),  # type: ignore[arg-type] # cattrs' stub wants one kind
        )
    return converter


def _timestamp_out(moment: dt.datetime) -> str:
    naive = moment.tzinfo is None
    return isoformat(moment.replace(tzinfo=dt.timezone.utc) if naive else moment.astimezone(dt.timezone.utc))


# --- in --------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _loader() -> Converter:
    converter = Converter(forbid_extra_keys=False)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(bytes, _bytes)
    converter.register_structure_hook(dt.datetime, _timestamp)
    converter.register_structure_hook(int, _count)
    converter.register_structure_hook(Decimal, _decimal)
    # Later versions have a word beside true and false, which opens the private network; here it opens nothing.
    media: dict[str, Any] = {"force_download": lambda value, _: bool(value)}
    hooks: dict[type, dict[str, Any]] = {
        ImageUrl: media,
        AudioUrl: media,
        VideoUrl: media,
        DocumentUrl: media,
        UserPromptPart: {"content": lambda value, _: _user_content(value, converter)},
        ToolReturnPart: {"content": _as_it_is, "metadata": _as_it_is},
        RetryPromptPart: {"content": _retry_content},
        ToolCallPart: {"args": _arguments},
        OpaquePart: {"data": _object},
        CachePoint: {"ttl": _time_to_live},
        ModelRequest: {"parts": lambda value, _: _each(value, lambda part: _request_part(part, converter))},
        ModelResponse: {
            "parts": lambda value, _: _each(value, lambda part: _response_part(part, converter)),
            "usage": lambda value, _: _usage(value, converter),
            "provider_details": _object_or_none,
            "finish_reason": lambda value, _: value if value in get_args(FinishReason) else None,
        },
        Usage: {"details": _object_or_none},
    }
    for cls in _CLASSES:
        overrides = {}
        for field in attrs.fields(cls):
            if field.name in ("kind", "part_kind"):
                overrides[field.name] = override(omit=True)  # the class says it; newer names of a kind load too
            elif field.name in hooks.get(cls, {}):
                overrides[field.name] = override(struct_hook=hooks[cls][field.name])
        converter.register_structure_hook(cls, make_dict_structure_fn(cls, converter, **overrides))  # type: ignore[arg-type] # as above
    return converter


def _tagged(value: Any, tag: str, what: str) -> str:
    if not isinstance(value, dict):
        raise _Problem(f"{what} is an object with {tag!r}; got {type(value).__name__}")
    kind = value.get(tag)
    if not isinstance(kind, str):
        raise _Problem(f"{what} has no {tag!r}")
    return kind


def _message(value: Any, converter: Converter) -> ModelMessage:
    if isinstance(value, (ModelRequest, ModelResponse)):
        return value
    kind = _tagged(value, "kind", "a message")
    if kind not in _MESSAGES:
        raise _Problem(f"unknown kind of message {_named(kind)}; expected 'request' or 'response'")
    message: ModelMessage = converter.structure(value, _MESSAGES[kind])
    return message


def _request_part(value: Any, converter: Converter) -> Any:
    if type(value) in _REQUEST_PARTS.values():
        return value
    kind = _tagged(value, "part_kind", "a part")
    if kind not in _REQUEST_PARTS:
        raise _Problem(f"unknown part_kind {_named(kind)} in a request; expected one of {', '.join(_REQUEST_PARTS)}")
    return converter.structure(value, _REQUEST_PARTS[kind])


def _response_part(value: Any, converter: Converter) -> Any:
    if type(value) in _RESPONSE_PARTS.values():
        return value
    kind = _tagged(value, "part_kind", "a part")
    if kind in _RESPONSE_PARTS:
        return converter.structure(value, _RESPONSE_PARTS[kind])
    # Another version's part: kept as it is, and never sent, since nobody knows whose it is.
    return OpaquePart(None, value)


def _user_content(value: Any, converter: Converter) -> Any:
    if isinstance(value, str):
        return value
    return _each(value, lambda item: item if isinstance(item, str) else _user_item(item, converter))


def _user_item(value: Any, converter: Converter) -> Any:
    if type(value) in _CONTENT.values():
        return value
    kind = _tagged(value, "kind", "user content")
    if kind not in _CONTENT:
        raise _Problem(f"unknown kind {_named(kind)} of user content; expected text or one of {', '.join(_CONTENT)}")
    return converter.structure(value, _CONTENT[kind])


def _each(value: Any, load: Callable[[Any], Any]) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise _Problem(f"expected a list, got {type(value).__name__}")
    items, found = [], []
    for index, item in enumerate(value):
        try:
            items.append(load(item))
        except (ValueError, BaseValidationError) as error:
            found += [(f"[{index}]{path}", what) for path, what in _problems(error)]
    if found:
        raise _ListProblems(found)
    return items


def _usage(value: Any, converter: Converter) -> Usage:
    if isinstance(value, Usage):
        return value
    value = _object_or_none(value, None) or {}
    if "input_tokens" in value or "output_tokens" in value:
        value = _of_later_usage(value)
    return converter.structure(value, Usage)


def _of_later_usage(value: dict[str, Any]) -> dict[str, Any]:
    """Later versions say input and output tokens, store no total, and count cached tokens beside the details."""
    sent, received, cached = (
        None if value.get(key) is None else _count(value[key], None)
        for key in ("input_tokens", "output_tokens", "cache_read_tokens")
    )
    total = (sent or 0) + (received or 0)
    value = {"request_tokens": sent, "response_tokens": received, "total_tokens": total, **value}
    if cached:
        value["details"] = {"cached_tokens": cached, **(_object_or_none(value.get("details"), None) or {})}
    return value


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise _Problem(f"expected text, got {type(value).__name__}")
    return value


def _count(value: Any, _: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Problem(f"expected a whole number, got {type(value).__name__}")
    return int(value)


def _decimal(value: Any, _: Any) -> Decimal:
    try:
        number = Decimal(str(value))  # a float counts as what it prints
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite():
        raise _Problem(f"expected a decimal number, got {_not_finite(value)}")
    return number


def _not_finite(value: Any) -> str:
    return "text that is none" if isinstance(value, str) else type(value).__name__


def _bytes(value: Any, _: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    text = _text(value, _)
    try:
        # Both alphabets are read; the URL-safe one is written.
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise _Problem(f"expected base64, got text that is not: {error}") from None
    except ValueError:
        raise _Problem("expected base64, got text that is not ASCII") from None


def _timestamp(value: Any, _: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    text = _text(value, _)
    try:  # 3.9 and 3.10 read neither Z nor less than six digits of a second
        head, dot, rest = text.upper().replace("Z", "+00:00").partition(".")
        if dot:
            digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
            head, rest = f"{head}.{digits[:6].ljust(6, '0')}", rest[len(digits) :]
        moment = dt.datetime.fromisoformat(head + rest)
    except ValueError:
        raise _Problem("expected an ISO 8601 time, got text that is none") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.timezone.utc)


def _as_it_is(value: Any, _: Any) -> Any:
    return value


def _time_to_live(value: Any, _: Any) -> Any:
    if value not in ("5m", "1h"):
        raise _Problem("expected '5m' or '1h', got something else")
    return value


def _object(value: Any, _: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Problem(f"expected an object, got {type(value).__name__}")
    return value


def _object_or_none(value: Any, _: Any) -> Optional[dict[str, Any]]:
    return None if value is None else _object(value, _)


def _arguments(value: Any, _: Any) -> Any:
    if value is None:  # later versions write null for no arguments
        return {}
    return value if isinstance(value, (str, dict)) else _object(value, _)


def _retry_content(value: Any, _: Any) -> Any:
    if isinstance(value, str):
        return value
    return _each(value, _validation_error)


def _validation_error(value: Any) -> dict[str, Any]:
    loc = _object(value, None).get("loc", ())
    if not isinstance(loc, (list, tuple)):
        raise _Problem(f"'loc' is a list, got {type(loc).__name__}")
    return {**value, "loc": tuple(loc)}
