"""A platform on SQLite in memory with a worker that does only what a test tells it, and a way in over HTTP."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from tests.factories import a_job
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.commands import (
    BeginTask,
    BeginWaits,
    Command,
    CompleteRun,
    CompleteTask,
    FailRun,
    FailTask,
    TaskName,
    Wait,
    WriteLogs,
)
from zopio_trigger.model.ids import Ids
from zopio_trigger.model.names import task_hash
from zopio_trigger.model.records import Event, Job, LogLine, Run, Schedule, Task
from zopio_trigger.model.retry import Retry
from zopio_trigger.platform.keys import ensure_environment
from zopio_trigger.platform.platform import Platform
from zopio_trigger.server.app import create_app
from zopio_trigger.storage.sqlite.store import SQLiteStore
from zopio_trigger.transport.ports import EventRequest, Roster

KEY = "tr_dev_test"
OTHER_KEY = "tr_prod_test"  # of another environment


class Worker:
    """A worker whose hands are the test's."""

    def __init__(self, platform: Platform, env_no: int, name: str = "w1") -> None:
        self.desk = platform.desk(env_no)
        self.name = name
        self.clock = platform.clock
        self.started: dict[str, Run] = {}

    async def serve(
        self, *jobs: Job, schedules: Sequence[Schedule] = (), slots: int = 10, worker: str | None = None
    ) -> None:
        roster = Roster(
            worker=worker or self.name, slots=slots, jobs=jobs or (a_job(),), schedules=tuple(schedules)
        )
        await self.desk.join(roster, self)

    # --- what the platform tells it

    def start_run(self, run: Run, event: Event, tasks: Sequence[Task]) -> None:
        self.started[run.id] = run

    def resume(self, run: Run) -> None:
        self.started[run.id] = run

    def wake(self, task: Task) -> None: ...

    def stop_run(self, run_id: str) -> None: ...

    # --- what the test has it say

    async def say(self, command: Command) -> Any:
        return await self.desk.submit(command)

    async def begin_task(self, run_id: str, key: str) -> None:
        await self.say(BeginTask(run_id, self._token(run_id), _name(run_id, key), 1, self.clock.now()))

    async def complete_task(
        self,
        run_id: str,
        key: str,
        output: str = '"done"',
        *,
        parent: str | None = None,
        logs: Sequence[str] = (),
    ) -> Task:
        lines = tuple([self.line(run_id, number, text) for number, text in enumerate(logs, 1)])
        name = _name(run_id, key, parent)
        task: Task = await self.say(
            CompleteTask(run_id, self._token(run_id), name, 1, self.clock.now(), output, logs=lines)
        )
        return task

    async def fail_task(self, run_id: str, key: str, *, attempt: int = 1, retry: Retry | None = None) -> None:
        error = '{"type":"ConnectError","message":"refused"}'
        name = _name(run_id, key)
        await self.say(FailTask(run_id, self._token(run_id), name, attempt, self.clock.now(), error, retry))

    async def wait(self, run_id: str, key: str, seconds: int) -> None:
        name = TaskName(task_hash(None, key), f"task_{key}", None, "wait", key)
        wait = Wait(name, seconds * 1_000_000, None)
        await self.say(BeginWaits(run_id, self._token(run_id), (wait,), suspend=True))

    async def log(self, run_id: str, number: int, text: str) -> None:
        await self.say(WriteLogs(run_id, self._token(run_id), (self.line(run_id, number, text),)))

    async def complete(self, run_id: str, output: str | None = "null") -> None:
        await self.say(CompleteRun(run_id, self._token(run_id), output))

    async def fail(self, run_id: str, error: str, state: Any = "failed") -> None:
        await self.say(FailRun(run_id, self._token(run_id), state, error))

    def line(self, run_id: str, number: int, text: str) -> LogLine:
        return LogLine(run_id, self._token(run_id), number, self.clock.now(), "info", None, f'"{text}"', None)

    def _token(self, run_id: str) -> int:
        return self.started[run_id].token


def _name(run_id: str, key: str, parent: str | None = None) -> TaskName:
    parent_id = None if parent is None else f"task_{parent}"
    return TaskName(task_hash(parent, key), f"task_{key}", parent_id, "task", key, 3)


class Stage:
    """What a test has at hand."""

    def __init__(self, platform: Platform, clock: ManualClock, env_no: int, http: httpx2.AsyncClient) -> None:
        self.platform = platform
        self.reads = platform.reads
        self.clock = clock
        self.env_no = env_no
        self.desk = platform.desk(env_no)
        self.worker = Worker(platform, env_no)
        self.http = http
        self.app: Any = None

    async def send(self, name: str = "user.created", payload: str = "{}", **options: Any) -> str:
        """Send an event; returns the id of its run, or of itself when it started none."""
        receipt = await self.desk.send_event(EventRequest(name=name, payload=payload, **options))
        await self.platform.committer.settled()
        return receipt.runs[0] if receipt.runs else receipt.id

    async def get(self, path: str, **query: Any) -> Any:
        response = await self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: Any = None) -> Any:
        response = await self.http.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()


@asynccontextmanager
async def stage(**options: Any) -> AsyncIterator[Stage]:
    """A running platform with one environment and another, and a client with the key of the first.

    `options` go to `create_app`.
    """
    clock = ManualClock()
    store = SQLiteStore(":memory:", clock=clock)
    platform = Platform(store=store, clock=clock, ids=Ids(clock, random.Random(0)))
    await platform.start()
    environment = await ensure_environment(store, KEY, clock.now())
    await ensure_environment(store, OTHER_KEY, clock.now())
    app = create_app(platform, **options)
    transport = httpx2.ASGITransport(app=app)
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as http:
        at_hand = Stage(platform, clock, environment.no, http)
        at_hand.app = app
        yield at_hand
    await platform.stop()
