"""JSON in pieces: any split, any prefix, anything wrong."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncagent.schema.partial_json import MAX_DEPTH, MAX_NUMBER, MISSING, PartialJson, parse_partial

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.text('\\"/\n\t\x00\U0001f600é u', max_size=8)
_SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
_JSON = st.recursive(
    _SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4), max_leaves=20
)
_DUMPED = st.builds(
    lambda value, indent, ascii_only: json.dumps(value, indent=indent, ensure_ascii=ascii_only),
    _JSON,
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
_OPEN_NUMBER = re.compile(r"-?[0-9][0-9.eE+-]*\Z|-\Z")


def _split(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)])]


@given(text=_DUMPED, cuts=st.lists(st.integers(0, 10_000), max_size=12), look=st.booleans())
def test_any_json_in_any_pieces_is_what_json_loads_gives(text: str, cuts: list[int], look: bool) -> None:
    """However a text is cut, and whether or not one looks in between, the end is what json.loads reads."""
    reader = PartialJson()
    for piece in _split(text, cuts):
        reader.feed(piece)
        if look:
            reader.value()
    assert reader.complete
    assert json.loads(text) == reader.value()
    assert json.dumps(json.loads(text)) == json.dumps(reader.value())


@settings(deadline=None, max_examples=60)  # each example reads all its prefixes
@given(text=_DUMPED)
def test_every_prefix_is_read_alike_by_character_and_at_once(text: str) -> None:
    """What a prefix gives does not depend on the pieces it came in."""
    reader = PartialJson()
    for end, character in enumerate(text, 1):
        reader.feed(character)
        assert parse_partial(text[:end]) == reader.value()


@settings(deadline=None, max_examples=60)  # each example reads all its prefixes
@given(text=_DUMPED)
def test_every_prefix_agrees_with_jiter(text: str) -> None:
    """Each prefix gives what jiter gives with trailing strings, where the text does not end in a number."""
    jiter = pytest.importorskip("jiter")
    for end in range(1, len(text) + 1):
        prefix = text[:end]
        ours = parse_partial(prefix)
        if end < len(text):
            # On purpose: jiter takes the 12 of a 120 that is still coming for the value. We leave it out.
            number = _OPEN_NUMBER.search(_blank_strings(prefix))
            if number:
                prefix = prefix[: number.start()]
        try:
            theirs = jiter.from_json(prefix.encode("utf-8"), partial_mode="trailing-strings")
        except ValueError:
            # On purpose: where no value has begun, jiter raises and we say MISSING.
            assert prefix.strip() in ("", "t", "tr", "tru", "f", "fa", "fal", "fals", "n", "nu", "nul")
            assert ours is MISSING or isinstance(ours, (int, float))
        else:
            assert theirs == ours


_STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)


def _blank_strings(text: str) -> str:
    """The text with its strings, an open one too, blanked out by as many underscores."""
    return _STRING.sub(lambda match: "_" * len(match[0]), text)


@settings(deadline=None, max_examples=60)  # each example reads all its prefixes
@given(text=_DUMPED)
def test_complete_objects_agree_with_partial_json_parser(text: str) -> None:
    """A prefix that ends after a comma gives what partial-json-parser gives."""
    oracle = pytest.importorskip("partial_json_parser")
    for end in range(1, len(text)):
        if _blank_strings(text[:end]).endswith(","):
            assert oracle.loads(text[:end]) == parse_partial(text[:end])


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("too large")
    return number


@given(text=_DUMPED, place=st.integers(0, 10_000), wrong=st.sampled_from(list('x}],:"0e-\\\x01{[')))
def test_what_json_loads_refuses_is_refused(text: str, place: int, wrong: str) -> None:
    """A damaged text either is JSON still, or never gets complete: it raises, or waits for what cannot come."""
    place %= len(text) + 1
    damaged = text[:place] + wrong + text[place:]
    try:
        expected = json.loads(damaged, parse_float=_finite)
    except ValueError:
        reader = PartialJson()
        try:
            reader.feed(damaged)
        except ValueError as error:
            assert "character" in str(error)
        assert not reader.complete
    else:
        assert expected == parse_partial(damaged)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("[", []),
        ("{", {}),
        ('{"a', {}),
        ('{"a"', {}),
        ('{"a": ', {}),
        ('{"a": "', {"a": ""}),
        ('{"a": "b', {"a": "b"}),
        ('{"a": 12', {}),
        ('{"a": 12 ', {"a": 12}),
        ('{"a": 12, "b": "he', {"a": 12, "b": "he"}),
        ('{"a": tru', {}),
        ('{"a": true', {"a": True}),
        ('{"a": [{"b": [1, "c', {"a": [{"b": [1, "c"]}]}),
        ("[-", []),
        ("[1.", []),
        ("[1.5e", []),
        ("[1.5e+3,", [1500.0]),
        ("[-0,0,-0.0]", [0, 0, -0.0]),
        ('"ab', "ab"),
        ('"ab\\', "ab"),
        ('"ab\\u00', "ab"),
        ('"ab\\u00e9', "abé"),
        ('"a\\ud83d', "a"),
        ('"a\\ud83d\\', "a"),
        ('"a\\ud83d\\ude0', "a"),
        ('"a\\ud83d\\ude00', "a\U0001f600"),
        ('"a\\ud83dx', "a\ud83dx"),
        ('"a\\ud83d\\n', "a\ud83d\n"),
        ('"\\ud83d\\ud83d\\ude00"', "\ud83d\U0001f600"),
        ('"\\ude00"', "\ude00"),
        ("12", 12),
        (" -1.5 ", -1.5),
        ("nul", MISSING),
        ("null", None),
        ("", MISSING),
        (" \n", MISSING),
        ("-", MISSING),
        ("1e", MISSING),
        ('{"a": 1, "a": "', {"a": ""}),
        ('{"a": 1, "a": 2', {"a": 1}),
        ('{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}),
        ('[\t{ \r\n"a" : [ ] , "b":{ } } ]', [{"a": [], "b": {}}]),
    ],
)
def test_prefixes(text: str, expected: Any) -> None:
    """Strings stand as far as they came; numbers, words and keys wait for their end."""
    assert expected == parse_partial(text)
    reader = PartialJson()
    for character in text:
        reader.feed(character)
        reader.value()
    assert expected == reader.value()


@pytest.mark.parametrize(
    "text, message",
    [
        ("x", "expected a value, got 'x' at character 0"),
        (" [,", "expected a value, got ',' at character 2"),
        ("[1,]", "expected a value, got ']' at character 3"),
        ("[1 2", "expected ',' or ']', got '2' at character 3"),
        ("[1}", "expected ',' or ']', got '}' at character 2"),
        ("[true]]", "expected nothing after the value, got ']' at character 6"),
        ("{} x", "expected nothing after the value, got 'x' at character 3"),
        ("12x", "expected nothing after the value, got 'x' at character 2"),
        ("{a", "expected a key in double quotes, got 'a' at character 1"),
        ('{"a":1,}', "expected a key in double quotes, got '}' at character 7"),
        ('{"a",', "expected ':', got ',' at character 4"),
        ('{"a":1]', "expected ',' or '}', got ']' at character 6"),
        ("[trve", "expected 'true', got 'v' at character 3"),
        ("[NaN", "expected a value, got 'N' at character 1"),
        ("[Infinity", "expected a value, got 'I' at character 1"),
        ("[-Infinity", "expected a digit, got 'I' at character 2"),
        ("[01", "expected no digit after a leading zero, got '1' at character 2"),
        ("[-01", "expected no digit after a leading zero, got '1' at character 3"),
        ("[-x", "expected a digit, got 'x' at character 2"),
        ("[1.,", "expected a digit, got ',' at character 3"),
        ("[1e+]", "expected a digit, got ']' at character 4"),
        ("[+1", "expected a value, got '+' at character 1"),
        ("[1.5I", "expected ',' or ']', got 'I' at character 4"),
        ('"a\tb"', "expected no control character in a string, got '\\t' at character 2"),
        ('"a\\x', "expected an escape: one of \"\\/bfnrtu, got 'x' at character 3"),
        ('"\\u12g', "expected a hexadecimal digit, got 'g' at character 5"),
        ('"\\ud83d\\u1 ', "expected a hexadecimal digit, got ' ' at character 10"),
        ("\ufeff1", "expected a value, got '\\ufeff' at character 0"),
        ("[\u0661", "expected a value, got '\u0661' at character 1"),
        ("[1\u0661", "expected ',' or ']', got '\u0661' at character 2"),
        ("'a'", 'expected a value, got "\'" at character 0'),
    ],
)
def test_what_cannot_become_json_is_refused_at_once(text: str, message: str) -> None:
    """The error says what was expected, what came and where, the same for every split of the text."""
    for pieces in ([text], list(text)):
        reader = PartialJson()
        with pytest.raises(ValueError) as caught:
            for piece in pieces:
                reader.feed(piece)
        assert f"Invalid JSON: {message}." == str(caught.value)
        assert not reader.complete


def test_after_an_error_the_value_stays_and_the_error_too() -> None:
    """What was read before a mistake is kept, and nothing is read behind it."""
    reader = PartialJson()
    reader.feed('{"a": "b", "c": [1, ')
    for _ in range(2):
        with pytest.raises(ValueError, match="got '}' at character 20"):
            reader.feed("}")
    assert {"a": "b", "c": [1]} == reader.value()


def test_depth_is_limited() -> None:
    """200 levels are read, the next is refused; no level uses the interpreter's stack."""
    text = "[" * MAX_DEPTH
    assert json.loads(text + "]" * MAX_DEPTH) == parse_partial(text)
    with pytest.raises(ValueError, match=r"deeper than 200 arrays and objects at character 200\."):
        parse_partial(text + "{")


def test_numbers_are_limited() -> None:
    """A number of 4,300 characters is read as it is; a longer one is refused wherever it is cut."""
    long = "9" * MAX_NUMBER
    assert [int(long)] == parse_partial(f"[{long}]")
    reader = PartialJson()
    reader.feed(long)
    assert int(long) == reader.value()
    with pytest.raises(ValueError, match="more than 4300 characters at character 4301"):
        reader.feed("0")
    assert reader.value() is MISSING
    assert not reader.complete
    with pytest.raises(ValueError, match="more than 4300 characters"):
        parse_partial("[0." + long)


def test_numbers_too_large_for_a_float_are_refused() -> None:
    """What Python would round to infinity is an error, as it is when the whole is read."""
    with pytest.raises(ValueError, match="too large for a float ends at character 6"):
        parse_partial("[1e999,")
    reader = PartialJson()
    reader.feed("-1e9")
    assert -1e9 == reader.value()
    with pytest.raises(ValueError, match="too large for a float"):
        reader.feed("99")
    assert reader.value() is MISSING
    assert [10**400] == parse_partial(f"[{10**400},")


def test_a_number_at_the_top_may_go_on() -> None:
    """A number with nothing around it is there as soon as it is one, and is another when more comes."""
    reader = PartialJson()
    seen = []
    for piece in ("1", "2", ".", "5", "e", "1", " "):
        reader.feed(piece)
        seen.append((reader.value(), reader.complete))
    values = [1, 12, MISSING, 12.5, MISSING, 125.0, 125.0]
    assert [(value, value is not MISSING) for value in values] == seen


def test_the_value_is_live() -> None:
    """Arrays and objects are the same ones each time and go on growing; a copy stays as it was."""
    reader = PartialJson()
    reader.feed('{"a": ["b')
    value = reader.value()
    kept = copy.deepcopy(value)
    reader.feed('c", "d')
    assert reader.value() is value
    assert {"a": ["bc", "d"]} == value
    assert {"a": ["b"]} == kept


def test_an_empty_piece_changes_nothing() -> None:
    """A piece without characters may come at any time."""
    reader = PartialJson()
    for piece in ("", "[", "", '"\\', "", 'n"', "", "]", ""):
        reader.feed(piece)
    assert ["\n"] == reader.value()
    assert reader.complete


@pytest.mark.parametrize(
    "start, unit",
    [
        ('["', "abcd"),
        ('["', '", "'),
        ("[", "12, "),
        ("[", "1.5e3,"),
        ('{"', '": {"a": 1}, "'),
        ("[", "[], "),
        ('"', "\\ud83d\\ude00\\n"),
        ("", " \n"),
        ("[", "true,"),
    ],
)
@pytest.mark.parametrize("by_character", [False, True])
def test_reading_and_looking_is_linear(start: str, unit: str, by_character: bool) -> None:
    """Twice the pieces with a look after each take twice the steps: nothing is read or built again."""
    pieces = list(unit) if by_character else [unit]
    assert _steps([start, *pieces * 120]) < 2.2 * _steps([start, *pieces * 60])


def _steps(pieces: list[str]) -> int:
    """How many lines of Python run while the pieces are read and looked at."""
    steps = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal steps
        steps += 1
        return trace

    reader = PartialJson()
    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]  # typeshed wants its own recursive type
    try:
        for piece in pieces:
            reader.feed(piece)
            reader.value()
    finally:
        sys.settrace(before)
    return steps


def test_missing_is_one_object() -> None:
    """The sentinel is false, says its name, and stays itself through copies and pickles."""
    assert "MISSING" == repr(MISSING)
    assert not MISSING
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING is copy.deepcopy(MISSING)
