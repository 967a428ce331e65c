"""A run that is shown while it goes: text as it comes, tool calls beside it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Optional

from ..jsonable import dump_str
from ..messages import (
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    PartDeltaEvent,
    PartStartEvent,
    RetryEvent,
    RetryPromptPart,
    TextPart,
    TextPartDelta,
)
from .terminal import note, write_some

if TYPE_CHECKING:
    from ..run_result import AgentRunResult
    from ..streamed import RunEvents

__all__ = ["LiveView", "shows_live"]

_CUT = 200  # characters of a tool's arguments or return that are shown


def shows_live() -> bool:
    """Whether somebody watches: a file or a pipe gets the result alone, once."""
    return sys.stdout is not None and sys.stdout.isatty()


class LiveView:
    """
    Prints a run's events to a terminal.

    Attributes:
        events: the run that is shown; None before.
        anything: whether anything has happened yet.
    """

    def __init__(self) -> None:
        self._text: list[str] = []
        self._open = False  # a line of text has begun and has not ended
        self.events: Optional[RunEvents[Any, Any]] = None
        self.anything = False

    def follow(self, events: RunEvents[Any, Any]) -> AgentRunResult[Any]:
        """
        Print what happens until the end.

        Raises:
            KeyboardInterrupt: the run was interrupted; what came of the text stands on the terminal.
            AgentRunError: the run failed.
        """
        self.events = events
        try:
            for event in events:
                self.anything = True
                self._show(event)
        finally:
            self._end_line()
            events.close()
        if events.result is None:
            raise KeyboardInterrupt  # closed by a signal handler of the agent's own
        return events.result

    def has_shown(self, data: Any) -> bool:
        """Whether *data* is the text that stands on the terminal already; a validator may have changed it."""
        return isinstance(data, str) and bool(data) and "".join(self._text).rstrip("\n").endswith(data.rstrip("\n"))

    def _show(self, event: Any) -> None:
        if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
            self._end_line()
            self._add(event.part.content)
        elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
            self._add(event.delta.content_delta)
        elif isinstance(event, FunctionToolCallEvent):
            self._aside(f"[calls {event.part.tool_name} {_short(event.part.args_as_json_str())}]")
        elif isinstance(event, FunctionToolResultEvent):
            self._aside(f"[{event.result.tool_name}: {_outcome(event.result)}]")
        elif isinstance(event, RetryEvent):
            self._text.clear()
            self._aside(f"[asks again: {_outcome(event.part)}]")

    def _add(self, text: str) -> None:
        if text:
            self._text.append(text)
            self._open = True
            write_some(text)

    def _end_line(self) -> None:
        if self._open:
            self._open = False
            self._text.append("\n")
            write_some("\n")

    def _aside(self, text: str) -> None:
        self._end_line()
        note(text)


def _outcome(part: Any) -> str:
    if isinstance(part, RetryPromptPart):
        return "refused: " + _short(part.content if isinstance(part.content, str) else dump_str(part.content))
    return _short(part.model_response_str())


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CUT else text[:_CUT] + "..."
