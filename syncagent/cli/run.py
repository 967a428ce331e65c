"""``syncagent run``: one prompt, one result."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Optional

from ..exceptions import AgentRunError, UserError
from .live import LiveView, shows_live
from .terminal import note, write

if TYPE_CHECKING:
    from ..agent import Agent
    from ..run_result import AgentRunResult

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """
    Run the agent and print its result.

    Raises:
        UserError: an option is wrong; nothing was sent.
        AgentRunError: the run failed.
    """
    from ..agent import Agent

    # As `python -m` does: what the user names lies in the current folder more often than not.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    result_type = _load(options.result_type, "--result-type") if options.result_type else None
    agent = _agent(options.agent)
    model = _model(options.model, agent)
    if agent is None:
        agent = Agent(model, result_type=str if result_type is None else result_type)
        result_type = model = None
    prompt = _prompt(options.prompt)
    keywords: dict[str, Any] = {
        "model": model, "result_type": result_type, "deadline": options.deadline, "infer_name": False
    }  # fmt: skip
    view = LiveView()
    live = shows_live() and not options.no_stream and not options.json
    try:
        result = _watch(view, agent, prompt, keywords) if live else agent.run_sync(prompt, **keywords)
    except KeyboardInterrupt:
        if options.show_messages and view.events is not None:
            _show(view.events.all_messages(), view.events.usage())
        raise
    except AgentRunError as error:
        if options.show_messages and error.messages is not None:
            _show(error.messages, error.usage)
        raise
    if options.show_messages:
        _show(result.all_messages(), result.usage())
    if not view.has_shown(result.data):
        write(result.to_json().decode() if options.json else str(result.data))
    return 0


def _watch(view: LiveView, agent: Agent[Any, Any], prompt: str, keywords: dict[str, Any]) -> AgentRunResult[Any]:
    """Run and show what happens; a model that cannot stream answers at once."""
    try:
        return view.follow(agent.run_stream_events(prompt, **keywords))
    except (NotImplementedError, UserError):
        if view.anything:
            raise
        return agent.run_sync(prompt, **keywords)  # which says it again where it was not the streaming


def _show(messages: Any, usage: Any) -> None:
    from ..usage import Usage
    from .transcript import transcript

    note(transcript(messages, usage or Usage()))


def _prompt(text: str) -> str:
    """
    The prompt, out of standard input for ``-``.

    Raises:
        UserError: it is not UTF-8, or empty.
    """
    if text == "-":
        source = "standard input"
        data = b"" if sys.stdin is None else sys.stdin.buffer.read()
    else:
        # Bytes of an argument that are not UTF-8 come as lone surrogates (PEP 383), and go out as bytes again.
        source, data = "the command line", text.encode(errors="surrogateescape")
    try:
        prompt = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"The prompt from {source} is not UTF-8: the byte 0x{data[error.start]:02x} at {error.start} does not "
            "belong there. Convert it, for example with iconv -f latin1 -t utf-8."
        ) from None
    if not prompt.strip():
        raise UserError(f"The prompt from {source} is empty.")
    return prompt


def _agent(name: Optional[str]) -> Optional[Agent[Any, Any]]:
    from ..agent import Agent

    if name is None:
        return None
    agent = _load(name, "--agent")
    if not isinstance(agent, Agent):
        raise UserError(f"--agent {name} is not an Agent but {type(agent).__name__}.")
    return agent


def _load(name: str, option: str) -> Any:
    """
    The object that ``pkg.mod:name`` stands for.

    Raises:
        UserError: it is no such name, there is no such thing, or importing it fails.
    """
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise UserError(f"{option} is written package.module:name; got {name!r}.")
    try:
        found: Any = import_module(module_name)
    except Exception as error:  # whatever the user's module raises
        raise UserError(f"{option} {name}: importing {module_name} failed: {type(error).__name__}: {error}") from error
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise UserError(f"{option} {name}: there is no {attribute!r} in {module_name}.") from None
    return found


def _model(name: Optional[str], agent: Optional[Agent[Any, Any]]) -> Any:
    """
    The model to run with: the option's, else None for the agent's own, else that of ``SYNCAGENT_MODEL``.

    Raises:
        UserError: there is none, or no such model.
    """
    from ..models.names import infer_model

    if name is None and agent is not None and agent.model is not None:
        return None
    name = name or os.environ.get("SYNCAGENT_MODEL")
    if not name:
        raise UserError(f"Which model? Give --model NAME or set SYNCAGENT_MODEL. {_choices()}")
    return infer_model(name)


def _choices() -> str:
    """Which models could be used here: by the keys that are there, and the local one."""
    from ..providers.table import ROWS

    found: list[str] = []
    for row in ROWS.values():
        # Where no key is needed, the address says that somebody means to use it.
        for variable in (row.key_variable, None if row.needs_key else row.base_url_variable):
            if variable is not None and os.environ.get(variable):
                found.append(f"{row.name}:NAME ({variable} is set)")
                break
    ready = any(map(os.environ.get, ("SYNCAGENT_LOCAL_URL", "SYNCAGENT_LOCAL_PYTHON"))) or find_spec("xllamacpp")
    needs = "no key" if ready else "no key, but pip install 'syncagent[local]'"
    return f"Here it could be: {'; '.join([*found, f'local (a small model on this machine: {needs})'])}."
