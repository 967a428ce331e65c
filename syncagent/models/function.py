"""A model that is a function of yours: for tests, and for models that are no HTTP API."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Optional, Union

import attrs

from ..exceptions import UserError
from ..messages import (
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    TextPartDelta,
    ToolCallPartDelta,
)
from ..schema.signature import refuse_coroutine
from ..settings import ModelSettings
from ..tools import ToolDefinition
from ..usage import Usage
from ._estimate import estimate_usage, request_tokens, usage_of, words
from .base import Model
from .streamed_response import StreamedResponse
from .wire import ResponseInfo

if TYPE_CHECKING:
    from ..tools import ModelRequestParameters

__all__ = ["AgentInfo", "DeltaToolCall", "DeltaToolCalls", "FunctionDef", "FunctionModel", "StreamFunctionDef"]


@attrs.frozen
class AgentInfo:
    """
    What a model function is told beside the messages.

    Args:
        function_tools: the tools that it may call.
        allow_text_result: whether text may be the final result.
        result_tools: the tools that end the run.
        model_settings: the merged settings, or None.
        result_schema: the schema that its text has to match in the result modes ``native`` and ``prompted``.
    """

    function_tools: list[ToolDefinition]
    allow_text_result: bool
    result_tools: list[ToolDefinition]
    model_settings: Optional[ModelSettings]
    result_schema: Optional[dict[str, Any]] = None


@attrs.define
class DeltaToolCall:
    """
    More of a streamed tool call.

    Args:
        name: more of the tool's name.
        json_args: more of the arguments' JSON text.
        tool_call_id: the call's id, once; the run makes one where there is none.
    """

    name: Optional[str] = None
    json_args: Optional[str] = None
    tool_call_id: Optional[str] = None


DeltaToolCalls = dict[int, DeltaToolCall]
"""More of several tool calls, by a number that tells them apart."""
FunctionDef = Callable[[list[ModelMessage], AgentInfo], ModelResponse]
"""A function that answers."""
StreamFunctionDef = Callable[[list[ModelMessage], AgentInfo], Iterable[Union[str, DeltaToolCalls]]]
"""A function that answers piece by piece: text, or more of tool calls."""


class FunctionModel(Model):
    """
    Answers with what a function returns. It asks nobody, so it works where real requests are forbidden.

    >>> from syncagent.messages import TextPart
    >>> def shout(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    ...     return ModelResponse([TextPart(messages[-1].parts[-1].content.upper())])
    >>> FunctionModel(shout).model_name
    'function:shout:'

    Usage is estimated where the response says none: 50 and the words of the requests, and the words of the
    answer. The run's time is looked at between the pieces of a stream.

    Args:
        function: answers whole requests.
        stream_function: answers requests that are streamed. All its text is one part, wherever it comes.
        model_name: by default ``function:`` and the names of both functions.

    Raises:
        TypeError: neither function is given.
        UserError: one of them is no function, or a coroutine function.
    """

    def __init__(
        self,
        function: Optional[FunctionDef] = None,
        *,
        stream_function: Optional[StreamFunctionDef] = None,
        model_name: Optional[str] = None,
    ) -> None:
        if function is None and stream_function is None:
            raise TypeError("Either `function` or `stream_function` must be provided")
        for given, what in ((function, "function"), (stream_function, "stream_function")):
            if given is None:
                continue
            if not callable(given):
                raise UserError(f"FunctionModel's `{what}` is a function; got {type(given).__name__}.")
            refuse_coroutine(given, f"FunctionModel's {what}")
        self.function = function
        self.stream_function = stream_function
        self._model_name = model_name or f"function:{_name(function)}:{_name(stream_function)}"

    @property
    def model_name(self) -> str:
        """The name that was given, else ``function:`` and the names of both functions."""
        return self._model_name

    @property
    def system(self) -> str:
        """``function``."""
        return "function"

    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """
        Call the function. The response is a new one: the function may return the same object every time.

        Raises:
            UserError: there is only a ``stream_function``, or the function returned something else.
        """
        if self.function is None:
            raise UserError(
                "This FunctionModel has only a `stream_function`; requests without streaming need "
                "FunctionModel(function, stream_function=...)."
            )
        response: Any = self.function(messages, _info(model_settings, model_request_parameters))
        if not isinstance(response, ModelResponse):
            _close(response)
            raise UserError(
                f"FunctionModel's `function` returns a ModelResponse; {_name(self.function)} "
                f"returned {type(response).__name__}."
            )
        usage = response.usage if response.usage != Usage() else estimate_usage(messages, response.parts)
        return attrs.evolve(
            response, parts=list(response.parts), model_name=response.model_name or self._model_name, usage=usage
        )

    @contextmanager
    def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> Iterator[StreamedResponse]:
        """
        Call the stream function; leaving the ``with`` closes what it returned, where that can be closed.

        Raises:
            UserError: there is only a ``function``, or the stream function gave something else than text
                and tool calls.
        """
        if self.stream_function is None:
            raise UserError(
                "This FunctionModel has no `stream_function`; streamed requests need "
                "FunctionModel(function, stream_function=...)."
            )
        pieces = self.stream_function(messages, _info(model_settings, model_request_parameters))
        if isinstance(pieces, (str, bytes, dict)) or not isinstance(pieces, Iterable):
            _close(pieces)
            raise UserError(
                f"FunctionModel's `stream_function` yields texts and {{index: DeltaToolCall(...)}}; "
                f"{_name(self.stream_function)} returned {type(pieces).__name__}."
            )
        with closing(_items(pieces, messages, model_request_parameters)) as items:
            yield StreamedResponse(items, model_name=self._model_name)


def _items(
    pieces: Iterable[Union[str, DeltaToolCalls]], messages: list[ModelMessage], parameters: ModelRequestParameters
) -> Generator[Union[ModelResponseStreamEvent, ResponseInfo], None, None]:
    """Events in the order of the pieces; parts are numbered in the order in which they begin."""
    indices: dict[Optional[int], int] = {}  # None is the text's key
    sent, received = request_tokens(messages), 0
    try:
        yield ResponseInfo(usage=usage_of(sent, received))
        for piece in pieces:
            parameters.deadline.check()
            if isinstance(piece, str):
                received += words(piece)
                yield ResponseInfo(usage=usage_of(sent, received))
                yield PartDeltaEvent(indices.setdefault(None, len(indices)), TextPartDelta(piece))
                continue
            for key, delta in _tool_calls(piece).items():
                received += words(delta.json_args or "") + (key not in indices)
                yield ResponseInfo(usage=usage_of(sent, received))
                yield PartDeltaEvent(
                    indices.setdefault(key, len(indices)),
                    ToolCallPartDelta(delta.name, delta.json_args, delta.tool_call_id),
                )
        yield ResponseInfo(complete=True)
    finally:
        _close(pieces)


def _tool_calls(piece: Any) -> DeltaToolCalls:
    if isinstance(piece, dict) and all(isinstance(delta, DeltaToolCall) for delta in piece.values()):
        return piece
    raise UserError(
        f"FunctionModel's `stream_function` yields texts and {{index: DeltaToolCall(...)}}; got {type(piece).__name__}."
    )


def _info(model_settings: Optional[ModelSettings], parameters: ModelRequestParameters) -> AgentInfo:
    return AgentInfo(
        parameters.function_tools,
        parameters.allow_text_result,
        parameters.result_tools,
        model_settings,
        parameters.result_schema,
    )


def _name(function: Optional[Callable[..., Any]]) -> str:
    return "" if function is None else getattr(function, "__name__", type(function).__name__)


def _close(given: Any) -> None:
    """Close a generator; a coroutine that came by mistake too, or Python warns that nobody awaited it."""
    close = getattr(given, "close", None)
    if close is not None:
        close()
