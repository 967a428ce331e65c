"""
Every request that we write is one that Google's own package could have written.

The oracle is that package's types (``google-genai``), which forbid unknown keys. Answers that came from the API are
sent back in front of it, too: each recorded one is read, appended to the history and written again.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, Callable

import pytest

from syncagent.messages import (
    AudioUrl,
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
from syncagent.models.base import StreamedResponse
from syncagent.models.gemini import GeminiModel, GeminiWire, encode, encode_count
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.transport.sse import sse_frames
from tests.conformance import load
from tests.shared_folder import shared_files

pytest.importorskip("google.genai", reason="the oracle is Google's own package: pip install google-genai")
pydantic = pytest.importorskip("pydantic", reason="reads the oracle's types: pip install pydantic")

_Check = Callable[[bytes], None]
_SIGNATURE = "c2lnbmF0dXJl"


@pytest.fixture(scope="module")
def oracle() -> _Check:
    """Raises for a body that the package's types do not allow."""
    from google.genai import types

    fields = {
        "contents": list[types.Content],
        "systemInstruction": types.Content,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
        "safetySettings": list[types.SafetySetting],
        "cachedContent": str,
        "labels": dict[str, str],
        "serviceTier": types.ServiceTier,
    }
    whole = pydantic.create_model(
        "Body",
        __config__=pydantic.ConfigDict(extra="forbid"),
        **{name: (tp, ... if name == "contents" else None) for name, tp in fields.items()},
    )

    def check(body: bytes) -> None:
        whole.model_validate_json(body)

    return check


def test_the_oracle_sees_mistakes(oracle: _Check) -> None:
    """The oracle refuses an unknown key at the top and inside, and a wrong value."""
    right: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}
    oracle(json.dumps(right).encode())
    wrong: list[dict[str, Any]] = [
        {},
        {**right, "content": []},
        {"contents": [{"role": "user", "parts": [{"text": "a", "colour": "red"}]}]},
        {"contents": [{"role": "user", "parts": [{"functionCall": {"name": "a", "args": "{}"}}]}]},
        {"contents": [{"role": "user", "parts": [{"inlineData": {"data": "?"}}]}]},
        {**right, "generationConfig": {"temprature": 1}},
        {**right, "generationConfig": {"temperature": "hot"}},
        {**right, "tools": [{"functionDeclarations": [{"name": "a", "schema": {}}]}]},
        {**right, "toolConfig": {"functionCallingConfig": {"names": []}}},
    ]
    for request in wrong:
        with pytest.raises(pydantic.ValidationError):
            oracle(json.dumps(request).encode())


_SCHEMA = {"type": "object", "properties": {"city": {"const": "Rome", "minLength": 1}}, "required": ["city"]}
_TOOLS = [
    ToolDefinition("weather", "Tell the weather.", _SCHEMA),
    ToolDefinition("now", "", {"type": "object", "properties": {}}),
]
_RESULT = [ToolDefinition("final_result", "The end.", _SCHEMA)]
_GLA = "google-gla"

_CONVERSATIONS: dict[str, list[ModelMessage]] = {
    "empty": [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart("")])],
    "plain": [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart("Hi\n\"é\x00😀")])],
    "media": [
        ModelRequest(
            [
                UserPromptPart(
                    [
                        "look",
                        CachePoint(),
                        ImageUrl("https://x/a.png"),
                        AudioUrl("gs://x/a.mp3"),
                        DocumentUrl("https://generativelanguage.googleapis.com/v1beta/files/a"),
                        BinaryContent(b"\xff\xfe\xfd", "image/png"),
                        BinaryContent(b"a", "video/mp4"),
                        BinaryContent(b"a", "application/pdf"),
                    ]
                )
            ]
        )
    ],
    "tools": [
        ModelRequest([UserPromptPart("Weather?")]),
        ModelResponse(
            [
                ThinkingPart("hm", None, _SIGNATURE, _GLA),
                TextPart("Let me see."),
                ThinkingPart("", None, _SIGNATURE, _GLA),
                ToolCallPart("weather", {"city": "x"}, "1"),
            ]
        ),
        ModelRequest([ToolReturnPart("weather", {"sun": 1}, "1")]),
        ModelResponse([ToolCallPart("weather", "", "2"), ToolCallPart("now", "{", "3"), ToolCallPart("now", "{}")]),
        ModelRequest([RetryPromptPart([{"type": "missing", "loc": ("city",), "msg": "m", "input": {}}], "weather", "2"),
                      ToolReturnPart("now", "12:00", "3"), ToolReturnPart("now", None), UserPromptPart("And?")]),
        ModelResponse([]),
        ModelRequest([RetryPromptPart("The response was empty.")]),
    ],
    "server tools": [
        ModelRequest([UserPromptPart("Count.")]),
        ModelResponse(
            [
                OpaquePart(_GLA, {"executableCode": {"language": "PYTHON", "code": "1"}}),
                OpaquePart(_GLA, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}),
                TextPart("1"),
                OpaquePart(_GLA, {"text": "", "thoughtSignature": _SIGNATURE}),
                OpaquePart(_GLA, {"groundingMetadata": {"webSearchQueries": ["a"]}}),
            ]
        ),
        ModelRequest([UserPromptPart("Go on.")]),
    ],
}  # fmt: skip
_PARAMETERS = {
    "text": ModelRequestParameters(),
    "tools": ModelRequestParameters(_TOOLS, native_tools=[{"googleSearch": {}}]),
    "result tool": ModelRequestParameters(_TOOLS, False, _RESULT),
    "native": ModelRequestParameters(result_mode="native", result_schema=_SCHEMA),
    "prompted": ModelRequestParameters(result_mode="prompted", result_schema=_SCHEMA),
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "all": {
        "max_tokens": 5,
        "temperature": 0,
        "top_p": 0.9,
        "top_k": 3,
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "stop_sequences": ["a"],
        "logit_bias": {"1": -100},
        "logprobs": True,
        "top_logprobs": 2,
        "parallel_tool_calls": False,
        "timeout": 3,
        "extra_headers": {"a": "b"},
        "gemini_safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "gemini_thinking_config": {"includeThoughts": True, "thinkingLevel": "LOW"},
        "gemini_response_modalities": ["TEXT"],
        "gemini_media_resolution": "MEDIA_RESOLUTION_LOW",
        "gemini_speech_config": {"languageCode": "en-US"},
        "gemini_cached_content": "cachedContents/a",
        "gemini_labels": {"a": "b"},
        "gemini_service_tier": "flex",
    },
    "named tool": {"tool_choice": "weather"},
    "no tool": {"tool_choice": "none"},
}


@pytest.mark.parametrize("name", ["google-gla:gemini-2.5-flash", "google-gla:gemini-3-pro-preview"])
@pytest.mark.parametrize("conversation", _CONVERSATIONS)
def test_requests(oracle: _Check, conversation: str, name: str) -> None:
    """Whatever conversation, tools, result and settings: the package's own types allow the request, and its count."""
    model = GeminiModel(name.partition(":")[2])
    quirks = {**model.provider.row.quirks, **model.profile.quirks}
    for (kind, parameters), settings in itertools.product(_PARAMETERS.items(), _SETTINGS.values()):
        if settings.get("tool_choice") == "weather" and not parameters.function_tools:
            continue
        messages = _CONVERSATIONS[conversation]
        call = ModelCall(model.model_name, messages, settings, parameters, model.profile, False, _GLA, quirks)
        counted = json.loads(encode_count(call).body)["generateContentRequest"]
        assert counted.pop("model") == f"models/{model.model_name}"
        for body in (encode(call).body, json.dumps(counted).encode()):
            try:
                oracle(body)
            except pydantic.ValidationError as error:
                pytest.fail(f"{kind}: {error}")


_EVERY_ANSWER = [
    *shared_files("conformance", "google*/*-generateContent-*.json"),
    *shared_files("conformance", "google*/*-streamGenerateContent-*.json"),
]


@pytest.mark.parametrize("path", _EVERY_ANSWER)
def test_round_trip(oracle: _Check, path: Path) -> None:
    """Each recorded answer, appended to the history, makes a request that the package's own types allow."""
    exchange, expected = load(path)
    if expected["kind"] == "error":
        assert exchange["response"]["status"] >= 400
        return
    wire = GeminiWire(_GLA)
    if exchange["streamed"]:
        frames = sse_frames([exchange["response"]["body_text"].encode()])
        stream = StreamedResponse(wire.decode_stream(frames), model_name="m", provider_name=_GLA)
        assert list(stream)
        answer = stream.get()
    else:
        answer = wire.decode(exchange["response"]["body"])
    calls = [part for part in answer.parts if isinstance(part, ToolCallPart)]
    returns = [ToolReturnPart(call.tool_name, 1, call.tool_call_id) for call in calls]
    messages: list[ModelMessage] = [
        ModelRequest([UserPromptPart("Hi")]),
        answer,
        ModelRequest([*returns, UserPromptPart("And?")]),
    ]
    model = GeminiModel("gemini-3-pro-preview")
    parameters = ModelRequestParameters(_TOOLS)
    oracle(encode(ModelCall("m", messages, {}, parameters, model.profile, False, _GLA, model.profile.quirks)).body)
