"""An answer that is handed on while it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import NoReturn, Optional

from ..exceptions import DeadlineExceeded, RunCancelled
from .answers import request_id
from .body import Body
from .errors import FAILURES

__all__ = ["HttpStream"]


class HttpStream:
    """
    The body of a 2xx answer, in pieces of whatever size came; iterate over it once.

    Read to its end, its connection goes back to the pool. Leaving the ``with`` before, or :meth:`close` from any
    thread, closes the socket at once; nothing is drained.

    Attributes:
        status: the HTTP status.
        headers: look-ups ignore case.
        attempts: how many requests it took.
        until: when the next read gives up waiting, on the clock of ``time.monotonic()``; None for never. It is
            None again after that.
        paused: a read gave up.
        unanswered: tries before it that went out and got no complete answer, so that they may have been billed.
    """

    __slots__ = (
        "_auth",
        "_body",
        "_closed",
        "_fail",
        "_started",
        "attempts",
        "headers",
        "paused",
        "status",
        "unanswered",
        "until",
    )

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: Body,
        *,
        attempts: int,
        started: float,
        fail: Callable[[Exception], NoReturn],
        unanswered: int = 0,
        auth: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.status = status
        self.headers = headers
        self.attempts = attempts
        self.unanswered = unanswered
        self._auth = auth
        self._body = body
        self._started = started
        self._fail = fail
        self._closed = False
        self.until: Optional[float] = None
        self.paused = False

    def __repr__(self) -> str:
        return f"<HttpStream {self.status} {self.content_type}>"

    def __enter__(self) -> HttpStream:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """
        The next bytes; empty where none came before :attr:`until`.

        Raises:
            StopIteration: the body is whole.
            ModelConnectionError, ModelTimeoutError, ModelResponseError: it broke, stalled, or cannot be read.
            DeadlineExceeded, RunCancelled: the run has to stop.
        """
        body = self._body
        if self.until is not None and time.monotonic() >= self.until:
            return self._pause()  # also where there is more: a fast server must not keep its reader
        failure: Optional[Exception] = None
        data: Optional[bytes] = b""
        going = False
        try:
            data = body.read_some(self.until)
            going = True
        except FAILURES as error:
            failure = error
        except (DeadlineExceeded, RunCancelled) as error:
            error.attempts, error.elapsed = self.attempts, self.elapsed
            raise
        except (ValueError, AttributeError) as error:
            if not self._closed:
                raise
            failure = error  # http.client stumbles over a file that another thread closed
        finally:
            if not going:
                body.abort()
        if data:
            return data
        if self._closed:
            closed = RunCancelled("The stream was closed while it was read.")
            closed.attempts, closed.elapsed = self.attempts, self.elapsed
            raise closed
        if data is None:
            return self._pause()
        if failure is not None:
            try:
                self._fail(failure)
            finally:
                failure = None  # the error's traceback holds this frame
        raise StopIteration

    def _pause(self) -> bytes:
        # Only once: whoever reads on without looking here waits as if there were no limit.
        self.until = None
        self.paused = True
        return b""

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty where the server sent none."""
        return (self.headers.get("content-type") or "").partition(";")[0].strip().lower()

    @property
    def request_id(self) -> Optional[str]:
        """The provider's id of the request, for its support."""
        return request_id(self.headers, self._auth)

    @property
    def elapsed(self) -> float:
        """Seconds since the first try."""
        return time.monotonic() - self._started

    def close(self) -> None:
        """Close the socket, where the body was not read to its end; safe from any thread and more than once."""
        body = getattr(self, "_body", None)  # none where making it was interrupted
        if body is not None and not body.ended:
            self._closed = True
            body.abort()
