"""
The exchanges of the chat wire.

Those in ``openai`` are written after the API's reference, those in ``llamacpp`` were recorded from the embedded
model's server.
"""

from __future__ import annotations

from pathlib import Path

from syncagent.models.chat import ChatWire
from tests.wires.exchanges import check_request, check_response, every_exchange

every_chat_exchange = every_exchange("llamacpp", "openai")


@every_chat_exchange
def test_request(folder: Path) -> None:
    """The messages are written as the expected body."""
    check_request(folder, ChatWire)


@every_chat_exchange
def test_response(folder: Path) -> None:
    """The answer is read as the expected response."""
    check_response(folder, ChatWire)
