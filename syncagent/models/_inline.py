"""URL parts that a provider does not fetch: replaced by their bytes before the request is written."""

from __future__ import annotations

import weakref
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Optional, Union

from ..exceptions import UserError
from ..messages import (
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    UserPromptPart,
    VideoUrl,
)

if TYPE_CHECKING:
    from ..deadline import Deadline
    from ..transport.download import DownloadRules

__all__ = ["inlined"]

_ACCEPT = {
    "image-url": ("image/*",),
    "audio-url": ("audio/*", "application/ogg"),
    "video-url": ("video/*",),
    "document-url": ("application/*", "text/*"),
}
_MOST_KEPT = 64 * 2**20
_URLS = (ImageUrl, AudioUrl, VideoUrl, DocumentUrl)
_Url = Union[ImageUrl, AudioUrl, VideoUrl, DocumentUrl]


def inlined(
    messages: list[ModelMessage],
    kinds: Collection[str],
    rules: Optional[DownloadRules],
    deadline: Deadline,
    model_name: str,
) -> list[ModelMessage]:
    """
    The messages with bytes in the place of URL parts of these kinds, and of those with ``force_download``.

    Neither the list nor a message is changed; where there is nothing to fetch, the same list comes back.

    Raises:
        UserError: an address is refused.
        ModelAPIError, DeadlineExceeded, RunCancelled: a download failed.
    """
    made = messages
    for index, message in enumerate(messages):
        if not isinstance(message, ModelRequest):
            continue
        for part in message.parts:
            if isinstance(part, UserPromptPart) and part.content.__class__ is not str and _wanted(part, kinds):
                break
        else:
            continue
        if made is messages:
            made = list(messages)
        parts: list[ModelRequestPart] = []
        for part in message.parts:
            if isinstance(part, UserPromptPart) and _wanted(part, kinds):
                part = UserPromptPart(
                    [
                        _fetched(item, rules, deadline, model_name)
                        if isinstance(item, _URLS) and _is_wanted(item, kinds)
                        else item
                        for item in part.content
                    ],
                    part.timestamp,
                )
            parts.append(part)
        made[index] = ModelRequest(parts)
    return made


def _wanted(part: UserPromptPart, kinds: Collection[str]) -> bool:
    return not isinstance(part.content, str) and any(_is_wanted(item, kinds) for item in part.content)


def _is_wanted(item: Any, kinds: Collection[str]) -> bool:
    """Addresses that are not HTTP's (``s3://``, ``data:``) are the wire's own affair."""
    return isinstance(item, _URLS) and (item.force_download or (item.kind in kinds and item.url[:4].lower() == "http"))


def _fetched(item: _Url, rules: Optional[DownloadRules], deadline: Deadline, model_name: str) -> BinaryContent:
    """The bytes behind *item*; a run sends its history again at each step, and shall not fetch it again."""
    from ..transport.download import DownloadRules, download

    rules = rules or DownloadRules()
    key = id(item)
    kept = _kept.get(key)
    if kept is not None and kept[0]() is item and kept[1] == (item.url, rules):
        return kept[2]
    found = download(
        item.url,
        deadline=deadline,
        max_bytes=rules.max_bytes,
        timeout=rules.timeout,
        allow=rules.allow,
        proxies=rules.proxies,
        accept=_ACCEPT[item.kind],
        model_name=model_name,
    )
    content = BinaryContent(found.data, found.media_type or _by_suffix(item))
    _keep(key, item, rules, content)
    return content


def _by_suffix(item: _Url) -> str:
    try:
        return item.media_type
    except (ValueError, RuntimeError):
        raise UserError(
            "The media type of a URL is told neither by its server nor by its suffix; fetch it yourself and send "
            "BinaryContent(data, media_type)."
        ) from None


# By the part's place in memory, for as long as it lives: parts have no hash, since they can be changed.
_kept: dict[int, tuple[weakref.ref[Any], Any, BinaryContent]] = {}


def _keep(key: int, item: _Url, rules: DownloadRules, content: BinaryContent) -> None:
    def forget(reference: weakref.ref[Any]) -> None:
        kept = _kept.get(key)
        if kept is not None and kept[0] is reference:
            _kept.pop(key, None)

    _kept.pop(key, None)  # to the end: what was fetched first is forgotten first
    _kept[key] = (weakref.ref(item, forget), (item.url, rules), content)
    entries = list(_kept.items())
    size = sum(len(entry[2].data) for _, entry in entries)
    for old, entry in entries:
        if size <= _MOST_KEPT:
            break
        _kept.pop(old, None)
        size -= len(entry[2].data)
