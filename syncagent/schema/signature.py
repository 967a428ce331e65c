"""
Functions to argument schemas, and arguments to calls.

A tool's parameters are read once, when it is registered: what the model is told of them, and how what it sends
becomes the arguments of a call.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union

from ..exceptions import UserError
from .docstring import DocstringFormat, parse_docstring
from .errors import Found, Invalid, Key, Problem, ValidationError, render
from .json_schema import is_object_type, json_schema
from .parameters import (
    EMPTY,
    ORDINARY,
    POSITIONAL_ONLY,
    VAR_KEYWORD,
    VAR_POSITIONAL,
    Parameter,
    Unresolved,
    function_name,
    is_annotated_with,
    read_parameters,
    resolve,
)

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["FunctionSchema", "function_schema", "positional_parameter_count", "refuse_coroutine"]

_ASYNC_FLAGS = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR

_Call = tuple[list[Any], dict[str, Any]]
_Binder = Callable[[Any], _Call]
_Build = Callable[[Any], Any]


class FunctionSchema:
    """
    What a model is told of a function's parameters, and how arguments are bound to them. Immutable.

    Attributes:
        name: the function's name.
        description: the main text of its docstring; of its one parameter's type where it has none.
        parameters_json_schema: the JSON Schema of the arguments, an object. The context is not among them.
        takes_ctx: whether the first parameter is the context.
    """

    __slots__ = ("_binder", "_compile", "description", "name", "parameters_json_schema", "takes_ctx")

    name: str
    description: str
    parameters_json_schema: dict[str, Any]
    takes_ctx: bool
    _compile: Callable[[], _Binder]
    _binder: Optional[_Binder]

    def __init__(
        self, name: str, description: str, schema: dict[str, Any], takes_ctx: bool, compile: Callable[[], _Binder]
    ) -> None:
        for slot, value in zip(FunctionSchema.__slots__, (None, compile, description, name, schema, takes_ctx)):
            object.__setattr__(self, slot, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A FunctionSchema cannot be changed; {name!r} stays as it was read.")

    def __repr__(self) -> str:
        return f"FunctionSchema(name={self.name!r}, takes_ctx={self.takes_ctx!r})"

    def bind(self, arguments: Union[str, bytes, dict[str, Any]]) -> _Call:
        """
        Check arguments and build the values that the function is called with.

        Args:
            arguments: JSON text, or the object that it holds. A blank text is an object without keys: so do
                several servers write a call without arguments.

        Returns:
            Positional and keyword arguments, without the context.

        Raises:
            ValidationError: the arguments do not fit; it lists every mistake with its path.
        """
        binder = self._binder
        if binder is None:
            # At the first call, since most runs call few of their tools. Two threads may both do it; either's will do.
            binder = self._compile()
            object.__setattr__(self, "_binder", binder)
        return binder(arguments)


def function_schema(
    function: Callable[..., Any],
    *,
    context_type: type,
    takes_ctx: Optional[bool] = None,
    docstring_format: DocstringFormat = "auto",
    require_parameter_descriptions: bool = False,
    converter: Optional[Converter] = None,
) -> FunctionSchema:
    """
    Read a function's parameters.

    What a :func:`functools.partial` holds belongs to the program: the model neither sees nor sets it.

    Args:
        function: a function, method, partial, class, or object with ``__call__``.
        context_type: the class that annotates a context parameter.
        takes_ctx: whether the first parameter is the context; None to tell by its annotation.
        docstring_format: the style of its docstring.
        require_parameter_descriptions: refuse parameters that nothing describes.
        converter: builds the values; None for the default one.

    Raises:
        UserError: no schema can be made of it; the text names every reason that was found.
    """
    target, parameters = read_parameters(function)
    if takes_ctx is None:
        takes_ctx = bool(parameters) and is_annotated_with(parameters[0].annotation, context_type, target)
    problems = _context_problems(parameters, context_type, target) if takes_ctx else []
    arguments = _resolved(parameters[1:] if takes_ctx else parameters, context_type, takes_ctx, target, problems)
    if problems:
        _refuse(function, problems)

    doc = parse_docstring(_docstring(function), docstring_format)
    description = doc.description
    single = arguments[0].annotation if _is_single_object(arguments) else None
    try:
        if single is not None:
            schema = json_schema(single)
            if schema.get("type") != "object":
                raise UserError("Schema must be an object")
            if not description:
                description = schema.pop("description", "")
        else:
            schema = _arguments_schema(arguments, doc.parameters)
    except UserError as error:
        _refuse(function, [error.message])
    if require_parameter_descriptions:
        described = {} if single is not None else schema["properties"]
        missing = [
            each.name
            for each in arguments
            if each.kind != VAR_KEYWORD
            and each.name not in doc.parameters
            and "description" not in described.get(each.name, ())
        ]
        if missing:
            _refuse(function, [f"Missing parameter descriptions for {', '.join(missing)}"])
    name = _plain_name(function)
    return FunctionSchema(
        name,
        description,
        schema,
        takes_ctx,
        functools.partial(_compile, name, arguments, single is not None, converter),
    )


def refuse_coroutine(function: Any, what: str) -> None:
    """
    Raise where a function is asynchronous: nothing here would ever await it.

    Args:
        function: what is to be called: a function, method, partial, or object with ``__call__``.
        what: how the message calls it: ``tool``, ``result validator``.

    Raises:
        UserError: it is an ``async def`` function or generator; the text says how to wrap it.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if type(function) is FunctionType and not function.__dict__ and not function.__code__.co_flags & _ASYNC_FLAGS:
        return  # most functions; nothing marks them as asynchronous
    called = function
    if not (inspect.isroutine(function) or isinstance(function, type)):
        called = type(function).__call__
    name = _plain_name(function)
    if inspect.isasyncgenfunction(called):
        raise UserError(
            f"The {what} {name!r} is an async generator, and there is no event loop here to run it. "
            "Give a plain function: delete the word async."
        )
    if not (inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(function)):
        return
    raise UserError(
        f"The {what} {name!r} is an async function, and there is no event loop here to await it. "
        "Give a plain function: delete the words async and await, or wrap it:\n\n"
        f"    @functools.wraps({name})\n"
        f"    def {name}_blocking(*args, **kwargs):\n"
        f"        return asyncio.run({name}(*args, **kwargs))"
    )


def positional_parameter_count(function: Callable[..., Any]) -> int:
    """
    How many arguments a callable takes by position, optional ones too; ``*args`` does not count.

    Raises:
        UserError: it has no signature that can be read.
    """
    return sum(parameter.kind <= ORDINARY for parameter in read_parameters(function)[1])


# -- reading -----------------------------------------------------------------------------------


def _context_problems(parameters: list[Parameter], context_type: type, target: Any) -> list[str]:
    """What keeps the first parameter from taking the context."""
    first = parameters[0] if parameters else None
    if first is None or not (first.annotation is EMPTY or is_annotated_with(first.annotation, context_type, target)):
        return [f"First parameter of tools that take context must be annotated with {context_type.__name__}[...]"]
    if first.kind > ORDINARY:
        return [f"The context is passed by position, which {first.name!r} does not allow"]
    return []


def _resolved(
    parameters: list[Parameter], context_type: type, takes_ctx: bool, target: Any, problems: list[str]
) -> list[Parameter]:
    """The parameters with their types in place of what is written; adds to *problems*."""
    found = []
    for parameter in parameters:
        annotation = parameter.annotation
        if type(annotation) is not type or annotation is EMPTY:
            try:
                annotation = resolve(annotation, target)
            except Unresolved as error:
                if not is_annotated_with(annotation, context_type, target):
                    problems.append(f"{parameter.name}: {error}")
                    continue
                annotation = context_type
            parameter = Parameter(parameter.name, parameter.kind, annotation, parameter.default)
        if is_annotated_with(annotation, context_type, target):
            problems.append(
                f"{context_type.__name__} annotations can only be used "
                + ("as the first argument" if takes_ctx else "with tools that take context")
            )
        found.append(parameter)
    return found


def _refuse(function: Any, problems: list[str]) -> NoReturn:
    raise UserError(f"Error generating schema for {function_name(function)}:\n  " + "\n  ".join(problems))


def _plain_name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", None) or type(function).__name__


def _docstring(function: Any) -> Optional[str]:
    """The docstring that somebody wrote: not partial's own, and not one that a decorator made for a class."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        from .fields import own_docstring

        return own_docstring(function)
    text: Optional[str] = function.__doc__
    if not inspect.isroutine(function):  # an object with __call__
        text = type(function).__call__.__doc__ or text
    return text


def _is_single_object(arguments: list[Parameter]) -> bool:
    return (
        len(arguments) == 1
        and arguments[0].kind not in (VAR_POSITIONAL, VAR_KEYWORD)
        and is_object_type(arguments[0].annotation)
    )


def _arguments_schema(arguments: list[Parameter], texts: dict[str, str]) -> dict[str, Any]:
    """The object schema of arguments that no one class stands for."""
    schemas: list[dict[str, Any]] = []
    problems = []
    for each in arguments:
        try:
            schemas.append(json_schema(_value_type(each)))
        except UserError as error:
            problems.append(f"{each.name}: {error.message}")
    if problems:
        raise UserError("\n  ".join(problems))
    definitions: dict[str, Any] = {}
    if any("$defs" in schema for schema in schemas):
        # As one type, so that classes of the same name in two parameters get two names.
        whole = json_schema(tuple[tuple(_value_type(each) for each in arguments)])  # type: ignore[misc]  # made at run time
        schemas, definitions = whole["prefixItems"], whole["$defs"]

    properties: dict[str, Any] = {}
    required = []
    for each, schema in zip(arguments, schemas):
        if each.kind == VAR_KEYWORD:
            continue
        text = texts.get(each.name)
        if text is not None and "description" not in schema:
            schema["description"] = text
        properties[each.name] = schema
        if each.default is EMPTY:
            required.append(each.name)
    result: dict[str, Any] = {
        "additionalProperties": bool(arguments) and arguments[-1].kind == VAR_KEYWORD,
        "properties": properties,
        "type": "object",
    }
    if required:
        result["required"] = required
    if definitions:
        result["$defs"] = definitions
    return result


def _value_type(parameter: Parameter) -> Any:
    """The type of the value under the parameter's name: an array for ``*args``."""
    return list[parameter.annotation] if parameter.kind == VAR_POSITIONAL else parameter.annotation  # type: ignore[name-defined]  # made at run time


# -- binding -----------------------------------------------------------------------------------


def _compile(name: str, arguments: list[Parameter], unwrapped: bool, converter: Optional[Converter]) -> _Binder:
    from .structure import structurer

    if unwrapped:
        [only] = arguments
        make = structurer(only.annotation, converter=converter, extra="forbid")
        build = _reader(name, make.from_json, make.from_json_value)
        if only.kind == POSITIONAL_ONLY:
            return lambda given: ([build(given)], {})
        return lambda given: ([], {only.name: build(given)})

    plan: list[tuple[str, _Build, bool]] = []
    catch_all: Optional[_Build] = None
    for each in arguments:
        made_by = structurer(_value_type(each), converter=converter)
        if each.kind == VAR_KEYWORD:
            catch_all = made_by.take
        else:
            plan.append((each.name, made_by.take, each.default is EMPTY))
    check = _checker(name, plan, catch_all)
    parse = structurer(Any).from_json
    build = _reader(name, lambda text: check(parse(text)), check)
    if any(each.kind in (POSITIONAL_ONLY, VAR_POSITIONAL) for each in arguments):
        return _laid_out(arguments, build)
    return lambda given: ([], build(given))


def _reader(name: str, from_json: _Build, from_json_value: _Build) -> _Build:
    """Takes text or the object that it holds; errors bear the function's name."""

    def read(given: Any) -> Any:
        try:
            if isinstance(given, (str, bytes, bytearray)):
                return from_json(given) if given.strip() else from_json_value({})
            return from_json_value(given)
        except ValidationError as error:
            raise ValidationError(error.errors, name) from error.__cause__

    return read


def _checker(name: str, plan: list[tuple[str, _Build, bool]], catch_all: Optional[_Build]) -> _Build:
    """Builds each argument, in the order of the parameters, and collects all mistakes."""
    known = frozenset(key for key, _, _ in plan)

    def check(values: Any) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise ValidationError(render(Problem("dict_type", values), json=True), name)
        built: dict[str, Any] = {}
        found: Optional[Found] = None
        for key, build, required in plan:
            if key in values:
                try:
                    built[key] = build(values[key])
                except Invalid as error:
                    found = (found or Found()).add(error.found, key)
            elif required:
                found = (found or Found()).add(Problem("missing", values), key)
        if len(built) < len(values):
            for key, value in values.items():
                if key in known:
                    continue
                if catch_all is None:
                    found = (found or Found()).add(Problem("extra_forbidden", value), Key(key))
                    continue
                try:
                    built[key] = catch_all(value)
                except Invalid as error:
                    found = (found or Found()).add(error.found, Key(key))
        if found is not None:
            raise ValidationError(render(found, json=True), name)
        return built

    return check


def _laid_out(arguments: list[Parameter], build: _Build) -> _Binder:
    """For functions that want arguments by position: those stand in order, gaps filled with defaults."""
    rest = next((each.name for each in arguments if each.kind == VAR_POSITIONAL), None)
    # What *args holds can only come behind all that stands before it.
    last = ORDINARY if rest is not None else POSITIONAL_ONLY
    places = [(each.name, each.default) for each in arguments if each.kind <= last]

    def bind(given: Any) -> _Call:
        built = build(given)
        positional = [built.pop(name, default) for name, default in places]
        if rest is not None:
            positional += built.pop(rest)
        return positional, built

    return bind
