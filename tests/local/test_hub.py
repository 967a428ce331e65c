"""The official file's address: redirects are followed there and nowhere else."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import DeadlineExceeded, RunCancelled
from syncagent.local import _hub

CONTENT = bytes(range(256)) * 1000


class _Hub(BaseHTTPRequestHandler):
    """Answers by the path: the file, redirects of several kinds, errors."""

    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        path = self.path
        if path == "/file":
            return self.answer(200, CONTENT)
        if path.startswith("/hop/"):
            number = int(path[5:])
            return self.redirect(f"/hop/{number - 1}" if number > 1 else "/file")
        if path == "/markup":
            return self.answer(307, f'<a href="{self.base}/file?a=1&amp;b=2">here</a>'.encode())
        if path == "/file?a=1&b=2":
            return self.answer(200, CONTENT)
        if path == "/plain":
            return self.answer(302, b"Found. Redirecting to http://other.invalid/file")
        if path == "/silent":
            return self.answer(302, b"")
        return self.answer(404, b"no such file")

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def redirect(self, path: str) -> None:
        self.answer(302, f"Found. Redirecting to {self.base}{path}.".encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hub on loopback; since it has no certificate, http counts as https here."""
    monkeypatch.setattr(_hub, "_ADDRESS", re.compile(_hub._ADDRESS.pattern.replace("https", "http")))
    _Hub.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def fetched(address: str, size: int = len(CONTENT)) -> bytes:
    """The whole of what comes from *address*."""
    return b"".join(_hub.download(address, size, Deadline(20)))


@pytest.mark.parametrize("path", ["/file", "/hop/1", "/hop/5", "/markup"])
def test_file(hub: str, path: str) -> None:
    """The file comes directly, over up to five redirects, and where the note is markup."""
    assert fetched(hub + path) == CONTENT


def test_no_credentials(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request carries a login, whatever the environment holds."""
    monkeypatch.setenv("HF_TOKEN", "canary")
    fetched(hub + "/hop/2")
    assert len(_Hub.seen) == 3
    assert not [headers for headers in _Hub.seen if "authorization" in headers or "canary" in str(headers)]


def test_too_many_redirects(hub: str) -> None:
    """A sixth redirect is refused."""
    with pytest.raises(_hub.HubError, match="redirects more than 5 times"):
        fetched(hub + "/hop/6")
    assert len(_Hub.seen) == 6


def test_redirect_without_tls(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect to an address without TLS is not followed."""
    monkeypatch.undo()
    with pytest.raises(_hub.HubError, match="its note names no https address"):
        fetched(hub + "/plain")


def test_redirect_without_note(hub: str) -> None:
    """A redirect that does not say where to, is refused."""
    with pytest.raises(_hub.HubError, match="its note names no https address"):
        fetched(hub + "/silent")


def test_missing(hub: str) -> None:
    """A status that is an error stands in the text."""
    with pytest.raises(_hub.HubError, match=r"/gone answered with status 404"):
        fetched(hub + "/gone")


def test_too_large(hub: str) -> None:
    """A file that is larger than the official one is broken off."""
    with pytest.raises(_hub.HubError, match="larger than allowed"):
        fetched(hub + "/file", 1000)


def test_unreachable() -> None:
    """A hub that cannot be reached is named with the reason."""
    with pytest.raises(_hub.HubError, match=r"^http://127.0.0.1:1/file cannot be reached: .*refused"):
        fetched("http://127.0.0.1:1/file")


def test_cancelled(hub: str) -> None:
    """Cancelling and the deadline pass through: they are the run's, not the hub's."""
    deadline = Deadline(20)
    deadline.cancel()
    with pytest.raises(RunCancelled):
        list(_hub.download(hub + "/file", len(CONTENT), deadline))
    with pytest.raises(DeadlineExceeded):
        list(_hub.download("http://127.0.0.1:1/file", 1, Deadline(0.05)))
