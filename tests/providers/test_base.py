"""Where requests go, and where keys go: nowhere else."""

from __future__ import annotations

import copy
import threading
from typing import Any, Optional

import pytest

from syncagent.exceptions import MissingKeyError, ModelAuthError, UserError
from syncagent.messages import ModelRequest, UserPromptPart
from syncagent.models import ModelRequestParameters
from syncagent.models.openai import OpenAIModel
from syncagent.providers import Provider, infer_provider, provider_class
from syncagent.providers.base import Target
from syncagent.providers.deepseek import DeepSeekProvider
from syncagent.providers.ollama import OllamaProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.providers.openrouter import OpenRouterProvider
from syncagent.providers.table import ROWS
from syncagent.transport import RetryPolicy
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import as_json, in_turn, say

_KEY = "sk-canary-0123456789abcdef"
_OWN = "https://api.openai.com/v1"


def _sent(provider: Provider) -> tuple[str, Optional[str]]:
    """The address of a request, and the key that goes there."""
    target = provider.target("m")
    headers = {} if target.auth is None else target.auth("POST", target.base_url, {}, b"")
    return target.base_url, headers.get("Authorization")


# --- the rules of the key, clause by clause --------------------------------------------------------


def test_building_needs_no_key() -> None:
    """A provider is built without a key; asking raises, and says what to set."""
    provider = DeepSeekProvider()
    for ask in (provider.target, provider.check):
        with pytest.raises(MissingKeyError) as raised:
            ask("deepseek-chat")
        assert str(raised.value) == (
            "Set the `DEEPSEEK_API_KEY` environment variable or pass it via `DeepSeekProvider(api_key=...)` "
            "to use the DeepSeek provider."
        )
        assert isinstance(raised.value, UserError)
        assert isinstance(raised.value, ValueError)


def test_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable's key goes to the provider's own address."""
    monkeypatch.setenv("OPENAI_API_KEY", _KEY)
    assert _sent(OpenAIProvider()) == (_OWN, f"Bearer {_KEY}")


def test_address_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes to the address in the provider's own base-URL variable."""
    monkeypatch.setenv("OPENAI_API_KEY", _KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway/v1")
    assert _sent(OpenAIProvider()) == ("https://gateway/v1", f"Bearer {_KEY}")


def test_address_in_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes to an address given in code for that provider, which beats the variable's."""
    monkeypatch.setenv("OPENAI_API_KEY", _KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway/v1")
    assert _sent(OpenAIProvider("https://mine/v1")) == ("https://mine/v1", f"Bearer {_KEY}")


def test_key_of_another_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """One provider's key and address are nothing to another."""
    monkeypatch.setenv("OPENAI_API_KEY", _KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway/v1")
    with pytest.raises(MissingKeyError):
        DeepSeekProvider().target("m")
    assert _sent(DeepSeekProvider("https://mine/v1")) == ("https://mine/v1", None)


def test_key_in_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key given in code beats the variable's."""
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    assert _sent(OpenAIProvider(api_key=_KEY)) == (_OWN, f"Bearer {_KEY}")


@pytest.mark.parametrize("how", ["code", "variable"])
def test_no_key_at_another_address(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """At an address of the caller's choice no key is needed, and none is sent."""
    if how == "variable":
        monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8080/v1")
    provider = OpenAIProvider("http://localhost:8080/v1" if how == "code" else None)
    assert provider.target("m") == Target("http://localhost:8080/v1", None, "m")
    provider.check("m")


def test_rotated_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key and address are looked up at every request."""
    provider = OpenAIProvider()
    monkeypatch.setenv("OPENAI_API_KEY", "one")
    assert _sent(provider) == (_OWN, "Bearer one")
    monkeypatch.setenv("OPENAI_API_KEY", "two")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway/v1")
    assert _sent(provider) == ("https://gateway/v1", "Bearer two")
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with pytest.raises(MissingKeyError):
        provider.target("m")


def test_empty_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is one that is not set."""
    monkeypatch.setenv("OPENAI_API_KEY", _KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert _sent(OpenAIProvider(api_key="")) == (_OWN, f"Bearer {_KEY}")


def test_key_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function is asked at every try, and beats the variable; what it raises is raised."""
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    keys = iter(["one", "two"])
    provider = OpenAIProvider(api_key=lambda: next(keys))
    auth = provider.target("m").auth
    assert auth is not None
    assert [auth("POST", "", {}, b"")["Authorization"] for _ in range(2)] == ["Bearer one", "Bearer two"]

    def broken() -> str:
        raise LookupError("vault is sealed")

    with pytest.raises(LookupError, match="vault is sealed"):
        OpenAIProvider(api_key=broken).check("m")


@pytest.mark.parametrize(
    ("name", "prefix"), [("groq", "/openai/v1"), ("heroku", "/v1"), ("cerebras", "/v1"), ("openai", "")]
)
def test_the_path_in_the_address(name: str, prefix: str) -> None:
    """Where the API's path is the row's, an address with its beginning means the same as one without."""
    cls = provider_class(name)
    for address in ("https://mine.example", f"https://mine.example{prefix}/"):
        assert cls(address, "k").target("m").base_url == "https://mine.example"
    assert cls(f"https://mine.example/x{prefix}", "k").target("m").base_url == "https://mine.example/x"
    if not prefix:
        assert cls("https://mine.example/v1", "k").target("m").base_url == "https://mine.example/v1"


def test_key_function_after_a_refusal() -> None:
    """A function is asked once more where its key is refused, and the request goes out with the new one."""
    keys = iter(["old-key", "new-key"])
    answer = as_json({"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]})
    with FaultServer(in_turn(say("401 No"), say("200 OK", answer))) as server:
        model = OpenAIModel("m", provider=OpenAIProvider(server.origin, lambda: next(keys)))
        response = model.request([ModelRequest([UserPromptPart("Hi")])], None, ModelRequestParameters())
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer old-key", "Bearer new-key"]
    assert (response.provider_details or {})["attempts"] == 2


def test_key_that_is_a_text_is_not_sent_again() -> None:
    """A key that cannot change is refused once."""
    with FaultServer(say("401 No")) as server:
        model = OpenAIModel("m", provider=OpenAIProvider(server.origin, "old-key"))
        with pytest.raises(ModelAuthError):
            model.request([ModelRequest([UserPromptPart("Hi")])], None, ModelRequestParameters())
        assert len(server.requests) == 1


def test_key_function_without_a_key() -> None:
    """A function that has no key is a missing key where one is needed, and no header elsewhere."""
    with pytest.raises(MissingKeyError):
        OpenAIProvider(api_key=lambda: None).check("m")
    assert _sent(OpenAIProvider("http://x/v1", lambda: "")) == ("http://x/v1", None)


def test_ollama_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider on the same machine is asked without a key."""
    assert _sent(OllamaProvider()) == ("http://localhost:11434/v1", None)
    monkeypatch.setenv("OLLAMA_API_KEY", _KEY)
    assert _sent(OllamaProvider()) == ("http://localhost:11434/v1", f"Bearer {_KEY}")


# --- keys and addresses that cannot be used --------------------------------------------------------


def test_line_break_at_the_end() -> None:
    """A line break that a file brought along is no part of the key."""
    assert _sent(OpenAIProvider(api_key=_KEY + "\n")) == (_OWN, f"Bearer {_KEY}")


@pytest.mark.parametrize("key", [f"{_KEY}\nX-Evil: 1", f"{_KEY}é", f"{_KEY}\x7f"])
def test_key_that_is_no_header(key: str) -> None:
    """A key that no header can carry is refused, and not shown."""
    with pytest.raises(UserError, match=r"^The key of OpenAIProvider holds a character that no header") as raised:
        OpenAIProvider(api_key=key).check("m")
    assert "canary" not in str(raised.value)


def test_key_of_another_type() -> None:
    """A key is text, or a function that returns text."""
    with pytest.raises(UserError, match=r"^api_key is a text, or a function that returns one; got bytes\.$"):
        OpenAIProvider(api_key=b"x")  # type: ignore[arg-type] # that is the mistake
    with pytest.raises(UserError, match=r"^The key of OpenAIProvider is a text; got bytes\.$"):
        OpenAIProvider(api_key=lambda: b"x").check("m")  # type: ignore[arg-type,return-value] # that is the mistake


@pytest.mark.parametrize("address", ["https://me:canary@host/v1", "http://canary@host", "https://me:canary@[broken/v1"])
@pytest.mark.parametrize("how", ["code", "variable"])
def test_credentials_in_an_address(monkeypatch: pytest.MonkeyPatch, address: str, how: str) -> None:
    """An address with a password in it is refused, and not shown."""
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    name = "base_url" if how == "code" else "OPENAI_BASE_URL"
    with pytest.raises(UserError, match=rf"^{name} holds a user name or a password") as raised:
        OpenAIProvider(address if how == "code" else None).target("m")
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        *("", "api.openai.com/v1", "ftp://host/v1", "https://", "https://host:99999/v1", "https://host:0"),
        *("https://[", "http://a b/", "http://host/\x00", "file:///etc/passwd"),
    ],
)
def test_no_address(address: str) -> None:
    """What is no address of a web server is refused when the provider is built."""
    with pytest.raises(UserError, match=r"^base_url is an address such as .*; got something else\.$"):
        OpenAIProvider(address)


@pytest.mark.parametrize("address", ["https://host/v1?key=canary", "https://host/v1#x", "https://host?", "https://host/#"])
def test_address_with_a_tail(address: str) -> None:
    """Paths are appended to an address, so it has no query; what is refused is not shown."""
    with pytest.raises(UserError, match=r"^base_url is an address without \? and #") as raised:
        OpenAIProvider(address)
    assert "canary" not in str(raised.value)


def test_address_of_another_type() -> None:
    """An address is text."""
    with pytest.raises(UserError, match=r"such as 'https://api\.example\.com/v1'; got int\.$"):
        OpenAIProvider(3)  # type: ignore[arg-type] # that is the mistake


def test_slash_at_the_end() -> None:
    """A slash at the end is not doubled."""
    assert OpenAIProvider(" https://host/v1/ ").base_url == "https://host/v1"


# --- what a provider shows -------------------------------------------------------------------------


def test_no_repr_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a provider nor what it hands out shows the key."""
    monkeypatch.setenv("OPENAI_API_KEY", _KEY)
    provider = OpenAIProvider("https://host/v1", _KEY)
    target = provider.target("m")
    _sent(provider)
    assert repr(provider) == "OpenAIProvider(base_url='https://host/v1')"
    assert repr(OpenAIProvider(api_key=_KEY)) == "OpenAIProvider()"
    assert "canary" not in repr(target) + str(target)
    assert repr(target.auth) == "<login of openai>"


def test_transport_is_shared() -> None:
    """Providers with the same connection settings share their connections; others do not."""
    assert OpenAIProvider().transport is DeepSeekProvider(api_key="x").transport
    assert OpenAIProvider().transport is not OpenAIProvider(retry_policy=RetryPolicy(max_retries=7)).transport
    provider = OpenAIProvider()
    seen: list[Any] = []
    threads = [threading.Thread(target=lambda: seen.append(provider.transport)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id(transport) for transport in seen} == {id(provider.transport)}


def test_provider_itself() -> None:
    """The class without a row has no address."""
    with pytest.raises(UserError, match=r"^Provider itself has no address"):
        Provider()


def test_row_without_address() -> None:
    """A provider whose row has no address wants one in code."""

    class Somewhere(Provider):
        row = OpenAIProvider.row._replace(base_url=None, base_url_variable=None)

    with pytest.raises(UserError, match=r"^Somewhere has no address of its own: pass base_url=\.$"):
        Somewhere().target("m")
    assert Somewhere("https://host").base_url == "https://host"


def test_row_without_key() -> None:
    """A provider whose row has no key variable takes a key in code only; its header is the row's."""

    class Other(Provider):
        row = OpenAIProvider.row._replace(key_variable=None, needs_key=False, header="x-api-key", scheme="")

    assert Other().target("m").auth is None
    auth = copy.copy(Other(api_key="k")).target("m").auth
    assert auth is not None
    assert auth("POST", "", {}, b"") == {"x-api-key": "k"}


# --- by name ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_provider_class(name: str) -> None:
    """Each row has its class, which is built without arguments."""
    cls = provider_class(name)
    assert cls.__name__ == f"{ROWS[name].title}Provider"
    provider = infer_provider(name)
    assert type(provider) is cls
    assert (provider.name, provider.row) == (name, ROWS[name])


def test_classes() -> None:
    """The class of a name is the one of its module."""
    assert provider_class("openrouter") is OpenRouterProvider


def test_unknown_provider() -> None:
    """An unknown provider is refused by name."""
    with pytest.raises(UserError, match=rf"^Unknown provider: 'foo'\. Known are {', '.join(sorted(ROWS))}"):
        infer_provider("foo")
