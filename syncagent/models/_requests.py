"""What wires do alike when they write a request: the text of a tool's return, a tool by its name, a word in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..exceptions import UserError

if TYPE_CHECKING:
    from ..messages import ToolReturnPart
    from ..tools import ToolDefinition
    from .wire import ModelCall

__all__ = ["named_tool", "return_text", "tell_dropped"]

_log = logging.getLogger("syncagent.models")


def return_text(part: ToolReturnPart) -> str:
    """
    What a tool returned, as text for a model.

    Raises:
        UserError: it has no JSON form.
    """
    try:
        return part.model_response_str()
    except TypeError as error:
        raise UserError(f"The tool {part.tool_name!r} returned what cannot be sent to a model: {error}") from None


def named_tool(choice: object, tools: Sequence[ToolDefinition]) -> ToolDefinition:
    """
    The tool that ``tool_choice`` names.

    Raises:
        UserError: there is none of this name.
    """
    for tool in tools:
        if tool.name == choice:
            return tool
    known = ", ".join(tool.name for tool in tools)
    raise UserError(f"tool_choice is 'auto', 'required', 'none' or the name of a tool ({known}); got {choice!r}.")


def tell_dropped(call: ModelCall, dropped: Sequence[str]) -> None:
    """One line on the settings that are left out."""
    if dropped:
        _log.debug("%s %s: settings that cannot be sent: %s", call.provider_name, call.model_name, ", ".join(dropped))
