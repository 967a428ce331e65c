"""The child's own steps, run here, where they can be looked at."""

from __future__ import annotations

import json
import os
import signal
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncagent.local import _serve


class Ended(BaseException):
    """Instead of ``os._exit``, which would end the test run."""


@pytest.fixture(autouse=True)
def no_exit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``os._exit`` raises, and the handler of Ctrl-C comes back."""

    def leave(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(_serve.os, "_exit", leave)
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server package that remembers its settings and serves nothing."""
    module = types.ModuleType("xllamacpp")

    class Params:
        def __init__(self) -> None:
            self.model = types.SimpleNamespace()
            self.cpuparams = types.SimpleNamespace()
            self.sampling = types.SimpleNamespace()

    class Server:
        def __init__(self, params: Params) -> None:
            self.params = params
            self.listening_address = "http://127.0.0.1:1234"

    vars(module).update(CommonParams=Params, Server=Server)
    monkeypatch.setitem(sys.modules, "xllamacpp", module)
    return module


def order(folder: Path, **changes: Any) -> dict[str, Any]:
    """What a parent would say."""
    return {
        "announce": str(folder / "announce"),
        "parent": os.getppid(),
        "package": "",
        "model": "model.gguf",
        "name": "tiny",
        "template": "",
        "host": "127.0.0.1",
        "port": 0,
        "key": "secret",
        "context": 100,
        "parallel": 2,
        "threads": 1,
        "quiet": False,
        **changes,
    }


def run(told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """``main`` with *told* on its standard input, which stays open."""
    reading, writing = os.pipe()
    monkeypatch.setattr(_serve, "_INPUT", reading)
    # The watching thread would end in the fake exit, where nobody catches it.
    monkeypatch.setattr(_serve.threading, "Thread", lambda target, daemon: types.SimpleNamespace(start=lambda: None))
    os.write(writing, json.dumps(told).encode() + b"\n")
    try:
        return _serve.main()
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("quiet", [True, False])
def test_serves(quiet: bool, tmp_path: Path, package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It announces its address, then looks at its parent twice a second, and ends when that has changed."""
    sleeps: list[float] = []
    told = order(tmp_path)
    parents = iter([told["parent"], told["parent"], 1_000_000])
    monkeypatch.setattr(_serve.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(_serve.time, "sleep", sleeps.append)
    silenced: list[bool] = []
    monkeypatch.setattr(_serve, "_silence", lambda: silenced.append(True))
    with pytest.raises(Ended):
        run({**told, "quiet": quiet}, monkeypatch)
    assert silenced == [True] * quiet
    assert json.loads((tmp_path / "announce").read_text()) == {"address": "http://127.0.0.1:1234"}
    assert sleeps == [0.5, 0.5]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("missing", {"error": "missing", "detail": "import of xllamacpp halted; None in sys.modules"}),
        ("old", {"error": "old", "detail": "xllamacpp of unknown version: "}),
        ("load", {"error": "load", "detail": "RuntimeError: bad file"}),
    ],
)
def test_refusals(
    fault: str, answer: dict[str, str], tmp_path: Path, package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keeps it from serving is announced in a word and a sentence, and the code is 1."""
    if fault == "missing":
        monkeypatch.setitem(sys.modules, "xllamacpp", None)
    elif fault == "old":
        del package.Server
    else:

        def refuse(params: Any) -> None:
            raise RuntimeError("bad file")

        package.Server = refuse
    assert run(order(tmp_path), monkeypatch) == 1
    announced = json.loads((tmp_path / "announce").read_text())
    assert announced["error"] == answer["error"]
    assert announced["detail"].startswith(answer["detail"])


def test_settings(tmp_path: Path, package: Any) -> None:
    """The context is for each slot, the template is read from its file, and nothing else is kept in memory."""
    (tmp_path / "chat.jinja").write_text("{{ messages }}", encoding="utf-8")
    server = _serve._load(order(tmp_path, template=str(tmp_path / "chat.jinja"), quiet=True))
    params = server.params
    assert (params.n_parallel, params.n_ctx, params.cache_ram_mib, params.verbosity) == (2, 200, 0, 2)
    assert (params.api_keys, params.model_alias, params.chat_template) == (["secret"], {"tiny"}, "{{ messages }}")


def test_package_folder_is_on_the_path_for_the_import_only(tmp_path: Path, package: Any) -> None:
    """The folder where the parent found the package is on ``sys.path`` while it is imported, not after."""
    before = list(sys.path)
    _serve._load(order(tmp_path, package=str(tmp_path)))
    assert sys.path == before


def test_order_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order may come in pieces; it ends with the line."""
    pieces = iter([b'{"a"', b": 1}", b"\n"])
    monkeypatch.setattr(_serve.os, "read", lambda descriptor, size: next(pieces))
    assert _serve._read_line(0) == b'{"a": 1}\n'


def test_parent_gone_before_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A standard input that ends before the order ends the child."""
    monkeypatch.setattr(_serve.os, "read", lambda descriptor, size: b"")
    with pytest.raises(Ended):
        _serve._read_line(0)


def test_end_of_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child ends when its standard input does, whatever else came on it."""
    pieces = iter([b"noise", b""])
    monkeypatch.setattr(_serve.os, "read", lambda descriptor, size: next(pieces))
    with pytest.raises(Ended):
        _serve._watch_input()


def test_not_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the kernel is not asked."""
    monkeypatch.setattr(_serve.sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "ctypes", None)  # an import would fail
    _serve._die_with_parent(True)


def test_silence(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it serves, nothing goes to the log file of its start."""
    moved: list[tuple[str, int]] = []

    def dup2(source: int, target: int) -> None:
        moved.append((os.readlink(f"/proc/self/fd/{source}") if os.path.isdir("/proc/self/fd") else "", target))

    monkeypatch.setattr(_serve.os, "dup2", dup2)
    _serve._silence()
    assert [target for _, target in moved] == [1, 2]
    assert {source for source, _ in moved} <= {"/dev/null", ""}
