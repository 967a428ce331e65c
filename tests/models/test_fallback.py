"""FallbackModel: the next model is asked where one cannot answer, and never after the run has to stop."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import attrs
import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import (
    AgentRunError,
    DeadlineExceeded,
    FallbackExceptionGroup,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    RunCancelled,
    UserError,
)
from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ToolCallPart,
    UserPromptPart,
)
from syncagent.models.base import Model, StreamedResponse
from syncagent.models.fallback import FallbackModel
from syncagent.models.profiles import ModelProfile
from syncagent.models.test import TestModel
from syncagent.tools import ModelRequestParameters

HI: list[ModelMessage] = [ModelRequest([UserPromptPart("hi")])]
NOTHING = ModelRequestParameters()


class Scripted(Model):
    """Gives what it is told: an error, or the events of a stream, an error among them."""

    def __init__(self, name: str, *script: Any, profile: Optional[ModelProfile] = None) -> None:
        self.name = name
        self.script = script
        self.seen: list[tuple[Any, Any, Any]] = []
        self.exits: list[Any] = []
        self._profile = profile or ModelProfile()
        self.checked = 0

    model_name = property(lambda self: self.name)  # type: ignore[assignment] # short is enough here
    system = property(lambda self: f"system-{self.name}")  # type: ignore[assignment] # the same
    base_url = property(lambda self: f"https://{self.name}.example")  # type: ignore[assignment] # the same
    profile = property(lambda self: self._profile)  # type: ignore[assignment] # the same

    def check(self) -> None:
        self.checked += 1
        if self.name == "keyless":
            raise UserError("no key")

    def request(self, messages: Any, model_settings: Any, model_request_parameters: Any) -> ModelResponse:
        self.seen.append((messages, model_settings, model_request_parameters))
        for item in self.script:
            if isinstance(item, BaseException):
                raise item
        return ModelResponse([TextPart(f"I am {self.name}")])

    @contextmanager
    def request_stream(
        self, messages: Any, model_settings: Any, model_request_parameters: Any
    ) -> Iterator[StreamedResponse]:
        self.seen.append((messages, model_settings, model_request_parameters))
        if self.script and isinstance(self.script[0], BaseException) and self.name != "opens":
            raise self.script[0]
        try:
            yield StreamedResponse(self._items(), model_name=self.name)
        except BaseException as error:
            self.exits.append(type(error))
            raise
        self.exits.append(None)

    def _items(self) -> Iterator[Any]:
        for item in self.script:
            if isinstance(item, BaseException):
                raise item
            yield item


def _http(status: int = 500) -> ModelHTTPError:
    return ModelHTTPError(status, "m")


GOOD = Scripted("good")
TEXT = PartStartEvent(0, TextPart("Hello"))
MORE = PartDeltaEvent(0, TextPartDelta(" there"))


def _events(model: Model, parameters: ModelRequestParameters = NOTHING) -> list[Any]:
    with model.request_stream(HI, None, parameters) as response:
        return list(response)


# --- what it is ------------------------------------------------------------------------------------


def test_names() -> None:
    """Name and system are those of all models; the address is the first one's."""
    model = FallbackModel(Scripted("a"), Scripted("b"))
    assert (model.model_name, model.system) == ("fallback:a,b", "fallback:system-a,system-b")
    assert model.base_url == "https://a.example"
    assert [one.model_name for one in model.models] == ["a", "b"]


@pytest.mark.parametrize(
    ("modes", "mode"),
    [
        (("native", "native"), "native"),
        (("native", "tool"), None),
        (("native", None), None),
        ((None, None), None),
        (("prompted",), "prompted"),
    ],
)
def test_profile(modes: tuple[Any, ...], mode: Optional[str]) -> None:
    """The result mode is the one that all models name; a limit of one is a limit of all."""
    profiles = [ModelProfile(result_mode=name) for name in modes]
    assert FallbackModel(*(Scripted("m", profile=profile) for profile in profiles)).profile == ModelProfile(
        result_mode=mode  # type: ignore[arg-type] # one of the three
    )
    limited = ModelProfile(native_with_tools=False)
    assert not FallbackModel(Scripted("a"), Scripted("b", profile=limited)).profile.native_with_tools


def test_check_asks_every_model() -> None:
    """``check()`` raises what any of the models lacks."""
    first, second = Scripted("first"), Scripted("keyless")
    with pytest.raises(UserError, match="no key"):
        FallbackModel(first, second).check()
    assert (first.checked, second.checked) == (1, 1)
    FallbackModel(first, first).check()
    assert first.checked == 3


def test_names_of_models() -> None:
    """A model may be given by its name."""
    model = FallbackModel(Scripted("a", _http()), "test")
    assert model.models[1].model_name == "test"
    assert model.request(HI, None, NOTHING).parts == [TextPart("success (no tool calls)")]


def test_what_is_no_model() -> None:
    """Something that is neither model nor name is refused, with its place among the arguments."""
    with pytest.raises(UserError, match="FallbackModel's argument 2 is a model or a model's name; got NoneType"):
        FallbackModel(GOOD, None)  # type: ignore[arg-type] # that is the point


# --- requests --------------------------------------------------------------------------------------


def test_first_that_answers() -> None:
    """The first model that answers is the last one asked."""
    second = Scripted("second")
    assert FallbackModel(GOOD, second).request(HI, None, NOTHING).parts == [TextPart("I am good")]
    assert second.seen == []


@pytest.mark.parametrize(
    "error",
    [_http(500), _http(401), ModelConnectionError("refused", model_name="m"), ModelAPIError("x", model_name="m")],
)
def test_every_api_error_is_a_reason(error: ModelAPIError) -> None:
    """After any ``ModelAPIError`` the next model is asked, with the same messages, settings and parameters."""
    first, second = Scripted("first", error), Scripted("second")
    settings: Any = {"temperature": 0}
    response = FallbackModel(first, second).request(HI, settings, NOTHING)
    assert response.parts == [TextPart("I am second")]
    assert first.seen == second.seen
    for got, given in zip(second.seen[0], (HI, settings, NOTHING)):
        assert got is given


def test_all_failed() -> None:
    """Where all fail, a group holds each model's error; it is an ``AgentRunError`` and pickles."""
    errors = [_http(500), _http(503)]
    with pytest.raises(FallbackExceptionGroup) as raised:
        FallbackModel(*(Scripted("m", error) for error in errors)).request(HI, None, NOTHING)
    assert str(raised.value) == "All models from FallbackModel failed (2 sub-exceptions)"
    assert list(raised.value.exceptions) == errors
    assert isinstance(raised.value, AgentRunError)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize("error", [ValueError("x"), UserError("x"), KeyboardInterrupt(), NotImplementedError()])
def test_other_errors_are_raised_at_once(error: BaseException) -> None:
    """An error that is no ``ModelAPIError`` leaves at once."""
    second = Scripted("second")
    for ask in (lambda model: model.request(HI, None, NOTHING), _events):
        with pytest.raises(type(error)):
            ask(FallbackModel(Scripted("first", error), second))
    assert second.seen == []


@pytest.mark.parametrize("error", [DeadlineExceeded("over"), RunCancelled("stop")])
@pytest.mark.parametrize("fallback_on", [(Exception,), lambda error: True, AgentRunError])
def test_never_after_the_run_has_to_stop(error: Exception, fallback_on: Any) -> None:
    """After ``DeadlineExceeded`` and ``RunCancelled`` no other model is asked, whatever ``fallback_on`` says."""
    second = Scripted("second")
    model = FallbackModel(Scripted("first", error), second, fallback_on=fallback_on)
    with pytest.raises(type(error)):
        model.request(HI, None, NOTHING)
    with pytest.raises(type(error)):
        _events(model)
    assert second.seen == []


def test_the_deadline_between_two_models() -> None:
    """The run's deadline is looked at before the next model; the failure before it is the context."""
    deadline = Deadline()
    deadline.cancel()
    parameters = attrs.evolve(NOTHING, deadline=deadline)
    second = Scripted("second")
    model = FallbackModel(Scripted("first", _http()), second)
    with pytest.raises(RunCancelled) as raised:
        model.request(HI, None, parameters)
    assert isinstance(raised.value.__context__, ModelHTTPError)
    with pytest.raises(RunCancelled):
        _events(model, parameters)
    assert second.seen == []


def test_fallback_on_classes() -> None:
    """``fallback_on`` may be one exception class or several."""
    for fallback_on in (KeyError, (ValueError, KeyError)):
        model = FallbackModel(Scripted("first", KeyError()), GOOD, fallback_on=fallback_on)  # type: ignore[arg-type] # mypy joins the two to `object`
        assert model.request(HI, None, NOTHING).parts == [TextPart("I am good")]
        with pytest.raises(ModelHTTPError):
            FallbackModel(Scripted("first", _http()), GOOD, fallback_on=fallback_on).request(HI, None, NOTHING)  # type: ignore[arg-type] # the same


def test_fallback_on_a_function() -> None:
    """``fallback_on`` may be a function of the exception."""

    def is_busy(error: Exception) -> bool:
        return isinstance(error, ModelHTTPError) and error.status_code == 503

    busy = FallbackModel(Scripted("first", _http(503)), GOOD, fallback_on=is_busy)
    assert busy.request(HI, None, NOTHING).parts == [TextPart("I am good")]
    with pytest.raises(ModelHTTPError):
        FallbackModel(Scripted("first", _http(400)), GOOD, fallback_on=is_busy).request(HI, None, NOTHING)


async def _coroutine(error: Exception) -> bool:
    return True


@pytest.mark.parametrize("fallback_on", ["ModelHTTPError", (500,), int, BaseException, None, _coroutine])
def test_fallback_on_something_else(fallback_on: Any) -> None:
    """A ``fallback_on`` that is neither exceptions nor a plain function is refused when the model is built."""
    with pytest.raises(UserError):
        FallbackModel(GOOD, fallback_on=fallback_on)


def test_fallback_inside_fallback() -> None:
    """A fallback whose models all failed for a reason is itself a reason; otherwise its group is raised."""
    inner = FallbackModel(Scripted("a", _http()), Scripted("b", _http()))
    assert FallbackModel(inner, GOOD).request(HI, None, NOTHING).parts == [TextPart("I am good")]
    assert FallbackModel(inner, GOOD).model_name == "fallback:fallback:a,b,good"
    strict = FallbackModel(Scripted("a", KeyError()), fallback_on=KeyError)
    with pytest.raises(FallbackExceptionGroup):
        FallbackModel(strict, GOOD).request(HI, None, NOTHING)


def test_failures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each failure is one WARNING with the model's name and the error's class, and nothing of what was said."""
    first = Scripted("first", ModelHTTPError(500, "m", {"prompt": "secret"}))
    with caplog.at_level(logging.DEBUG, "syncagent"):
        FallbackModel(first, GOOD).request(HI, None, NOTHING)
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("syncagent.models.fallback", "WARNING", "Model first failed with ModelHTTPError.")
    ]


# --- streams ---------------------------------------------------------------------------------------


def test_stream_of_the_first() -> None:
    """A stream that begins is handed out whole, from its first event on, by its model's name."""
    with FallbackModel(Scripted("a", TEXT, MORE), GOOD).request_stream(HI, None, NOTHING) as response:
        assert list(response) == [TEXT, MORE]
    assert response.get().parts == [TextPart("Hello there")]
    assert response.model_name == "a"


@pytest.mark.parametrize(
    "before",
    [
        (),
        (PartStartEvent(0, TextPart("")),),
        (PartStartEvent(0, ThinkingPart("")), PartStartEvent(1, ToolCallPart("t", ""))),
    ],
)
def test_stream_that_fails_before_its_first_content(before: tuple[Any, ...]) -> None:
    """A stream that opens and fails before any content goes over to the next model, and is closed."""
    first = Scripted("opens", *before, _http())
    with FallbackModel(first, Scripted("b", TEXT)).request_stream(HI, None, NOTHING) as response:
        assert first.exits == [ModelHTTPError]
        assert list(response) == [TEXT]
    assert response.model_name == "b"


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        PartStartEvent(0, ThinkingPart("hm")),
        PartStartEvent(0, ToolCallPart("t", '{"a"')),
        PartStartEvent(0, OpaquePart("p", {})),
    ],
)
def test_stream_that_fails_after_content(content: Any) -> None:
    """After the first content the stream's error is the caller's, and no other model is asked."""
    second = Scripted("b", TEXT)
    seen = []
    with pytest.raises(ModelHTTPError):
        with FallbackModel(Scripted("opens", content, _http()), second).request_stream(HI, None, NOTHING) as response:
            for event in response:
                seen.append(event)
    assert seen == [content]
    assert second.seen == []


def test_all_streams_failed() -> None:
    """Where no stream begins, a group holds each model's error."""
    with pytest.raises(FallbackExceptionGroup) as raised:
        _events(FallbackModel(Scripted("a", _http()), Scripted("opens", _http())))
    assert [type(error) for error in raised.value.exceptions] == [ModelHTTPError, ModelHTTPError]


def test_empty_stream_is_an_answer() -> None:
    """A stream without any event is an empty response, as it would be without a fallback."""
    second = Scripted("b", TEXT)
    assert _events(FallbackModel(Scripted("a"), second)) == []
    assert second.seen == []


def test_the_callers_own_error() -> None:
    """An error of the code inside the ``with`` closes the stream and asks no other model."""
    first, second = Scripted("a", TEXT, MORE), Scripted("b", TEXT)
    with pytest.raises(ModelHTTPError), FallbackModel(first, second).request_stream(HI, None, NOTHING):
        raise _http()
    assert (first.exits, second.seen) == ([ModelHTTPError], [])


def test_streams_of_real_models() -> None:
    """It works with models that come with the package."""
    events = _events(FallbackModel(Scripted("a", _http()), TestModel(custom_result_text="one two")))
    assert events[1:] == [PartDeltaEvent(0, TextPartDelta("one ")), PartDeltaEvent(0, TextPartDelta("two"))]
