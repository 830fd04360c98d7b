"""Events and runs in the words of the 2.x API: its field names, its statuses.

Source: the 2.x server's API as `@trigger.dev/sdk` 2.3.19 reads it.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

from zopio_trigger.model import json
from zopio_trigger.model.durations import iso
from zopio_trigger.model.records import Event, Run
from zopio_trigger.model.states import RUN_STATES
from zopio_trigger.model.views import moment, raw

NO_CONTEXT: Final = Raw(b"{}")  # what 2.x shows where none was sent

COARSE: Final = {"EXECUTING": "STARTED", "WAITING_TO_CONTINUE": "STARTED", "WAITING_TO_EXECUTE": "STARTED"}
"""What the v1 paths call statuses that came with v2."""


_STEP: Final = re.compile(r'[^.\[\]"]+')


class V2View(Struct, frozen=True, kw_only=True, rename="camel"):
    """Something as the 2.x API shows it."""


class EventAnswer(V2View, frozen=True, kw_only=True):
    """An event, as the routes that send and cancel one answer."""

    id: str
    name: str
    payload: Raw
    context: Raw
    timestamp: str
    deliver_at: str
    delivered_at: str | None
    cancelled_at: str | None


class RunLine(V2View, frozen=True, kw_only=True):
    """A run in the list of its job."""

    id: str
    status: str
    started_at: str | None
    updated_at: str
    completed_at: str | None


class RunTask(V2View, frozen=True, kw_only=True):
    """A task of a run."""

    id: str
    display_key: str
    status: str
    name: str
    icon: None = None
    started_at: str | None
    completed_at: str | None
    params: UnsetType | None = UNSET
    output: Raw | UnsetType = UNSET
    subtasks: list[RunTask] | UnsetType = UNSET


class RunAnswer(V2View, frozen=True, kw_only=True):
    """A run with a page of its tasks."""

    id: str
    status: str
    started_at: str | None
    updated_at: str
    completed_at: str | None
    output: Raw | UnsetType
    tasks: list[RunTask]
    statuses: tuple[()] = ()
    next_cursor: str | UnsetType = UNSET


def event_answer(event: Event) -> EventAnswer:
    """An event that is stored."""
    context = raw(event.context)
    return EventAnswer(
        id=event.public_id,
        name=event.name,
        payload=Raw(event.payload.encode()),
        context=NO_CONTEXT if isinstance(context, UnsetType) else context,
        timestamp=iso(event.timestamp),
        deliver_at=iso(event.deliver_at),
        delivered_at=moment(event.delivered_at),
        cancelled_at=moment(event.cancelled_at),
    )


def run_line(run: Run) -> RunLine:
    return RunLine(
        id=run.id,
        status=run_status(run.state),
        started_at=moment(run.started_at),
        updated_at=updated_at(run),
        completed_at=moment(run.finished_at),
    )


def run_status(state: str, *, coarse: bool = False) -> str:
    """The status of a run; a word of 2.x that every SDK of its time knows."""
    status = RUN_STATES[state].v2
    return COARSE.get(status, status) if coarse else status


def run_output(run: Run) -> Raw | UnsetType:
    """What a run ended with: its output, its error, or what is wrong with its payload."""
    if run.error is None:
        return raw(run.output)
    if run.state == "invalid_payload":
        issues = json.decode(run.error).get("issues", ())
        return _json([{"path": _steps(issue["path"]), "message": issue["message"]} for issue in issues])
    return error_object(run.error)


def error_object(error: str) -> Raw:
    """A stored error in the fields that JavaScript's errors have."""
    stored = json.decode(error)
    names = {"message": "message", "name": "type", "stack": "traceback"}
    return _json({theirs: stored[ours] for theirs, ours in names.items() if ours in stored})


def _steps(path: str) -> list[str]:
    """A JSON path (`$.items[3].name`) as a list of keys."""
    return _STEP.findall(path.removeprefix("$"))


def _json(value: object) -> Raw:
    return Raw(json.encode(value, what="a stored error").encode())


def updated_at(run: Run) -> str:
    """When something about the run last changed."""
    times = (run.created_at, run.ready_at, run.started_at, run.paused_at, run.finished_at)
    return iso(max(at for at in times if at is not None))
