"""What a user can say beside text: images, sounds, videos, documents, and where a cached prompt ends."""

import mimetypes
import os
import re
from typing import Any, Literal, Optional, Union

import attrs  # annotations are real objects here: converters read them from another module

__all__ = ["AudioUrl", "BinaryContent", "CachePoint", "DocumentUrl", "ImageUrl", "UserContent", "VideoUrl"]


@attrs.define
class ImageUrl:
    """
    The address of an image: jpg, jpeg, png, gif or webp.

    Args:
        url: the address.
        force_download: whether the bytes are sent, fetched here, also where the provider would fetch them itself.
    """

    url: str
    kind: Literal["image-url"] = "image-url"
    force_download: bool = attrs.field(default=False, kw_only=True, repr=False)

    @property
    def media_type(self) -> str:
        """The media type by the suffix of the address."""
        return _by_suffix(self.url, _IMAGES, "image")


@attrs.define
class AudioUrl:
    """
    The address of a sound: mp3 or wav.

    Args:
        url: the address.
        force_download: whether the bytes are sent, fetched here, also where the provider would fetch them itself.
    """

    url: str
    kind: Literal["audio-url"] = "audio-url"
    force_download: bool = attrs.field(default=False, kw_only=True, repr=False)

    @property
    def media_type(self) -> str:
        """The media type by the suffix of the address."""
        return _by_suffix(self.url, _AUDIO, "audio")


@attrs.define
class VideoUrl:
    """
    The address of a video: mp4, mov, webm, mkv, flv, mpeg, mpg, wmv or 3gp, or one of YouTube's.

    Args:
        url: the address.
        force_download: whether the bytes are sent, fetched here, also where the provider would fetch them itself.
    """

    url: str
    kind: Literal["video-url"] = "video-url"
    force_download: bool = attrs.field(default=False, kw_only=True, repr=False)

    @property
    def media_type(self) -> str:
        """The media type by the suffix of the address; ``video/mp4`` for YouTube's, which have none."""
        return "video/mp4" if _is_youtube(self.url) else _by_suffix(self.url, _VIDEOS, "video")


@attrs.define
class DocumentUrl:
    """
    The address of a document such as a PDF.

    Args:
        url: the address.
        force_download: whether the bytes are sent, fetched here, also where the provider would fetch them itself.
    """

    url: str
    kind: Literal["document-url"] = "document-url"
    force_download: bool = attrs.field(default=False, kw_only=True, repr=False)

    @property
    def media_type(self) -> str:
        """The media type by the suffix of the address."""
        media_type = _by_name(self.url)
        if media_type is None:
            raise RuntimeError(f"Unknown document file extension: {self.url}")
        return media_type

    @property
    def format(self) -> str:
        """The format's short name, such as ``pdf``."""
        return _document_format(self.media_type)


@attrs.define
class BinaryContent:
    """
    The bytes of an image, a sound, a video or a document.

    Args:
        data: the bytes.
        media_type: such as ``image/png``.
    """

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    media_type: str
    kind: Literal["binary"] = "binary"

    @classmethod
    def from_path(cls, path: Union[str, "os.PathLike[str]"], *, max_bytes: int = 20 * 2**20) -> "BinaryContent":
        """
        Read a file.

        Args:
            path: the file; its suffix gives the media type.
            max_bytes: the largest size that is read.

        Raises:
            ValueError: the file is larger, or its suffix is unknown.
        """
        media_type = _by_name(os.fspath(path))
        if media_type is None:
            raise ValueError(f"The media type of {os.fspath(path)!r} is not known by its suffix; give both yourself: "
                             "BinaryContent(data, media_type).")  # fmt: skip
        with open(path, "rb") as file:
            return cls(_read_limited(file, max_bytes, os.fspath(path)), media_type)

    @classmethod
    def from_file(cls, upload: Any, *, max_bytes: int = 20 * 2**20) -> "BinaryContent":
        """
        Read an uploaded file: Django's ``UploadedFile``, Werkzeug's ``FileStorage``, any open binary file.

        Args:
            upload: has ``read()`` and ``content_type`` or ``mimetype``, or a ``name`` or ``filename`` with a suffix.
            max_bytes: the largest size that is read.

        Raises:
            ValueError: the file is larger, or says no media type.
        """
        name = str(getattr(upload, "filename", None) or getattr(upload, "name", None) or "upload")
        media_type = getattr(upload, "content_type", None) or getattr(upload, "mimetype", None)
        media_type = (media_type or _by_name(name) or "").split(";")[0].strip()
        if not media_type:
            raise ValueError(f"The upload {name!r} says no media type and its name has no known suffix; "
                             "give both yourself: BinaryContent(data, media_type).")  # fmt: skip
        return cls(_read_limited(upload, max_bytes, name), media_type)

    @property
    def is_audio(self) -> bool:
        """Whether it is a sound."""
        return self.media_type.startswith("audio/")

    @property
    def is_image(self) -> bool:
        """Whether it is an image."""
        return self.media_type.startswith("image/")

    @property
    def is_video(self) -> bool:
        """Whether it is a video."""
        return self.media_type.startswith("video/")

    @property
    def is_document(self) -> bool:
        """Whether it is a document of a known kind."""
        return self.media_type in _DOCUMENTS

    @property
    def format(self) -> str:
        """The format's short name, such as ``png``."""
        if self.is_image or self.is_audio or self.is_video:
            for table in (_IMAGES, _AUDIO, _VIDEOS):
                for suffix, media_type in table.items():
                    if media_type == self.media_type and suffix != "jpg":
                        return suffix
        return _document_format(self.media_type)


@attrs.define
class CachePoint:
    """
    What was said up to here may be kept in the provider's prompt cache.

    Providers that keep no such points, or set their own, are not told of it.

    Args:
        ttl: how long it is kept: five minutes or an hour from its last use.
    """

    ttl: Literal["5m", "1h"] = "5m"
    kind: Literal["cache-point"] = "cache-point"


def _read_limited(file: Any, max_bytes: int, name: str) -> bytes:
    data = file.read(max_bytes + 1)
    if isinstance(data, str):
        raise ValueError(f"{name!r} is open as text; open it for bytes, with mode 'rb'.")
    if len(data) > max_bytes:
        raise ValueError(f"{name!r} is larger than {max_bytes} bytes; raise max_bytes if that is wanted.")
    return bytes(data)


_IMAGES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
}
_AUDIO = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_VIDEOS = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "flv": "video/x-flv",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "wmv": "video/x-ms-wmv",
    "3gp": "video/3gpp",
}
_TYPE = re.compile(r"(?:[a-z][a-z0-9.+-]{0,39}(?:/[a-z0-9][a-z0-9.+-]{0,79})?)?")
_YOUTUBE = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com"})
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}


def _suffix(url: str) -> str:
    return url.split("?")[0].split("#")[0].rpartition(".")[2].lower()


def _is_youtube(url: str) -> bool:
    host, _, path = url.partition("://")[2].partition("/")
    host = host.lower()
    return (host == "youtu.be" and path != "") or (host in _YOUTUBE and path.partition("?")[0] == "watch")


def _by_suffix(url: str, table: dict[str, str], what: str) -> str:
    try:
        return table[_suffix(url)]
    except KeyError:
        raise ValueError(f"Unknown {what} file extension: {url}") from None


def _by_name(name: str) -> Optional[str]:
    """The media type of a file or address; what the machine's own tables say comes last, for they differ."""
    suffix = _suffix(name)
    known = _IMAGES.get(suffix) or _AUDIO.get(suffix) or _VIDEOS.get(suffix)
    for media_type, document_suffix in _DOCUMENTS.items():
        known = media_type if document_suffix == suffix else known
    if known is not None:
        return known
    guess, compression = mimetypes.guess_type(f"name.{suffix}")
    return None if compression else guess


def _document_format(media_type: str) -> str:
    try:
        return _DOCUMENTS[media_type]
    except KeyError:
        known = media_type if _TYPE.fullmatch(media_type) else "(left out)"  # it may be anything somebody said
        raise ValueError(f"Unknown media type: {known}") from None


UserContent = Union[str, ImageUrl, AudioUrl, VideoUrl, DocumentUrl, BinaryContent, CachePoint]
"""One item of what a user says."""
