"""
Every request that we write is one that botocore's model of the Converse API allows.

The oracle is botocore's own check of parameters, with the patterns of names and ids beside it, which botocore leaves
to the server. Bytes are written as base64 in JSON; they are read back first.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, Optional
from urllib.parse import unquote

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
from syncagent.models.bedrock import BedrockConverseModel, BedrockWire, encode_count
from syncagent.models.wire import ModelCall, WireRequest
from syncagent.providers.bedrock import BedrockProvider
from syncagent.tools import ModelRequestParameters, ToolDefinition
from tests.conformance import answers

botocore_session = pytest.importorskip("botocore.session", reason="the oracle is botocore: pip install botocore")


class _Oracle:
    """botocore's model of one service."""

    def __init__(self) -> None:
        from botocore.validate import ParamValidator

        self._model = botocore_session.Session().get_service_model("bedrock-runtime")
        self._validator = ParamValidator()

    def problems(self, operation: str, request: WireRequest) -> list[str]:
        """What the model does not allow."""
        shape = self._model.operation_model(operation).input_shape
        _, _, name, action = request.path.split("/")
        body = json.loads(request.body)
        assert action == {"Converse": "converse", "ConverseStream": "converse-stream"}.get(operation, "count-tokens")
        given = {"modelId": unquote(name), **_with_bytes(shape, body)}
        report = self._validator.validate(given, shape).generate_report()
        return [*report.splitlines(), *_odd_words(shape, given, "")]


def _with_bytes(shape: Any, value: Any) -> Any:
    """The value as botocore is given it: bytes where the model has them."""
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        return {
            key: _with_bytes(shape.members[key], inner) if key in shape.members else inner
            for key, inner in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_with_bytes(shape.member, inner) for inner in value]
    return base64.b64decode(value, validate=True) if shape.type_name == "blob" else value


def _odd_words(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Texts that are none of an enumeration's or do not match their pattern."""
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        for key, inner in value.items():
            if key in shape.members:
                yield from _odd_words(shape.members[key], inner, f"{path}.{key}")
    elif shape.type_name == "list" and isinstance(value, list):
        for inner in value:
            yield from _odd_words(shape.member, inner, path + "[]")
    elif shape.type_name == "string" and isinstance(value, str):
        pattern = shape.metadata.get("pattern")
        if (shape.enum and value not in shape.enum) or (pattern and not re.fullmatch(pattern, value)):
            yield f"{path}: {value!r}"
        if not shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", len(value)):
            yield f"{path}: {len(value)} characters"


@pytest.fixture(scope="module")
def oracle() -> _Oracle:
    """What the API's model says."""
    return _Oracle()


def test_the_oracle_sees_mistakes(oracle: _Oracle) -> None:
    """The oracle refuses unknown keys, wrong values, two members of a union, and texts of no enumeration or pattern."""
    turn = {"role": "user", "content": [{"text": "a"}]}
    wrong: list[dict[str, Any]] = [
        {"messages": [turn], "temperature": 1},
        {"messages": [{**turn, "colour": "red"}]},
        {"messages": [{**turn, "role": "usr"}]},
        {"messages": [{**turn, "content": [{"toolUse": {"toolUseId": "a b", "name": "x", "input": {}}}]}]},
        {"messages": [turn], "inferenceConfig": {"temperature": "hot"}},
        {"messages": [turn], "toolConfig": {"tools": [], "toolChoice": {"any": {}, "auto": {}}}},
        {"messages": [turn], "system": [{"text": ""}]},
    ]
    assert (
        oracle.problems("Converse", WireRequest("/model/a.b/converse", json.dumps({"messages": [turn]}).encode())) == []
    )
    for body in wrong:
        assert oracle.problems("Converse", WireRequest("/model/a.b/converse", json.dumps(body).encode())), body


_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_TOOLS = [ToolDefinition("weather", "Tell the weather.", _SCHEMA), ToolDefinition("now", "", {"type": "object"})]
_RESULT = [ToolDefinition("final_result", "The end.", _SCHEMA)]

_CONVERSATIONS: dict[str, list[ModelMessage]] = {
    "plain": [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart('Hi\n"é\x00😀')])],
    "media": [
        ModelRequest(
            [
                UserPromptPart(
                    [
                        "look",
                        ImageUrl("s3://bucket/a.png"),
                        ImageUrl("data:image/gif;base64,YQ=="),
                        BinaryContent(b"a", "image/png"),
                        BinaryContent(b"a", "audio/wav"),
                        BinaryContent(b"a", "video/mp4"),
                        BinaryContent(b"a", "application/pdf"),
                        DocumentUrl("s3://bucket/b.docx"),
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
                ThinkingPart("hm", None, "sig", "bedrock"),
                OpaquePart("bedrock", {"reasoningContent": {"redactedContent": "YQ=="}}),
                TextPart("Let me see."),
                ToolCallPart("weather", {"city": "x"}, "call|1 é"),
            ]
        ),
        ModelRequest([ToolReturnPart("weather", {"sun": 1}, "call|1 é")]),
        ModelResponse([ToolCallPart("weather", "{broken", "2" * 80), ToolCallPart("now", "{}", "3")]),
        ModelRequest(
            [
                RetryPromptPart([{"type": "missing", "loc": ("city",), "msg": "m", "input": {}}], "weather", "2" * 80),
                ToolReturnPart("now", "", "3"),
                UserPromptPart(["And?", CachePoint()]),
            ]
        ),
        ModelResponse([]),
        ModelRequest([RetryPromptPart("The response was empty.")]),
    ],
    "server tools": [
        ModelRequest([UserPromptPart("Count.")]),
        ModelResponse(
            [
                OpaquePart(
                    "bedrock",
                    {
                        "toolUse": {
                            "toolUseId": "s",
                            "name": "nova_code_interpreter",
                            "input": {"snippet": "1"},
                            "type": "server_tool_use",
                        }
                    },
                ),
                OpaquePart(
                    "bedrock",
                    {
                        "toolResult": {
                            "toolUseId": "s",
                            "type": "nova_code_interpreter_result",
                            "status": "success",
                            "content": [{"json": {"stdOut": "1"}}],
                        }
                    },
                ),
            ]
        ),
        ModelRequest([UserPromptPart("Again.")]),
    ],
}
_PARAMETERS = {
    "text": ModelRequestParameters(),
    "tools": ModelRequestParameters(_TOOLS),
    "result tool": ModelRequestParameters(_TOOLS, False, _RESULT),
    "native": ModelRequestParameters(result_mode="native", result_schema=_SCHEMA),
    "prompted": ModelRequestParameters(result_mode="prompted", result_schema=_SCHEMA),
    "server tool": ModelRequestParameters(_TOOLS, native_tools=[{"systemTool": {"name": "nova_grounding"}}]),
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "all": {
        "max_tokens": 5,
        "temperature": 0,
        "top_p": 0.9,
        "top_k": 3,
        "seed": 7,
        "parallel_tool_calls": False,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "logit_bias": {"1": -100},
        "stop_sequences": ("a",),
        "logprobs": True,
        "timeout": 3,
        "extra_headers": {"a": "b"},
        "openai_user": "x",
        "bedrock_guardrail_config": {"guardrailIdentifier": "abc", "guardrailVersion": "DRAFT", "trace": "enabled"},
        "bedrock_performance_configuration": {"latency": "optimized"},
        "bedrock_request_metadata": {"team": "a"},
        "bedrock_additional_model_requests_fields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "bedrock_additional_model_response_fields_paths": ["/stop_sequence"],
        "bedrock_prompt_variables": {"city": {"text": "Rome"}},
        "bedrock_service_tier": "flex",
        "bedrock_effort": "high",
        "bedrock_cache": "1h",
    },
    "cached": {"bedrock_cache": True},
    "no tool": {"tool_choice": "none"},
}
_MODELS = [
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "amazon.nova-lite-v1:0",
    "amazon.titan-text-express-v1",
    "meta.llama3-1-8b-instruct-v1:0",
    "mistral.mistral-large-2402-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
]


def _call(
    name: str,
    messages: list[ModelMessage],
    settings: dict[str, Any],
    parameters: Optional[ModelRequestParameters] = None,
    stream: bool = False,
) -> ModelCall:
    profile = BedrockConverseModel(name, provider=BedrockProvider(region_name="us-east-1")).profile
    return ModelCall(
        name, messages, settings, parameters or ModelRequestParameters(), profile, stream, "bedrock", profile.quirks
    )


@pytest.mark.parametrize("settings", _SETTINGS.values(), ids=list(_SETTINGS))
@pytest.mark.parametrize("parameters", _PARAMETERS.values(), ids=list(_PARAMETERS))
@pytest.mark.parametrize("messages", _CONVERSATIONS.values(), ids=list(_CONVERSATIONS))
def test_requests(
    oracle: _Oracle, messages: list[ModelMessage], parameters: ModelRequestParameters, settings: dict[str, Any]
) -> None:
    """Each conversation, with each kind of parameters and settings, for each vendor, is allowed."""
    wire = BedrockWire("bedrock")
    for name, stream in itertools.product(_MODELS, (False, True)):
        request = wire.encode(_call(name, messages, settings, parameters, stream))
        assert oracle.problems("ConverseStream" if stream else "Converse", request) == []


@pytest.mark.parametrize("messages", _CONVERSATIONS.values(), ids=list(_CONVERSATIONS))
def test_counts(oracle: _Oracle, messages: list[ModelMessage]) -> None:
    """The request for a count is allowed as well."""
    request = encode_count(_call(_MODELS[0], messages, _SETTINGS["all"], ModelRequestParameters(_TOOLS)))
    assert oracle.problems("CountTokens", request) == []


@pytest.mark.parametrize("path", answers("bedrock/bedrock-converse-[0-9]*.json"))
def test_round_trip(oracle: _Oracle, path: Any) -> None:
    """A recorded response goes into the history, and the next request is allowed."""
    exchange = json.loads(path.read_text(encoding="utf-8"))
    response = BedrockWire("bedrock").decode(exchange["response"]["body"])
    answers: list[Any] = [
        ToolReturnPart(part.tool_name, "1", part.tool_call_id)
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    messages: list[ModelMessage] = [
        ModelRequest([UserPromptPart("Hi")]),
        response,
        ModelRequest([*answers, UserPromptPart("And?")]),
    ]
    request = BedrockWire("bedrock").encode(_call(_MODELS[0], messages, {}, ModelRequestParameters(_TOOLS)))
    assert oracle.problems("Converse", request) == []
