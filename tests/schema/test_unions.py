"""Containers, unions and literals: what fits best, and where each mistake is."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import sys
from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, Union

import attrs
import pytest
from attrs import validators as v
from typing_extensions import NotRequired, TypedDict

from syncagent.schema.structure import ValidationError, structurer


class Size(str, enum.Enum):
    S = "s"
    L = "l"


class Level(enum.IntEnum):
    LOW = 1


@attrs.define
class Cat:
    name: str
    lives: int = 9


@dataclasses.dataclass
class Dog:
    name: str
    tricks: Optional[list[str]] = None


@attrs.define
class Leaf:
    next: Optional[Leaf] = None


@attrs.frozen
class Coin:
    cents: int = attrs.field(validator=v.ge(1))

    def __attrs_post_init__(self) -> None:
        if self.cents == 13:
            raise ValueError("no such coin")


class Held(TypedDict):
    name: str
    held: NotRequired[Coin]


class Trade(NamedTuple):
    coin: Coin
    cat: Optional[Cat] = None


def errors_of(tp: Any, value: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """Kind and path of each mistake in *value*."""
    with pytest.raises(ValidationError) as caught:
        structurer(tp).from_json_value(value)
    return [(error["type"], error["loc"]) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("tp", "value", "expected"),
    [
        (list[int], ["1", 2], [1, 2]),
        (list, [1, "a"], [1, "a"]),
        (Sequence[int], [1], [1]),
        (MutableSequence[int], [1], [1]),
        (Iterable[int], ["1"], [1]),
        (tuple[int, ...], [1, "2"], (1, 2)),
        (tuple[int, str], ["1", "2"], (1, "2")),
        (tuple[()], [], ()),
        (tuple, [1, "a"], (1, "a")),
        (set[int], [1, "1"], {1}),
        (frozenset[int], [1], frozenset({1})),
        (collections.deque[int], ["1"], collections.deque([1])),
        (dict[str, int], {"a": "1"}, {"a": 1}),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (Mapping[dt.date, int], {"2020-01-01": 1}, {dt.date(2020, 1, 1): 1}),
        (dict, {"a": [1]}, {"a": [1]}),
        (list[int], (1, 2), [1, 2]),
        (list[int], {1}, [1]),
        (list[int], collections.deque([1]), [1]),
        (list[str], {"a": 1}.keys(), ["a"]),
        (dict[str, int], collections.OrderedDict(a=1), {"a": 1}),
    ],
)
def test_containers(tp: Any, value: Any, expected: Any) -> None:
    """Containers are rebuilt in their own class, with every item made."""
    made = structurer(tp).from_python(value)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("tp", "value", "errors"),
    [
        (list[int], [1, "x", None], [("int_parsing", (1,)), ("int_type", (2,))]),
        (list[list[int]], [[1], ["x"]], [("int_parsing", (1, 0))]),
        (list[str], "abc", [("list_type", ())]),
        (list[str], {"a": 1}, [("list_type", ())]),
        (list[int], iter([1]), [("list_type", ())]),
        (collections.deque[int], None, [("deque_type", ())]),
        (tuple[int, str], ["x", 1], [("int_parsing", (0,)), ("string_type", (1,))]),
        (tuple[int, str], [1], [("missing", (1,))]),
        (tuple[int, str], [1, "a", 3], [("too_long", ())]),
        (set[int], [1, "x"], [("int_parsing", (1,))]),
        (set[Any], [[1], 1], [("set_item_not_hashable", (0,))]),
        (dict[str, int], [], [("dict_type", ())]),
        (dict[str, int], {"a": "x", "b": 1}, [("int_parsing", ("a",))]),
        (dict[int, int], {"x": "y"}, [("int_parsing", ("x", "[key]")), ("int_parsing", ("x",))]),
        (dict[str, int], {(1, 2): 1}, [("string_type", ("(1, 2)", "[key]"))]),
    ],
)
def test_mistakes_in_containers(tp: Any, value: Any, errors: Any) -> None:
    """Every mistake is there, at its index or key; a text is no list, and a generator is not used up."""
    assert errors_of(tp, value) == errors


@pytest.mark.parametrize(
    ("tp", "value", "expected"),
    [
        (Union[int, str], "3", "3"),
        (Union[int, str], 3, 3),
        (Union[int, str], 3.0, 3),
        (Union[str, int], 3, 3),
        (Union[int, float], 1.0, 1.0),
        (Union[float, int], 1, 1),
        (Union[float, int], "1", 1.0),
        (Union[bool, int], 1, 1),
        (Union[int, bool], True, True),
        (Union[bool, int], "1", True),
        (Union[Decimal, str], "1.5", Decimal("1.5")),
        (Union[Decimal, float], 1.5, 1.5),
        (Union[dt.date, str], "2020-01-01", dt.date(2020, 1, 1)),
        (Union[str, dt.date], "2020-01-01", "2020-01-01"),
        (Union[dt.date, str], "soon", "soon"),
        (Union[dt.date, dt.datetime], "2020-01-01T00:00:00", dt.datetime(2020, 1, 1)),
        (Union[dt.datetime, dt.date], "2020-01-01", dt.date(2020, 1, 1)),
        (Union[dt.time, int], 5, 5),
        (Union[dt.timedelta, int], 5, 5),
        (Union[Size, str], "s", "s"),
        (Union[Size, int], "s", Size.S),
        (Union[Size, str], Size.L, Size.L),
        (Union[Level, int], 1, 1),
        (Union[int, Level], "1", 1),
        (Union[Literal["a"], int], "a", "a"),
        (Union[int, Literal["1"]], "1", "1"),
        (Union[Any, int], 3, 3),
        (Union[int, Any], "3", "3"),
        (Union[int, None, str], None, None),
        (Optional[Union[int, str]], None, None),
        (Union[list[int], list[str]], ["1"], ["1"]),
        (Union[list[int], list[str]], [1], [1]),
        (Union[set[int], list[int]], [1], [1]),
        (Union[tuple[int, int], list[int]], [1, 2], [1, 2]),
        (Union[tuple[int, int], list[int]], (1, 2), (1, 2)),
        (Union[dict[str, int], dict[str, str]], {"a": "1"}, {"a": "1"}),
        (Union[dict[int, int], dict[str, int]], {"1": 1}, {"1": 1}),
        (list[Union[int, str]], [1, "1"], [1, "1"]),
        (Union[list[Union[int, str]], list[float]], [1.5], [1.5]),
        (Union[Cat, Dog], {"name": "a"}, Cat("a")),
        (Union[Cat, Dog], {"name": "a", "tricks": ["sit"]}, Dog("a", ["sit"])),
        (Union[Dog, Cat], {"name": "a", "lives": "3"}, Cat("a", 3)),
        (Union[Cat, Dog], Dog("a"), Dog("a")),
        (Union[Cat, dict[str, str]], {"name": "a"}, Cat("a")),
        (Union[dict[str, str], Cat], {"name": "a"}, {"name": "a"}),
        (Union[dict[str, Cat], dict[str, Dog]], {"x": {"name": "a", "tricks": []}}, {"x": Dog("a", [])}),
        (Union[list[Cat], list[Dog]], [{"name": "a", "tricks": []}], [Dog("a", [])]),
        (Union[tuple[Cat], tuple[Dog]], [{"name": "a", "tricks": []}], (Dog("a", []),)),
        (Union[list[Optional[Cat]], list[Optional[Dog]]], [None, {"name": "a", "tricks": []}], [None, Dog("a", [])]),
        (list[Union[Cat, Dog]], [{"name": "a", "tricks": []}], [Dog("a", [])]),
        (Union[list[Union[Cat, Dog, int]], list[Cat]], [{"name": "a"}, 3], [Cat("a"), 3]),
        (Union[Annotated[int, v.ge(3)], float], 2, 2.0),
        (Union[Leaf, int], {"next": {"next": None}}, Leaf(Leaf())),
        (Union[set[Coin], list[Cat]], [{"cents": 1}, {"cents": "1"}], {Coin(1)}),
        (Union[list[Cat], frozenset[Coin]], [{"cents": 1}], frozenset({Coin(1)})),
        (Union[tuple[Cat, int], tuple[Dog, str]], [{"name": "a"}, "1"], (Dog("a"), "1")),
        (Union[Annotated[list[Cat], v.max_len(1)], list[Dog]], [{"name": "a"}] * 2, [Dog("a"), Dog("a")]),
        (Union[Cat, Held], {"name": "a", "held": {"cents": 1}}, {"name": "a", "held": Coin(1)}),
        (Union[Trade, dict[str, Cat]], {"coin": {"cents": 2}}, Trade(Coin(2))),
        (Union[Trade, list[Coin]], [{"cents": 2}, {"name": "a"}], Trade(Coin(2), Cat("a"))),
        (Union[dict[Union[int, str], Cat], Coin], {"1": {"name": "a"}}, {"1": Cat("a")}),
    ],
)
def test_the_best_member_wins(tp: Any, value: Any, expected: Any) -> None:
    """An exact fit before a lax one, more fields before fewer, else the first."""
    made = structurer(tp).from_json_value(value)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("tp", "value", "errors"),
    [
        (Union[int, str], None, [("int_type", ("int",)), ("string_type", ("str",))]),
        (Optional[int], "x", [("int_parsing", ())]),
        (Union[int, None, list[int]], "x", [("int_parsing", ("int",)), ("list_type", ("list[int]",))]),
        (
            Union[list[int], list[str]],
            [1, "a"],
            [("int_parsing", ("list[int]", 1)), ("string_type", ("list[str]", 0))],
        ),
        (
            Union[Cat, Dog],
            {"lives": 1},
            [("missing", ("Cat", "name")), ("missing", ("Dog", "name"))],
        ),
        (
            Union[Literal["a"], dict[str, int], tuple[int, ...], tuple[int, str], Annotated[int, v.ge(3)]],
            "b",
            [
                ("literal_error", ("literal['a']",)),
                ("dict_type", ("dict[str,int]",)),
                ("tuple_type", ("tuple[int, ...]",)),
                ("tuple_type", ("tuple[int, str]",)),
                ("int_parsing", ("constrained-int",)),
            ],
        ),
        (Union[Size, Level], 5, [("enum", ("str-enum[Size]",)), ("enum", ("int-enum[Level]",))]),
        (
            Union[set[Union[Coin, dict[str, int]]], int],
            [{"a": 1}, {"cents": 0}, {"cents": 13}],
            [
                ("set_item_not_hashable", ("set[union[Coin,dict[str,int]]]", 0)),
                ("set_item_not_hashable", ("set[union[Coin,dict[str,int]]]", 1)),
                ("set_item_not_hashable", ("set[union[Coin,dict[str,int]]]", 2)),
                ("int_type", ("int",)),
            ],
        ),
        (
            Union[Coin, Trade],
            {"cents": 13},
            [
                ("value_error", ("Coin",)),
                ("missing", ("Trade", "coin")),
                ("extra_forbidden", ("Trade", "cents")),
            ],
        ),
        (
            Union[Trade, tuple[Coin]],
            [1, None, 3],
            [("too_long", ("Trade",)), ("too_long", ("tuple[Coin]",))],
        ),
        (
            Union[Trade, tuple[Coin]],
            [{"cents": 0}],
            [("greater_than_equal", ("Trade", 0, "cents")), ("greater_than_equal", ("tuple[Coin]", 0, "cents"))],
        ),
        (
            Union[dict[int, Cat], dict[str, Cat]],
            {"x": {"name": 1}},
            [
                ("int_parsing", ("dict[int,Cat]", "x", "[key]")),
                ("string_type", ("dict[int,Cat]", "x", "name")),
                ("string_type", ("dict[str,Cat]", "x", "name")),
            ],
        ),
        (Union[Trade, dict[str, Cat]], 1, [("named_tuple_type", ("Trade",)), ("dict_type", ("dict[str,Cat]",))]),
    ],
)
def test_what_fits_no_member(tp: Any, value: Any, errors: Any) -> None:
    """Each member's mistakes stand under its name; an Optional has none."""
    assert errors_of(tp, value) == errors


def test_a_defect_in_a_users_class_is_no_mistake_of_the_value() -> None:
    """What a class raises that is no refusal passes through a union."""

    @attrs.define
    class Broken:
        cents: int

        def __attrs_post_init__(self) -> None:
            raise LookupError("a defect")

    for tp in (Union[list[Broken], int], Union[set[Broken], int]):
        with pytest.raises(LookupError, match="a defect"):
            structurer(tp).from_json('[{"cents": 1}]')


def test_the_order_of_a_union_counts() -> None:
    """Unions that Python calls equal are compiled each in its own order."""
    assert structurer(Union[bool, int]).from_json('"1"') is True
    assert structurer(Union[int, bool]).from_json('"1"') == 1
    assert structurer(Union[int, bool]).from_json('"1"') is not True


UserId = NewType("UserId", int)


@pytest.mark.parametrize(
    ("tp", "value", "expected"),
    [
        (UserId, "3", 3),
        (list[UserId], ["3"], [3]),
        (Annotated[Annotated[int, v.ge(1)], v.le(3)], 2, 2),
        (Annotated[UserId, "an id"], "2", 2),
    ],
)
def test_wrappers(tp: Any, value: Any, expected: Any) -> None:
    """NewType and nested Annotated are the type inside."""
    assert structurer(tp).from_json_value(value) == expected


@pytest.mark.skipif(sys.version_info < (3, 10), reason="X | Y needs Python 3.10")
def test_the_bar_is_a_union() -> None:
    """``X | Y`` is ``Union[X, Y]``."""
    assert structurer(int | str).from_json('"3"') == "3"
    assert structurer(int | None).from_json("null") is None
    assert structurer(list[int | str] | None).from_json('[1, "1"]') == [1, "1"]


def test_an_enum_with_a_value_that_json_cannot_hold() -> None:
    """A member whose value cannot be looked up is refused, the others are found."""

    class Odd(enum.Enum):
        A = "a"
        B = {"not": "hashable"}  # noqa: RUF012 # a member's value

    assert structurer(Odd).from_json('"a"') is Odd.A
    assert errors_of(Odd, {"not": "hashable"}) == [("enum", ())]


def test_texts_of_enums_are_texts() -> None:
    """A member of an Enum of texts is taken for its text."""
    made = structurer(str).from_python(Size.L)
    assert made == "l"
    assert type(made) is str


def test_a_python_value_fits_its_own_type_best() -> None:
    """Values that are made already keep their class in a union."""
    assert structurer(Union[bytes, str]).from_python(b"x") == b"x"
    assert structurer(Union[list[int], set[int]]).from_python({1}) == {1}
