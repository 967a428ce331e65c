"""What a run gives at its end: data, messages, usage, JSON and pickles, also of errors."""

from __future__ import annotations

import datetime as dt
import json
import pickle
from typing import Any

import attrs
import pytest

from syncagent import make_converter
from syncagent.agent import Agent, AgentRunResult
from syncagent.exceptions import AgentRunError, UnexpectedModelBehavior, UsageLimitExceeded
from syncagent.messages import ModelMessagesTypeAdapter, ModelRequest, ModelResponse, ToolReturnPart
from syncagent.usage import Usage, UsageLimits
from tests.scripted_model import Scripted, answers, call, raw_call, said


@attrs.define
class Invoice:
    number: int
    day: dt.date = dt.date(2024, 1, 2)


def conversation() -> tuple[AgentRunResult[str], AgentRunResult[str]]:
    """Two runs, the second with the first one's messages as its history."""
    agent = Agent(Scripted("one", "two"), system_prompt="fixed")
    first = agent.run_sync("First")
    return first, agent.run_sync("Second", message_history=first.all_messages())


def test_data_and_repr() -> None:
    """A result has its data, and a repr that shows it alone."""
    result = Agent(Scripted("x")).run_sync("Hi")
    assert (result.data, result.output, repr(result)) == ("x", "x", "AgentRunResult(data='x')")


def test_all_and_new_messages() -> None:
    """all_messages is the live list with the history before; new_messages begins behind the history."""
    first, second = conversation()
    assert first.all_messages() is first.all_messages()
    assert first.new_messages() == first.all_messages()
    assert len(first.all_messages()) == 2
    assert second.all_messages()[:2] == first.all_messages()
    assert [said(second.new_messages()[0]), len(second.new_messages())] == [[("user-prompt", "Second")], 2]


def test_messages_as_json() -> None:
    """The _json methods give the messages' JSON as bytes, which loads to equal messages."""
    _, second = conversation()
    for made, messages in (
        (second.all_messages_json(), second.all_messages()),
        (second.new_messages_json(), second.new_messages()),
    ):
        assert isinstance(made, bytes)
        assert ModelMessagesTypeAdapter.validate_json(made) == messages


def test_usage_is_the_runs() -> None:
    """usage() sums the requests and tokens of all responses, and counts the calls of function tools."""
    agent = Agent(Scripted(call("look"), "x"))
    agent.tool_plain(name="look")(lambda: "seen")
    result = agent.run_sync("Hi")
    assert result.usage() == Usage(2, 20, 4, 24)
    assert result.usage().tool_calls == 1
    assert (result.usage().input_tokens, result.usage().output_tokens) == (20, 4)


def test_the_public_place_of_results() -> None:
    """syncagent.result has what a run gives, under the reference's names."""
    from syncagent import result, result_tools, run_result

    assert (result.AgentRunResult, result.FinalResult) == (run_result.AgentRunResult, result_tools.FinalResult)
    assert {"AgentStream", "FinalResult", "ResultValidatorFunc", "StreamedRunResult"} <= set(result.__all__)


# --- result_tool_return_content --------------------------------------------------------------------


def typed(*calls: Any) -> AgentRunResult[int]:
    return Agent(Scripted(list(calls)), result_type=int).run_sync("Hi")


def test_the_result_tools_return_may_be_replaced() -> None:
    """result_tool_return_content: a deep copy in which the winning call's return holds the text."""
    result = typed(call("final_result", "1", response=1))
    for made in (
        result.all_messages(result_tool_return_content="DONE"),
        result.new_messages(result_tool_return_content="DONE"),
        ModelMessagesTypeAdapter.validate_json(result.all_messages_json(result_tool_return_content="DONE")),
        ModelMessagesTypeAdapter.validate_json(result.new_messages_json(result_tool_return_content="DONE")),
    ):
        assert answers(made[-1]) == [("final_result", "1", "DONE")]
        assert made[0] is not result.all_messages()[0]
    assert answers(result.all_messages()[-1]) == [("final_result", "1", "Final result processed.")]


def test_the_winning_call_is_replaced() -> None:
    """Among several calls of the result tool only the return of the one that won changes."""
    result = typed(
        call("final_result", "1", response="x"),
        call("final_result", "2", response=2),
        call("final_result", "3", response=3),
    )
    changed = result.all_messages(result_tool_return_content="DONE")
    assert [(call_id, content) for _, call_id, content in answers(changed[-1])] == [
        ("1", "Result tool not used - result failed validation."),
        ("2", "DONE"),
        ("3", "Result tool not used - a final result was already processed."),
    ]


def test_text_has_no_tool_return() -> None:
    """A text result has no return to replace: ValueError, whose text is the reference's."""
    result = Agent(Scripted("x")).run_sync("Hi")
    with pytest.raises(ValueError) as caught:
        result.all_messages(result_tool_return_content="DONE")
    assert str(caught.value) == "Cannot set result tool return content when the return type is `str`."


@pytest.mark.parametrize("change", ["other", "last"])
def test_a_return_that_is_not_there(change: str) -> None:
    """Where somebody took the return out of the live list, it is a LookupError that names the tool."""
    result = typed(call("final_result", "1", response=1))
    if change == "last":
        result.all_messages().pop()
    else:
        result.all_messages()[-1] = ModelRequest([ToolReturnPart("other", "x", "9")])
    with pytest.raises(LookupError) as caught:
        result.all_messages(result_tool_return_content="DONE")
    assert str(caught.value) == "No tool call found with tool name 'final_result'."


# --- to_json ---------------------------------------------------------------------------------------


def test_to_json() -> None:
    """to_json gives the data as compact UTF-8 JSON, by the agent's converter where it has one."""
    model = Scripted(call("final_result", number=1))
    assert Agent(Scripted("é")).run_sync("Hi").to_json() == '"é"'.encode()
    assert json.loads(Agent(model, result_type=Invoice).run_sync("Hi").to_json()) == {"number": 1, "day": "2024-01-02"}
    assert b" " not in Agent(model, result_type=Invoice).run_sync("Hi").to_json()
    converter = make_converter()
    converter.register_unstructure_hook(dt.date, lambda day: day.year)
    result = Agent(model, result_type=Invoice, converter=converter).run_sync("Hi")
    assert json.loads(result.to_json()) == {"number": 1, "day": 2024}


# --- pickles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_results_pickle(protocol: int) -> None:
    """A result comes back from a pickle with its data, messages and usage, ready to go on with."""
    agent: Agent[None, Invoice] = Agent(Scripted(call("final_result", "1", number=1)), result_type=Invoice)
    result = agent.run_sync("Hi")
    again = pickle.loads(pickle.dumps(result, protocol))
    assert (again.data, again.usage(), again.all_messages()) == (result.data, result.usage(), result.all_messages())
    assert again.new_messages() == again.all_messages()
    assert again.all_messages(result_tool_return_content="DONE")[-1].parts[0].content == "DONE"
    assert again.to_json() == result.to_json()


def test_a_converter_does_not_pickle() -> None:
    """A result whose agent has a converter says that it cannot be pickled, and what can."""
    result = Agent(Scripted("x"), converter=make_converter()).run_sync("Hi")
    with pytest.raises(TypeError, match=r"has a converter cannot be pickled.*pickle \.data and \.all_messages\(\)"):
        pickle.dumps(result)
    assert pickle.loads(pickle.dumps(result.all_messages())) == result.all_messages()


def failures() -> list[AgentRunError]:
    """Errors of runs, with their messages."""
    found = []
    for answer, limits in (("x", UsageLimits(total_tokens_limit=1)), (raw_call("nope", "{"), None)):
        try:
            Agent(Scripted(answer)).run_sync("Hi", usage_limits=limits)
        except AgentRunError as error:
            found.append(error)
    return found


def test_errors_pickle_with_their_messages() -> None:
    """An error of a run comes back from a pickle with its text, messages and usage."""
    assert [type(error) for error in failures()] == [UsageLimitExceeded, UnexpectedModelBehavior]
    for error in failures():
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
        assert (again.messages, again.usage) == (error.messages, error.usage)
        assert isinstance(again.messages[-1], ModelResponse)
