"""What OpenAI's Responses API answers, read into messages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from ..messages import ModelResponse, ModelResponsePart, OpaquePart, TextPart, ThinkingPart, ToolCallPart
from ..usage import Usage
from ._chat_answer import raise_error
from ._words import text_of, wrong, wrong_count

if TYPE_CHECKING:
    from ..messages import FinishReason

__all__ = [
    "CUSTOM_CALL",
    "RUNNING",
    "Facts",
    "arguments_of",
    "decode",
    "decode_count",
    "details_of",
    "finish_of",
    "item_of",
    "parts_of",
    "thoughts_of",
    "usage_of",
]

CUSTOM_CALL = "custom_tool_call"
RUNNING = frozenset({"queued", "in_progress"})
"""What a response in the background says of itself until it is there."""
_LAST_SECOND = 32_503_680_000  # the year 3000; a larger ``created_at`` is no count of seconds
_ROLES = frozenset({"developer", "system", "tool", "user"})
_REASONS: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}


class Facts:
    """
    What the items of a response tell beside their parts; kept in ``provider_details``.

    Attributes:
        messages: for each ``TextPart``, in order, the id, phase and annotations of its message.
        calls: by call id, the id of the item, and its type and namespace where they are not the usual ones.
        refusals: the words in which the model declined.
        logprobs: of all texts, in order.
        answered: whether there was a text or a call.
        called: whether there was a call.
    """

    __slots__ = ("answered", "called", "calls", "logprobs", "messages", "refusals")

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.calls: dict[str, dict[str, Any]] = {}
        self.refusals: list[str] = []
        self.logprobs: list[Any] = []
        self.answered = False
        self.called = False

    def add(self, other: Facts) -> None:
        """Add what later items tell."""
        self.messages += other.messages
        self.calls.update(other.calls)
        self.refusals += other.refusals
        self.logprobs += other.logprobs
        self.answered = self.answered or other.answered
        self.called = self.called or other.called


def decode(body: Mapping[str, Any], provider_name: Optional[str] = None) -> ModelResponse:
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
    output = body.get("output")
    if not isinstance(output, list):
        wrong("output", "a list", output)
    facts = Facts()
    parts: list[ModelResponsePart] = []
    for index, item in enumerate(output):
        path = f"output[{index}]"
        parts += parts_of(item_of(item, path), path, provider_name, facts)
    reason, said = finish_of(body, facts)
    name, identifier = body.get("model"), body.get("id")
    return ModelResponse(
        parts,
        name if isinstance(name, str) else None,
        _timestamp(body.get("created_at")),
        usage=usage_of(body.get("usage")),
        finish_reason=reason,
        provider_name=provider_name,
        provider_response_id=identifier if identifier and isinstance(identifier, str) else None,
        provider_details=details_of(facts, said),
    )


def decode_count(body: Mapping[str, Any]) -> int:
    """
    The tokens that a request would send, cached ones included.

    Raises:
        ValueError: the body has another shape, or holds an error.
    """
    if not isinstance(body, Mapping):
        wrong("the body", "an object", body)
    if body.get("error"):
        raise_error(body)
    count = _count(body, "input_tokens", "input_tokens")
    if count is None:
        wrong("input_tokens", "a number of tokens", None)
    return count


# --- items -----------------------------------------------------------------------------------------


def item_of(item: object, path: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        wrong(path, "an object", item)
    if not isinstance(item.get("type"), str):
        wrong(path + ".type", "text", item.get("type"))
    return item


def parts_of(
    item: dict[str, Any], path: str, provider_name: Optional[str], facts: Facts
) -> Iterable[ModelResponsePart]:
    """The parts of one whole item; what is not a part of them goes into *facts*."""
    read = _ITEMS.get(item["type"])
    return [OpaquePart(provider_name, item)] if read is None else read(item, path, provider_name, facts)


def _message(item: dict[str, Any], path: str, provider_name: Optional[str], facts: Facts) -> list[ModelResponsePart]:
    """One text, however many pieces the message has."""
    role = item.get("role", "assistant")
    if role != "assistant":
        known = repr(role) if isinstance(role, str) and role in _ROLES else f"another {type(role).__name__}"
        raise ValueError(f"{path}.role: expected 'assistant', got {known}")
    texts: list[str] = []
    annotations: list[Any] = []
    for index, piece in enumerate(_list(item, "content", path)):
        inner = f"{path}.content[{index}]"
        kind = item_of(piece, inner)["type"]
        if kind in ("output_text", "text"):
            texts.append(text_of(piece.get("text"), inner + ".text"))
            annotations += _some(piece.get("annotations"))
            facts.logprobs += _some(piece.get("logprobs"))
        elif kind == "refusal":
            facts.refusals.append(text_of(piece.get("refusal"), inner + ".refusal"))
    text = "".join(texts)
    if not text:
        return []
    facts.answered = True
    about = {"id": item.get("id"), "phase": item.get("phase"), "annotations": annotations}
    facts.messages.append({key: value for key, value in about.items() if value})
    return [TextPart(text)]


def _reasoning(item: dict[str, Any], path: str, provider_name: Optional[str], facts: Facts) -> list[ModelResponsePart]:
    """
    A part for each readable piece, all with the item's id; the first has the proof.

    An item without either says nothing, and could not go back.
    """
    signature, identifier = item.get("encrypted_content"), item.get("id")
    if signature is not None:
        text_of(signature, path + ".encrypted_content")
    if identifier is not None:
        text_of(identifier, path + ".id")
    texts = [text for _, text in thoughts_of(item, path)]
    if not texts and signature:
        texts = [""]
    return [
        ThinkingPart(text, identifier or None, (signature or None) if index == 0 else None, provider_name)
        for index, text in enumerate(texts)
    ]


def thoughts_of(item: dict[str, Any], path: str) -> list[tuple[tuple[str, int], str]]:
    """The readable pieces of a reasoning item, each with the list and the place in it where it stands."""
    return [
        ((key, index), text)
        for key in ("summary", "content")
        for index, piece in enumerate(_list(item, key, path))
        if (text := text_of(item_of(piece, f"{path}.{key}[{index}]").get("text"), f"{path}.{key}[{index}].text"))
    ]


def _function_call(
    item: dict[str, Any], path: str, provider_name: Optional[str], facts: Facts
) -> list[ModelResponsePart]:
    return [_call(item, path, arguments_of(item.get("arguments"), path), facts)]


def _custom_call(
    item: dict[str, Any], path: str, provider_name: Optional[str], facts: Facts
) -> list[ModelResponsePart]:
    return [_call(item, path, {"input": text_of(item.get("input"), path + ".input")}, facts)]


def _call(item: dict[str, Any], path: str, args: Union[str, dict[str, Any]], facts: Facts) -> ToolCallPart:
    name = text_of(item.get("name"), path + ".name")
    if not name:
        raise ValueError(f"{path}.name: expected the name of a tool, got an empty text")
    identifier = item.get("call_id")
    if identifier is not None:
        text_of(identifier, path + ".call_id")
    facts.answered = facts.called = True
    about = {key: item[key] for key in ("id", "namespace") if item.get(key)}
    if item["type"] == CUSTOM_CALL:
        about["type"] = CUSTOM_CALL
    if identifier and about:
        facts.calls[identifier] = about
    return ToolCallPart(name, args, identifier or None)


_ITEMS: dict[str, Callable[[dict[str, Any], str, Optional[str], Facts], list[ModelResponsePart]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    CUSTOM_CALL: _custom_call,
}


def arguments_of(value: object, path: str) -> Union[str, dict[str, Any]]:
    if value is None:
        return ""
    if not isinstance(value, (str, dict)):
        wrong(path + ".arguments", "text or an object", value)
    return value


def _list(item: dict[str, Any], key: str, path: str) -> list[Any]:
    value = item.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        wrong(f"{path}.{key}", "a list", value)
    return value


def _some(value: object) -> list[Any]:
    """Facts beside the answer: what is no list of them is none."""
    return value if isinstance(value, list) else []


# --- the response itself ---------------------------------------------------------------------------


def finish_of(body: Mapping[str, Any], facts: Facts) -> tuple[Optional[FinishReason], Optional[str]]:
    """
    Why the model stopped, and the API's own word: the reason of an incomplete response, else the status.

    Raises:
        ValueError: the response failed or was cancelled.
    """
    status = body.get("status")
    if status is None:
        return None, None
    said = text_of(status, "status")
    if said in ("failed", "cancelled"):
        raise_error({"message": f"the response was {said}" if said == "cancelled" else "the response failed"})
    reason: Optional[FinishReason] = None
    if said == "incomplete":
        about = body.get("incomplete_details")
        why = about.get("reason") if isinstance(about, dict) else None
        if isinstance(why, str):
            said, reason = why, _REASONS.get(why)
    elif said == "completed":
        reason = "tool_call" if facts.called else "stop"
    if facts.refusals and not facts.answered:
        reason = "content_filter"
    return reason, said


def details_of(facts: Facts, said: Optional[str]) -> Optional[dict[str, Any]]:
    """What is known beside the parts, for ``provider_details``."""
    details: dict[str, Any] = {}
    if said:
        details["finish_reason"] = said
    if facts.refusals:
        details["refusal"] = "\n\n".join(facts.refusals)
    if facts.logprobs:
        details["logprobs"] = {"content": facts.logprobs}
    if any(facts.messages):
        details["messages"] = facts.messages
    if facts.calls:
        details["calls"] = facts.calls
    return details or None


def usage_of(usage: object) -> Usage:
    """Counts and details, flattened; the API counts cached tokens in its input and thinking in its output."""
    if usage is None:
        return Usage()
    if not isinstance(usage, dict):
        wrong("usage", "an object", usage)
    details: dict[str, int] = {}
    for key, value in usage.items():
        if key in ("input_tokens_details", "output_tokens_details") and isinstance(value, dict):
            for name, count in value.items():
                if count.__class__ is int:
                    details[name] = details.get(name, 0) + count
        elif value.__class__ is int and key not in ("input_tokens", "output_tokens", "total_tokens"):
            details[key] = value
    sent, received = (_count(usage, key, f"usage.{key}") for key in ("input_tokens", "output_tokens"))
    total = _count(usage, "total_tokens", "usage.total_tokens")
    if sent is not None and received is not None:
        total = sent + received
    return Usage(0, sent, received, total, details or None)


def _count(counts: Mapping[str, Any], key: str, path: str) -> Optional[int]:
    value = counts.get(key)
    if value is not None and (value.__class__ is not int or value < 0):
        wrong_count(path, value)
    return value


def _timestamp(created: object) -> dt.datetime:
    """Now, where the server says nothing that is a time."""
    if created.__class__ in (int, float) and 0 < created < _LAST_SECOND:  # type: ignore[operator] # a number
        return dt.datetime.fromtimestamp(created, dt.timezone.utc)  # type: ignore[arg-type] # the same
    return dt.datetime.now(dt.timezone.utc)
