"""Where a llama.cpp server is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["LlamaCppProvider"]


class LlamaCppProvider(Provider, row="llamacpp"):
    """Where a llama.cpp server is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
