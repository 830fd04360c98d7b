"""The engine for tests: commands in, changes and effects out. Stands in for batch and store, without either."""

from __future__ import annotations

from typing import Any, TypeVar

from tests.factories import NOW
from zopio_trigger.engine.changes import Changes
from zopio_trigger.engine.decide import decide
from zopio_trigger.engine.effects import Effect
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Key, Missing, Rows, Seat
from zopio_trigger.model.commands import Command
from zopio_trigger.model.records import Event, Row, Run, Task
from zopio_trigger.model.states import OPEN_TASK_STATES

E = TypeVar("E", bound=Effect)

NOTHING: dict[str, Any] = {"unfinished": [], "replays": 0, "open_run": 0, "runs_made": []}


class Kit:
    """Rows as the platform would have them, and one batch on top of them.

    `given` says what was there before; `ask` decides a command in the batch and returns its answer; `changes` and
    `effects` are what came of the batch so far. `stored` is what loading finds, by key.
    """

    def __init__(self, *given: Row | Seat) -> None:
        self.rows = Rows()
        self.stored: dict[Key, Any] = {}
        self.now = NOW
        self.changes = Changes()
        self.effects: list[Effect] = []
        self.given(*given)

    def given(self, *rows: Row | Seat) -> None:
        """Rows that are stored, and the seats of live workers."""
        for row in sorted(rows, key=lambda row: not isinstance(row, Seat)):
            if isinstance(row, Seat):
                self.rows.seats[row.worker] = row
                continue
            self.rows.apply(row)
            self._store(row)
        self.rows.commit()

    def ask(self, command: Command, *, now: int | None = None) -> Any:
        """Decide a command, load what it lacks, take its changes in; its answer."""
        self.now = self.now + 1 if now is None else now
        outcome = self.decided(command)
        self._take(outcome)
        return outcome.answer

    def decided(self, command: Command) -> Outcome:
        """What the engine says to a command. Nothing is taken in."""
        while True:
            try:
                return decide(self.rows, command, self.now)
            except Missing as missing:
                for key in missing.keys:
                    self.rows.put(key, self.stored.get(key, NOTHING.get(str(key[0]))))

    def commit(self) -> None:
        """The batch is stored; the next one begins."""
        for rows in (self.changes.events, self.changes.runs, self.changes.tasks):
            for row in rows.values():
                self._store(row)
        self.rows.commit()
        self.changes, self.effects = Changes(), []

    def rollback(self) -> None:
        """The batch could not be stored; the next one begins."""
        self.rows.rollback()
        self.changes, self.effects = Changes(), []

    def told(self, kind: type[E]) -> list[E]:
        """The effects of one kind, in their order."""
        return [effect for effect in self.effects if type(effect) is kind]

    def run(self, run_id: str) -> Run:
        """A run as this batch leaves it."""
        return self.changes.runs[run_id]

    def task(self, hash: str = "hash-1", run_id: str = "run_1") -> Task:
        """A task as this batch leaves it."""
        return self.changes.tasks[run_id, hash]

    @property
    def only_event(self) -> Event:
        [event] = self.changes.events.values()
        return event

    @property
    def only_run(self) -> Run:
        [run] = self.changes.runs.values()
        return run

    def _take(self, outcome: Outcome) -> None:
        for row in outcome.changes:
            self.rows.apply(self.changes.add(row))
        self.effects += outcome.effects
        for command in outcome.then:
            self.now += 1
            self._take(self.decided(command))
        for part in outcome.parts:
            self._take(part)

    def _store(self, row: Row) -> None:
        """Make a row one that loading finds."""
        if isinstance(row, Run):
            _, tasks = self.stored.get(("run", row.id), (row, []))
            self.stored["run", row.id] = (row, tasks)
        elif isinstance(row, Task):
            self.stored["task", row.run_id, row.hash] = row
            run, tasks = self.stored.get(("run", row.run_id), (None, []))
            others = [task for task in tasks if task.hash != row.hash]
            still_open = [row] if row.state in OPEN_TASK_STATES else []
            self.stored["run", row.run_id] = (run, others + still_open)
        elif isinstance(row, Event):
            self.stored["event", row.env_no, row.id] = row
            if row.user_id is not None:
                self.stored["event", row.env_no, row.user_id] = row
                self.stored["sent", row.env_no, row.user_id] = row
