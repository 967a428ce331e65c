"""What responses cost, and runs that may cost no more than so much."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

import syncagent
from syncagent import Agent, prices
from syncagent.exceptions import UsageLimitExceeded, UserError
from syncagent.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse, TextPart
from syncagent.models.fallback import FallbackModel
from syncagent.models.function import AgentInfo, FunctionModel
from syncagent.models.openai import OpenAIModel
from syncagent.models.test import TestModel
from syncagent.models.wrapper import WrapperModel
from syncagent.prices import PriceTable, cost_of, may_be_priced
from syncagent.usage import Usage, UsageLimits

_TABLE = {"openai:gpt-x": {"input": 2, "cache_read": "0.5", "output": 10}}
_NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.timezone.utc)
_SNAPSHOT: dict[str, Any] = json.loads((Path(syncagent.__file__).parent / "prices.json").read_text(encoding="utf-8"))


@pytest.fixture
def snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without genai-prices."""
    monkeypatch.setattr(prices, "_genai_prices", lambda: None)


def _cost(usage: Usage, row: dict[str, Any]) -> Optional[Decimal]:
    return cost_of(usage, "m", "p", prices=PriceTable({"p:m": row}))


def _answer(usage: Usage, name: Optional[str] = "gpt-x", provider: Optional[str] = "openai") -> FunctionModel:
    """A model that says who answered, and what it took."""

    def function(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse([TextPart("Hey.")], name, usage=usage, provider_name=provider)

    return FunctionModel(function)


# --- the sum -------------------------------------------------------------------------------------------


def test_each_token_is_counted_once() -> None:
    """Cached and written tokens are part of what was sent, and cost what they cost."""
    usage = Usage(1, 1000, 100, details={"cached_tokens": 300, "cache_write_tokens": 200})
    assert _cost(usage, {"input": 10, "output": 20}) == Decimal("0.012")
    row = {"input": 10, "cache_read": 1, "cache_write": "12.5", "output": 20}
    assert _cost(usage, row) == (500 * 10 + 300 * 1 + 200 * Decimal("12.5") + 100 * 20) / Decimal(1_000_000)


def test_an_hour_in_the_cache() -> None:
    """What is written for an hour has its own price, else that of five minutes."""
    usage = Usage(1, 100, 0, details={"cache_write_tokens": 100, "ephemeral_1h_input_tokens": 40})
    row = {"input": 1, "cache_write": 2, "output": 1}
    assert _cost(usage, row) == Decimal(200) / 1_000_000
    assert _cost(usage, {**row, "cache_write_1h": 4}) == Decimal(60 * 2 + 40 * 4) / 1_000_000


def test_a_long_prompt_costs_more_for_all_its_tokens() -> None:
    """A tier begins above its number, and holds for what comes back too."""
    row = {"input": [1, [500, 7], [100, 3]], "output": [2, [100, 4]]}
    assert _cost(Usage(1, 100, 10), row) == Decimal(100 * 1 + 10 * 2) / 1_000_000
    assert _cost(Usage(1, 101, 10), row) == Decimal(101 * 3 + 10 * 4) / 1_000_000
    assert _cost(Usage(1, 501, 0), row) == Decimal(501 * 7) / 1_000_000


def test_sound_thinking_and_requests() -> None:
    """Sound and thinking have prices of their own where they cost something else."""
    row = {"input": 1, "input_audio": 10, "output": 2, "output_audio": 20, "output_reasoning": 5, "requests": 3}
    heard = Usage(1, 50, 20, details={"audio_prompt_tokens": 30, "audio_candidates_tokens": 5, "reasoning_tokens": 6})
    assert _cost(heard, row) == Decimal(20 * 1 + 30 * 10 + 5 * 20 + 6 * 5 + 9 * 2 + 3000) / 1_000_000
    unsaid = Usage(1, 50, 20, details={"audio_tokens": 45})
    assert _cost(unsaid, row) == Decimal(25 * 1 + 25 * 10 + 20 * 20 + 3000) / 1_000_000


def test_what_is_not_known_has_no_cost() -> None:
    """No counts, no name, no price of what came back: None, never zero."""
    assert _cost(Usage(1), {"input": 1, "output": 1}) is None
    assert _cost(Usage(1, 5, 5), {"input": 1}) is None
    assert _cost(Usage(1, 5, 5), {"output": 1}) is None
    assert _cost(Usage(1, 5, 0), {"input": 1}) == Decimal(5) / 1_000_000
    assert cost_of(Usage(1, 5, 5), None, "openai") is None
    assert cost_of(Usage(1, 5, 5), "no-such-model", "openai") is None
    assert cost_of(Usage(1, 5, 5), "gpt-4o", "no-such-provider") is None


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**6),
    st.dictionaries(
        st.sampled_from(
            "cached_tokens cache_write_tokens ephemeral_1h_input_tokens audio_tokens audio_prompt_tokens "
            "audio_candidates_tokens reasoning_tokens".split()
        ),
        st.integers(0, 10**7),
    ),
)
def test_no_counts_make_a_negative_cost(sent: int, received: int, details: dict[str, int]) -> None:
    """Where a server's parts are more than its whole, the cost is that of the dearest reading, not a credit."""
    row = {"input": 2, "cache_read": 1, "cache_write": 3, "input_audio": 5, "output": 7, "output_audio": 9}
    cost = _cost(Usage(1, sent, received, details=details), row)
    assert cost is not None
    assert Decimal(sent + received * 7) <= cost * 1_000_000 <= Decimal(sent * 5 + received * 9)


# --- the tables ----------------------------------------------------------------------------------------


def test_the_callers_table(tmp_path: Path) -> None:
    """By provider and model, by the model alone, with wildcards; the first that fits; from a file too."""
    rows: dict[str, Any] = {"a:x-*": {"input": 1, "output": 1}, "x-?": {"input": 2, "output": 2}, "*": {"input": 3}}
    table = PriceTable(rows)
    assert repr(table) == "<PriceTable of 3 models>" and PriceTable.of(table) is table and PriceTable.of(None) is None
    found = [table.find(*name) for name in (("x-1", "a"), ("x-1", "b"), ("x-1", None), ("y", "a"))]
    assert [row and row["input"] for row in found] == [1, 2, 2, 3]
    path = tmp_path / "prices.json"
    path.write_text('{"m": {"input": 0.1, "output": [0.3, [10, 0.4]]}}')
    response = ModelResponse([], "m", usage=Usage(1, 1, 1))
    assert response.cost(path) == response.cost(str(path)) == Decimal("0.4") / 1_000_000


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([], "prices: expected an object of prices by model, got list"),
        ({"m": 3}, r"prices\['m'\]: expected an object such as"),
        ({"m": {"inptu": 3}}, r"prices\['m'\]: unknown inptu; known are cache_read,"),
        ({"m": {"input": "x"}}, r"prices\['m'\]\['input'\]: expected dollars for a million tokens, got 'x'"),
        ({"m": {"input": -1}}, "expected dollars"),
        ({"m": {"input": True}}, "expected dollars"),
        ({"m": {"input": float("nan")}}, "expected dollars"),
        ({"m": {"input": []}}, "expected dollars"),
        ({"m": {"input": [1, [2]]}}, "expected a pair of tokens and a price"),
        ({"m": {"input": [1, ["2", 3]]}}, "expected a pair"),
    ],
)
def test_tables_that_are_none(source: Any, words: str) -> None:
    """What is wrong with a table is said with its place; under a limit it is the program's error."""
    with pytest.raises(ValueError, match=words):
        ModelResponse([], "m", usage=Usage(1, 1, 1)).cost(source)
    with pytest.raises(UserError, match=words):
        UsageLimits(cost_limit=1, prices=source)


def test_files_that_are_none(tmp_path: Path) -> None:
    """A file that is missing or no JSON is the program's error too."""
    (tmp_path / "no.json").write_text("{")
    for name in ("no.json", "missing.json"):
        with pytest.raises(UserError, match=r"UsageLimits\(prices=\) cannot be used"):
            UsageLimits(cost_limit=1, prices=tmp_path / name)


_ASKED = [
    ("gpt-4o", "openai"),
    ("gpt-4o-2024-08-06", "openai"),
    ("claude-sonnet-4-5-20250929", "anthropic"),
    ("gemini-2.5-pro", "google-gla"),
    ("gemini-2.5-pro", "google-vertex"),
    ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "bedrock"),
    ("deepseek-chat", "deepseek"),
    ("command-r-plus", "cohere"),
    ("mistral-large-latest", "mistral"),
    ("llama-3.3-70b-versatile", "groq"),
    ("anthropic/claude-sonnet-4.5", "openrouter"),
    ("grok-4", "xai"),
    ("gpt-4o", "azure"),
    ("gpt-4o", None),
    ("no-such-model", "openai"),
]


@pytest.mark.parametrize("sent", [1000, 300_000])
@pytest.mark.parametrize(("name", "provider"), _ASKED)
def test_the_snapshot_says_what_its_source_says(
    name: str, provider: Optional[str], sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without genai-prices the same tokens cost the same, short prompts and long ones."""
    pytest.importorskip("genai_prices")
    if _SNAPSHOT["source"].split()[1].rstrip(",") != version("genai-prices"):
        pytest.skip("another version of genai-prices than that of the snapshot")
    usage = Usage(1, sent, 500, details={"cached_tokens": 200})
    installed = cost_of(usage, name, provider, when=_NOON)
    monkeypatch.setattr(prices, "_genai_prices", lambda: None)
    assert cost_of(usage, name, provider, when=_NOON) == installed
    assert (installed is None) == (name == "no-such-model")


@pytest.mark.usefixtures("snapshot")
def test_the_snapshot() -> None:
    """It says where it comes from and under which licence; every line in it can be used."""
    assert _SNAPSHOT["source"].startswith("genai-prices ") and _SNAPSHOT["licence"].startswith("MIT, Copyright")
    assert dt.date.fromisoformat(_SNAPSHOT["date"]) <= dt.date.today()
    for entry in [value for value in _SNAPSHOT.values() if isinstance(value, dict)]:
        assert set(entry["fallback"]) <= set(_SNAPSHOT)
        for _, row, *others in entry["models"]:
            PriceTable({"m": row, **{condition: other for condition, other in others}})
    assert cost_of(Usage(1, 1_000_000, 0), "models/GPT-4o", "openai") == Decimal("2.5")
    assert cost_of(Usage(1, 1_000_000, 0), "gpt-4o-20240806", "openai") == Decimal("2.5")
    for provider in ("no-such-provider", "date"):
        assert cost_of(Usage(1, 1, 1), "gpt-4o", provider) is None


@pytest.mark.usefixtures("snapshot")
def test_prices_of_some_hours_and_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price may hold from a day on, or between hours of each day, in UTC; the last that holds counts."""
    lines = [
        [["=a", {"and": ["^b", "$c"]}], {"input": "1"}, ["2026-12-01", {"input": "2"}]],
        ["~^d\\d$", {"input": "1"}, ["01:00-04:00", {"input": "3"}], ["22:00-00:30", {"input": "4"}]],
    ]
    monkeypatch.setattr(prices, "_snapshot", lambda: {"p": {"fallback": [], "models": lines}})
    prices._line.cache_clear()

    def price(name: str, when: str) -> Optional[Decimal]:
        return cost_of(Usage(1, 1_000_000), name, "p", when=dt.datetime.fromisoformat(when))

    assert [price("a", day) for day in ("2026-11-30T23:59:59", "2026-12-01T00:00:00")] == [1, 2]
    assert price("a", "2026-12-01T00:30:00+01:00") == 1  # it is November in UTC
    assert price("bxc", "2026-01-01") == 1 and price("bx", "2026-01-01") is None
    hours = ("00:59:59", "01:00:00", "04:00:00", "22:30:00", "00:10:00", "00:30:00")
    assert [price("d1", f"2026-11-30T{hour}+00:00") for hour in hours] == [1, 3, 1, 4, 4, 1]
    prices._line.cache_clear()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where genai-prices, or what it needs, is missing, the snapshot is asked."""
    prices._genai_prices.cache_clear()
    monkeypatch.setitem(sys.modules, "genai_prices", None)  # importing it fails
    assert cost_of(Usage(1, 1_000_000, 0), "gpt-4o", "openai") == Decimal("2.5")
    prices._genai_prices.cache_clear()


@pytest.mark.parametrize(
    ("name", "provider", "priced"),
    [("gpt-4o", "openai", True), ("test", "test", True), ("my-deployment", "azure", True), ("x", "ollama", False)],
)
def test_what_a_name_shows(name: str, provider: str, priced: bool) -> None:
    """A known model, what costs nothing here, and names that are the caller's own may have a price."""
    assert may_be_priced(name, provider) is priced


# --- responses and runs --------------------------------------------------------------------------------


def test_the_cost_of_a_response() -> None:
    """What the provider billed counts; with a table of the caller's the table does."""
    response = ModelResponse([], "gpt-x", usage=Usage(1, 1000, 100), provider_name="openai")
    assert response.cost() is None
    assert response.cost(_TABLE) == Decimal("0.003")
    response.usage.cost = Decimal("0.5")
    assert response.cost() == Decimal("0.5") and response.cost(_TABLE) == Decimal("0.003")
    assert ModelResponse([], "test", provider_name="test").cost() == 0


@pytest.mark.parametrize("limit", ["x", -1, True, float("nan"), "inf"])
def test_limits_that_are_none(limit: Any) -> None:
    """A limit is a number of dollars."""
    with pytest.raises(UserError, match="cost_limit is a number of US dollars"):
        UsageLimits(cost_limit=limit)


def test_a_run_keeps_its_limit() -> None:
    """The cost is counted after each response, which is in the history then; over the limit the run ends."""
    agent = Agent(_answer(Usage(1, 1000, 103)))
    limits = UsageLimits(cost_limit=Decimal("0.01"), prices=_TABLE)
    result = agent.run_sync("Hi", usage_limits=limits)
    assert result.usage().cost == Decimal("0.00303")
    usage = Usage(cost=Decimal("0.009"))
    with pytest.raises(UsageLimitExceeded, match=r"^Exceeded the cost_limit of 0\.01 \(cost=0\.01203\)$") as caught:
        agent.run_sync("Hi", usage_limits=limits, usage=usage)
    assert caught.value.messages is not None and isinstance(caught.value.messages[-1], ModelResponse)
    assert usage.cost == Decimal("0.01203")
    assert b'"cost"' not in ModelMessagesTypeAdapter.dump_json(caught.value.messages)


def test_the_same_in_a_stream() -> None:
    """A streamed response costs the same."""
    limits = UsageLimits(cost_limit="0.0001", prices={"*": {"input": 100, "output": 100}})
    with pytest.raises(UsageLimitExceeded, match="Exceeded the cost_limit"):
        with Agent(TestModel()).run_stream("Hi", usage_limits=limits) as stream:
            stream.get_data()


def test_a_stream_ends_as_soon_as_its_usage_is_over_the_limit() -> None:
    """What is known of a response while it comes counts, before the next event; what is not known does not."""
    requests = []

    def chunks(messages: list[ModelMessage], info: AgentInfo) -> Iterator[str]:
        requests.append(len(messages))
        yield from ("word " * 10,) * 100

    table = {"function:*": {"input": 0, "output": 1000}}
    agent = Agent(FunctionModel(stream_function=chunks))
    seen = []
    with pytest.raises(UsageLimitExceeded, match=r"Exceeded the cost_limit of 0\.05"):
        with agent.run_stream("Hi", usage_limits=UsageLimits(cost_limit="0.05", prices=table)) as stream:
            for text in stream.stream_text(delta=True, debounce_by=None):
                seen.append(text)
    assert requests == [1] and len(seen) < 100
    unpriced = UsageLimits(cost_limit="0.05", prices={"function:*": {"input": 0}})
    with pytest.raises(UsageLimitExceeded, match="is not known"):
        with agent.run_stream("Hi", usage_limits=unpriced) as stream:
            stream.get_data()


def test_what_the_provider_billed_is_counted_once() -> None:
    """A cost that came with the usage is taken as it is."""
    agent = Agent(_answer(Usage(1, 1000, 100, cost=Decimal("0.2"))))
    assert agent.run_sync("Hi", usage_limits=UsageLimits(cost_limit=1, prices=_TABLE)).usage().cost == Decimal("0.2")


def test_nothing_is_worked_out_without_a_limit() -> None:
    """Without a cost limit no price is looked up."""
    assert Agent(_answer(Usage(1, 1000, 100))).run_sync("Hi").usage().cost is None
    assert Agent(TestModel()).run_sync("Hi", usage_limits=UsageLimits(cost_limit=0)).usage().cost == 0


@pytest.mark.parametrize("wrap", [lambda model: model, WrapperModel, lambda model: FallbackModel(TestModel(), model)])
def test_a_name_without_a_price_is_refused_before_the_first_request(wrap: Any) -> None:
    """Never free: the error says what to write; a wrapper's and a fallback's models are looked at too."""
    model = OpenAIModel("no-such-model", provider="ollama")
    with pytest.raises(UserError, match=r"'ollama:no-such-model' has no known price\. Give it: UsageLimits"):
        Agent(wrap(model)).run_sync("Hi", usage_limits=UsageLimits(cost_limit=1))


def test_a_response_without_a_price_ends_the_run() -> None:
    """Never free, although the model's name had shown nothing."""
    for model in (_answer(Usage(1, 5, 5)), FallbackModel(_answer(Usage(1, 5, 5), "other"), TestModel())):
        agent = Agent(model)
        if isinstance(model, FallbackModel):
            with pytest.raises(UsageLimitExceeded, match="The cost of a response of other is not known, so the cost_"):
                agent.run_sync("Hi", usage_limits=UsageLimits(cost_limit="1.50"))
        else:
            limits = UsageLimits(cost_limit="1.50", prices={"function:*": {"input": 1}})
            with pytest.raises(UsageLimitExceeded, match=r"of gpt-x is not known, so the cost_limit of 1\.50 cannot"):
                agent.run_sync("Hi", usage_limits=limits)


def test_the_name_that_was_asked_for() -> None:
    """A response that says no name, or one that nobody knows, costs what the model that was asked costs."""
    limits = UsageLimits(cost_limit=1, prices={"openai:function:*": {"input": 2, "output": 2}})
    for name in ("dated-name", None):
        usage = Agent(_answer(Usage(1, 1000, 0), name)).run_sync("Hi", usage_limits=limits).usage()
        assert usage.cost == Decimal("0.002")
