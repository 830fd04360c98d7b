"""What the API, the command line and `client.get_run()` show: the same values whoever asks, wherever it runs.

Users' JSON is `Raw`, token for token as it is stored; where there is none the field is UNSET and missing on
the wire, because an absent output is not `null`. `value` reads such a field.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from zopio_trigger.model.durations import iso


class View(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """Something shown to a caller; camelCase on the wire, as in the 2.x API."""


class WaitingReason(View, frozen=True, kw_only=True):
    """Why a run that is not executing waits, since when, and what would start it."""

    kind: Literal["slot", "retry", "time", "no_worker", "paused", "worker_busy", "task", "starting"]
    text: str  # a clause for people: "waiting for a slot of queue `emails`: 1 of 1 held by run_…"
    since: str  # ISO 8601
    until: str | None = None  # when it goes on by itself
    queue: str | None = None
    limit: int | None = None
    held_by: tuple[str, ...] = ()  # runs that hold the slots, at most 20
    task: str | None = None  # key of the task it waits for
    attempt: int | None = None
    max_attempts: int | None = None


class AttemptView(View, frozen=True, kw_only=True):
    """One unsuccessful try of a task."""

    number: int
    started_at: str
    finished_at: str
    retry_at: str | None
    error: Raw


class TaskView(View, frozen=True, kw_only=True):
    """A task of a run."""

    id: str
    key: str
    kind: str
    state: str
    parent_id: str | None
    attempt: int
    max_attempts: int
    created_at: str
    started_at: str
    due_at: str | None
    finished_at: str | None
    output: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    attempts: tuple[AttemptView, ...] = ()


class LogView(View, frozen=True, kw_only=True):
    """A line a job wrote."""

    at: str
    level: str
    message: str
    data: Raw | UnsetType = UNSET
    task_id: str | None
    execution: int
    cursor: str  # hand it back to read on after this line


class RunView(View, frozen=True, kw_only=True):
    """A run; lists leave `tasks` empty."""

    id: str
    status: str  # a state of model/states.py
    job: str
    version: str
    event_id: str
    event_name: str | None
    replay_of: str | None
    queue: str
    queue_key: str
    is_test: bool
    executions: int
    interruptions: int
    created_at: str
    ready_at: str
    started_at: str | None
    finished_at: str | None
    duration_ms: float | None
    waiting_reason: WaitingReason | None = None
    payload: Raw | UnsetType = UNSET  # lists and streams leave it out
    output: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    tasks: tuple[TaskView, ...] = ()


class RunPage(View, frozen=True, kw_only=True):
    """Runs, newest first; `next_cursor` asks for those before them."""

    runs: tuple[RunView, ...]
    next_cursor: str | None


class EventRunView(View, frozen=True, kw_only=True):
    """A run as its event lists it."""

    id: str
    status: str  # the 2.x word
    state: str
    job: str
    started_at: str | None
    completed_at: str | None


class EventView(View, frozen=True, kw_only=True):
    """An event and the runs it started, as `GET /api/v2/events/:id` answers."""

    id: str
    name: str
    created_at: str
    updated_at: str
    timestamp: str
    deliver_at: str
    delivered_at: str | None
    cancelled_at: str | None
    payload: Raw
    context: Raw | UnsetType = UNSET
    runs: tuple[EventRunView, ...] = ()


class JobView(View, frozen=True, kw_only=True):
    """A job as the platform knows it."""

    id: str
    name: str
    version: str
    trigger: Raw
    queue: str
    limit: int | None
    source: str | None
    is_served: bool  # a live worker executes it
    updated_at: str
    paused_at: str | None


class ScheduleView(View, frozen=True, kw_only=True):
    """A schedule and when it fires next."""

    id: str
    job: str
    text: str  # for people: "At 09:00 on Monday"
    cron: str | None
    seconds: int | None
    timezone: str
    catch_up: str
    overlap: str
    last_at: str | None
    next_at: str | None
    paused_at: str | None
    upcoming: tuple[str, ...] = ()


class ReceiptView(View, frozen=True, kw_only=True):
    """The answer to an event: it is committed and flushed to disk."""

    id: str
    name: str
    created_at: str
    runs: tuple[str, ...]
    jobs: tuple[str, ...]
    is_duplicate: bool  # an event with this id was there already; that one stands
    payload_differs: bool  # … and this one said something else


def raw(text: str | None) -> Raw | UnsetType:
    """Stored JSON text as it is, for a field of a view."""
    return UNSET if text is None else Raw(text.encode())


def moment(instant: int | None) -> str | None:
    """An instant for people and programs."""
    return None if instant is None else iso(instant)


def value(field: Raw | UnsetType) -> Any:
    """The value of a raw field; None when there is none."""
    return None if isinstance(field, UnsetType) else msgspec.json.decode(field)
