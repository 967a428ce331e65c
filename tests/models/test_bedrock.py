"""What the Converse mapping writes for each kind of message, tool and setting."""

from __future__ import annotations

import json
import logging
from pathlib import Path
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
from syncagent.models.bedrock import (
    BedrockConverseModel,
    BedrockModelSettings,
    BedrockWire,
    encode,
    encode_count,
)
from syncagent.models.names import infer_model
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import CountingWire, ModelCall
from syncagent.providers.bedrock import BedrockProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.settings import ModelSettings
from syncagent.tools import ModelRequestParameters, ToolDefinition

_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_WEATHER = ToolDefinition("weather", "Tell the weather.", _SCHEMA)
_FINAL = ToolDefinition("final_result", "", _SCHEMA)
_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_MARK = {"cachePoint": {"type": "default"}}
_HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}
_ALL = ("tools", "system", "messages")


def _call(
    messages: list[ModelMessage],
    settings: Optional[dict[str, Any]] = None,
    parameters: Optional[ModelRequestParameters] = None,
    *,
    stream: bool = False,
    model: str = "anthropic.claude-x",
    **quirks: Any,
) -> ModelCall:
    return ModelCall(
        model,
        messages,
        settings or {},
        parameters or ModelRequestParameters(),
        ModelProfile(),
        stream,
        "bedrock",
        quirks,
    )


def _body(*args: Any, **kwargs: Any) -> Any:
    return json.loads(encode(_call(*args, **kwargs)).body)


def _said(*parts: Any, **quirks: Any) -> Any:
    """The blocks that one request is written as."""
    (turn,) = _body([ModelRequest(list(parts))], **quirks)["messages"]
    assert turn["role"] == "user"
    return turn["content"]


def _answered(*parts: Any, model_name: Optional[str] = None, **kwargs: Any) -> Any:
    """The blocks that one response is written as; none where it is left out."""
    turns = _body([*_ASKED, ModelResponse(list(parts), model_name), *_ASKED], **kwargs)["messages"]
    return turns[1]["content"] if len(turns) == 3 else []


# --- where it goes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("us.amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1%3A0"),
        (
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a.b",
            "arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.a.b",
        ),
        ("a/../b c?d#é", "a%2F..%2Fb%20c%3Fd%23%C3%A9"),
    ],
)
def test_path(model: str, segment: str) -> None:
    """Ids and ARNs are one segment of the path; streams have a path of their own."""
    assert encode(_call(_ASKED, model=model)).path == f"/model/{segment}/converse"
    assert encode(_call(_ASKED, model=model, stream=True)).path == f"/model/{segment}/converse-stream"


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("us.anthropic.claude-x", "anthropic.claude-x"),
        ("global.anthropic.claude-x", "anthropic.claude-x"),
        ("anthropic.claude-x", "anthropic.claude-x"),
        ("zai.glm-4.7", "zai.glm-4.7"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.a.b",
        ),
    ],
)
def test_count(model: str, segment: str) -> None:
    """A count is asked for the model without its regions, and only for what is counted."""
    parameters = ModelRequestParameters([_WEATHER])
    request = encode_count(_call(_ASKED, {"temperature": 1}, parameters, model=model))
    assert request.path == f"/model/{segment}/count-tokens"
    body = json.loads(request.body)
    assert body == {"input": {"converse": {key: body["input"]["converse"][key] for key in ("messages", "toolConfig")}}}
    assert isinstance(BedrockWire(), CountingWire)
    assert json.loads(BedrockWire().encode_count(_call(_ASKED)).body)["input"]["converse"]["messages"]


# --- requests --------------------------------------------------------------------------------------


def test_plain() -> None:
    """Text is a block; nothing else is sent that was not asked for."""
    assert _body(_ASKED) == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


def test_system() -> None:
    """System prompts from anywhere stand in their own place; blank ones and blank texts are left out."""
    messages: list[ModelMessage] = [
        ModelRequest(
            [SystemPromptPart("A"), SystemPromptPart(" "), UserPromptPart(["x", " ", "y"]), UserPromptPart("")]
        ),
        ModelResponse([TextPart("B")]),
        ModelRequest([SystemPromptPart("C"), UserPromptPart("z")]),
    ]
    body = _body(messages)
    assert body["system"] == [{"text": "A"}, {"text": "C"}]
    assert [turn["content"] for turn in body["messages"]] == [
        [{"text": "x"}, {"text": "y"}],
        [{"text": "B"}],
        [{"text": "z"}],
    ]


@pytest.mark.parametrize("cache", [(), _ALL])
def test_no_system_prompts(cache: tuple[str, ...]) -> None:
    """Where a model has no system prompts, the user says them before anything else; cache points move along."""
    marks = [_MARK] if cache else []
    system = SystemPromptPart("A")
    prompt = UserPromptPart(["x", CachePoint(), "y"])
    said = [{"text": "A"}, {"text": "x"}, *marks, {"text": "y"}]
    assert _said(system, prompt, system=False, cache=cache) == said
    answer = ModelResponse([TextPart("B")])
    body = _body([ModelRequest([system, prompt]), answer, *_ASKED], system=False, cache=cache)
    assert body["messages"][0]["content"] == said
    assert "system" not in body
    body = _body([answer, ModelRequest([system, prompt])], system=False, cache=cache)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][2]["content"] == said[1:]
    assert _said(UserPromptPart("x"), system=False) == [{"text": "x"}]


def test_turns_alternate() -> None:
    """Requests with nothing between them are one turn, answers as well; results of tools come first."""
    messages: list[ModelMessage] = [
        ModelRequest([UserPromptPart("a")]),
        ModelResponse([ToolCallPart("weather", {}, "1"), ToolCallPart("weather", {}, "2")]),
        ModelResponse([TextPart("b")]),
        ModelRequest([UserPromptPart("c"), ToolReturnPart("weather", {"sun": 1}, "1")]),
        ModelResponse([]),
        ModelRequest([RetryPromptPart("Wrong.", "weather", "2"), RetryPromptPart("Empty.")]),
    ]
    first, second, third = _body(messages)["messages"]
    assert (first["role"], second["role"], third["role"]) == ("user", "assistant", "user")
    assert [next(iter(block)) for block in second["content"]] == ["toolUse", "toolUse", "text"]
    hint = "\n\nFix the errors and try again."
    assert third["content"] == [
        {"toolResult": {"toolUseId": "1", "content": [{"text": '{"sun":1}'}]}},
        {"toolResult": {"toolUseId": "2", "content": [{"text": "Wrong." + hint}], "status": "error"}},
        {"text": "c"},
        {"text": "Empty." + hint},
    ]


def test_empty_return() -> None:
    """A tool that returned no text has a result without blocks: none may be blank."""
    assert _said(ToolReturnPart("weather", "", "1")) == [{"toolResult": {"toolUseId": "1", "content": []}}]


def test_nothing_to_say() -> None:
    """Messages that come to nothing are refused by what is missing."""
    with pytest.raises(UserError, match=r"^bedrock anthropic\.claude-x wants something to answer to"):
        encode(_call([ModelRequest([SystemPromptPart("A"), UserPromptPart(" ")])]))


def test_call_ids() -> None:
    """Ids are written in the letters and the length that the API takes, a call's and its result's alike."""
    assert _said(ToolReturnPart("t", "x", "functions.t:0-a_|é"))[0]["toolResult"]["toolUseId"] == "functions.t:0-a___"
    long = "x" * 65
    (call,) = _answered(ToolCallPart("t", {}, long))
    (result,) = _said(ToolReturnPart("t", "x", long))
    assert call["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"]
    assert len(call["toolUse"]["toolUseId"]) == 64
    with pytest.raises(UserError, match=r"^Bedrock requires `tool_call_id` to be set: the ToolReturnPart of 't'"):
        _said(ToolReturnPart("t", "x"))


def test_unsendable_return() -> None:
    """A tool's value without a JSON form is refused by the tool's name; one inside of arguments by the request's."""
    with pytest.raises(UserError, match=r"^The tool 't' returned what cannot be sent to a model: "):
        _said(ToolReturnPart("t", object(), "1"))
    with pytest.raises(UserError, match=r"^The request to bedrock anthropic\.claude-x cannot be written: "):
        _answered(ToolCallPart("t", {"a": object()}, "1"))


def test_unknown_part() -> None:
    """What is no part is refused by its class; a class derived from one is written as that one."""

    class Mine(UserPromptPart):
        pass

    assert _said(Mine("x")) == [{"text": "x"}]
    with pytest.raises(UserError, match="holds int"):
        _said(3)


# --- responses -------------------------------------------------------------------------------------


def test_answers() -> None:
    """Text, calls, signed thinking and opaque parts go back in their order; broken arguments as they were written."""
    redacted = {"reasoningContent": {"redactedContent": "YQ=="}}
    served = {"toolUse": {"toolUseId": "s", "name": "n", "input": {}, "type": "server_tool_use"}}
    assert _answered(
        ThinkingPart("hm", None, "sig", "bedrock"),
        OpaquePart("bedrock", redacted),
        TextPart("a"),
        TextPart(" "),
        OpaquePart("bedrock", served),
        ToolCallPart("t", '{"x": 1}', "1"),
        ToolCallPart("t", "{broken", "2"),
        ToolCallPart("t", "", "3"),
    ) == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        redacted,
        {"text": "a"},
        served,
        {"toolUse": {"toolUseId": "1", "name": "t", "input": {"x": 1}}},
        {"toolUse": {"toolUseId": "2", "name": "t", "input": {"invalid_json": "{broken"}}},
        {"toolUse": {"toolUseId": "3", "name": "t", "input": {}}},
    ]


def test_foreign_thinking() -> None:
    """Unsigned thinking, another provider's, and what stands at the end of an answer are not sent back."""
    assert _answered(
        ThinkingPart("a", None, None, "bedrock"),
        ThinkingPart("b", None, "sig", "anthropic"),
        ThinkingPart("c", None, "sig"),
        OpaquePart("openai", {"x": 1}),
        OpaquePart(None, {"x": 1}),
        TextPart("d"),
        ThinkingPart("e", None, "sig", "bedrock"),
    ) == [{"text": "d"}]
    assert _answered(ThinkingPart("e", None, "sig", "bedrock")) == []


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        (None, "us.anthropic.claude-y", True),
        ("us.anthropic.claude-x", "anthropic.claude-y", True),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x", "anthropic.claude-y", True),
        ("us.amazon.nova-lite-v1:0", "us.anthropic.claude-y", False),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "anthropic.claude-y", False),
    ],
)
def test_thinking_of_another_vendor(before: Optional[str], now: str, kept: bool) -> None:
    """Signatures go back to models of the vendor that signed, whatever the regions."""
    parts = (
        ThinkingPart("hm", None, "sig", "bedrock"),
        OpaquePart("bedrock", {"reasoningContent": {"redactedContent": "YQ=="}}),
        TextPart("a"),
    )
    assert len(_answered(*parts, model_name=before, model=now)) == (3 if kept else 1)


# --- what a user says ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "block"),
    [
        (BinaryContent(b"a", "image/png"), {"image": {"format": "png", "source": {"bytes": "YQ=="}}}),
        (BinaryContent(b"a", "IMAGE/JPEG; q=1"), {"image": {"format": "jpeg", "source": {"bytes": "YQ=="}}}),
        (BinaryContent(b"a", "video/3gpp"), {"video": {"format": "three_gp", "source": {"bytes": "YQ=="}}}),
        (BinaryContent(b"a", "audio/mpeg"), {"audio": {"format": "mp3", "source": {"bytes": "YQ=="}}}),
        (
            BinaryContent(b"a", "text/markdown"),
            {"document": {"name": "Document 1", "format": "md", "source": {"bytes": "YQ=="}}},
        ),
        (ImageUrl("data:image/gif;base64,YQ=="), {"image": {"format": "gif", "source": {"bytes": "YQ=="}}}),
        (ImageUrl("s3://b/a.webp"), {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://b/a.webp"}}}}),
        (AudioUrl("s3://b/a.wav"), {"audio": {"format": "wav", "source": {"s3Location": {"uri": "s3://b/a.wav"}}}}),
        (VideoUrl("s3://b/a.mov"), {"video": {"format": "mov", "source": {"s3Location": {"uri": "s3://b/a.mov"}}}}),
        (
            VideoUrl("s3://b/a.3gp"),
            {"video": {"format": "three_gp", "source": {"s3Location": {"uri": "s3://b/a.3gp"}}}},
        ),
        (
            DocumentUrl("s3://b/a.pdf"),
            {"document": {"name": "Document 1", "format": "pdf", "source": {"s3Location": {"uri": "s3://b/a.pdf"}}}},
        ),
    ],
)
def test_media(item: Any, block: dict[str, Any]) -> None:
    """Bytes and files in S3 are written with their format."""
    assert _said(UserPromptPart(["look", item])) == [{"text": "look"}, block]


def test_documents_have_names() -> None:
    """Each document of a request has a name of its own, over all messages."""
    document = BinaryContent(b"a", "text/csv")
    body = _body(
        [ModelRequest([UserPromptPart(["a", document])]), ModelRequest([UserPromptPart([document, document])])]
    )
    blocks = body["messages"][0]["content"]
    assert [block["document"]["name"] for block in blocks[1:]] == ["Document 1", "Document 2", "Document 3"]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (BinaryContent(b"a", "application/zip"), "Bedrock has no place for content of the type 'application/zip'."),
        (ImageUrl("https://h/a.png"), "Bedrock fetches files in S3 only (s3://bucket/key); got ImageUrl with another"),
        (ImageUrl("data:image/png,a"), "A data address in ImageUrl has the form"),
        (ImageUrl("s3://b/a"), "Bedrock wants to know the format of a file in S3, and the address of the ImageUrl"),
        (VideoUrl("s3://b/a"), "Bedrock wants to know the format of a file in S3, and the address of the VideoUrl"),
        (DocumentUrl("s3://b/a"), "Bedrock wants to know the format of a file in S3, and the address of the Docum"),
    ],
)
def test_refused_media(item: Any, words: str) -> None:
    """What the API has no place for is refused by what to do instead."""
    with pytest.raises(UserError) as raised:
        _said(UserPromptPart([item]))
    assert str(raised.value).startswith(words)


def test_addresses_are_fetched() -> None:
    """Addresses of all kinds are to be replaced by their bytes before they come here."""
    assert BedrockWire.inline == {"image-url", "audio-url", "video-url", "document-url"}


# --- caches ----------------------------------------------------------------------------------------


def test_cache_points() -> None:
    """A point follows what stands before it; two in one place are one; an hour is said, five minutes are not."""
    prompt = UserPromptPart(["a", CachePoint(), CachePoint(), "b", CachePoint("1h")])
    assert _said(prompt, cache=_ALL) == [{"text": "a"}, _MARK, {"text": "b"}, _HOUR]
    assert _said(prompt, cache=("system",)) == [{"text": "a"}, {"text": "b"}]
    result = ToolReturnPart("t", "x", "1")
    blocks = _said(result, UserPromptPart([CachePoint(), "b"]), ToolReturnPart("t", "y", "2"), cache=_ALL)
    assert [next(iter(block)) for block in blocks] == ["toolResult", "cachePoint", "toolResult", "text"]
    blocks = _said(UserPromptPart(["b", CachePoint()]), result, cache=_ALL)
    assert [next(iter(block)) for block in blocks] == ["toolResult", "text", "cachePoint"]


@pytest.mark.parametrize(
    ("point", "words"),
    [(CachePoint(), "nothing comes before it"), (CachePoint("2h"), "got '2h'")],  # type: ignore[arg-type] # wrong on purpose
)
def test_refused_cache_points(point: CachePoint, words: str) -> None:
    """A point before everything, and one of another time, are refused."""
    with pytest.raises(UserError, match=words):
        _said(UserPromptPart([*([] if point.ttl == "5m" else ["a"]), point]), cache=_ALL)


@pytest.mark.parametrize(("cache", "mark"), [(True, _MARK), ("5m", _MARK), ("1h", _HOUR)])
def test_cache_setting(cache: Any, mark: dict[str, Any]) -> None:
    """The setting ends the tools, the system prompts and the last request with a point each."""
    messages: list[ModelMessage] = [
        ModelRequest([SystemPromptPart("S"), UserPromptPart(["a", CachePoint()])]),
        ModelResponse([TextPart("b")]),
        ModelRequest([UserPromptPart(["c", CachePoint()])]),
    ]
    body = _body(messages, {"bedrock_cache": cache}, ModelRequestParameters([_WEATHER]), cache=_ALL)
    assert body["toolConfig"]["tools"][-1] == mark
    assert body["system"] == [{"text": "S"}, mark]
    assert [turn["content"] for turn in body["messages"]] == [
        [{"text": "a"}, _MARK],
        [{"text": "b"}],
        [{"text": "c"}, mark],
    ]
    body = _body(messages, {"bedrock_cache": cache}, ModelRequestParameters([_WEATHER]), cache=("messages",))
    assert len(body["toolConfig"]["tools"]) == len(body["system"]) == 1


def test_most_cache_points(caplog: pytest.LogCaptureFixture) -> None:
    """No more than four points are sent, the last ones; a point among the tools of one's own counts."""
    many = [item for number in range(6) for item in (str(number), CachePoint())]
    with caplog.at_level(logging.DEBUG, "syncagent"):
        blocks = _said(UserPromptPart(many), cache=_ALL)
    assert [block.get("text", "*") for block in blocks] == ["0", "1", "2", "*", "3", "*", "4", "*", "5", "*"]
    assert "of 6 cache points only the last 4 are sent" in caplog.text
    parameters = ModelRequestParameters([_WEATHER], native_tools=[_MARK])
    messages: list[ModelMessage] = [ModelRequest([SystemPromptPart("S"), UserPromptPart(many)])]
    body = _body(messages, {"bedrock_cache": True}, parameters, cache=_ALL)
    assert json.dumps(body).count("cachePoint") == 4
    assert body["toolConfig"]["tools"].count(_MARK) == 1
    with_answer: list[ModelMessage] = [ModelResponse([TextPart("b")])]
    assert _body(with_answer, {"bedrock_cache": True}, cache=_ALL)["messages"][0]["content"] == [{"text": "b"}]


def test_no_cache(caplog: pytest.LogCaptureFixture) -> None:
    """A model without a cache is told nothing of it; a wrong value is refused."""
    with caplog.at_level(logging.DEBUG, "syncagent"):
        assert "cachePoint" not in json.dumps(_body(_ASKED, {"bedrock_cache": True}))
    assert "keeps no prompt cache" in caplog.text
    with pytest.raises(UserError, match=r"^bedrock_cache is True, False, '5m' or '1h'; got 'on'\.$"):
        _body(_ASKED, {"bedrock_cache": "on"})
    assert _body(_ASKED, {"bedrock_cache": False}, cache=_ALL) == _body(_ASKED)


# --- tools -----------------------------------------------------------------------------------------


def test_tools() -> None:
    """Tools are described; server tools go along in their own words."""
    parameters = ModelRequestParameters([_WEATHER], True, [_FINAL], native_tools=[{"systemTool": {"name": "nova_x"}}])
    assert _body(_ASKED, {}, parameters)["toolConfig"] == {
        "tools": [
            {"toolSpec": {"name": "weather", "description": "Tell the weather.", "inputSchema": {"json": _SCHEMA}}},
            {"toolSpec": {"name": "final_result", "inputSchema": {"json": _SCHEMA}}},
            {"systemTool": {"name": "nova_x"}},
        ],
        "toolChoice": {"auto": {}},
    }
    alone = ModelRequestParameters(native_tools=[{"systemTool": {"name": "nova_x"}}])
    assert _body(_ASKED, {}, alone)["toolConfig"] == {"tools": [{"systemTool": {"name": "nova_x"}}]}


_THINKS = {"bedrock_additional_model_requests_fields": {"thinking": {"type": "enabled"}}}


@pytest.mark.parametrize(
    ("settings", "text", "quirk", "choice", "names"),
    [
        ({}, True, None, {"auto": {}}, ["weather", "final_result"]),
        ({}, False, None, {"any": {}}, ["weather", "final_result"]),
        ({"tool_choice": "required"}, True, None, {"any": {}}, ["weather", "final_result"]),
        ({"tool_choice": "weather"}, True, None, {"tool": {"name": "weather"}}, ["weather", "final_result"]),
        ({"tool_choice": "weather"}, True, ("auto", "any"), {"any": {}}, ["weather"]),
        ({"tool_choice": "weather"}, True, ("auto",), {"auto": {}}, ["weather"]),
        ({}, False, ("auto",), {"auto": {}}, ["weather", "final_result"]),
        ({}, False, (), None, ["weather", "final_result"]),
        (_THINKS, False, None, {"auto": {}}, ["weather", "final_result"]),
        ({**_THINKS, "tool_choice": "required"}, False, None, {"any": {}}, ["weather", "final_result"]),
        (
            {"bedrock_additional_model_requests_fields": {"thinking": {"type": "disabled"}}},
            False,
            None,
            {"any": {}},
            ["weather", "final_result"],
        ),
    ],
)
def test_tool_choice(
    settings: dict[str, Any], text: bool, quirk: Optional[tuple[str, ...]], choice: Any, names: list[str]
) -> None:
    """A tool is forced where text is no result, or by setting, as far as the model obeys; not on one that thinks."""
    quirks: dict[str, Any] = {} if quirk is None else {"tool_choice": quirk}
    config = _body(_ASKED, settings, ModelRequestParameters([_WEATHER], text, [_FINAL]), **quirks)["toolConfig"]
    assert config.get("toolChoice") == choice
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == names


def test_unknown_tool() -> None:
    """A choice that is no tool's name is refused with the names that are."""
    with pytest.raises(UserError, match=r"or the name of a tool \(weather\); got 'wether'\.$"):
        _body(_ASKED, {"tool_choice": "wether"}, ModelRequestParameters([_WEATHER]))


def test_no_tools(caplog: pytest.LogCaptureFixture) -> None:
    """With the choice ``none`` no tools are sent; calls in the history want them declared all the same."""
    parameters = ModelRequestParameters([_WEATHER])
    assert "toolConfig" not in _body(_ASKED, {"tool_choice": "none"}, parameters)
    called: list[ModelMessage] = [
        *_ASKED,
        ModelResponse([ToolCallPart("gone", {}, "1"), ToolCallPart("gone", {}, "2")]),
        ModelRequest([ToolReturnPart("gone", "x", "1"), ToolReturnPart("gone", "x", "2")]),
    ]
    with caplog.at_level(logging.DEBUG, "syncagent"):
        config = _body(called, {"tool_choice": "none"}, parameters)["toolConfig"]
    assert (config["toolChoice"], len(config["tools"])) == ({"auto": {}}, 1)
    assert "tools that were called cannot be hidden" in caplog.text
    assert _body(called)["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "gone",
                    "description": "Not available any more.",
                    "inputSchema": {"json": {"type": "object"}},
                }
            }
        ]
    }


def test_native_result() -> None:
    """A result's schema is sent as text, with its objects closed; where that cannot be, it is refused."""
    parameters = ModelRequestParameters(result_mode="native", result_schema=_SCHEMA)
    output = _body(_ASKED, {"bedrock_effort": "low"}, parameters)["outputConfig"]
    assert output["effort"] == "low"
    assert output["textFormat"]["type"] == "json_schema"
    sent = output["textFormat"]["structure"]["jsonSchema"]
    assert (sent["name"], json.loads(sent["schema"])) == ("final_result", {**_SCHEMA, "additionalProperties": False})
    with pytest.raises(UserError, match="has no structured outputs"):
        _body(_ASKED, {}, parameters, native=False)
    loose = {"type": "object", "additionalProperties": {"type": "string"}}
    with pytest.raises(UserError, match="no objects with keys of any name"):
        _body(_ASKED, {}, ModelRequestParameters(result_mode="native", result_schema=loose))


# --- settings --------------------------------------------------------------------------------------


def test_settings(caplog: pytest.LogCaptureFixture) -> None:
    """Each setting has its place; what has none is dropped with a line that names it, not its value."""
    own = {"x": 1}
    settings = {
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "stop_sequences": ("a",),
        "seed": 12345,
        "timeout": 3,
        "bedrock_guardrail_config": {"guardrailIdentifier": "g"},
        "bedrock_performance_configuration": {"latency": "optimized"},
        "bedrock_request_metadata": {"a": "b"},
        "bedrock_additional_model_requests_fields": own,
        "bedrock_additional_model_response_fields_paths": ["/a"],
        "bedrock_prompt_variables": {"v": {"text": "x"}},
        "bedrock_service_tier": "flex",
        "extra_body": {"messages": []},
    }
    with caplog.at_level(logging.DEBUG, "syncagent"):
        body = _body(_ASKED, settings, top_k=("inferenceConfig", "topK"))
    assert body == {
        "messages": [],
        "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["a"]},
        "guardrailConfig": {"guardrailIdentifier": "g"},
        "performanceConfig": {"latency": "optimized"},
        "requestMetadata": {"a": "b"},
        "additionalModelRequestFields": {"x": 1, "inferenceConfig": {"topK": 3}},
        "additionalModelResponseFieldPaths": ["/a"],
        "promptVariables": {"v": {"text": "x"}},
        "serviceTier": {"type": "flex"},
    }
    assert own == {"x": 1}
    assert "settings that cannot be sent: seed" in caplog.text
    assert "12345" not in caplog.text


def test_refused_settings() -> None:
    """What a model refuses is not sent; a top_k of the caller's own has the word, in an object that stays as it was."""
    body = _body(_ASKED, {"temperature": 1, "top_k": 3, "max_tokens": None}, unsendable=("temperature",))
    assert body == _body(_ASKED)
    own = {"inferenceConfig": {"topK": 1, "a": 2}}
    settings = {"bedrock_additional_model_requests_fields": own, "top_k": 3}
    body = _body(_ASKED, settings, top_k=("inferenceConfig", "topK"))
    assert body["additionalModelRequestFields"] == own == {"inferenceConfig": {"topK": 1, "a": 2}}


@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_any_text(content: str, name: str, identifier: str) -> None:
    """Any text is written as JSON that says the same, lone surrogates included."""
    messages: list[ModelMessage] = [
        ModelRequest([UserPromptPart("x" + content)]),
        ModelResponse([ToolCallPart(name, {"a": content}, identifier)]),
        ModelRequest([ToolReturnPart(name, "x" + content, identifier)]),
    ]
    first, second, third = _body(messages)["messages"]
    assert first["content"] == [{"text": "x" + content}]
    assert (second["content"][0]["toolUse"]["name"], second["content"][0]["toolUse"]["input"]) == (name, {"a": content})
    assert third["content"][0]["toolResult"]["content"] == [{"text": "x" + content}]


# --- the model -------------------------------------------------------------------------------------


def test_model() -> None:
    """The model of a name has the profile of its id without regions; nothing is looked up."""
    model = infer_model("bedrock:us.anthropic.claude-3-7-sonnet-20250219-v1:0")
    assert isinstance(model, BedrockConverseModel)
    assert (model.system, model.model_name) == ("bedrock", "us.anthropic.claude-3-7-sonnet-20250219-v1:0")
    assert model.profile.quirks["cache"] == _ALL
    assert repr(model.wire) == "<BedrockWire of bedrock>"
    assert model.base_url is None


_CLAUDE = {"cache": _ALL, "top_k": ("top_k",)}
_LATER_CLAUDE = {**_CLAUDE, "unsendable": frozenset({"temperature", "top_p", "top_k"})}


@pytest.mark.parametrize(
    ("name", "quirks"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", {"native": False, "top_k": ("top_k",)}),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", {"native": False, "top_k": ("top_k",)}),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", {**_CLAUDE, "native": False}),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", {**_CLAUDE, "native": False}),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", {**_CLAUDE, "native": False}),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", _CLAUDE),
        ("us.anthropic.claude-opus-4-8", _LATER_CLAUDE),
        ("us.anthropic.claude-opus-5-5", {**_LATER_CLAUDE, "tool_choice": ("auto",)}),
        ("us.amazon.nova-2-lite-v1:0", {"cache": ("system", "messages"), "top_k": ("inferenceConfig", "topK")}),
        ("amazon.titan-text-lite-v1", {"system": False}),
        ("cohere.command-r-v1:0", {"tool_choice": ()}),
        ("cohere.command-text-v14", {"system": False, "tool_choice": ()}),
        ("us.meta.llama4-maverick-17b-instruct-v1:0", {"tool_choice": ("auto",)}),
        ("mistral.mistral-7b-instruct-v0:2", {"system": False}),
        ("mistral.mixtral-8x7b-instruct-v0:1", {"system": False}),
        ("mistral.mistral-large-2407-v1:0", {"tool_choice": ("auto", "any")}),
        ("moonshot.kimi-k2-thinking", {}),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama3-1-8b-v1:0", {"tool_choice": ("auto",)}),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", {}),
    ],
)
def test_profiles(name: str, quirks: dict[str, Any]) -> None:
    """Each vendor's models have their own quirks, whatever the regions; the known ones only."""
    profile = BedrockConverseModel(name).profile
    assert profile.quirks == quirks
    assert profile.result_mode == ("native" if "opus-5-5" in name else None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"provider": 3}, "provider is a Provider, or the name of one; got int."),
        ({"provider": OpenAIProvider()}, "The provider 'openai' does not speak Bedrock's Converse API."),
        ({"profile": ModelProfile(quirks={"x": 1})}, "Unknown quirks: x. Known are cache, "),
        ({"model_name": ""}, "A model's name is a text"),
        ({"model_name": None}, "A model's name is a text"),
    ],
)
def test_refused_models(arguments: dict[str, Any], words: str) -> None:
    """What cannot be is refused when the model is made."""
    with pytest.raises(UserError) as raised:
        BedrockConverseModel(**{"model_name": "m", **arguments})
    assert str(raised.value).startswith(words)


def test_documented_settings() -> None:
    """The page of the provider tells every setting of its own, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "providers" / "bedrock.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `bedrock_")]
    assert sorted(rows) == sorted(BedrockModelSettings.__annotations__.keys() - ModelSettings.__annotations__.keys())


def test_own_profile() -> None:
    """A profile of one's own has the word."""
    profile = ModelProfile(quirks={"system": False})
    model = BedrockConverseModel("m", provider=BedrockProvider(region_name="us-east-1"), profile=profile)
    assert model.profile is profile
