"""One try of a request: what its connection has to know, and what it tells of how far it came."""

from __future__ import annotations

import math
import os
import socket
import time
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Optional

from ..deadline import Deadline

if TYPE_CHECKING:
    from .head import Answer

__all__ = ["AnotherProcess", "Call", "current_call"]

_MOST_HEADERS = 1_048_576  # bytes before the body


class AnotherProcess(Exception):
    """The request was begun before a fork, and this is the child: its answer belongs to the parent."""


class Call:
    """
    One try.

    Attributes:
        deadline: of the run.
        read_timeout: seconds for each read.
        limit: when connecting has to be over, on the clock of ``time.monotonic()``; infinity at other times.
        answer: what is known of the answer, once its head was read.
        odd: what http.client reads the head with, and where from; on the way through a proxy.
        reused: it went out on a kept connection.
        force_fresh: a kept connection must not be used.
        sent: the whole request went out.
        sent_at: when that was.
        leftover: bytes followed its answer, so the connection cannot be trusted.
        received: bytes of the answer that came, head included.
        allowance: how many may come.
    """

    __slots__ = (
        "__weakref__",
        "_pid",
        "allowance",
        "answer",
        "deadline",
        "force_fresh",
        "leftover",
        "limit",
        "odd",
        "polls",
        "read_timeout",
        "received",
        "reused",
        "sent",
        "sent_at",
        "sock",
    )

    def __init__(self, deadline: Deadline, read_timeout: float) -> None:
        self.deadline = deadline
        self.polls = deadline.polls
        self.read_timeout = read_timeout
        self.limit = math.inf
        self.force_fresh = False
        self.answer: Optional[Answer] = None
        self.odd: Any = None
        self.reused = False
        self.leftover = False
        self.sent = False
        self.sent_at = 0.0
        self.received = 0
        self.allowance = _MOST_HEADERS
        self.sock: Any = None
        self._pid = os.getpid()

    def check_process(self) -> None:
        """Raise :class:`AnotherProcess` where this is a child of the process that the try was begun in."""
        if os.getpid() != self._pid:
            raise AnotherProcess

    def bind(self, sock: Any) -> None:
        """Take note of the connection's socket; a cancelling that came just before is seen here."""
        self.sock = sock
        _bound[id(self)] = weakref.ref(self)
        if self.deadline.cancelled:
            self.deadline.check()

    def time_to_connect(self) -> float:
        """
        Seconds that are left of connecting.

        Raises:
            DeadlineExceeded, RunCancelled: none, for the whole run.
        """
        self.deadline.check()
        return max(0.001, min(self.limit, self.deadline.end) - time.monotonic())

    def shutdown(self, how: int) -> None:
        """
        Wake whoever reads: called by ``Deadline.cancel()``, from any thread.

        Not in a child of a fork: it would end the parent's connection.
        """
        sock = self.sock
        if sock is not None and os.getpid() == self._pid:
            # Not SSLSocket.shutdown: it takes the TLS layer off, and a reader would see ciphertext as the answer.
            socket.socket.shutdown(_innermost(sock), how)

    def renew(self) -> None:
        """Forget the dead connection; the same try goes out again on a new one."""
        self.sock = None
        self.answer = None
        self._close_odd()
        self.reused = self.sent = False
        self.force_fresh = True

    def finish(self) -> None:
        """The socket goes back to its pool or is closed: cancelling must not reach it any more."""
        self.sock = None
        _bound.pop(id(self), None)
        self.deadline.detach(self)
        self._close_odd()

    def _close_odd(self) -> None:
        odd, self.odd = self.odd, None
        if odd is not None:
            response, reader = odd
            response.close()
            reader.close()


current_call: ContextVar[Optional[Call]] = ContextVar("syncagent_call", default=None)
"""
The try under way; set only around the sending. (A greenlet has a context of its own, whenever gevent patched.)
"""

_bound: dict[int, weakref.ref[Call]] = {}  # those that have a socket; weak, since a try may be interrupted anywhere


def _innermost(sock: Any) -> Any:
    """The socket of the system's: TLS inside of a proxy's TLS, and pyOpenSSL's, keep it in an attribute."""
    while hasattr(sock, "socket"):
        sock = sock.socket
    return sock


def _drop_inherited() -> None:
    """
    Close, in a forked child, the sockets of what its parent is asking.

    gevent's greenlets live on in a child, and would read the parent's answers. Without a word to the server: the
    connection is the parent's as well, and ends when that closes it.
    """
    while _bound:
        _, reference = _bound.popitem()
        call = reference()
        sock = None if call is None else _innermost(call.sock)
        if sock is not None:
            # Also where a file of the socket's is open; not SSLSocket.unwrap, which would speak.
            getattr(sock, "_real_close", sock.close)()


if hasattr(os, "register_at_fork"):  # an extra: where it is not called, check_process() is what is relied on
    os.register_at_fork(after_in_child=_drop_inherited)
