"""Where a vLLM server is and how to log in."""

from __future__ import annotations

from .base import Provider

__all__ = ["VLLMProvider"]


class VLLMProvider(Provider, row="vllm"):
    """Where a vLLM server is and how to log in; see :class:`~syncagent.providers.base.Provider`."""
