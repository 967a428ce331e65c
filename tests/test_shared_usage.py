"""Limits that runs keep together: nothing is sent, and no tool begins, between a check and its count."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
from typing import Any, Optional

import pytest

from syncagent.agent import Agent
from syncagent.exceptions import ModelConnectionError, UsageLimitExceeded
from syncagent.jsonable import dump_str
from syncagent.messages import ModelMessage, ModelResponse, TextPart
from syncagent.models.function import AgentInfo, FunctionModel
from syncagent.tools import RunContext
from syncagent.usage import Usage, UsageLimits
from tests.scripted_model import Scripted, call
from tests.test_streamed import scripted

in_order_or_not = pytest.mark.parametrize("parallel", [None, 8])


@in_order_or_not
def test_requests_of_runs_beside_each_other(parallel: Optional[int]) -> None:
    """However many runs inside tools count on one usage at once, no request over the limit is sent."""
    sent, lock = [0], threading.Lock()
    limits = UsageLimits(request_limit=3)

    def slow(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        with lock:
            sent[0] += 1
        time.sleep(0.05)
        return ModelResponse([TextPart("inner")])

    inner = Agent(FunctionModel(slow))

    def ask(ctx: RunContext[None]) -> str:
        return inner.run_sync("Hi", usage=ctx.usage, usage_limits=limits).data

    agent = Agent(Scripted([call("ask") for _ in range(8)], "done"), tools=[ask], parallel_tools=parallel)
    with pytest.raises(UsageLimitExceeded) as caught:
        agent.run_sync("Hi", usage_limits=limits)
    assert str(caught.value) == "The next request would exceed the request_limit of 3"
    assert sent == [2]
    assert caught.value.usage is not None
    assert (caught.value.usage.requests, caught.value.usage.under_way) == (3, 0)


def test_a_request_that_fails_leaves_its_place() -> None:
    """An error, a stream that is closed or forgotten, and an iterator that is left take nothing away from others."""
    usage = Usage()
    limits = UsageLimits(request_limit=1)
    with pytest.raises(ModelConnectionError):
        Agent(Scripted(ModelConnectionError("cut", model_name="m"))).run_sync("Hi", usage=usage)
    assert (usage.requests, usage.under_way) == (0, 0)

    def forget() -> None:
        events = Agent(scripted(["a", "b"])).run_stream_events("Hi", usage=usage)
        next(iter(events))
        assert usage.under_way == 1

    forget()
    gc.collect()
    assert usage.under_way == 0
    usage = Usage()
    with Agent(scripted(["a", "b"])).run_stream("Hi", usage=usage, usage_limits=limits):
        assert (usage.requests, usage.under_way) == (0, 1)
        with pytest.raises(UsageLimitExceeded, match="request_limit of 1"):
            Agent(Scripted("no")).run_sync("Hi", usage=usage, usage_limits=limits)
    assert (usage.requests, usage.under_way) == (1, 0)
    events = Agent(scripted(["a", "b"])).run_stream_events("Hi", usage=usage)
    next(iter(events))
    events.close()
    assert (usage.requests, usage.under_way) == (2, 0)


def test_a_function_that_sends_meanwhile() -> None:
    """A history processor's own run finds the request counted that it was called for, and the other way round."""
    usage, limits = Usage(), UsageLimits(request_limit=1)
    inner = Agent(Scripted("inner"))

    def shorten(messages: list[ModelMessage]) -> list[ModelMessage]:
        inner.run_sync("Shorten", usage=usage, usage_limits=limits)
        return messages

    agent = Agent(Scripted("outer"), history_processors=[shorten])
    with pytest.raises(UsageLimitExceeded, match="request_limit of 1"):
        agent.run_sync("Hi", usage=usage, usage_limits=limits)
    assert (usage.requests, usage.under_way) == (0, 0)
    limits = UsageLimits(request_limit=2)
    assert agent.run_sync("Hi", usage=usage, usage_limits=limits).usage().requests == 2


def test_requests_under_way_are_no_part_of_a_usage() -> None:
    """Neither equality nor text, copies, pickles and JSON know of them."""
    usage = Usage(1, 2)
    usage.begin_request(UsageLimits())
    assert usage.under_way == 1
    assert usage == Usage(1, 2)
    assert repr(usage) == repr(Usage(1, 2))
    assert dump_str(usage) == dump_str(Usage(1, 2))
    for other in (copy.copy(usage), copy.deepcopy(usage), pickle.loads(pickle.dumps(usage)), usage + Usage()):
        assert (other, other.under_way) == (Usage(1, 2), 0)
    usage.end_request(Usage(0, 3))
    assert (usage, usage.under_way) == (Usage(2, 5), 0)


def test_tool_calls_of_runs_inside_each_other() -> None:
    """The calls of a step count before they begin, so that a run inside one of them finds them counted."""
    limits = UsageLimits(tool_calls_limit=3)
    began: list[str] = []

    def inside() -> None:
        began.append("inside")

    inner = Agent(Scripted([call("inside")], "done"), tools=[inside])

    def ask(ctx: RunContext[None]) -> str:
        began.append("ask")
        return inner.run_sync("Hi", usage=ctx.usage, usage_limits=limits).data

    agent = Agent(Scripted([call("ask")] * 3, "done"), tools=[ask])
    with pytest.raises(UsageLimitExceeded) as caught:
        agent.run_sync("Hi", usage_limits=limits)
    assert str(caught.value) == "The next tool call(s) would exceed the tool_calls_limit of 3 (tool_calls=4)"
    assert began == ["ask"]


@in_order_or_not
def test_calls_that_began_count(parallel: Optional[int]) -> None:
    """Where a tool raises, the calls that have begun are counted, and those that never do are not."""
    began: list[int] = []

    def work(number: int) -> None:
        began.append(number)
        if number == 1:
            raise ZeroDivisionError

    usage = Usage()
    agent = Agent(Scripted([call("work", number=n) for n in range(40)]), tools=[work], parallel_tools=parallel)
    with pytest.raises(ZeroDivisionError):
        agent.run_sync("Hi", usage=usage)
    assert usage.tool_calls == len(began)
    assert parallel or began == [0, 1]


def test_a_step_over_the_limit_is_not_counted() -> None:
    """What is refused never began."""
    usage: Any = Usage()
    with pytest.raises(UsageLimitExceeded):
        usage.begin_tool_calls(2, UsageLimits(tool_calls_limit=1))
    assert usage.tool_calls == 0
