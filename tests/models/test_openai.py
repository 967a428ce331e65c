"""``OpenAIModel`` against a server on loopback: what goes out, what comes in, what is raised."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncagent.exceptions import UserError
from syncagent.messages import ModelRequest, SystemPromptPart, TextPart, UserPromptPart
from syncagent.models import ModelRequestParameters
from syncagent.models.openai import OpenAIModel
from syncagent.models.profiles import ModelProfile
from syncagent.providers.deepseek import DeepSeekProvider
from syncagent.providers.openai import OpenAIProvider
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import say

_ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-08-06",
    "created": 1_700_000_000,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hey."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
_ASKED = [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart("Hi")])]


def _server(answer: Any = _ANSWER) -> FaultServer:
    return FaultServer(say("200 OK", json.dumps(answer).encode()))


def test_request() -> None:
    """A request goes to the base URL with key and body; the response has text, usage, names and time."""
    with _server() as server:
        model = OpenAIModel("gpt-4o", provider=OpenAIProvider(server.origin + "/v1", "sk-1"))
        response = model.request(_ASKED, {"temperature": 0.5}, ModelRequestParameters())
        (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "model": "gpt-4o",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "n": 1,
        "temperature": 0.5,
    }
    assert response.parts == [TextPart("Hey.")]
    assert (response.usage.request_tokens, response.usage.response_tokens) == (3, 2)
    assert (response.model_name, response.provider_name) == ("gpt-4o-2024-08-06", "openai")
    assert response.provider_response_id == "chatcmpl-1"
    assert response.finish_reason == "stop"
    assert response.timestamp.timestamp() == 1_700_000_000


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_system_prompt_role(role: Any) -> None:
    """System prompts go out with the role that was asked for."""
    with _server() as server:
        provider = OpenAIProvider(server.origin)
        OpenAIModel("m", provider=provider, system_prompt_role=role).request(_ASKED, None, ModelRequestParameters())
        (body,) = server.bodies
    assert body["messages"][0] == {"role": role, "content": "Be brief."}


def test_unknown_role() -> None:
    """A role that the API does not know is refused when the model is built."""
    with pytest.raises(UserError, match=r"^system_prompt_role is 'system', 'developer' or 'user'; got 'boss'\.$"):
        OpenAIModel("m", system_prompt_role="boss")  # type: ignore[arg-type] # that is the mistake


def test_provider_by_name() -> None:
    """A provider may be named; the model then is that provider's."""
    model = OpenAIModel("deepseek-chat", provider="deepseek")
    assert isinstance(model.provider, DeepSeekProvider)
    assert (model.system, model.base_url) == ("deepseek", "https://api.deepseek.com")


def test_unknown_provider() -> None:
    """An unknown provider, one that is not built, and what is none, are refused when the model is built."""
    with pytest.raises(UserError, match=r"^Unknown provider: 'opnai'"):
        OpenAIModel("m", provider="opnai")
    with pytest.raises(UserError, match="does not speak OpenAI's chat API"):
        OpenAIModel("m", provider="anthropic")
    with pytest.raises(UserError, match=r"^provider is a Provider, or the name of one; got int\.$"):
        OpenAIModel("m", provider=3)  # type: ignore[arg-type] # that is the mistake


def test_provider_of_another_api() -> None:
    """A provider that speaks another API is refused."""

    class Other(OpenAIProvider):
        row = OpenAIProvider.row._replace(name="other", wire="anthropic")

    with pytest.raises(UserError, match=r"^The provider 'other' does not speak OpenAI's chat API\.$"):
        OpenAIModel("m", provider=Other())


def test_unknown_quirk() -> None:
    """A misspelt quirk of a profile is refused."""
    with pytest.raises(UserError, match=r"^Unknown quirks: max_token\. Known are after_tools, "):
        OpenAIModel("m", profile=ModelProfile(quirks={"max_token": "x"}))


def test_reasoning_models() -> None:
    """A reasoning model's limit has another name, and sampling settings are not sent to it."""
    with _server() as server:
        model = OpenAIModel("o3-mini", provider=OpenAIProvider(server.origin))
        model.request(_ASKED, {"max_tokens": 5, "temperature": 0, "seed": 1}, ModelRequestParameters())
        (body,) = server.bodies
    assert (body["max_completion_tokens"], body["seed"]) == (5, 1)
    assert not {"max_tokens", "temperature"} & body.keys()


def test_thinking_goes_back_to_deepseek() -> None:
    """What DeepSeek thought before a tool call goes back with that call."""
    call = {"id": "1", "type": "function", "function": {"name": "a", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]}
    with _server({"choices": [{"message": message, "finish_reason": "tool_calls"}]}) as server:
        model = OpenAIModel("deepseek-reasoner", provider=DeepSeekProvider(server.origin, "k"))
        response = model.request(_ASKED, None, ModelRequestParameters())
        model.request([*_ASKED, response], None, ModelRequestParameters())
        assert server.bodies[1]["messages"][-1] == message
