"""What msgspec makes of an annotation: refuses, when a job is defined, what would fail when it runs.

msgspec accepts any class, key and member of a set, and fails on the first value; here every part is looked at
before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import inspect as shapes
from msgspec.json import Decoder

from zopio_trigger.errors import ConfigurationError
from zopio_trigger.sdk.annotation import is_constraint, is_model, parts_of, type_name

# Keys that JSON text spells and msgspec reads back as what they were.
_TEXT_KEYS = (shapes.StrType, shapes.AnyType)
_SPELLED_KEYS = (
    shapes.IntType, shapes.FloatType, shapes.DecimalType, shapes.UUIDType, shapes.DateTimeType,
    shapes.DateType, shapes.TimeType, shapes.TimeDeltaType, shapes.EnumType, shapes.LiteralType,
    shapes.BytesType,
)  # fmt: skip
_NEVER_HASHABLE = (
    shapes.ListType, shapes.SetType, shapes.DictType, shapes.TypedDictType, shapes.ByteArrayType,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """What the codec has to know about an annotation that it can serve.

    Attributes:
        models: the pydantic models in it, which msgspec hands on.
        has_keys_to_spell: it has dictionaries whose keys are not str.
    """

    models: tuple[type, ...]
    has_keys_to_spell: bool


def shape_of(annotation: object) -> Shape:
    """Look at every part of `annotation`.

    Raises:
        ConfigurationError: a part that JSON cannot be turned into; names it, and what to use.
    """
    _refuse_words_of_pydantic(annotation)
    try:
        Decoder(annotation)
        nodes = tuple(_nodes_of(shapes.type_info(annotation)))
    except Exception as error:  # evaluates the user's text (names, classes), which may raise anything
        raise _cannot(annotation, str(error).rstrip(".")) from error
    for node in nodes:
        reason = _objection_to(node)
        if reason:
            raise _cannot(annotation, reason)
    return Shape(
        models=tuple(node.cls for node in nodes if isinstance(node, shapes.CustomType)),
        has_keys_to_spell=any(
            isinstance(node, shapes.DictType) and not isinstance(_bare(node.key_type), _TEXT_KEYS)
            for node in nodes
        ),
    )


def _refuse_words_of_pydantic(annotation: object) -> None:
    for part in parts_of(annotation):
        if is_constraint(part):
            raise _cannot(annotation, f"msgspec does not know {part!r}; write it with msgspec.Meta")
        if is_model(part) and not hasattr(part, "model_validate_json"):
            raise _cannot(annotation, f"beside a msgspec Struct, {type_name(part)} is not validated")


def _cannot(annotation: object, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"JSON cannot be turned into {type_name(annotation)}: {reason}. Use JSON's own types, "
        "dataclasses, TypedDict, NamedTuple, msgspec Structs or pydantic models; without an annotation "
        "one gets the plain JSON value"
    )


def _objection_to(node: shapes.Type) -> str | None:
    match node:
        case shapes.CustomType(cls=cls) if not hasattr(cls, "model_validate_json"):
            return f"no way is known to make {type_name(cls)} from it"
        case shapes.DictType(key_type=key) if not isinstance(_bare(key), _TEXT_KEYS + _SPELLED_KEYS):
            return "a key must be a str, number, date, UUID or Enum"
        case shapes.SetType(item_type=item) | shapes.FrozenSetType(item_type=item) if not _is_hashable(item):
            return "members of a set must be hashable (frozen)"
        case _:
            return None


def _bare(node: shapes.Type) -> shapes.Type:
    return _bare(node.type) if isinstance(node, shapes.Metadata) else node


def _is_hashable(node: shapes.Type) -> bool:
    match _bare(node):
        case shapes.TupleType(item_types=items):
            return all(map(_is_hashable, items))
        case shapes.UnionType(types=items):
            return all(map(_is_hashable, items))
        case shapes.VarTupleType(item_type=item):
            return _is_hashable(item)
        case shapes.StructType(cls=cls):
            return bool(cls.__struct_config__.frozen)
        case shapes.DataclassType(cls=cls) | shapes.CustomType(cls=cls):
            return cls.__hash__ is not None
        case bare:
            return not isinstance(bare, _NEVER_HASHABLE)


def _nodes_of(root: shapes.Type) -> Iterator[shapes.Type]:
    """Every part of a type, each once: a recursive class contains itself."""
    waiting = [root]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting.extend(_children_of(node))


def _children_of(node: shapes.Type) -> tuple[shapes.Type, ...]:
    match node:
        case shapes.Metadata(type=inner):
            return (inner,)
        case shapes.DictType(key_type=key, value_type=value):
            return (key, value)
        case shapes.UnionType(types=members):
            return tuple(members)
        case shapes.TupleType(item_types=items):
            return tuple(items)
        case shapes.ListType() | shapes.SetType() | shapes.FrozenSetType() | shapes.VarTupleType():
            return (node.item_type,)
        case shapes.StructType() | shapes.DataclassType() | shapes.TypedDictType() | shapes.NamedTupleType():
            return tuple(field.type for field in node.fields)
        case _:
            return ()
