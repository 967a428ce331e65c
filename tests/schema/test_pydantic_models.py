"""pydantic models, known by their methods: their own schema, their own validator."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from typing import Annotated, Any, Optional, Union

import attrs
import pytest

from syncagent.exceptions import UserError
from syncagent.schema.json_schema import is_object_type, json_schema
from syncagent.schema.structure import ValidationError, structurer

pydantic = pytest.importorskip("pydantic")


class Inner(pydantic.BaseModel):
    """An inner model."""

    a: int
    title: str = "t"


class Outer(pydantic.BaseModel):
    inner: Inner
    others: list[Inner] = []  # noqa: RUF012 # pydantic copies defaults
    by_alias: int = pydantic.Field(1, alias="byAlias")


class Node(pydantic.BaseModel):
    kids: list[Node] = []  # noqa: RUF012 # as above
    inner: Optional[Inner] = None


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")
    day: dt.date
    n: int = 0


@attrs.define
class Holder:
    outer: Outer
    nodes: list[Node] = attrs.Factory(list)


class Cat(pydantic.BaseModel):
    kind: pydantic.JsonValue = "cat"
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: str = "dog"
    tricks: list[str] = []  # noqa: RUF012 # as above


if sys.version_info < (3, 14):  # pydantic 1's code does not run there
    from pydantic import v1

    class Small(v1.BaseModel):
        a: int

    class Big(v1.BaseModel):
        small: Small
        b: str = "b"


def errors_of(tp: Any, value: Any) -> list[dict[str, Any]]:
    """The mistakes in *value*."""
    with pytest.raises(ValidationError) as caught:
        structurer(tp).from_json_value(value)
    return [dict(error) for error in caught.value.errors]


def test_values() -> None:
    """Models are built by pydantic, in our containers and classes too."""
    made = structurer(Holder).from_json('{"outer": {"inner": {"a": "1"}, "byAlias": 3}, "nodes": [{"kids": [{}]}]}')
    assert made == Holder(Outer(inner=Inner(a=1), byAlias=3), [Node(kids=[Node()])])
    model = Inner(a=1)
    assert structurer(Inner).from_python(model) is model
    assert structurer(list[Inner]).from_json('[{"a": 1, "extra": 2}]') == [model]


def test_mistakes() -> None:
    """pydantic's mistakes are ours, with the path from the top."""
    assert errors_of(Holder, {"outer": {"inner": {}, "others": 3}}) == [
        {"type": "missing", "loc": ("outer", "inner", "a"), "msg": "Field required", "input": {}},
        {"type": "list_type", "loc": ("outer", "others"), "msg": "Input should be a valid array", "input": 3},
    ]
    (error,) = errors_of(Inner, [])
    assert (error["type"], error["msg"]) == ("model_type", "Input should be an object")
    with pytest.raises(ValidationError, match="valid dictionary or instance of Inner"):
        structurer(Inner).from_python(object())


def test_contexts_are_plain() -> None:
    """A validator's exception in the context becomes its text, so that errors can be stored as JSON."""

    class Even(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def _even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("odd")
            return value

    (error,) = errors_of(Even, {"n": 1})
    assert error["msg"] == "Value error, odd"
    assert error["ctx"] == {"error": "odd"}
    assert json.dumps(error)


def test_strict_models_read_json() -> None:
    """A strict model takes from JSON what JSON has no other form for, and forbids extras if it says so."""
    assert structurer(Strict).from_json('{"day": "2020-01-31"}') == Strict(day=dt.date(2020, 1, 31))
    assert [error["type"] for error in errors_of(Strict, {"day": "2020-01-31", "n": "1", "x": 1})] == [
        "int_type",
        "extra_forbidden",
    ]


@pytest.mark.parametrize("tp", [Inner, Outer, Node, list[Node], Optional[Inner], dict[str, Outer]])
@pytest.mark.parametrize("titles", [True, False])
def test_schemas(tp: Any, titles: bool) -> None:
    """The model's own schema, its definitions among ours; titles only where they are wanted."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema(tp, titles=titles)
    jsonschema.Draft202012Validator.check_schema(schema)
    expected = pydantic.TypeAdapter(tp).json_schema()
    if "$ref" in expected:
        name = expected.pop("$ref").rpartition("/")[2]
        expected = {**expected["$defs"][name], **expected}
    if titles:
        assert schema == expected
    else:
        assert '"title": "' not in json.dumps(schema)
        assert "title" in json.dumps(schema) or tp in (list[Node],)
    assert json.dumps(schema).count("$ref") >= json.dumps(schema.get("$defs", {})).count("$ref")


def test_clashing_names() -> None:
    """Two classes of one name get two definitions, and references follow."""

    @attrs.define
    class Inner:
        z: bool

    Both = attrs.make_class("Both", {"ours": attrs.field(type=Inner), "theirs": attrs.field(type=Outer)})
    schema = json_schema(Both)
    outer = schema["$defs"]["Outer"]
    assert schema["properties"]["ours"] == {"$ref": "#/$defs/Inner"}
    assert schema["$defs"]["Inner"]["properties"] == {"z": {"type": "boolean"}}
    assert outer["properties"]["inner"] == {"$ref": "#/$defs/Inner_2"}
    assert schema["$defs"]["Inner_2"]["properties"]["a"] == {"type": "integer"}


def test_discriminators_follow() -> None:
    """A discriminator's mapping points at the definitions' names here."""
    from typing import Literal

    A = pydantic.create_model("A", kind=(Literal["a"], "a"))
    B = pydantic.create_model("B", kind=(Literal["b"], "b"))
    Zoo = pydantic.create_model("Zoo", pet=(Annotated[Union[A, B], pydantic.Field(discriminator="kind")], ...))
    Taken = attrs.make_class("A", {"x": attrs.field(type=int)})
    schema = json_schema(tuple[Taken, Zoo])
    pet = schema["$defs"]["Zoo"]["properties"]["pet"]
    assert pet["discriminator"]["mapping"] == {"a": "#/$defs/A_2", "b": "#/$defs/B"}
    assert [branch["$ref"] for branch in pet["oneOf"]] == ["#/$defs/A_2", "#/$defs/B"]
    assert structurer(Zoo).from_json('{"pet": {"kind": "b"}}').pet == B()


def test_unions_of_models() -> None:
    """The model that knows more of the keys wins."""
    assert structurer(Union[Cat, Dog]).from_json('{"tricks": []}') == Dog(tricks=[])
    assert structurer(Union[Cat, Dog]).from_python(Cat()) == Cat()


def test_a_model_without_a_schema() -> None:
    """A model whose own schema cannot be built is an error with the path to it."""

    class Odd(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        thing: type(sys)

    with pytest.raises(UserError, match=r"list\[Odd\]\[\]: its own schema cannot be built"):
        json_schema(list[Odd])


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic 1's code does not run there")
def test_version_1() -> None:
    """Models of pydantic 1 are known too."""
    assert is_object_type(Big)
    schema = json_schema(Big)
    assert schema["$defs"]["Small"] == {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
    }
    assert structurer(list[Big]).from_json('[{"small": {"a": "1"}}]') == [Big(small=Small(a=1))]
    (error,) = errors_of(list[Big], [{"small": {"a": "x"}}])
    assert error["loc"] == (0, "small", "a")
    assert error["msg"] == "value is not a valid integer"


def test_a_pydantic_dataclass_tells_its_own_mistakes() -> None:
    """What its ``__init__`` refuses comes with the paths that pydantic gives."""

    @pydantic.dataclasses.dataclass
    class Point:
        x: Annotated[int, pydantic.AfterValidator(lambda value: value // (value - 3))]
        y: Annotated[int, pydantic.BeforeValidator(lambda value: int(str(value) * 2))] = 0

        @pydantic.field_validator("y")
        @classmethod
        def _small(cls, value: int) -> int:
            if value > 50:
                raise ValueError("too large")
            return value

    assert errors_of(Point, {"x": 4, "y": 9}) == [
        {
            "type": "value_error",
            "loc": ("y",),
            "msg": "Value error, too large",
            "input": 9,
            "ctx": {"error": "too large"},
        }
    ]


@pytest.mark.parametrize(
    ("tp", "value", "path"),
    [
        (Outer, {"inner": {"a": "x"}, "byAlias": "x"}, "  inner.a: "),
        (Node, {"kids": [{"inner": {"a": "mine"}}]}, "  kids[0].inner.a: "),
        (Strict, {"day": "2020-01-01", "mine": 1}, "  [key]: "),
        (Dog, {"tricks": [1]}, "  tricks[0]: "),
    ],
)
def test_the_text_has_names_of_fields_only(tp: Any, value: Any, path: str) -> None:
    """The text of an error names the fields of models and of those in them, and no key that is none."""
    with pytest.raises(ValidationError) as caught:
        structurer(tp).from_json_value(value)
    assert path in str(caught.value)
    assert "mine" not in str(caught.value)


def test_pydantic_is_not_imported() -> None:
    """Schemas and structurers load neither pydantic nor, before the first structurer, cattrs."""
    code = (
        "import sys, typing\n"
        "from syncagent.schema import json_schema, structure\n"
        "json_schema.json_schema(typing.Optional[int])\n"
        "assert 'cattrs' not in sys.modules\n"
        "structure.structurer(int)\n"
        "assert 'cattrs' in sys.modules and 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
