"""Every recorded exchange with Google's generateContent reads as Google's own package reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import ModelResponse, OpaquePart, TextPart, ThinkingPart, ToolCallPart
from syncagent.models.base import StreamedResponse
from syncagent.models.gemini import GeminiWire
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters
from syncagent.transport.sse import sse_frames
from tests.conformance import cut, every_split, load, parts_of
from tests.shared_folder import shared_files

_WIRE = GeminiWire("google-gla")
_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "UNEXPECTED_TOOL_CALL": "error"}

every_answer = pytest.mark.parametrize("path", shared_files("conformance", "google*/*-generateContent-*.json"))
every_stream = pytest.mark.parametrize("path", shared_files("conformance", "google*/*-streamGenerateContent-*.json"))
every_count = pytest.mark.parametrize("path", shared_files("conformance", "google*/*-countTokens-*.json"))


def _compare(response: ModelResponse, expected: dict[str, Any]) -> None:
    """
    Text, tool calls, thinking, usage, finish reason and model are the expected ones.

    The expected counts are Google's own, which leave thinking out of the output and the prompts of its own tools
    out of the input, and zeros out altogether; ours count them in.
    """
    assert "".join(part.content for part in parts_of(response, TextPart)) == expected["text"]
    assert ("".join(part.content for part in parts_of(response, ThinkingPart)) or None) == expected["thinking"]
    calls = parts_of(response, ToolCallPart)
    assert [
        {"name": part.tool_name, "arguments": part.args_as_dict(), "id": part.tool_call_id} for part in calls
    ] == expected["tool_calls"]
    usage = response.usage
    details = usage.details or {}
    thoughts = expected.get("reasoning_tokens") or 0
    assert usage.request_tokens == expected["input_tokens"] + (expected.get("tool_use_prompt_tokens") or 0)
    assert usage.response_tokens == (expected["output_tokens"] or 0) + thoughts
    assert usage.total_tokens == (usage.request_tokens or 0) + (usage.response_tokens or 0)
    assert details.get("reasoning_tokens", 0) == thoughts
    assert details.get("cached_tokens") == expected["cache_read_tokens"]
    said = expected["finish_reason"]
    assert (response.provider_details or {}).get("finish_reason") == said
    assert response.finish_reason == ("tool_call" if said == "STOP" and calls else _FINISH[said])
    assert response.model_name == expected["model"]
    assert response.provider_response_id == expected["response_id"]
    opaque = [key for part in parts_of(response, OpaquePart) for key in part.data]
    assert [key for key in opaque if key in ("executableCode", "codeExecutionResult")] == expected.get(
        "server_items", []
    )
    assert opaque.count("inlineData") == expected.get("media_parts", 0)


def _sent_back(response: ModelResponse) -> list[dict[str, Any]]:
    """The parts of the response as the next request has them."""
    call = ModelCall("m", [response], {}, ModelRequestParameters(), ModelProfile(), False, "google-gla", {})
    contents = json.loads(_WIRE.encode(call).body)["contents"]
    return [part for content in contents if content["role"] == "model" for part in content["parts"]]


def _received(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The provider's own parts; pieces of one text are put together, behind the signature of the first as well."""
    parts: list[dict[str, Any]] = []
    for chunk in chunks:
        for part in chunk["candidates"][0].get("content", {}).get("parts", []):
            before = parts[-1] if parts else {}
            if part.keys() <= {"text", "thought"} and part.keys() == before.keys() - {"thoughtSignature"}:
                before["text"] += part["text"]
            elif part != {"text": ""}:
                parts.append(dict(part))
    return parts


@every_answer
def test_answer(path: Path) -> None:
    """An answer that came whole gives the expected response and goes back part by part; an error gives its words."""
    exchange, expected = load(path)
    status, body = exchange["response"]["status"], exchange["response"]["body"]
    if expected["kind"] == "error":
        info = _WIRE.decode_error(status, body)
        assert (info.message, info.code, info.kind) == (expected["message"], expected["type"], None)
        return
    response = _WIRE.decode(body)
    _compare(response, expected)
    assert _sent_back(response) == _received([body])


@every_split
@every_stream
def test_stream(path: Path, split: str) -> None:
    """A stream gives the expected response however the network cut it, and goes back with each signature."""
    exchange, expected = load(path)
    text = exchange["response"]["body_text"]
    stream = StreamedResponse(_WIRE.decode_stream(sse_frames(cut(text.encode(), split))), model_name="asked")
    assert list(stream)
    assert stream.info.complete
    _compare(stream.get(), expected)
    chunks = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
    assert _sent_back(stream.get()) == _received(chunks)


@every_count
def test_count(path: Path) -> None:
    """The answer of countTokens is its number; an error gives its words."""
    exchange, expected = load(path)
    status, body = exchange["response"]["status"], exchange["response"]["body"]
    if expected["kind"] == "error":
        info = _WIRE.decode_error(status, body)
        assert (info.message, info.code, info.kind) == (expected["message"], expected["type"], "not_found")
    else:
        assert _WIRE.decode_count(body) == expected["input_tokens"]
