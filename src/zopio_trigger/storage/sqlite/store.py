"""The SQLite store: one writing connection in a thread, readers beside it, one process for one file."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from zopio_trigger.engine.changes import Changes
from zopio_trigger.engine.rows import Key
from zopio_trigger.errors import StoreError
from zopio_trigger.model.clock import Clock
from zopio_trigger.model.records import (
    ApiKey,
    Attempt,
    Environment,
    Event,
    Line,
    LogLine,
    Minute,
    Run,
    Task,
)
from zopio_trigger.storage.port import Boot, Due, EventName, Horizon, RunQuery
from zopio_trigger.storage.sqlite import loading, pruning, schema, writing
from zopio_trigger.storage.sqlite.connection import Connection
from zopio_trigger.storage.sqlite.lock import FileLock
from zopio_trigger.storage.sqlite.statements import FOUND

T = TypeVar("T")
READERS = 2  # threads for look-ups, so that one slow list does not hold up the rest
LAST_ID = "~"  # sorts after every id: a list without a cursor starts here


class SQLiteStore:
    """A store in one SQLite file, or in memory for tests (`:memory:`).

    Parameters:
        path: the file; its folder is made when missing. `:memory:` keeps everything in this object.
        clock: for the time of migrations.
        synchronous: "FULL" (default) flushes every commit to disk; "NORMAL" may lose the last commits when the
            machine (not the process) dies.
    """

    def __init__(self, path: str | Path, *, clock: Clock, synchronous: str = "FULL") -> None:
        self.address = f"sqlite:///{path}"
        self._path = str(path)
        self._clock = clock
        self._synchronous = synchronous
        self._in_memory = self._path == ":memory:"
        self._lock: FileLock | None = None
        self._writer: Connection | None = None
        self._readers: list[Connection] = []
        self._turn = itertools.count()
        self._pruning = pruning.Pruning()

    # --- lifecycle

    async def open(self) -> None:
        if not self._in_memory:
            self._lock = await asyncio.to_thread(_locked, Path(self._path))
        try:
            self._writer = Connection(self._path, name="zopio-store-writer", synchronous=self._synchronous)
            now = self._clock.now()
            await self._writer.ask(lambda database: schema.migrate(database, self._path, now))
        except BaseException:
            await self.close()
            raise
        if not self._in_memory:
            names = [f"zopio-store-reader-{number}" for number in range(READERS)]
            self._readers = [Connection(self._path, name=name, query_only=True) for name in names]

    async def close(self) -> None:
        for connection in [*self._readers, *([self._writer] if self._writer else [])]:
            await asyncio.to_thread(connection.close)
        self._readers, self._writer = [], None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- what the committer needs

    async def load(self, keys: Sequence[Key]) -> list[object]:
        return await self._write(lambda database: [loading.load(database, key) for key in keys])

    async def write(self, changes: Changes) -> None:
        await self._write(lambda database: writing.write(database, changes))

    # --- what services scan

    async def boot(self) -> Boot:
        return await self._write(loading.boot)

    async def ready(self, line: Line, jobs: frozenset[str], limit: int) -> list[str]:
        served = msgspec.json.encode(sorted(jobs)).decode()
        return [run_id for (run_id,) in await self._select("ready", (*line, served, limit))]

    async def due(self, now: int, limit: int) -> Due:
        return await self._read(lambda database: loading.due(database, now, limit))

    async def prune(self, before: Horizon, limit: int) -> int:
        found = await self._read(lambda database: self._pruning.find(database, before, limit))
        gone = await self._write(lambda database: self._pruning.delete(database, found, before, limit))
        while gone and await self._write(pruning.give_back):
            pass  # step by step, so that others write in between
        return gone

    # --- what people and workers read

    async def run(self, env_no: int, run_id: str) -> Run | None:
        found = await self._rows(Run, "load_run", (run_id,))
        return found[0] if found and found[0].env_no == env_no else None

    async def runs(self, query: RunQuery) -> list[Run]:
        return await self._read(lambda database: loading.runs(database, query))

    async def event(self, env_no: int, any_id: str) -> Event | None:
        return await self._read(lambda database: loading.event(database, env_no, any_id))

    async def event_names(self, env_no: int, ids: Sequence[str]) -> list[EventName]:
        return await self._rows(EventName, "event_names", (env_no, msgspec.json.encode(ids).decode()))

    async def events(self, env_no: int, before: str | None, limit: int) -> list[Event]:
        return await self._rows(Event, "events", (env_no, before or LAST_ID, limit))

    async def beginnings(self, runs: Sequence[Run]) -> list[tuple[Event | None, list[Task]]]:
        return await self._read(lambda database: [loading.beginning(database, run) for run in runs])

    async def tasks(self, run_id: str) -> list[Task]:
        return await self._rows(Task, "tasks", (run_id,))

    async def open_tasks(self, run_ids: Sequence[str]) -> list[Task]:
        return await self._rows(Task, "open_tasks", (msgspec.json.encode(run_ids).decode(),))

    async def attempts(self, run_id: str) -> list[Attempt]:
        return await self._rows(Attempt, "attempts", (run_id,))

    async def logs(self, run_id: str, after: tuple[int, int] | None, limit: int) -> list[LogLine]:
        return await self._rows(LogLine, "logs", (run_id, *(after or (-1, -1)), limit))

    async def executing(self, line: Line) -> list[str]:
        return [run_id for (run_id,) in await self._select("executing", line)]

    async def minutes(self, env_no: int, since: int, until: int) -> list[Minute]:
        return await self._rows(Minute, "minutes", (env_no, since, until))

    # --- environments and their keys

    async def environments(self) -> list[Environment]:
        return await self._rows(Environment, "environments", ())

    async def add_environment(self, slug: str, kind: str, now: int) -> Environment:
        def add(database: sqlite3.Connection) -> Environment:
            database.execute(FOUND["add_environment"], (slug, kind, now))
            return loading.rows(database, Environment, "environment_by_slug", (slug,))[0]

        return await self._write(add)

    async def add_key(self, key: ApiKey) -> None:
        values = msgspec.structs.astuple(key)
        await self._write(lambda database: database.execute(FOUND["add_key"], values))

    async def key(self, digest: str) -> ApiKey | None:
        found = await self._rows(ApiKey, "key", (digest,))
        return found[0] if found else None

    # --- below

    async def _rows(self, kind: type[T], statement: str, parameters: Iterable[Any]) -> list[T]:
        values = tuple(parameters)
        return await self._read(lambda database: loading.rows(database, kind, statement, values))

    async def _select(self, statement: str, parameters: Iterable[Any]) -> list[Any]:
        values = tuple(parameters)
        return await self._read(lambda database: database.execute(FOUND[statement], values).fetchall())

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Ask a reader. In memory there is one connection, which does everything."""
        if not self._readers:
            return self._write(work)
        return self._readers[next(self._turn) % len(self._readers)].ask(work)

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        if self._writer is None:
            raise StoreError(f"the store {self._path} is not open")
        return self._writer.ask(work)


def _locked(file: Path) -> FileLock:
    """The lock on a store's file, taken; its folder is made when missing."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file.absolute())
        lock.take()
    except OSError as error:
        raise StoreError(
            f"{file} cannot be opened for writing: {error}; name another file in TRIGGER_STORE, or mend its folder"
        ) from error
    return lock
