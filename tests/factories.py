"""Rows with defaults: a test states only what matters to it."""

from __future__ import annotations

from typing import Any

import msgspec

from zopio_trigger.engine.changes import Changes
from zopio_trigger.engine.rows import Seat
from zopio_trigger.model.records import (
    Attempt,
    Audit,
    Event,
    Job,
    LogLine,
    Minute,
    Queue,
    Row,
    Run,
    Schedule,
    Task,
)
from zopio_trigger.model.trigger import EventTrigger, ScheduleTrigger, text_of

NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, where ManualClock starts


def a_run(**changes: Any) -> Run:
    run = Run(
        "run_1", 1, "ready", 0, None, 0, NOW, None, None, None, None, None, None, 1, "send-email", "1.0.0",
        "evt_1", 0, None, "send-email", "", 0, False, "[]", NOW,
    )  # fmt: skip
    return msgspec.structs.replace(run, **changes)


def a_task(**changes: Any) -> Task:
    task = Task(
        "run_1", "hash-1", 1, "waiting", "task_1", None, "task", "fetch", 1, 1, NOW, NOW, None, None, None,
        None,
    )  # fmt: skip
    return msgspec.structs.replace(task, **changes)


def a_job(**changes: Any) -> Job:
    trigger = text_of(EventTrigger(("user.created",)))
    job = Job(
        1, "send-email", 1, "1.0.0", "Send email", trigger, "send-email", None, None, 0, False, False, False,
        None, None, NOW, NOW, None,
    )  # fmt: skip
    return msgspec.structs.replace(job, **{"queue": changes.get("id", job.id), **changes})


def a_queue(**changes: Any) -> Queue:
    return msgspec.structs.replace(Queue(1, "send-email", 1, None, None), **changes)


def a_seat(**changes: Any) -> Seat:
    return msgspec.structs.replace(Seat("w1", 1, 10, frozenset({"send-email"}), {}), **changes)


def an_event(**changes: Any) -> Event:
    event = Event(
        "evt_1", 1, 1, None, "user.created", "trigger.dev", NOW, NOW, NOW, NOW, None, False, "", None, None,
        "{}", None,
    )  # fmt: skip
    return msgspec.structs.replace(event, **changes)


def a_schedule(**changes: Any) -> Schedule:
    timetable = text_of(ScheduleTrigger(seconds=60))
    schedule = Schedule(
        1, "send-email", 1, "send-email", timetable, "one", "allow", NOW, NOW, None, None, None
    )
    return msgspec.structs.replace(schedule, **{"job": changes.get("id", schedule.job), **changes})


def an_attempt(**changes: Any) -> Attempt:
    return msgspec.structs.replace(Attempt("run_1", "hash-1", 1, NOW, NOW, None, "{}"), **changes)


def a_log_line(**changes: Any) -> LogLine:
    return msgspec.structs.replace(LogLine("run_1", 1, 1, NOW, "info", None, '"hello"', None), **changes)


def a_minute(**changes: Any) -> Minute:
    return msgspec.structs.replace(Minute(1, "send-email", NOW // 60_000_000, "completed", 5, 1), **changes)


def an_audit(**changes: Any) -> Audit:
    return msgspec.structs.replace(Audit("aud_1", 1, NOW, "key:abc", "run.cancel", "run_1", ""), **changes)


def changes_of(*rows: Row) -> Changes:
    """A batch that writes these rows."""
    changes = Changes()
    for row in rows:
        changes.add(row)
    return changes
