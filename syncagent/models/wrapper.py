"""A model around another model: to log, to change what is sent, to count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional, Union

from ..exceptions import UserError
from .base import Model
from .streamed_response import StreamedResponse

if TYPE_CHECKING:
    from ..messages import ModelMessage, ModelResponse
    from ..settings import ModelSettings
    from ..tools import ModelRequestParameters
    from .profiles import ModelProfile

__all__ = ["WrapperModel", "model_of"]


class WrapperModel(Model):
    """
    Hands everything on to the wrapped model; subclass it and change what is to be different.

    >>> from syncagent.models.test import TestModel
    >>> class Loud(WrapperModel):
    ...     @property
    ...     def model_name(self) -> str:
    ...         return self.wrapped.model_name.upper()
    >>> Loud(TestModel()).model_name
    'TEST'

    Attributes that it does not have itself are the wrapped model's.

    Args:
        wrapped: a model, or a model's name.

    Raises:
        UserError: it is neither.
    """

    wrapped: Model

    def __init__(self, wrapped: Union[Model, str]) -> None:
        self.wrapped = model_of(wrapped, "WrapperModel(wrapped)")

    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Let the wrapped model answer."""
        return self.wrapped.request(messages, model_settings, model_request_parameters)

    @contextmanager
    def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> Iterator[StreamedResponse]:
        """Let the wrapped model answer piece by piece."""
        with self.wrapped.request_stream(messages, model_settings, model_request_parameters) as response:
            yield response

    @property
    def model_name(self) -> str:
        """The wrapped model's name."""
        return self.wrapped.model_name

    @property
    def system(self) -> str:
        """The wrapped model's provider."""
        return self.wrapped.system

    @property
    def base_url(self) -> Optional[str]:
        """The address that the wrapped model asks."""
        return self.wrapped.base_url

    @property
    def profile(self) -> ModelProfile:
        """What the wrapped model can do."""
        return self.wrapped.profile

    def check(self) -> None:
        """Raise what a request of the wrapped model would raise for want of a key or a package."""
        self.wrapped.check()

    def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings] = None,
        model_request_parameters: Optional[ModelRequestParameters] = None,
    ) -> int:
        """Let the wrapped model's provider count."""
        return self.wrapped.count_tokens(messages, model_settings, model_request_parameters)

    def __getattr__(self, name: str) -> Any:
        # Copying and unpickling ask for special methods, and that before there is a wrapped model.
        if name == "wrapped" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.wrapped, name)


def model_of(model: Union[Model, str], where: str) -> Model:
    """
    The model that *model* is or names.

    Raises:
        UserError: it is no model, or no known name; *where* says whose argument it was.
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, str):
        from .names import infer_model

        return infer_model(model)
    raise UserError(f"{where} is a model or a model's name; got {type(model).__name__}.")
