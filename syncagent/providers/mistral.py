"""Where Mistral's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["MistralProvider"]


class MistralProvider(Provider, row="mistral"):
    """Where Mistral's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
