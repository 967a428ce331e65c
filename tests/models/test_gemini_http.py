"""Gemini over real sockets: whole runs, streams, counts and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncagent import Agent
from syncagent.exceptions import (
    ContentFilterError,
    ContextTooLongError,
    IncompleteStreamError,
    ModelAuthError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelResponseError,
)
from syncagent.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from syncagent.models import ModelRequestParameters
from syncagent.models.gemini import GeminiModel
from syncagent.providers.google_gla import GoogleGLAProvider
from syncagent.transport import RetryPolicy
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import chunked, in_turn, say

_KEY = "AIza-canary-0123456789abcdef"
_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_NEVER = RetryPolicy(max_retries=0)


def _model(server: FaultServer, name: str = "gemini-3-pro-preview") -> GeminiModel:
    return GeminiModel(name, provider=GoogleGLAProvider(server.origin + "/v1beta", _KEY, retry_policy=_NEVER))


def _chunk(*parts: Any, **candidate: Any) -> dict[str, Any]:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return {
        "candidates": [{"content": {"role": "model", "parts": list(parts)}, **candidate}],
        "usageMetadata": usage,
        "modelVersion": "gemini-3-pro-preview",
        "responseId": "r",
    }


def _answer(*parts: Any, **candidate: Any) -> Any:
    return say("200 OK", json.dumps(_chunk(*parts, finishReason="STOP", **candidate)).encode())


def _events(*chunks: Any) -> Any:
    return chunked(*[b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks])


_SIGNED_CALL = {"functionCall": {"name": "weather", "args": {"city": "Rome"}, "id": "c1"}, "thoughtSignature": "sig"}


def _agent(server: FaultServer) -> Agent[None, str]:
    agent: Agent[None, str] = Agent(_model(server), system_prompt="Be brief.")

    @agent.tool_plain
    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sunny in {city}"

    return agent


def test_run() -> None:
    """A run calls a tool and sends its return back, with the signature on the call; the key is in its header alone."""
    with FaultServer(in_turn(_answer(_SIGNED_CALL), _answer({"text": "Sunny."}))) as server:
        result = _agent(server).run_sync("Weather?")
        requests, (first, second) = server.requests, server.bodies
    assert result.data == "Sunny."
    assert result.usage().total_tokens == 10
    assert {request.path for request in requests} == {"/v1beta/models/gemini-3-pro-preview:generateContent"}
    for request in requests:
        assert [name for name, value in request.headers.items() if _KEY in value] == ["x-goog-api-key"]
    assert first["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert second["contents"][1:] == [
        {"role": "model", "parts": [_SIGNED_CALL]},
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"return_value": "sunny in Rome"}, "id": "c1"}}
            ],
        },
    ]


def test_stream() -> None:
    """A stream is asked for as events, gives its text as it comes, and ends complete."""
    events = _events(_chunk({"text": "Sun"}), _chunk({"text": "ny."}, finishReason="STOP"))
    with FaultServer(events) as server:
        with _agent(server).run_stream("Weather?") as result:
            assert "".join(result.stream_text(delta=True, debounce_by=None)) == "Sunny."
        (request,) = server.requests
    assert request.path == "/v1beta/models/gemini-3-pro-preview:streamGenerateContent?alt=sse"
    assert result.usage().total_tokens == 5


def test_cut_stream() -> None:
    """A stream without a finish reason was cut."""
    with FaultServer(_events(_chunk({"text": "Sun"}))) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as response:
            with pytest.raises(IncompleteStreamError) as raised:
                list(response)
    assert isinstance(raised.value.partial, ModelResponse)
    assert raised.value.partial.parts == [TextPart("Sun")]


def test_error_in_a_stream() -> None:
    """An error inside a stream that began well is the provider's answer, which cannot be used."""
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    with FaultServer(_events(_chunk({"text": "Sun"}), error)) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as response:
            with pytest.raises(ModelResponseError, match="The model is overloaded"):
                list(response)


@pytest.mark.parametrize(
    "body",
    [
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}},
        {"candidates": [{"content": {}, "finishReason": "SAFETY"}]},
    ],
)
def test_blocked(body: dict[str, Any]) -> None:
    """A prompt or an answer that is blocked is a ContentFilterError."""
    with FaultServer(say("200 OK", json.dumps(body).encode())) as server:
        with pytest.raises(ContentFilterError):
            _agent(server).run_sync("Weather?")


def test_count() -> None:
    """Counting asks its own endpoint for the whole request."""
    with FaultServer(say("200 OK", b'{"totalTokens": 31}')) as server:
        assert _model(server).count_tokens(_ASKED) == 31
        (request,), (body,) = server.requests, server.bodies
    assert request.path == "/v1beta/models/gemini-3-pro-preview:countTokens"
    assert body["generateContentRequest"]["model"] == "models/gemini-3-pro-preview"
    with FaultServer(say("200 OK", b"{}")) as server:
        with pytest.raises(ModelResponseError, match="totalTokens: expected a number of tokens, got nothing"):
            _model(server).count_tokens(_ASKED)


_PER_DAY = [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}]


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        ("400 Bad Request", {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}, ModelAuthError),
        ("400 Bad Request", {"status": "INVALID_ARGUMENT"}, ModelHTTPError),
        (
            "400 Bad Request",
            {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."},
            ContextTooLongError,
        ),
        ("403 Forbidden", {"status": "PERMISSION_DENIED"}, ModelAuthError),
        ("404 Not Found", {"status": "NOT_FOUND"}, ModelNotFoundError),
        ("429 Too Many Requests", {"status": "RESOURCE_EXHAUSTED"}, ModelRateLimitError),
        ("429 Too Many Requests", {"status": "RESOURCE_EXHAUSTED", "details": _PER_DAY}, ModelQuotaError),
        ("503 Service Unavailable", {"status": "UNAVAILABLE"}, ModelOverloadedError),
    ],
)
def test_errors(status: str, error: dict[str, Any], expected: type[ModelHTTPError]) -> None:
    """An error's status, word and reasons give the typed exception, whole and streamed."""
    with FaultServer(say(status, json.dumps({"error": error}).encode())) as server:
        with pytest.raises(ModelHTTPError) as raised:
            _model(server).request(_ASKED, None, ModelRequestParameters())
    assert type(raised.value) is expected
    with FaultServer(say(status, json.dumps([{"error": error}]).encode())) as server:
        with pytest.raises(ModelHTTPError) as raised:
            with _model(server).request_stream(_ASKED, None, ModelRequestParameters()):
                pytest.fail("the stream has begun")
    assert type(raised.value) is expected
