"""
JSON schemas in the words that Gemini has.

``responseJsonSchema`` and ``parametersJsonSchema`` take a part of JSON Schema
(https://ai.google.dev/api/generate-content#FIELDS.response_json_schema); a keyword outside of it is refused or
passed over, by model and address. So what has another form there is rewritten, and what has none is told to the
model in the description. Nothing is left out but what says nothing about values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Optional, Union

from ..jsonable import dump_str

__all__ = ["gemini_schema"]

_Schema = dict[str, Any]

# Taken as they are.
_PLAIN = frozenset(
    {"type", "title", "description", "minItems", "maxItems", "minimum", "maximum", "required", "propertyOrdering"}
)
# Names, remarks and hints for programs: nothing that a value could break.
_SILENT = frozenset({"$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "discriminator"})
_NAMED = frozenset({"properties", "$defs", "definitions"})
_FORMATS = frozenset({"date-time", "date", "time", "double", "float", "int32", "int64", "enum"})
_OF_TYPE = {
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "object": frozenset({"properties", "required", "additionalProperties", "propertyOrdering"}),
    "number": frozenset({"minimum", "maximum"}),
    "integer": frozenset({"minimum", "maximum"}),
    "string": frozenset({"format"}),
}
_ALL_OF_TYPE = frozenset().union(*_OF_TYPE.values())
_ODD = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_CHAIN = 50  # references that lead to references
_MOST_PARTS = 1000  # of all ``allOf`` of one schema; a short schema can stand for millions


def gemini_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """
    The schema in Gemini's words; *schema* itself is never changed.

    >>> gemini_schema({"type": "string", "minLength": 2, "const": "ab"})
    {'type': 'string', 'enum': ['ab'], 'description': '(minLength: 2)'}

    Args:
        schema: JSON Schema, draft 2020-12 or older.
    """
    rewriter = _Rewriter(schema)
    rewritten = rewriter.rewrite(schema)
    if rewriter.definitions:
        rewritten["$defs"] = rewriter.definitions
    return rewritten


class _Rewriter:
    """One schema while it is rewritten; *definitions* are those that references lead to."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.definitions: _Schema = {}
        self._root = root
        self._names: dict[str, str] = {}  # by reference
        self._parts = 0

    def rewrite(self, schema: Union[Mapping[str, Any], bool]) -> _Schema:
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            return {"description": "(no value is valid here)"}
        if "allOf" in schema:
            schema = self._merged(schema)
        if "$ref" in schema:
            return self._reference(schema)
        target: _Schema = {}
        notes: list[str] = []
        for key in sorted(schema, key="type".__ne__):  # the type first: others may change it
            value = schema[key]
            if key in _PLAIN:
                target.setdefault(key, value)
            elif key in _KEYWORDS and isinstance(value, _SHAPES.get(key, object)):
                _KEYWORDS[key](self, value, schema, target, notes)
            elif key not in _SILENT:
                notes.append(f"{key}: {dump_str(value)}")
        return _typed(_noted(target, notes))

    def _reference(self, schema: Mapping[str, Any]) -> _Schema:
        """Nothing but a reference may stand beside it; so what does goes around it."""
        name = self._define(schema["$ref"])
        if name is None:
            # It leads nowhere in this schema: all that there is to say is its text.
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return _noted(self.rewrite(rest), [f"$ref: {dump_str(schema['$ref'])}"])
        inner = {"$ref": f"#/$defs/{name}"}
        rest = {key: value for key, value in schema.items() if key != "$ref" and key not in _SILENT}
        if not rest:
            return inner
        around = self.rewrite(rest)
        if "anyOf" in around:
            return _noted(around, [f"also: {dump_str(inner)}"])
        return {"anyOf": [inner], **around}

    def _define(self, reference: object) -> Optional[str]:
        """The name of the definition that *reference* leads to, which is made where there is none yet."""
        if not isinstance(reference, str):
            return None
        if reference in self._names:
            return self._names[reference]
        found = self._find(reference)
        if found is None:
            return None
        last = _ODD.sub("_", reference.rpartition("/")[2].lstrip("#")) or "Root"
        name, number = last, 1
        while name in self._names.values():
            number += 1
            name = f"{last}{number}"
        self._names[reference] = name  # before it is rewritten: it may hold itself
        self.definitions[name] = {}
        self.definitions[name] = self.rewrite(found)
        return name

    def _find(self, reference: str) -> Union[Mapping[str, Any], bool, None]:
        """What a JSON pointer (RFC 6901) leads to; None where it leads nowhere."""
        if not reference.startswith("#"):
            return None
        value: Any = self._root
        for step in reference[1:].split("/")[1:] if reference != "#" else ():
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, Mapping) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
                value = value[int(step)]
            else:
                return None
        if reference[1:2] not in ("", "/"):
            return None
        return value if isinstance(value, (Mapping, bool)) else None

    def _merged(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema with its ``allOf`` written into it; what says two things of one keyword becomes a remark."""
        merged: _Schema = {key: value for key, value in schema.items() if key != "allOf"}
        remarks: list[str] = []
        given = schema["allOf"]
        for item in given if isinstance(given, list) else [given]:
            flat = self._flat(item)
            if flat is None:
                remarks.append(dump_str(item))
                continue
            for key, value in flat.items():
                mine = merged.get(key)
                if key in _NAMED and isinstance(mine, Mapping) and isinstance(value, Mapping):
                    clash = [name for name in value if name in mine and mine[name] != value[name]]
                    remarks += [dump_str({name: value[name]}) for name in clash]
                    merged[key] = {**value, **mine}
                elif key == "required" and isinstance(mine, list) and isinstance(value, list):
                    merged[key] = [*mine, *(name for name in value if name not in mine)]
                elif key == "title" or key not in merged or mine == value:
                    merged.setdefault(key, value)
                elif key == "description":
                    merged[key] = f"{mine}\n{value}"
                else:
                    remarks.append(dump_str({key: value}))
        return _noted(merged, [f"also: {remark}" for remark in remarks])

    def _flat(self, schema: object, chain: int = 0) -> Optional[Mapping[str, Any]]:
        """A part of ``allOf`` without reference and ``allOf`` of its own; None where that cannot be had."""
        self._parts += 1
        if not isinstance(schema, Mapping) or chain > _LONGEST_CHAIN or self._parts > _MOST_PARTS:
            return None
        if "$ref" in schema:
            found = self._find(schema["$ref"]) if isinstance(schema["$ref"], str) else None
            flat = self._flat(found, chain + 1)
            return None if flat is None else {**flat, **{key: schema[key] for key in schema if key != "$ref"}}
        if "allOf" in schema:
            inner = schema["allOf"]
            parts = [self._flat(item, chain + 1) for item in (inner if isinstance(inner, list) else [inner])]
            return None if None in parts else self._merged({**schema, "allOf": parts})
        return schema


# --- one function for each keyword with a form of its own ------------------------------------------


def _format(_: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, notes: list[str]) -> None:
    if value in _FORMATS:
        target["format"] = value
    else:
        notes.append(f"format: {value}")


def _const(_: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, notes: list[str]) -> None:
    _enum(_, [value], schema, target, notes)


def _enum(_: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, notes: list[str]) -> None:
    """Only texts and numbers may be listed; null is a type."""
    values = value if isinstance(value, list) else [value]
    listed = [item for item in values if isinstance(item, (str, int, float)) and not isinstance(item, bool)]
    if len(listed) == len(values):
        target["enum"] = values
    elif len(listed) == len(values) - 1 and None in values and listed:
        target.pop("type", None)
        kinds = {"string" if isinstance(item, str) else "number" for item in listed}
        inner: _Schema = {"type": kinds.pop(), "enum": listed} if len(kinds) == 1 else {"enum": listed}
        target["anyOf"] = [inner, {"type": "null"}]
    elif values == [None]:
        target["type"] = "null"
    else:
        if all(isinstance(item, bool) for item in values):
            target["type"] = "boolean"
        notes.append("one of: " + ", ".join(dump_str(item) for item in values))


def _lower_bound(_: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, notes: list[str]) -> None:
    other = schema.get("minimum", value)
    if schema.get("type") == "integer" and type(value) is int and type(other) is int:
        target["minimum"] = max(value + 1, other)
    else:
        notes.append(f"exclusiveMinimum: {dump_str(value)}")


def _upper_bound(_: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, notes: list[str]) -> None:
    other = schema.get("maximum", value)
    if schema.get("type") == "integer" and type(value) is int and type(other) is int:
        target["maximum"] = min(value - 1, other)
    else:
        notes.append(f"exclusiveMaximum: {dump_str(value)}")


def _properties(rewriter: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, _: list[str]) -> None:
    target["properties"] = {name: rewriter.rewrite(item) for name, item in value.items()}


def _additional(rewriter: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, _: list[str]) -> None:
    target["additionalProperties"] = value if isinstance(value, bool) else rewriter.rewrite(value)


def _items(rewriter: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, _: list[str]) -> None:
    if isinstance(value, list):  # draft 2019-09 and older
        target["prefixItems"] = [rewriter.rewrite(item) for item in value]
    elif value is False:
        prefix, longest = schema.get("prefixItems"), schema.get("maxItems")
        count = len(prefix) if isinstance(prefix, list) else 0
        target["maxItems"] = min(count, longest) if type(longest) is int else count
    else:
        target["items"] = rewriter.rewrite(value)


def _prefix(rewriter: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, _: list[str]) -> None:
    target["prefixItems"] = [rewriter.rewrite(item) for item in value]


def _any_of(rewriter: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, notes: list[str]) -> None:
    choices = [rewriter.rewrite(item) for item in value]
    if "anyOf" in target:
        notes.append(f"also one of: {dump_str(choices)}")
    else:
        target["anyOf"] = choices


def _nullable(_: _Rewriter, value: Any, schema: Mapping[str, Any], target: _Schema, notes: list[str]) -> None:
    """OpenAPI 3.0's word."""
    kind = schema.get("type")
    if value is True and isinstance(kind, str):
        target["type"] = [kind, "null"]
    elif value is True:
        notes.append("or null")


_KEYWORDS: dict[str, Callable[[_Rewriter, Any, Mapping[str, Any], _Schema, list[str]], None]] = {
    "additionalProperties": _additional,
    "anyOf": _any_of,
    "const": _const,
    "enum": _enum,
    "exclusiveMaximum": _upper_bound,
    "exclusiveMinimum": _lower_bound,
    "format": _format,
    "items": _items,
    "nullable": _nullable,
    "oneOf": _any_of,
    "prefixItems": _prefix,
    "properties": _properties,
}
_SHAPES: dict[str, type] = {"anyOf": list, "format": str, "oneOf": list, "prefixItems": list, "properties": Mapping}


def _noted(schema: Mapping[str, Any], notes: list[str]) -> _Schema:
    """The schema with *notes* at the end of its description."""
    copy = dict(schema)
    if notes:
        described = f"({'; '.join(notes)})"
        copy["description"] = f"{copy['description']} {described}" if copy.get("description") else described
    return copy


def _typed(schema: _Schema) -> _Schema:
    """Of several types there may be one and null; more are a choice."""
    kinds = schema.get("type")
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        return schema
    if len([kind for kind in kinds if kind != "null"]) < 2:
        if len(kinds) == 1:
            schema["type"] = kinds[0]
        return schema
    if "anyOf" in schema or "enum" in schema:
        del schema["type"]
        return _noted(schema, [f"type: {', '.join(kinds)}"])
    rest = {key: value for key, value in schema.items() if key != "type" and key not in _ALL_OF_TYPE}
    choices = []
    for kind in kinds:
        own = {key: schema[key] for key in schema if key in _OF_TYPE.get(kind, ())}
        choices.append({"type": kind, **own})
    return {**rest, "anyOf": choices}
