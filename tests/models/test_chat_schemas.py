"""Which schemas go out as strict ones, and where strings get an end."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from syncagent.models._schemas import limit_strings, strict_schema


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), **more}


def _strict(schema: dict[str, Any]) -> Any:
    before = copy.deepcopy(schema)
    result = strict_schema(schema)
    assert schema == before, "nothing is changed in place"
    return result


def test_objects_are_closed() -> None:
    """Every object is closed, in definitions and lists too, and all its properties are required."""
    inner = _object({"a": {"type": "integer"}})
    schema = _object(
        {
            "x": {"$ref": "#/$defs/Inner"},
            "y": {"type": "array", "items": inner},
            "z": {"anyOf": [inner, {"type": "null"}]},
        },
        **{"$defs": {"Inner": inner}},
    )
    closed = {**inner, "additionalProperties": False}
    assert _strict(schema) == {
        "type": "object",
        "properties": {
            "x": {"$ref": "#/$defs/Inner"},
            "y": {"type": "array", "items": closed},
            "z": {"anyOf": [closed, {"type": "null"}]},
        },
        "required": ["x", "y", "z"],
        "$defs": {"Inner": closed},
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "enum": ["a"]},
        {"enum": ["a", 1]},
        {"const": 1},
        {"type": ["string", "null"]},
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "a"},
        {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "multipleOf": 0.5, "description": "d", "title": "t"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
        {"type": "object", "properties": {}},
    ],
)
def test_strict(schema: dict[str, Any]) -> None:
    """What strict mode has words for is strict."""
    assert _strict(_object({"a": schema})) is not None


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"description": "anything"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "additionalProperties": True, "properties": {}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": []},
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "string", "minLength": 1},
        {"type": "string", "maxLength": 1},
        {"type": "string", "default": "a"},
        {"type": "string", "format": "binary"},
        {"type": "array"},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": ["object", "null"]},
        {"oneOf": [{"type": "string"}]},
        {"allOf": [{"type": "string"}]},
        {"$ref": "#/$defs/A", "description": "d"},
        {"anyOf": [{"type": "string"}, {}]},
    ],
)
def test_not_strict(schema: dict[str, Any]) -> None:
    """What strict mode has no words for makes the whole schema not strict, however deep it stands."""
    assert _strict(_object({"a": schema})) is None
    assert _strict(_object({"a": {"type": "array", "items": _object({"b": schema})}})) is None


def test_not_an_object() -> None:
    """The root of a strict schema is an object."""
    assert _strict({"anyOf": [_object({})]}) is None


def test_depth() -> None:
    """Ten levels of nesting are strict, eleven are not."""
    schema: dict[str, Any] = {"type": "string"}
    for level in range(11):
        schema = _object({"a": schema})
        assert (_strict(schema) is not None) == (level < 10)


def test_number_of_properties() -> None:
    """Five thousand properties in all are strict, one more is not."""
    half = _object({f"a{number}": {"type": "string"} for number in range(2499)})
    assert _strict(_object({"x": half, "y": half})) is not None
    assert _strict(_object({"x": half, "y": half, "z": {"type": "null"}})) is None


def test_limit_strings() -> None:
    """Each string gets an end, wherever a schema can stand; strings with an end or a list of values keep theirs."""
    string = {"type": "string"}
    limited = {"type": "string", "maxLength": 9}
    schema = {
        "type": "object",
        "properties": {
            "type": string,
            "default": string,
            "a": {"type": ["string", "null"]},
            "b": {"type": "string", "maxLength": 3},
            "c": {"type": "string", "enum": ["x"]},
            "d": {"type": "string", "const": "x"},
            "e": {"type": "array", "items": string, "prefixItems": [string, True]},
            "f": True,
        },
        "default": {"type": "string"},
        "additionalProperties": False,
        "$defs": {"A": {"anyOf": [string, {"type": "integer"}]}},
    }
    before = copy.deepcopy(schema)
    assert limit_strings(schema, 9) == {
        "type": "object",
        "properties": {
            "type": limited,
            "default": limited,
            "a": {"type": ["string", "null"], "maxLength": 9},
            "b": {"type": "string", "maxLength": 3},
            "c": {"type": "string", "enum": ["x"]},
            "d": {"type": "string", "const": "x"},
            "e": {"type": "array", "items": limited, "prefixItems": [limited, True]},
            "f": True,
        },
        "default": {"type": "string"},
        "additionalProperties": False,
        "$defs": {"A": {"anyOf": [limited, {"type": "integer"}]}},
    }
    assert schema == before
