"""What Bedrock's Converse API answers, read into messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Optional

from ..messages import ModelResponse, ModelResponsePart, OpaquePart, TextPart, ThinkingPart, ToolCallPart
from ..usage import Usage
from ._words import cut_code, cut_message, provider_failed, text_of, wrong, wrong_count
from .wire import ErrorInfo

if TYPE_CHECKING:
    from ..messages import FinishReason
    from .wire import ErrorKind

__all__ = [
    "FINISH",
    "SERVER_TOOL",
    "count_of",
    "decode",
    "decode_count",
    "decode_error",
    "details_of",
    "object_of",
    "raise_error",
    "usage_of",
]

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, "stopReason"
FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "tool_use": "tool_call",
    "max_tokens": "length",
    "stop_sequence": "stop",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
    "model_context_window_exceeded": "length",
}
SERVER_TOOL = "server_tool_use"
"""The type of a call that the provider has answered itself."""


def decode(body: Mapping[str, Any], provider_name: Optional[str] = None) -> ModelResponse:
    """
    The response out of a body.

    The texts of citations are text, what is cited stands in ``provider_details["citations"]``. Server tools,
    redacted thinking and blocks that have no class here are an :class:`~syncagent.messages.OpaquePart` each.

    Raises:
        ValueError: it has another shape; the text names the field.
    """
    if not isinstance(body, Mapping):
        wrong("the body", "an object", body)
    if "output" not in body and ("message" in body or "Message" in body or "__type" in body):
        raise_error(body)
    output = object_of(body.get("output"), "output")
    message = object_of(output.get("message"), "output.message")
    content = message.get("content")
    if not isinstance(content, list):
        wrong("output.message.content", "a list", content)
    details: dict[str, Any] = {}
    parts: list[ModelResponsePart] = []
    for index, block in enumerate(content):
        path = f"output.message.content[{index}]"
        part = _part(object_of(block, path), path, provider_name, details)
        if part is not None:
            parts.append(part)
    said = body.get("stopReason")
    if said is not None:
        details["finish_reason"] = text_of(said, "stopReason")
    details.update(details_of(body))
    return ModelResponse(
        parts,
        usage=usage_of(body.get("usage")),
        finish_reason=FINISH.get(said) if said else None,
        provider_name=provider_name,
        provider_details=details or None,
    )


def decode_count(body: Mapping[str, Any]) -> int:
    """The tokens of an answer of CountTokens; raises ``ValueError`` for another shape."""
    if not isinstance(body, Mapping):
        wrong("the body", "an object", body)
    return count_of(body.get("inputTokens"), "inputTokens")


def decode_error(status: int, body: object) -> ErrorInfo:
    """What an error body says; a body of any shape is fine."""
    message, code = _error_words(body)
    text = (message or "").lower()
    kind = _KINDS.get(code or "")
    if kind in (None, "rate_limit") and status in (400, 429) and "tokens per day" in text:
        kind = "quota"  # waiting seconds does not help
    elif kind is None and status in (400, 413) and any(words in text for words in _TOO_LONG):
        kind = "context_too_long"
    elif kind is None and status == 400 and any(words in text for words in _NO_MODEL):
        kind = "not_found"
    return ErrorInfo(message, code, kind)


# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
# and, for those of the log-in, https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
_KINDS: dict[str, ErrorKind] = {
    "AccessDeniedException": "auth",
    "ExpiredTokenException": "auth",
    "IncompleteSignature": "auth",
    "InvalidClientTokenId": "auth",
    "InvalidSignatureException": "auth",
    "MissingAuthenticationTokenException": "auth",
    "UnrecognizedClientException": "auth",
    "ModelNotReadyException": "overloaded",
    "ResourceNotFoundException": "not_found",
    "ServiceQuotaExceededException": "quota",
    "ServiceUnavailableException": "overloaded",
    "ThrottlingException": "rate_limit",
}
_TOO_LONG = (
    *("input is too long", "prompt is too long", "input length", "maximum context length"),
    *("too many input tokens", "exceeds the maximum number of input tokens"),
)
_NO_MODEL = ("model identifier is invalid",)


# --- whole answers ---------------------------------------------------------------------------------


def object_of(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        wrong(path, "an object", value)
    return value


def count_of(value: object, path: str) -> int:
    if value.__class__ is not int or value < 0:  # type: ignore[operator] # it is a number
        wrong_count(path, value)
    return value  # type: ignore[return-value] # as above


def _part(
    block: dict[str, Any], path: str, provider_name: Optional[str], details: dict[str, Any]
) -> Optional[ModelResponsePart]:
    if "text" in block:
        text = text_of(block["text"], path + ".text")
        return TextPart(text) if text else None
    if "toolUse" in block:
        use = object_of(block["toolUse"], path + ".toolUse")
        return OpaquePart(provider_name, block) if use.get("type") == SERVER_TOOL else _call(use, path + ".toolUse")
    if "reasoningContent" in block:
        thought = object_of(block["reasoningContent"], path + ".reasoningContent")
        return _thinking(thought, block, path + ".reasoningContent", provider_name)
    if "citationsContent" in block:
        return _cited(object_of(block["citationsContent"], path + ".citationsContent"), path, details)
    return OpaquePart(provider_name, block) if block else None


def _call(use: dict[str, Any], path: str) -> ToolCallPart:
    name = text_of(use.get("name"), path + ".name")
    if not name:
        raise ValueError(f"{path}.name: expected the name of a tool, got an empty text")
    args = use.get("input")
    return ToolCallPart(
        name,
        {} if args is None else object_of(args, path + ".input"),
        text_of(use.get("toolUseId"), path + ".toolUseId") or None,
    )


def _thinking(
    thought: dict[str, Any], block: dict[str, Any], path: str, provider_name: Optional[str]
) -> ModelResponsePart:
    if "reasoningText" not in thought:
        return OpaquePart(provider_name, block)
    text = object_of(thought["reasoningText"], path + ".reasoningText")
    signature = text.get("signature")
    if signature is not None:
        text_of(signature, path + ".reasoningText.signature")
    return ThinkingPart(text_of(text.get("text"), path + ".reasoningText.text"), None, signature, provider_name)


def _cited(cited: dict[str, Any], path: str, details: dict[str, Any]) -> Optional[TextPart]:
    path += ".citationsContent"
    pieces, citations = cited.get("content") or [], cited.get("citations") or []
    if not isinstance(pieces, list) or not isinstance(citations, list):
        wrong(path, "lists", pieces if not isinstance(pieces, list) else citations)
    if citations:
        details.setdefault("citations", []).extend(citations)
    text = "".join(
        text_of(object_of(piece, f"{path}.content[{index}]").get("text"), f"{path}.content[{index}].text")
        for index, piece in enumerate(pieces)
    )
    return TextPart(text) if text else None


def details_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside the message: the guardrails' trace, the latency and what was asked for."""
    details = {ours: body[theirs] for theirs, ours in _DETAILS.items() if body.get(theirs)}
    metrics = body.get("metrics")
    if isinstance(metrics, dict) and isinstance(metrics.get("latencyMs"), int):
        details["latency_ms"] = metrics["latencyMs"]
    return details


_DETAILS = {
    "additionalModelResponseFields": "additional_model_response_fields",
    "performanceConfig": "performance_config",
    "serviceTier": "service_tier",
    "trace": "trace",
}


def usage_of(usage: Any) -> Usage:
    """
    The counts of a response.

    Bedrock's ``inputTokens`` leaves out what was read from the cache and written to it; ``request_tokens`` counts it
    in. Its ``outputTokens`` has the thinking in it, without saying how much that is.
    """
    if usage is None:
        return Usage()
    counts = object_of(usage, "usage")
    asked = _count(counts, "inputTokens")
    answered = _count(counts, "outputTokens")
    read = _count(counts, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = _count(counts, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    details: dict[str, int] = {}
    if read is not None:
        details["cached_tokens"] = read
    if written is not None:
        details["cache_write_tokens"] = written
    extra = counts.get("serverToolUsage")
    if isinstance(extra, dict):
        details.update((f"server_tool_{name}", count) for name, count in extra.items() if count.__class__ is int)
    if asked is not None:
        asked += (read or 0) + (written or 0)
    total = None if asked is None or answered is None else asked + answered
    return Usage(0, asked, answered, total, details or None)


def _count(counts: dict[str, Any], *names: str) -> Optional[int]:
    for name in names:
        if counts.get(name) is not None:
            return count_of(counts[name], f"usage.{name}")
    return None


# --- errors ----------------------------------------------------------------------------------------


def _error_words(body: object) -> tuple[Optional[str], Optional[str]]:
    """Message and type; the type has a name space before it or an address behind it in places."""
    if isinstance(body, str):
        return cut_message(body), None
    if not isinstance(body, Mapping):
        return None, None
    message = body.get("message") or body.get("Message") or body.get("originalMessage")
    code = body.get("__type") or body.get("code")
    return (
        cut_message(message),
        cut_code(code.rpartition("#")[2].partition(":")[0]) if isinstance(code, str) else None,
    )


def raise_error(body: object, code: Optional[str] = None) -> NoReturn:
    message, said = _error_words(body)
    provider_failed(message, code or said)
