"""The known providers: where each one is, how to log in, which API it speaks, and what it does differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

__all__ = ["ALIASES", "ROWS", "ProviderRow"]


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
        # https://api-docs.deepseek.com/guides/thinking_mode: thinking beside tool calls has to come back;
        # https://api-docs.deepseek.com/guides/json_mode: JSON, but by no schema.
        ProviderRow(
            "deepseek",
            "DeepSeek",
            base_url="https://api.deepseek.com",
            base_url_variable="DEEPSEEK_BASE_URL",
            key_variable="DEEPSEEK_API_KEY",
            quirks={"images_only": True, "native": False, "thinking": "reasoning_content"},
        ),
        # https://docs.ollama.com/api/openai-compatibility: its own address is the machine's, and wants no key.
        ProviderRow(
            "ollama",
            "Ollama",
            base_url="http://localhost:11434/v1",
            base_url_variable="OLLAMA_BASE_URL",
            key_variable="OLLAMA_API_KEY",
            needs_key=False,
            quirks={"images_only": True},
        ),
        # https://openrouter.ai/docs/use-cases/reasoning-tokens: reasoning_details have to come back as they were.
        # https://openrouter.ai/docs/guides/overview/multimodal/videos: video_url, an address or a data: address.
        ProviderRow(
            "openrouter",
            "OpenRouter",
            base_url="https://openrouter.ai/api/v1",
            base_url_variable="OPENROUTER_BASE_URL",
            key_variable="OPENROUTER_API_KEY",
            quirks={"keep": ("reasoning_details",), "top_k": True, "video_url": True},
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
        # https://learn.microsoft.com/azure/ai-foundry/openai/reference: the address is the resource's; AzureProvider
        # adds deployment and version. Named tokens are those of Entra.
        ProviderRow(
            "azure",
            "Azure",
            base_url_variable="AZURE_OPENAI_ENDPOINT",
            key_variable="AZURE_OPENAI_API_KEY",
            header="api-key",
            scheme="",
        ),
        # https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html; the address has the region in it, and
        # BedrockProvider signs requests where there is no key of Bedrock's own.
        ProviderRow(
            "bedrock",
            "Bedrock",
            wire="bedrock",
            base_url_variable="AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
            key_variable="AWS_BEARER_TOKEN_BEDROCK",
        ),
        # https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html: the address has the region in it.
        ProviderRow(
            "bedrock-mantle",
            "BedrockMantle",
            base_url_variable="BEDROCK_MANTLE_BASE_URL",
            key_variable="AWS_BEARER_TOKEN_BEDROCK",
        ),
        # https://inference-docs.cerebras.ai/resources/openai: what is refused there. Thinking goes back as it came.
        ProviderRow(
            "cerebras",
            "Cerebras",
            base_url="https://api.cerebras.ai",
            base_url_variable="CEREBRAS_BASE_URL",
            key_variable="CEREBRAS_API_KEY",
            quirks={
                "images_only": True,
                "max_tokens": "max_completion_tokens",
                "path": "/v1/chat/completions",
                "thinking": "reasoning",
                "unsendable": frozenset({"frequency_penalty", "logit_bias", "presence_penalty"}),
            },
        ),
        # https://docs.cohere.com/reference/chat
        ProviderRow(
            "cohere",
            "Cohere",
            wire="cohere",
            base_url="https://api.cohere.com",
            base_url_variable="CO_API_URL",
            key_variable="CO_API_KEY",
        ),
        # https://docs.crusoecloud.com/quickstart/getting-started-with-serverless-inference
        ProviderRow(
            "crusoe",
            "Crusoe",
            base_url="https://api.inference.crusoecloud.com/v1",
            base_url_variable="CRUSOE_BASE_URL",
            key_variable="CRUSOE_API_KEY",
            quirks={"thinking": "reasoning"},
        ),
        # https://docs.fireworks.ai/api-reference/post-chatcompletions
        ProviderRow(
            "fireworks",
            "Fireworks",
            base_url="https://api.fireworks.ai/inference/v1",
            base_url_variable="FIREWORKS_BASE_URL",
            key_variable="FIREWORKS_API_KEY",
            quirks={"thinking": "reasoning_content", "top_k": True},
        ),
        # https://docs.github.com/github-models/quickstart
        ProviderRow(
            "github",
            "GitHub",
            base_url="https://models.github.ai/inference",
            base_url_variable="GITHUB_MODELS_BASE_URL",
            key_variable="GITHUB_TOKEN",
        ),
        # https://console.groq.com/docs/api-reference: the variable's address is without the path, as Groq's SDK has it.
        ProviderRow(
            "groq",
            "Groq",
            wire="groq",
            base_url="https://api.groq.com",
            base_url_variable="GROQ_BASE_URL",
            key_variable="GROQ_API_KEY",
            quirks={
                "images_only": True,
                "max_tokens": "max_completion_tokens",
                "note": ("executed_tools",),
                "path": "/openai/v1/chat/completions",
                "stream_usage": False,
            },
        ),
        # https://devcenter.heroku.com/articles/openai-compatibility-chat-completions: the add-on sets both variables.
        ProviderRow(
            "heroku",
            "Heroku",
            base_url="https://us.inference.heroku.com",
            base_url_variable="INFERENCE_URL",
            key_variable="INFERENCE_KEY",
            quirks={"images_only": True, "max_tokens": "max_completion_tokens", "path": "/v1/chat/completions"},
        ),
        # https://huggingface.co/docs/inference-providers: the router, which asks one of many providers.
        ProviderRow(
            "huggingface",
            "HuggingFace",
            base_url="https://router.huggingface.co/v1",
            base_url_variable="HUGGINGFACE_BASE_URL",
            key_variable="HF_TOKEN",
        ),
        # https://docs.litellm.ai/docs/simple_proxy: a proxy of one's own in front of any provider.
        ProviderRow(
            "litellm",
            "LiteLLM",
            base_url="http://localhost:4000",
            base_url_variable="LITELLM_PROXY_API_BASE",
            key_variable="LITELLM_PROXY_API_KEY",
            needs_key=False,
            quirks={"thinking": "reasoning_content", "top_k": True},
        ),
        # https://github.com/ggml-org/llama.cpp/tree/master/tools/server: a server that runs already.
        ProviderRow(
            "llamacpp",
            "LlamaCpp",
            base_url="http://localhost:8080/v1",
            base_url_variable="LLAMACPP_BASE_URL",
            key_variable="LLAMA_API_KEY",
            needs_key=False,
            quirks={"json_args": True, "thinking": "reasoning_content", "top_k": True},
        ),
        # https://lmstudio.ai/docs/developer/openai-compat
        ProviderRow(
            "lmstudio",
            "LMStudio",
            base_url="http://localhost:1234/v1",
            base_url_variable="LMSTUDIO_BASE_URL",
            key_variable="LM_API_TOKEN",
            needs_key=False,
            quirks={"images_only": True, "named_tool_choice": False, "top_k": True},
        ),
        # https://docs.mistral.ai/api: what its errors 3280 and 3230 say of ids and of the order of roles;
        # https://docs.mistral.ai/capabilities/reasoning: thinking goes back as it came.
        ProviderRow(
            "mistral",
            "Mistral",
            wire="mistral",
            base_url="https://api.mistral.ai/v1",
            base_url_variable="MISTRAL_BASE_URL",
            key_variable="MISTRAL_API_KEY",
            quirks={
                "after_tools": "OK",
                "document_url": True,
                "plain_audio": True,
                "short_ids": True,
                "stream_usage": False,
                "thinking_piece": True,
                "top_k": True,
                "unsendable": frozenset({"logit_bias"}),
            },
        ),
        # https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model: thinking beside tool calls has to come
        # back, and forced tools do not go with it.
        ProviderRow(
            "moonshotai",
            "MoonshotAI",
            base_url="https://api.moonshot.ai/v1",
            base_url_variable="MOONSHOT_BASE_URL",
            key_variable="MOONSHOT_API_KEY",
            quirks={
                "images_only": True,
                "named_tool_choice": False,
                "required_tool_choice": False,
                "thinking": "reasoning_content",
            },
        ),
        # https://docs.perplexity.ai/api-reference/chat-completions-post: usage comes with every chunk, unasked.
        ProviderRow(
            "perplexity",
            "Perplexity",
            base_url="https://api.perplexity.ai",
            base_url_variable="PERPLEXITY_BASE_URL",
            key_variable="PERPLEXITY_API_KEY",
            quirks={"images_only": True, "stream_usage": False},
        ),
        # https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-rest-api: the address has the account in it,
        # the key is a programmatic access token. Claude's signatures are in reasoning_details.
        ProviderRow(
            "snowflake",
            "Snowflake",
            base_url_variable="SNOWFLAKE_BASE_URL",
            key_variable="SNOWFLAKE_PAT",
            quirks={"images_only": True, "keep": ("reasoning_details",), "max_tokens": "max_completion_tokens"},
        ),
        # https://docs.together.ai/reference/chat-completions-1
        ProviderRow(
            "together",
            "Together",
            base_url="https://api.together.xyz/v1",
            base_url_variable="TOGETHER_BASE_URL",
            key_variable="TOGETHER_API_KEY",
            quirks={"top_k": True},
        ),
        # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
        ProviderRow(
            "vllm",
            "VLLM",
            base_url="http://localhost:8000/v1",
            base_url_variable="VLLM_BASE_URL",
            key_variable="VLLM_API_KEY",
            needs_key=False,
            quirks={"json_args": True, "top_k": True},
        ),
        # https://docs.x.ai/docs/api-reference
        ProviderRow(
            "xai",
            "XAI",
            base_url="https://api.x.ai/v1",
            base_url_variable="XAI_BASE_URL",
            key_variable="XAI_API_KEY",
            quirks={"images_only": True},
        ),
        # https://docs.z.ai/guides/capabilities/thinking-mode: thinking beside tool calls comes back.
        # https://docs.z.ai/api-reference/llm/chat-completion: tool_choice is "auto" only, and JSON is by no schema.
        ProviderRow(
            "zai",
            "ZAI",
            base_url="https://api.z.ai/api/paas/v4",
            base_url_variable="ZAI_BASE_URL",
            key_variable="ZAI_API_KEY",
            quirks={
                "images_only": True,
                "named_tool_choice": False,
                "native": False,
                "required_tool_choice": False,
                "thinking": "reasoning_content",
            },
        ),
        # https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope
        ProviderRow(
            "alibaba",
            "Alibaba",
            base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            base_url_variable="DASHSCOPE_BASE_URL",
            key_variable="DASHSCOPE_API_KEY",
            quirks={"required_tool_choice": False, "top_k": True},
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

# Other names of the same.
ALIASES: dict[str, str] = {"dashscope": "alibaba", "grok": "xai", "vertexai": "google-vertex"}
