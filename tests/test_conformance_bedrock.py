"""Every recorded exchange with Bedrock's Converse API reads as botocore's model of it reads it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import ModelRequest, ModelResponse, OpaquePart, ToolCallPart, UserPromptPart
from syncagent.models.base import StreamedResponse
from syncagent.models.bedrock import BedrockWire
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters
from syncagent.transport.eventstream import eventstream_frames
from tests.conformance import compare_parts, cut, every_split, load, parts_of
from tests.shared_folder import shared_files

_WIRE = BedrockWire("bedrock")
_FINISH = {"end_turn": "stop", "tool_use": "tool_call", "max_tokens": "length"}

# bedrock-invoke-01 is not read: InvokeModel takes and gives each vendor's own bodies, and is not this API.
every_answer = pytest.mark.parametrize("path", shared_files("conformance", "bedrock/bedrock-converse-[0-9]*.json"))
every_stream = pytest.mark.parametrize("path", shared_files("conformance", "bedrock/bedrock-converse-stream-*.json"))
every_count = pytest.mark.parametrize("path", shared_files("conformance", "bedrock/bedrock-count-tokens-*.json"))


def _compare(response: ModelResponse, expected: dict[str, Any]) -> None:
    """
    Text, tool calls, thinking, usage and finish reason are the expected ones.

    The expected input is Bedrock's own count, which leaves out what was read from the cache and written to it;
    ours counts both in. The sum of both is Bedrock's own total.
    """
    compare_parts(response, expected)
    usage, details = response.usage, response.usage.details or {}
    read, written = expected["cache_read_tokens"], expected.get("cache_write_tokens")
    assert usage.request_tokens == expected["input_tokens"] + (read or 0) + (written or 0)
    assert usage.response_tokens == expected["output_tokens"]
    assert usage.total_tokens == expected["usage_raw"]["totalTokens"]
    assert (details.get("cached_tokens"), details.get("cache_write_tokens")) == (read, written)
    assert response.finish_reason == _FINISH[expected["finish_reason"]]
    served = [part.data["toolUse"]["name"] for part in parts_of(response, OpaquePart) if "toolUse" in part.data]
    assert served == expected.get("server_items", [])


def _sent_back(response: ModelResponse) -> list[dict[str, Any]]:
    """The blocks of the response as the next request has them."""
    messages: Any = [response, ModelRequest([UserPromptPart("And?")])]
    call = ModelCall("m", messages, {}, ModelRequestParameters(), ModelProfile(), False, "bedrock", {})
    return list(json.loads(_WIRE.encode(call).body)["messages"][0]["content"])


def _error(exchange: dict[str, Any], expected: dict[str, Any]) -> None:
    status, body = exchange["response"]["status"], exchange["response"]["body"]
    info = _WIRE.decode_error(status, body)
    kind = "not_found" if "identifier is invalid" in expected["message"] else None
    assert (info.message, info.code, info.kind) == (expected["message"], expected["code"], kind)


@every_answer
def test_answer(path: Path) -> None:
    """An answer that came whole gives the expected response and goes back block by block; an error gives its words."""
    exchange, expected = load(path)
    if expected["kind"] == "error":
        _error(exchange, expected)
        return
    body = exchange["response"]["body"]
    response = _WIRE.decode(body)
    _compare(response, expected)
    # Thinking that is not signed is nobody's proof, and stays here.
    blocks = body["output"]["message"]["content"]
    assert _sent_back(response) == [
        block for block in blocks if "reasoningContent" not in block or "signature" in json.dumps(block)
    ]


@every_split
@every_stream
def test_stream(path: Path, split: str) -> None:
    """A stream gives the expected response however the network cut it; a refused one its words."""
    exchange, expected = load(path)
    if expected["kind"] == "error":
        _error(exchange, expected)
        return
    data = base64.b64decode(exchange["response"]["body_b64"])
    stream = StreamedResponse(
        _WIRE.decode_stream(eventstream_frames(cut(data, split))), model_name="asked", provider_name="bedrock"
    )
    assert list(stream)
    assert stream.info.complete
    response = stream.get()
    response.model_name = None  # no stream says it
    _compare(response, expected)
    sent = _sent_back(response)
    assert len(sent) == len(response.parts)
    for part, block in zip(response.parts, sent):
        if isinstance(part, OpaquePart):
            assert block == part.data
        elif isinstance(part, ToolCallPart):
            assert block["toolUse"]["toolUseId"] == part.tool_call_id


@every_count
def test_count(path: Path) -> None:
    """The answer of CountTokens is its number."""
    exchange, expected = load(path)
    assert _WIRE.decode_count(exchange["response"]["body"]) == expected["input_tokens"]
