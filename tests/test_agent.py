"""What an agent is declared with: names, defaults, attributes, the choice of model, settings and dependencies."""

from __future__ import annotations

import _thread
import copy
import inspect
import os
import subprocess
import sys
import threading
from typing import Any, Union

import pytest

import syncagent
from syncagent.agent import Agent
from syncagent.exceptions import UnexpectedModelBehavior, UsageLimitExceeded, UserError
from syncagent.messages import ModelResponse, TextPart, UserPromptPart
from syncagent.models.fallback import FallbackModel
from syncagent.models.profiles import ModelProfile
from syncagent.models.test import TestModel
from syncagent.tools import RunContext, Tool
from syncagent.usage import Usage, UsageLimits
from tests.scripted_model import Scripted, call

REFERENCE_PARAMETERS = [
    ("model", None),
    ("result_type", str),
    ("system_prompt", ()),
    ("deps_type", type(None)),
    ("name", None),
    ("model_settings", None),
    ("retries", 1),
    ("result_tool_name", "final_result"),
    ("result_tool_description", None),
    ("result_retries", None),
    ("tools", ()),
    ("defer_model_check", False),
    ("end_strategy", "early"),
]
RUN_PARAMETERS = [
    ("user_prompt", inspect.Parameter.empty),
    ("result_type", None),
    ("message_history", None),
    ("model", None),
    ("deps", None),
    ("model_settings", None),
    ("usage_limits", None),
    ("usage", None),
    ("infer_name", True),
    ("deadline", None),
]

# --- declaration -----------------------------------------------------------------------------------


def test_parameters_are_the_references() -> None:
    """Agent() takes the reference's parameters in its order with its defaults, and ours after them."""
    parameters = list(inspect.signature(Agent).parameters.values())
    assert [(each.name, each.default) for each in parameters[: len(REFERENCE_PARAMETERS)]] == REFERENCE_PARAMETERS
    assert [each.name for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY] == ["model"]


@pytest.mark.parametrize("method", ["run", "run_sync", "run_stream", "iter"])
def test_runs_share_their_parameters(method: str) -> None:
    """All kinds of runs take one list of keywords; the prompt alone goes by position."""
    parameters = list(inspect.signature(getattr(Agent, method)).parameters.values())[1:]
    assert [(each.name, each.default) for each in parameters] == RUN_PARAMETERS
    assert {each.kind for each in parameters[1:]} == {inspect.Parameter.KEYWORD_ONLY}


def test_prompt_is_required() -> None:
    """A run without a prompt is a TypeError, as for any function."""
    with pytest.raises(TypeError, match="user_prompt"):
        Agent(TestModel()).run_sync()  # type: ignore[call-overload]


def test_public_attributes() -> None:
    """model, name, end_strategy, model_settings and result_type are public, as they were given."""
    model = TestModel()
    agent = Agent(model, name="a", end_strategy="exhaustive", model_settings={"seed": 1}, result_type=int)
    assert agent.model is model
    assert (agent.name, agent.end_strategy, agent.model_settings, agent.result_type) == (
        "a", "exhaustive", {"seed": 1}, int,
    )  # fmt: skip


def test_repr() -> None:
    """The repr shows model, name, end strategy and settings, and ends there."""
    assert repr(Agent(name="a")) == "Agent(model=None, name='a', end_strategy='early', model_settings=None)"


def test_deps_type_is_not_checked() -> None:
    """deps_type is for type checkers: other dependencies run all the same."""
    agent: Agent[Any, str] = Agent(TestModel(custom_result_text="x"), deps_type=int)
    assert agent.run_sync("Hi", deps="no int").data == "x"


def test_decorators_return_the_function() -> None:
    """Every decorator, bare or with keywords, gives the function itself back."""
    agent: Agent[None, str] = Agent()

    def plain() -> str:
        return ""

    def with_ctx(ctx: RunContext[None]) -> str:
        return ""

    def validate(data: str) -> str:
        return data

    assert agent.system_prompt(plain) is plain
    assert agent.system_prompt(dynamic=True)(with_ctx) is with_ctx
    assert agent.instructions(plain) is plain
    assert agent.result_validator(validate) is validate
    assert agent.output_validator(validate) is validate
    assert agent.tool(with_ctx) is with_ctx
    assert agent.tool(name="b")(with_ctx) is with_ctx
    assert agent.tool_plain(plain) is plain
    assert agent.tool_plain(name="c")(plain) is plain


# --- the model -------------------------------------------------------------------------------------


def test_a_name_becomes_a_model_at_once() -> None:
    """A model's name is looked up when the agent is built."""
    assert isinstance(Agent("test").model, TestModel)
    with pytest.raises(UserError, match="Unknown model: foo"):
        Agent("foo")


def test_a_deferred_name_is_looked_up_at_the_first_run() -> None:
    """With defer_model_check the name stays until the first run, which stores the model."""
    agent = Agent("test", defer_model_check=True)
    assert agent.model == "test"
    agent.run_sync("Hi")
    assert isinstance(agent.model, TestModel)
    wrong = Agent("foo", defer_model_check=True)
    with pytest.raises(UserError, match="Unknown model: foo"):
        wrong.run_sync("Hi")


def test_an_override_leaves_a_deferred_name_alone() -> None:
    """A name that is not needed, because of an override, is not looked up."""
    agent = Agent("foo", defer_model_check=True)
    with agent.override(model="test"):
        assert agent.run_sync("Hi").data == "success (no tool calls)"
    assert agent.model == "foo"


def test_no_model() -> None:
    """A run without any model says where to set one."""
    with pytest.raises(UserError) as caught:
        Agent().run_sync("Hi")
    assert str(caught.value) == "`model` must be set either when creating the agent or when calling it."


def test_an_override_is_no_model() -> None:
    """An override replaces a model, it does not stand for a missing one; the text says so."""
    agent = Agent()
    with agent.override(model=TestModel()), pytest.raises(UserError) as caught:
        agent.run_sync("Hi")
    assert str(caught.value) == (
        "`model` must be set either when creating the agent or when calling it. "
        "(Even when `override(model=...)` is customizing the model that will actually be called)"
    )


def test_order_of_models() -> None:
    """An override beats the run's model, which beats the agent's."""
    agent = Agent(TestModel(custom_result_text="agent"))
    other = TestModel(custom_result_text="run")
    assert agent.run_sync("Hi").data == "agent"
    assert agent.run_sync("Hi", model=other).data == "run"
    with agent.override(model=TestModel(custom_result_text="override")):
        assert agent.run_sync("Hi", model=other).data == "override"
    assert agent.run_sync("Hi", model="test").data == "success (no tool calls)"


def test_check_raises_what_the_first_request_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """agent.check() finds a missing model, name or key before any run, and nothing where all is there."""
    Agent("test").check()
    with pytest.raises(UserError, match="`model` must be set"):
        Agent().check()
    with pytest.raises(UserError, match="Unknown model: foo"):
        Agent("foo", defer_model_check=True).check()
    agent = Agent("openai:gpt-4o")
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        agent.check()
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    agent.check()


# --- settings, usage, dependencies -----------------------------------------------------------------


def test_settings_are_merged() -> None:
    """Settings of the run win over the agent's; keys that it does not name stay."""
    model = Scripted("x")
    agent = Agent(model, model_settings={"max_tokens": 1, "seed": 2})
    agent.run_sync("Hi", model_settings={"seed": 3, "temperature": 0})
    agent.run_sync("Hi")
    assert model.asked[0].settings == {"max_tokens": 1, "seed": 3, "temperature": 0}
    assert model.asked[1].settings == {"max_tokens": 1, "seed": 2}
    Agent(model).run_sync("Hi")
    assert model.asked[2].settings is None


def test_driver_settings_never_reach_a_wire() -> None:
    """retry_policy and on_incomplete travel in the parameters; the settings that were given keep them."""
    from syncagent import RetryPolicy

    model, policy = Scripted("x"), RetryPolicy(max_retries=0)
    given: Any = {"seed": 1, "retry_policy": policy, "on_incomplete": "accept"}
    Agent(model).run_sync("Hi", model_settings=given)
    [asked] = model.asked
    assert asked.settings == {"seed": 1}
    assert (asked.parameters.retry_policy, asked.parameters.on_incomplete) == (policy, "accept")
    assert set(given) == {"seed", "retry_policy", "on_incomplete"}


def test_fifty_requests_are_the_default_limit() -> None:
    """A run without limits makes 50 requests and no more."""
    model = Scripted(call("again"))
    agent = Agent(model)

    @agent.tool_plain
    def again() -> str:
        return "ok"

    with pytest.raises(UsageLimitExceeded) as caught:
        agent.run_sync("Hi")
    assert str(caught.value) == "The next request would exceed the request_limit of 50"
    assert len(model.asked) == 50


def test_usage_is_counted_in_place() -> None:
    """The usage that is given is the one that .usage() returns, with this run's added."""
    usage = Usage(requests=2, request_tokens=1)
    result = Agent(Scripted("x")).run_sync("Hi", usage=usage)
    assert result.usage() is usage
    assert usage == Usage(requests=3, request_tokens=11, response_tokens=2, total_tokens=12)
    with pytest.raises(UsageLimitExceeded, match="The next request would exceed the request_limit of 3"):
        Agent(Scripted("x")).run_sync("Hi", usage=usage, usage_limits=UsageLimits(request_limit=3))


def test_tools_take_the_agents_retries() -> None:
    """A Tool without max_retries is registered as a copy with the agent's; one with its own is kept."""

    def noop() -> None:
        return None

    without, with_own = Tool(noop, name="a"), Tool(noop, name="b", max_retries=7)
    agent: Agent[None, str] = Agent(tools=[without, with_own], retries=3)
    assert without.max_retries is None
    assert [tool.max_retries for tool in agent._tools_of_now().tools.values()] == [3, 7]
    assert agent._tools["b"] is with_own


def test_result_retries_are_the_agents_by_default() -> None:
    """result_retries is retries unless it is given, 0 included."""
    for options, requests in (({}, 2), ({"retries": 2}, 3), ({"retries": 2, "result_retries": 0}, 1)):
        model = Scripted("no int")
        agent: Agent[None, int] = Agent(model, result_type=int, **options)
        with pytest.raises(UnexpectedModelBehavior, match="for result validation"):
            agent.run_sync("Hi")
        assert len(model.asked) == requests


# --- names -----------------------------------------------------------------------------------------

module_level_agent = Agent(TestModel())


def test_the_name_is_the_callers_variable() -> None:
    """The first variable that holds the agent, local before global, names it for good."""
    mine = Agent(TestModel())
    mine.run_sync("Hi")
    assert mine.name == "mine"
    other = mine
    del mine
    other.run_sync("Hi")
    assert other.name == "mine"
    module_level_agent.run_sync("Hi")
    assert module_level_agent.name == "module_level_agent"


def test_a_name_that_was_given_stays() -> None:
    """A given name is never inferred, and infer_name=False leaves it None."""
    mine, unnamed = Agent(TestModel(), name="given"), Agent(TestModel())
    mine.run_sync("Hi")
    unnamed.run_sync("Hi", infer_name=False)
    assert (mine.name, unnamed.name) == ("given", None)


def test_an_attribute_is_no_variable() -> None:
    """An agent that no variable of the caller holds stays without a name."""

    class Holder:
        agent = Agent(TestModel())

    Holder.agent.run_sync("Hi")
    assert Holder.agent.name is None


def test_context_managers_find_the_name_too() -> None:
    """iter, run_stream and run_stream_events look into the frame that uses them."""
    iterated, streamed, events = (Agent(TestModel()) for _ in range(3))
    with iterated.iter("Hi"):
        assert iterated.name == "iterated"
    with streamed.run_stream("Hi"):
        assert streamed.name == "streamed"
    with events.run_stream_events("Hi"):
        assert events.name == "events"


# --- today's words ---------------------------------------------------------------------------------


def test_output_is_result() -> None:
    """output_type, output_retries, output_validator and .output are the result's words under newer names."""
    model = Scripted(call("final_result", response=1))
    agent: Agent[None, int] = Agent(model, output_type=int, output_retries=0)
    seen: list[int] = []

    @agent.output_validator
    def keep(data: int) -> int:
        seen.append(data)
        return data + 1

    result = agent.run_sync("Hi")
    assert agent.result_type is int
    assert (result.output, result.data, seen) == (2, 2, [1])
    refused: Agent[None, int] = Agent(Scripted("x"), output_type=int, output_retries=0)
    with pytest.raises(UnexpectedModelBehavior, match=r"Exceeded maximum retries \(0\) for result validation"):
        refused.run_sync("Hi")


@pytest.mark.parametrize(
    "options", [{"result_type": int, "output_type": int}, {"result_retries": 1, "output_retries": 1}]
)
def test_both_words_at_once(options: dict[str, Any]) -> None:
    """The same thing under both of its names is a UserError."""
    with pytest.raises(UserError, match="are the same; give one of them"):
        Agent(**options)


@pytest.mark.parametrize("name", ["NativeOutput", "ToolOutput", "PromptedOutput"])
def test_names_of_later_versions(name: str) -> None:
    """A name that is not here is an ImportError that says what to write."""
    with pytest.raises(ImportError, match="result_"):
        getattr(syncagent, name)
    with pytest.raises(ImportError, match=name):
        exec(f"from syncagent import {name}")  # noqa: S102 - the statement that users write


# --- profiles --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "profile", "with_tool", "mode"),
    [
        (None, ModelProfile(), False, "tool"),
        (None, ModelProfile(result_mode="native"), False, "native"),
        ("prompted", ModelProfile(result_mode="native"), False, "prompted"),
        ("tool", ModelProfile(result_mode="native"), False, "tool"),
        ("native", ModelProfile(native_with_tools=False), False, "native"),
        ("native", ModelProfile(native_with_tools=False), True, "tool"),
        ("native", ModelProfile(), True, "native"),
        ("prompted", ModelProfile(native_with_tools=False), True, "prompted"),
    ],
)
def test_result_mode_is_decided_once(argument: Any, profile: ModelProfile, with_tool: bool, mode: str) -> None:
    """The argument decides, else the model's profile, else tool; native gives way to tools it cannot go with."""
    model = Scripted(lambda _: _int_for(model), profile=profile)
    agent: Agent[None, int] = Agent(model, result_type=int, result_mode=argument)
    if with_tool:
        agent.tool_plain(_helper)
    assert agent.run_sync("Hi").data == 1
    assert model.asked[0].parameters.result_mode == mode
    assert bool(model.asked[0].parameters.result_tools) == (mode == "tool")


def test_text_has_no_mode() -> None:
    """A result that is text is asked for as text whatever the mode says."""
    model = Scripted("x", profile=ModelProfile(result_mode="native"))
    assert Agent(model, result_mode="prompted").run_sync("Hi").data == "x"
    assert (model.asked[0].parameters.result_mode, model.asked[0].parameters.result_schema) == ("tool", None)


def test_fallback_models_agree_or_use_tools() -> None:
    """A FallbackModel's mode is the one that all its models name, else tool."""
    native, tool = (Scripted(profile=ModelProfile(result_mode=mode)) for mode in ("native", "tool"))
    assert FallbackModel(native, native).profile.result_mode == "native"
    assert FallbackModel(native, tool).profile.result_mode != "native"


def _helper() -> str:
    return "helped"


def _int_for(model: Scripted) -> Union[str, Any]:
    mode = model.asked[-1].parameters.result_mode
    return call("final_result", response=1) if mode == "tool" else '{"response": 1}'


# --- import ----------------------------------------------------------------------------------------


def test_running_imports_nothing_heavy() -> None:
    """Building and running an agent on a model of one's own loads neither requests nor asyncio."""
    code = (
        "import sys; from syncagent import Agent; from syncagent.models.test import TestModel;"
        "print(Agent(TestModel()).run_sync('Hi').data);"
        "print([m for m in ('asyncio', 'requests', 'tenacity', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.splitlines() == ["success (no tool calls)", "[]"]


def test_a_model_of_ones_own_may_return_the_pair() -> None:
    """Model.request may give the response, or the older pair with its usage."""
    usage = Usage(request_tokens=4)
    model = Scripted()
    model.request = lambda *_: (ModelResponse([TextPart("x")]), usage)  # type: ignore[method-assign,assignment]
    result = Agent(model).run_sync("Hi")
    assert (result.data, result.usage()) == ("x", Usage(requests=1, request_tokens=4))
    model.request = lambda *_: "text"  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(TypeError, match=r"Model\.request returns a ModelResponse; got str"):
        Agent(model).run_sync("Hi")


def test_a_prompt_may_be_a_sequence() -> None:
    """Texts and media in a sequence reach the model as they are."""
    prompt = ["Look:", syncagent.ImageUrl("https://example.com/a.png")]
    model = Scripted("x")
    Agent(model).run_sync(prompt)
    part = model.asked[0].messages[0].parts[0]
    assert isinstance(part, UserPromptPart)
    assert part.content is prompt


def test_a_run_may_be_the_first_function_of_a_thread() -> None:
    """Where nobody called the run, as at the bottom of a thread, it has no variable to be named by."""
    agent, done = Agent(TestModel()), threading.Event()
    agent.result_validator(lambda data: done.set() or data)
    _thread.start_new_thread(agent.run_sync, ("Hi",))
    assert done.wait(10)
    assert agent.name is None


def test_a_run_may_be_a_greenlet() -> None:
    """gevent.spawn(agent.run_sync, prompt) runs, without a name as well."""
    gevent = pytest.importorskip("gevent")
    agent = Agent(TestModel())
    assert gevent.spawn(agent.run_sync, "Hi").get().data == "success (no tool calls)"


def test_a_run_changes_nothing_in_its_agent() -> None:
    """An agent is a declaration: apart from its name, inferred once, everything in it is as before the run."""
    agent: Agent[Any, int] = Agent(
        Scripted(call("count", "1", number="x"), call("count", "2", number=1), call("final_result", response=1)),
        result_type=int, system_prompt="p", instructions="i", model_settings={"seed": 1}, name="a",
    )  # fmt: skip

    @agent.tool
    def count(ctx: RunContext[Any], number: int) -> int:
        return number

    agent.system_prompt(dynamic=True)(lambda ctx: str(ctx.deps))
    agent._tools_of_now()  # made at the first run, and the same for all that follow

    def state() -> dict[str, Any]:
        others = ("model", "_result_schema")  # the model counts requests; the schema compiles once, for all runs
        shallow = {name: copy.copy(value) for name, value in vars(agent).items() if name not in others}
        return {**shallow, "settings": dict(agent.model_settings or {}), "tools": dict(agent._tools)}

    before = state()
    with agent.override(deps=1):
        assert agent.run_sync("Hi", model_settings={"seed": 2}, deadline=60).data == 1
    assert state() == before


def test_native_tools_are_passed_through() -> None:
    """``native_tools`` reach the model in the provider's own words; anything but dicts is refused at once."""
    model = Scripted("done")
    tool = {"type": "web_search", "max_uses": 2}

    Agent(model, native_tools=[tool]).run_sync("Look it up.")

    assert model.asked[0].parameters.native_tools == [tool]
    with pytest.raises(UserError, match="Functions of yours go into tools"):
        Agent(model, native_tools=[print])  # type: ignore[list-item] # the mistake
