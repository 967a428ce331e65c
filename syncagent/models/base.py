"""What every model is: something that answers a list of messages."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional, Union

from ..messages import (
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from ..usage import Usage
from .profiles import ModelProfile
from .wire import ResponseInfo

if TYPE_CHECKING:
    from ..messages import ModelMessage
    from ..settings import ModelSettings
    from ..tools import ModelRequestParameters

__all__ = ["Model", "StreamedResponse"]


class Model(ABC):
    """
    Answers requests. :meth:`request` is all that a model of one's own must have.
    """

    @abstractmethod
    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """
        Answer the messages.

        Args:
            messages: the conversation; ends in a ``ModelRequest``. Not to be changed.
            model_settings: the merged settings, or None.
            model_request_parameters: tools, result mode, deadline; to be passed on unchanged.

        Raises:
            ModelAPIError: the provider did not answer.
        """

    @contextmanager
    def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> Iterator[StreamedResponse]:
        """
        Answer the messages piece by piece; leaving the ``with`` early closes the connection.

        The arguments and errors are those of :meth:`request`.
        """
        raise NotImplementedError(f"Streamed requests not supported by this {self.__class__.__name__}")
        yield  # pragma: no cover -- makes this a generator, as its overrides are

    @property
    @abstractmethod
    def model_name(self) -> str:
        """The model's name."""

    @property
    @abstractmethod
    def system(self) -> str:
        """The provider's name."""

    @property
    def base_url(self) -> Optional[str]:
        """The address of the provider's API, where there is one."""
        return None

    @property
    def profile(self) -> ModelProfile:
        """What the model can do."""
        return ModelProfile()

    def check(self) -> None:
        """Raise what a request would raise for want of a key or a package; does nothing by default."""


class _Growing:
    """One part of a stream while it grows; text is joined once, when somebody looks."""

    __slots__ = ("chunks", "part")

    def __init__(self, part: Union[ModelResponsePart, ToolCallPartDelta]) -> None:
        self.part = part
        self.chunks: list[str] = []

    def add(self, delta: Union[TextPartDelta, ThinkingPartDelta, ToolCallPartDelta]) -> None:
        part = self.part
        if type(delta) is TextPartDelta and type(part) is TextPart:
            self.chunks.append(delta.content_delta)
        elif (
            type(delta) is ToolCallPartDelta
            and type(part) is ToolCallPart
            and type(delta.args_delta) is str
            and type(part.args) is str
            and not delta.tool_name_delta
            and delta.tool_call_id in (None, part.tool_call_id)
        ):
            self.chunks.append(delta.args_delta)
        elif type(delta) is ThinkingPartDelta and type(part) is ThinkingPart and delta.signature_delta is None:
            self.chunks.append(delta.content_delta or "")
            part.provider_name = part.provider_name or delta.provider_name
        else:
            self.part = delta.apply(self.whole())  # type: ignore[arg-type] # apply refuses what does not fit

    def whole(self) -> Union[ModelResponsePart, ToolCallPartDelta]:
        """The part so far. A new object each time: the one handed out before stays as it was."""
        part, more = self.part, "".join(self.chunks)
        self.chunks.clear()
        if more:
            if isinstance(part, TextPart):
                part = TextPart(part.content + more)
            elif isinstance(part, ThinkingPart):
                part = ThinkingPart(part.content + more, part.id, part.signature, part.provider_name)
            elif isinstance(part, ToolCallPart) and isinstance(part.args, str):
                part = ToolCallPart(part.tool_name, part.args + more, part.tool_call_id)
            self.part = part
        return part


class StreamedResponse:
    """
    A response while it comes: iterate for its events, ask :meth:`get` for what there is so far.

    Args:
        items: the events of a wire or a model, with :class:`~syncagent.models.wire.ResponseInfo` between them.
        model_name: until the stream says one.
        provider_name: the provider's name.
        timestamp: when the response began; by default now.
    """

    def __init__(
        self,
        items: Iterable[Union[ModelResponseStreamEvent, ResponseInfo]],
        *,
        model_name: str,
        provider_name: Optional[str] = None,
        timestamp: Optional[dt.datetime] = None,
    ) -> None:
        self._items = items
        self._iterator: Optional[Iterator[ModelResponseStreamEvent]] = None
        self._parts: dict[int, _Growing] = {}
        self._usage = Usage()
        self._model_name = model_name
        self._provider_name = provider_name
        self.timestamp = timestamp or dt.datetime.now(dt.timezone.utc)
        self.info = ResponseInfo()

    def __iter__(self) -> Iterator[ModelResponseStreamEvent]:
        if self._iterator is None:
            self._iterator = self._read()
        return self._iterator

    def _read(self) -> Iterator[ModelResponseStreamEvent]:
        parts = self._parts
        for item in self._items:
            if type(item) is PartDeltaEvent:
                parts[item.index].add(item.delta)
                yield item
            elif type(item) is PartStartEvent:
                # A copy is kept: the part in the event is the consumer's.
                parts[item.index] = _Growing(item.part)
                yield item
            else:
                self._learn(item)  # type: ignore[arg-type] # the third kind

    def _learn(self, info: ResponseInfo) -> None:
        known = self.info
        if info.usage is not None:
            self._usage = info.usage
        known.finish_reason = info.finish_reason or known.finish_reason
        known.provider_response_id = info.provider_response_id or known.provider_response_id
        known.complete = info.complete or known.complete
        if info.provider_details:
            known.provider_details = {**(known.provider_details or {}), **info.provider_details}
        self._model_name = info.model_name or self._model_name

    @property
    def model_name(self) -> str:
        """The model, as the provider says it once it has."""
        return self._model_name

    def usage(self) -> Usage:
        """The tokens so far."""
        return self._usage

    def get(self) -> ModelResponse:
        """The response so far; tool calls without a name or arguments are left out."""
        wholes = [self._parts[index].whole() for index in sorted(self._parts)]
        return ModelResponse(
            [part for part in wholes if not isinstance(part, ToolCallPartDelta)],
            self._model_name,
            self.timestamp,
            usage=self._usage,
            finish_reason=self.info.finish_reason,
            provider_name=self._provider_name,
            provider_response_id=self.info.provider_response_id,
            provider_details=self.info.provider_details,
        )


def response_of(answer: Any, requests: int = 1) -> ModelResponse:
    """
    The response of a model of any make: a ``ModelResponse``, or the older pair with its usage.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(answer, ModelResponse):
        return answer
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], ModelResponse):
        response, usage = answer
        response.usage = usage
        return response
    raise TypeError(f"Model.request returns a ModelResponse; got {type(answer).__name__}.")


