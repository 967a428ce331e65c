"""What a user says, written as the pieces of content that OpenAI-compatible chat takes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from json.encoder import encode_basestring as quote
from typing import TYPE_CHECKING, Any, Union

from ..exceptions import UserError
from ..messages import AudioUrl, BinaryContent, CachePoint, DocumentUrl, ImageUrl, VideoUrl
from ._tables import by_base
from ._words import quoted_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .wire import ModelCall

__all__ = ["content_pieces"]


def content_pieces(content: Sequence[Any], call: ModelCall) -> str:
    """
    The list of pieces, as JSON.

    Raises:
        UserError: the API has no place for a kind of content.
    """
    pieces = [
        (_USER_CONTENT.get(item.__class__) or by_base(_USER_CONTENT, item))(item, call)
        for item in content
        if item.__class__ is not CachePoint
    ]
    return "[" + ",".join(pieces) + "]"


def _said(item: str, call: ModelCall) -> str:
    return '{"type":"text","text":' + quote(item) + "}"


def _image(item: ImageUrl, call: ModelCall) -> str:
    return '{"type":"image_url","image_url":{"url":' + quote(item.url) + "}}"


def _binary(item: BinaryContent, call: ModelCall) -> str:
    data = base64.b64encode(item.data).decode("ascii")
    kind, quirks = item.media_type, call.quirks
    address = quote(f"data:{kind};base64,{data}")
    if kind.startswith("image/"):
        return f'{{"type":"image_url","image_url":{{"url":{address}}}}}'
    if quirks.get("images_only"):
        _refuse(f"BinaryContent of the type {quoted_type(kind)}")
    if kind in _SOUNDS:
        if quirks.get("plain_audio"):
            return f'{{"type":"input_audio","input_audio":"{data}"}}'
        return f'{{"type":"input_audio","input_audio":{{"data":"{data}","format":"{_SOUNDS[kind]}"}}}}'
    if kind.startswith("video/"):
        if quirks.get("video_url"):
            return f'{{"type":"video_url","video_url":{{"url":{address}}}}}'
        return _no_video(f"BinaryContent of the type {quoted_type(kind)}")
    if kind.startswith("audio/"):
        raise UserError(f"This API takes sound as wav or mp3; got BinaryContent of the type {quoted_type(kind)}.")
    if quirks.get("document_url"):
        return f'{{"type":"document_url","document_url":{address}}}'
    # The name is asked for; its ending is all that we know.
    name = quote(f"document.{item.format if item.is_document else kind.rpartition('/')[2] or 'bin'}")
    return f'{{"type":"file","file":{{"filename":{name},"file_data":{address}}}}}'


_SOUNDS = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav"}


def _document(item: DocumentUrl, call: ModelCall) -> str:
    if not call.quirks.get("document_url"):
        return _address(item, call)
    return '{"type":"document_url","document_url":' + quote(item.url) + "}"


def _audio(item: AudioUrl, call: ModelCall) -> str:
    if not call.quirks.get("plain_audio"):
        return _address(item, call)
    return '{"type":"input_audio","input_audio":' + quote(item.url) + "}"


def _video(item: VideoUrl, call: ModelCall) -> str:
    if call.quirks.get("video_url"):
        return '{"type":"video_url","video_url":{"url":' + quote(item.url) + "}}"
    if call.quirks.get("images_only"):
        _refuse(type(item).__name__)
    return _no_video(type(item).__name__)


def _no_video(what: str) -> str:
    raise UserError(
        f"This API takes no video; got {what}. Pass pictures of it as images, or ask a model that takes video: "
        "GeminiModel does."
    )


def _address(item: Union[AudioUrl, DocumentUrl], call: ModelCall) -> str:
    if call.quirks.get("images_only"):
        _refuse(type(item).__name__)
    raise UserError(
        f"This API takes addresses of images only; got {type(item).__name__}. "
        "Fetch the content yourself and pass BinaryContent(data, media_type)."
    )


def _refuse(what: str) -> None:
    raise UserError(f"This API takes text and images; got {what}. Pass its text, or ask a model that takes it.")


_USER_CONTENT: dict[type, Callable[[Any, ModelCall], str]] = {
    str: _said,
    ImageUrl: _image,
    BinaryContent: _binary,
    AudioUrl: _audio,
    VideoUrl: _video,
    DocumentUrl: _document,
}
