"""``syncagent run``: which model, which agent, which result, and what is printed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from syncagent.cli import main

AGENTS = '''
import attrs
from syncagent import Agent, ModelRetry
from syncagent.models.function import FunctionModel
from syncagent.models.test import TestModel
from syncagent.messages import BinaryContent, ModelResponse, TextPart, ThinkingPart, ToolCallPart

@attrs.frozen
class City:
    name: str
    people: int

class Outer:
    Inner = City

number = 3
plain = Agent("test", system_prompt="Be kind.")
homeless = Agent()

def say(messages, info):
    if len(messages) == 1:
        call = ToolCallPart("look", {"at": "it"})
        return ModelResponse([ThinkingPart("Let me see."), TextPart("First\\nI look."), call])
    if len(messages) == 3:
        return ModelResponse([ToolCallPart("look", '{"at": "that"}')])
    return ModelResponse([TextPart("Done \\ud800.")])

talker = Agent(FunctionModel(say))

@talker.tool_plain(retries=2)
def look(at: str) -> dict:
    if at == "it":
        raise ModelRetry("Look elsewhere.")
    return {"seen": [at]}

def refuse(messages, info):
    raise ZeroDivisionError("by nothing")

broken = Agent(FunctionModel(refuse))
silent = Agent(FunctionModel(lambda messages, info: ModelResponse([])))
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with modules of a user's in it."""
    (tmp_path / "shop_agents.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "broken_module.py").write_text("import no_such_thing")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "shop_agents", raising=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``syncagent run``."""
    code = main(["run", *arguments])
    return (code, *capsys.readouterr())


class TestModel:
    """The choice of the model."""

    def test_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``--model`` names it."""
        assert run(capsys, "hi", "--model", "test") == (0, "success (no tool calls)\n", "")

    def test_of_the_environment(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Without ``--model``, SYNCAGENT_MODEL names it, for an agent without a model too."""
        monkeypatch.setenv("SYNCAGENT_MODEL", "test")
        assert run(capsys, "hi")[0] == 0
        assert run(capsys, "hi", "--agent", "shop_agents:homeless")[0] == 0

    def test_of_the_agent(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """An agent's own model goes before SYNCAGENT_MODEL, and ``--model`` before both."""
        monkeypatch.setenv("SYNCAGENT_MODEL", "wrong")
        assert run(capsys, "hi", "--agent", "shop_agents:plain")[0] == 0
        assert run(capsys, "hi", "--agent", "shop_agents:broken", "--model", "test")[0] == 0

    def test_none(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Without any, nothing is chosen by chance: the line says which ones there could be, by the keys at hand."""
        monkeypatch.setattr("syncagent.cli.run.find_spec", lambda name: None)
        assert run(capsys, "hi") == (
            2,
            "",
            "error: Which model? Give --model NAME or set SYNCAGENT_MODEL. Here it could be: "
            "local (a small model on this machine: no key, but pip install 'syncagent[local]').\n",
        )
        monkeypatch.setenv("OPENAI_API_KEY", "canary")
        monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:1/v1")
        monkeypatch.setenv("SYNCAGENT_LOCAL_URL", "http://127.0.0.1:1")
        code, out, err = run(capsys, "hi", "--agent", "shop_agents:homeless")
        assert (code, out) == (2, "")
        assert err.endswith(
            "Here it could be: openai:NAME (OPENAI_API_KEY is set); ollama:NAME (OLLAMA_BASE_URL is set); "
            "local (a small model on this machine: no key).\n"
        )
        assert "canary" not in err

    def test_unknown(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A name that is none is code 2."""
        code, _, err = run(capsys, "hi", "--model", "wrong")
        assert code == 2
        assert err.startswith("error: Unknown model: wrong.")

    def test_missing_key(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A missing key is code 2, and the line names the variable."""
        code, _, err = run(capsys, "hi", "--model", "openai:gpt-4o")
        assert code == 2
        assert "`OPENAI_API_KEY`" in err

    def test_local_is_off(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The local model, forbidden, is code 2 and starts nothing."""
        monkeypatch.setenv("SYNCAGENT_LOCAL", "off")
        code, _, err = run(capsys, "hi", "--model", "local")
        assert code == 2
        assert "SYNCAGENT_LOCAL=off forbids to start the model qwen2.5-coder-0.5b" in err


class TestNames:
    """Names of the user's own: ``pkg.mod:name``."""

    def test_result_type(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A result type is built by the model and printed."""
        code, out, _ = run(capsys, "hi", "--model", "test", "--result-type", "shop_agents:City")
        assert (code, out) == (0, "City(name='a', people=0)\n")

    def test_result_type_of_an_agent(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It takes the place of an agent's own; names may have dots."""
        names = ("--agent", "shop_agents:plain", "--result-type", "shop_agents:Outer.Inner")
        code, out, _ = run(capsys, "hi", *names, "--json")
        assert (code, json.loads(out)) == (0, {"name": "a", "people": 0})

    def test_builtin_type(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Any importable type will do."""
        assert run(capsys, "hi", "--model", "test", "--result-type", "builtins:int")[:2] == (0, "0\n")

    @pytest.mark.parametrize(
        ("option", "name", "text"),
        [
            ("--agent", "shop_agents", "--agent is written package.module:name; got 'shop_agents'."),
            ("--result-type", ":City", "--result-type is written package.module:name; got ':City'."),
            ("--agent", "nowhere:agent", "importing nowhere failed: ModuleNotFoundError: No module named 'nowhere'"),
            ("--agent", "broken_module:agent", "importing broken_module failed: ModuleNotFoundError: No module named"),
            ("--agent", "shop_agents:none", "--agent shop_agents:none: there is no 'none' in shop_agents."),
            ("--result-type", "shop_agents:City.X", "there is no 'X' in shop_agents."),
            ("--agent", "shop_agents:number", "--agent shop_agents:number is not an Agent but int."),
            ("--result-type", "shop_agents:number", "3"),
        ],
    )
    def test_wrong(self, option: str, name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        """A name that leads nowhere, or to something else, is code 2 and one line."""
        code, out, err = run(capsys, "hi", "--model", "test", option, name)
        assert (code, out) == (2, "")
        assert text in err
        assert err.count("\n") == 1


class TestPrompt:
    """Where the prompt comes from."""

    def given(self, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put *data* on standard input."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    def test_standard_input(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """``-`` reads it from standard input as UTF-8, with or without a byte order mark."""
        self.given("\ufeffWo ist mein Paket? ü".encode(), monkeypatch)
        code, _, err = run(capsys, "-", "--model", "test", "--show-messages")
        assert code == 0
        assert err.startswith("user    Wo ist mein Paket? ü\n")

    @pytest.mark.parametrize("data", [b"", b" \n"])
    def test_empty(self, data: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """An empty prompt is code 2."""
        self.given(data, monkeypatch)
        assert run(capsys, "-", "--model", "test") == (2, "", "error: The prompt from standard input is empty.\n")

    def test_no_standard_input(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """So is a standard input that is closed."""
        monkeypatch.setattr(sys, "stdin", None)
        assert run(capsys, "-", "--model", "test")[0] == 2

    def test_not_utf8(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Bytes that are not UTF-8 are code 2; the line names the byte and says what to do."""
        self.given("café".encode("latin-1"), monkeypatch)
        code, out, err = run(capsys, "-", "--model", "test")
        assert (code, out) == (2, "")
        assert err.startswith("error: The prompt from standard input is not UTF-8: the byte 0xe9 at 3 does not belong")

    def test_argument_not_utf8(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Such bytes in an argument are refused as well: they arrive as lone surrogates."""
        code, _, err = run(capsys, "caf\udce9", "--model", "test")
        assert code == 2
        assert "The prompt from the command line is not UTF-8: the byte 0xe9 at 3" in err


class TestOutput:
    """What is printed, and where."""

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``--json`` prints the result alone, as JSON."""
        code, out, err = run(capsys, "hi", "--agent", "shop_agents:talker", "--json")
        assert (code, json.loads(out), err) == (0, "Done \ud800.", "")

    def test_messages(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``--show-messages`` prints the conversation, part by part, to standard error; the result stays alone."""
        code, out, err = run(capsys, "hi", "--agent", "shop_agents:talker", "--show-messages")
        assert (code, out) == (0, "Done \\ud800.\n")
        assert err.splitlines() == [
            "user    hi",
            "thinks  Let me see.",
            "model   First",
            "        I look.",
            'call    look {"at":"it"}',
            "retry   look: Look elsewhere.",
            "        ",
            "        Fix the errors and try again.",
            'call    look {"at": "that"}',
            'return  look: {"seen":["that"]}',
            "model   Done \\ud800.",
            err.splitlines()[-1],
        ]
        assert err.splitlines()[-1].startswith("[3 requests, ")

    def test_system_prompt(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The transcript shows what the agent was told."""
        err = run(capsys, "hi", "--agent", "shop_agents:plain", "--show-messages")[2]
        assert err.splitlines()[0] == "system  Be kind."

    def test_messages_of_a_failed_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A run that failed shows how far it came, then why it failed."""
        code, out, err = run(capsys, "hi", "--agent", "shop_agents:silent", "--show-messages")
        assert (code, out) == (1, "")
        assert err.splitlines()[0] == "user    hi"
        assert err.splitlines()[-1].startswith("error: ")

    def test_failed_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Without the transcript a failed run is one line."""
        code, out, err = run(capsys, "hi", "--agent", "shop_agents:silent")
        assert (code, out, err.count("\n")) == (1, "", 1)

    def test_other_failures(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What a tool or a model function raises is named by its class."""
        code, _, err = run(capsys, "hi", "--agent", "shop_agents:broken", "--show-messages")
        assert (code, err) == (1, "error: ZeroDivisionError: by nothing\n")

    def test_deadline(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``--deadline`` ends the run."""
        code, _, err = run(capsys, "hi", "--model", "test", "--deadline", "0.000001")
        assert (code, err) == (1, "error: The deadline of 1e-06 s was exceeded.\n")


def test_current_folder_is_searched_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The current folder is put on the path, as ``python -m`` does, and only once."""
    for _ in range(2):
        run(capsys, "hi", "--agent", "shop_agents:plain")
    assert sys.path.count(str(folder)) == 1


def test_media(capsys: pytest.CaptureFixture[str]) -> None:
    """Media in a conversation are named, not printed."""
    from syncagent.cli.transcript import transcript
    from syncagent.messages import BinaryContent, ModelRequest, ModelResponse, OpaquePart, UserPromptPart, VideoUrl
    from syncagent.usage import Usage

    content: list[Any] = ["What is this?", BinaryContent(b"x" * 1234, "image/png"), VideoUrl("https://host/cat.mp4")]
    messages = [ModelRequest([UserPromptPart(content)]), ModelResponse([OpaquePart("openai", {"secret": 1})])]
    assert transcript(messages, Usage(requests=1)).splitlines() == [
        "user    What is this?",
        "        <image/png, 1,234 bytes>",
        "        <https://host/cat.mp4>",
        "opaque  ",
        "[1 request]",
    ]
