"""Where requests to Google go, and who logs in there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from syncagent import Agent, policy
from syncagent.deadline import Deadline
from syncagent.exceptions import (
    DeadlineExceeded,
    MissingExtraError,
    MissingKeyError,
    ModelAPIError,
    ModelConnectionError,
    ModelOverloadedError,
    RunCancelled,
    UserError,
)
from syncagent.messages import ModelRequest, TextPart, UserPromptPart
from syncagent.models import ModelRequestParameters
from syncagent.models.gemini import GeminiModel
from syncagent.providers import Provider, infer_provider
from syncagent.providers.base import Target
from syncagent.providers.google_gla import GoogleGLAProvider
from syncagent.providers.google_vertex import GoogleVertexProvider
from syncagent.transport import RetryPolicy
from syncagent.transport.policy import in_force
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver.scenarios import in_turn, say

_KEY = "AIza-canary-0123456789abcdef"
_OWN = "https://generativelanguage.googleapis.com/v1beta"
_NEVER = RetryPolicy(max_retries=0)


def _headers(target: Target) -> dict[str, str]:
    return {} if target.auth is None else dict(target.auth("POST", target.base_url, {}, b""))


def _sent(provider: Provider) -> tuple[str, Optional[str]]:
    """The address of a request, and the key that goes there."""
    target = provider.target("m")
    return target.base_url, _headers(target).get("X-Goog-Api-Key")


# --- the Gemini API --------------------------------------------------------------------------------


def test_key_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is GEMINI_API_KEY, else GOOGLE_API_KEY, asked at every request; a key given in code comes first."""
    provider = GoogleGLAProvider()
    monkeypatch.setenv("GOOGLE_API_KEY", "second-0123456789")
    assert _sent(provider) == (_OWN, "second-0123456789")
    monkeypatch.setenv("GEMINI_API_KEY", _KEY)
    assert _sent(provider) == (_OWN, _KEY)
    assert _sent(GoogleGLAProvider(api_key="mine-0123456789")) == (_OWN, "mine-0123456789")
    assert _sent(GoogleGLAProvider(api_key=lambda: "asked-0123456789")) == (_OWN, "asked-0123456789")
    assert _sent(infer_provider("google-gla")) == (_OWN, _KEY)


def test_missing_key() -> None:
    """Building needs no key; a check, and the first try, say what to set."""
    provider = GoogleGLAProvider()
    for ask in (lambda: provider.check("m"), lambda: _sent(provider)):
        with pytest.raises(MissingKeyError, match=r"^Set the `GEMINI_API_KEY` environment variable or pass it via "):
            ask()


def test_own_address_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of the caller's choice needs no key."""
    assert _sent(GoogleGLAProvider("https://gateway/v1beta")) == ("https://gateway/v1beta", None)
    monkeypatch.setenv("GEMINI_BASE_URL", "https://other/v1beta")
    assert _sent(GoogleGLAProvider()) == ("https://other/v1beta", None)


# --- Vertex AI: addresses --------------------------------------------------------------------------


class _Credentials:
    """As google-auth's: valid once refreshed."""

    def __init__(self) -> None:
        self.token: Optional[str] = None

    @property
    def valid(self) -> bool:
        return self.token is not None

    def refresh(self, request: Callable[..., Any]) -> None:
        self.token = "ya29.canary"

    def apply(self, headers: dict[str, str]) -> None:
        headers["authorization"] = f"Bearer {self.token}"


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (None, "https://us-central1-aiplatform.googleapis.com/v1beta1/projects/p/locations/us-central1"),
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/p/locations/europe-west4"),
        ("global", "https://aiplatform.googleapis.com/v1beta1/projects/p/locations/global"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com/v1beta1/projects/p/locations/eu"),
    ],
)
def test_regions(region: Optional[str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Project and region make the address; both may stand in the environment, where code does not say."""
    target = GoogleVertexProvider(project_id="p", region=region, credentials=_Credentials()).target("m")
    assert (target.base_url, target.model_name) == (expected, "m")
    assert _headers(target) == {"authorization": "Bearer ya29.canary"}
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    if region is not None:
        monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", region)
    assert GoogleVertexProvider(credentials=_Credentials()).target("m").base_url == expected
    assert GoogleVertexProvider().base_url == expected


def test_regions_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region becomes a part of the host's name, so it is nothing but a name."""
    for region in ("evil.com/x", "", "Europe", "a" * 50, 7):
        with pytest.raises(UserError, match=r"^region is the name of a region such as"):
            GoogleVertexProvider(region=region)  # type: ignore[arg-type] # one is no text at all
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "evil.com/x")
    with pytest.raises(UserError, match=r"^GOOGLE_CLOUD_LOCATION is the name of a region such as"):
        GoogleVertexProvider(project_id="p", credentials=_Credentials()).target("m")


def test_project_is_needed() -> None:
    """Without a project there is no address; the text says where to put it."""
    with pytest.raises(UserError, match=r"^Vertex AI needs a project: pass GoogleVertexProvider\(project_id=\.\.\.\)"):
        GoogleVertexProvider(credentials=_Credentials()).target("m")
    target = GoogleVertexProvider(project_id="a/b?c", credentials=_Credentials()).target("m")
    assert target.base_url.endswith("/projects/a%2Fb%3Fc/locations/us-central1")


def test_express_key() -> None:
    """A key of the express mode needs neither project nor google-auth, and goes in the header of the Gemini API."""
    provider = GoogleVertexProvider(api_key=_KEY)
    assert _sent(provider) == ("https://aiplatform.googleapis.com/v1beta1", _KEY)
    provider.check("m")
    assert _KEY not in repr(provider)
    with pytest.raises(UserError, match="holds a character that no header can carry"):
        GoogleVertexProvider(api_key="a\nb").check("m")
    with_project = GoogleVertexProvider(api_key=lambda: _KEY, project_id="p", region="global")
    assert _sent(with_project) == ("https://aiplatform.googleapis.com/v1beta1/projects/p/locations/global", _KEY)


def test_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another address gets the credentials that were given, and never the machine's own."""
    provider = GoogleVertexProvider(base_url="https://gateway/v1")
    assert _headers(provider.target("m")) == {}
    provider.check("m")
    assert provider.base_url == "https://gateway/v1"
    given = GoogleVertexProvider(base_url="https://gateway/v1", credentials=_Credentials(), project_id="p")
    target = given.target("m")
    assert target.base_url == "https://gateway/v1/projects/p/locations/us-central1"
    assert _headers(target) == {"authorization": "Bearer ya29.canary"}


def test_repr() -> None:
    """The repr shows project and region, and nothing of the credentials."""
    assert repr(GoogleVertexProvider(project_id="p", region="eu", service_account_info={"private_key": "k"})) == (
        "GoogleVertexProvider(project_id='p', region='eu')"
    )
    assert repr(infer_provider("google-vertex")) == "GoogleVertexProvider()"


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without google-auth the error names the extra, and what needs none."""

    def refuse(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("syncagent.providers._google_auth.import_module", refuse)
    for provider in (GoogleVertexProvider(), GoogleVertexProvider(service_account_info={})):
        with pytest.raises(MissingExtraError, match=r"pip install 'syncagent\[vertex\]'"):
            provider.check("m")


# --- Vertex AI: google-auth ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def account() -> dict[str, str]:
    """A service account's key; the address of its tokens is still to be filled in."""
    pytest.importorskip("google.auth", reason="the extra 'vertex' is not installed")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account",
        "project_id": "from-the-key",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "a@from-the-key.iam.gserviceaccount.com",
        "token_uri": "http://127.0.0.1:9/token",
    }


_TOKEN = json.dumps({"access_token": "ya29.canary-token", "expires_in": 3600, "token_type": "Bearer"}).encode()
_TEXT = {"candidates": [{"content": {"parts": [{"text": "Hey."}]}, "finishReason": "STOP"}]}


def _both(peer: Peer, request: Request) -> None:
    """Tokens and answers."""
    peer.answer(_TOKEN if request.path == "/token" else json.dumps(_TEXT).encode())


def _ask(provider: GoogleVertexProvider) -> Any:
    model = GeminiModel("gemini-2.5-flash", provider=provider)
    return model.request([ModelRequest([UserPromptPart("Hi")])], None, ModelRequestParameters()).parts


@pytest.fixture(params=["info", "file"])
def given_account(request: pytest.FixtureRequest, account: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    """The provider's keywords for a service account whose tokens come from an address."""

    def make(token_uri: str) -> dict[str, Any]:
        info = {**account, "token_uri": token_uri}
        if request.param == "info":
            return {"service_account_info": info}
        path = tmp_path / "key.json"
        path.write_text(json.dumps(info))
        return {"service_account_file": path}

    yield make


def test_service_account(given_account: Any) -> None:
    """A service account's token is fetched once, over our transport, and logs in; the key names the project."""
    with FaultServer(_both) as server:
        options = given_account(server.origin + "/token")
        provider = GoogleVertexProvider(base_url=server.origin + "/v1beta1", **options)
        assert _ask(provider) == [TextPart("Hey.")]
        assert _ask(provider) == [TextPart("Hey.")]
        requests = server.requests
    path = "/v1beta1/projects/from-the-key/locations/us-central1/publishers/google/models/gemini-2.5-flash"
    assert [request.path for request in requests] == ["/token", f"{path}:generateContent", f"{path}:generateContent"]
    assert [request.headers.get("authorization") for request in requests[1:]] == ["Bearer ya29.canary-token"] * 2
    assert b"jwt-bearer" in requests[0].body


def test_service_account_beats_the_address(account: dict[str, str]) -> None:
    """Without another address it is the project's and region's own."""
    provider = GoogleVertexProvider(service_account_info=account, region="europe-west4")
    provider.check("m")  # fetches no token
    assert provider.base_url == (
        "https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/from-the-key/locations/europe-west4"
    )


def test_refused_login(account: dict[str, str]) -> None:
    """A key that Google refuses is an error of the request, with Google's words."""
    with FaultServer(say("400 Bad Request", b'{"error": "invalid_grant", "error_description": "Gone."}')) as server:
        info = {**account, "token_uri": server.origin + "/token"}
        provider = GoogleVertexProvider(service_account_info=info, base_url=server.origin, retry_policy=_NEVER)
        with pytest.raises(ModelAPIError, match=r"^Logging in to Google failed: .*invalid_grant") as raised:
            _ask(provider)
    assert (raised.value.model_name, raised.value.retryable) == ("gemini-2.5-flash", False)
    assert "BEGIN PRIVATE KEY" not in str(raised.value)


def test_broken_login(account: dict[str, str]) -> None:
    """A token that cannot be fetched is a broken connection."""
    provider = GoogleVertexProvider(service_account_info=account, base_url="http://127.0.0.1:9", retry_policy=_NEVER)
    with pytest.raises(ModelConnectionError, match=r"^Logging in to Google failed: "):
        _ask(provider)


def test_login_keeps_the_deadline(account: dict[str, str]) -> None:
    """Fetching a token ends with the run's deadline."""
    with FaultServer(lambda peer, request: peer.hang()) as server:
        info = {**account, "token_uri": server.origin + "/token"}
        target = GoogleVertexProvider(service_account_info=info, project_id="p").target("m", Deadline(0.3))
        with pytest.raises(DeadlineExceeded):
            _headers(target)
    assert repr(target.auth) == "<login of google-vertex>"


def test_keys_that_are_none(tmp_path: Path) -> None:
    """What is no service account's key is refused without showing it."""
    pytest.importorskip("google.auth", reason="the extra 'vertex' is not installed")
    for info in ({}, {"private_key": "canary", "client_email": "a", "token_uri": "b"}):
        with pytest.raises(UserError, match=r"^service_account_info is not the key of a service account") as raised:
            GoogleVertexProvider(service_account_info=info).target("m")
        assert "canary" not in str(raised.value)
    path = tmp_path / "key.json"
    path.write_text("{canary")
    with pytest.raises(UserError, match=r"^service_account_file '.*key\.json' is not the key") as raised:
        GoogleVertexProvider(service_account_file=path).target("m")
    assert "canary" not in str(raised.value)
    with pytest.raises(UserError, match=r"^service_account_file cannot be read: "):
        GoogleVertexProvider(tmp_path / "missing.json").target("m")


def test_default_credentials(account: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Application default credentials log in where nothing else was given; they are looked for once."""
    with FaultServer(in_turn(say("200 OK", _TOKEN))) as server:
        path = tmp_path / "key.json"
        path.write_text(json.dumps({**account, "token_uri": server.origin + "/token"}))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        provider = GoogleVertexProvider(region="global")
        target = provider.target("m")
        assert target.base_url == "https://aiplatform.googleapis.com/v1beta1/projects/from-the-key/locations/global"
        assert _headers(target) == {"authorization": "Bearer ya29.canary-token"}
        path.unlink()
        assert _headers(provider.target("m")) == {"authorization": "Bearer ya29.canary-token"}
        assert len(server.requests) == 1


def test_no_default_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are none, the error says how to get some."""
    pytest.importorskip("google.auth", reason="the extra 'vertex' is not installed")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(MissingKeyError, match=r"gcloud auth application-default login.*service_account_file"):
        GoogleVertexProvider().check("m")


Answer = Callable[[Peer, Request], None]


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FaultServer]]:
    """Starts a metadata service, which google-auth asks, and then says that it found nothing, or what is given."""
    auth = pytest.importorskip("google.auth", reason="the extra 'vertex' is not installed")
    errors = pytest.importorskip("google.auth.exceptions")
    servers: list[FaultServer] = []

    def start(answer: Answer, error: str = "DefaultCredentialsError") -> FaultServer:
        server = FaultServer(answer)
        servers.append(server)
        server.__enter__()

        def default(scopes: Any, request: Any) -> Any:
            try:
                assert request(server.url, timeout=3).status != 200
            except errors.TransportError:
                pass
            raise getattr(errors, error)("nothing")

        monkeypatch.setattr(auth, "default", default)
        return server

    yield start
    policy()
    for server in servers:
        server.__exit__(None, None, None)


def _vertex() -> Agent[None, str]:
    provider = GoogleVertexProvider(project_id="p", retry_policy=_NEVER)
    return Agent(GeminiModel("gemini-2.5-flash", provider=provider))


def test_looking_for_credentials_keeps_the_deadline(metadata: Callable[..., FaultServer]) -> None:
    """The run's deadline and its cancelling end the look, with their own errors."""
    server = metadata(lambda peer, request: peer.hang())
    with pytest.raises(DeadlineExceeded):
        _vertex().run_sync("Hi", deadline=0.4)
    with pytest.raises(RunCancelled):
        _vertex().run_sync("Hi", deadline=Deadline(20, cancelled=lambda: bool(server.requests[1:])))


def test_looking_for_credentials_in_line(metadata: Callable[..., FaultServer]) -> None:
    """Where the process has no place for the look, that is the retryable error, and no missing key."""
    server = metadata(say("404 Not Found", b""))
    with policy(max_concurrent_requests=1):
        rules = in_force()
        assert rules is not None
        slots = rules.slots()
        assert slots is not None
        taken = slots.take(Deadline())
        with pytest.raises(ModelOverloadedError, match="nothing was sent") as caught:
            _vertex().run_sync("Hi", deadline=0.4)
        taken.release()
    assert (caught.value.model_name, server.requests) == ("gemini-2.5-flash", [])


def test_a_metadata_service_that_fails(metadata: Callable[..., FaultServer]) -> None:
    """One that is overloaded may answer later; one that refuses, or is not there, is as good as none."""
    metadata(say("503 Service Unavailable", b""))
    with pytest.raises(ModelOverloadedError) as caught:
        _vertex().run_sync("Hi", deadline=20)
    assert caught.value.retryable
    metadata(say("404 Not Found", b""))
    with pytest.raises(MissingKeyError):
        _vertex().run_sync("Hi", deadline=20)
    metadata(lambda peer, request: peer.reset())
    with pytest.raises(MissingKeyError):
        _vertex().run_sync("Hi", deadline=20)
    metadata(lambda peer, request: peer.reset(), "RefreshError")  # there are some, and nobody makes a token of them
    with pytest.raises(ModelConnectionError):
        _vertex().run_sync("Hi", deadline=20)


def test_the_policy_holds_for_looking(metadata: Callable[..., FaultServer]) -> None:
    """A provider or address that is not allowed looks for nothing, and what looks is held by the policy itself."""
    server = metadata(say("404 Not Found", b""))
    provider = GoogleVertexProvider(project_id="p")
    model = GeminiModel("gemini-2.5-flash", provider=provider)
    for rules in ({"providers": ["openai"]}, {"hosts": ["api.openai.com", "127.0.0.1"]}):
        with policy(**rules), pytest.raises(UserError, match="nothing was sent"):
            Agent(model).run_sync("Hi")
        with policy(**rules), pytest.raises(UserError, match="nothing was sent"):
            model.check()
    for rules in ({"providers": ["openai"]}, {"hosts": ["*.googleapis.com"]}):
        with policy(**rules), pytest.raises(UserError, match="nothing was sent"):
            provider.target("m")
    assert server.requests == []


def test_the_policy_holds_for_tokens(account: dict[str, str]) -> None:
    """A token is fetched in the provider's name, from hosts that are allowed."""
    with FaultServer(say("200 OK", _TOKEN)) as server:
        info = {**account, "token_uri": server.origin + "/token"}
        target = GoogleVertexProvider(service_account_info=info).target("m")
        for rules in ({"providers": ["openai"]}, {"hosts": ["*.googleapis.com"]}):
            with policy(**rules), pytest.raises(UserError, match="nothing was sent"):
                _headers(target)
        assert server.requests == []
        with policy(providers=["google-vertex"], hosts=["127.0.0.1"]):
            assert _headers(target) == {"authorization": "Bearer ya29.canary-token"}
