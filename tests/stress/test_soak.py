"""What a process holds after ten thousand runs, and what a hundred threads at once make of the pool."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading

import pytest

from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
from tests.docs_pages import ROOT
from tests.faultserver import FaultServer
from tests.servers.upstream import Upstream

pytestmark = pytest.mark.stress

THREADS = 100
RUNS, ROUNDS = 1000, 11
MOST_GROWTH = 5 * 1024  # KiB, a worker lives for weeks


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not say what a process holds")
def test_ten_thousand_runs() -> None:
    """Memory, sockets, threads and objects are after 11,000 runs what they were after 1,000, and nothing complains."""
    with FaultServer(Upstream()) as server:
        child = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.stress.soaked", server.origin, str(RUNS), str(ROUNDS)],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=ROOT,
            # Not measured: a tracer's own objects are more with every thread.
            env={**{k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}, "PYTHONPATH": str(ROOT)},
        )
    assert (child.returncode, child.stderr) == (0, "")  # no ResourceWarning, no "Exception ignored"
    states = [json.loads(line) for line in child.stdout.splitlines()]
    first, last = states[0], states[-1]
    assert len(states) == ROUNDS
    assert last["memory"] - first["memory"] < MOST_GROWTH, states
    assert (last["sockets"], last["threads"]) == (first["sockets"], first["threads"]), states
    assert last["objects"] - first["objects"] < ROUNDS, states  # not one a round


def test_a_hundred_threads_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each has a connection of its own, which is kept and used again; no pool is too small, and none says so."""
    caplog.set_level(logging.DEBUG)
    upstream = Upstream(together=THREADS)
    with FaultServer(upstream) as server:
        model = OpenAIModel("loopback", provider=OpenAIProvider(base_url=f"{server.origin}/v1", api_key="loopback"))
        agent = Agent(model, deadline=60)
        found: dict[tuple[int, int], str] = {}

        def work(number: int) -> None:
            for turn in range(3):
                found[number, turn] = agent.run_sync(f"together {number}.{turn}").data

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        model.provider.transport.close()
    assert found == {(number, turn): f"{number}.{turn}" for number in range(THREADS) for turn in range(3)}
    assert (upstream.peak, server.connections) == (THREADS, THREADS)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert not [record for record in caplog.records if "pool" in record.getMessage().lower()]
