"""`zopio-trigger schedules`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from zopio_trigger.cli.outcome import NOT_FOUND, Failure
from zopio_trigger.cli.output import (
    Cell,
    document,
    documents,
    format_of,
    is_terminal,
    json_options,
    remark,
    table,
)
from zopio_trigger.cli.target import open_target, target_options
from zopio_trigger.cli.wording import age, local
from zopio_trigger.model.names import nearest
from zopio_trigger.model.views import ScheduleView


@click.group()
def schedules() -> None:
    """List schedules and when they fire next."""


@schedules.command("list")
@json_options
@target_options
def list_schedules(
    as_json: bool, jsonl: bool, url: str | None, api_key: str | None, store: str | None
) -> None:
    """List schedules with their last and next times."""
    format = format_of(as_json=as_json, jsonl=jsonl)
    with open_target(url=url, api_key=api_key, store=store) as target:
        found = target.schedules()
    if format == "json":
        document({"schedules": found})
    elif format == "jsonl":
        documents(found)
    elif found:
        table(
            ("SCHEDULE", "WHEN", "MEANS", "ZONE", "LAST", "NEXT"),
            [_row(one) for one in found],
            cut=(2, 0),
        )
    else:
        remark("no schedules; give a job trigger=client.triggers.schedule(cron=…)")


@schedules.command("next")
@click.argument("job", metavar="[JOB]", required=False)
@click.option(
    "--count", type=click.IntRange(1, 100), default=10, show_default=True, help="So many times of each."
)
@json_options
@target_options
def next_times(
    job: str | None, count: int, as_json: bool, jsonl: bool, url: str | None, api_key: str | None, store: str | None
) -> None:  # fmt: skip
    """Show when schedules fire next: that of one JOB, or all of them in the order of time."""
    format = format_of(as_json=as_json, jsonl=jsonl)
    with open_target(url=url, api_key=api_key, store=store) as target:
        found = target.schedules(upcoming=count)
    if job is not None:
        found = _only(job, found)
    times = sorted(_times(found))
    if format == "json":
        document({"times": [{"at": at, "job": name} for at, name in times]})
    elif format == "jsonl":
        documents({"at": at, "job": name} for at, name in times)
    elif times:
        ahead = [Cell(age(at)) for at, _ in times] if is_terminal() else []
        rows = [[_moment(at), Cell(name), *ahead[nth : nth + 1]] for nth, (at, name) in enumerate(times)]
        table(("TIME", "JOB", "")[: len(rows[0])], rows)
    else:
        remark("nothing is planned")


def _only(job: str, found: Sequence[ScheduleView]) -> list[ScheduleView]:
    of_job = [schedule for schedule in found if schedule.job == job]
    if not of_job:
        guess = nearest(job, [schedule.job for schedule in found])
        raise Failure(
            f"job {job!r} has no schedule" + (f"; did you mean {guess!r}?" if guess else ""), NOT_FOUND
        )
    return of_job


def _times(found: Sequence[ScheduleView]) -> Iterator[tuple[str, str]]:
    for schedule in found:
        for at in schedule.upcoming:
            yield at, schedule.job


def _row(schedule: ScheduleView) -> list[Cell]:
    when = schedule.cron if schedule.cron is not None else f"{schedule.seconds} s"
    is_paused = schedule.paused_at is not None
    return [
        Cell(schedule.id),
        Cell(when),
        Cell(schedule.text),
        Cell(schedule.timezone),
        _relative(schedule.last_at, "never"),
        Cell("paused", piped="", colour="yellow") if is_paused else _relative(schedule.next_at, "never"),
    ]


def _relative(at: str | None, none: str) -> Cell:
    return Cell(none, piped="") if at is None else Cell(age(at), piped=at)


def _moment(at: str) -> Cell:
    return Cell(f"{local(at):%a %Y-%m-%d %H:%M:%S %z}", piped=at)
