"""What models, tools and callbacks do wrong in the middle of a run, with a server at the other end."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from syncagent import Agent, Deadline, DeadlineExceeded, ModelRetry, RunContext, UserError
from syncagent.exceptions import ContentFilterError, UnexpectedModelBehavior
from syncagent.messages import ModelMessage, ModelMessagesTypeAdapter
from syncagent.tools import ToolDefinition
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver.catalog import FAULTS, TEXT
from tests.faultserver.dialects import DIALECTS, Call, Dialect
from tests.transport.conftest import leak_free

__all__ = ["leak_free"]

CALL: Call = ("call_1", "look_up", '{"word": "canary"}')
BEFORE = ("prompt", "instructions", "processor", "prepare")
"""The callbacks that a run calls before it sends anything."""

both = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


class Broken(Exception):
    """What the callbacks of these tests raise."""


@contextmanager
def serving(dialect: Dialect, *calls: Call) -> Iterator[tuple[FaultServer, Any]]:
    """A server that calls tools until it has their answers; with a model that asks it."""

    def scenario(peer: Peer, request: Request) -> None:
        told = dialect.answers_in(json.loads(request.body))
        peer.answer(dialect.answer(TEXT) if told else dialect.calls(*(calls or (CALL,))))

    with FaultServer(scenario) as server:
        model: Any = dialect.model(server.origin, api_key="a key")
        try:
            yield server, model
        finally:
            model.provider.transport.close()


class Callbacks:
    """An agent with one callback of each kind; :meth:`at` is called by each with its name."""

    def __init__(self, model: Any) -> None:
        self.agent: Agent[None, str] = Agent(
            model, instructions=lambda: self._say("instructions"), history_processors=[self._process]
        )
        self.agent.system_prompt(lambda: self._say("prompt"))
        self.agent.tool_plain(prepare=self._prepare)(self.look_up)
        self.agent.result_validator(lambda data: self._valid(data))
        self.at: Any = lambda place: None

    def look_up(self, word: str) -> str:
        """The tool that is called."""
        return self._say("tool")

    def _say(self, place: str) -> str:
        self.at(place)
        return f"The {place}."

    def _process(self, messages: list[ModelMessage]) -> list[ModelMessage]:
        self.at("processor")
        return messages

    def _prepare(self, ctx: RunContext[None], definition: ToolDefinition) -> ToolDefinition:
        self.at("prepare")
        return definition

    def _valid(self, data: str) -> str:
        self.at("validator")
        return data


def raises(place: str, error: BaseException) -> Any:
    """Raises *error* where this place is called."""

    def at(called: str) -> None:
        if called == place:
            raise error

    return at


@both
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("error", [ValueError("mine"), KeyError("mine"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_a_tool_raises_is_the_callers(
    dialect: Dialect, threads: int, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """It comes as itself, with its traceback; nothing more is sent, arguments are not logged, the agent goes on."""
    caplog.set_level(logging.DEBUG, "syncagent")
    broken = [True]

    def look_up(word: str) -> str:
        """The tool that is called."""
        if broken[0]:
            raise error
        return word

    second = ("call_2", *CALL[1:])
    with serving(dialect, *[CALL, second][:threads]) as (server, model):
        agent: Agent[None, str] = Agent(model, tools=[look_up], parallel_tools=threads)
        with pytest.raises(type(error)) as caught:
            agent.run_sync("Hi")
        assert caught.value is error
        assert "look_up" in [entry.name for entry in caught.traceback]
        assert len(server.requests) == 1
        broken[0] = False
        assert agent.run_sync("Hi").data == TEXT
        assert server.requests[1].body == server.requests[0].body
    assert "canary" not in caplog.text


@both
def test_a_tool_that_wants_another_try(dialect: Dialect) -> None:
    """``ModelRetry`` is told to the model; one time too often ends the run."""

    def look_up(word: str) -> str:
        """The tool that is called."""
        raise ModelRetry("Another word, please.")

    with serving(dialect) as (server, model):
        assert Agent(model, tools=[look_up]).run_sync("Hi").data == TEXT
        (told,) = dialect.answers_in(server.bodies[1]).values()
        assert "Another word, please." in told
        with pytest.raises(UnexpectedModelBehavior, match="Tool exceeded max retries count of 0"):
            Agent(model, tools=[look_up], retries=0).run_sync("Hi")
        assert len(server.requests) == 3


@both
def test_an_agent_that_asks_itself(dialect: Dialect) -> None:
    """Runs inside runs end at 20, without waiting for connections that the outer ones hold; the agent goes on."""
    deep = [True]

    def look_up(word: str) -> str:
        """The tool that is called."""
        return agent.run_sync("Deeper").data if deep[0] else word

    with serving(dialect) as (server, model):
        agent: Agent[None, str] = Agent(model, tools=[look_up])
        with pytest.raises(UserError, match="20 deep"):
            agent.run_sync("Hi", deadline=15)
        assert len(server.requests) == 20
        deep[0] = False
        assert agent.run_sync("Hi").data == TEXT


@both
@pytest.mark.parametrize("place", [*BEFORE, "tool", "validator"])
def test_a_callback_that_raises(dialect: Dialect, place: str) -> None:
    """It comes as it is, nothing is sent after it, and the agent's next run is that of one that never failed."""
    error = Broken(place)
    with serving(dialect) as (server, model):
        callbacks = Callbacks(model)
        callbacks.at = raises(place, error)
        with pytest.raises(Broken) as caught:
            callbacks.agent.run_sync("Hi")
        assert caught.value is error
        sent = len(server.requests)
        assert sent == {"tool": 1, "validator": 2}.get(place, 0)
        callbacks.at = lambda place: None
        assert callbacks.agent.run_sync("Hi").data == TEXT
        assert Callbacks(model).agent.run_sync("Hi").data == TEXT
    again, fresh = server.bodies[sent : sent + 2], server.bodies[sent + 2 :]
    assert again == fresh


@both
def test_a_log_that_raises(dialect: Dialect) -> None:
    """A handler's exception is the program's own; what was under way is closed, and the agent goes on."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise Broken(record.name)

    logger, handler = logging.getLogger("syncagent"), Handler()
    with serving(dialect) as (_, model):
        callbacks = Callbacks(model)
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        try:
            with pytest.raises(Broken, match="syncagent"):
                callbacks.agent.run_sync("Hi")
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        assert callbacks.agent.run_sync("Hi").data == TEXT


@pytest.mark.parametrize("place", [*BEFORE, "tool", "validator"])
def test_a_callback_that_takes_too_long(place: str) -> None:
    """The deadline is looked at when it returns: no request follows, and the run ends at once."""
    deadline = Deadline(0.3)
    back: list[float] = []

    def at(called: str) -> None:
        if called == place:
            time.sleep((deadline.remaining() or 0.0) + 0.01)
            back.append(time.monotonic())

    with serving(DIALECTS["openai"]) as (server, model):
        callbacks = Callbacks(model)
        callbacks.at = at
        with pytest.raises(DeadlineExceeded) as caught:
            callbacks.agent.run_sync("Hi", deadline=deadline)
        assert time.monotonic() - back[0] < 0.25
        assert len(back) == 1
        assert len(server.requests) == {"tool": 1, "validator": 2}.get(place, 0)
        assert caught.value.messages is not None


@both
def test_text_that_is_no_text(dialect: Dialect) -> None:
    """A lone surrogate, NUL and control characters of a model go back to it as UTF-8, and the history reloads."""
    wild = "\ud800 \x00 \x1b[2J \u2028"
    call: Call = ("call_1", "look_up", json.dumps({"word": wild}))

    def look_up(word: str) -> str:
        """The tool that is called."""
        assert word.endswith("\u2028")
        return word

    with serving(dialect, call) as (server, model):
        result = Agent(model, tools=[look_up]).run_sync("Hi")
        body = server.requests[1].body.decode("utf-8")
    assert result.data == TEXT
    (told,) = dialect.answers_in(json.loads(body)).values()
    assert told in (wild, wild.replace("\ud800", "\ufffd"))
    written = ModelMessagesTypeAdapter.dump_json(result.all_messages())
    assert ModelMessagesTypeAdapter.dump_json(ModelMessagesTypeAdapter.validate_json(written)) == written


def test_a_refusal_keeps_its_words() -> None:
    """They stand in the last message of the error, where a program finds them."""
    dialect = DIALECTS["openai"]
    with FaultServer(FAULTS["refusal"].serve(dialect)) as server:
        model: Any = dialect.model(server.origin, api_key="a key")
        with pytest.raises(ContentFilterError) as caught:
            Agent(model).run_sync("Hi")
        model.provider.transport.close()
    last: Any = (caught.value.messages or [])[-1]
    assert last.provider_details["refusal"] == "No."
