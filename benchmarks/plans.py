"""Does reading stay quick in a large store? Builds one with a million finished runs, shows how SQLite finds the rows of
every statement, and times the reads that people and services do most. Run it with `make plans`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import re
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from benchmarks.place import DEFAULT_PARENT
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.ids import lowest
from zopio_trigger.storage.port import Horizon, RunQuery
from zopio_trigger.storage.sqlite import schema
from zopio_trigger.storage.sqlite.statements import FOUND
from zopio_trigger.storage.sqlite.store import SQLiteStore

RUNS = 1_000_000
NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
DAY = 86_400_000_000  # microseconds
SPREAD = 30 * DAY  # the runs were made in so long a time
JOBS = 40
SECOND_ENVIRONMENT = 500  # one in so many runs belongs to another environment
ROWS_AT_ONCE = 50_000
REPEAT = 30

# What a run is in, by its number modulo 10,000; the rest has completed.
RARE_STATES = {
    **dict.fromkeys(range(0, 10_000, 100), "failed"), 1: "ready", 2: "executing",
    **dict.fromkeys(range(3, 9), "suspended"),
}  # fmt: skip

# How fine a page is that everybody waits for: a read past this is marked.
SLOW_MS = 10.0


def main(arguments: list[str]) -> int:
    """Build the store, print the plans and the times."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plans", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"finished runs, default {RUNS:,}")
    parser.add_argument(
        "--path", type=Path, help="folder for the store, kept and used again; default a fresh one"
    )
    parser.add_argument("--analyze", action="store_true", help="give the planner statistics first")
    options = parser.parse_args(arguments)
    with _folder(options.path) as folder:
        file = folder / f"plans-{options.runs}.db"
        if not file.exists():
            _build(file, options.runs)
        if options.analyze:
            _execute(file, "ANALYZE")
        print(f"{file.stat().st_size / 1e6:,.0f} MB, {file.stat().st_size / options.runs:,.0f} bytes a run")
        _print_plans(file)
        asyncio.run(_print_times(file, options.runs))
    return 0


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """The folder to work in; one that nobody named is gone afterwards."""
    parent = given or DEFAULT_PARENT
    parent.mkdir(parents=True, exist_ok=True)
    if given is not None:
        yield given
        return
    fresh = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh)


# --- the store


def _build(file: Path, runs: int) -> None:
    """Write the rows straight into the tables: sending a million events would take too long to wait for."""
    started = time.perf_counter()
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -262144")
    schema.migrate(database, str(file), NOW)
    for slug in ("prod", "dev"):
        database.execute(FOUND["add_environment"], (slug, "production", NOW))
    for first in range(0, runs, ROWS_AT_ONCE):
        numbers = range(first, min(first + ROWS_AT_ONCE, runs))
        database.execute("BEGIN")
        database.executemany(_insert("events", 17), (_event(n, runs) for n in numbers))
        database.executemany(_insert("runs", 25), (_run(n, runs) for n in numbers))
        database.executemany(_insert("tasks", 16), (_task(n, runs) for n in numbers))
        database.execute("COMMIT")
    minutes = (
        (1, f"job-{n % JOBS}", (NOW - n * 60_000_000) // 60_000_000, "completed", 5, 3) for n in range(50_000)
    )
    database.execute("BEGIN")
    database.executemany(_insert("minutes", 6), minutes)
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    print(f"built {runs:,} runs in {time.perf_counter() - started:.0f} s")


def _insert(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"


def _at(n: int, runs: int) -> int:
    """When the nth run was made; the last one a moment ago."""
    return NOW - SPREAD + (n + 1) * (SPREAD // runs) - 1


def _id(prefix: str, n: int, runs: int) -> str:
    return f"{lowest(prefix, _at(n, runs))}{n:016}"


def _environment(n: int) -> int:
    return 2 if n % SECOND_ENVIRONMENT == 0 else 1


def _event(n: int, runs: int) -> tuple[object, ...]:
    at = _at(n, runs)
    user_id = f"order-{n}" if n % 2 else None
    payload = f'{{"userId":"user_{n}","email":"user{n}@example.com","items":[1,2,3]}}'
    return (
        _id("evt", n, runs), _environment(n), 1, user_id, f"order.{n % JOBS}", "trigger.dev", at, at, at, at,
        None, 0, "", None, None, payload, None,
    )  # fmt: skip


def _run(n: int, runs: int) -> tuple[object, ...]:
    at = _at(n, runs)
    state = RARE_STATES.get(n % 10_000, "completed")
    finished_at = at + 250_000 if state in ("completed", "failed") else None
    job = f"job-{n % JOBS}"
    return (
        _id("run", n, runs), 3, state, 1, None, 0, at, at, at if state == "suspended" else None, finished_at, None,
        '{"processed":3,"ok":true}', None, _environment(n), job, "1.0.0", _id("evt", n, runs), 0, None, job, "", 0, 0,
        "[]", at,
    )  # fmt: skip


def _task(n: int, runs: int) -> tuple[object, ...]:
    at = _at(n, runs)
    is_waiting = RARE_STATES.get(n % 10_000) == "suspended"
    return (
        _id("run", n, runs), "cFZ0mXq1m0pUcmVhZHktbWFkZS1oYXNoLW9mLTQzLWM", 1, "waiting" if is_waiting else "completed",
        _id("task", n, runs), None, "task", "fetch", 1, 1, at, at, NOW + DAY + n if is_waiting else None,
        None if is_waiting else at, '{"rows":120}', None,
    )  # fmt: skip


def _execute(file: Path, statement: str) -> None:
    database = sqlite3.connect(file, isolation_level=None)
    database.execute(statement)
    database.close()


# --- how rows are found


def _print_plans(file: Path) -> None:
    database = sqlite3.connect(file, isolation_level=None)
    print("\nHow rows are found")
    for name in sorted(FOUND):
        steps = [
            step
            for step in _plan(database, FOUND[name])
            if "json_each" not in step and "CONSTANT" not in step
        ]
        print(f"  {name:24} {'; '.join(steps) or 'no table is read'}")
    database.close()


def _plan(database: sqlite3.Connection, statement: str) -> list[str]:
    text = re.sub(r"--[^\n]*", "", statement)
    named = dict.fromkeys(re.findall(r":(\w+)", text))
    parameters = named or (None,) * text.count("?")
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]


# --- how long it takes

Read = Callable[[SQLiteStore], Awaitable[object]]


async def _print_times(file: Path, runs: int) -> None:
    opening = time.perf_counter()
    store = SQLiteStore(file, clock=ManualClock(NOW))
    await store.open()
    print(f"\nReads, {REPEAT} times each (opened in {(time.perf_counter() - opening) * 1000:.1f} ms)")
    print(f"  {'':36} {'rows':>6} {'first ms':>9} {'p50 ms':>8} {'worst ms':>9}")
    try:
        for name, read in _reads(runs):
            await _time(name, read, store)
        await _time("prune a batch of 100", lambda store: store.prune(_horizon(), 100), store)
    finally:
        await store.close()


async def _time(name: str, read: Read, store: SQLiteStore) -> None:
    took: list[float] = []
    found: object = None
    for _ in range(REPEAT):
        started = time.perf_counter()
        found = await read(store)
        took.append((time.perf_counter() - started) * 1000)
    size = len(found) if isinstance(found, list) else found if isinstance(found, int) else 1
    mark = "  slow" if statistics.median(took) > SLOW_MS else ""
    print(f"  {name:36} {size:>6} {took[0]:>9.2f} {statistics.median(took):>8.2f} {max(took):>9.2f}{mark}")


def _reads(runs: int) -> Iterator[tuple[str, Read]]:
    chance = random.Random(1)

    def kept() -> int:
        """Some run that pruning leaves alone."""
        return chance.randrange(runs // 2, runs)

    lists = {
        "runs, newest": RunQuery(env_no=1),
        "runs of a small environment": RunQuery(env_no=2),
        "runs, from the middle": RunQuery(env_no=1, before=_id("run", runs // 2, runs)),
        "runs, completed": RunQuery(env_no=1, states=("completed",)),
        "runs, failed": RunQuery(env_no=1, states=("failed",)),
        "runs, open": RunQuery(env_no=1, states=("ready", "executing", "suspended")),
        "runs, timed out (there are none)": RunQuery(env_no=1, states=("timed_out",)),
        "runs of a job": RunQuery(env_no=1, job="job-7"),
        "runs of a job, failed": RunQuery(env_no=1, job="job-0", states=("failed",)),
        "runs of a job nobody knows": RunQuery(env_no=1, job="job-x"),
        "runs since an hour": RunQuery(env_no=1, since=NOW - DAY // 24),
        "runs since an hour, failed": RunQuery(env_no=1, since=NOW - DAY // 24, states=("failed",)),
    }
    for name, query in lists.items():
        yield name, lambda store, query=query: store.runs(query)  # type: ignore[misc]  # the default binds it

    async def run_page(store: SQLiteStore) -> object:
        n = kept()
        run = await store.run(_environment(n), _id("run", n, runs))
        assert run is not None
        return await asyncio.gather(
            store.event(run.env_no, run.event_id), store.tasks(run.id), store.attempts(run.id),
            store.logs(run.id, None, 500),
        )  # fmt: skip

    yield "a run with all that hangs on it", run_page
    yield "an event by the sender's id", lambda store: store.event(1, f"order-{kept() | 1}")
    yield "events, newest", lambda store: store.events(1, None, 50)
    yield "boot", lambda store: store.boot()
    yield "what is due (nothing)", lambda store: store.due(NOW, 512)
    yield "ready runs of a line", lambda store: store.ready((1, "job-1", ""), frozenset({"job-1"}), 100)
    yield "executing runs of a line", lambda store: store.executing((1, "job-2", ""))
    yield "roll-ups of a day", lambda store: store.minutes(1, (NOW - DAY) // 60_000_000, NOW // 60_000_000)
    yield "has a job an open run", lambda store: store.load([("open_run", 1, "job-9")])


def _horizon() -> Horizon:
    return Horizon(runs=NOW - 20 * DAY, events=NOW - 20 * DAY, records=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
