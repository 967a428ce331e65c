"""
Models: what answers a run's requests. One file a wire; none knows another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Optional

from ..tools import ModelRequestParameters
from .base import Model

if TYPE_CHECKING:
    from .names import KnownModelName, infer_model
    from .streamed_response import StreamedResponse

__all__ = [
    "ALLOW_MODEL_REQUESTS",
    "KnownModelName",
    "Model",
    "ModelRequestParameters",
    "StreamedResponse",
    "check_allow_model_requests",
    "infer_model",
    "override_allow_model_requests",
]

ALLOW_MODEL_REQUESTS = os.environ.get("SYNCAGENT_ALLOW_MODEL_REQUESTS", "1") != "0"
"""Whether requests may leave the process; set it to False in tests. TestModel and FunctionModel ignore it."""

_override: ContextVar[Optional[bool]] = ContextVar("syncagent_allow_model_requests", default=None)


def check_allow_model_requests() -> None:
    """
    Raise where requests to real models are not allowed.

    Raises:
        RuntimeError: ``ALLOW_MODEL_REQUESTS`` is False, or the environment says ``SYNCAGENT_ALLOW_MODEL_REQUESTS=0``.
    """
    allowed = _override.get()
    if not (ALLOW_MODEL_REQUESTS if allowed is None else allowed):
        raise RuntimeError("Model requests are not allowed, since ALLOW_MODEL_REQUESTS is False")


@contextmanager
def override_allow_model_requests(allow_model_requests: bool) -> Iterator[None]:
    """Allow or forbid real requests for the code inside the ``with`` and what it calls."""
    token = _override.set(allow_model_requests)
    try:
        yield
    finally:
        _override.reset(token)


def __getattr__(name: str) -> Any:
    if name == "StreamedResponse":
        return import_module(".streamed_response", __name__).StreamedResponse
    if name in ("KnownModelName", "infer_model"):
        return getattr(import_module(".names", __name__), name)  # the wires import this package, names the wires
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
