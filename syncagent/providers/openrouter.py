"""Where OpenRouter's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["OpenRouterProvider"]


class OpenRouterProvider(Provider, row="openrouter"):
    """Where OpenRouter's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
