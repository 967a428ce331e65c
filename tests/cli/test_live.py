"""``syncagent run`` on a terminal: text as it comes, tool calls beside it, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

AGENTS = """
import sys, time
from syncagent import Agent, ModelRetry, UserError
from syncagent.messages import ModelResponse, TextPart
from syncagent.models.function import DeltaToolCall, FunctionModel

def answer(messages, info):
    if len(messages) == 1:
        yield "Let me "
        yield "look."
        yield {0: DeltaToolCall("look", '{"at": "it"}', "call_1")}
    else:
        yield "It is "
        yield "there."

agent = Agent(FunctionModel(stream_function=answer))

@agent.tool_plain
def look(at: str) -> str:
    return f"{at} is there"

def for_ever(messages, info):
    yield "Half an "
    yield "answer"
    while True:
        time.sleep(0.05)
        yield ""

slow = Agent(FunctionModel(stream_function=for_ever))
whole = Agent(FunctionModel(lambda messages, info: ModelResponse([TextPart("At once.")])))
shouting = Agent(FunctionModel(stream_function=lambda messages, info: iter(["quiet"])))

@shouting.result_validator
def shout(data: str) -> str:
    return data.upper()

def again(messages, info):
    yield "wrong" if len(messages) == 1 else "right"

strict = Agent(FunctionModel(stream_function=again))

@strict.result_validator
def only_right(data: str) -> str:
    if data == "wrong":
        raise ModelRetry("Not that.")
    return data

broken = Agent(FunctionModel(stream_function=lambda messages, info: iter(["", "once"])))

@broken.result_validator
def refuse(data: str) -> str:
    raise UserError("The order book is not there.")
"""


# A shell without job control lets its background jobs ignore SIGINT, and children inherit that: a terminal does not.
_MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from syncagent.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Terminal:
    """A command on a terminal of its own; standard error goes to a pipe."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "run", "hi", *arguments],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE,
        )  # fmt: skip
        os.close(slave)
        self.shown = ""

    def read_until(self, text: str, seconds: float = 20) -> None:
        """Read until *text* is shown."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            self._read(0.2)

    def finish(self) -> tuple[int, str, str]:
        """The exit code, all that was shown, and standard error."""
        assert self.process.stderr is not None
        end = time.monotonic() + 30
        while self._read(0.2):
            if time.monotonic() > end:
                self.process.kill()
        with self.process.stderr as stderr:
            complaints = stderr.read().decode()
        code = self.process.wait(20)
        os.close(self._master)
        return code, self.shown.replace("\r\n", "\n"), complaints

    def _read(self, seconds: float) -> bool:
        if select.select([self._master], [], [], seconds)[0]:
            try:
                data = os.read(self._master, 4096)
            except OSError:  # Linux says so at the end of a terminal
                return False
            self.shown += data.decode()
            return bool(data)
        return self.process.poll() is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a user's module in it."""
    (tmp_path / "live_agents.py").write_text(AGENTS)
    return tmp_path


def test_text_and_calls_appear(folder: Path) -> None:
    """Text appears as it comes, also before a tool call; the call and its return stand on standard error."""
    code, shown, complaints = Terminal(folder, "--agent", "live_agents:agent").finish()
    assert (code, shown) == (0, "Let me look.\nIt is there.\n")
    assert complaints.splitlines() == ['[calls look {"at": "it"}]', "[look: it is there]"]


def test_interrupt_keeps_what_came(folder: Path) -> None:
    """Ctrl-C stops the run with code 130; the half answer stays on the terminal and in the transcript."""
    terminal = Terminal(folder, "--agent", "live_agents:slow", "--show-messages")
    terminal.read_until("Half an answer")
    terminal.process.send_signal(signal.SIGINT)
    code, shown, complaints = terminal.finish()
    assert (code, shown) == (130, "Half an answer\n")
    assert "model   Half an answer" in complaints
    assert complaints.splitlines()[-1] == "Interrupted."


def test_a_model_that_cannot_stream(folder: Path) -> None:
    """A model without streams answers at once, and ``--no-stream`` asks any model for that."""
    assert Terminal(folder, "--agent", "live_agents:whole").finish() == (0, "At once.\n", "")
    assert Terminal(folder, "--agent", "live_agents:whole", "--no-stream").finish() == (0, "At once.\n", "")


def test_a_mistake_in_the_middle(folder: Path) -> None:
    """A mistake of the program that shows after the first words ends the run, which is not begun a second time."""
    code, shown, complaints = Terminal(folder, "--agent", "live_agents:broken").finish()
    assert (code, shown) == (2, "once\n")
    assert "The order book is not there." in complaints


def test_a_result_that_a_validator_changed(folder: Path) -> None:
    """Where the result is not the text that was shown, it is printed as well."""
    assert Terminal(folder, "--agent", "live_agents:shouting").finish() == (0, "quiet\nQUIET\n", "")


def test_a_result_that_is_asked_for_again(folder: Path) -> None:
    """A refused answer says why on standard error, and the next one follows."""
    code, shown, complaints = Terminal(folder, "--agent", "live_agents:strict").finish()
    assert (code, shown) == (0, "wrong\nright\n")
    assert complaints == "[asks again: refused: Not that.]\n"


def test_json_is_printed_once(folder: Path) -> None:
    """With ``--json`` a terminal gets the result alone, too."""
    assert Terminal(folder, "--model", "test", "--json").finish() == (0, '"success (no tool calls)"\n', "")
