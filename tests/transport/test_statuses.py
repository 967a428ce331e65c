"""What each status means, what of it is tried again, and when."""

from __future__ import annotations

import builtins
import email.utils
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncagent.deadline import Deadline
from syncagent.exceptions import (
    ContextTooLongError,
    ModelAPIError,
    ModelAuthError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelResponseError,
    UserError,
)
from syncagent.transport import HttpRequest, RetryPolicy, Transport
from syncagent.transport.retry import retry_after, retryable_status
from tests.faultserver import FaultServer
from tests.faultserver import scenarios as fault

Ask = Callable[..., HttpRequest]
NOW = 1_700_000_000.0


class Info(NamedTuple):
    message: Optional[str] = None
    code: Optional[str] = None
    kind: Optional[str] = None


def fails(transport: Transport, request: HttpRequest) -> ModelAPIError:
    with pytest.raises(ModelAPIError) as caught:
        transport.send(request, Deadline(20))
    return caught.value


@pytest.mark.parametrize(
    ("status", "error_class", "tries"),
    [
        (400, ModelHTTPError, 1),
        (401, ModelAuthError, 1),
        (402, ModelQuotaError, 1),
        (403, ModelAuthError, 1),
        (404, ModelNotFoundError, 1),
        (408, ModelHTTPError, 3),
        (409, ModelHTTPError, 3),
        (413, ModelHTTPError, 1),
        (422, ModelHTTPError, 1),
        (429, ModelRateLimitError, 3),
        (500, ModelHTTPError, 3),
        (501, ModelHTTPError, 1),
        (502, ModelHTTPError, 3),
        (503, ModelOverloadedError, 3),
        (504, ModelHTTPError, 3),
        (505, ModelHTTPError, 1),
        (520, ModelHTTPError, 3),
        (529, ModelOverloadedError, 3),
        (599, ModelHTTPError, 3),
        (600, ModelHTTPError, 1),
    ],
)
def test_statuses(
    transport: Transport, ask: Ask, no_wait: list[float], status: int, error_class: type[ModelHTTPError], tries: int
) -> None:
    """Each status has its class, and either three tries or one; the connection is used again."""
    scenario = fault.say(f"{status} X", b'{"error": {"message": "why"}}', "X-Request-Id: req_7")
    with FaultServer(scenario) as server:
        error = fails(transport, ask(server.url))
    assert isinstance(error, ModelHTTPError)
    assert type(error) is error_class
    assert (error.status_code, error.body) == (status, {"error": {"message": "why"}})
    assert (error.attempts, len(server.requests), server.connections) == (tries, tries, 1)
    assert (error.request_id, error.retryable) == ("req_7", tries > 1)
    assert str(error) == f"status_code: {status}, model_name: test:model, body: {error.body}"


@pytest.mark.parametrize(("status", "word", "tries"), [(400, "true", 3), (500, "FALSE ", 1), (500, "maybe", 3)])
def test_should_retry(
    transport: Transport, ask: Ask, no_wait: list[float], status: int, word: str, tries: int
) -> None:
    """The header ``x-should-retry`` beats the status, where it says true or false."""
    with FaultServer(fault.say(f"{status} X", b"{}", f"X-Should-Retry: {word}")) as server:
        fails(transport, ask(server.url))
    assert len(server.requests) == tries


@pytest.mark.parametrize(
    ("kind", "status", "error_class", "tries"),
    [
        ("auth", 400, ModelAuthError, 1),
        ("not_found", 400, ModelNotFoundError, 1),
        ("rate_limit", 400, ModelRateLimitError, 1),
        ("quota", 429, ModelQuotaError, 1),
        ("overloaded", 500, ModelOverloadedError, 3),
        ("context_too_long", 500, ContextTooLongError, 1),
        ("response", 500, ModelResponseError, 1),
        (None, 429, ModelRateLimitError, 3),
    ],
)
def test_the_wire_has_a_say(
    transport: Transport,
    ask: Ask,
    no_wait: list[float],
    kind: Optional[str],
    status: int,
    error_class: type[ModelAPIError],
    tries: int,
) -> None:
    """What ``decode_error`` reads out of the body beats the status; hopeless kinds are tried once."""
    seen = []

    def decode_error(status: int, body: object) -> Info:
        seen.append((status, body))
        return Info("in words", "code", kind)

    with FaultServer(fault.say(f"{status} X", b'{"error": 1}')) as server:
        error = fails(transport, ask(server.url, decode_error=decode_error))
    assert type(error) is error_class
    assert error.attempts == tries
    assert seen == [(status, {"error": 1})] * tries
    assert kind != "response" or str(error) == "in words"


@pytest.mark.parametrize(
    ("body", "seen"),
    [(b"", None), (b"  ", None), (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"), (b"\xff", "\ufffd")],
)
def test_error_bodies_that_are_not_json(
    transport: Transport, ask: Ask, no_wait: list[float], body: bytes, seen: Optional[str]
) -> None:
    """HTML from a proxy, nothing, and bytes that are no text still make the error of their status."""
    with FaultServer(fault.say("502 Bad Gateway", body, "Content-Type: text/html")) as server:
        error = fails(transport, ask(server.url))
    assert isinstance(error, ModelHTTPError)
    assert (error.body, error.attempts) == (seen, 3)


class _Renewing:
    """Gives another key each time it is asked."""

    renewable = True

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        self.asked += 1
        return {"Authorization": f"Bearer key-{self.asked}"}


def test_a_renewable_key_is_asked_for_once_more(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """After a 401 a key that can change is asked for again, at once and whatever the policy; the answer is the new."""
    auth = _Renewing()
    request_with = {"auth": auth, "retry_policy": RetryPolicy(max_retries=0), "idempotency_key": "one"}
    with FaultServer(fault.in_turn(fault.say("401 No"), fault.ok)) as server:
        answer = transport.send(ask(server.url, **request_with), Deadline(20))
    assert (answer.attempts, auth.asked, no_wait) == (2, 2, [])
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer key-1", "Bearer key-2"]
    assert [request.headers["idempotency-key"] for request in server.requests] == ["one", "one"]


def test_a_renewed_key_that_is_refused(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """A second 401 is the end, also where other failures stand between."""
    auth = _Renewing()
    with FaultServer(fault.in_turn(fault.say("401 No"), fault.say("500 Oh"), fault.say("401 No"))) as server:
        error = fails(transport, ask(server.url, auth=auth))
    assert isinstance(error, ModelAuthError)
    assert (error.attempts, auth.asked, len(server.requests)) == (3, 3, 3)


def test_a_renewable_key_in_a_stream(transport: Transport, ask: Ask) -> None:
    """A stream that is refused is asked for once more as well."""
    with FaultServer(fault.in_turn(fault.say("401 No"), fault.ok)) as server:
        with transport.stream(ask(server.url, auth=_Renewing()), Deadline(20)) as stream:
            assert stream.attempts == 2
            assert b"".join(stream)


def test_other_refusals_renew_nothing(transport: Transport, ask: Ask) -> None:
    """A 403 says that the key is not allowed to, which another one would not be either."""
    auth = _Renewing()
    with FaultServer(fault.say("403 No")) as server:
        fails(transport, ask(server.url, auth=auth))
    assert auth.asked == 1


def test_a_repeated_key_is_hidden(transport: Transport, ask: Ask) -> None:
    """A server that repeats the key it refuses does not get it into the error."""
    body = b'{"error": {"message": "Incorrect API key: sk-canary-0123456789abcdef"}}'
    with FaultServer(fault.say("401 No", body)) as server:
        error = fails(transport, ask(server.url))
    assert isinstance(error, ModelHTTPError)
    assert error.body == {"error": {"message": "Incorrect API key: ***"}}


@pytest.mark.parametrize(
    ("lines", "low", "high"),
    [
        (["Retry-After: 7"], 7, 8.75),
        (["Retry-After: 7.5"], 7.5, 9.4),
        (["retry-after-ms: 1500", "Retry-After: 9"], 1.5, 1.9),
        (["retry-after-ms: soon", "Retry-After: 9"], 9, 11.25),
        (["Retry-After: 0"], 0.25, 0.5),
        (["Retry-After: -10"], 0.25, 0.5),
        (["Retry-After: nan"], 0.25, 0.5),
        (["Retry-After: inf"], 0.25, 0.5),
        (["Retry-After: 1e1"], 0.25, 0.5),
        (["Retry-After: 1_0"], 0.25, 0.5),
        (["Retry-After: soon"], 0.25, 0.5),
        (["Retry-After: Mon, 01 Jan 2001 00:00:00 GMT"], 0.25, 0.5),
        (["Retry-After: Zun, 32 Foo 2023 99:99:99 GMT"], 0.25, 0.5),
        ([], 0.25, 0.5),
    ],
    ids=str,
)
def test_waits(
    transport: Transport, ask: Ask, no_wait: list[float], lines: list[str], low: float, high: float
) -> None:
    """The server's word is the least wait, with up to a quarter on top; nonsense counts as no word."""
    with FaultServer(fault.in_turn(fault.say("429 Slow", b"{}", *lines), fault.ok)) as server:
        transport.send(ask(server.url), Deadline())
    assert len(no_wait) == 1
    assert low <= no_wait[0] <= high


def test_a_date_to_wait_for(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """``Retry-After`` may be an HTTP date."""
    date = email.utils.formatdate(time.time() + 20, usegmt=True)
    with FaultServer(fault.in_turn(fault.say("503 Slow", b"{}", f"Retry-After: {date}"), fault.ok)) as server:
        transport.send(ask(server.url), Deadline())
    assert 18 < no_wait[0] < 26


@pytest.mark.parametrize("value", ["61", "99999999999999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_absurd_waits_are_raised(transport: Transport, ask: Ask, no_wait: list[float], value: str) -> None:
    """Where the server asks for more than ``max_retry_after``, the error comes at once and says how long."""
    with FaultServer(fault.say("429 Slow", b"{}", f"Retry-After: {value}")) as server:
        error = fails(transport, ask(server.url))
    assert (error.attempts, no_wait, error.retryable) == (1, [], True)
    assert error.retry_after is not None and error.retry_after > 60


def test_the_policy_of_the_request(ask: Ask, no_wait: list[float]) -> None:
    """The request's policy beats the transport's; the waits double, up to eight seconds."""
    transport = Transport(retry_policy=RetryPolicy(max_retries=0))
    with FaultServer(fault.say("500 Oops")) as server:
        assert fails(transport, ask(server.url)).attempts == 1
        request = ask(server.url, retry_policy=RetryPolicy(max_retries=7))
        with pytest.raises(ModelHTTPError) as caught:
            transport.send(request, Deadline())
    transport.close()
    assert caught.value.attempts == 8
    for wait, most in zip(no_wait, [0.5, 1, 2, 4, 8, 8, 8], ):
        assert most / 2 <= wait <= most
    assert len(no_wait) == 7


def test_a_policy_may_wait_longer(transport: Transport, ask: Ask, no_wait: list[float]) -> None:
    """``max_retry_after`` is the caller's to set."""
    policy = RetryPolicy(max_retry_after=300)
    with FaultServer(fault.in_turn(fault.say("429 Slow", b"{}", "Retry-After: 120"), fault.ok)) as server:
        assert transport.send(ask(server.url, retry_policy=policy), Deadline()).attempts == 2
    assert 120 <= no_wait[0] <= 150


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_retries": -1},
        {"max_retries": 101},
        {"max_retries": True},
        {"max_retries": 1.5},
        {"retry_read_timeouts": 1},
        {"max_retry_after": -1},
        {"max_retry_after": float("nan")},
        {"max_retry_after": float("inf")},
        {"max_retry_after": "60"},
        {"max_retry_after": True},
    ],
    ids=str,
)
def test_impossible_policies(arguments: dict[str, Any]) -> None:
    """A value out of range is a ``UserError`` that names the argument."""
    with pytest.raises(UserError, match=next(iter(arguments))):
        RetryPolicy(**arguments)


def test_policies_compare_by_value() -> None:
    """Two equal policies are equal, hash alike, and cannot be changed."""
    assert RetryPolicy() == RetryPolicy(max_retries=2, retry_read_timeouts=False, max_retry_after=60.0)
    assert hash(RetryPolicy()) == hash(RetryPolicy())


def test_what_was_tried_is_logged(
    transport: Transport, ask: Ask, no_wait: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG each failed try has its line, with neither key nor body in it."""
    caplog.set_level(logging.DEBUG)
    with FaultServer(fault.in_turn(fault.say("500 Oops"), fault.ok)) as server:
        transport.send(ask(server.url, body=b"canary prompt"), Deadline())
    assert any("Try 1 failed" in record.getMessage() for record in caplog.records if record.name.startswith("sync"))
    assert "canary" not in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, ValueError])
def test_other_exceptions_are_not_tried_again(transport: Transport, ask: Ask, error: type[BaseException]) -> None:
    """Whatever is no failure of the request passes through untouched, from a retry too."""
    calls = []

    def auth(*_: Any) -> dict[str, str]:
        calls.append(1)
        if len(calls) == 2:
            raise error
        return {}

    with FaultServer(fault.say("500 Oops", b"{}", "retry-after-ms: 1")) as server, pytest.raises(error):
        transport.send(ask(server.url, auth=auth), Deadline())
    assert len(calls) == 2


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "SystemExit", "GeneratorExit", "GreenletExit", "Timeout"])
@pytest.mark.parametrize("place", ["try", "wait"])
def test_what_ends_a_program_is_never_swallowed(
    transport: Transport, ask: Ask, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    """Ctrl-C, an exit and what gevent throws come out as the very object, from a second try and from a wait."""
    home = pytest.importorskip("gevent") if name in ("GreenletExit", "Timeout") else builtins
    raised: BaseException = getattr(home, name)()
    calls: list[str] = []

    def sleep(self: Deadline, seconds: float) -> None:
        calls.append("wait")
        if place == "wait":
            raise raised

    def auth(*_: Any) -> dict[str, str]:
        calls.append("try")
        if calls.count("try") == 2:
            raise raised
        return {}

    monkeypatch.setattr(Deadline, "sleep", sleep)
    with FaultServer(fault.say("500 Oops")) as server, pytest.raises(type(raised)) as caught:
        transport.send(ask(server.url, auth=auth), Deadline())
    assert caught.value is raised
    assert calls == (["try", "wait"] if place == "wait" else ["try", "wait", "try"])
    # The patched function lives longer than the look for open sockets, and would keep these frames.
    raised.__traceback__ = raised.__context__ = None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("20", 20),
        (" 20 ", 20),
        ("1.5", 1.5),
        ("0.5", 0.5),
        ("0", None),
        ("-10", None),
        ("60", 60),
        ("61", 61),
        ("120", 120),
        ("1" * 35, float("1" * 35)),
        ("1" * 41, None),
        ("inf", None),
        ("nan", None),
        ("1e3", None),
        ("", None),
        ("  ", None),
        ("Fri, 29 Sep 2023 16:26:57 GMT", 20),
        ("Fri, 29 Sep 2023 16:26:37 GMT", None),
        ("Fri, 29 Sep 2023 16:26:27 GMT", None),
        ("Fri, 29 Sep 2023 16:27:38 GMT", 61),
        ("Zun, 29 Sep 2023 16:26:57 Foo", 20),  # day and zone are no part of the time
        ("Fri, 32 Foo 2023 16:26:57 GMT", None),
        ("Fri, 29 Sep 100000 16:26:57 GMT", None),
    ],
)
def test_values_of_retry_after(monkeypatch: pytest.MonkeyPatch, value: str, seconds: Optional[float]) -> None:
    """Numbers and dates to come are seconds; what is past, endless or no number says nothing."""
    monkeypatch.setattr(time, "time", lambda: 1_696_004_797.0)
    assert retry_after({"retry-after": value}) == seconds
    if seconds is None or value.strip()[0].isdigit():
        assert retry_after({"retry-after-ms": value}) == (None if seconds is None else seconds / 1000)
    assert retry_after({"retry-after-ms": "1500", "retry-after": value}) == 1.5


@given(st.one_of(st.text(max_size=30), st.floats().map(str), st.integers().map(str), st.datetimes().map(str)))
@example("99999999999999999999999999999999999999999999")
@example("Fri, 31 Dec 99999999999 23:59:59 GMT")
@example("Mon, 01 Jan 0001 00:00:00 +9999")
@example("٣")
def test_any_retry_after(value: str) -> None:
    """Whatever the header holds, it gives a positive finite number or nothing, and never an exception."""
    for name in ("retry-after", "retry-after-ms"):
        seconds = retry_after({name: value})
        assert seconds is None or 0 < seconds < float("inf")


@given(st.integers(100, 999))
def test_retryable_statuses(status: int) -> None:
    """408, 409, 429 and the 5xx but 501 and 505, and no other."""
    expected = status in (408, 409, 429) or (500 <= status <= 599 and status not in (501, 505))
    assert retryable_status(status, {}) is expected
