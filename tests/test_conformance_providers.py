"""
Every recorded chat exchange, asked for again: its provider's own row and model class, against a server on loopback.

The server says what the provider said. Where the request goes is compared with where it was recorded to have gone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from syncagent.exceptions import ModelHTTPError, ModelNotFoundError, ModelRateLimitError, ModelResponseError
from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.models import ModelRequestParameters
from syncagent.models.base import Model
from syncagent.models.cohere import CohereModel
from syncagent.models.groq import GroqModel
from syncagent.models.mistral import MistralModel
from syncagent.models.openai import OpenAIModel
from syncagent.providers import Provider, provider_class
from syncagent.providers.azure import AzureProvider
from syncagent.transport import RetryPolicy
from tests.conformance import compare_parts, load, parts_of
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import say
from tests.shared_folder import shared_files

_ROW_OF = {"azure-openai": "azure", "google": "openai", "openai-compatible": "openai"}
_CLASS_OF: dict[str, type[Model]] = {"cohere": CohereModel, "groq": GroqModel, "mistral": MistralModel}
_SNOWFLAKE = "/api/v2/cortex/v1"
_FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "TOOL_CALL": "tool_call", "tool_calls": "tool_call"}
_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("?")])]

every_exchange = pytest.mark.parametrize(
    "path",
    [
        *shared_files("conformance", "[!e]*/*-chat-completions-*.json"),
        *shared_files("conformance", "cohere/cohere-chat-*.json"),
    ],
)


def _model(exchange: dict[str, Any], origin: str) -> Model:
    name = exchange["provider"]
    row_name = _ROW_OF.get(name, name)
    model_name = exchange["request"]["model"]
    policy = RetryPolicy(max_retries=0)
    cls = provider_class(row_name)
    if row_name == "azure":
        version = exchange["path"].partition("api-version=")[2]
        provider: Provider = AzureProvider(origin, version, "k", retry_policy=policy)
        return OpenAIModel(model_name, provider=provider)
    prefix = urlsplit(cls.row.base_url or "").path
    if row_name == "openai":
        prefix = exchange["path"].partition("/chat/completions")[0]
    elif row_name == "bedrock-mantle":
        prefix = "/v1"
    elif row_name == "snowflake":
        prefix = _SNOWFLAKE
    provider = cls(origin + prefix, "k", retry_policy=policy)
    made: Any = _CLASS_OF.get(row_name, OpenAIModel)
    model: Model = made(model_name, provider=provider)
    return model


def _answer(exchange: dict[str, Any]) -> Any:
    response = exchange["response"]
    if exchange["streamed"]:
        return say(f"{response['status']} X", response["body_text"].encode(), "Content-Type: text/event-stream")
    return say(f"{response['status']} X", json.dumps(response["body"]).encode(), "Content-Type: application/json")


def _ask(model: Model, streamed: bool, messages: list[ModelMessage]) -> ModelResponse:
    if not streamed:
        return model.request(messages, None, ModelRequestParameters())
    with model.request_stream(messages, None, ModelRequestParameters()) as stream:
        for _ in stream:
            pass
        return stream.get()


@every_exchange
def test_exchange(path: Path) -> None:
    """The provider's own model sends where it was sent, reads what was read, and sends it back with what follows."""
    exchange, expected = load(path)
    streamed = exchange["streamed"]
    with FaultServer(_answer(exchange)) as server:
        model = _model(exchange, server.origin)
        wrong = _wrong(expected)
        if wrong is not None:
            with pytest.raises(wrong) as raised:
                _ask(model, streamed, _ASKED)
            if "stream_error" in expected:
                response = raised.value.partial
                assert response is not None
                assert "".join(part.content for part in parts_of(response, TextPart)) == expected["text"]
        else:
            response = _ask(model, streamed, _ASKED)
            response.model_name = response.model_name if expected["model"] else None
            compare_parts(response, expected)
            _compare_usage(response, expected)
            said = expected["finish_reason"]
            assert response.finish_reason == (_FINISH.get(said, said) or None)
            assert response.provider_name == model.system
            if any(part.__class__ in (TextPart, ToolCallPart) for part in response.parts):
                _ask(model, streamed, [*_ASKED, response, _next(response)])
                assert [frame["role"] for frame in server.bodies[1]["messages"]][:2] == ["user", "assistant"]
        if exchange["provider"] != "huggingface":  # recorded at the providers that its router asks
            assert server.requests[0].path == exchange["path"]
        assert server.bodies[0]["model"] == exchange["request"]["model"]


def _wrong(expected: dict[str, Any]) -> Any:
    """The exception that is to come, if any."""
    if "stream_error" in expected or expected["kind"] == "other":
        return ModelResponseError
    if expected["kind"] == "error":
        return {404: ModelNotFoundError, 429: ModelRateLimitError}.get(expected["status"], ModelHTTPError)
    return None


def _compare_usage(response: ModelResponse, expected: dict[str, Any]) -> None:
    """The numbers of these servers have our meaning: all input, cached too; all output, thinking too."""
    usage, details = response.usage, response.usage.details or {}
    assert (usage.request_tokens, usage.response_tokens) == (expected["input_tokens"], expected["output_tokens"])
    for key, ours in (
        ("cache_read_tokens", "cached_tokens"),
        ("reasoning_tokens", "reasoning_tokens"),
        ("billed_input_tokens", "billed_input_tokens"),
    ):
        if expected.get(key) is not None:
            assert details[ours] == expected[key]


def _next(response: ModelResponse) -> ModelRequest:
    calls = parts_of(response, ToolCallPart)
    for index, call in enumerate(calls):
        call.tool_call_id = call.tool_call_id or f"call_{index}"
    return ModelRequest(
        [*[ToolReturnPart(call.tool_name, "x", call.tool_call_id) for call in calls], UserPromptPart("And?")]
    )


@pytest.mark.parametrize("path", shared_files("conformance", "groq/groq-chat-completions-05.json"))
def test_executed_tools(path: Path) -> None:
    """The tools that Groq ran itself are kept, and do not go back: the API refuses them."""
    exchange, _ = load(path)
    with FaultServer(_answer(exchange)) as server:
        model = _model(exchange, server.origin)
        response = _ask(model, False, _ASKED)
        (kept,) = parts_of(response, OpaquePart)
        assert kept.provider_name == "groq"
        assert kept.data["executed_tools"] == exchange["response"]["body"]["choices"][0]["message"]["executed_tools"]
        _ask(model, False, [*_ASKED, response, *_ASKED])
        assert server.bodies[1]["messages"][1].keys() == {"role", "content"}


@pytest.mark.parametrize("path", shared_files("conformance", "cohere/cohere-chat-0[57].json"))
def test_plans_and_sources(path: Path) -> None:
    """What Cohere says of its plan and of its sources goes back as it came."""
    exchange, _ = load(path)
    said = exchange["response"]["body"]["message"]
    with FaultServer(_answer(exchange)) as server:
        model = _model(exchange, server.origin)
        response = _ask(model, False, _ASKED)
        _ask(model, False, [*_ASKED, response, _next(response)])
        back = server.bodies[1]["messages"][1]
    for key in ("tool_plan", "citations", "content", "tool_calls"):
        assert back.get(key) == said.get(key)


@pytest.mark.parametrize("path", shared_files("conformance", "cohere/cohere-embeddings-02.json"))
def test_error(path: Path) -> None:
    """Cohere's error object has its words at the top."""
    exchange, expected = load(path)
    info = CohereModel("m").wire.decode_error(404, exchange["response"]["body"])
    assert info.message == expected["message"]
    assert info.kind is None
