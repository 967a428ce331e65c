"""Runs in the workers that uWSGI forks from a master in which the agent was used."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Optional

import pytest

from tests.faultserver import FaultServer
from tests.servers.serving import load_several, uwsgi
from tests.servers.upstream import Upstream

COMMAND: Optional[str] = shutil.which("uwsgi", path=str(Path(sys.executable).parent)) or shutil.which("uwsgi")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(COMMAND is None, reason="uwsgi is not installed"),
]


@pytest.mark.parametrize("options", [[], ["--enable-threads"], ["--threads", "4"]], ids=["plain", "enabled", "threads"])
def test_every_answer_is_its_own(options: list[str]) -> None:
    """Four workers, forked without Python's hooks: no answer crossed, none failed, no connection inherited."""
    assert COMMAND is not None
    upstream = Upstream()
    with FaultServer(upstream) as server:
        with uwsgi(COMMAND, f"{server.origin}/v1", "--processes", "4", *options, WARM="1") as served:
            workers = load_several(served, 10)
        assert {len(speakers) for speakers in upstream.speakers.values()} == {1}
        processes = set.union(*upstream.speakers.values())
        assert len(processes) == len(workers) + 1  # the master's was used at import
        assert len(workers) > 1
        assert server.connections <= 1 + len(workers) * (4 if "--threads" in options else 1)


def test_harakiri() -> None:
    """``harakiri`` kills a hung run, without any ``finally``; the socket is closed, the next worker serves."""
    assert COMMAND is not None
    upstream = Upstream()
    with FaultServer(upstream) as server:
        with uwsgi(COMMAND, f"{server.origin}/v1", "--processes", "1", "--harakiri", "2", WARM="1") as served:
            served.lose("head lost")
            assert served.notes == []
            (asked,) = (prompt for prompt in upstream.came if prompt.startswith("head"))
            upstream.wait_for(asked, left=True)
            assert served.ask("say next")["data"].startswith("next@")
