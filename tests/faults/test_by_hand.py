"""``python -m tests.faultserver``: the catalogue, for whoever wants to try settings of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from syncagent import Agent
from syncagent.exceptions import ModelConnectionError, ModelOverloadedError, ModelRateLimitError, ModelResponseError
from syncagent.transport import RetryPolicy
from tests.faultserver.__main__ import main
from tests.faultserver.catalog import FAULTS, TEXT
from tests.faultserver.dialects import DIALECTS

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[str, Any]]:
    """The server as a process; gives its address, and the process, which Ctrl-C ends."""
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "import sys; from tests.faultserver.__main__ import main; sys.exit(main())",
            "--port",
            "0",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert server.stdout is not None
        for line in server.stdout:
            found = re.search(r"Anthropic: base_url=(\S+?)(?:/<fault>)?(?:\s|$)", line)
            if found:
                break
        else:
            raise AssertionError(server.communicate()[1])
        yield found[1], server
    finally:
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=20)
    assert errors == ""
    assert server.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C of another process is a POSIX signal")
def test_each_fault_at_its_address() -> None:
    """Both providers find it there, and it goes on where it was; other addresses are 404."""
    with running() as (address, _):
        for dialect in DIALECTS.values():
            settings: dict[str, Any] = {"api_key": "a key", "retry_policy": RetryPolicy(max_retries=0)}
            for name, error in (("overloaded", ModelOverloadedError), ("fin", ModelConnectionError)):
                with pytest.raises(error):
                    Agent(dialect.model(f"{address}/{name}", **settings)).run_sync("Hi")
            assert Agent(dialect.model(f"{address}/gzip", **settings)).run_sync("Hi").data == TEXT
            model = dialect.model(f"{address}/retry-after", **settings)
            with pytest.raises(ModelRateLimitError):
                Agent(model).run_sync("Hi")
            assert Agent(model).run_sync("Hi").data == TEXT


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C of another process is a POSIX signal")
def test_one_fault_alone() -> None:
    """At every address of the server."""
    with running("--fault", "html") as (address, _), pytest.raises(ModelResponseError, match="text/html"):
        Agent(DIALECTS["openai"].model(address, api_key="a key")).run_sync("Hi")


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Every fault stands in it, with what the right client makes of it."""
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    for fault in FAULTS.values():
        (line,) = (line for line in printed.splitlines() if line.split()[:1] == [fault.name])
        assert fault.what in line
        assert (fault.error.__name__ if fault.error else "the answer") in line


def test_closed_output() -> None:
    """``| head`` ends it quietly."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "tests.faultserver", "--list"],
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
