"""What a model sends becomes the arguments of a call, or a list of all that is wrong with it."""

from __future__ import annotations

from typing import Any, Optional, Union

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.schema.errors import ValidationError
from syncagent.schema.structure import make_converter
from tests.schema.functions import Order, Point, errors, read


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
