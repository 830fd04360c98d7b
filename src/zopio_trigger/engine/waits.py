"""Waits: tasks that time completes, the suspension of a run that has nothing else to do, and its waking."""

from __future__ import annotations

from zopio_trigger.engine.effects import Changed, Effect, SlotFreed, TimerSet, Wake
from zopio_trigger.engine.leases import held
from zopio_trigger.engine.outcome import Guard, Outcome
from zopio_trigger.engine.rows import Rows
from zopio_trigger.model.commands import BeginWaits, Begun, Command, FireTimer, GrantRun, ResumeRun, Wait
from zopio_trigger.model.records import Row, Run, Task, replace
from zopio_trigger.model.states import OPEN_TASK_STATES


def begin(rows: Rows, command: BeginWaits, now: int) -> Outcome:
    """Begin waits, and suspend the run when all it does is wait. A time that has passed completes its wait at once."""
    run = held(rows, command.run_id, command.token)
    tasks = [_begun(rows, run, wait, now) for wait in command.waits]
    changes: list[Row] = [
        task for task, wait in zip(tasks, command.waits, strict=True) if _is_news(rows, task)
    ]
    effects: list[Effect] = [TimerSet(task.due_at) for task in tasks if task.due_at is not None]
    still_waits = all(task.state in OPEN_TASK_STATES for task in tasks) and _all_wait(rows, run, command.open)
    is_suspended = (
        command.suspend and still_waits and bool(tasks or command.open)
    )  # or nothing would ever wake it
    if is_suspended:
        suspended = replace(run, revision=run.revision + 1, state="suspended", paused_at=now)
        changes.append(suspended)
        effects += (Changed(suspended), SlotFreed(run.line))
    else:
        changes.append(Guard(run.id, run.revision))
    return Outcome(Begun(tuple(tasks), is_suspended), (*changes, *command.logs), tuple(effects))


def fire(rows: Rows, command: FireTimer, now: int) -> Outcome:
    """A waiting task is due: a wait is over, a task may be tried again; its run goes on."""
    try:
        run = rows.run(command.run_id)
    except LookupError:
        return Outcome(None)
    task = rows.open_tasks(run.id).get(command.hash)
    if task is None or task.state != "waiting" or task.due_at is None:
        return Outcome(None)
    if task.due_at > now:
        return Outcome(None, (), (TimerSet(task.due_at),))
    return _go_on(run, _fired(task, now), now)


def resume(rows: Rows, command: ResumeRun, now: int) -> Outcome:
    """A suspended run has something to do after all: it is ready again."""
    try:
        run = rows.run(command.run_id)
    except LookupError:
        return Outcome(None)
    if run.token != command.token or run.state != "suspended":
        return Outcome(None)
    ready = replace(run, revision=run.revision + 1, state="ready", ready_at=now)
    return Outcome(None, (ready,), (Changed(ready),), (GrantRun(run.id, ""),))


def _go_on(run: Run, task: Task, now: int) -> Outcome:
    """The task's news reach the holder; a suspended run is ready again."""
    news: tuple[Effect, ...] = (Changed(run, task),)
    if run.holder is not None:
        news = (*news, Wake(run.holder, task))
    if run.state != "suspended":
        return Outcome(None, (task, Guard(run.id, run.revision)), news)
    ready = replace(run, revision=run.revision + 1, state="ready", ready_at=now)
    then: tuple[Command, ...] = (GrantRun(run.id, ""),)
    return Outcome(None, (task, ready), (*news, Changed(ready)), then)


def _fired(task: Task, now: int) -> Task:
    if task.kind == "wait":
        return replace(task, revision=task.revision + 1, state="completed", finished_at=now)
    return replace(task, revision=task.revision + 1, state="running", due_at=None, started_at=now)


def _begun(rows: Rows, run: Run, wait: Wait, now: int) -> Task:
    """The wait's row: the stored one when an earlier execution began it, since its time counts from then."""
    known = rows.task(run.id, wait.task.hash)
    if known is not None:
        return known
    due_at = wait.until if wait.until is not None else now + (wait.length or 0)
    is_over = due_at <= now
    name = wait.task
    return Task(
        run.id, name.hash, 1, "completed" if is_over else "waiting", name.id, name.parent_id, "wait", name.key,
        1, 1, now, now, due_at, now if is_over else None, None, None,
    )  # fmt: skip


def _is_news(rows: Rows, task: Task) -> bool:
    known = rows.task(task.run_id, task.hash)
    return known is None


def _all_wait(rows: Rows, run: Run, hashes: tuple[str, ...]) -> bool:
    """True when none of the tasks an execution waits for has gone on without it."""
    tasks = rows.open_tasks(run.id)
    return all(hash in tasks and tasks[hash].state == "waiting" for hash in hashes)
