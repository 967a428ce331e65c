"""A real Celery worker with a prefork pool: agents made before the fork, time limits, errors that come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from syncagent.exceptions import ModelHTTPError, ModelRateLimitError
from tests.faultserver import FaultServer
from tests.servers.serving import ROOT
from tests.servers.upstream import Upstream

pytest.importorskip("celery")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a prefork pool forks"),
]


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    """The provider."""
    return Upstream()


@pytest.fixture(scope="module")
def app(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The application as a client sees it; a worker with four processes runs meanwhile."""
    folder = tmp_path_factory.mktemp("celery")
    with FaultServer(upstream) as server:
        environment = {"CELERY_FOLDER": str(folder), "UPSTREAM": f"{server.origin}/v1"}
        patched = pytest.MonkeyPatch()
        for name, value in environment.items():
            patched.setenv(name, value)
        log = folder / "log"
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", "tests.servers.celery_app", "worker"),
                    *("--pool", "prefork", "-c", "4", "--without-gossip", "--without-mingle", "--without-heartbeat"),
                ],
                cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, **environment, "WARM": "1", "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        try:
            upstream.wait_for(f"say warm@{worker.pid}", seconds=60)
            from tests.servers.celery_app import app

            yield app
        finally:
            worker.terminate()
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
            patched.undo()
            sys.modules.pop("tests.servers.celery_app", None)
        assert "Traceback" not in log.read_text().partition("Warm shutdown")[2]


def result(task: Any, seconds: float = 60) -> Any:
    """What a task returned; what it raised is raised."""
    return task.get(timeout=seconds, interval=0.02)


def test_every_answer_is_its_own(app: Any, upstream: Upstream) -> None:
    """40 tasks on four children of a parent that has used the agent: no answer crossed, no connection inherited."""
    # Some answers are slow, so that no child can take all tasks.
    words = {str(number): "say" if number % 4 else "wait" for number in range(40)}
    tasks = {number: app.send_task("ask", [f"{word} {number}"]) for number, word in words.items()}
    workers = set()
    for number, task in tasks.items():
        data, pid = result(task)
        assert data.split("@") == [number, str(pid)]
        workers.add(pid)
    assert len(workers) > 1
    assert {len(speakers) for speakers in upstream.speakers.values()} == {1}


def test_the_soft_time_limit_passes_through(app: Any, upstream: Upstream) -> None:
    """``SoftTimeLimitExceeded`` comes out of a blocked read as it is; the socket is closed, the worker goes on."""
    assert result(app.send_task("hang")) == "SoftTimeLimitExceeded"
    (asked,) = (prompt for prompt in upstream.came if prompt.startswith("head"))
    upstream.wait_for(asked, left=True)
    assert result(app.send_task("ask", ["say next"]))[0].startswith("next@")


def test_errors_come_back_typed(app: Any) -> None:
    """Through the result backend, with their attributes."""
    with pytest.raises(ModelHTTPError) as caught:
        result(app.send_task("ask", ["wrong x"]))
    assert (type(caught.value), caught.value.status_code, caught.value.attempts) == (ModelHTTPError, 400, 1)
    assert caught.value.messages is not None and caught.value.usage is not None


def test_celery_waits_for_the_provider(app: Any, upstream: Upstream) -> None:
    """What asks for more patience than a worker has is given back to Celery, and tried once more."""
    began = time.monotonic()
    with pytest.raises(ModelRateLimitError) as caught:
        result(app.send_task("again", ["limit x"]))
    assert caught.value.retry_after == 3600
    assert upstream.came.count("limit x") == 2
    assert time.monotonic() - began < 30
