"""The reference loop: the bare shape of a durable job system, to hold the real one against.

Decisions are pure and read rows in memory; a batch writes each kind of row with one set-based statement; one thread
commits batch after batch while the loop gathers the next. It has nothing else: no leases, waits, retries, limits,
log lines or errors, and it cannot start again after a crash. What it reaches is about what Python and SQLite allow.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from benchmarks.contest import EVENT_NAME, Job, Payload
from benchmarks.tally import Tally

T = TypeVar("T")
encode = msgspec.json.Encoder().encode


class Row(Struct, frozen=True, array_like=True, gc=False):
    """A row; the order of its fields is the order of the columns."""


class Event(Row, frozen=True, array_like=True, gc=False):
    id: str
    name: str
    payload: str
    created_at: int


class Run(Row, frozen=True, array_like=True, gc=False):
    id: str
    job: str
    event_id: str
    state: str
    token: int
    output: str | None
    created_at: int
    finished_at: int | None


class Task(Row, frozen=True, array_like=True, gc=False):
    run_id: str
    hash: str
    key: str
    state: str
    attempt: int
    output: str
    started_at: int
    finished_at: int


class SendEvent(Struct, frozen=True, gc=False):
    id: str
    run_id: str
    payload: str


class CompleteTask(Struct, frozen=True, gc=False):
    run_id: str
    token: int
    hash: str
    key: str
    output: str
    started_at: int


class CompleteRun(Struct, frozen=True, gc=False):
    run_id: str
    token: int
    output: str


Command = SendEvent | CompleteTask | CompleteRun


class Decision(NamedTuple):
    """What a command comes to: rows to write, and the run that starts after the commit."""

    rows: tuple[Event | Run | Task, ...]
    starts: tuple[Run, Event] | None = None


# --- decisions


def decide(runs: Mapping[str, Run], command: Command, now: int) -> Decision:
    """Decide one command on the unfinished runs."""
    return DECIDERS[type(command)](runs, command, now)


def _send_event(runs: Mapping[str, Run], command: SendEvent, now: int) -> Decision:
    event = Event(command.id, EVENT_NAME, command.payload, now)
    run = Run(command.run_id, "benchmark", command.id, "executing", 1, None, now, None)
    return Decision((event, run), (run, event))


def _complete_task(runs: Mapping[str, Run], command: CompleteTask, now: int) -> Decision:
    run = _held(runs, command.run_id, command.token)
    return Decision(
        (Task(run.id, command.hash, command.key, "completed", 1, command.output, command.started_at, now),)
    )


def _complete_run(runs: Mapping[str, Run], command: CompleteRun, now: int) -> Decision:
    run = _held(runs, command.run_id, command.token)
    return Decision((replace(run, state="completed", output=command.output, finished_at=now),))


def _held(runs: Mapping[str, Run], run_id: str, token: int) -> Run:
    run = runs[run_id]
    if run.token != token:
        raise LookupError(f"run {run_id} is held under token {run.token}, not {token}")
    return run


DECIDERS: Mapping[type, Callable[[Mapping[str, Run], Any, int], Decision]] = {
    SendEvent: _send_event,
    CompleteTask: _complete_task,
    CompleteRun: _complete_run,
}


# --- the store

SETTINGS = ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000", "cache_size = -16384")
SCHEMA = """
CREATE TABLE events (id TEXT PRIMARY KEY, name, payload, created_at) WITHOUT ROWID;
CREATE TABLE runs (id TEXT PRIMARY KEY, job, event_id, state, token, output, created_at, finished_at) WITHOUT ROWID;
CREATE INDEX runs_by_job ON runs (job, created_at);
CREATE INDEX runs_by_event ON runs (event_id);
CREATE INDEX runs_open ON runs (created_at) WHERE state = 'executing';
CREATE TABLE tasks (run_id, hash, key, state, attempt, output, started_at, finished_at, PRIMARY KEY (run_id, hash))
    WITHOUT ROWID;
"""


def _insert(table: str, kind: type[Row], rule: str) -> str:
    values = ", ".join(f"value ->> {place}" for place in range(len(kind.__struct_fields__)))
    return f"INSERT INTO {table} SELECT {values} FROM json_each(?) WHERE true ON CONFLICT {rule}"


PUT_EVENTS = _insert("events", Event, "DO NOTHING")
PUT_RUNS = _insert(
    "runs",
    Run,
    "(id) DO UPDATE SET state = excluded.state, output = excluded.output, finished_at = excluded.finished_at",
)
PUT_TASKS = _insert("tasks", Task, "DO NOTHING")


class Batch:
    """What one transaction writes, whom it answers and what it starts."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.runs: dict[str, Run] = {}  # one may change twice; the last word stands
        self.tasks: list[Task] = []
        self.answers: list[asyncio.Future[None]] = []
        self.starts: list[tuple[Run, Event]] = []
        self.error: Exception | None = None

    def add(self, row: Event | Run | Task) -> None:
        match row:
            case Task():
                self.tasks.append(row)
            case Run():
                self.runs[row.id] = row
            case Event():
                self.events.append(row)

    def write(self, database: sqlite3.Connection) -> None:
        """Commit, flushed to disk on return."""
        database.execute("BEGIN IMMEDIATE")
        for statement, rows in (
            (PUT_EVENTS, self.events),
            (PUT_RUNS, [*self.runs.values()]),
            (PUT_TASKS, self.tasks),
        ):
            if rows:
                database.execute(statement, (encode(rows).decode(),))
        database.execute("COMMIT")


# --- the loop around them


class ReferenceLoop:
    """Executes one job for every event sent, durably, with group commit. Satisfies `contest.Contestant`.

    Use as `async with ReferenceLoop(path, job) as loop`.
    """

    def __init__(self, path: Path, job: Job) -> None:
        self.tally = Tally()
        self._path = path
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._runs: dict[str, Run] = {}  # unfinished ones
        self._asked: list[tuple[Command, asyncio.Future[None]]] = []
        self._is_busy = False
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="reference-writer", daemon=True)
        self._executing: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()

    async def __aenter__(self) -> ReferenceLoop:
        self._writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._batches.put(None)
        await asyncio.to_thread(self._writer.join)

    def send(self, payload: Payload) -> Awaitable[object]:
        """Send an event; the answer arrives when it is on disk."""
        number = next(self._numbers)
        return self.submit(SendEvent(f"evt_{number:026}", f"run_{number:026}", encode(payload).decode()))

    def submit(self, command: Command) -> asyncio.Future[None]:
        """Ask for a command; the answer arrives when it is on disk."""
        answer: asyncio.Future[None] = self._loop.create_future()
        self._asked.append((command, answer))
        if not self._is_busy:
            self._is_busy = True
            self._loop.call_soon(self._depart)
        return answer

    def _depart(self) -> None:
        """Decide everything asked for by now and hand it to the writer."""
        asked, self._asked = self._asked, []
        batch, now = Batch(), time.time_ns() // 1000
        for command, answer in asked:
            decision = decide(self._runs, command, now)
            for row in decision.rows:
                batch.add(row)
                if type(row) is Run:
                    self._remember(row)
            if decision.starts is not None:
                batch.starts.append(decision.starts)
            batch.answers.append(answer)
        self._batches.put(batch)

    def _remember(self, run: Run) -> None:
        if run.state == "completed":
            del self._runs[run.id]
        else:
            self._runs[run.id] = run

    def _write(self) -> None:
        """Commit batch after batch, in the writer's thread."""
        database = _opened(self._path)
        while (batch := self._batches.get()) is not None:
            try:
                batch.write(database)
            except Exception as error:  # belongs to those who wait for this batch
                batch.error = error
            self._loop.call_soon_threadsafe(self._committed, batch)
        database.close()

    def _committed(self, batch: Batch) -> None:
        for answer in batch.answers:
            if batch.error is None:
                answer.set_result(None)
            else:
                answer.set_exception(batch.error)
        if batch.error is None:
            for run, event in batch.starts:
                execution = self._loop.create_task(self._execute(run, event))
                self._executing.add(execution)
                execution.add_done_callback(self._executing.discard)
        if self._asked:
            self._depart()
        else:
            self._is_busy = False

    async def _execute(self, run: Run, event: Event) -> None:
        try:
            payload: Payload = msgspec.json.decode(event.payload)
            output = await self._job(payload, ReferenceIO(self, run))
            await self.submit(CompleteRun(run.id, run.token, encode(output).decode()))
        except Exception as error:  # the measurement cannot go on: whoever waits for its end hears of it
            self.tally.fail(error)
        else:
            self.tally.count("completed")


class ReferenceIO:
    """The durable calls of one run. Satisfies `contest.TaskIO`."""

    __slots__ = ("_loop", "_memo", "_run")

    def __init__(self, loop: ReferenceLoop, run: Run) -> None:
        self._loop = loop
        self._run = run
        self._memo: dict[str, Any] = {}

    async def run_task(self, key: str, function: Callable[..., Awaitable[T]], /, *args: Any) -> T:
        """Run the function once and store its result."""
        hash = hashlib.sha256(key.encode()).hexdigest()
        if hash in self._memo:
            known: T = self._memo[hash]
            return known
        started_at = time.time_ns() // 1000
        result = await function(*args)
        await self._loop.submit(
            CompleteTask(self._run.id, self._run.token, hash, key, encode(result).decode(), started_at)
        )
        self._memo[hash] = result
        return result


def _opened(path: Path) -> sqlite3.Connection:
    """A connection set up as the real store's writer is."""
    database = sqlite3.connect(path, isolation_level=None)
    for setting in SETTINGS:
        database.execute(f"PRAGMA {setting}")
    database.executescript(SCHEMA)
    return database
