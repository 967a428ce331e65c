"""Where Alibaba Cloud's Model Studio (DashScope) is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["AlibabaProvider"]


class AlibabaProvider(Provider, row="alibaba"):
    """Where Alibaba's Model Studio is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
