"""Bodies as JSON: strict, from bytes, and one typed error for whatever is none."""

from __future__ import annotations

import pickle
import re
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.exceptions import ModelResponseError
from syncagent.transport import HttpResponse
from syncagent.transport.answers import excerpt, may_be_shown, parse_json, redact, redact_json, request_id, secrets_of

KEY = "sk-canary-0123456789abcdef"


def answer(body: bytes, kind: Optional[str] = "application/json") -> HttpResponse:
    headers = {"x-request-id": "r"} if kind is None else {"content-type": kind, "x-request-id": "r"}
    auth = {"Authorization": f"Bearer {KEY}"}
    return HttpResponse(200, headers, body, attempts=2, elapsed=1.5, model_name="m", auth=auth)


@pytest.mark.parametrize("kind", [None, "application/json; charset=latin-1", "application/problem+JSON", "text/plain"])
def test_types_that_are_json(kind: Optional[str]) -> None:
    """JSON is read as UTF-8 whatever charset the header claims; a mark before it is skipped."""
    assert answer('\ufeff{"a": "é"}'.encode(), kind).json() == {"a": "é"}


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"<html>", "text/html; charset=utf-8", "unexpected content type text/html"),
        (b"{}", "text/event-stream", "unexpected content type text/event-stream"),
        (b"", "application/json", "an empty body"),
        (b" \n", None, "an empty body"),
        (b'{"a": ', "application/json", "something else"),
        (b"{} {}", "application/json", "something else"),
        (b'{"a": NaN}', "application/json", "NaN is not JSON"),
        (b"-Infinity", "application/json", "-Infinity is not JSON"),
        (b'"\xff"', "application/json", "bytes that are not UTF-8 (at 1)"),
        (b"[" * 100_000, "application/json", "nested too deep"),
        (b"[" + b"1" * 5000 + b"]", "application/json", "something else"),
    ],
)
def test_what_is_no_json(body: bytes, kind: Optional[str], words: str) -> None:
    """HTML, nothing, cut, doubled, deep and endless are one error that says which and shows 200 characters."""
    with pytest.raises(ModelResponseError) as caught:
        answer(body, kind).json()
    error = pickle.loads(pickle.dumps(caught.value))
    assert words in str(error)
    assert len(str(error)) < 500
    assert (error.request_id, error.attempts, error.elapsed, error.retryable) == ("r", 2, 1.5, False)
    assert error.model_name == "m"


def test_excerpts_hide_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The excerpt holds no key, also where the cut would part it, and nothing where content must not be logged."""
    with pytest.raises(ModelResponseError) as caught:
        answer(b"x" * 190 + KEY.encode(), "text/html").json()
    assert "x" * 190 in str(caught.value)
    assert "canary" not in str(caught.value) and "sk-" not in str(caught.value)
    monkeypatch.setenv("SYNCAGENT_LOG_CONTENT", "0")
    with pytest.raises(ModelResponseError, match="left out"):
        answer(b"secret", "text/html").json()


def test_secrets() -> None:
    """Header values and what follows their scheme are secrets; short placeholders are not."""
    auth = {"Authorization": f"Bearer {KEY}", "x-api-key": "none"}
    assert secrets_of(auth) == (f"Bearer {KEY}", KEY)
    assert redact(f"{KEY} none Bearer {KEY}", auth) == "*** none ***"


ODD_KEY = "sk/canary+0123456789&abc=="


@pytest.mark.parametrize(
    "written",
    [
        ODD_KEY.replace("/", "\\/"),
        ODD_KEY.replace("+", "\\u002B").replace("=", "\\u003d"),
        "".join(f"\\u{ord(char):04x}" for char in ODD_KEY),
        "".join(f"&#{ord(char)};" for char in ODD_KEY),
        ODD_KEY.replace("&", "&amp;").replace("/", "&#x2F;"),
        ODD_KEY.replace("/", "%2F").replace("+", "%2B").replace("=", "%3D"),
        ODD_KEY.replace("/", "\\\\\\/"),
    ],
)
def test_a_key_in_the_escapes_of_others(written: str) -> None:
    """Whatever library wrote the error: as JSON, HTML or a URL, and JSON within JSON."""
    auth = {"Authorization": f"Bearer {ODD_KEY}"}
    assert redact(f"The key {written} is wrong", auth) == "The key *** is wrong"
    assert redact_json({"a": [f"x {written}"], written: 1}, auth) == {"a": ["x ***"], "***": 1}


def test_escapes_of_what_is_no_key_are_left() -> None:
    """A text comes back as it was where it holds no key."""
    text = "C:\\new \\u0041 &amp; 100 % %41"
    assert redact(text, {"Authorization": f"Bearer {ODD_KEY}"}) == text


PROMPTS = [
    "my secret is the CANARY of mine",
    'pin:"CANARY"\nname:"Joe Bloggs"\n',
    "a\tCANARY\tb\\c",
    "it's <b>the CANARY text</b> & so on",
    "\u043c\u043e\u0439 \u0441\u0435\u043a\u0440\u0435\u0442 CANARY",
    "CANARY",
]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("pad", [0, 1_500_000])
@pytest.mark.parametrize("way", ["plain", "ascii", "html", "blanks", "case"])
def test_words_that_repeat_what_was_asked(prompt: str, pad: int, way: str) -> None:
    """Anywhere in the request, in whatever escapes, case and white space they come back."""
    import html
    import json

    asked = json.dumps({"messages": [{"content": "pad " * (pad // 4)}, {"content": prompt}]}, ensure_ascii=False)
    said = {
        "plain": prompt,
        "ascii": json.dumps(prompt),
        "html": html.escape(prompt),
        "blanks": prompt.replace(" ", "\n  "),
        "case": re.sub("[a-z]+", lambda found: found.group().upper(), prompt),
    }[way]
    assert not may_be_shown(f"You asked: {said}. That is too much", asked.encode())


def test_words_that_repeat_nothing() -> None:
    """A provider's own words are shown, also about a setting of the request."""
    asked = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is my order 4711?"}], "top_p": 2}'
    assert may_be_shown("Invalid value for 'top_p': expected a number up to 1, got 2. The model is gpt-4o", asked)
    assert may_be_shown("", asked) and may_be_shown("anything", None) and may_be_shown("anything", b"")
    assert not may_be_shown("anything", b" " * 5_000_000)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (b'{"content": "' + b"a" * 1_000_000 + b'"}', ("a" * 15 + "b") * 5000),
        (b'{"content": "' + b"\\n" * 1_000_000 + b'"}', "x y z " * 20_000),
        (b'{"content": "' + b"\\\\" * 1_000_000, "x y z " * 20_000),
    ],
)
def test_looking_for_repetition_is_cheap(asked: bytes, text: str) -> None:
    """Words and requests that were made to be slow to compare take the interpreter a few thousand steps."""
    import sys

    steps = [0]

    def count(*_: object) -> object:
        steps[0] += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)  # type: ignore[arg-type] # takes what a trace function takes
    try:
        may_be_shown(text, asked)
    finally:
        sys.settrace(before)
    assert steps[0] < 20_000


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"choices":[{"delta":{"content":"CANARY"}}]}\n\n',
        b'\xef\xbb\xbf{"choices":[{"message":{"content":"CANARY"}}]',
        b')]}\'\n{"choices":[{"message":{"content":"CANARY"}}]}',
        b'NaN {"x":"CANARY"}',
        b"{'choices':[{'message':{'content':'CANARY'}}]}",
        b'{"content": "CANARY \xe9"}',
        '{"content": "CANARY"}'.encode("utf-16"),
        b'{"content": "CANARY',
    ],
)
def test_excerpts_hold_no_answer(body: bytes) -> None:
    """Texts of what looks like an answer, however broken it is, stand in no error."""
    shown = excerpt(body, {})
    assert "CANARY" not in shown and "C\\x00A" not in shown


def test_request_ids() -> None:
    """The first header that names one counts, and its length is bounded."""
    assert request_id({}, {}) is None
    assert request_id({"request-id": "", "cf-ray": "c"}, {}) == "c"
    assert request_id({"x-request-id": "r" * 1000}, {}) == "r" * 200
    assert request_id({"x-request-id": "r" * 190 + KEY}, {"Authorization": f"Bearer {KEY}"}) == "r" * 190 + "***"
    assert request_id({"x-request-id": f"r-{KEY}"}, {"Authorization": f"Bearer {KEY}"}) == "r-***"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_comes_back(value: object) -> None:
    """Whatever JSON a server writes is read as it was."""
    import json

    assert parse_json(json.dumps(value).encode()) == value
    if "\\ud" not in json.dumps(value):
        assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_one_error(body: bytes) -> None:
    """No body makes another exception than ``ModelResponseError``."""
    try:
        answer(body).json()
    except ModelResponseError as error:
        assert error.retryable is False
