"""Providers that a program or an installed package adds to those of the table."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from ..exceptions import UserError
from .base import Provider
from .table import ALIASES, ROWS, ProviderRow

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "added_class", "added_names", "register_provider"]

GROUP = "syncagent.providers"
"""The group of the entry points by which an installed package adds providers."""


def register_provider(
    name: str,
    *,
    base_url: Optional[str] = None,
    base_url_variable: Optional[str] = None,
    key_variable: Optional[str] = None,
    needs_key: bool = True,
    header: str = "Authorization",
    scheme: str = "Bearer ",
    wire: str = "chat",
    quirks: Optional[Mapping[str, Any]] = None,
    title: Optional[str] = None,
) -> type[Provider]:
    """
    Add a provider: ``Agent("NAME:model")`` then works as with those that are built in.

    >>> register_provider("acme", base_url="https://llm.acme.example/v1", key_variable="ACME_KEY")().base_url
    'https://llm.acme.example/v1'

    Args:
        name: the prefix in a model's name; lower-case letters, digits, ``-``, ``_`` and ``.``.
        base_url: its address, to which the API's paths are appended.
        base_url_variable: the environment variable of another address.
        key_variable: the environment variable of its key.
        needs_key: whether its own address refuses requests without a key.
        header: the header that carries the key.
        scheme: what stands before the key in it.
        wire: the API it speaks: a module of :mod:`syncagent.models` with a wire; ``chat`` is OpenAI's chat API.
        quirks: what it does differently, by the names of :data:`syncagent.models.chat.QUIRKS`.
        title: how it writes itself; by default its name.

    Returns:
        The class of the provider, for whoever wants to give an address or a key in code.

    Raises:
        UserError: the name is no name, is a built-in one, or another provider has it; *base_url* is no address.
    """
    row = ProviderRow(
        name,
        name if title is None else title,
        wire,
        base_url,
        base_url_variable,
        key_variable,
        needs_key,
        header,
        scheme,
        dict(quirks or {}),
    )
    made = _class_of(row)
    cls = _added.setdefault(name, made)
    if cls.row != row:
        raise UserError(f"The provider {name!r} is registered already, with another row: {cls.row}.")
    return cls


def added_class(name: str) -> Optional[type[Provider]]:
    """
    The class of an added provider; None where there is none of this name. An entry point is loaded here, not before.

    Raises:
        UserError: two packages have the name, or the entry point cannot be loaded or is no provider.
    """
    cls = _added.get(name)
    if cls is not None or name in ROWS:
        return cls
    found = {entry.value: entry for entry in _entry_points() if entry.name == name}
    if not found:
        return None
    if len(found) > 1:
        raise UserError(f"The provider {name!r} comes from two packages: {' and '.join(sorted(found))}; keep one.")
    ((value, entry),) = found.items()
    try:
        loaded = entry.load()
    except Exception as error:  # whatever a foreign module raises
        raise UserError(f"The provider {name!r} ({value}) cannot be loaded: {type(error).__name__}: {error}") from error
    row = loaded if isinstance(loaded, ProviderRow) else getattr(loaded, "row", None)
    if not isinstance(row, ProviderRow) or row.name != name:
        raise UserError(
            f"The entry point {name!r} of the group {GROUP!r} ({value}) is a ProviderRow of that name, or a class "
            f"derived from Provider with such a row; got {loaded!r:.100}."
        )
    made = _class_of(row) if isinstance(loaded, ProviderRow) else loaded
    _check_name(name)
    return _added.setdefault(name, made)


def added_names() -> list[str]:
    """The names of the providers that were added and used, or registered."""
    return list(_added)


_added: dict[str, type[Provider]] = {}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)
_RESERVED = frozenset({"local", "openai-responses", "test"})


def _check_name(name: object) -> None:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise UserError(f"A provider's name is of lower-case letters, digits, '-', '_' and '.'; got {name!r}.")
    if name in ROWS or name in ALIASES or name in _RESERVED:
        raise UserError(f"The provider {name!r} is built in and cannot be replaced; choose another name.")


def _class_of(row: ProviderRow) -> type[Provider]:
    _check_name(row.name)
    words = re.split(r"[^A-Za-z0-9]+", row.title)
    title = "".join([word[:1].upper() + word[1:] for word in words])
    attributes = {"row": row, "__module__": __name__, "__doc__": f"Where {row.title}'s API is and how to log in."}
    cls = type(f"{title}Provider", (Provider,), attributes)
    if row.base_url is not None:
        cls(row.base_url)  # refuses what is no address
    return cls


def _entry_points() -> list[EntryPoint]:
    from importlib.metadata import entry_points  # costs 15 ms, and most programs use what is built in

    if sys.version_info >= (3, 10):
        return list(entry_points(group=GROUP))
    return list(entry_points().get(GROUP, ()))
