"""Hooks: `on_success` and `on_failure` are jobs of their own, started in the transaction that ends the run."""

from __future__ import annotations

from zopio_trigger.engine.fanout import id_for, new_run
from zopio_trigger.engine.rows import Rows
from zopio_trigger.model import json
from zopio_trigger.model.records import Event, Job, Row, Run
from zopio_trigger.model.trigger import DEFAULT_SOURCE

EVENT_NAME = "dev.trigger.run.ended"


def hook_id(job_id: str, *, succeeded: bool) -> str:
    """The id of the internal job that runs a job's hook."""
    return f"{job_id}/on-success" if succeeded else f"{job_id}/on-failure"


def follow_up(rows: Rows, ended: Run, now: int) -> tuple[Row, ...]:
    """The event and the run of the job's hook, when it has one for this end. A cancelled run calls no hook."""
    job = rows.catalog(ended.env_no).jobs.get(ended.job)
    if job is None or job.internal or ended.state == "cancelled":
        return ()
    succeeded = ended.state == "completed"
    if not (job.on_success if succeeded else job.on_failure):
        return ()
    hook = rows.catalog(ended.env_no).jobs.get(hook_id(job.id, succeeded=succeeded))
    return _event_and_run(hook, ended, now) if hook is not None else ()


def _event_and_run(hook: Job, ended: Run, now: int) -> tuple[Row, ...]:
    event_id = f"evt{ended.id.removeprefix('run')}-hook{ended.token}"
    event = Event(
        event_id, ended.env_no, 1, None, EVENT_NAME, DEFAULT_SOURCE, now, now, now, now, None, ended.is_test,
        hook.id, ended.id, None, notification(ended), None,
    )  # fmt: skip
    return (event, new_run(id_for(event), event, hook, now))


def notification(ended: Run) -> str:
    """The payload of a hook: how the run ended. Output and error are the stored JSON, token for token."""
    about = json.encode(
        {"id": ended.id, "job": ended.job, "version": ended.job_version, "state": ended.state}, what="run"
    )
    ok = "true" if ended.state == "completed" else "false"
    return f'{{"ok":{ok},"run":{about},"output":{ended.output or "null"},"error":{ended.error or "null"}}}'
