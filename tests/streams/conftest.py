"""What the tests of streams over real sockets share: agents of a loopback server, and a look for leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
from syncagent.transport import RetryPolicy, Transport
from tests.faultserver import FaultServer
from tests.transport.conftest import leak_free

__all__ = ["AgentOf", "agent_of", "leak_free"]

AgentOf = Callable[..., "Agent[None, Any]"]


@pytest.fixture
def agent_of(leak_free: None) -> Iterator[AgentOf]:
    """Makes an agent that asks a server, over connections that are closed at the end."""
    transport = Transport(retry_policy=RetryPolicy(max_retries=1))

    def make(server: FaultServer, **options: Any) -> Agent[None, Any]:
        provider = OpenAIProvider(base_url=f"{server.origin}/v1", api_key="sk-canary-0123456789")
        provider._transport = transport
        return Agent(OpenAIModel("loopback", provider=provider), **options)

    yield make
    transport.close()
