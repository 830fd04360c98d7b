"""What every store keeps to, whatever it is made of. An adapter's tests inherit from `StoreContract`, hand in an
`Adapter`, and add what is true of it alone; nothing here asks which adapter it is."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.factories import (
    a_job,
    a_log_line,
    a_minute,
    a_queue,
    a_run,
    a_schedule,
    a_task,
    an_attempt,
    an_audit,
    an_event,
    changes_of,
)
from tests.storage import hostile
from tests.storage.contract_fixtures import TABLES, Adapter, ContractFixtures
from tests.storage.contract_lifecycle import ClosingContract
from tests.storage.contract_pruning import PruningContract
from tests.storage.contract_reads import ReadingContract, ScanningContract
from zopio_trigger.engine.outcome import Guard
from zopio_trigger.errors import Unstorable
from zopio_trigger.model.records import (
    Attempt,
    Audit,
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
from zopio_trigger.storage.port import Stale, Store

REVISED: tuple[type[Row], ...] = (Event, Run, Task, Job, Schedule, Queue)
APPENDED: tuple[type[Row], ...] = (Attempt, LogLine, Minute, Audit)
WRITTEN = REVISED + APPENDED

# Columns by which a row is found.
KEYS: dict[type[Row], frozenset[str]] = {
    Event: frozenset({"env_no", "id"}),
    Run: frozenset({"id"}),
    Task: frozenset({"run_id", "hash"}),
    Job: frozenset({"env_no", "id"}),
    Schedule: frozenset({"env_no", "id"}),
    Queue: frozenset({"env_no", "name"}),
}

# Columns that keep what the first write put there; a store need not write them again.
FIXED: dict[type[Row], frozenset[str]] = {
    Event: frozenset(
        {"user_id", "name", "source", "created_at", "timestamp", "is_test", "job", "origin_run"}
    ),
    Run: frozenset(Run.__struct_fields__[Run.__struct_fields__.index("env_no") :]),
    Task: frozenset({"id", "parent_id", "kind", "key", "created_at"}),
    Job: frozenset(),
    Schedule: frozenset(),
    Queue: frozenset(),
}


def named(kind: type[Row]) -> str:
    return kind.__name__


class WritingContract(ContractFixtures):
    """Writing batches: all or nothing, each row only over the revision it follows."""

    # --- what is written is what is read

    @pytest.mark.parametrize("kind", TABLES, ids=named)
    async def test_fields_are_in_the_order_of_the_columns(
        self, adapter: Adapter, store: Store, kind: type[Row]
    ) -> None:
        assert await adapter.columns(store, TABLES[kind]) == kind.__struct_fields__

    @pytest.mark.parametrize("kind", WRITTEN, ids=named)
    @pytest.mark.parametrize("form", [hostile.full, hostile.bare, hostile.lookalike])
    async def test_every_row_comes_back_as_it_was_written(
        self, adapter: Adapter, store: Store, kind: type[Row], form: Any
    ) -> None:
        row: Row = form(kind)

        await store.write(changes_of(row))

        assert await adapter.dump(store, kind) == [row]

    @pytest.mark.parametrize("kind", REVISED, ids=named)
    async def test_an_update_stores_every_column_that_may_change(
        self, adapter: Adapter, store: Store, kind: type[Row]
    ) -> None:
        before, other = hostile.full(kind), hostile.lookalike(kind)
        await store.write(changes_of(before))
        changing = set(kind.__struct_fields__) - KEYS[kind] - FIXED[kind]
        after = replace(before, **{name: getattr(other, name) for name in changing} | {"revision": 2})
        assert after != before

        await store.write(changes_of(after))

        assert await adapter.dump(store, kind) == [after]

    @pytest.mark.parametrize("kind", REVISED, ids=named)
    async def test_an_update_can_empty_what_can_be_empty(
        self, adapter: Adapter, store: Store, kind: type[Row]
    ) -> None:
        before, bare = hostile.full(kind), hostile.bare(kind)
        await store.write(changes_of(before))
        changing = set(kind.__struct_fields__) - KEYS[kind] - FIXED[kind]
        after = replace(before, **{name: getattr(bare, name) for name in changing} | {"revision": 2})

        await store.write(changes_of(after))

        assert await adapter.dump(store, kind) == [after]

    async def test_many_rows_of_every_kind_go_in_one_batch(self, adapter: Adapter, store: Store) -> None:
        rows: dict[type[Row], list[Any]] = {
            Event: [an_event(id=f"evt_{n}") for n in range(50)],
            Run: [a_run(id=f"run_{n}", event_id=f"evt_{n}") for n in range(50)],
            Task: [a_task(hash=f"hash-{n}") for n in range(50)],
            Job: [a_job(id=f"job-{n}") for n in range(3)],
            Schedule: [a_schedule(id=f"schedule-{n}") for n in range(3)],
            Queue: [a_queue(name=f"queue-{n}") for n in range(3)],
            Attempt: [an_attempt(number=n) for n in range(50)],
            LogLine: [a_log_line(number=n) for n in range(50)],
            Minute: [a_minute(bucket=n) for n in range(50)],
            Audit: [an_audit(id=f"aud_{n}") for n in range(50)],
        }

        await store.write(changes_of(*[row for kind in rows.values() for row in kind]))

        for kind, written in rows.items():
            stored: list[Any] = await adapter.dump(store, kind)
            assert sorted(map(repr, stored)) == sorted(map(repr, written))

    async def test_a_payload_of_three_megabytes_comes_back_whole(self, store: Store) -> None:
        event = an_event(payload='"' + "x\\ud83e\\udd8a" * 240_000 + '"')
        assert len(event.payload) > 3_000_000

        await store.write(changes_of(event))

        assert await store.event(1, event.id) == event

    async def test_a_batch_of_large_outputs_is_written(self, store: Store) -> None:
        tasks = [a_task(hash=f"hash-{n}", state="completed", output="9" * 1_000_000) for n in range(8)]

        await store.write(changes_of(*tasks))

        assert [len(task.output or "") for task in await store.tasks("run_1")] == [1_000_000] * 8

    # --- what cannot be kept

    @pytest.mark.parametrize("text", ["a\0b", "\0", "\ud800", "a\udfffb"], ids=ascii)
    async def test_text_that_is_none_is_refused_and_not_cut(
        self, adapter: Adapter, store: Store, text: str
    ) -> None:
        with pytest.raises(Unstorable):
            await store.write(changes_of(an_event(), an_audit(reason=text)))

        assert await adapter.dump(store, Event) == []
        assert await adapter.dump(store, Audit) == []

    async def test_a_value_that_is_none_of_its_column_is_refused(
        self, adapter: Adapter, store: Store
    ) -> None:
        misfit = a_run(ready_at="soon")

        with pytest.raises(Unstorable):
            await store.write(changes_of(an_event(), misfit))

        assert await adapter.dump(store, Event) == []

    async def test_a_number_past_64_bits_is_refused_and_not_rounded(
        self, adapter: Adapter, store: Store
    ) -> None:
        with pytest.raises(Unstorable):
            await store.write(changes_of(an_event(timestamp=2**63)))

        assert await adapter.dump(store, Event) == []

    # --- revisions

    @pytest.mark.parametrize("kind", REVISED, ids=named)
    @pytest.mark.parametrize("revision", [1, 2, 4, 99])
    async def test_a_write_that_does_not_follow_the_stored_revision_is_stale(
        self, adapter: Adapter, store: Store, kind: type[Row], revision: int
    ) -> None:
        await store.write(changes_of(hostile.full(kind)))
        stored = replace(hostile.full(kind), revision=2)
        await store.write(changes_of(stored))

        with pytest.raises(Stale):
            await store.write(changes_of(replace(hostile.full(kind), revision=revision)))

        assert await adapter.dump(store, kind) == [stored]

    @pytest.mark.parametrize("kind", REVISED, ids=named)
    async def test_an_update_of_a_row_that_is_gone_is_stale(
        self, adapter: Adapter, store: Store, kind: type[Row]
    ) -> None:
        with pytest.raises(Stale):
            await store.write(changes_of(replace(hostile.full(kind), revision=7)))

        assert await adapter.dump(store, kind) == []

    @pytest.mark.parametrize("kind", REVISED, ids=named)
    async def test_one_stale_row_keeps_the_whole_batch_from_being_written(
        self, adapter: Adapter, store: Store, kind: type[Row]
    ) -> None:
        await store.write(changes_of(hostile.full(kind)))
        good = [
            an_event(id="evt_2"), a_run(id="run_2"), a_task(run_id="run_2"), a_job(id="job-2"), a_queue(name="q-2"),
            a_schedule(id="s-2"), an_attempt(run_id="run_2"), a_log_line(run_id="run_2"), a_minute(job="job-2"),
            an_audit(id="aud_2"),
        ]  # fmt: skip
        stale = replace(hostile.full(kind), revision=3)
        before = {written: await adapter.dump(store, written) for written in WRITTEN}

        with pytest.raises(Stale):
            await store.write(changes_of(*good, stale))

        assert {written: await adapter.dump(store, written) for written in WRITTEN} == before

    async def test_some_stale_rows_among_many_are_noticed(self, adapter: Adapter, store: Store) -> None:
        runs = [a_run(id=f"run_{n}", event_id=f"evt_{n}") for n in range(100)]
        await store.write(changes_of(*runs))
        await store.write(changes_of(replace(runs[50], revision=2)))

        with pytest.raises(Stale):
            await store.write(changes_of(*[replace(run, revision=2, state="completed") for run in runs]))

        assert {run.state for run in await adapter.dump(store, Run)} == {"ready"}

    async def test_after_a_stale_batch_the_store_goes_on(self, adapter: Adapter, store: Store) -> None:
        with pytest.raises(Stale):
            await store.write(changes_of(a_run(revision=2)))

        await store.write(changes_of(a_run()))

        assert await adapter.dump(store, Run) == [a_run()]

    # --- guards

    async def test_a_guarded_run_that_is_as_it_was_lets_the_batch_pass(self, store: Store) -> None:
        await store.write(changes_of(a_run()))

        await store.write(changes_of(a_task(), Guard("run_1", 1)))

        assert await store.tasks("run_1") == [a_task()]

    @pytest.mark.parametrize("guard", [Guard("run_1", 2), Guard("run_1", 0), Guard("run_2", 1)])
    async def test_a_guarded_run_that_moved_on_or_is_gone_makes_the_batch_stale(
        self, store: Store, guard: Guard
    ) -> None:
        await store.write(changes_of(a_run()))

        with pytest.raises(Stale):
            await store.write(changes_of(a_task(), guard))

        assert await store.tasks("run_1") == []

    async def test_a_guarded_run_that_the_batch_writes_is_held_to_its_own_revision(
        self, store: Store
    ) -> None:
        await store.write(changes_of(a_run()))
        suspended = a_run(revision=2, state="suspended")

        await store.write(changes_of(a_task(), Guard("run_1", 1), suspended))

        assert await store.run(1, "run_1") == suspended

    # --- what is unique

    async def test_the_senders_id_of_an_event_is_taken_once_in_an_environment(
        self, adapter: Adapter, store: Store
    ) -> None:
        first = an_event(id="evt_1", user_id="order-1")
        await store.write(changes_of(first))

        with pytest.raises(Stale):
            await store.write(changes_of(an_event(id="evt_2", user_id="order-1"), a_run()))

        assert await adapter.dump(store, Event) == [first]
        assert await adapter.dump(store, Run) == []

    async def test_another_environment_may_use_the_same_id_and_many_events_none(
        self, adapter: Adapter, store: Store
    ) -> None:
        events = [
            an_event(id="evt_1", user_id="order-1"), an_event(id="evt_2", user_id="order-1", env_no=2),
            an_event(id="evt_3"), an_event(id="evt_4"),
        ]  # fmt: skip

        await store.write(changes_of(*events))

        assert len(await adapter.dump(store, Event)) == 4

    async def test_an_event_starts_a_job_once(self, adapter: Adapter, store: Store) -> None:
        await store.write(changes_of(a_run(id="run_1")))

        with pytest.raises(Stale):
            await store.write(changes_of(a_run(id="run_2"), an_event()))

        assert await adapter.dump(store, Event) == []

    async def test_replays_and_other_jobs_of_an_event_have_runs_of_their_own(
        self, adapter: Adapter, store: Store
    ) -> None:
        runs = [
            a_run(id="run_1"), a_run(id="run_2", replay_no=1), a_run(id="run_3", job="other"),
            a_run(id="run_4", event_id="evt_2"),
        ]  # fmt: skip

        await store.write(changes_of(*runs))

        assert len(await adapter.dump(store, Run)) == 4

    # --- rows without revisions

    @pytest.mark.parametrize(
        ("first", "again"),
        [
            (an_attempt(error='"first"'), an_attempt(error='"again"')),
            (a_log_line(message='"first"'), a_log_line(message='"again"')),
            (an_audit(reason="first"), an_audit(reason="again")),
        ],
    )
    async def test_an_appended_row_written_again_stays_as_it_was(
        self, adapter: Adapter, store: Store, first: Row, again: Row
    ) -> None:
        await store.write(changes_of(first))

        await store.write(changes_of(again))

        assert await adapter.dump(store, type(first)) == [first]

    async def test_roll_ups_add_up(self, adapter: Adapter, store: Store) -> None:
        await store.write(changes_of(a_minute(runs=2), a_minute(runs=3), a_minute(state="failed")))

        await store.write(changes_of(a_minute(runs=5)))

        stored = await adapter.dump(store, Minute)
        assert sorted(stored, key=lambda minute: minute.state) == [
            a_minute(runs=10),
            a_minute(state="failed"),
        ]

    async def test_an_empty_batch_is_fine(self, store: Store) -> None:
        await store.write(changes_of())

    # --- loading

    async def test_a_run_is_loaded_with_its_open_tasks(self, store: Store) -> None:
        run, running, waiting = a_run(), a_task(hash="a", state="running"), a_task(hash="b", state="waiting")
        ended = [a_task(hash=state, state=state) for state in ("completed", "failed", "cancelled")]
        await store.write(changes_of(run, running, waiting, *ended, a_task(run_id="run_2")))

        [loaded] = await store.load([("run", "run_1")])

        assert loaded == (run, [running, waiting])

    async def test_unfinished_tasks_are_all_but_the_completed_ones(self, store: Store) -> None:
        tasks = [
            a_task(hash=state, state=state)
            for state in ("cancelled", "completed", "failed", "running", "waiting")
        ]
        await store.write(changes_of(*tasks))

        [loaded] = await store.load([("unfinished", "run_1")])

        assert loaded == [task for task in tasks if task.state != "completed"]

    async def test_an_event_is_loaded_by_either_id_and_the_senders_comes_first(self, store: Store) -> None:
        ours, theirs = an_event(id="evt_1"), an_event(id="evt_2", user_id="evt_1")
        plain = an_event(id="evt_3", user_id="order-1")
        await store.write(changes_of(ours, theirs, plain))

        keys = [("event", 1, "evt_1"), ("event", 1, "order-1"), ("event", 1, "evt_3"), ("event", 2, "evt_3")]

        assert await store.load(keys) == [theirs, plain, plain, None]

    async def test_what_is_not_there_is_loaded_as_none_and_in_order(self, store: Store) -> None:
        await store.write(changes_of(a_task()))

        loaded = await store.load([
            ("run", "run_1"), ("task", "run_1", "hash-1"), ("task", "run_1", "other"), ("event", 1, "evt_1"),
            ("unfinished", "run_9"), ("replays", "evt_1", "send-email"), ("open_run", 1, "send-email"),
        ])  # fmt: skip

        assert loaded == [None, a_task(), None, None, [], 0, 0]

    async def test_the_last_replay_is_that_of_the_event_and_job(self, store: Store) -> None:
        await store.write(
            changes_of(
                *[a_run(id=f"run_{n}", replay_no=n) for n in range(3)],
                a_run(id="run_8", job="other", replay_no=7),
                a_run(id="run_9", event_id="evt_2", replay_no=8),
            )
        )

        assert await store.load([("replays", "evt_1", "send-email")]) == [2]

    @pytest.mark.parametrize(
        ("state", "is_open"),
        [("ready", 1), ("executing", 1), ("suspended", 1), ("completed", 0), ("failed", 0), ("cancelled", 0)],
    )
    async def test_a_job_has_an_open_run_while_one_has_not_ended(
        self, store: Store, state: str, is_open: int
    ) -> None:
        ended = [a_run(id=f"run_{n}", event_id=f"evt_{n}", state="completed") for n in range(200)]
        await store.write(changes_of(a_run(id="run_", event_id="evt_", state=state), *ended))

        answers = await store.load([
            ("open_run", 1, "send-email"), ("open_run", 2, "send-email"), ("open_run", 1, "other")
        ])  # fmt: skip

        assert answers == [is_open, 0, 0]

    async def test_an_event_is_known_by_its_senders_id_alone_when_it_is_sent_again(
        self, store: Store
    ) -> None:
        ours, theirs = an_event(id="evt_1"), an_event(id="evt_2", user_id="order-1")
        await store.write(changes_of(ours, theirs))

        loaded = await store.load([("sent", 1, "order-1"), ("sent", 1, "evt_1"), ("sent", 2, "order-1")])

        assert loaded == [theirs, None, None]

    async def test_the_runs_an_event_made_are_found_without_its_replays(self, store: Store) -> None:
        await store.write(
            changes_of(
                a_run(id="run_1", job="b"), a_run(id="run_2", job="a"), a_run(id="run_3", job="a", replay_no=1),
                a_run(id="run_4", event_id="evt_2"),
            )
        )  # fmt: skip

        assert await store.load([("runs_made", "evt_1")]) == [[("run_2", "a"), ("run_1", "b")]]


class StoreContract(WritingContract, ScanningContract, ReadingContract, PruningContract, ClosingContract):
    """The whole contract."""
