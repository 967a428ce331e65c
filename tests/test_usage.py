"""Usage adds up, and its limits say when a run has had enough."""

from __future__ import annotations

import os
import threading
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.exceptions import UsageLimitExceeded, UserError
from syncagent.usage import Usage, UsageLimits


def test_defaults() -> None:
    """A new usage counts nothing: no requests, and unknown tokens."""
    usage = Usage()
    assert (usage.requests, usage.request_tokens, usage.response_tokens, usage.total_tokens) == (0, None, None, None)
    assert usage.details is None
    assert repr(usage) == (
        "Usage(requests=0, request_tokens=None, response_tokens=None, total_tokens=None, details=None)"
    )


def test_incr() -> None:
    """``incr`` adds in place: unknown and unknown stays unknown, otherwise unknown is 0; details by key."""
    usage = Usage(1, 10, None, None, {"a": 1})
    assert usage.incr(Usage(2, None, 3, None, {"a": 2, "b": 5}), requests=4) is None  # type: ignore[func-returns-value] # that is the point
    assert usage == Usage(7, 10, 3, None, {"a": 3, "b": 5})


def test_incr_leaves_the_other_alone() -> None:
    """Neither the usage that is added nor a dict that another usage holds is changed."""
    details = {"a": 1}
    first, second, total = Usage(details=details), Usage(details={"a": 2}), Usage()
    total.incr(first)
    total.incr(second)
    assert (details, second.details, total.details) == ({"a": 1}, {"a": 2}, {"a": 3})
    total.incr(Usage(details={}))
    assert total.details == {"a": 3}


def test_sum() -> None:
    """``a + b`` is a new usage."""
    first, second = Usage(1, 2), Usage(1, 3, 4, 7)
    assert first + second == Usage(2, 5, 4, 7)
    assert (first, second) == (Usage(1, 2), Usage(1, 3, 4, 7))


def test_tool_calls_and_cost() -> None:
    """Tool calls and cost add up as well; they are no part of equality, and shown only where they are set."""
    usage = Usage(tool_calls=1) + Usage(tool_calls=2, cost=Decimal("0.1")) + Usage(cost=Decimal("0.2"))
    assert (usage.tool_calls, usage.cost) == (3, Decimal("0.3"))
    assert usage == Usage()
    assert repr(usage).endswith("details=None, tool_calls=3, cost=Decimal('0.3'))")
    with pytest.raises(TypeError):
        Usage(0, None, None, None, None, 1)  # type: ignore[misc] # by keyword only


def test_newer_names() -> None:
    """Tokens can be read by their newer names, and not be set by them."""
    usage = Usage(request_tokens=1, response_tokens=2)
    assert (usage.input_tokens, usage.output_tokens) == (1, 2)
    with pytest.raises(AttributeError):
        usage.input_tokens = 3  # type: ignore[misc] # that is the point


def test_opentelemetry_attributes() -> None:
    """OpenTelemetry's attributes are the known counts; zeros and unknown ones are left out."""
    usage = Usage(1, 10, 0, 10, {"cached_tokens": 4, "audio_tokens": 0})
    assert usage.opentelemetry_attributes() == {
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.details.cached_tokens": 4,
    }
    assert Usage(response_tokens=3).opentelemetry_attributes() == {"gen_ai.usage.output_tokens": 3}


_COUNT = st.none() | st.integers(0, 10**6)
_USAGE = st.builds(Usage, st.integers(0, 9), _COUNT, _COUNT, _COUNT)


@given(_USAGE, _USAGE, _USAGE)
def test_order_of_adding_does_not_matter(one: Usage, two: Usage, three: Usage) -> None:
    """Usages add up to the same in any order, and an empty one adds nothing."""
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + Usage() == one


# --- limits ----------------------------------------------------------------------------------------


def test_default_limits() -> None:
    """By default a run may make 50 requests and use any number of tokens and tool calls."""
    limits = UsageLimits()
    assert (limits.request_limit, limits.tool_calls_limit, limits.has_token_limits()) == (50, None, False)
    limits.check_before_request(Usage(49))
    limits.check_tokens(Usage(1, 10**9, 10**9, 10**9))
    limits.check_before_tool_calls(Usage(tool_calls=10**9), 1)
    with pytest.raises(UsageLimitExceeded, match=r"^The next request would exceed the request_limit of 50$"):
        limits.check_before_request(Usage(50))


@pytest.mark.parametrize("name", ["request_tokens_limit", "response_tokens_limit", "total_tokens_limit"])
def test_has_token_limits(name: str) -> None:
    """Each of the three limits on tokens is one, 0 too."""
    assert UsageLimits(**{name: 0}).has_token_limits()  # type: ignore[arg-type] # one of the three


def test_request_limit() -> None:
    """Requests are checked before each: as many as the limit are allowed, none without a limit refused."""
    with pytest.raises(UsageLimitExceeded, match="request_limit of 1"):
        UsageLimits(request_limit=1).check_before_request(Usage(1))
    with pytest.raises(UsageLimitExceeded, match="request_limit of 0"):
        UsageLimits(request_limit=0).check_before_request(Usage())
    UsageLimits(request_limit=None).check_before_request(Usage(10**9))


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (UsageLimits(request_tokens_limit=1), "Exceeded the request_tokens_limit of 1 (request_tokens=52)"),
        (UsageLimits(response_tokens_limit=1), "Exceeded the response_tokens_limit of 1 (response_tokens=4)"),
        (UsageLimits(total_tokens_limit=1), "Exceeded the total_tokens_limit of 1 (total_tokens=56)"),
        (UsageLimits(50, 1, 1, 1), "Exceeded the request_tokens_limit of 1 (request_tokens=52)"),
        (UsageLimits(50, None, 1, 1), "Exceeded the response_tokens_limit of 1 (response_tokens=4)"),
    ],
)
def test_token_limits(limits: UsageLimits, text: str) -> None:
    """Each limit on tokens has its text; they are checked in the order request, response, total."""
    with pytest.raises(UsageLimitExceeded) as raised:
        limits.check_tokens(Usage(1, 52, 4, 56))
    assert str(raised.value) == text


def test_tokens_up_to_the_limit() -> None:
    """As many tokens as the limit says are allowed, and unknown ones are none."""
    UsageLimits(50, 52, 4, 56).check_tokens(Usage(1, 52, 4, 56))
    UsageLimits(50, 0, 0, 0).check_tokens(Usage())


def test_tool_calls_limit() -> None:
    """The calls of a step are checked together, before the first of them."""
    limits = UsageLimits(tool_calls_limit=3)
    limits.check_before_tool_calls(Usage(tool_calls=2), 1)
    with pytest.raises(UsageLimitExceeded) as raised:
        limits.check_before_tool_calls(Usage(tool_calls=2), 2)
    assert str(raised.value) == "The next tool call(s) would exceed the tool_calls_limit of 3 (tool_calls=4)"
    assert raised.value.messages is raised.value.usage is None


@pytest.mark.parametrize("limit", [-1, 1.0, "1", True])
@pytest.mark.parametrize(
    "name",
    ["request_limit", "request_tokens_limit", "response_tokens_limit", "total_tokens_limit", "tool_calls_limit"],
)
def test_wrong_limits(name: str, limit: Any) -> None:
    """A limit that is negative or no whole number is refused at once, with its name."""
    with pytest.raises(UserError) as raised:
        UsageLimits(**{name: limit})
    assert str(raised.value) == f"{name} is a whole number from 0 on, or None for no limit; got {limit!r}."


def test_limits_are_frozen() -> None:
    """Limits can be shared: nothing changes them."""
    with pytest.raises(AttributeError):
        UsageLimits().request_limit = 3  # type: ignore[misc] # that is the point


def test_a_child_counts_whatever_its_parent_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another process held is not waited for, also where no fork hook is called."""
    from syncagent import usage as module

    lock = threading.RLock()
    holder = threading.Thread(target=lock.acquire)
    holder.start()
    holder.join()
    monkeypatch.setattr(module._counting, "made", (os.getpid() + 1, lock))
    usage = Usage()
    counting = threading.Thread(target=usage.incr, args=(Usage(requests=1),), daemon=True)
    counting.start()
    counting.join(10)
    assert usage.requests == 1
