"""A store that fails for a while, workers that leave in good order, and what stays in memory when all is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.jobs import Bodies, client_of, until
from zopio_trigger import IO, Retry, SyncIO, TriggerClient
from zopio_trigger.composition import System
from zopio_trigger.engine.changes import Changes
from zopio_trigger.errors import StoreError
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.storage.sqlite.store import SQLiteStore
from zopio_trigger.testing import TestPlatform
from zopio_trigger.worker.worker import Worker


class Disk:
    """Whether commits succeed, and how many were tried in vain."""

    def __init__(self) -> None:
        self.is_full = False
        self.refused = 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Disk:
    disk = Disk()
    write = SQLiteStore.write

    async def write_if_there_is_room(store: SQLiteStore, changes: Changes) -> None:
        if disk.is_full:
            disk.refused += 1
            raise StoreError("database or disk is full")
        await write(store, changes)

    monkeypatch.setattr(SQLiteStore, "write", write_if_there_is_room)
    caplog.set_level(logging.CRITICAL, logger="zopio_trigger")
    return disk


# --- a full disk


async def test_a_full_disk_holds_a_run_up_and_loses_nothing(disk: Disk) -> None:
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> list[str]:
        first = await io.run_task("first", bodies("first"))
        disk.is_full = True
        second = await io.run_task("second", bodies("second"))
        return [first, second, await io.run_task("third", bodies("third"))]

    async with TestPlatform(client_of(job), patience=0.02) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=5)
        assert (run.state, run.task("first").state) == ("executing", "completed")
        assert disk.refused >= 5
        disk.is_full = False
        await platform.advance(seconds=2)

        assert run.output == ["first", "second", "third"]
        assert bodies.begun == ["first", "second", "third"]
        assert run.executions == 1


async def test_an_event_that_was_not_stored_was_not_acknowledged(disk: Disk) -> None:
    async def job(payload: Any, io: IO) -> None: ...

    client = client_of(job)
    async with TestPlatform(client) as platform:
        disk.is_full = True
        with pytest.raises(StoreError, match="disk is full"):
            await client.send_event("job", {"n": 1}, id="order-1")
        disk.is_full = False
        receipt = await client.send_event("job", {"n": 1}, id="order-1")

        assert not receipt.is_duplicate
        assert len(await platform.runs()) == 1


@pytest.mark.parametrize("is_sync", [False, True])
async def test_what_falls_due_while_the_disk_is_full_happens_later(disk: Disk, is_sync: bool) -> None:
    async def async_job(payload: Any, io: IO) -> str:
        await io.wait("nap", seconds=10)
        return "done"

    def sync_job(payload: Any, io: SyncIO) -> str:
        io.wait("nap", seconds=10)
        return "done"

    job = sync_job if is_sync else async_job
    async with TestPlatform(client_of(job), patience=0.02) as platform:
        run = await (await platform.send(job.__name__)).until_waiting()
        disk.is_full = True
        await platform.advance(seconds=20)
        assert run.state == "suspended"
        disk.is_full = False
        await platform.advance(seconds=2)

        assert run.output == "done"


async def test_a_run_that_is_to_be_suspended_while_the_disk_is_full_is_suspended_later(disk: Disk) -> None:
    async def job(payload: Any, io: IO) -> str:
        disk.is_full = True
        await io.wait("nap", seconds=10)
        return "done"

    async with TestPlatform(client_of(job), patience=0.02) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=3)
        disk.is_full = False
        await platform.advance(seconds=2)
        assert run.state == "suspended"
        await platform.advance(seconds=10)

        assert run.output == "done"


# --- leaving in good order


class Kitchen:
    """Two jobs: one ends when it is told, one never does by itself."""

    def __init__(self) -> None:
        self.client = TriggerClient("kitchen")
        self.done = asyncio.Event()
        self.cleaned: list[str] = []
        self.client.define_job(run=self.patient, id="patient", trigger=self.client.triggers.event("patient"))
        self.client.define_job(run=self.endless, id="endless", trigger=self.client.triggers.event("endless"))

    async def patient(self, payload: Any, io: IO) -> str:
        await self.done.wait()
        return await io.run_task("serve", lambda: "served")

    async def endless(self, payload: Any, io: IO) -> None:
        try:
            await io.run_task("stir", asyncio.Event().wait)
        finally:
            self.cleaned.append("endless")


async def a_system(clock: ManualClock, client: TriggerClient) -> tuple[System, Worker]:
    system = System(SQLiteStore(":memory:", clock=clock), clock=clock)
    await system.start()
    return system, await system.add_worker([client], await system.environment())


async def test_drain_lets_runs_end_and_takes_no_new_ones() -> None:
    clock, kitchen = ManualClock(), Kitchen()
    system, worker = await a_system(clock, kitchen.client)
    first = await kitchen.client.send_event("patient")
    await until(lambda: worker.busy == 1)

    draining = asyncio.create_task(system.drain(60))
    await asyncio.sleep(0)
    later = await kitchen.client.send_event("patient")
    kitchen.done.set()

    assert await draining == 0
    store = system.platform.store
    states = [run.state for id in (*first.runs, *later.runs) if (run := await store.run(1, id)) is not None]
    assert states == ["completed", "ready"]
    await system.stop()


async def test_drain_hands_back_what_does_not_end_in_time() -> None:
    clock, kitchen = ManualClock(), Kitchen()
    system, worker = await a_system(clock, kitchen.client)
    sent = await kitchen.client.send_event("endless")
    await until(lambda: worker.busy == 1)

    draining = asyncio.create_task(system.drain(60))
    await asyncio.sleep(0.01)
    assert not draining.done()
    clock.advance(60)

    assert await draining == 1
    run = await system.platform.store.run(1, sent.runs[0])
    assert run is not None
    assert (run.state, run.holder, run.interruptions) == ("ready", None, 0)
    assert kitchen.cleaned == ["endless"]
    await system.stop()


async def test_a_run_whose_job_is_served_no_more_waits_and_says_so() -> None:
    async def job(payload: Any, io: IO) -> str:
        await io.wait("nap", seconds=10)
        return "done"

    async def other(payload: Any, io: IO) -> None: ...

    client = client_of(job)
    async with TestPlatform(client) as platform:
        run = await (await platform.send("job")).until_waiting()
        await platform.serve(client_of(other))
        await platform.advance(seconds=20)
        assert run.state == "ready"
        assert "no worker serves job `job`" in await run.waiting_for()
        await platform.serve(client)
        await platform.advance(seconds=2)

        assert run.output == "done"


# --- afterwards


def everything(platform: TestPlatform) -> Iterator[object]:
    """All containers in which a platform and a worker keep something about a run."""
    system, worker = platform._running, platform._current
    rows = system.platform.rows
    yield from (rows._runs, rows._tasks, rows._loaded, rows._undo, rows._ended, rows._fresh, rows.lines)
    yield from (seat.executing for seat in rows.seats.values())
    yield from (system.platform.dispatcher._starting, system.platform.dispatcher._news)
    yield from (system.platform.committer._waiting,)
    yield from (worker._executions, worker._residents, worker._leaving, worker._bodies, worker._kept)


@pytest.mark.parametrize("reexecute", [False, True])
async def test_runs_that_have_ended_leave_nothing_in_memory(reexecute: bool) -> None:
    tries: list[int] = []

    async def busy(payload: Any, io: IO) -> None:
        io.logger.info("begins")

        async def flaky() -> None:
            tries.append(1)
            if len(tries) % 2:
                raise ValueError("every second time")

        await io.run_task("flaky", flaky, retry=Retry(max_attempts=3))
        await asyncio.gather(*(io.wait(("nap", n), seconds=n) for n in range(5)))
        await io.send_event("tell", "sync", payload)

    def sync(payload: Any, io: SyncIO) -> None:
        io.run_task("one", lambda: 1)
        io.wait("long", hours=1)

    async def failing(payload: Any, io: IO) -> None:
        raise ValueError("no")

    async def cancelled(payload: Any, io: IO) -> None:
        await io.wait("for ever", days=3000)

    async with TestPlatform(
        client_of(busy, sync, failing, cancelled), slots=3, reexecute=reexecute
    ) as platform:
        for number in range(10):
            await platform.send_many([(name, number) for name in ("busy", "sync", "failing")])
            await (await (await platform.send("cancelled")).until_waiting()).cancel()
        await platform.advance(hours=3)
        await until(lambda: not platform._current._kept)

        assert {run.state for run in await platform.runs()} == {"completed", "failed", "cancelled"}
        assert [left for left in everything(platform) if left] == []
        assert platform.clock.next_due() is None
