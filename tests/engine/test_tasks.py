"""Tasks: begun, completed once, failed and tried again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.kit import Kit
from tests.factories import NOW, a_job, a_log_line, a_run, a_seat, a_task, an_attempt
from zopio_trigger.engine.effects import Changed, Start, TimerSet
from zopio_trigger.engine.outcome import Guard
from zopio_trigger.errors import LeaseLost, NotFound
from zopio_trigger.model.commands import BeginTask, CloseTask, CompleteTask, FailTask, SendEvent, TaskName
from zopio_trigger.model.retry import Retry
from zopio_trigger.model.trigger import EventTrigger, text_of

SECOND = 1_000_000
NAME = TaskName("hash-1", "task_1", None, "task", "fetch", 3)
RUN = a_run(state="executing", token=1, holder="w1", revision=4)


def kit_with(*rows: Any) -> Kit:
    return Kit(a_seat(), RUN, *rows)


def of_task(kind: Any, **changes: Any) -> Any:
    """A command about the usual task of the usual run."""
    given = {"run_id": "run_1", "token": 1, "task": NAME, "attempt": 1, "started_at": NOW - SECOND} | changes
    return kind(**given)


def completing(**changes: Any) -> CompleteTask:
    command: CompleteTask = of_task(CompleteTask, **({"output": '"done"'} | changes))
    return command


def failing(**changes: Any) -> FailTask:
    command: FailTask = of_task(FailTask, **({"error": '{"type":"Oops"}'} | changes))
    return command


# --- the lease


@pytest.mark.parametrize("kind", ["begin", "complete", "fail", "close"])
@pytest.mark.parametrize(
    "run",
    [
        a_run(state="executing", token=2, holder="w2"),
        a_run(state="suspended", token=1, holder="w1"),
        a_run(state="ready", token=1),
        a_run(state="cancelled", token=1),
    ],
    ids=lambda run: run.state,
)
def test_only_the_holder_of_an_executing_run_writes_to_it(kind: str, run: Any) -> None:
    commands = {
        "begin": of_task(BeginTask), "complete": completing(), "fail": failing(), "close": of_task(CloseTask)
    }  # fmt: skip
    kit = Kit(a_seat(), run)

    with pytest.raises(LeaseLost, match="this worker came with token 1"):
        kit.ask(commands[kind])

    assert not kit.changes


def test_a_run_that_is_gone_is_a_lost_lease() -> None:
    with pytest.raises(LeaseLost, match="run run_1 does not exist any more"):
        Kit().ask(completing())


# --- completed


def test_a_task_is_completed_with_its_output_and_everything_about_it() -> None:
    kit = kit_with()

    done = kit.ask(completing(task=TaskName("hash-1", "task_7", "task_0", "task", "fetch / 1", 5), attempt=2))

    assert done == a_task(
        id="task_7", parent_id="task_0", key="fetch / 1", state="completed", attempt=2, max_attempts=5,
        created_at=NOW - SECOND, started_at=NOW - SECOND, finished_at=NOW + 1, output='"done"',
    )  # fmt: skip
    assert kit.task() == done
    assert kit.told(Changed) == [Changed(RUN, done)]


def test_completing_does_not_write_the_run_but_guards_it() -> None:
    kit = kit_with()

    kit.ask(completing())

    assert not kit.changes.runs
    assert kit.changes.guards == {"run_1": Guard("run_1", 4)}


def test_a_begun_task_keeps_its_first_row_and_moves_on_by_a_revision() -> None:
    kit = kit_with(a_task(state="running", revision=3, id="task_first", created_at=NOW - 9 * SECOND))

    done = kit.ask(completing())

    assert (done.id, done.revision, done.created_at) == ("task_first", 4, NOW - 9 * SECOND)
    assert done.started_at == NOW - SECOND


def test_an_output_that_is_absent_is_not_null() -> None:
    kit = kit_with()

    assert kit.ask(completing(output=None)).output is None
    assert (
        kit.ask(completing(output="null", task=TaskName("hash-2", "task_2", None, "task", "b"))).output
        == "null"
    )


@pytest.mark.parametrize("state", ["completed", "failed"])
def test_a_task_that_has_ended_keeps_what_it_ended_with(state: str) -> None:
    ended = a_task(state=state, output='"first"', finished_at=NOW - SECOND)
    kit = kit_with(ended)
    kit.rows.is_trusting = False

    assert kit.ask(completing()) == ended
    assert kit.ask(failing()) == ended
    kit.ask(of_task(BeginTask))
    kit.ask(of_task(CloseTask))
    assert not kit.changes


def test_the_first_of_two_results_in_one_batch_stands() -> None:
    kit = kit_with()
    first = kit.ask(completing(output='"first"'))

    assert kit.ask(completing(output='"second"')) == first
    assert kit.ask(failing()) == first
    assert kit.task().output == '"first"'


def test_the_first_of_two_results_in_one_batch_stands_for_a_begun_task_too() -> None:
    kit = kit_with(a_task(state="running"))
    first = kit.ask(completing(output='"first"'))

    assert kit.ask(completing(output='"second"')) == first
    assert (kit.task().output, kit.task().revision) == ('"first"', 2)


def test_a_task_that_its_job_cancelled_is_done_when_it_is_asked_for_again() -> None:
    kit = kit_with(a_task(state="cancelled", revision=5, finished_at=NOW - SECOND))
    kit.rows.is_trusting = False  # the store has refused the insert

    kit.ask(of_task(BeginTask))
    assert (kit.task().state, kit.task().finished_at) == ("running", None)
    kit.commit()

    done = kit.ask(completing())
    assert (done.state, done.output, done.revision) == ("completed", '"done"', 7)


def test_a_completed_task_proves_that_the_run_gets_on() -> None:
    kit = Kit(a_seat(), a_run(state="executing", token=1, holder="w1", interruptions=2))

    kit.ask(completing())

    assert (kit.run("run_1").interruptions, kit.run("run_1").revision) == (0, 2)


def test_a_fragile_run_that_gets_on_executes_alone_no_longer() -> None:
    kit = Kit(a_seat(), a_run(state="executing", token=1, holder="w1", interruptions=3))
    assert kit.rows.seats["w1"].alone == "run_1"

    kit.ask(completing())

    assert kit.rows.seats["w1"].alone is None


def test_lines_logged_so_far_are_stored_with_the_result() -> None:
    kit = kit_with()
    lines = (a_log_line(number=1), a_log_line(number=2))

    kit.ask(completing(logs=lines))

    assert kit.changes.logs == [*lines]


# --- with events


def an_event_for(job: str = "", id: str = "evt_B", user_id: str | None = "derived") -> SendEvent:
    return SendEvent(1, id, "order.placed", "{}", user_id, job=job, origin_run="run_1")


def test_the_events_of_a_task_are_sent_in_the_transaction_that_completes_it() -> None:
    listener = a_job(id="bill", trigger=text_of(EventTrigger(("order.placed",))))
    kit = Kit(a_seat(jobs=frozenset({"bill", "send-email"})), RUN, listener)

    kit.ask(completing(events=(an_event_for(), an_event_for(id="evt_C", user_id="other"))))

    assert kit.task().state == "completed"
    assert list(kit.changes.events) == ["evt_B", "evt_C"]
    assert [start.run.job for start in kit.told(Start)] == ["bill", "bill"]


def test_a_refused_event_refuses_the_task() -> None:
    kit = kit_with()

    with pytest.raises(NotFound):
        kit.ask(completing(events=(an_event_for("unknown"),)))

    assert not kit.changes


def test_events_of_a_task_that_was_completed_before_are_not_sent_again() -> None:
    kit = kit_with(a_task(state="completed"))
    kit.rows.is_trusting = False

    kit.ask(completing(events=(an_event_for(),)))

    assert not kit.changes


# --- begun


def test_a_begun_task_is_running() -> None:
    kit = kit_with()

    assert kit.ask(of_task(BeginTask)) is None

    assert (kit.task().state, kit.task().created_at) == ("running", NOW - SECOND)
    assert kit.changes.guards == {"run_1": Guard("run_1", 4)}


def test_begun_and_completed_in_one_batch_is_one_row_with_one_revision() -> None:
    kit = kit_with()

    kit.ask(of_task(BeginTask))
    kit.ask(completing())

    assert (kit.task().state, kit.task().revision) == ("completed", 1)
    assert not kit.rows.open_tasks("run_1")


@pytest.mark.parametrize("late", [of_task(BeginTask), failing(retry=Retry(max_attempts=9))])
def test_what_comes_late_about_an_earlier_attempt_is_ignored(late: Any) -> None:
    waiting = a_task(state="waiting", attempt=2, due_at=NOW + SECOND)
    kit = kit_with(waiting)

    kit.ask(late)

    assert not kit.changes
    assert kit.rows.open_tasks("run_1") == {"hash-1": waiting}


def test_the_next_attempt_of_a_waiting_task_can_begin() -> None:
    kit = kit_with(a_task(state="running", attempt=2))

    kit.ask(of_task(BeginTask, attempt=2))

    assert (kit.task().state, kit.task().attempt) == ("running", 2)


# --- failed


def test_without_a_retry_policy_the_first_failure_is_the_last() -> None:
    kit = kit_with()

    task = kit.ask(failing())

    assert (task.state, task.finished_at, task.error, task.attempt) == (
        "failed",
        NOW + 1,
        '{"type":"Oops"}',
        1,
    )
    assert kit.changes.attempts == [
        an_attempt(started_at=NOW - SECOND, finished_at=NOW + 1, error='{"type":"Oops"}')
    ]
    assert not kit.told(TimerSet)


def test_a_failed_attempt_waits_for_the_next_one() -> None:
    kit = kit_with()

    task = kit.ask(failing(retry=Retry(max_attempts=3, min_timeout_in_ms=1_000, randomize=False)))

    assert (task.state, task.attempt, task.finished_at) == ("waiting", 2, None)
    assert task.due_at == NOW + 1 + SECOND
    assert task.error == '{"type":"Oops"}'
    assert kit.told(TimerSet) == [TimerSet(NOW + 1 + SECOND)]
    [attempt] = kit.changes.attempts
    assert (attempt.number, attempt.retry_at) == (1, task.due_at)


def test_the_last_attempt_fails_the_task() -> None:
    kit = kit_with(a_task(state="running", attempt=3))

    task = kit.ask(failing(attempt=3, retry=Retry(max_attempts=3)))

    assert (task.state, task.attempt, task.due_at) == ("failed", 3, None)


def test_user_code_may_end_it_before_its_time() -> None:
    assert kit_with().ask(failing(retry=Retry(max_attempts=9), is_final=True)).state == "failed"


def test_user_code_may_choose_the_time_of_the_next_attempt_beyond_its_policy() -> None:
    task = kit_with().ask(failing(retry_at=NOW + 60 * SECOND))

    assert (task.state, task.due_at) == ("waiting", NOW + 60 * SECOND)


def test_a_chosen_time_that_has_passed_is_now() -> None:
    assert kit_with().ask(failing(retry_at=NOW - SECOND)).due_at == NOW + 1


def test_a_failure_does_not_count_as_progress() -> None:
    kit = Kit(a_seat(), a_run(state="executing", token=1, holder="w1", interruptions=2))

    kit.ask(failing())

    assert not kit.changes.runs


def test_a_failure_reported_twice_is_one_attempt() -> None:
    kit = kit_with()
    command = failing(retry=Retry(max_attempts=3, randomize=False))
    first = kit.ask(command)
    kit.commit()

    assert kit.ask(command) == first
    assert not kit.changes


# --- closed


def test_a_body_its_job_cancelled_is_closed_and_not_memoized() -> None:
    kit = kit_with(a_task(state="running"))

    assert kit.ask(of_task(CloseTask)) is None

    assert (kit.task().state, kit.task().finished_at, kit.task().revision) == ("cancelled", NOW + 1, 2)
    assert not kit.rows.open_tasks("run_1")


def test_closing_what_was_never_stored_stores_nothing() -> None:
    kit = kit_with()

    kit.ask(of_task(CloseTask))

    assert not kit.changes
