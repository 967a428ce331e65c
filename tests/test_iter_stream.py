"""``node.stream(run.ctx)``: looking into one step of a run while it happens."""

from __future__ import annotations

import gc
from itertools import islice
from typing import Any, Optional

import attrs
import pytest

from syncagent import Agent, Deadline
from syncagent.deadline import current_deadline
from syncagent.exceptions import AgentRunError, ModelConnectionError, RunCancelled, UserError
from syncagent.loop import CallToolsNode, End, ModelRequestNode
from syncagent.messages import (
    FinalResultEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelRequest,
    PartDeltaEvent,
    TextPart,
    TextPartDelta,
    UserPromptPart,
)
from syncagent.models.function import DeltaToolCall
from syncagent.result_tools import FinalResult
from syncagent.usage import Usage
from tests.scripted_model import Scripted
from tests.scripted_model import call as tool_call
from tests.test_streamed import EventModel, call, more, scripted, start, with_tool


@attrs.define
class City:
    """A city."""

    name: str


def double(x: int) -> int:
    """Double a number."""
    return 2 * x


def test_a_run_node_by_node() -> None:
    """Each request's events and each response's tools are handed out while they come; the run goes on by itself."""
    agent, called = with_tool(scripted(["Hm. ", call("double", '{"x": 7}', 1)], ["It is ", "14."]))
    seen: list[Any] = []
    with agent.iter("Hello") as run:
        for node in run:
            if isinstance(node, ModelRequestNode):
                with node.stream(run.ctx) as stream:
                    seen += [event.event_kind for event in stream]
            elif isinstance(node, CallToolsNode):
                with node.stream(run.ctx) as events:
                    seen += list(events)
        assert run.result is not None
        assert run.result.data == "It is 14."
    assert seen[:3] == ["part_start", "final_result", "part_start"]
    assert [type(event) for event in seen[3:5]] == [FunctionToolCallEvent, FunctionToolResultEvent]
    assert seen[5:] == ["part_start", "final_result", "part_delta"]
    assert called == [7]
    assert run.usage().requests == 2
    assert len(run.result.all_messages()) == 4


def test_leaving_a_node_reads_the_rest() -> None:
    """A normal exit drains, since the run goes on; the tools that are left are called."""
    model = EventModel(start("a"), more("b"))
    with Agent(model).iter("Hello") as run:
        node: Any = run.next()
        with node.stream(run.ctx) as stream:
            assert next(iter(stream)) == start("a")
        assert model.closed == 1
        node = run.next(node)
        assert node.model_response.parts == [TextPart("ab")]
        assert isinstance(run.next(node), End)


def test_the_tools_that_are_left_are_called() -> None:
    """Leaving the events of a response's tools after the first one calls the others, in order."""
    pieces = [call("double", '{"x": 1}'), call("double", '{"x": 2}', 1)]
    agent, called = with_tool(scripted(pieces, ["done"]))
    with agent.iter("Hello") as run:
        node: Any = run.next()
        with node.stream(run.ctx):
            pass
        node = run.next(node)
        with node.stream(run.ctx) as events:
            assert isinstance(next(events), FunctionToolCallEvent)
            assert called == []
        assert called == [1, 2]
        node = run.next(node)
        assert isinstance(node, ModelRequestNode)
        assert [part.content for part in node.request.parts] == [2, 4]


def test_an_exception_closes_at_once() -> None:
    """The connection is closed, nothing is drained, and the run is over."""
    model = EventModel(start("a"), lambda: pytest.fail("read on"), more("b"))
    with Agent(model).iter("Hello") as run:
        node: Any = run.next()
        with pytest.raises(ZeroDivisionError), node.stream(run.ctx) as stream:
            next(iter(stream))
            raise ZeroDivisionError
        assert model.closed == 1
        with pytest.raises(UserError, match="failed or was closed"):
            run.next()
    assert len(run.ctx.state.message_history) == 1


@pytest.mark.parametrize("closed", ["stream", "run"])
def test_closing_inside_closes_at_once(closed: str) -> None:
    """``close()`` of the stream or of the run stops there; the exit reads nothing more."""
    model = EventModel(start("a"), lambda: pytest.fail("read on"), more("b"))
    with Agent(model).iter("Hello") as run:
        node: Any = run.next()
        with node.stream(run.ctx) as stream:
            assert next(iter(stream)) == start("a")
            (stream if closed == "stream" else run).close()
            assert model.closed == 1
            assert [event for event in stream if not isinstance(event, FinalResultEvent)] == []
        with pytest.raises(UserError, match="closed"):
            run.next(node)
    assert run.usage().requests == 1


def test_closing_inside_the_tools() -> None:
    """A run that is closed between two tool calls does not call the second one."""
    pieces = [call("double", '{"x": 1}'), call("double", '{"x": 2}', 1)]
    agent, called = with_tool(scripted(pieces))
    with agent.iter("Hello") as run:
        node: Any = run.next()
        with node.stream(run.ctx):
            pass
        with run.next(node).stream(run.ctx) as events:  # type: ignore[union-attr] # the response's
            next(events)
            next(events)
            run.close()
    assert called == [1]


@pytest.mark.parametrize("parallel", [None, 2])
@pytest.mark.parametrize("read", [0, 1, 2])
def test_closing_the_tools_events(read: int, parallel: Optional[int]) -> None:
    """Closing the events closes the run: calls that did not begin never do, and an iteration over it just ends."""
    called: list[int] = []

    def double(x: int) -> None:
        called.append(x)

    model = Scripted([tool_call("double", x=1), tool_call("double", x=2)], "done")
    agent = Agent(model, tools=[double], parallel_tools=parallel)
    with agent.iter("Hello") as run:
        for node in run:
            if isinstance(node, CallToolsNode):
                with node.stream(run.ctx) as events:
                    for _ in range(read):
                        next(events)
                    events.close()  # type: ignore[attr-defined] # it is a generator
        assert isinstance(node, CallToolsNode)
        assert run.result is None
        assert called == ([1] if read == 2 and parallel is None else [])
        assert run.usage().tool_calls == len(called)
        with pytest.raises(UserError, match="closed"):
            run.next()
    assert len(model.asked) == 1


@pytest.mark.parametrize("parallel", [None, 2])
def test_closing_the_tools_events_after_the_last(parallel: Optional[int]) -> None:
    """Where all that there was has come, closing the events changes nothing."""
    agent = Agent(Scripted(tool_call("double", x=1), "done"), tools=[double], parallel_tools=parallel)
    with agent.iter("Hello") as run:
        for node in run:
            if isinstance(node, CallToolsNode):
                with node.stream(run.ctx) as events:
                    kinds = [event.event_kind for event in islice(events, 2)]
                    events.close()  # type: ignore[attr-defined] # it is a generator
                assert kinds in (["function_tool_call", "function_tool_result"], [])
        assert run.result is not None
        assert run.result.data == "done"


def test_an_error_of_the_loop_is_no_closing() -> None:
    """A ``ValueError`` of the user's comes out as it is, whatever it says; one of a loop that is closed says so."""

    class Busy:
        def send(self, value: Any) -> Any:
            raise ValueError("generator already executing")

        def close(self) -> None:
            raise ValueError("generator already executing")

    with Agent(Scripted("done")).iter("Hello") as run:
        run._loop = Busy()  # type: ignore[assignment] # as it is while another thread is inside
        with pytest.raises(ValueError, match="already executing"):
            run._cross(None)
        run.close()
        with pytest.raises(RunCancelled, match="closed"):
            run._cross(None)


def test_leaving_iter_closes_a_stream() -> None:
    """An exception that leaves both, and a forgotten ``with``, close the model's stream."""
    model = EventModel(start("a"), more("b"))
    with pytest.raises(ZeroDivisionError):
        with Agent(model).iter("Hello") as run, run.next().stream(run.ctx) as stream:  # type: ignore[union-attr]
            next(iter(stream))
            raise ZeroDivisionError
    assert model.closed == 1

    def forget() -> None:
        outer: Any = Agent(model, name="forgetful").iter("Hello", deadline=5)
        run = outer.__enter__()
        inner = run.next().stream(run.ctx)
        next(iter(inner.__enter__()))

    forget()
    gc.collect()
    assert model.closed == 2
    assert current_deadline.get() is None


@pytest.mark.parametrize("read", [0, 1, 10])
def test_a_half_streamed_node(read: int) -> None:
    """Going on inside the ``with`` of a stream, however much of it was read, is an error that says what to do."""
    with Agent(scripted(["a", "b"])).iter("Hello") as run:
        node: Any = run.next()
        with node.stream(run.ctx) as stream:
            for _ in zip(range(read), stream):
                continue
            with pytest.raises(AgentRunError, match="You must finish streaming before calling run"):
                run.next(node)
        assert isinstance(run.next(node), CallToolsNode)


def test_going_on_inside_the_tools_events() -> None:
    """The same holds for the events of tools."""
    agent, called = with_tool(scripted([call("double", '{"x": 1}')], ["done"]))
    with agent.iter("Hello") as run:
        node: Any = run.next()
        with node.stream(run.ctx):
            pass
        node = run.next(node)
        with node.stream(run.ctx), pytest.raises(AgentRunError, match="finish streaming"):
            run.next(node)
        assert called == [1]
        assert isinstance(run.next(node), ModelRequestNode)


def test_only_the_next_node_can_be_streamed() -> None:
    """Another node, the same one twice, and one of a run that is over are user's errors."""
    with Agent(scripted(["a"])).iter("Hello") as run:
        node: Any = run.next()
        other: Any = ModelRequestNode(ModelRequest([UserPromptPart("x")]))
        with pytest.raises(UserError, match="next node"), other.stream(run.ctx):
            pass
        with node.stream(run.ctx):
            pass
        with pytest.raises(UserError, match="only once"), node.stream(run.ctx):
            pass
        node = run.next()
        with node.stream(run.ctx) as events:
            assert list(events) == []
        run.next()
        with pytest.raises(UserError, match="has ended"), node.stream(run.ctx):
            pass


def test_another_node_may_follow() -> None:
    """After a stream the caller may still send another request, or end the run with a result of his own."""
    with Agent(scripted(["a"], ["b"])).iter("Hello") as run:
        node: Any = run.next()
        with node.stream(run.ctx):
            pass
        again = ModelRequestNode[None, str](ModelRequest([UserPromptPart("and again")]))
        with pytest.raises(UserError, match="next node"), again.stream(run.ctx):
            pass
        node = run.next(node)
        node = run.next(End(FinalResult("mine")))
        assert isinstance(node, End)
        assert run.result is not None
        assert run.result.data == "mine"


def test_usage_and_deadline_of_a_node() -> None:
    """Usage is seen while it grows, through the run and the stream; a cancelling is seen between two events."""
    deadline = Deadline()
    with Agent(scripted(["a ", "b ", "c "])).iter("Hello", deadline=deadline) as run:
        node: Any = run.next()
        with pytest.raises(RunCancelled) as caught, node.stream(run.ctx) as stream:
            for event in stream:
                assert run.usage() == stream.usage()
                if event == PartDeltaEvent(0, TextPartDelta("b ")):
                    deadline.cancel()
    assert caught.value.usage == Usage(1, 51, 2, 53)


def test_an_error_inside_a_node() -> None:
    """It carries the run and ends it."""
    with Agent(scripted(["a", ModelConnectionError("cut", model_name="m")])).iter("Hello") as run:
        node: Any = run.next()
        with pytest.raises(ModelConnectionError) as caught, node.stream(run.ctx) as stream:
            list(stream)
        assert len(caught.value.messages or []) == 1
        with pytest.raises(UserError, match="failed"):
            run.next()


def test_typed_results_of_a_node() -> None:
    """``stream_output`` gives partial values, and the node's result is found as ever."""
    with Agent(
        scripted([call("final_result", '{"name": "P'), {0: DeltaToolCall(None, 'aris"}')}]), result_type=City
    ).iter("x") as run:
        node: Any = run.next()
        with node.stream(run.ctx) as stream:
            assert list(stream.stream_output(debounce_by=None)) == [City("P"), City("Paris")]
        node = run.next(node)
        with node.stream(run.ctx) as events:
            assert list(events) == []
        end = run.next(node)
        assert isinstance(end, End)
        assert end.data.data == City("Paris")
