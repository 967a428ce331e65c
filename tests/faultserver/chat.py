"""What an OpenAI-compatible chat server streams, as bytes: whole events, for the scenarios to cut and to hold back."""

from __future__ import annotations

import json
import select
import time
from typing import Any, Optional

from .server import Peer, Request, Scenario

__all__ = ["DONE", "HEAD", "Leaving", "chunk", "event", "finish", "scenario_of", "text", "usage"]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def event(delta: Optional[dict[str, Any]], finish_reason: Optional[str] = None, **more: Any) -> bytes:
    """One event; without choices where there is no delta."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    whole = {"id": "chatcmpl-1", "model": "loopback", "choices": choices, **more}
    return b"data: " + json.dumps(whole, ensure_ascii=False).encode() + b"\n\n"


def text(*pieces: str) -> bytes:
    """Events with these pieces of text."""
    return b"".join(event({"content": piece}) for piece in pieces)


def finish(reason: str = "stop") -> bytes:
    """The events that end an answer: the reason, and the mark."""
    return event({}, reason) + DONE


def usage(sent: int, received: int) -> bytes:
    """The event that says how many tokens it was."""
    numbers = {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}
    return event(None, usage=numbers)


def chunk(data: bytes) -> bytes:
    """An HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Leaving:
    """
    Answers with a text and then with a word now and then, until the client leaves.

    Args:
        every: seconds between two words; None for silence after the first one.

    Attributes:
        left: when the client's leaving was noticed, on the clock of ``time.monotonic()``, for each answer.
        begun: how many answers began.
    """

    def __init__(self, every: Optional[float]) -> None:
        self._every = every
        self.left: list[float] = []
        self.begun = 0

    def __call__(self, peer: Peer, request: Request) -> None:
        self.begun += 1
        peer.send(HEAD + chunk(text("Well, ")))
        due = time.monotonic()
        while not peer.server.stopping.is_set():
            readable, _, _ = select.select([peer.sock], [], [], 0.02)
            try:
                if readable and not peer.sock.recv(1024):
                    break
                if self._every is not None and time.monotonic() >= due:
                    due = time.monotonic() + self._every
                    peer.send(chunk(text("word ")))
            except OSError:
                break
        self.left.append(time.monotonic())
        peer.close()


def scenario_of(*steps: Any) -> Scenario:
    """Send the bytes among *steps*, wait for the numbers, and end with the word ``close``, ``reset`` or ``hang``."""

    def scenario(peer: Peer, request: Request) -> None:
        for step in steps:
            if isinstance(step, bytes):
                peer.send(step)
            elif isinstance(step, str):
                getattr(peer, step)()
            else:
                peer.pause(step)

    return scenario
