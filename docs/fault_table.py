"""
Write the tables of faults into ``docs/reference/what-can-go-wrong.md``: ``python -m docs.fault_table``.

They are the catalogue of the fault server in ``tests/faultserver``, which the tests hold the package to.
"""

from __future__ import annotations

from pathlib import Path

from tests.faultserver import __main__ as _  # noqa: F401 -- fills the catalogue
from tests.faultserver.catalog import FAULTS, SECTIONS, Fault

__all__ = ["HEAD", "PAGE", "mark", "rows"]

HEAD = ("Fault", "Sent again", "What you get", "Bounded by", "Try it")
PAGE = Path(__file__).resolve().parent / "reference" / "what-can-go-wrong.md"


def mark(section: str) -> str:
    """The name of a section's table on the page."""
    return "faults-" + section.lower().replace(" ", "-")


def rows(section: str) -> list[list[str]]:
    """One row for each fault of the section; cells as in :data:`HEAD`."""
    return [_row(fault) for fault in FAULTS.values() if fault.section == section]


def _row(fault: Fault) -> list[str]:
    got = "the answer" if fault.error is None else f"`{fault.error.__name__}`"
    return [
        fault.what,
        fault.retried,
        got + (f"; {fault.note}" if fault.note else ""),
        fault.bound,
        f"`{fault.name}`",
    ]


def main() -> None:
    """Write the tables where their marks are."""
    text = PAGE.read_text(encoding="utf-8")
    for section in SECTIONS:
        comment = f"<!-- table: {mark(section)} -->"
        head, found, rest = text.partition(comment + "\n\n")
        if not found:
            raise SystemExit(f"{PAGE} has no {comment}")
        lines = rest.splitlines(keepends=True)
        while lines and lines[0].startswith("|"):
            del lines[0]
        made = [HEAD, ["---"] * len(HEAD), *rows(section)]
        table = "".join(f"| {' | '.join(cells)} |\n" for cells in made)
        table = table.replace(f"| {' | '.join(made[1])} |", "|---" * len(HEAD) + "|")
        if lines and lines[0].strip():
            lines.insert(0, "\n")
        text = head + found + table + "".join(lines)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
