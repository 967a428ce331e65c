"""
What is sent again, when, and how often: the one place where a request is retried.

The rules are RFC 9110's for ``Retry-After`` and those of the providers' own clients for the rest:
408, 409, 429 and 5xx but 501 and 505; the header ``x-should-retry`` beats the status.
"""

from __future__ import annotations

import logging
import math
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Optional, TypeVar

import attrs

from ..deadline import Deadline
from ..exceptions import ModelAPIError, UserError
from .budget import Budget

__all__ = ["LEAST_TIME", "RetryPolicy", "keep_trying", "retry_after", "retryable_status"]

T = TypeVar("T")

LEAST_TIME = 0.1
"""Seconds that must be left of a deadline for a try to start."""

_log = logging.getLogger("syncagent.transport")
_FIRST_WAIT = 0.5  # seconds; doubled with every try
_LONGEST_WAIT = 8.0
_NEVER = frozenset({501, 505})
_ALSO = frozenset({408, 409, 429})
_NUMBER = re.compile(r"\d{1,40}(?:\.\d{1,40})?", re.ASCII)
_MAX_RETRIES = 100
_MAX_BUDGET = 100_000


def _count(_: Any, __: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_RETRIES:
        raise UserError(f"RetryPolicy(max_retries=) takes a whole number from 0 to {_MAX_RETRIES}; got {value!r}.")


def _flag(_: Any, __: Any, value: object) -> None:
    if not isinstance(value, bool):
        raise UserError(f"RetryPolicy(retry_read_timeouts=) takes True or False; got {value!r}.")


def _seconds(_: Any, __: Any, value: object) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or not 0 <= value <= 86_400
    ):
        raise UserError(f"RetryPolicy(max_retry_after=) takes seconds from 0 to 86400; got {value!r}.")


def _tokens(_: Any, __: Any, value: object) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and 0 <= value <= _MAX_BUDGET):  # type: ignore[operator] # it is an int
        raise UserError(
            f"RetryPolicy(budget=) takes a whole number from 0 to {_MAX_BUDGET}, or None for no limit; got {value!r}."
        )


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """
    How often a failed request is sent again.

    >>> RetryPolicy(max_retries=5).max_retry_after
    60.0

    Args:
        max_retries: tries after the first one.
        retry_read_timeouts: whether to try again where a request was sent whole and no answer came in time; the
            provider may have done, and billed, the work.
        max_retry_after: seconds; where the server asks to wait longer, the error is raised at once, with
            ``.retry_after`` set.
        budget: tokens that this process has for retries of one model at one origin. A retry takes 14, a success
            gives 1 back, one after retries gives 14; where there are too few, nothing is sent again, so that a
            server that is down gets each request once. None for no such limit; less than 14 is no retry at all.

    Raises:
        UserError: a value is out of range.
    """

    max_retries: int = attrs.field(default=2, validator=_count)
    retry_read_timeouts: bool = attrs.field(default=False, validator=_flag)
    max_retry_after: float = attrs.field(default=60.0, validator=_seconds)
    budget: Optional[int] = attrs.field(default=500, validator=_tokens)


def retryable_status(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer with this status is worth another try; ``x-should-retry`` has the last word."""
    word = headers.get("x-should-retry")
    if word is not None:
        word = word.strip().lower()
        if word in ("true", "false"):
            return word == "true"
    return status in _ALSO or (500 <= status < 600 and status not in _NEVER)


def retry_after(headers: Mapping[str, str]) -> Optional[float]:
    """
    The seconds that a server asks to wait: ``retry-after-ms``, or ``Retry-After`` as a number or a date.

    None where it does not say, or says something that is no positive number and no date to come.
    """
    value = headers.get("retry-after-ms")
    if value is not None:
        seconds = _number(value)
        if seconds is not None:
            return seconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    return seconds if seconds is not None else _date(value)


def keep_trying(
    again: Callable[[], T],
    failure: ModelAPIError,
    worth: Callable[[], bool],
    policy: RetryPolicy,
    deadline: Deadline,
    budget: Optional[Budget] = None,
) -> T:
    """
    Go on after a first try that failed with *failure*.

    Args:
        again: makes one more try.
        worth: whether the failure of the last try may be followed by another.
        policy: how often.
        deadline: waits end with it, and no try starts shortly before it.
        budget: pays for each retry; None for a purse without a bottom.

    Raises:
        ModelAPIError: of the last try.
        DeadlineExceeded, RunCancelled: while waiting or trying.
    """
    import tenacity  # costs 20 ms, so not before the first failure

    failed: list[ModelAPIError] = [failure]

    def attempt() -> T:
        if failed:
            raise failed.pop()
        return again()

    def wanted(error: BaseException) -> bool:
        return isinstance(error, ModelAPIError) and worth()

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return _wait(state.attempt_number, getattr(error, "retry_after", None))

    def stop(state: tenacity.RetryCallState) -> bool:
        if state.attempt_number > policy.max_retries:
            return True
        error = state.outcome.exception() if state.outcome is not None else None
        asked = getattr(error, "retry_after", None)
        if asked is not None and asked > policy.max_retry_after:
            return True
        left = deadline.remaining()
        if left is not None and state.upcoming_sleep + LEAST_TIME > left:
            return True
        if budget is None or budget.take():
            return False
        _log.debug("Not tried again: the retry budget of this server and model is used up")
        return True

    retrying = tenacity.Retrying(
        stop=stop,
        wait=wait,
        retry=tenacity.retry_if_exception(wanted),
        sleep=deadline.sleep,
        before_sleep=_tell,
        reraise=True,
    )
    result = retrying(attempt)
    if budget is not None:
        budget.give()
    return result


def _wait(attempt: int, asked: Optional[float]) -> float:
    """Seconds before the next try: jitter under a doubling limit, and never before the server's word."""
    # Jitter is no secret.
    own = random.uniform(0.5, 1.0) * min(_FIRST_WAIT * 2.0 ** (attempt - 1), _LONGEST_WAIT)  # noqa: S311
    if asked is None:
        return own
    # Added on top, so that a hundred threads that were told the same do not come back together.
    return max(own, asked * random.uniform(1.0, 1.25))  # noqa: S311


def _tell(state: Any) -> None:
    error = state.outcome.exception()
    _log.debug(
        "Try %d failed (%s); the next in %.2f s", state.attempt_number, type(error).__name__, state.upcoming_sleep
    )


def _number(value: str) -> Optional[float]:
    value = value.strip()
    if _NUMBER.fullmatch(value) is None:
        return None
    seconds = float(value)
    return seconds if seconds > 0 else None


def _date(value: str) -> Optional[float]:
    from email.utils import mktime_tz, parsedate_tz

    try:
        parsed = parsedate_tz(value)
        seconds = 0.0 if parsed is None else mktime_tz(parsed) - time.time()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
