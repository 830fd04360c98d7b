"""Timers: sleeps until the next instant at which something is due, then lets it happen. Nothing polls."""

from __future__ import annotations

import asyncio
import logging

from zopio_trigger.engine.rows import Rows
from zopio_trigger.errors import ZopioTriggerError
from zopio_trigger.model.clock import Cancellable, Clock
from zopio_trigger.model.commands import Command, DeliverEvent, FireSchedule, FireTimer
from zopio_trigger.model.ids import Ids
from zopio_trigger.platform.committer import Committer
from zopio_trigger.storage.port import Store

FIRED_AT_ONCE = 512  # due rows read and fired in one go
AGAIN_AFTER = 1_000_000  # microseconds until a failed scan is tried again

log = logging.getLogger(__name__)


class Timers:
    """Fires waits, retries, delayed events and schedules when they are due."""

    def __init__(self, *, store: Store, rows: Rows, committer: Committer, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._rows = rows
        self._committer = committer
        self._clock = clock
        self._ids = ids
        self._next_at: int | None = None
        self._alarm: Cancellable | None = None
        self._firing: asyncio.Task[None] | None = None
        self._is_stopped = False

    def start(self) -> None:
        """Look what became due while nobody looked."""
        self.set(self._clock.now())

    def set(self, at: int) -> None:
        """Something will be due at this instant."""
        if self._is_stopped or (self._next_at is not None and self._next_at <= at):
            return
        self._next_at = at
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._clock.call_at(at, self._ring)

    @property
    def is_idle(self) -> bool:
        """True when nothing is being fired."""
        return self._firing is None

    async def stop(self) -> None:
        self.abandon()
        if self._firing is not None:
            await asyncio.wait([self._firing])

    def abandon(self) -> None:
        """Stop at once."""
        self._is_stopped = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._firing is not None:
            self._firing.cancel()

    def _ring(self) -> None:
        self._next_at, self._alarm = None, None
        if self._firing is None:
            self._firing = asyncio.get_running_loop().create_task(self._fire())
        else:
            self.set(self._clock.now() + 1_000)  # still busy with the last ones

    async def _fire(self) -> None:
        """Fire all that is due, then set the alarm for the next."""
        try:
            while True:
                now = self._clock.now()
                due = await self._store.due(now, FIRED_AT_ONCE)
                commands: list[Command] = [FireTimer(run_id, hash) for run_id, hash in due.tasks]
                commands += [
                    DeliverEvent(env_no, event_id, self._ids.new("run")) for env_no, event_id in due.events
                ]
                commands += self._due_schedules(now)
                if not commands:
                    break
                await self._submit(commands)
            next_at = min((at for at in (due.next_at, self._next_schedule()) if at is not None), default=None)
            if next_at is not None:
                self.set(next_at)
        except Exception as error:  # whatever it was, time goes on
            if not isinstance(error, ZopioTriggerError):
                log.exception("firing what is due failed by a fault of ours")
            log.error("firing what is due failed and is tried again in a second: %s", error)
            self.set(self._clock.now() + AGAIN_AFTER)
        finally:
            self._firing = None

    async def _submit(self, commands: list[Command]) -> None:
        """Have all of them decided; one that fails does not keep the others from it."""
        answers = await asyncio.gather(
            *(self._committer.submit(command) for command in commands), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    def _due_schedules(self, now: int) -> list[Command]:
        return [
            FireSchedule(schedule.env_no, schedule.id, self._ids.new("evt"))
            for catalog in self._rows.catalogs.values()
            for schedule in catalog.schedules.values()
            if schedule.next_at is not None and schedule.next_at <= now and schedule.paused_at is None
        ]

    def _next_schedule(self) -> int | None:
        planned = [
            schedule.next_at
            for catalog in self._rows.catalogs.values()
            for schedule in catalog.schedules.values()
            if schedule.next_at is not None and schedule.paused_at is None
        ]
        return min(planned, default=None)
