"""Where Cerebras' API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["CerebrasProvider"]


class CerebrasProvider(Provider, row="cerebras"):
    """Where Cerebras' API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
