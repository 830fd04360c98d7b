"""Minute roll-ups: what charts are drawn from, counted when a run ends because it cannot be counted later."""

from __future__ import annotations

from zopio_trigger.model.records import Minute, Run

MICROSECONDS_A_MINUTE = 60_000_000


def of(run: Run) -> Minute:
    """The roll-up row to which a run that has just ended adds one."""
    ended_at = run.finished_at or 0
    took_ms = (ended_at - (run.started_at or ended_at)) // 1000
    return Minute(
        run.env_no, run.job, ended_at // MICROSECONDS_A_MINUTE, run.state, max(took_ms, 0).bit_length(), 1
    )
