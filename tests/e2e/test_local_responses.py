"""
The embedded model's server by its Responses API: agent, loop, wire, transport, server, weights.

The server is a lenient peer: no event has an index or a number, and a schema for the text is not obeyed, so typed
results come by a result tool. What is asserted is which tools ran, with which arguments, never the wording.
"""

from __future__ import annotations

import attrs
import pytest

from syncagent import Agent, ModelRequest, ModelResponse
from syncagent.messages import PartDeltaEvent, ToolCallPart, ToolReturnPart, UserPromptPart
from syncagent.models.openai_responses import OpenAIResponsesModel

pytestmark = [pytest.mark.local_model, pytest.mark.usefixtures("served")]


def _model() -> OpenAIResponsesModel:
    return OpenAIResponsesModel("local", provider="local", settings={"temperature": 0, "max_tokens": 150})


def _adder() -> Agent[None, str]:
    agent = Agent(_model())

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    return agent


def test_tool_call_answered_in_words() -> None:
    """The model calls the tool with the numbers of the question, and says its result in words."""
    result = _adder().run_sync("What is 17 + 25? Use the add tool.", deadline=300)
    messages = result.all_messages()
    assert [type(message) for message in messages] == [ModelRequest, ModelResponse] * 2
    (call,) = messages[1].parts
    assert isinstance(call, ToolCallPart) and call.args_as_dict() == {"a": 17, "b": 25}
    (returned,) = messages[2].parts
    assert isinstance(returned, ToolReturnPart) and (returned.content, returned.tool_call_id) == (42, call.tool_call_id)
    assert "42" in result.data
    last = messages[-1]
    assert isinstance(last, ModelResponse)
    assert (last.finish_reason, last.provider_name) == ("stop", "local")
    assert last.provider_response_id and last.provider_response_id.startswith("resp_")
    usage = result.usage()
    assert usage.requests == 2
    assert usage.total_tokens == (usage.request_tokens or 0) + (usage.response_tokens or 0) > 0


def test_streamed() -> None:
    """The same run streamed: arguments and words come in pieces, and the messages are those of the whole."""
    deltas = 0
    with _adder().run_stream_events("What is 17 + 25? Use the add tool.", deadline=300) as events:
        for event in events:
            deltas += isinstance(event, PartDeltaEvent)
        result = events.result
    assert result is not None
    assert deltas > 5
    assert "42" in result.data
    call = result.all_messages()[1].parts[0]
    assert isinstance(call, ToolCallPart) and call.args_as_dict() == {"a": 17, "b": 25}


def test_typed_result() -> None:
    """A typed result comes by its tool, which is forced."""

    @attrs.define
    class Order:
        number: int
        """The order's number."""

    agent = Agent(_model(), result_type=Order)
    result = agent.run_sync("Extract: this is Ana, my order 4711 arrived broken.", deadline=300)
    assert result.data == Order(4711)


def test_count_tokens() -> None:
    """The server counts the tokens of a request; more words are more tokens."""
    few, many = (_model().count_tokens([ModelRequest([UserPromptPart("word " * count)])], None) for count in (1, 20))
    assert 0 < few < many
