"""
Models: what answers a run's requests. One file a wire; none knows another.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..permission import (
    allowed_by_environment,
    ask_for_permission,
    check_allow_model_requests,
    override_allow_model_requests,
)
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

ALLOW_MODEL_REQUESTS = allowed_by_environment()
"""
Whether requests may leave the process, downloads of URLs in messages included; set it to False in tests. TestModel
and FunctionModel ignore it.
"""


def _is_allowed() -> bool:
    return ALLOW_MODEL_REQUESTS


ask_for_permission(_is_allowed)


def __getattr__(name: str) -> Any:
    if name == "StreamedResponse":
        return import_module(".streamed_response", __name__).StreamedResponse
    if name in ("KnownModelName", "infer_model"):
        return getattr(import_module(".names", __name__), name)  # the wires import this package, names the wires
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
