"""Events: recorded once by id, delivered at once or later, each delivery one run for every job that listens."""

from __future__ import annotations

from collections.abc import Iterable

from zopio_trigger.engine.effects import TimerSet
from zopio_trigger.engine.fanout import check_job, id_for, runs_of
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Key, Missing, Rows
from zopio_trigger.errors import Conflict, NotFound
from zopio_trigger.model import json
from zopio_trigger.model.commands import (
    CancelEvent,
    DeliverEvent,
    GrantRun,
    Receipt,
    SendEvent,
    SendEvents,
)
from zopio_trigger.model.records import Event, replace


def send(rows: Rows, command: SendEvent, now: int) -> Outcome:
    """Store the event; make its runs unless it is to be delivered later. The first event with an id wins."""
    known = _known(rows, command)
    if known is None:
        return _recorded(rows, _event(command, now), now)
    if known.id == command.id:
        return Outcome(_receipt(known, rows.runs_made(known.id)))
    return Outcome(_duplicate(known, command))


def send_together(rows: Rows, command: SendEvents, now: int) -> Outcome:
    """Send several events: all are stored, or none."""
    return send_all(rows, command.events, now)


def send_all(rows: Rows, commands: Iterable[SendEvent], now: int) -> Outcome:
    """Send events as part of one decision: one part for each new event, so that its runs are leased before those
    of the next are made. What is decided together does not see itself, so a second event with an id among them
    is told from the first one here.
    """
    receipts: list[Receipt] = []
    parts: list[Outcome] = []
    missing: list[Key] = []
    made: dict[str, Event] = {}
    for command in commands:
        user_id = command.user_id
        if user_id is not None and user_id in made:
            receipts.append(_duplicate(made[user_id], command))
            continue
        try:
            sent = send(rows, command, now)
        except Missing as lacking:  # asked for together, or a thousand events would be a thousand loads
            missing += lacking.keys
            continue
        receipts.append(sent.answer)  # type: ignore[arg-type]  # `send` answers receipts
        if sent.changes:
            parts.append(sent)
            if user_id is not None:
                made[user_id] = sent.changes[0]  # type: ignore[assignment]  # the event comes first
    if missing:
        raise Missing(*missing)
    return Outcome(tuple(receipts), parts=tuple(parts))


def deliver(rows: Rows, command: DeliverEvent, now: int) -> Outcome:
    """Make the runs of a delayed event. One that was cancelled or delivered meanwhile is left alone."""
    event = _found(rows, command.env_no, command.id)
    if event.delivered_at is not None or event.cancelled_at is not None:
        return Outcome(())
    event = replace(event, revision=event.revision + 1, delivered_at=now)
    made = runs_of(rows, event, command.run_id, now)
    return Outcome(
        tuple([run.id for run in made]), (event, *made), (), tuple([GrantRun(run.id, "") for run in made])
    )


def cancel(rows: Rows, command: CancelEvent, now: int) -> Outcome:
    """Stop a delayed event. Cancelling twice is fine; a delivered one is a conflict."""
    event = _found(rows, command.env_no, command.id)
    if event.cancelled_at is not None:
        return Outcome(event)
    if event.delivered_at is not None:
        raise Conflict(f"event {command.id} was delivered already; cancel its runs instead")
    cancelled = replace(event, revision=event.revision + 1, cancelled_at=now)
    return Outcome(cancelled, (cancelled,))


def _known(rows: Rows, command: SendEvent) -> Event | None:
    """The event that stands where this one would: one with the sender's id, or this very one, when nobody knew what
    had become of the command and it was submitted again."""
    if command.user_id is not None:
        return rows.event_with(command.env_no, command.user_id)
    return None if rows.is_trusting else rows.event(command.env_no, command.id)


def _recorded(rows: Rows, event: Event, now: int) -> Outcome:
    """A new event, and its runs when it is delivered at once."""
    if event.delivered_at is None:
        check_job(rows, event)
        return Outcome(_receipt(event, ()), (event,), (TimerSet(event.deliver_at),))
    made = runs_of(rows, event, id_for(event), now)
    receipt = _receipt(event, [(run.id, run.job) for run in made])
    return Outcome(receipt, (event, *made), (), tuple([GrantRun(run.id, "") for run in made]))


def _event(command: SendEvent, now: int) -> Event:
    deliver_at = command.deliver_at
    if deliver_at is None:
        deliver_at = now + (command.deliver_after or 0)
    return Event(
        command.id,
        command.env_no,
        1,
        command.user_id,
        command.name,
        command.source,
        now,
        now if command.timestamp is None else command.timestamp,
        deliver_at,
        now if deliver_at <= now else None,
        None,
        command.is_test,
        command.job,
        command.origin_run,
        command.account,
        command.payload,
        command.context,
    )


def _receipt(event: Event, runs: Iterable[tuple[str, str]]) -> Receipt:
    return Receipt(
        event.public_id,
        event.name,
        tuple([run_id for run_id, _ in runs]),
        tuple([job for _, job in runs]),
        event.created_at,
    )


def _duplicate(known: Event, command: SendEvent) -> Receipt:
    differs = known.name != command.name or not _is_same_json(known.payload, command.payload)
    return Receipt(
        known.public_id, known.name, (), (), known.created_at, is_duplicate=True, payload_differs=differs
    )


def _is_same_json(one: str, other: str) -> bool:
    """True when two payloads say the same, however they are spelled."""
    return one == other or json.canonical(one) == json.canonical(other)


def _found(rows: Rows, env_no: int, any_id: str) -> Event:
    event = rows.event(env_no, any_id)
    if event is None:
        raise NotFound(f"event {any_id} not found")
    return event
