"""What the tests of recorded exchanges share: loading, comparing, cutting streams into pieces."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from syncagent.messages import ModelResponse, TextPart, ThinkingPart, ToolCallPart
from tests.shared_folder import shared_files

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

__all__ = ["answers", "compare_parts", "cut", "every_split", "load", "parts_of"]

every_split = pytest.mark.parametrize("split", ["whole", "bytes", "random"])


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The exchange, and what a right reading of it gives."""
    expected = path.parents[1] / "expected" / path.name
    return json.loads(path.read_text(encoding="utf-8")), json.loads(expected.read_text(encoding="utf-8"))


def answers(pattern: str) -> list[ParameterSet]:
    """The recorded exchanges that match and ended with an answer, not an error; for ``parametrize``."""
    found = shared_files("conformance", pattern)
    return [one for one in found if one.marks or load(one.values[0])[1]["kind"] == "completion"]  # type: ignore[arg-type]  # a path


def parts_of(response: ModelResponse, cls: Any) -> list[Any]:
    """The response's parts of a class."""
    return [part for part in response.parts if isinstance(part, cls)]


def compare_parts(response: ModelResponse, expected: dict[str, Any]) -> None:
    """Text, tool calls, thinking, finish reason, model and id are the expected ones; usage has a meaning by wire."""
    assert "".join(part.content for part in parts_of(response, TextPart)) == expected["text"]
    assert ("".join(part.content for part in parts_of(response, ThinkingPart)) or None) == expected["thinking"]
    calls = [
        {"name": part.tool_name, "arguments": part.args_as_dict(), "id": part.tool_call_id or ""}
        for part in parts_of(response, ToolCallPart)
    ]
    assert calls == expected["tool_calls"]
    assert (response.provider_details or {}).get("finish_reason") == (expected["finish_reason"] or None)
    assert response.model_name == expected["model"]
    assert response.provider_response_id == (expected.get("response_id") or None)


def cut(data: bytes, split: str) -> Iterator[bytes]:
    """The bytes as the network may bring them: whole, one by one, in pieces of all sizes."""
    if split == "whole":
        yield data
    elif split == "bytes":
        for index in range(len(data)):
            yield data[index : index + 1]
    else:
        generator = random.Random(20260401)
        start = 0
        while start < len(data):
            size = generator.choice((1, 2, 7, 64, 999))
            yield data[start : start + size]
            start += size
