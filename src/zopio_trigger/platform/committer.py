"""Group commit: everything asked while the store is busy goes into the next transaction, and each caller is answered
after the flush.

One batch is in flight at a time, so decisions are made one after another on rows that equal what is on disk. While a
batch is being flushed, user code runs and the next one gathers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from zopio_trigger.engine.effects import Effect
from zopio_trigger.engine.rows import Rows
from zopio_trigger.errors import StoreError, Unstorable
from zopio_trigger.model.clock import Cancellable, Clock
from zopio_trigger.model.commands import Command, CompleteRun, CompleteTask, SendEvent, SendEvents
from zopio_trigger.platform.batch import Answer, Asked, Batch
from zopio_trigger.storage.port import Stale, Store

MAX_BATCH = 512  # commands in one transaction: a longer batch gains nothing and delays its first caller
MAX_BATCH_BYTES = 8_388_608  # of users' JSON in one transaction: past this it delays everybody behind it
EVENT_BYTES = 1_024  # what an event weighs beside its payload: its row, and those of its runs
CLOCK_SET_BACK = 1_000_000  # microseconds by which decisions may run ahead of the clock in a burst
MAX_STALE = 5  # times a batch is decided again before its callers are told; in one process once is the rule
RIDE_FOR_SECONDS = 0.01  # how long a command that need not be flushed waits for another to ride with

log = logging.getLogger(__name__)


class Committer:
    """Takes commands, decides them in batches, commits each batch once.

    Parameters:
        store: where rows are loaded from and written to.
        rows: the rows decisions read; nobody else changes them.
        clock: gives each command its instant.
        act: called with the effects of each batch after its commit.
    """

    def __init__(
        self, *, store: Store, rows: Rows, clock: Clock, act: Callable[[list[Effect]], None]
    ) -> None:
        self._store = store
        self._rows = rows
        self._clock = clock
        self._act = act
        self._waiting: deque[Asked] = deque()
        self._busy: asyncio.Task[None] | None = None
        self._departure: Cancellable | None = None
        self._last_instant = 0
        self._is_closed = False
        self.commits = 0
        self.commands = 0

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Ask for a command; the answer arrives when it is decided and on disk."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._is_closed:
            answer.set_exception(StoreError("the platform has stopped; nothing was stored"))
            return answer
        self._waiting.append((command, answer))
        if self._busy is None:
            self._depart()
        return answer

    def ride(self, command: Command) -> None:
        """Store this with the next batch, or alone after 10 ms. Nobody waits for the answer; losing it to a crash
        loses a line of log or the mark that a task has begun."""
        if self._is_closed:
            return
        self._waiting.append((command, None))
        if self._busy is None and self._departure is None:
            self._departure = self._clock.call_later(RIDE_FOR_SECONDS, self._depart)

    @property
    def last_instant(self) -> int:
        """The instant of the latest decision: decisions made in one microsecond run ahead of the clock."""
        return self._last_instant

    async def settled(self) -> None:
        """Return when everything asked for so far is on disk."""
        while self._busy is not None or self._waiting:
            if self._busy is None:
                self._depart()
            else:
                await asyncio.wait([self._busy])

    async def close(self) -> None:
        """Commit what was asked for, then refuse more."""
        await self.settled()
        self._is_closed = True

    def abandon(self) -> None:
        """Stop as a killed process would: nothing more is written, nobody is answered."""
        self._is_closed = True
        self._waiting.clear()
        self._cancel_departure()
        if self._busy is not None:
            self._busy.cancel()

    def _depart(self) -> None:
        self._cancel_departure()
        if self._busy is None and self._waiting:
            self._busy = asyncio.get_running_loop().create_task(self._work_off())

    def _cancel_departure(self) -> None:
        if self._departure is not None:
            self._departure.cancel()
            self._departure = None

    async def _work_off(self) -> None:
        """Commit batch after batch until nothing waits."""
        try:
            while self._waiting:
                answers, effects = await self._commit(self._next_batch())
                self._answer(answers)
                self._act_on(effects)
        finally:
            self._busy = None

    def _next_batch(self) -> list[Asked]:
        """What goes into the next transaction: as much as there is room for, and at least one command."""
        asked: list[Asked] = []
        room = MAX_BATCH_BYTES
        while self._waiting and len(asked) < MAX_BATCH and room > 0:
            item = self._waiting.popleft()
            asked.append(item)
            room -= _weight(item[0])
        return asked

    def _next_instant(self) -> int:
        """The clock's time, but later than the last decision's, so that rows tell the order of what happened. When
        the clock was set back by more than a moment, the new time is the right one."""
        now = self._clock.now()
        return now if self._last_instant - now > CLOCK_SET_BACK else max(now, self._last_instant + 1)

    async def _commit(self, asked: list[Asked]) -> tuple[list[Answer], list[Effect]]:
        """Commit a batch. When its data cannot be stored, commit its halves: one poisoned row harms nobody else. When
        the store itself fails (a full disk, a lost file), everybody is told."""
        try:
            batch = await self._write(asked)
        except StoreError as error:
            if not isinstance(error, Stale | Unstorable) or len(asked) == 1:
                return _failed(asked, error), []
        except Exception as error:
            if len(asked) == 1:
                return _failed(asked, error), []
        else:
            return batch.answers, batch.effects()
        half = len(asked) // 2
        first_answers, first_effects = await self._commit(asked[:half])
        answers, effects = await self._commit(asked[half:])
        return first_answers + answers, first_effects + effects

    async def _write(self, asked: list[Asked]) -> Batch:
        """Decide and write one batch; again, without trust, when the store says a row was not as it was seen."""
        self._rows.is_trusting = True
        for attempt in range(MAX_STALE):
            batch = Batch(self._rows, self._store, self._next_instant())
            try:
                await batch.decide(asked)
                if batch.changes:
                    await self._store.write(batch.changes)
            except Stale as error:
                self._rows.rollback()
                if attempt == MAX_STALE - 1:
                    raise
                log.debug("deciding a batch again: %s", error)
                self._rows.is_trusting = False
            except BaseException:
                self._rows.rollback()
                raise
            else:
                self._rows.commit()
                self._last_instant = batch.now
                self.commits += bool(batch.changes)
                self.commands += len(asked)
                return batch
        raise AssertionError("the loop returns or raises")

    def _act_on(self, effects: list[Effect]) -> None:
        """Whatever goes wrong here concerns what follows from a commit; the commits themselves must go on."""
        try:
            self._act(effects)
        except Exception:
            log.exception("acting on %d effects of a commit failed", len(effects))

    def _answer(self, answers: list[Answer]) -> None:
        for future, answer, error in answers:
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)


def _failed(asked: list[Asked], error: Exception) -> list[Answer]:
    """Nothing of the batch was stored: everybody is told why."""
    log.error("a batch of %d commands was not stored: %s", len(asked), error)
    return [(future, None, error) for _, future in asked]


def _weight(command: Command) -> int:
    """About how many bytes of users' JSON a command brings into its batch; most bring none worth counting."""
    weigh = _WEIGHTS.get(type(command))
    return 0 if weigh is None else weigh(command)


_WEIGHTS: Mapping[type[Command], Callable[[Any], int]] = {
    SendEvent: lambda command: EVENT_BYTES + len(command.payload),
    SendEvents: lambda command: sum([EVENT_BYTES + len(event.payload) for event in command.events]),
    CompleteTask: lambda command: len(command.output or ""),
    CompleteRun: lambda command: len(command.output or ""),
}
