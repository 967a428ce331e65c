"""What Anthropic's Messages API answers, read into messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Optional

from ..messages import ModelResponse, ModelResponsePart, OpaquePart, TextPart, ThinkingPart, ToolCallPart
from ..usage import Usage
from ._chat_answer import identifier_of, raise_error
from ._words import cut_code, cut_message, text_of, wrong, wrong_count
from .wire import ErrorInfo

if TYPE_CHECKING:
    from ..messages import FinishReason
    from .wire import ErrorKind

__all__ = [
    "CALLER",
    "CITATIONS",
    "PAUSED",
    "TextRun",
    "call_of",
    "caller_of",
    "decode",
    "decode_count",
    "decode_error",
    "facts_of",
    "finish_of",
    "usage_of",
]

PAUSED = "pause_turn"
"""The stop reason of a turn that goes on once its answer is sent back."""
CITATIONS = "citations"
"""The type of an opaque part of ours: what the text before it cites, and where in it."""
CALLER = "tool_use_caller"
"""The type of an opaque part of ours: who made the tool call before it, where it was not the model itself."""

# https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}


def decode(body: Mapping[str, Any], provider_name: Optional[str] = None) -> ModelResponse:
    """
    The response out of a body.

    Raises:
        ValueError: it has another shape, or holds an error; the text names the field.
    """
    if not isinstance(body, Mapping):
        wrong("the body", "an object", body)
    if body.get("error"):
        raise_error(body)
    content = body.get("content")
    if not isinstance(content, list):
        wrong("content", "a list", content)
    reading = _Reading(provider_name)
    for index, block in enumerate(content):
        path = f"content[{index}]"
        if not isinstance(block, dict):
            wrong(path, "an object", block)
        kind = text_of(block.get("type"), path + ".type")
        _BLOCKS.get(kind, _opaque)(block, path, reading)
    reading.end_text()
    reason, said = finish_of(body.get("stop_reason"))
    name, identifier = body.get("model"), body.get("id")
    return ModelResponse(
        reading.parts,
        name if name and isinstance(name, str) else None,
        usage=usage_of(body.get("usage")),
        finish_reason=reason,
        provider_name=provider_name,
        provider_response_id=identifier if identifier and isinstance(identifier, str) else None,
        provider_details={**said, **facts_of(body)} or None,
    )


def decode_count(body: Mapping[str, Any]) -> int:
    """
    The number out of the answer to a count.

    Raises:
        ValueError: it has another shape.
    """
    if not isinstance(body, Mapping):
        wrong("the body", "an object", body)
    count = _count(body, "input_tokens", "")
    if count is None:
        wrong("input_tokens", "a number of tokens", None)
    return count


def decode_error(status: int, body: object) -> ErrorInfo:
    """What an error body says; a body of any shape is fine."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return ErrorInfo(cut_message(body) if isinstance(body, str) else None)
    message, kind_name, details = error.get("message"), error.get("type"), error.get("details")
    code = details.get("error_code") if isinstance(details, Mapping) else None
    code, kind_name = (cut_code(value) if isinstance(value, str) else None for value in (code, kind_name))
    text = cut_message(message) or ""
    kind: Optional[ErrorKind] = _KINDS.get(code or "") or _KINDS.get(kind_name or "")
    if kind is None and status in (400, 413):
        kind = next((meant for words, meant in _WORDS.items() if words in text), None)
    return ErrorInfo(text or None, code or kind_name, kind)


# https://platform.claude.com/docs/en/api/errors; the codes stand in an error's details.
_KINDS: dict[str, ErrorKind] = {
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "quota",
    "not_found_error": "not_found",
    "rate_limit_error": "rate_limit",
    "overloaded_error": "overloaded",
    "request_too_large": "context_too_long",
    "contract_spend_limit_reached": "quota",
    "enforced_spend_limit_reached": "quota",
    "linked_organization_billing_unavailable": "quota",
    "linked_organization_spend_limit_reached": "quota",
    "exceed_context_size_error": "context_too_long",  # llama.cpp's server
}
_WORDS: dict[str, ErrorKind] = {
    "prompt is too long": "context_too_long",
    "exceed context limit": "context_too_long",
    "credit balance is too low": "quota",
}


# --- blocks ----------------------------------------------------------------------------------------


class TextRun:
    """
    Neighbouring text blocks, which make one part: the API begins a new block wherever a citation begins or ends.

    Attributes:
        length: characters so far.
    """

    __slots__ = ("_cited", "length")

    def __init__(self) -> None:
        self._cited: list[dict[str, Any]] = []
        self.length = 0

    def cite(self, start: int, citations: list[Any]) -> None:
        """The text from *start* to here cites something, or nothing."""
        if citations and start < self.length:
            self._cited.append({"start": start, "end": self.length, "citations": citations})

    def part(self, provider_name: Optional[str]) -> Optional[OpaquePart]:
        """What the text cites, by the positions of its characters; None where it cites nothing."""
        if not self._cited:
            return None
        return OpaquePart(provider_name, {"type": CITATIONS, "length": self.length, "cited": self._cited})


class _Reading:
    """The parts of an answer that came whole, as far as it is read."""

    __slots__ = ("_run", "_texts", "parts", "provider_name")

    def __init__(self, provider_name: Optional[str]) -> None:
        self.parts: list[ModelResponsePart] = []
        self.provider_name = provider_name
        self._run = TextRun()
        self._texts: list[str] = []

    def text(self, text: str, citations: list[Any]) -> None:
        if text:
            self._texts.append(text)
            start = self._run.length
            self._run.length += len(text)
            self._run.cite(start, citations)

    def part(self, part: ModelResponsePart) -> None:
        self.end_text()
        self.parts.append(part)

    def end_text(self) -> None:
        if self._texts:
            self.parts.append(TextPart("".join(self._texts)))
            cited = self._run.part(self.provider_name)
            if cited is not None:
                self.parts.append(cited)
            self._texts, self._run = [], TextRun()


def _text(block: dict[str, Any], path: str, reading: _Reading) -> None:
    citations = block.get("citations") or []
    if not isinstance(citations, list):
        wrong(path + ".citations", "a list", citations)
    reading.text(text_of(block.get("text"), path + ".text"), citations)


def _thinking(block: dict[str, Any], path: str, reading: _Reading) -> None:
    thinking = text_of(block.get("thinking"), path + ".thinking")
    signature = text_of(block.get("signature") or "", path + ".signature") or None
    if thinking or signature:
        reading.part(ThinkingPart(thinking, None, signature, reading.provider_name))


def _tool_use(block: dict[str, Any], path: str, reading: _Reading) -> None:
    args = block.get("input")
    if not isinstance(args, dict):
        wrong(path + ".input", "an object", args)
    name, identifier = call_of(block, path)
    reading.part(ToolCallPart(name, args, identifier))
    caller = caller_of(block, reading.provider_name)
    if caller is not None:
        reading.part(caller)


def _opaque(block: dict[str, Any], path: str, reading: _Reading) -> None:
    reading.part(OpaquePart(reading.provider_name, block))


_BLOCKS: dict[str, Callable[[dict[str, Any], str, _Reading], None]] = {
    "text": _text,
    "thinking": _thinking,
    "tool_use": _tool_use,
}


def call_of(block: dict[str, Any], path: str) -> tuple[str, Optional[str]]:
    """A call's name and id."""
    name = text_of(block.get("name"), path + ".name")
    if not name:
        raise ValueError(f"{path}.name: expected the name of a tool, got an empty text")
    return name, identifier_of(block.get("id"), path)


def caller_of(block: dict[str, Any], provider_name: Optional[str]) -> Optional[OpaquePart]:
    """
    Who made the call, where it was code that runs at the provider's; it has to be said again with the call.

    https://platform.claude.com/docs/en/agents-and-tools/tool-use/programmatic-tool-calling
    """
    caller = block.get("caller")
    if not isinstance(caller, dict) or caller.get("type") == "direct":
        return None
    return OpaquePart(provider_name, {"type": CALLER, "id": block.get("id"), "caller": caller})


# --- what is said beside the blocks ----------------------------------------------------------------


def finish_of(said: object) -> tuple[Optional[FinishReason], dict[str, Any]]:
    """Our word for a stop reason, and the details that hold the provider's; unknown ones have none of ours."""
    if not said or not isinstance(said, str):
        return None, {}
    return _FINISH.get(said), {"finish_reason": said}


def facts_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Details that a whole answer and a stream's last delta both have."""
    return {key: body[key] for key in ("stop_sequence", "stop_details", "container") if body.get(key)}


def usage_of(usage: Any) -> Usage:
    """
    Counts and details. The API counts cached tokens apart; here ``request_tokens`` holds all that was read.

    Tokens of further models that took part (advisors, compaction) are in the details by their names only.
    """
    if usage is None:
        return Usage()
    if not isinstance(usage, dict):
        wrong("usage", "an object", usage)
    sent, received = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    details: dict[str, int] = {}
    for key, name in (("cache_read_input_tokens", "cached_tokens"), ("cache_creation_input_tokens", _WRITTEN)):
        count = _count(usage, key)
        if count is not None:
            sent = (sent or 0) + count
            details[name] = count
    for key in ("cache_creation", "output_tokens_details", "server_tool_use"):
        for name, count in _counts(usage.get(key)):
            details["reasoning_tokens" if name == "thinking_tokens" else name] = count
    rounds = usage.get("iterations")
    for item in rounds[:_MOST] if isinstance(rounds, list) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        if isinstance(kind, str) and kind != "message":
            for name, count in _counts(item):
                details[f"{kind}_{name}"] = details.get(f"{kind}_{name}", 0) + count
    total = None if sent is None and received is None else (sent or 0) + (received or 0)
    return Usage(0, sent, received, total, details or None)


_WRITTEN = "cache_write_tokens"
_MOST = 64  # names of counts, and rounds: a stream's are read again with every event that tells one of them anew


def _counts(value: object) -> Iterable[tuple[str, int]]:
    """The numbers in an object, without zeros."""
    if not isinstance(value, dict):
        return ()
    return [(name, count) for name, count in islice(value.items(), _MOST) if count.__class__ is int and count > 0]


def _count(usage: Mapping[str, Any], key: str, path: str = "usage.") -> Optional[int]:
    value = usage.get(key)
    if value is None:
        return None
    if value.__class__ is not int or value < 0:
        wrong_count(f"{path}{key}", value)
    return int(value)
