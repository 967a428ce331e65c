"""
The parameters of anything that can be called, and what their annotations mean.

A plain function's code object says all there is to know, many times quicker than :func:`inspect.signature`,
which reads everything else. Annotations are evaluated only where they are strings.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

from ..exceptions import UserError

__all__ = [
    "EMPTY",
    "KEYWORD_ONLY",
    "ORDINARY",
    "POSITIONAL_ONLY",
    "VAR_KEYWORD",
    "VAR_POSITIONAL",
    "Parameter",
    "Unresolved",
    "function_name",
    "is_annotated_with",
    "read_parameters",
    "resolve",
]

POSITIONAL_ONLY, ORDINARY, VAR_POSITIONAL, KEYWORD_ONLY, VAR_KEYWORD = range(5)  # as inspect numbers them
EMPTY: Any = inspect.Parameter.empty


class Parameter(NamedTuple):
    """
    A parameter.

    Attributes:
        name: its name.
        kind: one of the five kinds.
        annotation: as it stands, perhaps a string; :data:`EMPTY` where there is none.
        default: :data:`EMPTY` where there is none.
    """

    name: str
    kind: int
    annotation: Any
    default: Any


class Unresolved(Exception):
    """An annotation cannot be evaluated; the text says what to do."""


def function_name(function: Any) -> str:
    """How a message calls a function: ``f1``, ``Orders.find``, or the class of an object that can be called."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def read_parameters(function: Callable[..., Any]) -> tuple[Any, list[Parameter]]:
    """
    Take a callable apart.

    Args:
        function: a function, method, partial, class, builtin, or object with ``__call__``.

    Returns:
        The function (or class) that the annotations belong to, and the parameters that a caller sets: neither a
        method's ``self`` nor what a :func:`functools.partial` holds.

    Raises:
        UserError: it has no signature that can be read.
    """
    target: Any = function
    skip = 0
    if type(target) is MethodType:
        target, skip = target.__func__, 1
    if type(target) is FunctionType and "__wrapped__" not in target.__dict__ and "__signature__" not in target.__dict__:
        return target, _of_code(target, skip)
    if isinstance(function, (classmethod, staticmethod)) or not callable(function):
        raise UserError(
            f"{type(function).__name__} objects cannot be called; give a function, or the method as it is "
            "read from its class or object."
        )
    try:
        signature = inspect.signature(function)
    except (NameError, TypeError, ValueError) as error:
        raise UserError(
            f"The signature of {function_name(function)} cannot be read ({error}); wrap it in a function with "
            "annotated parameters."
        ) from error
    parameters = [Parameter(p.name, p.kind, p.annotation, p.default) for p in signature.parameters.values()]
    held = function.keywords if isinstance(function, functools.partial) else ()
    return _owner(function), [parameter for parameter in parameters if parameter.name not in held]


def _owner(function: Any) -> Any:
    """The function whose module and surroundings the annotations were written in."""
    while isinstance(function, functools.partial):
        function = function.func
    if not isinstance(function, type) and not hasattr(function, "__globals__"):  # an object with __call__
        called = type(function).__call__
        function = called if isinstance(called, FunctionType) else function
    return inspect.unwrap(getattr(function, "__func__", function))


def _of_code(function: FunctionType, skip: int) -> list[Parameter]:
    """The parameters of a plain function, without the first *skip* positional ones."""
    code = function.__code__
    names, count, positional_only = code.co_varnames, code.co_argcount, code.co_posonlyargcount
    annotations = _annotations(function)
    defaults = function.__defaults__ or ()
    first_default = count - len(defaults)
    parameters = [
        Parameter(
            names[index],
            POSITIONAL_ONLY if index < positional_only else ORDINARY,
            annotations.get(names[index], EMPTY),
            defaults[index - first_default] if index >= first_default else EMPTY,
        )
        for index in range(min(skip, count), count)
    ]
    keyword_only = names[count : count + code.co_kwonlyargcount]
    after = count + len(keyword_only)
    if code.co_flags & inspect.CO_VARARGS:
        parameters.append(Parameter(names[after], VAR_POSITIONAL, annotations.get(names[after], EMPTY), EMPTY))
        after += 1
    if keyword_only:
        keyword_defaults = function.__kwdefaults__ or {}
        for name in keyword_only:
            annotation, default = annotations.get(name, EMPTY), keyword_defaults.get(name, EMPTY)
            parameters.append(Parameter(name, KEYWORD_ONLY, annotation, default))
    if code.co_flags & inspect.CO_VARKEYWORDS:
        parameters.append(Parameter(names[after], VAR_KEYWORD, annotations.get(names[after], EMPTY), EMPTY))
    return parameters


def _annotations(function: FunctionType) -> dict[str, Any]:
    if sys.version_info >= (3, 14):  # evaluated when they are read there (PEP 649), and a name may be missing
        try:
            return function.__annotations__
        except NameError:
            import annotationlib

            return annotationlib.get_annotations(function, format=annotationlib.Format.STRING)
    return function.__annotations__


def is_annotated_with(annotation: Any, cls: type, function: Any) -> bool:
    """
    Whether an annotation is *cls*, or *cls* with type arguments.

    Also where it is a string, and where the name was imported for type checkers only: then the name decides.
    """
    if type(annotation) is type:
        return issubclass(annotation, cls)
    if annotation is Any:
        return False
    if isinstance(annotation, str):
        head, _, inside = annotation.partition("[")
        head = head.partition(",")[0].strip(" '\"")
        try:
            annotation = _look_up(head, _names(function))
        except LookupError:
            return head.rpartition(".")[2] == cls.__name__
        if annotation is typing.Annotated:
            return is_annotated_with(inside, cls, function)
    while hasattr(annotation, "__origin__"):  # Annotated[RunContext[int], ...] has two
        annotation = annotation.__origin__
    return type(annotation) is type and issubclass(annotation, cls)


def resolve(annotation: Any, function: Any) -> Any:
    """
    The type that an annotation means.

    Names are looked up where the function was defined: in its module, its closure, and, while the code around
    it still runs (a decorator inside a function), among that code's own names.

    Raises:
        Unresolved: a name is unknown, or Python cannot evaluate the text.
    """
    if annotation is EMPTY:
        return Any
    names = _names(function)
    if type(annotation) is str:
        found = names.get(annotation)
        if found is None:
            found = vars(builtins).get(annotation)
        if type(found) is type:
            return found  # the most frequent case, without an evaluation
    elif type(annotation) is type or not _has_text(annotation):
        return annotation
    try:
        try:
            return _evaluate(annotation, names)
        except NameError:
            return _evaluate(annotation, {**names, **_surroundings(function)})
    except NameError as error:
        name = str(error).partition("'")[2].partition("'")[0]
        raise Unresolved(
            f"the name {name!r} in its annotation cannot be looked up; import or define it at the top of the "
            "module, not under TYPE_CHECKING."
        ) from error
    except Exception as error:  # whatever evaluating a text of the user's can raise
        if isinstance(error, TypeError) and "|" in str(annotation):  # every X | Y on Python 3.9, some later
            raise Unresolved(
                f"its annotation {annotation!r} uses X | Y, which this Python cannot evaluate ({error}); use "
                "Optional[X] or Union[X, Y]."
            ) from error
        raise Unresolved(f"its annotation {annotation!r} cannot be evaluated ({error}).") from error


def _names(function: Any) -> Mapping[str, Any]:
    names = getattr(function, "__globals__", None)
    if names is None:
        names = vars(sys.modules.get(getattr(function, "__module__", None) or "", builtins))
    return names


def _look_up(dotted: str, names: Mapping[str, Any]) -> Any:
    """What a dotted name means; LookupError where it means nothing."""
    first, _, rest = dotted.partition(".")
    found = names[first] if first in names else vars(builtins)[first]
    for name in rest.split(".") if rest else ():
        try:
            found = getattr(found, name)
        except AttributeError:
            raise LookupError(dotted) from None
    return found


def _surroundings(function: Any) -> dict[str, Any]:
    """Names that a function inside a function could see where it was defined."""
    found: dict[str, Any] = {}
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return found
    frame = inspect.currentframe()
    while frame is not None:
        if code in frame.f_code.co_consts:
            found.update(frame.f_locals)
            break
        frame = frame.f_back
    for name, cell in zip(code.co_freevars, function.__closure__ or ()):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue  # not set yet
    for variable in getattr(function, "__type_params__", ()):
        found[variable.__name__] = variable
    return found


def _has_text(annotation: Any) -> bool:
    """Whether there is a name to look up in it, at any depth."""
    if isinstance(annotation, (str, typing.ForwardRef)):
        return True
    args = getattr(annotation, "__args__", None)
    if not isinstance(args, tuple) or typing.get_origin(annotation) is typing.Literal:
        return False
    return any(_has_text(arg) for arg in args)


def _evaluate(annotation: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(annotation, (str, typing.ForwardRef)):
        holder = type("_Holder", (), {"__annotations__": {"it": annotation}})
        scope = dict(names)
        found = typing.get_type_hints(holder, globalns=scope, localns=scope, include_extras=True)["it"]
        # Strings inside list["Order"] are left alone before Python 3.11.
        return _evaluate(found, names) if _has_text(found) else found
    args = annotation.__args__
    new = tuple(_evaluate(arg, names) if _has_text(arg) else arg for arg in args)
    if hasattr(annotation, "__metadata__"):
        return typing.Annotated[(new[0], *annotation.__metadata__)]
    if hasattr(annotation, "copy_with"):
        return annotation.copy_with(new)
    origin = typing.get_origin(annotation)
    return typing.Union[new] if origin is getattr(sys.modules["types"], "UnionType", None) else origin[new]
