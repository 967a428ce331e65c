"""What a run has used of a model, and the limits it has to keep."""

from __future__ import annotations

import threading
from decimal import Decimal, InvalidOperation
from typing import Any, Optional

import attrs

from .exceptions import UsageLimitExceeded, UserError
from .processes import PerProcess

__all__ = ["Usage", "UsageLimits"]


_UNANSWERED = "unanswered_requests"

# Runs in parallel tools may count on one usage. Re-entrant, since the garbage collector may close a run, which counts,
# in the middle of it. In a child of a fork nobody would give back what another thread of the parent held.
_counting = PerProcess(threading.RLock)


def _sum(one: Optional[int], other: Optional[int]) -> Optional[int]:
    return None if one is None and other is None else (one or 0) + (other or 0)


class _Reserved:
    # No field of attrs: requests that are under way are part of no equality, repr, copy, pickle or JSON.
    __slots__ = ("_under_way",)

    @property
    def under_way(self) -> int:
        """Requests that were sent and not answered yet, of all runs that count here."""
        return getattr(self, "_under_way", 0)

    def _set_under_way(self, requests: int) -> None:
        self._under_way = requests


@attrs.define(repr=False)
class Usage(_Reserved):
    """
    Requests and tokens of one response, or of a whole run.

    >>> Usage(requests=1, request_tokens=10) + Usage(requests=1, response_tokens=3)
    Usage(requests=2, request_tokens=10, response_tokens=3, total_tokens=None, details=None)

    Args:
        requests: requests made to a model.
        request_tokens: tokens of what was sent, cached ones included; None where unknown.
        response_tokens: tokens of what came back, thinking included; None where unknown.
        total_tokens: both together, as the provider counts them.
        details: further counts by name, ``cached_tokens`` and ``reasoning_tokens`` among them; under
            ``unanswered_requests`` those that were sent and got no complete answer, so that they may have been
            billed. *requests* does not count them.
        tool_calls: function tools that were called; not part of equality.
        cost: US dollars, where prices are known; not part of equality.
    """

    requests: int = 0
    request_tokens: Optional[int] = None
    response_tokens: Optional[int] = None
    total_tokens: Optional[int] = None
    details: Optional[dict[str, int]] = None
    tool_calls: int = attrs.field(default=0, eq=False, kw_only=True)
    cost: Optional[Decimal] = attrs.field(default=None, eq=False, kw_only=True)

    @property
    def input_tokens(self) -> Optional[int]:
        """``request_tokens`` by its newer name."""
        return self.request_tokens

    @property
    def output_tokens(self) -> Optional[int]:
        """``response_tokens`` by its newer name."""
        return self.response_tokens

    def incr(self, incr_usage: Usage, *, requests: int = 0) -> None:
        """
        Add another usage to this one, in place.

        Args:
            incr_usage: what to add. A count that is None on both sides stays None, else None is 0.
            requests: further requests to count.
        """
        with _counting.get():
            self._add(incr_usage, requests)

    def _add(self, other: Usage, requests: int) -> None:
        self.requests += other.requests + requests
        self.request_tokens = _sum(self.request_tokens, other.request_tokens)
        self.response_tokens = _sum(self.response_tokens, other.response_tokens)
        self.total_tokens = _sum(self.total_tokens, other.total_tokens)
        self.tool_calls += other.tool_calls
        if other.details:
            # A new dict: the one at hand may belong to a response in the history.
            details = dict(self.details or {})
            for key, count in other.details.items():
                details[key] = details.get(key, 0) + count
            self.details = details
        if other.cost is not None:
            self.cost = (self.cost or Decimal(0)) + other.cost

    def begin_request(self, limits: UsageLimits) -> None:
        """
        Note that a request goes out, so that no other run with this usage makes one too many meanwhile.

        Raises:
            UsageLimitExceeded: it is one too many itself.
        """
        with _counting.get():
            under_way = self.under_way
            limit = limits.request_limit
            if limit is not None and self.requests + under_way >= limit:
                limits.check_before_request(self)
            self._set_under_way(under_way + 1)

    def end_request(self, answer: Optional[Usage]) -> None:
        """Count the answer to a request that went out; None where there was none."""
        with _counting.get():
            self._set_under_way(self.under_way - 1)
            if answer is not None:
                self._add(answer, 1)

    def begin_tool_calls(self, calls: int, limits: UsageLimits) -> None:
        """
        Count calls of function tools that are about to begin, in place.

        Raises:
            UsageLimitExceeded: they are too many; none is counted then.
        """
        with _counting.get():
            limits.check_before_tool_calls(self, calls)
            self.tool_calls += calls

    def count_tool_calls(self, calls: int) -> None:
        """Add calls of function tools, in place; a number below zero takes back those that did not begin."""
        with _counting.get():
            self.tool_calls += calls

    def count_unanswered(self, requests: int) -> None:
        """Add requests that were sent and got no complete answer, in place."""
        if requests:
            with _counting.get():  # a new dict, as above
                details = self.details or {}
                self.details = {**details, _UNANSWERED: details.get(_UNANSWERED, 0) + requests}

    def __add__(self, other: Usage) -> Usage:
        total = Usage()
        total.incr(self)
        total.incr(other)
        return total

    def __repr__(self) -> str:
        shown = (
            f"Usage(requests={self.requests!r}, request_tokens={self.request_tokens!r}, "
            f"response_tokens={self.response_tokens!r}, total_tokens={self.total_tokens!r}, details={self.details!r}"
        )
        if self.tool_calls:
            shown += f", tool_calls={self.tool_calls!r}"
        if self.cost is not None:
            shown += f", cost={self.cost!r}"
        return shown + ")"

    def opentelemetry_attributes(self) -> dict[str, int]:
        """The counts under OpenTelemetry's names (``gen_ai.usage.*``); zeros and unknown ones are left out."""
        counts = {
            "gen_ai.usage.input_tokens": self.request_tokens,
            "gen_ai.usage.output_tokens": self.response_tokens,
        }
        for key, value in (self.details or {}).items():
            counts[f"gen_ai.usage.details.{key}"] = value
        return {key: value for key, value in counts.items() if value}


def _price_table(source: Any) -> Any:
    if source is None:
        return None
    from .prices import PriceTable

    try:
        return PriceTable.of(source)
    except (OSError, ValueError) as error:
        raise UserError(f"UsageLimits(prices=) cannot be used: {error}") from None


def _dollars(limit: Any) -> Optional[Decimal]:
    if limit is None:
        return None
    try:
        dollars = Decimal("NaN") if isinstance(limit, bool) else Decimal(str(limit))
    except InvalidOperation:
        dollars = Decimal("NaN")
    if not dollars.is_finite() or dollars < 0:
        raise UserError(f"cost_limit is a number of US dollars from 0 on, or None for no limit; got {limit!r}.")
    return dollars


@attrs.frozen
class UsageLimits:
    """
    What a run may use; None means no limit.

    Args:
        request_limit: requests to a model, checked before each.
        request_tokens_limit: tokens sent, checked after each response, as are the next two.
        response_tokens_limit: tokens received.
        total_tokens_limit: both together.
        tool_calls_limit: calls of function tools, checked before the calls of a step; result tools do not count.
        cost_limit: US dollars, checked after each response. A model without a known price is refused.
        prices: the caller's own, before the known ones: dollars for a million tokens by ``provider:model``, or the
            path of a JSON file; see :class:`~syncagent.prices.PriceTable`.

    Raises:
        UserError: a limit is negative or not a whole number (a cost: no number), or the prices are none.
    """

    request_limit: Optional[int] = 50
    request_tokens_limit: Optional[int] = None
    response_tokens_limit: Optional[int] = None
    total_tokens_limit: Optional[int] = None
    tool_calls_limit: Optional[int] = attrs.field(default=None, kw_only=True)
    cost_limit: Optional[Decimal] = attrs.field(default=None, kw_only=True, converter=_dollars)
    prices: Any = attrs.field(default=None, kw_only=True, converter=_price_table, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        for name in _WHOLE:
            limit = getattr(self, name)
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
                raise UserError(f"{name} is a whole number from 0 on, or None for no limit; got {limit!r}.")

    def has_token_limits(self) -> bool:
        """Whether any limit is on tokens."""
        return any(
            limit is not None
            for limit in (self.request_tokens_limit, self.response_tokens_limit, self.total_tokens_limit)
        )

    def check_before_request(self, usage: Usage) -> None:
        """Raise ``UsageLimitExceeded`` where one more request is one too many, with those that are under way."""
        if self.request_limit is not None and usage.requests + usage.under_way >= self.request_limit:
            raise UsageLimitExceeded(f"The next request would exceed the request_limit of {self.request_limit}")

    def check_tokens(self, usage: Usage) -> None:
        """Raise ``UsageLimitExceeded`` where the tokens so far are over a limit."""
        for name in ("request_tokens", "response_tokens", "total_tokens"):
            limit, count = getattr(self, name + "_limit"), getattr(usage, name) or 0
            if limit is not None and count > limit:
                raise UsageLimitExceeded(f"Exceeded the {name}_limit of {limit} ({name}={count})")

    def check_before_tool_calls(self, usage: Usage, calls: int) -> None:
        """Raise ``UsageLimitExceeded`` where *calls* more calls of function tools are too many."""
        limit, count = self.tool_calls_limit, usage.tool_calls + calls
        if limit is not None and count > limit:
            raise UsageLimitExceeded(
                f"The next tool call(s) would exceed the tool_calls_limit of {limit} (tool_calls={count})"
            )

    def check_cost(self, usage: Usage) -> None:
        """Raise ``UsageLimitExceeded`` where the cost so far is over the limit."""
        limit, cost = self.cost_limit, usage.cost or 0
        if limit is not None and cost > limit:
            raise UsageLimitExceeded(f"Exceeded the cost_limit of {limit:f} (cost={Decimal(cost).normalize():f})")


_WHOLE = (
    "request_limit",
    "request_tokens_limit",
    "response_tokens_limit",
    "total_tokens_limit",
    "tool_calls_limit",
)
