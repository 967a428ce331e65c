"""
Write syncagent/prices.json from the data of the genai-prices package.

    python -m pip install -U genai-prices && python .ci/make_prices.py

The file is small enough for the package: providers that it has a prefix for, prices of tokens only, one line a
provider. syncagent/prices.py says what the keys mean.
"""

from __future__ import annotations

import datetime as dt
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data import providers  # type: ignore[import-not-found] # not a dependency of the checks

_PATH = Path(__file__).resolve().parents[1] / "syncagent" / "prices.json"
_PROVIDERS = (
    "anthropic aws azure cerebras cohere deepseek fireworks google groq mistral moonshotai openai openrouter "
    "perplexity together voyageai x-ai zai"
).split()
_KEYS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "output_reasoning_mtok": "output_reasoning",
    "requests_kcount": "requests",
}
_MOST = 150_000  # bytes


def _match(clause: Any) -> Any:
    """What a model is called: ``=name``, ``^start``, ``$end``, ``*part``, ``~expression``; lists for or, and."""
    for attribute, sign in (
        ("equals", "="),
        ("starts_with", "^"),
        ("ends_with", "$"),
        ("contains", "*"),
        ("regex", "~"),
    ):
        if hasattr(clause, attribute):
            value = getattr(clause, attribute)
            return sign + getattr(value, "pattern", value)
    if hasattr(clause, "or_"):
        return [_match(each) for each in clause.or_]
    return {"and": [_match(each) for each in clause.and_]}


def _price(value: Any) -> Any:
    """A number as text, or ``[base, [tokens, price] ...]`` where long prompts cost more."""
    if hasattr(value, "base"):
        return [_text(value.base), *([tier.start, _text(tier.price)] for tier in value.tiers)]
    return _text(value)


def _text(value: Any) -> str:
    return format(value.normalize(), "f")


def _prices(prices: Any) -> dict[str, Any]:
    return {_KEYS[key]: _price(value) for key, value in vars(prices).items() if key in _KEYS and value is not None}


def _condition(constraint: Any) -> str:
    """A day from which on prices hold, or the hours between which they do."""
    if hasattr(constraint, "start_date"):
        return str(constraint.start_date)
    return f"{_hour(constraint.start_time)}-{_hour(constraint.end_time)}"


def _hour(time: dt.time) -> str:
    if time.utcoffset() not in (None, dt.timedelta()):
        raise ValueError(f"{time!r} is not UTC")
    return time.strftime("%H:%M")


def _model(model: Any, today: dt.date) -> Any:
    if not isinstance(model.prices, list):
        return [_match(model.match), _prices(model.prices)]
    past = [each for each in model.prices if each.constraint is None or _begun(each.constraint, today)]
    kept = past[-1:] if not hasattr(past[-1].constraint, "start_time") else _daily(past)
    later = [each for each in model.prices if each not in past]
    lines = [_match(model.match), _prices(kept[0].prices)]
    lines += [[_condition(each.constraint), _prices(each.prices)] for each in [*kept[1:], *later]]
    return lines


def _begun(constraint: Any, today: dt.date) -> bool:
    return not hasattr(constraint, "start_date") or constraint.start_date <= today


def _daily(past: list[Any]) -> list[Any]:
    """The last of the prices that hold all day, and those of some hours after it."""
    last = max(index for index, each in enumerate(past) if not hasattr(each.constraint, "start_time"))
    return past[last:]


def main() -> None:
    today = dt.datetime.now(dt.timezone.utc).date()
    table: dict[str, Any] = {
        "source": f"genai-prices {version('genai-prices')}, https://github.com/pydantic/genai-prices",
        "licence": "MIT, Copyright (c) Pydantic Services Inc. 2025 to present",
        "date": str(today),
    }
    found = {provider.id: provider for provider in providers}
    for name in _PROVIDERS:
        provider = found[name]
        models = [_model(model, today) for model in provider.models]
        table[name] = {
            "fallback": [each for each in provider.fallback_model_providers or () if each in _PROVIDERS],
            "models": [line for line in models if any("input" in each for each in line[1:2])],
        }
    lines = [f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in table.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if len(text) > _MOST:
        raise SystemExit(f"{len(text)} bytes; at most {_MOST} are to be")
    _PATH.write_text(text, encoding="utf-8")
    print(f"{_PATH}: {len(text)} bytes")


if __name__ == "__main__":
    main()
