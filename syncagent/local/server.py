"""
The parent's side of the model server: start it, find it again, end it.

One server for each process and model. It cannot outlive the process that started it, see ``_serve.py``; a forked child
lets go of what it inherited and starts its own when it needs one. No thread runs here.
"""

from __future__ import annotations

import atexit
import http.client
import importlib.util
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any, Optional
from urllib.parse import urlsplit

import attrs

from ..deadline import Deadline
from ..exceptions import MissingExtraError, UserError
from ._interpreter import chosen_python, own_python
from .catalog import ModelEntry

__all__ = ["Server", "ServerSettings", "find", "running", "start", "stop_all"]

logger = logging.getLogger("syncagent.local")

_START_LIMIT = 300.0  # seconds; a model of some gigabytes from a slow disk takes a minute
_LOOK_EVERY = 0.02  # seconds between two looks for the child's word
_MAX_THREADS = 8  # small models are bound by memory, more threads only wait for one another
_LOG_EXCERPT = 600  # characters of the server's own log in an error's text
_SCRIPT = Path(__file__).with_name("_serve.py")


@attrs.frozen(kw_only=True)
class ServerSettings:
    """
    How one server is run.

    Attributes:
        host: the address to listen on.
        port: the port; 0 for a free one.
        key: what clients have to send as bearer token.
        context: tokens of context for each of the *parallel* requests.
        parallel: requests served at once.
        quiet: False leaves the server's own lines on this process's standard error.
    """

    host: str = "127.0.0.1"
    port: int = 0
    key: str = attrs.field(factory=lambda: secrets.token_urlsafe(24), repr=False)
    context: int = 8192
    parallel: int = 1
    quiet: bool = True


class Server:
    """
    One running child.

    Attributes:
        base_url: where to send requests, ending in ``/v1``.
        key: the bearer token.
    """

    def __init__(self, process: subprocess.Popen[bytes], base_url: str, key: str) -> None:
        self.process = process
        self.base_url = base_url
        self.key = key

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End the child and wait for it."""
        _pipe(self.process).close()
        if self.process.poll() is None:
            self.process.kill()  # it holds no state, and a gentle end would wait for the answers in work
        self.process.wait()

    def forget(self) -> None:
        """Let go of a server that another process started, from which this one was forked."""
        _pipe(self.process).close()
        # It is not our child: with a return code set Popen neither waits for it nor warns that it still runs.
        self.process.returncode = 0


class _Started:
    """What one process has started."""

    __slots__ = ("lock", "servers")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.servers: dict[str, Server] = {}


_started: dict[int, _Started] = {}  # by process id: a fork renews the lock, whoever held it


def find(entry: ModelEntry) -> Optional[Server]:
    """The running server of this process for *entry*, without a look at the disk; None where there is none."""
    server = _ours().servers.get(_key(entry))
    return server if server is not None and server.alive else None


def running(entry: ModelEntry, model: Path, deadline: Deadline) -> Server:
    """
    The server of this process for *model*, started where there is none.

    Raises:
        UserError: it cannot be started here; the text says why and what to do.
        DeadlineExceeded, RunCancelled: *deadline* ended first; a half started server is ended too.
    """
    started = _ours()
    while not started.lock.acquire(timeout=0.1):
        deadline.check()
    try:
        server = started.servers.get(_key(entry))  # another thread may have started it meanwhile
        if server is not None and server.alive:
            return server
        if server is not None:
            logger.warning("The local model's server ended with code %s; starting it again.", server.process.returncode)
            server.stop()
        server = started.servers[_key(entry)] = start(entry, model, ServerSettings(), deadline)
        return server
    finally:
        started.lock.release()


def start(entry: ModelEntry, model: Path, settings: ServerSettings, deadline: Deadline) -> Server:
    """
    Start a server and wait until it answers.

    Raises:
        UserError, DeadlineExceeded, RunCancelled: as :func:`running`.
    """
    python, package = _python()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="syncagent-"))
    try:
        with (folder / "log").open("wb") as log:
            process = _spawn(python, log if settings.quiet else None)
        try:
            _tell(process, _order(entry, model, settings, folder / "announce", package))
            address = _wait_for_address(process, folder, python, deadline)
            _wait_until_ready(process, address, folder, deadline)
        except BaseException:
            Server(process, "", "").stop()
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    logger.info("The model %s is served at %s after %.1f s.", entry.name, address, time.monotonic() - began)
    return Server(process, f"{address}/v1", settings.key)


def stop_all() -> None:
    """End every server that this process started."""
    started = _ours()
    servers, started.servers = started.servers, {}
    for server in servers.values():
        server.stop()


atexit.register(stop_all)  # leaves no zombie and no warning; this module is imported where a server is wanted


def _key(entry: ModelEntry) -> str:
    return entry.name if entry.path is None else str(entry.path)


def _ours() -> _Started:
    """What this process has started; what it inherited is let go."""
    pid = os.getpid()
    started = _started.get(pid)
    if started is None:
        _drop_inherited()
        started = _started.setdefault(pid, _Started())
    return started


def _drop_inherited() -> None:
    pid = os.getpid()
    for other in [key for key in _started if key != pid]:
        started = _started.pop(other, None)
        for server in list(started.servers.values()) if started is not None else ():
            server.forget()


# uWSGI may leave the hooks out; then the look at the id above does it.
if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=_drop_inherited)


def _python() -> tuple[str, str]:
    """The interpreter for the child, and the folder in which it finds xllamacpp ("" where that is its own affair)."""
    chosen = chosen_python()
    if chosen is not None:
        return chosen, ""
    spec = importlib.util.find_spec("xllamacpp")
    if spec is not None and spec.origin is not None:
        return own_python(), str(Path(spec.origin).parent.parent)
    if sys.version_info < (3, 10):
        raise UserError(
            "The local model's server (xllamacpp) has no build for Python 3.9. Set SYNCAGENT_LOCAL_PYTHON to the path "
            "of a Python 3.10 or newer that has it (python3.11 -m pip install xllamacpp), or SYNCAGENT_LOCAL_URL to "
            "the address of any server that speaks OpenAI's chat API."
        )
    raise MissingExtraError(
        "The local model needs the package xllamacpp: pip install 'syncagent[local]'. There are builds for Linux "
        "(x86_64, aarch64), macOS 13 and newer (arm64) and Windows (amd64); elsewhere set SYNCAGENT_LOCAL_URL to the "
        "address of any server that speaks OpenAI's chat API."
    )


def _spawn(python: str, log: Optional[IO[bytes]]) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    # By default idle threads spin: with a busy neighbour that made it ten times slower.
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    return subprocess.Popen(  # noqa: S603 - no text of a model or a peer is in it
        [python, str(_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=2 if log is None else log,
        stderr=log,
        env=environment,
        bufsize=0,
    )


def _order(entry: ModelEntry, model: Path, settings: ServerSettings, announce: Path, package: str) -> dict[str, Any]:
    return {
        "announce": str(announce),
        "parent": os.getpid(),
        "package": package,
        "model": str(model),
        "name": entry.name,
        "template": str(Path(__file__).with_name(entry.template)) if entry.template else "",
        "host": settings.host,
        "port": settings.port,
        "key": settings.key,
        "context": settings.context,
        "parallel": settings.parallel,
        "threads": min(_MAX_THREADS, _processors()),
        "quiet": settings.quiet,
    }


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def _tell(process: subprocess.Popen[bytes], order: dict[str, Any]) -> None:
    """Write the order; a child that ended already is found out by whoever waits for its word."""
    line = memoryview(json.dumps(order).encode() + b"\n")
    pipe = _pipe(process)
    while line:
        try:
            line = line[pipe.write(line) or 0 :]
        except BrokenPipeError:
            return


def _wait_for_address(process: subprocess.Popen[bytes], folder: Path, python: str, deadline: Deadline) -> str:
    limit = time.monotonic() + _START_LIMIT
    announce = folder / "announce"
    while True:
        ended = process.poll() is not None  # looked at first: its last word may come before its end
        if announce.exists():
            answer = json.loads(announce.read_text(encoding="utf-8"))
            if "address" in answer:
                return str(answer["address"])
            raise _refusal(answer, python)
        if ended or time.monotonic() > limit:
            raise _failure(process, folder)
        deadline.sleep(_LOOK_EVERY)


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, folder: Path, deadline: Deadline) -> None:
    """Ask ``/health`` until it answers 200."""
    port = urlsplit(address).port
    host = urlsplit(address).hostname or "127.0.0.1"
    limit = time.monotonic() + _START_LIMIT
    while True:
        # Straight to the loopback interface: no proxy, no pool.
        connection = http.client.HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=5)  # noqa: S104 - compared, not bound
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException) as error:
            logger.debug("The local model's server is not ready: %s", error)
        finally:
            connection.close()
        if process.poll() is not None or time.monotonic() > limit:
            raise _failure(process, folder)
        deadline.sleep(_LOOK_EVERY)


def _refusal(answer: dict[str, str], python: str) -> UserError:
    kind, detail = answer["error"], answer["detail"]
    if kind == "missing":
        return MissingExtraError(
            f"{python} cannot import xllamacpp, the local model's server ({detail}): {python} -m pip install xllamacpp"
        )
    if kind == "old":
        return UserError(
            f"The xllamacpp of {python} cannot be used ({detail}): {python} -m pip install --upgrade xllamacpp "
            "(its current builds need Python 3.10 or newer)."
        )
    return UserError(f"The local model could not be loaded ({detail}). Is the file a chat model that llama.cpp reads?")


def _failure(process: subprocess.Popen[bytes], folder: Path) -> UserError:
    code = process.poll()
    if code is None:
        what = f"did not answer within {_START_LIMIT:g} s"
    elif code == -getattr(signal, "SIGILL", 4):
        what = "was ended by an illegal instruction: this processor lacks one that xllamacpp's build uses"
    elif code < 0:
        what = f"was ended by signal {-code} (9 is often the kernel, for want of memory)"
    else:
        what = f"ended with code {code}"
    log = (folder / "log").read_text(encoding="utf-8", errors="replace").strip()
    return UserError(
        f"The local model's server {what}. SYNCAGENT_LOCAL_URL can point at another server. "
        f"Its last lines: {log[-_LOG_EXCERPT:] or '(none)'}"
    )


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """Our end of the child's standard input; unbuffered, so closing takes no lock that a fork may have left held."""
    pipe = process.stdin
    assert pipe is not None  # noqa: S101 - stdin=PIPE; for the type checkers
    return pipe
