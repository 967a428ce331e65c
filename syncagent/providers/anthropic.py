"""Where Anthropic's API is, or one that speaks the same, and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["AnthropicProvider"]


class AnthropicProvider(Provider, row="anthropic"):
    """Where Anthropic's API is, and how to log in; see :class:`~syncagent.providers.base.Provider`."""
