"""The pools: what goes out, in how many pieces, and what becomes of the connections."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests

from syncagent.deadline import Deadline
from syncagent.exceptions import ModelHTTPError, UserError
from syncagent.transport import HttpRequest, Transport
from syncagent.transport.pool import _Stack
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault

Ask = Callable[..., HttpRequest]


def test_the_host_header(transport: Transport, ask: Ask) -> None:
    """The host with its port where it is not the scheme's; the caller's own wins, and stands there once."""
    with FaultServer(fault.ok) as server:
        transport.send(ask(server.url), Deadline())
        transport.send(ask(server.url.replace("127.0.0.1", "localhost")), Deadline())
        transport.send(ask(server.url, headers={"HOST": "elsewhere.example"}), Deadline())
        hosts = [request.headers["host"] for request in server.requests]
        assert hosts == [f"127.0.0.1:{server.port}", f"localhost:{server.port}", "elsewhere.example"]


def test_the_host_header_of_an_ipv6_address(transport: Transport, ask: Ask) -> None:
    """It has brackets."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("the machine has no IPv6")
    heads: list[bytes] = []

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            heads.append(sock.recv(65_536))
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        port = listener.getsockname()[1]
        assert transport.send(ask(f"http://[::1]:{port}/v1"), Deadline(10)).body == b"{}"
        thread.join()
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in heads[0]


@pytest.mark.parametrize("key", ["one\r\nX-Other: two", "one\ntwo", "one\rtwo"])
def test_no_header_becomes_two(transport: Transport, ask: Ask, key: str) -> None:
    """A line break in a value that nobody looked at before is refused, and nothing is sent."""
    with FaultServer(fault.ok) as server:
        with pytest.raises(UserError, match="cannot be sent"):
            transport.send(ask(server.url, idempotency_key=key), Deadline())
        assert server.requests == []


def test_a_small_request_is_one_packet(transport: Transport, ask: Ask) -> None:
    """Headers and body come together: a server that reads once has both."""
    first: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            first.append(sock.recv(65_536))
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        transport.send(ask(f"http://127.0.0.1:{listener.getsockname()[1]}/v1"), Deadline(10))
        thread.join()
    assert first[0].endswith(b'{"question": 1}')


def test_a_server_that_refuses_while_it_reads(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """A large request that is refused before the server has read it: what the server said is the error."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 17\r\nConnection: close\r\n\r\n" + b'{"error": "size"}'

    def refuse(peer: Peer) -> None:
        peer.sock.recv(1024)
        peer.sock.sendall(refusal)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.pause(0.3)
        while peer.sock.recv(1 << 20):  # else the kernel resets what the client has not read yet
            continue

    with FaultServer(fault.ok, on_connect=refuse) as server, pytest.raises(ModelHTTPError) as caught:
        transport.send(ask(server.url, body=b"x" * 30_000_000), Deadline(20))
    assert (caught.value.status_code, caught.value.body) == (413, {"error": "size"})


def test_a_connection_that_stirs_is_not_used(transport: Transport, ask: Ask) -> None:
    """What a server sends while nothing was asked is never the answer to the next question."""

    def stray(peer: Peer, request: Request) -> None:
        peer.answer(request.body)
        if request.body == b"1":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")
            sent.set()

    sent = threading.Event()
    with FaultServer(stray) as server:
        assert transport.send(ask(server.url, body=b"1"), Deadline(10)).body == b"1"
        assert sent.wait(5)
        assert transport.send(ask(server.url, body=b"2"), Deadline(10)).body == b"2"
        assert transport.send(ask(server.url, body=b"3"), Deadline(10)).body == b"3"
        assert server.connections == 2


def test_where_the_system_has_no_poll(transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """urllib3's own look at a connection does as well."""
    monkeypatch.setattr("syncagent.transport.connection._HAS_POLL", False)
    with FaultServer(fault.ok) as server:
        for _ in range(3):
            transport.send(ask(server.url), Deadline(10))
        assert server.connections == 1


def test_more_threads_than_places(ask: Ask) -> None:
    """Where the pool is full a connection is closed, not kept; nobody waits for a place."""
    small = Transport(pool_size=2)
    gate = threading.Barrier(6)

    def together(peer: Peer, request: Request) -> None:
        gate.wait(10)
        peer.answer()

    with FaultServer(together) as server:
        threads = [
            threading.Thread(target=lambda: small.send(ask(server.url), Deadline(10))) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections == 6
    small.close()


def test_the_sessions_adapter_without_a_call(transport: Transport) -> None:
    """Who sends through the session's adapter by hand gets urllib3's way, whole."""
    own: Any = transport.session()
    with FaultServer(fault.ok) as server:
        prepared = requests.Request("GET", server.url).prepare()
        for _ in range(2):
            response = own._session.get_adapter(server.url).send(prepared, timeout=5)
            assert response.json() == {"ok": True}
        assert server.connections == 1


def test_a_stack() -> None:
    """Last in, first out; full and empty as the queue that it stands for says it."""
    stack = _Stack(2)
    stack.put(1)
    stack.put(2, block=False)
    with pytest.raises(queue.Full):
        stack.put(3)
    assert (stack.qsize(), stack.get(), stack.get(block=False, timeout=1), stack.qsize()) == (2, 2, 1, 0)
    with pytest.raises(queue.Empty):
        stack.get()


def test_connecting_that_is_interrupted_leaves_no_socket(
    transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes in the middle of it passes through, and the socket is closed by then."""
    made: list[socket.socket] = []

    def connect(self: socket.socket, address: Any) -> None:
        made.append(self)
        raise KeyboardInterrupt

    with FaultServer(fault.ok) as server:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(socket.socket, "connect", connect)
            transport.send(ask(server.url), Deadline(10))
        assert [sock.fileno() for sock in made] == [-1]
        assert transport.send(ask(server.url), Deadline(10)).status == 200
