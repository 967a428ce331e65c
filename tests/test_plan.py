"""What is sent: prompts, instructions, history, processors and prepared tools, and what is kept of it."""

from __future__ import annotations

import copy
from typing import Any, Callable, Optional

import pytest

from syncagent.agent import Agent
from syncagent.exceptions import UserError
from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
)
from syncagent.tools import RunContext, Tool, ToolDefinition
from tests.scripted_model import Scripted, call, request_parts, said

# --- system prompts --------------------------------------------------------------------------------


def test_prompts_of_a_new_conversation() -> None:
    """Fixed prompts come first, then functions in the order of registration, then the user's prompt."""
    agent: Agent[str, str] = Agent(Scripted("x"), system_prompt=["one", "two"])

    @agent.system_prompt
    def three() -> str:
        return "three"

    @agent.system_prompt(dynamic=True)
    def four(ctx: RunContext[str]) -> str:
        return f"four {ctx.deps} {ctx.run_step} {len(ctx.messages)}"

    result = agent.run_sync("Hi", deps="d")
    parts = request_parts(result.all_messages()[0])
    assert [part.content for part in parts] == ["one", "two", "three", "four d 0 0", "Hi"]
    references = [part.dynamic_ref for part in parts if isinstance(part, SystemPromptPart)]
    assert references == [None, None, None, four.__qualname__]


def test_one_prompt_may_be_a_text() -> None:
    """A single system prompt is one part, not one for each letter."""
    result = Agent(Scripted("x"), system_prompt="Be brief.").run_sync("Hi")
    assert said(result.all_messages()[0]) == [("system-prompt", "Be brief."), ("user-prompt", "Hi")]


def test_any_first_parameter_is_the_context() -> None:
    """A prompt function with one parameter gets the context, whatever its annotation; a method's self is none."""

    class Prompts:
        def fixed(self) -> str:
            return "fixed"

        def by_deps(self, whatever) -> str:  # type: ignore[no-untyped-def] # the case itself
            return f"for {whatever.deps}"

    agent: Agent[str, str] = Agent(Scripted("x"))
    agent.system_prompt(Prompts().fixed)
    agent.system_prompt(Prompts().by_deps)
    result = agent.run_sync("Hi", deps="Ann")
    assert [content for _, content in said(result.all_messages()[0])] == ["fixed", "for Ann", "Hi"]


def test_a_history_keeps_its_own_prompts() -> None:
    """With a history no system prompts are added, and an empty one is no history."""
    agent: Agent[None, str] = Agent(Scripted("x"), system_prompt="mine")
    agent.system_prompt(lambda: "made")
    history: list[ModelMessage] = [ModelRequest([UserPromptPart("Before")]), ModelResponse([TextPart("y")])]
    result = agent.run_sync("Hi", message_history=history)
    assert [said(message) for message in result.all_messages()[::2]] == [
        [("user-prompt", "Before")], [("user-prompt", "Hi")],
    ]  # fmt: skip
    assert said(agent.run_sync("Hi", message_history=[]).all_messages()[0])[0] == ("system-prompt", "mine")


def test_dynamic_prompts_are_made_anew() -> None:
    """Dynamic prompts of a history are made anew where they stand; fixed ones and others' stay."""
    agent: Agent[str, str] = Agent(Scripted("x"))

    @agent.system_prompt
    def fixed(ctx: RunContext[str]) -> str:
        return f"fixed {ctx.deps}"

    @agent.system_prompt(dynamic=True)
    def moving(ctx: RunContext[str]) -> str:
        return f"moving {ctx.deps} {len(ctx.messages)}"

    history = agent.run_sync("Hi", deps="a").all_messages()
    request_parts(history[0]).insert(0, SystemPromptPart("theirs", "no.such.function"))
    result = agent.run_sync("Hi", deps="b", message_history=history)
    assert [content for _, content in said(result.all_messages()[0])] == ["theirs", "fixed a", "moving b 2", "Hi"]
    part = request_parts(result.all_messages()[0])[2]
    assert isinstance(part, SystemPromptPart) and part.dynamic_ref == moving.__qualname__


def test_the_callers_history_is_never_changed() -> None:
    """Neither the caller's list nor a message in it changes; messages that need no change are the very same."""
    agent: Agent[str, str] = Agent(Scripted("x"), instructions="Sent only.")
    agent.system_prompt(dynamic=True)(lambda ctx: f"for {ctx.deps}")
    history = agent.run_sync("Hi", deps="a").all_messages()
    before = copy.deepcopy(history)
    result = agent.run_sync("Hi", deps="b", message_history=history)
    assert history == before
    assert result.all_messages() is not history
    assert result.all_messages()[1] is history[1]
    assert result.all_messages()[0] is not history[0]


def test_a_prompt_function_returns_text() -> None:
    """A prompt function that gives something else is named in a UserError."""
    agent: Agent[None, str] = Agent(Scripted("x"))

    @agent.system_prompt
    def nothing() -> str:
        return None  # type: ignore[return-value] # the mistake itself

    with pytest.raises(UserError, match=r"The prompt function '.*nothing' must return text; got NoneType\."):
        agent.run_sync("Hi")


# --- instructions ----------------------------------------------------------------------------------


def test_instructions_are_sent_and_not_kept() -> None:
    """Instructions are one system part behind the first request's own, rebuilt for each request, never kept."""
    model = Scripted(call("step"), "x")
    agent: Agent[None, str] = Agent(
        model, system_prompt="fixed", instructions=["a", lambda ctx: f"step {ctx.run_step}"]
    )

    @agent.instructions
    def more() -> str:
        return "more"

    @agent.tool_plain
    def step() -> None:
        return None

    result = agent.run_sync("Hi")
    assert [asked.system for asked in model.asked] == [
        ["fixed", "a\n\nstep 1\n\nmore"],
        ["fixed", "a\n\nstep 2\n\nmore"],
    ]
    assert [part.part_kind for part in request_parts(model.asked[0].messages[0])] == [
        "system-prompt", "system-prompt", "user-prompt",
    ]  # fmt: skip
    assert said(result.all_messages()[0]) == [("system-prompt", "fixed"), ("user-prompt", "Hi")]


def test_instructions_of_a_history() -> None:
    """With a history the instructions go into its first request, before the user's words where it has no prompts."""
    model = Scripted("x")
    agent = Agent(model, instructions="Now.")
    history: list[ModelMessage] = [ModelResponse([TextPart("Hello")]), ModelRequest([UserPromptPart("Before")])]
    agent.run_sync("Hi", message_history=history)
    messages = model.asked[0].messages
    assert [said(message) for message in messages[1:]] == [
        [("system-prompt", "Now."), ("user-prompt", "Before")], [("user-prompt", "Hi")],
    ]  # fmt: skip


def test_a_function_as_instructions() -> None:
    """instructions= may be one function; where nothing comes of it nothing is sent."""
    texts = ["", "now"]
    model = Scripted("x")
    agent: Agent[None, str] = Agent(model, instructions=lambda: texts.pop(0))
    agent.run_sync("Hi")
    agent.run_sync("Hi")
    assert [asked.system for asked in model.asked] == [[], ["now"]]


# --- history processors ----------------------------------------------------------------------------


def test_processors_change_what_is_sent() -> None:
    """Processors rewrite a copied list in their order, with or without the context; what is kept stays whole."""
    model = Scripted("x")
    seen: list[int] = []

    def last(messages: list[ModelMessage]) -> list[ModelMessage]:
        seen.append(len(messages))
        del messages[:-1]
        return messages

    def with_ctx(ctx: RunContext[str], messages: list[ModelMessage]) -> list[ModelMessage]:
        seen.append(len(messages))
        return [ModelRequest([SystemPromptPart(f"{ctx.deps} {ctx.run_step}")]), *messages]

    agent: Agent[str, str] = Agent(model, history_processors=[last, with_ctx], instructions="instructed")
    history: list[ModelMessage] = [ModelRequest([UserPromptPart("Before")]), ModelResponse([TextPart("y")])]
    result = agent.run_sync("Hi", message_history=history, deps="d")
    assert seen == [3, 1]
    assert [said(message) for message in model.asked[0].messages] == [
        [("system-prompt", "d 1"), ("system-prompt", "instructed")], [("user-prompt", "Hi")],
    ]  # fmt: skip
    assert len(result.all_messages()) == 4


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([], "got an empty one"),
        ([ModelResponse([])], "got one that ends in ModelResponse"),
        (["a"], "got one that ends in str"),
        (None, "got NoneType"),
        ((ModelRequest([]),), "got tuple"),
    ],
)
def test_what_a_processor_may_return(given: Any, text: str) -> None:
    """A processor that gives no list, an empty one, or one that does not end in a request is a UserError."""
    agent: Agent[None, str] = Agent(Scripted("x"), history_processors=[lambda messages: given])
    with pytest.raises(UserError, match="A history processor must return a list of messages.*" + text):
        agent.run_sync("Hi")


# --- prepare ---------------------------------------------------------------------------------------


def _tool(prepare: Callable[..., Optional[ToolDefinition]], name: str = "look") -> Tool[Any]:
    def look(number: int) -> str:
        if number < 0:
            raise ValueError("never called so")
        return f"saw {number}"

    return Tool(look, name=name, prepare=prepare)


def test_prepare_is_asked_before_every_request() -> None:
    """prepare is called once per request and tool; it sees the tool's name, its failures and the step."""
    seen: list[tuple[Any, ...]] = []

    def prepare(ctx: RunContext[str], definition: ToolDefinition) -> ToolDefinition:
        seen.append((definition.name, ctx.tool_name, ctx.retry, ctx.run_step, ctx.deps, ctx.tool_call_id))
        return definition

    model = Scripted(call("a", number="x"), call("a", number=1), "done")
    Agent(model, tools=[_tool(prepare, "a"), _tool(prepare, "b")]).run_sync("Hi", deps="d")
    assert seen == [
        ("a", "a", 0, 1, "d", None), ("b", "b", 0, 1, "d", None),
        ("a", "a", 1, 2, "d", None), ("b", "b", 0, 2, "d", None),
        ("a", "a", 0, 3, "d", None), ("b", "b", 0, 3, "d", None),
    ]  # fmt: skip


def test_what_prepare_changes_holds_for_one_step() -> None:
    """A definition may be changed in place without any trace in the tool, the agent or the next request."""

    def prepare(ctx: RunContext[Any], definition: ToolDefinition) -> ToolDefinition:
        definition.description += f"step {ctx.run_step}"
        definition.parameters_json_schema["properties"]["number"]["maximum"] = ctx.run_step
        return definition

    tool = _tool(prepare)
    model = Scripted(call("look", number=1), "done")
    Agent(model, tools=[tool]).run_sync("Hi")
    offered = [asked.parameters.function_tools[0] for asked in model.asked]
    assert [each.description for each in offered] == ["step 1", "step 2"]
    assert [each.parameters_json_schema["properties"]["number"]["maximum"] for each in offered] == [1, 2]
    assert "maximum" not in str(tool.definition())


def test_a_hidden_tool_still_executes() -> None:
    """None hides a tool for the step; a call that comes all the same is executed. The others stay."""
    model = Scripted([call("hidden", number=1)], "done")
    agent = Agent(model, tools=[_tool(lambda ctx, definition: None, "hidden"), _tool(lambda c, d: d, "shown")])
    result = agent.run_sync("Hi")
    assert model.asked[0].tools == ["shown"]
    assert said(result.all_messages()[2]) == [("tool-return", "saw 1")]


def test_what_prepare_may_return() -> None:
    """Anything but a ToolDefinition or None is a UserError that names the tool."""
    agent = Agent(Scripted("x"), tools=[_tool(lambda ctx, definition: "no")])  # type: ignore[arg-type,return-value] # the mistake
    with pytest.raises(
        UserError, match="The prepare function of tool 'look' must return a ToolDefinition or None; got str"
    ):
        agent.run_sync("Hi")


def test_decorators_take_prepare() -> None:
    """@agent.tool(prepare=) and @agent.tool_plain(prepare=) prepare, too; tools without it are offered as they are."""
    model = Scripted("x")
    agent: Agent[None, str] = Agent(model)

    @agent.tool(prepare=lambda ctx, definition: None)
    def first(ctx: RunContext[None]) -> None: ...

    @agent.tool_plain(prepare=lambda ctx, definition: None)
    def second() -> None: ...

    @agent.tool_plain
    def third() -> None: ...

    agent.run_sync("Hi")
    assert model.asked[0].tools == ["third"]


# --- order -----------------------------------------------------------------------------------------


def test_order_of_a_step() -> None:
    """A step: request appended, step counted, processors, instructions, prepare, then the model."""
    order: list[tuple[str, int, int]] = []

    def note(name: str, ctx: RunContext[Any]) -> None:
        order.append((name, ctx.run_step, len(ctx.messages)))

    def processor(ctx: RunContext[Any], messages: list[ModelMessage]) -> list[ModelMessage]:
        note("processor", ctx)
        return messages

    def instruct(ctx: RunContext[Any]) -> str:
        note("instructions", ctx)
        return ""

    def prepare(ctx: RunContext[Any], definition: ToolDefinition) -> ToolDefinition:
        note("prepare", ctx)
        return definition

    def model_asked(messages: list[ModelMessage]) -> str:
        order.append(("model", 1, len(messages)))
        return "x"

    agent: Agent[None, str] = Agent(
        Scripted(model_asked), history_processors=[processor], instructions=instruct, tools=[_tool(prepare)]
    )
    agent.run_sync("Hi")
    assert order == [("processor", 1, 1), ("instructions", 1, 1), ("prepare", 1, 1), ("model", 1, 1)]
