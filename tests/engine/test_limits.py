"""Limits: how many runs of a line may execute at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.kit import Kit
from tests.factories import NOW, a_job, a_queue, a_run, a_seat
from zopio_trigger.engine import limits
from zopio_trigger.engine.limits import UNLIMITED
from zopio_trigger.model.commands import CancelRun, CompleteRun, GrantRun, SendEvent
from zopio_trigger.model.records import Run

LINE = (1, "send-email", "")


def executing(number: int, **changes: Any) -> Run:
    given = {
        "id": f"run_x{number}",
        "event_id": f"evt_x{number}",
        "state": "executing",
        "token": 1,
        "holder": "w1",
    }
    return a_run(**{**given, **changes})


@pytest.mark.parametrize(
    ("queue", "held", "room"),
    [
        (None, 3, UNLIMITED),
        (a_queue(limit=None), 3, UNLIMITED),
        (a_queue(limit=5), 3, 2),
        (a_queue(limit=3), 3, 0),
        (a_queue(limit=1), 3, -2),
        (a_queue(limit=0), 0, 0),
        (a_queue(limit=5, paused_at=NOW), 0, 0),
        (a_queue(limit=None, paused_at=NOW), 0, 0),
        (a_queue(limit=5, env_no=2), 3, UNLIMITED),
    ],
)
def test_the_room_of_a_line_is_its_limit_less_those_that_execute(queue: Any, held: int, room: int) -> None:
    kit = Kit(a_seat(), *([queue] if queue else []), *[executing(n) for n in range(held)])

    assert limits.room(kit.rows, LINE) == room


def test_each_key_of_a_queue_is_a_line_with_the_whole_limit() -> None:
    kit = Kit(a_seat(), a_queue(limit=2), *[executing(n, queue_key="acme") for n in range(2)])

    assert limits.room(kit.rows, (1, "send-email", "acme")) == 0
    assert limits.room(kit.rows, (1, "send-email", "other")) == 2
    assert limits.room(kit.rows, LINE) == 2


def test_jobs_that_share_a_queue_share_its_limit() -> None:
    kit = Kit(
        a_seat(jobs=frozenset({"a", "b"})),
        a_queue(name="shared", limit=1),
        executing(1, job="a", queue="shared"),
    )
    kit.given(a_run(job="b", queue="shared"))

    assert not kit.ask(GrantRun("run_1", "w1"))


def test_suspended_and_ready_runs_take_no_room() -> None:
    others = [executing(n, state=state) for n, state in enumerate(["suspended", "ready", "completed"])]
    kit = Kit(a_seat(), a_queue(limit=1), *others)

    assert limits.room(kit.rows, LINE) == 1


@pytest.mark.parametrize("end", [CompleteRun("run_x1", 1, None), CancelRun(1, "run_x1")])
def test_a_run_that_ends_makes_room_in_the_same_batch(end: Any) -> None:
    kit = Kit(a_seat(), a_queue(limit=1), executing(1), a_run())
    assert not kit.ask(GrantRun("run_1", "w1"))

    kit.ask(end)

    assert kit.ask(GrantRun("run_1", "w1"))


def test_a_batch_of_events_starts_no_more_runs_than_its_limit_allows() -> None:
    kit = Kit(a_seat(slots=100), a_job(), a_queue(limit=3))

    for n in range(10):
        kit.ask(SendEvent(1, f"evt_{n}", "user.created", "{}"))

    states = [run.state for run in kit.changes.runs.values()]
    assert states == ["executing"] * 3 + ["ready"] * 7
    assert kit.rows.line(LINE).ready == 7


def test_a_lowered_limit_stops_nobody_and_admits_nobody() -> None:
    kit = Kit(a_seat(), a_queue(limit=3), *[executing(n) for n in range(3)], a_run())

    kit.given(a_queue(limit=1, revision=2))

    assert len(kit.rows.line_executing(LINE)) == 3
    assert not limits.admits(kit.rows, a_run())


@pytest.mark.parametrize(("paused_at", "admitted"), [(None, True), (NOW, False)])
def test_a_paused_job_admits_nobody(paused_at: int | None, admitted: bool) -> None:
    kit = Kit(a_seat(), a_job(paused_at=paused_at))

    assert limits.admits(kit.rows, a_run()) == admitted


def test_a_job_nobody_knows_is_admitted_and_left_to_whoever_serves_it() -> None:
    assert limits.admits(Kit(a_seat()).rows, a_run())
