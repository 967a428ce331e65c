"""Exceptions between any two lines, as signal handlers and ``PyThreadState_SetAsyncExc`` bring them."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Callable, Optional

from typing_extensions import ParamSpec

__all__ = ["Injected", "Injection", "in_a_thread", "injections"]

P = ParamSpec("P")


class Injected(BaseException):
    """What comes from outside."""


class Injection:
    """
    One exception at one line; a context manager around what is interrupted.

    Args:
        number: which of the lines that are reached, counted from 1.
        names: the ends of the files whose lines count.
        threads: whether it comes in the threads that are started meanwhile; else in this one.

    Attributes:
        where: the function and line that it came in; None where fewer lines were reached.
    """

    def __init__(self, number: int, names: tuple[str, ...], threads: bool) -> None:
        self.where: Optional[tuple[str, int]] = None
        self._left = number
        self._names = names
        self._threads = threads
        self._former = sys.gettrace()
        self._lock = threading.Lock()

    def __enter__(self) -> Injection:
        if self._threads:
            threading.settrace(self._calls)
        else:
            sys.settrace(self._calls)
        return self

    def __exit__(self, *_: Any) -> None:
        if self._threads:
            threading.settrace(None)  # type: ignore[arg-type] # that is how it is taken back
        else:
            sys.settrace(self._former)

    def _calls(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._lines if frame.f_code.co_filename.endswith(self._names) else None

    def _lines(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            with self._lock:
                self._left -= 1
                hit = self._left == 0
            if hit:
                self.where = frame.f_code.co_name, frame.f_lineno
                raise Injected
        return self._lines


@contextmanager
def _quiet_threads() -> Iterator[None]:
    former = threading.excepthook
    threading.excepthook = lambda args: None
    try:
        yield
    finally:
        threading.excepthook = former


def in_a_thread(test: Callable[P, None]) -> Callable[P, None]:
    """
    Run *test* in a thread of its own.

    An exception out of a trace function in the middle of an ``except`` block is never done with for its thread: every
    later one there has it for a context.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        errors: list[BaseException] = []

        def guarded() -> None:
            try:
                test(*args, **kwargs)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        thread.join(240)
        assert not thread.is_alive()
        if errors:
            raise errors[0]

    return run


def injections(*names: str, threads: bool = False, most: int = 2000) -> Iterator[Injection]:
    """One injection for each line that is reached, the first line first, until one finds no line any more."""
    with _quiet_threads():
        for number in range(1, most):
            injection = Injection(number, names, threads)
            yield injection
            if injection.where is None:
                return
    raise AssertionError(f"more than {most} lines")
