"""
Compiled types: a :class:`Node` takes a value of one type, and says how well it fits.

Nodes are functions closed over the nodes of their items, built once for each type. They raise
:class:`~syncagent.schema.errors.Invalid` with everything that is wrong below them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, KeysView, Mapping, ValuesView
from typing import Any, Optional, Union

from .errors import Found, Invalid, Key, Problem, fail
from .scalars import EXACT, LAX, STRICT, Parser, Rank

__all__ = [
    "Fit",
    "Node",
    "Place",
    "checked_node",
    "dict_node",
    "leaf_node",
    "list_node",
    "memo_fit",
    "optional_node",
    "set_node",
    "tuple_node",
    "union_node",
]

_LISTS = (list, tuple, set, frozenset, deque, KeysView, ValuesView)

Fit = tuple[Any, int, int]
"""A value that was made, its rank (``LAX``, ``STRICT``, ``EXACT``), and how many fields of objects it sets."""


class Place:
    """
    A place in the value that a union looks at, and what objects were made of it.

    The members of a union try the same places, and those of the unions below them do: what one member had made of a
    place is there for the next, or each level of nesting would double the work. The place decides and not the value,
    so that a value which is there twice makes two objects. One union's look at one value has places of its own, and
    no other thread sees them.
    """

    __slots__ = ("_parts", "made")

    def __init__(self) -> None:
        self.made: dict[Node, Union[Fit, Found, Problem]] = {}
        self._parts: dict[Any, Place] = {}

    def at(self, step: Any) -> Place:
        """The place of an item or field."""
        part = self._parts.get(step)
        if part is None:
            part = self._parts[step] = Place()
        return part


_NOWHERE = Place()  # for what has no object in it, and so looks at no place


class Node:
    """
    A compiled type.

    Attributes:
        take: makes the typed value, or raises :class:`~syncagent.schema.errors.Invalid`.
        fit: the same for a union, which compares its members; it takes the value's :class:`Place` too. Read when it is
            called, since it is not there yet while a recursive type is compiled.
        label: what a union calls it in the path of an error.
        counts: whether fits of it are compared by their fields.
        deep: whether it looks at places: there are objects in it that hold others.
        rank: how closely a value that was taken fits; None where that shows only while it is made.
    """

    __slots__ = ("counts", "deep", "fit", "label", "rank", "take")

    def __init__(
        self,
        take: Parser,
        fit: Callable[[Any, Place], Fit],
        label: str,
        counts: bool = False,
        deep: bool = False,
        rank: Optional[Rank] = None,
    ) -> None:
        self.take = take
        self.fit = fit
        self.label = label
        self.counts = counts
        self.deep = deep
        self.rank = rank


def leaf_node(take: Parser, rank: Rank, label: str) -> Node:
    """A type without objects and unions in it."""
    return Node(take, lambda value, place: (take(value), rank(value), 0), label, rank=rank)


def memo_fit(node: Node, fit: Callable[[Any, Place], Fit]) -> Callable[[Any, Place], Fit]:
    """*fit* of *node*, once for each place."""

    def remembered(value: Any, place: Place) -> Fit:
        known = place.made.get(node)
        if known is None:
            try:
                known = place.made[node] = fit(value, place)
            except Invalid as error:
                place.made[node] = error.found
                raise
        elif not isinstance(known, tuple):
            raise Invalid(known)
        return known

    return remembered


def checked_node(inner: Node, check: Callable[[Any, Any], Any]) -> Node:
    """*inner*, and afterwards *check(value, given)*."""
    take = inner.take
    label = f"constrained-{inner.label}" if inner.label in ("int", "float", "str") else inner.label
    if inner.rank is not None:
        return leaf_node(lambda value: check(take(value), value), inner.rank, label)

    def fit(value: Any, place: Place) -> Fit:
        made, rank, count = inner.fit(value, place)
        return check(made, value), rank, count

    return Node(lambda value: check(take(value), value), fit, label, inner.counts, inner.deep)


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
        items, found = [], None
        for index, element in enumerate(value):
            try:
                items.append(take_item(element))
            except Invalid as error:
                found = (found or Found()).add(error.found, index)
        if found is not None:
            raise Invalid(found)
        return items if make is None else make(items)

    rank = _outer_rank(make or list)
    inner = f"{item.label}, ..." if kind == "tuple_of" else item.label
    if item.rank is not None:
        return leaf_node(take, _rank_items(rank, item.rank), f"{name}[{inner}]")

    def fit(value: Any, place: Place) -> Fit:
        items, closeness, count = _fit_items(_as_list(value, error_kind), item, place, False)
        return items if make is None else make(items), min(rank(value), closeness), count

    return Node(take, fit, f"{name}[{inner}]", item.counts, item.deep)


_SEQUENCES: dict[str, tuple[Optional[Callable[[Iterable[Any]], Any]], str, str]] = {
    "deque": (deque, "deque_type", "deque"),
    "list": (None, "list_type", "list"),
    "tuple_of": (tuple, "tuple_type", "tuple"),
}


def _outer_rank(cls: Any) -> Rank:
    return lambda value: EXACT if type(value) is cls else STRICT if type(value) is list else LAX


def _rank_items(rank: Rank, rank_item: Rank) -> Rank:
    return lambda value: min([rank(value), *map(rank_item, value)])


def _fit_items(value: Any, item: Node, place: Place, hashed: bool) -> tuple[list[Any], int, int]:
    """The items, the rank of the worst of them, and the fields that all set."""
    fit_item, deep = item.fit, item.deep
    items: list[Any] = []
    rank, count = EXACT, 0
    found: Optional[Found] = None
    for index, element in enumerate(value):
        try:
            made, closeness, fields = fit_item(element, place.at(index) if deep else place)
        except Invalid as error:
            found = (found or Found()).add(error.found, index)
            continue
        if hashed and not _is_hashable(made):
            found = (found or Found()).add(Problem("set_item_not_hashable", element), index)
        items.append(made)
        count += fields
        if closeness < rank:
            rank = closeness
    if found is not None:
        raise Invalid(found)
    return items, rank, count


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def set_node(item: Node, kind: str) -> Node:
    """A set or frozenset; the same item twice is there once."""
    take_item = item.take
    make: Any = frozenset if kind == "frozenset" else set
    error_kind = "frozen_set_type" if kind == "frozenset" else "set_type"

    def take(value: Any) -> Any:
        items: set[Any] = set()
        found: Optional[Found] = None
        for index, element in enumerate(_as_list(value, error_kind)):
            try:
                items.add(take_item(element))
            except Invalid as error:
                found = (found or Found()).add(error.found, index)
            except TypeError:
                found = (found or Found()).add(Problem("set_item_not_hashable", element), index)
        if found is not None:
            raise Invalid(found)
        return make(items) if make is not set else items

    rank = _outer_rank(make)
    label = f"{kind}[{item.label}]"
    if item.rank is not None:
        return leaf_node(take, _rank_items(rank, item.rank), label)

    def fit(value: Any, place: Place) -> Fit:
        items, closeness, count = _fit_items(_as_list(value, error_kind), item, place, True)
        return make(items), min(rank(value), closeness), count

    return Node(take, fit, label, item.counts, item.deep)


def tuple_node(items: list[Node]) -> Node:
    """A tuple of known length."""
    takes = [item.take for item in items]
    size = len(takes)

    def take(value: Any) -> Any:
        value = _as_list(value, "tuple_type")
        made, found = take_each(value, takes, size)
        if len(value) > size:
            raise Invalid(Problem("too_long", value, too_long_context("Tuple", size, len(value))))
        if found is not None:
            raise Invalid(found)
        return tuple(made)

    label = f"tuple[{', '.join(item.label for item in items)}]"
    ranks = [item.rank for item in items if item.rank is not None]
    if len(ranks) == size:

        def rank(value: Any) -> int:
            outer = EXACT if type(value) is tuple else STRICT
            return min([outer, *(rank_item(element) for rank_item, element in zip(ranks, value))])

        return leaf_node(take, rank, label)

    def fit(value: Any, place: Place) -> Fit:
        outer = EXACT if type(value) is tuple else STRICT
        value = _as_list(value, "tuple_type")
        if len(value) > size:
            raise Invalid(Problem("too_long", value, too_long_context("Tuple", size, len(value))))
        made, closeness, count = fit_each(value, items, size, place)
        return tuple(made), min(outer, closeness), count

    counts, deep = any(item.counts for item in items), any(item.deep for item in items)
    return Node(take, fit, label, counts, deep)


def take_each(value: Iterable[Any], takes: list[Parser], needed: int) -> tuple[list[Any], Optional[Found]]:
    """Take each element with its own parser; say which of the first *needed* are missing."""
    elements = list(value)
    made: list[Any] = []
    found: Optional[Found] = None
    for index, (take, element) in enumerate(zip(takes, elements)):
        try:
            made.append(take(element))
        except Invalid as error:
            found = (found or Found()).add(error.found, index)
    for index in range(len(elements), needed):
        found = (found or Found()).add(Problem("missing", value), index)
    return made, found


def fit_each(value: Any, nodes: list[Node], needed: int, place: Place) -> tuple[list[Any], int, int]:
    """The same for a union, with the rank of the worst and the fields that all set."""
    ranks, counts = [EXACT], [0]

    def parser(index: int, node: Node) -> Parser:
        def take(element: Any) -> Any:
            made, rank, count = node.fit(element, place.at(index) if node.deep else place)
            ranks.append(rank)
            counts.append(count)
            return made

        return take

    made, found = take_each(value, [parser(index, node) for index, node in enumerate(nodes)], needed)
    if found is not None:
        raise Invalid(found)
    return made, min(ranks), sum(counts)


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
        found: Optional[Found] = None
        for name, element in value.items():
            try:
                taken_name = take_key(name)
            except Invalid as error:
                found = (found or Found()).add(error.found, _step(name), "[key]")
                taken_name = name
            try:
                made[taken_name] = take_item(element)
            except Invalid as error:
                found = (found or Found()).add(error.found, _step(name))
        if found is not None:
            raise Invalid(found)
        return made

    label = f"dict[{key.label},{item.label}]"
    rank_key, rank_item = key.rank, item.rank
    if rank_key is not None and rank_item is not None:

        def ranked(value: Any) -> int:
            own = EXACT if type(value) is dict else STRICT
            return min([own, *map(rank_key, value), *map(rank_item, value.values())])

        return leaf_node(take, ranked, label)

    def fit(value: Any, place: Place) -> Fit:
        if not isinstance(value, Mapping):
            fail("dict_type", value)
        fit_key, fit_item, deep = key.fit, item.fit, item.deep
        rank = EXACT if type(value) is dict else STRICT
        count = 0
        made: dict[Any, Any] = {}
        found: Optional[Found] = None
        for name, element in value.items():
            try:
                # A key is no object of fields in JSON, and there is nothing below it to find again.
                taken_name, closeness, _ = fit_key(name, Place() if key.deep else place)
                rank = min(rank, closeness)
            except Invalid as error:
                found = (found or Found()).add(error.found, _step(name), "[key]")
                taken_name = name
            try:
                made[taken_name], closeness, fields = fit_item(element, place.at(name) if deep else place)
            except Invalid as error:
                found = (found or Found()).add(error.found, _step(name))
                continue
            count += fields
            rank = min(rank, closeness)
        if found is not None:
            raise Invalid(found)
        return made, rank, count

    return Node(take, fit, label, item.counts, item.deep or key.deep)


def _step(name: Any) -> Union[int, str]:
    return name if isinstance(name, int) else Key(name)


def optional_node(inner: Node) -> Node:
    """None, or what *inner* takes."""
    take, rank = inner.take, inner.rank
    label = f"nullable[{inner.label}]"
    if rank is not None:
        return leaf_node(
            lambda value: None if value is None else take(value),
            lambda value: EXACT if value is None else rank(value),
            label,
        )
    return Node(
        lambda value: None if value is None else take(value),
        lambda value, place: (None, EXACT, 0) if value is None else inner.fit(value, place),
        label,
        inner.counts,
        inner.deep,
    )


def union_node(members: list[Node]) -> Node:
    """
    The member that fits best: of objects the one that sets more fields, else the closest, else the first.

    The rule is pydantic's "smart mode" (https://docs.pydantic.dev/latest/concepts/unions/#smart-mode).
    """

    def fit(value: Any, place: Place) -> Fit:
        best: Optional[Fit] = None
        fields: Optional[int] = None  # of the best; None where it has no objects to count them of
        found: Optional[Found] = None
        for member in members:
            rank_member = member.rank
            try:
                if rank_member is None:
                    fitted = member.fit(value, place)
                else:
                    fitted = member.take(value), rank_member(value), 0
            except Invalid as error:
                found = (found or Found()).add(error.found, member.label)
                continue
            _, rank, count = fitted
            counts = member.counts
            if rank == EXACT and not counts and (best is None or best[1] < EXACT):
                return fitted
            if best is not None and counts and fields is not None and count != fields:
                better = count > fields
            else:
                better = best is None or rank > best[1]
            if better:
                best, fields = fitted, count if counts else None
        if best is None:
            raise Invalid(found or Found())
        return best

    deep = any(member.deep for member in members)
    return Node(
        (lambda value: fit(value, Place())[0]) if deep else (lambda value: fit(value, _NOWHERE)[0]),
        fit,
        f"union[{','.join(member.label for member in members)}]",
        any(member.counts for member in members),
        deep,
    )
