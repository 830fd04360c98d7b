"""The JSON Schema of an annotation: what the dashboard shows beside a job's test form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as shapes

from zopio_trigger.sdk.codec import Codec, TypedCodec, UnionCodec, codec_for
from zopio_trigger.sdk.models import ModelCodec

Schema = dict[str, Any]

_WITH_FIELDS = (shapes.StructType, shapes.DataclassType, shapes.TypedDictType, shapes.NamedTupleType)


def json_schema(annotation: object) -> Schema | None:
    """The JSON Schema (draft 2020-12) of the payloads that `annotation` accepts; a new one on each call.

    Parameters:
        annotation: what `codec_for` takes.

    Returns None when any JSON is accepted, and when a custom type or validator has no schema: a schema only
    helps to write a payload, the codec decides.

    Raises:
        ConfigurationError: JSON cannot be turned into `annotation`.
    """
    codec = codec_for(annotation)
    try:
        return _schema_of(codec)
    except (TypeError, ValueError, RuntimeError):  # what msgspec and pydantic raise for a type without schema
        return None


def _schema_of(codec: Codec) -> Schema | None:
    match codec:
        case ModelCodec():
            return codec.adapter.json_schema()
        case TypedCodec():
            return _schema_of_typed(codec)
        case UnionCodec():
            return _schema_of_union(codec)
        case _:
            return None


def _schema_of_union(codec: UnionCodec) -> Schema:
    options = [_schema_of(member) or {} for _, member in codec.members]
    definitions: Schema = {}
    for option in options:
        definitions.update(option.pop("$defs", {}))
    return _with_definitions({"anyOf": options}, definitions)


def _schema_of_typed(codec: TypedCodec) -> Schema:
    definitions: Schema = {}

    def of_model(model: type) -> Schema:
        schema = codec.models[model].adapter.json_schema()
        definitions.update(schema.pop("$defs", {}))
        return schema

    schema = msgspec.json.schema(codec.annotation, schema_hook=of_model)
    _Formats(schema.get("$defs", {})).name(shapes.type_info(codec.annotation), schema)
    return _with_definitions(schema, definitions)


def _with_definitions(schema: Schema, definitions: Schema) -> Schema:
    """References lead to the root, so that is where the definitions of every part have to stand."""
    if definitions:
        schema["$defs"] = {**schema.get("$defs", {}), **definitions}
    return schema


class _Formats:
    """Names the formats that msgspec leaves out, as a datetime may come without a time zone: a form that says
    "string" would not tell what to write.

    Parameters:
        definitions: the schema's `$defs`.
    """

    def __init__(self, definitions: Schema) -> None:
        self._definitions = definitions
        self._walked: set[int] = set()

    def name(self, node: shapes.Type, schema: Any) -> None:
        """Walk a type and its schema side by side."""
        schema = self._referred(schema)
        if not isinstance(schema, dict) or id(node) in self._walked:
            return
        if isinstance(node, _WITH_FIELDS):  # only these can contain themselves
            self._walked.add(id(node))
        match node:
            case shapes.DateTimeType():
                schema.setdefault("format", "date-time")
            case shapes.TimeType():
                schema.setdefault("format", "time")
            case _:
                for inner, its_schema in _pairs(node, schema):
                    self.name(inner, its_schema)

    def _referred(self, schema: Any) -> Any:
        reference = schema.get("$ref", "") if isinstance(schema, dict) else ""
        return self._definitions.get(reference.removeprefix("#/$defs/"), schema)


def _pairs(node: shapes.Type, schema: Schema) -> Iterator[tuple[shapes.Type, Any]]:
    """The parts of a type, each with its schema."""
    if isinstance(node, _WITH_FIELDS):
        yield from _pairs_of_fields(node, schema)
    match node:
        case shapes.Metadata(type=inner):
            yield inner, schema
        case shapes.DictType(value_type=value):
            yield value, schema.get("additionalProperties")
        case shapes.ListType() | shapes.SetType() | shapes.FrozenSetType() | shapes.VarTupleType():
            yield node.item_type, schema.get("items")
        case shapes.TupleType(item_types=items):
            yield from zip(items, schema.get("prefixItems", ()), strict=False)
        case shapes.UnionType(types=members):
            yield from _pairs_of_union(members, schema)


def _pairs_of_fields(node: Any, schema: Schema) -> Iterator[tuple[shapes.Type, Any]]:
    in_order = schema.get("prefixItems")
    for place, field in enumerate(node.fields):
        name = getattr(field, "encode_name", field.name)
        yield field.type, in_order[place] if in_order else schema.get("properties", {}).get(name)


def _pairs_of_union(members: tuple[shapes.Type, ...], schema: Schema) -> Iterator[tuple[shapes.Type, Any]]:
    """msgspec puts Structs behind the other members (in an `anyOf` of their own when there are several)."""
    options = [inner for option in schema.get("anyOf", ()) for inner in option.get("anyOf", [option])]
    told = [option for option in options if option != {"type": "null"}]
    types = [member for member in members if not isinstance(member, shapes.NoneType)]
    types.sort(key=lambda member: isinstance(member, shapes.StructType) and not member.array_like)
    if len(types) == len(told):
        yield from zip(types, told, strict=True)
