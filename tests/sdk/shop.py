"""Types as users write them, for the tests of codecs: one of each kind, and mixtures."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, NotRequired
from uuid import UUID

import msgspec
import pydantic
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Line:
    sku: str
    price: Decimal
    count: int = 1


@dataclass
class Order:
    id: UUID
    lines: list[Line]
    placed_at: datetime
    tags: set[str] = field(default_factory=set)
    by_level: dict[Level, Colour] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True)
class Point:
    x: int
    y: int


class Pair(NamedTuple):
    left: int
    right: str


class Address(TypedDict):
    city: str
    zip: NotRequired[str]


class Ping(msgspec.Struct):
    at: datetime
    every: timedelta | None = None


class Tree(msgspec.Struct):
    name: str
    children: list[Tree] = []


class User(pydantic.BaseModel):
    email: pydantic.EmailStr
    age: Annotated[int, pydantic.Field(ge=0)] = 0
    born: date | None = None


class Team(pydantic.BaseModel):
    users: list[User]
    by_name: dict[str, User] = {}
    lead: User | None = None
    parent: Team | None = None


@pydantic_dataclass
class Price:
    amount: Annotated[int, pydantic.Field(gt=0)]
    currency: Literal["EUR", "TRY"] = "EUR"


@dataclass
class Invoice:
    """A dataclass of the standard library with a model in it."""

    user: User
    order: Order


class Visit(msgspec.Struct):
    """A Struct with a model in it: msgspec asks pydantic."""

    user: User
    pages: list[str]
    others: dict[str, User] = {}


class Camel(pydantic.BaseModel):
    user_id: int = pydantic.Field(alias="userId")

    @pydantic.computed_field  # type: ignore[prop-decorator]  # a limit of mypy, named in the docs of pydantic
    @property
    def label(self) -> str:
        return f"user {self.user_id}"

    model_config = pydantic.ConfigDict(extra="forbid")


class TwoNames(pydantic.BaseModel):
    """Reads a field under another name than it writes it."""

    user_id: int = pydantic.Field(validation_alias="userId", serialization_alias="user-id")


class Account(pydantic.BaseModel):
    name: str
    password: pydantic.SecretStr


class Loose(pydantic.BaseModel):
    anything: Any = None
    ratio: float = 0.0


class Socket:
    """A class that no JSON can be turned into."""
