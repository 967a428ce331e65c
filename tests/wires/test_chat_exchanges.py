"""
The exchanges of the chat wire, of what Mistral and Groq make of it, and of Cohere's.

Those in ``llamacpp`` were recorded from the embedded model's server, the others are written after their APIs'
references.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from syncagent.models.chat import ChatWire
from syncagent.models.names import infer_model
from syncagent.models.wire import Wire
from tests.wires.exchanges import check_request, check_response, every_exchange

every_chat_exchange = every_exchange("llamacpp", "openai")
every_other_exchange = every_exchange("cohere", "groq", "mistral")


def wire_of_row(provider: str, quirks: dict[str, Any]) -> Wire:
    """The wire of the provider's own model class, with the quirks of its row."""
    model: Any = infer_model(f"{provider}:m")
    wire: Wire = model.wire
    return wire


@every_chat_exchange
def test_request(folder: Path) -> None:
    """The messages are written as the expected body."""
    check_request(folder, ChatWire)


@every_chat_exchange
def test_response(folder: Path) -> None:
    """The answer is read as the expected response."""
    check_response(folder, ChatWire)


@every_other_exchange
def test_request_of_a_row(folder: Path) -> None:
    """The messages are written as the expected body, by the provider's own model class."""
    check_request(folder, wire_of_row)


@every_other_exchange
def test_response_of_a_row(folder: Path) -> None:
    """The answer is read as the expected response, by the provider's own model class."""
    check_response(folder, wire_of_row)
