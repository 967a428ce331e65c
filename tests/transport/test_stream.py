"""Answers that are handed on while they arrive: promptness, endings, closing."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses

from syncagent.deadline import Deadline
from syncagent.exceptions import (
    DeadlineExceeded,
    ModelAPIError,
    ModelAuthError,
    ModelConnectionError,
    ModelResponseError,
    ModelTimeoutError,
    RunCancelled,
)
from syncagent.transport import Frame, HttpRequest, HttpStream, Transport, sse_frames
from syncagent.transport.pool import RawAnswer
from tests.faultserver import FaultServer, Peer, Scenario
from tests.faultserver import scenarios as fault

Ask = Callable[..., HttpRequest]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("framing", ["chunked", "gzip", "close"])
def test_pieces_come_as_they_arrive(transport: Transport, ask: Ask, framing: str, own: bool) -> None:
    """Each event is handed out when it comes, however the body is framed, not when a buffer is full."""
    events = [b"data: %d\n\n" % number for number in range(4)]
    with FaultServer(fault.stream(events, 0.15, framing)) as server, requests.Session() as session:
        way = transport if own else Transport(session=session)
        began = time.monotonic()
        with way.stream(ask(server.url), Deadline(20)) as stream:
            arrivals = [(frame.data, time.monotonic() - began) for frame in sse_frames(stream)]
    assert [data for data, _ in arrivals] == [b"0", b"1", b"2", b"3"]
    for number, (_, moment) in enumerate(arrivals):
        assert number * 0.15 - 0.02 <= moment < number * 0.15 + 0.1


def test_what_a_stream_says_of_itself(transport: Transport, ask: Ask) -> None:
    """Status, headers, content type, request id, tries and time are there before the body."""
    scenario = fault.in_turn(fault.say("503 Wait", b"", "retry-after-ms: 1"), fault.chunked(lines="Request-Id: r\r\n"))
    with FaultServer(scenario) as server:
        with transport.stream(ask(server.url), Deadline()) as stream:
            assert (stream.status, stream.attempts, stream.request_id) == (200, 2, "r")
            assert stream.content_type == "text/event-stream"
            assert repr(stream) == "<HttpStream 200 text/event-stream>"
            assert 0 < stream.elapsed < 5
            assert stream.headers["CONTENT-TYPE"] == "text/event-stream"
            assert list(stream) == []
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_a_stream_read_to_its_end_gives_its_connection_back(transport: Transport, ask: Ask) -> None:
    """The next request goes out on the same connection; reading on gives nothing; closing does no harm."""
    with FaultServer(fault.chunked(b"a", b"b")) as server:
        for _ in range(3):
            with transport.stream(ask(server.url), Deadline()) as stream:
                assert b"".join(stream) == b"ab"
                assert list(stream) == []
            stream.close()
    assert server.connections == 1


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_what_follows_the_end_is_nobodys_answer(transport: Transport, ask: Ask, framing: str) -> None:
    """Bytes after a streamed body's end are no piece of it, and the next request gets a connection of its own."""
    came = [threading.Event(), threading.Event()]

    def scenario(peer: Peer, request: Any) -> None:
        number = len(server.requests) - 1
        peer.send(HEAD + (b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n" if framing == "chunked" else LENGTH + b"a"))
        assert came[number].wait(10)
        peer.send((b"1\r\nb\r\n0\r\n\r\n" if framing == "chunked" else b"b") + SLIPPED_IN)

    with FaultServer(scenario) as server:
        for event in came:
            with transport.stream(ask(server.url), Deadline(20)) as stream:
                assert next(stream) == b"a"
                event.set()
                assert b"".join(stream) == b"b"
    assert server.connections == 2


LENGTH = b"Content-Length: 2\r\n\r\n"
SLIPPED_IN = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!"


def endless(peer: Peer, request: Any) -> None:
    """Events for ever."""
    peer.send(HEAD + b"Connection: close\r\n\r\n")
    try:
        while not peer.server.stopping.is_set():
            peer.send(b"data: more\n\n" * 100)
            peer.pause(0.01)
    except OSError:
        gone.set()
        raise


gone = threading.Event()


@pytest.mark.parametrize("way", ["leave", "raise", "close", "forget"])
@pytest.mark.parametrize("own", [True, False])
def test_leaving_early_closes_the_socket(transport: Transport, ask: Ask, way: str, own: bool) -> None:
    """Leaving, raising, closing and forgetting a stream all end it on the server's side at once, undrained."""
    gone.clear()
    with FaultServer(endless) as server, requests.Session() as session:
        used = transport if own else Transport(session=session)
        stream: Any = used.stream(ask(server.url), Deadline())
        assert next(stream)
        if way == "leave":
            with stream:
                pass
        elif way == "raise":
            with pytest.raises(ZeroDivisionError), stream:
                raise ZeroDivisionError
        elif way == "close":
            stream.close()
            stream.close()
        else:
            del stream
            gc.collect()
        assert gone.wait(0.5)


def test_a_closed_stream_is_over(transport: Transport, ask: Ask) -> None:
    """Reading from a stream that was closed before its end is no quiet end: the answer is not whole."""
    with FaultServer(endless) as server:
        with transport.stream(ask(server.url), Deadline()) as stream:
            next(iter(stream))
            stream.close()
            with pytest.raises(RunCancelled, match="closed"):
                next(iter(stream))


@pytest.mark.parametrize("scenario", [endless, fault.raw(HEAD + b"Connection: close\r\n\r\n", then="hang")])
def test_closing_from_another_thread(transport: Transport, ask: Ask, scenario: Scenario) -> None:
    """``close()`` in another thread wakes the reader, which hears that the stream was closed."""
    with FaultServer(scenario) as server:
        stream = transport.stream(ask(server.url), Deadline())
        with stream as opened:
            timer = threading.Timer(0.2, opened.close)
            timer.start()
            began = time.monotonic()
            with pytest.raises(RunCancelled, match="closed"):
                for _ in opened:
                    pass
            assert time.monotonic() - began < 0.7
            timer.join()


def pings(peer: Peer, request: Any) -> None:
    """Comments for ever."""
    peer.send(HEAD + b"Connection: close\r\n\r\n")
    while not peer.server.stopping.is_set():
        peer.send(b": ping\n\n")
        peer.pause(0.02)


def drip(peer: Peer, request: Any) -> None:
    """An event that never ends, a byte at a time."""
    peer.send(HEAD + b"Connection: close\r\n\r\ndata: ")
    while not peer.server.stopping.is_set():
        peer.send(b"x")
        peer.pause(0.02)


SLOW = [pings, drip, fault.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", then="hang")]


@pytest.mark.parametrize("scenario", SLOW)
def test_the_deadline_holds_for_streams(transport: Transport, ask: Ask, scenario: Scenario) -> None:
    """Pings for ever, one byte at a time and silence end with the deadline."""
    with FaultServer(scenario) as server:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded), transport.stream(ask(server.url), Deadline(0.5)) as stream:
            list(sse_frames(stream))
        assert 0.45 < time.monotonic() - began < 0.75


@pytest.mark.parametrize("scenario", SLOW)
def test_streams_can_be_cancelled(transport: Transport, ask: Ask, scenario: Scenario) -> None:
    """``cancel()`` ends them within half a second, a callable within one."""
    with FaultServer(scenario) as server:
        deadline = Deadline()
        timer = threading.Timer(0.2, deadline.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(RunCancelled), transport.stream(ask(server.url), deadline) as stream:
            list(sse_frames(stream))
        assert time.monotonic() - began < 0.7
        timer.join()
        end = time.monotonic() + 0.2
        told = Deadline(cancelled=lambda: time.monotonic() > end)
        with pytest.raises(RunCancelled), transport.stream(ask(server.url), told) as stream:
            list(sse_frames(stream))
        assert time.monotonic() < end + 1


def test_silence_between_chunks(transport: Transport, ask: Ask) -> None:
    """A stream that falls silent longer than the read time-out is a time-out, without a deadline too."""
    scenario = fault.chunked(b"data: 1\n\n", end=b"", then="hang")
    with FaultServer(scenario) as server, transport.stream(ask(server.url, timeout=0.3), Deadline()) as stream:
        assert next(iter(stream)) == b"data: 1\n\n"
        with pytest.raises(ModelTimeoutError) as caught:
            next(iter(stream))
    assert caught.value.attempts == 1


def test_the_default_between_chunks_is_a_minute(transport: Transport, ask: Ask) -> None:
    """60 s for a stream, 600 s for an answer that comes whole, 5 s to connect."""
    from syncagent.transport.exchange import _timeouts

    assert (_timeouts(None, True), _timeouts(None, False)) == ((5.0, 60.0), (5.0, 600.0))
    assert (_timeouts(3, True), _timeouts((1, 2.5), False)) == ((3, 3), (1, 2.5))


@pytest.mark.parametrize(
    ("scenario", "error_class"),
    [
        (fault.chunked(b"data: 1\n\n", end=b"", then="reset"), ModelConnectionError),
        (fault.chunked(b"data: 1\n\n", end=b"", then="close"), ModelConnectionError),
        (fault.chunked(b"data: 1\n\n", end=b"5\r\nda", then="close"), ModelConnectionError),
        (fault.chunked(b"data: 1\n\n", end=b"zz\r\n"), ModelConnectionError),
        (fault.chunked(b"data: 1\n\n", end=b"1" * 70000), ModelResponseError),
        (fault.raw(HEAD + b"Content-Length: 99\r\n\r\ndata: 1\n\n"), ModelConnectionError),
        (fault.raw(HEAD + b"Content-Encoding: gzip\r\n\r\nnonsense"), ModelResponseError),
    ],
)
def test_streams_that_break(
    transport: Transport, ask: Ask, scenario: Scenario, error_class: type[ModelAPIError]
) -> None:
    """A broken stream is one typed error after the pieces that came, and is never sent again."""
    pieces = []
    with FaultServer(scenario) as server:
        with pytest.raises(error_class) as caught, transport.stream(ask(server.url), Deadline(20)) as stream:
            for piece in stream:
                pieces.append(piece)
    assert type(caught.value) is error_class
    assert b"data: 1\n\nda".startswith(b"".join(pieces))
    assert (caught.value.attempts, len(server.requests)) == (1, 1)


def test_errors_before_the_stream_are_tried_again(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """Until the head says 2xx a stream is a request like any other."""
    scenario = fault.in_turn(fault.reset, fault.say("500 Oops"), fault.chunked(b"data: 1\n\n"))
    with FaultServer(scenario) as server, transport.stream(ask(server.url), Deadline()) as stream:
        assert stream.attempts == 3
        assert list(sse_frames(stream)) == [Frame("message", b"1")]
    with FaultServer(fault.say("401 No")) as server, pytest.raises(ModelAuthError):
        transport.stream(ask(server.url), Deadline())


def test_a_stream_may_be_limited(transport: Transport, ask: Ask) -> None:
    """``max_body`` bounds what a stream may bring."""
    with FaultServer(endless) as server, pytest.raises(ModelResponseError, match="larger"):
        with transport.stream(ask(server.url, max_body=10_000), Deadline(10)) as stream:
            for _ in stream:
                pass


def test_an_endless_event(transport: Transport, ask: Ask) -> None:
    """An event that never ends is an error at its limit."""
    with FaultServer(fault.raw(HEAD + b"\r\ndata: " + b"x" * 3_000_000)) as server:
        with pytest.raises(ModelResponseError, match="1048576"):
            with transport.stream(ask(server.url), Deadline(10)) as stream:
                list(sse_frames(stream))


def test_two_streams_side_by_side(transport: Transport, ask: Ask) -> None:
    """Streams that are read in turn in one thread keep their own deadlines, also one that another thread closes."""
    with FaultServer(fault.stream([b"data: 1\n\n"] * 30, 0.05, "chunked")) as server:
        first: Any = transport.stream(ask(server.url), Deadline(0.6))
        second: Any = transport.stream(ask(server.url), Deadline(20))
        third: Any = transport.stream(ask(server.url), Deadline(20))
        next(third)
        closer = threading.Thread(target=third.close)
        closer.start()
        closer.join()
        seen = 0
        with pytest.raises(DeadlineExceeded):
            while True:
                next(first)
                next(second)
                seen += 1
        assert seen > 3
        assert len(list(second)) >= 10


def test_a_slow_consumer_is_not_late(transport: Transport, ask: Ask) -> None:
    """Time that the consumer takes between two pieces does not count as silence of the server."""
    with FaultServer(fault.stream([b"data: 1\n\n"] * 4, 0.02, "chunked")) as server:
        with transport.stream(ask(server.url, timeout=0.25), Deadline()) as stream:
            for _ in stream:
                time.sleep(0.3)


@responses.activate
def test_streams_of_mocks(transport: Transport, ask: Ask) -> None:
    """A mocked answer is streamed like a real one."""
    url = "https://api.example.com/v1/chat"
    responses.post(url, body=b"data: 1\n\ndata: 2\n\n", content_type="text/event-stream")
    with transport.stream(ask(url), Deadline(20)) as stream:
        assert [frame.data for frame in sse_frames(stream)] == [b"1", b"2"]


def test_a_callers_hook_may_read_the_answer(ask: Ask) -> None:
    """Where a hook or a cache of the caller's session has read the body, it is still whole, packed or not."""
    import gzip

    scenario = fault.in_turn(fault.ok, fault.say("200 OK", gzip.compress(b"[1]"), "Content-Encoding: gzip"))
    with FaultServer(scenario) as server, requests.Session() as session:
        session.hooks["response"].append(lambda response, *_, **__: response.content and None)
        transport = Transport(session=session)
        assert transport.send(ask(server.url), Deadline()).json() == {"ok": True}
        assert transport.send(ask(server.url), Deadline()).json() == [1]


def test_gzip_in_members(transport: Transport, ask: Ask) -> None:
    """A gzip body may be several streams one after the other."""
    import gzip

    body = gzip.compress(b"[1,") + gzip.compress(b"2]")
    with FaultServer(fault.say("200 OK", body, "Content-Encoding: GZip")) as server:
        assert transport.send(ask(server.url), Deadline()).json() == [1, 2]


def test_the_name_is_there_without_being_loaded() -> None:
    """``HttpStream`` can be had from the package; what is not there is an ``AttributeError``."""
    import syncagent.transport as package

    assert package.HttpStream is HttpStream
    with pytest.raises(AttributeError, match="HttpSteam"):
        package.HttpSteam  # noqa: B018 - looking it up is the test


def test_a_signal_handler_may_cancel(transport: Transport, ask: Ask) -> None:
    """A handler in the reading thread itself may call ``cancel()``."""
    import signal

    deadline = Deadline()
    before = signal.signal(signal.SIGALRM, lambda *_: deadline.cancel())
    try:
        with FaultServer(fault.silent) as server:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            began = time.monotonic()
            with pytest.raises(RunCancelled):
                transport.send(ask(server.url), deadline)
            assert time.monotonic() - began < 0.7
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_interrupt_leaves_no_socket(transport: Transport, ask: Ask) -> None:
    """An exception of a signal handler passes through a blocked read; the transport stays usable."""
    import signal

    class Stop(BaseException):
        pass

    def stop(*_: Any) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with FaultServer(fault.in_turn(fault.silent, fault.silent_body, fault.ok)) as server:
            for _ in range(2):
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                with pytest.raises(Stop):
                    transport.send(ask(server.url), Deadline())
            assert transport.send(ask(server.url), Deadline()).json() == {"ok": True}
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_reader_closes_what_another_thread_gave_up(
    transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket stays open until its reader is back: its number could be another connection's by then."""
    closed: list[object] = []
    close = RawAnswer.close

    def noted(self: RawAnswer) -> None:
        closed.append(threading.current_thread())
        close(self)

    def read() -> None:
        with pytest.raises(RunCancelled):
            list(stream)

    monkeypatch.setattr(RawAnswer, "close", noted)
    with FaultServer(fault.silent_body) as server, transport.stream(ask(server.url), Deadline(20)) as stream:
        reader = threading.Thread(target=read)
        reader.start()
        body = stream._body
        end = time.monotonic() + 10
        while not (body._reading and body._reader is not None and not body._reader.ahead) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)  # from there to the read itself
        stream.close()
        reader.join(10)
        assert not reader.is_alive()
    assert closed == [reader]


def test_what_ends_a_stream_knows_its_tries(transport: Transport, ask: Ask) -> None:
    """The deadline that ends a stream says how often it was asked for, and since when."""
    with FaultServer(fault.in_turn(fault.fin, fault.silent_body)) as server:
        with transport.stream(ask(server.url), Deadline(1.2)) as stream, pytest.raises(DeadlineExceeded) as caught:
            list(stream)
    assert caught.value.attempts == 2
    assert caught.value.elapsed is not None and caught.value.elapsed > 1


def test_a_stream_that_was_never_made() -> None:
    """One whose making was interrupted is collected without a word."""
    HttpStream.__new__(HttpStream).close()


def test_keep_alive_is_asked_of_the_system(transport: Transport, ask: Ask) -> None:
    """A connection that is silent for minutes is kept alive by the system."""
    with FaultServer(fault.chunked(b"x")) as server:
        stream: Any = transport.stream(ask(server.url), Deadline())
        sock = stream._body._call.sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        stream.close()
