"""Messages in the form that Anthropic's Messages API takes them: system blocks and turns of blocks."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable
from json.encoder import encode_basestring as quote
from typing import Any, Literal, Optional, Union

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
from ._anthropic_answer import CALLER, CITATIONS
from ._requests import called, return_text
from ._tables import by_base
from ._words import quoted_type
from .wire import ModelCall

__all__ = ["MOST_POINTS", "Conversation", "cached"]

_log = logging.getLogger("syncagent.models")

MOST_POINTS = 4
"""Cache points that a request may have."""


class Conversation:
    """
    The system blocks and the turns of a call, each block as JSON text.

    Args:
        call: what is to be sent.

    Attributes:
        system: the blocks of all system prompts.
        turns: who speaks (``user`` or ``assistant``), and the blocks.
        container: the provider's container that an unfinished answer goes on in; None where there is none.

    Raises:
        UserError: content that the API has no place for.
    """

    __slots__ = ("_points", "container", "system", "turns")

    def __init__(self, call: ModelCall) -> None:
        self.system: list[str] = []
        self.turns: list[tuple[Literal["user", "assistant"], list[str]]] = []
        self.container: Optional[str] = None
        self._points: dict[tuple[int, int], str] = {}
        for message in call.messages:
            # One part of text is what most messages of most histories are.
            if isinstance(message, ModelRequest):
                said = message.parts[0] if len(message.parts) == 1 else None
                if isinstance(said, UserPromptPart) and isinstance(said.content, str):
                    if said.content.strip():
                        self.turns.append(("user", [_text_block(said.content)]))
                else:
                    self._ask(message)
            else:
                part = message.parts[0] if len(message.parts) == 1 else None
                if isinstance(part, TextPart):
                    self.container = None
                    if part.content.strip():
                        self.turns.append(("assistant", [_text_block(part.content)]))
                else:
                    self._answer(message, call)
        if call.messages and isinstance(call.messages[-1], ModelResponse):
            self.container = _container(call.messages[-1], call)
        if not self.turns:
            raise UserError(
                f"{called(call)} wants something to answer to, and the messages hold nothing "
                "but system prompts and empty texts: pass a user_prompt."
            )

    def _ask(self, message: ModelRequest) -> None:
        turn = _Turn(self.system)
        for part in message.parts:
            (_REQUEST_PARTS.get(part.__class__) or by_base(_REQUEST_PARTS, part))(part, turn)
        blocks = turn.results + turn.others if turn.others else turn.results
        for in_results, index, ttl in turn.points:
            self._points[len(self.turns), index + (0 if in_results else len(turn.results))] = ttl
        if blocks:
            self.turns.append(("user", blocks))

    def _answer(self, message: ModelResponse, call: ModelCall) -> None:
        answer = _Answer(message, call)
        if answer.spoken:
            self.turns.append(("assistant", answer.blocks[: answer.spoken]))
        # Code that waits for a call's result goes on in its container; what came before it has ended.
        self.container = _container(message, call) if answer.waits else None

    def cache(self, ttl: Optional[str], room: int) -> None:
        """
        Mark the blocks that end a cached prefix: those of the prompts' cache points, the newest ones.

        Args:
            ttl: where it is set, the end of the system prompts and of the last request are marked, too.
            room: points that may be set; where they are not enough, the earlier ones are left out.
        """
        points = self._points
        if ttl is not None:
            if self.system and room:
                self.system[-1] = cached(self.system[-1], ttl)
                room -= 1
            asked = [index for index, (role, _) in enumerate(self.turns) if role == "user"]
            if asked:
                points = {(asked[-1], len(self.turns[asked[-1]][1]) - 1): ttl, **points}
        chosen = sorted(points)
        if len(chosen) > room:
            _log.debug("of %d cache points the last %d are sent", len(chosen), room)
            chosen = chosen[len(chosen) - room :]
        for turn, block in chosen:
            blocks = self.turns[turn][1]
            blocks[block] = cached(blocks[block], points[turn, block])


def cached(block: str, ttl: str) -> str:
    """The block (or tool) as the end of a cached prefix."""
    return block[:-1] + ',"cache_control":{"type":"ephemeral"' + (',"ttl":"1h"' if ttl == "1h" else "") + "}}"


# --- requests --------------------------------------------------------------------------------------


class _Turn:
    """One request; the API wants the results of tools before anything else."""

    __slots__ = ("others", "points", "results", "system")

    def __init__(self, system: list[str]) -> None:
        self.system = system
        self.results: list[str] = []
        self.others: list[str] = []
        self.points: list[tuple[bool, int, str]] = []

    def point(self, point: CachePoint) -> None:
        if point.ttl not in ("5m", "1h"):
            raise UserError(f"CachePoint.ttl is '5m' or '1h'; got {point.ttl!r}.")
        if self.others:
            self.points.append((False, len(self.others) - 1, point.ttl))
        elif self.results:
            self.points.append((True, len(self.results) - 1, point.ttl))
        else:
            raise UserError(
                "A CachePoint stands after what is to be cached, and nothing comes before it in its request. "
                "The setting anthropic_cache caches system prompts and tools."
            )


def _system_prompt(part: SystemPromptPart, turn: _Turn) -> None:
    if part.content.strip():
        turn.system.append(_text_block(part.content))


def _user_prompt(part: UserPromptPart, turn: _Turn) -> None:
    content = part.content
    if isinstance(content, str):
        content = (content,)
    for item in content:
        if isinstance(item, CachePoint):
            turn.point(item)
        else:
            block = (_USER_CONTENT.get(item.__class__) or by_base(_USER_CONTENT, item))(item)
            if block is not None:
                turn.others.append(block)


def _tool_return(part: ToolReturnPart, turn: _Turn) -> None:
    content = return_text(part)
    said = ',"content":' + quote(content) if content else ""
    turn.results.append('{"type":"tool_result","tool_use_id":' + _call_id(part) + said + "}")


def _retry_prompt(part: RetryPromptPart, turn: _Turn) -> None:
    content = part.model_response()
    if part.tool_name is None:
        turn.others.append(_text_block(content))
    else:
        turn.results.append(
            f'{{"type":"tool_result","tool_use_id":{_call_id(part)},"content":{quote(content)},"is_error":true}}'
        )


_REQUEST_PARTS: dict[type, Callable[[Any, _Turn], None]] = {
    SystemPromptPart: _system_prompt,
    UserPromptPart: _user_prompt,
    ToolReturnPart: _tool_return,
    RetryPromptPart: _retry_prompt,
}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


def _call_id(part: Union[ToolCallPart, ToolReturnPart, RetryPromptPart]) -> str:
    """The call's id in the letters that the API takes; other providers' ids may have further ones."""
    if not part.tool_call_id:
        raise UserError(
            f"Anthropic requires `tool_call_id` to be set: the {type(part).__name__} of {part.tool_name!r} has none. "
            "Give each call and its answer in message_history the same id."
        )
    return '"' + _NOT_IN_IDS.sub("_", part.tool_call_id) + '"'


# --- responses -------------------------------------------------------------------------------------


class _Answer:
    """
    What the parts of one response come to.

    Attributes:
        blocks: all of them.
        spoken: how many there are without thinking at the end, where the API does not take it.
        waits: whether code at the provider's waits for the results of its calls.
    """

    __slots__ = ("blocks", "call", "last_text", "own_thinking", "spoken", "waits")

    def __init__(self, message: ModelResponse, call: ModelCall) -> None:
        self.blocks: list[str] = []
        self.call = call
        self.waits = False
        self.last_text: Optional[str] = None  # the text of the last block, where it is text
        self.own_thinking = not call.quirks.get("own_thinking") or _same_model(message.model_name, call.model_name)
        self.spoken = 0
        for part in message.parts:
            text, self.last_text = self.last_text, None
            (_RESPONSE_PARTS.get(part.__class__) or by_base(_RESPONSE_PARTS, part))(part, self, text)

    def say(self, block: str) -> None:
        self.blocks.append(block)
        self.spoken = len(self.blocks)

    def is_ours(self, provider_name: Optional[str]) -> bool:
        return provider_name is not None and provider_name == self.call.provider_name


def _same_model(answered: Optional[str], asked: str) -> bool:
    return answered is None or answered == asked or answered.startswith(asked + "-")


def _container(message: ModelResponse, call: ModelCall) -> Optional[str]:
    if message.provider_name not in (None, call.provider_name):
        return None
    container = (message.provider_details or {}).get("container")
    identifier = container.get("id") if isinstance(container, dict) else None
    return identifier if isinstance(identifier, str) else None


def _text(part: TextPart, answer: _Answer, before: Optional[str]) -> None:
    if part.content.strip():
        answer.say(_text_block(part.content))
        answer.last_text = part.content


def _thinking(part: ThinkingPart, answer: _Answer, before: Optional[str]) -> None:
    if part.signature and answer.own_thinking and answer.is_ours(part.provider_name):
        answer.blocks.append(
            f'{{"type":"thinking","thinking":{quote(part.content)},"signature":{quote(part.signature)}}}'
        )


def _tool_call(part: ToolCallPart, answer: _Answer, before: Optional[str]) -> None:
    try:
        args = part.args_as_dict()
    except (ValueError, RecursionError):
        args = {"invalid_json": part.args}  # the API takes objects only, and the model is to see what it wrote
    answer.say(f'{{"type":"tool_use","id":{_call_id(part)},"name":{quote(part.tool_name)},"input":{dump_str(args)}}}')


def _opaque(part: OpaquePart, answer: _Answer, before: Optional[str]) -> None:
    if not answer.is_ours(part.provider_name):
        return
    kind = part.data.get("type")
    if kind == CITATIONS:
        if before is not None:
            pieces = _cited(before, part.data)
            if pieces:
                answer.blocks[-1:] = pieces
                answer.spoken = len(answer.blocks)
    elif kind == CALLER:
        if answer.blocks and answer.blocks[-1].startswith('{"type":"tool_use"'):
            answer.blocks[-1] = answer.blocks[-1][:-1] + ',"caller":' + dump_str(part.data.get("caller")) + "}"
            answer.waits = True
    elif kind == "redacted_thinking":
        if answer.own_thinking:
            answer.blocks.append(dump_str(part.data))
    else:
        answer.say(dump_str(part.data))


_RESPONSE_PARTS: dict[type, Callable[[Any, _Answer, Optional[str]], None]] = {
    TextPart: _text,
    ThinkingPart: _thinking,
    ToolCallPart: _tool_call,
    OpaquePart: _opaque,
}


def _cited(text: str, data: dict[str, Any]) -> list[str]:
    """The text in blocks again, with their citations; none where it is no longer the text that came."""
    spans = data.get("cited")
    if data.get("length") != len(text) or not isinstance(spans, list):
        return []
    pieces: list[tuple[str, Any]] = []
    at = 0
    for span in spans:
        start, end = (span.get("start"), span.get("end")) if isinstance(span, dict) else (None, None)
        if not (isinstance(start, int) and isinstance(end, int) and at <= start < end <= len(text)):
            return []
        pieces += [(text[at:start], None), (text[start:end], span.get("citations"))]
        at = end
    pieces.append((text[at:], None))
    blocks: list[str] = []
    blank = ""
    for piece, citations in pieces:
        piece, blank = blank + piece, ""
        if not piece.strip():
            blank = piece  # no block may be blank: it goes to the next one, at the end to nobody
        elif citations is None:
            blocks.append(_text_block(piece))
        else:
            blocks.append(f'{{"type":"text","text":{quote(piece)},"citations":{dump_str(citations)}}}')
    return blocks


# --- what a user says ------------------------------------------------------------------------------


def _text_block(text: str) -> str:
    return '{"type":"text","text":' + quote(text) + "}"


def _said(item: str) -> Optional[str]:
    return _text_block(item) if item.strip() else None


def _image(item: ImageUrl) -> str:
    if item.url.startswith("data:"):
        head, comma, data = item.url[5:].partition(",")
        kind, _, encoding = head.partition(";")
        if not comma or encoding != "base64":
            raise UserError("An ImageUrl that holds the image has the form 'data:image/png;base64,...'.")
        return _source("image", kind, data) if kind in _IMAGES else _no_image(kind)
    return '{"type":"image","source":{"type":"url","url":' + quote(item.url) + "}}"


def _document(item: DocumentUrl) -> str:
    try:
        kind = item.media_type
    except RuntimeError:  # an address tells nothing; the API looks itself
        kind = "application/pdf"
    if kind != "application/pdf":
        raise UserError(
            f"Anthropic fetches PDF documents only, and the address of a DocumentUrl says {quoted_type(kind)}. "
            "Write DocumentUrl(url, force_download=True), or pass BinaryContent(data, media_type)."
        )
    return '{"type":"document","source":{"type":"url","url":' + quote(item.url) + "}}"


def _binary(item: BinaryContent) -> str:
    kind = item.media_type.partition(";")[0].strip().lower()
    if kind in _IMAGES:
        return _source("image", kind, base64.b64encode(item.data).decode("ascii"))
    if kind == "application/pdf":
        return _source("document", kind, base64.b64encode(item.data).decode("ascii"))
    if kind.startswith("text/") or kind in _TEXTS:
        try:
            text = item.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(
                f"A document of the type {quoted_type(kind)} is sent as UTF-8; this one is not: {error}."
            ) from None
        return '{"type":"document","source":{"type":"text","media_type":"text/plain","data":' + quote(text) + "}}"
    if kind.startswith("image/"):
        return _no_image(kind)
    raise UserError(
        f"Anthropic takes images, PDF documents and text; got BinaryContent of the type {quoted_type(kind)}. "
        "Turn a document into PDF or text, and sound into its words."
    )


def _source(block: str, kind: str, data: str) -> str:
    return f'{{"type":"{block}","source":{{"type":"base64","media_type":"{kind}","data":{quote(data)}}}}}'


def _no_image(kind: str) -> str:
    raise UserError(
        f"Anthropic takes images as jpeg, png, gif or webp; got the type {quoted_type(kind)}. Convert the image."
    )


def _sound(item: AudioUrl) -> str:
    raise UserError("Anthropic takes no sound; got AudioUrl. Turn it into words and pass them as text.")


def _video(item: VideoUrl) -> str:
    raise UserError("Anthropic takes no video; got VideoUrl. Pass pictures of it as images, and its words as text.")


_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})
_USER_CONTENT: dict[type, Callable[[Any], Optional[str]]] = {
    str: _said,
    ImageUrl: _image,
    BinaryContent: _binary,
    DocumentUrl: _document,
    AudioUrl: _sound,
    VideoUrl: _video,
}
