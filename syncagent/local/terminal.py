"""One line on the terminal that says how far a fetch is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .fetch import Progress

__all__ = ["terminal_progress"]

_WIDTH = 30  # characters of the bar


def terminal_progress(name: str) -> Optional[Progress]:
    """A progress function that draws a bar on standard error; None where that is not a terminal."""
    stream = sys.stderr
    if stream is None or not stream.isatty():
        return None
    shown = -1

    def draw(done: int, total: int) -> None:
        nonlocal shown
        megabytes = done // 1_000_000
        if megabytes <= shown:
            return
        shown = megabytes
        filled = _WIDTH * done // max(total, 1)
        end = "\n" if done >= total else ""
        bar = "#" * filled + "." * (_WIDTH - filled)
        stream.write(f"\r{name} [{bar}] {megabytes:,} of {total // 1_000_000:,} MB{end}")
        stream.flush()

    return draw
