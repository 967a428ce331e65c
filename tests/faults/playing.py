"""Playing a fault of the catalogue to an agent, and holding what comes of it to what the catalogue says."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional
from unittest import mock

import pytest

from syncagent import Agent, UsageLimits
from syncagent.exceptions import AgentRunError, ModelAPIError
from syncagent.messages import ModelResponse
from tests.faultserver import FaultServer, loop_faults
from tests.faultserver.catalog import TEXT, Fault
from tests.faultserver.dialects import Dialect
from tests.faultserver.places import NAME, place
from tests.transport.conftest import KEY

__all__ = ["PROMPT", "SLACK", "asked", "play"]

PROMPT = "the canary of a prompt"
SLACK = 0.25  # seconds that a call may outlive its deadline
STORM = 3.0  # seconds that three tries may take, with the waits between them (RELIABILITY 3.1)
OWN_WAITS = ((0.25, 0.5), (0.5, 1.0))


def play(
    fault: Fault,
    dialect: Dialect,
    waits: list[float],
    *,
    tls: Optional[tuple[ssl.SSLContext, Path]] = None,
    streamed: bool = False,
) -> None:
    """
    Show *fault* to an agent, and assert what the catalogue says of it.

    Args:
        waits: grows by each wait of the transport, which then takes no time.
        tls: the server's side, and where its certificate is.
        streamed: whether the agent streams.
    """
    error_class = (fault.stream_error if streamed else None) or fault.error
    tries = (fault.stream_tries if streamed else None) or fault.tries
    waits.clear()
    with FaultServer(fault.serve(dialect), on_connect=fault.on_connect, tls=tls[0] if tls else None) as server:
        with _address(fault, server, tls is not None) as address:
            verify = str(tls[1]) if tls is not None and fault.trusted else None
            model: Any = dialect.model(address, api_key=KEY, verify=verify)
            agent: Agent[None, str] = Agent(model, tools=[loop_faults.look_up], **fault.agent)
            try:
                for _ in range(fault.runs):
                    _run(agent, fault, error_class, tries, waits, streamed)
            finally:
                model.provider.transport.close()
                gc.collect()  # the frames that the last error came from hold its answer
        expected = fault.requests if fault.requests is not None else tries * fault.runs
        assert len(server.requests) == expected
        _check_requests(server.requests, fault, dialect)


def asked(agent: Agent[None, str], fault: Fault, streamed: bool) -> str:
    """What the agent answers."""
    options: dict[str, Any] = {"deadline": fault.deadline, "model_settings": fault.settings or None}
    if fault.name == "many-calls":
        options["usage_limits"] = UsageLimits(tool_calls_limit=49)
    if not streamed:
        return str(agent.run_sync(PROMPT, **options).data)
    with agent.run_stream(PROMPT, **options) as result:
        return str(result.get_data())


def _run(
    agent: Agent[None, str],
    fault: Fault,
    error_class: Optional[type[BaseException]],
    tries: int,
    waits: list[float],
    streamed: bool,
) -> None:
    waited = len(waits)
    began = time.monotonic()
    if error_class is None:
        assert asked(agent, fault, streamed) == TEXT
    else:
        with pytest.raises(AgentRunError) as caught:
            asked(agent, fault, streamed)
        _check_error(caught.value, fault, error_class, tries)
    took = time.monotonic() - began
    if fault.deadline is not None:
        assert fault.deadline - 0.05 < took < fault.deadline + SLACK
        return
    if fault.section == "Model and loop":
        return  # its tries are the loop's, which does not wait
    assert len(waits) - waited == tries - 1
    for wait, (least, most) in zip(waits[waited:], [fault.waits] * 2 if fault.waits else OWN_WAITS):
        assert least <= wait <= most
    if tries == 3:
        assert took + sum(waits[waited:]) < STORM


def _check_error(error: BaseException, fault: Fault, error_class: type[BaseException], tries: int) -> None:
    """Typed, whole, and with nothing in it that is nobody's business."""
    assert isinstance(error, error_class), error
    if error_class is not ModelAPIError:
        assert type(error) is error_class
    assert isinstance(error, AgentRunError)
    assert error.messages is not None and error.usage is not None
    for shown in (str(error), repr(error), repr(error.args)):
        assert KEY not in shown
        assert PROMPT not in shown
    if isinstance(error, ModelAPIError):
        assert error.elapsed is not None and error.elapsed >= 0
        assert error.attempts == tries
    if error_class is fault.error:
        assert [word for word in fault.words if word not in str(error)] == []
        assert {name: getattr(error, name) for name in fault.attributes} == fault.attributes
    if "`.partial`" in fault.note:
        partial = error.partial  # type: ignore[attr-defined] # an error of a stream
        assert isinstance(partial, ModelResponse) and TEXT.startswith(partial.parts[0].content)  # type: ignore[union-attr] # text


def _check_requests(requests: list[Any], fault: Fault, dialect: Dialect) -> None:
    """Each goes to the provider's path; tries of one request have one body and one idempotency key."""
    assert all(request.path == dialect.path for request in requests)
    if fault.runs == 1 and fault.section != "Model and loop":
        assert len({request.body for request in requests}) <= 1
        assert len({request.headers["idempotency-key"] for request in requests}) <= 1
    if fault.seen is not None:
        fault.seen(dialect, requests)


@contextmanager
def _address(fault: Fault, server: FaultServer, tls: bool) -> Iterator[str]:
    """Where the client is sent; a look-up of its name ends as the fault says."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **keywords: Any) -> Any:
        if host == NAME:
            raise socket.gaierror(fault.resolver, "the resolver's words")
        return look_up(host, *arguments, **keywords)

    with contextlib.ExitStack() as stack:
        if fault.place == "server":
            yield server.origin
            return
        if fault.resolver is not None:
            stack.enter_context(mock.patch.object(socket, "getaddrinfo", getaddrinfo))
        yield stack.enter_context(place(fault.place, tls=tls))
