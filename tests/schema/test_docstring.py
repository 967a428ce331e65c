"""Descriptions from docstrings: the three styles, what tells them apart, and what sloppy ones give."""

from __future__ import annotations

import inspect
import string
import sys
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.schema.docstring import Docstring, DocstringFormat, parse_docstring

GOOGLE = """Add two numbers.

    They may be large.

    Args:
        x: the first
        y (dict[str, int], optional): the second: a number
            on two lines

            and one more
        *rest: others
        **options (Callable[[int], str]): named others

    Returns:
        int: the sum
    """

NUMPY = """
    Add two numbers.

    They may be large.

    Parameters
    ----------
    x : int
        the first
    y : {'a', 'b'}, optional
        the second: a number
        on two lines

        and one more
    *rest
        others
    **options : Callable[[int], str]
        named others

    Returns
    -------
    int
        the sum
    """

SPHINX = """Add two numbers.

    They may be large.

    :param x: the first
    :param dict[str, int] y: the second: a number
        on two lines

        and one more
    :type x: int
    :keyword \\*rest: others
    :arg options: named others
    :returns: the sum
    :rtype: int
    """

EXPECTED = Docstring(
    "Add two numbers.\n\nThey may be large.",
    {
        "x": "the first",
        "y": "the second: a number\non two lines\n\nand one more",
        "rest": "others",
        "options": "named others",
    },
)


@pytest.mark.parametrize("text, style", [(GOOGLE, "google"), (NUMPY, "numpy"), (SPHINX, "sphinx")])
def test_the_styles_say_the_same(text: str, style: DocstringFormat) -> None:
    """Each style gives its description and parameters, named or found out, also as Python 3.13 strips it."""
    assert EXPECTED == parse_docstring(text, style)
    assert EXPECTED == parse_docstring(text)
    assert EXPECTED == parse_docstring(inspect.cleandoc(text))
    assert EXPECTED == parse_docstring(text.replace("    ", "\t").replace("\n", "\r\n"))


@pytest.mark.parametrize("text", [None, "", "   \n  \n"])
def test_nothing_gives_nothing(text: Optional[str]) -> None:
    """No docstring, or a blank one, gives an empty description and no parameters."""
    assert Docstring("", {}) == parse_docstring(text)


def test_without_sections_all_is_description() -> None:
    """A docstring without sections is its description, in every style."""
    styles: tuple[DocstringFormat, ...] = ("auto", "google", "numpy", "sphinx")
    for style in styles:
        assert Docstring("One.\n\n  Two:\nthree", {}) == parse_docstring(" One.\n\n    Two:\n  three\n", style)


def test_params_fields_win_over_headers() -> None:
    """``:param x:`` makes it Sphinx, even beside a header of another style."""
    text = "Do.\n\nArgs:\n    x: google\n\n:param x: sphinx"
    assert {"x": "sphinx"} == parse_docstring(text).parameters


def test_google_header_wins_over_an_underlined_one() -> None:
    """``Args:`` is looked for before underlined headers."""
    text = "Do.\n\nArgs:\n    x: google\n\nParameters\n----------\ny\n    numpy"
    assert {"x": "google"} == parse_docstring(text).parameters


def test_other_fields_make_it_sphinx_where_nothing_else_is() -> None:
    """A docstring with ``:returns:`` alone keeps it out of the description."""
    assert Docstring("Do.", {}) == parse_docstring("Do.\n\n:returns: a thing")
    assert Docstring("Do.", {"x": "it"}) == parse_docstring("Do.\n\nArgs:\n    x: it\n\n:returns: a thing")


def test_the_wrong_format_finds_no_parameters() -> None:
    """A style that was asked for is not second-guessed."""
    assert {} == parse_docstring(GOOGLE, "numpy").parameters
    assert {} == parse_docstring(NUMPY, "sphinx").parameters
    assert {} == parse_docstring(SPHINX, "google").parameters


@pytest.mark.parametrize(
    "header", ["Args:", "args:", "Arguments:", "Parameters:", "Params:", "Keyword Args:", "Attributes:"]
)
def test_google_headers(header: str) -> None:
    """All of Google's headers for named items open them."""
    assert Docstring("Do.", {"x": "it"}) == parse_docstring(f"Do.\n\n{header}\n    x: it")


@pytest.mark.parametrize(
    "header", ["Parameters", "Other Parameters", "parameters", "Attributes", "Keyword Arguments"]
)
def test_numpy_headers(header: str) -> None:
    """All of NumPy's headers for named items open them."""
    text = f"Do.\n\n{header}\n{'-' * len(header)}\nx\n    it"
    assert Docstring("Do.", {"x": "it"}) == parse_docstring(text)


@pytest.mark.parametrize(
    "field", ["param", "parameter", "arg", "argument", "key", "keyword", "ivar", "var", "cvar"]
)
def test_sphinx_fields(field: str) -> None:
    """All of Sphinx' fields for parameters and attributes are read, with and without a type."""
    assert Docstring("Do.", {"x": "it"}) == parse_docstring(f"Do.\n\n:{field} x: it")
    assert Docstring("Do.", {"x": "it"}) == parse_docstring(f'Do.\n\n:{field} Literal["a:b"] x: it')


def test_several_names_share_a_text() -> None:
    """``a, b: text`` describes both."""
    expected = {"a": "both", "b": "both"}
    assert expected == parse_docstring("Do.\n\nArgs:\n    a, b (int): both").parameters
    assert expected == parse_docstring("Do.\n\nParameters\n---\na, b : int\n    both").parameters


def test_the_first_text_of_a_name_counts() -> None:
    """A name that is described twice keeps its first text."""
    text = "Do.\n\nArgs:\n    x: first\n\nAttributes:\n    x: second\n    y: third"
    assert {"x": "first", "y": "third"} == parse_docstring(text).parameters


def test_items_without_text_are_left_out() -> None:
    """A parameter that is named and not described has no description."""
    assert {"y": "it"} == parse_docstring("Do.\n\nArgs:\n    x:\n    y: it").parameters
    assert {"y": "it"} == parse_docstring("Do.\n\nParameters\n---\nx : int\ny : int\n    it").parameters
    assert {"y": "it"} == parse_docstring("Do.\n\n:param x:\n:param y: it").parameters


def test_text_below_the_name() -> None:
    """A text may begin on the line below its name."""
    assert {"x": "it\n  more"} == parse_docstring("Do.\n\nArgs:\n    x:\n        it\n          more").parameters
    assert {"x": "it\nmore"} == parse_docstring("Do.\n\n:param x:\n    it\n    more").parameters


def test_google_types_may_hold_brackets_and_colons() -> None:
    """The type ends at the bracket that closes it."""
    text = 'Do.\n\nArgs:\n    x (f(a: int), "b:" (c)): it: that (too)'
    assert {"x": "it: that (too)"} == parse_docstring(text).parameters


def test_google_lines_that_name_nothing_go_on() -> None:
    """A line that is not indented as it should be, and is no item, belongs to the item above."""
    text = "Do.\n\nArgs:\n    x: first\n    goes on here: there\n    y (int) no item\n    z (int: neither\n    : nor"
    expected = {"x": "first\ngoes on here: there\ny (int) no item\nz (int: neither\n: nor"}
    assert expected == parse_docstring(text).parameters


def test_google_text_before_the_first_item_is_dropped() -> None:
    """Prose between the header and the first item describes no parameter."""
    assert {"x": "it"} == parse_docstring("Do.\n\nArgs:\n    some prose\n    x: it").parameters


def test_google_docstring_that_is_one_section() -> None:
    """A docstring that begins with its only header is read, though its items lost their indentation."""
    assert Docstring("", {"x": "it\n\nmore", "y": "that"}) == parse_docstring(
        """Args:
        x: it

            more
        y: that
        """
    )
    both = "Args:\n        x: it\n    Returns:\n        y: that\n    "
    assert Docstring("", {"x": "it"}) == parse_docstring(both)
    unclear = "Args:\nx: it\nReturns:\n    y: that"
    assert Docstring("", {}) == parse_docstring(unclear)
    assert Docstring(unclear, {}) == parse_docstring(unclear, "numpy")


def test_google_header_without_a_block_is_text() -> None:
    """A line that looks like a header and opens no indented block stays in the description."""
    assert Docstring("Do.\n\nArgs:\nnone at all", {}) == parse_docstring("Do.\n\nArgs:\nnone at all")
    assert Docstring("Do it with the\nargs:", {}) == parse_docstring("Do it with the\nargs:")


def test_google_text_after_a_section_is_not_description() -> None:
    """The description ends at the first section."""
    text = "Do.\n\nNote:\n    this stays\n\nRaises:\n    ValueError: never\n\nLater text.\n\nArgs:\n    x: it"
    assert Docstring("Do.\n\nNote:\n    this stays", {"x": "it"}) == parse_docstring(text)


def test_numpy_unknown_headers_end_the_items() -> None:
    """Any underlined header ends the section above it; a line of dashes under nothing is no header."""
    text = "Do.\n\n---\n\nParameters\n----------\nx : int\n    it\n\nOdd Things\n==========\n-----\n    not x"
    assert {"x": "it"} == parse_docstring(text, "numpy").parameters
    text = "Do.\n\nParameters\n----------\nx : int\n    it\nOther\n-----\ny : int\n    that"
    assert Docstring("Do.", {"x": "it"}) == parse_docstring(text)


def test_numpy_lines_that_name_nothing_end_an_item() -> None:
    """Below a line that is no name, text is nobody's."""
    text = "Do.\n\nParameters\n---\nx : int\n    it\nnot a name : int\n    that"
    assert {"x": "it"} == parse_docstring(text).parameters


def test_sphinx_paragraph_ends_the_fields() -> None:
    """A paragraph that is not indented is not part of the field above it."""
    text = "Do.\n\n:param x: it\ngoes on\n\nOther text.\n\n:param y: that\n\n    and more"
    assert Docstring("Do.", {"x": "it\ngoes on", "y": "that\n\nand more"}) == parse_docstring(text)


def test_sphinx_roles_and_unknown_fields_are_text() -> None:
    """A line that starts with a role, or an unknown field, is text."""
    text = "Do.\n\n:class:`Foo` does: this\n:odd: that\n:param x: see\n    :class:`Foo`: there\n    :noend"
    expected = Docstring(
        "Do.\n\n:class:`Foo` does: this\n:odd: that", {"x": "see\n:class:`Foo`: there\n:noend"}
    )
    assert expected == parse_docstring(text)


def test_sphinx_fields_that_name_nothing_are_dropped() -> None:
    """A parameter field without a usable name describes nothing."""
    assert Docstring("Do.", {"y": "it"}) == parse_docstring("Do.\n\n:param 1x: no\n:param : no\n:param y: it")


def test_a_sphinx_docstring_may_be_fields_only() -> None:
    """Fields on the first line leave the description empty."""
    assert Docstring("", {"x": "it"}) == parse_docstring(":param x: it\n")


# -- the oracle ------------------------------------------------------------------------------------

_NAME = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8).map(lambda name: "p" + name)
_SENTENCE = st.lists(st.text(string.ascii_letters + "()[],.'", min_size=1, max_size=8), min_size=1, max_size=6).map(
    " ".join
)
_DOC = st.tuples(
    st.lists(_SENTENCE, min_size=1, max_size=3),
    st.dictionaries(_NAME, st.lists(_SENTENCE, min_size=1, max_size=3), min_size=1, max_size=4),
)


def _write(style: str, description: list[str], parameters: dict[str, list[str]]) -> str:
    lines = ["\n\n".join(description), ""]
    lines += {"google": ["Args:"], "numpy": ["Parameters", "----------"], "sphinx": []}[style]
    for name, (first, *rest) in parameters.items():
        if style == "google":
            lines += [f"    {name} (int): {first}", *("        " + line for line in rest)]
        elif style == "numpy":
            lines += [f"{name} : int", *("    " + line for line in [first, *rest])]
        else:
            lines += [f":param int {name}: {first}", *("    " + line for line in rest)]
    return "\n".join(lines)


@pytest.mark.parametrize("style", ["google", "numpy", "sphinx"])
@given(doc=_DOC)
def test_agrees_with_docstring_parser(style: DocstringFormat, doc: tuple[list[str], dict[str, list[str]]]) -> None:
    """What docstring-parser reads out of a well-formed docstring, we read too, and it is what was written."""
    oracle = pytest.importorskip("docstring_parser")
    styles = oracle.DocstringStyle
    text = _write(style, *doc)
    theirs = oracle.parse(text, {"google": styles.GOOGLE, "numpy": styles.NUMPYDOC, "sphinx": styles.REST}[style])
    ours = parse_docstring(text)
    assert {name: "\n".join(lines) for name, lines in doc[1].items()} == ours.parameters
    assert {param.arg_name: param.description for param in theirs.params} == ours.parameters
    assert (theirs.description or "").strip() == ours.description


@given(
    text=st.text(alphabet="Args:\n paramx()-,*_`\\", max_size=200),
    style=st.sampled_from(["auto", "google", "numpy", "sphinx"]),
)
def test_no_text_raises(text: str, style: DocstringFormat) -> None:
    """Whatever the text, reading it gives strings, and the names are identifiers."""
    description, parameters = parse_docstring(text, style)
    assert isinstance(description, str)
    assert all(name.isidentifier() and text.strip() == text != "" for name, text in parameters.items())


@pytest.mark.parametrize(
    "unit",
    [":param ", ":param x:\n", "x (", "Args:\n    x: y\n", "Args:\n", "a: (((", "---\n", "a\n---\n", ": ", "\\", "\n"],
)
@pytest.mark.parametrize("style", ["auto", "google", "numpy", "sphinx"])
def test_hostile_text_is_read_once(unit: str, style: DocstringFormat) -> None:
    """The steps taken for a repeated pattern grow with its length, not with its square."""
    start = "Do.\n\nArgs:\n    "
    assert _steps(start + unit * 600, style) < 2.6 * _steps(start + unit * 300, style)


def _steps(text: str, style: DocstringFormat) -> int:
    """How many lines of Python run while the text is read."""
    steps = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal steps
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]  # typeshed wants its own recursive type
    try:
        parse_docstring(text, style)
    finally:
        sys.settrace(before)
    return steps
