"""The line on the terminal while a model is fetched."""

from __future__ import annotations

import io
import sys

import pytest

from syncagent.local.terminal import terminal_progress


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """It draws one line over itself, never backwards, each megabyte once, and ends the line at the end."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    draw = terminal_progress("tiny")
    assert draw is not None
    for done in (0, 5_000_000, 5_000_001, 4_000_000, 10_000_000):
        draw(done, 10_000_000)
    assert terminal.getvalue().split("\r") == [
        "",
        "tiny [..............................] 0 of 10 MB",
        "tiny [###############...............] 5 of 10 MB",
        "tiny [##############################] 10 of 10 MB\n",
    ]


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_no_terminal(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    """Where standard error is a file, or not there at all, nothing is drawn."""
    monkeypatch.setattr(sys, "stderr", stream)
    assert terminal_progress("tiny") is None
