"""Names of local models: what they mean and what is wrong with the wrong ones."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import syncagent.local.catalog as catalog
from syncagent.exceptions import UserError
from syncagent.local.catalog import CATALOG, DEFAULT, resolve


@pytest.mark.parametrize("name", ["local", "", "local:", "local:local", DEFAULT, f"local:{DEFAULT}"])
def test_default(name: str) -> None:
    """Plain ``local`` is the model that can do the whole agent loop."""
    assert resolve(name) is CATALOG[DEFAULT]


def test_small_one() -> None:
    """The smaller model has a name of its own."""
    assert resolve("local:smollm2-135m") is CATALOG["smollm2-135m"]


@pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda entry: entry.name)
def test_entries_are_pinned(entry: catalog.ModelEntry) -> None:
    """Every entry pins its bytes, its packages and its address, and has its template beside the module."""
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.size > 10_000_000
    assert entry.packages and all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", package) for package in entry.packages)
    assert re.fullmatch(r"https://huggingface\.co/[\w.-]+/[\w.-]+/resolve/[0-9a-f]{40}/[\w.-]+\.gguf", entry.address)
    assert entry.address.endswith("/" + entry.file_name)
    assert entry.licence == "Apache-2.0"
    if entry.template is not None:
        assert Path(catalog.__file__).with_name(entry.template).is_file()


def test_own_file(tmp_path: Path) -> None:
    """A path is a model of its own; its name is the file's, and the path is absolute."""
    path = tmp_path / "my-model.gguf"
    path.write_bytes(b"GGUF....")
    entry = resolve(f"local:{path}")
    assert (entry.name, entry.path, entry.template) == ("my-model", path.resolve(), None)


def test_own_file_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` in a path is the user's home, and any ending is allowed where there is a folder."""
    monkeypatch.setenv("HOME" if os.name != "nt" else "USERPROFILE", str(tmp_path))
    (tmp_path / "weights").write_bytes(b"GGUF")
    assert resolve("local:~/weights").path == (tmp_path / "weights").resolve()


def test_missing_file(tmp_path: Path) -> None:
    """A path where nothing is, is refused with the path and the reason."""
    with pytest.raises(UserError, match=r"none\.gguf' cannot be read: No such file or directory\.$"):
        resolve(f"local:{tmp_path}/none.gguf")


def test_not_a_model(tmp_path: Path) -> None:
    """A file that is no model is refused with what it begins with."""
    path = tmp_path / "page.gguf"
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"is not a model file: it begins with b'<htm', a .gguf file with b'GGUF'"):
        resolve(str(path))


def test_unknown_name() -> None:
    """An unknown name is refused with the names that there are."""
    with pytest.raises(UserError) as raised:
        resolve("local:llama")
    assert raised.value.message == (
        "There is no local model 'llama'. Known are qwen2.5-coder-0.5b, smollm2-135m; "
        "any other is named by its file, as in 'local:/path/to/model.gguf'."
    )
