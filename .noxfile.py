"""
The checks one by one, for a developer: ``nox --noxfile .noxfile.py -s lint``.

What CI goes by is ``.ci/run``, which runs the same commands from a clean clone.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["tests-3.11", "lint", "typing"]
nox.options.reuse_existing_virtualenvs = True

_TOOLS = ("-c", ".ci/constraints.txt", "-e", ".[dev,test,bedrock,prices,vertex]")


@nox.session(python=["3.9", "3.10", "3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run the tests; what stands after ``--`` goes to pytest."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.9")
def oldest(session: nox.Session) -> None:
    """Run the tests with the oldest versions that setup.cfg admits."""
    session.install("-c", ".ci/oldest.txt", ".", "pytest>=8.3", "setuptools>=70.1")
    session.install("-c", ".ci/oldest.txt", "hypothesis", "responses", "jsonschema")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.13")
def oracles(session: nox.Session) -> None:
    """Compare what we send and read with the packages of others; a skipped test is a failure."""
    session.install("-c", ".ci/constraints.txt", "-e", ".[test,test-oracles]")
    chosen = session.posargs or ["tests/oracles", "tests/schema"]
    session.run("python", "-m", "pytest", *chosen, env={"SYNCAGENT_REQUIRE_ORACLES": "1"})


@nox.session(python="3.11")
def coverage(session: nox.Session) -> None:
    """Run the tests and fail below the branch coverage that setup.cfg asks for."""
    session.install(*_TOOLS)
    session.run("python", "-m", "pytest", "--cov", "--cov-config=setup.cfg", *session.posargs)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Check the style and the import rule."""
    session.install(*_TOOLS)
    session.run("ruff", "check", ".")
    session.run("lint-imports", "--config", ".importlinter")


@nox.session(python="3.11")
def typing(session: nox.Session) -> None:
    """Check the types as the oldest and the newest Python see them."""
    session.install(*_TOOLS)
    session.run("mypy", "--strict", "--python-version", "3.9")
    session.run("mypy", "--strict", "--python-version", "3.13")
    session.run("pyright", "--project", ".pyrightconfig.json")


@nox.session(python="3.13")
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-E", "-n", "-W", "-b", "html", "docs", "docs/_build/html")
