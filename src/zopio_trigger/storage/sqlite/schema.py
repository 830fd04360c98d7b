"""Migrations: numbered SQL files, applied in order, each in one transaction, with a checksum of what was applied."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from msgspec import Struct

from zopio_trigger.errors import StoreError

APPLICATION_ID = 0x7A6F7069  # "zopi": `file` and we can tell our databases from others
OLDEST_SQLITE = (3, 38)  # the operator ->>; STRICT is from 3.37
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_FOLDER = files(__package__) / "migrations"


class Migration(Struct, frozen=True):
    """One numbered step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All steps this version knows, in order."""
    found = [(match, file) for file in _FOLDER.iterdir() if (match := _NAME.fullmatch(file.name))]
    return sorted(
        (Migration(int(match[1]), match[2], file.read_text("utf-8")) for match, file in found),
        key=lambda migration: migration.number,
    )


def migrate(database: sqlite3.Connection, path: str, now: int) -> None:
    """Bring the schema up to date. Refuses a file that is not ours, and one that a newer version has written; such a
    file is left as it is."""
    _check_library()
    applied = _applied(database, path)
    known = migrations()
    if len(applied) > len(known):
        raise StoreError(
            f"{path} was written by a newer version of zopio-trigger (schema {len(applied)}, this one knows "
            f"{len(known)}); install that version or a newer one"
        )
    for migration, checksum in zip(known, applied, strict=False):
        if migration.checksum != checksum:
            raise StoreError(
                f"{path}: migration {migration.number:04} was applied from a different file than this version has; "
                "the store and the program do not belong together"
            )
    database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, or never
    database.execute("PRAGMA journal_mode = WAL")
    for migration in known[len(applied) :]:
        _apply(database, migration, now)


def _check_library() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(
            f"this Python has SQLite {sqlite3.sqlite_version}, and {oldest} or newer is needed; use another Python"
        )


def _applied(database: sqlite3.Connection, path: str) -> list[str]:
    """The checksums of the migrations a file has had."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    (application_id,) = database.execute("PRAGMA application_id").fetchone()
    if not tables and application_id in (0, APPLICATION_ID):
        return []
    if application_id != APPLICATION_ID or "migrations" not in tables:
        raise StoreError(
            f"{path} is a SQLite database of another program; name another file in TRIGGER_STORE"
        )
    return [checksum for (checksum,) in database.execute("SELECT checksum FROM migrations ORDER BY number")]


def _apply(database: sqlite3.Connection, migration: Migration, now: int) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(
            "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
            "checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
        )
        for statement in _statements(migration.sql):
            database.execute(statement)
        database.execute(
            "INSERT INTO migrations VALUES (?, ?, ?, ?)",
            (migration.number, migration.name, migration.checksum, now),
        )
        database.execute(f"PRAGMA user_version = {migration.number}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _statements(sql: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit between them."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    yield statement  # nothing, a comment, or a last statement without its semicolon
