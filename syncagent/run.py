"""
The drivers: they do what the loop asks for.

:class:`AgentRun` goes from node to node; ``Agent.run_sync`` is that until the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, Optional, Union

from . import messages  # for the events, which are made when somebody streams
from .deadline import Deadline
from .exceptions import AgentRunError, RunCancelled, UsageLimitExceeded, UserError
from .loop import AgentNode, End, ModelRequestNode, UserPromptNode, check_node, end_of, run_loop
from .messages import ModelMessage, ModelRequest, RetryPromptPart, ToolCallPart
from .models.base import response_of
from .plan import Ask, Asked, RunPlan, RunState, RunTools, ToolOutcome
from .result_tools import FinalResult, ResultDataT
from .run_result import AgentRunResult
from .tool_calls import call_tool, check_depth
from .tools import AgentDepsT
from .usage import Usage

if TYPE_CHECKING:
    from cattrs import Converter

    from .messages import AgentStreamEvent, HandleResponseEvent, RetryEvent
    from .response_stream import AgentStream

__all__ = ["AgentRun", "AgentRunContext", "capture_run_messages", "run_state"]


_BUSY = "already executing"  # what Python says of a generator that another thread is inside


class _Captured:
    __slots__ = ("messages", "used")

    def __init__(self) -> None:
        self.messages: list[ModelMessage] = []
        self.used = False


_captured: ContextVar[Optional[_Captured]] = ContextVar("syncagent_captured", default=None)


@contextmanager
def capture_run_messages() -> Iterator[list[ModelMessage]]:
    """
    Give a list that the first run inside the ``with`` fills while it goes, so that it is there after an error.

    Later runs inside the same ``with`` are not captured; a nested use gives the same list.
    """
    outer = _captured.get()
    if outer is not None:
        yield outer.messages
        return
    captured = _Captured()
    token = _captured.set(captured)
    try:
        yield captured.messages
    finally:
        _captured.reset(token)


def run_state(history: list[ModelMessage], usage: Optional[Usage]) -> RunState:
    """The state of a new run; its list of messages is the captured one where somebody captures."""
    captured = _captured.get()
    if captured is not None and not captured.used:
        captured.used = True
        captured.messages[:] = history
        history = captured.messages
    return RunState(history, Usage() if usage is None else usage)


class AgentRunContext(Generic[AgentDepsT]):
    """
    What ``AgentRun.ctx`` shows of a run.

    Attributes:
        state: messages, usage, retries and step, live.
        deps: the run's dependencies.
    """

    __slots__ = ("deps", "run", "state")

    def __init__(self, run: AgentRun[AgentDepsT, Any], state: RunState, deps: AgentDepsT) -> None:
        self.run = run
        self.state = state
        self.deps = deps


class AgentRun(Generic[AgentDepsT, ResultDataT]):
    """
    A run that is looked into step by step; made by ``Agent.iter``.

    Iterating gives the nodes after the first one: requests, responses, and the end.

    Attributes:
        next_node: the node that runs next, or the end.
        plan: all that the run knows and does not change.
        new_message_index: where this run's messages begin in the history.
    """

    __slots__ = (
        "_ahead",
        "_converter",
        "_failed",
        "_loop",
        "_state",
        "_step",
        "_stream",
        "_streaming",
        "_watched",
        "new_message_index",
        "next_node",
        "plan",
    )

    def __init__(self, plan: RunPlan, state: RunState, converter: Optional[Converter] = None) -> None:
        self.plan = plan
        self.new_message_index = len(state.message_history)
        check_depth()
        self._state = state
        self._converter = converter
        self._failed = False
        self._step: Optional[Deadline] = None  # of the tools that run beside each other
        self._watched = False
        self._streaming = False
        # What a node that was streamed led to, and the stream that is open.
        self._ahead: Optional[tuple[Any, Any]] = None
        self._stream: Optional[AgentStream[AgentDepsT, ResultDataT]] = None
        self._loop = run_loop(UserPromptNode(plan.prompt), plan, state)
        self.next_node: Union[AgentNode, End[FinalResult[ResultDataT]]] = next(self._loop)  # type: ignore[assignment] # the first is a node

    def __repr__(self) -> str:
        return f"<AgentRun next_node={type(self.next_node).__name__} usage={self._state.usage!r}>"

    @property
    def ctx(self) -> AgentRunContext[AgentDepsT]:
        """The run's state and dependencies. Made when asked for: kept, the two would hold each other in memory."""
        return AgentRunContext(self, self._state, self.plan.deps)

    @property
    def result(self) -> Optional[AgentRunResult[ResultDataT]]:
        """The result; None until the end."""
        return self._result_of(self.next_node.data) if isinstance(self.next_node, End) else None

    def _result_of(self, final: FinalResult[ResultDataT]) -> AgentRunResult[ResultDataT]:
        return AgentRunResult(final.data, final, self._state, self.new_message_index, self._converter)

    def usage(self) -> Usage:
        """What the run has used so far, with what is known of a response that is being streamed."""
        return self._state.usage if self._stream is None else self._stream.usage()

    # --- node by node --------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Union[AgentNode, End[FinalResult[ResultDataT]]]]:
        while not isinstance(self.next_node, End):
            yield self.next()
            if self._failed:  # closed by whoever got the node
                return

    def next(
        self, node: Union[AgentNode, End[FinalResult[ResultDataT]], None] = None
    ) -> Union[AgentNode, End[FinalResult[ResultDataT]]]:
        """
        Run a node and return the one after it.

        Args:
            node: by default ``next_node``; another one takes its place, and an ``End`` stops the run there.

        Raises:
            AgentRunError: the run failed; with ``.messages`` and ``.usage``.
        """
        self._check_can_go_on()
        if node is not None:
            check_node(node)
        if self._ahead is not None:
            streamed, following = self._ahead
            self._ahead = None
            if node is None or node is streamed:
                self.next_node = following
                return self.next_node
        with self.failing():
            item = self._send(node)
            while type(item) is Ask or type(item) is RunTools:
                item = self._send(self._answer(item))
            self.next_node = item
        return self.next_node

    def to_end(self) -> AgentRunResult[ResultDataT]:
        """
        Run all nodes that are left.

        Raises:
            AgentRunError: the run failed; with ``.messages`` and ``.usage``.
        """
        try:
            item: Any = self._cross(None)
            while not isinstance(item, End):
                item = self._cross(self._answer(item))
        except BaseException as error:
            self._fail(error)
            raise
        return self._result_of(item.data)

    @contextmanager
    def stream_request(self, node: Any) -> Iterator[AgentStream[AgentDepsT, ResultDataT]]:
        """What ``node.stream(run.ctx)`` of a request is; a normal exit reads the rest, since the run goes on."""
        item = self._begin_streaming(node)
        with self.failing():
            if type(item) is not Ask:
                raise UserError("Only a ModelRequestNode has a response to stream.")
            stream = self._open(item)
            yield stream
            if stream.closed:
                self.close()
            if self._stream is None:
                return  # closed inside the `with`
            stream.drain()
            self._stream = None
            stream.close()
            self._streaming = False
            self._ahead = (node, self._send(Asked(stream.get())))

    @contextmanager
    def stream_tools(self, node: Any) -> Iterator[Iterator[HandleResponseEvent]]:
        """What ``node.stream(run.ctx)`` of a response is; a normal exit calls the tools that are left."""
        item = self._begin_streaming(node)
        outcomes: list[ToolOutcome] = []
        with self.failing():
            calls = item.calls if type(item) is RunTools else []
            events = self._call_tools(calls, outcomes)
            yield events
            for _ in events:
                continue
            if len(outcomes) < len(calls):
                self.close()  # the events were closed inside the `with`
            if self._failed:
                return
            self._streaming = False
            self._ahead = (node, self._send(outcomes) if calls else item)

    def _open(self, ask: Ask) -> AgentStream[AgentDepsT, ResultDataT]:
        if self._failed:
            raise RunCancelled("The run was closed.")
        from .response_stream import AgentStream

        self._stream = stream = AgentStream[AgentDepsT, ResultDataT](self.plan, self._state, ask)
        return stream

    def _begin_streaming(self, node: Any) -> Any:
        self._check_can_go_on()
        if node is not self.next_node or self._ahead is not None:
            raise UserError("Only the run's next node can be streamed, and only once.")
        self._streaming = True
        with self.failing():
            return self._send(None)

    # --- the whole run as a stream ---------------------------------------------------------------

    def next_response(self, asked: Optional[Asked]) -> Optional[AgentStream[AgentDepsT, ResultDataT]]:
        """
        Go on to the next response, calling tools on the way.

        Args:
            asked: what the response before said; None at the beginning.

        Returns:
            The response as a stream, or None at the end of the run.
        """
        self._check_can_go_on()
        with self.failing():
            if self._stream is not None:
                self._stream.close()
                self._stream = None
            item = self._cross(asked)
            while type(item) is RunTools:
                item = self._cross(self._answer(item))
            if type(item) is Ask:
                self._open(item)
            return self._stream

    def events(self, heartbeat: Optional[float] = None) -> Iterator[AgentStreamEvent]:
        """Everything that happens until the end; see ``Agent.run_stream_events``."""
        self._watched = True
        if self._failed:
            return  # closed before it was asked for
        self._check_can_go_on()
        try:
            item = self._guarded_cross(None)
            while not isinstance(item, End):
                if self._failed:
                    return  # closed while a function of the user's ran
                outcomes: list[ToolOutcome] = []
                if type(item) is Ask:
                    yield from self._stream_events(item, heartbeat)
                    stream = self._stream
                    if stream is None:
                        return  # closed
                    answer: Any = Asked(stream.get())
                    stream.close()
                    self._stream = None
                else:
                    for event in self._call_tools(item.calls, outcomes, heartbeat):
                        if heartbeat is not None and isinstance(event, messages.FunctionToolCallEvent):
                            yield messages.HeartbeatEvent()
                        yield event
                    answer = outcomes
                if self._failed:
                    return  # closed
                item = self._guarded_cross(answer)
                if not self._failed and isinstance(self.next_node, ModelRequestNode):
                    yield from self._retry_events(self.next_node.request, outcomes)
            yield messages.AgentRunResultEvent(self.result)
        finally:
            # The iterator was left, or closed by a server whose client is gone: the model's connection goes now.
            self.close(keep_partial=True)

    def _stream_events(self, ask: Ask, heartbeat: Optional[float]) -> Iterator[AgentStreamEvent]:
        if heartbeat is not None:
            yield messages.HeartbeatEvent()
            if self._failed:
                return  # closed: nobody is there to read what would be asked for
        with self.failing():
            stream = self._open(ask)
            while True:
                if heartbeat is not None:
                    while not stream.wait(heartbeat):
                        yield messages.HeartbeatEvent()
                event = stream.next_event()
                if event is None:
                    return
                yield event

    def _retry_events(self, request: ModelRequest, outcomes: Sequence[ToolOutcome]) -> Iterator[RetryEvent]:
        """The refusals in the next request; those of tools that ran were handed out with the tools' events."""
        told = {id(outcome.part) for outcome in outcomes}
        for part in request.parts:
            if isinstance(part, RetryPromptPart) and id(part) not in told:
                yield messages.RetryEvent(part)

    def _call_tools(
        self, calls: Sequence[ToolCallPart], outcomes: list[ToolOutcome], heartbeat: Optional[float] = None
    ) -> Iterator[Any]:
        """Call the tools and say so; *outcomes* is filled in the order of the calls."""
        with self.failing():
            if self.plan.parallel_tools > 1:
                yield from self._call_beside(calls, outcomes, heartbeat)
                return
            for call in calls:
                event = messages.FunctionToolCallEvent(call)
                yield event
                if self._failed:
                    return  # closed by whoever got the event
                outcome = call_tool(call, self.plan, self._state)
                outcomes.append(outcome)
                yield messages.FunctionToolResultEvent(outcome.part, event.call_id)

    def _call_beside(
        self, calls: Sequence[ToolCallPart], outcomes: list[ToolOutcome], heartbeat: Optional[float]
    ) -> Iterator[Any]:
        from .tool_threads import each_call

        made = [messages.FunctionToolCallEvent(call) for call in calls]
        found: dict[int, ToolOutcome] = {}
        # A deadline of its own, so that closing the run stops the waiting, and tells the tools.
        self._step = Deadline(parent=self.plan.deadline)
        steps = each_call(calls, self.plan, self._state, tick=heartbeat, deadline=self._step)
        try:
            for place, outcome, error in steps:
                if error is not None:
                    try:
                        raise error
                    finally:
                        del error  # its traceback holds this frame
                if place is None:
                    yield messages.HeartbeatEvent()
                elif outcome is None:
                    yield made[place]
                else:
                    found[place] = outcome
                    yield messages.FunctionToolResultEvent(outcome.part, made[place].call_id)
                if self._failed:
                    return  # closed by whoever got the event
        except RunCancelled:
            if self._failed:
                return  # closed by another thread
            raise
        finally:
            steps.close()
            self._step = None
            if len(found) == len(calls):
                outcomes += [found[place] for place in range(len(calls))]

    # --- the loop's other side -------------------------------------------------------------------

    def close(self, *, keep_partial: bool = False) -> None:
        """
        Stop where the run stands; a response that is being streamed is counted and its connection closed.

        Args:
            keep_partial: put what came of that response into the history.
        """
        self._failed = True
        if self._step is not None:
            self._step.cancel()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
            self._state.end_request(stream.response_usage)
            partial = stream.partial() if keep_partial else None
            if partial is not None:
                self._state.message_history.append(partial)
        try:
            self._loop.close()
        except ValueError as error:
            # Another thread is inside, in a function of the user's: it finds the run closed when it comes out.
            if _BUSY not in str(error):
                raise

    @contextmanager
    def failing(self) -> Iterator[None]:
        """An error inside ends the run; one of ours gets its messages and usage."""
        try:
            yield
        except GeneratorExit:
            raise  # an iterator was left, which is no error; whoever owns the run closes it
        except BaseException as error:
            self._fail(error)
            raise

    def _fail(self, error: BaseException) -> None:
        # What was paid for and made the run fail stays in its history, as where the answer came whole.
        # A run whose events are watched keeps what came in any case, so that half an answer can be saved.
        self.close(keep_partial=self._watched or isinstance(error, UsageLimitExceeded))
        if isinstance(error, AgentRunError) and error.messages is None:
            self._state.usage.count_unanswered(error.unanswered_requests)
            error.messages, error.usage = self._state.message_history, self._state.usage

    def _check_can_go_on(self) -> None:
        if isinstance(self.next_node, End):
            raise UserError("The run has ended; its result is in `.result`.")
        if self._failed:
            raise UserError("The run has failed or was closed; start a new one with its messages as history.")
        if self._streaming:
            raise AgentRunError("You must finish streaming before calling run()")

    def _send(self, value: Any) -> Any:
        """What the loop wants next; apart from the effects, whose own StopIteration is no end of the loop."""
        try:
            return self._loop.send(value)
        except StopIteration as stop:
            return end_of(stop)

    def _cross(self, value: Any) -> Any:
        """The next effect or the end; crosses the boundaries between nodes on the way."""
        send = self._loop.send
        try:
            item: Any = send(value)
            while type(item) is not Ask and type(item) is not RunTools:
                self.next_node = item
                item = send(None)
        except StopIteration as stop:
            item = self.next_node = end_of(stop)
        except ValueError as error:
            if not (self._failed and _BUSY in str(error)):
                raise
            raise RunCancelled("The run was closed.") from None  # another thread is closing the loop
        return item

    def _guarded_cross(self, value: Any) -> Any:
        with self.failing():
            return self._cross(value)

    def _answer(self, effect: Union[Ask, RunTools]) -> Union[Asked, list[ToolOutcome]]:
        """Do what the loop asks for, here and now."""
        plan = self.plan
        if isinstance(effect, RunTools):
            if plan.parallel_tools > 1:
                from .tool_threads import call_tools  # a program without threads does not pay for them

                return call_tools(effect.calls, plan, self._state)
            return [call_tool(call, plan, self._state) for call in effect.calls]
        plan.deadline.check()
        response = response_of(plan.model.request(effect.messages, effect.model_settings, effect.parameters))
        plan.deadline.check()  # a model of the user's own may not look at it
        return Asked(response)
