"""Data that fits a JSON schema: the same for the same seed, and valid."""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NoReturn, Optional, Union
from urllib.parse import unquote

from ..exceptions import UserError
from ._pattern import matches_all, texts_like

__all__ = ["generate"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LONGEST = 10_000_000  # characters that are made where a schema wants more
_SHIFTS = 100  # seeds that are tried beyond the items wanted, to find different ones
_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
_Schema = Mapping[str, Any]
_AnySchema = Union[_Schema, bool]


def generate(schema: _Schema, seed: int = 0) -> Any:
    """
    A small value that fits *schema*.

    Of ``enum``, ``anyOf`` and ``examples`` the first is taken, numbers are 0, texts ``a``, dates 2024-01-01,
    arrays have one item, objects their required properties; *seed* shifts each of these choices. A definition
    that holds itself is made twice at most, then the shortest way out is taken.

    Raises:
        UserError: no finite value fits, or none was found for a ``pattern``.
    """
    heights = _heights(schema)
    if _height(schema, heights) == math.inf:
        _refuse("no finite value fits it")
    return _Generator(schema, heights).value(schema, seed)


class _Generator:
    def __init__(self, root: _Schema, heights: Mapping[str, float]) -> None:
        self.root = root
        self.heights = heights
        self.inside: list[str] = []  # the references that are being followed

    def value(self, schema: _AnySchema, seed: int) -> Any:
        references: list[str] = []
        flat = self._flat(schema, references)
        self.inside += references
        value = self._value(flat, seed)
        del self.inside[len(self.inside) - len(references) :]
        return value

    def _flat(self, schema: _AnySchema, references: list[str]) -> _Schema:
        """The schema with ``$ref`` and ``allOf`` written out; the references go to *references*."""
        if isinstance(schema, bool):
            return {} if schema else _refuse("it is `false`, which allows no value")
        if "$ref" in schema:
            references.append(schema["$ref"])
            target = self._flat(_target(self.root, schema["$ref"]), references)
            schema = _merged(target, _without(schema, "$ref"))
        if "allOf" in schema:
            parts, schema = schema["allOf"], _without(schema, "allOf")
            for part in parts:
                schema = _merged(schema, self._flat(part, references))
        return schema

    def _value(self, schema: _Schema, seed: int) -> Any:
        if "const" in schema:
            return schema["const"]
        for key in ("enum", "examples"):
            if schema.get(key):
                return schema[key][seed % len(schema[key])]
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                rest = _without(schema, key)
                tag = schema.get("discriminator", {}).get("propertyName")
                if tag is not None:  # without it nobody can tell which of them it is
                    rest = _merged(rest, {"required": [tag]})
                branch = self._branch(schema[key], seed)
                if branch == _TEXT and _NUMBER in schema[key]:
                    branch = {"type": "string", "format": "decimal"}  # how a Decimal is written: as either
                return self.value(_merged(rest, branch), seed)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[seed % len(kind)]
        make = _KINDS.get(kind or _guess(schema))
        if make is None:
            _refuse(f"its type is {kind!r}")
        return make(self, schema, seed)

    def _branch(self, branches: list[_AnySchema], seed: int) -> _Schema:
        first = seed % len(branches)
        turned = branches[first:] + branches[:first]
        if self._closing:
            branch = min(turned, key=self._height)
        else:
            branch = next(branch for branch in turned if self._height(branch) < math.inf)
        return {} if isinstance(branch, bool) else branch

    @property
    def _closing(self) -> bool:
        """Whether a definition is being made inside itself."""
        return len(set(self.inside)) < len(self.inside)

    def _height(self, schema: _AnySchema) -> float:
        return _height(schema, self.heights)

    def _one_more(self, schema: _AnySchema) -> bool:
        """Whether to make an item or property that need not be."""
        return not self._closing and self._height(schema) < math.inf

    def object(self, schema: _Schema, seed: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        additional = schema.get("additionalProperties", True)
        least, most = schema.get("minProperties", 0), schema.get("maxProperties", math.inf)
        wanted = list(schema.get("required", ()))
        optional = [key for key in properties if key not in wanted and self._height(properties[key]) < math.inf]
        wanted += optional[: max(0, least - len(wanted))]
        made = {key: self.value(properties.get(key, additional), seed) for key in wanted}
        if schema.get("additionalProperties") and self._one_more(additional):
            least = max(least, len(made) + 1)
        missing = int(min(least, most)) - len(made)
        if missing > 0 and additional is not False:
            for shift, key in enumerate(self._names(schema, seed, missing, made)):
                made[key] = self.value(additional, seed + shift)
        return made

    def _names(self, schema: _Schema, seed: int, count: int, taken: Mapping[str, Any]) -> list[str]:
        """Names of additional properties."""
        names = schema.get("propertyNames")
        if names is None:
            plain = ("additionalProperty" + (f"_{number}" if number > 1 else "") for number in range(1, 2 * count + 9))
            return [name for name in plain if name not in taken][:count]
        return self._different(lambda shift: self.value({"type": "string", **names}, shift), seed, count, list(taken))

    def array(self, schema: _Schema, seed: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        items = schema.get("items", True)
        least = schema.get("minItems", 0)
        count = max(least, 0 if self._closing else len(first))
        if not first and self._one_more(items):
            count = max(count, 1)
        count = int(min(count, schema.get("maxItems", math.inf)))
        made = [self.value(item, seed) for item in first[:count]]
        if not schema.get("uniqueItems"):
            return made + [self.value(items, seed) for _ in range(count - len(made))]
        return made + self._different(lambda shift: self.value(items, shift), seed, count - len(made), made)

    def _different(self, make: Callable[[int], Any], seed: int, count: int, taken: list[Any]) -> list[Any]:
        found: list[Any] = []
        for shift in range(seed, seed + count + _SHIFTS):
            if len(found) == count:
                break
            item = make(shift)
            if item not in found and item not in taken:
                found.append(item)
        if len(found) < count:
            _refuse(f"it wants {count} different items or names, of which only {len(found)} were found")
        return found

    def string(self, schema: _Schema, seed: int) -> str:
        least, most = schema.get("minLength", 0), min(schema.get("maxLength", _LONGEST), _LONGEST)
        patterns = _as_list(schema.get("pattern", []))
        if not patterns:
            form = _FORMATS.get(schema.get("format", ""))
            return form(seed) if form is not None else _letters(seed).ljust(least, "a")[: int(most)]
        for pattern in patterns:
            try:
                for text in texts_like(pattern, seed, least):
                    if least <= len(text) <= most and matches_all(patterns, text):
                        return text
            except (re.error, OverflowError) as error:
                _refuse(f"Python does not read the pattern {pattern!r}: {error}")
        _refuse(f"no text was found for the pattern {' and '.join(map(repr, patterns))}")

    def integer(self, schema: _Schema, seed: int) -> int:
        # Whole multiples of 3/2 are the multiples of 3.
        step = _exact(schema.get("multipleOf", 1)).numerator
        return int(_multiple(Fraction(step), *_bounds(schema), seed))

    def number(self, schema: _Schema, seed: int) -> float:
        low, high = _bounds(schema)
        if "multipleOf" in schema:
            return float(_multiple(_exact(schema["multipleOf"]), low, high, seed))
        if low is None or high is None:
            return _nearest(_multiple(Fraction(1), low, high, seed), low, high)
        first, last = _range(Fraction(1), low, high)
        if first is not None and last is not None and first + seed <= last:
            return _nearest(Fraction(first + seed), low, high)
        if low[0] >= high[0]:
            return float(low[0]) if low == high == (low[0], False) else _refuse("no number is within its limits")
        return _nearest(low[0] + (high[0] - low[0]) * Fraction(seed % 97 + 1, 98), low, high)

    def boolean(self, schema: _Schema, seed: int) -> bool:
        return seed % 2 == 1

    def null(self, schema: _Schema, seed: int) -> None:
        return None


_KINDS: dict[str, Callable[[_Generator, _Schema, int], Any]] = {
    "array": _Generator.array,
    "boolean": _Generator.boolean,
    "integer": _Generator.integer,
    "null": _Generator.null,
    "number": _Generator.number,
    "object": _Generator.object,
    "string": _Generator.string,
}


def _refuse(why: str) -> NoReturn:
    raise UserError(
        f"TestModel cannot make data for a schema: {why}. Give the schema `examples`, give the model "
        "`custom_result_args`, or use a FunctionModel."
    )


def _guess(schema: _Schema) -> str:
    """The type of a schema that does not say it; where nothing tells it, a text."""
    for kind, keys in (
        ("object", {"properties", "required", "additionalProperties", "minProperties"}),
        ("array", {"items", "prefixItems", "minItems"}),
        ("number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    ):
        if not keys.isdisjoint(schema):
            return kind
    return "string"


# --- schemas ---------------------------------------------------------------------------------------


def _target(root: _Schema, reference: str) -> _AnySchema:
    """What a reference inside the schema points at (JSON Pointer, RFC 6901)."""
    found: Any = root
    path = unquote(reference)
    for step in path.split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    if not path.startswith("#") or not isinstance(found, (Mapping, bool)):
        _refuse(f"its reference {reference!r} leads nowhere")
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _heights(root: _Schema) -> dict[str, float]:
    """For each reference, how deeply nested its smallest value is; infinity where it has none."""
    targets = {reference: _target(root, reference) for reference in _references(root)}
    heights = dict.fromkeys(targets, math.inf)
    changed = True
    while changed:
        known = dict(heights)
        heights = {reference: _height(target, known) for reference, target in targets.items()}
        changed = heights != known
    return heights


def _height(schema: _AnySchema, heights: Mapping[str, float]) -> float:
    if isinstance(schema, bool):
        return 0 if schema else math.inf
    if "const" in schema or schema.get("enum") or schema.get("examples"):
        return 0
    inner: list[_AnySchema] = []
    if schema.get("minItems", 0) > 0:
        first = schema.get("prefixItems", [])
        inner = first[: schema["minItems"]] + ([schema.get("items", True)] if schema["minItems"] > len(first) else [])
    for key in schema.get("required", ()):
        inner.append(schema.get("properties", {}).get(key, schema.get("additionalProperties", True)))
    height: float = max((1 + _height(part, heights) for part in inner), default=0)
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            height = max(height, min(_height(branch, heights) for branch in schema[key]))
    for part in schema.get("allOf", ()):
        height = max(height, _height(part, heights))
    return max(height, heights[schema["$ref"]]) if "$ref" in schema else height


def _without(schema: _Schema, key: str) -> _Schema:
    return {name: value for name, value in schema.items() if name != key}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_JOINS: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "pattern": lambda one, other: [*_as_list(one), *_as_list(other)],
    "properties": lambda one, other: {**one, **other},
    "required": lambda one, other: [*one, *(key for key in other if key not in one)],
}


def _merged(one: _Schema, other: _Schema) -> _Schema:
    """What both allow, as far as it goes without solving anything."""
    both = {**one, **other}
    for key in one.keys() & other.keys() & _JOINS.keys():
        both[key] = _JOINS[key](one[key], other[key])
    return both


# --- numbers ---------------------------------------------------------------------------------------

_Bound = Optional[tuple[Fraction, bool]]  # the limit, and whether it is itself too far


def _exact(number: Union[int, float]) -> Fraction:
    """0.1 is one tenth, not the binary fraction next to it."""
    return Fraction(number) if isinstance(number, int) or number.is_integer() else Fraction(repr(number))


def _bounds(schema: _Schema) -> tuple[_Bound, _Bound]:
    lows = [(_exact(schema[key]), key[0] == "e") for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [(_exact(schema[key]), key[0] == "e") for key in ("maximum", "exclusiveMaximum") if key in schema]
    return (
        max(lows, default=None),
        min(highs, key=lambda bound: (bound[0], not bound[1]), default=None),
    )


def _range(step: Fraction, low: _Bound, high: _Bound) -> tuple[Optional[int], Optional[int]]:
    """The first and the last multiple of *step* within the limits, in steps."""
    first = last = None
    if low is not None:
        first = math.floor(low[0] / step) + 1 if low[1] else math.ceil(low[0] / step)
    if high is not None:
        last = math.ceil(high[0] / step) - 1 if high[1] else math.floor(high[0] / step)
    return first, last


def _multiple(step: Fraction, low: _Bound, high: _Bound, seed: int) -> Fraction:
    first, last = _range(step, low, high)
    if first is None:
        return step * (seed if last is None or seed <= last else last - seed)
    if last is None:
        return step * (first + seed)
    if last < first:
        _refuse(f"no multiple of {step} is within its limits")
    return step * (first + seed % (last - first + 1))


def _nearest(number: Fraction, low: _Bound, high: _Bound) -> float:
    """The float next to *number*; rounding may not carry it over a limit."""
    near = float(number)
    if low is not None and (_exact(near) < low[0] or (low[1] and _exact(near) == low[0])):
        return math.nextafter(near, math.inf)
    if high is not None and (_exact(near) > high[0] or (high[1] and _exact(near) == high[0])):
        return math.nextafter(near, -math.inf)
    return near


# --- texts -----------------------------------------------------------------------------------------


def _letters(seed: int) -> str:
    """a, b ... z, aa, ab ...: a text of its own for each seed."""
    text = ""
    number = seed + 1
    while number > 0:
        number, letter = divmod(number - 1, len(_LETTERS))
        text = _LETTERS[letter] + text
    return text


def _day(seed: int) -> str:
    return (dt.date(2024, 1, 1) + dt.timedelta(days=seed)).isoformat()


def _time(seed: int) -> str:
    hours, seconds = divmod(seed % 86_400, 3_600)
    return f"{hours:02}:{seconds // 60:02}:{seconds % 60:02}Z"


_FORMATS: dict[str, Callable[[int], str]] = {
    **dict.fromkeys(("base64", "base64url", "byte"), lambda seed: _letters(seed).ljust(4, "a")[-4:]),
    "date": _day,
    "date-time": lambda seed: f"{_day(seed)}T00:00:00Z",
    "decimal": str,
    "duration": lambda seed: f"P{seed}D",
    "email": lambda seed: f"{_letters(seed)}@example.com",
    "hostname": lambda seed: f"{_letters(seed)}.example.com",
    "ipv4": lambda seed: str(ipaddress.IPv4Address("192.0.2.0") + seed % 256),
    "ipv6": lambda seed: str(ipaddress.IPv6Address("2001:db8::") + seed % 65_536),
    "json-pointer": lambda seed: f"/{_letters(seed)}",
    "time": _time,
    "uri": lambda seed: f"https://example.com/{_letters(seed)}",
    "uuid": lambda seed: str(uuid.UUID(int=seed)),
}
