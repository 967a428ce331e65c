"""Many threads on one agent: every answer its own, and nothing of one run seen by another."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from syncagent.agent import Agent
from syncagent.deadline import current_deadline
from syncagent.exceptions import ModelRetry, RunCancelled
from syncagent.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from syncagent.models.function import AgentInfo, FunctionModel
from syncagent.run import capture_run_messages
from syncagent.tools import RunContext
from tests.scripted_model import Scripted, call, request_parts

pytestmark = pytest.mark.stress

THREADS = 100


@pytest.fixture(autouse=True)
def tiny_switch_interval() -> Iterator[None]:
    """Let threads take turns after a few bytecodes, so that what can go wrong does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def all_at_once(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """What *work* gives for each number, all started together; an error of any is raised."""
    barrier, found, errors = threading.Barrier(threads), {}, []

    def run(number: int) -> None:
        try:
            barrier.wait(30)
            found[number] = work(number)
        except BaseException as error:
            errors.append(error)

    started = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(120)
    if errors:
        raise errors[0]
    return [found[number] for number in range(threads)]


def echoing(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Call the tool with the prompt's number, twice wrongly, then answer with what it returned."""
    last = request_parts(messages[-1])[-1]
    if isinstance(last, UserPromptPart):
        return ModelResponse([ToolCallPart("twice", {"number": "wrong"})])
    if last.part_kind == "retry-prompt":
        responses = sum(isinstance(message, ModelResponse) for message in messages)
        prompt = next(part for part in request_parts(messages[0]) if isinstance(part, UserPromptPart))
        return ModelResponse([ToolCallPart("twice", {"number": "wrong" if responses < 2 else prompt.content})])
    return ModelResponse([ToolCallPart("final_result", {"response": last.content})])


def test_every_thread_gets_its_own_answer() -> None:
    """100 threads, 5 runs each, on one agent: data, deps, retries, messages and usage are each run's own."""
    agent: Agent[int, int] = Agent(FunctionModel(echoing), result_type=int, retries=2)

    @agent.system_prompt
    def prompt(ctx: RunContext[int]) -> str:
        return f"for {ctx.deps}"

    @agent.tool
    def twice(ctx: RunContext[int], number: int) -> int:
        assert (ctx.retry, ctx.deps, current_deadline.get()) == (2, number, ctx.deadline)
        return number * 2

    @agent.result_validator
    def own(ctx: RunContext[int], data: int) -> int:
        if data != ctx.deps * 2:
            raise ModelRetry("not mine")
        return data

    def work(number: int) -> list[int]:
        found = []
        for turn in range(5):
            mine = number * 5 + turn
            result = agent.run_sync(str(mine), deps=mine)
            assert [part.content for part in request_parts(result.all_messages()[0])] == [f"for {mine}", str(mine)]
            assert (len(result.all_messages()), result.usage().requests, result.usage().tool_calls) == (9, 4, 3)
            found.append(result.data)
        return found

    assert all_at_once(work) == [[(number * 5 + turn) * 2 for turn in range(5)] for number in range(THREADS)]


def test_the_name_and_the_deferred_model_are_set_once() -> None:
    """A hundred first runs at once: one model object serves all that follow, and the name is the variable's."""
    shared = Agent("test", defer_model_check=True)
    all_at_once(lambda _: shared.run_sync("Hi").data)
    assert shared.name == "shared"
    model = shared.model
    assert shared.run_sync("Hi").data == "success (no tool calls)"
    assert shared.model is model


def test_overrides_and_captures_are_each_threads_own() -> None:
    """Overrides, captures and cancelled deadlines of one thread never reach another."""
    agent: Agent[Any, str] = Agent(Scripted("own"))
    agent.system_prompt(lambda ctx: str(ctx.deps))

    def work(number: int) -> None:
        for _ in range(5):
            if number % 4 == 0:
                with agent.override(model=Scripted(str(number)), deps=number), capture_run_messages() as messages:
                    result = agent.run_sync("Hi", deps="run")
                assert (result.data, messages[0].parts[0].content) == (str(number), str(number))  # type: ignore[union-attr] # a system part
                assert messages is result.all_messages()
            elif number % 4 == 1:
                from syncagent.deadline import Deadline

                deadline = Deadline()
                deadline.cancel()
                with pytest.raises(RunCancelled):
                    agent.run_sync("Hi", deadline=deadline, model=Scripted("x"))
            else:
                result = agent.run_sync("Hi", deps=number, model=Scripted("mine"))
                assert (result.data, request_parts(result.all_messages()[0])[0].content) == ("mine", str(number))

    all_at_once(work)


def test_tools_are_registered_while_others_run() -> None:
    """Tools that one thread registers while others run: each run has one whole set, and all end up there."""
    agent: Agent[None, str] = Agent(Scripted("x"))

    def work(number: int) -> list[str]:
        if number % 10 == 0:

            def made() -> str:
                return str(number)

            agent.tool_plain(name=f"tool_{number}")(made)
        model = Scripted("x")
        agent.run_sync("Hi", model=model)
        return model.asked[0].tools

    seen = all_at_once(work)
    assert all(len(set(names)) == len(names) for names in seen)
    assert all(f"tool_{number}" in seen[number] for number in range(0, THREADS, 10))
    model = Scripted("x")
    agent.run_sync("Hi", model=model)
    assert sorted(model.asked[0].tools) == sorted(f"tool_{number}" for number in range(0, THREADS, 10))


def test_a_tools_first_calls_at_once() -> None:
    """A tool's arguments are compiled at its first call: a hundred first calls at once all come out right."""
    agent: Agent[None, str] = Agent()

    @agent.tool_plain
    def add(a: int, b: list[int]) -> int:
        return a + sum(b)

    def work(number: int) -> Any:
        model = Scripted(call("add", "1", a=str(number), b=["1", 2]), "done")
        result = agent.run_sync("Hi", model=model)
        request = result.all_messages()[2]
        assert isinstance(request, ModelRequest) and result.all_messages()[-1].parts == [TextPart("done")]
        return request.parts[0].content

    assert all_at_once(work) == [number + 3 for number in range(THREADS)]
