"""Where Groq's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["GroqProvider"]


class GroqProvider(Provider, row="groq"):
    """Where Groq's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
