"""Runs: ended once by their worker or by people, taken from the dead, started again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.kit import Kit
from tests.factories import NOW, a_job, a_log_line, a_minute, a_run, a_seat, a_task
from zopio_trigger.engine.effects import Changed, LineReady, SlotFreed, Start, Stop, TimerSet
from zopio_trigger.engine.runs import MAX_INTERRUPTIONS
from zopio_trigger.errors import Conflict, LeaseLost, NotFound
from zopio_trigger.model import json
from zopio_trigger.model.commands import (
    CancelRun,
    CompleteRun,
    FailRun,
    InterruptRun,
    ReplayRun,
    RetryRun,
    WriteLogs,
)
from zopio_trigger.model.records import Run
from zopio_trigger.model.states import FINAL_RUN_STATES

SECOND = 1_000_000
RUN = a_run(state="executing", token=1, holder="w1", revision=4, started_at=NOW - 3 * SECOND)
NOT_OPEN = sorted(FINAL_RUN_STATES)


def ended(state: str, **changes: Any) -> Run:
    return a_run(**{
        "state": state, "token": 1, "revision": 5, "started_at": NOW - 3 * SECOND, "finished_at": NOW - SECOND,
        "output": '"out"', "error": '"err"', "fingerprint": "Oops", **changes,
    })  # fmt: skip


# --- ended by their worker


def test_a_completed_run_keeps_its_output_and_gives_everything_else_up() -> None:
    kit = Kit(a_seat(), RUN)

    run = kit.ask(CompleteRun("run_1", 1, '{"ok":true}', (a_log_line(),)))

    assert (run.state, run.output, run.error, run.finished_at) == ("completed", '{"ok":true}', None, NOW + 1)
    assert (run.holder, run.revision, run.token) == (None, 5, 1)
    assert kit.run("run_1") == run
    assert kit.changes.logs == [a_log_line()]
    assert kit.told(SlotFreed) == [SlotFreed(run.line)]
    assert kit.told(Changed) == [Changed(run)]
    assert not kit.rows.seats["w1"].executing


@pytest.mark.parametrize("state", ["failed", "timed_out", "invalid_payload"])
def test_a_failed_run_keeps_its_error_and_what_kind_it_is(state: Any) -> None:
    kit = Kit(a_seat(), RUN)

    run = kit.ask(FailRun("run_1", 1, state, '{"type":"Oops"}', "Oops"))

    assert (run.state, run.output, run.error, run.fingerprint) == (state, None, '{"type":"Oops"}', "Oops")


def test_an_absent_output_is_not_null() -> None:
    assert Kit(a_seat(), RUN).ask(CompleteRun("run_1", 1, None)).output is None


@pytest.mark.parametrize("command", [CompleteRun("run_1", 1, "1"), FailRun("run_1", 1, "failed", "1")])
@pytest.mark.parametrize(
    "run",
    [a_run(state="executing", token=2, holder="w2"), a_run(state="suspended", token=1), ended("completed")],
)
def test_only_the_holder_ends_a_run_and_only_once(command: Any, run: Run) -> None:
    kit = Kit(a_seat(), run)

    with pytest.raises(LeaseLost):
        kit.ask(command)

    assert not kit.changes


def test_what_is_unfinished_when_a_run_ends_is_closed_with_it() -> None:
    tasks = [
        a_task(hash="a", state="running", revision=2), a_task(hash="b", state="waiting", due_at=NOW + SECOND),
        a_task(hash="c", state="completed"), a_task(hash="d", run_id="run_2", state="running"),
    ]  # fmt: skip
    kit = Kit(a_seat(), RUN, *tasks)

    kit.ask(CompleteRun("run_1", 1, None))

    closed = {
        hash: (task.state, task.finished_at, task.revision) for (_, hash), task in kit.changes.tasks.items()
    }
    assert closed == {"a": ("cancelled", NOW + 1, 3), "b": ("cancelled", NOW + 1, 2)}


def test_the_end_of_a_run_is_counted_in_its_minute() -> None:
    kit = Kit(a_seat(), RUN)

    kit.ask(CompleteRun("run_1", 1, None))

    assert [*kit.changes.minutes.values()] == [a_minute(minute=(NOW + 1) // 60_000_000, bucket=12)]


def test_lines_are_stored_even_for_a_run_that_was_cancelled_under_its_worker() -> None:
    kit = Kit(ended("cancelled"))

    kit.ask(WriteLogs("run_1", 1, (a_log_line(),)))

    assert kit.changes.logs == [a_log_line()]


# --- cancelled


@pytest.mark.parametrize("state", ["ready", "executing", "suspended"])
def test_an_open_run_can_be_cancelled_and_its_holder_is_told(state: str) -> None:
    kit = Kit(a_seat(), a_run(state=state, token=1, holder="w1"), a_task(state="waiting"))

    run = kit.ask(CancelRun(1, "run_1", "ann", "wrong customer"))

    assert (run.state, run.finished_at, run.holder, run.output) == ("cancelled", NOW + 1, None, None)
    assert kit.task().state == "cancelled"
    assert kit.told(Stop) == [Stop("w1", "run_1")]
    assert kit.rows.ready == 0
    assert not kit.rows.lines


def test_a_run_nobody_holds_is_cancelled_without_telling_anybody() -> None:
    kit = Kit(a_run())

    kit.ask(CancelRun(1, "run_1"))

    assert not kit.told(Stop)


@pytest.mark.parametrize("state", NOT_OPEN)
def test_a_run_that_has_ended_cannot_be_cancelled(state: str) -> None:
    with pytest.raises(Conflict, match=f"run run_1 has already ended: {state}"):
        Kit(ended(state)).ask(CancelRun(1, "run_1"))


@pytest.mark.parametrize(
    "command", [CancelRun(2, "run_1"), ReplayRun(2, "run_1", "run_2"), RetryRun(2, "run_1")]
)
def test_a_run_of_another_environment_is_not_found(command: Any) -> None:
    with pytest.raises(NotFound, match="run run_1 not found"):
        Kit(ended("failed")).ask(command)


@pytest.mark.parametrize(
    "command", [CancelRun(1, "run_9"), ReplayRun(1, "run_9", "run_2"), RetryRun(1, "run_9")]
)
def test_a_run_that_is_not_there_is_not_found(command: Any) -> None:
    with pytest.raises(NotFound, match="run run_9 not found"):
        Kit().ask(command)


# --- audits


@pytest.mark.parametrize(
    ("command", "run", "action", "id"),
    [
        (CancelRun(1, "run_1", "ann", "why"), a_run(revision=4), "run.cancel", "aud_1-5"),
        (ReplayRun(1, "run_1", "run_2", "ann", "why"), ended("failed"), "run.replay", "aud_2-1"),
        (RetryRun(1, "run_1", "ann", "why"), ended("failed"), "run.retry", "aud_1-6"),
    ],
)  # fmt: skip
def test_what_people_do_to_a_run_is_noted_once(command: Any, run: Run, action: str, id: str) -> None:
    kit = Kit(run)

    kit.ask(command)

    [audit] = kit.changes.audits
    assert (audit.id, audit.env_no, audit.at) == (id, 1, NOW + 1)
    assert (audit.actor, audit.action, audit.subject, audit.reason) == ("ann", action, "run_1", "why")


def test_a_reason_that_could_not_be_stored_is_made_storable() -> None:
    kit = Kit(a_run())

    kit.ask(CancelRun(1, "run_1", "a\0n", "\ud800" + "x" * 9_999))

    [audit] = kit.changes.audits
    assert audit.actor == "a\ufffdn"
    assert len(audit.reason.encode()) <= 2_048


# --- replayed


@pytest.mark.parametrize("state", NOT_OPEN)
def test_a_replay_is_a_new_run_of_the_same_event(state: str) -> None:
    kit = Kit(ended(state, token=7, interruptions=2, queue_key="acme", priority=3, tags='["a"]'))

    again = kit.ask(ReplayRun(1, "run_1", "run_2"))

    assert again == a_run(
        id="run_2", event_id="evt_1", replay_no=1, replay_of="run_1", queue_key="acme", priority=3, tags='["a"]',
        created_at=NOW + 1, ready_at=NOW + 1,
    )  # fmt: skip
    assert list(kit.changes.runs) == ["run_2"]
    assert kit.told(LineReady)


def test_a_replay_is_leased_at_once_when_there_is_room() -> None:
    kit = Kit(a_seat(), ended("failed"))

    kit.ask(ReplayRun(1, "run_1", "run_2"))

    assert kit.run("run_2").state == "executing"
    assert kit.told(Start)


def test_a_replay_runs_under_the_version_that_owns_the_job_now() -> None:
    kit = Kit(a_job(version="3.0.0"), ended("failed"))

    assert kit.ask(ReplayRun(1, "run_1", "run_2")).job_version == "3.0.0"


def test_replays_are_counted_also_within_one_batch() -> None:
    kit = Kit(ended("failed"))
    kit.stored["replays", "evt_1", "send-email"] = 4

    numbers = [kit.ask(ReplayRun(1, "run_1", f"run_{n}")).replay_no for n in (5, 6, 7)]

    assert numbers == [5, 6, 7]


def test_an_open_run_cannot_be_replayed() -> None:
    with pytest.raises(Conflict, match=r"run run_1 has not ended \(suspended\)"):
        Kit(a_run(state="suspended")).ask(ReplayRun(1, "run_1", "run_2"))


def test_a_replay_submitted_again_is_the_same_run() -> None:
    kit = Kit(ended("failed"))
    kit.ask(ReplayRun(1, "run_1", "run_2"))
    kit.commit()
    kit.rows.is_trusting = False  # the store has refused the second insert

    assert kit.ask(ReplayRun(1, "run_1", "run_2")).id == "run_2"
    assert not kit.changes


# --- retried


@pytest.mark.parametrize("state", [state for state in NOT_OPEN if state != "completed"])
def test_a_run_that_did_not_complete_goes_on_as_the_same_run(state: str) -> None:
    kit = Kit(ended(state, interruptions=5))

    again = kit.ask(RetryRun(1, "run_1"))

    assert (again.id, again.state, again.revision, again.interruptions) == ("run_1", "ready", 6, 0)
    assert (again.output, again.error, again.fingerprint, again.finished_at) == (None, None, None, None)
    assert (again.ready_at, again.started_at, again.token) == (NOW + 1, NOW - 3 * SECOND, 1)


def test_a_retried_run_has_a_new_token() -> None:
    kit = Kit(a_seat(), ended("failed", token=7))

    kit.ask(RetryRun(1, "run_1"))

    assert (kit.run("run_1").state, kit.run("run_1").token) == ("executing", 8)


def test_finished_tasks_stay_and_the_others_get_one_more_try() -> None:
    kit = Kit(ended("failed"))
    kit.stored["unfinished", "run_1"] = [
        a_task(hash="failed", state="failed", attempt=3, error='"x"', finished_at=NOW, revision=4),
        a_task(hash="body", state="cancelled", attempt=2, finished_at=NOW),
        a_task(hash="nap", kind="wait", state="cancelled", due_at=NOW + SECOND, finished_at=NOW),
    ]

    kit.ask(RetryRun(1, "run_1"))

    tasks = {hash: task for (_, hash), task in kit.changes.tasks.items()}
    assert tasks == {
        "failed": a_task(hash="failed", state="running", attempt=4, revision=5),
        "body": a_task(hash="body", state="running", attempt=2, revision=2),
        "nap": a_task(hash="nap", kind="wait", state="waiting", due_at=NOW + SECOND, revision=2),
    }
    assert kit.told(TimerSet) == [TimerSet(NOW + SECOND)]


@pytest.mark.parametrize("state", ["completed", "ready", "executing", "suspended"])
def test_only_a_run_that_failed_or_was_cancelled_can_be_retried(state: str) -> None:
    run = ended(state) if state == "completed" else a_run(state=state)

    with pytest.raises(Conflict, match=f"run run_1 is {state}; only one that failed or was cancelled"):
        Kit(run).ask(RetryRun(1, "run_1"))


# --- interrupted


def test_an_interrupted_run_is_ready_again_and_the_death_is_counted() -> None:
    kit = Kit(RUN)

    kit.ask(InterruptRun("run_1", 1))

    run = kit.run("run_1")
    assert (run.state, run.holder, run.interruptions, run.token, run.ready_at) == (
        "ready",
        None,
        1,
        1,
        NOW + 1,
    )
    assert kit.told(LineReady) == [LineReady(run.line)]
    assert kit.rows.ready == 1


@pytest.mark.parametrize(
    "run",
    [a_run(state="executing", token=2, holder="w1"), a_run(state="suspended", token=1), ended("failed")],
)
def test_an_interruption_of_a_lease_that_is_over_changes_nothing(run: Run) -> None:
    kit = Kit(run)

    kit.ask(InterruptRun("run_1", 1))

    assert not kit.changes


def test_an_interruption_of_a_run_that_is_gone_changes_nothing() -> None:
    kit = Kit()

    kit.ask(InterruptRun("run_1", 1))

    assert not kit.changes


def test_a_run_that_keeps_killing_its_process_crashes_in_the_end() -> None:
    kit = Kit(a_run(state="executing", token=9, interruptions=MAX_INTERRUPTIONS - 1), a_task(state="running"))

    kit.ask(InterruptRun("run_1", 9))

    run = kit.run("run_1")
    assert (run.state, run.interruptions, run.fingerprint) == ("crashed", MAX_INTERRUPTIONS, "Interrupted")
    assert json.decode(run.error or "")["message"].startswith("the process died 5 times")
    assert kit.task().state == "cancelled"
