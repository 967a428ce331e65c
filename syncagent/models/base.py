"""What every model is: something that answers a list of messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional

import attrs

from ..messages import ModelResponse
from ..usage import Usage
from .profiles import ModelProfile

if TYPE_CHECKING:
    from ..messages import ModelMessage
    from ..settings import ModelSettings
    from ..tools import ModelRequestParameters
    from .streamed_response import Pace, StreamedResponse

__all__ = ["Model", "Pace", "StreamedResponse", "response_of"]


class Model(ABC):
    """
    Answers requests. :meth:`request` is all that a model of one's own must have.
    """

    @abstractmethod
    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """
        Answer the messages.

        Args:
            messages: the conversation; ends in a ``ModelRequest``. Not to be changed.
            model_settings: the merged settings, or None.
            model_request_parameters: tools, result mode, deadline; to be passed on unchanged.

        Raises:
            ModelAPIError: the provider did not answer.
        """

    @contextmanager
    def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> Iterator[StreamedResponse]:
        """
        Answer the messages piece by piece; leaving the ``with`` early closes the connection.

        The arguments and errors are those of :meth:`request`.
        """
        raise NotImplementedError(f"Streamed requests not supported by this {self.__class__.__name__}")
        yield  # pragma: no cover -- makes this a generator, as its overrides are

    @property
    @abstractmethod
    def model_name(self) -> str:
        """The model's name."""

    @property
    @abstractmethod
    def system(self) -> str:
        """The provider's name."""

    @property
    def base_url(self) -> Optional[str]:
        """The address of the provider's API, where there is one."""
        return None

    @property
    def profile(self) -> ModelProfile:
        """What the model can do."""
        return ModelProfile()

    def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings] = None,
        model_request_parameters: Optional[ModelRequestParameters] = None,
    ) -> int:
        """
        Ask the provider how many tokens a request with these messages would send; nothing is generated.

        The arguments are those of :meth:`request`.

        Raises:
            NotImplementedError: the provider cannot be asked for that.
            ModelAPIError: the provider did not answer.
        """
        raise NotImplementedError(f"Counting tokens is not supported by this {self.__class__.__name__}")

    def check(self) -> None:  # noqa: B027 - most models need neither, so it is no abstract method
        """Raise what a request would raise for want of a key or a package; does nothing by default."""


def response_of(answer: Any) -> ModelResponse:
    """
    The response of a model of any make: a ``ModelResponse``, or the older pair with its usage.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(answer, ModelResponse):
        return answer
    if isinstance(answer, tuple) and len(answer) == 2:
        response, usage = answer
        if isinstance(response, ModelResponse) and isinstance(usage, Usage):
            return attrs.evolve(response, usage=usage)
    raise TypeError(f"Model.request returns a ModelResponse; got {type(answer).__name__}.")


def __getattr__(name: str) -> Any:
    """What streams need is found here, too, and made when somebody asks for it."""
    if name in ("Pace", "StreamedResponse"):
        from . import streamed_response

        return getattr(streamed_response, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
