"""Rules that every module of the package keeps; a tree walk sees what a reader may overlook."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import syncagent

_PACKAGE = Path(syncagent.__file__).resolve().parent
_MODULES = sorted(_PACKAGE.rglob("*.py"))
_IDS = [path.relative_to(_PACKAGE).as_posix() for path in _MODULES]
_HTTP = {"requests", "urllib.request", "urllib3"}
_CODE_FROM_DATA = {"dill", "marshal", "pickle", "shelve"}
_CALLS = {"__import__", "builtins.eval", "builtins.exec", "compile", "eval", "exec", "os.popen", "os.system"}
_LINES = 500

every_module = pytest.mark.parametrize("path", _MODULES, ids=_IDS)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imported(node: ast.AST) -> set[str]:
    """The outside modules that an import statement names, with each of their packages."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    parts = [name.split(".") for name in names]
    return {".".join(name[:length]) for name in parts for length in range(1, len(name) + 1)}


def _dangers(tree: ast.AST) -> Iterator[str]:
    """Each thing by which data could become code or a command."""
    for node in ast.walk(tree):
        for module in sorted(_imported(node) & _CODE_FROM_DATA):
            yield f"imports {module}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in _CALLS:
            yield f"calls {called}"
        for keyword in node.keywords:
            if keyword.arg == "shell" and ast.unparse(keyword.value) != "False":
                yield f"calls {called} with shell="


def _public_names(tree: ast.Module) -> set[str]:
    """Classes, functions and constants that a module defines at its top without a leading underscore."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def _all(tree: ast.Module) -> object:
    """The literal that ``__all__`` is, or None."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return ast.literal_eval(node.value)
    return None


@every_module
def test_data_never_becomes_code(path: Path) -> None:
    """No module unpickles, evaluates, executes, or hands a string to a shell."""
    assert list(_dangers(_tree(path))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import marshal as m",
        "eval('1')",
        "exec('1')",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=flag)",
    ],
)
def test_the_walk_finds_dangers(code: str) -> None:
    """The walk above sees each of the things it is there to see."""
    assert len(set(_dangers(ast.parse(code)))) == 1


@every_module
def test_only_the_transport_speaks_http(path: Path) -> None:
    """No module outside ``transport/`` imports an HTTP client, not even inside a function."""
    if path.parent.name == "transport":
        return
    found = set().union(*(_imported(node) for node in _runtime_nodes(_tree(path)))) & _HTTP
    assert found == set()


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, leaving out what stands under ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield other
                yield from _runtime_nodes(other)
            continue
        yield node
        yield from _runtime_nodes(node)


@pytest.mark.parametrize("code", ["import requests", "from urllib3.util import Retry", "from urllib import request"])
def test_the_walk_finds_http_clients(code: str) -> None:
    """Every way to import an HTTP client is seen, inside functions too; a type-only import is none."""
    nested = ast.parse(f"def function():\n    {code}")
    assert set().union(*(_imported(node) for node in _runtime_nodes(nested))) & _HTTP
    typed = ast.parse(f"if TYPE_CHECKING:\n    {code}")
    assert not set().union(*(_imported(node) for node in _runtime_nodes(typed)), set()) & _HTTP


@every_module
def test_only_agent_run_is_a_coroutine(path: Path) -> None:
    """``Agent.run`` and its overloads are the only coroutines of the package."""
    coroutines = [
        f"{owner.name}.{node.name}" if isinstance(owner, ast.ClassDef) else node.name
        for owner in ast.walk(_tree(path))
        for node in ast.iter_child_nodes(owner)
        if isinstance(node, ast.AsyncFunctionDef)
    ]
    assert set(coroutines) == ({"Agent.run"} if path == _PACKAGE / "agent.py" else set())


@every_module
def test_no_to_do_notes(path: Path) -> None:
    """What is not finished is left out; no comment promises it."""
    with path.open("rb") as lines:
        comments = [token.string for token in tokenize.tokenize(lines.readline) if token.type == tokenize.COMMENT]
    words = ("TODO", "FIXME", "XXX", "HACK")
    assert [comment for comment in comments if any(word in comment for word in words)] == []


@every_module
def test_public_names_are_listed(path: Path) -> None:
    """
    A module with public names lists them, sorted, in ``__all__``; files beginning with ``_`` may leave it out.

    Constants may stand first, as ruff sorts them.
    """
    tree = _tree(path)
    listed = _all(tree)
    if listed is None:
        assert path.name.startswith("_") or not _public_names(tree)
        return
    assert isinstance(listed, list)
    assert listed in (sorted(listed), sorted(listed, key=lambda name: (not name.isupper(), name)))
    assert len(listed) == len(set(listed))


@every_module
def test_modules_begin_with_their_purpose(path: Path) -> None:
    """Every module that holds code begins with a docstring."""
    tree = _tree(path)
    assert not tree.body or ast.get_docstring(tree)


@every_module
def test_files_hold_one_thing(path: Path) -> None:
    """A file of more than 500 lines holds two things."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= _LINES
