"""Annotations are found on whatever users hand in as a function, and resolved where it stands."""

from __future__ import annotations

import asyncio
import functools
import math
import operator
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest

from tests.sdk.shop import Line, Order, User
from zopio_trigger.errors import ConfigurationError
from zopio_trigger.sdk.annotation import (
    function_name,
    parts_of,
    payload_annotation,
    return_annotation,
    type_name,
)

if TYPE_CHECKING:
    from somewhere_else import IO  # type: ignore[import-not-found]


async def charge(payload: Order, io: IO) -> Line | None:
    raise NotImplementedError


def count(payload: Annotated[int, msgspec.Meta(gt=0)], /) -> int:
    return payload


def coroutine() -> Coroutine[Any, Any, list[Line]]:
    raise NotImplementedError


def future() -> asyncio.Future[Line]:
    raise NotImplementedError


def bare_awaitable() -> Awaitable:  # type: ignore[type-arg]  # users write it
    raise NotImplementedError


async def stream() -> AsyncIterator[int]:
    yield 1


def nothing() -> None: ...


def unannotated(payload, io):  # type: ignore[no-untyped-def]  # that is the point
    return payload


def first_is_bound(client: str, payload: Order) -> Line:
    raise NotImplementedError


class Jobs:
    def method(self, payload: Order) -> Line:
        raise NotImplementedError

    @classmethod
    def of_class(cls, payload: User) -> Order:
        raise NotImplementedError

    @staticmethod
    def static(payload: Line) -> User:
        raise NotImplementedError

    def __call__(self, payload: Line) -> Order:
        raise NotImplementedError


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (charge, Line | None),
        (count, int),
        (coroutine, list[Line]),
        (future, Line),
        (bare_awaitable, Any),
        (stream, AsyncIterator[int]),
        (nothing, NoneType),
        (unannotated, Any),
        (lambda payload: payload, Any),
        (Jobs().method, Line),
        (Jobs.of_class, Order),
        (Jobs.static, User),
        (Jobs(), Order),
        (functools.partial(first_is_bound, "x"), Line),
        (functools.partial(functools.partial(Jobs().method), None), Line),
        (functools.lru_cache(count), int),
        (decorated(charge), Line | None),
        (Order, Order),
        (dict, dict),
        (len, Any),
        (str.upper, Any),
        ("".join, Any),
        (operator.itemgetter(0), Any),
        (math.sin, Any),
        (list[int], Any),
    ],
    ids=lambda value: None if isinstance(value, type) else repr(value)[:40],
)
def test_a_result_has_the_annotation_of_its_function(
    function: Callable[..., object], expected: object
) -> None:
    assert return_annotation(function) == expected


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (charge, Order),
        (count, Annotated[int, msgspec.Meta(gt=0)]),
        (unannotated, Any),
        (lambda payload: payload, Any),
        (lambda: None, Any),
        (lambda *everything: None, Any),
        (Jobs().method, Order),
        (Jobs.of_class, User),
        (Jobs.static, Line),
        (Jobs(), Line),
        (functools.partial(first_is_bound, "x"), Order),
        (functools.partial(first_is_bound, client="x"), Any),
        (decorated(charge), Order),
        (operator.itemgetter(0), Any),
        (dict.fromkeys, Any),
        (min, Any),
    ],
    ids=lambda value: None if isinstance(value, type) else repr(value)[:40],
)
def test_a_payload_has_the_annotation_of_the_first_free_parameter(
    function: Callable[..., object], expected: object
) -> None:
    assert payload_annotation(function) == expected


def test_a_class_from_the_function_around_is_found_when_the_function_uses_it() -> None:
    class Local(msgspec.Struct):
        a: int

    def uses(payload: Local) -> Local:
        return Local(a=payload.a)

    assert payload_annotation(uses) is Local
    assert return_annotation(uses) is Local


def test_an_unresolvable_annotation_is_refused_for_a_payload_and_ignored_for_a_result() -> None:
    class Local(msgspec.Struct):
        a: int

    def job(payload: Local, io: object) -> Local:
        return payload

    with pytest.raises(
        ConfigurationError, match=r"annotation of job cannot be resolved: name 'Local' .* schema="
    ):
        payload_annotation(job)
    assert return_annotation(job) is Any


def test_an_annotation_that_is_no_python_is_refused_by_name() -> None:
    def job(payload): ...  # type: ignore[no-untyped-def]  # annotated below

    job.__annotations__["payload"] = "list[int"

    with pytest.raises(ConfigurationError, match=r"the payload's annotation of job cannot be resolved"):
        payload_annotation(job)


def test_names_in_messages_read_as_their_authors_wrote_them() -> None:
    class Local: ...

    assert type_name(Local) == "Local"
    assert type_name(None) == type_name(NoneType) == "None"
    assert type_name(list[int]) == "list[int]"
    assert type_name(dict[str, Any] | None) == "dict[str, Any] | None"
    assert function_name(functools.partial(charge)) == "charge"
    assert function_name(Jobs().method) == "Jobs.method"


def test_the_parts_of_a_recursive_annotation_are_walked_once() -> None:
    class Node(msgspec.Struct):
        line: Line
        order: Annotated[Order | None, "a word"]

    Node.__annotations__["next"] = list[Node]

    parts = list(parts_of(dict[str, Node]))

    assert len(parts) == len({id(part) for part in parts})
    assert all(part in parts for part in (Node, Line, Order, dict, str, list, "a word"))
