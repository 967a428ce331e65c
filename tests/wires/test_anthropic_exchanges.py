"""The exchanges of Anthropic's Messages API, written after its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from syncagent.models.anthropic import AnthropicWire
from tests.wires.exchanges import check_request, check_response, every_exchange

every_messages_exchange = every_exchange("anthropic")


def _wire(provider: str, quirks: dict[str, Any]) -> AnthropicWire:
    return AnthropicWire(provider)


@every_messages_exchange
def test_request(folder: Path) -> None:
    """The messages are written as the expected body."""
    check_request(folder, _wire)


@every_messages_exchange
def test_response(folder: Path) -> None:
    """The answer is read as the expected response."""
    check_response(folder, _wire)
