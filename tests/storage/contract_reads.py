"""What every store finds: for services that scan, for people and workers that read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tests.factories import (
    NOW,
    a_job,
    a_log_line,
    a_minute,
    a_queue,
    a_run,
    a_schedule,
    a_task,
    an_attempt,
    an_event,
    changes_of,
)
from tests.storage.contract_fixtures import ContractFixtures
from zopio_trigger.model.ids import lowest
from zopio_trigger.model.records import ApiKey, Event, Run
from zopio_trigger.model.states import RUN_STATES
from zopio_trigger.storage.port import EventName, RunQuery, Store

SECOND = 1_000_000
LINE = (1, "send-email", "")
JOBS = frozenset({"send-email"})


def runs_in(states: Sequence[str], **changes: Any) -> list[Run]:
    """A run for each state, a second apart."""
    return [
        a_run(
            id=lowest("run", NOW + n * SECOND), event_id=f"evt_{n}", state=state, created_at=NOW + n * SECOND,
            **changes,
        )
        for n, state in enumerate(states)
    ]  # fmt: skip


def ids(rows: Sequence[Run] | Sequence[Event]) -> list[str]:
    return [row.id for row in rows]


class ScanningContract(ContractFixtures):
    """What services look for."""

    async def test_an_empty_store_boots_with_nothing(self, store: Store) -> None:
        boot = await store.boot()

        assert (boot.jobs, boot.schedules, boot.queues, boot.ready, boot.executing) == ([], [], [], [], [])

    async def test_a_boot_finds_all_definitions(self, store: Store) -> None:
        jobs, schedules = [a_job(), a_job(env_no=2)], [a_schedule(), a_schedule(id="other")]
        await store.write(changes_of(*jobs, *schedules, a_queue(limit=3)))

        boot = await store.boot()

        assert sorted(boot.jobs, key=lambda job: job.env_no) == jobs
        assert sorted(boot.schedules, key=lambda schedule: schedule.id) == sorted(
            schedules, key=lambda s: s.id
        )
        assert boot.queues == [a_queue(limit=3)]

    async def test_a_boot_counts_ready_runs_by_line_and_names_the_executing_ones(self, store: Store) -> None:
        keyed = [
            a_run(id=f"run_k{n}", event_id=f"evt_k{n}", queue_key="acme", queue="other") for n in range(2)
        ]
        executing = a_run(id="run_x", event_id="evt_x", state="executing", token=7, holder="w1")
        await store.write(changes_of(*runs_in([*RUN_STATES], token=3), *keyed, executing))

        boot = await store.boot()

        assert sorted(boot.ready) == [((1, "other", "acme"), 2), (LINE, 1)]
        assert sorted(boot.executing) == [(lowest("run", NOW + SECOND), 3), ("run_x", 7)]

    # --- ready runs

    async def test_ready_runs_come_by_priority_then_longest_ready_then_id(self, store: Store) -> None:
        wanted = [
            a_run(id="run_3", priority=9, ready_at=NOW + 5), a_run(id="run_5", priority=1, ready_at=NOW),
            a_run(id="run_1", ready_at=NOW + 1), a_run(id="run_2", ready_at=NOW + 2),
            a_run(id="run_4", ready_at=NOW + 2), a_run(id="run_0", priority=-1, ready_at=NOW),
        ]  # fmt: skip
        wanted = [replace(run, event_id=f"evt_{n}") for n, run in enumerate(wanted)]
        await store.write(changes_of(*reversed(wanted)))

        assert await store.ready(LINE, JOBS, 10) == ids(wanted)
        assert await store.ready(LINE, JOBS, 2) == ids(wanted[:2])

    async def test_a_run_that_has_begun_goes_before_new_ones_of_its_priority(self, store: Store) -> None:
        urgent = a_run(id="run_3", event_id="evt_3", priority=1, ready_at=NOW + 9)
        begun = a_run(id="run_2", event_id="evt_2", ready_at=NOW + 5, started_at=NOW)
        new = a_run(id="run_1", event_id="evt_1", ready_at=NOW)
        await store.write(changes_of(new, begun, urgent))

        assert await store.ready(LINE, JOBS, 10) == [urgent.id, begun.id, new.id]

    async def test_ready_runs_are_those_of_the_line_and_the_jobs(self, store: Store) -> None:
        others: list[dict[str, Any]] = [
            {"job": "other"}, {"queue": "other"}, {"queue_key": "acme"}, {"env_no": 2}, {"state": "suspended"},
            {"state": "executing"}, {"state": "completed"},
        ]  # fmt: skip
        runs = [
            a_run(id=f"run_{n}", event_id=f"evt_{n}", **changes) for n, changes in enumerate([{}, *others])
        ]
        await store.write(changes_of(*runs))

        assert await store.ready(LINE, JOBS, 10) == ["run_0"]
        assert await store.ready(LINE, JOBS | {"other"}, 10) == ["run_0", "run_1"]
        assert await store.ready(LINE, frozenset(), 10) == []
        assert await store.ready((1, "send-email", "acme"), JOBS, 10) == ["run_3"]

    async def test_executing_runs_are_those_that_hold_a_slot_of_the_line(self, store: Store) -> None:
        changes: list[dict[str, Any]] = [{}, {"queue_key": "acme"}, {"env_no": 2}, {"state": "ready"}]
        await store.write(
            changes_of(*[
                a_run(id=f"run_{n}", event_id=f"evt_{n}", **{"state": "executing", **change})
                for n, change in enumerate(changes)
            ])
        )  # fmt: skip

        assert await store.executing(LINE) == ["run_0"]

    # --- what is due

    async def test_nothing_is_due_in_an_empty_store(self, store: Store) -> None:
        due = await store.due(NOW, 10)

        assert (due.tasks, due.events, due.next_at) == ([], [], None)

    async def test_waiting_tasks_are_due_by_their_time_longest_first(self, store: Store) -> None:
        tasks = [
            a_task(hash="b", due_at=NOW), a_task(hash="a", due_at=NOW - 5), a_task(hash="later", due_at=NOW + 1),
            a_task(hash="callback", due_at=None), a_task(hash="running", state="running", due_at=NOW - 9),
            a_task(hash="over", state="completed", due_at=NOW - 9),
        ]  # fmt: skip
        await store.write(changes_of(*tasks))

        due = await store.due(NOW, 10)

        assert due.tasks == [("run_1", "a"), ("run_1", "b")]
        assert due.next_at == NOW + 1

    async def test_delayed_events_are_due_until_they_are_delivered_or_cancelled(self, store: Store) -> None:
        events = [
            an_event(id="evt_2", deliver_at=NOW, delivered_at=None),
            an_event(id="evt_1", deliver_at=NOW - 5, delivered_at=None, env_no=2),
            an_event(id="evt_3", deliver_at=NOW - 5, delivered_at=NOW),
            an_event(id="evt_4", deliver_at=NOW - 5, delivered_at=None, cancelled_at=NOW),
            an_event(id="evt_5", deliver_at=NOW + 7, delivered_at=None),
            an_event(id="evt_6", deliver_at=NOW + 3, delivered_at=None, cancelled_at=NOW),
        ]
        await store.write(changes_of(*events))

        due = await store.due(NOW, 10)

        assert due.events == [(2, "evt_1"), (1, "evt_2")]
        assert due.next_at == NOW + 7

    async def test_the_next_due_instant_is_the_earlier_of_tasks_and_events(self, store: Store) -> None:
        await store.write(
            changes_of(
                a_task(due_at=NOW + 5), an_event(deliver_at=NOW + 9, delivered_at=None),
            )
        )  # fmt: skip

        assert (await store.due(NOW, 10)).next_at == NOW + 5
        assert (await store.due(NOW + 5, 10)).next_at == NOW + 9

    async def test_no_more_is_due_at_once_than_asked_for(self, store: Store) -> None:
        await store.write(changes_of(*[a_task(hash=f"{n:02}", due_at=NOW - 50 + n) for n in range(20)]))

        due = await store.due(NOW, 3)

        assert [hash for _, hash in due.tasks] == ["00", "01", "02"]


class ReadingContract(ContractFixtures):
    """What people and workers ask for."""

    # --- runs

    async def test_a_run_of_another_environment_is_not_found(self, store: Store) -> None:
        await store.write(changes_of(a_run()))

        assert await store.run(1, "run_1") == a_run()
        assert await store.run(2, "run_1") is None
        assert await store.run(1, "run_2") is None

    async def test_runs_come_newest_first_and_page_by_page(self, store: Store) -> None:
        runs = runs_in(["completed"] * 25)
        await store.write(changes_of(*runs, a_run(id="run_zzz", event_id="evt_zzz", env_no=2)))
        pages: list[list[Run]] = []
        before: str | None = None

        while page := await store.runs(RunQuery(env_no=1, before=before, limit=10)):
            pages.append(page)
            before = page[-1].id

        assert [len(page) for page in pages] == [10, 10, 5]
        assert [run for page in pages for run in page] == runs[::-1]

    @pytest.mark.parametrize("state", RUN_STATES)
    @pytest.mark.parametrize("job", [None, "send-email", "other"])
    async def test_runs_of_one_state_are_found(self, store: Store, state: str, job: str | None) -> None:
        runs = runs_in([*RUN_STATES, *RUN_STATES, *RUN_STATES])
        await store.write(changes_of(*runs))

        found = await store.runs(RunQuery(env_no=1, states=(state,), job=job))

        assert found == ([] if job == "other" else [run for run in runs[::-1] if run.state == state])

    @pytest.mark.parametrize(
        "states",
        [
            ("ready", "executing"),
            ("failed", "completed"),
            ("ready", "executing", "suspended"),
            tuple(RUN_STATES),
        ],
    )
    async def test_runs_of_several_states_are_one_list(self, store: Store, states: tuple[str, ...]) -> None:
        runs = runs_in([*RUN_STATES, *reversed(RUN_STATES), *RUN_STATES])
        wanted = [run for run in runs[::-1] if run.state in states]
        await store.write(changes_of(*runs))

        first = await store.runs(RunQuery(env_no=1, states=states, limit=5))
        rest = await store.runs(RunQuery(env_no=1, states=states, before=first[-1].id))

        assert first == wanted[:5]
        assert rest == wanted[5:]

    async def test_runs_of_an_event_are_found_with_its_replays(self, store: Store) -> None:
        runs = [
            a_run(id="run_1"), a_run(id="run_2", replay_no=1, state="failed"), a_run(id="run_3", job="other"),
            a_run(id="run_4", event_id="evt_2"),
        ]  # fmt: skip
        await store.write(changes_of(*runs))

        query = RunQuery(env_no=1, event_id="evt_1")

        assert ids(await store.runs(query)) == ["run_3", "run_2", "run_1"]
        assert ids(await store.runs(replace(query, limit=1, before="run_3"))) == ["run_2"]
        assert ids(await store.runs(replace(query, states=("failed",), limit=1))) == ["run_2"]
        assert ids(await store.runs(replace(query, job="other"))) == ["run_3"]
        assert await store.runs(replace(query, env_no=2)) == []

    @pytest.mark.parametrize(
        "states", [(), ("failed",), ("executing",), ("completed", "failed", "executing")]
    )
    @pytest.mark.parametrize("job", [None, "send-email"])
    async def test_a_page_of_runs_since_an_instant_is_full_as_long_as_there_are_any(
        self, store: Store, states: tuple[str, ...], job: str | None
    ) -> None:
        runs = runs_in(["completed", "failed", "executing"] * 20)
        since = runs[30].created_at
        wanted = [run for run in runs[:29:-1] if not states or run.state in states]
        await store.write(changes_of(*runs))

        query = RunQuery(env_no=1, states=states, job=job, since=since, limit=7)
        first = await store.runs(query)
        rest = await store.runs(replace(query, before=first[-1].id, limit=100))

        assert [*first, *rest] == wanted

    async def test_a_run_whose_row_came_a_moment_after_its_id_counts_as_created_then(
        self, store: Store
    ) -> None:
        run = a_run(id=lowest("run", NOW), created_at=NOW + 3 * SECOND)
        await store.write(changes_of(run))

        assert await store.runs(RunQuery(env_no=1, since=NOW + 2 * SECOND)) == [run]
        assert await store.runs(RunQuery(env_no=1, since=NOW + 4 * SECOND)) == []

    # --- events

    async def test_events_come_newest_first_and_page_by_page(self, store: Store) -> None:
        events = [an_event(id=f"evt_{n:02}") for n in range(25)]
        await store.write(changes_of(*events, an_event(id="evt_99", env_no=2)))

        first = await store.events(1, None, 10)
        second = await store.events(1, first[-1].id, 100)

        assert [*first, *second] == events[::-1]

    async def test_an_event_is_found_by_either_id_in_its_environment(self, store: Store) -> None:
        event = an_event(user_id="order-1")
        await store.write(changes_of(event))

        assert await store.event(1, "evt_1") == event
        assert await store.event(1, "order-1") == event
        assert await store.event(2, "order-1") is None
        assert await store.event(2, "evt_1") is None

    async def test_events_are_named_without_their_payloads(self, store: Store) -> None:
        await store.write(
            changes_of(an_event(user_id="order-1"), an_event(id="evt_2"), an_event(id="evt_3", env_no=2))
        )

        names = await store.event_names(1, ["evt_2", "evt_1", "evt_3", "gone"])

        assert sorted(names, key=lambda name: name.id) == [
            EventName("evt_1", "order-1", "user.created"), EventName("evt_2", None, "user.created"),
        ]  # fmt: skip
        assert await store.event_names(1, []) == []

    # --- what hangs on a run

    async def test_tasks_come_in_the_order_of_creation(self, store: Store) -> None:
        tasks = [
            a_task(hash="z", id="task_1", created_at=NOW), a_task(hash="y", id="task_2", created_at=NOW),
            a_task(hash="x", id="task_0", created_at=NOW + 1),
        ]  # fmt: skip
        await store.write(changes_of(*reversed(tasks), a_task(run_id="run_2")))

        assert await store.tasks("run_1") == tasks

    async def test_open_tasks_of_several_runs_are_found_together(self, store: Store) -> None:
        tasks = [
            a_task(run_id=run_id, hash=state, state=state)
            for run_id in ("run_1", "run_2", "run_3")
            for state in ("running", "waiting", "completed", "failed", "cancelled")
        ]
        await store.write(changes_of(*tasks))

        found = await store.open_tasks(["run_1", "run_3", "run_9"])

        assert sorted((task.run_id, task.state) for task in found) == [
            ("run_1", "running"), ("run_1", "waiting"), ("run_3", "running"), ("run_3", "waiting"),
        ]  # fmt: skip

    async def test_attempts_come_in_the_order_they_ended(self, store: Store) -> None:
        attempts = [
            an_attempt(hash="b", number=1, finished_at=NOW), an_attempt(hash="a", number=1, finished_at=NOW + 1),
            an_attempt(hash="b", number=2, finished_at=NOW + 2),
        ]  # fmt: skip
        await store.write(changes_of(*reversed(attempts), an_attempt(run_id="run_2")))

        assert await store.attempts("run_1") == attempts

    async def test_log_lines_come_in_the_order_of_writing_after_a_place(self, store: Store) -> None:
        lines = [a_log_line(token=token, number=number) for token in (1, 2, 10) for number in (1, 2, 10)]
        await store.write(changes_of(*reversed(lines), a_log_line(run_id="run_2")))

        assert await store.logs("run_1", None, 100) == lines
        assert await store.logs("run_1", None, 2) == lines[:2]
        assert await store.logs("run_1", (1, 10), 100) == lines[3:]
        assert await store.logs("run_1", (2, 1), 2) == lines[4:6]
        assert await store.logs("run_1", (10, 10), 100) == []

    async def test_minutes_are_found_from_one_until_before_another(self, store: Store) -> None:
        minutes = [a_minute(minute=minute) for minute in range(100, 110)]
        await store.write(changes_of(*minutes, a_minute(minute=105, env_no=2)))

        found = await store.minutes(1, 103, 106)

        assert sorted(minute.minute for minute in found) == [103, 104, 105]

    # --- environments and keys

    async def test_an_environment_is_made_once_for_its_slug(self, store: Store) -> None:
        dev = await store.add_environment("dev", "development", NOW)
        prod = await store.add_environment("prod", "production", NOW + 1)

        assert await store.add_environment("dev", "staging", NOW + 2) == dev
        assert dev.no != prod.no
        assert (dev.slug, dev.kind, dev.created_at) == ("dev", "development", NOW)
        assert await store.environments() == [dev, prod]

    async def test_an_environment_asked_for_by_many_at_once_is_one(self, store: Store) -> None:
        made = await asyncio.gather(*(store.add_environment("dev", "development", NOW + n) for n in range(9)))

        assert len(set(made)) == 1

    async def test_a_key_is_found_by_its_digest_and_added_once(self, store: Store) -> None:
        key = ApiKey("digest", 1, "tr_dev_ab", NOW, None)
        await store.add_key(key)
        await store.add_key(replace(key, env_no=2))

        assert await store.key("digest") == key
        assert await store.key("other") is None

    # --- reading while others write

    async def test_what_was_written_is_read_at_once(self, store: Store) -> None:
        for n in range(30):
            run = a_run(id=f"run_{n:02}", event_id=f"evt_{n}")
            await store.write(changes_of(run))

            assert await store.run(1, run.id) == run

    async def test_readers_see_whole_batches_while_others_write(self, store: Store) -> None:
        batches = 40
        size = 25

        async def write() -> None:
            for batch in range(batches):
                runs = [a_run(id=f"run_{batch:02}-{n:02}", event_id=f"evt_{batch}-{n}") for n in range(size)]
                await store.write(changes_of(*runs))

        async def read(writing: asyncio.Task[None]) -> list[int]:
            seen: list[int] = []
            while not writing.done():
                seen.append(len(await store.runs(RunQuery(env_no=1, limit=10_000))))
            return seen

        writing = asyncio.create_task(write())
        counts = await asyncio.gather(*(read(writing) for _ in range(4)))

        assert all(count % size == 0 for seen in counts for count in seen)
        assert all(seen == sorted(seen) for seen in counts)
        assert len(await store.runs(RunQuery(env_no=1, limit=10_000))) == batches * size
