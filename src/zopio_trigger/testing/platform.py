"""`TestPlatform`: a platform with a worker in the test's own event loop, whose time and deaths the test decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Self

import msgspec

from zopio_trigger.composition import System
from zopio_trigger.engine.effects import Changed, News
from zopio_trigger.errors import ConfigurationError, Conflict
from zopio_trigger.model.clock import ManualClock, SystemClock
from zopio_trigger.model.commands import Command, SendEvents
from zopio_trigger.model.durations import SECOND_US, duration_us
from zopio_trigger.model.names import TaskKey, display_key
from zopio_trigger.model.records import Environment, Event, Run
from zopio_trigger.model.views import RunView
from zopio_trigger.sdk.client import TriggerClient
from zopio_trigger.sdk.requests import event_request
from zopio_trigger.storage.port import RunQuery
from zopio_trigger.testing.run import TestRun
from zopio_trigger.testing.store import Death, MemoryStore, Moment, completes, nth
from zopio_trigger.transport.ports import EventRequest
from zopio_trigger.worker.worker import MAX_RESIDENTS, SLOTS, Worker

QUIET_TURNS = 3  # of the event loop, without anything new: what one step starts, the next two show
TURNS_BEFORE_SLEEP = 60  # then it is not a matter of turns: something real is waited for
POLL_SECONDS = 0.001  # real
MOST_LISTED = 1_000  # runs, lines and events shown


class TestPlatform:
    """The real engine on SQLite in memory, for tests that are `async def`.

    Parameters:
        clients: whose jobs are executed; what they send goes to this platform.
        clock: where time comes from; default a `ManualClock` at 2026-01-01T00:00:00Z. It stands still until moved.
        seed: of all chance (ids, jitter), so that a test does the same each time. Default 0.
        slots: runs that execute at once; default 200.
        reexecute: True drops every run that waits from memory, so that its function is executed again from the top when
            it goes on, as after a restart. Finds code that does things outside of tasks. Default False.
        patience: real seconds that `settle` (and so `advance`) waits for code that is busy with something real, such as
            a thread, a socket or `asyncio.sleep`, before it takes it for stuck. Default 0.2.

    Example:
        >>> async with TestPlatform(client) as platform:
        ...     run = await platform.send("user.registered", {"email": "ada@example.com"})
        ...     await platform.advance(days=30)
        ...     assert run.state == "completed"
    """

    __test__ = False  # for pytest, which collects what is called Test…

    def __init__(
        self, *clients: TriggerClient, clock: ManualClock | None = None, seed: int = 0, slots: int = SLOTS,
        reexecute: bool = False, patience: float = 0.2,
    ) -> None:  # fmt: skip
        self.clock = clock or ManualClock()
        self.crashes = 0
        self._clients = clients
        self._slots = slots
        self._max_residents = 0 if reexecute else MAX_RESIDENTS
        self._patience = patience
        self._random = random.Random(seed)
        self._real = SystemClock()
        self._store = MemoryStore(clock=self.clock, die=self._die)
        self._system: System | None = None
        self._worker: Worker | None = None
        self._environment: Environment | None = None
        self._starting: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen: dict[str, TestRun] = {}
        self._stale: set[str] = set()

    # --- lifecycle

    async def __aenter__(self) -> Self:
        await self.ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ready(self) -> None:
        """Start, unless that was done; every other method does this first."""
        if self._starting is None:
            self._loop = asyncio.get_running_loop()
            self._begin_process()
        while (starting := self._starting) is not None:
            await asyncio.wait([starting])
            if starting is self._starting:  # else that process died as it began, and another one is beginning
                if not starting.cancelled():
                    starting.result()
                return

    async def close(self) -> None:
        """Stop, as an orderly shutdown would, and forget everything."""
        if self._starting is None:
            return
        await self.ready()
        await self._running.stop()
        await self._store.dispose()
        self._starting = None

    def dispose(self) -> None:
        """Let go of everything when the test is over; called by the fixture, outside of the event loop."""
        loop = self._loop
        if loop is None or self._starting is None:
            return
        if not loop.is_closed():
            loop.run_until_complete(self.close())
            return
        for client in self._clients:  # the loop has gone with all that was in it; what is left are threads
            client.bind(None)
        if self._worker is not None:
            self._worker.threads.shutdown(wait=False, cancel_futures=True)
        self._store.let_go()

    # --- what a test does

    async def send(self, name: str, payload: object = None, **options: Any) -> TestRun:
        """Send an event that starts exactly one run, and return the run.

        Parameters: as `client.send_event`. For events that start several runs, or none, use `send_to_all`.

        Raises:
            AssertionError: it started no run, or several.
        """
        runs = await self.send_to_all(name, payload, **options)
        if len(runs) != 1:
            started = ", ".join(run.job for run in runs) or "none"
            raise AssertionError(
                f"event {name!r} is to start one run, but it started {started}; use send_to_all for that, and "
                f"check the names and filters of your triggers ({', '.join(sorted(self._event_names()))})"
            )
        return runs[0]

    async def send_to_all(self, name: str, payload: object = None, **options: Any) -> list[TestRun]:
        """Send an event and return the runs it started, in the order in which the jobs were defined."""
        return await self._send([event_request(name, payload, **options)])

    async def send_many(self, events: Iterable[tuple[str, object]]) -> list[TestRun]:
        """Send events, given as (name, payload), in one transaction, and return the runs they started."""
        requests = [event_request(name, payload) for name, payload in events]
        return await self._send(requests)

    async def run(self, job: str | Callable[..., Any], payload: object = None, **options: Any) -> TestRun:
        """Run one job, whatever its trigger.

        Parameters:
            job: its id, or the function it was made of.
            payload: what the job gets; options as `client.send_event`.
        """
        id = self._job_id(job)
        request = event_request(f"test/{id}", payload, **options)
        runs = await self._send([msgspec.structs.replace(request, job=id)])
        return runs[0]

    async def advance(
        self, duration: float | timedelta | Mapping[str, float] | None = None, *, seconds: float | None = None,
        minutes: float | None = None, hours: float | None = None, days: float | None = None,
    ) -> None:  # fmt: skip
        """Move time forward. Whatever becomes due on the way happens at its time, and is over when this returns.

        Parameters:
            duration: seconds, a timedelta, or a mapping such as `{"hours": 24}`; or use the keywords.

        Each decision of the platform takes a microsecond of its own, by which the clock goes further.
        """
        left = duration_us(
            duration, seconds=seconds, minutes=minutes, hours=hours, days=days, what="TestPlatform.advance"
        )
        await self.settle()
        while (due := self.clock.next_due()) is not None and (step := due - self.clock.now()) <= left:
            left -= max(step, 0)
            self.clock.set(self.clock.now() + max(step, 0))
            await self.settle()
        self.clock.set(self.clock.now() + left)
        await self.settle()

    async def settle(self) -> None:
        """Return when nothing more happens by itself until the clock moves."""
        await self._until_quiet(self._patience, lambda: self._current.busy == 0)
        await self._look()

    async def runs(self, job: str | Callable[..., Any] | None = None) -> list[TestRun]:
        """The runs there are, of one job or of all, hooks included, oldest first; at most 1,000."""
        await self.settle()
        query = RunQuery(
            env_no=self._env_no, job=None if job is None else self._job_id(job), limit=MOST_LISTED
        )
        newest_first = await self._store.runs(query)
        rows = sorted(newest_first, key=lambda row: (row.created_at, row.id))
        return [await self._known(row.id, row) for row in rows]

    async def events(self) -> list[Event]:
        """The events there are, oldest first; at most 1,000."""
        await self.settle()
        rows = await self._store.events(self._env_no, None, MOST_LISTED)
        return rows[::-1]

    async def serve(self, *clients: TriggerClient) -> None:
        """Go on with the jobs of these clients, as after a deployment. Waiting runs wake up in the new code."""
        await self.settle()
        self._clients = clients
        await self._running.reload(self._current, clients)
        await self.settle()

    async def restart(self) -> None:
        """Stop in good order, handing back what is executing, and start again on the same store."""
        await self.settle()
        await self._running.stop()
        self._begin_process()
        await self.ready()

    # --- deaths

    def crash(self) -> None:
        """Kill the process now, whatever it is doing; a new one takes over on the same store."""
        self._die()

    def crash_before(self, key: TaskKey) -> None:
        """Let the process die right before the commit that completes this task: its body has run, its result is lost.
        Once; a new process takes over on the same store."""
        self._plan("before", completes(display_key(key)))

    def crash_after(self, key: TaskKey) -> None:
        """Let the process die right after the commit that completes this task, before anybody hears of it. Once; a
        new process takes over on the same store."""
        self._plan("after", completes(display_key(key)))

    def crash_at_commit(self, number: int, moment: Moment) -> None:
        """Let the process die right before or after the nth commit from now on, counted from 1."""
        self._plan(moment, nth(number))

    @property
    def commits(self) -> int:
        """How many transactions have been committed."""
        return self._store.commits

    # --- for TestRun

    async def ask(self, make: Callable[[System, int], Command]) -> Any:
        """Have a command decided, as a client does that cannot know whether the platform has died: when it does not
        answer, ask again with the same command, which then may say that it has been done.

        Parameters:
            make: makes the command for a running system and the number of the environment.
        """
        await self.ready()
        command, is_repeated = make(self._running, self._env_no), False
        while True:
            died, answer = self._died, self._running.platform.committer.submit(command)
            await asyncio.wait([died, answer], return_when=asyncio.FIRST_COMPLETED)
            if answer.done() and not (is_repeated and isinstance(answer.exception(), Conflict)):
                return answer.result()
            if answer.done():
                return None
            is_repeated = True
            await self.ready()

    async def settle_run(self, run: TestRun, timeout_seconds: float) -> None:
        """Wait until one run has ended or waits."""
        await self.settle()
        if run.state == "executing":
            await self._until_quiet(timeout_seconds, lambda: not self._executes(run.id))
            await self._look()

    async def skip_to_next(self) -> bool:
        """Move the clock to what is due next, and let it happen; False when nothing is."""
        due = self.clock.next_due()
        if due is None:
            return False
        self.clock.set(max(due, self.clock.now()))
        await self.settle()
        return True

    async def reason_of(self, run: TestRun) -> str:
        """Why a run does not go on."""
        view: RunView = await self._running.platform.reads.run(self._env_no, run.id)
        return view.status if view.waiting_reason is None else view.waiting_reason.text

    async def run_with(self, run_id: str) -> TestRun:
        """The run with this id."""
        await self.ready()
        return await self._known(run_id)

    async def _send(self, requests: list[EventRequest]) -> list[TestRun]:
        sent: list[str] = []

        def make(system: System, env_no: int) -> Command:
            desk = system.platform.desk(env_no)
            commands = [desk.command(request) for request in requests]
            sent.extend(command.id for command in commands)
            return commands[0] if len(commands) == 1 else SendEvents(tuple(commands))

        await self.ask(make)
        return [run for event_id in sent for run in await self._runs_of(event_id)]

    async def _runs_of(self, event_id: str) -> list[TestRun]:
        query = RunQuery(env_no=self._env_no, event_id=event_id, limit=MOST_LISTED)
        return [await self._known(row.id, row) for row in reversed(await self._store.runs(query))]

    # --- processes

    @property
    def _running(self) -> System:
        if self._system is None:
            raise ConfigurationError(
                "the test platform has not started; use `async with TestPlatform(client)`"
            )
        return self._system

    @property
    def _current(self) -> Worker:
        assert self._worker is not None
        return self._worker

    @property
    def _env_no(self) -> int:
        assert self._environment is not None
        return self._environment.no

    def _begin_process(self) -> None:
        self._system, self._worker = None, None
        self._died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._starting = asyncio.get_running_loop().create_task(self._start_process())

    async def _start_process(self) -> None:
        system = System(self._store, clock=self.clock, chance=self._random, retention=None)
        self._system = system
        await system.start()
        system.platform.follow(self._hear)
        self._environment = await system.environment()
        self._worker = await system.add_worker(
            self._clients, self._environment, slots=self._slots, max_residents=self._max_residents
        )

    def _die(self) -> None:
        self.crashes += 1
        self._abandon()
        self._catch_up()
        self._stale.update(self._seen)  # what changed with its last commit nobody was told
        died = self._died
        self._begin_process()
        died.set_result(None)

    def _abandon(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        if self._system is not None:
            self._system.abandon()

    def _plan(self, moment: Moment, matches: Callable[[Any], bool]) -> None:
        self._store.deaths.append(Death(moment, matches))

    # --- quiet

    async def _until_quiet(self, patience: float, is_done: Callable[[], bool]) -> None:
        """Return when nothing happens any more and `is_done`, or nothing has happened for so many real seconds."""
        pulse, turns, since = None, 0, self._real.monotonic()
        while True:
            await self.ready()
            await self._running.platform.committer.settled()
            await self.clock.sleep(0)
            if self._worker is None:  # it died just now
                continue
            if pulse != (pulse := self._pulse()):
                turns, since = 0, self._real.monotonic()
                continue
            turns += 1
            is_quiet = turns >= QUIET_TURNS and self._services_rest() and is_done()
            if is_quiet or self._real.monotonic() - since > patience:
                break
            if turns > TURNS_BEFORE_SLEEP:
                await self._real.sleep(POLL_SECONDS)
        self._catch_up()

    def _catch_up(self) -> None:
        """Let the microseconds that decisions took be over, so that what they began is as long as it says."""
        if self._system is None:
            return
        latest = self._system.platform.committer.last_instant
        if 0 < latest - self.clock.now() < SECOND_US:  # more than that: the test has set the clock back
            self.clock.set(latest)

    def _pulse(self) -> tuple[object, ...]:
        """What changes whenever something happens."""
        committer = self._running.platform.committer
        return self.crashes, committer.commits, committer.commands, self._current.busy, self._current.resident

    def _services_rest(self) -> bool:
        return self._running.platform.is_idle and self._current.is_idle

    def _executes(self, run_id: str) -> bool:
        run = self._seen.get(run_id)
        return run is None or run.row.state == "executing"

    # --- what is seen

    def _hear(self, news: News) -> None:
        """Called after each commit."""
        if isinstance(news, Changed):
            self._note(news.run)
        else:
            self._stale.update(line.run_id for line in news.lines)

    def _note(self, row: Run) -> None:
        seen = self._seen.get(row.id)
        if seen is not None:
            seen.row = row
            seen.state = row.state
            self._stale.add(row.id)

    async def _look(self) -> None:
        """Bring the runs the test knows up to date."""
        for run_id in list(self._stale):
            self._stale.discard(run_id)
            if run_id in self._seen:
                await self._refresh(self._seen[run_id])

    async def _known(self, run_id: str, row: Run | None = None) -> TestRun:
        seen = self._seen.get(run_id)
        if seen is None:
            row = row or await self._store.run(self._env_no, run_id)
            assert row is not None, f"run {run_id} is not in the store"
            seen = self._seen[run_id] = TestRun(self, row)
            await self._refresh(seen)
        return seen

    async def _refresh(self, seen: TestRun) -> None:
        row = await self._store.run(self._env_no, seen.id)
        assert row is not None, f"run {seen.id} is not in the store"
        tasks, attempts = await self._store.tasks(seen.id), await self._store.attempts(seen.id)
        seen._show(row, tasks, attempts, await self._store.logs(seen.id, None, MOST_LISTED))

    # --- names

    def _job_id(self, job: str | Callable[..., Any]) -> str:
        if isinstance(job, str):
            return job
        for client in self._clients:
            for id, definition in client.jobs.items():
                if definition.function is job or definition is job:
                    return id
        raise AssertionError(f"{job!r} is not the function of a job that this platform serves")

    def _event_names(self) -> list[str]:
        return self._running.platform.rows.catalog(self._env_no).event_names
