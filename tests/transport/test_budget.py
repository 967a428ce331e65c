"""What retries may cost in all: a server that is down gets each request once, not three times."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import ModelOverloadedError
from syncagent.transport import HttpRequest, RetryPolicy, Transport
from syncagent.transport import budget as budgets
from syncagent.transport.budget import Budget, budget_for, reward
from tests.faultserver import FaultServer
from tests.faultserver import scenarios as fault

Ask = Callable[..., HttpRequest]
ORIGIN = "https://api.example.com"


@pytest.fixture(autouse=True)
def full_buckets() -> Iterator[None]:
    """Each test begins with full buckets, and so do those after it."""
    budgets._budgets.renew()
    yield
    budgets._budgets.renew()


def failing(transport: Transport, request: HttpRequest) -> int:
    """How many tries a request took that failed."""
    with pytest.raises(ModelOverloadedError) as caught:
        transport.send(request, Deadline(60))
    return caught.value.attempts


def test_the_figures() -> None:
    """500 tokens pay for 35 retries of 14; what is too little is left alone."""
    bucket = Budget(500)
    assert sum(bucket.take() for _ in range(100)) == 35
    assert len(bucket) == 10
    bucket.give()
    assert (len(bucket), bucket.take(), len(bucket)) == (24, True, 10)
    bucket.give(10_000)
    assert len(bucket) == 500


def test_a_dead_server_costs_little_more_than_one_request_each(
    transport: Transport, ask: Ask, no_wait: list[float]
) -> None:
    """A hundred requests in turn: a few are tried three times, then each is sent once, and the log says why."""
    with FaultServer(fault.say("503 Unavailable")) as server:
        tries = [failing(transport, ask(server.url)) for _ in range(100)]
        assert tries[:17] == [3] * 17
        assert tries[18:] == [1] * 82
        assert len(server.requests) == sum(tries) == 100 + 35


def test_the_log_says_why(
    transport: Transport, ask: Ask, no_wait: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, and the error is that of the try."""
    with FaultServer(fault.say("503 Unavailable")) as server, caplog.at_level(logging.DEBUG, "syncagent.transport"):
        assert failing(transport, ask(server.url, retry_policy=RetryPolicy(budget=13))) == 1
    assert "Not tried again: the retry budget of this server and model is used up" in caplog.text


@pytest.mark.stress
def test_a_storm_of_threads(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """A hundred threads against a dead server: at most a request each, and what the budget pays for."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with FaultServer(fault.say("503 Unavailable")) as server:
            threads = [
                threading.Thread(target=lambda: failing(transport, ask(server.url))) for _ in range(100)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert 100 <= len(server.requests) <= 100 + 500 // 14
    finally:
        sys.setswitchinterval(before)


def test_successes_fill_it_again(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """A clean success gives one token, one after retries what a retry took; a full bucket stays full."""
    policy = RetryPolicy(budget=28)
    turns = [fault.say("503 Unavailable"), fault.ok, fault.ok, fault.say("503 Unavailable"), fault.ok]
    with FaultServer(fault.in_turn(*turns)) as server:
        bucket = budget_for(server.url, "test:model", 28)
        transport.send(ask(server.url, retry_policy=policy), Deadline())
        assert len(bucket) == 28
        bucket.take()
        transport.send(ask(server.url, retry_policy=policy), Deadline())
        assert len(bucket) == 15
        transport.send(ask(server.url, retry_policy=policy), Deadline())
        assert len(bucket) == 15


def test_each_origin_and_model_has_its_own() -> None:
    """One that is down takes nothing from the others; the path makes no difference."""
    bucket = budget_for(f"{ORIGIN}/v1/chat", "a", 500)
    assert budget_for(f"{ORIGIN}/v2", "a", 500) is bucket
    assert budget_for(f"{ORIGIN}/v1/chat", "b", 500) is not bucket
    assert budget_for("https://other.example.com/v1/chat", "a", 500) is not bucket
    assert budget_for(f"{ORIGIN}/v1/chat", "a", 100) is not bucket


def test_a_reward_needs_a_bucket() -> None:
    """Where nothing was ever retried there is nothing to fill."""
    reward(f"{ORIGIN}/v1", "a", 500)
    bucket = budget_for(f"{ORIGIN}/v1", "a", 500)
    reward(f"{ORIGIN}/v1", "a", 500)
    assert len(bucket) == 500


def test_many_models_do_not_grow_it() -> None:
    """After a thousand it begins anew."""
    for number in range(1001):
        budget_for(ORIGIN, str(number), 14)
    assert len(budgets._budgets.get()) == 1


@pytest.mark.parametrize("budget", [None, 0])
def test_no_budget_and_no_retries(transport: Transport, ask: Ask, no_wait: list[float], budget: int) -> None:
    """None is a purse without a bottom, 0 is no retry at all."""
    with FaultServer(fault.say("503 Unavailable")) as server:
        request = ask(server.url, retry_policy=RetryPolicy(budget=budget))
        assert {failing(transport, request) for _ in range(40)} == {3 if budget is None else 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_begins_with_full_buckets() -> None:
    """What the parent has used up says nothing of the child's luck; also where no fork hook is called."""
    bucket = budget_for(ORIGIN, "a", 28)
    while bucket.take():
        continue
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            budgets._budgets.made = os.getppid(), {(ORIGIN, "a", 28): bucket}
            os.write(write, str(len(budget_for(ORIGIN, "a", 28))).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "28"
    assert len(bucket) == 0
