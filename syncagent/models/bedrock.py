"""
The mapping of Amazon Bedrock's Converse API: messages to a body, answers to messages.

The rules are those of https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. One API is
spoken to the models of many vendors; what a model does not take stands in its profile, by the names of
:data:`QUIRKS`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from json.encoder import encode_basestring as quote
from typing import TYPE_CHECKING, Any, Literal, Optional, Union
from urllib.parse import quote as escape

from ..exceptions import UserError
from ..jsonable import dump_str
from ..providers.base import Provider
from ..settings import ModelSettings
from ._bedrock_answer import decode, decode_count, decode_error
from ._bedrock_messages import MOST_POINTS, Conversation, cache_point, plain_name
from ._bedrock_stream import decode_stream
from ._building import joined_quirks, speaking
from ._requests import named_tool, not_written, tell_dropped
from ._schemas import closed_schema
from ._words import short
from .profiles import infer_profile
from .wire import ModelCall, ProviderWire, WireRequest
from .wire_model import WireModel

if TYPE_CHECKING:
    from ..tools import ToolDefinition
    from .profiles import ModelProfile

__all__ = [
    "QUIRKS",
    "BedrockConverseModel",
    "BedrockModelSettings",
    "BedrockWire",
    "decode",
    "decode_count",
    "decode_error",
    "decode_stream",
    "encode",
    "encode_count",
]

QUIRKS: dict[str, str] = {
    "cache": "what may be cached: some of messages, system and tools; nothing where it is not said",
    "native": "False where there are no structured outputs",
    "system": "False where there are no system prompts: the user says them",
    "tool_choice": "the ways of choosing a tool that are obeyed: some of auto, any and tool; all where it is not said",
    "top_k": "the path of top_k in additionalModelRequestFields; it cannot be sent where there is none",
    "unsendable": "names of settings that the model refuses",
}
"""What a model may do differently, by name; the value is the profile's."""

_log = logging.getLogger("syncagent.models")


class BedrockModelSettings(ModelSettings, total=False):
    """Settings that only Bedrock's Converse API has; the values are in the API's own words."""

    bedrock_guardrail_config: dict[str, Any]
    """The guardrail: ``{"guardrailIdentifier": "...", "guardrailVersion": "1", "trace": "enabled"}``."""
    bedrock_performance_configuration: dict[str, Any]
    """``{"latency": "optimized"}`` or ``{"latency": "standard"}``."""
    bedrock_request_metadata: dict[str, str]
    """Labels that stand in the log of invocations."""
    bedrock_additional_model_requests_fields: dict[str, Any]
    """Fields of the model's own, such as ``{"thinking": {"type": "enabled", "budget_tokens": 2048}}``."""
    bedrock_additional_model_response_fields_paths: list[str]
    """JSON pointers to fields of the model's own answer, for ``provider_details``."""
    bedrock_prompt_variables: dict[str, dict[str, str]]
    """Values of a managed prompt's variables: ``{"city": {"text": "Rome"}}``."""
    bedrock_service_tier: str
    """``default``, ``priority``, ``flex`` or ``reserved``."""
    bedrock_effort: str
    """How thoroughly to work, for models that know it: ``low``, ``medium``, ``high`` ..."""
    bedrock_cache: Union[bool, Literal["5m", "1h"]]
    """Cache tools, system prompts and the conversation so far: True for five minutes, or for how long."""


class BedrockConverseModel(WireModel):
    """
    A model behind Amazon Bedrock's Converse API.

    >>> from syncagent.providers.bedrock import BedrockProvider
    >>> BedrockConverseModel("amazon.nova-lite-v1:0", provider=BedrockProvider(region_name="eu-central-1")).base_url
    'https://bedrock-runtime.eu-central-1.amazonaws.com'

    Args:
        model_name: the id of a model or an inference profile, such as ``us.amazon.nova-lite-v1:0``, or an ARN.
        provider: where it is and how to log in, or ``bedrock``.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.

    Raises:
        UserError: the provider is unknown or speaks another API.
    """

    def __init__(
        self,
        model_name: str,
        *,
        provider: Union[str, Provider] = "bedrock",
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
    ) -> None:
        provider = speaking(provider, ("bedrock",), "Bedrock's Converse API")
        if profile is None:
            profile = infer_profile(provider.name, plain_name(model_name) if isinstance(model_name, str) else "")
        quirks = joined_quirks(QUIRKS, provider.row.quirks, profile.quirks)
        wire = BedrockWire(provider.name)
        super().__init__(model_name, wire, provider, profile=profile, settings=settings, quirks=quirks)


def encode(call: ModelCall) -> WireRequest:
    """
    The request for *call*.

    Raises:
        UserError: content that the API has no place for, or that has no JSON form.
    """
    # Ids and ARNs are one segment of the path, with every sign escaped.
    path = f"/model/{escape(call.model_name, safe='')}/converse{'-stream' if call.stream else ''}"
    return WireRequest(path, _written(_body(call)))


def encode_count(call: ModelCall) -> WireRequest:
    """
    The request for the tokens of *call*; settings that only shape an answer are left out.

    The API counts for models, and does not know inference profiles
    (https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html), so that the regions are left out.

    Raises:
        UserError: as :func:`encode`.
    """
    body = {key: value for key, value in _body(call).items() if key in _COUNTED}
    name = call.model_name if call.model_name.startswith("arn:") else plain_name(call.model_name)
    inner = _written(body)
    return WireRequest(f"/model/{escape(name, safe='')}/count-tokens", b'{"input":{"converse":' + inner + b"}}")


_COUNTED = frozenset({"messages", "system", "toolConfig", "additionalModelRequestFields"})


def _written(body: dict[str, str]) -> bytes:
    text = "{" + ",".join([f"{quote(key)}:{value}" for key, value in body.items()]) + "}"
    # The error handler writes lone surrogates as \ud800, which is how JSON escapes them.
    return text.encode("utf-8", "backslashreplace")


def _body(call: ModelCall) -> dict[str, str]:
    try:
        return _fields(call)
    except TypeError as error:
        raise not_written(call, error) from None


def _fields(call: ModelCall) -> dict[str, str]:
    talk = Conversation(call)
    tools, choice = _tools(call, talk)
    _cache(talk, tools, call)
    body = {
        "messages": "["
        + ",".join([f'{{"role":"{role}","content":[{",".join(blocks)}]}}' for role, blocks in talk.turns])
        + "]"
    }
    if talk.system:
        body["system"] = "[" + ",".join(talk.system) + "]"
    if tools:
        chosen = "" if choice is None else ',"toolChoice":' + dump_str(choice)
        body["toolConfig"] = '{"tools":[' + ",".join(tools) + "]" + chosen + "}"
    output = _output_config(call)
    if output:
        body["outputConfig"] = dump_str(output)
    if call.settings:
        _settings(call, body)
    return body


def _cache(talk: Conversation, tools: list[str], call: ModelCall) -> None:
    """Set cache points where the model keeps them: after the tools, the system prompts and what was said."""
    cache = call.settings.get("bedrock_cache") or None
    if cache not in (None, True, "5m", "1h"):
        raise UserError(f"bedrock_cache is True, False, '5m' or '1h'; got {cache!r}.")
    ttl = "5m" if cache is True else cache
    kept = call.quirks.get("cache", ())
    room = MOST_POINTS - sum('"cachePoint":' in tool for tool in tools)
    if ttl is not None:
        if not kept:
            _log.debug("%s %s: the model keeps no prompt cache", call.provider_name, short(call.model_name))
            return
        if "tools" in kept and tools and room == MOST_POINTS:
            tools.append(cache_point(ttl))
            room -= 1
        if "system" in kept and talk.system:
            talk.system.append(cache_point(ttl))
            room -= 1
    if "messages" in kept:
        talk.cache(ttl, room)


# --- tools -----------------------------------------------------------------------------------------


def _tools(call: ModelCall, talk: Conversation) -> tuple[list[str], Optional[dict[str, Any]]]:
    """The tools, and which one is to be called; None where the API's own way holds."""
    parameters = call.parameters
    offered = [*parameters.function_tools, *parameters.result_tools]
    choice: Optional[dict[str, Any]] = None
    if offered:
        offered, choice = _choose(call, offered, bool(talk.called))
    tools = [_tool(tool) for tool in offered]
    tools += [dump_str(tool) for tool in parameters.native_tools]
    if not tools:
        # A conversation with calls in it is refused where it declares no tools.
        tools = [
            f'{{"toolSpec":{{"name":{quote(name)},"description":"Not available any more.",'
            '"inputSchema":{"json":{"type":"object"}}}}'
            for name in talk.called
        ]
    return tools, choice


def _tool(tool: ToolDefinition) -> str:
    described = f',"description":{quote(tool.description)}' if tool.description else ""
    schema = dump_str(tool.parameters_json_schema)
    return f'{{"toolSpec":{{"name":{quote(tool.name)}{described},"inputSchema":{{"json":{schema}}}}}}}'


def _choose(
    call: ModelCall, tools: list[ToolDefinition], called: bool
) -> tuple[list[ToolDefinition], Optional[dict[str, Any]]]:
    """https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html"""
    asked = call.settings.get("tool_choice")
    choice = asked or ("auto" if call.parameters.allow_text_result else "required")
    obeyed = call.quirks.get("tool_choice", ("auto", "any", "tool"))
    if choice == "none":
        if not called:
            return [], None
        _log.debug("%s %s: tools that were called cannot be hidden", call.provider_name, short(call.model_name))
        choice = "auto"
    if choice not in ("auto", "required"):
        named = named_tool(choice, tools)
        if "tool" in obeyed:
            return tools, {"tool": {"name": named.name}}
        tools, choice = [named], "required"
    if choice == "required" and "any" in obeyed and not (asked is None and _thinks(call)):
        return tools, {"any": {}}
    if choice == "required":
        _log.debug("%s %s: no tool can be forced", call.provider_name, short(call.model_name))
    return tools, {"auto": {}} if "auto" in obeyed else None


def _thinks(call: ModelCall) -> bool:
    """Whether Claude is to think first: no tool can be forced on it then."""
    fields = call.settings.get("bedrock_additional_model_requests_fields")
    thinking = fields.get("thinking") if isinstance(fields, Mapping) else None
    return isinstance(thinking, Mapping) and thinking.get("type") != "disabled"


# --- settings --------------------------------------------------------------------------------------


def _output_config(call: ModelCall) -> dict[str, Any]:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html: the schema is sent as text."""
    parameters = call.parameters
    output: dict[str, Any] = {}
    if call.settings.get("bedrock_effort"):
        output["effort"] = call.settings["bedrock_effort"]
    if parameters.result_mode == "native" and parameters.result_schema is not None:
        if not call.quirks.get("native", True):
            raise UserError(
                f"{short(call.model_name)} has no structured outputs; use result_mode='tool' or 'prompted'."
            )
        schema = closed_schema(parameters.result_schema)
        if schema is None:
            raise UserError(
                "Bedrock's structured outputs have no objects with keys of any name, such as a dict, "
                "and the result type holds one; use result_mode='tool' or 'prompted'."
            )
        structure = {"jsonSchema": {"name": "final_result", "schema": dump_str(schema)}}
        output["textFormat"] = {"type": "json_schema", "structure": structure}
    return output


def _settings(call: ModelCall, body: dict[str, str]) -> None:
    settings, top_k = call.settings, call.quirks.get("top_k")
    unsendable = call.quirks.get("unsendable", ())
    inference: dict[str, Any] = {}
    fields: dict[str, Any] = dict(settings.get("bedrock_additional_model_requests_fields") or {})
    dropped = []
    for key, value in settings.items():
        if key in _NOT_OURS or value is None:
            continue
        if key in unsendable:
            dropped.append(key)
        elif key in _INFERENCE:
            inference[_INFERENCE[key]] = list(value) if key == "stop_sequences" else value
        elif key in _SETTINGS:
            body[_SETTINGS[key]] = dump_str(value)
        elif key == "top_k" and top_k:
            _put(fields, top_k, value)
        elif key == "bedrock_service_tier":
            body["serviceTier"] = dump_str({"type": value})
        else:
            dropped.append(key)
    if inference:
        body["inferenceConfig"] = dump_str(inference)
    if fields:
        body["additionalModelRequestFields"] = dump_str(fields)
    tell_dropped(call, dropped)
    for key, value in (settings.get("extra_body") or {}).items():
        body[key] = dump_str(value)


def _put(fields: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set what stands at *path*, where the caller did not; the caller's own objects are not changed."""
    for name in path[:-1]:
        inner = fields.get(name)
        fields[name] = fields = dict(inner) if isinstance(inner, Mapping) else {}
    fields.setdefault(path[-1], value)


# Said elsewhere in the body, or meant for whoever sends it.
_NOT_OURS = frozenset(
    {
        *("extra_body", "extra_headers", "on_incomplete", "retry_policy", "timeout", "tool_choice"),
        *("bedrock_additional_model_requests_fields", "bedrock_cache", "bedrock_effort"),
    }
)
_INFERENCE = {
    "max_tokens": "maxTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "stop_sequences": "stopSequences",
}
_SETTINGS = {
    "bedrock_additional_model_response_fields_paths": "additionalModelResponseFieldPaths",
    "bedrock_guardrail_config": "guardrailConfig",
    "bedrock_performance_configuration": "performanceConfig",
    "bedrock_prompt_variables": "promptVariables",
    "bedrock_request_metadata": "requestMetadata",
}


class BedrockWire(ProviderWire):
    """Bedrock's Converse API, as one provider speaks it."""

    __slots__ = ()

    inline = frozenset({"image-url", "audio-url", "video-url", "document-url"})
    encode = staticmethod(encode)
    read = staticmethod(decode)
    read_stream = staticmethod(decode_stream)
    decode_error = staticmethod(decode_error)
    encode_count = staticmethod(encode_count)
    decode_count = staticmethod(decode_count)
