"""
Where the recorded exchanges are.

They stand beside the repository (``../shared``), or where ``SYNCAGENT_SHARED`` points. A checkout
without them skips the tests that need them and says so; with ``SYNCAGENT_REQUIRE_SHARED=1`` (CI)
those tests fail instead, so that none is skipped unnoticed.

Both variables are read when this module is imported: the tests themselves run without them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

__all__ = ["find_shared", "shared_files", "shared_folder"]

_SHARED = Path(os.environ.get("SYNCAGENT_SHARED") or Path(__file__).resolve().parents[2] / "shared").absolute()
_REQUIRED = os.environ.get("SYNCAGENT_REQUIRE_SHARED") == "1"


def find_shared(*parts: str) -> Path:
    """
    Return the path of a shared file or folder, whether it exists or not.

    For code that runs while tests are collected, where skipping would take the whole module along.
    """
    return _SHARED.joinpath(*parts)


def shared_files(folder: str, pattern: str = "**/*.json") -> list[ParameterSet]:
    """
    Return one parameter for each shared file that matches, in a stable order, for ``parametrize``.

    Where the folder is missing or nothing matches, the one parameter returned skips its test, or
    the collection fails where ``SYNCAGENT_REQUIRE_SHARED=1`` is set.

    Args:
        folder: a folder below the shared one, with ``/`` between its parts.
        pattern: a glob below that folder.
    """
    root = find_shared(*folder.split("/"))
    found = sorted(path for path in root.glob(pattern) if path.is_file())
    if found:
        return [pytest.param(path, id=path.relative_to(root).as_posix()) for path in found]
    reason = f"no {pattern} below {root}; set SYNCAGENT_SHARED to the folder of recorded exchanges"
    if _REQUIRED:
        raise FileNotFoundError(f"SYNCAGENT_REQUIRE_SHARED=1 is set, but {reason}")
    return [pytest.param(root, id="missing", marks=pytest.mark.skip(reason=reason))]


def shared_folder(*parts: str) -> Path:
    """
    Return the path of a shared file or folder that exists.

    Args:
        parts: the path below the shared folder, for example ``"conformance", "openai"``.

    Raises:
        pytest.skip.Exception: it is not there, and nobody said that it has to be.
        pytest.fail.Exception: it is not there, and ``SYNCAGENT_REQUIRE_SHARED=1`` is set.
    """
    path = find_shared(*parts)
    if path.exists():
        return path
    reason = f"{path} is not there; set SYNCAGENT_SHARED to the folder of recorded exchanges"
    if _REQUIRED:
        pytest.fail(f"SYNCAGENT_REQUIRE_SHARED=1 is set, but {reason}", pytrace=False)
    pytest.skip(reason)
