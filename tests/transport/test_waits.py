"""Waiting for a stream's next bytes for less than a read's time-out."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import DeadlineExceeded, ModelTimeoutError, RunCancelled
from syncagent.transport import HttpRequest, Transport, sse_frames
from syncagent.transport.sse import Frame
from tests.faultserver import FaultServer, Peer
from tests.faultserver import scenarios as fault

Ask = Callable[..., HttpRequest]
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def patiently(stream: Any, seconds: float) -> tuple[bytes, float]:
    """What comes within *seconds*, and how long that took."""
    began = time.monotonic()
    stream.until = began + seconds
    return next(stream), time.monotonic() - began


@pytest.mark.parametrize("framing", ["chunked", "gzip", "close"])
def test_a_wait_ends_in_time_and_nothing_is_lost(transport: Transport, ask: Ask, framing: str) -> None:
    """A wait gives nothing when its time is over, the bytes when they come, and the body is whole after many."""
    events = [b"data: %d\n\n" % number for number in range(3)]
    with FaultServer(fault.stream(events, 0.3, framing)) as server:
        with transport.stream(ask(server.url), Deadline(20)) as stream:
            came, waits = [], 0
            for _ in range(100):
                try:
                    data, took = patiently(stream, 0.1)
                except StopIteration:
                    break
                if data:
                    came.append(data)
                    assert not stream.paused
                else:
                    waits += 1
                    assert (stream.paused, stream.until) == (True, None)
                    stream.paused = False
                    assert 0.09 < took < 0.2
            assert b"".join(came) == b"".join(events)
            assert waits >= 4


def test_a_pause_is_given_once(transport: Transport, ask: Ask) -> None:
    """Who reads on after a pause without a new limit waits for the bytes."""
    with FaultServer(fault.stream([b"data: 1\n\n"] * 2, 0.3, "chunked")) as server:
        with transport.stream(ask(server.url), Deadline(20)) as stream:
            next(stream)
            assert patiently(stream, 0.05)[0] == b""
            assert next(stream) == b"data: 1\n\n"


def test_half_a_chunk_is_waited_for(transport: Transport, ask: Ask) -> None:
    """A chunk's size and line ends are no data: what holds only those keeps nobody waiting for the rest."""
    gave_up = threading.Event()

    def scenario(peer: Peer, request: Any) -> None:
        peer.send(CHUNKED)
        for piece in (b"4", b"\r\n", b"ab", b"cd", b"\r", b"\n3\r\n", b"xyz\r\n0\r\n\r\n"):
            gave_up.clear()
            peer.send(piece)
            assert gave_up.wait(10)  # the rest comes only to a reader who did not wait for it

    with FaultServer(scenario) as server, transport.stream(ask(server.url), Deadline(5)) as stream:
        came = []
        while True:
            try:
                data, _ = patiently(stream, 0.04)
            except StopIteration:
                break
            came.append(data)
            gave_up.set()
        assert b"".join(came) == b"abcdxyz"


def test_half_a_gzip_member_is_waited_for(transport: Transport, ask: Ask) -> None:
    """Bytes out of which nothing can be unpacked yet keep nobody waiting either."""
    packed = gzip.compress(b"data: 1\n\n")
    gave_up = threading.Event()

    def scenario(peer: Peer, request: Any) -> None:
        peer.send(CHUNKED[:-2] + b"Content-Encoding: gzip\r\n\r\n" + b"5\r\n%b\r\n" % packed[:5])
        assert gave_up.wait(10)  # the rest comes only to a reader who did not wait for it
        for piece in (packed[5:12], packed[12:]):
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        peer.send(b"0\r\n\r\n")

    with FaultServer(scenario) as server, transport.stream(ask(server.url), Deadline(5)) as stream:
        assert patiently(stream, 0.05)[0] == b""
        gave_up.set()
        assert b"".join(stream) == b"data: 1\n\n"


def test_what_is_buffered_needs_no_wait(transport: Transport, ask: Ask) -> None:
    """Bytes that came with the head are there at once."""
    with FaultServer(fault.chunked(b"data: 1\n\n", end=b"", then="hang")) as server:
        with transport.stream(ask(server.url), Deadline(20)) as stream:
            time.sleep(0.1)
            assert patiently(stream, 0.001)[0] == b"data: 1\n\n"
            assert patiently(stream, -1)[0] == b""


def test_silence_adds_up(transport: Transport, ask: Ask) -> None:
    """Waits that are given up count for the read time-out: heartbeats make no silence endless."""
    with FaultServer(fault.chunked(b"data: 1\n\n", end=b"", then="hang")) as server:
        with transport.stream(ask(server.url, timeout=0.5), Deadline(20)) as stream:
            next(stream)
            began = time.monotonic()
            with pytest.raises(ModelTimeoutError):
                while True:
                    patiently(stream, 0.1)
            assert 0.4 < time.monotonic() - began < 0.8


@pytest.mark.parametrize("cancelled", [False, True])
def test_the_deadline_ends_a_wait(transport: Transport, ask: Ask, cancelled: bool) -> None:
    """A wait is cut to what is left of the deadline; a callable is asked while waiting."""
    end = time.monotonic() + 0.5
    deadline = Deadline(cancelled=lambda: time.monotonic() > end) if cancelled else Deadline(0.5)
    with FaultServer(fault.chunked(b"data: 1\n\n", end=b"", then="hang")) as server:
        with transport.stream(ask(server.url), deadline) as stream:
            next(stream)
            with pytest.raises(RunCancelled if cancelled else DeadlineExceeded):
                patiently(stream, 10)
        assert -0.1 < time.monotonic() - end < 1


def test_frames_of_a_paused_stream() -> None:
    """An empty chunk gives the frame that stands for a pause, in the middle of an event and of a line end, too."""
    pause = Frame("pause", b"")
    chunks = [b"data: 1\n", b"", b"\ndata: 2\r", b"", b"\n\r\n", b"", b"data: 3\r\n\r", b"\n", b""]
    frames = [frame.data or "pause" for frame in sse_frames(chunks, pause=pause)]
    assert frames == ["pause", b"1", "pause", b"2", "pause", b"3", "pause"]


def test_a_callers_session_is_not_waited_for(ask: Ask) -> None:
    """Where the session is the caller's, its reads go through it and nobody can wait inside."""
    import requests

    with FaultServer(fault.stream([b"data: 1\n\n"] * 2, 0.2, "chunked")) as server, requests.Session() as session:
        with Transport(session=session).stream(ask(server.url), Deadline(20)) as stream:
            next(stream)
            data, took = patiently(stream, 0.05)
            assert data == b"data: 1\n\n"
            assert took > 0.1
