"""What the transport's tests share: one transport for each, requests in one line, and a look for leaks."""

from __future__ import annotations

import gc
import os
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncagent import policy as lift_policy
from syncagent.transport import HttpRequest, Transport
from tests.faultserver import __main__ as by_hand

KEY = "sk-canary-0123456789abcdef"


def open_sockets() -> set[str]:
    """The open sockets of this process; nothing where the system does not say."""
    found = set()
    if os.path.isdir("/proc/self/fd"):
        for number in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            if target.startswith("socket:"):
                found.add(target)
    return found


@pytest.fixture(autouse=True)
def leak_free() -> Iterator[None]:
    """After each test there are no more threads and sockets than before."""
    threads, sockets = set(threading.enumerate()), open_sockets()
    yield
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if set(threading.enumerate()) <= threads and open_sockets() <= sockets:
            return
        gc.collect()
        time.sleep(0.02)
    assert set(threading.enumerate()) - threads == set()
    assert open_sockets() - sockets == set()


@pytest.fixture(autouse=True)
def lifted() -> Iterator[None]:
    """No policy is left over, whatever a test did."""
    yield
    lift_policy()


@pytest.fixture
def transport(leak_free: None) -> Iterator[Transport]:
    """A transport, closed at the end."""
    made = Transport()
    yield made
    made.close()


@pytest.fixture
def ask() -> Callable[..., HttpRequest]:
    """Makes a request with a key and a small body."""

    def make(url: str, **changes: Any) -> HttpRequest:
        settings: dict[str, Any] = {
            "headers": {"Content-Type": "application/json"},
            "body": b'{"question": 1}',
            "auth": lambda method, url, headers, body: {"Authorization": f"Bearer {KEY}"},
            "model_name": "test:model",
            **changes,
        }
        method = settings.pop("method", "POST")
        return HttpRequest(method, url, **settings)

    return make


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Back-off waits take no time; what they would have been is listed."""
    from syncagent.deadline import Deadline

    waits: list[float] = []

    def sleep(self: Deadline, seconds: float) -> None:
        waits.append(seconds)
        self.check()

    monkeypatch.setattr(Deadline, "sleep", sleep)
    return waits


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that its own key signed, with the key behind it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    return by_hand.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    """The server's side."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made
