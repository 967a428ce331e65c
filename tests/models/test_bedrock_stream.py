"""What the Converse mapping reads out of streams."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.messages import (
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
from syncagent.models.base import StreamedResponse
from syncagent.models.bedrock import BedrockWire, decode_stream
from syncagent.models.wire import ResponseInfo
from syncagent.transport.eventstream import EXCEPTION
from syncagent.transport.sse import Frame
from syncagent.usage import Usage

_Event = tuple[str, dict[str, Any]]


def _start(index: int, **start: Any) -> _Event:
    return "contentBlockStart", {"contentBlockIndex": index, "start": start}


def _delta(index: int, **delta: Any) -> _Event:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abc"}


def _args(index: int, text: str) -> _Event:
    return _delta(index, toolUse={"input": text})


def _stop(index: int) -> _Event:
    return "contentBlockStop", {"contentBlockIndex": index}


_END: list[_Event] = [
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 4}}),
]
_BEGIN: _Event = ("messageStart", {"role": "assistant"})


def _stream(*events: _Event) -> StreamedResponse:
    frames = [Frame(name, json.dumps(body).encode()) for name, body in events]
    return StreamedResponse(BedrockWire("bedrock").decode_stream(iter(frames)), model_name="m")


def _read(*events: _Event) -> StreamedResponse:
    stream = _stream(*events)
    for _ in stream:
        pass
    return stream


def _parts(*events: _Event) -> list[Any]:
    return _read(_BEGIN, *events, *_END).get().parts


def test_text() -> None:
    """Pieces of text are deltas of one part for each block; the end mark, then the usage, are told."""
    events = [
        _BEGIN,
        _delta(0, text="a"),
        _delta(0, text=""),
        _delta(0, text="b"),
        _stop(0),
        _delta(1, text="c"),
        *_END,
    ]
    stream = _stream(*events)
    assert list(stream) == [
        PartStartEvent(0, TextPart("a")),
        PartDeltaEvent(0, TextPartDelta("b")),
        PartStartEvent(1, TextPart("c")),
    ]
    response = stream.get()
    assert (response.parts, response.finish_reason) == ([TextPart("ab"), TextPart("c")], "stop")
    assert response.usage == Usage(0, 1, 2, 3)
    assert response.provider_details == {"finish_reason": "end_turn", "latency_ms": 4}
    assert stream.info.complete


def test_calls() -> None:
    """A call is announced with its first arguments; one without any when its block ends."""
    use = {"toolUseId": "1", "name": "t"}
    stream = _stream(
        _start(0, toolUse=use),
        _args(0, ""),
        _args(0, '{"a"'),
        _args(0, ":1}"),
        _stop(0),
        _start(1, toolUse={"toolUseId": "", "name": "u", "type": "tool_use"}),
        _stop(1),
        *_END,
    )
    assert list(stream) == [
        PartStartEvent(0, ToolCallPart("t", '{"a"', "1")),
        PartDeltaEvent(0, ToolCallPartDelta(None, ":1}", "1")),
        PartStartEvent(1, ToolCallPart("u", "", None)),
    ]
    assert stream.get().parts == [ToolCallPart("t", '{"a":1}', "1"), ToolCallPart("u", "", None)]


def test_thinking() -> None:
    """Thinking comes in pieces, and its signature too, which is told once it is whole."""
    stream = _stream(
        _delta(0, reasoningContent={"text": "h"}),
        _delta(0, reasoningContent={"text": "m"}),
        _delta(0, reasoningContent={"signature": "s1"}),
        _delta(0, reasoningContent={"signature": "s2"}),
        _delta(0, reasoningContent={}),
        _stop(0),
        *_END,
    )
    assert list(stream) == [
        PartStartEvent(0, ThinkingPart("h", None, None, "bedrock")),
        PartDeltaEvent(0, ThinkingPartDelta("m", None)),
        PartDeltaEvent(0, ThinkingPartDelta(None, "s1s2")),
    ]
    assert stream.get().parts == [ThinkingPart("hm", None, "s1s2", "bedrock")]


def test_proof_without_thinking() -> None:
    """A signature alone makes a part; what comes for a block after its end is another one."""
    proof = _delta(0, reasoningContent={"signature": "s"})
    assert _parts(proof, _stop(0), proof, _stop(0)) == [
        ThinkingPart("", None, "s", "bedrock"),
        ThinkingPart("", None, "s", "bedrock"),
    ]
    assert _parts(proof) == [ThinkingPart("", None, "s", "bedrock")], "its end was not said"


def test_redacted_thinking() -> None:
    """Redacted thinking is kept as it is; pieces become one, each with its own end of base64."""
    pieces = [base64.b64encode(piece).decode() for piece in (b"a", b"bc")]
    assert _parts(_delta(0, reasoningContent={"redactedContent": pieces[0]}), _stop(0)) == [
        OpaquePart("bedrock", {"reasoningContent": {"redactedContent": "YQ=="}})
    ]
    assert _parts(*(_delta(0, reasoningContent={"redactedContent": piece}) for piece in pieces), _stop(0)) == [
        OpaquePart("bedrock", {"reasoningContent": {"redactedContent": "YWJj"}})
    ]


def test_server_tools() -> None:
    """Server tools and their results are put together and kept, in the order of their blocks."""
    use = {"toolUseId": "s", "name": "n", "type": "server_tool_use"}
    result = {"toolUseId": "s", "type": "n_result", "status": "success"}
    assert _parts(
        _start(0, toolUse=use),
        _args(0, '{"a"'),
        _args(0, ":1}"),
        _stop(0),
        _start(1, toolResult=result),
        _delta(1, toolResult=[{"text": "a"}]),
        _delta(1, toolResult=[{"json": {}}]),
        _stop(1),
        _start(2, toolUse=use),
        _stop(2),
        _start(3, toolResult=result),
        _stop(3),
        _delta(4, text="b"),
    ) == [
        OpaquePart("bedrock", {"toolUse": {**use, "input": {"a": 1}}}),
        OpaquePart("bedrock", {"toolResult": {**result, "content": [{"text": "a"}, {"json": {}}]}}),
        OpaquePart("bedrock", {"toolUse": {**use, "input": {}}}),
        OpaquePart("bedrock", {"toolResult": {**result, "content": []}}),
        TextPart("b"),
    ]


def test_images() -> None:
    """An image is kept, its bytes in one; an address after them stands in their place, and bytes after it anew."""
    source = [{"source": {"bytes": base64.b64encode(piece).decode()}} for piece in (b"a", b"bc")]
    (one,) = _parts(_start(0, image={"format": "png"}), _delta(0, image=source[0]), _stop(0))
    assert one.data == {"image": {"format": "png", "source": {"bytes": "YQ=="}}}
    (both,) = _parts(_start(0, image={"format": "png"}), *(_delta(0, image=piece) for piece in source), _stop(0))
    assert both.data == {"image": {"format": "png", "source": {"bytes": "YWJj"}}}
    address: Any = {"source": {"s3Location": {"uri": "s3://a/b"}}}
    for last, kept in (((), address["source"]), ((source[1],), source[1]["source"])):
        pieces = [_delta(0, image=piece) for piece in (*source, address, *last)]
        (other,) = _parts(_start(0, image={"format": "png"}), *pieces, _stop(0))
        assert other.data == {"image": {"format": "png", "source": kept}}
    (none,) = _parts(_start(0, image={"format": "png"}), _delta(0, image={"error": {"message": "No."}}), _stop(0))
    assert none.data == {"image": {"format": "png", "error": {"message": "No."}}}


def test_citations() -> None:
    """What is cited stands in the details; the text is text."""
    response = _read(_delta(0, text="a"), _delta(0, citation={"title": "A"}), _stop(0), *_END).get()
    assert (response.provider_details or {})["citations"] == [{"title": "A"}]
    assert response.parts == [TextPart("a")]


def test_unknown() -> None:
    """Events, blocks and deltas of tomorrow are passed over, or kept where they are blocks."""
    assert _parts(
        ("newEvent", {"x": 1}),
        _start(0, newBlock={"x": 1}),
        _delta(0, newBlock={"y": 2}),
        _delta(0, x=1),
        _delta(1, newDelta=3),
        _stop(1),
        _stop(0),
        _start(2),
        _stop(2),
    ) == [OpaquePart("bedrock", {"newBlock": {"x": 1, "y": 2}}), OpaquePart("bedrock", {})]


def test_end() -> None:
    """The usage ends the reading; blocks that were not ended are, where the end mark came."""
    tail: list[_Event] = [("contentBlockDelta", {})]
    events = [_start(0, toolUse={"toolUseId": "1", "name": "t"}), *_END, *tail]
    assert _read(*events).get().parts == [ToolCallPart("t", "", "1")]
    cut = _read(_start(0, toolUse={"toolUseId": "1", "name": "t"}), _delta(1, text="a"))
    assert (cut.get().parts, cut.info.complete) == ([TextPart("a")], False)
    assert _read(_delta(0, text="a"), _END[0]).info.complete
    assert not _read(_delta(0, text="a"), _END[1]).info.complete


def test_pause() -> None:
    """A frame that says that nothing came gives an empty fact."""
    (info, last) = decode_stream(iter([Frame("pause", b"")]))
    assert isinstance(info, ResponseInfo) and isinstance(last, ResponseInfo)
    assert not last.complete


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"message":"Slow down."}', "the provider sent an error: Slow down. (throttlingException)"),
        (b'{"originalMessage":"Inner."}', "the provider sent an error: Inner. (throttlingException)"),
        (b"no json", "the provider sent an error: without a message (throttlingException)"),
    ],
)
def test_exceptions(data: bytes, words: str) -> None:
    """An exception inside the stream is an error in its own words, after what came before it."""
    frames = [
        Frame("contentBlockDelta", json.dumps(_delta(0, text="a")[1]).encode()),
        Frame(EXCEPTION + "throttlingException", data),
    ]
    stream = StreamedResponse(decode_stream(iter(frames)), model_name="m")
    with pytest.raises(ValueError) as raised:
        list(stream)
    assert str(raised.value) == words
    assert stream.get().parts == [TextPart("a")]


_USE = {"toolUse": {"toolUseId": "1", "name": "t"}}


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([("metadata", [])], "an event of the stream: expected an object, got an empty list"),
        ([("contentBlockStop", {})], "contentBlockStop.contentBlockIndex: expected a number, got nothing"),
        ([_start(0, toolUse=3)], "contentBlockStart.start.toolUse: expected an object, got int"),
        ([_start(0, toolUse=None), _stop(0)], "contentBlockStart.start.toolUse: expected an object, got nothing"),
        ([_start(0, toolUse={"name": ""})], "contentBlockStart.start.toolUse.name: expected the name of a tool"),
        ([_start(0, toolUse={"name": "t"})], "contentBlockStart.start.toolUse.toolUseId: expected text, got nothing"),
        ([("contentBlockStart", {"contentBlockIndex": 0})], "contentBlockStart.start: expected an object, got nothing"),
        ([_start(0, image=3), _stop(0)], "contentBlockStart.start.image: expected an object, got int"),
        ([("contentBlockDelta", {"contentBlockIndex": 0})], "contentBlockDelta.delta: expected an object, got nothing"),
        ([_delta(0, text=3)], "contentBlockDelta.delta.text: expected text, got int"),
        ([_start(0, **_USE), _delta(0, text="a")], "contentBlockDelta.delta: a text came in the block of something"),
        ([_delta(0, toolUse=3)], "contentBlockDelta.delta.toolUse: expected an object, got int"),
        ([_args(0, "{}")], "contentBlockDelta.delta.toolUse: the arguments of a call came without its start"),
        (
            [_start(0, **_USE), _delta(0, toolUse={})],
            "contentBlockDelta.delta.toolUse.input: expected text, got nothing",
        ),
        ([_delta(0, reasoningContent=3)], "contentBlockDelta.delta.reasoningContent: expected an object, got int"),
        (
            [_start(0, **_USE), _delta(0, reasoningContent={"text": "a"})],
            "contentBlockDelta.delta.reasoningContent: thin",
        ),
        (
            [_delta(0, reasoningContent={"redactedContent": "YQ=="}), _delta(0, reasoningContent={"text": "a"})],
            "contentBlockDelta.delta.reasoningContent: thinking came in the block of something else",
        ),
        ([_delta(0, reasoningContent={"text": 3})], "contentBlockDelta.delta.reasoningContent.text: expected text"),
        (
            [_delta(0, text="a"), _delta(0, reasoningContent={"redactedContent": "YQ=="})],
            "contentBlockDelta.delta.reasoningContent.redactedContent: it came in the block of something else",
        ),
        (
            [*(_delta(0, reasoningContent={"redactedContent": "?"}) for _ in range(2)), _stop(0)],
            "contentBlockDelta.delta: bytes that are not base64",
        ),
        (
            [_start(0, toolUse={"type": "server_tool_use"}), _args(0, "{"), _stop(0)],
            "contentBlockDelta.delta.toolUse.input: what a server tool was given is no JSON",
        ),
        ([("messageStop", {})], "messageStop.stopReason: expected text, got nothing"),
        ([("metadata", {"usage": 3})], "usage: expected an object, got int"),
    ],
)
def test_other_shapes(events: list[_Event], words: str) -> None:
    """An event of another shape is refused by the field."""
    with pytest.raises(ValueError) as raised:
        _read(*events)
    assert str(raised.value).startswith(words)


_WHOLE: list[_Event] = [
    _BEGIN,
    _delta(0, reasoningContent={"text": "h"}),
    _delta(0, reasoningContent={"signature": "s"}),
    _stop(0),
    _delta(1, text="a"),
    _start(2, toolUse={"toolUseId": "s", "name": "n", "type": "server_tool_use"}),
    _args(2, "{}"),
    _stop(2),
    _start(3, image={"format": "png"}),
    _delta(3, image={"source": {"bytes": "YQ=="}}),
    _stop(3),
    _start(4, **_USE),
    _args(4, '{"a":1}'),
    _stop(4),
    *_END,
]
_json = st.none() | st.booleans() | st.integers(-1, 5) | st.text(max_size=3) | st.lists(st.none(), max_size=1)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, inner in items for deeper in _paths(inner, (*path, key)))]


@given(st.data())
def test_wild_streams(data: st.DataObject) -> None:
    """Changed, missing and shuffled events are read or refused by a ValueError; no call is made up."""
    events: list[Any] = copy.deepcopy(_WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(events) - 1))
        way = data.draw(st.sampled_from(["delete", "double", "swap", "change"]))
        if way == "delete" and len(events) > 1:
            del events[index]
        elif way == "double":
            events.insert(index, events[index])
        elif way == "swap":
            events[index - 1], events[index] = events[index], events[index - 1]
        else:
            name, body = events[index][0], copy.deepcopy(events[index][1])
            path = data.draw(st.sampled_from([path for path in _paths(body) if path] or [("x",)]))
            target: Any = body
            for key in path[:-1]:
                target = target[key]
            target[path[-1]] = data.draw(_json)
            events[index] = (name, body)
    try:
        response = _read(*events).get()
    except ValueError:
        return
    names = json.dumps(events)
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            assert json.dumps(part.tool_name) in names
