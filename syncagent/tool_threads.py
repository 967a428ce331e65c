"""
Calling the tools of one step in threads of their own: opt-in, bounded, and gone when the step ends.

The threads are daemons, so that one that hangs never keeps the process from exiting. They are made by what the
module ``threading`` has at the time, so that gevent may patch it before or after the import.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextvars import copy_context
from typing import Any, NamedTuple, Optional

from . import tools
from .deadline import Deadline
from .exceptions import AgentRunError, DeadlineExceeded, RunCancelled, UserError
from .messages import ToolCallPart
from .plan import RunPlan, RunState, ToolOutcome
from .processes import PerProcess
from .tool_calls import CallDeadline, call_tool, timed_out

__all__ = ["Progress", "call_tools", "each_call"]

_log = logging.getLogger("syncagent.tools")
_SLICE = 0.1  # seconds between two looks at deadline and flag
_Held = dict[int, None]
_held: PerProcess[_Held] = PerProcess(dict)  # the threads of a parent are not in its child
_warned: set[str] = set()


class Progress(NamedTuple):
    """
    What happens in a step.

    Args:
        place: which call; None where nothing happened for a while.
        outcome: what came of it; None where it begins.
        error: what a tool raised, which ends the step.
    """

    place: Optional[int]
    outcome: Optional[ToolOutcome] = None
    error: Optional[BaseException] = None


def call_tools(calls: Sequence[ToolCallPart], plan: RunPlan, state: RunState) -> list[ToolOutcome]:
    """
    Call the tools of one step; the outcomes stand in the order of the calls.

    Raises:
        BaseException: what a tool raised first; as :func:`each_call`.
    """
    outcomes: list[Any] = [None] * len(calls)
    steps = each_call(calls, plan, state)
    try:
        for place, outcome, error in steps:
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # its traceback holds this frame
            if place is not None and outcome is not None:
                outcomes[place] = outcome
    finally:
        steps.close()  # a Ctrl-C may come here as well as in there
    return outcomes


def each_call(
    calls: Sequence[ToolCallPart],
    plan: RunPlan,
    state: RunState,
    *,
    tick: Optional[float] = None,
    deadline: Optional[Deadline] = None,
) -> Generator[Progress, None, None]:
    """
    Call the tools of one step, up to ``plan.parallel_tools`` at a time.

    Calls of sequential tools are made in the caller's thread, between those before and those after them. Leaving the
    iterator drops the calls that did not begin; those that run are told by their deadlines.

    Args:
        tick: seconds after which a wait is interrupted by a ``Progress(None)``; None for never.
        deadline: of this step, below the run's, for who wants to cancel it; by default the run's.

    Yields:
        Beginnings, outcomes, and as the last one an error; running calls were waited for then, up to the deadline.

    Raises:
        DeadlineExceeded, RunCancelled: while waiting.
        UserError: ``tools.max_tool_threads`` is no number of threads.
    """
    for group, threaded in _groups(calls, plan, tick is not None):
        if threaded:
            yield from _Group(group, calls, plan, state, tick, deadline or plan.deadline).run()
            continue
        for index in group:
            yield Progress(index)
            yield _called_here(index, calls[index], plan, state)


def _groups(calls: Sequence[ToolCallPart], plan: RunPlan, ticking: bool) -> list[tuple[list[int], bool]]:
    """The places of calls that may run beside each other, and whether they get threads."""
    groups: list[tuple[list[int], bool]] = []
    beside = False
    for index, call in enumerate(calls):
        alone = plan.tools[call.tool_name].sequential
        if beside and not alone:
            groups[-1][0].append(index)
        else:
            groups.append(([index], not alone))
        beside = not alone
    possible = _can_have_threads()
    # A call that nothing runs beside needs a thread only where the caller has something else to do meanwhile.
    return [
        (
            group,
            threaded
            and possible
            and (len(group) > 1 or ticking or plan.tools[calls[group[0]].tool_name].timeout is not None),
        )
        for group, threaded in groups
    ]


def _called_here(index: int, call: ToolCallPart, plan: RunPlan, state: RunState) -> Progress:
    try:
        return Progress(index, call_tool(call, plan, state))
    except StopIteration as error:
        return Progress(index, None, error)  # raised in an iterator it would become a RuntimeError


class _Slot:
    """A thread's place among all of the process. It comes free at the latest when nobody holds this object."""

    __slots__ = ("_claimed", "_held")

    def __init__(self, held: _Held) -> None:
        self._held = held
        self._claimed = threading.Lock()
        held[id(self)] = None

    def claim(self) -> bool:
        """True for the first who asks: the thread that came up, or who was interrupted while starting it."""
        return self._claimed.acquire(blocking=False)

    def give_back(self) -> None:
        """More than once does no harm."""
        self._held.pop(id(self), None)

    def __del__(self) -> None:
        try:
            self.give_back()
        except AttributeError:
            return  # interrupted before it had anything


class _Running:
    """A call in a thread."""

    __slots__ = ("_settled", "deadline", "ends", "index", "left", "thread")

    def __init__(self, index: int, timeout: Optional[float], run: Deadline, step: Deadline) -> None:
        self.index = index
        self.thread = threading.current_thread()
        self.deadline = CallDeadline(timeout, run, step)
        self.ends = None if timeout is None else time.monotonic() + timeout
        self.left = False  # whether the run went on without it
        self._settled = threading.Lock()

    def settle(self) -> bool:
        """True for the first who asks: the thread that has something to say, or the run that goes on without it."""
        return self._settled.acquire(blocking=False)


class _Group:
    """Calls of one step that run beside each other. What is shared with the threads is changed in single steps."""

    def __init__(
        self,
        group: list[int],
        calls: Sequence[ToolCallPart],
        plan: RunPlan,
        state: RunState,
        tick: Optional[float],
        deadline: Deadline,
    ) -> None:
        self._calls = calls
        self._plan = plan
        self._state = state
        self._tick = tick
        self._deadline = deadline
        self._group = group
        self._todo = deque(group)
        # A context may be entered by one thread at a time, so that each call has a copy of its own.
        self._contexts = {index: copy_context() for index in group}
        self._running: dict[int, _Running] = {}
        # Of an error outside of any call nobody knows which one was under way.
        self._done: deque[tuple[Optional[_Running], Optional[ToolOutcome], Optional[BaseException]]] = deque()
        self._failed = False  # no thread takes another call
        self._gone = False  # the run has left this step: no call begins any more
        self._changed = threading.Event()
        # Seen by the caller's thread alone.
        self._threads: list[threading.Thread] = []  # those that were not left
        self._open = len(group)  # calls of which nothing came yet
        self._free = 0  # threads that go on taking calls
        self._error: Optional[BaseException] = None

    def run(self) -> Iterator[Progress]:
        """Begin, wait, and end; see :func:`each_call`."""
        for index in self._group:
            yield Progress(index)
        try:
            self._hire(min(self._plan.parallel_tools, len(self._group)))
            yield from self._wait()
        finally:
            # First of all: a thread that has taken a call either sees this, or is found below.
            self._gone = True
            try:
                self._drop()
            finally:
                for running in list(self._running.values()):
                    self._leave(running)
        self._join()
        if self._error is not None:
            error, self._error = self._error, None
            yield Progress(None, None, error)

    def _wait(self) -> Iterator[Progress]:
        deadline = self._deadline
        told = time.monotonic()
        while self._open:
            self._changed.clear()  # before the look, so that what comes after it is not missed
            for progress in self._news():
                told = time.monotonic()
                yield progress
            if not self._open:
                return
            if self._error is not None and _is_over(deadline):
                return
            if self._todo and not self._free and not self._hire(1):
                index = self._todo.popleft()
                self._open -= 1
                yield _called_here(index, self._calls[index], self._plan, self._state)
                continue
            stuck = self._is_stuck()
            if self._error is None:
                deadline.check()
                if stuck:
                    self._error = AgentRunError("A thread of tools was ended from outside; what its call gave is lost.")
            if stuck:
                return
            self._changed.wait(self._patience(told))
            if self._tick is not None and time.monotonic() - told >= self._tick:
                told = time.monotonic()
                yield Progress(None)

    def _news(self) -> Iterator[Progress]:
        """What came since the last look; a first error drops the calls that did not begin."""
        while self._done:
            running, outcome, error = self._done.popleft()
            if running is not None:
                self._running.pop(running.index, None)
                self._open -= 1
            if running is not None and error is None:
                yield Progress(running.index, outcome)
            elif self._error is None:
                self._error = error
                self._drop()
            else:
                name = "?" if running is None else self._calls[running.index].tool_name
                _log.warning("Tool %r raised %s beside another tool's error", name, type(error).__name__)
        now = time.monotonic()
        for running in list(self._running.values()):
            if running.ends is not None and now >= running.ends and running.settle():
                self._leave(running)
                self._open -= 1
                self._free -= 1
                call = self._calls[running.index]
                yield Progress(running.index, timed_out(call, self._plan.tools[call.tool_name]))

    def _drop(self) -> None:
        while self._todo:
            try:
                self._todo.popleft()
            except IndexError:  # a thread was quicker
                return
            self._open -= 1

    def _leave(self, running: _Running) -> None:
        """Go on without it: whatever looks at its deadline stops, and what it returns is dropped."""
        running.left = True
        if running.thread in self._threads:
            self._threads.remove(running.thread)
        self._running.pop(running.index, None)
        running.deadline.leave()

    def _is_stuck(self) -> bool:
        """Whether nothing can come any more: what the threads had to say was heard, and none of them lives."""
        return not (any(thread.is_alive() for thread in self._threads) or self._done)

    def _patience(self, told: float) -> float:
        now = time.monotonic()
        ends = [running.ends for running in list(self._running.values()) if running.ends is not None]
        if self._tick is not None:
            ends.append(told + self._tick)
        return max(0.001, min([_SLICE, *(end - now for end in ends)]))

    def _join(self) -> None:
        """Wait for the threads' ends, which have nothing left to do but their exit hooks."""
        for thread in self._threads:
            while thread.is_alive():
                if self._error is None:
                    self._deadline.check()
                elif _is_over(self._deadline):
                    return
                thread.join(_SLICE)

    # --- threads -------------------------------------------------------------------------------

    def _hire(self, count: int) -> bool:
        """Start up to *count* threads; False where there was none to be had."""
        for _ in range(count):
            slot = _take_slot()
            if slot is None:
                break
            try:
                thread = threading.Thread(target=self._work, args=(slot,), name="syncagent-tool", daemon=True)
                thread.start()
            except BaseException as error:
                if slot.claim():  # else it came up in spite of an interruption, and keeps its place until it ends
                    slot.give_back()
                if not isinstance(error, RuntimeError):
                    raise
                # An isolated sub-interpreter, a system without another thread, or the end of the process.
                _warn_once(f"No thread for a tool could be started ({error}); tools run in the caller's thread.")
                break
            self._threads.append(thread)
            self._free += 1
        return self._free > 0

    def _work(self, slot: _Slot) -> None:
        try:
            if slot.claim():
                self._take_calls()
        except BaseException as error:  # what another thread has put into this one, between two calls
            self._failed = True
            self._done.append((None, None, error))
        finally:
            # Whatever happens in here, the place comes free, and the caller's thread looks.
            try:
                _call_exit_hooks()
            finally:
                try:
                    slot.give_back()
                finally:
                    self._changed.set()

    def _take_calls(self) -> None:
        while not (self._failed or self._gone or self._deadline.cancelled):
            try:
                index = self._todo.popleft()
            except IndexError:
                return
            if not self._call(index):
                return

    def _call(self, index: int) -> bool:
        """Make one call; whether this thread may go on with another."""
        call, plan = self._calls[index], self._plan
        running = _Running(index, plan.tools[call.tool_name].timeout, plan.deadline, self._deadline)
        self._running[index] = running
        if self._gone:
            return False
        try:
            outcome = self._contexts[index].run(call_tool, call, plan, self._state, running.deadline)
        except BaseException as error:  # SystemExit and its like too: the caller's thread is where they belong
            self._tell(running, None, error)
            return False
        return self._tell(running, outcome, None)

    def _tell(self, running: _Running, outcome: Optional[ToolOutcome], error: Optional[BaseException]) -> bool:
        """Hand over what came of a call; False where the run went on without it."""
        if running.left or not running.settle():
            what = "returned" if error is None else f"raised {type(error).__name__}"
            _log.debug("Tool %r %s after the run went on without it", self._calls[running.index].tool_name, what)
            return False
        if error is not None:
            self._failed = True
        self._done.append((running, outcome, error))
        self._changed.set()
        return True


def _is_over(deadline: Deadline) -> bool:
    """Whether to wait no longer, for one who has another error to raise."""
    try:
        deadline.check()
    except (DeadlineExceeded, RunCancelled):
        return True
    return False


def _call_exit_hooks() -> None:
    for hook in list(tools.tool_thread_exit_hooks):
        try:
            hook()
        except BaseException:  # the others have to be called, and there is nobody to raise to
            _log.exception("A tool thread's exit hook failed: %r", hook)


def _take_slot() -> Optional[_Slot]:
    """A thread's place among all of the process; None where all are taken."""
    most = tools.max_tool_threads
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
        raise UserError(f"syncagent.tools.max_tool_threads is a number of threads from 0 on; got {most!r}.")
    held = _held.get()
    slot = _Slot(held)
    # No lock: two who come at once may both see one too many and go without, but never is there one too many.
    if len(held) > most:
        slot.give_back()
        return None
    return slot


def _can_have_threads() -> bool:
    """False under a uWSGI that does not promise threads: its ``enable-threads`` is off, and so is ``threads``."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None:
        return True
    options = getattr(uwsgi, "opt", {})
    if any(options.get(name) or options.get(name.encode()) for name in ("enable-threads", "threads")):
        return True
    _warn_once("uWSGI runs without enable-threads, so tools run in the caller's thread in spite of parallel_tools.")
    return False


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        _log.warning(text)
