"""The SQL of this adapter. Scans and look-ups are files in `statements/`, one each. The writes of rows are made from
the row types: they differ only in their columns, and their one rule (insert, or update what has the revision before)
should stand in one place."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

from zopio_trigger.model.records import Attempt, Audit, Event, Job, LogLine, Queue, Row, Run, Schedule, Task

_FOLDER = files(__package__) / "statements"

FOUND: Mapping[str, str] = {
    file.name.removesuffix(".sql"): file.read_text("utf-8")
    for file in _FOLDER.iterdir()
    if file.name.endswith(".sql")
}
"""Statement text by name."""


def insert(table: str, row: type[Row]) -> str:
    """Insert new rows, given as a JSON list of arrays. A key that is taken fails the statement."""
    return _insert(table, row.__struct_fields__)


def update(table: str, row: type[Row], key: tuple[str, ...], fixed: tuple[str, ...] = ()) -> str:
    """Update rows given as a JSON list of arrays, each if it has the revision before the given one.

    Rows refused for their revision are missing from the count of changed rows: the caller compares. `fixed` columns
    never change after the insert.
    """
    place = {name: number for number, name in enumerate(row.__struct_fields__)}
    changing = [name for name in place if name not in key and name not in fixed]
    found = " AND ".join(f"{table}.{name} = value ->> {place[name]}" for name in key)
    return (
        f"UPDATE {table} SET\n  "
        + ", ".join(f"{_quoted(name)} = value ->> {place[name]}" for name in changing)
        + f"\nFROM json_each(?)\nWHERE {found} AND {table}.revision = (value ->> {place['revision']}) - 1"
    )


def append(table: str, row: type[Row]) -> str:
    """Insert rows given as a JSON list of arrays; one that is there already stays as it is."""
    return f"{_insert(table, row.__struct_fields__)}\nON CONFLICT DO NOTHING"


def _insert(table: str, columns: tuple[str, ...]) -> str:
    values = ", ".join(f"value ->> {place}" for place in range(len(columns)))
    return f"INSERT INTO {table} ({', '.join(map(_quoted, columns))})\nSELECT {values} FROM json_each(?) WHERE true"


def _quoted(column: str) -> str:
    return f'"{column}"' if column == "limit" else column


class Writes(NamedTuple):
    """How the rows of one kind are written: new ones, and those that were there."""

    table: str
    insert: str
    update: str


def writes(table: str, row: type[Row], key: tuple[str, ...], fixed: tuple[str, ...] = ()) -> Writes:
    """The two statements of one kind of row."""
    return Writes(table, insert(table, row), update(table, row, key, fixed))


_RUN_FIELDS = Run.__struct_fields__
EVENTS = writes("events", Event, ("env_no", "id"))
RUNS = writes("runs", Run, ("id",), fixed=_RUN_FIELDS[_RUN_FIELDS.index("env_no") :])
TASKS = writes("tasks", Task, ("run_id", "hash"), fixed=("id", "parent_id", "kind", "key", "created_at"))
JOBS = writes("jobs", Job, ("env_no", "id"))
SCHEDULES = writes("schedules", Schedule, ("env_no", "id"))
QUEUES = writes("queues", Queue, ("env_no", "name"))
ADD_ATTEMPTS = append("attempts", Attempt)
ADD_LOGS = append("logs", LogLine)
ADD_AUDITS = append("audits", Audit)
