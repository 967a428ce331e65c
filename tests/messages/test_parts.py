"""Parts of messages: what a model reads of them, and which histories are taken."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from typing import Any

import attrs
import pytest

import syncagent.messages
from syncagent.exceptions import UserError
from syncagent.messages import (
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturn,
    ToolReturnPart,
    UserPromptPart,
    check_history,
)
from syncagent.usage import Usage


@pytest.mark.parametrize(
    ("content", "text", "as_object"),
    [
        ("plain", "plain", {"return_value": "plain"}),
        (None, "null", {"return_value": None}),
        ({"k": "é", "d": dt.date(2020, 1, 1)}, '{"k":"é","d":"2020-01-01"}', {"k": "é", "d": "2020-01-01"}),
        ([1, 2.5], "[1,2.5]", {"return_value": [1, 2.5]}),
        (b"bytes", '"bytes"', {"return_value": "bytes"}),
    ],
)
def test_what_the_model_reads_of_a_return(content: Any, text: str, as_object: dict[str, Any]) -> None:
    """Text as it is, anything else as compact JSON; as an object a dict as it is, else under ``return_value``."""
    part = ToolReturnPart("t", content)
    assert part.model_response_str() == text
    assert part.model_response_object() == as_object


def test_retry_text() -> None:
    """A retry's text is followed by what to do."""
    assert RetryPromptPart("Not good.").model_response() == "Not good.\n\nFix the errors and try again."


def test_retry_errors() -> None:
    """Validation errors are indented JSON with their number, in the plural even for one, without ``ctx``."""
    error = {"type": "value_error", "loc": ("x", 0), "msg": "é", "input": dt.date(2020, 1, 1), "ctx": {"error": "e"}}
    assert RetryPromptPart([error]).model_response() == (
        "1 validation errors: [\n  {\n"
        '    "type": "value_error",\n    "loc": [\n      "x",\n      0\n    ],\n'
        '    "msg": "é",\n    "input": "2020-01-01"\n'
        "  }\n]\n\nFix the errors and try again."
    )
    assert RetryPromptPart([error, error]).model_response().startswith("2 validation errors: [")
    assert "ctx" in error


@pytest.mark.parametrize(
    ("args", "as_dict", "as_text", "has_content"),
    [
        ({"a": 1, "b": "é"}, {"a": 1, "b": "é"}, '{"a":1,"b":"é"}', True),
        ({"a": 0}, {"a": 0}, '{"a":0}', False),
        ({}, {}, "{}", False),
        ('{"a": 1}', {"a": 1}, '{"a": 1}', True),
        ("", {}, "", False),
        (" \n", {}, " \n", True),
    ],
)
def test_arguments(args: Any, as_dict: dict[str, Any], as_text: str, has_content: bool) -> None:
    """Arguments are a dict or JSON text, and can be had as either; no text is no arguments."""
    part = ToolCallPart("t", args)
    assert part.args_as_dict() == as_dict
    assert part.args_as_json_str() == as_text
    assert part.has_content() is has_content


@pytest.mark.parametrize("args", ["[1]", '"x"', "null", "{", '{"a":'])
def test_arguments_that_are_no_object(args: str) -> None:
    """Text that is not a JSON object is a ValueError."""
    with pytest.raises(ValueError):
        ToolCallPart("t", args).args_as_dict()
    if args == "[1]":
        with pytest.raises(ValueError, match=r"^The arguments of 't' are not a JSON object but list\.$"):
            ToolCallPart("t", args).args_as_dict()


def test_has_content() -> None:
    """Text and thinking have content where there is any text."""
    assert TextPart("x").has_content() and ThinkingPart("x").has_content()
    assert not TextPart("").has_content() and not ThinkingPart("", signature="s").has_content()


def test_equality_leaves_facts_of_the_response_out() -> None:
    """Usage, finish reason and the provider's ids do not make two responses differ; parts and names do."""
    moment = dt.datetime(2025, 1, 1, tzinfo=dt.timezone.utc)
    plain = ModelResponse([TextPart("x")], "m", moment)
    facts: dict[str, Any] = {
        "usage": Usage(1),
        "finish_reason": "stop",
        "provider_name": "p",
        "provider_response_id": "r",
        "provider_details": {"a": 1},
    }
    assert plain == attrs.evolve(plain, **facts)
    assert plain != ModelResponse([TextPart("y")], "m", moment)
    assert plain != ModelResponse([TextPart("x")], "n", moment)


def test_timestamps_are_now_in_utc() -> None:
    """Parts and responses that say no time are of now, in UTC."""
    before = dt.datetime.now(dt.timezone.utc)
    made = [UserPromptPart("x"), ToolReturnPart("t", 1), RetryPromptPart("x"), ModelResponse([])]
    after = dt.datetime.now(dt.timezone.utc)
    for each in made:
        assert before <= each.timestamp <= after and each.timestamp.tzinfo is dt.timezone.utc


def test_messages_can_be_changed() -> None:
    """Messages and parts are ordinary objects that may be changed at any time, but not given unknown attributes."""
    request = ModelRequest([UserPromptPart("x")])
    request.parts[0].content = "y"  # type: ignore[union-attr] # a user's
    request.parts.append(UserPromptPart("z"))
    assert [part.content for part in request.parts] == ["y", "z"]  # type: ignore[union-attr] # the same
    with pytest.raises(AttributeError):
        request.other = 1  # type: ignore[attr-defined] # that is the point


def test_tool_return() -> None:
    """A tool's richer return has a value, and content and metadata by keyword only."""
    assert ToolReturn(1) == ToolReturn(1, content=None, metadata=None)
    with pytest.raises(TypeError):
        ToolReturn(1, "content")  # type: ignore[misc] # that is the point


def test_classes_name_their_public_module() -> None:
    """Every class of ``syncagent.messages`` says that it is from there; pickles and copies of messages work."""
    for name in syncagent.messages.__all__:
        value = getattr(syncagent.messages, name)
        if isinstance(value, type):
            assert value.__module__ == "syncagent.messages", name
    message = ModelRequest([UserPromptPart(["x"])])
    assert pickle.loads(pickle.dumps(message)) == copy.deepcopy(message) == message


def test_check_history() -> None:
    """A history is copied into a new list, its messages as they are; None is none."""
    history = (ModelRequest([]), ModelResponse([]))
    checked = check_history(history)
    assert checked == list(history) and checked[0] is history[0]
    assert check_history(None) == check_history([]) == []


@pytest.mark.parametrize(
    ("history", "text"),
    [
        ("text", "message_history is a list of messages; got str"),
        (b"[]", "message_history is a list of messages; got bytes"),
        ({"kind": "request"}, "message_history is a list of messages; got dict"),
        (3, "message_history is a list of messages; got int"),
        (iter([]), "message_history is a list of messages; got list_iterator"),
        ([ModelRequest([]), {"kind": "request"}], r"message_history\[1\] is no ModelRequest or ModelResponse but dict"),
        ([UserPromptPart("x")], r"message_history\[0\] is no ModelRequest or ModelResponse but UserPromptPart"),
    ],
)
def test_what_is_no_history(history: Any, text: str) -> None:
    """Anything else is a UserError that says what came and how a stored history is loaded."""
    with pytest.raises(UserError, match=text) as raised:
        check_history(history)
    assert "ModelMessagesTypeAdapter.validate_json(data)" in str(raised.value)
