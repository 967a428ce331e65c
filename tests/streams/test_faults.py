"""What servers and networks do wrong in the middle of a stream, as a caller of ``run_stream`` sees it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from syncagent.exceptions import (
    AgentRunError,
    DeadlineExceeded,
    IncompleteStreamError,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelResponseError,
    ModelTimeoutError,
)
from syncagent.messages import TextPart
from tests.faultserver import FaultServer, Peer, Request, Scenario
from tests.faultserver import scenarios as fault
from tests.faultserver.chat import DONE, HEAD, chunk, event, finish, scenario_of, text, usage
from tests.streams.conftest import AgentOf

END = b"0\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
WORDS = "Grüße \u2028 aus \x85 Paris \U0001f600"
CANARY = "sk-canary-0123456789"


def answer(*pieces: bytes) -> Scenario:
    """A chunked answer with an end."""
    return scenario_of(HEAD, *map(chunk, pieces), END)


def whole(body: bytes) -> Scenario:
    """A close-delimited answer."""
    return scenario_of(PLAIN, body, "close")


BODY = text("Well, ", WORDS) + finish()


@pytest.mark.parametrize(
    "scenario",
    [
        answer(BODY),
        answer(*(BODY[index : index + 1] for index in range(len(BODY)))),
        answer(BODY.replace(b"\n", b"\r\n")),
        answer(BODY.replace(b"\n", b"\r")),
        answer(*(piece for line in BODY.split(b"\n")[:-1] for piece in (line + b"\r", b"\n"))),
        whole(BODY),
        whole(BODY[:-1]),
        whole(BODY[:-2]),
        answer(b"\xef\xbb\xbf", BODY),
        answer(b": ping\n\n", text("Well, "), b":\n\n: ping\n\n", text(WORDS), finish()),
        answer(BODY.replace(b"data: ", b"data:")),
        answer(BODY.replace(b'{"id"', b'{\ndata:  "id"')),
        answer(b"event: more\nid: 3\nretry: 5\nfoo: bar\n", BODY, b"event: end\n\n"),
        answer(b'data: {"choices": []}\n\n', text("Well, "), event({"content": None}), text(WORDS), finish()),
        answer(text("Well, "), b'data: {"choices": null}\n\n', text(WORDS, ""), usage(3, 4), finish()),
        answer(text("Well, ", WORDS), event({}, "stop")),
        answer(text("Well, ", WORDS), DONE),
        answer(text("Well, ", WORDS), event({}, "stop"), finish()),
    ],
)
def test_streams_that_are_right(agent_of: AgentOf, scenario: Scenario) -> None:
    """However the bytes are cut and dressed, the text is the same, once, and the run is over."""
    with FaultServer(scenario) as server, agent_of(server).run_stream("Hello") as result:
        assert "".join(result.stream_text(delta=True, debounce_by=None)) == "Well, " + WORDS
        assert result.is_complete
    assert len(server.requests) == 1


BROKEN = [
    ("cut by a reset", scenario_of(HEAD, chunk(text("Well, ")), 0.05, "reset"), ModelConnectionError),
    ("cut by an end", scenario_of(HEAD, chunk(text("Well, ")), "close"), ModelConnectionError),
    ("cut inside a chunk", scenario_of(HEAD, chunk(text("Well, ")), b"ff\r\nda", "close"), ModelConnectionError),
    ("no chunk", scenario_of(HEAD, chunk(text("Well, ")), b"zz\r\n", 0.2), ModelConnectionError),
    ("a clean end", answer(text("Well, ")), IncompleteStreamError),
    ("a clean end, not chunked", whole(text("Well, ")), IncompleteStreamError),
    ("a clean end inside an event", whole(text("Well, ") + b'data: {"choices": [{"del'), IncompleteStreamError),
    ("an error object", answer(text("Well, "), b'data: {"error": {"message": "overloaded"}}\n\n'), ModelResponseError),
    ("an error event", answer(text("Well, "), b'event: error\ndata: {"message": "no"}\n\n'), ModelResponseError),
    ("no JSON", answer(text("Well, "), b"data: {nonsense\n\n", text("never")), ModelResponseError),
    ("another shape", answer(text("Well, "), b'data: {"choices": [7]}\n\n'), ModelResponseError),
    ("an endless line", scenario_of(HEAD, chunk(text("Well, ")), *[chunk(b"x" * 65536)] * 20), ModelResponseError),
    (
        "gzip that is none",
        scenario_of(PLAIN[:-2] + b"Content-Encoding: gzip\r\n\r\nno gzip", "close"),
        ModelResponseError,
    ),
]


@pytest.mark.parametrize(("scenario", "error_class"), [pytest.param(*row[1:], id=row[0]) for row in BROKEN])
def test_streams_that_break(agent_of: AgentOf, scenario: Scenario, error_class: type[ModelAPIError]) -> None:
    """One typed error after the text that came; it carries that text and the run, and nothing is sent again."""
    came = ""
    with FaultServer(scenario) as server:
        with pytest.raises(error_class) as caught, agent_of(server).run_stream("Hello", deadline=15) as result:
            for piece in result.stream_text(delta=True, debounce_by=None):
                came += piece
    error = caught.value
    assert type(error) is error_class
    assert len(server.requests) == 1
    assert error.attempts == 1
    assert CANARY not in str(error)
    assert len(error.messages or []) == 1
    assert error.usage is not None
    assert error.usage.requests == 1
    assert came in ("", "Well, ")
    if came:
        assert error.partial is not None
        assert error.partial.parts == [TextPart("Well, ")]


@pytest.mark.parametrize("scenario", [BROKEN[0][1], BROKEN[4][1]])
def test_a_cut_answer_may_be_accepted(agent_of: AgentOf, scenario: Scenario) -> None:
    """``on_incomplete="accept"`` takes what came, and marks it."""
    with FaultServer(scenario) as server:
        agent = agent_of(server, model_settings={"on_incomplete": "accept"})
        with agent.run_stream("Hello") as result:
            assert list(result.stream_text(debounce_by=None)) == ["Well, "]
            last: Any = result.all_messages()[-1]
    assert last.provider_details["incomplete"] is True


@pytest.mark.parametrize(
    ("first", "tries"),
    [(fault.reset, 2), (fault.fin, 2), (fault.say("503 Busy", b"", "retry-after-ms: 1"), 2)],
)
def test_before_the_first_delta(agent_of: AgentOf, first: Scenario, tries: int) -> None:
    """Until the answer begins a stream is tried again like any other request."""
    with FaultServer(fault.in_turn(first, answer(BODY))) as server, agent_of(server).run_stream("Hello") as result:
        assert result.get_data() == "Well, " + WORDS
    assert len(server.requests) == tries


@pytest.mark.parametrize(
    ("scenario", "error_class"),
    [
        (fault.say("200 OK", b"<html>Sign in</html>", "Content-Type: text/html"), ModelResponseError),
        (fault.say("200 OK", b'{"error": {"message": "no"}}'), ModelResponseError),
        (fault.say("200 OK", b'{"choices": ['), ModelResponseError),
        (fault.say("200 OK", b"", "Content-Type: text/event-stream"), IncompleteStreamError),
        (fault.say("400 Bad Request"), ModelHTTPError),
    ],
)
def test_what_is_no_stream(agent_of: AgentOf, scenario: Scenario, error_class: type[ModelAPIError]) -> None:
    """HTML, an error, half a JSON or nothing in a 200 is a typed error, never an empty success."""
    with FaultServer(scenario) as server, pytest.raises(error_class) as caught:
        with agent_of(server).run_stream("Hello"):
            pass
    assert type(caught.value) is error_class


def test_a_whole_answer_to_a_stream(agent_of: AgentOf) -> None:
    """A server that answers in one piece is understood: its text is one delta."""
    body = fault.as_json({"choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}]})
    with FaultServer(fault.say("200 OK", body)) as server, agent_of(server).run_stream("Hello") as result:
        assert list(result.stream_text(delta=True)) == ["Yes."]


def pings(peer: Peer, request: Request) -> None:
    """Comments for ever."""
    peer.send(HEAD + chunk(text("Well, ")))
    while not peer.server.stopping.is_set():
        peer.send(chunk(b": ping\n\n"))
        peer.pause(0.02)


def drip(peer: Peer, request: Request) -> None:
    """An event, a byte at a time."""
    peer.send(HEAD)
    for byte in text("x" * 1000):
        if peer.server.stopping.is_set():
            break
        peer.send(chunk(bytes([byte])))
        peer.pause(0.02)


@pytest.mark.parametrize("debounce_by", [None, 0.1])
@pytest.mark.parametrize("scenario", [pings, drip, scenario_of(HEAD, chunk(text("Well, ")), "hang")])
def test_the_deadline_holds(agent_of: AgentOf, scenario: Scenario, debounce_by: Any) -> None:
    """Endless pings, a byte now and then, and silence end at the deadline."""
    with FaultServer(scenario) as server:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            with agent_of(server).run_stream("Hello", deadline=0.6) as result:
                list(result.stream_text(debounce_by=debounce_by))
        assert 0.55 < time.monotonic() - began < 0.9
    assert caught.value.messages is not None


@pytest.mark.parametrize("heartbeat", [None, 0.1])
def test_silence_is_a_time_out(agent_of: AgentOf, heartbeat: Any) -> None:
    """The read time-out holds between the bytes of a body, heartbeats or not."""
    with FaultServer(scenario_of(HEAD, chunk(text("Well, ")), "hang")) as server:
        agent = agent_of(server, model_settings={"timeout": 0.5})
        began = time.monotonic()
        with pytest.raises(ModelTimeoutError) as caught:
            for _ in agent.run_stream_events("Hello", heartbeat=heartbeat):
                continue
        assert 0.4 < time.monotonic() - began < 0.9
    assert caught.value.partial is not None


def endless(peer: Peer, request: Request) -> None:
    """Words for ever."""
    peer.send(HEAD)
    while not peer.server.stopping.is_set():
        peer.send(chunk(text("word ")))
        peer.pause(0.01)


@pytest.mark.parametrize("way", ["break", "raise", "close", "events"])
def test_leaving_closes_the_socket(agent_of: AgentOf, way: str) -> None:
    """Whoever stops early closes the connection at once, and it is not used again."""
    with FaultServer(endless) as server:
        agent = agent_of(server)
        for _ in range(2):
            if way == "events":
                for event in agent.run_stream_events("Hello"):
                    if event.event_kind == "part_delta":
                        break
            else:
                try:
                    with agent.run_stream("Hello") as result:
                        for _ in result.stream_text():
                            if way == "raise":
                                raise ZeroDivisionError
                            if way == "close":
                                result.close()
                            break
                except ZeroDivisionError:
                    pass
            began = time.monotonic()
            while server._peers and time.monotonic() < began + 3:
                time.sleep(0.01)
            assert time.monotonic() - began < 0.5
    assert server.connections == 2


def test_a_connection_is_used_again(agent_of: AgentOf) -> None:
    """A stream that was read to its end gives its connection back; one that never ends its body is let go."""
    with FaultServer(answer(BODY)) as server:
        agent = agent_of(server)
        for _ in range(3):
            with agent.run_stream("Hello") as result:
                result.get_data()
        assert server.connections == 1
    with FaultServer(scenario_of(HEAD, chunk(BODY), "hang")) as server:
        began = time.monotonic()
        with agent_of(server).run_stream("Hello") as result:
            assert result.get_data() == "Well, " + WORDS
        assert time.monotonic() - began < 1


def test_errors_that_are_not_the_models_have_the_run(agent_of: AgentOf) -> None:
    """A broken answer after tools ran carries the messages of all steps."""
    call = {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": "{}"}}]}
    scenario = fault.in_turn(answer(event(call), finish("tool_calls")), answer(text("Well, ")))
    with FaultServer(scenario) as server:
        agent = agent_of(server)
        agent.tool_plain(lambda: "seen", name="look")
        with pytest.raises(AgentRunError) as caught, agent.run_stream("Hello") as result:
            result.get_data()
    assert len(caught.value.messages or []) == 3
