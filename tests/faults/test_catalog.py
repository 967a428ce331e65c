"""Every fault of the catalogue, with both providers, over HTTP and TLS: what the page says is what happens."""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncagent import Agent, UsageLimits
from syncagent.exceptions import AgentRunError, ModelAPIError
from syncagent.messages import ModelResponse
from tests.faultserver import FaultServer, loop_faults
from tests.faultserver import __main__ as by_hand
from tests.faultserver.catalog import FAULTS, SECTIONS, TEXT, Fault
from tests.faultserver.dialects import DIALECTS, OPENAI, Dialect
from tests.transport.conftest import KEY, leak_free, no_wait

__all__ = ["leak_free", "no_wait"]

PROMPT = "the canary of a prompt"
SLACK = 0.25  # seconds that a call may outlive its deadline
CASES = [
    (fault, dialect, tls)
    for fault in FAULTS.values()
    for dialect, tls in (("openai", False), ("anthropic", False), ("openai", True))
    if dialect in fault.dialects
    and (tls or not fault.tls)
    and not (tls and fault.deadline and fault.section == "Stream")
]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that its own key signed, with the key behind it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    return by_hand.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_context(request: pytest.FixtureRequest) -> Any:
    """The server's side of TLS, and where its certificate is; None without TLS."""
    if not request.getfixturevalue("tls"):
        return None, None
    path = request.getfixturevalue("certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, path


@pytest.fixture(autouse=True)
def nothing_executed() -> Iterator[None]:
    """No call of the tool is left over from another fault."""
    loop_faults.executed.clear()
    yield
    loop_faults.executed.clear()


def asked(agent: Agent[None, str], fault: Fault) -> str:
    """What the agent answers, streamed where the fault is one of streams."""
    options: dict[str, Any] = {"deadline": fault.deadline, "model_settings": fault.settings or None}
    if fault.name == "many-calls":
        options["usage_limits"] = UsageLimits(tool_calls_limit=49)
    if not fault.streamed:
        return agent.run_sync(PROMPT, **options).data
    with agent.run_stream(PROMPT, **options) as result:
        return result.get_data()


def check_error(error: BaseException, fault: Fault) -> None:
    """What holds for every error: typed, whole, and with nothing in it that is nobody's business."""
    assert fault.error is not None
    assert isinstance(error, fault.error), error
    if fault.error is not ModelAPIError:
        assert type(error) is fault.error
    assert isinstance(error, AgentRunError)
    assert error.messages is not None and error.usage is not None
    for shown in (str(error), repr(error), repr(error.args)):
        assert KEY not in shown
        assert PROMPT not in shown
    if isinstance(error, ModelAPIError):
        assert error.elapsed is not None and error.elapsed >= 0
        if fault.tries:
            assert error.attempts == fault.tries
    if "`.partial`" in fault.note:
        partial = error.partial  # type: ignore[attr-defined] # an error of a stream
        assert isinstance(partial, ModelResponse) and TEXT.startswith(partial.parts[0].content)  # type: ignore[union-attr] # text


@pytest.mark.parametrize(
    ("fault", "dialect", "tls"),
    CASES,
    ids=[f"{fault.name}-{dialect}{'-tls' if tls else ''}" for fault, dialect, tls in CASES],
)
def test_fault(fault: Fault, dialect: str, tls: bool, tls_context: Any, leak_free: None, no_wait: list[float]) -> None:
    """The right class, the right number of requests, in time; nothing is leaked, of sockets and of secrets."""
    speaker: Dialect = DIALECTS[dialect]
    context, path = tls_context
    with FaultServer(fault.serve(speaker), on_connect=fault.on_connect, tls=context) as server:
        verify = str(path) if tls and fault.trusted else None
        model: Any = speaker.model(server.origin, api_key=KEY, verify=verify)
        agent: Agent[None, str] = Agent(model, tools=[loop_faults.look_up], **fault.agent)
        try:
            for _ in range(fault.runs):
                began = time.monotonic()
                if fault.error is None:
                    assert asked(agent, fault) == TEXT
                else:
                    with pytest.raises(AgentRunError) as caught:
                        asked(agent, fault)
                    check_error(caught.value, fault)
                took = time.monotonic() - began
                assert took < (20 if fault.deadline is None else fault.deadline + SLACK)
        finally:
            model.provider.transport.close()
        requests = server.requests
        if fault.name != "dead-keep-alive":
            assert len(requests) == fault.tries * fault.runs
        if fault.seen is not None:
            fault.seen(speaker, requests)
        check_requests(requests, fault, speaker)


def check_requests(requests: list[Any], fault: Fault, dialect: Dialect) -> None:
    """Each goes to the provider's path; tries of one request have one body and one idempotency key."""
    assert all(request.path == dialect.path for request in requests)
    if fault.runs == 1 and fault.section in ("Connection", "Answer", "Status"):
        assert len({request.body for request in requests}) <= 1
        assert len({request.headers["idempotency-key"] for request in requests}) <= 1


def test_waits_are_as_told(leak_free: None, no_wait: list[float]) -> None:
    """The server's word is a floor, with up to a quarter on top."""
    for name, least in (("retry-after", 1.0), ("retry-after-ms", 0.5)):
        no_wait.clear()
        with FaultServer(FAULTS[name].serve(OPENAI)) as server:
            model: Any = OPENAI.model(server.origin, api_key=KEY)
            assert Agent(model).run_sync(PROMPT).data == TEXT
            model.provider.transport.close()
        assert len(no_wait) == 1 and least <= no_wait[0] <= max(least * 1.25, 1.0)


def test_the_catalogue_is_whole() -> None:
    """Each section has faults, and each name is one word."""
    assert [section for section in SECTIONS if not any(f.section == section for f in FAULTS.values())] == []
    assert all(name == name.lower() and " " not in name for name in FAULTS)
    assert len(by_hand.MODULES) == 3
