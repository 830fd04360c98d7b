"""The rows a batch writes: the last word on each row, with the revision the store must find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from zopio_trigger.engine.outcome import Guard
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
    replace,
)


class Changes:
    """What one transaction writes, by kind of row."""

    __slots__ = (
        "_kept", "_others", "attempts", "audits", "events", "guards", "jobs", "logs", "minutes", "queues", "runs",
        "schedules", "tasks",
    )  # fmt: skip

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.runs: dict[str, Run] = {}
        self.tasks: dict[tuple[str, str], Task] = {}
        self.guards: dict[str, Guard] = {}
        self.minutes: dict[tuple[object, ...], Minute] = {}
        self.jobs: dict[tuple[int, str], Job] = {}
        self.schedules: dict[tuple[int, str], Schedule] = {}
        self.queues: dict[tuple[int, str], Queue] = {}
        self.attempts: list[Attempt] = []
        self.logs: list[LogLine] = []
        self.audits: list[Audit] = []
        self._kept: Mapping[type[Row], dict[Any, Any]] = {
            Event: self.events, Run: self.runs, Task: self.tasks, Job: self.jobs, Schedule: self.schedules,
            Queue: self.queues,
        }  # fmt: skip
        self._others: Mapping[type[Row], Callable[[Any], object]] = {
            Guard: self._guard, Minute: self._count, Attempt: self.attempts.append, LogLine: self.logs.append,
            Audit: self.audits.append,
        }  # fmt: skip

    def add(self, row: Row) -> Row:
        """Take a row in. Returns it as it will stand: a row changed twice in one batch moves on by one revision."""
        kind = type(row)
        rows = self._kept.get(kind)
        if rows is None:
            self._others[kind](row)
            return row
        key = _KEYS[kind](row)
        earlier = rows.get(key)
        if earlier is not None:
            row = replace(row, revision=earlier.revision)
        rows[key] = row
        return row

    def __bool__(self) -> bool:
        return any((
            self.events, self.runs, self.tasks, self.minutes, self.jobs, self.schedules, self.queues,
            self.attempts, self.logs, self.audits,
        ))  # fmt: skip

    def _guard(self, guard: Guard) -> None:
        """The first guard of a run stands: later ones may have seen what this batch itself decided."""
        self.guards.setdefault(guard.run_id, guard)

    def _count(self, minute: Minute) -> None:
        key = (minute.env_no, minute.job, minute.minute, minute.state, minute.bucket)
        known = self.minutes.get(key)
        self.minutes[key] = minute if known is None else replace(known, runs=known.runs + minute.runs)


_KEYS: Mapping[type[Row], Callable[[Any], Any]] = {
    Event: attrgetter("id"),
    Run: attrgetter("id"),
    Task: attrgetter("run_id", "hash"),
    Job: attrgetter("env_no", "id"),
    Schedule: attrgetter("env_no", "id"),
    Queue: attrgetter("env_no", "name"),
}
