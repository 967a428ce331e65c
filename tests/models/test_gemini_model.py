"""The model classes for Gemini, and what their models can do."""

from __future__ import annotations

import pytest

from syncagent.exceptions import UserError
from syncagent.models.gemini import GeminiModel
from syncagent.models.profiles import ModelProfile, infer_profile
from syncagent.models.vertexai import VertexAIModel
from syncagent.providers.google_gla import GoogleGLAProvider
from syncagent.providers.google_vertex import GoogleVertexProvider


def test_model() -> None:
    """The model takes a provider or its name, and shows where it goes without a key."""
    model = GeminiModel("gemini-2.5-flash")
    assert (model.system, model.base_url) == ("google-gla", "https://generativelanguage.googleapis.com/v1beta")
    assert repr(model) == "GeminiModel('gemini-2.5-flash', provider=GoogleGLAProvider())"
    assert repr(model.wire) == "<GeminiWire of google-gla>"
    assert model.wire.inline == frozenset()
    provider = GoogleGLAProvider("https://gateway/v1beta")
    assert GeminiModel("m", provider=provider).base_url == "https://gateway/v1beta"
    assert GeminiModel("m", provider="google-vertex").system == "google-vertex"


def test_vertex_model() -> None:
    """The class for Vertex AI makes its provider."""
    model = VertexAIModel("gemini-2.5-flash", project_id="p", region="eu", settings={"temperature": 0})
    assert model.base_url == "https://aiplatform.eu.rep.googleapis.com/v1beta1/projects/p/locations/eu"
    assert isinstance(model.provider, GoogleVertexProvider)
    assert isinstance(model, GeminiModel)


def test_wrong_providers() -> None:
    """A provider that speaks another API, or is none, is refused."""
    with pytest.raises(UserError, match="The provider 'deepseek' does not speak Google's generateContent"):
        GeminiModel("m", provider="deepseek")
    with pytest.raises(UserError, match="provider is a Provider, or the name of one; got int"):
        GeminiModel("m", provider=1)  # type: ignore[arg-type] # what is refused


def test_unknown_quirk() -> None:
    """A quirk that the wire does not know is a slip of the pen."""
    with pytest.raises(UserError, match=r"^Unknown quirks: publisher\. Known are count_whole, "):
        GeminiModel("m", profile=ModelProfile(quirks={"publisher": True}))


@pytest.mark.parametrize(
    ("name", "together", "quirks"),
    [
        ("google-gla:gemini-2.0-flash", False, set()),
        ("google-vertex:gemini-2.5-pro", False, set()),
        ("google-gla:gemini-3-pro-preview", True, {"missing_signature", "server_tool_calls"}),
        ("google-gla:gemini-flash-latest", True, {"missing_signature", "server_tool_calls"}),
        ("google-vertex:gemini-3-pro-preview", True, {"missing_signature"}),
        ("google-gla:gemma-3-27b-it", True, set()),
    ],
)
def test_profiles(name: str, together: bool, quirks: set[str]) -> None:
    """From 3 on a schema goes with tools, and calls need signatures; the Gemini API alone shows its tools' calls."""
    profile = infer_profile(*name.split(":"))
    assert (profile.native_with_tools, set(profile.quirks)) == (together, quirks)
