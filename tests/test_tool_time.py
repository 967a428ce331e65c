"""Whose time is over when a tool stops: the tool's own, which the model is told, or the run's, which ends it."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any, Optional

import pytest

from syncagent import Deadline, policy
from syncagent.agent import Agent
from syncagent.exceptions import DeadlineExceeded, ModelConnectionError, ModelOverloadedError, RunCancelled
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
from syncagent.tools import RunContext, Tool
from syncagent.transport.policy import in_force
from tests.faultserver import FaultServer
from tests.scripted_model import Scripted, answers, call

_LATE = "Tool timed out after 30 s"

own_thread_or_not = pytest.mark.parametrize("parallel", [None, 2])


def returned(
    function: Callable[[RunContext[None]], Any],
    parallel: Optional[int],
    *,
    timeout: Optional[float] = 30,
    deadline: Optional[float] = None,
) -> list[Any]:
    """What the model is told of two calls of this tool."""
    tool = Tool(function, takes_ctx=True, name="work", timeout=timeout)
    agent = Agent(Scripted([call("work"), call("work")], "done"), tools=[tool], parallel_tools=parallel, retries=2)
    messages = agent.run_sync("Hi", deadline=deadline).all_messages()
    return [content for _, _, content in answers(messages[2])]


@own_thread_or_not
@pytest.mark.parametrize("deadline", [None, 50])
def test_stopping_a_little_before_the_tools_end(parallel: Optional[int], deadline: Optional[float]) -> None:
    """What does not begin any more, since too little is left of the tool's own time, is a time-out of the tool."""
    assert returned(lambda ctx: ctx.deadline.check(40), parallel, deadline=deadline) == [_LATE, _LATE]


@own_thread_or_not
def test_stopping_a_little_before_the_runs_end(parallel: Optional[int]) -> None:
    """Where it is the run's time that is too short, the run ends, also where the tool has a longer one."""
    for timeout in (30, None):
        with pytest.raises(DeadlineExceeded, match="deadline of 20 s"):
            returned(lambda ctx: ctx.deadline.check(40), parallel, timeout=timeout, deadline=20)


@own_thread_or_not
def test_a_deadline_of_the_tools_own_making(parallel: Optional[int]) -> None:
    """An end that the tool itself set before its time is an error of the tool, as any other."""

    def hurry(ctx: RunContext[None]) -> None:
        Deadline(10, parent=ctx.deadline).check(20)

    with pytest.raises(DeadlineExceeded, match="deadline of 10 s"):
        returned(hurry, parallel)


@own_thread_or_not
def test_a_run_inside_that_has_no_time_to_ask(parallel: Optional[int]) -> None:
    """A request that would begin in the last moments of the tool's time is not sent, and the run goes on."""
    with FaultServer(lambda peer, request: peer.answer(b"{}")) as server:
        inner = Agent(OpenAIModel("m", provider=OpenAIProvider(server.origin + "/v1", "k")))

        def ask(ctx: RunContext[None]) -> str:
            ctx.deadline.sleep((ctx.deadline.remaining() or 0) - 0.05)
            return inner.run_sync("Hi").data

        assert returned(ask, parallel, timeout=0.3, deadline=30) == ["Tool timed out after 0.3 s"] * 2
        assert server.requests == []


@own_thread_or_not
def test_a_run_inside_that_gets_no_place(parallel: Optional[int]) -> None:
    """Waiting in the line of the process until the tool's time is over is a time-out of the tool, each time."""
    inner = Agent(OpenAIModel("m", provider=OpenAIProvider("http://127.0.0.1:9/v1", "k")))
    with policy(max_concurrent_requests=1):
        rules = in_force()
        assert rules is not None
        slots = rules.slots()
        assert slots is not None
        taken = slots.take(Deadline())
        told = returned(lambda ctx: inner.run_sync("Hi").data, parallel, timeout=0.2, deadline=30)
        assert told == ["Tool timed out after 0.2 s"] * 2
        with pytest.raises(ModelOverloadedError, match="nothing was sent"):  # the run's own time
            returned(lambda ctx: inner.run_sync("Hi").data, parallel, timeout=30, deadline=0.3)
        taken.release()


def test_an_error_of_a_provider_after_the_tools_time() -> None:
    """Once the tool's own time is over, it is what the model is told, whatever the request came to."""

    def ask(ctx: RunContext[None]) -> None:
        while not ctx.deadline.expired:
            time.sleep(0.01)
        raise ModelConnectionError("cut", model_name="m")

    assert returned(ask, None, timeout=0.05) == ["Tool timed out after 0.05 s"] * 2


def test_an_error_of_a_provider_in_the_tools_time() -> None:
    """Before that it is the tool's error, and ends the run."""

    def ask(ctx: RunContext[None]) -> None:
        raise ModelConnectionError("cut", model_name="m")

    with pytest.raises(ModelConnectionError):
        returned(ask, None)


@own_thread_or_not
@pytest.mark.parametrize("timeout", [None, 30])
def test_cancelling_inside_a_tool_stops_the_run(parallel: Optional[int], timeout: Optional[float]) -> None:
    """``ctx.deadline.cancel()`` means the run, in any thread and with a time of the tool's own."""
    with pytest.raises(RunCancelled):
        returned(lambda ctx: ctx.deadline.cancel(), parallel, timeout=timeout)


def test_what_an_error_knows_of_its_end_stays_here() -> None:
    """It is no attribute that a pickle carries to another process, whose clock is another."""
    with pytest.raises(DeadlineExceeded) as caught:
        Deadline(30).check(40)
    assert vars(caught.value) == {"message": "The deadline of 30 s was exceeded."}
    assert vars(pickle.loads(pickle.dumps(caught.value))) == vars(caught.value)
