"""Leases: which worker holds a run, granted with a growing token, given back, or taken from the dead."""

from __future__ import annotations

from zopio_trigger.engine import limits
from zopio_trigger.engine.effects import Changed, LineReady, Resume, SlotFreed, Start
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Rows, Seat
from zopio_trigger.errors import LeaseLost
from zopio_trigger.model.commands import GrantRun, ReleaseRun
from zopio_trigger.model.records import Run, replace

HOLDER_FIRST_FOR = 1_000_000  # microseconds a ready run is kept for the worker that has it in memory

REFUSED = Outcome(False)


def held(rows: Rows, run_id: str, token: int) -> Run:
    """The run, when this token is still its lease and it executes; raises `LeaseLost` otherwise."""
    try:
        run = rows.run(run_id)
    except LookupError:
        raise LeaseLost(f"run {run_id} does not exist any more") from None
    if run.token != token or run.state != "executing":
        raise LeaseLost(
            f"run {run_id} is {run.state} under token {run.token}; this worker came with token {token}"
        )
    return run


def grant(rows: Rows, command: GrantRun, now: int) -> Outcome:
    """Lease a ready run: to the named worker, or to any with a free slot when nothing older waits in its line."""
    try:
        run = rows.run(command.run_id)
    except LookupError:
        return REFUSED
    if run.state != "ready":
        return REFUSED
    if not command.worker and rows.line(run.line).ready > 1:
        return _left_ready(run)  # the dispatcher takes the line in its order
    seat = _seat_for(rows, run, command.worker, now)
    if seat is None or not limits.admits(rows, run):
        return REFUSED if command.worker else _left_ready(run)
    return _granted(rows, run, seat, now)


def release(rows: Rows, command: ReleaseRun, now: int) -> Outcome:
    """Take a run back from a worker that gives it up of its own will; that is no interruption."""
    try:
        run = rows.run(command.run_id)
    except LookupError:
        return REFUSED
    if run.token != command.token or run.holder is None:
        return REFUSED
    if run.state != "executing":
        free = replace(run, revision=run.revision + 1, holder=None)
        return Outcome(True, (free,), (LineReady(run.line),) if run.state == "ready" else ())
    if command.only_if_suspended:
        return REFUSED
    ready = replace(run, revision=run.revision + 1, state="ready", holder=None, ready_at=now)
    return Outcome(True, (ready,), (Changed(ready), SlotFreed(run.line), LineReady(run.line)))


def _seat_for(rows: Rows, run: Run, worker: str, now: int) -> Seat | None:
    """The worker to give a run to: its live holder first, then the one that asks, else the one with most room."""
    holder = rows.seats.get(run.holder or "")
    if holder is not None and not holder.is_draining and abs(now - run.ready_at) < HOLDER_FIRST_FOR:
        seats = [holder] if worker in ("", holder.worker) else []
    elif worker:
        seats = [rows.seats[worker]] if worker in rows.seats else []
    else:
        seats = (
            sorted(rows.seats.values(), key=_room, reverse=True)
            if len(rows.seats) > 1
            else [*rows.seats.values()]
        )
    return next((seat for seat in seats if limits.has_seat(rows, seat, run, now)), None)


def _room(seat: Seat) -> int:
    return seat.free


def _granted(rows: Rows, run: Run, seat: Seat, now: int) -> Outcome:
    if run.holder == seat.worker:
        resumed = replace(run, revision=run.revision + 1, state="executing", paused_at=None)
        return Outcome(True, (resumed,), (Changed(resumed), Resume(resumed)))
    started = replace(
        run, revision=run.revision + 1, state="executing", token=run.token + 1, holder=seat.worker,
        started_at=now if run.started_at is None else run.started_at, paused_at=None,
    )  # fmt: skip
    return Outcome(True, (started,), (Changed(started), Start(started, rows.fresh_event(run.event_id))))


def _left_ready(run: Run) -> Outcome:
    """Followers hear of a run that waits from its start; one that starts at once is heard of as executing."""
    return Outcome(False, (), (Changed(run), LineReady(run.line)))
