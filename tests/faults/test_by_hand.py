"""``python -m tests.faultserver``: the catalogue, for whoever wants to try settings of their own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from syncagent import Agent
from syncagent.exceptions import (
    ModelConnectionError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelRateLimitError,
    ModelResponseError,
    ModelTimeoutError,
)
from syncagent.transport import RetryPolicy
from tests.faultserver.__main__ import main
from tests.faultserver.catalog import FAULTS, TEXT
from tests.faultserver.dialects import DIALECTS

ROOT = Path(__file__).resolve().parents[2]


posix = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C of another process is a POSIX signal")

BY_HAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "import sys; from tests.faultserver.__main__ import main; sys.exit(main())"
)
"""The module as a program; where the tests run in the background, Ctrl-C would be ignored."""


@contextmanager
def started(*arguments: str) -> Iterator[tuple[str, list[str], Any]]:
    """The server as a process; gives its address, what it printed, and the process, which is still running."""
    server = subprocess.Popen(
        [sys.executable, "-c", BY_HAND, "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert server.stdout is not None
        lines = []
        for line in server.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        found = re.search(r"Anthropic: base_url=(\S+?)(?:/<fault>)?(?:\s|$)", "".join(lines))
        if found is None:
            raise AssertionError(server.communicate()[1])
        yield found[1], lines, server
    finally:
        if server.poll() is None:
            server.kill()
        server.communicate(timeout=20)


@contextmanager
def running(*arguments: str) -> Iterator[tuple[str, list[str]]]:
    """The same; Ctrl-C ends it, without a word."""
    with started(*arguments) as (address, lines, server):
        yield address, lines
        server.send_signal(signal.SIGINT)
        printed, errors = server.communicate(timeout=20)
        lines.extend(printed.splitlines())
        assert (errors, server.returncode) == ("", 130)


def address_of(name: str, lines: list[str]) -> str:
    """The address that the list gives to a fault."""
    (line,) = (line for line in lines if line.split()[:1] == [name])
    return line.rpartition("at ")[2].strip()


def model_at(address: str, dialect: str = "openai", **settings: Any) -> Any:
    """A model that asks once."""
    return DIALECTS[dialect].model(address, api_key="a key", retry_policy=RetryPolicy(max_retries=0), **settings)


@posix
def test_each_fault_at_its_address() -> None:
    """Both providers find it there, and it goes on where it was; each request is a line; other addresses are 404."""
    with running() as (address, lines):
        for dialect in DIALECTS:
            for name, error in (("overloaded", ModelOverloadedError), ("fin", ModelConnectionError)):
                with pytest.raises(error):
                    Agent(model_at(f"{address}/{name}", dialect)).run_sync("Hi")
            assert Agent(model_at(f"{address}/gzip", dialect)).run_sync("Hi").data == TEXT
            model = model_at(f"{address}/retry-after", dialect)
            with pytest.raises(ModelRateLimitError):
                Agent(model).run_sync("Hi")
            assert Agent(model).run_sync("Hi").data == TEXT
            for nowhere in ("nothing", "handshake"):
                with pytest.raises(ModelNotFoundError):
                    Agent(model_at(f"{address}/{nowhere}", dialect)).run_sync("Hi")
    told = [line.rpartition(" (")[0] for line in lines if line.startswith("POST")]
    names = ("overloaded", "fin", "gzip", "retry-after", "nothing", "handshake")
    assert list(dict.fromkeys(told)) == [f"POST /{name}{each.path}" for each in DIALECTS.values() for name in names]


@posix
def test_faults_before_a_request() -> None:
    """Each has an address of its own, which the list says."""
    with running() as (_, lines):
        for name, words in (("refused", "refused"), ("unknown-name", r"nowhere\.invalid")):
            with pytest.raises(ModelConnectionError, match=words):
                Agent(model_at(address_of(name, lines))).run_sync("Hi")
        short: Any = {"timeout": (0.1, 5)}
        with pytest.raises(ModelTimeoutError):
            Agent(model_at(address_of("full", lines)), model_settings=short).run_sync("Hi")
        if shutil.which("openssl"):
            with pytest.raises(ModelTimeoutError):
                Agent(model_at(address_of("handshake", lines)), model_settings=short).run_sync("Hi")
            with pytest.raises(ModelConnectionError, match="not trusted"):
                Agent(model_at(address_of("certificate", lines), "anthropic")).run_sync("Hi")
    own = [name for name, fault in FAULTS.items() if fault.has_own_port]
    assert all(address_of(name, lines) for name in own)


@posix
def test_one_fault_alone_over_tls() -> None:
    """At every address of the server; the line says where the certificate is."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    with running("--fault", "html", "--tls") as (address, lines):
        found = re.search(r"verify=(\S+)", "".join(lines))
        assert found is not None
        with pytest.raises(ModelResponseError, match="text/html"):
            Agent(model_at(address, verify=found[1])).run_sync("Hi")


@posix
def test_one_fault_before_a_request() -> None:
    """It has the server's port to itself."""
    with running("--fault", "refused") as (address, _), pytest.raises(ModelConnectionError, match="refused"):
        Agent(model_at(address)).run_sync("Hi")


@posix
def test_output_that_is_closed_while_it_serves() -> None:
    """The next request ends the server, and nothing is complained of."""
    with started("--fault", "gzip") as (address, _, server):
        server.stdout.close()
        server.stdout = None
        with suppress(ModelConnectionError):  # whichever comes first: the answer, or the server's end
            Agent(model_at(address)).run_sync("Hi")
        assert server.wait(timeout=20) == 141
        assert server.stderr.read() == ""


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
