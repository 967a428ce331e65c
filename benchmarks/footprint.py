"""
What syncagent costs before and between runs: imports, building an agent, memory.

Every figure of a process is read in a child of its own.

    python benchmarks/footprint.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import textwrap

from peer import peer

BYTE_CODE = tempfile.TemporaryDirectory()

_TIMED = """
import time
began = time.process_time()
{code}
print(time.process_time() - began)
"""

READY = """
from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
from syncagent.transport import shared_transport
agent = Agent(OpenAIModel("loopback", provider=OpenAIProvider(base_url="http://127.0.0.1:9/v1", api_key="k")))
import requests, syncagent.transport.client, syncagent.transport.session
"""

BUILD = '''
import itertools, time
from syncagent import Agent

SOURCE = """
def tool_{n}(city: str, days: int, metric: bool = True) -> str:
    \\"\\"\\"
    Tell the weather.

    Args:
        city: The city to look at.
        days: How many days ahead.
        metric: Whether to use the metric system.
    \\"\\"\\"
    return city
"""

def functions():
    space = {}
    for n in range(10):
        exec(SOURCE.replace("{n}", str(n)), space)
    return [space[f"tool_{n}"] for n in range(10)]

times = []
for _ in range(60):
    fresh = functions()
    began = time.perf_counter()
    agent = Agent(tools=fresh)
    times.append(time.perf_counter() - began)
print(sorted(times)[len(times) // 2])
'''

MEMORY = """
import os, stat, sys, threading
from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

agent = Agent(OpenAIModel("loopback", provider=OpenAIProvider(base_url=sys.argv[1] + "/plain/v1", api_key="k")))

def is_socket(fd):
    try:
        return stat.S_ISSOCK(os.fstat(int(fd)).st_mode)
    except OSError:
        return False  # the listing's own

def state():
    with open("/proc/self/status") as file:
        rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    sockets = sum(1 for fd in os.listdir("/proc/self/fd") if is_socket(fd))
    return rss / 1024, sockets, threading.active_count()

for number in range(1, 11_001):
    agent.run_sync("What is the capital of France?")
    if number in (1_000, 11_000):
        print(*state())
"""


def child(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints; byte code is kept between the children, as on any machine in use."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": BYTE_CODE.name}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return answer.stdout


def process_time(code: str) -> float:
    """The CPU seconds that *code* takes in a fresh interpreter."""
    return float(child(_TIMED.format(code=code)))


def main() -> None:
    """Measure and print."""
    process_time(READY)  # now the byte code is there, and the files are in memory
    rounds = [[process_time(code) for code in ("import requests", "import syncagent", READY)] for _ in range(11)]
    ratio = statistics.median(ready / requests_ for requests_, _, ready in rounds)
    syncagent, ready = (statistics.median(column) for column in list(zip(*rounds))[1:])
    print(f"import syncagent          {syncagent:.4f} s of CPU   (goal 0.03)")
    print(f"ready to send             {ready:.3f} s of CPU   {ratio:.2f} x `import requests`   (goal 1.7)")
    print(f"agent with 10 tools       {float(child(BUILD)) * 1000:.2f} ms   (goal 0.6)")
    with peer() as address:
        lines = [[float(value) for value in line.split()] for line in child(MEMORY, address).splitlines()]
    (rss, sockets, threads), (later, later_sockets, later_threads) = lines
    print(f"RSS after 1,000 runs      {rss:.1f} MB   (goal 40)")
    print(
        f"10,000 runs later         {later - rss:+.1f} MB   sockets {sockets:.0f} -> {later_sockets:.0f}   "
        f"threads {threads:.0f} -> {later_threads:.0f}   (goal: within 5 MB, flat)"
    )


if __name__ == "__main__":
    main()
