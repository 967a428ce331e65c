"""Messages as input items of the Responses API: each part, and what goes back to whom."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Optional

import pytest

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
    ModelResponsePart,
    OpaquePart,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
    VideoUrl,
)
from syncagent.models._responses_input import declared_names
from syncagent.models.openai_responses import encode
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters

_SHELL = {"type": "custom", "name": "shell"}


def _items(
    messages: Sequence[ModelMessage],
    *,
    provider: str = "openai",
    quirks: Optional[dict[str, Any]] = None,
    native_tools: Optional[list[dict[str, Any]]] = None,
) -> list[Any]:
    parameters = ModelRequestParameters(native_tools=native_tools or [])
    call = ModelCall("m", messages, {}, parameters, ModelProfile(), False, provider, quirks or {})
    items: list[Any] = json.loads(encode(call).body)["input"]
    return items


def _answer(*parts: ModelResponsePart, details: Optional[dict[str, Any]] = None) -> ModelResponse:
    return ModelResponse(list(parts), provider_name="openai", provider_details=details)


# --- requests --------------------------------------------------------------------------------------


def test_prompts() -> None:
    """System and user prompts are messages by role; odd characters arrive as they were."""
    request = ModelRequest([SystemPromptPart("Be brief."), UserPromptPart('é\n"\ud800😀')])
    assert _items([request]) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": 'é\n"\ud800😀'},
    ]
    assert _items([request], quirks={"system_role": "developer"})[0]["role"] == "developer"


def test_media() -> None:
    """Images and documents go by address or as data; a cache point says nothing to this API."""
    content: list[UserContent] = [
        "look",
        CachePoint(),
        ImageUrl("https://x/a.png"),
        DocumentUrl("https://x/a.pdf"),
        BinaryContent(b"a", "image/png"),
        BinaryContent(b"a", "application/pdf"),
        BinaryContent(b"a", "application/x-odd"),
    ]
    assert _items([ModelRequest([UserPromptPart(content)])])[0]["content"] == [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "detail": "auto", "image_url": "https://x/a.png"},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,YQ=="},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,YQ=="},
        {"type": "input_file", "filename": "document.x-odd", "file_data": "data:application/x-odd;base64,YQ=="},
    ]


@pytest.mark.parametrize(
    "item", [AudioUrl("https://x/a.mp3"), BinaryContent(b"a", "audio/wav"), BinaryContent(b"a", "video/mp4")]
)
def test_sound(item: UserContent) -> None:
    """Sound and video are refused with a word on who takes them."""
    with pytest.raises(UserError, match=r"^The Responses API takes no sound.*; got .*OpenAIModel"):
        _items([ModelRequest([UserPromptPart([item])])])


def test_video() -> None:
    """The address of a video is refused with a word on who takes it."""
    with pytest.raises(UserError, match=r"^The Responses API takes no video; got VideoUrl\. .*GeminiModel does\.$"):
        _items([ModelRequest([UserPromptPart([VideoUrl("https://x/a.mp4")])])])


def test_answers_to_calls() -> None:
    """Returns and refusals of a tool come before what else was said; a refusal without a tool is the user's."""
    request = ModelRequest(
        [
            UserPromptPart("And?"),
            ToolReturnPart("weather", {"sun": 1}, "1"),
            RetryPromptPart("No.", "weather", "2"),
            RetryPromptPart("Empty."),
        ]
    )
    assert _items([request]) == [
        {"type": "function_call_output", "call_id": "1", "output": '{"sun":1}'},
        {"type": "function_call_output", "call_id": "2", "output": "No.\n\nFix the errors and try again."},
        {"role": "user", "content": "And?"},
        {"role": "user", "content": "Empty.\n\nFix the errors and try again."},
    ]


@pytest.mark.parametrize("part", [ToolReturnPart("a", "x"), RetryPromptPart("x", "a")])
def test_answer_without_id(part: Any) -> None:
    """An answer to nobody's call is refused."""
    with pytest.raises(
        UserError, match=rf"^OpenAI requires `tool_call_id` to be set: the {type(part).__name__} of 'a'"
    ):
        _items([ModelRequest([part])])


def test_unsendable_return() -> None:
    """What a tool returned and has no JSON form is refused by the tool's name."""
    with pytest.raises(UserError, match=r"^The tool 'a' returned what cannot be sent to a model: "):
        _items([ModelRequest([ToolReturnPart("a", object(), "1")])])


def test_unknown_part() -> None:
    """Something that is no part is refused by its type."""
    with pytest.raises(UserError, match=r"^A message holds int, where one of SystemPromptPart, "):
        _items([ModelRequest([3])])  # type: ignore[list-item] # that is the mistake


# --- responses -------------------------------------------------------------------------------------


def test_text_and_calls() -> None:
    """Each text and each call is an item, in their order; empty ones and empty responses are left out."""
    response = _answer(
        TextPart("a"), TextPart(""), ToolCallPart("t", {"x": 1}, "1"), ToolCallPart("t", " ", "2"), TextPart("b")
    )
    assert _items([response, _answer(), _answer(TextPart(""))]) == [
        {"role": "assistant", "content": "a"},
        {"type": "function_call", "call_id": "1", "name": "t", "arguments": '{"x":1}'},
        {"type": "function_call", "call_id": "2", "name": "t", "arguments": "{}"},
        {"role": "assistant", "content": "b"},
    ]


def test_call_without_id() -> None:
    """A call without an id is refused."""
    with pytest.raises(UserError, match=r"^OpenAI requires `tool_call_id` to be set: the ToolCallPart of 'a' has none"):
        _items([_answer(ToolCallPart("a", "{}"))])


def test_thinking() -> None:
    """Thinking goes back before what follows it, pieces with one id as one item, with the ids of the other items."""
    response = _answer(
        ThinkingPart("One.", "rs_1", "proof", "openai"),
        ThinkingPart("Two.", "rs_1", None, "openai"),
        ThinkingPart("", None, "other", "openai"),
        TextPart("a"),
        ToolCallPart("t", "{}", "1"),
        details={"messages": [{"id": "msg_1", "phase": "commentary"}], "calls": {"1": {"id": "fc_1"}}},
    )
    text = {"type": "output_text", "text": "a", "annotations": []}
    assert _items([response]) == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}],
            "encrypted_content": "proof",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "other"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [text],
            "phase": "commentary",
        },
        {"type": "function_call", "call_id": "1", "name": "t", "id": "fc_1", "arguments": "{}"},
    ]
    # To anybody else it is none of theirs.
    assert _items([response], provider="deepseek") == [
        {"role": "assistant", "content": "a"},
        {"type": "function_call", "call_id": "1", "name": "t", "arguments": "{}"},
    ]


def test_thinking_without_what_follows() -> None:
    """Thinking that nothing follows is left out: the API refuses it alone."""
    assert _items([_answer(TextPart("a"), ThinkingPart("One.", "rs_1", "proof", "openai"))]) == [
        {"role": "assistant", "content": "a"}
    ]


def test_thinking_without_proof() -> None:
    """Thinking without a proof goes back only where the server reads it itself."""
    response = _answer(ThinkingPart("One.", "rs_1", None, "openai"), TextPart("a"), details={"messages": [{"id": "m"}]})
    assert _items([response]) == [{"role": "assistant", "content": "a"}]
    thinking = _items([response], quirks={"thinking": "reasoning_content"})[0]
    assert thinking == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "One."}],
    }


def test_facts_of_other_texts() -> None:
    """Where texts were added or taken away, what was known of the messages is forgotten; odd facts are nothing."""
    details = {"messages": [{"phase": "commentary"}, {"phase": "final_answer"}], "calls": {"1": "odd"}}
    assert _items([_answer(TextPart("a"), TextPart("b"), details=details)]) == [
        {"role": "assistant", "content": "a", "phase": "commentary"},
        {"role": "assistant", "content": "b", "phase": "final_answer"},
    ]
    assert _items([_answer(TextPart("b"), ToolCallPart("t", "{}", "1"), details=details)]) == [
        {"role": "assistant", "content": "b"},
        {"type": "function_call", "call_id": "1", "name": "t", "arguments": "{}"},
    ]
    odd = {"messages": ["odd"], "calls": "odd"}
    assert _items([_answer(TextPart("b"), details=odd)]) == [{"role": "assistant", "content": "b"}]


def test_opaque() -> None:
    """A server tool's item goes back in its place to the same provider; what another API sent does not."""
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    response = _answer(
        OpaquePart("openai", search),
        OpaquePart("openai", {"reasoning_details": []}),
        OpaquePart(None, search),
        OpaquePart("deepseek", search),
        TextPart("a"),
    )
    assert _items([response]) == [search, {"role": "assistant", "content": "a"}]


def test_custom_calls() -> None:
    """A custom tool's call and its answer go back as such, known by the answer it came in or by the tools."""
    call, answer = ToolCallPart("shell", {"input": "ls"}, "1"), ModelRequest([ToolReturnPart("shell", "a.txt", "1")])
    expected = [
        {"type": "custom_tool_call", "call_id": "1", "name": "shell", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "1", "output": "a.txt"},
    ]
    facts = {"calls": {"1": {"type": "custom_tool_call"}}}
    assert _items([_answer(call, details=facts), answer]) == expected
    assert _items([_answer(call), answer], native_tools=[_SHELL]) == expected
    assert [item["type"] for item in _items([_answer(call), answer])] == ["function_call", "function_call_output"]


@pytest.mark.parametrize("args", ["{", "[]", '{"input":3}'])
def test_custom_call_of_another_shape(args: str) -> None:
    """A call that has no text for the tool stays a function call, and so does its answer."""
    messages: list[ModelMessage] = [
        _answer(ToolCallPart("shell", args, "1")),
        ModelRequest([ToolReturnPart("shell", "", "1")]),
    ]
    items = _items(messages, native_tools=[_SHELL])
    assert [item["type"] for item in items] == ["function_call", "function_call_output"]
    assert items[0]["arguments"] == args


def test_namespace() -> None:
    """A call of a tool that was searched for keeps its namespace."""
    facts = {"calls": {"1": {"id": "fc_1", "namespace": "crm"}}}
    assert _items([_answer(ToolCallPart("t", "{}", "1"), details=facts)]) == [
        {"type": "function_call", "call_id": "1", "name": "t", "namespace": "crm", "arguments": "{}"}
    ]


def test_broken_arguments() -> None:
    """Broken arguments go back as they are, and as none to a server that wants JSON."""
    response = _answer(ToolCallPart("t", '{"a":', "1"), ToolCallPart("t", '{"a":1}', "2"))
    assert [item["arguments"] for item in _items([response])] == ['{"a":', '{"a":1}']
    strict = _items([response], quirks={"json_args": True})
    assert [item["arguments"] for item in strict] == ["{}", '{"a":1}']


def test_declared_names() -> None:
    """Tools that are declared in the API's words are known by name, also those in a namespace."""
    tools: list[dict[str, Any]] = [
        {"type": "web_search"},
        _SHELL,
        {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}, "odd"]},
        {"type": "namespace", "name": "odd", "tools": 3},
    ]
    assert declared_names(tools) == {"shell": "custom", "find": "function"}
