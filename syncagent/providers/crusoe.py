"""Where Crusoe's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["CrusoeProvider"]


class CrusoeProvider(Provider, row="crusoe"):
    """Where Crusoe's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
