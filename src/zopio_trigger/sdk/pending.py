"""Answers that are on their way, and the loop that waits for them where there is none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator
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


class BackgroundLoop:
    """An event loop in a thread of its own, for programs that have none. Started when first needed, ends with the
    process."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="zopio-client", daemon=True).start()
            return self._loop
