"""Retention: deletes runs some time after their end, a batch at a time, so that the store stays as small as what is
of use."""

from __future__ import annotations

import asyncio
import logging

from zopio_trigger.errors import StoreError
from zopio_trigger.model.clock import Cancellable, Clock
from zopio_trigger.storage.port import Store

RUNS_AT_ONCE = 500  # deleted in one transaction: a few milliseconds, between which others write
EVERY = 3_600_000_000  # microseconds between two looks

log = logging.getLogger(__name__)


class Pruner:
    """Deletes what ended longer ago than `retention` (microseconds; None keeps everything)."""

    def __init__(self, *, store: Store, clock: Clock, retention: int | None) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self._alarm: Cancellable | None = None
        self._pruning: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._retention is not None:
            self._alarm = self._clock.call_at(self._clock.now() + EVERY, self._ring)

    async def stop(self) -> None:
        self.abandon()
        if self._pruning is not None:
            await asyncio.wait([self._pruning])

    def abandon(self) -> None:
        """Stop at once."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._pruning is not None:
            self._pruning.cancel()

    async def prune(self) -> int:
        """Delete everything that is too old now; returns how many runs and events went."""
        if self._retention is None:
            return 0
        total = 0
        while gone := await self._store.prune(self._clock.now() - self._retention, RUNS_AT_ONCE):
            total += gone
        return total

    def _ring(self) -> None:
        self._pruning = asyncio.get_running_loop().create_task(self._prune_and_wait())

    async def _prune_and_wait(self) -> None:
        try:
            gone = await self.prune()
            if gone:
                log.info("pruned %d runs and events", gone)
        except StoreError as error:
            log.error("pruning failed and is tried again in an hour: %s", error)
        self.start()
