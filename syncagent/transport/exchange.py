"""One logical request with its tries: time-outs, the same key and body each time, and what a failure means."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Optional, Union

from ..deadline import Deadline
from ..exceptions import AgentRunError, DeadlineExceeded, ModelAPIError, RunCancelled, UserError
from .answers import hidden, request_id
from .body import Body
from .budget import Budget, budget_for
from .call import AnotherProcess, Call
from .errors import FAILURES, Failure, broken, never_sent, refused
from .policy import in_force, sending
from .records import HttpRequest, HttpResponse
from .retry import LEAST_TIME, RetryPolicy
from .slots import Lease
from .stream import HttpStream

__all__ = ["Exchange"]

_log = logging.getLogger("syncagent.transport")
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
_SHOWN = 200  # characters of an address in a log
_IDEMPOTENCY = "idempotency-key"


class Exchange:
    """
    One logical request.

    Args:
        session: gives the session of this process.
        request: what is sent.
        deadline: of the run.
        policy: how often it is tried.
        streamed: whether the answer is handed on while it arrives.

    Attributes:
        attempts: tries so far.
        unanswered: those that went out and got no complete answer; a stream that has begun is none of them.
        policy: how often it is tried.
    """

    __slots__ = (
        "_added",
        "_again",
        "_auth",
        "_began",
        "_deadline",
        "_pid",
        "_renewed",
        "_request",
        "_session",
        "_started",
        "_streamed",
        "_timeout",
        "attempts",
        "policy",
        "unanswered",
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
        self._began: Optional[float] = None
        self._pid = 0
        self._renewed = False
        self.attempts = 0
        self.unanswered = 0
        self.policy = policy

    def worth(self) -> bool:
        """Whether another try may mend the failure of the last one."""
        return self._again

    def budget(self) -> Optional[Budget]:
        """What pays for its retries; None where they cost nothing."""
        size = self.policy.budget
        return None if size is None else budget_for(self._request.url, self._request.model_name, size)

    def tell_on(self, error: AgentRunError) -> None:
        """Write on the error that ends it how far it came."""
        error.unanswered_requests += self.unanswered
        if isinstance(error, (DeadlineExceeded, RunCancelled)):
            error.attempts, error.elapsed = self.attempts, time.monotonic() - self._started

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
        except (DeadlineExceeded, RunCancelled) as error:
            self._stopped(error, True)
            raise
        finally:
            body.abort()  # does nothing to a body that was read to its end
        if failure is not None:
            self._lost(True)
            try:
                self._fail(failure, True)
            finally:
                failure = None  # the error's traceback holds this frame, and may show it
        if self._began is not None:
            self._tell_answer(status, headers, f"{len(data)} bytes")
        return HttpResponse(
            status,
            headers,
            data,
            attempts=self.attempts,
            elapsed=time.monotonic() - self._started,
            model_name=self._request.model_name,
            auth=self._auth,
            unanswered=self.unanswered,
            asked=self._request,
        )

    def stream(self) -> HttpStream:
        """One try, whose body is still to come; raises as :meth:`send`."""
        status, headers, body = self._open()
        if self._began is not None:
            self._tell_answer(status, headers, "a stream")
        return HttpStream(
            status,
            headers,
            body,
            attempts=self.attempts,
            started=self._started,
            fail=self._fail_in_stream,
            auth=self._auth,
            unanswered=self.unanswered,
        )

    def _open(self) -> tuple[int, Mapping[str, str], Body]:
        """Send; gives status, headers and the unread body of a 2xx answer."""
        deadline, request = self._deadline, self._request
        deadline.check(LEAST_TIME)
        self._again = False
        self._began = None
        self._pid = os.getpid()
        session = self._session()
        rules = in_force()
        lease = None if rules is None else rules.admit(request, deadline, self.attempts)
        call = Call(deadline, self._timeout[1]) if lease is None else _LeasedCall(deadline, self._timeout[1], lease)
        response: Any = None
        body = failure = None
        text = b""
        try:
            if lease is not None:
                deadline.check(LEAST_TIME)  # the place may have come late
            deadline.attach(call)
            self.attempts += 1
            self._began = time.monotonic() if _log.isEnabledFor(logging.DEBUG) else None
            if self._began is not None:
                self._tell_try()
            response = self._answer(session, call)
            status = response.status_code
            if 200 <= status < 300:
                # JSON where a stream was asked for is read whole, so that it may be no larger than elsewhere.
                whole = not self._streamed or "json" in (response.headers.get("content-type") or "").lower()
                body = Body(response, call, request.max_body or (_MOST_BODY if whole else _MOST_STREAM))
                return status, response.headers, body
            if status >= 200:
                text = self._error_body(response, call)
        except FAILURES as error:
            failure = error
        except (DeadlineExceeded, RunCancelled) as error:
            self._stopped(error, call.sent if response is None else response.status_code < 300)
            # Without the frames of the sending, whose variables are headers.
            raise error.with_traceback(None)  # noqa: B904 - it is the same error
        except UserError as error:
            error.__context__ = None  # its frames too: they hold the password of a proxy
            raise error.with_traceback(None)  # noqa: B904 - it is the same error
        except BaseException as error:  # Ctrl-C, a worker's end: itself, but without those frames
            raise error.with_traceback(None)  # noqa: B904 - it is the same exception
        finally:
            if body is None:
                call.finish()
                if response is not None:
                    response.close()
        if failure is not None:
            sent = call.sent if session.tells else None
            self._lost(response is not None or (sent is None and not never_sent(failure)) or sent is True)
            try:
                self._fail(failure, sent)
            finally:
                failure = None  # the error's traceback holds this frame, and may show it
        answer: Any = response
        if answer.status_code == 401 and not self._renewed and getattr(request.auth, "renewable", False):
            self._renewed = True  # the key may have been rotated since it was given
            text = b""
            return self._open()
        try:
            self._raise(
                refused(request, answer.status_code, answer.headers, text, self._attributes(), self._secrets())
            )
        finally:
            text = b""  # it may repeat the key, and tracebacks with variables show this frame

    def _answer(self, session: Any, call: Call) -> Any:
        connect, read = self._timeout
        left = self._deadline.remaining()
        if left is not None:
            connect, read = min(connect, left), min(read, left)
        if type(call) is Call:
            response, self._auth = session.open(self._request, self._added, call, (connect, read))
        else:
            with sending():
                response, self._auth = session.open(self._request, self._added, call, (connect, read))
        return response

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

    def _secrets(self) -> Mapping[str, str]:
        """What no error may show. Of a try that broke only the one who logs in knows what was sent."""
        request = self._request
        return hidden(request.headers, self._auth or getattr(request.auth, "given", None))

    def _lost(self, sent: bool) -> None:
        """Count a try that nobody will answer any more, where it went out; what only reads is never billed."""
        if sent and self._request.method not in _WITHOUT_BODY:
            self.unanswered += 1

    def _stopped(self, error: AgentRunError, sent: bool) -> None:
        self._lost(sent)
        if self._began is not None:
            self._tell_failure(error, "")

    def _fail_in_stream(self, failure: Exception) -> NoReturn:
        self._fail(failure, True)

    def _fail(self, failure: Exception, sent: Optional[bool]) -> NoReturn:
        """Raise the typed error; the run's own reasons to stop come first."""
        if os.getpid() != self._pid:
            failure = AnotherProcess()  # whatever it looks like from here
        deadline = self._deadline
        left = deadline.remaining()
        try:
            if left is not None and left < _AT_THE_END:
                deadline.sleep(left)
            deadline.check()
        except (DeadlineExceeded, RunCancelled) as error:
            error.attempts, error.elapsed = self.attempts, time.monotonic() - self._started
            self._stopped(error, False)
            raise
        try:
            self._raise(broken(failure, self._request, self.policy, sent, self._attributes(), self._secrets()))
        finally:
            del failure

    def _raise(self, failure: Failure) -> NoReturn:
        self._again = failure.again
        if self._began is not None:
            status = getattr(failure.error, "status_code", None)
            self._tell_failure(failure.error, "" if status is None else f" (status {status})")
        try:
            raise failure.error
        finally:
            del failure  # the error's traceback holds this frame

    # --- what a log at DEBUG shows: never a header, a query or a body -------------------------------

    def _tell_try(self) -> None:
        request = self._request
        where = request.url.partition("://")[2].partition("?")[0].partition("#")[0].rpartition("@")[2][:_SHOWN]
        size = len(request.body or b"")
        shown = where if where.isprintable() else ascii(where)
        _log.debug("Try %d: %s %s, %d bytes", self.attempts, request.method, shown, size)

    def _tell_answer(self, status: int, headers: Mapping[str, str], what: str) -> None:
        _log.debug(
            "Try %d: status %d, request id %s, %.3f s, %s",
            self.attempts,
            status,
            _printable(request_id(headers, self._auth)),
            time.monotonic() - (self._began or 0.0),
            what,
        )

    def _tell_failure(self, error: AgentRunError, status: str) -> None:
        found = error.request_id if isinstance(error, ModelAPIError) else None
        _log.debug(
            "Try %d: %s%s, request id %s, %.3f s",
            self.attempts,
            type(error).__name__,
            status,
            _printable(found),
            time.monotonic() - (self._began or 0.0),
        )


class _LeasedCall(Call):
    """A try that holds one of the places of the process until its answer was read or given up."""

    __slots__ = ("_lease",)

    def __init__(self, deadline: Deadline, read_timeout: float, lease: Lease) -> None:
        super().__init__(deadline, read_timeout)
        self._lease = lease

    def finish(self) -> None:
        """As of any try; the place goes to whoever waits."""
        super().finish()
        self._lease.release()


def _printable(text: Optional[str]) -> str:
    return "none" if text is None else text if text.isprintable() else ascii(text)


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
    elif request.method not in _WITHOUT_BODY and not any(map(_IDEMPOTENCY.__eq__, map(str.lower, request.headers))):
        added["Idempotency-Key"] = os.urandom(16).hex()
    return added

