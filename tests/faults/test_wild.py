"""Answers that nobody has thought of: the right answer or one typed error, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncagent import Agent, RetryPolicy
from syncagent.deadline import Deadline
from syncagent.exceptions import AgentRunError, ModelAPIError, ModelResponseError
from syncagent.messages import ModelRequest, UserPromptPart
from syncagent.models.bedrock import BedrockConverseModel
from syncagent.models.cohere import CohereModel
from syncagent.models.gemini import GeminiModel
from syncagent.models.openai_responses import OpenAIResponsesModel
from syncagent.providers.bedrock import BedrockProvider
from syncagent.providers.cohere import CohereProvider
from syncagent.providers.google_gla import GoogleGLAProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.tools import ModelRequestParameters
from syncagent.transport import HttpRequest, Transport
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver.catalog import TEXT
from tests.faultserver.chat import HEAD, chunk
from tests.faultserver.dialects import DIALECTS
from tests.faultserver.stream_faults import events
from tests.json_places import changed, places
from tests.transport.conftest import leak_free

__all__ = ["leak_free"]

NEVER = RetryPolicy(max_retries=0)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
slow = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class Wild:
    """A server that answers with the bytes it was given last, and closes."""

    def __init__(self) -> None:
        self.data = b""
        self.closes = True

    def __call__(self, peer: Peer, request: Request) -> None:
        peer.send(self.data)
        if self.closes:
            peer.close()


@pytest.fixture(scope="module")
def wild() -> Iterator[tuple[Wild, FaultServer]]:
    """One server for all examples."""
    scenario = Wild()
    with FaultServer(scenario) as server:
        yield scenario, server


@pytest.fixture(scope="module")
def transport() -> Iterator[Transport]:
    """One transport for all examples."""
    made = Transport(retry_policy=NEVER)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def closed(leak_free: None) -> Iterator[None]:
    """The connections that the models of a test share are closed when it is over."""
    yield
    DIALECTS["openai"].model("http://127.0.0.1:9", api_key="k", retry_policy=NEVER).provider.transport.close()  # type: ignore[attr-defined] # a model of ours


def headed(status: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    """An answer of these, whatever they mean."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + body


_LINE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=12)
_KNOWN = st.sampled_from(
    [
        ("Content-Length", "5"),
        ("Content-Length", "0"),
        ("Content-Length", "-1"),
        ("Content-Length", "nonsense"),
        ("Transfer-Encoding", "chunked"),
        ("Transfer-Encoding", "gzip, chunked"),
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "zstd"),
        ("Content-Type", "text/html"),
        ("Content-Type", "application/json"),
        ("Connection", "close"),
        ("Location", "/elsewhere"),
        ("Retry-After", "nan"),
        ("x-should-retry", "perhaps"),
    ]
)
_HEADERS = st.lists(st.one_of(_KNOWN, st.tuples(_LINE, _LINE)), max_size=5)
_STATUS = st.one_of(
    st.sampled_from(["200 OK", "204 No", "206 Part", "304 Not", "401 No", "429 Slow", "500 Oops", "600 x", "99 x", ""]),
    st.integers(100, 599).map(lambda number: f"{number} x"),
    _LINE,
)
_BODY = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b'{"a": 1}', b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"zz\r\n", b"\x1f\x8b\x08\x00"]),
    JSON.map(lambda value: json.dumps(value).encode()),
)


@slow
@given(status=_STATUS, headers=_HEADERS, body=_BODY)
def test_any_answer_of_a_server(
    wild: tuple[Wild, FaultServer], transport: Transport, status: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    """Any status line, headers that lie about the length, any bytes: a 2xx answer, or one typed error."""
    scenario, server = wild
    scenario.data, scenario.closes = headed(status, headers, body), True
    request = HttpRequest("POST", server.url, headers={}, body=b"{}", model_name="m", retry_policy=NEVER)
    try:
        answer = transport.send(request, Deadline(5))
        assert 200 <= answer.status < 300
        answer.json()
    except ModelAPIError as error:
        assert error.attempts == 1
        assert str(error)


def models(address: str) -> dict[str, Callable[[], Any]]:
    """A model of each wire that asks the server."""
    return {
        "chat": lambda: DIALECTS["openai"].model(address, api_key="k", retry_policy=NEVER),
        "anthropic": lambda: DIALECTS["anthropic"].model(address, api_key="k", retry_policy=NEVER),
        "responses": lambda: OpenAIResponsesModel("m", provider=OpenAIProvider(address, "k", retry_policy=NEVER)),
        "gemini": lambda: GeminiModel("m", provider=GoogleGLAProvider(address, "k", retry_policy=NEVER)),
        "cohere": lambda: CohereModel("m", provider=CohereProvider(address, "k", retry_policy=NEVER)),
        "bedrock": lambda: BedrockConverseModel(
            "m", provider=BedrockProvider(base_url=address, api_key="k", retry_policy=NEVER)
        ),
    }


WIRES = list(models(""))


@pytest.mark.parametrize("wire", WIRES)
@slow
@given(body=JSON)
def test_any_json_as_an_answer(wild: tuple[Wild, FaultServer], wire: str, body: Any) -> None:
    """For each wire: a response, or a ModelResponseError."""
    scenario, server = wild
    data = json.dumps(body).encode()
    scenario.data, scenario.closes = headed("200 OK", [("Content-Length", str(len(data)))], data), False
    model = models(server.origin)[wire]()
    try:
        model.request([ModelRequest([UserPromptPart("Hi")])], None, ModelRequestParameters())
    except ModelResponseError:
        pass  # what is neither passes through, and fails the test


def dotted(path: tuple[Any, ...]) -> str:
    """A path as errors write it."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def run(model: Any, path: tuple[Any, ...], *, streamed: bool) -> None:
    """Run an agent to its end; only typed errors may come, and those of a wrong type name the place of *path*."""
    agent: Agent[None, str] = Agent(model, tools=[look_up], retries=0)
    try:
        if streamed:
            with agent.run_stream("Hi", deadline=5) as result:
                result.get_data()
        else:
            agent.run_sync("Hi", deadline=5)
    except AgentRunError as error:
        found = re.search(r"cannot be used: ([\w.\[\]]+): expected", str(error))
        if found:
            # Above or below the wrong node: an object that is no object is named by what is missing in it.
            # Anthropic's events have their type before the place; a message that begins is the answer itself.
            frame = r"^((message|content_block)_\w+\.)?(message\b\.?)?"
            named, place = re.sub(frame, "", found[1]), re.sub(frame, "", dotted(path))
            assert named.startswith(place) or place.startswith(named)


def look_up(word: Optional[str] = None) -> str:
    """Say something."""
    return "something"


@pytest.mark.parametrize("dialect", list(DIALECTS))
@pytest.mark.parametrize("kind", ["text", "calls"])
@slow
@given(data=st.data())
def test_one_wrong_node_in_an_answer(
    wild: tuple[Wild, FaultServer], dialect: str, kind: str, data: st.DataObject
) -> None:
    """Any node of a right answer replaced or taken away: the run ends well, or with one typed error."""
    scenario, server = wild
    speaker = DIALECTS[dialect]
    right = json.loads(speaker.answer(TEXT) if kind == "text" else speaker.calls(("call_1", "look_up", "{}")))
    path = data.draw(st.sampled_from(list(places(right))))
    body = json.dumps(changed(right, path, data.draw(JSON), data.draw(st.booleans()))).encode()
    scenario.data, scenario.closes = headed("200 OK", [("Content-Length", str(len(body)))], body), False
    run(speaker.model(server.origin, api_key="k", retry_policy=NEVER), path, streamed=False)


@pytest.mark.parametrize("dialect", list(DIALECTS))
@slow
@given(data=st.data())
def test_one_wrong_node_in_a_stream(wild: tuple[Wild, FaultServer], dialect: str, data: st.DataObject) -> None:
    """The same for one event of a stream; the events around it are right."""
    scenario, server = wild
    speaker = DIALECTS[dialect]
    found = events(speaker)
    index = data.draw(st.sampled_from([i for i, event in enumerate(found) if b"data: {" in event]))
    head, _, text = found[index].partition(b"data: ")
    right = json.loads(text)
    path = data.draw(st.sampled_from(list(places(right))))
    wrong = json.dumps(changed(right, path, data.draw(JSON), data.draw(st.booleans()))).encode()
    found[index] = head + b"data: " + wrong + b"\n\n"
    scenario.data, scenario.closes = HEAD + chunk(b"".join(found)) + b"0\r\n\r\n", False
    run(speaker.model(server.origin, api_key="k", retry_policy=NEVER), path, streamed=True)
