"""The rows a batch writes: the last word on each row, with the revision the store must find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        "_add", "attempts", "audits", "events", "guards", "jobs", "logs", "minutes", "queues", "runs", "schedules",
        "tasks",
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
        self._add: Mapping[type[Row], Callable[[Any], Row]] = {
            Event: lambda row: self._keep(self.events, row.id, row),
            Run: lambda row: self._keep(self.runs, row.id, row),
            Task: lambda row: self._keep(self.tasks, (row.run_id, row.hash), row),
            Job: lambda row: self._keep(self.jobs, (row.env_no, row.id), row),
            Schedule: lambda row: self._keep(self.schedules, (row.env_no, row.id), row),
            Queue: lambda row: self._keep(self.queues, (row.env_no, row.name), row),
            Guard: self._guard,
            Minute: self._count,
            Attempt: lambda row: self._append(self.attempts, row),
            LogLine: lambda row: self._append(self.logs, row),
            Audit: lambda row: self._append(self.audits, row),
        }

    def add(self, row: Row) -> Row:
        """Take a row in. Returns it as it will stand: a row changed twice in one batch moves on by one revision."""
        return self._add[type(row)](row)

    def __bool__(self) -> bool:
        return any((
            self.events, self.runs, self.tasks, self.minutes, self.jobs, self.schedules, self.queues,
            self.attempts, self.logs, self.audits,
        ))  # fmt: skip

    def _keep(self, rows: dict[Any, Any], key: object, row: Any) -> Row:
        earlier = rows.get(key)
        if earlier is not None:
            row = replace(row, revision=earlier.revision)
        rows[key] = row
        return row  # type: ignore[no-any-return]  # the row that came in, or its replacement

    def _guard(self, guard: Guard) -> Row:
        """The first guard of a run stands: later ones may have seen what this batch itself decided."""
        return self.guards.setdefault(guard.run_id, guard)

    def _count(self, minute: Minute) -> Row:
        key = (minute.env_no, minute.job, minute.minute, minute.state, minute.bucket)
        known = self.minutes.get(key)
        self.minutes[key] = minute if known is None else replace(known, runs=known.runs + minute.runs)
        return minute

    @staticmethod
    def _append(rows: list[Any], row: Row) -> Row:
        rows.append(row)
        return row
