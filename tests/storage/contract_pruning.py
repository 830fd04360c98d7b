"""What every store forgets when it is told to, and what it keeps."""

from __future__ import annotations

from typing import Any

from tests.factories import (
    NOW,
    a_log_line,
    a_minute,
    a_run,
    a_task,
    an_attempt,
    an_audit,
    an_event,
    changes_of,
)
from tests.storage.contract_fixtures import Adapter, ContractFixtures
from zopio_trigger.model.ids import lowest
from zopio_trigger.model.records import Attempt, Audit, Event, LogLine, Minute, Row, Run, Task
from zopio_trigger.storage.port import Horizon, Store

DAY = 86_400_000_000
MINUTE = 60_000_000
EVERYTHING = Horizon(runs=NOW, events=NOW, records=NOW)
ONLY_RUNS = Horizon(runs=NOW, events=0, records=0)
ONLY_EVENTS = Horizon(runs=0, events=NOW, records=0)
ONLY_RECORDS = Horizon(runs=0, events=0, records=NOW)


def event_of(ago: int, name: str = "", **changes: Any) -> Event:
    """An event sent and delivered so long before now."""
    at = NOW - ago
    times = {"created_at": at, "timestamp": at, "deliver_at": at, "delivered_at": at}
    return an_event(**{"id": lowest("evt", at) + name, **times, **changes})


def run_of(event: Event, ended_ago: int | None, **changes: Any) -> Run:
    """A run of an event, made when the event was sent, ended so long before now."""
    ended = {"state": "completed", "finished_at": NOW - ended_ago} if ended_ago is not None else {}
    return a_run(**{
        "id": event.id.replace("evt", "run"), "event_id": event.id, "created_at": event.created_at,
        "env_no": event.env_no, **ended, **changes,
    })  # fmt: skip


class PruningContract(ContractFixtures):
    """Deleting what is older than it need be."""

    async def given(self, store: Store, *rows: Row) -> None:
        """Two environments, and these rows in them."""
        for slug in ("dev", "prod"):
            await store.add_environment(slug, "development", NOW)
        await store.write(changes_of(*rows))

    async def kept(self, adapter: Adapter, store: Store, kind: type[Run] | type[Event]) -> list[str]:
        return sorted([row.id for row in await adapter.dump(store, kind)])

    async def pruned(self, store: Store, before: Horizon, limit: int = 100) -> int:
        """Prune until nothing goes any more; how many went."""
        total = 0
        while gone := await store.prune(before, limit):
            total += gone
        return total

    async def test_there_is_nothing_to_prune_in_an_empty_store(self, store: Store) -> None:
        assert await store.prune(EVERYTHING, 100) == 0

    async def test_a_run_goes_with_all_that_hangs_on_it(self, adapter: Adapter, store: Store) -> None:
        old, young = event_of(9 * DAY), event_of(8 * DAY)
        runs = [run_of(old, ended_ago=DAY), run_of(young, ended_ago=-1)]
        hanging = [
            row
            for run in runs
            for row in (a_task(run_id=run.id), an_attempt(run_id=run.id), a_log_line(run_id=run.id))
        ]
        await self.given(store, old, young, *runs, *hanging)

        await self.pruned(store, ONLY_RUNS)

        assert await self.kept(adapter, store, Run) == [runs[1].id]
        hangs_on_runs: tuple[Any, ...] = (Task, Attempt, LogLine)
        for kind in hangs_on_runs:
            assert [row.run_id for row in await adapter.dump(store, kind)] == [runs[1].id]

    async def test_a_run_goes_by_when_it_ended_and_not_by_when_it_began(
        self, adapter: Adapter, store: Store
    ) -> None:
        events = [event_of(400 * DAY, name) for name in "abcd"]
        slept_long = run_of(events[0], ended_ago=-1)
        asleep = run_of(events[1], ended_ago=None, state="suspended")
        waiting = run_of(events[2], ended_ago=None)
        over = run_of(events[3], ended_ago=1)
        await self.given(store, *events, slept_long, asleep, waiting, over)

        assert await self.pruned(store, ONLY_RUNS) == 1

        assert await self.kept(adapter, store, Run) == sorted([slept_long.id, asleep.id, waiting.id])

    async def test_pruning_goes_batch_by_batch_past_what_stays(self, adapter: Adapter, store: Store) -> None:
        events = [event_of((200 - n) * DAY) for n in range(100)]
        runs = [run_of(event, ended_ago=DAY if n % 2 else None) for n, event in enumerate(events)]
        await self.given(store, *events, *runs)

        first = await store.prune(ONLY_RUNS, 10)
        rest = await self.pruned(store, ONLY_RUNS, limit=10)

        assert (first, rest) == (10, 40)
        assert await self.kept(adapter, store, Run) == sorted(run.id for run in runs[::2])

    async def test_what_becomes_old_later_goes_in_a_later_round(self, adapter: Adapter, store: Store) -> None:
        first, second = event_of(9 * DAY), event_of(8 * DAY)
        asleep = run_of(first, ended_ago=None, state="suspended")
        await self.given(store, first, second, asleep, run_of(second, ended_ago=DAY))
        assert await self.pruned(store, ONLY_RUNS, limit=1) == 1
        await self.given(store, run_of(first, ended_ago=DAY, revision=2))

        assert await self.pruned(store, ONLY_RUNS, limit=1) == 1

        assert await self.kept(adapter, store, Run) == []

    async def test_a_run_with_very_many_tasks_goes_too(self, adapter: Adapter, store: Store) -> None:
        events = [event_of(9 * DAY, name) for name in "abcdefghijklmnopqrstuvwxyz"]
        runs = [run_of(event, ended_ago=DAY) for event in events]
        tasks = [a_task(run_id=run.id, hash=f"{n:04}") for run in runs for n in range(1_200)]
        await self.given(store, *events, *runs, *tasks)

        assert await self.pruned(store, ONLY_RUNS) == 26

        assert await adapter.dump(store, Task) == []

    # --- events

    async def test_an_event_goes_when_its_last_run_has_ended_long_enough_ago(
        self, adapter: Adapter, store: Store
    ) -> None:
        event = event_of(40 * DAY)
        await self.given(store, event, run_of(event, ended_ago=10 * DAY))
        await self.pruned(store, ONLY_RUNS)
        assert await self.kept(adapter, store, Run) == []

        await self.pruned(store, Horizon(runs=NOW, events=NOW - 10 * DAY, records=0))
        assert await self.kept(adapter, store, Event) == [event.id]

        await self.pruned(store, Horizon(runs=NOW, events=NOW - 10 * DAY + 1, records=0))
        assert await self.kept(adapter, store, Event) == []

    async def test_an_event_stays_while_any_of_its_runs_is_there(
        self, adapter: Adapter, store: Store
    ) -> None:
        event = event_of(90 * DAY)
        runs = [
            run_of(event, ended_ago=80 * DAY),
            run_of(event, ended_ago=None, id="run_z", job="other", state="suspended"),
        ]
        await self.given(store, event, *runs)

        await self.pruned(store, EVERYTHING)

        assert await self.kept(adapter, store, Run) == ["run_z"]
        assert await self.kept(adapter, store, Event) == [event.id]

    async def test_of_several_pruned_runs_the_last_one_counts(self, adapter: Adapter, store: Store) -> None:
        event = event_of(90 * DAY)
        second = event.id.replace("evt", "run") + "-2"
        runs = [run_of(event, ended_ago=2 * DAY), run_of(event, ended_ago=50 * DAY, id=second, job="other")]
        await self.given(store, event, *runs)
        await self.pruned(store, ONLY_RUNS, limit=1)

        await self.pruned(store, Horizon(runs=NOW, events=NOW - 3 * DAY, records=0))
        assert await self.kept(adapter, store, Event) == [event.id]

        await self.pruned(store, EVERYTHING)
        assert await self.kept(adapter, store, Event) == []

    async def test_an_event_without_runs_goes_by_when_it_was_settled(
        self, adapter: Adapter, store: Store
    ) -> None:
        settled = event_of(9 * DAY, "a")
        cancelled = event_of(9 * DAY, "b", delivered_at=None, cancelled_at=NOW - DAY)
        delivered_late = event_of(9 * DAY, "c", delivered_at=NOW + 1)
        cancelled_late = event_of(9 * DAY, "d", delivered_at=None, cancelled_at=NOW + 1)
        to_come = event_of(9 * DAY, "e", delivered_at=None, deliver_at=NOW + 900 * DAY)
        young = event_of(0, "f")
        kept = [delivered_late, cancelled_late, to_come, young]
        await self.given(store, settled, cancelled, *kept)

        assert await self.pruned(store, ONLY_EVENTS) == 2

        assert await self.kept(adapter, store, Event) == sorted(event.id for event in kept)

    async def test_events_without_runs_go_batch_by_batch_in_every_environment(
        self, adapter: Adapter, store: Store
    ) -> None:
        events = [event_of((n + 1) * DAY, env_no=1 + n % 2) for n in range(40)]
        busy = [event_of((n + 1) * DAY, "x") for n in range(40)]
        await self.given(store, *events, *busy, *[run_of(event, ended_ago=None) for event in busy])

        assert await self.pruned(store, EVERYTHING, limit=3) == 40

        assert await self.kept(adapter, store, Event) == sorted(event.id for event in busy)

    async def test_the_id_of_an_event_is_free_again_when_it_is_gone(
        self, adapter: Adapter, store: Store
    ) -> None:
        await self.given(store, event_of(9 * DAY, user_id="order-1"))
        await self.pruned(store, EVERYTHING)

        await self.given(store, an_event(user_id="order-1"))

        assert await self.kept(adapter, store, Event) == ["evt_1"]

    # --- roll-ups and audits

    async def test_old_roll_ups_and_audits_go_batch_by_batch(self, adapter: Adapter, store: Store) -> None:
        old = [a_minute(minute=NOW // MINUTE - 1 - n, env_no=1 + n % 2) for n in range(20)]
        old_audits = [an_audit(id=f"aud_{n}", at=NOW - 1 - n, env_no=1 + n % 2) for n in range(20)]
        await self.given(store, *old, *old_audits, a_minute(), an_audit(id="aud_new"))

        assert await self.pruned(store, ONLY_RECORDS, limit=3) == 40

        assert await adapter.dump(store, Minute) == [a_minute()]
        assert await adapter.dump(store, Audit) == [an_audit(id="aud_new")]
