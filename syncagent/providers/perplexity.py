"""Where Perplexity's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["PerplexityProvider"]


class PerplexityProvider(Provider, row="perplexity"):
    """Where Perplexity's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
