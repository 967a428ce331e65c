"""What structuring costs: ten times the input is about ten times the work, whatever the type and the mistakes."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Optional, Union

import attrs
import pytest

from syncagent.schema.structure import ValidationError, structurer


@attrs.define
class Add:
    left: Expr
    op: Literal["add"] = "add"


@dataclasses.dataclass
class Neg:
    left: Expr
    op: Literal["neg"] = "neg"


@attrs.define
class Num:
    value: int


Expr = Union[Add, Neg, Num]


@attrs.define
class All:
    items: list[Rule]


@attrs.define
class Some:
    items: list[Rule]
    at_least: int = 1


class Pair(NamedTuple):
    items: tuple[Rule, ...]


@attrs.define
class Named:
    items: dict[str, Rule]


Rule = Union[All, Some, Pair, Named, str]


def work(tp: Any, value: Any) -> int:
    """How many functions are called for *value*, Python's own too; the same on every machine."""
    compiled = structurer(tp)
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        compiled.from_json_value(value)
    except ValidationError:
        pass
    finally:
        sys.setprofile(before)
    return calls


def nested(depth: int, leaf: Any, wrap: Callable[[Any], Any]) -> Any:
    """*leaf* inside *depth* objects."""
    for _ in range(depth):
        leaf = wrap(leaf)
    return leaf


def added(inner: Any) -> Any:
    """An object that fits two members of ``Expr`` but for its tag."""
    return {"left": inner, "op": "neg"}


def ruled(inner: Any) -> Any:
    """An object that fits three members of ``Rule`` but for what is inside."""
    return {"items": [inner]}


CASES: list[tuple[Any, int, Callable[[int], Any]]] = [
    (Expr, 20, lambda n: nested(n, {"value": 1}, added)),
    (Expr, 20, lambda n: nested(n, {"value": "wrong"}, added)),
    (list[Expr], 50, lambda n: [nested(5, {"value": 1}, added)] * n),
    (list[Expr], 50, lambda n: [nested(5, {"value": "wrong"}, added)] * n),
    (Optional[Expr], 20, lambda n: nested(n, {"left": None}, added)),
    (Rule, 15, lambda n: nested(n, "leaf", ruled)),
    (Rule, 15, lambda n: nested(n, 1, ruled)),
    (Rule, 50, lambda n: {"items": [ruled("leaf")] * n}),
    (list[int], 200, lambda n: [1] * n),
    (list[int], 200, lambda n: ["x"] * n),
    (list[int], 200, lambda n: [{"long": "x" * 100}] * n),
    (tuple[int, ...], 200, lambda n: ["x"] * n),
    (set[int], 200, lambda n: list(range(n))),
    (set[int], 200, lambda n: ["x"] * n),
    (set[Any], 200, lambda n: [[]] * n),
    (dict[str, int], 200, lambda n: {str(i): i for i in range(n)}),
    (dict[str, int], 200, lambda n: {str(i): "x" for i in range(n)}),
    (dict[int, int], 200, lambda n: {f"x{i}": "x" for i in range(n)}),
    (list[list[int]], 200, lambda n: [["x", 1]] * n),
    (list[list[int]], 200, lambda n: [["x"] * n]),
    (Union[int, list[int], dict[str, int]], 200, lambda n: ["x"] * n),
    (Union[list[int], list[str]], 200, lambda n: ["1", 1] * n),
    (Union[list[Union[int, list[int]]], dict[str, int]], 200, lambda n: [[1], 1] * n),
    (list[Num], 200, lambda n: [{}] * n),
    (Num, 200, lambda n: {f"k{i}": i for i in range(n)}),
    (list[Union[Num, int]], 200, lambda n: [{"value": 1}, {"value": "x"}, "x"] * n),
]


@pytest.mark.parametrize(("tp", "size", "make"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_ten_times_the_input_is_ten_times_the_work(tp: Any, size: int, make: Callable[[int], Any]) -> None:
    """Neither depth, nor length, nor the number of mistakes costs more than its share."""
    work(tp, make(size))  # what happens at the first use alone is not counted
    assert work(tp, make(10 * size)) < 15 * work(tp, make(size))


@pytest.mark.parametrize(("tp", "size", "make"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_the_list_of_mistakes_does_not_grow_with_them(tp: Any, size: int, make: Callable[[int], Any]) -> None:
    """However many mistakes there are, a hundred are listed at most, and one item for the rest."""
    try:
        structurer(tp).from_json_value(make(10 * size))
    except ValidationError as error:
        assert len(error.errors) <= 101


def test_a_deep_answer_of_a_recursive_union() -> None:
    """The member that fits is found at every level of a deep value, by its tag."""
    made = structurer(Expr).from_json_value(nested(100, {"value": "7"}, added))
    depth = 0
    while isinstance(made, Neg):
        made, depth = made.left, depth + 1
    assert (depth, made) == (100, Num(7))


def test_a_value_that_is_there_twice_makes_two_objects() -> None:
    """What the members of a union share is what was made of one place, not of one value."""
    same = {"items": ["a"]}
    made = structurer(Rule).from_python({"items": [same, same, {"items": [same]}]})
    assert made == All([All(["a"]), All(["a"]), All([All(["a"])])])
    assert len({id(made.items[0]), id(made.items[1]), id(made.items[2].items[0])}) == 3


def test_a_refusal_that_members_share_stands_under_each() -> None:
    """A mistake that several members have in common is listed with the path through each of them."""
    with pytest.raises(ValidationError) as caught:
        structurer(Expr).from_json_value({"left": {"value": "x"}})
    paths = [error["loc"] for error in caught.value.errors if error["type"] == "int_parsing"]
    assert paths == [("Add", "left", "Num", "value"), ("Neg", "left", "Num", "value")]
