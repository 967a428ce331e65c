"""Compiled object types: attrs classes, dataclasses, TypedDicts, NamedTuples, and pydantic models by their methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Optional

from .errors import Invalid, Problem, fail, value_error
from .nodes import Node, take_each, too_long_context
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
    plan: list[tuple[str, str, Parser, bool]] = [
        (slot.key, slot.name, slot.node.take, slot.required) for slot in slots
    ]
    known = frozenset(slot.key for slot in slots)
    wrong = {} if error_kind == "dict_type" else {"class_name": name}

    def take(value: Any) -> Any:
        if type(value) is not dict:
            if cls is not None and isinstance(value, cls):
                return value
            if not isinstance(value, Mapping):
                fail(error_kind, value, **wrong)
        fields: dict[str, Any] = {}
        problems: Optional[list[Problem]] = None
        for key, target, take_field, required in plan:
            if key in value:
                try:
                    fields[target] = take_field(value[key])
                except Invalid as error:
                    problems = (problems or []) + error.below(key)
            elif required:
                problems = (problems or []) + _at(key, Problem("missing", value, None))
        if extra == "forbid" and not known.issuperset(value):
            for key in value:
                if key not in known:
                    problems = (problems or []) + _at(key, Problem("extra_forbidden", value[key], None))
        if problems is not None:
            raise Invalid(problems)
        if make is None:
            return fields
        try:
            return make(**fields)
        except _REFUSALS as error:
            raise value_error(value, error) from None

    def rank(value: Any) -> int:
        if cls is not None and isinstance(value, cls):
            return EXACT
        return min([EXACT, *(slot.node.rank(value[slot.key]) for slot in slots if slot.key in value)])

    def count(value: Any) -> int:
        if cls is not None and isinstance(value, cls):
            return len(slots)
        found = 0
        for slot in slots:
            if slot.key in value:
                found += 1 if slot.node.count is None else 1 + slot.node.count(value[slot.key])
        return found

    return Node(take, rank, name, count)


def _at(key: Any, problem: Problem) -> list[Problem]:
    problem.path.append(key if isinstance(key, (str, int)) else str(key))
    return [problem]


def namedtuple_node(name: str, slots: list[Slot], cls: Any) -> Node:
    """A NamedTuple: an array of its fields in order, or an object of them."""
    takes = [slot.node.take for slot in slots]
    needed = sum(slot.required for slot in slots)
    by_name = object_node(name, slots, cls, extra="forbid")

    def take(value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            return by_name.take(value)
        if not isinstance(value, (list, tuple)):
            fail("named_tuple_type", value, class_name=name)
        made, problems = take_each(value, takes, needed)
        if len(value) > len(takes):
            problems = [Problem("too_long", value, too_long_context("NamedTuple", len(takes), len(value)))]
        if problems:
            raise Invalid(problems)
        try:
            return cls(*made)
        except _REFUSALS as error:
            raise value_error(value, error) from None

    def rank(value: Any) -> int:
        if isinstance(value, cls):
            return EXACT
        if isinstance(value, Mapping):
            return by_name.rank(value)
        return min([STRICT, *(slot.node.rank(element) for slot, element in zip(slots, value))])

    return Node(take, rank, name)


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
                raise value_error(value, error) from None
            try:
                text = json.dumps(value)
            except (TypeError, ValueError):
                raise value_error(value, error) from None
        try:
            return validate_json(text)
        except ValueError as error:
            raise value_error(value, error) from None

    names = _keys(cls)

    def count(value: Any) -> int:
        return sum(key in names for key in value) if isinstance(value, Mapping) else len(names)

    return Node(take, lambda value: EXACT, cls.__name__, count)


def _keys(cls: Any) -> frozenset[str]:
    fields: Mapping[str, Any] = getattr(cls, "model_fields", None) or getattr(cls, "__fields__", {})
    names: Iterable[Any] = [*fields, *(getattr(field, "alias", None) for field in fields.values())]
    return frozenset(name for name in names if name)
