"""A run's result while it comes: its text or value, or everything that happens."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Optional

from .exceptions import AgentRunError, RunCancelled, UnexpectedModelBehavior, UserError
from .messages import (
    AgentStreamEvent,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    PartStartEvent,
    TextPart,
    ToolCallPart,
)
from .plan import Asked, RunPlan
from .response_stream import GrowingText, PartialResult, debounced
from .result_tools import FinalResult, ResultDataT, run_validators, validate_text
from .run_result import AgentRunResult
from .tools import AgentDepsT
from .usage import Usage

if TYPE_CHECKING:
    from .run import AgentRun

__all__ = ["RunEvents", "StreamedRunResult"]

_AT_ONCE = 1.0  # seconds between two looks at what came, where nobody waits for it


class StreamedRunResult(Generic[AgentDepsT, ResultDataT]):
    """
    The result of a run while it comes; made by ``Agent.run_stream``.

    It is handed over at the first part that can be final. Where tool calls follow streamed text, they run, the
    model is asked again, and the iterators go on with what it answers.

    Attributes:
        is_complete: whether the run has come to its end.
    """

    def __init__(self, run: AgentRun[AgentDepsT, ResultDataT]) -> None:
        self._run = run
        self._plan: RunPlan = run.plan
        self._text = GrowingText()
        self._text_kept = True
        self._handed_out = False
        self._last: Optional[ModelResponse] = None
        self._result: Optional[AgentRunResult[ResultDataT]] = None
        self._timestamp: Optional[dt.datetime] = None
        stream = run.next_response(None)
        with run.failing():
            while stream is not None and not stream.may_be_final():
                stream = run.next_response(Asked(stream.get()))
        self._stream = stream
        self._learn()

    def __repr__(self) -> str:
        if not hasattr(self, "_stream"):
            return "<StreamedRunResult that failed>"  # a traceback shows it, of a run whose first request failed
        return f"<StreamedRunResult is_complete={self.is_complete} usage={self.usage()!r}>"

    @property
    def is_complete(self) -> bool:
        """Whether the run has come to its end."""
        return self._result is not None

    @property
    def data(self) -> ResultDataT:
        """The result; reads the rest of the stream where it has not come to its end."""
        return self.get_data()

    def stream_text(self, *, delta: bool = False, debounce_by: Optional[float] = 0.1) -> Iterator[str]:
        """
        Text as it comes.

        Args:
            delta: give only what is new; else all text so far, that of earlier responses included, with a blank
                line between.
            debounce_by: seconds that lie between two values at least; None for every single one.

        Raises:
            UserError: the result is not text.
            AgentRunError: the run failed.
        """
        plan = self._plan
        if not plan.result_schema.allow_text or (plan.result_mode != "tool" and not plan.result_schema.plain):
            raise UserError("stream_text() can only be used with text responses")
        text = self._text
        if not delta and text.started:
            self._keep_text()
            yield text.text()
        while self._stream is not None:
            for group in self._guarded(debounced(self._stream, debounce_by)):
                if delta:
                    more = self._skim(group)
                else:
                    self._keep_text()
                    more = "".join([text.feed(event) for event in group])
                if more:
                    self._handed_out = True
                    yield more if delta else text.text()
            self._next_response()

    def stream(self, *, debounce_by: Optional[float] = 0.1) -> Iterator[ResultDataT]:
        """
        The current response's value as far as it has come, validated; the last one is the run's result.

        A partial value that cannot be made, or that a validator refuses, is left out.

        Args:
            debounce_by: as for :meth:`stream_text`.

        Raises:
            AgentRunError: the run failed.
        """
        while self._stream is not None:
            partial = PartialResult(self._plan, self._run.ctx.state)
            for group in self._guarded(debounced(self._stream, debounce_by)):
                partial.feed(group)
                self._skim(group)
                found, value = partial.value()
                if found:
                    self._handed_out = True
                    yield value
            self._next_response()
        yield self.get_data()

    def stream_structured(self, *, debounce_by: Optional[float] = 0.1) -> Iterator[tuple[ModelResponse, bool]]:
        """
        The current response so far and whether it is the last, which is true once, at the end.

        Args:
            debounce_by: as for :meth:`stream_text`.

        Raises:
            AgentRunError: the run failed.
        """
        while self._stream is not None:
            stream = self._stream
            for group in self._guarded(debounced(stream, debounce_by)):
                self._skim(group)
                self._handed_out = True
                yield stream.get(), False
            self._next_response()
        if self._last is not None:
            yield self._last, True

    def get_data(self) -> ResultDataT:
        """
        Read to the end of the run and give its result.

        Raises:
            AgentRunError: the run failed.
        """
        while self._stream is not None:
            for group in self._guarded(debounced(self._stream, _AT_ONCE)):
                self._skim(group)
            self._next_response()
        if self._result is None:
            raise AgentRunError("The stream was closed before the run came to its end, so there is no result.")
        return self._result.data

    get_output = get_data

    def validate_structured_result(self, message: ModelResponse, *, allow_partial: bool = False) -> ResultDataT:
        """
        The result in *message*, validated.

        Args:
            message: a response, such as :meth:`stream_structured` gives.
            allow_partial: whether its end may be missing.

        Raises:
            UnexpectedModelBehavior: it holds no result.
            ValidationError, ModelRetry: the result does not hold.
        """
        plan, state = self._plan, self._run.ctx.state
        if allow_partial:
            partial = PartialResult(plan, state)
            partial.feed([PartStartEvent(index, part) for index, part in enumerate(message.parts)])
            found, value = partial.value()
            if not found:
                raise UnexpectedModelBehavior("Invalid response, no partial result can be made of it yet")
            return value  # type: ignore[no-any-return] # of the result type
        for part in message.parts:
            if isinstance(part, ToolCallPart) and part.tool_name in plan.result_tools:
                data = plan.result_tools[part.tool_name].validate(part.args)
                return run_validators(  # type: ignore[no-any-return] # of the result type
                    plan.result_validators, data, plan.context(state, part.tool_name, part.tool_call_id)
                )
        text = "\n\n".join(part.content for part in message.parts if isinstance(part, TextPart) and part.content)
        typed = plan.result_mode != "tool" and not plan.result_schema.plain
        if not text or not (typed or plan.result_schema.allow_text):
            raise UnexpectedModelBehavior(f"Invalid response, unable to find tool: {list(plan.result_tools)}")
        data = validate_text(plan.result_schema, plan.result_mode, text) if typed else text
        return run_validators(plan.result_validators, data, plan.context(state))  # type: ignore[no-any-return] # as above

    def usage(self) -> Usage:
        """What the run has used so far."""
        return self._run.ctx.state.usage if self._stream is None else self._stream.usage()

    def timestamp(self) -> dt.datetime:
        """When the current response began."""
        return self._timestamp or dt.datetime.now(dt.timezone.utc)

    def all_messages(self, *, result_tool_return_content: Optional[str] = None) -> list[ModelMessage]:
        """The history; the current response is in it once it was read to its end."""
        if result_tool_return_content is not None:
            raise NotImplementedError("Setting result tool return content is not supported for this result type.")
        return self._run.ctx.state.message_history

    def all_messages_json(self, *, result_tool_return_content: Optional[str] = None) -> bytes:
        """:meth:`all_messages` as JSON."""
        messages = self.all_messages(result_tool_return_content=result_tool_return_content)
        return ModelMessagesTypeAdapter.dump_json(messages)

    def new_messages(self, *, result_tool_return_content: Optional[str] = None) -> list[ModelMessage]:
        """The messages of this run alone."""
        messages = self.all_messages(result_tool_return_content=result_tool_return_content)
        return messages[self._run.new_message_index :]

    def new_messages_json(self, *, result_tool_return_content: Optional[str] = None) -> bytes:
        """:meth:`new_messages` as JSON."""
        messages = self.new_messages(result_tool_return_content=result_tool_return_content)
        return ModelMessagesTypeAdapter.dump_json(messages)

    def close(self) -> None:
        """Stop: the connection is closed at once; the cut response is kept where the settings accept that."""
        self._stream = None
        self._run.close(keep_partial=self._plan.parameters.on_incomplete == "accept")

    def _guarded(self, items: Iterator[Any]) -> Iterator[Any]:
        """Errors while reading end the run, with its messages and usage."""
        with self._run.failing():
            yield from items

    def _skim(self, group: Sequence[Any]) -> str:
        """What a group adds to the text, which is not kept: it would stand in memory twice."""
        feed = self._text.feed
        more = "".join([feed(event, keep=False) for event in group])
        if more:
            self._text_kept = False
        return more

    def _keep_text(self) -> None:
        """Collect the text that was handed out and not kept from the responses."""
        if self._text_kept:
            return
        stream = self._stream
        responses = [message for message in self.new_messages() if isinstance(message, ModelResponse)]
        if stream is not None:
            responses.append(stream.get())
        parts = (part for response in responses for part in response.parts)
        text = "\n\n".join(part.content for part in parts if isinstance(part, TextPart) and part.content)
        unread = 0 if stream is None else len(stream.unread_text())
        self._text.restore(text[: len(text) - unread])
        self._text_kept = True

    def _next_response(self) -> None:
        stream = self._stream
        if stream is None:
            return
        if not stream.finished:
            raise RunCancelled("The stream was closed while it was read.")
        response = stream.get()
        calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
        final: Optional[FinalResult[Any]] = None
        if self._handed_out and stream.final is not None:
            name = stream.final.tool_name
            if name is not None or not calls:
                final = FinalResult(response, name, stream.final.tool_call_id)
        self._last, self._handed_out = response, False
        self._stream = None
        self._stream = self._run.next_response(Asked(response, final))
        self._learn()

    def _learn(self) -> None:
        if self._stream is not None:
            self._timestamp = self._stream.timestamp
        else:
            self._result = self._run.result


class RunEvents(Generic[AgentDepsT, ResultDataT]):
    """
    Everything that happens in a run, as it happens; made by ``Agent.run_stream_events``.

    Iterate over it; use it as a context manager, or call :meth:`close`, to stop early. What it says of the
    run is right at any time, also after an early close, when the messages hold the response so far.
    """

    def __init__(
        self, run: AgentRun[AgentDepsT, ResultDataT], events: Callable[[], Iterator[AgentStreamEvent]]
    ) -> None:
        self._run = run
        self._events = events()

    def __iter__(self) -> Iterator[AgentStreamEvent]:
        return self

    def __next__(self) -> AgentStreamEvent:
        return next(self._events)

    def __enter__(self) -> RunEvents[AgentDepsT, ResultDataT]:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RunEvents is_complete={self.is_complete} usage={self.usage()!r}>"

    @property
    def result(self) -> Optional[AgentRunResult[ResultDataT]]:
        """The result; None until the end."""
        return self._run.result

    @property
    def is_complete(self) -> bool:
        """Whether the run has come to its end."""
        return self._run.result is not None

    def usage(self) -> Usage:
        """What the run has used so far."""
        return self._run.usage()

    def all_messages(self) -> list[ModelMessage]:
        """The history so far."""
        return self._run.ctx.state.message_history

    def new_messages(self) -> list[ModelMessage]:
        """The messages of this run so far."""
        return self.all_messages()[self._run.new_message_index :]

    def close(self) -> None:
        """Stop: the connection is closed at once, and the response so far goes into the messages."""
        self._run.close(keep_partial=True)
