"""The table of features in the documentation is what the code does."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from syncagent.providers.table import ROWS
from tests.docs_pages import ROOT, table


@pytest.fixture(scope="module")
def script() -> Any:
    """The script that writes the table, as a module."""
    spec = importlib.util.spec_from_file_location("feature_table", ROOT / "docs" / "feature_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_table_is_true(script: Any) -> None:
    """Each cell is what the provider's own model writes today; if not: ``python -m docs.feature_table``."""
    page = (ROOT / "docs" / "providers" / "index.md").read_text(encoding="utf-8")
    assert table(page, "features") == script.rows()


def test_every_provider_is_there(script: Any) -> None:
    """Each row of the table of providers has one."""
    assert [cells[0] for cells in script.rows()] == [f"`{name}`" for name in sorted(ROWS)]


def test_the_script_sees_differences(script: Any) -> None:
    """What is known of a few providers: the script does not say the same of all."""
    by_name = {cells[0].strip("`"): dict(zip(script.HEAD, cells)) for cells in script.rows()}
    assert by_name["groq"]["Documents"] == "no"
    assert by_name["mistral"]["Documents"] == "address, data"
    assert by_name["openai"]["Documents"] == "data"
    assert by_name["zai"]["Tools forced"] == "no"
    assert by_name["openai"]["Tools forced"] == "yes"
    assert by_name["cohere"]["Typed results"] == "tool, native without tools, prompted"
    assert by_name["deepseek"]["Typed results"] == "tool, prompted"
    assert (by_name["deepseek"]["Thinking back"], by_name["vllm"]["Thinking back"]) == ("yes", "no")


def test_the_page_is_written(script: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script replaces the table, and nothing else; without a mark it does nothing."""
    page = tmp_path / "index.md"
    monkeypatch.setattr(script, "PAGE", page)
    page.write_text(f"# a\n\n{script.MARK}\n\n| x |\n|---|\n| y |\n\nb\n", encoding="utf-8")
    script.main()
    assert page.read_text(encoding="utf-8") == f"# a\n\n{script.MARK}\n\n{script.text()}\n\nb\n"
    page.write_text("# a\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="has no line"):
        script.main()
    assert page.read_text(encoding="utf-8") == "# a\n"
