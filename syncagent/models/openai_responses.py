"""OpenAI's Responses API (``POST /responses``), and the servers that speak it."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as quote
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import quote as percent_encoded

from ..exceptions import DeadlineExceeded, RunCancelled, UserError
from ..jsonable import dump_str
from ..messages import ModelResponse
from ..providers.base import Provider
from ..settings import ModelSettings
from ._building import joined_quirks, speaking
from ._chat_answer import NO_QUIRKS, decode_error
from ._requests import not_written, tell_dropped
from ._responses_answer import RUNNING, decode, decode_count
from ._responses_input import declared_names, input_items
from ._responses_stream import decode_stream
from ._schemas import limit_strings, strict_schema
from ._words import short
from .chat import QUIRKS
from .profiles import ModelProfile, infer_profile
from .wire import ErrorInfo, ModelCall, ResponseInfo, Wire, WireRequest
from .wire_model import WireModel

if TYPE_CHECKING:
    from ..messages import ModelMessage, ModelResponseStreamEvent
    from ..tools import ModelRequestParameters, ToolDefinition
    from ..transport.sse import Frame

__all__ = [
    "OpenAIResponsesModel",
    "OpenAIResponsesModelSettings",
    "ResponsesWire",
    "decode",
    "decode_error",
    "decode_stream",
    "encode",
]

_log = logging.getLogger("syncagent.models")


class OpenAIResponsesModelSettings(ModelSettings, total=False):
    """Settings that only OpenAI's Responses API, or a server that copies it, has."""

    openai_reasoning_effort: str
    """How long reasoning models think: ``none``, ``minimal``, ``low``, ``medium``, ``high`` ..."""
    openai_reasoning_summary: str
    """Readable summaries of the thinking: ``auto``, ``concise`` or ``detailed``."""
    openai_verbosity: str
    """How long the answers are: ``low``, ``medium`` or ``high``."""
    openai_store: bool
    """Whether OpenAI keeps the response; by default it is told not to."""
    openai_previous_response_id: str
    """The id of a kept response to go on from, or ``auto`` for the history's last; only what follows it is sent."""
    openai_background: bool
    """Work in the background, for answers that take minutes: the request asks again until the answer is there."""
    openai_truncation: str
    """``auto`` drops the beginning of a history that is too long; ``disabled`` is an error then."""
    openai_include: list[str]
    """Further data to get, such as ``web_search_call.action.sources``."""
    openai_max_tool_calls: int
    """How many calls of the provider's own tools a response may make."""
    openai_service_tier: str
    """``auto``, ``default``, ``flex`` or ``priority``."""
    openai_metadata: dict[str, str]
    """Labels of a kept response."""
    openai_prompt_cache_key: str
    """Requests with the same key are more likely to find their prompt cached."""
    openai_prompt_cache_retention: str
    """How long a cached prompt is kept: ``in_memory`` or ``24h``."""
    openai_safety_identifier: str
    """A stable, hashed name of the end user."""
    openai_user: str
    """The older name of the cache key and the safety identifier."""


class OpenAIResponsesModel(WireModel):
    """
    A model behind OpenAI's Responses API.

    >>> OpenAIResponsesModel("gpt-5").base_url
    'https://api.openai.com/v1'

    Args:
        model_name: the provider's name of the model.
        provider: where it is and how to log in, or the name of a known provider that speaks OpenAI's APIs.
        system_prompt_role: the role that system prompts are sent with; by default ``system``.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.

    Raises:
        UserError: the provider is unknown or speaks another API, or the role is none of the three.
    """

    def __init__(
        self,
        model_name: str,
        *,
        provider: Union[str, Provider] = "openai",
        system_prompt_role: Optional[str] = None,
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
    ) -> None:
        provider = speaking(provider, ("chat", "groq"), "OpenAI's Responses API")
        if profile is None:
            profile = _profile(provider.name, model_name if isinstance(model_name, str) else "")
        quirks = joined_quirks(QUIRKS, provider.row.quirks, profile.quirks)
        if system_prompt_role is not None:
            if system_prompt_role not in ("system", "developer", "user"):
                raise UserError(f"system_prompt_role is 'system', 'developer' or 'user'; got {system_prompt_role!r}.")
            quirks["system_role"] = system_prompt_role
        self.system_prompt_role = system_prompt_role
        wire = ResponsesWire(provider.name, quirks)
        super().__init__(model_name, wire, provider, profile=profile, settings=settings, quirks=quirks)

    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """
        Answer the messages; a response in the background is asked for until it is there.

        Raises:
            ModelAPIError, DeadlineExceeded, RunCancelled, UserError: as :meth:`WireModel.request`.
        """
        response = super().request(messages, model_settings, model_request_parameters)
        wait = _FIRST_WAIT
        while _is_running(response):
            try:
                model_request_parameters.deadline.sleep(wait)
            except (DeadlineExceeded, RunCancelled):
                _log.info("%s %s goes on with the response %s in the background; its usage is not counted",
                          self.system, short(self.model_name), response.provider_response_id)  # fmt: skip
                raise
            wait = min(wait * 2, _LONGEST_WAIT)
            response = self._again(response.provider_response_id or "", model_settings, model_request_parameters)
        return response

    def _again(
        self, identifier: str, model_settings: Optional[ModelSettings], parameters: ModelRequestParameters
    ) -> ModelResponse:
        """What has become of a response in the background: the same way, with another question."""
        asking = copy.copy(self)
        asking._wire = _Retrieval(identifier, self._wire)
        return WireModel.request(asking, [], model_settings, parameters)


# Seconds between two questions whether a response in the background is there.
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0


def _profile(provider_name: str, model_name: str) -> ModelProfile:
    """The provider's own profile of the model, else OpenAI's: others serve its models under longer names."""
    profile = infer_profile(provider_name, model_name)
    if profile != ModelProfile():
        return profile
    for start in ("openai/", "openai."):
        if model_name.startswith(start):
            model_name = model_name[len(start) :]
    return infer_profile("openai", model_name)


def _is_running(response: ModelResponse) -> bool:
    said = (response.provider_details or {}).get("finish_reason")
    return said in RUNNING and response.provider_response_id is not None


class ResponsesWire:
    """
    The wire of one provider.

    Args:
        provider_name: whose thinking and opaque parts the answers hold.
        quirks: its deviations, by the names of :data:`syncagent.models.chat.QUIRKS`.
    """

    __slots__ = ("provider_name", "quirks")

    inline: frozenset[str] = frozenset()

    def __init__(self, provider_name: Optional[str] = None, quirks: Mapping[str, Any] = NO_QUIRKS) -> None:
        self.provider_name = provider_name
        self.quirks = quirks

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.provider_name}>"

    def encode(self, call: ModelCall) -> WireRequest:
        """:func:`encode`."""
        return encode(call)

    def decode(self, body: Mapping[str, Any]) -> ModelResponse:
        """:func:`decode` with this provider's name."""
        return decode(body, self.provider_name)

    def decode_stream(self, frames: Iterator[Frame]) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
        """:func:`decode_stream` with this provider's name."""
        return decode_stream(frames, self.provider_name)

    def decode_error(self, status: int, body: object) -> ErrorInfo:
        """:func:`decode_error` with this provider's quirks."""
        return decode_error(status, body, self.quirks)

    def encode_count(self, call: ModelCall) -> WireRequest:
        """The request for the number of tokens that :meth:`encode`'s would send."""
        return _request(_path(call.quirks) + "/input_tokens", call, _COUNTED)

    def decode_count(self, body: Mapping[str, Any]) -> int:
        """The number of tokens."""
        return decode_count(body)


class _Retrieval(ResponsesWire):
    """Asks for a response that was begun before."""

    __slots__ = ("_identifier",)

    def __init__(self, identifier: str, wire: Wire) -> None:
        super().__init__(getattr(wire, "provider_name", None), getattr(wire, "quirks", NO_QUIRKS))
        self._identifier = identifier

    def encode(self, call: ModelCall) -> WireRequest:
        """The address of the response."""
        # What UTF-8 does not have is asked for as "?": the server's own id is the server's to know.
        identifier = percent_encoded(self._identifier, safe="", errors="replace")
        return WireRequest(f"{_path(call.quirks)}/{identifier}", b"", "GET")


def encode(call: ModelCall) -> WireRequest:
    """
    The request for *call*.

    Raises:
        UserError: content or settings that the API has no place for, or that have no JSON form.
    """
    return _request(_path(call.quirks), call)


def _path(quirks: Mapping[str, Any]) -> str:
    """The API's path, beside that of the chat API."""
    return str(quirks.get("path", "")).partition("/chat/")[0] + "/responses"


def _request(path: str, call: ModelCall, keys: Optional[frozenset[str]] = None) -> WireRequest:
    try:
        body = _body(call)
    except TypeError as error:
        raise not_written(call, error) from None
    members = [f'"{key}":{value}' for key, value in body.items() if keys is None or key in keys]
    # The error handler writes lone surrogates as \ud800, which is how JSON escapes them.
    return WireRequest(path, ("{" + ",".join(members) + "}").encode("utf-8", "backslashreplace"))


def _body(call: ModelCall) -> dict[str, str]:
    settings, parameters = call.settings, call.parameters
    previous, messages = _unknown_messages(call)
    store = bool(settings.get("openai_store"))
    body = {
        "model": quote(call.model_name),
        "input": "[" + ",".join(input_items(call, messages)) + "]",
        "store": "true" if store else "false",
    }
    if call.stream:
        body["stream"] = "true"
    if previous is not None:
        body["previous_response_id"] = quote(previous)
    if parameters.function_tools or parameters.result_tools or parameters.native_tools:
        _tools(call, body)
    include = _include(call)
    if include:
        body["include"] = dump_str(include)
    reasoning = {
        key: settings[name]
        for key, name in (("effort", "openai_reasoning_effort"), ("summary", "openai_reasoning_summary"))
        if settings.get(name) is not None
    }
    if reasoning:
        body["reasoning"] = dump_str(reasoning)
    text = []
    if parameters.result_mode == "native" and parameters.result_schema is not None:
        text.append(_format(parameters.result_schema, call))
    if settings.get("openai_verbosity") is not None:
        text.append(f'"verbosity":{dump_str(settings["openai_verbosity"])}')
    if text:
        body["text"] = "{" + ",".join(text) + "}"
    if settings:
        if settings.get("openai_background") and not store:
            raise UserError(
                "openai_background=True needs openai_store=True: OpenAI has to keep what is asked for later."
            )
        _settings(call, body)
    return body


def _unknown_messages(call: ModelCall) -> tuple[Optional[str], Sequence[ModelMessage]]:
    """The id of the response to go on from, and the messages after it; all of them where it is not in the history."""
    previous, messages = call.settings.get("openai_previous_response_id"), call.messages
    if not previous:
        return None, messages
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, ModelResponse) and message.provider_response_id is not None:
            known = message.provider_response_id
            if known == previous or (previous == "auto" and message.provider_name == call.provider_name):
                return known, messages[index + 1 :]
    return (None if previous == "auto" else str(previous)), messages


def _include(call: ModelCall) -> list[str]:
    settings = call.settings
    include = ["reasoning.encrypted_content"] if call.profile.encrypted_thinking else []
    wanted = {"logprobs", "top_logprobs"} - set(call.quirks.get("unsendable", ()))
    if any(settings.get(key) for key in wanted):
        include.append("message.output_text.logprobs")
    return list(dict.fromkeys([*include, *(settings.get("openai_include") or ())]))


# --- tools and settings ----------------------------------------------------------------------------


def _tools(call: ModelCall, body: dict[str, str]) -> None:
    parameters, quirks, settings = call.parameters, call.quirks, call.settings
    native = parameters.native_tools
    declared = declared_names(native) if native else {}
    tools = [*parameters.function_tools, *parameters.result_tools]
    choice = settings.get("tool_choice")
    if not choice and tools:
        choice = "auto" if parameters.allow_text_result else "required"
    if choice and choice not in ("auto", "required", "none"):
        named = [tool for tool in tools if tool.name == choice]
        if not named and choice not in declared:
            known = ", ".join([*(tool.name for tool in tools), *declared])
            raise UserError(
                f"tool_choice is 'auto', 'required', 'none' or the name of a tool ({known}); got {choice!r}."
            )
        if quirks.get("named_tool_choice", True):
            body["tool_choice"] = f'{{"type":"{declared.get(choice, "function")}","name":{quote(choice)}}}'
        else:
            tools, choice = named, "required"
    if choice == "required" and not quirks.get("required_tool_choice", True):
        choice = "auto"
    if choice:
        body.setdefault("tool_choice", quote(choice))
    if choice == "required":
        for key, value in quirks.get("required_body", {}).items():
            body[key] = dump_str(value)
    if "parallel_tool_calls" in settings:
        body["parallel_tool_calls"] = dump_str(settings["parallel_tool_calls"])
    length = quirks.get("max_length")
    # A tool that the caller declared in the API's own words is not declared again.
    written = [_tool(tool, length) for tool in tools if tool.name not in declared]
    body["tools"] = "[" + ",".join([*written, *(dump_str(tool) for tool in native)]) + "]"


def _tool(tool: ToolDefinition, length: Optional[int]) -> str:
    schema, strict = _strict(dump_str(tool.parameters_json_schema), length)
    return (
        f'{{"type":"function","name":{quote(tool.name)},"description":{quote(tool.description)},'
        f'"parameters":{schema},"strict":{strict}}}'
    )


def _format(schema: Mapping[str, Any], call: ModelCall) -> str:
    text, strict = _strict(dump_str(schema), call.quirks.get("max_length"))
    return f'"format":{{"type":"json_schema","name":"final_result","schema":{text},"strict":{strict}}}'


@lru_cache(maxsize=256)
def _strict(text: str, length: Optional[int]) -> tuple[str, str]:
    """
    The schema and whether it is strict, both as JSON. It has to be said: the API's default for tools is yes.

    Finding out costs more than all else that is written, and a program's schemas are the same in each request.
    """
    schema = json.loads(text)
    strict = strict_schema(schema)
    if strict is not None:
        schema = strict
    if length is not None:
        schema = limit_strings(schema, length)
    return dump_str(schema), "false" if strict is None else "true"


def _settings(call: ModelCall, body: dict[str, str]) -> None:
    quirks = call.quirks
    unsendable = quirks.get("unsendable", ())
    dropped = []
    for key, value in call.settings.items():
        if key in _NOT_OURS or value is None:
            continue
        name = "top_k" if key == "top_k" and quirks.get("top_k") else _SETTINGS.get(key)
        if name is None or key in unsendable:
            dropped.append(key)
        elif name:
            body[name] = dump_str(value)
    tell_dropped(call, dropped)
    for key, value in (call.settings.get("extra_body") or {}).items():
        body[quote(key)[1:-1]] = dump_str(value)


# Said elsewhere in the body, or meant for whoever sends it.
_NOT_OURS = frozenset(
    {
        *("extra_body", "extra_headers", "on_incomplete", "parallel_tool_calls", "retry_policy", "timeout"),
        *("tool_choice", "openai_include", "openai_previous_response_id", "openai_reasoning_effort"),
        *("openai_reasoning_summary", "openai_store", "openai_verbosity"),
    }
)
_SETTINGS = {
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "logprobs": "",  # asked for by ``include``
    "top_logprobs": "top_logprobs",
    "openai_background": "background",
    "openai_max_tool_calls": "max_tool_calls",
    "openai_metadata": "metadata",
    "openai_prompt_cache_key": "prompt_cache_key",
    "openai_prompt_cache_retention": "prompt_cache_retention",
    "openai_safety_identifier": "safety_identifier",
    "openai_service_tier": "service_tier",
    "openai_truncation": "truncation",
    "openai_user": "user",
}
# What the count of tokens is asked with: https://platform.openai.com/docs/api-reference/responses/input-tokens
_COUNTED = frozenset(
    {
        *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning"),
        *("truncation", "previous_response_id", "conversation"),
    }
)
