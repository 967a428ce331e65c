"""
The joint between a provider's API and everything else: what a wire is given and what it gives.

A wire is a mapping: pure functions from messages to a request's body, and from a response's body or a
stream's frames back. It knows no HTTP client, no clock, no environment and no retries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Optional, Protocol, Union, runtime_checkable

from ..usage import Usage

if TYPE_CHECKING:
    from ..messages import FinishReason, ModelMessage, ModelResponse, ModelResponseStreamEvent
    from ..tools import ModelRequestParameters
    from ..transport.sse import Frame
    from .profiles import ModelProfile

__all__ = [
    "MISREAD",
    "CountingWire",
    "ErrorInfo",
    "ErrorKind",
    "ModelCall",
    "ProviderWire",
    "ResponseInfo",
    "Wire",
    "WireRequest",
]

ErrorKind = Literal["auth", "not_found", "rate_limit", "quota", "overloaded", "context_too_long", "response"]


class ModelCall(NamedTuple):
    """
    One request, as a wire sees it.

    Args:
        model_name: the provider's name of the model.
        messages: what to send; never changed.
        settings: the merged settings; may be empty.
        parameters: tools, result mode and schema.
        profile: what the model can do.
        stream: whether the answer is to be streamed.
        provider_name: whose signatures and opaque parts may be sent back.
        quirks: the provider's named deviations from the wire, with their values.
    """

    model_name: str
    messages: Sequence[ModelMessage]
    settings: Mapping[str, Any]
    parameters: ModelRequestParameters
    profile: ModelProfile
    stream: bool
    provider_name: str
    quirks: Mapping[str, Any]


class WireRequest(NamedTuple):
    """What to send: everything of an HTTP request but the base URL and the authentication."""

    path: str
    body: bytes
    method: str = "POST"
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


class ErrorInfo(NamedTuple):
    """
    What a provider says of an error; *kind* is None where the status alone tells.

    *retry_after* is the seconds to wait, of a provider that says it in the body; a header beats it.
    """

    message: Optional[str] = None
    code: Optional[str] = None
    kind: Optional[ErrorKind] = None
    retry_after: Optional[float] = None


class ResponseInfo:
    """
    What a stream tells beside its parts; comes any number of times, later values replace earlier ones.

    Args:
        usage: all tokens so far, not an increment.
        finish_reason: why the model stopped.
        provider_response_id: the provider's id of the response.
        model_name: as the provider says it.
        provider_details: merged into the ones before.
        complete: whether the provider's end mark came.
    """

    __slots__ = ("complete", "finish_reason", "model_name", "provider_details", "provider_response_id", "usage")

    def __init__(
        self,
        *,
        usage: Optional[Usage] = None,
        finish_reason: Optional[FinishReason] = None,
        provider_response_id: Optional[str] = None,
        model_name: Optional[str] = None,
        provider_details: Optional[dict[str, Any]] = None,
        complete: bool = False,
    ) -> None:
        self.usage = usage
        self.finish_reason = finish_reason
        self.provider_response_id = provider_response_id
        self.model_name = model_name
        self.provider_details = provider_details
        self.complete = complete


class Wire(Protocol):
    """The mapping of one provider API."""

    @property
    def inline(self) -> frozenset[str]:
        """Kinds of URL parts that must be downloaded and replaced by ``BinaryContent`` before :meth:`encode`."""
        ...

    def encode(self, call: ModelCall) -> WireRequest:
        """The request; raises ``UserError`` for content that the API has no place for."""
        ...

    def decode(self, body: Mapping[str, Any]) -> ModelResponse:
        """The response with its usage; raises ``ValueError`` naming the field for a body of another shape."""
        ...

    def decode_stream(self, frames: Iterator[Frame]) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
        """
        Part events and facts, as the frames come; raises ``ValueError`` as :meth:`decode`.

        A frame without data says that nothing has come for now: give ``ResponseInfo()`` for it, so that whoever
        reads the events can do something else in the meantime.
        """
        ...

    def decode_error(self, status: int, body: object) -> ErrorInfo:
        """What an error body says; a body of any shape is fine."""
        ...


@runtime_checkable
class CountingWire(Protocol):
    """What a wire has beside its mapping where its API counts the tokens of a request without answering it."""

    def encode_count(self, call: ModelCall) -> WireRequest:
        """The request for the count; raises as :meth:`Wire.encode`."""
        ...

    def decode_count(self, body: Mapping[str, Any]) -> int:
        """The tokens, cached ones included; raises ``ValueError`` naming the field for a body of another shape."""
        ...


class ProviderWire:
    """
    A wire made of a module's functions, for one provider.

    A subclass names them with ``staticmethod``: ``encode`` and ``decode_error`` as they are, ``decode`` and
    ``decode_stream``, which take the provider's name, as ``read`` and ``read_stream``.

    Args:
        provider_name: whose thinking and opaque parts the answers hold.
    """

    __slots__ = ("provider_name",)

    inline: frozenset[str] = frozenset()
    read: Callable[[Mapping[str, Any], Optional[str]], ModelResponse]
    read_stream: Callable[[Iterator[Frame], Optional[str]], Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]]

    def __init__(self, provider_name: Optional[str] = None) -> None:
        self.provider_name = provider_name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.provider_name}>"

    def decode(self, body: Mapping[str, Any]) -> ModelResponse:
        """The response with this provider's name; raises as :meth:`Wire.decode`."""
        return self.read(body, self.provider_name)

    def decode_stream(self, frames: Iterator[Frame]) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
        """Part events and facts with this provider's name; raises as :meth:`Wire.decode_stream`."""
        return self.read_stream(frames, self.provider_name)


MISREAD = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)
"""What a wire may raise over a body of another shape: ValueError by its contract, the others by a slip."""
