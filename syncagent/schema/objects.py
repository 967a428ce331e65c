"""Compiled object types: attrs classes, dataclasses, TypedDicts, NamedTuples, and pydantic models by their methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Optional, get_args

from .errors import Found, Invalid, Key, Problem, Step, fail, value_error
from .nodes import Fit, Node, Place, fit_each, take_each, too_long_context
from .scalars import EXACT, STRICT, Parser

__all__ = ["Extra", "Slot", "namedtuple_node", "object_node", "pydantic_node"]

Extra = Literal["ignore", "forbid"]

# What a class's own __init__ or validators say no with; anything else is a defect and not the value's fault.
_REFUSALS = (AssertionError, TypeError, ValueError)


class Slot:
    """Where a field's value comes from, what makes it, and where it goes."""

    __slots__ = ("key", "name", "node", "required")

    def __init__(self, key: str, name: str, node: Node, required: bool) -> None:
        self.key = key
        self.name = name
        self.node = node
        self.required = required


def object_node(
    name: str,
    slots: list[Slot],
    make: Optional[Callable[..., Any]],
    *,
    cls: Optional[type] = None,
    error_kind: str = "dict_type",
    extra: Extra = "ignore",
) -> Node:
    """
    An object.

    Args:
        name: what a union calls it.
        slots: its fields.
        make: called with the fields as keywords; None where a dict of them is wanted.
        cls: the class whose instances are taken as they are.
        error_kind: the error for what is no object.
        extra: what happens to keys that no field has.
    """
    plan: list[tuple[str, str, Parser, bool]] = [(slot.key, slot.name, slot.node.take, slot.required) for slot in slots]
    forbids = extra == "forbid"
    known = frozenset(slot.key for slot in slots)
    wrong = {} if error_kind == "dict_type" else {"class_name": name}

    def take(value: Any) -> Any:
        if type(value) is not dict:
            if cls is not None and isinstance(value, cls):
                return value
            if not isinstance(value, Mapping):
                fail(error_kind, value, **wrong)
        fields: dict[str, Any] = {}
        found: Optional[Found] = None
        for key, target, take_field, required in plan:
            if key in value:
                try:
                    fields[target] = take_field(value[key])
                except Invalid as error:
                    found = (found or Found()).add(error.found, _step(key))
            elif required:
                found = (found or Found()).add(Problem("missing", value), _step(key))
        if forbids or found is not None:
            check(value, found)
        if make is None:
            return fields
        try:
            return make(**fields)
        except _REFUSALS as error:
            raise value_error(value, error) from None

    def check(value: Any, found: Optional[Found]) -> None:
        if forbids and not known.issuperset(value):
            for key in value:
                if key not in known:
                    step = key if isinstance(key, int) else Key(key)
                    found = (found or Found()).add(Problem("extra_forbidden", value[key]), step)
        if found is not None:
            raise Invalid(found)

    def fit(value: Any, place: Place) -> Fit:
        if cls is not None and isinstance(value, cls):
            return value, EXACT, len(slots)
        if not isinstance(value, Mapping):
            fail(error_kind, value, **wrong)
        fields: dict[str, Any] = {}
        rank, count = EXACT, 0
        found: Optional[Found] = None
        for slot in slots:
            key, node = slot.key, slot.node
            if key in value:
                try:
                    made, closeness, inside = node.fit(value[key], place.at(key) if node.deep else place)
                except Invalid as error:
                    found = (found or Found()).add(error.found, _step(key))
                    continue
                fields[slot.name] = made
                count += 1 + inside
                if closeness < rank:
                    rank = closeness
            elif slot.required:
                found = (found or Found()).add(Problem("missing", value), _step(key))
        if forbids or found is not None:
            check(value, found)
        if make is None:
            return fields, rank, count
        try:
            return make(**fields), rank, count
        except _REFUSALS as error:
            raise value_error(value, error) from None

    # One that holds no other costs little to make again for another union, less than to look it up.
    deep = any(slot.node.deep or slot.node.counts for slot in slots)
    return Node(take, fit, name, counts=True, deep=deep)


def _step(key: Any) -> Step:
    return key if isinstance(key, (str, int)) else str(key)


def namedtuple_node(name: str, slots: list[Slot], cls: Any) -> Node:
    """A NamedTuple: an array of its fields in order, or an object of them."""
    nodes = [slot.node for slot in slots]
    takes = [node.take for node in nodes]
    needed = sum(slot.required for slot in slots)
    by_name = object_node(name, slots, cls, extra="forbid")

    def take(value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            return by_name.take(value)
        if not isinstance(value, (list, tuple)):
            fail("named_tuple_type", value, class_name=name)
        made, found = take_each(value, takes, needed)
        check_size(value)
        if found is not None:
            raise Invalid(found)
        return build(value, made)

    def check_size(value: Any) -> None:
        if len(value) > len(takes):
            raise Invalid(Problem("too_long", value, too_long_context("NamedTuple", len(takes), len(value))))

    def build(value: Any, made: list[Any]) -> Any:
        try:
            return cls(*made)
        except _REFUSALS as error:
            raise value_error(value, error) from None

    def fit(value: Any, place: Place) -> Fit:
        if isinstance(value, cls):
            return value, EXACT, 0
        if isinstance(value, Mapping):
            made, rank, _ = by_name.fit(value, place)
            return made, rank, 0
        if not isinstance(value, (list, tuple)):
            fail("named_tuple_type", value, class_name=name)
        check_size(value)
        items, rank, _ = fit_each(value, nodes, needed, place)
        return build(value, items), min(STRICT, rank), 0

    # Its fields are not compared with those of objects, but there may be objects in it.
    return Node(take, fit, name, counts=False, deep=True)


def pydantic_node(cls: Any, validate: Callable[[Any], Any]) -> Node:
    """
    A pydantic model: its own validator decides, extra keys included.

    What its Python side refuses is shown to its JSON side (``model_validate_json``, pydantic 2): a strict model takes
    a date's text there only.
    """
    validate_json = getattr(cls, "model_validate_json", None)

    def take(value: Any) -> Any:
        try:
            return validate(value)
        except ValueError as error:
            if validate_json is None or isinstance(value, cls):
                raise value_error(value, error, _all_names(cls)) from None
            try:
                text = json.dumps(value)
            except (TypeError, ValueError):
                raise value_error(value, error, _all_names(cls)) from None
        try:
            return validate_json(text)
        except ValueError as error:
            raise value_error(value, error, _all_names(cls)) from None

    names = _keys(cls)

    def fit(value: Any, place: Place) -> Fit:
        made = take(value)
        return made, EXACT, sum(key in names for key in value) if isinstance(value, Mapping) else len(names)

    return Node(take, fit, cls.__name__, counts=True)


def _keys(cls: Any) -> frozenset[str]:
    fields: Mapping[str, Any] = getattr(cls, "model_fields", None) or getattr(cls, "__fields__", {})
    names: Iterable[Any] = [*fields, *(getattr(field, "alias", None) for field in fields.values())]
    return frozenset(name for name in names if name)


def _all_names(cls: Any) -> set[str]:
    """The names of all fields of a model and of the models in it."""
    names: set[str] = set()
    seen: set[int] = set()
    left: list[Any] = [cls]
    while left:
        tp = left.pop()
        if id(tp) in seen:
            continue
        seen.add(id(tp))
        left.extend(get_args(tp))
        fields: Any = getattr(tp, "model_fields", None) or getattr(tp, "__fields__", None)
        if isinstance(tp, type) and isinstance(fields, Mapping):
            names |= _keys(tp)
            left.extend(getattr(field, "annotation", None) for field in fields.values())
    return names
