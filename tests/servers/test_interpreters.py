"""Two interpreters in one process, as mod_wsgi makes them for two applications, and what importing does not do."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.faultserver import FaultServer
from tests.servers.serving import ROOT
from tests.servers.upstream import Upstream

pytestmark = pytest.mark.servers

RUN = """
import sys
sys.path[:] = {path!r}
from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
agent = Agent(OpenAIModel("m", provider=OpenAIProvider({url!r}, "k")), parallel_tools={parallel})
@agent.tool_plain
def work(tag: str) -> str:
    return tag + " done in {name}"
assert agent.run_sync("tool x").data == "x done in {name}"
assert agent.run_sync("say y").data == "y"
with open({out!r}, "a") as out:
    out.write("{name}\\n")
"""
MAKE = """
import sys
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
codes = __import__("json").loads(sys.stdin.read())
def make():
    try:
        return interpreters.create(isolated=False)
    except TypeError:
        return interpreters.create("legacy")  # 3.13; what mod_wsgi uses
for code in codes:
    interpreter = make()
    failure = interpreters.run_string(interpreter, code)
    assert failure is None, failure
    interpreters.destroy(interpreter)
exec(codes[0].replace("one", "main"))
"""
QUIET = """
import atexit, json, logging, signal, sys, threading
registered = []
atexit.register = lambda *arguments, **keywords: registered.append(repr(arguments))
handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
before = (threading.active_count(), list(logging.root.handlers), logging.root.level, sys.getswitchinterval())
import requests, socket
patched = (requests.Session.send, requests.adapters.HTTPAdapter.send, socket.socket, socket.getaddrinfo)
del registered[:]  # what requests and the standard library want is their affair
import syncagent, syncagent.agent, syncagent.embed, syncagent.direct, syncagent.sse, syncagent.models.anthropic
from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
agent = Agent(OpenAIModel("m", provider=OpenAIProvider(sys.argv[1], "k")))
@agent.tool_plain
def work(tag: str) -> str:
    return tag
agent.run_sync("tool x")
with agent.run_stream("say y") as result:
    result.get_data()
print(json.dumps({
    "atexit": [entry for entry in registered if "syncagent" in entry],
    "signals": handlers == {number: signal.getsignal(number) for number in signal.valid_signals()},
    "threads, logging, switching": before == (
        threading.active_count(), list(logging.root.handlers), logging.root.level, sys.getswitchinterval()),
    "patches": patched == (
        requests.Session.send, requests.adapters.HTTPAdapter.send, socket.socket, socket.getaddrinfo),
    "our handlers": logging.getLogger("syncagent").handlers,
}))
"""


def run_script(script: str, *arguments: str, given: str = "") -> str:
    """What *script* prints, in a Python of its own: an interpreter can take its process down."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("parallel", [1, 4])
def test_two_interpreters(tmp_path: object, parallel: int) -> None:
    """Each imports the package anew and runs agents with tools over HTTP; so does the main one after them."""
    out = f"{tmp_path}/out"
    with FaultServer(Upstream()) as server:
        codes = [
            RUN.format(path=sys.path, url=f"{server.origin}/v1", out=out, name=name, parallel=parallel)
            for name in ("one", "two")
        ]
        run_script(MAKE, given=json.dumps(codes))
    with open(out, encoding="utf-8") as lines:
        assert lines.read().split() == ["one", "two", "main"]


def test_no_background_machinery() -> None:
    """Importing and running leaves no thread, handler, exit function, log handler or patch behind."""
    with FaultServer(Upstream()) as server:
        found = json.loads(run_script(QUIET, f"{server.origin}/v1"))
    assert found == {
        "atexit": [],
        "signals": True,
        "threads, logging, switching": True,
        "patches": True,
        "our handlers": [],
    }
