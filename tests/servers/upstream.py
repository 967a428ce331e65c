"""The provider behind the servers under test: an OpenAI-compatible chat whose prompts say what is to happen."""

from __future__ import annotations

import json
import select
import threading
import time
from typing import Any, Optional

from tests.faultserver.chat import HEAD, chunk, finish, text
from tests.faultserver.server import Peer, Request

__all__ = ["Upstream"]

_HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"id": '


class Upstream:
    """
    Answers the prompt ``WORD TAG`` with ``TAG``, each in its own way.

    ``say`` at once, ``wait`` after 0.3 s, ``together`` once all that were asked for are here; ``tool`` calls the
    tool ``work`` with the tag and answers with what it returned; ``busy`` is a 503 that asks for half a minute's
    patience, ``limit`` a 429 that asks for an hour's; ``wrong`` is a 400. After ``head``, ``body`` and ``stream``
    nothing more comes: before the head, in the middle of the body, after the first words of a stream.

    Args:
        together: how many requests with the word ``together`` have to be under way before they are answered.

    Attributes:
        came: the prompts, in the order in which they came.
        left: those whose client left before it had its answer.
        peak: how many requests were under way at once, at most.
        speakers: who spoke on each connection, of those prompts that name their process after the tag: ``say x@17``.
    """

    def __init__(self, together: int = 1) -> None:
        self.came: list[str] = []
        self.left: list[str] = []
        self.peak = 0
        self.speakers: dict[Peer, set[str]] = {}
        self._changed = threading.Condition()
        self._now = 0
        self._together = threading.Barrier(together)

    def __call__(self, peer: Peer, request: Request) -> None:
        asked = json.loads(request.body)
        prompt, returned = _last_words(asked["messages"])
        word, _, tag = prompt.partition(" ")
        with self._changed:
            self.came.append(prompt)
            self._now += 1
            self.peak = max(self.peak, self._now)
            if "@" in tag:
                self.speakers.setdefault(peer, set()).add(tag.partition("@")[2])
            self._changed.notify_all()
        try:
            self._answer(peer, word, tag, returned, asked)
        finally:
            with self._changed:
                self._now -= 1

    def wait_for(self, prompt: str, *, left: bool = False, seconds: float = 20) -> None:
        """Wait until *prompt* came, or until its client left."""
        found = self.left if left else self.came
        with self._changed:
            assert self._changed.wait_for(lambda: prompt in found, seconds), (prompt, found[-20:])

    def _answer(self, peer: Peer, word: str, tag: str, returned: Optional[str], asked: dict[str, Any]) -> None:
        if word == "wait":
            peer.pause(0.3)
        elif word == "together":
            self._together.wait(30)
        elif word == "busy":
            return peer.answer(_error("come later"), "503 Service Unavailable", "Retry-After: 30")
        elif word == "limit":
            return peer.answer(_error("too many"), "429 Too Many Requests", "Retry-After: 3600")
        elif word == "wrong":
            return peer.answer(_error("no such thing"), "400 Bad Request")
        elif word in ("head", "body", "stream"):
            if word == "body":
                peer.send(_HALF)
            elif word == "stream":
                peer.send(HEAD + chunk(text("Well, ")))
            return self._until_the_client_leaves(peer, f"{word} {tag}")
        if asked.get("stream"):
            return peer.send(HEAD + chunk(text(tag) + finish()) + b"0\r\n\r\n")
        if word == "tool" and returned is None:
            return peer.answer(_completion(calls=[("work", json.dumps({"tag": tag}))]))
        peer.answer(_completion(tag if returned is None else returned))

    def _until_the_client_leaves(self, peer: Peer, prompt: str) -> None:
        end = time.monotonic() + 60
        while not peer.server.stopping.is_set() and time.monotonic() < end:
            readable, _, _ = select.select([peer.sock], [], [], 0.05)
            try:
                if readable and not peer.sock.recv(1024):
                    break
            except OSError:
                break
        else:
            return
        with self._changed:
            self.left.append(prompt)
            self._changed.notify_all()
        peer.close()


def _last_words(messages: list[dict[str, Any]]) -> tuple[str, Optional[str]]:
    """The prompt, and what a tool returned after it."""
    (prompt,) = (message["content"] for message in messages if message["role"] == "user")
    last = messages[-1]
    return prompt, last["content"] if last["role"] == "tool" else None


def _completion(content: Optional[str] = None, calls: Any = ()) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(calls)
        ]
    reason = "tool_calls" if calls else "stop"
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "loopback",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    return json.dumps(whole).encode()


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()
