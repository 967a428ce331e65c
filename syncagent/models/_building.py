"""What the model classes of all wires do alike when they are built."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Union

from ..exceptions import UserError
from ..providers.base import Provider, infer_provider

__all__ = ["joined_quirks", "speaking"]


def speaking(provider: Union[str, Provider], wires: Collection[str], api: str) -> Provider:
    """
    The provider, which has to speak one of *wires*.

    Raises:
        UserError: it is none, is not known, or speaks another API.
    """
    if isinstance(provider, str):
        provider = infer_provider(provider)
    elif not isinstance(provider, Provider):
        raise UserError(f"provider is a Provider, or the name of one; got {type(provider).__name__}.")
    if provider.row.wire not in wires:
        raise UserError(f"The provider {provider.row.name!r} does not speak {api}.")
    return provider


def joined_quirks(known: Collection[str], *layers: Mapping[str, Any]) -> dict[str, Any]:
    """
    The quirks of all layers; a later one has the word.

    Raises:
        UserError: one is not among the *known* ones.
    """
    quirks: dict[str, Any] = {}
    for layer in layers:
        quirks.update(layer)
    unknown = sorted(quirks.keys() - set(known))
    if unknown:
        raise UserError(f"Unknown quirks: {', '.join(unknown)}. Known are {', '.join(known)}.")
    return quirks
