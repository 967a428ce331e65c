"""
One request to a model, without an agent: no tools are called, nothing is asked again.

>>> from syncagent.messages import ModelRequest, UserPromptPart
>>> model_request("test", [ModelRequest([UserPromptPart("Hello?")])]).parts
[TextPart(content='success (no tool calls)', part_kind='text')]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional, Union, cast

import attrs

from .deadline import Deadline, resolve_deadline
from .exceptions import UserError
from .messages import ModelMessage, ModelRequest, ModelResponse
from .settings import ModelSettings, check_settings, merge_model_settings
from .tools import ModelRequestParameters

if TYPE_CHECKING:
    from .models.base import Model, StreamedResponse

__all__ = ["model_request", "model_request_stream"]


def model_request(
    model: Union[Model, str],
    messages: Sequence[ModelMessage],
    *,
    model_settings: Optional[ModelSettings] = None,
    model_request_parameters: Optional[ModelRequestParameters] = None,
    deadline: Union[float, Deadline, None] = None,
) -> ModelResponse:
    """
    Ask a model once.

    Args:
        model: a model, or its name, such as ``openai:gpt-4o``.
        messages: the conversation; ends in a ``ModelRequest``, and is not changed.
        model_settings: settings of this request.
        model_request_parameters: tools that the model may call, the result's schema ...
        deadline: seconds for the whole request with its retries, or a :class:`~syncagent.deadline.Deadline`.

    Returns:
        The response, with its usage.

    Raises:
        UserError: an argument cannot be used.
        ModelAPIError: the model did not answer.
        DeadlineExceeded, RunCancelled: the time is over, or somebody stopped it.
    """
    asked, settings, parameters = _prepared(model, messages, model_settings, model_request_parameters, deadline)
    parameters.deadline.check()
    answer: Any = asked.request(list(messages), settings, parameters)
    parameters.deadline.check()
    if isinstance(answer, tuple):  # custom models of the reference API give the usage beside the response
        answer, answer.usage = answer
    response: ModelResponse = answer
    return response


@contextmanager
def model_request_stream(
    model: Union[Model, str],
    messages: Sequence[ModelMessage],
    *,
    model_settings: Optional[ModelSettings] = None,
    model_request_parameters: Optional[ModelRequestParameters] = None,
    deadline: Union[float, Deadline, None] = None,
) -> Iterator[StreamedResponse]:
    """
    Ask a model once, and read its answer while it comes; leaving the ``with`` early closes the connection.

    Arguments and errors are those of :func:`model_request`. The response so far is ``stream.get()``.
    """
    asked, settings, parameters = _prepared(model, messages, model_settings, model_request_parameters, deadline)
    parameters.deadline.check()
    with asked.request_stream(list(messages), settings, parameters) as stream:
        yield stream


def _prepared(
    model: Union[Model, str],
    messages: Sequence[ModelMessage],
    model_settings: Optional[ModelSettings],
    parameters: Optional[ModelRequestParameters],
    deadline: Union[float, Deadline, None],
) -> tuple[Model, Optional[ModelSettings], ModelRequestParameters]:
    """The model, its settings, and the parameters with what the settings say of the transport."""
    from .models import infer_model

    if isinstance(messages, (str, bytes)) or not messages or not isinstance(messages[-1], ModelRequest):
        raise UserError("messages is a list that ends in a ModelRequest: [ModelRequest([UserPromptPart('...')])].")
    check_settings(model_settings)
    settings = merge_model_settings(model_settings, None)
    given = parameters if parameters is not None else ModelRequestParameters()
    changes: dict[str, Any] = {}
    if deadline is not None or parameters is None:
        changes["deadline"] = resolve_deadline(deadline)
    if settings:
        taken: dict[str, Any] = dict(settings)
        for name in ("retry_policy", "on_incomplete"):
            value = taken.pop(name, None)
            if value is not None:
                changes[name] = value
        settings = cast("ModelSettings", taken)
    return infer_model(model), settings, attrs.evolve(given, **changes) if changes else given
