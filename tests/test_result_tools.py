"""Result types: the tools, names, schemas and texts a model gets for them, and the three ways to ask."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from enum import Enum
from typing import Any, Literal, NamedTuple, Optional, Union

import attrs
import pytest
from typing_extensions import TypedDict

from syncagent.agent import Agent
from syncagent.exceptions import ModelRetry, UnexpectedModelBehavior, UserError
from syncagent.messages import ModelResponse, RetryPromptPart, TextPart, ToolCallPart
from syncagent.models.test import TestModel
from syncagent.result_tools import FinalResult, ResultSchema
from syncagent.tools import RunContext
from tests.scripted_model import Scripted, answers, call, raw_call, request_parts

DEFAULT = "The final response which ends this conversation"


@attrs.define
class Box:
    """A box of things."""

    size: int
    label: str = "none"


@dataclasses.dataclass
class Crate:
    size: int


class Slot(TypedDict):
    size: int


class Pair(NamedTuple):
    a: int
    b: str


class Color(Enum):
    RED = "red"


def schema_of(tp: Any, description: Optional[str] = None) -> ResultSchema:
    return ResultSchema(tp, "final_result", description)


def wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {"response": {**schema, "title": "Response"}}, "required": ["response"], "type": "object"}


# --- one type --------------------------------------------------------------------------------------


def test_text_has_no_tool() -> None:
    """str alone is asked for as text: no result tool, text allowed."""
    schema = schema_of(str)
    assert (schema.tools, schema.allow_text, schema.plain) == ({}, True, True)
    model = Scripted("x")
    Agent(model).run_sync("Hi")
    assert (model.asked[0].parameters.result_tools, model.asked[0].parameters.allow_text_result) == ([], True)


def test_any_other_type_has_one_tool() -> None:
    """Any other type is one tool, and text is not allowed."""
    model = Scripted(call("final_result", response=3))
    assert Agent(model, result_type=int).run_sync("Hi").data == 3
    parameters = model.asked[0].parameters
    assert ([tool.name for tool in parameters.result_tools], parameters.allow_text_result) == (["final_result"], False)


@pytest.mark.parametrize("tp", [Box, Crate, Slot])
def test_object_types_use_their_own_schema(tp: Any) -> None:
    """attrs classes, dataclasses and TypedDicts stand as they are, with titles, and are built from the arguments."""
    [tool] = schema_of(tp).tools.values()
    schema = tool.definition.parameters_json_schema
    assert tool.definition.outer_typed_dict_key is None
    assert (schema["type"], schema["title"], schema["required"]) == ("object", tp.__name__, ["size"])
    assert schema["properties"]["size"] == {"title": "Size", "type": "integer"}
    assert "description" not in schema
    assert tool.validate({"size": "2"}) == (tp(size=2))


@pytest.mark.parametrize(
    ("tp", "schema", "value", "made"),
    [
        (int, {"type": "integer"}, "3", 3),
        (bool, {"type": "boolean"}, "yes", True),
        (list[int], {"items": {"type": "integer"}, "type": "array"}, ["1"], [1]),
        (dict[str, int], {"additionalProperties": {"type": "integer"}, "type": "object"}, {"a": 1}, {"a": 1}),
        (Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}, "b", "b"),
        (type(None), {"type": "null"}, None, None),
        (Any, {}, [1, {"x": None}], [1, {"x": None}]),
    ],
)
def test_everything_else_is_wrapped(tp: Any, schema: dict[str, Any], value: Any, made: Any) -> None:
    """What is no object type stands under the one key response."""
    [tool] = schema_of(tp).tools.values()
    assert tool.definition.outer_typed_dict_key == "response"
    assert tool.definition.parameters_json_schema == wrapped(schema)
    assert tool.validate({"response": value}) == made
    assert tool.validate(json.dumps({"response": value})) == made


def test_named_tuples_and_enums_are_wrapped() -> None:
    """A NamedTuple is an array and an Enum a value, so both are wrapped."""
    for tp, value, made in ((Pair, [1, "x"], Pair(1, "x")), (Color, "red", Color.RED)):
        [tool] = schema_of(tp).tools.values()
        assert tool.definition.outer_typed_dict_key == "response"
        assert tool.validate({"response": value}) == made


def test_extra_keys_of_a_result_are_ignored() -> None:
    """Keys that the model adds to a result do no harm, unlike a tool's arguments."""
    model = Scripted(call("final_result", size=1, mood="good"))
    assert Agent(model, result_type=Box).run_sync("Hi").data == Box(1)


def test_a_converter_of_the_agents_builds_results() -> None:
    """Agent(converter=) builds results and tool arguments with the hooks registered on it."""
    from syncagent import make_converter

    converter = make_converter()
    converter.register_structure_hook(Color, lambda value, _: Color[str(value).upper()])
    model = Scripted(call("paint", "1", color="RED"), call("final_result", response="Red"))
    agent: Agent[None, Color] = Agent(model, result_type=Color, converter=converter)
    seen: list[Color] = []

    @agent.tool_plain(retries=4)
    def paint(color: Color) -> None:
        seen.append(color)

    assert (agent.run_sync("Hi").data, seen) == (Color.RED, [Color.RED])
    assert agent._tools["paint"].max_retries == 4


# --- names and descriptions ------------------------------------------------------------------------


def test_a_union_has_a_tool_for_each_member() -> None:
    """A union's members have a tool each, named after them; the one that is called says which it is."""
    model = Scripted(
        call("final_result_Box", size=1),
        call("final_result_int", response=2),
        call("final_result_NoneType", response=None),
    )
    agent: Agent[None, Any] = Agent(model, result_type=Union[Box, int, None])
    results = [agent.run_sync("Hi").data for _ in range(3)]
    assert results == [Box(1), 2, None]
    parameters = model.asked[0].parameters
    assert [tool.name for tool in parameters.result_tools] == [
        "final_result_Box", "final_result_int", "final_result_NoneType",
    ]  # fmt: skip
    assert parameters.allow_text_result is False


def test_a_union_with_str_allows_text() -> None:
    """str in a union means text; a single other member keeps the plain name."""
    model = Scripted("words", call("final_result", response=2))
    agent: Agent[None, Any] = Agent(model, result_type=Union[str, int])
    assert [agent.run_sync("Hi").data for _ in range(2)] == ["words", 2]
    assert model.asked[0].parameters.allow_text_result is True
    assert [tool.name for tool in model.asked[0].parameters.result_tools] == ["final_result"]


def test_names_that_clash() -> None:
    """Members of one name are told apart by their position, from 1."""
    assert list(schema_of(Union[list[int], list[str]]).tools) == ["final_result_list", "final_result_list_2"]


@pytest.mark.skipif(sys.version_info < (3, 10), reason="X | Y is of Python 3.10")
def test_the_newer_union() -> None:
    """X | Y is Union[X, Y]."""
    assert list(schema_of(eval("int | bool")).tools) == ["final_result_int", "final_result_bool"]  # noqa: S307 - 3.9 cannot parse it


@pytest.mark.parametrize(
    ("tp", "description", "texts"),
    [
        (int, None, [DEFAULT]),
        (int, "Give it.", ["Give it."]),
        (Box, None, ["A box of things."]),
        (Box, "Give it", ["Give it. A box of things."]),
        (Crate, None, [DEFAULT]),
        (Union[int, Box], None, [f"int: {DEFAULT}", "A box of things."]),
        (Union[int, Crate], "Give it.", ["int: Give it.", "Crate: Give it."]),
        (Union[int, str], None, [DEFAULT]),
    ],
)
def test_descriptions(tp: Any, description: Optional[str], texts: list[str]) -> None:
    """The type's docstring, after the given description; else that or the default, with a member's name before."""
    assert [tool.description for tool in schema_of(tp, description).definitions] == texts


def test_the_agents_words_for_the_result_tool() -> None:
    """result_tool_name and result_tool_description hold for the agent's type and for a run's own."""
    model = Scripted(call("answer", response=3), call("answer", response=[1]))
    agent: Agent[None, int] = Agent(
        model, result_type=int, result_tool_name="answer", result_tool_description="Say it."
    )
    assert agent.run_sync("Hi").data == 3
    assert agent.run_sync("Hi", result_type=list[int]).data == [1]
    for asked in model.asked:
        assert [(tool.name, tool.description) for tool in asked.parameters.result_tools] == [("answer", "Say it.")]


def test_a_runs_own_type_and_validators() -> None:
    """A run's result_type is refused where the agent has validators, since they were made for another type."""
    agent: Agent[None, str] = Agent(Scripted("x"))
    agent.result_validator(lambda data: data)
    with pytest.raises(UserError) as caught:
        agent.run_sync("Hi", result_type=int)
    assert str(caught.value) == "Cannot set a custom run `result_type` when the agent has result validators"


def test_calls_of_result_tools_are_found() -> None:
    """ResultSchema.result_calls gives the calls of its own tools, with the tools."""
    schema = schema_of(int)
    mine = ToolCallPart("final_result", {})
    assert schema.result_calls([ToolCallPart("other", {}), mine]) == [(mine, schema.tools["final_result"])]


def test_final_result_has_the_call() -> None:
    """FinalResult holds the data and which call gave it; None for text."""
    with Agent(Scripted(call("final_result", "id", response=1)), result_type=int).iter("Hi") as run:
        *_, end = list(run)
    assert end.data == FinalResult(1, "final_result", "id")  # type: ignore[union-attr] # the end
    with Agent(Scripted("x")).iter("Hi") as text_run:
        *_, end = list(text_run)
    assert end.data == FinalResult("x", None, None)  # type: ignore[union-attr] # the end


# --- validators ------------------------------------------------------------------------------------


def test_validators_run_in_order() -> None:
    """Validators run in the order of registration, each on what the one before returned."""
    agent: Agent[str, str] = Agent(Scripted("x"))

    @agent.result_validator
    def first(data: str) -> str:
        return data + "1"

    @agent.result_validator
    def second(ctx: RunContext[str], data: str) -> str:
        return f"{data}2{ctx.deps}"

    assert agent.run_sync("Hi", deps="d").data == "x12d"


def test_a_validator_of_text_asks_again() -> None:
    """ModelRetry from a text validator goes back without a tool's name and counts a run-level retry."""
    model = Scripted("short", "long enough")
    agent: Agent[None, str] = Agent(model)
    seen: list[tuple[Any, ...]] = []

    @agent.result_validator
    def long(ctx: RunContext[None], data: str) -> str:
        seen.append((ctx.tool_name, ctx.tool_call_id, ctx.retry, ctx.run_step))
        if len(data) < 6:
            raise ModelRetry("Longer.")
        return data

    assert agent.run_sync("Hi").data == "long enough"
    assert answers(model.asked[1].messages[-1]) == [(None, None, "Longer.")]
    assert seen == [(None, None, 0, 1), (None, None, 1, 2)]


def test_a_validator_of_a_tool_result_sees_its_call() -> None:
    """A validator sees the result tool's name, the call's id and the failures so far; its retry carries them."""
    model = Scripted(call("final_result", "1", response=1), call("final_result", "2", response=2))
    agent: Agent[None, int] = Agent(model, result_type=int)
    seen: list[tuple[Any, ...]] = []

    @agent.result_validator
    def even(ctx: RunContext[None], data: int) -> int:
        seen.append((ctx.tool_name, ctx.tool_call_id, ctx.retry))
        if data % 2:
            raise ModelRetry("Even, please.")
        return data

    assert agent.run_sync("Hi").data == 2
    assert answers(model.asked[1].messages[-1]) == [("final_result", "1", "Even, please.")]
    assert seen == [("final_result", "1", 0), ("final_result", "2", 1)]


def test_a_validators_own_error_passes() -> None:
    """Any other exception of a validator leaves the run as it is."""
    error = ZeroDivisionError()
    agent: Agent[None, str] = Agent(Scripted("x"))

    @agent.result_validator
    def broken(data: str) -> str:
        raise error

    with pytest.raises(ZeroDivisionError) as caught:
        agent.run_sync("Hi")
    assert caught.value is error


# --- native and prompted ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["native", "prompted"])
@pytest.mark.parametrize(
    ("tp", "text", "made", "key"),
    [
        (Box, '{"size": 2}', Box(2), None),
        (int, '{"response": "3"}', 3, "response"),
        (Union[int, str], '{"response": "3"}', "3", "response"),
        (Union[Box, Crate], '{"response": {"size": 1, "label": "x"}}', Box(1, "x"), "response"),
        (Optional[int], '{"response": null}', None, "response"),
    ],
)
def test_text_modes(mode: Any, tp: Any, text: str, made: Any, key: Optional[str]) -> None:
    """native, prompted: no result tool, text allowed, one object schema; non-objects and unions under response."""
    model = Scripted(text)
    agent: Agent[None, Any] = Agent(model, result_type=tp, result_mode=mode)
    assert agent.run_sync("Hi").data == made
    parameters = model.asked[0].parameters
    assert (parameters.result_tools, parameters.allow_text_result, parameters.result_mode) == ([], True, mode)
    schema = parameters.result_schema
    assert schema is not None
    assert schema["type"] == "object"
    if key is not None:
        assert schema["required"] == [key]
        assert ("anyOf" in schema["properties"][key]) == (getattr(tp, "__origin__", None) is Union)


def test_native_parses_the_text_as_it_is() -> None:
    """native: a code fence is no JSON; prompted: one around all of the text is ignored."""
    fenced = '\n```json\n{"response": 4}\n```\n'
    with pytest.raises(UnexpectedModelBehavior):
        Agent(Scripted(fenced), result_type=int, result_mode="native").run_sync("Hi")
    assert Agent(Scripted(fenced), result_type=int, result_mode="prompted").run_sync("Hi").data == 4
    for text in ('{"response": 4}', '  {"response": 4} ', '```\n{"response": 4}```'):
        assert Agent(Scripted(text), result_type=int, result_mode="prompted").run_sync("Hi").data == 4
    with pytest.raises(UnexpectedModelBehavior):
        Agent(Scripted("```"), result_type=int, result_mode="prompted").run_sync("Hi")


def test_prompted_says_the_schema() -> None:
    """prompted: the schema stands in a system part that is sent with every request and kept nowhere."""
    model = Scripted("no JSON", '{"response": 4}')
    agent: Agent[None, int] = Agent(model, result_type=int, result_mode="prompted", instructions="Be brief.")
    result = agent.run_sync("Hi")
    text = (
        "Answer only with JSON that matches this schema:\n"
        '{"properties":{"response":{"type":"integer","title":"Response"}},"required":["response"],"type":"object"}'
    )
    for asked in model.asked:
        instruction, schema = asked.system
        assert instruction == "Be brief."
        assert schema.splitlines()[0] == text.splitlines()[0]
        assert json.loads(schema.splitlines()[1]) == json.loads(text.splitlines()[1])
        assert " " not in schema.splitlines()[1]
    assert all("schema" not in str(part) for part in request_parts(result.all_messages()[0]))
    native = Scripted('{"response": 4}')
    Agent(native, result_type=int, result_mode="native").run_sync("Hi")
    assert native.asked[0].system == []


@pytest.mark.parametrize("mode", ["native", "prompted"])
def test_text_that_does_not_hold_is_asked_again(mode: Any) -> None:
    """Text that does not parse or validate, or is refused, counts a retry and is answered without a tool's name."""
    model = Scripted("{", '{"response": "x"}', '{"response": 1}', '{"response": 2}')
    agent: Agent[None, int] = Agent(model, result_type=int, result_mode=mode, result_retries=3)

    @agent.result_validator
    def even(data: int) -> int:
        if data % 2:
            raise ModelRetry("Even, please.")
        return data

    assert agent.run_sync("Hi").data == 2
    parts = [request_parts(asked.messages[-1])[0] for asked in model.asked[1:]]
    assert all(isinstance(part, RetryPromptPart) and part.tool_name is None for part in parts)
    assert [part.content if isinstance(part.content, str) else part.content[0]["type"] for part in parts] == [  # type: ignore[index] # errors
        "json_invalid", "int_parsing", "Even, please.",
    ]  # fmt: skip
    refused: Agent[None, int] = Agent(Scripted("{"), result_type=int, result_mode=mode)
    with pytest.raises(UnexpectedModelBehavior, match=r"Exceeded maximum retries \(1\) for result validation"):
        refused.run_sync("Hi")


def test_function_tools_go_first_in_text_modes() -> None:
    """native: function tool calls in a response run, and its text is not parsed; a result tool's name is unknown."""
    both = ModelResponse([TextPart('{"response": 1}'), call("look", "1"), raw_call("final_result", "{}", "2")])
    model = Scripted(both, '{"response": 2}')
    agent: Agent[None, int] = Agent(model, result_type=int, result_mode="native")

    @agent.tool_plain
    def look() -> str:
        return "seen"

    assert agent.run_sync("Hi").data == 2
    assert answers(model.asked[1].messages[-1]) == [
        ("final_result", "2", "Unknown tool name: 'final_result'. Available tools: look"), ("look", "1", "seen"),
    ]  # fmt: skip


def test_a_result_type_that_is_no_type() -> None:
    """A value in the place of a result type is refused by the name of its class, and not shown."""
    for wrong in (os.environ, ["mine"], {"mine": 1}):
        with pytest.raises(UserError, match="it is a value and no type") as info:
            Agent(Scripted("Hi"), result_type=wrong)
        assert len(str(info.value)) < 200
        assert "mine" not in str(info.value)


def test_many_mistakes_make_a_small_prompt() -> None:
    """Hundreds of kilobytes of wrong arguments are answered with the first mistakes and their number."""
    model = Scripted(raw_call("final_result", json.dumps({"response": ["x"] * 100_000}), "1"), "{}")
    agent: Agent[None, list[int]] = Agent(model, result_type=list[int])
    with pytest.raises(UnexpectedModelBehavior):
        agent.run_sync("Hi")
    (part,) = request_parts(model.asked[1].messages[-1])
    assert isinstance(part, RetryPromptPart)
    assert len(part.model_response()) < 20_000
    assert "and 99900 more mistakes, not listed" in part.model_response()


@pytest.mark.parametrize("mode", ["tool", "native", "prompted"])
def test_the_test_model_answers_in_every_mode(mode: Any) -> None:
    """TestModel makes a result up for each mode."""
    model = TestModel(seed=2)
    assert isinstance(Agent(model, result_type=Box, result_mode=mode).run_sync("Hi").data, Box)
