"""The page about servers claims what a test shows, and no test of a server is left out of it."""

from __future__ import annotations

from tests.docs_pages import ROOT, table


def test_rows_and_tests_name_each_other() -> None:
    """Each row has its test, and each test of a server its row."""
    page = (ROOT / "docs" / "reference" / "deployment.md").read_text(encoding="utf-8")
    named = {row[-1].strip("`") for row in table(page, "deployment")}
    assert named == {path.name for path in (ROOT / "tests" / "servers").glob("test_*.py")}
