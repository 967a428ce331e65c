"""Deadlines: what is left, what stops a wait, and which of two holds."""

from __future__ import annotations

import math
import socket
import threading
import time
import weakref
from typing import Any

import pytest

from syncagent.deadline import Deadline, current_deadline, deadline_scope, resolve_deadline
from syncagent.exceptions import DeadlineExceeded, RunCancelled, UserError


class Clock:
    """``time`` that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stands for ``time`` in the module."""
    made = Clock()
    monkeypatch.setattr("syncagent.deadline.time", made)
    return made


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan, "5", True, [5]])
def test_impossible_numbers(seconds: Any) -> None:
    """A deadline is a positive finite number of seconds."""
    with pytest.raises(UserError, match="positive number"):
        Deadline(seconds)


def test_what_is_left(clock: Clock) -> None:
    """Time that passes is no longer there; past the end nothing is left and a check raises."""
    deadline = Deadline(10)
    assert (deadline.remaining(), deadline.end, deadline.expired) == (10, 1010.0, False)
    clock.now += 4
    assert deadline.remaining() == 6
    deadline.check()
    deadline.check(5)
    with pytest.raises(DeadlineExceeded):
        deadline.check(6)
    clock.now += 7
    assert (deadline.remaining(), deadline.expired) == (0, True)
    with pytest.raises(DeadlineExceeded, match="The deadline of 10 s was exceeded"):
        deadline.check()


def test_no_limit() -> None:
    """Without seconds there is no end."""
    deadline = Deadline()
    assert (deadline.remaining(), deadline.end, deadline.expired) == (None, math.inf, False)
    deadline.check(1e9)
    assert repr(deadline) == "<Deadline without limit>"


def test_repr(clock: Clock) -> None:
    """A deadline shows what is left, or that it was cancelled."""
    deadline = Deadline(2)
    assert repr(deadline) == "<Deadline 2.0 s left>"
    deadline.cancel()
    assert repr(deadline) == "<Deadline cancelled>"


def test_sleeping(clock: Clock) -> None:
    """A wait goes in slices and takes the time it should."""
    Deadline().sleep(0.35)
    assert clock.now == pytest.approx(1000.35)
    assert max(clock.slept) <= 0.1


def test_sleeping_past_the_end(clock: Clock) -> None:
    """A wait that is longer than what is left raises at the end, not after the wait."""
    with pytest.raises(DeadlineExceeded):
        Deadline(0.25).sleep(10)
    assert clock.now == pytest.approx(1000.25)


def test_cancelling_ends_a_wait() -> None:
    """``cancel()`` in another thread ends a wait at the next slice."""
    deadline = Deadline()
    timer = threading.Timer(0.1, deadline.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(RunCancelled):
        deadline.sleep(10)
    assert time.monotonic() - began < 1
    timer.join()


def test_cancelled_comes_before_expired(clock: Clock) -> None:
    """Where both are true, the run was cancelled."""
    deadline = Deadline(1)
    clock.now += 2
    deadline.cancel()
    with pytest.raises(RunCancelled):
        deadline.check()


def test_the_callable(clock: Clock) -> None:
    """It is asked at most twice a second, and once it says yes the deadline stays cancelled."""
    asked: list[float] = []

    def cancelled() -> bool:
        asked.append(clock.now)
        return clock.now > 1001

    deadline = Deadline(cancelled=cancelled)
    assert deadline.polls
    with pytest.raises(RunCancelled):
        deadline.sleep(10)
    assert 1001 < clock.now < 1001.7
    assert len(asked) <= 4
    assert deadline.cancelled
    with pytest.raises(RunCancelled):
        deadline.check()


def test_the_callable_of_a_parent(clock: Clock) -> None:
    """A parent's callable is asked for its children too."""
    child = Deadline(5, parent=Deadline(cancelled=lambda: True))
    assert child.polls
    with pytest.raises(RunCancelled):
        child.check()
    assert not Deadline(5).polls


@pytest.mark.parametrize(("own", "outer", "left"), [(5, 10, 5), (10, 5, 5), (None, 5, 5), (5, None, 5)])
def test_the_earlier_end_counts(clock: Clock, own: Any, outer: Any, left: float) -> None:
    """Of a deadline and its parent the earlier end holds, and its seconds are those that the error names."""
    deadline = Deadline(own, parent=Deadline(outer))
    assert deadline.remaining() == left
    clock.now += 6
    with pytest.raises(DeadlineExceeded, match="of 5 s"):
        deadline.check()


def test_a_parents_cancelling_counts() -> None:
    """Cancelling goes down, not up."""
    parent = Deadline()
    child, other = Deadline(parent=parent), Deadline(parent=parent)
    other.cancel()
    child.check()
    parent.check()
    parent.cancel()
    with pytest.raises(RunCancelled):
        child.check()


def test_sockets_are_shut_down() -> None:
    """Cancelling shuts attached sockets down, of children too; detached and closed ones are left alone."""
    parent = Deadline()
    child = Deadline(5, parent=parent)
    pairs = [socket.socketpair() for _ in range(3)]
    ours = [pair[0] for pair in pairs]
    for sock in ours:
        child.attach(sock)
    child.detach(ours[1])
    ours[2].close()
    parent.cancel()
    assert pairs[0][1].recv(1) == b""
    ours[1].sendall(b"x")
    assert pairs[1][1].recv(1) == b"x"
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_attaching_after_cancelling() -> None:
    """A socket that comes too late is refused, and not kept."""
    deadline = Deadline()
    deadline.cancel()
    ours, theirs = socket.socketpair()
    with pytest.raises(RunCancelled):
        deadline.attach(ours)
    assert deadline._sockets == {}
    ours.close()
    theirs.close()


def test_what_an_interruption_leaves_attached_is_not_kept() -> None:
    """A deadline of many runs holds nothing of those that were interrupted before they could let go of it."""
    deadline = Deadline()
    child = Deadline(parent=deadline)
    ours, theirs = socket.socketpair()
    child.attach(ours)
    left = weakref.ref(ours)
    ours.close()
    del ours
    assert left() is None
    deadline.cancel()
    theirs.close()


def test_resolving(clock: Clock) -> None:
    """Seconds, a deadline, the agent's default or nothing."""
    assert resolve_deadline(None).remaining() is None
    assert resolve_deadline(None, 7).remaining() == 7
    assert resolve_deadline(3, 7).remaining() == 3
    mine = Deadline(4)
    assert resolve_deadline(mine, 7) is mine
    with pytest.raises(UserError):
        resolve_deadline("soon")  # type: ignore[arg-type]  # that is the mistake


def test_a_run_inside_a_tool(clock: Clock) -> None:
    """It inherits the outer run's deadline; with its own the earlier one holds; afterwards there is none."""
    outer = Deadline(10)
    with deadline_scope(outer):
        assert resolve_deadline(None) is outer
        assert resolve_deadline(outer) is outer
        assert resolve_deadline(20).remaining() == 10
        assert resolve_deadline(5).remaining() == 5
    assert current_deadline.get() is None


def test_the_callers_own_inside_another_run(clock: Clock) -> None:
    """A ``Deadline`` of the caller's inside a tool: both ends hold, both can cancel, both know the socket."""
    outer, own = Deadline(10), Deadline(5, cancelled=lambda: False)
    with deadline_scope(outer):
        both, other = resolve_deadline(own), resolve_deadline(Deadline(20))
    assert (both.remaining(), other.remaining()) == (5, 10)
    assert both.polls and not other.polls
    ours, theirs = socket.socketpair()
    both.attach(ours)
    own.cancel()
    assert theirs.recv(1) == b""
    both.detach(ours)
    assert both.cancelled and not outer.cancelled
    with pytest.raises(RunCancelled):
        both.check()
    clock.now += 11
    with pytest.raises(DeadlineExceeded, match="of 10 s"):
        other.check()
    ours.close()
    theirs.close()


def test_cancelling_both() -> None:
    """What a tool's run is given may be cancelled from outside and from inside."""
    outer, own = Deadline(), Deadline()
    with deadline_scope(outer):
        both = resolve_deadline(own)
    outer.cancel()
    with pytest.raises(RunCancelled):
        both.check()
    assert not own.cancelled
