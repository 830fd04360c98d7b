"""`zopio-trigger runs`: what there is to see of runs. What changes them is in `changing`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import click
import msgspec

from zopio_trigger.cli.changing import cancel, replay, retry
from zopio_trigger.cli.outcome import FAILED
from zopio_trigger.cli.output import (
    Cell,
    document,
    documents,
    format_of,
    is_terminal,
    json_options,
    remark,
    say,
    table,
)
from zopio_trigger.cli.target import Target, open_target, target_options
from zopio_trigger.cli.wording import (
    SCHEDULED,
    SIGNS,
    age,
    clock,
    error_of,
    first_line,
    length,
    local,
    log_line,
    now,
    outcome,
    place_line,
    plain,
    plural,
    sign,
    started_by,
    task_line,
)
from zopio_trigger.model.durations import instant_us, iso, parse_duration
from zopio_trigger.model.names import nearest
from zopio_trigger.model.states import RUN_STATES
from zopio_trigger.model.views import JobView, LogView, RunPage, RunView, TaskView, value

LONGEST_JSON: Final = 4_000  # characters of a payload or an output that are shown
PAGE: Final = 200  # runs the server gives at once
TITLES: Final = ("STATUS", "RUN", "JOB", "TRIGGER", "STARTED", "TOOK")
CUT: Final = (3, 2, 1)  # trigger, job, run: in this order where the terminal is narrow


@click.group()
def runs() -> None:
    """List, show, follow, cancel, replay and retry runs."""


# --- list


@runs.command("list")
@click.option(
    "--status", metavar="STATUS", multiple=True, help="Only these: failed, running, waiting, …; repeatable."
)
@click.option("--job", metavar="JOB", help="Only runs of this job.")
@click.option("--since", metavar="TIME", help="Only runs created since: 2h ago, or 2026-01-31T09:00:00Z.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="At most so many."
)
@json_options
@target_options
def list_runs(
    status: tuple[str, ...], job: str | None, since: str | None, limit: int, as_json: bool, jsonl: bool,
    url: str | None, api_key: str | None, store: str | None,
) -> None:  # fmt: skip
    """List runs, newest first."""
    format = format_of(as_json=as_json, jsonl=jsonl)
    moment = None if since is None else _since(since)
    with open_target(url=url, api_key=api_key, store=store) as target:
        found = _listed(target, status=_words(status), job=job, since=moment, limit=limit)
        jobs = _jobs_for(target, found.runs)
        if not found.runs and job is not None:
            _remark_on_unknown_job(job, target)
    if format == "json":
        document(found)
    elif format == "jsonl":
        documents(found.runs)
    elif found.runs:
        table(TITLES, [_row(run, jobs) for run in found.runs], cut=CUT)
    else:
        remark("no runs" + (" like these" if status or job or since else " yet; send an event to start one"))
    if format == "text" and found.next_cursor is not None and is_terminal():
        remark(f"there are more; --limit {limit * 5} shows them")


def _listed(
    target: Target, *, status: Sequence[str], job: str | None, since: str | None, limit: int
) -> RunPage:
    """As many runs as are wanted, page after page."""
    found: list[RunView] = []
    cursor: str | None = None
    while True:
        page = target.runs(
            status=status, job=job, since=since, limit=min(PAGE, limit - len(found)), cursor=cursor
        )
        found += page.runs
        cursor = page.next_cursor
        if cursor is None or len(found) >= limit:
            return RunPage(runs=tuple(found), next_cursor=cursor)


def _jobs_for(target: Target, found: Sequence[RunView]) -> dict[str, JobView]:
    """The jobs, when some run does not tell by itself what started it."""
    if all(run.event_name not in (None, SCHEDULED) for run in found):
        return {}
    return {job.id: job for job in target.jobs()}


def _row(run: RunView, jobs: dict[str, JobView]) -> list[Cell]:
    words = RUN_STATES[run.status]
    _, colour = SIGNS[run.status]
    started = run.started_at
    return [
        Cell(words.people, colour=colour),
        Cell(run.id),
        Cell(run.job),
        Cell(started_by(run, jobs)),
        Cell("not yet" if started is None else age(started), piped=started or ""),
        Cell(*_took(run)),
    ]


def _took(run: RunView) -> tuple[str, str]:
    """How long a run took, for people and, in milliseconds, for programs."""
    if run.duration_ms is None:
        return "…" if run.started_at is not None else "", ""
    return length(run.duration_ms), f"{run.duration_ms:g}"


def _words(status: Sequence[str]) -> list[str]:
    """Statuses by any of their names; `--status failed,crashed` is two."""
    known = {word: state for state, words in RUN_STATES.items() for word in (state, words.people)}
    found: list[str] = []
    for word in (word.strip().lower() for given in status for word in given.split(",")):
        plain = word.replace("-", " ")
        state = known.get(plain) or known.get(plain.replace(" ", "_"))
        if state is None:
            guess = nearest(word, known)
            there_are = ", ".join(words.people for words in RUN_STATES.values())
            raise click.UsageError(
                f"there is no status {word!r}; "
                + (f"did you mean {guess!r}?" if guess else f"there are {there_are}")
            )
        found.append(state)
    return found


def _since(text: str) -> str:
    """An instant, given as one or as how long ago it was."""
    if "T" in text:
        return iso(instant_us(text, "--since"))
    return iso(now() - parse_duration(text.removesuffix("ago").strip()))


def _remark_on_unknown_job(job: str, target: Target) -> None:
    known = [one.id for one in target.jobs()]
    if job not in known:
        guess = nearest(job, known)
        remark(f"note: there is no job {job!r}" + (f"; did you mean {guess!r}?" if guess else ""))


# --- get


@runs.command("get")
@click.argument("run_id", metavar="RUN")
@json_options
@target_options
def get_run(
    run_id: str, as_json: bool, jsonl: bool, url: str | None, api_key: str | None, store: str | None
) -> None:
    """Show one run: its tasks, log lines, payload and output."""
    format = format_of(as_json=as_json, jsonl=jsonl)
    with open_target(url=url, api_key=api_key, store=store) as target:
        run = target.run(run_id)
        if format != "text":
            document(run)
            return
        jobs = _jobs_for(target, [run])
        lines = target.logs(run_id)
    _show(run, started_by(run, jobs))
    if lines:
        say("log")
    for line in lines:
        say(f"  {click.style(clock(line.at, milliseconds=True), dim=True)} {log_line(line)}")


def _show(run: RunView, trigger: str) -> None:
    say(f"{sign(run.status)} {run.id} {run.job} {run.version}  {outcome(run)}")
    place = place_line(run)
    if place is not None:
        say(place)
    facts = [f"created {local(run.created_at):%Y-%m-%d %H:%M:%S}", f"event {trigger} {run.event_id}"]
    if run.replay_of is not None:
        facts.append(f"replay of {run.replay_of}")
    if run.executions > 1:
        facts.append(plural(run.executions, "execution"))
    say(click.style(f"  {' · '.join(facts)}", dim=True))
    _show_json("payload", value(run.payload))
    _show_json("output", value(run.output))
    if run.tasks:
        say("tasks")
    for task in run.tasks:
        say(f"  {task_line(task) or f'{task.state} {task.key}'}")
        error = error_of(task.error)
        for attempt in task.attempts if error is not None else ():
            failure = error_of(attempt.error)
            if failure is not None:
                say(click.style(f"    attempt {attempt.number}  {first_line(failure)}", dim=True))
    error = error_of(run.error)
    if error is not None and error.traceback:
        say("traceback")
        say("\n".join(f"  {line}" for line in plain(error.traceback).rstrip().splitlines()))


def _show_json(title: str, shown: object) -> None:
    if shown is not None:
        text = plain(msgspec.json.encode(shown).decode())
        cut = text if len(text) <= LONGEST_JSON else f"{text[:LONGEST_JSON]}… (--json shows all of it)"
        say(f"{title}  {cut}")


# --- tail


@runs.command("tail")
@click.argument("run_id", metavar="[RUN]", required=False)
@json_options
@target_options
def tail(
    run_id: str | None, as_json: bool, jsonl: bool, url: str | None, api_key: str | None, store: str | None
) -> None:
    """Follow one run to its end (the exit code follows it), or all runs until Ctrl+C."""
    from zopio_trigger.cli.story import Story

    if format_of(as_json=as_json, jsonl=jsonl) == "json":
        raise click.UsageError("what is followed has no end to be one document; use --jsonl")
    with open_target(url=url, api_key=api_key, store=store) as target:
        jobs = {job.id: job for job in target.jobs()}
        teller = _Printer() if jsonl else None
        story = Story(started_by=lambda run: started_by(run, jobs))
        for _ in target.follow(run_id, teller or story):
            for line in story.lines():
                say(line)
            sys.stdout.flush()
        ended = target.run(run_id) if run_id is not None else None
    if ended is not None and ended.status != "completed":
        sys.exit(FAILED)


class _Printer:
    """Prints news as JSON lines."""

    def run(self, run: RunView) -> None:
        document({"run": run})

    def task(self, run_id: str, task: TaskView) -> None:
        document({"runId": run_id, "task": task})

    def log(self, run_id: str, line: LogView) -> None:
        document({"runId": run_id, "log": line})


for command in (cancel, replay, retry):
    runs.add_command(command)
