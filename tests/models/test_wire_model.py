"""``WireModel``: what happens between a wire, a provider and the transport, over real sockets."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any, Optional

import pytest

from syncagent.deadline import Deadline
from syncagent.exceptions import (
    ContextTooLongError,
    DeadlineExceeded,
    IncompleteStreamError,
    MissingKeyError,
    ModelAPIError,
    ModelAuthError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaError,
    ModelResponseError,
    UserError,
)
from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartStartEvent,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from syncagent.models import ModelRequestParameters, override_allow_model_requests
from syncagent.models.chat import ChatWire
from syncagent.models.openai import OpenAIModel
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ModelCall, WireRequest
from syncagent.models.wire_model import WireModel
from syncagent.providers.openai import OpenAIProvider
from syncagent.transport import RetryPolicy
from tests.faultserver import FaultServer, Peer, Request, Scenario
from tests.faultserver.scenarios import chunked, in_turn, say

_KEY = "sk-canary-0123456789abcdef"
_ASKED: list[ModelMessage] = [ModelRequest([UserPromptPart("Hi")])]
_NEVER = RetryPolicy(max_retries=0)


def _answer(**message: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"content": "Hey.", **message}, "finish_reason": "stop"}]}).encode()


def _event(delta: Any = None, **choice: Any) -> bytes:
    return b"data: " + json.dumps({"id": "r", "choices": [{"delta": delta or {}, **choice}]}).encode() + b"\n\n"


_HEY = [_event({"content": "He"}), _event({"content": "y."}), _event(finish_reason="stop")]
_DONE = b"data: [DONE]\n\n"


def _model(server: FaultServer, **kwargs: Any) -> OpenAIModel:
    return OpenAIModel("gpt-4o", provider=OpenAIProvider(server.origin + "/v1", _KEY, retry_policy=_NEVER), **kwargs)


def _ask(server: FaultServer, settings: Optional[dict[str, Any]] = None, **parameters: Any) -> ModelResponse:
    return _model(server).request(_ASKED, settings, ModelRequestParameters(**parameters))  # type: ignore[arg-type] # a plain dict


def _stream(server: FaultServer, settings: Optional[dict[str, Any]] = None, **parameters: Any) -> ModelResponse:
    with _model(server).request_stream(_ASKED, settings, ModelRequestParameters(**parameters)) as response:  # type: ignore[arg-type] # a plain dict
        for _ in response:
            pass
        return response.get()


_both = pytest.mark.parametrize("ask", [_ask, _stream], ids=["whole", "streamed"])


# --- what goes out ---------------------------------------------------------------------------------


@_both
def test_requests_can_be_forbidden(ask: Callable[..., Any]) -> None:
    """Where requests are not allowed, none is sent."""
    with FaultServer(say("200 OK", _answer())) as server, override_allow_model_requests(False):
        with pytest.raises(RuntimeError, match=r"^Model requests are not allowed, since ALLOW_MODEL"):
            ask(server)
        assert server.requests == []


@_both
def test_headers(ask: Callable[..., Any]) -> None:
    """Extra headers are sent, and an idempotency key; the key is in no header but its own."""
    with FaultServer(say("200 OK", _answer())) as server:
        ask(server, {"extra_headers": {"X-Team": "a"}}, idempotency_key="once")
        (request,) = server.requests
    assert (request.headers["x-team"], request.headers["idempotency-key"]) == ("a", "once")
    assert [name for name, value in request.headers.items() if _KEY in value] == ["authorization"]


def test_settings_of_profile_model_and_call() -> None:
    """The call's settings beat the model's, the model's those of the profile."""
    profile = ModelProfile(settings={"max_tokens": 1, "seed": 1, "top_p": 0.1})
    with FaultServer(say("200 OK", _answer())) as server:
        model = _model(server, profile=profile, settings={"seed": 2, "top_p": 0.2})
        model.request(_ASKED, {"top_p": 0.3}, ModelRequestParameters())
        model.request(_ASKED, None, ModelRequestParameters())
        first, second = server.bodies
    assert (first["max_tokens"], first["seed"], first["top_p"]) == (1, 2, 0.3)
    assert second["top_p"] == 0.2


def test_timeout() -> None:
    """The setting ends a wait for an answer."""
    with FaultServer(lambda peer, request: peer.hang()) as server:
        with pytest.raises(ModelAPIError, match="took too long"):
            _ask(server, {"timeout": 0.2})


def test_deadline() -> None:
    """The run's deadline ends a request."""
    with FaultServer(lambda peer, request: peer.hang()) as server:
        with pytest.raises(DeadlineExceeded):
            _ask(server, deadline=Deadline(0.3))


_BUSY = say("503 Service Unavailable")


class TestRetries:
    """Requests that are sent again, without the waits between them."""

    @pytest.fixture(autouse=True)
    def no_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Deadline, "sleep", lambda self, seconds: self.check())

    @_both
    @pytest.mark.parametrize("where", ["settings", "parameters"])
    def test_retry_policy(self, ask: Callable[..., Any], where: str) -> None:
        """A policy beats the provider's; the number of tries is told where it was more than one."""
        answers = [_BUSY, _BUSY, say("200 OK", _answer())]
        policy = {"retry_policy": RetryPolicy(max_retries=2)}
        with FaultServer(in_turn(*answers)) as server:
            response = ask(server, policy) if where == "settings" else ask(server, None, **policy)
            assert len(server.requests) == 3
        assert response.provider_details == {"finish_reason": "stop", "attempts": 3}

    def test_no_retry(self) -> None:
        """One try leaves no trace in the details."""
        with FaultServer(say("200 OK", _answer())) as server:
            assert _ask(server).provider_details == {"finish_reason": "stop"}

    def test_rotating_key(self) -> None:
        """A key function is asked at every try."""
        keys = iter(["first", "second"])
        with FaultServer(in_turn(_BUSY, say("200 OK", _answer()))) as server:
            provider = OpenAIProvider(server.origin, lambda: next(keys))
            OpenAIModel("m", provider=provider).request(_ASKED, None, ModelRequestParameters())
            sent = [request.headers["authorization"] for request in server.requests]
        assert sent == ["Bearer first", "Bearer second"]


# --- what comes back -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "cls"),
    [
        ("401 Unauthorized", {"code": "invalid_api_key", "message": f"Wrong key {_KEY}"}, ModelAuthError),
        ("400 Bad Request", {"code": "context_length_exceeded"}, ContextTooLongError),
        ("429 Too Many Requests", {"code": "insufficient_quota"}, ModelQuotaError),
        ("418 Teapot", {"message": "m"}, ModelHTTPError),
    ],
)
@_both
def test_error_statuses(ask: Callable[..., Any], status: str, error: dict[str, str], cls: type[ModelHTTPError]) -> None:
    """The wire says what an error body means; the error names the model and shows no key."""
    with FaultServer(say(status, json.dumps({"error": error}).encode())) as server:
        with pytest.raises(cls) as raised:
            ask(server)
    assert raised.value.model_name == "gpt-4o"
    assert _KEY not in str(raised.value) + repr(raised.value.body)


@_both
def test_error_in_a_200(ask: Callable[..., Any]) -> None:
    """An error object in a 200 is a ModelResponseError with its words, without a key that the server repeats."""
    body = json.dumps({"error": {"message": f"Overloaded for {_KEY}", "code": 529}}).encode()
    with FaultServer(say("200 OK", body, "x-request-id: req-1")) as server:
        with pytest.raises(ModelResponseError) as raised:
            ask(server)
    error = raised.value
    assert str(error) == (
        "The answer of openai gpt-4o cannot be used: the provider sent an error: Overloaded for *** (529)"
    )
    assert (error.request_id, error.attempts, error.retryable) == ("req-1", 1, False)
    assert error.__cause__ is None and error.__suppress_context__
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@_both
@pytest.mark.parametrize(
    "body", [b'{"choices": null}', b"[]", b'{"choices": [{"message": {"content": 3}}]}', b"{", b"", b"[" * 100_000]
)
def test_unreadable(ask: Callable[..., Any], body: bytes) -> None:
    """A body of another shape, or none, is a ModelResponseError."""
    with FaultServer(say("200 OK", body)) as server:
        with pytest.raises(ModelResponseError):
            ask(server)


@_both
def test_html(ask: Callable[..., Any]) -> None:
    """A web page is a ModelResponseError that says so."""
    with FaultServer(say("200 OK", b"<html>", "Content-Type: text/html; charset=utf-8")) as server:
        with pytest.raises(ModelResponseError, match="content type text/html"):
            ask(server)


class _Slip(ChatWire):
    """A wire with a mistake of its own."""

    def decode(self, body: Any) -> ModelResponse:
        return body["nothing"]  # type: ignore[no-any-return] # that is the mistake


def test_a_wires_slip() -> None:
    """A wire that stumbles over an answer gives a ModelResponseError as well, which keeps the cause."""
    with FaultServer(say("200 OK", _answer())) as server:
        model = WireModel("m", _Slip(), OpenAIProvider(server.origin))
        with pytest.raises(ModelResponseError, match=r"cannot be used: KeyError while reading it: 'nothing'") as raised:
            model.request(_ASKED, None, ModelRequestParameters())
    assert isinstance(raised.value.__cause__, KeyError)


class _Query(ChatWire):
    """A wire that asks for a query and a header of its own."""

    def encode(self, call: ModelCall) -> WireRequest:
        return WireRequest("/x", b"{}", "PUT", {"a": "b c"}, {"X-Api": "1"})


def test_query_and_headers_of_a_wire() -> None:
    """Method, path, query and headers are the wire's."""
    with FaultServer(say("200 OK", _answer())) as server:
        model = WireModel("m", _Query(), OpenAIProvider(server.origin))
        response = model.request(_ASKED, None, ModelRequestParameters())
        (request,) = server.requests
    assert (request.method, request.path, request.headers["x-api"]) == ("PUT", "/x?a=b+c", "1")
    assert (response.model_name, response.provider_name) == ("m", "openai")


# --- streams ---------------------------------------------------------------------------------------


def test_stream() -> None:
    """A stream is handed on in events; the response is the same as one that comes whole, and names its provider."""
    with FaultServer(chunked(*_HEY, _DONE)) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as stream:
            events = list(stream)
            response = stream.get()
    assert events[0] == PartStartEvent(0, TextPart("He"))
    assert response.parts == [TextPart("Hey.")]
    assert (response.provider_name, response.model_name, response.finish_reason) == ("openai", "gpt-4o", "stop")


def test_connection_is_used_again() -> None:
    """After the end mark the connection goes back to its pool."""
    with FaultServer(chunked(*_HEY, _DONE)) as server:
        model = _model(server)
        for _ in range(3):
            with model.request_stream(_ASKED, None, ModelRequestParameters()) as stream:
                list(stream)
        assert server.connections == 1


def test_leaving_early() -> None:
    """Leaving the block closes the socket at once, while the server still has much to say."""
    left: list[float] = []

    def talk(peer: Peer, request: Request) -> None:
        chunked(*_HEY[:1], end=b"")(peer, request)
        assert peer.sock.recv(1) == b""
        left.append(time.monotonic())

    with FaultServer(talk) as server:
        with _model(server).request_stream(_ASKED, None, ModelRequestParameters()) as stream:
            assert next(iter(stream)) == PartStartEvent(0, TextPart("He"))
        before = time.monotonic()
        end = before + 5
        while not left and time.monotonic() < end:
            time.sleep(0.01)
    assert left and left[0] - before < 0.5
    assert stream.get().parts == [TextPart("He")]


def test_incomplete() -> None:
    """A stream without an end mark is an IncompleteStreamError with what came and what it cost."""
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 3}}\n\n'
    with FaultServer(chunked(*_HEY[:2], usage, lines="x-request-id: req-1\r\n")) as server:
        with pytest.raises(IncompleteStreamError, match=r"on_incomplete='accept'") as raised:
            _stream(server)
    error = raised.value
    assert error.partial is not None
    assert error.partial.parts == [TextPart("Hey.")]
    assert error.partial.usage.request_tokens == 3
    assert error.partial.provider_details == {"incomplete": True}
    assert (error.request_id, error.retryable) == ("req-1", True)
    assert pickle.loads(pickle.dumps(error)).partial == error.partial


@pytest.mark.parametrize("where", ["settings", "parameters"])
def test_incomplete_accepted(where: str) -> None:
    """Whoever accepts a cut stream gets it, marked as incomplete and without a finish reason."""
    accept = {"on_incomplete": "accept"}
    with FaultServer(chunked(*_HEY[:2])) as server:
        response = _stream(server, accept) if where == "settings" else _stream(server, None, **accept)
    assert response.parts == [TextPart("Hey.")]
    assert (response.finish_reason, response.provider_details) == (None, {"incomplete": True})


def test_complete_in_spite_of_accept() -> None:
    """A whole stream is not marked."""
    with FaultServer(chunked(*_HEY, _DONE)) as server:
        assert _stream(server, {"on_incomplete": "accept"}).provider_details == {"finish_reason": "stop"}


_CUT: list[Scenario] = [chunked(*_HEY[:2], end=b"", then="close"), chunked(*_HEY[:2], end=b"5\r\nda", then="reset")]


@pytest.mark.parametrize("scenario", _CUT, ids=["fin", "reset"])
def test_broken_connection(scenario: Scenario) -> None:
    """A connection that breaks in the middle is a typed error with what came; who accepts a cut stream gets it."""
    with FaultServer(scenario) as server:
        with pytest.raises(ModelConnectionError) as raised:
            _stream(server)
        assert raised.value.partial is not None
        assert raised.value.partial.parts == [TextPart("Hey.")]
        assert _stream(server, {"on_incomplete": "accept"}).provider_details == {"incomplete": True}


@pytest.mark.parametrize("last", [[], [_DONE]], ids=["finish reason", "end mark"])
def test_broken_after_the_end(last: list[bytes]) -> None:
    """What breaks after the finish reason or the end mark takes nothing away from a whole answer."""
    with FaultServer(chunked(*_HEY, *last, end=b"", then="reset")) as server:
        response = _stream(server)
    assert (response.parts, response.finish_reason) == ([TextPart("Hey.")], "stop")


def test_silence_after_the_end() -> None:
    """A server that says no more after the end mark, and does not end, holds nobody up."""
    with FaultServer(chunked(*_HEY, _DONE, end=b"", then="hang")) as server:
        before = time.monotonic()
        assert _stream(server).parts == [TextPart("Hey.")]
        assert time.monotonic() - before < 5


def test_error_in_a_stream() -> None:
    """An error object in a stream is a ModelResponseError with its words and what came."""
    wrong = b'data: {"error": {"message": "Overloaded"}}\n\n'
    with FaultServer(chunked(_HEY[0], wrong)) as server:
        with pytest.raises(ModelResponseError, match="the provider sent an error: Overloaded") as raised:
            _stream(server, {"on_incomplete": "accept"})
    assert raised.value.partial is not None
    assert raised.value.partial.parts == [TextPart("He")]


def test_broken_line_in_a_stream() -> None:
    """A line that is not JSON is an error, never skipped."""
    with FaultServer(chunked(_HEY[0], b"data: {broken\n\n", *_HEY[1:], _DONE)) as server:
        with pytest.raises(ModelResponseError, match="an event of the stream is not JSON"):
            _stream(server)


def test_endless_line() -> None:
    """A line of more than 1 MiB is an error with what came."""
    with FaultServer(chunked(_HEY[0], b"data: " + b"x" * 1_100_000)) as server:
        with pytest.raises(ModelResponseError, match="larger than 1048576 bytes") as raised:
            _stream(server)
    assert raised.value.partial is not None


def test_answer_in_one_piece() -> None:
    """A JSON answer to a stream request is read as one response."""
    call = {"id": "1", "function": {"name": "a", "arguments": "{}"}}
    body = json.loads(_answer(tool_calls=[call]))
    body.update(id="r1", model="m1", usage={"prompt_tokens": 3})
    kind = "Content-Type: application/json; charset=utf-8"
    with FaultServer(say("200 OK", json.dumps(body).encode(), kind)) as server:
        response = _stream(server)
    assert response.parts == [TextPart("Hey."), ToolCallPart("a", "{}", "1")]
    assert (response.model_name, response.provider_response_id, response.usage.request_tokens) == ("m1", "r1", 3)
    assert response.finish_reason == "stop"


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream"])
def test_streams_of_simple_servers(kind: str) -> None:
    """A stream under a simple type is read; where it is none, it is incomplete."""
    with FaultServer(say("200 OK", b"".join([*_HEY, _DONE]), f"Content-Type: {kind}")) as server:
        assert _stream(server).parts == [TextPart("Hey.")]
    with FaultServer(say("200 OK", b"nothing of that kind", f"Content-Type: {kind}")) as server:
        with pytest.raises(IncompleteStreamError):
            _stream(server)


def test_cancelling_a_stream() -> None:
    """Cancelling from another thread wakes a blocked read."""
    deadline = Deadline()
    with FaultServer(chunked(_HEY[0], end=b"", then="hang")) as server:
        threading.Timer(0.2, deadline.cancel).start()
        before = time.monotonic()
        with pytest.raises(Exception, match="cancelled"):
            _stream(server, deadline=deadline)
        assert time.monotonic() - before < 2


# --- the model itself ------------------------------------------------------------------------------


def test_attributes() -> None:
    """A model tells its name, its provider's name and address, and what it can do."""
    model = OpenAIModel("gpt-4o", provider=OpenAIProvider("http://x/v1", _KEY))
    assert (model.model_name, model.system, model.base_url) == ("gpt-4o", "openai", "http://x/v1")
    assert model.profile == ModelProfile()
    assert isinstance(model.provider, OpenAIProvider)
    assert isinstance(model.wire, ChatWire)
    assert repr(model) == "OpenAIModel('gpt-4o', provider=OpenAIProvider(base_url='http://x/v1'))"


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_no_name(name: Any) -> None:
    """A model has a name."""
    with pytest.raises(UserError, match=r"^A model's name is a text such as 'gpt-4o'; got "):
        OpenAIModel(name)


def test_check() -> None:
    """Building needs no key; checking and asking raise the same for want of one."""
    model = OpenAIModel("gpt-4o")
    with pytest.raises(MissingKeyError) as checked:
        model.check()
    with pytest.raises(MissingKeyError) as asked:
        model.request(_ASKED, None, ModelRequestParameters())
    assert str(checked.value) == str(asked.value)
    with pytest.raises(MissingKeyError), model.request_stream(_ASKED, None, ModelRequestParameters()):
        pass
    OpenAIModel("gpt-4o", provider=OpenAIProvider(api_key=_KEY)).check()


def test_one_model_in_many_threads() -> None:
    """A model may be shared: every thread gets the answer to its own question."""

    def echo(peer: Peer, request: Request) -> None:
        said = json.loads(request.body)["messages"][0]["content"]
        peer.answer(json.dumps({"choices": [{"message": {"content": said}}]}).encode())

    wrong: list[str] = []

    def run(tag: str) -> None:
        for number in range(5):
            prompt = f"{tag}.{number}"
            response = model.request([ModelRequest([UserPromptPart(prompt)])], None, ModelRequestParameters())
            if response.parts != [TextPart(prompt)]:
                wrong.append(prompt)

    with FaultServer(echo) as server:
        model = _model(server)
        threads = [threading.Thread(target=run, args=(str(number),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.requests) == 40
    assert wrong == []
