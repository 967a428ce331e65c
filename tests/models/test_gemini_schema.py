"""Schemas in Gemini's words: the same meaning, or a remark, never nothing."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import json
import uuid
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Optional, Union

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.models._gemini_schema import gemini_schema
from syncagent.models._schema_data import generate
from syncagent.schema.json_schema import json_schema

# https://ai.google.dev/api/generate-content#FIELDS.response_json_schema
_TAKEN = {
    *("$defs", "$ref", "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems"),
    *("maxItems", "minimum", "maximum", "anyOf", "properties", "additionalProperties", "required"),
    "propertyOrdering",
}


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all schemas inside."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key in ("properties", "$defs"):
        for inner in schema.get(key, {}).values():
            yield from _schemas(inner)
    for key in ("anyOf", "prefixItems"):
        for inner in schema.get(key, []):
            yield from _schemas(inner)
    for key in ("items", "additionalProperties"):
        yield from _schemas(schema.get(key))


def _only_taken(schema: dict[str, Any]) -> bool:
    """Whether all of it is in the API's words."""
    for inner in _schemas(schema):
        assert inner.keys() <= _TAKEN
        if "$ref" in inner:
            assert inner.keys() - {"$defs"} == {"$ref"}
            assert inner["$ref"].rpartition("/")[2] in schema["$defs"]
        if isinstance(inner.get("type"), list):
            assert len(inner["type"]) == 2
            assert "null" in inner["type"]
        for value in inner.get("enum", []):
            assert isinstance(value, (str, int, float))
            assert not isinstance(value, bool)
    return True


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        # Taken as it is.
        ({}, {}),
        ({"type": "object", "properties": {}}, {"type": "object", "properties": {}}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "object", "additionalProperties": False}, {"type": "object", "additionalProperties": False}),
        # Names and remarks for programs.
        ({"$schema": "x", "$id": "y", "$comment": "z", "type": "string"}, {"type": "string"}),
        # What has another form.
        ({"const": "a"}, {"enum": ["a"]}),
        ({"const": None}, {"type": "null"}),
        ({"const": True}, {"type": "boolean", "description": "(one of: true)"}),
        (
            {"enum": ["a", None], "type": ["string", "null"]},
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
        ),
        ({"enum": ["a", 1, None]}, {"anyOf": [{"enum": ["a", 1]}, {"type": "null"}]}),
        ({"enum": [{"a": 1}, "b"]}, {"description": '(one of: {"a":1}, "b")'}),
        ({"enum": "a"}, {"enum": ["a"]}),
        ({"oneOf": [{"type": "string"}, {"const": 1}]}, {"anyOf": [{"type": "string"}, {"enum": [1]}]}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
        ({"type": "integer", "exclusiveMaximum": 9}, {"type": "integer", "maximum": 8}),
        ({"exclusiveMinimum": 0, "type": "integer", "minimum": 5}, {"type": "integer", "minimum": 5}),
        ({"maximum": 3, "type": "integer", "exclusiveMaximum": 9}, {"type": "integer", "maximum": 3}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        ({"nullable": True}, {"description": "(or null)"}),
        ({"items": [{"const": 1}, True]}, {"prefixItems": [{"enum": [1]}, {}]}),
        ({"prefixItems": [{}], "items": False}, {"prefixItems": [{}], "maxItems": 1}),
        ({"items": {"const": "a"}}, {"items": {"enum": ["a"]}}),
        ({"items": True}, {"items": {}}),
        ({"additionalProperties": {"const": "a"}}, {"additionalProperties": {"enum": ["a"]}}),
        ({"properties": {"a": False}}, {"properties": {"a": {"description": "(no value is valid here)"}}}),
        ({"type": ["string"]}, {"type": "string"}),
        (
            {"type": ["array", "string", "null"], "items": {}, "minItems": 1, "title": "T"},
            {
                "title": "T",
                "anyOf": [{"type": "array", "items": {}, "minItems": 1}, {"type": "string"}, {"type": "null"}],
            },
        ),
        (
            {"type": ["integer", "string"], "enum": [1, "a"]},
            {"enum": [1, "a"], "description": "(type: integer, string)"},
        ),
        # What has none.
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "description": "(exclusiveMinimum: 0)"}),
        ({"type": "number", "exclusiveMaximum": 0.5}, {"type": "number", "description": "(exclusiveMaximum: 0.5)"}),
        ({"type": "string", "format": "uuid"}, {"type": "string", "description": "(format: uuid)"}),
        (
            {"type": "string", "description": "A code.", "pattern": "^a$", "minLength": 2},
            {"type": "string", "description": 'A code. (pattern: "^a$"; minLength: 2)'},
        ),
        ({"not": {"const": 1}, "default": []}, {"description": '(not: {"const":1}; default: [])'}),
        (
            {"anyOf": [{"const": 1}], "oneOf": [{"const": 2}]},
            {"anyOf": [{"enum": [1]}], "description": '(also one of: [{"enum":[2]}])'},
        ),
        ({"properties": 7, "anyOf": {}}, {"description": "(properties: 7; anyOf: {})"}),
    ],
)  # fmt: skip
def test_keywords(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """What Gemini takes stays; what it has in another form is rewritten; the rest stands in the description."""
    given_schema = copy.deepcopy(schema)
    assert gemini_schema(schema) == expected
    assert schema == given_schema
    assert _only_taken(expected)


def test_references() -> None:
    """References lead to definitions under names that need no escaping; what stands beside one goes around it."""
    schema = {
        "$defs": {"Page[int]": {"const": 1}, "Unused": {"const": 2}},
        "definitions": {"Old": {"type": "string"}},
        "properties": {
            "a": {"$ref": "#/$defs/Page[int]"},
            "b": {"$ref": "#/$defs/Page[int]", "description": "B."},
            "c": {"$ref": "#/definitions/Old"},
            "d": {"$ref": "#/properties/c"},
            "e": {"$ref": "#/definitions/Old", "anyOf": [{"const": "x"}]},
        },
    }
    rewritten = gemini_schema(schema)
    assert rewritten == {
        "properties": {
            "a": {"$ref": "#/$defs/Page_int_"},
            "b": {"anyOf": [{"$ref": "#/$defs/Page_int_"}], "description": "B."},
            "c": {"$ref": "#/$defs/Old"},
            "d": {"$ref": "#/$defs/c"},
            "e": {"anyOf": [{"enum": ["x"]}], "description": '(also: {"$ref":"#/$defs/Old"})'},
        },
        "$defs": {"Page_int_": {"enum": [1]}, "Old": {"type": "string"}, "c": {"$ref": "#/$defs/Old"}},
    }
    assert _only_taken(rewritten)


def test_names_of_definitions() -> None:
    """Two definitions that would get one name get two."""
    schema = {"$defs": {"A": {"const": 1}}, "definitions": {"A": {"const": 2}}, "prefixItems": [
        {"$ref": "#/$defs/A"}, {"$ref": "#/definitions/A"}, {"$ref": "#/$defs/A"}
    ]}  # fmt: skip
    assert gemini_schema(schema) == {
        "prefixItems": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A2"}, {"$ref": "#/$defs/A"}],
        "$defs": {"A": {"enum": [1]}, "A2": {"enum": [2]}},
    }


def test_recursion() -> None:
    """A schema that holds itself, by a definition or as a whole, keeps doing so."""
    tree = {
        "$ref": "#/$defs/Tree",
        "$defs": {"Tree": {"properties": {"children": {"items": {"$ref": "#/$defs/Tree"}}}}},
    }
    assert gemini_schema(tree) == tree
    whole = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    root = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Root"}}}
    assert gemini_schema(whole) == {**root, "$defs": {"Root": root}}


@pytest.mark.parametrize(
    "reference", ["https://x/schema", "#/$defs/Missing", "#/anyOf/7", "#/anyOf/x", "#anchor", "#/type", 7]
)
def test_references_that_lead_nowhere(reference: Any) -> None:
    """A reference that leads nowhere is told, beside what stands with it."""
    inner = {"$ref": reference, "title": "T"}
    rewritten = gemini_schema({"type": "object", "anyOf": [{}], "properties": {"a": inner}})
    assert rewritten["properties"]["a"] == {"title": "T", "description": f"($ref: {json.dumps(reference)})"}


def test_pointers() -> None:
    """Pointers lead through lists, and through names with escaped characters."""
    schema = {"anyOf": [{"const": 1}], "$defs": {"a/b~c": True}, "prefixItems": [
        {"$ref": "#/anyOf/0"}, {"$ref": "#/$defs/a~1b~0c"}
    ]}  # fmt: skip
    assert gemini_schema(schema)["$defs"] == {"0": {"enum": [1]}, "a_1b_0c": {}}


def test_all_of() -> None:
    """What has to hold together is written together; what contradicts itself is told."""
    schema = {
        "$defs": {
            "Base": {
                "title": "Base",
                "description": "Base.",
                "properties": {"a": {"type": "string"}},
                "required": ["a"],
            },
            "Middle": {"allOf": [{"$ref": "#/$defs/Base"}], "minProperties": 1},
        },
        "description": "Both.",
        "allOf": [
            {"$ref": "#/$defs/Middle"},
            {"properties": {"b": {"const": 1}, "a": {"type": "integer"}}, "required": ["a", "b"], "type": "object"},
            {"type": "string"},
            {"$ref": "https://x"},
        ],
    }  # fmt: skip
    assert gemini_schema(schema) == {
        "description": 'Both.\nBase. (also: {"a":{"type":"integer"}}; also: {"type":"string"}; '
        'also: {"$ref":"https://x"}) (minProperties: 1)',
        "title": "Base",
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"enum": [1]}},
        "required": ["a", "b"],
    }
    assert gemini_schema({"allOf": {"const": 1}}) == {"enum": [1]}


def test_all_of_without_end() -> None:
    """A definition made of itself, once or in millions of ways, ends in a remark."""
    endless = gemini_schema({"$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}}, "allOf": [{"$ref": "#/$defs/A"}]})
    assert endless == {"description": '(also: {"$ref":"#/$defs/A"})'}
    bomb: dict[str, Any] = {f"A{n}": {"allOf": [{"$ref": f"#/$defs/A{n + 1}"}] * 2} for n in range(40)}
    bomb["A40"] = {"const": 1}
    assert _only_taken(gemini_schema({"$defs": bomb, "allOf": [{"$ref": "#/$defs/A0"}]}))


# --- types -----------------------------------------------------------------------------------------


class _Colour(enum.Enum):
    RED = "red"
    NONE = None


class _Point(NamedTuple):
    x: int
    y: float = 0.0


@attrs.define
class _Node:
    name: str
    colour: _Colour
    children: list[_Node]
    at: Optional[_Point] = None


@attrs.define
class _Everything:
    flag: bool
    one: Literal[True, "a", 1]
    when: dt.datetime
    day: Optional[dt.date]
    span: dt.timedelta
    price: decimal.Decimal
    key: uuid.UUID
    raw: bytes
    pair: tuple[int, str]
    many: tuple[int, ...]
    unique: set[str]
    table: dict[str, Union[int, list[str]]]
    anything: Any
    tree: _Node
    number: int = attrs.field(validator=[attrs.validators.gt(0), attrs.validators.lt(10)])
    text: str = attrs.field(validator=attrs.validators.matches_re("a+"))


@pytest.mark.parametrize("tp", [_Everything, _Node, dict[str, _Node], list[_Point], Optional[_Colour]])
@pytest.mark.parametrize("seed", range(4))
def test_types(tp: Any, seed: int) -> None:
    """The schema of every type is in Gemini's words, and takes each value that the type's own schema takes."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema(tp, titles=True)
    rewritten = gemini_schema(schema)
    assert _only_taken(rewritten)
    value = generate(schema, seed)
    jsonschema.Draft202012Validator(schema).validate(value)
    jsonschema.Draft202012Validator(rewritten).validate(value)
    assert gemini_schema(rewritten) == rewritten


def test_types_that_are_told() -> None:
    """A type's constraints that have no other form reach the model in words."""
    properties = gemini_schema(json_schema(_Everything))["properties"]
    assert properties["number"] == {"type": "integer", "minimum": 1, "maximum": 9}
    assert "pattern: " in properties["text"]["description"]
    assert properties["key"] == {"type": "string", "description": "(format: uuid)"}
    assert properties["pair"]["prefixItems"] == [{"type": "integer"}, {"type": "string"}]
    assert (properties["pair"]["minItems"], properties["pair"]["maxItems"]) == (2, 2)


_KEYS = sorted(
    {*_TAKEN, "const", "allOf", "oneOf", "not", "nullable", "exclusiveMinimum", "pattern", "minLength", "x-mine"}
)
_WORDS = st.sampled_from(["string", "integer", "#", "a", "uuid"])
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), _WORDS)
_ANY = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=3)),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["not", "pattern", "minLength", "x-mine", "default", "if"]), _ANY, min_size=1))
def test_nothing_is_left_out(schema: dict[str, Any]) -> None:
    """Every keyword without a form of its own stands in the description, with its value."""
    description = gemini_schema(schema)["description"]
    for key, value in schema.items():
        assert f"{key}: {json.dumps(value, separators=(',', ':'))}" in description


@given(st.dictionaries(st.sampled_from(_KEYS), _ANY))
def test_any_schema(schema: dict[str, Any]) -> None:
    """What is no schema at all is written somehow, and the same each time."""
    assert gemini_schema(schema) == gemini_schema(copy.deepcopy(schema))
