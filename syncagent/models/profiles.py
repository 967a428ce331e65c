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
        encrypted_thinking: whether OpenAI's Responses API gives the thinking encrypted, to be sent back.
        settings: settings that hold where the caller gives none.
        quirks: deviations of this model from its wire, over those of its provider.
    """

    result_mode: Optional[Literal["tool", "native", "prompted"]] = None
    native_with_tools: bool = True
    encrypted_thinking: bool = False
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
    encrypted_thinking=True,
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
_LATER_REASONING = ModelProfile(encrypted_thinking=True, quirks=_LIMIT)

_OPENAI = (
    ("o[134]", _REASONING),
    ("o[134]-*", _REASONING),
    ("gpt-5-chat*", ModelProfile(quirks=_LIMIT)),
    ("gpt-5", _REASONING),
    ("gpt-5-*", _REASONING),
    ("gpt-5.*", _LATER_REASONING),
)

# https://platform.claude.com/docs/en/models/overview. Later models may write more than these limits (64,000 tokens
# from 3.7 on, 128,000 from 4.6 on), but hardly within the 600 s that an answer is waited for that is not streamed.
_CLAUDE_LIMIT = {"max_tokens": 16_384}
_CLAUDE_UNSENDABLE = frozenset({"temperature", "top_p", "top_k"})
_CLAUDE = ModelProfile(settings=_CLAUDE_LIMIT, quirks={"unsendable": _CLAUDE_UNSENDABLE})
# Thinking is always on there, rules forced tools out, and is bound to its model; typed results come by JSON schema.
_CLAUDE_THINKING = ModelProfile(
    result_mode="native",
    settings=_CLAUDE_LIMIT,
    quirks={"unsendable": _CLAUDE_UNSENDABLE, "forced_tools": False, "own_thinking": True},
)
# Before 4.5 there are no structured outputs, before 4.7 there are sampling settings.
_CLAUDE_4_5 = ModelProfile(settings=_CLAUDE_LIMIT)
_CLAUDE_4 = ModelProfile(settings=_CLAUDE_LIMIT, quirks={"native": False})
_CLAUDE_3_5 = ModelProfile(settings={"max_tokens": 8192}, quirks={"native": False})
_CLAUDE_3 = ModelProfile(settings={"max_tokens": 4096}, quirks={"native": False})
# https://ai.google.dev/gemini-api/docs/structured-output: before 3, a schema and tools do not go together.
_GEMINI = ModelProfile(native_with_tools=False)
# https://ai.google.dev/gemini-api/docs/thought-signatures: from 3 on the first function call of a turn needs its
# signature; one that comes from another model has this word instead. The Gemini API shows calls of its own tools only
# where that is asked for, and wants that beside function tools.
_UNSIGNED = {"missing_signature": "skip_thought_signature_validator"}
_GEMINI_3 = ModelProfile(quirks={**_UNSIGNED, "server_tool_calls": True})
_GEMINI_3_VERTEX = ModelProfile(quirks=_UNSIGNED)

# https://docs.x.ai/docs/guides/reasoning: what reasoning models refuse.
_GROK = ModelProfile(quirks={"unsendable": frozenset({"frequency_penalty", "presence_penalty", "stop_sequences"})})
# https://platform.moonshot.ai/docs/guide/kimi-k2-5-quickstart: what the newer models have fixed.
_KIMI = ModelProfile(
    quirks={
        "max_tokens": "max_completion_tokens",
        "unsendable": frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"}),
    }
)
# A JSON schema and tools do not go together: https://console.groq.com/docs/structured-outputs,
# https://inference-docs.cerebras.ai/capabilities/structured-outputs, https://docs.cohere.com/docs/structured-outputs.
_SCHEMA_ALONE = ModelProfile(native_with_tools=False)
# https://docs.perplexity.ai/guides/structured-outputs: a schema, but no tools of one's own.
_SONAR = ModelProfile(result_mode="native", native_with_tools=False)

# What Bedrock's models take, by their ids without regions. The choice of tools:
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html; system prompts:
# https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html; caches:
# https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html. Claude's own rules are those above.
_BEDROCK_CLAUDE: dict[str, Any] = {"cache": ("tools", "system", "messages"), "top_k": ("top_k",)}
_BEDROCK = (
    ("anthropic.claude-3-[hos]*", ModelProfile(quirks={"native": False, "top_k": ("top_k",)})),
    ("anthropic.claude-3-5-sonnet*", ModelProfile(quirks={"native": False, "top_k": ("top_k",)})),
    ("anthropic.claude-3-*", ModelProfile(quirks={**_BEDROCK_CLAUDE, "native": False})),
    ("anthropic.claude-*-4-20*", ModelProfile(quirks={**_BEDROCK_CLAUDE, "native": False})),
    ("anthropic.claude-*-4-1-*", ModelProfile(quirks={**_BEDROCK_CLAUDE, "native": False})),
    ("anthropic.claude-*-4-[56]*", ModelProfile(quirks=_BEDROCK_CLAUDE)),
    *(
        (
            f"anthropic.claude-{name}",
            ModelProfile(
                result_mode="native",
                quirks={**_BEDROCK_CLAUDE, "unsendable": _CLAUDE_UNSENDABLE, "tool_choice": ("auto",)},
            ),
        )
        for name in ("opus-5-5*", "fable-5-[12]*", "mythos-5-[12]*")
    ),
    ("anthropic.claude-*", ModelProfile(quirks={**_BEDROCK_CLAUDE, "unsendable": _CLAUDE_UNSENDABLE})),
    ("amazon.nova-*", ModelProfile(quirks={"cache": ("system", "messages"), "top_k": ("inferenceConfig", "topK")})),
    ("amazon.titan-*", ModelProfile(quirks={"system": False})),
    ("cohere.command-r-*", ModelProfile(quirks={"tool_choice": ()})),
    ("cohere.command-*", ModelProfile(quirks={"system": False, "tool_choice": ()})),
    ("meta.llama*", ModelProfile(quirks={"tool_choice": ("auto",)})),
    ("mistral.mi[sx]tral-[78]*", ModelProfile(quirks={"system": False})),
    ("mistral.*", ModelProfile(quirks={"tool_choice": ("auto", "any")})),
)

_TABLE: tuple[tuple[str, ModelProfile], ...] = (
    ("anthropic:claude-3-[hos]*", _CLAUDE_3),
    ("anthropic:claude-3-5-*", _CLAUDE_3_5),
    ("anthropic:claude-[34]-*", _CLAUDE_4),
    ("anthropic:claude-*-4-[01]", _CLAUDE_4),
    ("anthropic:claude-*-4-1-*", _CLAUDE_4),
    ("anthropic:claude-*-4-20*", _CLAUDE_4),
    ("anthropic:claude-*-4-[56]*", _CLAUDE_4_5),
    ("anthropic:claude-opus-5-5*", _CLAUDE_THINKING),
    ("anthropic:claude-fable-5-[12]*", _CLAUDE_THINKING),
    ("anthropic:claude-mythos-5-[12]*", _CLAUDE_THINKING),
    ("anthropic:claude-*", _CLAUDE),
    ("google-*:gemini-[12]*", _GEMINI),
    ("google-gla:gemini-*", _GEMINI_3),
    ("google-vertex:gemini-*", _GEMINI_3_VERTEX),
    *((f"bedrock:{pattern}", profile) for pattern, profile in _BEDROCK),
    ("cerebras:*", _SCHEMA_ALONE),
    ("cohere:*", _SCHEMA_ALONE),
    ("groq:*", _SCHEMA_ALONE),
    ("moonshotai:kimi-k2.*", _KIMI),
    ("moonshotai:kimi-k3*", _KIMI),
    ("perplexity:*", _SONAR),
    ("xai:*-non-reasoning", _PLAIN),
    ("xai:grok-3-mini*", _GROK),
    ("xai:grok-4", _GROK),
    ("xai:grok-4-0*", _GROK),
    ("xai:grok-4*-reasoning", _GROK),
    ("xai:grok-code*", _GROK),
    *((home + pattern, profile) for home in ("openai:", "azure:", "github:openai/") for pattern, profile in _OPENAI),
    ("openai:codex-*", _REASONING),
    # A schema beside tools makes llama.cpp's server ignore the tools; free text without a limit can go on for minutes.
    ("local:*", ModelProfile(result_mode="tool", native_with_tools=False, settings={"max_tokens": 512})),
)
