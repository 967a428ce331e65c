"""What is read out of Google's answers, whole and in pieces."""

from __future__ import annotations

import copy
import datetime as dt
import json
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.messages import (
    ModelResponse,
    OpaquePart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
)
from syncagent.models.base import StreamedResponse
from syncagent.models.gemini import GeminiWire, decode_stream
from syncagent.models.wire import ResponseInfo
from syncagent.transport.sse import Frame
from syncagent.usage import Usage

_GLA = "google-gla"
_WIRE = GeminiWire(_GLA)


def _chunk(*parts: Any, **candidate: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **candidate}]}


def _body(*parts: Any, **more: Any) -> dict[str, Any]:
    return {**_chunk(*parts, finishReason="STOP"), **more}


def _frames(*chunks: Any) -> list[Frame]:
    return [Frame("", json.dumps(chunk).encode()) for chunk in chunks]


def _streamed(*chunks: Any) -> tuple[ModelResponse, StreamedResponse]:
    stream = StreamedResponse(_WIRE.decode_stream(iter(_frames(*chunks))), model_name="asked", provider_name=_GLA)
    list(stream)
    return stream.get(), stream


def _parts(*parts: Any) -> list[Any]:
    """The parts that are read; the same whether the answer came whole or part by part."""
    whole = _WIRE.decode(_body(*copy.deepcopy(parts))).parts
    pieces, _ = _streamed(*[_chunk(part) for part in parts], _chunk(finishReason="STOP"))
    assert pieces.parts == whole
    return list(whole)


# --- parts -----------------------------------------------------------------------------------------


def test_text() -> None:
    """Pieces of text that follow each other are one part; an empty text is none."""
    assert _parts({"text": "a"}, {"text": ""}, {"text": "b", "thought": False}) == [TextPart("ab")]
    assert _parts({"text": ""}) == []
    assert _parts() == []


def test_thinking() -> None:
    """Thoughts are thinking parts of this provider; a signature ends one."""
    thought = {"text": "a", "thought": True}
    assert _parts(thought, thought, {"text": "c"}) == [ThinkingPart("aa", None, None, _GLA), TextPart("c")]
    signed = {**thought, "thoughtSignature": "s"}
    assert _parts(thought, signed, thought) == [
        ThinkingPart("aa", None, "s", _GLA),
        ThinkingPart("a", None, None, _GLA),
    ]
    assert _parts({"text": "c"}, thought, {"text": "d"}) == [
        TextPart("c"),
        ThinkingPart("a", None, None, _GLA),
        TextPart("d"),
    ]
    only = {"text": "", "thought": True, "thoughtSignature": "s"}
    assert _parts(only) == [OpaquePart(_GLA, only)]
    assert _parts(thought, only) == [ThinkingPart("a", None, "s", _GLA)]
    assert _parts({"text": "", "thought": True}) == []


def test_signed_text() -> None:
    """The signature of a text stands before it, or, where the text has begun, in a part of its own after it."""
    signature = ThinkingPart("", None, "s", _GLA)
    empty = OpaquePart(_GLA, {"text": "", "thoughtSignature": "s"})
    assert _parts({"text": "a", "thoughtSignature": "s"}, {"text": "b"}) == [signature, TextPart("ab")]
    assert _parts({"text": "a"}, {"text": "b", "thoughtSignature": "s"}, {"text": "c"}) == [TextPart("abc"), empty]
    assert _parts({"text": "a"}, {"text": "", "thoughtSignature": "s"}) == [TextPart("a"), empty]
    assert _parts({"text": "a"}, {"thoughtSignature": "s"}) == [TextPart("a"), empty]
    assert _parts({"text": "a", "thoughtSignature": ""}) == [TextPart("a")]


def test_calls() -> None:
    """Calls have arguments as an object, and an id where one was sent; their signature stands before them."""
    assert _parts(
        {"functionCall": {"name": "a", "args": {"x": 1}}, "thoughtSignature": "s"},
        {"functionCall": {"name": "b", "id": "7"}},
        {"functionCall": {"name": "c", "args": None, "id": ""}},
    ) == [
        ThinkingPart("", None, "s", _GLA),
        ToolCallPart("a", {"x": 1}, None),
        ToolCallPart("b", {}, "7"),
        ToolCallPart("c", {}, None),
    ]
    assert _parts({"text": "a"}, {"functionCall": {"name": "b"}}, {"text": "c"}) == [
        TextPart("a"),
        ToolCallPart("b", {}),
        TextPart("c"),
    ]


def test_other_parts() -> None:
    """What we do not model is kept as it came."""
    code, image = {"executableCode": {"code": "1"}, "thoughtSignature": "s"}, {"inlineData": {"data": "AA=="}}
    assert _parts(code, {"text": "a"}, image, {"text": "b"}, {}) == [
        OpaquePart(_GLA, code),
        TextPart("a"),
        OpaquePart(_GLA, image),
        TextPart("b"),
    ]


def test_grounding() -> None:
    """What stood beside the content is one opaque part at the end; the last word of a stream holds."""
    first, last = {"webSearchQueries": ["a"]}, {"webSearchQueries": ["a", "b"]}
    cited: dict[str, Any] = {"citationSources": []}
    body = _body({"text": "a"})
    body["candidates"][0].update(groundingMetadata=last, citationMetadata=cited)
    expected = [TextPart("a"), OpaquePart(_GLA, {"groundingMetadata": last, "citationMetadata": cited})]
    assert _WIRE.decode(body).parts == expected
    pieces, _ = _streamed(
        _chunk({"text": "a"}, groundingMetadata=first),
        _chunk(groundingMetadata=last, citationMetadata=cited, finishReason="STOP"),
    )
    assert pieces.parts == expected


def test_what_comes_piece_by_piece() -> None:
    """Lists beside the content may be sent anew, or go on; either way all of them is there once."""
    first, second = {"citationSources": [{"uri": "a"}], "x": 1}, {"citationSources": [{"uri": "b"}], "x": 2}
    pieces, _ = _streamed(
        _chunk({"text": "a"}, citationMetadata=first, logprobsResult={"chosenCandidates": [1]}),
        _chunk({"text": "b"}, citationMetadata=second, logprobsResult={"chosenCandidates": [2]}, avgLogprobs=0),
        _chunk(finishReason="STOP", urlContextMetadata=7),
    )
    cited = {"citationSources": [{"uri": "a"}, {"uri": "b"}], "x": 2}
    assert pieces.parts[1:] == [OpaquePart(_GLA, {"citationMetadata": cited, "urlContextMetadata": 7})]
    assert pieces.provider_details == {
        "finish_reason": "STOP",
        "logprobs": {"chosenCandidates": [1, 2]},
        "avg_logprobs": 0,
    }


# --- facts -----------------------------------------------------------------------------------------


def test_facts() -> None:
    """Id, model, time, usage and the provider's own words are read."""
    response = _WIRE.decode(
        _body(
            {"text": "a"},
            responseId="r",
            modelVersion="m",
            createTime="2026-02-17T04:29:24.806325123Z",
            usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
        )
    )
    assert (response.provider_response_id, response.model_name, response.provider_name) == ("r", "m", _GLA)
    assert response.timestamp == dt.datetime(2026, 2, 17, 4, 29, 24, tzinfo=dt.timezone.utc)
    assert response.usage == Usage(0, 3, 1, 4, None)
    assert (response.finish_reason, response.provider_details) == ("stop", {"finish_reason": "STOP"})


@pytest.mark.parametrize("created", [None, "yesterday", "2026-13-41T04:29:24Z", "2026-02-17T04:29:24+02:00", 7])
def test_odd_times(created: Any) -> None:
    """A time that is none is now."""
    response = _WIRE.decode(_body({"text": "a"}, createTime=created, responseId=7, modelVersion=""))
    assert abs(response.timestamp - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(minutes=1)
    assert (response.provider_response_id, response.model_name) == (None, None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("SOMETHING_NEW", None),
    ],
)
def test_finish_reasons(said: str, expected: Optional[str]) -> None:
    """The reason is one of the five words, or None for a new one; the provider's own is kept."""
    response = _WIRE.decode(_chunk(finishReason=said, finishMessage="why", safetyRatings=[{"blocked": True}]))
    assert response.finish_reason == expected
    assert response.provider_details == {
        "finish_reason": said,
        "finish_message": "why",
        "safety_ratings": [{"blocked": True}],
    }


def test_finish_reason_of_calls() -> None:
    """An answer that stopped with a call stopped for it, also where the call came in an earlier chunk."""
    call = {"functionCall": {"name": "a"}}
    assert _WIRE.decode(_body(call)).finish_reason == "tool_call"
    pieces, _ = _streamed(_chunk(call), _chunk({"text": ""}, finishReason="STOP"))
    assert pieces.finish_reason == "tool_call"
    assert _WIRE.decode(_chunk(call, finishReason="MAX_TOKENS")).finish_reason == "length"


def test_unfinished() -> None:
    """No reason, or an unspecified one, is no end: such a stream is not complete."""
    for chunk in (_chunk({"text": "a"}), _chunk({"text": "a"}, finishReason="FINISH_REASON_UNSPECIFIED")):
        response, stream = _streamed(chunk)
        assert response.parts == [TextPart("a")]
        assert not stream.info.complete
        assert _WIRE.decode(chunk).finish_reason is None


def test_blocked_prompt() -> None:
    """A blocked prompt is a response without parts, and a complete stream; the reason is in the details."""
    body = {
        "promptFeedback": {
            "blockReason": "PROHIBITED_CONTENT",
            "blockReasonMessage": "No.",
            "safetyRatings": [{"category": "C"}],
        },
        "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3},
    }
    whole = _WIRE.decode(body)
    pieces, stream = _streamed(body)
    assert stream.info.complete
    for response in (whole, pieces):
        assert (response.parts, response.finish_reason) == ([], "content_filter")
        assert response.usage == Usage(0, 3, 0, 3)
        assert response.provider_details == {
            "block_reason": "PROHIBITED_CONTENT",
            "block_reason_message": "No.",
            "safety_ratings": [{"category": "C"}],
        }
    assert _WIRE.decode({"promptFeedback": {"blockReason": "OTHER"}}).provider_details == {"block_reason": "OTHER"}
    assert _WIRE.decode({**_body({"text": "a"}), "promptFeedback": {"safetyRatings": []}}).finish_reason == "stop"


def test_usage() -> None:
    """Thinking counts as output, prompts of the provider's own tools as input; details keep all numbers apart."""
    response = _WIRE.decode(
        _body(
            {"text": "a"},
            usageMetadata={
                "promptTokenCount": 100,
                "cachedContentTokenCount": 40,
                "candidatesTokenCount": 10,
                "thoughtsTokenCount": 5,
                "toolUsePromptTokenCount": 7,
                "totalTokenCount": 122,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 60},
                    {"modality": "AUDIO", "tokenCount": 39},
                    {"modality": "TEXT", "tokenCount": 1},
                    {"modality": "IMAGE"},
                    7,
                ],
                "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 40}],
                "candidatesTokensDetails": "none",
                "serviceTier": "standard",
            },
        )
    )
    assert response.usage == Usage(
        0,
        107,
        15,
        122,
        {
            "cached_tokens": 40,
            "reasoning_tokens": 5,
            "tool_use_prompt_tokens": 7,
            "text_prompt_tokens": 61,
            "audio_prompt_tokens": 39,
            "text_cached_tokens": 40,
        },
    )
    assert _WIRE.decode(_body({"text": "a"}, usageMetadata={})).usage == Usage()


# --- streams ---------------------------------------------------------------------------------------


def test_events() -> None:
    """Parts start and grow as they come; usage is told when it changes; a pause is told too."""
    usage = {"promptTokenCount": 1}
    frames = _frames(
        {**_chunk({"text": "hm", "thought": True}), "responseId": "r", "modelVersion": "m", "usageMetadata": usage},
        {**_chunk({"text": "ok", "thought": True}), "responseId": "r", "modelVersion": "m", "usageMetadata": usage},
        _chunk({"text": "a"}),
    )
    events = list(decode_stream(iter([*frames, Frame("pause", b""), *_frames(_chunk({"text": "b"}))]), _GLA))
    assert [event for event in events if not isinstance(event, ResponseInfo)] == [
        PartStartEvent(0, ThinkingPart("hm", None, None, _GLA)),
        PartDeltaEvent(0, ThinkingPartDelta("ok")),
        PartStartEvent(1, TextPart("a")),
        PartDeltaEvent(1, TextPartDelta("b")),
    ]
    infos = [event for event in events if isinstance(event, ResponseInfo)]
    assert [info.usage for info in infos if info.usage is not None] == [Usage(0, 1, 0, 1)]
    assert [info.provider_response_id for info in infos if info.provider_response_id] == ["r"]
    assert infos[-1].complete is False


def test_error_in_a_stream() -> None:
    """An error in a stream is raised with its words, after what came before."""
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    stream = StreamedResponse(_WIRE.decode_stream(iter(_frames(_chunk({"text": "a"}), error))), model_name="m")
    with pytest.raises(ValueError, match=r"^the provider sent an error: The model is overloaded\. \(UNAVAILABLE\)$"):
        list(stream)
    assert stream.get().parts == [TextPart("a")]


@pytest.mark.parametrize("data", [b"{", b"[1]", b'{"a": NaN}', b"\xff", b"7", b"[" * 200_000])
def test_frames_that_are_none(data: bytes) -> None:
    """An event that is no JSON object says so."""
    with pytest.raises(ValueError, match=r"^an event of the stream"):
        list(decode_stream(iter([Frame("", data)])))


# --- bodies of another shape -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "the body: expected an object, got an empty list"),
        ({}, "candidates: expected a list with one candidate, got nothing"),
        ({"candidates": []}, "candidates: expected a list with one candidate, got an empty list"),
        ({"candidates": {"a": 1}}, "candidates: expected a list, got dict"),
        ({"candidates": [{}, {}]}, "candidates: expected one candidate, got 2; leave candidateCount at 1"),
        ({"candidates": [7]}, r"candidates\[0\]: expected an object, got int"),
        ({"candidates": [{"content": 7}]}, r"candidates\[0\]\.content: expected an object, got int"),
        ({"candidates": [{"content": {"parts": 7}}]}, r"candidates\[0\]\.content\.parts: expected a list, got int"),
        (_chunk(7), r"parts\[0\]: expected an object, got int"),
        (_chunk({"text": 7}), r"parts\[0\]\.text: expected text, got int"),
        (_chunk({"text": "a", "thoughtSignature": 7}), r"parts\[0\]\.thoughtSignature: expected text, got int"),
        (_chunk({"functionCall": 7}), r"parts\[0\]\.functionCall: expected an object, got int"),
        (_chunk({"functionCall": {}}), r"functionCall\.name: expected text, got nothing"),
        (_chunk({"functionCall": {"name": ""}}), r"functionCall\.name: expected the name of a tool"),
        (_chunk({"functionCall": {"name": "a", "args": "{}"}}), r"functionCall\.args: expected an object, got str"),
        (_chunk({"functionCall": {"name": "a", "id": 7}}), r"functionCall\.id: expected text, got int"),
        (_chunk({"functionCall": {"name": "a", "willContinue": True}}), r"do not ask for streamFunctionCallArguments"),
        (_chunk(finishReason=7), r"finishReason: expected text, got int"),
        ({"promptFeedback": 7}, "promptFeedback: expected an object, got int"),
        ({"promptFeedback": {"blockReason": 7}}, r"promptFeedback\.blockReason: expected text, got int"),
        (_body(usageMetadata=7), "usageMetadata: expected an object, got int"),
        (_body(usageMetadata={"promptTokenCount": "7"}), r"usageMetadata\.promptTokenCount: expected a number of"),
        (_body(usageMetadata={"thoughtsTokenCount": -7}), r"usageMetadata\.thoughtsTokenCount: expected a number of"),
        (_body(usageMetadata={"cachedContentTokenCount": True}), r"cachedContentTokenCount: expected a number of"),
        ({"error": {"message": "No."}}, r"^the provider sent an error: No\.$"),
        ({"error": {"code": 7}}, r"^the provider sent an error: without a message \(7\)$"),
        ({"error": 7}, r"^the provider sent an error: without a message$"),
    ],
)
def test_wrong_shapes(body: Any, words: str) -> None:
    """A body of another shape is a ValueError that names the field, what was expected and what came."""
    with pytest.raises(ValueError, match=words):
        _WIRE.decode(body)


_RECORDED = {
    **_body(
        {"text": "hm", "thought": True, "thoughtSignature": "s"},
        {"text": "a"},
        {"functionCall": {"name": "weather", "args": {"city": "x"}, "id": "1"}, "thoughtSignature": "t"},
    ),
    "usageMetadata": {"promptTokenCount": 3, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}]},
    "modelVersion": "m",
    "responseId": "r",
}
_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just([]), st.just({}))


@given(st.data())
def test_mutations(data: st.DataObject) -> None:
    """Whatever is changed in a body: it is read, or refused with a ValueError; no call is invented."""
    body: Any = copy.deepcopy(_RECORDED)
    for _ in range(data.draw(st.integers(1, 3))):
        holder: Any = body
        while holder:
            key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
            if isinstance(holder[key], (dict, list)) and holder[key] and data.draw(st.booleans()):
                holder = holder[key]
                continue
            if data.draw(st.booleans()):
                del holder[key]
            else:
                holder[key] = data.draw(_VALUES)
            break
    try:
        calls = [part for part in _WIRE.decode(body).parts if isinstance(part, ToolCallPart)]
    except ValueError:
        return
    assert all(call.tool_name for call in calls)
    assert len(calls) <= 1
    if calls:
        sent = body["candidates"][0]["content"]["parts"]
        assert {"name": calls[0].tool_name, "args": calls[0].args}.items() <= {
            "args": {},
            **{key: value for part in sent for key, value in (part.get("functionCall") or {}).items() if value},
        }.items()


@given(st.recursive(_VALUES, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=3), inner))))
def test_any_json(body: Any) -> None:
    """Any other JSON is a ValueError, and as an error's body it is fine."""
    with pytest.raises(ValueError):
        _WIRE.decode(body)
    info = _WIRE.decode_error(400, body)
    assert info.message is None or info.message


# --- counting and errors ---------------------------------------------------------------------------


def test_count() -> None:
    """The count is the number of tokens; anything else says what was expected."""
    assert _WIRE.decode_count({"totalTokens": 31}) == 31
    for body, words in (
        ([], "the body: expected an object"),
        ({}, "^totalTokens: expected a number of tokens, got nothing"),
        ({"totalTokens": "31"}, "^totalTokens: expected a number of tokens, got str"),
    ):
        with pytest.raises(ValueError, match=words):
            _WIRE.decode_count(body)  # type: ignore[arg-type] # what is refused


def _error(message: Optional[str], status: Optional[str], *details: Any) -> dict[str, Any]:
    return {"error": {"code": 7, "message": message, "status": status, "details": list(details)}}


_PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
_PER_MINUTE = {"violations": [7, {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, _error("Bad.", "INVALID_ARGUMENT"), None),
        (400, _error("API key not valid.", "INVALID_ARGUMENT", 7, {"reason": "API_KEY_INVALID"}), "auth"),
        (401, _error("No.", "UNAUTHENTICATED"), "auth"),
        (403, _error("No.", "PERMISSION_DENIED"), "auth"),
        (404, _error("models/x is not found", "NOT_FOUND"), "not_found"),
        (503, _error("Overloaded.", "UNAVAILABLE"), "overloaded"),
        (500, _error("Internal.", "INTERNAL"), None),
        (429, _error("Slow down.", "RESOURCE_EXHAUSTED"), None),
        (429, _error("Slow down.", "RESOURCE_EXHAUSTED", {"violations": 7}, _PER_MINUTE), None),
        (429, _error("Used up.", "RESOURCE_EXHAUSTED", _PER_MINUTE, _PER_DAY), "quota"),
        (429, _error("exceeded, limit: 0, model: m", "RESOURCE_EXHAUSTED"), "quota"),
        (429, _error("exceeded, limit: 0\nPlease", "RESOURCE_EXHAUSTED"), "quota"),
        (429, _error("exceeded, limit: 05, model: m", "RESOURCE_EXHAUSTED"), None),
        (
            400,
            _error("The input token count (9) exceeds the maximum number of tokens allowed (8).", "INVALID_ARGUMENT"),
            "context_too_long",
        ),
    ],
)
def test_error_kinds(status: int, body: Any, kind: Optional[str]) -> None:
    """Google's status word, its reasons and its quotas tell the kind; what they do not tell, the status does."""
    for given_body in (body, [body]):
        info = _WIRE.decode_error(status, given_body)
        assert (info.message, info.code, info.kind) == (body["error"]["message"], body["error"]["status"], kind)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Not found", ("Not found", None, None)),
        ("", (None, None, None)),
        ({"error": "invalid_grant"}, ("invalid_grant", None, None)),
        (_error(None, None), (None, "7", None)),
        ({"error": {"details": 7, "message": ["a"]}}, ("['a']", None, None)),
        ([], (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_odd_errors(body: Any, expected: tuple[Any, ...]) -> None:
    """An error's body may have any shape."""
    assert _WIRE.decode_error(400, body)[:3] == expected


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}], 34.5),
        ([{"retryDelay": "7s"}, {"retryDelay": "9s"}], 7.0),
        ([{"retryDelay": "34"}], None),
        ([{"retryDelay": "-3s"}], None),
        ([{"retryDelay": 3}], None),
        ([], None),
    ],
)
def test_the_wait_that_a_body_asks_for(details: list[Any], seconds: Optional[float]) -> None:
    """Google says it in the error's details; what is no duration is nothing."""
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow down", "details": details}
    assert _WIRE.decode_error(429, {"error": error}).retry_after == seconds
