"""Writing to standard output and standard error, whatever the text holds and whoever has stopped reading."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Optional, TextIO

__all__ = ["complain", "note", "write", "write_some"]

# What a terminal would obey instead of show: control characters but the tab and the line feed, and a model's text may
# hold any of them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def write(text: str) -> None:
    """
    Write *text* as lines to standard output, all of it, here and now.

    Raises:
        BrokenPipeError: nobody reads it; the rest of the output goes nowhere.
        OSError: it cannot be written, on a full disk for example.
    """
    _write(sys.stdout, text)


def write_some(text: str) -> None:
    """Write *text* to standard output as it is, without ending the line; errors are those of :func:`write`."""
    _write(sys.stdout, text, end="")


def note(text: str) -> None:
    """Write *text* as lines to standard error, if anybody is there to read it."""
    with contextlib.suppress(BrokenPipeError):
        _write(sys.stderr, text)


def complain(text: str) -> None:
    """Write *text* as one line to standard error, if anybody is there to read it."""
    note(" ".join(text.split()))


def _write(stream: Optional[TextIO], text: str, end: str = "\n") -> None:
    if stream is None:  # closed before we started
        return
    if stream.isatty():
        text = _CONTROLS.sub(lambda found: f"\\x{ord(found.group()):02x}", text)
    try:
        try:
            stream.write(text + end)
        except UnicodeEncodeError:  # lone surrogates, or a terminal that knows fewer characters
            encoding = stream.encoding or "utf-8"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + end)
        stream.flush()
    except OSError:
        _drop(stream)
        raise


def _drop(stream: TextIO) -> None:
    """Send the rest of *stream* nowhere, so that the interpreter's last flush has nothing to complain of."""
    # As https://docs.python.org/3/library/signal.html#note-on-sigpipe recommends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
