"""Where Hugging Face's router is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["HuggingFaceProvider"]


class HuggingFaceProvider(Provider, row="huggingface"):
    """Where Hugging Face's router is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
