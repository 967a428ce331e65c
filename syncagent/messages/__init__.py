"""
The messages of a conversation: requests, responses and their parts, stream events, and their JSON.

A history is a plain list of :class:`ModelRequest` and :class:`ModelResponse`. The classes are ordinary
mutable attrs classes; nothing in the package keeps a wire form of them, so a change is always seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from ..exceptions import UserError
from ._content import AudioUrl, BinaryContent, CachePoint, DocumentUrl, ImageUrl, UserContent, VideoUrl
from ._parts import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    OpaquePart,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturn,
    ToolReturnPart,
    UserPromptPart,
)

if TYPE_CHECKING:
    from ._events import (
        AgentRunResultEvent,
        AgentStreamEvent,
        FinalResultEvent,
        FunctionToolCallEvent,
        FunctionToolResultEvent,
        HandleResponseEvent,
        HeartbeatEvent,
        ModelResponsePartDelta,
        ModelResponseStreamEvent,
        PartDeltaEvent,
        PartStartEvent,
        RetryEvent,
        TextPartDelta,
        ThinkingPartDelta,
        ToolCallPartDelta,
    )

__all__ = [
    "AgentRunResultEvent",
    "AgentStreamEvent",
    "AudioUrl",
    "BinaryContent",
    "CachePoint",
    "DocumentUrl",
    "FinalResultEvent",
    "FinishReason",
    "FunctionToolCallEvent",
    "FunctionToolResultEvent",
    "HandleResponseEvent",
    "HeartbeatEvent",
    "ImageUrl",
    "ModelMessage",
    "ModelMessagesTypeAdapter",
    "ModelRequest",
    "ModelRequestPart",
    "ModelResponse",
    "ModelResponsePart",
    "ModelResponsePartDelta",
    "ModelResponseStreamEvent",
    "OpaquePart",
    "PartDeltaEvent",
    "PartStartEvent",
    "RetryEvent",
    "RetryPromptPart",
    "SystemPromptPart",
    "TextPart",
    "TextPartDelta",
    "ThinkingPart",
    "ThinkingPartDelta",
    "ToolCallPart",
    "ToolCallPartDelta",
    "ToolReturn",
    "ToolReturnPart",
    "UserContent",
    "UserPromptPart",
    "VideoUrl",
    "check_history",
]


class _MessagesTypeAdapter:
    """
    Histories to JSON and back.

    >>> ModelMessagesTypeAdapter.dump_json([ModelRequest([SystemPromptPart("Be brief.")])])
    b'[{"parts":[{"content":"Be brief.","dynamic_ref":null,"part_kind":"system-prompt"}],"kind":"request"}]'
    """

    def dump_json(self, messages: Sequence[ModelMessage]) -> bytes:
        """Compact UTF-8 JSON; bytes become URL-safe base64, times ISO 8601 in UTC."""
        from ._json import dump_json

        return dump_json(messages)

    def dump_python(self, messages: Sequence[ModelMessage], *, mode: Literal["python", "json"] = "python") -> list[Any]:
        """Dicts and lists; with ``mode="json"`` of JSON's types alone, else times and bytes stay what they are."""
        from ._json import dump_python

        return dump_python(messages, mode)

    def validate_json(self, data: Union[str, bytes]) -> list[ModelMessage]:
        """
        Messages from their JSON.

        Raises:
            ValueError: it is not JSON, or not messages; the text says where.
        """
        from ._json import load_json

        return load_json(data)

    def validate_python(self, data: Sequence[Any]) -> list[ModelMessage]:
        """
        Messages from dicts and lists; messages in it stay as they are.

        Raises:
            ValueError: they are not messages; the text says where.
        """
        from ._json import load_python

        return load_python(data)


ModelMessagesTypeAdapter = _MessagesTypeAdapter()


def check_history(messages: Optional[Sequence[Any]]) -> list[ModelMessage]:
    """
    The history as a new list.

    Raises:
        UserError: it holds something that is not a message.
    """
    if messages is None:
        return []
    if isinstance(messages, (str, bytes, dict)) or not isinstance(messages, Sequence):
        raise UserError(f"message_history is a list of messages; got {type(messages).__name__}. {_LOADING}")
    for index, message in enumerate(messages):
        if not isinstance(message, (ModelRequest, ModelResponse)):
            raise UserError(f"message_history[{index}] is no ModelRequest or ModelResponse but "
                            f"{type(message).__name__}. {_LOADING}")  # fmt: skip
    return list(messages)


_LOADING = "A stored history is loaded by ModelMessagesTypeAdapter.validate_json(data)."

for _name in __all__:
    # Tracebacks, pickles and the documentation name the public place.
    if isinstance(globals().get(_name), type):
        globals()[_name].__module__ = __name__


def __getattr__(name: str) -> Any:
    """The events: a program that streams nothing does not pay for their classes."""
    if name in __all__:
        from . import _events

        value = globals()[name] = getattr(_events, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
