"""``AnthropicModel`` against a server on loopback: requests, paused turns, counts, errors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Optional

import pytest

from syncagent import Agent
from syncagent.exceptions import (
    ContextTooLongError,
    IncompleteStreamError,
    MissingKeyError,
    ModelAPIError,
    ModelAuthError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelResponseError,
    UserError,
)
from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    UserPromptPart,
)
from syncagent.models import ModelRequestParameters, infer_model, override_allow_model_requests
from syncagent.models.anthropic import AnthropicModel
from syncagent.models.profiles import ModelProfile, infer_profile
from syncagent.models.wrapper import WrapperModel
from syncagent.providers.anthropic import AnthropicProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.transport import RetryPolicy
from syncagent.usage import UsageLimits
from tests.faultserver import FaultServer, Peer, Request, Scenario
from tests.faultserver.scenarios import chunked, in_turn, say

_KEY = "sk-ant-canary-0123456789"
_ASKED: list[ModelMessage] = [ModelRequest([SystemPromptPart("Be brief."), UserPromptPart("Hi")])]
_SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
_FOUND = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
_PARTS = [OpaquePart("anthropic", _SEARCH), OpaquePart("anthropic", _FOUND), TextPart("Found.")]


def _answer(*blocks: Any, reason: str = "end_turn", sent: int = 5, **more: Any) -> bytes:
    body = {
        "id": "msg_1",
        "type": "message",
        "model": "claude-x-20260101",
        "content": list(blocks),
        "stop_reason": reason,
        "usage": {"input_tokens": sent, "output_tokens": 2},
        **more,
    }
    return json.dumps(body).encode()


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _model(server: FaultServer, name: str = "claude-x", **settings: Any) -> AnthropicModel:
    provider = AnthropicProvider(server.origin, _KEY, retry_policy=RetryPolicy(max_retries=0))
    return AnthropicModel(name, provider=provider, settings=settings)  # type: ignore[arg-type] # any of them


def _asked(server: FaultServer, **parameters: Any) -> ModelResponse:
    return _model(server).request(_ASKED, None, ModelRequestParameters(**parameters))


def test_request() -> None:
    """A request goes to the API's path with key and version; the response has text, usage and names."""
    with FaultServer(say("200 OK", _answer(_text("Hey.")))) as server:
        response = _model(server, temperature=0).request(_ASKED, {"anthropic_betas": ["a"]}, ModelRequestParameters())
        (request,) = server.requests
        (body,) = server.bodies
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.headers["x-api-key"] == _KEY
    assert "authorization" not in request.headers
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["anthropic-beta"] == "a"
    assert body == {
        "model": "claude-x",
        "max_tokens": 16384,
        "system": [_text("Be brief.")],
        "messages": [{"role": "user", "content": [_text("Hi")]}],
    }
    assert response.parts == [TextPart("Hey.")]
    assert (response.usage.requests, response.usage.total_tokens) == (0, 7)
    assert (response.model_name, response.provider_name) == ("claude-x-20260101", "anthropic")


def test_names() -> None:
    """The prefix, and a name that begins with ``claude``, make this model; the key is looked up at the request."""
    for name in ("anthropic:claude-sonnet-4-5", "claude-sonnet-4-5"):
        model = infer_model(name)
        assert isinstance(model, AnthropicModel)
        assert (model.model_name, model.system, model.base_url) == (
            "claude-sonnet-4-5",
            "anthropic",
            "https://api.anthropic.com",
        )
        with pytest.raises(MissingKeyError, match=r"^Set the `ANTHROPIC_API_KEY` environment variable"):
            model.check()


def test_address_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another address and the key come from the variables that the API's own package reads."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://proxy.example/anthropic/")
    monkeypatch.setenv("ANTHROPIC_API_KEY", _KEY)
    model = AnthropicModel("claude-x")
    target = model.provider.target("claude-x")
    assert target.auth is not None
    assert target.base_url == "https://proxy.example/anthropic"
    assert target.auth("POST", target.base_url, {}, b"") == {"x-api-key": _KEY}
    assert _KEY not in repr(model)


def test_wrong_providers() -> None:
    """A provider that is unknown, speaks another API, or is none, is refused when the model is built."""
    with pytest.raises(UserError, match=r"^The provider 'openai' does not speak Anthropic's Messages API\.$"):
        AnthropicModel("m", provider=OpenAIProvider())
    with pytest.raises(UserError, match=r"^Unknown provider: 'antropic'"):
        AnthropicModel("m", provider="antropic")
    with pytest.raises(UserError, match=r"^provider is a Provider, or the name of one; got int\.$"):
        AnthropicModel("m", provider=3)  # type: ignore[arg-type] # that is the mistake


def test_unknown_quirk() -> None:
    """A misspelt quirk of a profile is refused."""
    with pytest.raises(UserError, match=r"^Unknown quirks: natve\. Known are forced_tools, "):
        AnthropicModel("m", profile=ModelProfile(quirks={"natve": False}))


@pytest.mark.parametrize(
    ("name", "limit", "native", "sampling", "forced"),
    [
        ("claude-3-haiku-20240307", 4096, False, True, True),
        ("claude-3-opus-latest", 4096, False, True, True),
        ("claude-3-5-sonnet-latest", 8192, False, True, True),
        ("claude-3-7-sonnet-latest", 16384, False, True, True),
        ("claude-4-sonnet-20250514", 16384, False, True, True),
        ("claude-sonnet-4-0", 16384, False, True, True),
        ("claude-opus-4-20250514", 16384, False, True, True),
        ("claude-opus-4-1", 16384, False, True, True),
        ("claude-opus-4-1-20250805", 16384, False, True, True),
        ("claude-sonnet-4-5", 16384, True, True, True),
        ("claude-haiku-4-5-20251001", 16384, True, True, True),
        ("claude-opus-4-6", 16384, True, True, True),
        ("claude-opus-4-8", 16384, True, False, True),
        ("claude-sonnet-5", 16384, True, False, True),
        ("claude-haiku-5-5", 16384, True, False, True),
        ("claude-fable-5", 16384, True, False, True),
        ("claude-fable-5-1", 16384, True, False, False),
        ("claude-opus-5-5", 16384, True, False, False),
        ("claude-of-a-later-day", 16384, True, False, True),
        ("my-model", None, True, True, True),
    ],
)
def test_profiles(name: str, limit: Optional[int], native: bool, sampling: bool, forced: bool) -> None:
    """What a model can do is told by its name; of a name that is not Anthropic's, nothing is assumed."""
    profile = infer_profile("anthropic", name)
    assert profile.settings.get("max_tokens") == limit
    assert profile.quirks.get("native", True) is native
    assert ("temperature" not in profile.quirks.get("unsendable", ())) is sampling
    assert profile.quirks.get("forced_tools", True) is forced
    assert profile.result_mode == (None if forced else "native")


def test_typed_result_without_forced_tools() -> None:
    """A model that cannot be forced to call a result tool gives its typed result by JSON schema."""
    with FaultServer(say("200 OK", _answer(_text('{"response": 3}')))) as server:
        result = Agent(_model(server, "claude-opus-5-5"), result_type=int).run_sync("How many?")
        (body,) = server.bodies
    assert result.data == 3
    assert body["output_config"]["format"]["schema"]["properties"]["response"]["type"] == "integer"
    assert "tools" not in body


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "message", "error_class"),
    [
        ("401 x", "authentication_error", f"invalid x-api-key {_KEY}", ModelAuthError),
        ("400 x", "invalid_request_error", "prompt is too long: 3 tokens > 2 maximum", ContextTooLongError),
        ("400 x", "invalid_request_error", "Your credit balance is too low", ModelQuotaError),
        ("529 x", "overloaded_error", "Overloaded", ModelOverloadedError),
    ],
)
def test_errors(status: str, kind: str, message: str, error_class: type[ModelAPIError]) -> None:
    """An error becomes the typed exception, which holds no key."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    with FaultServer(say(status, body)) as server, pytest.raises(error_class) as raised:
        _asked(server)
    assert _KEY not in str(raised.value)


def test_another_shape() -> None:
    """An answer of another shape is an error that names the field."""
    with FaultServer(say("200 OK", b'{"content": 3}')) as server, pytest.raises(ModelResponseError) as raised:
        _asked(server)
    assert "content: expected a list, got int" in str(raised.value)


# --- paused turns ----------------------------------------------------------------------------------

_PAUSED = _answer(_SEARCH, reason="pause_turn", container={"id": "container_1"})
_DONE = _answer(_FOUND, _text("Found."), sent=9)


def test_paused_turn() -> None:
    """A paused turn's answer is sent back, and what follows is part of it; all its requests are counted."""
    with FaultServer(in_turn(say("200 OK", _PAUSED), say("200 OK", _DONE))) as server:
        response = _asked(server, idempotency_key="k")
        first, second = server.bodies
        keys = [request.headers["idempotency-key"] for request in server.requests]
    assert second["messages"] == [*first["messages"], {"role": "assistant", "content": [_SEARCH]}]
    assert second["container"] == "container_1"
    assert response.parts == _PARTS
    assert response.finish_reason == "stop"
    assert response.provider_details == {"finish_reason": "end_turn", "container": {"id": "container_1"}}
    usage = response.usage
    assert (usage.requests, usage.request_tokens, usage.response_tokens, usage.total_tokens) == (1, 14, 4, 18)
    assert keys == ["k", "k-1"]


def test_keys_of_their_own() -> None:
    """Without a key of the run's, each request gets one of its own."""
    with FaultServer(in_turn(say("200 OK", _PAUSED), say("200 OK", _DONE))) as server:
        _asked(server)
        assert len({request.headers["idempotency-key"] for request in server.requests}) == 2


def test_paused_turn_of_a_run() -> None:
    """A run sees one answer, and counts both requests."""
    with FaultServer(in_turn(say("200 OK", _PAUSED), say("200 OK", _DONE))) as server:
        result = Agent(_model(server)).run_sync("Search.", usage_limits=UsageLimits(request_limit=2))
    assert result.data == "Found."
    assert result.usage().requests == 2
    assert len(result.all_messages()) == 2


def test_a_call_of_ours_goes_first() -> None:
    """A paused answer that calls a tool of ours is the run's to answer."""
    call = {"type": "tool_use", "id": "1", "name": "weather", "input": {}}
    with FaultServer(say("200 OK", _answer(_SEARCH, call, reason="pause_turn"))) as server:
        response = _asked(server)
        assert len(server.requests) == 1
    assert isinstance(response.parts[-1], ToolCallPart)


def test_always_paused() -> None:
    """A turn is continued ten times; then it counts as cut off."""
    with FaultServer(say("200 OK", _PAUSED)) as server:
        response = _asked(server)
        assert len(server.requests) == 11
    assert len(response.parts) == 11
    assert (response.finish_reason, response.usage.requests) == ("length", 10)
    assert (response.provider_details or {})["finish_reason"] == "pause_turn"


def test_paused_as_often_as_may_be() -> None:
    """A turn that ends after its tenth pause is whole."""
    with FaultServer(in_turn(*[say("200 OK", _PAUSED)] * 10, say("200 OK", _DONE))) as server:
        response = _asked(server)
    assert (response.finish_reason, response.usage.requests) == ("stop", 10)
    with FaultServer(_streams(*[_STREAMS[0]] * 10, _STREAMS[1])) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as stream:
            assert list(stream)
    assert (stream.get().finish_reason, stream.usage().requests) == ("stop", 10)


def test_error_after_a_pause() -> None:
    """An error in a continuation has what was said before."""
    with FaultServer(in_turn(say("200 OK", _PAUSED), say("529 x"))) as server:
        with pytest.raises(ModelOverloadedError) as raised:
            _asked(server)
    assert raised.value.partial is not None
    assert raised.value.partial.parts == _PARTS[:1]


# --- paused turns, streamed ------------------------------------------------------------------------


def _event(**event: Any) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _stream(*blocks: Any, reason: Optional[str] = "end_turn", sent: int = 5) -> list[bytes]:
    """The events of an answer; without a reason it is cut off."""
    usage = {"input_tokens": sent, "output_tokens": 1}
    pieces = [_event(type="message_start", message={"id": "msg_1", "usage": usage})]
    for index, block in enumerate(blocks):
        text = block.get("text", "")
        start = {**block, "text": ""} if text else block
        deltas = [{"type": "text_delta", "text": text[:3]}, {"type": "text_delta", "text": text[3:]}] if text else []
        pieces += [
            _event(type="content_block_start", index=index, content_block=start),
            *[_event(type="content_block_delta", index=index, delta=delta) for delta in deltas],
            _event(type="content_block_stop", index=index),
        ]
    if reason is not None:
        delta = {"stop_reason": reason}
        pieces += [_event(type="message_delta", delta=delta, usage={"output_tokens": 2}), _event(type="message_stop")]
    return pieces


def _streams(*answers: list[bytes]) -> Scenario:
    return in_turn(*[chunked(*answer) for answer in answers])


_STREAMS = (_stream(_SEARCH, reason="pause_turn"), _stream(_FOUND, _text("Found."), sent=9))


def test_streamed() -> None:
    """A paused turn is continued in the same stream: parts go on counting, usage and requests add up."""
    with FaultServer(_streams(*_STREAMS)) as server:
        usages: list[Any] = []
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as stream:
            stream.on_usage = usages.append
            indices = [event.index for event in stream]
        response = stream.get()
        assert [body["stream"] for body in server.bodies] == [True, True]
        assert server.bodies[1]["messages"][-1] == {"role": "assistant", "content": [_SEARCH]}
    assert indices == [0, 1, 2, 2]
    assert response.parts == _PARTS
    assert (response.finish_reason, response.provider_details) == ("stop", {"finish_reason": "end_turn"})
    assert (response.usage.requests, response.usage.request_tokens, response.usage.response_tokens) == (1, 14, 4)
    assert [usage.total_tokens for usage in usages] == [6, 7, 17, 18]
    assert stream.info.complete


def test_streamed_run() -> None:
    """A streamed run shows the continuation's text as it comes."""
    with FaultServer(_streams(*_STREAMS)) as server:
        with Agent(_model(server)).run_stream("Search.") as result:
            assert "".join(result.stream_text(delta=True, debounce_by=None)) == "Found."
        assert result.usage().requests == 2


def test_streamed_and_always_paused() -> None:
    """A stream is continued ten times; then it counts as cut off."""
    with FaultServer(_streams(_STREAMS[0])) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as stream:
            assert len(list(stream)) == 11
        assert len(server.requests) == 11
    assert stream.get().finish_reason == "length"


def test_streamed_error_after_a_pause() -> None:
    """An error in the continuation of a stream has all that was said."""
    with FaultServer(in_turn(chunked(*_STREAMS[0]), say("529 x"))) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as stream:
            with pytest.raises(ModelOverloadedError) as raised:
                list(stream)
    assert raised.value.partial is not None
    assert raised.value.partial.parts == _PARTS[:1]


def test_streamed_and_cut_after_a_pause() -> None:
    """A continuation without its end mark is an incomplete stream, unless such answers are accepted."""
    cut = _stream(_FOUND, reason=None)
    with FaultServer(_streams(_STREAMS[0], cut)) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as stream:
            with pytest.raises(IncompleteStreamError) as raised:
                list(stream)
    assert raised.value.partial is not None
    assert raised.value.partial.parts == _PARTS[:2]
    with FaultServer(_streams(_STREAMS[0], cut)) as server:
        parameters = ModelRequestParameters(on_incomplete="accept")
        with _model(server).request_stream(_ASKED, None, parameters) as stream:
            assert len(list(stream)) == 2
        assert len(server.requests) == 2
    assert (stream.get().provider_details or {})["incomplete"] is True


def test_leaving_early_closes_the_continuation() -> None:
    """Who leaves in a continuation closes its connection at once."""
    left: list[bool] = []

    def endless(peer: Peer, request: Request) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        peer.send(b"".join(_STREAMS[1][:-2]))
        left.append(peer.sock.recv(1) == b"")
        peer.close()

    with FaultServer(in_turn(chunked(*_STREAMS[0]), endless)) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as stream:
            for event in stream:
                if event.index == 2:
                    break
        end = time.monotonic() + 10
        while not left and time.monotonic() < end:
            time.sleep(0.01)
    assert left == [True]


def test_waiting_in_a_paused_turn() -> None:
    """Who waits a while for the next event is let go when a continuation begins, and then served as it comes."""
    with FaultServer(_streams(*_STREAMS)) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as stream:
            first = stream.gather(time.monotonic() + 30)
            second: list[Any] = []
            while more := stream.gather(time.monotonic() + 30):
                second += more
            assert stream.wait(30)
    assert [event.index for event in first] == [0]
    assert [event.index for event in second] == [1, 2, 2]


# --- counting --------------------------------------------------------------------------------------


def test_count_tokens() -> None:
    """Tokens are counted at an address of their own, through wrappers, too."""
    with FaultServer(say("200 OK", b'{"input_tokens": 641}')) as server:
        model = _model(server)
        assert model.count_tokens(_ASKED) == WrapperModel(model).count_tokens(_ASKED) == 641
        request = server.requests[0]
        (body, _) = server.bodies
    assert (request.path, request.headers["x-api-key"]) == ("/v1/messages/count_tokens", _KEY)
    assert sorted(body) == ["messages", "model", "system"]


def test_count_of_another_shape() -> None:
    """A count that cannot be read is an error; a wire's slip keeps its cause."""
    with FaultServer(say("200 OK", b"{}")) as server, pytest.raises(ModelResponseError, match="input_tokens: expected"):
        _model(server).count_tokens(_ASKED)


def test_count_is_a_request() -> None:
    """Where requests are not allowed, nothing is counted."""
    with override_allow_model_requests(False), pytest.raises(RuntimeError, match="not allowed"):
        AnthropicModel("claude-x").count_tokens(_ASKED)


# --- a conversation --------------------------------------------------------------------------------


def _turns() -> Iterator[bytes]:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "proof"}
    yield _answer(thinking, {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}, reason="tool_use")
    yield _answer(_text("It is noon."))


def test_tools_and_thinking() -> None:
    """A run sends the thinking back with the call, the tool's result after it."""
    with FaultServer(in_turn(*[say("200 OK", answer) for answer in _turns()])) as server:
        agent = Agent(_model(server))

        @agent.tool_plain
        def now() -> str:
            """Tell the time."""
            return "12:00"

        result = agent.run_sync("What time is it?")
        body = server.bodies[1]
    assert result.data == "It is noon."
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "proof"},
                {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12:00"}]},
    ]
    assert ThinkingPart("hm", None, "proof", "anthropic") in result.all_messages()[1].parts
