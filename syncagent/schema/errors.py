"""
What can be wrong with a value: one public error, and the words for each kind of mistake.

The kinds, their texts and the shape of an item are those that models know from pydantic's lax mode
(https://docs.pydantic.dev/latest/errors/validation_errors/), so that a prompt that works there works here.
"""

from __future__ import annotations

import json as _json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NoReturn, Optional, TypedDict, Union

__all__ = [
    "ErrorDetails",
    "Found",
    "Invalid",
    "Key",
    "Problem",
    "Step",
    "ValidationError",
    "expected_list",
    "fail",
    "render",
    "value_error",
    "walk",
]

_INIT = frozenset({"errors", "title"})
_SHOWN = 20  # errors that the text of a ValidationError lists; .errors has more
# The list goes back to the model and is paid for by the token, whatever the model wrote.
_MOST = 100  # mistakes in one list
_ROOM = 30_000  # characters of one list, about
_LONGEST_INPUT = 1_000  # characters of one input's JSON
_LONGEST_KEY = 200
_MANY = 1_000_000  # mistakes beyond it are not told apart: a union in a union multiplies them
_MORE = "more_errors"

Step = Union[int, str]


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
    A value does not fit its type; the mistakes in it are listed, each with its path.

    A list has at most a hundred mistakes, fewer where they are long; where there are more, its last item is of the type
    ``more_errors`` and says how many. An ``input`` whose JSON is longer than a thousand characters is cut and ends in
    ``...``. The text of the error has neither inputs nor keys of dictionaries, which stand in it as ``[key]``.

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
        listed = self.errors
        unlisted = 0
        if listed and listed[-1]["type"] == _MORE:
            unlisted = listed[-1].get("ctx", {}).get("count", 0)
            listed = listed[:-1]
        count = min(len(listed) + unlisted, _MANY)
        known = "" if unlisted < _MANY else "more than "
        # Errors end up in logs, where what the model wrote does not belong: no inputs, and no keys that it chose.
        lines = [f"{known}{count} validation error{'' if count == 1 else 's'} for {self.title}"]
        for error in listed[:_SHOWN]:
            lines.append(f"  {_path(error['loc'])}: {error['msg']} [{error['type']}]")
        if count > len(lines) - 1:
            lines.append(f"  and {known}{count - len(lines) + 1} more")
        return "\n".join(lines)


class Key(str):
    """A step of a path that the value brought along and no type names; the text of an error does not show it."""

    __slots__ = ()


class Problem:
    """A mistake, without the path to it. Never changed: the members of a union may share it."""

    __slots__ = ("cause", "ctx", "input", "kind", "msg")

    count = 1

    def __init__(
        self,
        kind: str,
        value: Any,
        ctx: Optional[dict[str, Any]] = None,
        msg: Optional[str] = None,
        cause: Optional[BaseException] = None,
    ) -> None:
        self.kind = kind
        self.input = value
        self.ctx = ctx
        self.msg = msg
        self.cause = cause


class Found:
    """
    The mistakes in one value: a tree, so that what is found deep inside costs nothing on its way up.

    Only as many are kept as can be shown; all are counted.

    Attributes:
        cause: the first exception of the user's code among them.
        count: how many there are.
        kept: the paths from this value to the first ones, and what was found there.
    """

    __slots__ = ("cause", "count", "kept")

    def __init__(self) -> None:
        self.cause: Optional[BaseException] = None
        self.count = 0
        self.kept: list[tuple[tuple[Step, ...], Union[Found, Problem]]] = []

    def add(self, found: Union[Found, Problem], *path: Step) -> Found:
        """Add what was found at *path*, and return all."""
        self.count += found.count
        if len(self.kept) < _MOST:
            self.kept.append((path, found))
        if self.cause is None:
            self.cause = found.cause
        return self


class Invalid(Exception):
    """What is wrong; never leaves :mod:`syncagent.schema`."""

    def __init__(self, found: Union[Found, Problem]) -> None:
        self.found = found


def fail(kind: str, value: Any, **ctx: Any) -> NoReturn:
    """Refuse *value*."""
    raise Invalid(Problem(kind, value, ctx or None))


def value_error(value: Any, error: BaseException, names: Collection[str] = ()) -> Invalid:
    """
    What code of the user's raised about *value*: its own mistakes where it lists them, else its text.

    Args:
        names: which steps of the paths that are not ours are names of fields.
    """
    ours = isinstance(error, ValidationError)
    listed: list[Any] = error.errors if isinstance(error, ValidationError) else _listed(error)
    if not listed:
        return Invalid(Problem("value_error", value, {"error": _text(error)}, cause=error))
    found = Found()
    for details in listed:
        ctx = details.get("ctx")
        if details["type"] == _MORE and ctx:
            found.count += ctx["count"]
            continue
        path = [
            Key(step) if not ours and isinstance(step, str) and step not in names else step for step in details["loc"]
        ]
        found.add(Problem(details["type"], details.get("input"), ctx, details["msg"], error), *path)
    return Invalid(found)


def expected_list(shown: Iterable[str]) -> str:
    """``'a', 'b' or 'c'``."""
    *first, last = shown
    return f"{', '.join(first)} or {last}" if first else last


def walk(found: Union[Found, Problem]) -> Iterator[tuple[list[Step], Problem]]:
    """The mistakes that were kept, each with its path, in the order in which they were found."""
    # Not by recursion: the stack may be as deep already as Python allows. Paths are linked, and written out at the end.
    stack: list[tuple[Any, Union[Found, Problem]]] = [(None, found)]
    while stack:
        trail, found = stack.pop()
        if isinstance(found, Found):
            stack.extend([((trail, path), inner) for path, inner in reversed(found.kept)])
            continue
        steps: list[Step] = []
        while trail is not None:
            trail, path = trail
            steps.extend(reversed(path))
        steps.reverse()
        yield steps, found


def render(found: Union[Found, Problem], json: bool) -> list[ErrorDetails]:
    """
    The public form of the first mistakes; where there are more, a last item says how many.

    Args:
        found: what was found.
        json: whether the value came as JSON: then it speaks of arrays and objects.
    """
    errors: list[ErrorDetails] = []
    excerpts: dict[int, tuple[Any, int]] = {}
    room = _ROOM
    for path, problem in walk(found):
        if len(errors) == _MOST or room <= 0:
            break
        ctx = problem.ctx
        excerpt = excerpts.get(id(problem.input))
        if excerpt is None:  # the fields that an object lacks all show the object
            excerpt = excerpts[id(problem.input)] = _excerpt(problem.input)
        shown, size = excerpt
        details: ErrorDetails = {
            "type": problem.kind,
            "loc": tuple(map(_short_step, path)),
            "msg": _message(problem.kind, ctx or {}, json) if problem.msg is None else problem.msg,
            "input": shown,
        }
        if ctx:
            details["ctx"] = ctx
        errors.append(details)
        room -= size + len(details["msg"]) + sum(len(str(step)) + 12 for step in path)  # each step has its own line
    more = found.count - len(errors)
    if more > 0:
        number = str(more) if more < _MANY else f"more than {_MANY}"
        text = f"and {number} more mistake{'' if more == 1 else 's'}, not listed"
        errors.append({"type": _MORE, "loc": (), "msg": text, "input": None, "ctx": {"count": min(more, _MANY)}})
    return errors


def _short_step(step: Step) -> Step:
    return Key(step[:_LONGEST_KEY] + "...") if isinstance(step, Key) and len(step) > _LONGEST_KEY else step


_ENCODER = _json.JSONEncoder(ensure_ascii=False, indent=2, check_circular=False, default=lambda value: "")
_INDENT = re.compile(r"\n *")  # in JSON there is no other line break: those of texts are escaped


def _excerpt(value: Any) -> tuple[Any, int]:
    """*value*, or the beginning of its JSON where that is long; and how long what is shown is."""
    if isinstance(value, (str, bytes, bytearray)):
        if len(value) <= _LONGEST_INPUT:
            return value, len(value)
        start = value[:_LONGEST_INPUT]
        return (f"{start}..." if isinstance(start, str) else bytes(start) + b"..."), _LONGEST_INPUT
    if not isinstance(value, (dict, list, tuple)):
        return value, 10
    text, size = "", 0
    try:
        for chunk in _ENCODER.iterencode(value):
            # Indented as the model will read it, which makes much of a little where it is nested.
            size += len(chunk)
            text += _INDENT.sub("", chunk)
            if len(text) > _LONGEST_INPUT or size > 4 * _LONGEST_INPUT:
                return f"{text[:_LONGEST_INPUT]}...", _LONGEST_INPUT
    except TypeError:  # keys that JSON has no form of: objects of the program, no answer of a model
        pass
    return value, size


def _path(loc: tuple[Step, ...]) -> str:
    path = ""
    for step in loc:
        if isinstance(step, str) and not isinstance(step, Key):
            path += f".{step}" if path else step
        else:
            path += "[key]" if isinstance(step, str) else f"[{step}]"
    return path or "(root)"


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
