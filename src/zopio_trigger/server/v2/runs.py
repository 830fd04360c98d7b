"""The 2.x API for runs: look at one with a page of its tasks, cancel one, list those of a job."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from msgspec import UNSET, Raw, UnsetType

from zopio_trigger.errors import Conflict, InvalidInput
from zopio_trigger.model.records import Run, Task
from zopio_trigger.model.states import TASK_STATES_V2
from zopio_trigger.model.views import moment, raw
from zopio_trigger.server.answers import Answer, json_answer
from zopio_trigger.server.calls import Call
from zopio_trigger.server.routes import Route
from zopio_trigger.server.v2.words import (
    RunAnswer,
    RunTask,
    error_object,
    run_line,
    run_output,
    run_status,
    updated_at,
)

TAKE: Final = 20  # tasks or runs a page, when not said
MOST: Final = 50


async def get(call: Call) -> Answer:
    """A run."""
    return json_answer(await _run(call, coarse=False))


async def get_v1(call: Call) -> Answer:
    """The same with the statuses that SDKs before 2.3 know."""
    return json_answer(await _run(call, coarse=True))


async def cancel(call: Call) -> Answer:
    """End a run now.

    One that has ended already is answered as it stands: the 2.x SDK would repeat the request for ten seconds if it
    were answered 409.
    """
    run_id = call.path[0]
    with suppress(Conflict):  # the status in the answer says it
        await call.desk.cancel_run(run_id)
    run, tasks = await call.platform.reads.run_and_tasks(call.env_no, run_id)
    return json_answer(_answer(run, _roots(tasks)[:TAKE], coarse=True))


async def list_of_job(call: Call) -> Answer:
    """The runs of a job, newest first; the cursor is the first run of the page. None for an unknown job."""
    take = _take(call)
    runs = await call.platform.reads.runs_of_job(
        call.env_no, call.path[0], first=call.word("cursor"), limit=take + 1
    )
    page: dict[str, object] = {"runs": [run_line(run) for run in runs[:take]]}
    if len(runs) > take:
        page["nextCursor"] = runs[take].id
    return json_answer(page)


async def _run(call: Call, *, coarse: bool) -> RunAnswer:
    run, tasks = await call.platform.reads.run_and_tasks(call.env_no, call.path[0])
    nested, detailed = call.flag("subtasks"), call.flag("taskdetails")
    listed = tasks if nested else _roots(tasks)
    first = _place(listed, call.word("cursor"))
    end = first + _take(call)
    following = listed[end].id if end < len(listed) else None
    return _answer(
        run, listed[first:end], nested=nested, detailed=detailed, coarse=coarse, following=following
    )


def _answer(
    run: Run, page: list[Task], *, nested: bool = False, detailed: bool = False, coarse: bool,
    following: str | None = None,
) -> RunAnswer:  # fmt: skip
    return RunAnswer(
        id=run.id,
        status=run_status(run.state, coarse=coarse),
        started_at=moment(run.started_at),
        updated_at=updated_at(run),
        completed_at=moment(run.finished_at),
        output=run_output(run),
        tasks=_nest(page, detailed) if nested else [_task(task, detailed) for task in page],
        next_cursor=UNSET if following is None else following,
    )


def _roots(tasks: list[Task]) -> list[Task]:
    return [task for task in tasks if task.parent_id is None]


def _place(tasks: list[Task], cursor: str | None) -> int:
    """Where the page begins: the cursor is its first task."""
    if cursor is None:
        return 0
    for place, task in enumerate(tasks):
        if task.id == cursor:
            return place
    raise InvalidInput(f"cursor {cursor[:60]!r} is no task of this run; hand back its `nextCursor`")


def _task(task: Task, detailed: bool, subtasks: list[RunTask] | None = None) -> RunTask:
    return RunTask(
        id=task.id,
        display_key=task.key,
        status=TASK_STATES_V2[task.state],
        name=task.key,
        started_at=moment(task.started_at),
        completed_at=moment(task.finished_at),
        params=None if detailed else UNSET,
        output=_output(task) if detailed else UNSET,
        subtasks=UNSET if subtasks is None else subtasks,
    )


def _output(task: Task) -> Raw | UnsetType:
    return raw(task.output) if task.error is None else error_object(task.error)


def _nest(page: list[Task], detailed: bool) -> list[RunTask]:
    """Tasks inside their parents; one whose parent is on another page stands at the top."""
    below: dict[str, list[RunTask]] = {task.id: [] for task in page}
    top: list[RunTask] = []
    for task in page:
        shown = _task(task, detailed, below[task.id])
        below.get(task.parent_id or "", top).append(shown)
    return top


def _take(call: Call) -> int:
    return min(max(call.number("take", TAKE), 1), MOST)


ROUTES: Final = (
    Route("GET", "/api/v1/runs/{id}", get_v1, is_shared=True),
    Route("GET", "/api/v2/runs/{id}", get, is_shared=True),
    Route("POST", "/api/v1/runs/{id}/cancel", cancel),
    Route("GET", "/api/v1/jobs/{id}/runs", list_of_job),
)
