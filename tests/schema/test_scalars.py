"""Numbers, texts and times: SPEC's table of validation texts, and what is taken for what."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import pathlib
import uuid
from decimal import Decimal
from typing import Any, Literal

import pytest

from syncagent.schema.structure import ValidationError, structurer

UTC = dt.timezone.utc


class Letter(enum.Enum):
    A = "a"
    B = "b"


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


def refusal(tp: Any, value: Any, json: bool = True) -> tuple[str, str]:
    """The kind and the text of the one mistake in *value*."""
    compiled = structurer(tp)
    with pytest.raises(ValidationError) as caught:
        (compiled.from_json_value if json else compiled.from_python)(value)
    (error,) = caught.value.errors
    assert error["loc"] == ()
    assert error["input"] is value or error["input"] == f"{value[:1_000]}..."
    return error["type"], error["msg"]


INT = "Input should be a valid integer"
BOOL = "Input should be a valid boolean"
NUMBER = "Input should be a valid number"


@pytest.mark.parametrize(
    ("tp", "value", "kind", "text"),
    [
        (int, "x", "int_parsing", f"{INT}, unable to parse string as an integer"),
        (int, "3.5", "int_parsing", f"{INT}, unable to parse string as an integer"),
        (int, "", "int_parsing", f"{INT}, unable to parse string as an integer"),
        (int, "1e3", "int_parsing", f"{INT}, unable to parse string as an integer"),
        (int, "٣", "int_parsing", f"{INT}, unable to parse string as an integer"),
        (int, 3.5, "int_from_float", f"{INT}, got a number with a fractional part"),
        (int, Decimal("3.5"), "int_from_float", f"{INT}, got a number with a fractional part"),
        (int, None, "int_type", INT),
        (int, [], "int_type", INT),
        (int, Decimal("NaN"), "int_type", INT),
        (int, 1e20, "int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size"),
        (int, "1" * 5000, "int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size"),
        (int, float("inf"), "finite_number", "Input should be a finite number"),
        (float, "x", "float_parsing", f"{NUMBER}, unable to parse string as a number"),
        (float, "٣", "float_parsing", f"{NUMBER}, unable to parse string as a number"),
        (float, None, "float_type", NUMBER),
        (float, "nan", "finite_number", "Input should be a finite number"),
        (float, 10**400, "finite_number", "Input should be a finite number"),
        (bool, "maybe", "bool_parsing", f"{BOOL}, unable to interpret input"),
        (bool, 2, "bool_parsing", f"{BOOL}, unable to interpret input"),
        (bool, None, "bool_type", BOOL),
        (bool, 0.5, "bool_type", BOOL),
        (str, 3, "string_type", "Input should be a valid string"),
        (str, True, "string_type", "Input should be a valid string"),
        (str, None, "string_type", "Input should be a valid string"),
        (str, b"x", "string_type", "Input should be a valid string"),
        (bytes, 1, "bytes_type", "Input should be a valid bytes"),
        (None, 1, "none_required", "Input should be null"),
        (Letter, "c", "enum", "Input should be 'a' or 'b'"),
        (Letter, ["a"], "enum", "Input should be 'a' or 'b'"),
        (Letter, {}, "enum", "Input should be 'a' or 'b'"),
        (Number, 3, "enum", "Input should be 1 or 2"),
        (Number, "x", "enum", "Input should be 1 or 2"),
        (Number, True, "enum", "Input should be 1 or 2"),
        (Literal["a", "b"], "c", "literal_error", "Input should be 'a' or 'b'"),
        (Literal["a", "b", 3], {}, "literal_error", "Input should be 'a', 'b' or 3"),
        (Literal["a"], None, "literal_error", "Input should be 'a'"),
        (Literal[1], "1", "literal_error", "Input should be 1"),
        (Literal[1], True, "literal_error", "Input should be 1"),
        (Decimal, "x", "decimal_parsing", "Input should be a valid decimal"),
        (Decimal, True, "decimal_type", "Decimal input should be an integer, float, string or Decimal object"),
        (Decimal, "NaN", "finite_number", "Input should be a finite number"),
        (uuid.UUID, 1, "uuid_type", "UUID input should be a string, bytes or UUID object"),
        (pathlib.Path, 1, "path_type", "Input is not a valid path for <class 'pathlib.Path'>"),
        (dt.date, None, "date_type", "Input should be a valid date"),
        (dt.date, True, "date_type", "Input should be a valid date"),
        (
            dt.date,
            "2020-01-31T10:00:00",
            "date_from_datetime_inexact",
            "Datetimes provided to dates should have zero time - e.g. be exact dates",
        ),
        (dt.datetime, None, "datetime_type", "Input should be a valid datetime"),
        (dt.time, None, "time_type", "Input should be a valid time"),
        (dt.timedelta, None, "time_delta_type", "Input should be a valid duration"),
    ],
)
def test_refused(tp: Any, value: Any, kind: str, text: str) -> None:
    """What is no value of its type is refused with the text that models know."""
    assert refusal(tp, value) == (kind, text)


@pytest.mark.parametrize(
    ("tp", "value", "kind", "start"),
    [
        (uuid.UUID, "x", "uuid_parsing", "Input should be a valid UUID, "),
        (uuid.UUID, "1-2345678123456781234567812345678", "uuid_parsing", "Input should be a valid UUID, "),
        (dt.date, "x", "date_from_datetime_parsing", "Input should be a valid date or datetime, "),
        (dt.date, "2020-02-31", "date_from_datetime_parsing", "Input should be a valid date or datetime, day "),
        (dt.date, 1e300, "date_from_datetime_parsing", "Input should be a valid date or datetime, "),
        (dt.datetime, "2020-01-01T25:00", "datetime_from_date_parsing", "Input should be a valid datetime or date, "),
        (dt.datetime, "2020-01-01T10:00+25:00", "datetime_from_date_parsing", "Input should be a valid datetime or "),
        (dt.datetime, float("nan"), "datetime_from_date_parsing", "Input should be a valid datetime or date, "),
        (dt.time, "x", "time_parsing", "Input should be in a valid time format, "),
        (dt.time, "25:00", "time_parsing", "Input should be in a valid time format, hour "),
        (dt.time, 86_400, "time_parsing", "Input should be in a valid time format, a number of seconds lies "),
        (dt.timedelta, "x", "time_delta_parsing", "Input should be a valid duration, "),
        (dt.timedelta, "P", "time_delta_parsing", "Input should be a valid duration, "),
        (dt.timedelta, "PT", "time_delta_parsing", "Input should be a valid duration, "),
        (dt.timedelta, "1:00", "time_delta_parsing", "Input should be a valid duration, "),
        (dt.timedelta, "1:60:00", "time_delta_parsing", "Input should be a valid duration, minutes "),
        (dt.timedelta, "999999999 days 24:00:00", "time_delta_parsing", "Input should be a valid duration, a dur"),
        (dt.timedelta, float("inf"), "time_delta_parsing", "Input should be a valid duration, a duration has "),
    ],
)
def test_refused_with_a_reason(tp: Any, value: Any, kind: str, start: str) -> None:
    """Times and UUIDs that cannot be read say what was expected."""
    found, text = refusal(tp, value)
    assert found == kind
    assert text.startswith(start)
    assert len(text) > len(start)


@pytest.mark.parametrize(
    ("tp", "python", "json"),
    [
        (list[int], "Input should be a valid list", "Input should be a valid array"),
        (tuple[int, ...], "Input should be a valid tuple", "Input should be a valid array"),
        (set[int], "Input should be a valid set", "Input should be a valid array"),
        (frozenset[int], "Input should be a valid frozenset", "Input should be a valid array"),
        (dict[str, int], "Input should be a valid dictionary", "Input should be an object"),
        (None, "Input should be None", "Input should be null"),
        (dt.timedelta, "Input should be a valid timedelta", "Input should be a valid duration"),
    ],
)
def test_two_languages(tp: Any, python: str, json: str) -> None:
    """Texts speak of lists and dictionaries to Python, of arrays and objects to JSON."""
    value = object()
    assert refusal(tp, value, json=False)[1] == python
    assert refusal(tp, value)[1] == json


@pytest.mark.parametrize(
    ("tp", "value", "expected"),
    [
        (int, 3, 3),
        (int, "3", 3),
        (int, " 4 ", 4),
        (int, "3.0", 3),
        (int, "-7", -7),
        (int, "+3", 3),
        (int, "1_000", 1000),
        (int, 3.0, 3),
        (int, True, 1),
        (int, Number.TWO, 2),
        (int, Decimal("4.0"), 4),
        (int, 10**30, 10**30),
        (float, 1.5, 1.5),
        (float, "1.5", 1.5),
        (float, " 2 ", 2.0),
        (float, 1, 1.0),
        (float, True, 1.0),
        (float, Decimal("0.5"), 0.5),
        *((bool, word, True) for word in (True, "true", "TRUE", "yes", "on", "1", "t", "y", 1, 1.0)),
        *((bool, word, False) for word in (False, "false", "no", "off", "0", "f", "n", 0, 0.0)),
        (str, "x", "x"),
        (str, "\ud800", "\ud800"),
        (bytes, "é", b"\xc3\xa9"),
        (bytes, "\ud800", b"\xed\xa0\x80"),
        (bytes, bytearray(b"x"), b"x"),
        (None, None, None),
        (Any, {"a": [1]}, {"a": [1]}),
        (object, 3, 3),
        (Letter, "a", Letter.A),
        (Letter, Letter.B, Letter.B),
        (Number, 2, Number.TWO),
        (Number, 2.0, Number.TWO),
        (Number, " 2", Number.TWO),
        (Literal["a", 3], "a", "a"),
        (Literal["a", 3], 3.0, 3),
        (Literal[None], None, None),
        (Literal[Letter.A], "a", Letter.A),
        (Literal[Letter.A], Letter.A, Letter.A),
        (Literal[b"x"], "x", b"x"),
        (Decimal, "1.50", Decimal("1.50")),
        (Decimal, 1, Decimal(1)),
        (Decimal, 0.1, Decimal("0.1")),
        (Decimal, Decimal("2"), Decimal("2")),
        (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678123456781234567812345678")),
        (uuid.UUID, "{12345678-1234-5678-1234-567812345678}", uuid.UUID("12345678123456781234567812345678")),
        (uuid.UUID, "urn:uuid:12345678123456781234567812345678", uuid.UUID("12345678123456781234567812345678")),
        (uuid.UUID, uuid.UUID(int=1), uuid.UUID(int=1)),
        (pathlib.Path, "a/b", pathlib.Path("a/b")),
        (pathlib.Path, pathlib.Path("a"), pathlib.Path("a")),
        (pathlib.PurePosixPath, "a", pathlib.PurePosixPath("a")),
        (dt.date, "2020-01-31", dt.date(2020, 1, 31)),
        (dt.date, "2020-01-31T00:00:00", dt.date(2020, 1, 31)),
        (dt.date, 1577836800, dt.date(2020, 1, 1)),
        (dt.date, "1577836800", dt.date(2020, 1, 1)),
        (dt.date, dt.datetime(2020, 1, 1), dt.date(2020, 1, 1)),
        (dt.date, dt.date(2020, 1, 1), dt.date(2020, 1, 1)),
        (dt.datetime, "2020-01-31", dt.datetime(2020, 1, 31)),
        (dt.datetime, "2020-01-31 10:00", dt.datetime(2020, 1, 31, 10)),
        (dt.datetime, "2020-01-31T10:00:00Z", dt.datetime(2020, 1, 31, 10, tzinfo=UTC)),
        (dt.datetime, "2020-01-31t10:00:00.123456789z", dt.datetime(2020, 1, 31, 10, 0, 0, 123456, UTC)),
        (dt.datetime, "2020-01-31T10:00:00+00:00", dt.datetime(2020, 1, 31, 10, tzinfo=UTC)),
        (
            dt.datetime,
            "2020-01-31T10:00:00-0530",
            dt.datetime(2020, 1, 31, 10, tzinfo=dt.timezone(-dt.timedelta(hours=5, minutes=30))),
        ),
        (dt.datetime, 1.5, dt.datetime(1970, 1, 1, 0, 0, 1, 500000, UTC)),
        (dt.datetime, 1577836800000, dt.datetime(2020, 1, 1, tzinfo=UTC)),
        (dt.datetime, 14022152485918, dt.datetime(2414, 5, 6, 10, 21, 25, 918000, UTC)),
        (dt.datetime, "14022152485918", dt.datetime(2414, 5, 6, 10, 21, 25, 918000, UTC)),
        (dt.datetime, dt.date(2020, 1, 1), dt.datetime(2020, 1, 1)),
        (dt.datetime, dt.datetime(2020, 1, 1, 5), dt.datetime(2020, 1, 1, 5)),
        (dt.time, "10:00", dt.time(10)),
        (dt.time, "10:00:00.5", dt.time(10, 0, 0, 500000)),
        (dt.time, "10:00:00Z", dt.time(10, tzinfo=UTC)),
        (dt.time, 3600, dt.time(1, tzinfo=UTC)),
        (dt.time, dt.time(3), dt.time(3)),
        (dt.timedelta, "P1D", dt.timedelta(days=1)),
        (dt.timedelta, "-P1DT2H", -dt.timedelta(days=1, hours=2)),
        (dt.timedelta, "PT0,5S", dt.timedelta(seconds=0.5)),
        (dt.timedelta, "P1Y1M1W", dt.timedelta(days=365 + 30 + 7)),
        (dt.timedelta, "1:00:00", dt.timedelta(hours=1)),
        (dt.timedelta, "00:30", dt.timedelta(minutes=30)),
        (dt.timedelta, "100:00:00.5", dt.timedelta(hours=100, seconds=0.5)),
        (dt.timedelta, "-2 days, 1:00:00", -dt.timedelta(days=2, hours=1)),
        (dt.timedelta, "5d", dt.timedelta(days=5)),
        (dt.timedelta, 90, dt.timedelta(seconds=90)),
        (dt.timedelta, dt.timedelta(1), dt.timedelta(1)),
    ],
)
def test_taken(tp: Any, value: Any, expected: Any) -> None:
    """What is a value of its type without loss is taken for one, in Python's and in JSON's name."""
    for taken in (structurer(tp).from_python(value), structurer(tp).from_json_value(value)):
        assert taken == expected
        assert type(taken) is type(expected)


def test_tzinfo_is_kept() -> None:
    """A time's offset from UTC is the one that was written."""
    assert structurer(dt.datetime).from_python("2020-01-01T00:00:00+02:00").utcoffset() == dt.timedelta(hours=2)


def test_an_enum_with_missing_decides_for_itself() -> None:
    """What no member has as its value is shown to the Enum's own ``_missing_``."""

    class Loose(enum.Enum):
        A = "a"

        @classmethod
        def _missing_(cls, value: object) -> Any:
            return cls[str(value)]

    assert structurer(Loose).from_python("A") is Loose.A
    assert refusal(Loose, "B") == ("enum", "Input should be 'a'")


def test_an_enum_of_tuples_is_read_from_arrays() -> None:
    """A member whose value is a tuple comes as an array."""

    class Corner(enum.Enum):
        TOP = (0, 1)

    assert structurer(Corner).from_json("[0, 1]") is Corner.TOP


def test_large_decimals_do_not_become_integers() -> None:
    """A Decimal of a billion digits is refused at once as an integer."""
    assert refusal(int, decimal.Decimal("1e999999"))[0] == "int_type"


def test_durations_are_read_to_the_microsecond() -> None:
    """A long duration keeps its microseconds: nothing goes through binary fractions."""
    value = structurer(dt.timedelta).from_python("P99421DT0.000001S")

    assert value == dt.timedelta(days=99_421, microseconds=1)
