"""Python values to JSON: compact, valid, exact where it can be, and an error with a path where it cannot."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import json
import math
import pathlib
import re
import uuid
from collections import ChainMap, OrderedDict, deque, namedtuple
from types import MappingProxyType
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncagent.jsonable import bytes_as_base64, bytes_as_text, dump_bytes, dump_str, isoformat, to_jsonable


class Colour(enum.Enum):
    RED = "red"
    DAY = dt.date(2020, 1, 1)


class Word(str, enum.Enum):
    YES = "yes"


class Level(enum.IntEnum):
    HIGH = 2


@attrs.define
class Attrs:
    name: str
    _hidden: int
    when: Any = None


@dataclasses.dataclass
class Data:
    shared: ClassVar[int] = 1
    init: dataclasses.InitVar[int]
    x: Any


class Model1:
    """What a pydantic 1 model looks like from outside."""

    __fields__: ClassVar[dict[str, Any]] = {"x": None}

    def dict(self) -> Any:
        return {"x": dt.date(2020, 1, 1)}


Pair = namedtuple("Pair", "a b")
UTC = dt.timezone.utc

_VALUES = [
    (None, "null"),
    (True, "true"),
    (2**70, str(2**70)),
    (1.5, "1.5"),
    (math.nan, "null"),
    (-math.inf, "null"),
    ("é\u2028", '"é\u2028"'),
    ({"b": 1, "a": [1, 2]}, '{"b":1,"a":[1,2]}'),
    ((1, "x"), '[1,"x"]'),
    (Pair(1, 2), "[1,2]"),
    ({3}, "[3]"),
    (frozenset(), "[]"),
    (deque([1]), "[1]"),
    (range(2), "[0,1]"),
    (OrderedDict(z=1, a=2), '{"z":1,"a":2}'),
    (MappingProxyType({"a": {1}}), '{"a":[1]}'),
    (ChainMap({"a": 1}), '{"a":1}'),
    (b"text", '"text"'),
    (bytearray(b"\xff"), '"_w=="'),
    (memoryview(b"a"), '"a"'),
    (dt.datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC), '"2025-01-02T03:04:05Z"'),
    (dt.datetime(2025, 1, 2, 3, 4, 5, 6), '"2025-01-02T03:04:05.000006"'),
    (dt.datetime(2025, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))), '"2025-01-02T00:00:00+02:00"'),
    (dt.date(2025, 1, 2), '"2025-01-02"'),
    (dt.time(3, 4), '"03:04:00"'),
    (dt.timedelta(0), '"PT0S"'),
    (dt.timedelta(days=1), '"P1D"'),
    (dt.timedelta(days=-1, seconds=1), '"-PT86399S"'),
    (dt.timedelta(days=1, milliseconds=1_500), '"P1DT1.5S"'),
    (decimal.Decimal("1.10"), '"1.10"'),
    (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (pathlib.PurePosixPath("/a/b"), '"/a/b"'),
    (Colour.RED, '"red"'),
    (Colour.DAY, '"2020-01-01"'),
    (Word.YES, '"yes"'),
    (Level.HIGH, "2"),
    (Attrs("n", 1, dt.date(2020, 1, 1)), '{"name":"n","hidden":1,"when":"2020-01-01"}'),
    (Data(1, [Attrs("n", 1)]), '{"x":[{"name":"n","hidden":1,"when":null}]}'),
    (Model1(), '{"x":"2020-01-01"}'),
    ({1: "a", None: 2, False: 3, 1.5: 4}, '{"1":"a","null":2,"false":3,"1.5":4}'),
    ({Word.YES: 1, Colour.RED: 2, Colour.DAY: 3, dt.date(2020, 1, 2): 4, b"k": 5, uuid.UUID(int=0): 6},
     '{"yes":1,"red":2,"2020-01-01":3,"2020-01-02":4,"k":5,"00000000-0000-0000-0000-000000000000":6}'),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), _VALUES, ids=lambda value: type(value).__name__)
def test_values(value: Any, text: str) -> None:
    """Each kind of value has its one compact JSON form, by itself and beside what needs the slow way."""
    assert dump_str(value) == text
    assert dump_str([value, math.nan]) == f"[{text},null]"
    assert dump_bytes(value) == text.encode()
    assert json.dumps(to_jsonable(value), ensure_ascii=False, separators=(",", ":")) == text


def test_pydantic_models() -> None:
    """A pydantic model is what it says itself, wherever it stands."""
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Model", at=(dt.datetime, ...), inner=(Any, None))
    value = model(at=dt.datetime(2025, 1, 1, tzinfo=UTC), inner={1})
    assert dump_str({"m": [value]}) == '{"m":[{"at":"2025-01-01T00:00:00Z","inner":[1]}]}'


def test_iterators_lose_nothing() -> None:
    """A generator is written whole, also where the quick way gives up half way or the text needs escapes."""

    def numbers() -> Any:
        yield from (1, 2)

    assert dump_str(numbers()) == "[1,2]"
    assert dump_str({"a": numbers(), "b": math.nan}) == '{"a":[1,2],"b":null}'
    assert dump_bytes([iter([1]), "\ud800"]) == b'[[1],"\\ud800"]'


@pytest.mark.parametrize("text", ["\ud800", "é\udfff", "\ud83d-\ude00", '"\ud800\\'])
def test_lone_surrogates_are_escaped(text: str) -> None:
    """Lone surrogates become escapes in bytes, the rest stays as it is, and it reads back the same."""
    data = dump_bytes({text: [text]})
    assert json.loads(data) == {text: [text]}
    assert "é".encode() in dump_bytes(["é\ud800"])


def test_bytes() -> None:
    """Bytes are text where they are UTF-8, else URL-safe base64 with padding; a function may say otherwise."""
    assert bytes_as_text("é".encode()) == "é"
    assert bytes_as_text(b"\xfb\xff") == bytes_as_base64(b"\xfb\xff") == "-_8="
    assert to_jsonable({"a": [b"a"]}, encode_bytes=bytes_as_base64) == {"a": ["YQ=="]}


def test_isoformat() -> None:
    """UTC is ``Z``; another offset, or none, stays."""
    moment = dt.datetime(2025, 1, 1, tzinfo=UTC)
    assert isoformat(moment) == "2025-01-01T00:00:00Z"
    assert isoformat(moment.replace(tzinfo=None)) == "2025-01-01T00:00:00"


@pytest.mark.parametrize(
    ("value", "path", "name"),
    [
        (object(), "value: ", "object"),
        ({"a": [1, object()]}, "value.a[1]: ", "object"),
        (Attrs("n", 1, {"k": fractions.Fraction(1, 2)}), "value.when.k: ", "Fraction"),
        ([1j], "value[0]: ", "complex"),
        (int, "value: ", "type"),
        (len, "value: ", "builtin_function_or_method"),
        ([dt.timezone.utc], "value[0]: ", "timezone"),
    ],
)
def test_no_json_form(value: Any, path: str, name: str) -> None:
    """A value without a JSON form is a TypeError with its path and type."""
    with pytest.raises(TypeError) as raised:
        dump_str(value)
    assert str(raised.value).startswith(f"{path}a value of type {name} has no JSON form; use ")


def test_keys_without_a_form() -> None:
    """A key that is an object or a list is a TypeError that says where."""
    with pytest.raises(TypeError, match=r"^value\.a: a key of type tuple has no JSON form; use text\.$"):
        dump_str({"a": {(1, 2): 3}})
    with pytest.raises(TypeError, match="a value of type object has no JSON form"):
        dump_str({object(): 1})


def test_cycles_and_depth() -> None:
    """What holds itself, or is nested deeper than anybody reads, is a TypeError, not an endless loop."""
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = 1
    for _ in range(300):
        deep = (deep, math.nan)
    for value in (ring, {"a": ring}, deep, Attrs("n", 1, ring)):
        with pytest.raises(TypeError, match="nested deeper than 200 levels, or holds itself"):
            dump_str(value)


_ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.timedeltas()
    | st.decimals()
    | st.uuids(),
    lambda inner: st.lists(inner, max_size=3)
    | st.tuples(inner)
    | st.dictionaries(st.text() | st.integers() | st.booleans() | st.none() | st.dates(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(_ANY)
def test_quick_and_slow_way_agree(value: Any) -> None:
    """Whatever the value, its JSON is valid and the same as that of its plain form."""
    plain = to_jsonable(value)
    text = dump_str(value)
    assert json.loads(text) == plain
    assert text == dump_str(plain)
    assert json.loads(dump_bytes(value)) == plain


@settings(max_examples=200, deadline=None)
@given(st.timedeltas())
def test_durations_are_exact(value: dt.timedelta) -> None:
    """A duration reads back as it was, to the microsecond, negative ones too."""
    found = re.fullmatch(r"(-?)P(?:(\d+)D)?(?:T(\d+)(?:\.(\d{1,6}))?S)?", to_jsonable(value))
    assert found is not None
    sign, days, seconds, fraction = found.groups()
    read = dt.timedelta(int(days or 0), int(seconds or 0), int((fraction or "").ljust(6, "0")))
    assert (-read if sign else read) == value
