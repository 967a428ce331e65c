"""Tools in runs: what their functions get and give, what they see of the run, and what their errors do."""

from __future__ import annotations

import datetime as dt
import functools
import threading
from typing import Any, Optional

import attrs
import pytest

from syncagent.agent import Agent
from syncagent.exceptions import ModelRetry, UserError
from syncagent.messages import BinaryContent, RetryPromptPart, ToolReturn, ToolReturnPart, UserPromptPart
from syncagent.tools import ModelRequestParameters, RunContext, Tool, ToolDefinition
from syncagent.usage import Usage
from tests.scripted_model import Scripted, answers, call, raw_call, request_parts


def one_call(tool: Any, *calls: Any, **options: Any) -> tuple[Any, Scripted]:
    """Run an agent with *tool* whose model makes *calls* and then says ``done``; the result and the model."""
    model = Scripted(list(calls), "done")
    return Agent(model, tools=[tool], **options).run_sync("Hi"), model


# --- Tool ------------------------------------------------------------------------------------------


def test_a_tool_has_the_attributes_it_was_given() -> None:
    """Every argument of Tool is an attribute of the same name; what is not given comes from the function."""

    def fetch(ctx: RunContext[int], url: str) -> str:
        """Fetch a page."""
        return url

    tool = Tool(fetch)
    assert (tool.function, tool.takes_ctx, tool.max_retries, tool.name) == (fetch, True, None, "fetch")
    assert (tool.description, tool.prepare, tool.docstring_format) == ("Fetch a page.", None, "auto")
    assert tool.require_parameter_descriptions is False
    named = Tool(fetch, max_retries=2, name="get", description="Other.", docstring_format="google")
    assert (named.max_retries, named.name, named.description, named.docstring_format) == (2, "get", "Other.", "google")
    assert repr(named) == "Tool(name='get', takes_ctx=True, max_retries=2)"
    assert Tool(fetch, description="").description == ""
    assert (tool.sequential, tool.timeout) == (False, None)
    timed = Tool(fetch, sequential=True, timeout=2.5)
    assert (timed.sequential, timed.timeout) == (True, 2.5)
    assert repr(timed) == "Tool(name='fetch', takes_ctx=True, max_retries=None, sequential=True, timeout=2.5)"


def test_a_tool_is_immutable() -> None:
    """Nothing of a Tool can be set or deleted, so that threads and agents can share it."""
    tool = Tool(_double)
    with pytest.raises(AttributeError, match="A Tool cannot be changed; make a new one with another name"):
        tool.name = "other"
    with pytest.raises(AttributeError, match="A Tool cannot be changed; make a new one without name"):
        del tool.name
    assert not hasattr(tool, "current_retry")


def test_definitions() -> None:
    """A ToolDefinition has four fields; the last is set for wrapped results only."""
    definition = Tool(_double).definition()
    assert [field.name for field in attrs.fields(ToolDefinition)] == [
        "name", "description", "parameters_json_schema", "outer_typed_dict_key",
    ]  # fmt: skip
    assert definition == ToolDefinition("_double", "Twice.", definition.parameters_json_schema, None)
    assert definition.parameters_json_schema == {
        "additionalProperties": False,
        "properties": {"number": {"type": "integer"}},
        "required": ["number"],
        "type": "object",
    }


def _double(number: int) -> int:
    """Twice."""
    return number * 2


def test_context_is_told_by_the_annotation() -> None:
    """A plain function in tools= takes the context where its first parameter is annotated so, strings too."""

    def with_ctx(ctx: RunContext[str], city: str) -> str:
        return f"{ctx.deps} in {city}"

    def without(city: str) -> str:
        return city

    def unannotated(city) -> str:  # type: ignore[no-untyped-def] # the case itself
        return str(city)

    assert [Tool(each).takes_ctx for each in (with_ctx, without, unannotated)] == [True, False, False]
    model = Scripted([call("with_ctx", city="Rome"), call("without", city="Oslo"), call("unannotated", city=7)], "done")
    Agent(model, tools=[with_ctx, without, unannotated]).run_sync("Hi", deps="Ann")
    assert [content for _, _, content in answers(model.asked[1].messages[-1])] == ["Ann in Rome", "Oslo", "7"]


def test_an_unannotated_context() -> None:
    """@agent.tool takes the first parameter as the context even where nothing annotates it."""
    agent: Agent[str, str] = Agent(Scripted(call("who"), "done"))

    @agent.tool
    def who(ctx) -> str:  # type: ignore[no-untyped-def] # the case itself
        return str(ctx.deps)

    result = agent.run_sync("Hi", deps="Ann")
    assert answers(result.all_messages()[2])[0][2] == "Ann"


@pytest.mark.parametrize(
    ("takes_ctx", "text"),
    [
        (True, "First parameter of tools that take context must be annotated with RunContext[...]"),
        (False, "RunContext annotations can only be used with tools that take context"),
    ],
)
def test_context_mistakes(takes_ctx: bool, text: str) -> None:
    """A context where none is taken, and none where one is, are refused when the tool is made."""

    def f1(x: int) -> None: ...

    def f2(ctx: RunContext[None], x: int) -> None: ...

    function: Any = f1 if takes_ctx else f2
    with pytest.raises(UserError) as caught:
        Tool(function, takes_ctx=takes_ctx)
    assert str(caught.value) == f"Error generating schema for {_shown(function)}:\n  {text}"


def test_context_as_second_argument() -> None:
    """RunContext anywhere but first is refused."""

    def f1(ctx: RunContext[None], again: RunContext[None]) -> None: ...

    with pytest.raises(UserError, match="RunContext annotations can only be used as the first argument"):
        Tool(f1)


def _shown(function: Any) -> str:
    return str(function.__qualname__)


def test_name_conflicts() -> None:
    """Two tools of one name, or a tool named as a result tool, are refused when the second comes."""

    def bad() -> None: ...

    def final_result() -> None: ...

    with pytest.raises(UserError) as caught:
        Agent(tools=[bad, bad])
    assert str(caught.value) == "Tool name conflicts with existing tool: 'bad'"
    with pytest.raises(UserError) as caught:
        Agent(result_type=int, tools=[final_result])
    assert str(caught.value) == "Tool name conflicts with result schema name: 'final_result'"
    agent: Agent[None, str] = Agent(Scripted("x"), tools=[final_result])
    with pytest.raises(UserError, match="Tool name conflicts with result schema name: 'final_result'"):
        agent.run_sync("Hi", result_type=int)


# --- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", ["", " ", "{}", {}])
def test_no_arguments(args: Any) -> None:
    """A call without arguments may come as nothing, blanks, or an empty object."""

    def now() -> str:
        return "noon"

    result, _ = one_call(now, raw_call("now", args, "1"))
    assert answers(result.all_messages()[2]) == [("now", "1", "noon")]


def test_wrong_arguments_go_back_to_the_model() -> None:
    """Arguments that do not fit are answered by all that is wrong; an extra one is forbidden."""
    _, model = one_call(_double, call("_double", "1", number="x", extra=1))
    [part] = request_parts(model.asked[1].messages[-1])
    assert isinstance(part, RetryPromptPart)
    assert isinstance(part.content, list)
    assert [(error["type"], tuple(error["loc"]), error["msg"]) for error in part.content] == [
        ("int_parsing", ("number",), "Input should be a valid integer, unable to parse string as an integer"),
        ("extra_forbidden", ("extra",), "Extra inputs are not permitted"),
    ]
    assert part.model_response().endswith("\n\nFix the errors and try again.")


def test_broken_json() -> None:
    """Arguments that are no JSON are one error, json_invalid, with the text as its input."""
    _, model = one_call(_double, raw_call("_double", '{"n":', "1"))
    [(_, _, [error])] = answers(model.asked[1].messages[-1])
    assert (error["type"], error["loc"], error["input"]) == ("json_invalid", (), '{"n":')
    assert error["msg"].startswith("Invalid JSON: ")


def test_one_object_parameter_is_the_schema() -> None:
    """A single parameter of an object type is not wrapped; the function gets the built object."""

    @attrs.define
    class Order:
        """An order."""

        item: str
        count: int = 1

    def book(order: Order) -> str:
        return f"{order.count} {order.item}"

    result, model = one_call(book, call("book", "1", item="pen", count="2"))
    assert answers(result.all_messages()[2]) == [("book", "1", "2 pen")]
    [definition] = model.asked[0].parameters.function_tools
    assert definition.description == "An order."
    assert set(definition.parameters_json_schema["properties"]) == {"item", "count"}


def test_all_kinds_of_parameters() -> None:
    """Positional-only, *args, keyword-only and **kwargs arrive where the function wants them."""

    def f(a: int, /, b: int = 2, *args: int, c: int, **kwargs: int) -> list[Any]:
        return [a, b, args, c, kwargs]

    result, _ = one_call(f, call("f", "1", a=1, args=[3, "4"], c=5, d="6"))
    assert answers(result.all_messages()[2])[0][2] == [1, 2, (3, 4), 5, {"d": 6}]


def test_methods_and_partials_are_tools() -> None:
    """A bound method and a partial are functions too; what a partial holds is not the model's."""

    class Shop:
        def price(self, item: str) -> str:
            return f"{item}: 3"

    def convert(rate: float, amount: float) -> float:
        return rate * amount

    result, _ = one_call(Shop().price, call("price", "1", item="pen"))
    assert answers(result.all_messages()[2])[0][2] == "pen: 3"
    result, model = one_call(functools.partial(convert, 2.0), call("convert", "1", amount=4))
    assert answers(result.all_messages()[2])[0][2] == 8.0
    assert list(model.asked[0].parameters.function_tools[0].parameters_json_schema["properties"]) == ["amount"]


# --- returns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, "null"),
        ({"a": [1, "b"]}, '{"a":[1,"b"]}'),
        (dt.date(2024, 1, 2), '"2024-01-02"'),
        (b"bytes", '"bytes"'),
        ({1}, "[1]"),
    ],
)
def test_what_the_model_reads_of_a_return(value: Any, text: str) -> None:
    """Any value may come back: text is sent as it is, everything else as compact JSON."""

    def give() -> Any:
        return value

    result, _ = one_call(give, call("give", "1"))
    [part] = request_parts(result.all_messages()[2])
    assert isinstance(part, ToolReturnPart)
    assert (part.content, part.model_response_str(), part.metadata) == (value, text, None)


def test_tool_return() -> None:
    """ToolReturn: the value answers the call, metadata stays with it, content follows after all answers."""
    image = BinaryContent(b"png", "image/png")

    def look(number: int) -> ToolReturn:
        return ToolReturn(number, content=["See:", image] if number == 1 else None, metadata={"n": number})

    result, _ = one_call(look, call("look", "1", number=1), call("look", "2", number=2))
    first, second, third = request_parts(result.all_messages()[2])
    assert isinstance(first, ToolReturnPart) and isinstance(second, ToolReturnPart)
    assert (first.content, first.metadata, second.content, second.metadata) == (1, {"n": 1}, 2, {"n": 2})
    assert isinstance(third, UserPromptPart)
    assert third.content == ["See:", image]


def test_a_coroutine_is_no_return() -> None:
    """A tool that gives a coroutine is a mistake in the program; the text says how to wrap it."""

    async def later() -> str:
        return "x"

    def sneaky() -> Any:
        return later()

    with pytest.raises(UserError, match=r"Tool 'sneaky' returned a coroutine; .*asyncio\.run"):
        one_call(sneaky, call("sneaky"))


# --- errors and threads ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError("v"), KeyError("k"), TypeError("t"), StopIteration(1), KeyboardInterrupt(), SystemExit(3)]
)
def test_errors_of_tools_pass_through(error: BaseException) -> None:
    """What a tool raises leaves the run as the very object that it is, and the agent runs again."""
    raised: list[Optional[BaseException]] = [error, None]

    def fail() -> str:
        if (now := raised.pop(0)) is not None:
            raise now
        return "fine"

    model = Scripted(call("fail"), call("fail"), "done")
    agent = Agent(model, tools=[fail])
    with pytest.raises(type(error)) as caught:
        agent.run_sync("Hi")
    assert caught.value is error
    assert agent.run_sync("Hi").data == "done"


def test_a_type_error_inside_a_tool_is_the_tools() -> None:
    """A TypeError from a tool's own code is not taken for wrong arguments."""

    def add(a: int) -> str:
        return a + "b"  # type: ignore[operator,no-any-return] # the mistake itself

    with pytest.raises(TypeError, match="unsupported operand"):
        one_call(add, call("add", a=1))


def test_model_retry_asks_again() -> None:
    """ModelRetry goes back to the model as the call's answer, with its text."""

    def pick(number: int) -> str:
        if number < 3:
            raise ModelRetry("Larger, please.")
        return "good"

    model = Scripted(call("pick", "1", number=1), call("pick", "2", number=3), "done")
    Agent(model, tools=[pick]).run_sync("Hi")
    assert answers(model.asked[1].messages[-1]) == [("pick", "1", "Larger, please.")]
    assert answers(model.asked[2].messages[-1]) == [("pick", "2", "good")]


def test_tools_run_here_in_order() -> None:
    """Tools run in the caller's thread, one after the other, in call order."""
    seen: list[tuple[int, int]] = []

    def step(number: int) -> None:
        seen.append((number, threading.get_ident()))

    one_call(step, *[call("step", number=number) for number in (2, 1, 3)])
    assert seen == [(number, threading.get_ident()) for number in (2, 1, 3)]


# --- context ---------------------------------------------------------------------------------------


def test_fields_of_the_context() -> None:
    """RunContext has the reference's fields in its order and defaults; deadline comes after, by keyword."""
    fields = [field.name for field in attrs.fields(RunContext)]
    assert fields == [
        "deps", "model", "usage", "prompt", "messages", "tool_call_id", "tool_name", "retry", "run_step", "deadline",
    ]  # fmt: skip
    ctx = RunContext("d", Scripted(), Usage(), "p")
    assert (ctx.messages, ctx.tool_call_id, ctx.tool_name, ctx.retry, ctx.run_step) == ([], None, None, 0, 0)


def test_what_a_tool_sees() -> None:
    """A tool sees deps, model, usage, prompt, the live history, its call, its failures in a row and the step."""
    model = Scripted(call("look", "1"), call("look", "2"), call("look", "3"), "done")
    agent: Agent[str, str] = Agent(model, retries=2)
    seen: list[tuple[Any, ...]] = []

    @agent.tool
    def look(ctx: RunContext[str]) -> str:
        assert (ctx.deps, ctx.model, ctx.prompt, ctx.tool_name) == ("deps", model, "Hi", "look")
        seen.append((ctx.tool_call_id, ctx.retry, ctx.run_step, ctx.usage.requests, len(ctx.messages)))
        lists.append(ctx.messages)
        if len(seen) < 3:
            raise ModelRetry("again")
        return "ok"

    lists: list[Any] = []
    result = agent.run_sync("Hi", deps="deps")
    assert seen == [("1", 0, 1, 1, 2), ("2", 1, 2, 2, 4), ("3", 2, 3, 3, 6)]
    assert all(each is result.all_messages() for each in lists)


def test_adding_a_tool_while_a_run_goes_on() -> None:
    """A run keeps the tools it began with; the next run has the new one."""
    model = Scripted(call("grow"), "done", "done")
    agent: Agent[None, str] = Agent(model)

    @agent.tool_plain
    def grow() -> str:
        agent.tool_plain(_double)
        return "grown"

    agent.run_sync("Hi")
    agent.run_sync("Hi")
    assert [asked.tools for asked in model.asked] == [["grow"], ["grow"], ["grow", "_double"]]


def test_a_model_cannot_empty_the_agents_tools() -> None:
    """The list of tools that a model is given is the run's own."""
    model = Scripted("a", "b")
    agent = Agent(model, tools=[_double])
    agent.run_sync("Hi")
    model.asked[0].parameters.function_tools.clear()
    agent.run_sync("Hi")
    assert model.asked[1].tools == ["_double"]


def test_parameters_compare_without_the_drivers_fields() -> None:
    """deadline, idempotency_key, retry_policy and on_incomplete take no part in equality and repr."""
    one = ModelRequestParameters([], True, [], idempotency_key="k", on_incomplete="accept")
    assert one == ModelRequestParameters()
    assert repr(one) == (
        "ModelRequestParameters(function_tools=[], allow_text_result=True, result_tools=[], result_mode='tool', "
        "result_schema=None, native_tools=[])"
    )
