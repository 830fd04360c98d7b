"""Reading rows out of SQLite: what decisions need, what services scan, what lists show."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from heapq import merge
from typing import Any, TypeVar

import msgspec

from zopio_trigger.engine.rows import Key
from zopio_trigger.model import ids
from zopio_trigger.model.records import Event, Job, Queue, Run, Schedule, Task
from zopio_trigger.model.states import RUN_STATES
from zopio_trigger.storage.port import Boot, Due, RunQuery
from zopio_trigger.storage.sqlite.statements import FOUND

T = TypeVar("T")
LAST_ID = "~"  # sorts after every id
IDS_MADE_WITHIN = (
    60_000_000  # microseconds: an id is made at most so long before its row, however slow the disk
)


def rows(database: sqlite3.Connection, kind: type[T], statement: str, parameters: Any) -> list[T]:
    """The rows a statement finds, as values."""
    found = database.execute(FOUND[statement], parameters).fetchall()
    return msgspec.convert(found, list[kind], strict=False)  # type: ignore[valid-type]  # SQLite's 0 and 1 are booleans


def load(database: sqlite3.Connection, key: Key) -> object:
    """The value of one key of a decision."""
    return _LOADERS[str(key[0])](database, *key[1:])


def event(database: sqlite3.Connection, env_no: int, any_id: str) -> Event | None:
    """An event by the sender's id first, then by ours."""
    for statement in ("event_by_user_id", "event_by_id"):
        found = rows(database, Event, statement, (env_no, any_id))
        if found:
            return found[0]
    return None


def beginning(database: sqlite3.Connection, run: Run) -> tuple[Event | None, list[Task]]:
    """The event of a run and its tasks; a run that is executed for the first time has none."""
    found = rows(database, Event, "event_by_id", (run.env_no, run.event_id))
    tasks = rows(database, Task, "tasks", (run.id,)) if run.token > 1 else []
    return (found[0] if found else None), tasks


def boot(database: sqlite3.Connection) -> Boot:
    """Everything that is read once at start."""
    lines = database.execute(FOUND["boot_ready"]).fetchall()
    return Boot(
        jobs=rows(database, Job, "boot_jobs", ()),
        schedules=rows(database, Schedule, "boot_schedules", ()),
        queues=rows(database, Queue, "boot_queues", ()),
        ready=[((env_no, queue, key), count) for env_no, queue, key, count in lines],
        executing=database.execute(FOUND["boot_executing"]).fetchall(),
    )


def due(database: sqlite3.Connection, now: int, limit: int) -> Due:
    """What is due by `now`, and when the next thing will be."""
    later = [
        found[0]
        for statement in ("next_due_task", "next_due_event")
        if (found := database.execute(FOUND[statement], (now,)).fetchone())
    ]
    return Due(
        tasks=database.execute(FOUND["due_tasks"], (now, limit)).fetchall(),
        events=database.execute(FOUND["due_events"], (now, limit)).fetchall(),
        next_at=min(later, default=None),
    )


def runs(database: sqlite3.Connection, query: RunQuery) -> list[Run]:
    """One page of a list of runs, newest first."""
    asked: dict[str, Any] = {
        "env_no": query.env_no, "job": query.job, "event_id": query.event_id, "before": query.before or LAST_ID,
        "after": "" if query.since is None else ids.lowest("run", query.since - IDS_MADE_WITHIN),
        "since": query.since or 0, "states": msgspec.json.encode(query.states or tuple(RUN_STATES)).decode(),
        "limit": query.limit,
    }  # fmt: skip
    if query.event_id is not None:
        return rows(database, Run, "runs_by_event", asked)
    if not query.states or "completed" in query.states:
        return rows(database, Run, "runs_by_env" if query.job is None else "runs_by_job", asked)
    walks = [_in_state(database, state, asked) for state in query.states]
    return list(merge(*walks, key=lambda run: run.id, reverse=True))[: query.limit]


def _in_state(database: sqlite3.Connection, state: str, asked: Mapping[str, Any]) -> list[Run]:
    """Runs in one of the states that few runs are in."""
    if state == "executing":
        return rows(database, Run, "runs_executing", asked)
    statement = "runs_by_state" if asked["job"] is None else "runs_by_job_and_state"
    return rows(database, Run, statement, {**asked, "state": state})


def _sent(database: sqlite3.Connection, env_no: int, user_id: str) -> Event | None:
    found = rows(database, Event, "event_by_user_id", (env_no, user_id))
    return found[0] if found else None


def _runs_made(database: sqlite3.Connection, event_id: str) -> list[tuple[str, str]]:
    return database.execute(FOUND["runs_made"], (event_id,)).fetchall()


def _run(database: sqlite3.Connection, run_id: str) -> tuple[Run, list[Task]] | None:
    found = rows(database, Run, "load_run", (run_id,))
    return (found[0], rows(database, Task, "load_open_tasks", (run_id,))) if found else None


def _task(database: sqlite3.Connection, run_id: str, hash: str) -> Task | None:
    found = rows(database, Task, "load_task", (run_id, hash))
    return found[0] if found else None


def _unfinished(database: sqlite3.Connection, run_id: str) -> list[Task]:
    return rows(database, Task, "load_unfinished_tasks", (run_id,))


def _has_open_run(database: sqlite3.Connection, env_no: int, job: str) -> bool:
    found = database.execute(FOUND["has_open_run"], {"env_no": env_no, "job": job})
    return bool(found.fetchone()[0])


def _number(statement: str) -> Callable[..., int]:
    return lambda database, *parameters: database.execute(FOUND[statement], parameters).fetchone()[0]


_LOADERS: Mapping[str, Callable[..., object]] = {
    "run": _run,
    "task": _task,
    "unfinished": _unfinished,
    "event": event,
    "sent": _sent,
    "runs_made": _runs_made,
    "replays": _number("last_replay"),
    "open_run": _has_open_run,
}
