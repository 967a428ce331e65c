"""Providers: where requests go and how they log in. A provider that speaks a known API is a row of data."""

from __future__ import annotations

from .base import Provider, infer_provider, provider_class
from .registry import register_provider

__all__ = ["Provider", "infer_provider", "provider_class", "register_provider"]
