"""The provider of the embedded model: address, key and model come from ``syncagent.local`` at each request."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest

from syncagent import local
from syncagent.deadline import Deadline
from syncagent.exceptions import ModelResponseError, UserError
from syncagent.messages import ModelMessage, ModelRequest, ModelResponse, ToolCallPart, ToolReturnPart, UserPromptPart
from syncagent.models import ModelRequestParameters, infer_model
from syncagent.models.openai import OpenAIModel
from syncagent.providers.local import LocalProvider
from syncagent.tools import ToolDefinition
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import say

_KEY = "sk-canary-0123456789abcdef"
_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_ANSWER = json.dumps({"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]}).encode()
_TOOL = ToolDefinition("final_result", "", {"type": "object", "properties": {"a": {"type": "string"}}})


def _endpoint(monkeypatch: pytest.MonkeyPatch, url: str, key: str = _KEY) -> list[Any]:
    """Let ``local`` answer with this address; gives what it was asked."""
    asked: list[Any] = []

    def endpoint(name: str, *, deadline: Optional[Deadline] = None) -> local.Endpoint:
        asked.append((name, deadline))
        return local.Endpoint(url, key, "served")

    monkeypatch.setattr(local, "endpoint", endpoint)
    return asked


def _body(
    monkeypatch: pytest.MonkeyPatch, messages: list[ModelMessage], settings: Any = None, **parameters: Any
) -> Any:
    with FaultServer(say("200 OK", _ANSWER)) as server:
        _endpoint(monkeypatch, server.origin + "/v1")
        infer_model("local").request(messages, settings, ModelRequestParameters(**parameters))
        (request,) = server.requests
        assert request.headers["authorization"] == f"Bearer {_KEY}"
        return json.loads(request.body)


def test_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request goes where ``local`` says, with its key and model; the run's deadline covers the start as well."""
    with FaultServer(say("200 OK", _ANSWER)) as server:
        asked = _endpoint(monkeypatch, server.origin + "/v1")
        deadline = Deadline(5)
        model = infer_model("local:smollm2-135m")
        model.request(_ASKED, None, ModelRequestParameters(deadline=deadline))
        (request,) = server.requests
    assert asked == [("smollm2-135m", deadline)]
    assert (request.path, json.loads(request.body)["model"]) == ("/v1/chat/completions", "served")
    assert model.base_url is None


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without a key gets none."""
    _endpoint(monkeypatch, "http://x/v1", "")
    assert LocalProvider().target("local").auth is None


def test_check() -> None:
    """Checking looks at the name, and neither fetches nor starts anything."""
    OpenAIModel("local", provider="local").check()
    with pytest.raises(UserError, match="There is no local model 'foo'"):
        OpenAIModel("foo", provider="local").check()
    LocalProvider("http://x/v1").check("foo")


def test_given_address() -> None:
    """An address in code is a server that runs already; the model's name is as given."""
    target = LocalProvider("http://x/v1", "k").target("m")
    assert (target.base_url, target.model_name) == ("http://x/v1", "m")
    assert target.auth is not None
    assert target.auth("POST", "", {}, b"") == {"Authorization": "Bearer k"}
    assert LocalProvider("http://x/v1").target("m").auth is None


def test_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit of the caller's there is one of 512 tokens; the caller's beats it."""
    assert _body(monkeypatch, _ASKED)["max_tokens"] == 512
    assert _body(monkeypatch, _ASKED, {"max_tokens": 9})["max_tokens"] == 9


def test_more_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template is told that calls may follow exactly where a call is required."""
    body = _body(monkeypatch, _ASKED, result_tools=[_TOOL], allow_text_result=False)
    assert (body["tool_choice"], body["chat_template_kwargs"]) == ("required", {"more_calls": True})
    body = _body(monkeypatch, _ASKED, function_tools=[_TOOL])
    assert body["tool_choice"] == "auto"
    assert "chat_template_kwargs" not in body
    assert "chat_template_kwargs" not in _body(monkeypatch, _ASKED)


def test_strings_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strings in schemas get an end."""
    body = _body(monkeypatch, _ASKED, result_tools=[_TOOL])
    assert body["tools"][0]["function"]["parameters"]["properties"]["a"]["maxLength"] == 200


def test_broken_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments that the small model broke go back as an empty object: its server insists on JSON."""
    history: list[ModelMessage] = [
        *_ASKED,
        ModelResponse([ToolCallPart("a", "{broken", "1")]),
        ModelRequest([ToolReturnPart("a", "no", "1")]),
    ]
    call = _body(monkeypatch, history)["messages"][1]["tool_calls"][0]
    assert call["function"]["arguments"] == "{}"


def test_odd_output_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that the server cannot parse is a ModelResponseError at once, though its status is 500."""
    words = "The model produced output that does not match the expected peg-native format"
    with FaultServer(say("500 Oops", json.dumps({"error": {"code": 500, "message": words}}).encode())) as server:
        _endpoint(monkeypatch, server.origin)
        with pytest.raises(ModelResponseError, match="does not match the expected"):
            infer_model("local").request(_ASKED, None, ModelRequestParameters())
        assert len(server.requests) == 1


def test_our_own_server_is_asked_past_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy never sees what goes to a server of ours on loopback, nor its key."""
    with FaultServer(say("200 OK", _ANSWER)) as server, FaultServer(say("502 Bad Gateway", b"")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        monkeypatch.setenv("http_proxy", proxy.origin)
        _endpoint(monkeypatch, server.origin + "/v1")
        infer_model("local").request(_ASKED, None, ModelRequestParameters())
    assert len(server.requests) == 1
    assert proxy.requests == []
