"""
What an annotation means: one :class:`Form` for each way of writing a type.

Schemas and structurers both read types through here, so they agree on what is supported.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import pathlib
import types
import typing
import uuid
from collections import abc, deque
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from ..exceptions import UserError

__all__ = [
    "Form",
    "OBJECT_KINDS",
    "UnsupportedType",
    "annotated_parts",
    "cache_key",
    "form",
    "substitute",
    "type_name",
    "typevar_values",
    "unsupported_to_user_error",
]

OBJECT_KINDS = frozenset({"attrs", "dataclass", "pydantic", "pydantic1", "typeddict"})

_LONGEST_NAME = 80  # of what may be no type at all
_TYPING_MODULES = frozenset({"annotationlib", "types", "typing", "typing_extensions"})
_UNION_TYPES: tuple[Any, ...] = (Union, getattr(types, "UnionType", Union))  # the second: `X | Y`, from 3.10 on
_LEAVES: dict[Any, str] = {
    Any: "any",
    None: "none",
    bool: "bool",
    bytes: "bytes",
    decimal.Decimal: "decimal",
    dt.date: "date",
    dt.datetime: "datetime",
    dt.time: "time",
    dt.timedelta: "timedelta",
    float: "float",
    int: "int",
    object: "any",
    str: "str",
    type(None): "none",
    uuid.UUID: "uuid",
    **dict.fromkeys(
        (
            pathlib.Path,
            pathlib.PosixPath,
            pathlib.PurePath,
            pathlib.PurePosixPath,
            pathlib.PureWindowsPath,
            pathlib.WindowsPath,
        ),
        "path",
    ),
}
_CONTAINERS: dict[Any, str] = {
    abc.Collection: "list",
    abc.Iterable: "list",
    abc.Mapping: "dict",
    abc.MutableMapping: "dict",
    abc.MutableSequence: "list",
    abc.MutableSet: "set",
    abc.Sequence: "list",
    abc.Set: "set",
    deque: "deque",
    dict: "dict",
    frozenset: "frozenset",
    list: "list",
    set: "set",
    tuple: "tuple",
}
# Forms around a type that say something about a field and nothing about its values.
_QUALIFIERS = frozenset({"Final", "NotRequired", "ReadOnly", "Required"})
_HINTS: dict[Any, str] = {
    abc.Callable: "a function cannot come as JSON",
    abc.Generator: "use list",
    abc.Iterator: "use list",
    bytearray: "use bytes",
    complex: "use two floats or a string",
    memoryview: "use bytes",
    range: "use a list of int or two ints",
    type: "use a string or a Literal",
}


class Form(NamedTuple):
    """
    A type, read.

    Attributes:
        kind: what it is: a scalar (``int`` ...), a container (``list``, ``tuple``, ``tuple_of`` ...), ``union``,
            ``literal``, ``enum``, ``namedtuple``, an object kind, or a wrapper (``annotated``, ``alias``).
        type: the class, or the type inside a wrapper.
        args: the types of its items, its members, or its metadata.
    """

    kind: str
    type: Any
    args: tuple[Any, ...]


class UnsupportedType(Exception):
    """A type inside a type that has no JSON form; ``steps`` lead to it, the innermost first."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.steps: list[str] = []

    def below(self, step: str) -> UnsupportedType:
        """The same, seen from the type that holds this one at *step*."""
        self.steps.append(step)
        return self


def unsupported_to_user_error(tp: Any, error: UnsupportedType) -> UserError:
    """The error a caller sees: the path from *tp* to the type that is meant, and what to do."""
    path = type_name(tp) + "".join(reversed(error.steps))
    return UserError(f"{path}: {error.message}")


def form(tp: Any) -> Form:
    """
    Read a type.

    Raises:
        UnsupportedType: it has no JSON form.
    """
    try:
        kind = _LEAVES.get(tp)
    except TypeError:  # unhashable, as Annotated with a list in its metadata is
        kind = None
    if kind is not None:
        return Form(kind, tp, ())
    origin = get_origin(tp)
    if origin is not None:
        return _form_of_alias(tp, origin)
    if isinstance(tp, type):
        return _form_of_class(tp)
    if isinstance(tp, typing.TypeVar):
        return Form("alias", _typevar_default(tp), ())
    if hasattr(tp, "__supertype__"):
        return Form("alias", tp.__supertype__, ())
    if type(tp).__name__ == "TypeAliasType":
        return Form("alias", _alias_value(tp), ())
    if _special_name(tp) in ("LiteralString",):
        return Form("str", str, ())
    raise _refuse(tp)


def _form_of_alias(tp: Any, origin: Any) -> Form:
    args = get_args(tp)
    if origin is Literal or _special_name(origin) == "Literal":
        return Form("literal", tp, args)
    if origin in _UNION_TYPES:
        return Form("union", tp, args)
    metadata = getattr(tp, "__metadata__", None)
    if metadata is not None:
        return Form("annotated", tp.__origin__, metadata)
    if _special_name(origin) in _QUALIFIERS:
        return Form("alias", args[0], ())
    if origin in _CONTAINERS and not hasattr(tp, "__args__"):  # a bare typing.List
        return _form_of_class(origin)
    if origin is tuple:
        return _form_of_tuple(args)
    kind = _CONTAINERS.get(origin)
    if kind is not None:
        return Form(kind, origin, args)
    if type(origin).__name__ == "TypeAliasType":
        return Form("alias", _alias_value(origin)[args], ())
    if isinstance(origin, type):
        found = _form_of_class(origin)
        if found.kind in OBJECT_KINDS or found.kind == "namedtuple":
            return Form(found.kind, tp, args)
    raise _refuse(tp, origin)


def _form_of_tuple(args: tuple[Any, ...]) -> Form:
    if not args:
        return Form("tuple", tuple, ())
    if args == ((),):  # tuple[()] before Python 3.11
        return Form("tuple", tuple, ())
    if len(args) == 2 and args[1] is Ellipsis:
        return Form("tuple_of", tuple, args[:1])
    return Form("tuple", tuple, args)


def _form_of_class(cls: type) -> Form:
    if cls is tuple:
        return Form("tuple_of", tuple, (Any,))
    kind = _CONTAINERS.get(cls)
    if kind is not None:
        return Form(kind, cls, _any_args(kind))
    if issubclass(cls, enum.Enum):
        return Form("enum", cls, ())
    if callable(getattr(cls, "model_json_schema", None)) and callable(getattr(cls, "model_validate", None)):
        return Form("pydantic", cls, ())
    if hasattr(cls, "__fields__") and callable(getattr(cls, "parse_obj", None)):
        return Form("pydantic1", cls, ())
    if hasattr(cls, "__attrs_attrs__"):
        return Form("attrs", cls, ())
    if hasattr(cls, "__dataclass_fields__"):
        return Form("dataclass", cls, ())
    if issubclass(cls, dict) and hasattr(cls, "__required_keys__"):
        return Form("typeddict", cls, ())
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return Form("namedtuple", cls, ())
    raise _refuse(cls)


def _any_args(kind: str) -> tuple[Any, ...]:
    return (Any, Any) if kind == "dict" else (Any,)


def _typevar_default(var: Any) -> Any:
    default = getattr(var, "__default__", None)
    # typing.NoDefault says that there is none; on 3.9 to 3.12 typing_extensions' own does.
    if default is not None and type(default).__name__ != "NoDefaultType":
        return default
    if var.__constraints__:
        return Union[var.__constraints__]
    return Any if var.__bound__ is None else var.__bound__


def _alias_value(alias: Any) -> Any:
    try:
        return alias.__value__
    except NameError as error:
        name = getattr(error, "name", None) or str(error)  # 3.9 has the text alone
        raise UnsupportedType(f"the name {name!r} is not defined where it is evaluated") from error


def _special_name(tp: Any) -> str:
    return str(getattr(tp, "_name", None) or "") if type(tp).__module__ in ("typing", "typing_extensions") else ""


def _refuse(tp: Any, origin: Any = None) -> UnsupportedType:
    if isinstance(tp, (str, typing.ForwardRef)):
        name = (tp if isinstance(tp, str) else tp.__forward_arg__)[:_LONGEST_NAME]
        return UnsupportedType(f"the name {name!r} cannot be looked up from here; use the type itself")
    key = origin if origin is not None else tp
    try:
        hint = _HINTS.get(key)
    except TypeError:
        hint = None
    if hint is None:
        hint = (
            "use an attrs class, a dataclass, a TypedDict or a pydantic model"
            if isinstance(key, type)
            else "it is a value and no type; use a type that JSON has a form of"
            if _is_value(key)
            else "use a type that JSON has a form of"
        )
    return UnsupportedType(f"{type_name(tp)} is not supported; {hint}.")


def _is_value(tp: Any) -> bool:
    """Whether it is neither a class, a function nor anything of typing's."""
    return not isinstance(getattr(tp, "__name__", None), str) and type(tp).__module__ not in _TYPING_MODULES


def annotated_parts(tp: Any) -> tuple[Any, tuple[Any, ...]]:
    """
    Take ``Annotated``, ``NewType``, aliases, type variables and qualifiers off a type.

    Returns:
        The type inside, and all metadata, the innermost first.
    """
    metadata: tuple[Any, ...] = ()
    while True:
        found = form(tp)
        if found.kind == "annotated":
            metadata = found.args + metadata
        elif found.kind != "alias":
            return tp, metadata
        tp = found.type


def type_name(tp: Any) -> str:
    """How a message calls a type: ``Order``, ``list[int]``, ``Optional[str]``."""
    if isinstance(tp, type) and get_origin(tp) is None:
        return tp.__name__
    if tp is Any:
        return "Any"
    args = get_args(tp)
    if not args:
        if isinstance(tp, (float, int)) and abs(tp) < 1_000_000:  # a slip, and easier to find with its value
            return repr(tp)
        # The text of what else is no type may be anything, the process' environment too.
        name = type(tp).__name__ if _is_value(tp) else getattr(tp, "__name__", None) or str(tp).replace("typing.", "")
        return name[:_LONGEST_NAME]
    if hasattr(tp, "__metadata__"):
        return type_name(tp.__origin__)
    origin = get_origin(tp)
    if origin is Literal:
        return f"Literal[{', '.join(repr(arg) for arg in args)}]"
    names = ["None" if arg is type(None) else "..." if arg is Ellipsis else type_name(arg) for arg in args]
    if origin in _UNION_TYPES:
        return f"Union[{', '.join(names)}]" if len(args) != 2 or names[1] != "None" else f"Optional[{names[0]}]"
    if isinstance(args[0], list):  # Callable
        return str(tp).replace("typing.", "")
    return f"{type_name(origin)}[{', '.join(names)}]"


def typevar_values(tp: Any) -> dict[Any, Any]:
    """What the type variables of a generic class, and of the generics it derives from, stand for in *tp*."""
    values: dict[Any, Any] = {}
    _collect(tp, values)
    return values


def _collect(tp: Any, values: dict[Any, Any]) -> None:
    cls = get_origin(tp) or tp
    args = tuple(substitute(arg, values) for arg in get_args(tp))
    parameters = getattr(cls, "__parameters__", ())
    for parameter, arg in zip(parameters, args):
        values.setdefault(parameter, arg)
    for base in getattr(cls, "__dict__", {}).get("__orig_bases__", ()):
        if get_origin(base) not in (typing.Generic, typing.Protocol, None):
            _collect(base, values)
        elif get_origin(base) is None and isinstance(base, type):
            _collect(base, values)
    if "__orig_bases__" not in getattr(cls, "__dict__", {}):
        for base in getattr(cls, "__bases__", ()):
            if base not in (object, dict, tuple):
                _collect(base, values)


def substitute(tp: Any, values: Mapping[Any, Any]) -> Any:
    """*tp* with its type variables replaced."""
    if not values:
        return tp
    if isinstance(tp, typing.TypeVar):
        return values.get(tp, tp)
    if isinstance(tp, type) and get_origin(tp) is None:
        return tp
    parameters: tuple[Any, ...] = getattr(tp, "__parameters__", ())
    if not parameters or not any(parameter in values for parameter in parameters):
        return tp
    generic: Any = tp
    return generic[tuple(values.get(parameter, parameter) for parameter in parameters)]


def cache_key(tp: Any) -> Any:
    """
    A key under which what is made for *tp* may be kept for ever; None where there is none.

    Only the types of the standard library have one: a cache must not keep a user's class alive. Unlike types
    themselves, keys know the order of a union's members.
    """
    if type(tp) is type:
        return tp if tp in _LEAVES or tp in _CONTAINERS else None
    if tp is Any:
        return tp
    if tp is None:
        return type(None)
    origin = get_origin(tp)
    if origin is Literal:
        args = get_args(tp)
        plain = all(type(arg) in (str, int, bool, type(None)) for arg in args)
        return (origin, *((type(arg), arg) for arg in args)) if plain else None
    if origin is None or not (origin in _UNION_TYPES or origin in _CONTAINERS):
        return None
    if not hasattr(tp, "__args__"):  # a bare typing.List
        return origin
    key = [origin]
    for arg in tp.__args__:
        part = arg if arg is Ellipsis else cache_key(arg)
        if part is None:
            return None
        key.append(part)
    return tuple(key)
