"""Real requests can be forbidden, for the process or for a piece of code."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import syncagent
from syncagent import models
from syncagent.models import check_allow_model_requests, override_allow_model_requests

_TEXT = r"^Model requests are not allowed, since ALLOW_MODEL_REQUESTS is False$"


def test_allowed_by_default() -> None:
    """Requests are allowed unless somebody forbids them."""
    assert models.ALLOW_MODEL_REQUESTS is True
    check_allow_model_requests()


def test_the_global(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's global forbids them for the whole process, threads that run already among them."""
    monkeypatch.setattr(models, "ALLOW_MODEL_REQUESTS", False)
    with pytest.raises(RuntimeError, match=_TEXT):
        check_allow_model_requests()
    seen = []

    def elsewhere() -> None:
        try:
            check_allow_model_requests()
        except RuntimeError as error:
            seen.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(seen) == 1


def test_the_override(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the override its word holds, the innermost first; afterwards, also after an error, the global's."""
    with override_allow_model_requests(False):
        with pytest.raises(RuntimeError, match=_TEXT):
            check_allow_model_requests()
        with override_allow_model_requests(True):
            check_allow_model_requests()
        with pytest.raises(RuntimeError, match=_TEXT):
            check_allow_model_requests()
    check_allow_model_requests()
    monkeypatch.setattr(models, "ALLOW_MODEL_REQUESTS", False)
    with pytest.raises(KeyError), override_allow_model_requests(True):
        check_allow_model_requests()
        raise KeyError
    with pytest.raises(RuntimeError, match=_TEXT):
        check_allow_model_requests()


def test_the_override_is_this_contexts_own() -> None:
    """A thread that is started inside the override does not see it."""
    errors = []

    def elsewhere() -> None:
        try:
            check_allow_model_requests()
        except RuntimeError as error:
            errors.append(error)

    with override_allow_model_requests(False):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert errors == []


@pytest.mark.parametrize(("value", "allowed"), [("0", False), ("1", True), ("", True)])
def test_the_variable(value: str, allowed: bool) -> None:
    """``SYNCAGENT_ALLOW_MODEL_REQUESTS=0`` forbids them from the start."""
    code = "from syncagent import models; print(models.ALLOW_MODEL_REQUESTS)"
    root = str(Path(syncagent.__file__).resolve().parents[1])
    environment = {"SYNCAGENT_ALLOW_MODEL_REQUESTS": value, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(allowed)


def test_names_come_when_they_are_asked_for() -> None:
    """``infer_model`` and ``KnownModelName`` are the module's names, and an unknown name is an AttributeError."""
    assert models.infer_model is models.names.infer_model  # type: ignore[attr-defined] # loaded by the name before it
    assert models.KnownModelName is models.names.KnownModelName  # type: ignore[attr-defined] # the same
    with pytest.raises(AttributeError, match=r"module 'syncagent\.models' has no attribute 'nothing'"):
        _ = models.nothing  # type: ignore[attr-defined] # that is the point
