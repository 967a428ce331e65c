"""Every wire lets its reader go when nothing has come: without that there are no heartbeats."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import syncagent.models
from syncagent.models.wire import ResponseInfo
from syncagent.transport import Frame

_NAMES = [
    info.name
    for info in pkgutil.iter_modules(syncagent.models.__path__)
    if not info.name.startswith("_")
    and hasattr(importlib.import_module(f"syncagent.models.{info.name}"), "decode_stream")
]


def test_there_are_wires() -> None:
    """The walk finds the wires."""
    assert "openai" in _NAMES


@pytest.mark.parametrize("name", _NAMES)
def test_a_pause_comes_back_at_once(name: str) -> None:
    """A frame without data gives an item that says nothing, before the next frame is asked for."""
    asked = []

    def frames():  # type: ignore[no-untyped-def] # a generator of frames
        for number in range(3):
            asked.append(number)
            yield Frame("pause", b"")

    events = importlib.import_module(f"syncagent.models.{name}").decode_stream(frames())
    for number in range(3):
        item = next(iter(events))
        assert isinstance(item, ResponseInfo)
        assert (item.usage, item.finish_reason, item.complete) == (None, None, False)
        assert asked[-1] == number
