"""Histories to JSON and back: the shape to the letter, whatever is in them, and what later versions stored."""

from __future__ import annotations

import copy
import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncagent.messages import (
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
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

MOMENT = dt.datetime(2025, 3, 15, 12, 0, 0, 123456, tzinfo=dt.timezone.utc)
WHOLE = MOMENT.replace(microsecond=0)
IMAGE = BinaryContent(b"\xff\xfe~?>ab", "image/png")

dump = ModelMessagesTypeAdapter.dump_json
load = ModelMessagesTypeAdapter.validate_json


def _round_trip(messages: list[ModelMessage]) -> list[ModelMessage]:
    return load(dump(messages))


def _content(content: Any) -> Any:
    """What a tool's content is after a round trip."""
    (request,) = _round_trip([ModelRequest([ToolReturnPart("t", content)])])
    return request.parts[0].content  # type: ignore[union-attr] # a tool's return


# --- to the letter ---------------------------------------------------------------------------------

HISTORY: list[ModelMessage] = [
    ModelRequest(
        [
            SystemPromptPart("sys"),
            UserPromptPart("hi", MOMENT),
            UserPromptPart(["a", ImageUrl("http://x/a.png"), IMAGE], WHOLE),
            ToolReturnPart("t", {"a": 1, "d": dt.date(2020, 1, 1)}, "id1", WHOLE),
            RetryPromptPart("bad", timestamp=WHOLE),
            RetryPromptPart([{"type": "int_parsing", "loc": ("x", 0), "msg": "m", "input": "z"}], "t", "id", WHOLE),
        ]
    ),
    ModelResponse([TextPart("é"), ToolCallPart("t", '{"a":1}', "id"), ToolCallPart("t", {"a": 1})], "m", WHOLE),
]
T = "2025-03-15T12:00:00Z"
JSON = (
    '[{"parts":[{"content":"sys","dynamic_ref":null,"part_kind":"system-prompt"},'
    '{"content":"hi","timestamp":"2025-03-15T12:00:00.123456Z","part_kind":"user-prompt"},'
    '{"content":["a",{"url":"http://x/a.png","kind":"image-url"},'
    '{"data":"__5-Pz5hYg==","media_type":"image/png","kind":"binary"}],'
    f'"timestamp":"{T}","part_kind":"user-prompt"}},'
    '{"tool_name":"t","content":{"a":1,"d":"2020-01-01"},"tool_call_id":"id1",'
    f'"timestamp":"{T}","part_kind":"tool-return"}},'
    f'{{"content":"bad","tool_name":null,"tool_call_id":null,"timestamp":"{T}","part_kind":"retry-prompt"}},'
    '{"content":[{"type":"int_parsing","loc":["x",0],"msg":"m","input":"z"}],"tool_name":"t","tool_call_id":"id",'
    f'"timestamp":"{T}","part_kind":"retry-prompt"}}],"kind":"request"}},'
    '{"parts":[{"content":"é","part_kind":"text"},'
    '{"tool_name":"t","args":"{\\"a\\":1}","tool_call_id":"id","part_kind":"tool-call"},'
    '{"tool_name":"t","args":{"a":1},"tool_call_id":null,"part_kind":"tool-call"}],'
    f'"model_name":"m","timestamp":"{T}","kind":"response"}}]'
)


def test_dumped_to_the_letter() -> None:
    """Keys, their order, nulls, times and base64 are the reference's; JSON is compact and keeps non-ASCII."""
    assert dump(HISTORY).decode() == JSON
    assert load(dump([])) == []


def test_loaded_again() -> None:
    """What was dumped loads as it was; only Python's types inside a tool's content become JSON's."""
    messages = load(JSON)
    expected = copy.deepcopy(HISTORY[0])
    expected.parts[3].content = {"a": 1, "d": "2020-01-01"}  # type: ignore[union-attr] # a tool's return
    assert messages == [expected, HISTORY[1]]
    assert load(JSON.encode()) == messages
    assert messages[0].parts[5].content[0]["loc"] == ("x", 0)  # type: ignore[union-attr, index, call-overload] # a retry


def test_added_keys_are_written_where_they_are_set() -> None:
    """What came after the reference is written only where it is set, after the reference's keys."""
    response = ModelResponse(
        [ThinkingPart("hm"), ThinkingPart("", "id", "sig", "p"), OpaquePart("p", {"x": [1]})],
        timestamp=WHOLE,
        usage=Usage(1, 2, 3, 5, {"cached_tokens": 1}, cost=Decimal("0.10")),
        finish_reason="stop",
        provider_name="p",
        provider_response_id="r",
        provider_details={"finish_reason": "end"},
    )
    request = ModelRequest([ToolReturnPart("t", None, "id", WHOLE, metadata={"k": WHOLE})])
    assert json.loads(dump([request, response])) == [
        {
            "parts": [
                {
                    "tool_name": "t",
                    "content": None,
                    "tool_call_id": "id",
                    "timestamp": T,
                    "part_kind": "tool-return",
                    "metadata": {"k": T},
                }
            ],
            "kind": "request",
        },
        {
            "parts": [
                {"content": "hm", "part_kind": "thinking"},
                {"content": "", "id": "id", "signature": "sig", "provider_name": "p", "part_kind": "thinking"},
                {"provider_name": "p", "data": {"x": [1]}, "part_kind": "opaque"},
            ],
            "model_name": None,
            "timestamp": T,
            "kind": "response",
            "usage": {
                "requests": 1,
                "request_tokens": 2,
                "response_tokens": 3,
                "total_tokens": 5,
                "details": {"cached_tokens": 1},
                "cost": "0.10",
            },
            "finish_reason": "stop",
            "provider_name": "p",
            "provider_response_id": "r",
            "provider_details": {"finish_reason": "end"},
        },
    ]
    (loaded,) = _round_trip([response])
    for field in attrs.fields(ModelResponse):  # equality leaves half of them out
        assert getattr(loaded, field.name) == getattr(response, field.name)
    assert loaded.usage.cost == Decimal("0.10")  # type: ignore[union-attr] # a response


def test_bytes_anywhere_are_url_safe_base64() -> None:
    """Bytes in a tool's content are URL-safe base64 with padding, however deep; media keep their kind there."""
    assert _content([b"\xff\xfe", {"k": b"a"}]) == ["__4=", {"k": "YQ=="}]
    binary = {"data": "__5-Pz5hYg==", "media_type": "image/png", "kind": "binary"}
    assert _content(IMAGE) == _content([IMAGE, dt.date(2020, 1, 1), uuid.UUID(int=1)])[0] == binary
    assert _content([IMAGE, dt.date(2020, 1, 1)])[1] == "2020-01-01"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (dt.datetime(2025, 1, 2, 3, 4, 5), "2025-01-02T03:04:05Z"),
        (dt.datetime(2025, 1, 2, 3, 4, 5, 60, dt.timezone(dt.timedelta(hours=2))), "2025-01-02T01:04:05.000060Z"),
    ],
)
def test_times_are_dumped_in_utc(moment: dt.datetime, text: str) -> None:
    """Times with an offset are dumped in UTC; those without one are taken for it."""
    assert json.loads(dump([ModelResponse([], timestamp=moment)]))[0]["timestamp"] == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-03-15T12:00:00Z", WHOLE),
        ("2025-03-15t12:00:00z", WHOLE),
        ("2025-03-15T12:00:00", WHOLE),
        ("2025-03-15T14:00:00+02:00", WHOLE),
        ("2025-03-15T12:00:00.5Z", WHOLE.replace(microsecond=500_000)),
        ("2025-03-15T12:00:00.123456789+00:00", MOMENT),
    ],
)
def test_times_are_read_in_any_iso_form(text: str, moment: dt.datetime) -> None:
    """Any number of digits of a second, ``Z`` or an offset or none: on every Python."""
    (message,) = load(json.dumps([{"kind": "response", "parts": [], "timestamp": text}]))
    assert message.timestamp == moment  # type: ignore[union-attr] # a response


# --- Python's side ---------------------------------------------------------------------------------


def test_dump_python() -> None:
    """``dump_python`` gives dicts with Python's times and bytes, or with ``mode="json"`` JSON's types alone."""
    dumped = ModelMessagesTypeAdapter.dump_python(HISTORY)
    assert dumped[0]["parts"][1] == {"content": "hi", "timestamp": MOMENT, "part_kind": "user-prompt"}
    assert dumped[0]["parts"][2]["content"][2]["data"] == IMAGE.data
    assert ModelMessagesTypeAdapter.validate_python(dumped) == HISTORY
    as_json = ModelMessagesTypeAdapter.dump_python(HISTORY, mode="json")
    assert as_json == json.loads(JSON)
    assert ModelMessagesTypeAdapter.validate_python(as_json) == load(JSON)


def test_messages_among_dicts_stay_as_they_are() -> None:
    """``validate_python`` takes messages, parts, media and usages for what they are, beside dicts."""
    part, call, usage = UserPromptPart("x"), ToolCallPart("t", {}), Usage(1)
    data: Any = (
        HISTORY[0],
        {"kind": "request", "parts": (part, {"part_kind": "user-prompt", "content": [IMAGE]})},
        {"kind": "response", "parts": [call], "usage": usage},
    )
    first, second, third = ModelMessagesTypeAdapter.validate_python(data)
    assert first is HISTORY[0]
    assert second.parts[0] is part
    assert second.parts[1].content == [IMAGE]  # type: ignore[union-attr] # a user's
    assert third.parts[0] is call
    assert third.usage is usage  # type: ignore[union-attr] # a response


# --- whatever is in it -----------------------------------------------------------------------------


def test_marker_keys_are_only_data() -> None:
    """Dicts that look like messages, parts or another library's objects stay dicts."""
    odd = {
        "kind": "binary",
        "part_kind": "text",
        "__type__": "os.system",
        "lc": 1,
        "py/object": "x",
        "data": "__5-",
        "$ref": "#",
        "nested": [{"kind": "image-url", "url": "http://x"}],
    }
    messages: list[ModelMessage] = [
        ModelRequest([ToolReturnPart("t", odd, metadata=[odd])]),
        ModelRequest([ToolReturnPart("t", [odd, "x"])]),
        ModelResponse([ToolCallPart("t", dict(odd)), OpaquePart("p", odd)], provider_details=odd),
    ]
    assert _round_trip(messages) == messages
    assert _round_trip(messages)[0].parts[0].metadata == [odd]  # type: ignore[union-attr] # a tool's return
    assert _round_trip(messages)[2].provider_details == odd  # type: ignore[union-attr] # a response


@pytest.mark.parametrize("text", ["\ud800", "a\udfff\ud800b", "\x00", "é\x00\ud83d", "😀", "\u2028", '"\\'])
def test_every_text_survives(text: str) -> None:
    """Lone surrogates, NUL and everything else come back; the JSON is valid UTF-8."""
    messages: list[ModelMessage] = [
        ModelRequest([UserPromptPart(text), ToolReturnPart("t", {text: [text]})]),
        ModelResponse([TextPart(text), ToolCallPart("t", text)]),
    ]
    dump(messages).decode("utf-8", "strict")
    assert _round_trip(messages) == messages


def test_ten_thousand_messages() -> None:
    """A long history comes back whole."""
    messages: list[ModelMessage] = []
    for number in range(5_000):
        messages.append(ModelRequest([UserPromptPart(f"question {number}", WHOLE)]))
        messages.append(ModelResponse([ToolCallPart("t", {"n": number}, f"id{number}")], "m", WHOLE))
    assert _round_trip(messages) == messages


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
_OBJECT = st.dictionaries(_TEXT, _JSON, max_size=3)
_NAME = st.none() | _TEXT
_TIME = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.just(dt.timezone.utc))
_CONTENT = st.one_of(
    _TEXT,
    st.builds(ImageUrl, _TEXT),
    st.builds(AudioUrl, _TEXT),
    st.builds(DocumentUrl, _TEXT),
    st.builds(BinaryContent, st.binary(max_size=8), _TEXT),
)
_ERROR = st.fixed_dictionaries(
    {"type": _TEXT, "loc": st.lists(_TEXT | st.integers(0, 9), max_size=3).map(tuple), "msg": _TEXT, "input": _JSON}
)
_REQUEST = st.one_of(
    st.builds(SystemPromptPart, _TEXT, _NAME),
    st.builds(UserPromptPart, _TEXT | st.lists(_CONTENT, max_size=3), _TIME),
    st.builds(ToolReturnPart, _TEXT, _JSON, _NAME, _TIME, metadata=_JSON),
    st.builds(RetryPromptPart, _TEXT | st.lists(_ERROR, max_size=2), _NAME, _NAME, _TIME),
)
_RESPONSE = st.one_of(
    st.builds(TextPart, _TEXT),
    st.builds(ThinkingPart, _TEXT, _NAME, _NAME, _NAME),
    st.builds(ToolCallPart, _TEXT, _TEXT | _OBJECT, _NAME),
    st.builds(OpaquePart, _NAME, _OBJECT),
)
_COUNT = st.none() | st.integers(0, 10**9)
_USAGE = st.builds(
    Usage,
    st.integers(0, 9),
    _COUNT,
    _COUNT,
    _COUNT,
    st.none() | st.dictionaries(_TEXT, st.integers(0, 99), max_size=2),
)
_MESSAGE = st.one_of(
    st.builds(ModelRequest, st.lists(_REQUEST, max_size=3)),
    st.builds(
        ModelResponse,
        st.lists(_RESPONSE, max_size=3),
        _NAME,
        _TIME,
        usage=_USAGE,
        finish_reason=st.sampled_from([None, "stop", "length", "tool_call", "content_filter", "error"]),
        provider_name=_NAME,
        provider_response_id=_NAME,
        provider_details=st.none() | _OBJECT,
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_MESSAGE, max_size=3))
def test_any_history_comes_back(messages: list[ModelMessage]) -> None:
    """Whatever the parts hold, it comes back equal in every field, through JSON and through dicts."""
    shape = [attrs.asdict(message) for message in messages]
    assert [attrs.asdict(message) for message in _round_trip(messages)] == shape
    for mode in ("python", "json"):
        dumped = ModelMessagesTypeAdapter.dump_python(messages, mode=mode)  # type: ignore[arg-type] # the two
        assert ModelMessagesTypeAdapter.validate_python(dumped) == messages


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
    assert _round_trip([request, response]) == [request, response]


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
        (_request({"part_kind": "user-prompt", "content": ["a", {"kind": "video-url", "url": "x"}]}),
         "messages[0].parts[0].content[1]: unknown kind 'video-url' of user content"),
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
        (_response(timestamp="soon"), "messages[0].timestamp: expected an ISO 8601 time, got 'soon'"),
        (_response(timestamp=5), "messages[0].timestamp: expected text, got int"),
        (_response(usage=5), "messages[0].usage: expected an object, got int"),
        (_response(usage={"requests": True}), "messages[0].usage.requests: expected a whole number, got True"),
        (_response(usage={"input_tokens": "3"}), "messages[0].usage: expected a whole number, got '3'"),
        (_response(usage={"cost": "nan"}), "usage.cost: expected a decimal number, got 'nan'"),
        (_response(usage={"cost": [1]}), "usage.cost: expected a decimal number, got [1]"),
        (_response(usage={"cost": True}), "usage.cost: expected a decimal number, got True"),
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
        "messages[0].timestamp: expected an ISO 8601 time, got 'x'"
    )
    with pytest.raises(ValueError, match=r"parts\[9\]\.content: expected text, got int; and 5 more$"):
        load(json.dumps(_response(*[bad] * 15)))


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
        assert _round_trip(messages) == messages
