"""Real servers, each started on a free port of the loopback interface and ended by its process id."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote_plus

__all__ = ["ROOT", "Served", "environment", "gunicorn", "load", "load_several", "uwsgi"]

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = "tests.servers.app:application"


class Served:
    """A server that runs: its port, what its application noted, and where the application is."""

    def __init__(self, port: int, notes: Path, path: str = "/") -> None:
        self.port = port
        self._path = path
        self._notes = notes

    @property
    def notes(self) -> list[str]:
        """What the application wrote down, without the process ids."""
        return [line.partition(" ")[2] for line in self._notes.read_text(encoding="utf-8").splitlines()]

    def ask(self, prompt: str, seconds: float = 60) -> dict[str, Any]:
        """One request on a connection of its own; an answer that is none raises."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request("GET", f"{self._path}?{quote_plus(prompt)}", headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        assert response.status == 200, (response.status, body)
        found: dict[str, Any] = json.loads(body)
        return found

    def lose(self, prompt: str) -> None:
        """A request whose worker is ended before it answers."""
        try:
            found = self.ask(prompt)
        except (OSError, http.client.HTTPException, AssertionError):
            return
        raise AssertionError(f"The worker was to be ended, but it answered {found}.")


def environment(upstream: str, notes: Path, **more: str) -> dict[str, str]:
    """The variables of a server whose application asks *upstream*."""
    notes.touch()
    return {**os.environ, "UPSTREAM": upstream, "NOTES": str(notes), "PYTHONPATH": str(ROOT), **more}


def load(served: Served, word: str, threads: int, rounds: int) -> set[int]:
    """
    Ask from *threads* threads at once, *rounds* times each; every answer has to be its own.

    Returns:
        The process ids of the workers that answered.
    """
    failures: list[object] = []
    workers: set[int] = set()
    start = threading.Barrier(threads)

    def work(number: int) -> None:
        start.wait(30)
        for turn in range(rounds):
            tag = f"{number}.{turn}"
            try:
                found = served.ask(f"{word} {tag}")
            except Exception as error:  # any failure at all is a finding
                failures.append((tag, error))
                continue
            workers.add(found["pid"])
            if found["data"].split("@")[0] != tag:
                failures.append((tag, found))

    crowd = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert failures == []
    return workers


def load_several(served: Served, rounds: int, *, several: bool = True) -> set[int]:
    """
    The same with runs that need a tool and runs that need none, until more than one worker has answered.

    Args:
        several: whether there has to be more than one.
    """
    workers = load(served, "say", threads=16, rounds=rounds) | load(served, "tool", threads=16, rounds=2)
    for _ in range(10):
        if len(workers) > 1 or not several:
            break
        # One was up before the others, and quick: slow answers are for all.
        workers |= load(served, "wait", threads=16, rounds=1)
    return workers


@contextmanager
def gunicorn(
    upstream: str, *options: str, application: str = APPLICATION, traceback: bool = False, **variables: str
) -> Iterator[Served]:
    """
    Gunicorn with one worker, if *options* do not say otherwise.

    Args:
        traceback: whether it may write one.
    """
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        listener = socket.create_server(("127.0.0.1", 0))
        command = [
            *(sys.executable, "-m", "gunicorn", "-b", f"fd://{listener.fileno()}"),
            *("--graceful-timeout", "2", "--log-level", "warning", "--worker-tmp-dir", folder),
            *(["--no-control-socket"] if _has_control_socket() else []),
            *(*options, application),
        ]
        server = subprocess.Popen(
            command,
            env=environment(upstream, notes, **variables),
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        port: int = listener.getsockname()[1]
        listener.close()
        said = _Said(server)
        try:
            yield Served(port, notes)
        finally:
            _end(server, signal.SIGTERM, said)
        assert traceback or "Traceback" not in said.text, said.text


@contextmanager
def uwsgi(command: str, upstream: str, *options: str, **variables: str) -> Iterator[Served]:
    """uWSGI with a master that imports the application and forks its workers; it takes a port by itself."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        # Not the machine's: uWSGI takes the home of the interpreter that it was built for.
        home = sys.prefix if sys.prefix != sys.base_prefix else ""
        server = subprocess.Popen(
            [
                *(command, "--master", "--http-socket", "127.0.0.1:0", "--need-app", "--die-on-term"),
                *("--wsgi-file", str(Path(__file__).with_name("app.py")), "--pythonpath", str(ROOT)),
                *(["--home", home] if home else []),
                *options,
            ],
            env=environment(upstream, notes, **variables),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        said = _Said(server)
        try:
            bound = said.wait_for(r"bound to TCP address 127\.0\.0\.1:(\d+)")
            said.wait_for(r"spawned uWSGI worker \d+")
            yield Served(int(bound[1]), notes)
        finally:
            _end(server, signal.SIGTERM, said)


class _Said:
    """What a server writes to its standard error, read so that it never blocks."""

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        self.text = ""
        self._server = server
        self._changed = threading.Condition()
        self._ended = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def wait_for(self, pattern: str, seconds: float = 30) -> re.Match[str]:
        """Wait for a line."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or re.search(pattern, self.text) is not None, seconds)
            found = re.search(pattern, self.text)
        assert found is not None, f"{pattern} did not come:\n{self.text}"
        return found

    def _read(self) -> None:
        assert self._server.stderr is not None
        for line in self._server.stderr:
            with self._changed:
                self.text += line.decode(errors="replace")
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _end(server: subprocess.Popen[bytes], number: int, said: _Said) -> None:
    """End *server* and all that it started; it has 15 seconds for it."""
    server.send_signal(number)
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"The server did not end:\n{said.text}") from None
    finally:
        _kill_group(server.pid)
        server.wait()
        said.thread.join(10)
        assert server.stderr is not None
        server.stderr.close()


def _kill_group(pid: int) -> None:
    """End what is left of the session that *pid* leads."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nothing is


def _has_control_socket() -> bool:
    """Whether this gunicorn would open a control socket in the home directory."""
    from gunicorn.config import KNOWN_SETTINGS

    return any(setting.name == "control_socket_disable" for setting in KNOWN_SETTINGS)


def until(true: Callable[[], Optional[object]], seconds: float = 20) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "It did not come to be."
        time.sleep(0.02)
