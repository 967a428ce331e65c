"""What happens while a response is streamed and its tools run."""

import uuid
from typing import Any, Literal, Optional, Union

import attrs

from ..exceptions import UnexpectedModelBehavior
from ._parts import ModelResponsePart, RetryPromptPart, TextPart, ThinkingPart, ToolCallPart, ToolReturnPart

__all__ = [
    "AgentRunResultEvent",
    "AgentStreamEvent",
    "FinalResultEvent",
    "FunctionToolCallEvent",
    "FunctionToolResultEvent",
    "HandleResponseEvent",
    "HeartbeatEvent",
    "ModelResponsePartDelta",
    "ModelResponseStreamEvent",
    "PartDeltaEvent",
    "PartStartEvent",
    "RetryEvent",
    "TextPartDelta",
    "ThinkingPartDelta",
    "ToolCallPartDelta",
]


@attrs.define
class TextPartDelta:
    """More text of a :class:`~syncagent.messages.TextPart`."""

    content_delta: str
    part_delta_kind: Literal["text"] = "text"

    def apply(self, part: ModelResponsePart) -> TextPart:
        """A new part with the text added."""
        if not isinstance(part, TextPart):
            raise ValueError("Cannot apply TextPartDeltas to non-TextParts")
        return TextPart(part.content + self.content_delta)


@attrs.define
class ThinkingPartDelta:
    """More of a :class:`~syncagent.messages.ThinkingPart`."""

    content_delta: Optional[str] = None
    signature_delta: Optional[str] = None
    provider_name: Optional[str] = None
    part_delta_kind: Literal["thinking"] = "thinking"

    def apply(self, part: ModelResponsePart) -> ThinkingPart:
        """A new part with the thinking added; a signature replaces the one before."""
        if not isinstance(part, ThinkingPart):
            raise ValueError("Cannot apply ThinkingPartDeltas to non-ThinkingParts")
        return attrs.evolve(
            part,
            content=part.content + (self.content_delta or ""),
            signature=self.signature_delta if self.signature_delta is not None else part.signature,
            provider_name=self.provider_name or part.provider_name,
        )


@attrs.define
class ToolCallPartDelta:
    """
    More of a tool call; the call is announced once it has a name and arguments.

    Args:
        tool_name_delta: more of the name.
        args_delta: more of the JSON text, or further arguments as a dict.
        tool_call_id: the call's id, once.
    """

    tool_name_delta: Optional[str] = None
    args_delta: Union[str, dict[str, Any], None] = None
    tool_call_id: Optional[str] = None
    part_delta_kind: Literal["tool_call"] = "tool_call"

    def as_part(self) -> Optional[ToolCallPart]:
        """The whole call, or None while its name or its arguments are missing."""
        if self.tool_name_delta is None or self.args_delta is None:
            return None
        return ToolCallPart(self.tool_name_delta, self.args_delta, self.tool_call_id)

    def apply(self, part: Union[ModelResponsePart, "ToolCallPartDelta"]) -> Union[ToolCallPart, "ToolCallPartDelta"]:
        """
        A new part, or a new delta where the call is not whole yet, with this delta added.

        Raises:
            UnexpectedModelBehavior: text meets a dict, or the id changes.
        """
        if isinstance(part, ToolCallPartDelta):
            name = (part.tool_name_delta or "") + (self.tool_name_delta or "") or None
            delta = ToolCallPartDelta(name, _join_args(part.args_delta, self), _one_id(part.tool_call_id, self))
            return delta.as_part() or delta
        if not isinstance(part, ToolCallPart):
            raise ValueError("Cannot apply ToolCallPartDeltas to non-ToolCallParts")
        args = _join_args(part.args, self)
        return ToolCallPart(
            part.tool_name + (self.tool_name_delta or ""),
            "" if args is None else args,
            _one_id(part.tool_call_id, self),
        )


def _join_args(args: Union[str, dict[str, Any], None], delta: ToolCallPartDelta) -> Union[str, dict[str, Any], None]:
    more = delta.args_delta
    if more is None or args is None:
        return args if more is None else more
    if isinstance(more, str):
        if not isinstance(args, str):
            raise UnexpectedModelBehavior(
                f"Cannot apply JSON deltas to non-JSON tool arguments ({type(args).__name__})"
            )
        return args + more
    if not isinstance(args, dict):
        raise UnexpectedModelBehavior(
            f"Cannot apply dict deltas to non-dict tool arguments ({type(args).__name__})"
        )
    return {**args, **more}


def _one_id(tool_call_id: Optional[str], delta: ToolCallPartDelta) -> Optional[str]:
    if delta.tool_call_id is None or tool_call_id is None or delta.tool_call_id == tool_call_id:
        return tool_call_id or delta.tool_call_id
    raise UnexpectedModelBehavior(
        f"Cannot apply a new tool_call_id to a ToolCallPartDelta that already has one ({tool_call_id})"
    )


ModelResponsePartDelta = Union[TextPartDelta, ToolCallPartDelta, ThinkingPartDelta]


@attrs.define
class PartStartEvent:
    """A part of the response begins; one that comes for an index again replaces the part there."""

    index: int
    part: ModelResponsePart
    event_kind: Literal["part_start"] = "part_start"


@attrs.define
class PartDeltaEvent:
    """More of the part at *index*."""

    index: int
    delta: ModelResponsePartDelta
    event_kind: Literal["part_delta"] = "part_delta"


@attrs.define
class FinalResultEvent:
    """The response so far can be the final result: text, or a call of a result tool."""

    tool_name: Optional[str]
    tool_call_id: Optional[str]
    event_kind: Literal["final_result"] = "final_result"


ModelResponseStreamEvent = Union[PartStartEvent, PartDeltaEvent]
"""What a model's stream is made of."""


@attrs.define
class FunctionToolCallEvent:
    """A function tool is about to be called."""

    part: ToolCallPart
    call_id: str = attrs.field(
        default=attrs.Factory(lambda event: event.part.tool_call_id or str(uuid.uuid4()), takes_self=True)
    )
    event_kind: Literal["function_tool_call"] = "function_tool_call"


@attrs.define
class FunctionToolResultEvent:
    """A function tool returned, or has to be called again."""

    result: Union[ToolReturnPart, RetryPromptPart]
    tool_call_id: str
    event_kind: Literal["function_tool_result"] = "function_tool_result"


HandleResponseEvent = Union[FunctionToolCallEvent, FunctionToolResultEvent]
"""What happens while a response's tools run."""


@attrs.define
class RetryEvent:
    """The model is asked again because its answer was refused; *part* is what it is told."""

    part: RetryPromptPart
    event_kind: Literal["retry"] = "retry"


@attrs.define
class HeartbeatEvent:
    """Nothing has happened for a while, or something that may take long is about to begin."""

    event_kind: Literal["heartbeat"] = "heartbeat"


@attrs.define
class AgentRunResultEvent:
    """The last event of a run; *result* is its :class:`~syncagent.result.AgentRunResult`."""

    result: Any
    event_kind: Literal["agent_run_result"] = "agent_run_result"


AgentStreamEvent = Union[
    ModelResponseStreamEvent, FinalResultEvent, HandleResponseEvent, RetryEvent, HeartbeatEvent, AgentRunResultEvent
]
"""Everything that happens in a run."""

for _name in __all__:
    # Tracebacks, pickles and the documentation name the public place.
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__.rpartition(".")[0]
