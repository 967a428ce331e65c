"""
What streaming costs the client: CPU time for each chunk, growth with the length, and memory.

* ``stream_text(delta=True)`` of a stream of 2,000 chunks beside a bare loop that reads ``raw.read1``, splits the
  events itself and calls ``json.loads``. Interleaved rounds against one server; the ratio is the median over the
  rounds. Targets: 12 us and 1.3 times the loop.
* ``stream()`` of a structured result: 4,000 chunks beside 2,000; target: a ratio under 2.5.
* The peak of memory while a stream of 100 MB is read, beside the text; target: 2.5 times.

Run it from the repository: ``python benchmarks/stream.py [rounds]``.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Optional

import attrs
import requests
from peer import peer

from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

CHUNKS = 2_000
MEGABYTES = 100


@attrs.define
class Poem:
    """A long one."""

    lines: list[str]


def agent(address: str, scenario: str, result_type: Any = str) -> Agent[Any, Any]:
    """An agent of the loopback server."""
    provider = OpenAIProvider(base_url=f"{address}/{scenario}/v1", api_key="loopback")
    return Agent(OpenAIModel("loopback", provider=provider), result_type=result_type)


def by_hand(session: requests.Session, url: str) -> int:
    """The characters of a stream, read with as little as there can be."""
    body = {"model": "loopback", "messages": [{"role": "user", "content": "Go on."}], "stream": True}
    size = 0
    rest = b""
    with session.post(url, json=body, headers={"Authorization": "Bearer loopback"}, stream=True) as response:
        while True:
            data = response.raw.read1(65536, decode_content=True)
            if not data:
                return size
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if event[6:] == b"[DONE]":
                    continue
                content = json.loads(event[6:])["choices"][0]["delta"].get("content")
                if content:
                    size += len(content)


def through(streaming: Agent[Any, Any], debounce_by: Optional[float]) -> int:
    """The characters of a stream, as the package gives them."""
    size = 0
    with streaming.run_stream("Go on.") as result:
        for text in result.stream_text(delta=True, debounce_by=debounce_by):
            size += len(text)
    return size


def cost(call: Callable[[], object]) -> float:
    """Seconds of this thread's CPU time."""
    began = time.thread_time()
    call()
    return time.thread_time() - began


def chunks(address: str, rounds: int) -> None:
    """Print what a chunk costs."""
    session = requests.Session()
    streaming = agent(address, f"text-{CHUNKS}")
    url = f"{address}/text-{CHUNKS}/v1/chat/completions"
    ways: dict[str, Callable[[], int]] = {
        "bare loop": lambda: by_hand(session, url),
        "stream_text(delta=True)": lambda: through(streaming, 0.1),
        "  debounce_by=None": lambda: through(streaming, None),
    }
    assert len({way() for way in ways.values()}) == 1, "the ways read different texts"
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            figures[name].append(cost(way) / CHUNKS * 1e6)
    for name, found in figures.items():
        ratio = statistics.median(one / other for one, other in zip(found, figures["bare loop"]))
        print(f"{name:26} {statistics.median(found):6.2f} us a chunk   {ratio:5.2f} x")


def growth(address: str, rounds: int) -> None:
    """Print how a structured stream's time grows with its length."""

    def read(streaming: Agent[Any, Any], debounce_by: Optional[float]) -> int:
        with streaming.run_stream("Go on.") as result:
            *_, last = result.stream(debounce_by=debounce_by)
        return len(last.lines)

    agents = [agent(address, f"call-{size}", Poem) for size in (CHUNKS, 2 * CHUNKS)]
    for one in agents:
        read(one, 0.1)
    pairs = [[cost(lambda one=one: read(one, 0.1)) for one in agents] for _ in range(rounds)]  # type: ignore[misc]
    short, long = (statistics.median(pair[index] for pair in pairs) for index in (0, 1))
    ratio = statistics.median(long / short for short, long in pairs)
    print(f"stream() of {CHUNKS} chunks {short * 1000:6.1f} ms, of {2 * CHUNKS} {long * 1000:6.1f} ms   {ratio:5.2f} x")


def memory(address: str) -> None:
    """Print the peak of memory in a child that reads a long stream."""
    child = os.fork()
    if child == 0:
        through(agent(address, "text-100"), 0.1)  # what is imported and built once
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = 0
        with agent(address, f"large-{MEGABYTES}").run_stream("Go on.") as result:
            for text in result.stream_text(delta=True):
                size += len(text)
            assert len(result.get_data()) == size == MEGABYTES * 1_000_000
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        print(f"{size / 1e6:.0f} MB of text: the peak of memory grew by {grown / 1e6:.0f} MB   {grown / size:5.2f} x")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)


def main(rounds: int) -> None:
    """Measure and print."""
    with peer() as address:
        chunks(address, rounds)
        growth(address, rounds)
        memory(address)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
