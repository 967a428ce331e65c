"""Asynchronous functions are refused, however they are dressed."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import sys
import unittest.mock
from collections.abc import AsyncIterator
from typing import Any

import pytest

from syncagent.exceptions import UserError
from syncagent.schema.signature import refuse_coroutine
from tests.schema.functions import Point, read


class Shop:
    """An object that can be called, with a method."""

    def find(self, number: int) -> int:
        """Find it."""
        return number

    def __call__(self, item: str) -> str:
        return item


async def fetch(url: str) -> str:
    """An async function."""
    return url


async def fetch_all(url: str) -> AsyncIterator[str]:
    """An async generator."""
    yield url


class Fetcher:
    """An object with an async ``__call__``."""

    async def __call__(self, url: str) -> str:
        return url

    async def fetch(self, url: str) -> str:
        """An async method."""
        return url


@pytest.mark.parametrize(
    "function, name",
    [
        (fetch, "fetch"),
        (functools.partial(fetch, "x"), "fetch"),
        (functools.partial(functools.partial(fetch), "x"), "fetch"),
        (Fetcher(), "Fetcher"),
        (Fetcher().fetch, "fetch"),
        pytest.param(
            unittest.mock.AsyncMock(),
            "AsyncMock",
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="older mocks do not say that they are async"),
        ),
    ],
)
def test_async_functions_are_refused(function: Any, name: str) -> None:
    """An async function is refused, however it is dressed, with the code that wraps it."""
    with pytest.raises(UserError) as caught:
        refuse_coroutine(function, "result validator")
    assert str(caught.value).startswith(f"The result validator {name!r} is an async function, and there is no event")
    assert f"return asyncio.run({name}(*args, **kwargs))" in str(caught.value)


@pytest.mark.parametrize("function", [fetch_all, functools.partial(fetch_all, "x")])
def test_async_generators_are_refused(function: Any) -> None:
    """An async generator is refused too."""
    with pytest.raises(UserError, match="The stream function 'fetch_all' is an async generator"):
        refuse_coroutine(function, "stream function")


def test_the_advice_works() -> None:
    """What the refusal tells to write is accepted, and keeps the parameters."""
    @functools.wraps(fetch)
    def fetch_blocking(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(fetch(*args, **kwargs))

    refuse_coroutine(fetch_blocking, "tool")
    positional, keywords = read(fetch_blocking).bind('{"url": "x"}')
    assert "x" == fetch_blocking(*positional, **keywords)


@pytest.mark.parametrize(
    "function", [Shop(), Shop().find, Shop, Point, functools.partial(Shop.find, Shop()), math.sqrt, len, lambda: 0]
)
def test_plain_functions_are_not_refused(function: Any) -> None:
    """Whatever is not asynchronous passes."""
    refuse_coroutine(function, "tool")


def test_marked_functions_are_refused() -> None:
    """From Python 3.12 on a plain function may be marked as one that returns an awaitable."""

    def function() -> Any:
        return fetch("x")

    if sys.version_info >= (3, 12):
        with pytest.raises(UserError, match="is an async function"):
            refuse_coroutine(inspect.markcoroutinefunction(function), "tool")
    else:
        refuse_coroutine(function, "tool")
