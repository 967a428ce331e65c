"""
What type checkers make of the public API. Never run: mypy --strict and pyright read it.

Each ``type: ignore`` is a mistake that has to be found; mypy says where one of them is not.
"""

from __future__ import annotations

import asyncio
from typing import Any, Optional, Union

import attrs
from typing_extensions import assert_type

from syncagent import Agent, Deadline, ModelRetry, RunContext, Tool, UsageLimits, capture_run_messages
from syncagent.agent import AgentRun, AgentRunResult, CallToolsNode, End, ModelRequestNode, UserPromptNode
from syncagent.messages import ModelMessage
from syncagent.models.test import TestModel
from syncagent.result import FinalResult, RunEvents, StreamedRunResult
from syncagent.tools import ToolDefinition, on_tool_thread_exit
from syncagent.usage import Usage


@attrs.define
class Deps:
    """Dependencies."""

    city: str


@attrs.define
class Forecast:
    """A result."""

    degrees: float


# --- agents ----------------------------------------------------------------------------------------

plain = Agent("test")
assert_type(plain, Agent[None, str])
typed = Agent(TestModel(), result_type=Forecast, deps_type=Deps)
assert_type(typed, Agent[Deps, Forecast])
listed = Agent("test", result_type=list[int])
assert_type(listed, Agent[None, list[int]])
newer = Agent("test", output_type=int, output_retries=2, retries=1)
assert_type(newer, Agent[None, int])
assert_type(Agent("test", result_type=Union[Forecast, str]).run_sync("Hi").data, Any)
union: Agent[None, Union[Forecast, str]] = Agent("test", result_type=Union[Forecast, str])
assert_type(union.run_sync("Hi").data, Union[Forecast, str])


class Subclass(Agent[None, str]):  # type: ignore[misc] # Agent is final
    pass


# --- runs ------------------------------------------------------------------------------------------

assert_type(plain.run_sync("Hi"), AgentRunResult[str])
assert_type(plain.run_sync("Hi").data, str)
assert_type(plain.run_sync("Hi").output, str)
assert_type(typed.run_sync("Hi", deps=Deps("Rome")), AgentRunResult[Forecast])
assert_type(typed.run_sync("Hi", deps=Deps("Rome"), result_type=int).data, int)
assert_type(typed.run_sync("Hi", deps=Deps("Rome"), result_type=list[int]).data, list[int])
assert_type(typed.run_sync("Hi", deps=Deps("Rome"), result_type=Union[int, str]).data, Any)
result = plain.run_sync(
    "Hi",
    message_history=plain.run_sync("Before").all_messages(),
    model="test",
    model_settings={"temperature": 0.5, "timeout": (5, 60)},
    usage_limits=UsageLimits(request_limit=3),
    usage=Usage(),
    infer_name=False,
    deadline=Deadline(3),
)
assert_type(result.usage(), Usage)
assert_type(result.all_messages(), list[ModelMessage])
assert_type(result.new_messages_json(), bytes)

plain.run_sync()  # type: ignore[call-overload] # a run has a prompt
plain.run_sync("Hi", deadline="soon")  # type: ignore[call-overload] # seconds
plain.run_sync("Hi", model_settings={"temprature": 1})  # type: ignore[call-overload] # no such key
typed.run_sync("Hi", deps="Rome")  # type: ignore[call-overload] # other dependencies


async def awaited() -> None:
    """Agent.run is a coroutine of the same result."""
    assert_type(await plain.run("Hi"), AgentRunResult[str])
    assert_type(await typed.run("Hi", deps=Deps("Rome"), result_type=int), AgentRunResult[int])


asyncio.run(awaited())

with plain.run_stream("Hi") as stream:
    assert_type(stream, StreamedRunResult[None, str])
    assert_type(stream.get_data(), str)
    for text in stream.stream_text(delta=True):
        assert_type(text, str)
with typed.run_stream("Hi", deps=Deps("Rome"), result_type=int) as number:
    assert_type(number.get_data(), int)
assert_type(plain.run_stream_events("Hi"), RunEvents[None, str])

with plain.iter("Hi") as run:
    assert_type(run, AgentRun[None, str])
    for node in run:
        if Agent.is_model_request_node(node):
            assert_type(node, ModelRequestNode[Any, Any])
        elif Agent.is_call_tools_node(node):
            assert_type(node, CallToolsNode[Any, Any])
        elif Agent.is_user_prompt_node(node):
            assert_type(node, UserPromptNode[Any, Any])
        elif Agent.is_end_node(node):
            assert_type(node, End[FinalResult[Any]])
    assert_type(run.result, Optional[AgentRunResult[str]])

with capture_run_messages() as messages:
    assert_type(messages, list[ModelMessage])
with typed.override(deps=Deps("Oslo"), model="test"):
    pass


# --- decorators ------------------------------------------------------------------------------------


@typed.tool
def forecast(ctx: RunContext[Deps], days: int) -> str:
    """A tool stays the function that it is."""
    assert_type(ctx.deps, Deps)
    assert_type(ctx.deadline, Deadline)
    if days > 10:
        raise ModelRetry("At most ten days.")
    return ctx.deps.city


forecast(RunContext(Deps("Rome"), TestModel(), Usage(), "Hi"), days=3)
forecast(3)  # type: ignore[call-arg,arg-type] # it keeps its parameters


@typed.tool(name="other", retries=2, prepare=lambda ctx, definition: definition)
def with_options(ctx: RunContext[Deps]) -> float:
    """The same with keywords."""
    return 0.5


@typed.tool_plain
def without_context(a: int, b: str = "") -> dict[str, int]:
    """A tool without context."""
    return {b: a}


assert_type(without_context(1), dict[str, int])


@typed.tool  # type: ignore[arg-type] # the context of another agent
def wrong_deps(ctx: RunContext[int]) -> str:
    return ""


@typed.tool  # type: ignore[arg-type] # no context
def no_context(days: int) -> str:
    return ""


@typed.system_prompt
def prompt(ctx: RunContext[Deps]) -> str:
    return ctx.deps.city


@typed.system_prompt(dynamic=True)
def dynamic() -> str:
    return ""


@typed.instructions
def instruct() -> str:
    return ""


@typed.result_validator
def validate(ctx: RunContext[Deps], data: Forecast) -> Forecast:
    return data


@typed.output_validator
def validate_again(data: Forecast) -> Forecast:
    return data


def prepare(ctx: RunContext[Deps], definition: ToolDefinition) -> Optional[ToolDefinition]:
    """Hide a tool."""
    return None if ctx.deps.city == "Rome" else definition


@typed.tool(sequential=True, timeout=2.5)
def timed(ctx: RunContext[Deps], days: int) -> str:
    return ctx.deps.city


@plain.tool_plain(sequential=True, timeout=5)
def alone(days: int) -> str:
    return ""


@on_tool_thread_exit
def close_all() -> None:
    """Close what this thread opened."""


on_tool_thread_exit(alone)  # type: ignore[type-var] # takes an argument
Agent("test", parallel_tools="4")  # type: ignore[call-overload] # a number
tool = Tool(forecast, prepare=prepare, sequential=True, timeout=5)
with_tools = Agent("test", deps_type=Deps, tools=[tool, forecast, without_context], parallel_tools=4)
assert_type(with_tools, Agent[Deps, str])
