"""What models do wrong: arguments, calls and answers that a run has to cope with."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Optional

from syncagent.exceptions import ContentFilterError, ModelResponseError, UnexpectedModelBehavior, UsageLimitExceeded

from . import scenarios as fault
from .catalog import TEXT, add
from .dialects import Call, Dialect
from .server import Request, Scenario

__all__ = ["executed", "look_up"]

executed: list[str] = []
"""The arguments of the calls of :func:`look_up` that were made."""


def look_up(word: str) -> str:
    """The tool that the models of these faults call."""
    executed.append(word)
    return f"{word} is a word"


TOLD = {"retried": "the model is told, as often as `retries` says", "bound": "`retries`", "agent": {"retries": 2}}


# Where arguments are text, they may be any text; where they are JSON in an answer, they are an object or nothing.
TEXTUAL = ("openai",)


def _then_right(*calls: Call, stop: str = "tool_call") -> Callable[[Dialect], Scenario]:
    """These calls, then a right one, then the answer."""

    def serve(dialect: Dialect) -> Scenario:
        return fault.in_turn(
            fault.say("200 OK", dialect.calls(*calls, stop=stop)),
            fault.say("200 OK", dialect.calls(("call_r", "look_up", '{"word": "right"}'))),
            fault.say("200 OK", dialect.answer(TEXT)),
        )

    return serve


def _told(*words: str, ran: tuple[str, ...] = ("right",)) -> Callable[[Dialect, list[Request]], None]:
    """The second request holds an answer to each call, with these words; only the right calls were made."""

    def seen(dialect: Dialect, requests: list[Request]) -> None:
        answers = dialect.answers_in(json.loads(requests[1].body))
        said = " ".join(answers.values())
        assert all(word in said for word in words), said
        assert tuple(executed) == ran

    return seen


def add_loop(name: str, what: str, *calls: Call, words: tuple[str, ...], stop: str = "tool_call", **more: Any) -> None:
    """Calls that are refused: the model is told, tries again, and the run goes on."""
    serve = _then_right(*calls, stop=stop)
    add("Model and loop", name, what, serve=serve, tries=3, seen=_told(*words), **TOLD, **more)


add_loop(
    "arguments-cut",
    "arguments that are no JSON",
    ("call_1", "look_up", '{"word": "wro'),
    words=("Invalid JSON",),
    dialects=TEXTUAL,
)
add_loop(
    "arguments-list", "arguments that are a list", ("call_1", "look_up", "[1]"), words=("object",), dialects=TEXTUAL
)
add_loop("arguments-empty", "arguments that are missing", ("call_1", "look_up", "{}"), words=("missing",))
add_loop(
    "arguments-wrong",
    "arguments of other types, or of other names",
    ("call_1", "look_up", '{"word": 3, "x": 1}'),
    words=("string_type", "extra_forbidden"),
)
add_loop(
    "cut-call",
    "a call that the token limit cut",
    ("call_1", "look_up", '{"word": "wro'),
    stop="length",
    words=("cut off by the token limit",),
    dialects=TEXTUAL,
)
# What is left of an object that was cut is an object, but without what did not come.
add_loop(
    "cut-object",
    "a call that the token limit cut, in an answer that is one JSON (Anthropic)",
    ("call_1", "look_up", "{}"),
    stop="length",
    words=("missing",),
    dialects=("anthropic",),
)
add_loop(
    "unknown-tool", "a tool that does not exist", ("call_1", "nothing", "{}"), words=("Unknown tool name", "look_up")
)


def _ids(*identifiers: Optional[str]) -> Callable[[Dialect], Scenario]:
    calls = [(identifier, "look_up", json.dumps({"word": f"w{index}"})) for index, identifier in enumerate(identifiers)]

    def serve(dialect: Dialect) -> Scenario:
        return fault.in_turn(fault.say("200 OK", dialect.calls(*calls)), fault.say("200 OK", dialect.answer(TEXT)))

    return serve


def _all_answered(dialect: Dialect, requests: list[Request]) -> None:
    answers = dialect.answers_in(json.loads(requests[1].body))  # each call has one, under an id of its own
    assert sorted(answers.values()) == ["w0 is a word", "w1 is a word"]
    assert all(answers)


NO_HARM = {"retried": "no", "bound": "at once", "tries": 2, "seen": _all_answered}
add("Model and loop", "same-ids", "two calls with one id", serve=_ids("call_1", "call_1"), **NO_HARM)
add("Model and loop", "no-ids", "calls with an empty id", serve=_ids("", ""), **NO_HARM)


def _loop(dialect: Dialect) -> Scenario:
    return fault.say("200 OK", dialect.calls(("call_1", "look_up", '{"word": "again"}')))


def _many(dialect: Dialect) -> Scenario:
    return fault.say("200 OK", dialect.calls(*((f"call_{n}", "look_up", '{"word": "x"}') for n in range(50))))


def _wrong_type(dialect: Dialect) -> Scenario:
    return fault.say("200 OK", dialect.answer(TEXT).replace(b'"content": ', b'"content": 3, "was": '))


def _wrong_call(dialect: Dialect) -> Scenario:
    right = dialect.calls(("call_1", "look_up", '{"word": "right"}'))
    return fault.say("200 OK", right.replace(b'"look_up"', b'["look_up"]'))


def _refusal(dialect: Dialect) -> Scenario:
    return fault.say("200 OK", dialect.answer("").replace(b'"content": null', b'"content": null, "refusal": "No."'))


LIMIT = {"retried": "no", "error": UsageLimitExceeded}
add(
    "Model and loop",
    "endless-calls",
    "a model that calls tools for ever",
    serve=_loop,
    tries=50,
    **LIMIT,
    bound="50 requests, or `UsageLimits(request_limit=)`",
)
add("Model and loop", "many-calls", "50 calls at once", serve=_many, **LIMIT, bound="`UsageLimits(tool_calls_limit=)`")
add(
    "Model and loop",
    "wrong-types",
    "an answer with wrong types in it",
    serve=_wrong_type,
    retried="no",
    bound="at once",
    error=ModelResponseError,
    note="the text names the field",
    words=("content: expected", "got int"),
)
add(
    "Model and loop",
    "wrong-types-in-call",
    "a call with wrong types in it",
    serve=_wrong_call,
    retried="no",
    bound="at once",
    error=ModelResponseError,
    note="the text names the field",
    words=(".name: expected text, got list",),
)
add(
    "Model and loop",
    "nothing-said",
    "an answer with nothing in it",
    retried="the model is asked again, as often as `result_retries` says",
    bound="`result_retries`",
    tries=2,
    error=UnexpectedModelBehavior,
    serve=lambda dialect: fault.say("200 OK", dialect.answer("")),
)
add(
    "Model and loop",
    "filtered",
    "an answer of which the provider's filter left nothing",
    retried="no",
    bound="at once",
    error=ContentFilterError,
    serve=lambda dialect: fault.say("200 OK", dialect.answer("", "content_filter")),
)
add(
    "Model and loop",
    "refusal",
    "a refusal in a field of its own, and nothing else (OpenAI)",
    retried="no",
    bound="at once",
    error=ContentFilterError,
    serve=_refusal,
    note="`.messages[-1].provider_details` has its words",
    dialects=("openai",),
)
