"""Downloads of user-given URLs: what is refused before a byte is sent, and what comes of the rest."""

from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import (
    DeadlineExceeded,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelOverloadedError,
    ModelResponseError,
    ModelTimeoutError,
    RunCancelled,
    UserError,
)
from syncagent.transport import RetryPolicy
from syncagent.transport import download as module
from syncagent.transport.download import Downloaded, download
from tests.faultserver import FaultServer, Peer, Request, Scenario
from tests.faultserver.scenarios import in_turn, raw, say, silent

_NEVER = RetryPolicy(max_retries=0)
_PNG = b"\x89PNG\r\n"


def _loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def _to(target: str, status: str = "302 Found") -> Scenario:
    return say(status, b"", f"Location: {target}")


def _image(peer: Peer, request: Request) -> None:
    peer.answer(_PNG, "200 OK", "Content-Type: image/png; charset=binary")


@pytest.fixture
def canary() -> Iterator[FaultServer]:
    """A server on loopback that nobody may reach."""
    with FaultServer(_image) as server:
        yield server


_SPELLINGS = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "0177.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "0X7F000001",
    "2130706433",
    "017700000001",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "\uff11\uff12\uff17.0.0.1",
    "\u2460\u2461\u2466.0.0.1",
    "127\u30020\u30020\u30021",
    "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[2a00:1450:4001:81b:0:5efe:7f00:1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[::1%25lo]",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "0xa9fea9fe",
    "2852039166",
    "[fd00:ec2::254]",
    "169.254.43518",
]


@pytest.mark.parametrize("host", _SPELLINGS)
def test_no_spelling_leads_into_the_private_network(host: str, canary: FaultServer) -> None:
    """Loopback and metadata addresses are refused in every spelling; nothing is connected."""
    with pytest.raises(UserError):
        download(f"http://{host}:{canary.port}/latest/meta-data")
    assert canary.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}\\@1.1.1.1",
        "http://1.1.1.1\\@127.0.0.1:{port}/",
        "http://user:pass@127.0.0.1:{port}/",
        "http://1.1.1.1@127.0.0.1:{port}/",
        "http://1.1.1.1#@127.0.0.1:{port}/",
        "http://1.1.1.1?@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/a b",
        " http://127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/\r\nX: y",
        "http://127.0.0.1:{port}/\x00",
        "http://127.0.0.1:{port}/\u2028",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "gopher://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http:/127.0.0.1:{port}/",
        "http://",
        "http://[::1/",
        "http://127.0.0.1:99999999/",
        "",
        7,
    ],
)
def test_odd_urls_are_refused(url: Any, canary: FaultServer) -> None:
    """Other schemes, credentials, and whatever two parsers could read differently never reach a connection."""
    with pytest.raises(UserError) as caught:
        download(url.format(port=canary.port) if isinstance(url, str) else url, allow=["127.0.0.1"])
    assert canary.connections == 0
    assert "pass@" not in str(caught.value)


def test_a_name_with_a_private_address_is_refused(canary: FaultServer) -> None:
    """What counts is where the name leads; one private address among public ones is enough."""
    with pytest.raises(
        UserError, match=r"'innocent\.example' of a URL has the address 10\.0\.0\.7, which is not public"
    ):
        download("http://innocent.example/", resolve=lambda host, port: ["8.8.8.8", "10.0.0.7"])


def test_a_name_that_means_another_address_by_now(canary: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was connected to is checked before a byte is sent, whatever was resolved."""

    def elsewhere(connection: Any, found: Any, call: Any) -> socket.socket:
        assert found[4][0] == "8.8.8.8"
        return socket.create_connection(("127.0.0.1", canary.port))

    monkeypatch.setattr("syncagent.transport.connection._CallMixin._connected", elsewhere)
    with pytest.raises(UserError, match=r"has the address 127\.0\.0\.1"):
        download("http://rebinding.example/", resolve=lambda host, port: ["8.8.8.8"])
    assert canary.requests == []


def test_the_address_that_was_checked_is_the_one_that_is_asked(canary: FaultServer) -> None:
    """The name is resolved once for each connection."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    url = f"http://Files.Example.:{canary.port}/a.png"
    assert download(url, allow=["FILES.example"], resolve=resolve) == Downloaded(_PNG, "image/png")
    assert asked == ["files.example"]
    assert canary.requests[0].headers["host"] == f"files.example:{canary.port}"


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "204 No Content", "206 Partial Content"])
def test_a_part_is_not_the_whole(status: str) -> None:
    """Nothing is asked for in parts, so that a part, or the promise of one, is no answer."""
    with FaultServer(say(status, _PNG[:5], "Content-Type: image/png", "Content-Range: bytes 0-4/100")) as server:
        with pytest.raises(ModelResponseError, match=f"expected the whole of it, got status {status[:3]}"):
            download(f"{server.origin}/a.png", allow=["127.0.0.1"])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 10\r\n\r\n0123456789",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n01\r\n0\r\n\r\n",
    ],
)
def test_what_is_cut_or_can_be_read_in_two_ways_is_no_file(answer: bytes) -> None:
    """A cut head, nothing, two lengths and framing that nobody knows are errors, never a file."""
    with FaultServer(raw(answer)) as server, pytest.raises(ModelAPIError):
        download(f"{server.origin}/a.png", allow=["127.0.0.1"], retry_policy=RetryPolicy(max_retries=0))


def test_what_is_sent(canary: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No cookie, no key, no netrc entry, no proxy of the environment."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    download(f"{canary.origin}/img@2x.png?size=2#top", allow=["127.0.0.1"], accept=["image/*", "audio/wav"])
    (request,) = canary.requests
    assert (request.method, request.path) == ("GET", "/img@2x.png?size=2")
    assert set(request.headers) == {"host", "accept", "user-agent", "accept-encoding"}
    assert request.headers["accept"] == "image/*, audio/wav"


def test_redirects_are_checked_hop_by_hop(canary: FaultServer) -> None:
    """A public address that leads to a private one is followed no further."""
    with FaultServer(_to(f"http://inner.example:{canary.port}/")) as server:
        with pytest.raises(UserError, match=r"'inner\.example'"):
            download(f"http://outer.example:{server.port}/", allow=["outer.example"], resolve=_loopback)
    assert canary.connections == 0


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://a@127.0.0.1/", "http://127.1/", "//0x7f000001/", "http://[/", "\\\\a\\b"]
)
def test_a_redirect_to_an_odd_address(target: str) -> None:
    """Where a redirect leads is held to the rules of the first address."""
    with FaultServer(_to(target)) as server, pytest.raises(UserError):
        download(server.url, allow=["127.0.0.1"])


def test_redirects_are_followed() -> None:
    """Three hops, relative ones too; no more."""

    def scenario(peer: Peer, request: Request) -> None:
        steps = {"/0": "/1", "/1": "2", "/2": "/3", "/more": "/0"}
        if request.path in steps:
            _to(steps[request.path], "307 Temporary Redirect")(peer, request)
        else:
            _image(peer, request)

    with FaultServer(scenario) as server:
        assert download(f"{server.origin}/0", allow=["127.0.0.1"]).data == _PNG
        with pytest.raises(ModelResponseError, match="redirected more than 3 times"):
            download(f"{server.origin}/more", allow=["127.0.0.1"])
    with FaultServer(say("302 Found", b"")) as server, pytest.raises(ModelResponseError, match="to nowhere"):
        download(server.url, allow=["127.0.0.1"])


@pytest.mark.parametrize("encoded", [False, True])
def test_large_bodies(encoded: bool) -> None:
    """A body is read no further than allowed, compressed or not."""
    body = b"\0" * 2_000_000

    def scenario(peer: Peer, request: Request) -> None:
        lines = ["Content-Type: image/png", *(["Content-Encoding: gzip"] if encoded else [])]
        peer.answer(gzip.compress(body) if encoded else body, "200 OK", *lines)

    with FaultServer(scenario) as server:
        assert download(server.url, allow=["127.0.0.1"], max_bytes=len(body)).data == body
        with pytest.raises(ModelResponseError, match=r"Downloading http://.*larger than allowed"):
            download(server.url, allow=["127.0.0.1"], max_bytes=len(body) - 1)


def test_the_content_type() -> None:
    """Another type than expected is refused unread; a server that says none, or just bytes, is believed."""

    def scenario(peer: Peer, request: Request) -> None:
        peer.answer(_PNG, "200 OK", f"Content-Type:{request.path[1:]}")

    with FaultServer(scenario) as server:

        def fetch(kind: str) -> Downloaded:
            return download(f"{server.origin}/{kind}", allow=["127.0.0.1"], accept=["image/*", "application/PDF"])

        assert fetch("IMAGE/png;x=y").media_type == "image/png"
        assert fetch("application/pdf").media_type == "application/pdf"
        assert fetch("application/octet-stream").media_type is None
        assert fetch("").media_type is None
        for kind in ("text/html", "imagex/png", "application/pdfx"):
            with pytest.raises(ModelResponseError, match=r"expected image/\* or application/pdf, got the content type"):
                fetch(kind)


def test_failures_are_typed_and_retried() -> None:
    """A status is its error, an outage is waited for, and neither shows the address' query."""
    with FaultServer(in_turn(say("503 Slow down", b"", "Retry-After: 0"), _image)) as server:
        assert download(server.url, allow=["127.0.0.1"]).data == _PNG
    with FaultServer(in_turn(say("503 Slow down"), say("404 Not Found"))) as server:
        with pytest.raises(ModelOverloadedError):
            download(server.url, allow=["127.0.0.1"], retry_policy=_NEVER)
        with pytest.raises(ModelHTTPError) as caught:
            download(f"{server.url}?signature=secret", allow=["127.0.0.1"], model_name="m")
        assert caught.value.status_code == 404 and caught.value.model_name == "m"
        assert str(caught.value).startswith(f"Downloading {server.url} failed: status_code: 404")
        assert "secret" not in str(caught.value)


def test_no_such_host() -> None:
    """A name without an address is a connection error."""

    def nowhere(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    for resolve in (nowhere, lambda host, port: []):
        with pytest.raises(ModelConnectionError, match=r"host name nowhere\.example cannot be resolved"):
            download("http://nowhere.example/", resolve=resolve, retry_policy=_NEVER)


def test_the_next_address_is_tried(canary: FaultServer) -> None:
    """Where a host has several addresses, one that refuses is not the end; the last one's failure is."""
    url = f"http://two.example:{canary.port}/"
    assert download(url, allow=["two.example"], resolve=lambda *_: ["127.0.0.2", "127.0.0.1"]).data == _PNG
    with pytest.raises(ModelConnectionError):
        download(url, allow=["two.example"], resolve=lambda *_: ["127.0.0.2"], retry_policy=_NEVER)


def test_time() -> None:
    """The download's own time is a typed time-out; the run's is the run's."""
    with FaultServer(silent) as server:
        with pytest.raises(ModelTimeoutError, match=r"took more than 0\.2 s") as caught:
            download(server.url, allow=["127.0.0.1"], timeout=0.2, retry_policy=_NEVER)
        assert caught.value.retryable
        with pytest.raises(DeadlineExceeded):
            download(server.url, allow=["127.0.0.1"], deadline=Deadline(0.2))
        stopped = Deadline()
        stopped.cancel()
        with pytest.raises(RunCancelled):
            download(server.url, allow=["127.0.0.1"], deadline=stopped)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of the host files.example that its own key signed, with the key behind it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    key = path.with_name("key.pem")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=files.example"),
            *("-addext", "subjectAltName=DNS:files.example", "-keyout", str(key), "-out", str(path)),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + key.read_text())
    return path


def test_certificates_are_those_of_the_name(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to an address that was checked; who answers there has to be whom the URL names."""
    named: list[Optional[str]] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda sock, name, _: named.append(name)
    with FaultServer(_image, tls=context) as server:

        def fetch(host: str) -> Downloaded:
            url = f"https://{host}:{server.port}/a.png"
            return download(url, allow=[host], resolve=_loopback, retry_policy=_NEVER, deadline=Deadline(20))

        with pytest.raises(ModelConnectionError, match="is not trusted"):
            fetch("files.example")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch("files.example").data == _PNG
        with pytest.raises(ModelConnectionError, match="is not trusted"):
            fetch("other.example")
        assert named == ["files.example", "files.example", "other.example"]


def test_a_proxy_that_was_given(canary: FaultServer) -> None:
    """A given proxy is asked for what may be asked for, by the address that can be seen from here."""
    proxies = {"http": canary.origin}
    assert download("http://outer.example/a.png", proxies=proxies, resolve=lambda *_: ["8.8.8.8"]).data == _PNG
    assert canary.requests[0].path == "http://outer.example/a.png"
    with pytest.raises(UserError, match="not public"):
        download("http://inner.example/", proxies=proxies, resolve=lambda *_: ["10.0.0.1"])
    assert len(canary.requests) == 1


@pytest.mark.parametrize("allow", ["files.example", ["127.1"], [""]])
def test_an_allow_list_that_is_none(allow: Any) -> None:
    """A text, and what is no host, are refused: they would allow something else than was meant."""
    with pytest.raises(UserError, match="allow= is a list of hosts"):
        download("http://files.example/", allow=allow)


def test_a_guarded_connection_without_rules_refuses() -> None:
    """The connection class does nothing where nobody said what it may do."""
    pool = module._guarded_pools()["http"]("127.0.0.1", 9)
    with pytest.raises(UserError, match="without its rules"):
        pool.urlopen("GET", "/", retries=False)
    pool.close()
