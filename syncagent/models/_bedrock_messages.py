"""Messages in the form that Bedrock's Converse API takes them: system blocks and turns that alternate."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from hashlib import sha256
from json.encoder import encode_basestring as quote
from typing import Any, Literal, Optional, Union

from ..exceptions import UserError
from ..jsonable import dump_str
from ..messages import (
    CachePoint,
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
from ._bedrock_media import media_block, text_block
from ._requests import called, return_text
from ._tables import by_base
from .wire import ModelCall

__all__ = ["MOST_POINTS", "Conversation", "cache_point", "plain_name"]

MOST_POINTS = 4
"""Cache points that a request may have: https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html"""

_log = logging.getLogger("syncagent.models")


class Conversation:
    """
    The system blocks and the turns of a call, each block as JSON text.

    Args:
        call: what is to be sent.

    Attributes:
        system: the blocks of all system prompts.
        turns: who speaks, and the blocks; the API wants user and assistant to take turns.
        called: the names of the tools that were called.

    Raises:
        UserError: content that the API has no place for.
    """

    __slots__ = ("_documents", "_points", "called", "system", "turns")

    def __init__(self, call: ModelCall) -> None:
        self.system: list[str] = []
        self.turns: list[tuple[Literal["user", "assistant"], list[str]]] = []
        self.called: dict[str, None] = {}
        self._points: list[tuple[int, int, str]] = []
        self._documents = 0
        turn = _Turn(self)
        vendor = _vendor(call.model_name)
        for message in call.messages:
            if isinstance(message, ModelRequest):
                for part in message.parts:
                    (_REQUEST_PARTS.get(part.__class__) or by_base(_REQUEST_PARTS, part))(part, turn)
            else:
                blocks = self._answer(message, call, vendor)
                if blocks:
                    self._say(turn)
                    turn = _Turn(self)
                    self._add("assistant", blocks)
        if call.quirks.get("system") is False and self.system:
            self._as_user(turn)
        self._say(turn)
        if not self.turns:
            raise UserError(
                f"{called(call)} wants something to answer to, and the messages hold nothing "
                "but system prompts and empty texts: pass a user_prompt."
            )

    def next_document(self) -> int:
        """The number of the next document of this request: the API wants each to have a name of its own."""
        self._documents += 1
        return self._documents

    def cache(self, ttl: Optional[str], room: int) -> None:
        """
        Set the points that end a cached prefix: those of the prompts, the newest ones where they are too many.

        Args:
            ttl: where it is set, one more point ends the last request.
            room: points that may be set.
        """
        points = list(self._points)
        if ttl is not None:
            last = max((index for index, (role, _) in enumerate(self.turns) if role == "user"), default=None)
            if last is not None:
                at = last, len(self.turns[last][1])
                points = [*[point for point in points if point[:2] != at], (*at, ttl)]
        if len(points) > room:
            _log.debug("of %d cache points only the last %d are sent", len(points), room)
            points = points[len(points) - room :]
        for turn, block, kept in reversed(points):
            self.turns[turn][1].insert(block, cache_point(kept))

    def _answer(self, message: ModelResponse, call: ModelCall, vendor: str) -> list[str]:
        answer = _Answer(self, call.provider_name, message.model_name is None or _vendor(message.model_name) == vendor)
        for part in message.parts:
            (_RESPONSE_PARTS.get(part.__class__) or by_base(_RESPONSE_PARTS, part))(part, answer)
        return answer.blocks[: answer.spoken]

    def _say(self, turn: _Turn) -> None:
        """Add what was said since the last answer; the results of tools come first, as the models want them."""
        blocks = turn.results + turn.others
        if blocks:
            for in_results, index, ttl in turn.points:
                self._points.append((len(self.turns), index if in_results else index + len(turn.results), ttl))
            self._add("user", blocks)

    def _add(self, role: Literal["user", "assistant"], blocks: list[str]) -> None:
        if self.turns and self.turns[-1][0] == role:
            self.turns[-1][1].extend(blocks)  # two answers with nothing between them
        else:
            self.turns.append((role, blocks))

    def _as_user(self, turn: _Turn) -> None:
        """For models without system prompts the user says it, before anything else."""
        system, self.system = self.system, []
        if not self.turns:
            turn.others[:0] = system
            turn.points = [(kind, index if kind else index + len(system), ttl) for kind, index, ttl in turn.points]
        elif self.turns[0][0] == "user":
            self.turns[0][1][:0] = system
            self._points = [
                (turn_, index + len(system) if turn_ == 0 else index, ttl) for turn_, index, ttl in self._points
            ]
        else:
            self.turns.insert(0, ("user", system))
            self._points = [(turn_ + 1, index, ttl) for turn_, index, ttl in self._points]


def cache_point(ttl: str) -> str:
    """The block that ends a cached prefix."""
    return '{"cachePoint":{"type":"default"' + (',"ttl":"1h"' if ttl == "1h" else "") + "}}"


def plain_name(model_name: str) -> str:
    """
    The model's own id, out of an ARN and without the regions of an inference profile.

    >>> plain_name("us.anthropic.claude-sonnet-4-20250514-v1:0")
    'anthropic.claude-sonnet-4-20250514-v1:0'

    https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
    """
    name = model_name.rpartition("/")[2]
    regions, dot, rest = name.partition(".")
    return rest if dot and regions in _REGIONS else name


_REGIONS = frozenset({"us", "us-gov", "eu", "apac", "ap", "au", "jp", "ca", "sa", "me", "af", "il", "mx", "global"})


def _vendor(model_name: str) -> str:
    """Whose signatures a model understands; the whole name where it does not say."""
    return plain_name(model_name).partition(".")[0]


# --- requests --------------------------------------------------------------------------------------


class _Turn:
    """What is said between two answers."""

    __slots__ = ("others", "points", "results", "talk")

    def __init__(self, talk: Conversation) -> None:
        self.talk = talk
        self.results: list[str] = []
        self.others: list[str] = []
        self.points: list[tuple[bool, int, str]] = []

    def point(self, point: CachePoint) -> None:
        if point.ttl not in ("5m", "1h"):
            raise UserError(f"CachePoint.ttl is '5m' or '1h'; got {point.ttl!r}.")
        if not (self.others or self.results):
            raise UserError(
                "A CachePoint stands after what is to be cached, and nothing comes before it in its request. "
                "The setting bedrock_cache caches system prompts and tools."
            )
        new = (False, len(self.others), point.ttl) if self.others else (True, len(self.results), point.ttl)
        if not self.points or self.points[-1][:2] != new[:2]:
            self.points.append(new)


def _system_prompt(part: SystemPromptPart, turn: _Turn) -> None:
    if part.content.strip():
        turn.talk.system.append(text_block(part.content))


def _user_prompt(part: UserPromptPart, turn: _Turn) -> None:
    content = part.content
    if isinstance(content, str):
        content = (content,)
    for item in content:
        if isinstance(item, CachePoint):
            turn.point(item)
        elif not isinstance(item, str):
            turn.others.append(media_block(item, turn.talk.next_document))
        elif item.strip():
            turn.others.append(text_block(item))


def _tool_return(part: ToolReturnPart, turn: _Turn) -> None:
    turn.results.append(_result(part, return_text(part), ""))


def _retry_prompt(part: RetryPromptPart, turn: _Turn) -> None:
    content = part.model_response()
    if part.tool_name is None:
        turn.others.append(text_block(content))
    else:
        turn.results.append(_result(part, content, ',"status":"error"'))


def _result(part: Union[ToolReturnPart, RetryPromptPart], content: str, status: str) -> str:
    said = text_block(content) if content.strip() else ""  # no block may be blank
    return f'{{"toolResult":{{"toolUseId":{_call_id(part)},"content":[{said}]{status}}}}}'


_REQUEST_PARTS: dict[type, Callable[[Any, _Turn], None]] = {
    SystemPromptPart: _system_prompt,
    UserPromptPart: _user_prompt,
    ToolReturnPart: _tool_return,
    RetryPromptPart: _retry_prompt,
}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_.:-]")
_LONGEST_ID = 64


def _call_id(part: Union[ToolCallPart, ToolReturnPart, RetryPromptPart]) -> str:
    """The call's id in the letters and the length that the API takes; other providers' ids may differ."""
    identifier = part.tool_call_id
    if not identifier:
        raise UserError(
            f"Bedrock requires `tool_call_id` to be set: the {type(part).__name__} of {part.tool_name!r} has none. "
            "Give each call and its answer in message_history the same id."
        )
    if len(identifier) > _LONGEST_ID:
        identifier = sha256(identifier.encode("utf-8", "backslashreplace")).hexdigest()
    return '"' + _NOT_IN_IDS.sub("_", identifier) + '"'


# --- responses -------------------------------------------------------------------------------------


class _Answer:
    """
    What the parts of one response come to.

    Attributes:
        blocks: all of them.
        spoken: how many there are without thinking at the end, which the API does not take there.
    """

    __slots__ = ("blocks", "own_thinking", "provider_name", "spoken", "talk")

    def __init__(self, talk: Conversation, provider_name: str, own_thinking: bool) -> None:
        self.blocks: list[str] = []
        self.own_thinking = own_thinking
        self.provider_name = provider_name
        self.spoken = 0
        self.talk = talk

    def say(self, block: str) -> None:
        self.blocks.append(block)
        self.spoken = len(self.blocks)

    def is_ours(self, provider_name: Optional[str]) -> bool:
        return provider_name is not None and provider_name == self.provider_name


def _text(part: TextPart, answer: _Answer) -> None:
    if part.content.strip():
        answer.say(text_block(part.content))


def _thinking(part: ThinkingPart, answer: _Answer) -> None:
    """Bedrock serves models of many vendors, each of which checks signatures of its own."""
    if part.signature and answer.own_thinking and answer.is_ours(part.provider_name):
        answer.blocks.append(
            f'{{"reasoningContent":{{"reasoningText":{{"text":{quote(part.content)},'
            f'"signature":{quote(part.signature)}}}}}}}'
        )


def _tool_call(part: ToolCallPart, answer: _Answer) -> None:
    try:
        args = part.args_as_dict()
    except (ValueError, RecursionError):
        args = {"invalid_json": part.args}  # the API takes objects only, and the model is to see what it wrote
    answer.talk.called[part.tool_name] = None
    answer.say(
        f'{{"toolUse":{{"toolUseId":{_call_id(part)},"name":{quote(part.tool_name)},"input":{dump_str(args)}}}}}'
    )


def _opaque(part: OpaquePart, answer: _Answer) -> None:
    if not answer.is_ours(part.provider_name):
        return
    if "reasoningContent" not in part.data:
        answer.say(dump_str(part.data))
    elif answer.own_thinking:
        answer.blocks.append(dump_str(part.data))


_RESPONSE_PARTS: dict[type, Callable[[Any, _Answer], None]] = {
    TextPart: _text,
    ThinkingPart: _thinking,
    ToolCallPart: _tool_call,
    OpaquePart: _opaque,
}
