"""TLS: certificates are checked, and the deadline holds in a handshake too."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import DeadlineExceeded, ModelConnectionError, ModelTimeoutError, RunCancelled, UserError
from syncagent.transport import HttpRequest, RetryPolicy, Transport, sse_frames
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver import scenarios as fault

Ask = Callable[..., HttpRequest]


def trusting(certificate: Path) -> Transport:
    return Transport(verify=str(certificate), retry_policy=RetryPolicy(max_retries=0))


def test_a_trusted_certificate(certificate: Path, context: ssl.SSLContext, ask: Ask) -> None:
    """A bundle given as ``verify=`` is used, by all connections of a transport."""
    transport = trusting(certificate)
    with FaultServer(fault.in_turn(fault.echo, fault.fin, fault.echo), tls=context) as server:
        for number in range(3):
            body = b"%d" % number
            assert transport.send(ask(server.url, body=body), Deadline(20)).body == body
    transport.close()


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_of_the_environment(
    certificate: Path, context: ssl.SSLContext, ask: Ask, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The variables of requests, curl and OpenSSL name a bundle as well."""
    monkeypatch.setenv(name, str(certificate))
    transport = Transport()
    with FaultServer(fault.ok, tls=context) as server:
        assert transport.send(ask(server.url), Deadline(20)).json() == {"ok": True}
    transport.close()


def test_an_unknown_certificate(context: ssl.SSLContext, transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """A certificate that nobody vouches for is one connection error, not tried again, and says what to do."""
    with FaultServer(fault.ok, tls=context) as server:
        with pytest.raises(ModelConnectionError, match="REQUESTS_CA_BUNDLE") as caught:
            transport.send(ask(server.url), Deadline(20))
    assert (caught.value.attempts, caught.value.retryable, no_wait) == (1, False, [])
    assert server.requests == []


def test_a_certificate_of_another_host(certificate: Path, context: ssl.SSLContext, ask: Ask) -> None:
    """A trusted certificate for another name is refused."""
    transport = trusting(certificate)
    with FaultServer(fault.ok, tls=context) as server:
        with pytest.raises(ModelConnectionError, match=r"not trusted|doesn't match") as caught:
            transport.send(ask(server.url.replace("127.0.0.1", "localhost")), Deadline(20))
    assert caught.value.attempts == 1
    transport.close()


def test_a_folder_of_certificates(context: ssl.SSLContext, ask: Ask, tmp_path: Path, certificate: Path) -> None:
    """``verify=`` may be a folder: an empty one trusts nobody."""
    transport = Transport(verify=str(tmp_path))
    with FaultServer(fault.ok, tls=context) as server, pytest.raises(ModelConnectionError, match="not trusted"):
        transport.send(ask(server.url), Deadline(20))
    transport.close()


@pytest.mark.parametrize("pair", [True, False])
def test_a_client_certificate(certificate: Path, context: ssl.SSLContext, ask: Ask, pair: bool) -> None:
    """``cert=`` is shown to servers that ask for one: one file, or a pair with the key."""
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    key = certificate.with_name("key.pem")
    cert = (str(certificate), str(key)) if pair else str(certificate)
    transport = Transport(verify=str(certificate), cert=cert)
    with FaultServer(fault.ok, tls=context) as server:
        assert transport.send(ask(server.url), Deadline(20)).json() == {"ok": True}
    transport.close()
    missing = Transport(verify=str(certificate), cert="/nowhere/client.pem")
    with pytest.raises(UserError, match=r"/nowhere/client\.pem"):
        missing.send(ask("https://127.0.0.1:9/"), Deadline(20))


def test_a_server_that_speaks_no_tls(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """Plain HTTP where TLS was expected is not tried again."""

    def plain(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.close()

    with FaultServer(fault.ok, on_connect=plain) as server, pytest.raises(ModelConnectionError) as caught:
        transport.send(ask(server.url.replace("http:", "https:")), Deadline(20))
    assert caught.value.attempts == 1


def test_a_handshake_that_stalls(transport: Transport, ask: Ask) -> None:
    """It ends with the connect time-out, or with the deadline where that comes first."""
    with FaultServer(fault.ok, on_connect=lambda peer: peer.hang()) as server:
        request = ask(server.url.replace("http:", "https:"), timeout=(0.3, 9), retry_policy=RetryPolicy(max_retries=0))
        with pytest.raises(ModelTimeoutError):
            transport.send(request, Deadline(20))
        began = time.monotonic()
        request.timeout = None
        with pytest.raises(DeadlineExceeded):
            transport.send(request, Deadline(0.4))
        assert time.monotonic() - began < 0.65


@pytest.mark.parametrize("scenario", [fault.silent, fault.silent_body, fault.drip_head, fault.drip_body])
def test_the_deadline_holds_over_tls(
    certificate: Path, context: ssl.SSLContext, ask: Ask, scenario: Callable[..., None]
) -> None:
    """Drips and silence end with the deadline, over TLS too."""
    transport = trusting(certificate)
    with FaultServer(scenario, tls=context) as server:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            transport.send(ask(server.url), Deadline(0.6))
        assert 0.5 < time.monotonic() - began < 0.85
    transport.close()


@pytest.mark.parametrize("scenario", [fault.silent, fault.silent_body, fault.drip_body])
def test_cancelling_over_tls(
    certificate: Path, context: ssl.SSLContext, ask: Ask, scenario: Callable[..., None]
) -> None:
    """``cancel()`` wakes a blocked read over TLS, and a callable is asked while it blocks."""
    transport = trusting(certificate)
    with FaultServer(scenario, tls=context) as server:
        deadline = Deadline()
        timer = threading.Timer(0.3, deadline.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(RunCancelled):
            transport.send(ask(server.url), deadline)
        assert time.monotonic() - began < 0.8
        timer.join()
        end = time.monotonic() + 0.3
        with pytest.raises(RunCancelled):
            transport.send(ask(server.url), Deadline(cancelled=lambda: time.monotonic() > end))
        assert time.monotonic() < end + 1
    transport.close()


def test_streams_over_tls(certificate: Path, context: ssl.SSLContext, ask: Ask) -> None:
    """Events arrive one by one over TLS."""
    transport = trusting(certificate)
    events = [b"data: %d\n\n" % number for number in range(3)]
    with FaultServer(fault.stream(events, 0.15, "chunked"), tls=context) as server:
        with transport.stream(ask(server.url), Deadline(cancelled=lambda: False)) as stream:
            began, moments = time.monotonic(), []
            for _ in sse_frames(stream):
                moments.append(time.monotonic() - began)
    assert len(moments) == 3
    assert moments[0] < 0.1 and 0.25 < moments[2] < 0.45
    transport.close()


def test_large_bodies_over_tls(certificate: Path, context: ssl.SSLContext, ask: Ask) -> None:
    """Pieces of a large upload arrive whole over TLS."""
    transport = trusting(certificate)
    body = bytes(range(256)) * 8_000
    with FaultServer(fault.echo, tls=context) as server:
        assert transport.send(ask(server.url, body=body), Deadline(20)).body == body
    transport.close()


def test_waits_look_into_the_tls_layer(certificate: Path, context: ssl.SSLContext, ask: Ask) -> None:
    """Records that TLS has read already, and those that hold no data, are seen for what they are."""

    def scenario(peer: Peer, request: Request) -> None:
        piece = b"x" * 40_000  # three records
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        peer.pause(0.3)
        peer.send(b"1\r\ny\r\n0\r\n\r\n")

    transport = trusting(certificate)
    with FaultServer(scenario, tls=context) as server, transport.stream(ask(server.url), Deadline(20)) as stream:
        came = 0
        while came < 40_000:
            stream.until = time.monotonic() + 0.15
            came += len(next(stream))
        assert not stream.paused
        began = time.monotonic()
        stream.until = began + 0.05
        assert next(stream) == b""
        assert time.monotonic() - began < 0.15
        assert b"".join(stream) == b"y"
    transport.close()
