"""
The mapping of Google's ``generateContent``: messages to a body, answers to messages.

The rules are those of https://ai.google.dev/api/generate-content (version v1beta) and, behind Vertex AI,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference (version v1beta1), which are the
same but for addresses, log-in and a few fields.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import quote

from ..exceptions import UserError
from ..jsonable import dump_bytes
from ..providers.base import Provider
from ..settings import ModelSettings
from ._building import joined_quirks, speaking
from ._frames import parse_frame
from ._gemini_answer import Reader, decode, decode_count, decode_error
from ._gemini_contents import contents_of
from ._gemini_schema import gemini_schema
from ._requests import not_written, tell_dropped
from ._words import short
from .profiles import infer_profile
from .wire import ModelCall, ProviderWire, ResponseInfo, WireRequest
from .wire_model import WireModel

if TYPE_CHECKING:
    from ..messages import ModelResponseStreamEvent
    from ..tools import ToolDefinition
    from ..transport.sse import Frame
    from .profiles import ModelProfile

__all__ = [
    "QUIRKS",
    "GeminiModel",
    "GeminiModelSettings",
    "GeminiWire",
    "decode",
    "decode_count",
    "decode_error",
    "decode_stream",
    "encode",
    "encode_count",
]

QUIRKS: dict[str, str] = {
    "count_whole": "True where countTokens takes a whole request under generateContentRequest",
    "missing_signature": "what stands for the signature of a first function call that has none",
    "publishers": "True where models are named by their publisher",
    "server_tool_calls": "True where calls of the provider's own tools are shown only where that is asked for",
}
"""What an address or a model may do differently, by name; the value is the row's or the profile's."""

_log = logging.getLogger("syncagent.models")


class GeminiModelSettings(ModelSettings, total=False):
    """Settings that only Gemini has; their values are in the API's own words, in camel case or with underscores."""

    gemini_safety_settings: list[dict[str, Any]]
    """What is blocked: dicts with ``category`` and ``threshold``."""
    gemini_thinking_config: dict[str, Any]
    """How much it thinks: ``thinkingLevel`` or ``thinkingBudget``, and ``includeThoughts``."""
    gemini_response_modalities: list[str]
    """What an answer is made of: ``TEXT``, ``IMAGE``, ``AUDIO``."""
    gemini_media_resolution: str
    """How closely media are looked at, such as ``MEDIA_RESOLUTION_LOW``."""
    gemini_speech_config: dict[str, Any]
    """The voice of an answer that is spoken."""
    gemini_image_config: dict[str, Any]
    """Shape and size of an answer that is an image."""
    gemini_cached_content: str
    """The name of a content that was put into the cache before, such as ``cachedContents/abc``."""
    gemini_labels: dict[str, str]
    """Labels for the bill."""
    gemini_service_tier: str
    """``standard``, ``flex`` or ``priority``."""


class GeminiModel(WireModel):
    """
    A model behind Google's ``generateContent``.

    >>> GeminiModel("gemini-2.5-flash").base_url
    'https://generativelanguage.googleapis.com/v1beta'

    Args:
        model_name: Google's name of the model; behind Vertex AI also ``publisher/model`` and ``endpoints/number``.
        provider: where it is and how to log in, or ``google-gla`` or ``google-vertex``.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.

    Raises:
        UserError: the provider is unknown or speaks another API.
    """

    def __init__(
        self,
        model_name: str,
        *,
        provider: Union[str, Provider] = "google-gla",
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
    ) -> None:
        provider = speaking(provider, ("gemini",), "Google's generateContent")
        if profile is None:
            profile = infer_profile(provider.name, model_name)
        quirks = joined_quirks(QUIRKS, provider.row.quirks, profile.quirks)
        wire = GeminiWire(provider.name)
        super().__init__(model_name, wire, provider, profile=profile, settings=settings, quirks=quirks)


def encode(call: ModelCall) -> WireRequest:
    """
    The request for *call*.

    Raises:
        UserError: content that the API has no place for, or that has no JSON form.
    """
    if call.stream:
        return WireRequest(_path(call, "streamGenerateContent"), _written(_body(call), call), query={"alt": "sse"})
    return WireRequest(_path(call, "generateContent"), _written(_body(call), call))


def decode_stream(
    frames: Iterator[Frame], provider_name: Optional[str] = None
) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
    """
    The events out of a stream's frames, until the frames end: the API has no end mark.

    A stream is complete once a finish reason came, or the reason why the prompt was blocked.

    Raises:
        ValueError: a frame has another shape, or holds an error; the text names the field.
    """
    reader = Reader(provider_name)
    for frame in frames:
        if frame.data.strip():
            yield from reader.read(parse_frame(frame.data))
        else:
            yield ResponseInfo()  # a pause
    yield from reader.end()


def encode_count(call: ModelCall) -> WireRequest:
    """
    The request that counts what *call* would send.

    Raises:
        UserError: as :func:`encode`.
    """
    body = _body(call)
    if call.quirks.get("count_whole"):
        # The Gemini API's own form counts contents alone; tools and system prompt count in a whole request.
        body = {"generateContentRequest": {"model": _name(call), **body}}
    else:
        body = {key: value for key, value in body.items() if key in _COUNTED}
    return WireRequest(_path(call, "countTokens"), _written(body, call))


_COUNTED = frozenset({"contents", "systemInstruction", "tools", "generationConfig"})


def _name(call: ModelCall) -> str:
    """The model as the path says it."""
    name = call.model_name
    steps = name.split("/")
    if any(step in ("", ".", "..") for step in steps):
        raise UserError(f"A model's name has no empty steps; got {short(name)!r}.")
    if call.quirks.get("publishers"):
        if steps[0] not in ("publishers", "endpoints"):
            publisher, _, model = name.rpartition("/")
            name = f"publishers/{publisher or 'google'}/models/{model}"
    elif steps[0] not in ("models", "tunedModels"):
        name = f"models/{name}"
    return name


def _path(call: ModelCall, method: str) -> str:
    return f"/{quote(_name(call))}:{method}"


def _written(body: Mapping[str, Any], call: ModelCall) -> bytes:
    try:
        return dump_bytes(body)
    except TypeError as error:
        raise not_written(call, error) from None


def _body(call: ModelCall) -> dict[str, Any]:
    contents, system = contents_of(call)
    # A request without contents is refused; one whose text is empty is not.
    body: dict[str, Any] = {"contents": contents or [{"role": "user", "parts": [{"text": ""}]}]}
    if system:
        body["systemInstruction"] = {"parts": system}
    parameters = call.parameters
    if parameters.function_tools or parameters.result_tools or parameters.native_tools:
        _tools(call, body)
    config: dict[str, Any] = {}
    if parameters.result_mode == "native" and parameters.result_schema is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = gemini_schema(parameters.result_schema)
    if call.settings:
        _settings(call, body, config)
    if config:
        body["generationConfig"] = config
    body.update(call.settings.get("extra_body") or {})
    return body


# --- tools and settings ----------------------------------------------------------------------------


def _tools(call: ModelCall, body: dict[str, Any]) -> None:
    parameters = call.parameters
    functions = [*parameters.function_tools, *parameters.result_tools]
    tools: list[dict[str, Any]] = list(parameters.native_tools)
    config: dict[str, Any] = {}
    if functions:
        tools.append({"functionDeclarations": [_tool(tool) for tool in functions]})
        calling = _calling(call, [tool.name for tool in functions])
        if calling is not None:
            config["functionCallingConfig"] = calling
    if parameters.native_tools and call.quirks.get("server_tool_calls"):
        config["includeServerSideToolInvocations"] = True
    body["tools"] = tools
    if config:
        body["toolConfig"] = config


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": gemini_schema(tool.parameters_json_schema),
    }


def _calling(call: ModelCall, names: list[str]) -> Optional[dict[str, Any]]:
    """None for the API's own default, which leaves it to the model."""
    choice = call.settings.get("tool_choice") or ("auto" if call.parameters.allow_text_result else "required")
    if choice == "auto":
        return None
    if choice == "none":
        return {"mode": "NONE"}
    if choice == "required":
        return {"mode": "ANY", "allowedFunctionNames": names}
    if choice not in names:
        raise UserError(
            f"tool_choice is 'auto', 'required', 'none' or the name of a tool ({', '.join(names)}); got {choice!r}."
        )
    return {"mode": "ANY", "allowedFunctionNames": [choice]}


def _settings(call: ModelCall, body: dict[str, Any], config: dict[str, Any]) -> None:
    dropped = []
    for key, value in call.settings.items():
        if key in _NOT_OURS or value is None:
            continue
        if key in _CONFIG:
            config[_CONFIG[key]] = value
        elif key in _TOP:
            body[_TOP[key]] = value
        else:
            dropped.append(key)
    tell_dropped(call, dropped)


# Said elsewhere in the body, or meant for whoever sends it.
_NOT_OURS = frozenset({"extra_body", "extra_headers", "on_incomplete", "retry_policy", "timeout", "tool_choice"})
_CONFIG = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "stop_sequences": "stopSequences",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
    "gemini_image_config": "imageConfig",
    "gemini_media_resolution": "mediaResolution",
    "gemini_response_modalities": "responseModalities",
    "gemini_speech_config": "speechConfig",
    "gemini_thinking_config": "thinkingConfig",
}
_TOP = {
    "gemini_cached_content": "cachedContent",
    "gemini_labels": "labels",
    "gemini_safety_settings": "safetySettings",
    "gemini_service_tier": "serviceTier",
}


class GeminiWire(ProviderWire):
    """Google's generateContent, as one provider speaks it."""

    __slots__ = ()

    encode = staticmethod(encode)
    read = staticmethod(decode)
    read_stream = staticmethod(decode_stream)
    decode_error = staticmethod(decode_error)
    encode_count = staticmethod(encode_count)
    decode_count = staticmethod(decode_count)
