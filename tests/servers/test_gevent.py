"""Greenlets: many at once, and what ends one passes through a run untouched."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.faultserver import FaultServer
from tests.servers.serving import ROOT
from tests.servers.upstream import Upstream

pytest.importorskip("gevent")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts sockets in /proc"),
]

PATCH = "from gevent import monkey; monkey.patch_all()"
CROWD = """
import json, sys
EARLY
from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
LATE
import gevent, gevent.pool
agent = Agent(OpenAIModel("m", provider=OpenAIProvider(sys.argv[1], "k")))
greenlets = [gevent.spawn(lambda n=n: agent.run_sync(f"together {n}").data) for n in range(200)]
gevent.joinall(greenlets, timeout=60)
print(json.dumps([greenlet.value for greenlet in greenlets]))
"""
ENDED = """
import json, sys
EARLY
from tests.servers.places import PLACES, Places, open_sockets
LATE
import gevent, gevent.event
came = gevent.event.Event()
places = Places(sys.argv[1], arrived=lambda place: came.set())
places.agent.run_sync("say warm")
found = []
for place in PLACES:
    if place == "handshake":
        continue  # its own server is another test's
    for how in ("kill", "timeout"):
        places.prepare(place)
        before, got = open_sockets(), []
        def stay():
            try:
                with gevent.Timeout(0.4 if how == "timeout" else 60):
                    places.stay(place)
            except BaseException as error:
                got.append(type(error).__name__)
                raise
        greenlet = gevent.spawn(stay)
        gevent.sleep(0.25)
        if how == "kill":
            greenlet.kill(timeout=5)
        greenlet.join(5)
        more = open_sockets() - before
        if place == "connect":
            after = gevent.spawn(lambda: places.agent.run_sync("say after").data)
        else:
            after = gevent.spawn(places.say, place, "after")
        found.append([place, how, got, more <= 0, after.get(timeout=10)])
sys.stderr = open("/dev/null", "w")  # the hub tells of greenlets that failed
print(json.dumps(found))
"""


def run_script(script: str, when: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run *script* in a Python of its own, patched *when*."""
    code = script.replace(when, PATCH).replace("EARLY", "").replace("LATE", "")
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)


@pytest.mark.parametrize("when", ["EARLY", "LATE"])
def test_two_hundred_at_once(when: str) -> None:
    """All are under way before the first is answered, and each gets its own answer; patched early or late."""
    upstream = Upstream(together=200)
    with FaultServer(upstream) as server:
        done = run_script(CROWD, when, f"{server.origin}/v1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [str(number) for number in range(200)]
    assert upstream.peak == 200


def test_what_ends_a_greenlet_passes_through() -> None:
    """GreenletExit and gevent.Timeout come out as they are, wherever the run is; sockets close, the agent goes on."""
    with FaultServer(Upstream()) as server:
        done = run_script(ENDED, "EARLY", f"{server.origin}/v1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 12
    for place, how, got, closed, after in found:
        assert (place, got) == (place, ["GreenletExit" if how == "kill" else "Timeout"])
        assert (place, how, closed, after) == (place, how, True, "after")
