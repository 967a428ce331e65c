"""Where an Ollama server is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["OllamaProvider"]


class OllamaProvider(Provider, row="ollama"):
    """Where an Ollama server is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
