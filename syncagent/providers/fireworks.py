"""Where Fireworks' API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["FireworksProvider"]


class FireworksProvider(Provider, row="fireworks"):
    """Where Fireworks' API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
