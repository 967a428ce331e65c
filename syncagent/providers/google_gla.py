"""Where the Gemini API is and how to log in."""

from __future__ import annotations

import os
from typing import Any, Optional

from .base import ApiKey, Provider

__all__ = ["GoogleGLAProvider"]


class GoogleGLAProvider(Provider, row="google-gla"):
    """
    Where the Gemini API is, and how to log in; see :class:`~syncagent.providers.base.Provider`.

    The key is *api_key*, else the variable ``GEMINI_API_KEY``, else ``GOOGLE_API_KEY``, which Google's own
    programs know.
    """

    def __init__(self, base_url: Optional[str] = None, api_key: ApiKey = None, **options: Any) -> None:
        super().__init__(base_url, api_key or _key_of_environment, **options)


def _key_of_environment() -> Optional[str]:
    return os.environ.get("GEMINI_API_KEY") or os.environ.get("GOOGLE_API_KEY") or None
