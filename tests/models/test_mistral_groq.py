"""``MistralModel`` and ``GroqModel``: what they add to the chat API."""

from __future__ import annotations

from typing import Any

import pytest

from syncagent.exceptions import ModelHTTPError, ModelResponseError, UserError
from syncagent.messages import ModelMessage, ModelRequest, ModelResponse, ThinkingPart, ToolCallPart, UserPromptPart
from syncagent.models import ModelRequestParameters
from syncagent.models.chat_model import ChatModel
from syncagent.models.groq import GroqModel, GroqModelSettings
from syncagent.models.mistral import MistralModel, MistralModelSettings
from syncagent.models.names import infer_model
from syncagent.models.openai import OpenAIModel
from syncagent.models.profiles import ModelProfile
from syncagent.providers.groq import GroqProvider
from syncagent.providers.mistral import MistralProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.settings import ModelSettings, check_settings
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import as_json, chunked, say

_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_ANSWER = as_json({"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]})


def _sent(model_class: Any, provider_class: Any, settings: dict[str, Any]) -> Any:
    with FaultServer(say("200 OK", _ANSWER)) as server:
        model = model_class("m", provider=provider_class(server.origin, "k"))
        model.request(list(_ASKED), settings, ModelRequestParameters())
        return server.bodies[0]


def test_mistral_settings() -> None:
    """Each of Mistral's settings goes by its own key, the seed by Mistral's; what Mistral refuses stays here."""
    own = {key: "x" for key in MistralModelSettings.__annotations__ if key.startswith("mistral_")}
    check_settings(own)
    body = _sent(MistralModel, MistralProvider, {**own, "seed": 3, "top_k": 5, "logit_bias": {"1": 1}, "max_tokens": 7})
    assert {key[8:] for key in own} <= body.keys()
    assert (body["random_seed"], body["top_k"], body["max_tokens"]) == (3, 5, 7)
    assert not {"seed", "logit_bias"} & body.keys()


def test_groq_settings() -> None:
    """Each of Groq's settings goes by its own key, the limit by its new one."""
    own = {key: "x" for key in GroqModelSettings.__annotations__ if key.startswith("groq_")}
    check_settings(own)
    body = _sent(GroqModel, GroqProvider, {**own, "max_tokens": 7, "openai_user": "u", "mistral_safe_prompt": True})
    assert {key[5:] for key in own} <= body.keys()
    assert body["max_completion_tokens"] == 7
    assert not {"max_tokens", "safe_prompt"} & body.keys()
    assert body["user"] == "x"


@pytest.mark.parametrize(("cls", "prefix"), [(MistralModelSettings, "mistral_"), (GroqModelSettings, "groq_")])
def test_settings_classes(cls: Any, prefix: str) -> None:
    """A settings class has the common keys, and its own with the model class's prefix."""
    assert cls.__annotations__.keys() > ModelSettings.__annotations__.keys()
    assert all(key.startswith(prefix) for key in cls.__annotations__.keys() - ModelSettings.__annotations__.keys())


@pytest.mark.parametrize(
    ("name", "cls"),
    [("mistral:mistral-large-latest", MistralModel), ("groq:llama-3.3-70b-versatile", GroqModel)],
)
def test_names(name: str, cls: Any) -> None:
    """The prefix leads to the class, and the class to the provider."""
    model = infer_model(name)
    provider, _, model_name = name.partition(":")
    assert type(model) is cls
    assert (model.system, model.model_name) == (provider, model_name)
    assert cls(model_name).provider.name == provider


def test_through_openai_model() -> None:
    """Both speak OpenAI's chat API, so that ``OpenAIModel`` may ask them, with their rows' quirks."""
    model = OpenAIModel("m", provider="mistral")
    assert isinstance(model, ChatModel)
    assert model.wire.quirks["short_ids"] is True  # type: ignore[attr-defined] # a chat wire has them


def test_another_provider() -> None:
    """A server that speaks Mistral's or Groq's API elsewhere is asked with the class's own settings."""
    with FaultServer(say("200 OK", _ANSWER)) as server:
        model = MistralModel("m", provider=OpenAIProvider(server.origin + "/v1"))
        model.request(list(_ASKED), {"mistral_safe_prompt": True}, ModelRequestParameters())  # type: ignore[typeddict-unknown-key] # Mistral's
        assert server.bodies[0]["safe_prompt"] is True
    with pytest.raises(UserError, match=r"^The provider 'cohere' does not speak OpenAI's chat API\.$"):
        GroqModel("m", provider="cohere")
    with pytest.raises(UserError, match=r"^provider is a Provider, or the name of one; got int\.$"):
        GroqModel("m", provider=3)  # type: ignore[arg-type] # that is the mistake


def test_a_profile_of_ones_own() -> None:
    """Profile and settings are taken as by every model."""
    model = GroqModel("m", profile=ModelProfile(quirks={"top_k": True}), settings={"temperature": 0})
    assert model.profile.quirks == {"top_k": True}
    assert MistralModel("m", settings={"temperature": 0.5}).profile == ModelProfile()


def test_groq_refuses_a_call() -> None:
    """A call that the model got wrong is an HTTP error with Groq's words and what the model wrote."""
    error = {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": "<x>"}
    with FaultServer(say("400 Bad", as_json({"error": error}))) as server:
        model = GroqModel("m", provider=GroqProvider(server.origin, "k"))
        with pytest.raises(ModelHTTPError, match="Failed to call a function") as raised:
            model.request(list(_ASKED), None, ModelRequestParameters())
    assert raised.value.body == {"error": error}
    assert not raised.value.retryable


def test_groq_refuses_a_call_in_a_stream() -> None:
    """The same in a stream ends it, with what came before."""
    events = (
        b'data: {"choices":[{"delta":{"reasoning":"hm"}}]}\n\n',
        b'event: error\ndata: {"error":{"message":"did not call a tool","code":"tool_use_failed"}}\n\n',
    )
    with FaultServer(chunked(*events)) as server:
        model = GroqModel("m", provider=GroqProvider(server.origin, "k"))
        with pytest.raises(ModelResponseError, match=r"did not call a tool \(tool_use_failed\)") as raised:
            with model.request_stream(list(_ASKED), None, ModelRequestParameters()) as stream:
                list(stream)
        assert "stream_options" not in server.bodies[0]
    assert raised.value.partial is not None
    assert raised.value.partial.parts == [ThinkingPart("hm", None, None, "groq")]


def test_mistral_thinks_and_calls() -> None:
    """What Mistral thought before a call goes back before it, with an id that the API takes."""
    message = {
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True}],
        "tool_calls": [{"id": "abcdefghi", "function": {"name": "now", "arguments": {"a": 1}}}],
    }
    answer = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    with FaultServer(say("200 OK", as_json(answer))) as server:
        model = MistralModel("m", provider=MistralProvider(server.origin, "k"))
        response = model.request(list(_ASKED), None, ModelRequestParameters())
        model.request([*_ASKED, response], None, ModelRequestParameters())
        back = server.bodies[1]["messages"][1]
    assert isinstance(response, ModelResponse)
    assert response.parts == [ThinkingPart("hm", None, None, "mistral"), ToolCallPart("now", {"a": 1}, "abcdefghi")]
    assert back["content"] == [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    assert back["tool_calls"][0] == {
        "id": "abcdefghi",
        "type": "function",
        "function": {"name": "now", "arguments": '{"a":1}'},
    }
