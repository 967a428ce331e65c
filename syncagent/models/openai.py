"""OpenAI's chat API, and the many servers that speak it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from ..exceptions import UserError
from ..settings import ModelSettings
from .chat import decode, decode_error, decode_stream, encode
from .chat_model import ChatModel

if TYPE_CHECKING:
    from ..providers.base import Provider
    from .openai_responses import OpenAIResponsesModel, OpenAIResponsesModelSettings
    from .profiles import ModelProfile

__all__ = [
    "OpenAIModel",
    "OpenAIModelSettings",
    "OpenAIResponsesModel",
    "OpenAIResponsesModelSettings",
    "OpenAISystemPromptRole",
    "decode",
    "decode_error",
    "decode_stream",
    "encode",
]

OpenAISystemPromptRole = Literal["system", "developer", "user"]


class OpenAIModelSettings(ModelSettings, total=False):
    """Settings that only OpenAI's chat API, or a server that copies it, has."""

    openai_reasoning_effort: str
    """How long reasoning models think: ``minimal``, ``low``, ``medium``, ``high`` ..."""
    openai_verbosity: str
    """How long the answers are: ``low``, ``medium`` or ``high``."""
    openai_service_tier: str
    """``auto``, ``default``, ``flex`` or ``priority``."""
    openai_store: bool
    """Whether OpenAI keeps the exchange."""
    openai_metadata: dict[str, str]
    """Labels of a kept exchange."""
    openai_prediction: dict[str, Any]
    """Text that the answer will mostly repeat, in the API's own words."""
    openai_prompt_cache_key: str
    """Requests with the same key are more likely to find their prompt cached."""
    openai_safety_identifier: str
    """A stable, hashed name of the end user."""
    openai_user: str
    """The older name of the two above."""


class OpenAIModel(ChatModel):
    """
    A model behind OpenAI's chat API.

    >>> from syncagent.providers.openai import OpenAIProvider
    >>> OpenAIModel("llama3.2", provider=OpenAIProvider(base_url="http://localhost:11434/v1")).base_url
    'http://localhost:11434/v1'

    Args:
        model_name: the provider's name of the model.
        provider: where it is and how to log in, or the name of a known provider that speaks this API.
        system_prompt_role: the role that system prompts are sent with; by default ``system``.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.

    Raises:
        UserError: the provider is unknown or speaks another API, or the role is none of the three.
    """

    def __init__(
        self,
        model_name: str,
        *,
        provider: Union[str, Provider] = "openai",
        system_prompt_role: Optional[OpenAISystemPromptRole] = None,
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
    ) -> None:
        quirks: dict[str, Any] = {}
        if system_prompt_role is not None:
            if system_prompt_role not in ("system", "developer", "user"):
                raise UserError(
                    f"system_prompt_role is 'system', 'developer' or 'user'; got {system_prompt_role!r}."
                )
            quirks["system_role"] = system_prompt_role
        self.system_prompt_role = system_prompt_role
        super().__init__(model_name, provider=provider, profile=profile, settings=settings, quirks=quirks)


def __getattr__(name: str) -> Any:
    """The other API's classes, which users look for here."""
    if name in ("OpenAIResponsesModel", "OpenAIResponsesModelSettings"):
        return getattr(import_module(".openai_responses", __package__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
