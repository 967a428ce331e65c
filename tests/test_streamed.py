"""``Agent.run_stream``: a result while it comes."""

from __future__ import annotations

import datetime as dt
import gc
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional, Union

import attrs
import pytest

from syncagent import Agent, Deadline, ModelRetry, RunContext, UsageLimits
from syncagent.deadline import current_deadline
from syncagent.exceptions import (
    AgentRunError,
    DeadlineExceeded,
    FallbackExceptionGroup,
    IncompleteStreamError,
    ModelConnectionError,
    RunCancelled,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
    UserError,
)
from syncagent.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    RetryPromptPart,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.models.base import Model, StreamedResponse
from syncagent.models.fallback import FallbackModel
from syncagent.models.function import AgentInfo, DeltaToolCall, FunctionModel
from syncagent.models.test import TestModel
from syncagent.models.wire import ResponseInfo
from syncagent.models.wrapper import WrapperModel
from syncagent.schema.errors import ValidationError
from syncagent.usage import Usage

Pieces = list[Any]


@attrs.define
class City:
    """A city."""

    name: str
    people: int = 0


def scripted(*responses: Pieces) -> FunctionModel:
    """A model that streams these responses one after the other; an exception among the pieces is raised."""
    left = list(responses)

    def stream(messages: list[ModelMessage], info: AgentInfo) -> Iterator[Any]:
        for piece in left.pop(0):
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    return FunctionModel(stream_function=stream)


def call(name: str, args: str, key: int = 0) -> dict[int, DeltaToolCall]:
    """A whole tool call as one piece."""
    return {key: DeltaToolCall(name, args, f"id-{name}-{key}")}


class EventModel(Model):
    """Streams events; a callable among them is called when its turn comes."""

    model_name = "events"
    system = "test"

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.closed = 0

    def request(self, *_: Any) -> ModelResponse:
        raise AssertionError("this model only streams")

    @contextmanager
    def request_stream(self, *_: Any) -> Iterator[StreamedResponse]:
        def events() -> Iterator[Any]:
            for item in self.items:
                if callable(item):
                    item()
                else:
                    yield item

        try:
            yield StreamedResponse(events(), model_name="events", provider_name="test")
        finally:
            self.closed += 1


def start(text: str, index: int = 0) -> PartStartEvent:
    return PartStartEvent(index, TextPart(text))


def more(text: str, index: int = 0) -> PartDeltaEvent:
    return PartDeltaEvent(index, TextPartDelta(text))


def with_tool(model: Model, **options: Any) -> tuple[Agent[None, Any], list[int]]:
    """An agent with one tool, and the list of what it was called with."""
    called: list[int] = []
    agent: Agent[None, Any] = Agent(model, **options)

    @agent.tool_plain
    def double(x: int) -> int:
        """Double a number."""
        called.append(x)
        return 2 * x

    return agent, called


# --- text ---------------------------------------------------------------------------------------------


def test_text_grows() -> None:
    """``stream_text()`` gives all text so far, ``delta=True`` only what is new; then the run is over."""
    agent = Agent(scripted(["The ", "cat ", "sat."]))
    with agent.run_stream("Hello") as result:
        assert not result.is_complete
        assert list(result.stream_text(debounce_by=None)) == ["The ", "The cat ", "The cat sat."]
        assert result.is_complete
        assert list(result.stream_text(debounce_by=None)) == ["The cat sat."]
        assert list(result.stream_text(delta=True)) == []
        assert result.data == result.get_data() == result.get_output() == "The cat sat."
    with Agent(scripted(["The ", "cat ", "sat."])).run_stream("Hello") as result:
        assert list(result.stream_text(delta=True, debounce_by=None)) == ["The ", "cat ", "sat."]
        assert result.data == "The cat sat."


def test_text_is_debounced() -> None:
    """What comes within the time is one value; the first value comes at once."""
    with Agent(scripted(["a", "b", "c"])).run_stream("Hello") as result:
        assert list(result.stream_text(debounce_by=5)) == ["a", "abc"]
    with Agent(scripted(["a", "b", "c"])).run_stream("Hello") as result:
        assert list(result.stream_text(delta=True)) == ["a", "bc"]


def test_text_goes_on_where_another_iterator_left_off() -> None:
    """Iterators share the stream: deltas that were skipped stand in the text of one that wants all."""
    with Agent(EventModel(start("a"), more("b"), start("c", 1), more("d", 1))).run_stream("Hello") as result:
        deltas = result.stream_text(delta=True, debounce_by=None)
        assert [next(deltas), next(deltas)] == ["a", "b"]
        texts = result.stream_text(debounce_by=None)
        assert [next(texts), next(texts)] == ["ab", "ab\n\nc"]
        assert next(deltas) == "d"
        assert list(texts) == []
        assert list(result.stream_text()) == ["ab\n\ncd"]


def test_text_that_was_read_ahead_is_not_given_twice() -> None:
    """What was read to find out whether the response can be final is handed out once."""
    items = [PartStartEvent(0, ThinkingPart("hm")), start("a", 1), more("b", 1)]
    with Agent(EventModel(*items)).run_stream("Hello") as result:
        result._skim([start("x")])  # as if text had been handed out and not kept
        assert list(result.stream_text(debounce_by=None))[-1].endswith("ab")
        assert result.data == "ab"


def test_text_of_a_typed_result() -> None:
    """``stream_text`` on a typed result is a user's error, in every result mode."""
    for options in ({}, {"result_mode": "native"}, {"result_mode": "prompted"}):
        agent: Agent[None, Any] = Agent(TestModel(), result_type=City, **options)
        with agent.run_stream("Hello") as result, pytest.raises(UserError, match="only be used with text responses"):
            next(result.stream_text())


def test_text_before_a_tool_call_is_not_the_answer() -> None:
    """The tools run, the model is asked again, and the text goes on after a blank line; the result is the last text."""
    for delta, expected in (
        (False, ["Let me ", "Let me see.", "Let me see.\n\nIt is ", "Let me see.\n\nIt is 14."]),
        (True, ["Let me ", "see.", "\n\nIt is ", "14."]),
    ):
        agent, called = with_tool(scripted(["Let me ", "see.", call("double", '{"x": 7}', 1)], ["It is ", "14."]))
        with agent.run_stream("Hello") as result:
            assert list(result.stream_text(delta=delta, debounce_by=None)) == expected
            assert result.data == "It is 14."
            kinds = [[type(part) for part in message.parts] for message in result.all_messages()]
            assert list(result.stream_text()) == ["Let me see.\n\nIt is 14."]
        assert called == [7]
        assert kinds == [[UserPromptPart], [TextPart, ToolCallPart], [ToolReturnPart], [TextPart]]
        assert result.usage().requests == 2


def test_tools_before_any_text_run_before_the_stream_begins() -> None:
    """Responses that cannot be final are over when ``run_stream`` hands the result over."""
    agent, called = with_tool(scripted([call("double", '{"x": 7}')], ["14"]))
    with agent.run_stream("Hello") as result:
        assert called == [7]
        assert [type(message) for message in result.all_messages()] == [ModelRequest, ModelResponse, ModelRequest]
        assert result.get_data() == "14"


def test_the_streams_of_a_test_model() -> None:
    """TestModel calls its tools and streams its answer word by word."""
    agent, called = with_tool(TestModel(custom_result_text="one two three"))
    with agent.run_stream("Hello") as result:
        assert list(result.stream_text(delta=True, debounce_by=None)) == ["one ", "two ", "three"]
    assert called == [0]


def test_a_text_validator_runs_once() -> None:
    """It sees the final text only, and its answer is the result; the text that was handed out stays."""
    agent = Agent(scripted(["a", "b"]))
    seen = []

    @agent.result_validator
    def check(ctx: RunContext[None], text: str) -> str:
        seen.append(text)
        return text.upper()

    with agent.run_stream("Hello") as result:
        assert list(result.stream_text(debounce_by=None)) == ["a", "ab"]
        assert result.data == "AB"
    assert seen == ["ab"]


@pytest.mark.parametrize("way", ["stream_text", "stream", "stream_structured"])
def test_a_refused_text_cannot_be_taken_back(way: str) -> None:
    """What was handed out cannot be asked for again: the refusal is an error with the messages."""
    agent = Agent(scripted(["a", "b"], ["never asked"]))

    @agent.result_validator
    def check(text: str) -> str:
        raise ModelRetry("not this")

    with agent.run_stream("Hello") as result, pytest.raises(UnexpectedModelBehavior, match="refused after") as caught:
        for _ in getattr(result, way)():
            continue
    assert [type(message) for message in caught.value.messages or []] == [ModelRequest, ModelResponse]
    assert isinstance(caught.value.__cause__, ModelRetry)
    assert caught.value.usage == Usage(1, 51, 2, 53)
    assert not result.is_complete


def test_what_nobody_saw_can_be_asked_again() -> None:
    """``get_data`` without a value handed out asks again, as ``run_sync`` does."""
    agent = Agent(scripted(["a"], ["b"]))

    @agent.result_validator
    def check(text: str) -> str:
        if text == "a":
            raise ModelRetry("not this")
        return text

    with agent.run_stream("Hello") as result:
        assert result.get_data() == "b"
        request = result.all_messages()[2]
        assert isinstance(request.parts[0], RetryPromptPart)


def test_an_empty_response_is_asked_again() -> None:
    """A response without parts counts as a retry, before the stream is handed over."""
    with Agent(scripted([], ["b"])).run_stream("Hello") as result:
        assert list(result.stream_text()) == ["b"]


# --- typed results ------------------------------------------------------------------------------------


def test_the_last_value_comes_twice() -> None:
    """``stream()`` gives partial values and then the result."""
    agent = Agent(scripted([call("final_result", '{"name": "P'), {0: DeltaToolCall(None, 'aris"}')}]), result_type=City)
    with agent.run_stream("Hello") as result:
        assert list(result.stream(debounce_by=None)) == [City("P"), City("Paris"), City("Paris")]
        assert list(result.stream()) == [City("Paris")]
        last = result.all_messages()[-1].parts[0]
        assert isinstance(last, ToolReturnPart)
        assert last.content == "Final result processed."


def test_text_or_a_value() -> None:
    """With ``str`` in the union, text and result tools are both final, whichever comes."""
    result_type: Any = Union[str, City]
    with Agent(scripted(["a", "b"]), result_type=result_type).run_stream("Hello") as result:
        assert list(result.stream_text()) == ["a", "ab"]
    with Agent(scripted([call("final_result", '{"name": "P"}')]), result_type=result_type).run_stream("x") as result:
        assert list(result.stream(debounce_by=None))[-1] == City("P")
    pieces = ["Here: ", call("final_result", '{"name": "P"}', 1)]
    with Agent(scripted(pieces), result_type=result_type).run_stream("Hello") as result:
        assert list(result.stream_text()) == ["Here: "]
        assert result.data == City("P")


def test_one_tool_for_each_member() -> None:
    """A union without ``str`` takes whichever tool is called."""
    agent: Agent[None, Any] = Agent(
        scripted([call("final_result_int", '{"response": 7}')]), result_type=Union[City, int]
    )
    with agent.run_stream("Hello") as result:
        assert list(result.stream()) == [7, 7]


def test_a_result_tool_ends_the_run() -> None:
    """``end_strategy`` decides about function tools beside it, as in a run without a stream."""
    for strategy, expected in (("early", []), ("exhaustive", [7])):
        pieces = [call("final_result", '{"name": "P"}'), call("double", '{"x": 7}', 1)]
        agent, called = with_tool(scripted(pieces), result_type=City, end_strategy=strategy)
        with agent.run_stream("Hello") as result:
            assert list(result.stream())[-1] == City("P")
        assert called == expected


def test_a_refused_value_cannot_be_taken_back() -> None:
    """Where partial values were handed out, a result that does not hold in the end is an error."""
    pieces = [call("final_result", '{"name": "P", "people": "ma'), {0: DeltaToolCall(None, 'ny"}')}]
    with Agent(scripted(pieces), result_type=City).run_stream("Hello") as result:
        with pytest.raises(UnexpectedModelBehavior) as caught:
            list(result.stream(debounce_by=None))
    assert isinstance(caught.value.__cause__, ValidationError)
    assert len(caught.value.messages or []) == 2


def test_a_value_beside_the_refused_one_counts() -> None:
    """Where no value was handed out the model is asked again, and the stream goes on with its answer."""
    first = [call("final_result", '{"people": 1}')]
    with Agent(scripted(first, [call("final_result", '{"name": "P"}')]), result_type=City).run_stream("x") as result:
        assert list(result.stream(debounce_by=None)) == [City("P"), City("P")]
        assert result.usage().requests == 2


def test_structured_responses() -> None:
    """``stream_structured`` gives the response so far; that it is the last is said once, at the end."""
    agent = Agent(scripted(["Hm. ", call("double", '{"x": 1}', 1)], ["a", "b"]))
    agent.tool_plain(lambda x: x, name="double")
    with agent.run_stream("Hello") as result:
        given = list(result.stream_structured(debounce_by=None))
        assert [last for _, last in given].count(True) == 1
        message, last = given[-1]
        assert last
        assert message.parts == [TextPart("ab")]
        assert message is result.all_messages()[-1]
        assert [message.parts for message, _ in given if len(message.parts) == 1][:1] == [[TextPart("Hm. ")]]


def test_validating_a_response() -> None:
    """A response's result can be made by hand, whole or as far as it came."""
    agent = Agent(
        scripted([call("final_result", '{"name": "P', 0), {0: DeltaToolCall(None, 'aris"}')}]), result_type=City
    )

    @agent.result_validator
    def check(ctx: RunContext[None], city: City) -> City:
        assert (ctx.tool_name, ctx.tool_call_id) == ("final_result", "id-final_result-0")
        return City(city.name + "!")

    with agent.run_stream("Hello") as result:
        cities = [
            result.validate_structured_result(message, allow_partial=not last)
            for message, last in result.stream_structured(debounce_by=None)
        ]
        assert cities == [City("P!"), City("Paris!"), City("Paris!")]
        cut = ModelResponse([ToolCallPart("final_result", '{"na', "id-final_result-0")])
        with pytest.raises(UnexpectedModelBehavior, match="partial"):
            result.validate_structured_result(cut, allow_partial=True)
        with pytest.raises(ValidationError):
            result.validate_structured_result(cut)
        with pytest.raises(UnexpectedModelBehavior, match="unable to find tool"):
            result.validate_structured_result(ModelResponse([TextPart("Paris")]))


def test_validating_texts() -> None:
    """Text is validated as the run would: as it is, or as JSON in the modes that ask for it."""
    with Agent(scripted(["a"])).run_stream("Hello") as result:
        assert result.validate_structured_result(ModelResponse([TextPart("a"), TextPart("b")])) == "a\n\nb"
        assert result.validate_structured_result(ModelResponse([TextPart("a")]), allow_partial=True) == "a"
    native: Agent[None, City] = Agent(scripted(['{"name": "P"}']), result_type=City, result_mode="native")
    with native.run_stream("Hello") as typed:
        text = ModelResponse([TextPart('{"name": "Q"}')])
        assert typed.validate_structured_result(text) == City("Q")
        assert typed.validate_structured_result(text, allow_partial=True) == City("Q")


# --- messages, usage, what it says of itself -----------------------------------------------------------


def test_messages_and_what_they_are_called() -> None:
    """The response stands in the messages once it was read to its end; new messages are this run's."""
    history: list[ModelMessage] = [ModelRequest([UserPromptPart("before")]), ModelResponse([TextPart("yes")])]
    with Agent(scripted(["a", "b"])).run_stream("Hello", message_history=history) as result:
        assert len(result.all_messages()) == 3
        before = dt.datetime.now(dt.timezone.utc)
        assert abs(result.timestamp() - before) < dt.timedelta(seconds=5)
        assert repr(result).startswith("<StreamedRunResult is_complete=False usage=Usage(")
        assert result.get_data() == "ab"
        assert result.timestamp() == result.all_messages()[-1].timestamp  # type: ignore[union-attr] # a response
        assert result.new_messages() == result.all_messages()[2:]
        assert ModelMessagesTypeAdapter.validate_json(result.all_messages_json()) == result.all_messages()
        assert json.loads(result.new_messages_json())[1]["parts"][0]["content"] == "ab"
        for name in ("all_messages", "new_messages", "all_messages_json", "new_messages_json"):
            with pytest.raises(NotImplementedError):
                getattr(result, name)(result_tool_return_content="x")
    assert len(history) == 2


def test_usage_is_seen_while_it_grows() -> None:
    """``usage()`` counts what is known so far; the run is a request once it is over."""
    with Agent(scripted(["a ", "b ", "c "])).run_stream("Hello") as result:
        seen = []
        for _ in result.stream_text(debounce_by=None):
            seen.append(result.usage().response_tokens)
    assert seen == [1, 2, 3]
    assert result.usage() == Usage(1, 51, 3, 54)


def test_token_limits_hold_in_the_middle() -> None:
    """A limit ends the stream before the event that passes it; what was paid for stays in the history."""
    agent = Agent(scripted(["a ", "b ", "c "]))
    with agent.run_stream("Hello", usage_limits=UsageLimits(response_tokens_limit=2)) as result:
        came = []
        with pytest.raises(UsageLimitExceeded) as caught:
            for text in result.stream_text(delta=True, debounce_by=None):
                came.append(text)
    assert came == ["a ", "b "]
    messages = caught.value.messages or []
    assert messages[-1].parts == [TextPart("a b ")]
    assert caught.value.usage == Usage(1, 51, 3, 54)
    with (
        pytest.raises(UsageLimitExceeded),
        Agent(scripted(["a "])).run_stream("Hello", usage_limits=UsageLimits(request_tokens_limit=5)),
    ):
        pass


# --- leaving --------------------------------------------------------------------------------------------


def test_leaving_early_stops_the_run() -> None:
    """Leaving the ``with`` closes the model's stream at once; the cut response is not in the messages."""
    model = EventModel(ResponseInfo(usage=Usage(0, 5, 1, 6)), start("a"), more("b"), lambda: pytest.fail("read on"))
    with Agent(model).run_stream("Hello") as result:
        for _ in result.stream_text(debounce_by=None):
            break
    assert model.closed == 1
    assert not result.is_complete
    assert len(result.all_messages()) == 1
    assert result.usage() == Usage(1, 5, 1, 6)
    with pytest.raises(AgentRunError, match="closed before"):
        result.get_data()
    assert list(result.stream_text(delta=True)) == []
    assert list(result.stream_structured()) == []


def test_the_cut_response_is_kept_where_it_is_accepted() -> None:
    """With ``on_incomplete="accept"`` the text and thinking that came stand in the messages, and no tool call."""
    items = [
        PartStartEvent(0, ThinkingPart("hm")),
        start("a", 1),
        PartStartEvent(2, ToolCallPart("t", "{}", "id")),
        ResponseInfo(finish_reason="stop"),
        more("b", 1),
        lambda: pytest.fail("read on"),
    ]
    with Agent(EventModel(*items)).run_stream("Hello", model_settings={"on_incomplete": "accept"}) as result:
        texts = result.stream_text(debounce_by=None)
        assert [next(texts), next(texts)] == ["a", "ab"]
        result.close()
        assert list(texts) == []
    kept = result.all_messages()[-1]
    assert isinstance(kept, ModelResponse)
    assert kept.parts == [ThinkingPart("hm"), TextPart("ab")]
    assert kept.finish_reason is None
    assert kept.provider_details == {"incomplete": True}
    Agent(TestModel()).run_sync("Go on", message_history=result.all_messages())


@pytest.mark.parametrize("where", ["before", "inside"])
def test_an_error_of_the_model_ends_everything(where: str) -> None:
    """An error before the first text is raised by the ``with``, one after it while iterating; both carry the run."""
    error = ModelConnectionError("cut", model_name="m")
    pieces: Pieces = [error] if where == "before" else ["a", error]
    with pytest.raises(ModelConnectionError) as caught:
        with Agent(scripted(pieces)).run_stream("Hello") as result:
            assert where == "inside"
            for text in result.stream_text():
                assert text == "a"
    assert len(caught.value.messages or []) == 1
    assert caught.value.usage is not None
    assert caught.value.usage.requests == 1


def test_an_error_of_the_caller_passes_through() -> None:
    """An exception inside the ``with`` closes the stream and is the caller's own."""
    model = EventModel(start("a"), more("b"))
    with pytest.raises(ZeroDivisionError), Agent(model).run_stream("Hello"):
        raise ZeroDivisionError
    assert model.closed == 1


def test_errors_before_the_first_part_close_the_stream() -> None:
    """A stream that fails while it is searched for its first text is closed."""

    def fail() -> None:
        raise ModelConnectionError("cut", model_name="m")

    model = EventModel(PartStartEvent(0, ThinkingPart("hm")), fail)
    with pytest.raises(ModelConnectionError), Agent(model).run_stream("Hello"):
        pass
    assert model.closed == 1


def test_closing_from_another_thread() -> None:
    """The thread that reads finds the run closed; nothing is fed to the loop as if it were whole."""
    begun, go = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go.wait(10)

    with Agent(EventModel(start("a"), more("b"), wait, more("c"))).run_stream("Hello") as result:

        def close() -> None:
            begun.wait(10)
            result.close()
            go.set()

        closer = threading.Thread(target=close)
        closer.start()
        came = list(result.stream_text(delta=True, debounce_by=None))
        closer.join()
    assert came in (["a", "b"], ["a", "b", "c"])
    assert not result.is_complete
    assert len(result.all_messages()) == 1


def test_a_function_models_stream_may_be_closed_while_it_runs() -> None:
    """Nobody can end another thread's generator: it ends by itself, and closing it is no error."""
    begun, go = threading.Event(), threading.Event()

    def stream(messages: list[ModelMessage], info: AgentInfo) -> Iterator[str]:
        yield "a"
        begun.set()
        go.wait(10)
        yield "b"

    with Agent(FunctionModel(stream_function=stream)).run_stream("Hello") as result:
        errors: list[Exception] = []

        def close() -> None:
            begun.wait(10)
            try:
                result.close()
            except Exception as error:
                errors.append(error)
            go.set()

        closer = threading.Thread(target=close)
        closer.start()
        list(result.stream_text(delta=True, debounce_by=None))
        closer.join()
    assert errors == []
    gc.collect()


@pytest.mark.parametrize("method", ["stream_text", "stream", "stream_structured"])
def test_streams_left_to_the_garbage_collector(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """A stream that nobody closes is closed by the garbage collector: no log, no warning, no context variable."""
    caplog.set_level(logging.DEBUG)
    model = EventModel(start("a"), more("b"))
    context: Any = Agent(model, name="left").run_stream("Hello", deadline=5)
    values = getattr(context.__enter__(), method)()
    next(values)
    del context, values
    gc.collect()
    assert model.closed == 1
    assert current_deadline.get() is None
    assert caplog.records == []


def test_no_context_variable_crosses_a_yield() -> None:
    """Two streams read in turn see their own deadlines, their tools too, and the caller sees neither."""
    seen: dict[str, Any] = {}

    def opened(name: str, deadline: Deadline) -> Any:
        agent = Agent(scripted(["a", "b", call("look", "{}", 1)], ["c", "d"]))

        @agent.tool(name="look")
        def look(ctx: RunContext[None]) -> str:
            seen[name] = current_deadline.get()
            return "ok"

        return agent.run_stream("Hello", deadline=deadline)

    deadlines = {"one": Deadline(10), "other": Deadline(20)}
    with opened("one", deadlines["one"]) as one, opened("other", deadlines["other"]) as other:
        for pair in zip(one.stream_text(delta=True, debounce_by=None), other.stream_text(delta=True, debounce_by=None)):
            assert pair[0] == pair[1]
            assert current_deadline.get() is None
    assert seen == deadlines


def test_an_override_does_not_leak_out_of_a_stream() -> None:
    """A stream that began under an override keeps its model; others do not see it."""
    agent = Agent(scripted(["real"]))
    with agent.override(model=scripted(["over", "ridden"])):
        context: Any = agent.run_stream("Hello")
        inside = context.__enter__()
        texts = inside.stream_text(delta=True, debounce_by=None)
        assert next(texts) == "over"
    with agent.run_stream("Hello") as result:
        assert result.get_data() == "real"
    assert list(texts) == ["ridden"]
    context.__exit__(None, None, None)


def test_deadlines_and_cancelling() -> None:
    """A stream's deadline holds between its events, and so does a cancelling from inside the loop."""
    deadline = Deadline(0.2)
    items = [start("a"), *[more("b"), lambda: time.sleep(0.05)] * 40]
    with Agent(EventModel(*items)).run_stream("Hello", deadline=deadline) as result:
        with pytest.raises(DeadlineExceeded) as caught:
            list(result.stream_text())
    assert caught.value.messages is not None
    deadline = Deadline()
    with Agent(EventModel(start("a"), more("b"), more("c"))).run_stream("Hello", deadline=deadline) as result:
        with pytest.raises(RunCancelled):
            for _ in result.stream_text(debounce_by=None):
                deadline.cancel()


def test_a_cancelled_run_does_not_begin() -> None:
    """A deadline that was cancelled before asks no model."""
    deadline = Deadline()
    deadline.cancel()
    with pytest.raises(RunCancelled), Agent(scripted()).run_stream("Hello", deadline=deadline):
        pass


# --- other models ---------------------------------------------------------------------------------------


def failing(name: str, *before: Any) -> EventModel:
    """A model whose stream breaks after these items."""

    def fail() -> None:
        raise ModelConnectionError(name, model_name=name)

    return EventModel(*before, fail)


def test_a_fallback_before_the_first_delta() -> None:
    """As long as nothing was handed out the next model takes over; afterwards the error is the caller's."""
    first = failing("first", ResponseInfo(model_name="x"), start(""))
    with Agent(FallbackModel(first, scripted(["b", "c"]))).run_stream("Hello") as result:
        assert list(result.stream_text(debounce_by=None)) == ["b", "bc"]
    assert first.closed == 1
    second = failing("second", start("a"))
    with Agent(FallbackModel(second, scripted(["b"]))).run_stream("Hello") as result:
        with pytest.raises(ModelConnectionError, match="second"):
            list(result.stream_text(debounce_by=None))
    with (
        pytest.raises(FallbackExceptionGroup) as caught,
        Agent(FallbackModel(failing("a"), failing("b"))).run_stream("x"),
    ):
        pass
    assert [str(error) for error in caught.value.exceptions] == ["a", "b"]


def test_a_wrapped_model_streams_as_itself() -> None:
    """A wrapper may look at the response on its way, and waits pass through it."""

    class Watching(WrapperModel):
        responses: list[StreamedResponse]

        @contextmanager
        def request_stream(self, *arguments: Any) -> Iterator[StreamedResponse]:
            with super().request_stream(*arguments) as response:
                self.responses = [response]
                yield response

    model = Watching(scripted(["a", "b"]))
    with Agent(model).run_stream("Hello") as result:
        assert list(result.stream_text(debounce_by=None)) == ["a", "ab"]
    assert model.responses[0].get().parts == [TextPart("ab")]


def test_a_model_that_cannot_stream() -> None:
    """It says so; a FunctionModel without a stream function, too."""

    class Plain(Model):
        model_name = "plain"
        system = "test"

        def request(self, *_: Any) -> ModelResponse:
            return ModelResponse([TextPart("a")])

    with pytest.raises(NotImplementedError, match="Plain"), Agent(Plain()).run_stream("Hello"):
        pass
    with pytest.raises(UserError, match="stream_function"):
        with Agent(FunctionModel(lambda *_: ModelResponse([]))).run_stream("Hello"):
            pass


def test_an_incomplete_stream_carries_what_came() -> None:
    """Its error has the partial response, the messages and the usage of the run."""
    partial: Optional[ModelResponse] = ModelResponse([TextPart("a")])
    error = IncompleteStreamError("cut", model_name="m", partial=partial)
    with Agent(scripted(["a", error])).run_stream("Hello") as result, pytest.raises(IncompleteStreamError) as caught:
        list(result.stream_text())
    assert caught.value.partial is partial
    assert caught.value.usage == Usage(1, 51, 1, 52)
