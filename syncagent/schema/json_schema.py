"""
Types to JSON Schema, draft 2020-12.

The shapes are those of pydantic 2.10, which models and providers have seen most: ``anyOf`` for unions, ``$defs`` for
classes inside, ``prefixItems`` for tuples. Defaults do not stand in them: a field that has one is just not required.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Optional

from ..exceptions import UserError
from .constraints import constrain_schema, plain_json, read_constraints
from .fields import class_of, object_fields, own_docstring
from .forms import (
    OBJECT_KINDS,
    UnsupportedType,
    annotated_parts,
    cache_key,
    form,
    type_name,
    unsupported_to_user_error,
)

__all__ = ["JsonSchema", "is_object_type", "json_schema", "object_schema", "type_description"]

JsonSchema = dict[str, Any]

_DEFS = "#/$defs/"
_SCALARS: dict[str, JsonSchema] = {
    "any": {},
    "bool": {"type": "boolean"},
    "bytes": {"format": "binary", "type": "string"},
    "date": {"format": "date", "type": "string"},
    "datetime": {"format": "date-time", "type": "string"},
    "decimal": {"anyOf": [{"type": "number"}, {"type": "string"}]},
    "float": {"type": "number"},
    "int": {"type": "integer"},
    "none": {"type": "null"},
    "path": {"format": "path", "type": "string"},
    "str": {"type": "string"},
    "time": {"format": "time", "type": "string"},
    "timedelta": {"format": "duration", "type": "string"},
    "uuid": {"format": "uuid", "type": "string"},
}
_JSON_TYPES = {bool: "boolean", float: "number", int: "integer", list: "array", str: "string", type(None): "null"}
_CACHE_SIZE = 1_000
_cache: dict[Any, JsonSchema] = {}


def json_schema(tp: Any, *, titles: bool = False) -> JsonSchema:
    """
    The JSON Schema of a type; a fresh dict each time.

    Classes inside stand in ``$defs``; so does a recursive type itself, beside its own keywords at the root.

    Args:
        tp: the type.
        titles: whether classes and properties get a ``title``: result tools have them, parameters do not.

    Raises:
        UserError: a type inside has no JSON form; the text has the path to it.
    """
    known = _cached(tp)
    return copy_schema(known) if known is not None else _build(tp, titles)


def object_schema(
    fields: Mapping[str, Any],
    required: Iterable[str],
    *,
    descriptions: Optional[Mapping[str, str]] = None,
    additional: Any = False,
    titles: bool = False,
    name: str = "arguments",
) -> JsonSchema:
    """
    The schema of an object that no class stands for: a function's parameters.

    Args:
        fields: property names and their types. Metadata of ``Annotated`` (a text, limits) stands in the properties.
        required: the names that must come.
        descriptions: texts for properties whose type has none.
        additional: ``additionalProperties``: False, True, or a type for the values; None leaves it out.
        titles: as in :func:`json_schema`.
        name: what errors call the object.

    Raises:
        UserError: a type has no JSON form; the text has the path to it.
    """
    builder = _Builder(titles)
    properties: JsonSchema = {}
    texts = descriptions or {}
    for key, tp in fields.items():
        try:
            properties[key] = copy_schema(builder.property(key, tp, texts.get(key)))
        except UnsupportedType as error:
            raise UserError(f"{name}.{key}{''.join(reversed(error.steps))}: {error.message}") from error
    schema: JsonSchema = {"properties": properties, "type": "object"}
    needed = list(required)
    if needed:
        schema["required"] = needed
    if additional is not None:
        schema["additionalProperties"] = additional if isinstance(additional, bool) else builder.schema(additional)
    if builder.defs:
        schema["$defs"] = _copy(builder.defs)
    return schema


def is_object_type(tp: Any) -> bool:
    """Whether *tp* has an object schema of its own: an attrs class, dataclass, TypedDict or pydantic model."""
    try:
        inside, _ = annotated_parts(tp)
        return form(inside).kind in OBJECT_KINDS
    except UnsupportedType:
        return False


def type_description(tp: Any) -> Optional[str]:
    """What the author of *tp* wrote in its docstring, sections for its fields left out; None without one."""
    from .docstring import parse_docstring

    try:
        inside, _ = annotated_parts(tp)
    except UnsupportedType:
        return None
    cls = class_of(inside)
    if not isinstance(cls, type) or form(inside).kind not in OBJECT_KINDS | {"enum", "namedtuple"}:
        return None
    return parse_docstring(own_docstring(cls)).description or None


def _cached(tp: Any) -> Optional[JsonSchema]:
    """The schema of a type of the standard library, which is not to be written into; None for others."""
    key = cache_key(tp)
    if key is None:
        return None
    known = _cache.get(key)
    if known is None:
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        known = _cache[key] = _build(tp, False)
    return known


def copy_schema(schema: JsonSchema) -> JsonSchema:
    """A deep copy, several times quicker than copy.deepcopy."""
    return {key: _copy(value) for key, value in schema.items()}


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _build(tp: Any, titles: bool) -> JsonSchema:
    builder = _Builder(titles)
    try:
        return builder.root(tp)
    except UnsupportedType as error:
        raise unsupported_to_user_error(tp, error) from error


class _Builder:
    """Builds one schema; ``defs`` collects the classes on the way."""

    def __init__(self, titles: bool) -> None:
        self.titles = titles
        self.defs: dict[str, JsonSchema] = {}
        self._names: dict[Any, str] = {}
        self._counts: dict[str, int] = {}  # references to each definition

    def root(self, tp: Any) -> JsonSchema:
        schema = self.schema(tp)
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith(_DEFS):
            name = reference[len(_DEFS) :]
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            # A root that nothing else refers to needs no definition.
            own = self.defs[name] if self._counts[name] > 1 else self.defs.pop(name)
            schema = {**own, **rest}
        if self.defs:
            schema = {**schema, "$defs": self.defs}
        return copy_schema(schema)

    def schema(self, tp: Any) -> JsonSchema:
        """The schema of *tp*; parts of it may be shared, so it is added to by making a new dict."""
        inside, metadata = annotated_parts(tp)
        found = form(inside)
        schema = _SCALARS.get(found.kind)
        if schema is None:
            schema = _BUILDERS[found.kind](self, found.type, found.args)
        if metadata:
            constraints = read_constraints(metadata)
            schema = constrain_schema(schema, constraints)
            if constraints.description:
                schema = {**schema, "description": constraints.description}
        return schema

    def property(self, key: str, tp: Any, description: Optional[str]) -> JsonSchema:
        schema = _cached(tp)
        if schema is None:
            schema = self.schema(tp)
        if self.titles and _wants_title(schema):
            schema = {**schema, "title": key.title().replace("_", " ").strip()}
        if description and "description" not in schema:
            schema = {**schema, "description": description}
        return schema

    def below(self, step: str, tp: Any) -> JsonSchema:
        try:
            return self.schema(tp)
        except UnsupportedType as error:
            raise error.below(step) from error

    def definition(self, tp: Any, build: Callable[[], JsonSchema]) -> JsonSchema:
        """A reference to *tp*; its definition is built where it is first met."""
        name = self._names.get(tp)
        if name is None:
            name = self._names[tp] = self._free_name(_def_name(tp))
            self.defs[name] = {}  # holds the place: references to it may come while it is built
            self.defs[name] = build()
        self._counts[name] = self._counts.get(name, 0) + 1
        return {"$ref": _DEFS + name}

    def _free_name(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self.defs:
            number += 1
            name = f"{wanted}_{number}"
        return name

    # ---------------------------------------------------------------------------------------- one for each kind

    def union(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        branches: list[JsonSchema] = []
        for branch in map(self.schema, args):
            branches += branch["anyOf"] if branch.keys() == {"anyOf"} else [branch]
        unique = [branch for index, branch in enumerate(branches) if branch not in branches[:index]]
        return unique[0] if len(unique) == 1 else {"anyOf": unique}

    def literal(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        return _choices([self._constant(arg) for arg in args])

    def enum(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        def build() -> JsonSchema:
            schema = _choices([self._constant(member) for member in tp])
            text = type_description(tp)
            if text:
                schema["description"] = text
            if self.titles:
                schema["title"] = tp.__name__
            return schema

        return self.definition(tp, build)

    def _constant(self, value: Any) -> Any:
        try:
            return value.decode() if isinstance(value, bytes) else plain_json(value)
        except TypeError as error:
            raise UnsupportedType(f"{error}; give {value!r} a string or a number") from error

    def array(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        return {"items": self.below("[]", args[0]), "type": "array"}

    def unique_array(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        return {**self.array(tp, args), "uniqueItems": True}

    def fixed_array(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        schema: JsonSchema = {"maxItems": len(args), "minItems": len(args), "type": "array"}
        if args:
            schema["prefixItems"] = [self.below(f"[{index}]", arg) for index, arg in enumerate(args)]
        return schema

    def mapping(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        self.below("{key}", args[0])  # keys are strings in JSON; that the type is supported is all
        values = self.below("{}", args[1])
        return {"additionalProperties": values, "type": "object"} if values else {"type": "object"}

    def object_type(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        def build() -> JsonSchema:
            properties: JsonSchema = {}
            required = []
            for field in object_fields(form(tp).kind, tp, describe=True):
                try:
                    properties[field.key] = self.property(field.key, field.type, field.description)
                except UnsupportedType as error:
                    raise error.below(f".{field.name}") from error
                if field.required:
                    required.append(field.key)
            schema: JsonSchema = {"properties": properties, "type": "object"}
            if required:
                schema["required"] = required
            return self._described(tp, schema)

        return self.definition(tp, build)

    def namedtuple(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        def build() -> JsonSchema:
            items = []
            fields = object_fields("namedtuple", tp, describe=True)
            for field in fields:
                try:
                    # An array has no property names: the title tells what stands where.
                    item = self.property(field.key, field.type, field.description)
                except UnsupportedType as error:
                    raise error.below(f".{field.name}") from error
                items.append({"title": field.key.title().replace("_", " ").strip(), **item})
            schema: JsonSchema = {
                "maxItems": len(fields),
                "minItems": sum(field.required for field in fields),
                "type": "array",
            }
            if items:
                schema["prefixItems"] = items
            return self._described(tp, schema)

        return self.definition(tp, build)

    def _described(self, tp: Any, schema: JsonSchema) -> JsonSchema:
        text = type_description(tp)
        if text:
            schema["description"] = text
        if self.titles:
            schema["title"] = type_name(tp)
        return schema

    def pydantic(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        return self._foreign(tp, lambda: tp.model_json_schema(ref_template=_DEFS + "{model}"), "$defs")

    def pydantic1(self, tp: Any, args: tuple[Any, ...]) -> JsonSchema:
        return self._foreign(tp, lambda: tp.schema(ref_template=_DEFS + "{model}"), "definitions")

    def _foreign(self, tp: Any, make: Callable[[], JsonSchema], defs_key: str) -> JsonSchema:
        """A pydantic model's own schema; its definitions become ours, renamed where a name is taken."""

        def build() -> JsonSchema:
            try:
                schema = copy_schema(make())
            except Exception as error:  # pydantic's own errors, which are not ours to know
                raise UnsupportedType(f"its own schema cannot be built: {error}") from error
            inner: dict[str, JsonSchema] = schema.pop(defs_key, {})
            own = schema.get("$ref", "")[len(_DEFS) :]  # a recursive model refers to its own definition
            if own in inner:
                schema = {**inner.pop(own), **{key: value for key, value in schema.items() if key != "$ref"}}
            names = {name: self._adopt(name, body) for name, body in inner.items()}
            if own:
                names[own] = self._names[tp]
                self._counts[self._names[tp]] = self._counts.get(self._names[tp], 0) + 1
            for name in inner:
                _rename(self.defs[names[name]], names)
            _rename(schema, names)
            if not self.titles:
                for part in (schema, *(self.defs[names[name]] for name in inner)):
                    _strip_titles(part)
            return schema

        return self.definition(tp, build)

    def _adopt(self, name: str, body: JsonSchema) -> str:
        name = self._free_name(name)
        self.defs[name] = body
        self._counts[name] = 1
        return name


_BUILDERS: dict[str, Callable[[_Builder, Any, tuple[Any, ...]], JsonSchema]] = {
    "attrs": _Builder.object_type,
    "dataclass": _Builder.object_type,
    "deque": _Builder.array,
    "dict": _Builder.mapping,
    "enum": _Builder.enum,
    "frozenset": _Builder.unique_array,
    "list": _Builder.array,
    "literal": _Builder.literal,
    "namedtuple": _Builder.namedtuple,
    "pydantic": _Builder.pydantic,
    "pydantic1": _Builder.pydantic1,
    "set": _Builder.unique_array,
    "tuple": _Builder.fixed_array,
    "tuple_of": _Builder.array,
    "typeddict": _Builder.object_type,
    "union": _Builder.union,
}


def _choices(values: list[Any]) -> JsonSchema:
    unique: list[Any] = []
    for value in values:
        if not any(type(value) is type(other) and value == other for other in unique):
            unique.append(value)
    schema: JsonSchema = {"const": unique[0]} if len(unique) == 1 else {"enum": unique}
    types = {_JSON_TYPES.get(type(value)) for value in unique}
    if len(types) == 1 and None not in types:
        schema["type"] = types.pop()
    return schema


def _def_name(tp: Any) -> str:
    name = type_name(tp)
    return "".join(char if char.isalnum() or char in "_.-" else "_" for char in name)


def _wants_title(schema: Mapping[str, Any]) -> bool:
    """As pydantic has it: a reference has its class' title, an optional reference none of its own."""
    if "$ref" in schema:
        return False
    branches = schema.get("anyOf", ())
    if len(branches) == 2 and {"type": "null"} in branches:
        return all("$ref" not in branch for branch in branches)
    return True


def _subschemas(schema: Mapping[str, Any]) -> Iterator[JsonSchema]:
    """The schemas directly inside *schema*; what stands in ``enum``, ``default`` or ``examples`` is data."""
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"):
            yield from value.values()
        elif key in ("anyOf", "allOf", "oneOf", "prefixItems"):
            yield from value
        elif key in ("items", "additionalProperties", "not", "propertyNames", "contains") and isinstance(value, dict):
            yield value


def _rename(schema: JsonSchema, names: Mapping[str, str]) -> None:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith(_DEFS):
        name = reference[len(_DEFS) :]
        schema["$ref"] = _DEFS + names.get(name, name)
    mapping = schema.get("discriminator", {}).get("mapping") if isinstance(schema.get("discriminator"), dict) else None
    if mapping:
        for key, target in mapping.items():
            mapping[key] = _DEFS + names.get(target[len(_DEFS) :], target[len(_DEFS) :])
    for inner in _subschemas(schema):
        _rename(inner, names)


def _strip_titles(schema: JsonSchema) -> None:
    if isinstance(schema.get("title"), str):
        del schema["title"]
    for inner in _subschemas(schema):
        _strip_titles(inner)
