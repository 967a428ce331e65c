"""What was tried is counted and shown: requests that may have been billed, the number of tries, lines in the log."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from syncagent import Agent, Deadline, RetryPolicy
from syncagent.direct import model_request
from syncagent.embed import embed
from syncagent.exceptions import AgentRunError, FallbackExceptionGroup, ModelTimeoutError
from syncagent.messages import ModelRequest, UserPromptPart
from syncagent.models.fallback import FallbackModel
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
from syncagent.transport import HttpRequest, Transport
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault
from tests.faultserver.chat import HEAD, chunk, finish, text

Ask = Callable[..., HttpRequest]
ANSWER = fault.say("200 OK", b'{"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]}')
KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def model_of(leak_free: None) -> Iterator[Callable[..., OpenAIModel]]:
    """Makes models of a server; their connections are closed at the end."""
    made: list[OpenAIModel] = []

    def make(server: FaultServer, **settings: Any) -> OpenAIModel:
        provider = OpenAIProvider(f"{server.origin}/v1", KEY)
        made.append(OpenAIModel("gpt-4o", provider=provider, settings=settings or None))  # type: ignore[arg-type] # any
        return made[-1]

    yield make
    for model in made:
        model.provider.transport.close()


def cut(peer: Peer, request: Request) -> None:
    """Half an answer, and the end."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    peer.close()


@pytest.mark.parametrize(
    ("first", "lost"),
    [
        (fault.fin, 1),
        (fault.reset, 1),
        (cut, 1),
        (fault.say("503 Unavailable"), 0),
        (fault.say("429 Slow down"), 0),
    ],
    ids=["fin", "reset", "cut", "503", "429"],
)
def test_tries_before_a_success(
    model_of: Callable[..., OpenAIModel], no_wait: list[float], first: Any, lost: int
) -> None:
    """What went out and was not answered whole is counted; what was refused is not."""
    with FaultServer(fault.in_turn(first, first, ANSWER)) as server:
        agent = Agent(model_of(server))
        result = agent.run_sync("Hi")
        assert (result.data, len(server.requests)) == ("Hey.", 3)
        response = result.all_messages()[-1]
        assert response.attempts == 3  # type: ignore[union-attr] # a response
        assert (result.usage().details or {}).get("unanswered_requests", 0) == 2 * lost
        assert result.usage().requests == 1


def test_refused_connections_are_free(model_of: Callable[..., OpenAIModel], no_wait: list[float]) -> None:
    """Where nobody listens, nothing went out."""
    with FaultServer(fault.ok) as server:
        agent = Agent(model_of(server))
    with pytest.raises(AgentRunError) as caught:
        agent.run_sync("Hi")
    assert caught.value.unanswered_requests == 0
    assert caught.value.usage is not None and caught.value.usage.details is None


def test_a_run_that_fails_says_it(model_of: Callable[..., OpenAIModel], no_wait: list[float]) -> None:
    """In the error, and in its usage; both survive pickling."""
    with FaultServer(fault.fin) as server:
        with pytest.raises(AgentRunError) as caught:
            Agent(model_of(server)).run_sync("Hi")
        assert len(server.requests) == 3
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.unanswered_requests, error.usage.details, error.usage.requests) == (
        *(3, {"unanswered_requests": 3}, 0),
    )


def test_a_read_time_out(model_of: Callable[..., OpenAIModel]) -> None:
    """It is not tried again, since the work may be done; it is counted."""
    with FaultServer(fault.silent) as server:
        with pytest.raises(ModelTimeoutError) as caught:
            Agent(model_of(server, timeout=(1, 0.1))).run_sync("Hi")
        assert len(server.requests) == 1
    assert (caught.value.unanswered_requests, caught.value.attempts) == (1, 1)


@pytest.mark.parametrize("how", ["deadline", "cancel"])
def test_runs_that_stop_while_they_wait(model_of: Callable[..., OpenAIModel], how: str) -> None:
    """The provider may go on; nobody will read what it says."""
    deadline = Deadline(0.3) if how == "deadline" else Deadline()
    with FaultServer(fault.silent) as server:
        if how == "cancel":
            threading.Timer(0.2, deadline.cancel).start()
        with pytest.raises(AgentRunError) as caught:
            Agent(model_of(server)).run_sync("Hi", deadline=deadline)
    assert caught.value.usage is not None
    assert caught.value.usage.details == {"unanswered_requests": 1}


def test_streams_are_counted_once(model_of: Callable[..., OpenAIModel], no_wait: list[float]) -> None:
    """A try before the first byte is unanswered; a stream that began is a request, however it ends."""

    def broken(peer: Peer, request: Request) -> None:
        peer.send(HEAD + chunk(text("half")))
        peer.close()

    def whole(peer: Peer, request: Request) -> None:
        peer.send(HEAD + chunk(text("all") + finish()) + b"0\r\n\r\n")

    with FaultServer(fault.in_turn(fault.fin, whole)) as server, Agent(model_of(server)).run_stream("Hi") as result:
        assert result.get_data() == "all"
        assert (result.usage().requests, result.usage().details) == (1, {"unanswered_requests": 1})
    with FaultServer(broken) as server:
        agent = Agent(model_of(server))
        with pytest.raises(AgentRunError) as caught, agent.run_stream("Hi") as result:
            result.get_data()
    assert caught.value.usage is not None
    assert (caught.value.usage.requests, caught.value.usage.details) == (1, None)


def test_fallbacks_lose_nothing(model_of: Callable[..., OpenAIModel], no_wait: list[float]) -> None:
    """What the first model lost stands in the answer of the second, and in the group where both fail."""
    with FaultServer(fault.fin) as dead, FaultServer(ANSWER) as alive:
        result = Agent(FallbackModel(model_of(dead), model_of(alive))).run_sync("Hi")
        assert result.usage().details == {"unanswered_requests": 3}
        with pytest.raises(FallbackExceptionGroup) as caught:
            Agent(FallbackModel(model_of(dead), model_of(dead))).run_sync("Hi")
    assert caught.value.unanswered_requests == 6


def test_beside_an_agent(model_of: Callable[..., OpenAIModel], no_wait: list[float]) -> None:
    """A single request and vectors count as well."""
    vectors = fault.say("200 OK", b'{"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 1}}')
    with FaultServer(fault.in_turn(fault.fin, ANSWER)) as server:
        response = model_request(model_of(server), [ModelRequest([UserPromptPart("Hi")])])
        assert response.usage.details == {"unanswered_requests": 1}
        assert response.attempts == 2
    with FaultServer(fault.in_turn(fault.fin, vectors)) as server:
        found = embed(["Hi"], "openai:text-embedding-3-small", provider=model_of(server).provider)
        assert (found.usage.details or {}).get("unanswered_requests") == 1


def test_chunks_of_vectors_before_one_that_fails(
    model_of: Callable[..., OpenAIModel], no_wait: list[float]
) -> None:
    """What was lost for the texts that came first is on the error of those that did not come."""
    vectors = b'{"data": [' + b",".join(b'{"index": %d, "embedding": [1.0]}' % i for i in range(2048)) + b"]}"
    with FaultServer(fault.in_turn(fault.fin, fault.say("200 OK", vectors, "Connection: close"), fault.fin)) as server:
        with pytest.raises(AgentRunError) as caught:
            embed(["Hi"] * 2049, "openai:text-embedding-3-small", provider=model_of(server).provider)
        assert len(server.requests) == 5
    assert caught.value.unanswered_requests == 4


def test_one_key_for_all_tries(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """A server that knows idempotency keys sees that three tries are one request."""
    with FaultServer(fault.in_turn(fault.fin, fault.reset, fault.ok)) as server:
        transport.send(ask(server.url), Deadline())
        assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
        assert len({request.body for request in server.requests}) == 1


def test_the_log(
    transport: Transport, ask: Ask, no_wait: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG each try has a line before and one after, and none of them a key, a query or a body."""
    caplog.set_level(logging.DEBUG)
    refusal = fault.say("503 Unavailable", b'{"error": "busy"}', "X-Request-Id: req-1")
    success = fault.say("200 OK", b'{"answer": "secret"}', "X-Request-Id: req-2")
    with FaultServer(fault.in_turn(fault.fin, refusal, success)) as server:
        transport.send(ask(server.url + "?token=" + KEY, body=b'{"question": "private"}'), Deadline())
    lines = [record.getMessage() for record in caplog.records if record.name == "syncagent.transport"]
    where = f"127.0.0.1:{server.port}/v1/chat"
    assert [line.partition(",")[0] for line in lines if "next in" not in line] == [
        f"Try 1: POST {where}",
        "Try 1: ModelConnectionError",
        f"Try 2: POST {where}",
        "Try 2: ModelOverloadedError (status 503)",
        f"Try 3: POST {where}",
        "Try 3: status 200",
    ]
    assert sum("next in" in line for line in lines) == 2
    assert "request id req-1" in caplog.text and "request id req-2" in caplog.text
    assert not any(word in caplog.text for word in (KEY, "token", "question", "private", "busy", "secret"))


def test_no_retries_where_nobody_wants_them(transport: Transport, ask: Ask) -> None:
    """One try, and the error knows it."""
    with FaultServer(fault.fin) as server, pytest.raises(AgentRunError) as caught:
        transport.send(ask(server.url, retry_policy=RetryPolicy(max_retries=0)), Deadline())
    assert (caught.value.attempts, caught.value.unanswered_requests) == (1, 1)  # type: ignore[attr-defined] # one of a request
