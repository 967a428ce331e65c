"""Parallel tools, a thousand times: no thread, no place, no connection and no count is lost."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest

from syncagent import tool_threads, tools
from syncagent.agent import Agent
from syncagent.tools import RunContext
from syncagent.usage import Usage
from tests.scripted_model import Scripted, answers, call

pytestmark = pytest.mark.stress


@pytest.fixture(autouse=True)
def tiny_switch_interval() -> Iterator[None]:
    """Let threads take turns after a few bytecodes, so that what can go wrong does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_thousand_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer its own, and afterwards as many threads and open connections as before."""
    local, lock, opened = threading.local(), threading.Lock(), [0]

    def query(number: int) -> int:
        if not hasattr(local, "connection"):
            local.connection = object()
            with lock:
                opened[0] += 1
        return number * 2

    def close_all() -> None:
        if hasattr(local, "connection"):
            with lock:
                opened[0] -= 1

    monkeypatch.setattr(tools, "tool_thread_exit_hooks", [close_all])
    agent: Agent[None, str] = Agent(tools=[query], parallel_tools=3)
    before = threading.active_count()

    def work(start: int) -> None:
        for number in range(start, start + 250):
            model = Scripted([call("query", number=number + k) for k in range(3)], "done")
            messages = agent.run_sync("Hi", model=model).all_messages()
            assert [content for _, _, content in answers(messages[2])] == [(number + k) * 2 for k in range(3)]

    errors: list[BaseException] = []

    def guarded(start: int) -> None:
        try:
            work(start)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(start,)) for start in range(0, 1000, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert threading.active_count() == before
    assert opened == [0]
    assert tool_threads._held.get() == {}


def test_no_count_is_lost() -> None:
    """Runs inside parallel tools count on the outer run's usage, all at once."""
    one = Usage(1, 2, 3, 5, {"cached_tokens": 1}, cost=Decimal(1))

    def inner(ctx: RunContext[None], number: int) -> None:
        for _ in range(2000):
            ctx.usage.incr(one)

    def nested(ctx: RunContext[None], number: int) -> None:
        for _ in range(10):
            agent.run_sync("Hi", model=Scripted(call("leaf"), "done"), usage=ctx.usage)

    def leaf() -> None:
        """Nothing."""

    agent: Agent[None, str] = Agent(tools=[inner, nested, leaf], parallel_tools=8)
    calls = [call(name, number=number) for number in range(4) for name in ("inner", "nested")]
    usage = agent.run_sync("Hi", model=Scripted(calls, "done"), usage=Usage(requests=-100_000)).usage()
    requests = 2 + 4 * 10 * 2
    assert usage.requests == -100_000 + requests + 8000
    assert (usage.request_tokens, usage.response_tokens, usage.total_tokens) == (
        *(10 * requests + 16_000, 2 * requests + 24_000, 12 * requests + 40_000),
    )
    assert (usage.tool_calls, usage.details, usage.cost) == (8 + 4 * 10, {"cached_tokens": 8000}, 8000)
