"""Promptness, heartbeats and stopping of streams over real sockets."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from syncagent import Agent, Deadline
from syncagent.deadline import current_deadline
from syncagent.exceptions import DeadlineExceeded, RunCancelled
from syncagent.messages import HeartbeatEvent, PartDeltaEvent, PartStartEvent, TextPart
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault
from tests.faultserver.chat import HEAD, Leaving, chunk, event, finish, scenario_of, text
from tests.streams.conftest import AgentOf

END = b"0\r\n\r\n"


def clocked(sent: list[float], framing: str) -> Callable[[Peer, Request], None]:
    """Four words, each sent by itself 0.15 s after the one before; *sent* gets the moments."""
    send = fault.stream

    def scenario(peer: Peer, request: Request) -> None:
        whole = peer.send

        def watched(data: bytes) -> None:
            sent.append(time.monotonic())
            whole(data)

        peer.send = watched  # type: ignore[method-assign] # to know when
        send([text("one "), text("two "), text("three "), finish()], 0.15, framing)(peer, request)

    return scenario


@pytest.mark.parametrize("debounce_by", [None, 0.05])
@pytest.mark.parametrize("framing", ["chunked", "gzip", "close"])
def test_deltas_come_when_they_arrive(agent_of: AgentOf, framing: str, debounce_by: Any) -> None:
    """Each delta is handed out within 50 ms of its arrival, however the body is framed."""
    sent: list[float] = []
    with FaultServer(clocked(sent, framing)) as server, agent_of(server).run_stream("Hello") as result:
        moments = [(time.monotonic(), piece) for piece in result.stream_text(delta=True, debounce_by=debounce_by)]
    assert [piece for _, piece in moments] == ["one ", "two ", "three "]
    for (moment, _), began in zip(moments, sent[1:]):
        assert moment - began < 0.05


def test_debounced_text_is_not_held_by_silence(agent_of: AgentOf) -> None:
    """What came within the time is handed out when it is over, though the next word is long in coming."""
    steps = (
        HEAD,
        chunk(text("a")),
        0.05,
        chunk(text("b")),
        0.05,
        chunk(text("c")),
        1.0,
        chunk(text("d") + finish()),
        END,
    )
    with FaultServer(scenario_of(*steps)) as server, agent_of(server).run_stream("Hello") as result:
        began = time.monotonic()
        given = [(piece, time.monotonic() - began) for piece in result.stream_text(delta=True, debounce_by=0.2)]
    assert [piece for piece, _ in given] == ["a", "bc", "d"]
    assert 0.1 < given[1][1] < 0.5


def test_heartbeats_in_silence(agent_of: AgentOf) -> None:
    """A heartbeat comes before each request and tool call and after each silent time; pings break no silence."""
    call = {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": "{}"}}]}
    first = scenario_of(HEAD, chunk(event(call) + finish("tool_calls")), END)
    second = scenario_of(
        *(HEAD, chunk(text("a", "b")), 0.2, chunk(b": ping\n\n"), 0.35, chunk(text("c") + finish()), END)
    )
    with FaultServer(fault.in_turn(first, second)) as server:
        agent = agent_of(server)
        agent.tool_plain(lambda: "seen", name="look")
        kinds = [event.event_kind for event in agent.run_stream_events("Hello", heartbeat=0.25)]
    assert kinds == [
        "heartbeat",
        "part_start",
        "heartbeat",
        "function_tool_call",
        "function_tool_result",
        "heartbeat",
        "part_start",
        "final_result",
        "part_delta",
        "heartbeat",
        "heartbeat",
        "part_delta",
        "agent_run_result",
    ]


@pytest.mark.parametrize("framing", ["chunked", "gzip", "close"])
def test_no_event_hides_behind_a_heartbeat(agent_of: AgentOf, framing: str) -> None:
    """Events that came in one piece are all handed out before a wait begins, wherever they lie."""
    pieces = [text("a", "b", "c") + b": ping\n\n" + text("d"), text("e") + finish()]
    with FaultServer(fault.stream(pieces, 0.4, framing)) as server:
        began = time.monotonic()
        moments: list[tuple[str, float]] = []
        beats = 0
        for one in agent_of(server).run_stream_events("Hello", heartbeat=0.1):
            if isinstance(one, HeartbeatEvent):
                beats += 1
            elif isinstance(one, PartStartEvent) and isinstance(one.part, TextPart):
                moments.append((one.part.content, time.monotonic() - began))
            elif isinstance(one, PartDeltaEvent):
                moments.append((one.delta.content_delta, time.monotonic() - began))  # type: ignore[union-attr, arg-type]
    assert [piece for piece, _ in moments] == ["a", "b", "c", "d", "e"]
    assert moments[3][1] < 0.2
    assert moments[4][1] > 0.38
    assert beats >= 3


def stop_by_thread(deadline: Deadline) -> Callable[[], None]:
    timer = threading.Timer(0.3, deadline.cancel)
    timer.start()
    return timer.join


def stop_by_signal(deadline: Deadline) -> Callable[[], None]:
    before = signal.signal(signal.SIGALRM, lambda *_: deadline.cancel())
    signal.setitimer(signal.ITIMER_REAL, 0.3)

    def restore() -> None:
        signal.signal(signal.SIGALRM, before)

    return restore


STOPS = [stop_by_thread]
if sys.platform != "win32":
    STOPS.append(stop_by_signal)


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("way", ["text", "debounced", "events", "heartbeats", "head"])
def test_cancelling_wakes_a_blocked_read(agent_of: AgentOf, way: str, stop: Any) -> None:
    """``cancel()`` from a thread or a signal handler ends a silent stream within half a second, headers included."""
    scenario = fault.silent if way == "head" else scenario_of(HEAD, chunk(text("Well, ")), "hang")
    deadline = Deadline()
    with FaultServer(scenario) as server:
        agent = agent_of(server)
        began = time.monotonic()
        finish_stop = stop(deadline)
        try:
            with pytest.raises(RunCancelled) as caught:
                if way in ("events", "heartbeats"):
                    for _ in agent.run_stream_events(
                        "Hello", deadline=deadline, heartbeat=0.1 if way == "heartbeats" else None
                    ):
                        continue
                else:
                    with agent.run_stream("Hello", deadline=deadline) as result:
                        list(result.stream_text(debounce_by=0.1 if way == "debounced" else None))
            assert 0.25 < time.monotonic() - began < 0.8
        finally:
            finish_stop()
    assert caught.value.messages is not None


@pytest.mark.parametrize("heartbeat", [None, 0.2, 5])
def test_a_callable_is_asked(agent_of: AgentOf, heartbeat: Any) -> None:
    """``Deadline(cancelled=)`` ends a silent stream within a second of its saying so."""
    end = time.monotonic() + 0.5
    deadline = Deadline(cancelled=lambda: time.monotonic() > end)
    with FaultServer(scenario_of(HEAD, chunk(text("Well, ")), "hang")) as server:
        with pytest.raises(RunCancelled):
            for _ in agent_of(server).run_stream_events("Hello", deadline=deadline, heartbeat=heartbeat):
                continue
        assert time.monotonic() < end + 1


def test_closing_from_another_thread_wakes_the_reader(agent_of: AgentOf) -> None:
    """The thread that reads gets ``RunCancelled`` at once, the provider's socket is closed, and the text is kept."""
    upstream = Leaving(None)
    with FaultServer(upstream) as server:
        events = agent_of(server).run_stream_events("Hello")
        began = time.monotonic()
        closer = threading.Timer(0.3, events.close)
        closer.start()
        with pytest.raises(RunCancelled):
            for _ in events:
                continue
        assert time.monotonic() - began < 0.8
        closer.join()
        while not upstream.left and time.monotonic() < began + 3:
            time.sleep(0.01)
        assert upstream.left[0] - began < 0.8
        message: Any = events.new_messages()[-1]
        assert message.parts == [TextPart("Well, ")]
        assert not events.is_complete


@pytest.mark.parametrize("deadline", [None, 20])
def test_a_forgotten_stream_is_closed(agent_of: AgentOf, deadline: Any) -> None:
    """Streams that nobody closes are closed when they are collected; their socket with them."""
    upstream = Leaving(0.05)
    with FaultServer(upstream) as server:
        agent = agent_of(server, name="forgetful")

        def forget() -> None:
            next(iter(agent.run_stream_events("Hello", deadline=deadline)))
            context: Any = agent.run_stream("Hello", deadline=deadline)
            next(context.__enter__().stream_text())

        forget()
        gc.collect()
        began = time.monotonic()
        while len(upstream.left) < 2 and time.monotonic() < began + 3:
            time.sleep(0.01)
        assert time.monotonic() - began < 0.5
    assert current_deadline.get() is None


def test_two_streams_side_by_side(agent_of: AgentOf) -> None:
    """Two streams read in turn in one thread keep their own deadlines, and the other goes on after one's end."""
    with FaultServer(Leaving(0.05)) as server:
        agent: Agent[None, Any] = agent_of(server)
        short = agent.run_stream_events("Hello", deadline=0.6)
        long = agent.run_stream_events("Hello", deadline=20)
        seen = 0
        with pytest.raises(DeadlineExceeded):
            while True:
                next(short)
                next(long)
                seen += 1
        assert seen > 4
        for _ in range(4):
            next(long)
        long.close()
        assert current_deadline.get() is None


def test_a_signal_that_raises_leaves_nothing_behind(agent_of: AgentOf) -> None:
    """Ctrl-C inside a blocked read closes the socket and passes through; what came is kept."""
    if sys.platform == "win32":
        pytest.skip("needs a timer that sends a signal")

    class Stop(BaseException):
        pass

    def stop(*_: Any) -> None:
        raise Stop

    upstream = Leaving(None)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        with FaultServer(upstream) as server:
            events = agent_of(server).run_stream_events("Hello")
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(Stop), events:
                for _ in events:
                    continue
            began = time.monotonic()
            while not upstream.left and time.monotonic() < began + 3:
                time.sleep(0.01)
            assert time.monotonic() - began < 0.5
            assert len(events.new_messages()) == 2
    finally:
        signal.signal(signal.SIGALRM, before)
