"""Several models for one: where the first cannot answer, the next is asked."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Optional, Union

import attrs

from ..exceptions import (
    AgentRunError,
    DeadlineExceeded,
    FallbackExceptionGroup,
    IncompleteStreamError,
    ModelAPIError,
    ModelConnectionError,
    ModelTimeoutError,
    RunCancelled,
    UserError,
)
from ..schema.signature import refuse_coroutine
from ._words import short
from .base import Model, response_of
from .profiles import ModelProfile
from .streamed_response import StreamedResponse
from .wrapper import model_of

if TYPE_CHECKING:
    from ..messages import ModelMessage, ModelResponse
    from ..settings import ModelSettings
    from ..tools import ModelRequestParameters

__all__ = ["FallbackModel", "FallbackOn"]

FallbackOn = Union[Callable[[Exception], bool], type[Exception], tuple[type[Exception], ...]]
"""Which errors are a reason to ask the next model: exception classes, or a function that says it."""

_log = logging.getLogger("syncagent.models.fallback")
_CUT = (ModelConnectionError, ModelTimeoutError, IncompleteStreamError, DeadlineExceeded, RunCancelled)


class FallbackModel(Model):
    """
    Asks its models in their order until one answers; all get the same messages, settings and parameters.

    >>> from syncagent.models.test import TestModel
    >>> FallbackModel(TestModel(), TestModel()).model_name
    'fallback:test,test'

    A stream goes over to the next model as long as nothing of it was handed out; after that its error
    is the caller's. The run's time is looked at between two models.

    Args:
        default_model: the model, or its name, that is asked first.
        fallback_models: those that follow.
        fallback_on: exception classes, or a function of the exception; any other exception is raised
            at once. ``DeadlineExceeded`` and ``RunCancelled`` never lead to another model.

    Raises:
        UserError: an argument is neither a model nor a name, or *fallback_on* is something else.
    """

    def __init__(
        self,
        default_model: Union[Model, str],
        *fallback_models: Union[Model, str],
        fallback_on: FallbackOn = (ModelAPIError,),
    ) -> None:
        self.models = [
            model_of(model, f"FallbackModel's argument {number}")
            for number, model in enumerate((default_model, *fallback_models), 1)
        ]
        self._fallback_on = _classes_or_function(fallback_on)

    @property
    def model_name(self) -> str:
        """``fallback:`` and the names of all models."""
        return f"fallback:{','.join(model.model_name for model in self.models)}"

    @property
    def system(self) -> str:
        """``fallback:`` and the providers of all models."""
        return f"fallback:{','.join(model.system for model in self.models)}"

    @property
    def base_url(self) -> Optional[str]:
        """The address that the first model asks."""
        return self.models[0].base_url

    @property
    def profile(self) -> ModelProfile:
        """What all its models can do: a result mode only where all name the same."""
        profiles = [model.profile for model in self.models]
        mode = profiles[0].result_mode
        return ModelProfile(
            result_mode=mode if all(profile.result_mode == mode for profile in profiles) else None,
            native_with_tools=all(profile.native_with_tools for profile in profiles),
        )

    def check(self) -> None:
        """Raise what a request of any of its models would raise for want of a key or a package."""
        for model in self.models:
            model.check()

    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """
        Answer with the first model that can.

        Raises:
            FallbackExceptionGroup: none could; ``.exceptions`` holds each model's error.
            DeadlineExceeded, RunCancelled: the run's time is over, or it was stopped.
        """
        failures: list[Exception] = []
        lost = 0
        for model in self.models:
            try:
                answer = model.request(messages, model_settings, model_request_parameters)
            except Exception as error:
                lost = _add_up(error, lost)
                if not self._is_reason(error):
                    raise
                self._keep(error, model, failures, model_request_parameters)
            else:
                return _counted(answer, lost) if lost else answer
        raise _none_could(failures, lost)

    @contextmanager
    def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> Iterator[StreamedResponse]:
        """
        Stream from the first model that begins to answer.

        The errors are those of :meth:`request`, up to the first content; later ones are the model's own.
        """
        failures: list[Exception] = []
        lost = 0
        for model in self.models:
            response = None
            try:
                with ExitStack() as stack:
                    response = stack.enter_context(
                        model.request_stream(messages, model_settings, model_request_parameters)
                    )
                    response.begin()
                    opened = stack.pop_all()
            except Exception as error:
                lost = _add_up(error, lost, response)
                if not self._is_reason(error):
                    raise
                self._keep(error, model, failures, model_request_parameters)
            else:
                if lost:
                    response.count_unanswered(lost)
                with opened:
                    yield response
                return
        raise _none_could(failures, lost)

    def _keep(
        self, error: Exception, model: Model, failures: list[Exception], parameters: ModelRequestParameters
    ) -> None:
        failures.append(error)
        _log.warning("Model %s failed with %s.", short(model.model_name), type(error).__name__)
        if len(failures) < len(self.models):
            try:
                parameters.deadline.check()
            except (DeadlineExceeded, RunCancelled) as stop:  # the error at hand becomes its __context__
                stop.unanswered_requests = getattr(error, "unanswered_requests", 0)
                raise

    def _is_reason(self, error: Exception) -> bool:
        if isinstance(error, (DeadlineExceeded, RunCancelled)):
            return False
        fallback_on = self._fallback_on
        if isinstance(error, fallback_on) if isinstance(fallback_on, tuple) else fallback_on(error):
            return True
        # A FallbackModel among the models: what made each of its models fail is what counts.
        return isinstance(error, FallbackExceptionGroup) and all(self._is_reason(one) for one in error.exceptions)


def _add_up(error: Exception, lost: int, begun: Optional[StreamedResponse] = None) -> int:
    """Write on *error* how many requests got no complete answer so far, those *lost* before included; gives that."""
    if isinstance(error, AgentRunError):
        lost += error.unanswered_requests
        if begun is not None:  # nobody will count it, since it becomes nobody's
            lost += isinstance(error, _CUT) + (begun.usage().details or {}).get("unanswered_requests", 0)
        error.unanswered_requests = lost
    return lost


def _counted(answer: ModelResponse, lost: int) -> ModelResponse:
    """The answer, with the requests in its usage that were lost before it; the model's object is not changed."""
    response = response_of(answer)
    usage = copy.copy(response.usage)
    usage.count_unanswered(lost)
    return attrs.evolve(response, usage=usage)


def _none_could(failures: list[Exception], lost: int) -> FallbackExceptionGroup:
    group = FallbackExceptionGroup("All models from FallbackModel failed", failures)
    group.unanswered_requests = lost
    return group


def _classes_or_function(
    fallback_on: FallbackOn,
) -> Union[Callable[[Exception], bool], tuple[type[Exception], ...]]:
    classes = fallback_on if isinstance(fallback_on, tuple) else (fallback_on,)
    if all(isinstance(cls, type) and issubclass(cls, Exception) for cls in classes):
        return classes  # type: ignore[return-value] # just looked at
    if isinstance(fallback_on, tuple) or isinstance(fallback_on, type) or not callable(fallback_on):
        raise UserError(
            "fallback_on is a tuple of exception classes, or a function that gets the exception and returns "
            f"whether to ask the next model; got {fallback_on!r}."
        )
    refuse_coroutine(fallback_on, "fallback_on function")
    return fallback_on
