"""The end of a run, for whatever reason: its final row, what it leaves open, its hook, its place in the statistics."""

from __future__ import annotations

from zopio_trigger.engine import hooks, statistics
from zopio_trigger.engine.effects import Changed, SlotFreed
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Rows
from zopio_trigger.model.commands import GrantRun
from zopio_trigger.model.records import Row, Run, replace
from zopio_trigger.model.states import RunState


def end(
    rows: Rows, run: Run, state: RunState, now: int, *, output: str | None = None, error: str | None = None,
    fingerprint: str | None = None, logs: tuple[Row, ...] = (),
) -> Outcome:  # fmt: skip
    """Bring a run to a final state and close what it left open."""
    ended = replace(
        run, revision=run.revision + 1, state=state, holder=None, paused_at=None, finished_at=now,
        fingerprint=fingerprint, output=output, error=error,
    )  # fmt: skip
    closed = [
        replace(task, revision=task.revision + 1, state="cancelled", finished_at=now)
        for task in rows.open_tasks(run.id).values()
    ]
    follow_up = hooks.follow_up(rows, ended, now)
    return Outcome(
        ended,
        (ended, statistics.of(ended), *closed, *logs, *follow_up),
        (Changed(ended), SlotFreed(run.line)),
        tuple([GrantRun(row.id, "") for row in follow_up if type(row) is Run]),
    )
