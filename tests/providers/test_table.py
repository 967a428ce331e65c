"""The table of providers."""

from __future__ import annotations

from importlib import import_module

import pytest

from syncagent.providers.table import ROWS, UNBUILT, ProviderRow

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


@every_row
def test_addresses(row: ProviderRow) -> None:
    """What leaves the machine is encrypted; the variables bear the provider's name."""
    assert row.base_url is None or row.base_url.startswith(("https://", "http://localhost:"))
    known_as = {"google-gla": "GEMINI"}.get(row.name, row.name.upper())
    for variable in (row.base_url_variable, row.key_variable):
        assert variable is None or variable.startswith(known_as)


def test_names() -> None:
    """No name is both built and not."""
    assert not ROWS.keys() & UNBUILT.keys()
    assert ProviderRow("google-gla", "GoogleGLA").module == "google_gla"
