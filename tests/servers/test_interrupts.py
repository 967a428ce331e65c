"""Ctrl-C and ``SystemExit`` from a signal handler, in a real process: out within a second, nothing left open."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import __main__ as by_hand
from tests.servers.places import PLACES
from tests.servers.serving import ROOT
from tests.servers.upstream import Upstream

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts sockets in /proc"),
]
SEEN_BY_THE_SERVER = {"head": "head x", "body": "body x", "stream": "stream x"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that its own key signed, with the key behind it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    return by_hand.certificate(tmp_path_factory.mktemp("tls"))


class Stalled:
    """A TLS server that does not answer a greeting until it may, and sees its client leave."""

    def __init__(self, certificate: Path) -> None:
        self.stall = True
        self.left = 0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._upstream = Upstream()
        self.server = FaultServer(self._answer, on_connect=self._hold, tls=context)

    def _hold(self, peer: Peer) -> None:
        if self.stall:
            peer.sock.settimeout(20)
            while peer.sock.recv(65536):
                continue
            self.left += 1
            peer.close()

    def _answer(self, peer: Peer, request: Request) -> None:
        self._upstream(peer, request)
        peer.close()  # so that the next one needs a handshake again


class Child:
    """The process that is interrupted."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-m", "tests.servers.interrupted", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.heard()

    def heard(self) -> dict[str, Any]:
        """The next line of the child."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate(timeout=20)[1])
        found: dict[str, Any] = json.loads(line)
        return found

    def go(self, place: str) -> None:
        """Send it to *place*."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{place}\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """Let it end; gives what it complained about."""
        _, complaints = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, complaints
        return complaints


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture(scope="module")
def stalled(certificate: Path) -> Iterator[Stalled]:
    made = Stalled(certificate)
    with made.server:
        yield made


@pytest.fixture(scope="module")
def child(upstream: Upstream, stalled: Stalled, certificate: Path) -> Iterator[Child]:
    """One process for all interrupts: the agent has to stay usable."""
    with FaultServer(upstream) as server:
        made = Child(f"{server.origin}/v1", f"{stalled.server.origin}/v1", str(certificate))
        try:
            yield made
            assert made.end() == ""  # no ResourceWarning, no "Exception ignored"
        finally:
            made.process.kill()
            made.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["KeyboardInterrupt", "SystemExit"])
@pytest.mark.parametrize("place", PLACES)
def test_out_within_a_second(
    child: Child, upstream: Upstream, stalled: Stalled, place: str, number: signal.Signals
) -> None:
    """The signal's exception leaves untouched, the socket is closed, and the same model answers the next run."""
    came, left = list(upstream.came), stalled.left
    upstream.came.clear()
    upstream.left.clear()
    stalled.stall = place == "handshake"
    child.go(place)
    if place in SEEN_BY_THE_SERVER:
        upstream.wait_for(SEEN_BY_THE_SERVER[place])
    elif place == "wait":
        upstream.wait_for("busy x")
    else:
        assert child.heard() == {"arrived": place}
    time.sleep(0.2)  # from the last thing that can be seen to the wait itself
    sent = time.monotonic()
    stalled.stall = False
    child.process.send_signal(number)
    out = child.heard()
    assert out["error"] == {"SIGINT": "KeyboardInterrupt()", "SIGTERM": "SystemExit(3)"}[number.name], came
    assert out["left"] - sent < 1
    assert out["more"] <= 0
    assert out["after"] == "after"
    if place in SEEN_BY_THE_SERVER:
        upstream.wait_for(SEEN_BY_THE_SERVER[place], left=True, seconds=5)
    if place == "handshake":
        assert stalled.left == left + 1


_COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from syncagent.cli import main
sys.exit(main(["run", "head x", "--model", "openai:m"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_the_command_line_in_the_middle_of_an_answer(number: signal.Signals, code: int) -> None:
    """Ctrl-C is code 130; SIGTERM ends it as any program, which shells call 143. The provider's socket is closed."""
    upstream = Upstream()
    with FaultServer(upstream) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "OPENAI_BASE_URL": f"{server.origin}/v1", "OPENAI_API_KEY": "loopback"},
        )  # fmt: skip
        upstream.wait_for("head x")
        process.send_signal(number)
        _, complaints = process.communicate(timeout=20)
        assert process.returncode == code
        assert complaints == (b"Interrupted.\n" if number == signal.SIGINT else b"")
        upstream.wait_for("head x", left=True, seconds=5)
