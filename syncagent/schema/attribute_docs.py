"""
Docstrings of attributes: the string that stands under an assignment in a class (PEP 257).

Python throws them away when it compiles a class, so they are read from its source, where there is one.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["attribute_docstrings"]


_known: WeakKeyDictionary[type, dict[str, str]] = WeakKeyDictionary()


def attribute_docstrings(cls: type) -> dict[str, str]:
    """
    The texts under the attributes that *cls* itself defines.

    Returns:
        Attribute names and texts; empty where the source is not at hand or does not show this class.
    """
    found = _known.get(cls)
    if found is None:
        found = _known[cls] = _read(cls)
    return found


def _read(cls: type) -> dict[str, str]:
    own = list(_own_annotations(cls))
    if not own:
        return {}
    for lines in _candidates(cls):
        # Where no line begins with a quote, there is no docstring in it.
        if not any(line.lstrip()[:1] in ('"', "'", "r") for line in lines[1:]):
            continue
        try:
            body = ast.parse(textwrap.dedent("".join(lines))).body[0]
        except SyntaxError:  # a text at the margin has ended the block, or the file has changed since its import
            continue
        if isinstance(body, ast.ClassDef) and _annotated(body) == own:
            return _texts(body)
    return {}


def _own_annotations(cls: Any) -> Any:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return cls.__dict__.get("__annotations__", ())  # noqa: RUF063 # a base's would count without __dict__ on 3.9


def _candidates(cls: Any) -> Iterator[list[str]]:
    """The source of each class of that name in its module's file, the head first."""
    module = sys.modules.get(cls.__module__)
    filename = getattr(module, "__file__", None)
    if module is None or not isinstance(filename, str) or not filename.endswith(".py"):
        return
    lines = linecache.getlines(filename, vars(module))
    words = ["class", cls.__name__]
    for number, line in enumerate(lines):
        if cls.__name__ in line and re.split(r"[\s(:\[]+", line.strip(), maxsplit=2)[:2] == words:
            yield _block(lines, number)


def _block(lines: list[str], number: int) -> list[str]:
    """The lines from *number* on that are indented more than it; many times quicker than inspect.getblock."""
    margin = _indentation(lines[number])
    end = number + 1
    while end < len(lines) and (not lines[end].strip() or _indentation(lines[end]) > margin):
        end += 1
    return lines[number:end]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _annotated(node: ast.ClassDef) -> list[str]:
    fields = [item.target for item in node.body if isinstance(item, ast.AnnAssign)]
    return list(dict.fromkeys(target.id for target in fields if isinstance(target, ast.Name)))


def _texts(node: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    for item, after in zip(node.body, node.body[1:]):
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            found[item.target.id] = inspect.cleandoc(after.value.value)
    return found
