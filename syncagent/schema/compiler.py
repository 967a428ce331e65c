"""
Types to compiled nodes: asks the converter who makes a value of a type, and builds what is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Optional

from .constants import enum_node, literal_node
from .constraints import constraint_check, read_constraints
from .errors import value_error
from .fields import class_of, object_fields
from .forms import Form, UnsupportedType, form, type_name
from .nodes import (
    Node,
    checked_node,
    dict_node,
    leaf_node,
    list_node,
    memo_fit,
    optional_node,
    set_node,
    tuple_node,
    union_node,
)
from .objects import Extra, Slot, namedtuple_node, object_node, pydantic_node
from .scalars import LAX, SCALARS, path_parser, rank_of_text

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["Compiler", "Entry"]

_OBJECT_ERRORS = {"attrs": "dataclass_type", "dataclass": "dataclass_type", "typeddict": "dict_type"}


class Entry:
    """The hook that :func:`~syncagent.schema.structure.make_converter` registers; what answers with it is ours."""

    def __init__(self, structure: Callable[[Any, Any], Any]) -> None:
        self.structure = structure

    def __call__(self, value: Any, tp: Any) -> Any:
        return self.structure(value, tp)


class Compiler:
    """Compiles one type; objects on the way are known by their type, so that recursive ones end."""

    def __init__(self, converter: Converter) -> None:
        self._converter = converter
        self._objects: dict[Any, Node] = {}

    def node(self, tp: Any, extra: Extra = "ignore") -> Node:
        hook = self._user_hook(tp)
        if hook is not None:
            return _hook_node(hook, tp)
        found = form(tp)
        if found.kind == "alias":
            return self.node(found.type, extra)
        if found.kind == "annotated":
            inner = self.node(found.type, extra)
            check = constraint_check(read_constraints(found.args))
            return inner if check is None else checked_node(inner, check)
        return _BUILDERS[found.kind](self, found, extra)

    def _user_hook(self, tp: Any) -> Optional[Callable[[Any, Any], Any]]:
        try:
            hook = self._dispatch(tp)
        except TypeError:  # cattrs looks hooks up by hash, and metadata may have none
            return None
        return None if isinstance(hook, Entry) else hook

    def _dispatch(self, tp: Any) -> Any:
        converter = self._converter
        unions: Mapping[Any, Any] = getattr(converter, "_union_struct_registry", {})
        if unions and tp in unions:  # cattrs keeps hooks for unions apart, behind what is registered for any type
            return unions[tp]
        if hasattr(converter, "get_structure_hook"):
            return converter.get_structure_hook(tp, cache_result=False)
        # cattrs 23.2 has no public way; behind its cache, which would keep classes alive, stands the function itself.
        dispatch: Any = converter._structure_func.dispatch
        return dispatch.__wrapped__(tp)

    def below(self, step: str, tp: Any) -> Node:
        try:
            return self.node(tp)
        except UnsupportedType as error:
            raise error.below(step) from error

    def scalar(self, found: Form, extra: Extra) -> Node:
        take, rank, label = SCALARS[found.kind]
        return leaf_node(take, rank, label)

    def path(self, found: Form, extra: Extra) -> Node:
        return leaf_node(path_parser(found.type), rank_of_text, "path")

    def sequence(self, found: Form, extra: Extra) -> Node:
        return list_node(self.below("[]", found.args[0]), found.kind)

    def set_type(self, found: Form, extra: Extra) -> Node:
        return set_node(self.below("[]", found.args[0]), found.kind)

    def fixed_tuple(self, found: Form, extra: Extra) -> Node:
        return tuple_node([self.below(f"[{index}]", arg) for index, arg in enumerate(found.args)])

    def mapping(self, found: Form, extra: Extra) -> Node:
        return dict_node(self.below("{key}", found.args[0]), self.below("{}", found.args[1]))

    def union(self, found: Form, extra: Extra) -> Node:
        members = [arg for arg in found.args if arg is not type(None)]
        nodes = [self.node(member) for member in members]
        inner = nodes[0] if len(nodes) == 1 else union_node(nodes)
        return inner if len(members) == len(found.args) else optional_node(inner)

    def literal(self, found: Form, extra: Extra) -> Node:
        return literal_node(found.args)

    def enum(self, found: Form, extra: Extra) -> Node:
        return enum_node(found.type)

    def object_type(self, found: Form, extra: Extra) -> Node:
        return self._once(found.type, extra, lambda: self._object(found, extra))

    def _object(self, found: Form, extra: Extra) -> Node:
        cls = class_of(found.type)
        plain = found.kind == "typeddict"
        return object_node(
            cls.__name__,
            self._slots(found),
            None if plain else cls,
            cls=None if plain else cls,
            error_kind=_OBJECT_ERRORS[found.kind],
            extra=extra,
        )

    def namedtuple(self, found: Form, extra: Extra) -> Node:
        cls = class_of(found.type)
        return self._once(found.type, extra, lambda: namedtuple_node(cls.__name__, self._slots(found), cls))

    def pydantic(self, found: Form, extra: Extra) -> Node:
        return pydantic_node(found.type, found.type.model_validate)

    def pydantic1(self, found: Form, extra: Extra) -> Node:
        return pydantic_node(found.type, found.type.parse_obj)

    def _slots(self, found: Form) -> list[Slot]:
        return [
            Slot(field.key, field.name, self.below(f".{field.name}", field.type), field.required)
            for field in object_fields(found.kind, found.type)
        ]

    def _once(self, tp: Any, extra: Extra, build: Callable[[], Node]) -> Node:
        key = (tp, extra)
        known = self._objects.get(key)
        if known is not None:
            return known
        # Whoever meets it while it is built gets this, which asks for the finished functions when it is called.
        node = self._objects[key] = Node(
            lambda value: done.take(value),
            lambda value, place: node.fit(value, place),
            class_of(tp).__name__,
            counts=True,
            deep=True,
        )
        done = build()
        node.take, node.counts, node.deep = done.take, done.counts, done.deep
        node.fit = memo_fit(node, done.fit) if done.deep else done.fit
        return node


_BUILDERS: dict[str, Callable[[Compiler, Form, Extra], Node]] = {
    **dict.fromkeys(SCALARS, Compiler.scalar),
    "attrs": Compiler.object_type,
    "dataclass": Compiler.object_type,
    "deque": Compiler.sequence,
    "dict": Compiler.mapping,
    "enum": Compiler.enum,
    "frozenset": Compiler.set_type,
    "list": Compiler.sequence,
    "literal": Compiler.literal,
    "namedtuple": Compiler.namedtuple,
    "path": Compiler.path,
    "pydantic": Compiler.pydantic,
    "pydantic1": Compiler.pydantic1,
    "set": Compiler.set_type,
    "tuple": Compiler.fixed_tuple,
    "tuple_of": Compiler.sequence,
    "typeddict": Compiler.object_type,
    "union": Compiler.union,
}


def _hook_node(hook: Callable[[Any, Any], Any], tp: Any) -> Node:
    def take(value: Any) -> Any:
        try:
            return hook(value, tp)
        except Exception as error:  # a user's hook refuses as it likes
            raise value_error(value, error) from None

    return leaf_node(take, lambda value: LAX, type_name(tp))
