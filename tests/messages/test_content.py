"""Images, sounds, videos and documents: their media types, and reading them from files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import AudioUrl, BinaryContent, DocumentUrl, ImageUrl, VideoUrl

_OFFICE = "application/vnd.openxmlformats-officedocument."


@pytest.mark.parametrize(
    ("url", "media_type"),
    [
        (ImageUrl("http://x/a.jpg"), "image/jpeg"),
        (ImageUrl("http://x/a.b.JPEG?size=3.png"), "image/jpeg"),
        (ImageUrl("a.png#x.gif"), "image/png"),
        (ImageUrl("a.gif"), "image/gif"),
        (ImageUrl("a.webp"), "image/webp"),
        (AudioUrl("a.mp3"), "audio/mpeg"),
        (AudioUrl("a.wav?x"), "audio/wav"),
        (VideoUrl("http://x/a.MP4?b=c.mov"), "video/mp4"),
        (VideoUrl("s3://x/a.mov"), "video/quicktime"),
        (VideoUrl("a.webm"), "video/webm"),
        (VideoUrl("a.mkv"), "video/x-matroska"),
        (VideoUrl("a.flv"), "video/x-flv"),
        (VideoUrl("a.mpeg"), "video/mpeg"),
        (VideoUrl("a.mpg"), "video/mpeg"),
        (VideoUrl("a.wmv"), "video/x-ms-wmv"),
        (VideoUrl("a.3gp"), "video/3gpp"),
        (VideoUrl("https://youtu.be/abc?t=3"), "video/mp4"),
        (VideoUrl("https://WWW.YouTube.com/watch?v=abc"), "video/mp4"),
        (VideoUrl("https://m.youtube.com/watch?v=abc.mov"), "video/mp4"),
        (VideoUrl("http://youtube.com/watch?v=abc"), "video/mp4"),
        (DocumentUrl("http://x/a.pdf#page=2"), "application/pdf"),
        (DocumentUrl("a.md"), "text/markdown"),
        (DocumentUrl("a.csv?v=1.0"), "text/csv"),
        (DocumentUrl("a.docx"), f"{_OFFICE}wordprocessingml.document"),
        (DocumentUrl("a.json"), "application/json"),
    ],
)
def test_media_type_by_suffix(url: Any, media_type: str) -> None:
    """The media type is told by the suffix of the path, in any case; query and fragment do not count."""
    assert url.media_type == media_type


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        (ImageUrl("http://x/a.bmp"), ValueError, "Unknown image file extension: http://x/a.bmp"),
        (ImageUrl("a.mp3"), ValueError, "Unknown image file extension: a.mp3"),
        (AudioUrl("a"), ValueError, "Unknown audio file extension: a"),
        (VideoUrl("http://x/a.gif"), ValueError, "Unknown video file extension: http://x/a.gif"),
        (VideoUrl("https://youtu.be/"), ValueError, "Unknown video file extension: https://youtu.be/"),
        (VideoUrl("https://youtube.com/feed"), ValueError, "Unknown video file extension: https://youtube.com/feed"),
        (VideoUrl("https://h/youtu.be/a"), ValueError, "Unknown video file extension: https://h/youtu.be/a"),
        (VideoUrl("https://notyoutu.be/a"), ValueError, "Unknown video file extension: https://notyoutu.be/a"),
        (VideoUrl("http://[x/a"), ValueError, "Unknown video file extension: http://[x/a"),
        (DocumentUrl("http://x/a.nothing"), RuntimeError, "Unknown document file extension: http://x/a.nothing"),
        (DocumentUrl("a.csv.gz"), RuntimeError, "Unknown document file extension: a.csv.gz"),
    ],
)
def test_unknown_suffix(url: Any, error: type[Exception], text: str) -> None:
    """A suffix that is not known is an error with the address."""
    with pytest.raises(error) as raised:
        _ = url.media_type
    assert str(raised.value) == text


_FORMATS = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "3gp",
    "text/csv": "csv",
    "application/msword": "doc",
    f"{_OFFICE}wordprocessingml.document": "docx",
    "text/html": "html",
    "text/markdown": "md",
    "application/pdf": "pdf",
    "text/plain": "txt",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}spreadsheetml.sheet": "xlsx",
}


@pytest.mark.parametrize(("media_type", "name"), _FORMATS.items())
def test_formats(media_type: str, name: str) -> None:
    """Every known media type has its short name, and is one of image, sound, video and document."""
    content = BinaryContent(b"", media_type)
    assert content.format == name
    assert [content.is_image, content.is_audio, content.is_video, content.is_document].count(True) == 1
    assert content.is_image == media_type.startswith("image/")
    assert content.is_audio == media_type.startswith("audio/")
    assert content.is_video == media_type.startswith("video/")
    if content.is_document:
        assert DocumentUrl(f"http://x/a.{name}").format == name


@pytest.mark.parametrize("media_type", ["image/tiff", "video/ogg", "application/zip", ""])
def test_unknown_media_type(media_type: str) -> None:
    """A media type without a short name is a ValueError that names it."""
    content = BinaryContent(b"", media_type)
    assert not content.is_document
    with pytest.raises(ValueError, match=f"^Unknown media type: {media_type}$"):
        _ = content.format


@pytest.mark.parametrize("media_type", ["My doctor said", "image/ My doctor", "a" * 41, "image/" + "a" * 81])
def test_media_types_that_are_none(media_type: str) -> None:
    """What does not look like a media type may be anything somebody said: the error leaves it out."""
    with pytest.raises(ValueError, match=r"^Unknown media type: \(left out\)$"):
        _ = BinaryContent(b"", media_type).format


def test_repr_holds_no_bytes() -> None:
    """The repr says how many bytes there are, not which."""
    assert repr(BinaryContent(b"secret", "text/plain")) == (
        "BinaryContent(data=<6 bytes>, media_type='text/plain', kind='binary')"
    )


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.webp", "image/webp"), ("a.wav", "audio/wav"), ("a.DOCX", f"{_OFFICE}wordprocessingml.document")],
)
def test_from_path(tmp_path: Path, name: str, media_type: str) -> None:
    """A file is read with the media type of its suffix, the same on every machine; paths and texts will do."""
    path = tmp_path / name
    path.write_bytes(b"12345")
    for given in (path, str(path)):
        assert BinaryContent.from_path(given) == BinaryContent(b"12345", media_type)


def test_from_path_refuses(tmp_path: Path) -> None:
    """A file that is too large, or of a suffix that says nothing, is a ValueError that says what to do."""
    path = tmp_path / "a.png"
    path.write_bytes(b"12345")
    assert BinaryContent.from_path(path, max_bytes=5).data == b"12345"
    with pytest.raises(ValueError, match="larger than 4 bytes; raise max_bytes"):
        BinaryContent.from_path(path, max_bytes=4)
    with pytest.raises(ValueError, match="not known by its suffix; give both yourself"):
        BinaryContent.from_path(tmp_path / "a.unheard")
    with pytest.raises(FileNotFoundError):
        BinaryContent.from_path(tmp_path / "missing.png")


class Upload(io.BytesIO):
    """What web frameworks hand in: a file with names of their own for its name and type."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(b"data")
        for name, value in attributes.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    ("upload", "media_type"),
    [
        (Upload(content_type="image/png", name="x"), "image/png"),  # Django
        (Upload(mimetype="text/csv", content_type=None, filename="x"), "text/csv"),  # Werkzeug
        (Upload(content_type="text/html; charset=utf-8"), "text/html"),
        (Upload(name="/tmp/a.webp"), "image/webp"),  # noqa: S108 - nothing is there
        (Upload(content_type="", filename="a.pdf", name=3), "application/pdf"),
    ],
)
def test_from_file(upload: Any, media_type: str) -> None:
    """An upload is read with the media type that it says, else with that of its name."""
    assert BinaryContent.from_file(upload) == BinaryContent(b"data", media_type)


def test_from_file_refuses() -> None:
    """An upload that is too large, says no type, or is open as text, is a ValueError that says what to do."""
    with pytest.raises(ValueError, match=r"'a\.png' is larger than 3 bytes"):
        BinaryContent.from_file(Upload(name="a.png"), max_bytes=3)
    with pytest.raises(ValueError, match="'upload' says no media type"):
        BinaryContent.from_file(Upload())
    text = io.StringIO("data")
    text.name = "a.txt"  # type: ignore[attr-defined] # as open() does it
    with pytest.raises(ValueError, match=r"'a\.txt' is open as text; open it for bytes"):
        BinaryContent.from_file(text)
