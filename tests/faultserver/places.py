"""Addresses where no request is ever read: nobody listens, nobody takes the connection, or nobody knows the name."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

__all__ = ["NAME", "place"]

NAME = "nowhere.invalid"
"""A name that no name server knows (RFC 6761, section 6.4)."""


def place(kind: str, *, tls: bool = False, port: int = 0) -> AbstractContextManager[str]:
    """
    The origin of one of :data:`tests.faultserver.catalog.PLACES` but the server, there while its ``with`` lasts.

    Args:
        tls: whether the origin says https; nobody gets as far as a handshake.
        port: where; 0 for one that is free.
    """
    scheme = "https" if tls else "http"
    if kind == "name":
        return contextlib.nullcontext(f"{scheme}://{NAME}")
    return _closed(scheme, port) if kind == "closed" else _full(scheme, port)


@contextmanager
def _closed(scheme: str, port: int) -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))  # nobody else may listen there either
        yield f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def _full(scheme: str, port: int) -> Iterator[str]:
    """The queue of connections that wait to be accepted is full: the system drops whatever else comes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", port))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield f"{scheme}://127.0.0.1:{address[1]}"
