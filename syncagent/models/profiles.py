"""What a model can do: a table by name pattern, which the user may overrule."""

from __future__ import annotations

from typing import Any, Literal, Optional

import attrs

__all__ = ["ModelProfile"]


@attrs.frozen(kw_only=True)
class ModelProfile:
    """
    What a model can do.

    Args:
        result_mode: how a typed result is asked for where the agent does not say; None for ``tool``.
        native_with_tools: whether a native JSON schema and function tools go together in one request.
        settings: settings that hold where the caller gives none.
    """

    result_mode: Optional[Literal["tool", "native", "prompted"]] = None
    native_with_tools: bool = True
    settings: dict[str, Any] = attrs.field(factory=dict)
