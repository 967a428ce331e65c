"""The known providers: where each one is, how to log in, which API it speaks, and what it does differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

__all__ = ["ROWS", "UNBUILT", "ProviderRow"]


class ProviderRow(NamedTuple):
    """
    One provider.

    Args:
        name: the prefix in a model's name, and ``provider_name`` in messages.
        title: how it writes itself; its class is ``<title>Provider`` in ``syncagent.providers.<module>``.
        wire: the API it speaks; the module of :mod:`syncagent.models` that maps it.
        base_url: its own address; None where there is none to know.
        base_url_variable: the environment variable of another address.
        key_variable: the environment variable of its key.
        needs_key: whether its own address refuses requests without a key.
        header: the header that carries the key.
        scheme: what stands before the key in it.
        quirks: deviations, by the names of the wire's own table.
    """

    name: str
    title: str
    wire: str = "chat"
    base_url: Optional[str] = None
    base_url_variable: Optional[str] = None
    key_variable: Optional[str] = None
    needs_key: bool = True
    header: str = "Authorization"
    scheme: str = "Bearer "
    quirks: Mapping[str, Any] = {}

    @property
    def module(self) -> str:
        """The module of its class."""
        return self.name.replace("-", "_")


ROWS: dict[str, ProviderRow] = {
    row.name: row
    for row in (
        ProviderRow(
            "openai",
            "OpenAI",
            base_url="https://api.openai.com/v1",
            base_url_variable="OPENAI_BASE_URL",
            key_variable="OPENAI_API_KEY",
        ),
        # https://platform.claude.com/docs/en/api/overview#authentication
        ProviderRow(
            "anthropic",
            "Anthropic",
            wire="anthropic",
            base_url="https://api.anthropic.com",
            base_url_variable="ANTHROPIC_BASE_URL",
            key_variable="ANTHROPIC_API_KEY",
            header="x-api-key",
            scheme="",
        ),
        # https://api-docs.deepseek.com/guides/thinking_mode: thinking beside tool calls has to come back.
        ProviderRow(
            "deepseek",
            "DeepSeek",
            base_url="https://api.deepseek.com",
            base_url_variable="DEEPSEEK_BASE_URL",
            key_variable="DEEPSEEK_API_KEY",
            quirks={"thinking": "reasoning_content"},
        ),
        # https://docs.ollama.com/api/openai-compatibility: its own address is the machine's, and wants no key.
        ProviderRow(
            "ollama",
            "Ollama",
            base_url="http://localhost:11434/v1",
            base_url_variable="OLLAMA_BASE_URL",
            key_variable="OLLAMA_API_KEY",
            needs_key=False,
        ),
        # https://openrouter.ai/docs/use-cases/reasoning-tokens: reasoning_details have to come back as they were.
        ProviderRow(
            "openrouter",
            "OpenRouter",
            base_url="https://openrouter.ai/api/v1",
            base_url_variable="OPENROUTER_BASE_URL",
            key_variable="OPENROUTER_API_KEY",
            quirks={"keep": ("reasoning_details",), "top_k": True},
        ),
        # https://ai.google.dev/api: the Gemini API. GOOGLE_API_KEY is its key variable too.
        ProviderRow(
            "google-gla",
            "GoogleGLA",
            wire="gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta",
            base_url_variable="GEMINI_BASE_URL",
            key_variable="GEMINI_API_KEY",
            header="X-Goog-Api-Key",
            scheme="",
            quirks={"count_whole": True},
        ),
        # https://cloud.google.com/vertex-ai: address and log-in depend on project and region. The header is that of
        # a key of its express mode.
        ProviderRow(
            "google-vertex",
            "GoogleVertex",
            wire="gemini",
            base_url="https://aiplatform.googleapis.com/v1beta1",
            header="X-Goog-Api-Key",
            scheme="",
            quirks={"publishers": True},
        ),
        # llama.cpp's server with the project's chat template. Address, key and model come from syncagent.local.
        ProviderRow(
            "local",
            "Local",
            needs_key=False,
            quirks={
                # After a tool's result the template asks for an answer in words; where one is not allowed, a call is.
                "required_body": {"chat_template_kwargs": {"more_calls": True}},
                "named_tool_choice": False,
                "max_length": 200,
                "json_args": True,
                "top_k": True,
                # Odd output of the model is a 500, which would be sent again for nothing.
                "error_kinds": {"does not match the expected": "response"},
            },
        ),
    )
}

# Names that are known, and whose API is not built yet.
UNBUILT: dict[str, str] = {
    "azure": "Azure",
    "bedrock": "Bedrock",
    "cohere": "Cohere",
    "groq": "Groq",
    "mistral": "Mistral",
}
