"""Schedules: which of their times fire now, each as one event with an id of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.engine.kit import Kit
from tests.factories import NOW, a_job, a_run, a_schedule, a_seat
from zopio_trigger.engine.effects import Start, TimerSet
from zopio_trigger.errors import NotFound
from zopio_trigger.model import json
from zopio_trigger.model.commands import FireSchedule
from zopio_trigger.model.records import Schedule
from zopio_trigger.model.trigger import InvokeTrigger, ScheduleTrigger, text_of

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

JOB = a_job(id="report", trigger=text_of(InvokeTrigger()))


def every_minute(**changes: Any) -> Schedule:
    """Once a minute from NOW on; the first time has come."""
    return a_schedule(**{"id": "report", "next_at": NOW + MINUTE, **changes})


def fired(schedule: Schedule, now: int, *others: Any) -> Kit:
    kit = Kit(JOB, schedule, *others)
    kit.ask(FireSchedule(1, "report", "evt_S"), now=now)
    return kit


def after(kit: Kit) -> Schedule:
    return kit.changes.schedules[1, "report"]


def minutes_after(kit: Kit) -> list[float]:
    """The planned times of the events that were sent, in minutes after NOW."""
    return [(event.timestamp - NOW) / MINUTE for event in kit.changes.events.values()]


# --- one time


def test_a_time_that_has_come_sends_one_event_to_the_job() -> None:
    kit = fired(every_minute(), NOW + MINUTE + 5)

    event = kit.only_event
    assert (event.id, event.user_id) == ("evt_S", "report:2026-01-01T00:01:00.000Z")
    assert (event.name, event.job, event.timestamp) == ("dev.trigger.scheduled", "report", NOW + MINUTE)
    assert json.decode(event.payload) == {"ts": "2026-01-01T00:01:00.000Z"}
    assert (kit.only_run.job, kit.only_run.created_at) == ("report", NOW + MINUTE + 5)


def test_the_next_time_is_planned_and_its_timer_set() -> None:
    kit = fired(every_minute(), NOW + MINUTE + 5)

    assert (after(kit).next_at, after(kit).last_at, after(kit).revision) == (
        NOW + 2 * MINUTE,
        NOW + MINUTE,
        2,
    )
    assert kit.told(TimerSet) == [TimerSet(NOW + 2 * MINUTE)]


def test_the_event_tells_the_time_before() -> None:
    kit = fired(every_minute(next_at=NOW + 2 * MINUTE, last_at=NOW + MINUTE), NOW + 2 * MINUTE)

    assert json.decode(kit.only_event.payload) == {
        "ts": "2026-01-01T00:02:00.000Z", "lastTimestamp": "2026-01-01T00:01:00.000Z",
    }  # fmt: skip


def test_the_run_is_leased_at_once_when_there_is_room() -> None:
    kit = fired(every_minute(), NOW + MINUTE, a_seat(jobs=frozenset({"report"})))

    [start] = kit.told(Start)
    assert start.event == kit.only_event


def test_a_schedule_fires_once_for_a_time() -> None:
    kit = fired(every_minute(), NOW + MINUTE)

    assert kit.ask(FireSchedule(1, "report", "evt_T"), now=NOW + MINUTE + 1) == ()

    assert list(kit.changes.events) == ["evt_S"]


def test_an_occurrence_that_was_sent_before_is_not_sent_again() -> None:
    kit = fired(every_minute(), NOW + MINUTE)
    kit.commit()
    kit.given(every_minute())  # as another server still sees it
    kit.rows.is_trusting = False

    kit.ask(FireSchedule(1, "report", "evt_T"), now=NOW + MINUTE)

    assert not kit.changes.events
    assert not kit.changes.runs


def test_a_schedule_that_rings_early_sets_its_timer_again() -> None:
    kit = fired(every_minute(), NOW + MINUTE - 1)

    assert not kit.changes
    assert kit.told(TimerSet) == [TimerSet(NOW + MINUTE)]


@pytest.mark.parametrize(
    "schedule", [every_minute(paused_at=NOW), every_minute(next_at=None), every_minute(env_no=2)]
)
def test_a_schedule_that_is_paused_dropped_or_anothers_does_not_fire(schedule: Schedule) -> None:
    assert not fired(schedule, NOW + HOUR).changes


def test_a_schedule_whose_job_nobody_knows_is_refused_and_stays_due() -> None:
    kit = Kit(every_minute())

    with pytest.raises(NotFound):
        kit.ask(FireSchedule(1, "report", "evt_S"), now=NOW + MINUTE)

    assert not kit.changes


# --- missed times


def test_of_missed_times_the_last_is_made_up_for() -> None:
    kit = fired(every_minute(), NOW + 10 * MINUTE + 5)

    assert minutes_after(kit) == [10]
    assert (after(kit).last_at, after(kit).next_at) == (NOW + 10 * MINUTE, NOW + 11 * MINUTE)


def test_all_of_them_are_when_that_is_wanted_each_with_an_id_of_its_own() -> None:
    kit = fired(every_minute(catch_up="all"), NOW + 3 * MINUTE)

    assert minutes_after(kit) == [1, 2, 3]
    assert list(kit.changes.events) == ["evt_S", "evt_S-2", "evt_S-3"]
    assert list(kit.changes.runs) == ["run_S", "run_S-2", "run_S-3"]
    assert [json.decode(event.payload).get("lastTimestamp") for event in kit.changes.events.values()] == [
        None, "2026-01-01T00:01:00.000Z", "2026-01-01T00:02:00.000Z",
    ]  # fmt: skip


def test_no_more_than_a_thousand_are_made_up_for() -> None:
    kit = fired(every_minute(catch_up="all"), NOW + 7 * DAY)

    assert len(kit.changes.events) == 1_000
    assert minutes_after(kit)[-1] == 7 * DAY / MINUTE


def test_none_of_them_is_when_that_is_wanted_but_the_next_comes() -> None:
    kit = fired(
        every_minute(catch_up="none", timetable=text_of(ScheduleTrigger(seconds=3_600))), NOW + 90 * MINUTE
    )

    assert not kit.changes.events
    assert (after(kit).last_at, after(kit).next_at) == (None, NOW + 2 * HOUR)


def test_a_time_that_is_hardly_late_was_not_missed() -> None:
    kit = fired(every_minute(catch_up="none"), NOW + 10 * MINUTE + 5)

    assert minutes_after(kit) == [10]


def test_times_before_the_last_unpause_are_settled() -> None:
    kit = fired(every_minute(resumed_at=NOW + 10 * MINUTE + 30 * SECOND, catch_up="all"), NOW + 12 * MINUTE)

    assert minutes_after(kit) == [11, 12]


def test_after_the_clock_went_back_nothing_fires_twice() -> None:
    kit = fired(every_minute(), NOW + 5 * MINUTE)
    kit.commit()

    kit.ask(FireSchedule(1, "report", "evt_T"), now=NOW + 2 * MINUTE)

    assert not kit.changes


# --- overlap


@pytest.mark.parametrize(
    ("overlap", "has_open_run", "fires"),
    [("skip", 1, False), ("skip", 0, True), ("allow", 1, True), ("queue", 1, True)],
)
def test_a_schedule_may_skip_its_time_while_a_run_is_open(
    overlap: str, has_open_run: int, fires: bool
) -> None:
    kit = Kit(JOB, every_minute(overlap=overlap), a_run(job="report"))
    kit.stored["open_run", 1, "report"] = has_open_run

    planned = kit.ask(FireSchedule(1, "report", "evt_S"), now=NOW + MINUTE)

    assert planned == ((NOW + MINUTE,) if fires else ())
    assert bool(kit.changes.events) == fires
    assert after(kit).next_at == NOW + 2 * MINUTE
    assert after(kit).last_at == (NOW + MINUTE if fires else None)


# --- local time


def local(zone: str, *at: int) -> int:
    moment = datetime(*at, tzinfo=ZoneInfo(zone))  # type: ignore[arg-type,misc]  # year, month, day, hour, minute
    return int(moment.timestamp()) * SECOND


def daily(hour: str, zone: str, next_at: int) -> Schedule:
    timetable = text_of(ScheduleTrigger(cron=f"30 {hour} * * *", timezone=zone))
    return a_schedule(id="report", timetable=timetable, next_at=next_at, defined_at=0, resumed_at=0)


def test_a_daily_job_keeps_its_local_hour_over_the_change_of_the_clocks() -> None:
    kit = fired(
        daily("9", "Europe/Berlin", local("Europe/Berlin", 2026, 3, 28, 9, 30)),
        local("Europe/Berlin", 2026, 3, 28, 9, 30),
    )

    assert after(kit).next_at == local("Europe/Berlin", 2026, 3, 29, 9, 30)
    assert (after(kit).next_at or 0) - (after(kit).last_at or 0) == 23 * HOUR


def test_a_local_time_that_the_change_skips_fires_right_after_it() -> None:
    at = local("Europe/Berlin", 2026, 3, 28, 2, 30)

    kit = fired(daily("2", "Europe/Berlin", at), at)

    assert after(kit).next_at == local("Europe/Berlin", 2026, 3, 29, 3, 0)


def test_a_local_time_that_comes_twice_fires_once() -> None:
    first = (
        int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()) * SECOND
    )  # 02:30, before the clocks go back

    kit = fired(daily("2", "Europe/Berlin", first), first)

    assert after(kit).next_at == local("Europe/Berlin", 2026, 10, 26, 2, 30)
