"""
Every error a caller can meet.

::

    Exception
    ├── ModelRetry                     raised by tools and validators: ask the model again
    └── RuntimeError
        ├── UserError                  the program is wrong; say what to change
        │   ├── MissingKeyError        (also ValueError)
        │   └── MissingExtraError      (also ImportError)
        └── AgentRunError              a run failed; .messages and .usage say how far it came
            ├── UsageLimitExceeded
            ├── DeadlineExceeded       the whole run's time is over
            ├── RunCancelled           somebody called ``Deadline.cancel()``
            ├── UnexpectedModelBehavior    read right, but the loop cannot use it
            │   └── ContentFilterError
            ├── ModelAPIError          one request failed; .retryable, .attempts ...
            │   ├── ModelHTTPError     any status that is not 2xx
            │   │   ├── ModelAuthError          401, 403
            │   │   ├── ModelNotFoundError      404
            │   │   ├── ModelRateLimitError     429
            │   │   ├── ModelQuotaError         402, or a 429 that no waiting mends
            │   │   ├── ModelOverloadedError    503, 529
            │   │   └── ContextTooLongError     by the provider's code
            │   ├── ModelConnectionError        DNS, refused, reset, TLS
            │   ├── ModelTimeoutError           connecting or reading took too long
            │   └── ModelResponseError          an answer that cannot be read
            │       └── IncompleteStreamError
            └── FallbackExceptionGroup (also ExceptionGroup)

All of them can be pickled with their attributes (Celery and multiprocessing do that).
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Optional, Union

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

if TYPE_CHECKING:
    from .messages import ModelMessage, ModelResponse
    from .usage import Usage

__all__ = [
    "AgentRunError",
    "ContentFilterError",
    "ContextTooLongError",
    "DeadlineExceeded",
    "FallbackExceptionGroup",
    "IncompleteStreamError",
    "MissingExtraError",
    "MissingKeyError",
    "ModelAPIError",
    "ModelAuthError",
    "ModelConnectionError",
    "ModelHTTPError",
    "ModelNotFoundError",
    "ModelOverloadedError",
    "ModelQuotaError",
    "ModelRateLimitError",
    "ModelResponseError",
    "ModelRetry",
    "ModelTimeoutError",
    "RunCancelled",
    "UnexpectedModelBehavior",
    "UsageLimitExceeded",
    "UserError",
]

_NAME_EXCERPT = 200  # characters of a model's name
_BODY_EXCERPT = 500  # characters of a provider's error body that an error's text may hold


def _restore(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    """Build an error again from its pickle without calling its ``__init__``."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _may_show() -> bool:
    """Whether words of a provider may stand in an error's text."""
    return os.environ.get("SYNCAGENT_LOG_CONTENT") != "0"


class _Picklable(Exception):
    """Pickles the class, ``args`` and attributes; signatures with keywords would break the default."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


class ModelRetry(_Picklable):
    """
    Raised in a tool or a result validator to send *message* back to the model and let it try again.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UserError(_Picklable, RuntimeError):
    """The program that uses syncagent is wrong; the message says what to change."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class MissingKeyError(UserError, ValueError):
    """No API key was found for a provider that needs one."""


class MissingExtraError(UserError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class AgentRunError(_Picklable, RuntimeError):
    """
    A run failed.

    Attributes:
        message: what happened.
        messages: the history up to the failure, the failing response included; None outside a run.
        usage: the usage up to the failure; None outside a run.
        unanswered_requests: requests that were sent and got no complete answer, so that they may have been billed.
            A run adds them to ``usage.details``.
    """

    messages: Optional[list[ModelMessage]] = None
    usage: Optional[Usage] = None
    unanswered_requests: int = 0

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class UsageLimitExceeded(AgentRunError):
    """A limit of :class:`~syncagent.usage.UsageLimits` was reached."""


class DeadlineExceeded(AgentRunError):
    """
    The run's :class:`~syncagent.deadline.Deadline` passed.

    Attributes:
        attempts: how often the request that it ended was sent; None where none was under way.
        elapsed: seconds from that request's first try.
    """

    # The end that it was raised for, on the clock of this process: a slot, since a pickle has no use for it.
    __slots__ = ("_end",)
    _end: float

    attempts: Optional[int] = None
    elapsed: Optional[float] = None


class RunCancelled(AgentRunError):
    """
    The run's :class:`~syncagent.deadline.Deadline` was cancelled.

    Attributes:
        attempts: how often the request that it ended was sent; None where none was under way.
        elapsed: seconds from that request's first try.
    """

    attempts: Optional[int] = None
    elapsed: Optional[float] = None


class UnexpectedModelBehavior(AgentRunError):
    """
    The model's answer was read, but the run cannot go on with it.

    Args:
        message: what is wrong.
        body: the answer's text; pretty-printed where it is JSON. It stands in the error's text, but not where the
            environment says ``SYNCAGENT_LOG_CONTENT=0``.
    """

    def __init__(self, message: str, body: Optional[str] = None) -> None:
        super().__init__(message)
        self.body: Optional[str] = body
        if body is not None:
            try:
                self.body = json.dumps(json.loads(body), indent=2)
            except (ValueError, RecursionError):
                self.body = body

    def __str__(self) -> str:
        return f"{self.message}, body:\n{self.body}" if self.body and _may_show() else self.message


class ContentFilterError(UnexpectedModelBehavior):
    """The provider's content filter left nothing of the answer."""


class ModelAPIError(AgentRunError):
    """
    One request to a model failed.

    Args:
        message: what happened and what to do about it; never a key, never a prompt.
        model_name: the model that was asked.
        retryable: whether the same request may succeed later.
        retry_after: seconds that the server asked to wait.
        request_id: the provider's id of the request, for its support.
        attempts: how many requests were sent.
        elapsed: seconds from the first try to the failure.
        partial: what had come of the answer before it broke, of a stream.
    """

    def __init__(
        self,
        message: str,
        *,
        model_name: str,
        retryable: bool = False,
        retry_after: Optional[float] = None,
        request_id: Optional[str] = None,
        attempts: int = 1,
        elapsed: Optional[float] = None,
        partial: Optional[ModelResponse] = None,
    ) -> None:
        super().__init__(message)
        self.model_name = model_name
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id
        self.attempts = attempts
        self.elapsed = elapsed
        self.partial = partial


class ModelHTTPError(ModelAPIError):
    """
    The provider answered with a status that is not 2xx.

    Args:
        status_code: the HTTP status.
        model_name: the model that was asked.
        body: the answer's body, parsed where it is JSON. At most 500 characters of it stand in the text,
            none where the environment says ``SYNCAGENT_LOG_CONTENT=0``.
        attributes: the keywords of :class:`ModelAPIError`.
    """

    def __init__(self, status_code: int, model_name: str, body: Optional[object] = None, **attributes: Any) -> None:
        self.status_code = status_code
        self.body = body
        shown = str(body) if _may_show() else "left out"
        if len(shown) > _BODY_EXCERPT:
            shown = shown[:_BODY_EXCERPT] + "..."
        super().__init__(
            f"status_code: {status_code}, model_name: {model_name[:_NAME_EXCERPT]}, body: {shown}",
            model_name=model_name,
            **attributes,
        )


class ModelAuthError(ModelHTTPError):
    """401 or 403: the key is wrong, or may not do this."""


class ModelNotFoundError(ModelHTTPError):
    """404: no such model or address."""


class ModelRateLimitError(ModelHTTPError):
    """429: too many requests; ``.retry_after`` says when to come back where the server said so."""


class ModelQuotaError(ModelHTTPError):
    """402, or a 429 for an exhausted quota: waiting does not help."""


class ModelOverloadedError(ModelHTTPError):
    """503 or 529: the provider has no capacity now."""

    __slots__ = ("_end",)  # as above: of the deadline that let the policy of this process wait no longer
    _end: float


class ContextTooLongError(ModelHTTPError):
    """The messages do not fit into the model's context window."""


class ModelConnectionError(ModelAPIError):
    """No connection, or a broken one: DNS, refused, reset, TLS."""


class ModelTimeoutError(ModelAPIError):
    """Connecting or reading took too long, the retries are used up, and the deadline was not reached."""


class ModelResponseError(ModelAPIError):
    """The answer cannot be read: not JSON, too large, the wrong content type, an error object in a 200."""


class IncompleteStreamError(ModelResponseError):
    """A stream ended without the provider's end mark; ``.partial`` holds what came."""


class FallbackExceptionGroup(ExceptionGroup[Any], AgentRunError):  # type: ignore[override] # both have a `message`
    """All models of a :class:`~syncagent.models.fallback.FallbackModel` failed; ``.exceptions`` holds how."""

    def __new__(cls, message: str, exceptions: Any) -> FallbackExceptionGroup:
        return super().__new__(cls, message, exceptions)

    def __init__(self, message: str, exceptions: Any) -> None:
        # ExceptionGroup keeps both in __new__ and owns ``message``; AgentRunError would set it again.
        pass

    def __str__(self) -> str:
        return ExceptionGroup.__str__(self)

    def derive(self, excs: Any) -> Union[FallbackExceptionGroup, Any]:
        """Keep the class when the group is split."""
        return FallbackExceptionGroup(self.message, excs)
