"""
A child that runs an agent thousands of times, in every way and with every end, and says what the process holds.

    python -m tests.stress.soaked URL RUNS ROUNDS
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from typing import Any

from syncagent import Agent, Deadline, ModelHTTPError, RunCancelled
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
from tests.transport.conftest import open_sockets


def agent_of(address: str) -> Agent[None, str]:
    """One agent for all runs, with a tool whose calls get threads."""
    model = OpenAIModel("loopback", provider=OpenAIProvider(base_url=f"{address}/v1", api_key="loopback"))
    agent: Agent[None, str] = Agent(model, parallel_tools=2)

    @agent.tool_plain(timeout=30)
    def work(tag: str) -> str:
        return tag

    return agent


def run(agent: Agent[None, str], number: int) -> None:
    """Mostly a plain run; now and then one with a tool, an error, a stream, one that is left, one that is stopped."""
    tag = str(number)
    kind = number % 25
    if kind == 1:
        assert agent.run_sync(f"tool {tag}").data == tag
    elif kind == 2:
        try:
            agent.run_sync(f"wrong {tag}")
        except ModelHTTPError:
            return
        raise AssertionError("a 400 is an error")
    elif kind == 3:
        with agent.run_stream(f"say {tag}") as result:
            assert result.get_data() == tag
    elif kind == 4:
        with agent.run_stream(f"stream {tag}") as result:
            next(result.stream_text(debounce_by=None))
    elif kind == 5:
        deadline = Deadline()
        deadline.cancel()
        try:
            agent.run_sync(f"say {tag}", deadline=deadline)
        except RunCancelled:
            return
        raise AssertionError("a run that was stopped is over")
    else:
        assert agent.run_sync(f"say {tag}").data == tag


def held() -> dict[str, Any]:
    """Memory in KiB, open sockets, threads, and what the garbage collector looks after."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    return {
        "memory": resident,
        "sockets": len(open_sockets()),
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
    }


def main() -> None:
    address, runs, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    agent = agent_of(address)
    for turn in range(rounds):
        for number in range(runs):
            run(agent, turn * runs + number)
        print(json.dumps(held()), flush=True)


main()
