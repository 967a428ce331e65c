"""
Every request that we write is one that OpenAI's own package could have written.

The oracle is that package's request type, a TypedDict, read by pydantic with unknown keys forbidden
everywhere. Values of parameters that the type leaves open (JSON schemas) are checked as such.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, Optional

import pytest

from syncagent.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.models.chat import encode
from syncagent.models.profiles import infer_profile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition
from tests.oracles.strict_types import body_check

pytest.importorskip("openai", reason="the oracle is OpenAI's own package: pip install openai")
pydantic = pytest.importorskip("pydantic", reason="reads the oracle's types: pip install pydantic")


@pytest.fixture(scope="module")
def oracle() -> Any:
    """Raises for a request that the package's type does not allow."""
    from openai.types.chat import completion_create_params as params

    whole = body_check(params.CompletionCreateParamsNonStreaming)
    streamed = body_check(params.CompletionCreateParamsStreaming)

    def check(body: bytes) -> None:
        (streamed if json.loads(body).get("stream") else whole)(body)

    return check


def test_the_oracle_sees_mistakes(oracle: Any) -> None:
    """The oracle refuses an unknown key at the top and inside, and a wrong value."""
    right: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    oracle(json.dumps(right).encode())
    wrong: list[dict[str, Any]] = [
        {**right, "temprature": 1},
        {**right, "messages": [{"role": "user", "content": "a", "colour": "red"}]},
        {**right, "messages": [{"role": "usr", "content": "a"}]},
        {**right, "tools": [{"type": "function", "function": {"name": "a", "x": 1}}]},
        {**right, "temperature": "hot"},
    ]
    for request in wrong:
        with pytest.raises(pydantic.ValidationError):
            oracle(json.dumps(request).encode())


_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_LOOSE = {"type": "object", "properties": {"city": {"type": "string", "default": "x"}}}
_TOOLS = [
    ToolDefinition("weather", "Tell the weather.", _SCHEMA),
    ToolDefinition("now", "", {"type": "object", "properties": {}}),
]
_RESULT = [ToolDefinition("final_result", "The end.", _SCHEMA)]

_CONVERSATIONS: dict[str, list[ModelMessage]] = {
    "plain": [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart("Hi\n\"é\x00😀")])],
    "media": [
        ModelRequest(
            [
                UserPromptPart(
                    [
                        "look",
                        ImageUrl("https://x/a.png"),
                        BinaryContent(b"a", "image/png"),
                        BinaryContent(b"a", "audio/wav"),
                        BinaryContent(b"a", "application/pdf"),
                    ]
                )
            ]
        )
    ],
    "tools": [
        ModelRequest([UserPromptPart("Weather?")]),
        ModelResponse([ThinkingPart("hm"), TextPart("Let me see."), ToolCallPart("weather", {"city": "x"}, "1")]),
        ModelRequest([ToolReturnPart("weather", {"sun": 1}, "1")]),
        ModelResponse([ToolCallPart("weather", "", "2"), ToolCallPart("now", "{}", "3")]),
        ModelRequest([RetryPromptPart([{"type": "missing", "loc": ("city",), "msg": "m", "input": {}}], "weather", "2"),
                      ToolReturnPart("now", "12:00", "3"), UserPromptPart("And?")]),
        ModelResponse([]),
        ModelRequest([RetryPromptPart("The response was empty.")]),
    ],
}  # fmt: skip
_PARAMETERS = {
    "text": ModelRequestParameters(),
    "tools": ModelRequestParameters(_TOOLS),
    "result tool": ModelRequestParameters(_TOOLS, False, _RESULT),
    "native": ModelRequestParameters(result_mode="native", result_schema=_SCHEMA),
    "native, not strict": ModelRequestParameters(_TOOLS, result_mode="native", result_schema=_LOOSE),
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
        "logit_bias": {"1": -100},
        "stop_sequences": ["a"],
        "logprobs": True,
        "top_logprobs": 2,
        "parallel_tool_calls": False,
        "timeout": 3,
        "extra_headers": {"a": "b"},
        "openai_reasoning_effort": "low",
        "openai_verbosity": "low",
        "openai_service_tier": "flex",
        "openai_store": False,
        "openai_metadata": {"a": "b"},
        "openai_prediction": {"type": "content", "content": "x"},
        "openai_prompt_cache_key": "k",
        "openai_safety_identifier": "s",
        "openai_user": "u",
    },
    "named tool": {"tool_choice": "weather"},
    "no tool": {"tool_choice": "none"},
}


@pytest.mark.parametrize("model", ["gpt-4o", "o3-mini"])
@pytest.mark.parametrize("role", ["system", "developer", None])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("conversation", _CONVERSATIONS)
def test_requests(oracle: Any, conversation: str, stream: bool, role: Optional[str], model: str) -> None:
    """Whatever conversation, tools, result and settings: the package's own type allows the request."""
    profile = infer_profile("openai", model)
    quirks = {**profile.quirks, **({"system_role": role} if role else {})}
    for (name, parameters), settings in itertools.product(_PARAMETERS.items(), _SETTINGS.values()):
        if settings.get("tool_choice") == "weather" and not parameters.function_tools:
            continue
        messages = _CONVERSATIONS[conversation]
        call = ModelCall(model, messages, settings, parameters, profile, stream, "openai", quirks)
        try:
            oracle(encode(call).body)
        except pydantic.ValidationError as error:
            pytest.fail(f"{name}: {error}")
