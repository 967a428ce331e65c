"""What Gemini answers, whole or in pieces, read into messages."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union

from ..messages import (
    ModelResponse,
    ModelResponsePart,
    OpaquePart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
)
from ..usage import Usage
from ._words import cut_code, cut_message, provider_failed, text_of, wrong, wrong_count
from .wire import ErrorInfo, ResponseInfo

if TYPE_CHECKING:
    from ..messages import FinishReason, ModelResponseStreamEvent
    from .wire import ErrorKind

__all__ = ["BESIDE", "Reader", "decode", "decode_count", "decode_error"]

# https://ai.google.dev/api/generate-content#FinishReason; what is not named here is None.
_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "LANGUAGE": "error",
    "OTHER": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "IMAGE_OTHER": "error",
    "NO_IMAGE": "error",
    "PUP_LIMITED_DISABLED": "error",
}
BESIDE = ("groundingMetadata", "urlContextMetadata", "citationMetadata")
"""What stands beside the content of an answer: kept in an OpaquePart, for a content has no place for it."""
_DETAILS = {"safetyRatings": "safety_ratings", "finishMessage": "finish_message", "avgLogprobs": "avg_logprobs"}


def decode(body: Mapping[str, Any], provider_name: Optional[str] = None) -> ModelResponse:
    """
    The response out of a body.

    A prompt that was blocked is a response without parts, whose finish reason is ``content_filter``; the
    provider's word is ``provider_details["block_reason"]``.

    Raises:
        ValueError: it has another shape, or holds an error; the text names the field.
    """
    reader = Reader(provider_name)
    parts: list[ModelResponsePart] = []
    texts: dict[int, list[str]] = {}  # of parts that go on; joined once, for there may be a million pieces
    response = ModelResponse(parts, provider_name=provider_name)
    for item in [*reader.read(body), *reader.end()]:
        if isinstance(item, ResponseInfo):
            _learn(response, item)
        elif isinstance(item, PartStartEvent):
            parts.append(item.part)
        else:
            _grow(parts[item.index], item.delta, texts.setdefault(item.index, []))
    for index, more in texts.items():
        parts[index].content += "".join(more)  # type: ignore[union-attr] # calls come whole
    if not reader.said:
        wrong("candidates", "a list with one candidate", body.get("candidates"))
    created = _timestamp(body.get("createTime"))
    if created is not None:
        response.timestamp = created
    return response


def _grow(part: ModelResponsePart, delta: object, texts: list[str]) -> None:
    if isinstance(delta, (TextPartDelta, ThinkingPartDelta)):
        texts.append(delta.content_delta or "")
    if isinstance(delta, ThinkingPartDelta) and isinstance(part, ThinkingPart):
        part.signature = part.signature if delta.signature_delta is None else delta.signature_delta


def _learn(response: ModelResponse, info: ResponseInfo) -> None:
    response.usage = info.usage or response.usage
    response.model_name = info.model_name or response.model_name
    response.provider_response_id = info.provider_response_id or response.provider_response_id
    response.finish_reason = info.finish_reason or response.finish_reason  # pyright: ignore[reportAttributeAccessIssue] # it forgets the Literal
    if info.provider_details:
        response.provider_details = {**(response.provider_details or {}), **info.provider_details}


def _timestamp(created: object) -> Optional[dt.datetime]:
    """RFC 3339 with any number of digits behind the second; those are left out."""
    if isinstance(created, str):
        try:
            moment = dt.datetime.strptime(created[:19], "%Y-%m-%dT%H:%M:%S")
        except ValueError:
            return None
        return moment.replace(tzinfo=dt.timezone.utc) if created.endswith("Z") else None
    return None


class Reader:
    """
    Reads an answer, whole or chunk by chunk.

    Pieces of text that follow each other are one part, as are those of thinking. A signature that belongs to a
    text or a function call comes as a ThinkingPart without content before it; one that belongs to a text which has
    begun already, as an OpaquePart after it.

    Attributes:
        complete: whether a finish reason came.
        said: whether there was a candidate, or the reason why there is none.
    """

    def __init__(self, provider_name: Optional[str]) -> None:
        self.complete = False
        self.said = False
        self._provider_name = provider_name
        self._count = 0
        self._text: Optional[int] = None
        self._thinking: Optional[int] = None
        self._calls = False
        self._known: tuple[object, object] = (None, None)
        self._usage: object = None
        self._beside: dict[str, Any] = {}
        self._details: dict[str, Any] = {}

    def read(self, chunk: Mapping[str, Any]) -> list[Union[ModelResponseStreamEvent, ResponseInfo]]:
        """
        The events of one chunk.

        Raises:
            ValueError: it has another shape, or holds an error; the text names the field.
        """
        if not isinstance(chunk, Mapping):
            wrong("the body", "an object", chunk)
        if chunk.get("error"):
            _raise_error(chunk)
        events: list[Union[ModelResponseStreamEvent, ResponseInfo]] = []
        if self._known != (known := (chunk.get("modelVersion"), chunk.get("responseId"))):
            self._known = known
            name, identifier = (value if value and isinstance(value, str) else None for value in known)
            events.append(ResponseInfo(model_name=name, provider_response_id=identifier))
        candidates = chunk.get("candidates")
        if candidates:
            self._candidate(_only(candidates), events)
        feedback = chunk.get("promptFeedback")
        if feedback:
            self._feedback(feedback, events)
        usage = chunk.get("usageMetadata")
        if usage and usage != self._usage:
            self._usage = usage
            events.append(ResponseInfo(usage=_usage(usage)))
        return events

    def end(self) -> list[Union[ModelResponseStreamEvent, ResponseInfo]]:
        """What can be said only now: what stood beside the content, and whether it was whole."""
        events: list[Union[ModelResponseStreamEvent, ResponseInfo]] = []
        if self._beside:
            events.append(PartStartEvent(self._next(), OpaquePart(self._provider_name, self._beside)))
        events.append(ResponseInfo(provider_details=self._details or None, complete=self.complete))
        return events

    def _feedback(self, feedback: object, events: list[Any]) -> None:
        if not isinstance(feedback, dict):
            wrong("promptFeedback", "an object", feedback)
        reason = feedback.get("blockReason")
        if reason is None:
            return
        self.said = self.complete = True
        self._details["block_reason"] = text_of(reason, "promptFeedback.blockReason")
        if feedback.get("blockReasonMessage"):
            self._details["block_reason_message"] = str(feedback["blockReasonMessage"])
        if feedback.get("safetyRatings"):
            self._details["safety_ratings"] = feedback["safetyRatings"]
        events.append(ResponseInfo(finish_reason="content_filter", complete=True))

    def _candidate(self, candidate: dict[str, Any], events: list[Any]) -> None:
        self.said = True
        content = candidate.get("content")
        if content:
            if not isinstance(content, dict):
                wrong("candidates[0].content", "an object", content)
            parts = content.get("parts")
            if parts:
                if not isinstance(parts, list):
                    wrong("candidates[0].content.parts", "a list", parts)
                for index, part in enumerate(parts):
                    self._part(part, f"candidates[0].content.parts[{index}]", events)
        for key in BESIDE:
            if candidate.get(key):
                _gather(self._beside, key, candidate[key])
        for key, name in _DETAILS.items():
            if candidate.get(key) is not None:
                self._details[name] = candidate[key]
        if candidate.get("logprobsResult"):
            _gather(self._details, "logprobs", candidate["logprobsResult"])
        said = candidate.get("finishReason")
        if said is not None and text_of(said, "candidates[0].finishReason") != "FINISH_REASON_UNSPECIFIED":
            self.complete = True
            reason = _FINISH.get(said)
            if reason == "stop" and self._calls:
                reason = "tool_call"  # the API has no word of its own for it
            events.append(ResponseInfo(finish_reason=reason, provider_details={"finish_reason": said}, complete=True))

    def _next(self) -> int:
        self._count += 1
        return self._count - 1

    def _start(self, part: ModelResponsePart, events: list[Any]) -> int:
        index = self._next()
        events.append(PartStartEvent(index, part))
        return index

    def _part(self, raw: object, path: str, events: list[Any]) -> None:
        if not isinstance(raw, dict):
            wrong(path, "an object", raw)
        signature = raw.get("thoughtSignature")
        if signature is not None:
            signature = text_of(signature, path + ".thoughtSignature") or None
        call, text = raw.get("functionCall"), raw.get("text")
        if call is not None:
            self._call(call, signature, path, events)
        elif text is not None:
            text = text_of(text, path + ".text")
            if raw.get("thought"):
                self._more_thinking(text, signature, events)
            else:
                self._more_text(text, signature, events)
        elif raw.keys() - {"thought", "thoughtSignature"}:
            self._text = self._thinking = None
            self._start(OpaquePart(self._provider_name, raw), events)
        elif signature is not None:
            self._more_text("", signature, events)

    def _more_text(self, text: str, signature: Optional[str], events: list[Any]) -> None:
        if text:
            self._thinking = None
            if self._text is not None:
                events.append(PartDeltaEvent(self._text, TextPartDelta(text)))
            else:
                if signature is not None:
                    self._start(ThinkingPart("", None, signature, self._provider_name), events)
                self._text = self._start(TextPart(text), events)
                return
        if signature is not None:
            # The text stays open: what a signature stands in the middle of is one text all the same.
            self._start(OpaquePart(self._provider_name, {"text": "", "thoughtSignature": signature}), events)

    def _more_thinking(self, text: str, signature: Optional[str], events: list[Any]) -> None:
        self._text = None
        if self._thinking is not None:
            events.append(PartDeltaEvent(self._thinking, ThinkingPartDelta(text, signature)))
        elif text:
            self._thinking = self._start(ThinkingPart(text, None, signature, self._provider_name), events)
        elif signature is not None:
            data = {"text": "", "thought": True, "thoughtSignature": signature}
            self._start(OpaquePart(self._provider_name, data), events)
        if signature is not None:
            self._thinking = None

    def _call(self, call: object, signature: Optional[str], path: str, events: list[Any]) -> None:
        path += ".functionCall"
        if not isinstance(call, dict):
            wrong(path, "an object", call)
        name = text_of(call.get("name"), path + ".name")
        if not name:
            raise ValueError(f"{path}.name: expected the name of a tool, got an empty text")
        args = call.get("args")
        if args is None:
            args = {}
        elif not isinstance(args, dict):
            wrong(path + ".args", "an object", args)
        if call.get("partialArgs") or call.get("willContinue"):
            raise ValueError(
                f"{path}: expected a whole call, got a piece of one; do not ask for streamFunctionCallArguments"
            )
        identifier = call.get("id")
        if identifier is not None:
            identifier = text_of(identifier, path + ".id") or None
        self._text = self._thinking = None
        self._calls = True
        if signature is not None:
            self._start(ThinkingPart("", None, signature, self._provider_name), events)
        self._start(ToolCallPart(name, args, identifier), events)


def _only(candidates: object) -> dict[str, Any]:
    if not isinstance(candidates, list):
        wrong("candidates", "a list", candidates)
    if len(candidates) != 1:
        raise ValueError(f"candidates: expected one candidate, got {len(candidates)}; leave candidateCount at 1")
    candidate = candidates[0]
    if not isinstance(candidate, dict):
        wrong("candidates[0]", "an object", candidate)
    return candidate


def _gather(into: dict[str, Any], key: str, more: object) -> None:
    """Put an object under *key*, or add it to the one there; its lists may be all items so far, or the new ones."""
    kept = into.get(key)
    if not (isinstance(kept, dict) and isinstance(more, dict)):
        into[key] = dict(more) if isinstance(more, dict) else more
        return
    for name, value in more.items():
        old = kept.get(name)
        if isinstance(old, list) and isinstance(value, list) and value[: len(old)] != old:
            old += value
        else:
            kept[name] = value


# --- usage -----------------------------------------------------------------------------------------

_NAMES = {"cachedContentTokenCount": "cached_tokens", "thoughtsTokenCount": "reasoning_tokens"}
_MODALITIES = {
    "promptTokensDetails": "prompt",
    "cacheTokensDetails": "cached",
    "candidatesTokensDetails": "candidates",
    "toolUsePromptTokensDetails": "tool_use_prompt",
}


def _usage(usage: object) -> Usage:
    """
    The counts under the one meaning that all providers' have.

    Google counts thinking apart from the answer, and what its own tools put into the prompt apart from the
    prompt; here they are counted in. The API leaves zeros out.
    """
    if not isinstance(usage, dict):
        wrong("usageMetadata", "an object", usage)
    sent = _number(usage, "promptTokenCount") + _number(usage, "toolUsePromptTokenCount")
    received = _number(usage, "candidatesTokenCount") + _number(usage, "thoughtsTokenCount")
    details: dict[str, int] = {}
    for key, value in usage.items():
        if key in _NAMES:
            details[_NAMES[key]] = _number(usage, key)
        elif key == "toolUsePromptTokenCount":
            details["tool_use_prompt_tokens"] = value
        elif key in _MODALITIES and isinstance(value, list):
            for item in value:
                if isinstance(item, dict) and type(item.get("tokenCount")) is int:
                    name = f"{str(item.get('modality')).lower()}_{_MODALITIES[key]}_tokens"
                    details[name] = details.get(name, 0) + item["tokenCount"]
    return Usage(0, sent, received, sent + received, details or None)


def _number(usage: Mapping[str, Any], key: str, path: str = "usageMetadata.") -> int:
    value = usage.get(key, 0)
    if type(value) is not int or value < 0:
        wrong_count(f"{path}{key}", value)
    return value


def decode_count(body: Mapping[str, Any]) -> int:
    """
    The tokens out of the answer of ``countTokens``.

    Raises:
        ValueError: it has another shape.
    """
    if not isinstance(body, Mapping):
        wrong("the body", "an object", body)
    if "totalTokens" not in body:
        wrong("totalTokens", "a number of tokens", None)
    return _number(body, "totalTokens", "")


# --- errors ----------------------------------------------------------------------------------------

# https://ai.google.dev/gemini-api/docs/troubleshooting and google.rpc.Code; 429 is told apart below.
_KINDS: dict[str, ErrorKind] = {
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "auth",
    "NOT_FOUND": "not_found",
    "UNAVAILABLE": "overloaded",
}
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"})
# https://protobuf.dev/reference/protobuf/google.protobuf/#duration, in JSON
_DURATION = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?s")
_TOO_LONG = ("exceeds the maximum number of tokens", "maximum context length", "input context is too long")


def decode_error(status: int, body: object) -> ErrorInfo:
    """
    What an error body says; a body of any shape is fine.

    A 429 is a used-up quota, which no waiting of a minute mends, where the provider names a quota per day, or one
    that is zero; any other 429 is a rate limit.
    """
    error = _error(body)
    if error is None:
        return ErrorInfo(cut_message(body) if isinstance(body, str) else None)
    text = cut_message(error.get("message")) or ""
    code = error.get("status") or error.get("code")
    kind = _KINDS.get(code) if isinstance(code, str) else None
    given = error.get("details")
    details = [item for item in given if isinstance(item, Mapping)] if isinstance(given, list) else []
    if any(str(item.get("reason")) in _KEY_REASONS for item in details):
        kind = "auth"
    elif code == "RESOURCE_EXHAUSTED" and _used_up(details, text):
        kind = "quota"
    elif status == 400 and any(words in text for words in _TOO_LONG):
        kind = "context_too_long"
    wait = None if kind == "quota" else _retry_delay(details)
    return ErrorInfo(text or None, cut_code(code), kind, wait)


def _retry_delay(details: list[Mapping[str, Any]]) -> Optional[float]:
    """Seconds: ``RetryInfo`` holds a duration such as ``34.5s``; Google sends no header for it."""
    for item in details:
        delay = item.get("retryDelay")
        if isinstance(delay, str) and _DURATION.fullmatch(delay):
            return float(delay[:-1])
    return None


def _error(body: object) -> Optional[Mapping[str, Any]]:
    if isinstance(body, list) and body:  # the endpoint for streams wraps the object in a list
        body = body[0]
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, Mapping) else None


def _used_up(details: list[Mapping[str, Any]], message: str) -> bool:
    """https://cloud.google.com/apis/design/errors#error_details: ``QuotaFailure`` lists what was exceeded."""
    violations = [
        violation
        for item in details
        if isinstance(item.get("violations"), list)
        for violation in item["violations"]
        if isinstance(violation, Mapping)
    ]
    # A model that the plan leaves out has a limit of zero.
    never = "limit: 0," in message or "limit: 0\n" in message
    return never or any("PerDay" in str(violation.get("quotaId")) for violation in violations)


def _raise_error(body: Mapping[str, Any]) -> NoReturn:
    info = decode_error(200, body)
    provider_failed(info.message, info.code)
