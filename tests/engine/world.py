"""A platform in miniature, without time, I/O or chance: batches of commands over rows in dicts.

It keeps the promises a store has to keep (fences, unique ids) and checks after every batch what must be true always.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from tests.factories import NOW, a_job, a_queue, a_schedule
from tests.storage.contract import FIXED, KEYS
from zopio_trigger.engine.changes import Changes
from zopio_trigger.engine.decide import decide
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Key, Missing, Rows, Seat
from zopio_trigger.errors import ZopioTriggerError
from zopio_trigger.model.commands import Command
from zopio_trigger.model.records import Event, Job, Line, Queue, Row, Run, Schedule, Task
from zopio_trigger.model.states import OPEN_TASK_STATES
from zopio_trigger.model.trigger import EventTrigger, InvokeTrigger, ScheduleTrigger, text_of

SECOND = 1_000_000
JOBS = ("a", "b")
EVERY_MINUTE = text_of(ScheduleTrigger(seconds=60))
OPEN_RUN_STATES = ("ready", "executing", "suspended")


class Refused(Exception):
    """What a store would refuse with `Stale`."""


class World:
    """A store of dicts, the engine's rows over it, and two workers."""

    def __init__(self) -> None:
        self.now = NOW
        self.rows = Rows()
        self.events: dict[str, Event] = {}
        self.runs: dict[str, Run] = {}
        self.tasks: dict[tuple[str, str], Task] = {}
        self.definitions: dict[tuple[type[Row], str], Any] = {}
        self.refusals: Counter[str] = Counter()
        self.seen: dict[
            str, tuple[str | None, set[str]]
        ] = {}  # by worker: what executed alone, and all that did
        trigger = text_of(EventTrigger(("go",)))
        for row in (
            a_job(id="a", trigger=trigger), a_job(id="b", trigger=trigger, limit_key="key", on_failure=True),
            a_job(id="b/on-failure", trigger=text_of(InvokeTrigger()), internal=True), a_queue(name="a", limit=2),
            a_queue(name="b", limit=1), a_schedule(id="a", timetable=EVERY_MINUTE, next_at=NOW + 60 * SECOND),
        ):  # fmt: skip
            self.rows.catalog(1).put(row)
            self.definitions[type(row), _name(row)] = row
        for worker, slots in (("w1", 2), ("w2", 1)):
            served = frozenset({*JOBS, "b/on-failure"})
            self.rows.seats[worker] = Seat(worker, 1, slots, served, {})

    # --- batches

    def batch(self, commands: list[Command], *, fails: bool) -> None:
        """Decide commands and store what they change, or have the store fail; check everything in either case."""
        before = self.picture()
        for is_trusting in (True, False):
            self.rows.is_trusting = is_trusting
            changes = self._decided(commands)
            if fails:
                self.rows.rollback()
                assert self.picture() == before
                break
            try:
                self._store(changes)
            except Refused:
                assert is_trusting, "a batch decided without trust was refused"
                self.rows.rollback()
                assert self.picture() == before
            else:
                self.rows.commit()
                break
        self.rows.is_trusting = True
        self._check()

    def picture(self) -> object:
        """What memory knows beside the rows it caches."""
        rows = self.rows
        catalog = rows.catalog(1)
        return (
            rows.ready,
            {line: (set(state.executing), state.ready) for line, state in rows.lines.items()},
            {seat.worker: (set(seat.executing), seat.alone, seat.free) for seat in rows.seats.values()},
            dict(catalog.jobs), dict(catalog.queues), dict(catalog.schedules),
            {name: [s.job for s in catalog.subscriptions(name)] for name in catalog.event_names},
        )  # fmt: skip

    def leave(self, worker: str) -> None:
        """A worker dies: whoever comes next has another name."""
        seat = self.rows.seats.pop(worker, None)
        if seat is not None:
            self.rows.seats[f"{worker}'"] = Seat(f"{worker}'", 1, seat.slots, seat.jobs, {})

    def _decided(self, commands: list[Command]) -> Changes:
        """As the platform decides a batch: what lacks rows waits until they are loaded."""
        changes = Changes()
        while commands:
            lacking: list[Command] = []
            keys: list[Key] = []
            for command in commands:
                try:
                    outcome = self._decide(command)
                except Missing as missing:
                    lacking.append(command)
                    keys += missing.keys
                except ZopioTriggerError as refusal:
                    self.refusals[type(refusal).__name__] += 1
                else:
                    self._take(changes, outcome)
            for key in dict.fromkeys(keys):
                self.rows.put(key, self._load(key))
            commands = lacking
        return changes

    def _decide(self, command: Command) -> Outcome:
        self.now += 1
        return decide(self.rows, command, self.now)

    def _take(self, changes: Changes, outcome: Outcome) -> None:
        for row in outcome.changes:
            self.rows.apply(changes.add(row))
        for command in outcome.then:
            self._take(changes, self._decide(command))
        for part in outcome.parts:
            self._take(changes, part)

    # --- the store

    def _load(self, key: Key) -> Any:
        kind, *about = key
        match kind:
            case "run":
                run = self.runs.get(str(about[0]))
                return run and (run, [*self._open_tasks(run.id).values()])
            case "task":
                return self.tasks.get((str(about[0]), str(about[1])))
            case "unfinished":
                return [t for t in self.tasks.values() if t.run_id == about[0] and t.state != "completed"]
            case "event":
                return self._sent(about[1]) or self.events.get(str(about[1]))
            case "sent":
                return self._sent(about[1])
            case "runs_made":
                return [(run.id, run.job) for run in self.runs.values() if run.event_id == about[0]]
            case "replays":
                numbers = [r.replay_no for r in self.runs.values() if [r.event_id, r.job] == about]
                return max(numbers, default=0)
            case "open_run":
                return any(r.state in OPEN_RUN_STATES for r in self.runs.values() if r.job == about[1])
        raise AssertionError(f"the engine asks for {key}")

    def _sent(self, user_id: object) -> Event | None:
        return next((event for event in self.events.values() if event.user_id == user_id), None)

    def _open_tasks(self, run_id: str) -> dict[str, Task]:
        tasks = self.tasks.values()
        return {task.hash: task for task in tasks if task.run_id == run_id and task.state in OPEN_TASK_STATES}

    def _store(self, changes: Changes) -> None:
        """Write all or nothing."""
        for run_id, guard in changes.guards.items():
            if run_id not in changes.runs and self.runs[run_id].revision != guard.revision:
                raise Refused(guard)
        _check_fences(self.events, changes.events)
        _check_fences(self.runs, changes.runs)
        _check_fences(self.tasks, changes.tasks)
        definitions: dict[tuple[type[Row], str], Any] = {
            (type(row), _name(row)): row
            for kind in (changes.jobs, changes.queues, changes.schedules)
            for row in kind.values()
        }
        _check_fences(self.definitions, definitions)
        events, runs = {**self.events, **changes.events}, {**self.runs, **changes.runs}
        _check_unique([event.user_id for event in events.values() if event.user_id is not None])
        _check_unique([(run.event_id, run.job, run.replay_no) for run in runs.values()])
        self.events, self.runs, self.tasks = events, runs, {**self.tasks, **changes.tasks}
        self.definitions |= definitions

    # --- what is always true

    def _check(self) -> None:
        self._check_cache()
        self._check_lines()
        self._check_seats()

    def _check_cache(self) -> None:
        """Memory equals the store, run by run and task by task."""
        for run_id, run in self.rows._runs.items():
            assert run == self.runs[run_id]
            assert self.rows.open_tasks(run_id) == self._open_tasks(run_id)
        for (_, name), row in self.definitions.items():
            assert self.rows.catalog(1).known(row) == row, name

    def _check_lines(self) -> None:
        """Lines are what a start would make of the stored runs; none holds more than its limit."""
        lines: dict[Line, tuple[set[str], int]] = defaultdict(lambda: (set(), 0))
        for run in self.runs.values():
            executing, ready = lines[run.line]
            if run.state == "executing":
                executing.add(run.id)
            lines[run.line] = (executing, ready + (run.state == "ready"))
        wanted = {line: state for line, state in lines.items() if state != (set(), 0)}
        assert wanted == {
            line: (set(state.executing), state.ready) for line, state in self.rows.lines.items()
        }
        assert self.rows.ready == sum(ready for _, ready in wanted.values())
        queues = self.rows.catalog(1).queues
        for (_, name, _), (executing, _) in wanted.items():
            queue = queues.get(name)
            assert queue is None or queue.limit is None or len(executing) <= queue.limit

    def _check_seats(self) -> None:
        """Seats hold what executes under their name; nothing joins a run that executes alone."""
        for seat in self.rows.seats.values():
            held = {r.id for r in self.runs.values() if r.state == "executing" and r.holder == seat.worker}
            assert set(seat.executing) == held
            assert len(held) <= seat.slots
            alone = {run_id for run_id in held if self.runs[run_id].executes_alone}
            assert seat.alone == next(iter(alone), None)
            was_alone, was_held = self.seen.get(seat.worker, (None, held))
            assert was_alone is None or was_alone != seat.alone or held <= was_held
            self.seen[seat.worker] = (seat.alone, held)


def _check_fences(stored: dict[Any, Any], written: dict[Any, Any]) -> None:
    """Each row follows the stored one, keeps its fixed columns, and a completed task stays as it is."""
    for key, row in written.items():
        before = stored.get(key)
        if row.revision != (before.revision if before is not None else 0) + 1:
            raise Refused(row)
        if before is None:
            continue
        for name in FIXED[type(row)] | KEYS[type(row)]:
            assert getattr(row, name) == getattr(before, name), name
        assert not (isinstance(row, Task) and before.state == "completed")


def _check_unique(values: list[Any]) -> None:
    if len(set(values)) != len(values):
        raise Refused(values)


def _name(row: Job | Queue | Schedule) -> str:
    return row.name if isinstance(row, Queue) else row.id
