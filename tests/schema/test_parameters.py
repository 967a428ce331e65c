"""Everything that can be called, annotations that are strings, and counting what goes by position."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, TypeVar, Union

import jsonschema
import pytest

from syncagent.schema.signature import positional_parameter_count
from tests.schema.functions import Order, Point, RunContext, errors, has_signature, read, refusal

if TYPE_CHECKING:
    from decimal import Decimal


# -- everything that can be called ------------------------------------------------------------------


class Shop:
    """A shop."""

    def find(self, number: int) -> int:
        """Find it."""
        return number

    @classmethod
    def open(cls, hour: int) -> int:
        """Open it."""
        return hour

    @staticmethod
    def close(hour: int) -> int:
        """Close it."""
        return hour

    def __call__(self, item: str) -> str:
        """Sell it."""
        return item


def total(price: float, count: int, *, currency: str = "EUR") -> str:
    """What it costs."""
    return f"{price * count} {currency}"


@pytest.mark.parametrize(
    "function, name, description, properties",
    [
        (Shop().find, "find", "Find it.", ["number"]),
        (Shop.open, "open", "Open it.", ["hour"]),
        (Shop().open, "open", "Open it.", ["hour"]),
        (Shop.close, "close", "Close it.", ["hour"]),
        (Shop(), "Shop", "Sell it.", ["item"]),
        (functools.partial(Shop()), "Shop", "Sell it.", ["item"]),
        (functools.partial(total, 3.5), "total", "What it costs.", ["count", "currency"]),
        (functools.partial(total, count=3), "total", "What it costs.", ["price", "currency"]),
        (functools.partial(Shop.find, Shop()), "find", "Find it.", ["number"]),
        (Point, "Point", "A point in the plane.", ["x", "y"]),
        (math.gcd if has_signature(math.gcd) else math.sqrt, None, None, None),
        (lambda x: x, "<lambda>", "", ["x"]),
    ],
)
def test_everything_that_can_be_called(
    function: Any, name: Optional[str], description: Optional[str], properties: Optional[list[str]]
) -> None:
    """Methods, partials, objects, classes and builtins have the parameters that a caller sets."""
    schema = read(function)
    if name is not None:
        assert (name, description) == (schema.name, schema.description)
        assert properties == list(schema.parameters_json_schema["properties"])
    jsonschema.Draft202012Validator.check_schema(schema.parameters_json_schema)


def test_what_they_are_called_with() -> None:
    """The arguments that were bound fit each of them."""
    for function, arguments, result in (
        (Shop().find, '{"number": 3}', 3),
        (Shop.open, '{"hour": 3}', 3),
        (Shop(), '{"item": "x"}', "x"),
        (functools.partial(total, 3.5), '{"count": 2}', "7.0 EUR"),
        (functools.partial(total, count=2), '{"price": 2, "currency": "NOK"}', "4.0 NOK"),
        (Point, '{"x": 3}', Point(3)),
    ):
        positional, keywords = read(function).bind(arguments)
        assert result == function(*positional, **keywords)


def test_what_a_partial_holds_is_not_the_models() -> None:
    """An argument that the program has set is an unknown one to the model."""
    schema = read(functools.partial(total, count=2))
    assert [("extra_forbidden", ("count",), "Extra inputs are not permitted")] == errors(
        schema, {"price": 1, "count": 9}
    )


def test_a_method_without_named_self() -> None:
    """``def method(*args)`` takes its object among its arguments."""

    class Odd:
        def method(*args: Any) -> Any:
            return args[1:]

    odd = Odd()
    assert ["args"] == list(read(odd.method).parameters_json_schema["properties"])


def test_decorated_functions() -> None:
    """A wrapper made by ``functools.wraps`` shows what it wraps, looked up where that was written."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @decorate
    def decorated(ctx: RunContext[int], order: Union[Order, None] = None) -> None:
        """Do."""

    schema = read(decorated)
    assert ("decorated", "Do.", True) == (schema.name, schema.description, schema.takes_ctx)
    assert ([], {"order": Order(1)}) == schema.bind('{"order": {"number": 1}}')


# -- annotations as strings -------------------------------------------------------------------------


def test_names_around_a_function_inside_a_function() -> None:
    """Classes of the code around the function are found, whether it uses them or not, while that code runs."""

    @dataclass
    class Local:
        number: int

    def unused(a: Local, b: Optional[list[Local]] = None) -> None:
        pass

    def used(a: list[Local]) -> Any:
        return Local

    assert ([], {"a": Local(1), "b": [Local(2)]}) == read(unused).bind({"a": {"number": 1}, "b": [{"number": 2}]})
    assert ([], {"a": [Local(1)]}) == read(used).bind({"a": [{"number": 1}]})


def make_function() -> Any:
    """A function whose annotation names what is gone once this has returned, and one that keeps it."""

    @dataclass
    class Gone:
        number: int

    def unused(a: list[Gone]) -> None:
        pass

    def used(a: list[Gone], b: Any = lambda: later) -> Any:
        return Gone

    def early(a: list[later]) -> Any:  # type: ignore[valid-type]  # not set yet
        return later

    assert refusal(early).startswith("a: ")
    later = 3
    return unused, used


def test_names_that_are_gone() -> None:
    """A closure keeps names; what nobody keeps is refused with what to do."""
    unused, used = make_function()
    assert "used" == read(used).name
    assert refusal(unused) == (
        "a: the name 'Gone' in its annotation cannot be looked up; import or define it at the top of the module, "
        "not under TYPE_CHECKING."
    )


def test_names_for_type_checkers_only() -> None:
    """A parameter's type has to be there at run time."""

    def function(price: Decimal) -> None:
        pass

    @dataclass
    class Price:
        amount: Decimal

    assert refusal(Price).startswith("amount: the name 'Decimal' in its annotation cannot be looked up")
    assert refusal(function).startswith("price: the name 'Decimal' in its annotation cannot be looked up")


def test_strings_inside_types() -> None:
    """Names in quotes inside an annotation are looked up too, on every Python."""

    def function(a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
        pass

    function.__annotations__ = {
        "a": list["Order"],
        "b": Optional["Order"],
        "c": Annotated[list["Order"], "them"],
        "d": "list['Order']",
        "e": dict[str, Literal["Order"]],
    }
    order = {"number": 1}
    arguments = {"a": [order], "b": order, "c": [order], "d": [order], "e": {"x": "Order"}}
    positional, keywords = read(function).bind(arguments)
    built = Order(1)
    assert {"a": [built], "b": built, "c": [built], "d": [built], "e": {"x": "Order"}} == keywords
    assert [] == positional
    if sys.version_info >= (3, 10):
        function.__annotations__["b"] = list["Order"] | None
        arguments = {"a": [], "b": [order], "c": [], "d": [], "e": {}}
        assert [built] == read(function).bind(arguments)[1]["b"]


def test_text_that_is_no_type() -> None:
    """What cannot be evaluated is refused with its text; ``X | Y`` says what older Pythons want."""

    def function(x: Any) -> None:
        pass

    function.__annotations__["x"] = "1 +"
    assert refusal(function).startswith("x: its annotation '1 +' cannot be evaluated (")
    function.__annotations__["x"] = "int | None"
    if sys.version_info >= (3, 10):
        assert ([], {"x": None}) == read(function).bind({"x": None})
    else:
        assert refusal(function).startswith("x: its annotation 'int | None' uses X | Y, which this Python cannot")
    function.__annotations__["x"] = "int | 3"
    assert refusal(function).startswith("x: its annotation 'int | 3' uses X | Y, which this Python cannot evaluate (")
    assert refusal(function).endswith("; use Optional[X] or Union[X, Y].")


def test_type_parameters_of_a_function() -> None:
    """The type variables of ``def f[T]`` are known to its annotations."""

    def function(x: Any) -> None:
        pass

    function.__annotations__["x"] = "list[T]"
    T = TypeVar("T", bound=int)
    function.__type_params__ = (T,)  # type: ignore[attr-defined]  # what Python 3.12 sets
    del T
    assert {"items": {"type": "integer"}, "type": "array"} == read(function).parameters_json_schema["properties"]["x"]


# -- counting ---------------------------------------------------------------------------------------


def generator(a: int, b: int) -> Iterator[int]:
    """A generator function."""
    yield a


@pytest.mark.parametrize(
    "function, count",
    [
        (lambda: 0, 0),
        (lambda a: 0, 1),
        (lambda a, b=1: 0, 2),
        (lambda a, /, b, *c, d, **e: 0, 2),
        (lambda *a: 0, 0),
        (generator, 2),
        (Shop().find, 1),
        (Shop.find, 2),
        (Shop.open, 1),
        (Shop(), 1),
        (functools.partial(generator, 1), 1),
        (functools.partial(generator, b=1), 1),
        (Point, 2),
        (len, 1),
    ],
)
def test_positional_parameters_are_counted(function: Any, count: int) -> None:
    """A callable's count is what a caller may pass by position."""
    assert count == positional_parameter_count(function)
