"""Messages as Gemini's contents: one function for each class of part."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from ..exceptions import UserError
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
from ._gemini_answer import BESIDE
from ._requests import unsendable
from ._tables import by_base
from ._words import quoted_type

if TYPE_CHECKING:
    from .wire import ModelCall

__all__ = ["contents_of"]


def contents_of(call: ModelCall) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """
    The contents of the messages, and the parts of the system instruction.

    Raises:
        UserError: content that the API has no place for.
    """
    said = _Said()
    for message in call.messages:
        if isinstance(message, ModelRequest):
            for part in message.parts:
                (_REQUEST_PARTS.get(part.__class__) or by_base(_REQUEST_PARTS, part))(part, said, call)
            said.end("user")
        else:
            _response(message, said, call)
    return said.contents, said.system


class _Said:
    """What the messages come to; *answers* and *parts* are those of the message at hand."""

    __slots__ = ("answers", "contents", "parts", "system")

    def __init__(self) -> None:
        self.system: list[dict[str, Any]] = []
        self.contents: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.parts: list[dict[str, Any]] = []

    def end(self, role: str) -> None:
        """The message is over. The API wants the answers to calls before anything else that was said."""
        parts = self.answers + self.parts
        if parts:
            self.contents.append({"role": role, "parts": parts})
        self.answers, self.parts = [], []


def _system_prompt(part: SystemPromptPart, said: _Said, call: ModelCall) -> None:
    if part.content:
        said.system.append({"text": part.content})


def _user_prompt(part: UserPromptPart, said: _Said, call: ModelCall) -> None:
    content = part.content
    for item in (content,) if isinstance(content, str) else content:
        (_USER_CONTENT.get(item.__class__) or by_base(_USER_CONTENT, item))(item, said)


def _tool_return(part: ToolReturnPart, said: _Said, call: ModelCall) -> None:
    try:
        content = part.model_response_object()
    except TypeError as error:
        raise unsendable(part, error) from None
    _answer(part.tool_name, part.tool_call_id, content, said)


def _retry_prompt(part: RetryPromptPart, said: _Said, call: ModelCall) -> None:
    if part.tool_name is None:
        said.parts.append({"text": part.model_response()})
    else:
        _answer(part.tool_name, part.tool_call_id, {"call_error": part.model_response()}, said)


def _answer(name: str, identifier: Optional[str], content: dict[str, Any], said: _Said) -> None:
    answer: dict[str, Any] = {"name": name, "response": content}
    if identifier:
        answer["id"] = identifier
    said.answers.append({"functionResponse": answer})


_REQUEST_PARTS: dict[type, Callable[[Any, _Said, ModelCall], None]] = {
    SystemPromptPart: _system_prompt,
    UserPromptPart: _user_prompt,
    ToolReturnPart: _tool_return,
    RetryPromptPart: _retry_prompt,
}


def _response(message: ModelResponse, said: _Said, call: ModelCall) -> None:
    signature: Optional[str] = None
    for part in message.parts:
        write = _RESPONSE_PARTS.get(part.__class__) or by_base(_RESPONSE_PARTS, part)
        written = write(part, call)
        if written is None:
            continue
        if signature is not None and not _signable(written):
            said.parts.append({"text": "", "thoughtSignature": signature})
            signature = None
        if written.keys() == {"thoughtSignature"}:
            signature = written["thoughtSignature"]  # of the part that follows
            continue
        if signature is not None:
            written["thoughtSignature"], signature = signature, None
        said.parts.append(written)
    if signature is not None:
        said.parts.append({"text": "", "thoughtSignature": signature})
    stand_in = call.quirks.get("missing_signature")
    if stand_in is not None:
        first = next((part for part in said.parts if "functionCall" in part), None)
        if first is not None:
            first.setdefault("thoughtSignature", stand_in)
    said.end("model")


def _signable(part: Mapping[str, Any]) -> bool:
    return "thoughtSignature" not in part and "thought" not in part and ("text" in part or "functionCall" in part)


def _text(part: TextPart, call: ModelCall) -> Optional[dict[str, Any]]:
    return {"text": part.content} if part.content else None


def _thinking(part: ThinkingPart, call: ModelCall) -> Optional[dict[str, Any]]:
    if part.provider_name is None or part.provider_name != call.provider_name:
        return None
    written: dict[str, Any] = {"text": part.content, "thought": True} if part.content else {}
    if part.signature:
        written["thoughtSignature"] = part.signature
    return written or None


def _tool_call(part: ToolCallPart, call: ModelCall) -> dict[str, Any]:
    try:
        args = part.args_as_dict()
    except (ValueError, RecursionError):
        args = {"invalid_json": part.args}  # the API wants an object
    function: dict[str, Any] = {"name": part.tool_name, "args": args}
    if part.tool_call_id:
        function["id"] = part.tool_call_id
    return {"functionCall": function}


def _opaque(part: OpaquePart, call: ModelCall) -> Optional[dict[str, Any]]:
    if part.provider_name is None or part.provider_name != call.provider_name:
        return None
    return {key: value for key, value in part.data.items() if key not in BESIDE} or None


_RESPONSE_PARTS: dict[type, Callable[[Any, ModelCall], Optional[dict[str, Any]]]] = {
    TextPart: _text,
    ThinkingPart: _thinking,
    ToolCallPart: _tool_call,
    OpaquePart: _opaque,
}


# --- what a user says ------------------------------------------------------------------------------


def _spoken(item: str, said: _Said) -> None:
    if item:
        said.parts.append({"text": item})


def _binary(item: BinaryContent, said: _Said) -> None:
    if "/" not in item.media_type:
        raise UserError(f"BinaryContent has a media type such as 'image/png'; got {quoted_type(item.media_type)}.")
    data = base64.b64encode(item.data).decode("ascii")
    said.parts.append({"inlineData": {"mimeType": item.media_type, "data": data}})


def _address(item: Union[ImageUrl, AudioUrl, VideoUrl, DocumentUrl], said: _Said) -> None:
    """Whatever the address, Google fetches it; the type is said where its suffix tells it."""
    if item.url[:5].lower() == "data:":
        raise UserError(
            f"Google takes no data: addresses; pass BinaryContent(data, media_type) instead of {type(item).__name__}."
        )
    file: dict[str, str] = {"fileUri": item.url}
    try:
        file["mimeType"] = item.media_type
    except (ValueError, RuntimeError):
        pass  # addresses of the Files API have no suffix, and need none
    said.parts.append({"fileData": file})


def _cache_point(item: CachePoint, said: _Said) -> None:
    """Google caches by itself, or what was put into its cache before (``gemini_cached_content``)."""


_USER_CONTENT: dict[type, Callable[[Any, _Said], None]] = {
    str: _spoken,
    ImageUrl: _address,
    BinaryContent: _binary,
    AudioUrl: _address,
    VideoUrl: _address,
    DocumentUrl: _address,
    CachePoint: _cache_point,
}
