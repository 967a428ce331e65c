"""
Every request that we write to Groq, Mistral and Cohere is one that their own packages could have written.

Groq's oracle is a TypedDict, read with unknown keys forbidden. Mistral's is a model that leaves unknown keys out:
what comes back out of it has to be what went in. Cohere's are the parameters of its client's method, with models
that take unknown keys and say which. Recorded answers are read, appended to the history and written again.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import typing_extensions

from syncagent.messages import (
    BinaryContent,
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
from syncagent.models.base import StreamedResponse
from syncagent.models.cohere import CohereModelSettings
from syncagent.models.groq import GroqModelSettings
from syncagent.models.mistral import MistralModelSettings
from syncagent.models.names import infer_model
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.transport.sse import sse_frames
from tests.conformance import load, parts_of
from tests.oracles.strict_types import body_check
from tests.shared_folder import shared_files

pydantic = pytest.importorskip("pydantic", reason="reads the oracles' types: pip install pydantic")

_Check = Callable[[bytes], object]


def _groq() -> _Check:
    pytest.importorskip("groq", reason="the oracle is Groq's own package: pip install groq")
    from groq.types.chat import completion_create_params as params

    return body_check(params.CompletionCreateParams)


def _mistral() -> _Check:
    reason = "the oracle is Mistral's own package: pip install mistralai"
    models = pytest.importorskip("mistralai.client.models", reason=reason)

    def check(body: bytes) -> object:
        sent = json.loads(body)
        model = models.ChatCompletionStreamRequest if sent.get("stream") else models.ChatCompletionRequest
        known = model.model_validate(sent).model_dump(mode="json", by_alias=True, exclude_unset=True)
        left_out = _differences(sent, known)
        if left_out:
            raise ValueError(f"unknown to Mistral's package: {left_out}")
        return known

    return check


def _differences(sent: Any, known: Any, path: str = "") -> list[str]:
    """The places of *sent* that are not in *known*, which may have defaults besides."""
    if isinstance(sent, dict) and isinstance(known, dict):
        return [
            place
            for key, value in sent.items()
            for place in (_differences(value, known[key], f"{path}.{key}") if key in known else [f"{path}.{key}"])
        ]
    if isinstance(sent, list) and isinstance(known, list) and len(sent) == len(known):
        pairs = enumerate(zip(sent, known))
        return [place for index, (a, b) in pairs for place in _differences(a, b, f"{path}[{index}]")]
    return [] if sent == known else [path]


def _cohere() -> _Check:
    pytest.importorskip("cohere", reason="the oracle is Cohere's own package: pip install cohere")
    from cohere.v2.raw_client import RawV2Client

    hints = typing_extensions.get_type_hints(RawV2Client.chat, include_extras=True)
    fields: dict[str, Any] = {
        name: (hint, ...) if name in ("model", "messages") else (hint, None)
        for name, hint in hints.items()
        if name not in ("return", "request_options")
    }
    adapter = pydantic.create_model("Chat", __config__=pydantic.ConfigDict(extra="forbid"), **fields)

    def check(body: bytes) -> object:
        sent = json.loads(body)
        assert isinstance(sent.pop("stream"), bool)
        read = adapter.model_validate(sent)
        unknown = [key for model in _models(read) for key in model.model_extra or {}]
        if unknown:
            raise ValueError(f"unknown to Cohere's package: {unknown}")
        return read

    return check


def _models(value: Any) -> Iterator[Any]:
    if isinstance(value, pydantic.BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _models(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _models(item)


_ORACLES = {"cohere": _cohere, "groq": _groq, "mistral": _mistral}
_made: dict[str, _Check] = {}

every_provider = pytest.mark.parametrize("provider", list(_ORACLES))


def _oracle(provider: str) -> _Check:
    if provider not in _made:
        _made[provider] = _ORACLES[provider]()
    return _made[provider]


_RIGHT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "a"}]}


@every_provider
def test_the_oracle_sees_mistakes(provider: str) -> None:
    """The oracle refuses an unknown key at the top and inside, and values of another type."""
    right = {**_RIGHT, **({"stream": False} if provider == "cohere" else {})}
    check = _oracle(provider)
    check(json.dumps(right).encode())
    tool = {"type": "function", "function": {"name": "a", "parameters": {}, "x": 1}}
    wrong: list[dict[str, Any]] = [
        {**right, "temprature": 1},
        {**right, "messages": [{"role": "user", "content": "a", "colour": "red"}]},
        {**right, "messages": [{"role": "user", "content": 3}]},
        {**right, "tools": [tool]},
        {**right, "temperature": "hot"},
    ]
    for request in wrong:
        with pytest.raises(ValueError):
            check(json.dumps(request).encode())


_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_TOOLS = [
    ToolDefinition("weather", "Tell the weather.", _SCHEMA),
    ToolDefinition("now", "", {"type": "object", "properties": {}}),
]
_RESULT = [ToolDefinition("final_result", "The end.", _SCHEMA)]


def _conversations(provider: str) -> dict[str, list[ModelMessage]]:
    thought = ThinkingPart("hm", None, None, provider)
    media: list[Any] = ["look", ImageUrl("https://x/a.png"), BinaryContent(b"a", "image/png")]
    if provider == "mistral":
        media += [
            BinaryContent(b"a", "audio/wav"),
            BinaryContent(b"a", "application/pdf"),
            DocumentUrl("https://x/a.pdf"),
        ]
    error: Any = [{"type": "missing", "loc": ("city",), "msg": "m", "input": {}}]
    return {
        "plain": [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart("Hi\n\"é\x00😀")])],
        "media": [ModelRequest([UserPromptPart(media)])],
        "tools": [
            ModelRequest([UserPromptPart("Weather?")]),
            ModelResponse([thought, TextPart("Let me see."), ToolCallPart("weather", {"city": "x"}, "call_1")]),
            ModelRequest([ToolReturnPart("weather", {"sun": 1}, "call_1")]),
            ModelResponse([thought, ToolCallPart("weather", "", "call_2"), ToolCallPart("now", "{}", "call_3")]),
            ModelRequest(
                [
                    RetryPromptPart(error, "weather", "call_2"),
                    ToolReturnPart("now", "12:00", "call_3"),
                    UserPromptPart("And?"),
                ]
            ),
            ModelResponse([]),
            ModelResponse([thought, TextPart("So."), OpaquePart(provider, {"tool_plan": "p", "executed_tools": []})]),
            ModelRequest([RetryPromptPart("The response was empty.")]),
        ],
    }


_PARAMETERS = {
    "text": ModelRequestParameters(),
    "tools": ModelRequestParameters(_TOOLS),
    "result tool": ModelRequestParameters(_TOOLS, False, _RESULT),
    "native": ModelRequestParameters(result_mode="native", result_schema=_SCHEMA),
    "prompted": ModelRequestParameters(result_mode="prompted", result_schema=_SCHEMA),
}
_COMMON: dict[str, Any] = {
    "max_tokens": 5,
    "temperature": 0,
    "top_p": 0.9,
    "top_k": 3,
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logit_bias": {"1": -100},
    "stop_sequences": ["a"],
    "logprobs": True,
    "top_logprobs": 2,
    "parallel_tool_calls": False,
    "timeout": 3,
    "extra_headers": {"a": "b"},
    "openai_store": True,
    "openai_user": "u",
}
_OWN: dict[str, dict[str, Any]] = {
    "cohere": {
        "cohere_citation_options": {"mode": "FAST"},
        "cohere_documents": ["a", {"id": "1", "data": {"b": "c"}}],
        "cohere_priority": 3,
        "cohere_safety_mode": "STRICT",
        "cohere_strict_tools": True,
        "cohere_thinking": {"type": "enabled", "token_budget": 100},
    },
    "groq": {
        "groq_citation_options": "enabled",
        "groq_compound_custom": {"tools": {"enabled_tools": ["web_search"]}},
        "groq_disable_tool_validation": True,
        "groq_documents": [{"source": {"type": "text", "text": "a"}}],
        "groq_include_reasoning": True,
        "groq_reasoning_effort": "low",
        "groq_reasoning_format": "parsed",
        "groq_search_settings": {"include_domains": ["python.org"]},
        "groq_service_tier": "flex",
        "groq_user": "u",
    },
    "mistral": {
        "mistral_guardrails": [],
        "mistral_metadata": {"a": "b"},
        "mistral_min_tokens": 1,
        "mistral_prediction": {"type": "content", "content": "x"},
        "mistral_prompt_cache_key": "k",
        "mistral_prompt_mode": "reasoning",
        "mistral_reasoning_effort": "high",
        "mistral_safe_prompt": True,
        "mistral_service_tier": "auto",
    },
}


@pytest.mark.parametrize(
    ("provider", "cls"),
    [("cohere", CohereModelSettings), ("groq", GroqModelSettings), ("mistral", MistralModelSettings)],
)
def test_every_own_setting_is_tried(provider: str, cls: Any) -> None:
    """The settings of the requests below are all that there are."""
    assert {key for key in cls.__annotations__ if key.startswith(provider)} == _OWN[provider].keys()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("conversation", ["plain", "media", "tools"])
@every_provider
def test_requests(provider: str, conversation: str, stream: bool) -> None:
    """Whatever conversation, tools, result and settings: the package's own type allows the request."""
    check = _oracle(provider)
    settings: dict[str, dict[str, Any]] = {
        "none": {},
        "all": {**_COMMON, **_OWN[provider]},
        "named tool": {"tool_choice": "weather"},
        "no tool": {"tool_choice": "none"},
    }
    for (name, parameters), (kind, chosen) in itertools.product(_PARAMETERS.items(), settings.items()):
        if kind == "named tool" and not parameters.function_tools:
            continue
        body = _written(provider, _conversations(provider)[conversation], chosen, parameters, stream)
        try:
            check(body)
        except ValueError as error:
            pytest.fail(f"{name}, {kind}: {error}")


def _written(
    provider: str,
    messages: list[ModelMessage],
    settings: dict[str, Any],
    parameters: ModelRequestParameters,
    stream: bool,
) -> bytes:
    model: Any = infer_model(f"{provider}:m")
    quirks = getattr(model.wire, "quirks", {})
    call = ModelCall("m", messages, settings, parameters, model.profile, stream, provider, quirks)
    body: bytes = model.wire.encode(call).body
    return body


@pytest.mark.parametrize(
    "path",
    [
        *shared_files("conformance", "groq/groq-chat-completions-0[1-689].json"),  # 7 is an error
        *shared_files("conformance", "groq/groq-chat-completions-stream-*.json"),
        *shared_files("conformance", "mistral/mistral-chat-completions-*.json"),
        *shared_files("conformance", "cohere/cohere-chat-*.json"),
    ],
)
def test_recorded_answers_go_back(path: Path) -> None:
    """A recorded answer, read, appended to the history and written again with what follows, is allowed."""
    exchange, expected = load(path)
    provider = exchange["provider"]
    check = _oracle(provider)
    model: Any = infer_model(f"{provider}:m")
    if exchange["streamed"]:
        chunks = [exchange["response"]["body_text"].encode()]
        stream = StreamedResponse(model.wire.decode_stream(sse_frames(chunks)), model_name="m")
        if "stream_error" in expected:
            with pytest.raises(ValueError, match=expected["stream_error"]["message"]):
                list(stream)
        else:
            assert list(stream)
        response = stream.get()
    else:
        response = model.wire.decode(exchange["response"]["body"])
    returns = [ToolReturnPart(call.tool_name, "x", call.tool_call_id) for call in parts_of(response, ToolCallPart)]
    history = [
        ModelRequest([UserPromptPart("?")]),
        response,
        ModelRequest([*returns, UserPromptPart("And?")]),
    ]
    check(_written(provider, history, {}, ModelRequestParameters(_TOOLS), False))
