"""A server that lies about where its answer ends, or about when to come again: never a wrong answer, and one error."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from syncagent import Agent, RetryPolicy
from syncagent.exceptions import AgentRunError, ModelAPIError, ModelHTTPError
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver.catalog import TEXT
from tests.faultserver.dialects import DIALECTS, Dialect

NEVER = RetryPolicy(max_retries=0)
ONCE = RetryPolicy(max_retries=1)
OTHER = "Somebody else's answer, and nobody's here."

some = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
both = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


class Liar:
    """Sends the packets it was given last, to whoever asks."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.closes = True
        self.said = threading.Event()

    def __call__(self, peer: Peer, request: Request) -> None:
        try:
            for packet in self.packets:
                peer.send(packet)
            if self.closes:
                peer.close()
        finally:
            self.said.set()


@pytest.fixture(scope="module")
def liar() -> Iterator[tuple[Liar, FaultServer]]:
    """One server for all examples."""
    scenario = Liar()
    with FaultServer(scenario) as server:
        yield scenario, server


@pytest.fixture(scope="module")
def agents(liar: tuple[Liar, FaultServer]) -> Iterator[dict[str, Agent[None, str]]]:
    """One agent for each provider; all examples go through its connections."""
    models: dict[str, Any] = {
        name: dialect.model(liar[1].origin, api_key="a key", retry_policy=NEVER) for name, dialect in DIALECTS.items()
    }
    yield {name: Agent(model) for name, model in models.items()}
    for model in models.values():
        model.provider.transport.close()


def ask(agent: Agent[None, str], streamed: bool) -> str:
    """What the agent answers; the deadline ends a server that keeps silent, which none of these does."""
    if not streamed:
        return str(agent.run_sync("Hi", deadline=5).data)
    with agent.run_stream("Hi", deadline=5) as result:
        return str(result.get_data())


def body_of(dialect: Dialect, text: str, streamed: bool) -> bytes:
    """The right body, whole or as events."""
    return b"".join(dialect.stream(text[:5], text[5:])) if streamed else dialect.answer(text)


def head_of(streamed: bool, *lines: str) -> bytes:
    """The head of a right answer, with these lines."""
    kind = "text/event-stream" if streamed else "application/json"
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Type: {kind}", *lines, "", ""]).encode()


def right_or_typed(liar: Liar, agent: Agent[None, str], streamed: bool, *, told: bool = True) -> None:
    """The whole right answer, or one typed error that was tried once; another answer only where it was not *told*."""
    liar.said.clear()
    try:
        assert ask(agent, streamed) == TEXT or not told
    except ModelAPIError as error:
        assert error.attempts == 1
        assert str(error)
    # What is sent only after the next request went out would be its answer, and nobody could tell.
    assert liar.said.wait(10)


@both
@ways
@some
@given(length=st.one_of(st.integers(-30, 30), st.integers(-10_000, 10_000)), follows=st.booleans(), data=st.data())
def test_lies_about_the_length(
    liar: tuple[Liar, FaultServer],
    agents: dict[str, Agent[None, str]],
    dialect: Dialect,
    streamed: bool,
    length: int,
    follows: bool,
    data: st.DataObject,
) -> None:
    """A Content-Length that is too small or too large, with and without another answer behind: as it should be."""
    scenario, _ = liar
    body = body_of(dialect, TEXT, streamed)
    lines = [f"Content-Length: {max(0, len(body) + length)}"]
    if data.draw(st.booleans(), "a second length"):
        lines.append(f"Content-Length: {len(body)}")
    whole = head_of(streamed, *lines) + body
    if follows:
        other = body_of(dialect, OTHER, streamed)
        whole += head_of(streamed, f"Content-Length: {len(other)}") + other
    cut = data.draw(st.integers(0, len(whole)), "where the packets part")
    scenario.packets, scenario.closes = [whole[:cut], whole[cut:]], True
    right_or_typed(scenario, agents[dialect.name], streamed)


_SIZE = st.sampled_from(
    ["{:x}", "{:X}", "0{:x}", "{:x};a=b", "{:x} ", "+{:x}", "-{:x}", "0x{:x}", "{:d}", "", "{:x}_", "f{:x}"]
)
_LINE = st.sampled_from([b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n", b" \r\n"])
_END = st.sampled_from([b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\n", b"", b"00\r\n\r\n", b"\r\n", b"zz\r\n"])


def unchunked(sent: bytes) -> bytes:
    """The data of *sent* by RFC 9112, section 7.1, as far as it goes."""
    data = b""
    while True:
        line, _, sent = sent.partition(b"\n")
        digits = line.partition(b";")[0].strip(b" \t\r")
        if not re.fullmatch(b"[0-9a-fA-F]{1,16}", digits) or int(digits, 16) == 0:
            return data
        size = int(digits, 16)
        data += sent[:size]
        if sent[size : size + 2] != b"\r\n":
            return data
        sent = sent[size + 2 :]


@both
@ways
@some
@given(data=st.data())
def test_lies_about_chunks(
    liar: tuple[Liar, FaultServer],
    agents: dict[str, Agent[None, str]],
    dialect: Dialect,
    streamed: bool,
    data: st.DataObject,
) -> None:
    """
    Any size, any end of a line, any end of it all: text is whole, or there is none.

    But where a lie makes framing a part of the events, or the other way round, a stream says something else, and nobody
    can tell: a field that is not known is passed over (WHATWG HTML, section 9.2.6). In JSON it is an error always.
    """
    scenario, _ = liar
    body = body_of(dialect, TEXT, streamed)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=3, unique=True)))
    pieces = [body[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(body)]) if begin < end]
    wrong = data.draw(st.integers(0, len(pieces)), "the chunk that is wrong; the last one is none")
    sent = head = head_of(streamed, "Transfer-Encoding: chunked")
    for index, piece in enumerate(pieces):
        size, line, end = ("{:x}", b"\r\n", b"\r\n")
        if index == wrong:
            size, line, end = data.draw(_SIZE), data.draw(_LINE), data.draw(_LINE)
        sent += size.format(len(piece)).encode() + line + piece + end
    sent += b"0\r\n\r\n" if wrong < len(pieces) else data.draw(_END)
    cut = data.draw(st.integers(0, len(sent)), "where the packets part")
    scenario.packets, scenario.closes = [sent[:cut], sent[cut:]], True
    said = unchunked(sent[len(head) :])
    told = body.startswith(said) or said.startswith(body)
    right_or_typed(scenario, agents[dialect.name], streamed, told=told or not streamed)


@both
@ways
@some
@given(data=st.data())
def test_a_cut_anywhere(
    liar: tuple[Liar, FaultServer],
    agents: dict[str, Agent[None, str]],
    dialect: Dialect,
    streamed: bool,
    data: st.DataObject,
) -> None:
    """A connection that ends after any byte, under any framing: text is whole, or there is none."""
    scenario, _ = liar
    body = body_of(dialect, TEXT, streamed)
    framed = {
        "length": head_of(streamed, f"Content-Length: {len(body)}") + body,
        "chunks": head_of(streamed, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        "close": head_of(streamed, "Connection: close") + body,
    }[data.draw(st.sampled_from(["length", "chunks", "close"]))]
    scenario.packets, scenario.closes = [framed[: data.draw(st.integers(0, len(framed)))]], True
    right_or_typed(scenario, agents[dialect.name], streamed)


_AFTER = st.one_of(
    st.floats().map(str),
    st.integers(-(10**40), 10**40).map(str),
    st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=20),
)


@both
@some
@given(
    status=st.one_of(st.sampled_from([408, 409, 425, 429, 500, 502, 503, 504, 529]), st.integers(300, 599)),
    name=st.sampled_from(["Retry-After", "retry-after-ms"]),
    value=_AFTER,
    word=st.sampled_from([None, "true", "false", "perhaps"]),
)
@example(status=429, name="retry-after-ms", value="nan", word=None)
@example(status=503, name="Retry-After", value="Thu, 01 Jan 1970 00:00:00 -9999999", word="true")
def test_any_retry_after(
    liar: tuple[Liar, FaultServer],
    no_wait: list[float],
    dialect: Dialect,
    status: int,
    name: str,
    value: str,
    word: Any,
) -> None:
    """Any word on any status: the status's error after one or two tries, and a wait that a clock can make."""
    scenario, server = liar
    body = dialect.error("no", "server_error")
    lines = [f"HTTP/1.1 {status} No", f"{name}: {value}", f"Content-Length: {len(body)}"]
    if word is not None:
        lines.append(f"x-should-retry: {word}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    scenario.packets, scenario.closes = [head + body], True
    no_wait.clear()
    server.requests.clear()
    model: Any = dialect.model(server.origin, api_key="a key", retry_policy=ONCE)
    with pytest.raises(AgentRunError) as caught:
        Agent(model).run_sync("Hi")
    model.provider.transport.close()
    error = caught.value
    assert isinstance(error, ModelHTTPError)
    assert error.status_code == status
    assert error.attempts == len(server.requests) == len(no_wait) + 1 <= 2
    assert all(0 < wait <= 60 * 1.25 for wait in no_wait)
    if error.retry_after is not None:
        assert 0 < error.retry_after < float("inf")
        assert re.search(r"\d", value)
    if word == "false" or status < 400 or status == 402:  # redirects and bills stay what they are, whatever is said
        assert not error.retryable
    elif word == "true":
        assert error.retryable
