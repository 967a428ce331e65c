"""
What restricts a value beyond its type: limits, lengths, patterns, choices.

Read from ``Annotated`` metadata: attrs validators, ``annotated_types``, pydantic's ``Field(...)`` and msgspec's
``Meta(...)``; all by their attributes, none imported. They stand in the schema, and are checked on the value before
the object that holds it is built.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Optional

from .errors import Found, Invalid, Problem, expected_list

__all__ = [
    "Check",
    "Constraints",
    "constrain_schema",
    "constraint_check",
    "plain_json",
    "read_constraints",
]

Check = Callable[[Any], None]

_KNOWN_PACKAGES = frozenset({"annotated_types", "msgspec", "pydantic", "typing_extensions", "typing"})
_ATTRS_MODULES = frozenset({"attr._make", "attr.validators"})  # where attrs' validators come from
# Attributes of metadata objects, by the constraint's name; what a second value is combined with.
_COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "ge": max,
    "gt": max,
    "le": min,
    "lt": min,
    "max_length": min,
    "min_length": max,
    "multiple_of": lambda first, second: second,
}
_OPERATORS = {">=": "ge", ">": "gt", "<=": "le", "<": "lt"}  # attrs' own words
_MAX_CHOICES = 500  # more than that is a range or a table, and does not belong into a prompt


class Constraints:
    """
    Everything that restricts one type.

    Attributes:
        limits: ``ge gt le lt multiple_of min_length max_length``.
        patterns: regular expressions as JSON Schema reads them (found anywhere), and the function that checks each.
        choices: containers that the value must be in.
        instances: classes that the value must be of.
        items: what restricts each item.
        description: the text for the schema.
    """

    __slots__ = ("choices", "description", "instances", "items", "limits", "patterns")

    def __init__(self) -> None:
        self.limits: dict[str, Any] = {}
        self.patterns: list[tuple[str, Callable[[str], Any]]] = []
        self.choices: list[Any] = []
        self.instances: list[Any] = []
        self.items: Optional[Constraints] = None
        self.description: Optional[str] = None

    def __bool__(self) -> bool:
        return bool(self.limits or self.patterns or self.choices or self.instances or self.items)

    def limit(self, name: str, value: Any) -> None:
        """Add a limit; of two, the tighter holds."""
        self.limits[name] = _COMBINE[name](self.limits[name], value) if name in self.limits else value


def read_constraints(metadata: Iterable[Any]) -> Constraints:
    """Read ``Annotated`` metadata, the innermost first; what is not known says nothing."""
    found = Constraints()
    for item in metadata:
        _read(item, found)
    return found


def _read(item: Any, found: Constraints) -> None:
    if isinstance(item, str):
        found.description = item
        return
    module = type(item).__module__
    if module in _ATTRS_MODULES:
        reader = _VALIDATORS.get(type(item).__name__)
        if reader is not None:
            reader(item, found)
    elif module.partition(".")[0] in _KNOWN_PACKAGES:
        _read_metadata(item, found)


def _read_metadata(item: Any, found: Constraints) -> None:
    description = getattr(item, "description", None) or getattr(item, "documentation", None)
    if isinstance(description, str):
        found.description = description
    for name in _COMBINE:
        value = getattr(item, name, None)
        if value is not None and not callable(value):
            found.limit(name, value)
    pattern = getattr(item, "pattern", None)
    if pattern is not None:
        compiled = re.compile(pattern)
        found.patterns.append((compiled.pattern, compiled.search))
    inner = getattr(item, "metadata", None)  # pydantic's Field
    if isinstance(inner, (list, tuple)):
        for part in inner:
            _read(part, found)


def _read_number(item: Any, found: Constraints) -> None:
    found.limit(_OPERATORS[item.compare_op], item.bound)


def _read_regex(item: Any, found: Constraints) -> None:
    pattern: str = item.pattern.pattern
    function = getattr(item.match_func, "__name__", "fullmatch")
    if function == "fullmatch":
        pattern = f"^(?:{pattern})$"
    elif function == "match":
        pattern = f"^(?:{pattern})"
    found.patterns.append((pattern, item.match_func))


def _read_members(item: Any, found: Constraints) -> None:
    for member in item._validators:
        _read(member, found)


def _read_items(item: Any, found: Constraints) -> None:
    inner = found.items if found.items is not None else Constraints()
    _read(item.member_validator, inner)
    if inner:
        found.items = inner
    if item.iterable_validator is not None:
        _read(item.iterable_validator, found)


_VALIDATORS: dict[str, Callable[[Any, Constraints], None]] = {
    "_AndValidator": _read_members,
    "_DeepIterable": _read_items,
    "_InValidator": lambda item, found: found.choices.append(getattr(item, "_original_options", item.options)),
    "_InstanceOfValidator": lambda item, found: found.instances.append(item.type),
    "_MatchesReValidator": _read_regex,
    "_MaxLengthValidator": lambda item, found: found.limit("max_length", item.max_length),
    "_MinLengthValidator": lambda item, found: found.limit("min_length", item.min_length),
    "_NumberValidator": _read_number,
    "_OptionalValidator": lambda item, found: _read(item.validator, found),
}

# ------------------------------------------------------------------------------------------------ into a schema

_NUMERIC = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_LENGTHS = {
    "array": {"min_length": "minItems", "max_length": "maxItems"},
    "object": {"min_length": "minProperties", "max_length": "maxProperties"},
    "string": {"min_length": "minLength", "max_length": "maxLength"},
}


def constrain_schema(schema: dict[str, Any], found: Constraints) -> dict[str, Any]:
    """*schema*, restricted; each branch of an ``anyOf`` by what applies to its type."""
    if not found:
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [_constrain_branch(branch, found) for branch in schema["anyOf"]]}
    return _constrain_branch(schema, found)


def _constrain_branch(schema: dict[str, Any], found: Constraints) -> dict[str, Any]:
    if "anyOf" in schema:
        return constrain_schema(schema, found)
    kind = schema.get("type")
    if kind == "null":
        return schema
    schema = dict(schema)
    if kind in ("integer", "number", None) and "$ref" not in schema:
        for name, keyword in _NUMERIC.items():
            limit = found.limits.get(name)
            if limit is not None and not isinstance(limit, bool) and _is_number(limit):
                schema[keyword] = _json_number(limit)
    for name, keyword in _LENGTHS.get(str(kind), {}).items():
        if name in found.limits:
            schema[keyword] = found.limits[name]
    if kind == "string" and found.patterns:
        schema["pattern"] = found.patterns[0][0]
        if len(found.patterns) > 1:
            schema["allOf"] = [{"pattern": pattern} for pattern, _ in found.patterns[1:]]
    if kind == "array" and found.items is not None and isinstance(schema.get("items"), dict):
        schema["items"] = constrain_schema(schema["items"], found.items)
    for choices in found.choices:
        schema = _constrain_choices(schema, choices)
    return schema


def _constrain_choices(schema: dict[str, Any], choices: Any) -> dict[str, Any]:
    if isinstance(choices, (str, bytes)) or not hasattr(choices, "__len__") or len(choices) > _MAX_CHOICES:
        return schema
    values: list[Any] = []
    for choice in choices:
        try:
            values.append(plain_json(choice))
        except TypeError:  # dates and the like: their JSON form is not theirs alone
            return schema
    if isinstance(choices, (set, frozenset)):
        values.sort(key=lambda value: (type(value).__name__, str(value)))
    if "enum" in schema:
        values = [value for value in schema["enum"] if value in values]
    elif "$ref" in schema:
        del schema["$ref"]  # the values say all that the definition of an Enum does
    schema["enum"] = values
    return schema


def plain_json(value: Any) -> Any:
    """
    The JSON form of a constant: its own, or that of an Enum member's value.

    Raises:
        TypeError: it has none.
    """
    if isinstance(value, enum.Enum):
        return plain_json(value.value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _is_number(value: Any) -> bool:
    import decimal

    return isinstance(value, (int, float, decimal.Decimal))


def _json_number(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


# ------------------------------------------------------------------------------------------------ on a value

_COMPARE: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("multiple_of", "multiple_of", lambda value, limit: _is_multiple(value, limit)),
    ("le", "less_than_equal", lambda value, limit: bool(value <= limit)),
    ("lt", "less_than", lambda value, limit: bool(value < limit)),
    ("ge", "greater_than_equal", lambda value, limit: bool(value >= limit)),
    ("gt", "greater_than", lambda value, limit: bool(value > limit)),
)
_SIZED = (
    (dict, "Dictionary"),
    (list, "List"),
    (frozenset, "Frozenset"),
    (set, "Set"),
    (tuple, "Tuple"),
)


def constraint_check(found: Constraints) -> Optional[Callable[[Any, Any], Any]]:
    """
    A function ``check(value, given)`` that raises :class:`~syncagent.schema.errors.Invalid` for the first
    constraint that *value*, made from *given*, breaks; None where there are no constraints.
    """
    checks: list[Callable[[Any, Any], Optional[Problem]]] = []
    for classes in found.instances:
        checks.append(_instance_check(classes))
    for name, kind, test in _COMPARE:
        if name in found.limits:
            checks.append(_limit_check(name, kind, found.limits[name], test))
    for name in ("min_length", "max_length"):
        if name in found.limits:
            checks.append(_length_check(name, found.limits[name]))
    for pattern, match in found.patterns:
        checks.append(_pattern_check(pattern, match))
    for choices in found.choices:
        checks.append(_choice_check(choices))
    if found.items is not None:
        checks.append(_items_check(found.items))
    if not checks:
        return None

    def check(value: Any, given: Any) -> Any:
        if value is None:  # an Optional's; what restricts the type does not restrict its absence
            return value
        for test in checks:
            problem = test(value, given)
            if problem is not None:
                raise Invalid(problem)
        return value

    return check


def _limit_check(
    name: str, kind: str, limit: Any, test: Callable[[Any, Any], bool]
) -> Callable[[Any, Any], Optional[Problem]]:
    shown = limit if isinstance(limit, (int, float)) else str(limit)

    def check(value: Any, given: Any) -> Optional[Problem]:
        try:
            holds = test(value, limit)
        except (ArithmeticError, TypeError) as error:  # a date without an offset against one with, a Decimal's NaN
            return Problem("value_error", given, {"error": f"cannot be compared with {shown}: {error}"})
        return None if holds else Problem(kind, given, {name: shown})

    return check


def _is_multiple(value: Any, step: Any) -> bool:
    rest = value % step
    if not isinstance(rest, float):
        return bool(rest == 0)
    # 0.3 is a multiple of 0.1, whose binary fractions say that it is not; pydantic's tolerance.
    tolerance = abs(value) / 1e9
    return bool(abs(rest) <= tolerance or abs(rest - step) <= tolerance)


def _length_check(name: str, limit: int) -> Callable[[Any, Any], Optional[Problem]]:
    short = name == "min_length"

    def check(value: Any, given: Any) -> Optional[Problem]:
        size = len(value) if hasattr(value, "__len__") else None
        if size is None or (size >= limit if short else size <= limit):
            return None
        end = "short" if short else "long"
        if isinstance(value, str):
            return Problem(f"string_too_{end}", given, {name: limit})
        if isinstance(value, bytes):
            return Problem(f"bytes_too_{end}", given, {name: limit})
        noun = next((noun for cls, noun in _SIZED if isinstance(value, cls)), type(value).__name__.title())
        return Problem(f"too_{end}", given, {"field_type": noun, name: limit, "actual_length": size})

    return check


def _pattern_check(pattern: str, match: Callable[[str], Any]) -> Callable[[Any, Any], Optional[Problem]]:
    def check(value: Any, given: Any) -> Optional[Problem]:
        if not isinstance(value, str) or match(value):
            return None
        return Problem("string_pattern_mismatch", given, {"pattern": pattern})

    return check


def _choice_check(choices: Any) -> Callable[[Any, Any], Optional[Problem]]:
    def check(value: Any, given: Any) -> Optional[Problem]:
        try:
            if value in choices:
                return None
        except TypeError:  # unhashable, or not a string where the choices are one
            pass
        few = hasattr(choices, "__len__") and 0 < len(choices) <= _MAX_CHOICES and not isinstance(choices, str)
        shown = expected_list(repr(plain) for plain in map(_shown, choices)) if few else f"one of {choices!r}"
        return Problem("literal_error", given, {"expected": shown})

    return check


def _shown(choice: Any) -> Any:
    return choice.value if isinstance(choice, enum.Enum) else choice


def _instance_check(classes: Any) -> Callable[[Any, Any], Optional[Problem]]:
    members = classes if isinstance(classes, tuple) else (classes,)
    name = expected_list(getattr(cls, "__name__", str(cls)) for cls in members)

    def check(value: Any, given: Any) -> Optional[Problem]:
        return None if isinstance(value, classes) else Problem("is_instance_of", given, {"class": name})

    return check


def _items_check(inner: Constraints) -> Callable[[Any, Any], Optional[Problem]]:
    check_item = constraint_check(inner)

    def check(value: Any, given: Any) -> Optional[Problem]:
        if check_item is None or isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            return None
        found: Optional[Found] = None
        for index, item in enumerate(value):
            try:
                check_item(item, item)
            except Invalid as error:
                found = (found or Found()).add(error.found, index)
        if found is not None:
            raise Invalid(found)
        return None

    return check
