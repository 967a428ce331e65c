"""
What every test may rely on: a clean environment and a way to the shared recordings.

* The variables of a developer's machine (proxies, provider keys, ``SYNCAGENT_*``) are gone in every test.
* ``shared`` is the folder of recorded exchanges; see :mod:`tests.shared_folder`.
* hypothesis has no time limit for one example: the machine may be busy. Where ``CI`` is set it takes the
  same examples each time, so that a commit is judged by what it changed; elsewhere it explores.
* With ``SYNCAGENT_REQUIRE_ORACLES=1`` no test may be skipped: CI sets it where the packages are installed that
  our requests and parsers are compared with, so that none of these tests drops out unnoticed.
* Tests marked ``local_model`` run only where ``-m`` names the marker, so that a plain ``pytest``
  neither fetches a model nor starts a server.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from tests.shared_folder import shared_folder

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)

_NO_SKIPS = os.environ.get("SYNCAGENT_REQUIRE_ORACLES") == "1"

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC")
_PROVIDERS = (
    "ANTHROPIC_",
    "AWS_",
    "AZURE_OPENAI_",
    "CEREBRAS_",
    "CO_",
    "COHERE_",
    "DEEPSEEK_",
    "GEMINI_",
    "GOOGLE_",
    "GROQ_",
    "HEROKU_",
    "HF_",
    "MISTRAL_",
    "MOONSHOTAI_",
    "OLLAMA_",
    "OPENAI_",
    "OPENROUTER_",
    "SNOWFLAKE_",
    "XAI_",
    "ZAI_",
)

settings.register_profile("syncagent", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("syncagent")


def _is_foreign(name: str) -> bool:
    """Whether a variable of the machine could change what a test sees."""
    upper = name.upper()
    return (
        upper in _PROXIES
        or upper in _CERTIFICATES
        or upper.startswith(_PROVIDERS)
        or upper.startswith("SYNCAGENT_")
        or upper.endswith("_API_KEY")
    )


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away every variable of the machine that the package or requests would read."""
    # The embedded model's cache is the one thing that a test of it may share with the machine.
    kept = {"SYNCAGENT_CACHE"} if request.node.get_closest_marker("local_model") else set()
    for name in list(os.environ):
        if _is_foreign(name) and name not in kept:
            monkeypatch.delenv(name)


@pytest.fixture
def shared() -> Path:
    """The folder of recorded exchanges; the test is skipped (in CI: fails) where it is missing."""
    return shared_folder()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests of the embedded model out unless ``-m`` asks for them."""
    if "local_model" in config.option.markexpr:
        return
    unasked = pytest.mark.skip(reason="the embedded model's tests run with: pytest -m local_model")
    for item in items:
        if item.get_closest_marker("local_model"):
            item.add_marker(unasked)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test is a failed one where ``SYNCAGENT_REQUIRE_ORACLES=1`` is set."""
    return _unskipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A skipped module is a failed one where ``SYNCAGENT_REQUIRE_ORACLES=1`` is set."""
    return _unskipped((yield))


def _unskipped(report: _Report) -> _Report:
    """The report, failed if it was skipped and nothing may be; an expected failure is no skip."""
    if _NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"SYNCAGENT_REQUIRE_ORACLES=1 is set, but this did not run. {reason}"
    return report
