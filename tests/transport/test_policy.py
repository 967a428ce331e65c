"""One policy for the process: who may be asked, and how many at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest

import syncagent
from syncagent import Agent, policy
from syncagent.deadline import Deadline
from syncagent.embed import embed
from syncagent.exceptions import (
    ModelConnectionError,
    UserError,
)
from syncagent.models import ModelRequestParameters, override_allow_model_requests
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider
from syncagent.transport import HttpRequest, RetryPolicy, Transport
from syncagent.transport.download import download
from syncagent.transport.policy import in_force
from tests.faultserver import FaultServer
from tests.faultserver import scenarios as fault

Ask = Callable[..., HttpRequest]
_NEVER = RetryPolicy(max_retries=0)
_ANSWER = b'{"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]}'


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Names are not looked up; those that would have been are listed."""
    asked: list[Any] = []

    def getaddrinfo(host: Any, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def sent(transport: Transport, request: HttpRequest, deadline: Optional[Deadline] = None) -> bool:
    """Whether the request goes out; to a host that is not there, where nobody listens."""
    try:
        transport.send(request, deadline or Deadline(5))
    except ModelConnectionError:
        return True
    except UserError as error:
        assert "nothing was sent" in str(error)
        return False
    return True


# --- hosts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "url", "allowed"),
    [
        ("example.com", "https://example.com/v1", True),
        ("EXAMPLE.com.", "https://example.COM/v1", True),
        ("example.com", "https://EXAMPLE.com.:443/v1?x#y", True),
        ("example.com", "https://api.example.com/", False),
        ("example.com", "https://example.com.evil.test/", False),
        ("example.com", "https://evil.test/example.com", False),
        ("example.com", "https://evil.test?example.com", False),
        ("example.com", "https://evil.test#example.com", False),
        ("*.example.com", "https://api.example.com/", True),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://badexample.com/", False),
        ("example.com:8080", "http://example.com:8080/", True),
        ("example.com:8080", "http://example.com/", False),
        ("example.com:443", "https://example.com/", True),
        ("example.com:80", "http://example.com:/", True),
        ("*.example.com:8080", "http://a.example.com:8080/", True),
        ("*.example.com:8080", "http://a.example.com:81/", False),
        ("b\u00fccher.example", "https://xn--bcher-kva.example/", True),
        ("xn--bcher-kva.example", "https://B\u00dcCHER.example/", True),
        ("10.0.0.1", "http://10.0.0.1:99/", True),
        ("10.0.0.1", "http://10.0.0.2/", False),
        ("[::1]:8080", "http://[0:0::1]:8080/", True),
        ("[::1]:8080", "http://[::1]/", False),
        ("::1", "http://[::1]:5/", True),
        ("[::1]:8080", "http://[::1:8080]/", False),
        ("*.0.0.1", "http://10.0.0.1/", None),
    ],
)
def test_hosts(
    transport: Transport, ask: Ask, offline: list[Any], rule: str, url: str, allowed: Optional[bool]
) -> None:
    """A host is compared in one form, a star stands for what is below a name, and a port for itself alone."""
    if allowed is None:
        with pytest.raises(UserError, match="takes hosts such as"):
            policy(hosts=[rule])
        return
    with policy(hosts=[rule]):
        request = ask(url, retry_policy=_NEVER)
        assert sent(transport, request) is allowed
        assert sent(transport, request) is allowed  # what is known by now
    assert bool(offline) is allowed


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com\\@evil.test/",
        "https://example.com@evil.test/",
        "https://%65xample.com/",
        "https://example.com:0x50/",
        "https://example.com:99999/",
        "https://[example.com]/",
        "https://[::1/",
        "https://[::1]x/",
        "https://127.1/",
        "https:///v1",
        "https://exa mple.com/",
        "ftp://example.com/",
        "example.com",
        "https://\ud800.example/",
    ],
)
def test_odd_addresses(transport: Transport, ask: Ask, offline: list[Any], url: str) -> None:
    """An address that parsers read differently is allowed to nobody, whatever the list says."""
    with policy(hosts=["example.com", "*.com", "*.example", "*.test", "127.0.0.1", "::1"]):
        assert not sent(transport, ask(url, retry_policy=_NEVER))
    assert offline == []


def test_a_refusal_says_what_to_do(transport: Transport, ask: Ask, offline: list[Any]) -> None:
    """It names the host, what is allowed and a near miss; it is never tried again, and looks nothing up."""
    with policy(hosts=["api.opnai.com", "x.example"]) as rules, pytest.raises(UserError) as caught:
        transport.send(ask("https://api.openai.com/v1"), Deadline())
    text = str(caught.value)
    assert "does not allow the host 'api.openai.com', so nothing was sent." in text
    assert "Allowed are: api.opnai.com, x.example (is 'api.opnai.com' misspelt?)" in text
    assert "add 'api.openai.com' to syncagent.policy(hosts=...)" in text
    assert offline == []
    assert repr(rules) == "<Policy hosts=['api.opnai.com', 'x.example']>"


def test_no_host_at_all(transport: Transport, ask: Ask, offline: list[Any]) -> None:
    """An empty list allows nobody."""
    with policy(hosts=[]), pytest.raises(UserError, match="Allowed are: none"):
        transport.send(ask("https://example.com/"), Deadline())


def test_many_hosts_do_not_grow_what_is_known(transport: Transport, ask: Ask, offline: list[Any]) -> None:
    """What is kept of hosts that were asked is bounded."""
    with policy(hosts=["*.example"]):
        rules: Any = in_force()
        for number in range(1500):
            assert rules.admit(ask(f"https://h{number}.example/"), Deadline(), 0) is None
        assert len(rules._known) <= 1000


def test_downloads_are_held_hop_by_hop() -> None:
    """A redirect to a host that is not allowed is refused before that host hears of it."""
    with FaultServer(fault.ok) as other, FaultServer(
        fault.say("302 Found", b"", f"Location: {other.url}")
    ) as first:
        allow = ["127.0.0.1"]
        with policy(hosts=[f"127.0.0.1:{first.port}"]), pytest.raises(UserError, match=f"127.0.0.1:{other.port}"):
            download(first.url, allow=allow)
        assert (len(first.requests), other.connections) == (1, 0)
        with policy(hosts=["127.0.0.1"], providers=[]):
            download(first.url, allow=allow)
        with policy(hosts=["example.com"]), pytest.raises(UserError, match="does not allow the host"):
            download(first.url, allow=allow)
        assert len(first.requests) == 2


# --- providers ------------------------------------------------------------------------------------


def test_providers(offline: list[Any]) -> None:
    """A provider that is not named is not asked, by an agent, a stream, a count or for vectors."""
    model = OpenAIModel("gpt-4o", provider=OpenAIProvider(api_key="sk-x", retry_policy=_NEVER))
    with policy(providers=["anthropic", "openay"]):
        with pytest.raises(UserError, match=r"the provider 'openai'.*\(is 'openay' misspelt\?\).*providers="):
            Agent(model).run_sync("Hi")
        with pytest.raises(UserError, match="the provider 'openai'"), Agent(model).run_stream("Hi"):
            pass
        with pytest.raises(UserError, match="the provider 'openai'"):
            embed("Hi", "text-embedding-3-small", provider=model.provider)
    assert offline == []
    with policy(providers=["openai"]), pytest.raises(ModelConnectionError):
        Agent(model).run_sync("Hi")
    assert "api.openai.com" in offline


@pytest.mark.parametrize("rules", [{"providers": ["anthropic"]}, {"hosts": ["api.anthropic.com"]}], ids=str)
def test_nobody_logs_in_where_nothing_may_be_sent(offline: list[Any], rules: dict[str, Any]) -> None:
    """What a provider does before a request, to log in, is not done either; ``check()`` says so."""

    class Provider(OpenAIProvider):
        def target(self, model_name: str, deadline: Optional[Deadline] = None) -> Any:
            offline.append("login")
            return super().target(model_name, deadline)

    provider = Provider(api_key="sk-x", retry_policy=_NEVER)
    model = OpenAIModel("gpt-4o", provider=provider)
    with policy(**rules):
        with pytest.raises(UserError, match="nothing was sent"):
            Agent(model).run_sync("Hi")
        with pytest.raises(UserError, match="nothing was sent"), Agent(model).run_stream("Hi"):
            pass
        with pytest.raises(UserError, match="nothing was sent"):
            embed("Hi", "text-embedding-3-small", provider=provider)
        with pytest.raises(UserError, match="nothing was sent"):
            model.check()
    assert offline == []
    model.check()
    assert offline == ["login"]


def test_an_address_that_is_not_known_yet(offline: list[Any]) -> None:
    """Where only the login says the host, it is held by its name first and by its host when it is asked."""

    class Provider(OpenAIProvider):
        @property
        def base_url(self) -> Optional[str]:
            return None

    provider = Provider(api_key="sk-x", retry_policy=_NEVER)
    with policy(hosts=["api.anthropic.com"]):
        provider.check_policy()
        with pytest.raises(UserError, match=r"the host 'api\.openai\.com'"):
            Agent(OpenAIModel("gpt-4o", provider=provider)).run_sync("Hi")
    with policy(providers=["anthropic"]), pytest.raises(UserError, match="the provider 'openai'"):
        provider.check_policy()
    assert offline == []


# --- what it is given, and how long it lasts ------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"hosts": "example.com"}, r"hosts=\) takes a list of names; got the text 'example.com'"),
        ({"hosts": 5}, r"hosts=\) takes a list"),
        ({"hosts": [b"example.com"]}, r"hosts=\) takes a list"),
        ({"hosts": [" "]}, r"hosts=\) takes a list"),
        ({"hosts": ["https://example.com"]}, "takes hosts such as"),
        ({"hosts": ["example.com/v1"]}, "takes hosts such as"),
        ({"hosts": ["*"]}, "takes hosts such as"),
        ({"hosts": ["*.*.com"]}, "takes hosts such as"),
        ({"hosts": ["a.com:http"]}, "takes hosts such as"),
        ({"providers": "openai"}, r"providers=\) takes a list"),
        ({"providers": [None]}, r"providers=\) takes a list"),
        ({"max_concurrent_requests": 0}, "max_concurrent_requests"),
        ({"max_concurrent_requests": True}, "max_concurrent_requests"),
        ({"max_concurrent_requests": 2.0}, "max_concurrent_requests"),
        ({"max_concurrent_requests": 10_001}, "max_concurrent_requests"),
        ({"max_concurrent_requests": 1, "max_queued": -1}, "max_queued"),
        ({"max_queued": 5}, "needs max_concurrent_requests"),
    ],
    ids=str,
)
def test_impossible_policies(arguments: dict[str, Any], text: str) -> None:
    """What cannot be used is a UserError, and the policy stays as it was."""
    with policy(hosts=["a.example"]):
        before = in_force()
        with pytest.raises(UserError, match=text):
            policy(**arguments)
        assert in_force() is before


def test_each_call_replaces_the_whole() -> None:
    """What is not given is not limited; ``policy()`` lifts it; leaving the ``with`` puts the former one back."""
    assert in_force() is None
    outer = policy(providers=["openai"], hosts=["a.example"])
    kept: Any = in_force()
    assert (kept.providers, kept.hosts) == ({"openai"}, {"a.example"})
    with policy(max_concurrent_requests=2, max_queued=1) as inner:
        now: Any = in_force()
        assert (now.providers, now.hosts) == (None, None)
        assert repr(inner) == "<Policy max_concurrent_requests=2, max_queued=1>"
        with pytest.raises(KeyError), policy():
            assert in_force() is None
            raise KeyError
        assert in_force() is now
    assert in_force() is kept
    assert (outer.under_way, outer.waiting) == (0, 0)
    policy()
    assert in_force() is None


def test_it_loads_no_http() -> None:
    """Setting a policy at the start of a program loads neither requests nor the providers."""
    code = (
        "import sys, syncagent; syncagent.policy(hosts=['a.example'], providers=['x'], max_concurrent_requests=3);"
        "print([m for m in ('requests', 'urllib3', 'tenacity', 'difflib', 'syncagent.providers') if m in sys.modules])"
    )
    root = str(Path(syncagent.__file__).resolve().parents[1])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


# --- permission -----------------------------------------------------------------------------------


def test_downloads_can_be_forbidden() -> None:
    """Where model requests are not allowed, a download is not made, called directly or for a message."""
    with FaultServer(fault.ok) as server, override_allow_model_requests(False):
        with pytest.raises(RuntimeError, match=r"^Model requests are not allowed"):
            download(server.url, allow=["127.0.0.1"])
        assert server.connections == 0


def test_downloads_in_a_process_that_is_forbidden() -> None:
    """The variable holds for a program that loads nothing but the downloader."""
    code = "from syncagent.transport.download import download; download('http://127.0.0.1:9/', allow=['127.0.0.1'])"
    root = str(Path(syncagent.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "SYNCAGENT_ALLOW_MODEL_REQUESTS": "0"},
        check=False,
    )
    assert "RuntimeError: Model requests are not allowed" in done.stderr


def test_a_plain_answer_under_a_policy() -> None:
    """A run inside all its limits is as any other."""
    with FaultServer(fault.say("200 OK", _ANSWER)) as server:
        model = OpenAIModel("gpt-4o", provider=OpenAIProvider(server.origin + "/v1", "k"))
        limits: dict[str, Any] = {"hosts": ["127.0.0.1"], "providers": ["openai"], "max_concurrent_requests": 1}
        with policy(**limits) as limit:
            assert Agent(model).run_sync("Hi").data == "Hey."
            assert model.request([], None, ModelRequestParameters()).attempts == 1
            assert limit.under_way == 0
        model.provider.transport.close()
