"""Answers that are on their way to whoever sent an event."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """An answer that is on its way. Await it, or leave it: what was asked happens either way.

    In sync code it is there already: `result()` returns it.
    """

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[T]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, T]:
        return self._future.__await__()

    def result(self) -> T:
        """The answer, when it is there. Raises `asyncio.InvalidStateError` when it has to be awaited first."""
        return self._future.result()


class Done(Pending[T]):
    """An answer that sync code has waited for."""

    __slots__ = ("_answer",)

    def __init__(self, answer: T) -> None:
        self._answer = answer

    def __await__(self) -> Generator[Any, None, T]:
        yield from ()
        return self._answer

    def result(self) -> T:
        return self._answer
