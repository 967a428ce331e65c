"""
Turns that the provider pauses: the answer is sent back, and what comes then belongs to it.

https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons#pause-turn
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Optional, Union

import attrs

from ..messages import ModelResponse, PartDeltaEvent, PartStartEvent, ToolCallPart
from ._anthropic_answer import PAUSED
from .wire import ResponseInfo

if TYPE_CHECKING:
    from ..messages import ModelResponseStreamEvent
    from ..tools import ModelRequestParameters
    from ..usage import Usage
    from .base import StreamedResponse

__all__ = ["continuing", "is_paused", "joined", "shifted"]


def is_paused(response: ModelResponse) -> bool:
    """Whether the provider wants its answer back to go on. Calls of our own tools are answered first."""
    details = response.provider_details or {}
    return (
        details.get("finish_reason") == PAUSED
        and not details.get("incomplete")
        and not any(isinstance(part, ToolCallPart) for part in response.parts)
    )


def continuing(parameters: ModelRequestParameters, pause: int) -> ModelRequestParameters:
    """The parameters of a continuation: it is another request, so its key is another one."""
    if parameters.idempotency_key is None:
        return parameters
    return attrs.evolve(parameters, idempotency_key=f"{parameters.idempotency_key}-{pause}")


def joined(response: ModelResponse, more: ModelResponse) -> ModelResponse:
    """A paused answer and its continuation as one."""
    return attrs.evolve(
        more,
        parts=[*response.parts, *more.parts],
        usage=_both(response.usage, more.usage),
        provider_details={**(response.provider_details or {}), **(more.provider_details or {})},
    )


def shifted(
    more: StreamedResponse, offset: int, before: Usage
) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
    """
    The items of a continuation, as they stand in the whole.

    Args:
        more: the continuation.
        offset: how many parts came before it.
        before: what they took.
    """
    told: Optional[Usage] = None
    for event in more:
        if more.info.usage is not None and more.info.usage is not told:
            told = more.info.usage
            yield ResponseInfo(usage=_both(before, told))
        if isinstance(event, PartStartEvent):
            yield PartStartEvent(event.index + offset, event.part)
        else:
            yield PartDeltaEvent(event.index + offset, event.delta)
    info = more.info
    yield ResponseInfo(
        usage=_both(before, more.usage()),
        finish_reason=info.finish_reason,  # pyright: ignore[reportArgumentType] # it forgets the Literal
        provider_response_id=info.provider_response_id,
        model_name=info.model_name,
        provider_details=info.provider_details,
        complete=info.complete,
    )


def _both(usage: Usage, more: Usage) -> Usage:
    """The run counts one request for each answer; a continuation is one more."""
    total = usage + more
    total.requests += 1
    return total
