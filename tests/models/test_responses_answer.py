"""What the Responses API answers, and what is read of it: items, facts beside them, usage, and other shapes."""

from __future__ import annotations

import copy
import json
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.messages import ModelResponse, OpaquePart, TextPart, ThinkingPart, ToolCallPart
from syncagent.models.openai_responses import ResponsesWire, decode
from syncagent.models.wire import ErrorInfo


def _text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}], **more}


def _call(name: Any = "t", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "1", "name": name, "arguments": "{}", **more}


def _decode(*output: Any, **top: Any) -> ModelResponse:
    return decode({"status": "completed", "output": list(output), **top}, "p")


# --- items -----------------------------------------------------------------------------------------


def test_text() -> None:
    """A message is one text, however many pieces it has; its id and phase are kept for its way back."""
    pieces = [{"type": "output_text", "text": "a"}, {"type": "odd"}, {"type": "output_text", "text": "b"}]
    response = _decode(_text("", content=pieces, id="msg_1", phase="final_answer"), _text("c"))
    assert response.parts == [TextPart("ab"), TextPart("c")]
    assert (response.provider_name, response.finish_reason) == ("p", "stop")
    assert response.provider_details == {
        "finish_reason": "completed",
        "messages": [{"id": "msg_1", "phase": "final_answer"}, {}],
    }


@pytest.mark.parametrize("item", [_text(""), _text("", content=None), {"type": "message"}])
def test_nothing_said(item: dict[str, Any]) -> None:
    """A message without text is no part: an empty response is for the run to judge."""
    response = _decode(item)
    assert response.parts == []
    assert (response.finish_reason, response.provider_details) == ("stop", {"finish_reason": "completed"})


def test_citations_and_logprobs() -> None:
    """Citations stand with their message, log probabilities with the response; what is no list of them is none."""
    piece = {
        "type": "output_text",
        "text": "a",
        "annotations": [{"type": "url_citation"}],
        "logprobs": [{"token": "a"}],
    }
    odd = {"type": "output_text", "text": "b", "annotations": 3, "logprobs": None}
    assert _decode(_text("", content=[piece, odd])).provider_details == {
        "finish_reason": "completed",
        "logprobs": {"content": [{"token": "a"}]},
        "messages": [{"annotations": [{"type": "url_citation"}]}],
    }


def test_refusal() -> None:
    """A refusal is no text; alone it is a content filter, beside an answer only told."""
    refusal = _text("", content=[{"type": "refusal", "refusal": "No."}])
    response = _decode(refusal, refusal)
    assert (response.parts, response.finish_reason) == ([], "content_filter")
    assert response.provider_details == {"finish_reason": "completed", "refusal": "No.\n\nNo."}
    assert _decode(refusal, _text("a")).finish_reason == "stop"
    assert _decode(refusal, _call()).finish_reason == "tool_call"


def test_thinking() -> None:
    """Each readable piece is a part with the item's id, the first with the proof; hidden thinking is an empty one."""
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": ""}]
    content = [{"type": "reasoning_text", "text": "b"}]
    whole = {"type": "reasoning", "id": "rs_1", "summary": summary, "content": content, "encrypted_content": "proof"}
    hidden = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "other"}
    assert _decode(whole, hidden, {"type": "reasoning", "id": "rs_3", "summary": []}).parts == [
        ThinkingPart("a", "rs_1", "proof", "p"),
        ThinkingPart("b", "rs_1", None, "p"),
        ThinkingPart("", "rs_2", "other", "p"),
    ]


def test_calls() -> None:
    """Calls keep their arguments as they came, and what their items were called."""
    response = _decode(
        _call(id="fc_1", arguments='{"a":1}', namespace="crm"),
        _call("u", call_id="2", arguments={"a": 1}),
        _call("v", call_id=None, id="fc_3", arguments=None),
        _call("w", call_id=""),
    )
    assert response.parts == [
        ToolCallPart("t", '{"a":1}', "1"),
        ToolCallPart("u", {"a": 1}, "2"),
        ToolCallPart("v", "", None),
        ToolCallPart("w", "{}", None),
    ]
    assert response.finish_reason == "tool_call"
    assert response.provider_details == {
        "finish_reason": "completed",
        "calls": {"1": {"id": "fc_1", "namespace": "crm"}},
    }


def test_custom_call() -> None:
    """A custom tool's text is the argument ``input``."""
    response = _decode({"type": "custom_tool_call", "id": "ctc_1", "call_id": "1", "name": "shell", "input": "ls"})
    assert response.parts == [ToolCallPart("shell", {"input": "ls"}, "1")]
    assert response.provider_details == {
        "finish_reason": "completed",
        "calls": {"1": {"id": "ctc_1", "type": "custom_tool_call"}},
    }


@pytest.mark.parametrize("kind", ["web_search_call", "mcp_call", "computer_call", "compaction", "of_tomorrow"])
def test_other_items(kind: str) -> None:
    """What the server did itself, and what nobody knows yet, is kept as it came."""
    item = {"type": kind, "id": "x_1", "status": "completed", "more": [1]}
    assert _decode(item, _text("a")).parts == [OpaquePart("p", item), TextPart("a")]


# --- the response itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "reason", "said"),
    [
        ({"status": "completed"}, "stop", "completed"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "content_filter",
        ),
        ({"status": "incomplete", "incomplete_details": {"reason": "odd"}}, None, "odd"),
        ({"status": "incomplete", "incomplete_details": None}, None, "incomplete"),
        ({"status": "incomplete", "incomplete_details": {"reason": 3}}, None, "incomplete"),
        ({"status": "queued"}, None, "queued"),
        ({"status": "in_progress"}, None, "in_progress"),
        ({"status": None}, None, None),
    ],
)
def test_finish_reason(top: dict[str, Any], reason: Optional[str], said: Optional[str]) -> None:
    """The finish reason is one of five words, and the API's own word is kept."""
    response = decode({"output": [], **top})
    assert response.finish_reason == reason
    assert (response.provider_details or {}).get("finish_reason") == said


def test_names_and_time() -> None:
    """Model, id and time are those of the response; odd ones are none, and the time is now."""
    response = _decode(model="gpt-5", id="resp_1", created_at=1_700_000_000.0)
    assert (response.model_name, response.provider_response_id) == ("gpt-5", "resp_1")
    assert response.timestamp.timestamp() == 1_700_000_000
    for odd in ({}, {"model": 3, "id": 4, "created_at": "x"}, {"id": "", "created_at": 1e18}, {"created_at": True}):
        response = _decode(**odd)
        assert (response.model_name, response.provider_response_id) == (None, None)
        assert response.timestamp.timestamp() > 1_700_000_000


def test_usage() -> None:
    """Cached and written tokens are part of the input, thinking of the output; further numbers are details."""
    usage = _decode(
        usage={
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 1, "odd": None},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 1},
            "total_tokens": 15,
            "cost": 0.1,
            "calls": 1,
        }
    ).usage
    assert (usage.request_tokens, usage.response_tokens, usage.total_tokens) == (10, 5, 15)
    assert usage.details == {
        "cached_tokens": 4,
        "cache_write_tokens": 2,
        "audio_tokens": 2,
        "reasoning_tokens": 3,
        "calls": 1,
    }
    assert _decode(usage={"input_tokens": 1, "output_tokens": 2}).usage.total_tokens == 3
    assert _decode(usage={"total_tokens": 2}).usage.total_tokens == 2
    assert _decode(usage=None).usage.total_tokens is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "the body: expected an object, got an empty list"),
        ({}, "output: expected a list, got nothing"),
        ({"output": {}}, "output: expected a list, got dict"),
        ({"output": [3]}, r"output\[0\]: expected an object, got int"),
        ({"output": [{}]}, r"output\[0\].type: expected text, got nothing"),
        ({"output": [_text("a", role="user")]}, r"output\[0\].role: expected 'assistant', got 'user'"),
        ({"output": [_text("a", content=3)]}, r"output\[0\].content: expected a list, got int"),
        ({"output": [_text("a", content=[3])]}, r"output\[0\].content\[0\]: expected an object, got int"),
        (
            {"output": [_text("a", content=[{"type": "output_text"}])]},
            r"output\[0\].content\[0\].text: expected text, got nothing",
        ),
        (
            {"output": [_text("a", content=[{"type": "refusal", "refusal": 3}])]},
            r"output\[0\].content\[0\].refusal: expected text, got int",
        ),
        ({"output": [{"type": "reasoning", "id": 3}]}, r"output\[0\].id: expected text, got int"),
        (
            {"output": [{"type": "reasoning", "encrypted_content": 3}]},
            r"output\[0\].encrypted_content: expected text, got int",
        ),
        ({"output": [{"type": "reasoning", "summary": "a"}]}, r"output\[0\].summary: expected a list, got str"),
        (
            {"output": [{"type": "reasoning", "summary": [{"type": "summary_text"}]}]},
            r"output\[0\].summary\[0\].text: expected text, got nothing",
        ),
        ({"output": [_call(None)]}, r"output\[0\].name: expected text, got nothing"),
        ({"output": [_call("")]}, r"output\[0\].name: expected the name of a tool, got an empty text"),
        ({"output": [_call(call_id=3)]}, r"output\[0\].call_id: expected text, got int"),
        ({"output": [_call(arguments=3)]}, r"output\[0\].arguments: expected text or an object, got int"),
        (
            {"output": [{"type": "custom_tool_call", "name": "a", "input": {}}]},
            r"output\[0\].input: expected text, got dict",
        ),
        ({"output": [], "status": 3}, "status: expected text, got int"),
        ({"output": [], "usage": 3}, "usage: expected an object, got int"),
        ({"output": [], "usage": {"input_tokens": "3"}}, "usage.input_tokens: expected a number of tokens, got str"),
        (
            {"output": [], "usage": {"total_tokens": -1}},
            "usage.total_tokens: expected a number of tokens, got another number",
        ),
        ({"output": [], "status": "failed"}, "the provider sent an error: the response failed"),
        ({"output": [], "status": "cancelled"}, "the provider sent an error: the response was cancelled"),
        (
            {"output": [], "status": "failed", "error": {"code": "server_error", "message": "Oh."}},
            r"the provider sent an error: Oh. \(server_error\)",
        ),
    ],
)
def test_other_shapes(body: Any, words: str) -> None:
    """A body of another shape, or with an error, is refused by the field's name."""
    with pytest.raises(ValueError, match=f"^{words}$"):
        decode(body)


# --- counts and errors -----------------------------------------------------------------------------


def test_count() -> None:
    """The count of a request's tokens is a number, or refused by its name."""
    wire = ResponsesWire("p")
    assert wire.decode_count({"object": "response.input_tokens", "input_tokens": 51}) == 51
    for body, words in (
        ([], "the body: expected an object, got an empty list"),
        ({}, "input_tokens: expected a number of tokens, got nothing"),
        ({"input_tokens": "many"}, "input_tokens: expected a number of tokens, got str"),
        ({"error": {"message": "No."}}, "the provider sent an error: No."),
    ):
        with pytest.raises(ValueError, match=f"^{words}$"):
            wire.decode_count(body)  # type: ignore[arg-type] # that is the mistake


def test_errors() -> None:
    """An error body says its words, its code, and what kind it is, also by the provider's own words."""
    body = {"error": {"message": "Too long.", "code": "context_length_exceeded", "type": "invalid_request_error"}}
    assert ResponsesWire("p").decode_error(400, body) == ErrorInfo(
        "Too long.", "context_length_exceeded", "context_too_long"
    )
    quirky = ResponsesWire("p", {"error_kinds": {"odd output": "response"}})
    assert quirky.decode_error(500, {"error": {"message": "odd output"}}).kind == "response"


# --- wild ------------------------------------------------------------------------------------------

_WHOLE: dict[str, Any] = {
    "id": "resp_1",
    "model": "m",
    "created_at": 1,
    "status": "completed",
    "output": [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "a"}],
            "encrypted_content": "p",
        },
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        _text("a", id="msg_1", phase="commentary"),
        _call("weather", id="fc_1"),
    ],
    "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1, "total_tokens": 2},
}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def mutated(data: st.DataObject, body: Any) -> Any:
    """A copy in which one value was replaced, taken away or cut, or a key was put in."""
    body = copy.deepcopy(body)
    place: Any = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        place = inner
    change = data.draw(st.sampled_from(["replace", "delete", "cut", "insert"]))
    if change == "delete":
        del place[key]
    elif change == "cut" and isinstance(inner, (str, list)):
        place[key] = inner[: len(inner) // 2]
    elif change == "insert" and isinstance(place, dict):
        place[data.draw(st.text())] = data.draw(_JSON)
    else:
        place[key] = data.draw(_JSON)
    return body


@given(st.data())
def test_mutated(data: st.DataObject) -> None:
    """A right answer in which one thing was changed is a response without an invented call, or a ValueError."""
    body = mutated(data, _WHOLE)
    try:
        response = decode(body, "p")
    except ValueError:
        return
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            assert json.dumps(part.tool_name) in json.dumps(body)
            assert sum(item.get("type") in ("function_call", "custom_tool_call") for item in body["output"]) == 1
