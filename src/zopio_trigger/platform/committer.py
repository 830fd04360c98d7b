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

from zopio_trigger.engine.changes import Changes
from zopio_trigger.engine.decide import decide
from zopio_trigger.engine.effects import Effect, Logged
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Key, Missing, Rows
from zopio_trigger.errors import StoreError, ZopioTriggerError
from zopio_trigger.model.clock import Cancellable, Clock
from zopio_trigger.model.commands import Command, CompleteRun, CompleteTask, SendEvent, SendEvents
from zopio_trigger.storage.port import Stale, Store

MAX_BATCH = 512  # commands in one transaction: a longer batch gains nothing and delays its first caller
MAX_BATCH_BYTES = 8_388_608  # of users' JSON in one transaction: past this it delays everybody behind it
EVENT_BYTES = 1_024  # what an event weighs beside its payload: its row, and those of its runs
MAX_STALE = 5  # times a batch is decided again before its callers are told; in one process once is the rule
RIDE_FOR_MICROSECONDS = 10_000  # how long a command that need not be flushed waits for another to ride with

log = logging.getLogger(__name__)

_Asked = tuple[Command, "asyncio.Future[Any] | None"]
_Answer = tuple["asyncio.Future[Any] | None", Any, BaseException | None]


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
        self._waiting: deque[_Asked] = deque()
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
            self._departure = self._clock.call_at(self._clock.now() + RIDE_FOR_MICROSECONDS, self._depart)

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
                self._act(effects)
        finally:
            self._busy = None

    def _next_batch(self) -> list[_Asked]:
        """What goes into the next transaction: as much as there is room for, and at least one command."""
        asked: list[_Asked] = []
        room = MAX_BATCH_BYTES
        while self._waiting and len(asked) < MAX_BATCH and room > 0:
            item = self._waiting.popleft()
            asked.append(item)
            room -= _weight(item[0])
        return asked

    async def _commit(self, asked: list[_Asked]) -> tuple[list[_Answer], list[Effect]]:
        """Decide and write one batch; again when the store says that a row was not as it was seen."""
        for _ in range(MAX_STALE):
            batch = _Batch(self._rows, self._store, max(self._clock.now(), self._last_instant + 1))
            try:
                await batch.decide(asked)
                self._last_instant = batch.now
                if batch.changes:
                    await self._store.write(batch.changes)
                    self.commits += 1
                self.commands += len(asked)
            except Stale as error:
                log.debug("deciding a batch again: %s", error)
                self._rows.rollback()
                self._rows.is_trusting = False
                continue
            except Exception as error:
                self._rows.rollback()
                self._rows.is_trusting = True
                return self._failed(asked, error), []
            self._rows.commit()
            self._rows.is_trusting = True
            if batch.changes.logs:
                batch.effects.append(Logged(tuple(batch.changes.logs)))
            return batch.answers, batch.effects
        self._rows.is_trusting = True
        return self._failed(asked, StoreError("the store kept changing under this write; try again")), []

    def _failed(self, asked: list[_Asked], error: Exception) -> list[_Answer]:
        """Nothing of the batch was stored: everybody is told why."""
        log.error("a batch of %d commands was not stored: %s", len(asked), error)
        return [(future, None, error) for _, future in asked]

    def _answer(self, answers: list[_Answer]) -> None:
        for future, answer, error in answers:
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)

class _Batch:
    """One transaction in the making."""

    def __init__(self, rows: Rows, store: Store, now: int) -> None:
        self.changes = Changes()
        self.answers: list[_Answer] = []
        self.effects: list[Effect] = []
        self._rows = rows
        self._store = store
        self.now = now  # of the next decision; it moves on with each, so that rows tell the order of what happened

    async def decide(self, asked: list[_Asked]) -> None:
        """Decide every command; those that need rows which are not in memory once these are loaded."""
        while asked:
            lacking: list[_Asked] = []
            keys: dict[Key, None] = {}
            for item in asked:
                try:
                    self._decide_one(item)
                except Missing as missing:
                    lacking.append(item)
                    keys.update(dict.fromkeys(missing.keys))
            if keys:
                await self._load(list(keys))
            asked = lacking

    def _decide_one(self, item: _Asked) -> None:
        command, future = item
        try:
            outcome = self._decided(command)
        except Missing:
            raise
        except ZopioTriggerError as refusal:
            self.answers.append((future, None, refusal))
            return
        except Exception as error:  # a fault of ours must not take the neighbours in the batch with it
            log.exception("deciding %s failed", type(command).__name__)
            self.answers.append((future, None, error))
            return
        self._take(outcome)
        self.answers.append((future, outcome.answer, None))

    def _decided(self, command: Command) -> Outcome:
        self.now += 1
        return decide(self._rows, command, self.now)

    def _take(self, outcome: Outcome) -> None:
        for row in outcome.changes:
            self._rows.apply(self.changes.add(row))
        self.effects += outcome.effects
        for command in outcome.then:
            self._take(self._decided(command))
        for part in outcome.parts:
            self._take(part)

    async def _load(self, keys: list[Key]) -> None:
        for key, value in zip(keys, await self._store.load(keys), strict=True):
            self._rows.put(key, value)


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
