"""Deleting what retention no longer keeps, a batch at a time, and giving the space back."""

from __future__ import annotations

import sqlite3

import msgspec

from zopio_trigger.storage.sqlite.statements import FOUND

EVENTS_KEPT_FOR = (
    30 * 86_400_000_000
)  # microseconds an event outlives its last run, so that its id stays taken
PAGES_A_STEP = 2_000  # 8 MB given back at once: short enough to write beside


def prune(database: sqlite3.Connection, finished_before: int, limit: int) -> int:
    """Delete runs that ended before an instant and events long without runs; returns how many went."""
    database.execute("BEGIN IMMEDIATE")
    try:
        runs = [run_id for (run_id,) in database.execute(FOUND["prunable_runs"], (finished_before, limit))]
        ids = msgspec.json.encode(runs).decode()
        for statement in ("prune_tasks", "prune_attempts", "prune_logs", "prune_runs"):
            database.execute(FOUND[statement], (ids,))
        events = database.execute(FOUND["prune_events"], (finished_before - EVENTS_KEPT_FOR, limit)).rowcount
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    database.execute(f"PRAGMA incremental_vacuum({PAGES_A_STEP})").fetchall()
    return len(runs) + events
