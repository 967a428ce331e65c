"""One response while it comes: groups of events, partial results, texts, and what is kept of a cut one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional, Union

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from syncagent import Agent, ModelRetry, RunContext
from syncagent.exceptions import ModelConnectionError
from syncagent.jsonable import dump_str
from syncagent.messages import (
    FinalResultEvent,
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from syncagent.models.base import Model, StreamedResponse
from syncagent.models.function import AgentInfo, DeltaToolCall, FunctionModel
from syncagent.models.wire import ResponseInfo
from syncagent.response_stream import GrowingText, PartialResult, debounced, partial_response
from syncagent.settings import ModelSettings
from syncagent.tools import ModelRequestParameters
from syncagent.usage import Usage


@attrs.define
class City:
    """A city."""

    name: str
    people: int = 0


class Born(TypedDict):
    """A birth."""

    year: int
    place: str


class Paced:
    """What a paced model reads from: items, errors, and numbers, which are seconds of silence."""

    def __init__(self, items: list[Any]) -> None:
        self.until: Optional[float] = None
        self.paused = False
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            if isinstance(item, Exception):
                raise item
            if not isinstance(item, (int, float)):
                yield item
                continue
            end = time.monotonic() + item
            while self.until is not None and self.until < end:
                time.sleep(max(0.0, self.until - time.monotonic()))
                self.until, self.paused = None, True
                yield ResponseInfo()
            time.sleep(max(0.0, end - time.monotonic()))


class PacedModel(Model):
    """Streams items with silences between them, and can be waited for."""

    model_name = "paced"
    system = "test"

    def __init__(self, *items: Any, paced: bool = True) -> None:
        self._items = list(items)
        self._paced = paced

    def request(self, *_: Any) -> ModelResponse:
        raise AssertionError("this model only streams")

    @contextmanager
    def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> Iterator[StreamedResponse]:
        pace = Paced(self._items)
        response = StreamedResponse(iter(pace), model_name="paced")
        if self._paced:
            response.pace = pace
        yield response


def start(text: str, index: int = 0) -> PartStartEvent:
    return PartStartEvent(index, TextPart(text))


def more(text: str, index: int = 0) -> PartDeltaEvent:
    return PartDeltaEvent(index, TextPartDelta(text))


def streamed(model: Model, result_type: Any = str, **options: Any) -> Any:
    """The ``with`` of a first response's stream."""

    @contextmanager
    def opened() -> Iterator[Any]:
        with Agent(model, result_type=result_type, **options).iter("Hello") as run:
            with run.next().stream(run.ctx) as stream:
                yield stream

    return opened()


# --- groups ---------------------------------------------------------------------------------------


def test_groups_without_debouncing_are_single_events() -> None:
    """``debounce_by=None`` gives every event by itself, with the one that says final behind its part."""
    with streamed(PacedModel(start("a"), more("b"), 0.05, more("c"))) as stream:
        groups = list(debounced(stream, None))
    assert groups == [[start("a"), FinalResultEvent(None, None)], [more("b")], [more("c")]]


def test_groups_come_when_they_are_due() -> None:
    """The first group comes at once, those after it when their time is over, silence or not; none is empty."""
    items = [start("a"), 0.05, more("b"), 0.05, more("c"), 0.3, more("d"), more("e")]
    with streamed(PacedModel(*items)) as stream:
        began = time.monotonic()
        groups = [(group, time.monotonic() - began) for group in debounced(stream, 0.2)]
    assert [group for group, _ in groups] == [
        [start("a"), FinalResultEvent(None, None)],
        [more("b"), more("c")],
        [more("d"), more("e")],
    ]
    first, second, third = (moment for _, moment in groups)
    assert first < 0.04
    assert 0.19 < second < 0.3
    assert 0.38 < third < 0.6


def test_groups_of_a_model_that_cannot_tell() -> None:
    """A model without a pace is read until the time is over, and nothing is lost."""
    items = [start("a"), more("b"), 0.15, more("c"), 0.15, more("d")]
    with streamed(PacedModel(*items, paced=False)) as stream:
        groups = list(debounced(stream, 0.1))
    assert [event for group in groups for event in group if not isinstance(event, FinalResultEvent)] == [
        start("a"),
        *map(more, "bcd"),
    ]
    assert len(groups) == 3


def test_what_came_before_an_error_is_handed_out() -> None:
    """A stream that breaks inside a group gives the group first, and then the error."""

    items = [start("a"), more("b"), more("c"), ModelConnectionError("cut", model_name="m")]
    for paced in (True, False):
        came: list[Any] = []
        with pytest.raises(ModelConnectionError, match="cut"):
            with streamed(PacedModel(*items, paced=paced)) as stream:
                for group in debounced(stream, 5):
                    came += group
        assert [event for event in came if isinstance(event, PartDeltaEvent)] == [more("b"), more("c")]


def test_waiting_for_an_event() -> None:
    """``wait`` says whether there is an event in time; what it found is handed out next, also as a group."""
    with streamed(PacedModel(start("a"), 0.2, more("b"), more("c"))) as stream:
        assert stream.wait(1)
        assert next(iter(stream)) == start("a")
        assert stream.wait(0)  # the event that says final
        assert next(iter(stream)) == FinalResultEvent(None, None)
        began = time.monotonic()
        assert not stream.wait(0.05)
        assert 0.04 < time.monotonic() - began < 0.15
        assert stream.wait(1)
        assert stream.wait(0)
        assert next(debounced(stream, 1)) == [more("b"), more("c")]
        assert stream.wait(0)
        assert list(stream) == []
        assert stream.wait(0)


def test_the_final_event_stands_behind_its_part() -> None:
    """In a group as one by one, the event that says final comes once, right after the part that can be it."""
    items = [
        PartStartEvent(0, ThinkingPart("hm")),
        PartStartEvent(1, ToolCallPart("tool", {"x": 1})),
        PartStartEvent(2, ToolCallPart("final_result", '{"name": "x"}', "id")),
        PartStartEvent(3, ToolCallPart("final_result", '{"name": "y"}', "other")),
    ]
    expected = [*items[:3], FinalResultEvent("final_result", "id"), items[3]]
    with pytest.raises(ZeroDivisionError), streamed(PacedModel(*items), City) as stream:
        assert [event for group in debounced(stream, 1) for event in group] == expected
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), streamed(PacedModel(*items), City) as stream:
        assert list(stream) == expected
        raise ZeroDivisionError


def test_text_is_final_only_where_it_may_be() -> None:
    """Where the result is typed and its mode is ``tool``, text is not announced as final."""
    with pytest.raises(ZeroDivisionError), streamed(PacedModel(start("a")), City) as stream:
        assert list(stream) == [start("a")]
        raise ZeroDivisionError


@pytest.mark.parametrize("debounce_by", [None, 5])
@pytest.mark.parametrize("paced", [True, False])
def test_long_texts_are_packed(paced: bool, debounce_by: Optional[float]) -> None:
    """Ten thousand pieces are one text, whenever somebody looks, and so are those of a call and of thinking."""
    count = 10_000
    items: list[Any] = [
        start("x"),
        PartStartEvent(1, ThinkingPart("")),
        PartStartEvent(2, ToolCallPart("t", "")),
    ]
    for number in range(count):
        items.append(more(f"{number},"))
        items.append(PartDeltaEvent(1, ThinkingPartDelta(f"{number};")))
        items.append(PartDeltaEvent(2, ToolCallPartDelta(args_delta=f"{number}.")))
    with pytest.raises(ZeroDivisionError), streamed(PacedModel(*items, paced=paced)) as stream:
        for place, _ in enumerate(debounced(stream, debounce_by)):
            if place == 9_000:
                assert stream.get().parts[0].content.startswith("x0,1,2,")
        text, thinking, call = stream.get().parts
        assert text == TextPart("x" + "".join(f"{number}," for number in range(count)))
        assert thinking == ThinkingPart("".join(f"{number};" for number in range(count)))
        assert call == ToolCallPart("t", "".join(f"{number}." for number in range(count)))
        raise ZeroDivisionError


def test_a_slip_of_a_model_at_its_end() -> None:
    """What a model's own clean-up raises is no secret."""

    class Slipping(PacedModel):
        @contextmanager
        def request_stream(self, *arguments: Any) -> Iterator[StreamedResponse]:
            with super().request_stream(*arguments) as response:
                yield response
            raise ValueError("a slip")

    with pytest.raises(ValueError, match="a slip"), streamed(Slipping(start("a"))) as stream:
        list(stream)


# --- partial results --------------------------------------------------------------------------------


def values(result_type: Any, *pieces: str, mode: Optional[str] = None, validator: Any = None) -> list[Any]:
    """The partial values of a result that comes in *pieces*, and the result."""

    def stream(messages: list[ModelMessage], info: AgentInfo) -> Iterator[Any]:
        if mode is None:
            yield {0: DeltaToolCall(info.result_tools[0].name, "", "id")}
            for piece in pieces:
                yield {0: DeltaToolCall(json_args=piece)}
        else:
            yield from pieces

    agent: Agent[None, Any] = Agent(
        FunctionModel(stream_function=stream), result_type=result_type, result_mode=mode, result_retries=0
    )
    if validator is not None:
        agent.result_validator(validator)
    with agent.run_stream("Hello") as result:
        return list(result.stream(debounce_by=None))


def test_partial_objects() -> None:
    """A value is given as soon as what is required is there, strings as far as they came; the last comes twice."""
    assert values(City, '{"na', 'me": "Pa', 'ris", "people": 21', "00}") == [
        City("Pa"),
        City("Paris"),
        City("Paris", 2100),
        City("Paris", 2100),
    ]


@pytest.mark.parametrize(
    ("result_type", "whole", "partial"),
    [
        (Born, '{"year": 1815, "place": "London"}', {"year": 1815, "place": "L"}),
        (list[int], '{"response": [1, 2, 3]}', [1]),
        (dict[str, Any], '{"response": {"a": [1, 2]}}', {"a": [1]}),
        (int, '{"response": 7}', 7),
        (Optional[City], '{"name": "Paris"}', City("P")),
    ],
)
def test_partial_results_of_every_kind(result_type: Any, whole: str, partial: Any) -> None:
    """Attrs classes, TypedDicts, lists, dicts, numbers and unions come in parts, and a part stays as it was."""
    given = values(result_type, *whole)
    assert partial in given
    assert given[-1] == given[-2]
    assert all(one != given[-1] or index >= given.index(given[-1]) for index, one in enumerate(given))


@pytest.mark.parametrize("result_type", [City, list[City], Union[City, Born]])
@pytest.mark.parametrize("fence", [("", ""), ("```json\n", "\n```"), ("\n ```\n", "```"), ("\n", "\n")])
@pytest.mark.parametrize("mode", ["native", "prompted"])
def test_partial_results_in_text(result_type: Any, fence: tuple[str, str], mode: str) -> None:
    """Results that come as text are read while they come; around a prompted one there may be a code fence."""
    if mode == "native" and "`" in fence[0]:
        pytest.skip("a provider's JSON has no fence")
    inner = '{"name": "Paris", "people": 7}'
    wrapped = f"[{inner}]" if result_type == list[City] else inner
    text = inner if result_type is City else '{"response": ' + wrapped + "}"
    paris = City("Paris", 7)
    given = values(result_type, *(fence[0] + text + fence[1]), mode=mode)
    assert given[-1] == ([paris] if result_type == list[City] else paris)
    assert ([City("Par")] if result_type == list[City] else City("Par")) in given


def test_text_that_is_no_json_has_no_parts() -> None:
    """Text where JSON was asked for gives no value, and is no result in the end."""
    from syncagent.exceptions import UnexpectedModelBehavior

    for text in ("Sure! Here it is", "```" + "x" * 200, "``", "`"):
        with pytest.raises(UnexpectedModelBehavior, match="maximum retries"):
            values(City, *text, mode="prompted")


def test_validators_see_every_partial_value() -> None:
    """A partial value that a validator refuses is left out; one that it changes is given changed."""
    seen: list[City] = []

    def check(ctx: RunContext[None], city: City) -> City:
        assert ctx.tool_name == "final_result"
        assert ctx.tool_call_id == "id"
        seen.append(city)
        if len(city.name) < 3:
            raise ModelRetry("too short")
        return City(city.name.upper(), city.people)

    assert values(City, '{"name": "P', "ar", 'is"}', validator=check) == [City("PAR"), City("PARIS"), City("PARIS")]
    assert [city.name for city in seen] == ["P", "Par", "Paris", "Paris"]


def test_an_error_of_a_validator_passes_through() -> None:
    """What is no refusal ends the stream as it ends a run."""

    def check(city: City) -> City:
        raise ValueError("a slip")

    with pytest.raises(ValueError, match="a slip"):
        values(City, '{"name": "Paris"}', validator=check)


def test_arguments_that_come_as_objects() -> None:
    """A model may give a call's arguments as objects, one after the other."""
    items = [
        PartStartEvent(0, ToolCallPart("final_result", {"name": "Paris"}, "id")),
        PartDeltaEvent(0, ToolCallPartDelta(args_delta={"people": 7})),
        PartDeltaEvent(0, ToolCallPartDelta()),
    ]
    with Agent(PacedModel(*items), result_type=City).run_stream("Hello") as result:
        paris = City("Paris", 7)
        assert list(result.stream(debounce_by=None)) == [City("Paris"), paris, paris, paris]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, st.lists(st.integers(0, 80), max_size=10), st.booleans())
def test_any_cut_of_a_result(value: Any, cuts: list[int], fenced: bool) -> None:
    """However a result's text is cut, the last value is the whole one, and none of those before it grows."""
    text = dump_str({"response": value})
    text = f"```json\n{text}\n```" if fenced else text
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[begin:end] for begin, end in zip(places, places[1:])]

    def stream(messages: list[ModelMessage], info: AgentInfo) -> Iterator[str]:
        yield from pieces

    agent: Agent[None, Any] = Agent(
        FunctionModel(stream_function=stream), result_type=list[Any], result_mode="prompted", result_retries=0
    )
    with agent.run_stream("Hello") as result:
        given, copies = [], []
        if isinstance(value, list):
            for one in result.stream(debounce_by=None):
                given.append(one)
                copies.append(dump_str(one))
            assert given[-1] == value
            assert [dump_str(one) for one in given] == copies


@given(JSON, JSON, st.lists(st.tuples(st.booleans(), st.integers(1, 6)), max_size=30))
def test_two_results_side_by_side(one: Any, other: Any, turns: list[tuple[bool, int]]) -> None:
    """Two results whose pieces come in turns are read apart."""
    agent: Agent[None, Any] = Agent(FunctionModel(lambda *_: ModelResponse([])), result_type=list[Any])
    with agent.iter("Hello") as run:
        rests = [dump_str({"response": [value]}) for value in (one, other)]
        readers = [PartialResult(run.plan, run.ctx.state) for _ in rests]
        for reader in readers:
            reader.feed([PartStartEvent(0, ToolCallPart("final_result", ""))])
        for which, size in [*turns, (False, 10_000), (True, 10_000)]:
            piece, rests[which] = rests[which][:size], rests[which][size:]
            readers[which].feed([PartDeltaEvent(0, ToolCallPartDelta(args_delta=piece))])
            readers[which].value()
        assert [reader.value() for reader in readers] == [(True, [one]), (True, [other])]


# --- texts and what is kept -----------------------------------------------------------------------


def test_texts_of_parts_are_joined_by_blank_lines() -> None:
    """A blank line stands between two parts that hold text, and nowhere else."""
    text = GrowingText()
    events = [start(""), start("a", 1), more("b", 1), start("", 2), more("", 2), more("c", 2), start("d", 3)]
    assert [text.feed(event) for event in events] == ["", "a", "b", "", "", "\n\nc", "\n\nd"]
    assert text.feed(PartStartEvent(4, ThinkingPart("x"))) == ""
    assert text.text() == text.text() == "ab\n\nc\n\nd"
    text.restore("x")
    assert text.text() == "x"
    assert GrowingText().text() == ""


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        ([TextPart("a"), ToolCallPart("t", "{}", "id"), ThinkingPart("b")], [TextPart("a"), ThinkingPart("b")]),
        ([ToolCallPart("t", "{}", "id")], None),
        ([TextPart("")], None),
        ([], None),
    ],
)
def test_what_is_kept_of_a_cut_response(
    parts: list[ModelResponsePart], kept: Optional[list[ModelResponsePart]]
) -> None:
    """Text and thinking stay, marked as incomplete; calls that nobody answers go; nothing is no response."""
    response = ModelResponse(parts, finish_reason="stop", provider_details={"x": 1}, usage=Usage(1))
    made = partial_response(response)
    if kept is None:
        assert made is None
    else:
        assert made is not None
        assert made.parts == kept
        assert made.finish_reason is None
        assert made.provider_details == {"x": 1, "incomplete": True}


def test_responses_and_outputs_of_a_node() -> None:
    """A node's stream gives the response so far, or the partial results, each time it has grown."""
    with streamed(PacedModel(start("a"), more("b"))) as stream:
        texts = [response.parts[0].content for response in stream.stream_responses(debounce_by=None)]
    assert texts == ["a", "ab"]
    with streamed(PacedModel(start("a"), more("b"))) as stream:
        assert list(stream.stream_output(debounce_by=None)) == ["a", "ab"]
        assert stream.timestamp == stream.get().timestamp
        assert stream.usage() == Usage()
