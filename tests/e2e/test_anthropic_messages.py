"""The Messages API spoken to the embedded model's server: agent, loop, wire, transport, server, weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from syncagent import Agent, ModelRequest, ModelResponse, local
from syncagent.messages import ToolCallPart, UserPromptPart
from syncagent.models.anthropic import AnthropicModel
from syncagent.providers.anthropic import AnthropicProvider

pytestmark = pytest.mark.local_model


@pytest.fixture(scope="module")
def model(served: None) -> Iterator[AnthropicModel]:
    """The embedded model behind ``/v1/messages``."""
    endpoint = local.endpoint("local")
    provider = AnthropicProvider(endpoint.base_url[: -len("/v1")], endpoint.api_key)
    # Sampling settings, which newer models of the API's own do not take, make its answers the same each time.
    yield AnthropicModel(endpoint.model_name, provider=provider, settings={"temperature": 0, "max_tokens": 150})


def _calls(messages: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (part.tool_name, part.args_as_dict())
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]


def _adder(model: AnthropicModel) -> Agent[None, str]:
    agent = Agent(model)

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    return agent


def test_tool_call_answered_in_words(model: AnthropicModel) -> None:
    """The model calls the tool with the numbers of the question, and says its result in words."""
    result = _adder(model).run_sync("What is 17 + 25? Use the add tool.", deadline=300)
    messages = result.all_messages()
    assert _calls(messages) == [("add", {"a": 17, "b": 25})]
    assert "42" in result.data
    assert [type(message) for message in messages] == [ModelRequest, ModelResponse] * 2
    assert messages[1].finish_reason == "tool_call"
    assert messages[-1].finish_reason == "stop"
    assert messages[-1].provider_name == "anthropic"
    usage = result.usage()
    assert usage.requests == 2
    assert usage.request_tokens and usage.response_tokens


def test_streamed(model: AnthropicModel) -> None:
    """The same, streamed: the call runs, and the answer comes in pieces."""
    with _adder(model).run_stream("What is 17 + 25? Use the add tool.", deadline=300) as result:
        pieces = list(result.stream_text(delta=True, debounce_by=None))
    assert _calls(result.all_messages()) == [("add", {"a": 17, "b": 25})]
    assert len(pieces) > 1
    assert "42" in "".join(pieces)
    assert result.usage().response_tokens


def test_forced_result(model: AnthropicModel) -> None:
    """A typed result comes through a tool that the model has to call."""
    agent = Agent(model, result_type=int, retries=2)
    result = agent.run_sync("What is the number of months in a year?", deadline=300)
    assert isinstance(result.data, int)
    assert {name for name, _ in _calls(result.all_messages())} == {"final_result"}


def test_count(model: AnthropicModel) -> None:
    """The server counts a prompt without answering it, and counts more for more."""
    short, long = (model.count_tokens([ModelRequest([UserPromptPart(text)])]) for text in ("Hi", "Hi " * 50))
    assert 0 < short < long
