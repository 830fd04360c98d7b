"""Leases: which worker holds a run, granted with a growing token, given back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.kit import Kit
from tests.factories import NOW, a_job, a_queue, a_run, a_seat, an_event
from zopio_trigger.engine.effects import LineReady, Resume, SlotFreed, Start
from zopio_trigger.engine.leases import HOLDER_FIRST_FOR
from zopio_trigger.engine.limits import WAITS_TO_BE_ALONE
from zopio_trigger.model.commands import GrantRun, ReleaseRun
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


# --- granted


def test_a_grant_gives_the_run_to_the_worker_under_a_new_token() -> None:
    kit = Kit(a_seat(), a_run(token=4, revision=7))

    assert kit.ask(GrantRun("run_1", "w1"))

    run = kit.run("run_1")
    assert (run.state, run.holder, run.token, run.revision) == ("executing", "w1", 5, 8)
    assert run.started_at == NOW + 1
    assert kit.told(Start) == [Start(run, None)]
    assert kit.rows.line_executing(LINE) == {"run_1": None}
    assert kit.rows.ready == 0


def test_the_first_start_of_a_run_is_kept() -> None:
    kit = Kit(a_seat(), a_run(started_at=NOW - 9))

    kit.ask(GrantRun("run_1", "w1"))

    assert kit.run("run_1").started_at == NOW - 9


@pytest.mark.parametrize("state", ["executing", "suspended", "completed", "cancelled"])
@pytest.mark.parametrize("worker", ["", "w1"])
def test_only_a_ready_run_is_granted(state: str, worker: str) -> None:
    kit = Kit(a_seat(), a_run(state=state))

    assert not kit.ask(GrantRun("run_1", worker))
    assert not kit.changes


def test_a_run_that_is_gone_is_not_granted() -> None:
    assert not Kit(a_seat()).ask(GrantRun("run_1", "w1"))


@pytest.mark.parametrize(
    "seat",
    [
        a_seat(jobs=frozenset({"other"})), a_seat(env_no=2), a_seat(is_draining=True), a_seat(slots=0),
        a_seat(worker="w2"),
    ],
)  # fmt: skip
def test_a_worker_that_cannot_execute_the_run_does_not_get_it(seat: Any) -> None:
    kit = Kit(seat, a_run())

    assert not kit.ask(GrantRun("run_1", "w1"))
    assert not kit.changes


def test_a_worker_gets_no_more_runs_than_it_has_slots() -> None:
    kit = Kit(a_seat(slots=2), *[a_run(id=f"run_{n}", event_id=f"evt_{n}") for n in range(3)])

    assert [kit.ask(GrantRun(f"run_{n}", "w1")) for n in range(3)] == [True, True, False]


def test_of_several_workers_the_one_with_most_room_gets_it() -> None:
    seats = [a_seat(worker="w1", slots=2), a_seat(worker="w2", slots=9), a_seat(worker="w3", slots=4)]
    kit = Kit(*seats, a_run())

    kit.ask(GrantRun("run_1", ""))

    assert kit.run("run_1").holder == "w2"


def test_a_worker_with_less_room_gets_it_when_the_others_do_not_serve_its_job() -> None:
    kit = Kit(a_seat(worker="w1", slots=1), a_seat(worker="w2", slots=9, jobs=frozenset({"other"})), a_run())

    kit.ask(GrantRun("run_1", ""))

    assert kit.run("run_1").holder == "w1"


def test_a_run_does_not_overtake_those_that_wait_in_its_line() -> None:
    kit = Kit(a_seat(), a_run(), a_run(id="run_2", event_id="evt_2"))

    assert not kit.ask(GrantRun("run_2", ""))

    assert not kit.changes
    assert kit.told(LineReady) == [LineReady(LINE)]


def test_a_run_that_is_not_admitted_is_left_to_the_dispatcher() -> None:
    kit = Kit(a_seat(), a_queue(limit=1), executing(1), a_run())

    assert not kit.ask(GrantRun("run_1", ""))

    assert not kit.changes
    assert kit.told(LineReady) == [LineReady(LINE)]


def test_a_refused_worker_does_not_name_the_line_again() -> None:
    kit = Kit(a_seat(), a_queue(limit=1), executing(1), a_run())

    assert not kit.ask(GrantRun("run_1", "w1"))
    assert not kit.told(LineReady)  # or the dispatcher would ask again at once, and again


def test_the_event_of_a_run_made_in_this_batch_comes_with_its_start() -> None:
    kit = Kit(a_seat(), a_run())
    kit.rows.apply(an_event())

    kit.ask(GrantRun("run_1", "w1"))

    assert kit.told(Start)[0].event == an_event()


# --- the holder first

RESIDENT = a_run(state="ready", token=3, holder="w1", ready_at=NOW, paused_at=NOW - 5)


@pytest.mark.parametrize("worker", ["", "w1"])
def test_a_run_in_memory_goes_on_in_its_holder_under_the_same_token(worker: str) -> None:
    kit = Kit(a_seat(worker="w1"), a_seat(worker="w2", slots=99), RESIDENT)

    assert kit.ask(GrantRun("run_1", worker))

    run = kit.run("run_1")
    assert (run.holder, run.token, run.state, run.paused_at) == ("w1", 3, "executing", None)
    assert kit.told(Resume) == [Resume(run)]
    assert not kit.told(Start)


def test_nobody_else_gets_it_for_a_second() -> None:
    kit = Kit(a_seat(worker="w1"), a_seat(worker="w2"), RESIDENT)

    assert not kit.ask(GrantRun("run_1", "w2"), now=NOW + HOLDER_FIRST_FOR - 1)

    assert kit.ask(GrantRun("run_1", "w2"), now=NOW + HOLDER_FIRST_FOR)
    assert (kit.run("run_1").holder, kit.run("run_1").token) == ("w2", 4)


def test_a_full_holder_is_waited_for_and_then_passed_over() -> None:
    kit = Kit(a_seat(worker="w1", slots=1), a_seat(worker="w2"), executing(1, queue="other"), RESIDENT)

    assert not kit.ask(GrantRun("run_1", ""), now=NOW + 1)

    assert kit.ask(GrantRun("run_1", ""), now=NOW + HOLDER_FIRST_FOR)
    assert kit.run("run_1").holder == "w2"


@pytest.mark.parametrize("seats", [[], [a_seat(worker="w1", is_draining=True)]])
def test_a_holder_that_has_gone_or_goes_is_not_waited_for(seats: list[Any]) -> None:
    kit = Kit(*seats, a_seat(worker="w2"), RESIDENT)

    assert kit.ask(GrantRun("run_1", "w2"))
    assert (kit.run("run_1").holder, kit.run("run_1").token) == ("w2", 4)


# --- fragile runs

FRAGILE = a_run(interruptions=3)


def test_a_run_that_killed_its_process_three_times_waits_for_an_empty_worker() -> None:
    kit = Kit(a_seat(), executing(1, queue="other"), FRAGILE)

    assert not kit.ask(GrantRun("run_1", "w1"))


def test_it_does_not_wait_for_ever_for_a_worker_that_is_never_empty() -> None:
    kit = Kit(
        a_seat(), executing(1, queue="other"), FRAGILE, a_run(id="run_2", event_id="evt_2", queue="other")
    )

    assert kit.ask(GrantRun("run_1", "w1"), now=NOW + WAITS_TO_BE_ALONE + 1)
    assert not kit.ask(GrantRun("run_2", "w1"))


def test_while_it_executes_nothing_joins_it() -> None:
    kit = Kit(a_seat(), FRAGILE, a_run(id="run_2", event_id="evt_2", queue="other"))
    assert kit.ask(GrantRun("run_1", "w1"))

    assert not kit.ask(GrantRun("run_2", "w1"))

    kit.ask(ReleaseRun("run_1", 1))
    assert kit.ask(GrantRun("run_2", "w1"))


def test_another_worker_does_not_care() -> None:
    kit = Kit(a_seat(worker="w1"), a_seat(worker="w2"), executing(1, queue="other"), FRAGILE)

    assert kit.ask(GrantRun("run_1", ""))
    assert kit.run("run_1").holder == "w2"


# --- given back


def test_a_released_run_is_ready_for_anybody_and_nothing_is_counted() -> None:
    kit = Kit(a_seat(), a_run(state="executing", token=2, holder="w1", revision=4))

    kit.ask(ReleaseRun("run_1", 2))

    run = kit.run("run_1")
    assert (run.state, run.holder, run.token, run.interruptions, run.revision) == ("ready", None, 2, 0, 5)
    assert run.ready_at == NOW + 1
    assert kit.told(SlotFreed) == [SlotFreed(LINE)]
    assert kit.told(LineReady) == [LineReady(LINE)]
    assert not kit.rows.seats["w1"].executing


def test_a_suspended_run_that_is_released_sleeps_on_without_a_holder() -> None:
    kit = Kit(a_seat(), a_run(state="suspended", token=2, holder="w1", paused_at=NOW))

    kit.ask(ReleaseRun("run_1", 2))

    assert (kit.run("run_1").state, kit.run("run_1").holder, kit.run("run_1").paused_at) == (
        "suspended",
        None,
        NOW,
    )
    assert not kit.told(LineReady)


def test_a_ready_run_that_its_holder_gives_up_is_offered_again() -> None:
    kit = Kit(a_seat(), RESIDENT)

    kit.ask(ReleaseRun("run_1", 3))

    assert kit.run("run_1").holder is None
    assert kit.told(LineReady) == [LineReady(LINE)]
    assert kit.rows.ready == 1


@pytest.mark.parametrize(
    "run",
    [
        a_run(state="executing", token=3, holder="w1"),
        a_run(state="ready", token=2),
        a_run(state="completed", token=2),
    ],
)
def test_releasing_what_is_not_held_changes_nothing(run: Run) -> None:
    kit = Kit(a_seat(), run)

    kit.ask(ReleaseRun("run_1", 2))

    assert not kit.changes


def test_a_job_that_is_paused_is_not_granted() -> None:
    kit = Kit(a_seat(), a_job(paused_at=NOW), a_run())

    assert not kit.ask(GrantRun("run_1", "w1"))
