"""Forks, threads and greenlets: nobody gets another's answer."""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from syncagent.deadline import Deadline
from syncagent.exceptions import ModelConnectionError, UserError
from syncagent.transport import HttpRequest, Transport
from syncagent.transport import call as call_module
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault
from tests.servers.upstream import Upstream

Ask = Callable[..., HttpRequest]
ROOT = Path(__file__).resolve().parents[2]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def forked(work: Callable[[], object]) -> int:
    """Run *work* in a forked child that ends without cleaning up; gives its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended_well(pid: int) -> bool:
    """Whether the child *pid* ended with 0."""
    return os.waitpid(pid, 0)[1] == 0


@needs_fork
@pytest.mark.stress
def test_forked_children_get_their_own_answers(transport: Transport, ask: Ask) -> None:
    """Four children and their parent share a warm transport: of 250 answers none is another's, none is lost."""

    def work(tag: str) -> None:
        for number in range(50):
            body = json.dumps([tag, number]).encode()
            assert transport.send(ask(server.url, body=body), Deadline(20)).body == body

    with FaultServer(fault.echo) as server:
        work("warm")
        children = [forked(lambda tag=tag: work(tag)) for tag in "abcd"]  # type: ignore[misc]  # bound as it is made
        work("parent")
        assert all([ended_well(child) for child in children])
        assert server.connections == 5


@needs_fork
def test_a_child_neither_uses_nor_closes_what_it_inherited(transport: Transport, ask: Ask) -> None:
    """The parent's connection is as it was after its child has sent and gone; a grandchild starts anew as well."""

    def child() -> None:
        transport.send(ask(server.url), Deadline(20))
        transport.close()
        assert ended_well(forked(lambda: transport.send(ask(server.url), Deadline(20))))

    with FaultServer(fault.ok) as server:
        transport.send(ask(server.url), Deadline())
        assert ended_well(forked(child))
        transport.send(ask(server.url), Deadline())
        assert server.connections == 3


@needs_fork
def test_a_child_is_known_by_its_pid_alone(
    transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers that fork without calling Python's hooks (uWSGI) are noticed too, and so is a pid that comes again."""
    from syncagent.transport import client

    with FaultServer(fault.ok) as server:
        transport.send(ask(server.url), Deadline())
        first = transport.session()
        assert transport.session() is first
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)
            second: Any = transport.session()
            assert second is not first
            assert transport.session() is second
        third: Any = transport.session()
        assert third is not first
        with monkeypatch.context() as patch:
            patch.setattr(client, "_generation", [99])
            fourth: Any = transport.session()
            assert fourth is not third
            fourth.close()
        monkeypatch.setattr(client, "_generation", [7])
        client._count_fork()
        assert client._generation == [8]
        assert first in [process.session for process in client._stale]
        for session in (first, second, third):
            session.close()


@needs_fork
def test_a_lock_that_a_parents_thread_holds_does_not_block_a_child(transport: Transport, ask: Ask) -> None:
    """A fork while another thread makes the session leaves the child with a lock of its own."""
    with FaultServer(fault.ok) as server, transport._process.lock:
        assert ended_well(forked(lambda: transport.send(ask(server.url), Deadline(5))))


@needs_fork
def test_a_callers_session_of_another_process(ask: Ask) -> None:
    """It is a ``UserError`` in a child; a function makes each process its own."""

    def refused() -> None:
        with pytest.raises(UserError, match="another process"):
            given.send(ask(server.url), Deadline(5))

    made: list[requests.Session] = []

    def make() -> requests.Session:
        made.append(requests.Session())
        return made[-1]

    with FaultServer(fault.ok) as server, requests.Session() as session:
        given, making = Transport(session=session), Transport(session=make)
        given.send(ask(server.url), Deadline())
        making.send(ask(server.url), Deadline())
        assert ended_well(forked(refused))
        assert ended_well(forked(lambda: making.send(ask(server.url), Deadline(5))))
        assert server.connections == 3
    made[0].close()


def slow_chunks(peer: Peer, request: Request) -> None:
    """Ten pieces, each of them a tenth of a second after the other."""
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(10):
        peer.send(b"2\r\n%d,\r\n" % number)
        peer.pause(0.1)
    peer.send(b"0\r\n\r\n")


@needs_fork
@pytest.mark.parametrize("what", ["read", "close", "cancel"])
@pytest.mark.parametrize("hooks", [True, False], ids=["hooks", "no hooks"])
def test_an_answer_under_way_is_the_parents(transport: Transport, ask: Ask, what: str, hooks: bool) -> None:
    """
    A child of a fork in the middle of a stream reads nothing of it, and nothing that it does ends it for the parent.

    Also where the server that forks does not call Python's hooks.
    """

    def child() -> None:
        if what == "cancel":
            deadline.cancel()
        elif what == "close":
            stream.close()
        else:
            with pytest.raises(ModelConnectionError, match="forked") as caught:
                list(stream)
            assert not caught.value.retryable
            stream.close()

    deadline = Deadline(20)
    with FaultServer(slow_chunks) as server, transport.stream(ask(server.url), deadline) as stream:
        found = [next(stream)]
        if not hooks:
            call_module._bound.clear()  # what the hook would have found
        children = [forked(child) for _ in range(2)]
        found += stream
        assert all([ended_well(one) for one in children])
        assert b"".join(found) == b"0,1,2,3,4,5,6,7,8,9,"


@needs_fork
def test_a_request_of_a_thread_is_not_ended_by_a_child(transport: Transport, ask: Ask) -> None:
    """A child that cancels what its parent's threads wait for does not reach their connections."""

    def child() -> None:
        deadline.cancel()
        gc.collect()

    def answer(peer: Peer, request: Request) -> None:
        came.set()
        peer.pause(0.5)
        peer.answer(b"mine")

    came, found, deadline = threading.Event(), [], Deadline(20)
    with FaultServer(answer) as server:
        thread = threading.Thread(target=lambda: found.append(transport.send(ask(server.url), deadline).body))
        thread.start()
        assert came.wait(10)
        assert ended_well(forked(child))
        thread.join(20)
        assert (found, len(server.requests)) == ([b"mine"], 1)


@needs_fork
def test_a_child_does_not_wait_for_an_import_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork while another thread imports what a first request brings waits for it: a child could do so for ever."""
    (tmp_path / "requests_slowly.py").write_text(
        "import time\nfrom syncagent_test_hook import begun\nbegun.set()\ntime.sleep(0.5)\n"
    )
    hook: Any = types.ModuleType("syncagent_test_hook")
    hook.begun = threading.Event()
    monkeypatch.setitem(sys.modules, "syncagent_test_hook", hook)
    monkeypatch.syspath_prepend(str(tmp_path))
    importing = threading.Thread(target=lambda: importlib.import_module("requests_slowly"))
    importing.start()
    assert hook.begun.wait(10)
    child = forked(lambda: importlib.import_module("requests_slowly"))
    importing.join(10)
    end = time.monotonic() + 10
    while not (state := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
        time.sleep(0.02)
    if not state[0]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert state == (child, 0)
    del sys.modules["requests_slowly"]


def test_a_callers_session_and_another_pid(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pid alone tells: nothing is sent."""
    with FaultServer(fault.ok) as server, requests.Session() as session:
        transport = Transport(session=session)
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with pytest.raises(UserError, match="another process"):
            transport.send(ask(server.url), Deadline())
        monkeypatch.undo()
    assert server.connections == 0


@pytest.mark.stress
@pytest.mark.parametrize("threads", [100, 200])
def test_threads_get_their_own_answers(
    transport: Transport, ask: Ask, caplog: pytest.LogCaptureFixture, threads: int
) -> None:
    """One transport, many threads: every answer its own, no connection thrown away, no warning."""
    caplog.set_level("WARNING")
    wrong: list[object] = []
    start = threading.Barrier(threads)

    def work(tag: int) -> None:
        start.wait(20)
        for number in range(5):
            body = json.dumps([tag, number]).encode()
            try:
                answer = transport.send(ask(server.url, body=body), Deadline(30))
                if answer.body != body:
                    wrong.append(answer.body)
            except Exception as error:  # any failure at all is a finding
                wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with FaultServer(fault.echo) as server:
            crowd = [threading.Thread(target=work, args=(tag,)) for tag in range(threads)]
            for thread in crowd:
                thread.start()
            for thread in crowd:
                thread.join()
            assert server.connections <= threads
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert caplog.records == []


def test_two_threads_make_one_session(ask: Ask) -> None:
    """The first use by several threads at once makes one session."""
    transport = Transport()
    sessions: list[object] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(20)
        sessions.append(transport.session())

    crowd = [threading.Thread(target=work) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert len(set(sessions)) == 1
    transport.close()


@pytest.mark.parametrize("order", ["before", "after"])
def test_greenlets_run_side_by_side(order: str) -> None:
    """50 greenlets on 0.3 s answers take less than a second, whether gevent patched before or after our import."""
    pytest.importorskip("gevent")
    code = """
import sys
order = sys.argv[1]
if order == "before":
    from gevent import monkey; monkey.patch_all()
from syncagent.deadline import Deadline
from syncagent.exceptions import DeadlineExceeded, RunCancelled
from syncagent.transport import HttpRequest, Transport
if order == "after":
    import syncagent.transport.exchange
    from gevent import monkey; monkey.patch_all()
import time, gevent
from tests.faultserver import FaultServer, scenarios

def slow(peer, request):
    if request.body != b"hang":
        time.sleep(0.3)
        peer.answer(request.body)
    else:
        peer.hang()

def send(body, deadline):
    return transport.send(HttpRequest("POST", server.url, headers={}, body=body), deadline)

transport = Transport()
with FaultServer(slow) as server:
    send(b"warm", Deadline(20))
    began = time.monotonic()
    jobs = [gevent.spawn(send, b"%d" % number, Deadline(20)) for number in range(50)]
    gevent.joinall(jobs, raise_error=True)
    took = time.monotonic() - began
    assert [job.value.body for job in jobs] == [b"%d" % number for number in range(50)]
    assert took < 1.0, took

    began = time.monotonic()
    cancelled = Deadline()
    hung = [gevent.spawn(send, b"hang", deadline) for deadline in (Deadline(0.4), cancelled)]
    gevent.sleep(0.2)
    cancelled.cancel()
    gevent.joinall(hung)
    assert isinstance(hung[0].exception, DeadlineExceeded), hung[0].exception
    assert isinstance(hung[1].exception, RunCancelled), hung[1].exception
    assert time.monotonic() - began < 0.9

    try:
        with gevent.Timeout(0.2):
            send(b"hang", Deadline())
        raise SystemExit("no gevent.Timeout")
    except gevent.Timeout:
        pass
    killed = gevent.spawn(send, b"hang", Deadline())
    gevent.sleep(0.1)
    killed.kill()
    assert killed.dead
    assert send(b"alive", Deadline(5)).body == b"alive"
    transport.close()
print("well")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, order], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.stdout.endswith("well\n"), done.stderr


@needs_fork
@pytest.mark.parametrize("way", ["os", "gevent"])
def test_greenlets_of_a_parent_read_nothing_in_its_child(way: str) -> None:
    """
    A fork among 20 greenlets that wait for answers: the parent's get all of them, the child's copies an error each.

    gevent's greenlets live on in a child, so that both would read from the same connections.
    """
    pytest.importorskip("gevent")
    code = """
from gevent import monkey; monkey.patch_all()
import os, subprocess, sys, gevent, gevent.os
from syncagent.deadline import Deadline
from syncagent.exceptions import ModelConnectionError
from syncagent.transport import HttpRequest, RetryPolicy, Transport

url, parent = sys.argv[1], os.getpid()
transport = Transport(trust_env=False)

def send(number):
    body = b"%d" % number
    request = HttpRequest("POST", url, headers={}, body=body)
    if number % 2:
        return transport.send(request, Deadline(20)).body == body
    with transport.stream(request, Deadline(20)) as stream:
        return b"".join(stream) == body

jobs = [gevent.spawn(send, number) for number in range(20)]
gevent.sleep(0.5)
child = os.fork() if sys.argv[2] == "os" else gevent.os.fork()
gevent.joinall(jobs, timeout=15)
if not child:
    kinds = {type(job.exception) for job in jobs}
    texts = [str(job.exception) for job in jobs if "forked" in str(job.exception)]
    body = b"the child's own"
    own = transport.send(HttpRequest("POST", url, headers={}, body=body), Deadline(20)).body == body
    os._exit(0 if (kinds, len(texts), own) == ({ModelConnectionError}, 20, True) else 1)
_, state = os.waitpid(child, 0)
assert [job.value for job in jobs] == [True] * 20, [job.exception for job in jobs]
assert state == 0, state
transport.close()
print("well")
"""

    def slow(peer: Peer, request: Request) -> None:
        peer.pause(1.5)
        peer.answer(request.body)

    with FaultServer(slow) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, server.url, way],
            capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout.endswith("well\n"), done.stderr
        assert len(server.requests) == 21


@needs_fork
@pytest.mark.stress
def test_a_pool_of_multiprocessing_shares_a_warm_agent() -> None:
    """Four forked workers on an agent that was used before, streams among the runs: every answer is its own."""
    code = """
import multiprocessing, os, sys
from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

model = OpenAIModel("loopback", provider=OpenAIProvider(base_url=sys.argv[1], api_key="loopback"))
agent = Agent(model, deadline=30)

def ask(number):
    word = "wait" if number % 20 == 0 else "say"  # slow ones, so that no worker can take all
    if number % 3:
        return number, agent.run_sync(f"{word} {number}@{os.getpid()}").data, os.getpid()
    with agent.run_stream(f"{word} {number}@{os.getpid()}") as result:
        return number, result.get_data(), os.getpid()

if __name__ == "__main__":
    before = ask(1000)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map(ask, range(200), chunksize=5)
        pool.close()
        pool.join()
    found += [before, ask(1001)]
    assert all(answer == f"{number}@{pid}" for number, answer, pid in found), found
    assert len({pid for _, _, pid in found}) > 2
    print("well")
"""
    upstream = Upstream()
    with FaultServer(upstream) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, f"{server.origin}/v1"],
            capture_output=True, text=True, cwd=ROOT, timeout=100, check=False,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("well\n", "")
    # What went out on one connection came from one process.
    assert {len(speakers) for speakers in upstream.speakers.values()} == {1}
