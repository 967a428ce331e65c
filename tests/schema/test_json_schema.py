"""Types to JSON Schema: shapes, titles, definitions, descriptions, and what is refused."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import json
import pathlib
import sys
import typing
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSet, Sequence
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union

import attrs
import jsonschema
import pytest
import typing_extensions as te

from syncagent.exceptions import UserError
from syncagent.schema.attribute_docs import attribute_docstrings
from syncagent.schema.fields import own_docstring
from syncagent.schema.forms import cache_key, type_name
from syncagent.schema.json_schema import copy_schema, is_object_type, json_schema, object_schema, type_description
from syncagent.schema.structure import structurer

T = TypeVar("T")
# typing_extensions 4.6 has no Doc yet (PEP 727): one with the same attribute, of the same module.
Doc: Any = getattr(te, "Doc", None) or attrs.make_class("Doc", ["documentation"], frozen=True)
Doc.__module__ = te.__name__
BareList, BareTuple = (vars(typing)[name] for name in ("List", "Tuple"))  # the old names, which linters rewrite


class Colour(enum.Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class One(enum.IntEnum):
    ONLY = 1


class Mixed(enum.Enum):
    A = "a"
    B = 2
    C = (1, 2)


@attrs.define
class Item:
    """
    Something to buy.

    Args:
        sku: what the shelf says.
        count: from the class.
    """

    sku: str
    count: int = attrs.field(default=1, metadata={"description": "how many"})
    colour: Optional[Colour] = None
    """What it looks like."""
    price: Annotated[Decimal, "in euros"] = Decimal(0)
    """not this"""


@dataclasses.dataclass
class Plain:
    x: int


@dataclasses.dataclass
class Child(Plain):
    """A child."""

    other_thing: Optional[Plain] = None
    many: list[Plain] = dataclasses.field(default_factory=list)


class Row(te.TypedDict, total=False):
    a: te.Required[int]
    b: str


UserId = NewType("UserId", int)


@pytest.mark.parametrize(
    ("tp", "schema"),
    [
        (Any, {}),
        (object, {}),
        (None, {"type": "null"}),
        (type(None), {"type": "null"}),
        (bool, {"type": "boolean"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (str, {"type": "string"}),
        (bytes, {"format": "binary", "type": "string"}),
        (dt.date, {"format": "date", "type": "string"}),
        (dt.datetime, {"format": "date-time", "type": "string"}),
        (dt.time, {"format": "time", "type": "string"}),
        (dt.timedelta, {"format": "duration", "type": "string"}),
        (Decimal, {"anyOf": [{"type": "number"}, {"type": "string"}]}),
        (uuid.UUID, {"format": "uuid", "type": "string"}),
        (pathlib.Path, {"format": "path", "type": "string"}),
        (pathlib.PurePosixPath, {"format": "path", "type": "string"}),
        (te.LiteralString, {"type": "string"}),
        (list, {"items": {}, "type": "array"}),
        (BareList, {"items": {}, "type": "array"}),
        (list[int], {"items": {"type": "integer"}, "type": "array"}),
        (Sequence[int], {"items": {"type": "integer"}, "type": "array"}),
        (Iterable[int], {"items": {"type": "integer"}, "type": "array"}),
        (collections.deque[int], {"items": {"type": "integer"}, "type": "array"}),
        (set[int], {"items": {"type": "integer"}, "type": "array", "uniqueItems": True}),
        (frozenset[str], {"items": {"type": "string"}, "type": "array", "uniqueItems": True}),
        (MutableSet[int], {"items": {"type": "integer"}, "type": "array", "uniqueItems": True}),
        (tuple, {"items": {}, "type": "array"}),
        (BareTuple, {"items": {}, "type": "array"}),
        (tuple[int, ...], {"items": {"type": "integer"}, "type": "array"}),
        (
            tuple[int, str],
            {"maxItems": 2, "minItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}], "type": "array"},
        ),
        (tuple[()], {"maxItems": 0, "minItems": 0, "type": "array"}),
        (BareTuple[()], {"maxItems": 0, "minItems": 0, "type": "array"}),
        (dict, {"type": "object"}),
        (dict[str, Any], {"type": "object"}),
        (dict[str, int], {"additionalProperties": {"type": "integer"}, "type": "object"}),
        (Mapping[int, str], {"additionalProperties": {"type": "string"}, "type": "object"}),
        (MutableMapping[str, bool], {"additionalProperties": {"type": "boolean"}, "type": "object"}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Union[list[int], Sequence[int]], {"items": {"type": "integer"}, "type": "array"}),
        (Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}),
        (Literal["a"], {"const": "a", "type": "string"}),
        (Literal["a", 1, None], {"enum": ["a", 1, None]}),
        (Literal[1, True], {"enum": [1, True]}),
        (Literal[None], {"const": None, "type": "null"}),
        (Literal[Colour.RED], {"const": "red", "type": "string"}),
        (Literal[b"x"], {"const": "x", "type": "string"}),
        (te.Literal["a"], {"const": "a", "type": "string"}),
        (Colour, {"enum": ["red", "blue"], "type": "string", "description": "A colour."}),
        (One, {"const": 1, "type": "integer"}),
        (Mixed, {"enum": ["a", 2, [1, 2]]}),
        (UserId, {"type": "integer"}),
        (Annotated[int, "a text"], {"type": "integer", "description": "a text"}),
        (Annotated[Annotated[int, "inner"], "outer"], {"type": "integer", "description": "outer"}),
        (Annotated[int, Doc("documented")], {"type": "integer", "description": "documented"}),
        (T, {}),
        (Plain, {"properties": {"x": {"type": "integer"}}, "type": "object", "required": ["x"]}),
        (
            Row,
            {
                "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                "type": "object",
                "required": ["a"],
            },
        ),
    ],
)
def test_shapes(tp: Any, schema: Any) -> None:
    """Each type has one schema, which is valid and a fresh dict each time."""
    first = json_schema(tp)
    assert first == schema
    jsonschema.Draft202012Validator.check_schema(first)
    first["spoiled"] = True
    for value in first.values():
        if isinstance(value, (dict, list)):
            value.clear()
    assert json_schema(tp) == schema


def test_descriptions() -> None:
    """A field's text is its type's, else its metadata's, else what stands under it or in the class' docstring."""
    schema = json_schema(Item)
    assert schema["description"] == "Something to buy."
    assert {name: value.get("description") for name, value in schema["properties"].items()} == {
        "sku": "what the shelf says.",
        "count": "how many",
        "colour": "What it looks like.",
        "price": "in euros",
    }


def test_a_reference_may_have_a_description() -> None:
    """A described reference keeps both."""
    Holder = attrs.make_class("Holder", {"item": attrs.field(type=Annotated[Plain, "the item"])})
    assert json_schema(Holder)["properties"]["item"] == {"$ref": "#/$defs/Plain", "description": "the item"}
    assert json_schema(Annotated[Plain, "root"])["description"] == "root"


def test_titles() -> None:
    """With titles, classes have their name and properties theirs in words; a reference has none."""
    schema = json_schema(Child, titles=True)
    assert schema["title"] == "Child"
    assert schema["properties"] == {
        "x": {"title": "X", "type": "integer"},
        "other_thing": {"anyOf": [{"$ref": "#/$defs/Plain"}, {"type": "null"}]},
        "many": {"items": {"$ref": "#/$defs/Plain"}, "title": "Many", "type": "array"},
    }
    assert schema["$defs"]["Plain"]["title"] == "Plain"
    assert json_schema(Colour, titles=True)["title"] == "Colour"
    assert "title" not in json.dumps(json_schema(Child))
    assert "title" not in json_schema(int, titles=True)


def test_definitions() -> None:
    """A class inside stands once in ``$defs``; two of one name get a number."""
    schema = json_schema(tuple[Plain, list[Plain], Optional[Colour]])
    assert sorted(schema["$defs"]) == ["Colour", "Plain"]

    @attrs.define
    class Plain2:
        y: str

    Plain2.__name__ = Plain2.__qualname__ = "Plain"
    both = json_schema(tuple[Plain, Plain2])
    assert [item["$ref"] for item in both["prefixItems"]] == ["#/$defs/Plain", "#/$defs/Plain_2"]
    assert list(both["$defs"]["Plain_2"]["properties"]) == ["y"]


def test_a_recursive_root_has_its_own_definition() -> None:
    """The root's keywords stand at the root, so that it is seen to be an object, and in its definition."""
    Node = attrs.make_class("Node", {"next": attrs.field(default=None)})
    Node.__annotations__ = {"next": Optional[Node]}
    schema = json_schema(Node)
    assert schema["type"] == "object"
    assert schema["properties"]["next"]["anyOf"][0] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"] == {key: value for key, value in schema.items() if key != "$defs"}
    assert jsonschema.Draft202012Validator(schema).is_valid({"next": {"next": {"next": None}}})
    assert not jsonschema.Draft202012Validator(schema).is_valid({"next": {"next": {"next": 3}}})


@dataclasses.dataclass
class Wrong:
    deep: dict[str, list[Optional[Plain]]]
    values: list[dict[str, tuple[int, complex]]]


class Thing:
    """Not a data class."""


class Opaque(enum.Enum):
    A = Thing()


class WrongPair(typing.NamedTuple):
    a: int
    b: bytearray


@pytest.mark.parametrize(
    ("tp", "text"),
    [
        (complex, "complex: complex is not supported; use two floats or a string."),
        (
            Wrong,
            "Wrong.values[]{}[1]: complex is not supported; use two floats or a string.",
        ),
        (list[Wrong], "list[Wrong][].values[]{}[1]: complex is not supported; use two floats or a string."),
        (dict[complex, int], "dict[complex, int]{key}: complex is not supported; use two floats or a string."),
        (WrongPair, "WrongPair.b: bytearray is not supported; use bytes."),
        (Optional[complex], "Optional[complex]: complex is not supported; use two floats or a string."),
        (Union[int, complex], "Union[int, complex]: complex is not supported; use two floats or a string."),
        (
            Thing,
            "Thing: Thing is not supported; use an attrs class, a dataclass, a TypedDict or a pydantic model.",
        ),
        (Callable[[int], str], "is not supported; a function cannot come as JSON."),
        (Callable, "is not supported; a function cannot come as JSON."),
        (Iterator[int], "Iterator[int]: Iterator is not supported; use list."),
        (type[int], "is not supported; use a string or a Literal."),
        (Opaque, "Opaque: Thing has no form in JSON; give <Opaque.A: "),
        (Literal[Opaque.A], "Thing has no form in JSON"),
        (3, "3: 3 is not supported; it is a value and no type; use a type that JSON has a form of."),
        ([], "is not supported"),
        ("Item", "the name 'Item' cannot be looked up from here"),
        (BareList["Item"], "[]: the name 'Item' cannot be looked up from here"),
        (typing.Generic, "is not supported"),
    ],
)
def test_unsupported(tp: Any, text: str) -> None:
    """A type without a form in JSON is an error with the path to it and what to use, here and in structurers."""
    with pytest.raises(UserError) as info:
        json_schema(tp)
    assert text in str(info.value)
    assert not is_object_type(tp) or tp is Wrong
    if tp not in (Opaque, Literal[Opaque.A]):  # members can be matched that no schema can name
        with pytest.raises(UserError):
            structurer(tp)


def test_object_schema() -> None:
    """Parameters are an object; texts of their types win over those that are given."""
    schema = object_schema(
        {"n": int, "item": Optional[Item], "text": Annotated[str, "own"], "rest": list[int]},
        ["n", "text"],
        descriptions={"n": "how many", "text": "given"},
    )
    assert schema["properties"] == {
        "n": {"type": "integer", "description": "how many"},
        "item": {"anyOf": [{"$ref": "#/$defs/Item"}, {"type": "null"}]},
        "text": {"type": "string", "description": "own"},
        "rest": {"items": {"type": "integer"}, "type": "array"},
    }
    assert schema["required"] == ["n", "text"]
    assert schema["additionalProperties"] is False
    assert sorted(schema["$defs"]) == ["Colour", "Item"]
    jsonschema.Draft202012Validator.check_schema(schema)


def test_object_schema_without_much() -> None:
    """No parameters, no ``required``; further keys may be open, typed, or not mentioned."""
    assert object_schema({}, []) == {"properties": {}, "type": "object", "additionalProperties": False}
    assert object_schema({}, [], additional=int)["additionalProperties"] == {"type": "integer"}
    assert object_schema({}, [], additional=True)["additionalProperties"] is True
    assert object_schema({"a_b": int}, [], additional=None, titles=True) == {
        "properties": {"a_b": {"title": "A B", "type": "integer"}},
        "type": "object",
    }


def test_object_schema_names_the_parameter() -> None:
    """An unsupported parameter is named with the function."""
    with pytest.raises(UserError, match=r"^find\.values\[\]: complex is not supported"):
        object_schema({"values": list[complex]}, [], name="find")


def test_object_schemas_are_fresh() -> None:
    """What a caller does to a schema stays its own."""
    schema = object_schema({"a": list[int]}, [])
    schema["properties"]["a"]["items"]["type"] = "spoiled"
    assert object_schema({"a": list[int]}, [])["properties"]["a"]["items"] == {"type": "integer"}


@attrs.define
class Box(Generic[T]):
    content: T


@pytest.mark.parametrize(
    ("tp", "expected"),
    [
        (Item, True),
        (Plain, True),
        (Row, True),
        (Box[int], True),
        (Annotated[Item, "x"], True),
        (NewType("Other", Item), True),  # type: ignore[valid-newtype] # an attrs class is one
        (Optional[Item], False),
        (dict, False),
        (typing.NamedTuple("Pair", [("a", int)]), False),
        (Colour, False),
        (int, False),
        (complex, False),
        ("Item", False),
    ],
)
def test_is_object_type(tp: Any, expected: bool) -> None:
    """Classes with fields by name have an object schema of their own; a NamedTuple is an array."""
    assert is_object_type(tp) is expected


def test_type_description() -> None:
    """What the author wrote, without its sections; nothing inherited, nothing generated."""
    assert type_description(Item) == "Something to buy."
    assert type_description(Annotated[Item, "x"]) == "Something to buy."
    assert type_description(Box[int]) is None
    assert type_description(Plain) is None
    assert type_description(Child) == "A child."
    assert type_description(Colour) == "A colour."
    assert type_description(One) is None
    assert type_description(int) is None
    assert type_description(list[Item]) is None
    assert type_description(complex) is None
    assert type_description(collections.namedtuple("P", "a b")) is None


def test_own_docstring() -> None:
    """Docstrings that decorators write do not count."""

    class Blank:
        """ """

    assert own_docstring(Plain) is None
    assert own_docstring(Blank) is None
    assert own_docstring(list[int]) is None
    assert own_docstring(Item).startswith("Something to buy.\n\nArgs:")


def test_attribute_docstrings() -> None:
    """Texts under attributes come from the source; without a source there are none."""
    assert attribute_docstrings(Item) == {"colour": "What it looks like.", "price": "not this"}
    made = attrs.make_class("Item", {"a": attrs.field(type=int)})
    assert attribute_docstrings(made) == {}
    made.__annotations__ = {"a": int}
    made.__module__ = "nowhere"
    assert attribute_docstrings(attrs.make_class("Other", {"a": attrs.field(type=int)})) == {}
    assert attribute_docstrings(Thing) == {}


def test_attribute_docstrings_and_changed_sources(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that no longer shows the class, or is not Python, is passed over; the right one of two is found."""
    source = (
        "class Twin:\n    a: int\n    'first'\n\n\n"
        "def make():\n    class Twin(object):\n        b: int\n        'second'\n        x = 3\n    return Twin\n\n\n"
        "class Half:\n    a: int\n    '''broken\nat the margin'''\n\n\n"
        "class Docless:\n    a: int\n    b: int = 1\n"
    )
    path = tmp_path / "twins.py"
    path.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib

    twins = importlib.import_module("twins")
    try:
        assert attribute_docstrings(twins.Twin) == {"a": "first"}
        assert attribute_docstrings(twins.make()) == {"b": "second"}
        assert attribute_docstrings(twins.Half) == {}
        assert attribute_docstrings(twins.Docless) == {}
        outside = type("Gone", (), {"__annotations__": {"a": int}, "__module__": "twins"})
        assert attribute_docstrings(outside) == {}
        outside = type("Gone", (), {"__annotations__": {"a": int}, "__module__": "no_such_module"})
        assert attribute_docstrings(outside) == {}
    finally:
        del sys.modules["twins"]


@pytest.mark.parametrize(
    ("tp", "name"),
    [
        (Item, "Item"),
        (list[int], "list[int]"),
        (Optional[int], "Optional[int]"),
        (Union[int, str, None], "Union[int, str, None]"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Annotated[Item, 1], "Item"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Box[int], "Box[int]"),
        (UserId, "UserId"),
        (Any, "Any"),
        (Callable[[int], str], "collections.abc.Callable[[int], str]"),
    ],
)
def test_type_names(tp: Any, name: str) -> None:
    """Messages call types as their authors wrote them."""
    assert type_name(tp) == name


def test_cache_keys() -> None:
    """Keys tell apart what Python calls equal, and user's types have none."""
    assert cache_key(Union[int, str]) != cache_key(Union[str, int])
    assert cache_key(Literal[1]) != cache_key(Literal[True])
    assert cache_key(list[int]) != cache_key(Sequence[int])
    assert cache_key(None) is type(None)
    for tp in (Item, list[Item], Optional[Colour], Literal[Colour.RED], Annotated[int, "x"], UserId, T, "x", complex):
        assert cache_key(tp) is None


def test_copies_are_deep() -> None:
    """A copy shares nothing that can be changed."""
    schema = {"a": [{"b": [1]}], "c": 3}
    copied = copy_schema(schema)
    assert copied == schema
    copied["a"][0]["b"].append(2)
    assert schema == {"a": [{"b": [1]}], "c": 3}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements came with Python 3.12")
def test_type_aliases() -> None:
    """``type X = ...`` is the type behind it, with its arguments, recursive through a class."""
    space: dict[str, Any] = {}
    exec(  # noqa: S102 # older Pythons cannot read the syntax
        "type Number = int | float\ntype Many[T] = list[T]\ntype Broken = Missing\n", space
    )
    assert json_schema(space["Number"]) == {"anyOf": [{"type": "integer"}, {"type": "number"}]}
    assert json_schema(space["Many"][int]) == {"items": {"type": "integer"}, "type": "array"}
    assert structurer(space["Many"][int]).from_json('["1"]') == [1]
    with pytest.raises(UserError, match="the name 'Missing' is not defined"):
        json_schema(space["Broken"])


@pytest.mark.skipif(sys.version_info < (3, 10), reason="X | Y needs Python 3.10")
def test_the_bar() -> None:
    """``X | Y`` is a union."""
    assert json_schema(int | None) == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
