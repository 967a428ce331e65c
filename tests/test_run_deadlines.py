"""Runs that end in time: deadlines given, inherited and passed, and runs that are awaited and cancelled."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from typing import Any, Callable, Optional

import pytest

from syncagent import Deadline, capture_run_messages
from syncagent.agent import Agent
from syncagent.deadline import current_deadline, deadline_scope, resolve_deadline
from syncagent.exceptions import DeadlineExceeded, RunCancelled, UserError
from syncagent.messages import ModelMessage
from syncagent.tools import RunContext, ToolDefinition
from syncagent.usage import UsageLimits
from tests.scripted_model import Scripted, call, said


def in_a_thread(function: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


# --- deadlines -------------------------------------------------------------------------------------


def test_tools_see_the_deadline() -> None:
    """A number, a Deadline or the agent's own: tools, prompts and the model's parameters see one object."""
    model = Scripted(call("look"), "done")
    agent: Agent[None, str] = Agent(model, deadline=50)
    seen: list[Deadline] = []
    agent.system_prompt(lambda ctx: seen.append(ctx.deadline) or "")

    @agent.tool
    def look(ctx: RunContext[None]) -> None:
        seen.append(ctx.deadline)

    mine = Deadline(40)
    agent.run_sync("Hi", deadline=mine)
    assert seen == [mine, mine]
    assert model.asked[0].parameters.deadline is mine
    for given, most in ((30, 30), (None, 50)):
        agent.run_sync("Hi", deadline=given, model=Scripted(call("look"), "done"))
        left = seen[-1].remaining()
        assert left is not None
        assert most - 20 < left <= most


def test_the_environments_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """SYNCAGENT_DEADLINE, in seconds, holds where neither the run nor the agent has one; there is no other default."""

    def left(**options: Any) -> Optional[float]:
        model = Scripted("x")
        Agent(model, **options).run_sync("Hi")
        return model.asked[0].parameters.deadline.remaining()

    assert left() is None
    monkeypatch.setenv("SYNCAGENT_DEADLINE", "1000")
    assert 900 < (left() or 0) <= 1000
    assert (left(deadline=10) or 0) <= 10
    monkeypatch.setenv("SYNCAGENT_DEADLINE", "")
    assert left() is None
    for wrong in ("soon", "0", "-1", "nan"):
        monkeypatch.setenv("SYNCAGENT_DEADLINE", wrong)
        with pytest.raises(UserError, match=r"SYNCAGENT_DEADLINE|A deadline is a positive number"):
            left()


def test_inner_runs_inherit_the_deadline() -> None:
    """A run inside a tool has the outer run's deadline; with its own the earlier one holds. Nobody else sees it."""
    ends: list[float] = []

    def inner(deadline: Any) -> None:
        model = Scripted("x")
        Agent(model).run_sync("Inner", deadline=deadline)
        ends.append(model.asked[0].parameters.deadline.end)

    mine, outer = Deadline(100), Agent(Scripted(call("ask"), "done"))

    @outer.tool_plain
    def ask() -> None:
        assert current_deadline.get() is mine
        for each in (None, 1000, Deadline(1000), 10, Deadline(10)):
            inner(each)
        assert in_a_thread(current_deadline.get) is None

    outer.run_sync("Hi", deadline=mine)
    assert ends[:3] == [mine.end] * 3
    assert all(end < mine.end - 50 for end in ends[3:])
    assert current_deadline.get() is None


def test_an_inner_run_stops_with_the_outer() -> None:
    """Cancelling the outer run's deadline stops a run inside its tool, whatever deadline that one has."""
    for own in (None, 5, Deadline()):
        mine = Deadline()
        outer = Agent(Scripted(call("ask"), "done"))

        @outer.tool_plain
        def ask(own: Any = own, mine: Any = mine) -> str:
            mine.cancel()
            return Agent(Scripted("x")).run_sync("Inner", deadline=own).data

        with pytest.raises(RunCancelled):
            outer.run_sync("Hi", deadline=mine)


@pytest.mark.parametrize("place", ["model", "tool", "prompt", "instructions", "processor", "prepare", "validator"])
def test_the_deadline_is_checked_after_each_callback(place: str) -> None:
    """After every call into the user's code the run looks at the deadline, before anything else happens."""
    deadline = Deadline()
    after: list[str] = []

    def stop(where: str) -> str:
        if where == place:
            deadline.cancel()
        elif deadline.cancelled:
            after.append(where)
        return where

    def ask_model(messages: list[ModelMessage]) -> Any:
        stop("model")
        return call("look") if len(messages) == 1 else "done"

    def prepare(ctx: RunContext[None], definition: ToolDefinition) -> ToolDefinition:
        stop("prepare")
        return definition

    def process(messages: list[ModelMessage]) -> list[ModelMessage]:
        stop("processor")
        return messages

    agent: Agent[None, str] = Agent(
        Scripted(ask_model), instructions=lambda: stop("instructions"), history_processors=[process]
    )
    agent.system_prompt(lambda: stop("prompt"))
    agent.tool_plain(prepare=prepare, name="look")(lambda: stop("tool"))
    agent.result_validator(lambda data: stop("validator"))
    with pytest.raises(RunCancelled) as caught:
        agent.run_sync("Hi", deadline=deadline)
    assert after == []
    assert caught.value.messages is not None


def test_a_deadline_that_is_over() -> None:
    """A run whose time is over asks no model; the error says so and carries the messages."""
    deadline = Deadline(0.001)
    time.sleep(0.002)
    model = Scripted("x")
    with pytest.raises(DeadlineExceeded, match=re.escape("The deadline of 0.001 s was exceeded.")) as caught:
        Agent(model).run_sync("Hi", deadline=deadline)
    assert model.asked == []
    assert caught.value.messages is not None


# --- run -------------------------------------------------------------------------------------------


def test_run_is_run_sync_awaited() -> None:
    """await agent.run() gives run_sync's result from another thread, names the agent, and sees the context."""
    mine: Agent[Any, str] = Agent(Scripted("x", "y"))
    threads: list[int] = []
    mine.system_prompt(lambda ctx: threads.append(threading.get_ident()) or str(ctx.deps))

    async def main() -> tuple[Any, Any]:
        here = mine
        with here.override(deps="over"), capture_run_messages() as messages:
            result = await here.run("Hi", deps="d", deadline=30, usage_limits=UsageLimits(request_limit=1))
        return result, messages

    result, messages = asyncio.run(main())
    assert (result.data, mine.name) == ("x", "here")
    assert threads[0] != threading.get_ident()
    assert messages is result.all_messages()
    assert said(messages[0]) == [("system-prompt", "over"), ("user-prompt", "Hi")]
    assert asyncio.run(mine.run("Hi", infer_name=False)).data == "y"


def test_cancelling_the_task_stops_the_run() -> None:
    """Cancelling a task that awaits run() stops the run at its next look, and not the caller's own deadline."""
    entered, leave = threading.Event(), threading.Event()
    went_on: list[str] = []
    theirs = Deadline(60)

    def slow(messages: list[ModelMessage]) -> str:
        entered.set()
        leave.wait(10)
        return "x"

    model = Scripted(slow)
    agent: Agent[None, str] = Agent(model)

    @agent.result_validator
    def never(data: str) -> str:
        went_on.append(data)
        return data

    async def main() -> None:
        task = asyncio.create_task(agent.run("Hi", deadline=theirs))
        while not entered.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert model.asked[0].parameters.deadline.cancelled
        leave.set()

    asyncio.run(main())  # ends after the threads of its pool
    assert (len(model.asked), went_on, theirs.cancelled) == (1, [], False)


def test_run_sync_inside_a_running_loop() -> None:
    """run_sync has no event loop of its own, so it works inside one."""

    async def main() -> str:
        return Agent(Scripted("x")).run_sync("Hi").data

    assert asyncio.run(main()) == "x"


@pytest.mark.parametrize("innermost", [None, 5, Deadline()])
def test_a_deadline_of_the_middle_run_holds_inside(innermost: Any) -> None:
    """Runs three deep: cancelling the middle one's own deadline, or its callable, stops the innermost."""
    stop = False

    def outer_run(own: Deadline, cancel: Callable[[], None]) -> None:
        outer, middle = Agent(Scripted(call("ask"))), Agent(Scripted(call("ask")))

        @middle.tool_plain(name="ask")
        def ask_innermost() -> str:
            cancel()
            return Agent(Scripted("x")).run_sync("Innermost", deadline=innermost).data

        @outer.tool_plain(name="ask")
        def ask_middle() -> str:
            return middle.run_sync("Middle", deadline=own).data

        with pytest.raises(RunCancelled) as caught:
            outer.run_sync("Outer", deadline=30)
        assert caught.value.messages is not None
        assert said(caught.value.messages[0]) == [("user-prompt", "Innermost")]

    plain = Deadline()
    outer_run(plain, plain.cancel)
    asked = Deadline(cancelled=lambda: stop)
    asked._asked = float("-inf")

    def press() -> None:
        nonlocal stop
        stop, asked._asked = True, float("-inf")  # as if half a second had passed

    outer_run(asked, press)


def test_sockets_wake_with_every_deadline_above() -> None:
    """A socket that a run reads from is shut down by whoever cancels: the run, its own deadline, an outer one."""
    for cancelling in ("inner", "own", "outer"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            outer, own = Deadline(30), Deadline(30)
            with deadline_scope(outer):
                both = resolve_deadline(own)
            inner = Deadline(parent=both)
            inner.attach(ours)
            {"inner": inner, "own": own, "outer": outer}[cancelling].cancel()
            assert ours.recv(1) == b""
            assert inner.cancelled
            with pytest.raises(RunCancelled):
                inner.check()
            inner.detach(ours)
            with pytest.raises(RunCancelled):
                inner.attach(ours)
            assert not (outer._sockets or own._sockets or both._sockets or inner._sockets)
