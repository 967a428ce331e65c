"""
Python objects as XML, for prompts.

Models read examples and records better between tags than as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Optional
from uuid import UUID

__all__ = ["format_as_xml"]

_MAX_DEPTH = 200  # levels; an object that holds itself has no end

# Name without the colon (https://www.w3.org/TR/xml/#NT-Name): a prefix would need a namespace.
_START = (
    "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME = re.compile(f"[{_START}][{_START}0-9.\xb7\u0300-\u036f\u203f\u2040-]*")
_NAME_HELP = "a letter or '_', then letters, digits, '_', '-', '.'"
# What no XML text can hold, escaped or not (https://www.w3.org/TR/xml/#NT-Char).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def format_as_xml(
    obj: Any,
    root_tag: str = "examples",
    item_tag: str = "example",
    include_root_tag: bool = True,
    none_str: str = "null",
    indent: Optional[str] = "  ",
) -> str:
    """
    Write an object as XML.

    >>> print(format_as_xml({"name": "Ada", "languages": ["en", "fr"]}, root_tag="user", item_tag="code"))
    <user>
      <name>Ada</name>
      <languages>
        <code>en</code>
        <code>fr</code>
      </languages>
    </user>

    Args:
        obj: a string, bytes (UTF-8), bool, number, date, time, UUID, path, enum member or None; a mapping with
            strings for keys, a dataclass, attrs or pydantic object; or an iterable of any of these, and so on.
        root_tag: the tag around it all.
        item_tag: the tag around each item of an iterable; a dataclass, attrs or pydantic object has the name of
            its class instead.
        include_root_tag: whether the outer tag is written; without it the parts stand one after the other.
        none_str: what stands for None.
        indent: the indentation of one level; None for everything on one line.

    Returns:
        The XML, without a declaration. A character that XML cannot hold (most control characters) is replaced
        by U+FFFD.

    Raises:
        TypeError: something in the object cannot be written; the message names the path to it.
        ValueError: a tag or key is no XML name, bytes are no UTF-8, or the object is nested without end.
    """
    for name, tag in (("root_tag", root_tag), ("item_tag", item_tag)):
        if not isinstance(tag, str) or not _NAME.fullmatch(tag):
            raise ValueError(f"{name} must be an XML name ({_NAME_HELP}); got {tag!r}.")
    writer = _Writer(item_tag, none_str, indent)
    if include_root_tag:
        writer.element(root_tag, obj, ())
    else:
        text = writer.text(obj, ())
        if text is not None:
            return _escape(text)
        for tag, value, step in writer.parts(obj, ()):
            writer.element(tag, value, (step,))
    return ("" if indent is None else "\n").join(writer.lines)


class _Writer:
    __slots__ = ("indent", "item_tag", "lines", "none_str")

    def __init__(self, item_tag: str, none_str: str, indent: Optional[str]) -> None:
        self.item_tag = item_tag
        self.none_str = none_str
        self.indent = indent or ""
        self.lines: list[str] = []

    def element(self, tag: str, value: Any, path: tuple[str, ...], level: int = 0) -> None:
        """Write one element; *path* leads to its value."""
        margin = self.indent * level
        text = self.text(value, path)
        if text is not None:
            self.lines.append(f"{margin}<{tag}>{_escape(text)}</{tag}>" if text else f"{margin}<{tag} />")
            return
        if level == _MAX_DEPTH:
            raise ValueError(f"{_place(path[:5])}...: nested deeper than {_MAX_DEPTH} levels; does it hold itself?")
        start = len(self.lines)
        self.lines.append(f"{margin}<{tag}>")
        for part_tag, part, step in self.parts(value, path):
            self.element(part_tag, part, (*path, step), level + 1)
        if len(self.lines) == start + 1:
            self.lines[start] = f"{margin}<{tag} />"
        else:
            self.lines.append(f"{margin}</{tag}>")

    def text(self, value: Any, path: tuple[str, ...]) -> Optional[str]:
        """The text of a value without parts; None for one that may have parts."""
        if isinstance(value, Enum):
            value = value.value
        if value is None:
            return self.none_str
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float, Decimal, UUID, PurePath, timedelta)):
            return str(value)
        if isinstance(value, (date, time)):
            return value.isoformat()
        if isinstance(value, (bytes, bytearray)):
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                place = _place(path)
                raise ValueError(f"{place}: these bytes are no UTF-8 text ({error}); encode them first.") from None
        return None

    def parts(self, value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any, str]]:
        """Tag, value and step of the path for each part of a mapping, an object or an iterable."""
        if isinstance(value, Enum):
            value = value.value
        fields = _fields(value)
        if fields is None and isinstance(value, Mapping):
            fields = value
        if fields is not None:
            for key, part in fields.items():
                if not isinstance(key, str):
                    raise TypeError(f"{_place(path)}: keys become tags and must be strings; got {key!r}.")
                if not _NAME.fullmatch(key):
                    raise ValueError(
                        f"{_place(path)}: the key {key!r} cannot be a tag: it is no XML name ({_NAME_HELP})."
                    )
                yield key, part, f".{key}"
        elif isinstance(value, Iterable) and not isinstance(value, type):
            for index, item in enumerate(value):
                yield self.tag_of(item), item, f"[{index}]"
        else:
            raise TypeError(
                f"{_place(path)}: cannot write {type(value).__name__} as XML; give a string, number, date, mapping, "
                "iterable, or a dataclass, attrs or pydantic object."
            )

    def tag_of(self, item: Any) -> str:
        """An item's tag: its class's name where it is an object with fields, else the item tag."""
        name = type(item).__name__
        return name if _has_fields(type(item)) and _NAME.fullmatch(name) else self.item_tag


def _has_fields(cls: Any) -> bool:
    return (
        hasattr(cls, "__dataclass_fields__")
        or hasattr(cls, "__attrs_attrs__")
        or hasattr(cls, "model_dump")
        or (hasattr(cls, "__fields__") and hasattr(cls, "dict"))
    )


def _fields(value: Any) -> Optional[Mapping[Any, Any]]:
    """The fields of a dataclass, attrs or pydantic object with their values; None for anything else."""
    cls = type(value)
    if hasattr(cls, "__dataclass_fields__"):
        from dataclasses import fields

        return {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(cls, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in cls.__attrs_attrs__}
    if _has_fields(cls):
        dumped: Mapping[Any, Any] = value.model_dump() if hasattr(cls, "model_dump") else value.dict()
        return dumped
    return None


def _escape(text: str) -> str:
    text = _FORBIDDEN.sub("\ufffd", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _place(path: tuple[str, ...]) -> str:
    return "".join(path).lstrip(".") or "the object"
