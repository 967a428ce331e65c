"""Where requests to Bedrock go, and who signs them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from syncagent import policy
from syncagent.exceptions import MissingExtraError, MissingKeyError, UserError
from syncagent.messages import ModelRequest, UserPromptPart
from syncagent.models import ModelRequestParameters
from syncagent.models.bedrock import BedrockConverseModel
from syncagent.providers import infer_provider
from syncagent.providers._aws import Chain
from syncagent.providers._sigv4 import Credentials, sign
from syncagent.providers.bedrock import BedrockProvider
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import say

_SECRET = "wJalrXUtnFEMI/canary/0123456789"
_TOKEN = "session-canary-0123456789"
_EU = "https://bedrock-runtime.eu-west-1.amazonaws.com"


@pytest.fixture(autouse=True)
def own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """botocore sees no files of the developer's, and asks no metadata service."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


@pytest.fixture
def no_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore is not installed."""
    monkeypatch.setitem(sys.modules, "botocore.session", None)


def _keys(monkeypatch: pytest.MonkeyPatch, token: Optional[str] = None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
    if token is not None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)


def _sent(provider: BedrockProvider, **headers: str) -> dict[str, str]:
    """The headers that log a request in."""
    target = provider.target("m")
    assert target.auth is not None
    return dict(target.auth("POST", target.base_url + "/model/m/converse", headers, b"{}"))


# --- where -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "arguments", "address"),
    [
        ({}, {}, None),
        ({"AWS_REGION": "eu-west-1"}, {}, _EU),
        ({"AWS_DEFAULT_REGION": " eu-west-1 "}, {}, _EU),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, {}, _EU),
        ({"AWS_REGION": "us-east-1"}, {"region_name": "eu-west-1"}, _EU),
        ({"AWS_REGION": "cn-north-1"}, {}, "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ({"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://vpc/x/"}, {}, "https://vpc/x"),
        ({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://vpc"}, {"base_url": "https://own"}, "https://own"),
    ],
)
def test_address(
    monkeypatch: pytest.MonkeyPatch,
    no_botocore: None,
    variables: dict[str, str],
    arguments: dict[str, Any],
    address: Optional[str],
) -> None:
    """The address is one's own, else the variable's, else the region's; looked up whenever it is needed."""
    provider = BedrockProvider(**arguments)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert provider.base_url == address


def test_no_region(monkeypatch: pytest.MonkeyPatch, no_botocore: None) -> None:
    """Without a region the request is refused, not the building; an address of one's own wants it to be signed."""
    provider = infer_provider("bedrock")
    assert isinstance(provider, BedrockProvider)
    with pytest.raises(MissingKeyError, match=r"^Set the `AWS_REGION` environment variable or pass it via `Bedrock"):
        provider.check("m")
    _keys(monkeypatch)
    with pytest.raises(MissingKeyError, match=r"^Requests to AWS are signed for a region: "):
        BedrockProvider("https://own").check("m")
    BedrockProvider("https://own", api_key="k").check("m")


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("https://bedrock-runtime.us-west-2.amazonaws.com", "us-west-2"),
        ("https://bedrock-runtime-fips.us-east-2.amazonaws.com", "us-east-2"),
        ("https://vpce-1-2.bedrock-runtime.us-west-2.vpce.amazonaws.com", "us-west-2"),
        ("https://gateway.example/bedrock-runtime.us-west-2.x", "eu-west-1"),
        ("https://gateway.example", "eu-west-1"),
    ],
)
def test_region_of_the_signature(monkeypatch: pytest.MonkeyPatch, address: str, region: str) -> None:
    """AWS's own addresses say which region is signed for; others take the environment's."""
    _keys(monkeypatch)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert f"/{region}/bedrock/aws4_request" in _sent(BedrockProvider(address))["Authorization"]
    own = BedrockProvider(address, region_name="ap-south-1")
    assert "/ap-south-1/bedrock/aws4_request" in _sent(own)["Authorization"]


@pytest.mark.parametrize("region", ["", "eu west", "evil.example/", "a\n", "x" * 41, 3])
def test_odd_regions(monkeypatch: pytest.MonkeyPatch, region: Any) -> None:
    """A region becomes part of a host's name: what is none is refused."""
    with pytest.raises(UserError, match=r"^region_name is the name of a region such as 'us-east-1'; got "):
        BedrockProvider(region_name=region)
    if region and isinstance(region, str) and region.strip() == region:
        monkeypatch.setenv("AWS_REGION", region)
        with pytest.raises(UserError, match=r"^AWS_REGION is the name of a region"):
            BedrockProvider(api_key="k").target("m")


# --- who -------------------------------------------------------------------------------------------


def test_bearer_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of Bedrock's is sent as it is, before keys to sign with; a function is asked at every try."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    _keys(monkeypatch)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "env-key")
    assert _sent(BedrockProvider()) == {"Authorization": "Bearer env-key"}
    assert _sent(BedrockProvider(api_key="own")) == {"Authorization": "Bearer own"}
    keys = iter(["one", "two"])
    auth = BedrockProvider(api_key=lambda: next(keys)).target("m").auth
    assert auth is not None
    assert [auth("POST", _EU, {}, b"")["Authorization"] for _ in range(2)] == ["Bearer one", "Bearer two"]


def test_given_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are passed have the word over those of the environment, of either kind."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "env-key")
    _keys(monkeypatch, _TOKEN)
    provider = BedrockProvider(region_name="eu-west-1", aws_access_key_id="AKIDOWN", aws_secret_access_key="s")
    sent = _sent(provider)
    assert sent["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDOWN/")
    assert "X-Amz-Security-Token" not in sent


@pytest.mark.parametrize("token", [None, _TOKEN])
def test_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch, no_botocore: None, token: Optional[str]) -> None:
    """Keys of the environment sign what is sent: the address, the type and the body, at the time of the try."""
    provider = BedrockProvider(region_name="eu-west-1")
    _keys(monkeypatch, token)
    monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((2026, 1, 2, 3, 4, 5, 0, 0, 0)))
    sent = _sent(provider, **{"Content-Type": "application/json", "User-Agent": "x", "Idempotency-Key": "y"})
    assert sent == sign(
        "POST",
        _EU + "/model/m/converse",
        {"Content-Type": "application/json"},
        b"{}",
        credentials=Credentials("AKIDENV", _SECRET, token),
        region="eu-west-1",
        service="bedrock",
        timestamp="20260102T030405Z",
    )
    assert sent.get("X-Amz-Security-Token") == token


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the provider nor the login shows a key; the login says what it sent."""
    _keys(monkeypatch, _TOKEN)
    provider = BedrockProvider(region_name="eu-west-1", aws_access_key_id="AKID", aws_secret_access_key=_SECRET)
    auth: Any = provider.target("m").auth
    assert auth.given == {}
    sent = auth("POST", _EU, {}, b"")
    assert auth.given is sent
    for shown in (repr(provider), repr(auth), repr(Chain(None)), str(auth)):
        assert _SECRET not in shown and _TOKEN not in shown
    assert _SECRET not in "".join(sent.values())


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Half a pair of variables is refused by the name of the other half."""
    monkeypatch.setenv(name, "x")
    other = {"AWS_ACCESS_KEY_ID": "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY": "AWS_ACCESS_KEY_ID"}[name]
    with pytest.raises(MissingKeyError, match=rf"^Set the `{other}` environment variable as well"):
        BedrockProvider(region_name="eu-west-1").target("m")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"aws_access_key_id": "a"}, "aws_access_key_id and aws_secret_access_key go together"),
        ({"aws_secret_access_key": "a"}, "aws_access_key_id and aws_secret_access_key go together"),
        ({"aws_session_token": "a"}, "aws_access_key_id and aws_secret_access_key go together"),
        ({"aws_access_key_id": "a", "aws_secret_access_key": "b", "profile_name": "c"}, "Pass either aws_access_key"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: dict[str, str], words: str) -> None:
    """Half a pair, and two ways at once, are refused at once."""
    with pytest.raises(UserError, match=f"^{words}"):
        BedrockProvider(**arguments)  # type: ignore[arg-type] # texts only


# --- botocore's chain ------------------------------------------------------------------------------


def test_without_botocore(no_botocore: None) -> None:
    """Without keys and without botocore the error says what there is to set; a profile wants botocore installed."""
    with pytest.raises(MissingKeyError) as missing:
        BedrockProvider(region_name="eu-west-1").target("m")
    assert "`AWS_BEARER_TOKEN_BEDROCK`" in str(missing.value)
    assert str(missing.value).endswith("need botocore: pip install 'syncagent[bedrock]'.")
    with pytest.raises(MissingExtraError) as absent:
        BedrockProvider(region_name="eu-west-1", profile_name="p").target("m")
    assert str(absent.value) == ("Please install `botocore` to use profile_name: pip install 'syncagent[bedrock]'.")
    assert isinstance(absent.value, ImportError)


_needs_botocore = pytest.mark.skipif(
    "not __import__('importlib.util', fromlist=['x']).find_spec('botocore')", reason="botocore is not installed"
)


def _profile(folder: Path, name: str, key: str) -> None:
    with open(folder / "credentials", "a") as file:
        file.write(f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = t\n")
    with open(folder / "config", "a") as file:
        file.write(f"[{name if name == 'default' else 'profile ' + name}]\nregion = ca-west-1\n")


@_needs_botocore
def test_profiles(monkeypatch: pytest.MonkeyPatch, own_machine: Path) -> None:
    """What botocore finds signs: a named profile over everything, the default one after the environment's keys."""
    _profile(own_machine, "default", "AKIDDEFAULT")
    _profile(own_machine, "other", "AKIDOTHER")
    provider, other = BedrockProvider(), BedrockProvider(profile_name="other")
    sent = _sent(provider)
    assert "Credential=AKIDDEFAULT/" in sent["Authorization"]
    assert "/ca-west-1/bedrock/" in sent["Authorization"]
    assert sent["X-Amz-Security-Token"] == "t"
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "k")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    _keys(monkeypatch)
    assert "Credential=AKIDOTHER/" in _sent(other)["Authorization"]
    assert other.base_url == "https://bedrock-runtime.ca-west-1.amazonaws.com"
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK")
    assert "Credential=AKIDENV/" in _sent(provider)["Authorization"]


@_needs_botocore
def test_nothing_found(own_machine: Path) -> None:
    """Where botocore finds nothing either, the key is missing; it is looked for again at the next request."""
    provider = BedrockProvider(region_name="eu-west-1")
    for _ in range(2):
        with pytest.raises(MissingKeyError, match="AWS_BEARER_TOKEN_BEDROCK"):
            provider.target("m")
    _profile(own_machine, "default", "AKIDLATE")
    assert "Credential=AKIDLATE/" in _sent(provider)["Authorization"]


@_needs_botocore
def test_odd_configuration(own_machine: Path) -> None:
    """A profile that is not there, and files that cannot be read, are refused in botocore's words."""
    with pytest.raises(UserError, match=r"^AWS's configuration cannot be used: .*nobody"):
        BedrockProvider(region_name="eu-west-1", profile_name="nobody").target("m")
    (own_machine / "config").write_text("[broken\nregion")
    with pytest.raises(UserError, match=r"^AWS's configuration cannot be used: "):
        BedrockProvider().target("m")


@_needs_botocore
def test_credentials_that_cannot_be_had() -> None:
    """Credentials that botocore cannot make anew are missing, with its reason."""
    from botocore.exceptions import TokenRetrievalError

    class Broken:
        def get_frozen_credentials(self) -> Any:
            raise TokenRetrievalError(provider="sso", error_msg="Token has expired")

    class Expired(Chain):
        def _look(self, credentials: bool = True) -> tuple[Any, Any]:
            return None, Broken()

    ask = Expired(None).credentials()
    with pytest.raises(MissingKeyError, match=r"^AWS's credentials cannot be had: .*Token has expired"):
        ask()


@_needs_botocore
def test_a_child_process_asks_again(monkeypatch: pytest.MonkeyPatch, own_machine: Path) -> None:
    """What was found is kept in one process, and found anew in another: botocore's sockets and locks stay there."""
    _profile(own_machine, "default", "AKIDONE")
    provider = BedrockProvider(region_name="eu-west-1")
    assert "AKIDONE" in _sent(provider)["Authorization"]
    (own_machine / "credentials").unlink()
    (own_machine / "config").unlink()
    assert "AKIDONE" in _sent(provider)["Authorization"]
    _profile(own_machine, "default", "AKIDTWO")
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    assert "AKIDTWO" in _sent(provider)["Authorization"]


# --- what botocore asks, and the policy of the process -----------------------------------------------


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server that stands for the services of machines and of roles, and knows nobody."""
    body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>No.</Message></Error></ErrorResponse>"
    with FaultServer(say("404 Not Found", body)) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.origin + "/")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.origin)
        yield server
    policy()


@_needs_botocore
def test_services_that_the_policy_forbids(services: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services of machines and containers are asked only where ``hosts`` allows them; else an error says so."""
    provider = BedrockProvider(region_name="us-east-1")
    for variable in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.setenv(variable, services.origin + "/me" if "FULL" in variable else "/me")
        with policy(hosts=["*.amazonaws.com"]), pytest.raises(MissingKeyError, match="Not asked were") as caught:
            provider.target("m")
        assert services.origin in str(caught.value)
        assert ("169.254.170.2" in str(caught.value)) == ("RELATIVE" in variable)
        assert services.requests == []
        monkeypatch.delenv(variable)
    with policy(hosts=["*.amazonaws.com", "127.0.0.1"]):
        with pytest.raises(MissingKeyError) as caught:
            provider.target("m")
    assert "Not asked" not in str(caught.value)
    assert services.requests
    asked = len(services.requests)
    with policy(providers=["bedrock"]), pytest.raises(MissingKeyError):
        provider.target("m")
    assert len(services.requests) > asked


@_needs_botocore
def test_another_address_of_the_machines_service(services: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one would be asked is what botocore's configuration says."""
    monkeypatch.delenv("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    for mode, address in (("IPv4", "http://169.254.169.254/"), ("IPv6", "http://[fd00:ec2::254]/")):
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", mode)
        with policy(hosts=["*.amazonaws.com"]), pytest.raises(MissingKeyError) as caught:
            BedrockProvider(region_name="us-east-1").target("m")
        assert address in str(caught.value)


@_needs_botocore
def test_credentials_are_looked_for_again_under_another_policy(
    services: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a service gave that is forbidden since is used no more, since it would be made anew there."""
    answer = (
        b'{"AccessKeyId": "AKIDMACHINE", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}'
    )
    with FaultServer(lambda peer, request: peer.answer(answer)) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.origin + "/me")
        provider = BedrockProvider(region_name="us-east-1")
        assert "AKIDMACHINE" in _sent(provider)["Authorization"]
        assert "AKIDMACHINE" in _sent(provider)["Authorization"]
        assert len(container.requests) == 1
        with policy(hosts=["*.amazonaws.com"]), pytest.raises(MissingKeyError, match="Not asked were"):
            provider.target("m")
        assert "AKIDMACHINE" in _sent(provider)["Authorization"]
        assert len(container.requests) == 2


@_needs_botocore
def test_roles_that_the_policy_forbids(
    services: FaultServer, monkeypatch: pytest.MonkeyPatch, own_machine: Path
) -> None:
    """A role is asked for by a client of botocore's, which sends nothing to a host that is not allowed."""
    (own_machine / "token").write_text("a-token-of-mine")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(own_machine / "token"))
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with policy(hosts=["*.amazonaws.com"]), pytest.raises(UserError, match=r"does not allow the host '127\.0\.0\.1"):
        _sent(BedrockProvider())
    assert services.requests == []
    with policy(providers=["bedrock"]), pytest.raises(MissingKeyError, match=r"^AWS's credentials .*AccessDenied"):
        _sent(BedrockProvider())
    assert services.requests


@_needs_botocore
def test_a_provider_that_is_forbidden_looks_for_nothing(services: FaultServer) -> None:
    """Where the provider or its host is not allowed, no credentials are looked for."""
    model = BedrockConverseModel("m", provider=BedrockProvider(region_name="us-east-1"))
    for rules in ({"providers": ["openai"]}, {"hosts": ["api.openai.com", "127.0.0.1"]}):
        with policy(**rules), pytest.raises(UserError, match="nothing was sent"):
            model.request([ModelRequest([UserPromptPart("Hi")])], None, ModelRequestParameters())
        with policy(**rules), pytest.raises(UserError, match="nothing was sent"):
            model.check()
    assert services.requests == []
