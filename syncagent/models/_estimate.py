"""What a conversation would have cost, by counting words: for models that ask nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..messages import (
    ModelMessage,
    ModelRequest,
    ModelResponsePart,
    RetryPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
)
from ..usage import Usage

__all__ = ["estimate_usage", "request_tokens", "response_tokens", "usage_of", "words"]

_OVERHEAD = 50  # tokens that every request is taken to cost beside its words
_BETWEEN_WORDS = re.compile(r'[\s",.:]+')


def words(text: str) -> int:
    """Words of a text; what stands between them is white space and ``",.:``."""
    text = text.strip()
    return len(_BETWEEN_WORDS.split(text)) if text else 0


def request_tokens(messages: Sequence[ModelMessage]) -> int:
    """Tokens of what is sent: 50 and one for each word of the requests in *messages*."""
    parts = (part for message in messages if isinstance(message, ModelRequest) for part in message.parts)
    return _OVERHEAD + sum(words(text) for part in parts for text in _texts(part))


def response_tokens(parts: Iterable[ModelResponsePart]) -> int:
    """Tokens of an answer: one for each word, and one for each tool call."""
    count = 0
    for part in parts:
        if isinstance(part, (TextPart, ThinkingPart)):
            count += words(part.content)
        elif isinstance(part, ToolCallPart):
            count += 1 + words(part.args_as_json_str())
    return count


def usage_of(sent: int, received: int) -> Usage:
    """The usage of one response; its request is counted by the run."""
    return Usage(request_tokens=sent, response_tokens=received, total_tokens=sent + received)


def estimate_usage(messages: Sequence[ModelMessage], parts: Iterable[ModelResponsePart]) -> Usage:
    """The usage of an answer to *messages*. Earlier answers among them and media count nothing."""
    return usage_of(request_tokens(messages), response_tokens(parts))


def _texts(part: Any) -> Iterable[str]:
    if isinstance(part, ToolReturnPart):
        return (part.model_response_str(),)
    if isinstance(part, RetryPromptPart):
        return (part.model_response(),)
    if isinstance(part.content, str):
        return (part.content,)
    return (item for item in part.content if isinstance(item, str))
