"""Settings of a model request, shared by all providers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Optional, TypedDict, Union, cast

from .exceptions import UserError

if TYPE_CHECKING:
    from .transport.retry import RetryPolicy

__all__ = ["ModelSettings", "check_settings", "merge_model_settings"]


class ModelSettings(TypedDict, total=False):
    """
    Settings of a request; every key may be left out.

    A key that a provider cannot send is dropped with a DEBUG line. A provider's own keys begin with its
    name (``openai_reasoning_effort``) and stand in the settings class of its model.
    """

    max_tokens: int
    """The most tokens to generate."""
    temperature: float
    """Randomness, from 0 on."""
    top_p: float
    """Nucleus sampling: the share of probability to draw from."""
    top_k: int
    """Draw from the k most likely tokens only."""
    timeout: Union[float, tuple[float, float]]
    """Seconds for each socket operation, or a pair (connect, read)."""
    parallel_tool_calls: bool
    """Whether a response may hold several tool calls."""
    tool_choice: str
    """``auto``, ``required``, ``none``, or the name of a tool."""
    seed: int
    """For repeatable answers, where the provider offers that."""
    presence_penalty: float
    """Penalty for tokens that have appeared."""
    frequency_penalty: float
    """Penalty for tokens by how often they have appeared."""
    logit_bias: dict[str, int]
    """Bias by token id, from -100 to 100."""
    stop_sequences: list[str]
    """Texts that end the generation."""
    logprobs: bool
    """Return log probabilities, in ``provider_details``."""
    top_logprobs: int
    """How many alternatives with log probabilities."""
    extra_headers: dict[str, str]
    """Further HTTP headers; a secret does not belong here."""
    extra_body: dict[str, Any]
    """Further keys of the request's body; they win over ours."""
    retry_policy: RetryPolicy
    """How failed requests are tried again."""
    on_incomplete: Literal["raise", "accept"]
    """``raise`` (the default) or ``accept`` a stream that was cut."""


_KNOWN = frozenset(ModelSettings.__annotations__)
_PREFIXES = ("openai_", "anthropic_", "gemini_", "groq_", "mistral_", "cohere_", "bedrock_")


def merge_model_settings(base: Optional[ModelSettings], overrides: Optional[ModelSettings]) -> Optional[ModelSettings]:
    """The settings of both; where both have a key, *overrides* has the word."""
    if base and overrides:
        return cast(ModelSettings, {**base, **overrides})
    return base or overrides


def check_settings(settings: Optional[Mapping[str, Any]]) -> None:
    """
    Refuse what no provider could use.

    Raises:
        UserError: an unknown key, or a value out of its range.
    """
    if settings is None:
        return
    if not isinstance(settings, Mapping):
        raise UserError(f"model_settings is a dict such as {{'temperature': 0}}; got {type(settings).__name__}.")
    for key, value in settings.items():
        if key not in _KNOWN:
            if not (isinstance(key, str) and key.startswith(_PREFIXES)):
                raise UserError(
                    f"Unknown model setting {key!r}; known are {', '.join(sorted(_KNOWN))}, "
                    "and a provider's own, which begin with its name. Anything else goes into extra_body."
                )
        elif key in _RANGES:
            _check_number(key, value)
        elif key == "timeout":
            for seconds in value if isinstance(value, tuple) and len(value) == 2 else (value,):
                _check_positive_number(key, seconds)
        elif key == "on_incomplete" and value not in ("raise", "accept"):
            raise UserError(f"on_incomplete is 'raise' or 'accept'; got {value!r}.")
        elif key == "stop_sequences" and (isinstance(value, str) or not _holds_text(value)):
            raise UserError(f"stop_sequences is a list of texts; got {value!r:.80}.")
        elif key in ("extra_headers", "extra_body", "logit_bias") and not isinstance(value, Mapping):
            raise UserError(f"{key} is a dict; got {type(value).__name__}.")


_RANGES: dict[str, tuple[type, float]] = {
    "max_tokens": (int, 1),
    "top_k": (int, 0),
    "top_logprobs": (int, 0),
    "seed": (int, -math.inf),
    "temperature": (float, 0),
    "top_p": (float, 0),
    "presence_penalty": (float, -math.inf),
    "frequency_penalty": (float, -math.inf),
}


def _holds_text(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(item, str) for item in value)


def _check_number(key: str, value: Any) -> None:
    kind, lowest = _RANGES[key]
    allowed = (int,) if kind is int else (int, float)
    if value is None:
        raise UserError(f"{key} is None; leave the key out for the provider's default.")
    if isinstance(value, bool) or not isinstance(value, allowed) or not math.isfinite(value) or value < lowest:
        bound = "" if lowest == -math.inf else f" from {lowest:g} on"
        raise UserError(f"{key} is a{' whole' if kind is int else ''} number{bound}; got {value!r}.")


def _check_positive_number(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise UserError(f"{key} is a positive number of seconds, or a pair (connect, read) of them; got {value!r}.")
