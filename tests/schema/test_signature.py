"""Functions to argument schemas: what a model is told, what is refused, and how its arguments are bound."""

from __future__ import annotations

import functools
import inspect
import math
import sys
import unittest.mock
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Callable, Generic, Literal, Optional, TypedDict, TypeVar, Union

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.exceptions import UserError
from syncagent.schema.errors import ValidationError
from syncagent.schema.signature import (
    FunctionSchema,
    function_schema,
    positional_parameter_count,
    refuse_coroutine,
)
from syncagent.schema.structure import make_converter

if TYPE_CHECKING:
    from decimal import Decimal

    from somewhere import RunContext as OnlyForTypeCheckers  # type: ignore[import-not-found]  # must not exist

D = TypeVar("D")


class RunContext(Generic[D]):
    """Stands for the context class."""


Ctx = RunContext[int]


class Names:
    """Stands for a module."""

    Context = RunContext


@dataclass
class Point:
    """A point in the plane."""

    x: int
    y: int = 0


@attrs.define
class Order:
    """
    An order.

    Attributes:
        number: which one.
    """

    number: int


class Options(TypedDict, total=False):
    """How to do it."""

    loud: bool


def read(function: Any, **options: Any) -> FunctionSchema:
    """The schema of a function whose context class is ours."""
    return function_schema(function, context_type=RunContext, **options)


def refusal(function: Any, **options: Any) -> str:
    """The lines below the first of the error that a function gets."""
    with pytest.raises(UserError) as caught:
        read(function, **options)
    first, _, rest = str(caught.value).partition("\n  ")
    assert first.startswith("Error generating schema for ") and first.endswith(":")
    return rest


def errors(schema: FunctionSchema, arguments: Any) -> list[tuple[str, tuple[Any, ...], str]]:
    """Kind, path and text of every mistake."""
    with pytest.raises(ValidationError) as caught:
        schema.bind(arguments)
    assert schema.name == caught.value.title
    return [(error["type"], error["loc"], error["msg"]) for error in caught.value.errors]


# -- what a model is told ---------------------------------------------------------------------------


def test_a_plain_function() -> None:
    """Docstring, annotations and defaults make the schema; no titles, no defaults in it."""

    def weather(city: str, days: int, metric: bool = True) -> str:
        """Look up the weather.

        Args:
            city: in English
            metric (bool): which units
        """
        return f"{city} {days} {metric}"

    schema = read(weather)
    assert ("weather", "Look up the weather.", False) == (schema.name, schema.description, schema.takes_ctx)
    assert {
        "additionalProperties": False,
        "properties": {
            "city": {"description": "in English", "type": "string"},
            "days": {"type": "integer"},
            "metric": {"description": "which units", "type": "boolean"},
        },
        "required": ["city", "days"],
        "type": "object",
    } == schema.parameters_json_schema
    assert ([], {"city": "Oslo", "days": 2}) == schema.bind('{"city": "Oslo", "days": "2"}')
    assert "FunctionSchema(name='weather', takes_ctx=False)" == repr(schema)


def test_no_parameters() -> None:
    """A function without parameters has an object without properties; a blank text binds to it."""

    def now() -> str:
        return ""

    schema = read(now)
    assert "" == schema.description
    assert {"additionalProperties": False, "properties": {}, "type": "object"} == schema.parameters_json_schema
    assert ([], {}) == schema.bind("{}") == schema.bind("") == schema.bind(" \n") == schema.bind(b"") == schema.bind({})


def test_no_annotations() -> None:
    """A parameter without annotation takes anything, the first one too."""

    def anything(first, second=None):  # type: ignore[no-untyped-def]  # that is the case
        return first, second

    schema = read(anything)
    assert not schema.takes_ctx
    assert {"first": {}, "second": {}} == schema.parameters_json_schema["properties"]
    assert ["first"] == schema.parameters_json_schema["required"]
    assert ([], {"first": [1, None]}) == schema.bind({"first": [1, None]})


@pytest.mark.parametrize("format", ["google", "numpy", "sphinx"])
def test_the_docstring_format_is_passed_on(format: str) -> None:
    """A named style is the only one that is read."""

    def function(x: int) -> None:
        """Do.

        :param x: it
        """

    schema = read(function, docstring_format=format)
    expected = {"type": "integer", "description": "it"} if format == "sphinx" else {"type": "integer"}
    assert {"x": expected} == schema.parameters_json_schema["properties"]


def test_annotated_metadata() -> None:
    """A text in ``Annotated`` describes the parameter, before the docstring's."""

    def function(x: Annotated[int, "the annotation's"], y: Annotated[int, "alone"]) -> None:
        """Do.

        Args:
            x: the docstring's
        """

    properties = read(function).parameters_json_schema["properties"]
    assert {"x": "the annotation's", "y": "alone"} == {name: each["description"] for name, each in properties.items()}


def test_one_object_is_unwrapped() -> None:
    """The schema of a single object parameter is that object's; the call gets the object."""

    def move(point: Point) -> None:
        pass

    schema = read(move)
    assert "A point in the plane." == schema.description
    assert {
        "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
        "required": ["x"],
        "type": "object",
    } == schema.parameters_json_schema
    assert ([], {"point": Point(3, 0)}) == schema.bind('{"x": 3}')
    assert [("extra_forbidden", ("z",), "Extra inputs are not permitted")] == errors(schema, {"x": 1, "z": 2})
    assert [("dataclass_type", (), "Input should be an object")] == errors(schema, "[1]")


def test_one_object_beside_the_context() -> None:
    """The context does not count, and the function's own docstring is kept before the type's."""

    def cancel(ctx: RunContext[int], order: Order, /) -> None:
        """Cancel it."""

    schema = read(cancel)
    assert (True, "Cancel it.") == (schema.takes_ctx, schema.description)
    assert "An order." == schema.parameters_json_schema["description"]
    assert "which one." == schema.parameters_json_schema["properties"]["number"]["description"]
    assert ([Order(7)], {}) == schema.bind({"number": 7})

    def configure(options: Options) -> None:
        pass

    assert ([], {"options": {"loud": True}}) == read(configure).bind('{"loud": "yes"}')


def test_pydantic_models_are_unwrapped() -> None:
    """A pydantic model is an object like any other; one whose schema is no object is refused."""
    pydantic = pytest.importorskip("pydantic")
    Model = pydantic.create_model("Model", number=(int, ...))

    def function(model: Any) -> None:
        pass

    function.__annotations__["model"] = Model
    schema = read(function)
    assert {"number": {"type": "integer"}} == schema.parameters_json_schema["properties"]
    assert ([], {"model": Model(number=3)}) == schema.bind('{"number": "3"}')
    function.__annotations__["model"] = pydantic.RootModel[list[int]]
    assert "Schema must be an object" == refusal(function)


def test_several_objects_stand_in_definitions() -> None:
    """Two classes of one name in two parameters are two definitions."""
    other: Any = dataclass(type("Point", (), {"__annotations__": {"z": float}}))

    def join(a: Point, b: Any, c: Optional[Point] = None) -> None:
        """Join.

        Args:
            a: from here
        """

    join.__annotations__["b"] = other
    schema = read(join).parameters_json_schema
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"a": {"x": 1}, "b": {"z": 1.5}})
    assert not validator.is_valid({"a": {"z": 1.5}, "b": {"x": 1}})
    assert "from here" == schema["properties"]["a"]["description"]
    positional, keywords = read(join).bind({"a": {"x": 1}, "b": {"z": 1}, "c": None})
    assert ([], Point(1), 1.0, None) == (positional, keywords["a"], keywords["b"].z, keywords["c"])


def test_star_parameters() -> None:
    """``*args`` is a required array; ``**kwargs`` lets other keys in, each of its type."""

    def function(a: int, b: int = 2, *numbers: int, c: int, d: int = 4, **others: float) -> Any:
        """Do.

        Args:
            *numbers: more of them
        """
        return a, b, numbers, c, d, others

    schema = read(function)
    assert {
        "additionalProperties": True,
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "integer"},
            "numbers": {"description": "more of them", "items": {"type": "integer"}, "type": "array"},
            "c": {"type": "integer"},
            "d": {"type": "integer"},
        },
        "required": ["a", "numbers", "c"],
        "type": "object",
    } == schema.parameters_json_schema
    positional, keywords = schema.bind('{"a": 1, "numbers": [5, "6"], "c": 3, "e": "1.5"}')
    assert (1, 2, (5, 6), 3, 4, {"e": 1.5}) == function(*positional, **keywords)
    assert [
        ("int_parsing", ("b",), "Input should be a valid integer, unable to parse string as an integer"),
        ("int_type", ("numbers", 1), "Input should be a valid integer"),
        ("missing", ("c",), "Field required"),
        ("float_type", ("e",), "Input should be a valid number"),
    ] == errors(schema, {"a": 1, "b": "x", "numbers": [1, None], "e": None})


def test_positional_only_parameters() -> None:
    """Positional-only parameters are passed by position, gaps filled with their defaults."""

    def function(a: int, b: list[int] = [9], c: int = 8, /, d: int = 7) -> Any:  # noqa: B006 # never changed
        return a, b, c, d

    schema = read(function)
    assert ([1, [9], 3], {"d": 4}) == schema.bind({"a": 1, "c": 3, "d": 4})
    assert ([1, [9], 8], {}) == schema.bind({"a": 1})


# -- the context ------------------------------------------------------------------------------------


def test_the_context_is_found_by_its_annotation() -> None:
    """The class, an alias of it, a dotted or quoted name and a name for type checkers only: all are the context."""

    def plain(ctx: RunContext, x: int) -> None:  # type: ignore[type-arg]  # that is the case
        pass

    def generic(ctx: RunContext[str], x: int) -> None:
        pass

    def alias(ctx: Ctx, x: int) -> None:
        pass

    def quoted(ctx: "RunContext[Unknown]", x: int) -> None:  # type: ignore[name-defined]  # noqa: F821, UP037 # that is the case
        pass

    def annotated(ctx: Annotated[RunContext[int], "it"], x: int) -> None:
        pass

    for function in (plain, generic, alias, quoted, annotated):
        schema = read(function)
        assert schema.takes_ctx
        assert ["x"] == list(schema.parameters_json_schema["properties"])
        assert ([], {"x": 1}) == schema.bind({"x": 1})
        assert read(function, takes_ctx=True).takes_ctx

    for text in (
        "Names.Context[int]",
        "functools.nowhere.RunContext",
        "elsewhere.RunContext[int]",
        "RunContext['Unknown']",
        "Annotated[RunContext, 'it']",
    ):
        plain.__annotations__["ctx"] = text
        assert read(plain).takes_ctx
    plain.__annotations__["ctx"] = Annotated[RunContext[int], "it"]
    assert read(plain).takes_ctx


def test_a_context_only_for_type_checkers() -> None:
    """Where the name cannot be looked up, it decides by itself: another name is an unknown type."""

    def function(ctx: OnlyForTypeCheckers[int], x: int) -> None:
        pass

    assert refusal(function).startswith("ctx: the name 'OnlyForTypeCheckers' in its annotation cannot be looked up")
    with pytest.raises(UserError, match="First parameter of tools that take context must be annotated"):
        read(function, takes_ctx=True)


def test_an_unannotated_context() -> None:
    """A first parameter without annotation is the context where the caller says so."""

    def function(ctx, x: int) -> None:  # type: ignore[no-untyped-def]  # that is the case
        pass

    assert ["x"] == list(read(function, takes_ctx=True).parameters_json_schema["properties"])
    assert ["ctx", "x"] == list(read(function).parameters_json_schema["properties"])


def test_a_wrong_context() -> None:
    """Each way to put the context wrongly has its line."""
    first = "First parameter of tools that take context must be annotated with RunContext[...]"
    only_first = "RunContext annotations can only be used as the first argument"
    with_context = "RunContext annotations can only be used with tools that take context"

    def none() -> None:
        pass

    def other(x: int) -> None:
        pass

    def second(x: int, ctx: RunContext[int]) -> None:
        pass

    def twice(ctx: RunContext[int], other: RunContext[int]) -> None:
        pass

    def keyword(*, ctx: RunContext[int]) -> None:
        pass

    assert first == refusal(none, takes_ctx=True)
    assert first == refusal(other, takes_ctx=True)
    assert f"{first}\n  {only_first}" == refusal(second, takes_ctx=True)
    assert with_context == refusal(second)
    assert with_context == refusal(twice, takes_ctx=False).partition("\n  ")[0]
    assert only_first == refusal(twice)
    assert "The context is passed by position, which 'ctx' does not allow" == refusal(keyword)
    second.__annotations__["ctx"] = "missing.RunContext[int]"
    assert with_context == refusal(second)


# -- what is refused --------------------------------------------------------------------------------


def outside(x: complex, y: Callable[[], int], z: int) -> None:
    """A function at the top of a module, with parameters that have no JSON form."""


def test_the_error_names_the_function_and_every_parameter() -> None:
    """Unsupported types are refused when the function is read, all at once."""
    with pytest.raises(UserError) as caught:
        read(outside)
    lines = str(caught.value).split("\n")
    assert "Error generating schema for outside:" == lines[0]
    assert lines[1].startswith("  x: complex: complex is not supported; use ")
    assert lines[2].startswith("  y: Callable")
    assert 3 == len(lines)
    with pytest.raises(UserError, match="Error generating schema for outside:"):
        read(functools.partial(outside, 1))


def test_unsupported_types_of_stars() -> None:
    """The types of ``*args`` and ``**kwargs`` are looked at as well."""

    def stars(*a: complex, **b: complex) -> None:
        pass

    lines = refusal(stars).split("\n  ")
    assert ["a", "b"] == [line.partition(":")[0] for line in lines]


def test_missing_descriptions() -> None:
    """With ``require_parameter_descriptions`` every parameter but the context needs a text, from wherever."""

    def function(ctx: RunContext[int], x: int, y: int, z: Annotated[int, "it"], *a: int, **others: int) -> None:
        """Do.

        Args:
            x: it
        """

    assert "Missing parameter descriptions for y, a" == refusal(function, require_parameter_descriptions=True)

    def single(point: Point) -> None:
        """Do."""

    assert "Missing parameter descriptions for point" == refusal(single, require_parameter_descriptions=True)
    single.__doc__ = "Do.\n\n:param point: it"
    assert "Do." == read(single, require_parameter_descriptions=True).description


def test_what_cannot_be_read() -> None:
    """Things without a signature, and descriptors, are refused with what to do."""
    with pytest.raises(UserError, match=r"(?s)signature of .* cannot be read .*; wrap it in a function with annotated"):
        read(dict.get if sys.version_info < (3, 11) and not _has_signature(dict.get) else type)
    with pytest.raises(UserError, match="classmethod objects cannot be called; give a function, or the method"):
        read(classmethod(outside))  # type: ignore[arg-type]  # that it is a wrong one does not matter
    with pytest.raises(UserError, match="int objects cannot be called"):
        read(3)


def _has_signature(function: Any) -> bool:
    try:
        inspect.signature(function)
    except ValueError:
        return False
    return True


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
        (math.gcd if _has_signature(math.gcd) else math.sqrt, None, None, None),
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


# -- binding ----------------------------------------------------------------------------------------


def add(x: int, y: int = 1) -> int:
    """Add."""
    return x + y


def test_all_mistakes_are_listed() -> None:
    """Wrong, missing and unknown arguments come in one error, in order, with their paths."""

    def function(a: list[int], b: str, c: Point) -> None:
        pass

    assert [
        ("int_parsing", ("a", 1), "Input should be a valid integer, unable to parse string as an integer"),
        ("missing", ("b",), "Field required"),
        ("missing", ("c", "x"), "Field required"),
        ("extra_forbidden", ("d",), "Extra inputs are not permitted"),
    ] == errors(read(function), '{"a": [1, "x"], "c": {}, "d": 1}')


def test_the_input_of_a_mistake() -> None:
    """A mistake shows what was given: the value, or the object that lacks the key."""
    with pytest.raises(ValidationError) as caught:
        read(add).bind({"y": "z", "w": [1]})
    assert [{"y": "z", "w": [1]}, "z", [1]] == [error["input"] for error in caught.value.errors]


@pytest.mark.parametrize("text", ['{"x": 1', "nonsense", '{"x": NaN}', b"\xff", "[" * 100_000])
def test_broken_json(text: Any) -> None:
    """Text that is no JSON is one mistake at the root."""
    [(kind, loc, message)] = errors(read(add), text)
    assert ("json_invalid", ()) == (kind, loc)
    assert message.startswith("Invalid JSON: ")


@pytest.mark.parametrize("value", ["[1]", "3", '"x"', "null", None, [1], 3])
def test_arguments_that_are_no_object(value: Any) -> None:
    """JSON that is no object is one mistake at the root."""
    assert [("dict_type", (), "Input should be an object")] == errors(read(add), value)


def test_bytes_bind_like_text() -> None:
    """JSON may come as bytes."""
    assert ([], {"x": 1, "y": 2}) == read(add).bind(b'{"x": 1, "y": 2}')


def test_the_converter_is_used() -> None:
    """A hook on the converter builds the values, and another converter is refused at the first call."""
    converter = make_converter()
    converter.register_structure_hook(Order, lambda value, tp: Order(value["number"] * 10))

    def function(order: Order, other: int = 0) -> None:
        pass

    assert ([], {"order": Order(10)}) == read(function, converter=converter).bind({"order": {"number": 1}})


def test_it_cannot_be_changed() -> None:
    """A schema stays as it was read."""
    schema = read(add)
    with pytest.raises(AttributeError, match="'name' stays as it was read"):
        schema.name = "other"


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcxyz"), inner, max_size=3),
    max_leaves=6,
)


@given(arguments=st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), _VALUES, max_size=5))
def test_what_the_schema_allows_is_bound(arguments: dict[str, Any]) -> None:
    """Arguments that validate against the schema bind, and the function can be called with them."""

    def function(a: int, b: Union[str, list[int]], /, c: Optional[Point] = None, *d: float, **rest: bool) -> Any:
        return a, b, c, d, rest

    schema = read(function)
    valid = jsonschema.Draft202012Validator(schema.parameters_json_schema).is_valid(arguments)
    try:
        positional, keywords = schema.bind(arguments)
    except ValidationError:
        assert not valid or not isinstance(arguments.get("e", True), bool)
        return
    assert {"a", "b", "d"} <= arguments.keys()
    result = function(*positional, **keywords)
    assert isinstance(result[0], int) and isinstance(result[3], tuple)
    assert result[4].keys() == arguments.keys() - {"a", "b", "c", "d"}


# -- asynchronous functions -------------------------------------------------------------------------


async def fetch(url: str) -> str:
    """An async function."""
    return url


async def fetch_all(url: str) -> AsyncIterator[str]:
    """An async generator."""
    yield url


class Fetcher:
    """An object with an async ``__call__``."""

    async def __call__(self, url: str) -> str:
        return url

    async def fetch(self, url: str) -> str:
        """An async method."""
        return url


@pytest.mark.parametrize(
    "function, name",
    [
        (fetch, "fetch"),
        (functools.partial(fetch, "x"), "fetch"),
        (functools.partial(functools.partial(fetch), "x"), "fetch"),
        (Fetcher(), "Fetcher"),
        (Fetcher().fetch, "fetch"),
        pytest.param(
            unittest.mock.AsyncMock(),
            "AsyncMock",
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="older mocks do not say that they are async"),
        ),
    ],
)
def test_async_functions_are_refused(function: Any, name: str) -> None:
    """An async function is refused, however it is dressed, with the code that wraps it."""
    with pytest.raises(UserError) as caught:
        refuse_coroutine(function, "result validator")
    assert str(caught.value).startswith(f"The result validator {name!r} is an async function, and there is no event")
    assert f"return asyncio.run({name}(*args, **kwargs))" in str(caught.value)


@pytest.mark.parametrize("function", [fetch_all, functools.partial(fetch_all, "x")])
def test_async_generators_are_refused(function: Any) -> None:
    """An async generator is refused too."""
    with pytest.raises(UserError, match="The stream function 'fetch_all' is an async generator"):
        refuse_coroutine(function, "stream function")


def test_the_advice_works() -> None:
    """What the refusal tells to write is accepted, and keeps the parameters."""
    import asyncio

    @functools.wraps(fetch)
    def fetch_blocking(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(fetch(*args, **kwargs))

    refuse_coroutine(fetch_blocking, "tool")
    positional, keywords = read(fetch_blocking).bind('{"url": "x"}')
    assert "x" == fetch_blocking(*positional, **keywords)


@pytest.mark.parametrize(
    "function", [add, Shop(), Shop().find, Shop, functools.partial(add, 1), math.sqrt, len, lambda: 0]
)
def test_plain_functions_are_not_refused(function: Any) -> None:
    """Whatever is not asynchronous passes."""
    refuse_coroutine(function, "tool")


def test_marked_functions_are_refused() -> None:
    """From Python 3.12 on a plain function may be marked as one that returns an awaitable."""

    def function() -> Any:
        return fetch("x")

    if sys.version_info >= (3, 12):
        with pytest.raises(UserError, match="is an async function"):
            refuse_coroutine(inspect.markcoroutinefunction(function), "tool")
    else:
        refuse_coroutine(function, "tool")


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
