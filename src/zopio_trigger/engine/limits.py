"""Limits: how many runs of a line may execute at once, and whether one more may now."""

from __future__ import annotations

from zopio_trigger.engine.rows import Rows, Seat
from zopio_trigger.model import json
from zopio_trigger.model.records import Event, Job, Line, Run

UNLIMITED = 1_000_000  # stands for "no limit" where a number is wanted
WAITS_TO_BE_ALONE = (
    10_000_000  # microseconds; then it executes beside what executes already; nothing joins it
)
MAX_KEY_LENGTH = 256  # characters of a limit key; longer values share the line of their first 256


def admits(rows: Rows, run: Run) -> bool:
    """True when the run's line has room for it and its job is not paused."""
    job = rows.catalog(run.env_no).jobs.get(run.job)
    return (job is None or job.paused_at is None) and room(rows, run.line) > 0


def room(rows: Rows, line: Line) -> int:
    """How many more runs of a line may execute, as far as its limit and pauses go."""
    env_no, queue_name, _ = line
    catalog = rows.catalog(env_no)
    queue = catalog.queues.get(queue_name)
    if queue is None or queue.limit is None:
        return UNLIMITED if queue is None or queue.paused_at is None else 0
    return 0 if queue.paused_at is not None else queue.limit - len(rows.line_executing(line))


def has_seat(rows: Rows, seat: Seat, run: Run, now: int) -> bool:
    """True when the worker serves the run's job and has a slot for it. A run that is to execute alone waits for an
    empty worker, but not for ever: a busy one may never be empty."""
    if seat.free <= 0 or seat.alone is not None or run.job not in seat.jobs or seat.env_no != run.env_no:
        return False
    # A clock that was set back is no reason to wait for it.
    return not (run.executes_alone and seat.executing) or abs(now - run.ready_at) > WAITS_TO_BE_ALONE


def key_for(job: Job, event: Event) -> str:
    """The line within the job's queue: the payload's value at the job's limit key, as text; "" when it has none."""
    value = json.decode(event.payload)
    for name in (job.limit_key or "").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return ""
    key = value if isinstance(value, str) else json.encode(value, what="limit key")
    return json.clip(key[:MAX_KEY_LENGTH], 4 * MAX_KEY_LENGTH)  # a payload may hold a NUL, a column may not
