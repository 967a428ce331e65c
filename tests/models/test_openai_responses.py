"""The body of a request to the Responses API: tools, settings, results, and what the server knows already."""

from __future__ import annotations

import json
import logging
from typing import Any, Optional

import pytest

from syncagent.exceptions import UserError
from syncagent.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from syncagent.models.openai_responses import OpenAIResponsesModelSettings, ResponsesWire, encode
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import CountingWire, ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition

_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_STRICT = {**_SCHEMA, "additionalProperties": False}
_LOOSE = {"type": "object", "properties": {"city": {"type": "string", "default": "x"}}}
_WEATHER = ToolDefinition("weather", "Tell the weather.", _SCHEMA)
_NOW = ToolDefinition("now", "", _LOOSE)
_RESULT = ToolDefinition("final_result", "The end.", _SCHEMA)
_SHELL = {"type": "custom", "name": "shell", "description": "Run it."}


def _call(
    settings: Optional[dict[str, Any]] = None,
    parameters: Optional[ModelRequestParameters] = None,
    quirks: Optional[dict[str, Any]] = None,
    messages: Optional[list[ModelMessage]] = None,
    profile: Optional[ModelProfile] = None,
    stream: bool = False,
) -> ModelCall:
    return ModelCall(
        "m",
        messages or _ASKED,
        settings or {},
        parameters or ModelRequestParameters(),
        profile or ModelProfile(),
        stream,
        "openai",
        quirks or {},
    )


def _body(*args: Any, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(_call(*args, **more)).body)
    return body


def test_plain() -> None:
    """A plain request holds the model, the input, and that nothing is to be kept."""
    request = encode(_call())
    assert (request.method, request.path, request.query, request.headers) == ("POST", "/responses", {}, {})
    assert json.loads(request.body) == {"model": "m", "input": [{"role": "user", "content": "Hi"}], "store": False}
    assert _body(stream=True)["stream"] is True


def test_path() -> None:
    """The API stands beside the provider's chat API."""
    assert encode(_call(quirks={"path": "/v1/chat/completions"})).path == "/v1/responses"


# --- tools -----------------------------------------------------------------------------------------


def test_tools() -> None:
    """Function tools come before result tools, each strict where its schema can be, and that is said."""
    body = _body(None, ModelRequestParameters([_WEATHER, _NOW], False, [_RESULT]))
    assert body["tools"] == [
        {
            "type": "function",
            "name": "weather",
            "description": "Tell the weather.",
            "parameters": _STRICT,
            "strict": True,
        },
        {"type": "function", "name": "now", "description": "", "parameters": _LOOSE, "strict": False},
        {"type": "function", "name": "final_result", "description": "The end.", "parameters": _STRICT, "strict": True},
    ]
    assert body["tool_choice"] == "required"
    assert "parallel_tool_calls" not in body


@pytest.mark.parametrize("choice", ["auto", "required", "none"])
def test_tool_choice(choice: str) -> None:
    """A choice of the caller's goes over the run's."""
    parameters = ModelRequestParameters([_WEATHER])
    assert _body({}, parameters)["tool_choice"] == "auto"
    body = _body({"tool_choice": choice, "parallel_tool_calls": False}, parameters)
    assert (body["tool_choice"], body["parallel_tool_calls"]) == (choice, False)


def test_named_tool() -> None:
    """A tool is forced by its name; where a server does not obey that, it is the only one and required."""
    parameters = ModelRequestParameters([_WEATHER, _NOW])
    assert _body({"tool_choice": "now"}, parameters)["tool_choice"] == {"type": "function", "name": "now"}
    body = _body({"tool_choice": "now"}, parameters, {"named_tool_choice": False, "required_body": {"a": 1}})
    assert (body["tool_choice"], [tool["name"] for tool in body["tools"]], body["a"]) == ("required", ["now"], 1)
    with pytest.raises(UserError, match=r"^tool_choice is .* a tool \(weather, now, shell\); got 'nwo'\.$"):
        _body({"tool_choice": "nwo"}, ModelRequestParameters([_WEATHER, _NOW], native_tools=[_SHELL]))


def test_required_that_is_refused() -> None:
    """Where a server does not take ``required``, it is left to the model."""
    parameters = ModelRequestParameters([_WEATHER], False)
    body = _body({}, parameters, {"required_tool_choice": False, "required_body": {"a": 1}})
    assert body["tool_choice"] == "auto"
    assert "a" not in body


def test_native_tools() -> None:
    """The provider's own tools go as they are, after the others; alone they need no choice."""
    search = {"type": "web_search"}
    body = _body(None, ModelRequestParameters([_WEATHER], native_tools=[search]))
    assert [tool["type"] for tool in body["tools"]] == ["function", "web_search"]
    body = _body(None, ModelRequestParameters(native_tools=[search]))
    assert body["tools"] == [search]
    assert "tool_choice" not in body
    assert (
        _body({"tool_choice": "required"}, ModelRequestParameters(native_tools=[search]))["tool_choice"] == "required"
    )


def test_custom_tool() -> None:
    """A tool that is declared in the API's own words is not declared again, and is forced as what it is."""
    shell = ToolDefinition("shell", "", {"type": "object", "properties": {"input": {"type": "string"}}})
    body = _body({"tool_choice": "shell"}, ModelRequestParameters([shell, _WEATHER], native_tools=[_SHELL]))
    assert [(tool["type"], tool["name"]) for tool in body["tools"]] == [("function", "weather"), ("custom", "shell")]
    assert body["tool_choice"] == {"type": "custom", "name": "shell"}


# --- results ---------------------------------------------------------------------------------------


def test_native_result() -> None:
    """A typed result is asked for as the text's format, strict where that can be; verbosity stands beside it."""
    parameters = ModelRequestParameters(result_mode="native", result_schema=_SCHEMA)
    assert _body({"openai_verbosity": "low"}, parameters)["text"] == {
        "format": {"type": "json_schema", "name": "final_result", "schema": _STRICT, "strict": True},
        "verbosity": "low",
    }
    parameters = ModelRequestParameters(result_mode="native", result_schema=_LOOSE)
    assert _body({}, parameters)["text"]["format"]["strict"] is False
    limited = _body({}, parameters, {"max_length": 9})["text"]["format"]["schema"]
    assert limited["properties"]["city"]["maxLength"] == 9
    assert "text" not in _body({}, ModelRequestParameters(result_mode="prompted", result_schema=_SCHEMA))


# --- settings --------------------------------------------------------------------------------------


def test_settings(caplog: pytest.LogCaptureFixture) -> None:
    """Every setting has its place in the body; those that have none are dropped with one line."""
    caplog.set_level(logging.DEBUG, "syncagent.models")
    settings: OpenAIResponsesModelSettings = {
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_logprobs": 2,
        "openai_background": True,
        "openai_include": ["file_search_call.results", "message.output_text.logprobs"],
        "openai_max_tool_calls": 3,
        "openai_metadata": {"a": "b"},
        "openai_prompt_cache_key": "k",
        "openai_prompt_cache_retention": "24h",
        "openai_reasoning_effort": "low",
        "openai_reasoning_summary": "auto",
        "openai_safety_identifier": "s",
        "openai_service_tier": "flex",
        "openai_store": True,
        "openai_truncation": "auto",
        "openai_user": "u",
        "openai_verbosity": "high",
        "stop_sequences": ["a"],
        "seed": 1,
        "top_k": 3,
        "timeout": 3,
        "extra_headers": {"a": "b"},
        "extra_body": {"max_output_tokens": 6, "moderation": {"model": "x"}},
    }
    body = _body(settings, profile=ModelProfile(encrypted_thinking=True))
    assert {key: value for key, value in body.items() if key not in ("model", "input")} == {
        "store": True,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "high"},
        "max_output_tokens": 6,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_logprobs": 2,
        "background": True,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "safety_identifier": "s",
        "service_tier": "flex",
        "truncation": "auto",
        "user": "u",
        "moderation": {"model": "x"},
    }
    assert [record.message for record in caplog.records] == [
        "openai m: settings that cannot be sent: stop_sequences, seed, top_k"
    ]


def test_logprobs() -> None:
    """Log probabilities are asked for as further data; a model that has none is not asked."""
    assert _body({"logprobs": True})["include"] == ["message.output_text.logprobs"]
    unsendable = {"unsendable": frozenset({"logprobs", "top_logprobs", "temperature"})}
    body = _body({"logprobs": True, "top_logprobs": 2, "temperature": 0}, quirks=unsendable)
    assert body.keys() == {"model", "input", "store"}
    assert _body({"logprobs": False, "temperature": None}).keys() == {"model", "input", "store"}


def test_top_k() -> None:
    """A server that takes ``top_k`` gets it."""
    assert _body({"top_k": 3}, quirks={"top_k": True})["top_k"] == 3


def test_background_is_kept() -> None:
    """Work in the background needs that the response is kept; asking for the one without the other is refused."""
    with pytest.raises(UserError, match=r"^openai_background=True needs openai_store=True"):
        _body({"openai_background": True})
    assert "background" not in _body({"openai_background": None})


def test_unwritable() -> None:
    """Settings without a JSON form are refused."""
    with pytest.raises(UserError, match=r"^The request to openai m cannot be written: .*object"):
        _body({"extra_body": {"a": object()}})


# --- what the server knows already -----------------------------------------------------------------


def _history(provider: str = "openai") -> list[ModelMessage]:
    answers = [
        ModelResponse([TextPart(text)], provider_name=provider, provider_response_id=identifier)
        for text, identifier in (("1", "resp_1"), ("2", "resp_2"), ("3", None))
    ]
    history: list[ModelMessage] = []
    for index, answer in enumerate(answers):
        history += [ModelRequest([UserPromptPart(f"q{index}")]), answer]
    return [*history, ModelRequest([UserPromptPart("last")])]


@pytest.mark.parametrize(
    ("previous", "provider", "sent", "words"),
    [
        (None, "openai", None, ["q0", "1", "q1", "2", "q2", "3", "last"]),
        ("auto", "openai", "resp_2", ["q2", "3", "last"]),
        ("resp_1", "openai", "resp_1", ["q1", "2", "q2", "3", "last"]),
        ("resp_1", "azure", "resp_1", ["q1", "2", "q2", "3", "last"]),
        ("auto", "azure", None, ["q0", "1", "q1", "2", "q2", "3", "last"]),
        ("resp_0", "openai", "resp_0", ["q0", "1", "q1", "2", "q2", "3", "last"]),
    ],
)
def test_previous_response(previous: Optional[str], provider: str, sent: Optional[str], words: list[str]) -> None:
    """Going on from a kept response sends its id and what follows it; without being asked, everything."""
    body = _body({"openai_previous_response_id": previous}, messages=_history(provider))
    assert body.get("previous_response_id") == sent
    assert [item["content"] for item in body["input"]] == words


# --- counting --------------------------------------------------------------------------------------


def test_count() -> None:
    """The count is asked with what makes the input, and nothing else."""
    wire = ResponsesWire("openai")
    assert isinstance(wire, CountingWire)
    settings = {
        "temperature": 0,
        "openai_store": True,
        "openai_truncation": "auto",
        "extra_body": {"conversation": "c"},
    }
    request = wire.encode_count(_call(settings, ModelRequestParameters([_WEATHER]), stream=True))
    assert request.path == "/responses/input_tokens"
    body = json.loads(request.body)
    assert body.keys() == {"model", "input", "tools", "tool_choice", "truncation", "conversation"}


def test_repr() -> None:
    """A wire says whose it is, and nothing has to be downloaded for it."""
    assert repr(ResponsesWire("p")) == "<ResponsesWire of p>"
    assert ResponsesWire.inline == frozenset()
