"""The only place that does HTTP. Importing it loads neither requests nor tenacity: the first request does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client import Transport, shared_transport
from .records import Auth, DecodeError, ErrorInfo, HttpRequest, HttpResponse
from .retry import RetryPolicy
from .sse import Frame, sse_frames

if TYPE_CHECKING:
    from .stream import HttpStream

__all__ = [
    "Auth",
    "DecodeError",
    "ErrorInfo",
    "Frame",
    "HttpRequest",
    "HttpResponse",
    "HttpStream",
    "RetryPolicy",
    "Transport",
    "shared_transport",
    "sse_frames",
]


def __getattr__(name: str) -> Any:
    if name == "HttpStream":
        from .stream import HttpStream

        return HttpStream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
