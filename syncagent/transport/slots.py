"""
Places of which there are only so many, first come first served.

No lock guards them: a garbage collection may free a place in the middle of anything, also of taking one in the same
thread, and a lock would wait for itself then. What deques and dicts do in one step of the interpreter is enough.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import Optional

from ..deadline import Deadline
from ..exceptions import DeadlineExceeded

__all__ = ["Full", "Lease", "Slots"]

_SLICE = 0.1  # seconds between two looks at the deadline
_LONGEST = 60.0  # seconds of waiting where there is no deadline


class Full(Exception):
    """
    No place came free.

    Attributes:
        waiting: how many others wait.
        waited: seconds; None where as many wait as may, so that nobody waited.
    """

    def __init__(self, waiting: int, waited: Optional[float]) -> None:
        super().__init__(waiting, waited)
        self.waiting = waiting
        self.waited = waited


class Lease:
    """
    A place that was taken. It comes free with :meth:`release`, at the latest when nobody holds this object.

    Attributes:
        shared: whether requests that are made meanwhile, to log the one that has the place in, need none of their own.
    """

    __slots__ = ("__weakref__", "_held", "shared")

    def __init__(self, held: list[_Place]) -> None:
        self._held = held
        self.shared = False

    @property
    def held(self) -> bool:
        """Whether it was not given back yet."""
        return bool(self._held)

    def release(self) -> None:
        """Give the place back; from any thread, and more than once without harm."""
        try:
            place = self._held.pop()
        except IndexError:
            return
        place.give_back()


class Slots:
    """
    So many places, for all threads and greenlets of a process.

    Args:
        count: how many.
        queue: how many may wait for one; None for any number.

    Attributes:
        here: a weak reference to this.
    """

    __slots__ = ("__weakref__", "_free", "_queue", "_seats", "count", "here")

    def __init__(self, count: int, queue: Optional[int] = None) -> None:
        self.count = count
        # Kept here too: the collector empties a weak reference that nothing but garbage holds.
        self.here: weakref.ref[Slots] = weakref.ref(self)
        self._free: deque[_Place] = deque(_Place(self.here) for _ in range(count))
        self._queue: deque[_Waiter] = deque()
        self._seats = None if queue is None else Slots(queue)

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return max(0, self.count - len(self._free))

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    def take(self, deadline: Deadline, least: float = 0.0) -> Lease:
        """
        Take a place; where there is none, wait for one until the deadline, 60 s where it has no end.

        Args:
            least: seconds that have to be left then; with less a place is of no use.

        Raises:
            Full: none came free, or too many wait already.
            RunCancelled: *deadline* was cancelled.
        """
        lease = None if self._queue else self._free_one()
        if lease is not None:
            return lease
        if self._seats is None:
            return self._queued(deadline, least)
        seat = self._seats._free_one()
        if seat is None:
            raise Full(self.waiting, None)
        try:
            return self._queued(deadline, least)
        finally:
            seat.release()

    def put(self, place: _Place) -> None:
        """Take *place* back, for who waits longest."""
        self._free.append(place)
        self._hand_over()

    def _free_one(self) -> Optional[Lease]:
        held: list[_Place] = []
        lease = Lease(held)
        try:
            held.append(self._free.pop())
        except IndexError:
            return None
        return lease

    def _queued(self, deadline: Deadline, least: float) -> Lease:
        waiter = _Waiter()
        held: list[_Place] = []
        lease = Lease(held)
        began = time.monotonic()
        self._queue.append(waiter)
        try:
            try:
                self._hand_over()  # one may have come free just before
                _wait(waiter, deadline, began, least)
            finally:
                # Whoever writes here first decides; what came is kept for the lines below, which may give it back.
                place = waiter.gift.setdefault("place", None)
                try:
                    if place is not None:
                        held.append(place)
                    self._leave(waiter)
                finally:
                    # Once more, since who is interrupted above and stays in line would keep the place with it.
                    waiter.gift["place"] = place = None
                    self._leave(waiter)
            if deadline.end - time.monotonic() < least:
                lease.release()
        except BaseException:
            lease.release()
            raise
        if not held:
            raise Full(self.waiting, time.monotonic() - began)
        return lease

    def _leave(self, waiter: _Waiter) -> None:
        try:
            self._queue.remove(waiter)
        except ValueError:
            pass  # who served it has taken it out

    def _hand_over(self) -> None:
        """Give free places to those who wait."""
        free, queue = self._free, self._queue
        while queue:
            try:
                place = free.pop()
            except IndexError:
                return
            try:
                waiter = queue[0]
            except IndexError:
                free.append(place)  # and look again: somebody may have come in between
                continue
            if waiter.gift.setdefault("place", place) is place:
                waiter.bell.release()
            else:
                free.append(place)  # it has left, or was served by another thread
            self._leave(waiter)


class _Place:
    """One place. One that is lost on the way, by an exception between two steps, comes back as a new one."""

    __slots__ = ("_slots",)

    def __init__(self, slots: weakref.ref[Slots]) -> None:
        self._slots = slots  # weak, so that places do not keep the whole alive, nor it them

    def give_back(self) -> None:
        """Put it back, where there is still somebody who keeps places."""
        slots = self._slots()
        if slots is not None:
            slots.put(self)

    def __del__(self) -> None:
        slots = self._slots()
        if slots is not None:
            slots.put(type(self)(self._slots))


class _Waiter:
    """
    Somebody who waits.

    Attributes:
        gift: under ``place`` what was given, or None once the waiter has left; written once.
        bell: released when a place was given. It was made by the thread that waits, so it is gevent's where that
            has patched.
    """

    __slots__ = ("bell", "gift")

    def __init__(self) -> None:
        self.gift: dict[str, Optional[_Place]] = {}
        self.bell = threading.Lock()
        self.bell.acquire()


def _wait(waiter: _Waiter, deadline: Deadline, began: float, least: float) -> None:
    """Wait until a place was given or *least* seconds are left of the time; raises RunCancelled."""
    limited = deadline.remaining() is not None
    end = deadline.end - least if limited else began + _LONGEST
    while not waiter.gift:
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            deadline.check()
        except DeadlineExceeded:
            break
        waiter.bell.acquire(True, min(left, _SLICE))
