"""The platform: its use cases by name, and the services that make time pass in it.

`Platform` is one store with its committer, dispatcher and timers. `Desk` is the platform as the holder of one
environment's key sees it; it satisfies `ClientLink` and `WorkerLink` for whoever is in the same process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from zopio_trigger.engine.effects import (
    Changed,
    Effect,
    LineReady,
    Logged,
    News,
    Resume,
    SlotFreed,
    Start,
    Stop,
    TimerSet,
    Wake,
)
from zopio_trigger.engine.rows import Rows, Seat
from zopio_trigger.model.clock import Clock
from zopio_trigger.model.commands import (
    Advertise,
    CancelEvent,
    CancelRun,
    Command,
    InterruptRun,
    Receipt,
    ReleaseRun,
    ReplayRun,
    RetryRun,
    SendEvent,
    SendEvents,
)
from zopio_trigger.model.ids import Ids
from zopio_trigger.model.records import Job, Queue, Run, Schedule
from zopio_trigger.model.views import EventView, JobView, LogView, RunPage, RunView, ScheduleView
from zopio_trigger.platform.committer import Committer
from zopio_trigger.platform.dispatcher import Dispatcher
from zopio_trigger.platform.pruner import Pruner
from zopio_trigger.platform.reads import Reads
from zopio_trigger.platform.timers import Timers
from zopio_trigger.storage.port import Boot, Store
from zopio_trigger.transport.ports import EventRequest, Inbox, Roster

RETENTION = 30 * 86_400_000_000  # microseconds a finished run is kept unless said otherwise

log = logging.getLogger(__name__)


class Platform:
    """Everything behind the API, on one store, in this process.

    Parameters:
        store, clock, ids: what it stands on; handed in, so that tests can move time and kill processes.
        retention: microseconds a run is kept after its end; None keeps everything. Default 30 days.
    """

    def __init__(self, *, store: Store, clock: Clock, ids: Ids, retention: int | None = RETENTION) -> None:
        self.store = store
        self.clock = clock
        self.ids = ids
        self.rows = Rows()
        self.committer = Committer(store=store, rows=self.rows, clock=clock, act=self._act)
        self.dispatcher = Dispatcher(store=store, rows=self.rows, committer=self.committer, clock=clock)
        self.timers = Timers(store=store, rows=self.rows, committer=self.committer, clock=clock, ids=ids)
        self.pruner = Pruner(store=store, clock=clock, retention=retention)
        self.reads = Reads(store=store, rows=self.rows, clock=clock)
        self.is_stopping = False
        self._followers: dict[object, Callable[[News], None]] = {}

    # --- lifecycle

    async def open(self) -> Boot:
        """Open the store and remember its definitions. Nothing in it is touched."""
        await self.store.open()
        boot = await self.store.boot()
        self._remember(boot)
        return boot

    async def start(self) -> None:
        """Open the store, take the runs of dead holders back, begin to keep time."""
        boot = await self.open()
        await self._reap(boot)
        self.timers.start()
        self.pruner.start()

    async def stop(self) -> None:
        """Commit what was asked for and let go of the store. Workers leave first."""
        self.is_stopping = True
        await self.timers.stop()
        await self.pruner.stop()
        await self.committer.close()
        self.dispatcher.abandon()
        await self.store.close()

    def abandon(self) -> None:
        """Stop as a killed process would. The store is left to its owner."""
        self.is_stopping = True
        self.committer.abandon()
        self.timers.abandon()
        self.pruner.abandon()
        self.dispatcher.abandon()

    @property
    def is_idle(self) -> bool:
        """True when no service is at work; what waits for time or for a worker may still wait."""
        return self.timers.is_idle and self.dispatcher.is_idle

    def desk(self, env_no: int) -> Desk:
        """The platform as one environment sees it."""
        return Desk(self, env_no)

    def follow(self, follower: Callable[[News], None]) -> Callable[[], None]:
        """Hear of every change of a run or task and of every line logged, after its commit; returns how to stop
        hearing. The follower is called on the event loop, must return at once and must not raise."""
        key = object()
        self._followers[key] = follower
        return lambda: self._followers.pop(key, None) and None

    def _remember(self, boot: Boot) -> None:
        definitions: list[Job | Schedule | Queue] = [*boot.queues, *boot.jobs, *boot.schedules]
        for row in definitions:
            self.rows.catalog(row.env_no).put(row)
        for line, count in boot.ready:
            self.rows.add_ready(line, count)

    async def _reap(self, boot: Boot) -> None:
        """Runs that were executing when the last process ended have no holder any more."""
        interrupted = [self.committer.submit(InterruptRun(run_id, token)) for run_id, token in boot.executing]
        await asyncio.gather(*interrupted)
        if interrupted:
            log.info("%d runs were interrupted by the end of the last process and go on", len(interrupted))

    # --- after each commit

    def _act(self, effects: list[Effect]) -> None:
        needs_nudge = False
        news: list[News] = []
        for effect in effects:
            kind = type(effect)
            if kind is Changed or kind is Logged:
                news.append(effect)  # type: ignore[arg-type]  # checked by `kind`
            elif kind is SlotFreed or kind is LineReady:
                needs_nudge = True
            else:
                self._tell(effect)
        if needs_nudge:
            self.dispatcher.nudge()
        if self._followers:
            self._spread(news)

    def _spread(self, news: list[News]) -> None:
        """Tell followers last, each on its own: what goes wrong with one of them is nobody else's concern."""
        for follower in tuple(self._followers.values()):
            try:
                for item in news:
                    follower(item)
            except Exception:
                log.exception("a follower of runs failed")

    def _tell(self, effect: Effect) -> None:
        match effect:
            case Start():
                self.dispatcher.start(effect)
            case Resume():
                self.dispatcher.resume(effect)
            case Wake():
                self.dispatcher.wake(effect)
            case Stop():
                self.dispatcher.stop(effect)
            case TimerSet():
                self.timers.set(effect.at)


class Desk:
    """One environment's view of a platform in this process: what its clients and workers may ask."""

    def __init__(self, platform: Platform, env_no: int) -> None:
        self.env_no = env_no
        self._platform = platform
        self._committer = platform.committer
        self.submit: Callable[[Command], asyncio.Future[Any]] = platform.committer.submit
        self.ride: Callable[[Command], None] = platform.committer.ride

    # --- for clients

    def send_event(self, event: EventRequest) -> asyncio.Future[Receipt]:
        """Send one event; the answer arrives when it is on disk."""
        return self._committer.submit(self.command(event))

    async def send_events(self, events: Sequence[EventRequest]) -> list[Receipt]:
        """Send events in one transaction: all are stored, or none."""
        command = SendEvents(tuple([self.command(event) for event in events]))
        return list(await self._committer.submit(command))

    async def get_event(self, event_id: str) -> EventView:
        return await self._platform.reads.event(self.env_no, event_id)

    async def cancel_event(self, event_id: str) -> EventView:
        await self._committer.submit(CancelEvent(self.env_no, event_id))
        return await self.get_event(event_id)

    async def get_run(self, run_id: str) -> RunView:
        return await self._platform.reads.run(self.env_no, run_id)

    async def list_runs(
        self, *, status: Sequence[str] = (), job: str | None = None, event_id: str | None = None,
        since: int | None = None, cursor: str | None = None, limit: int = 50,
    ) -> RunPage:  # fmt: skip
        return await self._platform.reads.runs(
            self.env_no, status=status, job=job, event_id=event_id, since=since, cursor=cursor, limit=limit
        )

    async def cancel_run(self, run_id: str, reason: str = "") -> RunView:
        await self._committer.submit(CancelRun(self.env_no, run_id, reason=reason))
        return await self.get_run(run_id)

    async def replay_run(self, run_id: str) -> RunView:
        new_id = self._platform.ids.new("run")
        run: Run = await self._committer.submit(ReplayRun(self.env_no, run_id, new_id))
        return await self.get_run(run.id)

    async def retry_run(self, run_id: str) -> RunView:
        await self._committer.submit(RetryRun(self.env_no, run_id))
        return await self.get_run(run_id)

    async def get_logs(self, run_id: str, *, cursor: str | None = None, limit: int = 500) -> list[LogView]:
        return await self._platform.reads.logs(self.env_no, run_id, cursor=cursor, limit=limit)

    async def list_jobs(self) -> list[JobView]:
        return self._platform.reads.jobs(self.env_no)

    async def list_schedules(self, *, upcoming: int = 1) -> list[ScheduleView]:
        return self._platform.reads.schedules(self.env_no, upcoming=upcoming)

    def command(self, event: EventRequest) -> SendEvent:
        """The command that sends an event, with an id of its own: repeated, it does nothing more."""
        return SendEvent(
            self.env_no,
            self._platform.ids.new("evt"),
            event.name,
            event.payload,
            event.id,
            event.source,
            event.context,
            event.timestamp,
            event.deliver_at,
            event.deliver_after,
            event.is_test,
            event.job,
            event.origin_run,
            event.account,
        )

    # --- for workers

    async def join(self, roster: Roster, inbox: Inbox) -> None:
        await self._committer.submit(Advertise(self.env_no, roster.jobs, roster.schedules))
        known = self._platform.rows.seats.get(roster.worker)
        served = frozenset(job.id for job in roster.jobs)
        if known is None:
            self._platform.rows.seats[roster.worker] = Seat(
                roster.worker, self.env_no, roster.slots, served, {}
            )
        else:
            known.jobs, known.slots = served, roster.slots
        self._platform.dispatcher.open(roster.worker, inbox)

    async def leave(self, worker: str) -> None:
        await self._committer.settled()
        seat = self._platform.rows.seats.get(worker)
        for run_id in [*seat.executing] if seat is not None else []:  # granted, but never delivered
            run = self._platform.rows.remembered(run_id)
            if run is not None:
                await self._committer.submit(ReleaseRun(run.id, run.token))
        self._platform.rows.seats.pop(worker, None)
        self._platform.dispatcher.close(worker)

    def drain(self, worker: str) -> None:
        seat = self._platform.rows.seats.get(worker)
        if seat is not None:
            seat.is_draining = True
