"""`zopio-trigger jobs`."""

from __future__ import annotations

import click

from zopio_trigger.cli.output import Cell, document, documents, format_of, json_options, remark, table
from zopio_trigger.cli.target import open_target, target_options
from zopio_trigger.cli.wording import nearer, trigger_text
from zopio_trigger.model.views import JobView


@click.group()
def jobs() -> None:
    """List the jobs the platform knows."""


@jobs.command("list")
@json_options
@target_options
def list_jobs(as_json: bool, jsonl: bool, url: str | None, api_key: str | None, store: str | None) -> None:
    """List jobs: what starts them, how many runs may execute at once, whether a worker serves them."""
    format = format_of(as_json=as_json, jsonl=jsonl)
    with open_target(url=url, api_key=api_key, store=store) as target:
        found = target.jobs()
    if format == "json":
        document({"jobs": found})
    elif format == "jsonl":
        documents(found)
    elif found:
        titles = ("JOB", "VERSION", "TRIGGER", "AT ONCE", "WORKER", "SOURCE")
        table(titles, [_row(job) for job in found], cut=(5, 2, 0))
    else:
        remark("no job is registered yet; start an app: zopio-trigger dev app.py")


def _row(job: JobView) -> list[Cell]:
    return [
        Cell(job.id),
        Cell(job.version),
        Cell(trigger_text(job)),
        Cell("any number" if job.limit is None else str(job.limit), piped=str(job.limit or "")),
        Cell("serves it", piped="yes", colour="green")
        if job.is_served
        else Cell("none", piped="no", colour="yellow"),
        Cell(nearer(job.source or "")),
    ]
