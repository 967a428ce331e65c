"""
Whole exchanges with Google's generateContent, as data.

Each file in ``google`` holds one, written after the page that its ``source`` names: ``messages`` and ``call`` (tools,
settings, provider, model) are what goes in, ``request`` is the body that has to come of it, ``response`` or the
``events`` of a stream the answer, ``expected`` what has to be read out of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import ModelMessagesTypeAdapter
from syncagent.models.base import StreamedResponse
from syncagent.models.gemini import GeminiModel, GeminiWire
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.transport.sse import Frame

_FILES = sorted((Path(__file__).parent / "google").glob("*.json"))

every_exchange = pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)


def _load(path: Path) -> dict[str, Any]:
    exchange: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return exchange


@every_exchange
def test_request(path: Path) -> None:
    """The messages are written as the expected body."""
    exchange = _load(path)
    call = exchange["call"]
    settings, provider, name = call.pop("settings", {}), call.pop("provider"), call.pop("model")
    call["function_tools"] = [ToolDefinition(**tool) for tool in call.get("function_tools", [])]
    messages = ModelMessagesTypeAdapter.validate_python(exchange["messages"])
    model = GeminiModel(name, provider=provider)
    quirks = {**model.provider.row.quirks, **model.profile.quirks}
    parameters = ModelRequestParameters(**call)
    streamed = "events" in exchange
    asked = ModelCall(name, messages, settings, parameters, model.profile, streamed, provider, quirks)
    assert json.loads(model.wire.encode(asked).body) == exchange["request"]


@every_exchange
def test_response(path: Path) -> None:
    """The answer is read as the expected response."""
    exchange = _load(path)
    provider, expected = exchange["call"]["provider"], exchange["expected"]
    wire = GeminiWire(provider)
    if "events" in exchange:
        frames = [Frame("", json.dumps(event).encode()) for event in exchange["events"]]
        stream = StreamedResponse(wire.decode_stream(iter(frames)), model_name="asked", provider_name=provider)
        assert list(stream)
        assert stream.info.complete
        response = stream.get()
    else:
        response = wire.decode(exchange["response"])
    (dumped,) = json.loads(ModelMessagesTypeAdapter.dump_json([response]))
    assert dumped.pop("provider_name") == provider
    assert dumped.pop("kind") == "response"
    read = {key: dumped[key] for key in dumped if key in expected or key != "timestamp"}
    usage = {key: value for key, value in read.pop("usage").items() if value}
    wanted = {key: value for key, value in expected.pop("usage").items() if value}
    assert (read, usage) == (expected, wanted)


def test_there_are_exchanges() -> None:
    """The files are there, each with the page that it was written after."""
    assert len(_FILES) >= 6
    for path in _FILES:
        assert _load(path)["source"].startswith("https://")
