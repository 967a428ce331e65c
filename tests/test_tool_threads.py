"""Tools beside each other: how many at a time, what they see, what becomes of errors and of those that leave."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from syncagent import tool_threads, tools
from syncagent.agent import Agent
from syncagent.deadline import Deadline, current_deadline
from syncagent.exceptions import (
    DeadlineExceeded,
    ModelRetry,
    RunCancelled,
    UnexpectedModelBehavior,
    UserError,
)
from syncagent.messages import FunctionToolCallEvent, FunctionToolResultEvent, HeartbeatEvent
from syncagent.models.function import FunctionModel
from syncagent.models.test import TestModel as Sample
from syncagent.tools import RunContext, Tool
from tests.scripted_model import Scripted, answers, call
from tests.test_streamed import call as streamed_call
from tests.test_streamed import scripted

HERE = "syncagent-tool"


@pytest.fixture(autouse=True)
def no_thread_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All threads of tools end, hooks and limits are as they were, and every place is given back."""
    monkeypatch.setattr(tool_threads, "_warned", set())
    yield
    end = time.monotonic() + 5
    while tool_names() and time.monotonic() < end:
        time.sleep(0.01)
    assert tool_names() == []
    assert tool_threads._held.get() == {}
    assert tools.tool_thread_exit_hooks == []


def tool_names() -> list[str]:
    """The names of the threads of tools that live."""
    return [thread.name for thread in threading.enumerate() if thread.name == HERE]


def returned(agent: Agent[Any, Any], *, prompt: str = "Hi", **options: Any) -> list[Any]:
    """What the tools of the first step gave, in the order of the history."""
    messages = agent.run_sync(prompt, **options).all_messages()
    return [content for _, _, content in answers(messages[2])]


def calls(*names: str, **args: Any) -> list[Any]:
    """A call of each of these tools with the same arguments."""
    return [call(name, **args) for name in names]


def streamed(*names: str) -> FunctionModel:
    """A model that streams calls of these tools, and then a text."""
    return scripted([streamed_call(name, "{}", index) for index, name in enumerate(names)], ["done"])


def together(count: int) -> Callable[[], str]:
    """A tool that returns once so many of its calls are under way."""
    gate = threading.Barrier(count)

    def meet() -> str:
        gate.wait(10)
        return threading.current_thread().name

    return meet


def test_calls_of_a_step_run_beside_each_other() -> None:
    """As many as the agent allows, in daemon threads that are gone when the step is over."""
    agent = Agent(Scripted(calls("meet", "meet", "meet"), "done"), tools=[together(3)], parallel_tools=3)
    before = threading.active_count()
    assert returned(agent) == [HERE] * 3
    assert threading.active_count() == before


def test_never_more_than_asked_for() -> None:
    """Ten calls and two threads: two at a time, and the outcomes in the order of the calls."""
    now, most, lock = [0], [0], threading.Lock()

    def work(number: int) -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.002 * (10 - number))
        with lock:
            now[0] -= 1
        return number

    agent = Agent(Scripted([call("work", number=n) for n in range(10)], "done"), tools=[work], parallel_tools=2)
    assert returned(agent) == list(range(10))
    assert most == [2]


@pytest.mark.parametrize("parallel", [None, 1])
def test_one_after_the_other_where_nobody_asks_for_more(parallel: Any) -> None:
    """By default all calls are made in the caller's thread."""
    agent = Agent(Scripted(calls("where", "where"), "done"), tools=[where], parallel_tools=parallel)
    assert returned(agent) == [threading.current_thread().name] * 2


def where() -> str:
    """Say in which thread."""
    return threading.current_thread().name


def test_one_call_needs_no_thread() -> None:
    """A step with one call makes it in the caller's thread; with a time-out it gets one, to be left behind."""
    limited = Tool(where, name="limited", timeout=10)
    agent = Agent(Scripted(calls("where"), "done"), tools=[where, limited], parallel_tools=4)
    assert returned(agent) == [threading.current_thread().name]
    assert returned(agent, model=Scripted(calls("limited"), "done")) == [HERE]


def test_sequential_tools_run_alone_in_the_callers_thread() -> None:
    """Those before are over, those after have not begun."""
    log: list[str] = []

    def before() -> None:
        gate.wait(10)
        time.sleep(0.01)
        log.append("before")

    def alone() -> str:
        log.append("alone")
        assert tool_names() == []
        return where()

    def after() -> None:
        gate.wait(10)
        log.append("after")

    gate = threading.Barrier(2)
    agent = Agent(
        Scripted(calls("before", "before", "alone", "after", "after"), "done"),
        tools=[before, Tool(alone, sequential=True), after],
        parallel_tools=8,
    )
    assert returned(agent)[2] == threading.current_thread().name
    assert log == ["before", "before", "alone", "after", "after"]


def test_what_a_tool_sees_in_a_thread() -> None:
    """Context variables are copies; the deadline is the run's; dependencies, ids and retries are right."""
    seen: ContextVar[str] = ContextVar("seen", default="nothing")
    seen.set("the caller's")
    gate = threading.Barrier(2)

    def look(ctx: RunContext[str], number: int) -> list[Any]:
        gate.wait(10)
        found = [seen.get(), ctx.deps, ctx.tool_name, ctx.tool_call_id, ctx.retry, ctx.run_step]
        assert current_deadline.get() is ctx.deadline
        assert ctx.deadline.end == deadline.end
        seen.set("the tool's")
        return found

    deadline = Deadline(20)
    model = Scripted([call("look", "a", number=1), call("look", "b", number=2)], "done")
    agent: Agent[str, str] = Agent(model, tools=[look], parallel_tools=2, deps_type=str)
    assert returned(agent, deps="deps", deadline=deadline) == [
        ["the caller's", "deps", "look", "a", 0, 1],
        ["the caller's", "deps", "look", "b", 0, 1],
    ]
    assert (seen.get(), current_deadline.get()) == ("the caller's", None)


def test_refusals_are_retries_as_elsewhere() -> None:
    """Wrong arguments and ModelRetry go back to the model; the right call beside them counts."""

    def pick(number: int) -> int:
        if number == 2:
            raise ModelRetry("not two")
        return number

    model = Scripted([call("pick", number="x"), call("pick", number=2), call("pick", number=3)], "done")
    agent = Agent(model, tools=[Tool(pick, max_retries=3)], parallel_tools=3)
    result = agent.run_sync("Hi")
    parts = answers(result.all_messages()[2])
    assert [part[2][0]["type"] if isinstance(part[2], list) else part[2] for part in parts] == [
        *("int_parsing", "not two", 3),
    ]
    assert result.usage().tool_calls == 3


class Left(BaseException):
    """What no ``except Exception`` catches."""


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3), KeyboardInterrupt(), Left(), StopIteration(1)])
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "alone"])
def test_what_a_tool_raises_comes_as_it_is(error: BaseException, beside: bool) -> None:
    """In a thread or not: the same object, with the tool in its traceback."""

    def fail() -> None:
        raise error

    names = ["fail", "where"] if beside else ["fail"]
    agent = Agent(Scripted(calls(*names), "done"), tools=[fail, where], parallel_tools=2)
    with pytest.raises(type(error)) as caught:
        agent.run_sync("Hi")
    assert caught.value is error
    assert "fail" in [entry.name for entry in caught.traceback]
    assert returned(agent, model=Scripted(calls("where", "where"), "done")) == [HERE, HERE]


def test_the_first_error_ends_the_step(caplog: pytest.LogCaptureFixture) -> None:
    """Calls that did not begin are dropped, running ones waited for; a second error is logged by its class."""
    log: list[str] = []
    begun, failed = threading.Barrier(2), threading.Event()

    def first() -> None:
        begun.wait(10)
        failed.set()
        raise ValueError("first")

    def second() -> None:
        begun.wait(10)
        failed.wait(10)
        time.sleep(0.05)
        log.append("second went on")
        raise LookupError("second")

    def third() -> None:
        log.append("third")

    agent = Agent(
        Scripted(calls("first", "second", "third", "third"), "done"), tools=[first, second, third], parallel_tools=2
    )
    with pytest.raises(ValueError, match="first"):
        agent.run_sync("Hi")
    assert log == ["second went on"]
    assert [record.getMessage() for record in caplog.records] == [
        "Tool 'second' raised LookupError beside another tool's error"
    ]


def test_running_calls_are_waited_for_up_to_the_deadline() -> None:
    """After an error a call that hangs holds the run until its deadline, and the error is the first one."""
    release, begun = threading.Event(), threading.Barrier(2)

    def fail() -> None:
        begun.wait(10)
        raise ValueError("first")

    def hang() -> None:
        begun.wait(10)
        release.wait(20)

    agent = Agent(Scripted(calls("fail", "hang"), "done"), tools=[fail, hang], parallel_tools=2)
    started = time.monotonic()
    try:
        with pytest.raises(ValueError, match="first"):
            agent.run_sync("Hi", deadline=0.3)
        assert 0.2 < time.monotonic() - started < 3
    finally:
        release.set()


def test_a_time_out_is_a_retry() -> None:
    """The model is told, the thread is left, and what it returns later is dropped; its deadline is cancelled."""
    release, told = threading.Event(), threading.Event()

    def hang(ctx: RunContext[None]) -> str:
        ran_until = ctx.deadline.remaining()
        assert ran_until is not None and ran_until <= 0.1
        while not ctx.deadline.cancelled:
            time.sleep(0.01)
        told.set()
        release.wait(10)
        return "late"

    model = Scripted(calls("hang", "where"), "done")
    agent = Agent(model, tools=[Tool(hang, timeout=0.1), where], parallel_tools=2)
    result = agent.run_sync("Hi", deadline=20)
    assert [part[2] for part in answers(result.all_messages()[2])] == ["Tool timed out after 0.1 s", HERE]
    assert told.wait(10)
    assert len(tool_names()) == 1  # it keeps its place until it ends
    assert len(tool_threads._held.get()) == 1
    release.set()


def test_time_outs_count_as_failures() -> None:
    """As many in a row as ``retries`` allows."""
    release = threading.Event()

    def hang() -> None:
        release.wait(10)

    agent = Agent(Scripted(calls("hang")), tools=[Tool(hang, timeout=0.05)], parallel_tools=2, retries=1)
    try:
        with pytest.raises(UnexpectedModelBehavior, match="max retries count of 1") as caught:
            agent.run_sync("Hi")
        assert str(caught.value.__cause__) == "Tool timed out after 0.05 s"
    finally:
        release.set()


def test_calls_go_on_where_all_threads_were_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that was left is replaced; where no place is free, the caller's own thread does the rest."""
    release = threading.Event()

    def hang() -> None:
        release.wait(10)

    model = Scripted(calls("hang", "hang", "where", "where"), "done")
    agent = Agent(model, tools=[Tool(hang, timeout=0.1, max_retries=5), where], parallel_tools=2)
    try:
        assert returned(agent)[2:] == [HERE, HERE]
        monkeypatch.setattr(tools, "max_tool_threads", 4)  # two are held by those that were left
        assert returned(agent, model=Scripted(*model.answers))[2:] == [threading.current_thread().name] * 2
    finally:
        release.set()


@pytest.mark.parametrize("parallel", [None, 2])
def test_a_tool_that_keeps_to_its_time(parallel: Any) -> None:
    """A run inside the tool, or the tool itself, that stops at the tool's deadline is a retry; the run goes on."""

    def careful(ctx: RunContext[None]) -> None:
        ctx.deadline.sleep(10)

    agent = Agent(
        Scripted(calls("careful"), "done"), tools=[Tool(careful, timeout=0.1)], parallel_tools=parallel, retries=2
    )
    assert returned(agent, deadline=20) == ["Tool timed out after 0.1 s"]


@pytest.mark.parametrize("parallel", [None, 2])
def test_the_runs_deadline_is_not_the_tools(parallel: Any) -> None:
    """Where the run's time is over first, the run fails."""

    def careful(ctx: RunContext[None]) -> None:
        ctx.deadline.sleep(10)

    agent = Agent(Scripted(calls("careful"), "done"), tools=[Tool(careful, timeout=5)], parallel_tools=parallel)
    with pytest.raises(DeadlineExceeded, match=r"0\.15 s"):
        agent.run_sync("Hi", deadline=0.15)


def test_late_in_the_callers_thread(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing can interrupt it there: its result is used, and a warning names tool and time."""

    def slow() -> str:
        time.sleep(0.06)
        return "late"

    agent = Agent(Scripted(calls("slow"), "done"), tools=[Tool(slow, timeout=0.05)])
    assert returned(agent) == ["late"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "'slow' took longer than its timeout of 0.05 s" in record.getMessage()


@pytest.mark.parametrize("how", ["deadline", "cancel", "callable"])
def test_waiting_ends_with_the_run(how: str) -> None:
    """Deadline, cancelling and the callable are seen while tools run; the tools are told."""
    told, release = threading.Event(), threading.Event()

    def hang(ctx: RunContext[None]) -> None:
        while not ctx.deadline.cancelled and not ctx.deadline.expired:
            time.sleep(0.01)
        told.set()
        release.wait(10)

    begun = time.monotonic()
    deadline = {
        "deadline": lambda: Deadline(0.3),
        "cancel": lambda: Deadline(),
        "callable": lambda: Deadline(cancelled=lambda: time.monotonic() - begun > 0.2),
    }[how]()
    if how == "cancel":
        threading.Timer(0.2, deadline.cancel).start()
    agent = Agent(Scripted(calls("hang", "hang"), "done"), tools=[hang], parallel_tools=2)
    try:
        with pytest.raises(DeadlineExceeded if how == "deadline" else RunCancelled):
            agent.run_sync("Hi", deadline=deadline)
        assert time.monotonic() - begun < 5
        assert told.wait(10)
    finally:
        release.set()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")
def test_an_interrupt_while_waiting_passes_at_once() -> None:
    """What a signal handler raises in the caller's thread ends the run; tools are told, the rest is dropped."""
    begun, told = [], threading.Event()

    def hang(ctx: RunContext[None]) -> None:
        begun.append(1)
        while not ctx.deadline.cancelled:
            time.sleep(0.01)
        told.set()

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    agent = Agent(Scripted(calls(*["hang"] * 4), "done"), tools=[hang], parallel_tools=2)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            agent.run_sync("Hi")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert told.wait(10)
    assert len(begun) == 2


def test_an_error_is_not_lost_when_the_run_is_cancelled() -> None:
    """While the rest is waited for, somebody stops the run: the tool's error is what the caller gets."""
    failed, release = threading.Event(), threading.Event()

    def boom() -> None:
        begun.wait(10)
        failed.set()
        raise ValueError("mine")

    def hang() -> None:
        begun.wait(10)
        release.wait(10)

    begun = threading.Barrier(2)
    agent = Agent(Scripted(calls("boom", "hang"), "done"), tools=[boom, hang], parallel_tools=2)
    try:
        with pytest.raises(ValueError, match="mine"):
            agent.run_sync("Hi", deadline=Deadline(cancelled=failed.is_set))
    finally:
        release.set()


def test_an_error_after_a_time_out_stops_nothing() -> None:
    """A call that the run went on without raises: the calls that wait are made all the same."""

    def late(ctx: RunContext[None]) -> None:
        while not ctx.deadline.cancelled:
            time.sleep(0.001)
        raise ValueError("nobody waits for it")

    agent = Agent(
        Scripted(calls("late", "late", "where", "where"), "done"),
        tools=[Tool(late, timeout=0.05, max_retries=9), where],
        parallel_tools=2,
    )
    assert returned(agent) == ["Tool timed out after 0.05 s"] * 2 + [HERE] * 2


def test_late_is_late_though_nobody_looked() -> None:
    """Where the reader of the events is busy, a result that came after the tool's time is none."""

    def slow() -> str:
        time.sleep(0.1)
        return "late"

    agent = Agent(streamed("slow"), tools=[Tool(slow, timeout=0.05, max_retries=9)], parallel_tools=2)
    contents = []
    with agent.run_stream_events("Hi", heartbeat=0.01) as events:
        called = False
        for event in events:
            if called and isinstance(event, HeartbeatEvent):
                called = False
                time.sleep(0.3)
            called = called or isinstance(event, FunctionToolCallEvent)
            if isinstance(event, FunctionToolResultEvent):
                contents.append(event.result.content)
    assert contents == ["Tool timed out after 0.05 s"]


def test_functions_for_the_end_of_a_thread() -> None:
    """The decorator adds a function once and gives it back; what cannot be called is refused."""

    async def asynchronous() -> None:
        raise AssertionError("never awaited")

    try:
        assert tools.on_tool_thread_exit(where) is where
        tools.on_tool_thread_exit(where)
        assert tools.tool_thread_exit_hooks == [where]
    finally:
        tools.tool_thread_exit_hooks.remove(where)
    with pytest.raises(UserError, match="is a function; got str"):
        tools.on_tool_thread_exit("close_all")  # type: ignore[type-var] # what is tested
    with pytest.raises(UserError, match="asynchronous"):
        tools.on_tool_thread_exit(asynchronous)


def test_exit_hooks(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread calls them when it ends, also after an error; one that fails is logged, the others are called."""
    closed: list[str] = []
    local = threading.local()

    def broken() -> None:
        raise SystemExit("hook")

    def close() -> None:
        closed.append(getattr(local, "connection", "none"))

    def query(number: int) -> str:
        gate.wait(10)
        local.connection = "open"
        if number == 9:
            raise ValueError("query")
        return "row"

    gate = threading.Barrier(2)
    monkeypatch.setattr(tools, "tool_thread_exit_hooks", [broken, close])
    agent = Agent(Scripted([call("query", number=1), call("query", number=2)], "done"), tools=[query], parallel_tools=2)
    assert returned(agent) == ["row", "row"]
    assert closed == ["open", "open"]
    with pytest.raises(ValueError, match="query"):
        agent.run_sync("Hi", model=Scripted([call("query", number=9), call("query", number=2)]))
    assert closed == ["open"] * 4
    assert {record.getMessage().partition(":")[0] for record in caplog.records} == {"A tool thread's exit hook failed"}
    monkeypatch.undo()


def test_a_limit_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that gets fewer places makes do with them; one that gets none uses its own thread."""
    monkeypatch.setattr(tools, "max_tool_threads", 2)
    agent = Agent(Scripted(calls("meet", "meet", "meet", "meet"), "done"), tools=[together(2)], parallel_tools=4)
    assert returned(agent) == [HERE] * 4
    monkeypatch.setattr(tools, "max_tool_threads", 0)
    assert (
        returned(Agent(Scripted(calls("where", "where"), "done"), tools=[where], parallel_tools=4))
        == [threading.current_thread().name] * 2
    )


@pytest.mark.parametrize("limit", [-1, 1.5, True, None])
def test_limits_that_are_none(monkeypatch: pytest.MonkeyPatch, limit: Any) -> None:
    """They are refused when they are looked at."""
    monkeypatch.setattr(tools, "max_tool_threads", limit)
    with pytest.raises(UserError, match="max_tool_threads"):
        returned(Agent(Scripted(calls("where", "where"), "done"), tools=[where], parallel_tools=2))


@pytest.mark.parametrize("parallel", [0, -1, 1.5, True, "2"])
def test_numbers_of_threads_that_are_none(parallel: Any) -> None:
    """They are refused when the agent is made."""
    with pytest.raises(UserError, match=r"parallel_tools=.*got"):
        Agent(Sample(), parallel_tools=parallel)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": -1}, {"timeout": float("inf")}, {"timeout": True}, {"sequential": 1}]
)
def test_timing_that_is_none(options: dict[str, Any]) -> None:
    """A tool's time-out is a positive number of seconds, ``sequential`` a bool."""
    with pytest.raises(UserError, match=r"Tool\((timeout|sequential)=\)"):
        Tool(where, **options)


def test_both_decorators_take_them() -> None:
    """``@agent.tool`` and ``@agent.tool_plain`` hand them on, and a registered copy keeps them."""
    agent: Agent[None, str] = Agent(Sample(), parallel_tools=2)
    agent.tool_plain(sequential=True, timeout=3)(where)

    @agent.tool(timeout=4)
    def other(ctx: RunContext[None]) -> None:
        """Nothing."""

    found = {name: (tool.sequential, tool.timeout) for name, tool in agent._tools.items()}
    assert found == {"where": (True, 3), "other": (False, 4)}


def test_nested_runs_share_places_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three levels of parallel runs and two places: nobody waits for a place that another holds."""
    monkeypatch.setattr(tools, "max_tool_threads", 2)

    def level(ctx: RunContext[int]) -> int:
        if ctx.deps == 0:
            return 1
        model = Scripted(calls("level", "level"), "done")
        messages = agent.run_sync("Hi", model=model, deps=ctx.deps - 1, usage=ctx.usage).all_messages()
        return sum(content for _, _, content in answers(messages[2]))

    agent: Agent[int, str] = Agent(tools=[level], parallel_tools=2, deps_type=int)
    result = agent.run_sync("Hi", model=Scripted(calls("level", "level"), "done"), deps=2)
    assert [content for _, _, content in answers(result.all_messages()[2])] == [4, 4]
    assert (result.usage().requests, result.usage().tool_calls) == (2 * (1 + 2 + 4), 2 + 4 + 8)


def test_the_depth_is_counted_through_threads() -> None:
    """A tool that calls its own agent for ever is stopped where it is elsewhere."""

    def again() -> str:
        return agent.run_sync("Hi", model=Scripted(calls("again", "where"), "done")).data

    agent: Agent[None, str] = Agent(tools=[again, where], parallel_tools=2)
    with pytest.raises(UserError, match="20 deep"):
        agent.run_sync("Hi", model=Scripted(calls("again", "where"), "done"))


@pytest.mark.parametrize("where_it_fails", ["start", "__init__"])
def test_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where_it_fails: str
) -> None:
    """The caller's thread does everything, and one warning says so; newer Pythons refuse a daemon when it is made."""

    def refuse(self: threading.Thread, *args: Any, **options: Any) -> None:
        raise RuntimeError("thread is not supported for isolated subinterpreters")

    monkeypatch.setattr(threading.Thread, where_it_fails, refuse)
    for _ in range(2):
        agent = Agent(Scripted(calls("where", "where"), "done"), tools=[where], parallel_tools=2)
        assert returned(agent) == [threading.current_thread().name] * 2
    (record,) = caplog.records
    assert "isolated subinterpreters" in record.getMessage()


def test_a_start_that_is_interrupted_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a thread starts passes; the fixture above sees that no place is lost."""

    def interrupted(self: threading.Thread) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Agent(Scripted(calls("where", "where")), tools=[where], parallel_tools=2).run_sync("Hi")


@pytest.mark.parametrize(
    ("options", "threaded"),
    [({}, False), ({b"enable-threads": b"true"}, True), ({"enable-threads": True}, True), ({b"threads": b"2"}, True)],
)
def test_uwsgi_without_threads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, options: dict[Any, Any], threaded: bool
) -> None:
    """Threads are used where its options promise them; elsewhere one warning says why they are not."""

    class FakeModule:
        opt = options

    monkeypatch.setitem(sys.modules, "uwsgi", FakeModule)
    for _ in range(2):
        agent = Agent(Scripted(calls("where", "where"), "done"), tools=[where], parallel_tools=2)
        assert returned(agent) == [HERE if threaded else threading.current_thread().name] * 2
    assert len(caplog.records) == (0 if threaded else 1)


def test_events_of_a_step() -> None:
    """All calls of a group are said first, each result as it comes; the next request has them in call order."""
    first_may_end = threading.Event()

    def slow() -> str:
        first_may_end.wait(10)
        return "slow"

    def quick() -> str:
        return "quick"

    agent = Agent(streamed("slow", "quick"), tools=[slow, quick], parallel_tools=2)
    seen: list[str] = []
    with agent.run_stream_events("Hi") as events:
        for event in events:
            if isinstance(event, FunctionToolCallEvent):
                seen.append(f"call {event.part.tool_name}")
            elif isinstance(event, FunctionToolResultEvent):
                seen.append(f"result {event.result.tool_name}")
                first_may_end.set()
        messages = events.all_messages()
    assert seen == ["call slow", "call quick", "result quick", "result slow"]
    assert [content for _, _, content in answers(messages[2])] == ["slow", "quick"]


@pytest.mark.parametrize("count", [1, 2])
def test_heartbeats_while_tools_run(count: int) -> None:
    """A silent tool in a thread does not make the stream silent; a single one gets a thread for that."""
    release = threading.Event()

    def slow() -> None:
        release.wait(10)

    agent = Agent(streamed(*["slow"] * count), tools=[slow], parallel_tools=2)
    beats = 0
    with agent.run_stream_events("Hi", heartbeat=0.05) as events:
        called = 0
        for event in events:
            called += isinstance(event, FunctionToolCallEvent)
            if called == count and isinstance(event, HeartbeatEvent):
                beats += 1
                if beats == 3:
                    release.set()
    assert beats >= 3


def test_leaving_the_events_tells_the_tools() -> None:
    """Calls that did not begin are dropped; those that run see their deadline cancelled; nobody is waited for."""
    begun, told, log = threading.Barrier(3), threading.Event(), []

    def hang(ctx: RunContext[None]) -> None:
        log.append("hang")
        begun.wait(10)
        while not ctx.deadline.cancelled:
            time.sleep(0.01)
        told.set()

    agent = Agent(streamed("hang", "hang", "hang", "hang"), tools=[hang], parallel_tools=2)
    with agent.run_stream_events("Hi", heartbeat=0.05) as events:
        called = 0
        for event in events:
            called += isinstance(event, FunctionToolCallEvent)
            if called == 4 and isinstance(event, HeartbeatEvent):
                begun.wait(10)
                break
    assert told.wait(10)
    assert log == ["hang", "hang"]


def test_a_step_is_looked_into() -> None:
    """``node.stream`` gives the same events, and ``iter`` goes on with all outcomes."""
    agent = Agent(Scripted(calls("meet", "meet"), "done"), tools=[together(2)], parallel_tools=2)
    kinds: list[str] = []
    with agent.iter("Hi") as run:
        for node in run:
            if Agent.is_call_tools_node(node):
                with node.stream(run.ctx) as events:
                    kinds += [event.event_kind for event in events]
    assert run.result is not None and run.result.data == "done"
    assert kinds == ["function_tool_call"] * 2 + ["function_tool_result"] * 2


def test_closing_the_events_from_another_thread() -> None:
    """The wait for tools ends at once, without an error, and the tools are told."""
    begun, told = threading.Barrier(3), threading.Event()

    def hang(ctx: RunContext[None]) -> None:
        begun.wait(10)
        while not ctx.deadline.cancelled:
            time.sleep(0.01)
        told.set()

    events = Agent(streamed("hang", "hang"), tools=[hang], parallel_tools=2).run_stream_events("Hi")
    reader = threading.Thread(target=lambda: list(events))
    reader.start()
    begun.wait(10)
    events.close()
    reader.join(10)
    assert not reader.is_alive()
    assert told.wait(10)
    assert not events.is_complete


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_of_a_fork_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forked while tools of the parent hold every place: the child has its own, and counts on."""
    monkeypatch.setattr(tools, "max_tool_threads", 2)
    release, begun = threading.Event(), threading.Barrier(3)

    def hang() -> None:
        begun.wait(10)
        release.wait(20)

    parent = Agent(Scripted(calls("hang", "hang"), "done"), tools=[hang], parallel_tools=2)
    runner = threading.Thread(target=parent.run_sync, args=("Hi",), kwargs={"infer_name": False})
    runner.start()
    begun.wait(10)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child = Agent(Scripted(calls("meet", "meet"), "done"), tools=[together(2)], parallel_tools=2)
            code = 0 if returned(child) == [HERE] * 2 else 2
        finally:
            os._exit(code)
    release.set()
    runner.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


HANGS = """
import time
from syncagent import Agent, Tool
from tests.scripted_model import Scripted, call
def hang(): time.sleep(60)
tools = [Tool(hang, timeout=0.1, max_retries=9)]
agent = Agent(Scripted([call("hang"), call("hang")], "done"), tools=tools, parallel_tools=2)
print(agent.run_sync("Hi").data)
"""
GEVENT = """
import sys
EARLY
from syncagent import Agent
LATE
import time
from tests.scripted_model import Scripted, call
now, most = [0], [0]
def nap():
    now[0] += 1
    most[0] = max(most[0], now[0])
    time.sleep(0.1)
    now[0] -= 1
def one(_):
    agent = Agent(Scripted([call("nap"), call("nap")], "done"), tools=[nap], parallel_tools=2, name="napping")
    return agent.run_sync("Hi").data
import gevent.pool
print(sorted(set(gevent.pool.Pool(4).map(one, range(4)))), most[0] >= 4)
"""
PATCH = "from gevent import monkey; monkey.patch_all()"


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """Run *script* with this Python, warnings as errors."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, timeout=40, cwd=root, check=False
    )


def test_a_tool_that_hangs_does_not_hold_the_process() -> None:
    """The process ends with its main thread, and says nothing."""
    begun = time.monotonic()
    done = run_script(HANGS)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
    assert time.monotonic() - begun < 20


@pytest.mark.stress
@pytest.mark.parametrize("when", ["EARLY", "LATE"])
def test_under_gevent(when: str) -> None:
    """Patched before or after the import, tools of several greenlets' runs take turns."""
    pytest.importorskip("gevent")
    done = run_script(GEVENT.replace(when, PATCH).replace("EARLY", "").replace("LATE", ""))
    assert done.stdout == "['done'] True\n", done.stderr
