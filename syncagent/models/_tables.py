"""What the wires' tables of functions by class share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..exceptions import UserError

__all__ = ["by_base"]


def by_base(table: Mapping[type, Callable[..., Any]], value: object) -> Callable[..., Any]:
    """
    The function of the first base class that is in the table: a user may derive from a part.

    Raises:
        UserError: none is.
    """
    for base in type(value).__mro__:
        if base in table:
            return table[base]
    known = ", ".join(cls.__name__ for cls in table)
    raise UserError(f"A message holds {type(value).__name__}, where one of {known} is expected.")
