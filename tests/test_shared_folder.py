"""The shared recordings are found, skipped with a reason, or missed aloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import shared_folder as module


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shared folder with two recordings."""
    (tmp_path / "openai").mkdir()
    for name in ("b.json", "a.json"):
        (tmp_path / "openai" / name).write_text("{}", encoding="utf-8")
    monkeypatch.setattr(module, "_SHARED", tmp_path)
    monkeypatch.setattr(module, "_REQUIRED", False)
    return tmp_path


def test_folder_that_exists(recordings: Path) -> None:
    """A folder that is there is returned."""
    assert module.shared_folder("openai") == recordings / "openai"


def test_folder_that_is_missing_skips(recordings: Path) -> None:
    """A folder that is not there skips the test, and the reason names the variable to set."""
    with pytest.raises(pytest.skip.Exception, match="set SYNCAGENT_SHARED"):
        module.shared_folder("groq")


def test_folder_that_is_missing_fails_where_required(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the recordings are required, a missing folder is a failure and no skip."""
    monkeypatch.setattr(module, "_REQUIRED", True)
    with pytest.raises(pytest.fail.Exception, match="SYNCAGENT_REQUIRE_SHARED=1 is set"):
        module.shared_folder("groq")


def test_files_come_in_a_stable_order(recordings: Path) -> None:
    """Each file is one parameter, sorted, named by its path."""
    assert [case.id for case in module.shared_files("openai")] == ["a.json", "b.json"]


def test_files_that_are_missing_skip(recordings: Path) -> None:
    """No file is one parameter that skips, never an empty list that tests nothing unseen."""
    (case,) = module.shared_files("groq")
    assert [mark.name for mark in case.marks] == ["skip"]


def test_files_that_are_missing_fail_where_required(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the recordings are required, no file is an error while collecting."""
    monkeypatch.setattr(module, "_REQUIRED", True)
    with pytest.raises(FileNotFoundError, match=r"no \*\*/\*\.json below"):
        module.shared_files("groq")
