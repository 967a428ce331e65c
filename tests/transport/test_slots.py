"""So many requests at once: who waits, for how long, and that no place is ever lost."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import syncagent
from syncagent import Agent, policy
from syncagent.deadline import Deadline
from syncagent.exceptions import (
    ModelAPIError,
    ModelOverloadedError,
    RunCancelled,
)
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
from syncagent.transport import HttpRequest, RetryPolicy, Transport
from syncagent.transport.policy import in_force, sending
from syncagent.transport.slots import Full, Slots
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault
from tests.injection import Injected, in_a_thread, injections

Ask = Callable[..., HttpRequest]
_NEVER = RetryPolicy(max_retries=0)
_ANSWER = b'{"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]}'


def in_crowd(count: int, work: Callable[[int], None]) -> None:
    """Run *work* in so many threads, and wait for all."""
    crowd = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(20)
        assert not thread.is_alive()


# --- so many at once ------------------------------------------------------------------------------


class _Counting:
    """A scenario that notes how many requests it has at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, peer: Peer, request: Request) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        peer.pause(self._seconds)
        with self._lock:
            self.now -= 1
        peer.answer(request.body)


@pytest.mark.stress
def test_a_crowd_keeps_the_limit(transport: Transport, ask: Ask) -> None:
    """Of 40 threads never more than 4 are under way, all get their own answers, and all places come back."""
    scenario = _Counting(0.002)
    answers: dict[int, bytes] = {}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with FaultServer(scenario) as server, policy(max_concurrent_requests=4) as limit:

            def work(number: int) -> None:
                for _ in range(5):
                    body = b"%d" % number
                    answers[number] = transport.send(ask(server.url, body=body), Deadline(20)).body

            in_crowd(40, work)
            assert (limit.under_way, limit.waiting) == (0, 0)
    finally:
        sys.setswitchinterval(interval)
    assert scenario.most == 4
    assert answers == {number: b"%d" % number for number in range(40)}


def test_first_come_first_served(transport: Transport, ask: Ask) -> None:
    """Who waits longest is next."""
    with FaultServer(_Counting(0.1)) as server, policy(max_concurrent_requests=1) as limit:
        crowd = []
        for number in range(5):
            request = ask(server.url, body=b"%d" % number)
            crowd.append(threading.Thread(target=transport.send, args=(request, Deadline(20))))
            crowd[-1].start()
            end = time.monotonic() + 10
            while limit.under_way + limit.waiting <= number and time.monotonic() < end:
                time.sleep(0.001)
        for thread in crowd:
            thread.join()
    assert [request.body for request in server.requests] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.fixture
def busy(transport: Transport, ask: Ask) -> Iterator[Any]:
    """A policy of one request, which is taken by a stream that hangs; one more may wait."""
    with FaultServer(fault.silent_body) as server, policy(max_concurrent_requests=1, max_queued=1) as limit:
        with transport.stream(ask(server.url), Deadline()) as stream:
            assert (limit.under_way, limit.waiting) == (1, 0)
            yield limit, ask(server.url), server
            assert limit.under_way == 1 or stream.status == 200
        assert limit.under_way == 0


def test_over_the_limit(transport: Transport, busy: Any) -> None:
    """A request waits while it has time to be sent, and fails with what a web server answers as 503."""
    limit, request, server = busy
    began = time.monotonic()
    with pytest.raises(ModelOverloadedError) as caught:
        transport.send(request, Deadline(0.3))
    assert 0.15 < time.monotonic() - began < 2
    error = caught.value
    assert (error.status_code, error.retryable, error.attempts) == (503, True, 0)
    assert error.retry_after is not None and error.retry_after > 0
    assert "has 1 requests to models under way, its own limit" in str(error)
    assert "0 others wait: nothing was sent" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.retry_after) == (str(error), error.retry_after)
    assert (limit.under_way, limit.waiting, len(server.requests)) == (1, 0, 1)


def test_without_a_deadline_the_wait_is_a_minute(
    transport: Transport, busy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no deadline, a request waits for a minute at most."""
    from syncagent.transport import slots

    assert slots._LONGEST == 60
    monkeypatch.setattr(slots, "_LONGEST", 0.2)
    with pytest.raises(ModelOverloadedError, match="nothing was sent"):
        transport.send(busy[1], Deadline())


def test_the_queue_has_an_end(transport: Transport, busy: Any) -> None:
    """Where as many wait as may, the next one fails at once."""
    limit, request, _ = busy

    def wait() -> None:
        with pytest.raises(ModelAPIError):
            transport.send(request, Deadline(1))

    waiter = threading.Thread(target=wait)
    waiter.start()
    while not limit.waiting:
        time.sleep(0.001)
    began = time.monotonic()
    with pytest.raises(ModelOverloadedError, match="1 requests wait already, as many as max_queued allows"):
        transport.send(request, Deadline(20))
    assert time.monotonic() - began < 0.5
    waiter.join()
    assert limit.waiting == 0


def test_cancelling_ends_the_wait(transport: Transport, busy: Any) -> None:
    """Somebody who waits is woken by cancelling, and leaves the line."""
    limit, request, _ = busy
    deadline = Deadline()
    timer = threading.Timer(0.1, deadline.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(RunCancelled):
        transport.send(request, deadline)
    assert time.monotonic() - began < 1
    timer.join()
    assert (limit.under_way, limit.waiting) == (1, 0)


def test_a_place_comes_back_whatever_happens(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """Failures, refusals, cut and strange bodies, an exception of the caller's: after each the place is free."""

    def raising(error: BaseException) -> Callable[..., Any]:
        def auth(*_: Any) -> Any:
            raise error

        return auth

    scenarios = (
        fault.fin,
        fault.reset,
        fault.say("500 Oops"),
        fault.say("401 No"),
        fault.say("200 OK", b"x", "Content-Encoding: br"),
        fault.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
        fault.raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\nx"),
        fault.silent_body,
    )
    with policy(max_concurrent_requests=1, max_queued=0) as limit:
        for scenario in scenarios:
            with FaultServer(scenario) as server, pytest.raises(ModelAPIError):
                transport.send(ask(server.url, timeout=0.2), Deadline(20))
            assert limit.under_way == 0
        with FaultServer(fault.ok) as server:
            for error in (KeyboardInterrupt(), SystemExit(), GeneratorExit(), ValueError(), MemoryError()):
                with pytest.raises(type(error)):
                    transport.send(ask(server.url, auth=raising(error)), Deadline(20))
                assert limit.under_way == 0
            cancelled = Deadline()
            cancelled.cancel()
            with pytest.raises(RunCancelled):
                transport.send(ask(server.url), cancelled)
            stream = transport.stream(ask(server.url), Deadline())
            assert limit.under_way == 1
            del stream  # never entered, never read
            gc.collect()
            assert limit.under_way == 0
            with transport.stream(ask(server.url), Deadline()) as read:
                assert b"".join(read) == b'{"ok": true}'
                assert limit.under_way == 0


def test_no_place_is_held_between_two_tries(
    transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one request waits for its next try, another one goes out; a stopped one says what was sent before."""
    seen: list[int] = []

    def sleep(self: Deadline, seconds: float) -> None:
        seen.append(limit.under_way)

    monkeypatch.setattr(Deadline, "sleep", sleep)
    with FaultServer(fault.in_turn(fault.say("500 Oops"), fault.ok)) as server:
        with policy(max_concurrent_requests=1, max_queued=0) as limit:
            assert transport.send(ask(server.url), Deadline()).attempts == 2
            assert seen == [0]
            taken: list[Any] = []

            def take(self: Deadline, seconds: float) -> None:
                rules: Any = in_force()
                taken.append(rules.slots().take(Deadline()))

            monkeypatch.setattr(Deadline, "sleep", take)
            with FaultServer(fault.say("500 Oops")) as other, pytest.raises(ModelOverloadedError) as caught:
                transport.send(ask(other.url), Deadline())
            assert caught.value.attempts == 1
            assert "it was sent 1 times before, and not again" in str(caught.value)
            assert len(other.requests) == 1


def test_logging_in_needs_no_place_of_its_own(transport: Transport, ask: Ask) -> None:
    """A request that an auth function makes goes out with the one that it logs in; nothing waits for itself."""
    with FaultServer(fault.ok) as server, policy(max_concurrent_requests=1, max_queued=0) as limit:

        def auth(*_: Any) -> dict[str, str]:
            assert limit.under_way == 1
            transport.send(ask(server.url, auth=None), Deadline(5))
            return {}

        transport.send(ask(server.url, auth=auth), Deadline(5))
        assert (limit.under_way, len(server.requests)) == (0, 2)


# An answer whose sender is interrupted at the very end is closed by the collector, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@in_a_thread
def test_an_interrupted_login_lets_nothing_by(transport: Transport, ask: Ask) -> None:
    """Wherever a signal's exception comes while a request logs in, later ones of the thread need a place again."""
    with FaultServer(fault.ok) as server, policy(max_concurrent_requests=1, max_queued=0) as limit:
        rules = in_force()
        assert rules is not None
        slots = rules.slots()
        assert slots is not None
        for injection in injections("transport/policy.py"):
            try:
                with injection:
                    transport.send(ask(server.url, auth=lambda *_: {}), Deadline(5))
            except Injected:
                assert injection.where is not None
            assert limit.under_way == 0, injection.where
            taken = slots.take(Deadline(5))
            with pytest.raises(ModelOverloadedError):
                transport.send(ask(server.url), Deadline(5))
            taken.release()


def test_a_login_shares_the_place_of_its_own_request() -> None:
    """The mark is on one place: neither a stream's that is still held, nor one that came back, lets others by."""
    with policy(max_concurrent_requests=2) as limit:
        rules = in_force()
        assert rules is not None
        request = HttpRequest("POST", "http://127.0.0.1:9/", headers={})
        with sending():  # outside of any request
            stream = rules.admit(request, Deadline(5), 0)
        assert stream is not None
        lease = rules.admit(request, Deadline(5), 0)
        assert lease is not None
        with sending():
            assert rules.admit(request, Deadline(5), 0) is None
            lease.release()
            again = rules.admit(request, Deadline(5), 0)
            assert again is not None
        assert limit.under_way == 2
        again.release()
        stream.release()


def test_a_place_that_comes_too_late() -> None:
    """With less time left than a request needs nobody waits, and a place that comes then goes to another."""
    slots = Slots(1)
    lease = slots.take(Deadline())
    with pytest.raises(Full) as caught:
        slots.take(Deadline(20), 30)
    assert (caught.value.waited or 0) < 5

    class Late(Deadline):
        def check(self, least: float = 0.0) -> None:
            lease.release()  # the waiter is the only one in line
            self._end = time.monotonic() + 10

    with pytest.raises(Full):
        slots.take(Late(60), 30)
    assert (slots.taken, slots.waiting) == (0, 0)


def test_a_run_that_gets_no_place(busy: Any) -> None:
    """An agent's run fails with the typed error, with its messages; nothing was counted."""
    provider = OpenAIProvider("http://127.0.0.1:9/v1", "k")
    with pytest.raises(ModelOverloadedError) as caught:
        Agent(OpenAIModel("gpt-4o", provider=provider)).run_sync("Hi", deadline=0.2)
    assert caught.value.usage is not None and caught.value.usage.requests == 0
    assert caught.value.usage.details is None


def test_a_garbage_collection_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that is freed by a garbage collection while one is taken in the same thread blocks nothing."""
    slots = Slots(2)
    taken = [slots.take(Deadline(5)), slots.take(Deadline(5))]

    class Ring:
        def __init__(self, lease: Any) -> None:
            self.lease, self.me = lease, self

    Ring(taken.pop())
    Ring(taken.pop())

    class Lock:
        """Collects where the waiter makes and rings its bell: the worst moments."""

        def __init__(self) -> None:
            self._lock = real()

        def acquire(self, *arguments: Any) -> bool:
            gc.collect()
            return self._lock.acquire(*arguments)

        def release(self) -> None:
            gc.collect()
            self._lock.release()

    real = threading.Lock
    monkeypatch.setattr(threading, "Lock", Lock)
    began = time.monotonic()
    first, second = slots.take(Deadline(5)), slots.take(Deadline(5))
    assert time.monotonic() - began < 2
    assert (slots.taken, slots.waiting) == (2, 0)
    first.release()
    first.release()
    assert slots.taken == 1
    del second
    assert slots.taken == 0


def test_a_gift_that_comes_with_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who is interrupted in the moment that a place comes leaves it to the next one."""
    slots = Slots(1)
    lease = slots.take(Deadline())

    class Interrupted(Deadline):
        def check(self, least: float = 0.0) -> None:
            lease.release()  # the waiter is the only one in line
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slots.take(Interrupted())
    assert (slots.taken, slots.waiting) == (0, 0)
    slots.take(Deadline(1)).release()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in a `__del__`
@in_a_thread
def test_no_place_is_lost_wherever_a_wait_is_interrupted() -> None:
    """Whichever line of waiting in line, of taking what comes, and of giving it back an exception comes in."""

    class Served(Deadline):
        def check(self, least: float = 0.0) -> None:
            first.release()  # the waiter is the only one in line

    for injection in injections("transport/slots.py"):
        slots = Slots(1)
        first = slots.take(Deadline())
        try:
            with injection:
                slots.take(Served(60)).release()
        except Injected:
            assert injection.where is not None
        first.release()
        gc.collect()
        slots.take(Deadline(5)).release()
        assert (slots.taken, slots.waiting) == (0, 0), injection.where


def test_places_do_not_outlive_who_keeps_them() -> None:
    """A lease that is released after its policy has gone does no harm, and neither keeps the other alive."""
    import weakref

    slots = Slots(3)
    gone, lease = weakref.ref(slots), slots.take(Deadline())
    del slots
    assert gone() is None
    lease.release()


@pytest.mark.stress
def test_slots_under_a_crowd() -> None:
    """Short waits, long waits and cancelled ones of 24 threads: never more than 3 places, none lost."""
    slots, lock, now, most, full = Slots(3, 6), threading.Lock(), [0], [0], [0]

    def work(number: int) -> None:
        for turn in range(60):
            try:
                lease = slots.take(Deadline(0.0005 if (number + turn) % 3 else 5))
            except Full:
                full[0] += 1
                continue
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.0001)
            with lock:
                now[0] -= 1
            if turn % 2:
                lease.release()
            del lease

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        in_crowd(24, work)
    finally:
        sys.setswitchinterval(interval)
    assert most[0] <= 3 and full[0]
    assert (slots.taken, slots.waiting) == (0, 0)
    assert slots._seats is not None and slots._seats.taken == 0
    leases = [slots.take(Deadline(0.1)) for _ in range(3)]
    assert slots.taken == len(leases)


@given(st.lists(st.sampled_from(["take", "release", "drop"]), max_size=40))
def test_any_order_of_taking_and_releasing(steps: list[str]) -> None:
    """Whatever is taken, released twice or dropped: as many places are taken as leases are held."""
    slots, held = Slots(2, 0), []
    for step in steps:
        if step == "take":
            try:
                held.append(slots.take(Deadline()))
            except Full as full:
                assert (len(held), full.waited) == (2, None)
        elif held:
            lease = held.pop()
            if step == "release":
                lease.release()
                lease.release()
            del lease
        assert slots.taken == len(held)


# --- processes and greenlets ----------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("hooks", [True, False])
def test_a_child_begins_with_nothing_under_way(
    busy: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch, hooks: bool
) -> None:
    """What the parent has under way takes no place of its child's, with Python's hooks and without (uWSGI)."""
    limit, _, _ = busy
    if not hooks:
        rules: Any = in_force()
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)
            assert limit.under_way == 0
            assert rules.slots() is rules.slots()
        assert limit.under_way == 1
        return
    with FaultServer(fault.ok) as server:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                assert (limit.under_way, limit.waiting) == (0, 0)
                Transport().send(ask(server.url), Deadline(5))
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
    assert limit.under_way == 1


@pytest.mark.parametrize("order", ["before", "after"])
def test_greenlets_keep_the_limit(order: str) -> None:
    """20 greenlets share 5 places side by side, whether gevent patched before or after; killed ones leave none."""
    pytest.importorskip("gevent")
    code = """
import sys
if sys.argv[1] == "before":
    from gevent import monkey; monkey.patch_all()
import syncagent
limit = syncagent.policy(max_concurrent_requests=5)
from syncagent.deadline import Deadline
from syncagent.transport import HttpRequest, Transport
if sys.argv[1] == "after":
    import syncagent.transport.exchange
    from gevent import monkey; monkey.patch_all()
import time, gevent
from tests.faultserver import FaultServer

def slow(peer, request):
    time.sleep(0.1)
    peer.answer(request.body)

def send(number):
    request = HttpRequest("POST", server.url, headers={}, body=b"%d" % number)
    return transport.send(request, Deadline(10)).body

transport = Transport()
with FaultServer(slow) as server:
    began = time.monotonic()
    jobs = [gevent.spawn(send, number) for number in range(20)]
    gevent.joinall(jobs, raise_error=True)
    took = time.monotonic() - began
    assert [job.value for job in jobs] == [b"%d" % number for number in range(20)]
    assert 0.35 < took < 3, took
    assert limit.under_way == 0

    jobs = [gevent.spawn(send, number) for number in range(20)]
    gevent.sleep(0.05)
    assert (limit.under_way, limit.waiting) == (5, 15), (limit.under_way, limit.waiting)
    gevent.killall(jobs)
    assert (limit.under_way, limit.waiting) == (0, 0)
    late = gevent.Timeout.start_new(0.03)
    try:
        send(1)
        raise AssertionError("no timeout")
    except gevent.Timeout as error:
        assert error is late
    assert (limit.under_way, limit.waiting) == (0, 0)
"""
    root = str(Path(syncagent.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, order], capture_output=True, text=True, cwd=root, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
