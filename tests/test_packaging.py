"""What is shipped, what it asks for, and what no module of the package may hold."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

import syncagent

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGE = _ROOT / "syncagent"
_MODULES = sorted(_PACKAGE.rglob("*.py"))
_DATA = sorted(path for pattern in ("py.typed", "*.jinja", "*.json") for path in _PACKAGE.rglob(pattern))
_DIST_INFO = f"syncagent-{syncagent.__version__}.dist-info"
_TOP_FILES = ("CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "setup.cfg", "setup.py")
_TOP_FOLDERS = ("benchmarks", "docs", "examples", "syncagent", "tests")
_TOOL_FILES = (".importlinter", ".pyrightconfig.json", ".ruff.toml")

# What a program needs, as the issue tracker agreed on it; the markers are compared as they are written.
_REQUIREMENTS = {
    "requests<3,>=2.33; python_version >= '3.10'",
    "requests<3,>=2.32.4; python_version < '3.10'",
    "urllib3<3,>=2.8; python_version >= '3.10'",
    "attrs>=23.1",
    "cattrs>=23.2",
    "tenacity>=8.3",
    "typing_extensions>=4.6",
    "exceptiongroup>=1.1.1; python_version < '3.11'",
}


def _relative(path: Path) -> str:
    """A file's name below the repository, with ``/``."""
    return path.relative_to(_ROOT).as_posix()


def _setup(source: Path, *arguments: str) -> None:
    """Run setup.py in a child; setuptools warns of its own command line, which is not ours to mend."""
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", *arguments],
        cwd=source,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with stray files in it, so that building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for name in (*_TOP_FILES, *_TOOL_FILES):
        shutil.copy(_ROOT / name, copy)
    for name in filter(lambda folder: (_ROOT / folder).is_dir(), _TOP_FOLDERS):
        shutil.copytree(_ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    for stray in ("stray.pth", "stray.py", "syncagent/stray.pth", "syncagent/key.txt", "tests/stray.pyc"):
        (copy / stray).write_text("0", encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path) -> Iterator[zipfile.ZipFile]:
    """The wheel as it would be uploaded."""
    _setup(source, "bdist_wheel", "--dist-dir", "wheel")
    (path,) = (source / "wheel").iterdir()
    assert path.name == f"syncagent-{syncagent.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's METADATA, whose form is that of an e-mail's head."""
    return message_from_string(wheel.read(f"{_DIST_INFO}/METADATA").decode("utf-8"))


@pytest.fixture(scope="module")
def sdist(source: Path) -> set[str]:
    """The files of the source archive, relative to its root folder."""
    _setup(source, "sdist", "--formats=gztar", "--dist-dir", "archive")
    (path,) = (source / "archive").iterdir()
    assert path.name == f"syncagent-{syncagent.__version__}.tar.gz"
    with tarfile.open(path) as opened:
        return {member.name.split("/", 1)[1] for member in opened.getmembers() if member.isfile()}


def test_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Every module and data file is shipped, and nothing else: no ``.pth``, no tests, no stray file."""
    shipped = {name for name in wheel.namelist() if not name.startswith(f"{_DIST_INFO}/")}
    assert shipped == {_relative(path) for path in [*_MODULES, *_DATA]}


def test_wheel_says_that_it_is_typed() -> None:
    """The marker that PEP 561 asks for stands at the package's top."""
    assert _PACKAGE / "py.typed" in _DATA


def test_wheel_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    """The licence travels with the code."""
    (licence,) = (name for name in wheel.namelist() if name.endswith("/LICENSE"))
    assert "The syncagent developers" in wheel.read(licence).decode("utf-8")


def test_sdist_is_the_repository(sdist: set[str]) -> None:
    """The source archive holds the package, tests and papers, and nothing that no folder of ours holds."""
    expected = {_relative(path) for path in [*_MODULES, *_DATA, *(_ROOT / "tests").rglob("*.py")]}
    assert expected | {*_TOP_FILES, *_TOOL_FILES} <= sdist
    tops = {name.split("/")[0] for name in sdist}
    assert tops <= {*_TOP_FILES, *_TOP_FOLDERS, *_TOOL_FILES, "PKG-INFO", "syncagent.egg-info"}
    assert not [name for name in sdist if "stray" in name or name == "syncagent/key.txt"]


def test_version_has_one_source(metadata: Message) -> None:
    """The version that pip shows is the literal in ``syncagent/__init__.py``."""
    assert metadata["Version"] == syncagent.__version__
    assert re.search(r'^__version__ = "(.+)"$', (_PACKAGE / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)


def test_requirements(metadata: Message) -> None:
    """The package asks for four libraries and what it imports of theirs, with these bounds."""
    rows = [row for row in metadata.get_all("Requires-Dist", []) if "extra ==" not in row]
    # setuptools of different age quote and hyphenate differently.
    assert {row.replace('"', "'").replace("typing-ext", "typing_ext") for row in rows} == _REQUIREMENTS
    assert metadata["Requires-Python"] == ">=3.9"


def test_extras_name_lower_bounds_only(metadata: Message) -> None:
    """An extra never keeps a newer version out."""
    rows = [row.split(";")[0] for row in metadata.get_all("Requires-Dist", []) if "extra ==" in row]
    extras = {"bedrock", "dev", "docs", "local", "prices", "test", "test-oracles", "test-servers", "vertex"}
    assert extras == set(metadata.get_all("Provides-Extra", []))
    assert [row for row in rows if not re.fullmatch(r"[\w.\[\]-]+>=[\w.]+", row)] == []


def test_command_line_entry_point(wheel: zipfile.ZipFile) -> None:
    """Installing the package puts ``syncagent`` on the path."""
    points = configparser.ConfigParser()
    points.read_string(wheel.read(f"{_DIST_INFO}/entry_points.txt").decode("utf-8"))
    assert dict(points["console_scripts"]) == {"syncagent": "syncagent.cli:main"}


def test_root_is_tidy() -> None:
    """The repository's top holds the papers, setup files and folders, and otherwise only dot-files."""
    known = {*_TOP_FILES, *_TOP_FOLDERS, "build", "dist", "syncagent.egg-info"}  # the last three are built, and ignored
    assert [path.name for path in _ROOT.iterdir() if not path.name.startswith(".") and path.name not in known] == []


@pytest.mark.parametrize("marker", ["run", "test"])
def test_readme_shows_each_command_on_one_line(marker: str) -> None:
    """README's two commands stand where CI looks for them, each one line that makes its own virtualenv."""
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(rf"^<!-- {marker} -->\n```\w*\n(.*)\n```$", readme, re.MULTILINE)
    assert command.startswith("python -m venv .venv && .venv/bin/pip install ")
