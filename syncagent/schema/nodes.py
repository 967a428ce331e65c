"""
Compiled types: a :class:`Node` takes a value of one type, and says how well it fits.

Nodes are functions closed over the nodes of their items, built once for each type. They raise
:class:`~syncagent.schema.errors.Invalid` with everything that is wrong below them.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, KeysView, Mapping, ValuesView
from typing import Any, Optional

from .errors import Invalid, Problem, expected_list, fail
from .scalars import EXACT, LAX, STRICT, Parser, Rank

__all__ = [
    "Node",
    "checked_node",
    "dict_node",
    "enum_node",
    "list_node",
    "literal_node",
    "optional_node",
    "set_node",
    "tuple_node",
    "union_node",
]

_LISTS = (list, tuple, set, frozenset, deque, KeysView, ValuesView)


class Node:
    """
    A compiled type.

    Attributes:
        take: makes the typed value, or raises :class:`~syncagent.schema.errors.Invalid`.
        rank: how closely a value that was taken fits (``LAX``, ``STRICT``, ``EXACT``).
        count: how many fields of its objects a value sets; None where the type has no object in it.
        label: what a union calls it in the path of an error.
    """

    __slots__ = ("count", "label", "rank", "take")

    def __init__(self, take: Parser, rank: Rank, label: str, count: Optional[Rank] = None) -> None:
        self.take = take
        self.rank = rank
        self.label = label
        self.count = count


def checked_node(inner: Node, check: Callable[[Any, Any], Any]) -> Node:
    """*inner*, and afterwards *check(value, given)*."""
    take = inner.take
    label = f"constrained-{inner.label}" if inner.label in ("int", "float", "str") else inner.label
    return Node(lambda value: check(take(value), value), inner.rank, label, inner.count)


def _as_list(value: Any, kind: str) -> Any:
    # A generator would be used up by the attempt, and a str is no list of its letters.
    return value if isinstance(value, _LISTS) else fail(kind, value)


def list_node(item: Node, kind: str) -> Node:
    """A list, deque or tuple of any length."""
    take_item = item.take
    make, error_kind, name = _SEQUENCES[kind]

    def take(value: Any) -> Any:
        if type(value) is not list:
            value = _as_list(value, error_kind)
        items, problems = [], None
        for index, element in enumerate(value):
            try:
                items.append(take_item(element))
            except Invalid as error:
                problems = (problems or []) + error.below(index)
        if problems:
            raise Invalid(problems)
        return items if make is None else make(items)

    own = EXACT if make is None else STRICT
    inner = f"{item.label}, ..." if kind == "tuple_of" else item.label
    return Node(take, _rank_items(item.rank, make or list, own), f"{name}[{inner}]", _count_items(item.count))


_SEQUENCES: dict[str, tuple[Optional[Callable[[Iterable[Any]], Any]], str, str]] = {
    "deque": (deque, "deque_type", "deque"),
    "list": (None, "list_type", "list"),
    "tuple_of": (tuple, "tuple_type", "tuple"),
}


def _rank_items(rank_item: Rank, cls: Any, own: int) -> Rank:
    def rank(value: Any) -> int:
        outer = EXACT if type(value) is cls else own if type(value) is list else LAX
        return min([outer, *map(rank_item, value)])

    return rank


def _count_items(count: Optional[Rank]) -> Optional[Rank]:
    return None if count is None else lambda value: sum(map(count, value))


def set_node(item: Node, kind: str) -> Node:
    """A set or frozenset; the same item twice is there once."""
    take_item = item.take
    make: Any = frozenset if kind == "frozenset" else set
    error_kind = "frozen_set_type" if kind == "frozenset" else "set_type"

    def take(value: Any) -> Any:
        items: set[Any] = set()
        problems: list[Problem] = []
        for index, element in enumerate(_as_list(value, error_kind)):
            try:
                items.add(take_item(element))
            except Invalid as error:
                problems.extend(error.below(index))
            except TypeError:
                problem = Problem("set_item_not_hashable", element, None)
                problem.path.append(index)
                problems.append(problem)
        if problems:
            raise Invalid(problems)
        return make(items) if make is not set else items

    return Node(take, _rank_items(item.rank, make, STRICT), f"{kind}[{item.label}]", _count_items(item.count))


def tuple_node(items: list[Node]) -> Node:
    """A tuple of known length."""
    takes = [item.take for item in items]
    size = len(takes)

    def take(value: Any) -> Any:
        value = _as_list(value, "tuple_type")
        made, problems = take_each(value, takes, size)
        if len(value) > size:
            problems = [Problem("too_long", value, too_long_context("Tuple", size, len(value)))]
        if problems:
            raise Invalid(problems)
        return tuple(made)

    def rank(value: Any) -> int:
        outer = EXACT if type(value) is tuple else STRICT
        return min([outer, *(item.rank(element) for item, element in zip(items, value))])

    counted = [item.count for item in items]
    count = None if not any(counted) else lambda value: sum(of(x) for of, x in zip(counted, value) if of)
    return Node(take, rank, f"tuple[{', '.join(item.label for item in items)}]", count)


def take_each(value: Iterable[Any], takes: list[Parser], needed: int) -> tuple[list[Any], list[Problem]]:
    """Take each element with its own parser; say which of the first *needed* are missing."""
    elements = list(value)
    made: list[Any] = []
    problems: list[Problem] = []
    for index, (take, element) in enumerate(zip(takes, elements)):
        try:
            made.append(take(element))
        except Invalid as error:
            problems.extend(error.below(index))
    for index in range(len(elements), needed):
        problem = Problem("missing", value, None)
        problem.path.append(index)
        problems.append(problem)
    return made, problems


def too_long_context(noun: str, limit: int, size: int) -> dict[str, Any]:
    """What the text for too many items mentions."""
    return {"field_type": noun, "max_length": limit, "actual_length": size}


def dict_node(key: Node, item: Node) -> Node:
    """A dict; keys come as strings in JSON and are read as their type."""
    take_key, take_item = key.take, item.take

    def take(value: Any) -> Any:
        if not isinstance(value, Mapping):
            fail("dict_type", value)
        made: dict[Any, Any] = {}
        problems: list[Problem] = []
        for name, element in value.items():
            step = name if isinstance(name, (str, int)) else str(name)
            try:
                taken_name = take_key(name)
            except Invalid as error:
                problems.extend(error.below("[key]", step))
                taken_name = name
            try:
                made[taken_name] = take_item(element)
            except Invalid as error:
                problems.extend(error.below(step))
        if problems:
            raise Invalid(problems)
        return made

    def rank(value: Any) -> int:
        own = EXACT if type(value) is dict else STRICT
        return min([own, *map(key.rank, value), *map(item.rank, value.values())])

    counted = item.count
    count = None if counted is None else lambda value: sum(map(counted, value.values()))
    return Node(take, rank, f"dict[{key.label},{item.label}]", count)


def optional_node(inner: Node) -> Node:
    """None, or what *inner* takes."""
    take = inner.take
    counted = inner.count
    count = None if counted is None else lambda value: 0 if value is None else counted(value)
    return Node(
        lambda value: None if value is None else take(value),
        lambda value: EXACT if value is None else inner.rank(value),
        f"nullable[{inner.label}]",
        count,
    )


def union_node(members: list[Node]) -> Node:
    """
    The member that fits best: of objects the one that sets more fields, else the closest, else the first.

    The rule is pydantic's "smart mode" (https://docs.pydantic.dev/latest/concepts/unions/#smart-mode).
    """

    def best(value: Any) -> tuple[Any, Node, int]:
        found: Optional[tuple[Any, Node, int]] = None
        fields: Optional[int] = None
        problems: list[Problem] = []
        for member in members:
            try:
                taken = member.take(value)
            except Invalid as error:
                problems.extend(error.below(member.label))
                continue
            rank = member.rank(value)
            if rank == EXACT and member.count is None and (found is None or found[2] < EXACT):
                return taken, member, rank
            count = None if member.count is None else member.count(value)
            if found is not None and count is not None and fields is not None and count != fields:
                better = count > fields
            else:
                better = found is None or rank > found[2]
            if better:
                found, fields = (taken, member, rank), count
        if found is None:
            raise Invalid(problems)
        return found

    def count(value: Any) -> int:
        counted = best(value)[1].count
        return 0 if counted is None else counted(value)

    label = f"union[{','.join(member.label for member in members)}]"
    return Node(
        lambda value: best(value)[0],
        lambda value: best(value)[2],
        label,
        count if any(member.count for member in members) else None,
    )


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

    return Node(take, lambda value: EXACT, f"literal[{','.join(map(repr, shown))}]")


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
    return Node(take, rank, f"{base}enum[{cls.__name__}]")


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


