"""The request types of the providers' packages, as strict oracles: pydantic reads them with unknown keys forbidden."""

from __future__ import annotations

import collections.abc
import typing
import warnings
from typing import Any, Callable

import pytest
import typing_extensions

__all__ = ["body_check", "strict"]


def strict(annotation: Any, seen: set[Any]) -> Any:
    """
    The type with unknown keys forbidden in each TypedDict of it, and lists where it says ``Iterable``.

    A text is an iterable too, and pydantic looks at the items of one only when they are asked for.
    """
    pydantic = pytest.importorskip("pydantic", reason="reads the oracle's types: pip install pydantic")
    if typing_extensions.is_typeddict(annotation):
        if annotation not in seen:
            seen.add(annotation)
            given = getattr(annotation, "__pydantic_config__", {})
            annotation.__pydantic_config__ = pydantic.ConfigDict(**{"extra": "forbid", **given})
            hints = typing_extensions.get_type_hints(annotation, include_extras=True)
            annotation.__annotations__ = {name: strict(inner, seen) for name, inner in hints.items()}
        return annotation
    origin, inner = typing_extensions.get_origin(annotation), typing_extensions.get_args(annotation)
    if origin is typing_extensions.Annotated:
        return typing_extensions.Annotated[(strict(inner[0], seen), *annotation.__metadata__)]
    if origin is collections.abc.Iterable or getattr(origin, "__name__", "") == "SequenceNotStr":
        return list[strict(inner[0], seen)]  # type: ignore[misc] # a type made at run time
    if origin in (None, typing.Literal, typing_extensions.Literal):
        return annotation
    if origin is typing.Union:
        # Some packages take their own answers back as they are; what is written as JSON is none.
        inner = tuple(item for item in inner if not (isinstance(item, type) and issubclass(item, pydantic.BaseModel)))
        return typing.Union[tuple(strict(item, seen) for item in inner)] if inner else typing.Literal["nothing"]
    changed = tuple(strict(item, seen) for item in inner)
    return annotation.copy_with(changed) if hasattr(annotation, "copy_with") else origin[changed]


def body_check(annotation: Any) -> Callable[[bytes], object]:
    """Raises for a body that the type does not allow."""
    pydantic = pytest.importorskip("pydantic", reason="reads the oracle's types: pip install pydantic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few types say themselves that they take further keys
        adapter = pydantic.TypeAdapter(strict(annotation, set()))

    def check(body: bytes) -> object:
        return adapter.validate_json(body, strict=True)

    return check
