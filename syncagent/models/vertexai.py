"""Gemini behind Vertex AI, as a class of its own; the same as ``GeminiModel(name, provider="google-vertex")``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from ..providers.google_vertex import GoogleVertexProvider
from .gemini import GeminiModel, GeminiModelSettings

if TYPE_CHECKING:
    from ..settings import ModelSettings
    from .profiles import ModelProfile

__all__ = ["GeminiModelSettings", "VertexAIModel"]


class VertexAIModel(GeminiModel):
    """
    A model behind Vertex AI.

    Args:
        model_name: Google's name of the model, ``publisher/model`` or ``endpoints/number``.
        service_account_file, service_account_info, project_id, region: as of
            :class:`~syncagent.providers.google_vertex.GoogleVertexProvider`.
        profile: what the model can do; by default looked up by its name.
        settings: settings that hold where the caller gives none.
        options: the provider's further keywords.

    Raises:
        UserError: as the provider.
    """

    def __init__(
        self,
        model_name: str,
        *,
        service_account_file: Union[str, os.PathLike[str], None] = None,
        service_account_info: Optional[Mapping[str, Any]] = None,
        project_id: Optional[str] = None,
        region: Optional[str] = None,
        profile: Optional[ModelProfile] = None,
        settings: Optional[ModelSettings] = None,
        **options: Any,
    ) -> None:
        provider = GoogleVertexProvider(service_account_file, service_account_info, project_id, region, **options)
        super().__init__(model_name, provider=provider, profile=profile, settings=settings)
