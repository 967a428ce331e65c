"""Histories to JSON and back: the shape to the letter, and whatever is in them."""

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
    VideoUrl,
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
    st.builds(VideoUrl, _TEXT, force_download=st.booleans()),
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
