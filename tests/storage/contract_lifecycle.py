"""What every store keeps beyond its own life. For adapters whose rows outlive the object."""

from __future__ import annotations

import asyncio

import pytest

from tests.factories import a_job, a_minute, a_queue, a_run, a_schedule, a_task, an_event, changes_of
from tests.storage.contract_fixtures import Adapter, ContractFixtures
from zopio_trigger.errors import StoreError
from zopio_trigger.model.records import Run
from zopio_trigger.storage.port import Horizon, RunQuery, Store


class ClosingContract(ContractFixtures):
    """A store that is closed, or was never opened, says so."""

    async def test_a_closed_store_refuses_everything(self, store: Store) -> None:
        await store.close()

        with pytest.raises(StoreError):
            await store.write(changes_of(a_run()))
        with pytest.raises(StoreError):
            await store.load([("run", "run_1")])
        with pytest.raises(StoreError):
            await store.boot()
        with pytest.raises(StoreError):
            await store.runs(RunQuery(env_no=1))
        with pytest.raises(StoreError):
            await store.prune(Horizon(runs=1, events=1, records=1), 1)

    async def test_a_store_that_was_never_opened_refuses_too(self, adapter: Adapter) -> None:
        with pytest.raises(StoreError, match="not open"):
            await adapter.store().write(changes_of(a_run()))

    async def test_closing_twice_is_fine(self, store: Store) -> None:
        await store.close()
        await store.close()

    async def test_what_was_asked_for_before_closing_is_done(self, adapter: Adapter, store: Store) -> None:
        batches = [changes_of(a_run(id=f"run_{n}", event_id=f"evt_{n}")) for n in range(20)]
        writes = [asyncio.ensure_future(store.write(changes)) for changes in batches]
        await asyncio.sleep(0)  # the writes are on their way

        await store.close()

        assert await asyncio.gather(*writes) == [None] * 20

    async def test_the_address_is_told(self, store: Store) -> None:
        assert store.address


class DurableContract(ContractFixtures):
    """What is written is there when the store is opened again."""

    async def test_rows_outlive_the_store(self, adapter: Adapter, store: Store) -> None:
        rows = [
            an_event(user_id="order-1"), a_run(state="executing", token=4), a_task(), a_job(), a_schedule(), a_queue(),
            a_minute(),
        ]  # fmt: skip
        await store.write(changes_of(*rows))
        environment = await store.add_environment("dev", "development", 5)
        await store.close()

        again = adapter.store()
        await again.open()
        boot = await again.boot()

        assert (boot.jobs, boot.schedules, boot.queues) == ([a_job()], [a_schedule()], [a_queue()])
        assert boot.executing == [("run_1", 4)]
        assert await again.tasks("run_1") == [a_task()]
        assert await again.environments() == [environment]
        await again.close()

    async def test_opening_again_changes_nothing(self, adapter: Adapter, store: Store) -> None:
        await store.write(changes_of(a_run()))

        for _ in range(3):
            await store.close()
            store = adapter.store()
            await store.open()

        assert await adapter.dump(store, Run) == [a_run()]
        await store.close()

    async def test_the_same_store_can_be_opened_again(self, store: Store) -> None:
        await store.write(changes_of(a_run()))
        await store.close()

        await store.open()

        assert await store.run(1, "run_1") == a_run()
