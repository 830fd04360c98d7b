"""The engine's one door: `decide(rows, command, now)`. Pure: no I/O, no clock, no chance; rows are never changed.

A handler raises `Missing` to have rows loaded, or an error of `errors.py` to refuse; a refused command leaves no
trace in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zopio_trigger.engine import events, jobs, leases, runs, schedules, tasks, waits
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Rows
from zopio_trigger.model import commands as c

HANDLERS: Mapping[type[c.Command], Callable[[Rows, Any, int], Outcome]] = {
    c.SendEvent: events.send,
    c.SendEvents: events.send_together,
    c.CancelEvent: events.cancel,
    c.DeliverEvent: events.deliver,
    c.BeginTask: tasks.begin,
    c.CompleteTask: tasks.complete,
    c.FailTask: tasks.fail,
    c.CloseTask: tasks.close,
    c.BeginWaits: waits.begin,
    c.FireTimer: waits.fire,
    c.CompleteRun: runs.complete,
    c.FailRun: runs.fail,
    c.WriteLogs: runs.write_logs,
    c.CancelRun: runs.cancel,
    c.ReplayRun: runs.replay,
    c.RetryRun: runs.retry,
    c.GrantRun: leases.grant,
    c.ResumeRun: waits.resume,
    c.ReleaseRun: leases.release,
    c.InterruptRun: runs.interrupt,
    c.Advertise: jobs.advertise,
    c.FireSchedule: schedules.fire,
}


def decide(rows: Rows, command: c.Command, now: int) -> Outcome:
    """Decide one command at the instant `now` (microseconds, strictly growing from one command to the next)."""
    return HANDLERS[type(command)](rows, command, now)
