"""What chat servers answer, right and wrong, and what is read of it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.messages import ModelResponse, OpaquePart, TextPart, ThinkingPart, ToolCallPart
from syncagent.models.chat import QUIRKS, ChatWire, decode, decode_error
from syncagent.models.wire import ErrorInfo


def _message(message: dict[str, Any], choice: Optional[dict[str, Any]] = None, **top: Any) -> ModelResponse:
    said = {"role": "assistant", **message}
    return decode({"choices": [{"finish_reason": "stop", **(choice or {}), "message": said}], **top}, "p")


def test_text() -> None:
    """Text is one part."""
    response = _message({"content": "Hey."})
    assert response.parts == [TextPart("Hey.")]
    assert response.provider_name == "p"
    assert (response.finish_reason, response.provider_details) == ("stop", {"finish_reason": "stop"})


@pytest.mark.parametrize("message", [{}, {"content": None}, {"content": ""}, {"tool_calls": []}, {"content": []}])
def test_nothing_said(message: dict[str, Any]) -> None:
    """No text and no calls are no parts: that is for the run to judge."""
    assert _message(message).parts == []


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_comes_first(field: str) -> None:
    """Thinking, under either name, stands before the text and says whose it is."""
    assert _message({"content": "4", field: "2+2"}).parts == [ThinkingPart("2+2", None, None, "p"), TextPart("4")]
    assert _message({"content": "4", field: {"odd": 1}}).parts == [TextPart("4")]


def test_content_as_a_list() -> None:
    """Neighbours of one kind in a list become one part; unknown kinds say nothing."""
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"type": "thinking", "thinking": "c"},
        {"type": "text", "text": ""},
        {"type": "text", "text": "d"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "e"},
    ]
    assert _message({"content": content}).parts == [ThinkingPart("abc", None, None, "p"), TextPart("de")]


def test_tool_calls() -> None:
    """Calls keep name, arguments as they came, and id; an empty id is none."""
    calls = [
        {"id": "1", "type": "function", "function": {"name": "a", "arguments": '{"x": 1}'}},
        {"id": "", "function": {"name": "b", "arguments": {"y": 2}}},
        {"function": {"name": "c"}},
    ]
    response = _message({"content": None, "tool_calls": calls}, {"finish_reason": "tool_calls"})
    assert response.parts == [ToolCallPart("a", '{"x": 1}', "1"), ToolCallPart("b", {"y": 2}), ToolCallPart("c", "")]
    assert response.finish_reason == "tool_call"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_call"),
        ("function_call", "tool_call"),
        ("content_filter", "content_filter"),
        ("error", "error"),
        ("model_length", "length"),
        ("sensitive", "content_filter"),
        ("something new", None),
    ],
)
def test_finish_reason(said: str, reason: Optional[str]) -> None:
    """The provider's word is mapped to one of five, and kept beside it."""
    response = _message({"content": "a"}, {"finish_reason": said})
    assert (response.finish_reason, response.provider_details) == (reason, {"finish_reason": said})


@pytest.mark.parametrize("said", [None, "", 3])
def test_no_finish_reason(said: object) -> None:
    """Where no word came there is no reason, and no detail."""
    response = _message({"content": "a"}, {"finish_reason": said})
    assert (response.finish_reason, response.provider_details) == (None, None)


def test_refusal() -> None:
    """A refusal alone is no empty answer: its text is kept, and the reason is the content filter."""
    response = _message({"content": None, "refusal": "I can't help with that."})
    assert response.parts == []
    assert response.finish_reason == "content_filter"
    assert response.provider_details == {"finish_reason": "stop", "refusal": "I can't help with that."}
    beside = _message({"content": "Here.", "refusal": "Not all of it."})
    assert (beside.finish_reason, beside.parts) == ("stop", [TextPart("Here.")])
    assert _message({"content": "a", "refusal": ""}).provider_details == {"finish_reason": "stop"}


def test_logprobs() -> None:
    """Log probabilities are kept in the details, where there are any."""
    logprobs = {"content": [{"token": "a", "logprob": -0.1}], "refusal": None}
    assert (_message({"content": "a"}, {"logprobs": logprobs}).provider_details or {})["logprobs"] == logprobs
    empty = {"content": None, "refusal": None}
    assert "logprobs" not in (_message({"content": "a"}, {"logprobs": empty}).provider_details or {})


def test_usage() -> None:
    """Counts and details, flattened; a detail that both sides have is added up, other things are no counts."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1, "odd": "x"},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 2},
        "cost_details": {"upstream": 1},
        "prompt_cache_hit_tokens": 4,
        "queue_time": 0.5,
        "is_byok": True,
    }
    read = _message({"content": "a"}, usage=usage).usage
    assert (read.requests, read.request_tokens, read.response_tokens, read.total_tokens) == (0, 10, 5, 15)
    assert read.details == {
        "cached_tokens": 4,
        "audio_tokens": 3,
        "reasoning_tokens": 3,
        "prompt_cache_hit_tokens": 4,
    }


def test_no_usage() -> None:
    """Unknown counts are None, not zero."""
    read = _message({"content": "a"}).usage
    assert (read.request_tokens, read.response_tokens, read.total_tokens, read.details) == (None, None, None, None)


@pytest.mark.parametrize("created", [None, 0, -1, "soon", 1e300, float("1753999999999")])
def test_odd_times(created: object) -> None:
    """A time that is none is now."""
    before = dt.datetime.now(dt.timezone.utc)
    assert before <= _message({"content": "a"}, created=created).timestamp <= dt.datetime.now(dt.timezone.utc)


def test_names_of_other_types() -> None:
    """A model or an id that is no text is none."""
    response = _message({"content": "a"}, model=3, id="")
    assert (response.model_name, response.provider_response_id) == (None, None)


def test_kept_fields() -> None:
    """The quirk's fields of a message are kept as one opaque part of this provider."""
    body = {"choices": [{"message": {"content": "a", "reasoning_details": [{"type": "x"}], "extra": None}}]}
    response = decode(body, "p", {"keep": ("reasoning_details", "extra")})
    assert response.parts == [TextPart("a"), OpaquePart("p", {"reasoning_details": [{"type": "x"}]})]
    del body["choices"][0]["message"]["reasoning_details"]
    assert decode(body, "p", {"keep": ("reasoning_details",)}).parts == [TextPart("a")]


def _calls(call: object) -> dict[str, Any]:
    return {"choices": [{"message": {"tool_calls": [call]}}]}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (["a"], "the body: expected an object, got list"),
        ({}, "choices: expected a list with one choice, got nothing"),
        ({"choices": []}, "choices: expected a list with one choice, got an empty list"),
        ({"choices": {"a": 1}}, "choices: expected a list, got dict"),
        ({"choices": [None]}, "choices[0]: expected an object, got nothing"),
        ({"choices": [{}]}, "choices[0].message: expected an object, got nothing"),
        ({"choices": [{"message": {"content": 3}}]}, "choices[0].message.content: expected text or a list, got int"),
        ({"choices": [{"message": {"content": ["a"]}}]}, "choices[0].message.content[0]: expected an object, got str"),
        (
            {"choices": [{"message": {"content": [{"type": "text"}]}}]},
            "choices[0].message.content[0].text: expected text, got nothing",
        ),
        (
            {"choices": [{"message": {"content": [{"type": "thinking", "thinking": [3]}]}}]},
            "choices[0].message.content[0].thinking[0]: expected an object, got int",
        ),
        (
            {"choices": [{"message": {"content": [{"type": "thinking"}]}}]},
            "choices[0].message.content[0].thinking: expected text, got nothing",
        ),
        (
            {"choices": [{"message": {"tool_calls": "a"}}]},
            "choices[0].message.tool_calls: expected a list, got str",
        ),
        (_calls("a"), "choices[0].message.tool_calls[0].function: expected an object, got nothing"),
        (_calls({"function": {}}), "choices[0].message.tool_calls[0].function.name: expected text, got nothing"),
        (
            _calls({"function": {"name": ""}}),
            "choices[0].message.tool_calls[0].function.name: expected the name of a tool, got an empty text",
        ),
        (
            _calls({"function": {"name": "a", "arguments": [1]}}),
            "choices[0].message.tool_calls[0].function.arguments: expected text or an object, got list",
        ),
        (
            _calls({"id": 3, "function": {"name": "a"}}),
            "choices[0].message.tool_calls[0].id: expected text, got int",
        ),
        ({"choices": [{"message": {"refusal": 3}}]}, "choices[0].message.refusal: expected text, got int"),
        ({"choices": [{"message": {}}], "usage": 3}, "usage: expected an object, got int"),
        (
            {"choices": [{"message": {}}], "usage": {"prompt_tokens": "3"}},
            "usage.prompt_tokens: expected a number of tokens, got str",
        ),
        (
            {"choices": [{"message": {}}], "usage": {"total_tokens": -1}},
            "usage.total_tokens: expected a number of tokens, got another number",
        ),
        ({"error": {"message": "Overloaded", "code": 529}}, "the provider sent an error: Overloaded (529)"),
        ({"error": {"type": "odd"}}, "the provider sent an error: without a message (odd)"),
        ({"error": "Overloaded"}, "the provider sent an error: Overloaded"),
        ({"choices": [{"error": {"message": "No", "code": 502}}]}, "the provider sent an error: No (502)"),
    ],
)
def test_answers_of_another_shape(body: Any, text: str) -> None:
    """An answer of another shape, or an error in a 200, is a ValueError that names the field."""
    with pytest.raises(ValueError) as raised:
        decode(body)
    assert str(raised.value) == text


_KEYS = st.sampled_from(
    [
        *("choices", "message", "content", "tool_calls", "function", "name", "arguments", "id", "usage", "error"),
        *("prompt_tokens", "refusal", "type", "text", "thinking", "finish_reason", "logprobs", "created", "reasoning"),
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_any_answer(body: Any) -> None:
    """Whatever JSON comes, it is a response or a ValueError; a tool call is never made up."""
    for answer in (body, {"choices": [{"message": body}]}, {"choices": [body], "usage": body}):
        try:
            response = decode(answer)
        except ValueError:
            continue
        for part in response.parts:
            assert not isinstance(part, ToolCallPart) or part.tool_name in json.dumps(answer, ensure_ascii=False)


@given(st.data())
def test_mutated_answer(data: st.DataObject) -> None:
    """A right answer of which one value was replaced is a response with the same call, or a ValueError."""
    body = {
        "choices": [
            {
                "message": {
                    "content": "a",
                    "tool_calls": [{"id": "1", "function": {"name": "weather", "arguments": "{}"}}],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}},
    }
    place: Any = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(_JSON)
    try:
        response = decode(body)
    except ValueError:
        return
    names = {part.tool_name for part in response.parts if isinstance(part, ToolCallPart)}
    assert names <= {"weather"} or all(name in json.dumps(body, ensure_ascii=False) for name in names)


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "info"),
    [
        (400, {"error": {"message": "m", "code": "c", "type": "t"}}, ErrorInfo("m", "c")),
        (400, {"error": "m"}, ErrorInfo("m")),
        (422, {"object": "error", "message": "m", "type": "t", "code": 3051}, ErrorInfo("m", "3051")),
        (422, {"detail": [{"loc": ["body"]}]}, ErrorInfo("[{'loc': ['body']}]")),
        (400, [{"error": {"code": 400, "message": "m"}}], ErrorInfo("m", "400")),
        (429, {"error": {"message": "m", "metadata": {"raw": "why"}}}, ErrorInfo("m: why")),
        (429, {"error": {"code": "insufficient_quota"}}, ErrorInfo(None, "insufficient_quota", "quota")),
        (
            400,
            {"error": {"code": "context_length_exceeded"}},
            ErrorInfo(None, "context_length_exceeded", "context_too_long"),
        ),
        (
            400,
            {"error": {"code": 400, "message": "m", "type": "exceed_context_size_error"}},
            ErrorInfo("m", "400", "context_too_long"),
        ),
        (
            400,
            {"message": "This model's maximum context length is 8 tokens."},
            ErrorInfo("This model's maximum context length is 8 tokens.", None, "context_too_long"),
        ),
        (500, {"message": "maximum context length"}, ErrorInfo("maximum context length")),
        (401, {"error": {"code": "invalid_api_key"}}, ErrorInfo(None, "invalid_api_key", "auth")),
        (404, {"error": {"code": "model_not_found"}}, ErrorInfo(None, "model_not_found", "not_found")),
        (502, "<html>", ErrorInfo("<html>")),
        (500, "", ErrorInfo()),
        (500, None, ErrorInfo()),
        (500, [], ErrorInfo()),
        (500, {"error": 3}, ErrorInfo()),
    ],
)
def test_error_bodies(status: int, body: object, info: ErrorInfo) -> None:
    """Message, code and kind are found wherever a server puts them."""
    assert decode_error(status, body) == info


def test_error_kinds() -> None:
    """The quirk's texts decide where one of them is in the message."""
    body = {"error": {"code": 500, "message": "The model output does not match the expected peg-native format"}}
    wire = ChatWire("local", {"error_kinds": {"does not match the expected": "response"}})
    assert wire.decode_error(500, body).kind == "response"
    assert wire.decode_error(500, {"error": {"message": "other"}}).kind is None


@given(st.integers(100, 599), _JSON)
def test_any_error(status: int, body: Any) -> None:
    """Whatever body comes, it is an ErrorInfo of texts."""
    info = decode_error(status, body)
    assert info.message is None or isinstance(info.message, str)
    assert info.code is None or isinstance(info.code, str)


def test_wire() -> None:
    """The wire hands its provider's name and quirks on, fetches nothing, and its repr is short."""
    wire = ChatWire("p", {"keep": ("x",)})
    assert wire.decode({"choices": [{"message": {"content": "a", "x": 1}}]}).parts[1] == OpaquePart("p", {"x": 1})
    assert wire.inline == frozenset()
    assert repr(wire) == "<ChatWire of p>"
    assert list(QUIRKS) == sorted(QUIRKS)
