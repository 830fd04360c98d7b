"""What every suite of the contract stands on: an adapter, and an open store of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

import pytest

from zopio_trigger.model.records import (
    ApiKey,
    Attempt,
    Audit,
    Environment,
    Event,
    Job,
    LogLine,
    Minute,
    Queue,
    Row,
    Run,
    Schedule,
    Task,
)
from zopio_trigger.storage.port import Store

R = TypeVar("R", bound=Row)

TABLES: dict[type[Row], str] = {
    Event: "events", Run: "runs", Task: "tasks", Attempt: "attempts", LogLine: "logs", Job: "jobs",
    Schedule: "schedules", Queue: "queues", Minute: "minutes", Audit: "audits", Environment: "environments",
    ApiKey: "api_keys",
}  # fmt: skip


class Adapter(Protocol):
    """What the suites have to know of an adapter beside the port."""

    def store(self) -> Store:
        """A store in this test's place, not open. Called again, it gives another store in the same place."""

    async def columns(self, store: Store, table: str) -> tuple[str, ...]:
        """The columns of a table, in their order."""

    async def dump(self, store: Store, kind: type[R]) -> list[R]:
        """Every row of one kind, as it is stored, in no particular order."""


class ContractFixtures:
    """An open store for each test. An adapter's tests add the fixture `adapter`."""

    @pytest.fixture
    async def store(self, adapter: Adapter) -> AsyncIterator[Store]:
        store = adapter.store()
        await store.open()
        yield store
        await store.close()
