"""
The child: loads a model, serves it by llama.cpp's HTTP server, and ends when its parent does.

Run by file path, also by a Python that has no syncagent; so it imports the standard library and ``xllamacpp`` only.
It is told what to do by one JSON line on its standard input, which then stays open: at its end the child ends.

It answers by writing one JSON object to the file ``announce`` of that line: ``{"address": ...}``, or
``{"error": "missing" | "old" | "load", "detail": ...}``.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

__all__ = ["main"]

_INPUT = 0  # the descriptor of standard input
_LOOK_EVERY = 0.5  # seconds between two looks at the parent's id
_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> int:
    """Serve until the parent is gone; returns only where the server could not be started."""
    # Ctrl-C in a terminal reaches the whole group; whether the server ends is the parent's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    order: dict[str, Any] = json.loads(_read_line(_INPUT))
    threading.Thread(target=_watch_input, daemon=True).start()
    _die_with_parent(True)
    _look(order["parent"])
    try:
        server = _load(order)
    except _Refused as error:
        _announce(order, {"error": error.kind, "detail": error.detail})
        return 1
    _die_with_parent(False)
    _announce(order, {"address": server.listening_address})
    if order["quiet"]:
        _silence()
    while True:
        time.sleep(_LOOK_EVERY)
        _look(order["parent"])


class _Refused(Exception):
    """The server cannot be started; *kind* is a word for the parent, *detail* says more."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


def _load(order: dict[str, Any]) -> Any:
    """Start the server in this process; it serves from threads of its own until the process ends."""
    if order["package"]:  # where the parent found the package; its sys.path may be longer than ours
        sys.path.insert(0, order["package"])
    try:
        xllamacpp = importlib.import_module("xllamacpp")  # by name: there is no build, and no types, for 3.9
    except ImportError as error:
        raise _Refused("missing", str(error)) from error
    finally:
        if order["package"]:
            sys.path.remove(order["package"])
    try:
        params = _params(xllamacpp, order)
        server_class = xllamacpp.Server
    except (AttributeError, TypeError) as error:
        version = getattr(xllamacpp, "__version__", "of unknown version")
        raise _Refused("old", f"xllamacpp {version}: {error}") from error
    try:
        return server_class(params)
    except Exception as error:  # what the extension raises is not documented, and all of it means the same
        raise _Refused("load", f"{type(error).__name__}: {error}") from error


def _params(xllamacpp: Any, order: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = order["model"]
    params.model_alias = {order["name"]}
    params.hostnames = [order["host"]]
    params.port = order["port"]
    params.api_keys = [order["key"]]
    # The context is shared out over the slots; without a limit it would be the model's own, and gigabytes.
    params.n_parallel = order["parallel"]
    params.n_ctx = order["context"] * order["parallel"]
    params.cpuparams.n_threads = order["threads"]
    params.sampling.temp = 0.0
    params.ui = False
    params.endpoint_slots = False  # would show what others ask
    params.cache_ram_mib = 0  # by default up to 8 GiB of earlier prompts are kept beside the slots
    params.verbosity = 2 if order["quiet"] else 3
    if order["template"]:
        with open(order["template"], encoding="utf-8") as file:
            params.chat_template = file.read()
    return params


def _read_line(descriptor: int) -> bytes:
    """Read to the first line feed, past which the parent writes nothing."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 65536)
        if not piece:
            os._exit(0)  # the parent was gone before it said anything
        line += piece
    return line


def _watch_input() -> None:
    while os.read(_INPUT, 65536):
        pass
    os._exit(0)


def _look(parent: int) -> None:
    """End where the parent has changed: a forked sibling may keep the pipe open."""
    # On Windows a virtualenv's python.exe is a launcher between the two, and the id never changes anyway.
    if os.name == "posix" and os.getppid() != parent:
        os._exit(0)


def _die_with_parent(on: bool) -> None:
    """
    Let the kernel end this process with the thread that started it (Linux), while the model is being loaded.

    Loading holds the interpreter's lock for seconds, so nobody looks; the thread that started us waits for it
    meanwhile. Afterwards that thread may end at any time and the server stays.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    # A kernel or sandbox that refuses costs the quick end while loading, no more: the result is not looked at.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if on else 0, 0, 0, 0)


def _announce(order: dict[str, Any], answer: dict[str, str]) -> None:
    path = order["announce"]
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(answer, file)
    os.replace(path + ".new", path)


def _silence() -> None:
    """The log file is for the start; what comes later would fill a disk that nobody looks at."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
