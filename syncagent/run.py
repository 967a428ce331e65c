"""
The drivers: they do what the loop asks for.

:class:`AgentRun` goes from node to node; ``Agent.run_sync`` is that until the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Generic, Optional, Union

from .deadline import current_deadline
from .exceptions import AgentRunError, ModelRetry, UserError
from .loop import AgentNode, End, UserPromptNode, run_loop
from .messages import ModelMessage, RetryPromptPart, ToolCallPart, ToolReturn, ToolReturnPart, UserPromptPart
from .models.base import response_of
from .plan import Ask, Asked, RunPlan, RunState, RunTools, ToolOutcome
from .result import AgentRunResult
from .result_tools import FinalResult, ResultDataT
from .schema.errors import ValidationError
from .tools import AgentDepsT
from .usage import Usage

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["AgentRun", "AgentRunContext", "call_tool", "capture_run_messages"]

_MAX_DEPTH = 20  # runs inside tools of runs; deeper is a tool that calls its own agent for ever

_depth: ContextVar[int] = ContextVar("syncagent_depth", default=0)


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
        ctx: the run's state and dependencies.
        next_node: the node that runs next, or the end.
    """

    def __init__(self, plan: RunPlan, state: RunState, converter: Optional[Converter] = None) -> None:
        self._plan = plan
        self._state = state
        self._converter = converter
        self._new_message_index = len(state.message_history)
        if _depth.get() >= _MAX_DEPTH:
            raise UserError(
                f"Runs are nested {_MAX_DEPTH} deep: a tool seems to call its own agent without end. "
                "Give the inner run another agent, or a condition to stop."
            )
        self.ctx: AgentRunContext[AgentDepsT] = AgentRunContext(self, state, plan.deps)
        self._loop = run_loop(UserPromptNode(plan.prompt), plan, state)
        self._failed = False
        self.next_node: Union[AgentNode, End[FinalResult[ResultDataT]]] = next(self._loop)  # type: ignore[assignment] # the first is a node

    def __repr__(self) -> str:
        return f"<AgentRun next_node={type(self.next_node).__name__} usage={self._state.usage!r}>"

    @property
    def result(self) -> Optional[AgentRunResult[ResultDataT]]:
        """The result; None until the end."""
        if not isinstance(self.next_node, End):
            return None
        final = self.next_node.data
        return AgentRunResult(final.data, final.tool_name, self._state, self._new_message_index, self._converter)

    def usage(self) -> Usage:
        """What the run has used so far."""
        return self._state.usage

    def __iter__(self) -> Iterator[Union[AgentNode, End[FinalResult[ResultDataT]]]]:
        while not isinstance(self.next_node, End):
            yield self.next()

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
        if isinstance(self.next_node, End):
            raise UserError("The run has ended; its result is in `.result`.")
        if self._failed:
            raise UserError("The run has failed and cannot go on; start a new one with its messages as history.")
        try:
            item = self._send(node)
            while True:
                if type(item) is Ask:
                    item = self._send(self._ask(item))
                elif type(item) is RunTools:
                    item = self._send(self._run_tools(item.calls))
                else:
                    self.next_node = item
                    return self.next_node
        except BaseException as error:
            self._failed = True
            self._loop.close()
            if isinstance(error, AgentRunError) and error.messages is None:
                error.messages, error.usage = self._state.message_history, self._state.usage
            raise

    def _send(self, value: Any) -> Any:
        """What the loop wants next; apart from the effects, whose own StopIteration is no end of the loop."""
        try:
            return self._loop.send(value)
        except StopIteration as stop:
            return stop.value

    def close(self) -> None:
        """Stop where the run stands."""
        self._loop.close()

    def _ask(self, ask: Ask) -> Asked:
        plan = self._plan
        plan.deadline.check()
        response = response_of(plan.model.request(ask.messages, ask.model_settings, ask.parameters))
        plan.deadline.check()  # a model of the user's own may not look at it
        return Asked(response)

    def _run_tools(self, calls: Sequence[ToolCallPart]) -> list[ToolOutcome]:
        return [call_tool(call, self._plan, self._state) for call in calls]


def run_to_end(run: AgentRun[Any, ResultDataT]) -> AgentRunResult[ResultDataT]:
    """The result of *run* after all its nodes."""
    node = run.next()
    while not isinstance(node, End):
        node = run.next()
    result = run.result
    if result is None:
        raise AgentRunError("Agent run finished without producing a final result")
    return result


def call_tool(call: ToolCallPart, plan: RunPlan, state: RunState) -> ToolOutcome:
    """
    Call one function tool, in this thread.

    Wrong arguments and ``ModelRetry`` become a retry; every other exception of the tool passes through.
    """
    plan.deadline.check()
    tool = plan.tools[call.tool_name]
    try:
        args, kwargs = tool.function_schema.bind(call.args or "{}")
    except ValidationError as error:
        return _refused(call, error.errors, error)
    if tool.takes_ctx:
        args = (plan.tool_context(state, call), *args)
    # Set around this one call: runs started inside the tool inherit the deadline, and nobody else sees it.
    deadline, depth = current_deadline.set(plan.deadline), _depth.set(_depth.get() + 1)
    try:
        value = tool.function(*args, **kwargs)
    except ModelRetry as error:
        return _refused(call, error.message, error)
    finally:
        current_deadline.reset(deadline)
        _depth.reset(depth)
    plan.deadline.check()
    if type(value) is CoroutineType:
        value.close()
        raise UserError(
            f"Tool {call.tool_name!r} returned a coroutine; tools are plain functions. "
            "Wrap it: def tool(...): return asyncio.run(coroutine(...))"
        )
    if type(value) is not ToolReturn:
        return ToolOutcome(ToolReturnPart(call.tool_name, value, call.tool_call_id))
    part = ToolReturnPart(call.tool_name, value.return_value, call.tool_call_id, metadata=value.metadata)
    return ToolOutcome(part, [] if value.content is None else [UserPromptPart(value.content)])


def _refused(call: ToolCallPart, content: Any, error: Exception) -> ToolOutcome:
    return ToolOutcome(RetryPromptPart(content, call.tool_name, call.tool_call_id), error=error)
