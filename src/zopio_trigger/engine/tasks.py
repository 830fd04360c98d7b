"""Tasks: begun, completed once, failed and tried again."""

from __future__ import annotations

from zopio_trigger.engine import events
from zopio_trigger.engine.effects import Changed, Effect, TimerSet
from zopio_trigger.engine.leases import held
from zopio_trigger.engine.outcome import Guard, Outcome
from zopio_trigger.engine.rows import Rows
from zopio_trigger.model.commands import BeginTask, CloseTask, CompleteTask, FailTask, TaskName
from zopio_trigger.model.records import Attempt, Row, Run, Task, replace
from zopio_trigger.model.states import OPEN_TASK_STATES, TaskState


def begin(rows: Rows, command: BeginTask, now: int) -> Outcome:
    """Record that a body has started, so that people see it run."""
    run = held(rows, command.run_id, command.token)
    known = rows.task(run.id, command.task.hash)
    if known is not None and (_stands(known) or known.attempt > command.attempt):
        return Outcome(None)
    begun = _row(command, known, "running", now)
    return Outcome(None, (begun, Guard(run.id, run.revision)), (Changed(run, begun),))


def complete(rows: Rows, command: CompleteTask, now: int) -> Outcome:
    """Record a result once; a task that has ended keeps what it ended with."""
    run = held(rows, command.run_id, command.token)
    known = rows.task(run.id, command.task.hash)
    if known is not None and _stands(known):
        return Outcome(known)
    done = _row(command, known, "completed", now, finished_at=now, output=command.output)
    if not command.events:
        return Outcome(done, (done, _progress(run), *command.logs), (Changed(run, done),))
    return _with_events(rows, command, run, done, now)


def fail(rows: Rows, command: FailTask, now: int) -> Outcome:
    """Record a failed attempt. The task waits for its next one, or has failed for good."""
    run = held(rows, command.run_id, command.token)
    known = rows.task(run.id, command.task.hash)
    if known is not None and (_stands(known) or known.attempt > command.attempt):
        return Outcome(known)
    retry_at = _retry_at(command, now)
    attempt = Attempt(
        run.id, command.task.hash, command.attempt, command.started_at, now, retry_at, command.error
    )
    if retry_at is None:
        task = _row(command, known, "failed", now, finished_at=now, error=command.error)
        timer: tuple[Effect, ...] = ()
    else:
        task = _row(
            command, known, "waiting", now, due_at=retry_at, attempt=command.attempt + 1, error=command.error
        )
        timer = (TimerSet(retry_at),)
    changes = (task, attempt, Guard(run.id, run.revision), *command.logs)
    return Outcome(task, changes, (Changed(run, task), *timer))


def close(rows: Rows, command: CloseTask, now: int) -> Outcome:
    """Record that the job itself cancelled a body. It is not memoized: asked for again, it runs again."""
    run = held(rows, command.run_id, command.token)
    known = rows.task(run.id, command.task.hash)
    if known is None or known.state not in OPEN_TASK_STATES:
        return Outcome(None)
    closed = _row(command, known, "cancelled", now, finished_at=now)
    return Outcome(None, (closed, Guard(run.id, run.revision)), (Changed(run, closed),))


def _stands(task: Task) -> bool:
    """True when a task has ended with what every later execution sees. One that was cancelled runs again."""
    return task.state == "completed" or task.state == "failed"


def _with_events(rows: Rows, command: CompleteTask, run: Run, done: Task, now: int) -> Outcome:
    """Complete a task and send its events in one transaction: both happen, or neither."""
    sent = events.send_all(rows, command.events, now)
    changes = (done, _progress(run), *command.logs)
    return Outcome(done, changes, (Changed(run, done),), parts=sent.parts)


def _progress(run: Run) -> Row:
    """A completed task proves that the run gets on: earlier deaths no longer count."""
    if run.interruptions:
        return replace(run, revision=run.revision + 1, interruptions=0)
    return Guard(run.id, run.revision)


def _retry_at(command: FailTask, now: int) -> int | None:
    if command.is_final:
        return None
    if command.retry_at is not None:
        return max(command.retry_at, now)
    return command.retry.retry_at(command.attempt, command.chance, now) if command.retry is not None else None


def _row(
    command: BeginTask | CompleteTask | FailTask | CloseTask, known: Task | None, state: TaskState, now: int, *,
    attempt: int | None = None, due_at: int | None = None, finished_at: int | None = None,
    output: str | None = None, error: str | None = None,
) -> Task:  # fmt: skip
    """The task's next row. What never changes comes from the first row, when there is one."""
    name: TaskName = command.task
    if attempt is None:
        attempt = command.attempt
    if known is not None:
        return replace(
            known, revision=known.revision + 1, state=state, attempt=attempt, max_attempts=name.max_attempts,
            started_at=command.started_at, due_at=due_at, finished_at=finished_at, output=output, error=error,
        )  # fmt: skip
    return Task(
        command.run_id, name.hash, 1, state, name.id, name.parent_id, name.kind, name.key, attempt, name.max_attempts,
        command.started_at, command.started_at, due_at, finished_at, output, error,
    )  # fmt: skip
