"""What is said in a conversation stays out of logs and of the text of errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs
import pytest

from syncagent import Agent, ModelRetry, RetryPolicy, RunContext, UsageLimits
from syncagent.cli import main
from syncagent.embed import embed
from syncagent.exceptions import (
    AgentRunError,
    ContentFilterError,
    FallbackExceptionGroup,
    ModelAPIError,
    ModelHTTPError,
    ModelResponseError,
    UnexpectedModelBehavior,
    UserError,
)
from syncagent.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolCallPartDelta
from syncagent.models.fallback import FallbackModel
from syncagent.models.function import FunctionModel
from syncagent.providers.openai import OpenAIProvider
from syncagent.schema.errors import ValidationError
from syncagent.schema.structure import structurer
from tests.faultserver import FaultServer, Scenario, chat
from tests.faultserver import scenarios as fault
from tests.faultserver.dialects import DIALECTS, OPENAI, Dialect
from tests.transport.conftest import no_wait
from tests.trust.looking import chain, said

__all__ = ["no_wait"]

PROMPT, SYSTEM = "canary-of-the-prompt", "canary-of-the-system-prompt"
ARGUMENT, RETURN, ANSWER = "canary-of-an-argument", "canary-of-a-return", "canary-of-an-answer"
ALL = (PROMPT, SYSTEM, ARGUMENT, RETURN, ANSWER)
ONCE: dict[str, Any] = {"retry_policy": RetryPolicy(max_retries=0)}
WORDS = " ".join(ALL)


@attrs.define
class Answer:
    """A result that text is not."""

    number: int
    colour: Literal["red", "green"]


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, no log at any level of any logger holds what was said."""
    for name in ("", "syncagent", "urllib3", "requests"):
        caplog.set_level(logging.DEBUG, name)
    yield
    assert [canary for canary in ALL if canary in caplog.text] == []


def tool(text: str) -> str:
    """Look something up."""
    return RETURN


def check(error: BaseException) -> None:
    """Neither this error nor one behind it says what was said; the conversation does."""
    assert [(canary, type(link)) for link in chain(error) for canary in ALL if canary in said(link)] == []
    if isinstance(error, AgentRunError):
        assert error.messages is not None and PROMPT in repr(error.messages)


def whole(body: bytes, *lines: str) -> Callable[[Dialect], Scenario]:
    """One body for all providers."""
    return lambda dialect: fault.say("200 OK", body, *lines)


def after_a_call(then: Callable[[Dialect], Scenario]) -> Callable[[Dialect], Scenario]:
    """A tool is called before, so that its arguments and its return are part of what is sent."""

    def made(dialect: Dialect) -> Scenario:
        call = dialect.calls(("1", "tool", json.dumps({"text": ARGUMENT})))
        return fault.in_turn(fault.say("200 OK", call), then(dialect))

    return made


WRONG: dict[str, tuple[Callable[[Dialect], Scenario], type[AgentRunError]]] = {
    "cut": (lambda d: fault.say("200 OK", d.answer(ANSWER)[:-2]), ModelResponseError),
    "text": (whole(WORDS.encode()), ModelResponseError),
    "page": (whole(f"<p>You asked: {WORDS}</p>".encode(), "Content-Type: text/html"), ModelResponseError),
    "nan": (whole(b'{"text": "' + ANSWER.encode() + b'", "x": NaN}'), ModelResponseError),
    "error": (whole(json.dumps({"type": "error", "error": {"message": WORDS}}).encode()), ModelResponseError),
    "wrong type": (whole(json.dumps({"choices": WORDS, "content": WORDS}).encode()), ModelResponseError),
    "wrong role": (
        whole(json.dumps({"choices": [{"message": WORDS}], "content": [{"type": WORDS, "text": 1}]}).encode()),
        AgentRunError,
    ),
    "wrong arguments": (lambda d: fault.say("200 OK", d.calls(("1", "tool", f'{{"text": ["{ARGUMENT}"]}}'))),
                        UnexpectedModelBehavior),
    "no such tool": (lambda d: fault.say("200 OK", d.calls(("1", ANSWER, "{}"))), UnexpectedModelBehavior),
    "filtered": (lambda d: fault.say("200 OK", d.answer("", stop="content_filter")), ContentFilterError),
    "broken": (lambda d: fault.fin, ModelAPIError),
    "garbage": (lambda d: fault.raw(b"HTTP/1.1 abc\r\n\r\n"), ModelAPIError),
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("wrong", list(WRONG))
def test_an_answer_that_cannot_be_used(wrong: str, dialect: str, no_wait: list[float]) -> None:
    """Whatever is wrong with it, and whatever of the request it repeats."""
    serve, error_class = WRONG[wrong]
    with FaultServer(after_a_call(serve)(DIALECTS[dialect])) as server:
        model: Any = DIALECTS[dialect].model(server.origin, api_key="k", **ONCE)
        with pytest.raises(error_class) as caught:
            Agent(model, system_prompt=SYSTEM, tools=[tool]).run_sync(PROMPT)
        model.provider.transport.close()
    assert len(server.requests) >= 2
    check(caught.value)


STREAMS: dict[str, tuple[Any, ...]] = {
    "cut": (chat.text(ANSWER), "reset"),
    "early end": (chat.text(ANSWER), "close"),
    "no json": (chat.text(ANSWER), b"data: " + WORDS.encode() + b"\n\n"),
    "error": (chat.text(ANSWER), b"data: " + json.dumps({"error": {"message": WORDS}}).encode() + b"\n\n"),
    "wrong delta": (chat.event({"content": [WORDS], "tool_calls": WORDS}),),
    "wrong number": (chat.event({"content": "x"}, usage={"prompt_tokens": WORDS}),),
}


@pytest.mark.parametrize("wrong", list(STREAMS))
def test_a_stream_that_breaks(wrong: str, no_wait: list[float]) -> None:
    """What came of it is in ``.partial``, and in no text."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    with FaultServer(chat.scenario_of(head, *STREAMS[wrong], "close")) as server:
        model: Any = OPENAI.model(server.origin, api_key="k", **ONCE)
        with (
            pytest.raises(ModelAPIError) as caught,
            Agent(model, system_prompt=SYSTEM).run_stream(PROMPT) as result,
        ):
            result.get_data()
        model.provider.transport.close()
    check(caught.value)
    assert wrong not in ("cut", "early end") or ANSWER in repr(caught.value.partial)


def test_a_refusal_is_the_providers_own_word(no_wait: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a refusal 500 characters stand in the text, without the prompt where they do not hold it; none at will."""
    with FaultServer(fault.say("400 Bad", json.dumps({"error": {"message": WORDS + "x" * 900}}).encode())) as server:
        for setting, length in ((None, 500), ("1", 500), ("0", 0)):
            if setting is not None:
                monkeypatch.setenv("SYNCAGENT_LOG_CONTENT", setting)
            model: Any = OPENAI.model(server.origin, api_key="k", **ONCE)
            with pytest.raises(ModelHTTPError) as caught:
                Agent(model).run_sync(PROMPT)
            shown = str(caught.value).partition("body: ")[2].partition("...")[0]
            assert len(shown) == length or shown == "left out"
            assert (PROMPT in said(caught.value)) is bool(length)
            assert PROMPT in repr(caught.value.body)
            model.provider.transport.close()


def test_content_can_be_switched_off_everywhere(no_wait: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``SYNCAGENT_LOG_CONTENT=0`` an answer is told by what is wrong with it, and by no word of it."""
    monkeypatch.setenv("SYNCAGENT_LOG_CONTENT", "0")
    unasked = "words that nobody asked"
    for body, kind in (
        (json.dumps({"error": {"message": unasked}}), "application/json"),
        (unasked, "text/plain"),
        (unasked, "text/html"),
    ):
        with FaultServer(fault.say("200 OK", body.encode(), f"Content-Type: {kind}")) as server:
            for dialect in DIALECTS.values():
                model: Any = dialect.model(server.origin, api_key="k", **ONCE)
                with pytest.raises(ModelResponseError) as caught:
                    Agent(model).run_sync(PROMPT)
                assert unasked not in said(caught.value)
                model.provider.transport.close()
            with pytest.raises(ModelResponseError) as caught:
                embed("openai:m", PROMPT, provider=OpenAIProvider(server.origin, "k", **ONCE))
            assert unasked not in said(caught.value)
    assert str(UnexpectedModelBehavior("Odd", unasked)) == "Odd"


def answering(*parts: Any) -> FunctionModel:
    """A model that always says this."""
    return FunctionModel(lambda messages, info: ModelResponse(list(parts)))


def refusing(ctx: RunContext[None], data: Any) -> Any:
    """A validator that is never content."""
    raise ModelRetry("Try again.")


def never(text: str) -> object:
    """A tool whose return has no JSON form."""
    return {"a": object()}


CALL = ToolCallPart("tool", {"text": ARGUMENT}, "1")
RUNS: dict[str, Callable[[], Any]] = {
    "result": lambda: Agent(answering(ToolCallPart("final_result", {"number": ANSWER, "colour": ANSWER})),
                            result_type=Answer).run_sync(PROMPT),
    "result text": lambda: Agent(answering(TextPart(f'{{"number": "{ANSWER}"}}')), result_type=Answer,
                                 result_mode="prompted").run_sync(PROMPT),
    "no json": lambda: Agent(answering(TextPart(ANSWER)), result_type=Answer, result_mode="native").run_sync(PROMPT),
    "arguments": lambda: Agent(answering(ToolCallPart("tool", f'{{"text": ["{ARGUMENT}"]')), tools=[tool]).run_sync(
        PROMPT),
    "limit": lambda: Agent(answering(CALL), tools=[tool]).run_sync(PROMPT, usage_limits=UsageLimits(request_limit=2)),
    "tokens": lambda: Agent(answering(TextPart(ANSWER))).run_sync(PROMPT, usage_limits=UsageLimits(
        response_tokens_limit=0)),
    "fallback": lambda: Agent(FallbackModel(*[OPENAI.model("http://127.0.0.1:9", api_key="k", **ONCE)] * 2),
                              system_prompt=SYSTEM).run_sync(PROMPT),
    "no dict": lambda: Agent(answering(TextPart(ANSWER)), system_prompt=[SYSTEM, 1]),  # type: ignore[list-item]
    "history": lambda: Agent(answering(TextPart(ANSWER))).run_sync(PROMPT, message_history=[PROMPT]),  # type: ignore[list-item]
    "processor": lambda: Agent(answering(TextPart(ANSWER)), history_processors=[_no_list]).run_sync(PROMPT),
    "deltas": lambda: ToolCallPartDelta(args_delta="{").apply(CALL),
    "more deltas": lambda: ToolCallPartDelta(args_delta={"a": ARGUMENT}).apply(ToolCallPart("tool", ARGUMENT)),
    "structure": lambda: structurer(Answer).from_json_value({"number": ANSWER, "colour": ANSWER}),
    "unsendable": lambda: Agent(OPENAI.model("http://127.0.0.1:9", api_key="k")).run_sync(PROMPT, message_history=[
        ModelResponse([CALL]), _returned(object())]),
}  # fmt: skip


def _no_list(messages: list[ModelMessage]) -> Any:
    return PROMPT


def _returned(value: Any) -> ModelMessage:
    from syncagent.messages import ModelRequest, ToolReturnPart

    return ModelRequest([ToolReturnPart("tool", {RETURN[:3]: value}, "1")])


@pytest.mark.parametrize("wrong", list(RUNS))
def test_runs_that_fail(wrong: str, no_wait: list[float]) -> None:
    """Of what the loop refuses, places and types are said, and no values."""
    with pytest.raises((AgentRunError, UserError, ValidationError)) as caught:
        RUNS[wrong]()
    assert [(canary, type(link)) for link in chain(caught.value) for canary in ALL if canary in said(link)] == []


def test_a_validation_keeps_its_values_for_who_asks() -> None:
    """They are in ``.errors``, and come through a pickle."""
    import pickle

    with pytest.raises(ValidationError) as caught:
        structurer(Answer).from_json_value({"number": ANSWER, "colour": "red"})
    caught.value.note = "mine"  # type: ignore[attr-defined] # of the program
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.errors == caught.value.errors and ANSWER in repr(again.errors)
    assert (str(again), again.args, again.title, again.note) == (
        str(caught.value), caught.value.args, caught.value.title, "mine",
    )  # fmt: skip


def test_validators_and_groups_of_errors(no_wait: list[float]) -> None:
    """A result that is refused to the end, and what a group of errors says of its members."""
    agent: Agent[None, str] = Agent(answering(TextPart(ANSWER)), retries=2)
    agent.result_validator(refusing)
    with pytest.raises(UnexpectedModelBehavior) as caught:
        agent.run_sync(PROMPT)
    check(caught.value)
    with FaultServer(fault.say("200 OK", f"<p>{PROMPT}</p>".encode(), "Content-Type: text/html")) as server:
        models: list[Any] = [dialect.model(server.origin, api_key="k", **ONCE) for dialect in DIALECTS.values()]
        with pytest.raises(FallbackExceptionGroup) as group:
            Agent(FallbackModel(*models)).run_sync(PROMPT)
    check(group.value)


def test_the_command_line(
    no_wait: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``syncagent run`` prints an answer, and of a failure nothing that was asked."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    page = fault.say("200 OK", f"<p>{PROMPT}</p>".encode(), "Content-Type: text/html")
    with FaultServer(page) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.origin)
        assert main(["run", "--model", "openai:m", PROMPT]) == 1
    out, err = capsys.readouterr()
    assert PROMPT not in out + err and "text/html" in err
