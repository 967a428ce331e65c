"""
The whole way on the embedded model: agent, loop, wire, transport, server, weights.

Prompts and tools are those that come out right at temperature 0; what is asserted is which tools ran, with which
arguments, and the structure of what came, never the wording.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncagent import Agent, ModelRequest, ModelResponse, ModelRetry, local
from syncagent.messages import ToolCallPart, ToolReturnPart

pytestmark = [pytest.mark.local_model, pytest.mark.usefixtures("served")]

ROOT = Path(__file__).parents[2]


def calls(messages: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """The tool calls of a conversation, in order."""
    return [
        (part.tool_name, part.args_as_dict())
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]


def test_tool_call_answered_in_words() -> None:
    """The model calls the tool with the numbers of the question, and says its result in words."""
    agent = Agent("local")

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    result = agent.run_sync("What is 17 + 25? Use the add tool.", deadline=300)
    messages = result.all_messages()
    assert calls(messages) == [("add", {"a": 17, "b": 25})]
    assert "42" in result.data
    assert [type(message) for message in messages] == [ModelRequest, ModelResponse] * 2
    assert messages[-1].finish_reason == "stop"
    usage = result.usage()
    assert usage.requests == 2
    assert usage.request_tokens and usage.response_tokens


def test_two_tools_in_one_turn() -> None:
    """Two tools are called in one response, and both returns go back in one request."""
    agent = Agent("local")

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        return f"Sunny in {city}, 21 degrees."

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    result = agent.run_sync("What is the weather in Paris, and what is 2 + 3?", deadline=300)
    messages = result.all_messages()
    called = calls(messages[:2])
    assert sorted(name for name, _ in called) == ["add", "get_weather"]
    assert dict(called)["add"] == {"a": 2, "b": 3}
    assert "Paris" in dict(called)["get_weather"]["city"]
    returns = {part.tool_name: part.content for part in messages[2].parts if isinstance(part, ToolReturnPart)}
    assert returns["add"] == 5
    assert len(returns) == len(messages[2].parts) == 2
    assert isinstance(result.data, str) and result.data


@attrs.frozen
class Complaint:
    """A complaint about an order."""

    customer: str
    order_number: int


@pytest.mark.parametrize("mode", ["tool", "native"])
def test_typed_extraction(mode: Any) -> None:
    """A typed result is built from a text, through the result tool and through the native JSON schema."""
    agent = Agent("local", result_type=Complaint, result_mode=mode, retries=2)
    result = agent.run_sync("Hello, this is Ana Ruiz, order 4711 arrived broken.", deadline=300)
    assert isinstance(result.data, Complaint)
    assert result.data.order_number == 4711
    assert "Ana" in result.data.customer
    names = [name for name, _ in calls(result.all_messages())]
    assert names == (["final_result"] if mode == "tool" else [])


def test_shared_server() -> None:
    """All runs of a process share one server."""
    assert local.endpoint("local") == local.endpoint("local:qwen2.5-coder-0.5b")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python process in the checkout's folder, whose package it finds installed or not."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_readme_example() -> None:
    """The README's first command answers three customers, and shows a made-up answer being sent back."""
    done = command("examples/orders.py")
    assert done.returncode == 0, done.stderr
    results = re.findall(r"Answer\(order_number=(\d+), arrives='([^']+)', late=(True|False)\)", done.stdout)
    assert results == [("4711", "today before 6 pm", "False"), ("982", "Friday", "True"), ("982", "Friday", "True")]
    assert re.search(r"tool-call +order_status", done.stdout)
    assert re.search(r"retry-prompt +final_result", done.stdout)
    assert re.search(r"tool-call +final_result", done.stdout)
    assert re.search(r"^Usage\(requests=\d+, ", done.stdout, re.MULTILINE)


def test_command_line() -> None:
    """``syncagent run`` asks the local model, prints its answer, and shows the conversation."""
    done = command("-m", "syncagent", "run", "--model", "local", "--show-messages", "What is the capital of France?")
    assert (done.returncode, "Paris" in done.stdout) == (0, True)
    assert done.stderr.startswith("user    What is the capital of France?\nmodel   ")


def test_refused_call_is_made_again() -> None:
    """A tool that refuses a call gets another one, before the model answers in words."""
    agent = Agent("local", retries=2)
    seen: list[int] = []

    @agent.tool_plain
    def order_status(order_number: int) -> str:
        """Look up an order in the order book."""
        seen.append(order_number)
        if len(seen) == 1:
            raise ModelRetry("The order book was closed for a moment. Call order_status again.")
        return "The order arrives today before 6 pm."

    messages = agent.run_sync("Where is my order 4711?", deadline=300).all_messages()
    assert seen == [4711, 4711]
    kinds = [part.part_kind for message in messages for part in message.parts]
    assert kinds == ["user-prompt", "tool-call", "retry-prompt", "tool-call", "tool-return", "text"]
