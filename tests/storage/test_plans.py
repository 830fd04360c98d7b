"""How SQLite finds rows: every statement through an index, whether the planner has statistics or not."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import (
    NOW,
    a_job,
    a_log_line,
    a_minute,
    a_queue,
    a_run,
    a_schedule,
    a_task,
    an_attempt,
    an_audit,
    an_event,
    changes_of,
)
from zopio_trigger.model.ids import lowest
from zopio_trigger.model.records import Row
from zopio_trigger.storage.sqlite import schema, statements, writing
from zopio_trigger.storage.sqlite.statements import FOUND

FOLDER = Path(schema.__file__).parent

WRITTEN = {
    f"{kind}_{writes.table}": getattr(writes, kind)
    for writes in (
        statements.EVENTS, statements.RUNS, statements.TASKS, statements.JOBS, statements.SCHEDULES,
        statements.QUEUES,
    )
    for kind in ("insert", "update")
} | {
    "add_attempts": statements.ADD_ATTEMPTS, "add_logs": statements.ADD_LOGS, "add_audits": statements.ADD_AUDITS,
}  # fmt: skip
STATEMENTS = {**FOUND, **WRITTEN}

# Tables of definitions: a few hundred rows at most, read as a whole.
SMALL_TABLES = {"jobs", "schedules", "queues", "environments", "migrations"}

# Indexes that hold only what waits or executes now, so that reading all of one is what is wanted.
SMALL_INDEXES = {"runs_ready", "runs_executing"}

# Statements that sort what they have found, and why that is little.
SORTS = {
    "tasks": "of one run, which has at most 10,000",
    "attempts": "of one run",
    "runs_by_event": "of one event",
    "runs_made": "of one event",
    "runs_executing": "no more than there are slots",
}


@pytest.fixture(scope="module", params=["without statistics", "analyzed"])
def database(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """A store as it is after a while: many finished runs, few that wait."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(database, ":memory:", NOW)
    writing.write(database, changes_of(*rows()))
    database.execute(FOUND["add_environment"], ("dev", "development", NOW))
    if request.param == "analyzed":
        database.execute("ANALYZE")
    yield database
    database.close()


def rows() -> Iterator[Row]:
    for n in range(3_000):
        at = NOW + n * 1_000_000
        run_id, event_id = lowest("run", at), lowest("evt", at)
        state = {0: "failed", 1: "ready", 2: "suspended", 3: "executing"}.get(n % 200, "completed")
        job = f"job-{n % 7}"
        yield an_event(id=event_id, user_id=f"order-{n}" if n % 3 else None)
        yield a_run(id=run_id, event_id=event_id, state=state, job=job, queue=job, finished_at=at)
        yield a_task(run_id=run_id, state="waiting" if n % 200 == 2 else "completed", due_at=at)
        yield a_log_line(run_id=run_id)
        yield a_minute(minute=n, job=job)
        if n % 100 == 0:
            yield an_attempt(run_id=run_id)
            yield an_audit(id=f"aud_{n}", at=at)
    for n in range(7):
        yield a_job(id=f"job-{n}")
        yield a_queue(name=f"job-{n}")
        yield a_schedule(id=f"job-{n}")


def plan_of(database: sqlite3.Connection, name: str) -> list[str]:
    text = bare(STATEMENTS[name])
    named = dict.fromkeys(re.findall(r":(\w+)", text))
    parameters = named or (None,) * text.count("?")
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]


def bare(statement: str) -> str:
    """A statement without its comments."""
    return re.sub(r"--[^\n]*", "", statement)


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_scans_a_table_that_grows(database: sqlite3.Connection, name: str) -> None:
    for step in plan_of(database, name):
        scan = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
        if scan is None or "VIRTUAL TABLE" in step or "CONSTANT ROW" in step:
            continue
        table, index = scan.groups()
        assert table in SMALL_TABLES or index in SMALL_INDEXES, step


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_walks_through_a_whole_environment(database: sqlite3.Connection, name: str) -> None:
    for step in plan_of(database, name):
        if step.endswith("(env_no=?)"):
            index = re.search(r"INDEX (\w+)", step)
            assert index is not None, step
            assert index[1] in SMALL_INDEXES, step


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_sorts_more_than_a_little(database: sqlite3.Connection, name: str) -> None:
    sorts = [step for step in plan_of(database, name) if "TEMP B-TREE" in step]

    assert not sorts or name in SORTS, sorts


@pytest.mark.parametrize("name", FOUND)
def test_a_statement_says_truly_which_index_serves_it(database: sqlite3.Connection, name: str) -> None:
    head = FOUND[name].splitlines()[0]
    assert head.startswith("-- ")
    plan = "\n".join(plan_of(database, name))
    indexes = {index for (index,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}

    used = {index for index in indexes if re.search(rf"INDEX {index}\b", plan)} - {
        "sqlite_autoindex_environments_1"
    }
    told = {index for index in indexes if re.search(rf"\b{index}\b", head)}

    assert used == told, plan


@pytest.mark.parametrize("name", FOUND)
def test_every_statement_is_used(name: str) -> None:
    code = "".join(path.read_text() for path in FOLDER.glob("*.py"))

    assert f'"{name}"' in code
