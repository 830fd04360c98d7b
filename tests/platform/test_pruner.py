"""Pruning as a service: what goes when, how often it looks, and what it survives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from tests.factories import NOW, a_run, an_event, changes_of
from zopio_trigger.errors import StoreError
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.ids import lowest
from zopio_trigger.platform.pruner import Pruner
from zopio_trigger.storage.port import Horizon
from zopio_trigger.storage.sqlite.store import SQLiteStore

DAY = 86_400_000_000
DAY_SECONDS = 86_400
HOUR_SECONDS = 3_600


class WatchedStore(SQLiteStore):
    """A store that tells when it is pruned, and may fail."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(":memory:", clock=clock)
        self.horizons: list[Horizon] = []
        self.trouble: Exception | None = None
        self.was_pruned = asyncio.Event()

    async def prune(self, before: Horizon, limit: int) -> int:
        self.horizons.append(before)
        self.was_pruned.set()
        if self.trouble is not None:
            raise self.trouble
        return await super().prune(before, limit)

    async def next_look(self) -> None:
        await asyncio.wait_for(self.was_pruned.wait(), 5)
        self.was_pruned.clear()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[WatchedStore]:
    store = WatchedStore(clock)
    await store.open()
    await store.add_environment("dev", "development", NOW)
    yield store
    await store.close()


async def settled(pruner: Pruner) -> None:
    """Return when the pruner has done what it is doing."""
    assert pruner._pruning is not None
    await asyncio.wait([pruner._pruning])


async def test_it_looks_a_minute_after_the_start_and_then_every_hour(
    clock: ManualClock, store: WatchedStore
) -> None:
    pruner = Pruner(store=store, clock=clock, retention=DAY)
    pruner.start()

    clock.advance(59)
    await asyncio.sleep(0)
    assert store.horizons == []

    for wait in (1, HOUR_SECONDS, HOUR_SECONDS):
        clock.advance(wait)
        await store.next_look()
        await settled(pruner)

    assert [before.runs - (NOW - DAY) for before in store.horizons] == [
        60_000_000,
        3_660_000_000,
        7_260_000_000,
    ]
    await pruner.stop()


async def test_a_retention_of_none_keeps_everything(clock: ManualClock, store: WatchedStore) -> None:
    pruner = Pruner(store=store, clock=clock, retention=None)
    pruner.start()

    clock.advance(400 * DAY_SECONDS)

    assert clock.next_due() is None
    assert await pruner.prune() == 0
    assert store.horizons == []


@pytest.mark.parametrize(
    ("retention", "events", "records"),
    [(DAY, 30 * DAY, 400 * DAY), (90 * DAY, 90 * DAY, 400 * DAY), (999 * DAY, 999 * DAY, 999 * DAY)],
)
async def test_events_and_records_are_kept_for_a_least_time_and_never_shorter_than_runs(
    clock: ManualClock, store: WatchedStore, retention: int, events: int, records: int
) -> None:
    await Pruner(store=store, clock=clock, retention=retention).prune()

    assert store.horizons == [Horizon(runs=NOW - retention, events=NOW - events, records=NOW - records)]


async def test_the_id_of_an_event_stays_taken_for_30_days_after_its_last_run(
    clock: ManualClock, store: WatchedStore
) -> None:
    event = an_event(id=lowest("evt", NOW), user_id="order-1")
    run = a_run(id=lowest("run", NOW), event_id=event.id, state="completed", finished_at=NOW + 50 * DAY)
    await store.write(changes_of(event, run))
    pruner = Pruner(store=store, clock=clock, retention=DAY)

    clock.advance(52 * DAY_SECONDS)
    assert await pruner.prune() == 1
    assert await store.run(1, run.id) is None

    clock.advance(28 * DAY_SECONDS)
    assert await pruner.prune() == 0
    assert await store.event(1, "order-1") == event

    clock.advance(1)
    assert await pruner.prune() == 1
    assert await store.event(1, "order-1") is None


async def test_more_than_fits_into_a_batch_goes_in_one_look(clock: ManualClock, store: WatchedStore) -> None:
    runs = [
        a_run(id=lowest("run", NOW + n * 1000), event_id=f"evt_{n}", state="completed", finished_at=NOW + n * 1000)
        for n in range(450)
    ]  # fmt: skip
    await store.write(changes_of(*runs))
    pruner = Pruner(store=store, clock=clock, retention=DAY)

    clock.advance(2 * DAY_SECONDS)

    assert await pruner.prune() == 450
    assert len(store.horizons) == 6  # the last one finds nothing


@pytest.mark.parametrize("trouble", [StoreError("the disk is full"), ZeroDivisionError("a fault of ours")])
async def test_trouble_is_logged_and_the_next_look_comes_in_an_hour(
    clock: ManualClock, store: WatchedStore, trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    pruner = Pruner(store=store, clock=clock, retention=DAY)
    pruner.start()
    store.trouble = trouble

    with caplog.at_level(logging.ERROR, logger="zopio_trigger"):
        clock.advance(60)
        await store.next_look()
        await settled(pruner)
    assert str(trouble) in caplog.text

    store.trouble = None
    clock.advance(HOUR_SECONDS)
    await store.next_look()
    await settled(pruner)
    assert len(store.horizons) == 2
    await pruner.stop()


async def test_a_stopped_pruner_looks_no_more(clock: ManualClock, store: WatchedStore) -> None:
    pruner = Pruner(store=store, clock=clock, retention=DAY)
    pruner.start()
    clock.advance(60)
    await store.next_look()

    await pruner.stop()

    clock.advance(10 * HOUR_SECONDS)
    await asyncio.sleep(0)
    assert len(store.horizons) == 1
    assert clock.next_due() is None


async def test_stopping_before_the_start_is_fine(clock: ManualClock, store: WatchedStore) -> None:
    await Pruner(store=store, clock=clock, retention=DAY).stop()
