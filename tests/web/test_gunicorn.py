"""A view that streams, under a real server: when the client leaves, so does the connection to the provider."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

import pytest

from tests.faultserver import FaultServer
from tests.faultserver.chat import HEAD, Leaving, chunk, finish, text
from tests.faultserver.server import Peer, Request

pytest.importorskip("gunicorn")
pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn runs on POSIX systems only"),
]
ROOT = Path(__file__).resolve().parents[2]
WORKERS = ["sync", "gthread", "gevent"]


@contextmanager
def gunicorn(kind: str, upstream: str) -> Iterator[int]:
    """One worker of *kind*; gives its port."""
    if kind == "gevent":
        pytest.importorskip("gevent")
    listener = socket.create_server(("127.0.0.1", 0))
    environment = {**os.environ, "UPSTREAM": upstream, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "-k", kind, "-w", "1", "-b", f"fd://{listener.fileno()}"),
            *(["--threads", "4"] if kind == "gthread" else []),
            *(["--no-control-socket"] if has_control_socket() else []),
            *("--graceful-timeout", "2", "--log-level", "warning", "tests.web.app:application"),
        ],
        env=environment,
        cwd=ROOT,
        pass_fds=[listener.fileno()],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    port: int = listener.getsockname()[1]
    listener.close()
    try:
        yield port
    finally:
        server.terminate()
        try:
            _, errors = server.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()
            raise
    assert b"Traceback" not in errors, errors.decode()


def has_control_socket() -> bool:
    """Whether this gunicorn would open a control socket in the home directory."""
    from gunicorn.config import KNOWN_SETTINGS

    return any(setting.name == "control_socket_disable" for setting in KNOWN_SETTINGS)


def ask(port: int, path: str) -> socket.socket:
    """Send a request."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return sock


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    """What comes up to *mark*, or the end where there is none."""
    data = b""
    while mark not in data:
        got = sock.recv(65536)
        if not got:
            break
        data += got
    return data


def number_of_threads(port: int) -> int:
    """How many threads the worker has."""
    with ask(port, "/threads") as sock:
        body = read_until(sock, b"no such mark").partition(b"\r\n\r\n")[2]
    return int(body.split(b"\r\n")[1] if b"\r\n" in body else body)


@pytest.mark.parametrize("kind", WORKERS)
@pytest.mark.parametrize("every", [0.05, None], ids=["words", "silence"])
def test_the_upstream_is_closed_when_the_client_leaves(kind: str, every: Optional[float]) -> None:
    """Words or silence: within half a second the provider's socket is closed, and the worker serves the next."""
    upstream = Leaving(every)
    with FaultServer(upstream) as server, gunicorn(kind, f"{server.origin}/v1") as port:
        before = number_of_threads(port)
        for number in range(1, 4):
            sock = ask(port, "/sse")
            came = read_until(sock, b"Well, ")
            assert b"event: part_start" in came
            assert b": heartbeat" in came
            time.sleep(0.25)
            sock.close()
            left = time.monotonic()
            while len(upstream.left) < number and time.monotonic() < left + 5:
                time.sleep(0.01)
            assert len(upstream.left) == number
            assert upstream.left[-1] - left < 0.5
        assert number_of_threads(port) <= before + 4  # a pool of its own may have grown to its size
        assert upstream.begun == 3


@pytest.mark.parametrize("kind", WORKERS)
def test_a_generator_of_ones_own(kind: str) -> None:
    """The same holds for a view that is a generator around ``run_stream``."""
    upstream = Leaving(0.05)
    with FaultServer(upstream) as server, gunicorn(kind, f"{server.origin}/v1") as port:
        sock = ask(port, "/text")
        read_until(sock, b"word ")
        sock.close()
        left = time.monotonic()
        while not upstream.left and time.monotonic() < left + 5:
            time.sleep(0.01)
        assert upstream.left
        assert upstream.left[0] - left < 0.5


@pytest.mark.parametrize("kind", WORKERS)
def test_events_arrive_as_they_come(kind: str) -> None:
    """No event waits for the one after it on its way through the server."""
    read = [threading.Event(), threading.Event()]

    def upstream(peer: Peer, request: Request) -> None:
        peer.send(HEAD + chunk(text("one")))
        assert read[0].wait(20)
        peer.send(chunk(text("two")))
        assert read[1].wait(20)
        peer.send(chunk(finish()) + b"0\r\n\r\n")

    with FaultServer(upstream) as server, gunicorn(kind, f"{server.origin}/v1") as port, ask(port, "/sse") as sock:
        assert b"one" in read_until(sock, b"one")
        read[0].set()
        assert b"two" in read_until(sock, b"two")
        read[1].set()
        assert b"agent_run_result" in read_until(sock, b"agent_run_result")
