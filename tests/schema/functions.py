"""What the tests of functions share: a context class, types for parameters, and short ways to read."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar

import attrs
import pytest

from syncagent.exceptions import UserError
from syncagent.schema.errors import ValidationError
from syncagent.schema.signature import FunctionSchema, function_schema

D = TypeVar("D")


class RunContext(Generic[D]):
    """Stands for the context class."""


@dataclass
class Point:
    """A point in the plane."""

    x: int
    y: int = 0


@attrs.define
class Order:
    """
    An order.

    Attributes:
        number: which one.
    """

    number: int


class Options(TypedDict, total=False):
    """How to do it."""

    loud: bool


def read(function: Any, **options: Any) -> FunctionSchema:
    """The schema of a function whose context class is ours."""
    return function_schema(function, context_type=RunContext, **options)


def refusal(function: Any, **options: Any) -> str:
    """The lines below the first of the error that a function gets."""
    with pytest.raises(UserError) as caught:
        read(function, **options)
    first, _, rest = str(caught.value).partition("\n  ")
    assert first.startswith("Error generating schema for ") and first.endswith(":")
    return rest


def errors(schema: FunctionSchema, arguments: Any) -> list[tuple[str, tuple[Any, ...], str]]:
    """Kind, path and text of every mistake."""
    with pytest.raises(ValidationError) as caught:
        schema.bind(arguments)
    assert schema.name == caught.value.title
    return [(error["type"], error["loc"], error["msg"]) for error in caught.value.errors]


def has_signature(function: Any) -> bool:
    """Whether this Python knows the parameters of a builtin."""
    try:
        inspect.signature(function)
    except ValueError:
        return False
    return True
