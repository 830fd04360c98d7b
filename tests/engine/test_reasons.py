"""Why a run waits: one reason, the one to deal with first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import NOW, a_job, a_queue, a_run, a_seat, a_task
from zopio_trigger.engine.reasons import waiting_reason
from zopio_trigger.model.durations import DAY_US, SECOND_US
from zopio_trigger.model.records import Run
from zopio_trigger.model.states import RUN_STATES
from zopio_trigger.model.views import WaitingReason

HOUR = 3600 * SECOND_US


def reason(run: Run, **around: Any) -> WaitingReason | None:
    usual: dict[str, Any] = {
        "job": a_job(), "queue": a_queue(), "held_by": (), "seats": [a_seat()], "open_tasks": (), "now": NOW,
    }  # fmt: skip
    return waiting_reason(run, **{**usual, **around})


def told(run: Run, **around: Any) -> WaitingReason:
    given = reason(run, **around)
    assert given is not None
    return given


@pytest.mark.parametrize("state", [name for name, words in RUN_STATES.items() if words.final] + ["executing"])
def test_a_run_that_executes_or_has_ended_has_no_reason(state: str) -> None:
    assert reason(a_run(state=state)) is None


def test_a_run_without_a_slot_names_queue_limit_and_holders() -> None:
    given = told(
        a_run(queue="emails"), queue=a_queue(name="emails", limit=3), held_by=("run_A", "run_B", "run_C")
    )

    assert given.text == "waiting for a slot of queue `emails`: 3 of 3 held by run_A, run_B, run_C"
    assert (given.kind, given.queue, given.limit) == ("slot", "emails", 3)
    assert given.held_by == ("run_A", "run_B", "run_C")
    assert given.since == "2026-01-01T00:00:00.000Z"


def test_a_queue_with_many_holders_names_a_few_and_counts_the_rest() -> None:
    holders = tuple(f"run_{number}" for number in range(100))

    given = told(a_run(), queue=a_queue(limit=100), held_by=holders)

    assert given.text.endswith("100 of 100 held by run_0, run_1, run_2 and 97 more")
    assert len(given.held_by) == 20


def test_a_line_of_one_key_is_named_with_its_key() -> None:
    given = told(a_run(queue_key="acme"), queue=a_queue(limit=1), held_by=("run_A",))

    assert given.text == "waiting for a slot of queue `send-email`, key `acme`: 1 of 1 held by run_A"


def test_a_queue_with_limit_zero_says_so() -> None:
    assert told(a_run(), queue=a_queue(limit=0)).text.endswith("its limit is 0")


def test_no_worker_for_the_job_says_how_to_start_one() -> None:
    given = told(a_run(job="report"), seats=[a_seat()])

    assert given.kind == "no_worker"
    assert given.text.startswith("no worker serves job `report`; start one that does")


def test_a_worker_of_another_environment_does_not_count() -> None:
    assert told(a_run(), seats=[a_seat(env_no=2)]).kind == "no_worker"


def test_a_draining_worker_is_named_when_there_is_no_other() -> None:
    given = told(a_run(), seats=[a_seat(is_draining=True)])

    assert given.kind == "no_worker"
    assert given.text == "every worker that serves job `send-email` is draining (w1); start another one"


def test_a_full_worker_is_named_with_its_slots() -> None:
    given = told(a_run(), seats=[a_seat(slots=2, executing={"run_A": None, "run_B": None})])

    assert (given.kind, given.text) == ("worker_busy", "all 2 slots of worker `w1` are taken")
    assert given.held_by == ("run_A", "run_B")


def test_several_full_workers_are_counted() -> None:
    seats = [a_seat(worker=name, slots=1, executing={name: None}) for name in ("w1", "w2")]

    given = told(a_run(), seats=seats)

    assert given.text == "all 2 slots of the 2 workers that serve job `send-email` are taken"


def test_a_run_that_must_execute_alone_waits_for_an_idle_worker() -> None:
    given = told(a_run(interruptions=3), seats=[a_seat(executing={"run_A": None})])

    assert given.kind == "worker_busy"
    assert given.text.startswith("it was interrupted 3 times, so it executes with nothing beside it")


def test_a_run_waits_while_its_worker_executes_another_alone() -> None:
    given = told(a_run(), seats=[a_seat(executing={"run_A": None}, alone="run_A")])

    assert given.text.startswith("its worker executes run_A with nothing beside it")


@pytest.mark.parametrize(
    ("around", "text"),
    [
        ({"job": a_job(paused_at=NOW + HOUR)}, "job `send-email` is paused"),
        ({"queue": a_queue(paused_at=NOW + HOUR)}, "queue `send-email` is paused"),
    ],
)
def test_a_pause_comes_before_what_is_missing_or_taken(around: dict[str, Any], text: str) -> None:
    given = told(a_run(), seats=[], **around)

    assert given.kind == "paused"
    assert given.text.startswith(text)
    assert given.since == "2026-01-01T01:00:00.000Z"


def test_with_nothing_in_its_way_a_run_is_about_to_start() -> None:
    assert told(a_run(), queue=None, job=None).kind == "starting"


def suspended(**changes: Any) -> Run:
    return a_run(state="suspended", paused_at=NOW - HOUR, **changes)


def test_a_sleeping_run_says_until_when_and_in_which_task() -> None:
    given = told(suspended(), open_tasks=[a_task(kind="wait", key="wait-for-24-hours", due_at=NOW + DAY_US)])

    assert given.text == "sleeping until 2026-01-02 00:00:00 UTC, in 1 d (task `wait-for-24-hours`)"
    assert (given.kind, given.task, given.until) == ("time", "wait-for-24-hours", "2026-01-02T00:00:00.000Z")
    assert given.since == "2025-12-31T23:00:00.000Z"


def test_a_retry_names_the_attempt_that_follows() -> None:
    task = a_task(key="fetch", attempt=2, max_attempts=3, due_at=NOW + 41 * SECOND_US)

    given = told(suspended(), open_tasks=[task])

    assert given.text == "task `fetch` failed; attempt 2 of 3 follows at 2026-01-01 00:00:41 UTC, in 41 s"
    assert (given.kind, given.attempt, given.max_attempts) == ("retry", 2, 3)


def test_of_several_waiting_tasks_the_first_due_is_named() -> None:
    tasks = [
        a_task(kind="event", key="reply", due_at=None),
        a_task(kind="wait", key="late", due_at=NOW + 2 * HOUR),
        a_task(kind="wait", key="soon", due_at=NOW + HOUR),
        a_task(key="not-waiting", state="running", due_at=None),
    ]

    given = told(suspended(), open_tasks=tasks)

    assert given.task == "soon"
    assert given.text.endswith("(task `soon`); 2 more tasks wait")


def test_a_wait_for_an_event_names_its_task() -> None:
    given = told(suspended(), open_tasks=[a_task(kind="event", key="reply", due_at=NOW + HOUR)])

    assert given.kind == "task"
    assert given.text == "waiting for an event (task `reply`), until 2026-01-01 01:00:00 UTC, in 1 h"


def test_a_time_that_has_passed_is_now() -> None:
    given = told(suspended(), open_tasks=[a_task(kind="wait", key="nap", due_at=NOW - HOUR)])

    assert given.text == "sleeping until 2025-12-31 23:00:00 UTC, which is now (task `nap`)"


def test_a_suspended_run_whose_wait_is_over_is_about_to_go_on() -> None:
    assert told(suspended(), open_tasks=[a_task(state="running")]).kind == "starting"
