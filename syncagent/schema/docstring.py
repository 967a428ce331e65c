"""
Descriptions from docstrings.

Reads the three common styles line by line, each line once: Google (``Args:`` and an indented block), NumPy
(an underlined ``Parameters`` header) and Sphinx (``:param x:`` fields). Lenient: what it does not understand
belongs to the text around it, and nothing raises.

Sources: the Google Python style guide (3.8), numpydoc's "Style guide", Sphinx' "Python domain: info field lists".
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Optional

__all__ = ["Docstring", "DocstringFormat", "parse_docstring"]

DocstringFormat = Literal["google", "numpy", "sphinx", "auto"]


class Docstring(NamedTuple):
    """
    What a docstring says.

    Attributes:
        description: the text before the first section or field; empty where there is none.
        parameters: parameter (or attribute) names without stars, and their texts. Lines stay lines, without the
            indentation they share. Where a name has several texts, the first counts.
    """

    description: str
    parameters: dict[str, str]


# Headers that open a block of named items, in Google style with a colon, in NumPy style underlined.
_ITEM_HEADERS = frozenset(
    {
        "args",
        "arguments",
        "attributes",
        "keyword args",
        "keyword arguments",
        "other args",
        "other arguments",
        "other parameters",
        "parameters",
        "params",
    }
)
# Headers that end the description without describing parameters.
_OTHER_HEADERS = frozenset(
    {
        "example",
        "examples",
        "except",
        "exceptions",
        "raises",
        "receives",
        "references",
        "return",
        "returns",
        "see also",
        "warns",
        "yield",
        "yields",
    }
)
_HEADERS = _ITEM_HEADERS | _OTHER_HEADERS
_PARAMETER_FIELDS = frozenset({"arg", "argument", "key", "keyword", "param", "parameter"})
_ATTRIBUTE_FIELDS = frozenset({"cvar", "ivar", "var"})
_ITEM_FIELDS = _PARAMETER_FIELDS | _ATTRIBUTE_FIELDS
_OTHER_FIELDS = frozenset(
    {"except", "exception", "meta", "raise", "raises", "return", "returns", "rtype", "type", "vartype", "yields"}
)
_FIELDS = _ITEM_FIELDS | _OTHER_FIELDS


def parse_docstring(text: Optional[str], format: DocstringFormat = "auto") -> Docstring:
    """
    Take a docstring's description and the texts of its parameters.

    Args:
        text: a docstring as it stands in ``__doc__``.
        format: its style. ``auto`` looks for ``:param x:``, then for a header like ``Args:``, then for an
            underlined header, and takes Google style where there is none of them.

    Returns:
        The description and the parameters' texts; both empty without a docstring.
    """
    if not text:
        return Docstring("", {})
    lines = _clean(text)
    if format == "auto":
        format = _detect(lines)
    if format == "sphinx":
        return _parse_sphinx(lines)
    return _parse_numpy(lines) if format == "numpy" else _parse_google(lines)


def _clean(text: str) -> list[str]:
    """Lines without the margin that all but the first share, and without blank lines at either end (PEP 257)."""
    if "\t" in text:
        text = text.expandtabs()
    first, *rest = text.splitlines()
    lines = [first.strip(), *_dedent(rest)]
    start, end = 0, len(lines)
    while start < end and not lines[start]:
        start += 1
    while end > start and not lines[end - 1]:
        end -= 1
    return lines[start:end]


def _dedent(lines: list[str]) -> list[str]:
    """The lines without trailing spaces and without the indentation they share; blank ones are empty."""
    margin = -1
    stripped = []
    for line in lines:
        line = line.rstrip()
        stripped.append(line)
        if line:
            indent = len(line) - len(line.lstrip())
            if indent < margin or margin < 0:
                margin = indent
    return [line[margin:] for line in stripped] if margin > 0 else stripped


def _text(first: str, rest: list[str]) -> str:
    """An item's text: what stands on its own line, then the lines below."""
    while rest and not rest[-1]:
        rest.pop()
    return "\n".join([first, *_dedent(rest)]).strip() if rest else first


def _detect(lines: list[str]) -> Literal["google", "numpy", "sphinx"]:
    google = numpy = fields = False
    for index, line in enumerate(lines):
        if line.endswith(":"):
            google = google or (line[:-1].lower() in _HEADERS and _opens_block(lines, index))
        elif line.startswith("---"):
            numpy = numpy or _underlines(lines, index)
        if ":" in line:
            field = _field(line.lstrip())
            if field is not None:
                if field[0] in _PARAMETER_FIELDS:
                    return "sphinx"
                fields = True
    if google or not (numpy or fields):
        return "google"
    return "numpy" if numpy else "sphinx"


def _opens_block(lines: list[str], index: int) -> bool:
    """Whether the line is followed by an indented one, or is the first of a docstring that is one section."""
    return index + 1 < len(lines) and (index == 0 or lines[index + 1][:1] in (" ", ""))


def _parse_google(lines: list[str]) -> Docstring:
    parameters: dict[str, str] = {}
    description: Optional[list[str]] = None
    if len(lines) > 1 and lines[1][:1] not in (" ", "") and lines[0][:-1].lower() in _HEADERS:
        # '"""Args:' with nothing but the items below: their own indentation was taken for the margin.
        if not any(line[-1:] == ":" and line[:-1].lower() in _HEADERS for line in lines[1:]):
            lines = [lines[0], *("    " + line if line else line for line in lines[1:])]
    index, count = 0, len(lines)
    while index < count:
        line = lines[index]
        name = line[:-1].lower() if line.endswith(":") else ""
        if name not in _HEADERS or not _opens_block(lines, index):
            index += 1
            continue
        if description is None:
            description = lines[:index]
        start = index = index + 1
        while index < count and (not lines[index] or lines[index][0] == " "):
            index += 1
        if name in _ITEM_HEADERS:
            _google_items(_dedent(lines[start:index]), parameters)
    return Docstring("\n".join(lines if description is None else description).strip(), parameters)


def _google_items(lines: list[str], parameters: dict[str, str]) -> None:
    """Read ``name (type): text`` items; what is indented, or names nothing, belongs to the item above."""
    names: list[str] = []
    first = ""
    rest: list[str] = []
    for line in lines:
        item = None if not line or line[0] == " " else _google_item(line)
        if item is None:
            rest.append(line)
            continue
        if names:
            _add(parameters, names, first, rest)
        (names, first), rest = item, []
    _add(parameters, names, first, rest)


def _google_item(line: str) -> Optional[tuple[list[str], str]]:
    """``name: text``, ``name (type): text`` or ``a, b: text`` as the names and the text; None for other lines."""
    colon, bracket = line.find(":"), line.find("(")
    if 0 <= bracket < colon:
        head, depth, end = line[:bracket], 0, bracket
        for end in range(bracket, len(line)):
            if line[end] == "(":
                depth += 1
            elif line[end] == ")":
                depth -= 1
                if not depth:
                    break
        colon = end + 1
        if line[colon : colon + 1] != ":":
            return None
    else:
        head = line[:colon]
    names = _names(head) if colon > 0 else None
    return None if names is None else (names, line[colon + 1 :].strip())


def _underlines(lines: list[str], index: int) -> bool:
    """Whether the line underlines a header above it."""
    line = lines[index]
    return index > 0 and len(line) >= 3 and not line.strip("-") and lines[index - 1][:1] not in ("", " ", "-")


def _parse_numpy(lines: list[str]) -> Docstring:
    parameters: dict[str, str] = {}
    under = [index for index in range(1, len(lines)) if lines[index][:3] == "---" and _underlines(lines, index)]
    for place, index in enumerate(under):
        if lines[index - 1].lower() not in _ITEM_HEADERS:
            continue
        end = under[place + 1] - 1 if place + 1 < len(under) else len(lines)
        names: list[str] = []
        rest: list[str] = []
        for line in lines[index + 1 : end]:
            if not line or line[0] == " ":
                rest.append(line)
                continue
            _add(parameters, names, "", rest)
            names, rest = _names(line.partition(":")[0]) or [], []
        _add(parameters, names, "", rest)
    return Docstring("\n".join(lines[: under[0] - 1] if under else lines).strip(), parameters)


def _field(line: str) -> Optional[tuple[str, str, str]]:
    """``:word argument: text`` in its three pieces, for the words that are known; None for other lines."""
    if line[:1] != ":":
        return None
    end = line.find(": ", 1)
    if end < 0:
        if not line.endswith(":"):
            return None
        end = len(line) - 1
    word, _, argument = line[1:end].partition(" ")
    return (word, argument.strip(), line[end + 1 :].strip()) if word in _FIELDS else None


def _parse_sphinx(lines: list[str]) -> Docstring:
    parameters: dict[str, str] = {}
    description: Optional[list[str]] = None
    names: list[str] = []
    first = ""
    rest: list[str] = []
    for index, line in enumerate(lines):
        field = _field(line.lstrip()) if ":" in line else None
        if field is None:
            if rest and not rest[-1] and line[:1] not in ("", " "):
                _add(parameters, names, first, rest)
                names = []  # a paragraph that is not indented ends the list of fields
            rest.append(line)
            continue
        if description is None:
            description = lines[:index]
        else:
            _add(parameters, names, first, rest)
        word, argument, first = field
        rest = []
        # the type may stand before the name: ":param dict[str, int] x:"
        names = (_names(argument.rpartition(" ")[2]) or []) if word in _ITEM_FIELDS else []
    _add(parameters, names, first, rest)
    return Docstring("\n".join(lines if description is None else description).strip(), parameters)


def _names(head: str) -> Optional[list[str]]:
    """The parameters that a head like ``x``, ``*args`` or ``a, b`` names; None where it is not names."""
    if head.isidentifier():
        return [head]
    names = [name.strip().strip("`").replace("\\", "").lstrip("*") for name in head.split(",")]
    return names if all(name.isidentifier() for name in names) else None


def _add(parameters: dict[str, str], names: list[str], first: str, rest: list[str]) -> None:
    """Write an item's text down under its names, unless it is empty."""
    if not names:
        return
    text = _text(first, rest)
    if text:
        for name in names:
            parameters.setdefault(name, text)
