"""What the Responses API streams, in order and out of it, much or little, and which events come of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
from syncagent.models.base import StreamedResponse
from syncagent.models.openai_responses import decode_stream
from syncagent.models.wire import ResponseInfo
from syncagent.transport.sse import Frame
from tests.models.test_responses_answer import mutated


def _event(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **more}


def _added(item: dict[str, Any], index: Any = None) -> dict[str, Any]:
    return _event("output_item.added", item=item, **({} if index is None else {"output_index": index}))


def _done(item: dict[str, Any], index: Any = None) -> dict[str, Any]:
    return _event("output_item.done", item=item, **({} if index is None else {"output_index": index}))


def _delta(kind: str, delta: Any, **more: Any) -> dict[str, Any]:
    return _event(f"{kind}.delta", delta=delta, **more)


def _end(*output: Any, **more: Any) -> dict[str, Any]:
    return _event("completed", response={"id": "resp_1", "status": "completed", "output": list(output), **more})


def _message(text: str = "", identifier: str = "msg_1") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}] if text else []
    return {"type": "message", "id": identifier, "role": "assistant", "content": content}


def _call(arguments: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": "1", "name": "t", "arguments": arguments, **more}


def _frames(*chunks: Any) -> Iterator[Frame]:
    for chunk in chunks:
        yield Frame("message", (chunk if isinstance(chunk, str) else json.dumps(chunk)).encode())


def _events(*chunks: Any) -> list[Any]:
    """The part events, without what is told between them."""
    return [item for item in decode_stream(_frames(*chunks), "p") if not isinstance(item, ResponseInfo)]


def _read(*chunks: Any) -> tuple[ModelResponse, ResponseInfo]:
    stream = StreamedResponse(decode_stream(_frames(*chunks), "p"), model_name="asked")
    for _ in stream:
        pass
    return stream.get(), stream.info


# --- in order --------------------------------------------------------------------------------------


def test_text() -> None:
    """Text begins with a start and goes on with deltas; empty pieces are no events."""
    assert _events(
        _added(_message(), 0),
        _delta("output_text", "", output_index=0),
        _delta("output_text", "He", output_index=0),
        _delta("output_text", "y", output_index=0),
        _done(_message("Hey"), 0),
        _end(_message("Hey")),
    ) == [PartStartEvent(0, TextPart("He")), PartDeltaEvent(0, TextPartDelta("y"))]


def test_call() -> None:
    """A call is announced with its name and first arguments, and goes on with more."""
    assert _events(
        _added(_call(), 0),
        _delta("function_call_arguments", "{", output_index=0),
        _delta("function_call_arguments", "", output_index=0),
        _delta("function_call_arguments", "}", output_index=0),
        _done(_call("{}"), 0),
        _end(_call("{}")),
    ) == [PartStartEvent(0, ToolCallPart("t", "{", "1")), PartDeltaEvent(0, ToolCallPartDelta(None, "}"))]


def test_call_without_arguments() -> None:
    """A call for which no arguments came is announced when it is done."""
    assert _events(_added(_call(), 0), _done(_call(), 0), _end()) == [PartStartEvent(0, ToolCallPart("t", "", "1"))]


def test_custom_call() -> None:
    """A custom tool's call comes whole: its text is one argument."""
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "1", "name": "shell", "input": "ls"}
    response, info = _read(
        _added({**item, "input": ""}, 0),
        _delta("custom_tool_call_input", "ls", output_index=0),
        _done(item, 0),
        _end(item),
    )
    assert response.parts == [ToolCallPart("shell", {"input": "ls"}, "1")]
    assert (info.finish_reason, info.complete) == ("tool_call", True)


def test_thinking() -> None:
    """Each piece of a summary is a part; the proof comes with the first when the item is done."""
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    whole = {
        **item,
        "summary": [{"type": "summary_text", "text": text} for text in ("ab", "c")],
        "encrypted_content": "p",
    }
    assert _events(
        _added(item, 0),
        _delta("reasoning_summary_text", "", output_index=0, summary_index=0),
        _delta("reasoning_summary_text", "a", output_index=0, summary_index=0),
        _delta("reasoning_summary_text", "b", output_index=0, summary_index=0),
        _delta("reasoning_summary_text", "c", output_index=0, summary_index=1),
        _done(whole, 0),
        _end(whole),
    ) == [
        PartStartEvent(0, ThinkingPart("a", "rs_1", None, "p")),
        PartDeltaEvent(0, ThinkingPartDelta("b")),
        PartStartEvent(1, ThinkingPart("c", "rs_1", None, "p")),
        PartDeltaEvent(0, ThinkingPartDelta(None, "p")),
    ]


def test_hidden_thinking() -> None:
    """Thinking that is only encrypted is an empty part with its proof."""
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "p"}
    assert _read(_added(item, 0), _done(item, 0), _end(item))[0].parts == [ThinkingPart("", "rs_1", "p", "p")]


def test_raw_thinking() -> None:
    """Thinking in its own words is text of a part as well; empty pieces are none."""
    item = {"type": "reasoning", "id": 3, "summary": []}
    whole = {"type": "reasoning", "id": "", "content": [{"type": "reasoning_text", "text": "abc"}]}
    response, _ = _read(
        _added(item, 0),
        _delta("reasoning_text", "", output_index=0),
        _delta("reasoning_text", "ab", output_index=0, content_index=0),
        _done(whole, 0),
        _end(whole),
    )
    assert response.parts == [ThinkingPart("abc", None, None, "p")]


def test_proof_without_the_words() -> None:
    """An item that is done without its words still proves those that came."""
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    response, _ = _read(
        _added(item, 0),
        _delta("reasoning_text", "ab", output_index=0, content_index=0),
        _done({**item, "encrypted_content": "p"}, 0),
        _end(),
    )
    assert response.parts == [ThinkingPart("ab", "rs_1", "p", "p")]


def test_server_tools() -> None:
    """A server tool's item comes when it is done, as it then is; how far it got is no event."""
    item = {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}
    whole = {**item, "status": "completed", "action": {"query": "x"}}
    assert _events(
        _added(item, 0),
        _event("web_search_call.searching", output_index=0, item_id="ws_1"),
        _done(whole, 0),
        _end(whole),
    ) == [PartStartEvent(0, OpaquePart("p", whole))]


def test_facts() -> None:
    """Id and model come first, usage, finish reason and what the items tell at the end, with the end mark."""
    infos = [
        item
        for item in decode_stream(
            _frames(
                _event("created", response={"id": "resp_1", "model": "m"}),
                _event("in_progress", response={"id": "resp_1", "model": "m"}),
                _done(_message("a"), 0),
                _end(model="m", usage={"input_tokens": 1, "output_tokens": 2}),
            )
        )
        if isinstance(item, ResponseInfo)
    ]
    assert [(info.model_name, info.provider_response_id) for info in infos] == [
        ("m", "resp_1"),
        (None,) * 2,
        (None,) * 2,
    ]
    assert infos[1].usage is not None and infos[1].usage.total_tokens == 3
    assert infos[2].provider_details == {"finish_reason": "completed", "messages": [{"id": "msg_1"}]}
    assert [info.complete for info in infos] == [False, False, True]


def test_refusal() -> None:
    """A refusal is told at the end, and alone it is a content filter."""
    item = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    response, info = _read(_added({"type": "message"}, 0), _delta("refusal", "No."), _done(item, 0), _end(item))
    assert (response.parts, info.finish_reason) == ([], "content_filter")
    assert info.provider_details == {"finish_reason": "completed", "refusal": "No."}


def test_incomplete() -> None:
    """A response that was cut by its limit is complete as a stream, and says why it ends."""
    end = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []}
    response, info = _read(
        _added(_call(), 0),
        _delta("function_call_arguments", '{"a', output_index=0),
        _done(_call('{"a', status="incomplete"), 0),
        _event("incomplete", response=end),
    )
    assert response.parts == [ToolCallPart("t", '{"a', "1")]
    assert (info.finish_reason, info.complete) == ("length", True)
    assert (info.provider_details or {})["finish_reason"] == "max_output_tokens"


# --- servers that say less -------------------------------------------------------------------------


def test_by_id() -> None:
    """Without indices an item is told by its id."""
    first, second = _message("", "a"), _message("", "b")
    response, _ = _read(
        _added(first),
        _added(second),
        _delta("output_text", "2", item_id="b"),
        _delta("output_text", "1", item_id="a"),
        _done(_message("1!", "a")),
        _done(_message("2!", "b")),
        _end(),
    )
    assert response.parts == [TextPart("1!"), TextPart("2!")]


def test_by_nothing() -> None:
    """Without indices and ids it is the last one of its kind that is not done, or a new one."""
    response, info = _read(
        _delta("output_text", "a"),
        _delta("output_text", "b"),
        _delta("function_call_arguments", "{"),
        _done(_call("{}")),
        _done(_message("ab!")),
        _done(_message("c")),
        _end(),
    )
    assert response.parts == [TextPart("ab!"), ToolCallPart("t", "{}", "1"), TextPart("c")]
    assert info.complete


def test_without_deltas() -> None:
    """What no delta brought comes when the item is done, or with the response as a whole."""
    thought = {"type": "reasoning", "id": "rs_1", "content": [{"type": "reasoning_text", "text": "ab"}]}
    whole = [thought, _message("Hey"), _call('{"a":1}')]
    expected = [ThinkingPart("ab", "rs_1", None, "p"), TextPart("Hey"), ToolCallPart("t", '{"a":1}', "1")]
    assert _read(_end(*whole))[0].parts == expected
    assert _read(*(_done(item, index) for index, item in enumerate(whole)), _end())[0].parts == expected
    begun = [
        _added({"type": "reasoning", "id": "rs_1"}, 0),
        _delta("reasoning_text", "a", output_index=0),
        _added(_message(), 1),
        _delta("output_text", "He", output_index=1),
        _added(_call(), 2),
        _delta("function_call_arguments", '{"a"', output_index=2),
    ]
    response, info = _read(*begun, _end(*whole))
    assert response.parts == expected
    assert info.finish_reason == "tool_call"


def test_without_a_whole() -> None:
    """Where nothing ever says that an item is done, what the deltas brought is what there is."""
    response, info = _read(
        _added(_message()), _delta("output_text", "Hey"), _event("completed", response={"status": "completed"})
    )
    assert response.parts == [TextPart("Hey")]
    assert (info.finish_reason, info.provider_details) == ("stop", {"finish_reason": "completed"})


def test_wholes_of_other_items() -> None:
    """A response whose items are not those that were begun takes nothing from these."""
    response, _ = _read(_added(_message(), 0), _delta("output_text", "a", output_index=0), _end(_call("{}")))
    assert response.parts == [TextPart("a")]


def test_done_in_another_order() -> None:
    """An item keeps the place where it began, also when others are done before it, and the facts keep theirs."""
    hidden = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "p"}
    response, info = _read(
        _added(hidden, 0),
        _added(_message("", "a"), 1),
        _added(_message("", "b"), 2),
        _done(_message("2", "b"), 2),
        _done(_message("1", "a"), 1),
        _done(hidden, 0),
        _end(),
    )
    assert response.parts == [ThinkingPart("", "rs_1", "p", "p"), TextPart("1"), TextPart("2")]
    assert (info.provider_details or {})["messages"] == [{"id": "a"}, {"id": "b"}]


def test_name_after_arguments() -> None:
    """Arguments that come before the name wait for it."""
    events = _events(
        _delta("function_call_arguments", '{"a"', output_index=0),
        _done(_call('{"a":1}'), 0),
        _done(_call("{}"), 0),
        _end(),
    )
    assert events == [PartStartEvent(0, ToolCallPart("t", '{"a":1}', "1"))]


def test_call_without_id() -> None:
    """A call without an id has none: the run makes one."""
    response, _ = _read(_added(_call(call_id=""), 0), _delta("function_call_arguments", "{}", output_index=0), _end())
    assert response.parts == [ToolCallPart("t", "{}", None)]


def test_event_names() -> None:
    """Where the data has no type, the frame's name is it; unknown events and pauses are nothing."""
    frames = [
        Frame("response.output_text.delta", b'{"delta":"a"}'),
        Frame("ping", b"{}"),
        Frame("message", b"{}"),
        Frame("", b""),
        Frame("response.completed", b'{"response":{"status":"completed"}}'),
        Frame("response.output_text.delta", b'{"delta":"after the end"}'),
    ]
    items = list(decode_stream(iter(frames)))
    assert [item for item in items if not isinstance(item, ResponseInfo)] == [PartStartEvent(0, TextPart("a"))]
    assert isinstance(items[-1], ResponseInfo) and items[-1].complete


def test_cut() -> None:
    """A stream that ends before the end mark is not complete; the other API's end mark is none here."""
    for end in ([], ["[DONE]", _end()]):
        response, info = _read(_delta("output_text", "a"), *end)
        assert (response.parts, info.complete) == ([TextPart("a")], False)


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        ({"type": "error", "code": "rate_limit", "message": "Slow.", "param": None}, r"Slow\. \(rate_limit\)"),
        ({"type": "error", "error": {"message": "Oh."}}, r"Oh\."),
        ({"type": "error", "error": None, "message": "Oh."}, r"Oh\. \(error\)"),
        ({"error": {"message": "Oh.", "code": 500}}, r"Oh\. \(500\)"),
        (_event("failed", response={"error": {"code": "server_error", "message": "Oh."}}), r"Oh\. \(server_error\)"),
        (_event("failed", response={"error": None}), "the response failed"),
        (_event("completed", response={"status": "cancelled"}), "the response was cancelled"),
    ],
)
def test_errors(chunk: dict[str, Any], words: str) -> None:
    """An error in a stream is raised in the provider's words, after what came before it."""
    items = decode_stream(_frames(_delta("output_text", "a"), chunk))
    assert next(items) == PartStartEvent(0, TextPart("a"))
    with pytest.raises(ValueError, match=f"^the provider sent an error: {words}$"):
        list(items)


def test_failed() -> None:
    """What a failed response cost is known before its error is raised."""
    failed = {"id": "resp_1", "error": {"message": "Oh."}, "usage": {"input_tokens": 3, "output_tokens": 0}}
    stream = StreamedResponse(decode_stream(_frames(_event("failed", response=failed))), model_name="m")
    with pytest.raises(ValueError, match="Oh"):
        list(stream)
    assert stream.usage().request_tokens == 3
    assert stream.info.provider_response_id == "resp_1"


def test_error_frame() -> None:
    """A frame whose name says that it is an error is one."""
    with pytest.raises(ValueError, match=r"^the provider sent an error: Oh\.$"):
        list(decode_stream(iter([Frame("error", b'{"message":"Oh."}')])))


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        (["{"], "an event of the stream is not JSON: .*"),
        (["[1]"], "an event of the stream: expected an object, got list"),
        ([_event("created")], "response.created: response: expected an object, got nothing"),
        ([_added({})], "item.type: expected text, got nothing"),
        ([_event("output_item.done", item=3)], "item: expected an object, got int"),
        ([_delta("output_text", 3)], "response.output_text.delta: delta: expected text, got int"),
        (
            [_added(_call(), 0), _delta("output_text", "a", output_index=0)],
            "response.output_text.delta: expected an item of the type 'message', got 'function_call'",
        ),
        (
            [_added(_call(), 0), _done(_message("a"), 0)],
            "item.type: expected 'function_call' as before, got 'message'",
        ),
        (
            [
                _added(_call(), 0),
                _delta("function_call_arguments", "{", output_index=0),
                _done({**_call(), "arguments": {}}, 0),
            ],
            "item.arguments: expected text as in the deltas, got an object",
        ),
        ([_delta("function_call_arguments", "{"), _end()], "item.name: expected text, got nothing"),
        ([_event("completed", response={"output": 3})], "response.output: expected a list, got int"),
        ([_event("completed", response={"output": [3]})], r"response.output\[0\]: expected an object, got int"),
    ],
)
def test_other_shapes(chunks: list[Any], words: str) -> None:
    """An event of another shape is refused by its name and the field's."""
    with pytest.raises(ValueError, match=f"^{words}$"):
        list(decode_stream(_frames(*chunks)))


# --- wild ------------------------------------------------------------------------------------------

_CHUNKS = [
    _event("created", response={"id": "resp_1", "model": "m", "status": "in_progress"}),
    _added({"type": "reasoning", "id": "rs_1", "summary": []}, 0),
    _delta("reasoning_summary_text", "a", output_index=0, item_id="rs_1", summary_index=0),
    _done({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}]}, 0),
    _added(_message(), 1),
    _delta("output_text", "He", output_index=1, item_id="msg_1"),
    _delta("output_text", "y", output_index=1, item_id="msg_1"),
    _done(_message("Hey"), 1),
    _added(_call(), 2),
    _delta("function_call_arguments", "{}", output_index=2, item_id="fc_1"),
    _done(_call("{}"), 2),
    _end(_message("Hey"), _call("{}"), usage={"input_tokens": 1, "output_tokens": 1}),
]


@given(st.data())
def test_mutated(data: st.DataObject) -> None:
    """A right stream in which one thing was changed gives no invented call, or a ValueError."""
    chunks = mutated(data, _CHUNKS)
    try:
        response, _ = _read(*chunks)
    except ValueError:
        return
    names = [json.dumps(part.tool_name) for part in response.parts if isinstance(part, ToolCallPart)]
    assert len(names) <= 2
    assert all(name in json.dumps(chunks) for name in names)
