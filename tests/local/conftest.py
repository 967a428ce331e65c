"""A server package that is a fake, models that are a few bytes, and no cache but the test's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FAKE = Path(__file__).parent / "fake"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, empty and not made yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SYNCAGENT_CACHE", str(folder))
    return folder


@pytest.fixture
def fake_package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stand-in for xllamacpp on ``sys.path``; servers that are left are ended."""
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    yield
    from syncagent import local

    local.stop()


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., str]:
    """Makes a model file and gives its name: ``local:/path/to/model.gguf``."""

    def make(fault: str = "", name: str = "tiny") -> str:
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(b"GGUF" + json.dumps({"fault": fault}).encode())
        return f"local:{path}"

    return make
