"""Runs: ended once by their worker or by people, taken from the dead, started again."""

from __future__ import annotations

from zopio_trigger.engine.effects import Changed, Effect, LineReady, Stop, TimerSet
from zopio_trigger.engine.endings import end
from zopio_trigger.engine.leases import held
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Rows
from zopio_trigger.errors import Conflict, NotFound
from zopio_trigger.model import json
from zopio_trigger.model.commands import (
    CancelRun,
    CompleteRun,
    FailRun,
    GrantRun,
    InterruptRun,
    ReplayRun,
    RetryRun,
    WriteLogs,
)
from zopio_trigger.model.records import Audit, Run, Task, replace
from zopio_trigger.model.states import is_final

MAX_AUDIT_BYTES = 2_048  # of what people give as their name and reason
MAX_INTERRUPTIONS = 5  # hard deaths while executing, without a newly completed task between them


def complete(rows: Rows, command: CompleteRun, now: int) -> Outcome:
    """End a run with its output."""
    run = held(rows, command.run_id, command.token)
    return end(rows, run, "completed", now, output=command.output, logs=command.logs)


def fail(rows: Rows, command: FailRun, now: int) -> Outcome:
    """End a run with an error."""
    run = held(rows, command.run_id, command.token)
    return end(
        rows, run, command.state, now,
        error=command.error, fingerprint=command.fingerprint, logs=command.logs,
    )  # fmt: skip


def write_logs(rows: Rows, command: WriteLogs, now: int) -> Outcome:
    """Store log lines, also those of a run that was cancelled under its worker."""
    return Outcome(None, command.logs)


def cancel(rows: Rows, command: CancelRun, now: int) -> Outcome:
    """End a run now, whatever it is doing; its worker is told."""
    run = _of_environment(rows, command.env_no, command.run_id)
    if is_final(run.state):
        raise Conflict(f"run {run.id} has already ended: {run.state}")
    outcome = end(rows, run, "cancelled", now)
    stop: tuple[Effect, ...] = (Stop(run.holder, run.id),) if run.holder is not None else ()
    audit = _audit(command, "run.cancel", now, replace(run, revision=run.revision + 1))
    return Outcome(outcome.answer, (*outcome.changes, audit), (*outcome.effects, *stop), outcome.then)


def replay(rows: Rows, command: ReplayRun, now: int) -> Outcome:
    """Start a finished run again, as a new run of the same event."""
    run = _of_environment(rows, command.env_no, command.run_id)
    if (again := _made_before(rows, command)) is not None:
        return Outcome(again)
    if not is_final(run.state):
        raise Conflict(f"run {run.id} has not ended ({run.state}); cancel it first or wait for its end")
    job = rows.catalog(run.env_no).jobs.get(run.job)
    again = replace(
        run, id=command.new_id, revision=1, state="ready", replay_of=run.id, token=0, holder=None, interruptions=0,
        replay_no=rows.last_replay(run.event_id, run.job) + 1, created_at=now, ready_at=now, started_at=None,
        paused_at=None, finished_at=None, fingerprint=None, output=None, error=None,
        job_version=job.version if job is not None else run.job_version,
    )  # fmt: skip
    audit = _audit(command, "run.replay", now, again)
    return Outcome(again, (again, audit), (Changed(again),), (GrantRun(again.id, ""),))


def _made_before(rows: Rows, command: ReplayRun) -> Run | None:
    """The replay itself, when nobody knew what had become of the command and it was submitted again."""
    if rows.is_trusting:
        return None
    try:
        return rows.run(command.new_id)
    except LookupError:
        return None


def retry(rows: Rows, command: RetryRun, now: int) -> Outcome:
    """Continue a run that did not complete: finished tasks stay, the others get one more try."""
    run = _of_environment(rows, command.env_no, command.run_id)
    if run.state == "completed" or not is_final(run.state):
        raise Conflict(f"run {run.id} is {run.state}; only one that failed or was cancelled can be retried")
    unfinished = [_reopened(task) for task in rows.unfinished_tasks(run.id)]
    again = replace(
        run, revision=run.revision + 1, state="ready", holder=None, interruptions=0, ready_at=now, paused_at=None,
        finished_at=None, fingerprint=None, output=None, error=None,
    )  # fmt: skip
    timers = tuple([TimerSet(task.due_at) for task in unfinished if task.due_at is not None])
    audit = _audit(command, "run.retry", now, again)
    return Outcome(again, (again, *unfinished, audit), (Changed(again), *timers), (GrantRun(again.id, ""),))


def interrupt(rows: Rows, command: InterruptRun, now: int) -> Outcome:
    """Take a run from a dead holder. At the fifth death in a row it is not given to anyone any more."""
    try:
        run = rows.run(command.run_id)
    except LookupError:
        return Outcome(None)
    if run.token != command.token or run.state != "executing":
        return Outcome(None)
    interruptions = run.interruptions + 1
    if interruptions >= MAX_INTERRUPTIONS:
        message = (
            f"the process died {interruptions} times while it executed this run, without finishing a task"
        )
        return _crash(rows, replace(run, interruptions=interruptions), now, message)
    ready = replace(
        run, revision=run.revision + 1, state="ready", holder=None, ready_at=now, interruptions=interruptions
    )
    return Outcome(None, (ready,), (Changed(ready), LineReady(run.line)))


def _crash(rows: Rows, run: Run, now: int, message: str) -> Outcome:
    """End a run that keeps killing its worker."""
    error = json.encode({"type": "Interrupted", "message": message}, what="error")
    return end(rows, run, "crashed", now, error=error, fingerprint="Interrupted")


def _reopened(task: Task) -> Task:
    """A task that failed or was closed, open again: a wait goes on waiting, a body gets its next try."""
    if task.kind == "wait":
        return replace(task, revision=task.revision + 1, state="waiting", finished_at=None, error=None)
    attempt = task.attempt + 1 if task.state == "failed" else task.attempt
    return replace(
        task,
        revision=task.revision + 1,
        state="running",
        attempt=attempt,
        due_at=None,
        finished_at=None,
        error=None,
    )


def _of_environment(rows: Rows, env_no: int, run_id: str) -> Run:
    """A run of this environment with its open tasks loaded; a foreign id is a missing id."""
    try:
        run = rows.run(run_id)
    except LookupError:
        raise NotFound(f"run {run_id} not found") from None
    if run.env_no != env_no:
        raise NotFound(f"run {run_id} not found")
    return run


def _audit(command: CancelRun | ReplayRun | RetryRun, action: str, now: int, written: Run) -> Audit:
    """Who did this and why. It is named after the row it wrote: a command that is decided again is one audit."""
    return Audit(
        f"aud{written.id.removeprefix('run')}-{written.revision}",
        command.env_no,
        now,
        json.clip(command.actor, MAX_AUDIT_BYTES),
        action,
        command.run_id,
        json.clip(command.reason, MAX_AUDIT_BYTES),
    )
