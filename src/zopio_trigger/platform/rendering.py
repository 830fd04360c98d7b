"""How rows are shown: rows in, views out. Pure; whoever reads the rows is `platform/reads.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import UNSET, Raw

from zopio_trigger.engine.schedules import timetable_of
from zopio_trigger.model import json, timetable
from zopio_trigger.model.commands import Receipt
from zopio_trigger.model.durations import iso
from zopio_trigger.model.records import Attempt, Event, Job, LogLine, Run, Schedule, Task
from zopio_trigger.model.states import RUN_STATES
from zopio_trigger.model.trigger import ScheduleTrigger, trigger_of
from zopio_trigger.model.views import (
    AttemptView,
    EventRunView,
    EventView,
    JobView,
    LogView,
    ReceiptView,
    RunView,
    ScheduleView,
    TaskView,
    WaitingReason,
    moment,
    raw,
)


def run_view(
    run: Run, *, event_id: str | None = None, event_name: str | None = None, reason: WaitingReason | None = None,
    payload: str | None = None, with_output: bool = True, tasks: tuple[TaskView, ...] = (),
) -> RunView:  # fmt: skip
    """A run.

    Parameters:
        event_id: what callers know its event by; our id of it when that is not at hand.
        with_output: lists leave it out: two hundred outputs of 3 MB are no list.
    """
    return RunView(
        id=run.id,
        status=run.state,
        job=run.job,
        version=run.job_version,
        event_id=event_id or run.event_id,
        event_name=event_name,
        replay_of=run.replay_of,
        queue=run.queue,
        queue_key=run.queue_key,
        is_test=run.is_test,
        executions=run.token,
        interruptions=run.interruptions,
        created_at=iso(run.created_at),
        ready_at=iso(run.ready_at),
        started_at=moment(run.started_at),
        finished_at=moment(run.finished_at),
        duration_ms=_duration_ms(run),
        waiting_reason=reason,
        payload=raw(payload),
        output=raw(run.output) if with_output else UNSET,
        error=raw(run.error),
        tasks=tasks,
    )


def _duration_ms(run: Run) -> float | None:
    if run.started_at is None or run.finished_at is None:
        return None
    return (run.finished_at - run.started_at) / 1000


def task_views(tasks: Iterable[Task], attempts: Iterable[Attempt]) -> tuple[TaskView, ...]:
    """Tasks in their order, each with its unsuccessful attempts."""
    tries: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        tries.setdefault(attempt.hash, []).append(attempt)
    return tuple([task_view(task, tries.get(task.hash, ())) for task in tasks])


def task_view(task: Task, attempts: Sequence[Attempt] = (), *, with_output: bool = True) -> TaskView:
    return TaskView(
        id=task.id,
        key=task.key,
        kind=task.kind,
        state=task.state,
        parent_id=task.parent_id,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        created_at=iso(task.created_at),
        started_at=iso(task.started_at),
        due_at=moment(task.due_at),
        finished_at=moment(task.finished_at),
        output=raw(task.output) if with_output else UNSET,
        error=raw(task.error),
        attempts=tuple([_attempt_view(attempt) for attempt in attempts]),
    )


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        started_at=iso(attempt.started_at),
        finished_at=iso(attempt.finished_at),
        retry_at=moment(attempt.retry_at),
        error=Raw(attempt.error.encode()),
    )


def log_view(line: LogLine) -> LogView:
    return LogView(
        at=iso(line.at),
        level=line.level,
        message=json.decode(line.message),
        data=raw(line.data),
        task_id=line.task_id,
        execution=line.token,
        cursor=f"{line.token}.{line.number}",
    )


def event_view(event: Event, runs: Iterable[Run]) -> EventView:
    """An event with the runs it started."""
    updates = (event.created_at, event.delivered_at, event.cancelled_at)
    return EventView(
        id=event.public_id,
        name=event.name,
        created_at=iso(event.created_at),
        updated_at=iso(max(at for at in updates if at is not None)),
        timestamp=iso(event.timestamp),
        deliver_at=iso(event.deliver_at),
        delivered_at=moment(event.delivered_at),
        cancelled_at=moment(event.cancelled_at),
        payload=Raw(event.payload.encode()),
        context=raw(event.context),
        runs=tuple([_event_run_view(run) for run in runs]),
    )


def _event_run_view(run: Run) -> EventRunView:
    return EventRunView(
        id=run.id,
        status=RUN_STATES[run.state].v2,
        state=run.state,
        job=run.job,
        started_at=moment(run.started_at),
        completed_at=moment(run.finished_at),
    )


def receipt_view(receipt: Receipt) -> ReceiptView:
    return ReceiptView(
        id=receipt.id,
        name=receipt.name,
        created_at=iso(receipt.created_at),
        runs=receipt.runs,
        jobs=receipt.jobs,
        is_duplicate=receipt.is_duplicate,
        payload_differs=receipt.payload_differs,
    )


def job_view(job: Job, *, is_served: bool) -> JobView:
    return JobView(
        id=job.id,
        name=job.name,
        version=job.version,
        trigger=Raw(job.trigger.encode()),
        queue=job.queue,
        limit=job.limit,
        source=job.source,
        is_served=is_served,
        updated_at=iso(job.updated_at),
        paused_at=moment(job.paused_at),
    )


def schedule_view(schedule: Schedule, *, upcoming: int, now: int) -> ScheduleView:
    """A schedule with its next planned times; a paused one, or one its job no longer has, plans none."""
    trigger = trigger_of(schedule.timetable)
    assert isinstance(trigger, ScheduleTrigger), schedule.timetable
    when = timetable_of(schedule)
    is_planned = schedule.paused_at is None and schedule.next_at is not None
    times = timetable.upcoming(when, now, upcoming) if is_planned else []
    return ScheduleView(
        id=schedule.id,
        job=schedule.job,
        text=timetable.describe(when),
        cron=trigger.cron,
        seconds=trigger.seconds,
        timezone=trigger.timezone,
        catch_up=schedule.catch_up,
        overlap=schedule.overlap,
        last_at=moment(schedule.last_at),
        next_at=moment(schedule.next_at),
        paused_at=moment(schedule.paused_at),
        upcoming=tuple([iso(at) for at in times]),
    )
