"""``OpenAIResponsesModel`` against a server on loopback: what goes out, what comes in, what is raised."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

import syncagent.models.openai
from syncagent import Agent
from syncagent.deadline import Deadline
from syncagent.exceptions import (
    ContentFilterError,
    ContextTooLongError,
    DeadlineExceeded,
    IncompleteStreamError,
    ModelResponseError,
    UserError,
)
from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    OpaquePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    UserPromptPart,
)
from syncagent.models import ModelRequestParameters, infer_model, openai_responses
from syncagent.models.openai_responses import OpenAIResponsesModel
from syncagent.models.profiles import ModelProfile
from syncagent.providers.deepseek import DeepSeekProvider
from syncagent.providers.openai import OpenAIProvider
from tests.faultserver import FaultServer
from tests.faultserver.scenarios import in_turn, say, stream

_ASKED: list[ModelMessage] = [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart("Hi")])]
_USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def _answer(*output: Any, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "model": "gpt-5", "status": "completed", "output": list(output), "usage": _USAGE, **more}


def _text(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def _server(*answers: Any) -> FaultServer:
    return FaultServer(in_turn(*(say("200 OK", json.dumps(answer).encode()) for answer in answers)))


def _model(server: FaultServer, name: str = "gpt-5", **more: Any) -> OpenAIResponsesModel:
    return OpenAIResponsesModel(name, provider=OpenAIProvider(server.origin + "/v1", "sk-1"), **more)


# --- one request -----------------------------------------------------------------------------------


def test_request() -> None:
    """A request goes to the base URL with key and body; the response has text, usage and names."""
    with _server(_answer(_text("Hey."), created_at=1_700_000_000)) as server:
        response = _model(server).request(_ASKED, {"max_tokens": 9, "temperature": 0}, ModelRequestParameters())
        (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/responses")
    assert request.headers["authorization"] == "Bearer sk-1"
    # A reasoning model takes no temperature, and its thinking is asked for.
    assert json.loads(request.body) == {
        "model": "gpt-5",
        "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 9,
    }
    assert response.parts == [TextPart("Hey.")]
    assert (response.usage.request_tokens, response.usage.response_tokens) == (3, 2)
    assert (response.model_name, response.provider_name, response.provider_response_id) == ("gpt-5", "openai", "resp_1")
    assert response.timestamp.timestamp() == 1_700_000_000


def test_stream() -> None:
    """A stream gives the same, piece by piece."""
    pieces: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**_text(""), "content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "He"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "y."},
        {"type": "response.completed", "response": _answer(_text("Hey."))},
    ]
    frames = [f"event: {piece['type']}\ndata: {json.dumps(piece)}\n\n".encode() for piece in pieces]
    with FaultServer(stream(frames, 0, "chunked")) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as streamed:
            assert len(list(streamed)) == 2
        assert streamed.get().parts == [TextPart("Hey.")]
        assert streamed.usage().total_tokens == 5
        assert server.bodies[0]["stream"] is True
    with FaultServer(stream(frames[:-1], 0, "chunked")) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as streamed:
            with pytest.raises(IncompleteStreamError) as caught:
                list(streamed)
    assert caught.value.partial is not None and caught.value.partial.parts == [TextPart("Hey.")]


def test_count_tokens() -> None:
    """The provider counts the tokens of a request."""
    with _server({"object": "response.input_tokens", "input_tokens": 51}) as server:
        assert _model(server).count_tokens(_ASKED) == 51
        (request,) = server.requests
    assert request.path == "/v1/responses/input_tokens"
    assert json.loads(request.body).keys() == {"model", "input"}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        ("400 Bad Request", {"error": {"code": "context_length_exceeded", "message": "Oh."}}, ContextTooLongError),
        ("200 OK", {"error": {"code": "server_error", "message": "Oh."}, "status": "failed"}, ModelResponseError),
        ("200 OK", {"object": "Oh."}, ModelResponseError),
    ],
)
def test_errors(status: str, body: Any, error: type[Exception]) -> None:
    """Errors are the right ones, in a body of their own and inside of a 200."""
    with FaultServer(say(status, json.dumps(body).encode())) as server:
        with pytest.raises(error, match=r"Oh\.|output: expected a list, got nothing"):
            _model(server).request(_ASKED, None, ModelRequestParameters())
        assert len(server.requests) == 1


# --- in the background -----------------------------------------------------------------------------


def test_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """A response in the background is asked for until it is there."""
    monkeypatch.setattr(openai_responses, "_FIRST_WAIT", 0.01)
    running = _answer(status="queued", usage=None, id="resp/1")
    with _server(running, {**running, "status": "in_progress"}, _answer(_text("Hey."))) as server:
        settings: Any = {"openai_background": True, "openai_store": True}
        response = _model(server).request(_ASKED, settings, ModelRequestParameters())
        asked = [(request.method, request.path) for request in server.requests]
        key = server.requests[2].headers["authorization"]
    assert asked == [("POST", "/v1/responses"), ("GET", "/v1/responses/resp%2F1"), ("GET", "/v1/responses/resp%2F1")]
    assert key == "Bearer sk-1"
    assert (response.parts, response.finish_reason) == ([TextPart("Hey.")], "stop")
    assert response.usage.total_tokens == 5


def test_background_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """A deadline ends the waiting, and the log says what goes on without us."""
    caplog.set_level(logging.INFO, "syncagent.models")
    with _server(_answer(status="queued")) as server:
        parameters = ModelRequestParameters(deadline=Deadline(0.3))
        with pytest.raises(DeadlineExceeded):
            _model(server).request(_ASKED, None, parameters)
    assert [record.message for record in caplog.records if record.levelno == logging.INFO] == [
        "openai gpt-5 goes on with the response resp_1 in the background; its usage is not counted"
    ]


def test_background_without_an_id() -> None:
    """A response that cannot be asked for is what there is."""
    with _server(_answer(status="queued", id=None)) as server:
        response = _model(server).request(_ASKED, None, ModelRequestParameters())
    assert (response.parts, response.finish_reason) == ([], None)


# --- whole runs ------------------------------------------------------------------------------------


def test_run() -> None:
    """Thinking, a server tool and a custom tool: the second request holds what the first answer was, and the return."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "proof"}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    call = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "shell", "input": "ls"}
    with _server(_answer(search, thought, call), _answer(_text("a.txt"))) as server:
        run: list[str] = []

        def shell(input: str) -> str:
            run.append(input)
            return "a.txt"

        declared: list[dict[str, Any]] = [{"type": "web_search"}, {"type": "custom", "name": "shell"}]
        result = Agent(_model(server), tools=[shell], native_tools=declared).run_sync("What is there?")
        first, second = server.bodies
    assert run == ["ls"]
    assert first["tools"] == declared
    assert second["input"] == [
        {"role": "user", "content": "What is there?"},
        search,
        thought,
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "shell", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "a.txt"},
    ]
    assert result.data == "a.txt"
    kinds = [type(part) for part in result.all_messages()[1].parts]
    assert kinds[:2] == [OpaquePart, ThinkingPart]


def test_refusal() -> None:
    """A refusal ends the run as a content filter would."""
    refused = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    with _server(_answer(refused)) as server, pytest.raises(ContentFilterError):
        Agent(_model(server)).run_sync("Hi")


# --- building --------------------------------------------------------------------------------------


def test_names() -> None:
    """The model is had by its prefix, and where users look for it."""
    model = infer_model("openai-responses:gpt-5")
    assert type(model) is OpenAIResponsesModel
    assert (model.model_name, model.system, model.base_url) == ("gpt-5", "openai", "https://api.openai.com/v1")
    assert syncagent.models.openai.OpenAIResponsesModel is OpenAIResponsesModel
    assert syncagent.models.openai.OpenAIResponsesModelSettings is openai_responses.OpenAIResponsesModelSettings
    with pytest.raises(AttributeError, match="no attribute 'OpenAIModell'"):
        syncagent.models.openai.OpenAIModell  # noqa: B018 - looking is what raises
    with pytest.raises(UserError, match=r"^Unknown model: openai-responses:"):
        infer_model("openai-responses: ")


def test_the_chat_model_alone() -> None:
    """Who imports the chat model does not import this one."""
    code = "import sys, syncagent.models.openai; sys.exit('syncagent.models.openai_responses' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_providers() -> None:
    """Any provider of OpenAI's APIs will do; another one is refused, and so is what is none."""
    model = OpenAIResponsesModel("deepseek-v4-flash", provider="deepseek")
    assert isinstance(model.provider, DeepSeekProvider)
    with pytest.raises(UserError, match=r"^The provider 'anthropic' does not speak OpenAI's Responses API\.$"):
        OpenAIResponsesModel("m", provider="anthropic")
    with pytest.raises(UserError, match=r"^provider is a Provider, or the name of one; got int\.$"):
        OpenAIResponsesModel("m", provider=3)  # type: ignore[arg-type] # that is the mistake


def test_system_prompt_role() -> None:
    """System prompts go out with the role that was asked for; an unknown one is refused."""
    with _server(_answer(_text("Hey."))) as server:
        _model(server, system_prompt_role="developer").request(_ASKED, None, ModelRequestParameters())
        assert server.bodies[0]["input"][0]["role"] == "developer"
    with pytest.raises(UserError, match=r"^system_prompt_role is 'system', 'developer' or 'user'; got 'boss'\.$"):
        OpenAIResponsesModel("m", system_prompt_role="boss")


def test_profiles() -> None:
    """A model that thinks is known by its name, under a longer one too; a profile of the caller's goes first."""
    for provider, name, thinks in (
        ("openai", "gpt-4o", False),
        ("openai", "gpt-5-chat-latest", False),
        ("openai", "codex-mini-latest", True),
        ("openai", "o4-mini", True),
        ("openrouter", "openai/gpt-5.1", True),
        ("openrouter", "openai.gpt-5.1", True),
        ("deepseek", "deepseek-v4-flash", False),
        ("local", "local", False),
    ):
        assert OpenAIResponsesModel(name, provider=provider).profile.encrypted_thinking is thinks
    assert OpenAIResponsesModel("gpt-5", profile=ModelProfile()).profile == ModelProfile()
    with pytest.raises(UserError, match=r"^Unknown quirks: max_token\. Known are "):
        OpenAIResponsesModel("m", profile=ModelProfile(quirks={"max_token": "x"}))
