"""A fork while another thread holds every lock of the package: the child runs all the same."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
from tests.faultserver import FaultServer
from tests.servers.upstream import Upstream

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_CONTAINERS = (dict, list, tuple, set, frozenset)


def locks_of_the_package() -> dict[str, Any]:
    """Every lock that is reached from the modules, through our own objects and plain containers, by its way there."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    todo: list[tuple[str, object]] = [
        (name, vars(module)) for name, module in sorted(sys.modules.items()) if name.partition(".")[0] == "syncagent"
    ]
    while todo:
        way, value = todo.pop()
        if isinstance(value, _LOCKS):
            found[way] = value
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        todo += [(f"{way}.{name}", inner) for name, inner in _inside(value)]
    return found


def _inside(value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, dict):
        return [(str(key), inner) for key, inner in list(value.items())]
    ours = (type(value).__module__ or "").partition(".")[0] == "syncagent"
    if isinstance(value, _CONTAINERS) or (ours and not isinstance(value, type)):
        return [(type(inner).__name__, inner) for inner in gc.get_referents(value)]
    return []


def test_every_lock_is_held(capfd: pytest.CaptureFixture[str]) -> None:
    """Runs, tools beside each other and streams of the child do not wait for a thread that it does not have."""
    with FaultServer(Upstream()) as server:
        provider = OpenAIProvider(base_url=f"{server.origin}/v1", api_key="loopback")
        agent: Agent[None, str] = Agent(OpenAIModel("m", provider=provider), parallel_tools=4)

        @agent.tool_plain
        def work(tag: str) -> str:
            return f"{tag} by {threading.current_thread().name}"

        def run(tag: str) -> None:
            assert agent.run_sync(f"tool {tag}").data.startswith(f"{tag} by ")
            with agent.run_stream(f"say {tag}") as result:
                assert result.get_data() == tag

        run("warm")
        locks = locks_of_the_package()
        assert {way.split(".")[1] for way in locks} >= {"transport", "usage"}, locks
        pid = _fork_while_held(list(locks.values()), lambda: run("child"))
        status = _wait(pid, 20)
        assert status == 0, (sorted(locks), capfd.readouterr().err)
        run("parent")


def _fork_while_held(locks: list[Any], work: Callable[[], object]) -> int:
    """Fork while a thread holds *locks*; the child does *work* and is gone."""
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            assert lock.acquire(timeout=10)
        held.set()
        forked.wait(30)
        for lock in locks:
            lock.release()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    forked.set()
    holder.join()
    return pid


def _wait(pid: int, seconds: float) -> int:
    """The child's status; one that hangs is ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]
