"""An event loop in a thread of its own, for network work that any thread or loop may ask for.

A connection pool belongs to one event loop; a client that lives as long as its module is used from many: Django's
threads, one `asyncio.run` after another, none at all. So the pool has a loop to itself, which never ends before them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Answer(Generic[T]):
    """What was asked for, on its way. Await it on any event loop, or block for it with `result`."""

    __slots__ = ("_future",)

    def __init__(self, future: concurrent.futures.Future[T]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self._future).__await__()

    def result(self, timeout_seconds: float | None = None) -> T:
        """Block until it is there; not on the thread of an event loop, which would stand still.

        Raises what the request failed with, or TimeoutError after `timeout_seconds` (default: waits for ever).
        """
        return self._future.result(timeout_seconds)


class Background:
    """The loop and its thread: begun by the first request, begun anew in a process that was forked from ours."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    def ask(self, work: Coroutine[Any, Any, T]) -> Answer[T]:
        """Start `work` now, whatever the caller does afterwards."""
        with self._lock:
            loop = self._begun()
        return Answer(asyncio.run_coroutine_threadsafe(work, loop))

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Do `last`, then end the thread. Blocks until then."""
        with self._lock:
            loop, thread = self._loop, self._thread
            is_ours = self._process == os.getpid()
            self._loop = self._thread = None
        if loop is None or thread is None or not is_ours:
            last.close()
            return
        asyncio.run_coroutine_threadsafe(last, loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _begun(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._process != os.getpid():
            self._process = os.getpid()
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
            self._thread.start()
        return self._loop
