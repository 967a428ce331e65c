"""
Cutting a history without parting a call from its return.

Providers refuse a tool's return whose call they do not see, and a call without its return. A cut that only
counts messages produces both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Union

import attrs

from .exceptions import UserError
from .messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    SystemPromptPart,
    ToolCallPart,
    ToolReturnPart,
)

__all__ = ["keep_last"]

_Key = Union[str, tuple[str, str]]


def keep_last(n: int) -> Callable[[list[ModelMessage]], list[ModelMessage]]:
    """
    A history processor that sends the end of a long history.

    >>> from syncagent import Agent
    >>> agent = Agent(history_processors=[keep_last(20)])

    What is kept begins with a request and holds the call of every tool's return in it, so it may be a little
    longer than *n*: the cut moves back to where it parts nothing. System prompts of the first request stay:
    they move to the first request that is kept.

    Args:
        n: how many messages (requests and responses) to keep at least, where there are so many.

    Returns:
        A function from a history to a new list; neither the history nor its messages are changed.

    Raises:
        UserError: *n* is not a positive whole number.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UserError(f"keep_last takes a number of messages, 1 or more; got {n!r}.")

    def processor(messages: list[ModelMessage]) -> list[ModelMessage]:
        if len(messages) <= n:
            return list(messages)
        start, unanswered = _cut(messages, n, frozenset())
        if unanswered:
            # Returns whose call is nowhere: no cut mends them, and they must not keep everything else.
            start, _ = _cut(messages, n, unanswered)
        return _from(messages, start)

    return processor


def _cut(messages: Sequence[ModelMessage], n: int, ignored: frozenset[_Key]) -> tuple[int, frozenset[_Key]]:
    """The last place to cut at that keeps *n* messages and parts nothing; with it, returns that found no call."""
    waiting: set[_Key] = set()  # returns behind this place whose call has not been met yet
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, ModelResponse):
            for part in message.parts:
                if isinstance(part, ToolCallPart):
                    waiting.discard(("", part.tool_name))
                    if part.tool_call_id is not None:
                        waiting.discard(part.tool_call_id)
            continue
        waiting |= _answered(message) - ignored
        if not waiting and len(messages) - index >= n:
            return index, frozenset()
    return 0, frozenset(waiting)


def _answered(request: ModelRequest) -> set[_Key]:
    """The calls that a request answers: by id, and by the tool's name where there is none."""
    return {
        ("", part.tool_name) if part.tool_call_id is None else part.tool_call_id
        for part in request.parts
        if isinstance(part, (ToolReturnPart, RetryPromptPart)) and part.tool_name is not None
    }


def _from(messages: Sequence[ModelMessage], start: int) -> list[ModelMessage]:
    """The messages from *start* on, with the first request's system prompts."""
    kept = list(messages[start:])
    first, head = messages[0], kept[0]
    if start and isinstance(first, ModelRequest) and isinstance(head, ModelRequest):
        own = [part for part in head.parts if isinstance(part, SystemPromptPart)]
        moved = [part for part in first.parts if isinstance(part, SystemPromptPart) and part not in own]
        if moved:
            kept[0] = attrs.evolve(head, parts=[*moved, *head.parts])
    return kept
