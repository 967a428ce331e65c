"""
One shared agent and many threads: does every run get its own answer, and how many come through a second?

The throughput is measured beside raw ``http.client`` with a connection for each thread, against a server that
takes 50 ms for an answer.

    python benchmarks/threads.py [threads ...]
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from peer import peer

from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

BODY = json.dumps({"model": "loopback", "messages": [{"role": "user", "content": "hello"}]}).encode()


def agent_for(address: str, scenario: str) -> Agent[None, str]:
    """An agent on the loopback server."""
    provider = OpenAIProvider(base_url=f"{address}/{scenario}/v1", api_key="loopback")
    return Agent(OpenAIModel("loopback", provider=provider), name="shared")


def together(threads: int, work: Callable[[int], None]) -> float:
    """Seconds for *threads* threads to do *work*."""
    gate = threading.Barrier(threads + 1)

    def one(number: int) -> None:
        gate.wait()
        work(number)

    workers = [threading.Thread(target=one, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    gate.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def own_answers(address: str, threads: int = 100, runs: int = 20) -> None:
    """Print how many of the answers belonged to another thread's question."""
    agent, wrong, failed = agent_for(address, "tag"), [], []

    def work(number: int) -> None:
        for run in range(runs):
            tag = f"tag-{number}-{run}"
            try:
                answer = agent.run_sync(f"Say {tag}").data
            except Exception as error:
                failed.append(error)
            else:
                if answer != tag:
                    wrong.append((tag, answer))

    together(threads, work)
    print(f"{threads} threads x {runs} runs, one agent: {len(wrong)} foreign answers, {len(failed)} failed")


def throughput(address: str, threads: int, runs: int = 30) -> tuple[float, float, int]:
    """Runs a second of the shared agent, of raw http.client, and how many of ours failed."""
    agent, failed = agent_for(address, "slow"), []

    def ours(number: int) -> None:
        for _ in range(runs):
            try:
                agent.run_sync("hello")
            except Exception as error:
                failed.append(error)

    def raw(number: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(address).netloc)
        for _ in range(runs):
            connection.request("POST", "/slow/v1/chat/completions", BODY, {"Content-Type": "application/json"})
            json.loads(connection.getresponse().read())
        connection.close()

    together(threads, ours)
    failed.clear()
    mine = threads * runs / together(threads, ours)
    return mine, threads * runs / together(threads, raw), len(failed)


def main(counts: list[int]) -> None:
    """Measure and print."""
    with peer() as address:
        own_answers(address)
        for threads in counts:
            rows = [throughput(address, threads) for _ in range(3)]
            rows.sort(key=lambda row: row[0] / row[1])
            mine, theirs, failed = rows[1]
            print(
                f"{threads:3} threads on 50 ms answers: {mine:6.0f} runs/s, http.client {theirs:6.0f}/s, "
                f"ratio {mine / theirs:.2f}, {failed} failed   (goal 0.95 at 16 and 64, 0.9 at 200)"
            )


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or [16, 64, 200])
