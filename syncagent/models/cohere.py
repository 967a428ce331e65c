"""
Cohere's chat API, version 2 (https://docs.cohere.com/reference/chat).

What its models say of their plans (``tool_plan``) and of their sources (``citations``) is kept as one
``OpaquePart`` and goes back with the message.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Optional, Union

from ..exceptions import UserError
from ..jsonable import dump_str
from ..messages import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    DocumentUrl,
    ImageUrl,
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
from ..providers.base import Provider
from ..settings import ModelSettings
from ._building import speaking
from ._cohere_answer import decode, decode_error, decode_stream
from ._requests import named_tool, not_written, return_text, tell_dropped
from ._tables import by_base
from ._words import quoted_type
from .wire import ModelCall, ProviderWire, WireRequest
from .wire_model import WireModel

if TYPE_CHECKING:
    from ..tools import ToolDefinition
    from .profiles import ModelProfile

__all__ = [
    "CohereModel",
    "CohereModelSettings",
    "CohereWire",
    "decode",
    "decode_error",
    "decode_stream",
    "encode",
]


class CohereModelSettings(ModelSettings, total=False):
    """Settings that only Cohere's API has."""

    cohere_citation_options: dict[str, Any]
    """How sources are named: ``{"mode": "fast"}``, ``accurate`` or ``off``."""
    cohere_documents: list[Union[str, dict[str, Any]]]
    """Documents to answer from: texts, or ``{"id": ..., "data": {...}}``."""
    cohere_priority: int
    """0 to 999; requests with lower numbers are handled first."""
    cohere_safety_mode: str
    """``CONTEXTUAL``, ``STRICT`` or ``OFF``."""
    cohere_strict_tools: bool
    """Whether calls follow the tools' schemas to the letter."""
    cohere_thinking: dict[str, Any]
    """``{"type": "enabled", "token_budget": 1000}`` or ``{"type": "disabled"}``."""


class CohereModel(WireModel):
    """
    A model behind Cohere's API.

    Args:
        model_name: Cohere's name of the model, such as ``command-a-03-2025``.
        provider: where it is and how to log in, or the name of a known provider that speaks this API.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.

    Raises:
        UserError: the provider is unknown or speaks another API.
    """

    def __init__(
        self,
        model_name: str,
        *,
        provider: Union[str, Provider] = "cohere",
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
    ) -> None:
        provider = speaking(provider, ("cohere",), "Cohere's API")
        super().__init__(model_name, CohereWire(provider.name), provider, profile=profile, settings=settings)


def encode(call: ModelCall) -> WireRequest:
    """
    The request for *call*.

    Raises:
        UserError: content that the API has no place for, or that has no JSON form.
    """
    try:
        text = dump_str(_body(call))
    except TypeError as error:
        raise not_written(call, error) from None
    return WireRequest("/v2/chat", text.encode("utf-8", "backslashreplace"))


def _body(call: ModelCall) -> dict[str, Any]:
    body: dict[str, Any] = {"model": call.model_name, "messages": _messages(call), "stream": call.stream}
    parameters = call.parameters
    if parameters.function_tools or parameters.result_tools or parameters.native_tools:
        _tools(call, body)
    if parameters.result_mode == "native" and parameters.result_schema is not None:
        body["response_format"] = {"type": "json_object", "json_schema": parameters.result_schema}
    _settings(call, body)
    return body


# --- messages --------------------------------------------------------------------------------------


def _messages(call: ModelCall) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    for message in call.messages:
        if isinstance(message, ModelRequest):
            said = [
                (_REQUEST_PARTS.get(part.__class__) or by_base(_REQUEST_PARTS, part))(part) for part in message.parts
            ]
            # The answers to tool calls stand right after the calls.
            frames += sorted(said, key=_after_tools)
        else:
            frame = _response(message, call)
            if frame is not None:
                frames.append(frame)
    return frames


def _after_tools(frame: dict[str, Any]) -> bool:
    return bool(frame["role"] != "tool")


def _system_prompt(part: SystemPromptPart) -> dict[str, Any]:
    return {"role": "system", "content": part.content}


def _user_prompt(part: UserPromptPart) -> dict[str, Any]:
    content = part.content
    if isinstance(content, str):
        return {"role": "user", "content": content}
    pieces = [
        (_USER_CONTENT.get(item.__class__) or by_base(_USER_CONTENT, item))(item)
        for item in content
        if item.__class__ is not CachePoint
    ]
    return {"role": "user", "content": pieces}


def _tool_return(part: ToolReturnPart) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": _call_id(part), "content": return_text(part)}


def _retry_prompt(part: RetryPromptPart) -> dict[str, Any]:
    if part.tool_name is None:
        return {"role": "user", "content": part.model_response()}
    return {"role": "tool", "tool_call_id": _call_id(part), "content": part.model_response()}


def _call_id(part: Union[ToolCallPart, ToolReturnPart, RetryPromptPart]) -> str:
    if not part.tool_call_id:
        raise UserError(
            f"Cohere requires `tool_call_id` to be set: the {type(part).__name__} of {part.tool_name!r} has none. "
            "Give each call and its answer in message_history the same id."
        )
    return part.tool_call_id


_REQUEST_PARTS: dict[type, Callable[[Any], dict[str, Any]]] = {
    SystemPromptPart: _system_prompt,
    UserPromptPart: _user_prompt,
    ToolReturnPart: _tool_return,
    RetryPromptPart: _retry_prompt,
}


def _response(message: ModelResponse, call: ModelCall) -> Optional[dict[str, Any]]:
    """The assistant's message; None where nothing is left to send."""
    content: list[dict[str, Any]] = []
    frame: dict[str, Any] = {"role": "assistant", "content": content}
    for part in message.parts:
        (_RESPONSE_PARTS.get(part.__class__) or by_base(_RESPONSE_PARTS, part))(part, frame, call)
    spoken = any(piece["type"] == "text" for piece in content)
    if not content:
        del frame["content"]
    return frame if spoken or "tool_calls" in frame else None


def _text(part: TextPart, frame: dict[str, Any], call: ModelCall) -> None:
    if part.content:
        frame["content"].append({"type": "text", "text": part.content})


def _thinking(part: ThinkingPart, frame: dict[str, Any], call: ModelCall) -> None:
    if part.content and part.provider_name == call.provider_name:
        frame["content"].append({"type": "thinking", "thinking": part.content})


def _tool_call(part: ToolCallPart, frame: dict[str, Any], call: ModelCall) -> None:
    args = part.args_as_json_str()
    frame.setdefault("tool_calls", []).append(
        {
            "id": _call_id(part),
            "type": "function",
            "function": {"name": part.tool_name, "arguments": args if args.strip() else "{}"},
        }
    )


def _opaque(part: OpaquePart, frame: dict[str, Any], call: ModelCall) -> None:
    if part.provider_name is not None and part.provider_name == call.provider_name:
        frame.update({key: part.data[key] for key in ("tool_plan", "citations") if key in part.data})


_RESPONSE_PARTS: dict[type, Callable[[Any, dict[str, Any], ModelCall], None]] = {
    TextPart: _text,
    ThinkingPart: _thinking,
    ToolCallPart: _tool_call,
    OpaquePart: _opaque,
}


# --- what a user says ------------------------------------------------------------------------------


def _said(item: str) -> dict[str, Any]:
    return {"type": "text", "text": item}


def _image(item: ImageUrl) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": item.url}}


def _binary(item: BinaryContent) -> dict[str, Any]:
    if not item.media_type.startswith("image/"):
        return _refused(item)
    data = base64.b64encode(item.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{item.media_type};base64,{data}"}}


def _refused(item: Union[AudioUrl, VideoUrl, DocumentUrl, BinaryContent]) -> dict[str, Any]:
    kind = f" of the type {quoted_type(item.media_type)}" if isinstance(item, BinaryContent) else ""
    raise UserError(
        f"This API takes text and images; got {type(item).__name__}{kind}. Pass a document's text, "
        "or give it as the setting cohere_documents."
    )


_USER_CONTENT: dict[type, Callable[[Any], dict[str, Any]]] = {
    str: _said,
    ImageUrl: _image,
    BinaryContent: _binary,
    AudioUrl: _refused,
    VideoUrl: _refused,
    DocumentUrl: _refused,
}


# --- tools and settings ----------------------------------------------------------------------------


def _tools(call: ModelCall, body: dict[str, Any]) -> None:
    parameters = call.parameters
    tools = [*parameters.function_tools, *parameters.result_tools]
    if tools:
        choice = call.settings.get("tool_choice") or ("auto" if parameters.allow_text_result else "required")
        if choice not in ("auto", "required", "none"):
            tools, choice = [named_tool(choice, tools)], "required"  # the API knows no name there
        if choice != "auto":
            body["tool_choice"] = choice.upper()
    body["tools"] = [*[_tool(tool) for tool in tools], *parameters.native_tools]


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters_json_schema}
    return {"type": "function", "function": function}


def _settings(call: ModelCall, body: dict[str, Any]) -> None:
    dropped = []
    for key, value in call.settings.items():
        if key in _NOT_OURS or value is None:
            continue
        name = _SETTINGS.get(key)
        if name is None:
            dropped.append(key)
        else:
            body[name] = value
    tell_dropped(call, dropped)
    body.update(call.settings.get("extra_body") or {})


# Said elsewhere in the body, or meant for whoever sends it.
_NOT_OURS = frozenset({"extra_body", "extra_headers", "on_incomplete", "retry_policy", "timeout", "tool_choice"})
_SETTINGS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "stop_sequences": "stop_sequences",
    "logprobs": "logprobs",
    **{key: key[7:] for key in CohereModelSettings.__annotations__ if key.startswith("cohere_")},
}


class CohereWire(ProviderWire):
    """Cohere's chat API, as one provider speaks it."""

    __slots__ = ()

    encode = staticmethod(encode)
    read = staticmethod(decode)
    read_stream = staticmethod(decode_stream)
    decode_error = staticmethod(decode_error)
