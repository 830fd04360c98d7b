"""Waiting for runs to end, and the exit code that follows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from zopio_trigger.cli.outcome import FAILED
from zopio_trigger.cli.output import remark
from zopio_trigger.cli.target import Target
from zopio_trigger.cli.wording import now
from zopio_trigger.model.states import is_final
from zopio_trigger.model.views import LogView, RunView, TaskView

NEEDS_SOMEBODY: Final = ("paused", "no_worker")
"""Reasons why a run waits that do not go away by themselves."""


class TimeLimit:
    """So many seconds from now on; None for no limit."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._ends_at = None if seconds is None else now() + int(seconds * 1_000_000)

    def left(self) -> float | None:
        """Seconds that are left, 0 when there are none; None without a limit."""
        return None if self._ends_at is None else max(self._ends_at - now(), 0) / 1_000_000


class _Last:
    """Keeps what was told of a run last."""

    def __init__(self) -> None:
        self.told: RunView | None = None

    def run(self, run: RunView) -> None:
        self.told = run

    def task(self, run_id: str, task: TaskView) -> None: ...

    def log(self, run_id: str, line: LogView) -> None: ...


def wait_for(
    target: Target, run_id: str, *, within: float | None = None, only_if_it_gets_on: bool = False
) -> RunView:
    """Return a run when it has ended.

    Parameters:
        within: seconds after which to give up.
        only_if_it_gets_on: return it also when nothing will happen to it soon: it sleeps, or nobody serves it.

    Raises:
        TimeoutError: it has not ended in time.
    """
    last = _Last()
    has_remarked = False
    for _ in target.follow(run_id, last, within=within):
        if last.told is None or not is_stuck(last.told):
            continue
        if only_if_it_gets_on:
            break
        reason = last.told.waiting_reason
        if reason is not None and reason.kind in NEEDS_SOMEBODY and not has_remarked:
            remark(f"note: run {run_id} waits: {reason.text}")
            has_remarked = True
    if last.told is not None and (is_final(last.told.status) or only_if_it_gets_on):
        return last.told
    return target.run(run_id)


def is_stuck(run: RunView) -> bool:
    """True when a run waits for a time, for people or for a worker, and not merely for its turn or a retry."""
    return run.waiting_reason is not None and run.waiting_reason.kind in (
        "time",
        "task",
        "paused",
        "no_worker",
    )


def exit_code_of(runs: Iterable[RunView]) -> int:
    """0 when all runs completed, 1 otherwise."""
    return 0 if all(run.status == "completed" for run in runs) else FAILED
