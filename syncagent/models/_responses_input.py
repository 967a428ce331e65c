"""Messages as the input items of OpenAI's Responses API."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring as quote
from typing import Any, Optional, Union

from ..exceptions import UserError
from ..jsonable import dump_str
from ..messages import (
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
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
)
from ._requests import return_text
from ._responses_answer import CUSTOM_CALL
from ._tables import by_base
from ._words import quoted_type
from .wire import ModelCall

__all__ = ["declared_names", "input_items"]


def input_items(call: ModelCall, messages: Sequence[ModelMessage]) -> list[str]:
    """
    The items as JSON texts.

    Args:
        call: whose messages they are.
        messages: those of its messages that the API does not know already.

    Raises:
        UserError: content that the API has no place for.
        TypeError: content that has no JSON form.
    """
    context = _Context(call)
    items: list[str] = []
    for message in messages:
        if isinstance(message, ModelRequest):
            items += _request(message, context)
        else:
            items += _response(message, context)
    return items


def declared_names(native_tools: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The names of tools that the caller declares in the API's own words, each with its type."""
    names: dict[str, str] = {}
    for tool in native_tools:
        inner = tool.get("tools") if tool.get("type") == "namespace" else (tool,)
        for one in inner if isinstance(inner, (list, tuple)) else ():
            if isinstance(one, Mapping) and one.get("type") in ("custom", "function"):
                names[str(one.get("name"))] = one["type"]
    return names


class _Context:
    """What the parts of one request have to know of each other."""

    __slots__ = ("call", "custom", "custom_calls")

    def __init__(self, call: ModelCall) -> None:
        self.call = call
        native = call.parameters.native_tools
        self.custom = {name for name, kind in declared_names(native).items() if kind == "custom"} if native else set()
        self.custom_calls: set[str] = set()


# --- requests --------------------------------------------------------------------------------------


def _request(message: ModelRequest, context: _Context) -> list[str]:
    """The answers to calls come first: some servers want them right after the calls."""
    items = [
        (_REQUEST_PARTS.get(part.__class__) or by_base(_REQUEST_PARTS, part))(part, context) for part in message.parts
    ]
    return items if len(items) < 2 else sorted(items, key=_after_outputs)


def _after_outputs(item: str) -> bool:
    return not item.startswith('{"type":')


def _system_prompt(part: SystemPromptPart, context: _Context) -> str:
    return f'{{"role":"{context.call.quirks.get("system_role", "system")}","content":{quote(part.content)}}}'


def _user_prompt(part: UserPromptPart, context: _Context) -> str:
    content = part.content
    if isinstance(content, str):
        return '{"role":"user","content":' + quote(content) + "}"
    pieces = [
        (_USER_CONTENT.get(item.__class__) or by_base(_USER_CONTENT, item))(item)
        for item in content
        if item.__class__ is not CachePoint
    ]
    return '{"role":"user","content":[' + ",".join(pieces) + "]}"


def _tool_return(part: ToolReturnPart, context: _Context) -> str:
    content = return_text(part)
    return _output(part, content, context)


def _retry_prompt(part: RetryPromptPart, context: _Context) -> str:
    if part.tool_name is None:
        return '{"role":"user","content":' + quote(part.model_response()) + "}"
    return _output(part, part.model_response(), context)


def _output(part: Union[ToolReturnPart, RetryPromptPart], content: str, context: _Context) -> str:
    identifier = _call_id(part)
    kind = CUSTOM_CALL if part.tool_call_id in context.custom_calls else "function_call"
    return f'{{"type":"{kind}_output","call_id":{identifier},"output":{quote(content)}}}'


def _call_id(part: Union[ToolCallPart, ToolReturnPart, RetryPromptPart]) -> str:
    if not part.tool_call_id:
        raise UserError(
            f"OpenAI requires `tool_call_id` to be set: the {type(part).__name__} of {part.tool_name!r} has none. "
            "Give each call and its answer in message_history the same id."
        )
    return quote(part.tool_call_id)


_REQUEST_PARTS: dict[type, Callable[[Any, _Context], str]] = {
    SystemPromptPart: _system_prompt,
    UserPromptPart: _user_prompt,
    ToolReturnPart: _tool_return,
    RetryPromptPart: _retry_prompt,
}


# --- responses -------------------------------------------------------------------------------------


def _response(message: ModelResponse, context: _Context) -> list[str]:
    """The items of a response; none where nothing is left to send."""
    parts = message.parts
    details = message.provider_details if message.provider_name == context.call.provider_name else None
    if details is None and len(parts) == 1 and parts[0].__class__ is TextPart:
        text = parts[0].content  # type: ignore[union-attr] # it is text
        return ['{"role":"assistant","content":' + quote(text) + "}"] if text else []
    output = _Output(context, details or {}, parts)
    for part in parts:
        (_RESPONSE_PARTS.get(part.__class__) or by_base(_RESPONSE_PARTS, part))(part, output)
    # What was thought belongs to what follows it; the API refuses it alone.
    return output.items


class _Output:
    """What the parts of one response come to."""

    __slots__ = ("calls", "context", "items", "messages", "thinking", "with_ids")

    def __init__(self, context: _Context, details: Mapping[str, Any], parts: Sequence[Any]) -> None:
        self.context = context
        self.items: list[str] = []
        self.thinking: list[list[ThinkingPart]] = []
        # An id says which reasoning an item belongs to: without that, the API refuses it.
        self.with_ids = any(isinstance(part, ThinkingPart) and _can_go_back(part, context.call) for part in parts)
        messages, calls = details.get("messages"), details.get("calls")
        # Texts that were added or taken away are not those that the facts are of.
        texts = sum(isinstance(part, TextPart) and bool(part.content) for part in parts)
        fitting = isinstance(messages, list) and len(messages) == texts
        self.messages = iter(messages) if fitting and isinstance(messages, list) else iter(())
        self.calls: Mapping[str, Any] = calls if isinstance(calls, Mapping) else {}

    def add(self, item: str) -> None:
        """Add an item, after what was thought before it."""
        if self.thinking:
            self.items += [_reasoning(parts) for parts in self.thinking]
            self.thinking = []
        self.items.append(item)


def _text(part: TextPart, output: _Output) -> None:
    if not part.content:
        return
    about = next(output.messages, None)
    about = about if isinstance(about, Mapping) else {}
    identifier, phase = about.get("id"), about.get("phase")
    tail = f',"phase":{dump_str(phase)}}}' if phase else "}"
    if not (identifier and output.with_ids):
        output.add('{"role":"assistant","content":' + quote(part.content) + tail)
        return
    output.add(
        f'{{"type":"message","id":{dump_str(identifier)},"role":"assistant","status":"completed",'
        f'"content":[{{"type":"output_text","text":{quote(part.content)},"annotations":[]}}]' + tail
    )


def _can_go_back(part: ThinkingPart, call: ModelCall) -> bool:
    """Thinking that is encrypted, or that a server reads itself, goes back to where it came from."""
    ours = part.provider_name is not None and part.provider_name == call.provider_name
    return ours and bool(part.signature or (part.content and "thinking" in call.quirks))


def _thinking(part: ThinkingPart, output: _Output) -> None:
    """Parts with one id are one item; only the first has the proof."""
    last = output.thinking[-1] if output.thinking else None
    if last is not None and part.id is not None and part.id == last[0].id and not part.signature:
        last.append(part)
    elif _can_go_back(part, output.context.call):
        output.thinking.append([part])


def _reasoning(thinking: list[ThinkingPart]) -> str:
    first = thinking[0]
    identifier = "" if first.id is None else f',"id":{quote(first.id)}'
    kind = "summary" if first.signature else "reasoning"
    texts = ",".join(f'{{"type":"{kind}_text","text":{quote(part.content)}}}' for part in thinking if part.content)
    if first.signature:
        return f'{{"type":"reasoning"{identifier},"summary":[{texts}],"encrypted_content":{quote(first.signature)}}}'
    return f'{{"type":"reasoning"{identifier},"summary":[],"content":[{texts}]}}'


def _tool_call(part: ToolCallPart, output: _Output) -> None:
    context = output.context
    identifier = _call_id(part)
    about = output.calls.get(part.tool_call_id or "")
    about = about if isinstance(about, Mapping) else {}
    extra = ""
    if about.get("id") and output.with_ids:
        extra += f',"id":{dump_str(about["id"])}'
    if about.get("namespace"):
        extra += f',"namespace":{dump_str(about["namespace"])}'
    head = f'"call_id":{identifier},"name":{quote(part.tool_name)}{extra}'
    if about.get("type") == CUSTOM_CALL or part.tool_name in context.custom:
        text = _custom_input(part)
        if text is not None:
            context.custom_calls.add(part.tool_call_id or "")
            output.add(f'{{"type":"{CUSTOM_CALL}",{head},"input":{quote(text)}}}')
            return
    args = part.args_as_json_str()
    if context.call.quirks.get("json_args") and isinstance(part.args, str):
        try:
            part.args_as_dict()
        except (ValueError, RecursionError):
            args = ""  # a small model would copy any words put in its mouth
    output.add(f'{{"type":"function_call",{head},"arguments":{quote(args if args.strip() else "{}")}}}')


def _custom_input(part: ToolCallPart) -> Optional[str]:
    """The text of a custom tool's call; None where the arguments are not those of one."""
    try:
        text = part.args_as_dict().get("input")
    except (ValueError, RecursionError):
        return None
    return text if isinstance(text, str) else None


def _opaque(part: OpaquePart, output: _Output) -> None:
    """An item of this API goes back as it came; what another API of the provider's sent has no type."""
    if part.provider_name is not None and part.provider_name == output.context.call.provider_name:
        if isinstance(part.data.get("type"), str):
            output.add(dump_str(part.data))


_RESPONSE_PARTS: dict[type, Callable[[Any, _Output], None]] = {
    TextPart: _text,
    ThinkingPart: _thinking,
    ToolCallPart: _tool_call,
    OpaquePart: _opaque,
}


# --- what a user says ------------------------------------------------------------------------------


def _said(item: str) -> str:
    return '{"type":"input_text","text":' + quote(item) + "}"


def _image(item: ImageUrl) -> str:
    return '{"type":"input_image","detail":"auto","image_url":' + quote(item.url) + "}"


def _document(item: DocumentUrl) -> str:
    return '{"type":"input_file","file_url":' + quote(item.url) + "}"


def _binary(item: BinaryContent) -> str:
    kind = item.media_type
    if kind.startswith(("audio/", "video/")):
        raise UserError(
            f"The Responses API takes no sound and no video; got BinaryContent of the type {quoted_type(kind)}. "
            "OpenAIModel with an audio model takes wav and mp3."
        )
    address = quote(f"data:{kind};base64,{base64.b64encode(item.data).decode('ascii')}")
    if kind.startswith("image/"):
        return f'{{"type":"input_image","detail":"auto","image_url":{address}}}'
    # The name is asked for; its ending is all that we know.
    name = quote(f"document.{item.format if item.is_document else kind.rpartition('/')[2] or 'bin'}")
    return f'{{"type":"input_file","filename":{name},"file_data":{address}}}'


def _sound(item: AudioUrl) -> str:
    raise UserError(
        "The Responses API takes no sound; got AudioUrl. OpenAIModel with an audio model takes "
        "BinaryContent of the types audio/wav and audio/mpeg."
    )


def _video(item: VideoUrl) -> str:
    raise UserError(
        "The Responses API takes no video; got VideoUrl. Pass pictures of it as images, or ask a model that takes "
        "video: GeminiModel does."
    )


_USER_CONTENT: dict[type, Callable[[Any], str]] = {
    str: _said,
    ImageUrl: _image,
    BinaryContent: _binary,
    AudioUrl: _sound,
    VideoUrl: _video,
    DocumentUrl: _document,
}
