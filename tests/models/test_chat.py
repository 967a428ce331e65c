"""What the chat mapping writes for each kind of message, tool and setting."""

from __future__ import annotations

import enum
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
from syncagent.models.chat import encode
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition

_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_WEATHER = ToolDefinition("weather", "Tell the weather.", _SCHEMA)
_FINAL = ToolDefinition("final_result", "The end.", _SCHEMA)


def _bytes(
    messages: list[ModelMessage],
    settings: Optional[dict[str, Any]] = None,
    parameters: Optional[ModelRequestParameters] = None,
    *,
    stream: bool = False,
    provider: str = "openai",
    **quirks: Any,
) -> bytes:
    parameters = parameters or ModelRequestParameters()
    call = ModelCall("m", messages, settings or {}, parameters, ModelProfile(), stream, provider, quirks)
    return encode(call).body


def _body(*args: Any, **kwargs: Any) -> Any:
    return json.loads(_bytes(*args, **kwargs))


def _said(*parts: Any, **quirks: Any) -> Any:
    """The messages that one request is written as."""
    return _body([ModelRequest(list(parts))], **quirks)["messages"]


def _answered(*parts: Any, **quirks: Any) -> Any:
    """The messages that one response is written as."""
    return _body([ModelResponse(list(parts))], **quirks)["messages"]


# --- requests --------------------------------------------------------------------------------------


def test_one_choice_is_asked_for() -> None:
    """The body names the model, asks for one choice, and leaves out all that is not set."""
    assert _body([]) == {"model": "m", "messages": [], "n": 1}


def test_stream() -> None:
    """A stream is asked for with its usage, where the server knows that option."""
    assert _body([], stream=True) == {
        "model": "m",
        "messages": [],
        "n": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "stream_options" not in _body([], stream=True, stream_usage=False)


def test_prompts() -> None:
    """System and user prompts keep their order, each a message of its own."""
    assert _said(SystemPromptPart("a"), SystemPromptPart("b"), UserPromptPart("c")) == [
        {"role": "system", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "user", "content": "c"},
    ]


def test_system_role() -> None:
    """The role of system prompts is the quirk's."""
    assert _said(SystemPromptPart("a"), system_role="developer") == [{"role": "developer", "content": "a"}]


def test_tool_return() -> None:
    """A tool's return is a tool message; what is no text is compact JSON."""
    assert _said(ToolReturnPart("weather", "sunny", "call_1")) == [
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    ]
    assert _said(ToolReturnPart("weather", {"sun": True}, "call_1"))[0]["content"] == '{"sun":true}'


def test_retry_with_tool_name() -> None:
    """A retry of a tool call is that call's tool message."""
    (message,) = _said(RetryPromptPart("No such city.", "weather", "call_1"))
    assert message == {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "No such city.\n\nFix the errors and try again.",
    }


def test_retry_without_tool_name() -> None:
    """A retry of an answer in words is said by the user."""
    assert _said(RetryPromptPart("Too long."))[0]["role"] == "user"


def test_answers_to_calls_come_first() -> None:
    """Answers to tool calls are moved before all else of a request, as the API asks; the rest keeps its order."""
    messages = _said(
        UserPromptPart("and a picture"),
        ToolReturnPart("a", "1", "call_1"),
        RetryPromptPart("in words, please"),
        RetryPromptPart("wrong", "b", "call_2"),
    )
    assert [message["role"] for message in messages] == ["tool", "tool", "user", "user"]
    assert [message.get("tool_call_id") for message in messages] == ["call_1", "call_2", None, None]
    assert messages[2]["content"] == "and a picture"


@pytest.mark.parametrize("part", [ToolReturnPart("weather", "sunny"), RetryPromptPart("wrong", "weather")])
def test_missing_call_id(part: Any) -> None:
    """An answer to a tool call without its id is refused, and the error names part and tool."""
    with pytest.raises(UserError, match=r"^OpenAI requires `tool_call_id` to be set: the \w+ of 'weather' has none"):
        _said(part)


def test_missing_id_of_a_call() -> None:
    """A call without an id is refused as well: nothing could answer it."""
    with pytest.raises(UserError, match="the ToolCallPart of 'weather' has none"):
        _answered(ToolCallPart("weather", "{}"))


def test_return_without_json_form() -> None:
    """What a tool returned and no model can read is refused; the error names the tool."""
    with pytest.raises(UserError, match=r"^The tool 'weather' returned what cannot be sent to a model: .*object"):
        _said(ToolReturnPart("weather", object(), "call_1"))


def test_text_that_is_none() -> None:
    """A message changed to hold a number for its text is refused."""
    part = UserPromptPart("x")
    part.content = [3]  # type: ignore[list-item] # that is the mistake
    with pytest.raises(UserError, match=r"^A message holds int, where one of str, ImageUrl"):
        _said(part)
    system = SystemPromptPart("x")
    system.content = 3  # type: ignore[assignment] # that is the mistake
    with pytest.raises(UserError, match=r"^The request to openai m cannot be written: "):
        _said(system)


def test_foreign_part() -> None:
    """A part of an unknown class is refused by its name."""
    with pytest.raises(UserError, match=r"^A message holds TextPart, where one of SystemPromptPart, "):
        _said(TextPart("misplaced"))
    with pytest.raises(UserError, match=r"^A message holds UserPromptPart, where one of TextPart, "):
        _answered(UserPromptPart("misplaced"))


def test_derived_classes() -> None:
    """A part or text of a class that a user derived is written as its base."""

    class Prompt(UserPromptPart):
        pass

    class Word(str, enum.Enum):
        YES = "yes"

    class Image(ImageUrl):
        pass

    assert _said(Prompt("hi")) == [{"role": "user", "content": "hi"}]
    assert _said(UserPromptPart(Word.YES)) == [{"role": "user", "content": "yes"}]
    assert _said(Prompt([Image("http://x/a.png")]))[0]["content"][0]["type"] == "image_url"


@given(st.text(st.characters(exclude_categories=())))
def test_any_text(text: str) -> None:
    """Every text arrives as it is, lone surrogates as escapes."""
    assert _said(UserPromptPart(text)) == [{"role": "user", "content": text}]
    assert _answered(TextPart(text)) == [{"role": "assistant", "content": text}]


def test_utf8() -> None:
    """Text goes out as UTF-8; only what UTF-8 cannot hold is escaped."""
    body = _bytes([ModelRequest([UserPromptPart("é\ud800")])])
    assert '"content":"é\\ud800"'.encode() in body


# --- what a user says ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("look", {"type": "text", "text": "look"}),
        (ImageUrl("http://x/a.png"), {"type": "image_url", "image_url": {"url": "http://x/a.png"}}),
        (
            BinaryContent(b"\x89PNG", "image/png"),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        ),
        (
            BinaryContent(b"RIFF", "audio/wav"),
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        ),
        (
            BinaryContent(b"ID3", "audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        ),
        (
            BinaryContent(b"%PDF", "application/pdf"),
            {
                "type": "file",
                "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
            },
        ),
        (
            BinaryContent(b"{}", "application/json"),
            {"type": "file", "file": {"filename": "document.json", "file_data": "data:application/json;base64,e30="}},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_user_content(item: Any, expected: Any) -> None:
    """Each kind of content has its item; bytes travel as data URIs, sounds as bare base64."""
    assert _said(UserPromptPart([item])) == [{"role": "user", "content": [expected]}]


@pytest.mark.parametrize("item", [AudioUrl("http://x/a.mp3"), DocumentUrl("http://x/a.pdf")])
def test_addresses_of_other_media(item: Any) -> None:
    """An address that the API would not fetch is refused; the error says what to do."""
    with pytest.raises(UserError, match=rf"got {type(item).__name__}\. Fetch the content yourself and pass Binary"):
        _said(UserPromptPart([item]))


def test_other_sounds() -> None:
    """Sound that is neither wav nor mp3 is refused by its type."""
    with pytest.raises(UserError, match="takes sound as wav or mp3; got BinaryContent of the type 'audio/ogg'"):
        _said(UserPromptPart([BinaryContent(b"x", "audio/ogg")]))


@pytest.mark.parametrize("item", [VideoUrl("http://x/a.mp4"), BinaryContent(b"x", "video/mp4")])
def test_videos(item: Any) -> None:
    """A video is refused where the API has no place for one; the error says what to do."""
    with pytest.raises(UserError, match=rf"takes no video; got {type(item).__name__}.*Pass pictures of it as images"):
        _said(UserPromptPart([item]))


# --- responses that go back ------------------------------------------------------------------------


def test_texts_are_joined() -> None:
    """The texts of a response go back as one, with a blank line between them; empty ones are left out."""
    assert _answered(TextPart("a"), TextPart(""), TextPart("b")) == [{"role": "assistant", "content": "a\n\nb"}]


def test_tool_calls_go_back() -> None:
    """Calls go back with their arguments as text; no arguments are an empty object."""
    (message,) = _answered(
        TextPart("Let me see."),
        ToolCallPart("a", {"x": 1}, "1"),
        ToolCallPart("b", "", "2"),
        ToolCallPart("c", " {}", "3"),
    )
    assert message == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "a", "arguments": '{"x":1}'}},
            {"id": "2", "type": "function", "function": {"name": "b", "arguments": "{}"}},
            {"id": "3", "type": "function", "function": {"name": "c", "arguments": " {}"}},
        ],
    }
    assert _answered(ToolCallPart("a", "{}", "1"))[0]["content"] is None


@pytest.mark.parametrize("parts", [[], [ThinkingPart("hm")], [TextPart(""), TextPart("")], [OpaquePart("x", {})]])
def test_empty_responses_are_left_out(parts: list[Any]) -> None:
    """A response that holds nothing to send is not sent."""
    assert _answered(*parts) == []


def test_thinking_stays_here() -> None:
    """Thinking is not sent where no quirk says so, nor another provider's, nor beside mere text."""
    thinking = ThinkingPart("hm", None, None, "deepseek")
    call = ToolCallPart("a", "{}", "1")
    assert "reasoning_content" not in _answered(thinking, call)[0]
    quirk = {"provider": "deepseek", "thinking": "reasoning_content"}
    more = ThinkingPart("!", None, None, "deepseek")
    assert _answered(thinking, more, call, **quirk)[0]["reasoning_content"] == "hm!"
    assert "reasoning_content" not in _answered(ThinkingPart("hm", None, None, "groq"), call, **quirk)[0]
    assert _answered(thinking, TextPart("a"), **quirk) == [{"role": "assistant", "content": "a"}]


def test_opaque_parts() -> None:
    """Kept fields go back to the provider they came from, and to no other."""
    text, part = TextPart("a"), OpaquePart("openrouter", {"reasoning_details": [{"type": "x"}], "other": 1})
    keep = ("reasoning_details", "not there")
    kept = _answered(text, part, provider="openrouter", keep=keep)
    assert kept == [{"role": "assistant", "content": "a", "reasoning_details": [{"type": "x"}]}]
    assert _answered(text, part, provider="openai", keep=keep) == [{"role": "assistant", "content": "a"}]
    anonymous = OpaquePart(None, {"reasoning_details": []})
    assert "reasoning_details" not in _answered(text, anonymous, provider="openrouter", keep=keep)[0]


@pytest.mark.parametrize("args", ['{"a":', "[1]", "[" * 100_000])
def test_broken_arguments(args: str) -> None:
    """Where past arguments have to be a JSON object, broken ones go back as an empty one; elsewhere as they are."""
    part = ToolCallPart("a", args, "1")
    assert _answered(part)[0]["tool_calls"][0]["function"]["arguments"] == args
    (message,) = _answered(part, json_args=True)
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"
    (message,) = _answered(ToolCallPart("a", {"b": 1}, "1"), ToolCallPart("a", '{"b": 1}', "2"), json_args=True)
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"b":1}', '{"b": 1}']


def test_history_is_not_changed() -> None:
    """Encoding changes no message."""
    messages: list[ModelMessage] = [
        ModelRequest([UserPromptPart("x"), ToolReturnPart("a", {"b": 1}, "1")]),
        ModelResponse([TextPart("a"), ToolCallPart("a", {"b": 1}, "1")]),
    ]
    before = repr(messages)
    _bytes(messages)
    assert repr(messages) == before


# --- tools -----------------------------------------------------------------------------------------


def _parameters(**changes: Any) -> ModelRequestParameters:
    return ModelRequestParameters([_WEATHER], result_tools=[_FINAL], **changes)


def test_tools() -> None:
    """Function tools come first, then result tools."""
    body = _body([], None, _parameters())
    weather = {"name": "weather", "description": "Tell the weather.", "parameters": _SCHEMA}
    final = {"name": "final_result", "description": "The end.", "parameters": _SCHEMA}
    assert body["tools"] == [{"type": "function", "function": weather}, {"type": "function", "function": final}]


@pytest.mark.parametrize(("allow_text", "choice"), [(True, "auto"), (False, "required")])
def test_tool_choice(allow_text: bool, choice: str) -> None:
    """A tool is required exactly where text is no result."""
    assert _body([], None, _parameters(allow_text_result=allow_text))["tool_choice"] == choice


@pytest.mark.parametrize("choice", ["auto", "required", "none"])
def test_tool_choice_setting(choice: str) -> None:
    """The setting beats what the result type asks for."""
    parameters = _parameters(allow_text_result=choice == "required")
    assert _body([], {"tool_choice": choice}, parameters)["tool_choice"] == choice


def test_named_tool_choice() -> None:
    """A tool's name as the choice is that tool; an unknown name is refused."""
    body = _body([], {"tool_choice": "weather"}, _parameters())
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert len(body["tools"]) == 2
    with pytest.raises(UserError, match=r"the name of a tool \(weather, final_result\); got 'whether'\.$"):
        _body([], {"tool_choice": "whether"}, _parameters())


def test_named_tool_choice_that_is_not_obeyed() -> None:
    """Where a server takes a name for 'auto', that tool alone is sent, and required."""
    body = _body([], {"tool_choice": "weather"}, _parameters(), named_tool_choice=False, required_body={"x": [1]})
    assert (body["tool_choice"], body["x"]) == ("required", [1])
    assert [tool["function"]["name"] for tool in body["tools"]] == ["weather"]


def test_required_body() -> None:
    """The quirk's keys are sent exactly where a tool is required."""
    quirk = {"required_body": {"chat_template_kwargs": {"more_calls": True}}}
    required = _body([], None, _parameters(allow_text_result=False), **quirk)
    assert required["chat_template_kwargs"] == {"more_calls": True}
    assert "chat_template_kwargs" not in _body([], None, _parameters(), **quirk)
    assert "chat_template_kwargs" not in _body([], {"tool_choice": "none"}, _parameters(), **quirk)
    assert "chat_template_kwargs" not in _body([], {"tool_choice": "required"}, None, **quirk)


def test_no_tools() -> None:
    """Without tools nothing is said of them, whatever the settings say."""
    body = _body([], {"tool_choice": "required", "parallel_tool_calls": False})
    assert body.keys() == {"model", "messages", "n"}


def test_parallel_tool_calls() -> None:
    """The setting goes out beside tools."""
    assert _body([], {"parallel_tool_calls": False}, _parameters())["parallel_tool_calls"] is False


def test_native_tools() -> None:
    """The provider's own tools go out in its own words, after the functions; alone they make no choice."""
    native = {"type": "web_search", "size": "low"}
    assert _body([], None, _parameters(native_tools=[native]))["tools"][2] == native
    alone = _body([], None, ModelRequestParameters(native_tools=[native]))
    assert alone["tools"] == [native]
    assert "tool_choice" not in alone


def test_tool_without_json_form() -> None:
    """A schema that has no JSON form is the program's mistake."""
    tool = ToolDefinition("a", "b", {"default": object()})
    with pytest.raises(UserError, match="cannot be written"):
        _body([], None, ModelRequestParameters([tool]))


# --- settings --------------------------------------------------------------------------------------


def test_settings() -> None:
    """Every setting that the API has goes out under its name there."""
    settings = {
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "logit_bias": {"50256": -100},
        "stop_sequences": ["END"],
        "logprobs": True,
        "top_logprobs": 2,
        "openai_reasoning_effort": "low",
        "openai_verbosity": "low",
        "openai_service_tier": "flex",
        "openai_store": False,
        "openai_metadata": {"a": "b"},
        "openai_prediction": {"type": "content", "content": "x"},
        "openai_prompt_cache_key": "k",
        "openai_safety_identifier": "s",
        "openai_user": "u",
    }
    body = _body([], settings)
    renamed = {"stop_sequences": "stop"}
    assert {key: body[renamed.get(key, key.replace("openai_", ""))] for key in settings} == settings
    assert len(body) == 3 + len(settings)


def test_settings_of_the_sender() -> None:
    """What is meant for the transport is not in the body."""
    settings = {"timeout": 3, "extra_headers": {"a": "b"}, "retry_policy": object(), "on_incomplete": "accept"}
    assert _body([], settings).keys() == {"model", "messages", "n"}


def test_settings_that_cannot_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    """They are dropped with one DEBUG line, which names them and shows no value."""
    with caplog.at_level(logging.DEBUG, "syncagent"):
        body = _body([], {"top_k": 5, "gemini_x": "secret", "temperature": 0, "seed": None}, unsendable={"temperature"})
    assert body.keys() == {"model", "messages", "n"}
    assert caplog.messages == ["openai m: settings that cannot be sent: top_k, gemini_x, temperature"]


def test_setting_quirks() -> None:
    """A quirk renames max_tokens, and lets top_k through."""
    body = _body([], {"max_tokens": 5, "top_k": 3}, max_tokens="max_completion_tokens", top_k=True)
    assert (body["max_completion_tokens"], body["top_k"]) == (5, 3)
    assert "max_tokens" not in body


def test_extra_body() -> None:
    """Extra keys of the body win over ours, and stand there once."""
    raw = _bytes([], {"temperature": 0, "extra_body": {"temperature": 1, 'a"b': None, "n": 2}})
    assert json.loads(raw, object_pairs_hook=lambda pairs: pairs)[2:] == [("n", 2), ("temperature", 1), ('a"b', None)]


# --- native results --------------------------------------------------------------------------------


def _native(schema: dict[str, Any], **quirks: Any) -> Any:
    parameters = ModelRequestParameters(result_mode="native", result_schema=schema)
    return _body([], None, parameters, **quirks)["response_format"]


def test_native_result() -> None:
    """A native result is a JSON schema, strict where its schema allows that."""
    assert _native(_SCHEMA) == {
        "type": "json_schema",
        "json_schema": {"name": "final_result", "schema": {**_SCHEMA, "additionalProperties": False}, "strict": True},
    }


def test_native_result_that_is_not_strict() -> None:
    """A schema that strict mode has no words for goes out as it is, and not strict."""
    schema = {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}, "required": ["city"]}
    assert _native(schema) == {"type": "json_schema", "json_schema": {"name": "final_result", "schema": schema}}


@pytest.mark.parametrize("mode", ["tool", "prompted"])
def test_other_result_modes(mode: Any) -> None:
    """In the other modes there is no response format."""
    parameters = ModelRequestParameters(result_mode=mode, result_schema=_SCHEMA)
    assert "response_format" not in _body([], None, parameters)


def test_strings_that_end() -> None:
    """The quirk's length is sent with each string that has none, in tools and results."""
    assert _native(_SCHEMA, max_length=200)["json_schema"]["schema"]["properties"]["city"]["maxLength"] == 200
    tools = _body([], None, _parameters(), max_length=200)["tools"]
    assert [tool["function"]["parameters"]["properties"]["city"]["maxLength"] for tool in tools] == [200, 200]
    assert "maxLength" not in _SCHEMA["properties"]["city"]  # type: ignore[index] # nothing was changed in place
