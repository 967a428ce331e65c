"""What a signal's exception leaves behind, wherever it comes in a step: nothing that later runs would feel."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any, Optional

import pytest

from syncagent import tool_calls, tool_threads
from syncagent.agent import Agent
from syncagent.deadline import Deadline
from syncagent.exceptions import AgentRunError, DeadlineExceeded
from syncagent.tools import RunContext, Tool
from tests.injection import Injected, Injection, in_a_thread, injections
from tests.scripted_model import Scripted, call

_HERE = "syncagent-tool"

# One that comes in a `__del__` can only be shown.
pytestmark = [
    pytest.mark.stress,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    """All threads of tools end, and every place is given back."""
    yield
    wait_for_threads()
    assert tool_threads._held.get() == {}


def wait_for_threads() -> None:
    """Until there is no thread of tools any more."""
    end = time.monotonic() + 10
    while any(thread.name == _HERE for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.001)


def answer(injection: Injection, parallel: Optional[int], deadline: Optional[float] = None) -> Optional[str]:
    """What a run says whose model calls a tool twice; None where the exception came out of it."""
    tool = Tool(lambda: "found", name="find", timeout=60)
    agent = Agent(Scripted([call("find"), call("find")], "done"), tools=[tool], parallel_tools=parallel)
    try:
        with injection:
            return agent.run_sync("Hi", deadline=deadline).data
    except Injected:
        return None


def variables() -> dict[str, Any]:
    """All context variables that are set to something."""
    return {variable.name: value for variable, value in copy_context().items() if value}


@in_a_thread
def test_no_context_variable_stays_set() -> None:
    """Wherever it comes while a tool is called, the next run has neither the former one's deadline nor its depth."""
    before = variables()
    for injection in injections("tool_calls.py"):
        said = answer(injection, None, deadline=20)
        assert said == (None if injection.where else "done")
        assert variables() == before, injection.where


@in_a_thread
def test_no_place_is_lost_in_the_callers_thread() -> None:
    """Wherever it comes in the caller's thread, it passes, the threads end, and their places come back."""
    for injection in injections("tool_threads.py"):
        said = answer(injection, 2)
        assert said is None or injection.where is None or injection.where[0] in ("__del__", "give_back")
        wait_for_threads()
        gc.collect()
        assert tool_threads._held.get() == {}, injection.where


@in_a_thread
def test_a_thread_that_is_ended_from_outside_is_not_waited_for() -> None:
    """Wherever it comes in a tool's thread, the run has its answers, fails with it, or says that it was lost."""
    for injection in injections("tool_threads.py", threads=True):
        try:
            said = answer(injection, 2, deadline=20)
        except DeadlineExceeded:
            pytest.fail(f"waited for a thread that had ended at {injection.where}")
        except AgentRunError as error:
            said = None
            assert "ended from outside" in str(error)
        assert said == "done" or injection.where
        wait_for_threads()
        gc.collect()
        assert tool_threads._held.get() == {}, injection.where


@in_a_thread
def test_a_thread_that_ends_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing at all is handed over, the run notices that no thread is left, and fails."""
    monkeypatch.setattr(tool_threads._Group, "_take_calls", lambda self: self._todo.popleft())
    with pytest.raises(AgentRunError, match="ended from outside"):
        answer(Injection(0, (), False), 2, deadline=20)


@in_a_thread
def test_an_error_before_a_silent_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error that came first is the run's, although another call was lost."""
    took = threading.Barrier(2)

    def one_fails(group: Any) -> None:
        index = group._todo.popleft()
        took.wait(10)
        if index == 0:
            raise ZeroDivisionError

    monkeypatch.setattr(tool_threads._Group, "_take_calls", one_fails)
    with pytest.raises(ZeroDivisionError):
        answer(Injection(0, (), False), 2, deadline=20)


@in_a_thread
def test_errors_outside_of_calls_beside_each_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first one is the run's, and the others are logged."""
    took = threading.Barrier(2)

    def fail(group: Any) -> None:
        took.wait(10)
        raise ZeroDivisionError

    monkeypatch.setattr(tool_threads._Group, "_take_calls", fail)
    with pytest.raises(ZeroDivisionError):
        answer(Injection(0, (), False), 2, deadline=20)
    assert [record.getMessage() for record in caplog.records] in (
        [],  # the run was over when it came
        ["Tool '?' raised ZeroDivisionError beside another tool's error"],
    )


@in_a_thread
def test_nothing_begins_after_the_run_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has taken a call when the run is interrupted does not make it."""
    taken, left = threading.Barrier(3), threading.Event()
    began: list[bool] = []
    made, wait = tool_threads._Running.__init__, tool_threads._Group._wait

    def held(self: Any, *arguments: Any) -> None:
        taken.wait(10)
        left.wait(10)
        made(self, *arguments)

    def interrupted(self: Any) -> Any:
        taken.wait(10)
        raise KeyboardInterrupt
        yield from wait(self)

    monkeypatch.setattr(tool_threads._Running, "__init__", held)
    monkeypatch.setattr(tool_threads._Group, "_wait", interrupted)
    tool = Tool(lambda: began.append(True), name="pay")
    with pytest.raises(KeyboardInterrupt):
        Agent(Scripted([call("pay"), call("pay")]), tools=[tool], parallel_tools=2).run_sync("Hi")
    left.set()
    wait_for_threads()
    assert began == []


@in_a_thread
def test_a_thread_that_came_up_in_spite_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted after a thread was started: it keeps its place as long as it lives, and is told."""
    running, told = threading.Event(), threading.Event()
    held: list[int] = []
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        start(self)
        running.wait(10)
        raise KeyboardInterrupt

    def work(ctx: RunContext[None]) -> None:
        running.set()
        while not ctx.deadline.cancelled:
            time.sleep(0.001)
        held.append(len(tool_threads._held.get()))
        told.set()

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Agent(Scripted([call("work"), call("work")]), tools=[work], parallel_tools=2).run_sync("Hi")
    assert told.wait(10)
    assert held == [1]


@in_a_thread
def test_a_call_tells_who_looks() -> None:
    """Leaving a call stops what is under it and nothing above; cancelling it stops the run."""
    run = Deadline(50)
    step = Deadline(parent=run)
    one, two = tool_calls.CallDeadline(5, run, step), tool_calls.CallDeadline(None, run, step)
    one.leave()
    assert (one.cancelled, two.cancelled, step.cancelled, run.cancelled) == (True, False, False, False)
    two.cancel()
    assert (two.cancelled, step.cancelled, run.cancelled) == (True, True, True)


@in_a_thread
def test_a_place_that_was_lost_while_it_was_taken() -> None:
    """One that was interrupted before it was anybody's does no harm."""
    slot = object.__new__(tool_threads._Slot)
    del slot
