"""attrs classes, dataclasses, TypedDicts, NamedTuples and pydantic models: fields in, objects out."""

from __future__ import annotations

import collections
import dataclasses
import sys
import types
from typing import Annotated, Any, ClassVar, Final, Generic, NamedTuple, Optional, TypeVar, Union

import attrs
import pytest
import typing_extensions as te
from attrs import validators as v

from syncagent.exceptions import UserError
from syncagent.schema.json_schema import json_schema
from syncagent.schema.structure import ValidationError, structurer

T = TypeVar("T")
N = TypeVar("N", bound=int)
C = TypeVar("C", int, str)


def errors_of(tp: Any, value: Any, json: bool = True, **options: Any) -> list[tuple[str, tuple[Any, ...], str]]:
    """Kind, path and text of each mistake in *value*."""
    compiled = structurer(tp, **options)
    with pytest.raises(ValidationError) as caught:
        (compiled.from_json_value if json else compiled.from_python)(value)
    return [(error["type"], error["loc"], error["msg"]) for error in caught.value.errors]


@attrs.define
class Item:
    """Something to buy."""

    sku: str
    count: int = 1


@attrs.define(kw_only=True)
class Order:
    number: int
    items: list[Item] = attrs.Factory(list)
    note: Optional[str] = None
    _secret: str = "s"
    renamed: int = attrs.field(default=0, alias="count")
    computed: int = attrs.field(init=False, default=7)
    kind: ClassVar[str] = "order"


def test_attrs() -> None:
    """An attrs class is built from its init arguments, by their aliases, defaults filled in."""
    made = structurer(Order).from_json('{"number": "3", "items": [{"sku": "a"}], "secret": "x", "count": 2, "junk": 1}')
    assert made == Order(number=3, items=[Item("a")], secret="x", count=2)
    assert json_schema(Order) == {
        "properties": {
            "number": {"type": "integer"},
            "items": {"items": {"$ref": "#/$defs/Item"}, "type": "array"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "secret": {"type": "string"},
            "count": {"type": "integer"},
        },
        "type": "object",
        "required": ["number"],
        "$defs": {
            "Item": {
                "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}},
                "type": "object",
                "required": ["sku"],
                "description": "Something to buy.",
            }
        },
    }


def test_all_mistakes_at_once() -> None:
    """Every mistake of every field comes, in the order of the fields, with its path."""
    found = errors_of(Order, {"items": [{"sku": 1}, 5], "note": 3})
    assert found == [
        ("missing", ("number",), "Field required"),
        ("string_type", ("items", 0, "sku"), "Input should be a valid string"),
        ("dataclass_type", ("items", 1), "Input should be an object"),
        ("string_type", ("note",), "Input should be a valid string"),
    ]


def test_no_object() -> None:
    """What is no object is refused; in Python's name the class is named."""
    assert errors_of(Item, [], json=False) == [
        ("dataclass_type", (), "Input should be a dictionary or an instance of Item")
    ]
    assert errors_of(Item, None) == [("dataclass_type", (), "Input should be an object")]


def test_an_instance_is_taken_as_it_is() -> None:
    """An object of the class is the value; any mapping is an object."""
    item = Item("a")
    assert structurer(Item).from_python(item) is item
    assert structurer(Item).from_python(types.MappingProxyType({"sku": "b"})) == Item("b")


def test_extra_keys() -> None:
    """Unknown keys are forbidden where the caller says so, at the top only."""
    assert structurer(Item).from_json('{"sku": "a", "x": 1}') == Item("a")
    assert errors_of(Item, {"sku": "a", "x": 1, "y": 2}, extra="forbid") == [
        ("extra_forbidden", ("x",), "Extra inputs are not permitted"),
        ("extra_forbidden", ("y",), "Extra inputs are not permitted"),
    ]
    nested = structurer(Order, extra="forbid").from_json('{"number": 1, "items": [{"sku": "a", "x": 1}]}')
    assert nested.items == [Item("a")]
    assert errors_of(Annotated[Item, "text"], {"sku": "a", 3: 1}, extra="forbid") == [
        ("extra_forbidden", (3,), "Extra inputs are not permitted")
    ]
    assert errors_of(Item, {"sku": "a", (1,): 1}, extra="forbid")[0][1] == ("(1,)",)


def test_what_the_class_raises() -> None:
    """What a class' own checks refuse is one error at the object's path; other exceptions are defects."""

    @attrs.define
    class Fussy:
        n: int = attrs.field()

        @n.validator
        def _check(self, attribute: Any, value: int) -> None:
            if value == 0:
                raise ValueError("n must not be 0")
            if value == 1:
                raise TypeError("one is no number")
            if value == 2:
                raise AssertionError()
            if value == 3:
                raise LookupError("broken")

    Holder = attrs.make_class("Holder", {"fussy": attrs.field(type=list[Fussy])})
    path = ("fussy", 1)
    compiled = structurer(Holder)
    for n, text in ((0, "n must not be 0"), (1, "one is no number"), (2, "AssertionError")):
        with pytest.raises(ValidationError) as caught:
            compiled.from_json_value({"fussy": [{"n": 9}, {"n": n}]})
        assert caught.value.errors == [
            {
                "type": "value_error",
                "loc": path,
                "msg": f"Value error, {text}",
                "input": {"n": n},
                "ctx": {"error": text},
            }
        ]
        assert isinstance(caught.value.__cause__, (AssertionError, TypeError, ValueError))
    with pytest.raises(LookupError, match="broken"):
        compiled.from_json_value({"fussy": [{"n": 3}]})


def to_cents(value: Union[int, str]) -> int:
    """A converter that says what it takes."""
    return int(value) * 100


def test_attrs_converters() -> None:
    """A converter's own annotation is the field's type; without one anything is."""

    @attrs.define
    class Price:
        cents: int = attrs.field(converter=to_cents)
        plain: int = attrs.field(converter=int, default=0)
        either: Optional[int] = attrs.field(converter=attrs.converters.optional(to_cents), default=None)

    properties = json_schema(Price)["properties"]
    assert properties["cents"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert properties["plain"] == {}
    made = structurer(Price).from_json_value({"cents": "3", "plain": "4"})
    assert (made.cents, made.plain) == (300, 4)
    assert errors_of(Price, {"cents": 1, "plain": "x"})[0][:2] == ("value_error", ())


def test_attrs_without_annotations() -> None:
    """An attribute without a type is what ``instance_of`` wants, else anything."""

    @attrs.define
    class Old:
        a = attrs.field(validator=v.instance_of(int))
        b = attrs.field(validator=[v.optional(v.ge(3)), v.instance_of((int, str))])
        c = attrs.field(default=None, validator=v.is_callable())
        d = attrs.field(default=None)

    assert json_schema(Old)["properties"] == {
        "a": {"type": "integer"},
        "b": {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "string"}]},
        "c": {},
        "d": {},
    }


def test_attrs_converter_without_parameters() -> None:
    """A converter that takes anything by position says nothing about its input."""

    @attrs.define
    class Odd:
        a: int = attrs.field(converter=lambda *values: len(values))
        b: int = attrs.field(converter=attrs.Converter(to_cents) if hasattr(attrs, "Converter") else to_cents)

    assert json_schema(Odd)["properties"]["b"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert structurer(Odd).from_json_value({"a": "x", "b": 1}) == Odd("x", 1)


@dataclasses.dataclass
class Point:
    x: int
    y: dataclasses.InitVar[int]
    label: Annotated[str, "what it is called"] = "p"
    tags: list[str] = dataclasses.field(default_factory=list, metadata={"description": "free words"})
    total: int = dataclasses.field(init=False, default=0)
    kind: ClassVar[str] = "point"

    def __post_init__(self, y: int) -> None:
        self.total = self.x + y


def test_dataclass() -> None:
    """A dataclass is built from its init fields, InitVar among them."""
    made = structurer(Point).from_json('{"x": 1, "y": "2"}')
    assert (made.x, made.total, made.tags) == (1, 3, [])
    assert json_schema(Point) == {
        "properties": {
            "x": {"type": "integer"},
            "y": {"type": "integer"},
            "label": {"type": "string", "description": "what it is called"},
            "tags": {"items": {"type": "string"}, "type": "array", "description": "free words"},
        },
        "type": "object",
        "required": ["x", "y"],
    }


class Base(te.TypedDict, total=False):
    """A row.

    Attributes:
        a: the first column.
    """

    a: te.Required[int]
    b: str


class _Nothing:
    """Stands for ReadOnly where typing_extensions has none: before 4.9."""

    def __class_getitem__(cls, item: Any) -> Any:
        return item


ReadOnly: Any = getattr(te, "ReadOnly", _Nothing)


class Row(Base):
    c: te.NotRequired[Annotated[Optional[int], "the third"]]
    d: Annotated[te.Required[int], v.ge(1)]
    e: ReadOnly[te.NotRequired[int]]


def test_typeddict() -> None:
    """A TypedDict is a dict of the keys that came, made each as its type."""
    assert structurer(Row).from_json('{"a": "1", "d": 2, "z": 3}') == {"a": 1, "d": 2}
    schema = json_schema(Row)
    assert schema["required"] == ["a", "d"]
    assert schema["properties"]["a"] == {"type": "integer", "description": "the first column."}
    assert schema["properties"]["c"]["description"] == "the third"
    assert schema["properties"]["d"] == {"type": "integer", "minimum": 1}
    assert errors_of(Row, {"a": 1, "d": 0, "b": 1}) == [
        ("string_type", ("b",), "Input should be a valid string"),
        ("greater_than_equal", ("d",), "Input should be greater than or equal to 1"),
    ]
    assert errors_of(Row, [], json=False) == [("dict_type", (), "Input should be a valid dictionary")]


class Pair(NamedTuple):
    """Two things."""

    first: int
    second: Annotated[str, "the other"] = "s"


def test_namedtuple() -> None:
    """A NamedTuple is an array of its fields; an object of them is taken too."""
    compiled = structurer(Pair)
    assert compiled.from_json("[1]") == Pair(1)
    assert compiled.from_json('["1", "b"]') == Pair(1, "b")
    assert compiled.from_json('{"first": 1}') == Pair(1)
    assert compiled.from_python(Pair(3)) == Pair(3)
    assert json_schema(Pair) == {
        "maxItems": 2,
        "minItems": 1,
        "type": "array",
        "prefixItems": [
            {"title": "First", "type": "integer"},
            {"title": "Second", "type": "string", "description": "the other"},
        ],
        "description": "Two things.",
    }
    assert errors_of(Pair, []) == [("missing", (0,), "Field required")]
    assert errors_of(Pair, ["x", 1]) == [
        ("int_parsing", (0,), "Input should be a valid integer, unable to parse string as an integer"),
        ("string_type", (1,), "Input should be a valid string"),
    ]
    assert errors_of(Pair, [1, "a", 3]) == [
        ("too_long", (), "NamedTuple should have at most 2 items after validation, not 3")
    ]
    assert errors_of(Pair, {"z": 1}) == [
        ("missing", ("first",), "Field required"),
        ("extra_forbidden", ("z",), "Extra inputs are not permitted"),
    ]
    assert errors_of(Pair, 5) == [("named_tuple_type", (), "Input should be an array or an object")]


def test_namedtuple_in_a_union() -> None:
    """A NamedTuple's fit is its items'; a list of the same items fits as a list."""
    assert structurer(Union[Pair, list[int]]).from_json("[1, 2]") == [1, 2]
    assert structurer(Union[Pair, dict[str, str]]).from_json('{"first": 1}') == Pair(1)
    assert structurer(Union[list[Any], Pair]).from_python(Pair(1)) == Pair(1)


def test_namedtuple_of_collections() -> None:
    """A namedtuple without annotations holds anything, and its own ``__new__`` may refuse."""
    Plain = collections.namedtuple("Plain", ["a", "b"], defaults=[2])
    assert structurer(Plain).from_json("[[1]]") == Plain([1], 2)
    assert "description" not in json_schema(Plain)

    class Strict(Plain):
        def __new__(cls, a: Any, b: Any = 2) -> Strict:
            raise ValueError("never")

    assert errors_of(Strict, [1]) == [("value_error", (), "Value error, never")]


def test_an_empty_namedtuple() -> None:
    """No fields, an empty array."""

    class Empty(NamedTuple):
        pass

    assert json_schema(Empty) == {"maxItems": 0, "minItems": 0, "type": "array"}
    assert structurer(Empty).from_json("[]") == ()


@attrs.define
class Box(Generic[T]):
    content: T
    more: list[T] = attrs.Factory(list)


@attrs.define
class IntBox(Box[int]):
    pass


@attrs.define
class Deeper(IntBox):
    depth: int = 0


@dataclasses.dataclass
class Couple(Generic[T, N]):
    left: T
    right: N
    inner: Optional[Box[T]] = None


class Mapped(te.TypedDict, Generic[T]):
    value: T


@pytest.mark.parametrize(
    ("tp", "text", "expected"),
    [
        (Box[int], '{"content": "1", "more": ["2"]}', Box(1, [2])),
        (Box[list[str]], '{"content": ["a"]}', Box(["a"])),
        (Box, '{"content": "1"}', Box("1")),
        (IntBox, '{"content": "1"}', IntBox(1)),
        (Deeper, '{"content": "1", "depth": 2}', Deeper(1, [], 2)),
        (Couple[str, bool], '{"left": "1", "right": "yes", "inner": {"content": "x"}}', Couple("1", True, Box("x"))),
        (Couple, '{"left": "1", "right": "1"}', Couple("1", 1)),
        (Mapped[int], '{"value": "3"}', {"value": 3}),
        (list[Box[int]], '[{"content": "3"}]', [Box(3)]),
    ],
)
def test_generics(tp: Any, text: str, expected: Any) -> None:
    """Type variables stand for what the alias, or a base, gives them; alone for their bound, or anything."""
    assert structurer(tp).from_json(text) == expected


def test_generic_schemas_are_told_apart() -> None:
    """Two parametrisations of a class are two definitions."""
    schema = json_schema(tuple[Box[int], Box[str]])
    assert sorted(schema["$defs"]) == ["Box_int_", "Box_str_"]
    assert json_schema(Box[int], titles=True)["title"] == "Box[int]"


def test_constrained_type_variables() -> None:
    """A type variable with constraints is their union."""
    assert json_schema(C) == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert json_schema(te.TypeVar("D", default=bool)) == {"type": "boolean"}


@attrs.define
class Tree:
    value: int
    children: list[Tree] = attrs.Factory(list)
    parent: Optional[Tree] = None


def test_recursive_types() -> None:
    """A type may hold itself, to any depth that the stack allows."""
    text = '{"value": 1, "children": [{"value": "2", "children": []}], "parent": {"value": 0}}'
    assert structurer(Tree).from_json(text) == Tree(1, [Tree(2)], Tree(0))
    assert errors_of(Tree, {"value": 1, "children": [{"value": 2, "children": [{"value": "x"}]}]})[0][1] == (
        "children",
        0,
        "children",
        0,
        "value",
    )
    schema = json_schema(Tree)
    assert schema["properties"]["children"] == {"items": {"$ref": "#/$defs/Tree"}, "type": "array"}
    assert schema["$defs"]["Tree"]["properties"] == schema["properties"]


def test_a_class_in_a_function_may_name_itself() -> None:
    """Its own name and its module's names are looked up."""

    @attrs.define
    class Local:
        n: int
        next: Optional[Local] = None
        item: Optional[Item] = None

    assert structurer(Local).from_json('{"n": 1, "next": {"n": 2}}') == Local(1, Local(2))


def test_a_name_that_cannot_be_looked_up() -> None:
    """A name that only a function knows is an error that says what to do."""

    @attrs.define
    class Hidden:
        n: int

    @attrs.define
    class Holder:
        hidden: Hidden

    for make in (json_schema, structurer):
        with pytest.raises(UserError, match="Holder: the name 'Hidden' in its annotations cannot be looked up; define"):
            make(Holder)


def test_the_bar_on_python_39() -> None:
    """``X | Y`` in an annotation works where Python has it; on 3.9 the error says what to write."""
    cls = attrs.define(types.new_class("Barred", exec_body=lambda ns: ns.update(__annotations__={"a": "int | str"})))
    cls.__module__ = __name__
    if sys.version_info >= (3, 10):
        assert structurer(cls).from_json('{"a": "3"}').a == "3"
    else:
        with pytest.raises(UserError, match=r"Python 3.9 cannot evaluate; use Optional\[X\] or Union\[X, Y\]"):
            structurer(cls)


def test_annotations_that_are_no_types() -> None:
    """Nonsense in an annotation is an error, not a crash."""
    cls = attrs.make_class("Odd", {"a": attrs.field(type="int[3]")})
    cls.__annotations__ = {"a": "int[3]"}
    cls.__module__ = __name__
    with pytest.raises(UserError, match="Odd: its annotations cannot be evaluated"):
        json_schema(cls)


@attrs.define
class Finals:
    a: Final[int] = 3
    b: list[Item] = attrs.Factory(list)


def test_final_fields() -> None:
    """Final says nothing about the value."""
    assert structurer(Finals).from_json('{"a": "4", "b": [{"sku": "x"}]}') == Finals(4, [Item("x")])
    assert json_schema(Finals)["properties"]["a"] == {"type": "integer"}


def test_namedtuple_ranks() -> None:
    """An object of a NamedTuple's fields fits as its values do."""
    assert structurer(Union[dict[str, int], Pair]).from_json('{"first": 1, "second": "b"}') == Pair(1, "b")
    assert structurer(Union[dict[str, str], Pair]).from_json('{"first": "1"}') == {"first": "1"}
