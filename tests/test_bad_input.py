"""Wrong programs: each mistake is refused as early as it can be seen, by a text that says what to do."""

from __future__ import annotations

import socket
from typing import Any, Callable

import cattrs
import pytest

from syncagent.agent import Agent
from syncagent.deadline import Deadline
from syncagent.exceptions import UserError
from syncagent.messages import ModelRequest
from syncagent.tools import RunContext, Tool
from syncagent.usage import UsageLimits
from tests.scripted_model import Scripted, call


async def asynchronous(*args: Any) -> str:
    return ""


async def asynchronous_generator(*args: Any) -> Any:
    yield ""


class Asynchronous:
    async def __call__(self, *args: Any) -> str:
        return ""


def wrong_context(ctx: int, x: str) -> None: ...


def unsupported(values: dict[str, list[socket.socket]]) -> None: ...


def documented(a: int, y: int) -> None:
    """Do.

    Args:
        a: given.
    """


def prepare(ctx: RunContext[Any], definition: Any) -> Any:
    return definition


# --- when the agent is built -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": "foo"}, "Unknown model: foo"),
        ({"model": "nope:gpt"}, "nope"),
        ({"model": 42}, "int"),
        ({"result_type": socket.socket}, "socket"),
        ({"result_type": list[dict[str, socket.socket]]}, "socket"),
        ({"tools": [42]}, "A tool is a function; got int"),
        ({"tools": [unsupported]}, r"(?s)unsupported:\n  values.*socket"),
        ({"tools": asynchronous}, "tools is a sequence such as a list; got function"),
        ({"tools": [asynchronous]}, r"(?s)async function.*asyncio\.run"),
        ({"system_prompt": ["a", 1]}, "system_prompt is text or a sequence of texts; got int in it"),
        ({"system_prompt": 1}, "system_prompt is a sequence such as a list; got int"),
        ({"instructions": [1]}, "The instructions function has to be a function that returns text; got int"),
        ({"instructions": 1}, "instructions is a sequence such as a list; got int"),
        ({"instructions": asynchronous}, "instructions function 'asynchronous' is an async function"),
        ({"history_processors": [asynchronous]}, "history processor 'asynchronous' is an async function"),
        ({"history_processors": [1]}, "A history processor is a function of messages; got int"),
        ({"history_processors": print}, "history_processors is a sequence such as a list; got builtin"),
        ({"end_strategy": "late"}, "end_strategy is 'early' or 'exhaustive'; got 'late'"),
        ({"result_mode": "json"}, "result_mode is 'tool', 'native' or 'prompted', or None; got 'json'"),
        ({"retries": -1}, "retries is a whole number from 0 on; got -1"),
        ({"retries": 1.5}, r"retries is a whole number from 0 on; got 1\.5"),
        ({"result_retries": True}, "result_retries is a whole number from 0 on; got True"),
        ({"deadline": 0}, "A deadline is a positive number of seconds, or None for no limit; got 0"),
        ({"deadline": Deadline()}, "give a Deadline to a run"),
        ({"model_settings": {"temprature": 0}}, "Unknown model setting 'temprature'"),
        ({"model_settings": [1]}, "model_settings is a dict"),
        ({"converter": cattrs.Converter()}, r"syncagent\.make_converter\(\)"),
    ],
)
def test_agents(options: dict[str, Any], text: str) -> None:
    """What is wrong with an agent is a UserError when it is built."""
    with pytest.raises(UserError, match=text):
        Agent(**options)


def test_unknown_keywords() -> None:
    """A keyword that does not exist is a TypeError, as for any class."""
    with pytest.raises(TypeError, match="sytem_prompt"):
        Agent(sytem_prompt="x")  # type: ignore[call-arg] # the mistake itself


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Tool(wrong_context, takes_ctx=True), "First parameter of tools that take context must be annotated"),
        (lambda: Tool(documented, require_parameter_descriptions=True), "Missing parameter descriptions for y"),
        (lambda: Tool(documented, max_retries=-1), "max_retries is a whole number from 0 on; got -1"),
        (lambda: Tool(documented, prepare=asynchronous), "prepare function 'asynchronous' is an async function"),
        (lambda: Tool(asynchronous), "tool 'asynchronous' is an async function"),
        (lambda: Tool(asynchronous_generator), "is an async generator"),
        (lambda: Tool(Asynchronous()), "is an async function"),
    ],
)
def test_tools(make: Callable[[], Any], text: str) -> None:
    """What is wrong with a tool is a UserError when the tool is made."""
    with pytest.raises(UserError, match=text):
        make()


@pytest.mark.parametrize(
    ("decorator", "function", "text"),
    [
        ("tool", wrong_context, "First parameter of tools that take context must be annotated"),
        ("tool", lambda: None, "First parameter of tools that take context"),
        ("tool_plain", asynchronous, "tool 'asynchronous' is an async function"),
        ("system_prompt", asynchronous, "system prompt function 'asynchronous' is an async function"),
        ("system_prompt", Asynchronous(), "is an async function"),
        ("instructions", asynchronous_generator, "is an async generator"),
        ("instructions", "text", "The instructions function has to be a function that returns text; got str"),
        ("result_validator", asynchronous, "result validator 'asynchronous' is an async function"),
        ("result_validator", 3, "A result validator is a function of the data; got int"),
    ],
)
def test_decorators(decorator: str, function: Any, text: str) -> None:
    """What is wrong with a function is a UserError when it is registered, and nothing of it is kept."""
    agent: Agent[None, str] = Agent(Scripted("x"))
    with pytest.raises(UserError, match=text):
        getattr(agent, decorator)(function)
    assert agent.run_sync("Hi").data == "x"


# --- when a run begins -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"user_prompt": None}, "user_prompt is text or a sequence of texts and media .*; got NoneType"),
        ({"user_prompt": b"bytes"}, "user_prompt is text or a sequence .*; got bytes"),
        ({"user_prompt": {"a": 1}}, "user_prompt is text or a sequence .*; got dict"),
        ({"user_prompt": ["a", b"b"]}, r"user_prompt\[1\] is neither text nor ImageUrl, .* but bytes"),
        ({"message_history": "before"}, "message_history is a list of messages; got str"),
        ({"message_history": [ModelRequest([]), {"kind": "request"}]}, r"message_history\[1\] .*dict.*validate_json"),
        ({"message_history": 1}, "message_history is a list of messages; got int"),
        ({"model": "foo"}, "Unknown model: foo"),
        ({"model": 1}, "int"),
        ({"model_settings": {"temperature": "hot"}}, "temperature is a number"),
        ({"model_settings": {"timeout": 0}}, "timeout is a positive number of seconds"),
        ({"usage_limits": 5}, r"usage_limits is UsageLimits\(\.\.\.\); got int"),
        ({"usage_limits": {}}, r"usage_limits is UsageLimits\(\.\.\.\); got dict"),
        ({"usage": 5}, "usage is a Usage object, to be counted on; got int"),
        ({"deadline": -1}, "A deadline is a positive number of seconds"),
        ({"deadline": "1"}, "A deadline is a positive number of seconds"),
        ({"deadline": True}, "A deadline is a positive number of seconds"),
        ({"result_type": socket.socket}, "socket"),
    ],
)
def test_runs(options: dict[str, Any], text: str) -> None:
    """What is wrong with a run is a UserError before its first request."""
    model = Scripted("x")
    agent = Agent(model)
    with pytest.raises(UserError, match=text):
        agent.run_sync(**{"user_prompt": "Hi", **options})
    assert model.asked == []


@pytest.mark.parametrize("name", ["request_limit", "request_tokens_limit", "total_tokens_limit", "tool_calls_limit"])
@pytest.mark.parametrize("value", [-1, 1.5, "3", True])
def test_limits(name: str, value: Any) -> None:
    """A limit that is negative or no whole number is a UserError that names it."""
    with pytest.raises(UserError, match=f"{name} is a whole number from 0 on, or None for no limit; got"):
        UsageLimits(**{name: value})


def test_overrides() -> None:
    """A wrong model of an override is refused when the override begins, and the agent is as it was."""
    agent = Agent(Scripted("x"))
    for wrong in ("foo", None, 3):
        with pytest.raises(UserError), agent.override(model=wrong):  # type: ignore[arg-type] # the mistake itself
            raise AssertionError("the override began")
    assert agent.run_sync("Hi").data == "x"


# --- what a model may send -------------------------------------------------------------------------


@pytest.mark.parametrize("args", ["[]", "1", "nul", '"text"', "{" * 5000, "[" * 100_000, '{"a": 1e999}', "\ud800"])
def test_arguments_of_any_shape(args: str) -> None:
    """Arguments that are no object, deep, or no Unicode at all are the model's mistake, not a crash."""
    model = Scripted(lambda _: call("look", "1") if model.asked[1:] else _raw(args), "done")
    agent = Agent(model)
    agent.tool_plain(name="look")(_look)
    result = agent.run_sync("Hi")
    assert result.data == "done"
    result.all_messages_json()


def _raw(args: str) -> Any:
    from syncagent.messages import ToolCallPart

    return ToolCallPart("look", args, "1")


def _look(a: int = 0) -> int:
    return a


def test_the_path_to_an_unsupported_type_is_the_users_own() -> None:
    """Where a result that is no object holds an unsupported type, the path begins at the type that was given."""
    with pytest.raises(UserError, match=r"^list\[complex\]\[\]: complex is not supported"):
        Agent("test", result_type=list[complex])
