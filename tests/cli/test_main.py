"""The command line's frame: exit codes, one-line complaints, and streams that misbehave."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Optional

import pytest

import syncagent
from syncagent.cli import main, terminal

ROOT = Path(syncagent.__file__).parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="needs a shell and signals")


def child(*arguments: str, code: str = "", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    command = [sys.executable, "-c", code, *arguments] if code else [sys.executable, "-m", "syncagent", *arguments]
    return subprocess.run(command, cwd=ROOT, timeout=60, check=False, **{"capture_output": True, **options})


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints the package's version and ends well."""
    assert main(["--version"]) == 0
    assert capsys.readouterr() == (f"syncagent {syncagent.__version__}\n", "")


def test_as_module() -> None:
    """``python -m syncagent`` is the same command."""
    done = child("--version")
    assert (done.returncode, done.stdout.decode().strip()) == (0, f"syncagent {syncagent.__version__}")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["local", "serve", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` prints the usage to standard output and ends well."""
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: syncagent")
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "syncagent: error: the following arguments are required: COMMAND (see syncagent --help)"),
        (["run"], "syncagent run: error: the following arguments are required: PROMPT (see syncagent run --help)"),
        (["local"], "error: the following arguments are required: ACTION (see syncagent local --help)"),
        (["fly"], "syncagent: error: argument COMMAND: invalid choice: 'fly' (choose from"),
        (["run", "hi", "--mod", "test"], "syncagent: error: unrecognized arguments: --mod test"),
        (["run", "hi", "--deadline", "0"], "expected a positive number of seconds, got '0'"),
        (["run", "hi", "--deadline", "soon"], "expected a positive number of seconds, got 'soon'"),
        (["run", "hi", "--deadline", "inf"], "expected a positive number of seconds, got 'inf'"),
        (["run", "hi", "--deadline", "nan"], "expected a positive number of seconds, got 'nan'"),
        (["local", "serve", "--port", "65536"], "expected a whole number from 0 to 65535, got '65536'"),
        (["local", "serve", "--parallel", "0"], "expected a whole number from 1 to 1048576, got '0'"),
        (["local", "serve", "--context", "-5"], "expected a whole number from 1 to 1048576, got '-5'"),
        (["local", "serve", "--context", "²"], "expected a whole number from 1 to 1048576, got '²'"),
    ],
)
def test_wrong_arguments(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments are exit code 2 and one line on standard error."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err
    assert err.count("\n") == 1


def test_import_is_cheap() -> None:
    """Building the command line loads nothing that a run would need."""
    heavy = ("requests", "cattrs", "tenacity", "asyncio", "syncagent.agent", "syncagent.local.server", "ssl")
    code = f"import sys, syncagent.cli as c; c.main(['--version']); print([n for n in {heavy!r} if n in sys.modules])"
    assert child(code=code).stdout.decode().splitlines()[1] == "[]"


@posix
class TestStreams:
    """Standard streams that are closed, full, or read no further."""

    def shell(self, script: str) -> subprocess.CompletedProcess[bytes]:
        """*script* under sh, where ``$S`` is the command."""
        environment = {**os.environ, "S": f"{sys.executable} -m syncagent"}
        return subprocess.run(
            ["/bin/sh", "-c", script], cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False
        )

    def test_reader_that_left(self) -> None:
        """A reader that has had enough ends the command quietly, with code 0."""
        done = self.shell("{ sleep 0.5; $S run hi --model test; echo code $? >&2; } | :")
        assert done.stderr == b"code 0\n"

    def test_reader_of_help_that_left(self) -> None:
        """So does one of the help."""
        done = self.shell("{ sleep 0.5; $S run --help; echo code $? >&2; } | :")
        assert done.stderr == b"code 0\n"

    def test_no_output(self) -> None:
        """A standard output that is closed from the start is no error."""
        done = self.shell("$S run hi --model test >&-")
        assert (done.returncode, done.stderr) == (0, b"")

    def test_no_errors_to_write_to(self) -> None:
        """Nor is a standard error that is closed, or that nobody reads."""
        assert self.shell("$S run hi --show-messages --model test 2>&-").stdout == b"success (no tool calls)\n"
        done = self.shell("{ { sleep 0.5; $S run hi --model wrong; echo code $? >&3; } 2>&1 | : ; } 3>&1")
        assert done.stdout == b"code 2\n"
        assert done.stderr == b""

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_full_disk(self) -> None:
        """Output that cannot be written is a failed run, told in one line."""
        done = self.shell("$S run hi --model test >/dev/full")
        assert (done.returncode, done.stderr) == (1, b"error: OSError: [Errno 28] No space left on device\n")

    def test_interrupted(self) -> None:
        """Ctrl-C is code 130, without a traceback."""
        code = (
            "import sys, time, syncagent.cli.run as r\n"
            "r.run = lambda options: (print('ready', flush=True), time.sleep(60))\n"
            "from syncagent.cli import main; sys.exit(main(['run', 'hi']))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (130, b"Interrupted.\n")


class Stream(io.StringIO):
    """A standard stream of a given encoding that may be a terminal."""

    def __init__(self, encoding: str = "utf-8", terminal: bool = False) -> None:
        super().__init__()
        self._encoding = encoding
        self._terminal = terminal

    @property
    def encoding(self) -> str:  # type: ignore[override] # StringIO's is a class attribute
        return self._encoding

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        text.encode(self._encoding)
        return super().write(text)


@pytest.mark.parametrize(
    ("stream", "text", "shown"),
    [
        (Stream(), "a\ud800b", "a\\ud800b\n"),
        (Stream("ascii"), "café", "caf\\xe9\n"),
        (Stream(), "\x1b[31mred\x07", "\x1b[31mred\x07\n"),
        (Stream(terminal=True), "\x1b[31mred\x07\tand\nblue\x9b", "\\x1b[31mred\\x07\tand\nblue\\x9b\n"),
    ],
)
def test_text(stream: Stream, text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stream cannot hold is escaped; a terminal is not given characters that it would obey."""
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.write(text)
    assert stream.getvalue() == shown


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A complaint over several lines is put on one."""
    terminal.complain("one\n  two\r\n\nthree")
    assert capsys.readouterr().err == "one two three\n"


def fail(error: BaseException) -> Any:
    """A command that raises *error*."""

    def run(options: Any) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (syncagent.UserError("do\nthis"), 2, "error: do this"),
        (syncagent.UsageLimitExceeded("too much"), 1, "error: too much"),
        (syncagent.UnexpectedModelBehavior("odd", '{"a": 1}'), 1, 'error: odd, body: { "a": 1 }'),
        (KeyError("customer"), 1, "error: KeyError: 'customer'"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (BrokenPipeError(), 0, None),
    ],
)
def test_exit_codes(
    error: BaseException,
    code: int,
    line: Optional[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each kind of failure has its code and its line, and none a traceback."""
    monkeypatch.setattr("syncagent.cli.run.run", fail(error))
    assert main(["run", "hi"]) == code
    assert capsys.readouterr() == ("", "" if line is None else line + "\n")


def test_system_exit_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends the process (a worker's time-out, for one) is not swallowed."""
    monkeypatch.setattr("syncagent.cli.run.run", fail(SystemExit(3)))
    with pytest.raises(SystemExit):
        main(["run", "hi"])


def test_arguments_of_the_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a list, the process's own arguments count."""
    monkeypatch.setattr(sys, "argv", ["syncagent", "run", "hi", "--model", "test", "--json"])
    assert main() == 0
    assert json.loads(capsys.readouterr().out) == "success (no tool calls)"
