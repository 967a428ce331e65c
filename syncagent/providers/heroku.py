"""Where Heroku's Managed Inference is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["HerokuProvider"]


class HerokuProvider(Provider, row="heroku"):
    """Where Heroku's Managed Inference is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
