"""Run events as server-sent events: what reaches a browser, and what does not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from syncagent import Agent, ModelRetry, sse
from syncagent.exceptions import (
    AgentRunError,
    ContentFilterError,
    DeadlineExceeded,
    FallbackExceptionGroup,
    IncompleteStreamError,
    ModelAPIError,
    ModelAuthError,
    ModelRateLimitError,
    RunCancelled,
    UnexpectedModelBehavior,
    UserError,
)
from syncagent.messages import (
    FinalResultEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    HeartbeatEvent,
    ModelMessage,
    OpaquePart,
    PartDeltaEvent,
    PartStartEvent,
    RetryEvent,
    RetryPromptPart,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
)
from syncagent.models.function import AgentInfo, DeltaToolCall, FunctionModel
from syncagent.models.test import TestModel
from tests.docs_pages import ROOT, table
from tests.test_streamed import EventModel, more, start

SECRET = "sk-canary-0123456789"


@attrs.define
class City:
    """A city."""

    name: str


def parse(data: bytes) -> list[dict[str, Any]]:
    """The JSON of all events, which must be framed as the standard says and agree with their id and name."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        number, name, text = (line.partition(": ")[2] for line in block.split("\n"))
        value = json.loads(text)
        assert (value["v"], value["id"], value["event"]) == (1, int(number), name)
        found.append(value)
    return found


def read(iterator: Any, **options: Any) -> list[dict[str, Any]]:
    return parse(b"".join(sse.events(iterator, **options)))


EVENTS: list[Any] = [
    PartStartEvent(0, TextPart("a")),
    PartStartEvent(1, ThinkingPart("hm", SECRET, SECRET, SECRET)),
    PartStartEvent(2, ToolCallPart("t", {"x": "é"}, "id")),
    PartStartEvent(3, OpaquePart(SECRET, {"key": SECRET})),
    PartDeltaEvent(0, TextPartDelta("b\n\u2028\ud800")),
    PartDeltaEvent(1, ThinkingPartDelta("m", SECRET, SECRET)),
    PartDeltaEvent(1, ThinkingPartDelta(None, SECRET, SECRET)),
    PartDeltaEvent(2, ToolCallPartDelta(None, "}", "id")),
    FinalResultEvent("final_result", "id"),
    FunctionToolCallEvent(ToolCallPart("t", '{"x": 1}', "id")),
    FunctionToolResultEvent(ToolReturnPart("t", {"y": {1}}, "id", metadata=SECRET), "id"),
    FunctionToolResultEvent(ToolReturnPart("t", object(), "id"), "id"),
    FunctionToolResultEvent(RetryPromptPart(SECRET, "t", "id"), "id"),
    RetryEvent(RetryPromptPart([{"type": "x", "loc": (), "msg": SECRET, "input": SECRET}], "t", "id")),
    HeartbeatEvent(),
]


def test_what_reaches_a_browser() -> None:
    """Each event has the fields of the table and no other: nothing that a provider or a developer keeps to himself."""
    data = b"".join(sse.events(EVENTS))
    assert SECRET.encode() not in data
    assert data.endswith(b": heartbeat\n\n")
    given = parse(data)
    assert [event["id"] for event in given] == list(range(1, 14))
    assert [{key: value for key, value in event.items() if key not in ("v", "id")} for event in given] == [
        {"event": "part_start", "index": 0, "part": {"part_kind": "text", "content": "a"}},
        {"event": "part_start", "index": 1, "part": {"part_kind": "thinking", "content": "hm"}},
        {
            "event": "part_start",
            "index": 2,
            "part": {"part_kind": "tool-call", "tool_name": "t", "args": '{"x":"é"}', "tool_call_id": "id"},
        },
        {"event": "part_start", "index": 3, "part": {"part_kind": "opaque"}},
        {"event": "part_delta", "index": 0, "delta": {"part_delta_kind": "text", "content_delta": "b\n\u2028\ud800"}},
        {"event": "part_delta", "index": 1, "delta": {"part_delta_kind": "thinking", "content_delta": "m"}},
        {
            "event": "part_delta",
            "index": 2,
            "delta": {
                "part_delta_kind": "tool_call",
                "tool_name_delta": None,
                "args_delta": "}",
                "tool_call_id": "id",
            },
        },
        {"event": "final_result", "tool_name": "final_result", "tool_call_id": "id"},
        {"event": "function_tool_call", "tool_call_id": "id", "tool_name": "t", "args": '{"x": 1}'},
        {
            "event": "function_tool_result",
            "tool_call_id": "id",
            "tool_name": "t",
            "outcome": "returned",
            "content": {"y": [1]},
        },
        {
            "event": "function_tool_result",
            "tool_call_id": "id",
            "tool_name": "t",
            "outcome": "returned",
            "content": None,
        },
        {
            "event": "function_tool_result",
            "tool_call_id": "id",
            "tool_name": "t",
            "outcome": "refused",
            "content": None,
        },
        {"event": "retry", "tool_name": "t", "tool_call_id": "id"},
    ]


def test_a_whole_run() -> None:
    """From the first part to the result, with the usage in four numbers."""
    agent = Agent(TestModel(custom_result_args={"name": "Paris"}), result_type=City, system_prompt=SECRET)
    agent.tool_plain(lambda: "sunny", name="weather")
    given = read(agent.run_stream_events("Hello", heartbeat=5))
    assert [event["event"] for event in given] == [
        "part_start",
        "function_tool_call",
        "function_tool_result",
        "part_start",
        "final_result",
        "agent_run_result",
    ]
    assert given[-1]["data"] == {"name": "Paris"}
    assert set(given[-1]["usage"]) == {"requests", "request_tokens", "response_tokens", "total_tokens"}
    assert SECRET not in json.dumps(given)


def test_a_result_without_json() -> None:
    """A result that JSON cannot hold is null."""
    agent: Agent[None, Any] = Agent(TestModel(custom_result_text="a"))

    @agent.result_validator
    def check(text: str) -> Any:
        return object()

    assert read(agent.run_stream_events("Hello"))[-1]["data"] is None


def fields(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of an event's fields."""
    for key, item in value.items():
        if key in ("part", "delta", "usage") and isinstance(item, dict):
            yield from fields(item, f"{key}.")
        else:
            yield prefix + key


def test_the_table_in_the_docs() -> None:
    """Every event and field of the code stands in the table, and the other way round."""
    documented: dict[str, set[str]] = {}
    name = ""
    for event, field, _ in table((ROOT / "docs" / "events.md").read_text(encoding="utf-8"), "events"):
        name = event.strip("`") or name
        documented.setdefault(name, set()).add(field.strip("`"))
    written: dict[str, set[str]] = {}
    agent = Agent(TestModel(custom_result_text="a"))
    for event in [
        *read([*EVENTS, *agent.run_stream_events("Hello")]),
        {"v": 1, "id": 1, **sse.error_as_json(Exception())},
    ]:
        written.setdefault(event["event"], set()).update(set(fields(event)) - {"v", "id", "event"})
    assert written == documented


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RunCancelled(SECRET), ("RunCancelled", "The answer was stopped.", False, None)),
        (DeadlineExceeded(SECRET), ("DeadlineExceeded", "The answer took too long.", False, None)),
        (
            ModelRateLimitError(429, SECRET, SECRET, retryable=True, retry_after=3.5),
            ("ModelRateLimitError", "The model is busy. Please try again in a moment.", True, 3.5),
        ),
        (
            ModelAuthError(401, SECRET, SECRET),
            ("ModelAuthError", "The model cannot be used at the moment.", False, None),
        ),
        (
            IncompleteStreamError(SECRET, model_name="m", retryable=True),
            ("IncompleteStreamError", "The answer broke off.", True, None),
        ),
        (ModelAPIError(SECRET, model_name="m"), ("ModelAPIError", "The model could not answer.", False, None)),
        (
            FallbackExceptionGroup(SECRET, [ValueError(SECRET)]),
            ("FallbackExceptionGroup", "The model could not answer.", False, None),
        ),
        (
            ContentFilterError(SECRET),
            ("ContentFilterError", "The answer was withheld by a content filter.", False, None),
        ),
        (
            UnexpectedModelBehavior(SECRET, SECRET),
            ("UnexpectedModelBehavior", "The answer could not be finished.", False, None),
        ),
        (AgentRunError(SECRET), ("AgentRunError", "The answer could not be finished.", False, None)),
        (UserError(SECRET), ("Error", "Something went wrong.", False, None)),
        (KeyError(SECRET), ("Error", "Something went wrong.", False, None)),
    ],
)
def test_errors(error: Exception, expected: tuple[Any, ...], caplog: pytest.LogCaptureFixture) -> None:
    """An error is its class and a fixed sentence, after what came; its own text is in no event and no log."""

    def failing() -> Iterator[Any]:
        yield PartStartEvent(0, TextPart("a"))
        raise error

    caplog.set_level(logging.DEBUG, "syncagent")
    reported: list[Exception] = []
    first, last = read(failing(), on_error=reported.append)
    assert first["event"] == "part_start"
    assert last == {
        "v": 1,
        "id": 2,
        "event": "error",
        **dict(zip(("type", "message", "retryable", "retry_after"), expected)),
    }
    assert reported == [error]
    assert [record.getMessage() for record in caplog.records] == [f"A streamed run failed with {type(error).__name__}."]


def test_an_error_ends_the_stream() -> None:
    """After the error event there is nothing, and ``first_id`` says where to count from."""

    def failing() -> Iterator[Any]:
        raise ModelRetry("x")
        yield

    stream = sse.events(failing(), first_id=7)
    assert next(stream).startswith(b"id: 7\nevent: error\ndata: {")
    assert list(stream) == []


def test_interrupts_pass_through() -> None:
    """Ctrl-C is no event."""

    def interrupted() -> Iterator[Any]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        next(sse.events(interrupted()))


def test_something_else_than_events() -> None:
    """Texts are no run events; the error says what is wanted."""
    with pytest.raises(TypeError, match="run_stream_events gives; got str"):
        next(sse.events(["text"]))


@pytest.mark.parametrize("read_first", [True, False])
def test_closing_closes_the_run(read_first: bool) -> None:
    """``close()``, which a server calls when the browser left, stops the run, begun or not, and may come again."""
    model = EventModel(start("a"), lambda: pytest.fail("read on"), more("b"))
    run = Agent(model).run_stream_events("Hello")
    stream = sse.events(run)
    if read_first:
        assert b'"part_start"' in next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []
    assert model.closed == (1 if read_first else 0)
    assert not run.is_complete
    assert len(run.new_messages()) == (2 if read_first else 0)


def test_what_cannot_be_closed_need_not_be() -> None:
    """A list of events is fine."""
    stream = sse.events([HeartbeatEvent()])
    assert list(stream) == [b": heartbeat\n\n"]
    stream.close()


def test_headers_suit_wsgi() -> None:
    """They name the type, keep proxies from holding events back, and hold nothing hop-by-hop (PEP 3333)."""
    from wsgiref.util import is_hop_by_hop

    assert sse.HEADERS["Content-Type"] == "text/event-stream"
    assert not any(is_hop_by_hop(name) for name in sse.HEADERS)
    assert all(isinstance(value, str) for value in sse.HEADERS.values())


def test_arguments_in_pieces() -> None:
    """Pieces of a call's arguments make the text of the call."""

    def stream(messages: list[ModelMessage], info: AgentInfo) -> Iterator[Any]:
        yield {0: DeltaToolCall("final_result", '{"na', "id")}
        yield {0: DeltaToolCall(None, 'me": "Paris"}')}

    given = read(Agent(FunctionModel(stream_function=stream), result_type=City).run_stream_events("Hello"))
    assert given[0]["part"]["args"] + given[2]["delta"]["args_delta"] == '{"name": "Paris"}'
