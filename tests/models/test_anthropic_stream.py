"""What the Messages mapping reads out of streams."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.messages import (
    ModelResponse,
    OpaquePart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from syncagent.models.anthropic import AnthropicWire, decode, decode_stream
from syncagent.models.base import StreamedResponse
from syncagent.models.wire import ResponseInfo
from syncagent.transport.sse import Frame
from syncagent.usage import Usage


def _block(index: int, block: dict[str, Any], *deltas: dict[str, Any], stop: bool = True) -> list[dict[str, Any]]:
    """The events of one block of content."""
    start = {"type": "content_block_start", "index": index, "content_block": block}
    pieces = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [start, *pieces, *([{"type": "content_block_stop", "index": index}] if stop else [])]


def _text(index: int, *pieces: str, citations: Iterable[Any] = (), **block: Any) -> list[dict[str, Any]]:
    cited = [{"type": "citations_delta", "citation": citation} for citation in citations]
    texts = [{"type": "text_delta", "text": piece} for piece in pieces]
    return _block(index, {"type": "text", "text": "", **block}, *cited, *texts)


def _tool(index: int, *pieces: str, **block: Any) -> list[dict[str, Any]]:
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return _block(index, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}, **block}, *deltas)


_BEGIN = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "model": "claude-x-20260101",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1},
    },
}
_END = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]


def _frames(*events: Any) -> list[Frame]:
    return [Frame(event.get("type", "message"), json.dumps(event).encode()) for event in events]


def _items(*events: Any) -> list[Any]:
    return list(decode_stream(iter(_frames(*events)), "anthropic"))


def _events(*events: Any) -> list[Any]:
    """What is handed out of the events between a message's first and its last."""
    return [item for item in _items(*events) if not isinstance(item, ResponseInfo)]


def _read(*events: Any) -> StreamedResponse:
    stream = StreamedResponse(_items(*events), model_name="asked", provider_name="anthropic")
    for _ in stream:
        pass
    return stream


def test_text() -> None:
    """Text comes in pieces, from its first letter on."""
    assert _events(*_text(0, "", "It ", "is")) == [
        PartStartEvent(0, TextPart("It ")),
        PartDeltaEvent(0, TextPartDelta("is")),
    ]


def test_facts() -> None:
    """Name, id, usage, reason and the end mark are told; later counts replace earlier ones, others stay."""
    stream = _read(_BEGIN, {"type": "ping"}, *_text(0, "Hey."), *_END)
    response = stream.get()
    assert stream.info.complete
    assert (response.model_name, response.provider_response_id) == ("claude-x-20260101", "msg_1")
    assert (response.finish_reason, response.provider_details) == ("stop", {"finish_reason": "end_turn"})
    assert response.usage == Usage(0, 7, 9, 16, {"cached_tokens": 2})
    assert _read(_BEGIN).usage() == Usage(0, 7, 1, 8, {"cached_tokens": 2})


def test_not_complete_before_the_end_mark() -> None:
    """Only ``message_stop`` makes a stream complete; what comes after it is not read."""
    assert not _read(_BEGIN, *_text(0, "Hey."), _END[0]).info.complete
    assert _events(*_END, *_text(0, "late")) == []
    assert not _read().info.complete


def test_neighbouring_texts() -> None:
    """Neighbouring text blocks are one part; what they cite follows when something else begins, or at the end."""
    events = _events(
        *_text(0, "It "),
        *_text(1, "i", "s", citations=["a", "b"]),
        *_text(2, citations=["of nothing"]),
        *_block(3, {"type": "redacted_thinking", "data": "x"}),
        *_text(4, "So.", citations=["c"]),
        *_END,
    )
    cited = [{"start": 3, "end": 5, "citations": ["a", "b"]}]
    assert events == [
        PartStartEvent(0, TextPart("It ")),
        PartDeltaEvent(0, TextPartDelta("i")),
        PartDeltaEvent(0, TextPartDelta("s")),
        PartStartEvent(1, OpaquePart("anthropic", {"type": "citations", "length": 5, "cited": cited})),
        PartStartEvent(2, OpaquePart("anthropic", {"type": "redacted_thinking", "data": "x"})),
        PartStartEvent(3, TextPart("So.")),
        PartStartEvent(
            4,
            OpaquePart(
                "anthropic",
                {"type": "citations", "length": 3, "cited": [{"start": 0, "end": 3, "citations": ["c"]}]},
            ),
        ),
    ]


def test_thinking() -> None:
    """Thinking comes in pieces, its proof at the end; thinking that is hidden is its proof alone."""
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    deltas = [{"type": "thinking_delta", "thinking": "h"}, {"type": "thinking_delta", "thinking": "m"}]
    proof = {"type": "signature_delta", "signature": "proof"}
    assert _events(*_block(0, thinking, *deltas, proof), *_block(1, thinking, proof), *_block(2, thinking)) == [
        PartStartEvent(0, ThinkingPart("h", None, None, "anthropic")),
        PartDeltaEvent(0, ThinkingPartDelta("m")),
        PartDeltaEvent(0, ThinkingPartDelta(None, "proof")),
        PartStartEvent(1, ThinkingPart("", None, "proof", "anthropic")),
    ]


def test_tool_call() -> None:
    """A call is announced with its first piece of arguments; later pieces have its id."""
    assert _events(*_tool(0, "", '{"ci', 'ty":1}', "")) == [
        PartStartEvent(0, ToolCallPart("weather", '{"ci', "toolu_1")),
        PartDeltaEvent(0, ToolCallPartDelta(None, 'ty":1}', "toolu_1")),
    ]


@pytest.mark.parametrize("block", [{}, {"input": None}])
def test_tool_call_without_arguments(block: dict[str, Any]) -> None:
    """A call without arguments is announced at its end."""
    assert _events(*_tool(0, "", **block)) == [PartStartEvent(0, ToolCallPart("weather", {}, "toolu_1"))]


def test_arguments_in_one_piece() -> None:
    """Arguments that stand at the beginning count where no pieces come."""
    assert _events(*_tool(0, input={"a": 1})) == [PartStartEvent(0, ToolCallPart("weather", {"a": 1}, "toolu_1"))]


def test_caller() -> None:
    """Who made a call stands after it."""
    caller = {"type": "code_execution_20250825", "tool_id": "s"}
    assert _events(*_tool(0, "{}", caller=caller))[1:] == [
        PartStartEvent(1, OpaquePart("anthropic", {"type": "tool_use_caller", "id": "toolu_1", "caller": caller}))
    ]
    assert len(_events(*_tool(0, "{}", caller={"type": "direct"}))) == 1


def test_server_tools() -> None:
    """A block of any other type is one opaque part at its end, whose input is no longer in pieces."""
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"que', 'ry":"ü"}')]
    later = [{"type": "x_delta", "content": "b"}, {"type": "x_delta", "content": "c", "n": 3}]
    events = _events(*_block(0, block, *deltas), *_block(1, {"type": "x", "content": "a"}, *later))
    assert [event.part.data for event in events] == [
        {**block, "input": {"query": "ü"}},
        {"type": "x", "content": "abc", "n": 3},
    ]


def test_server_tool_that_was_cut_off() -> None:
    """Input that the limit cut off is kept inside an object, in which it can go back."""
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    (event,) = _events(*_block(0, block, {"type": "input_json_delta", "partial_json": '{"que'}))
    assert event.part.data["input"] == {"invalid_json": '{"que'}


def test_blocks_whose_end_is_not_said() -> None:
    """Where the message ends, its blocks have ended."""
    call = {"type": "tool_use", "id": "1", "name": "weather"}
    events = _events(*_block(0, call, stop=False), *_block(1, {"type": "x"}, stop=False), *_END)
    opaque = OpaquePart("anthropic", {"type": "x"})
    assert [event.part for event in events] == [ToolCallPart("weather", {}, "1"), opaque]


def test_what_is_unknown() -> None:
    """Events of a later day and ends of blocks that never began are passed over."""
    assert _events({"type": "of_a_later_day"}, {"type": ["x"]}, {}, {"type": "content_block_stop", "index": 7}) == []
    assert _events({"type": "content_block_stop", "index": [7]}) == []


def test_pauses() -> None:
    """For a frame without data something is given, so that its reader can do something else."""
    items = list(AnthropicWire("anthropic").decode_stream(iter([Frame("pause", b""), *_frames(*_text(0, "a"))])))
    assert isinstance(items[0], ResponseInfo)
    assert items[1] == PartStartEvent(0, TextPart("a"))


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        {"error": {"message": "Overloaded", "code": "overloaded_error"}},
    ],
)
def test_errors(event: dict[str, Any]) -> None:
    """An error in a stream is raised with its words, after what came."""
    stream = StreamedResponse(decode_stream(iter(_frames(*_text(0, "a"), event))), model_name="m")
    with pytest.raises(ValueError, match=r"^the provider sent an error: Overloaded \(overloaded_error\)$"):
        list(stream)
    assert stream.get().parts == [TextPart("a")]


_DELTA = {"type": "content_block_delta", "index": 0}


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([{"type": "message_start"}], "^message_start.message: expected an object, got nothing"),
        ([{"type": "message_start", "message": {"usage": []}}], "^usage: expected an object, got an empty list"),
        ([{"type": "message_start", "message": {"usage": {"input_tokens": "a"}}}], "^usage.input_tokens: expected a"),
        ([{"type": "content_block_start"}], "^content_block_start.content_block: expected an object"),
        (_block("0", {"type": "text"}), "^content_block_start.index: expected a number, got str"),  # type: ignore[arg-type] # so it is
        (_block(0, {}), "^content_block_start.content_block.type: expected text, got nothing"),
        (_block(0, {"type": "text", "text": 3}), "^content_block_start.content_block.text: expected text"),
        (_block(0, {"type": "text", "citations": 3}), "^content_block_start.content_block.citations: expected a list"),
        (_block(0, {"type": "thinking", "thinking": 3}), "^content_block_start.content_block.thinking: expected text"),
        (_block(0, {"type": "thinking", "signature": 3}), "^content_block_start.content_block.signature: expected t"),
        (_tool(0, name=None), "^content_block_start.content_block.name: expected text, got nothing"),
        (_tool(0, name=""), "^content_block_start.content_block.name: expected the name of a tool"),
        (_tool(0, id=3), "^content_block_start.content_block.id: expected text, got int"),
        (_tool(0, input=[1]), "^content_block_start.content_block.input: expected an object, got list"),
        ([{"type": "content_block_delta"}], "^content_block_delta.delta: expected an object"),
        ([{**_DELTA, "delta": {}}], "^content_block_delta.index: no open block has the number 0"),
        ([{**_DELTA, "index": [1], "delta": {}}], "^content_block_delta.index: no open block"),
        (_block(0, {"type": "text"}, {"type": "text_delta"}), "^content_block_delta.delta.text: expected text"),
        (_block(0, {"type": "text"}, {"type": "thinking_delta"}), "'text' cannot go on with 'thinking_delta'"),
        (_block(0, {"type": "thinking"}, {"type": "thinking_delta"}), "^content_block_delta.delta.thinking: expected"),
        (_block(0, {"type": "thinking"}, {"type": "signature_delta"}), "^content_block_delta.delta.signature: expec"),
        (_block(0, {"type": "thinking"}, {"type": "text_delta"}), "'thinking' cannot go on with 'text_delta'"),
        (_block(0, {"type": "tool_use", "name": "a"}, {"type": "text_delta"}), "'tool_use' cannot go on with 'text_"),
        (_block(0, {"type": "tool_use", "name": "a"}, {"type": "input_json_delta"}), "^content_block_delta.delta.part"),
        (_block(0, {"type": "x"}, {"type": "input_json_delta"}), "^content_block_delta.delta.partial_json: expected"),
        ([{"type": "message_delta", "delta": []}, {"type": "message_delta", "delta": "x"}], "^message_delta.delta: ex"),
        ([{"type": "message_delta", "usage": 3}], "^usage: expected an object, got int"),
    ],
)
def test_another_shape(events: list[Any], words: str) -> None:
    """Events of another shape are ValueErrors that name the field."""
    with pytest.raises(ValueError, match=words):
        _items(*events)


@pytest.mark.parametrize("data", [b"{", b"[1]", b'{"a": NaN}', b"\xff", b"[" * 100_000])
def test_frames_that_are_no_objects(data: bytes) -> None:
    """A frame that is no JSON object is a ValueError."""
    with pytest.raises(ValueError, match="an event of the stream"):
        list(decode_stream(iter([Frame("message", data)])))


_ANSWER = [
    {"type": "thinking", "thinking": "hm", "signature": "proof"},
    {"type": "text", "text": "It is "},
    {"type": "text", "text": "so", "citations": [{"type": "char_location"}]},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    {"type": "text", "text": "."},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "x"}},
]


def _streamed(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that an answer comes in."""
    events: list[dict[str, Any]] = [_BEGIN]
    for index, block in enumerate(blocks):
        kind = block["type"]
        if kind == "text":
            events += _text(index, *block["text"], citations=block.get("citations") or ())
        elif kind == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": letter} for letter in block["thinking"]]
            proof = {"type": "signature_delta", "signature": block["signature"]}
            events += _block(index, {"type": kind, "thinking": "", "signature": ""}, *deltas, proof)
        elif "input" in block:
            deltas = [{"type": "input_json_delta", "partial_json": letter} for letter in json.dumps(block["input"])]
            events += _block(index, {**block, "input": {}}, *deltas)
        else:
            events += _block(index, block)
    return [*events, *_END]


def _plain(response: ModelResponse) -> list[Any]:
    """The parts, with arguments as objects."""
    return [
        ToolCallPart(part.tool_name, part.args_as_dict(), part.tool_call_id) if isinstance(part, ToolCallPart) else part
        for part in response.parts
    ]


@given(st.permutations(_ANSWER))
def test_streamed_or_whole(blocks: list[dict[str, Any]]) -> None:
    """Blocks in any order make the same parts, streamed or whole."""
    whole = decode({"content": copy.deepcopy(blocks)}, "anthropic")
    assert _plain(_read(*_streamed(copy.deepcopy(blocks))).get()) == _plain(whole)


_JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
_STREAM = _streamed(_ANSWER)


@given(st.data())
def test_mutated_streams(data: st.DataObject) -> None:
    """Whatever is deleted, repeated or replaced: a response, or a ValueError; never a call of another name."""
    events = copy.deepcopy(_STREAM)
    index = data.draw(st.integers(0, len(events) - 1))
    kind = data.draw(st.sampled_from(["delete", "repeat", "replace", "cut"]))
    if kind == "delete":
        del events[index]
    elif kind == "repeat":
        events.insert(index, copy.deepcopy(events[index]))
    elif kind == "cut":
        del events[index:]
    else:
        inner: Any = events[index]
        while True:
            key = data.draw(st.sampled_from(sorted(inner)))
            if not isinstance(inner[key], dict) or not inner[key] or data.draw(st.booleans()):
                inner[key] = data.draw(_JSON)
                break
            inner = inner[key]
    try:
        response = _read(*events).get()
    except ValueError:
        return
    named = {
        event["content_block"]["name"]
        for event in events
        if isinstance(event.get("content_block"), dict) and event["content_block"].get("type") == "tool_use"
    }
    assert {part.tool_name for part in response.parts if isinstance(part, ToolCallPart)} <= named
