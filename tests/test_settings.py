"""Settings are merged key by key, and refused where no provider could use them."""

from __future__ import annotations

import math
import re
from typing import Any, Optional

import pytest

from syncagent.exceptions import UserError
from syncagent.settings import ModelSettings, check_settings, merge_model_settings


@pytest.mark.parametrize(
    ("base", "overrides", "merged"),
    [
        (None, None, None),
        ({"temperature": 0}, None, {"temperature": 0}),
        (None, {"temperature": 0}, {"temperature": 0}),
        ({"temperature": 0, "seed": 1}, {"temperature": 1}, {"temperature": 1, "seed": 1}),
        ({"extra_body": {"a": 1}}, {"extra_body": {"b": 2}}, {"extra_body": {"b": 2}}),
    ],
)
def test_merge(base: Any, overrides: Any, merged: Any) -> None:
    """The overrides have the last word on each key; what they lack is kept, and nothing is merged deeper."""
    assert merge_model_settings(base, overrides) == merged


def test_merge_changes_neither() -> None:
    """Merging makes new settings."""
    base: ModelSettings = {"temperature": 0}
    overrides: ModelSettings = {"seed": 1}
    merged: Optional[ModelSettings] = merge_model_settings(base, overrides)
    assert merged == {"temperature": 0, "seed": 1}
    assert (base, overrides) == ({"temperature": 0}, {"seed": 1})


def test_keys() -> None:
    """These are the settings that all providers share; every one may be left out."""
    assert set(ModelSettings.__annotations__) == {
        *("max_tokens", "temperature", "top_p", "timeout", "parallel_tool_calls", "seed", "presence_penalty"),
        *("frequency_penalty", "logit_bias", "stop_sequences", "top_k", "tool_choice", "logprobs", "top_logprobs"),
        *("extra_headers", "extra_body", "retry_policy", "on_incomplete"),
    }
    assert ModelSettings.__required_keys__ == frozenset()


def test_settings_that_pass() -> None:
    """No settings, all shared ones, and providers' own, which begin with their name."""
    check_settings(None)
    check_settings({})
    check_settings(
        {
            "max_tokens": 1,
            "temperature": 0,
            "top_p": 0.5,
            "top_k": 0,
            "timeout": (5, 60.5),
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "seed": -1,
            "presence_penalty": -2,
            "frequency_penalty": 1.5,
            "logit_bias": {"1": -100},
            "stop_sequences": ("a", "b"),
            "logprobs": True,
            "top_logprobs": 0,
            "extra_headers": {},
            "extra_body": {"any": object()},
            "retry_policy": None,
            "on_incomplete": "accept",
            "openai_reasoning_effort": "low",
            "gemini_safety_settings": [],
        }
    )
    check_settings({"timeout": 0.5})


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ([("seed", 1)], "model_settings is a dict such as {'temperature': 0}; got list."),
        ({"temprature": 1}, "Unknown model setting 'temprature'; known are extra_body, extra_headers, "),
        ({"google_safety": 1}, "Anything else goes into extra_body."),
        ({3: 1}, "Unknown model setting 3; "),
        ({"max_tokens": 0}, "max_tokens is a whole number from 1 on; got 0."),
        ({"max_tokens": 1.5}, "max_tokens is a whole number from 1 on; got 1.5."),
        ({"max_tokens": True}, "max_tokens is a whole number from 1 on; got True."),
        ({"max_tokens": None}, "max_tokens is None; leave the key out for the provider's default."),
        ({"top_k": -1}, "top_k is a whole number from 0 on; got -1."),
        ({"seed": "1"}, "seed is a whole number; got '1'."),
        ({"temperature": -0.1}, "temperature is a number from 0 on; got -0.1."),
        ({"temperature": math.nan}, "temperature is a number from 0 on; got nan."),
        ({"presence_penalty": math.inf}, "presence_penalty is a number; got inf."),
        ({"timeout": 0}, "timeout is a positive number of seconds, or a pair (connect, read) of them; got 0."),
        ({"timeout": (5, -1)}, "timeout is a positive number of seconds, or a pair (connect, read) of them; got -1."),
        ({"timeout": (1, 2, 3)}, "pair (connect, read) of them; got (1, 2, 3)."),
        ({"timeout": [5, 60]}, "pair (connect, read) of them; got [5, 60]."),
        ({"timeout": None}, "pair (connect, read) of them; got None."),
        ({"timeout": math.inf}, "got inf."),
        ({"on_incomplete": "ignore"}, "on_incomplete is 'raise' or 'accept'; got 'ignore'."),
        ({"stop_sequences": "END"}, "stop_sequences is a list of texts; got 'END'."),
        ({"stop_sequences": ["a", 1]}, "stop_sequences is a list of texts; got ['a', 1]."),
        ({"stop_sequences": None}, "stop_sequences is a list of texts; got None."),
        ({"extra_headers": [("a", "b")]}, "extra_headers is a dict; got list."),
        ({"extra_body": "{}"}, "extra_body is a dict; got str."),
        ({"logit_bias": None}, "logit_bias is a dict; got NoneType."),
    ],
)
def test_settings_that_are_refused(settings: Any, text: str) -> None:
    """An unknown key, a value of the wrong shape or out of its range is a UserError that says what is right."""
    with pytest.raises(UserError, match=re.escape(text)):
        check_settings(settings)


def test_a_refusal_is_short() -> None:
    """The error of a long value shows only its beginning."""
    with pytest.raises(UserError) as raised:
        check_settings({"stop_sequences": "x" * 10_000})
    assert len(str(raised.value)) < 200
