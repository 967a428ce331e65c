"""``CachePoint``: stored with the history, shown by the command line, and unknown to APIs without such points."""

from __future__ import annotations

import json

import pytest

from syncagent import Agent
from syncagent.cli.transcript import transcript
from syncagent.messages import CachePoint, ModelMessage, ModelMessagesTypeAdapter, ModelRequest, UserPromptPart
from syncagent.models.chat import encode
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters
from syncagent.usage import Usage


def _history(*points: CachePoint) -> list[ModelMessage]:
    return [ModelRequest([UserPromptPart(["the book", *points, "the question"])])]


def test_stored_and_loaded() -> None:
    """A cache point is stored with its kind and how long it holds, and loads as it was."""
    history = _history(CachePoint(), CachePoint("1h"))
    stored = ModelMessagesTypeAdapter.dump_json(history)
    assert json.loads(stored)[0]["parts"][0]["content"] == [
        "the book",
        {"ttl": "5m", "kind": "cache-point"},
        {"ttl": "1h", "kind": "cache-point"},
        "the question",
    ]
    assert ModelMessagesTypeAdapter.validate_json(stored) == history


def test_unknown_time() -> None:
    """A stored point that holds for a time that there is not is refused, and the text says where."""
    stored = '[{"parts":[{"content":[{"ttl":"2d","kind":"cache-point"}],"part_kind":"user-prompt"}],"kind":"request"}]'
    with pytest.raises(ValueError, match=r"\.content\[0\]\.ttl: expected '5m' or '1h', got something else$"):
        ModelMessagesTypeAdapter.validate_json(stored)


def test_other_apis_are_not_told() -> None:
    """OpenAI's chat API has no cache points: they are left out of what is sent."""
    call = ModelCall("m", _history(CachePoint()), {}, ModelRequestParameters(), ModelProfile(), False, "p", {})
    content = json.loads(encode(call).body)["messages"][0]["content"]
    assert [item["text"] for item in content] == ["the book", "the question"]


def test_in_a_prompt() -> None:
    """A prompt may hold a cache point."""
    result = Agent("test").run_sync(["the book", CachePoint(), "the question"])
    assert result.data == "success (no tool calls)"


def test_transcript() -> None:
    """The command line shows where a cache point stands."""
    assert "<cache point>" in transcript(_history(CachePoint()), Usage())
