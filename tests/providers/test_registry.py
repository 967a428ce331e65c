"""Providers that a program or a package adds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import syncagent
from syncagent.exceptions import UserError
from syncagent.messages import ModelRequest, UserPromptPart
from syncagent.models import ModelRequestParameters
from syncagent.models.cohere import CohereModel
from syncagent.models.names import infer_model
from syncagent.models.openai import OpenAIModel
from syncagent.providers import Provider, infer_provider, provider_class, register_provider, registry
from syncagent.providers.table import ALIASES, ROWS, ProviderRow
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import as_json, say

_ROW = ProviderRow("acme", "Acme", base_url="https://llm.acme.example/v1", key_variable="ACME_KEY")


class AcmeClass(Provider):
    """A package's own class."""

    row = _ROW


class _Entry:
    """An entry point that counts how often it is loaded."""

    def __init__(self, name: str, loads: Any, value: str = "acme:PROVIDER") -> None:
        self.name = name
        self.value = value
        self.loaded = 0
        self._loads = loads

    def load(self) -> Any:
        self.loaded += 1
        if isinstance(self._loads, Exception):
            raise self._loads
        return self._loads


@pytest.fixture(autouse=True)
def nothing_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with the built-in providers, and leaves no other."""
    monkeypatch.setattr(registry, "_added", {})


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes packages with these entry points look installed."""

    def make(*entries: _Entry) -> None:
        monkeypatch.setattr(registry, "_entry_points", lambda: list(entries))

    return make


# --- by the program --------------------------------------------------------------------------------


def test_a_registered_provider_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its prefix works, its address, header, key and quirks are the row's, and answers bear its name."""
    answer = {"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]}
    with FaultServer(say("200 OK", as_json(answer))) as server:
        monkeypatch.setenv("ACME_KEY", "sk-1")
        register_provider(
            "acme",
            base_url=server.origin + "/v1",
            key_variable="ACME_KEY",
            header="X-Key",
            scheme="",
            quirks={"max_tokens": "max_new_tokens"},
        )
        model = infer_model("acme:some:model")
        asked = [ModelRequest([UserPromptPart("Hi")])]
        response = model.request(list(asked), {"max_tokens": 3}, ModelRequestParameters())
        (request,) = server.requests
        (body,) = server.bodies
    assert isinstance(model, OpenAIModel)
    assert (request.path, request.headers["x-key"]) == ("/v1/chat/completions", "sk-1")
    assert (body["model"], body["max_new_tokens"]) == ("some:model", 3)
    assert response.provider_name == "acme"


def test_the_class_is_given() -> None:
    """What is returned is the provider's class, the one that its name leads to."""
    cls = register_provider("acme-2", base_url="https://a.example/v1", title="Acme two")
    assert cls.__name__ == "AcmeTwoProvider"
    assert provider_class("acme-2") is cls
    assert cls("https://b.example/v1", "k").base_url == "https://b.example/v1"
    assert infer_provider("acme-2").base_url == "https://a.example/v1"


def test_a_name_at_the_top() -> None:
    """It is public at the top of the package."""
    assert syncagent.register_provider is register_provider


def test_another_wire() -> None:
    """A provider may speak another API that is known; an unknown one is refused when a model is made."""
    register_provider("acme", base_url="https://a.example", wire="cohere")
    assert isinstance(infer_model("acme:m"), CohereModel)
    register_provider("other", base_url="https://a.example", wire="morse")
    with pytest.raises(UserError, match=r"^The provider 'other' speaks 'morse'; known wires are anthropic, "):
        infer_model("other:m")


def test_a_bare_name_is_no_prefix() -> None:
    """A prefix that looks like the beginning of a known model's name is the provider's all the same."""
    register_provider("gpt-house", base_url="https://a.example/v1")
    assert (infer_model("gpt-house:m").system, infer_model("gpt-4o:latest").system) == ("gpt-house", "openai")


def test_twice() -> None:
    """The same row may be registered again, as when a module is loaded anew; another row of the name may not."""
    first = register_provider("acme", base_url="https://a.example/v1")
    assert register_provider("acme", base_url="https://a.example/v1") is first
    with pytest.raises(UserError, match=r"^The provider 'acme' is registered already, with another row: "):
        register_provider("acme", base_url="https://evil.example/v1")
    assert infer_provider("acme").base_url == "https://a.example/v1"


@pytest.mark.parametrize("name", [*ROWS, *ALIASES, "test", "local", "openai-responses"])
def test_built_in_names(name: str) -> None:
    """No built-in name can be replaced."""
    with pytest.raises(UserError, match=rf"^The provider '{name}' is built in and cannot be replaced"):
        register_provider(name, base_url="https://evil.example/v1")


@pytest.mark.parametrize("name", ["", "Acme", "a:b", "-a", "a b", "ä", None, 3, "a\n"])
def test_names(name: Any) -> None:
    """A name that no prefix can be is refused."""
    with pytest.raises(UserError, match=r"^A provider's name is of lower-case letters"):
        register_provider(name)


def test_addresses() -> None:
    """What is no address is refused at once; without one the caller has to give it."""
    with pytest.raises(UserError, match="base_url is an address"):
        register_provider("acme", base_url="acme.example")
    cls = register_provider("acme", base_url_variable="ACME_URL")
    with pytest.raises(UserError, match=r"^AcmeProvider has no address of its own: pass base_url= or set `ACME_URL`"):
        cls().target("m")


def test_a_missing_key_without_a_variable() -> None:
    """A row that names no variable asks for the argument."""
    with pytest.raises(UserError, match=r"^Pass a key via `AcmeProvider\(api_key=\.\.\.\)` to use the acme provider"):
        register_provider("acme", base_url="https://a.example/v1")().target("m")


def test_unknown_names_list_the_added_ones() -> None:
    """The error for an unknown name knows of added providers."""
    register_provider("acme", base_url="https://a.example/v1")
    with pytest.raises(UserError, match=r"^Unknown model: nope:m\. .*\bacme, "):
        infer_model("nope:m")


# --- by a package ----------------------------------------------------------------------------------


@pytest.mark.parametrize("loads", [_ROW, AcmeClass])
def test_an_entry_point_is_loaded_when_it_is_used(install: Any, loads: Any) -> None:
    """A row or a class of a package is a provider; it is loaded once, and not before its name is used."""
    entry, other = _Entry("acme", loads), _Entry("other", RuntimeError("must not be loaded"))
    install(entry, other)
    assert infer_model("openai:gpt-4o").system == "openai"
    assert entry.loaded == 0
    assert infer_model("acme:m").system == "acme"
    assert infer_model("acme:n").base_url == "https://llm.acme.example/v1"
    assert (entry.loaded, other.loaded) == (1, 0)


def test_an_entry_point_of_a_built_in_name(install: Any) -> None:
    """It is never looked at: the built-in provider stays."""
    entry = _Entry("openai", ProviderRow("openai", "Evil", base_url="https://evil.example"))
    install(entry)
    assert infer_model("openai:gpt-4o").base_url == "https://api.openai.com/v1"
    assert registry.added_class("openai") is None
    assert entry.loaded == 0


def test_an_entry_point_with_a_row_of_another_name(install: Any) -> None:
    """A row that bears another name than its entry point could take that provider's place: it is refused."""
    install(_Entry("acme", ProviderRow("openai", "Evil", base_url="https://evil.example")))
    with pytest.raises(UserError, match=r"^The entry point 'acme' of the group 'syncagent\.providers' "):
        infer_model("acme:m")


@pytest.mark.parametrize("name", ["test", "openai-responses"])
def test_an_entry_point_of_a_reserved_name(install: Any, name: str) -> None:
    """Prefixes that are no provider's are not to be had either."""
    install(_Entry(name, ProviderRow(name, "Evil", base_url="https://evil.example")))
    with pytest.raises(UserError, match="is built in and cannot be replaced"):
        provider_class(name)


@pytest.mark.parametrize("loads", [None, "https://a.example", int, Provider, _ROW._asdict()])
def test_an_entry_point_that_is_no_provider(install: Any, loads: Any) -> None:
    """Anything else is refused by name, with what was expected."""
    install(_Entry("acme", loads))
    with pytest.raises(UserError, match=r"is a ProviderRow of that name, or a class derived from Provider"):
        infer_model("acme:m")


def test_an_entry_point_that_breaks(install: Any) -> None:
    """What its module raises is told, with the entry point's name."""
    install(_Entry("acme", ImportError("no module named acme")))
    with pytest.raises(
        UserError, match=r"^The provider 'acme' \(acme:PROVIDER\) cannot be loaded: ImportError: no module named acme$"
    ) as raised:
        infer_model("acme:m")
    assert isinstance(raised.value.__cause__, ImportError)


def test_two_packages_with_one_name(install: Any) -> None:
    """Neither wins by chance; the same package seen twice on the path is one."""
    install(_Entry("acme", _ROW, "a:P"), _Entry("acme", _ROW, "b:P"))
    with pytest.raises(UserError, match=r"^The provider 'acme' comes from two packages: a:P and b:P; keep one\.$"):
        infer_model("acme:m")
    install(_Entry("acme", _ROW), _Entry("acme", _ROW))
    assert infer_model("acme:m").system == "acme"


def test_the_program_wins(install: Any) -> None:
    """What a program registers itself goes before a package's."""
    entry = _Entry("acme", _ROW)
    install(entry)
    register_provider("acme", base_url="https://mine.example/v1")
    assert infer_model("acme:m").base_url == "https://mine.example/v1"
    assert entry.loaded == 0


def test_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package on the path whose metadata names an entry point is found, and its module is loaded then."""
    (tmp_path / "house_llm.py").write_text(
        "from syncagent.providers.table import ProviderRow\n"
        'ROW = ProviderRow("house-llm", "House", base_url="https://llm.house.example/v1")\n',
        encoding="utf-8",
    )
    metadata = tmp_path / "house_llm-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: house-llm\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[syncagent.providers]\nhouse-llm = house_llm:ROW\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert infer_model("openai:gpt-4o").system == "openai"
    assert "house_llm" not in sys.modules
    assert infer_model("house-llm:m").base_url == "https://llm.house.example/v1"
    monkeypatch.delitem(sys.modules, "house_llm")


def test_installed_packages_are_looked_through() -> None:
    """The real look-up finds nothing of this name, and is no error."""
    assert registry.added_class("certainly-not-installed") is None
    with pytest.raises(UserError, match=r"^Unknown provider: 'certainly-not-installed'\."):
        provider_class("certainly-not-installed")
