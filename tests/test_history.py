"""Cutting histories: what is kept, and what is never parted."""

from __future__ import annotations

import copy
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.exceptions import UserError
from syncagent.history import keep_last
from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)


def user(text: str, *before: Any) -> ModelRequest:
    """A request with what the user said."""
    return ModelRequest([*before, UserPromptPart(text)])


def say(text: str) -> ModelResponse:
    """A response in words."""
    return ModelResponse([TextPart(text)])


def call(*ids: Optional[str]) -> ModelResponse:
    """A response that calls the tool ``t`` once for each id."""
    return ModelResponse([ToolCallPart("t", {}, each) for each in ids])


def back(*ids: Optional[str]) -> ModelRequest:
    """A request with the returns of those calls."""
    return ModelRequest([ToolReturnPart("t", 1, each) for each in ids])


def test_a_short_history_is_kept_whole() -> None:
    """What is not longer than the limit comes back in a new list, the empty history too."""
    messages: list[ModelMessage] = [user("a"), say("b"), user("c")]
    kept = keep_last(3)(messages)
    assert messages == kept
    assert kept is not messages
    assert [] == keep_last(1)([])


def test_the_end_is_kept() -> None:
    """The last messages are kept, from a request on."""
    messages: list[ModelMessage] = [user("a"), say("b"), user("c"), say("d"), user("e")]
    assert messages[4:] == keep_last(1)(messages)
    assert messages[2:] == keep_last(2)(messages)
    assert messages[2:] == keep_last(3)(messages)
    assert messages == keep_last(4)(messages)


def test_calls_stay_with_their_returns() -> None:
    """The cut moves back before the call of a return that is kept, through a chain of calls to its prompt."""
    chain: list[ModelMessage] = [call("1", "2"), back("1", "2"), call("3"), back("3")]
    messages = [user("a"), say("b"), user("c"), *chain]
    for n in (1, 2, 3, 4, 5):
        assert messages[2:] == keep_last(n)(messages)
    assert messages == keep_last(6)(messages)


def test_returns_may_come_late_and_apart() -> None:
    """A return several messages behind its call holds everything in between."""
    late: list[ModelMessage] = [user("a"), call("1", "2"), back("1"), say("b"), user("c"), say("d"), back("2")]
    assert late == keep_last(1)(late)


def test_retries_are_returns_where_they_name_a_tool() -> None:
    """A retry prompt of a tool needs its call; one without a tool needs nothing."""
    of_tool = ModelRequest([RetryPromptPart("no", tool_name="t", tool_call_id="1")])
    messages: list[ModelMessage] = [user("a"), say("b"), user("c"), call("1"), of_tool]
    assert messages[2:] == keep_last(1)(messages)
    of_text = ModelRequest([RetryPromptPart("no")])
    messages = [user("a"), say("b"), user("c"), say("d"), of_text]
    assert messages[4:] == keep_last(1)(messages)


def test_calls_without_ids_go_by_name() -> None:
    """Where a provider gives no ids, the nearest call of the same tool is the one that was answered."""
    messages: list[ModelMessage] = [user("a"), call(None), back(None), say("b"), user("c"), call(None), back(None)]
    assert messages[4:] == keep_last(1)(messages)


def test_ids_may_be_used_again() -> None:
    """Where a provider counts its calls anew in each response, the nearest one is meant."""
    messages: list[ModelMessage] = [user("a"), call("1"), back("1"), say("b"), user("c"), call("1"), back("1")]
    assert messages[4:] == keep_last(1)(messages)


def test_a_return_without_call_does_not_keep_everything() -> None:
    """A return whose call is nowhere in the history does not stop the cut."""
    orphans: list[ModelMessage] = [back("gone"), say("c"), user("d"), call("1"), back("1", "lost")]
    messages = [user("a"), say("b"), *orphans]
    assert messages[4:] == keep_last(1)(messages)


def test_system_prompts_move_along() -> None:
    """The first request's system prompts stand first in what is kept; the originals are not touched."""
    system = [SystemPromptPart("be kind"), SystemPromptPart("be short", dynamic_ref="f")]
    messages: list[ModelMessage] = [user("a", *system), say("b"), user("c"), say("d"), user("e")]
    before = copy.deepcopy(messages)
    kept = keep_last(2)(messages)
    assert [*system, *messages[2].parts] == kept[0].parts
    assert messages[3:] == kept[1:]
    assert before == messages
    assert kept == keep_last(3)(kept)
    assert [*system, *messages[4].parts] == keep_last(1)(kept)[0].parts


def test_system_prompts_are_not_doubled() -> None:
    """A system prompt that the first kept request has itself stands there once."""
    system = SystemPromptPart("be kind")
    messages: list[ModelMessage] = [user("a", system), say("b"), user("c", system)]
    assert messages[2:] == keep_last(1)(messages)


def test_a_history_that_begins_with_a_response() -> None:
    """Where there is no first request there are no system prompts to keep."""
    messages: list[ModelMessage] = [say("a"), user("b"), say("c"), user("d")]
    assert messages[3:] == keep_last(1)(messages)
    assert messages[1:] == keep_last(2)(messages)


def test_a_history_that_ends_in_a_response() -> None:
    """A finished conversation ends as it did: its answer is not dropped."""
    messages: list[ModelMessage] = [user("a"), say("b"), user("c"), say("d")]
    assert messages[2:] == keep_last(1)(messages)


@pytest.mark.parametrize("n", [0, -1, True, 1.5, "3", None])
def test_the_number_is_checked(n: Any) -> None:
    """The number of messages is a whole one from 1 on."""
    with pytest.raises(UserError, match=r"keep_last takes a number of messages, 1 or more; got"):
        keep_last(n)


@st.composite
def conversations(draw: st.DrawFn) -> list[ModelMessage]:
    """Whole turns, with and without tools, ids that are fresh, used again or missing, and an open end."""
    messages: list[ModelMessage] = []
    fresh = iter(range(1000))
    for turn in range(draw(st.integers(1, 5))):
        system = [SystemPromptPart(f"s{turn}")] if not turn or draw(st.booleans()) else []
        messages.append(user(f"u{turn}", *system))
        for _ in range(draw(st.integers(0, 3))):
            style = draw(st.sampled_from(["fresh", "again", "none"]))
            count = draw(st.integers(1, 1 if style == "none" else 3))
            ids = [{"fresh": f"c{next(fresh)}", "again": str(i), "none": None}[style] for i in range(count)]
            messages.append(call(*ids))
            answer = back(*ids)
            if draw(st.booleans()):
                answer.parts[0] = RetryPromptPart("no", tool_name="t", tool_call_id=ids[0])
            if draw(st.booleans()):
                answer.parts.append(UserPromptPart("and"))
            messages.append(answer)
        messages.append(say(f"r{turn}"))
    end = draw(st.sampled_from(["prompt", "answer"]))
    if end == "prompt":
        return [*messages, user("end")]
    return messages[:-1]


@given(messages=conversations(), n=st.integers(1, 30))
def test_any_conversation_is_cut_where_nothing_is_parted(messages: list[ModelMessage], n: int) -> None:
    """At least n messages are kept, as they were; they begin and end in a request; calls and returns pair up."""
    before = copy.deepcopy(messages)
    kept = keep_last(n)(messages)
    assert before == messages
    assert min(n, len(messages)) <= len(kept)
    assert isinstance(kept[0], ModelRequest) and isinstance(kept[-1], ModelRequest)
    assert all(kept[-i] is messages[-i] for i in range(1, len(kept)))
    assert [part for part in messages[0].parts if isinstance(part, SystemPromptPart)] == [
        part for part in kept[0].parts if isinstance(part, SystemPromptPart)
    ][: sum(isinstance(part, SystemPromptPart) for part in messages[0].parts)]
    for response, request in zip(kept[:-1], kept[1:]):
        assert _called(response) == _answered(request)
    assert not _answered(kept[0])


def _called(message: ModelMessage) -> list[Optional[str]]:
    return [part.tool_call_id for part in message.parts if isinstance(part, ToolCallPart)]


def _answered(message: ModelMessage) -> list[Optional[str]]:
    return [
        part.tool_call_id
        for part in message.parts
        if isinstance(part, ToolReturnPart) or (isinstance(part, RetryPromptPart) and part.tool_name is not None)
    ]


@given(messages=conversations(), n=st.integers(1, 30))
def test_no_later_cut_would_do(messages: list[ModelMessage], n: int) -> None:
    """Nothing is kept that could be cut: every later cut keeps too little, or parts a call, or starts wrongly."""
    kept = keep_last(n)(messages)
    for start in range(len(messages) - len(kept) + 1, len(messages) - n + 1):
        head = messages[start]
        assert isinstance(head, ModelResponse) or _answered(head)
