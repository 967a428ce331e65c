"""
Whole exchanges as data, and what replays them.

Each folder of a provider's holds one: ``messages.json`` and ``call.json`` (tools, settings, provider, quirks) are
what goes in, ``request.json`` is the body that has to come of it, ``response.json`` or ``response.sse`` the answer,
``parts.json`` the response that has to be read out of it; without a time where the API tells none.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any, Callable

import pytest

from syncagent.messages import ModelMessagesTypeAdapter
from syncagent.models.base import StreamedResponse
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall, Wire
from syncagent.tools import ModelRequestParameters, ToolDefinition
from syncagent.transport.sse import sse_frames

__all__ = ["MakeWire", "check_request", "check_response", "every_exchange"]

MakeWire = Callable[[str, dict[str, Any]], Wire]
"""A wire of a provider's name and of the quirks of a ``call.json``; its own quirks, where it has any, hold."""


def every_exchange(*providers: str) -> pytest.MarkDecorator:
    """One test for each exchange of these providers' folders; a provider without any is a mistake."""
    found = {name: sorted(path.parent for path in Path(__file__).parent.glob(f"{name}/*/messages.json"))
             for name in providers}  # fmt: skip
    assert all(found.values()), f"no exchanges of {[name for name in providers if not found[name]]}"
    folders = [folder for name in providers for folder in found[name]]
    return pytest.mark.parametrize("folder", folders, ids=lambda path: f"{path.parent.name}-{path.name}")


def check_request(folder: Path, make_wire: MakeWire) -> None:
    """The messages are written as the expected body."""
    parameters, settings, provider, quirks = _parameters(_load(folder, "call"))
    messages = ModelMessagesTypeAdapter.validate_python(_load(folder, "messages"))
    expected = _load(folder, "request")
    streamed = expected.get("stream", False)
    wire = make_wire(provider, quirks)
    quirks = getattr(wire, "quirks", quirks)
    call = ModelCall(expected["model"], messages, settings, parameters, ModelProfile(), streamed, provider, quirks)
    assert json.loads(wire.encode(call).body) == expected


def check_response(folder: Path, make_wire: MakeWire) -> None:
    """The answer is read as the expected response."""
    _, _, provider, quirks = _parameters(_load(folder, "call"))
    wire, expected = make_wire(provider, quirks), _load(folder, "parts")
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
    (read,) = json.loads(ModelMessagesTypeAdapter.dump_json([response]))
    if "timestamp" not in expected:
        del read["timestamp"]
    assert read == expected


def _parameters(call: dict[str, Any]) -> tuple[ModelRequestParameters, dict[str, Any], str, dict[str, Any]]:
    """Parameters, settings, provider and quirks out of a ``call.json``."""
    call = dict(call)
    settings, provider, quirks = call.pop("settings", {}), call.pop("provider", "openai"), call.pop("quirks", {})
    for key in ("function_tools", "result_tools"):
        call[key] = [ToolDefinition(**tool) for tool in call.get(key, [])]
    return ModelRequestParameters(**call), settings, provider, quirks


def _load(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
