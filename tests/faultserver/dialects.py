"""How two providers write their answers, as bytes, for the faults to be wrapped around."""

from __future__ import annotations

import json
from typing import Any, Optional, Protocol

from syncagent.models.anthropic import AnthropicModel
from syncagent.models.base import Model
from syncagent.models.openai import OpenAIModel
from syncagent.providers.anthropic import AnthropicProvider
from syncagent.providers.openai import OpenAIProvider

from . import chat

__all__ = ["ANTHROPIC", "DIALECTS", "OPENAI", "Call", "Dialect"]

Call = tuple[Optional[str], str, str]
"""Id, name of the tool, arguments as text."""


class Dialect(Protocol):
    """
    One provider's way to write.

    Attributes:
        name: the prefix of its models.
        path: where its API is asked.
    """

    name: str
    path: str

    def answer(self, text: str, stop: str = "stop") -> bytes:
        """A whole answer; *stop* is ``stop``, ``length`` or ``content_filter``."""

    def calls(self, *calls: Call, stop: str = "tool_call") -> bytes:
        """A whole answer that calls tools."""

    def error(self, message: str, code: str) -> bytes:
        """The body of an error; *code* is the provider's word for it."""

    def stream(self, *pieces: str) -> list[bytes]:
        """An answer as server-sent events, each whole; the last one is the mark of the end."""

    def model(self, address: str, **provider: Any) -> Model:
        """A model of ours that asks the server at *address*."""

    def answers_in(self, body: Any) -> dict[str, str]:
        """What a request says of the tool calls before it: contents by the call's id."""


class _OpenAI:
    name = "openai"
    path = "/v1/chat/completions"

    def answer(self, text: str, stop: str = "stop") -> bytes:
        return self._whole({"content": text or None}, stop)

    def calls(self, *calls: Call, stop: str = "tool_call") -> bytes:
        tool_calls = [
            {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}
            for identifier, name, arguments in calls
        ]
        return self._whole({"content": None, "tool_calls": tool_calls}, {"tool_call": "tool_calls"}.get(stop, stop))

    def _whole(self, message: dict[str, Any], stop: str) -> bytes:
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": stop}
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        return _json(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1700000000,
                "model": "loopback",
                "choices": [choice],
                "usage": usage,
            }
        )

    def error(self, message: str, code: str) -> bytes:
        return _json({"error": {"message": message, "type": code, "param": None, "code": code}})

    def stream(self, *pieces: str) -> list[bytes]:
        return [chat.text(piece) for piece in pieces] + [chat.event({}, "stop"), chat.usage(9, 3), chat.DONE]

    def model(self, address: str, **provider: Any) -> Model:
        return OpenAIModel("loopback", provider=OpenAIProvider(f"{address}/v1", **provider))

    def answers_in(self, body: Any) -> dict[str, str]:
        found = [message for message in body["messages"] if message["role"] == "tool"]
        answers = {message["tool_call_id"]: message["content"] for message in found}
        assert len(answers) == len(found)
        called = [call["id"] for message in body["messages"] for call in message.get("tool_calls") or []]
        assert sorted(called) == sorted(answers)
        return answers


class _Anthropic:
    name = "anthropic"
    path = "/v1/messages"

    def answer(self, text: str, stop: str = "stop") -> bytes:
        content = [{"type": "text", "text": text}] if text else []
        return self._whole(content, {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}[stop])

    def calls(self, *calls: Call, stop: str = "tool_call") -> bytes:
        content = [
            {"type": "tool_use", "id": identifier, "name": name, "input": _object(arguments)}
            for identifier, name, arguments in calls
        ]
        return self._whole(content, {"tool_call": "tool_use", "length": "max_tokens"}[stop])

    def _whole(self, content: list[dict[str, Any]], stop: str) -> bytes:
        return _json(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "loopback",
                "content": content,
                "stop_reason": stop,
                "stop_sequence": None,
                "usage": {"input_tokens": 9, "output_tokens": 3},
            }
        )

    def error(self, message: str, code: str) -> bytes:
        return _json({"type": "error", "error": {"type": code, "message": message}, "request_id": "req_1"})

    def stream(self, *pieces: str) -> list[bytes]:
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "loopback", "content": []}
        usage = {"input_tokens": 9, "output_tokens": 1}
        return [
            _event("message_start", message={**head, "stop_reason": None, "stop_sequence": None, "usage": usage}),
            _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            *(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in pieces),
            _event("content_block_stop", index=0),
            _event(
                "message_delta",
                delta={"stop_reason": "end_turn", "stop_sequence": None},
                usage={"output_tokens": 3},
            ),
            _event("message_stop"),
        ]

    def model(self, address: str, **provider: Any) -> Model:
        return AnthropicModel("loopback", provider=AnthropicProvider(address, **provider))

    def answers_in(self, body: Any) -> dict[str, str]:
        blocks = [block for message in body["messages"] for block in _blocks(message)]
        found = [block for block in blocks if block["type"] == "tool_result"]
        answers = {block["tool_use_id"]: _text(block.get("content")) for block in found}
        assert len(answers) == len(found)
        assert sorted(block["id"] for block in blocks if block["type"] == "tool_use") == sorted(answers)
        return answers


def _blocks(message: Any) -> list[Any]:
    content = message["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content or [])


def _object(arguments: str) -> Any:
    """What stands in an answer whose arguments are no text but JSON: whatever *arguments* is, as far as it goes."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _event(kind: str, **more: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _json({"type": kind, **more}) + b"\n\n"


def _json(value: Any) -> bytes:
    # A surrogate alone is no UTF-8; JSON has an escape for it, which is Python's.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


OPENAI: Dialect = _OpenAI()
ANTHROPIC: Dialect = _Anthropic()
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (OPENAI, ANTHROPIC)}
