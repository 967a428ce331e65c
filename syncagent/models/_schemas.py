"""JSON schemas in the form that a provider wants them: strict ones, and ones whose strings end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Optional

from ..jsonable import dump_str

__all__ = ["closed_schema", "limit_strings", "strict_schema"]

# Where a schema holds further schemas (JSON Schema 2020-12, core, section 10).
_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLES = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")

# What OpenAI's strict mode takes: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
_STRICT_KEYS = frozenset(
    {
        *("type", "title", "description", "enum", "const", "anyOf", "$ref", "$defs", "definitions"),
        *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
        *("pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    }
)
_STRICT_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_STRICT_DEPTH = 10  # levels of nested objects and arrays
_STRICT_PROPERTIES = 5000  # in all objects together


class _NotStrict(Exception):
    """The schema says something that strict mode has no word for."""


def strict_schema(schema: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    """
    The schema as OpenAI's strict mode wants it, or None where strict mode cannot say the same.

    Objects that say nothing of further properties are closed, which strict mode asks for and which no value that
    a model is to write needs. An object with a property that may be left out, an open object or a dict, and every
    keyword outside of the supported ones, are not strict.

    Args:
        schema: of the result; never changed.
    """
    counts = [0]
    if schema.get("type") != "object":
        return None
    try:
        return _strict(schema, 0, counts)
    except _NotStrict:
        return None


def closed_schema(schema: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    """
    The schema as Anthropic's structured outputs want it, or None where an object has to stay open.

    Objects that say nothing of further properties are closed. Keywords that the API does not take are told in the
    description, so that the model knows of them; that they hold is checked when the value is built.

    Args:
        schema: of the result; never changed.
    """
    try:
        return _closed(schema)
    except _NotStrict:
        return None


def limit_strings(schema: Mapping[str, Any], length: int) -> dict[str, Any]:
    """
    The schema with a ``maxLength`` for each string that has none, nor a list of values.

    Args:
        schema: never changed.
        length: characters.
    """
    kind = schema.get("type")
    copy = _walk(schema, lambda inner: limit_strings(inner, length))
    if (kind == "string" or (isinstance(kind, list) and "string" in kind)) and not (
        {"maxLength", "enum", "const"} & schema.keys()
    ):
        copy["maxLength"] = length
    return copy


def _walk(schema: Mapping[str, Any], change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """A copy whose inner schemas are changed; what only looks like a schema (a default, an example) is not."""
    copy = dict(schema)
    for key in _MAPS:
        inner = copy.get(key)
        if isinstance(inner, Mapping):
            copy[key] = {name: change(item) if isinstance(item, Mapping) else item for name, item in inner.items()}
    for key in _LISTS:
        inner = copy.get(key)
        if isinstance(inner, list):
            copy[key] = [change(item) if isinstance(item, Mapping) else item for item in inner]
    for key in _SINGLES:
        inner = copy.get(key)
        if isinstance(inner, Mapping):
            copy[key] = change(inner)
    return copy


def _strict(schema: Mapping[str, Any], depth: int, counts: list[int]) -> dict[str, Any]:
    if not schema.keys() <= _STRICT_KEYS or not schema:
        raise _NotStrict
    if "$ref" in schema and len(schema) > 1:
        raise _NotStrict  # nothing may stand beside a reference
    if schema.get("format", "date") not in _STRICT_FORMATS:
        raise _NotStrict
    kind = schema.get("type")
    nested = kind == "object" or kind == "array"
    if nested:
        depth += 1
        if depth > _STRICT_DEPTH:
            raise _NotStrict
    if kind == "array" and "items" not in schema:
        raise _NotStrict
    copy = _walk(schema, lambda inner: _strict(inner, depth, counts))
    if kind == "object":
        properties = schema.get("properties", {})
        counts[0] += len(properties)
        if (
            schema.get("additionalProperties", False) is not False
            or set(schema.get("required", ())) != set(properties)
            or counts[0] > _STRICT_PROPERTIES
        ):
            raise _NotStrict
        copy.update(properties=copy.get("properties", {}), required=list(properties), additionalProperties=False)
    elif not (isinstance(kind, str) or _plain_types(kind) or {"anyOf", "$ref", "enum", "const"} & schema.keys()):
        raise _NotStrict  # any value at all
    return copy


def _plain_types(kind: object) -> bool:
    return isinstance(kind, list) and not {"object", "array"} & set(kind)


# https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON schema limitations"
_CLOSED_KEYS = frozenset(
    {
        *("type", "title", "description", "enum", "const", "default", "anyOf", "allOf", "$ref", "$defs"),
        *("definitions", "properties", "required", "additionalProperties", "items"),
    }
)
_CLOSED_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    if "oneOf" in schema and "anyOf" not in schema:
        schema = {"anyOf" if key == "oneOf" else key: value for key, value in schema.items()}
    kept, told = {}, []
    for key, value in schema.items():
        takes = (
            key in _CLOSED_KEYS
            or (key == "format" and value in _CLOSED_FORMATS)
            or (key == "minItems" and value in (0, 1))
        )
        if takes:
            kept[key] = value
        else:
            told.append(f"{key}: {dump_str(value)}")
    if told:
        kept["description"] = " ".join([*([kept["description"]] if "description" in kept else []), *told])
    copy = _walk(kept, _closed)
    kind = schema.get("type")
    if kind == "object" or (isinstance(kind, list) and "object" in kind):
        if schema.get("additionalProperties", False) is not False:
            raise _NotStrict
        copy["additionalProperties"] = False
    return copy
