"""
The mapping of Anthropic's Messages API (``POST /v1/messages``): messages to a body, answers to messages.

The rules are those of https://platform.claude.com/docs/en/api/messages in the version 2023-06-01.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from json.encoder import encode_basestring as quote
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

import attrs

from ..exceptions import ModelAPIError, UserError
from ..jsonable import dump_str
from ..providers.base import Provider
from ..settings import ModelSettings
from ._anthropic_answer import decode, decode_count, decode_error
from ._anthropic_messages import MOST_POINTS, Conversation, cached
from ._anthropic_pauses import continuing, is_paused, joined, shifted
from ._anthropic_stream import decode_stream
from ._building import joined_quirks, speaking
from ._requests import named_tool, not_written, tell_dropped
from ._schemas import closed_schema
from ._words import short
from .profiles import infer_profile
from .wire import ModelCall, ProviderWire, ResponseInfo, WireRequest
from .wire_model import WireModel

if TYPE_CHECKING:
    from ..messages import ModelMessage, ModelResponse, ModelResponseStreamEvent
    from ..tools import ModelRequestParameters, ToolDefinition
    from .base import StreamedResponse
    from .profiles import ModelProfile

__all__ = [
    "QUIRKS",
    "AnthropicModel",
    "AnthropicModelSettings",
    "AnthropicWire",
    "decode",
    "decode_count",
    "decode_error",
    "decode_stream",
    "encode",
    "encode_count",
]

QUIRKS: dict[str, str] = {
    "forced_tools": "False where a tool cannot be forced: what would be, is left to the model",
    "native": "False where the model has no structured outputs",
    "own_thinking": "True where thinking goes back to the very model only that thought it",
    "unsendable": "names of settings that the model refuses",
}
"""What a model may do differently, by name; the value is its profile's."""

_log = logging.getLogger("syncagent.models")
_MOST_PAUSES = 10


class AnthropicModelSettings(ModelSettings, total=False):
    """Settings that only Anthropic's Messages API has."""

    anthropic_metadata: dict[str, Any]
    """What the provider may know of the end user: ``{"user_id": "a hash"}``."""
    anthropic_thinking: dict[str, Any]
    """Whether and how much to think: ``{"type": "adaptive"}``, ``{"type": "enabled", "budget_tokens": 2048}`` ..."""
    anthropic_effort: str
    """How thoroughly to work: ``low``, ``medium``, ``high`` ..."""
    anthropic_cache: Union[bool, Literal["5m", "1h"]]
    """Cache tools, system prompts and the conversation so far: True for five minutes, or for how long."""
    anthropic_betas: list[str]
    """Names of beta features, sent in the header ``anthropic-beta``."""
    anthropic_service_tier: str
    """``auto`` or ``standard_only``."""
    anthropic_container: Union[str, dict[str, Any]]
    """The container that the provider's own tools work in."""


class AnthropicModel(WireModel):
    """
    A model behind Anthropic's Messages API.

    A turn that the provider pauses for its own tools is continued, at most ten times; what the requests took is
    counted together.

    >>> from syncagent.providers.anthropic import AnthropicProvider
    >>> AnthropicModel("claude-sonnet-4-5", provider=AnthropicProvider(api_key="made-up")).base_url
    'https://api.anthropic.com'

    Args:
        model_name: the provider's name of the model.
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
        provider: Union[str, Provider] = "anthropic",
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
    ) -> None:
        provider = speaking(provider, ("anthropic",), "Anthropic's Messages API")
        if profile is None:
            profile = infer_profile(provider.name, model_name)
        quirks = joined_quirks(QUIRKS, provider.row.quirks, profile.quirks)
        wire = AnthropicWire(provider.name)
        super().__init__(model_name, wire, provider, profile=profile, settings=settings, quirks=quirks)

    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """
        Answer the messages.

        Raises:
            ModelAPIError: the provider did not answer, or what came cannot be read; ``.partial`` is what a paused
                turn had said before.
            DeadlineExceeded, RunCancelled: the run has to stop.
            UserError: a key is missing, or the messages hold what the API has no place for.
        """
        response = super().request(messages, model_settings, model_request_parameters)
        for pause in range(1, _MOST_PAUSES + 1):
            if not is_paused(response):
                return response
            parameters = continuing(model_request_parameters, pause)
            try:
                more = super().request([*messages, response], model_settings, parameters)
            except ModelAPIError as error:
                error.partial = response
                raise
            response = joined(response, more)
        return attrs.evolve(response, finish_reason="length") if is_paused(response) else response

    @contextmanager
    def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> Iterator[StreamedResponse]:
        """Answer the messages piece by piece; see :meth:`request`, and :class:`WireModel` for what it raises."""
        with super().request_stream(messages, model_settings, model_request_parameters) as response:
            more = self._continued(response, messages, model_settings, model_request_parameters)
            response.extend(more)
            try:
                yield response
            finally:
                more.close()  # who leaves early closes the connection of the continuation, too

    def _continued(
        self,
        response: StreamedResponse,
        messages: list[ModelMessage],
        settings: Optional[ModelSettings],
        parameters: ModelRequestParameters,
    ) -> Generator[Union[ModelResponseStreamEvent, ResponseInfo], None, None]:
        """What follows a paused turn."""
        for pause in range(1, _MOST_PAUSES + 1):
            said = response.get()
            if not is_paused(said):
                return
            if response.pace is not None:
                # Nobody can wait a while only for what follows: who is waiting is let go, and not asked again.
                response.pace.paused, response.pace = True, None
                yield ResponseInfo()
            offset = len(said.parts)
            try:
                with super().request_stream([*messages, said], settings, continuing(parameters, pause)) as more:
                    yield from shifted(more, offset, said.usage)
            except ModelAPIError as error:
                error.partial = response.get()
                raise
        if is_paused(response.get()):
            yield ResponseInfo(finish_reason="length")


def encode(call: ModelCall) -> WireRequest:
    """
    The request for *call*.

    Raises:
        UserError: content that the API has no place for, or that has no JSON form.
    """
    return _request("/v1/messages", _body(call), call)


def encode_count(call: ModelCall) -> WireRequest:
    """
    The request for the tokens of *call*; settings that only shape an answer are left out.

    Raises:
        UserError: as :func:`encode`.
    """
    body = {key: value for key, value in _body(call).items() if key not in _UNCOUNTED}
    return _request("/v1/messages/count_tokens", body, call)


def _request(path: str, body: dict[str, str], call: ModelCall) -> WireRequest:
    text = "{" + ",".join([f"{quote(key)}:{value}" for key, value in body.items()]) + "}"
    headers = {"anthropic-version": "2023-06-01"}
    betas = call.settings.get("anthropic_betas")
    if betas:
        headers["anthropic-beta"] = betas if isinstance(betas, str) else ",".join(betas)
    # The error handler writes lone surrogates as \ud800, which is how JSON escapes them.
    return WireRequest(path, text.encode("utf-8", "backslashreplace"), headers=headers)


def _body(call: ModelCall) -> dict[str, str]:
    try:
        return _fields(call)
    except TypeError as error:
        raise not_written(call, error) from None


def _fields(call: ModelCall) -> dict[str, str]:
    parameters, settings = call.parameters, call.settings
    talk = Conversation(call)
    tools = [_tool(tool) for tool in (*parameters.function_tools, *parameters.result_tools)]
    tools += [dump_str(tool) for tool in parameters.native_tools]
    _cache(talk, tools, call)
    body = {
        "model": quote(call.model_name),
        "max_tokens": dump_str(_max_tokens(call)),
        "messages": "["
        + ",".join([f'{{"role":"{role}","content":[{",".join(blocks)}]}}' for role, blocks in talk.turns])
        + "]",
    }
    if talk.system:
        body["system"] = "[" + ",".join(talk.system) + "]"
    if tools:
        body["tools"] = "[" + ",".join(tools) + "]"
        if parameters.function_tools or parameters.result_tools:
            body["tool_choice"] = dump_str(_tool_choice(call))
    output = _output_config(call)
    if output:
        body["output_config"] = dump_str(output)
    if talk.container:
        body["container"] = quote(talk.container)
    if call.stream:
        body["stream"] = "true"
    if settings:
        _settings(call, body)
    return body


def _cache(talk: Conversation, tools: list[str], call: ModelCall) -> None:
    """Set cache points; system prompts come after the tools, so that a point at their end covers both."""
    cache = call.settings.get("anthropic_cache") or None
    if cache not in (None, True, "5m", "1h"):
        raise UserError(f"anthropic_cache is True, False, '5m' or '1h'; got {cache!r}.")
    ttl = "5m" if cache is True else cache
    room = MOST_POINTS - sum("cache_control" in tool for tool in call.parameters.native_tools)
    if ttl and tools and not talk.system and room and '"cache_control":' not in tools[-1]:
        tools[-1] = cached(tools[-1], ttl)
        room -= 1
    talk.cache(ttl, room)


def _max_tokens(call: ModelCall) -> int:
    """The API wants a limit, and one above what may be thought."""
    limit: int = call.settings.get("max_tokens") or _MAX_TOKENS
    thinking = call.settings.get("anthropic_thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if isinstance(budget, int) and budget >= limit == call.profile.settings.get("max_tokens", _MAX_TOKENS):
        return budget + limit  # nobody chose the limit
    return limit


_MAX_TOKENS = 4096  # every model can write as much; profiles know better


def _tool(tool: ToolDefinition) -> str:
    described = f',"description":{quote(tool.description)}' if tool.description else ""
    return f'{{"name":{quote(tool.name)}{described},"input_schema":{dump_str(tool.parameters_json_schema)}}}'


def _tool_choice(call: ModelCall) -> dict[str, Any]:
    """https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools#controlling-claudes-output"""
    settings, parameters = call.settings, call.parameters
    asked = settings.get("tool_choice")
    choice = asked or ("auto" if parameters.allow_text_result else "required")
    if choice in _CHOICES:
        said: dict[str, Any] = {"type": _CHOICES[choice]}
    else:
        tool = named_tool(choice, [*parameters.function_tools, *parameters.result_tools])
        said = {"type": "tool", "name": tool.name}
    if said["type"] in ("any", "tool"):
        thinks = isinstance(thinking := settings.get("anthropic_thinking"), Mapping) and thinking.get("type") != _OFF
        if not call.quirks.get("forced_tools", True) or (thinks and asked is None):
            _log.debug("%s %s: no tool can be forced", call.provider_name, short(call.model_name))
            said = {"type": "auto"}
    if said["type"] != "none" and "parallel_tool_calls" in settings:
        said["disable_parallel_tool_use"] = not settings["parallel_tool_calls"]
    return said


_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_OFF = "disabled"


def _output_config(call: ModelCall) -> dict[str, Any]:
    parameters = call.parameters
    output: dict[str, Any] = {}
    if call.settings.get("anthropic_effort"):
        output["effort"] = call.settings["anthropic_effort"]
    if parameters.result_mode == "native" and parameters.result_schema is not None:
        if not call.quirks.get("native", True):
            raise UserError(
                f"{short(call.model_name)} has no structured outputs; use result_mode='tool' or 'prompted'."
            )
        schema = closed_schema(parameters.result_schema)
        if schema is None:
            raise UserError(
                "Anthropic's structured outputs have no objects with keys of any name, such as a dict, "
                "and the result type holds one; use result_mode='tool' or 'prompted'."
            )
        output["format"] = {"type": "json_schema", "schema": schema}
    return output


def _settings(call: ModelCall, body: dict[str, str]) -> None:
    unsendable = call.quirks.get("unsendable", ())
    dropped = []
    for key, value in call.settings.items():
        if key in _NOT_OURS or value is None:
            continue
        name = _SETTINGS.get(key)
        if name is None or key in unsendable:
            dropped.append(key)
        else:
            body[name] = dump_str(value)
    tell_dropped(call, dropped)
    for key, value in (call.settings.get("extra_body") or {}).items():
        body[key] = dump_str(value)


# Said elsewhere in the request, or meant for whoever sends it.
_NOT_OURS = frozenset(
    {
        *("extra_body", "extra_headers", "on_incomplete", "parallel_tool_calls", "retry_policy", "timeout"),
        *("tool_choice", "max_tokens", "anthropic_betas", "anthropic_cache", "anthropic_effort"),
    }
)
_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop_sequences",
    "anthropic_container": "container",
    "anthropic_metadata": "metadata",
    "anthropic_service_tier": "service_tier",
    "anthropic_thinking": "thinking",
}
# What the count of tokens does not take (https://platform.claude.com/docs/en/api/messages/count_tokens).
_UNCOUNTED = frozenset(
    {
        *("max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences"),
        *("metadata", "service_tier", "container"),
    }
)


class AnthropicWire(ProviderWire):
    """Anthropic's Messages API, as one provider speaks it."""

    __slots__ = ()

    encode = staticmethod(encode)
    read = staticmethod(decode)
    read_stream = staticmethod(decode_stream)
    decode_error = staticmethod(decode_error)
    encode_count = staticmethod(encode_count)
    decode_count = staticmethod(decode_count)
