"""Two applications in one process of Apache with mod_wsgi: each in an interpreter of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faultserver import FaultServer
from tests.servers.serving import ROOT, Served, environment, load
from tests.servers.upstream import Upstream

APACHE = shutil.which("apache2")
MODULES = Path("/usr/lib/apache2/modules")
MOD_WSGI = MODULES / f"mod_wsgi.so-{sys.version_info[0]}.{sys.version_info[1]}"
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        APACHE is None or not MOD_WSGI.exists(), reason="no Debian apache2 with libapache2-mod-wsgi-py3 for this Python"
    ),
]

CONFIGURATION = """
ServerRoot "{folder}"
DefaultRuntimeDir "{folder}"
ServerName localhost
PidFile "{folder}/pid"
Listen 127.0.0.1:{port}
ErrorLog "{folder}/log"
LoadModule mpm_event_module "{modules}/mod_mpm_event.so"
LoadModule authz_core_module "{modules}/mod_authz_core.so"
LoadModule wsgi_module "{module}"
{user}
WSGISocketPrefix "{folder}/socket"
WSGIDaemonProcess both processes=1 threads=8 python-path={folder}/packages
WSGIProcessGroup both
WSGIScriptAlias /one "{folder}/one.wsgi" application-group=one
WSGIScriptAlias /two "{folder}/two.wsgi" application-group=two
"""
NEEDED = ["attrs", "cattrs", "certifi", "charset-normalizer", "idna", "requests", "tenacity", "typing_extensions"]


@contextmanager
def apache(upstream: str) -> Iterator[list[Served]]:
    """Apache, with the same application in two interpreters of one process."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the process runs as a user who cannot read the checkout
        _copy_packages(folder / "packages")
        for path in ("one.wsgi", "two.wsgi"):
            (folder / path).write_text("from tests.servers.app import application\n", encoding="utf-8")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        user = "User www-data\nGroup www-data" if os.getuid() == 0 else ""
        values = {"folder": folder, "port": port, "modules": MODULES, "module": MOD_WSGI, "user": user}
        (folder / "httpd.conf").write_text(CONFIGURATION.format(**values), encoding="utf-8")
        variables = environment(upstream, folder / "notes")
        (folder / "notes").chmod(0o666)
        assert APACHE is not None
        command = [APACHE, "-f", str(folder / "httpd.conf"), "-D", "FOREGROUND"]
        server = subprocess.Popen(command, env={**variables, "PYTHONPATH": ""}, stderr=subprocess.DEVNULL)
        try:
            _wait_until_it_listens(server, port)
            yield [Served(port, folder / "notes", path) for path in ("/one", "/two")]
        finally:
            server.terminate()
            server.wait(20)


def _copy_packages(target: Path) -> None:
    """The package, the application, and what they need of others."""
    shutil.copytree(ROOT / "syncagent", target / "syncagent", ignore=shutil.ignore_patterns("__pycache__"))
    (target / "tests" / "servers").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "servers" / "app.py", target / "tests" / "servers")
    for name in [*NEEDED, "urllib3"]:
        for path in distribution(name).files or ():
            source = Path(str(path.locate()))
            if ".." not in path.parts and "__pycache__" not in path.parts and source.is_file():
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target / path)


def _wait_until_it_listens(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < end, "Apache did not start."
            time.sleep(0.05)


def test_two_applications_in_one_process() -> None:
    """16 clients, eight for each application: both answer out of one process, no answer crossed, none failed."""
    with FaultServer(Upstream()) as server, apache(f"{server.origin}/v1") as applications:
        with ThreadPoolExecutor(2) as both:
            loads = [both.submit(load, served, "tool", threads=8, rounds=5) for served in applications]
            one, two = (result.result() for result in loads)
        assert one == two
        assert len(one) == 1
        # The two share nothing: each interpreter has connections of its own, no more than it has threads.
        assert 2 <= server.connections <= 16
