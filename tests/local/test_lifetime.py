"""A server lives no longer than its process: ends, crashes, forks and greenlets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from syncagent import local
from syncagent.deadline import Deadline
from syncagent.local import Endpoint, catalog, server
from tests.local.asking import refuses, seen, within
from tests.local.conftest import FAKE

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl and /proc")

Model = Callable[..., str]

PARENT = """
import os, sys, time
sys.path[:0] = [{root!r}, {fake!r}]
from syncagent import local
from syncagent.local import server
"""


def parent(body: str, **environment: str) -> subprocess.Popen[str]:
    """A process that runs *body* after importing the package with the fake."""
    code = PARENT.format(root=str(Path(local.__file__).parents[2]), fake=str(FAKE)) + body
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


@pytest.fixture
def orphanage() -> Iterator[list[subprocess.Popen[str]]]:
    """Parents that the test started; all of them are gone afterwards."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that *process* prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@posix
class TestEnd:
    """The server does not outlive the process that started it."""

    def test_normal_exit(self, model: Model, orphanage: list[subprocess.Popen[str]]) -> None:
        """It is gone when its process has ended in the ordinary way, without a warning on the way out."""
        process = parent(f"print(local.endpoint({model()!r}).base_url)", PYTHONWARNINGS="error")
        orphanage.append(process)
        base_url = line(process)
        assert process.wait(20) == 0
        assert refuses(base_url)

    def test_killed(self, model: Model, orphanage: list[subprocess.Popen[str]]) -> None:
        """It is gone within a second of its process's SIGKILL."""
        process = parent(f"print(local.endpoint({model()!r}).base_url, flush=True); time.sleep(60)")
        orphanage.append(process)
        base_url = line(process)
        assert not refuses(base_url)
        process.kill()
        assert within(1, lambda: refuses(base_url))

    def test_killed_with_a_sibling_that_holds_the_pipe(
        self, model: Model, orphanage: list[subprocess.Popen[str]]
    ) -> None:
        """It is gone within a second also where a forked sibling keeps the pipe open: it looks at its parent's id."""
        process = parent(
            f"base_url = local.endpoint({model()!r}).base_url\n"
            "(running,) = server._ours().servers.values()\n"
            "kept = os.dup(running.process.stdin.fileno())\n"
            "child = os.fork()\n"
            "if child: print(base_url, child, flush=True)\n"
            "time.sleep(60)"
        )
        orphanage.append(process)
        base_url, sibling = line(process).split()
        process.kill()
        process.wait()
        try:
            assert within(1, lambda: refuses(base_url))
            os.kill(int(sibling), 0)  # raises where the sibling was not there to hold it
        finally:
            os.kill(int(sibling), signal.SIGKILL)

    @linux
    def test_killed_while_loading(self, model: Model, orphanage: list[subprocess.Popen[str]]) -> None:
        """It is gone within a second also while it loads a model, when nothing in it can look."""
        name = model("locked")
        process = parent(f"local.endpoint({name!r})")
        orphanage.append(process)
        assert within(20, Path(name[len("local:") :] + ".loading").exists)
        child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        assert not _ended(child)
        process.kill()
        process.wait()
        assert within(1, lambda: _ended(child))

    def test_thread_that_started_it_may_end(self, model: Model) -> None:
        """The server stays when the thread that started it ends: worker threads come and go."""
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(FAKE))
            found: list[Endpoint] = []
            thread = threading.Thread(target=lambda: found.append(local.endpoint(model())))
            thread.start()
            thread.join()
            time.sleep(0.7)  # longer than it takes between two looks
            try:
                assert seen(found[0])["model_alias"] == ["tiny"]
            finally:
                local.stop()

    def test_interrupt_from_the_terminal_spares_it(self, model: Model, orphanage: list[subprocess.Popen[str]]) -> None:
        """Ctrl-C reaches the whole group; whether the server ends is its parent's affair."""
        process = parent(
            f"endpoint = local.endpoint({model()!r})\n"
            "(running,) = server._ours().servers.values()\n"
            "import signal; os.kill(running.process.pid, signal.SIGINT); time.sleep(0.3)\n"
            f"print(running.alive, local.endpoint({model()!r}) == endpoint)"
        )
        orphanage.append(process)
        assert line(process) == "True True"


@posix
@pytest.mark.usefixtures("fake_package")
class TestFork:
    """A forked process has servers of its own."""

    def test_forked_child_starts_its_own(self, model: Model) -> None:
        """It closes its copy of the pipe, starts a server of its own, and leaves its parent's alone."""
        mine = local.endpoint(model())
        (inherited,) = server._ours().servers.values()

        def child() -> str:
            closed = inherited.process.stdin is not None and inherited.process.stdin.closed
            theirs = local.endpoint(model())
            assert seen(theirs)["model_alias"] == ["tiny"]
            local.stop()
            return f"{closed} {theirs.base_url}"

        closed, theirs = in_fork(child).split()
        assert closed == "True"
        assert theirs != mine.base_url
        assert seen(mine)["model_alias"] == ["tiny"]
        assert local.endpoint(model()) == mine

    def test_fork_while_the_lock_is_held(self, model: Model) -> None:
        """A fork in the middle of another thread's start does not lock the child out."""
        with server._ours().lock:
            assert in_fork(lambda: local.endpoint(model(), deadline=Deadline(20)).base_url).startswith("http://")

    def test_fork_without_hooks(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the fork hooks do not run (uWSGI), the next request notices by the process's id."""
        mine = local.endpoint(model())
        (inherited,) = server._ours().servers.values()
        pipe: Optional[Any] = inherited.process.stdin
        assert pipe is not None
        real = os.getpid()
        monkeypatch.setattr(server.os, "getpid", lambda: real + 1_000_000)
        code = inherited.process.returncode
        try:
            assert server.find(catalog.resolve(model())) is None
            assert pipe.closed
        finally:  # the pipe's end has ended the server, which is this process's after all
            inherited.process.returncode = code
            inherited.process.wait()
        assert within(5, lambda: refuses(mine.base_url))


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import gevent
with open({slow!r}, "wb") as file:
    file.write(b'GGUF{{"fault": "slow"}}')
ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.01)
gevent.spawn(tick)
jobs = [gevent.spawn(local.endpoint, {name!r}) for _ in range(5)]
gevent.joinall(jobs, raise_error=True)
busy = len(ticks)
late = gevent.spawn(local.endpoint, "local:" + {slow!r})
gevent.sleep(0.3)
late.kill()
print(len({{job.value.base_url for job in jobs}}), busy > 3, repr(late.value), server._ours().lock.locked(), flush=True)
"""


@posix
def test_greenlets(model: Model, tmp_path: Path, orphanage: list[subprocess.Popen[str]]) -> None:
    """Under gevent greenlets share one server, others go on meanwhile, and one that is killed leaves nothing locked."""
    pytest.importorskip("gevent")
    process = parent(GREENLETS.format(name=model("late"), slow=str(tmp_path / "slow.gguf")))
    orphanage.append(process)
    assert line(process) == "1 True GreenletExit() False"
    assert process.wait(20) == 0


def in_fork(body: Callable[[], str]) -> str:
    """What *body* gives in a forked child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, body().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(pid, 0)
    assert answer, "the child failed"
    return answer


def _ended(pid: int) -> bool:
    """Whether the process is gone, or a zombie that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
