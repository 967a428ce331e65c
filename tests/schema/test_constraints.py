"""Limits, lengths, patterns and choices: in the schema, and checked before the object is built."""

from __future__ import annotations

import datetime as dt
import enum
import re
from decimal import Decimal
from typing import Annotated, Any, Optional, Union

import attrs
import pytest
from attrs import validators as v

from syncagent.schema.json_schema import json_schema
from syncagent.schema.structure import ValidationError, structurer


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


def errors_of(tp: Any, value: Any) -> list[tuple[str, tuple[Any, ...], str, Any]]:
    """Kind, path, text and context of each mistake in *value*."""
    with pytest.raises(ValidationError) as caught:
        structurer(tp).from_json_value(value)
    return [(error["type"], error["loc"], error["msg"], error.get("ctx")) for error in caught.value.errors]


NUMBER_CASES = [
    (v.ge(3), 2, 3, {"minimum": 3}, "greater_than_equal", "Input should be greater than or equal to 3", {"ge": 3}),
    (v.gt(3), 3, 4, {"exclusiveMinimum": 3}, "greater_than", "Input should be greater than 3", {"gt": 3}),
    (v.le(3), 4, 3, {"maximum": 3}, "less_than_equal", "Input should be less than or equal to 3", {"le": 3}),
    (v.lt(9), 9, 8, {"exclusiveMaximum": 9}, "less_than", "Input should be less than 9", {"lt": 9}),
]


@pytest.mark.parametrize(("rule", "bad", "good", "schema", "kind", "text", "ctx"), NUMBER_CASES)
def test_limits(rule: Any, bad: int, good: int, schema: Any, kind: str, text: str, ctx: Any) -> None:
    """A limit of attrs stands in the schema and is checked on the value."""
    tp = Annotated[int, rule]
    assert json_schema(tp) == {"type": "integer", **schema}
    assert errors_of(tp, bad) == [(kind, (), text, ctx)]
    assert structurer(tp).from_json_value(good) == good


@pytest.mark.parametrize(
    ("tp", "bad", "kind", "text", "ctx"),
    [
        (str, "a", "string_too_short", "String should have at least 2 characters", {"min_length": 2}),
        (str, "abcd", "string_too_long", "String should have at most 3 characters", {"max_length": 3}),
        (bytes, "a", "bytes_too_short", "Data should have at least 2 bytes", {"min_length": 2}),
        (bytes, "abcd", "bytes_too_long", "Data should have at most 3 bytes", {"max_length": 3}),
        (
            list[int],
            [1],
            "too_short",
            "List should have at least 2 items after validation, not 1",
            {"field_type": "List", "min_length": 2, "actual_length": 1},
        ),
        (
            dict[str, int],
            {"a": 1},
            "too_short",
            "Dictionary should have at least 2 items after validation, not 1",
            {"field_type": "Dictionary", "min_length": 2, "actual_length": 1},
        ),
        (
            set[int],
            [1, 1],
            "too_short",
            "Set should have at least 2 items after validation, not 1",
            {"field_type": "Set", "min_length": 2, "actual_length": 1},
        ),
        (
            tuple[int, ...],
            [1, 2, 3, 4],
            "too_long",
            "Tuple should have at most 3 items after validation, not 4",
            {"field_type": "Tuple", "max_length": 3, "actual_length": 4},
        ),
    ],
)
def test_lengths(tp: Any, bad: Any, kind: str, text: str, ctx: Any) -> None:
    """Lengths count characters, bytes or items, after the value is made."""
    limited = Annotated[tp, v.and_(v.min_len(2), v.max_len(3))]
    assert errors_of(limited, bad) == [(kind, (), text, ctx)]


def test_one_item() -> None:
    """Texts know the singular."""
    assert errors_of(Annotated[list[int], v.min_len(1)], [])[0][2] == (
        "List should have at least 1 item after validation, not 0"
    )
    assert errors_of(Annotated[str, v.min_len(1)], "")[0][2] == "String should have at least 1 character"


@pytest.mark.parametrize(
    ("tp", "schema"),
    [
        (str, {"type": "string", "minLength": 1, "maxLength": 2}),
        (list[int], {"items": {"type": "integer"}, "type": "array", "minItems": 1, "maxItems": 2}),
        (
            dict[str, int],
            {"additionalProperties": {"type": "integer"}, "type": "object", "minProperties": 1, "maxProperties": 2},
        ),
        (int, {"type": "integer"}),
    ],
)
def test_lengths_in_the_schema(tp: Any, schema: Any) -> None:
    """Each JSON type has its own keywords for lengths."""
    assert json_schema(Annotated[tp, v.min_len(1), v.max_len(2)]) == schema


@pytest.mark.parametrize(
    ("rule", "pattern", "good", "bad"),
    [
        (v.matches_re("a+"), "^(?:a+)$", "aa", "aab"),
        (v.matches_re("a+", func=re.match), "^(?:a+)", "aab", "baa"),
        (v.matches_re("a+", func=re.search), "a+", "bab", "bb"),
        (v.matches_re(re.compile("a+", re.IGNORECASE)), "^(?:a+)$", "AA", "b"),
    ],
)
def test_patterns(rule: Any, pattern: str, good: str, bad: str) -> None:
    """A pattern means in the schema what it means to attrs: all of the text, its beginning, or some place in it."""
    tp = Annotated[str, rule]
    assert json_schema(tp) == {"type": "string", "pattern": pattern}
    assert structurer(tp).from_json_value(good) == good
    assert errors_of(tp, bad) == [
        ("string_pattern_mismatch", (), f"String should match pattern '{pattern}'", {"pattern": pattern})
    ]


def test_two_patterns() -> None:
    """Of two patterns both hold."""
    tp = Annotated[str, v.matches_re("a.*"), v.matches_re(".*b")]
    assert json_schema(tp) == {"type": "string", "pattern": "^(?:a.*)$", "allOf": [{"pattern": "^(?:.*b)$"}]}
    assert errors_of(tp, "ac")[0][3] == {"pattern": "^(?:.*b)$"}


def test_of_two_limits_the_tighter_holds() -> None:
    """Metadata add up."""
    tp = Annotated[int, v.ge(1), v.ge(3), v.le(9), v.le(7)]
    assert json_schema(tp) == {"type": "integer", "minimum": 3, "maximum": 7}


@pytest.mark.parametrize(
    ("tp", "options", "schema"),
    [
        (str, ["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (int, {2, 1}, {"type": "integer", "enum": [1, 2]}),
        (int, range(3), {"type": "integer", "enum": [0, 1, 2]}),
        (str, "abc", {"type": "string"}),
        (int, range(10_000), {"type": "integer"}),
        (dt.date, [dt.date(2020, 1, 1)], {"format": "date", "type": "string"}),
        (Optional[str], ["a"], {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
    ],
)
def test_choices_in_the_schema(tp: Any, options: Any, schema: Any) -> None:
    """``in_`` is an ``enum``, where its options are few and have a form in JSON."""
    assert json_schema(Annotated[tp, v.in_(options)]) == schema


def test_choices_of_an_enum() -> None:
    """Of an Enum only the chosen members' values are offered."""
    tp = Annotated[Colour, v.in_([Colour.RED, Colour.BLUE])]
    schema = json_schema(tp)
    assert schema["enum"] == ["red", "blue"]
    assert structurer(tp).from_json_value("red") is Colour.RED
    assert errors_of(tp, "green") == [
        ("literal_error", (), "Input should be 'red' or 'blue'", {"expected": "'red' or 'blue'"})
    ]


def test_choices_cross_a_literal() -> None:
    """A Literal's constants are cut to the choices."""
    from typing import Literal

    assert json_schema(Annotated[Literal["a", "b", "c"], v.in_(["b", "c", "d"])])["enum"] == ["b", "c"]


@pytest.mark.parametrize(
    ("options", "value", "shown"), [("abc", "x", "one of 'abc'"), (range(9**9), -1, "one of range(0, 387420489)")]
)
def test_many_choices_are_not_listed(options: Any, value: Any, shown: str) -> None:
    """A text or a large range is shown as it is."""
    assert errors_of(Annotated[Any, v.in_(options)], value)[0][2] == f"Input should be {shown}"


def test_a_choice_that_cannot_be_compared_is_none() -> None:
    """A number is not in a text, a list not in a set."""
    assert errors_of(Annotated[Any, v.in_("abc")], 3)[0][0] == "literal_error"
    assert errors_of(Annotated[Any, v.in_({1})], [1])[0][0] == "literal_error"


def test_optional_leaves_none_alone() -> None:
    """What restricts an Optional's type does not restrict its absence, with ``optional`` and without."""
    for rule in (v.optional(v.ge(3)), v.ge(3)):
        tp = Annotated[Optional[int], rule]
        assert json_schema(tp) == {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]}
        assert structurer(tp).from_json_value(None) is None
        assert errors_of(tp, 2)[0][0] == "greater_than_equal"


def test_a_union_is_restricted_where_it_applies() -> None:
    """Limits go to numbers, lengths to texts."""
    tp = Annotated[Union[int, str, list[int]], v.ge(3), v.max_len(2)]
    assert json_schema(tp) == {
        "anyOf": [
            {"type": "integer", "minimum": 3},
            {"type": "string", "maxLength": 2},
            {"items": {"type": "integer"}, "type": "array", "maxItems": 2},
        ]
    }


def test_decimals_are_limited_as_numbers() -> None:
    """Of a Decimal's two forms the number is limited in the schema, and both are on the value."""
    tp = Annotated[Decimal, v.ge(Decimal("1.5")), v.le(Decimal(9))]
    assert json_schema(tp) == {"anyOf": [{"type": "number", "minimum": 1.5, "maximum": 9}, {"type": "string"}]}
    assert errors_of(tp, "1.4") == [
        ("greater_than_equal", (), "Input should be greater than or equal to 1.5", {"ge": "1.5"})
    ]


def test_dates_are_limited_on_the_value_only() -> None:
    """JSON Schema cannot limit a date; the value is checked all the same."""
    tp = Annotated[dt.date, v.ge(dt.date(2020, 1, 1))]
    assert json_schema(tp) == {"format": "date", "type": "string"}
    assert errors_of(tp, "2019-12-31") == [
        ("greater_than_equal", (), "Input should be greater than or equal to 2020-01-01", {"ge": "2020-01-01"})
    ]


def test_what_cannot_be_compared_is_a_value_error() -> None:
    """A limit that Python cannot compare with the value is told, not raised."""
    ((kind, loc, text, _),) = errors_of(
        Annotated[dt.datetime, v.ge(dt.datetime(2020, 1, 1))], "2020-01-01T00:00:00Z"
    )
    assert (kind, loc) == ("value_error", ())
    assert "cannot be compared with 2020-01-01 00:00:00" in text


def test_instance_of_is_checked() -> None:
    """``instance_of`` narrows a wider annotation."""
    tp = Annotated[Union[int, str, float], v.instance_of((int, str))]
    assert errors_of(tp, 1.5) == [
        ("is_instance_of", (), "Input should be an instance of int or str", {"class": "int or str"})
    ]


def test_deep_iterable() -> None:
    """Rules for items stand in the items' schema, and a mistake has the item's index."""
    tp = Annotated[list[int], v.deep_iterable(v.ge(0), v.min_len(2))]
    assert json_schema(tp) == {"items": {"type": "integer", "minimum": 0}, "type": "array", "minItems": 2}
    assert [error[:2] for error in errors_of(tp, [1, -1, -2])] == [
        ("greater_than_equal", (1,)),
        ("greater_than_equal", (2,)),
    ]
    assert errors_of(tp, [1])[0][0] == "too_short"
    assert structurer(tp).from_json_value([0, 1]) == [0, 1]


def test_deep_iterables_add_up() -> None:
    """Two rules for items both hold; one that says nothing we know changes nothing."""
    tp = Annotated[list[int], v.deep_iterable(v.ge(0)), v.deep_iterable(v.le(5))]
    assert json_schema(tp)["items"] == {"type": "integer", "minimum": 0, "maximum": 5}
    plain = Annotated[list[int], v.deep_iterable(v.is_callable())]
    assert json_schema(plain) == json_schema(list[int])


def test_deep_iterable_leaves_other_values_alone() -> None:
    """Rules for items say nothing about a text or a number in the same union."""
    tp = Annotated[Union[str, int, list[int]], v.deep_iterable(v.ge(5))]
    assert structurer(tp).from_json_value("a") == "a"
    assert structurer(tp).from_json_value(1) == 1
    assert errors_of(tp, [1])[0][1] == (0,)


def test_unknown_rules_are_left_to_the_class() -> None:
    """A validator that we do not know runs where it always does: when the object is built."""

    @attrs.define
    class Even:
        n: int = attrs.field(validator=v.not_(v.in_([1, 3])))

    assert json_schema(Even)["properties"] == {"n": {"type": "integer"}}
    assert structurer(Even).from_json_value({"n": 2}) == Even(2)
    assert errors_of(Even, {"n": 3})[0][:2] == ("value_error", ())


def test_constraints_are_checked_before_the_object_is_built() -> None:
    """All mistakes come at once, each at its field, and the class is not called."""
    built = []

    @attrs.define
    class Order:
        n: int = attrs.field(validator=v.ge(1))
        code: str = attrs.field(validator=[v.matches_re("[A-Z]+"), v.max_len(3)])

        def __attrs_post_init__(self) -> None:
            built.append(self)

    assert [error[:2] for error in errors_of(Order, {"n": 0, "code": "a"})] == [
        ("greater_than_equal", ("n",)),
        ("string_pattern_mismatch", ("code",)),
    ]
    assert errors_of(Order, {"n": 1, "code": "ABCD"})[0][:2] == ("string_too_long", ("code",))
    assert built == []


class Meta:
    """Metadata that means something to somebody else."""

    ge = 3


def test_foreign_metadata_says_nothing() -> None:
    """Only what comes from packages that we know is read."""
    assert json_schema(Annotated[int, Meta(), object(), 3]) == {"type": "integer"}


def test_untyped_values_are_limited_too() -> None:
    """Without a type in the schema limits still apply to numbers."""
    assert json_schema(Annotated[Any, v.ge(3)]) == {"minimum": 3}


def test_annotated_types() -> None:
    """The vocabulary of annotated_types is understood, alone and in groups."""
    at = pytest.importorskip("annotated_types")
    tp = Annotated[int, at.Interval(ge=1, lt=10), at.MultipleOf(2)]
    assert json_schema(tp) == {"type": "integer", "minimum": 1, "exclusiveMaximum": 10, "multipleOf": 2}
    assert errors_of(tp, 3) == [("multiple_of", (), "Input should be a multiple of 2", {"multiple_of": 2})]
    assert errors_of(tp, 10)[0][0] == "less_than"
    sized = Annotated[list[Annotated[float, at.Gt(0), at.Le(1)]], at.Len(1, 2)]
    assert json_schema(sized) == {
        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "type": "array",
        "minItems": 1,
        "maxItems": 2,
    }
    assert json_schema(Annotated[str, at.MinLen(1), at.MaxLen(3)]) == {"type": "string", "minLength": 1, "maxLength": 3}
    assert json_schema(Annotated[int, at.Ge(1), at.Lt(5)]) == {"type": "integer", "minimum": 1, "exclusiveMaximum": 5}


def test_multiples_of_a_fraction() -> None:
    """0.3 is a multiple of 0.1, though its binary fraction is not."""
    at = pytest.importorskip("annotated_types")
    tp = Annotated[float, at.MultipleOf(0.1)]
    assert structurer(tp).from_json_value(0.3) == 0.3
    assert errors_of(tp, 0.35)[0][0] == "multiple_of"


def test_pydantic_field() -> None:
    """pydantic's ``Field`` inside ``Annotated`` gives limits, patterns and a description."""
    pydantic = pytest.importorskip("pydantic")
    tp = Annotated[int, pydantic.Field(description="how many", ge=3)]
    assert json_schema(tp) == {"type": "integer", "minimum": 3, "description": "how many"}
    assert errors_of(tp, 2)[0][0] == "greater_than_equal"
    text = Annotated[str, pydantic.Field(pattern="^a", min_length=2)]
    assert json_schema(text) == {"type": "string", "pattern": "^a", "minLength": 2}
    assert errors_of(text, "ba")[0][2] == "String should match pattern '^a'"
    assert json_schema(Annotated[str, pydantic.StringConstraints(max_length=4, pattern="b")]) == {
        "type": "string",
        "maxLength": 4,
        "pattern": "b",
    }


def test_msgspec_meta() -> None:
    """msgspec's ``Meta`` speaks the same language."""
    msgspec = pytest.importorskip("msgspec")
    tp = Annotated[int, msgspec.Meta(ge=1, description="a count")]
    assert json_schema(tp) == {"type": "integer", "minimum": 1, "description": "a count"}


def test_a_described_branch_is_restricted() -> None:
    """A branch that is itself a choice of forms is restricted inside."""
    tp = Annotated[Union[Annotated[Decimal, "a price"], str], v.ge(3)]
    assert json_schema(tp) == {
        "anyOf": [
            {"anyOf": [{"type": "number", "minimum": 3}, {"type": "string"}], "description": "a price"},
            {"type": "string"},
        ]
    }
