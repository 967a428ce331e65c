"""The local model for the whole module, or the reason why this machine cannot have it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator

import pytest

from syncagent import local
from syncagent.exceptions import UserError


def unable() -> str:
    """Why this machine cannot have the model; empty where it can."""
    if importlib.util.find_spec("xllamacpp") is None:
        python = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
        return f"{python} has no xllamacpp here: pip install 'syncagent[local]'"
    if os.environ.get("SYNCAGENT_LOCAL", "").lower() == "off":
        return "SYNCAGENT_LOCAL=off"
    return ""


@pytest.fixture(scope="module")
def served() -> Iterator[None]:
    """The model, fetched and served; one server for the module's tests."""
    reason = unable()
    if not reason:
        try:
            local.pull()
        except UserError as error:
            reason = error.message
    if reason:
        print(f"\nThe local model's tests are skipped: {reason}", file=sys.__stderr__)
        pytest.skip(reason)
    yield
    local.stop()
