"""
JSON, or Python values, to typed values, with every mistake and the path to it.

cattrs dispatches: who makes a value of a type is asked of a converter, and each hook that
:func:`make_converter` puts there is ours, since cattrs' own take ``"no"`` for True and ``"abc"`` for a list of three.
What a user registers afterwards wins. A type is compiled once (:func:`structurer`), and then costs microseconds.
"""

from __future__ import annotations

import pathlib
from itertools import islice
from typing import TYPE_CHECKING, Any, Optional, Union

from ..exceptions import UserError
from .compiler import Compiler, Entry
from .errors import ErrorDetails, Found, Invalid, Problem, ValidationError, render, walk
from .forms import UnsupportedType, cache_key, type_name, unsupported_to_user_error
from .json_text import parse_json
from .nodes import Node
from .objects import Extra

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "ErrorDetails",
    "Structurer",
    "ValidationError",
    "is_our_converter",
    "make_converter",
    "structurer",
]

_CACHE_SIZE = 1_000
_cache: dict[Any, Structurer] = {}
_default_converter: Optional[Converter] = None


class Structurer:
    """
    Makes values of one type. Compiled once, never changed, safe to share between threads.

    Args:
        node: the compiled type.
        title: what errors call the type.
    """

    __slots__ = ("_take", "title")

    def __init__(self, node: Node, title: str) -> None:
        self._take = node.take
        self.title = title

    def __repr__(self) -> str:
        return f"<Structurer for {self.title}>"

    def from_python(self, value: Any) -> Any:
        """
        Make a value from Python objects; texts speak of lists and dictionaries.

        Raises:
            ValidationError: with every mistake.
        """
        try:
            return self._take(value)
        except Invalid as error:
            raise self._error(error.found, json=False) from error.found.cause
        except RecursionError as error:
            raise self._error(_too_deep(error), json=True) from error

    def from_json(self, text: Union[str, bytes, bytearray]) -> Any:
        """
        Make a value from JSON.

        NaN, infinity, trailing text, nesting deeper than Python's stack and numbers of thousands of digits are
        ``json_invalid``.

        Raises:
            ValidationError: the text is not JSON, or its value does not fit.
        """
        try:
            value = parse_json(text)
        except ValueError as error:
            problem = Problem("json_invalid", text, {"error": str(error)})
            raise self._error(problem, json=True) from None
        return self.from_json_value(value)

    def from_json_value(self, value: Any) -> Any:
        """
        Make a value from JSON that was parsed already; texts speak of arrays and objects.

        Raises:
            ValidationError: with every mistake.
        """
        try:
            return self._take(value)
        except Invalid as error:
            raise self._error(error.found, json=True) from error.found.cause
        except RecursionError as error:
            raise self._error(_too_deep(error), json=True) from error

    def take(self, value: Any) -> Any:
        """
        The same for a value that is a part of another.

        Raises:
            Invalid: with every mistake, to be told with those of the other parts.
        """
        try:
            return self._take(value)
        except RecursionError as error:
            raise Invalid(_too_deep(error)) from error

    def partial(self, value: Any) -> Any:
        """
        Make a value from JSON that has not finished arriving.

        Where the item that arrives last does not fit yet, it is left out: the last of a list, or the last key of an
        object, with all that is in it. Required fields that are missing elsewhere fail as usual.

        Raises:
            ValidationError: even what is complete does not fit.
        """
        trail = _trail(value)
        while True:
            try:
                return self.take(value)
            except Invalid as error:
                cut = _cut_point(trail, error.found)
                if cut is None:
                    raise self._error(error.found, json=True) from error.found.cause
            value = _without(value, trail[:cut])
            trail = trail[: cut - 1]

    def _error(self, found: Union[Found, Problem], *, json: bool) -> ValidationError:
        return ValidationError(render(found, json), self.title)


def structurer(tp: Any, *, converter: Optional[Converter] = None, extra: Extra = "ignore") -> Structurer:
    """
    Compile a type.

    Args:
        tp: the type.
        converter: a converter from :func:`make_converter`, with the user's own hooks.
        extra: what happens to keys that *tp*, where it is an object type, has no field for: ``forbid`` makes each an
            error, ``ignore`` drops them. Objects inside it ignore them, and pydantic models decide for themselves.

    Raises:
        UserError: the type, or one inside it, is not supported, or *converter* is not ours.
    """
    key = cache_key(tp) if converter is None else None
    if key is not None:
        known = _cache.get(key)
        if known is None:
            if len(_cache) > _CACHE_SIZE:
                _cache.clear()
            known = _cache[key] = _compile(tp, converter, extra)
        return known
    return _compile(tp, converter, extra)


def make_converter() -> Converter:
    """
    A cattrs converter whose structure hooks are all ours, for hooks of your own beside them.

    >>> import syncagent
    >>> converter = syncagent.make_converter()
    >>> converter.register_structure_hook(complex, lambda value, tp: complex(value))

    What is registered on it wins over ours, inside other types too; an exception from such a hook becomes a
    ``value_error`` at the value's path. Register before the agent is built: types are compiled then.
    """
    return _converter_class()()


def is_our_converter(converter: Any) -> bool:
    """Whether *converter* came from :func:`make_converter`."""
    return isinstance(getattr(converter, "syncagent_entry", None), Entry)


def _entry(converter: Converter) -> Entry:
    """The one hook that we register: whatever cattrs asks it for is compiled by us, once."""
    known: dict[Any, Structurer] = {}

    def structure(value: Any, tp: Any) -> Any:
        # Equal unions may differ in order, which decides between members; their text tells.
        key = (tp, str(tp))
        found = known.get(key)
        if found is None:
            found = known[key] = _compile(tp, converter, "ignore")
        return found.from_python(value)

    return Entry(structure)


_class: Optional[type[Converter]] = None


def _converter_class() -> type[Converter]:
    """Our subclass, made at first use: importing cattrs takes as long as importing everything else here."""
    global _class
    if _class is None:
        import datetime
        import enum

        from cattrs import Converter

        class OurConverter(Converter):
            """A converter from :func:`make_converter`."""

            def __init__(self, *args: Any, **keywords: Any) -> None:
                super().__init__(*args, **keywords)
                self.syncagent_entry = entry = _entry(self)
                self.register_structure_hook_func(lambda tp: True, entry)
                # cattrs asks hooks for these classes first, and takes a base's for its subclass.
                for cls in (str, bytes, int, bool, float, pathlib.Path, enum.Enum, datetime.datetime):
                    self.register_structure_hook(cls, entry)

        _class = OurConverter
    return _class


def _checked(converter: Optional[Converter]) -> Converter:
    global _default_converter
    if converter is None:
        if _default_converter is None:
            _default_converter = make_converter()
        return _default_converter
    if not is_our_converter(converter):
        raise UserError(
            f"converter= takes what syncagent.make_converter() returns, with your hooks registered on it; got "
            f"{type(converter).__name__}."
        )
    return converter


def _compile(tp: Any, converter: Optional[Converter], extra: Extra) -> Structurer:
    compiler = Compiler(_checked(converter))
    try:
        return Structurer(compiler.node(tp, extra), type_name(tp))
    except UnsupportedType as error:
        raise unsupported_to_user_error(tp, error) from error


def _too_deep(error: RecursionError) -> Problem:
    return Problem("recursion_loop", None, cause=error)


# ------------------------------------------------------------------------------------------------ partial values

_LOOKED_AT = 100  # mistakes; what lies behind them is found when those are gone


def _trail(value: Any) -> list[Any]:
    """The steps to the item that arrived last."""
    trail: list[Any] = []
    while isinstance(value, (dict, list)) and value:
        step = next(reversed(value)) if isinstance(value, dict) else len(value) - 1
        trail.append(step)
        value = value[step]
    return trail


def _cut_point(trail: list[Any], found: Union[Found, Problem]) -> Optional[int]:
    """How many steps of *trail* lead to the innermost item that all mistakes are inside of; None for the root."""
    length = len(trail)
    for loc, _ in islice(walk(found), _LOOKED_AT):
        same = 0
        while same < min(length, len(loc)) and loc[same] == trail[same]:
            same += 1
        length = same
    return length or None


def _without(value: Any, trail: list[Any]) -> Any:
    """*value* without the item at the end of *trail*; what is on the way is copied, what is not is shared."""
    step = trail[0]
    copied = dict(value) if isinstance(value, dict) else list(value)
    if len(trail) == 1:
        del copied[step]
    else:
        copied[step] = _without(copied[step], trail[1:])
    return copied
