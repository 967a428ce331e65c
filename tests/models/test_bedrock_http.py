"""Bedrock over real sockets: whole runs, streams, counts, signatures and errors."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from syncagent import Agent
from syncagent.exceptions import (
    ContextTooLongError,
    IncompleteStreamError,
    ModelAuthError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelResponseError,
)
from syncagent.messages import (
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    UserPromptPart,
)
from syncagent.models import ModelRequestParameters
from syncagent.models.bedrock import BedrockConverseModel
from syncagent.providers._sigv4 import Credentials, sign
from syncagent.providers.bedrock import BedrockProvider
from syncagent.transport import RetryPolicy
from syncagent.transport.download import DownloadRules
from tests.faultserver import FaultServer, Peer, Request, Scenario
from tests.faultserver.scenarios import in_turn, say
from tests.wires.eventstream import event, message

_SECRET = "secret-canary-0123456789abcdef"
_TOKEN = "token-canary-0123456789abcdef"
_NAME = "us.anthropic.claude-sonnet-4-20250514-v1:0"
_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_NEVER = RetryPolicy(max_retries=0)
_USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}


def _model(server: FaultServer, name: str = _NAME, policy: RetryPolicy = _NEVER) -> BedrockConverseModel:
    provider = BedrockProvider(
        server.origin,
        region_name="eu-west-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key=_SECRET,
        aws_session_token=_TOKEN,
        retry_policy=policy,
    )
    return BedrockConverseModel(name, provider=provider)


def _answer(*blocks: Any, said: str = "end_turn") -> Scenario:
    body = {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": said, "usage": _USAGE}
    return say("200 OK", json.dumps(body).encode())


def _events(*pieces: bytes) -> Scenario:
    def scenario(peer: Peer, request: Request) -> None:
        peer.answer(b"".join(pieces), "200 OK", "Content-Type: application/vnd.amazon.eventstream")

    return scenario


_CALL = {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Rome"}}}
_STREAMED_CALL = [
    event("messageStart", {"role": "assistant"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "sig"}}}),
    event("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "c1", "name": "weather"}}}),
    event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"city":"Rome"}'}}}),
    event("messageStop", {"stopReason": "tool_use"}),
    event("metadata", {"usage": _USAGE}),
]
_STREAMED_TEXT = [
    event("messageStart", {"role": "assistant"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Sun"}}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "ny."}}),
    event("messageStop", {"stopReason": "end_turn"}),
    event("metadata", {"usage": _USAGE}),
]


def _agent(server: FaultServer) -> Agent[None, str]:
    agent: Agent[None, str] = Agent(_model(server), system_prompt="Be brief.")

    @agent.tool_plain
    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sunny in {city}"

    return agent


def test_run() -> None:
    """A run calls a tool, sends its result and ends with text; the id is one segment of the path."""
    with FaultServer(in_turn(_answer(_CALL, said="tool_use"), _answer({"text": "Sunny."}))) as server:
        result = _agent(server).run_sync("Weather in Rome?")
        first, second = server.requests
    assert result.data == "Sunny."
    assert (result.usage().request_tokens, result.usage().response_tokens) == (6, 4)
    assert first.path == "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse"
    assert json.loads(first.body)["system"] == [{"text": "Be brief."}]
    turns = json.loads(second.body)["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == [_CALL]
    assert turns[2]["content"] == [{"toolResult": {"toolUseId": "c1", "content": [{"text": "sunny in Rome"}]}}]
    response = result.all_messages()[-1]
    assert isinstance(response, ModelResponse)
    assert (response.model_name, response.provider_name) == (_NAME, "bedrock")


def test_signature() -> None:
    """What arrives is signed as it arrives: the path, the host, the type and the body."""
    with FaultServer(_answer({"text": "a"})) as server:
        _model(server).request(_ASKED, {"extra_headers": {"X-Own": "1"}}, ModelRequestParameters())
        (request,) = server.requests
    headers = request.headers
    signed = sign(
        request.method,
        server.origin + request.path,
        {"Host": headers["host"], "Content-Type": headers["content-type"]},
        request.body,
        credentials=Credentials("AKIDEXAMPLE", _SECRET, _TOKEN),
        region="eu-west-1",
        service="bedrock",
        timestamp=headers["x-amz-date"],
    )
    assert headers["authorization"] == signed["Authorization"]
    assert headers["x-amz-security-token"] == _TOKEN
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in headers["authorization"]


def test_streamed_run() -> None:
    """A streamed run does the same; what was thought goes back with its signature."""
    with FaultServer(in_turn(_events(*_STREAMED_CALL), _events(*_STREAMED_TEXT))) as server:
        with _agent(server).run_stream("Weather in Rome?") as result:
            assert result.get_data() == "Sunny."
        first, second = server.requests
    assert first.path.endswith("/converse-stream")
    assert result.usage().total_tokens == 10
    assert json.loads(second.body)["messages"][1]["content"][0] == {
        "reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}
    }
    answered = result.all_messages()[1]
    assert isinstance(answered, ModelResponse)
    assert answered.parts[0] == ThinkingPart("hm", None, "sig", "bedrock")


def _streamed(server: FaultServer) -> ModelResponse:
    with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as response:
        for _ in response:
            pass
        return response.get()


def test_cut_stream() -> None:
    """A stream without its end mark is incomplete, with what came; a usage that does not come is no such thing."""
    with FaultServer(_events(*_STREAMED_TEXT[:3])) as server:
        with pytest.raises(IncompleteStreamError) as raised:
            _streamed(server)
    assert raised.value.partial is not None
    assert raised.value.partial.parts == [TextPart("Sunny.")]
    with FaultServer(_events(*_STREAMED_TEXT[:4])) as server:
        assert _streamed(server).parts == [TextPart("Sunny.")]


def test_exception_in_a_stream() -> None:
    """An exception of the service's ends the stream in its words, with what came; a broken checksum as well."""
    exception = message({":message-type": "exception", ":exception-type": "throttlingException"}, {"message": "Slow."})
    with FaultServer(_events(*_STREAMED_TEXT[:2], exception)) as server:
        with pytest.raises(ModelResponseError, match=r"sent an error: Slow\. \(throttlingException\)") as raised:
            _streamed(server)
    assert raised.value.partial is not None
    assert raised.value.partial.parts == [TextPart("Sun")]
    with FaultServer(_events(*_STREAMED_TEXT[:2], _STREAMED_TEXT[2][:-1] + b"\0")) as server:
        with pytest.raises(ModelResponseError, match="the checksum of a message is wrong") as raised:
            _streamed(server)
    assert raised.value.partial is not None
    assert raised.value.partial.parts == [TextPart("Sun")]


def test_connection_is_kept() -> None:
    """A stream that was read to its usage leaves its connection for the next request."""
    with FaultServer(in_turn(_events(*_STREAMED_TEXT), _events(*_STREAMED_TEXT))) as server:
        model = _model(server)
        for _ in range(2):
            with model.request_stream(_ASKED, None, ModelRequestParameters()) as response:
                assert [event for event in response]
        assert server.connections == 1


def test_addresses() -> None:
    """An address of HTTP is fetched and its bytes are sent; one in S3 is sent as it is."""
    prompt = UserPromptPart(["look", ImageUrl("s3://bucket/a.png")])
    with (
        FaultServer(say("200 OK", b"png", "Content-Type: image/png")) as files,
        FaultServer(_answer({"text": "a"})) as server,
    ):
        model = _model(server)
        model.downloads = DownloadRules(allow=("127.0.0.1",))
        content = [*prompt.content, ImageUrl(files.origin + "/b.png")]
        model.request([ModelRequest([UserPromptPart(content)])], None, ModelRequestParameters())
        (request,) = server.requests
    assert json.loads(request.body)["messages"][0]["content"] == [
        {"text": "look"},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.png"}}}},
        {"image": {"format": "png", "source": {"bytes": "cG5n"}}},
    ]


def test_count() -> None:
    """The provider counts the tokens of a request, for the model without its regions."""
    with FaultServer(say("200 OK", b'{"inputTokens": 23}')) as server:
        assert _model(server).count_tokens(_ASKED) == 23
        (request,) = server.requests
    assert request.path == "/model/anthropic.claude-sonnet-4-20250514-v1%3A0/count-tokens"


@pytest.mark.parametrize(
    ("status", "named", "message", "error_class"),
    [
        ("403 Forbidden", "AccessDeniedException:http://internal.amazon.com/coral/", "No access.", ModelAuthError),
        ("400 Bad Request", "UnrecognizedClientException", "The security token is invalid.", ModelAuthError),
        ("404 Not Found", "ResourceNotFoundException", "No such model.", ModelNotFoundError),
        ("400 Bad Request", "ValidationException", "The provided model identifier is invalid.", ModelNotFoundError),
        ("400 Bad Request", "ValidationException", "Input is too long for requested model.", ContextTooLongError),
        ("400 Bad Request", "ServiceQuotaExceededException", "Over.", ModelQuotaError),
        ("429 Too Many Requests", "ThrottlingException", "Too many requests.", ModelRateLimitError),
        ("429 Too Many Requests", "ModelNotReadyException", "Wait.", ModelOverloadedError),
        ("503 Service Unavailable", "ServiceUnavailableException", "Later.", ModelOverloadedError),
        ("424 Failed Dependency", "ModelErrorException", "Odd.", ModelHTTPError),
    ],
)
def test_errors(status: str, named: str, message: str, error_class: type[ModelHTTPError]) -> None:
    """An error is the one that the header names, or that its words and status tell; the request's id is kept."""
    scenario = say(
        status, json.dumps({"message": message}).encode(), f"x-amzn-ErrorType: {named}", "x-amzn-requestid: r1"
    )
    with FaultServer(scenario) as server:
        with pytest.raises(error_class) as raised:
            _model(server).request(_ASKED, None, ModelRequestParameters())
    assert type(raised.value) is error_class
    assert raised.value.request_id == "r1"
    assert raised.value.body == {"message": message, "__type": named}


def test_no_secret_in_errors() -> None:
    """What a server repeats of the log-in is not in the error."""
    with FaultServer(
        lambda peer, request: peer.answer(json.dumps(request.headers).encode(), "403 Forbidden")
    ) as server:
        with pytest.raises(ModelAuthError) as raised:
            _model(server).request(_ASKED, None, ModelRequestParameters())
    assert "x-amz-security-token" in str(raised.value.body)
    assert _TOKEN not in str(raised.value.body) + str(raised.value)


def test_every_try_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second try is signed at its own time."""
    stamps = iter(["20260101T000000Z", "20260101T000009Z"])
    monkeypatch.setattr(time, "strftime", lambda *args: next(stamps))
    policy = RetryPolicy(max_retries=1)
    with FaultServer(
        in_turn(say("503 Service Unavailable", b"{}", "Retry-After: 0"), _answer({"text": "a"}))
    ) as server:
        _model(server, policy=policy).request(_ASKED, None, ModelRequestParameters())
        first, second = server.requests
    assert [first.headers["x-amz-date"], second.headers["x-amz-date"]] == ["20260101T000000Z", "20260101T000009Z"]
    assert first.headers["authorization"] != second.headers["authorization"]
