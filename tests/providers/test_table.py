"""The table of providers."""

from __future__ import annotations

from importlib import import_module

import pytest

from syncagent.providers.table import ALIASES, ROWS, ProviderRow

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))


@every_row
def test_quirks(row: ProviderRow) -> None:
    """Every quirk is one of the wire's table."""
    wire = import_module(f"syncagent.models.{row.wire}")
    assert row.quirks.keys() <= getattr(wire, "QUIRKS", {}).keys()


@every_row
def test_module(row: ProviderRow) -> None:
    """Every row has a module that exports its class, and nothing else."""
    module = import_module(f"syncagent.providers.{row.module}")
    assert module.__all__ == [f"{row.title}Provider"]


_OWN_NAMES = {
    "alibaba": ("DASHSCOPE_",),
    "azure": ("AZURE_OPENAI_",),
    "bedrock": ("AWS_",),
    "bedrock-mantle": ("BEDROCK_MANTLE_", "AWS_BEARER_TOKEN_BEDROCK"),
    "cohere": ("CO_",),
    "google-gla": ("GEMINI_",),
    "heroku": ("INFERENCE_",),
    "huggingface": ("HUGGINGFACE_", "HF_TOKEN"),
    "litellm": ("LITELLM_PROXY_",),
    "llamacpp": ("LLAMACPP_", "LLAMA_"),
    "lmstudio": ("LMSTUDIO_", "LM_API_TOKEN"),
    "moonshotai": ("MOONSHOT_",),
}
"""Providers whose own documents, or add-ons, use other names than theirs."""


@every_row
def test_addresses(row: ProviderRow) -> None:
    """What leaves the machine is encrypted; the variables bear the provider's name, or are its own choice."""
    assert row.base_url is None or row.base_url.startswith(("https://", "http://localhost:"))
    known_as = _OWN_NAMES.get(row.name, (row.name.upper(),))
    for variable in (row.base_url_variable, row.key_variable):
        assert variable is None or variable.startswith(known_as)


def test_variables_are_nobody_elses() -> None:
    """No two providers share a variable: a key goes to its own provider only. Bedrock's two APIs are one provider."""
    variables = [
        variable
        for row in ROWS.values()
        if row.name != "bedrock"
        for variable in (row.base_url_variable, row.key_variable)
        if variable is not None
    ]
    assert len(variables) == len(set(variables))


def test_aliases() -> None:
    """An alias is another name of a row, and no row's own."""
    assert set(ALIASES.values()) <= ROWS.keys()
    assert not ALIASES.keys() & ROWS.keys()


def test_module_name() -> None:
    """A name with a hyphen is a module's with an underscore."""
    assert ProviderRow("google-gla", "GoogleGLA").module == "google_gla"
