"""Rows with defaults: a test states only what matters to it."""

from __future__ import annotations

from typing import Any

import msgspec

from zopio_trigger.engine.rows import Seat
from zopio_trigger.model.records import Event, Job, Queue, Run, Task
from zopio_trigger.model.trigger import EventTrigger, text_of

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
