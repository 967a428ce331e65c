"""
The mapping of OpenAI-compatible chat (``POST /chat/completions``): messages to a body, answers to messages.

Dozens of servers speak it, each a little differently. What differs is a quirk: a named entry of :data:`QUIRKS`,
whose value stands in the provider's row or in the model's profile. The rules of the API itself are OpenAI's:
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from json.encoder import encode_basestring as quote
from typing import TYPE_CHECKING, Any, Optional, Union

from ..exceptions import UserError
from ..jsonable import dump_str
from ..messages import (
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
)
from ._chat_answer import NO_QUIRKS, decode, decode_error
from ._chat_content import content_pieces
from ._requests import named_tool, not_written, return_text, tell_dropped
from ._schemas import limit_strings, strict_schema
from ._tables import by_base
from ._words import short
from .wire import ErrorInfo, ModelCall, ResponseInfo, WireRequest

if TYPE_CHECKING:
    from ..messages import ModelResponseStreamEvent
    from ..tools import ToolDefinition
    from ..transport.sse import Frame

__all__ = ["QUIRKS", "ChatWire", "decode", "decode_error", "decode_stream", "encode"]

QUIRKS: dict[str, str] = {
    "after_tools": "what the assistant says between the results of tools and a user's words, where it has to be there",
    "document_url": "True where documents go as document_url, by their address or with their data in it",
    "error_kinds": "texts of error messages, each with the kind of error that it means",
    "images_only": "True where the only content beside text is images",
    "json_args": "True where the arguments of past calls have to be JSON: broken ones go back as an empty object",
    "keep": "names of fields of an answer's message that are kept as an OpaquePart and sent back",
    "max_length": "the maxLength of strings in schemas that have none",
    "max_tokens": "the body's key for max_tokens",
    "named_tool_choice": "False where a named tool_choice is not obeyed: that tool alone is sent, and required",
    "native": "False where an answer cannot be held to a JSON schema",
    "note": "names of fields of an answer's message that are kept as an OpaquePart, and not sent back",
    "path": "the path of the API at the provider's address, where it is not /chat/completions",
    "plain_audio": "True where input_audio is the data itself, or an address",
    "required_body": "further keys of the body where tool_choice is 'required'",
    "required_tool_choice": "False where tool_choice cannot be 'required': 'auto' is sent",
    "settings": "the provider's own settings, with their keys in the body, instead of OpenAI's; others by new keys",
    "short_ids": "True where ids of tool calls are nine letters or digits: others are replaced, always by the same",
    "stream_usage": "False where stream_options is refused",
    "system_role": "the role of system prompts: system, developer or user",
    "thinking": "the message field in which thinking goes back beside tool calls",
    "thinking_piece": "True where thinking goes back as the first piece of the content",
    "top_k": "True where the API takes top_k",
    "unsendable": "names of settings that the model refuses",
    "video_url": "True where videos go as video_url, by their address or with their data in it",
}
"""What a server may do differently, by name; the value is the row's."""


class ChatWire:
    """
    The wire of one provider.

    Args:
        provider_name: whose thinking and opaque parts the answers hold.
        quirks: its deviations, by the names of :data:`QUIRKS`.
    """

    __slots__ = ("provider_name", "quirks")

    inline: frozenset[str] = frozenset()

    def __init__(self, provider_name: Optional[str] = None, quirks: Mapping[str, Any] = NO_QUIRKS) -> None:
        self.provider_name = provider_name
        self.quirks = quirks

    def __repr__(self) -> str:
        return f"<ChatWire of {self.provider_name}>"

    def encode(self, call: ModelCall) -> WireRequest:
        """:func:`encode`."""
        return encode(call)

    def decode(self, body: Mapping[str, Any]) -> ModelResponse:
        """:func:`decode` with this provider's name and quirks."""
        return decode(body, self.provider_name, self.quirks)

    def decode_stream(self, frames: Iterator[Frame]) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
        """:func:`decode_stream` with this provider's name and quirks."""
        return decode_stream(frames, self.provider_name, self.quirks)

    def decode_error(self, status: int, body: object) -> ErrorInfo:
        """:func:`decode_error` with this provider's quirks."""
        return decode_error(status, body, self.quirks)


def encode(call: ModelCall) -> WireRequest:
    """
    The request for *call*.

    Raises:
        UserError: content that the API has no place for, or that has no JSON form.
    """
    try:
        text = _body(call)
    except TypeError as error:
        raise not_written(call, error) from None
    # The error handler writes lone surrogates as \ud800, which is how JSON escapes them.
    return WireRequest(call.quirks.get("path", "/chat/completions"), text.encode("utf-8", "backslashreplace"))


def decode_stream(
    frames: Iterator[Frame], provider_name: Optional[str] = None, quirks: Mapping[str, Any] = NO_QUIRKS
) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
    """The events out of a stream's frames; see :func:`syncagent.models._chat_stream.decode_stream`."""
    from . import _chat_stream  # a program that streams nothing does not pay for it

    return _chat_stream.decode_stream(frames, provider_name, quirks)


def _body(call: ModelCall) -> str:
    body = {
        "model": quote(call.model_name),
        "messages": "[" + ",".join(_messages(call)) + "]",
        "n": "1",  # the API's default, said because some servers have another
    }
    if call.stream:
        body["stream"] = "true"
        if call.quirks.get("stream_usage", True):
            body["stream_options"] = '{"include_usage":true}'
    parameters = call.parameters
    if parameters.function_tools or parameters.result_tools or parameters.native_tools:
        _tools(call, body)
    if parameters.result_mode == "native" and parameters.result_schema is not None:
        if not call.quirks.get("native", True):
            raise UserError(
                f"{call.provider_name} {short(call.model_name)} has no JSON schema for its answers; "
                "use result_mode='tool' or 'prompted'."
            )
        body["response_format"] = _response_format(parameters.result_schema, call)
    if call.settings:
        _settings(call, body)
    return "{" + ",".join([f'"{key}":{value}' for key, value in body.items()]) + "}"


# --- messages --------------------------------------------------------------------------------------


def _messages(call: ModelCall) -> list[str]:
    frames: list[str] = []
    add = frames.append
    for message in call.messages:
        if isinstance(message, ModelRequest):
            parts = message.parts
            if len(parts) == 1:
                part = parts[0]
                add((_REQUEST_PARTS.get(part.__class__) or by_base(_REQUEST_PARTS, part))(part, call))
            else:
                frames += _several(message, call)
        else:
            frame = _response(message, call)
            if frame is not None:
                add(frame)
    if "after_tools" in call.quirks:
        said = '{"role":"assistant","content":' + quote(call.quirks["after_tools"]) + "}"
        for index in range(len(frames) - 1, 0, -1):
            if frames[index].startswith('{"role":"user"') and not _after_tools(frames[index - 1]):
                frames.insert(index, said)
    return frames


def _several(message: ModelRequest, call: ModelCall) -> list[str]:
    """The API wants the answers to tool calls right after them, before anything else that was said."""
    frames = [
        (_REQUEST_PARTS.get(part.__class__) or by_base(_REQUEST_PARTS, part))(part, call) for part in message.parts
    ]
    return sorted(frames, key=_after_tools)


def _after_tools(frame: str) -> bool:
    return not frame.startswith('{"role":"tool"')


def _system_prompt(part: SystemPromptPart, call: ModelCall) -> str:
    return f'{{"role":"{call.quirks.get("system_role", "system")}","content":{quote(part.content)}}}'


def _user_prompt(part: UserPromptPart, call: ModelCall) -> str:
    content = part.content
    if isinstance(content, str):
        return '{"role":"user","content":' + quote(content) + "}"
    return '{"role":"user","content":' + content_pieces(content, call) + "}"


def _tool_return(part: ToolReturnPart, call: ModelCall) -> str:
    return '{"role":"tool","tool_call_id":' + _call_id(part, call) + ',"content":' + quote(return_text(part)) + "}"


def _retry_prompt(part: RetryPromptPart, call: ModelCall) -> str:
    content = quote(part.model_response())
    if part.tool_name is None:
        return '{"role":"user","content":' + content + "}"
    return '{"role":"tool","tool_call_id":' + _call_id(part, call) + ',"content":' + content + "}"


def _call_id(part: Union[ToolCallPart, ToolReturnPart, RetryPromptPart], call: ModelCall) -> str:
    if not part.tool_call_id:
        raise UserError(
            f"OpenAI requires `tool_call_id` to be set: the {type(part).__name__} of {part.tool_name!r} has none. "
            "Give each call and its answer in message_history the same id."
        )
    identifier = part.tool_call_id
    if call.quirks.get("short_ids") and not (len(identifier) == 9 and identifier.isascii() and identifier.isalnum()):
        from hashlib import sha256

        identifier = sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:9]
    return quote(identifier)


_REQUEST_PARTS: dict[type, Callable[[Any, ModelCall], str]] = {
    SystemPromptPart: _system_prompt,
    UserPromptPart: _user_prompt,
    ToolReturnPart: _tool_return,
    RetryPromptPart: _retry_prompt,
}


def _response(message: ModelResponse, call: ModelCall) -> Optional[str]:
    """The assistant's message; None where nothing is left to send."""
    parts = message.parts
    if len(parts) == 1 and parts[0].__class__ is TextPart:
        return '{"role":"assistant","content":' + quote(parts[0].content) + "}"  # type: ignore[union-attr] # it is text
    gathered = _Assistant()
    for part in parts:
        (_RESPONSE_PARTS.get(part.__class__) or by_base(_RESPONSE_PARTS, part))(part, gathered, call)
    return gathered.frame(call)


class _Assistant:
    """What the parts of one response come to."""

    __slots__ = ("calls", "fields", "texts", "thinking")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.calls: list[str] = []
        self.thinking: list[str] = []
        self.fields: dict[str, str] = {}

    def frame(self, call: ModelCall) -> Optional[str]:
        if not (self.texts or self.calls):
            return None
        content = quote("\n\n".join(self.texts)) if self.texts else "null"
        if self.thinking and call.quirks.get("thinking_piece"):
            content = _with_thinking("".join(self.thinking), content if self.texts else None)
        frame = '{"role":"assistant","content":' + content
        if self.calls:
            frame += ',"tool_calls":[' + ",".join(self.calls) + "]"
            if self.thinking and "thinking" in call.quirks:
                self.fields[call.quirks["thinking"]] = quote("".join(self.thinking))
        for key, value in self.fields.items():
            frame += f",{quote(key)}:{value}"
        return frame + "}"


def _with_thinking(thinking: str, text: Optional[str]) -> str:
    content = '[{"type":"thinking","thinking":[{"type":"text","text":' + quote(thinking) + "}]}"
    return content + ("]" if text is None else ',{"type":"text","text":' + text + "}]")


def _text(part: TextPart, gathered: _Assistant, call: ModelCall) -> None:
    if part.content:
        gathered.texts.append(part.content)


def _thinking(part: ThinkingPart, gathered: _Assistant, call: ModelCall) -> None:
    wanted = "thinking" in call.quirks or call.quirks.get("thinking_piece")
    if wanted and part.content and part.provider_name == call.provider_name:
        gathered.thinking.append(part.content)


def _tool_call(part: ToolCallPart, gathered: _Assistant, call: ModelCall) -> None:
    args = part.args_as_json_str()
    if call.quirks.get("json_args") and isinstance(part.args, str):
        try:
            part.args_as_dict()
        except (ValueError, RecursionError):
            args = ""  # a small model would copy any words put in its mouth
    gathered.calls.append(
        f'{{"id":{_call_id(part, call)},"type":"function","function":{{"name":{quote(part.tool_name)},'
        f'"arguments":{quote(args if args.strip() else "{}")}}}}}'
    )


def _opaque(part: OpaquePart, gathered: _Assistant, call: ModelCall) -> None:
    if part.provider_name is not None and part.provider_name == call.provider_name:
        for key in call.quirks.get("keep", ()):
            if key in part.data:
                gathered.fields[key] = dump_str(part.data[key])


_RESPONSE_PARTS: dict[type, Callable[[Any, _Assistant, ModelCall], None]] = {
    TextPart: _text,
    ThinkingPart: _thinking,
    ToolCallPart: _tool_call,
    OpaquePart: _opaque,
}


# --- tools and settings ----------------------------------------------------------------------------


def _tools(call: ModelCall, body: dict[str, str]) -> None:
    parameters, quirks, settings = call.parameters, call.quirks, call.settings
    tools = [*parameters.function_tools, *parameters.result_tools]
    if tools:
        choice = settings.get("tool_choice") or ("auto" if parameters.allow_text_result else "required")
        if choice not in ("auto", "required", "none"):
            named = named_tool(choice, tools)
            if quirks.get("named_tool_choice", True):
                body["tool_choice"] = f'{{"type":"function","function":{{"name":{quote(choice)}}}}}'
            else:
                tools, choice = [named], "required"
        if choice == "required" and not quirks.get("required_tool_choice", True):
            choice = "auto"
        body.setdefault("tool_choice", quote(choice))
        if choice == "required":
            for key, value in quirks.get("required_body", {}).items():
                body[key] = dump_str(value)
        if "parallel_tool_calls" in settings and "parallel_tool_calls" not in quirks.get("unsendable", ()):
            body["parallel_tool_calls"] = dump_str(settings["parallel_tool_calls"])
    length = quirks.get("max_length")
    body["tools"] = dump_str([*[_tool(tool, length) for tool in tools], *parameters.native_tools])


def _tool(tool: ToolDefinition, length: Optional[int]) -> dict[str, Any]:
    schema = tool.parameters_json_schema if length is None else limit_strings(tool.parameters_json_schema, length)
    function = {"name": tool.name, "description": tool.description, "parameters": schema}
    return {"type": "function", "function": function}


def _response_format(schema: Mapping[str, Any], call: ModelCall) -> str:
    strict = strict_schema(schema)
    if strict is not None:
        schema = strict
    if "max_length" in call.quirks:
        schema = limit_strings(schema, call.quirks["max_length"])
    tail = ',"strict":true}}' if strict is not None else "}}"
    return '{"type":"json_schema","json_schema":{"name":"final_result","schema":' + dump_str(schema) + tail


def _settings(call: ModelCall, body: dict[str, str]) -> None:
    quirks = call.quirks
    unsendable, own = quirks.get("unsendable", ()), quirks.get("settings", _OPENAI_SETTINGS)
    dropped = []
    for key, value in call.settings.items():
        if key in _NOT_OURS or value is None:
            continue
        name = own.get(key) or _SETTINGS.get(key)
        if key == "max_tokens":
            name = quirks.get("max_tokens", name)
        elif key == "top_k" and quirks.get("top_k"):
            name = "top_k"
        if name is None or key in unsendable:
            dropped.append(key)
        else:
            body[name] = dump_str(value)
    tell_dropped(call, dropped)
    for key, value in (call.settings.get("extra_body") or {}).items():
        body[quote(key)[1:-1]] = dump_str(value)


# Said elsewhere in the body, or meant for whoever sends it.
_NOT_OURS = frozenset(
    {"extra_body", "extra_headers", "on_incomplete", "parallel_tool_calls", "retry_policy", "timeout", "tool_choice"}
)
_SETTINGS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "stop_sequences": "stop",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
}
_OPENAI_SETTINGS = {
    "openai_metadata": "metadata",
    "openai_prediction": "prediction",
    "openai_prompt_cache_key": "prompt_cache_key",
    "openai_reasoning_effort": "reasoning_effort",
    "openai_safety_identifier": "safety_identifier",
    "openai_service_tier": "service_tier",
    "openai_store": "store",
    "openai_user": "user",
    "openai_verbosity": "verbosity",
}
