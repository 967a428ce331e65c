"""Whatever a model answers, a run ends with a result or one of our errors, and its history can be sent again."""

from __future__ import annotations

import pickle
from typing import Any, Optional, Union

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncagent.agent import Agent
from syncagent.exceptions import AgentRunError, ModelRetry
from syncagent.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    RetryPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
)
from syncagent.usage import UsageLimits
from tests.scripted_model import Scripted

ids = st.sampled_from([None, "", "a", "b", "call_1"])
arguments: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        ["", "{", "[]", "null", '{"number": 1}', '{"number": 7', '{"response": 3}', '{"response": "x"}', "\ud800"]
    ),
    st.fixed_dictionaries({}, optional={"number": st.integers(-1, 9) | st.text(max_size=2)}),
    st.fixed_dictionaries({}, optional={"response": st.none() | st.integers() | st.text(max_size=2)}),
)
names = st.sampled_from(["work", "work", "final_result", "final_result", "final_result_int", "nope", "", "ünknown"])
texts = st.sampled_from(["", "words", '{"response": 5}', '```json\n{"response": 5}\n```', "{", "\ud800"])
parts = st.one_of(
    st.builds(TextPart, texts),
    st.builds(ThinkingPart, texts),
    st.just(OpaquePart("them", {"x": 1})),
    st.builds(ToolCallPart, names, arguments, ids),
    st.builds(ToolCallPart, names, arguments, ids),
)
responses = st.builds(
    lambda parts, reason: ModelResponse(parts, finish_reason=reason),
    st.lists(parts, max_size=5),
    st.sampled_from([None, "stop", "length", "tool_call", "content_filter", "error"]),
)


def work(number: int) -> Any:
    """A tool that may want a retry."""
    if number < 0:
        raise ModelRetry("A natural number, please.")
    return [number] * number


def unanswered(messages: list[ModelMessage]) -> list[Optional[str]]:
    """The ids of the last response's calls; asserts that all calls before it were answered once, at once."""
    open_calls: list[Optional[str]] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            assert open_calls == [], "a response follows on calls without answers"
            open_calls = [part.tool_call_id for part in message.parts if isinstance(part, ToolCallPart)]
            assert all(open_calls) and len(set(open_calls)) == len(open_calls)
        else:
            answered = [
                part.tool_call_id
                for part in message.parts
                if isinstance(part, ToolReturnPart)
                or (isinstance(part, RetryPromptPart) and part.tool_name is not None)
            ]
            assert sorted(map(str, answered)) == sorted(map(str, open_calls))
            open_calls = []
    return open_calls


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    answers=st.lists(responses, min_size=1, max_size=6),
    result_type=st.sampled_from([str, int, Union[str, int], list[int], Optional[int]]),
    mode=st.sampled_from([None, "tool", "native", "prompted"]),
    end_strategy=st.sampled_from(["early", "exhaustive"]),
    retries=st.integers(0, 4),
    calls_limit=st.none() | st.integers(0, 4),
)
def test_any_responses(
    answers: list[ModelResponse],
    result_type: Any,
    mode: Any,
    end_strategy: Any,
    retries: int,
    calls_limit: Optional[int],
) -> None:
    """No sequence of responses raises anything but AgentRunError; every call is answered once, in the next request."""
    model = Scripted(*answers)
    agent: Agent[None, Any] = Agent(
        model, result_type=result_type, result_mode=mode, end_strategy=end_strategy, retries=retries, tools=[work]
    )
    before = pickle.dumps(answers)
    limits = UsageLimits(request_limit=8, tool_calls_limit=calls_limit)
    try:
        result = agent.run_sync("Hi", usage_limits=limits)
    except AgentRunError as error:
        assert error.messages is not None and error.usage is not None
        messages = error.messages
        unanswered(messages)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    else:
        messages = result.all_messages()
        assert unanswered(messages) == []
        assert result.new_messages() == messages
        again = Scripted("words", ModelResponse([ToolCallPart("final_result", {"response": 1})]))
        try:
            agent.run_sync("And then?", model=again, message_history=messages)
        except AgentRunError:
            assert again.asked
        assert unanswered(again.asked[0].messages) == []
    assert ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(messages)) is not None
    for asked in model.asked:
        assert isinstance(asked.messages[-1], ModelRequest)
        assert unanswered(asked.messages) == []
    assert pickle.dumps(answers) == before, "the model's own objects were changed"
