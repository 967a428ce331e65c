"""Requests, responses and their parts."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

import attrs

from ..jsonable import dump_str, to_jsonable
from ..usage import Usage
from ._content import UserContent

if TYPE_CHECKING:
    from ..prices import PriceSource

__all__ = [
    "FinishReason",
    "ModelMessage",
    "ModelRequest",
    "ModelRequestPart",
    "ModelResponse",
    "ModelResponsePart",
    "OpaquePart",
    "RetryPromptPart",
    "SystemPromptPart",
    "TextPart",
    "ThinkingPart",
    "ToolCallPart",
    "ToolReturn",
    "ToolReturnPart",
    "UserPromptPart",
]

FinishReason = Literal["stop", "length", "tool_call", "content_filter", "error"]
"""Why a model stopped; the provider's own word is ``provider_details["finish_reason"]``."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)


@attrs.define
class SystemPromptPart:
    """
    What the developer tells the model.

    Args:
        content: the text.
        dynamic_ref: the qualified name of the function that makes it anew at every run; None for fixed text.
    """

    content: str
    dynamic_ref: Optional[str] = None
    part_kind: Literal["system-prompt"] = "system-prompt"


@attrs.define
class UserPromptPart:
    """What the user says: text, or a sequence of texts and media."""

    content: Union[str, Sequence[UserContent]]
    timestamp: dt.datetime = attrs.field(factory=_now)
    part_kind: Literal["user-prompt"] = "user-prompt"


@attrs.define
class ToolReturnPart:
    """
    What a tool returned.

    Args:
        tool_name: the tool.
        content: any value that has a JSON form.
        tool_call_id: the call it answers.
        timestamp: when it returned.
        metadata: for the application; never sent to a model.
    """

    tool_name: str
    content: Any
    tool_call_id: Optional[str] = None
    timestamp: dt.datetime = attrs.field(factory=_now)
    part_kind: Literal["tool-return"] = "tool-return"
    metadata: Any = attrs.field(default=None, kw_only=True)

    def model_response_str(self) -> str:
        """The content as the model reads it: text as it is, anything else as compact JSON."""
        return self.content if isinstance(self.content, str) else dump_str(self.content)

    def model_response_object(self) -> dict[str, Any]:
        """The content as an object: a dict as it is, anything else under ``return_value``."""
        content = to_jsonable(self.content)
        return content if isinstance(content, dict) else {"return_value": content}


@attrs.define
class RetryPromptPart:
    """
    Tells the model what was wrong with its answer.

    Args:
        content: a text, or the errors of a validation as dicts with ``type``, ``loc``, ``msg`` and ``input``.
        tool_name: the tool that refused its arguments; None for an answer in text.
        tool_call_id: the call it answers.
        timestamp: when.
    """

    content: Union[str, Sequence[Mapping[str, Any]]]
    tool_name: Optional[str] = None
    tool_call_id: Optional[str] = None
    timestamp: dt.datetime = attrs.field(factory=_now)
    part_kind: Literal["retry-prompt"] = "retry-prompt"

    def model_response(self) -> str:
        """The text that the model reads."""
        if isinstance(self.content, str):
            description = self.content
        else:
            errors = to_jsonable([{k: v for k, v in error.items() if k != "ctx"} for error in self.content])
            description = f"{len(errors)} validation errors: {json.dumps(errors, indent=2, ensure_ascii=False)}"
        return f"{description}\n\nFix the errors and try again."


ModelRequestPart = Union[SystemPromptPart, UserPromptPart, ToolReturnPart, RetryPromptPart]


@attrs.define
class ModelRequest:
    """What is sent to a model in one turn."""

    parts: list[ModelRequestPart]
    kind: Literal["request"] = "request"


@attrs.define
class TextPart:
    """Text that the model wrote."""

    content: str
    part_kind: Literal["text"] = "text"

    def has_content(self) -> bool:
        """Whether there is any text."""
        return bool(self.content)


@attrs.define
class ThinkingPart:
    """
    What the model thought before it answered.

    Args:
        content: readable thinking; empty where the provider hides it.
        id: the provider's id of the item.
        signature: the provider's proof, sent back with the next request.
        provider_name: whose it is; only that provider gets the signature back.
    """

    content: str
    id: Optional[str] = None
    signature: Optional[str] = None
    provider_name: Optional[str] = None
    part_kind: Literal["thinking"] = "thinking"

    def has_content(self) -> bool:
        """Whether there is readable thinking."""
        return bool(self.content)


@attrs.define
class OpaquePart:
    """Something a provider sent that has no class here; goes back to the same provider as it is."""

    provider_name: Optional[str]
    data: dict[str, Any]
    part_kind: Literal["opaque"] = "opaque"


@attrs.define
class ToolCallPart:
    """
    The model wants a tool to be called.

    Args:
        tool_name: the tool.
        args: the arguments: JSON text or a dict.
        tool_call_id: the provider's id of the call; the run makes one where it is None.
    """

    tool_name: str
    args: Union[str, dict[str, Any]]
    tool_call_id: Optional[str] = None
    part_kind: Literal["tool-call"] = "tool-call"

    def args_as_dict(self) -> dict[str, Any]:
        """
        The arguments as a dict; no arguments are an empty one.

        Raises:
            ValueError: the text is not a JSON object.
        """
        if isinstance(self.args, dict):
            return self.args
        args = json.loads(self.args) if self.args.strip() else {}
        if not isinstance(args, dict):
            raise ValueError(f"The arguments of {self.tool_name!r} are not a JSON object but {type(args).__name__}.")
        return args

    def args_as_json_str(self) -> str:
        """The arguments as JSON text."""
        return self.args if isinstance(self.args, str) else dump_str(self.args)

    def has_content(self) -> bool:
        """Whether there are arguments: a dict with any true value, or text."""
        return any(self.args.values()) if isinstance(self.args, dict) else bool(self.args)


ModelResponsePart = Union[TextPart, ToolCallPart, ThinkingPart, OpaquePart]


@attrs.define
class ModelResponse:
    """
    What a model answered in one turn.

    Args:
        parts: text, thinking, tool calls, in the model's order.
        model_name: as the provider says it.
        timestamp: as the provider says it, else when it came.
        usage: what it cost; not part of equality, as all that follows.
        finish_reason: why the model stopped; None where it did not say, or was stopped.
        provider_name: who answered.
        provider_response_id: the provider's id of the response.
        provider_details: further facts of the provider's, JSON only.
    """

    parts: list[ModelResponsePart]
    model_name: Optional[str] = None
    timestamp: dt.datetime = attrs.field(factory=_now)
    kind: Literal["response"] = "response"
    usage: Usage = attrs.field(factory=Usage, eq=False, kw_only=True)
    finish_reason: Optional[FinishReason] = attrs.field(default=None, eq=False, kw_only=True)
    provider_name: Optional[str] = attrs.field(default=None, eq=False, kw_only=True)
    provider_response_id: Optional[str] = attrs.field(default=None, eq=False, kw_only=True)
    provider_details: Optional[dict[str, Any]] = attrs.field(default=None, eq=False, kw_only=True)

    @property
    def attempts(self) -> int:
        """How many requests the transport sent for it: 1, or more where one was tried again."""
        attempts = (self.provider_details or {}).get("attempts", 1)
        return attempts if type(attempts) is int else 1

    def cost(self, prices: "Optional[PriceSource]" = None) -> Optional[Decimal]:
        """
        US dollars that the response cost, by its usage, model and time; None where no price is known.

        Args:
            prices: the caller's own, before the known ones: see :class:`~syncagent.prices.PriceTable`.

        Raises:
            ValueError, OSError: *prices* are none, or cannot be read.
        """
        from ..prices import PriceTable, cost_of

        table = PriceTable.of(prices)
        if table is None and self.usage.cost is not None:
            return self.usage.cost
        return cost_of(self.usage, self.model_name, self.provider_name, prices=table, when=self.timestamp)


ModelMessage = Union[ModelRequest, ModelResponse]
"""One message of a history."""


@attrs.define
class ToolReturn:
    """
    What a tool returns when it has more to give than one value.

    Args:
        return_value: the value the model gets as the tool's return.
        content: further content for the model, as a user prompt after the return: text, or texts and media.
        metadata: for the application; kept in the history, never sent.
    """

    return_value: Any
    content: Union[str, Sequence[UserContent], None] = attrs.field(default=None, kw_only=True)
    metadata: Any = attrs.field(default=None, kw_only=True)
