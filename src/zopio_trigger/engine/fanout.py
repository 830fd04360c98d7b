"""The fan-out of an event: which jobs listen to it, and the new run each of them gets."""

from __future__ import annotations

from collections.abc import Iterator

from zopio_trigger.engine import limits
from zopio_trigger.engine.rows import Rows
from zopio_trigger.errors import NotFound
from zopio_trigger.model import json
from zopio_trigger.model.records import Event, Job, Run

NO_TAGS = "[]"


def runs_of(rows: Rows, event: Event, first_id: str, now: int) -> list[Run]:
    """One new run for every job that wants the event. The first gets this id, the others it with a suffix."""
    return [
        new_run(first_id if nth == 0 else f"{first_id}-{nth + 1}", event, job, now)
        for nth, job in enumerate(_listening_jobs(rows, event))
    ]


def check_job(rows: Rows, event: Event) -> None:
    """Refuse an event for one job that nobody has advertised; told now, while the sender still listens."""
    if event.job and event.job not in rows.catalog(event.env_no).jobs:
        raise NotFound(f"no job {event.job!r} is known in this environment; start a worker that serves it")


def _listening_jobs(rows: Rows, event: Event) -> Iterator[Job]:
    catalog = rows.catalog(event.env_no)
    if event.job:
        check_job(rows, event)
        yield catalog.jobs[event.job]
        return
    payload: object = None
    is_decoded = False
    for subscription in catalog.subscriptions(event.name):
        if subscription.source != event.source:
            continue
        if subscription.filter is not None:
            if not is_decoded:
                payload, is_decoded = json.decode(event.payload), True
            if not subscription.filter.matches(payload):
                continue
        yield subscription.job


def new_run(run_id: str, event: Event, job: Job, now: int) -> Run:
    """A run that is ready to be executed."""
    key = limits.key_for(job, event) if job.limit_key is not None else ""
    return Run(
        run_id, 1, "ready", 0, None, 0, now, None, None, None, None, None, None, event.env_no, job.id, job.version,
        event.id, 0, None, job.queue, key, job.priority, event.is_test, NO_TAGS, now,
    )  # fmt: skip


def id_for(event: Event) -> str:
    """The id of the first run of an event that is delivered at once: the event's own with another prefix."""
    return "run" + event.id.removeprefix("evt")
