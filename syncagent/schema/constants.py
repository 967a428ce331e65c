"""Compiled types whose values are listed: Literal and Enum."""

from __future__ import annotations

import enum
from typing import Any

from .errors import expected_list, fail
from .nodes import Node, leaf_node
from .scalars import EXACT, LAX, STRICT

__all__ = ["enum_node", "literal_node"]


def literal_node(values: tuple[Any, ...]) -> Node:
    """One of some constants; an Enum member by its value. True is not 1, 1.0 is."""
    shown = [value.value if isinstance(value, enum.Enum) else value for value in values]
    expected = {"expected": expected_list(map(repr, shown))}
    table = {_constant_key(plain): value for plain, value in reversed(list(zip(shown, values)))}
    table.update({_constant_key(value): value for value in values if isinstance(value, enum.Enum)})
    # bytes come as text in JSON
    table.update({("str", value.decode()): value for value in values if isinstance(value, bytes)})

    def take(value: Any) -> Any:
        try:
            return table[_constant_key(value)]
        except (KeyError, TypeError):
            fail("literal_error", value, **expected)

    return leaf_node(take, lambda value: EXACT, f"literal[{','.join(map(repr, shown))}]")


def _constant_key(value: Any) -> tuple[str, Any]:
    """Equal for equal constants of the same JSON type."""
    if isinstance(value, enum.Enum):
        return type(value).__name__, value
    if isinstance(value, bool):
        return "bool", value
    return ("number" if isinstance(value, (int, float)) else type(value).__name__), value


def enum_node(cls: Any) -> Node:
    """A member of an Enum, by its value; its own ``_missing_`` is asked last."""
    members = list(cls)
    expected = {"expected": expected_list(repr(member.value) for member in members)} if members else {"expected": "?"}
    table: dict[Any, Any] = {}
    for member in members:
        key = _enum_key(member.value)
        if key is not None:
            table.setdefault(key, member)
    numbers = issubclass(cls, int)
    missing = any("_missing_" in base.__dict__ for base in cls.__mro__ if base.__module__ != "enum")

    def take(value: Any) -> Any:
        if isinstance(value, cls):
            return value
        key = _enum_key(value)
        if key in table:
            return table[key]
        if numbers and isinstance(value, str):
            number = _enum_key(_number(value))
            if number in table:
                return table[number]
        if missing:
            try:
                return cls(value)
            except (KeyError, TypeError, ValueError):  # what a _missing_ that does not know the value ends in
                pass
        fail("enum", value, **expected)

    def rank(value: Any) -> int:
        return EXACT if isinstance(value, cls) else STRICT if type(value) in types else LAX

    types = {type(member.value) for member in members}
    base = "str-" if issubclass(cls, str) else "int-" if numbers else ""
    return leaf_node(take, rank, f"{base}enum[{cls.__name__}]")


def _number(text: str) -> Any:
    try:
        return int(text.strip()) if len(text) < 100 else None
    except ValueError:
        return None


def _enum_key(value: Any) -> Any:
    if isinstance(value, list):
        value = tuple(value)
    try:
        hash(value)
    except TypeError:
        return None
    return _constant_key(value)
