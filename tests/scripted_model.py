"""A model that answers what a test wrote down for it, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import attrs

from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from syncagent.models.base import Model
from syncagent.models.profiles import ModelProfile
from syncagent.settings import ModelSettings
from syncagent.tools import ModelRequestParameters
from syncagent.usage import Usage

Answer = Union[
    str,
    ModelResponsePart,
    Sequence[ModelResponsePart],
    ModelResponse,
    BaseException,
    Callable[[list[ModelMessage]], "Answer"],
]
"""What the model does at a request: text, a part or parts, a response, an error to raise, or a function of these."""


@attrs.define
class Asking:
    """One request, as the model saw it: the messages are copied lists of the very part objects."""

    messages: list[ModelMessage]
    settings: Optional[ModelSettings]
    parameters: ModelRequestParameters

    @property
    def tools(self) -> list[str]:
        """The names of the function tools that were offered."""
        return [tool.name for tool in self.parameters.function_tools]

    @property
    def system(self) -> list[str]:
        """The texts of all system parts, in their order."""
        requests = (message for message in self.messages if isinstance(message, ModelRequest))
        return [part.content for message in requests for part in message.parts if isinstance(part, SystemPromptPart)]


class Scripted(Model):
    """
    Answers with one of *answers* after the other; the last one goes on for ever.

    Attributes:
        asked: every request so far.
    """

    def __init__(self, *answers: Any, profile: Optional[ModelProfile] = None, name: str = "scripted") -> None:
        self.answers: tuple[Any, ...] = answers
        self.asked: list[Asking] = []
        self._profile = profile or ModelProfile()
        self._name = name

    @property
    def model_name(self) -> str:
        """The name it was given."""
        return self._name

    @property
    def system(self) -> str:
        """``scripted``."""
        return "scripted"

    @property
    def profile(self) -> ModelProfile:
        """The profile it was given."""
        return self._profile

    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The next answer."""
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        copied = [
            attrs.evolve(message, parts=list(message.parts))  # type: ignore[arg-type] # its own parts
            for message in messages
        ]
        self.asked.append(Asking(copied, model_settings, model_request_parameters))
        while callable(answer):
            answer = answer(messages)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, ModelResponse):
            return answer
        if isinstance(answer, str):
            answer = TextPart(answer)
        parts = list(answer) if isinstance(answer, (list, tuple)) else [answer]
        return ModelResponse(parts, self._name, usage=Usage(request_tokens=10, response_tokens=2, total_tokens=12))


def call(tool_name: str, /, call_id: Optional[str] = None, **args: Any) -> ToolCallPart:
    """A call of a tool with these arguments."""
    return ToolCallPart(tool_name, args, call_id)


def raw_call(tool_name: str, text: str, call_id: Optional[str] = None) -> ToolCallPart:
    """A call of a tool with this text where the arguments belong."""
    return ToolCallPart(tool_name, text, call_id)


def request_parts(message: ModelMessage) -> list[ModelRequestPart]:
    """The parts of a message that has to be a request."""
    assert isinstance(message, ModelRequest)
    return message.parts


def said(message: ModelMessage) -> list[tuple[str, Any]]:
    """For each part of a request its kind and content; the rest of it is for other tests."""
    return [(part.part_kind, part.content) for part in request_parts(message)]


def answers(message: ModelMessage) -> list[tuple[Optional[str], Optional[str], Any]]:
    """Tool name, call id and content of each part of a request that answers a response."""
    return [
        (part.tool_name, part.tool_call_id, part.content)
        for part in request_parts(message)
        if isinstance(part, (ToolReturnPart, RetryPromptPart))
    ]
