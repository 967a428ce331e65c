"""What models can do, by their names."""

from __future__ import annotations

import pytest

from syncagent.models.chat import QUIRKS
from syncagent.models.profiles import ModelProfile, infer_profile


@pytest.mark.parametrize("name", ["o1", "o1-mini", "o3", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5-2025-08"])
def test_reasoning_models(name: str) -> None:
    """OpenAI's reasoning models take no sampling settings, and their limit has another name."""
    quirks = infer_profile("openai", name).quirks
    assert quirks["max_tokens"] == "max_completion_tokens"
    assert "temperature" in quirks["unsendable"]
    assert quirks.keys() <= QUIRKS.keys()


@pytest.mark.parametrize("name", ["gpt-5-chat-latest", "gpt-5.1", "gpt-5.2-mini"])
def test_later_models(name: str) -> None:
    """Later ones take sampling settings again."""
    assert infer_profile("openai", name).quirks == {"max_tokens": "max_completion_tokens"}


@pytest.mark.parametrize(("provider", "name"), [("openai", "gpt-4o"), ("openai", "o10"), ("openrouter", "o1")])
def test_other_models(provider: str, name: str) -> None:
    """Of all others nothing special is known; a name counts for its provider only."""
    assert infer_profile(provider, name) == ModelProfile()


def test_local_models() -> None:
    """Local models have a limit, and get a result tool where there are function tools."""
    profile = infer_profile("local", "/models/model.gguf")
    assert (profile.result_mode, profile.native_with_tools) == ("tool", False)
    assert profile.settings == {"max_tokens": 512}
