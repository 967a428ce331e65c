"""What a model is told of a function, and which functions are refused."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Callable, Optional

import jsonschema
import pytest

from syncagent.exceptions import UserError
from tests.schema.functions import Options, Order, Point, RunContext, errors, has_signature, read, refusal

if TYPE_CHECKING:
    from somewhere import RunContext as OnlyForTypeCheckers  # type: ignore[import-not-found]  # must not exist

Ctx = RunContext[int]


class Names:
    """Stands for a module."""

    Context = RunContext


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
        read(dict.get if sys.version_info < (3, 11) and not has_signature(dict.get) else type)
    with pytest.raises(UserError, match="classmethod objects cannot be called; give a function, or the method"):
        read(classmethod(outside))  # type: ignore[arg-type]  # that it is a wrong one does not matter
    with pytest.raises(UserError, match="int objects cannot be called"):
        read(3)
