"""Where Moonshot AI's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["MoonshotAIProvider"]


class MoonshotAIProvider(Provider, row="moonshotai"):
    """Where Moonshot AI's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
