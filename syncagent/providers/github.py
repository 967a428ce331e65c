"""Where GitHub Models is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["GitHubProvider"]


class GitHubProvider(Provider, row="github"):
    """Where GitHub Models is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
