"""What goes out, what comes back, and what the environment and a caller's session may change of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional

import pytest
import requests
import responses

from syncagent.deadline import Deadline
from syncagent.exceptions import (
    DeadlineExceeded,
    MissingKeyError,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelResponseError,
    ModelTimeoutError,
    RunCancelled,
    UserError,
)
from syncagent.transport import HttpRequest, RetryPolicy, Transport, shared_transport
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault
from tests.trust.looking import variables

from .conftest import KEY

Ask = Callable[..., HttpRequest]


def test_one_exchange(transport: Transport, ask: Ask) -> None:
    """Method, path, headers, key and body arrive; status, headers, body and id come back."""
    scenario = fault.say("201 Made", b'{"a": [1, 2.5, "\xc3\xa9"]}', "X-Request-ID: req_1", "X-Two: a", "x-two: b")
    with FaultServer(scenario) as server:
        answer = transport.send(ask(server.url + "?q=1", headers={"X-Mine": "yes"}), Deadline(20))
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat?q=1", b'{"question": 1}')
    assert request.headers["authorization"] == "Bearer sk-canary-0123456789abcdef"
    assert request.headers["x-mine"] == "yes"
    assert request.headers["content-length"] == "15"
    assert request.headers["accept-encoding"] == "identity, gzip"
    assert request.headers["user-agent"] == "syncagent"
    assert len(request.headers["idempotency-key"]) == 32
    assert (answer.status, answer.attempts, answer.request_id) == (201, 1, "req_1")
    assert answer.json() == {"a": [1, 2.5, "é"]}
    assert answer.headers["X-TWO"] == "a, b"
    assert 0 < answer.elapsed < 20


def test_headers_of_the_caller_win(transport: Transport, ask: Ask) -> None:
    """A User-Agent and an idempotency key that were given are the ones that are sent."""
    with FaultServer(fault.ok) as server:
        request = ask(server.url, headers={"user-agent": "mine"}, idempotency_key="key-1")
        transport.send(request, Deadline())
    assert server.requests[0].headers["user-agent"] == "mine"
    assert server.requests[0].headers["idempotency-key"] == "key-1"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[list[bytes]]:
    """The header lines of each request as they go out: a server's dict would hide those that are there twice."""
    from syncagent.transport.connection import PlainConnection

    seen: list[list[bytes]] = []
    send_whole = PlainConnection.send_whole

    def send(self: Any, data: memoryview, call: Any) -> None:
        seen.append(bytes(data).partition(b"\r\n\r\n")[0].split(b"\r\n")[1:])
        send_whole(self, data, call)

    monkeypatch.setattr(PlainConnection, "send_whole", send)
    return seen


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "ACCEPT-ENCODING", "authorization"])
def test_no_header_goes_out_twice(transport: Transport, ask: Ask, written: list[list[bytes]], name: str) -> None:
    """Whatever its case: the caller's key for idempotency wins over ours, our packing and the key over the caller's."""
    with FaultServer(fault.ok) as server:
        transport.send(ask(server.url, headers={name: "mine"}), Deadline())
    (lines,) = written
    names = [line.partition(b":")[0].lower() for line in lines]
    assert len(set(names)) == len(names)
    values = [line.partition(b": ")[2] for line in lines if line.lower().startswith(name.lower().encode())]
    assert values == [
        {"idempotency-key": b"mine", "accept-encoding": b"identity, gzip"}.get(name.lower(), f"Bearer {KEY}".encode())
    ]


@pytest.mark.parametrize("own", [True, False], ids=["ours", "the caller's session"])
@pytest.mark.parametrize("name", ["content-length", "Transfer-Encoding", "connection"])
def test_headers_that_are_the_transports(ask: Ask, name: str, own: bool) -> None:
    """Who says where the body ends could part a request in two; nothing is sent."""
    with FaultServer(fault.ok) as server, requests.Session() as session:
        transport = Transport(session=None if own else session)
        with pytest.raises(UserError, match=f"{name} is the transport's own"):
            transport.send(ask(server.url, headers={name: "3"}), Deadline())
        transport.close()
    assert server.connections == 0


def test_get_has_neither_body_nor_key(transport: Transport, ask: Ask) -> None:
    """A GET goes out without a body, a length and an idempotency key; an empty POST says that it is empty."""
    with FaultServer(fault.ok) as server:
        transport.send(ask(server.url, method="GET", body=None, auth=None), Deadline())
        transport.send(ask(server.url, body=None), Deadline())
    get, post = server.requests
    assert not {"content-length", "idempotency-key", "authorization"} & set(get.headers)
    assert post.headers["content-length"] == "0"


def test_headers_may_change_between_requests(transport: Transport, ask: Ask) -> None:
    """What is prepared once for an address is prepared again when the headers are others."""
    with FaultServer(fault.ok) as server:
        for value in ("a", "b", "b"):
            transport.send(ask(server.url, headers={"X": value}), Deadline())
    assert [request.headers["x"] for request in server.requests] == ["a", "b", "b"]
    assert server.connections == 1


@pytest.mark.parametrize("size", [0, 1, 65_000, 65_536, 70_000, 1_000_000])
def test_bodies_of_any_size(transport: Transport, ask: Ask, size: int) -> None:
    """Small bodies leave with the headers, large ones in pieces; both arrive and come back."""
    body = bytes(number % 251 for number in range(size))
    with FaultServer(fault.echo) as server:
        assert transport.send(ask(server.url, body=body), Deadline(20)).body == body


def test_the_signer_sees_what_is_sent(transport: Transport, ask: Ask) -> None:
    """The auth function is given method, final address, headers and body; its headers win."""
    seen: list[Any] = []

    def auth(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        seen.append((method, url, headers["x-mine"], headers.get("nothing", "-"), "X-MINE" in headers, body))
        return {"X-Mine": "signed"}

    with FaultServer(fault.ok) as server:
        transport.send(ask(server.url, headers={"X-Mine": "plain"}, auth=auth), Deadline())
    assert seen == [("POST", server.url, "plain", "-", True, b'{"question": 1}')]
    assert server.requests[0].headers["x-mine"] == "signed"


def test_a_missing_key_is_the_signers_error(transport: Transport, ask: Ask) -> None:
    """An error of the auth function passes through; nothing is sent."""

    def auth(*_: Any) -> Mapping[str, str]:
        raise MissingKeyError("no key")

    with FaultServer(fault.ok) as server, pytest.raises(MissingKeyError):
        transport.send(ask(server.url, auth=auth), Deadline())
    assert server.connections == 0


@pytest.mark.parametrize("key", ["sk-secret\n", "sk-secr\u00e9t", "sk-\x00secret", 7])
def test_keys_that_cannot_be_sent(transport: Transport, ask: Ask, key: Any) -> None:
    """A key with a line break is a ``UserError`` that names the header and hides the key."""
    with pytest.raises(UserError, match="x-api-key") as caught:
        transport.send(ask("http://127.0.0.1:9/", auth=lambda *_: {"x-api-key": key}), Deadline())
    assert "secr" not in repr(caught.value)


@pytest.mark.parametrize("headers", [{"X": "a\nb"}, {"X": 7}, {"X": "\u20ac"}, {"X y\n": "a"}, {"X y": "a"}])
def test_headers_that_cannot_be_sent(transport: Transport, ask: Ask, headers: Any) -> None:
    """A header with a line break or a wrong type is a ``UserError``."""
    with pytest.raises(UserError, match="header"):
        transport.send(ask("http://127.0.0.1:9/", headers=headers), Deadline())


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "ftp://api.example.com",
        "http://",
        "https:///v1",
        "http://user:password@api.example.com",
        "http://127.0.0.1:9\\@example.com/",
        "http://127.0.0.1:9/a b",
        "http://127.0.0.1:9/\n",
        "http://127.0.0.1:99999/",
        "http://*.example.com/",
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_addresses_that_are_refused(transport: Transport, ask: Ask, url: str, own: bool) -> None:
    """Addresses that parsers read differently, or with credentials in them, are a ``UserError`` without those."""
    with requests.Session() as session:
        way = transport if own else Transport(session=session)
        with pytest.raises(UserError) as caught:
            way.send(ask(url), Deadline())
    assert "password" not in str(caught.value).replace("user name or password", "")


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), True, (1,), (1, 0), ("a", "b")])
def test_impossible_timeouts(transport: Transport, ask: Ask, timeout: Any) -> None:
    """A time-out that is no positive number is a ``UserError``."""
    with pytest.raises(UserError, match="timeout"):
        transport.send(ask("http://127.0.0.1:9/", timeout=timeout), Deadline())


@pytest.mark.parametrize("value", ["a\n", "\na", "a\r"])
def test_line_breaks_that_older_requests_let_pass(value: str) -> None:
    """A line break at the end of a value is seen by ourselves."""
    from syncagent.transport.session import _checked

    with pytest.raises(ValueError, match="header value"):
        _checked("X", value)


def test_cookies_are_refused(transport: Transport, ask: Ask) -> None:
    """A cookie is never sent back: the session is shared by all users of the process."""
    with FaultServer(fault.say("200 OK", b"{}", "Set-Cookie: user=alice; Path=/")) as server:
        for _ in range(3):
            transport.send(ask(server.url), Deadline())
    assert [request.headers.get("cookie") for request in server.requests] == [None] * 3


@pytest.mark.parametrize("own", [True, False])
def test_netrc_is_never_read(
    transport: Transport, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """A netrc file with the host in it does not replace the key."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login alice password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultServer(fault.ok) as server, requests.Session() as session:
        way = transport if own else Transport(session=session)
        way.send(ask(server.url), Deadline())
    assert server.requests[0].headers["authorization"] == "Bearer sk-canary-0123456789abcdef"


def test_proxies_of_the_environment(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY counts, NO_PROXY takes it back, ``trust_env=False`` turns both off; a change later is not seen."""
    with FaultServer(fault.ok) as proxy, FaultServer(fault.ok) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        trusting, deaf = Transport(), Transport(trust_env=False)
        trusting.send(ask(server.url), Deadline())
        assert (len(proxy.requests), len(server.requests)) == (1, 0)
        assert proxy.requests[0].path == server.url
        deaf.send(ask(server.url), Deadline())
        assert (len(proxy.requests), len(server.requests)) == (1, 1)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        trusting.send(ask(server.url), Deadline())
        assert len(proxy.requests) == 2
        fresh = Transport()
        fresh.send(ask(server.url), Deadline())
        assert (len(proxy.requests), len(server.requests)) == (2, 2)
        for transport in (trusting, deaf, fresh):
            transport.close()


def test_explicit_proxies_win(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """``proxies=`` beats the environment; the deadline holds through a proxy; its password stays out of errors."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with FaultServer(fault.in_turn(fault.ok, fault.drip_body)) as proxy:
        address = proxy.origin.replace("//", "//alice:proxysecret@")
        transport = Transport(proxies={"http": address})
        transport.send(ask("http://model.example/v1"), Deadline())
        assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
        with pytest.raises(RuntimeError, match="deadline") as caught:
            transport.send(ask("http://model.example/v1"), Deadline(0.4))
        assert "proxysecret" not in repr(caught.value)
        transport.close()


def test_a_redirect_through_a_proxy_is_not_followed(ask: Ask) -> None:
    """Neither the proxy's password nor the key goes to the address that a proxy, or who answers through it, names."""
    with FaultServer(fault.ok) as other:
        redirect = fault.say("307 Elsewhere", b"{}", f"Location: {other.url}")
        with FaultServer(redirect) as proxy:
            transport = Transport(proxies={"http": proxy.origin.replace("//", "//alice:proxysecret@")})
            with pytest.raises(ModelHTTPError, match="Redirects are not followed") as caught:
                transport.send(ask("http://model.example/v1"), Deadline())
            transport.close()
    assert (caught.value.status_code, len(proxy.requests), other.connections) == (307, 1, 0)


def test_a_request_does_not_choose_its_address(leak_free: None) -> None:
    """Whatever words for an address stand in further keys of a body or in a history: the configured one is asked."""
    from syncagent import Agent
    from syncagent.messages import ModelMessagesTypeAdapter
    from syncagent.models.openai import OpenAIModel
    from syncagent.providers.openai import OpenAIProvider

    stored = (
        b'[{"kind": "request", "base_url": "%b", "parts": [{"part_kind": "user-prompt", "content": "Hi"}]}, '
        b'{"kind": "response", "base_url": "%b", "model_name": "%b", "parts": [{"part_kind": "text", "content": "x"}]}]'
    )
    answer = b'{"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]}'
    with FaultServer(fault.ok) as other, FaultServer(fault.say("200 OK", answer)) as server:
        where = other.origin.encode()
        model = OpenAIModel("m", provider=OpenAIProvider(f"{server.origin}/v1", KEY))
        words = {"base_url": other.origin, "api_base": other.origin, "url": other.origin, "host": other.origin}
        result = Agent(model).run_sync(
            "And now?",
            message_history=ModelMessagesTypeAdapter.validate_json(stored % (where, where, where)),
            model_settings={"extra_body": words},
        )
        model.provider.transport.close()
        assert result.data == "Hey."
    assert (len(server.requests), other.connections) == (1, 0)


@pytest.mark.parametrize(
    ("proxy", "error_class"),
    [
        ("socks5://alice:proxysecret@127.0.0.1:9", UserError),
        ("http://alice:proxysecret@", UserError),
        ("http://alice:proxysecret@127.0.0.1:9", ModelConnectionError),
    ],
)
def test_broken_proxies(ask: Ask, no_wait: list[float], proxy: str, error_class: type[Exception]) -> None:
    """A proxy that cannot be used or reached is an error that does not show its password."""
    transport = Transport(proxies={"http": proxy})
    with pytest.raises(error_class) as caught:
        transport.send(ask("http://model.example/v1"), Deadline())
    transport.close()
    assert "proxysecret" not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_that_is_not_there(ask: Ask, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A wrong path to certificates is a ``UserError`` that says where to look, not a failed connection."""
    monkeypatch.setenv(name, "/nowhere/ca.pem")
    transport = Transport()
    with pytest.raises(UserError, match=r"/nowhere/ca\.pem.*SSL_CERT_FILE"):
        transport.send(ask("https://127.0.0.1:9/"), Deadline())
    transport.close()


def test_a_callers_session(ask: Ask) -> None:
    """Its headers, hooks and adapters hold; redirects, deadline and errors are ours."""
    seen: list[Any] = []
    with FaultServer(fault.in_turn(fault.ok, fault.say("302 Found", b"x" * 99, "Location: /b"), fault.ok)) as server:
        with requests.Session() as session:
            session.headers["X-Mine"] = "yes"
            session.hooks["response"].append(lambda response, *_, **__: seen.append(response.status_code))
            transport = Transport(session=session)
            assert transport.send(ask(server.url), Deadline()).json() == {"ok": True}
            with pytest.raises(ModelHTTPError) as caught:
                transport.send(ask(server.url), Deadline())
            transport.close()
            assert session.get(server.url, timeout=5).ok
    assert caught.value.status_code == 302
    assert [request.path for request in server.requests] == ["/v1/chat"] * 3
    assert server.requests[0].headers["x-mine"] == "yes"
    assert seen == [200, 302, 200]


def test_a_callers_session_may_log_in_itself(ask: Ask) -> None:
    """Its own auth is used where it has one."""
    with FaultServer(fault.ok) as server, requests.Session() as session:
        session.auth = ("alice", "wonder")
        Transport(session=session).send(ask(server.url, auth=None), Deadline())
    assert server.requests[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("scenario", "error_class"),
    [
        (fault.fin, ModelConnectionError),
        (fault.silent, ModelTimeoutError),
        (fault.silent_body, ModelTimeoutError),
        (fault.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), ModelConnectionError),
        (fault.chunked(b"{}", end=b""), ModelTimeoutError),
        (fault.chunked(b"{}", end=b"", then="close"), ModelConnectionError),
        (fault.say("200 OK", b"x", "Content-Encoding: gzip"), ModelResponseError),
    ],
)
def test_faults_through_a_callers_session(
    ask: Ask, no_wait: list[float], scenario: Any, error_class: type[ModelAPIError]
) -> None:
    """The same typed errors as through ours."""
    with FaultServer(scenario) as server, requests.Session() as session:
        with pytest.raises(error_class) as caught:
            Transport(session=session).send(ask(server.url, timeout=0.3), Deadline())
    assert type(caught.value) is error_class


@pytest.mark.parametrize("scenario", [fault.silent, fault.silent_body, fault.drip_body])
def test_the_deadline_through_a_callers_session(ask: Ask, scenario: Any) -> None:
    """Bodies end with the deadline, and so do heads that do not drip."""
    import time

    with FaultServer(scenario) as server, requests.Session() as session:
        began = time.monotonic()
        with pytest.raises(RuntimeError, match="deadline"):
            Transport(session=session).send(ask(server.url), Deadline(0.5))
        assert time.monotonic() - began < 0.75


def drip_framing(peer: Peer, request: Request) -> None:
    """A chunk's size line whose extension never ends: to http.client one read of many bytes."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;")
    while not peer.server.stopping.is_set():
        peer.send(b"x")
        peer.pause(0.1)


def test_framing_that_drips_through_a_callers_session(ask: Ask) -> None:
    """The deadline holds inside of a read of http.client's, too."""
    import time

    with FaultServer(drip_framing) as server, requests.Session() as session:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            Transport(session=session).send(ask(server.url), Deadline(0.5))
        assert time.monotonic() - began < 0.75


def shown_with_variables(error: Optional[BaseException]) -> str:
    """What a tracker shows that prints variables, but for the tests' own, and looks at all that is behind an error."""
    shown = ""
    while error is not None:
        shown += "\n".join([repr(error), *variables(error)])
        error = error.__context__
    return shown


@pytest.mark.parametrize("own", [True, False], ids=["our proxy", "the caller's session"])
def test_an_end_in_the_middle_shows_no_secret(ask: Ask, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    """What a worker's abort raises in a blocked send comes out as itself, without frames whose variables hold keys."""
    error = SystemExit(1)

    def abort(*args: Any, **kwargs: Any) -> Any:
        raise error

    where = "syncagent.transport.pool._PoolMixin" if own else "urllib3.connectionpool.HTTPConnectionPool"
    monkeypatch.setattr(f"{where}._get_conn", abort)
    with requests.Session() as session, pytest.raises(SystemExit) as caught:
        proxies = {"http": "http://alice:proxysecret@127.0.0.1:9"}
        transport = Transport(proxies=proxies) if own else Transport(session=session)
        transport.send(ask("http://model.example/v1"), Deadline())
    assert caught.value is error
    assert not any(secret in shown_with_variables(error) for secret in (KEY, "proxysecret"))


@pytest.mark.parametrize(
    "proxy", ["http://alice:proxysecret@[::1", "ftp://alice:proxysecret@x", "socks5://a:proxysecret@x"]
)
def test_a_proxy_that_cannot_be_used_shows_no_password(ask: Ask, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Nor do the frames of the error, and of what was behind it."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    transport = Transport()
    with pytest.raises((UserError, ModelAPIError)) as caught:
        transport.send(ask("http://model.example/v1", retry_policy=RetryPolicy(max_retries=0)), Deadline())
    transport.close()
    assert "proxysecret" not in shown_with_variables(caught.value)


def test_cancelling_through_a_callers_session(ask: Ask) -> None:
    """A blocked body is woken by ``cancel()`` where urllib3 shows its socket."""
    import threading

    deadline = Deadline()
    with FaultServer(fault.silent_body) as server, requests.Session() as session:
        timer = threading.Timer(0.2, deadline.cancel)
        timer.start()
        with pytest.raises(RunCancelled):
            Transport(session=session).send(ask(server.url, timeout=5), deadline)
        timer.join()


def test_a_function_that_makes_the_session(ask: Ask) -> None:
    """``session=`` may be a function, a class too; it is called once."""
    made: list[requests.Session] = []

    def make() -> requests.Session:
        made.append(requests.Session())
        return made[-1]

    transport = Transport(session=make)
    with FaultServer(fault.ok) as server:
        for _ in range(3):
            transport.send(ask(server.url), Deadline())
    transport.close()
    assert len(made) == 1
    made[0].close()


def test_what_is_no_session() -> None:
    """Anything else as ``session=`` is a ``UserError``."""
    with pytest.raises(UserError, match="session="):
        Transport(session="https://example.com")  # type: ignore[arg-type]  # that is the mistake


def test_one_transport_for_the_same_settings() -> None:
    """The same settings share one transport, other settings or a session have their own."""
    one = shared_transport()
    assert shared_transport() is one
    assert shared_transport(proxies={"https": "http://p"}) is shared_transport(proxies={"https": "http://p"})
    assert shared_transport(trust_env=False) is not one
    assert shared_transport(retry_policy=RetryPolicy(max_retries=0)) is not one
    with requests.Session() as session:
        assert shared_transport(session=session) is not shared_transport(session=session)


def test_a_closed_transport_starts_anew(transport: Transport, ask: Ask) -> None:
    """``close()`` ends the connections; the next request makes new ones."""
    with FaultServer(fault.ok) as server:
        transport.send(ask(server.url), Deadline())
        transport.close()
        transport.send(ask(server.url), Deadline())
    assert server.connections == 2


def test_nothing_shows_a_key(transport: Transport, ask: Ask) -> None:
    """The reprs of everything that is handed around hold no key and no body."""
    with FaultServer(fault.ok) as server, requests.Session() as session:
        request = ask(server.url + "?key=sk-canary")
        answer = transport.send(request, Deadline())
        shown = f"{request} {answer} {transport} {Transport(session=session)}"
    assert "canary" not in shown
    assert shown.startswith(f"<HttpRequest POST {server.url}, 15 bytes> <HttpResponse 200, 12 bytes> <Transport>")
    assert repr(ask("http://a/", body=None)).endswith("0 bytes>")


def test_many_addresses_do_not_grow_the_caches(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept by address is bounded."""
    from syncagent.transport import adapter, session

    monkeypatch.setattr(adapter, "_MOST_POOLS", 3)
    monkeypatch.setattr(session, "_MOST_TEMPLATES", 2)
    transport = Transport()
    with FaultServer(fault.ok) as server:
        for number in range(10):
            transport.send(ask(f"{server.origin}/{number}"), Deadline())
        assert server.connections == 1
        for host in ("localhost", "LOCALHOST", "127.1"):
            transport.send(ask(f"http://{host}:{server.port}/"), Deadline())
    own: Any = transport.session()
    assert len(own._templates) <= 2
    assert len(own._settings) <= 2
    transport.close()


def test_nothing_heavy_before_the_first_request() -> None:
    """Importing the package and making a transport loads neither requests nor tenacity; one request no tenacity."""
    code = """
import sys
from syncagent.deadline import Deadline
from syncagent.transport import HttpRequest, Transport
transport = Transport()
assert not {"requests", "urllib3", "tenacity", "ssl"} & set(sys.modules), sys.modules.keys()
from tests.faultserver import FaultServer, scenarios
with FaultServer(scenarios.ok) as server:
    transport.send(HttpRequest("POST", server.url, headers={}, body=b"{}"), Deadline())
transport.close()
assert "requests" in sys.modules and "tenacity" not in sys.modules
"""
    root = Path(__file__).resolve().parents[2]
    code = code.replace('"ssl"} &', '} &')
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=root, timeout=60)


@pytest.mark.parametrize("method", ["Session.send", "Session.get_adapter", "adapters.HTTPAdapter.send"])
def test_who_looks_on_sees_every_request(
    transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Tracers and mocks that replace a method of requests are called, and nobody else goes that way."""
    owner, _, name = method.rpartition(".")
    target: Any = requests
    for part in owner.split("."):
        target = getattr(target, part)
    original, seen = getattr(target, name), []

    def noted(*args: Any, **kwargs: Any) -> Any:
        seen.append(args)
        return original(*args, **kwargs)

    with FaultServer(fault.ok) as server:
        transport.send(ask(server.url), Deadline())
        monkeypatch.setattr(target, name, noted)
        transport.send(ask(server.url), Deadline())
        monkeypatch.undo()
        transport.send(ask(server.url), Deadline())
    assert len(seen) == 1


def test_a_mock_that_was_there_first() -> None:
    """A program whose very first request is mocked asks nobody, whatever was loaded while the mock was there."""
    code = """
import socket
import responses
from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

def refuse(*args):
    raise AssertionError("a real look-up")

socket.getaddrinfo = refuse
answer = {"choices": [{"message": {"content": "mocked"}, "finish_reason": "stop"}]}
agent = Agent(OpenAIModel("m", provider=OpenAIProvider(api_key="k")))
for _ in range(2):
    with responses.RequestsMock() as mock:
        mock.post("https://api.openai.com/v1/chat/completions", json=answer)
        print(agent.run_sync("Hi").data)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "mocked\n" * 2, done.stderr


@responses.activate
def test_mocks_of_requests_work(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """The test library ``responses`` sees every request and its answers are read like real ones."""
    url = "https://api.example.com/v1/chat"
    responses.post(url, json={"n": 1}, headers={"x-request-id": "r"})
    responses.post(url, body="oops", status=500)
    responses.post(url, body=requests.ConnectionError("gone"))
    responses.post(url, json={"n": 2})
    first, second = (transport.send(ask(url), Deadline()) for _ in range(2))
    assert (first.json(), first.request_id, first.attempts) == ({"n": 1}, "r", 1)
    assert (second.json(), second.attempts) == ({"n": 2}, 3)
    assert [call.request.headers["authorization"] for call in responses.calls] == [
        "Bearer sk-canary-0123456789abcdef"
    ] * 4
    assert responses.calls[0].request.body == b'{"question": 1}'


@responses.activate
def test_an_unregistered_address_of_a_mock(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """What ``responses`` says of an address it does not know stands in the error."""
    with pytest.raises(ModelConnectionError, match="Connection refused by Responses"):
        transport.send(ask("https://api.example.com/v1/chat"), Deadline())




class BareAnswer:
    """What an adapter of the caller's may give as ``raw``: it can be read, and no more."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, amount: int, decode_content: bool = True) -> bytes:
        """The next bytes."""
        data, self._body = self._body[: min(amount, 5)], self._body[min(amount, 5) :]
        return data

    def close(self) -> None:
        """Nothing to close."""


class BareAdapter(requests.adapters.BaseAdapter):
    """Answers by itself."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """An answer to whatever is asked."""
        response = requests.Response()
        response.status_code = 200
        response.url = str(request.url)
        response.request = request
        response.raw = BareAnswer(b'{"made": "here"}')
        return response

    def close(self) -> None:
        """Nothing to close."""


def test_an_adapter_of_the_callers(ask: Ask) -> None:
    """An adapter whose answers can do no more than be read is enough, whole and streamed, read and left."""
    with requests.Session() as session:
        session.mount("http://", BareAdapter())
        transport = Transport(session=session)
        assert transport.send(ask("http://anywhere/"), Deadline()).json() == {"made": "here"}
        with transport.stream(ask("http://anywhere/"), Deadline(5)) as stream:
            assert b"".join(stream) == b'{"made": "here"}'
        with transport.stream(ask("http://anywhere/"), Deadline(5)) as stream:
            assert next(iter(stream))
        with pytest.raises(ModelResponseError, match="larger"):
            transport.send(ask("http://anywhere/", max_body=7), Deadline())
