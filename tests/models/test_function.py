"""FunctionModel: a function answers; its usage is estimated, and its streams are what it yields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Optional, Union

import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import RunCancelled, UserError
from syncagent.messages import (
    AudioUrl,
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    PartDeltaEvent,
    PartStartEvent,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.models import override_allow_model_requests
from syncagent.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from syncagent.settings import ModelSettings
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.usage import Usage

HI: list[ModelMessage] = [ModelRequest([UserPromptPart("hi there")])]
NOTHING = ModelRequestParameters()


def hello(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    return ModelResponse([TextPart("Hello, world")])


def hello_stream(messages: list[ModelMessage], info: AgentInfo) -> Iterator[str]:
    yield "Hello, "
    yield "world"


def _stream(function: Any, parameters: ModelRequestParameters = NOTHING) -> tuple[list[Any], ModelResponse, Usage]:
    with FunctionModel(stream_function=function).request_stream(HI, None, parameters) as response:
        events = list(response)
    assert response.info.complete
    return events, response.get(), response.usage()


# --- building --------------------------------------------------------------------------------------


def test_names() -> None:
    """The name is ``function:`` and both functions' names, one that is missing being empty, or what was given."""
    assert FunctionModel(hello).model_name == "function:hello:"
    assert FunctionModel(stream_function=hello_stream).model_name == "function::hello_stream"
    assert FunctionModel(hello, stream_function=hello_stream).model_name == "function:hello:hello_stream"
    assert FunctionModel(hello, model_name="mine").model_name == "mine"
    assert FunctionModel(hello).system == "function"


def test_name_of_a_callable_object() -> None:
    """A callable without a name of its own has its class's."""

    class Answer:
        def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            return ModelResponse([TextPart("yes")])

    model = FunctionModel(Answer())
    assert model.model_name == "function:Answer:"
    assert model.request(HI, None, NOTHING).parts == [TextPart("yes")]


def test_neither_function() -> None:
    """Without any function it is a TypeError."""
    with pytest.raises(TypeError, match=r"^Either `function` or `stream_function` must be provided$"):
        FunctionModel()


async def _coroutine(messages: Any, info: Any) -> Any: ...


async def _async_generator(messages: Any, info: Any) -> Any:
    yield "x"


@pytest.mark.parametrize("given", [_coroutine, _async_generator])
@pytest.mark.parametrize("name", ["function", "stream_function"])
def test_coroutine_functions_are_refused(name: str, given: Any) -> None:
    """An ``async def`` is refused when the model is built."""
    with pytest.raises(UserError, match=given.__name__):
        FunctionModel(**{name: given})


@pytest.mark.parametrize("name", ["function", "stream_function"])
def test_only_functions(name: str) -> None:
    """Something that cannot be called is refused when the model is built."""
    with pytest.raises(UserError, match=f"^FunctionModel's `{name}` is a function; got str.$"):
        FunctionModel(**{name: "hello"})  # type: ignore[arg-type] # that is the point


# --- requests --------------------------------------------------------------------------------------


def test_request() -> None:
    """The function's response comes with the model's name and an estimated usage, where real requests are forbidden."""
    with override_allow_model_requests(False):
        response = FunctionModel(hello).request(HI, None, NOTHING)
    assert response.parts == [TextPart("Hello, world")]
    assert response.model_name == "function:hello:"
    assert response.usage == Usage(request_tokens=52, response_tokens=2, total_tokens=54)


def test_what_the_function_sees() -> None:
    """The function gets the messages and, in ``AgentInfo``, tools, settings and the result's schema."""
    seen: list[Any] = []

    def look(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.extend([messages, info])
        return ModelResponse([TextPart("x")])

    tool, result = ToolDefinition("t", "", {"type": "object"}), ToolDefinition("final_result", "", {"type": "object"})
    parameters = ModelRequestParameters([tool], False, [result], result_schema={"type": "object"})
    settings: ModelSettings = {"temperature": 0}
    FunctionModel(look).request(HI, settings, parameters)
    assert seen[0] is HI
    assert seen[1] == AgentInfo([tool], False, [result], {"temperature": 0}, {"type": "object"})


def test_the_same_response_again() -> None:
    """A function may return one object every time: each request has a response of its own, and that one stays."""
    canned = ModelResponse([TextPart("again")])
    model = FunctionModel(lambda messages, info: canned)
    first, second = model.request(HI, None, NOTHING), model.request([*HI, *HI], None, NOTHING)
    assert first is not second is not canned
    first.parts.clear()
    assert canned.parts == second.parts == [TextPart("again")]
    assert (canned.usage, canned.model_name) == (Usage(), None)
    assert (first.usage.request_tokens, second.usage.request_tokens) == (52, 54)


def test_own_usage_and_name_are_kept() -> None:
    """What the function says of usage and name is kept."""
    usage = Usage(request_tokens=1)
    model = FunctionModel(lambda messages, info: ModelResponse([TextPart("x")], "gpt", usage=usage))
    response = model.request(HI, None, NOTHING)
    assert (response.usage, response.model_name) == (usage, "gpt")


@pytest.mark.parametrize("returned", [None, "text", (ModelResponse([]), 1, 2)])
def test_wrong_return(returned: Any) -> None:
    """A function that returns something else is an error that names it and what came."""

    def wrong(messages: list[ModelMessage], info: AgentInfo) -> Any:
        return returned

    text = f"`function` returns a ModelResponse; wrong returned {type(returned).__name__}."
    with pytest.raises(UserError, match=re.escape(text)):
        FunctionModel(wrong).request(HI, None, NOTHING)


@pytest.mark.parametrize("streamed", [False, True])
def test_returned_coroutine(streamed: bool) -> None:
    """A coroutine that a plain function returns is refused and closed, so that Python has nothing to warn of."""

    def wrong(messages: list[ModelMessage], info: AgentInfo) -> Any:
        return _coroutine(messages, info)

    model = FunctionModel(wrong, stream_function=wrong)
    with pytest.raises(UserError, match="wrong returned coroutine"):
        if streamed:
            with model.request_stream(HI, None, NOTHING):
                pass
        else:
            model.request(HI, None, NOTHING)


def test_missing_function() -> None:
    """A request without streaming needs ``function``, a streamed one ``stream_function``."""
    with pytest.raises(UserError, match="has only a `stream_function`"):
        FunctionModel(stream_function=hello_stream).request(HI, None, NOTHING)
    with pytest.raises(UserError, match="has no `stream_function`"), FunctionModel(hello).request_stream(
        HI, None, NOTHING
    ):
        pass


# --- estimates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        (UserPromptPart(""), 0),
        (UserPromptPart("one"), 1),
        (UserPromptPart(" one two\n"), 2),
        (UserPromptPart("What is the capital? Answer with just the city."), 10),  # a full stop ends in an empty word
        (UserPromptPart(["one two", ImageUrl("http://x/a"), AudioUrl("http://x/b"), BinaryContent(b"1", "x/y")]), 2),
        (SystemPromptPart("be brief"), 2),
        (ToolReturnPart("t", {"a": 1}), 3),
        (ToolReturnPart("t", "plain text"), 2),
        (RetryPromptPart("bad"), 8),
    ],
)  # fmt: skip
def test_estimated_request_tokens(part: Any, tokens: int) -> None:
    """A request counts 50 and its words, of every part; words end at white space and ``",.:``, media count nothing."""
    response = FunctionModel(hello).request([ModelRequest([part])], None, NOTHING)
    assert response.usage.request_tokens == 50 + tokens


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        (TextPart("one two"), 2),
        (ThinkingPart("well then"), 2),
        (ToolCallPart("t", {"a": 1}), 1 + 3),
        (ToolCallPart("t", '{"a": "x y"}'), 1 + 5),
        (ToolCallPart("t", ""), 1),
        (OpaquePart("p", {"text": "one two"}), 0),
    ],
)
def test_estimated_response_tokens(part: Any, tokens: int) -> None:
    """A response counts its words, and one for each tool call; earlier responses are not counted again."""
    model = FunctionModel(lambda messages, info: ModelResponse([part]))
    response = model.request([*HI, ModelResponse([TextPart("many words more")]), *HI], None, NOTHING)
    assert response.usage == Usage(request_tokens=54, response_tokens=tokens, total_tokens=54 + tokens)


# --- streams ---------------------------------------------------------------------------------------


def test_streamed_text() -> None:
    """Texts become one part and its deltas; usage grows with them."""
    seen: list[Optional[int]] = []
    with FunctionModel(stream_function=hello_stream).request_stream(HI, None, NOTHING) as response:
        assert response.usage() == Usage()
        events = []
        for event in response:
            events.append(event)
            seen.append(response.usage().response_tokens)
    assert events == [PartStartEvent(0, TextPart("Hello, ")), PartDeltaEvent(0, TextPartDelta("world"))]
    assert seen == [2, 3]
    assert response.get().parts == [TextPart("Hello, world")]
    assert response.get().model_name == "function::hello_stream"
    assert response.usage() == Usage(request_tokens=52, response_tokens=3, total_tokens=55)


def test_streamed_tool_calls() -> None:
    """Calls begin once they have name and arguments, and are numbered as they begin, among the text."""

    def calls(messages: list[ModelMessage], info: AgentInfo) -> Iterator[Union[str, DeltaToolCalls]]:
        yield {7: DeltaToolCall("fi", tool_call_id="id7")}
        yield "text"
        yield {7: DeltaToolCall("rst"), 3: DeltaToolCall("second", '{"b":')}
        yield {3: DeltaToolCall(json_args="2}"), 7: DeltaToolCall(json_args="{}")}
        yield " more"

    events, response, usage = _stream(calls)
    assert events == [
        PartStartEvent(1, TextPart("text")),
        PartStartEvent(2, ToolCallPart("second", '{"b":')),
        PartDeltaEvent(2, ToolCallPartDelta(None, "2}")),
        PartStartEvent(0, ToolCallPart("first", "{}", "id7")),
        PartDeltaEvent(1, TextPartDelta(" more")),
    ]
    assert response.parts == [
        ToolCallPart("first", "{}", "id7"),
        TextPart("text more"),
        ToolCallPart("second", '{"b":2}'),
    ]
    assert usage.response_tokens == 2 + 2 + (3 + 1) + 1


def test_half_a_tool_call() -> None:
    """A call that never gets arguments is left out."""
    events, response, _ = _stream(lambda messages, info: [{0: DeltaToolCall("name")}])
    assert events == response.parts == []


def test_empty_stream() -> None:
    """A stream without anything is an empty response, which the run asks about again."""
    events, response, usage = _stream(lambda messages, info: iter(()))
    assert events == response.parts == []
    assert usage == Usage(request_tokens=52, response_tokens=0, total_tokens=52)


@pytest.mark.parametrize("returned", [None, 3, "text", b"bytes", {0: DeltaToolCall("x")}])
def test_stream_function_that_gives_no_stream(returned: Any) -> None:
    """A stream function that returns no iterable of pieces is an error that says what came."""
    model = FunctionModel(stream_function=lambda messages, info: returned)
    with pytest.raises(UserError, match=f"returned {type(returned).__name__}"), model.request_stream(HI, None, NOTHING):
        pass


@pytest.mark.parametrize("piece", [None, 3, TextPart("x"), {0: "text"}])
def test_wrong_piece(piece: Any) -> None:
    """A piece that is neither text nor tool calls is an error that says what came."""
    with pytest.raises(UserError, match=f"yields texts and .* got {type(piece).__name__}"):
        _stream(lambda messages, info: [piece])


def test_leaving_closes_the_generator() -> None:
    """Leaving the ``with`` early closes the function's generator at once."""
    closed = []

    def endless(messages: list[ModelMessage], info: AgentInfo) -> Iterator[str]:
        try:
            while True:
                yield "x "
        finally:
            closed.append(True)

    with FunctionModel(stream_function=endless).request_stream(HI, None, NOTHING) as response:
        assert next(iter(response)) == PartStartEvent(0, TextPart("x "))
        kept = iter(response)
    assert closed == [True]
    assert list(kept) == []
    assert not response.info.complete


def test_cancelling_ends_a_stream() -> None:
    """The run's deadline is looked at between the pieces."""
    deadline = Deadline()

    def cancelling(messages: list[ModelMessage], info: AgentInfo) -> Iterator[str]:
        yield "before"
        deadline.cancel()
        yield "after"

    model = FunctionModel(stream_function=cancelling)
    with pytest.raises(RunCancelled):
        with model.request_stream(HI, None, ModelRequestParameters(deadline=deadline)) as response:
            list(response)
    assert response.get().parts == [TextPart("before")]
