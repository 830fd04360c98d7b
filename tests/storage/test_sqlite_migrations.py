"""Migrations of the SQLite store: applied once, in order, wholly or not at all, and never over what is not ours."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import NOW
from zopio_trigger.errors import StoreError
from zopio_trigger.storage.sqlite import schema
from zopio_trigger.storage.sqlite.schema import Migration, migrate, migrations

FIRST = Migration(1, "first", "CREATE TABLE a (x) STRICT;".replace("x", "x INTEGER"))
SECOND = Migration(2, "second", "-- more\nCREATE TABLE b (y INTEGER) STRICT;\nINSERT INTO a VALUES (1);\n")
BROKEN = Migration(2, "broken", "CREATE TABLE b (y INTEGER) STRICT;\nINSERT INTO nowhere VALUES (1);\n")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    yield database
    database.close()


def known(monkeypatch: pytest.MonkeyPatch, *steps: Migration) -> None:
    monkeypatch.setattr(schema, "migrations", lambda: list(steps))


def tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def user_version(database: sqlite3.Connection) -> object:
    return database.execute("PRAGMA user_version").fetchone()[0]


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_each_migration_is_applied_once_and_noted(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, FIRST)
    migrate(database, "store.db", NOW)
    known(monkeypatch, FIRST, SECOND)

    migrate(database, "store.db", NOW + 1)
    migrate(database, "store.db", NOW + 2)

    assert tables(database) == {"migrations", "a", "b"}
    assert database.execute("SELECT x FROM a").fetchall() == [(1,)]
    assert user_version(database) == 2
    assert database.execute("SELECT number, name, checksum, applied_at FROM migrations").fetchall() == [
        (1, "first", FIRST.checksum, NOW), (2, "second", SECOND.checksum, NOW + 1),
    ]  # fmt: skip


def test_a_migration_that_fails_leaves_the_old_schema(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, FIRST)
    migrate(database, "store.db", NOW)
    known(monkeypatch, FIRST, BROKEN)

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(database, "store.db", NOW)

    assert tables(database) == {"migrations", "a"}
    assert user_version(database) == 1
    known(monkeypatch, FIRST, SECOND)
    migrate(database, "store.db", NOW)
    assert user_version(database) == 2


def test_a_first_migration_that_fails_leaves_nothing(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, Migration(1, "broken", BROKEN.sql))

    with pytest.raises(sqlite3.OperationalError):
        migrate(database, "store.db", NOW)

    assert tables(database) == set()
    assert database.execute("PRAGMA application_id").fetchone() == (0,)


KILLED_IN_BETWEEN = textwrap.dedent("""
    import os, signal, sqlite3, sys
    from zopio_trigger.storage.sqlite import schema

    sql = "CREATE TABLE b (y INTEGER) STRICT;\\nINSERT INTO b SELECT die();\\n"
    steps = [schema.Migration(1, "first", "CREATE TABLE a (x INTEGER) STRICT;"), schema.Migration(2, "second", sql)]
    schema.migrations = lambda: steps
    database = sqlite3.connect(sys.argv[1], isolation_level=None)
    database.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    schema.migrate(database, sys.argv[1], 0)
""")


def test_a_crash_in_the_middle_of_a_migration_leaves_the_old_schema(tmp_path: Path) -> None:
    file = tmp_path / "store.db"

    outcome = subprocess.run([sys.executable, "-c", KILLED_IN_BETWEEN, str(file)], check=False, timeout=20)

    assert outcome.returncode == -9
    database = sqlite3.connect(file)
    assert tables(database) == {"migrations", "a"}
    assert user_version(database) == 1
    database.close()


def test_a_store_of_a_newer_version_is_refused(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, FIRST, SECOND)
    migrate(database, "store.db", NOW)
    known(monkeypatch, FIRST)

    with pytest.raises(
        StoreError, match=r"store\.db was written by a newer version .*schema 2, this one knows 1"
    ):
        migrate(database, "store.db", NOW)


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, FIRST)
    migrate(database, "store.db", NOW)
    known(monkeypatch, Migration(1, "first", FIRST.sql + " -- edited"), SECOND)

    with pytest.raises(StoreError, match="migration 0001 was applied from a different file"):
        migrate(database, "store.db", NOW)

    assert tables(database) == {"migrations", "a"}


def test_the_last_statement_needs_no_semicolon(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(
        monkeypatch,
        Migration(1, "first", "CREATE TABLE a (x INTEGER) STRICT;\nCREATE TABLE b (y INTEGER) STRICT"),
    )

    migrate(database, "store.db", NOW)

    assert tables(database) == {"migrations", "a", "b"}


def test_a_semicolon_inside_a_statement_does_not_end_it(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "CREATE TABLE a (x TEXT DEFAULT ';') STRICT; -- one; two\nINSERT INTO a VALUES (';\n');\n-- the end;\n"
    known(monkeypatch, Migration(1, "first", text))

    migrate(database, "store.db", NOW)

    assert database.execute("SELECT x FROM a").fetchall() == [(";\n",)]


def test_a_library_that_is_too_old_is_named(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")

    with pytest.raises(StoreError, match=r"SQLite 3\.34\.1, and 3\.38 or newer is needed"):
        migrate(database, "store.db", NOW)
