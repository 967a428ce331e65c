"""
Every recorded exchange with a server that speaks OpenAI's Responses API reads as OpenAI's own SDK reads it.

Two are no answers of a model, and are refused: ``openai-conversations-01`` makes an empty conversation, and
``openai-responses-compact-01`` gives a shorter input, which repeats what the user said. A count of tokens has a
reading of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import ModelResponse, OpaquePart, ThinkingPart
from syncagent.models.base import StreamedResponse
from syncagent.models.openai_responses import ResponsesWire
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters
from syncagent.transport.sse import sse_frames
from tests.conformance import compare_parts, cut, every_split, load
from tests.shared_folder import shared_files

_WIRE = ResponsesWire("p")
_CALLS = ("function_call", "custom_tool_call")

every_exchange = pytest.mark.parametrize(
    "path",
    [
        *shared_files("conformance", "[!e]*/*-responses-[0-9]*.json"),
        *shared_files("conformance", "[!e]*/*-responses-retrieve-[0-9]*.json"),
    ],
)
every_stream = pytest.mark.parametrize("path", shared_files("conformance", "[!e]*/*-responses-*stream-*.json"))


def _compare(response: ModelResponse, expected: dict[str, Any]) -> None:
    """Text, tool calls, thinking, server tools, usage, finish reason and model are the expected ones."""
    thoughts = [part.content for part in response.parts if isinstance(part, ThinkingPart) and part.content]
    if expected["thinking"]:
        # There the pieces of thinking are joined by blank lines; here each is a part of its own.
        assert "\n\n".join(thoughts) == expected["thinking"]
        expected = {**expected, "thinking": "".join(thoughts)}
    compare_parts(response, expected)
    assert [part.data["type"] for part in response.parts if isinstance(part, OpaquePart)] == expected.get(
        "server_items", []
    )
    # Both count cached tokens in the input and thinking in the output.
    usage, details = response.usage, response.usage.details or {}
    assert (usage.request_tokens, usage.response_tokens) == (expected["input_tokens"], expected["output_tokens"])
    if usage.request_tokens is not None:
        assert usage.total_tokens == expected["usage_raw"]["total_tokens"]
    for name, theirs in (("cached_tokens", "cache_read_tokens"), ("reasoning_tokens", "reasoning_tokens")):
        if expected.get(theirs) is not None:
            assert details[name] == expected[theirs]
    done = "tool_call" if expected["tool_calls"] else "stop"
    assert response.finish_reason == {"completed": done, "queued": None}[expected["finish_reason"]]


def _goes_back(response: ModelResponse, output: list[dict[str, Any]]) -> None:
    """Sent back, the response is the output it came from, in its order, with its ids and proofs."""
    call = ModelCall("m", [response], {}, ModelRequestParameters(), ModelProfile(), False, "p", {"thinking": "x"})
    sent = json.loads(_WIRE.encode(call).body)["input"]
    thought = any(item["type"] == "reasoning" for item in sent if "type" in item)
    came = [
        item
        for item in output
        if item["type"] != "reasoning" or item.get("encrypted_content") or item["summary"] or item.get("content")
    ]
    assert len(sent) == len(came)
    for back, item in zip(sent, came):
        kind = item["type"]
        assert back.get("type", "message") == kind
        if kind == "message":
            text = "".join(piece["text"] for piece in item["content"])
            assert text == (back["content"][0]["text"] if "id" in back else back["content"])
            assert back.get("phase") == item.get("phase")
            assert back.get("id") == (item["id"] if thought else None)
        elif kind in _CALLS:
            for key in ("call_id", "name", "arguments", "namespace"):
                assert back.get(key) == item.get(key)
            assert back.get("id") == (item["id"] if thought else None)
        elif kind == "reasoning":
            assert back["id"] == item["id"]
            assert back.get("encrypted_content") == item.get("encrypted_content")
            assert (back["summary"], back.get("content") or []) == (item["summary"], item.get("content") or [])
        else:
            assert back == item


@every_exchange
def test_answer(path: Path) -> None:
    """An answer that came whole gives the expected response, which goes back as it came; an error its words."""
    exchange, expected = load(path)
    status, body = exchange["response"]["status"], exchange["response"]["body"]
    if expected["kind"] == "error":
        info = _WIRE.decode_error(status, body)
        assert info.message == expected["message"]
        assert info.code == expected["code"]
        assert info.kind == {"model_not_found": "not_found"}.get(info.code or "")
    else:
        response = _WIRE.decode(body)
        _compare(response, expected)
        _goes_back(response, body["output"])


@every_split
@every_stream
def test_stream(path: Path, split: str) -> None:
    """A stream gives the expected response however the network cut it, and that goes back as it came."""
    exchange, expected = load(path)
    text = exchange["response"]["body_text"]
    stream = StreamedResponse(_WIRE.decode_stream(sse_frames(cut(text.encode(), split))), model_name="asked")
    assert list(stream)
    assert stream.info.complete
    response = stream.get()
    response.provider_name = "p"
    _compare(response, expected)
    frames = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:") and "{" in line]
    # The proof of a thought is another one each time that it is said; that of the item that is done counts.
    done = [frame for frame in frames if frame["type"] == "response.output_item.done"]
    output = [frame["item"] for frame in sorted(done, key=lambda frame: frame["output_index"])]
    _goes_back(response, output)
    # The same as if it had come whole.
    whole = _WIRE.decode({**frames[-1]["response"], "output": output})
    assert (response.parts, response.provider_details) == (whole.parts, whole.provider_details)


@pytest.mark.parametrize("path", shared_files("conformance", "[!e]*/*-responses-input_tokens-*.json"))
def test_count(path: Path) -> None:
    """The count of a request's tokens is the expected one."""
    exchange, expected = load(path)
    assert _WIRE.decode_count(exchange["response"]["body"]) == expected["input_tokens"]


@pytest.mark.parametrize("path", shared_files("conformance", "[!e]*/*-responses-compact-*.json"))
def test_compaction(path: Path) -> None:
    """A compacted input holds what the user said, and is no answer."""
    with pytest.raises(ValueError, match=r"^output\[0\]\.role: expected 'assistant', got 'user'$"):
        _WIRE.decode(load(path)[0]["response"]["body"])


@pytest.mark.parametrize("path", shared_files("conformance", "[!e]*/*-conversations-*.json"))
def test_conversation(path: Path) -> None:
    """A conversation that was made is no answer."""
    with pytest.raises(ValueError, match=r"^output: expected a list, got nothing$"):
        _WIRE.decode(load(path)[0]["response"]["body"])
