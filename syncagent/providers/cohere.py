"""Where Cohere's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["CohereProvider"]


class CohereProvider(Provider, row="cohere"):
    """Where Cohere's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
