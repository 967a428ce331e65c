"""TestModel: calls every tool once with data that fits its schema, then makes a result up."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import re
import sys
import uuid
from typing import Any, Literal, Optional, Union

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from syncagent.exceptions import UserError
from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    RetryPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.models import override_allow_model_requests
from syncagent.models._schema_data import generate
from syncagent.models.test import TestModel
from syncagent.schema.json_schema import json_schema
from syncagent.schema.structure import structurer
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.usage import Usage


def _tool(name: str, key: Optional[str] = None, /, **properties: Any) -> ToolDefinition:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return ToolDefinition(name, "", schema, key)


ADD = _tool("add", x={"type": "integer"}, y={"type": "integer"})
GREET = _tool("greet", name={"type": "string"})
FINAL = _tool("final_result", city={"type": "string"})
WRAPPED = _tool("final_result", "response", response={"type": "array", "items": {"type": "integer"}})
HI: list[ModelMessage] = [ModelRequest([UserPromptPart("hi there")])]


def _ask(model: TestModel, messages: list[ModelMessage] = HI, **parameters: Any) -> ModelResponse:
    return model.request(messages, None, ModelRequestParameters(**parameters))


def _args(response: ModelResponse) -> list[tuple[str, Any]]:
    return [(part.tool_name, part.args) for part in response.parts if isinstance(part, ToolCallPart)]


def _texts(response: ModelResponse) -> list[str]:
    return [part.content for part in response.parts if isinstance(part, TextPart)]


# --- the conversation ------------------------------------------------------------------------------


def test_without_tools() -> None:
    """Without tools the answer says so, under the name ``test``, with the usage that its words make."""
    with override_allow_model_requests(False):
        response = _ask(TestModel())
    assert _texts(response) == ["success (no tool calls)"]
    assert response.model_name == TestModel().model_name == TestModel().system == "test"
    assert response.usage == Usage(request_tokens=52, response_tokens=4, total_tokens=56)


def test_first_response_calls_every_tool() -> None:
    """The first response calls each function tool, in order, with generated arguments and new ids."""
    response = _ask(TestModel(), function_tools=[ADD, GREET])
    assert _args(response) == [("add", {"x": 0, "y": 0}), ("greet", {"name": "a"})]
    ids = [part.tool_call_id for part in response.parts if isinstance(part, ToolCallPart)]
    assert ids == ["call_" + "1".zfill(24), "call_" + "2".zfill(24)]


def test_call_tools_selects() -> None:
    """``call_tools`` names the tools that are called; an empty list calls none."""
    assert _args(_ask(TestModel(["greet"]), function_tools=[ADD, GREET])) == [("greet", {"name": "a"})]
    assert _texts(_ask(TestModel([]), function_tools=[ADD])) == ["success (no tool calls)"]


@pytest.mark.parametrize(
    ("call_tools", "tools", "text"),
    [
        (["nope"], [ADD, GREET], "the tool 'nope', which the request does not have; it has add, greet"),
        (["nope"], [], "the tool 'nope', which the request does not have; it has none"),
        ("add", [ADD], "call_tools is 'all' or a list of names; got 'add'"),
    ],
)
def test_call_tools_refuses(call_tools: Any, tools: list[ToolDefinition], text: str) -> None:
    """A name that no tool of the request has is an error that says which there are."""
    with pytest.raises(UserError, match=re.escape(text)):
        _ask(TestModel(call_tools), function_tools=tools)


def test_retry_parts_recall_just_those_tools() -> None:
    """After a request with retry parts only the tools that they name are called again, under new ids."""
    first = _ask(TestModel(), function_tools=[ADD, GREET])
    ids = [part.tool_call_id for part in first.parts if isinstance(part, ToolCallPart)]
    answers = ModelRequest([RetryPromptPart("no", "add", ids[0]), ToolReturnPart("greet", "hello", ids[1])])
    second = _ask(TestModel(), [*HI, first, answers], function_tools=[ADD, GREET])
    assert _args(second) == [("add", {"x": 0, "y": 0})]
    assert [part.tool_call_id for part in second.parts if isinstance(part, ToolCallPart)] == ["call_" + "3".zfill(24)]


def test_retry_of_an_unselected_tool() -> None:
    """A retry part for a tool that ``call_tools`` leaves out, or for no tool, does not call one."""
    first = _ask(TestModel(["greet"]), function_tools=[ADD, GREET])
    retry = ModelRequest([RetryPromptPart("no", "add"), RetryPromptPart("no")])
    assert _args(_ask(TestModel(["greet"]), [*HI, first, retry], function_tools=[ADD, GREET])) == []


def test_text_is_the_json_of_all_returns() -> None:
    """The final text is a JSON object of what the tools returned."""
    messages = [
        *HI,
        ModelResponse([ToolCallPart("foo", {}), ToolCallPart("bar", {})]),
        ModelRequest([ToolReturnPart("foo", "r"), ToolReturnPart("bar", {"k": 1})]),
    ]
    assert _texts(_ask(TestModel(), messages, function_tools=[ADD])) == ['{"foo":"r","bar":{"k":1}}']


def test_history_that_ends_in_a_response() -> None:
    """A conversation whose last message is a response is answered with a result."""
    assert _texts(_ask(TestModel(), [ModelResponse([TextPart("x")])])) == ["success (no tool calls)"]


def test_result_tool() -> None:
    """Where text is not allowed the result tool is called with generated arguments."""
    response = _ask(TestModel(), allow_text_result=False, result_tools=[FINAL])
    assert _args(response) == [("final_result", {"city": "a"})]


def test_seed_chooses_among_result_tools() -> None:
    """With several result tools it is the one at ``seed`` modulo their number."""
    tools = [_tool(f"final_result_{name}", x={"type": "integer"}) for name in "abc"]
    called = [_args(_ask(TestModel(seed=seed), allow_text_result=False, result_tools=tools))[0] for seed in (0, 1, 5)]
    assert called == [("final_result_a", {"x": 0}), ("final_result_b", {"x": 1}), ("final_result_c", {"x": 5})]


def test_custom_result_text() -> None:
    """``custom_result_text`` is the final text, after the tools were called."""
    model = TestModel(custom_result_text="Done.")
    first = _ask(model, function_tools=[GREET])
    assert _args(first) == [("greet", {"name": "a"})]
    returned = ModelRequest([ToolReturnPart("greet", "hello")])
    assert _texts(_ask(model, [*HI, first, returned], function_tools=[GREET])) == ["Done."]


def test_custom_result_args() -> None:
    """``custom_result_args`` are the result tool's arguments, or the value that it wraps; also beside text."""
    model = TestModel(custom_result_args={"city": "Paris"})
    assert _args(_ask(model, allow_text_result=False, result_tools=[FINAL])) == [("final_result", {"city": "Paris"})]
    assert _args(_ask(model, result_tools=[FINAL])) == [("final_result", {"city": "Paris"})]
    model.custom_result_args = [1, 2]
    wrapped = _args(_ask(model, allow_text_result=False, result_tools=[WRAPPED]))
    assert wrapped == [("final_result", {"response": [1, 2]})]


def test_custom_result_that_fits_nowhere() -> None:
    """A custom text where text is not allowed, and custom arguments without a result tool, are errors."""
    with pytest.raises(UserError, match="result cannot be text; give `custom_result_args`"):
        _ask(TestModel(custom_result_text="x"), allow_text_result=False, result_tools=[FINAL])
    with pytest.raises(UserError, match="result is text; give `custom_result_text`"):
        _ask(TestModel(custom_result_args={}))


def test_text_wins_where_both_are_allowed() -> None:
    """Where text and result tools are allowed and nothing is customised, the result is text."""
    assert _texts(_ask(TestModel(), result_tools=[FINAL])) == ["success (no tool calls)"]


@pytest.mark.parametrize("mode", ["native", "prompted"])
def test_json_result_modes(mode: Any) -> None:
    """In the modes ``native`` and ``prompted`` the answer is JSON for ``result_schema``, generated or custom."""
    plain = {"result_mode": mode, "result_schema": FINAL.parameters_json_schema}
    wrapped = {"result_mode": mode, "result_schema": WRAPPED.parameters_json_schema}
    assert _texts(_ask(TestModel(), **plain)) == ['{"city":"a"}']
    assert _texts(_ask(TestModel(custom_result_args={"city": "Rom"}), **plain)) == ['{"city":"Rom"}']
    assert _texts(_ask(TestModel(custom_result_args=[3]), **wrapped)) == ['{"response":[3]}']
    assert _texts(_ask(TestModel(custom_result_args={"response": [3]}), **wrapped)) == ['{"response":[3]}']
    assert _texts(_ask(TestModel(custom_result_text="no JSON"), **plain)) == ["no JSON"]


def test_json_result_comes_after_the_tools() -> None:
    """Function tools are called before a native result is given."""
    response = _ask(
        TestModel(), function_tools=[GREET], result_mode="native", result_schema=FINAL.parameters_json_schema
    )
    assert _args(response) == [("greet", {"name": "a"})]


def test_last_parameters_are_kept() -> None:
    """What the last request was made with can be looked at; before a request it is None."""
    model = TestModel()
    assert model.last_model_request_parameters is None
    parameters = ModelRequestParameters(function_tools=[ADD])
    model.request(HI, None, parameters)
    assert model.last_model_request_parameters is parameters


def test_pytest_does_not_collect_it() -> None:
    """pytest leaves the class alone, though its name begins with ``Test``."""
    assert TestModel.__test__ is False


# --- streams ---------------------------------------------------------------------------------------


def test_text_streams_word_by_word() -> None:
    """A streamed text comes word by word, and usage grows to that of the whole answer."""
    text = " The  cat\nsat. "
    model = TestModel(custom_result_text=text)
    seen = []
    with model.request_stream(HI, None, ModelRequestParameters()) as response:
        for event in response:
            text_now = event.delta.content_delta if isinstance(event, PartDeltaEvent) else event.part.content
            seen.append((text_now, response.usage().response_tokens))
    assert seen == [("", 0), (" ", 0), ("The  ", 1), ("cat\n", 2), ("sat. ", 4)]
    assert response.get().parts == [TextPart(text)]
    assert response.usage() == _ask(model).usage
    assert response.info.complete


def test_tool_calls_stream_whole() -> None:
    """A streamed tool call comes at once."""
    with TestModel().request_stream(HI, None, ModelRequestParameters(function_tools=[ADD, GREET])) as response:
        events = list(response)
    parts = _ask(TestModel(), function_tools=[ADD, GREET]).parts
    assert events == [PartStartEvent(0, parts[0]), PartStartEvent(1, parts[1])]
    assert response.get().parts == parts
    assert response.model_name == "test"


# --- data from schemas -----------------------------------------------------------------------------

_DEFAULTS: list[tuple[dict[str, Any], Any, Any]] = [  # schema, value for seed 0, value for seed 3
    ({"type": "integer"}, 0, 3),
    ({"type": "number"}, 0.0, 3.0),
    ({"type": "string"}, "a", "d"),
    ({"type": "boolean"}, False, True),
    ({"type": "null"}, None, None),
    ({}, "a", "d"),
    ({"const": 7}, 7, 7),
    ({"enum": ["x", "y"]}, "x", "y"),
    ({"type": "integer", "examples": [5, 6]}, 5, 6),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 0, None),
    ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, 0, "d"),
    ({"type": ["string", "null"]}, "a", None),
    ({"type": "array", "items": {"type": "integer"}}, [0], [3]),
    ({"type": "array"}, ["a"], ["d"]),
    ({"items": False}, [], []),
    ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, [], []),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0], [3, 3]),
    ({"type": "array", "items": {"enum": [1, 2]}, "minItems": 2, "uniqueItems": True}, [1, 2], [2, 1]),
    ({"prefixItems": [{"type": "integer"}, {"type": "string"}]}, [0, "a"], [3, "d"]),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 0}, {"a": 3}),
    ({"properties": {"a": {}, "b": {}}, "minProperties": 1}, {"a": "a"}, {"a": "d"}),
    ({"type": "object"}, {}, {}),
    ({"type": "object", "required": ["k"]}, {"k": "a"}, {"k": "d"}),
    ({"additionalProperties": {"type": "integer"}}, {"additionalProperty": 0}, {"additionalProperty": 3}),
    ({"type": "object", "additionalProperties": False}, {}, {}),
    ({"type": "object", "additionalProperties": {}, "maxProperties": 0}, {}, {}),
    ({"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"required": ["b"], "properties": {"b": {}}}]},
     {"a": "a", "b": "a"}, {"a": "d", "b": "d"}),
    ({"type": "integer", "minimum": 5}, 5, 8),
    ({"type": "integer", "exclusiveMinimum": 5, "maximum": 7}, 6, 7),
    ({"type": "integer", "maximum": -2}, -2, -5),
    ({"type": "integer", "maximum": 2}, 0, -1),
    ({"type": "integer", "minimum": 1, "multipleOf": 5}, 5, 20),
    ({"type": "integer", "multipleOf": 1.5, "exclusiveMaximum": 6}, 0, -6),
    ({"minimum": 0.5, "maximum": 0.5}, 0.5, 0.5),
    ({"type": "number", "minimum": 0, "maximum": 2}, 0.0, 2 * 4 / 98),
    ({"type": "number", "multipleOf": 0.25, "minimum": 0.3}, 0.5, 1.25),
    ({"type": "number", "exclusiveMinimum": 2**55}, 2.0**55 + 8, 2.0**55 + 8),
    ({"type": "number", "exclusiveMaximum": -(2**55)}, -(2.0**55) - 8, -(2.0**55) - 8),
    ({"anyOf": [{"type": "number"}, {"type": "string"}]}, 0.0, "3"),
    ({"type": "string", "minLength": 3}, "aaa", "daa"),
    ({"type": "string", "maxLength": 0}, "", ""),
    ({"type": "string", "format": "date"}, "2024-01-01", "2024-01-04"),
    ({"type": "string", "format": "date-time"}, "2024-01-01T00:00:00Z", "2024-01-04T00:00:00Z"),
    ({"type": "string", "format": "time"}, "00:00:00Z", "00:00:03Z"),
    ({"type": "string", "format": "duration"}, "P0D", "P3D"),
    ({"type": "string", "format": "uuid"}, str(uuid.UUID(int=0)), str(uuid.UUID(int=3))),
    ({"type": "string", "pattern": r"^[A-Z]{2}-\d{3}$"}, "AA-000", "DD-333"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "first", "fourth"), _DEFAULTS, ids=lambda value: json.dumps(value)[:60])
def test_generated_values(schema: dict[str, Any], first: Any, fourth: Any) -> None:
    """Each kind of schema has its value, the seed shifts it, and both are valid."""
    assert generate(schema) == first
    assert generate(schema, 3) == pytest.approx(fourth) if isinstance(fourth, float) else generate(schema, 3) == fourth
    for value in (generate(schema), generate(schema, 3)):
        Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "no finite value fits it"),
        ({"anyOf": [False]}, "no finite value fits it"),
        ({"$ref": "#/$defs/A"}, "its reference '#/$defs/A' leads nowhere"),
        ({"$ref": "https://example.com/a"}, "leads nowhere"),
        ({"type": "thing"}, "its type is 'thing'"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no multiple of 1 is within its limits"),
        ({"type": "number", "exclusiveMinimum": 3, "maximum": 3}, "no number is within its limits"),
        ({"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True}, "2 different items"),
        ({"type": "string", "pattern": "^a(?!b)b"}, "no text was found for the pattern '^a(?!b)b'"),
        ({"type": "string", "pattern": r"\p{L}"}, "Python does not read the pattern"),
        ({"type": "string", "pattern": "x{3}", "maxLength": 2}, "no text was found"),
        ({"type": "string", "pattern": "((a{1000}){1000}){1000}"}, "no text was found"),
        ({"type": "string", "pattern": r"[^\w\W]"}, "no text was found"),
    ],
)
def test_impossible_schemas(schema: dict[str, Any], text: str) -> None:
    """A schema that no value can be made for is an error that says why and what to do instead."""
    with pytest.raises(UserError, match=re.escape(text)) as raised:
        generate(schema)
    assert "Give the schema `examples`" in str(raised.value)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "pattern",
    [
        "^[a-z0-9_-]{3,16}$", r"^\+?[1-9]\d{6,14}$", "^(foo|bar)+?$", r"^[^a-z\s]+$", r"(?=.*\d)(?=.*[a-z])\w{8,}",
        r"^\w+@\w+\.[a-z]{2,}$", r"^(\d)\1$", "[ä-ü]+", "é", "^.{4}$", r"^\S\s\D$",
        "^(?>ab)c++$" if sys.version_info >= (3, 11) else "^abc$",
        r"^[^\d]$", "^$", "^[\\W]$", "^(?P<year>20[0-9]{2})-(?P=year)$", "[^ä]",
    ],
)  # fmt: skip
def test_patterns(pattern: str, seed: int) -> None:
    """Texts match their pattern, whatever the seed, and keep the lengths."""
    assert re.search(pattern, generate({"type": "string", "pattern": pattern}, seed))
    if not pattern.endswith("$"):
        long = generate({"type": "string", "pattern": pattern, "minLength": 20, "maxLength": 40}, seed)
        assert re.search(pattern, long) and 20 <= len(long) <= 40


def test_several_patterns() -> None:
    """A text that has to match several patterns matches them all."""
    schema = {"type": "string", "pattern": "^[a-z]", "allOf": [{"pattern": "^[^a]"}, {"pattern": "z{2}$"}]}
    assert generate(schema) == "zz"


@attrs.define
class Node:
    value: int
    next: Optional[Node]
    children: list[Node]


@attrs.define
class Add:
    left: Union[Add, Mul, int]
    right: Union[Add, Mul, int]


@attrs.define
class Mul:
    left: Union[Add, Mul, int]
    right: tuple[Union[Add, Mul, int], ...]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cls", [Node, Add, Mul])
def test_recursive_types_end(cls: Any, seed: int) -> None:
    """A type that holds itself gets a finite value that fits its schema and structures."""
    schema = json_schema(cls)
    value = generate(schema, seed)
    Draft202012Validator(schema).validate(value)
    assert isinstance(structurer(cls).from_python(value), cls)
    assert len(json.dumps(value)) < 2_000


def test_recursion_goes_once_round() -> None:
    """A definition is made once inside itself, then the shortest way out is taken."""
    inner = {"value": 0, "next": None, "children": []}
    outer = {"value": 0, "next": {**inner}, "children": [{**inner}]}
    made = generate(json_schema(Node))
    assert made in (outer, {"value": 0, "next": outer, "children": [outer]})


def test_discriminator_is_always_there() -> None:
    """A member of a tagged union carries its tag, though the tag has a default."""
    schema = {
        "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
        "discriminator": {"propertyName": "kind"},
        "$defs": {
            "Cat": {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}},
            "Dog": {"type": "object", "properties": {"kind": {"const": "dog"}}},
        },
    }
    assert [generate(schema, seed) for seed in (0, 1)] == [{"kind": "cat"}, {"kind": "dog"}]


def test_names_of_additional_properties() -> None:
    """Additional properties have the names that ``propertyNames`` allows, and as many as are wanted."""
    schema: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3}
    assert list(generate(schema)) == ["additionalProperty", "additionalProperty_2", "additionalProperty_3"]
    named = {**schema, "propertyNames": {"enum": ["x", "y", "z"]}}
    assert generate(named) == {"x": 0, "y": 1, "z": 2}
    taken = {"required": ["additionalProperty"], "properties": {"additionalProperty": {}}, "additionalProperties": True}
    assert list(generate(taken)) == ["additionalProperty", "additionalProperty_2"]


def test_pointers_are_unescaped() -> None:
    """References follow RFC 6901: ``~1`` is a slash, ``~0`` a tilde, ``%20`` a space."""
    schema = {"$ref": "#/$defs/a~1b~0c%20d", "$defs": {"a/b~c d": {"const": 1}}}
    assert generate(schema) == 1


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


_LEAVES = st.sampled_from(
    [int, float, str, bool, bytes, dt.date, dt.datetime, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, Colour,
     Any, type(None), Literal["x", 2], Node]
)  # fmt: skip


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def made(name: str, types: list[Any]) -> Any:
        return attrs.make_class(name, {f"f{index}": attrs.field(type=tp) for index, tp in enumerate(types)})

    return st.one_of(
        inner.map(lambda tp: list[tp]),  # type: ignore[valid-type]
        inner.map(lambda tp: dict[str, tp]),  # type: ignore[valid-type]
        inner.map(lambda tp: Optional[tp]),
        st.tuples(inner, inner).map(lambda types: tuple[types]),  # type: ignore[valid-type]
        st.tuples(inner, inner).map(lambda types: Union[types]),
        st.builds(made, st.sampled_from(["One", "Two"]), st.lists(inner, max_size=3)),
    )


@settings(max_examples=150, deadline=None)
@given(tp=st.recursive(_LEAVES, _containers, max_leaves=6), seed=st.integers(0, 40))
def test_data_fits_the_schema_of_any_type(tp: Any, seed: int) -> None:
    """Whatever the type and the seed: the data is valid by the type's schema, and the type can be built of it."""
    schema = json_schema(tp)
    value = generate(schema, seed)
    Draft202012Validator(schema, format_checker=FormatChecker(["date", "uuid"])).validate(value)
    structurer(tp).from_json(json.dumps(value))


_NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(-1e9, 1e9, allow_nan=False))


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(["integer", "number"]),
    low=st.none() | _NUMBERS,
    span=st.none() | st.integers(1, 50),
    exclusive=st.tuples(st.booleans(), st.booleans()),
    seed=st.integers(0, 200),
)
def test_numbers_keep_their_limits(
    kind: str, low: Any, span: Optional[int], exclusive: tuple[bool, bool], seed: int
) -> None:
    """A generated number is within its limits, however large they are and whatever the seed."""
    schema: dict[str, Any] = {"type": kind}
    if low is not None:
        schema["exclusiveMinimum" if exclusive[0] else "minimum"] = low
    if span is not None:
        # Wide enough for a number in between, also among large floats.
        schema["exclusiveMaximum" if exclusive[1] else "maximum"] = (low or 0) + span * (abs(low or 0) // 2**40 + 2)
    Draft202012Validator(schema).validate(generate(schema, seed))
