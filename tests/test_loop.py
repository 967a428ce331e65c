"""The run loop: what follows on each kind of response, in which order, with which texts, and what counts."""

from __future__ import annotations

import re
from typing import Any, Callable, Union

import pytest

from syncagent.agent import Agent
from syncagent.exceptions import ContentFilterError, ModelRetry, UnexpectedModelBehavior, UsageLimitExceeded
from syncagent.loop import End, UserPromptNode, run_loop
from syncagent.messages import (
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.plan import Ask, Asked, RunTools, ToolOutcome
from syncagent.run import run_state
from syncagent.tools import RunContext
from syncagent.usage import Usage, UsageLimits
from tests.scripted_model import Scripted, answers, call, raw_call, request_parts

PROCESSED = "Final result processed."
NOT_EXECUTED = "Tool not executed - a final result was already processed."
NOT_USED = "Result tool not used - a final result was already processed."
NOT_USED_FAILED = "Result tool not used - result failed validation."
EMPTY = "The response was empty. Answer, or call one of the functions."
NO_TEXT = "Plain text responses are not permitted, please call one of the functions instead."
CUT_OFF = "The response was cut off by the token limit."
RESULT_RETRIES = "Exceeded maximum retries (1) for result validation"


def typed_agent(model: Scripted, **options: Any) -> tuple[Agent[None, int], list[int]]:
    """An agent for an int with the tools ``add`` and ``boom``, and the list of what ``add`` was called with."""
    agent: Agent[None, int] = Agent(model, result_type=int, **options)
    added: list[int] = []

    @agent.tool_plain
    def add(number: int) -> str:
        added.append(number)
        return f"added {number}"

    @agent.tool_plain
    def boom() -> str:
        raise ModelRetry("Not now.")

    return agent, added


# --- text ------------------------------------------------------------------------------------------


def test_text_ends_the_run() -> None:
    """Text where text is allowed is the result; no message follows the response."""
    result = Agent(Scripted("Paris")).run_sync("The capital?")
    assert result.data == "Paris"
    assert [type(message) for message in result.all_messages()] == [ModelRequest, ModelResponse]


def test_texts_are_joined() -> None:
    """Several text parts are joined by a blank line, empty ones left out; thinking is no text."""
    model = Scripted([TextPart("a"), TextPart(""), ThinkingPart("hm"), TextPart("b")])
    assert Agent(model).run_sync("Hi").data == "a\n\nb"


def test_text_that_is_not_allowed() -> None:
    """Text for a typed result counts a retry; the model is told to call a function, without a tool's name."""
    model = Scripted("three", call("final_result", response=3))
    agent, _ = typed_agent(model)
    assert agent.run_sync("Hi").data == 3
    [part] = request_parts(model.asked[1].messages[-1])
    assert part == RetryPromptPart(NO_TEXT, None, None, part.timestamp)  # type: ignore[union-attr] # a retry
    with pytest.raises(UnexpectedModelBehavior) as caught:
        typed_agent(Scripted("three"))[0].run_sync("Hi")
    assert (str(caught.value), caught.value.__cause__) == (RESULT_RETRIES, None)


def test_text_beside_tool_calls_is_not_the_result() -> None:
    """Where a response has tool calls its texts are ignored, and kept in the history."""
    model = Scripted([TextPart("Let me look."), call("look")], "found")
    agent = Agent(model)

    @agent.tool_plain
    def look() -> str:
        return "seen"

    result = agent.run_sync("Hi")
    assert result.data == "found"
    response = result.all_messages()[1]
    assert response.parts[0] == TextPart("Let me look.")


# --- nothing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [[], [TextPart("")], [ThinkingPart("hm")]])
def test_an_empty_response_is_asked_again(empty: list[Any]) -> None:
    """A response without text and calls counts a result retry and is answered by a text that says so."""
    model = Scripted(empty, "now")
    result = Agent(model).run_sync("Hi")
    assert result.data == "now"
    assert answers(result.all_messages()[2]) == [(None, None, EMPTY)]
    with pytest.raises(UnexpectedModelBehavior) as caught:
        Agent(Scripted(empty)).run_sync("Hi")
    assert str(caught.value) == "Received empty model response"


def test_a_filtered_response() -> None:
    """With content_filter and no usable part the run ends; with a part that can be used it goes on."""
    with pytest.raises(ContentFilterError, match="content filter") as caught:
        Agent(Scripted(ModelResponse([], finish_reason="content_filter"))).run_sync("Hi")
    assert caught.value.messages is not None
    assert isinstance(caught.value.messages[-1], ModelResponse)
    assert Agent(Scripted(ModelResponse([TextPart("x")], finish_reason="content_filter"))).run_sync("Hi").data == "x"


# --- result tools ----------------------------------------------------------------------------------


def test_a_result_call_ends_the_run() -> None:
    """The winning call is answered in one request at the end of the history, so that it can be sent again."""
    result = typed_agent(Scripted(call("final_result", "id1", response="4")))[0].run_sync("Hi")
    assert result.data == 4
    assert answers(result.all_messages()[-1]) == [("final_result", "id1", PROCESSED)]
    assert [type(part) for part in request_parts(result.all_messages()[-1])] == [ToolReturnPart]


def test_a_failed_result_call() -> None:
    """A result that does not validate counts a run-level retry; the errors go back with the call's name and id."""
    model = Scripted(call("final_result", "id1", response="x"), call("final_result", "id2", response=1))
    result = typed_agent(model)[0].run_sync("Hi")
    assert result.data == 1
    [(name, call_id, content)] = answers(model.asked[1].messages[-1])
    assert (name, call_id) == ("final_result", "id1")
    assert content == [
        {
            "type": "int_parsing",
            "loc": ("response",),
            "msg": "Input should be a valid integer, unable to parse string as an integer",
            "input": "x",
        }
    ]
    with pytest.raises(UnexpectedModelBehavior) as caught:
        typed_agent(Scripted(call("final_result", response="x")))[0].run_sync("Hi")
    assert (str(caught.value), caught.value.__cause__) == (RESULT_RETRIES, None)


def test_early_skips_function_tools() -> None:
    """early: every call of the response gets an answer, in call order, and no function tool runs."""
    response = [
        call("add", "1", number=1),
        call("final_result", "2", response="x"),
        call("final_result", "3", response=3),
        call("nope", "4"),
        call("final_result", "5", response=5),
        call("boom", "6"),
    ]
    agent, added = typed_agent(Scripted(response))
    result = agent.run_sync("Hi")
    assert (result.data, added) == (3, [])
    assert answers(result.all_messages()[-1]) == [
        ("add", "1", NOT_EXECUTED),
        ("final_result", "2", NOT_USED_FAILED),
        ("final_result", "3", PROCESSED),
        ("nope", "4", "Unknown tool name: 'nope'. Available tools: add, boom, final_result"),
        ("final_result", "5", NOT_USED),
        ("boom", "6", NOT_EXECUTED),
    ]


def test_exhaustive_runs_function_tools() -> None:
    """exhaustive: function tools run beside a winner; their answers follow the stubs, their retries end nothing."""
    response = [call("add", "1", number=1), call("boom", "2"), call("final_result", "3", response=3)]
    agent, added = typed_agent(Scripted(response), end_strategy="exhaustive", retries=0)
    result = agent.run_sync("Hi")
    assert (result.data, added) == (3, [1])
    assert answers(result.all_messages()[-1]) == [
        ("final_result", "3", PROCESSED),
        ("add", "1", "added 1"),
        ("boom", "2", "Not now."),
    ]


def test_a_result_wins_over_unknown_tools() -> None:
    """An unknown tool beside a valid result counts nothing and cannot end the run."""
    agent, _ = typed_agent(Scripted([call("nope", "1"), call("final_result", "2", response=2)]), result_retries=0)
    assert agent.run_sync("Hi").data == 2


def test_a_result_wins_over_failed_ones() -> None:
    """A result that holds wins over failed ones before it, even where those would exceed the retries."""
    agent, _ = typed_agent(Scripted([call("final_result", response="x"), call("final_result", response=2)]), retries=0)
    assert agent.run_sync("Hi").data == 2


def test_later_results_are_not_looked_at() -> None:
    """Once a result holds, validators do not see the calls after it."""
    agent, _ = typed_agent(Scripted([call("final_result", response=1), call("final_result", response=2)]))
    seen: list[int] = []

    @agent.result_validator
    def keep(data: int) -> int:
        seen.append(data)
        return data

    assert (agent.run_sync("Hi").data, seen) == (1, [1])


def test_order_of_parts_without_a_winner() -> None:
    """No winner: refused results first, then unknown tools, then what tools returned, all in call order."""
    response = [
        call("add", "1", number=1),
        call("nope", "2"),
        call("final_result", "3", response="x"),
        call("add", "4", number="y"),
        call("final_result", "5", response="z"),
    ]
    model = Scripted(response, call("final_result", response=0))
    agent, added = typed_agent(model, retries=3)
    agent.run_sync("Hi")
    found = answers(model.asked[1].messages[-1])
    assert [(name, call_id) for name, call_id, _ in found] == [
        ("final_result", "3"), ("final_result", "5"), ("nope", "2"), ("add", "1"), ("add", "4"),
    ]  # fmt: skip
    assert added == [1]


# --- unknown tools ---------------------------------------------------------------------------------


def test_unknown_tools_count_run_level_retries() -> None:
    """An unknown name is answered with the names there are, with its own name and id, and counts a retry."""
    model = Scripted(call("nope", "1"), "ok")
    agent = Agent(model)

    @agent.tool_plain
    def real() -> str:
        return ""

    agent.run_sync("Hi")
    assert answers(model.asked[1].messages[-1]) == [("nope", "1", "Unknown tool name: 'nope'. Available tools: real")]
    assert isinstance(request_parts(model.asked[1].messages[-1])[0], RetryPromptPart)
    with pytest.raises(UnexpectedModelBehavior) as caught:
        Agent(Scripted(call("nope"))).run_sync("Hi")
    assert str(caught.value) == RESULT_RETRIES


def test_unknown_tool_of_an_agent_without_tools() -> None:
    """Where there are no tools at all, the text says that."""
    model = Scripted(call("nope", "1"), "ok")
    Agent(model).run_sync("Hi")
    [(_, _, content)] = answers(model.asked[1].messages[-1])
    assert content == "Unknown tool name: 'nope'. No tools available."


def test_run_level_retries_are_never_reset() -> None:
    """Refused text, results and unknown tools count together, whatever succeeds in between."""
    model = Scripted(
        "text", call("add", number=1), call("nope"), call("add", number=2), call("final_result", response="x")
    )
    agent, added = typed_agent(model, result_retries=2)
    with pytest.raises(UnexpectedModelBehavior, match=re.escape("Exceeded maximum retries (2) for result validation")):
        agent.run_sync("Hi")
    assert (len(model.asked), added) == (5, [1, 2])


# --- retries of tools ------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [call("add", number="x"), raw_call("add", "{"), call("boom")])
def test_tool_retries(bad: ToolCallPart) -> None:
    """Wrong arguments and ModelRetry count for the tool; past its limit the run ends with the cause."""
    agent, _ = typed_agent(Scripted(bad))
    with pytest.raises(UnexpectedModelBehavior) as caught:
        agent.run_sync("Hi")
    assert str(caught.value) == "Tool exceeded max retries count of 1"
    cause = caught.value.__cause__
    assert isinstance(cause, ModelRetry) if bad.tool_name == "boom" else type(cause).__name__ == "ValidationError"
    assert caught.value.messages is not None
    assert isinstance(caught.value.messages[-1], ModelResponse)


def test_a_success_resets_a_tools_retries() -> None:
    """Only failures in a row count; two calls that fail in one response are two."""
    bad, good, done = call("add", number="x"), call("add", number=1), call("final_result", response=0)
    agent, added = typed_agent(Scripted(bad, good, bad, good, done))
    assert (agent.run_sync("Hi").data, added) == (0, [1, 1])
    with pytest.raises(UnexpectedModelBehavior, match="Tool exceeded max retries count of 1"):
        typed_agent(Scripted([bad, bad], done))[0].run_sync("Hi")


def test_tools_count_apart() -> None:
    """One tool's failures are not another's."""
    agent, _ = typed_agent(Scripted([call("boom"), call("add", number="x")], call("final_result", response=0)))
    assert agent.run_sync("Hi").data == 0


def test_retries_begin_anew_in_every_run() -> None:
    """No counter outlives its run: a failure in each of two runs with one history is one failure each."""
    model = Scripted(call("boom"), "one", call("boom"), "two")
    agent = Agent(model)
    retries: list[int] = []

    @agent.tool
    def boom(ctx: RunContext[None]) -> str:
        retries.append(ctx.retry)
        raise ModelRetry("Not now.")

    first = agent.run_sync("Hi")
    assert agent.run_sync("Again", message_history=first.all_messages()).data == "two"
    assert retries == [0, 0]


# --- cut responses ---------------------------------------------------------------------------------


def test_cut_tool_calls_are_not_executed() -> None:
    """finish_reason length: a call whose arguments do not parse counts as its tool's retry; whole ones run."""
    cut = ModelResponse([raw_call("add", '{"number": 2', "2"), call("add", "1", number=1)], finish_reason="length")
    model = Scripted(cut, call("final_result", response=0))
    agent, added = typed_agent(model)
    assert agent.run_sync("Hi").usage().tool_calls == 1
    assert added == [1]
    assert answers(model.asked[1].messages[-1]) == [("add", "2", CUT_OFF), ("add", "1", "added 1")]
    only = ModelResponse([raw_call("add", '{"number": 2', "2")], finish_reason="length")
    with pytest.raises(UnexpectedModelBehavior, match="Tool exceeded max retries count of 1") as caught:
        typed_agent(Scripted(only))[0].run_sync("Hi")
    assert str(caught.value.__cause__) == CUT_OFF


def test_cut_result_calls() -> None:
    """finish_reason length: a cut result call counts a run-level retry with the same text."""
    cut = ModelResponse([raw_call("final_result", '{"response": 1', "1")], finish_reason="length")
    model = Scripted(cut, call("final_result", response=5))
    assert typed_agent(model)[0].run_sync("Hi").data == 5
    assert answers(model.asked[1].messages[-1]) == [("final_result", "1", CUT_OFF)]
    with pytest.raises(UnexpectedModelBehavior, match=re.escape(RESULT_RETRIES)):
        typed_agent(Scripted(cut))[0].run_sync("Hi")


def test_whole_calls_of_a_cut_response_are_used() -> None:
    """finish_reason length takes nothing away from calls that did arrive, as text or as a dict."""
    parts = [raw_call("add", '{"number": 2}'), call("final_result", response=1)]
    agent, added = typed_agent(Scripted(ModelResponse(parts, finish_reason="length")), end_strategy="exhaustive")
    assert (agent.run_sync("Hi").data, added) == (1, [2])


# --- ids of calls ----------------------------------------------------------------------------------


def test_calls_get_ids_of_their_own() -> None:
    """A call without an id, or with one that another call of the response has, gets one; no model's object changes."""
    theirs = ModelResponse([call("add", None, number=1), call("add", "a", number=2), call("add", "a", number=3)])
    model = Scripted(theirs, call("final_result", response=0))
    result = typed_agent(model)[0].run_sync("Hi")
    kept = result.all_messages()[1]
    ids = [part.tool_call_id for part in kept.parts if isinstance(part, ToolCallPart)]
    assert ids[1] == "a"
    assert all(re.fullmatch(r"call_[0-9a-f]{24}", str(ids[index])) for index in (0, 2))
    assert len(set(ids)) == 3
    assert [call_id for _, call_id, _ in answers(result.all_messages()[2])] == ids
    assert [part.tool_call_id for part in theirs.parts if isinstance(part, ToolCallPart)] == [None, "a", "a"]
    equal = Scripted([call("add", "a", number=1), call("add", "a", number=2)], call("final_result", response=0))
    [(_, first, _), (_, second, _)] = answers(typed_agent(equal)[0].run_sync("Hi").all_messages()[2])
    assert first == "a" != second


def test_a_response_with_ids_is_kept_as_it_is() -> None:
    """Where every call has an id, the model's own object goes into the history."""
    theirs = ModelResponse([call("final_result", "a", response=1)])
    assert typed_agent(Scripted(theirs))[0].run_sync("Hi").all_messages()[1] is theirs


# --- limits ----------------------------------------------------------------------------------------


def test_request_limit_comes_after_appending() -> None:
    """The request that would be one too many is in the history; the model is not asked."""
    model = Scripted(call("nope"))
    with pytest.raises(UsageLimitExceeded) as caught:
        Agent(model, retries=5).run_sync("Hi", usage_limits=UsageLimits(request_limit=1))
    assert str(caught.value) == "The next request would exceed the request_limit of 1"
    assert caught.value.messages is not None
    assert [type(message) for message in caught.value.messages] == [ModelRequest, ModelResponse, ModelRequest]
    assert (len(model.asked), caught.value.usage) == (1, Usage(1, 10, 2, 12))
    with Agent(model).iter("Hi", usage_limits=UsageLimits(request_limit=0)) as run:
        with pytest.raises(UsageLimitExceeded, match="request_limit of 0"):
            list(run)
        assert (len(run.ctx.state.message_history), run.ctx.state.run_step) == (1, 0)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (UsageLimits(request_tokens_limit=9), "Exceeded the request_tokens_limit of 9 (request_tokens=10)"),
        (UsageLimits(response_tokens_limit=1), "Exceeded the response_tokens_limit of 1 (response_tokens=2)"),
        (UsageLimits(total_tokens_limit=11), "Exceeded the total_tokens_limit of 11 (total_tokens=12)"),
        (UsageLimits(50, 1, 1, 1), "Exceeded the request_tokens_limit of 1 (request_tokens=10)"),
    ],
)
def test_token_limits_keep_the_response(limits: UsageLimits, text: str) -> None:
    """Token limits are checked after each response, which is in the history by then."""
    with pytest.raises(UsageLimitExceeded) as caught:
        Agent(Scripted("x")).run_sync("Hi", usage_limits=limits)
    assert str(caught.value) == text
    assert caught.value.messages is not None
    assert caught.value.messages[-1].parts == [TextPart("x")]


def test_token_limits_are_strict() -> None:
    """Exactly the limit is allowed, and the run's running total counts."""
    limits = UsageLimits(total_tokens_limit=24)
    agent, _ = typed_agent(Scripted(call("add", number=1), call("final_result", response=1)))
    assert agent.run_sync("Hi", usage_limits=limits).usage().total_tokens == 24
    agent, _ = typed_agent(Scripted(call("add", number=1), call("add", number=1), call("final_result", response=1)))
    with pytest.raises(UsageLimitExceeded, match=re.escape("total_tokens=36")):
        agent.run_sync("Hi", usage_limits=limits)


def test_tool_calls_limit() -> None:
    """tool_calls_limit is checked before the calls of a step, none of which runs; result tools do not count."""
    limits = UsageLimits(tool_calls_limit=3)
    two = [call("add", number=1), call("add", number=2)]
    agent, added = typed_agent(Scripted(two, two))
    with pytest.raises(UsageLimitExceeded) as caught:
        agent.run_sync("Hi", usage_limits=limits)
    assert str(caught.value) == "The next tool call(s) would exceed the tool_calls_limit of 3 (tool_calls=4)"
    assert added == [1, 2]
    agent, added = typed_agent(Scripted(two, call("add", number=3), call("final_result", response=1)))
    result = agent.run_sync("Hi", usage_limits=limits)
    assert (added, result.usage().tool_calls) == ([1, 2, 3], 3)


# --- without a driver ------------------------------------------------------------------------------


def _drive(agent: Agent[None, Any], answer: Callable[[Union[Ask, RunTools]], Any]) -> tuple[list[str], End[Any]]:
    """Drive the bare loop; the names of all that it yielded, and its end."""
    from syncagent.declaration import RunOptions

    plan = agent._plan(RunOptions("Hi", None, None, None, None, None, None, None, None))
    loop, seen, value = run_loop(UserPromptNode("Hi"), plan, run_state([], None)), [], None
    try:
        while True:
            item = loop.send(value)
            seen.append(type(item).__name__)
            value = answer(item) if isinstance(item, (Ask, RunTools)) else None
    except StopIteration as stop:
        return seen, stop.value


def test_the_loop_does_nothing_itself() -> None:
    """The loop yields boundaries and effects, executes no tool, and ends with what the answers gave."""
    agent, added = typed_agent(Scripted())
    responses = iter([ModelResponse([call("add", "1", number=1)]), ModelResponse([call("final_result", response=2)])])

    def answer(effect: Union[Ask, RunTools]) -> Any:
        if isinstance(effect, Ask):
            return Asked(next(responses))
        return [ToolOutcome(ToolReturnPart(each.tool_name, "elsewhere", each.tool_call_id)) for each in effect.calls]

    seen, end = _drive(agent, answer)
    assert (added, end.data.data) == ([], 2)
    assert seen == [
        "UserPromptNode", "ModelRequestNode", "Ask", "CallToolsNode", "RunTools",
        "ModelRequestNode", "Ask", "CallToolsNode",
    ]  # fmt: skip


def test_further_parts_come_after_all_answers() -> None:
    """What a tool gives beside its answer stands after the answers of all calls."""
    agent, _ = typed_agent(Scripted())
    requests: list[ModelRequest] = []

    def answer(effect: Union[Ask, RunTools]) -> Any:
        if isinstance(effect, Ask):
            requests.append(effect.messages[-1])  # type: ignore[arg-type] # a request
            calls = [call("add", "1"), call("add", "2")] if len(requests) == 1 else [call("final_result", response=1)]
            return Asked(ModelResponse(calls))
        return [
            ToolOutcome(ToolReturnPart("add", "x", each.tool_call_id), [UserPromptPart(f"more {each.tool_call_id}")])
            for each in effect.calls
        ]

    _drive(agent, answer)
    kinds = [(part.part_kind, part.content) for part in requests[1].parts]
    assert kinds == [("tool-return", "x"), ("tool-return", "x"), ("user-prompt", "more 1"), ("user-prompt", "more 2")]
