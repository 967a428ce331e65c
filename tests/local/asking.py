"""Asking a fake server, and looking whether it is still there."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from syncagent.local import Endpoint

__all__ = ["get", "refuses", "seen", "within"]


def seen(endpoint: Endpoint) -> dict[str, Any]:
    """What the server was told, asked with the key."""
    return json.loads(get(f"{endpoint.base_url}/seen", endpoint.api_key))


def get(url: str, key: str = "") -> bytes:
    """The body at *url*."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - our own server
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return answer.read()


def refuses(base_url: str) -> bool:
    """Whether nobody listens there any more."""
    parts = urlsplit(base_url)
    with socket.socket() as sock:
        return sock.connect_ex((parts.hostname or "", parts.port or 0)) != 0


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether *condition* comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
