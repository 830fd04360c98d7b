"""A process that dies at every moment that makes a difference: right before and right after each commit.

Each scenario is run in peace, and once more for each of its commits and each side of it; then a new process takes over
on the same store. A ledger that knows nothing of the engine watches what is committed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from tests.acceptance.jobs import client_of
from zopio_trigger import IO, NonRetryable, Retry, RetryAt, SyncIO, TaskFailed, TaskTimeout, TriggerClient
from zopio_trigger.engine.changes import Changes
from zopio_trigger.model.records import Line, Run
from zopio_trigger.sdk.scope import current
from zopio_trigger.storage.sqlite.store import SQLiteStore
from zopio_trigger.testing import TestPlatform, at_every_commit

OPEN = {"ready", "executing", "suspended"}


class Ledger:
    """What has been committed, and what must never happen after it."""

    def __init__(self) -> None:
        self.completed: dict[
            tuple[str, str], str | None
        ] = {}  # run and hash of each completed task, and its output
        self.begun: Counter[str] = Counter()
        self.executing: dict[str, Line] = {}
        self.limits: dict[str, int] = {}
        self.ended: Counter[str] = Counter()
        self._runs: dict[str, Run] = {}

    def body(self, name: str, result: Any = None) -> Callable[..., Coroutine[Any, Any, Any]]:
        """The body of a task, whose beginning is written down."""

        async def body(*_: object) -> Any:
            self.begins(name)
            await asyncio.sleep(0)
            return name if result is None else result

        return body

    def sync_body(self, name: str) -> Callable[[], str]:
        def body() -> str:
            self.begins(name)
            return name

        return body

    def begins(self, name: str) -> None:
        self.begun[name] += 1
        scope: Any = current.get()
        place = (scope.execution.run.id, scope.hash)
        assert place not in self.completed, f"the body of {name} began again after its result was committed"

    def note(self, changes: Changes) -> None:
        """Called after each commit."""
        for queue in changes.queues.values():
            if queue.limit is not None:
                self.limits[queue.name] = queue.limit
        for task in changes.tasks.values():
            place = (task.run_id, task.hash)
            assert place not in self.completed, f"task {task.key} changed after it had completed"
            if task.state == "completed":
                self.completed[place] = task.output
        for run in changes.runs.values():
            self._note_run(run)
        for line, count in Counter(self.executing.values()).items():
            assert count <= self.limits.get(line[1], count), f"{count} runs execute in {line}"

    def _note_run(self, run: Run) -> None:
        before = self._runs.get(run.id)
        assert before is None or before.token <= run.token, f"the token of {run.id} went back"
        if run.state not in OPEN:
            assert before is None or before.state in OPEN, f"{run.id} ended twice"
            self.ended[run.id] += 1
        self._runs[run.id] = run
        if run.state == "executing":
            self.executing[run.id] = run.line
        else:
            self.executing.pop(run.id, None)

    def check(self, most: int = 2) -> None:
        """At the end nothing is open, and no body began more often than its losses allow."""
        assert {run.id for run in self._runs.values() if run.state in OPEN} == set()
        assert all(count <= most for count in self.begun.values()), self.begun


class Shelf:
    """A fresh ledger for each fresh store; in use is that of the store that was written last."""

    def __init__(self) -> None:
        self._ledgers: WeakKeyDictionary[SQLiteStore, Ledger] = WeakKeyDictionary()
        self.in_use = Ledger()

    def note(self, store: SQLiteStore, changes: Changes) -> None:
        self.in_use = self._ledgers.setdefault(store, Ledger())
        self.in_use.note(changes)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Ledgers that hear of every commit."""
    shelf = Shelf()
    write = SQLiteStore.write

    async def write_and_note(store: SQLiteStore, changes: Changes) -> None:
        await write(store, changes)
        shelf.note(store, changes)

    monkeypatch.setattr(SQLiteStore, "write", write_and_note)
    return shelf


Check = Callable[[TestPlatform, Ledger], Coroutine[Any, Any, None]]
Make = Callable[[Callable[[], Ledger]], tuple[TriggerClient, Check]]
SCENARIOS: dict[str, Make] = {}


def scenario(make: Make) -> Make:
    """Enlist a reference job: made with a way to the ledger in use, it gives its client and what must come true."""
    SCENARIOS[make.__name__] = make
    return make


@scenario
def plain_tasks(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> list[str]:
        io.logger.info("begins")
        results = [await io.run_task(("task", n), ledger().body(f"task {n}")) for n in range(3)]
        io.logger.info("ends")
        return results

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).finished()
        assert run.output == ["task 0", "task 1", "task 2"]
        assert set(run.messages) == {"begins", "ends"}

    return client_of(job), check


@scenario
def retries_with_backoff(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> str:
        async def flaky() -> str:
            ledger().begins("flaky")
            if ledger().begun["flaky"] < 3:
                raise ConnectionError("not yet")
            return "at last"

        return await io.run_task("flaky", flaky, retry=Retry(max_attempts=5))

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).fast_forward()
        assert run.output == "at last"
        assert [attempt.number for attempt in run.attempts] == list(range(1, len(run.attempts) + 1))
        assert len(run.attempts) <= 2
        ledger.begun.clear()

    return client_of(job), check


@scenario
def waits(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> list[str]:
        first = await io.run_task("first", ledger().body("first"))
        await io.wait("short", seconds=2)
        second = await io.run_task("second", ledger().body("second"))
        await io.wait("long", days=30)
        return [first, second, await io.run_task("third", ledger().body("third"))]

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        begun_at = platform.clock.now()
        run = await (await platform.send("job")).fast_forward()
        assert run.output == ["first", "second", "third"]
        waited_us = platform.clock.now() - begun_at
        assert (
            timedelta(days=30, seconds=2) <= timedelta(microseconds=waited_us) < timedelta(days=30, seconds=4)
        )

    return client_of(job), check


@scenario
def nested_tasks(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> str:
        async def outer() -> str:
            ledger().begins("outer")
            inner: str = await io.run_task("inner", ledger().body("inner"))
            await io.wait("nap", hours=1)
            last: str = await io.run_task("last", ledger().body("last"))
            return inner + last

        return await io.run_task("outer", outer)

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).fast_forward()
        assert run.output == "innerlast"
        assert {task.parent for task in run.tasks} == {None, "outer"}
        del ledger.begun["outer"]  # it has not completed while it waits, so it is entered again each time

    return client_of(job), check


@scenario
def gather(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> list[str]:
        async def branch(number: int) -> str:
            await io.run_task(("before", number), ledger().body(f"before {number}"))
            await io.wait(("wait", number), hours=number % 2)
            return await io.run_task(("after", number), ledger().body(f"after {number}"))

        return list(await asyncio.gather(*(branch(n) for n in range(3))))

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).fast_forward()
        assert run.output == ["after 0", "after 1", "after 2"]

    return client_of(job), check


@scenario
def task_group(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(io.run_task(("part", n), ledger().body(f"part {n}"))) for n in range(3)
            ]
            group.create_task(io.wait("a-day", days=1))
        return [task.result() for task in tasks]

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).fast_forward()
        assert run.output == ["part 0", "part 1", "part 2"]

    return client_of(job), check


@scenario
def cancel(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> None:
        await io.run_task("before", ledger().body("before"))
        await io.wait("a-day", days=1)
        await io.run_task("never", ledger().body("never"))

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).until_waiting()
        await run.cancel("changed my mind")
        await platform.advance(days=2)
        assert run.state == "cancelled"
        assert ledger.begun["never"] == 0

    return client_of(job), check


@scenario
def replay(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> str:
        return await io.run_task("task", ledger().body("task"))

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).finished()
        again = await (await run.replay()).finished()
        assert (run.output, again.output, again.row.replay_of) == ("task", "task", run.id)
        assert len(await platform.runs()) == 2
        ledger.begun["task"] -= 1  # once for each of the two

    return client_of(job), check


@scenario
def retry_from_failure(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    is_mended: list[bool] = []

    async def job(payload: Any, io: IO) -> str:
        await io.run_task("before", ledger().body("before"))

        async def fragile() -> str:
            if not is_mended:
                raise ValueError("broken")
            return "mended"

        return await io.run_task("fragile", fragile)

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        is_mended.clear()
        run = await (await platform.send("job")).finished()
        assert run.state == "failed"
        is_mended.append(True)
        await run.retry()
        assert (await run.finished()).output == "mended"

    return client_of(job), check


@scenario
def schedule(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    client = TriggerClient("app")

    @client.job(id="hourly", trigger=client.triggers.schedule("0 * * * *"))
    async def hourly(payload: Any, io: IO) -> str:
        return await io.run_task("task", ledger().body(payload["ts"]))

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        await platform.advance(hours=3)
        runs = await platform.runs(hourly)
        assert [run.output for run in runs] == [f"2026-01-01T0{hour}:00:00.000Z" for hour in (1, 2, 3)]

    return client, check


@scenario
def bulk_events(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> str:
        return await io.run_task("task", ledger().body(f"task {payload}"))

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        runs = await platform.send_many([("job", n) for n in range(5)])
        await platform.settle()
        assert [run.output for run in runs] == [f"task {n}" for n in range(5)]
        assert len(await platform.events()) == 5

    return client_of(job), check


@scenario
def duplicate_event_ids(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> str:
        return await io.run_task("task", ledger().body("task"))

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        started = [await platform.send_to_all("job", payload, id="order-1") for payload in (1, 1, 2)]
        await platform.settle()
        assert [len(runs) for runs in started] == [1, 0, 0]
        assert [run.output for run in await platform.runs()] == ["task"]
        assert [event.payload for event in await platform.events()] == ["1"]

    return client_of(job), check


@scenario
def delayed_events(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> str:
        return await io.run_task("task", ledger().body(f"task {payload}"))

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        for hours in (1, 2):
            assert await platform.send_to_all("job", hours, deliver_after={"hours": hours}) == []
        await platform.advance(hours=1)
        assert [run.output for run in await platform.runs()] == ["task 1"]
        await platform.advance(hours=1)
        assert [run.output for run in await platform.runs()] == ["task 1", "task 2"]

    return client_of(job), check


@scenario
def sync_job(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    def job(payload: Any, io: SyncIO) -> list[str]:
        first = io.run_task("first", ledger().sync_body("first"))
        io.wait("short", seconds=0.5)
        second = io.run_task("second", ledger().sync_body("second"))
        io.wait("long", days=1)
        return [first, second, io.run_task("third", ledger().sync_body("third"))]

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).fast_forward()
        assert run.output == ["first", "second", "third"]

    return client_of(job), check


@scenario
def events_sent_by_runs(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def parent(payload: Any, io: IO) -> str:
        await client.send_event("child", "plain")
        sent = await io.send_event("tell", "child", "durable")

        async def body() -> None:
            await client.send_event("child", "from a body")

        await io.run_task("body", body)
        await io.wait("nap", hours=1)
        return sent.id

    async def child(payload: Any, io: IO) -> str:
        return await io.run_task("task", ledger().body(f"child {payload}"))

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("parent")).fast_forward()
        children = await platform.runs(child)
        assert sorted(child.output for child in children) == [
            "child durable", "child from a body", "child plain",
        ]  # fmt: skip
        assert run.output in {event.id for event in await platform.events()}

    client = client_of(parent, child)
    return client, check


@scenario
def hooks(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def on_end(notification: Any, io: IO) -> str:
        return await io.run_task("tell", ledger().body(f"told {notification['ok']}"))

    async def job(payload: Any, io: IO) -> str:
        if payload == "bad":
            raise ValueError("bad")
        return "good"

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        for payload in ("good", "bad"):
            await (await platform.send("job", payload)).finished()
        await platform.settle()
        hooks = [run for run in await platform.runs() if run.job != "job"]
        assert [run.output for run in hooks] == ["told True", "told False"]

    return client_of(job, on_success=on_end, on_failure=on_end), check


@scenario
def errors_that_steer(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> str:
        async def later() -> str:
            ledger().begins("later")
            now = datetime(2026, 1, 1, tzinfo=UTC)
            if ledger().begun["later"] == 1:
                raise RetryAt(now + timedelta(hours=1))
            return "later"

        async def never() -> None:
            ledger().begins("never")
            raise NonRetryable("no")

        said = await io.run_task("later", later)
        try:
            await io.run_task("never", never, retry=Retry())
        except TaskFailed as error:
            return said + " " + error.error_message
        return said

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).fast_forward()
        assert run.output == "later no"
        ledger.begun["later"] -= 1  # it asked for a second time

    return client_of(job), check


@scenario
def time_limits(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> str:
        async def slow() -> None:
            ledger().begins("slow")
            await asyncio.Event().wait()

        try:
            await io.run_task("slow", slow, timeout=5)
        except TaskTimeout:
            return await io.run_task("after", ledger().body("after"))
        return "in time"

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await platform.send("job")
        await platform.advance(seconds=11)
        assert run.output == "after"

    return client_of(job), check


@scenario
def concurrency_limit(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> int:
        await io.run_task("before", ledger().body(f"before {payload}"))
        await io.wait("nap", seconds=5)
        await io.run_task("after", ledger().body(f"after {payload}"))
        return int(payload)

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        runs = [await platform.send("job", number) for number in range(4)]
        for _ in range(4):
            await platform.advance(seconds=10)
        assert [run.output for run in runs] == [0, 1, 2, 3]
        assert ledger.limits == {"job": 1}

    return client_of(job, concurrency=1), check


@scenario
def values_and_races(ledger: Callable[[], Ledger]) -> tuple[TriggerClient, Check]:
    async def job(payload: Any, io: IO) -> list[Any]:
        number = await io.random("number")
        winner = await io.first(
            "race", io.run_task("a", ledger().body("a")), io.run_task("b", ledger().body("b"))
        )
        await io.wait("nap", hours=1)
        return [number, winner, str(await io.now("now"))]

    async def check(platform: TestPlatform, ledger: Ledger) -> None:
        run = await (await platform.send("job")).fast_forward()
        assert run.output[0] == run.task("number").output
        assert run.output[1] == "ab"[run.task("race").output]

    return client_of(job), check


@pytest.mark.parametrize("reexecute", [False, True], ids=["resident", "reexecuted"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_comes_true_wherever_its_process_dies(
    name: str, reexecute: bool, shelf: Shelf
) -> None:
    client, check = SCENARIOS[name](lambda: shelf.in_use)

    async def come_true(platform: TestPlatform) -> None:
        await check(platform, shelf.in_use)
        shelf.in_use.check()

    times = await at_every_commit(come_true, client, reexecute=reexecute, patience=0.01)

    assert times >= 5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_comes_true_although_processes_die_again_and_again(
    name: str, seed: int, shelf: Shelf
) -> None:
    """Four deaths at random, also of processes that are just taking over: a fifth might end the run."""
    dice = random.Random(f"{name} {seed}")
    client, check = SCENARIOS[name](lambda: shelf.in_use)

    async with TestPlatform(client, seed=seed, reexecute=seed % 2 == 1, patience=0.01) as platform:
        for number in sorted(dice.sample(range(1, 13), 4)):
            platform.crash_at_commit(number, dice.choice(["before", "after"]))
        await check(platform, shelf.in_use)
        shelf.in_use.check(most=5)
