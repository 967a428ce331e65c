"""The texts of errors: nothing of an answer or a message is in them, and what a provider says is cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from syncagent.exceptions import UserError
from syncagent.messages import (
    AudioUrl,
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.models.anthropic import AnthropicModel
from syncagent.models.bedrock import BedrockConverseModel
from syncagent.models.cohere import CohereModel
from syncagent.models.gemini import GeminiModel
from syncagent.models.names import infer_model
from syncagent.models.openai import OpenAIModel
from syncagent.models.openai_responses import OpenAIResponsesModel
from syncagent.models.streamed_response import StreamedResponse
from syncagent.models.wire import MISREAD, ModelCall
from syncagent.models.wire_model import WireModel
from syncagent.providers.anthropic import AnthropicProvider
from syncagent.providers.bedrock import BedrockProvider
from syncagent.providers.cohere import CohereProvider
from syncagent.providers.google_gla import GoogleGLAProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.tools import ModelRequestParameters
from syncagent.transport import Frame
from tests.json_places import changed, places
from tests.trust.looking import said

_WORDS = "What the Patient said."
_LONG = "y" * 100_000
_ADDRESS = "http://127.0.0.1:9"
_WIRES = ("chat", "responses", "anthropic", "gemini", "cohere", "bedrock")
every_wire = pytest.mark.parametrize("wire", _WIRES)


def _model(wire: str, name: str = "m") -> WireModel:
    if wire == "chat":
        return OpenAIModel(name, provider=OpenAIProvider(_ADDRESS, "k"))
    if wire == "responses":
        return OpenAIResponsesModel(name, provider=OpenAIProvider(_ADDRESS, "k"))
    if wire == "anthropic":
        return AnthropicModel(name, provider=AnthropicProvider(_ADDRESS, "k"))
    if wire == "gemini":
        return GeminiModel(name, provider=GoogleGLAProvider(_ADDRESS, "k"))
    if wire == "cohere":
        return CohereModel(name, provider=CohereProvider(_ADDRESS, "k"))
    keys = {"aws_access_key_id": "A", "aws_secret_access_key": "B", "region_name": "eu-west-1"}
    return BedrockConverseModel(name, provider=BedrockProvider(base_url=_ADDRESS, **keys))


_CHAT_CALL = {"index": 0, "id": "a", "function": {"name": "t", "arguments": "{}"}}
_ITEMS: list[Any] = [
    {
        "type": "message",
        "id": "m",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "x"}, {"type": "refusal", "refusal": "x"}],
    },
    {"type": "reasoning", "id": "r", "summary": [{"type": "s", "text": "x"}], "encrypted_content": "x"},
    {"type": "function_call", "id": "f", "call_id": "c", "name": "t", "arguments": "{}"},
    {"type": "custom_tool_call", "id": "g", "call_id": "d", "name": "t", "input": "x"},
]
_COUNTS = {"input_tokens": 1, "output_tokens": 1}
_BODIES: dict[str, Any] = {
    "chat": {
        "choices": [
            {
                "message": {
                    "content": [{"type": "text", "text": "x"}, {"type": "thinking", "thinking": [{"type": "text"}]}],
                    "tool_calls": [_CHAT_CALL],
                    "refusal": "x",
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "prompt_tokens_details": {"a": 1}},
    },
    "responses": {"status": "completed", "output": _ITEMS, "usage": _COUNTS, "incomplete_details": {"reason": "x"}},
    "anthropic": {
        "content": [
            {"type": "text", "text": "x", "citations": [{}]},
            {"type": "thinking", "thinking": "x", "signature": "s"},
            {"type": "tool_use", "id": "a", "name": "t", "input": {}, "caller": {"type": "code"}},
        ],
        "stop_reason": "end_turn",
        "usage": {**_COUNTS, "cache_read_input_tokens": 1, "iterations": [{"type": "a", "input_tokens": 1}]},
    },
    "gemini": {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "x", "thoughtSignature": "s"},
                        {"functionCall": {"name": "t", "args": {}, "id": "a"}},
                    ]
                },
                "finishReason": "STOP",
            }
        ],
        "promptFeedback": {"blockReason": "x", "blockReasonMessage": "x"},
        "usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}]},
    },
    "cohere": {
        "id": "i",
        "message": {
            "content": [{"type": "text", "text": "x"}, {"type": "thinking", "thinking": "x"}],
            "tool_calls": [_CHAT_CALL],
            "tool_plan": "x",
        },
        "finish_reason": "COMPLETE",
        "usage": {"tokens": _COUNTS, "billed_units": {**_COUNTS, "search_units": 1}, "cached_tokens": 1},
    },
    "bedrock": {
        "output": {
            "message": {
                "content": [
                    {"text": "x"},
                    {"toolUse": {"toolUseId": "a", "name": "t", "input": {}}},
                    {"reasoningContent": {"reasoningText": {"text": "x", "signature": "s"}}},
                    {"citationsContent": {"content": [{"text": "x"}], "citations": [{}]}},
                ]
            }
        },
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "cacheReadInputTokens": 1},
    },
}
_ANTHROPIC_BLOCK = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "x"}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "a", "name": "t"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 1},
]
_EVENTS: dict[str, list[tuple[str, Any]]] = {
    "chat": [
        ("", {"choices": [{"delta": {"content": "x", "refusal": "x", "tool_calls": [_CHAT_CALL]}}]}),
        ("", {"choices": [{"delta": {"tool_calls": [_CHAT_CALL]}, "finish_reason": "stop"}]}),
        ("", {"choices": [], "usage": {"prompt_tokens": 1}}),
    ],
    "responses": [
        ("", {"type": "response.created", "response": {"id": "i", "model": "m"}}),
        *[("", {"type": "response.output_item.added", "output_index": n, "item": x}) for n, x in enumerate(_ITEMS)],
        ("", {"type": "response.output_text.delta", "output_index": 0, "delta": "x"}),
        ("response.output_text.delta", {"item_id": "m", "delta": "x"}),
        ("", {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{}"}),
        *[("", {"type": "response.output_item.done", "output_index": n, "item": x}) for n, x in enumerate(_ITEMS)],
        ("", {"type": "response.completed", "response": {"status": "completed", "output": _ITEMS, "usage": _COUNTS}}),
    ],
    "anthropic": [
        ("", {"type": "message_start", "message": {"usage": _COUNTS}}),
        *[("", event) for event in _ANTHROPIC_BLOCK],
        ("", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _COUNTS}),
        ("", {"type": "message_stop"}),
    ],
    "gemini": [("", _BODIES["gemini"])],
    "cohere": [
        ("", {"type": "message-start", "id": "i"}),
        ("", {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "x", "thinking": "x"}}}}),
        ("", {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "x"}}}),
        ("", {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": _CHAT_CALL}}}),
        ("", {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": _CHAT_CALL}}}),
        ("", {"type": "citation-start", "delta": {"message": {"citations": {"text": "x"}}}}),
        ("", {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"billed_units": _COUNTS}}}),
    ],
    "bedrock": [
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x"}}),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "a", "name": "t"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{}"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"reasoningContent": {"text": "x", "signature": "s"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"reasoningContent": {"redactedContent": "YWJj"}}}),
        ("contentBlockStart", {"contentBlockIndex": 4, "start": {"image": {"format": "png"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 4, "delta": {"image": {"source": {"bytes": "YWJj"}}}}),
        ("contentBlockStart", {"contentBlockIndex": 5, "start": {"toolUse": {"type": "server_tool_use", "name": "t"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 5, "delta": {"toolUse": {"input": "{}"}}}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 1}}),
    ],
}


def _changed(value: Any) -> Iterator[Any]:
    """*value* with words of the model's in each of its places in turn: as a text, a list, an object, and as a key."""
    for new in (_WORDS, [_WORDS], {_WORDS: _WORDS}, {_WORDS: value}):
        yield new
    for place in places(value):
        found = value
        for step in place:
            found = found[step]
        for new in (_WORDS, [_WORDS], {_WORDS: _WORDS}, {_WORDS: found}):
            yield changed(value, place, new)


@every_wire
def test_whole_answers_are_not_quoted(wire: str) -> None:
    """Whatever stands where something else is expected, the error names its type and not its words."""
    model, refused = _model(wire), 0
    for body in _changed(_BODIES[wire]):
        try:
            model.wire.decode(body)
        except MISREAD as error:
            refused += 1
            assert _WORDS not in said(error)
    assert refused > 10


@every_wire
def test_streams_are_not_quoted(wire: str) -> None:
    """The same for each event of a stream."""
    model, events, refused = _model(wire), _EVENTS[wire], 0
    for place, (name, whole) in enumerate(events):
        for body in _changed(whole):
            frames = [Frame(event, json.dumps(data).encode()) for event, data in events]
            frames[place] = Frame(name, json.dumps(body).encode())
            try:
                for _ in StreamedResponse(model.wire.decode_stream(iter(frames)), model_name="m"):
                    pass
            except MISREAD as error:
                refused += 1
                assert _WORDS not in said(error)
    assert refused > 5


_FAILURES: dict[str, list[Any]] = {
    "chat": [
        {"error": {"message": _LONG, "type": _LONG}},
        {"error": {"type": _LONG, "code": [_LONG]}},
        {"error": _LONG},
        {"choices": [{"error": {"message": {"a": _LONG}, "metadata": {"raw": _LONG}}}]},
    ],
    "responses": [
        {"error": {"message": _LONG, "code": _LONG}},
        {"type": "error", "message": _LONG, "code": _LONG},
        {"type": "response.failed", "response": {"error": {"message": _LONG, "type": _LONG}}},
    ],
    "anthropic": [{"type": "error", "error": {"type": _LONG, "message": _LONG, "details": {"error_code": _LONG}}}],
    "gemini": [{"error": {"message": _LONG, "status": _LONG}}, {"error": {"code": [_LONG]}}, {"error": _LONG}],
    "cohere": [{"message": _LONG}, {"type": "message-end", "delta": {"error": {"a": _LONG}}}],
    "bedrock": [{"message": _LONG, "__type": _LONG}, {"Message": [_LONG]}],
}


@every_wire
def test_what_a_provider_says_is_cut(wire: str) -> None:
    """Words of a hundred thousand characters, wherever an error has them, are two thousand, and codes two hundred."""
    model = _model(wire)
    for body in [*_FAILURES[wire], _LONG, {"error": {"message": _LONG, "type": _LONG}}, {"message": _LONG}]:
        info = model.wire.decode_error(500, body)
        assert len(info.message or "") <= 2000
        assert len(info.code or "") <= 200
    for body in _FAILURES[wire]:
        name = "exception:" + _LONG if wire == "bedrock" else ""
        with pytest.raises(ValueError, match="sent an error") as raised:
            for _ in model.wire.decode_stream(iter([Frame(name, json.dumps(body).encode())])):
                pass
        assert len(str(raised.value)) < 2300
        try:
            model.wire.decode(body)
        except ValueError as error:
            assert len(str(error)) < 2300


def _call(model: WireModel, *messages: ModelMessage) -> ModelCall:
    return ModelCall(
        model.model_name,
        messages,
        {},
        ModelRequestParameters(),
        model.profile,
        False,
        model.system,
        model._quirks,
    )


@every_wire
def test_requests_are_not_quoted(wire: str) -> None:
    """What a request has no place for is a UserError that holds no key, value, media type or address out of it."""
    model, asked = _model(wire), ModelRequest([UserPromptPart("q")])
    for arguments in ({_WORDS: object()}, {"a": {_WORDS: [object()]}}, {"a": {(1, _WORDS): 1}}):
        answer = ModelResponse([ToolCallPart("t", arguments, "c")])
        with pytest.raises(UserError, match=r"^The request to .* cannot be written: a ") as raised:
            model.wire.encode(_call(model, asked, answer, ModelRequest([ToolReturnPart("t", "x", "c")])))
        assert _WORDS not in said(raised.value)
    answer = ModelResponse([ToolCallPart("t", {}, "c")])
    with pytest.raises(UserError, match=r"^The tool 't' returned what cannot be sent to a model: a value of") as raised:
        model.wire.encode(_call(model, asked, answer, ModelRequest([ToolReturnPart("t", {_WORDS: object()}, "c")])))
    assert _WORDS not in said(raised.value)
    items = (
        BinaryContent(b"x", f"video/{_WORDS}"),
        BinaryContent(b"x", f"audio/{_WORDS}"),
        BinaryContent(b"x", _WORDS),
        ImageUrl(f"data:{_WORDS}"),
        AudioUrl(f"https://example.com/{_WORDS}"),
    )
    for item in items:
        try:
            model.wire.encode(_call(model, ModelRequest([UserPromptPart([item])])))
        except UserError as error:
            assert _WORDS not in said(error)


@every_wire
def test_names_that_cannot_be_sent(wire: str) -> None:
    """Half a surrogate pair in a model's name is refused when the model is made."""
    with pytest.raises(UserError, match=r"^A model's name is a text that can be sent; 'm\\ud800' has half a surrogate"):
        _model(wire, "m\ud800")


@every_wire
def test_long_names(wire: str) -> None:
    """A model's name of any length is two hundred characters of a text."""
    model = _model(wire, "m" * 100_000)
    assert len(repr(model)) < 1000
    answer = ModelResponse([ToolCallPart("t", {"a": object()}, "c")])
    with pytest.raises(UserError) as raised:
        model.wire.encode(_call(model, ModelRequest([UserPromptPart("q")]), answer))
    assert len(str(raised.value)) < 500
    with pytest.raises(UserError, match=r"got int\.$"):
        _model(wire, 7)  # type: ignore[arg-type] # wrong on purpose


def test_long_names_that_are_unknown() -> None:
    """What names no model is two hundred characters of the error, whatever it is."""
    with pytest.raises(UserError, match=r"^Unknown model: u{200}\.\.\.") as raised:
        infer_model("u" * 100_000)
    assert len(str(raised.value)) < 1500
