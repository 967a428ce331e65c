"""Calling the user's tools: in the caller's thread, one after the other."""

from __future__ import annotations

from contextvars import ContextVar
from types import CoroutineType
from typing import Any

from .deadline import current_deadline
from .exceptions import ModelRetry, UserError
from .messages import RetryPromptPart, ToolCallPart, ToolReturn, ToolReturnPart, UserPromptPart
from .plan import RunPlan, RunState, ToolOutcome
from .schema.errors import ValidationError

__all__ = ["call_tool", "check_depth"]

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
        args = [plan.tool_context(state, call), *args]
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
