"""
Every request that we write is one that Anthropic's own package could have written.

The oracle is that package's request type, a TypedDict, read by pydantic with unknown keys forbidden everywhere.
Answers that came from the API are sent back in front of it, too: each recorded one is read, appended to the
history and written again.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, Callable

import pytest

from syncagent.messages import (
    BinaryContent,
    CachePoint,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.models.anthropic import AnthropicWire, encode, encode_count
from syncagent.models.base import StreamedResponse
from syncagent.models.profiles import infer_profile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.transport.sse import sse_frames
from tests.conformance import answers, load
from tests.oracles.strict_types import body_check

pytest.importorskip("anthropic", reason="the oracle is Anthropic's own package: pip install anthropic")
pydantic = pytest.importorskip("pydantic", reason="reads the oracle's types: pip install pydantic")

_Check = Callable[[bytes], object]
# Version 2 of the package speaks API version 2026-10-21, which has no sampling settings; 2023-06-01, ours, has.
_OLDER = ("temperature", "top_p", "top_k")


@pytest.fixture(scope="module")
def oracle() -> _Check:
    """Raises for a request that the package's type does not allow."""
    from anthropic.types import message_create_params as params

    whole = body_check(params.MessageCreateParamsNonStreaming)
    streamed = body_check(params.MessageCreateParamsStreaming)

    def check(body: bytes) -> object:
        request = json.loads(body)
        body = json.dumps({key: value for key, value in request.items() if key not in _OLDER}).encode()
        return (streamed if request.get("stream") else whole)(body)

    return check


@pytest.fixture(scope="module")
def count_oracle() -> _Check:
    """The same for the count of tokens."""
    from anthropic.types import message_count_tokens_params as params

    return body_check(params.MessageCountTokensParams)


@pytest.fixture(scope="module")
def beta_oracle() -> _Check:
    """The type with beta features: answers of tools that run at the provider's."""
    from anthropic.types.beta import message_create_params as params

    return body_check(params.MessageCreateParamsNonStreaming)


def test_the_oracle_sees_mistakes(oracle: _Check) -> None:
    """The oracle refuses an unknown key at the top and inside, and a wrong value."""
    block = {"type": "text", "text": "a"}
    right: dict[str, Any] = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [block]}]}
    oracle(json.dumps(right).encode())
    wrong: list[dict[str, Any]] = [
        {**right, "temprature": 1},
        {**right, "messages": [{"role": "user", "content": [{**block, "colour": "red"}]}]},
        {**right, "messages": [{"role": "usr", "content": [block]}]},
        {**right, "tools": [{"name": "a", "input_schema": {"type": "object"}, "x": 1}]},
        {**right, "max_tokens": "many"},
        {**right, "tool_choice": {"type": "required"}},
    ]
    for request in wrong:
        with pytest.raises(pydantic.ValidationError):
            oracle(json.dumps(request).encode())


_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_LOOSE = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "default": 4}}}
_TOOLS = [ToolDefinition("weather", "Tell the weather.", _SCHEMA), ToolDefinition("now", "", {"type": "object"})]
_RESULT = [ToolDefinition("final_result", "The end.", _SCHEMA)]
_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
_CALL = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
_CITED = {"type": "web_search_result_location", "cited_text": "c", "encrypted_index": "e", "title": "t", "url": "u"}

_CONVERSATIONS: dict[str, list[ModelMessage]] = {
    "plain": [ModelRequest([SystemPromptPart("Be brief."), SystemPromptPart(""), UserPromptPart('Hi\n"é\x00😀')])],
    "media": [
        ModelRequest(
            [
                UserPromptPart(
                    [
                        "look",
                        ImageUrl("https://x/a.png"),
                        ImageUrl("data:image/png;base64,YQ=="),
                        BinaryContent(b"a", "image/png"),
                        CachePoint(),
                        BinaryContent(b"a", "application/pdf"),
                        BinaryContent(b"a,b", "text/csv"),
                        DocumentUrl("https://x/a.pdf"),
                        CachePoint("1h"),
                    ]
                )
            ]
        )
    ],
    "tools": [
        ModelRequest([UserPromptPart("Weather?")]),
        ModelResponse(
            [
                ThinkingPart("hm", None, "signature", "anthropic"),
                OpaquePart("anthropic", {"type": "redacted_thinking", "data": "x"}),
                ThinkingPart("of another", None, "signature", "bedrock"),
                TextPart("Let me see."),
                ToolCallPart("weather", {"city": "x"}, "1"),
            ]
        ),
        ModelRequest([ToolReturnPart("weather", {"sun": 1}, "1")]),
        ModelResponse([ToolCallPart("weather", "", "2"), ToolCallPart("now", "{broken", "functions.now:3")]),
        ModelRequest(
            [
                RetryPromptPart([{"type": "missing", "loc": ("city",), "msg": "m", "input": {}}], "weather", "2"),
                UserPromptPart("And?"),
                ToolReturnPart("now", "", "functions.now:3"),
            ]
        ),
        ModelResponse([]),
        ModelRequest([RetryPromptPart("The response was empty.")]),
    ],
    "server tools": [
        ModelRequest([UserPromptPart("Search.")]),
        ModelResponse(
            [
                OpaquePart("anthropic", _CALL),
                OpaquePart("anthropic", {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
                TextPart("It is so. Or not."),
                OpaquePart(
                    "anthropic",
                    {"type": "citations", "length": 17, "cited": [{"start": 3, "end": 5, "citations": [_CITED]}]},
                ),
                ToolCallPart("now", {}, "1"),
                OpaquePart(
                    "anthropic",
                    {
                        "type": "tool_use_caller",
                        "id": "1",
                        "caller": {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"},
                    },
                ),
            ],
            provider_details={"container": {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}},
        ),
        ModelRequest([ToolReturnPart("now", "12:00", "1")]),
    ],
}
_PARAMETERS = {
    "text": ModelRequestParameters(),
    "tools": ModelRequestParameters(_TOOLS),
    "result tool": ModelRequestParameters(_TOOLS, False, _RESULT, native_tools=[_SEARCH]),
    "native": ModelRequestParameters(result_mode="native", result_schema=_SCHEMA),
    "native, described": ModelRequestParameters(_TOOLS, result_mode="native", result_schema=_LOOSE),
    "prompted": ModelRequestParameters(result_mode="prompted", result_schema=_SCHEMA),
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "all": {
        "max_tokens": 5000,
        "temperature": 0,
        "top_p": 0.9,
        "top_k": 3,
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "logit_bias": {"1": -100},
        "stop_sequences": ["a"],
        "logprobs": True,
        "parallel_tool_calls": False,
        "timeout": 3,
        "extra_headers": {"a": "b"},
        "anthropic_metadata": {"user_id": "u"},
        "anthropic_thinking": {"type": "enabled", "budget_tokens": 1024},
        "anthropic_effort": "low",
        "anthropic_cache": "1h",
        "anthropic_service_tier": "standard_only",
        "anthropic_container": "container_2",
        "openai_user": "u",
    },
    "named tool": {"tool_choice": "weather", "anthropic_cache": True},
    "no tool": {"tool_choice": "none", "parallel_tool_calls": True},
}


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-5-5"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("conversation", _CONVERSATIONS)
def test_requests(oracle: _Check, count_oracle: _Check, conversation: str, stream: bool, model: str) -> None:
    """Whatever conversation, tools, result and settings: the package's own type allows the request and its count."""
    profile = infer_profile("anthropic", model)
    for (name, parameters), settings in itertools.product(_PARAMETERS.items(), _SETTINGS.values()):
        if settings.get("tool_choice") == "weather" and not parameters.function_tools:
            continue
        messages = _CONVERSATIONS[conversation]
        call = ModelCall(model, messages, settings, parameters, profile, stream, "anthropic", profile.quirks)
        try:
            oracle(encode(call).body)
            count_oracle(encode_count(call).body)
        except pydantic.ValidationError as error:
            pytest.fail(f"{name}: {error}")


@pytest.mark.parametrize("path", answers("anthropic/*-messages-*.json"))
def test_round_trip(beta_oracle: _Check, path: Path) -> None:
    """A recorded answer, appended to the history, goes back in a form that the package's type allows."""
    exchange, _ = load(path)
    wire = AnthropicWire("anthropic")
    if exchange["streamed"]:
        frames = sse_frames([exchange["response"]["body_text"].encode()])
        stream = StreamedResponse(wire.decode_stream(frames), model_name="m")
        assert list(stream)
        response = stream.get()
    else:
        response = wire.decode(exchange["response"]["body"])
    returns = [
        ToolReturnPart(part.tool_name, "ok", part.tool_call_id)
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    messages = [ModelRequest([UserPromptPart("Hi")]), response, ModelRequest([*returns, UserPromptPart("Go on.")])]
    profile = infer_profile("anthropic", "claude-sonnet-4-5")
    call = ModelCall("claude-sonnet-4-5", messages, {}, ModelRequestParameters(), profile, False, "anthropic", {})
    beta_oracle(encode(call).body)
