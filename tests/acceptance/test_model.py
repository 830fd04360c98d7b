"""Random commands, deaths, clock jumps and repetitions, against what must always be true.

The platform is the real one on SQLite in memory, with workers that do what chance tells them. After each step all rows
are read from the store and compared with those before it, and with what the engine holds in memory.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.factories import a_job
from zopio_trigger.engine.changes import Changes
from zopio_trigger.engine.leases import HOLDER_FIRST_FOR
from zopio_trigger.engine.limits import WAITS_TO_BE_ALONE
from zopio_trigger.errors import Conflict, LeaseLost, NotFound, StoreError
from zopio_trigger.model import commands as c
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.ids import Ids
from zopio_trigger.model.records import Attempt, Event, Job, LogLine, Run, Task
from zopio_trigger.model.retry import Retry
from zopio_trigger.model.states import OPEN_TASK_STATES, is_final
from zopio_trigger.model.trigger import EventTrigger, InvokeTrigger, text_of
from zopio_trigger.platform.platform import Platform
from zopio_trigger.storage.sqlite.store import SQLiteStore
from zopio_trigger.transport.ports import Roster

ENV = 1
SECOND = 1_000_000
MAX_INTERRUPTIONS = 5  # deaths while executing, without a newly completed task between them
LIMITS = {"free": None, "two": 2, "keyed": 1}
SLOTS = {"w1": 3, "w2": 1}
HASHES = ("t0", "t1", "t2", "t3")
USER_IDS = ("order-1", "order-2")
REFUSALS = (LeaseLost, Conflict, NotFound)
UNDER_LEASE = (
    c.BeginTask, c.CompleteTask, c.FailTask, c.CloseTask, c.BeginWaits, c.CompleteRun, c.FailRun,
)  # fmt: skip
AGAIN = 1_500_000  # microseconds in which a run that was refused is offered again
HELD, ALONE = HOLDER_FIRST_FOR, WAITS_TO_BE_ALONE


def jobs() -> list[Job]:
    on_event = text_of(EventTrigger(("happened",)))
    return [
        a_job(id="free", trigger=on_event, on_failure=True, limit=None),
        a_job(id="free/on-failure", trigger=text_of(InvokeTrigger()), internal=True),
        a_job(id="two", trigger=text_of(EventTrigger(("happened", "other"))), limit=2),
        a_job(id="keyed", trigger=text_of(EventTrigger(("other",))), limit=1, limit_key="key", priority=5),
    ]


class FailingStore(SQLiteStore):
    """A store that may refuse to write, as a full disk does."""

    is_full = False
    is_open = False

    async def open(self) -> None:
        if not self.is_open:
            self.is_open = True
            await super().open()

    async def close(self) -> None: ...

    async def write(self, changes: Changes) -> None:
        if self.is_full:
            raise StoreError("disk full")
        await super().write(changes)

    async def everything(self) -> Snapshot:
        """Every row there is."""

        def read(database: Any) -> Snapshot:
            def rows(kind: Any, table: str) -> list[Any]:
                names = ", ".join(f'"{name}"' for name in kind.__struct_fields__)
                found = database.execute(f"SELECT {names} FROM {table}").fetchall()
                return msgspec.convert(found, list[kind], strict=False)

            return Snapshot(
                {run.id: run for run in rows(Run, "runs")},
                {(task.run_id, task.hash): task for task in rows(Task, "tasks")},
                {event.id: event for event in rows(Event, "events")},
                {(line.run_id, line.token, line.number): line for line in rows(LogLine, "logs")},
                {(row.run_id, row.hash, row.number): row for row in rows(Attempt, "attempts")},
            )

        return await self._write(read)


class Snapshot(msgspec.Struct):
    """All rows of one moment."""

    runs: dict[str, Run]
    tasks: dict[tuple[str, str], Task]
    events: dict[str, Event]
    logs: dict[tuple[str, int, int], LogLine]
    attempts: dict[tuple[str, str, int], Attempt]

    def open_tasks(self, run_id: str) -> list[Task]:
        return [
            task for task in self.tasks.values() if task.run_id == run_id and task.state in OPEN_TASK_STATES
        ]


class Worker:
    """Notes which leases it was given; chance says what it does with them."""

    def __init__(self, name: str, leases: list[tuple[str, int]]) -> None:
        self.name = name
        self.leases = leases

    def start_run(self, run: Run, event: Event, tasks: Sequence[Task]) -> None:
        self.leases.append((run.id, run.token))

    def resume(self, run: Run) -> None:
        self.leases.append((run.id, run.token))

    def wake(self, task: Task) -> None: ...

    def stop_run(self, run_id: str) -> None: ...


class PlatformMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.random = random.Random(0)
        self.ids = Ids(self.clock, self.random)
        self.leases: list[tuple[str, int]] = []
        self.said: list[c.Command] = []
        self.acknowledged: dict[str, tuple[str, str]] = {}  # name and payload of each event, by its public id
        self.results: dict[tuple[str, str], str | None] = {}  # what a completed task answered
        self.lines = 0
        self.boots = 0
        self.was_set_back = False

    @initialize()
    def start(self) -> None:
        self.runner.run(self._start())

    async def _start(self) -> None:
        self.store = FailingStore(":memory:", clock=self.clock)
        await self.store.open()
        await self._boot()
        self.before = await self.store.everything()
        self.now = self.before

    async def _boot(self) -> None:
        self.boots += 1
        self.platform = Platform(store=self.store, clock=self.clock, ids=self.ids, retention=None)
        await self.platform.start()
        assert self.platform.rows.catalogs or self.boots == 1
        desk = self.platform.desk(ENV)
        if self.boots == 1:
            await self.store.add_environment("dev", "development", self.clock.now())
        for name, slots in SLOTS.items():
            served = [job for job in jobs() if name == "w1" or job.id != "keyed"]
            worker = f"{name}-{self.boots}"
            roster = Roster(worker=worker, slots=slots, jobs=tuple(served), schedules=())
            await desk.join(roster, Worker(worker, self.leases))

    def teardown(self) -> None:
        async def close() -> None:
            await self.platform.stop()
            await SQLiteStore.close(self.store)

        if self.boots:
            self.runner.run(close())
        self.runner.close()

    # --- doing

    def do(self, *commands: c.Command) -> list[Any]:
        """Ask for commands together, let everything happen, look at all rows."""
        self.said += commands
        return self.runner.run(self._do(commands))

    async def _do(self, commands: Sequence[c.Command]) -> list[Any]:
        answers = await asyncio.gather(
            *[self.platform.committer.submit(command) for command in commands], return_exceptions=True
        )
        await self._settle()
        refusals = (*REFUSALS, StoreError) if self.store.is_full else REFUSALS
        for command, answer in zip(commands, answers, strict=True):
            assert not isinstance(answer, BaseException) or isinstance(answer, refusals), answer
            assert not self._is_stale(command) or isinstance(answer, refusals), f"{command} was too late"
            self._remember(command, answer)
        return list(answers)

    def _is_stale(self, command: c.Command) -> bool:
        """True when a worker says something about a run that has been leased anew since."""
        run = self.before.runs.get(getattr(command, "run_id", ""))
        return isinstance(command, UNDER_LEASE) and run is not None and run.token > command.token

    def _remember(self, command: c.Command, answer: Any) -> None:
        """Take what was acknowledged at its word."""
        if isinstance(command, c.SendEvent) and isinstance(answer, c.Receipt) and not answer.is_duplicate:
            self.acknowledged.setdefault(answer.id, (command.name, command.payload))
        if isinstance(command, c.CompleteTask) and isinstance(answer, Task) and answer.state == "completed":
            place = (answer.run_id, answer.hash)
            assert self.results.setdefault(place, answer.output) == answer.output

    async def _settle(self) -> None:
        for _ in range(3):
            await self.platform.committer.settled()
            await asyncio.sleep(0)
            while not self.platform.is_idle:  # the loop's own turns are what is waited for
                await asyncio.sleep(0)
        self.before, self.now = self.now, await self.store.everything()

    # --- what people and time do

    @rule(
        name=st.sampled_from(["happened", "other", "nobody listens"]),
        user_id=st.sampled_from([None, None, *USER_IDS]),
        key=st.integers(0, 2),
        after=st.sampled_from([None, None, None, 5 * SECOND]),
        count=st.integers(1, 3),
    )
    def send_events(self, name: str, user_id: str | None, key: int, after: int | None, count: int) -> None:
        self.do(
            *(
                c.SendEvent(
                    ENV,
                    self.ids.new("evt"),
                    name,
                    f'{{"key":{key},"nth":{nth}}}',
                    user_id,
                    deliver_after=after,
                )
                for nth in range(count)
            )
        )

    @rule(data=st.data())
    def cancel_an_event(self, data: st.DataObject) -> None:
        if self.now.events:
            event = data.draw(st.sampled_from(sorted(self.now.events)))
            self.do(c.CancelEvent(ENV, self.now.events[event].public_id))

    @rule(data=st.data(), what=st.sampled_from(["cancel", "replay", "retry"]), times=st.integers(1, 2))
    def intervene(self, data: st.DataObject, what: str, times: int) -> None:
        if not self.now.runs:
            return
        run_id = data.draw(st.sampled_from(sorted(self.now.runs)))
        makers: dict[str, Callable[[], c.Command]] = {
            "cancel": lambda: c.CancelRun(ENV, run_id),
            "replay": lambda: c.ReplayRun(ENV, run_id, self.ids.new("run")),
            "retry": lambda: c.RetryRun(ENV, run_id),
        }
        self.do(*(makers[what]() for _ in range(times)))

    @rule(seconds=st.sampled_from([0.5, 2, 20, 100]))
    def time_passes(self, seconds: float) -> None:
        async def move() -> None:
            self.clock.advance(seconds)
            await self._settle()

        self.runner.run(move())

    @rule(seconds=st.integers(1, 50))
    def the_clock_is_set_back(self, seconds: int) -> None:
        async def move() -> None:
            self.was_set_back = True
            self.clock.set(self.clock.now() - seconds * SECOND)
            await self._settle()

        self.runner.run(move())

    @rule(data=st.data())
    def say_something_again(self, data: st.DataObject) -> None:
        """Whatever was asked is asked once more, as by somebody who was not told what became of it."""
        if self.said:
            self.do(data.draw(st.sampled_from(self.said[-20:])))

    @rule()
    def the_process_dies(self) -> None:
        async def die() -> None:
            self.platform.abandon()
            await self._boot()
            await self._settle()

        self.runner.run(die())

    @rule(data=st.data())
    def the_disk_is_full(self, data: st.DataObject) -> None:
        """Nothing of the batch is stored, and nothing of it stays in memory."""
        if not self.said:
            return
        self.store.is_full = True
        answers = self.do(*data.draw(st.lists(st.sampled_from(self.said[-20:]), min_size=1, max_size=3)))
        self.store.is_full = False
        assert self.now == self.before
        assert not any(_says_it_wrote(answer) for answer in answers)

        async def go_on() -> None:
            self.clock.advance(AGAIN / SECOND)
            await self._settle()

        self.runner.run(go_on())

    # --- what workers do

    def _lease(self, data: st.DataObject) -> tuple[str, int] | None:
        """Mostly one that is valid, sometimes one of the past."""
        if not self.leases:
            return None
        valid = [
            lease
            for lease in dict.fromkeys(self.leases)
            if (run := self.now.runs.get(lease[0])) is not None
            and (run.token, run.state) == (lease[1], "executing")
        ]
        is_stale = data.draw(st.integers(0, 9)) == 0
        choices = self.leases if is_stale or not valid else valid
        return data.draw(st.sampled_from(choices[-8:]))

    @rule(data=st.data(), count=st.integers(1, 4))
    def workers_work(self, data: st.DataObject, count: int) -> None:
        commands = [command for _ in range(count) if (command := self._command_of_a_worker(data)) is not None]
        if commands:
            self.do(*commands)

    def _command_of_a_worker(self, data: st.DataObject) -> c.Command | None:
        lease = self._lease(data)
        if lease is None:
            return None
        run_id, token = lease
        task = c.TaskName(data.draw(st.sampled_from(HASHES)), self.ids.new("task"), None, "task", "key", 3)
        now, logs = self.clock.now(), self._lines(run_id, token)
        kind = data.draw(
            st.sampled_from(
                ["begin", "complete", "complete", "fail", "wait", "wait", "close", "end", "log", "release"]
            )
        )
        match kind:
            case "begin":
                return c.BeginTask(run_id, token, task, self._attempt(run_id, task.hash), now)
            case "complete":
                output = str(data.draw(st.integers(0, 9)))
                attempt = self._attempt(run_id, task.hash)
                return c.CompleteTask(run_id, token, task, attempt, now, output, logs, self._events(data))
            case "fail":
                retry = data.draw(st.sampled_from([None, Retry(max_attempts=3, randomize=False)]))
                attempt = self._attempt(run_id, task.hash)
                return c.FailTask(run_id, token, task, attempt, now, '{"type":"E"}', retry, logs=logs)
            case "wait":
                return self._waits(data, run_id, token, logs)
            case "close":
                return c.CloseTask(run_id, token, task, 1, now)
            case "end":
                if data.draw(st.booleans()):
                    return c.CompleteRun(run_id, token, "1", logs)
                return c.FailRun(run_id, token, "failed", '{"type":"E"}', "f", logs)
            case "log":
                return c.WriteLogs(run_id, token, logs)
            case _:
                return data.draw(st.sampled_from([c.ReleaseRun(run_id, token), c.ResumeRun(run_id, token)]))

    def _waits(self, data: st.DataObject, run_id: str, token: int, logs: tuple[LogLine, ...]) -> c.BeginWaits:
        names = data.draw(st.lists(st.sampled_from(["w0", "w1", "w2"]), unique=True, max_size=2))
        waits = tuple(
            c.Wait(
                c.TaskName(name, self.ids.new("task"), None, "wait", name),
                data.draw(st.sampled_from([0, SECOND, 60 * SECOND])),
                None,
            )
            for name in names
        )
        others = [task.hash for task in self.now.open_tasks(run_id) if task.hash not in names]
        asked = data.draw(st.lists(st.sampled_from([*others, *HASHES]), unique=True, max_size=2))
        return c.BeginWaits(run_id, token, waits, data.draw(st.booleans()), tuple(asked), logs)

    def _attempt(self, run_id: str, hash: str) -> int:
        known = self.now.tasks.get((run_id, hash))
        return 1 if known is None else known.attempt

    def _events(self, data: st.DataObject) -> tuple[c.SendEvent, ...]:
        ids = data.draw(st.sampled_from([(), (), (None,), ("order-1", "order-1"), ("order-2", None)]))
        return tuple(c.SendEvent(ENV, self.ids.new("evt"), "other", '{"key":9}', user_id) for user_id in ids)

    def _lines(self, run_id: str, token: int) -> tuple[LogLine, ...]:
        self.lines += 1
        return (LogLine(run_id, token, self.lines, self.clock.now(), "info", None, '"line"', None),)

    # --- what must always be true

    @invariant()
    def everything_holds(self) -> None:
        if not self.boots:
            return
        self.runs_change_as_they_may()
        self.completed_tasks_never_change()
        self.what_was_acknowledged_is_there()
        self.an_event_makes_one_run_for_each_job()
        self.limits_hold()
        self.finished_runs_leave_nothing_open()
        self.suspended_runs_wait_for_something_that_comes()
        self.what_is_due_has_happened()
        self.memory_equals_the_store()
        self.nobody_waits_for_what_is_free()

    def runs_change_as_they_may(self) -> None:
        for run in self.now.runs.values():
            assert (run.state == "crashed") == (run.interruptions >= MAX_INTERRUPTIONS)
        for run_id, old in self.before.runs.items():
            new = self.now.runs[run_id]
            assert new.token >= old.token
            assert new.revision >= old.revision
            assert (new.revision == old.revision) <= (new == old), "a row changed under its revision"
            if is_final(old.state) and new != old:
                assert any(isinstance(said, c.RetryRun) and said.run_id == run_id for said in self.said)
                assert old.state != "completed"

    def completed_tasks_never_change(self) -> None:
        for place, old in self.before.tasks.items():
            if old.state == "completed":
                assert self.now.tasks[place] == old
        for place, output in self.results.items():
            assert self.now.tasks[place].output == output

    def what_was_acknowledged_is_there(self) -> None:
        stored = {event.public_id: (event.name, event.payload) for event in self.now.events.values()}
        for public_id, told in self.acknowledged.items():
            assert stored[public_id] == told
        assert self.before.logs.keys() <= self.now.logs.keys()
        assert self.before.attempts.keys() <= self.now.attempts.keys()

    def an_event_makes_one_run_for_each_job(self) -> None:
        runs = Counter((run.event_id, run.job, run.replay_no) for run in self.now.runs.values())
        assert not runs or max(runs.values()) == 1
        for event in self.now.events.values():
            made = [run for run in self.now.runs.values() if run.event_id == event.id]
            if event.cancelled_at is not None or event.delivered_at is None:
                assert made == []
            elif event.name == "happened":
                assert {run.job for run in made} == {"free", "two"}

    def limits_hold(self) -> None:
        executing = [run for run in self.now.runs.values() if run.state == "executing"]
        for line, count in Counter(run.line for run in executing).items():
            assert count <= (LIMITS.get(line[1]) or count)
        for worker, count in Counter(run.holder for run in executing).items():
            assert count <= SLOTS[str(worker).split("-")[0]]
        for run in executing:
            # How long it had waited when it was leased can be told later only while the clock goes forward.
            if run.executes_alone and self._waited(run) <= ALONE and not self.was_set_back:
                beside = [other.id for other in executing if other.holder == run.holder]
                assert beside == [run.id], f"{run} waited {self._waited(run)}"

    def finished_runs_leave_nothing_open(self) -> None:
        for run in self.now.runs.values():
            if is_final(run.state):
                assert self.now.open_tasks(run.id) == []
                assert run.holder is None

    def suspended_runs_wait_for_something_that_comes(self) -> None:
        for run in self.now.runs.values():
            if run.state == "suspended":
                waiting = [task for task in self.now.open_tasks(run.id) if task.state == "waiting"]
                assert any(task.due_at is not None for task in waiting), f"{run.id} would sleep for ever"

    def what_is_due_has_happened(self) -> None:
        for task in self.now.tasks.values():
            if task.state == "waiting" and task.due_at is not None:
                assert task.due_at > self.clock.now()
        for event in self.now.events.values():
            if event.delivered_at is None and event.cancelled_at is None:
                assert event.deliver_at > self.clock.now()

    def memory_equals_the_store(self) -> None:
        rows, runs = self.platform.rows, self.now.runs.values()
        ready = Counter(run.line for run in runs if run.state == "ready")
        executing = {run.id: run for run in runs if run.state == "executing"}
        assert rows.ready == ready.total()
        assert {line: state.ready for line, state in rows.lines.items() if state.ready} == ready
        assert {id for state in rows.lines.values() for id in state.executing} == set(executing)
        assert all(state.ready or state.executing for state in rows.lines.values())
        for seat in rows.seats.values():
            held = {id for id, run in executing.items() if run.holder == seat.worker}
            assert set(seat.executing) == held
            assert seat.alone in (held if seat.alone else {None})
        for run_id, run in rows._runs.items():
            assert run == self.now.runs[run_id]
            assert rows.open_tasks(run_id) == {task.hash: task for task in self.now.open_tasks(run_id)}
        assert rows._tasks.keys() <= rows._runs.keys()
        assert not rows._loaded
        assert not rows._undo

    def nobody_waits_for_what_is_free(self) -> None:
        """At once, or when runs that were refused are offered again."""
        if any(self._could_execute(run) for run in self.now.runs.values()):
            self.time_passes(AGAIN / SECOND)
            assert [run for run in self.now.runs.values() if self._could_execute(run)] == []

    def _could_execute(self, run: Run) -> bool:
        rows = self.platform.rows
        if run.state != "ready" or (rows.is_live(run.holder) and self._waited(run) < HELD + AGAIN):
            return False
        if len(rows.line_executing(run.line)) >= (LIMITS.get(run.queue) or 100):
            return False
        if any(other.executes_alone and self._waited(other) < ALONE + AGAIN for other in self._line_of(run)):
            return False
        seats = [seat for seat in rows.seats.values() if run.job in seat.jobs]
        return any(seat.free > 0 and seat.alone is None for seat in seats)

    def _line_of(self, run: Run) -> list[Run]:
        return [
            other for other in self.now.runs.values() if other.state == "ready" and other.line == run.line
        ]

    def _waited(self, run: Run) -> int:
        return abs(self.clock.now() - run.ready_at)


def _says_it_wrote(answer: object) -> bool:
    return isinstance(answer, c.Receipt) and not answer.is_duplicate and not answer.runs


QUICK = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is said each time, and that is often."""
    caplog.set_level(logging.CRITICAL, logger="zopio_trigger")


def test_whatever_chance_does_the_promises_hold() -> None:
    run_state_machine_as_test(PlatformMachine, settings=QUICK)


@pytest.mark.slow
@pytest.mark.soak
def test_whatever_chance_does_at_length_the_promises_hold() -> None:
    thorough = settings(QUICK, max_examples=500, stateful_step_count=60, derandomize=False, print_blob=True)
    run_state_machine_as_test(PlatformMachine, settings=thorough)
