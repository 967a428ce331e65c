"""Groq's API: OpenAI-compatible chat, and what Groq does differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional, Union

from ..settings import ModelSettings
from .chat import QUIRKS, decode, decode_error, decode_stream, encode
from .chat_model import ChatModel

if TYPE_CHECKING:
    from ..providers.base import Provider
    from .profiles import ModelProfile

__all__ = ["QUIRKS", "GroqModel", "GroqModelSettings", "decode", "decode_error", "decode_stream", "encode"]


class GroqModelSettings(ModelSettings, total=False):
    """Settings that only Groq's API has (https://console.groq.com/docs/api-reference#chat-create)."""

    groq_citation_options: Literal["enabled", "disabled"]
    """Whether answers name their sources."""
    groq_compound_custom: dict[str, Any]
    """Models and tools of the compound systems, in the API's own words."""
    groq_disable_tool_validation: bool
    """Whether calls of tools that were not offered come through."""
    groq_documents: list[dict[str, Any]]
    """Documents to answer from, in the API's own words."""
    groq_include_reasoning: bool
    """Whether the answer tells what the model thought."""
    groq_reasoning_effort: str
    """How long reasoning models think: ``none``, ``default``, ``low``, ``medium`` or ``high``."""
    groq_reasoning_format: Literal["hidden", "raw", "parsed"]
    """Where thinking stands: nowhere, in the text, or apart from it."""
    groq_search_settings: dict[str, Any]
    """What the compound systems' search looks at, in the API's own words."""
    groq_service_tier: str
    """``auto``, ``on_demand``, ``flex`` or ``performance``."""
    groq_user: str
    """A stable name of the end user."""


class GroqModel(ChatModel):
    """
    A model behind Groq's API.

    The tools that Groq runs itself (``executed_tools``) are kept as an ``OpaquePart``; the API does not take them
    back.

    Args:
        model_name: Groq's name of the model, such as ``llama-3.3-70b-versatile``.
        provider: where it is and how to log in, or the name of a known provider.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.

    Raises:
        UserError: the provider is unknown or speaks another API.
    """

    own_quirks: ClassVar[Mapping[str, Any]] = {
        "settings": {key: key[5:] for key in GroqModelSettings.__annotations__ if key.startswith("groq_")}
    }

    def __init__(
        self,
        model_name: str,
        *,
        provider: Union[str, Provider] = "groq",
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
    ) -> None:
        super().__init__(model_name, provider=provider, profile=profile, settings=settings)
