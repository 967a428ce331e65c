"""Where a LiteLLM proxy is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["LiteLLMProvider"]


class LiteLLMProvider(Provider, row="litellm"):
    """Where a LiteLLM proxy is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
