"""``Agent.run_stream_events``: everything that happens in a run."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from syncagent import Agent, Deadline, ModelRetry, RunContext, UsageLimits
from syncagent.deadline import current_deadline
from syncagent.exceptions import (
    ModelConnectionError,
    RunCancelled,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
    UserError,
)
from syncagent.messages import (
    AgentRunResultEvent,
    FinalResultEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    HeartbeatEvent,
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    RetryEvent,
    RetryPromptPart,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
)
from syncagent.models.fallback import FallbackModel
from syncagent.models.test import TestModel
from syncagent.models.wire import ResponseInfo
from syncagent.models.wrapper import WrapperModel
from syncagent.run import AgentRun
from syncagent.usage import Usage
from tests.test_streamed import EventModel, call, failing, more, scripted, start, with_tool


@attrs.define
class City:
    """A city."""

    name: str


def kinds(events: Any) -> list[str]:
    return [event.event_kind for event in events]


def test_everything_that_happens() -> None:
    """Parts, tool calls, tool results, the final part and the result come in the order in which they happen."""
    agent, _ = with_tool(scripted(["Let me see.", call("double", '{"x": 7}', 1)], ["It is ", "14."]))
    events = list(agent.run_stream_events("Hello"))
    assert events[:3] == [
        start("Let me see."),
        FinalResultEvent(None, None),
        PartStartEvent(1, ToolCallPart("double", '{"x": 7}', "id-double-1")),
    ]
    assert isinstance(events[3], FunctionToolCallEvent)
    assert (events[3].part.tool_name, events[3].call_id) == ("double", "id-double-1")
    assert isinstance(events[4], FunctionToolResultEvent)
    assert events[4].tool_call_id == "id-double-1"
    assert isinstance(events[4].result, ToolReturnPart)
    assert events[4].result.content == 14
    assert events[5:8] == [start("It is "), FinalResultEvent(None, None), PartDeltaEvent(0, TextPartDelta("14."))]
    assert isinstance(events[8], AgentRunResultEvent)
    assert events[8].result.data == "It is 14."
    assert len(events) == 9


def test_the_run_is_that_of_run_sync() -> None:
    """Messages, usage and result are those of a run that nobody watched."""

    def made() -> Any:
        agent, _ = with_tool(TestModel(custom_result_args={"name": "Paris"}), result_type=City)
        return agent

    watched = made().run_stream_events("Hello")
    list(watched)
    plain = made().run_sync("Hello")
    assert watched.result.data == plain.data
    assert watched.usage() == plain.usage()
    assert [
        [(type(part), getattr(part, "content", None)) for part in message.parts] for message in watched.all_messages()
    ] == [[(type(part), getattr(part, "content", None)) for part in message.parts] for message in plain.all_messages()]


def test_what_it_says_of_itself() -> None:
    """Result, completeness, usage and messages are right before, while and after; the iterator is one."""
    events = Agent(scripted(["a ", "b "])).run_stream_events("Hello")
    assert (events.result, events.is_complete, events.all_messages()) == (None, False, [])
    assert repr(events).startswith("<RunEvents is_complete=False usage=Usage(")
    assert iter(events) is events
    assert next(events) == start("a ")
    assert events.usage() == Usage(0, 51, 1, 52)
    assert len(events.new_messages()) == 1
    for event in events:
        if event.event_kind == "part_delta":
            break
    assert kinds(events) == ["agent_run_result"]
    assert events.is_complete
    assert events.result is not None
    assert events.result.data == "a b "
    assert events.usage() == Usage(1, 51, 2, 53)
    assert events.new_messages() == events.all_messages()
    assert list(events) == []
    events.close()
    assert events.is_complete


def test_nothing_is_asked_before_the_first_event() -> None:
    """Making it sends nothing; a deadline in seconds counts from the run's start."""
    events = Agent(scripted()).run_stream_events("Hello")  # with nothing to say
    events.close()
    assert list(events) == []
    assert events.usage() == Usage()


@pytest.mark.parametrize("crossing", [1, 2, 3])
def test_closing_from_another_thread_between_two_steps(crossing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a closing comes between a look and the next step, reading ends quietly or with ``RunCancelled``."""
    agent, _ = with_tool(scripted([call("double", '{"x": 1}')], ["done"]))
    events = agent.run_stream_events("Hello")
    cross, left = AgentRun._cross, [crossing]

    def closed_before(run: Any, value: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            closer = threading.Thread(target=events.close)
            closer.start()
            closer.join(10)
        return cross(run, value)

    monkeypatch.setattr(AgentRun, "_cross", closed_before)
    try:
        list(events)
    except RunCancelled as error:
        assert "closed" in str(error)
    assert not events.is_complete
    assert list(events) == []


def test_closing_while_a_function_runs_in_another_thread() -> None:
    """What comes after it is not done, and reading ends quietly."""
    begun, go = threading.Event(), threading.Event()

    def shorten(messages: list[ModelMessage]) -> list[ModelMessage]:
        begun.set()
        go.wait(10)
        return messages

    events = Agent(scripted(["no"]), history_processors=[shorten]).run_stream_events("Hello")
    found: list[Any] = []

    def read() -> None:
        try:
            found.append(list(events))
        except BaseException as error:
            found.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait(10)
    events.close()
    go.set()
    reader.join(10)
    assert found == [[]]
    assert (events.usage(), events.usage().under_way) == (Usage(), 0)


def test_new_messages_are_this_runs() -> None:
    """A history stays in front."""
    history = Agent(TestModel()).run_sync("before").all_messages()
    events = Agent(scripted(["a"])).run_stream_events("Hello", message_history=history)
    list(events)
    assert events.all_messages()[:2] == history
    assert len(events.new_messages()) == 2


# --- retries --------------------------------------------------------------------------------------------


def test_refused_results_are_asked_for_again() -> None:
    """A refused text and a refused value are retried as in ``run_sync``, and the refusal is an event."""
    agent = Agent(scripted(["a"], ["b"]))

    @agent.result_validator
    def check(text: str) -> str:
        if text == "a":
            raise ModelRetry("not this")
        return text

    events = list(agent.run_stream_events("Hello"))
    assert kinds(events) == [
        "part_start",
        "final_result",
        "retry",
        "part_start",
        "final_result",
        "agent_run_result",
    ]
    assert isinstance(events[2], RetryEvent)
    assert events[2].part.content == "not this"
    typed = Agent(
        scripted([call("final_result", "{}")], [call("nope", "{}")], [call("final_result", '{"name": "P"}')]),
        result_type=City,
        result_retries=2,
    )
    watched = typed.run_stream_events("Hello")
    retries = [event.part for event in watched if isinstance(event, RetryEvent)]
    assert [part.tool_name for part in retries] == ["final_result", "nope"]
    assert watched.usage().requests == 3


def test_a_refusing_tool_is_told_once() -> None:
    """What a tool refuses is its result's event; an answer that was cut off, which no tool saw, is a retry's."""
    agent = Agent(scripted([call("pick", '{"x": 1}')], [call("pick", '{"x": 2}')], ["done"]))

    @agent.tool_plain
    def pick(x: int) -> int:
        """Pick a number."""
        if x == 1:
            raise ModelRetry("another one")
        return x

    events = list(agent.run_stream_events("Hello"))
    results = [event.result for event in events if isinstance(event, FunctionToolResultEvent)]
    assert [type(result) for result in results] == [RetryPromptPart, ToolReturnPart]
    assert not any(isinstance(event, RetryEvent) for event in events)

    cut = EventModel(
        PartStartEvent(0, ToolCallPart("pick", '{"x": ', "id")), ResponseInfo(finish_reason="length", complete=True)
    )
    agent = Agent(cut)
    agent.tool_plain(pick)
    with pytest.raises(UnexpectedModelBehavior, match="max retries count"):
        for event in agent.run_stream_events("Hello"):
            events.append(event)
    assert [event.part.content for event in events if isinstance(event, RetryEvent)] == [
        "The response was cut off by the token limit."
    ]


def test_too_many_refusals() -> None:
    """The error comes out of the iterator, with the run."""
    agent = Agent(scripted(["a"], ["b"]), result_retries=1)

    @agent.result_validator
    def check(text: str) -> str:
        raise ModelRetry("never")

    events = agent.run_stream_events("Hello")
    with pytest.raises(UnexpectedModelBehavior, match="maximum retries") as caught:
        list(events)
    assert len(caught.value.messages or []) == 4
    assert not events.is_complete


# --- heartbeats -----------------------------------------------------------------------------------------


def test_heartbeats_before_what_may_take_long() -> None:
    """One comes before each request and each tool call; a model that cannot tell gives none in between."""
    agent, _ = with_tool(scripted([call("double", '{"x": 1}'), call("double", '{"x": 2}', 1)], ["done"]))
    assert kinds(agent.run_stream_events("Hello", heartbeat=10)) == [
        "heartbeat",
        "part_start",
        "part_start",
        "heartbeat",
        "function_tool_call",
        "function_tool_result",
        "heartbeat",
        "function_tool_call",
        "function_tool_result",
        "heartbeat",
        "part_start",
        "final_result",
        "agent_run_result",
    ]


def test_a_heartbeat_comes_before_its_request() -> None:
    """Where a server finds out that the client left, the request is not sent."""
    model = scripted()
    events = Agent(model).run_stream_events("Hello", heartbeat=1)
    assert isinstance(next(events), HeartbeatEvent)
    events.close()
    assert list(events) == []
    assert events.usage() == Usage()


@pytest.mark.parametrize("heartbeat", [0, -1, float("nan")])
def test_a_heartbeat_is_a_time(heartbeat: float) -> None:
    """Zero, less, and no number at all are a user's error."""
    with pytest.raises(UserError, match="heartbeat"):
        Agent(scripted()).run_stream_events("Hello", heartbeat=heartbeat)


# --- stopping -------------------------------------------------------------------------------------------


def test_an_early_close_keeps_half_the_answer() -> None:
    """The response so far goes into the messages, without calls that nobody answered, and can be sent again."""
    model = EventModel(
        ResponseInfo(usage=Usage(0, 5, 1, 6), finish_reason="stop"),
        PartStartEvent(0, ThinkingPart("hm")),
        start("Well", 1),
        PartStartEvent(2, ToolCallPart("double", '{"x"', "id")),
        more(", then", 1),
        lambda: pytest.fail("read on"),
        more("!", 1),
    )
    with Agent(model).run_stream_events("Hello") as events:
        for event in events:
            if event == more(", then", 1):
                break
    assert model.closed == 1
    assert (events.result, events.is_complete) == (None, False)
    assert events.usage() == Usage(1, 5, 1, 6)
    kept = events.new_messages()[-1]
    assert isinstance(kept, ModelResponse)
    assert kept.parts == [ThinkingPart("hm"), TextPart("Well, then")]
    assert (kept.finish_reason, kept.provider_details) == (None, {"incomplete": True})
    assert list(events) == []
    events.close()
    assert len(events.all_messages()) == 2
    Agent(TestModel()).run_sync("Go on", message_history=events.all_messages())


def test_a_response_of_calls_alone_is_not_kept() -> None:
    """Where nothing can be kept, the messages end with the request."""
    with Agent(EventModel(PartStartEvent(0, ToolCallPart("t", "{}", "id")), more("x", 1))).run_stream_events(
        "x"
    ) as events:
        next(events)
    assert len(events.all_messages()) == 1


def test_a_tool_of_a_closed_run_is_not_called() -> None:
    """Closing at the event that announces a call keeps the tool from being called."""
    agent, called = with_tool(scripted([call("double", '{"x": 1}')]))
    events = agent.run_stream_events("Hello")
    for event in events:
        if isinstance(event, FunctionToolCallEvent):
            events.close()
    assert called == []
    assert len(events.all_messages()) == 2


def test_closing_while_a_tool_runs_in_another_thread() -> None:
    """The tool ends, its result is handed out, and no further request is made."""
    begun, go = threading.Event(), threading.Event()
    agent = Agent(scripted([call("wait", "{}")]))

    @agent.tool_plain
    def wait() -> str:
        """Wait."""
        begun.set()
        go.wait(10)
        return "done"

    events = agent.run_stream_events("Hello")
    seen: list[str] = []
    errors: list[BaseException] = []

    def read() -> None:
        try:
            seen.extend(kinds(events))
        except BaseException as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait(10)
    events.close()
    go.set()
    reader.join()
    assert errors == []
    assert seen == ["part_start", "function_tool_call", "function_tool_result"]
    assert events.usage().requests == 1


def test_closing_while_a_validator_runs_in_another_thread() -> None:
    """A function of the user's cannot be stopped; the run is over when it comes out."""
    begun, go = threading.Event(), threading.Event()
    agent = Agent(scripted(["a"]))

    @agent.result_validator
    def check(text: str) -> str:
        begun.set()
        go.wait(10)
        raise ModelRetry("again")

    events = agent.run_stream_events("Hello")
    errors: list[BaseException] = []

    def read() -> None:
        try:
            list(events)
        except BaseException as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait(10)
    events.close()
    go.set()
    reader.join()
    assert [type(error) for error in errors] in ([RunCancelled], [])
    assert not events.is_complete
    assert events.usage().requests == 1


def view(agent: Agent[None, Any], notes: list[str]) -> Iterator[str]:
    """A response's body, as a WSGI server iterates over it."""
    try:
        for event in agent.run_stream_events("Hello", deadline=5):
            yield event.event_kind
    finally:
        notes.append("left")


@pytest.mark.parametrize("way", ["close", "forget"])
def test_a_server_closes_the_view(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """``GeneratorExit`` in a view closes the model's stream at once, with no log and no context variable."""
    caplog.set_level(logging.DEBUG)
    model, notes = EventModel(start("a"), more("b")), list[str]()
    body: Any = view(Agent(model, name="viewed"), notes)
    assert next(body) == "part_start"
    assert current_deadline.get() is None
    if way == "close":
        body.close()
    else:
        del body
        gc.collect()
    assert model.closed == 1
    assert notes == ["left"]
    assert current_deadline.get() is None
    assert caplog.records == []


def test_two_runs_in_turn() -> None:
    """Each run's tools see its own deadline and override; the caller sees neither between two events."""
    seen: dict[str, Any] = {}

    def made(name: str) -> Agent[None, Any]:
        agent = Agent(scripted([call("look", "{}")], ["done"]))

        @agent.tool(name="look")
        def look(ctx: RunContext[None]) -> str:
            seen[name] = (current_deadline.get(), ctx.deadline)
            return name

        return agent

    deadlines = {"one": Deadline(10), "other": Deadline(20)}
    pair = [made(name).run_stream_events("Hello", deadline=deadlines[name]) for name in deadlines]
    for _ in zip(*pair):
        assert current_deadline.get() is None
    assert seen == {name: (deadline, deadline) for name, deadline in deadlines.items()}


# --- errors and other models ----------------------------------------------------------------------------


def test_an_error_of_the_model_comes_out() -> None:
    """With what came before it, the messages and the usage; a model that fails at once is no empty stream."""
    events = Agent(scripted(["a ", ModelConnectionError("cut", model_name="m")])).run_stream_events("Hello")
    assert next(events) == start("a ")
    with pytest.raises(ModelConnectionError) as caught:
        list(events)
    assert caught.value.messages is events.all_messages()
    assert caught.value.usage == Usage(1, 51, 1, 52)
    assert [type(message) for message in events.all_messages()][-1] is ModelResponse
    with pytest.raises(ModelConnectionError):
        next(Agent(failing("x")).run_stream_events("Hello"))


def test_an_error_of_a_tool_passes_through() -> None:
    """It is the user's own, after the event that announced the call."""
    agent = Agent(scripted([call("fail", "{}")]))

    @agent.tool_plain
    def fail() -> None:
        """Fail."""
        raise KeyError("x")

    seen = []
    with pytest.raises(KeyError):
        for event in agent.run_stream_events("Hello"):
            seen.append(event.event_kind)
    assert seen == ["part_start", "function_tool_call"]


def test_limits_hold() -> None:
    """Request and token limits end the run as in ``run_sync``."""
    agent, _ = with_tool(scripted([call("double", '{"x": 1}')], ["never"]))
    with pytest.raises(UsageLimitExceeded, match="request_limit of 1"):
        list(agent.run_stream_events("Hello", usage_limits=UsageLimits(request_limit=1)))
    events = Agent(scripted(["a ", "b ", "c "])).run_stream_events(
        "Hello", usage_limits=UsageLimits(response_tokens_limit=2)
    )
    came = []
    with pytest.raises(UsageLimitExceeded):
        for event in events:
            came.append(event)
    assert came == [start("a "), FinalResultEvent(None, None), more("b ")]
    assert events.all_messages()[-1].parts == [TextPart("a b ")]


def test_fallbacks_and_wrappers() -> None:
    """A fallback before the first content and a wrapper around it are seen through."""
    model = WrapperModel(FallbackModel(failing("x", start("")), TestModel(custom_result_text="a b")))
    assert kinds(Agent(model).run_stream_events("Hello")) == [
        "part_start",
        "final_result",
        "part_delta",
        "part_delta",
        "agent_run_result",
    ]
