"""Where DeepSeek's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["DeepSeekProvider"]


class DeepSeekProvider(Provider, row="deepseek"):
    """Where DeepSeek's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
