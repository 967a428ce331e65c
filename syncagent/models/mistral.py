"""Mistral's API: OpenAI-compatible chat, and what Mistral does differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional, Union

from ..settings import ModelSettings
from .chat import QUIRKS, decode, decode_error, decode_stream, encode
from .chat_model import ChatModel

if TYPE_CHECKING:
    from ..providers.base import Provider
    from .profiles import ModelProfile

__all__ = ["QUIRKS", "MistralModel", "MistralModelSettings", "decode", "decode_error", "decode_stream", "encode"]


class MistralModelSettings(ModelSettings, total=False):
    """Settings that only Mistral's API has (https://docs.mistral.ai/api/#tag/chat)."""

    mistral_guardrails: list[dict[str, Any]]
    """Checks of what goes in and comes out, in the API's own words."""
    mistral_metadata: dict[str, Any]
    """Labels of the request."""
    mistral_min_tokens: int
    """Tokens that an answer has at least."""
    mistral_prediction: dict[str, Any]
    """Text that the answer will mostly repeat, in the API's own words."""
    mistral_prompt_cache_key: str
    """Requests with the same key are more likely to find their prompt cached."""
    mistral_prompt_mode: Literal["reasoning"]
    """Whether the system prompt of the first reasoning models goes before the others."""
    mistral_reasoning_effort: str
    """How long models think that can be told so: ``none``, ``high`` ..."""
    mistral_safe_prompt: bool
    """Whether Mistral's own safety prompt goes before the others."""
    mistral_service_tier: str
    """How fast, and at what price, requests are handled."""


class MistralModel(ChatModel):
    """
    A model behind Mistral's API.

    Args:
        model_name: Mistral's name of the model, such as ``mistral-large-latest``.
        provider: where it is and how to log in, or the name of a known provider.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.

    Raises:
        UserError: the provider is unknown or speaks another API.
    """

    own_quirks: ClassVar[Mapping[str, Any]] = {
        "settings": {
            "seed": "random_seed",
            **{key: key[8:] for key in MistralModelSettings.__annotations__ if key.startswith("mistral_")},
        }
    }

    def __init__(
        self,
        model_name: str,
        *,
        provider: Union[str, Provider] = "mistral",
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
    ) -> None:
        super().__init__(model_name, provider=provider, profile=profile, settings=settings)
