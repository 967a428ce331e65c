"""Every recorded exchange with an OpenAI-compatible chat server reads as the provider's own SDK reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import ModelResponse, ToolCallPart
from syncagent.models.base import StreamedResponse
from syncagent.models.chat import ChatWire
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters
from syncagent.transport.sse import sse_frames
from tests.conformance import compare_parts, cut, every_split, load, parts_of
from tests.shared_folder import shared_files

_WIRE = ChatWire("p", {"keep": ("reasoning_details",), "thinking": "reasoning_content"})

# Every folder but ``expected`` is a provider's.
every_exchange = pytest.mark.parametrize("path", shared_files("conformance", "[!e]*/*-chat-completions-[0-9]*.json"))
every_stream = pytest.mark.parametrize("path", shared_files("conformance", "[!e]*/*-chat-completions-stream-*.json"))


def _compare(response: ModelResponse, expected: dict[str, Any]) -> None:
    """Text, tool calls, thinking, usage, finish reason and model are the expected ones."""
    compare_parts(response, expected)
    usage = response.usage
    assert (usage.request_tokens, usage.response_tokens) == (expected["input_tokens"], expected["output_tokens"])
    details = usage.details or {}
    if expected["cache_read_tokens"] is not None:
        assert details["cached_tokens"] == expected["cache_read_tokens"]
    if expected.get("reasoning_tokens") is not None:
        assert details["reasoning_tokens"] == expected["reasoning_tokens"]
    if expected["finish_reason"]:
        known = {"stop": "stop", "length": "length", "tool_calls": "tool_call"}
        assert response.finish_reason == known[expected["finish_reason"]]


def _sendable(response: ModelResponse) -> bool:
    """Whether the response can go back as part of a history."""
    for part in parts_of(response, ToolCallPart):
        part.tool_call_id = part.tool_call_id or "call_1"
    call = ModelCall("m", [response], {}, ModelRequestParameters(), ModelProfile(), False, "p", _WIRE.quirks)
    messages = json.loads(_WIRE.encode(call).body)["messages"]
    return len(messages) == 1 and messages[0]["role"] == "assistant"


@every_exchange
def test_answer(path: Path) -> None:
    """An answer that came whole gives the expected response, which can be sent back; an error its words and kind."""
    exchange, expected = load(path)
    status, body = exchange["response"]["status"], exchange["response"]["body"]
    if expected["kind"] == "error":
        info = _WIRE.decode_error(status, body)
        assert info.message is not None and info.message.startswith(expected["message"])
        assert info.code == (None if expected["code"] is None else str(expected["code"]))
        assert info.kind == {"model_not_found": "not_found"}.get(info.code or "")
    elif expected["kind"] == "other":
        with pytest.raises(ValueError, match=r"^choices: expected a list with one choice, got nothing$"):
            _WIRE.decode(body)
    else:
        response = _WIRE.decode(body)
        _compare(response, expected)
        assert _sendable(response)


@every_split
@every_stream
def test_stream(path: Path, split: str) -> None:
    """A stream gives the expected response however the network cut it; an error in it its words, after what came."""
    exchange, expected = load(path)
    chunks = cut(exchange["response"]["body_text"].encode(), split)
    stream = StreamedResponse(_WIRE.decode_stream(sse_frames(chunks)), model_name="asked")
    wrong = expected.get("stream_error")
    if wrong is None:
        assert list(stream)
    else:
        with pytest.raises(ValueError, match=wrong["message"]):
            list(stream)
    ended = expected["finish_reason"] is not None or "[DONE]" in exchange["response"]["body_text"]
    assert stream.info.complete is ended
    response = stream.get()
    _compare(response, expected)
    assert wrong is not None or _sendable(response)
