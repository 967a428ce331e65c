"""
Ten times the pieces take ten times the work, in every wire: whole answers, streams and requests.

No clock is asked, for it says something else on a busy machine. What is counted is the calls (Python's and C's), and
the bytes that are allocated between one call and the next: text that is copied for every piece that comes is one long
allocation after another, although each is a single step for Python.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import pytest

from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.models.anthropic import AnthropicModel
from syncagent.models.bedrock import BedrockConverseModel
from syncagent.models.cohere import CohereModel
from syncagent.models.gemini import GeminiModel
from syncagent.models.mistral import MistralModel
from syncagent.models.openai import OpenAIModel
from syncagent.models.openai_responses import OpenAIResponsesModel
from syncagent.models.streamed_response import StreamedResponse
from syncagent.models.wire import ModelCall
from syncagent.models.wire_model import WireModel
from syncagent.providers.anthropic import AnthropicProvider
from syncagent.providers.bedrock import BedrockProvider
from syncagent.providers.cohere import CohereProvider
from syncagent.providers.google_gla import GoogleGLAProvider
from syncagent.providers.mistral import MistralProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.providers.openrouter import OpenRouterProvider
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.transport import Frame

pytestmark = pytest.mark.stress

_FEW = 50
_TIMES = 10
_MOST = 15  # times the work for ten times the pieces; quadratic work is a hundred times as much
_PIECE = "x" * 1000

_ADDRESS = "http://127.0.0.1:9"
_MODELS: dict[str, Callable[[], WireModel]] = {
    "chat": lambda: OpenAIModel("m", provider=OpenAIProvider(_ADDRESS, "k")),
    "openrouter": lambda: OpenAIModel("m", provider=OpenRouterProvider(api_key="k")),
    "mistral": lambda: MistralModel("m", provider=MistralProvider(api_key="k")),
    "responses": lambda: OpenAIResponsesModel("m", provider=OpenAIProvider(_ADDRESS, "k")),
    "anthropic": lambda: AnthropicModel("m", provider=AnthropicProvider(_ADDRESS, "k")),
    "gemini": lambda: GeminiModel("m", provider=GoogleGLAProvider(_ADDRESS, "k")),
    "cohere": lambda: CohereModel("m", provider=CohereProvider(_ADDRESS, "k")),
    "bedrock": lambda: BedrockConverseModel(
        "m",
        provider=BedrockProvider(
            base_url=_ADDRESS, aws_access_key_id="A", aws_secret_access_key="B", region_name="eu-west-1"
        ),
    ),
}


class Work(NamedTuple):
    """What a call took."""

    calls: int
    allocated: int


def work(run: Callable[[], object]) -> Work:
    """What *run* takes: the calls in it, and the bytes that were allocated between each two of them."""
    calls = allocated = before = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls, allocated, before
        calls += 1
        allocated += max(0, tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(None)
        tracemalloc.stop()
    return Work(calls, allocated)


def grows_as_it_should(make: Callable[[int], Any], run: Callable[[Any], object]) -> None:
    """Compare the work for a few with that for ten times as many; a first run is not counted, for it imports."""
    few, many = make(_FEW), make(_FEW * _TIMES)
    run(make(2))
    little, much = work(lambda: run(few)), work(lambda: run(many))
    assert much.calls < _MOST * little.calls, (little, much)
    assert much.allocated < _MOST * little.allocated, (little, much)


def test_the_measure_sees_what_is_copied() -> None:
    """A text that is copied for every piece is more than fifteen times the work for ten times the pieces."""

    def adding(pieces: list[str]) -> None:
        holder = {"text": ""}
        for piece in pieces:
            holder["text"] += piece
            len(piece)

    with pytest.raises(AssertionError):
        grows_as_it_should(lambda count: [_PIECE] * count, adding)
    grows_as_it_should(lambda count: [_PIECE] * count, "".join)


# --- whole answers ---------------------------------------------------------------------------------


def _chat(message: dict[str, Any]) -> Any:
    return {"choices": [{"message": message, "finish_reason": "stop"}]}


def _said_by_cohere(*pieces: Any) -> Any:
    return {"message": {"content": list(pieces)}}


def _claude(*blocks: Any) -> Any:
    return {"type": "message", "content": list(blocks), "usage": {"input_tokens": 1, "output_tokens": 1}}


def _gemini(*parts: Any) -> Any:
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}]}


def _converse(*blocks: Any) -> Any:
    return {"output": {"message": {"role": "assistant", "content": list(blocks)}}}


_TEXT = {"type": "text", "text": _PIECE}
_THINKING = {"type": "thinking", "thinking": _PIECE}
_CHAT_CALL = {"id": "a", "type": "function", "function": {"name": "t", "arguments": "{}"}}
_OUTPUT_TEXT = {"type": "output_text", "text": _PIECE, "annotations": [{}], "logprobs": [{}]}
_WHOLE: dict[str, tuple[str, Callable[[int], Any]]] = {
    "chat text": ("chat", lambda count: _chat({"content": [_TEXT] * count})),
    "chat long text": ("chat", lambda count: _chat({"content": _PIECE * count})),
    "chat thinking": ("chat", lambda count: _chat({"content": [_THINKING] * count})),
    "chat thinking in thinking": (
        "mistral",
        lambda count: _chat({"content": [{"type": "thinking", "thinking": [_TEXT] * count}]}),
    ),
    "chat both": ("mistral", lambda count: _chat({"content": [_TEXT, _THINKING] * count})),
    "chat calls": ("chat", lambda count: _chat({"tool_calls": [_CHAT_CALL] * count})),
    "responses text": (
        "responses",
        lambda count: {"output": [{"type": "message", "role": "assistant", "content": [_OUTPUT_TEXT] * count}]},
    ),
    "responses items": (
        "responses",
        lambda count: {"output": [{"type": "message", "role": "assistant", "content": [_OUTPUT_TEXT]}] * count},
    ),
    "responses refusals": (
        "responses",
        lambda count: {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": _PIECE}] * count}]},
    ),
    "responses reasoning": (
        "responses",
        lambda count: {
            "output": [{"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": _PIECE}] * count}]
        },
    ),
    "responses calls": (
        "responses",
        lambda count: {
            "output": [
                {"type": "function_call", "id": f"i{number}", "call_id": f"c{number}", "name": "t", "arguments": "{}"}
                for number in range(count)
            ]
        },
    ),
    "anthropic text": ("anthropic", lambda count: _claude(*[{**_TEXT, "citations": [{}]}] * count)),
    "anthropic thinking": ("anthropic", lambda count: _claude(*[{**_THINKING, "signature": "s"}] * count)),
    "anthropic calls": (
        "anthropic",
        lambda count: _claude(
            *[{"type": "tool_use", "id": "a", "name": "t", "input": {}, "caller": {"type": "code"}}] * count
        ),
    ),
    "gemini text": ("gemini", lambda count: _gemini(*[{"text": _PIECE}] * count)),
    "gemini thinking": ("gemini", lambda count: _gemini(*[{"text": _PIECE, "thought": True}] * count)),
    "gemini both": ("gemini", lambda count: _gemini(*[{"text": _PIECE}, {"text": _PIECE, "thought": True}] * count)),
    "gemini signed": ("gemini", lambda count: _gemini(*[{"text": _PIECE, "thoughtSignature": "s"}] * count)),
    "gemini calls": ("gemini", lambda count: _gemini(*[{"functionCall": {"name": "t", "args": {}}}] * count)),
    "cohere text": ("cohere", lambda count: _said_by_cohere(*[_TEXT] * count)),
    "cohere thinking": ("cohere", lambda count: _said_by_cohere(*[_THINKING] * count)),
    "cohere calls": ("cohere", lambda count: {"message": {"tool_calls": [_CHAT_CALL] * count}}),
    "bedrock text": ("bedrock", lambda count: _converse(*[{"text": _PIECE}] * count)),
    "bedrock cited": (
        "bedrock",
        lambda count: _converse({"citationsContent": {"content": [{"text": _PIECE}] * count, "citations": [{}]}}),
    ),
    "bedrock thinking": (
        "bedrock",
        lambda count: _converse(*[{"reasoningContent": {"reasoningText": {"text": _PIECE, "signature": "s"}}}] * count),
    ),
    "bedrock calls": (
        "bedrock",
        lambda count: _converse(*[{"toolUse": {"toolUseId": "a", "name": "t", "input": {}}}] * count),
    ),
}


@pytest.mark.parametrize("case", _WHOLE)
def test_whole_answers(case: str) -> None:
    """Ten times the pieces of an answer are about ten times the work to read."""
    wire, make = _WHOLE[case]
    grows_as_it_should(make, _MODELS[wire]().wire.decode)


# --- streams ---------------------------------------------------------------------------------------


def _frame(body: Any, name: str = "") -> Frame:
    return Frame(name, json.dumps(body).encode())


def _typed(kind: str, **fields: Any) -> Frame:
    return _frame({"type": kind, **fields}, kind)


def _chunks(*deltas: Any, **finish: Any) -> list[Frame]:
    frames = [_frame({"choices": [{"index": 0, "delta": delta, **finish}]}) for delta in deltas]
    return [*frames, _frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}), Frame("", b"[DONE]")]


def _chat_call(name: str = "", arguments: Any = None, index: int = 0) -> Any:
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": index, "function": {key: value for key, value in function.items() if value}}]}


def _claude_block(block: Any, *deltas: Any) -> list[Frame]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    return [
        _typed("message_start", message={"type": "message", "content": [], "usage": usage}),
        _typed("content_block_start", index=0, content_block=block),
        *[_typed("content_block_delta", index=0, delta=delta) for delta in deltas],
        _typed("content_block_stop", index=0),
        _typed("message_delta", delta={"stop_reason": "end_turn"}, usage=usage),
        _typed("message_stop"),
    ]


def _responses(*frames: Frame) -> list[Frame]:
    return [*frames, _typed("response.completed", response={"id": "r", "status": "completed", "output": []})]


def _cohere(*frames: Frame) -> list[Frame]:
    return [*frames, _typed("message-end", delta={"finish_reason": "COMPLETE"})]


def _more_of_cohere(kind: str, index: int = 0, **message: Any) -> Frame:
    return _typed(kind, index=index, delta={"message": message})


def _bedrock(start: Any, *deltas: Any) -> list[Frame]:
    begin = [_frame({"contentBlockIndex": 0, "start": start}, "contentBlockStart")] if start else []
    return [
        *begin,
        *[_frame({"contentBlockIndex": 0, "delta": delta}, "contentBlockDelta") for delta in deltas],
        _frame({"contentBlockIndex": 0}, "contentBlockStop"),
        _frame({"stopReason": "end_turn"}, "messageStop"),
    ]


def _undone_items(count: int) -> list[Frame]:
    """Many calls whose end was not said, and a text that says neither its index nor its id."""
    call = {"type": "function_call", "name": "t"}
    return _responses(
        *[_typed("response.output_item.added", output_index=n, item={**call, "id": f"i{n}"}) for n in range(count)],
        *[_typed("response.output_text.delta", delta="x")] * count,
    )


def _much_usage(count: int) -> list[Frame]:
    """Many counts at once, which hold on, and many events that tell one of them anew."""
    counts = {f"count_{number}": 1 for number in range(count)}
    rounds = [{"type": "compaction", "input_tokens": 1}] * count
    usage = {"server_tool_use": counts, "iterations": rounds}
    return [
        _typed("message_delta", delta={}, usage=usage),
        *[_typed("message_delta", delta={}, usage={"output_tokens": number}) for number in range(count)],
        _typed("message_stop"),
    ]


_ITEM = {"type": "function_call", "id": "i", "call_id": "c"}
_STREAMS: dict[str, tuple[str, Callable[[int], list[Frame]]]] = {
    "chat text": ("chat", lambda count: _chunks(*[{"content": _PIECE}] * count)),
    "chat text in pieces": ("chat", lambda count: _chunks({"content": [_TEXT] * count})),
    "chat thinking": ("chat", lambda count: _chunks(*[{"reasoning_content": _PIECE}] * count)),
    "chat refusal": ("chat", lambda count: _chunks(*[{"refusal": _PIECE}] * count)),
    "chat refusal with ends": (
        "chat",
        lambda count: _chunks(*[{"refusal": _PIECE}] * count, finish_reason="stop"),
    ),
    "chat name": ("chat", lambda count: _chunks(*[_chat_call(f"{n:04}{_PIECE}") for n in range(count)])),
    "chat name of a begun call": (
        "chat",
        lambda count: _chunks(_chat_call("t", "{"), *[_chat_call(f"{n:04}{_PIECE}") for n in range(count)]),
    ),
    "chat arguments": ("chat", lambda count: _chunks(_chat_call("t"), *[_chat_call("", _PIECE)] * count)),
    "chat arguments before the name": (
        "chat",
        lambda count: _chunks(*[_chat_call("", _PIECE)] * count, _chat_call("t")),
    ),
    "chat arguments as objects": (
        "chat",
        lambda count: _chunks(_chat_call("t"), *[_chat_call("", {f"k{n}": _PIECE}) for n in range(count)]),
    ),
    "chat arguments as objects before the name": (
        "chat",
        lambda count: _chunks(*[_chat_call("", {f"k{n}": _PIECE}) for n in range(count)], _chat_call("t")),
    ),
    "chat calls": ("chat", lambda count: _chunks(*[_chat_call("t", "{}", n) for n in range(count)])),
    "chat kept fields": (
        "openrouter",
        lambda count: _chunks(*[{"reasoning_details": [{"type": "a", "index": 0, "text": _PIECE}]}] * count),
    ),
    "responses text": (
        "responses",
        lambda count: _responses(*[_typed("response.output_text.delta", output_index=0, delta=_PIECE)] * count),
    ),
    "responses thinking": (
        "responses",
        lambda count: _responses(*[_typed("response.reasoning_text.delta", output_index=0, delta=_PIECE)] * count),
    ),
    "responses arguments": (
        "responses",
        lambda count: _responses(
            _typed("response.output_item.added", output_index=0, item={**_ITEM, "name": "t"}),
            *[_typed("response.function_call_arguments.delta", output_index=0, delta=_PIECE)] * count,
        ),
    ),
    "responses arguments before the name": (
        "responses",
        lambda count: _responses(
            *[_typed("response.function_call_arguments.delta", output_index=0, delta=_PIECE)] * count,
            _typed("response.output_item.done", output_index=0, item={**_ITEM, "name": "t", "arguments": "{}"}),
        ),
    ),
    "responses items without a place": ("responses", _undone_items),
    "anthropic text": (
        "anthropic",
        lambda count: _claude_block({"type": "text"}, *[{"type": "text_delta", "text": _PIECE}] * count),
    ),
    "anthropic citations": (
        "anthropic",
        lambda count: _claude_block(
            {"type": "text", "text": "a"}, *[{"type": "citations_delta", "citation": {"a": _PIECE}}] * count
        ),
    ),
    "anthropic thinking": (
        "anthropic",
        lambda count: _claude_block({"type": "thinking"}, *[{"type": "thinking_delta", "thinking": _PIECE}] * count),
    ),
    "anthropic thinking between signatures": (
        "anthropic",
        lambda count: _claude_block(
            {"type": "thinking"},
            *[{"type": "thinking_delta", "thinking": _PIECE}, {"type": "signature_delta", "signature": "s"}] * count,
        ),
    ),
    "anthropic arguments": (
        "anthropic",
        lambda count: _claude_block(
            {"type": "tool_use", "id": "a", "name": "t"},
            *[{"type": "input_json_delta", "partial_json": _PIECE}] * count,
        ),
    ),
    "anthropic arguments of a server's tool": (
        "anthropic",
        lambda count: _claude_block(
            {"type": "server_tool_use"}, *[{"type": "input_json_delta", "partial_json": _PIECE}] * count
        ),
    ),
    "anthropic compaction": (
        "anthropic",
        lambda count: _claude_block(
            {"type": "compaction", "content": ""}, *[{"type": "compaction_delta", "content": _PIECE}] * count
        ),
    ),
    "anthropic usage": ("anthropic", _much_usage),
    "gemini text": ("gemini", lambda count: [_frame(_gemini({"text": _PIECE}))] * count),
    "gemini thinking": ("gemini", lambda count: [_frame(_gemini({"text": _PIECE, "thought": True}))] * count),
    "gemini signed": ("gemini", lambda count: [_frame(_gemini({"text": _PIECE, "thoughtSignature": "s"}))] * count),
    "gemini calls": ("gemini", lambda count: [_frame(_gemini({"functionCall": {"name": "t"}}))] * count),
    "gemini sources": (
        "gemini",
        lambda count: [
            _frame({"candidates": [{"groundingMetadata": {"webSearchQueries": [f"{n}{_PIECE}"]}}]})
            for n in range(count)
        ],
    ),
    "cohere text": (
        "cohere",
        lambda count: _cohere(*[_more_of_cohere("content-delta", content={"text": _PIECE})] * count),
    ),
    "cohere plan": (
        "cohere",
        lambda count: _cohere(*[_more_of_cohere("tool-plan-delta", tool_plan=_PIECE)] * count),
    ),
    "cohere arguments": (
        "cohere",
        lambda count: _cohere(
            _more_of_cohere("tool-call-start", tool_calls={"id": "a", "function": {"name": "t"}}),
            *[_more_of_cohere("tool-call-delta", tool_calls={"function": {"arguments": _PIECE}})] * count,
        ),
    ),
    "cohere calls": (
        "cohere",
        lambda count: _cohere(
            *[_more_of_cohere("tool-call-start", n, tool_calls={"function": {"name": "t"}}) for n in range(count)]
        ),
    ),
    "cohere citations": (
        "cohere",
        lambda count: _cohere(*[_more_of_cohere("citation-start", citations={"text": _PIECE})] * count),
    ),
    "bedrock text": ("bedrock", lambda count: _bedrock(None, *[{"text": _PIECE}] * count)),
    "bedrock thinking": ("bedrock", lambda count: _bedrock(None, *[{"reasoningContent": {"text": _PIECE}}] * count)),
    "bedrock signature": (
        "bedrock",
        lambda count: _bedrock(None, *[{"reasoningContent": {"text": "x", "signature": _PIECE}}] * count),
    ),
    "bedrock redacted thinking": (
        "bedrock",
        lambda count: _bedrock(None, *[{"reasoningContent": {"redactedContent": "YWJj" * 250}}] * count),
    ),
    "bedrock arguments": (
        "bedrock",
        lambda count: _bedrock({"toolUse": {"toolUseId": "a", "name": "t"}}, *[{"toolUse": {"input": _PIECE}}] * count),
    ),
    "bedrock image": (
        "bedrock",
        lambda count: _bedrock({"image": {"format": "png"}}, *[{"image": {"source": {"bytes": "YWJj" * 250}}}] * count),
    ),
    "bedrock results": (
        "bedrock",
        lambda count: _bedrock({"toolResult": {"toolUseId": "a"}}, *[{"toolResult": [{"text": _PIECE}]}] * count),
    ),
}


def _read(model: WireModel, frames: list[Frame]) -> None:
    stream = StreamedResponse(model.wire.decode_stream(iter(frames)), model_name="m", provider_name=model.system)
    for _ in stream:
        pass
    stream.get()


@pytest.mark.parametrize("case", _STREAMS)
def test_streams(case: str) -> None:
    """Ten times the pieces of a stream are about ten times the work to read."""
    wire, make = _STREAMS[case]
    model = _MODELS[wire]()
    grows_as_it_should(make, lambda frames: _read(model, frames))


_GROWING: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "name": (ToolCallPart("t", ""), lambda number: ToolCallPartDelta(_PIECE, None)),
    "name and arguments": (ToolCallPart("t", ""), lambda number: ToolCallPartDelta("x", _PIECE)),
    "objects": (ToolCallPart("t", {}), lambda number: ToolCallPartDelta(None, {f"{number}": _PIECE})),
    "signed thinking": (ThinkingPart(""), lambda number: ThinkingPartDelta(_PIECE, f"{number}", "p")),
}


@pytest.mark.parametrize("case", _GROWING)
def test_parts_that_grow(case: str) -> None:
    """Whatever of a part goes on, ten times the deltas are about ten times the work to put together."""
    part, delta = _GROWING[case]

    def read(items: list[Any]) -> None:
        stream = StreamedResponse(items, model_name="m")
        for _ in stream:
            pass
        stream.get()

    grows_as_it_should(
        lambda count: [PartStartEvent(0, part), *[PartDeltaEvent(0, delta(number)) for number in range(count)]], read
    )


# --- requests --------------------------------------------------------------------------------------


def _turns(count: int) -> list[ModelMessage]:
    history: list[ModelMessage] = [ModelRequest([SystemPromptPart("s"), UserPromptPart("q")])]
    for number in range(count):
        history += [
            ModelResponse([TextPart(_PIECE), ToolCallPart("t", {"a": 1}, f"c{number}")]),
            ModelRequest([ToolReturnPart("t", _PIECE, f"c{number}")]),
        ]
    return history


def _calls(count: int) -> list[ModelMessage]:
    names = [f"c{number}" for number in range(count)]
    return [
        ModelRequest([UserPromptPart("q")]),
        ModelResponse([ToolCallPart("t", '{"a": 1}', name) for name in names]),
        ModelRequest(
            [RetryPromptPart("no", "t", name) if name[-1] == "0" else ToolReturnPart("t", {}, name) for name in names]
        ),
    ]


def _prompts(count: int) -> list[ModelMessage]:
    return [ModelRequest([*[SystemPromptPart(_PIECE)] * count, *[UserPromptPart([_PIECE, _PIECE])] * count])]


def _thoughts(name: str, count: int) -> list[ModelMessage]:
    thought = ThinkingPart(_PIECE, "i", "s", name)
    return [
        ModelRequest([UserPromptPart("q")]),
        ModelResponse([thought, TextPart(_PIECE)] * count),
        ModelRequest([UserPromptPart("q")]),
    ]


_REQUESTS: dict[str, Callable[[str, int], list[ModelMessage]]] = {
    "turns": lambda name, count: _turns(count),
    "calls": lambda name, count: _calls(count),
    "prompts": lambda name, count: _prompts(count),
    "a long prompt": lambda name, count: [ModelRequest([UserPromptPart(_PIECE * count)])],
    "thoughts": _thoughts,
}


@pytest.mark.parametrize("wire", _MODELS)
@pytest.mark.parametrize("case", _REQUESTS)
def test_requests(case: str, wire: str) -> None:
    """Ten times the messages, calls or text are about ten times the work to write."""
    model = _MODELS[wire]()
    tool = ToolDefinition("t", "A tool.", {"type": "object", "properties": {}})
    parameters = ModelRequestParameters(function_tools=[tool])

    def write(messages: list[ModelMessage]) -> None:
        call = ModelCall("m", messages, {}, parameters, model.profile, False, model.system, model._quirks)
        model.wire.encode(call)

    grows_as_it_should(lambda count: _REQUESTS[case](model.system, count), write)


@pytest.mark.parametrize("wire", _MODELS)
def test_tools(wire: str) -> None:
    """Ten times the tools are about ten times the work to declare."""
    model = _MODELS[wire]()

    def write(tools: list[ToolDefinition]) -> None:
        parameters = ModelRequestParameters(function_tools=tools)
        messages = [ModelRequest([UserPromptPart("q")])]
        model.wire.encode(ModelCall("m", messages, {}, parameters, model.profile, False, model.system, model._quirks))

    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    grows_as_it_should(lambda count: [ToolDefinition(f"t{n}", "A tool.", schema) for n in range(count)], write)
