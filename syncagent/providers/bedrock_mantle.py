"""Where Bedrock's OpenAI-compatible API is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["BedrockMantleProvider"]


class BedrockMantleProvider(Provider, row="bedrock-mantle"):
    """Where Bedrock's OpenAI-compatible API is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
