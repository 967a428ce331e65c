"""Streams as their callers see them: events one by one, text as it comes, and whoever leaves early."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from syncagent import Agent
from syncagent.exceptions import AgentRunError, ModelAPIError, ModelConnectionError
from syncagent.messages import AgentRunResultEvent, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from tests.faultserver import FaultServer, Peer, Request, Scenario
from tests.faultserver.catalog import FAULTS, TEXT, Fault
from tests.faultserver.chat import HEAD, chunk
from tests.faultserver.dialects import DIALECTS, Dialect
from tests.faultserver.stream_faults import events
from tests.transport.conftest import leak_free, no_wait

__all__ = ["leak_free", "no_wait"]

both = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


@contextmanager
def asking(dialect: Dialect, scenario: Scenario) -> Iterator[tuple[Agent[None, str], FaultServer]]:
    """An agent that asks a server with this scenario."""
    with FaultServer(scenario) as server:
        model: Any = dialect.model(server.origin, api_key="a key")
        try:
            yield Agent(model), server
        finally:
            model.provider.transport.close()


def said(event: Any) -> str:
    """The text that an event brings."""
    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        return event.part.content
    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        return event.delta.content_delta
    return ""


@both
@pytest.mark.parametrize(
    "fault", [pytest.param(fault, id=fault.name) for fault in FAULTS.values() if fault.section == "Stream"]
)
def test_events_of_a_broken_stream(fault: Fault, dialect: Dialect, no_wait: list[float]) -> None:
    """The text once and then the result, or what came of it and then one typed error; nothing is sent in vain."""
    came: list[Any] = []
    with asking(dialect, fault.serve(dialect)) as (agent, server):
        stream = agent.run_stream_events("Hi", deadline=fault.deadline, model_settings=fault.settings or None)  # type: ignore[arg-type] # settings as data
        if fault.error is None:
            came.extend(stream)
            assert [event.result.data for event in came if isinstance(event, AgentRunResultEvent)] == [TEXT]
            assert isinstance(came[-1], AgentRunResultEvent)
        else:
            with pytest.raises(fault.error) as caught:
                for event in stream:
                    came.append(event)
            assert isinstance(caught.value, AgentRunError)
            assert not any(isinstance(event, AgentRunResultEvent) for event in came)
        assert len(server.requests) == fault.tries
    text = "".join(map(said, came))
    assert TEXT.startswith(text)
    if fault.error is None:
        assert text == TEXT
    elif text and isinstance(caught.value, ModelAPIError):
        partial = caught.value.partial
        assert partial is not None and partial.parts == [TextPart(text)]


@both
@pytest.mark.parametrize("chunked", [True, False])
def test_text_comes_at_once(dialect: Dialect, chunked: bool) -> None:
    """The first words are handed out while the server still thinks about the next, chunked or not."""
    first, rest = _halves(dialect)
    came: list[float] = []
    sent: list[float] = []

    def scenario(peer: Peer, request: Request) -> None:
        head = HEAD if chunked else HEAD.replace(b"Transfer-Encoding: chunked", b"Connection: close")
        peer.send(head + (chunk(first) if chunked else first))
        sent.append(time.monotonic())
        peer.pause(0.3)
        peer.send(chunk(rest) + b"0\r\n\r\n" if chunked else rest)
        if not chunked:
            peer.close()

    with asking(dialect, scenario) as (agent, _), agent.run_stream("Hi") as result:
        for _text in result.stream_text(delta=True, debounce_by=None):
            came.append(time.monotonic())
    assert came[0] - sent[0] < 0.2
    assert came[-1] - sent[0] >= 0.3


@both
@pytest.mark.parametrize("way", ["break", "raise", "events"])
def test_whoever_leaves_early(dialect: Dialect, way: str) -> None:
    """The connection is closed at once and not used again, and the agent goes on with the next question."""
    first, rest = _halves(dialect)
    left: list[float] = []

    def scenario(peer: Peer, request: Request) -> None:
        peer.send(HEAD + chunk(first))
        if not left:
            try:
                while peer.sock.recv(1):  # nothing comes before the end
                    pass
            except ConnectionError:
                pass  # it left with a reset, since there was something unread
            left.append(time.monotonic())
            peer.close()
        else:
            peer.send(chunk(rest) + b"0\r\n\r\n")

    with asking(dialect, scenario) as (agent, server):
        if way == "events":
            for event in agent.run_stream_events("Hi"):
                if said(event):
                    break
        else:
            try:
                with agent.run_stream("Hi") as result:
                    for _text in result.stream_text(delta=True, debounce_by=None):
                        if way == "raise":
                            raise ZeroDivisionError
                        break
            except ZeroDivisionError:
                assert way == "raise"
        gone = time.monotonic()
        while not left and time.monotonic() < gone + 3:
            time.sleep(0.005)
        assert left[0] < gone + 0.5
        with agent.run_stream("Hi") as result:
            assert result.get_data() == TEXT
        assert server.connections == 2


@both
def test_a_stream_in_a_stream(dialect: Dialect) -> None:
    """A tool's own stream breaks: its error is the tool's, and the outer run ends with it as it is."""
    broken = FAULTS["reset-in-stream"].serve(dialect)

    def look_up(word: str) -> str:
        """Ask somebody else."""
        with inner.run_stream(word) as result:
            return result.get_data()

    calls = dialect.calls(("call_1", "look_up", '{"word": "x"}'))
    with asking(dialect, broken) as (inner, _), FaultServer(lambda peer, request: peer.answer(calls)) as server:
        model: Any = dialect.model(server.origin, api_key="a key")
        outer: Agent[None, str] = Agent(model, tools=[look_up])
        with pytest.raises(ModelConnectionError) as caught:
            outer.run_sync("Hi")
        model.provider.transport.close()
        assert caught.value.partial is not None
        assert len(server.requests) == 1


def _halves(dialect: Dialect) -> tuple[bytes, bytes]:
    """The events up to the first text, and those after it."""
    found = events(dialect)
    place = next(index for index, event in enumerate(found) if TEXT[:9].encode() in event) + 1
    return b"".join(found[:place]), b"".join(found[place:])
