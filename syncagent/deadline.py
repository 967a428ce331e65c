"""
The time that is left to a run, and the flag that stops it.

No thread, no signal and no lock: whoever waits or reads looks here before and in between, and
:meth:`Deadline.cancel` may be called from another thread or from a signal handler.
"""

from __future__ import annotations

import math
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Optional, Union

from .exceptions import DeadlineExceeded, RunCancelled, UserError

__all__ = ["Deadline", "current_deadline", "deadline_scope", "resolve_deadline"]

_SLICE = 0.1  # seconds between two looks at the flag while waiting
_ASK_EVERY = 0.5  # seconds between two calls of the ``cancelled`` callable


class Deadline:
    """
    A point in time by which a run has to be over, and a way to stop it before.

    >>> deadline = Deadline(25)
    >>> deadline.expired
    False

    Args:
        seconds: how long the run may take, counted from now; None for no limit, where only
            :meth:`cancel` is wanted.
        cancelled: a function without arguments that says whether the run is to stop; asked at least
            once a second while the run waits or reads. A stop button in another process is a key in
            a store both can see.
        parent: a deadline that holds as well; the earlier end and either's cancelling count.

    Raises:
        UserError: *seconds* is not a positive finite number.
    """

    __slots__ = ("_asked", "_callable", "_end", "_flag", "_parent", "_seconds", "_sockets")

    def __init__(
        self,
        seconds: Optional[float] = None,
        *,
        cancelled: Optional[Callable[[], bool]] = None,
        parent: Optional[Deadline] = None,
    ) -> None:
        if seconds is not None and (
            isinstance(seconds, bool)
            or not isinstance(seconds, (int, float))
            or not math.isfinite(seconds)
            or seconds <= 0
        ):
            raise UserError(f"A deadline is a positive number of seconds, or None for no limit; got {seconds!r}.")
        self._seconds = seconds
        self._end = math.inf if seconds is None else time.monotonic() + seconds
        self._parent = parent
        if parent is not None and parent._end < self._end:
            self._end, self._seconds = parent._end, parent._seconds
        self._flag = False
        self._callable = cancelled
        self._asked = -math.inf
        # Weak: what an interruption leaves behind is not to live as long as a deadline of many runs.
        self._sockets: dict[int, weakref.ref[Any]] = {}

    def __repr__(self) -> str:
        if self.cancelled:
            return "<Deadline cancelled>"
        left = self.remaining()
        return "<Deadline without limit>" if left is None else f"<Deadline {left:.1f} s left>"

    @property
    def end(self) -> float:
        """The end on the clock of ``time.monotonic()``; infinity where there is no limit."""
        return self._end

    def remaining(self) -> Optional[float]:
        """Seconds that are left, never negative; None where there is no limit."""
        return None if self._end == math.inf else max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the time is over."""
        return self._end != math.inf and time.monotonic() >= self._end

    @property
    def cancelled(self) -> bool:
        """Whether somebody called :meth:`cancel`; does not ask the callable (:meth:`check` does)."""
        return self._flag or (self._parent is not None and self._parent.cancelled)

    @property
    def polls(self) -> bool:
        """Whether a ``cancelled`` callable has to be asked while somebody waits."""
        return self._callable is not None or (self._parent is not None and self._parent.polls)

    def cancel(self) -> None:
        """
        Stop the run: waits end, blocked reads wake up, the next check raises ``RunCancelled``.

        Safe from any thread and from a signal handler: it sets an attribute first and takes no lock.
        Looking a host name up, and a connection that is not made (5 seconds for an address), cannot be interrupted.
        """
        self._flag = True
        for reference in list(self._sockets.values()):
            sock = reference()
            try:
                if sock is not None:
                    sock.shutdown(socket.SHUT_RDWR)
            except (OSError, ValueError):
                continue  # closed in the meantime: nobody reads from it any more

    def check(self, least: float = 0.0) -> None:
        """
        Raise where the run has to stop.

        Args:
            least: seconds that have to be left; what takes longer than them need not begin.

        Raises:
            RunCancelled: it was cancelled; comes before the deadline where both are true.
            DeadlineExceeded: the time is over.
        """
        if self._flag or (self._parent is not None and self.cancelled):
            raise RunCancelled("The run was cancelled.")
        if self._callable is not None or self._parent is not None:
            self._ask()
        if self._end != math.inf and time.monotonic() >= self._end - least:
            error = DeadlineExceeded(f"The deadline of {self._seconds:g} s was exceeded.")
            error._end = self._end
            raise error

    def sleep(self, seconds: float) -> None:
        """
        Wait, and look for a reason to stop ten times a second.

        Raises:
            RunCancelled, DeadlineExceeded: as :meth:`check`; a wait past the end raises at the end.
        """
        end = time.monotonic() + seconds
        while True:
            self.check()
            left = min(end, self._end) - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, _SLICE))
        self.check()

    def attach(self, sock: Any) -> None:
        """
        Let :meth:`cancel` shut *sock* down, to wake whoever reads from it.

        Raises:
            RunCancelled: it was cancelled already.
        """
        self._keep(sock)
        if self.cancelled:  # set between the caller's last look and the attaching
            self.detach(sock)
            raise RunCancelled("The run was cancelled.")

    def _keep(self, sock: Any) -> None:
        self._sockets[id(sock)] = weakref.ref(sock)
        if self._parent is not None:
            self._parent._keep(sock)

    def detach(self, sock: Any) -> None:
        """Forget *sock*; it goes back to its pool or was closed."""
        self._sockets.pop(id(sock), None)
        if self._parent is not None:
            self._parent.detach(sock)

    def _ask(self) -> None:
        if self._callable is not None:
            now = time.monotonic()
            if now - self._asked >= _ASK_EVERY:
                self._asked = now
                if self._callable():
                    self.cancel()
                    raise RunCancelled("The run was cancelled.")
        if self._parent is not None:
            self._parent._ask()


current_deadline: ContextVar[Optional[Deadline]] = ContextVar("syncagent_deadline", default=None)
"""The deadline of the run whose tool is being called; set around that call only."""


@contextmanager
def deadline_scope(deadline: Deadline) -> Iterator[None]:
    """Make *deadline* the one that runs started inside inherit."""
    token = current_deadline.set(deadline)
    try:
        yield
    finally:
        current_deadline.reset(token)


def resolve_deadline(deadline: Union[float, Deadline, None], default: Optional[float] = None) -> Deadline:
    """
    The deadline of a run that starts now.

    Args:
        deadline: what the caller gave: seconds from now, a :class:`Deadline`, or None.
        default: the agent's own, in seconds.

    A run inside a tool inherits the outer run's deadline; with one of its own the earlier one holds.

    Raises:
        UserError: it is neither a positive number nor a :class:`Deadline`.
    """
    outer = current_deadline.get()
    if deadline is None:
        deadline = default
    if isinstance(deadline, Deadline):
        if outer is None or outer is deadline:
            return deadline
        return _Both(deadline, outer)
    if deadline is None:
        return Deadline() if outer is None else outer
    return Deadline(deadline, parent=outer)


class _Both(Deadline):
    """The caller's own deadline inside another run's: both hold, and cancelling is the caller's."""

    __slots__ = ("_own",)

    def __init__(self, own: Deadline, outer: Deadline) -> None:
        super().__init__(parent=outer)
        self._own = own
        if own._end < self._end:
            self._end, self._seconds = own._end, own._seconds

    @property
    def cancelled(self) -> bool:
        return self._flag or self._own.cancelled or (self._parent is not None and self._parent.cancelled)

    @property
    def polls(self) -> bool:
        return self._own.polls or super().polls

    def _ask(self) -> None:
        self._own._ask()
        super()._ask()

    def _keep(self, sock: Any) -> None:
        self._own._keep(sock)
        super()._keep(sock)

    def detach(self, sock: Any) -> None:
        self._own.detach(sock)
        super().detach(sock)
