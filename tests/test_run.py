"""Runs step by step, captured, overridden and nested, and how they fail."""

from __future__ import annotations

import contextvars
import inspect
import re
import threading
from typing import Any

import pytest

from syncagent import capture_run_messages
from syncagent.agent import Agent, AgentRun, CallToolsNode, End, ModelRequestNode, UserPromptNode
from syncagent.exceptions import (
    AgentRunError,
    ModelHTTPError,
    UnexpectedModelBehavior,
    UserError,
)
from syncagent.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from syncagent.models.test import TestModel
from syncagent.result_tools import FinalResult
from syncagent.tools import RunContext
from syncagent.usage import Usage, UsageLimits
from tests.scripted_model import Scripted, call, said


def looking_agent(*answers: Any) -> Agent[Any, str]:
    """An agent whose model answers so, with the tool ``look``."""
    agent: Agent[Any, str] = Agent(Scripted(*answers))

    @agent.tool_plain
    def look() -> str:
        return "seen"

    return agent


# --- iter ------------------------------------------------------------------------------------------


def test_iterating_gives_the_nodes_after_the_first() -> None:
    """A run begins before its prompt node; iterating gives every node after it, the end included."""
    with looking_agent(call("look"), "done").iter("Hi") as run:
        assert isinstance(run, AgentRun)
        assert run.next_node == UserPromptNode("Hi")
        assert run.result is None
        nodes = list(run)
    assert [type(node) for node in nodes] == [ModelRequestNode, CallToolsNode, ModelRequestNode, CallToolsNode, End]
    assert run.result is not None
    assert (run.result.data, run.next_node, run.usage().requests) == ("done", nodes[-1], 2)
    assert list(run) == []
    guards = [Agent.is_user_prompt_node, Agent.is_model_request_node, Agent.is_call_tools_node, Agent.is_end_node]
    kinds = [UserPromptNode("Hi"), nodes[0], nodes[1], nodes[-1]]
    assert [[guard(node) for guard in guards] for node in kinds] == [
        [index == place for index in range(4)] for place in range(4)
    ]


def test_a_boundary_is_before_the_node() -> None:
    """Nothing of a node has happened when it is handed out; state and deps can be read at any time."""
    agent = looking_agent(call("look"), "done")
    with agent.iter("Hi", deps="d") as run:
        steps = []
        while not isinstance(run.next_node, End):
            steps.append((type(run.next_node).__name__, len(run.ctx.state.message_history), run.ctx.state.run_step))
            run.next()
    assert steps == [
        ("UserPromptNode", 0, 0), ("ModelRequestNode", 0, 0), ("CallToolsNode", 2, 1),
        ("ModelRequestNode", 2, 1), ("CallToolsNode", 4, 2),
    ]  # fmt: skip
    assert (run.ctx.deps, run.ctx.state.usage, run.ctx.state.retries) == ("d", run.usage(), 0)
    assert repr(run).startswith("<AgentRun next_node=End usage=Usage(requests=2")


def test_another_node_may_take_the_place() -> None:
    """next(node) runs the node that it is given instead of the one that would follow."""
    model = Scripted("first", "second")
    with Agent(model).iter("Hi") as run:
        node = run.next()
        assert isinstance(node, ModelRequestNode)
        node.request.parts[-1] = UserPromptPart("Changed")
        answered = run.next(node)
        assert isinstance(answered, CallToolsNode)
        assert answered.model_response.parts == [TextPart("first")]
        again = run.next(ModelRequestNode(ModelRequest([UserPromptPart("Again")])))
        run.next(again)
    assert run.result is not None
    assert run.result.data == "second"
    assert [said(asked.messages[-1])[0][1] for asked in model.asked] == ["Changed", "Again"]


def test_nodes_compare_by_what_they_hold() -> None:
    """Nodes are values: equal where request or response are, with a repr that shows them."""
    request, response = ModelRequest([]), ModelResponse([TextPart("x")])
    assert ModelRequestNode(request) == ModelRequestNode(ModelRequest([]))
    assert CallToolsNode(response) == CallToolsNode(response)
    assert repr(UserPromptNode("Hi")) == "UserPromptNode(user_prompt='Hi')"
    assert repr(CallToolsNode(response)).startswith("CallToolsNode(model_response=ModelResponse(parts=[TextPart(")


def test_an_end_may_take_the_place() -> None:
    """next(End(...)) stops the run there, with that result."""
    with looking_agent(call("look")).iter("Hi") as run:
        run.next()
        end = run.next(End(FinalResult("mine")))
    assert end == run.next_node == End(FinalResult("mine"))
    assert run.result is not None
    assert run.result.data == "mine"


@pytest.mark.parametrize("node", ["no node", 0, End("no final result")])
def test_what_is_no_node(node: Any) -> None:
    """What a run cannot go on with is refused; the run is as it was."""
    with Agent(Scripted("x")).iter("Hi") as run:
        with pytest.raises(UserError, match=r"A run (goes on|ends) with"):
            run.next(node)
        assert list(run)[-1] == End(FinalResult("x"))


def test_a_run_that_is_over_cannot_go_on() -> None:
    """After the end, after leaving the with, and after an error, next() is a UserError."""
    with Agent(Scripted("x")).iter("Hi") as run:
        list(run)
        with pytest.raises(UserError, match=re.escape("The run has ended; its result is in `.result`.")):
            run.next()
    with Agent(Scripted("x")).iter("Hi") as left:
        left.next()
    with pytest.raises(UserError, match="failed or was closed"):
        left.next()
    with Agent(Scripted(ValueError("v"))).iter("Hi") as failed:
        failed.next()
        with pytest.raises(ValueError, match="v"):
            failed.next()
        with pytest.raises(UserError, match="failed or was closed"):
            failed.next()


# --- errors ----------------------------------------------------------------------------------------


def test_errors_carry_messages_and_usage() -> None:
    """An AgentRunError leaves the run with its messages and usage, the failing response included."""
    with pytest.raises(UnexpectedModelBehavior) as caught:
        Agent(Scripted(call("nope"), call("nope"))).run_sync("Hi")
    assert caught.value.messages is not None
    assert [type(message) for message in caught.value.messages] == [
        ModelRequest, ModelResponse, ModelRequest, ModelResponse,
    ]  # fmt: skip
    assert caught.value.usage == Usage(2, 20, 4, 24)
    error = ModelHTTPError(500, "m")
    with pytest.raises(ModelHTTPError) as http:
        Agent(Scripted(error)).run_sync("Hi")
    assert http.value is error
    assert http.value.messages is not None
    assert (len(http.value.messages), http.value.usage) == (1, Usage())


def test_an_inner_runs_error_keeps_its_own_messages() -> None:
    """The error of a run inside a tool passes through the outer run with the inner run's messages."""
    outer = Agent(Scripted(call("ask")))

    @outer.tool_plain
    def ask() -> str:
        return Agent(Scripted(call("nope")), retries=0).run_sync("Inner").data

    with pytest.raises(UnexpectedModelBehavior) as caught:
        outer.run_sync("Outer")
    assert caught.value.messages is not None
    assert said(caught.value.messages[0]) == [("user-prompt", "Inner")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_pass_and_leave_the_agent_usable(error: type[BaseException]) -> None:
    """What interrupts a request passes unchanged; the next run of the same agent is untouched by it."""
    agent = Agent(Scripted(error(), "fine"))
    with pytest.raises(error):
        agent.run_sync("Hi")
    result = agent.run_sync("Hi")
    assert (result.data, len(result.all_messages()), result.usage().requests) == ("fine", 2, 1)


# --- capture ---------------------------------------------------------------------------------------


def test_capture_holds_what_happened() -> None:
    """The first run inside the with fills the list while it goes; it stays after an error of a tool."""
    agent = looking_agent([call("look"), call("fail")])

    @agent.tool_plain
    def fail() -> str:
        raise ValueError(f"{len(messages)} messages")

    with capture_run_messages() as messages, pytest.raises(ValueError, match="2 messages"):
        agent.run_sync("Hi", message_history=[])
    assert [type(message) for message in messages] == [ModelRequest, ModelResponse]


def test_capture_is_of_the_first_run() -> None:
    """Later runs, and runs inside the first one's tools, are not captured; the history is in the list."""
    outer = Agent(Scripted(call("ask"), "outer done"))

    @outer.tool_plain
    def ask() -> str:
        return Agent(Scripted("inner")).run_sync("Inner").data

    history: list[ModelMessage] = [ModelRequest([UserPromptPart("Before")]), ModelResponse([TextPart("y")])]
    with capture_run_messages() as messages:
        result = outer.run_sync("Outer", message_history=history)
        Agent(Scripted("x")).run_sync("Later")
    assert messages is result.all_messages()
    assert (len(messages), len(history)) == (6, 2)
    assert messages[:2] == history


def test_nested_captures_are_one() -> None:
    """A capture inside another gives the same list; after both, nothing is captured."""
    with capture_run_messages() as outer, capture_run_messages() as inner:
        Agent(Scripted("x")).run_sync("Hi")
    assert inner is outer
    assert len(outer) == 2
    with capture_run_messages() as other:
        pass
    Agent(Scripted("x")).run_sync("Hi")
    assert other == []


# --- override --------------------------------------------------------------------------------------


def test_override_replaces_deps_and_model() -> None:
    """Overridden deps beat the run's, None included; overrides nest, keep what they do not name, and end."""
    agent: Agent[Any, str] = Agent(TestModel(custom_result_text="own"))
    seen: list[Any] = []
    agent.system_prompt(lambda ctx: seen.append(ctx.deps) or "")

    def run() -> str:
        return agent.run_sync("Hi", deps="run").data

    with agent.override(deps=None):
        assert run() == "own"
        with agent.override(model=TestModel(custom_result_text="other")):
            assert run() == "other"
            with agent.override(deps=3):
                assert run() == "other"
        assert run() == "own"
    run()
    assert seen == [None, None, 3, None, "run"]


def test_what_is_not_overridden_reads_so() -> None:
    """The signature says UNSET where None would be an override."""
    assert str(inspect.signature(Agent.override)).startswith("(self, *, deps: 'Any' = UNSET, model: ")


def test_override_is_of_one_agent() -> None:
    """Other agents do not see an override, and it ends with an exception, too."""
    one, two = Agent(TestModel(custom_result_text="1")), Agent(TestModel(custom_result_text="2"))
    with pytest.raises(ZeroDivisionError), one.override(model=TestModel(custom_result_text="o")):
        assert (one.run_sync("Hi").data, two.run_sync("Hi").data) == ("o", "2")
        raise ZeroDivisionError
    assert one.run_sync("Hi").data == "1"
    with one.override(model=TestModel(custom_result_text="o")), two.override(model=TestModel(custom_result_text="t")):
        assert (one.run_sync("Hi").data, two.run_sync("Hi").data) == ("o", "t")


def _in_a_thread(function: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_other_threads_see_nothing_of_it() -> None:
    """Overrides and captures are the caller's: a thread that it starts sees neither, unless its context is copied."""
    agent = Agent(TestModel(custom_result_text="own"))

    def run() -> str:
        return agent.run_sync("Hi").data

    with agent.override(model=TestModel(custom_result_text="other")), capture_run_messages() as messages:
        assert _in_a_thread(run) == "own"
        assert messages == []
        context = contextvars.copy_context()
        assert _in_a_thread(lambda: context.run(run)) == "other"
        assert len(messages) == 2


# --- nesting ---------------------------------------------------------------------------------------


def test_nested_runs_share_a_budget() -> None:
    """usage=ctx.usage: the inner run counts on the outer run's usage, and its limits see both."""
    outer: Agent[None, str] = Agent(Scripted(call("ask"), "done"))

    @outer.tool
    def ask(ctx: RunContext[None]) -> str:
        return looking_agent([call("look"), call("look")], "inner").run_sync("Inner", usage=ctx.usage).data

    result = outer.run_sync("Outer")
    assert (result.usage().requests, result.usage().total_tokens, result.usage().tool_calls) == (4, 48, 3)
    with pytest.raises(AgentRunError, match="The next request would exceed the request_limit of 2"):
        outer.run_sync("Outer", usage_limits=UsageLimits(request_limit=2), model=Scripted(call("ask")))


def test_endless_nesting_ends() -> None:
    """A tool that calls its own agent without end is a UserError long before Python's own limit."""
    agent: Agent[None, str] = Agent(Scripted(call("again")))
    depth = 0

    @agent.tool_plain
    def again() -> str:
        nonlocal depth
        depth += 1
        return agent.run_sync("Again").data

    with pytest.raises(UserError, match="Runs are nested 20 deep"):
        agent.run_sync("Hi")
    assert depth == 20
    assert Agent(Scripted("x")).run_sync("Hi").data == "x"
