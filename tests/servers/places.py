"""
The places in a run at which it is interrupted: connecting, in the handshake, and so on; for children of tests.

It imports syncagent only when a :class:`Places` is made, so that gevent may patch before or after.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any, Optional

from tests.faultserver import FaultServer
from tests.servers.upstream import Upstream

__all__ = ["PLACES", "Places", "open_sockets"]

PLACES = ["connect", "handshake", "head", "body", "wait", "tool", "stream"]


class Places:
    """
    An agent, and for each place a run that stays there until it is ended.

    Args:
        url: the base URL of the upstream.
        secure: the same of one whose TLS handshake does not get on; None where there is none.
        bundle: the certificate of that one.
        arrived: called with a place where the upstream does not see that a run has come there.
    """

    def __init__(
        self,
        url: str,
        secure: Optional[str] = None,
        bundle: Optional[str] = None,
        arrived: Callable[[str], None] = lambda place: None,
    ) -> None:
        from syncagent import Agent
        from syncagent.models.openai import OpenAIModel
        from syncagent.providers.openai import OpenAIProvider

        def model(base_url: str, **settings: Any) -> OpenAIModel:
            return OpenAIModel("m", provider=OpenAIProvider(base_url=base_url, api_key="loopback", **settings))

        self._arrived = arrived
        self._make = model
        self._models: dict[str, OpenAIModel] = {}
        if secure is not None:
            self._models["handshake"] = model(secure, verify=bundle)
        self._model = model(url)
        self.agent: Agent[None, str] = Agent(self._model)

        @self.agent.tool_plain
        def work(tag: str) -> str:
            arrived("tool")
            time.sleep(60)
            return tag

    def prepare(self, place: str) -> None:
        """To be called before :meth:`stay`."""
        if place == "connect":
            self._crowded = _Crowded()
            self._models[place] = self._make(f"{self._crowded.server.origin}/v1")
        elif place == "handshake":
            self._models[place].provider.transport.close()  # a kept connection has its handshake behind it

    def stay(self, place: str) -> None:
        """Run the agent until it is at *place*, and stay there."""
        if place == "stream":
            with self.agent.run_stream("stream x") as result:
                for _ in result.stream_text():
                    continue
            return
        if place in self._models:
            self._arrived(place)
        prompt = {"wait": "busy x", "tool": "tool x", "connect": "say x", "handshake": "say x"}.get(place, f"{place} x")
        self.agent.run_sync(prompt, model=self._models.get(place, self._model))

    def say(self, place: str, tag: str) -> str:
        """Ask the same model again, which answers now."""
        if place == "connect":
            with self._crowded.served():
                return self.agent.run_sync(f"say {tag}", model=self._models[place]).data
        return self.agent.run_sync(f"say {tag}", model=self._models.get(place, self._model)).data


class _Crowded:
    """A server whose queue of connections is full: whoever connects has to wait."""

    def __init__(self) -> None:
        self.server = FaultServer(Upstream())
        self.server._listener.listen(0)
        self._first = [socket.socket() for _ in range(4)]
        for sock in self._first:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.server.port))

    def served(self) -> FaultServer:
        """The server, as it begins to answer."""
        for sock in self._first:
            sock.close()
        self.server._listener.listen(16)
        return self.server


def open_sockets() -> int:
    """How many sockets this process has open."""
    found = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
        except FileNotFoundError:  # of the listing itself
            continue
    return found
