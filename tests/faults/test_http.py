"""Faults of HTTP that one line of the catalogue cannot show: another origin, an excerpt, what is kept."""

from __future__ import annotations

import json
import re
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from syncagent import Agent
from syncagent.exceptions import (
    AgentRunError,
    ModelConnectionError,
    ModelHTTPError,
    ModelOverloadedError,
    ModelRateLimitError,
    ModelResponseError,
)
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault
from tests.faultserver.catalog import FAULTS, TEXT
from tests.faultserver.dialects import DIALECTS, OPENAI, Dialect
from tests.faultserver.status_faults import MESSAGE, redirected
from tests.transport.conftest import KEY, leak_free

from .playing import PROMPT

__all__ = ["leak_free"]

both = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def ask(agent: Agent[None, str], streamed: bool = False, **options: Any) -> str:
    """What the agent answers, in one of two ways."""
    if not streamed:
        return str(agent.run_sync(PROMPT, **options).data)
    with agent.run_stream(PROMPT, **options) as result:
        return str(result.get_data())


@pytest.fixture
def agents(leak_free: None) -> Any:
    """Makes agents whose connections are closed at the end."""
    made: list[Any] = []

    def make(dialect: Dialect, address: str, **settings: Any) -> Agent[None, str]:
        made.append(dialect.model(address, api_key=KEY, **settings))
        return Agent(made[-1])

    yield make
    for model in made:
        model.provider.transport.close()


Agents = Callable[..., Agent[None, str]]


@both
@ways
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_another_origin_sees_nothing(agents: Agents, dialect: Dialect, streamed: bool, status: str) -> None:
    """No redirect is followed: no connection, and with it no key and no prompt, reaches the other address."""
    with FaultServer(fault.say("200 OK", dialect.answer("Not for you."))) as other:
        with FaultServer(redirected(f"{other.origin}{dialect.path}", status)) as server:
            with pytest.raises(ModelHTTPError, match="Redirects are not followed") as caught:
                ask(agents(dialect, server.origin), streamed)
    assert (caught.value.status_code, caught.value.attempts, caught.value.retryable) == (int(status[:3]), 1, False)
    assert (len(server.requests), other.connections) == (1, 0)


@both
@pytest.mark.parametrize("name", ["half-json", "html", "no-utf-8", "huge-number", "deep"])
def test_unreadable_answers_are_quoted(agents: Agents, dialect: Dialect, name: str) -> None:
    """The error holds the answer's beginning, at most 200 characters of it, and no key that the answer repeats."""
    with FaultServer(FAULTS[name].serve(dialect)) as server, pytest.raises(ModelResponseError) as caught:
        ask(agents(dialect, server.origin))
    text = str(caught.value)
    begin = {"html": "<html>", "deep": "[[[["}.get(name, '{"id"')
    quoted = text[text.index(begin) :]
    assert len(quoted) <= 204  # with the quote's end and the dots


@both
@ways
def test_a_repeated_key_is_hidden(agents: Agents, dialect: Dialect, streamed: bool) -> None:
    """A server that says the key in its error does not get it into ours."""
    refusal = fault.say("401 Unauthorized", dialect.error(f"{MESSAGE} Wrong key: {KEY}", "authentication_error"))
    with FaultServer(refusal) as server, pytest.raises(ModelHTTPError, match=re.escape(MESSAGE)) as caught:
        ask(agents(dialect, server.origin), streamed)
    error = caught.value
    assert KEY not in f"{error!s} {error!r} {error.args} {error.body} {error.__dict__}"


@both
@ways
def test_a_body_is_left_out_where_the_environment_says_so(
    agents: Agents, dialect: Dialect, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``SYNCAGENT_LOG_CONTENT=0``: the provider's words stand in no error's text."""
    monkeypatch.setenv("SYNCAGENT_LOG_CONTENT", "0")
    for name in ("status-400", "half-json", "server-error"):
        with FaultServer(FAULTS[name].serve(dialect)) as server, pytest.raises(AgentRunError) as caught:
            ask(agents(dialect, server.origin, retry_policy=None), streamed, deadline=0.4)
        assert MESSAGE not in str(caught.value)
        assert '"id"' not in str(caught.value)


@ways
def test_tries_are_one_request(agents: Agents, streamed: bool, no_wait: list[float]) -> None:
    """Whatever broke the tries before, the body is the same to the byte, and so is the idempotency key; the next run
    has another."""
    oops, right = fault.say("500 Oops", b"{}"), fault.say("200 OK", OPENAI.answer(TEXT))
    scenario = fault.in_turn(fault.reset, oops, right, fault.fin)
    with FaultServer(scenario) as server:
        agent = agents(OPENAI, server.origin)
        assert ask(agent, streamed) == TEXT
        with pytest.raises(ModelConnectionError):
            ask(agent, streamed)
    first, second = server.requests[:3], server.requests[3:]
    assert len({request.body for request in first}) == 1
    keys = [{request.headers["idempotency-key"] for request in run} for run in (first, second)]
    assert [len(found) for found in keys] == [1, 1]
    assert keys[0].isdisjoint(keys[1])
    assert PROMPT in json.loads(first[0].body)["messages"][-1]["content"]


@both
def test_a_real_wait(agents: Agents, dialect: Dialect) -> None:
    """What the server asks for passes on the clock, not only in the book."""
    refusal = fault.say("429 Slow", dialect.error(MESSAGE, "rate_limit_error"), "retry-after-ms: 300")
    with FaultServer(fault.in_turn(refusal, fault.say("200 OK", dialect.answer(TEXT)))) as server:
        began = time.monotonic()
        assert ask(agents(dialect, server.origin)) == TEXT
        assert 0.3 <= time.monotonic() - began < 2


@both
@ways
def test_a_wait_that_the_deadline_forbids(agents: Agents, dialect: Dialect, streamed: bool) -> None:
    """Where the server's word is longer than the run, its error comes at once, with what to tell the browser."""
    refusal = fault.say("503 Busy", dialect.error(MESSAGE, "overloaded_error"), "Retry-After: 7")
    with FaultServer(refusal) as server:
        began = time.monotonic()
        with pytest.raises(ModelOverloadedError) as caught:
            ask(agents(dialect, server.origin), streamed, deadline=3)
        assert time.monotonic() - began < 1
    assert (caught.value.retry_after, caught.value.retryable, len(server.requests)) == (7, True, 1)


@pytest.mark.parametrize("value", ["inf", "1e400", "1e3", "0x10", "٣", "9" * 400, "Sun, 06 Nov 99999 08:49:37 GMT", ""])
def test_retry_after_that_is_no_number(agents: Agents, value: str, no_wait: list[float]) -> None:
    """The policy's own waits are made, or none where it is absurdly far; the error is the 429's."""
    refusal = fault.raw(
        b"HTTP/1.1 429 Slow\r\nContent-Length: 2\r\nRetry-After: %b\r\n\r\n{}" % value.encode(), then="keep"
    )
    with FaultServer(refusal) as server, pytest.raises(ModelRateLimitError):
        ask(agents(OPENAI, server.origin))
    assert all(0 < wait <= 1 for wait in no_wait)
    assert len(server.requests) == len(no_wait) + 1 in (1, 3)


@both
def test_a_cookie_is_nobodys(agents: Agents, dialect: Dialect, no_wait: list[float]) -> None:
    """What an answer, an error or a stream sets is not sent in another try, another run or by another agent."""
    cookie = "Set-Cookie: session=1; Path=/; Domain=127.0.0.1"
    scenario = fault.in_turn(
        fault.say("500 Oops", b"{}", cookie), fault.say("200 OK", dialect.answer(TEXT), cookie, "Set-Cookie2: x=1")
    )
    with FaultServer(scenario) as server:
        first, second = agents(dialect, server.origin), agents(dialect, server.origin)
        for agent, streamed in ((first, False), (first, True), (second, False)):
            assert ask(agent, streamed) == TEXT
    assert len(server.requests) == 4
    assert all("cookie" not in request.headers and "cookie2" not in request.headers for request in server.requests)


@both
def test_a_foreign_answer_is_nobodys(agents: Agents, dialect: Dialect) -> None:
    """An answer that a server sends before it was asked is not taken for the next run's."""

    def scenario(peer: Peer, request: Request) -> None:
        prompt = re.findall(rb"question \d+", request.body)[-1].decode()
        for text in (f"Of {prompt}.", "Of somebody else."):
            peer.answer(dialect.answer(text))
            peer.pause(0.01)
        stray.set()

    stray = threading.Event()
    with FaultServer(scenario) as server:
        agent = agents(dialect, server.origin)
        for number in range(3):
            # Once it is asked nobody can tell: the stray answer has to come first.
            assert agent.run_sync(f"question {number}").data == f"Of question {number}."
            assert stray.wait(10)
            stray.clear()
    assert server.connections == 3


@ways
def test_a_bomb_stays_small(agents: Agents, streamed: bool) -> None:
    """JSON that grows past its limit is stopped there, also where a stream was asked for: nothing unpacks it whole."""
    with FaultServer(fault.bomb) as server:
        agent = agents(OPENAI, server.origin)
        with pytest.raises(ModelResponseError, match="larger than allowed"):  # imports and buffers are not measured
            ask(agent, streamed)
        tracemalloc.start()
        try:
            with pytest.raises(ModelResponseError, match="larger than allowed"):
                ask(agent, streamed)
            assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
        finally:
            tracemalloc.stop()
