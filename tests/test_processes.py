"""What belongs to one process: kept in it, made anew in a child, however that is known."""

from __future__ import annotations

import os

import pytest

from syncagent import processes
from syncagent.processes import PerProcess


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> PerProcess[list[int]]:
    """One that no later test's fork renews."""
    monkeypatch.setattr(processes, "_all", [])
    return PerProcess(list)


def test_it_stays_in_its_process(counted: PerProcess[list[int]]) -> None:
    """Whoever asks gets the same."""
    counted.get().append(1)
    assert counted.get() == [1]


def test_a_child_is_known_by_its_number(counted: PerProcess[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that fork without calling Python's hooks have children, too: one makes it anew, once."""
    counted.get().append(1)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    first = counted.get()
    assert first == []
    assert counted.get() is first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_is_known_by_the_hook(counted: PerProcess[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that has the number of the process whose value it inherited does not take that for its own."""
    counted.get().append(1)
    pid = os.fork()
    if pid == 0:
        # As if the number of the one that made it had come again: it is what the hook made in here.
        os._exit(0 if counted.made == (os.getpid(), []) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert counted.get() == [1]
