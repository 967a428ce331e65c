"""Deltas add up to parts, and refuse what does not fit."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from syncagent.exceptions import UnexpectedModelBehavior
from syncagent.messages import (
    FunctionToolCallEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)


def test_text() -> None:
    """Text is added, in a new part."""
    part = TextPart("a")
    assert TextPartDelta("b").apply(part) == TextPart("ab")
    assert part == TextPart("a")


def test_thinking() -> None:
    """Thinking is added; a signature replaces the one before, and a provider's name stays where none comes."""
    part = ThinkingPart("a", "id", "s", "p")
    assert ThinkingPartDelta("b").apply(part) == ThinkingPart("ab", "id", "s", "p")
    assert ThinkingPartDelta(signature_delta="", provider_name="q").apply(part) == ThinkingPart("a", "id", "", "q")


@pytest.mark.parametrize(
    ("part", "delta", "whole"),
    [
        (ToolCallPart("t", "{"), ToolCallPartDelta(args_delta="}"), ToolCallPart("t", "{}")),
        (ToolCallPart("t", {"a": 1}), ToolCallPartDelta(args_delta={"b": 2}), ToolCallPart("t", {"a": 1, "b": 2})),
        (ToolCallPart("t", ""), ToolCallPartDelta("wo", tool_call_id="id"), ToolCallPart("two", "", "id")),
        (ToolCallPart("t", "", "id"), ToolCallPartDelta(None, "x", "id"), ToolCallPart("t", "x", "id")),
        (ToolCallPartDelta(), ToolCallPartDelta("t"), ToolCallPartDelta("t")),
        (ToolCallPartDelta(), ToolCallPartDelta(args_delta=""), ToolCallPartDelta(None, "")),
        (ToolCallPartDelta("t"), ToolCallPartDelta("wo"), ToolCallPartDelta("two")),
        (ToolCallPartDelta("t", None, "id"), ToolCallPartDelta(args_delta=""), ToolCallPart("t", "", "id")),
        (ToolCallPartDelta(None, '{"a"'), ToolCallPartDelta("t", ":1}"), ToolCallPart("t", '{"a":1}')),
    ],
)
def test_tool_calls(part: Any, delta: ToolCallPartDelta, whole: Any) -> None:
    """Names and arguments are added; what has both is a tool call, what has not stays a delta."""
    assert delta.apply(part) == whole


def test_as_part() -> None:
    """A delta is a whole call only with a name and arguments; empty arguments are some."""
    assert ToolCallPartDelta("t", "", "id").as_part() == ToolCallPart("t", "", "id")
    assert ToolCallPartDelta("t").as_part() is None
    assert ToolCallPartDelta(args_delta="{}").as_part() is None


@pytest.mark.parametrize(
    ("part", "delta", "text"),
    [
        (ToolCallPart("t", {"a": 1}), ToolCallPartDelta(args_delta="{"),
         "Cannot apply JSON deltas to non-JSON tool arguments (dict)"),
        (ToolCallPart("t", "{"), ToolCallPartDelta(args_delta={"a": 1}),
         "Cannot apply dict deltas to non-dict tool arguments (str)"),
        (ToolCallPart("t", "", "one"), ToolCallPartDelta(tool_call_id="two"),
         "Cannot apply a new tool_call_id to a ToolCallPartDelta that already has one ("),
        (ToolCallPartDelta("t", None, "one"), ToolCallPartDelta(tool_call_id="two"),
         "Cannot apply a new tool_call_id to a ToolCallPartDelta that already has one ("),
    ],
)  # fmt: skip
def test_what_a_model_may_not_send(part: Any, delta: ToolCallPartDelta, text: str) -> None:
    """Text for a dict, a dict for text and a changed id are ``UnexpectedModelBehavior``."""
    with pytest.raises(UnexpectedModelBehavior, match=re.escape(text)):
        delta.apply(part)


@pytest.mark.parametrize(
    ("part", "delta"),
    [
        (ThinkingPart("x"), TextPartDelta("x")),
        (TextPart("x"), ThinkingPartDelta("x")),
        (TextPart("x"), ToolCallPartDelta("t")),
    ],
)
def test_parts_of_another_kind(part: Any, delta: Any) -> None:
    """A delta for a part of another kind is a ValueError."""
    name = type(delta).__name__
    with pytest.raises(ValueError, match=f"^Cannot apply {name}s to non-{name[:-5]}s$"):
        delta.apply(part)


def test_id_of_a_call_event() -> None:
    """The event of a call has the call's id, or a fresh UUID where there is none."""
    assert FunctionToolCallEvent(ToolCallPart("t", {}, "id")).call_id == "id"
    made = [FunctionToolCallEvent(ToolCallPart("t", {})).call_id for _ in range(2)]
    assert made[0] != made[1]
    assert all(uuid.UUID(call_id).version == 4 for call_id in made)
