"""Where Snowflake's Cortex API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["SnowflakeProvider"]


class SnowflakeProvider(Provider, row="snowflake"):
    """Where Snowflake's Cortex API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
