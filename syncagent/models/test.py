"""A model for tests: it calls every tool once with made-up arguments, then makes a result up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from ..exceptions import UserError
from ..jsonable import dump_str
from ..messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    RetryPromptPart,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolReturnPart,
)
from ._estimate import estimate_usage, request_tokens, response_tokens, usage_of, words
from ._schema_data import generate
from .base import Model
from .streamed_response import StreamedResponse
from .wire import ResponseInfo

if TYPE_CHECKING:
    from ..settings import ModelSettings
    from ..tools import ModelRequestParameters, ToolDefinition

__all__ = ["TestModel"]


class TestModel(Model):
    """
    Answers without asking anybody; it works where real requests are forbidden.

    Its first response calls all function tools, with arguments made from their schemas. A tool that wants a
    retry is called again. Then comes the result: a result tool's arguments, JSON for the schema in the result
    modes ``native`` and ``prompted``, else a JSON object of what the tools returned.

    >>> from syncagent.messages import UserPromptPart
    >>> from syncagent.tools import ModelRequestParameters
    >>> TestModel().request([ModelRequest([UserPromptPart("Hi")])], None, ModelRequestParameters()).parts
    [TextPart(content='success (no tool calls)', part_kind='text')]

    Args:
        call_tools: ``all``, or the names of the function tools to call.
        custom_result_text: the final text.
        custom_result_args: the result tool's arguments, or the value that they wrap.
        seed: shifts the made-up data, and with several result tools the choice of the tool.

    Attributes:
        last_model_request_parameters: what the last request was made with: tools, schemas, result mode.
    """

    __test__ = False  # its name looks like a test's to pytest

    def __init__(
        self,
        call_tools: Union[Sequence[str], Literal["all"]] = "all",
        custom_result_text: Optional[str] = None,
        custom_result_args: Optional[Any] = None,
        seed: int = 0,
    ) -> None:
        self.call_tools = call_tools
        self.custom_result_text = custom_result_text
        self.custom_result_args = custom_result_args
        self.seed = seed
        self.last_model_request_parameters: Optional[ModelRequestParameters] = None

    @property
    def model_name(self) -> str:
        """``test``."""
        return "test"

    @property
    def system(self) -> str:
        """``test``."""
        return "test"

    def request(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """
        Call tools, or make the result up.

        Raises:
            UserError: ``call_tools`` names no tool of the request, the custom result fits none of the ways
                to give one, or no data can be made for a schema.
        """
        parts = self._answer(messages, model_request_parameters)
        return ModelResponse(parts, self.model_name, usage=estimate_usage(messages, parts))

    @contextmanager
    def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> Iterator[StreamedResponse]:
        """The same answer piece by piece: text word by word, each tool call at once."""
        parts = self._answer(messages, model_request_parameters)
        yield StreamedResponse(_stream(messages, parts), model_name=self.model_name)

    def _answer(self, messages: list[ModelMessage], parameters: ModelRequestParameters) -> list[ModelResponsePart]:
        self.last_model_request_parameters = parameters
        calls = self._tools_to_call(messages, parameters)
        if calls:
            made = [(tool.name, generate(tool.parameters_json_schema, self.seed)) for tool in calls]
            return _numbered(made, messages)
        if parameters.result_mode != "tool" and parameters.result_schema is not None:
            return [TextPart(self._result_json(parameters.result_schema))]
        if self.custom_result_text is not None:
            if not parameters.allow_text_result:
                raise UserError("TestModel has `custom_result_text`, and the agent's result cannot be text; "
                                "give `custom_result_args`.")  # fmt: skip
            return [TextPart(self.custom_result_text)]
        if parameters.result_tools and (self.custom_result_args is not None or not parameters.allow_text_result):
            tool = parameters.result_tools[self.seed % len(parameters.result_tools)]
            return _numbered([(tool.name, self._result_args(tool))], messages)
        if self.custom_result_args is not None:
            raise UserError("TestModel has `custom_result_args`, and the agent's result is text; "
                            "give `custom_result_text`.")  # fmt: skip
        return [TextPart(_text(messages))]

    def _tools_to_call(self, messages: list[ModelMessage], parameters: ModelRequestParameters) -> list[ToolDefinition]:
        """The selected tools for a first response; after it those that want a retry."""
        tools = {tool.name: tool for tool in parameters.function_tools}
        if any(isinstance(message, ModelResponse) for message in messages):
            last = messages[-1]
            parts = last.parts if isinstance(last, ModelRequest) else []
            retried = {part.tool_name for part in parts if isinstance(part, RetryPromptPart)}
            return [tool for name, tool in tools.items() if name in retried and self._selects(name)]
        if self.call_tools == "all":
            return list(tools.values())
        if isinstance(self.call_tools, str):
            raise UserError(f"TestModel's call_tools is 'all' or a list of names; got {self.call_tools!r}.")
        for name in self.call_tools:
            if name not in tools:
                known = f"it has {', '.join(tools)}" if tools else "it has none"
                raise UserError(f"TestModel is to call the tool {name!r}, which the request does not have; {known}.")
        return [tools[name] for name in self.call_tools]

    def _selects(self, name: str) -> bool:
        return self.call_tools == "all" or name in self.call_tools

    def _result_args(self, tool: ToolDefinition) -> Any:
        if self.custom_result_args is None:
            return generate(tool.parameters_json_schema, self.seed)
        key = tool.outer_typed_dict_key
        return self.custom_result_args if key is None else {key: self.custom_result_args}

    def _result_json(self, schema: Mapping[str, Any]) -> str:
        """The text of a result in the modes ``native`` and ``prompted``."""
        if self.custom_result_text is not None:
            return self.custom_result_text
        args = self.custom_result_args
        if args is None:
            return dump_str(generate(schema, self.seed))
        wrapped = list(schema.get("properties", ())) == ["response"]
        if wrapped and not (isinstance(args, Mapping) and list(args) == ["response"]):
            args = {"response": args}
        return dump_str(args)


def _text(messages: Sequence[ModelMessage]) -> str:
    requests = (message for message in messages if isinstance(message, ModelRequest))
    parts = (part for request in requests for part in request.parts)
    returns = {part.tool_name: part.content for part in parts if isinstance(part, ToolReturnPart)}
    return dump_str(returns) if returns else "success (no tool calls)"


def _numbered(calls: Sequence[tuple[str, Any]], messages: Sequence[ModelMessage]) -> list[ModelResponsePart]:
    """Tool calls with ids that are the same in every run, and new in this conversation."""
    responses = (message for message in messages if isinstance(message, ModelResponse))
    calls_before = (part for response in responses for part in response.parts if isinstance(part, ToolCallPart))
    ids = [part.tool_call_id or "" for part in calls_before]
    first = 1 + max((int(call_id[5:], 16) for call_id in ids if _OUR_ID.fullmatch(call_id)), default=0)
    return [ToolCallPart(name, args, f"call_{number:024x}") for number, (name, args) in enumerate(calls, first)]


_OUR_ID = re.compile("call_0{12}[0-9a-f]{12}")  # the runs' own ids are random: hardly ever so many zeros


def _stream(
    messages: Sequence[ModelMessage], parts: Sequence[ModelResponsePart]
) -> Iterator[Union[ModelResponseStreamEvent, ResponseInfo]]:
    sent, whole = request_tokens(messages), response_tokens(parts)
    received = 0
    yield ResponseInfo(usage=usage_of(sent, received))
    for index, part in enumerate(parts):
        if isinstance(part, TextPart):
            yield PartStartEvent(index, TextPart(""))
            for word in re.findall(r"\S*\s*", part.content)[:-1]:
                received = min(received + words(word), whole)
                yield ResponseInfo(usage=usage_of(sent, received))
                yield PartDeltaEvent(index, TextPartDelta(word))
        else:
            received = min(received + response_tokens([part]), whole)
            yield ResponseInfo(usage=usage_of(sent, received))
            yield PartStartEvent(index, part)
    yield ResponseInfo(usage=usage_of(sent, whole), complete=True)
