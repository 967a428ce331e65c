"""The structurer: JSON in, values out, mistakes with paths; partial values; the converter and its hooks."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import gc
import json
import pickle
import threading
import weakref
from typing import Annotated, Any, NewType, Optional, Union

import attrs
import cattrs
import pytest
from attrs import validators as v

import syncagent
from syncagent.exceptions import UserError
from syncagent.schema.json_text import parse_json
from syncagent.schema.structure import (
    Structurer,
    ValidationError,
    is_our_converter,
    make_converter,
    structurer,
)


@attrs.define
class Item:
    sku: str
    count: int = 1


@attrs.define
class Order:
    number: int
    items: list[Item] = attrs.Factory(list)
    note: Optional[str] = None


@dataclasses.dataclass
class Money:
    amount: int
    currency: str

    @classmethod
    def parse(cls, text: Any) -> Money:
        """``3 EUR``."""
        amount, _, currency = text.partition(" ")
        if not currency:
            raise LookupError(f"no currency in {text!r}")
        return cls(int(amount), currency)


class Colour(str, enum.Enum):
    RED = "red"


UserId = NewType("UserId", int)


def caught(function: Any, *args: Any) -> ValidationError:
    """The error that a call raises."""
    with pytest.raises(ValidationError) as info:
        function(*args)
    return info.value


# -- JSON --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"a":',
        '{"a":1,}',
        "[1",
        "[1]x",
        "nul",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "9" * 5000,
        "[" * 200_000,
        '{"a":' * 200_000,
        b"\xff",
        "'a'",
    ],
)
def test_invalid_json(text: Any) -> None:
    """What is not JSON, or not JSON that can be worked with, is ``json_invalid``, and nothing breaks."""
    (error,) = caught(structurer(Any).from_json, text).errors
    assert error["type"] == "json_invalid"
    assert error["loc"] == ()
    assert error["msg"].startswith("Invalid JSON: ")
    assert error["msg"] == "Invalid JSON: " + error["ctx"]["error"]
    assert error["input"] is text or error["input"][:1_000] == text[:1_000]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\ud800"', "\ud800"),
        (b'{"a": "\xc3\xa9"}', {"a": "é"}),
        (b"\xef\xbb\xbf[1]", [1]),
        (bytearray(b"[1.5, -2]"), [1.5, -2]),
        ('{"a": 1, "a": 2}', {"a": 2}),
        (" [1] \n", [1]),
        ("9" * 4000, int("9" * 4000)),
    ],
)
def test_valid_json(text: Any, value: Any) -> None:
    """Texts and bytes are read; lone surrogates are let through."""
    assert structurer(Any).from_json(text) == value
    assert parse_json(text) == value


def test_values_too_deep() -> None:
    """A value nested deeper than the stack is refused, not a crash."""
    Deep = attrs.make_class("Deep", {"next": attrs.field(default=None)})
    Deep.__annotations__ = {"next": Optional[Deep]}
    value: Any = None
    for _ in range(100_000):
        value = {"next": value}
    for method in (structurer(Deep).from_json_value, structurer(Deep).from_python):
        (error,) = caught(method, value).errors
        assert error["type"] == "recursion_loop"
        assert error["input"] is None


# -- errors ------------------------------------------------------------------------------------


def test_the_text_of_an_error() -> None:
    """The text has the count, and of each mistake the path, what to say, and its kind; never the values."""
    error = caught(structurer(Order).from_json, '{"items": [{"sku": 1, "count": "secret"}]}')
    assert str(error) == (
        "3 validation errors for Order\n"
        "  number: Field required [missing]\n"
        "  items[0].sku: Input should be a valid string [string_type]\n"
        "  items[0].count: Input should be a valid integer, unable to parse string as an integer [int_parsing]"
    )
    assert str(caught(structurer(int).from_json, "[]")) == (
        "1 validation error for int\n  (root): Input should be a valid integer [int_type]"
    )


def test_many_errors_are_cut_in_the_text() -> None:
    """The text lists twenty mistakes; ``errors`` has them all."""
    error = caught(structurer(list[int]).from_json_value, ["x"] * 30)
    assert len(error.errors) == 30
    assert str(error).endswith("  and 10 more")
    assert str(error).count("\n") == 21


def test_errors_are_pickled() -> None:
    """An error comes through a process boundary whole."""
    error = caught(structurer(Order).from_json, "{}")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ValidationError
    assert isinstance(again, ValueError)
    assert (again.errors, again.title, str(again)) == (error.errors, error.title, str(error))


# -- structurers -------------------------------------------------------------------------------


def test_repr() -> None:
    """A structurer says what it is for."""
    assert repr(structurer(list[int])) == "<Structurer for list[int]>"


def test_a_structurer_is_shared_between_threads() -> None:
    """A hundred calls from ten threads do not see each other."""
    compiled = structurer(list[Union[int, Order]])
    failures: list[Any] = []

    def work(tag: int) -> None:
        for _ in range(10):
            made = compiled.from_json_value([tag, {"number": tag, "items": [{"sku": str(tag)}]}])
            errors = caught(compiled.from_json_value, [{"number": f"x{tag}"}]).errors
            if made != [tag, Order(tag, [Item(str(tag))])] or errors[-1]["input"] != f"x{tag}":
                failures.append((tag, made, errors))

    threads = [threading.Thread(target=work, args=(tag,)) for tag in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_simple_types_are_compiled_once() -> None:
    """Types of the standard library are kept; a user's class is not kept alive."""
    assert structurer(list[int]) is structurer(list[int])
    assert structurer(Optional[str]) is structurer(Optional[str])
    Gone = attrs.make_class("Gone", {"a": attrs.field(type=int)})
    structurer(list[Gone]).from_json('[{"a": 1}]')
    reference = weakref.ref(Gone)
    del Gone
    gc.collect()
    assert reference() is None


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that makes types without end does not fill the memory."""
    from typing import Literal

    from syncagent.schema import json_schema, structure

    for module, make in ((structure, structure.structurer), (json_schema, json_schema.json_schema)):
        monkeypatch.setattr(module, "_CACHE_SIZE", 5)
        monkeypatch.setattr(module, "_cache", {})
        for number in range(20):
            make(Literal[number])  # type: ignore[valid-type] # made at run time
        assert len(module._cache) <= 5


# -- partial values ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tp", "value", "expected"),
    [
        (Order, {"number": 12, "note": "he"}, Order(12, note="he")),
        (Order, {"number": 12, "items": [{"sku": "a"}, {"cou": 1}]}, Order(12, [Item("a")])),
        (Order, {"number": 12, "items": [{"sku": "a", "count": "x"}]}, Order(12, [Item("a")])),
        (Order, {"number": 12, "note": 3}, Order(12)),
        (Order, {"number": 12, "items": 3}, Order(12)),
        (list[int], [1, 2, "-"], [1, 2]),
        (list[int], ["-"], []),
        (list[list[int]], [[1], [2, "-"]], [[1], [2]]),
        (dict[str, int], {"a": 1, "b": None}, {"a": 1}),
        (dict[str, list[Item]], {"a": [{"sku": "x"}, {}]}, {"a": [Item("x")]}),
        (Optional[Order], {"number": 1, "note": []}, Order(1)),
        (list[Union[int, Item]], [1, {"cou": 3}], [1]),
        (list[dt.date], ["2020-01-01", "2020-0"], [dt.date(2020, 1, 1)]),
        (set[int], [1, "-"], {1}),
        (Annotated[list[int], "text"], [1, "-"], [1]),
        (int, 3, 3),
        (Order, {"number": 1, "items": [{}, {"sku": "a"}]}, Order(1)),
        (Order, {"number": 1, "items": [{"sku": "a", "count": 2}]}, Order(1, [Item("a", 2)])),
    ],
)
def test_partial(tp: Any, value: Any, expected: Any) -> None:
    """What arrives last and does not fit yet is left out, the innermost item first."""
    before = json.dumps(value)
    assert structurer(tp).partial(value) == expected
    assert json.dumps(value) == before


@pytest.mark.parametrize(
    ("tp", "value", "kind", "loc"),
    [
        (Order, {}, "missing", ("number",)),
        (Order, {"items": [{"sku": "a"}, {}]}, "missing", ("number",)),
        (Order, {"number": "x"}, "missing", ("number",)),
        (list[Item], [{}, {"sku": "a"}], "missing", (0, "sku")),
        (list[int], ["x", 1], "int_parsing", (0,)),
        (Annotated[list[int], v.min_len(2)], [1, "-"], "too_short", ()),
        (int, "x", "int_parsing", ()),
        (list[int], {"a": 1}, "list_type", ()),
    ],
)
def test_partial_fails(tp: Any, value: Any, kind: str, loc: Any) -> None:
    """What was there before the last item has to fit, and required fields have to be there."""
    error = caught(structurer(tp).partial, value).errors[0]
    assert (error["type"], error["loc"]) == (kind, loc)


# -- converters --------------------------------------------------------------------------------


def test_only_our_converters() -> None:
    """Any other converter is an error that says which to take."""
    assert is_our_converter(make_converter())
    assert is_our_converter(syncagent.make_converter())
    assert is_our_converter(make_converter().copy())
    assert not is_our_converter(cattrs.Converter())
    assert not is_our_converter(None)
    with pytest.raises(UserError, match=r"syncagent.make_converter\(\) returns.*got Converter"):
        structurer(int, converter=cattrs.Converter())


def with_money() -> Any:
    """A converter that reads money from text."""
    converter = make_converter()
    converter.register_structure_hook(Money, lambda value, tp: Money.parse(value))
    return converter


def test_a_users_hook_wins() -> None:
    """What is registered afterwards decides, inside other types too, in copies as well."""
    for converter in (with_money(), with_money().copy()):
        compiled = structurer(dict[str, list[Optional[Money]]], converter=converter)
        assert compiled.from_json('{"a": ["3 EUR", null]}') == {"a": [Money(3, "EUR"), None]}
    assert structurer(Money).from_json('{"amount": "3", "currency": "EUR"}') == Money(3, "EUR")


def test_a_hooks_exception_is_a_value_error() -> None:
    """Whatever a hook raises is a mistake at the value's path, and its cause."""
    error = caught(structurer(list[Money], converter=with_money()).from_json, '["3 EUR", "x", 5]')
    assert error.errors == [
        {
            "type": "value_error",
            "loc": (1,),
            "msg": "Value error, no currency in 'x'",
            "input": "x",
            "ctx": {"error": "no currency in 'x'"},
        },
        {
            "type": "value_error",
            "loc": (2,),
            "msg": "Value error, 'int' object has no attribute 'partition'",
            "input": 5,
            "ctx": {"error": "'int' object has no attribute 'partition'"},
        },
    ]
    assert isinstance(error.__cause__, LookupError)


@pytest.mark.parametrize(
    ("raised", "text"),
    [(KeyError("amount"), "missing key 'amount'"), (OSError(), "OSError"), (ValueError("no"), "no")],
)
def test_the_words_of_an_exception(raised: Exception, text: str) -> None:
    """An exception that says nothing gives its name, a KeyError what is missing."""
    converter = make_converter()

    def hook(value: Any, tp: Any) -> Any:
        raise raised

    converter.register_structure_hook(Money, hook)
    assert caught(structurer(Money, converter=converter).from_json, "1").errors[0]["ctx"] == {"error": text}


def test_a_hook_may_go_on_with_ours() -> None:
    """A hook that calls the converter gets our values and our mistakes, with the paths below its own."""
    converter = make_converter()

    def hook(value: Any, tp: Any) -> Any:
        return Order(0, converter.structure(value, list[Item]))

    converter.register_structure_hook(Order, hook)
    compiled = structurer(list[Order], converter=converter)
    assert compiled.from_json('[[{"sku": "a"}]]') == [Order(0, [Item("a")])]
    errors = caught(compiled.from_json, '[[{"sku": "a"}, {}]]').errors
    assert [(error["type"], error["loc"]) for error in errors] == [("missing", (0, 1, "sku"))]


def test_the_converter_alone() -> None:
    """``converter.structure`` is ours for every type: nothing of cattrs' own leniency is left."""
    converter = make_converter()
    assert converter.structure("no", bool) is False
    assert converter.structure({"number": "3"}, Order) == Order(3)
    assert converter.structure("red", Colour) is Colour.RED
    assert converter.structure("2020-01-01", Union[dt.date, int]) == dt.date(2020, 1, 1)
    assert converter.structure("3", Union[int, str]) == "3"
    for value, tp in ((3.5, int), ("abc", list[str]), (3, str), (b"x", str)):
        caught(converter.structure, value, tp)


def test_metadata_may_be_unhashable() -> None:
    """cattrs looks hooks up by hash; a type that has none is ours."""
    assert structurer(list[Annotated[int, ["unhashable"]]]).from_json('["3"]') == [3]


def test_hooks_by_other_ways() -> None:
    """Predicates, factories, unions, NewTypes, Enums and builtin classes can be registered too."""
    converter = make_converter()
    converter.register_structure_hook_func(lambda tp: tp is Item, lambda value, tp: Item(value, 7))
    converter.register_structure_hook_factory(lambda tp: tp is Money, lambda tp: lambda value, _: Money(value, "EUR"))
    converter.register_structure_hook(UserId, lambda value, tp: int(value) + 1000)
    converter.register_structure_hook(Union[int, bytes], lambda value, tp: b"union")
    converter.register_structure_hook(Colour, lambda value, tp: Colour(value.lower()))
    converter.register_structure_hook(float, lambda value, tp: -1.0)
    compiled = structurer(
        tuple[Item, Money, UserId, Union[int, bytes], Colour, float, int, bool], converter=converter
    )
    assert compiled.from_json('["a", 3, 4, 5, "RED", 6, 7, true]') == (
        Item("a", 7),
        Money(3, "EUR"),
        1004,
        b"union",
        Colour.RED,
        -1.0,
        7,
        True,
    )


def test_a_hook_for_int_leaves_bool_alone() -> None:
    """cattrs would take the hook of a base class; ours for bool stands beside it."""
    converter = make_converter()
    converter.register_structure_hook(int, lambda value, tp: 42)
    assert structurer(list[Union[bool, None]], converter=converter).from_json("[true, null]") == [True, None]
    assert structurer(int, converter=converter).from_json("1") == 42


def test_a_hook_in_a_union() -> None:
    """In a union a hook's value is the last resort: what fits exactly wins."""
    compiled = structurer(Union[Money, str], converter=with_money())
    assert compiled.from_json('"3 EUR"') == "3 EUR"
    assert structurer(Union[Money, int], converter=with_money()).from_json('"3 EUR"') == Money(3, "EUR")
    errors = caught(structurer(Union[Money, int], converter=with_money()).from_json, '"x"').errors
    assert [error["loc"] for error in errors] == [("Money",), ("int",)]


def test_a_class_hook_of_cattrs_tells_all() -> None:
    """A hook that cattrs generated collects mistakes in a group; its members' words come through."""
    from cattrs.gen import make_dict_structure_fn, override

    converter = make_converter()
    converter.register_structure_hook(
        Item, make_dict_structure_fn(Item, converter, sku=override(rename="code"), _cattrs_detailed_validation=True)
    )
    compiled = structurer(list[Item], converter=converter)
    assert compiled.from_json('[{"code": "a", "count": "2"}]') == [Item("a", 2)]
    (error,) = caught(compiled.from_json, '[{"count": "x"}]').errors
    assert error["loc"] == (0,)
    assert "missing key 'code'" in error["msg"]
    assert "unable to parse string as an integer" in error["msg"]


def test_an_older_cattrs(monkeypatch: pytest.MonkeyPatch) -> None:
    """cattrs 23.2 has no ``get_structure_hook``; its dispatcher is asked instead."""

    class Older:
        """A converter with the names of 23.2 only."""

        def __init__(self, converter: Any) -> None:
            self._structure_func = converter._structure_func
            self.syncagent_entry = converter.syncagent_entry

    compiled = structurer(list[Money], converter=Older(with_money()))  # type: ignore[arg-type] # a stand-in
    assert compiled.from_json('["3 EUR"]') == [Money(3, "EUR")]


# -- what is not supported ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tp", "text"),
    [
        (complex, "complex: complex is not supported; use two floats or a string."),
        (list[complex], "list[complex][]: complex is not supported; use two floats or a string."),
        (dict[str, complex], "dict[str, complex]{}: complex is not supported; use two floats or a string."),
        (tuple[int, complex], "tuple[int, complex][1]: complex is not supported; use two floats or a string."),
        (object(), "object: object is not supported; it is a value and no type; use a type that JSON has a form of."),
        ("Order", "the name 'Order' cannot be looked up from here; use the type itself"),
    ],
)
def test_unsupported(tp: Any, text: str) -> None:
    """A type without a form in JSON is an error that leads to it and says what to use."""
    with pytest.raises(UserError) as info:
        structurer(tp)
    assert text in str(info.value)


def test_a_structurer_can_be_made_of_a_node() -> None:
    """The class is what ``structurer`` returns."""
    assert isinstance(structurer(int), Structurer)


def test_an_error_with_a_list_of_its_own() -> None:
    """An exception with an ``errors()`` that says something else is told by its text."""

    class Listing(ValueError):
        def errors(self) -> list[Any]:
            return ["not a mapping"]

    converter = make_converter()

    def hook(value: Any, tp: Any) -> Any:
        raise Listing("in words")

    converter.register_structure_hook(Money, hook)
    assert caught(structurer(Money, converter=converter).from_json, "1").errors[0]["msg"] == "Value error, in words"
