"""The result of a run that came to its end."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Generic, Optional

import attrs

from .jsonable import dump_bytes
from .messages import ModelMessage, ModelMessagesTypeAdapter, ModelRequest, ToolReturnPart
from .plan import RunState
from .result_tools import FinalResult, ResultDataT
from .usage import Usage

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["AgentRunResult"]


@attrs.define(repr=False, eq=False)
class AgentRunResult(Generic[ResultDataT]):
    """
    The result of a run that came to its end.

    Attributes:
        data: the result, validated.
    """

    data: ResultDataT
    _final: FinalResult[ResultDataT]
    _state: RunState
    _new_message_index: int
    _converter: Optional[Converter] = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self._converter is not None:
            raise TypeError(
                "An AgentRunResult whose agent has a converter cannot be pickled, since converters cannot; "
                "pickle .data and .all_messages(), or store .to_json()."
            )
        return AgentRunResult, (self.data, self._final, self._state, self._new_message_index)

    def __repr__(self) -> str:
        return f"AgentRunResult(data={self.data!r})"

    @property
    def output(self) -> ResultDataT:
        """``data`` by its newer name."""
        return self.data

    def usage(self) -> Usage:
        """What the run used."""
        return self._state.usage

    def all_messages(self, *, result_tool_return_content: Optional[str] = None) -> list[ModelMessage]:
        """
        The history with this run's messages at its end: the live list, not a copy.

        Args:
            result_tool_return_content: gives a deep copy in which the return of the final result tool holds
                this text, for conversations that go on after a typed result.

        Raises:
            ValueError: the content was given and the result is text.
            LookupError: the content was given and the history has no call of the result tool.
        """
        if result_tool_return_content is None:
            return self._state.message_history
        return with_tool_return(self._state.message_history, self._final, result_tool_return_content)

    def all_messages_json(self, *, result_tool_return_content: Optional[str] = None) -> bytes:
        """:meth:`all_messages` as JSON."""
        return ModelMessagesTypeAdapter.dump_json(
            self.all_messages(result_tool_return_content=result_tool_return_content)
        )

    def new_messages(self, *, result_tool_return_content: Optional[str] = None) -> list[ModelMessage]:
        """The messages of this run alone; arguments and errors are those of :meth:`all_messages`."""
        return self.all_messages(result_tool_return_content=result_tool_return_content)[self._new_message_index :]

    def new_messages_json(self, *, result_tool_return_content: Optional[str] = None) -> bytes:
        """:meth:`new_messages` as JSON."""
        return ModelMessagesTypeAdapter.dump_json(
            self.new_messages(result_tool_return_content=result_tool_return_content)
        )

    def to_json(self) -> bytes:
        """
        The data as compact UTF-8 JSON, by the agent's converter where it has one.

        Raises:
            TypeError: a value in it has no JSON form.
        """
        data: Any = self.data
        if self._converter is not None:
            data = self._converter.unstructure(data)
        return dump_bytes(data)


def with_tool_return(messages: list[ModelMessage], final: FinalResult[Any], content: str) -> list[ModelMessage]:
    """A deep copy of *messages* in which the return of the call that gave *final* holds *content*."""
    if final.tool_name is None:
        raise ValueError("Cannot set result tool return content when the return type is `str`.")
    messages = deepcopy(messages)
    last = messages[-1] if messages else None
    if isinstance(last, ModelRequest):
        for part in last.parts:
            if isinstance(part, ToolReturnPart) and part.tool_call_id == final.tool_call_id:
                part.content = content
                return messages
    raise LookupError(f"No tool call found with tool name {final.tool_name!r}.")
