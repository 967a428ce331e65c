"""Python objects as XML."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, ClassVar, Optional
from uuid import UUID
from xml.etree import ElementTree

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.format_as_xml import format_as_xml


@dataclasses.dataclass
class Person:
    """A dataclass."""

    kind: ClassVar[str] = "person"
    name: str
    age: Optional[int] = None


@attrs.define
class City:
    """An attrs class."""

    name: str
    mayors: list[Person] = attrs.field(factory=list)


class Colour(Enum):
    """An enum, with a member that has parts."""

    RED = "red & hot"
    MIX = ("red", "blue")


@pytest.mark.parametrize(
    "obj, text",
    [
        ("a < b & c > \"d\"'", "a &lt; b &amp; c &gt; \"d\"'"),
        (b"caf\xc3\xa9", "café"),
        (bytearray(b"x"), "x"),
        (True, "true"),
        (False, "false"),
        (12, "12"),
        (1.5, "1.5"),
        (math.inf, "inf"),
        (Decimal("1.50"), "1.50"),
        (None, "null"),
        (date(2025, 3, 15), "2025-03-15"),
        (datetime(2025, 3, 15, 12, 0, tzinfo=timezone.utc), "2025-03-15T12:00:00+00:00"),
        (time(12, 30), "12:30:00"),
        (timedelta(hours=1), "1:00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("/a/b"), "/a/b"),
        (Colour.RED, "red &amp; hot"),
        ("two\nlines", "two\nlines"),
        ("bell\x07, half \ud83d", "bell\ufffd, half \ufffd"),
    ],
)
def test_values_without_parts(obj: Any, text: str) -> None:
    """A value without parts is its escaped text, in the root tag or alone."""
    assert f"<examples>{text}</examples>" == format_as_xml(obj)
    assert text == format_as_xml(obj, include_root_tag=False)


def test_mapping() -> None:
    """Keys are tags; the root tag is the caller's."""
    expected = "<user>\n  <name>John</name>\n  <height>6</height>\n  <note>none</note>\n</user>"
    user = {"name": "John", "height": 6, "note": None}
    assert expected == format_as_xml(user, root_tag="user", none_str="none")


def test_iterables() -> None:
    """Items of lists, tuples, sets and generators stand in the item tag."""
    expected = "<examples>\n  <example>1</example>\n  <example>2</example>\n</examples>"
    assert expected == format_as_xml([1, 2])
    assert expected == format_as_xml((1, 2))
    assert expected == format_as_xml({1: 0, 2: 0}.keys())
    assert expected == format_as_xml(number for number in (1, 2))
    assert expected.replace("example>", "i>") == format_as_xml([1, 2], item_tag="i")
    mix = "<examples>\n  <example>red</example>\n  <example>blue</example>\n</examples>"
    assert mix == format_as_xml(Colour.MIX)


def test_objects() -> None:
    """Dataclass and attrs objects write their fields, and as items have the name of their class."""
    city = City("Oslo & more", [Person("Ada", 36), Person("Bo")])
    expected = """\
<examples>
  <City>
    <name>Oslo &amp; more</name>
    <mayors>
      <Person>
        <name>Ada</name>
        <age>36</age>
      </Person>
      <Person>
        <name>Bo</name>
        <age>null</age>
      </Person>
    </mayors>
  </City>
</examples>"""
    assert expected == format_as_xml([city])
    assert "<p>\n  <name>Ada</name>\n  <age>36</age>\n</p>" == format_as_xml(Person("Ada", 36), root_tag="p")


def test_pydantic_objects() -> None:
    """Pydantic models are written as they dump themselves; a class name that is no tag gives way to the item tag."""
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Model", name=(str, ...), born=(date, ...))
    obj = model(name="Ada", born="1815-12-10")
    inner = "<name>Ada</name><born>1815-12-10</born>"
    assert f"<examples>{inner}</examples>" == format_as_xml(obj, indent=None)
    assert f"<examples><Model>{inner}</Model></examples>" == format_as_xml([obj], indent=None)
    generic = type("Model[int]", (model,), {})
    assert f"<examples><example>{inner}</example></examples>" == format_as_xml([generic(**dict(obj))], indent=None)


def test_old_pydantic_objects() -> None:
    """What has ``__fields__`` and ``dict()`` is taken for a pydantic 1 model."""

    class Old:
        __fields__: ClassVar[dict[str, Any]] = {"name": None}

        def dict(self) -> dict[str, str]:
            return {"name": "Ada"}

    assert "<Old><name>Ada</name></Old>" == format_as_xml([Old()], include_root_tag=False, indent=None)


def test_without_root_tag() -> None:
    """Without the root tag the parts stand one below the other."""
    assert "<a>1</a>\n<b>\n  <example>2</example>\n</b>" == format_as_xml({"a": 1, "b": [2]}, include_root_tag=False)
    assert "<example>1</example>\n<example>2</example>" == format_as_xml([1, 2], include_root_tag=False)
    assert "" == format_as_xml([], include_root_tag=False)


def test_indentation() -> None:
    """The indentation is the caller's; None writes one line, the empty string lines without margin."""
    assert "<examples>\n\t<a>1</a>\n</examples>" == format_as_xml({"a": 1}, indent="\t")
    assert "<examples><a>1</a></examples>" == format_as_xml({"a": 1}, indent=None)
    assert "<examples>\n<a>1</a>\n</examples>" == format_as_xml({"a": 1}, indent="")


@pytest.mark.parametrize("empty", ["", [], {}, b"", ()])
def test_empty_values(empty: Any) -> None:
    """What has no content is an empty element."""
    assert "<examples />" == format_as_xml(empty)
    assert "<examples>\n  <a />\n</examples>" == format_as_xml({"a": empty})


@pytest.mark.parametrize(
    "obj, error, message",
    [
        (object(), TypeError, "the object: cannot write object as XML"),
        ({"a": [1, {"b": 1j}]}, TypeError, r"a\[1\]\.b: cannot write complex as XML"),
        (City, TypeError, "the object: cannot write type as XML"),
        ([Colour], TypeError, r"\[0\]: cannot write Enum\w+ as XML"),
        ({"a": {1: 2}}, TypeError, "a: keys become tags and must be strings; got 1"),
        ({"a": {"first name": 2}}, ValueError, "a: the key 'first name' cannot be a tag"),
        ({"": 2}, ValueError, "the object: the key '' cannot be a tag"),
        ({"1a": 2}, ValueError, "the key '1a'"),
        ({"a:b": 2}, ValueError, "the key 'a:b'"),
        ({"a><b": 2}, ValueError, "the key 'a><b'"),
        ([{"a": b"\xff"}], ValueError, r"\[0\]\.a: these bytes are no UTF-8 text"),
    ],
)
def test_what_cannot_be_written(obj: Any, error: type[Exception], message: str) -> None:
    """The error says what came and names the path to it."""
    with pytest.raises(error, match=message):
        format_as_xml(obj)


@pytest.mark.parametrize("argument", ["root_tag", "item_tag"])
@pytest.mark.parametrize("tag", ["", "a b", "<a>", None])
def test_tags_are_names(argument: str, tag: Any) -> None:
    """A tag that is no XML name is refused, whether or not it would be written."""
    with pytest.raises(ValueError, match=f"{argument} must be an XML name"):
        format_as_xml("x", **{argument: tag})


def test_an_object_that_holds_itself() -> None:
    """Nesting without end is an error, not a crash."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match=r"\[0\]\[0\].*nested deeper than 200 levels; does it hold itself\?"):
        format_as_xml(endless)


_TAG = st.text("abcXYZ_éλ", min_size=1, max_size=5)
_TREE = st.recursive(
    st.text(max_size=10) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TAG, inner, max_size=3),
    max_leaves=15,
)


@given(tree=_TREE, indent=st.sampled_from([None, "", "  ", "\t"]))
def test_an_xml_reader_finds_what_was_written(tree: Any, indent: Optional[str]) -> None:
    """Whatever is written is well-formed and holds the tags and texts of the object, in order."""
    root = ElementTree.fromstring(format_as_xml(tree, indent=indent))
    assert list(_written("examples", tree)) == list(_read(root))


def _written(tag: str, tree: Any) -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict):
        parts = list(tree.items())
    elif isinstance(tree, list):
        parts = [("example", item) for item in tree]
    else:
        text = "null" if tree is None else str(tree).lower() if isinstance(tree, bool) else str(tree)
        for forbidden in (*map(chr, range(32)), "\ufffe", "\uffff"):
            if forbidden not in "\t\n\r":
                text = text.replace(forbidden, "\ufffd")
        yield tag, "".join(text.split())  # white space apart: readers unify line ends, and indentation adds some
        return
    yield tag, ""
    for name, part in parts:
        yield from _written(name, part)


def _read(element: ElementTree.Element) -> Iterator[tuple[str, str]]:
    yield element.tag, "".join((element.text or "").split())
    for child in element:
        yield from _read(child)


def test_importing_it_is_cheap() -> None:
    """Only what a program has anyway is imported: no pydantic, no event loop."""
    code = "import sys, syncagent.format_as_xml; print([m for m in ('pydantic', 'asyncio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout
