"""URL parts whose bytes are sent: fetched once, under the run's rules, without changing the caller's messages."""

from __future__ import annotations

import base64
import copy
import gc
import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from syncagent import Agent
from syncagent.deadline import Deadline
from syncagent.exceptions import ModelResponseError, RunCancelled, UserError
from syncagent.messages import (
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
    VideoUrl,
)
from syncagent.models import ModelRequestParameters, _inline, override_allow_model_requests
from syncagent.models._inline import inlined
from syncagent.models.chat import ChatWire
from syncagent.models.wire_model import WireModel
from syncagent.providers.openai import OpenAIProvider
from syncagent.transport.download import DownloadRules
from tests.faultserver import FaultServer, Peer, Request

_RULES = DownloadRules(allow=["127.0.0.1"])
_DONE = json.dumps({"choices": [{"message": {"content": "Hey."}, "finish_reason": "stop"}]}).encode()
_TYPES = {".png": "image/png", ".wav": "audio/wav", ".pdf": "application/pdf", ".bin": "application/octet-stream"}


def _serve(peer: Peer, request: Request) -> None:
    """Files by GET, the chat API by POST."""
    if request.method == "POST":
        peer.answer(_DONE)
    else:
        path = request.path.partition("?")[0]
        suffix = "." + request.path.rpartition("as=")[2] if "as=" in request.path else path[-4:]
        peer.answer(path.encode(), "200 OK", f"Content-Type: {_TYPES.get(suffix, 'text/html')}")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Files and the chat API."""
    _inline._kept.clear()
    with FaultServer(_serve) as running:
        yield running
    _inline._kept.clear()


def _fetched(server: FaultServer) -> list[str]:
    return [request.path for request in server.requests if request.method == "GET"]


def _inlined(messages: list[ModelMessage], *kinds: str, rules: DownloadRules = _RULES) -> list[ModelMessage]:
    return inlined(messages, kinds, rules, Deadline(), "m")


class _InliningWire(ChatWire):
    inline = frozenset({"image-url"})


def _model(server: FaultServer) -> WireModel:
    model = WireModel("m", _InliningWire(), OpenAIProvider(f"{server.origin}/v1", "k"))
    model.downloads = _RULES
    return model


def test_nothing_to_fetch_costs_nothing() -> None:
    """Where no part is wanted, the same list comes back."""
    messages: list[ModelMessage] = [
        ModelRequest([SystemPromptPart("Be kind."), UserPromptPart("Hi")]),
        ModelResponse([TextPart("Hey.")]),
        ModelRequest([UserPromptPart(["See", ImageUrl("https://x.example/a.png"), BinaryContent(b"", "image/png")])]),
    ]
    assert _inlined(messages) is messages
    assert _inlined(messages, "audio-url", "video-url", "document-url") is messages


def test_wanted_parts_are_replaced_in_a_copy(server: FaultServer) -> None:
    """The kinds that the wire names, and parts with ``force_download``; everything else stays what it was."""
    urls = [
        ImageUrl(f"{server.origin}/a.png"),
        AudioUrl(f"{server.origin}/b.wav"),
        DocumentUrl(f"{server.origin}/c.pdf", force_download=True),
    ]
    messages: list[ModelMessage] = [
        ModelRequest([SystemPromptPart("x"), UserPromptPart(["See", *urls]), UserPromptPart("text")]),
        ModelResponse([TextPart("Hey.")]),
        ModelRequest([UserPromptPart([ImageUrl(f"{server.origin}/d.png")])]),
    ]
    before = copy.deepcopy(messages)
    made = _inlined(messages, "image-url")
    assert messages == before
    assert made[1] is messages[1] and made[0].parts[0] is messages[0].parts[0]
    part = made[0].parts[1]
    assert isinstance(part, UserPromptPart) and part.timestamp == messages[0].parts[1].timestamp  # type: ignore[union-attr] # a prompt
    assert part.content == [
        "See",
        BinaryContent(b"/a.png", "image/png"),
        urls[1],
        BinaryContent(b"/c.pdf", "application/pdf"),
    ]
    assert made[2] == ModelRequest(
        [UserPromptPart([BinaryContent(b"/d.png", "image/png")], messages[2].parts[0].timestamp)]
    )  # type: ignore[union-attr] # a prompt
    assert _fetched(server) == ["/a.png", "/c.pdf", "/d.png"]


def test_a_part_is_fetched_once(server: FaultServer) -> None:
    """Each step of a run sends the history again; the bytes are kept while the part lives and says the same."""
    part = ImageUrl(f"{server.origin}/a.png")
    messages: list[ModelMessage] = [ModelRequest([UserPromptPart([part])])]
    assert _inlined(messages, "image-url") == _inlined(messages, "image-url")
    assert len(_fetched(server)) == 1
    part.url = f"{server.origin}/b.png"
    (made,) = _inlined(messages, "image-url")
    assert made.parts[0].content == [BinaryContent(b"/b.png", "image/png")]  # type: ignore[union-attr] # a prompt
    with pytest.raises(UserError, match="not public"):
        _inlined(messages, "image-url", rules=DownloadRules())
    assert len(_inline._kept) == 1
    (entry,) = _inline._kept.values()
    other = ImageUrl(part.url)
    _inline._keep(id(part), other, _RULES, BinaryContent(b"", "image/png"))  # another part in the same place
    del part, messages, made, entry
    gc.collect()
    assert len(_inline._kept) == 1
    del other
    gc.collect()
    assert _inline._kept == {}


def test_what_is_kept_is_bounded(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was fetched first is forgotten first; more than the bound is not kept at all."""
    monkeypatch.setattr(_inline, "_MOST_KEPT", 14)
    parts = [ImageUrl(f"{server.origin}/{name}.png") for name in "abc"]
    messages: list[ModelMessage] = [ModelRequest([UserPromptPart(parts)])]
    _inlined(messages, "image-url")
    assert [entry[2].data for entry in _inline._kept.values()] == [b"/b.png", b"/c.png"]
    monkeypatch.setattr(_inline, "_MOST_KEPT", 3)
    _inlined(messages, "image-url")
    assert _inline._kept == {}


def test_types(server: FaultServer) -> None:
    """The server's type counts, else the suffix; another kind than the part's is an error, unknown ones too."""

    def media_type(part: Any) -> str:
        (made,) = _inlined([ModelRequest([UserPromptPart([part])])], part.kind)
        content: Any = made.parts[0].content  # type: ignore[union-attr] # a prompt
        found: str = content[0].media_type
        return found

    assert media_type(ImageUrl(f"{server.origin}/a.jpg?as=png")) == "image/png"
    assert media_type(ImageUrl(f"{server.origin}/a.jpg?as=bin")) == "image/jpeg"
    assert media_type(DocumentUrl(f"{server.origin}/page")) == "text/html"
    assert media_type(VideoUrl(f"{server.origin}/a.mov?as=bin")) == "video/quicktime"
    with pytest.raises(ModelResponseError, match=r"expected video/\*, got the content type text/html"):
        media_type(VideoUrl(f"{server.origin}/page"))
    with pytest.raises(ModelResponseError, match=r"expected image/\*, got the content type text/html"):
        media_type(ImageUrl(f"{server.origin}/a.htm"))
    for part in (ImageUrl(f"{server.origin}/x?as=bin"), DocumentUrl(f"{server.origin}/x.qqq?as=bin")):
        with pytest.raises(UserError, match="neither by its server nor by its suffix"):
            media_type(part)


def test_a_model_sends_the_bytes(server: FaultServer) -> None:
    """In a run, streamed requests included, before the request is written."""
    agent = Agent(_model(server))
    prompt = ["What is it?", ImageUrl(f"{server.origin}/a.png")]
    result = agent.run_sync(prompt)
    body = json.loads(next(request.body for request in server.requests if request.method == "POST"))
    (_, image) = body["messages"][0]["content"]
    assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(b'/a.png').decode()}"
    assert isinstance(result.all_messages()[0].parts[0].content[1], ImageUrl)  # type: ignore[union-attr,index] # a prompt
    with agent.run_stream(prompt) as stream:
        assert stream.get_data() == "Hey."


def test_the_private_network_stays_closed(server: FaultServer) -> None:
    """Without an allow list nothing is connected, whatever a stored history says."""
    model = _model(server)
    del model.downloads
    stored = json.dumps(
        [
            {
                "kind": "request",
                "parts": [
                    {
                        "part_kind": "user-prompt",
                        "content": [
                            {"kind": "document-url", "url": f"{server.origin}/c.pdf", "force_download": "allow-local"}
                        ],
                    }
                ],
            }
        ]
    )
    messages = ModelMessagesTypeAdapter.validate_json(stored)
    with pytest.raises(UserError, match="not public"):
        model.request(messages, None, ModelRequestParameters())
    assert server.connections == 0


def test_the_switch_and_the_deadline(server: FaultServer) -> None:
    """Where requests are forbidden nothing is fetched; a stopped run fetches nothing."""
    model = _model(server)
    messages: list[ModelMessage] = [ModelRequest([UserPromptPart([ImageUrl(f"{server.origin}/a.png")])])]
    with override_allow_model_requests(False), pytest.raises(RuntimeError, match="not allowed"):
        model.request(messages, None, ModelRequestParameters())
    stopped = Deadline()
    stopped.cancel()
    with pytest.raises(RunCancelled):
        model.request(messages, None, ModelRequestParameters(deadline=stopped))
    assert server.connections == 0


@pytest.mark.parametrize("cls", [ImageUrl, AudioUrl, VideoUrl, DocumentUrl])
def test_force_download_in_json(cls: Any) -> None:
    """The key is written only where it is set, and read back; it is a keyword, and does not show in the repr."""
    for part in (cls("https://x.example/a.png"), cls("https://x.example/a.png", force_download=True)):
        messages: list[ModelMessage] = [ModelRequest([UserPromptPart([part])])]
        dumped = ModelMessagesTypeAdapter.dump_json(messages)
        assert (b"force_download" in dumped) is part.force_download
        assert ModelMessagesTypeAdapter.validate_json(dumped) == messages
        assert "force_download" not in repr(part)
    assert attrs.fields(cls).force_download.kw_only
