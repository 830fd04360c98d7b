"""Jobs as workers advertise them: the highest version owns queue, schedule and subscription."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.kit import Kit
from tests.factories import NOW, a_job, a_queue, a_schedule
from zopio_trigger.engine.effects import LineReady, TimerSet
from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.commands import Advertise, SendEvent
from zopio_trigger.model.records import Job, Schedule
from zopio_trigger.model.trigger import EventTrigger, ScheduleTrigger, text_of

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def advertise(*rows: Job | Schedule, env_no: int = 1) -> Advertise:
    jobs = tuple([row for row in rows if isinstance(row, Job)])
    return Advertise(env_no, jobs, tuple([row for row in rows if isinstance(row, Schedule)]))


def after(*served: Any) -> Kit:
    """The engine after workers have advertised this, each in a batch of its own."""
    kit = Kit()
    for rows in served:
        kit.ask(advertise(*rows))
        kit.commit()
    return kit


# --- jobs


def test_a_new_job_is_stored_with_its_queue() -> None:
    kit = Kit()

    kit.ask(advertise(a_job(limit=3, created_at=0, updated_at=0)))

    assert [*kit.changes.jobs.values()] == [a_job(limit=3, created_at=NOW + 1, updated_at=NOW + 1)]
    assert [*kit.changes.queues.values()] == [a_queue(limit=3)]
    assert kit.told(LineReady) == [LineReady((1, "send-email", ""))]


def test_advertising_the_same_again_writes_nothing() -> None:
    rows = (a_job(limit=3), a_schedule())
    kit = after(rows)

    kit.ask(advertise(*rows))

    assert not kit.changes


def test_what_has_changed_about_a_job_is_stored_and_its_beginning_kept() -> None:
    kit = after([a_job()])

    kit.ask(advertise(a_job(name="Send mail", revision=9, created_at=5)))

    job = kit.changes.jobs[1, "send-email"]
    assert (job.name, job.revision, job.created_at, job.updated_at) == ("Send mail", 2, NOW + 1, NOW + 2)


@pytest.mark.parametrize(
    ("offered", "stored"), [("1.9.0", "1.10.0"), ("1.10.0", "1.10.0"), ("2.0.0", "2.0.0")]
)
def test_the_highest_version_owns_the_job_compared_as_numbers(offered: str, stored: str) -> None:
    kit = after([a_job(version="1.10.0")], [a_job(version=offered)])

    assert kit.rows.catalog(1).jobs["send-email"].version == stored


def test_a_mixed_fleet_does_not_flap() -> None:
    old, new = a_job(version="1.0.0", limit=1), a_job(version="2.0.0", limit=9)
    kit = after([old], [new])

    kit.ask(advertise(old))
    kit.ask(advertise(new))

    assert not kit.changes


def test_jobs_a_worker_does_not_name_are_left_alone() -> None:
    kit = after([a_job(id="a"), a_schedule(id="a")])

    kit.ask(advertise(a_job(id="b")))

    assert list(kit.changes.jobs) == [(1, "b")]
    assert not kit.changes.schedules


def test_a_pause_outlives_a_new_version() -> None:
    kit = Kit(a_job(paused_at=NOW), a_queue(paused_at=NOW))

    kit.ask(advertise(a_job(version="2.0.0", limit=5)))

    assert kit.changes.jobs[1, "send-email"].paused_at == NOW
    assert kit.changes.queues[1, "send-email"].paused_at == NOW


def test_a_new_trigger_takes_the_place_of_the_old_one() -> None:
    kit = after([a_job()], [a_job(trigger=text_of(EventTrigger(("order.placed",))))])

    assert kit.ask(SendEvent(1, "evt_A", "user.created", "{}")).jobs == ()
    assert kit.ask(SendEvent(1, "evt_B", "order.placed", "{}")).jobs == ("send-email",)
    assert kit.rows.catalog(1).event_names == ["order.placed"]


def test_a_worker_speaks_for_the_environment_of_its_key_only() -> None:
    kit = Kit()

    kit.ask(advertise(a_job(env_no=7), a_schedule(env_no=7)))

    assert list(kit.changes.jobs) == [(1, "send-email")]
    assert list(kit.changes.queues) == [(1, "send-email")]
    assert list(kit.changes.schedules) == [(1, "send-email")]
    assert 7 not in kit.rows.catalogs


def test_a_version_that_is_none_is_refused() -> None:
    kit = after([a_job()])

    with pytest.raises(InvalidInput, match="three numbers"):
        kit.ask(advertise(a_job(version="latest")))

    assert not kit.changes


# --- queues


@pytest.mark.parametrize("limit", [None, 7])
def test_a_new_limit_is_stored(limit: int | None) -> None:
    kit = after([a_job(limit=3)])

    kit.ask(advertise(a_job(limit=limit)))

    assert [*kit.changes.queues.values()] == [a_queue(limit=limit, revision=2)]


def test_jobs_that_share_a_queue_write_it_once_and_the_last_limit_counts() -> None:
    kit = Kit()

    kit.ask(advertise(a_job(id="a", queue="q", limit=3), a_job(id="b", queue="q", limit=5)))

    assert [*kit.changes.queues.values()] == [a_queue(name="q", limit=5)]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_job_without_a_limit_does_not_lift_that_of_the_queue_it_shares(swapped: bool) -> None:
    jobs = [a_job(id="a", queue="q", limit=3), a_job(id="q", queue="q")]
    kit = Kit()

    kit.ask(advertise(*(reversed(jobs) if swapped else jobs)))

    assert [*kit.changes.queues.values()] == [a_queue(name="q", limit=3)]


# --- schedules


def test_a_new_schedule_is_planned_from_now() -> None:
    kit = Kit()

    kit.ask(advertise(a_job(), a_schedule(defined_at=0, resumed_at=0, next_at=5)))

    schedule = kit.changes.schedules[1, "send-email"]
    assert (schedule.defined_at, schedule.resumed_at, schedule.last_at) == (NOW + 1, NOW + 1, None)
    assert schedule.next_at == NOW + 1 + MINUTE
    assert kit.told(TimerSet) == [TimerSet(NOW + 1 + MINUTE)]


def test_a_new_timetable_is_planned_anew_and_the_last_time_kept() -> None:
    kit = Kit(a_job(), a_schedule(next_at=NOW + 5, last_at=NOW - 5))

    kit.ask(advertise(a_job(), a_schedule(timetable=text_of(ScheduleTrigger(seconds=3_600)))))

    schedule = kit.changes.schedules[1, "send-email"]
    assert (schedule.next_at, schedule.last_at, schedule.revision) == (NOW + 1 + HOUR, NOW - 5, 2)


def test_a_new_policy_leaves_the_plan_as_it_is() -> None:
    kit = Kit(a_job(), a_schedule(next_at=NOW + 5))

    kit.ask(advertise(a_job(), a_schedule(overlap="skip")))

    schedule = kit.changes.schedules[1, "send-email"]
    assert (schedule.next_at, schedule.overlap, schedule.defined_at) == (NOW + 5, "skip", NOW)


def test_a_pause_of_a_schedule_outlives_a_new_timetable() -> None:
    kit = Kit(a_job(), a_schedule(next_at=NOW + 5, paused_at=NOW))

    kit.ask(advertise(a_job(), a_schedule(timetable=text_of(ScheduleTrigger(seconds=3_600)))))

    assert kit.changes.schedules[1, "send-email"].paused_at == NOW


def test_a_schedule_its_job_no_longer_has_is_dropped() -> None:
    kit = after([a_job(), a_schedule()], [a_job(version="2.0.0")])

    assert kit.rows.catalog(1).schedules["send-email"].next_at is None


def test_a_dropped_schedule_that_comes_back_is_planned_again() -> None:
    kit = after([a_job(), a_schedule()], [a_job(version="2.0.0")])

    kit.ask(advertise(a_job(version="3.0.0"), a_schedule()))

    assert kit.changes.schedules[1, "send-email"].next_at == NOW + 3 + MINUTE


def test_an_old_version_neither_drops_nor_brings_a_schedule() -> None:
    kit = after([a_job(version="2.0.0"), a_schedule()], [a_job(version="1.0.0")])
    assert kit.rows.catalog(1).schedules["send-email"].next_at is not None

    kit = after([a_job(version="2.0.0")], [a_job(version="1.0.0"), a_schedule()])
    assert not kit.rows.catalog(1).schedules


def test_a_timetable_that_is_none_refuses_the_whole_advertisement() -> None:
    kit = Kit()

    with pytest.raises(InvalidInput):
        kit.ask(advertise(a_job(), a_schedule(timetable=text_of(ScheduleTrigger(cron="61 * * * *")))))

    assert not kit.changes
