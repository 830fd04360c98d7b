"""Dispatching: tells workers what became theirs, and leases ready runs to whoever has room.

Most runs are leased in the transaction that makes them. What was left ready (no room, an older run before it) is
claimed here, line by line, so that one long line does not starve the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import zip_longest

from zopio_trigger.engine import limits
from zopio_trigger.engine.effects import Resume, Start, Stop, Wake
from zopio_trigger.engine.rows import Rows, Seat
from zopio_trigger.model.clock import Cancellable, Clock
from zopio_trigger.model.commands import GrantRun
from zopio_trigger.model.records import Line, Run
from zopio_trigger.platform.committer import Committer
from zopio_trigger.storage.port import Store
from zopio_trigger.transport.ports import Inbox

LINES_A_CLAIM = 64  # looked at in one go; the others have their turn in the next
AGAIN_AFTER_SECONDS = 1.0  # until runs that were ready but refused are offered again

log = logging.getLogger(__name__)


class Dispatcher:
    """Hands runs to the workers of this process."""

    def __init__(self, *, store: Store, rows: Rows, committer: Committer, clock: Clock) -> None:
        self._store = store
        self._rows = rows
        self._committer = committer
        self._clock = clock
        self._inboxes: dict[str, Inbox] = {}
        self._claiming: asyncio.Task[None] | None = None
        self._is_nudged = False
        self._starting: set[asyncio.Task[None]] = set()
        self._to_read: list[Run] = []  # granted by the batch in hand, to be read in one go
        self._news: dict[str, list[Callable[[Inbox], None]]] = {}  # for runs whose rows are being read
        self._offset = 0
        self._again: Cancellable | None = None
        self._is_stopped = False

    def open(self, worker: str, inbox: Inbox) -> None:
        """From now on this worker is told what becomes its own."""
        self._inboxes[worker] = inbox
        self.nudge()

    def close(self, worker: str) -> None:
        self._inboxes.pop(worker, None)

    def start(self, effect: Start) -> None:
        """Deliver a granted run, with its event and all its tasks."""
        run = effect.run
        if effect.event is not None and run.token == 1:
            self._inbox(run.holder).start_run(run, effect.event, ())
            return
        self._news[run.id] = []
        self._to_read.append(run)
        if len(self._to_read) == 1:
            self._begin_reading()

    def _begin_reading(self) -> None:
        reading = asyncio.get_running_loop().create_task(self._read_and_start())
        self._starting.add(reading)
        reading.add_done_callback(self._starting.discard)

    def resume(self, effect: Resume) -> None:
        self._inbox(effect.run.holder).resume(effect.run)

    def wake(self, effect: Wake) -> None:
        self._tell(effect.worker, effect.task.run_id, lambda inbox: inbox.wake(effect.task))

    def stop(self, effect: Stop) -> None:
        self._tell(effect.worker, effect.run_id, lambda inbox: inbox.stop_run(effect.run_id))

    def _tell(self, worker: str, run_id: str, news: Callable[[Inbox], None]) -> None:
        """Deliver news of a run, after its start when that is still on its way."""
        if run_id in self._news:
            self._news[run_id].append(news)
        else:
            news(self._inbox(worker))

    def nudge(self) -> None:
        """Something became ready, or a slot free: look whether the two fit."""
        if not self._rows.ready or self._is_stopped:
            return
        self._is_nudged = True
        if self._claiming is None:
            self._claiming = asyncio.get_running_loop().create_task(self._claim())

    @property
    def is_idle(self) -> bool:
        """True when nothing is being claimed or delivered."""
        return self._claiming is None and not self._starting

    def abandon(self) -> None:
        """Stop at once."""
        self._is_stopped = True
        if self._again is not None:
            self._again.cancel()
        for task in [*self._starting, *([self._claiming] if self._claiming else [])]:
            task.cancel()

    def _inbox(self, worker: str | None) -> Inbox:
        return self._inboxes.get(worker or "", _NOBODY)

    async def _read_and_start(self) -> None:
        """Read what granted runs begin with, and deliver them with the news that came meanwhile."""
        runs, self._to_read = self._to_read, []
        try:
            beginnings = await self._store.beginnings(runs)
        except Exception as error:  # whatever it was, these runs must not be nobody's
            log.error("%d runs could not be read and are tried again in a second: %s", len(runs), error)
            await self._clock.sleep(AGAIN_AFTER_SECONDS)
            self._to_read = runs + self._to_read
            self._begin_reading()
            return
        for run, (event, tasks) in zip(runs, beginnings, strict=True):
            inbox = self._inbox(run.holder)
            if event is None:
                log.error("run %s has lost its event %s", run.id, run.event_id)
            else:
                inbox.start_run(run, event, tasks)
            for news in self._news.pop(run.id, ()):
                news(inbox)

    async def _claim(self) -> None:
        """Lease ready runs until nothing fits any more."""
        try:
            while self._is_nudged:
                self._is_nudged = False
                for seat in list(self._rows.seats.values()):
                    await self._claim_for(seat)
        except Exception as error:  # whatever it was, claiming goes on
            log.error("claiming runs failed and is tried again in a second: %s", error)
            self._nudge_again()
        finally:
            self._claiming = None

    async def _claim_for(self, seat: Seat) -> None:
        if seat.free <= 0:
            return
        waiting = [
            await self._store.ready(line, seat.jobs, max(0, min(seat.free, self._room(line))))
            for line in self._open_lines(seat)
        ]
        left, granted = _in_turn(waiting), False
        while left and seat.free > 0:  # whoever is refused leaves the room to the next
            asked, left = left[: seat.free], left[seat.free :]
            granted |= any(await self._grant(asked, seat))
        if granted:
            self._is_nudged = True
        elif seat.free > 0 and (any(waiting) or len(self._rows.lines) > LINES_A_CLAIM):
            self._nudge_again()

    async def _grant(self, run_ids: Sequence[str], seat: Seat) -> list[bool]:
        """Ask for leases, all in one transaction; returns which were granted."""
        asked = [self._committer.submit(GrantRun(run_id, seat.worker)) for run_id in run_ids]
        granted: list[bool] = await asyncio.gather(*asked)
        return granted

    def _nudge_again(self) -> None:
        """Look again in a second, once, however often that is asked for."""
        if self._again is None and not self._is_stopped:
            self._again = self._clock.call_later(AGAIN_AFTER_SECONDS, self._ring)

    def _ring(self) -> None:
        self._again = None
        self.nudge()

    def _open_lines(self, seat: Seat) -> Sequence[Line]:
        """Lines of the worker's environment where a ready run could be admitted, a different start each time."""
        lines = [
            line
            for line, state in self._rows.lines.items()
            if state.ready and line[0] == seat.env_no and self._room(line) > 0
        ]
        if not lines:
            return lines
        start = self._offset % len(lines)
        self._offset = start + (LINES_A_CLAIM if len(lines) > LINES_A_CLAIM else 1)
        return (lines + lines)[start : start + min(len(lines), LINES_A_CLAIM)]

    def _room(self, line: Line) -> int:
        return limits.room(self._rows, line)


def _in_turn(lines: Sequence[Sequence[str]]) -> list[str]:
    """The first run of each line, then the second of each: when room is short, no line takes it all."""
    return [run_id for nth in zip_longest(*lines) for run_id in nth if run_id is not None]


class _Nobody:
    """The inbox of a worker that has gone: what it is told is found again when its runs are offered to others."""

    def start_run(self, run: object, event: object, tasks: object) -> None: ...
    def resume(self, run: object) -> None: ...
    def wake(self, task: object) -> None: ...
    def stop_run(self, run_id: object) -> None: ...


_NOBODY = _Nobody()
