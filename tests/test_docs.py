"""What the documentation shows is true: its code runs, its names exist, its tables are the code's."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

import syncagent
from syncagent import exceptions, messages, models
from syncagent.cli import main
from syncagent.local.catalog import CATALOG, DEFAULT
from syncagent.models.chat import QUIRKS
from syncagent.providers.table import ALIASES, ROWS
from syncagent.settings import ModelSettings
from tests import shared_folder
from tests.docs_pages import PAGES, ROOT, Block, anchors, blocks, inline_code, links, page_name, table

_PACKAGE = Path(syncagent.__file__).resolve().parent
_MODULES = sorted(
    ".".join(("syncagent", *path.relative_to(_PACKAGE).with_suffix("").parts)).replace(".__init__", "")
    for path in _PACKAGE.rglob("*.py")
    if path.name != "__main__.py"
)
_WITH_PYTHON = [path for path in PAGES if any(block.language == "python" for block in blocks(path.read_text("utf-8")))]

every_page = pytest.mark.parametrize("page", PAGES, ids=page_name)


def _python(page: Path) -> list[Block]:
    return [block for block in blocks(page.read_text(encoding="utf-8")) if block.language == "python"]


def _docs(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _resolve(dotted: str) -> object:
    """The module or attribute that a dotted name names."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if importlib.util.find_spec(parts[0]) and _is_module(name):
            value: object = importlib.import_module(name)
            for attribute in parts[length:]:
                value = getattr(value, attribute)
            return value
    raise ImportError(f"No module of the package is named {dotted!r}.")


def _is_module(name: str) -> bool:
    return name in _MODULES


# ---------------------------------------------------------------- code


@pytest.mark.parametrize("page", _WITH_PYTHON, ids=page_name)
def test_examples_run_and_print_what_they_show(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page's examples run in their order, without a network, and print the lines shown after ``#>``."""
    module = _module_of(page, tmp_path)
    # That page is about addresses that are refused before anything is sent, by something that looks later.
    monkeypatch.setattr(models, "ALLOW_MODEL_REQUESTS", page_name(page) == "docs/howto/user-given-urls.md")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(module.stem, module)
    assert spec is not None and spec.loader is not None
    namespace = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module.stem, namespace)  # annotations are looked up in it
    spec.loader.exec_module(namespace)
    shown = [
        line.split("#>", 1)[1].rstrip()
        for block in _python(page)
        if block.not_run is None
        for line in block.code.splitlines()
        if line.lstrip().startswith("#>")
    ]
    printed = [f" {line}".rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed == shown


def _module_of(page: Path, folder: Path) -> Path:
    """The page's examples as one file, each on the lines that it has in the page."""
    rows: list[str] = []
    for block in _python(page):
        if block.not_run is None:
            rows += [""] * (block.line - 1 - len(rows))
            rows += block.code.splitlines()
    path = folder / f"docs_{re.sub(r'[^a-z]+', '_', page_name(page).lower())}.py"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("page", _WITH_PYTHON, ids=page_name)
def test_all_examples_are_python(page: Path) -> None:
    """Each example is whole Python of the oldest version, those that are not run too."""
    for block in _python(page):
        ast.parse("\n" * (block.line - 1) + block.code, page_name(page), feature_version=(3, 9))


@every_page
def test_imports_exist(page: Path) -> None:
    """Whatever an example imports from the package is there."""
    for name in sorted(set(_imports(page))):
        if name.partition(".")[2] not in syncagent._INSTEAD:  # shown for what its ImportError says
            _resolve(name)


def _imports(page: Path) -> Iterator[str]:
    for block in _python(page):
        for node in ast.walk(ast.parse(block.code)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "syncagent")
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "syncagent":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@every_page
def test_names_in_the_text_exist(page: Path) -> None:
    """A dotted name of the package between backticks is a module or an attribute of one."""
    for code in inline_code(page.read_text(encoding="utf-8")):
        match = re.fullmatch(r"(syncagent(?:\.\w+)+)(?:\(.*\))?", code)
        if match is not None:
            _resolve(match[1])


@every_page
def test_files_in_the_text_exist(page: Path) -> None:
    """A file of the repository that a page names between backticks, or in a command, is there."""
    text = page.read_text(encoding="utf-8")
    commands = [block.code for block in blocks(text) if block.language in ("sh", "console")]
    said = "\n".join([*inline_code(text), *commands])
    named = re.findall(r"(?:benchmarks|examples|tests|syncagent)/[\w/]+\.py", said)
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("name", ["run", "test"])
def test_the_first_commands_are_one_line_each(name: str) -> None:
    """A newcomer copies one line to run the main job, and one to run the tests."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    line = text.splitlines().index(f"<!-- {name} -->") + 3
    (block,) = (block for block in blocks(text) if block.line == line)
    assert block.language == "sh" and block.code.count("\n") == 1
    assert block.code.startswith("python -m venv ")


@pytest.mark.parametrize("name", _MODULES)
def test_docstring_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples in the package's docstrings give what they show."""
    monkeypatch.setattr(models, "ALLOW_MODEL_REQUESTS", False)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        report: list[str] = []
        runner.run(test, out=report.append)
        assert not report, "".join(report)


# ---------------------------------------------------------------- links


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """A link inside the repository leads to a file, and to a heading where it names one."""
    broken = []
    for target in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if ".github" in path.parts and not (ROOT / ".github").is_dir():
            continue  # a source distribution leaves the folder out
        if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


def test_every_page_is_in_the_contents() -> None:
    """Each page of docs/ stands in a ``toctree``, so that readers and Sphinx find it."""
    listed = {ROOT / "docs" / "index.md"}
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "{toctree}":
                entries = [line.strip() for line in block.code.splitlines() if line.strip()[:1] not in ("", ":")]
                listed |= {(page.parent / f"{entry.split('<')[-1].rstrip('>')}.md").resolve() for entry in entries}
    assert {path for path in PAGES if (ROOT / "docs") in path.parents} <= listed


# ---------------------------------------------------------------- the reference


def _documented() -> Iterator[object]:
    """The objects that the reference pages hand to autodoc."""
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        for block in blocks(page.read_text(encoding="utf-8")):
            for directive in re.split(r"^(?=\.\. )", block.code, flags=re.MULTILINE):
                match = re.match(r"\.\. auto(module|class|function|data):: (\S+)", directive)
                if match is None:
                    continue
                found = _resolve(match[2])
                yield found
                if match[1] == "module" and ":no-members:" not in directive:
                    excluded = re.findall(r"\w+", "".join(re.findall(r":exclude-members:(.*)", directive)))
                    yield from (getattr(found, name) for name in getattr(found, "__all__", ()) if name not in excluded)


def test_the_reference_is_complete() -> None:
    """Each public class and function of the package's top, and each class of messages, has its place."""
    documented = {id(value) for value in _documented()}
    public = {name: getattr(syncagent, name) for name in syncagent.__all__}
    public.update({name: getattr(messages, name) for name in messages.__all__ if name[0].isupper()})
    things = {name: value for name, value in public.items() if isinstance(value, (type, FunctionType))}
    assert [name for name, value in things.items() if id(value) not in documented] == []


@pytest.mark.parametrize("name", [name for name in _MODULES if re.fullmatch(r"syncagent\.models\.[a-z]\w*", name)])
def test_every_model_is_in_the_reference(name: str) -> None:
    """Each model that a program may make, and its settings, have their place in the reference."""
    documented = {id(value) for value in _documented()}
    module = importlib.import_module(name)
    public = [getattr(module, entry) for entry in module.__all__ if entry.endswith(("Model", "ModelSettings"))]
    made = [cls for cls in public if isinstance(cls, type) and not getattr(cls, "__abstractmethods__", None)]
    assert [cls.__name__ for cls in made if cls.__module__ == name and id(cls) not in documented] == []


# ---------------------------------------------------------------- tables


def _code(cell: str) -> str:
    """A cell without its backticks."""
    return cell.replace("`", "")


def test_settings_table() -> None:
    """The table of settings has every key of ``ModelSettings``, and no other."""
    keys = [_code(row[0]) for row in table(_docs("reference/settings.md"), "settings")]
    assert sorted(keys) == sorted(ModelSettings.__annotations__)


def test_error_table() -> None:
    """The table of errors has every class of the tree with its bases, and no other."""
    rows = {_code(row[0]): _code(row[1]) for row in table(_docs("reference/errors.md"), "errors")}
    assert rows == {name: _bases(getattr(exceptions, name)) for name in exceptions.__all__}


def _bases(cls: type[BaseException]) -> str:
    public = [base.__name__ for base in cls.__bases__ if not base.__name__.startswith("_")]
    return ", ".join(public or ["Exception"])


def test_provider_table() -> None:
    """The table of providers has every row of the code: class, address, variables."""
    cells = table(_docs("reference/providers.md"), "rows")
    rows = {_code(row[0]).split(",")[0]: [_code(cell) for cell in row[1:5]] for row in cells}
    assert rows == {
        row.name: [
            f"syncagent.providers.{row.module}.{row.title}Provider",
            row.base_url or "",
            row.base_url_variable or "",
            (row.key_variable or "") + ("" if row.needs_key or not row.key_variable else " (not needed)"),
        ]
        for row in ROWS.values()
    }


def test_other_names_of_providers() -> None:
    """Each other name of a provider is said to be one, with the name that it stands for."""
    page = _docs("reference/providers.md")
    assert [alias for alias, name in ALIASES.items() if not re.search(rf"`{alias}`[^`]*`{name}`", page)] == []


def test_quirks_table() -> None:
    """The table of what servers do differently has every quirk of the chat wire, in its words."""
    assert {_code(row[0]): row[1] for row in table(_docs("reference/models.md"), "quirks")} == QUIRKS


@pytest.mark.parametrize("command", ["run", "local pull", "local serve"])
def test_command_table(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table of a command has every argument that ``--help`` shows, and no other."""
    assert main([*command.split(), "--help"]) == 0
    usage = capsys.readouterr().out.split("\n\n")[0]
    listed = [_code(row[0]) for row in table(_docs("reference/cli.md"), command)]
    options = {name for name in listed if name.startswith("--")}
    assert options == set(re.findall(r"--[a-z-]+", usage)) - {"--help"}
    (positional,) = set(listed) - options
    assert usage.rstrip("]").endswith(positional)


def test_local_models_table() -> None:
    """The table of local models has every one that is known, with its size."""
    rows = table(_docs("howto/local-model.md"), "local-models")
    listed = {_code(row[0]).split(":")[-1]: row[2] for row in rows if row[2]}
    assert listed == {name: f"{entry.size // 1_000_000} MB" for name, entry in CATALOG.items()}
    assert rows[0][0].startswith("`local`,") and rows[0][0].endswith(f":{DEFAULT}`")


def test_environment_table() -> None:
    """The table of variables has every ``SYNCAGENT_`` variable that the package reads, and no other."""
    rows = {_code(row[0]) for row in table(_docs("reference/environment.md"), "environment")}
    read = set()
    for path in _PACKAGE.rglob("*.py"):
        read |= set(re.findall(r"\bSYNCAGENT_[A-Z_]+\b", path.read_text(encoding="utf-8")))
    assert rows == read


@every_page
def test_variables_in_the_text_exist(page: Path) -> None:
    """A ``SYNCAGENT_`` variable that a page names is one that the package or its tests read."""
    known = {_code(row[0]) for row in table(_docs("reference/environment.md"), "environment")}
    known |= set(re.findall(r"\bSYNCAGENT_[A-Z_]+\b", Path(shared_folder.__file__).read_text(encoding="utf-8")))
    assert set(re.findall(r"\bSYNCAGENT_[A-Z_]+\b", page.read_text(encoding="utf-8"))) <= known


# ---------------------------------------------------------------- the parts of this test


def test_blocks_are_taken_apart() -> None:
    """A block has its line, language, code and the reason why it is not run; longer fences hold shorter ones."""
    text = "a\n\n```python\nx = 1\n\n```\n\n<!-- not run: needs a key -->\n\n````python\n```\n````\n"
    assert blocks(text) == [Block(4, "python", "x = 1\n\n", None), Block(11, "python", "```\n", "needs a key")]


def test_a_block_without_end() -> None:
    """A fence that nothing closes is an error, not the end of the page."""
    with pytest.raises(ValueError, match="line 2 has no end"):
        blocks("```python\nx = 1\n")


def test_links_and_anchors_are_found() -> None:
    """Links in the text are found, those in code are not; headings give the anchors that GitHub gives."""
    text = "# A `b`: c!\n\n[one](x.md) and `[two](y.md)`\n```\n[three](z.md)\n# no\n```\n(set)=\n## D-e\n"
    assert links(text) == ["x.md"]
    assert anchors(text) == {"a-b-c", "d-e", "set"}


def test_tables_are_found() -> None:
    """The rows of the named table come without head; a table that is not there is an error."""
    text = "<!-- table: t -->\n\n| a | b |\n|---|---|\n| `1` | x \\| y |\n\n| no |\n"
    assert table(text, "t") == [["`1`", "x \\| y"]]
    with pytest.raises(LookupError, match="'u'"):
        table(text, "u")


def test_misspelt_names_are_found() -> None:
    """A module or an attribute that is not there fails the test of names."""
    with pytest.raises(ImportError):
        _resolve("synagent.agent")
    with pytest.raises(AttributeError):
        _resolve("syncagent.agent.Agnet")
