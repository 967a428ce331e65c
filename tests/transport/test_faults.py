"""What goes wrong on the way: every line of the fault matrix that a request without streaming can meet."""

from __future__ import annotations

import pickle
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import (
    DeadlineExceeded,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelOverloadedError,
    ModelResponseError,
    ModelTimeoutError,
    RunCancelled,
)
from syncagent.transport import HttpRequest, RetryPolicy, Transport
from tests.faultserver import FaultServer, Peer, Scenario
from tests.faultserver import scenarios as fault

Ask = Callable[..., HttpRequest]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def fails(transport: Transport, request: HttpRequest, deadline: Deadline) -> ModelAPIError:
    """The error that sending raises; it has gone through pickle, as in a task queue."""
    with pytest.raises(ModelAPIError) as caught:
        transport.send(request, deadline)
    error = caught.value
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.__dict__ == error.__dict__
    assert "sk-canary" not in f"{error!s} {error!r} {error.args} {error.__dict__}"
    assert error.model_name == "test:model"
    assert error.elapsed is not None and error.elapsed < 20
    return error


@pytest.mark.parametrize(
    ("scenario", "error_class", "tries", "words"),
    [
        (fault.fin, ModelConnectionError, 3, "broke"),
        (fault.reset, ModelConnectionError, 3, "broke"),
        (fault.raw(OK + b"Content-Length: 100\r\n\r\n{"), ModelConnectionError, 3, "broke"),
        (fault.raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"), ModelConnectionError, 3, "broke"),
        (fault.raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"), ModelConnectionError, 3, "broke"),
        (fault.raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 70000), ModelResponseError, 1, "not HTTP"),
        (fault.raw(OK + b"X: " + b"x" * 102400 + b"\r\n\r\n"), ModelResponseError, 1, "not HTTP"),
        (fault.raw(OK + b"X: y\r\n" * 200 + b"\r\n"), ModelResponseError, 1, "not HTTP"),
        (fault.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), ModelResponseError, 1, "not HTTP"),
        (fault.raw(b"HTTP/1.1 abc OK\r\n\r\n"), ModelResponseError, 1, "not HTTP"),
        (fault.raw(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"\r\n"), ModelResponseError, 1, "103"),
        (fault.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 60000), ModelResponseError, 1, "larger"),
        (fault.say("200 OK", b"nonsense", "Content-Encoding: gzip"), ModelResponseError, 1, "decompressed"),
        (fault.say("200 OK", b"\x1f\x8b\x08\x00", "Content-Encoding: gzip"), ModelResponseError, 1, "decompressed"),
        (fault.say("200 OK", b"{}", "Content-Encoding: br"), ModelResponseError, 1, "Content-Encoding br"),
        (fault.raw(OK + b"Content-Length: 99999999999\r\n\r\n{"), ModelResponseError, 1, "larger"),
    ],
)
def test_a_broken_answer_is_one_typed_error(
    transport: Transport,
    ask: Ask,
    no_wait: list[float],
    scenario: Scenario,
    error_class: type[ModelAPIError],
    tries: int,
    words: str,
) -> None:
    """A lost connection is tried three times, what no server should send once; never a half answer."""
    with FaultServer(scenario) as server:
        error = fails(transport, ask(server.url), Deadline(20))
    assert type(error) is error_class
    assert (error.attempts, len(server.requests)) == (tries, tries)
    assert words in str(error)
    assert error.retryable is (tries > 1)


def test_refused_connections_are_tried_again(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """Where nothing listens, three tries end in one connection error that says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = fails(transport, ask(f"http://127.0.0.1:{port}/"), Deadline())
    assert isinstance(error, ModelConnectionError)
    assert "refused" in str(error)
    assert (error.attempts, len(no_wait)) == (3, 2)


@pytest.mark.parametrize(("number", "tries"), [(socket.EAI_AGAIN, 3), (socket.EAI_NONAME, 1)])
def test_names_that_cannot_be_resolved(
    transport: Transport, ask: Ask, no_wait: list[float], monkeypatch: pytest.MonkeyPatch, number: int, tries: int
) -> None:
    """A failing name server is asked again, an unknown name is not; the error names the host."""

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(number, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    error = fails(transport, ask("http://nowhere.example/v1"), Deadline())
    assert isinstance(error, ModelConnectionError)
    assert "nowhere.example" in str(error)
    assert error.attempts == tries


def test_connect_timeout(
    transport: Transport, ask: Ask, no_wait: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that cannot be made in time is tried again, and is a time-out."""
    seen = []

    def connect(self: socket.socket, address: Any) -> None:
        seen.append(self.gettimeout())
        raise socket.timeout("timed out")

    monkeypatch.setattr(socket.socket, "connect", connect)
    error = fails(transport, ask("http://127.0.0.1:9/"), Deadline())
    assert isinstance(error, ModelTimeoutError)
    assert "Connecting" in str(error)
    assert seen == [pytest.approx(5, abs=0.1)] * 3


@pytest.mark.parametrize("scenario", [fault.silent, fault.silent_body])
def test_read_timeouts_are_not_tried_again(transport: Transport, ask: Ask, scenario: Scenario) -> None:
    """No answer in time, before or in the body, is a time-out; the work may be billed, so it is not repeated."""
    with FaultServer(scenario) as server:
        error = fails(transport, ask(server.url, timeout=(1, 0.2)), Deadline(10))
    assert isinstance(error, ModelTimeoutError)
    assert (error.attempts, len(server.requests)) == (1, 1)
    assert error.retryable


def test_read_timeouts_are_tried_again_where_the_policy_says_so(
    transport: Transport, ask: Ask, no_wait: list[float]
) -> None:
    """``RetryPolicy(retry_read_timeouts=True)`` sends the request again."""
    policy = RetryPolicy(retry_read_timeouts=True)
    with FaultServer(fault.in_turn(fault.silent, fault.ok)) as server:
        answer = transport.send(ask(server.url, timeout=(1, 0.2), retry_policy=policy), Deadline(10))
    assert (answer.json(), answer.attempts) == ({"ok": True}, 2)


@pytest.mark.parametrize("scenario", [fault.silent, fault.silent_body, fault.drip_head, fault.drip_body])
def test_the_deadline_holds(transport: Transport, ask: Ask, scenario: Scenario) -> None:
    """However slowly a server speaks, the run ends with its deadline, and says that it was the deadline."""
    with FaultServer(scenario) as server:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=re.escape("The deadline of 0.5 s")):
            transport.send(ask(server.url), Deadline(0.5))
        assert 0.45 < time.monotonic() - began < 0.75
    assert len(server.requests) == 1


def test_the_deadline_holds_for_slow_readers(transport: Transport, ask: Ask) -> None:
    """A large body that the server does not take ends with the deadline too."""
    with FaultServer(fault.ok, on_connect=lambda peer: peer.pause(30)) as server:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            transport.send(ask(server.url, body=bytes(30_000_000)), Deadline(0.5))
        assert time.monotonic() - began < 0.75


def test_a_deadline_without_time_starts_no_try(transport: Transport, ask: Ask) -> None:
    """With less than 0.1 s left nothing is sent."""
    with FaultServer(fault.ok) as server, pytest.raises(DeadlineExceeded):
        transport.send(ask(server.url), Deadline(0.09))
    assert server.connections == 0


def test_waits_do_not_pass_the_deadline(transport: Transport, ask: Ask) -> None:
    """Where the next try would start too late, the failure is raised at once."""
    scenario = fault.say("503 Service Unavailable", b"{}", "Retry-After: 2")
    with FaultServer(scenario) as server:
        began = time.monotonic()
        error = fails(transport, ask(server.url), Deadline(1))
        assert time.monotonic() - began < 0.5
    assert isinstance(error, ModelOverloadedError)
    assert (error.retry_after, error.attempts) == (2.0, 1)


@pytest.mark.parametrize("scenario", [fault.silent, fault.silent_body, fault.drip_body, fault.drip_head])
def test_cancelling_wakes_a_blocked_read(transport: Transport, ask: Ask, scenario: Scenario) -> None:
    """``Deadline.cancel()`` from another thread ends a blocked read within half a second."""
    deadline = Deadline(10)
    with FaultServer(scenario) as server:
        timer = threading.Timer(0.2, deadline.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(RunCancelled):
            transport.send(ask(server.url), deadline)
        assert time.monotonic() - began < 0.7
        timer.join()


def test_cancelling_wakes_a_read_on_a_kept_connection(transport: Transport, ask: Ask) -> None:
    """A reused connection is known to the deadline as well, and is not tried a second time."""
    deadline = Deadline()
    with FaultServer(fault.in_turn(fault.ok, fault.silent)) as server:
        transport.send(ask(server.url), deadline)
        timer = threading.Timer(0.2, deadline.cancel)
        timer.start()
        with pytest.raises(RunCancelled):
            transport.send(ask(server.url), deadline)
        timer.join()
    assert (server.connections, len(server.requests)) == (1, 2)


def test_cancelling_ends_a_wait(transport: Transport, ask: Ask) -> None:
    """A back-off wait ends within half a second of the cancelling."""
    deadline = Deadline()
    with FaultServer(fault.say("500 Oops", b"{}", "Retry-After: 20")) as server:
        timer = threading.Timer(0.2, deadline.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(RunCancelled):
            transport.send(ask(server.url), deadline)
        assert time.monotonic() - began < 0.7
        timer.join()
    assert len(server.requests) == 1


@pytest.mark.parametrize("scenario", [fault.silent, fault.drip_body])
def test_the_cancelled_callable_is_asked_while_reading(transport: Transport, ask: Ask, scenario: Scenario) -> None:
    """A callable that turns true ends a read within a second, though no byte comes."""
    end = time.monotonic() + 0.3
    with FaultServer(scenario) as server, pytest.raises(RunCancelled):
        transport.send(ask(server.url), Deadline(cancelled=lambda: time.monotonic() > end))
    assert time.monotonic() < end + 1


def test_polling_does_not_end_a_slow_answer(transport: Transport, ask: Ask) -> None:
    """An answer that takes longer than the slices between two questions arrives whole."""

    def scenario(peer: Peer, request: Any) -> None:
        peer.send(OK + b"Content-Length: 4\r\n")
        peer.pause(0.6)
        peer.send(b"\r\ntr")
        peer.pause(0.4)
        peer.send(b"ue")

    with FaultServer(scenario) as server:
        assert transport.send(ask(server.url), Deadline(cancelled=lambda: False)).json() is True


def test_a_dead_kept_connection_is_invisible(transport: Transport, ask: Ask) -> None:
    """A server that resets a kept connection when it is used again is asked on a new one, as the same try."""

    def scenario(peer: Peer, request: Any) -> None:
        if peer in seen:
            peer.reset()
        else:
            seen.append(peer)
            peer.answer()

    seen: list[Peer] = []
    with FaultServer(scenario) as server:
        answers = [transport.send(ask(server.url), Deadline()) for _ in range(4)]
    assert [answer.attempts for answer in answers] == [1, 1, 1, 1]
    assert (server.connections, len(server.requests)) == (4, 7)
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(set(keys)) == 4


@pytest.mark.stress
def test_a_server_that_closes_right_after_its_answer(transport: Transport, ask: Ask) -> None:
    """The race between a server's FIN and the next request never shows."""

    def scenario(peer: Peer, request: Any) -> None:
        peer.answer()
        peer.close()

    with FaultServer(scenario) as server:
        for _ in range(200):
            assert transport.send(ask(server.url), Deadline()).attempts == 1


def test_a_new_connection_that_dies_is_a_failed_try(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """The second chance is for kept connections only; after it, tries are counted and waited for."""
    with FaultServer(fault.in_turn(fault.ok, fault.reset, fault.reset, fault.ok)) as server:
        transport.send(ask(server.url), Deadline())
        answer = transport.send(ask(server.url), Deadline())
    assert (answer.attempts, len(no_wait)) == (2, 1)


@pytest.mark.parametrize("stray", [b"stray", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n\"stray\""])
def test_stray_bytes_end_a_connection(transport: Transport, ask: Ask, stray: bytes) -> None:
    """Bytes after an answer are never taken for the next one."""

    def scenario(peer: Peer, request: Any) -> None:
        peer.send(OK + b"Content-Length: %d\r\n\r\n%b%b" % (len(request.body), request.body, stray))

    with FaultServer(scenario) as server:
        for number in range(3):
            body = str(number).encode()
            assert transport.send(ask(server.url, body=body), Deadline()).body == body
    assert server.connections == 3


def test_the_same_key_and_body_on_every_try(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """A repeated request is the same one to the server; the auth is asked anew."""
    keys = iter(["one", "two", "three"])
    request = ask("", auth=lambda *_: {"x-api-key": next(keys)}, body=b"a body")
    with FaultServer(fault.in_turn(fault.fin, fault.say("500 Oops"), fault.ok)) as server:
        request.url = server.url
        assert transport.send(request, Deadline()).attempts == 3
    assert {request.body for request in server.requests} == {b"a body"}
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
    assert [request.headers["x-api-key"] for request in server.requests] == ["one", "two", "three"]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent", "304 Not"])
def test_redirects_are_not_followed(transport: Transport, ask: Ask, status: str) -> None:
    """Any 3xx is an error after one request, and the other origin hears nothing."""
    with FaultServer(fault.ok) as other:
        body = b"" if status.startswith("304") else b"moved"
        with FaultServer(fault.say(status, body, f"Location: {other.url}")) as server:
            error = fails(transport, ask(server.url), Deadline())
    assert isinstance(error, ModelHTTPError)
    assert error.status_code == int(status[:3])
    assert (len(server.requests), other.connections) == (1, 0)
    assert "Redirects are not followed" in str(error)


@pytest.mark.stress
def test_a_gzip_bomb_stays_small(transport: Transport, ask: Ask) -> None:
    """A body that grows past the limit is stopped there, not unpacked."""
    import tracemalloc

    with FaultServer(fault.bomb) as server:
        with pytest.raises(ModelResponseError, match="larger"):  # outside the measurement: imports, buffers
            transport.send(ask(server.url, max_body=1), Deadline())
        tracemalloc.start()
        try:
            with pytest.raises(ModelResponseError, match="larger"):
                transport.send(ask(server.url), Deadline())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 64 * 2**20


def test_a_body_without_length_is_limited(transport: Transport, ask: Ask) -> None:
    """Endless bodies stop at the limit."""

    def scenario(peer: Peer, request: Any) -> None:
        peer.send(OK + b"\r\n")
        while not peer.server.stopping.is_set():
            peer.send(bytes(65536))

    with FaultServer(scenario) as server, pytest.raises(ModelResponseError, match="larger"):
        transport.send(ask(server.url, max_body=1_000_000), Deadline(10))


def test_endless_trailers_are_limited(transport: Transport, ask: Ask) -> None:
    """What follows a chunked body counts too."""

    def scenario(peer: Peer, request: Any) -> None:
        peer.send(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
        while not peer.server.stopping.is_set():
            peer.send(b"X: y\r\n" * 10000)

    with FaultServer(scenario) as server, pytest.raises(ModelResponseError, match=r"larger|not HTTP"):
        transport.send(ask(server.url, max_body=1000), Deadline(10))


def test_a_slow_error_body_does_not_hold_the_error(
    transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is what matters: a body that stalls or breaks gives what came of it."""
    import syncagent.transport.exchange as exchange

    monkeypatch.setattr(exchange, "_ERROR_TIME", 0.2)
    head = b"HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\r\nbecause"
    for then in ("hang", "close", "reset"):
        with FaultServer(fault.raw(head, then=then)) as server:
            error = fails(transport, ask(server.url), Deadline(5))
        assert isinstance(error, ModelHTTPError)
        assert (error.status_code, error.attempts) == (400, 1)


def test_large_error_bodies_are_cut(transport: Transport, ask: Ask) -> None:
    """Of an error's body 64 KiB are read, and 500 characters shown."""
    with FaultServer(fault.say("400 Bad", b"x" * 10_000_000, "Content-Type: text/plain")) as server:
        error = fails(transport, ask(server.url), Deadline())
    assert isinstance(error, ModelHTTPError)
    assert len(str(error.body)) <= 65536 + 100
    assert len(str(error)) < 700


@pytest.mark.stress
def test_a_large_body_arrives_whole(transport: Transport, ask: Ask) -> None:
    """Ten megabytes go out once and come back the same."""
    body = bytes(range(256)) * 40_000
    with FaultServer(fault.echo) as server:
        assert transport.send(ask(server.url, body=body), Deadline()).body == body
    assert len(server.requests) == 1


def test_a_name_with_many_addresses(
    transport: Transport, ask: Ask, no_wait: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each address is tried with what is left of the deadline, and the next one where one fails."""
    tried: list[str] = []
    lookup, connect = socket.getaddrinfo, socket.socket.connect

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "many.example":
            return lookup(host, *rest, **more)
        return [found for ip in addresses for found in lookup(ip, *rest, **more)]

    def slow(self: socket.socket, address: Any) -> None:
        tried.append(address[0])
        if address[0] == "127.0.0.1":
            connect(self, address)
            return
        timeout = self.gettimeout()
        assert timeout is not None
        time.sleep(min(timeout, 0.2))
        raise socket.timeout("timed out")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", slow)
    addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    with FaultServer(fault.ok) as server:
        answer = transport.send(ask(server.url.replace("127.0.0.1", "many.example")), Deadline(5))
    assert (answer.attempts, tried) == (1, ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    assert server.requests[0].headers["host"] == f"many.example:{server.port}"
    addresses = [f"127.0.0.{number}" for number in range(2, 12)]
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        transport.send(ask("http://many.example:9/"), Deadline(0.5))
    assert time.monotonic() - began < 0.75


def test_the_read_timeout_is_of_each_read(transport: Transport, ask: Ask) -> None:
    """A time-out that fits every pause of a slow answer is not one of the whole answer."""

    def scenario(peer: Peer, request: Any) -> None:
        peer.send(OK + b"Content-Length: 6\r\n\r\n")
        for byte in (b"[", b"1", b",", b"2", b" ", b"]"):
            peer.pause(0.1)
            peer.send(byte)

    with FaultServer(scenario) as server:
        assert transport.send(ask(server.url, timeout=0.4), Deadline()).json() == [1, 2]


def test_a_proxy_that_refuses_the_tunnel(ask: Ask, no_wait: list[float]) -> None:
    """A 407 or 403 of a proxy is not tried again, a 502 is; the tunnel's answer is bounded by the deadline."""
    for status, tries in (("407 Proxy Authentication Required", 1), ("502 Bad Gateway", 3)):
        with FaultServer(fault.raw(f"HTTP/1.1 {status}\r\n\r\n".encode())) as proxy:
            transport = Transport(proxies={"https": proxy.origin})
            with pytest.raises(ModelConnectionError, match="proxy") as caught:
                transport.send(ask("https://model.example/"), Deadline(20))
            transport.close()
        assert caught.value.attempts == tries
        assert proxy.requests[0].method == "CONNECT"
    with FaultServer(fault.drip_head) as proxy:
        transport = Transport(proxies={"https": proxy.origin})
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            transport.send(ask("https://model.example/"), Deadline(0.5))
        assert time.monotonic() - began < 0.75
        transport.close()
