"""Where xAI's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["XAIProvider"]


class XAIProvider(Provider, row="xai"):
    """Where xAI's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
