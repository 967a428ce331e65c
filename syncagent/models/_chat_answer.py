"""What OpenAI-compatible chat servers answer, read into messages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union

from ..messages import (
    ModelResponse,
    ModelResponsePart,
    OpaquePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from ..usage import Usage
from ._words import cut_code, cut_message, provider_failed, text_of, wrong, wrong_count
from .wire import ErrorInfo

if TYPE_CHECKING:
    from ..messages import FinishReason
    from .wire import ErrorKind

__all__ = [
    "FINISH",
    "NO_QUIRKS",
    "arguments_of",
    "decode",
    "decode_error",
    "first_choice",
    "identifier_of",
    "kept_fields",
    "pieces",
    "raise_error",
    "usage_of",
]

NO_QUIRKS: Mapping[str, Any] = {}
FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "content_filter": "content_filter",
    "error": "error",
    # Compatible servers' own words.
    "function_call": "tool_call",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "sensitive": "content_filter",
    "network_error": "error",
    "insufficient_system_resource": "error",
}
_LAST_SECOND = 32_503_680_000  # the year 3000; a larger ``created`` is no count of seconds


def decode(
    body: Mapping[str, Any], provider_name: Optional[str] = None, quirks: Mapping[str, Any] = NO_QUIRKS
) -> ModelResponse:
    """
    The response out of a body.

    A refusal is ``provider_details["refusal"]``. Where nothing else was said, the finish reason is
    ``content_filter``, so that nobody takes it for an empty answer.

    Raises:
        ValueError: it has another shape, or holds an error; the text names the field.
    """
    if not isinstance(body, Mapping):
        wrong("the body", "an object", body)
    if body.get("error"):
        raise_error(body)
    choice = first_choice(body)
    if choice is None:
        wrong("choices", "a list with one choice", body.get("choices"))
    if choice.get("error"):
        raise_error(choice)
    message = choice.get("message")
    if not isinstance(message, dict):
        wrong("choices[0].message", "an object", message)
    parts: list[ModelResponsePart] = []
    details: dict[str, Any] = {}
    thinking = message.get("reasoning_content") or message.get("reasoning")
    if thinking and isinstance(thinking, str):
        parts.append(ThinkingPart(thinking, None, None, provider_name))
    content = message.get("content")
    if content.__class__ is str:
        if content:
            parts.append(TextPart(content))
    elif content is not None:
        parts += pieces(content, "choices[0].message.content", provider_name)
    calls = message.get("tool_calls")
    if calls:
        parts += _tool_calls(calls)
    if "keep" in quirks or "note" in quirks:
        kept = {key: message[key] for key in kept_fields(quirks) if message.get(key)}
        if kept:
            parts.append(OpaquePart(provider_name, kept))
    said = choice.get("finish_reason")
    reason: Optional[FinishReason] = None
    if said and isinstance(said, str):
        reason = FINISH.get(said)
        details["finish_reason"] = said
    if choice.get("logprobs"):
        _keep_logprobs(choice["logprobs"], details)
    refusal = message.get("refusal")
    if refusal:
        details["refusal"] = text_of(refusal, "choices[0].message.refusal")
        if not any(part.__class__ in _ANSWERS for part in parts):
            reason = "content_filter"
    name, identifier = body.get("model"), body.get("id")
    return ModelResponse(
        parts,
        name if isinstance(name, str) else None,
        _timestamp(body.get("created")),
        usage=usage_of(body.get("usage")),
        finish_reason=reason,
        provider_name=provider_name,
        provider_response_id=identifier if identifier and isinstance(identifier, str) else None,
        provider_details=details or None,
    )


def kept_fields(quirks: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the fields of a message that are kept as an ``OpaquePart``."""
    return (*quirks.get("keep", ()), *quirks.get("note", ()))


def decode_error(status: int, body: object, quirks: Mapping[str, Any] = NO_QUIRKS) -> ErrorInfo:
    """What an error body says; a body of any shape is fine."""
    message, code, kind_name = _error_words(body)
    kind = _KINDS.get(code or "") or _KINDS.get(kind_name or "")
    text = message or ""
    for words, meant in quirks.get("error_kinds", {}).items():
        if words in text:
            kind = meant
    if kind is None and status in (400, 413, 422) and any(words in text for words in _TOO_LONG):
        kind = "context_too_long"
    return ErrorInfo(message, code, kind)


# The codes and types of OpenAI and of servers that follow it (https://platform.openai.com/docs/guides/error-codes).
_KINDS: dict[str, ErrorKind] = {
    "context_length_exceeded": "context_too_long",
    "exceed_context_size_error": "context_too_long",
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "invalid_api_key": "auth",
    "model_not_found": "not_found",
}
_TOO_LONG = ("maximum context length", "context length exceeded", "context window")


# --- whole answers ---------------------------------------------------------------------------------


def first_choice(body: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    """None where there is none: at the end of a stream that is in order."""
    choices = body.get("choices")
    if not choices:
        return None
    if not isinstance(choices, list):
        wrong("choices", "a list", choices)
    choice = choices[0]
    if not isinstance(choice, dict):
        wrong("choices[0]", "an object", choice)
    return choice


def pieces(content: object, path: str, provider_name: Optional[str]) -> list[ModelResponsePart]:
    """Content as a list, as some servers send it beside thinking; neighbours of one kind become one part."""
    if not isinstance(content, list):
        wrong(path, "text or a list", content)
    runs: list[tuple[type, list[str]]] = []  # joined once: there may be a million pieces
    for index, item in enumerate(content):
        for cls, text in _piece(item, f"{path}[{index}]"):
            if runs and runs[-1][0] is cls:
                runs[-1][1].append(text)
            elif text:
                runs.append((cls, [text]))
    return [
        TextPart("".join(texts)) if cls is TextPart else ThinkingPart("".join(texts), None, None, provider_name)
        for cls, texts in runs
    ]


def _piece(item: object, path: str) -> Iterator[tuple[type, str]]:
    if not isinstance(item, dict):
        wrong(path, "an object", item)
    kind = item.get("type")
    if kind == "text":
        yield TextPart, text_of(item.get("text"), path + ".text")
    elif kind == "thinking":
        thinking = item.get("thinking")
        if isinstance(thinking, list):
            for index, inner in enumerate(thinking):
                for _, text in _piece(inner, f"{path}.thinking[{index}]"):
                    yield ThinkingPart, text
        else:
            yield ThinkingPart, text_of(thinking, path + ".thinking")


def _tool_calls(calls: object) -> Iterator[ToolCallPart]:
    if not isinstance(calls, list):
        wrong("choices[0].message.tool_calls", "a list", calls)
    for index, call in enumerate(calls):
        path = f"choices[0].message.tool_calls[{index}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            wrong(path + ".function", "an object", function)
        name = text_of(function.get("name"), path + ".function.name")
        if not name:
            raise ValueError(f"{path}.function.name: expected the name of a tool, got an empty text")
        yield ToolCallPart(name, arguments_of(function.get("arguments"), path), identifier_of(call.get("id"), path))


def arguments_of(value: object, path: str) -> Union[str, dict[str, Any]]:
    if value is None:
        return ""
    if not isinstance(value, (str, dict)):
        wrong(path + ".function.arguments", "text or an object", value)
    return value


def identifier_of(value: object, path: str) -> Optional[str]:
    """An empty one is none; the run makes one."""
    return text_of(value, path + ".id") or None if value is not None else None


def _timestamp(created: object) -> dt.datetime:
    """Now, where the server says nothing that is a time."""
    if isinstance(created, (int, float)) and 0 < created < _LAST_SECOND:
        return dt.datetime.fromtimestamp(created, dt.timezone.utc)
    return dt.datetime.now(dt.timezone.utc)


_ANSWERS = frozenset({TextPart, ToolCallPart})
_COUNTS = {"prompt_tokens": "request", "completion_tokens": "response", "total_tokens": "total"}


def usage_of(usage: Any) -> Usage:
    """
    Counts and details, flattened.

    A count that both the prompt's and the completion's details have (audio) is their sum.
    """
    if usage is None:
        return Usage()
    if not isinstance(usage, dict):
        wrong("usage", "an object", usage)
    details: dict[str, int] = {}
    for key, value in usage.items():
        if value.__class__ is dict:
            if key in ("prompt_tokens_details", "completion_tokens_details"):
                for name, count in value.items():
                    if count.__class__ is int:
                        details[name] = details.get(name, 0) + count
        elif value.__class__ is int and key not in _COUNTS:
            details.setdefault("cached_tokens" if key == "num_cached_tokens" else key, value)
    return Usage(
        0,
        _count(usage, "prompt_tokens"),
        _count(usage, "completion_tokens"),
        _count(usage, "total_tokens"),
        details or None,
    )


def _count(usage: dict[str, Any], key: str) -> Optional[int]:
    value = usage.get(key)
    if value is not None and (value.__class__ is not int or value < 0):
        wrong_count(f"usage.{key}", value)
    return value


def _keep_logprobs(logprobs: object, details: dict[str, Any]) -> None:
    if isinstance(logprobs, dict) and any(logprobs.values()):
        details["logprobs"] = logprobs


# --- errors ----------------------------------------------------------------------------------------


def _error_words(body: object) -> tuple[Optional[str], Optional[str], Optional[str]]:
    """Message, code and type, from wherever the servers put them."""
    if isinstance(body, list) and body:  # Google's compatible endpoint wraps the object in a list
        body = body[0]
    if isinstance(body, str):
        return cut_message(body), None, None
    if not isinstance(body, Mapping):
        return None, None, None
    error = body.get("error", body)
    if isinstance(error, str):
        error = {**body, "message": error}
    if not isinstance(error, Mapping):
        return None, None, None
    message = error.get("message") or error.get("detail")
    metadata = error.get("metadata")
    if isinstance(message, str) and isinstance(metadata, Mapping) and isinstance(metadata.get("raw"), str):
        message = f"{message}: {metadata['raw']}"  # a router's own words say too little
    code, kind = error.get("code"), error.get("type")
    return cut_message(message), cut_code(code), cut_code(kind) if isinstance(kind, str) else None


def raise_error(body: object) -> NoReturn:
    message, code, kind = _error_words(body)
    provider_failed(message, code or kind)
