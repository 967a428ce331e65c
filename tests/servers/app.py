"""
The application that the servers serve: ``/?say+x`` runs an agent on the prompt ``say x``.

The agent is made at import, as users do, and where ``WARM`` is set it is used there too: a server that imports
before it forks hands a connection in use to its workers. What becomes of a request is written to the file ``NOTES``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

__all__ = ["agent", "application", "work"]

agent = Agent(OpenAIModel("loopback", provider=OpenAIProvider(base_url=os.environ["UPSTREAM"], api_key="loopback")))


@agent.tool_plain
def work(tag: str) -> str:
    """Done by the process that was asked."""
    return f"{tag} by {os.getpid()}"


if "WARM" in os.environ:
    agent.run_sync(f"say warm@{os.getpid()}")


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """A WSGI application."""
    prompt = f"{unquote_plus(environ['QUERY_STRING'])}@{os.getpid()}"
    try:
        answer = {"data": agent.run_sync(prompt).data, "pid": os.getpid()}
        note("answered")
    except BaseException as error:
        note(f"passed on {type(error).__name__}")
        raise
    finally:
        note("finally")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def note(line: str) -> None:
    """Write a line where the test looks for it."""
    with open(os.environ["NOTES"], "a", encoding="utf-8") as notes:
        notes.write(f"{os.getpid()} {line}\n")
