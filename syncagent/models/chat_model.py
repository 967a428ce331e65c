"""The model class that all providers with an OpenAI-compatible chat API share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Optional, Union

from ..providers.base import Provider
from ._building import joined_quirks, speaking
from .chat import QUIRKS, ChatWire
from .profiles import infer_profile
from .wire_model import WireModel

if TYPE_CHECKING:
    from ..settings import ModelSettings
    from .profiles import ModelProfile

__all__ = ["ChatModel"]

_SPEAK_IT = frozenset({"chat", "groq", "mistral"})


class ChatModel(WireModel):
    """
    A model behind an OpenAI-compatible chat API: the wire with the provider's quirks, then the model's.

    Args:
        model_name: the provider's name of the model.
        provider: where it is and how to log in, or the name of a known provider that speaks this API.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.
        quirks: further deviations, over all others.

    Raises:
        UserError: the provider is unknown or speaks another API, or a quirk has no such name.
    """

    own_quirks: ClassVar[Mapping[str, Any]] = {}
    """What a model class adds to the quirks of its provider, such as the names of its own settings."""

    def __init__(
        self,
        model_name: str,
        *,
        provider: Union[str, Provider],
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
        quirks: Optional[Mapping[str, Any]] = None,
    ) -> None:
        provider = speaking(provider, _SPEAK_IT, "OpenAI's chat API")
        if profile is None:
            profile = infer_profile(provider.name, model_name)
        every = joined_quirks(QUIRKS, self.own_quirks, provider.row.quirks, profile.quirks, quirks or {})
        wire = ChatWire(provider.name, every)
        super().__init__(model_name, wire, provider, profile=profile, settings=settings, quirks=every)
