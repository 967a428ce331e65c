"""A key by each way in which it can be given: nothing that is left behind shows it."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from syncagent import Agent, Deadline, RetryPolicy
from syncagent.cli import main
from syncagent.exceptions import AgentRunError, DeadlineExceeded, ModelAPIError, ModelHTTPError, UserError
from syncagent.models.bedrock import BedrockConverseModel
from syncagent.models.gemini import GeminiModel
from syncagent.models.names import infer_model
from syncagent.models.openai import OpenAIModel
from syncagent.providers.azure import AzureProvider
from syncagent.providers.base import provider_class
from syncagent.providers.bedrock import BedrockProvider
from syncagent.providers.google_vertex import GoogleVertexProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.providers.registry import register_provider
from syncagent.providers.table import ROWS
from syncagent.transport.download import DownloadRules
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault
from tests.faultserver.dialects import OPENAI
from tests.transport.conftest import no_wait
from tests.trust.looking import chain, leaks, said, variables

__all__ = ["no_wait"]

KEY = "sk-canary-0123456789abcdef"
ONCE: dict[str, Any] = {"retry_policy": RetryPolicy(max_retries=0)}


def echo(status: str, kind: str) -> Callable[[Peer, Request], None]:
    """A server that repeats everything it was sent, in its body and in its headers."""

    def scenario(peer: Peer, request: Request) -> None:
        words = json.dumps({"error": {"message": f"{request.path} {request.headers} {request.body!r}"}})
        lines = [f"X-{name}: {value}" for name, value in request.headers.items() if name != "content-length"]
        given = request.headers.get("authorization", "none")
        peer.answer(words.encode(), status, f"Content-Type: {kind}", f"X-Request-Id: {given}", *lines)

    return scenario


def garbage(peer: Peer, request: Request) -> None:
    """The same as what is no HTTP."""
    peer.send(f"HTTP/9 {request.headers}\r\n\r\n".encode())
    peer.close()


ECHOES = {
    "garbage": garbage,
    "refused": echo("401 Unauthorized", "application/json"),
    "failing": echo("500 Oops", "text/plain"),
    "page": echo("200 OK", "text/html"),
    "error": echo("200 OK", "application/json"),
    "stream": echo("200 OK", "text/event-stream"),
}


def by_headers(address: str) -> Any:
    """A key in the settings, as gateways want it."""
    settings: Any = {"extra_headers": {"X-Gateway-Key": KEY, "Cookie": f"session={KEY}", "X-Title": "a title"}}
    return OpenAIModel("m", provider=OpenAIProvider(address, "none", **ONCE), settings=settings)


def by_environment(address: str) -> Any:
    """A key in the provider's variable."""
    pytest.MonkeyPatch().setenv("OPENAI_API_KEY", KEY)
    return OpenAIModel("m", provider=OpenAIProvider(address, **ONCE))


def by_token(address: str) -> Any:
    """A function that gives tokens, for Azure."""
    return OpenAIModel("m", provider=AzureProvider(address, azure_ad_token_provider=lambda: KEY, **ONCE))


def by_aws(address: str) -> Any:
    """Temporary keys of AWS: the token is sent, the key only signs."""
    keys: dict[str, Any] = {"aws_access_key_id": "AKIA", "aws_secret_access_key": KEY}
    keys["aws_session_token"] = f"token-{KEY}"
    return BedrockConverseModel("m", provider=BedrockProvider(address, region_name="eu-west-1", **keys, **ONCE))


def by_google(address: str) -> Any:
    """Credentials of Google's package, with a token that is there already."""
    oauth2 = pytest.importorskip("google.oauth2.credentials")
    provider = GoogleVertexProvider(credentials=oauth2.Credentials(KEY), project_id="p", base_url=address, **ONCE)
    return GeminiModel("m", provider=provider)


def by_google_refresh(address: str) -> Any:
    """Credentials of Google's package that have to be fetched: the token server repeats what it was sent."""
    oauth2 = pytest.importorskip("google.oauth2.credentials")
    given = {"refresh_token": KEY, "client_secret": KEY, "client_id": "c", "token_uri": address + "/token"}
    credentials = oauth2.Credentials(None, **given)
    return GeminiModel("m", provider=GoogleVertexProvider(credentials=credentials, project_id="p", **ONCE))


def by_register(address: str) -> Any:
    """A provider of one's own, with a header of its own."""
    own: dict[str, Any] = {"key_variable": "CANARY_KEY", "header": "X-Own-Header", "scheme": ""}
    cls = register_provider("canary", base_url="http://127.0.0.1:9", **own)
    return OpenAIModel("m", provider=cls(address, KEY, **ONCE))


WAYS = [by_headers, by_environment, by_token, by_aws, by_google, by_google_refresh, by_register]


@pytest.mark.parametrize("wrong", list(ECHOES))
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_key_that_is_repeated(
    way: Any, wrong: str, no_wait: list[float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it was given, and whatever repeats it: no error, no log and no variable of a frame shows it."""
    caplog.set_level(logging.DEBUG)
    for name in ("syncagent", "urllib3", "requests", "google"):
        caplog.set_level(logging.DEBUG, name)
    monkeypatch.setattr(pytest, "MonkeyPatch", lambda: monkeypatch)  # whatever a way sets is taken back
    with FaultServer(ECHOES[wrong]) as server:
        model = way(server.origin)
        agent: Agent[None, str] = Agent(model)
        with pytest.raises(AgentRunError) as caught:
            if wrong == "stream":
                with agent.run_stream("hello") as result:
                    result.get_data()
            else:
                agent.run_sync("hello")
        model.provider.transport.close()
    assert len(server.requests) >= 1
    # Two variables may hold it: an answer that was read and then refused, and the settings as the caller gave them.
    allowed = (" body=", " value=", "'extra_headers': {", " extra=")
    assert [place for place in leaks(caught.value, KEY) if not any(name in place for name in allowed)] == []
    assert KEY not in caplog.text
    assert KEY not in repr([agent, model, model.provider, vars(model.provider).get("_chain")])


def test_a_key_of_each_provider(no_wait: list[float]) -> None:
    """For each row of the table: in the header that it says, and not in what is left of a refusal that repeats it."""
    with FaultServer(ECHOES["refused"]) as server:
        for name, row in ROWS.items():
            if name in ("bedrock", "google-vertex", "local"):
                continue  # theirs are tried above
            provider = provider_class(name)(server.origin, api_key=KEY, **ONCE)
            model = infer_model(f"{name}:m")
            model._provider = provider  # type: ignore[attr-defined] # as if the environment had said so
            with pytest.raises(ModelHTTPError) as caught:
                Agent(model).run_sync("hello")
            assert server.requests[-1].headers[row.header.lower()] == row.scheme + KEY
            assert leaks(caught.value, KEY) == [], name


@pytest.mark.parametrize("through", ["nothing", "http", "https"])
def test_time_and_interrupts(through: str) -> None:
    """The variables of all frames, requests' and urllib3's too, show no key where time is over or Ctrl-C comes."""
    asked = []

    def pressed() -> bool:
        asked.append(1)
        if len(asked) > 2:
            raise KeyboardInterrupt
        return False

    with FaultServer(fault.silent) as server:
        proxies = {} if through == "nothing" else {"http": server.origin.replace("://", "://user:" + KEY + "@")}
        address = server.origin if through == "nothing" else "http://model.example"
        if through == "https":
            proxies, address = {"https": proxies["http"]}, "https://model.example"
        model: Any = OpenAIModel("m", provider=OpenAIProvider(address, KEY, proxies=proxies, **ONCE))
        agent: Agent[None, str] = Agent(model)
        with pytest.raises(DeadlineExceeded) as late:
            agent.run_sync("hello", deadline=0.3)
        assert leaks(late.value, KEY) == []
        if through == "nothing":
            with pytest.raises(KeyboardInterrupt) as stopped:
                agent.run_sync("hello", deadline=Deadline(cancelled=pressed))
            assert [text for text in variables(stopped.value) if KEY in text] == []
        model.provider.transport.close()


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxys_password(
    scheme: str, status: str, no_wait: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy that refuses gets its password, and nobody else."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3")
    with FaultServer(fault.say(status, b"{}")) as server:
        proxies = {scheme: server.origin.replace("://", f"://user:{KEY}@")}
        model: Any = OpenAIModel("m", provider=OpenAIProvider(f"{scheme}://model.example", "k" * 9, proxies=proxies))
        with pytest.raises(ModelAPIError) as caught:
            Agent(model).run_sync("hello")
        model.provider.transport.close()
    encoded = base64.b64encode(f"user:{KEY}".encode()).decode()
    assert server.requests[0].headers["proxy-authorization"] == f"Basic {encoded}"
    for secret in (KEY, encoded):
        assert leaks(caught.value, secret) == []
        assert secret not in caplog.text
        assert secret not in repr([model.provider, model.provider.transport, DownloadRules(proxies=proxies)])


@pytest.mark.parametrize("key", [f"{KEY}\nsecond", f"{KEY}\u2014", KEY.encode()])
def test_a_key_that_cannot_be_sent(key: Any) -> None:
    """It is in no variable of the frames that refuse it."""
    model: Any = OpenAIModel("m", provider=OpenAIProvider("http://127.0.0.1:9", lambda: key, **ONCE))
    with pytest.raises(UserError) as caught:
        Agent(model).run_sync("hello")
    assert leaks(caught.value, KEY) == []


def test_settings_with_a_key_are_not_shown() -> None:
    """An agent's repr names the settings that hold headers and bodies, and no more of them."""
    settings: Any = {"temperature": 0.5, "extra_headers": {"X-Key": KEY}, "extra_body": {"key": KEY}}
    agent: Agent[None, str] = Agent(model_settings=settings)
    assert repr(agent).endswith("model_settings={'temperature': 0.5, 'extra_headers': '...', 'extra_body': '...'})")
    assert repr(Agent()).endswith("model_settings=None)")


@pytest.mark.parametrize("wrong", ["refused", "failing", "page", "error"])
def test_the_command_line(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_wait: list[float]
) -> None:
    """What ``syncagent run`` prints of a server that repeats the key does not hold it."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FaultServer(ECHOES[wrong]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.origin)
        assert main(["run", "--model", "openai:m", "the prompt's canary"]) == 1
    assert len(server.requests) >= 1
    out, err = capsys.readouterr()
    assert "error" in err
    assert KEY not in out + err


def test_looking_finds(no_wait: list[float]) -> None:
    """The look for leaks sees a text, an attribute, a cause and a variable of a frame."""
    with pytest.raises(AgentRunError) as caught, FaultServer(fault.say("400 Bad", b'"spoken out"')) as server:
        model: Any = OPENAI.model(server.origin, api_key=KEY, **ONCE)
        try:
            Agent(model).run_sync("the prompt's canary")
        finally:
            model.provider.transport.close()
    assert {"text", "attributes", "traceback", "pickle"} <= set(leaks(caught.value, "spoken out"))
    assert any(" user_prompt=" in place for place in leaks(caught.value, "the prompt's canary"))
    assert len(list(chain(caught.value))) == 1 and "400" in said(caught.value)
