"""A Django view under gunicorn: tools are in the view's thread, on its connection, in its transaction."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from tests.faultserver import FaultServer
from tests.servers.serving import gunicorn
from tests.servers.upstream import Upstream

pytest.importorskip("django")
pytest.importorskip("gunicorn")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn runs on POSIX systems only"),
]


@pytest.mark.parametrize("kind", [["-w", "2"], ["--threads", "4"]], ids=["sync", "gthread"])
def test_a_tool_inside_a_transaction(kind: list[str], tmp_path: Path) -> None:
    """It sees the row that is not committed, in the same thread; nothing is left when the view takes it back."""
    database = str(tmp_path / "db.sqlite3")
    with sqlite3.connect(database) as connection:
        connection.execute("create table notes (tag text)")
    connection.close()
    found: dict[str, dict[str, object]] = {}
    options = {"application": "tests.servers.django_site:application", "DATABASE": database}
    with FaultServer(Upstream()) as server, gunicorn(f"{server.origin}/v1", *kind, **options) as served:

        def ask(tag: str) -> None:
            with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/?tag={tag}", timeout=30) as answer:
                found[tag] = json.loads(answer.read())

        # One after the other: a SQLite file has one writer at a time, and the view writes for as long as it runs.
        for number in range(4):
            asking = threading.Thread(target=ask, args=(f"tag{number}",))
            asking.start()
            asking.join()
    for tag, answer in found.items():
        assert answer["data"] == f"{tag} 1 True {answer['thread']}"
        assert answer["left"] == 0
    assert len(found) == 4
