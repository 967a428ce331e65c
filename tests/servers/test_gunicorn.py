"""Runs in the workers of gunicorn: every kind, also forked from a master that has used the agent."""

from __future__ import annotations

import sys

import pytest

from tests.faultserver import FaultServer
from tests.servers.serving import gunicorn, load_several
from tests.servers.upstream import Upstream

pytest.importorskip("gunicorn")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn runs on POSIX systems only"),
]

KINDS = {
    "sync": ["-k", "sync", "-w", "2"],
    "gthread": ["--threads", "8", "-w", "2"],
    "gevent": ["-k", "gevent", "-w", "2"],
    "preload": ["--preload", "-w", "4"],
    "preload-gthread": ["--preload", "-w", "2", "--threads", "8"],
}
IN_A_WORKER = {"sync": 1, "preload": 1, "gthread": 8, "preload-gthread": 8, "gevent": 16}


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_its_own(kind: str) -> None:
    """16 clients at once, an agent used before the fork where there is one: no answer crossed, none failed."""
    if kind == "gevent":
        pytest.importorskip("gevent")
    upstream = Upstream()
    with FaultServer(upstream) as server:
        with gunicorn(f"{server.origin}/v1", *KINDS[kind], WARM="1") as served:
            workers = load_several(served, 10, several=kind != "gevent")  # of which one may take all that comes
        # What went out on one connection came from one process: nobody used what was inherited.
        assert {len(speakers) for speakers in upstream.speakers.values()} == {1}
        processes = set.union(*upstream.speakers.values())
        assert processes >= {str(pid) for pid in workers}
        assert len(workers) > 1 or kind == "gevent"
        assert server.connections <= len(processes) * IN_A_WORKER[kind]


@pytest.mark.parametrize("kind", ["sync", "preload"])
def test_a_worker_that_is_ended_in_the_middle(kind: str) -> None:
    """A sync worker's time-out raises ``SystemExit`` in the blocked read: it passes, and the next worker serves."""
    upstream = Upstream()
    options = ["--timeout", "2", "-w", "1", *(["--preload"] if kind == "preload" else [])]
    with FaultServer(upstream) as server, gunicorn(f"{server.origin}/v1", *options, traceback=True, WARM="1") as served:
        served.lose("head lost")
        assert served.notes == ["passed on SystemExit", "finally"]
        (asked,) = (prompt for prompt in upstream.came if prompt.startswith("head"))
        upstream.wait_for(asked, left=True)
        assert served.ask("say next")["data"].startswith("next@")
