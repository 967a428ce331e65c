"""Where Z.ai's API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["ZAIProvider"]


class ZAIProvider(Provider, row="zai"):
    """Where Z.ai's API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
