"""What the Messages mapping writes for each kind of message, tool and setting."""

from __future__ import annotations

import json
import logging
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.exceptions import UserError
from syncagent.messages import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
)
from syncagent.models.anthropic import AnthropicModelSettings, AnthropicWire, encode, encode_count
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall, WireRequest
from syncagent.settings import ModelSettings
from syncagent.tools import ModelRequestParameters, ToolDefinition
from tests.docs_pages import ROOT, table

_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_WEATHER = ToolDefinition("weather", "Tell the weather.", _SCHEMA)
_FINAL = ToolDefinition("final_result", "", _SCHEMA)
_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_MARK = {"type": "ephemeral"}
_HOUR = {"type": "ephemeral", "ttl": "1h"}


def _call(
    messages: list[ModelMessage],
    settings: Optional[dict[str, Any]] = None,
    parameters: Optional[ModelRequestParameters] = None,
    *,
    stream: bool = False,
    model: str = "claude-x",
    profile: Optional[ModelProfile] = None,
    **quirks: Any,
) -> ModelCall:
    return ModelCall(
        model,
        messages,
        settings or {},
        parameters or ModelRequestParameters(),
        profile or ModelProfile(),
        stream,
        "anthropic",
        quirks,
    )


def _sent(*args: Any, **kwargs: Any) -> WireRequest:
    return encode(_call(*args, **kwargs))


def _body(*args: Any, **kwargs: Any) -> Any:
    return json.loads(_sent(*args, **kwargs).body)


def _said(*parts: Any, **quirks: Any) -> Any:
    """The blocks that one request is written as."""
    (turn,) = _body([ModelRequest(list(parts))], **quirks)["messages"]
    assert turn["role"] == "user"
    return turn["content"]


def _answered(*parts: Any, **kwargs: Any) -> Any:
    """The blocks that one response is written as; None where it is left out."""
    turns = _body([*_ASKED, ModelResponse(list(parts), "claude-x"), *_ASKED], **kwargs)["messages"]
    assert [turn["role"] for turn in turns if turn["role"] == "user"] == ["user", "user"]
    return turns[1]["content"] if turns[1]["role"] == "assistant" else None


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


# --- requests --------------------------------------------------------------------------------------


def test_request() -> None:
    """A request goes to the API's path with its version; the body leaves out all that is not set."""
    request = _sent(_ASKED)
    assert (request.method, request.path, dict(request.headers)) == (
        "POST",
        "/v1/messages",
        {"anthropic-version": "2023-06-01"},
    )
    assert json.loads(request.body) == {
        "model": "claude-x",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [_text("Hi")]}],
    }
    assert _body(_ASKED, stream=True)["stream"] is True


def test_system_prompts() -> None:
    """All system prompts, wherever they stand, are blocks of their own place; blank ones are left out."""
    parts = [SystemPromptPart("a"), UserPromptPart("Hi"), SystemPromptPart(" "), SystemPromptPart("b")]
    body = _body([ModelRequest(parts), ModelRequest([SystemPromptPart("c")])])
    assert body["system"] == [_text("a"), _text("b"), _text("c")]
    assert body["messages"] == [{"role": "user", "content": [_text("Hi")]}]


@pytest.mark.parametrize("content", ["", " \n", [], ["", " "]])
def test_nothing_to_answer(content: Any) -> None:
    """Without a word of the user's there is nothing to send, and the error says what is missing."""
    with pytest.raises(UserError, match="pass a user_prompt"):
        _sent([ModelRequest([SystemPromptPart("a"), UserPromptPart(content)])])


def test_blank_turns() -> None:
    """A turn without a word is left out of a history."""
    blank = [ModelRequest([UserPromptPart(" ")]), ModelResponse([TextPart("")])]
    assert _body([*blank, *_ASKED]) == _body(_ASKED)


def test_tool_results_come_first() -> None:
    """Results of tools stand before all else that one request says, in their order; errors are marked."""
    assert _said(
        UserPromptPart("And?"),
        ToolReturnPart("weather", "sunny", "1"),
        RetryPromptPart("No such city.", "weather", "2"),
        RetryPromptPart("Say more."),
        ToolReturnPart("weather", {"sun": True}, "3"),
        ToolReturnPart("weather", "", "4"),
    ) == [
        {"type": "tool_result", "tool_use_id": "1", "content": "sunny"},
        {
            "type": "tool_result",
            "tool_use_id": "2",
            "content": "No such city.\n\nFix the errors and try again.",
            "is_error": True,
        },
        {"type": "tool_result", "tool_use_id": "3", "content": '{"sun":true}'},
        {"type": "tool_result", "tool_use_id": "4"},
        _text("And?"),
        _text("Say more.\n\nFix the errors and try again."),
    ]


def test_ids_of_other_providers() -> None:
    """An id with letters that the API refuses is written the same way in the call and in its answer."""
    messages = [
        *_ASKED,
        ModelResponse([ToolCallPart("weather", {}, "functions.weather:0")]),
        ModelRequest([ToolReturnPart("weather", "sunny", "functions.weather:0")]),
    ]
    _, answered, returned = _body(messages)["messages"]
    assert answered["content"][0]["id"] == returned["content"][0]["tool_use_id"] == "functions_weather_0"


@pytest.mark.parametrize("part", [ToolReturnPart("weather", 1), RetryPromptPart("no", "weather")])
def test_answer_without_id(part: Any) -> None:
    """The answer to a call needs the call's id; the error says whose is missing."""
    with pytest.raises(UserError, match=rf"the {type(part).__name__} of 'weather' has none"):
        _said(part)


def test_value_without_json() -> None:
    """What a tool returned and has no JSON form is refused by the tool's name."""
    with pytest.raises(UserError, match=r"^The tool 'weather' returned what cannot be sent"):
        _said(ToolReturnPart("weather", object(), "1"))
    with pytest.raises(UserError, match=r"^The request to anthropic claude-x cannot be written: "):
        _sent(_ASKED, {"extra_body": {"a": object()}})


def test_parts_of_other_kinds() -> None:
    """A derived part is written as its base; what is no part is refused."""

    class Mine(UserPromptPart):
        pass

    assert _said(Mine("Hi")) == [_text("Hi")]
    with pytest.raises(UserError, match=r"^A message holds TextPart"):
        _said(TextPart("Hi"))


# --- what a user says ------------------------------------------------------------------------------


def test_media() -> None:
    """Images and PDFs go by address or in base64, texts as they are."""
    assert _said(
        UserPromptPart(
            [
                "look",
                "",
                ImageUrl("https://x/a.png"),
                ImageUrl("data:image/webp;base64,YQ=="),
                BinaryContent(b"a", "image/png"),
                DocumentUrl("https://x/a.pdf?b"),
                DocumentUrl("https://arxiv.org/pdf/2407.21783"),
                BinaryContent(b"a", "application/pdf"),
                BinaryContent("é".encode(), "text/markdown; charset=utf-8"),
                BinaryContent(b"{}", "application/json"),
            ]
        )
    ) == [
        _text("look"),
        {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "YQ=="}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "YQ=="}},
        {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf?b"}},
        {"type": "document", "source": {"type": "url", "url": "https://arxiv.org/pdf/2407.21783"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "YQ=="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "{}"}},
    ]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (AudioUrl("https://x/a.mp3"), "takes no sound"),
        (VideoUrl("https://x/a.mp4"), "takes no video; got VideoUrl. Pass pictures of it"),
        (BinaryContent(b"a", "audio/wav"), "Turn a document into PDF or text, and sound into its words"),
        (BinaryContent(b"a", "application/msword"), "Turn a document into PDF or text"),
        (BinaryContent(b"a", "image/bmp"), "Convert the image"),
        (ImageUrl("data:image/bmp;base64,YQ=="), "Convert the image"),
        (ImageUrl("data:image/png,abc"), "has the form 'data:image/png;base64,"),
        (BinaryContent(b"\xff", "text/plain"), "is sent as UTF-8; this one is not"),
        (DocumentUrl("https://x/a.csv"), "Write DocumentUrl.url, force_download=True"),
        (3, "A message holds int"),
    ],
)
def test_media_without_a_place(item: Any, words: str) -> None:
    """What the API cannot take is refused, and the error says what to do."""
    with pytest.raises(UserError, match=words):
        _said(UserPromptPart(["look", item]))


# --- cache points ----------------------------------------------------------------------------------


def test_cache_points() -> None:
    """The block before a cache point is marked: text, media, or a result of a tool."""
    said = _said(
        ToolReturnPart("weather", "sunny", "1"),
        UserPromptPart([CachePoint(), "a", "", CachePoint("1h"), "b"]),
    )
    assert [block.get("cache_control") for block in said] == [_MARK, _HOUR, None]


def test_cache_point_at_the_beginning() -> None:
    """A cache point with nothing before it, or for another time, is refused."""
    with pytest.raises(UserError, match="stands after what is to be cached"):
        _said(UserPromptPart([CachePoint(), "a"]))
    with pytest.raises(UserError, match=r"^CachePoint\.ttl is '5m' or '1h'; got '2d'\.$"):
        _said(UserPromptPart(["a", CachePoint("2d")]))  # type: ignore[arg-type] # that is the mistake


def test_at_most_four_points(caplog: pytest.LogCaptureFixture) -> None:
    """Of more than four cache points the last are sent, and a line says so."""
    history = [ModelRequest([UserPromptPart([str(index), CachePoint()])]) for index in range(6)]
    with caplog.at_level(logging.DEBUG, "syncagent.models"):
        turns = _body(history)["messages"]
    assert ["cache_control" in turn["content"][0] for turn in turns] == [False, False, True, True, True, True]
    assert "of 6 cache points the last 4 are sent" in caplog.text


def _marks(body: Any) -> list[str]:
    """What of a body ends a cached prefix."""
    blocks = {
        **{f"tool {index}": tool for index, tool in enumerate(body.get("tools", []))},
        **{f"system {index}": block for index, block in enumerate(body.get("system", []))},
        **{
            f"turn {index}.{number}": block
            for index, turn in enumerate(body["messages"])
            for number, block in enumerate(turn["content"])
        },
    }
    return [name for name, block in blocks.items() if "cache_control" in block]


def test_cache_setting() -> None:
    """The setting caches tools and system prompts by one point, and the conversation by another."""
    tools = ModelRequestParameters([_WEATHER], False, [_FINAL])
    parts = [SystemPromptPart("a"), SystemPromptPart("b"), UserPromptPart("Hi")]
    history = [ModelRequest(parts), ModelResponse([TextPart("Hey")]), ModelRequest([UserPromptPart(["x", "y"])])]
    body = _body(history, {"anthropic_cache": True}, tools)
    assert _marks(body) == ["system 1", "turn 2.1"]
    assert body["system"][1]["cache_control"] == _MARK
    assert _marks(_body(history[1:], {"anthropic_cache": "1h"}, tools)) == ["tool 1", "turn 1.1"]
    assert _marks(_body(_ASKED, {"anthropic_cache": "5m"})) == ["turn 0.0"]
    assert _marks(_body(history, {"anthropic_cache": False}, tools)) == []
    assert _marks(_body([history[1]], {"anthropic_cache": True})) == []


def test_cache_setting_and_points() -> None:
    """All together are four at most, those of the provider's own tools counted; the earlier ones give way."""
    history: list[ModelMessage] = [
        ModelRequest([SystemPromptPart("a"), *[UserPromptPart([str(index), CachePoint()])]]) for index in range(5)
    ]
    native = {"type": "web_search_20250305", "name": "web_search", "cache_control": _MARK}
    assert _marks(_body(history, {"anthropic_cache": True})) == ["system 4", "turn 2.0", "turn 3.0", "turn 4.0"]
    body = _body(history, {"anthropic_cache": True}, ModelRequestParameters(native_tools=[native]))
    assert _marks(body) == ["tool 0", "system 4", "turn 3.0", "turn 4.0"]
    full = _body(history, {"anthropic_cache": True}, ModelRequestParameters(native_tools=[native] * 4))
    assert _marks(full) == ["tool 0", "tool 1", "tool 2", "tool 3"]
    asked = [ModelRequest([UserPromptPart(["a", CachePoint("1h")])])]
    (block,) = _body(asked, {"anthropic_cache": True})["messages"][0]["content"]
    assert block["cache_control"] == _HOUR  # the point that stands there has the word


def test_unknown_cache_setting() -> None:
    """Another value of the setting is refused."""
    with pytest.raises(UserError, match=r"^anthropic_cache is True, False, '5m' or '1h'; got 'long'\.$"):
        _sent(_ASKED, {"anthropic_cache": "long"})


# --- responses -------------------------------------------------------------------------------------


def test_answer() -> None:
    """Text, thinking with its proof and calls go back in their order."""
    assert _answered(
        ThinkingPart("hm", None, "proof", "anthropic"),
        OpaquePart("anthropic", {"type": "redacted_thinking", "data": "x"}),
        TextPart("Let me see."),
        TextPart(" "),
        ToolCallPart("weather", {"city": "Ü"}, "1"),
        ToolCallPart("weather", "", "2"),
        ToolCallPart("weather", '{"a": NaN}', "3"),
    ) == [
        {"type": "thinking", "thinking": "hm", "signature": "proof"},
        {"type": "redacted_thinking", "data": "x"},
        _text("Let me see."),
        {"type": "tool_use", "id": "1", "name": "weather", "input": {"city": "Ü"}},
        {"type": "tool_use", "id": "2", "name": "weather", "input": {}},
        {"type": "tool_use", "id": "3", "name": "weather", "input": {"a": None}},
    ]


@pytest.mark.parametrize("args", ["{broken", "[1]", "[" * 100_000])
def test_broken_arguments(args: str) -> None:
    """Arguments that are no object go back inside one, so that the model sees what it wrote."""
    (block,) = _answered(ToolCallPart("weather", args, "1"))
    assert block["input"] == {"invalid_json": args}


def test_what_is_not_sent_back() -> None:
    """Thinking without proof and what is another provider's, or nobody's, stays here; so does an empty answer."""
    others = [
        ThinkingPart("hm", None, None, "anthropic"),
        ThinkingPart("hm", None, "proof", "bedrock"),
        ThinkingPart("hm", None, "proof"),
        OpaquePart("openai", {"type": "reasoning"}),
        OpaquePart(None, {"type": "later"}),
    ]
    assert _answered(*others) is None
    assert _answered() is None
    assert _answered(*others, TextPart("a")) == [_text("a")]


def test_thinking_at_the_end() -> None:
    """The API takes no answer that ends in thinking: what stands there stays here."""
    thinking = ThinkingPart("hm", None, "proof", "anthropic")
    hidden = OpaquePart("anthropic", {"type": "redacted_thinking", "data": "x"})
    assert _answered(thinking, hidden) is None
    assert [block["type"] for block in _answered(thinking, TextPart("a"), hidden, thinking)] == ["thinking", "text"]


@pytest.mark.parametrize(
    ("answered", "same"),
    [("claude-x", True), ("claude-x-20260101", True), (None, True), ("claude-y", False), ("claude-xl", False)],
)
def test_thinking_of_another_model(answered: Optional[str], same: bool) -> None:
    """Where a model takes its own thinking only, another model's stays here."""
    parts = [
        ThinkingPart("hm", None, "proof", "anthropic"),
        OpaquePart("anthropic", {"type": "redacted_thinking", "data": "x"}),
        TextPart("a"),
    ]
    turns = _body([*_ASKED, ModelResponse(list(parts), answered), *_ASKED], own_thinking=True)["messages"]
    assert len(turns[1]["content"]) == (3 if same else 1)
    assert len(_body([*_ASKED, ModelResponse(list(parts), answered)])["messages"][1]["content"]) == 3


def test_server_tools() -> None:
    """What the provider's own tools did goes back as it came."""
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    assert _answered(OpaquePart("anthropic", block)) == [block]


def _cited(text: str, *spans: Any, length: Optional[int] = None) -> Any:
    data = {"type": "citations", "length": len(text) if length is None else length, "cited": list(spans)}
    return _answered(TextPart(text), OpaquePart("anthropic", data))


def _span(start: Any, end: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "citations": [{"at": start}]}


def test_citations() -> None:
    """Text that cites goes back in the blocks that it came in; blank ones become part of a neighbour."""
    assert _cited("It is so.", _span(3, 5)) == [
        _text("It "),
        {"type": "text", "text": "is", "citations": [{"at": 3}]},
        _text(" so."),
    ]
    assert _cited(" ab c ", _span(1, 2), _span(2, 3), _span(4, 5)) == [
        {"type": "text", "text": " a", "citations": [{"at": 1}]},
        {"type": "text", "text": "b", "citations": [{"at": 2}]},
        {"type": "text", "text": " c", "citations": [{"at": 4}]},
    ]


@pytest.mark.parametrize(
    "spans",
    [[_span(3, 99)], [_span(5, 3)], [_span(-1, 3)], [_span("0", 3)], [_span(2, 4), _span(3, 5)], ["x"], [None]],
)
def test_broken_citations(spans: list[Any]) -> None:
    """Citations that do not fit the text, because somebody changed it or them, are left out."""
    assert _cited("It is so.", *spans) == [_text("It is so.")]
    assert _cited("It is so.", _span(3, 5), length=4) == [_text("It is so.")]
    alone = OpaquePart("anthropic", {"type": "citations", "length": 1, "cited": "x"})
    assert _answered(TextPart("a"), alone) == [_text("a")]
    assert _answered(alone) is None


def test_caller() -> None:
    """A call that code at the provider's made goes back with it and its container; elsewhere neither is said."""
    caller = {"type": "code_execution_20250825", "tool_id": "s"}
    call = ToolCallPart("weather", {}, "1")
    said = OpaquePart("anthropic", {"type": "tool_use_caller", "id": "1", "caller": caller})
    details = {"container": {"id": "container_1"}}
    returned = ModelRequest([ToolReturnPart("weather", "sunny", "1")])
    body = _body([*_ASKED, ModelResponse([call, said], provider_details=details), returned])
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "1", "name": "weather", "input": {}, "caller": caller}
    ]
    assert body["container"] == "container_1"
    assert "container" not in _body([*_ASKED, ModelResponse([call], provider_details=details), returned])
    for later in ([TextPart("It is sunny.")], [TextPart("It"), TextPart("is")]):
        history = [*_ASKED, ModelResponse([call, said], provider_details=details), returned, ModelResponse(later)]
        assert "container" not in _body([*history, *_ASKED])
    assert _answered(said) is None
    assert _answered(TextPart("a"), said) == [_text("a")]


@pytest.mark.parametrize(
    ("name", "details", "container"),
    [
        ("anthropic", {"container": {"id": "c"}}, "c"),
        (None, {"container": {"id": "c"}}, "c"),
        ("bedrock", {"container": {"id": "c"}}, None),
        ("anthropic", {"container": "c"}, None),
        ("anthropic", {"container": {"id": 3}}, None),
        ("anthropic", None, None),
    ],
)
def test_container_of_an_unfinished_answer(name: Any, details: Any, container: Any) -> None:
    """An answer that goes back to be finished goes on in its container; what is no container is not sent."""
    response = ModelResponse([TextPart("a")], provider_name=name, provider_details=details)
    assert _body([*_ASKED, response]).get("container") == container


# --- tools -----------------------------------------------------------------------------------------


def _choice(
    settings: Optional[dict[str, Any]] = None, *, text: bool = True, tools: tuple[Any, ...] = (_WEATHER,), **quirks: Any
) -> Any:
    return _body(_ASKED, settings, ModelRequestParameters([*tools], text, [_FINAL]), **quirks)["tool_choice"]


def test_tools() -> None:
    """Function tools come first, then result tools, then the provider's own in its own words."""
    native = {"type": "web_search_20250305", "name": "web_search"}
    body = _body(_ASKED, None, ModelRequestParameters([_WEATHER], False, [_FINAL], native_tools=[native]))
    assert body["tools"] == [
        {"name": "weather", "description": "Tell the weather.", "input_schema": _SCHEMA},
        {"name": "final_result", "input_schema": _SCHEMA},
        native,
    ]
    assert "tool_choice" not in _body(_ASKED, None, ModelRequestParameters(native_tools=[native]))


def test_tool_choice() -> None:
    """What is asked for has the API's word; without text as a result, any tool is forced."""
    assert _choice() == {"type": "auto"}
    assert _choice(text=False) == {"type": "any"}
    assert _choice({"tool_choice": "required"}) == {"type": "any"}
    assert _choice({"tool_choice": "auto"}, text=False) == {"type": "auto"}
    assert _choice({"tool_choice": "none"}) == {"type": "none"}
    assert _choice({"tool_choice": "weather"}) == {"type": "tool", "name": "weather"}
    assert _choice({"tool_choice": "final_result"}) == {"type": "tool", "name": "final_result"}
    with pytest.raises(UserError, match=r"the name of a tool \(weather, final_result\); got 'wether'"):
        _choice({"tool_choice": "wether"})


def test_parallel_calls() -> None:
    """Parallel calls are allowed or not inside of the choice, where there is one to make."""
    assert _choice({"parallel_tool_calls": False}) == {"type": "auto", "disable_parallel_tool_use": True}
    assert _choice({"parallel_tool_calls": True}, text=False) == {"type": "any", "disable_parallel_tool_use": False}
    assert _choice({"parallel_tool_calls": False, "tool_choice": "none"}) == {"type": "none"}


def test_thinking_and_forced_tools() -> None:
    """The API refuses forced tools beside thinking: only who asks for both by name gets its error."""
    thinking = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert _choice(thinking, text=False) == {"type": "auto"}
    assert _choice({**thinking, "tool_choice": "required"}) == {"type": "any"}
    assert _choice({"anthropic_thinking": {"type": "disabled"}}, text=False) == {"type": "any"}


def test_models_without_forced_tools(caplog: pytest.LogCaptureFixture) -> None:
    """A model that cannot be forced is left to choose, and a line says so."""
    with caplog.at_level(logging.DEBUG, "syncagent.models"):
        assert _choice(text=False, forced_tools=False) == {"type": "auto"}
        assert _choice({"tool_choice": "weather"}, forced_tools=False) == {"type": "auto"}
    assert caplog.messages == ["anthropic claude-x: no tool can be forced"] * 2


# --- native results --------------------------------------------------------------------------------


def _format(schema: dict[str, Any], **quirks: Any) -> Any:
    parameters = ModelRequestParameters(result_mode="native", result_schema=schema)
    return _body(_ASKED, {"anthropic_effort": "low"}, parameters, **quirks)["output_config"]


def test_native_result() -> None:
    """A native result's schema is closed, beside the effort; the other modes say nothing of it."""
    assert _format(_SCHEMA) == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": {**_SCHEMA, "additionalProperties": False}},
    }
    prompted = ModelRequestParameters(result_mode="prompted", result_schema=_SCHEMA)
    assert "output_config" not in _body(_ASKED, None, prompted)


def test_keywords_that_the_api_does_not_take() -> None:
    """Keywords outside of the API's are told in words, unions are ``anyOf``, and the given schema stays as it was."""
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 3, "description": "Few."},
            "minimum": {"type": "string", "format": "date", "pattern": "^2"},
            "pair": {"type": "array", "prefixItems": [{"type": "string"}], "minItems": 2},
            "some": {"type": "array", "items": {"type": "object"}, "minItems": 1},
            "one": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/a"}]},
            "other": {"type": "string", "format": "binary"},
        },
        "$defs": {"a": {"type": ["object", "null"], "properties": {}, "additionalProperties": False}},
    }
    before = json.dumps(schema)
    sent = _format(schema)["format"]["schema"]
    assert json.dumps(schema) == before
    assert sent == {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "description": "Few. minimum: 3"},
            "minimum": {"type": "string", "format": "date", "description": 'pattern: "^2"'},
            "pair": {"type": "array", "description": 'prefixItems: [{"type":"string"}] minItems: 2'},
            "some": {"type": "array", "items": {"type": "object", "additionalProperties": False}, "minItems": 1},
            "one": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/a"}]},
            "other": {"type": "string", "description": 'format: "binary"'},
        },
        "$defs": {"a": {"type": ["object", "null"], "properties": {}, "additionalProperties": False}},
        "additionalProperties": False,
    }


def test_native_results_that_cannot_be() -> None:
    """Objects with keys of any name, and models without structured outputs, are refused with what to do."""
    with pytest.raises(UserError, match=r"keys of any name.*use result_mode='tool'"):
        _format({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {}}}})
    with pytest.raises(UserError, match=r"^claude-x has no structured outputs; use result_mode='tool'"):
        _format(_SCHEMA, native=False)


# --- settings --------------------------------------------------------------------------------------


def test_settings(caplog: pytest.LogCaptureFixture) -> None:
    """Settings have the API's names; what cannot be sent is left out, with one line that holds names only."""
    settings = {
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "stop_sequences": ["a"],
        "timeout": 3,
        "extra_headers": {"a": "b"},
        "on_incomplete": "raise",
        "seed": 7,
        "logprobs": True,
        "openai_user": "secret",
        "anthropic_metadata": {"user_id": "u"},
        "anthropic_thinking": {"type": "adaptive"},
        "anthropic_service_tier": "auto",
        "anthropic_container": {"id": "c"},
        "presence_penalty": None,
        "extra_body": {"inference_geo": "us", "max_tokens": 6},
    }
    with caplog.at_level(logging.DEBUG, "syncagent.models"):
        body = _body(_ASKED, settings)
    del body["messages"], body["model"]
    assert body == {
        "max_tokens": 6,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "stop_sequences": ["a"],
        "metadata": {"user_id": "u"},
        "thinking": {"type": "adaptive"},
        "service_tier": "auto",
        "container": {"id": "c"},
        "inference_geo": "us",
    }
    assert caplog.messages == ["anthropic claude-x: settings that cannot be sent: seed, logprobs, openai_user"]


def test_settings_that_a_model_refuses() -> None:
    """A setting that the model's profile names is left out."""
    assert "temperature" not in _body(_ASKED, {"temperature": 0}, unsendable=frozenset({"temperature"}))


def test_betas() -> None:
    """Beta features are named in a header, one or several."""
    assert _sent(_ASKED, {"anthropic_betas": ["a", "b"]}).headers["anthropic-beta"] == "a,b"
    assert _sent(_ASKED, {"anthropic_betas": "a"}).headers["anthropic-beta"] == "a"
    assert "anthropic-beta" not in _sent(_ASKED, {"anthropic_betas": []}).headers


@pytest.mark.parametrize(
    ("settings", "default", "limit"),
    [
        ({}, {}, 4096),
        ({"max_tokens": 300}, {"max_tokens": 300}, 300),
        ({"anthropic_thinking": {"type": "enabled", "budget_tokens": 2000}}, {}, 4096),
        ({"anthropic_thinking": {"type": "enabled", "budget_tokens": 4096}}, {}, 8192),
        ({"max_tokens": 9, "anthropic_thinking": {"budget_tokens": 10}}, {"max_tokens": 9}, 19),
        ({"max_tokens": 7, "anthropic_thinking": {"budget_tokens": 10}}, {"max_tokens": 9}, 7),
        ({"anthropic_thinking": {"type": "adaptive"}}, {}, 4096),
        ({"anthropic_thinking": "on"}, {}, 4096),
    ],
)
def test_max_tokens(settings: dict[str, Any], default: dict[str, Any], limit: int) -> None:
    """The limit is the caller's, else the profile's; one that nobody chose leaves room for what may be thought."""
    assert _body(_ASKED, settings, profile=ModelProfile(settings=default))["max_tokens"] == limit


def test_count() -> None:
    """A count is asked for with what is sent, without what only shapes the answer."""
    settings = {
        "max_tokens": 5,
        "temperature": 0,
        "stop_sequences": ["a"],
        "anthropic_metadata": {"user_id": "u"},
        "anthropic_thinking": {"type": "adaptive"},
        "anthropic_betas": ["a"],
        "anthropic_cache": True,
    }
    request = encode_count(_call(_ASKED, settings, ModelRequestParameters([_WEATHER])))
    assert (request.path, request.headers["anthropic-beta"]) == ("/v1/messages/count_tokens", "a")
    body = json.loads(request.body)
    assert sorted(body) == ["messages", "model", "thinking", "tool_choice", "tools"]
    assert json.loads(AnthropicWire("anthropic").encode_count(_call(_ASKED)).body)["model"] == "claude-x"


# --- all of it -------------------------------------------------------------------------------------


@given(st.text(), st.text())
def test_any_text(system: str, prompt: str) -> None:
    """Whatever the texts hold, the body is JSON that holds them."""
    body = _body([ModelRequest([SystemPromptPart(system), UserPromptPart(prompt), UserPromptPart("end")])])
    texts = [block["text"] for block in [*body.get("system", []), *body["messages"][0]["content"]]]
    assert texts == [text for text in (system, prompt, "end") if text.strip()]


def test_nothing_given_is_changed() -> None:
    """Messages and settings stay as they were."""
    parts = [TextPart("It is"), OpaquePart("anthropic", {"type": "citations", "length": 5, "cited": [_span(3, 5)]})]
    messages = [ModelRequest([UserPromptPart(["a", CachePoint()])]), ModelResponse(list(parts))]
    settings = {"anthropic_cache": True, "extra_body": {"a": 1}}
    before = repr((messages, settings))
    _sent(messages, settings)
    assert repr((messages, settings)) == before


def test_repr() -> None:
    """A wire says whose it is, and needs nothing downloaded."""
    assert repr(AnthropicWire("anthropic")) == "<AnthropicWire of anthropic>"
    assert AnthropicWire().inline == frozenset()


def test_documented_settings() -> None:
    """The provider's page has every setting of its own, and no other."""
    page = (ROOT / "docs" / "providers" / "anthropic.md").read_text(encoding="utf-8")
    keys = [row[0].strip("`") for row in table(page, "anthropic settings")]
    assert sorted(keys) == sorted(AnthropicModelSettings.__annotations__.keys() - ModelSettings.__annotations__.keys())
