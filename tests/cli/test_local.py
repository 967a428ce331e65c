"""``syncagent local``: fetching and serving from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

import syncagent
from syncagent import UserError
from syncagent.cli import main
from syncagent.local import Endpoint

ROOT = Path(syncagent.__file__).parents[1]
FAKE = ROOT / "tests" / "local" / "fake"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model file of a few bytes; the cache is the test's own."""
    monkeypatch.setenv("SYNCAGENT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF{}")
    return f"local:{path}"


def test_pull(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``pull`` prints where the model is, and nothing else on standard output."""
    assert main(["local", "pull", model]) == 0
    assert capsys.readouterr().out == model[len("local:") :] + "\n"


@pytest.mark.parametrize("action", ["pull", "serve"])
def test_unknown_model(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is none is code 2."""
    assert main(["local", action, "nonsense"]) == 2
    assert capsys.readouterr().err.startswith("error: There is no local model 'nonsense'.")


@pytest.mark.parametrize("action", ["pull", "serve"])
def test_forbidden(
    action: str, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is forbidden, or cannot be had, is code 1 and one line."""
    monkeypatch.setenv("SYNCAGENT_LOCAL", "off")
    assert main(["local", action]) == 1
    assert capsys.readouterr() == (
        "",
        "error: SYNCAGENT_LOCAL=off forbids to fetch the model qwen2.5-coder-0.5b. Unset it, set SYNCAGENT_LOCAL_URL "
        "to a server that runs already, or name another model.\n",
    )


def test_key_of_ones_own_is_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that was given is known already, and stays out of what may be a log."""
    monkeypatch.setenv("SYNCAGENT_LOCAL_KEY", "canary")
    monkeypatch.setattr(sys, "platform", "win32")

    def serve(name: str, *, ready: Callable[[Endpoint], None], **settings: object) -> None:
        ready(Endpoint("http://127.0.0.1:8080/v1", "canary", "tiny"))
        raise UserError("The local model's server ended by itself, with code 1.")

    monkeypatch.setattr("syncagent.local.serve", serve)
    assert main(["local", "serve"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == [
        "  set SYNCAGENT_LOCAL_URL=http://127.0.0.1:8080/v1",
        "  set SYNCAGENT_LOCAL_KEY=...  # the one that is set here",
    ]
    assert err == "error: The local model's server ended by itself, with code 1.\n"


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_serve(model: str) -> None:
    """``serve`` says where and with which key, serves until Ctrl-C, and ends with 130 and no server left."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(FAKE)])}
    process = subprocess.Popen(
        [sys.executable, "-m", "syncagent", "local", "serve", model, "--port", "0", "--parallel", "2"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first, url, key = (process.stdout.readline().strip() for _ in range(3))
        address = url.partition("SYNCAGENT_LOCAL_URL=")[2]
        assert first == f"tiny is served at {address} until Ctrl-C. For the processes that use it:"
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{address}/seen", headers={"Authorization": f"Bearer {key.partition('SYNCAGENT_LOCAL_KEY=')[2]}"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert errors.endswith("Interrupted.\n")
    with pytest.raises(OSError, match="refused"):
        opener.open(request, timeout=10)
