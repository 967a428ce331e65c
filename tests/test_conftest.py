"""A developer's machine does not shine through into the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]

_INNER = '''
import os

import pytest


def test_nothing_shines_through():
    assert [name for name in os.environ if name in {foreign}] == []


@pytest.mark.local_model
def test_model_cache_is_shared():
    assert os.environ["SYNCAGENT_CACHE"] == "/somewhere"
    assert "SYNCAGENT_LOCAL_URL" not in os.environ


def test_recordings_are_required(shared):
    pass
'''
_FOREIGN = {
    "AWS_ACCESS_KEY_ID": "canary",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "OPENAI_API_KEY": "canary",
    "SOME_NEW_PROVIDER_API_KEY": "canary",
    "SYNCAGENT_CACHE": "/somewhere",
    "SYNCAGENT_LOCAL_URL": "http://127.0.0.1:9",
    "SYNCAGENT_MODEL": "openai:gpt-4o",
    "SYNCAGENT_SHARED": "/nowhere",
    "no_proxy": "*",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with our settings and conftest, and three tests of its own."""
    (tmp_path / "tests").mkdir()
    shutil.copy(_ROOT / "setup.cfg", tmp_path)
    for name in ("conftest.py", "shared_folder.py"):
        shutil.copy(_ROOT / "tests" / name, tmp_path / "tests")
    (tmp_path / "tests" / "test_inner.py").write_text(_INNER.format(foreign=sorted(_FOREIGN)), encoding="utf-8")
    return tmp_path


def _pytest(checkout: Path, *arguments: str, **variables: str) -> str:
    """Run pytest in a child on a machine with proxies, keys and settings; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *arguments],
        cwd=checkout,
        env={**os.environ, **_FOREIGN, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_plain_run(checkout: Path) -> None:
    """Keys, proxies and settings are gone; what a machine lacks is skipped with a reason."""
    printed = _pytest(checkout)
    assert "1 passed, 2 skipped" in printed
    assert "/nowhere is not there; set SYNCAGENT_SHARED" in printed
    assert "the embedded model's tests run with: pytest -m local_model" in printed


def test_run_of_the_local_model(checkout: Path) -> None:
    """``-m local_model`` runs the embedded model's tests, which alone see the machine's cache."""
    assert "1 passed, 2 deselected" in _pytest(checkout, "-m", "local_model")


def test_required_recordings(checkout: Path) -> None:
    """With ``SYNCAGENT_REQUIRE_SHARED=1`` a missing folder fails the test that needs it."""
    printed = _pytest(checkout, SYNCAGENT_REQUIRE_SHARED="1")
    assert "1 passed, 1 skipped, 1 error" in printed
    assert "SYNCAGENT_REQUIRE_SHARED=1 is set, but /nowhere is not there" in printed


def test_required_oracles(checkout: Path) -> None:
    """With ``SYNCAGENT_REQUIRE_ORACLES=1`` a skipped test or module fails, and an expected failure does not."""
    (checkout / "tests" / "test_inner.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.skipif(True, reason='by a mark')\ndef test_marked():\n    pass\n\n"
        "def test_inside():\n    pytest.importorskip('no_such_oracle')\n\n"
        "@pytest.mark.xfail(reason='known')\ndef test_expected():\n    assert False\n",
        encoding="utf-8",
    )
    assert "2 skipped, 1 xfailed" in _pytest(checkout)
    printed = _pytest(checkout, SYNCAGENT_REQUIRE_ORACLES="1")
    assert "1 failed, 1 xfailed, 1 error" in printed
    for reason in ("by a mark", "could not import 'no_such_oracle'"):
        assert f"SYNCAGENT_REQUIRE_ORACLES=1 is set, but this did not run. Skipped: {reason}" in printed
    module = "import pytest\n\npytest.importorskip('no_such_oracle')\n"
    (checkout / "tests" / "test_inner.py").write_text(module, encoding="utf-8")
    assert "1 error" in _pytest(checkout, SYNCAGENT_REQUIRE_ORACLES="1")


def test_unknown_marker(checkout: Path) -> None:
    """A misspelt marker is an error, not a test that runs where it should not."""
    (checkout / "tests" / "test_typo.py").write_text(
        "import pytest\n\n@pytest.mark.local_modell\ndef test_it():\n    pass\n", encoding="utf-8"
    )
    assert "'local_modell' not found in `markers` configuration option" in _pytest(checkout)
