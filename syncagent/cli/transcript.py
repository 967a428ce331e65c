"""A conversation for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..messages import BinaryContent, CachePoint

if TYPE_CHECKING:
    from ..messages import ModelMessage
    from ..usage import Usage

__all__ = ["transcript"]

_NAMES = {
    "system-prompt": "system",
    "user-prompt": "user",
    "tool-return": "return",
    "retry-prompt": "retry",
    "text": "model",
    "thinking": "thinks",
    "tool-call": "call",
}
_WIDTH = max(map(len, _NAMES.values())) + 1


def transcript(messages: Iterable[ModelMessage], usage: Usage) -> str:
    """
    One paragraph for each part, its kind before it, and a line about what it took.

    Args:
        messages: the conversation.
        usage: of the run.
    """
    paragraphs = [_paragraph(part) for message in messages for part in message.parts]
    tokens = " and ".join(
        f"{count:,} tokens {what}"
        for count, what in ((usage.request_tokens, "sent"), (usage.response_tokens, "received"))
        if count is not None
    )
    requests = f"{usage.requests} request{'' if usage.requests == 1 else 's'}"
    return "\n".join([*paragraphs, f"[{requests}{', ' + tokens if tokens else ''}]"])


def _paragraph(part: Any) -> str:
    kind = _NAMES.get(part.part_kind, part.part_kind)
    text = _text(part)
    tool = getattr(part, "tool_name", None)
    if tool is not None:
        text = f"{tool} {text}" if kind == "call" else f"{tool}: {text}"
    indent = "\n" + " " * (_WIDTH + 1)
    return f"{kind:{_WIDTH}} {indent.join(text.splitlines() or [''])}"


def _text(part: Any) -> str:
    kind = part.part_kind
    if kind == "tool-call":
        return str(part.args_as_json_str())
    if kind == "tool-return":
        return str(part.model_response_str())
    if kind == "retry-prompt":
        return str(part.model_response())
    content = getattr(part, "content", "")
    if isinstance(content, str):
        return content
    return "\n".join(_media(item) for item in content) if isinstance(content, Sequence) else str(content)


def _media(item: Any) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, BinaryContent):
        return f"<{item.media_type}, {len(item.data):,} bytes>"
    return "<cache point>" if isinstance(item, CachePoint) else f"<{item.url}>"
