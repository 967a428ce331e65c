"""
Serve the faults of the catalogue by hand: ``python -m tests.faultserver``.

Each stands at an address of its own, ``http://127.0.0.1:8765/<fault>``, for both providers: give it, with ``/v1``
behind it for OpenAI, as ``base_url``. What is wrong before a request is read has a port of its own, which the list
says. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import socket
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
from .places import place
from .server import FaultServer, Peer, Request, Scenario

__all__ = ["MODULES", "certificate", "listing", "main"]

MODULES = (http_faults, status_faults, stream_faults, loop_faults)
"""What fills the catalogue."""

def listing(addresses: Optional[dict[str, str]] = None) -> str:
    """
    The catalogue as a table: name, what the right client gets, after how many tries, the fault.

    Args:
        addresses: of faults that have one of their own.
    """
    lines = []
    for section in SECTIONS:
        lines.append(f"\n{section}")
        for fault in FAULTS.values():
            if fault.section == section:
                address = (addresses or {}).get(fault.name)
                where = f"; at {address}" if address else ""
                lines.append(f"  {fault.name:<26} {_outcome(fault):<24} {fault.tries:>2}  {fault.what}{where}")
    return "\n".join(lines)


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
            print(listing(), flush=True)
            return 0
        with tempfile.TemporaryDirectory() as folder:
            return _Hand(chosen, Path(folder)).serve()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _left_alone()


class _Hand:
    """
    One run of the server by hand.

    Args:
        chosen: the command line.
        folder: where a certificate may be put.
    """

    def __init__(self, chosen: argparse.Namespace, folder: Path) -> None:
        self._chosen = chosen
        self._tls = bool(chosen.tls)
        self._only: Optional[Fault] = FAULTS[chosen.fault] if chosen.fault else None
        self._lock = threading.Lock()
        self._scenarios: dict[tuple[str, str], Scenario] = {}
        self._stopped = threading.Event()
        needed = self._tls or any(fault.tls for fault in ([self._only] if self._only else FAULTS.values()))
        self._certificate: Optional[Path] = None
        if needed and (self._tls or self._only or shutil.which("openssl")):
            self._certificate = certificate(folder)

    def serve(self) -> int:
        """Serve until Ctrl-C, or until nobody reads what is printed."""
        with contextlib.ExitStack() as stack:
            if self._only is not None and self._only.has_own_port:
                where = self._own_port(self._only, stack, self._chosen.port)
            else:
                where = stack.enter_context(FaultServer(self, tls=self._context(), port=self._chosen.port)).origin
            if self._only is not None:
                print(f"{self._only.name}: {_outcome(self._only)}, tries: {self._only.tries}")
            else:
                where += "/<fault>"
                own = [fault for fault in FAULTS.values() if fault.has_own_port]
                print(listing({fault.name: self._own_port(fault, stack, 0) for fault in own}))
            verify = f"   verify={self._certificate}" if self._certificate and where.startswith("https") else ""
            print(f"\nOpenAI: base_url={where}/v1   Anthropic: base_url={where}{verify}")
            print("Ctrl-C ends it.", flush=True)
            self._stopped.wait()
        return _left_alone()

    def __call__(self, peer: Peer, request: Request) -> None:
        """Answer with the fault that the path names, or with the only one, whatever stands before the API's path."""
        fault = self._only or FAULTS.get(request.path.strip("/").partition("/")[0])
        if fault is not None and fault.has_own_port and self._only is None:
            fault = None
        self._answer(fault, peer, request)

    def _answer(self, fault: Optional[Fault], peer: Peer, request: Request) -> None:
        path = request.path.partition("?")[0]
        self._tell(f"{request.method} {path} ({len(request.body)} bytes)")
        dialect = next((each for each in DIALECTS.values() if path.endswith(each.path)), None)
        if fault is None or dialect is None or dialect.name not in fault.dialects:
            peer.answer(b'{"error": {"message": "no such fault or API here; see --list"}}', "404 Not Found")
        else:
            self._scenario(fault, dialect)(peer, request)

    def _scenario(self, fault: Fault, dialect: Dialect) -> Scenario:
        with self._lock:  # a fault that comes in turns goes on where it was
            key = (fault.name, dialect.name)
            if key not in self._scenarios:
                self._scenarios[key] = fault.serve(dialect)
            return self._scenarios[key]

    def _own_port(self, fault: Fault, stack: contextlib.ExitStack, port: int) -> str:
        """Where *fault* is, which is there before a request is read."""
        if fault.resolver not in (None, socket.EAI_NONAME):
            return "no address: break your own name server"
        if fault.place != "server":
            return stack.enter_context(place(fault.place, tls=self._tls, port=port))
        if fault.tls and self._certificate is None:
            return "no address: this needs the command openssl"

        def connected(peer: Peer) -> None:
            self._tell(f"a connection for {fault.name}")
            if fault.on_connect is not None:
                fault.on_connect(peer)

        scenario = functools.partial(self._answer, fault)
        context = self._context(fault.tls)
        return stack.enter_context(FaultServer(scenario, on_connect=connected, tls=context, port=port)).origin

    def _context(self, tls: bool = False) -> Optional[ssl.SSLContext]:
        if not (tls or self._tls) or self._certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        return context

    def _tell(self, line: str) -> None:
        """Print a line for a request; whoever closed the output wants no more of this."""
        with self._lock:
            try:
                print(line, flush=True)
            except BrokenPipeError:
                self._stopped.set()


def _outcome(fault: Fault) -> str:
    """What the caller gets: the name of an error, or the answer."""
    return "the answer" if fault.error is None else fault.error.__name__


def _left_alone() -> int:
    """What is still to be written goes nowhere, so that the interpreter does not complain of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return 141


if __name__ == "__main__":
    sys.exit(main())
