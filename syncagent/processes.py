"""What belongs to one process, and what a child of a fork therefore makes anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """
    A value of this process; for the top of a module, since it is never forgotten.

    The process is known by its number, for servers that fork without calling Python's hooks (uWSGI), and by the hook,
    for a number that comes again.

    Args:
        make: makes it, at once and in every child that wants it.

    Attributes:
        made: the process that it was made in, and the value.
    """

    __slots__ = ("_make", "made")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self.made = os.getpid(), make()
        _all.append(self)

    def get(self) -> T:
        """The value of the process that asks."""
        pid, value = self.made
        return value if pid == os.getpid() else self.renew()

    def renew(self) -> T:
        """Make it anew."""
        value = self._make()
        self.made = os.getpid(), value
        return value


_all: list[PerProcess[Any]] = []


def _renew_all() -> None:
    for each in _all:
        each.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
