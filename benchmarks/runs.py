"""
What a run costs the client's CPU, beside ``requests.Session().post(url, json=...).json()`` of the same exchange.

Interleaved rounds against one server; each figure is the median over the rounds of the ratio within a round.

    python benchmarks/runs.py [rounds]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import attrs
import requests
from peer import peer

from syncagent import Agent
from syncagent.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

CALLS = 200
PROMPT = "What is the capital of France?"


@attrs.define
class City:
    """A city."""

    city: str
    country: str
    people: int


def add(a: int, b: int) -> int:
    """
    Add two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return a + b


def model(address: str, scenario: str, session: Any = None) -> OpenAIModel:
    """A model of the loopback server."""
    provider = OpenAIProvider(base_url=f"{address}/{scenario}/v1", api_key="loopback", session=session)
    return OpenAIModel("loopback", provider=provider)


def recorded(agent: Agent[Any, Any], **options: Any) -> list[dict[str, Any]]:
    """The bodies that a run of *agent* sends, for the post that is measured beside it."""
    import json

    from syncagent.transport import client

    bodies: list[dict[str, Any]] = []
    send = client.Transport.send

    def record(self: Any, request: Any, deadline: Any) -> Any:
        bodies.append(json.loads(request.body))
        return send(self, request, deadline)

    client.Transport.send = record  # type: ignore[method-assign] # for this one run
    try:
        agent.run_sync(PROMPT, **options)
    finally:
        client.Transport.send = send  # type: ignore[method-assign] # as above
    return bodies


def cost(call: Callable[[], object]) -> float:
    """Microseconds of this thread's CPU time for each of CALLS calls."""
    began = time.thread_time()
    for _ in range(CALLS):
        call()
    return (time.thread_time() - began) / CALLS * 1e6


def compare(name: str, ours: Callable[[], object], raw: Callable[[], object], rounds: int, note: str) -> None:
    """Print one row."""
    ours()
    raw()
    pairs = [(cost(ours), cost(raw)) for _ in range(rounds)]
    ratios = sorted(mine / theirs for mine, theirs in pairs)
    print(
        f"{name:34} {statistics.median(m for m, _ in pairs):7.0f} µs {statistics.median(t for _, t in pairs):7.0f} µs"
        f"   {statistics.median(ratios):5.2f} x  ({ratios[0]:.2f} to {ratios[-1]:.2f})   {note}"
    )


def post(session: requests.Session, address: str, scenario: str, bodies: list[dict[str, Any]]) -> Callable[[], object]:
    """What one would write by hand."""
    url = f"{address}/{scenario}/v1/chat/completions"
    headers = {"Authorization": "Bearer loopback"}
    return lambda: [session.post(url, json=body, headers=headers, timeout=60).json() for body in bodies]


def history_cost(address: str, length: int, rounds: int) -> None:
    """The cost of each earlier message, from two lengths of history."""
    agent = Agent(model(address, "plain"), name="history")
    messages: list[ModelMessage] = []
    for number in range(length // 2):
        messages.append(ModelRequest([UserPromptPart(f"Question {number}: what is the capital of France?")]))
        messages.append(ModelResponse([TextPart(f"Answer {number}: it is Paris, on the Seine.")]))
    global CALLS
    calls, CALLS = CALLS, 20
    found = []
    for _ in range(rounds):
        long = cost(lambda: agent.run_sync(PROMPT, message_history=messages))
        short = cost(lambda: agent.run_sync(PROMPT, message_history=messages[:2]))
        found.append((long - short) / (length - 2))
    CALLS = calls
    print(f"each message of a history of {length:,}   {statistics.median(found):.2f} µs   (goal 1.6)")


def main(rounds: int) -> None:
    """Measure and print."""
    with peer() as address:
        session = requests.Session()
        plain = Agent(model(address, "plain"), name="plain")
        tools = Agent(model(address, "tools"), tools=[add], name="tools")
        typed: Agent[None, City] = Agent(model(address, "typed"), result_type=City, name="typed")
        mine = Agent(model(address, "plain", requests.Session()), name="mine")
        print(f"{'client CPU of':34} {'syncagent':>10} {'post':>10}   ratio")
        for agent, scenario, goal in (
            (plain, "plain", "goal 0.60"),
            (tools, "tools", "goal 0.60"),
            (typed, "typed", "goal 0.65"),
            (mine, "plain", "goal 1.30, with session="),
        ):
            raw = post(session, address, scenario, recorded(agent))
            compare(f"a run: {agent.name}", lambda agent=agent: agent.run_sync(PROMPT), raw, rounds, goal)
        history_cost(address, 2000, rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
