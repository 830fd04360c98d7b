"""Retention: deletes runs some time after their end, a batch at a time, so that the store stays as small as what is
of use. What goes when is decided here; how it is found is the store's business."""

from __future__ import annotations

import asyncio
import logging

from zopio_trigger.model.clock import Cancellable, Clock
from zopio_trigger.storage.port import Horizon, Store

RUNS_AT_ONCE = 100  # deleted in one transaction: some ten milliseconds, between which others write
FIRST_AFTER = (
    60_000_000  # microseconds from the start to the first look; a development server rarely lives an hour
)
EVERY = 3_600_000_000  # microseconds between two looks

# Microseconds an event outlives its last run, at least, so that its id stays taken: an event sent again days later
# (a webhook's retry, a nightly import) is still a duplicate.
EVENTS_KEPT_FOR = 30 * 86_400_000_000

# Microseconds that roll-ups and audits are kept, at least: they are small, and a year is compared with the one before.
RECORDS_KEPT_FOR = 400 * 86_400_000_000

log = logging.getLogger(__name__)


class Pruner:
    """Deletes what is too old, a minute after the start and then every hour.

    Parameters:
        store: what it deletes from.
        clock: what "too old" counts from.
        retention: microseconds a run is kept after its end, with tasks and logs; None keeps everything. Events are
            kept for at least 30 days after their last run's end, roll-ups and audits for at least 400.
    """

    def __init__(self, *, store: Store, clock: Clock, retention: int | None) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self._alarm: Cancellable | None = None
        self._pruning: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, if anything is to be deleted at all."""
        self._set(FIRST_AFTER)

    async def stop(self) -> None:
        """Stop at once; a batch that is being deleted is finished by the store."""
        self.abandon()
        if self._pruning is not None:
            await asyncio.wait([self._pruning])

    def abandon(self) -> None:
        """Stop at once and wait for nothing."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._pruning is not None:
            self._pruning.cancel()

    async def prune(self) -> int:
        """Delete everything that is too old now; returns how many rows went (runs, events, roll-ups, audits)."""
        if self._retention is None:
            return 0
        before = _horizon(self._clock.now(), self._retention)
        total = 0
        while gone := await self._store.prune(before, RUNS_AT_ONCE):
            total += gone
        return total

    def _set(self, after: int) -> None:
        if self._retention is not None:
            self._alarm = self._clock.call_at(self._clock.now() + after, self._ring)

    def _ring(self) -> None:
        self._pruning = asyncio.get_running_loop().create_task(self._prune_and_wait())

    async def _prune_and_wait(self) -> None:
        try:
            gone = await self.prune()
            if gone:
                log.info("pruned %d rows that were kept long enough", gone)
        except Exception:  # the outermost loop of a service: whatever it was, the next look may do better
            log.exception("pruning failed and is tried again in an hour")
        self._set(EVERY)


def _horizon(now: int, retention: int) -> Horizon:
    return Horizon(
        runs=now - retention,
        events=now - max(retention, EVENTS_KEPT_FOR),
        records=now - max(retention, RECORDS_KEPT_FOR),
    )
