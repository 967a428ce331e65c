"""One request without an agent."""

from __future__ import annotations

import time
from typing import Any

import pytest

from syncagent.deadline import Deadline, deadline_scope
from syncagent.direct import model_request, model_request_stream
from syncagent.exceptions import DeadlineExceeded, RunCancelled, UserError
from syncagent.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from syncagent.models import ModelRequestParameters
from syncagent.models.base import Model
from syncagent.models.test import TestModel
from syncagent.tools import ToolDefinition
from syncagent.transport import RetryPolicy
from syncagent.usage import Usage

_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_TOOL = ToolDefinition("look", "Look.", {"type": "object", "properties": {}})


class _Recording(TestModel):
    """Keeps what it was asked with."""

    def request(self, messages: Any, model_settings: Any, model_request_parameters: Any) -> ModelResponse:
        self.asked = messages, model_settings, model_request_parameters
        return super().request(messages, model_settings, model_request_parameters)


def test_a_model_is_asked_once() -> None:
    """By its name or itself; what comes back is its response, tool calls and all."""
    assert model_request("test", _ASKED).parts == [TextPart("success (no tool calls)")]
    model = _Recording()
    parameters = ModelRequestParameters(function_tools=[_TOOL])
    response = model_request(model, tuple(_ASKED), model_request_parameters=parameters)
    assert [part.part_kind for part in response.parts] == ["tool-call"]
    messages, settings, passed = model.asked
    assert messages == _ASKED and messages is not _ASKED and not settings
    assert passed is parameters


def test_settings_of_the_transport_travel_with_the_parameters() -> None:
    """``retry_policy`` and ``on_incomplete`` never reach a wire; the caller's objects are not changed."""
    model, policy, parameters = _Recording(), RetryPolicy(max_retries=0), ModelRequestParameters()
    settings: Any = {"temperature": 0.5, "retry_policy": policy, "on_incomplete": "accept"}
    model_request(model, _ASKED, model_settings=settings, model_request_parameters=parameters)
    _, sent, passed = model.asked
    assert sent == {"temperature": 0.5} and len(settings) == 3
    assert (passed.retry_policy, passed.on_incomplete) == (policy, "accept")
    unset: Any = {"retry_policy": None}
    assert model_request(model, _ASKED, model_settings=unset) and not model.asked[1]
    assert parameters.retry_policy is None and passed.deadline is parameters.deadline


def test_a_stream() -> None:
    """The events of one response, and what there is of it so far."""
    with model_request_stream("test", _ASKED) as stream:
        events = list(stream)
    assert events and stream.get().parts == [TextPart("success (no tool calls)")]


def test_time() -> None:
    """Seconds, a deadline, or the outer run's; a model that looks at no clock is checked behind its back."""
    model = _Recording()
    model_request(model, _ASKED, deadline=5)
    assert 4 < model.asked[2].deadline.remaining() <= 5
    outer = Deadline(3)
    with deadline_scope(outer):
        model_request(model, _ASKED)
    assert model.asked[2].deadline is outer
    outer.cancel()
    for ask in (model_request, lambda *args, **kwargs: model_request_stream(*args, **kwargs).__enter__()):
        with pytest.raises(RunCancelled):
            ask(model, _ASKED, deadline=outer)

    class _Slow(_Recording):
        def request(self, messages: Any, model_settings: Any, model_request_parameters: Any) -> ModelResponse:
            time.sleep(0.1)
            return super().request(messages, model_settings, model_request_parameters)

    with pytest.raises(DeadlineExceeded):
        model_request(_Slow(), _ASKED, deadline=0.05)


def test_a_model_that_gives_its_usage_apart() -> None:
    """The older shape of a custom model's answer is understood."""

    class _Pair(TestModel):
        def request(self, *args: Any) -> Any:
            return ModelResponse([TextPart("x")]), Usage(1, 2, 3)

    assert model_request(_Pair(), _ASKED).usage == Usage(1, 2, 3)


@pytest.mark.parametrize("messages", [[], "Hi", b"Hi", [ModelResponse([])]])
def test_messages_that_cannot_be_sent(messages: Any) -> None:
    """A conversation ends in a request."""
    with pytest.raises(UserError, match="ends in a ModelRequest"):
        model_request("test", messages)


def test_other_arguments() -> None:
    """Unknown settings and models are the program's errors."""
    unknown: Any = {"temprature": 1}
    with pytest.raises(UserError, match="temprature"):
        model_request("test", _ASKED, model_settings=unknown)
    with pytest.raises(UserError, match="Unknown model"):
        model_request("nope", _ASKED)
    assert isinstance(_Recording(), Model)
