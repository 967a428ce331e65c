"""What the Messages mapping reads out of whole answers and errors."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.messages import ModelResponse, OpaquePart, TextPart, ThinkingPart, ToolCallPart
from syncagent.models.anthropic import AnthropicWire, decode, decode_count, decode_error
from syncagent.usage import Usage

_ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-20260101",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "proof"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "so", "citations": [{"type": "char_location"}]},
        {"type": "text", "text": ".", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "x"}, "caller": {"type": "direct"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 3, "service_tier": "standard"},
}


def _decoded(*content: Any, **body: Any) -> ModelResponse:
    return decode({"content": list(content), **body}, "anthropic")


def test_answer() -> None:
    """Parts, names, reason and usage; neighbouring texts are one part, what they cite stands after it."""
    response = decode(_ANSWER, "anthropic")
    cited = [{"start": 6, "end": 8, "citations": [{"type": "char_location"}]}]
    assert response.parts == [
        ThinkingPart("hm", None, "proof", "anthropic"),
        OpaquePart("anthropic", {"type": "redacted_thinking", "data": "x"}),
        TextPart("It is so."),
        OpaquePart("anthropic", {"type": "citations", "length": 9, "cited": cited}),
        ToolCallPart("weather", {"city": "x"}, "toolu_1"),
    ]
    assert (response.model_name, response.provider_name) == ("claude-x-20260101", "anthropic")
    assert response.provider_response_id == "msg_1"
    assert response.finish_reason == "tool_call"
    assert response.provider_details == {"finish_reason": "tool_use"}
    assert response.usage == Usage(0, 5, 3, 8)
    assert AnthropicWire("anthropic").decode(_ANSWER).parts == response.parts


def test_empty_blocks() -> None:
    """Blocks that hold nothing give nothing; a hidden thought gives its proof."""
    blocks = [{"type": "text", "text": ""}, {"type": "thinking", "thinking": "", "signature": ""}]
    assert _decoded(*blocks).parts == []
    (part,) = _decoded({"type": "thinking", "thinking": "", "signature": "proof"}).parts
    assert part == ThinkingPart("", None, "proof", "anthropic")


def test_texts_apart() -> None:
    """Texts with something between them are parts of their own."""
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    parts = _decoded({"type": "text", "text": "a"}, block, {"type": "text", "text": "b"}).parts
    assert parts == [TextPart("a"), OpaquePart("anthropic", block), TextPart("b")]


def test_caller() -> None:
    """A call that code at the provider's made keeps who made it."""
    caller = {"type": "code_execution_20250825", "tool_id": "s"}
    block = {"type": "tool_use", "id": "1", "name": "weather", "input": {}, "caller": caller}
    assert _decoded(block).parts == [
        ToolCallPart("weather", {}, "1"),
        OpaquePart("anthropic", {"type": "tool_use_caller", "id": "1", "caller": caller}),
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_call"),
        ("refusal", "content_filter"),
        ("pause_turn", None),
        ("of_a_later_day", None),
    ],
)
def test_finish_reasons(said: str, reason: Any) -> None:
    """Each stop reason has its word here; the provider's own is kept."""
    response = _decoded(stop_reason=said)
    assert (response.finish_reason, response.provider_details) == (reason, {"finish_reason": said})


@pytest.mark.parametrize("said", [None, "", 3, ["end_turn"]])
def test_no_finish_reason(said: Any) -> None:
    """What is no reason is none."""
    response = _decoded(stop_reason=said)
    assert (response.finish_reason, response.provider_details) == (None, None)


def test_details() -> None:
    """Further facts are kept: what stopped it, why it refused, where its tools work."""
    facts = {
        "stop_sequence": "END",
        "stop_details": {"type": "refusal", "category": "bio"},
        "container": {"id": "container_1"},
    }
    assert _decoded(**facts).provider_details == facts


@pytest.mark.parametrize("value", [None, 3, "", []])
def test_names_of_another_type(value: Any) -> None:
    """A name or id that is no text is none."""
    response = _decoded(id=value, model=value)
    assert (response.provider_response_id, response.model_name) == (None, None)


# --- usage -----------------------------------------------------------------------------------------


def _usage(**usage: Any) -> Usage:
    return _decoded(usage=usage).usage


def test_usage() -> None:
    """Cached tokens, which the API counts apart, are part of what was sent; further counts are details."""
    assert _usage(
        input_tokens=4,
        cache_read_input_tokens=14714,
        cache_creation_input_tokens=379,
        cache_creation={"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 379},
        output_tokens=290,
        output_tokens_details={"thinking_tokens": 19},
        server_tool_use={"web_search_requests": 2, "web_fetch_requests": 0},
        service_tier="standard",
        inference_geo=None,
    ) == Usage(
        0,
        15097,
        290,
        15387,
        {
            "cached_tokens": 14714,
            "cache_write_tokens": 379,
            "ephemeral_5m_input_tokens": 379,
            "reasoning_tokens": 19,
            "web_search_requests": 2,
        },
    )


def test_usage_of_further_models() -> None:
    """Tokens of other models that took part are told by their names, and are not in the sums."""
    own = {"type": "message", "input_tokens": 9, "output_tokens": 9}
    advice = {"type": "advisor_message", "model": "m", "input_tokens": 7, "output_tokens": 2, "cache": {"a": 1}}
    usage = _usage(input_tokens=1, output_tokens=1, iterations=[own, advice, advice, "x", {"type": 3}])
    assert usage == Usage(0, 1, 1, 2, {"advisor_message_input_tokens": 14, "advisor_message_output_tokens": 4})
    assert _usage(iterations=None).details is None


def test_usage_in_part() -> None:
    """Counts that are not there are unknown, and no usage at all is none."""
    assert _usage(output_tokens=3) == Usage(0, None, 3, 3)
    assert _usage(cache_read_input_tokens=3) == Usage(0, 3, None, 3, {"cached_tokens": 3})
    assert _usage() == _decoded().usage == Usage()


# --- bodies of another shape -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "^the body: expected an object, got an empty list"),
        ({}, "^content: expected a list, got nothing"),
        ({"content": {}}, "^content: expected a list, got dict"),
        ({"content": ["a"]}, r"^content\[0\]: expected an object, got str"),
        ({"content": [{}]}, r"^content\[0\]\.type: expected text, got nothing"),
        ({"content": [{"type": "text"}]}, r"^content\[0\]\.text: expected text"),
        ({"content": [{"type": "text", "text": "a", "citations": {"a": 1}}]}, r"^content\[0\]\.citations: expected a"),
        ({"content": [{"type": "thinking"}]}, r"^content\[0\]\.thinking: expected text"),
        ({"content": [{"type": "thinking", "thinking": "", "signature": 3}]}, r"^content\[0\]\.signature: expected t"),
        ({"content": [{"type": "tool_use"}]}, r"^content\[0\]\.input: expected an object, got nothing"),
        ({"content": [{"type": "tool_use", "input": "{}"}]}, r"^content\[0\]\.input: expected an object, got str"),
        ({"content": [{"type": "tool_use", "input": {}}]}, r"^content\[0\]\.name: expected text, got nothing"),
        ({"content": [{"type": "tool_use", "input": {}, "name": ""}]}, r"^content\[0\]\.name: expected the name"),
        ({"content": [{"type": "tool_use", "input": {}, "name": "a", "id": 3}]}, r"^content\[0\]\.id: expected text"),
        ({"content": [], "usage": []}, "^usage: expected an object, got an empty list"),
        ({"content": [], "usage": {"input_tokens": "3"}}, "^usage.input_tokens: expected a number of tokens, got str"),
        ({"content": [], "usage": {"output_tokens": -1}}, "^usage.output_tokens: expected a number of tokens"),
        ({"content": [], "usage": {"cache_read_input_tokens": True}}, "^usage.cache_read_input_tokens: expected"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, r"sent an error: Ov"),
    ],
)
def test_another_shape(body: Any, words: str) -> None:
    """A body of another shape, and an error in a 200, are ValueErrors that name the field or repeat the words."""
    with pytest.raises(ValueError, match=words):
        decode(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *[found for key, item in items for found in _places(item, (*path, key))]]


_PLACES = _places(_ANSWER)[1:]


@given(st.sampled_from(_PLACES), st.one_of(st.just("delete"), _JSON))
def test_mutated_answers(place: tuple[Any, ...], change: Any) -> None:
    """Whatever is deleted or replaced: a response, or a ValueError; never a call that nobody made."""
    body = copy.deepcopy(_ANSWER)
    *way, last = place
    inner = body
    for key in way:
        inner = inner[key]
    if change == "delete":
        del inner[last]
    else:
        inner[last] = change
    try:
        response = decode(body, "anthropic")
    except ValueError:
        return
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    made = [block for block in body["content"] if block.get("type") == "tool_use"]
    assert [(call.tool_name, call.args) for call in calls] == [(block["name"], block["input"]) for block in made]


# --- errors and counts -----------------------------------------------------------------------------


def _error(status: int, kind: Any, message: Any = "words", **error: Any) -> Any:
    info = decode_error(status, {"type": "error", "error": {"type": kind, "message": message, **error}})
    return info.code, info.kind


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("authentication_error", "auth"),
        ("permission_error", "auth"),
        ("billing_error", "quota"),
        ("not_found_error", "not_found"),
        ("rate_limit_error", "rate_limit"),
        ("overloaded_error", "overloaded"),
        ("request_too_large", "context_too_long"),
        ("api_error", None),
        ("invalid_request_error", None),
    ],
)
def test_error_kinds(kind: str, meant: Any) -> None:
    """An error's type is its code, and says its kind where the status does not."""
    assert _error(400, kind) == (kind, meant)


def test_error_codes() -> None:
    """A code in the details says more than the type."""
    details = {"error_code": "enforced_spend_limit_reached"}
    assert _error(429, "rate_limit_error", details=details) == ("enforced_spend_limit_reached", "quota")
    assert _error(429, "rate_limit_error", details={"error_code": "later"}) == ("later", "rate_limit")
    assert _error(429, "rate_limit_error", details={"error_code": 3}) == ("rate_limit_error", "rate_limit")


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("prompt is too long: 208310 tokens > 200000 maximum", "context_too_long"),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", "context_too_long"),
        ("Your credit balance is too low to access the Anthropic API.", "quota"),
        ("messages: at least one message is required", None),
    ],
)
def test_error_words(message: str, meant: Any) -> None:
    """Where the type says little, the words tell a prompt that is too long and an account without credit."""
    assert _error(400, "invalid_request_error", message) == ("invalid_request_error", meant)
    assert _error(500, "api_error", message) == ("api_error", None)


def test_errors_in_another_shape() -> None:
    """An OpenAI-shaped error is read, too; of other bodies there is their text, or nothing."""
    body = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}
    assert decode_error(400, body)[:3] == ("too long", "exceed_context_size_error", "context_too_long")
    assert decode_error(502, "Bad gateway")[:3] == ("Bad gateway", None, None)
    assert AnthropicWire().decode_error(400, {"error": {}})[:3] == (None, None, None)


@given(_JSON, st.integers(100, 599))
def test_any_error_body(body: Any, status: int) -> None:
    """A body of any shape is fine."""
    for given_body in (body, {"error": body}, {"error": {"message": body, "type": body, "details": body}}):
        message, code, *_ = decode_error(status, given_body)
        assert message is None or isinstance(message, str)
        assert code is None or isinstance(code, str)


def test_count() -> None:
    """A count is its number; another shape is a ValueError that names the field."""
    assert decode_count({"input_tokens": 641}) == AnthropicWire().decode_count({"input_tokens": 641}) == 641
    for body, words in (
        ([], "^the body: expected an object"),
        ({}, "^input_tokens: expected a number of tokens, got nothing"),
        ({"input_tokens": "3"}, "^input_tokens: expected a number of tokens, got str"),
    ):
        with pytest.raises(ValueError, match=words):
            decode_count(body)  # type: ignore[arg-type] # that is the mistake


def test_what_came_is_json() -> None:
    """Opaque parts hold what came, so that the history can be stored."""
    assert json.loads(json.dumps([part.data for part in decode(_ANSWER).parts if isinstance(part, OpaquePart)]))
