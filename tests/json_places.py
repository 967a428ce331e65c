"""Every place of a JSON value, for tests that put something else there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

__all__ = ["changed", "places"]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all nodes of a JSON value, but for itself."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any, gone: bool = False) -> Any:
    """A copy with another node at *path*, or with none."""
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if gone:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return value
