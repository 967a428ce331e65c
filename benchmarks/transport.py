"""
What one POST through the transport costs, beside ``requests.Session().post(url, json=...).json()``.

Both talk to the same loopback server in a child process, in interleaved rounds; the figure is the client's CPU
time, the ratio the median over the rounds. Run it from the repository: ``python benchmarks/transport.py [rounds]``.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable

CALLS = 300
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris. " * 8}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21},
    }
).encode()
HEADERS = b"".join(
    b"%s: %s\r\n" % pair
    for pair in [
        (b"Date", b"Mon, 01 Jan 2024 00:00:00 GMT"),
        (b"Content-Type", b"application/json"),
        *((b"X-Ratelimit-Header-%d" % number, b"some value %d" % number) for number in range(16)),
        (b"X-Request-Id", b"req_0123456789abcdef"),
        (b"Server", b"cloudflare"),
        (b"Connection", b"keep-alive"),
        (b"Content-Length", b"%d" % len(ANSWER)),
    ]
)
REPLY = b"HTTP/1.1 200 OK\r\n" + HEADERS + b"\r\n" + ANSWER
BODY = {"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0.0}


def serve(listener: socket.socket) -> None:
    """Answer every request of every connection with the same bytes."""

    def talk(connection: socket.socket) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                got = connection.recv(65536)
                if not got:
                    return
                data += got
            head, _, rest = data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            while len(rest) < length:
                rest += connection.recv(65536)
            data = rest[length:]
            connection.sendall(REPLY)

    while True:
        threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()


def cost(call: Callable[[], object]) -> float:
    """Microseconds of this thread's CPU time for each of CALLS calls."""
    began = time.thread_time()
    for _ in range(CALLS):
        call()
    return (time.thread_time() - began) / CALLS * 1e6


def main(rounds: int) -> None:
    """Measure and print."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions"
    server = os.fork()
    if server == 0:
        serve(listener)
    listener.close()
    for number in range(len(os.environ), 35):
        os.environ[f"SOME_VARIABLE_{number}"] = "value"

    import requests

    from syncagent.deadline import Deadline
    from syncagent.transport import HttpRequest, Transport

    plain = requests.Session()
    key = {"Authorization": "Bearer sk-0123456789"}

    def by_hand() -> object:
        return plain.post(url, json=BODY, headers=key, timeout=60).json()

    transport = Transport()
    theirs = Transport(session=requests.Session())
    headers = {"Content-Type": "application/json", "User-Agent": "syncagent"}

    def through(way: Transport, deadline: Deadline) -> object:
        body = json.dumps(BODY, separators=(",", ":")).encode()
        request = HttpRequest("POST", url, headers=headers, body=body, auth=lambda *_: key, model_name="m")
        return way.send(request, deadline).json()

    ways: dict[str, Callable[[], object]] = {
        "requests by hand": by_hand,
        "Transport.send": lambda: through(transport, Deadline()),
        "  with a deadline": lambda: through(transport, Deadline(60)),
        "  caller's session": lambda: through(theirs, Deadline()),
    }
    try:
        for way in ways.values():
            cost(way)
        figures: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                figures[name].append(cost(way))
        base = figures["requests by hand"]
        for name, found in figures.items():
            ratio = statistics.median(one / other for one, other in zip(found, base))
            print(f"{name:20} {statistics.median(found):7.0f} us   {ratio:5.2f} x")
    finally:
        os.kill(server, 9)
        os.waitpid(server, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
