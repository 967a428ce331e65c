"""What one error holds: not more than helps a model, and in its text nothing that the model wrote."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable
from typing import Any, Optional, Union

import attrs
import pytest

from syncagent.exceptions import UserError
from syncagent.messages import RetryPromptPart
from syncagent.schema.errors import ErrorDetails, Found, Problem, ValidationError, render, value_error, walk
from syncagent.schema.signature import function_schema
from syncagent.schema.structure import make_converter, structurer

SECRET = "sk-it-is-mine"


@attrs.define
class Order:
    number: int
    lines: dict[str, int] = attrs.field(factory=dict)


@attrs.define
class Tree:
    kid: Optional[Tree] = None


def caught(tp: Any, value: Any) -> ValidationError:
    """The error that *value* makes."""
    with pytest.raises(ValidationError) as info:
        structurer(tp).from_json_value(value)
    return info.value


def take_orders(first: list[int], second: list[int], **more: int) -> None:
    """A tool."""


def bound(arguments: Any, function: Callable[..., Any] = take_orders) -> ValidationError:
    """The error that *arguments* make."""
    with pytest.raises(ValidationError) as info:
        function_schema(function, context_type=Order).bind(arguments)
    return info.value


# -- how many ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "listed"), [(1, 1), (99, 99), (100, 100)])
def test_a_hundred_mistakes_are_listed(count: int, listed: int) -> None:
    """Up to a hundred mistakes each have an item, and there is no other."""
    errors = caught(list[int], ["x"] * count).errors
    assert [error["loc"] for error in errors] == [(index,) for index in range(listed)]


@pytest.mark.parametrize(
    ("count", "text"), [(101, "and 1 more mistake, not listed"), (5_000, "and 4900 more mistakes, not listed")]
)
def test_the_last_item_says_how_many_more(count: int, text: str) -> None:
    """More than a hundred mistakes end in an item of the same shape that counts the others."""
    error = caught(list[int], ["x"] * count)
    assert len(error.errors) == 101
    last = error.errors[-1]
    assert last == {"type": "more_errors", "loc": (), "msg": text, "input": None, "ctx": {"count": count - 100}}
    assert str(error).startswith(f"{count} validation errors for list[int]")
    assert str(error).endswith(f"  and {count - 20} more")


def test_more_than_can_be_counted() -> None:
    """A tree of mistakes that a million would not hold is told as more than a million."""
    found: Union[Found, Problem] = Problem("int_type", "x")
    for level in range(200):
        found = Found().add(found, f"a{level}").add(found, f"b{level}")
    error = ValidationError(render(found, json=True))
    assert error.errors[-1]["msg"] == "and more than 1000000 more mistakes, not listed"
    assert error.errors[-1]["ctx"] == {"count": 1_000_000}
    assert str(error).startswith("more than 1000000 validation errors for value")


def test_all_arguments_share_one_list() -> None:
    """A call has one list for all its arguments, and one item for the rest of it."""
    error = bound({"first": ["x"] * 90, "second": ["x"] * 90, SECRET: "x"})
    assert len(error.errors) == 101
    assert error.errors[89]["loc"] == ("first", 89)
    assert error.errors[90]["loc"] == ("second", 0)
    assert error.errors[-1]["ctx"] == {"count": 81}
    assert str(error).startswith("181 validation errors for take_orders")


def test_a_list_inside_a_list() -> None:
    """What a hook's own structuring did not list is counted with the rest."""
    converter = make_converter()
    inner = structurer(list[int], converter=converter)
    converter.register_structure_hook(Order, lambda value, tp: inner.from_python(value))
    with pytest.raises(ValidationError) as info:
        structurer(list[Order], converter=converter).from_json_value([["x"] * 150, ["x"] * 3])
    assert str(info.value).startswith("153 validation errors for list[Order]")
    assert info.value.errors[-1]["ctx"] == {"count": 53}
    assert isinstance(info.value.__cause__, ValidationError)


def test_a_retry_prompt_stays_small() -> None:
    """A hundred kilobytes of mistakes, or mistakes in nests of objects, make a prompt that is smaller than that."""
    many = RetryPromptPart(caught(list[int], ["x"] * 30_000).errors)
    assert len(many.model_response()) < 20_000
    fat = RetryPromptPart(caught(list[Order], [{"lines": {f"k{i}": i for i in range(60)}}] * 500).errors)
    assert len(fat.model_response()) < 80_000
    keys = RetryPromptPart(caught(dict[str, int], {"k" * 10_000 + str(i): "x" for i in range(200)}).errors)
    assert len(keys.model_response()) < 80_000


def test_an_argument_that_is_too_deep() -> None:
    """An argument whose nesting Python cannot follow is one mistake among the others."""

    def grow(tree: Tree, count: int) -> None:
        """Takes a tree."""

    value: Any = {}
    for _ in range(5_000):
        value = {"kid": value}
    errors = bound({"tree": value, "count": "x"}, grow).errors
    assert [(error["type"], error["loc"]) for error in errors] == [
        ("recursion_loop", ("tree",)),
        ("int_parsing", ("count",)),
    ]


# -- inputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["x" * 1_000, b"x" * 1_000, ["x"] * 100, {"a": ["b", {"c": None}]}, None, 5, 1.5, ("x",), Order(1), {(1, 2): 3}],
)
def test_short_inputs_are_given_as_they_are(value: Any) -> None:
    """An input of a thousand characters is the value itself."""
    with pytest.raises(ValidationError) as info:
        structurer(bool).from_python(value)
    assert info.value.errors[0]["input"] is value


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ("x" * 2_000_000, "xxx"),
        (["ab"] * 1_000, '["ab","ab",'),
        ({"a b": {"c": "d\n" * 2_000}}, '{"a b": {"c": "d\\nd\\n'),
        ([[[["x", "x", "x", "x"]]]] * 300, '[[[["x","x",'),
        ([Order(1)] * 1_000, '["","",'),
    ],
)
def test_long_inputs_are_cut(value: Any, start: str) -> None:
    """Of a longer input stand the first thousand characters of its JSON, and three dots."""
    shown = caught(bool, value).errors[0]["input"]
    assert shown.startswith(start)
    assert shown.endswith("...")
    assert len(shown) == 1_003


def test_long_bytes_are_cut() -> None:
    """Bytes stay bytes."""
    with pytest.raises(ValidationError) as info:
        structurer(int).from_python(bytearray(b"x" * 5_000))
    assert info.value.errors[0]["input"] == b"x" * 1_000 + b"..."


def test_deep_inputs_are_cut() -> None:
    """Nesting counts as the model would read it, indented; and no depth is too deep to be cut."""
    value: Any = "x"
    for _ in range(5_000):
        value = [value]
    shown = caught(bool, value).errors[0]["input"]
    assert shown == "[" * shown.count("[") + "..."
    assert len(shown) < 100


# -- the text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tp", "value", "line"),
    [
        (dict[str, int], {SECRET: "x"}, "  [key]: "),
        (dict[int, int], {SECRET: 1}, "  [key].[key]: "),
        (Order, {"number": 1, "lines": {SECRET: "x"}}, "  lines[key]: "),
        (list[Union[Order, int]], [{"lines": {SECRET: "x"}}], "  [0].Order.lines[key]: "),
    ],
)
def test_the_text_has_no_keys_of_the_model(tp: Any, value: Any, line: str) -> None:
    """Logs show the names of fields, and for keys of dictionaries that there is one; the list has them all."""
    error = caught(tp, value)
    assert line in str(error)
    for again in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert SECRET not in f"{again} {again!r} {again.args}"
    assert SECRET in repr(error.errors)


def test_the_text_has_no_arguments_that_nobody_knows() -> None:
    """An argument's name is the model's where the function has no such parameter."""

    def one(order: Order) -> None:
        """Takes one object."""

    def two(a: int, b: int) -> None:
        """Takes two."""

    for error in (bound({"number": 1, SECRET: 1}, one), bound({"a": 1, "b": 2, SECRET: 1}, two), bound({SECRET: "x"})):
        assert "[key]: " in str(error)
        assert SECRET not in str(error)
        assert error.errors[-1]["loc"] == (SECRET,)


def test_keys_are_plain_text_for_the_model() -> None:
    """What is told to the model has the keys, as JSON has them."""
    errors = caught(dict[str, int], {SECRET: "x"}).errors
    assert json.loads(json.dumps(errors))[0]["loc"] == [SECRET]
    assert f'"{SECRET}"' in RetryPromptPart(errors).model_response()


def test_keys_that_are_long_are_cut() -> None:
    """A path holds two hundred characters of a key."""
    (error,) = caught(dict[str, int], {"k" * 1_000: "x"}).errors
    assert error["loc"] == ("k" * 200 + "...",)


def test_an_error_of_the_users_own_is_shown_as_it_is() -> None:
    """A ValidationError that a program makes itself shows the path that it was given."""
    details: ErrorDetails = {"type": "missing", "loc": ("a", 0, "b"), "msg": "Field required", "input": None}
    error = ValidationError([details], "Order")
    assert str(error) == "1 validation error for Order\n  a[0].b: Field required [missing]"
    assert [path for path, _ in walk(value_error(None, error).found)] == [["a", 0, "b"]]


def test_a_value_in_place_of_a_type_is_not_shown() -> None:
    """What is no type is called by its class, since its own text may hold anything, but for small numbers."""
    for tp in (os.environ, [SECRET], {"key": SECRET}, object(), 10**10_000):
        with pytest.raises(UserError) as info:
            structurer(tp)
        name = type(tp).__name__
        assert str(info.value).startswith(f"{name}: {name} is not supported; it is a value and no type;")
    with pytest.raises(UserError) as info:
        structurer("x" * 10_000)
    assert len(str(info.value)) < 200
