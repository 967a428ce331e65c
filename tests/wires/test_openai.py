"""
Whole exchanges of the chat wire, as data.

Each folder below ``openai`` holds one: ``messages.json`` and ``call.json`` (tools, settings, provider) are what
goes in, ``request.json`` is the body that has to come of it, ``response.json`` an answer in the words of the
API's reference, ``parts.json`` the response that has to be read out of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncagent.messages import ModelMessagesTypeAdapter
from syncagent.models.chat import ChatWire
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall
from syncagent.tools import ModelRequestParameters, ToolDefinition

_FOLDERS = sorted(path.parent for path in (Path(__file__).parent / "openai").glob("*/messages.json"))

every_exchange = pytest.mark.parametrize("folder", _FOLDERS, ids=lambda path: path.name)


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
    call = ModelCall("gpt-4o", messages, settings, parameters, ModelProfile(), False, provider, quirks)
    assert json.loads(ChatWire(provider, quirks).encode(call).body) == _load(folder, "request")


@every_exchange
def test_response(folder: Path) -> None:
    """The answer is read as the expected response."""
    _, _, provider, quirks = parameters_of(_load(folder, "call"))
    response = ChatWire(provider, quirks).decode(_load(folder, "response"))
    assert json.loads(ModelMessagesTypeAdapter.dump_json([response])) == [_load(folder, "parts")]


def test_there_are_exchanges() -> None:
    """The folders are there."""
    assert len(_FOLDERS) >= 8
