"""What the Converse mapping reads out of whole answers, and out of errors."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.messages import ModelResponse, OpaquePart, TextPart, ThinkingPart, ToolCallPart
from syncagent.models.bedrock import BedrockWire, decode, decode_count, decode_error
from syncagent.usage import Usage

_WIRE = BedrockWire("bedrock")


def _body(*blocks: Any, **fields: Any) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
        "metrics": {"latencyMs": 4},
        **fields,
    }


_CALL = {"toolUse": {"toolUseId": "c", "name": "t", "input": {"a": 1}}}
_SERVED = {"toolUse": {"toolUseId": "s", "name": "n", "input": {}, "type": "server_tool_use"}}
_RESULT = {"toolResult": {"toolUseId": "s", "type": "n_result", "status": "success", "content": [{"json": {"x": 1}}]}}
_REDACTED = {"reasoningContent": {"redactedContent": "YQ=="}}
_IMAGE = {"image": {"format": "png", "source": {"bytes": "YQ=="}}}


def test_parts() -> None:
    """Each block is its part, in order; empty ones are left out."""
    response = _WIRE.decode(
        _body(
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
            {"reasoningContent": {"reasoningText": {"text": "hm"}}},
            _REDACTED,
            {"text": "a"},
            {"text": ""},
            {},
            _SERVED,
            _RESULT,
            _IMAGE,
            _CALL,
            {"toolUse": {"toolUseId": "", "name": "t", "type": "tool_use"}},
        )
    )
    assert response.parts == [
        ThinkingPart("hm", None, "sig", "bedrock"),
        ThinkingPart("hm", None, None, "bedrock"),
        OpaquePart("bedrock", _REDACTED),
        TextPart("a"),
        OpaquePart("bedrock", _SERVED),
        OpaquePart("bedrock", _RESULT),
        OpaquePart("bedrock", _IMAGE),
        ToolCallPart("t", {"a": 1}, "c"),
        ToolCallPart("t", {}, None),
    ]
    assert (response.model_name, response.provider_name, response.provider_response_id) == (None, "bedrock", None)


def test_citations() -> None:
    """Cited text is text; what is cited stands in the details, of all blocks together."""
    cited = [
        {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [{"title": "A"}]}},
        {"text": "c"},
        {"citationsContent": {"content": [{"text": "d"}], "citations": [{"title": "D"}]}},
        {"citationsContent": {"content": []}},
    ]
    response = decode(_body(*cited))
    assert response.parts == [TextPart("ab"), TextPart("c"), TextPart("d")]
    assert (response.provider_details or {})["citations"] == [{"title": "A"}, {"title": "D"}]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_call"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_model_output", "error"),
        ("malformed_tool_use", "error"),
        ("a_new_one", None),
    ],
)
def test_finish(said: str, reason: Any) -> None:
    """Each of the API's words is one of ours; its own is kept."""
    response = decode(_body(stopReason=said))
    assert response.finish_reason == reason
    assert (response.provider_details or {})["finish_reason"] == said


def test_details() -> None:
    """The guardrail's trace, fields of the model's own, tier and latency are kept; what was not sent is not there."""
    response = decode(
        _body(
            trace={"guardrail": {"x": 1}},
            additionalModelResponseFields={"stop_sequence": "a"},
            performanceConfig={"latency": "standard"},
            serviceTier={"type": "flex"},
        )
    )
    assert response.provider_details == {
        "finish_reason": "end_turn",
        "trace": {"guardrail": {"x": 1}},
        "additional_model_response_fields": {"stop_sequence": "a"},
        "performance_config": {"latency": "standard"},
        "service_tier": {"type": "flex"},
        "latency_ms": 4,
    }
    bare = decode({"output": {"message": {"content": []}}})
    assert (bare.provider_details, bare.usage, bare.finish_reason) == (None, Usage(), None)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, Usage(0, 3, 4, 7)),
        (
            {"inputTokens": 3, "outputTokens": 61, "cacheReadInputTokens": 2074, "cacheWriteInputTokens": 297},
            Usage(0, 2374, 61, 2435, {"cached_tokens": 2074, "cache_write_tokens": 297}),
        ),
        (
            {"inputTokens": 1, "outputTokens": 1, "cacheReadInputTokenCount": 5},
            Usage(0, 6, 1, 7, {"cached_tokens": 5}),
        ),
        (
            {"inputTokens": 1, "outputTokens": 1, "serverToolUsage": {"webSearchRequests": 2, "x": "y"}},
            Usage(0, 1, 1, 2, {"server_tool_webSearchRequests": 2}),
        ),
        ({"outputTokens": 1, "serverToolUsage": {}}, Usage(0, None, 1, None)),
        ({}, Usage()),
    ],
)
def test_usage(counts: dict[str, Any], usage: Usage) -> None:
    """What was read from a cache and written to it counts as sent, which Bedrock's own number leaves out."""
    assert decode(_body(usage=counts)).usage == usage


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "the body: expected an object, got an empty list"),
        ({}, "output: expected an object, got nothing"),
        ({"output": {}}, "output.message: expected an object, got nothing"),
        ({"output": {"message": {"content": "a"}}}, "output.message.content: expected a list, got str"),
        (_body(3), "output.message.content[0]: expected an object, got int"),
        (_body({"text": 3}), "output.message.content[0].text: expected text, got int"),
        (_body({"toolUse": 3}), "output.message.content[0].toolUse: expected an object, got int"),
        (_body({"toolUse": {"name": ""}}), "output.message.content[0].toolUse.name: expected the name of a tool"),
        (_body({"toolUse": {"name": "t", "input": "{}"}}), "output.message.content[0].toolUse.input: expected an obj"),
        (_body({"toolUse": {"name": "t"}}), "output.message.content[0].toolUse.toolUseId: expected text, got nothing"),
        (_body({"reasoningContent": 3}), "output.message.content[0].reasoningContent: expected an object"),
        (
            _body({"reasoningContent": {"reasoningText": {"text": "a", "signature": 3}}}),
            "output.message.content[0].reasoningContent.reasoningText.signature: expected text, got int",
        ),
        (_body({"citationsContent": {"content": 3}}), "output.message.content[0].citationsContent: expected lists"),
        (_body({"citationsContent": {"citations": 3}}), "output.message.content[0].citationsContent: expected lists"),
        (_body(stopReason=3), "stopReason: expected text, got int"),
        (_body(usage=3), "usage: expected an object, got int"),
        (_body(usage={"inputTokens": -1}), "usage.inputTokens: expected a number of tokens, got another number"),
        (_body(usage={"outputTokens": True}), "usage.outputTokens: expected a number of tokens, got bool"),
        ({"message": "No.", "__type": "x#OddException"}, "the provider sent an error: No. (OddException)"),
        ({"Message": "No."}, "the provider sent an error: No."),
        ({"__type": "OddException"}, "the provider sent an error: without a message (OddException)"),
    ],
)
def test_other_shapes(body: Any, words: str) -> None:
    """A body of another shape is refused by the field; an error inside of a 200 by its words."""
    with pytest.raises(ValueError) as raised:
        decode(body)
    assert str(raised.value).startswith(words)


def test_count() -> None:
    """A count is a number, or it is refused."""
    assert _WIRE.decode_count({"inputTokens": 23}) == 23
    wrong: list[Any] = [[], {}, {"inputTokens": "23"}, {"inputTokens": -1}]
    for body in wrong:
        with pytest.raises(ValueError, match="expected"):
            decode_count(body)


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "message", "code", "kind"),
    [
        (403, {"message": "No.", "__type": "AccessDeniedException"}, "No.", "AccessDeniedException", "auth"),
        (403, {"Message": "Old.", "__type": "a.b#ExpiredTokenException"}, "Old.", "ExpiredTokenException", "auth"),
        (
            429,
            {"message": "Slow.", "__type": "ThrottlingException:http://internal.amazon.com/coral/"},
            "Slow.",
            "ThrottlingException",
            "rate_limit",
        ),
        (
            429,
            {"message": "Too many tokens per day, please wait.", "__type": "ThrottlingException"},
            "Too many tokens per day, please wait.",
            "ThrottlingException",
            "quota",
        ),
        (429, {"message": "a", "__type": "ModelNotReadyException"}, "a", "ModelNotReadyException", "overloaded"),
        (
            400,
            {"message": "a", "__type": "ServiceQuotaExceededException"},
            "a",
            "ServiceQuotaExceededException",
            "quota",
        ),
        (400, {"message": "Input is too long for requested model."}, None, None, "context_too_long"),
        (400, {"message": "The provided model identifier is invalid."}, None, None, "not_found"),
        (400, {"message": "Odd.", "code": "ValidationException"}, "Odd.", "ValidationException", None),
        (500, {"originalMessage": "Inner."}, "Inner.", None, None),
        (400, "text", "text", None, None),
        (400, {"message": 3, "code": 4}, "3", None, None),
        (400, None, None, None, None),
        (400, "", None, None, None),
        (400, [1], None, None, None),
    ],
)
def test_errors(status: int, body: Any, message: Any, code: Any, kind: Any) -> None:
    """An error's words and type are read wherever they stand, and what they mean; a body of any shape is fine."""
    info = _WIRE.decode_error(status, body)
    if message is None and isinstance(body, dict):
        message = body["message"]
    assert info[:3] == (message, code, kind)
    assert info == decode_error(status, body)


# --- wild bodies -----------------------------------------------------------------------------------

_WHOLE = _body(
    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
    {"text": "a"},
    _SERVED,
    _CALL,
    {"citationsContent": {"content": [{"text": "b"}], "citations": [{"title": "x"}]}},
    usage={"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 3, "serverToolUsage": {"a": 1}},
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, inner in items for deeper in _paths(inner, (*path, key)))]


@given(st.data())
def test_wild_bodies(data: st.DataObject) -> None:
    """A changed body is read or refused by a ValueError; no call is made up."""
    body = copy.deepcopy(_WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_paths(body)[1:] or [("new",)]))
        target: Any = body
        for key in path[:-1]:
            target = target[key]
        if data.draw(st.booleans()) and path[-1] in (target if isinstance(target, dict) else range(len(target))):
            del target[path[-1]]
        elif isinstance(target, dict) or path[-1] < len(target):
            target[path[-1]] = data.draw(_json)
    try:
        response = decode(body, "bedrock")
    except ValueError:
        return
    assert isinstance(response, ModelResponse)
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            assert json.dumps(part.tool_name) in json.dumps(body)


@given(_json)
def test_wild_errors(body: Any) -> None:
    """No body of an error breaks the reading of it."""
    info = decode_error(400, body)
    assert info.message is None or isinstance(info.message, str)
