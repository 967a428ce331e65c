"""The server: reads requests off raw sockets and lets a scenario answer, bytes and timing as it likes."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

__all__ = ["FaultServer", "Peer", "Request", "Scenario"]


class Request(NamedTuple):
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: Any, server: FaultServer) -> None:
        self.sock = sock
        self.server = server
        self.open = True
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Send *data*; a client that left is no error of the scenario."""
        self.sock.sendall(data)
        self.server.sent += len(data)

    def answer(self, body: bytes = b'{"ok": true}', status: str = "200 OK", *lines: str, length: bool = True) -> None:
        """Send a whole answer; *lines* are header lines, JSON is the type where they name none."""
        head = [f"HTTP/1.1 {status}", *lines]
        if not any(line.lower().startswith("content-type:") for line in lines):
            head.append("Content-Type: application/json")
        if length:
            head.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*head, "", ""]).encode("latin-1") + body)

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        self.server.stopping.wait(seconds)

    def hang(self) -> None:
        """Wait until the server ends."""
        self.pause(60)
        self.close()

    def close(self) -> None:
        """End the connection with a FIN."""
        self.open = False
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        """End the connection with an RST."""
        self.open = False
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def read_request(self) -> Optional[Request]:
        """The next request; None where the client left."""
        data = self._rest
        while b"\r\n\r\n" not in data:
            got = self.sock.recv(65536)
            if not got:
                return None
            data += got
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, path, _ = first.split(" ")
        length = int(headers.get("content-length", "0"))
        parts, size = [rest], len(rest)
        while size < length:
            got = self.sock.recv(1 << 20)
            if not got:
                return None
            parts.append(got)
            size += len(got)
        body = b"".join(parts)
        self._rest = body[length:]
        return Request(method, path, headers, body[:length])


Scenario = Callable[[Peer, Request], None]


class FaultServer:
    """
    Listens on a free loopback port while its ``with`` lasts.

    Args:
        scenario: called for every request, in the connection's thread.
        on_connect: called first; may end the connection before a request is read.
        tls: wraps each connection.
        port: where; 0 for one that is free.

    Attributes:
        requests: all that came, in order.
        connections: how many were made.
        sent: bytes that went out.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        on_connect: Optional[Callable[[Peer], None]] = None,
        tls: Optional[ssl.SSLContext] = None,
        port: int = 0,
    ) -> None:
        self._scenario = scenario
        self._on_connect = on_connect
        self._tls = tls
        self.requests: list[Request] = []
        self.connections = 0
        self.sent = 0
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._peers: list[Peer] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/v1/chat"

    def __enter__(self) -> FaultServer:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for peer in list(self._peers):
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
        end = time.monotonic() + 10
        for thread in list(self._threads):
            thread.join(max(0.0, end - time.monotonic()))
        self._listener.close()

    @property
    def bodies(self) -> list[Any]:
        """The JSON that came."""
        return [json.loads(request.body) for request in self.requests]

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._talk, sock)

    def _talk(self, sock: Any) -> None:
        peer = Peer(sock, self)
        self._peers.append(peer)
        try:
            # A client that leaves in the middle is what many scenarios are about.
            with contextlib.suppress(OSError):
                if self._on_connect is not None:
                    self._on_connect(peer)
                if self._tls is not None and peer.open:
                    peer.sock = self._tls.wrap_socket(sock, server_side=True)
                while peer.open and not self.stopping.is_set():
                    request = peer.read_request()
                    if request is None:
                        break
                    self.requests.append(request)
                    self._scenario(peer, request)
        finally:  # a scenario that fails must not leave its client waiting
            if peer.open:
                peer.close()
            self._peers.remove(peer)
