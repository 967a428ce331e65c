"""The error tree: who derives from whom, what they say, and that all survive a pickle."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
from typing import Any

import pytest

from syncagent import exceptions
from syncagent.exceptions import (
    AgentRunError,
    ContentFilterError,
    ContextTooLongError,
    DeadlineExceeded,
    FallbackExceptionGroup,
    IncompleteStreamError,
    MissingExtraError,
    MissingKeyError,
    ModelAPIError,
    ModelAuthError,
    ModelConnectionError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelResponseError,
    ModelRetry,
    ModelTimeoutError,
    RunCancelled,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
    UserError,
)
from syncagent.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from syncagent.usage import Usage

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

_TREE: dict[type[Exception], tuple[type[Exception], ...]] = {
    ModelRetry: (Exception,),
    UserError: (RuntimeError,),
    MissingKeyError: (UserError, ValueError),
    MissingExtraError: (UserError, ImportError),
    AgentRunError: (RuntimeError,),
    UsageLimitExceeded: (AgentRunError,),
    DeadlineExceeded: (AgentRunError,),
    RunCancelled: (AgentRunError,),
    UnexpectedModelBehavior: (AgentRunError,),
    ContentFilterError: (UnexpectedModelBehavior,),
    ModelAPIError: (AgentRunError,),
    ModelHTTPError: (ModelAPIError,),
    ModelAuthError: (ModelHTTPError,),
    ModelNotFoundError: (ModelHTTPError,),
    ModelRateLimitError: (ModelHTTPError,),
    ModelQuotaError: (ModelHTTPError,),
    ModelOverloadedError: (ModelHTTPError,),
    ContextTooLongError: (ModelHTTPError,),
    ModelConnectionError: (ModelAPIError,),
    ModelTimeoutError: (ModelAPIError,),
    ModelResponseError: (ModelAPIError,),
    IncompleteStreamError: (ModelResponseError,),
    FallbackExceptionGroup: (ExceptionGroup, AgentRunError),
}
_PUBLIC = [
    value
    for name, value in vars(exceptions).items()
    if inspect.isclass(value) and value.__module__ == exceptions.__name__ and not name.startswith("_")
]
_API = {"retryable": True, "retry_after": 1.5, "request_id": "r", "attempts": 3, "elapsed": 2.5,
        "partial": ModelResponse([TextPart("half")])}  # fmt: skip


def _made(cls: Any) -> Any:
    """An error of the class with every attribute set."""
    error: Any
    if issubclass(cls, FallbackExceptionGroup):
        error = cls("All failed", [ModelHTTPError(500, "m", {"a": 1}, retry_after=2.0), ValueError("x")])
    elif issubclass(cls, ModelHTTPError):
        error = cls(429, "gpt", {"error": [1]}, **_API)
    elif issubclass(cls, ModelAPIError):
        error = cls("It failed.", model_name="gpt", **_API)
    elif issubclass(cls, UnexpectedModelBehavior):
        error = cls("Odd", '{"a":1}')
    else:
        error = cls("It failed.")
    if isinstance(error, AgentRunError):
        error.messages, error.usage = [ModelRequest([UserPromptPart("hi")])], Usage(1, 2)
    error.note = "an application's own"
    return error


def test_the_tree_is_whole() -> None:
    """The module holds these classes and no others, and lists them."""
    assert set(_PUBLIC) == set(_TREE)
    assert [cls.__name__ for cls in sorted(_PUBLIC, key=lambda cls: cls.__name__)] == exceptions.__all__


@pytest.mark.parametrize("cls", _TREE, ids=lambda cls: cls.__name__)
def test_bases(cls: type[Exception]) -> None:
    """Each class is what the tree says, in this order, and stands in the module's drawing."""
    bases = [base for base in cls.__bases__ if not base.__name__.startswith("_")]
    assert tuple(bases or [Exception]) == _TREE[cls]
    assert cls.__name__ in (exceptions.__doc__ or "")


def _state(error: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "_exceptions"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("cls", _PUBLIC, ids=lambda cls: cls.__name__)
def test_every_error_pickles(cls: Any, protocol: int) -> None:
    """An error comes out of a pickle with its class, text, arguments and every attribute; so does a copy."""
    error = _made(cls)
    for twin in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(twin) is cls
        assert str(twin) == str(error)
        if cls is FallbackExceptionGroup:
            assert [(type(one), str(one), vars(one)) for one in twin.exceptions] == [
                (type(one), str(one), vars(one)) for one in error.exceptions
            ]
            assert (twin.message, twin.messages, twin.usage) == (error.message, error.messages, error.usage)
        else:
            assert twin.args == error.args
            assert _state(twin) == _state(error)
        assert twin.note == "an application's own"


@pytest.mark.parametrize("cls", [ModelRetry, UserError, MissingKeyError, MissingExtraError, AgentRunError])
def test_message(cls: Any) -> None:
    """The text is the message, which is an attribute as well."""
    assert str(cls("What to do.")) == cls("What to do.").message == "What to do."


def test_messages_and_usage_outside_a_run() -> None:
    """Outside a run an error has neither messages nor usage."""
    error = AgentRunError("x")
    assert error.messages is error.usage is None
    assert FallbackExceptionGroup("x", [error]).messages is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (None, "Odd"),
        ("", "Odd"),
        ("no json", "Odd, body:\nno json"),
        ('{"a":[1]}', 'Odd, body:\n{\n  "a": [\n    1\n  ]\n}'),
        ("[" * 100_000, "Odd, body:\n" + "[" * 100_000),
    ],
    ids=["none", "empty", "text", "json", "deep"],
)
def test_body_of_unexpected_behavior(body: Any, text: str) -> None:
    """A body stands in the text, pretty-printed where it is JSON."""
    assert str(UnexpectedModelBehavior("Odd", body)) == text


def test_http_error() -> None:
    """The text of an HTTP error has status, model and body."""
    error = ModelHTTPError(400, "m", {"a": 1})
    assert str(error) == "status_code: 400, model_name: m, body: {'a': 1}"
    assert (error.status_code, error.model_name, error.body, error.retryable) == (400, "m", {"a": 1}, False)
    assert str(ModelHTTPError(400, "m")) == "status_code: 400, model_name: m, body: None"


def test_http_error_of_a_long_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 500 characters of a body stand in the text, none where the environment forbids content."""
    error = ModelHTTPError(400, "m", "x" * 501)
    assert str(error) == f"status_code: 400, model_name: m, body: {'x' * 500}..."
    assert str(ModelHTTPError(400, "m", "x" * 500)).endswith("xxx")
    monkeypatch.setenv("SYNCAGENT_LOG_CONTENT", "0")
    error = ModelHTTPError(400, "m", "secret")
    assert str(error) == "status_code: 400, model_name: m, body: left out"
    assert error.body == "secret"


def test_api_error_defaults() -> None:
    """A failed request is not retryable unless it says so, after one attempt, with nothing else known."""
    error = ModelAPIError("x", model_name="m")
    assert vars(error) == {
        "message": "x",
        "model_name": "m",
        "retryable": False,
        "retry_after": None,
        "request_id": None,
        "attempts": 1,
        "elapsed": None,
        "partial": None,
    }


def test_fallback_group() -> None:
    """The group of all failures is an exception group: it says how many, splits, and stays of its class."""
    errors = [ModelHTTPError(500, "m"), ModelTimeoutError("slow", model_name="m")]
    group = FallbackExceptionGroup("All models from FallbackModel failed", errors)
    assert str(group) == "All models from FallbackModel failed (2 sub-exceptions)"
    assert list(group.exceptions) == errors
    matching, rest = group.split(ModelHTTPError)
    assert isinstance(matching, FallbackExceptionGroup) and list(matching.exceptions) == errors[:1]
    assert isinstance(rest, FallbackExceptionGroup) and list(rest.exceptions) == errors[1:]
    with pytest.raises(AgentRunError):
        raise group
