"""The worker: takes leased runs from a platform, executes them, keeps the sleeping ones in memory while there is room.

Implements `transport.ports.Inbox`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from zopio_trigger.errors import LeaseLost, StoreError
from zopio_trigger.model.clock import Cancellable, Clock
from zopio_trigger.model.commands import ReleaseRun
from zopio_trigger.model.durations import SECOND_US
from zopio_trigger.model.ids import Ids
from zopio_trigger.model.records import Environment, Event, Run, Task
from zopio_trigger.sdk.job import JobDefinition
from zopio_trigger.transport.ports import Inbox, Roster, WorkerLink
from zopio_trigger.worker.calling import SyncCaller
from zopio_trigger.worker.execution import Execution
from zopio_trigger.worker.steering import Evicted, RunCancelled, Unwound
from zopio_trigger.worker.task import TaskCall

SLOTS = 200  # runs that execute at once
MAX_RESIDENTS = 10_000  # suspended runs kept in memory
MAX_THREADS = 512  # sync jobs in memory, and sync tasks of async jobs
MAX_TASKS = 10_000  # in one run; each execution begins with reading them all
ENDS_WITHIN_SECONDS = 1.0  # real; given to code whose run was handed back when the worker stops
SHORT_WAIT = 1_000_000  # microseconds a sync job's thread waits rather than be given back
AGAIN_AFTER_SECONDS = 1.0  # between tries to hand a run back while the store fails
BEGIN_AFTER = 10_000  # microseconds a body runs before its start is recorded

log = logging.getLogger(__name__)


class Worker:
    """Executes runs of its jobs.

    Parameters:
        link: the platform.
        environment: the environment of the link's key, shown to jobs as `ctx.environment`.
        jobs: what it serves, by id.
        clock, ids, random: handed in, so that tests can move time.
        slots: runs that execute at once; default 200. Waiting runs take no slot.
        max_residents: suspended runs kept in memory, default 10,000; more are dropped, longest suspended first, and
            executed again from the top when they go on.
        max_tasks: tasks in one run, default 10,000; asking for one more raises `TooLarge` in the job.
    """

    def __init__(
        self, *, link: WorkerLink, environment: Environment, jobs: Mapping[str, JobDefinition], clock: Clock, ids: Ids,
        random: random.Random, slots: int = SLOTS, max_residents: int = MAX_RESIDENTS,
        max_tasks: int = MAX_TASKS,
    ) -> None:  # fmt: skip
        self.link = link
        self.environment = environment
        self.jobs = dict(jobs)
        self.clock = clock
        self.ids = ids
        self.random = random
        self.slots = slots
        self.id = ids.new("wrk")
        self.threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="zopio-job")
        self.max_tasks = max_tasks
        self._max_residents = max_residents
        self._executions: dict[str, Execution] = {}
        self._residents: OrderedDict[str, Execution] = OrderedDict()
        self._leaving: set[str] = set()  # suspended runs whose lease is being given up
        self._bodies: dict[TaskCall, None] = {}  # running, their start not yet recorded, oldest first
        self._sweep: Cancellable | None = None
        self._is_closed = False
        self._kept: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._context = contextvars.copy_context()

    # --- lifecycle

    async def start(self) -> None:
        """Advertise the jobs and begin to execute."""
        env_no = self.link.env_no
        schedules = [schedule for job in self.jobs.values() if (schedule := job.schedule(env_no)) is not None]
        roster = Roster(
            worker=self.id,
            slots=self.slots,
            jobs=tuple(job.row(env_no) for job in self.jobs.values()),
            schedules=tuple(schedules),
        )
        inbox: Inbox = self
        await self.link.join(roster, inbox)

    async def reload(self, jobs: Mapping[str, JobDefinition]) -> None:
        """Serve these jobs from now on. Runs in memory finish with the code they began with; sleeping ones are
        dropped and will wake up in the new code."""
        self.jobs = dict(jobs)
        await self.start()
        for execution in list(self._residents.values()):
            self._let_go(execution, Evicted("the code was reloaded"))

    async def drain(self, timeout_seconds: float) -> int:
        """Take no new runs, let executing ones finish, hand back what is left; returns how many were handed back."""
        self.link.drain(self.id)
        waiting = asyncio.ensure_future(self._idle.wait())
        giving_up = asyncio.ensure_future(self.clock.sleep(timeout_seconds))
        await asyncio.wait([waiting, giving_up], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        giving_up.cancel()
        return await self.stop()

    async def stop(self) -> int:
        """Hand back everything that is held, and leave; returns how many executing runs were handed back."""
        self.link.drain(self.id)
        held = list(self._executions.values())
        executing = sum(not execution.slot.is_given_back for execution in held)
        await asyncio.gather(*(self._release(execution, Evicted("the worker stops")) for execution in held))
        ending = [execution.task for execution in held if execution.task is not None]
        if ending:  # user code has its `finally` blocks; a thread that runs on is left behind
            await asyncio.wait(ending, timeout=ENDS_WITHIN_SECONDS)
        await self.link.leave(self.id)
        self._close()
        return executing

    def abandon(self) -> None:
        """Stop as a killed process would: nothing is handed back."""
        for execution in list(self._executions.values()):
            execution.evict(Evicted("the process was killed"))
            if execution.task is not None:
                execution.task.cancel()
        for task in list(self._kept):
            task.cancel()
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        self.threads.shutdown(wait=False, cancel_futures=True)

    @property
    def busy(self) -> int:
        """How many runs execute now."""
        return len(self._executions) - len(self._residents) - len(self._leaving)

    @property
    def is_on_loop(self) -> bool:
        """True in the thread of the event loop; false in those of plain functions."""
        return threading.get_ident() == self._loop_thread

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """From another thread: have this called on the loop, soon and in order. Nothing happens once it has gone."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    @property
    def is_idle(self) -> bool:
        """True when nothing is on its way between this worker and the platform."""
        return not self._kept

    @property
    def resident(self) -> int:
        """How many suspended runs are in memory."""
        return len(self._residents)

    # --- what the platform tells (Inbox)

    def start_run(self, run: Run, event: Event, tasks: Sequence[Task]) -> None:
        job = self.jobs.get(run.job)
        if job is None:  # reloaded without it a moment ago
            self.keep(asyncio.get_running_loop().create_task(self._give_back(run)))
            return
        old = self._executions.pop(run.id, None)
        if old is not None:
            self._residents.pop(run.id, None)
            self._leaving.discard(run.id)
            old.evict(Evicted("the run was leased anew"))
        execution = Execution(self, job, run, event, tasks)
        self._executions[run.id] = execution
        self._idle.clear()
        # In a context of its own: this may be called from that of another run, whose variables are not this run's.
        execution.task = self._loop.create_task(execution.execute(), context=self._context.copy())

    def resume(self, run: Run) -> None:
        execution = self._executions.get(run.id)
        if execution is not None and execution.run.token == run.token:
            execution.slot.regain()
        else:
            self.keep(asyncio.get_running_loop().create_task(self._give_back(run)))

    def wake(self, task: Task) -> None:
        execution = self._executions.get(task.run_id)
        if execution is not None:
            execution.wake(task)

    def stop_run(self, run_id: str) -> None:
        execution = self._executions.get(run_id)
        if execution is not None:
            execution.evict(RunCancelled("the run was cancelled"))

    # --- what executions tell

    def ended(self, execution: Execution) -> None:
        """The execution is over, whatever became of its run."""
        if self._executions.get(execution.run.id) is execution:
            del self._executions[execution.run.id]
            self._residents.pop(execution.run.id, None)
            self._leaving.discard(execution.run.id)
        self._note_idle()

    def suspended(self, execution: Execution, waits: Sequence[Task]) -> None:
        """The run sleeps in memory. Sync jobs give their thread back unless the wait is short."""
        self._residents[execution.run.id] = execution
        caller = execution.caller
        if isinstance(caller, SyncCaller) and not caller.is_held_up and self._is_long(execution, waits):
            self._let_go(execution, Unwound("a long wait"))
        elif len(self._residents) > self._max_residents:
            self._let_go(next(iter(self._residents.values())), Evicted("memory is wanted"))
        self._note_idle()

    def _let_go(self, execution: Execution, reason: Evicted) -> None:
        """Give up a resident."""
        del self._residents[execution.run.id]
        self._leaving.add(execution.run.id)
        self.keep(asyncio.get_running_loop().create_task(self._evict(execution, reason)))

    def resumed(self, execution: Execution) -> None:
        self._residents.pop(execution.run.id, None)
        self._leaving.discard(execution.run.id)
        self._idle.clear()

    def lost(self, execution: Execution, error: LeaseLost) -> None:
        """A write was refused: the run is cancelled or another's."""
        if not execution.is_cancelled:
            log.info("run %s is no longer held here: %s", execution.run.id, error)
        execution.evict(Evicted(str(error)))

    def log_trouble(self, execution: Execution, error: StoreError) -> None:
        log.error("run %s waits for the store, which failed: %s", execution.run.id, error)

    def began(self, call: TaskCall) -> None:
        """A body runs; if it still does in 10 ms, record that."""
        self._bodies[call] = None
        if self._sweep is None:
            self._sweep = self.clock.call_later(BEGIN_AFTER / SECOND_US, self._record_begun)

    def finished(self, call: TaskCall) -> None:
        self._bodies.pop(call, None)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold on to a background task until it is done."""
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    # --- below

    def _record_begun(self) -> None:
        """Record the start of bodies that have run for a while; look again when the next one may have."""
        self._sweep = None
        now = self.clock.now()
        while self._bodies:
            call = next(iter(self._bodies))
            left = call.started_at + BEGIN_AFTER - now
            if 0 < left <= BEGIN_AFTER:  # more than that: the clock was set back
                self._sweep = self.clock.call_later(left / SECOND_US, self._record_begun)
                return
            del self._bodies[call]
            call.record_begin()

    async def _evict(self, execution: Execution, reason: Evicted) -> None:
        """Drop a sleeping run from memory, unless it has gone on meanwhile."""
        if await self._give_back(execution.run, only_if_suspended=True):
            execution.evict(reason)
        else:
            self._leaving.discard(execution.run.id)

    async def _release(self, execution: Execution, reason: Evicted) -> None:
        """Give the lease up first, then the memory: nothing is written under a lease that is gone."""
        await self._give_back(execution.run)
        execution.evict(reason)

    async def _give_back(self, run: Run, *, only_if_suspended: bool = False) -> bool:
        """Give up the lease; tries again while the store fails, or the run would be nobody's."""
        while not self._is_closed:
            try:
                released: bool = await self.link.submit(ReleaseRun(run.id, run.token, only_if_suspended))
            except StoreError as error:
                log.error("run %s cannot be handed back now: %s", run.id, error)
                await self.clock.sleep(AGAIN_AFTER_SECONDS)
            else:
                return released
        return False

    def _is_long(self, execution: Execution, waits: Sequence[Task]) -> bool:
        now = self.clock.now()
        due = [
            task.due_at
            for task in execution.memo.values()
            if task.state == "waiting" and task.due_at is not None
        ]
        return min(due, default=now) - now > SHORT_WAIT

    def _note_idle(self) -> None:
        if self.busy <= 0:
            self._idle.set()
