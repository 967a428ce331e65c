"""The page "What can go wrong and what you get" says what the catalogue says, which the tests hold us to."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from tests.docs_pages import ROOT, table
from tests.faultserver.catalog import FAULTS, SECTIONS


@pytest.fixture(scope="module")
def script() -> Any:
    """The script that writes the tables, as a module."""
    spec = importlib.util.spec_from_file_location("fault_table", ROOT / "docs" / "fault_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("section", SECTIONS)
def test_tables_are_true(script: Any, section: str) -> None:
    """Each row is a fault of the catalogue; if not: ``python -m docs.fault_table``."""
    page = script.PAGE.read_text(encoding="utf-8")
    assert table(page, script.mark(section)) == script.rows(section)


def test_every_fault_is_there(script: Any) -> None:
    """Once."""
    names = [row[-1].strip("`") for section in SECTIONS for row in script.rows(section)]
    assert sorted(names) == sorted(FAULTS)


def test_it_is_written_twice_the_same(script: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is right stays as it is; what is wrong is replaced."""
    text = script.PAGE.read_text(encoding="utf-8")
    page = tmp_path / "page.md"
    monkeypatch.setattr(script, "PAGE", page)
    page.write_text(text.replace("| `ModelQuotaError` |", "| `Nothing` |"), encoding="utf-8")
    script.main()
    assert page.read_text(encoding="utf-8") == text
    page.write_text("# no marks\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="faults-connection"):
        script.main()
