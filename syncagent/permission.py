"""
Whether requests to real models, and downloads for them, may leave the process.

The switch that users set stands in :mod:`syncagent.models`; the transport, which stands below, asks here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Optional

__all__ = [
    "allowed_by_environment",
    "ask_for_permission",
    "check_allow_model_requests",
    "override_allow_model_requests",
]


def allowed_by_environment() -> bool:
    """Whether ``SYNCAGENT_ALLOW_MODEL_REQUESTS`` says nothing against it."""
    return os.environ.get("SYNCAGENT_ALLOW_MODEL_REQUESTS", "1") != "0"


_override: ContextVar[Optional[bool]] = ContextVar("syncagent_allow_model_requests", default=None)
_sources: list[Callable[[], bool]] = [allowed_by_environment]


def ask_for_permission(source: Callable[[], bool]) -> None:
    """From now on *source* says whether requests are allowed, where no override does."""
    _sources[0] = source


def check_allow_model_requests() -> None:
    """
    Raise where requests to real models are not allowed.

    Raises:
        RuntimeError: ``ALLOW_MODEL_REQUESTS`` is False, or the environment says ``SYNCAGENT_ALLOW_MODEL_REQUESTS=0``.
    """
    allowed = _override.get()
    if not (_sources[0]() if allowed is None else allowed):
        raise RuntimeError("Model requests are not allowed, since ALLOW_MODEL_REQUESTS is False")


@contextmanager
def override_allow_model_requests(allow_model_requests: bool) -> Iterator[None]:
    """Allow or forbid real requests for the code inside the ``with`` and what it calls."""
    token = _override.set(allow_model_requests)
    try:
        yield
    finally:
        _override.reset(token)
