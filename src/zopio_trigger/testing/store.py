"""The store of a test: SQLite in memory, which stays while processes die and take over, and knows when one dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from zopio_trigger.engine.changes import Changes
from zopio_trigger.model.clock import Clock
from zopio_trigger.storage.sqlite.store import SQLiteStore

Moment = Literal["before", "after"]


class Death(Struct, frozen=True):
    """When a process is to die: right before or right after the first commit that matches."""

    moment: Moment
    matches: Callable[[Changes], bool]


class MemoryStore(SQLiteStore):
    """A store in memory that outlives the platforms on it.

    Parameters:
        clock: for the time of migrations.
        die: called, on the event loop, when the process is to die; must end it at once.
    """

    def __init__(self, *, clock: Clock, die: Callable[[], None]) -> None:
        super().__init__(":memory:", clock=clock)
        self.deaths: list[Death] = []
        self.commits = 0
        self._die = die
        self._is_open = False

    async def open(self) -> None:
        if not self._is_open:
            await super().open()
            self._is_open = True

    async def close(self) -> None:
        """A platform lets go; what it wrote stays, for the next one."""

    async def dispose(self) -> None:
        """Forget everything."""
        if self._is_open:
            self._is_open = False
            await super().close()

    def let_go(self) -> None:
        """Forget everything, without an event loop."""
        if self._writer is not None:
            self._writer.close()

    async def write(self, changes: Changes) -> None:
        due = [death for death in self.deaths if death.matches(changes)]  # each is asked: some of them count
        if not due:
            await super().write(changes)
            self.commits += 1
            return
        self.deaths.remove(due[0])
        if due[0].moment == "after":
            await super().write(changes)
            self.commits += 1
        self._die()
        await asyncio.get_running_loop().create_future()  # nothing of the dead goes on


def completes(key: str) -> Callable[[Changes], bool]:
    """Matches the commit that completes a task, by its key as shown."""
    return lambda changes: any(
        task.key == key and task.state == "completed" for task in changes.tasks.values()
    )


def nth(number: int) -> Callable[[Changes], bool]:
    """Matches the nth commit from now on, counted from 1."""
    left = number

    def is_due(_: Changes) -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return is_due
