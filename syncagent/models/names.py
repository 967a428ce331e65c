"""Models by name: ``provider:model``, ``test``, ``local``, and a few that need no prefix."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, Union

from ..exceptions import UserError
from ..providers.registry import added_class, added_names
from ..providers.table import ALIASES, ROWS
from ._words import short
from .base import Model

if TYPE_CHECKING:
    from .openai import OpenAIModel

__all__ = ["KnownModelName", "infer_model"]

KnownModelName = Literal[
    "alibaba:qwen-plus",
    "alibaba:qwen3-coder-plus",
    "alibaba:qwen3-max",
    "anthropic:claude-3-5-haiku-latest",
    "anthropic:claude-3-5-sonnet-latest",
    "anthropic:claude-3-7-sonnet-latest",
    "anthropic:claude-3-haiku-20240307",
    "anthropic:claude-3-opus-latest",
    "anthropic:claude-fable-5",
    "anthropic:claude-fable-5-1",
    "anthropic:claude-haiku-4-5",
    "anthropic:claude-haiku-5-5",
    "anthropic:claude-opus-4-0",
    "anthropic:claude-opus-4-1",
    "anthropic:claude-opus-4-5",
    "anthropic:claude-opus-4-6",
    "anthropic:claude-opus-4-7",
    "anthropic:claude-opus-4-8",
    "anthropic:claude-opus-5",
    "anthropic:claude-opus-5-5",
    "anthropic:claude-sonnet-4-0",
    "anthropic:claude-sonnet-4-5",
    "anthropic:claude-sonnet-4-6",
    "anthropic:claude-sonnet-5",
    "anthropic:claude-sonnet-5-5",
    "azure:gpt-4.1",
    "azure:gpt-4o",
    "azure:gpt-5",
    "bedrock-mantle:openai.gpt-oss-120b",
    "bedrock-mantle:openai.gpt-oss-20b",
    "bedrock:amazon.nova-lite-v1:0",
    "bedrock:amazon.nova-micro-v1:0",
    "bedrock:amazon.nova-pro-v1:0",
    "bedrock:amazon.titan-text-express-v1",
    "bedrock:amazon.titan-text-lite-v1",
    "bedrock:amazon.titan-tg1-large",
    "bedrock:anthropic.claude-3-5-haiku-20241022-v1:0",
    "bedrock:anthropic.claude-3-5-sonnet-20241022-v2:0",
    "bedrock:anthropic.claude-3-7-sonnet-20250219-v1:0",
    "bedrock:anthropic.claude-3-haiku-20240307-v1:0",
    "bedrock:anthropic.claude-3-opus-20240229-v1:0",
    "bedrock:cohere.command-r-plus-v1:0",
    "bedrock:cohere.command-r-v1:0",
    "bedrock:cohere.command-text-v14",
    "bedrock:meta.llama3-1-405b-instruct-v1:0",
    "bedrock:meta.llama3-1-70b-instruct-v1:0",
    "bedrock:meta.llama3-1-8b-instruct-v1:0",
    "bedrock:meta.llama3-70b-instruct-v1:0",
    "bedrock:meta.llama3-8b-instruct-v1:0",
    "bedrock:mistral.mistral-7b-instruct-v0:2",
    "bedrock:mistral.mistral-large-2402-v1:0",
    "bedrock:mistral.mistral-large-2407-v1:0",
    "bedrock:mistral.mixtral-8x7b-instruct-v0:1",
    "bedrock:moonshot.kimi-k2-thinking",
    "bedrock:us.amazon.nova-2-lite-v1:0",
    "bedrock:us.anthropic.claude-3-7-sonnet-20250219-v1:0",
    "bedrock:us.anthropic.claude-sonnet-4-20250514-v1:0",
    "bedrock:us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "bedrock:us.meta.llama3-2-11b-instruct-v1:0",
    "bedrock:us.meta.llama3-2-1b-instruct-v1:0",
    "bedrock:us.meta.llama3-2-3b-instruct-v1:0",
    "bedrock:us.meta.llama3-2-90b-instruct-v1:0",
    "bedrock:us.meta.llama3-3-70b-instruct-v1:0",
    "bedrock:us.meta.llama4-maverick-17b-instruct-v1:0",
    "bedrock:zai.glm-4.7-flash",
    "cerebras:gpt-oss-120b",
    "cerebras:llama-3.3-70b",
    "cerebras:llama3.1-8b",
    "cerebras:qwen-3-32b",
    "claude-3-5-haiku-latest",
    "claude-3-5-sonnet-latest",
    "claude-3-7-sonnet-latest",
    "claude-3-opus-latest",
    "claude-haiku-4-5",
    "claude-haiku-5-5",
    "claude-opus-4-5",
    "claude-opus-5-5",
    "claude-sonnet-4-5",
    "claude-sonnet-5-5",
    "cohere:c4ai-aya-expanse-32b",
    "cohere:c4ai-aya-expanse-8b",
    "cohere:command",
    "cohere:command-a-03-2025",
    "cohere:command-a-reasoning-08-2025",
    "cohere:command-a-vision-07-2025",
    "cohere:command-light",
    "cohere:command-nightly",
    "cohere:command-r",
    "cohere:command-r-03-2024",
    "cohere:command-r-08-2024",
    "cohere:command-r-plus",
    "cohere:command-r-plus-04-2024",
    "cohere:command-r-plus-08-2024",
    "cohere:command-r7b-12-2024",
    "crusoe:meta-llama/Llama-3.3-70B-Instruct",
    "crusoe:zai/GLM-5.2",
    "deepseek:deepseek-chat",
    "deepseek:deepseek-reasoner",
    "fireworks:accounts/fireworks/models/gpt-oss-120b",
    "fireworks:accounts/fireworks/models/llama-v3p3-70b-instruct",
    "gemini-1.5-flash",
    "gemini-1.5-pro",
    "gemini-2.0-flash",
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "github:openai/gpt-4.1",
    "github:openai/gpt-4o",
    "github:openai/gpt-5",
    "google-gla:gemini-1.0-pro",
    "google-gla:gemini-1.5-flash",
    "google-gla:gemini-1.5-flash-8b",
    "google-gla:gemini-1.5-pro",
    "google-gla:gemini-2.0-flash",
    "google-gla:gemini-2.0-flash-lite",
    "google-gla:gemini-2.5-flash",
    "google-gla:gemini-2.5-flash-lite",
    "google-gla:gemini-2.5-pro",
    "google-gla:gemini-3-flash-preview",
    "google-gla:gemini-3-pro-preview",
    "google-gla:gemini-3.6-flash",
    "google-vertex:gemini-1.0-pro",
    "google-vertex:gemini-1.5-flash",
    "google-vertex:gemini-1.5-flash-8b",
    "google-vertex:gemini-1.5-pro",
    "google-vertex:gemini-2.0-flash",
    "google-vertex:gemini-2.0-flash-lite",
    "google-vertex:gemini-2.5-flash",
    "google-vertex:gemini-2.5-flash-lite",
    "google-vertex:gemini-2.5-pro",
    "google-vertex:gemini-3-flash-preview",
    "google-vertex:gemini-3-pro-preview",
    "gpt-3.5-turbo",
    "gpt-4",
    "gpt-4-turbo",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4.5-preview",
    "gpt-4o",
    "gpt-4o-audio-preview",
    "gpt-4o-mini",
    "gpt-4o-search-preview",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5.1",
    "groq:gemma2-9b-it",
    "groq:groq/compound",
    "groq:groq/compound-mini",
    "groq:llama-3.1-8b-instant",
    "groq:llama-3.2-1b-preview",
    "groq:llama-3.2-3b-preview",
    "groq:llama-3.3-70b-specdec",
    "groq:llama-3.3-70b-versatile",
    "groq:llama3-70b-8192",
    "groq:llama3-8b-8192",
    "groq:meta-llama/llama-4-maverick-17b-128e-instruct",
    "groq:meta-llama/llama-4-scout-17b-16e-instruct",
    "groq:mixtral-8x7b-32768",
    "groq:moonshotai/kimi-k2-instruct-0905",
    "groq:openai/gpt-oss-120b",
    "groq:openai/gpt-oss-20b",
    "groq:qwen/qwen3-32b",
    "heroku:claude-3-7-sonnet",
    "heroku:claude-4-5-haiku",
    "heroku:claude-4-5-sonnet",
    "heroku:claude-4-sonnet",
    "huggingface:deepseek-ai/DeepSeek-R1",
    "huggingface:meta-llama/Llama-3.3-70B-Instruct",
    "huggingface:openai/gpt-oss-120b",
    "litellm:gpt-4o",
    "llamacpp:default",
    "lmstudio:openai/gpt-oss-20b",
    "local",
    "local:qwen2.5-coder-0.5b",
    "local:smollm2-135m",
    "mistral:codestral-latest",
    "mistral:magistral-medium-latest",
    "mistral:magistral-small-latest",
    "mistral:ministral-8b-latest",
    "mistral:mistral-large-latest",
    "mistral:mistral-medium-latest",
    "mistral:mistral-moderation-latest",
    "mistral:mistral-small-latest",
    "mistral:pixtral-large-latest",
    "moonshotai:kimi-k2.5",
    "moonshotai:kimi-k2.6",
    "moonshotai:kimi-k3",
    "o1",
    "o1-mini",
    "o1-preview",
    "o3",
    "o3-mini",
    "ollama:llama3.2",
    "ollama:qwen3",
    "openai-responses:codex-mini-latest",
    "openai-responses:gpt-4.1",
    "openai-responses:gpt-4o",
    "openai-responses:gpt-5",
    "openai-responses:gpt-5-mini",
    "openai-responses:gpt-5.1",
    "openai-responses:o3",
    "openai-responses:o3-pro",
    "openai-responses:o4-mini",
    "openai:gpt-3.5-turbo",
    "openai:gpt-4",
    "openai:gpt-4-turbo",
    "openai:gpt-4.1",
    "openai:gpt-4.1-mini",
    "openai:gpt-4.1-nano",
    "openai:gpt-4.5-preview",
    "openai:gpt-4o",
    "openai:gpt-4o-audio-preview",
    "openai:gpt-4o-mini",
    "openai:gpt-4o-search-preview",
    "openai:gpt-5",
    "openai:gpt-5-chat-latest",
    "openai:gpt-5-mini",
    "openai:gpt-5-nano",
    "openai:gpt-5.1",
    "openai:o1",
    "openai:o1-mini",
    "openai:o1-preview",
    "openai:o3",
    "openai:o3-mini",
    "openai:o4-mini",
    "openrouter:anthropic/claude-sonnet-4.5",
    "openrouter:deepseek/deepseek-chat",
    "openrouter:google/gemini-2.5-pro",
    "openrouter:openai/gpt-4o",
    "perplexity:sonar",
    "perplexity:sonar-deep-research",
    "perplexity:sonar-pro",
    "perplexity:sonar-reasoning-pro",
    "snowflake:claude-sonnet-4-6",
    "snowflake:llama3.1-8b",
    "test",
    "together:meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "together:openai/gpt-oss-120b",
    "vllm:openai/gpt-oss-20b",
    "xai:grok-3",
    "xai:grok-3-mini",
    "xai:grok-4",
    "xai:grok-4-fast-reasoning",
    "xai:grok-code-fast-1",
    "zai:glm-4.6",
    "zai:glm-4.7",
    "zai:glm-5.2",
]
"""Names that editors complete; any other name of a known provider works as well."""

_MODELS = {
    "anthropic": "anthropic.AnthropicModel",
    "bedrock": "bedrock.BedrockConverseModel",
    "chat": "openai.OpenAIModel",
    "cohere": "cohere.CohereModel",
    "gemini": "gemini.GeminiModel",
    "groq": "groq.GroqModel",
    "mistral": "mistral.MistralModel",
}
"""The model class of each wire."""
_SECOND = {"openai-responses": ("openai", "openai_responses.OpenAIResponsesModel")}
"""Prefixes of a provider's second API: the provider, and the model class."""
_BARE = (("gpt", "openai"), ("o1", "openai"), ("o3", "openai"), ("claude", "anthropic"), ("gemini", "google-gla"))


def infer_model(model: Union[Model, KnownModelName, str]) -> Model:
    """
    The model of a name; a model stays as it is. Nothing is looked up or sent: that a key is there is not checked.

    Args:
        model: ``provider:model``; ``test``; ``local``, ``local:name`` or ``local:/path/to/model.gguf``; or a name
            that begins with ``gpt``, ``o1``, ``o3``, ``claude`` or ``gemini``.

    Raises:
        UserError: the name is unknown.
    """
    if isinstance(model, Model):
        return model
    if not isinstance(model, str):
        raise UserError(f"A model is a name such as 'openai:gpt-4o', or a Model; got {type(model).__name__}.")
    if model == "test":
        from .test import TestModel

        return TestModel()
    if model == "local":
        return _local("local")
    provider, path, name = _resolved(model)
    if provider == "local":
        return _local(name)
    module, _, class_name = path.partition(".")
    model_class = getattr(import_module(f".{module}", __package__), class_name)
    made: Model = model_class(name, provider=provider)
    return made


def _resolved(model: str) -> tuple[str, str, str]:
    """The provider, the path of the model class, and the provider's name of the model."""
    provider, colon, name = model.partition(":")
    provider = ALIASES.get(provider, provider)
    row = None
    if not colon or provider not in {*ROWS, *_SECOND}:
        added = added_class(provider) if colon else None
        if added is None:
            provider, name = next((known for start, known in _BARE if model.startswith(start)), ""), model
        else:
            row = added.row
    if provider in _SECOND and name.strip():
        return (*_SECOND[provider], name)
    row = ROWS.get(provider, row)
    if row is None or not name.strip():
        raise UserError(
            f"Unknown model: {short(model)}. A model is named provider:model, such as 'openai:gpt-4o', with one of the "
            f"providers {', '.join(sorted({*ROWS, *_SECOND, *added_names()}))}; or it is 'local', which runs on this "
            "machine, or 'test'."
        )
    if row.wire not in _MODELS:
        raise UserError(f"The provider {short(provider)!r} speaks {row.wire!r}; known wires are {', '.join(_MODELS)}.")
    return provider, _MODELS[row.wire], name


def _local(name: str) -> OpenAIModel:
    from .. import local
    from .openai import OpenAIModel

    local.check(name)
    return OpenAIModel(name, provider="local")
