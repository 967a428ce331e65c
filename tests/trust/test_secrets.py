"""A key and a prompt stay where they belong: not in logs, errors, tracebacks, reprs, pickles, or stored messages."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from syncagent import Agent, RetryPolicy
from syncagent.exceptions import AgentRunError, ModelHTTPError, UserError
from syncagent.messages import ModelMessagesTypeAdapter
from syncagent.models.bedrock import BedrockConverseModel
from syncagent.models.cohere import CohereModel
from syncagent.models.gemini import GeminiModel
from syncagent.models.openai import OpenAIModel
from syncagent.models.openai_responses import OpenAIResponsesModel
from syncagent.providers.bedrock import BedrockProvider
from syncagent.providers.cohere import CohereProvider
from syncagent.providers.google_gla import GoogleGLAProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.providers.table import ROWS
from tests.faultserver import FaultServer, Peer, Request, Scenario
from tests.faultserver import scenarios as fault
from tests.faultserver.dialects import ANTHROPIC, DIALECTS, OPENAI
from tests.transport.conftest import no_wait

__all__ = ["no_wait"]

KEY = "sk-canary-0123456789abcdef"
PROMPT = "the prompt's canary"
SYSTEM = "the system prompt's canary"
ONCE: dict[str, Any] = {"retry_policy": RetryPolicy(max_retries=0)}


def given(request: Request) -> str:
    """The key, where it came: AWS's secret never does."""
    return KEY if KEY in f"{request.headers} {request.path}" else "none"


def echo_401(peer: Peer, request: Request) -> None:
    """A server that shows what it was given, in its body and in its headers."""
    key = given(request)
    said = json.dumps({"error": {"message": f"bad key {key}", "headers": request.headers}, "message": key}).encode()
    peer.answer(said, "401 Unauthorized", f"X-Request-Id: {key}", f"WWW-Authenticate: {key}")


def echo_200(peer: Peer, request: Request) -> None:
    """The same as an answer that is none."""
    key = given(request)
    peer.answer(json.dumps({"choices": key, "content": key, "output": 3, "headers": request.headers}).encode())


def echo_page(peer: Peer, request: Request) -> None:
    """The same as a page."""
    peer.answer(f"<p>{json.dumps(request.headers)}</p>".encode(), "200 OK", "Content-Type: text/html")


WRONG: dict[str, Scenario] = {
    "refused": echo_401,
    "unreadable": echo_200,
    "page": echo_page,
    "broken": fault.fin,
    "silent": fault.silent,
    "garbage": fault.raw(b"HTTP/1.1 200 " + KEY.encode() + b"\r\nContent-Length: x\r\n\r\n"),
    "redirect": fault.say("307 Elsewhere", b"", f"Location: http://127.0.0.1:9/?{KEY}"),
}


def models(address: str) -> dict[str, Callable[[], Any]]:
    """A model of each wire, with the canary as its key."""
    return {
        "chat": lambda: OPENAI.model(address, api_key=KEY, **ONCE),
        "anthropic": lambda: ANTHROPIC.model(address, api_key=lambda: KEY, **ONCE),
        "responses": lambda: OpenAIResponsesModel("m", provider=OpenAIProvider(address, KEY, **ONCE)),
        "gemini": lambda: GeminiModel("m", provider=GoogleGLAProvider(address, KEY, **ONCE)),
        "cohere": lambda: CohereModel("m", provider=CohereProvider(address, KEY, **ONCE)),
        "bedrock": lambda: BedrockConverseModel(
            "m",
            provider=BedrockProvider(
                base_url=address, aws_access_key_id="AKIA", aws_secret_access_key=KEY, region_name="eu-west-1", **ONCE
            ),
        ),
    }


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every logger at its most talkative."""
    with caplog.at_level(logging.DEBUG):
        for name in ("syncagent", "urllib3", "requests"):
            caplog.set_level(logging.DEBUG, name)
        yield caplog


def shown_of(error: BaseException) -> dict[str, str]:
    """Every way in which an error is shown or stored."""
    return {
        "str": str(error),
        "repr": repr(error),
        "args": repr(error.args),
        "attributes": repr({name: value for name, value in vars(error).items() if name != "messages"}),
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
        "pickle": pickle.dumps(error).decode("latin-1"),
        "again": repr(pickle.loads(pickle.dumps(error))),
    }


def frames_of_ours(error: BaseException) -> str:
    """What an error tracker prints of the package's frames: the reprs of their variables."""
    found = []
    todo: list[Any] = [error]
    while todo:
        link = todo.pop()
        if link is not None:
            todo += [link.__cause__, None if link.__suppress_context__ else link.__context__]
            for frame, _ in traceback.walk_tb(link.__traceback__):
                if f"{os.sep}syncagent{os.sep}" in frame.f_code.co_filename:
                    found += [f"{frame.f_code.co_name} {name}={value!r}" for name, value in frame.f_locals.items()]
    return "\n".join(found)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wrong", list(WRONG))
@pytest.mark.parametrize("wire", list(models("")))
def test_a_key_is_shown_nowhere(
    wire: str,
    wrong: str,
    streamed: bool,
    no_wait: list[float],
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    """Refused, broken, silent or unreadable, with a server that repeats it: it is in none of what is left behind."""
    with FaultServer(WRONG[wrong]) as server:
        model = models(server.origin)[wire]()
        agent: Agent[None, str] = Agent(model, system_prompt=SYSTEM)
        with pytest.raises(AgentRunError) as caught:
            if streamed:
                with agent.run_stream(PROMPT, model_settings={"timeout": (5, 0.1)}) as result:
                    result.get_data()
            else:
                agent.run_sync(PROMPT, model_settings={"timeout": (5, 0.1)})
        model.provider.transport.close()
    error = caught.value
    for where, text in shown_of(error).items():
        assert KEY not in text, where
    leaks = [line[:200] for line in frames_of_ours(error).splitlines() if KEY in line]
    assert leaks == []
    assert KEY not in everything_logged.text
    assert KEY not in repr([agent, model, model.provider, model.provider.transport, model.wire])
    assert error.messages is not None
    assert KEY.encode() not in ModelMessagesTypeAdapter.dump_json(error.messages)
    for where in ("str", "repr", "args"):
        if not isinstance(error, ModelHTTPError):  # the provider's own words may say what they like
            assert PROMPT not in shown_of(error)[where]
        assert SYSTEM not in shown_of(error)[where]
    assert PROMPT not in everything_logged.text and SYSTEM not in everything_logged.text


@pytest.mark.parametrize("name", sorted(name for name, row in ROWS.items() if row.needs_key and row.key_variable))
def test_a_key_of_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each provider: neither its repr nor an error of its check shows what the variable holds."""
    from syncagent.providers.base import provider_class

    row = ROWS[name]
    assert row.key_variable is not None
    monkeypatch.setenv(row.key_variable, f"{KEY}\nsecond line")
    if row.base_url is None and row.base_url_variable is not None:
        monkeypatch.setenv(row.base_url_variable, "https://api.example.com")
    try:
        provider = provider_class(name)()
        assert KEY not in repr(provider)
        provider.check("a-model")
    except UserError as error:
        assert KEY not in str(error) and KEY not in repr(error)


def test_the_content_of_errors_can_be_switched_off(
    monkeypatch: pytest.MonkeyPatch, no_wait: list[float]
) -> None:
    """``SYNCAGENT_LOG_CONTENT=0``: not even the provider's own words, of refusals and of what cannot be read."""
    words = "you said: " + PROMPT
    monkeypatch.setenv("SYNCAGENT_LOG_CONTENT", "0")
    for scenario in (
        fault.say("400 Bad", json.dumps({"error": {"message": words}}).encode()),
        fault.say("200 OK", words.encode()),
        fault.say("200 OK", words.encode(), "Content-Type: text/html"),
    ):
        for dialect in DIALECTS.values():
            with FaultServer(scenario) as server:
                model: Any = dialect.model(server.origin, api_key=KEY, **ONCE)
                with pytest.raises(AgentRunError) as caught:
                    Agent(model).run_sync(PROMPT)
                model.provider.transport.close()
            for text in (str(caught.value), repr(caught.value), repr(caught.value.args)):
                assert PROMPT not in text


def test_a_session_of_the_callers_stays_as_it_was() -> None:
    """No key is put on it, neither as auth nor as a header nor as a cookie."""
    with requests.Session() as session:
        headers = dict(session.headers)
        with FaultServer(fault.say("200 OK", OPENAI.answer("Hey."), "Set-Cookie: a=1")) as server:
            model: Any = OPENAI.model(server.origin, api_key=KEY, session=session)
            assert Agent(model).run_sync(PROMPT).data == "Hey."
            assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert (dict(session.headers), session.auth) == (headers, None)
        assert KEY not in repr([session, vars(session), model.provider.transport])


def test_our_own_session_holds_no_key() -> None:
    """What all users of a process share knows none of them."""
    with FaultServer(fault.say("200 OK", OPENAI.answer("Hey."), "Set-Cookie: a=1")) as server:
        model: Any = OPENAI.model(server.origin, api_key=KEY)
        Agent(model).run_sync(PROMPT)
        own = model.provider.transport.session()
        assert (dict(own._session.headers), own._session.auth, list(own._session.cookies)) == ({}, None, [])
        assert KEY not in repr([vars(own), vars(own._session)])
        model.provider.transport.close()


@pytest.mark.parametrize("address", [f"https://user:{KEY}@api.example.com/v1", f"https://{KEY}@api.example.com"])
def test_credentials_in_addresses_are_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an argument and from the environment, without being repeated."""
    with pytest.raises(UserError) as caught:
        OpenAIProvider(address, "k")
    assert KEY not in str(caught.value)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(UserError) as caught:
        OpenAIProvider(api_key="k").check("m")
    assert KEY not in str(caught.value)


def test_results_and_runs_show_no_prompt() -> None:
    """Reprs of what a program prints in passing."""
    with FaultServer(fault.say("200 OK", OPENAI.answer("Hey."))) as server:
        model: Any = OPENAI.model(server.origin, api_key=KEY)
        agent: Agent[None, str] = Agent(model, system_prompt=SYSTEM)
        with agent.iter(PROMPT) as run:
            for _ in run:
                continue
        assert run.result is not None
        assert PROMPT not in repr(run) + repr(agent)
        assert KEY not in repr(run.result) + run.result.to_json().decode()
        model.provider.transport.close()


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_no_pickle_holds_a_key(used: bool) -> None:
    """Providers, and what holds one, are not pickled, used or not; a copy is the provider itself."""
    provider = OpenAIProvider("http://127.0.0.1:9/v1", KEY)
    bedrock = BedrockProvider(aws_access_key_id="AKIA", aws_secret_access_key=KEY, region_name="eu-west-1")
    model = OpenAIModel("m", provider=provider)
    if used:
        assert provider.transport is not None
    for holder in (provider, bedrock, model, Agent(model)):
        with pytest.raises(TypeError, match="Provider is not pickled: it may hold a key"):
            pickle.dumps(holder)
    assert copy.copy(provider) is copy.deepcopy(provider) is copy.deepcopy(model).provider is provider
