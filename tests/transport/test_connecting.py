"""Until a request is out: names, keys, proxies, handshakes and long bodies, all within the run's time."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import (
    AgentRunError,
    DeadlineExceeded,
    ModelConnectionError,
    ModelResponseError,
    ModelTimeoutError,
    RunCancelled,
)
from syncagent.transport import HttpRequest, RetryPolicy, Transport
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault
from tests.faultserver.places import place

Ask = Callable[..., HttpRequest]
ONCE = RetryPolicy(max_retries=0)
SLACK = 0.25  # seconds that a call may outlive its deadline


def ended(work: Callable[[], object]) -> tuple[AgentRunError, float]:
    """How *work* fails, and after how many seconds."""
    began = time.monotonic()
    with pytest.raises(AgentRunError) as caught:
        work()
    return caught.value, time.monotonic() - began


def slow_key(seconds: float) -> Callable[..., dict[str, str]]:
    """A function that takes its time for a key."""

    def auth(*_: object) -> dict[str, str]:
        time.sleep(seconds)
        return {"Authorization": "Bearer 0123456789"}

    return auth


def test_a_slow_key_before_a_connection_that_is_not_made(transport: Transport, ask: Ask) -> None:
    """What the key took is not there for connecting."""
    with place("full") as origin:
        request = ask(origin, auth=slow_key(0.5), retry_policy=ONCE)
        error, took = ended(lambda: transport.send(request, Deadline(0.8)))
    assert isinstance(error, DeadlineExceeded)
    assert 0.75 < took < 0.8 + SLACK


def test_a_slow_name_before_a_connection_that_is_not_made(
    transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is what the name server took."""
    look_up = socket.getaddrinfo

    def getaddrinfo(*arguments: Any, **keywords: Any) -> Any:
        time.sleep(0.5)
        return look_up(*arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with place("full") as origin:
        error, took = ended(lambda: transport.send(ask(origin, retry_policy=ONCE), Deadline(0.8)))
    assert isinstance(error, DeadlineExceeded)
    assert 0.75 < took < 0.8 + SLACK


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection takes half a second to be made."""
    connect = socket.socket.connect

    def slow(self: socket.socket, address: Any) -> None:
        time.sleep(0.5)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", slow)


def test_a_handshake_has_what_is_left_of_connecting(
    certificate: Path, context: ssl.SSLContext, ask: Ask, slowly: None
) -> None:
    """One time-out for both, cut to the deadline: a handshake that stalls does not begin anew."""
    transport = Transport(verify=str(certificate), retry_policy=ONCE)
    with FaultServer(fault.ok, tls=context, on_connect=Peer.hang) as server:
        error, took = ended(lambda: transport.send(ask(server.url, timeout=(0.8, 9)), Deadline()))
        assert isinstance(error, ModelTimeoutError)
        assert took < 1.2
        error, took = ended(lambda: transport.send(ask(server.url), Deadline(0.8)))
        assert isinstance(error, DeadlineExceeded)
        assert took < 0.8 + SLACK
    transport.close()


def test_a_kept_connection_that_is_dead_before_one_that_is_not_made(
    transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second connection has what is left of the deadline."""
    with FaultServer(fault.in_turn(fault.ok, fault.fin)) as server, place("full") as origin:
        transport.send(ask(server.url), Deadline(5))
        full = ("127.0.0.1", int(origin.rpartition(":")[2]))
        connect = socket.socket.connect
        monkeypatch.setattr(socket.socket, "connect", lambda self, address: connect(self, full))
        error, took = ended(lambda: transport.send(ask(server.url, retry_policy=ONCE), Deadline(0.6)))
    assert isinstance(error, DeadlineExceeded)
    assert took < 0.6 + SLACK


def test_a_connection_that_was_alive_is_not_a_dead_one(transport: Transport, ask: Ask) -> None:
    """A server that works for a while and then leaves may have done, and billed, the work: the policy decides."""

    def work(peer: Peer, request: Request) -> None:
        peer.pause(0.7)
        peer.close()

    with FaultServer(fault.in_turn(fault.ok, work)) as server:
        transport.send(ask(server.url), Deadline(5))
        error, _ = ended(lambda: transport.send(ask(server.url, retry_policy=ONCE), Deadline(5)))
        assert isinstance(error, ModelConnectionError)
        assert (error.attempts, error.unanswered_requests, len(server.requests)) == (1, 1, 2)


# --- proxies ------------------------------------------------------------------------------------


def through(proxy: FaultServer) -> Transport:
    """A transport whose requests go through *proxy*."""
    return Transport(proxies={"https": proxy.origin}, retry_policy=ONCE, trust_env=False)


def late(peer: Peer, request: Request) -> None:
    """A tunnel after half a second, into which nobody speaks."""
    peer.pause(0.5)
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    peer.hang()


def silent_tunnel(peer: Peer, request: Request) -> None:
    """A tunnel into which nobody speaks."""
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    peer.hang()


def dripping(peer: Peer, request: Request) -> None:
    """Headers of a proxy that never end."""
    peer.send(b"HTTP/1.1 200 OK\r\nX: ")
    while not peer.server.stopping.is_set():
        peer.send(b"x")
        peer.pause(0.1)


@pytest.mark.parametrize("scenario", [fault.silent, silent_tunnel, dripping])
def test_a_tunnel_is_part_of_connecting(ask: Ask, scenario: Any) -> None:
    """A proxy that does not answer, or a handshake behind it, has the time-out for connecting, not for reading."""
    with FaultServer(scenario) as proxy:
        transport = through(proxy)
        request = ask("https://127.0.0.1:9/v1", timeout=(0.4, 30))
        error, took = ended(lambda: transport.send(request, Deadline()))
        transport.close()
    assert isinstance(error, ModelTimeoutError)
    assert (error.attempts, error.unanswered_requests) == (1, 0)
    assert took < 2


@pytest.mark.parametrize("scenario", [fault.silent, silent_tunnel, late, dripping])
def test_the_deadline_of_a_tunnel(ask: Ask, scenario: Any) -> None:
    """Neither a proxy nor the handshake behind it outlives the run's time."""
    with FaultServer(scenario) as proxy:
        transport = through(proxy)
        error, took = ended(lambda: transport.send(ask("https://127.0.0.1:9/v1"), Deadline(0.8)))
        transport.close()
    assert isinstance(error, DeadlineExceeded)
    assert took < 0.8 + SLACK


@pytest.mark.parametrize("scenario", [fault.silent, silent_tunnel])
def test_cancelling_a_tunnel(ask: Ask, scenario: Any) -> None:
    """Waiting for a proxy, and for the handshake behind it, ends when the run is cancelled."""
    deadline = Deadline(20)
    timer = threading.Timer(0.3, deadline.cancel)
    with FaultServer(scenario) as proxy:
        transport = through(proxy)
        timer.start()
        error, took = ended(lambda: transport.send(ask("https://127.0.0.1:9/v1", timeout=10), deadline))
        transport.close()
    timer.join()
    assert isinstance(error, RunCancelled)
    assert took < 2


class Relay:
    """What a proxy does with CONNECT: bytes to and fro, those of the answer as fast as it is told."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.slow = threading.Event()

    def __call__(self, peer: Peer, request: Request) -> None:
        assert request.method == "CONNECT"
        with socket.create_connection(("127.0.0.1", self.port)) as target:
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self._answers, args=(peer, target), daemon=True)
            back.start()
            try:
                while data := peer.sock.recv(65_536):
                    target.sendall(data)
            except OSError:
                pass  # the client left
            target.shutdown(socket.SHUT_RDWR)
            back.join(10)
        peer.close()

    def _answers(self, peer: Peer, target: socket.socket) -> None:
        try:
            while data := target.recv(65_536):
                step = 1 if self.slow.is_set() else len(data)
                for start in range(0, len(data), step):
                    peer.sock.sendall(data[start : start + step])
                    if step == 1:
                        peer.pause(0.05)
            peer.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # one of both left


class Behind:
    """A target behind a proxy that is spoken to by TLS, and the transport that goes there."""

    def __init__(self, target: FaultServer, relay: Relay, transport: Transport) -> None:
        self.url = target.url
        self.relay = relay
        self.transport = transport


@pytest.fixture
def behind(certificate: Path, context: ssl.SSLContext, leak_free: None) -> Iterator[Callable[[Any], Behind]]:
    """Makes one for a scenario."""
    servers: list[FaultServer] = []
    made: list[Transport] = []

    def make(scenario: Any) -> Behind:
        target = FaultServer(scenario, tls=context).__enter__()
        relay = Relay(target.port)
        proxy = FaultServer(relay, tls=context).__enter__()
        servers.extend((proxy, target))
        made.append(Transport(proxies={"https": proxy.origin}, verify=str(certificate), retry_policy=ONCE))
        return Behind(target, relay, made[-1])

    yield make
    for transport in made:
        transport.close()
    for server in servers:
        server.__exit__()


def test_tls_inside_of_a_proxys_tls(behind: Any, ask: Ask) -> None:
    """It works, more than once on a connection."""
    there = behind(fault.echo)
    for body in (b"1", b"2"):
        assert there.transport.send(ask(there.url, body=body), Deadline(10)).body == body


def test_a_proxys_own_certificate_is_checked(
    certificate: Path, context: ssl.SSLContext, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``verify=``, else with the variables for it; one that nobody vouches for is not spoken to."""
    with FaultServer(fault.say("403 No", b""), tls=context) as proxy:
        for bundle, words in ((None, "not trusted"), (str(certificate), "403 No")):
            if bundle:
                monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
            transport = Transport(proxies={"https": proxy.origin}, retry_policy=ONCE)
            with pytest.raises(ModelConnectionError, match=words):
                transport.send(ask("https://127.0.0.1:9/v1"), Deadline(10))
            transport.close()
    assert [request.method for request in proxy.requests] == ["CONNECT"]


@pytest.mark.parametrize(
    ("scenario", "changes", "error_class"),
    [
        (fault.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), {}, ModelConnectionError),
        (fault.say("200 OK", b"x" * 1000), {"max_body": 10}, ModelResponseError),
        (fault.silent, {"timeout": (5, 0.3)}, ModelTimeoutError),
    ],
    ids=["cut", "large", "silent"],
)
def test_faults_inside_of_a_proxys_tls(
    behind: Any, ask: Ask, scenario: Any, changes: dict[str, Any], error_class: type[Exception]
) -> None:
    """They are the typed errors that they are elsewhere."""
    there = behind(scenario)
    error, _ = ended(lambda: there.transport.send(ask(there.url, **changes), Deadline(10)))
    assert type(error) is error_class


def test_stopping_inside_of_a_proxys_tls(behind: Any, ask: Ask) -> None:
    """The deadline holds while one record drips, cancelling wakes the reader, and a stream can be left."""
    there = behind(fault.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{}", then="hang"))
    deadline = Deadline(20)
    timer = threading.Timer(0.5, deadline.cancel)
    timer.start()
    error, took = ended(lambda: there.transport.send(ask(there.url), deadline))
    timer.join()
    assert isinstance(error, RunCancelled)
    assert took < 2
    with there.transport.stream(ask(there.url), Deadline(5)) as stream:
        assert next(stream) == b"{}"
    there = behind(lambda peer, request: (there.relay.slow.set(), peer.answer(b"x" * 3000)))
    error, took = ended(lambda: there.transport.send(ask(there.url), Deadline(1)))
    assert isinstance(error, DeadlineExceeded)
    assert took < 1 + SLACK


# --- sending ------------------------------------------------------------------------------------


def test_a_callable_is_asked_while_a_body_is_sent(transport: Transport, ask: Ask) -> None:
    """A server that takes no more of a large body does not keep the run from being stopped."""
    stopped = threading.Event()
    timer = threading.Timer(0.3, stopped.set)
    with FaultServer(fault.ok, on_connect=Peer.hang) as server:
        timer.start()
        request = ask(server.url, body=b"x" * 20_000_000)
        error, took = ended(lambda: transport.send(request, Deadline(20, cancelled=stopped.is_set)))
    timer.join()
    assert isinstance(error, RunCancelled)
    assert error.unanswered_requests == 0
    assert took < 3


def test_a_body_is_whole_where_a_callable_is_asked(transport: Transport, ask: Ask) -> None:
    """Whatever its size, and however slowly it is taken."""
    body = bytes(range(256)) * 20_000
    with FaultServer(fault.echo) as server:
        assert transport.send(ask(server.url, body=body), Deadline(20, cancelled=lambda: False)).body == body
