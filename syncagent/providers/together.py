"""Where Together's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["TogetherProvider"]


class TogetherProvider(Provider, row="together"):
    """Where Together's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
