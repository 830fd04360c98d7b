"""The story of runs as it unfolds, for `dev` and `runs tail`: news in, lines out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import click
from msgspec.structs import replace

from zopio_trigger.cli.wording import (
    clock,
    counted_from,
    instant,
    log_line,
    outcome,
    place_line,
    sign,
    task_line,
)
from zopio_trigger.model.states import is_final
from zopio_trigger.model.views import LogView, RunView, TaskView

MAX_RUNS_KNOWN: Final = 10_000  # runs that are remembered to have been introduced
QUIET_REASONS: Final = frozenset({"retry", "starting"})  # the task's own line says it better
SHORT_ID: Final = 4  # characters of the end of an id, where neighbours differ


class _Line(NamedTuple):
    at: str
    rank: int  # among lines of one millisecond
    run_id: str
    text: str

    @property
    def is_about_run(self) -> bool:
        """Else about something inside it."""
        return self.rank in (BEGINNING, CHANGE)


BEGINNING, LOGGED, DONE, CHANGE, PLACE = range(5)
"""Ranks: a line logged before a task is stored, and told, together with it."""


class Story:
    """Turns news of runs into lines, in the order in which things happened.

    Parameters:
        started_by: says what started a run, for its first line.
    """

    def __init__(self, *, started_by: Callable[[RunView], str]) -> None:
        self._started_by = started_by
        self._states: dict[str, str] = {}  # run -> the state it was last seen in, oldest first
        self._failed: dict[str, TaskView] = {}  # run -> the task that failed in it last
        self._again: dict[str, str] = {}  # run -> when it was retried
        self._lines: list[_Line] = []
        self._last_run = ""  # that a line was told of

    # --- news -------------------------------------------------------------------------------------------------------

    def run(self, run: RunView) -> None:
        """A run is in some state."""
        before = self._states.get(run.id)
        if before is None:
            self._introduce(run)
        elif run.status == before:
            return
        self._remember(run)
        if is_final(run.status):
            self._end(run)
        elif before is not None and is_final(before):
            self._again[run.id] = run.ready_at
            self._about(run, run.ready_at, "ready", "queued again")
        elif run.waiting_reason is not None and run.waiting_reason.kind not in QUIET_REASONS:
            self._about(run, run.waiting_reason.since, run.status, outcome(run))

    def task(self, run_id: str, task: TaskView) -> None:
        """A task changed."""
        if task.state == "failed":
            self._failed[run_id] = task
        text = task_line(task)
        if text is not None:
            self._lines.append(_Line(task.finished_at or task.started_at, DONE, run_id, text))

    def log(self, run_id: str, line: LogView) -> None:
        """A job wrote a line."""
        self._lines.append(_Line(line.at, LOGGED, run_id, log_line(line)))

    def lines(self) -> list[str]:
        """What there is to tell since the last time this was asked."""
        told, self._lines = sorted(self._lines, key=lambda line: (instant(line.at), line.rank)), []
        return [self._told(line) for line in told]

    # --- below ------------------------------------------------------------------------------------------------------

    def _introduce(self, run: RunView) -> None:
        has_begun_before = run.executions > 1 or (run.status == "ready" and run.started_at is not None)
        if has_begun_before and not is_final(run.status):
            self._about(run, run.ready_at, "ready", "goes on", rank=BEGINNING)
        elif run.replay_of is not None:
            self._about(run, run.created_at, "ready", f"replay of {run.replay_of}", rank=BEGINNING)
        else:
            by = self._started_by(run)
            self._about(run, run.created_at, "ready", f"queued by {by}", rank=BEGINNING)

    def _end(self, run: RunView) -> None:
        failed = self._failed.pop(run.id, None)
        whole = run if failed is None or run.tasks else replace(run, tasks=(failed,))
        at = run.finished_at or run.ready_at
        again_at = self._again.pop(run.id, None)
        if again_at is not None:
            whole = counted_from(whole, again_at)
        self._about(run, at, run.status, outcome(whole))
        place = place_line(whole)
        if place is not None:
            self._lines.append(_Line(at, PLACE, run.id, place))

    def _about(self, run: RunView, at: str, state: str, text: str, *, rank: int = CHANGE) -> None:
        self._lines.append(_Line(at, rank, run.id, f"{sign(state)} {run.id} {run.job}   {text}"))

    def _remember(self, run: RunView) -> None:
        if run.id not in self._states and len(self._states) >= MAX_RUNS_KNOWN:
            oldest = next(iter(self._states))
            del self._states[oldest]
            self._failed.pop(oldest, None)
            self._again.pop(oldest, None)
        self._states[run.id] = run.status

    def _told(self, line: _Line) -> str:
        """The line with its time, and with the end of its run's id where the line before was about another run."""
        time = click.style(clock(line.at, milliseconds=True), dim=True)
        is_same = line.run_id == self._last_run
        self._last_run = line.run_id
        if line.is_about_run:
            return f"{time} {line.text}"
        whose = "" if is_same else click.style(f"…{line.run_id[-SHORT_ID:]} ", dim=True)
        return f"{time}   {click.style('│', dim=True)} {whose}{line.text}"
