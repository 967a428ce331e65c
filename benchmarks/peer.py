"""
A chat server on loopback, in a process of its own, that costs the measured one as little as it can.

The path says what it answers: ``plain`` text, ``tools`` (two calls, then text), ``typed`` (a call of the result
tool), ``tag`` (the last word of the prompt), ``slow`` (plain, after 50 ms). Streams say how many events they have:
``text-2000``, ``call-2000`` (the result tool's arguments in pieces), and ``large-100`` (megabytes, a kilobyte each).
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Optional

__all__ = ["peer"]

_HEADERS = b"".join(
    b"%s: %s\r\n" % pair
    for pair in [
        (b"Date", b"Mon, 01 Jan 2024 00:00:00 GMT"),
        (b"Content-Type", b"application/json"),
        *((b"X-Ratelimit-Header-%d" % number, b"some value %d" % number) for number in range(16)),
        (b"X-Request-Id", b"req_0123456789abcdef"),
        (b"Server", b"loopback"),
        (b"Connection", b"keep-alive"),
    ]
)


def _call(number: int, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call_{number}", "type": "function", "function": function}


def _reply(message: dict[str, Any], finish_reason: str) -> bytes:
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "loopback",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}],
            "usage": {
                "prompt_tokens": 12,
                "completion_tokens": 9,
                "total_tokens": 21,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }
    ).encode()
    return b"HTTP/1.1 200 OK\r\n" + _HEADERS + b"Content-Length: %d\r\n\r\n" % len(body) + body


PLAIN = _reply({"content": "Paris. " * 8}, "stop")
CALLS = _reply(
    {"content": None, "tool_calls": [_call(1, "add", {"a": 1, "b": 2}), _call(2, "add", {"a": 3, "b": 4})]},
    "tool_calls",
)
TYPED = _reply(
    {
        "content": None,
        "tool_calls": [_call(1, "final_result", {"city": "Paris", "country": "France", "people": 2_100_000})],
    },
    "tool_calls",
)


def _chunk(delta: dict[str, Any], finish_reason: Optional[str] = None) -> bytes:
    """One event of about 200 bytes, in an HTTP chunk of its own, as servers send them."""
    event = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "loopback",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
    }
    return _framed(json.dumps(event, separators=(",", ":")).encode())


def _framed(event: bytes) -> bytes:
    data = b"data: " + event + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache(maxsize=4)
def _stream(kind: bytes, size: int) -> bytes:
    if kind == b"call":
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "final_result", "arguments": ""}}
        text = json.dumps({"lines": [f"line {number}" for number in range(size)]})
        width = -(-len(text) // size)
        pieces = [text[start : start + width] for start in range(0, len(text), width)]
        chunks = [_chunk({"tool_calls": [call]})]
        chunks += [_chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
    elif kind == b"large":
        chunks = [_chunk({"role": "assistant", "content": ""})] + [_chunk({"content": "x" * 1000})] * (size * 1000)
    else:
        chunks = [_chunk({"role": "assistant", "content": ""})]
        chunks += [_chunk({"content": f" word{number % 100}"}) for number in range(size)]
    head = b"HTTP/1.1 200 OK\r\n" + _HEADERS.replace(b"application/json", b"text/event-stream")
    end = [_chunk({}, "tool_calls" if kind == b"call" else "stop"), _framed(b"[DONE]"), b"0\r\n\r\n"]
    return b"".join([head, b"Transfer-Encoding: chunked\r\n\r\n", *chunks, *end])


def _answer(path: bytes, body: bytes) -> bytes:
    streamed = re.match(rb"/(text|call|large)-(\d+)/", path)
    if streamed:
        return _stream(streamed[1], int(streamed[2]))
    if b"/tools/" in path:
        return PLAIN if b'"role":"tool"' in body or b'"role": "tool"' in body else CALLS
    if b"/typed/" in path:
        return TYPED
    if b"/tag/" in path:
        tags = re.findall(rb"tag-\d+-\d+", body)
        return _reply({"content": tags[-1].decode()}, "stop")
    if b"/slow/" in path:
        time.sleep(0.05)
    return PLAIN


def _talk(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            got = connection.recv(65536)
            if not got:
                return
            data += got
        head, _, rest = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        pieces, size = [rest], len(rest)
        while size < length:
            pieces.append(connection.recv(1 << 20))
            size += len(pieces[-1])
        whole = b"".join(pieces)
        data = whole[length:]
        connection.sendall(_answer(head.split(b" ", 2)[1], whole[:length]))


@contextmanager
def peer() -> Iterator[str]:
    """Give the server's address, ``http://127.0.0.1:PORT``; the server ends with the ``with``."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            while True:
                threading.Thread(target=_talk, args=(listener.accept()[0],), daemon=True).start()
        finally:
            os._exit(0)
    port = listener.getsockname()[1]
    listener.close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


if __name__ == "__main__":  # a server by hand: python benchmarks/peer.py
    with peer() as address:
        sys.stdout.write(address + "\n")
        sys.stdout.flush()
        signal.pause()
