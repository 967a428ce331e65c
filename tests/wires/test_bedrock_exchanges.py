"""
The exchanges of Bedrock's Converse API, written after its documentation.

Each file holds one: ``call`` (model, tools, settings) and ``messages`` are what goes in, ``path`` and ``request`` what
has to come of it, ``response`` (or the ``events`` of a stream) the answer, and ``parts``, ``finish_reason``, ``usage``
and ``provider_details`` what has to be read out of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import ModelMessagesTypeAdapter
from syncagent.models.base import StreamedResponse
from syncagent.models.bedrock import BedrockConverseModel
from syncagent.models.wire import ModelCall
from syncagent.providers.bedrock import BedrockProvider
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.transport.eventstream import eventstream_frames
from tests.wires.eventstream import event

_FILES = sorted((Path(__file__).parent / "bedrock").glob("*.json"))

every_exchange = pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)


def _load(path: Path) -> tuple[dict[str, Any], BedrockConverseModel]:
    """The exchange, and the model that it is had with."""
    exchange = json.loads(path.read_text(encoding="utf-8"))
    provider = BedrockProvider(region_name="us-east-1")
    return exchange, BedrockConverseModel(exchange["call"].pop("model"), provider=provider)


@every_exchange
def test_request(path: Path) -> None:
    """The messages are written as the expected path and body."""
    exchange, model = _load(path)
    call = exchange["call"]
    settings, stream = call.pop("settings", {}), call.pop("stream", False)
    call["function_tools"] = [ToolDefinition(**tool) for tool in call.get("function_tools", [])]
    messages = ModelMessagesTypeAdapter.validate_python(exchange["messages"])
    profile = model.profile
    request = model.wire.encode(
        ModelCall(
            model.model_name,
            messages,
            settings,
            ModelRequestParameters(**call),
            profile,
            stream,
            "bedrock",
            profile.quirks,
        )
    )
    assert (request.method, request.path) == ("POST", exchange["path"])
    assert json.loads(request.body) == exchange["request"]


@every_exchange
def test_response(path: Path) -> None:
    """The answer is read as the expected response."""
    exchange, model = _load(path)
    if "events" in exchange:
        data = b"".join(event(name, body) for name, body in exchange["events"])
        stream = StreamedResponse(model.wire.decode_stream(eventstream_frames([data])), model_name="asked")
        assert list(stream) and stream.info.complete
        response = stream.get()
    else:
        response = model.wire.decode(exchange["response"])
    (read,) = json.loads(ModelMessagesTypeAdapter.dump_json([response]))
    for key in ("parts", "finish_reason", "usage", "provider_details"):
        if key in exchange:
            assert read[key] == exchange[key]


def test_there_are_exchanges() -> None:
    """The files are there, streamed ones and whole ones."""
    streamed = {path.stem for path in _FILES if path.stem.endswith("-streamed")}
    assert len(streamed) == 2 and len(_FILES) - len(streamed) == 4
