"""A batch: commands decided one after another, their rows gathered for one transaction."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from zopio_trigger.engine.changes import Changes
from zopio_trigger.engine.decide import decide
from zopio_trigger.engine.effects import Effect, Logged
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Key, Missing, Rows
from zopio_trigger.errors import ZopioTriggerError
from zopio_trigger.model.commands import Command
from zopio_trigger.storage.port import Store

log = logging.getLogger(__name__)

Asked = tuple[Command, "asyncio.Future[Any] | None"]
"""A command and who waits for its answer, if anybody does."""

Answer = tuple["asyncio.Future[Any] | None", Any, BaseException | None]
"""Who waits, the answer, or the refusal in its place."""


class Batch:
    """One transaction in the making."""

    def __init__(self, rows: Rows, store: Store, now: int) -> None:
        self.changes = Changes()
        self.answers: list[Answer] = []
        self._effects: list[Effect] = []
        self._rows = rows
        self._store = store
        self.now = (
            now  # of the next decision; it moves on with each, so that rows tell the order of what happened
        )

    def effects(self) -> list[Effect]:
        """What is to be done once the batch is on disk."""
        if self.changes.logs:
            self._effects.append(Logged(tuple(self.changes.logs)))
        return self._effects

    async def decide(self, asked: list[Asked]) -> None:
        """Decide every command; those that need rows which are not in memory once these are loaded."""
        while asked:
            lacking: list[Asked] = []
            keys: dict[Key, None] = {}
            held_up: set[str] = set()  # runs about which something was asked that has to wait for rows
            for item in asked:
                run_id = getattr(item[0], "run_id", None)
                if run_id in held_up:
                    lacking.append(item)
                    continue
                try:
                    self._decide_one(item)
                except Missing as missing:
                    lacking.append(item)
                    keys.update(dict.fromkeys(missing.keys))
                    if run_id is not None:
                        held_up.add(run_id)
            if keys:
                await self._load(list(keys))
            asked = lacking

    def _decide_one(self, item: Asked) -> None:
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
        self._effects += outcome.effects
        for command in outcome.then:
            self._take(self._decided(command))
        for part in outcome.parts:
            self._take(part)

    async def _load(self, keys: list[Key]) -> None:
        for key, value in zip(keys, await self._store.load(keys), strict=True):
            self._rows.put(key, value)
