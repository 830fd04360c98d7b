"""Writing one batch: a transaction with one statement for each kind of row, all or nothing, flushed on return."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection
from typing import Any

import msgspec

from zopio_trigger.engine.changes import Changes
from zopio_trigger.errors import StoreError, Unstorable
from zopio_trigger.storage.port import Stale
from zopio_trigger.storage.sqlite import statements as sql

TAKEN = frozenset({sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE})

_encode = msgspec.json.Encoder().encode
_NUL = re.compile(
    rb"(?<!\\)(?:\\\\)*\\u0000"
)  # a NUL; two backslashes are one of the text's own, as in stored JSON


def write(database: sqlite3.Connection, changes: Changes) -> None:
    """Write the batch; raises `Stale` and leaves nothing when a row was not as the batch had seen it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        _check_guards(database, changes)
        _put(database, sql.EVENTS, changes.events.values())
        _put(database, sql.RUNS, changes.runs.values())
        _put(database, sql.TASKS, changes.tasks.values())
        _put(database, sql.JOBS, changes.jobs.values())
        _put(database, sql.SCHEDULES, changes.schedules.values())
        _put(database, sql.QUEUES, changes.queues.values())
        _add(database, sql.ADD_ATTEMPTS, changes.attempts)
        _add(database, sql.ADD_LOGS, changes.logs)
        _add(database, sql.FOUND["add_minutes"], changes.minutes.values())
        _add(database, sql.ADD_AUDITS, changes.audits)
        database.execute("COMMIT")
    except BaseException as error:
        if database.in_transaction:
            database.execute("ROLLBACK")
        if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
            raise _about_rows(error) from error
        raise


def _put(database: sqlite3.Connection, writes: sql.Writes, rows: Collection[Any]) -> None:
    """Insert the new rows, which come with revision 1, and update the others."""
    if not rows:
        return
    new = [row for row in rows if row.revision == 1]
    if new:
        database.execute(writes.insert, (_text(new),))
    if len(new) < len(rows):
        known = [row for row in rows if row.revision != 1]
        if database.execute(writes.update, (_text(known),)).rowcount != len(known):
            raise Stale(f"a row of {writes.table} was changed by another")


def _add(database: sqlite3.Connection, statement: str, rows: Collection[object]) -> None:
    if rows:
        database.execute(statement, (_text(rows),))


def _check_guards(database: sqlite3.Connection, changes: Changes) -> None:
    """Guarded runs must not have moved on. Those this batch writes are checked by their own revision."""
    guards = [guard for run_id, guard in changes.guards.items() if run_id not in changes.runs]
    if guards:
        (unmoved,) = database.execute(sql.FOUND["check_guards"], (_text(guards),)).fetchone()
        if unmoved != len(guards):
            raise Stale("a guarded run was changed by another")


def _about_rows(error: sqlite3.IntegrityError | sqlite3.DataError) -> StoreError:
    """What an error of SQLite says about the rows: an id is taken, or a value is none for its column."""
    if error.sqlite_errorcode in TAKEN:
        return Stale(str(error))
    return Unstorable(f"a row cannot be stored: {error}")


def _text(rows: Collection[object]) -> str:
    try:
        body = _encode(rows if isinstance(rows, list) else list(rows))
    except UnicodeEncodeError as error:
        raise Unstorable(f"a row holds half of a surrogate pair: {error}") from error
    if b"\\u0000" in body and _NUL.search(body):
        raise Unstorable("a row holds a NUL character, at which SQLite would cut its text")
    return body.decode()
