"""The SQLite adapter as the suites see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tests.storage.contract_fixtures import TABLES
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.records import Row
from zopio_trigger.storage.port import Store
from zopio_trigger.storage.sqlite.store import SQLiteStore

R = TypeVar("R", bound=Row)


class SQLite:
    """Stores in one file, or each in a memory of its own."""

    def __init__(self, path: str | Path) -> None:
        self.path = path

    def store(self) -> SQLiteStore:
        return SQLiteStore(self.path, clock=ManualClock())

    async def columns(self, store: Store, table: str) -> tuple[str, ...]:
        found = await asked(store, f"SELECT name FROM pragma_table_info('{table}') ORDER BY cid")
        return tuple(name for (name,) in found)

    async def dump(self, store: Store, kind: type[R]) -> list[R]:
        found = await asked(store, f"SELECT * FROM {TABLES[kind]}")
        return msgspec.convert(found, list[kind], strict=False)  # type: ignore[valid-type]  # a type variable


async def asked(store: Store, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
    """What a statement gives on the store's writing connection."""
    assert isinstance(store, SQLiteStore)
    assert store._writer is not None
    return await store._writer.ask(lambda database: database.execute(statement, parameters).fetchall())
