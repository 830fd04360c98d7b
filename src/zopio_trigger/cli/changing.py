"""`zopio-trigger runs cancel`, `replay` and `retry`: what people do to runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import click

from zopio_trigger.cli.outcome import FAILED, USAGE, Failure, exit_code_of
from zopio_trigger.cli.output import Format, document, format_of, is_terminal, json_options, say
from zopio_trigger.cli.target import Target, open_target, target_options
from zopio_trigger.cli.waiting import exit_code_of as exit_code_of_runs
from zopio_trigger.cli.waiting import is_stuck, wait_for
from zopio_trigger.cli.wording import counted_from, place_line, plural, run_line
from zopio_trigger.errors import ZopioTriggerError
from zopio_trigger.model.states import is_final
from zopio_trigger.model.views import RunView

F = TypeVar("F", bound=Callable[..., Any])
Change = Callable[[Target, str], RunView]

STDIN: Final = "-"


def change_options(command: F) -> F:
    """What all three take: ids of runs, and whether to ask first."""
    command = click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)
    return click.argument("run_ids", metavar="RUN…|-", nargs=-1, required=True)(
        json_options(target_options(command))
    )


wait_option = click.option(
    "--wait/--no-wait", default=True, help="Show how the runs end (default), unless they wait for long."
)


@click.command()
@change_options
def cancel(
    run_ids: tuple[str, ...], yes: bool, as_json: bool, jsonl: bool, url: str | None, api_key: str | None,
    store: str | None,
) -> None:  # fmt: skip
    """End runs now. Async code is cancelled where it awaits, sync code stops at its next io call. - reads ids from
    stdin."""
    format = format_of(as_json=as_json, jsonl=jsonl)
    ids = _ids(run_ids)
    _confirm("cancel", ids, run_ids, yes=yes)
    with open_target(url=url, api_key=api_key, store=store) as target:
        batch = _Batch(target, format)
        batch.change(ids, lambda target, run_id: target.cancel(run_id))
    batch.end()


@click.command()
@wait_option
@change_options
def replay(
    run_ids: tuple[str, ...], yes: bool, wait: bool, as_json: bool, jsonl: bool, url: str | None,
    api_key: str | None, store: str | None,
) -> None:  # fmt: skip
    """Start finished runs again, each as a new run of the same event. - reads ids from stdin."""
    format = format_of(as_json=as_json, jsonl=jsonl)
    ids = _ids(run_ids)
    _confirm("replay", ids, run_ids, yes=yes)
    with open_target(url=url, api_key=api_key, store=store) as target:
        batch = _Batch(target, format)
        batch.change(ids, lambda target, run_id: target.replay(run_id), wait=wait)
    batch.end()


@click.command()
@wait_option
@change_options
def retry(
    run_ids: tuple[str, ...], yes: bool, wait: bool, as_json: bool, jsonl: bool, url: str | None,
    api_key: str | None, store: str | None,
) -> None:  # fmt: skip
    """Continue failed runs: finished tasks keep their results, the failed ones run again. - reads ids from stdin.

    One run named by its id is retried without a question.
    """
    format = format_of(as_json=as_json, jsonl=jsonl)
    ids = _ids(run_ids)
    _confirm("retry", ids, run_ids, yes=yes or run_ids == (ids[0],))
    with open_target(url=url, api_key=api_key, store=store) as target:
        batch = _Batch(target, format)
        batch.change(ids, lambda target, run_id: batch.noting(target.run(run_id), target.retry), wait=wait)
    batch.end()


# --- which runs


def _ids(given: Sequence[str]) -> list[str]:
    """The ids, those on stdin included: the first word of each line that is the id of a run."""
    ids: dict[str, None] = {}
    for word in given:
        ids.update(dict.fromkeys(_ids_in(sys.stdin) if word == STDIN else [word]))
    if not ids:
        raise Failure(
            "stdin has no ids of runs; pipe for example: zopio-trigger runs list --status failed", USAGE
        )
    return list(ids)


def _ids_in(lines: Iterable[str]) -> list[str]:
    found = (next((word for word in line.split() if word.startswith("run_")), None) for line in lines)
    return [run_id for run_id in found if run_id is not None]


def _confirm(verb: str, ids: Sequence[str], given: Sequence[str], *, yes: bool) -> None:
    """Ask once, unless told not to; without a person to ask, refuse."""
    if yes:
        return
    what = ids[0] if len(ids) == 1 else plural(len(ids), "run")
    if STDIN in given or not sys.stdin.isatty():
        raise click.UsageError(f"nobody is there to confirm it; to {verb} {what} add --yes")
    click.confirm(f"{verb} {what}?", abort=True, err=True)


# --- changing them


class _Batch:
    """Changes runs one by one; one that cannot be changed does not keep the others from it."""

    def __init__(self, target: Target, format: Format) -> None:
        self._target = target
        self._format = format
        self._done: list[RunView] = []
        self._codes: set[int] = set()
        self._cached: dict[str, set[str]] = {}  # retried run -> ids of the tasks that had completed before

    def change(self, ids: Sequence[str], change: Change, *, wait: bool | None = None) -> None:
        """Change each run; with `wait`, see how it ends."""
        changed: list[RunView] = []
        for run_id in ids:
            try:
                changed.append(change(self._target, run_id))
            except ZopioTriggerError as error:
                self._codes.add(exit_code_of(error))
                Failure(str(error)).show()
        for run in changed:
            self._show(self._ended(run) if wait and self._target.is_live else run)
        if wait is not None:
            ended = [run for run in self._done if is_final(run.status)]
            self._codes |= {exit_code_of_runs(ended)} - {0}

    def noting(self, before: RunView, change: Callable[[str], RunView]) -> RunView:
        """Change a run, remembering which of its tasks had completed."""
        self._cached[before.id] = {task.id for task in before.tasks if task.state == "completed"}
        return change(before.id)

    def end(self) -> None:
        """Show what is shown at the end; exit with the code of what went wrong."""
        if self._format == "json":
            document({"runs": self._done})
        if self._codes:
            sys.exit(self._codes.pop() if len(self._codes) == 1 else FAILED)

    def _ended(self, run: RunView) -> RunView:
        ended = wait_for(self._target, run.id, only_if_it_gets_on=True)
        return counted_from(ended, run.ready_at) if run.id in self._cached else ended

    def _show(self, run: RunView) -> None:
        self._done.append(run)
        if self._format == "jsonl":
            document(run)
        elif self._format == "text" and is_terminal():
            say(run_line(run) + self._tasks_of(run))
            place = place_line(run)
            if place is not None:
                say(place)
            if is_stuck(run):
                say(f"  see how it goes on: zopio-trigger runs tail {run.id}")
        elif self._format == "text":
            say(f"{run.id}\t{run.job}\t{run.status}")

    def _tasks_of(self, run: RunView) -> str:
        """How many tasks a retried run did not have to do again: `   (1 task from cache, 1 run)`."""
        cached = self._cached.get(run.id)
        if cached is None or run.status != "completed":
            return ""
        done = sum(task.state == "completed" and task.id not in cached for task in run.tasks)
        return f"   ({plural(len(cached), 'task')} from cache, {done} run)"
