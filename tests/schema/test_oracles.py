"""The verdicts and schemas of pydantic, msgspec and jsonschema on the types that they share with us."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import pathlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

import attrs
import hypothesis
import jsonschema
import pytest
import typing_extensions as te
from hypothesis import strategies as st

from syncagent.schema.json_schema import json_schema
from syncagent.schema.structure import ValidationError, structurer


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Size(str, enum.Enum):
    S = "s"
    L = "l"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    x: int
    label: str = "p"


@dataclasses.dataclass
class Circle:
    x: int
    radius: float = 1.0


class Row(te.TypedDict):
    a: int
    b: te.NotRequired[Optional[str]]


class Pair(NamedTuple):
    first: int
    second: str = "s"


SCALARS: list[Any] = [
    Any,
    None,
    bool,
    bytes,
    dt.date,
    dt.datetime,
    dt.time,
    dt.timedelta,
    decimal.Decimal,
    float,
    int,
    pathlib.Path,
    str,
    uuid.UUID,
]
NAMED: list[Any] = [
    Colour,
    Level,
    Literal["a", "b", 3],
    Literal["only"],
    Pair,
    Point,
    Row,
    Size,
]
TYPES = st.recursive(
    st.sampled_from(SCALARS + NAMED),
    lambda inner: st.one_of(
        inner.map(lambda tp: list[tp]),
        inner.map(lambda tp: Optional[tp]),
        inner.map(lambda tp: dict[str, tp]),
        inner.map(lambda tp: tuple[tp, ...]),
        st.tuples(inner, inner).map(lambda pair: tuple[pair[0], pair[1]]),
    ),
    max_leaves=4,
)

_WORDS = [
    *("", " ", "x", "a", "b", "s", "red", "only", "3", " 4 ", "3.0", "3.5", "-7", "+3", "1e3", "1_000", "0x10"),
    *("true", "TRUE", "yes", "off", "maybe", "1", "0", "null", "٣"),
    *("2020-01-31", "2020-02-31", "2020-01-31T00:00:00", "2020-01-31T10:00:00Z", "2020-01-31 10:00", "10:00"),
    *("10:00:00.25", "25:00", "P1D", "PT1H30M", "1:00:00", "2 days, 1:00:00", "P", "PT", "1577836800"),
    *("12345678-1234-5678-1234-567812345678", "12345678123456781234567812345678", "é", "\ud800"),
]
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 5),
        st.integers(-(10**20), 10**20),
        st.sampled_from([0.0, 1.0, 2.0, 1.5, -3.25, 1577836800.0, 2e10, 1e300]),
        st.sampled_from(_WORDS),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["x", "label", "a", "b", "first", "second", "1", "k"]), inner, max_size=3),
    ),
    max_leaves=5,
)


def strict_enough(value: Any) -> Any:
    """A value in a form in which equal means the same: types count, offsets are plain."""
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return ("datetime", value.astimezone(dt.timezone.utc).isoformat())
    if isinstance(value, dt.time) and value.tzinfo is not None:
        return ("time", value.replace(tzinfo=None), value.utcoffset())
    if dataclasses.is_dataclass(value):
        return (type(value), strict_enough(vars(value)))
    if isinstance(value, tuple):
        return (type(value), [strict_enough(item) for item in value])
    if isinstance(value, (list, collections.deque)):
        return (type(value), [strict_enough(item) for item in value])
    if isinstance(value, dict):
        return {key: strict_enough(item) for key, item in value.items()}
    return (type(value), value)


def ours(tp: Any, text: str) -> Any:
    """Our verdict: a comparable value, or the kinds and paths of what is wrong."""
    try:
        return "value", strict_enough(structurer(tp).from_json(text))
    except ValidationError as error:
        return "errors", sorted((details["type"], details["loc"]) for details in error.errors)


def theirs(tp: Any, text: str) -> Any:
    """pydantic's verdict in the same form."""
    pydantic = pytest.importorskip("pydantic")
    try:
        return "value", strict_enough(pydantic.TypeAdapter(tp).validate_json(text))
    except pydantic.ValidationError as error:
        return "errors", sorted((details["type"], details["loc"]) for details in error.errors())


def on_purpose(tp: Any, value: Any, mine: Any, other: Any) -> bool:
    """
    Whether we differ from pydantic because we want to:

    * lone surrogates are let through, where pydantic calls them ``json_invalid``;
    * NaN and infinity are no float, in words neither: JSON has no form for them;
    * True is not the constant 1 of an Enum, as JSON Schema has it;
    * integers beyond 64 bits are integers: pydantic calls them ``int_parsing_size`` for an Enum or Literal, and a
      wrong type for a bool or a time, where for us they are a wrong value;
    * a number that no date can hold is ``datetime_from_date_parsing``, as every other value that cannot be read.
    """
    text = json.dumps(value)
    return (
        "\\ud" in text
        or mine == ("errors", [("finite_number", ())])
        or (mine[0] == other[0] == "errors" and len(mine[1]) == len(other[1]) and _has_large_number(value))
        or (isinstance(value, int) and _only_about_dates(mine) and _only_about_dates(other))
        or ("true" in text and any(name in str(tp) for name in ("Colour", "Level")))
    )


def _only_about_dates(verdict: Any) -> bool:
    return verdict[0] == "errors" and all(kind.startswith("date") for kind, _ in verdict[1])


def _has_large_number(value: Any) -> bool:
    if isinstance(value, (list, dict)):
        return any(map(_has_large_number, value.values() if isinstance(value, dict) else value))
    if isinstance(value, str):
        return value.isdecimal() and len(value) > 18
    return isinstance(value, (int, float)) and abs(value) > 2**62


@hypothesis.settings(max_examples=400)
@hypothesis.given(TYPES, JSON)
def test_same_verdict_as_pydantic(tp: Any, value: Any) -> None:
    """Made-up values are taken or refused as pydantic does it, with the same kinds and paths of mistakes."""
    text = json.dumps(value)
    mine, other = ours(tp, text), theirs(tp, text)
    assert mine == other or on_purpose(tp, value, mine, other)


@pytest.mark.parametrize("tp", SCALARS + NAMED, ids=str)
def test_same_verdict_on_words(tp: Any) -> None:
    """Every word of a list is read as pydantic reads it."""
    more = ["-P1D", "P1W", "9999-12-31T23:59:59.999999Z", "10:00+01:00", "12:60:00", "5d", "1.", ".5", "on ", "a/b"]
    for value in [*_WORDS, *more, None, True, False, 0, 1, 3, 3.0, 3.5, -1, [], {}, [1], {"x": 1}]:
        text = json.dumps(value)
        mine, other = ours(tp, text), theirs(tp, text)
        assert mine == other or on_purpose(tp, value, mine, other), value


UNIONS: list[Any] = [
    Union[int, str],
    Union[str, int],
    Union[int, float, None],
    Union[bool, int],
    Union[float, int],
    Union[dt.date, dt.datetime],
    Union[dt.datetime, dt.date],
    Union[dt.date, str],
    Union[uuid.UUID, str, int],
    Union[decimal.Decimal, float],
    Union[dt.timedelta, int],
    Union[Size, str],
    Union[int, Level],
    Union[Literal["a", "b"], int],
    Union[list[int], list[str]],
    Union[set[int], list[int]],
    Union[dict[str, int], dict[str, str]],
    Union[Point, Circle],
    Union[Circle, Point, None],
    Union[Point, dict[str, int]],
    Union[list[Union[int, str]], list[Union[float, bool]]],
    Union[Any, int],
    list[Union[Point, int, str]],
]


@pytest.mark.parametrize("tp", UNIONS, ids=str)
@hypothesis.settings(max_examples=25)
@hypothesis.given(value=JSON)
def test_same_member_as_pydantic(tp: Any, value: Any) -> None:
    """A union's best member is the one that pydantic's smart mode chooses."""
    text = json.dumps(value)
    mine, other = ours(tp, text), theirs(tp, text)
    assert mine == other or on_purpose(tp, value, mine, other)


def test_same_texts_as_pydantic() -> None:
    """What is said about a mistake is what pydantic says, but for reasons after a comma."""
    pydantic = pytest.importorskip("pydantic")
    field = pydantic.Field
    cases: list[tuple[Any, Any]] = [
        (Annotated[int, field(ge=3, lt=9)], 2),
        (Annotated[int, field(gt=3)], 3),
        (Annotated[float, field(le=3)], 4),
        (Annotated[int, field(multiple_of=3)], 4),
        (Annotated[str, field(min_length=2)], "a"),
        (Annotated[str, field(max_length=1)], "ab"),
        (Annotated[str, field(pattern="^a")], "b"),
        (Annotated[bytes, field(min_length=2)], "a"),
        (Annotated[list[int], field(min_length=1)], []),
        (Annotated[tuple[int, ...], field(max_length=1)], [1, 2]),
        (Annotated[frozenset[int], field(min_length=2)], [1]),
        (Annotated[collections.deque[int], field(min_length=2)], [1]),
        (Annotated[dict[str, int], field(min_length=1)], {}),
        (Point, []),
        (Pair, 5),
        (Row, {}),
        (tuple[int, str], [1, "a", 3]),
        (Colour, "x"),
        (Literal["a", 1], "x"),
        (dict[int, int], {"x": "y"}),
        *((tp, {"no": "object"}) for tp in SCALARS if tp is not Any),
        *((tp, True) for tp in (str, bytes, decimal.Decimal, dt.date, uuid.UUID, list[int], None)),
    ]
    for tp, value in cases:
        text = json.dumps(value)
        with pytest.raises(ValidationError) as mine:
            structurer(tp).from_json(text)
        with pytest.raises(pydantic.ValidationError) as other:
            pydantic.TypeAdapter(tp).validate_json(text)
        theirs_said: list[Any] = other.value.errors(include_url=False)
        for error in theirs_said:  # 3.13 moved the class; its public place reads better
            error["msg"] = error["msg"].replace("pathlib._local.", "pathlib.")
        assert [dict(error) for error in mine.value.errors] == theirs_said, tp


@dataclasses.dataclass
class Tree:
    """A tree."""

    value: int
    kids: list[Tree] = dataclasses.field(default_factory=list)
    colour: Optional[Colour] = None
    point: Point = dataclasses.field(default_factory=lambda: Point(1))
    many_points: Optional[list[Point]] = None
    either: Union[Point, Circle, None] = None


def reduced(schema: Any) -> Any:
    """A schema of pydantic's without what only newer versions write, and without defaults."""
    if isinstance(schema, list):
        return [reduced(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: reduced(value) for key, value in schema.items() if key not in ("default", "default_factory")}
    if found.get("additionalProperties") is True:
        del found["additionalProperties"]
    if str(found.get("pattern", "")).startswith("^(?!^[-+.]*$)"):
        del found["pattern"]  # of a Decimal's text
    return found


@pytest.mark.parametrize(
    "tp",
    [
        *SCALARS,
        *(item for item in NAMED if item is not Pair),  # a NamedTuple's fields have names here
        *UNIONS,
        *(list, dict, set, tuple, tuple[()], tuple[int, str], tuple[int, ...], set[int], frozenset[str]),
        *(dict[str, Any], dict[str, int], Mapping[str, int], Sequence[int], Iterable[int], collections.deque[int]),
        *(Tree, list[Tree], list[Point], Optional[Point], dict[str, Row]),
    ],
    ids=str,
)
def test_same_schema_as_pydantic(tp: Any) -> None:
    """With titles the schema is pydantic's, but that a root which is a definition stands at the root."""
    pydantic = pytest.importorskip("pydantic")
    expected = reduced(pydantic.TypeAdapter(tp).json_schema())
    if "$ref" in expected:
        name = expected.pop("$ref").rpartition("/")[2]
        expected = {**expected["$defs"][name], **expected}
    assert json_schema(tp, titles=True) == expected


# -- jsonschema --------------------------------------------------------------------------------


def is_plain(value: Any, made: Any) -> bool:
    """Whether *value* was taken without being read as something else: it comes out as it went in."""
    if isinstance(made, enum.Enum):
        made = made.value
    if dataclasses.is_dataclass(made) or attrs.has(type(made)):
        known = [key for key in value if hasattr(made, key)] if isinstance(value, dict) else None
        return known is not None and all(is_plain(value[key], getattr(made, key)) for key in known)
    if isinstance(value, list):
        items = list(made) if isinstance(made, (list, tuple)) else None
        return items is not None and len(items) >= len(value) and all(map(is_plain, value, items))
    if isinstance(value, dict):
        return isinstance(made, dict) and all(is_plain(value[key], made[key]) for key in made)
    return type(value) is type(made) and value == made


@hypothesis.settings(max_examples=400)
@hypothesis.given(TYPES, JSON)
def test_values_validate(tp: Any, value: Any) -> None:
    """Every generated schema is valid, and what is taken as it is, without reading it leniently, validates."""
    schema = json_schema(tp)
    jsonschema.Draft202012Validator.check_schema(schema)
    try:
        made = structurer(tp).from_json_value(value)
    except ValidationError:
        return
    if is_plain(value, made):
        jsonschema.Draft202012Validator(schema).validate(value)


@hypothesis.settings(max_examples=400)
@hypothesis.given(TYPES, JSON)
def test_valid_values_are_taken(tp: Any, value: Any) -> None:
    """What the schema allows is taken, where the schema says all: no formats, and whole floats within 64 bits."""
    schema = json_schema(tp)
    if '"format"' in json.dumps(schema) or '"number"}, {"type": "string"' in json.dumps(schema):
        return
    if not _has_large_number(value) and jsonschema.Draft202012Validator(schema).is_valid(value):
        structurer(tp).from_json_value(value)


# -- msgspec -----------------------------------------------------------------------------------


@hypothesis.settings(max_examples=400)
@hypothesis.given(TYPES, JSON)
def test_what_msgspec_takes_is_taken(tp: Any, value: Any) -> None:
    """
    msgspec is strict: what it takes without leniency we take, with the same value.

    On purpose: bytes are base64 for msgspec and text for us, and it writes durations in another way.
    """
    msgspec = pytest.importorskip("msgspec")
    text = json.dumps(value)
    if "\\ud" in text or any(word in str(tp) for word in ("bytes", "timedelta", "pathlib")):
        return
    try:
        other = msgspec.json.decode(text.encode(), type=tp)
    except (msgspec.ValidationError, TypeError):  # refused, or a type that it does not know
        return
    assert strict_enough(structurer(tp).from_json_value(value)) == strict_enough(other)
