"""What wires do alike when they write a request: the text of a tool's return, a tool by its name, a word in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..exceptions import UserError
from ._words import no_json_form, short

if TYPE_CHECKING:
    from ..messages import ToolReturnPart
    from ..tools import ToolDefinition
    from .wire import ModelCall

__all__ = ["called", "named_tool", "not_written", "return_text", "tell_dropped", "unsendable"]

_log = logging.getLogger("syncagent.models")


def called(call: ModelCall) -> str:
    """The provider and the model, for a text."""
    return f"{call.provider_name} {short(call.model_name)}"


def return_text(part: ToolReturnPart) -> str:
    """
    What a tool returned, as text for a model.

    Raises:
        UserError: it has no JSON form.
    """
    try:
        return part.model_response_str()
    except TypeError as error:
        raise unsendable(part, error) from None


def unsendable(part: ToolReturnPart, error: TypeError) -> UserError:
    """The error for what a tool returned and what has no JSON form."""
    return UserError(f"The tool {part.tool_name!r} returned what cannot be sent to a model: {no_json_form(error)}")


def not_written(call: ModelCall, error: TypeError) -> UserError:
    """The error for a request of which something has no JSON form."""
    return UserError(f"The request to {called(call)} cannot be written: {no_json_form(error)}")


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
        _log.debug("%s: settings that cannot be sent: %s", called(call), ", ".join(dropped))
