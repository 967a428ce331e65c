"""What servers do differently: each quirk of the chat mapping, by its name."""

from __future__ import annotations

import json
import logging
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
    OpaquePart,
    RetryPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
)
from syncagent.models import profiles
from syncagent.models.base import StreamedResponse
from syncagent.models.chat import QUIRKS, ChatWire
from syncagent.models.groq import GroqModel
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.providers.table import ROWS
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.transport.sse import sse_frames

_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_WEATHER, _NOW = ToolDefinition("weather", "Tell the weather.", _SCHEMA), ToolDefinition("now", "", _SCHEMA)
_HI: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]


def _body(
    messages: list[ModelMessage],
    settings: Optional[dict[str, Any]] = None,
    parameters: Optional[ModelRequestParameters] = None,
    /,
    **quirks: Any,
) -> Any:
    parameters = parameters or ModelRequestParameters()
    call = ModelCall("m", messages, settings or {}, parameters, ModelProfile(), False, "p", quirks)
    return json.loads(ChatWire("p", quirks).encode(call).body)


def _pieces(*content: Any, **quirks: Any) -> Any:
    return _body([ModelRequest([UserPromptPart(list(content))])], **quirks)["messages"][0]["content"]


def test_every_quirk_is_somebodys() -> None:
    """No quirk is there that no row, no profile and no model class has, but the one that users choose."""
    used = {name for row in ROWS.values() if row.wire in ("chat", "groq", "mistral") for name in row.quirks}
    used |= {name for _, profile in profiles._TABLE for name in profile.quirks}
    used |= GroqModel.own_quirks.keys()
    assert QUIRKS.keys() - used == {"system_role"}


def test_path() -> None:
    """The path of the API may be another."""
    call = ModelCall("m", _HI, {}, ModelRequestParameters(), ModelProfile(), False, "p", {"path": "/v9/chat"})
    assert ChatWire("p").encode(call).path == "/v9/chat"


# --- messages --------------------------------------------------------------------------------------


def test_after_tools() -> None:
    """Between the results of tools and a user's words the assistant says what it has to; nowhere else."""
    messages: list[ModelMessage] = [
        ModelRequest([UserPromptPart("a"), UserPromptPart("b")]),
        ModelResponse([ToolCallPart("now", "{}", "1"), ToolCallPart("now", "{}", "2")]),
        ModelRequest([ToolReturnPart("now", "x", "1"), RetryPromptPart("no", "now", "2"), UserPromptPart("c")]),
        ModelResponse([ToolCallPart("now", "{}", "3")]),
        ModelRequest([ToolReturnPart("now", "x", "3")]),
        ModelRequest([RetryPromptPart("again")]),
        ModelResponse([ToolCallPart("now", "{}", "4")]),
        ModelRequest([ToolReturnPart("now", "x", "4")]),
    ]
    frames = _body(messages, after_tools="OK")["messages"]
    roles = ["user", "user", "assistant", "tool", "tool", "assistant", "user", "assistant", "tool", "assistant", "user"]
    assert [frame["role"] for frame in frames] == [*roles, "assistant", "tool"]
    assert [frames[5], frames[9]] == [{"role": "assistant", "content": "OK"}] * 2
    assert len(_body(messages)["messages"]) == len(frames) - 2


def test_short_ids() -> None:
    """Ids that do not fit are replaced, a call's and its answer's alike, always by the same; others stay."""
    messages: list[ModelMessage] = [
        ModelResponse([ToolCallPart("now", "{}", "call_0123456789"), ToolCallPart("now", "{}", "FI5qQGzDE")]),
        ModelRequest([ToolReturnPart("now", "x", "call_0123456789"), ToolReturnPart("now", "x", "FI5qQGzDE")]),
    ]
    frames = _body(messages, short_ids=True)["messages"]
    ids = [call["id"] for call in frames[0]["tool_calls"]]
    assert ids == [frame["tool_call_id"] for frame in frames[1:]]
    assert ids[1] == "FI5qQGzDE"
    assert len(ids[0]) == 9 and ids[0].isalnum()
    assert _body(messages, short_ids=True)["messages"] == frames


@pytest.mark.parametrize("identifier", ["a_3456789", "ä23456789", "\ud80023456", "12345678", "x" * 500])
def test_short_ids_of_all_kinds(identifier: str) -> None:
    """Whatever another provider calls its calls, nine letters and digits come of it."""
    frames = _body([ModelResponse([ToolCallPart("now", "{}", identifier)])], short_ids=True)["messages"]
    made = frames[0]["tool_calls"][0]["id"]
    assert len(made) == 9 and made.isascii() and made.isalnum()


def test_thinking_piece() -> None:
    """Thinking goes back as the first piece of the content: beside text, beside calls, never alone."""
    thought = ThinkingPart("hm", None, None, "p")
    piece = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    messages: list[ModelMessage] = [
        ModelResponse([thought, TextPart("a"), TextPart("b")]),
        ModelResponse([thought, ToolCallPart("now", "{}", "1")]),
        ModelResponse([thought]),
        ModelResponse([ThinkingPart("other", None, None, "q"), TextPart("c")]),
    ]
    frames = _body(messages, thinking_piece=True)["messages"]
    assert [frame["content"] for frame in frames] == [[piece, {"type": "text", "text": "a\n\nb"}], [piece], "c"]
    assert "tool_calls" in frames[1]


def test_note() -> None:
    """Noted fields are kept as an opaque part, streamed or not, and do not go back; kept ones do."""
    wire = ChatWire("p", {"keep": ("a",), "note": ("b",)})
    response = wire.decode({"choices": [{"message": {"content": "x", "a": [1], "b": [2], "c": [3]}}]})
    assert response.parts[1:] == [OpaquePart("p", {"a": [1], "b": [2]})]
    (frame,) = _body([response], keep=("a",), note=("b",))["messages"]
    assert frame == {"role": "assistant", "content": "x", "a": [1]}
    chunk = {"choices": [{"delta": {"content": "x", "b": [{"n": 1}]}, "finish_reason": "stop"}]}
    stream = StreamedResponse(
        wire.decode_stream(sse_frames([b"data: " + json.dumps(chunk).encode() + b"\n\n"])), model_name="m"
    )
    assert list(stream)
    assert stream.get().parts[-1] == OpaquePart("p", {"b": [{"n": 1}]})


# --- content ---------------------------------------------------------------------------------------


def test_document_url() -> None:
    """Documents go by their address, or with their data in one."""
    assert _pieces(DocumentUrl("https://x/a.pdf"), BinaryContent(b"a", "application/pdf"), document_url=True) == [
        {"type": "document_url", "document_url": "https://x/a.pdf"},
        {"type": "document_url", "document_url": "data:application/pdf;base64,YQ=="},
    ]


def test_video_url() -> None:
    """Videos go by their address, or with their data in one."""
    assert _pieces(VideoUrl("https://youtu.be/a"), BinaryContent(b"a", "video/mp4"), video_url=True) == [
        {"type": "video_url", "video_url": {"url": "https://youtu.be/a"}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,YQ=="}},
    ]


def test_plain_audio() -> None:
    """Sound goes as its data alone, or by its address."""
    assert _pieces(BinaryContent(b"a", "audio/wav"), AudioUrl("https://x/a.mp3"), plain_audio=True) == [
        {"type": "input_audio", "input_audio": "YQ=="},
        {"type": "input_audio", "input_audio": "https://x/a.mp3"},
    ]


@pytest.mark.parametrize(
    ("item", "named"),
    [
        (BinaryContent(b"a", "audio/wav"), "BinaryContent of the type 'audio/wav'"),
        (BinaryContent(b"a", "application/pdf"), "BinaryContent of the type 'application/pdf'"),
        (DocumentUrl("https://x/a.pdf"), "DocumentUrl"),
        (VideoUrl("https://x/a.mp4"), "VideoUrl"),
        (BinaryContent(b"a", "video/mp4"), "BinaryContent of the type 'video/mp4'"),
        (AudioUrl("https://x/a.mp3"), "AudioUrl"),
    ],
)
def test_images_only(item: Any, named: str) -> None:
    """Where only images are taken, anything else is refused with words that say what to do."""
    assert len(_pieces("a", ImageUrl("https://x/a.png"), BinaryContent(b"a", "image/png"), images_only=True)) == 3
    with pytest.raises(UserError, match=rf"^This API takes text and images; got {named}\. Pass its text"):
        _pieces(item, images_only=True)


def test_cache_points_are_no_content() -> None:
    """A cache point is left out, as the API has none."""
    assert _pieces("a", CachePoint(), "b") == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


# --- tools and settings ----------------------------------------------------------------------------


def test_required_tool_choice() -> None:
    """Where tools cannot be forced, ``auto`` is sent; a tool that is named alone is still the only one."""
    forced = ModelRequestParameters([_WEATHER, _NOW], False)
    assert _body(_HI, None, forced, required_tool_choice=False)["tool_choice"] == "auto"
    assert _body(_HI, {"tool_choice": "required"}, forced, required_tool_choice=False)["tool_choice"] == "auto"
    assert _body(_HI, {"tool_choice": "none"}, forced, required_tool_choice=False)["tool_choice"] == "none"
    named = _body(_HI, {"tool_choice": "now"}, forced, required_tool_choice=False, named_tool_choice=False)
    assert named["tool_choice"] == "auto"
    assert [tool["function"]["name"] for tool in named["tools"]] == ["now"]


def test_native() -> None:
    """Where there is no JSON schema for answers, asking for one is refused with words that say what to do."""
    parameters = ModelRequestParameters(result_mode="native", result_schema=_SCHEMA)
    assert _body(_HI, None, parameters)["response_format"]["type"] == "json_schema"
    with pytest.raises(UserError, match=r"^p m has no JSON schema for its answers; use result_mode='tool'"):
        _body(_HI, None, parameters, native=False)
    assert "response_format" not in _body(_HI, None, ModelRequestParameters(), native=False)


def test_settings(caplog: pytest.LogCaptureFixture) -> None:
    """The provider's own settings go by the keys of its table, OpenAI's do not go; common ones may have new keys."""
    settings = {"seed": 1, "temperature": 0, "groq_user": "u", "openai_user": "v", "openai_store": True}
    with caplog.at_level(logging.DEBUG, "syncagent.models"):
        body = _body(_HI, settings, settings={"seed": "random_seed", "groq_user": "user"})
    assert {key: body[key] for key in body.keys() - {"model", "messages", "n"}} == {
        "random_seed": 1,
        "temperature": 0,
        "user": "u",
    }
    assert [record.getMessage() for record in caplog.records] == [
        "p m: settings that cannot be sent: openai_user, openai_store"
    ]


def test_parallel_tool_calls_may_be_unsendable() -> None:
    """The setting beside the tools is left out as others are."""
    parameters = ModelRequestParameters([_NOW])
    settings = {"parallel_tool_calls": False}
    assert _body(_HI, settings, parameters)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in _body(_HI, settings, parameters, unsendable={"parallel_tool_calls"})
