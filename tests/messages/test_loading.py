"""What later versions stored, and what is no history at all."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncagent.messages import (
    BinaryContent,
    CachePoint,
    ImageUrl,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.usage import Usage
from tests.json_places import changed, places

dump = ModelMessagesTypeAdapter.dump_json
load = ModelMessagesTypeAdapter.validate_json


# --- what later versions stored --------------------------------------------------------------------

LATER = """
[{"parts": [
   {"content": "sys", "timestamp": "2025-09-01T10:00:00Z", "dynamic_ref": null, "part_kind": "system-prompt"},
   {"content": ["look", {"url": "http://x/a.png", "force_download": false, "vendor_metadata": null,
                         "kind": "image-url", "media_type": "image/png", "identifier": "abc123"},
                {"data": "__4=", "media_type": "image/png", "vendor_metadata": null, "kind": "binary",
                 "identifier": "d"}],
    "timestamp": "2025-09-01T10:00:00.1Z", "part_kind": "user-prompt"},
   {"tool_name": "t", "content": [1], "tool_call_id": "c1", "metadata": null, "timestamp": "2025-09-01T10:00:00Z",
    "outcome": "success", "part_kind": "tool-return"},
   {"content": "no", "tool_name": null, "tool_call_id": "c2", "timestamp": "2025-09-01T10:00:00Z",
    "part_kind": "retry-feedback"}],
  "instructions": "Be brief.", "timestamp": "2025-09-01T10:00:00Z", "run_id": "r", "metadata": null, "kind": "request"},
 {"parts": [
   {"content": "hm", "id": null, "signature": "s", "provider_name": "anthropic", "provider_details": null,
    "part_kind": "thinking"},
   {"content": "hello", "id": null, "provider_details": null, "part_kind": "text"},
   {"tool_name": "t", "args": null, "tool_call_id": "c3", "id": null, "part_kind": "tool-call"},
   {"tool_name": "web_search", "args": {"q": "x"}, "tool_call_id": "c4", "part_kind": "builtin-tool-call"}],
  "usage": {"input_tokens": 10, "cache_write_tokens": 0, "cache_read_tokens": 4, "output_tokens": 5,
            "input_audio_tokens": 0, "details": {"reasoning_tokens": 2}},
  "model_name": "m", "timestamp": "2025-09-01T10:00:01Z", "kind": "response", "provider_name": "anthropic",
  "provider_url": "https://x", "provider_details": {"finish_reason": "end_turn"}, "provider_response_id": "r1",
  "finish_reason": "stop", "run_id": "r", "state": "complete"}]
"""


def test_later_versions_histories_load() -> None:
    """Histories of later versions load: unknown keys are left out, newer names and null arguments are understood."""
    request, response = load(LATER)
    assert isinstance(request, ModelRequest) and isinstance(response, ModelResponse)
    moment = dt.datetime(2025, 9, 1, 10, tzinfo=dt.timezone.utc)
    assert request.parts == [
        SystemPromptPart("sys"),
        UserPromptPart(
            ["look", ImageUrl("http://x/a.png"), BinaryContent(b"\xff\xfe", "image/png")],
            moment.replace(microsecond=100_000),
        ),
        ToolReturnPart("t", [1], "c1", moment),
        RetryPromptPart("no", None, "c2", moment),
    ]
    search = {"tool_name": "web_search", "args": {"q": "x"}, "tool_call_id": "c4", "part_kind": "builtin-tool-call"}
    assert response.parts == [
        ThinkingPart("hm", None, "s", "anthropic"),
        TextPart("hello"),
        ToolCallPart("t", {}, "c3"),
        OpaquePart(None, search),
    ]
    assert response.usage == Usage(0, 10, 5, 15, {"cached_tokens": 4, "reasoning_tokens": 2})
    assert (response.finish_reason, response.provider_response_id) == ("stop", "r1")
    assert load(dump([request, response])) == [request, response]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"requests": 1, "request_tokens": 2, "response_tokens": 3, "total_tokens": None}, Usage(1, 2, 3)),
        ({"input_tokens": 3}, Usage(0, 3, None, 3)),
        ({"input_tokens": None, "output_tokens": 4, "details": {}}, Usage(0, None, 4, 4, {})),
        ({"output_tokens": 4, "total_tokens": 9, "cache_read_tokens": 0}, Usage(0, None, 4, 9)),
        ({"cost": 0.1, "tool_calls": 2}, Usage()),
    ],
)
def test_usages(usage: Any, expected: Usage) -> None:
    """Token counts load by either name; a total is made where later versions store none."""
    (response,) = load(json.dumps([{"kind": "response", "parts": [], "usage": usage}]))
    assert response.usage == expected  # type: ignore[union-attr] # a response


def test_cost_and_calls_of_a_usage() -> None:
    """A cost is exact, as text or as a number."""
    for cost in (0.1, "0.1"):
        (response,) = load(json.dumps([{"kind": "response", "parts": [], "usage": {"cost": cost, "tool_calls": 2}}]))
        assert response.usage.cost == Decimal("0.1")  # type: ignore[union-attr] # a response
        assert response.usage.tool_calls == 2  # type: ignore[union-attr] # the same


def test_unknown_finish_reason() -> None:
    """A finish reason that is none of ours loads as None."""
    (response,) = load('[{"kind":"response","parts":[],"finish_reason":"tired"}]')
    assert response.finish_reason is None  # type: ignore[union-attr] # a response


# --- what does not load ----------------------------------------------------------------------------


def _request(*parts: Any) -> list[Any]:
    return [{"kind": "request", "parts": list(parts)}]


def _response(*parts: Any, **fields: Any) -> list[Any]:
    return [{"kind": "response", "parts": list(parts), **fields}]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (_request({"part_kind": "video"}), "messages[0].parts[0]: unknown part_kind 'video' in a request; expected"),
        (_request({"part_kind": "text", "content": "x"}), "parts[0]: unknown part_kind 'text' in a request"),
        (_request({"part_kind": "user-prompt", "content": ["a", {"kind": "smell-url", "url": "x"}]}),
         "messages[0].parts[0].content[1]: unknown kind 'smell-url' of user content"),
        (_request({"part_kind": "user-prompt", "content": [3]}),
         "messages[0].parts[0].content[0]: user content is an object with 'kind'; got int"),
        (_request({"part_kind": "user-prompt", "content": {"a": 1}}), "parts[0].content: expected a list, got dict"),
        (_request({"part_kind": "user-prompt", "content": [{"kind": "binary", "data": "a", "media_type": "x/y"}]}),
         "messages[0].parts[0].content[0].data: expected base64"),
        (_request({"part_kind": "tool-return"}), "messages[0].parts[0].tool_name: required field missing"),
        (_request({"part_kind": "retry-prompt", "content": [{"loc": "x"}]}), "content[0]: 'loc' is a list, got str"),
        (_request({"part_kind": "retry-prompt", "content": ["x"]}), "content[0]: expected an object, got str"),
        (_request("text"), "messages[0].parts[0]: a part is an object with 'part_kind'; got str"),
        (_response({"content": "x"}), "messages[0].parts[0]: a part has no 'part_kind'"),
        (_response({"part_kind": "text", "content": 3}), "messages[0].parts[0].content: expected text, got int"),
        (_response({"part_kind": "tool-call", "tool_name": "t", "args": [1]}), "args: expected an object, got list"),
        (_response({"part_kind": "opaque", "provider_name": None, "data": 1}), "data: expected an object, got int"),
        (_response(timestamp="soon"), "messages[0].timestamp: expected an ISO 8601 time, got text that is none"),
        (_response(timestamp=5), "messages[0].timestamp: expected text, got int"),
        (_response(usage=5), "messages[0].usage: expected an object, got int"),
        (_response(usage={"requests": True}), "messages[0].usage.requests: expected a whole number, got bool"),
        (_response(usage={"input_tokens": "3"}), "messages[0].usage: expected a whole number, got str"),
        (_response(usage={"cost": "nan"}), "usage.cost: expected a decimal number, got text that is none"),
        (_response(usage={"cost": [1]}), "usage.cost: expected a decimal number, got list"),
        (_response(usage={"cost": True}), "usage.cost: expected a decimal number, got bool"),
        (_response(provider_details=[1]), "provider_details: expected an object, got list"),
        ([{"kind": "message"}], "messages[0]: unknown kind of message 'message'; expected 'request' or 'response'"),
        ([{"parts": []}], "messages[0]: a message has no 'kind'"),
        ([{"kind": "request"}], "messages[0].parts: required field missing"),
        ([*_response(), 7], "messages[1]: a message is an object with 'kind'; got int"),
        ({"kind": "request"}, "A history is a list of messages; got dict."),
        (None, "A history is a list of messages; got NoneType."),
    ],
)  # fmt: skip
def test_refused(data: Any, text: str) -> None:
    """What is no history is a ValueError that says what was expected, what came, and the path to it."""
    with pytest.raises(ValueError) as raised:
        load(json.dumps(data))
    assert text in str(raised.value)


@pytest.mark.parametrize("data", ["", "[", b"\xff", "[" * 100_000])
def test_not_json(data: Any) -> None:
    """What is not JSON is a ValueError that says so."""
    with pytest.raises(ValueError, match=r"^The history is not JSON: "):
        load(data)


def test_every_problem_of_a_message_is_named() -> None:
    """All problems of one message are named, each with its path; beyond ten their number."""
    bad = {"part_kind": "text", "content": 1}
    with pytest.raises(ValueError) as raised:
        load(json.dumps(_response(bad, {"part_kind": "text", "content": "fine"}, bad, timestamp="x")))
    assert str(raised.value) == (
        "The history cannot be loaded: messages[0].parts[0].content: expected text, got int; "
        "messages[0].parts[2].content: expected text, got int; "
        "messages[0].timestamp: expected an ISO 8601 time, got text that is none"
    )
    with pytest.raises(ValueError, match=r"parts\[9\]\.content: expected text, got int; and 5 more$"):
        load(json.dumps(_response(*[bad] * 15)))


# A high surrogate before a low one is a pair to every JSON reader.
_TEXT = st.text(st.characters(exclude_categories=()), max_size=8).filter(
    lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") == text
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(_TEXT | st.sampled_from(["kind", "part_kind", "__type__", "lc", "data"]), inner, max_size=3),
    max_leaves=8,
)
_ANYTHING = st.recursive(
    _JSON,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "kind": st.sampled_from(["request", "response", "binary", "image-url"]) | inner,
            "part_kind": st.sampled_from(["user-prompt", "tool-return", "retry-prompt", "text", "tool-call"]) | inner,
            "parts": st.lists(inner, max_size=3) | inner,
            **dict.fromkeys(("content", "args", "data", "timestamp", "usage", "url", "tool_name"), inner),
        },
    )
    | st.lists(inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(_ANYTHING, max_size=3))
def test_any_json_loads_or_is_refused(data: Any) -> None:
    """Any JSON either loads, and then dumps and loads again as the same, or is a ValueError; nothing else happens."""
    try:
        messages = load(json.dumps(data))
    except ValueError as error:
        assert "messages[" in str(error)
    else:
        assert load(dump(messages)) == messages


WORDS = "My doctor said: Ä."
EVERYTHING = [
    ModelRequest(
        [
            SystemPromptPart("s"),
            UserPromptPart(["a", ImageUrl("u"), BinaryContent(b"x", "image/png"), CachePoint()]),
            ToolReturnPart("t", {"a": 1}, "1", metadata=1),
            RetryPromptPart([{"type": "t", "loc": ("a",), "msg": "m", "input": 1}], "t", "1"),
        ]
    ),
    ModelResponse(
        [
            TextPart("a"),
            ThinkingPart("a", "i", "s", "p"),
            ToolCallPart("t", {"a": 1}, "1"),
            OpaquePart("p", {"a": 1}),
        ],
        "m",
        usage=Usage(1, 2, 3, 4, {"a": 1}, tool_calls=3, cost=Decimal(1)),
        finish_reason="stop",
        provider_details={"a": 1},
    ),
]


def test_nothing_of_it_is_quoted() -> None:
    """Words in any place of a history where something else is expected are in no error."""
    stored = json.loads(dump(EVERYTHING))
    refused = 0
    for new in (WORDS, [WORDS], {WORDS: WORDS}, {"kind": WORDS}, {"part_kind": WORDS}):
        for wrong in (new, *(changed(stored, place, new) for place in places(stored))):
            try:
                load(json.dumps(wrong))
            except ValueError as error:
                refused += 1
                assert WORDS not in f"{error!r}{error.__cause__!r}"
    assert refused > 100


@pytest.mark.parametrize(
    ("kind", "shown"), [("later-kind", "'later-kind'"), ("a" * 81, "(no name of one)"), ("A b", "(no name of one)")]
)
def test_kinds_that_are_unknown(kind: str, shown: str) -> None:
    """An unknown kind is named where it looks like one."""
    with pytest.raises(ValueError) as raised:
        load(json.dumps([{"kind": kind}]))
    assert f"messages[0]: unknown kind of message {shown}; expected" in str(raised.value)
