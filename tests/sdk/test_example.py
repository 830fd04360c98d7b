"""Examples made from JSON Schemas: helpful for good ones, bounded and harmless for all others."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sdk.shop import (
    Address,
    Camel,
    Colour,
    Invoice,
    Level,
    Line,
    Order,
    Pair,
    Ping,
    Point,
    Price,
    Team,
    Tree,
    User,
    Visit,
)
from zopio_trigger.errors import ConfigurationError
from zopio_trigger.model import json
from zopio_trigger.sdk.codec import codec_for
from zopio_trigger.sdk.example import example
from zopio_trigger.sdk.schema import json_schema


class Bounds(pydantic.BaseModel):
    above: int = pydantic.Field(gt=3)
    between: float = pydantic.Field(gt=0, lt=1)
    multiple: int = pydantic.Field(ge=11, multiple_of=5)
    most: int = pydantic.Field(le=-5)
    code: str = pydantic.Field(min_length=8, max_length=9)
    short: str = pydantic.Field(max_length=2)
    three: list[int] = pydantic.Field(min_length=3)
    shape: Annotated[Price | Camel, "a union"]
    address: pydantic.IPvAnyAddress
    link: pydantic.HttpUrl
    key: pydantic.UUID4
    secret: pydantic.SecretStr
    optional: int = 3


class Leaf(pydantic.BaseModel):
    kind: Literal["leaf"]


class Branch(pydantic.BaseModel):
    kind: Literal["branch"]
    left: Branch | Leaf
    right: Branch | Leaf


class Chain(msgspec.Struct):
    next: Chain | None
    others: list[Chain]


class Offered(msgspec.Struct):
    a: Annotated[str, msgspec.Meta(examples=["first", "second"])]
    b: Annotated[int, msgspec.Meta(ge=5)]


class Mixed(NamedTuple):
    order: Order
    visit: Visit | None


class Cat(msgspec.Struct, tag=True):
    born: datetime


class Dog(msgspec.Struct, tag=True):
    fed: time


class Times(msgspec.Struct):
    """A datetime in every kind of place."""

    plain: datetime
    sometimes: datetime | None
    listed: list[datetime]
    fixed: tuple[int, datetime]
    named: dict[str, datetime]
    limited: Annotated[datetime, msgspec.Meta(title="when")]
    number_or: int | datetime
    line_or: list[str] | datetime | Cat | Dog | None
    text: int | str


EVERY_KIND: list[object] = [
    bool, int, str, float, bytes, dict, list, UUID, Address, Bounds, Branch, Camel, Chain, Colour, Invoice,
    Level, Line, Mixed, Offered, Order, Pair, Ping, Point, Price, Team, Times, Tree, User, Visit,
    dict[int, Line], list[User], set[Pair], tuple[int, str], User | None, Line | Point, User | Visit,
    Literal["x", 3],
    Annotated[int, msgspec.Meta(gt=7, lt=9)],
]  # fmt: skip


@pytest.mark.parametrize("annotation", EVERY_KIND, ids=repr)
def test_the_example_of_an_annotation_is_accepted_by_it(annotation: object) -> None:
    schema = json_schema(annotation)
    assert schema is not None

    text = json.encode(example(schema), what="the example")

    codec_for(annotation).decode(text)


@pytest.mark.parametrize("annotation", EVERY_KIND, ids=repr)
def test_every_reference_in_a_schema_leads_somewhere(annotation: object) -> None:
    schema = json_schema(annotation)
    assert schema is not None

    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [found for inner in part.values() for found in references(inner)]
        return [found for inner in part for found in references(inner)] if isinstance(part, list) else []

    assert {name.removeprefix("#/$defs/") for name in references(schema)} <= set(schema.get("$defs", {}))


def test_any_json_has_no_schema_and_arbitrary_classes_are_refused() -> None:
    class Arbitrary: ...

    assert json_schema(Any) is None
    with pytest.raises(ConfigurationError):
        json_schema(Arbitrary)


def test_a_type_without_a_schema_has_none() -> None:
    class Custom(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        field: slice

    assert json_schema(Custom) is None


def test_the_schema_can_be_changed_without_changing_the_next_one() -> None:
    schema = json_schema(Visit)
    assert schema is not None
    schema.clear()

    assert json_schema(Visit)


def test_a_datetime_is_named_as_such_wherever_it_stands() -> None:
    definitions = (json_schema(Times) or {})["$defs"]
    times = definitions["Times"]["properties"]

    when = {"type": "string", "format": "date-time"}
    assert times["plain"] == when
    assert times["sometimes"] == {"anyOf": [when, {"type": "null"}]}
    assert times["listed"]["items"] == when
    assert times["fixed"]["prefixItems"] == [{"type": "integer"}, when]
    assert times["named"]["additionalProperties"] == when
    assert times["limited"] == {"title": "when", **when}
    assert when in times["number_or"]["anyOf"]
    assert when in times["line_or"]["anyOf"]
    assert definitions["Cat"]["properties"]["born"] == when
    assert definitions["Dog"]["properties"]["fed"] == {"type": "string", "format": "time"}
    assert "format" not in str(times["text"])


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {
                "type": "object",
                "required": ["userId", "email", "order_ids"],
                "properties": {
                    "userId": {"type": "string"},
                    "email": {"type": "string", "format": "email"},
                    "order_ids": {"type": "array", "items": {"type": "string"}},
                    "locale": {"type": "string"},
                },
            },
            {"userId": "user_123", "email": "ada@example.com", "order_ids": ["order_123"]},
        ),
        ({"type": "integer", "examples": [7, 8], "default": 1, "minimum": 3}, 7),
        ({"type": "integer", "default": 1, "minimum": 3}, 1),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": None}, None),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer"}, 1),
        ({"type": ["null", "string"], "format": "date-time"}, "2026-01-01T09:00:00Z"),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, False),
        ({"oneOf": [{"type": "null"}]}, None),
        (
            {"allOf": [{"required": ["a"], "properties": {"a": {"const": 1}}}, {"$ref": "#/$defs/b"}],
             "$defs": {"b": {"required": ["b"], "properties": {"b": {"type": "string", "format": "uri"}}}}},
            {"a": 1, "b": "https://example.com/"},
        ),
        ({"$ref": "#/definitions/a~1b%20c", "definitions": {"a/b c": {"const": 5}}}, 5),
        ({"type": "object", "required": ["x"]}, {"x": {}}),
        ({"minProperties": 2, "additionalProperties": {"const": 1}}, {"key1": 1, "key2": 1}),
        ({"type": "array", "maxItems": 0, "items": {"type": "string"}}, []),
        ({"type": "number", "maximum": -1, "multipleOf": 2}, -2),
        (True, {}),
        ({}, {}),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_an_example_takes_what_is_offered_then_what_words_mean(schema: object, expected: object) -> None:
    assert example(schema) == expected


def test_a_recursive_schema_ends_where_it_may() -> None:
    assert example(json_schema(Chain)) == {"next": None, "others": []}
    assert example(json_schema(Branch)) == {
        "kind": "branch",
        "left": {"kind": "leaf"},
        "right": {"kind": "leaf"},
    }


def values_in(made: object) -> int:
    if isinstance(made, dict):
        return 1 + sum(map(values_in, made.values()))
    return 1 + sum(map(values_in, made)) if isinstance(made, list) else 1


def wide(levels: int, width: int) -> dict[str, object]:
    names = [f"p{number}" for number in range(width)]
    return {
        "$ref": "#/$defs/0",
        "$defs": {
            str(level): {
                "required": names,
                "properties": {name: {"$ref": f"#/$defs/{level + 1}"} for name in names},
            }
            for level in range(levels)
        },
    }


def nested(word: str, levels: int) -> dict[str, object]:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema} if word == "items" else {word: [schema]}
    return schema


HOSTILE: list[object] = [
    {"$ref": "#"},
    {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
    {"$ref": "#", "allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    {"required": ["a", "b"], "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}},
    {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
    {
        "type": "array",
        "minItems": 10**9,
        "items": {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
    },
    {"type": "string", "minLength": 10**9},
    {"type": "object", "minProperties": 10**9},
    {"type": "object", "required": [f"name{number}" for number in range(100_000)]},
    wide(15, 10),
    nested("items", 500),
    nested("allOf", 500),
    nested("anyOf", 500),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_an_example_is_bounded_whatever_the_schema(number: int) -> None:
    made = example(HOSTILE[number])

    assert values_in(made) <= 600
    assert len(json.encode(made, what="it")) < 20_000


words = st.sampled_from(
    [
        *(
            "$ref",
            "$defs",
            "type",
            "properties",
            "required",
            "items",
            "prefixItems",
            "anyOf",
            "oneOf",
            "allOf",
        ),
        *(
            "enum",
            "examples",
            "default",
            "format",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
        ),
        *("multipleOf", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "a", "b"),
        *("additionalProperties",),
    ]
)
leaves: st.SearchStrategy[object] = st.sampled_from(
    [
        "#",
        "#/$defs/a",
        "string",
        "object",
        "array",
        "integer",
        "number",
        "null",
        "a",
        "b",
        None,
        True,
        -1,
        0,
        2,
        1e308,
        5e-324,
    ]
)
schemas = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(schemas)
def test_a_schema_that_is_none_makes_an_example_all_the_same(schema: object) -> None:
    json.encode(example(schema), what="the example")
