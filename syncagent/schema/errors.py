"""
What can be wrong with a value: one public error, and the words for each kind of mistake.

The kinds, their texts and the shape of an item are those that models know from pydantic's lax mode
(https://docs.pydantic.dev/latest/errors/validation_errors/), so that a prompt that works there works here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, Optional, TypedDict, Union

__all__ = ["ErrorDetails", "Invalid", "Problem", "ValidationError", "expected_list", "fail", "render", "value_error"]

_INIT = frozenset({"errors", "title"})
_SHOWN = 20  # errors that the text of a ValidationError lists; .errors has them all


class _Details(TypedDict):
    type: str
    loc: tuple[Union[int, str], ...]
    msg: str
    input: Any


class ErrorDetails(_Details, total=False):
    """
    One mistake: its kind, the path to it, what to say about it, and the value that was given.

    ``ctx`` holds the values that the text mentions; it is left out where there are none.
    """

    ctx: dict[str, Any]


class ValidationError(ValueError):
    """
    A value does not fit its type; every mistake in it is listed, each with its path.

    Args:
        errors: the mistakes.
        title: the name of the type.

    Attributes:
        errors: the mistakes, in the order of the type's fields.
        title: the name of the type.
    """

    def __init__(self, errors: Iterable[ErrorDetails], title: str = "value") -> None:
        self.errors: list[ErrorDetails] = list(errors)
        self.title = title
        super().__init__(str(self))  # not the errors: they hold the values that were given

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.errors, self.title), {k: v for k, v in vars(self).items() if k not in _INIT}

    def __str__(self) -> str:
        count = len(self.errors)
        lines = [f"{count} validation error{'' if count == 1 else 's'} for {self.title}"]
        for error in self.errors[:_SHOWN]:
            lines.append(f"  {_path(error['loc'])}: {error['msg']} [{error['type']}]")
        if count > _SHOWN:
            lines.append(f"  and {count - _SHOWN} more")
        return "\n".join(lines)


class Problem:
    """A mistake on its way up: ``path`` grows at its end, so the innermost step comes first."""

    __slots__ = ("cause", "ctx", "input", "kind", "msg", "path")

    def __init__(self, kind: str, value: Any, ctx: Optional[dict[str, Any]], msg: Optional[str] = None) -> None:
        self.kind = kind
        self.input = value
        self.ctx = ctx
        self.msg = msg
        self.path: list[Union[int, str]] = []
        self.cause: Optional[BaseException] = None


class Invalid(Exception):
    """The mistakes found so far; never leaves :mod:`syncagent.schema`."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    @property
    def cause(self) -> Optional[BaseException]:
        """The first exception of the user's code among the problems."""
        return next((problem.cause for problem in self.problems if problem.cause is not None), None)

    def below(self, *steps: Union[int, str]) -> list[Problem]:
        """The problems, seen from the value that holds this one at *steps* (the innermost first)."""
        for problem in self.problems:
            problem.path.extend(steps)
        return self.problems


def fail(kind: str, value: Any, **ctx: Any) -> NoReturn:
    """Refuse *value*."""
    raise Invalid([Problem(kind, value, ctx or None)])


def value_error(value: Any, error: BaseException) -> Invalid:
    """What code of the user's raised about *value*: its own mistakes where it lists them, else its text."""
    listed: list[Any] = error.errors if isinstance(error, ValidationError) else _listed(error)
    problems = [_again(details) for details in listed] or [Problem("value_error", value, {"error": _text(error)})]
    for problem in problems:
        problem.cause = error
    return Invalid(problems)


def expected_list(shown: Iterable[str]) -> str:
    """``'a', 'b' or 'c'``."""
    *first, last = shown
    return f"{', '.join(first)} or {last}" if first else last


def render(problems: Iterable[Problem], json: bool) -> list[ErrorDetails]:
    """
    The public form of *problems*.

    Args:
        problems: what was found.
        json: whether the value came as JSON: then it speaks of arrays and objects.
    """
    errors: list[ErrorDetails] = []
    for problem in problems:
        ctx = problem.ctx
        details: ErrorDetails = {
            "type": problem.kind,
            "loc": tuple(reversed(problem.path)),
            "msg": _message(problem.kind, ctx or {}, json) if problem.msg is None else problem.msg,
            "input": problem.input,
        }
        if ctx:
            details["ctx"] = ctx
        errors.append(details)
    return errors


def _path(loc: tuple[Union[int, str], ...]) -> str:
    path = ""
    for step in loc:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "(root)"


def _again(details: Mapping[str, Any]) -> Problem:
    problem = Problem(details["type"], details.get("input"), details.get("ctx"), details["msg"])
    problem.path = list(reversed(details["loc"]))
    return problem


def _listed(error: BaseException) -> list[Mapping[str, Any]]:
    """The mistakes of a pydantic error (1 or 2), by its ``errors()`` method; pydantic is not imported."""
    method: Any = getattr(error, "errors", None)
    if not (isinstance(error, ValueError) and callable(method)):
        return []
    found: list[Mapping[str, Any]] = []
    listed: Any = method()
    for item in listed:
        if not (isinstance(item, Mapping) and {"type", "loc", "msg"} <= item.keys()):
            return []
        details = {"type": item["type"], "loc": tuple(item["loc"]), "msg": item["msg"], "input": item.get("input")}
        if item.get("ctx"):
            details["ctx"] = {key: _plain(value) for key, value in item["ctx"].items()}
        found.append(details)
    return found


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _text(error: BaseException) -> str:
    """An exception's own words; those of a group's members, which say what its own do not."""
    members = getattr(error, "exceptions", None)
    if isinstance(members, (list, tuple)) and members:
        return "; ".join(_text(member) for member in members)
    if isinstance(error, KeyError):  # its text is a bare key in quotes
        return f"missing key {error}"
    return str(error) or type(error).__name__


def _message(kind: str, ctx: Mapping[str, Any], json: bool) -> str:
    text = _TEXTS[kind]
    if isinstance(text, tuple):
        text = text[json]
    return text.format(**ctx) if isinstance(text, str) else text(ctx)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _too(bound: str, key: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda ctx: (
        f"{ctx['field_type']} should have at {bound} {_many(ctx[key], 'item')} after validation, "
        f"not {ctx['actual_length']}"
    )


_DECIMAL = "Decimal input should be an integer, float, string or Decimal object"
_UUID = "UUID input should be a string, bytes or UUID object"

# A pair: for values from Python, for values from JSON.
_TEXTS: dict[str, Union[str, tuple[str, str], Callable[[Mapping[str, Any]], str]]] = {
    "bool_parsing": "Input should be a valid boolean, unable to interpret input",
    "bool_type": "Input should be a valid boolean",
    "bytes_too_long": lambda ctx: f"Data should have at most {_many(ctx['max_length'], 'byte')}",
    "bytes_too_short": lambda ctx: f"Data should have at least {_many(ctx['min_length'], 'byte')}",
    "bytes_type": "Input should be a valid bytes",
    "dataclass_type": ("Input should be a dictionary or an instance of {class_name}", "Input should be an object"),
    "date_from_datetime_inexact": "Datetimes provided to dates should have zero time - e.g. be exact dates",
    "date_from_datetime_parsing": "Input should be a valid date or datetime, {error}",
    "date_type": "Input should be a valid date",
    "datetime_from_date_parsing": "Input should be a valid datetime or date, {error}",
    "datetime_type": "Input should be a valid datetime",
    "decimal_parsing": "Input should be a valid decimal",
    "decimal_type": _DECIMAL,
    "deque_type": ("Input should be a valid deque", "Input should be a valid array"),
    "dict_type": ("Input should be a valid dictionary", "Input should be an object"),
    "enum": "Input should be {expected}",
    "extra_forbidden": "Extra inputs are not permitted",
    "finite_number": "Input should be a finite number",
    "float_parsing": "Input should be a valid number, unable to parse string as a number",
    "float_type": "Input should be a valid number",
    "frozen_set_type": ("Input should be a valid frozenset", "Input should be a valid array"),
    "greater_than": "Input should be greater than {gt}",
    "greater_than_equal": "Input should be greater than or equal to {ge}",
    "int_from_float": "Input should be a valid integer, got a number with a fractional part",
    "int_parsing": "Input should be a valid integer, unable to parse string as an integer",
    "int_parsing_size": "Unable to parse input string as an integer, exceeded maximum size",
    "int_type": "Input should be a valid integer",
    "is_instance_of": "Input should be an instance of {class}",
    "json_invalid": "Invalid JSON: {error}",
    "less_than": "Input should be less than {lt}",
    "less_than_equal": "Input should be less than or equal to {le}",
    "list_type": ("Input should be a valid list", "Input should be a valid array"),
    "literal_error": "Input should be {expected}",
    "missing": "Field required",
    "multiple_of": "Input should be a multiple of {multiple_of}",
    "named_tuple_type": (
        "Input should be a tuple, list, dictionary or an instance of {class_name}",
        "Input should be an array or an object",
    ),
    "none_required": ("Input should be None", "Input should be null"),
    "recursion_loop": "Input is nested too deeply",
    "set_item_not_hashable": "Set items should be hashable",
    "set_type": ("Input should be a valid set", "Input should be a valid array"),
    "string_pattern_mismatch": "String should match pattern '{pattern}'",
    "string_too_long": lambda ctx: f"String should have at most {_many(ctx['max_length'], 'character')}",
    "string_too_short": lambda ctx: f"String should have at least {_many(ctx['min_length'], 'character')}",
    "string_type": "Input should be a valid string",
    "time_delta_parsing": ("Input should be a valid timedelta, {error}", "Input should be a valid duration, {error}"),
    "time_delta_type": ("Input should be a valid timedelta", "Input should be a valid duration"),
    "time_parsing": "Input should be in a valid time format, {error}",
    "time_type": "Input should be a valid time",
    "too_long": _too("most", "max_length"),
    "too_short": _too("least", "min_length"),
    "tuple_type": ("Input should be a valid tuple", "Input should be a valid array"),
    "uuid_parsing": "Input should be a valid UUID, {error}",
    "uuid_type": _UUID,
    "value_error": "Value error, {error}",
}
