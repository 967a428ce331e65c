"""WrapperModel: everything is the wrapped model's, until a subclass says otherwise."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from syncagent.exceptions import UserError
from syncagent.messages import ModelMessage, ModelRequest, ModelResponse, PartStartEvent, TextPart, UserPromptPart
from syncagent.models.base import Model, StreamedResponse
from syncagent.models.profiles import ModelProfile
from syncagent.models.test import TestModel
from syncagent.models.wrapper import WrapperModel
from syncagent.tools import ModelRequestParameters

HI: list[ModelMessage] = [ModelRequest([UserPromptPart("hi")])]
NOTHING = ModelRequestParameters()
PROFILE = ModelProfile(result_mode="native", native_with_tools=False)


class Inner(Model):
    """Says what it was asked, and has more than a model must have."""

    extra = "more"

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.left = False

    @property
    def model_name(self) -> str:
        return "inner"

    @property
    def system(self) -> str:
        return "inner-system"

    @property
    def base_url(self) -> str:
        return "https://inner.example"

    @property
    def profile(self) -> ModelProfile:
        return PROFILE

    def check(self) -> None:
        raise UserError("no key")

    def request(self, *arguments: Any) -> ModelResponse:  # type: ignore[override] # it only keeps them
        self.asked.append(arguments)
        return ModelResponse([TextPart("answer")])

    @contextmanager
    def request_stream(self, *arguments: Any) -> Iterator[StreamedResponse]:  # type: ignore[override] # the same
        self.asked.append(arguments)
        try:
            yield StreamedResponse([PartStartEvent(0, TextPart("answer"))], model_name="inner")
        finally:
            self.left = True


def test_everything_is_the_wrapped_models() -> None:
    """Name, system, address, profile and check are the wrapped model's, and so are unknown attributes."""
    inner = Inner()
    model = WrapperModel(inner)
    assert model.wrapped is inner
    assert (model.model_name, model.system, model.base_url) == ("inner", "inner-system", "https://inner.example")
    assert model.profile is PROFILE
    assert model.extra == "more"
    with pytest.raises(UserError, match="no key"):
        model.check()


def test_requests_are_passed_on() -> None:
    """A request reaches the wrapped model with the very arguments, and its answer comes back as it is."""
    inner = Inner()
    settings: Any = {"seed": 1}
    response = WrapperModel(inner).request(HI, settings, NOTHING)
    assert response.parts == [TextPart("answer")]
    assert [id(argument) for argument in inner.asked[0]] == [id(HI), id(settings), id(NOTHING)]


def test_streams_are_passed_on() -> None:
    """A streamed request is the wrapped model's, and leaving it leaves the wrapped model's."""
    inner = Inner()
    with WrapperModel(inner).request_stream(HI, None, NOTHING) as response:
        assert list(response) == [PartStartEvent(0, TextPart("answer"))]
        assert not inner.left
    assert inner.left
    assert [id(argument) for argument in inner.asked[0]] == [id(HI), id(None), id(NOTHING)]


def test_an_error_inside_the_stream_reaches_the_wrapped_model() -> None:
    """An error of the caller's leaves the wrapped model's stream as well."""
    inner = Inner()
    with pytest.raises(KeyError), WrapperModel(inner).request_stream(HI, None, NOTHING):
        raise KeyError
    assert inner.left


def test_subclass_changes_one_thing() -> None:
    """A subclass overrides what it wants; the rest stays the wrapped model's."""

    class Polite(WrapperModel):
        def request(self, messages: Any, model_settings: Any, model_request_parameters: Any) -> ModelResponse:
            asked = [*messages, ModelRequest([UserPromptPart("please")])]
            return super().request(asked, model_settings, model_request_parameters)

    inner = Inner()
    Polite(inner).request(HI, None, NOTHING)
    assert len(inner.asked[0][0]) == 2
    assert Polite(inner).model_name == "inner"


def test_by_name() -> None:
    """The wrapped model may be given by its name; anything else is refused."""
    assert isinstance(WrapperModel("test").wrapped, TestModel)
    with pytest.raises(UserError, match=r"WrapperModel\(wrapped\) is a model or a model's name; got int"):
        WrapperModel(3)  # type: ignore[arg-type] # that is the point


def test_unknown_attribute() -> None:
    """An attribute that neither has is an AttributeError."""
    model = WrapperModel(TestModel())
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = model.nothing_like_it
    assert not hasattr(model, "__html__")


def test_copies_and_pickles() -> None:
    """A wrapper can be copied and pickled: special methods are not the wrapped model's."""
    model = WrapperModel(TestModel(seed=4))
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(twin) is WrapperModel
        assert twin.seed == 4
