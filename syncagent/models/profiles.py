"""What a model can do: a table by name pattern, which the user may overrule."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Literal, Optional

import attrs

__all__ = ["ModelProfile", "infer_profile"]


@attrs.frozen(kw_only=True)
class ModelProfile:
    """
    What a model can do.

    Args:
        result_mode: how a typed result is asked for where the agent does not say; None for ``tool``.
        native_with_tools: whether a native JSON schema and function tools go together in one request.
        settings: settings that hold where the caller gives none.
        quirks: deviations of this model from its wire, over those of its provider.
    """

    result_mode: Optional[Literal["tool", "native", "prompted"]] = None
    native_with_tools: bool = True
    settings: dict[str, Any] = attrs.field(factory=dict)
    quirks: dict[str, Any] = attrs.field(factory=dict)


def infer_profile(provider_name: str, model_name: str) -> ModelProfile:
    """
    The profile of a model: the first entry of the table that matches ``provider:model``.

    >>> infer_profile("local", "local").native_with_tools
    False
    """
    key = f"{provider_name}:{model_name}"
    for pattern, profile in _TABLE:
        if fnmatchcase(key, pattern):
            return profile
    return _PLAIN


_PLAIN = ModelProfile()
# https://platform.openai.com/docs/guides/reasoning: these take no sampling settings, and count their hidden
# thinking against a limit of its own name.
_LIMIT = {"max_tokens": "max_completion_tokens"}
_REASONING = ModelProfile(
    quirks={
        **_LIMIT,
        "unsendable": frozenset(
            {
                *("temperature", "top_p", "presence_penalty", "frequency_penalty"),
                *("logprobs", "top_logprobs", "logit_bias"),
            }
        ),
    }
)
# Newer ones take sampling settings where their effort is "none".
_LATER_REASONING = ModelProfile(quirks=_LIMIT)

_TABLE: tuple[tuple[str, ModelProfile], ...] = (
    ("openai:o[134]", _REASONING),
    ("openai:o[134]-*", _REASONING),
    ("openai:gpt-5-chat*", _LATER_REASONING),
    ("openai:gpt-5", _REASONING),
    ("openai:gpt-5-*", _REASONING),
    ("openai:gpt-5.*", _LATER_REASONING),
    # A schema beside tools makes llama.cpp's server ignore the tools; free text without a limit can go on for minutes.
    ("local:*", ModelProfile(result_mode="tool", native_with_tools=False, settings={"max_tokens": 512})),
)
