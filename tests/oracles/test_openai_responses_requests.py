"""
Every request to the Responses API that we write is one that OpenAI's own package could have written.

The oracle is that package's request type, a TypedDict, read by pydantic with unknown keys forbidden. What the API
itself answered goes back in the package's words for that too: output items are input items.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, Optional

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
from syncagent.models.openai_responses import ResponsesWire, encode
from syncagent.models.profiles import infer_profile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition
from tests.conformance import answers, load
from tests.oracles.strict_types import body_check

pytest.importorskip("openai", reason="the oracle is OpenAI's own package: pip install openai")
pydantic = pytest.importorskip("pydantic", reason="reads the oracle's types: pip install pydantic")


@pytest.fixture(scope="module")
def oracle() -> Any:
    """Raises for a request that the package's type does not allow."""
    from openai.types.responses import response_create_params as params

    whole = body_check(params.ResponseCreateParamsNonStreaming)
    streamed = body_check(params.ResponseCreateParamsStreaming)

    def check(body: bytes) -> None:
        (streamed if json.loads(body).get("stream") else whole)(body)

    return check


@pytest.fixture(scope="module")
def counting() -> Any:
    """Raises for a request for a count that the package's type does not allow."""
    from openai.types.responses.input_token_count_params import InputTokenCountParams

    return body_check(InputTokenCountParams)


def test_the_oracle_sees_mistakes(oracle: Any) -> None:
    """The oracle refuses an unknown key at the top and inside, and a wrong value."""
    right: dict[str, Any] = {"model": "m", "input": [{"role": "user", "content": "a"}]}
    oracle(json.dumps(right).encode())
    wrong: list[dict[str, Any]] = [
        {**right, "max_tokens": 1},
        {**right, "input": [{"role": "user", "content": "a", "colour": "red"}]},
        {**right, "input": [{"role": "tool", "content": "a"}]},
        {**right, "input": [{"type": "function_call", "name": "a", "arguments": "{}"}]},
        {**right, "tools": [{"type": "function", "name": "a", "parameters": {}}]},
        {**right, "text": {"format": {"type": "json_schema", "schema": {}}}},
        {**right, "truncation": "often"},
    ]
    for request in wrong:
        with pytest.raises(pydantic.ValidationError):
            oracle(json.dumps(request).encode())


_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_LOOSE = {"type": "object", "properties": {"city": {"type": "string", "default": "x"}}}
_TOOLS = [
    ToolDefinition("weather", "Tell the weather.", _SCHEMA),
    ToolDefinition("now", "", {"type": "object", "properties": {}}),
    ToolDefinition("shell", "Run it.", _LOOSE),
]
_RESULT = [ToolDefinition("final_result", "The end.", _SCHEMA)]
_NATIVE: list[dict[str, Any]] = [{"type": "web_search"}, {"type": "custom", "name": "shell", "description": "Run it."}]

_DETAILS = {
    "messages": [{"id": "msg_1", "phase": "commentary"}],
    "calls": {"1": {"id": "fc_1"}, "2": {"id": "ctc_1", "type": "custom_tool_call"}},
}
_SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
_CONVERSATIONS: dict[str, list[ModelMessage]] = {
    "plain": [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart('Hi\n"é\x00😀')])],
    "media": [
        ModelRequest(
            [
                UserPromptPart(
                    [
                        "look",
                        CachePoint(),
                        ImageUrl("https://x/a.png"),
                        DocumentUrl("https://x/a.pdf"),
                        BinaryContent(b"a", "image/png"),
                        BinaryContent(b"a", "application/pdf"),
                        BinaryContent(b"a", "text/plain"),
                    ]
                )
            ]
        )
    ],
    "tools": [
        ModelRequest([UserPromptPart("Weather?")]),
        ModelResponse([TextPart("Let me see."), ToolCallPart("weather", {"city": "x"}, "1")]),
        ModelRequest([ToolReturnPart("weather", {"sun": 1}, "1")]),
        ModelResponse([ToolCallPart("weather", "", "2"), ToolCallPart("now", "{}", "3")]),
        ModelRequest(
            [
                UserPromptPart("And?"),
                RetryPromptPart([{"type": "missing", "loc": ("city",), "msg": "m", "input": {}}], "weather", "2"),
                ToolReturnPart("now", "12:00", "3"),
            ]
        ),
        ModelResponse([]),
        ModelRequest([RetryPromptPart("The response was empty.")]),
    ],
    "thinking": [
        ModelRequest([UserPromptPart("Weather?")]),
        ModelResponse(
            [
                ThinkingPart("One.", "rs_1", "proof", "openai"),
                ThinkingPart("Two.", "rs_1", None, "openai"),
                OpaquePart("openai", _SEARCH),
                ThinkingPart("", "rs_2", "proof", "openai"),
                TextPart("Let me see."),
                ToolCallPart("weather", {"city": "x"}, "1"),
                ToolCallPart("shell", {"input": "ls"}, "2"),
            ],
            provider_name="openai",
            provider_response_id="resp_1",
            provider_details=_DETAILS,
        ),
        ModelRequest([ToolReturnPart("weather", {"sun": 1}, "1"), ToolReturnPart("shell", "a.txt", "2")]),
        ModelResponse([ThinkingPart("Hm.", None, None, "deepseek"), TextPart("Sunny.")], provider_name="deepseek"),
        ModelRequest([UserPromptPart("Thanks.")]),
    ],
}
_PARAMETERS = {
    "text": ModelRequestParameters(),
    "tools": ModelRequestParameters(_TOOLS),
    "result tool": ModelRequestParameters(_TOOLS, False, _RESULT),
    "server tools": ModelRequestParameters(_TOOLS, native_tools=_NATIVE),
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
        "stop_sequences": ["a"],
        "logprobs": True,
        "top_logprobs": 2,
        "parallel_tool_calls": False,
        "timeout": 3,
        "extra_headers": {"a": "b"},
        "openai_background": True,
        "openai_include": ["web_search_call.action.sources"],
        "openai_max_tool_calls": 3,
        "openai_metadata": {"a": "b"},
        "openai_previous_response_id": "auto",
        "openai_prompt_cache_key": "k",
        "openai_prompt_cache_retention": "24h",
        "openai_reasoning_effort": "low",
        "openai_reasoning_summary": "auto",
        "openai_safety_identifier": "s",
        "openai_service_tier": "flex",
        "openai_store": True,
        "openai_truncation": "auto",
        "openai_user": "u",
        "openai_verbosity": "low",
    },
    "named tool": {"tool_choice": "weather"},
    "named custom tool": {"tool_choice": "shell"},
    "no tool": {"tool_choice": "none"},
}


@pytest.mark.parametrize("model", ["gpt-4o", "o3-mini", "gpt-5.1"])
@pytest.mark.parametrize("role", ["system", "developer", None])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("conversation", _CONVERSATIONS)
def test_requests(oracle: Any, counting: Any, conversation: str, stream: bool, role: Optional[str], model: str) -> None:
    """Whatever conversation, tools, result and settings: the package's own types allow the request and its count."""
    profile = infer_profile("openai", model)
    quirks = {**profile.quirks, **({"system_role": role} if role else {})}
    for (name, parameters), settings in itertools.product(_PARAMETERS.items(), _SETTINGS.values()):
        if settings.get("tool_choice") in ("weather", "shell") and not parameters.function_tools:
            continue
        messages = _CONVERSATIONS[conversation]
        call = ModelCall(model, messages, settings, parameters, profile, stream, "openai", quirks)
        try:
            oracle(encode(call).body)
            counting(ResponsesWire("openai").encode_count(call).body)
        except pydantic.ValidationError as error:
            pytest.fail(f"{name}: {error}")


def _known_sources(response: ModelResponse) -> None:
    """The package's type knows one kind of source of a web search; the API gives two."""
    for part in response.parts:
        if isinstance(part, OpaquePart) and "sources" in part.data.get("action", {}):
            part.data["action"]["sources"] = [one for one in part.data["action"]["sources"] if one["type"] == "url"]


@pytest.mark.parametrize("path", answers("[!e]*/*-responses-[0-9]*.json"))
def test_round_trip(oracle: Any, path: Path) -> None:
    """A recorded response and the answers to its calls are a request that the package's own type allows."""
    exchange, _ = load(path)
    for provider in ("openai", "another"):
        response = ResponsesWire("openai").decode(exchange["response"]["body"])
        _known_sources(response)
        answers = [
            ToolReturnPart(part.tool_name, "yes", part.tool_call_id)
            for part in response.parts
            if isinstance(part, ToolCallPart)
        ]
        asked: list[ModelMessage] = [
            ModelRequest([UserPromptPart("Hi")]),
            response,
            ModelRequest([*answers, UserPromptPart("And?")]),
        ]
        call = ModelCall("m", asked, {}, ModelRequestParameters(), infer_profile("", ""), False, provider, {})
        oracle(encode(call).body)
