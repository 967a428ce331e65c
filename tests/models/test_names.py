"""Models by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from syncagent import models
from syncagent.exceptions import UserError
from syncagent.models.base import Model
from syncagent.models.names import KnownModelName, infer_model
from syncagent.models.openai import OpenAIModel
from syncagent.models.test import TestModel as _TestModel
from syncagent.providers.table import ROWS


@pytest.mark.parametrize(
    ("name", "provider", "model_name"),
    [
        ("openai:gpt-4o", "openai", "gpt-4o"),
        ("openai:ft:gpt-4o:org::id", "openai", "ft:gpt-4o:org::id"),
        ("deepseek:deepseek-chat", "deepseek", "deepseek-chat"),
        ("ollama:llama3.2:1b", "ollama", "llama3.2:1b"),
        ("openrouter:google/gemini-2.5-pro", "openrouter", "google/gemini-2.5-pro"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("gpt-4o:latest", "openai", "gpt-4o:latest"),
        ("o1", "openai", "o1"),
        ("o3-mini", "openai", "o3-mini"),
        ("local", "local", "local"),
        ("local:smollm2-135m", "local", "smollm2-135m"),
    ],
)
def test_names(name: str, provider: str, model_name: str) -> None:
    """A name is split at its first colon; names of OpenAI's models need no prefix."""
    model = infer_model(name)
    assert isinstance(model, OpenAIModel)
    assert (model.system, model.model_name) == (provider, model_name)


def test_test() -> None:
    """``test`` is the model that needs no provider."""
    assert isinstance(infer_model("test"), _TestModel)


def test_model() -> None:
    """A model stays as it is."""
    model = _TestModel()
    assert infer_model(model) is model


def test_local_file(tmp_path: Path) -> None:
    """``local:`` takes the path of a model file; one that is not there is refused at once."""
    path = tmp_path / "model.gguf"
    with pytest.raises(UserError, match="cannot be read"):
        infer_model(f"local:{path}")
    path.write_bytes(b"GGUF")
    assert infer_model(f"local:{path}").model_name == str(path)


@pytest.mark.parametrize("name", ["foo", "opnai:gpt-4o", "", ":", "openai:", "openai: ", "foo:gpt-4o", "local:"])
def test_unknown(name: str) -> None:
    """An unknown name is refused at once; the error says what names look like."""
    with pytest.raises(UserError) as raised:
        infer_model(name)
    assert str(raised.value).startswith(f"Unknown model: {name}. ")
    assert "such as 'openai:gpt-4o'" in str(raised.value)


@pytest.mark.parametrize("name", [None, 3, ["openai:gpt-4o"]])
def test_no_name(name: Any) -> None:
    """What is neither a name nor a model is refused by its type."""
    with pytest.raises(UserError, match=rf"got {type(name).__name__}\.$"):
        infer_model(name)


def test_known_names() -> None:
    """Every listed name has a known prefix, or needs none; the list is sorted and holds each once."""
    names = get_args(KnownModelName)
    assert list(names) == sorted(set(names))
    for name in names:
        assert isinstance(infer_model(name), Model)


def test_every_provider_is_listed() -> None:
    """The list has a name of every provider that is built."""
    assert {name.partition(":")[0] for name in get_args(KnownModelName) if ":" in name} >= set(ROWS)


def test_names_of_the_package() -> None:
    """Both names are had from ``syncagent.models`` as well."""
    assert models.infer_model is infer_model
    assert models.KnownModelName is KnownModelName
