"""What every model has, and how a streamed response grows out of events."""

from __future__ import annotations

import datetime as dt
from typing import Any, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncagent.exceptions import UnexpectedModelBehavior
from syncagent.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OpaquePart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    UserPromptPart,
)
from syncagent.models.base import Model, StreamedResponse, response_of
from syncagent.models.profiles import ModelProfile
from syncagent.models.wire import ResponseInfo
from syncagent.tools import ModelRequestParameters
from syncagent.usage import Usage

HI: list[ModelMessage] = [ModelRequest([UserPromptPart("hi")])]


class Own(Model):
    """The least that a model must have."""

    model_name = "own"  # type: ignore[assignment] # a plain attribute does as well as a property
    system = "mine"  # type: ignore[assignment] # the same

    def request(self, messages: Any, model_settings: Any, model_request_parameters: Any) -> ModelResponse:
        return ModelResponse([TextPart("answer")])


def _response(*items: Any, **keywords: Any) -> StreamedResponse:
    return StreamedResponse(items, model_name="m", **keywords)


# --- Model -----------------------------------------------------------------------------------------


def test_a_model_of_ones_own() -> None:
    """``request``, a name and a system are all that a model must have; it has no address and can do what is usual."""
    model = Own()
    assert model.request(HI, None, ModelRequestParameters()).parts == [TextPart("answer")]
    assert model.base_url is None
    assert model.profile == ModelProfile()
    model.check()


def test_no_streaming() -> None:
    """A model without streams says so, with its class's name."""
    with pytest.raises(NotImplementedError, match=r"^Streamed requests not supported by this Own$"):
        with Own().request_stream(HI, None, ModelRequestParameters()):
            pass


def test_abstract() -> None:
    """A model without ``request`` cannot be built."""
    with pytest.raises(TypeError, match="abstract"):
        Model()  # type: ignore[abstract] # that is the point


def test_response_of() -> None:
    """A response is taken as it is; of the older pair the usage goes into a new response."""
    response, usage = ModelResponse([TextPart("x")]), Usage(request_tokens=3)
    assert response_of(response) is response
    paired = response_of((response, usage))
    assert (paired.parts, paired.usage) == (response.parts, usage)
    assert response.usage == Usage()


@pytest.mark.parametrize("answer", [None, "text", (ModelResponse([]), None), (1, Usage()), (ModelResponse([]),)])
def test_response_of_something_else(answer: Any) -> None:
    """Anything else is a TypeError that says what came."""
    with pytest.raises(TypeError, match=f"returns a ModelResponse; got {type(answer).__name__}"):
        response_of(answer)


# --- StreamedResponse ------------------------------------------------------------------------------


def test_events_and_parts() -> None:
    """The events come as they are, and the parts hold what they add up to, ordered by index."""
    events = [
        PartStartEvent(1, ThinkingPart("hm", signature="s")),
        PartStartEvent(0, TextPart("He")),
        PartDeltaEvent(0, TextPartDelta("llo")),
        PartDeltaEvent(1, ThinkingPartDelta(", well")),
        PartStartEvent(2, ToolCallPart("t", "{", "id")),
        PartDeltaEvent(2, ToolCallPartDelta(args_delta="}")),
        PartStartEvent(3, OpaquePart("p", {"a": 1})),
    ]
    response = _response(*events)
    assert list(response) == events
    assert response.get().parts == [
        TextPart("Hello"),
        ThinkingPart("hm, well", signature="s"),
        ToolCallPart("t", "{}", "id"),
        OpaquePart("p", {"a": 1}),
    ]


def test_a_part_that_starts_again() -> None:
    """A start for an index that has a part replaces the part."""
    response = _response(PartStartEvent(0, TextPart("no")), PartStartEvent(0, TextPart("yes")))
    list(response)
    assert response.get().parts == [TextPart("yes")]


def test_iterating_twice_goes_on() -> None:
    """There is one pass over the events; a second loop goes on where the first stopped."""
    response = _response(PartStartEvent(0, TextPart("a")), PartDeltaEvent(0, TextPartDelta("b")))
    assert next(iter(response)) == PartStartEvent(0, TextPart("a"))
    assert response.get().parts == [TextPart("a")]
    assert list(response) == [PartDeltaEvent(0, TextPartDelta("b"))]
    assert list(response) == []


def test_what_was_handed_out_stays() -> None:
    """A response or an event that was handed out is not changed by what comes later, nor the other way round."""
    thinking = PartDeltaEvent(1, ThinkingPartDelta("2", provider_name="p"))
    response = _response(
        PartStartEvent(0, TextPart("a")),
        PartStartEvent(1, ThinkingPart("1")),
        thinking,
        PartDeltaEvent(0, TextPartDelta("b")),
        PartDeltaEvent(1, ThinkingPartDelta(signature_delta="s")),
        PartDeltaEvent(1, ThinkingPartDelta("3", provider_name="p")),
    )
    events = iter(response)
    start, other = next(events), next(events)
    before = response.get()
    assert isinstance(start, PartStartEvent)
    start.part = TextPart("changed")
    list(events)
    assert before.parts == [TextPart("a"), ThinkingPart("1")]
    assert other == PartStartEvent(1, ThinkingPart("1"))
    assert response.get().parts == [TextPart("ab"), ThinkingPart("123", None, "s", "p")]


def test_the_part_in_an_event_is_the_consumers() -> None:
    """Who changes the part of a start event does not change the response."""
    response = _response(PartStartEvent(0, TextPart("a")), PartDeltaEvent(1, TextPartDelta("b")))
    for event in response:
        assert isinstance(event, PartStartEvent)
        event.part.content = "changed"  # type: ignore[union-attr] # a text
    assert response.get().parts == [TextPart("a"), TextPart("b")]


def test_a_delta_begins_a_part() -> None:
    """A delta for an index where nothing is yet comes out as the start of a part."""
    response = _response(
        PartDeltaEvent(0, TextPartDelta("a")),
        PartDeltaEvent(1, ThinkingPartDelta("hm", "sig", "p")),
        PartDeltaEvent(2, ToolCallPartDelta("t", {"a": 1}, "id")),
        PartDeltaEvent(2, ToolCallPartDelta(args_delta={"b": 2})),
    )
    assert list(response) == [
        PartStartEvent(0, TextPart("a")),
        PartStartEvent(1, ThinkingPart("hm", None, "sig", "p")),
        PartStartEvent(2, ToolCallPart("t", {"a": 1}, "id")),
        PartDeltaEvent(2, ToolCallPartDelta(args_delta={"b": 2})),
    ]
    assert response.get().parts[2] == ToolCallPart("t", {"a": 1, "b": 2}, "id")


def test_a_tool_call_is_announced_once_it_is_whole() -> None:
    """A tool call begins when it has a name and arguments; until then it is held back, and out of the response."""
    response = _response(
        PartDeltaEvent(0, ToolCallPartDelta(tool_call_id="id")),
        PartDeltaEvent(0, ToolCallPartDelta("get_")),
        PartDeltaEvent(1, TextPartDelta("x")),
        PartDeltaEvent(0, ToolCallPartDelta("time")),
        PartDeltaEvent(0, ToolCallPartDelta(args_delta="{")),
        PartDeltaEvent(0, ToolCallPartDelta(args_delta="}")),
    )
    events = iter(response)
    assert next(events) == PartStartEvent(1, TextPart("x"))
    assert response.get().parts == [TextPart("x")]
    assert list(events) == [
        PartStartEvent(0, ToolCallPart("get_time", "{", "id")),
        PartDeltaEvent(0, ToolCallPartDelta(args_delta="}")),
    ]
    assert response.get().parts == [ToolCallPart("get_time", "{}", "id"), TextPart("x")]


@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        ([ToolCallPartDelta("t", "{"), ToolCallPartDelta(args_delta={"a": 1})], "Cannot apply dict deltas to non-dict"),
        ([ToolCallPartDelta("t", {}), ToolCallPartDelta(args_delta="{")], "Cannot apply JSON deltas to non-JSON"),
        ([ToolCallPartDelta("t", "", "1"), ToolCallPartDelta(tool_call_id="2")], "Cannot apply a new tool_call_id"),
        ([ToolCallPartDelta("t", None, "1"), ToolCallPartDelta(None, "", "2")], "Cannot apply a new tool_call_id"),
    ],
)
def test_tool_call_deltas_that_do_not_fit(deltas: list[ToolCallPartDelta], text: str) -> None:
    """Text for a dict, a dict for text and a changed id are ``UnexpectedModelBehavior``."""
    with pytest.raises(UnexpectedModelBehavior, match=text):
        list(_response(*(PartDeltaEvent(0, delta) for delta in deltas)))


@pytest.mark.parametrize(
    ("first", "delta"),
    [
        (PartStartEvent(0, ThinkingPart("")), TextPartDelta("x")),
        (PartStartEvent(0, TextPart("")), ThinkingPartDelta("x")),
        (PartStartEvent(0, TextPart("")), ToolCallPartDelta("t", "{}")),
        (PartDeltaEvent(0, ToolCallPartDelta("t")), TextPartDelta("x")),
    ],
)
def test_deltas_of_another_kind(first: Any, delta: Any) -> None:
    """A delta for a part of another kind is a ValueError: the mapping that made it is wrong."""
    with pytest.raises(ValueError, match=f"Cannot apply {type(delta).__name__}s to non-"):
        list(_response(first, PartDeltaEvent(0, delta)))


def test_something_else_in_a_stream() -> None:
    """Anything but events and facts is a TypeError that says what came."""
    with pytest.raises(TypeError, match="PartStartEvent, PartDeltaEvent and ResponseInfo; got str"):
        list(_response("text"))


def test_facts() -> None:
    """Facts come between the events and are no events; later ones update earlier ones, empty ones change nothing."""
    moment = dt.datetime(2025, 3, 15, tzinfo=dt.timezone.utc)
    response = _response(
        ResponseInfo(usage=Usage(request_tokens=1), model_name="m-1", provider_details={"a": 1, "b": 1}),
        PartStartEvent(0, TextPart("x")),
        ResponseInfo(
            usage=Usage(request_tokens=2),
            finish_reason="stop",
            provider_response_id="id",
            provider_details={"b": 2},
            complete=True,
        ),
        ResponseInfo(),
        provider_name="p",
        timestamp=moment,
    )
    assert (response.model_name, response.usage(), response.info.complete) == ("m", Usage(), False)
    assert list(response) == [PartStartEvent(0, TextPart("x"))]
    assert response.info.complete
    whole = response.get()
    assert whole == ModelResponse([TextPart("x")], "m-1", moment)
    assert whole.usage == response.usage() == Usage(request_tokens=2)
    assert (whole.finish_reason, whole.provider_name, whole.provider_response_id) == ("stop", "p", "id")
    assert whole.provider_details == {"a": 1, "b": 2}
    assert response.model_name == "m-1"


def test_timestamp_is_now_by_default() -> None:
    """Without a time of the provider's the response begins now, in UTC."""
    before = dt.datetime.now(dt.timezone.utc)
    assert before <= _response().timestamp <= dt.datetime.now(dt.timezone.utc)
    assert _response().get().parts == []


@pytest.mark.parametrize(
    ("events", "read"),
    [
        ([PartStartEvent(0, TextPart("a")), PartDeltaEvent(0, TextPartDelta("b"))], 1),
        ([PartStartEvent(0, TextPart("")), PartDeltaEvent(0, TextPartDelta("b"))], 2),
        ([PartStartEvent(0, OpaquePart("p", {})), PartStartEvent(1, TextPart("b"))], 1),
        ([PartStartEvent(0, ToolCallPart("t", {})), PartStartEvent(1, TextPart("b"))], 2),
        ([PartStartEvent(0, TextPart(""))], 1),
        ([], 0),
    ],
)
def test_begin_reads_up_to_the_first_content(events: list[Any], read: int) -> None:
    """``begin()`` reads until there is content to hand out, and iterating gives everything from the start."""
    taken = []

    def items() -> Any:
        for event in events:
            taken.append(event)
            yield event

    response = StreamedResponse(items(), model_name="m")
    response.begin()
    assert len(taken) == read
    assert list(response) == events


_DELTAS = st.one_of(
    st.text(max_size=3).map(TextPartDelta),
    st.builds(
        ThinkingPartDelta, st.none() | st.text(max_size=3), st.none() | st.just("s"), st.sampled_from([None, "p", "q"])
    ),
    st.builds(ToolCallPartDelta, st.none() | st.just("t"), st.none() | st.text(max_size=3)),
)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from([TextPartDelta, ThinkingPartDelta, ToolCallPartDelta]),
    deltas=st.lists(_DELTAS, max_size=12),
    look=st.integers(0, 12),
)
def test_a_part_is_the_sum_of_its_deltas(kind: type, deltas: list[Any], look: int) -> None:
    """However a part is cut into deltas, and whenever somebody looks, it is what applying each in turn gives."""
    deltas = [delta for delta in deltas if type(delta) is kind]
    empty: dict[type, Any] = {
        TextPartDelta: TextPart(""),
        ThinkingPartDelta: ThinkingPart(""),
        ToolCallPartDelta: ToolCallPartDelta(),
    }
    expected: Union[Any] = empty[kind]
    for delta in deltas:
        expected = delta.apply(expected)
    response = _response(*(PartDeltaEvent(0, delta) for delta in deltas))
    for number, _ in enumerate(response):
        if number == look:
            response.get()
    whole = [] if not deltas or isinstance(expected, ToolCallPartDelta) else [expected]
    assert response.get().parts == whole
