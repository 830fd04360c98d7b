"""A SQLite connection in a thread of its own, asked from the event loop, which SQLite must not block."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from zopio_trigger.errors import StoreError

T = TypeVar("T")
_Work = tuple[Callable[[sqlite3.Connection], object], "asyncio.Future[object]", asyncio.AbstractEventLoop]

BUSY_TIMEOUT_MS = 5_000  # a backup or a shell may hold the file for a moment
CACHE_KIB = 16_384
CHECKPOINT_PAGES = 4_000  # 16 MB: rare enough to cost little, small enough to be quick


class Connection:
    """One connection, one thread. Work is done in the order in which it is asked for."""

    def __init__(self, path: str, *, name: str, query_only: bool = False, synchronous: str = "FULL") -> None:
        self._path = path
        self._query_only = query_only
        self._synchronous = synchronous
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._is_closed = False
        self._thread.start()

    def ask(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Do `work` with the connection, in its thread. Errors of SQLite arrive as `StoreError`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if self._is_closed:
            answer.set_exception(StoreError(f"the store {self._path} is closed"))
        else:
            self._work.put((work, answer, loop))  # type: ignore[arg-type]  # a Future[T] is settled with a T
        return answer

    def close(self) -> None:
        """Finish what was asked for, then close. Blocks until then."""
        if not self._is_closed:
            self._is_closed = True
            self._work.put(None)
            self._thread.join()

    def _serve(self) -> None:
        database: sqlite3.Connection | None = None
        while (item := self._work.get()) is not None:
            work, answer, loop = item
            try:
                if database is None:
                    database = self._connect()
                result = work(database)
            except sqlite3.Error as error:
                database = self._without_transaction(database)
                _settle(loop, answer, None, StoreError(f"{self._path}: {error}"), error)
            except BaseException as error:  # whatever the work raises belongs to whoever asked
                database = self._without_transaction(database)
                _settle(loop, answer, None, error, None)
            else:
                _settle(loop, answer, result, None, None)
            item = work = answer = result = None  # type: ignore[assignment]  # hold nothing while idle
        if database is not None:
            database.close()

    def _without_transaction(self, database: sqlite3.Connection | None) -> sqlite3.Connection | None:
        """Work has failed, and perhaps its rollback too: a transaction left open would fail all that comes after.
        Closing ends it; the next work connects again. (In memory there is nothing that could fail, and all to lose.)"""
        if database is None or not database.in_transaction or self._path == ":memory:":
            return database
        database.close()
        return None

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=True, cached_statements=256
        )
        database.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        database.execute("PRAGMA temp_store = MEMORY")
        if self._query_only:
            database.execute("PRAGMA query_only = ON")
            return database
        database.execute(f"PRAGMA synchronous = {self._synchronous}")
        database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if sys.platform == "darwin":
            database.execute("PRAGMA fullfsync = ON")  # fsync alone does not reach the disk there
        return database


def _settle(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[object],
    result: object,
    error: BaseException | None,
    cause: BaseException | None,
) -> None:
    if error is not None and cause is not None:
        error.__cause__ = cause
    try:
        loop.call_soon_threadsafe(_give, answer, result, error)
    except RuntimeError:
        return  # the loop has gone, and with it everyone who could hear the answer


def _give(answer: asyncio.Future[object], result: object, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)
