"""Deleting what is no longer kept, a batch at a time, and giving the space back.

Ids are ordered by time, so what is old stands at the beginning of its table and no index serves pruning alone. Old rows
that stay (a run that has slept for a year) have to be passed over: a reader does that, once in a round, and the writer
deletes only what has been found.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from zopio_trigger.model import ids
from zopio_trigger.storage.port import Horizon
from zopio_trigger.storage.sqlite.statements import FOUND

RUNS_A_STEP = 20  # deleted by one set of statements; most have a few tasks, one may have 10,000
ROWS_A_BATCH = 20_000  # a batch ends early past this: some 50 ms in which nobody else can write
PAGES_A_STEP = 2_000  # 8 MB given back at once: short enough to write beside
SPARE = 8  # one in so many pages may lie free for new rows; giving back what is needed tomorrow is work for nothing
MINUTE = 60_000_000  # microseconds


class Found(Struct, frozen=True):
    """What is to be deleted: ids, those of events by environment."""

    runs: list[str]
    events: dict[int, list[str]]
    ended: dict[int, list[str]]  # those of the events that had runs
    environments: list[int]


class Pruning:
    """The pruning of one store. Knows how far it has looked, so that a round passes over a row that stays only once."""

    def __init__(self) -> None:
        self._run = ""  # places: everything up to here was looked at in this round
        self._event: dict[int, str] = {}

    def find(self, database: sqlite3.Connection, before: Horizon, limit: int) -> Found:
        """Up to `limit` runs, and as many events of each environment, that are to go now. Changes nothing."""
        environments = [row[0] for row in database.execute(FOUND["environments"])]
        runs = self._runs(database, before, limit)
        ended = {no: _ended(database, no, before, limit) for no in environments}
        # While old runs remain, looking for old events without any would pass over all of theirs.
        idle = {no: [] if runs else self._idle(database, no, before, limit) for no in environments}
        events = {no: ended[no] + idle[no] for no in environments}
        return Found(runs=runs, events=events, ended=ended, environments=environments)

    def delete(self, database: sqlite3.Connection, found: Found, before: Horizon, limit: int) -> int:
        """Delete in one transaction what was found; returns how many runs, events, roll-ups and audits went."""
        database.execute("BEGIN IMMEDIATE")
        try:
            gone = self._delete_runs(database, found.runs)
            for no in found.environments:
                gone += _delete_events(database, no, found.events[no], found.ended[no])
                gone += _delete_counts(database, no, before, limit)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        return gone

    def _runs(self, database: sqlite3.Connection, before: Horizon, limit: int) -> list[str]:
        place = {"after": self._run, "made_before": ids.lowest("run", before.runs)}
        query = {**place, "ended_before": before.runs, "limit": limit}
        runs = [run_id for (run_id,) in database.execute(FOUND["prunable_runs"], query)]
        self._run = runs[-1] if len(runs) == limit else ""
        return runs

    def _idle(self, database: sqlite3.Connection, env_no: int, before: Horizon, limit: int) -> list[str]:
        """Events that never had a run. (Of those that had, `ended_events` tells.)"""
        place = {"after": self._event.get(env_no, ""), "made_before": ids.lowest("evt", before.events)}
        query = {**place, "env_no": env_no, "before": before.events, "limit": limit}
        events = [event_id for (event_id,) in database.execute(FOUND["idle_events"], query)]
        self._event[env_no] = events[-1] if len(events) == limit else ""
        return events

    def _delete_runs(self, database: sqlite3.Connection, runs: Sequence[str]) -> int:
        """Delete runs with all that hangs on them, until they are done or enough rows have gone at once."""
        gone, rows_before = 0, database.total_changes
        for step in _steps(runs):
            for statement in ("prune_ended", "prune_tasks", "prune_attempts", "prune_logs", "prune_runs"):
                database.execute(FOUND[statement], (_text(step),))
            gone += len(step)
            if database.total_changes - rows_before > ROWS_A_BATCH:
                self._run = step[-1]
                break
        return gone


def give_back(database: sqlite3.Connection) -> bool:
    """Cut some free pages off the file when it has many; returns whether there are more to cut."""
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    (free,) = database.execute("PRAGMA freelist_count").fetchone()
    surplus = free - pages // SPARE
    if surplus <= 0:
        return False
    # The pragma frees a page each time it is stepped, and `execute` steps it only once.
    database.executescript(f"PRAGMA incremental_vacuum({min(surplus, PAGES_A_STEP)});")
    return bool(surplus > PAGES_A_STEP)


def _ended(database: sqlite3.Connection, env_no: int, before: Horizon, limit: int) -> list[str]:
    query = {"env_no": env_no, "before": before.events, "limit": limit}
    return [event_id for (event_id,) in database.execute(FOUND["ended_events"], query)]


def _delete_events(
    database: sqlite3.Connection, env_no: int, events: Sequence[str], ended: Sequence[str]
) -> int:
    """Delete events, except those that have a run (still, or since they were found)."""
    if not events:
        return 0
    gone = database.execute(FOUND["prune_events"], {"env_no": env_no, "ids": _text(events)}).rowcount
    if ended:
        database.execute(FOUND["prune_ended_events"], {"env_no": env_no, "ids": _text(ended)})
    return gone


def _delete_counts(database: sqlite3.Connection, env_no: int, before: Horizon, limit: int) -> int:
    """Delete what is kept longest: roll-ups and audits."""
    bound = {"env_no": env_no, "limit": limit}
    minutes = database.execute(FOUND["prune_minutes"], {**bound, "before": before.records // MINUTE})
    audits = database.execute(FOUND["prune_audits"], {**bound, "before": before.records})
    return minutes.rowcount + audits.rowcount


def _steps(runs: Sequence[str]) -> Iterator[Sequence[str]]:
    return (runs[start : start + RUNS_A_STEP] for start in range(0, len(runs), RUNS_A_STEP))


def _text(ids: Sequence[str]) -> str:
    return msgspec.json.encode(ids).decode()
