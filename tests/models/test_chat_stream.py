"""What chat servers stream, in order and out of it, and which events come of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Optional

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
from syncagent.models.chat import decode_stream
from syncagent.models.wire import ResponseInfo
from syncagent.transport.sse import Frame

_END = "[DONE]"


def _frames(*chunks: Any) -> Iterator[Frame]:
    for chunk in chunks:
        yield Frame("message", (chunk if isinstance(chunk, str) else json.dumps(chunk)).encode())


def _delta(delta: Any = None, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta or {}, **choice}]}


def _calls(*calls: dict[str, Any]) -> dict[str, Any]:
    return _delta({"tool_calls": list(calls)})


def _events(*chunks: Any) -> list[Any]:
    """The part events, without what is told between them."""
    return [item for item in decode_stream(_frames(*chunks), "p") if not isinstance(item, ResponseInfo)]


def _read(*chunks: Any, quirks: Optional[dict[str, Any]] = None) -> tuple[ModelResponse, ResponseInfo]:
    stream = StreamedResponse(decode_stream(_frames(*chunks), "p", quirks or {}), model_name="asked")
    for _ in stream:
        pass
    return stream.get(), stream.info


def test_text() -> None:
    """Text begins with a start and goes on with deltas; empty pieces are no events."""
    chunks = [_delta({"role": "assistant", "content": ""}), _delta({"content": "He"}), _delta({"content": "y"})]
    assert _events(*chunks) == [
        PartStartEvent(0, TextPart("He")),
        PartDeltaEvent(0, TextPartDelta("y")),
    ]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking(field: str) -> None:
    """Thinking is a part of its own that says whose it is; more of it after text still belongs to it."""
    assert _events(
        _delta({field: "a"}), _delta({field: "b", "content": None}), _delta({"content": "c"}), _delta({field: "d"})
    ) == [
        PartStartEvent(0, ThinkingPart("a", None, None, "p")),
        PartDeltaEvent(0, ThinkingPartDelta("b")),
        PartStartEvent(1, TextPart("c")),
        PartDeltaEvent(0, ThinkingPartDelta("d")),
    ]


def test_content_as_a_list() -> None:
    """Thinking and text in one list of content become events of their parts."""
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "b"}]
    assert _events(_delta({"content": content}), _delta({"content": "c"})) == [
        PartStartEvent(0, ThinkingPart("a", None, None, "p")),
        PartStartEvent(1, TextPart("b")),
        PartDeltaEvent(1, TextPartDelta("c")),
    ]


def test_tool_call() -> None:
    """A call is announced with name and arguments, be they empty, and goes on with pieces of its arguments."""
    assert _events(
        _calls({"index": 0, "id": "1", "function": {"name": "a", "arguments": ""}}),
        _calls({"index": 0, "function": {"arguments": '{"x"'}}),
        _calls({"index": 0, "function": {"arguments": ""}}),
        _calls({"index": 0, "function": {"arguments": ":1}"}}, {"index": 1, "id": "2", "function": {"name": "b"}}),
        _calls({"index": 1, "function": {"arguments": "{}"}}),
        _delta(finish_reason="tool_calls"),
    ) == [
        PartStartEvent(0, ToolCallPart("a", "", "1")),
        PartDeltaEvent(0, ToolCallPartDelta(None, '{"x"', "1")),
        PartDeltaEvent(0, ToolCallPartDelta(None, ":1}", "1")),
        PartStartEvent(1, ToolCallPart("b", "{}", "2")),
    ]


def test_name_in_pieces() -> None:
    """A name may come in pieces, before or after the call was announced; a repeated whole name is no piece."""
    response, _ = _read(
        _calls({"index": 0, "id": "1", "function": {"name": "get_"}}),
        _calls({"index": 0, "function": {"name": "city", "arguments": "{"}}),
        _calls({"index": 0, "function": {"name": "get_city", "arguments": "}"}}),
        _calls({"index": 0, "function": {"name": "_now"}}),
        _END,
    )
    assert response.parts == [ToolCallPart("get_city_now", "{}", "1")]


def test_arguments_before_the_name() -> None:
    """Arguments that come before the name wait for it, as text and as objects."""
    response, _ = _read(
        _calls({"index": 0, "function": {"arguments": "{"}}, {"index": 1, "function": {"arguments": {"a": 1}}}),
        _calls({"index": 0, "function": {"arguments": "}"}}, {"index": 1, "function": {"arguments": {"b": 2}}}),
        _calls({"index": 0, "function": {"name": "x"}}, {"index": 1, "id": "2", "function": {"name": "y"}}),
        _calls({"index": 1, "function": {"arguments": {"c": 3}}}),
        _END,
    )
    assert response.parts == [ToolCallPart("x", "{}"), ToolCallPart("y", {"a": 1, "b": 2, "c": 3}, "2")]


def test_call_without_arguments() -> None:
    """A call whose arguments never came is one without arguments, once the stream is complete; a cut one is none."""
    call = _calls({"index": 0, "id": "1", "function": {"name": "now"}})
    assert _read(call, _END)[0].parts == [ToolCallPart("now", "", "1")]
    assert _read(call)[0].parts == []


def test_calls_without_index() -> None:
    """Without an index the place in the list counts; another id at one place is another call."""
    response, _ = _read(
        _calls({"id": "1", "function": {"name": "a", "arguments": "{}"}}),
        _calls({"id": "2", "function": {"name": "a", "arguments": "{}"}}),
        _calls({"id": "2", "function": {"arguments": " "}}),
        _END,
    )
    assert response.parts == [ToolCallPart("a", "{}", "1"), ToolCallPart("a", "{} ", "2")]


def test_id_that_comes_late() -> None:
    """An id may come after the call was announced."""
    response, _ = _read(
        _calls({"index": 0, "function": {"name": "a", "arguments": "{"}}),
        _calls({"index": 0, "id": "1", "function": {"arguments": "}"}}),
        _END,
    )
    assert response.parts == [ToolCallPart("a", "{}", "1")]


def test_facts() -> None:
    """Names, usage, finish reason and the end mark are told; the last usage counts."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    response, info = _read(
        {**_delta({"content": "a"}), "id": "r1", "model": "m1", "usage": usage},
        {**_delta(finish_reason="stop"), "id": "r1", "model": "m1", "usage": None},
        {"choices": [], "id": "r1", "model": "m1", "usage": {**usage, "completion_tokens": 9}},
        _END,
    )
    assert (response.model_name, response.provider_response_id) == ("m1", "r1")
    assert response.usage.response_tokens == 9
    assert (response.finish_reason, response.provider_details) == ("stop", {"finish_reason": "stop"})
    assert info.complete


def test_usage_inside_an_extension() -> None:
    """One provider's usage stands in a field of its own."""
    chunk = {**_delta(finish_reason="stop"), "x_groq": {"usage": {"prompt_tokens": 7}}}
    assert _read(chunk)[0].usage.request_tokens == 7


@pytest.mark.parametrize(
    ("chunks", "complete"),
    [
        ([_delta({"content": "a"}, finish_reason="stop")], True),
        ([_delta({"content": "a"}), _END], True),
        ([_delta({"content": "a"}), " [DONE] "], True),
        ([_delta({"content": "a"})], False),
        ([_delta({"content": "a"}, finish_reason="")], False),
        ([], False),
    ],
)
def test_complete(chunks: list[Any], complete: bool) -> None:
    """A stream is complete with a finish reason or the end mark, and not else."""
    assert _read(*chunks)[1].complete is complete


def test_after_the_end_mark() -> None:
    """Nothing is read after the end mark."""
    frames = _frames(_delta({"content": "a"}), _END, "not JSON")
    list(decode_stream(frames))
    assert next(frames).data == b"not JSON"


def test_refusal() -> None:
    """A refusal alone has the content filter for its reason; beside an answer it is a detail."""
    pieces = [_delta({"refusal": "I "}), _delta({"refusal": "can't."})]
    response, _ = _read(*pieces, _delta(finish_reason="stop"), _END)
    assert (response.parts, response.finish_reason) == ([], "content_filter")
    assert response.provider_details == {"finish_reason": "stop", "refusal": "I can't."}
    assert _read(_delta({"content": "a"}), *pieces, _delta(finish_reason="stop"))[0].finish_reason == "stop"


def test_refusal_after_the_end() -> None:
    """What a model goes on to decline after its finish reason is in the details too."""
    pieces = [_delta({"refusal": "I "}, finish_reason="stop"), _delta({"refusal": "can't."}, finish_reason="stop")]
    response, _ = _read(*pieces, _END)
    assert response.provider_details == {"finish_reason": "stop", "refusal": "I can't."}


def test_logprobs() -> None:
    """Log probabilities are gathered in the details."""
    response, _ = _read(
        _delta({"content": "a"}, logprobs={"content": [1], "refusal": None}),
        _delta({"content": "b"}, logprobs={"content": [2]}),
        _delta({"content": "c"}, logprobs="odd"),
        _delta(finish_reason="stop"),
    )
    assert (response.provider_details or {})["logprobs"] == {"content": [1, 2]}


def test_kept_fields() -> None:
    """Pieces of a kept field are put together again, as one opaque part at the end."""
    response, _ = _read(
        _delta({"reasoning_details": [{"type": "t", "index": 0, "text": "a", "signature": None}]}),
        _delta({"reasoning_details": [{"type": "t", "index": 0, "text": "b", "signature": "s"}, "odd"]}),
        _delta({"reasoning_details": {"type": "t", "index": 1, "text": "c"}}),
        _delta({"content": "d"}, finish_reason="stop"),
        quirks={"keep": ("reasoning_details",)},
    )
    assert response.parts == [
        TextPart("d"),
        OpaquePart(
            "p",
            {
                "reasoning_details": [
                    {"type": "t", "index": 0, "text": "ab", "signature": "s"},
                    "odd",
                    {"type": "t", "index": 1, "text": "c"},
                ]
            },
        ),
    ]


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        ("nonsense", "an event of the stream is not JSON: "),
        ("[" * 100_000, "an event of the stream is not JSON: "),
        ("NaN", "an event of the stream is not JSON: NaN is not JSON"),
        ("[1]", "an event of the stream: expected an object, got list"),
        ({"choices": "a"}, "choices: expected a list, got str"),
        ({"choices": [3]}, "choices[0]: expected an object, got int"),
        ({"choices": [{"delta": "a"}]}, "choices[0].delta: expected an object, got str"),
        ({"choices": [{"message": {}}]}, "choices[0].delta: expected an object, got a whole message"),
        (_delta({"content": 3}), "choices[0].delta.content: expected text or a list, got int"),
        (_delta({"refusal": 3}), "choices[0].delta.refusal: expected text, got int"),
        (_delta({"tool_calls": 3}), "choices[0].delta.tool_calls: expected a list, got int"),
        (_delta({"tool_calls": [3]}), "choices[0].delta.tool_calls[0]: expected an object, got int"),
        (_calls({"function": 3}), "choices[0].delta.tool_calls[0].function: expected an object, got int"),
        (_calls({"index": True}), "choices[0].delta.tool_calls[0].index: expected a number, got bool"),
        (_calls({"id": 3}), "choices[0].delta.tool_calls[0].id: expected text, got int"),
        (
            _calls({"function": {"arguments": 3}}),
            "choices[0].delta.tool_calls[0].function.arguments: expected text or an object, got int",
        ),
        ({"choices": [{"error": {"message": "No"}}]}, "the provider sent an error: No"),
        ({"error": {"message": "No", "code": 500}}, "the provider sent an error: No (500)"),
        ({"choices": [], "usage": "a"}, "usage: expected an object, got str"),
    ],
)
def test_chunks_of_another_shape(chunk: Any, text: str) -> None:
    """A chunk of another shape, or an error, is a ValueError that names the field."""
    with pytest.raises(ValueError) as raised:
        _read(chunk)
    assert str(raised.value).startswith(text)


def test_changed_id() -> None:
    """A piece with another id and no name belongs to no call."""
    with pytest.raises(ValueError, match=r"tool_calls\[0\]\.id: expected the same as before, .* got another one$"):
        _read(_calls({"index": 0, "id": "1", "function": {"name": "a"}}), _calls({"index": 0, "id": "2"}))


def test_mixed_arguments() -> None:
    """Arguments of one call come as text or as an object, not as both."""
    with pytest.raises(ValueError, match="come as text and as an object"):
        _read(
            _calls({"index": 0, "function": {"name": "a", "arguments": "{"}}),
            _calls({"index": 0, "function": {"arguments": {"a": 1}}}),
        )


def test_call_without_name() -> None:
    """A call that never got a name cannot be run: the stream is wrong, if it is complete."""
    with pytest.raises(ValueError, match="a tool call came without a name"):
        _read(_calls({"index": 0, "function": {"arguments": "{}"}}), _END)


def test_error_event() -> None:
    """An event named ``error`` is one, whatever it holds; what stands beside an error is still told."""
    frames = iter([Frame("error", b'{"message": "No", "usage": {"prompt_tokens": 3}}')])
    stream = StreamedResponse(decode_stream(frames), model_name="m")
    with pytest.raises(ValueError, match=r"^the provider sent an error: No$"):
        list(stream)
    assert stream.usage().request_tokens == 3


def test_odd_events() -> None:
    """Empty events, null deltas, empty choices and further fields disturb nothing."""
    odd = ["", "  ", {}, {"choices": None}, {"choices": [{"delta": None}]}, _delta({"content": "a", "x": 1})]
    assert _read(*odd, _END)[0].parts == [TextPart("a")]


_LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
_KEYS = st.sampled_from(
    [
        *("choices", "delta", "content", "tool_calls", "function", "name", "arguments", "id", "index", "usage"),
        *("error", "refusal", "finish_reason", "reasoning", "logprobs", "type", "text", "thinking", "x_groq"),
    ]
)
_JSON = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=10
)


_CHUNKS = _JSON | st.builds(_delta, _JSON) | st.builds(lambda call: _calls({"function": call}), _JSON)


@given(st.lists(_CHUNKS, max_size=4))
def test_any_stream(chunks: list[Any]) -> None:
    """Whatever JSON comes, it is a response or a ValueError; a tool call is never made up."""
    try:
        response, _ = _read(*chunks, _END)
    except ValueError:
        return
    said = json.dumps(chunks, ensure_ascii=False)
    for part in response.parts:
        assert not isinstance(part, ToolCallPart) or all(letter in said for letter in part.tool_name)
