"""``import syncagent`` is cheap and pure, and its public names come when they are asked for."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import syncagent

_PACKAGE = Path(syncagent.__file__).resolve().parent
_HEAVY = (
    *("asyncio", "attr", "cattrs", "requests", "ssl", "tenacity", "typing", "urllib3"),
    *("django", "opentelemetry", "pydantic", "sqlite3"),
)


def _child(code: str) -> str:
    """
    Run code in a bare child: no site-packages, no variables, only the package on the path.

    So the child holds nothing that a test run or a virtualenv's ``.pth`` file brought along, and the
    import shows that it needs nobody else's package.
    """
    prologue = f"import sys; sys.path.insert(0, {str(_PACKAGE.parent)!r})\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", prologue + code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    """``import syncagent`` loads no event loop, no HTTP, no database, none of the dependencies."""
    code = f"import syncagent\nprint([name for name in {_HEAVY!r} if name in sys.modules])"
    assert _child(code) == "[]"


def test_import_loads_only_itself() -> None:
    """``import syncagent`` loads not one of its own modules."""
    code = "import syncagent\nprint([name for name in sys.modules if name.startswith('syncagent')])"
    assert _child(code) == "['syncagent']"


def test_import_is_cheap() -> None:
    """``import syncagent`` costs at most 0.03 s of processor time, in the best of three children."""
    code = "import time\nstart = time.process_time()\nimport syncagent\nprint(time.process_time() - start)"
    assert min(float(_child(code)) for _ in range(3)) <= 0.03


@pytest.mark.parametrize("name", [name for name in syncagent.__all__ if name != "__version__"])
def test_every_public_name_is_there(name: str) -> None:
    """Each name of ``__all__`` is the very object that its module defines."""
    home = importlib.import_module(f"syncagent.{syncagent._HOMES[name]}")
    assert getattr(syncagent, name) is getattr(home, name)


def test_public_names_agree() -> None:
    """``__all__``, the lazy table and the imports that type checkers see name the same things."""
    tree = ast.parse((_PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert typed == syncagent._HOMES
    assert set(syncagent.__all__) - {"__version__"} == set(syncagent._HOMES)
    assert syncagent.__all__ == sorted(syncagent.__all__)


def test_no_public_name_is_a_modules_name() -> None:
    """No public name is a module's too: importing the module would replace the name."""
    modules = {path.stem for path in _PACKAGE.iterdir()}
    assert modules.isdisjoint(syncagent.__all__)


def test_dir_lists_the_public_names() -> None:
    """``dir(syncagent)`` shows every public name before it is loaded."""
    code = "import syncagent\nprint(set(syncagent.__all__) <= set(dir(syncagent)))"
    assert _child(code) == "True"
    assert set(syncagent.__all__) <= set(dir(syncagent))


def test_name_is_looked_up_once() -> None:
    """A name stays in the module after its first use."""
    assert syncagent.Deadline is vars(syncagent)["Deadline"]


def test_unknown_name() -> None:
    """A name that never existed is an ordinary AttributeError, so that ``hasattr`` works."""
    with pytest.raises(AttributeError, match=r"^module 'syncagent' has no attribute 'Agnet'$"):
        getattr(syncagent, "Agn" + "et")
    assert not hasattr(syncagent, "Agnet")


@pytest.mark.parametrize("name", sorted(syncagent._INSTEAD))
def test_names_of_later_versions_say_what_to_write(name: str) -> None:
    """A name that later agent APIs have raises ImportError whose text says what to write here."""
    with pytest.raises(ImportError, match="Write") as raised:
        __import__("syncagent", fromlist=[name])  # what `from syncagent import NAME` does
    assert str(raised.value).startswith(f"cannot import name '{name}' from 'syncagent': it is not here. ")


@pytest.mark.parametrize("name", sorted(syncagent._INSTEAD))
def test_advice_holds(name: str) -> None:
    """An import that the advice names can be written as it stands."""
    for module, imported in re.findall(r"from (\S+) import (\w+)", syncagent._INSTEAD[name]):
        assert hasattr(importlib.import_module(module), imported)


def test_a_program_that_streams_nothing_loads_no_stream() -> None:
    """An agent on an HTTP model that is ready to send has loaded neither events nor streams nor prices."""
    code = (
        "import sys\n"
        "from syncagent import Agent\n"
        "from syncagent.models.openai import OpenAIModel\n"
        "Agent(OpenAIModel('m'))\n"
        "unwanted = ['messages._events', 'models.streamed_response', 'models._chat_stream', 'response_stream', "
        "'streamed', 'prices', 'transport.download']\n"
        "print([name for name in unwanted if 'syncagent.' + name in sys.modules])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_PACKAGE.parent
    )
    assert answer.stdout == "[]\n"
