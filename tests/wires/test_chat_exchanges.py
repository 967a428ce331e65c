"""
Whole exchanges of the chat wire, as data.

Each folder below this one's holds one: ``messages.json`` and ``call.json`` (tools, settings, provider) are what
goes in, ``request.json`` is the body that has to come of it, ``response.json`` or ``response.sse`` the answer,
``parts.json`` the response that has to be read out of it. Those in ``openai`` are written after the API's
reference, those in ``llamacpp`` were recorded from the embedded model's server.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import ModelMessagesTypeAdapter
from syncagent.models.base import StreamedResponse
from syncagent.models.chat import ChatWire
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.transport.sse import sse_frames

_FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/*/messages.json"))

every_exchange = pytest.mark.parametrize("folder", _FOLDERS, ids=lambda path: f"{path.parent.name}-{path.name}")


def parameters_of(call: dict[str, Any]) -> tuple[ModelRequestParameters, dict[str, Any], str, dict[str, Any]]:
    """Parameters, settings, provider and quirks out of a ``call.json``."""
    call = dict(call)
    settings, provider, quirks = call.pop("settings", {}), call.pop("provider", "openai"), call.pop("quirks", {})
    for key in ("function_tools", "result_tools"):
        call[key] = [ToolDefinition(**tool) for tool in call.get(key, [])]
    return ModelRequestParameters(**call), settings, provider, quirks


def _load(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


@every_exchange
def test_request(folder: Path) -> None:
    """The messages are written as the expected body."""
    parameters, settings, provider, quirks = parameters_of(_load(folder, "call"))
    messages = ModelMessagesTypeAdapter.validate_python(_load(folder, "messages"))
    expected = _load(folder, "request")
    streamed = expected.get("stream", False)
    call = ModelCall(expected["model"], messages, settings, parameters, ModelProfile(), streamed, provider, quirks)
    assert json.loads(ChatWire(provider, quirks).encode(call).body) == expected


@every_exchange
def test_response(folder: Path) -> None:
    """The answer is read as the expected response."""
    _, _, provider, quirks = parameters_of(_load(folder, "call"))
    wire, expected = ChatWire(provider, quirks), _load(folder, "parts")
    recorded = folder / "response.sse"
    if recorded.exists():
        stream = StreamedResponse(
            wire.decode_stream(sse_frames([recorded.read_bytes()])),
            model_name="asked",
            provider_name=provider,
            timestamp=dt.datetime.fromtimestamp(0, dt.timezone.utc),
        )
        for _ in stream:
            pass
        response = stream.get()
    else:
        response = wire.decode(_load(folder, "response"))
    assert json.loads(ModelMessagesTypeAdapter.dump_json([response])) == [expected]


def test_there_are_exchanges() -> None:
    """The folders are there."""
    assert {folder.parent.name for folder in _FOLDERS} == {"llamacpp", "openai"}
