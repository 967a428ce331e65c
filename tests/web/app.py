"""The application that the tests serve: ``/sse`` streams a run of the model at ``UPSTREAM``, ``/threads`` counts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any

from syncagent import Agent, sse
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

__all__ = ["application"]

agent = Agent(OpenAIModel("loopback", provider=OpenAIProvider(base_url=os.environ["UPSTREAM"], api_key="loopback")))


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """A WSGI application."""
    if environ["PATH_INFO"] == "/threads":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % threading.active_count()]
    if environ["PATH_INFO"] == "/text":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return texts()
    start_response("200 OK", list(sse.HEADERS.items()))
    return sse.events(agent.run_stream_events("Hello", heartbeat=0.1))


def texts() -> Iterable[bytes]:
    """A generator of a user's own around a stream."""
    with agent.run_stream("Hello") as result:
        for text in result.stream_text(delta=True, debounce_by=None):
            yield text.encode()
