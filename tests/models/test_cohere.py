"""``CohereModel``: what goes out, what comes in, what is refused."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.exceptions import ContextTooLongError, ModelResponseError, UserError
from syncagent.messages import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    DocumentUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    RetryPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
)
from syncagent.models import ModelRequestParameters
from syncagent.models.base import StreamedResponse
from syncagent.models.cohere import CohereModel, CohereModelSettings, CohereWire, decode, decode_error, encode
from syncagent.models.names import infer_model
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall, ResponseInfo
from syncagent.providers.cohere import CohereProvider
from syncagent.settings import ModelSettings, check_settings
from syncagent.tools import ToolDefinition
from syncagent.transport.sse import Frame
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import as_json, say

_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_WEATHER, _NOW = ToolDefinition("weather", "Tell the weather.", _SCHEMA), ToolDefinition("now", "", _SCHEMA)
_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_ANSWER: dict[str, Any] = {
    "id": "r-1",
    "finish_reason": "TOOL_CALL",
    "message": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hey."}],
        "tool_plan": "I look.",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    },
    "usage": {"tokens": {"input_tokens": 3, "output_tokens": 2}, "cached_tokens": 1},
}


def _body(
    messages: list[ModelMessage],
    settings: Optional[dict[str, Any]] = None,
    parameters: Optional[ModelRequestParameters] = None,
    provider: str = "cohere",
) -> Any:
    parameters = parameters or ModelRequestParameters()
    call = ModelCall("m", messages, settings or {}, parameters, ModelProfile(), False, provider, {})
    return json.loads(encode(call).body)


# --- the model -------------------------------------------------------------------------------------


def test_request() -> None:
    """A request goes to the second version's path with the key; what came bears the provider's and model's names."""
    with FaultServer(say("200 OK", as_json(_ANSWER))) as server:
        model = CohereModel("command-r", provider=CohereProvider(server.origin, "co-1"))
        response = model.request(list(_ASKED), {"temperature": 0}, ModelRequestParameters())
        (request,) = server.requests
        assert server.bodies[0] == {
            "model": "command-r",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": False,
            "temperature": 0,
        }
    assert (request.path, request.headers["authorization"]) == ("/v2/chat", "Bearer co-1")
    assert response.parts == [
        ThinkingPart("hm", None, None, "cohere"),
        TextPart("Hey."),
        ToolCallPart("weather", "{}", "1"),
        OpaquePart("cohere", {"tool_plan": "I look."}),
    ]
    assert (response.provider_name, response.model_name, response.provider_response_id) == (
        "cohere",
        "command-r",
        "r-1",
    )
    usage = response.usage
    assert (usage.request_tokens, usage.response_tokens, usage.total_tokens) == (3, 2, 5)
    assert usage.details == {"cached_tokens": 1}


def test_names() -> None:
    """The prefix leads here; a schema beside tools does not go."""
    model = infer_model("cohere:command-a-03-2025")
    assert isinstance(model, CohereModel)
    assert model.profile.native_with_tools is False
    assert repr(model.wire) == "<CohereWire of cohere>"


def test_providers() -> None:
    """A provider of another API, an unknown one and what is none are refused."""
    with pytest.raises(UserError, match=r"^The provider 'openai' does not speak Cohere's API\.$"):
        CohereModel("m", provider="openai")
    with pytest.raises(UserError, match=r"^provider is a Provider, or the name of one; got int\.$"):
        CohereModel("m", provider=3)  # type: ignore[arg-type] # that is the mistake


# --- what goes out ---------------------------------------------------------------------------------


def test_settings(caplog: pytest.LogCaptureFixture) -> None:
    """Common settings go by Cohere's keys, its own by theirs; others stay here with one line, ``extra_body`` wins."""
    own = {key: "x" for key in CohereModelSettings.__annotations__ if key.startswith("cohere_")}
    assert CohereModelSettings.__annotations__.keys() == ModelSettings.__annotations__.keys() | own.keys()
    check_settings(own)
    settings = {
        **own,
        "top_p": 0.5,
        "top_k": 4,
        "logprobs": True,
        "seed": None,
        "timeout": 3,
        "parallel_tool_calls": True,
        "logit_bias": {"1": 2},
        "extra_body": {"priority": 7},
    }
    with caplog.at_level(logging.DEBUG, "syncagent.models"):
        body = _body(_ASKED, settings)
    assert (body["p"], body["k"], body["logprobs"], body["priority"]) == (0.5, 4, True, 7)
    assert {key[7:] for key in own} <= body.keys()
    assert not {"seed", "timeout", "parallel_tool_calls", "logit_bias", "extra_body", "top_p"} & body.keys()
    (record,) = caplog.records
    assert record.getMessage() == "cohere m: settings that cannot be sent: parallel_tool_calls, logit_bias"


@pytest.mark.parametrize(
    ("choice", "allow_text", "sent", "names"),
    [
        (None, True, None, ["weather", "now"]),
        (None, False, "REQUIRED", ["weather", "now"]),
        ("none", True, "NONE", ["weather", "now"]),
        ("required", True, "REQUIRED", ["weather", "now"]),
        ("now", True, "REQUIRED", ["now"]),
    ],
)
def test_tool_choice(choice: Optional[str], allow_text: bool, sent: Optional[str], names: list[str]) -> None:
    """Tools are free, forced or forbidden; a named one is sent alone, as the API knows no names there."""
    parameters = ModelRequestParameters([_WEATHER, _NOW], allow_text, native_tools=[{"type": "x"}])
    body = _body(_ASKED, {"tool_choice": choice}, parameters)
    assert body.get("tool_choice") == sent
    assert [tool["function"]["name"] for tool in body["tools"][:-1]] == names
    assert body["tools"][-1] == {"type": "x"}


def test_native_tools_alone() -> None:
    """A provider's own tools go without a choice."""
    body = _body(_ASKED, None, ModelRequestParameters(native_tools=[{"type": "x"}], allow_text_result=False))
    assert (body["tools"], "tool_choice" in body) == ([{"type": "x"}], False)


def test_unknown_tool_choice() -> None:
    """A tool that is not there cannot be chosen."""
    with pytest.raises(UserError, match=r"^tool_choice is .* \(weather\); got 'wether'\.$"):
        _body(_ASKED, {"tool_choice": "wether"}, ModelRequestParameters([_WEATHER]))


def test_history() -> None:
    """Answers stand after their calls; what is empty, or another provider's, stays here; broken arguments go back."""
    messages: list[ModelMessage] = [
        ModelResponse([]),
        ModelResponse([ThinkingPart("a", None, None, "cohere")]),
        ModelResponse([OpaquePart("cohere", {"tool_plan": "p", "citations": [1], "x": 2}), TextPart("b")]),
        ModelResponse([OpaquePart("other", {"tool_plan": "p"}), TextPart("c"), TextPart("")]),
        ModelResponse([ThinkingPart("d", None, None, "other"), ToolCallPart("now", " ", "1")]),
        ModelRequest([UserPromptPart(["e", CachePoint()]), RetryPromptPart("no", "now", "1"), RetryPromptPart("f")]),
    ]
    frames = _body(messages)["messages"]
    assert frames[0] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "b"}],
        "tool_plan": "p",
        "citations": [1],
    }
    assert frames[1] == {"role": "assistant", "content": [{"type": "text", "text": "c"}]}
    call = {"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    assert frames[2] == {"role": "assistant", "tool_calls": [call]}
    assert [(frame["role"], frame["content"]) for frame in frames[3:]] == [
        ("tool", "no\n\nFix the errors and try again."),
        ("user", [{"type": "text", "text": "e"}]),
        ("user", "f\n\nFix the errors and try again."),
    ]


@pytest.mark.parametrize(
    "item",
    [
        BinaryContent(b"a", "audio/wav"),
        BinaryContent(b"a", "application/pdf"),
        AudioUrl("https://x/a.mp3"),
        VideoUrl("https://x/a.mp4"),
        DocumentUrl("https://x/a.pdf"),
    ],
)
def test_other_content(item: Any) -> None:
    """Sound, video and documents are refused, with words that say what to do."""
    with pytest.raises(UserError, match=rf"^This API takes text and images; got {type(item).__name__}.*documents"):
        _body([ModelRequest([UserPromptPart([item])])])


def test_what_has_no_form() -> None:
    """A call without an id, a tool's return and settings without a JSON form are the program's mistake."""
    with pytest.raises(UserError, match=r"^Cohere requires `tool_call_id` to be set: the ToolCallPart of 'now'"):
        _body([ModelResponse([ToolCallPart("now", "{}", None)])])
    with pytest.raises(UserError, match=r"^The tool 'now' returned what cannot be sent to a model"):
        _body([ModelRequest([ToolReturnPart("now", object(), "1")])])
    with pytest.raises(UserError, match=r"^The request to cohere m cannot be written"):
        _body(_ASKED, {"extra_body": {"x": object()}})


def test_lone_surrogates() -> None:
    """Text that no UTF-8 can hold goes as JSON's escape."""
    assert _body([ModelRequest([UserPromptPart("\ud800")])])["messages"][0]["content"] == "\ud800"


# --- what comes in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"message": None}, r"^message: expected an object, got nothing$"),
        ({"message": {"content": 3}}, r"^message\.content: expected a list, got int$"),
        ({"message": {"content": [3]}}, r"^message\.content\[0\]: expected an object, got int$"),
        ({"message": {"content": [{"type": "text"}]}}, r"^message\.content\[0\]\.text: expected text, got nothing$"),
        ({"message": {"content": [{"type": "thinking", "thinking": []}]}}, r"thinking: expected text, got an empty"),
        ({"message": {"tool_calls": {}}}, r"^message\.tool_calls: expected a list, got dict$"),
        ({"message": {"tool_calls": ["x"]}}, r"^message\.tool_calls\[0\]: expected an object, got str$"),
        ({"message": {"tool_calls": [{}]}}, r"^message\.tool_calls\[0\]\.function: expected an object, got nothing$"),
        ({"message": {"tool_calls": [{"function": {"name": ""}}]}}, r"expected the name of a tool, got an empty text$"),
        ({"message": {"tool_calls": [{"function": {"name": "a", "arguments": {}}}]}}, r"arguments: expected text"),
        ({"id": 3}, r"^id: expected text, got int$"),
        ({"usage": []}, r"^usage: expected an object, got an empty list$"),
        ({"usage": {"tokens": 3}}, r"^usage\.tokens: expected an object, got int$"),
        ({"usage": {"tokens": {"input_tokens": 1.5}}}, r"^usage\.tokens\.input_tokens: expected a number of tokens"),
        ({"usage": {"billed_units": {"search_units": -1}}}, r"^usage\.billed_units\.search_units: expected a number"),
        ({"usage": {"cached_tokens": True}}, r"^usage\.cached_tokens: expected a number of tokens, got bool$"),
        ({"usage": {"tokens": {"input_tokens": float("inf")}}}, r"expected a number of tokens, got another number$"),
    ],
)
def test_other_shapes(changes: dict[str, Any], match: str) -> None:
    """A body of another shape is refused by the field's path."""
    with pytest.raises(ValueError, match=match):
        decode({**_ANSWER, **changes})


def test_no_object() -> None:
    """A body that is no object is refused."""
    with pytest.raises(ValueError, match=r"^the body: expected an object, got an empty list$"):
        decode([])  # type: ignore[arg-type] # that is what came


def test_little_said() -> None:
    """Text alone, unknown kinds, calls without arguments and ids, no usage, billed units alone: all are read."""
    message = {
        "content": [{"type": "text", "text": ""}, {"type": "thinking", "thinking": ""}, {"type": "picture"}],
        "tool_calls": [{"id": "", "function": {"name": "a"}}],
    }
    response = decode({"message": message, "finish_reason": 3, "logprobs": [{"text": "a"}]})
    assert response.parts == [ToolCallPart("a", "", None)]
    assert (response.finish_reason, response.provider_details) == (None, {"logprobs": [{"text": "a"}]})
    assert response.usage.total_tokens is None
    billed = {"input_tokens": 2, "search_units": None}
    response = decode({"message": {"content": "Hey."}, "usage": {"billed_units": billed}})
    assert response.parts == [TextPart("Hey.")]
    assert (response.usage.request_tokens, response.usage.response_tokens, response.usage.total_tokens) == (2, None, 2)
    assert decode({"message": {"content": ""}}).parts == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [("COMPLETE", "stop"), ("MAX_TOKENS", "length"), ("ERROR", "error"), ("TIMEOUT", "error"), ("NEW", None)],
)
def test_finish_reasons(said: str, reason: Optional[str]) -> None:
    """Each word of the API has one of ours; the API's own is kept."""
    response = decode({**_ANSWER, "finish_reason": said})
    assert (response.finish_reason, response.provider_details) == (reason, {"finish_reason": said})


@pytest.mark.parametrize(
    ("status", "body", "message", "kind"),
    [
        (404, {"id": "x", "message": "model 'a' not found"}, "model 'a' not found", None),
        (400, {"message": "too many tokens: 9"}, "too many tokens: 9", "context_too_long"),
        (500, {"message": "too many tokens: 9"}, "too many tokens: 9", None),
        (400, {"message": ["a"]}, "['a']", None),
        (400, {"error": "no"}, "no", None),
        (502, "<html>", "<html>", None),
        (502, "", None, None),
        (502, None, None, None),
        (502, [1], None, None),
        (502, {}, None, None),
    ],
)
def test_errors(status: int, body: object, message: Optional[str], kind: Optional[str]) -> None:
    """An error of any shape is read as far as it says something."""
    assert decode_error(status, body)[:3] == (message, None, kind)


def test_too_long() -> None:
    """A prompt that is too long is its own error."""
    with FaultServer(say("400 Bad", as_json({"message": "too many tokens: total must be at most 10"}))) as server:
        model = CohereModel("m", provider=CohereProvider(server.origin, "k"))
        with pytest.raises(ContextTooLongError, match="too many tokens"):
            model.request(list(_ASKED), None, ModelRequestParameters())


# --- streams ---------------------------------------------------------------------------------------


def _frames(*events: Any) -> Iterator[Frame]:
    for event in events:
        yield event if isinstance(event, Frame) else Frame("", json.dumps(event).encode())


def _stream(*events: Any) -> StreamedResponse:
    return StreamedResponse(CohereWire("cohere").decode_stream(_frames(*events)), model_name="m")


def _delta(kind: str, index: Optional[int] = 0, **message: Any) -> dict[str, Any]:
    event: dict[str, Any] = {"type": kind, "delta": {"message": message}}
    if index is not None:
        event["index"] = index
    return event


_END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}


def test_stream() -> None:
    """Text that comes with the start, calls side by side, logprobs and unknown events make one response."""
    weather = {"id": "1", "function": {"name": "weather", "arguments": "{"}}
    stream = _stream(
        {"type": "message-start", "id": "r"},
        {**_delta("content-start", content={"type": "text", "text": "He"}), "logprobs": {"text": "He"}},
        {"type": "debug", "prompt": "x"},
        {"type": ["debug"]},
        Frame("", b""),
        _delta("content-delta", content={"text": "y."}),
        _delta("tool-call-start", tool_calls=weather),
        _delta("tool-call-start", 1, tool_calls={"function": {"name": "now"}}),
        _delta("tool-call-delta", tool_calls={"function": {"arguments": "}"}}),
        _delta("tool-call-delta", 1, tool_calls={"function": {}}),
        _delta("citation-start", citations=[{"start": 0}]),
        _delta("citation-start", citations={"start": 1}),
        _delta("citation-start"),
        _END,
        {"type": "content-delta", "said": "after the end, which nobody reads"},
    )
    assert list(stream)
    assert stream.info.complete
    response = stream.get()
    assert response.parts == [
        TextPart("Hey."),
        ToolCallPart("weather", "{}", "1"),
        ToolCallPart("now", "", None),
        OpaquePart("cohere", {"citations": [{"start": 0}, {"start": 1}]}),
    ]
    assert response.provider_details == {"finish_reason": "COMPLETE", "logprobs": [{"text": "He"}]}


def test_a_pause_is_told() -> None:
    """A frame without data gives a word that says so, so that a reader can do something else."""
    (info,) = CohereWire("cohere").decode_stream(_frames(Frame("pause", b"")))
    assert isinstance(info, ResponseInfo) and not info.complete


def test_a_stream_that_is_cut() -> None:
    """Without the end's event a stream is not complete, whatever mark follows."""
    stream = _stream(_delta("content-start", content={"text": "He"}), Frame("", b"[DONE]"))
    assert list(stream)
    assert not stream.info.complete


@pytest.mark.parametrize(
    ("events", "match"),
    [
        ([Frame("", b"{")], r"^an event of the stream is not JSON"),
        ([Frame("", b'{"a": NaN}')], r"^an event of the stream is not JSON: NaN is not JSON$"),
        ([Frame("", b"[1]")], r"^an event of the stream: expected an object, got list$"),
        ([{"message": "internal error"}], r"^the provider sent an error: internal error$"),
        ([{"type": "message-end", "delta": {"error": "boom"}}], r"^the provider sent an error: boom$"),
        ([{"type": "message-end"}], r"^delta: expected an object, got nothing$"),
        ([_delta("content-delta", content=3)], r"^delta\.message\.content: expected an object, got int$"),
        ([_delta("content-delta", content={"text": 3})], r"^delta\.message\.content\.text: expected text, got int$"),
        ([_delta("content-delta", content={"thinking": 3})], r"content\.thinking: expected text, got int$"),
        ([{**_delta("content-delta", content={"text": "a"}), "index": "0"}], r"^index: expected a number, got str$"),
        ([_delta("tool-plan-delta")], r"^delta\.message\.tool_plan: expected text, got nothing$"),
        ([_delta("tool-call-delta", tool_calls={})], r"^index: the tool call 0 goes on, and has not begun$"),
        ([_delta("tool-call-start", tool_calls={"function": {"name": "a"}})] * 2, r"^index: .* 0 began twice$"),
        (
            [
                _delta("tool-call-start", tool_calls={"function": {"name": "a"}}),
                _delta("tool-call-delta", tool_calls={"function": {"arguments": {}, "x": 1}}),
                _delta("tool-call-delta", tool_calls={"function": {"arguments": {"a": 1}}}),
            ],
            r"^delta\.message\.tool_calls\.function\.arguments: expected text, got dict$",
        ),
    ],
)
def test_streams_of_another_shape(events: list[Any], match: str) -> None:
    """An event of another shape, or one that holds an error, ends the stream with its words."""
    with pytest.raises(ValueError, match=match):
        list(_stream(*events))


def test_an_error_at_the_end_of_a_stream() -> None:
    """What came before an error at the end is there, with its usage."""
    end = {"delta": {"error": "boom", "usage": {"tokens": {"input_tokens": 1}}}, "type": "message-end"}
    events = (_delta("content-start", content={"text": "He"}), end)
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    with FaultServer(say("200 OK", body, "Content-Type: text/event-stream")) as server:
        model = CohereModel("m", provider=CohereProvider(server.origin, "k"))
        with pytest.raises(ModelResponseError, match="boom") as raised:
            with model.request_stream(list(_ASKED), None, ModelRequestParameters()) as stream:
                list(stream)
    partial = raised.value.partial
    assert partial is not None
    assert (partial.parts, partial.usage.request_tokens) == ([TextPart("He")], 1)


# --- wild bodies -----------------------------------------------------------------------------------

_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_EVENTS = [
    {"type": "message-start", "id": "r"},
    _delta("content-start", content={"type": "text", "text": "He"}),
    _delta("tool-plan-delta", tool_plan="p"),
    _delta("tool-call-start", tool_calls={"id": "1", "function": {"name": "a", "arguments": ""}}),
    _delta("tool-call-delta", tool_calls={"function": {"arguments": "{}"}}),
    _delta("citation-start", citations={"start": 0}),
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 1}}}},
]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def _mutated(data: st.DataObject, original: Any) -> Any:
    value = copy.deepcopy(original)
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(_places(value)) or [(value, 0)]))
        if isinstance(holder, dict) and data.draw(st.booleans()):
            holder.pop(key, None)
        else:
            holder[key] = data.draw(_JUNK)
    return value


@given(st.data())
def test_mutated_bodies(data: st.DataObject) -> None:
    """Whatever is changed in a body: ValueError, or a response whose calls are those of the body."""
    body = _mutated(data, _ANSWER)
    try:
        response = decode(body, "cohere")
    except ValueError:
        return
    names = [part.tool_name for part in response.parts if isinstance(part, ToolCallPart)]
    assert names == [call["function"]["name"] for call in body["message"].get("tool_calls") or []]


@given(st.data())
def test_mutated_streams(data: st.DataObject) -> None:
    """Whatever is changed in a stream: ValueError, or events whose calls bear the names that came."""
    events = _mutated(data, _EVENTS)
    stream = _stream(*events)
    try:
        list(stream)
    except ValueError:
        pass
    text = json.dumps(events)
    for part in stream.get().parts:
        if isinstance(part, ToolCallPart):
            assert json.dumps(part.tool_name) in text
