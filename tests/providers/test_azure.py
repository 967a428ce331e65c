"""Azure: deployments, versions, keys and tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from syncagent.exceptions import MissingKeyError, ModelAuthError, UserError
from syncagent.messages import ModelRequest, TextPart, UserPromptPart
from syncagent.models import ModelRequestParameters
from syncagent.models.names import infer_model
from syncagent.models.openai import OpenAIModel
from syncagent.providers.azure import AzureProvider
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import as_json, in_turn, say

_ENDPOINT = "https://mine.openai.azure.com"
_ASKED = [ModelRequest([UserPromptPart("Hi")])]
_ANSWER = as_json({"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]})


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """None of Azure's variables is set."""
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    yield


def _headers(provider: AzureProvider) -> dict[str, str]:
    target = provider.target("m")
    assert target.auth is not None
    return dict(target.auth("POST", target.base_url, {}, b""))


def test_a_version_asks_the_deployment() -> None:
    """With a version the deployment is in the path, the version in the query, the key in its own header."""
    with FaultServer(say("200 OK", _ANSWER)) as server:
        provider = AzureProvider(server.origin + "/", "2024-10-21", "k-1")
        model = OpenAIModel("my gpt/4", provider=provider)
        response = model.request(list(_ASKED), None, ModelRequestParameters())
        (request,) = server.requests
    assert request.path == "/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21"
    assert request.headers["api-key"] == "k-1"
    assert "authorization" not in request.headers
    assert (response.parts, response.provider_name) == ([TextPart("Hey.")], "azure")


def test_without_a_version() -> None:
    """Without one the endpoint's ``/openai/v1`` is asked, which may stand in the endpoint already."""
    for endpoint in (_ENDPOINT, _ENDPOINT + "/openai/v1/"):
        target = AzureProvider(endpoint, api_key="k").target("gpt-4o")
        assert (target.base_url, target.model_name, target.query) == (_ENDPOINT + "/openai/v1", "gpt-4o", {})


def test_the_v1_address_needs_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that ends in ``/openai/v1`` is asked there, whatever the version's variable says."""
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    target = AzureProvider(_ENDPOINT + "/openai/v1", api_key="k").target("gpt-4o")
    assert (target.base_url, target.query) == (_ENDPOINT + "/openai/v1", {})


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoint, version and key come from the environment, at each request; arguments go before them."""
    model = infer_model("azure:my-gpt")
    assert isinstance(model, OpenAIModel) and isinstance(model.provider, AzureProvider)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", _ENDPOINT)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k-1")
    target = model.provider.target("my-gpt")
    assert target.base_url == _ENDPOINT + "/openai/deployments/my-gpt"
    assert target.query == {"api-version": "2024-10-21"}
    assert _headers(model.provider) == {"api-key": "k-1"}
    given = AzureProvider("https://other.example", "2025-01-01", "k-2")
    assert given.target("m").query == {"api-version": "2025-01-01"}
    assert _headers(given) == {"api-key": "k-2"}


def test_no_endpoint() -> None:
    """Without an endpoint the error says what to give."""
    with pytest.raises(
        UserError,
        match=r"^AzureProvider has no address of its own: pass azure_endpoint= or set `AZURE_OPENAI_ENDPOINT`\.$",
    ):
        AzureProvider(api_key="k").target("m")


def test_no_key() -> None:
    """A resource always wants a key or a token: without one nothing is sent."""
    with pytest.raises(MissingKeyError, match=r"^Set the `AZURE_OPENAI_API_KEY` environment variable or pass it via "):
        OpenAIModel("m", provider=AzureProvider(_ENDPOINT)).check()


def test_tokens_of_entra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token function is asked at every request, goes as a bearer token, and leaves the key's variable alone."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "not-this")
    numbers = itertools.count(1)
    provider = AzureProvider(_ENDPOINT, azure_ad_token_provider=lambda: f"t-{next(numbers)}")
    assert _headers(provider) == {"Authorization": "Bearer t-1"}
    assert _headers(provider) == {"Authorization": "Bearer t-2"}


def test_a_token_that_has_run_out() -> None:
    """After a 401 the function is asked once more, and the request sent again."""
    numbers = itertools.count(1)
    with FaultServer(in_turn(say("401 No"), say("200 OK", _ANSWER))) as server:
        provider = AzureProvider(server.origin, azure_ad_token_provider=lambda: f"t-{next(numbers)}")
        OpenAIModel("m", provider=provider).request(list(_ASKED), None, ModelRequestParameters())
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer t-1", "Bearer t-2"]


def test_a_key_that_is_refused() -> None:
    """A key that is a text is not sent twice."""
    with FaultServer(say("401 No", as_json({"error": {"code": "401", "message": "Access denied"}}))) as server:
        model = OpenAIModel("m", provider=AzureProvider(server.origin, api_key="k-123456"))
        with pytest.raises(ModelAuthError, match="Access denied"):
            model.request(list(_ASKED), None, ModelRequestParameters())
        assert len(server.requests) == 1


def test_both() -> None:
    """A key and a token function at once, and a token that is no function, are refused."""
    with pytest.raises(UserError, match=r"^Give api_key or azure_ad_token_provider, not both\.$"):
        AzureProvider(_ENDPOINT, api_key="k", azure_ad_token_provider=lambda: "t")
    wrong: Any = "a token"
    with pytest.raises(UserError, match=r"^azure_ad_token_provider is a function; got str\.$"):
        AzureProvider(_ENDPOINT, azure_ad_token_provider=wrong)


def test_no_token() -> None:
    """A token function that gives none is a missing key."""
    provider = AzureProvider(_ENDPOINT, azure_ad_token_provider=lambda: "")
    with pytest.raises(MissingKeyError):
        _headers(provider)


def test_reasoning_models() -> None:
    """Deployments that are named like OpenAI's models get their limits' names."""
    model = OpenAIModel("o3-mini", provider=AzureProvider(_ENDPOINT, api_key="k"))
    assert model.profile.quirks["max_tokens"] == "max_completion_tokens"
