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
