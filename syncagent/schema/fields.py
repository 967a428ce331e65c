"""
The fields of classes: attrs, dataclasses, TypedDict and NamedTuple, read the same way.

What a class says about a field (its annotation, its attrs validators, its default) ends in one type: validators
become ``Annotated`` metadata, which :mod:`~syncagent.schema.constraints` reads.
"""

from __future__ import annotations

import enum
import inspect
import re
import sys
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, get_origin

from .attribute_docs import attribute_docstrings
from .docstring import parse_docstring
from .forms import UnsupportedType, substitute, typevar_values

__all__ = ["Field", "class_of", "object_fields", "own_docstring"]


class Field(NamedTuple):
    """
    A field.

    Attributes:
        key: its name in JSON.
        name: the name of the argument that sets it.
        type: its type, with what restricts it as ``Annotated`` metadata.
        required: whether it has no default.
        description: what the class says about it, apart from its type.
    """

    key: str
    name: str
    type: Any
    required: bool
    description: Optional[str]


def class_of(tp: Any) -> Any:
    """The class behind a class or a generic alias of one."""
    return get_origin(tp) or tp


def object_fields(kind: str, tp: Any, *, describe: bool = False) -> list[Field]:
    """
    The fields that a value of *tp* is built from, in the order of their definition.

    Args:
        kind: ``attrs``, ``dataclass``, ``typeddict`` or ``namedtuple``.
        tp: the class, or an alias like ``Box[int]``.
        describe: whether to look for descriptions, in docstrings and in the source.

    Raises:
        UnsupportedType: an annotation cannot be evaluated.
    """
    cls = class_of(tp)
    hints = _hints(cls)
    values = typevar_values(tp)
    if values:
        hints = {name: substitute(hint, values) for name, hint in hints.items()}
    return _READERS[kind](cls, hints, _texts(cls) if describe else {})


def own_docstring(cls: Any) -> Optional[str]:
    """The docstring that somebody wrote for *cls* itself: not an inherited one, not one a decorator made."""
    if not isinstance(cls, type) or get_origin(cls) is not None:
        return None
    text = cls.__dict__.get("__doc__")
    if not isinstance(text, str) or not text.strip():
        return None
    if hasattr(cls, "__dataclass_fields__") and text.startswith(f"{cls.__name__}(") and text.endswith(")"):
        return None  # the signature that @dataclass writes
    if issubclass(cls, tuple) and text.startswith(f"{cls.__name__}("):
        return None  # namedtuple's
    if issubclass(cls, enum.Enum) and text == "An enumeration.":
        return None  # what every Enum says before Python 3.11
    return inspect.cleandoc(text)


def _texts(cls: Any) -> dict[str, str]:
    """What docstrings say about the fields: sections of the class', and the strings under the fields themselves."""
    texts: dict[str, str] = {}
    for base in _bases(cls):
        if base.__module__ not in ("builtins", "typing", "typing_extensions"):
            texts.update(parse_docstring(own_docstring(base)).parameters)
            texts.update(attribute_docstrings(base))
    return texts


def _bases(cls: Any) -> list[Any]:
    """*cls* and what it inherits from, the furthest first."""
    if not hasattr(cls, "__required_keys__"):
        return list(reversed(cls.__mro__))
    found: list[Any] = []  # a TypedDict's bases are not in its MRO
    for base in getattr(cls, "__orig_bases__", ()):
        if hasattr(class_of(base), "__required_keys__"):
            found += _bases(class_of(base))
    return [*found, cls]


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return _evaluate(cls)
    except NameError as error:
        name = getattr(error, "name", None) or str(error).partition("'")[2].partition("'")[0]
        raise UnsupportedType(
            f"the name {name!r} in its annotations cannot be looked up; define or import it at the top of the module, "
            "not under TYPE_CHECKING and not in a function"
        ) from error
    except TypeError as error:
        if sys.version_info < (3, 10) and "|" in str(error):
            raise UnsupportedType(
                "its annotations use X | Y, which Python 3.9 cannot evaluate; use Optional[X] or Union[X, Y]"
            ) from error
        raise UnsupportedType(f"its annotations cannot be evaluated: {error}") from error


def _evaluate(cls: Any) -> dict[str, Any]:
    if sys.version_info < (3, 11) and _has_init_var_text(cls):
        return _without_init_var(cls)
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError:
        # A class in a function may at least name itself, its own attributes, and what stands beside it.
        scope = {**vars(sys.modules.get(cls.__module__, typing)), **vars(cls), cls.__name__: cls}
        hints = typing.get_type_hints(cls, globalns=scope, localns=scope, include_extras=True)
    if sys.version_info < (3, 11):
        scope = {**vars(sys.modules.get(cls.__module__, typing)), cls.__name__: cls}
        hints = {name: _resolve(hint, scope) for name, hint in hints.items()}
    return hints


_INIT_VAR = re.compile(r"\s*(?:\w+\.)*InitVar\s*\[(.*)\]\s*", re.DOTALL)


def _own(cls: Any) -> dict[str, Any]:
    found: dict[str, Any] = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 # only before Python 3.11
    return found


def _has_init_var_text(cls: Any) -> bool:
    annotations = [_own(base) for base in cls.__mro__]
    return any(isinstance(text, str) and _INIT_VAR.fullmatch(text) for own in annotations for text in own.values())


def _without_init_var(cls: Any) -> dict[str, Any]:
    """Hints of a dataclass with InitVar in annotations that are strings, which typing reads from Python 3.11 on."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        own = dict(_own(base))
        for name, text in own.items():
            found = _INIT_VAR.fullmatch(text) if isinstance(text, str) else None
            own[name] = found[1] if found else text
        scope = {**vars(sys.modules.get(base.__module__, typing)), **vars(base), cls.__name__: cls}
        holder = type("_Holder", (), {"__annotations__": own})
        hints.update(typing.get_type_hints(holder, globalns=scope, localns=scope, include_extras=True))
    return hints


def _resolve(tp: Any, scope: dict[str, Any]) -> Any:
    """Names inside list["Order"], which typing leaves alone before Python 3.11."""
    args = getattr(tp, "__args__", None)
    if not isinstance(args, tuple) or get_origin(tp) is typing.Literal:
        return tp
    if any(isinstance(arg, str) for arg in args):
        holder = type("_Holder", (), {"__annotations__": {str(i): arg for i, arg in enumerate(args)}})
        found = typing.get_type_hints(holder, globalns=scope, localns=scope, include_extras=True)
        new = tuple(found[str(i)] for i in range(len(args)))
    else:
        new = tuple(_resolve(arg, scope) for arg in args)
    if new == args or hasattr(tp, "__metadata__"):
        return tp
    return tp.copy_with(new) if hasattr(tp, "copy_with") else get_origin(tp)[new]


def _read_attrs(cls: Any, hints: Mapping[str, Any], texts: Mapping[str, str]) -> list[Field]:
    import attrs

    fields = []
    for attribute in attrs.fields(cls):
        if not attribute.init:
            continue
        alias: str = attribute.alias or attribute.name.lstrip("_")
        tp = hints.get(attribute.name, attribute.type)
        if attribute.converter is not None:
            tp = _converter_input(attribute.converter)
        elif attribute.validator is not None:
            tp = typing.Annotated[_validated_type(tp, attribute.validator), attribute.validator]
        elif tp is None:
            tp = Any
        description = attribute.metadata.get("description") or texts.get(attribute.name) or texts.get(alias)
        fields.append(Field(alias, alias, tp, attribute.default is attrs.NOTHING, description))
    return fields


def _validated_type(tp: Any, validator: Any) -> Any:
    """The annotation; where there is none, what ``instance_of`` wants."""
    if tp is not None:
        return tp
    members = getattr(validator, "_validators", (validator,))
    for member in members:
        wanted = getattr(member, "type", None)
        if type(member).__name__ == "_InstanceOfValidator":
            return typing.Union[wanted] if isinstance(wanted, tuple) else wanted
    return Any


def _converter_input(converter: Any) -> Any:
    """What an attrs converter takes; Any where it does not say."""
    function = getattr(converter, "converter", converter)  # attrs.Converter holds the function
    try:
        names = list(inspect.signature(function).parameters)
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError):  # a builtin, or annotations that cannot be evaluated
        return Any
    return hints.get(names[0], Any) if names else Any


def _read_dataclass(cls: Any, hints: Mapping[str, Any], texts: Mapping[str, str]) -> list[Field]:
    import dataclasses

    fields = []
    # Pseudo-fields (InitVar) stand in this table only, and dataclasses.fields() leaves them out.
    for name, field in cls.__dataclass_fields__.items():
        tp = hints.get(name, Any)
        if isinstance(tp, dataclasses.InitVar):
            tp = tp.type
        elif not field.init or tp is typing.ClassVar or get_origin(tp) is typing.ClassVar:
            continue
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        description = field.metadata.get("description") or texts.get(name)
        fields.append(Field(name, name, tp, required, description))
    return fields


def _read_typeddict(cls: Any, hints: Mapping[str, Any], texts: Mapping[str, str]) -> list[Field]:
    fields = []
    for name, tp in hints.items():
        required = name in cls.__required_keys__
        # On its own word: __required_keys__ is wrong where annotations are strings.
        qualifier = _requirement(tp)
        if qualifier:
            required = qualifier == "Required"
        fields.append(Field(name, name, tp, required, texts.get(name)))
    return fields


def _requirement(tp: Any) -> str:
    while True:
        origin = get_origin(tp)
        if hasattr(tp, "__metadata__"):
            tp = tp.__origin__
            continue
        name = getattr(origin, "_name", None)
        if name in ("Required", "NotRequired"):
            return str(name)
        if name != "ReadOnly":
            return ""
        tp = tp.__args__[0]


def _read_namedtuple(cls: Any, hints: Mapping[str, Any], texts: Mapping[str, str]) -> list[Field]:
    defaults = cls._field_defaults
    return [Field(name, name, hints.get(name, Any), name not in defaults, texts.get(name)) for name in cls._fields]


_READERS = {
    "attrs": _read_attrs,
    "dataclass": _read_dataclass,
    "namedtuple": _read_namedtuple,
    "typeddict": _read_typeddict,
}
