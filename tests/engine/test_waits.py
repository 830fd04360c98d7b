"""Waits: tasks that time completes, the suspension of a run that has nothing else to do, and its waking."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.kit import Kit
from tests.factories import NOW, a_log_line, a_queue, a_run, a_seat, a_task
from zopio_trigger.engine.effects import LineReady, Resume, SlotFreed, Start, TimerSet, Wake
from zopio_trigger.engine.outcome import Guard
from zopio_trigger.errors import LeaseLost
from zopio_trigger.model.commands import BeginWaits, Begun, FireTimer, ResumeRun, TaskName, Wait

HOUR = 3_600_000_000
RUN = a_run(state="executing", token=1, holder="w1", revision=4)
ASLEEP = a_run(state="suspended", token=1, holder="w1", revision=4, paused_at=NOW - HOUR)


def a_wait(length: int | None = HOUR, until: int | None = None, hash: str = "hash-1") -> Wait:
    return Wait(TaskName(hash, f"task_{hash}", None, "wait", "nap"), length, until)


def waiting(*waits: Wait, suspend: bool = True, open: tuple[str, ...] = (), **changes: Any) -> BeginWaits:
    return BeginWaits("run_1", 1, waits, suspend, open, **changes)


# --- begun


def test_a_run_that_only_waits_gives_its_slot_up_and_keeps_its_holder() -> None:
    kit = Kit(a_seat(), RUN)

    begun: Begun = kit.ask(waiting(a_wait()))

    run = kit.run("run_1")
    assert begun.is_suspended
    assert (run.state, run.holder, run.token, run.paused_at, run.revision) == (
        "suspended",
        "w1",
        1,
        NOW + 1,
        5,
    )
    assert (kit.task().state, kit.task().due_at, kit.task().kind) == ("waiting", NOW + 1 + HOUR, "wait")
    assert kit.told(TimerSet) == [TimerSet(NOW + 1 + HOUR)]
    assert kit.told(SlotFreed) == [SlotFreed(run.line)]
    assert not kit.rows.line_executing(run.line)
    assert not kit.rows.seats["w1"].executing


def test_a_wait_may_name_its_end() -> None:
    kit = Kit(a_seat(), RUN)

    kit.ask(waiting(a_wait(length=5, until=NOW + 9 * HOUR)))

    assert kit.task().due_at == NOW + 9 * HOUR


@pytest.mark.parametrize(
    "past",
    [
        a_wait(length=0),
        a_wait(length=-5),
        a_wait(length=None, until=NOW - HOUR),
        a_wait(length=None, until=0),
    ],
)
def test_a_time_that_has_passed_completes_its_wait_at_once_and_the_run_goes_on(past: Wait) -> None:
    kit = Kit(a_seat(), RUN)

    begun: Begun = kit.ask(waiting(past))

    assert not begun.is_suspended
    assert (kit.task().state, kit.task().finished_at) == ("completed", NOW + 1)
    assert not kit.changes.runs
    assert kit.changes.guards == {"run_1": Guard("run_1", 4)}


def test_one_of_several_waits_that_is_over_keeps_the_run_going() -> None:
    kit = Kit(a_seat(), RUN)

    begun: Begun = kit.ask(waiting(a_wait(), a_wait(length=0, hash="hash-2")))

    assert not begun.is_suspended
    assert [task.state for task in begun.tasks] == ["waiting", "completed"]


def test_a_run_that_does_something_else_beside_is_not_suspended() -> None:
    kit = Kit(a_seat(), RUN)

    assert not kit.ask(waiting(a_wait(), suspend=False)).is_suspended

    assert kit.task().state == "waiting"
    assert not kit.changes.runs


def test_a_wait_counts_from_the_first_time_it_was_reached() -> None:
    known = a_task(kind="wait", due_at=NOW + 5, created_at=NOW - HOUR)
    kit = Kit(a_seat(), RUN, known)

    begun: Begun = kit.ask(waiting(a_wait()))

    assert begun.tasks == (known,)
    assert not kit.changes.tasks
    assert kit.told(TimerSet) == [TimerSet(NOW + 5)]


def test_a_wait_that_is_over_is_answered_from_the_store_once_trust_is_gone() -> None:
    over = a_task(kind="wait", state="completed", due_at=NOW - HOUR)
    kit = Kit(a_seat(), RUN, over)
    kit.rows.is_trusting = False

    begun: Begun = kit.ask(waiting(a_wait()))

    assert (begun.tasks, begun.is_suspended) == ((over,), False)
    assert not kit.changes.tasks


def test_a_run_is_suspended_when_the_other_tasks_it_waits_for_wait_too() -> None:
    kit = Kit(a_seat(), RUN, a_task(hash="retry", due_at=NOW + HOUR))

    assert kit.ask(waiting(a_wait(), open=("retry",))).is_suspended


@pytest.mark.parametrize("state", ["running", "completed"])
def test_a_timer_that_fired_before_the_suspension_keeps_the_run_going(state: str) -> None:
    kit = Kit(a_seat(), RUN, a_task(hash="retry", state=state))

    assert not kit.ask(waiting(a_wait(), open=("retry",))).is_suspended


def test_a_timer_that_fires_in_the_batch_of_the_suspension_is_not_lost() -> None:
    kit = Kit(a_seat(), RUN, a_task(hash="retry", due_at=NOW))

    kit.ask(FireTimer("run_1", "retry"))
    begun: Begun = kit.ask(waiting(a_wait(), open=("retry",)))

    assert not begun.is_suspended
    assert kit.task("retry").state == "running"


def test_a_timer_that_fires_right_after_the_suspension_wakes_the_run_in_the_same_batch() -> None:
    kit = Kit(a_seat(), RUN, a_task(hash="retry", due_at=NOW))

    begun: Begun = kit.ask(waiting(open=("retry",)))
    kit.ask(FireTimer("run_1", "retry"))

    assert begun.is_suspended
    assert (kit.run("run_1").state, kit.run("run_1").revision) == ("executing", 5)
    assert kit.told(Resume)


def test_a_run_that_waits_for_nothing_is_not_suspended_for_ever() -> None:
    kit = Kit(a_seat(), RUN)

    assert not kit.ask(waiting()).is_suspended
    assert not kit.changes.runs


def test_lines_logged_before_a_wait_are_stored_with_it() -> None:
    kit = Kit(a_seat(), RUN)

    kit.ask(waiting(a_wait(), logs=(a_log_line(),)))

    assert kit.changes.logs == [a_log_line()]


def test_only_the_holder_begins_waits() -> None:
    with pytest.raises(LeaseLost):
        Kit(a_seat(), ASLEEP).ask(waiting(a_wait()))


# --- over


def test_a_wait_that_is_over_wakes_its_run_which_gets_a_slot_of_its_holder() -> None:
    kit = Kit(a_seat(), ASLEEP, a_task(kind="wait", due_at=NOW))

    kit.ask(FireTimer("run_1", "hash-1"))

    run = kit.run("run_1")
    assert (kit.task().state, kit.task().finished_at, kit.task().revision) == ("completed", NOW + 1, 2)
    assert (run.state, run.holder, run.token, run.ready_at, run.paused_at) == (
        "executing",
        "w1",
        1,
        NOW + 1,
        None,
    )
    assert run.revision == 5
    assert kit.told(Wake) == [Wake("w1", kit.task())]
    assert [(effect.run.id, effect.run.token) for effect in kit.told(Resume)] == [("run_1", 1)]
    assert not kit.told(Start)


def test_a_run_nobody_holds_any_more_is_leased_anew_and_executed_from_the_top() -> None:
    kit = Kit(
        a_seat(worker="w2"), a_run(state="suspended", token=1, revision=4), a_task(kind="wait", due_at=NOW)
    )

    kit.ask(FireTimer("run_1", "hash-1"))

    run = kit.run("run_1")
    assert (run.state, run.holder, run.token) == ("executing", "w2", 2)
    assert not kit.told(Wake)
    [start] = kit.told(Start)
    assert start.event is None  # it is not at hand and will be loaded


def test_a_retry_that_is_due_runs_again() -> None:
    kit = Kit(a_seat(), ASLEEP, a_task(due_at=NOW, attempt=2, error='"before"'))

    kit.ask(FireTimer("run_1", "hash-1"))

    task = kit.task()
    assert (task.state, task.attempt, task.due_at, task.started_at) == ("running", 2, None, NOW + 1)


def test_a_timer_of_an_executing_run_only_tells_its_holder() -> None:
    kit = Kit(a_seat(), RUN, a_task(kind="wait", due_at=NOW))

    kit.ask(FireTimer("run_1", "hash-1"))

    assert kit.task().state == "completed"
    assert not kit.changes.runs
    assert kit.changes.guards == {"run_1": Guard("run_1", 4)}
    assert kit.told(Wake) == [Wake("w1", kit.task())]


def test_of_two_timers_of_one_run_the_first_wakes_it_and_the_second_is_told() -> None:
    kit = Kit(
        a_seat(), ASLEEP, a_task(kind="wait", due_at=NOW), a_task(kind="wait", hash="hash-2", due_at=NOW)
    )

    kit.ask(FireTimer("run_1", "hash-1"))
    kit.ask(FireTimer("run_1", "hash-2"))

    assert kit.run("run_1").state == "executing"
    assert [wake.task.hash for wake in kit.told(Wake)] == ["hash-1", "hash-2"]
    assert len(kit.told(Resume)) == 1


def test_a_woken_run_waits_for_a_slot_when_its_line_is_full() -> None:
    other = a_run(id="run_2", event_id="evt_2", state="executing", token=1, holder="w1")
    kit = Kit(a_seat(), a_queue(limit=1), ASLEEP, other, a_task(kind="wait", due_at=NOW))

    kit.ask(FireTimer("run_1", "hash-1"))

    run = kit.run("run_1")
    assert (run.state, run.holder, run.paused_at) == ("ready", "w1", NOW - HOUR)
    assert kit.told(LineReady) == [LineReady(run.line)]


def test_a_timer_fires_once() -> None:
    kit = Kit(a_seat(), ASLEEP, a_task(kind="wait", due_at=NOW))
    kit.ask(FireTimer("run_1", "hash-1"))
    kit.commit()

    kit.ask(FireTimer("run_1", "hash-1"))

    assert not kit.changes


@pytest.mark.parametrize(
    "task",
    [
        a_task(state="running", due_at=NOW), a_task(state="completed", due_at=NOW), a_task(due_at=None),
        a_task(hash="other", due_at=NOW),
    ],
)  # fmt: skip
def test_a_timer_of_a_task_that_does_not_wait_for_time_does_nothing(task: Any) -> None:
    kit = Kit(a_seat(), ASLEEP, task)

    kit.ask(FireTimer("run_1", "hash-1"))

    assert not kit.changes


def test_a_timer_that_rings_early_is_set_again() -> None:
    kit = Kit(a_seat(), ASLEEP, a_task(due_at=NOW + HOUR))

    kit.ask(FireTimer("run_1", "hash-1"))

    assert not kit.changes
    assert kit.told(TimerSet) == [TimerSet(NOW + HOUR)]


def test_a_timer_of_a_run_that_is_gone_does_nothing() -> None:
    kit = Kit()

    assert kit.ask(FireTimer("run_1", "hash-1")) is None
    assert not kit.changes


# --- asked to go on


def test_a_suspended_run_whose_code_goes_on_by_itself_gets_a_slot() -> None:
    kit = Kit(a_seat(), ASLEEP)

    kit.ask(ResumeRun("run_1", 1))

    assert kit.run("run_1").state == "executing"
    assert kit.told(Resume)


@pytest.mark.parametrize(
    "run", [RUN, a_run(state="ready", token=1), a_run(state="suspended", token=2, holder="w2")]
)
def test_asking_for_a_slot_in_vain_changes_nothing(run: Any) -> None:
    kit = Kit(a_seat(), run)

    kit.ask(ResumeRun("run_1", 1))

    assert not kit.changes
