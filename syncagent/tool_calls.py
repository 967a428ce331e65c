"""Calling the user's tools: one call, in the thread that asks for it."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Optional

from .deadline import Deadline, current_deadline
from .exceptions import AgentRunError, DeadlineExceeded, ModelAPIError, ModelRetry, UserError
from .messages import RetryPromptPart, ToolCallPart, ToolReturn, ToolReturnPart, UserPromptPart
from .plan import RunPlan, RunState, ToolOutcome
from .schema.errors import ValidationError

if TYPE_CHECKING:
    from .tools import Tool

__all__ = ["CallDeadline", "call_tool", "check_depth", "timed_out"]

_log = logging.getLogger("syncagent.tools")

_MAX_DEPTH = 20  # runs inside tools of runs; deeper is a tool that calls its own agent for ever

_depth: ContextVar[int] = ContextVar("syncagent_depth", default=0)


def check_depth() -> None:
    """
    Refuse a run that is nested too deep.

    Raises:
        UserError: twenty runs are under way already, each in a tool of the one before.
    """
    if _depth.get() >= _MAX_DEPTH:
        raise UserError(
            f"Runs are nested {_MAX_DEPTH} deep: a tool seems to call its own agent without end. "
            "Give the inner run another agent, or a condition to stop."
        )


class CallDeadline(Deadline):
    """
    The time of one call of a tool. As everywhere, cancelling it stops the run; :meth:`leave` stops the call alone.

    Args:
        seconds: the tool's own time; None for no limit of its own.
        run: the run's deadline.
        parent: the step's, below the run's; by default the run's.
    """

    __slots__ = ("_run",)

    def __init__(self, seconds: Optional[float], run: Deadline, parent: Optional[Deadline] = None) -> None:
        super().__init__(seconds, parent=run if parent is None else parent)
        self._run = run

    def cancel(self) -> None:
        """Stop the run."""
        self._run.cancel()

    def leave(self) -> None:
        """Tell whoever looks at it that nobody waits for the call any more."""
        super().cancel()


def call_tool(call: ToolCallPart, plan: RunPlan, state: RunState, deadline: Optional[Deadline] = None) -> ToolOutcome:
    """
    Call one function tool, in this thread.

    Wrong arguments, ``ModelRetry`` and the end of the tool's own time become a retry; every other exception of the
    tool passes through.

    Args:
        deadline: of this call, below the run's; given where the call is in a thread that somebody watches.
    """
    plan.deadline.check()
    state.begun.append(call)
    tool = plan.tools[call.tool_name]
    try:
        args, kwargs = tool.function_schema.bind(call.args or "{}")
    except ValidationError as error:
        return _refused(call, error.errors, error)
    watched = deadline is not None
    if deadline is None:
        deadline = plan.deadline if tool.timeout is None else CallDeadline(tool.timeout, plan.deadline)
    if tool.takes_ctx:
        args = [plan.tool_context(state, call, deadline), *args]
    outer, depth = current_deadline.get(), _depth.get()
    try:
        try:
            # Set around this one call: runs started inside the tool inherit the deadline, and nobody else sees it.
            current_deadline.set(deadline)
            _depth.set(depth + 1)
            value = tool.function(*args, **kwargs)
        finally:
            current_deadline.set(outer)
            _depth.set(depth)
    except ModelRetry as error:
        return _refused(call, error.message, error)
    except (DeadlineExceeded, ModelAPIError) as error:
        if not _is_late(error, deadline, plan.deadline):
            raise
        return timed_out(call, tool, error)
    finally:
        # Once more, since a signal's exception may come between the lines above; what stays set holds for later runs.
        current_deadline.set(outer)
        _depth.set(depth)
    plan.deadline.check()
    if tool.timeout is not None and deadline.expired:
        if watched:
            return timed_out(call, tool)  # the run was busy elsewhere, or it would have gone on without the call
        _log.warning(
            "Tool %r took longer than its timeout of %g s. It was called in the run's own thread, where nothing can "
            "interrupt it; its result is used.",
            call.tool_name,
            tool.timeout,
        )
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


def _is_late(error: AgentRunError, deadline: Deadline, run: Deadline) -> bool:
    """Whether the end of a tool's own time made *error*, or came before it; the run's own reasons to stop go first."""
    if deadline.end >= run.end or not (deadline.expired or getattr(error, "_end", None) == deadline.end):
        return False
    run.check()
    return True


def timed_out(call: ToolCallPart, tool: Tool[Any], error: Optional[Exception] = None) -> ToolOutcome:
    """What the model is told of a call that took too long."""
    text = f"Tool timed out after {tool.timeout:g} s"
    return _refused(call, text, ModelRetry(text) if error is None else error)


def _refused(call: ToolCallPart, content: Any, error: Exception) -> ToolOutcome:
    return ToolOutcome(RetryPromptPart(content, call.tool_name, call.tool_call_id), error=error)
