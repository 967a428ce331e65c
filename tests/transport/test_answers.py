"""Bodies as JSON: strict, from bytes, and one typed error for whatever is none."""

from __future__ import annotations

import pickle
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.exceptions import ModelResponseError
from syncagent.transport import HttpResponse
from syncagent.transport.answers import parse_json, redact, request_id, secrets_of

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


def test_request_ids() -> None:
    """The first header that names one counts, and its length is bounded."""
    assert request_id({}, {}) is None
    assert request_id({"request-id": "", "cf-ray": "c"}, {}) == "c"
    assert request_id({"x-request-id": "r" * 1000}, {}) == "r" * 200
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
