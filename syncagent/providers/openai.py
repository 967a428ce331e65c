"""Where OpenAI's API is, or any that speaks the same, and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["OpenAIProvider"]


class OpenAIProvider(Provider, row="openai"):
    """Where OpenAI's API is, or one like it, and how to log in; see :class:`~syncagent.providers.base.Provider`."""
