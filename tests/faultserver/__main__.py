"""
Serve the faults of the catalogue by hand: ``python -m tests.faultserver``.

Each stands at an address of its own, ``http://127.0.0.1:8765/<fault>``, for both providers: give it, with ``/v1``
behind it for OpenAI, as ``base_url``. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Optional

from . import http_faults, loop_faults, status_faults, stream_faults
from .catalog import FAULTS, SECTIONS, Fault
from .dialects import DIALECTS, Dialect
from .server import FaultServer, Peer, Request, Scenario

__all__ = ["main"]

MODULES = (http_faults, status_faults, stream_faults, loop_faults)


def listing() -> str:
    """The catalogue as a table: name, what the right client does, the fault."""
    lines = []
    for section in SECTIONS:
        lines.append(f"\n{section}")
        for fault in FAULTS.values():
            if fault.section == section:
                lines.append(f"  {fault.name:<24} {outcome(fault):<24} {fault.what}")
    return "\n".join(lines)


def outcome(fault: Fault) -> str:
    """What the caller gets: the name of an error, or the answer."""
    return "the answer" if fault.error is None else fault.error.__name__


class Serving:
    """Answers each request with the fault that its path names; prints a line for each."""

    def __init__(self, only: Optional[str]) -> None:
        self._only = only
        self._lock = threading.Lock()
        self._scenarios: dict[tuple[str, str], Scenario] = {}

    def __call__(self, peer: Peer, request: Request) -> None:
        name, path = request.path.partition("?")[0].strip("/").partition("/")[::2]
        fault = FAULTS.get(self._only or name)
        if self._only is not None and name != self._only:
            path = request.path.strip("/")
        dialect = next(
            (each for each in DIALECTS.values() if each.path.endswith("/" + path.rpartition("v1/")[2])), None
        )
        print(f"{request.method} {request.path} ({len(request.body)} bytes)", flush=True)
        if fault is None or dialect is None:
            peer.answer(b'{"error": {"message": "no such fault or API here; see --list"}}', "404 Not Found")
        else:
            self._scenario(fault, dialect)(peer, request)

    def _scenario(self, fault: Fault, dialect: Dialect) -> Scenario:
        with self._lock:  # a fault that comes in turns goes on where it was
            key = (fault.name, dialect.name)
            if key not in self._scenarios:
                self._scenarios[key] = fault.serve(dialect)
            return self._scenarios[key]


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that its own key signed, with the key behind it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise SystemExit("--tls needs the command openssl")
    path, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(path)),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + key.read_text())
    return path


def main(arguments: Optional[list[str]] = None) -> int:
    """Run until Ctrl-C; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faultserver", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the faults, and what the right client makes of them")
    parser.add_argument("--port", type=int, default=8765, help="0 for any that is free; default: %(default)s")
    parser.add_argument("--tls", action="store_true", help="serve https, with a certificate made for the occasion")
    parser.add_argument("--fault", choices=sorted(FAULTS), metavar="NAME", help="only this one, at every address")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.list:
            print(listing())
            return 0
        with tempfile.TemporaryDirectory() as folder:
            return serve(chosen, Path(folder))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has left
        return 141


def serve(chosen: argparse.Namespace, folder: Path) -> int:
    """Serve until Ctrl-C."""
    context = path = None
    if chosen.tls:
        path = certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
    # What is wrong before a request is read cannot be chosen by its path: such a fault has the server to itself.
    on_connect = None if chosen.fault is None else FAULTS[chosen.fault].on_connect
    with FaultServer(Serving(chosen.fault), on_connect=on_connect, tls=context, port=chosen.port) as server:
        print(listing() if chosen.fault is None else f"{chosen.fault}: {outcome(FAULTS[chosen.fault])}")
        where = server.origin if chosen.fault is not None else f"{server.origin}/<fault>"
        print(f"\nOpenAI: base_url={where}/v1   Anthropic: base_url={where}" + (f"   verify={path}" if path else ""))
        print("Ctrl-C ends it.", flush=True)
        while True:
            server.stopping.wait(3600)


if __name__ == "__main__":
    sys.exit(main())
