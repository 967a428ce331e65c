"""Images, sounds, videos and documents in the form that Bedrock's Converse API takes them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from json.encoder import encode_basestring as quote
from typing import Any, Union

from ..exceptions import UserError
from ..messages import AudioUrl, BinaryContent, DocumentUrl, ImageUrl, VideoUrl
from ._tables import by_base
from ._words import quoted_type

__all__ = ["media_block", "text_block"]


def text_block(text: str) -> str:
    """The block of a text."""
    return '{"text":' + quote(text) + "}"


def media_block(item: Any, next_document: Callable[[], int]) -> str:
    """
    The block of what a user says beside text.

    Args:
        item: an image, a sound, a video, a document, or bytes of one of them.
        next_document: gives the number of a document's name.

    Raises:
        UserError: the API has no place for it.
    """
    block: str = (_MEDIA.get(item.__class__) or by_base(_MEDIA, item))(item, next_document)
    return block


def _binary(item: BinaryContent, next_document: Callable[[], int]) -> str:
    data = base64.b64encode(item.data).decode("ascii")
    return _block(item.media_type, f'{{"bytes":"{data}"}}', next_document)


def _address(item: Union[ImageUrl, AudioUrl, VideoUrl, DocumentUrl], next_document: Callable[[], int]) -> str:
    url = item.url
    if url.startswith("s3://"):
        try:
            kind = item.media_type
        except (ValueError, RuntimeError):
            raise UserError(
                f"Bedrock wants to know the format of a file in S3, and the address of the {type(item).__name__} has "
                "no suffix that says it, such as .png: rename the file, or pass BinaryContent(data, media_type)."
            ) from None
        return _block(kind, f'{{"s3Location":{{"uri":{quote(url)}}}}}', next_document)
    if url.startswith("data:"):
        head, comma, data = url[5:].partition(",")
        kind, _, encoding = head.partition(";")
        if not comma or encoding != "base64":
            raise UserError(f"A data address in {type(item).__name__} has the form 'data:image/png;base64,...'.")
        return _block(kind, f'{{"bytes":{quote(data)}}}', next_document)
    raise UserError(
        f"Bedrock fetches files in S3 only (s3://bucket/key); got {type(item).__name__} with another address. "
        "Fetch the content yourself and pass BinaryContent(data, media_type)."
    )


_MEDIA: dict[type, Callable[[Any, Callable[[], int]], str]] = {
    BinaryContent: _binary,
    ImageUrl: _address,
    AudioUrl: _address,
    VideoUrl: _address,
    DocumentUrl: _address,
}


def _block(media_type: str, source: str, next_document: Callable[[], int]) -> str:
    kind = media_type.partition(";")[0].strip().lower()
    found = _FORMATS.get(kind)
    if found is None:
        known = ", ".join(_FORMATS)
        raise UserError(f"Bedrock has no place for content of the type {quoted_type(media_type)}. It takes {known}.")
    block, name = found
    if block == "document":
        # The model sees the name, and the API wants no two of them alike.
        return f'{{"document":{{"name":"Document {next_document()}","format":"{name}","source":{source}}}}}'
    return f'{{"{block}":{{"format":"{name}","source":{source}}}}}'


# The formats of https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
_FORMATS: dict[str, tuple[str, str]] = {
    "image/png": ("image", "png"),
    "image/jpeg": ("image", "jpeg"),
    "image/gif": ("image", "gif"),
    "image/webp": ("image", "webp"),
    "application/pdf": ("document", "pdf"),
    "text/csv": ("document", "csv"),
    "application/msword": ("document", "doc"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("document", "docx"),
    "application/vnd.ms-excel": ("document", "xls"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ("document", "xlsx"),
    "text/html": ("document", "html"),
    "text/plain": ("document", "txt"),
    "text/markdown": ("document", "md"),
    "video/x-matroska": ("video", "mkv"),
    "video/quicktime": ("video", "mov"),
    "video/mp4": ("video", "mp4"),
    "video/webm": ("video", "webm"),
    "video/x-flv": ("video", "flv"),
    "video/mpeg": ("video", "mpeg"),
    "video/x-ms-wmv": ("video", "wmv"),
    "video/3gpp": ("video", "three_gp"),
    "audio/mpeg": ("audio", "mp3"),
    "audio/wav": ("audio", "wav"),
    "audio/x-wav": ("audio", "wav"),
    "audio/ogg": ("audio", "ogg"),
    "audio/flac": ("audio", "flac"),
    "audio/aac": ("audio", "aac"),
    "audio/mp4": ("audio", "mp4"),
    "audio/webm": ("audio", "webm"),
    "audio/opus": ("audio", "opus"),
}
