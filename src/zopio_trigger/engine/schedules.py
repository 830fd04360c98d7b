"""Schedules: which of their times fire now, each as one event with the id `<schedule>:<planned time>`."""

from __future__ import annotations

from typing import cast

from zopio_trigger.engine.effects import TimerSet
from zopio_trigger.engine.events import send_all
from zopio_trigger.engine.outcome import Outcome
from zopio_trigger.engine.rows import Rows
from zopio_trigger.model import json, timetable
from zopio_trigger.model.commands import FireSchedule, SendEvent
from zopio_trigger.model.durations import iso
from zopio_trigger.model.records import Schedule, replace
from zopio_trigger.model.timetable import Timetable
from zopio_trigger.model.trigger import ScheduleTrigger, trigger_of

EVENT_NAME = (
    "dev.trigger.scheduled"  # the 2.x name; a scheduled event goes to its job and is not matched by name
)


def fire(rows: Rows, command: FireSchedule, now: int) -> Outcome:
    """Send the events that are due, by the schedule's rules for missed times and overlap, and plan the next."""
    schedule = rows.catalog(command.env_no).schedules.get(command.id)
    if schedule is None or schedule.next_at is None or schedule.paused_at is not None:
        return Outcome(())
    if schedule.next_at > now:
        return Outcome((), (), (TimerSet(schedule.next_at),))
    due = timetable.due(
        timetable_of(schedule), since_us=_since(schedule), now_us=now, catch_up=_catch_up(schedule)
    )
    fire = due.fire[-1:] if schedule.overlap == "skip" else due.fire
    planned = () if _overlaps(rows, schedule, bool(fire)) else fire
    moved = replace(
        schedule, revision=schedule.revision + 1, next_at=due.next_at,
        last_at=planned[-1] if planned else schedule.last_at,
    )  # fmt: skip
    return _with_events(rows, command, schedule, moved, planned, now)


def timetable_of(schedule: Schedule) -> Timetable:
    """When a schedule fires."""
    trigger = trigger_of(schedule.timetable)
    assert isinstance(trigger, ScheduleTrigger), schedule.timetable
    if trigger.seconds is not None:
        return timetable.interval(trigger.seconds, anchor_us=schedule.defined_at)
    return timetable.cron(trigger.cron or "", trigger.timezone)


def first_at(schedule: Schedule, now: int) -> int | None:
    """The first planned time of a schedule that was just defined."""
    return timetable.next_after(timetable_of(schedule), now)


def _since(schedule: Schedule) -> int:
    """Times before the next planned one are settled, and so are those before the last unpause."""
    return max((schedule.next_at or 0) - 1, schedule.resumed_at)


def _catch_up(schedule: Schedule) -> timetable.CatchUp:
    return cast(timetable.CatchUp, schedule.catch_up)


def _overlaps(rows: Rows, schedule: Schedule, is_due: bool) -> bool:
    return is_due and schedule.overlap == "skip" and rows.has_open_run(schedule.env_no, schedule.job)


def _with_events(
    rows: Rows, command: FireSchedule, before: Schedule, moved: Schedule, planned: tuple[int, ...], now: int
) -> Outcome:
    timer = (TimerSet(moved.next_at),) if moved.next_at is not None else ()
    earlier = (before.last_at, *planned)
    occurrences = [
        _event(command, before, nth, at, last_at)
        for nth, (at, last_at) in enumerate(zip(planned, earlier, strict=False))
    ]
    return Outcome(planned, (moved,), timer, parts=send_all(rows, occurrences, now).parts)


def _event(command: FireSchedule, schedule: Schedule, nth: int, at: int, last_at: int | None) -> SendEvent:
    payload = {"ts": iso(at)} if last_at is None else {"ts": iso(at), "lastTimestamp": iso(last_at)}
    return SendEvent(
        env_no=command.env_no,
        id=command.event_id if nth == 0 else f"{command.event_id}-{nth + 1}",
        user_id=f"{schedule.id}:{iso(at)}",
        name=EVENT_NAME,
        payload=json.encode(payload, what="payload"),
        timestamp=at,
        job=schedule.job,
    )
