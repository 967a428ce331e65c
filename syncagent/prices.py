"""
What tokens cost, in US dollars: by a table of the caller's, by the package genai-prices where it is installed,
else by ``prices.json``, a dated excerpt of that package's data (MIT licence, see the file's first lines).

A price is a number of dollars for a million tokens, or ``[price, [tokens, price], ...]`` where all tokens of a
request cost more once its prompt has more than so many. Its keys:

* ``input``: what is sent. Without a price of its own, each of the following counts as it.
* ``cache_read``, ``cache_write``, ``cache_write_1h``: what came from the provider's cache or went into it.
* ``input_audio``: sound that is sent.
* ``output``: what comes back, ``output_audio`` and ``output_reasoning`` (thinking) where they cost something else.
* ``requests``: for a thousand requests.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

if TYPE_CHECKING:
    from .usage import Usage

__all__ = ["PriceSource", "PriceTable", "cost_of", "may_be_priced"]

PriceSource = Union["PriceTable", Mapping[str, Mapping[str, Any]], str, "os.PathLike[str]"]
"""A table, what it is made of, or the path of a JSON file with that."""

_MILLION = Decimal(1_000_000)
_LONGEST = 200  # characters of a model's name that are looked at
_KEYS = frozenset(
    {
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "input",
        "input_audio",
        "output",
        "output_audio",
        "output_reasoning",
        "requests",
    }
)
# What the data calls a provider of ours, where it has another name.
_IDS = {
    "bedrock": "aws",
    "google-gla": "google",
    "google-vertex": "google",
    "grok": "x-ai",
    "openai-responses": "openai",
    "xai": "x-ai",
}
_FREE = frozenset({"function", "local", "test"})
"""Nobody sends a bill for what runs in this process or on this machine."""
_DEPLOYED = frozenset({"azure", "litellm"})
"""Here names are the caller's own; which model it is, the response says."""
_MAKERS = ("openai", "anthropic", "google", "mistral", "deepseek", "cohere", "x-ai", "moonshotai", "voyageai")

_Price = Union[Decimal, list[Any]]
_Prices = Mapping[str, _Price]


class PriceTable:
    """
    Prices by model.

    >>> table = PriceTable({"openai:my-model": {"input": 2.5, "output": 10}, "ollama:*": {"input": 0, "output": 0}})

    Args:
        source: by ``provider:model``, or the model's name alone; ``*`` and ``?`` stand for any characters, and the
            first name that fits counts. Or the path of a JSON file with such an object.

    Raises:
        ValueError: it is something else; the text says what.
        OSError: the file cannot be read.
    """

    def __init__(self, source: Union[Mapping[str, Mapping[str, Any]], str, os.PathLike[str]]) -> None:
        where = "prices"
        if isinstance(source, (str, os.PathLike)):
            where = os.fspath(source)
            with open(source, encoding="utf-8") as file:
                source = json.load(file, parse_float=Decimal)
        if not isinstance(source, Mapping):
            raise ValueError(f"{where}: expected an object of prices by model, got {type(source).__name__}")
        self._rows = [(str(name), _checked(prices, f"{where}[{name!r}]")) for name, prices in source.items()]

    def __repr__(self) -> str:
        return f"<PriceTable of {len(self._rows)} models>"

    @classmethod
    def of(cls, source: Optional[PriceSource]) -> Optional[PriceTable]:
        """A table as it is, None for None, anything else made one; raises as the class."""
        return source if source is None or isinstance(source, PriceTable) else cls(source)

    def find(self, model_name: str, provider_name: Optional[str]) -> Optional[_Prices]:
        """The prices of a model; None where it is not in the table."""
        full = f"{provider_name}:{model_name}"
        for pattern, prices in self._rows:
            if fnmatchcase(full, pattern) or fnmatchcase(model_name, pattern):
                return prices
        return None


def cost_of(
    usage: Usage,
    model_name: Optional[str],
    provider_name: Optional[str],
    *,
    prices: Optional[PriceTable] = None,
    when: Optional[dt.datetime] = None,
) -> Optional[Decimal]:
    """
    US dollars for one response; None where no price or no count is known.

    Sound that a provider counts without saying which way it went is taken for output as far as that can be.

    Args:
        usage: its counts.
        model_name, provider_name: who answered; without a provider the model's maker is asked.
        prices: the caller's own.
        when: the time of the response, since prices change; None for now.
    """
    known = usage.request_tokens is not None or usage.response_tokens is not None
    return _cost(_counts(usage) if known else None, model_name, provider_name, prices, when)


def may_be_priced(model_name: str, provider_name: Optional[str], prices: Optional[PriceTable] = None) -> bool:
    """Whether a response of this model has a price, as far as its name shows."""
    return provider_name in _DEPLOYED or _cost(_NOTHING, model_name, provider_name, prices, None) is not None


def _cost(
    counts: Optional[_Counts],
    model_name: Optional[str],
    provider_name: Optional[str],
    prices: Optional[PriceTable],
    when: Optional[dt.datetime],
) -> Optional[Decimal]:
    own = None if prices is None or not model_name else prices.find(model_name, provider_name)
    if own is None and provider_name in _FREE:
        return Decimal(0)
    if not model_name or counts is None:
        return None
    moment = when if when is not None else dt.datetime.now(dt.timezone.utc)
    if own is not None:
        return _sum(own, counts)
    installed = _genai_prices()
    if installed is not None:
        return _installed_cost(installed, counts, model_name, provider_name, moment)
    found = _in_snapshot(model_name, provider_name, moment)
    return None if found is None else _sum(found, counts)


class _Counts(NamedTuple):
    """Tokens by what they cost; the parts are counted in ``sent`` and ``received``."""

    requests: int
    sent: int
    read: int
    written: int
    written_1h: int
    heard: int
    received: int
    spoken: int
    thought: int


_NOTHING = _Counts(1, 0, 0, 0, 0, 0, 0, 0, 0)


def _counts(usage: Usage) -> _Counts:
    details = usage.details or {}
    sent, received = usage.request_tokens or 0, usage.response_tokens or 0
    written = details.get("cache_write_tokens", 0)
    both = details.get("audio_tokens", 0)
    spoken = details.get("audio_candidates_tokens", min(both, received))
    return _Counts(
        max(1, usage.requests),
        sent,
        details.get("cached_tokens", 0),
        written,
        min(written, details.get("ephemeral_1h_input_tokens", 0)),
        details.get("audio_prompt_tokens", both - min(both, received)),
        received,
        spoken,
        details.get("reasoning_tokens", 0),
    )


def _sum(prices: _Prices, counts: _Counts) -> Optional[Decimal]:
    """The cost by one model's prices; None where what comes back has none."""
    if ("input" not in prices and counts.sent) or ("output" not in prices and counts.received):
        return None
    written_5m = counts.written - counts.written_1h
    parts_in = (
        ("cache_read", counts.read),
        ("cache_write", written_5m),
        ("cache_write_1h" if "cache_write_1h" in prices else "cache_write", counts.written_1h),
        ("input_audio", counts.heard),
    )
    parts_out = (("output_audio", counts.spoken), ("output_reasoning", counts.thought))
    total = Decimal(0)
    for whole, count, parts in (("input", counts.sent, parts_in), ("output", counts.received, parts_out)):
        for key, part in parts:
            if key in prices:
                part = min(part, count)  # servers that count a part apart must not make the rest negative
                total += _at(prices[key], counts.sent) * part
                count -= part
        if count:
            total += _at(prices[whole], counts.sent) * count
    if "requests" in prices:
        total += _at(prices["requests"], counts.sent) * counts.requests * 1000
    return total / _MILLION


def _at(price: _Price, sent: int) -> Decimal:
    """The price that holds for a prompt of so many tokens; a tier holds for all of them."""
    if isinstance(price, Decimal):
        return price
    reached: list[Decimal] = [tier[1] for tier in price[1:] if sent > tier[0]]
    return reached[-1] if reached else price[0]


def _checked(prices: object, where: str) -> _Prices:
    if not isinstance(prices, Mapping):
        raise ValueError(f"{where}: expected an object such as {{'input': 2.5, 'output': 10}}, got {prices!r:.60}")
    unknown = sorted(str(key) for key in prices if key not in _KEYS)
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}")
    return {key: _price(value, f"{where}[{key!r}]") for key, value in prices.items()}


def _price(value: Any, where: str) -> _Price:
    if isinstance(value, (list, tuple)) and value:
        tiers = [_tier(each, where) for each in value[1:]]
        return [_number(value[0], where), *sorted(tiers, key=lambda tier: tier[0])]
    return _number(value, where)


def _tier(value: Any, where: str) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) != 2 or type(value[0]) is not int:
        raise ValueError(f"{where}: expected a pair of tokens and a price, got {value!r:.60}")
    return [value[0], _number(value[1], where)]


def _number(value: Any, where: str) -> Decimal:
    try:
        number = Decimal("NaN") if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise ValueError(f"{where}: expected dollars for a million tokens, got {value!r:.60}")
    return number


# --- the package genai-prices ----------------------------------------------------------------------


@lru_cache(maxsize=1)
def _genai_prices() -> Any:
    try:
        return import_module("genai_prices")  # not an import statement: type checkers may not have it
    except ImportError:  # it needs packages of its own, which may be missing too
        return None


def _installed_cost(
    package: Any, counts: _Counts, model_name: str, provider_name: Optional[str], when: dt.datetime
) -> Optional[Decimal]:
    given = {
        "input_tokens": counts.sent,
        "cache_read_tokens": min(counts.read, counts.sent),
        "cache_write_tokens": min(counts.written, counts.sent - min(counts.read, counts.sent)),
        "cache_write_1h_tokens": counts.written_1h,
        "input_audio_tokens": counts.heard,
        "output_tokens": counts.received,
        "output_audio_tokens": counts.spoken,
    }
    tokens = {key: count for key, count in given.items() if count or key in ("input_tokens", "output_tokens")}
    provider = None if provider_name is None else _IDS.get(provider_name, provider_name)
    try:
        found = package.calc_price(
            package.Usage(**tokens), model_name, provider_id=provider, genai_request_timestamp=when
        )
    except (LookupError, ValueError, TypeError):  # unknown to it: the model, or a count, in its older versions
        return None
    total: Decimal = found.total_price
    return total


# --- the snapshot ----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _snapshot() -> dict[str, Any]:
    with open(os.path.join(os.path.dirname(__file__), "prices.json"), encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


@lru_cache(maxsize=256)
def _line(model_name: str, provider_name: Optional[str]) -> Optional[list[Any]]:
    """The snapshot's line for a model: what it is called, its prices, and those of other times."""
    name = model_name[:_LONGEST].lower()
    name = name[len("models/") :] if name.startswith("models/") else name
    providers = _MAKERS if provider_name is None else (_IDS.get(provider_name, provider_name),)
    for wanted in dict.fromkeys((name, _dashed(name))):
        for provider in providers:
            for line in _lines(provider):
                if _fits(line[0], wanted):
                    found: list[Any] = line
                    return found
    return None


def _lines(provider: str) -> Iterator[list[Any]]:
    """A provider's models, and those of the makers whose models it sells at their price."""
    entry = _snapshot().get(provider)
    if isinstance(entry, dict):
        yield from entry["models"]
        for other in entry["fallback"]:
            yield from _snapshot()[other]["models"]


def _in_snapshot(model_name: str, provider_name: Optional[str], when: dt.datetime) -> Optional[_Prices]:
    line = _line(model_name, provider_name)
    if line is None:
        return None
    prices = line[1]
    for condition, other in line[2:]:
        if _holds(condition, when):
            prices = other
    return _checked(prices, "prices.json")


def _fits(match: Any, name: str) -> bool:
    """Whether *name* is what .ci/make_prices.py wrote down for a model."""
    if isinstance(match, list):
        return any(_fits(each, name) for each in match)
    if isinstance(match, dict):
        return all(_fits(each, name) for each in match["and"])
    sign, text = match[0], str(match[1:])
    if sign == "=":
        return name == text.lower()
    if sign == "~":
        return re.search(text, name) is not None
    text = text.lower()
    if sign == "^":
        return name.startswith(text)
    return name.endswith(text) if sign == "$" else text in name


def _holds(condition: str, when: dt.datetime) -> bool:
    """Whether a time is on or after a day, or in the hours of each day; all in UTC."""
    moment = when.replace(tzinfo=dt.timezone.utc) if when.tzinfo is None else when.astimezone(dt.timezone.utc)
    start, _, end = condition.partition("-")
    if ":" not in start:
        return f"{moment:%Y-%m-%d}" >= condition
    hour = f"{moment:%H:%M}"
    return start <= hour < end if start <= end else hour >= start or hour < end


def _dashed(name: str) -> str:
    """The name with the day at its end as others write it: ``-20251211`` for ``-2025-12-11``."""
    return re.sub(r"-(20\d\d)(\d\d)(\d\d)$", r"-\1-\2-\3", name)
