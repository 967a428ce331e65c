"""Where LM Studio's server is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["LMStudioProvider"]


class LMStudioProvider(Provider, row="lmstudio"):
    """Where LM Studio's server is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
