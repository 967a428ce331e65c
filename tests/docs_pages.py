"""
The Markdown of the repository, README.md and docs/ above all, taken apart for the tests that hold it true.

A fenced block in a page is code to be run, unless the comment ``<!-- not run: REASON -->`` stands right before it.
A comment ``<!-- table: NAME -->`` names the table that follows, so that a test can compare it with the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

__all__ = ["PAGES", "ROOT", "Block", "anchors", "blocks", "inline_code", "links", "page_name", "prose", "table"]

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / ".github").glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if "_build" not in path.parts
)

_FENCE = re.compile(r"(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)")
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S.*\S) -->")
_LINK = re.compile(r"(?<!!)\[(?:[^][]|\[[^][]*\])*\]\((?P<target>[^()\s]+)\)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


class Block(NamedTuple):
    """
    A fenced block.

    Args:
        line: the number of its first line of content, from 1.
        language: the first word after the fence, such as ``python``; may be empty.
        code: its lines.
        not_run: why it cannot run offline; None where it is run.
    """

    line: int
    language: str
    code: str
    not_run: Optional[str]


def page_name(path: Path) -> str:
    """A page's path below the repository, with ``/``."""
    return path.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    opened: Optional[tuple[int, str, str, Optional[str]]] = None  # line, fence, language, reason
    content: list[str] = []
    last = ""  # the last line that was not empty
    for number, line in enumerate(text.splitlines(), 1):
        if opened is None:
            match = _FENCE.fullmatch(line)
            if match is not None:
                mark = _NOT_RUN.fullmatch(last.strip())
                language = (match["info"].split() or [""])[0]
                opened = (number + 1, match["fence"], language, mark["reason"] if mark else None)
                content = []
            elif line.strip():
                last = line
        elif line.strip().startswith(opened[1]) and not line.strip().strip(opened[1][0]):
            found.append(Block(opened[0], opened[2], "".join(f"{row}\n" for row in content), opened[3]))
            opened, last = None, line
        else:
            content.append(line)
    if opened is not None:
        raise ValueError(f"The block that begins at line {opened[0]} has no end.")
    return found


def prose(text: str) -> str:
    """The page without its fenced blocks; line numbers stay."""
    rows = text.splitlines()
    for block in blocks(text):
        first = block.line - 2
        last = first + block.code.count("\n") + 2
        rows[first:last] = [""] * (last - first)
    return "\n".join(rows)


def links(text: str) -> list[str]:
    """The targets of a page's links, images left out."""
    return [match["target"] for match in _LINK.finditer(_CODE.sub("``", prose(text)))]


def inline_code(text: str) -> list[str]:
    """What stands between single backticks."""
    return _CODE.findall(prose(text))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them, and those set by ``(name)=``."""
    found = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    for title in re.findall(r"^#{1,6} +(.+?) *$", prose(text), re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"))
    return found


def table(text: str, name: str) -> list[list[str]]:
    """
    The rows of the table after ``<!-- table: NAME -->``, without its head, each a list of cells.

    Raises:
        LookupError: the page has no such table.
    """
    lines: Iterator[str] = iter(prose(text).splitlines())
    for line in lines:
        if line.strip() == f"<!-- table: {name} -->":
            break
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            break
    if len(rows) < 3:
        raise LookupError(f"There is no table {name!r}.")
    return rows[2:]
