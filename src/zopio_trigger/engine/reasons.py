"""Why a run waits: the one thing that keeps it from executing now, since when, and what would start it.

Pure, like all of the engine: the caller hands in the rows around the run. Several reasons may hold at once;
named is the one to deal with first: what somebody paused, then what is missing, then what is merely taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from zopio_trigger.engine.rows import Seat
from zopio_trigger.model.durations import humanize, iso
from zopio_trigger.model.records import Job, Queue, Run, Task
from zopio_trigger.model.states import is_final
from zopio_trigger.model.views import WaitingReason

HOLDERS_LISTED = 20  # runs named in `held_by`; a queue may have thousands of slots
HOLDERS_TOLD = 3  # runs named in the text


def waiting_reason(
    run: Run,
    *,
    job: Job | None,
    queue: Queue | None,
    held_by: Collection[str],
    seats: Iterable[Seat],
    open_tasks: Iterable[Task],
    now: int,
) -> WaitingReason | None:
    """Say why a run is not executing; None when it is, or has ended.

    Parameters:
        job: the run's job as the platform knows it; None when it knows none of this id.
        queue: the run's queue, with its limit and pause; None when there is no row for it (no limit).
        held_by: ids of the runs that hold the slots of the run's line.
        seats: all live workers; those of other environments are passed over.
        open_tasks: the run's tasks that have not ended. Only looked at when the run is suspended.
        now: the instant, in microseconds, that "in 3 h" counts from.
    """
    if run.state == "executing" or is_final(run.state):
        return None
    if run.state == "suspended":
        return _suspended(run, [task for task in open_tasks if task.state == "waiting"], now)
    serving = [seat for seat in seats if _serves(seat, run)]
    return (
        _paused(run, job, queue)
        or _nobody_serves(run, serving)
        or _line_is_full(run, queue, held_by)
        or _workers_are_busy(run, [seat for seat in serving if not seat.is_draining])
        or WaitingReason(kind="starting", text="about to start", since=iso(run.ready_at), queue=run.queue)
    )


# --- ready


def _paused(run: Run, job: Job | None, queue: Queue | None) -> WaitingReason | None:
    if job is not None and job.paused_at is not None:
        text = f"job `{job.id}` is paused"
        return _pause(run, text, job.paused_at)
    if queue is not None and queue.paused_at is not None:
        text = f"queue `{queue.name}` is paused"
        return _pause(run, text, queue.paused_at)
    return None


def _pause(run: Run, text: str, paused_at: int) -> WaitingReason:
    return WaitingReason(kind="paused", text=text, since=iso(max(paused_at, run.ready_at)), queue=run.queue)


def _serves(seat: Seat, run: Run) -> bool:
    return seat.env_no == run.env_no and run.job in seat.jobs


def _nobody_serves(run: Run, serving: list[Seat]) -> WaitingReason | None:
    if not serving:
        text = f"no worker serves job `{run.job}`; start one that does, such as `zopio-trigger dev APP`"
    elif all(seat.is_draining for seat in serving):
        names = ", ".join(seat.worker for seat in serving[:HOLDERS_TOLD])
        text = f"every worker that serves job `{run.job}` is draining ({names}); start another one"
    else:
        return None
    return WaitingReason(kind="no_worker", text=text, since=iso(run.ready_at), queue=run.queue)


def _line_is_full(run: Run, queue: Queue | None, held_by: Collection[str]) -> WaitingReason | None:
    if queue is None or queue.limit is None or len(held_by) < queue.limit:
        return None
    key = f", key `{run.queue_key}`" if run.queue_key else ""
    held = f"{len(held_by)} of {queue.limit} held by {_listed(held_by)}" if held_by else "its limit is 0"
    return WaitingReason(
        kind="slot",
        text=f"waiting for a slot of queue `{queue.name}`{key}: {held}",
        since=iso(run.ready_at),
        queue=queue.name,
        limit=queue.limit,
        held_by=tuple(held_by)[:HOLDERS_LISTED],
    )


def _workers_are_busy(run: Run, seats: list[Seat]) -> WaitingReason | None:
    text = _needs_idle_worker(run, seats) or _executes_another_alone(seats) or _no_free_slot(run, seats)
    if text is None:
        return None
    holders = tuple([run_id for seat in seats for run_id in seat.executing])[:HOLDERS_LISTED]
    return WaitingReason(
        kind="worker_busy", text=text, since=iso(run.ready_at), queue=run.queue, held_by=holders
    )


def _needs_idle_worker(run: Run, seats: list[Seat]) -> str | None:
    if not run.executes_alone or any(not seat.executing for seat in seats):
        return None
    return (
        f"it was interrupted {run.interruptions} times, so it executes with nothing beside it, "
        "once a worker has nothing else to do"
    )


def _executes_another_alone(seats: list[Seat]) -> str | None:
    alone = [seat.alone for seat in seats if seat.alone is not None]
    if len(alone) < len(seats):
        return None
    return f"its worker executes {_listed(alone)} with nothing beside it, because that was interrupted before"


def _no_free_slot(run: Run, seats: list[Seat]) -> str | None:
    if any(seat.free > 0 for seat in seats):
        return None
    slots = sum(seat.slots for seat in seats)
    if len(seats) == 1:
        return f"all {slots} slots of worker `{seats[0].worker}` are taken"
    return f"all {slots} slots of the {len(seats)} workers that serve job `{run.job}` are taken"


def _listed(run_ids: Collection[str]) -> str:
    told = ", ".join(list(run_ids)[:HOLDERS_TOLD])
    rest = len(run_ids) - HOLDERS_TOLD
    return f"{told} and {rest} more" if rest > 0 else told


# --- suspended


def _suspended(run: Run, waiting: list[Task], now: int) -> WaitingReason:
    """It waits for the task that goes on first; one without a due time goes on when something happens."""
    if not waiting:
        text = "what it waited for has come; about to go on"
        return WaitingReason(kind="starting", text=text, since=_since(run), queue=run.queue)
    task = min(waiting, key=lambda task: (task.due_at is None, task.due_at or 0, task.created_at))
    text = _text_for(task, now) + _and_others(len(waiting) - 1)
    if task.kind == "task":
        return _waits_for(run, task, "retry", text, attempt=task.attempt, max_attempts=task.max_attempts)
    return _waits_for(run, task, "time" if task.kind == "wait" else "task", text)


def _and_others(count: int) -> str:
    if not count:
        return ""
    return "; 1 more task waits" if count == 1 else f"; {count} more tasks wait"


def _text_for(task: Task, now: int) -> str:
    when = "no set time" if task.due_at is None else _when(task.due_at, now)
    attempt = f"attempt {task.attempt} of {task.max_attempts}"
    match task.kind:
        case "wait":
            return f"sleeping until {when} (task `{task.key}`)"
        case "task":
            return f"task `{task.key}` failed; {attempt} follows at {when}"
        case "event":
            return f"waiting for an event (task `{task.key}`), until {when}"
        case "value":
            return f"waiting for task `{task.key}`"


def _waits_for(
    run: Run, task: Task, kind: Literal["retry", "time", "task"], text: str, *,
    attempt: int | None = None, max_attempts: int | None = None,
) -> WaitingReason:  # fmt: skip
    return WaitingReason(
        kind=kind,
        text=text,
        since=_since(run),
        until=None if task.due_at is None else iso(task.due_at),
        queue=run.queue,
        task=task.key,
        attempt=attempt,
        max_attempts=max_attempts,
    )


def _since(run: Run) -> str:
    return iso(run.ready_at if run.paused_at is None else run.paused_at)


def _when(instant: int, now: int) -> str:
    text = f"{iso(instant)[:19].replace('T', ' ')} UTC"
    return f"{text}, in {humanize(instant - now)}" if instant > now else f"{text}, which is now"
