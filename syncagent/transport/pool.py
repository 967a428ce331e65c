"""
Pools of connections, and the shortest way through them.

A direct request, which is nearly every one, goes out and comes back here: the request in one piece, the answer's
head parsed once. urllib3 makes, checks and keeps the connections; requests through proxies take its whole way.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Mapping
from typing import Any, Optional

from requests.exceptions import InvalidHeader
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import SSLError
from urllib3.util.ssl_match_hostname import CertificateError

from .call import Call, current_call
from .connection import PlainConnection, TLSConnection
from .head import Answer, Headers, read_head, taken_over

__all__ = ["POOLS", "RawAnswer"]


class RawAnswer:
    """
    An answer with the connection that it comes on; what ``requests.Response.raw`` is.

    Attributes:
        status, reason, headers: its head.
    """

    __slots__ = ("_answer", "_connection", "_pool", "headers", "reason", "status")

    def __init__(self, answer: Answer, pool: _PoolMixin, connection: Any) -> None:
        self.status: int = answer.status
        self.reason: str = answer.reason
        self.headers: Headers = answer.headers
        self._answer = answer
        self._pool = pool
        self._connection: Any = connection

    def close(self) -> None:
        """Close the connection; nothing more can be read."""
        if self._connection is not None:
            self._connection.close()

    def release_conn(self) -> None:
        """Give the connection back to its pool."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._answer.will_close:
                connection.close()
            self._pool.put_back(connection)


class _Stack:
    """
    The connections that are kept: what urllib3 uses of ``queue.LifoQueue``, without its lock.

    What a deque does is done in one step, for all threads.
    """

    def __init__(self, maxsize: int) -> None:
        self._items: deque[Any] = deque()
        self._maxsize = maxsize

    def qsize(self) -> int:
        """How many there are."""
        return len(self._items)

    def put(self, item: Any, block: bool = False) -> None:
        """
        Keep *item*.

        Raises:
            queue.Full: there are as many as may be.
        """
        if len(self._items) >= self._maxsize:
            raise queue.Full
        self._items.append(item)

    def get(self, block: bool = False, timeout: Optional[float] = None) -> Any:
        """
        The last one that was put.

        Raises:
            queue.Empty: there is none.
        """
        try:
            return self._items.pop()
        except IndexError:
            raise queue.Empty from None


class _PoolMixin:
    """What both kinds of pool do."""

    QueueCls: Any = _Stack
    host_line = ""
    proxy: Any
    tls_settings: Any = None

    def urlopen(
        self, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Send a request and read the head of its answer, on a connection of this pool."""
        call = current_call.get()
        if call is None or self.proxy is not None:
            raw = super().urlopen(method, url, body, headers, *args, **kwargs)  # type: ignore[misc]  # the pool's
            if call is not None:
                try:
                    call.answer = taken_over(*call.odd)
                except BaseException:
                    raw.close()
                    raise
            return raw
        connection = self._get_conn()
        try:
            self._prepare(connection, call, kwargs["timeout"])
            self._send(connection, call, self._request(connection, method, url, headers, body))
            call.answer = answer = read_head(connection.sock, call, method)
            return RawAnswer(answer, self, connection)
        except BaseException:
            connection.close()
            self.put_back(connection)
            raise

    def put_back(self, connection: Any) -> None:
        """Keep *connection*, also a closed one: its place in the pool is what counts."""
        self._put_conn(connection)  # type: ignore[attr-defined]  # the pool's

    def _prepare(self, connection: Any, call: Call, timeout: Any) -> None:
        """Connect where that is to be done, and set the time-out for the sending."""
        if connection.sock is None:
            connection.timeout = timeout.connect_timeout
            try:
                self._validate_conn(connection)  # type: ignore[attr-defined]  # the pool's; connects for TLS
            except CertificateError as error:
                raise SSLError(error) from error
            if connection.sock is None:
                connection.connect()
        else:
            call.reused = True
            call.bind(connection.sock)
        left = call.deadline.remaining()
        seconds = call.read_timeout if left is None else max(0.001, min(call.read_timeout, left))
        sock: Any = getattr(connection, "sock")  # noqa: B009 - pyright takes the attribute for the None of above
        if sock.gettimeout() != seconds:  # setting it is a system call
            sock.settimeout(seconds)

    def _send(self, connection: Any, call: Call, data: memoryview) -> None:
        try:
            connection.send_whole(data, call)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a large request may say why before it has read the whole.
            if call.deadline.cancelled:
                raise

    def _request(
        self, connection: Any, method: str, url: str, headers: Mapping[str, str], body: Optional[bytes]
    ) -> memoryview:
        """
        The whole request.

        Raises:
            InvalidHeader: a value has a line break in it.
        """
        host = self.host_line
        if not host:
            host = self.host_line = _host_line(connection)
        if "host" in map(str.lower, headers):
            host = ""
        block = f"{method} {url} HTTP/1.1\r\n{host}" + "".join(
            [f"{name}: {value}\r\n" for name, value in headers.items()]
        )
        if not block.count("\r") == block.count("\n") == len(headers) + (2 if host else 1):
            raise InvalidHeader("a line break in a header")
        # A view: tracebacks with variables show the frames that hold it, and bytes would show the headers.
        return memoryview(block.encode("latin-1") + b"\r\n" + (body or b""))

    def _get_conn(self, timeout: Optional[float] = None) -> Any:
        """A kept connection that is still quiet, else a new one."""
        call = current_call.get()
        if call is None:
            return super()._get_conn(timeout)  # type: ignore[misc]  # the pool's
        try:
            connection = self.pool.get()  # type: ignore[attr-defined]  # the pool's
        except (queue.Empty, AttributeError):  # a pool that was closed in the meantime has none
            connection = None
        if connection is not None and connection.sock is not None and (call.force_fresh or connection.stirred()):
            connection.close()
        return connection or self._new_conn()  # type: ignore[attr-defined]  # the pool's


def _host_line(connection: Any) -> str:
    host = connection.host.partition("%")[0]  # a zone is this machine's own affair
    if ":" in host:
        host = f"[{host}]"
    port = connection.port
    return f"Host: {host}\r\n" if port == connection.default_port else f"Host: {host}:{port}\r\n"


class _PlainPool(_PoolMixin, HTTPConnectionPool):
    ConnectionCls: Any = PlainConnection


class _TLSPool(_PoolMixin, HTTPSConnectionPool):
    ConnectionCls: Any = TLSConnection


POOLS: dict[str, Any] = {"http": _PlainPool, "https": _TLSPool}
"""The classes of direct and proxied pools, by scheme."""
