"""Jobs as workers advertise them: the highest version owns the subscriptions, so a mixed fleet does not flap."""

from __future__ import annotations

from zopio_trigger.engine.effects import Effect, LineReady, TimerSet
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Rows
from zopio_trigger.engine.schedules import first_at
from zopio_trigger.model.commands import Advertise
from zopio_trigger.model.names import version_key
from zopio_trigger.model.records import Job, Queue, Row, Schedule, replace


def advertise(rows: Rows, command: Advertise, now: int) -> Outcome:
    """Take in what a worker serves. Jobs it does not name are another's business."""
    command = _of_its_environment(command)
    changes: list[Row] = []
    owned = {job.id for job in command.jobs if _owns(rows, job)}
    for job in command.jobs:
        if job.id in owned:
            changes += _job_change(rows, job, now)
    queues = _queue_rows(rows, [job for job in command.jobs if job.id in owned])
    changes += [queue for queue in queues.values() if queue != rows.catalog(queue.env_no).known(queue)]
    schedules = [s for s in command.schedules if s.job in owned]
    changes += [row for s in schedules if (row := _schedule_row(rows, s, now)) is not None]
    changes += _dropped_schedules(rows, command, owned, now)
    due = [row.next_at for row in changes if isinstance(row, Schedule) and row.next_at is not None]
    effects: list[Effect] = [TimerSet(at) for at in due]
    effects += [LineReady((command.env_no, name, "")) for name in queues]
    return Outcome(None, tuple(changes), tuple(effects))


def _of_its_environment(command: Advertise) -> Advertise:
    """A worker speaks for the environment of its key, whatever its rows say."""
    env_no = command.env_no
    return Advertise(
        env_no,
        tuple([replace(job, env_no=env_no) for job in command.jobs]),
        tuple([replace(schedule, env_no=env_no) for schedule in command.schedules]),
    )


def _owns(rows: Rows, job: Job) -> bool:
    known = rows.catalog(job.env_no).jobs.get(job.id)
    return known is None or version_key(job.version) >= version_key(known.version)


def _job_change(rows: Rows, job: Job, now: int) -> list[Row]:
    known = rows.catalog(job.env_no).jobs.get(job.id)
    if known is None:
        return [replace(job, revision=1, created_at=now, updated_at=now)]
    same = replace(
        job,
        revision=known.revision,
        created_at=known.created_at,
        updated_at=known.updated_at,
        paused_at=known.paused_at,
    )
    return [] if same == known else [replace(same, revision=known.revision + 1, updated_at=now)]


def _queue_rows(rows: Rows, jobs: list[Job]) -> dict[str, Queue]:
    """The queues of jobs as these want them. The last job that names a limit sets it; one without leaves it."""
    limits: dict[str, int | None] = {}
    named = {job.id for job in jobs}
    others = (
        [job for job in rows.catalog(jobs[0].env_no).jobs.values() if job.id not in named] if jobs else []
    )
    for job in (*others, *jobs):
        limits[job.queue] = limits.get(job.queue) if job.limit is None else job.limit
    return {job.queue: _queue_row(rows, job, limits[job.queue]) for job in jobs}


def _queue_row(rows: Rows, job: Job, limit: int | None) -> Queue:
    known = rows.catalog(job.env_no).queues.get(job.queue)
    if known is None:
        return Queue(job.env_no, job.queue, 1, limit, None)
    return known if known.limit == limit else replace(known, revision=known.revision + 1, limit=limit)


def _schedule_row(rows: Rows, schedule: Schedule, now: int) -> Schedule | None:
    """The schedule's next row, or None when nothing about it is new. Its last fire time is kept."""
    known = rows.catalog(schedule.env_no).schedules.get(schedule.id)
    if known is None:
        new = replace(schedule, revision=1, defined_at=now, resumed_at=now, last_at=None, paused_at=None)
        return replace(new, next_at=first_at(new, now))
    same = replace(
        known,
        job=schedule.job,
        timetable=schedule.timetable,
        catch_up=schedule.catch_up,
        overlap=schedule.overlap,
    )
    if same == known and known.next_at is not None:
        return None
    if same.timetable == known.timetable and known.next_at is not None:
        return replace(same, revision=known.revision + 1)
    moved = replace(same, revision=known.revision + 1, defined_at=now)
    return replace(moved, next_at=first_at(moved, now))


def _dropped_schedules(rows: Rows, command: Advertise, owned: set[str], now: int) -> list[Row]:
    """A job that no longer has a schedule stops being started by it."""
    kept = {schedule.id for schedule in command.schedules}
    return [
        replace(known, revision=known.revision + 1, next_at=None)
        for known in rows.catalog(command.env_no).schedules.values()
        if known.job in owned and known.id not in kept and known.next_at is not None
    ]
