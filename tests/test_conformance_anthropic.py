"""Every recorded exchange with Anthropic's Messages API reads as the provider's own SDK reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import ModelRequest, ModelResponse, OpaquePart, UserPromptPart
from syncagent.models.anthropic import AnthropicWire
from syncagent.models.base import StreamedResponse
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters
from syncagent.transport.sse import sse_frames
from tests.conformance import compare_parts, cut, every_split, load, parts_of
from tests.shared_folder import shared_files

_WIRE = AnthropicWire("anthropic")
_FINISH = {"end_turn": "stop", "tool_use": "tool_call"}
_OURS = ("citations", "tool_use_caller")

every_exchange = pytest.mark.parametrize("path", shared_files("conformance", "anthropic/*-messages-[0-9]*.json"))
every_count = pytest.mark.parametrize("path", shared_files("conformance", "anthropic/*-count_tokens-*.json"))
every_stream = pytest.mark.parametrize("path", shared_files("conformance", "anthropic/*-stream-*.json"))


def _compare(response: ModelResponse, expected: dict[str, Any]) -> None:
    """Parts, usage, finish reason and what the provider's own tools did are the expected ones."""
    compare_parts(response, expected)
    assert response.finish_reason == _FINISH[expected["finish_reason"]]
    items = [part.data["type"] for part in parts_of(response, OpaquePart) if part.data["type"] not in _OURS]
    assert items == expected.get("server_items", [])
    # The API counts what it reads from the cache or writes to it apart; request_tokens is all that was sent.
    usage, details = response.usage, response.usage.details or {}
    assert details["cached_tokens"] == expected["cache_read_tokens"]
    assert details["cache_write_tokens"] == expected["cache_write_tokens"]
    apart = expected["cache_read_tokens"] + expected["cache_write_tokens"]
    assert usage.request_tokens == expected["input_tokens"] + apart
    assert usage.response_tokens == expected["output_tokens"]
    assert usage.total_tokens == usage.request_tokens + usage.response_tokens
    thought = expected["usage_raw"].get("output_tokens_details", {}).get("thinking_tokens", 0)
    assert details.get("reasoning_tokens", 0) == thought


def _sent_back(response: ModelResponse) -> list[dict[str, Any]]:
    """The blocks that the response goes back as."""
    messages = [ModelRequest([UserPromptPart("Hi")]), response]
    call = ModelCall("m", messages, {}, ModelRequestParameters(), ModelProfile(), False, "anthropic", {})
    turns = json.loads(_WIRE.encode(call).body)["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"]
    blocks: list[dict[str, Any]] = turns[1]["content"]
    return blocks


def _plain(block: dict[str, Any]) -> dict[str, Any]:
    """A block that came, without what says nothing."""
    caller = block.get("caller")
    return {
        key: value
        for key, value in block.items()
        if not ((key == "citations" and not value) or (key == "caller" and block["type"] == "tool_use"
                and caller == {"type": "direct"}))
    }  # fmt: skip


@every_exchange
def test_answer(path: Path) -> None:
    """An answer that came whole gives the expected response, and goes back as it came; an error its words and kind."""
    exchange, expected = load(path)
    status, body = exchange["response"]["status"], exchange["response"]["body"]
    if expected["kind"] == "error":
        info = _WIRE.decode_error(status, body)
        assert (info.message, info.code, info.kind) == (expected["message"], expected["type"], "not_found")
    else:
        response = _WIRE.decode(body)
        _compare(response, expected)
        assert _sent_back(response) == [_plain(block) for block in body["content"]]


@every_split
@every_stream
def test_stream(path: Path, split: str) -> None:
    """A stream gives the expected response however the network cut it, and can be sent back."""
    exchange, expected = load(path)
    chunks = cut(exchange["response"]["body_text"].encode(), split)
    stream = StreamedResponse(_WIRE.decode_stream(sse_frames(chunks)), model_name="asked")
    assert list(stream)
    assert stream.info.complete
    response = stream.get()
    _compare(response, expected)
    texts = "".join(block["text"] for block in _sent_back(response) if block["type"] == "text")
    assert texts == expected["text"]


@every_count
def test_count(path: Path) -> None:
    """A count of tokens is the number that came."""
    exchange, expected = load(path)
    assert _WIRE.decode_count(exchange["response"]["body"]) == expected["input_tokens"]
