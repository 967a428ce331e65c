"""One logical request with its tries: time-outs, the same key and body each time, and what a failure means."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Optional, Union

from ..deadline import Deadline
from ..exceptions import UserError
from .body import Body
from .connection import Call
from .errors import FAILURES, Failure, broken, refused
from .records import HttpRequest, HttpResponse
from .retry import LEAST_TIME, RetryPolicy
from .stream import HttpStream

__all__ = ["Exchange"]

_CONNECT = 5.0  # seconds
_FIRST_BYTE = 600.0  # reasoning models are silent for minutes
_BETWEEN_CHUNKS = 60.0
_LONGEST = 86_400.0
_MOST_BODY = 33_554_432
_MOST_STREAM = 1_073_741_824
_ERROR_BODY = 65_536
_ERROR_TIME = 10.0  # seconds for an error's body, which adds little to its status
_AT_THE_END = 0.02  # seconds before the deadline in which a time-out counts as caused by it
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


class Exchange:
    """
    One logical request.

    Args:
        session: gives the session of this process.
        request: what is sent.
        deadline: of the run.
        policy: how often it is tried.
        streamed: whether the answer is handed on while it arrives.
    """

    __slots__ = (
        "_added",
        "_again",
        "_auth",
        "_deadline",
        "_renewed",
        "_request",
        "_session",
        "_started",
        "_streamed",
        "_timeout",
        "attempts",
        "policy",
    )

    def __init__(
        self,
        session: Callable[[], Any],
        request: HttpRequest,
        deadline: Deadline,
        policy: RetryPolicy,
        *,
        streamed: bool,
    ) -> None:
        self._session = session
        self._request = request
        self._deadline = deadline
        self._streamed = streamed
        self._started = time.monotonic()
        self._timeout = _timeouts(request.timeout, streamed)
        self._added = _added_headers(request, streamed)
        self._auth: Mapping[str, str] = {}
        self._again = False
        self._renewed = False
        self.attempts = 0
        self.policy = policy

    def worth(self) -> bool:
        """Whether another try may mend the failure of the last one."""
        return self._again

    def send(self) -> HttpResponse:
        """
        One try, read to its end.

        Raises:
            ModelAPIError, DeadlineExceeded, RunCancelled, UserError: it failed.
        """
        status, headers, body = self._open()
        failure = None
        data = b""
        try:
            data = body.read_all()
        except FAILURES as error:
            failure = error
        finally:
            body.abort()  # does nothing to a body that was read to its end
        if failure is not None:
            self._fail(failure, True)
        return HttpResponse(
            status,
            headers,
            data,
            attempts=self.attempts,
            elapsed=time.monotonic() - self._started,
            model_name=self._request.model_name,
            auth=self._auth,
        )

    def stream(self) -> HttpStream:
        """One try, whose body is still to come; raises as :meth:`send`."""
        status, headers, body = self._open()
        return HttpStream(
            status, headers, body, attempts=self.attempts, started=self._started, fail=self._fail_in_stream
        )

    def _open(self) -> tuple[int, Mapping[str, str], Body]:
        """Send; gives status, headers and the unread body of a 2xx answer."""
        deadline, request = self._deadline, self._request
        deadline.check(LEAST_TIME)
        self.attempts += 1
        self._again = False
        session = self._session()
        connect, read = self._timeout
        left = deadline.remaining()
        if left is not None:
            connect, read = min(connect, left), min(read, left)
        call = Call(deadline, self._timeout[1])
        response: Any = None
        body = failure = None
        text = b""
        deadline.attach(call)
        try:
            response, self._auth = session.open(request, self._added, call, (connect, read))
            status = response.status_code
            if 200 <= status < 300:
                body = Body(response, call, request.max_body or (_MOST_STREAM if self._streamed else _MOST_BODY))
                return status, response.headers, body
            if status >= 200:
                text = self._error_body(response, call)
        except FAILURES as error:
            failure = error
        finally:
            if body is None:
                call.finish()
                if response is not None:
                    response.close()
        if failure is not None:
            self._fail(failure, call.sent if session.tells else None)
        answer: Any = response
        if answer.status_code == 401 and not self._renewed and getattr(request.auth, "renewable", False):
            self._renewed = True  # the key may have been rotated since it was given
            return self._open()
        self._raise(refused(request, answer.status_code, answer.headers, text, self._attributes(), self._auth))

    def _error_body(self, response: Any, call: Call) -> bytes:
        """As much of it as comes in a short time: the status is what matters, whatever happens to the rest."""
        call.read_timeout = min(call.read_timeout, _ERROR_TIME)
        end = time.monotonic() + _ERROR_TIME
        pieces = []
        try:
            body = Body(response, call, _ERROR_BODY)
            while not body.ended and time.monotonic() < end:
                pieces.append(body.read_some() or b"")
        except FAILURES:
            self._deadline.check()
        return b"".join(pieces)

    def _attributes(self) -> dict[str, Any]:
        return {"attempts": self.attempts, "elapsed": time.monotonic() - self._started}

    def _fail_in_stream(self, failure: Exception) -> NoReturn:
        self._fail(failure, True)

    def _fail(self, failure: Exception, sent: Optional[bool]) -> NoReturn:
        """Raise the typed error; the run's own reasons to stop come first."""
        deadline = self._deadline
        left = deadline.remaining()
        if left is not None and left < _AT_THE_END:
            deadline.sleep(left)
        deadline.check()
        self._raise(broken(failure, self._request, self.policy, sent, self._attributes(), self._auth))

    def _raise(self, failure: Failure) -> NoReturn:
        self._again = failure.again
        try:
            raise failure.error
        finally:
            del failure  # the error's traceback holds this frame


def _timeouts(given: Union[float, tuple[float, float], None], streamed: bool) -> tuple[float, float]:
    """(connect, read) in seconds."""
    if given is None:
        return _CONNECT, _BETWEEN_CHUNKS if streamed else _FIRST_BYTE
    pair = given if isinstance(given, tuple) else (given, given)
    if len(pair) != 2 or not all(
        isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds < math.inf
        for seconds in pair
    ):
        raise UserError(f"timeout is a positive number of seconds, or a pair (connect, read); got {given!r}.")
    return min(pair[0], _LONGEST), min(pair[1], _LONGEST)


def _added_headers(request: HttpRequest, streamed: bool) -> dict[str, str]:
    """What the transport adds, the same for all tries."""
    # Compressing a stream would hold its first words back.
    added = {"Accept-Encoding": "identity" if streamed else "identity, gzip"}
    if request.idempotency_key is not None:
        added["Idempotency-Key"] = request.idempotency_key
    elif request.method not in _WITHOUT_BODY:
        added["Idempotency-Key"] = os.urandom(16).hex()
    return added

