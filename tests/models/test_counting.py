"""``count_tokens``: asked of the providers that have it, refused by name elsewhere."""

from __future__ import annotations

import pytest

from syncagent.messages import ModelRequest, PartStartEvent, TextPart, UserPromptPart
from syncagent.models.base import StreamedResponse
from syncagent.models.openai import OpenAIModel
from syncagent.models.test import TestModel
from syncagent.models.wire import ResponseInfo
from syncagent.models.wrapper import WrapperModel

_ASKED = [ModelRequest([UserPromptPart("Hi")])]


@pytest.mark.parametrize("model", [TestModel(), OpenAIModel("m"), WrapperModel(TestModel())])
def test_not_supported(model: TestModel) -> None:
    """A model whose provider cannot count says so, before anything is sent."""
    with pytest.raises(NotImplementedError, match=r"^Counting tokens is not supported by this (Test|OpenAI)Model$"):
        model.count_tokens(_ASKED)


def test_items_after_the_end() -> None:
    """A stream that is extended reads on, and only once its own items have ended."""
    asked = []

    def more() -> object:
        asked.append(response.get().parts)
        yield PartStartEvent(1, TextPart("b"))
        yield ResponseInfo(complete=True)

    response = StreamedResponse([PartStartEvent(0, TextPart("a"))], model_name="m")
    response.extend(more())  # type: ignore[arg-type] # a generator of items
    events = iter(response)
    assert next(events) == PartStartEvent(0, TextPart("a"))
    assert asked == []
    assert list(events) == [PartStartEvent(1, TextPart("b"))]
    assert asked == [[TextPart("a")]]
    assert response.get().parts == [TextPart("a"), TextPart("b")]
    assert response.info.complete
