"""The rows a decision may look at: those of leased and resident runs, and what was loaded for this batch.

Memory is a cache of the store. It always equals what was committed plus what the batch in hand has decided; when that
batch fails, `rollback` takes its part away again. A row that is not here raises `Missing`, and the platform loads it
and asks once more. Nothing here is ever the only place where a fact stands: executing sets and ready counts follow
from the run rows and are rebuilt from the store at start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from zopio_trigger.engine.catalog import Catalog
from zopio_trigger.model.records import Event, Job, Line, Queue, Row, Run, Schedule, Task
from zopio_trigger.model.states import FINAL_RUN_STATES, OPEN_TASK_STATES

Key = tuple[str | int, ...]
"""Names rows to load: ("run", id), ("task", run_id, hash), ("event", env_no, id), …"""


class Missing(Exception):
    """A decision needs rows that memory does not hold."""

    def __init__(self, *keys: Key) -> None:
        super().__init__(*keys)
        self.keys = keys


class LineState:
    """Who executes in a line, and how many are ready to."""

    __slots__ = ("executing", "ready")

    def __init__(self) -> None:
        self.executing: dict[str, None] = {}  # an ordered set
        self.ready = 0


class Seat(Struct):
    """A live worker: what it serves and which runs it executes now."""

    worker: str
    env_no: int
    slots: int
    jobs: frozenset[str]
    executing: dict[str, None]
    alone: str | None = None  # the run that executes here with nobody beside it
    is_draining: bool = False

    @property
    def free(self) -> int:
        return 0 if self.is_draining else self.slots - len(self.executing)


class Rows:
    """What `decide` reads. Only the committer calls `apply`, `commit`, `rollback` and the loaders."""

    def __init__(self) -> None:
        self.catalogs: dict[int, Catalog] = {}
        self.seats: dict[str, Seat] = {}
        self.lines: dict[Line, LineState] = {}
        self.ready = 0  # runs that are ready, in all lines
        self.is_trusting = True
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, dict[str, Task]] = {}  # the open tasks of every run in _runs
        self._loaded: dict[Key, Any] = {}  # for this batch only
        self._fresh: dict[str, Event] = {}  # events this batch has made
        self._undo: list[Callable[[], object]] = []
        self._ended: list[str] = []
        self._apply: Mapping[type[Row], Callable[[Any], None]] = {
            Run: self._apply_run,
            Task: self._apply_task,
            Event: self._apply_event,
            Job: self._apply_definition,
            Schedule: self._apply_definition,
            Queue: self._apply_definition,
        }

    # --- reading

    def run(self, run_id: str) -> Run:
        run = self._runs.get(run_id)
        if run is None:
            if ("run", run_id) in self._loaded:
                raise LookupError(run_id)
            raise Missing(("run", run_id))
        return run

    def remembered(self, run_id: str) -> Run | None:
        """A run if memory holds it, as it does while the run executes."""
        return self._runs.get(run_id)

    def open_tasks(self, run_id: str) -> Mapping[str, Task]:
        """The tasks of a run that have not ended. The run must have been asked for before."""
        return self._tasks.get(run_id) or {}

    def task(self, run_id: str, hash: str) -> Task | None:
        """A task, or None when it is new.

        Whoever holds a run knows its tasks, so one that is not open is taken to be new; the store refuses the write
        when that was wrong, and the batch is decided again without trust.
        """
        task = self.open_tasks(run_id).get(hash)
        if task is not None:
            return task
        key = ("task", run_id, hash)
        return None if self.is_trusting and key not in self._loaded else self._need(key)

    def unfinished_tasks(self, run_id: str) -> Iterable[Task]:
        """Every task of a run that did not complete: open, failed and cancelled ones."""
        tasks: list[Task] = self._need(("unfinished", run_id))
        return tasks

    def event_with(self, env_no: int, user_id: str) -> Event | None:
        """The event a sender gave this id, or None when the id is new (trusted as in `task`)."""
        key = ("sent", env_no, user_id)
        return None if self.is_trusting and key not in self._loaded else self._need(key)

    def event(self, env_no: int, any_id: str) -> Event | None:
        """An event by either of its ids."""
        event: Event | None = self._need(("event", env_no, any_id))
        return event

    def runs_made(self, event_id: str) -> list[tuple[str, str]]:
        """Ids and jobs of the runs an event has made, its replays left out."""
        runs: list[tuple[str, str]] = self._need(("runs_made", event_id))
        return runs

    def fresh_event(self, event_id: str) -> Event | None:
        """An event made in this batch, by our id."""
        return self._fresh.get(event_id)

    def last_replay(self, event_id: str, job: str) -> int:
        """The highest replay number among the runs of an event and a job."""
        number: int = self._need(("replays", event_id, job))
        return number

    def has_open_run(self, env_no: int, job: str) -> bool:
        """True while any run of the job is unfinished."""
        return bool(self._need(("open_run", env_no, job)))

    def catalog(self, env_no: int) -> Catalog:
        """The jobs, schedules and queues of an environment, all of them in memory."""
        catalog = self.catalogs.get(env_no)
        if catalog is None:
            catalog = self.catalogs[env_no] = Catalog()
        return catalog

    def line(self, line: Line) -> LineState:
        """Who executes and who is ready in a line."""
        state = self.lines.get(line)
        if state is None:
            state = self.lines[line] = LineState()
        return state

    def line_executing(self, line: Line) -> Mapping[str, None]:
        """The runs that hold a slot of a line."""
        state = self.lines.get(line)
        return state.executing if state is not None else {}

    def is_live(self, worker: str | None) -> bool:
        return worker in self.seats

    def _need(self, key: Key) -> Any:
        try:
            return self._loaded[key]
        except KeyError:
            raise Missing(key) from None

    # --- loading

    def put(self, key: Key, value: Any) -> None:
        """Hand in what was loaded for a `Missing` key."""
        if key[0] == "run" and value is not None:
            run, tasks = value
            self._runs[run.id] = run
            self._tasks[run.id] = {task.hash: task for task in tasks}
            self._ended.append(run.id)  # looked at again when the batch is over
        else:
            self._loaded.setdefault(key, value)  # what the batch has decided meanwhile is newer

    # --- changing

    def apply(self, row: Row) -> None:
        """Take a decided row in; `rollback` takes it out again."""
        apply = self._apply.get(type(row))
        if apply is not None:
            apply(row)

    def commit(self) -> None:
        """The batch is on disk: forget what only it needed, and the rows of runs nobody holds."""
        self._undo.clear()
        self._end_batch()

    def rollback(self) -> None:
        """The batch is not on disk: be as if it had never been decided."""
        while self._undo:
            self._undo.pop()()
        self._end_batch()

    def _end_batch(self) -> None:
        for run_id in self._ended:
            run = self._runs.get(run_id)
            if run is not None and (run.state in FINAL_RUN_STATES or not self.is_live(run.holder)):
                del self._runs[run_id]
                self._tasks.pop(run_id, None)
        self._ended.clear()
        self._loaded.clear()
        self._fresh.clear()

    def _apply_run(self, run: Run) -> None:
        known = self._runs.get(run.id)
        self._move(known, run)
        self._runs[run.id] = run
        if run.state != "executing":
            self._ended.append(run.id)
        if run.replay_no and known is None:
            self._loaded["replays", run.event_id, run.job] = run.replay_no
        self._undo.append(lambda: self._restore_run(run, known))

    def _restore_run(self, run: Run, known: Run | None) -> None:
        self._move(run, known)
        if known is None:
            del self._runs[run.id]
            self._tasks.pop(run.id, None)
        else:
            self._runs[run.id] = known

    def _move(self, before: Run | None, after: Run | None) -> None:
        """Keep lines and seats in step with a run that changes its state."""
        if before is not None:
            if before.state == "executing":
                self._leave(before)
            elif before.state == "ready":
                self.add_ready(before.line, -1)
        if after is not None:
            if after.state == "executing":
                self._enter(after)
            elif after.state == "ready":
                self.add_ready(after.line, 1)

    def add_ready(self, line: Line, count: int) -> None:
        """Note that so many more (or fewer) runs are ready in a line."""
        self.ready += count
        state = self.line(line)
        state.ready += count
        self._drop_if_empty(line, state)

    def _drop_if_empty(self, line: Line, state: LineState) -> None:
        if not state.ready and not state.executing:
            del self.lines[line]

    def _enter(self, run: Run) -> None:
        self.line(run.line).executing[run.id] = None
        seat = self.seats.get(run.holder or "")
        if seat is not None:
            seat.executing[run.id] = None
            if run.executes_alone:
                seat.alone = run.id

    def _leave(self, run: Run) -> None:
        state = self.line(run.line)
        state.executing.pop(run.id, None)
        self._drop_if_empty(run.line, state)
        seat = self.seats.get(run.holder or "")
        if seat is not None:
            seat.executing.pop(run.id, None)
            if seat.alone == run.id:
                seat.alone = None

    def _apply_task(self, task: Task) -> None:
        tasks = self._tasks.get(task.run_id)
        if tasks is None:
            tasks = self._tasks[task.run_id] = {}
        known = tasks.get(task.hash)
        if task.state in OPEN_TASK_STATES:
            tasks[task.hash] = task
        else:
            self._loaded["task", task.run_id, task.hash] = task  # the first result stands, in this batch too
            if known is None:
                return  # new and finished at once: the usual case leaves nothing behind
            del tasks[task.hash]
        self._undo.append(lambda: self._restore_task(task, known))

    def _restore_task(self, task: Task, known: Task | None) -> None:
        tasks = self._tasks.setdefault(task.run_id, {})
        if known is None:
            tasks.pop(task.hash, None)
        else:
            tasks[task.hash] = known

    def _apply_event(self, event: Event) -> None:
        self._fresh[event.id] = event
        self._loaded["event", event.env_no, event.id] = event
        if event.user_id is not None:
            self._loaded["sent", event.env_no, event.user_id] = event
            self._loaded["event", event.env_no, event.user_id] = event

    def _apply_definition(self, row: Job | Schedule | Queue) -> None:
        catalog = self.catalog(row.env_no)
        known = catalog.known(row)
        catalog.put(row)
        self._undo.append(lambda: catalog.drop(row) if known is None else catalog.put(known))
