"""Reading: what clients, the HTTP API and the command line ask to see, looked up in the store and in memory.

Everything is asked for in one environment; what belongs to another one is not found. Nothing here writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from zopio_trigger.engine.reasons import waiting_reason
from zopio_trigger.engine.rows import Rows
from zopio_trigger.errors import InvalidInput, NotFound
from zopio_trigger.model.clock import Clock
from zopio_trigger.model.names import nearest
from zopio_trigger.model.records import Event, Job, Run, Task
from zopio_trigger.model.states import RUN_STATES
from zopio_trigger.model.views import (
    EventView,
    JobView,
    LogView,
    RunPage,
    RunView,
    ScheduleView,
    WaitingReason,
)
from zopio_trigger.platform import rendering
from zopio_trigger.storage.port import EventName, RunQuery, Store

MAX_RUNS_A_PAGE = 200
MAX_LINES_A_PAGE = 1_000
MAX_UPCOMING = 100  # planned times of one schedule
MAX_RUNS_OF_AN_EVENT = 1_000  # shown; more than that have only events replayed by the thousand

STATE_CALLED: Mapping[str, str] = {
    name: state for state, words in RUN_STATES.items() for name in (state, words.people)
}
"""A run's state by our word or by people's, as lists are asked for it."""

T = TypeVar("T")


class Reads:
    """Answers questions about one store.

    Parameters:
        store: where the rows are.
        rows: the committer's memory: who executes what now, and all definitions. Only looked at.
        clock: what "in 3 h" counts from.
    """

    def __init__(self, *, store: Store, rows: Rows, clock: Clock) -> None:
        self._store = store
        self._rows = rows
        self._clock = clock

    # --- events

    async def event(self, env_no: int, event_id: str) -> EventView:
        """An event by either of its ids, with the runs it started, oldest first. Raises `NotFound`."""
        event = await self.event_row(env_no, event_id)
        query = RunQuery(env_no=env_no, event_id=event.id, limit=MAX_RUNS_OF_AN_EVENT)
        runs = await self._store.runs(query)
        return rendering.event_view(event, reversed(runs))

    async def event_row(self, env_no: int, event_id: str) -> Event:
        """An event as it is stored. Raises `NotFound`."""
        return _found(await self._store.event(env_no, event_id), "event", event_id)

    # --- runs

    async def run(self, env_no: int, run_id: str) -> RunView:
        """A run with payload, tasks and attempts, and why it waits if it does. Raises `NotFound`."""
        run = await self.run_row(env_no, run_id)
        event, tasks, attempts = await asyncio.gather(
            self._store.event(env_no, run.event_id), self._store.tasks(run_id), self._store.attempts(run_id)
        )
        return rendering.run_view(
            run,
            event_id=None if event is None else event.public_id,
            event_name=None if event is None else event.name,
            reason=self._reason(run, [task for task in tasks if task.finished_at is None]),
            payload=None if event is None else event.payload,
            tasks=rendering.task_views(tasks, attempts),
        )

    async def runs(
        self, env_no: int, *, status: Sequence[str] = (), job: str | None = None, event_id: str | None = None,
        since: int | None = None, cursor: str | None = None, limit: int = 50,
    ) -> RunPage:  # fmt: skip
        """Runs, newest first, without payloads, outputs and tasks.

        Parameters:
            status: only these, in our words (`ready`) or people's (`queued`). Default all.
            job, event_id: only of this job, this event (either of its ids).
            since: only those created at or after this instant, in microseconds.
            cursor: `next_cursor` of the page before.
            limit: 1 to 200.

        Raises:
            InvalidInput: an unknown status, a cursor that is none, a limit out of range.
            NotFound: no such event.
        """
        _check_range("limit", limit, 1, MAX_RUNS_A_PAGE)
        query = RunQuery(
            env_no=env_no,
            states=tuple(dict.fromkeys([_state_called(word) for word in status])),
            job=job,
            event_id=None if event_id is None else (await self.event_row(env_no, event_id)).id,
            before=None if cursor is None else _checked_cursor(cursor),
            since=since,
            limit=limit + 1,  # the last one only tells that there are more
        )
        found = await self._store.runs(query)
        page = found[:limit]
        names, open_tasks = await asyncio.gather(self._names_for(env_no, page), self._open_tasks_of(page))
        views = [self._listed(run, names.get(run.event_id), open_tasks.get(run.id, ())) for run in page]
        return RunPage(runs=tuple(views), next_cursor=page[-1].id if len(found) > limit else None)

    async def runs_of_job(self, env_no: int, job: str, *, first: str | None, limit: int) -> list[Run]:
        """Rows of a job's runs, newest first, from the run `first` on (which is the first of them)."""
        before = None if first is None else f"{_checked_cursor(first)} "  # sorts right after the id itself
        return await self._store.runs(RunQuery(env_no=env_no, job=job, before=before, limit=limit))

    async def run_and_tasks(self, env_no: int, run_id: str) -> tuple[Run, list[Task]]:
        """The rows of a run and its tasks, in the order of creation. Raises `NotFound`."""
        run = await self.run_row(env_no, run_id)
        return run, await self._store.tasks(run_id)

    async def logs(
        self, env_no: int, run_id: str, *, cursor: str | None = None, limit: int = 500
    ) -> list[LogView]:
        """Lines a run wrote, in the order of writing, after the line with this cursor.

        Raises:
            InvalidInput: a cursor that is none, a limit outside 1 to 1,000.
            NotFound: no such run.
        """
        _check_range("limit", limit, 1, MAX_LINES_A_PAGE)
        after = None if cursor is None else place_of(cursor)
        await self.run_row(env_no, run_id)
        return [rendering.log_view(line) for line in await self._store.logs(run_id, after, limit)]

    # --- definitions

    def jobs(self, env_no: int) -> list[JobView]:
        """All jobs any worker has advertised, by id."""
        jobs = self._rows.catalog(env_no).jobs.values()
        shown = sorted((job for job in jobs if not job.internal), key=lambda job: job.id)
        return [rendering.job_view(job, is_served=self._is_served(job)) for job in shown]

    def schedules(self, env_no: int, *, upcoming: int = 1) -> list[ScheduleView]:
        """All schedules with their next `upcoming` (0 to 100) planned times, by id."""
        _check_range("upcoming", upcoming, 0, MAX_UPCOMING)
        schedules = sorted(self._rows.catalog(env_no).schedules.values(), key=lambda schedule: schedule.id)
        now = self._clock.now()
        return [rendering.schedule_view(schedule, upcoming=upcoming, now=now) for schedule in schedules]

    # --- why a run waits

    def brief(self, run: Run) -> RunView:
        """A run as streams show it: from its row and from memory alone."""
        reason = self._reason(run, self._rows.open_tasks(run.id).values())
        return rendering.run_view(run, reason=reason, with_output=False)

    def _reason(self, run: Run, open_tasks: Iterable[Task]) -> WaitingReason | None:
        catalog = self._rows.catalog(run.env_no)
        return waiting_reason(
            run,
            job=catalog.jobs.get(run.job),
            queue=catalog.queues.get(run.queue),
            held_by=self._rows.line_executing(run.line),
            seats=self._rows.seats.values(),
            open_tasks=open_tasks,
            now=self._clock.now(),
        )

    # --- below

    async def run_row(self, env_no: int, run_id: str) -> Run:
        """A run as it is stored. Raises `NotFound`."""
        return _found(await self._store.run(env_no, run_id), "run", run_id)

    def _listed(self, run: Run, event: EventName | None, open_tasks: Iterable[Task]) -> RunView:
        return rendering.run_view(
            run,
            event_id=None if event is None else event.public_id,
            event_name=None if event is None else event.name,
            reason=self._reason(run, open_tasks),
            with_output=False,
        )

    async def _names_for(self, env_no: int, runs: Sequence[Run]) -> dict[str, EventName]:
        ids = sorted({run.event_id for run in runs})
        names = await self._store.event_names(env_no, ids) if ids else []
        return {name.id: name for name in names}

    async def _open_tasks_of(self, runs: Sequence[Run]) -> dict[str, list[Task]]:
        """What the suspended ones among the runs wait for."""
        suspended = [run.id for run in runs if run.state == "suspended"]
        grouped: dict[str, list[Task]] = {}
        for task in await self._store.open_tasks(suspended) if suspended else []:
            grouped.setdefault(task.run_id, []).append(task)
        return grouped

    def _is_served(self, job: Job) -> bool:
        seats = self._rows.seats.values()
        return any(seat.env_no == job.env_no and job.id in seat.jobs for seat in seats)


def place_of(cursor: str) -> tuple[int, int]:
    """Execution and number of the log line a cursor stands for.

    Raises:
        InvalidInput: not the cursor of a line.
    """
    token, dot, number = cursor.partition(".")
    is_one = dot and all(part.isascii() and part.isdigit() and len(part) < 19 for part in (token, number))
    if not is_one:
        raise InvalidInput(f"cursor {cursor[:60]!r} is not that of a log line; hand back the `cursor` of one")
    return int(token), int(number)


def _found(row: T | None, what: str, row_id: str) -> T:
    if row is None:
        raise NotFound(f"{what} {row_id} not found")
    return row


def _state_called(word: str) -> str:
    """The state that a status word means, however it is capitalised or joined (`timed-out`, `TIMED OUT`)."""
    plain = word.strip().lower().replace("-", " ")
    state = STATE_CALLED.get(plain) or STATE_CALLED.get(plain.replace(" ", "_"))
    if state is not None:
        return state
    guess = nearest(plain, STATE_CALLED)
    raise InvalidInput(
        f"status {word[:60]!r} is unknown; "
        + (f"did you mean {guess!r}? " if guess else "")
        + f"the statuses are {', '.join(RUN_STATES)}, or {', '.join(w.people for w in RUN_STATES.values())}"
    )


def _checked_cursor(cursor: str) -> str:
    if not (cursor.startswith("run_") and len(cursor) <= 100 and cursor.isascii() and cursor.isprintable()):
        raise InvalidInput(f"cursor {cursor[:60]!r} is not that of a page; hand back its `next_cursor`")
    return cursor


def _check_range(what: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise InvalidInput(f"{what} is {number}; it must be {least} to {most:,}")
