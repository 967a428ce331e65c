"""
The exchanges of the Responses wire.

Those in ``responses/openai`` are written after the API's reference, those in ``responses/llamacpp`` were recorded
from the embedded model's server.
"""

from __future__ import annotations

from pathlib import Path

from syncagent.models.openai_responses import ResponsesWire
from tests.wires.exchanges import check_request, check_response, every_exchange

every_responses_exchange = every_exchange("responses/llamacpp", "responses/openai")


@every_responses_exchange
def test_request(folder: Path) -> None:
    """The messages are written as the expected body."""
    check_request(folder, ResponsesWire)


@every_responses_exchange
def test_response(folder: Path) -> None:
    """The answer is read as the expected response."""
    check_response(folder, ResponsesWire)
