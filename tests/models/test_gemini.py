"""What the mapping of generateContent writes for each kind of message, tool and setting."""

from __future__ import annotations

import json
import logging
from typing import Any, Optional

import attrs
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
from syncagent.models.gemini import GeminiWire, encode, encode_count
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import CountingWire, ModelCall, WireRequest
from syncagent.tools import ModelRequestParameters, ToolDefinition

_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_WEATHER = ToolDefinition("weather", "Tell the weather.", _SCHEMA)
_FINAL = ToolDefinition("final_result", "The end.", _SCHEMA)
_GLA = "google-gla"


def _call(
    messages: list[ModelMessage],
    settings: Optional[dict[str, Any]] = None,
    parameters: Optional[ModelRequestParameters] = None,
    *,
    stream: bool = False,
    provider: str = _GLA,
    model: str = "gemini-2.5-flash",
    **quirks: Any,
) -> ModelCall:
    parameters = parameters or ModelRequestParameters()
    return ModelCall(model, messages, settings or {}, parameters, ModelProfile(), stream, provider, quirks)


def _body(*args: Any, **kwargs: Any) -> Any:
    return json.loads(encode(_call(*args, **kwargs)).body)


def _said(*parts: Any, **quirks: Any) -> Any:
    """The contents that one request is written as."""
    return _body([ModelRequest(list(parts))], **quirks)["contents"]


def _answered(*parts: Any, **quirks: Any) -> Any:
    """The parts that one response is written as; None where nothing of it is sent."""
    contents = _body([ModelRequest([UserPromptPart("Hi")]), ModelResponse(list(parts))], **quirks)["contents"]
    assert [content["role"] for content in contents] == ["user", "model"][: len(contents)]
    return contents[1]["parts"] if len(contents) == 2 else None


# --- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "quirks", "path"),
    [
        ("gemini-2.5-flash", {}, "/models/gemini-2.5-flash:generateContent"),
        ("models/gemini-2.5-flash", {}, "/models/gemini-2.5-flash:generateContent"),
        ("tunedModels/mine", {}, "/tunedModels/mine:generateContent"),
        ("odd name?x#y:z", {}, "/models/odd%20name%3Fx%23y%3Az:generateContent"),
        ("gemini-2.5-flash", {"publishers": True}, "/publishers/google/models/gemini-2.5-flash:generateContent"),
        ("meta/llama-4", {"publishers": True}, "/publishers/meta/models/llama-4:generateContent"),
        ("publishers/a/models/b", {"publishers": True}, "/publishers/a/models/b:generateContent"),
        ("endpoints/123", {"publishers": True}, "/endpoints/123:generateContent"),
    ],
)
def test_path(model: str, quirks: dict[str, Any], path: str) -> None:
    """The model stands in the path: under models, or under its publisher; what addresses give a meaning is escaped."""
    assert encode(_call([], model=model, **quirks)).path == path


@pytest.mark.parametrize("model", ["../secrets", "a//b", "models/..", "/a"])
def test_path_stays_inside(model: str) -> None:
    """A name that would lead elsewhere is refused."""
    with pytest.raises(UserError, match="has no empty steps"):
        encode(_call([], model=model))


def test_stream() -> None:
    """A stream is another method, asked for as server-sent events; the body is the same."""
    request = encode(_call([], stream=True))
    assert request == WireRequest(
        "/models/gemini-2.5-flash:streamGenerateContent", encode(_call([])).body, query={"alt": "sse"}
    )
    assert encode(_call([])).query == {}


def test_counting() -> None:
    """The Gemini API counts a whole request with its model; Vertex AI takes the parts that count, and nothing else."""
    call = _call(
        [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart("Hi")])],
        {"temperature": 0, "gemini_safety_settings": [{"category": "C", "threshold": "T"}]},
        ModelRequestParameters([_WEATHER]),
    )
    whole = json.loads(encode(call).body)
    request = encode_count(call._replace(quirks={"count_whole": True}))
    assert request.path == "/models/gemini-2.5-flash:countTokens"
    assert json.loads(request.body) == {"generateContentRequest": {"model": "models/gemini-2.5-flash", **whole}}
    counted = json.loads(encode_count(call).body)
    assert whole.pop("safetySettings")
    assert counted == whole
    assert counted.keys() == {"contents", "systemInstruction", "tools", "generationConfig"}
    assert isinstance(GeminiWire(), CountingWire)


# --- requests --------------------------------------------------------------------------------------


def test_least_body() -> None:
    """Nothing that is not set is sent; a request without contents would be refused, so there is an empty text."""
    assert _body([]) == {"contents": [{"role": "user", "parts": [{"text": ""}]}]}


def test_prompts() -> None:
    """System prompts are the system instruction, wherever they stand; empty texts are left out."""
    body = _body(
        [
            ModelRequest([SystemPromptPart("Be brief."), SystemPromptPart(""), UserPromptPart("Hi")]),
            ModelResponse([TextPart("Hey.")]),
            ModelRequest([SystemPromptPart("Be kind."), UserPromptPart(["And", "", "?"])]),
            ModelRequest([UserPromptPart("")]),
        ]
    )
    assert body == {
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hey."}]},
            {"role": "user", "parts": [{"text": "And"}, {"text": "?"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
    }


def test_tool_answers() -> None:
    """Returns are objects under the tool's name and call id; refused calls are call_error; both go before the rest."""
    retry = RetryPromptPart("bad", "weather", "2")
    assert _said(
        UserPromptPart("And?"),
        ToolReturnPart("weather", {"sun": 1}, "1"),
        retry,
        ToolReturnPart("now", "12:00"),
        ToolReturnPart("list", [1, 2], ""),
    ) == [
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"sun": 1}, "id": "1"}},
                {
                    "functionResponse": {
                        "name": "weather",
                        "response": {"call_error": "bad\n\nFix the errors and try again."},
                        "id": "2",
                    }
                },
                {"functionResponse": {"name": "now", "response": {"return_value": "12:00"}}},
                {"functionResponse": {"name": "list", "response": {"return_value": [1, 2]}}},
                {"text": "And?"},
            ],
        }
    ]


def test_retry_without_a_tool() -> None:
    """A refused answer in text is answered in text."""
    assert _said(RetryPromptPart("No.")) == [
        {"role": "user", "parts": [{"text": "No.\n\nFix the errors and try again."}]}
    ]


def test_a_return_without_json() -> None:
    """What a tool returned and cannot be sent is the program's mistake."""
    with pytest.raises(UserError, match=r"^The tool 'a' returned what cannot be sent to a model: "):
        _said(ToolReturnPart("a", object(), "1"))


def test_media() -> None:
    """Bytes go inline; addresses go as they are, with the type that their suffix tells; cache points are not sent."""
    parts = _said(
        UserPromptPart(
            [
                BinaryContent(b"\xff\xfe", "image/png"),
                BinaryContent(b"a", "video/mp4"),
                CachePoint(),
                ImageUrl("https://x/a.png?b"),
                AudioUrl("gs://bucket/a.wav"),
                DocumentUrl("https://generativelanguage.googleapis.com/v1beta/files/abc"),
                ImageUrl("https://x/a"),
                VideoUrl("gs://bucket/a.webm"),
                VideoUrl("https://www.youtube.com/watch?v=abc"),
                VideoUrl("https://generativelanguage.googleapis.com/v1beta/files/def"),
            ]
        )
    )[0]["parts"]
    assert parts == [
        {"inlineData": {"mimeType": "image/png", "data": "//4="}},
        {"inlineData": {"mimeType": "video/mp4", "data": "YQ=="}},
        {"fileData": {"fileUri": "https://x/a.png?b", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "gs://bucket/a.wav", "mimeType": "audio/wav"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        {"fileData": {"fileUri": "https://x/a"}},
        {"fileData": {"fileUri": "gs://bucket/a.webm", "mimeType": "video/webm"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=abc", "mimeType": "video/mp4"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/def"}},
    ]


def test_media_that_cannot_be_sent() -> None:
    """A data address, and bytes without a type, are refused with what to do."""
    with pytest.raises(UserError, match=r"pass BinaryContent\(data, media_type\) instead of ImageUrl"):
        _said(UserPromptPart([ImageUrl("data:image/png;base64,AA==")]))
    with pytest.raises(UserError, match="has a media type such as 'image/png'; got 'png'"):
        _said(UserPromptPart([BinaryContent(b"a", "png")]))


# --- responses -------------------------------------------------------------------------------------


def test_calls() -> None:
    """Past calls go back with their arguments as an object and the id that they have."""
    assert _answered(
        TextPart("Let me see."),
        TextPart(""),
        ToolCallPart("weather", {"city": "x"}, "1"),
        ToolCallPart("weather", '{"city": "y"}'),
        ToolCallPart("now", "", "3"),
        ToolCallPart("now", "[1", "4"),
        ToolCallPart("now", "[1]", "5"),
    ) == [
        {"text": "Let me see."},
        {"functionCall": {"name": "weather", "args": {"city": "x"}, "id": "1"}},
        {"functionCall": {"name": "weather", "args": {"city": "y"}}},
        {"functionCall": {"name": "now", "args": {}, "id": "3"}},
        {"functionCall": {"name": "now", "args": {"invalid_json": "[1"}, "id": "4"}},
        {"functionCall": {"name": "now", "args": {"invalid_json": "[1]"}, "id": "5"}},
    ]


@pytest.mark.parametrize("parts", [[], [TextPart("")], [ThinkingPart("hm")], [OpaquePart(None, {"text": "a"})]])
def test_nothing_to_send(parts: list[Any]) -> None:
    """A response of which nothing can be sent is left out."""
    assert _answered(*parts) is None


def test_thinking() -> None:
    """Thinking and its signature go back to the provider that they came from, and to no other."""
    parts = [ThinkingPart("hm", None, "sig", _GLA), ThinkingPart("so", None, None, _GLA), TextPart("a")]
    assert _answered(*parts) == [
        {"text": "hm", "thought": True, "thoughtSignature": "sig"},
        {"text": "so", "thought": True},
        {"text": "a"},
    ]
    assert _answered(*parts, provider="google-vertex") == [{"text": "a"}]
    assert _answered(ThinkingPart("hm", None, "sig"), TextPart("a")) == [{"text": "a"}]


def test_signatures() -> None:
    """A signature without thinking belongs to the text or call behind it; with neither, it has an empty text."""

    def signed(signature: str) -> ThinkingPart:
        return ThinkingPart("", None, signature, _GLA)

    call, written = ToolCallPart("now", {}, "1"), {"functionCall": {"name": "now", "args": {}, "id": "1"}}
    assert _answered(signed("s"), call, call) == [{**written, "thoughtSignature": "s"}, written]
    assert _answered(signed("s"), TextPart("a"), signed("t"), call) == [
        {"text": "a", "thoughtSignature": "s"},
        {**written, "thoughtSignature": "t"},
    ]
    assert _answered(TextPart("a"), signed("s")) == [{"text": "a"}, {"text": "", "thoughtSignature": "s"}]
    for thinking in (signed("t"), ThinkingPart("hm", None, None, _GLA)):
        parts = _answered(signed("s"), thinking, call)
        assert parts[0] == {"text": "", "thoughtSignature": "s"}
    assert _answered(signed("s"), OpaquePart(_GLA, {"executableCode": {}}), call) == [
        {"text": "", "thoughtSignature": "s"},
        {"executableCode": {}},
        written,
    ]


def test_missing_signature() -> None:
    """Where the model asks for signatures, the first call of a response that has none gets the word for that."""
    calls = [ToolCallPart("now", {}, "1"), ToolCallPart("now", {}, "2")]
    stand_in = {"missing_signature": "skip"}
    assert [part.get("thoughtSignature") for part in _answered(*calls, **stand_in)] == ["skip", None]
    signed = [ThinkingPart("", None, "s", _GLA), *calls]
    assert [part.get("thoughtSignature") for part in _answered(*signed, **stand_in)] == ["s", None]
    foreign = [ThinkingPart("", None, "s", "openai"), *calls]
    assert [part.get("thoughtSignature") for part in _answered(*foreign, **stand_in)] == ["skip", None]
    assert _answered(TextPart("a"), **stand_in) == [{"text": "a"}]


def test_opaque() -> None:
    """Parts that we do not model go back as they are, to the same provider; what stood beside the content does not."""
    data = {"executableCode": {"code": "1"}, "thoughtSignature": "s"}
    assert _answered(OpaquePart(_GLA, data)) == [data]
    assert _answered(OpaquePart("google-vertex", data), TextPart("a")) == [{"text": "a"}]
    assert _answered(TextPart("a"), OpaquePart(_GLA, {"groundingMetadata": {"x": 1}})) == [{"text": "a"}]


def test_history_is_not_changed() -> None:
    """Writing a request changes nothing in its messages."""
    opaque = OpaquePart(_GLA, {"text": ""})
    call = ToolCallPart("now", {"a": [1]}, "1")
    _answered(ThinkingPart("", None, "s", _GLA), opaque, call, missing_signature="skip")
    assert (opaque.data, call.args) == ({"text": ""}, {"a": [1]})


def test_derived_classes() -> None:
    """A part of a class of one's own is written as its base; anything else is refused by name."""

    @attrs.define
    class Shout(TextPart):
        pass

    assert _answered(Shout("A")) == [{"text": "A"}]
    with pytest.raises(UserError, match="A message holds int, where one of"):
        _answered(1)
    with pytest.raises(UserError, match="A message holds int, where one of"):
        _said(UserPromptPart([1]))  # type: ignore[list-item] # what is refused
    with pytest.raises(UserError, match="A message holds int, where one of"):
        _said(1)


# --- tools and results -----------------------------------------------------------------------------


def test_tools() -> None:
    """Function tools and result tools are function declarations; by default the model may choose."""
    body = _body([], {}, ModelRequestParameters([_WEATHER], True, [_FINAL]))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "Tell the weather.", "parametersJsonSchema": _SCHEMA},
                {"name": "final_result", "description": "The end.", "parametersJsonSchema": _SCHEMA},
            ]
        }
    ]
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    ("choice", "text", "expected"),
    [
        (None, True, None),
        (None, False, {"mode": "ANY", "allowedFunctionNames": ["weather", "final_result"]}),
        ("auto", False, None),
        ("none", False, {"mode": "NONE"}),
        ("required", True, {"mode": "ANY", "allowedFunctionNames": ["weather", "final_result"]}),
        ("weather", True, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_tool_choice(choice: Optional[str], text: bool, expected: Any) -> None:
    """Where text is no result, a call is forced, with the names to choose from; tool_choice has the last word."""
    body = _body([], {"tool_choice": choice}, ModelRequestParameters([_WEATHER], text, [_FINAL]))
    assert body.get("toolConfig", {}).get("functionCallingConfig") == expected


def test_unknown_tool_choice() -> None:
    """The name of a tool that is not there is refused with those that are."""
    with pytest.raises(UserError, match=r"name of a tool \(weather\); got 'wether'"):
        _body([], {"tool_choice": "wether"}, ModelRequestParameters([_WEATHER]))


def test_native_tools() -> None:
    """The provider's own tools go as they are, before functions; where it wants that, their calls are asked for."""
    search: dict[str, Any] = {"googleSearch": {}}
    body = _body([], {}, ModelRequestParameters([_WEATHER], native_tools=[search]))
    assert body["tools"][0] == search
    assert body["tools"][1].keys() == {"functionDeclarations"}
    assert "toolConfig" not in body
    alone = _body([], {}, ModelRequestParameters(native_tools=[search]), server_tool_calls=True)
    assert alone["tools"] == [search]
    assert alone["toolConfig"] == {"includeServerSideToolInvocations": True}
    functions = _body([], {}, ModelRequestParameters([_WEATHER]), server_tool_calls=True)
    assert "toolConfig" not in functions


def test_native_result() -> None:
    """A native result is a schema for the answer's JSON; in the other modes there is none."""
    schema = {**_SCHEMA, "properties": {"city": {"const": "x"}}}
    body = _body([], {}, ModelRequestParameters(result_mode="native", result_schema=schema))
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {**_SCHEMA, "properties": {"city": {"enum": ["x"]}}},
    }
    for mode in ("prompted", "tool"):
        assert "generationConfig" not in _body([], {}, ModelRequestParameters(result_mode=mode, result_schema=schema))


# --- settings --------------------------------------------------------------------------------------


def test_settings() -> None:
    """Every setting that the API has goes where it belongs, the provider's own in its own words."""
    body = _body(
        [],
        {
            "max_tokens": 5,
            "temperature": 0,
            "top_p": 0.9,
            "top_k": 3,
            "seed": 7,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
            "stop_sequences": ["a"],
            "logprobs": True,
            "top_logprobs": 2,
            "timeout": 3,
            "extra_headers": {"a": "b"},
            "on_incomplete": "accept",
            "gemini_thinking_config": {"thinking_budget": 0},
            "gemini_response_modalities": ["TEXT"],
            "gemini_media_resolution": "MEDIA_RESOLUTION_LOW",
            "gemini_speech_config": {"languageCode": "en-US"},
            "gemini_image_config": {"aspectRatio": "1:1"},
            "gemini_safety_settings": [{"category": "C", "threshold": "T"}],
            "gemini_cached_content": "cachedContents/a",
            "gemini_labels": {"a": "b"},
            "gemini_service_tier": "flex",
        },
    )
    assert body.pop("contents")
    assert body == {
        "generationConfig": {
            "maxOutputTokens": 5,
            "temperature": 0,
            "topP": 0.9,
            "topK": 3,
            "seed": 7,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.2,
            "stopSequences": ["a"],
            "responseLogprobs": True,
            "logprobs": 2,
            "thinkingConfig": {"thinking_budget": 0},
            "responseModalities": ["TEXT"],
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "speechConfig": {"languageCode": "en-US"},
            "imageConfig": {"aspectRatio": "1:1"},
        },
        "safetySettings": [{"category": "C", "threshold": "T"}],
        "cachedContent": "cachedContents/a",
        "labels": {"a": "b"},
        "serviceTier": "flex",
    }


def test_dropped_settings(caplog: pytest.LogCaptureFixture) -> None:
    """What the API has no word for is dropped with one DEBUG line; a None says nothing."""
    settings = {"logit_bias": {"1": 1}, "parallel_tool_calls": False, "openai_user": "u", "seed": None}
    with caplog.at_level(logging.DEBUG, "syncagent.models"):
        assert _body([], settings) == _body([])
    assert caplog.messages == [
        "google-gla gemini-2.5-flash: settings that cannot be sent: logit_bias, parallel_tool_calls, openai_user"
    ]


def test_extra_body() -> None:
    """Further keys of the body win over ours."""
    body = _body([], {"temperature": 1, "extra_body": {"generationConfig": {"candidateCount": 1}, "é": [1]}})
    assert body["generationConfig"] == {"candidateCount": 1}
    assert body["é"] == [1]


def test_values_without_json() -> None:
    """A value that has no JSON form is the program's mistake, named with the model."""
    with pytest.raises(UserError, match=r"^The request to google-gla gemini-2\.5-flash cannot be written: "):
        _body([], {"extra_body": {"a": object()}})


@given(st.text(), st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())))
def test_any_text(text: str, args: dict[str, Any]) -> None:
    """Whatever is said arrives as it is."""
    contents = _said(UserPromptPart(["-", text]))
    assert contents[0]["parts"][1:] == ([{"text": text}] if text else [])
    assert _answered(ToolCallPart("a", args))[0]["functionCall"]["args"] == args
