"""Rows in memory: always what is stored plus the batch in hand, and never a trace of a batch that failed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.world import World
from tests.factories import NOW, a_job, a_queue, a_run, a_schedule, a_seat, a_task, an_event
from zopio_trigger.engine.rows import Missing, Rows
from zopio_trigger.model import commands as c
from zopio_trigger.model.retry import Retry

SECOND = 1_000_000
LINE = (1, "send-email", "")


def rows_with(*seats: Any) -> Rows:
    rows = Rows()
    for seat in seats:
        rows.seats[seat.worker] = seat
    return rows


def applied(rows: Rows, *changes: Any) -> Rows:
    for row in changes:
        rows.apply(row)
    return rows


# --- reading


def test_a_run_that_is_not_in_memory_is_asked_for_and_one_that_is_not_there_is_not_found() -> None:
    rows = Rows()
    with pytest.raises(Missing) as missing:
        rows.run("run_1")
    assert missing.value.keys == (("run", "run_1"),)

    rows.put(("run", "run_1"), None)

    with pytest.raises(LookupError):
        rows.run("run_1")


def test_a_loaded_run_comes_with_its_open_tasks() -> None:
    rows = Rows()

    rows.put(("run", "run_1"), (a_run(state="suspended"), [a_task()]))

    assert rows.run("run_1") == a_run(state="suspended")
    assert rows.open_tasks("run_1") == {"hash-1": a_task()}


def test_a_task_that_is_not_open_is_taken_to_be_new_until_trust_is_gone() -> None:
    rows = Rows()
    assert rows.task("run_1", "hash-1") is None

    rows.is_trusting = False
    with pytest.raises(Missing) as missing:
        rows.task("run_1", "hash-1")
    assert missing.value.keys == (("task", "run_1", "hash-1"),)

    rows.put(("task", "run_1", "hash-1"), a_task(state="completed"))
    assert rows.task("run_1", "hash-1") == a_task(state="completed")


def test_what_was_loaded_is_forgotten_after_the_batch() -> None:
    rows = rows_with(a_seat())
    rows.put(("run", "run_1"), (a_run(state="suspended"), [a_task()]))
    rows.put(("event", 1, "evt_1"), an_event())

    rows.commit()

    with pytest.raises(Missing):
        rows.run("run_1")
    with pytest.raises(Missing):
        rows.event(1, "evt_1")
    assert rows.open_tasks("run_1") == {}


def test_what_the_batch_decided_is_newer_than_what_is_loaded_for_it() -> None:
    rows = Rows()
    rows.apply(an_event(user_id="order-1", cancelled_at=NOW))

    for key in (("event", 1, "evt_1"), ("event", 1, "order-1"), ("sent", 1, "order-1")):
        rows.put(key, an_event(user_id="order-1"))

    assert rows.event(1, "evt_1") == rows.event(1, "order-1") == rows.event_with(1, "order-1")
    assert rows.event_with(1, "order-1") == an_event(user_id="order-1", cancelled_at=NOW)


# --- what stays in memory


@pytest.mark.parametrize(
    ("run", "stays"),
    [
        (a_run(state="executing", holder="w1"), True),
        (a_run(state="suspended", holder="w1"), True),
        (a_run(state="ready", holder="w1"), True),
        (a_run(state="suspended", holder="gone"), False),
        (a_run(state="suspended"), False),
        (a_run(state="ready"), False),
        (a_run(state="completed", holder="w1"), False),
    ],
)
def test_runs_stay_in_memory_while_a_live_worker_holds_them(run: Any, stays: bool) -> None:
    rows = applied(rows_with(a_seat()), run, a_task())

    rows.commit()

    assert (rows.remembered("run_1") is not None) == stays
    assert bool(rows.open_tasks("run_1")) == stays


def test_a_task_that_was_new_and_ended_leaves_nothing_behind() -> None:
    rows = applied(rows_with(a_seat()), a_run(state="executing", holder="w1"), a_task(state="completed"))

    rows.commit()

    assert rows.open_tasks("run_1") == {}


# --- lines and seats


def test_lines_and_seats_follow_the_states_of_runs() -> None:
    rows = rows_with(a_seat())

    applied(rows, a_run())
    assert (rows.ready, rows.line(LINE).ready) == (1, 1)

    applied(rows, a_run(state="executing", holder="w1"))
    assert (rows.ready, list(rows.line_executing(LINE)), rows.seats["w1"].free) == (0, ["run_1"], 9)

    applied(rows, a_run(state="suspended", holder="w1"))
    assert (rows.lines, rows.seats["w1"].free) == ({}, 10)


def test_a_line_is_told_by_environment_queue_and_key() -> None:
    rows = rows_with(a_seat())

    applied(
        rows, a_run(), a_run(id="run_2", queue_key="acme"), a_run(id="run_3", env_no=2), a_run(id="run_4")
    )

    ready = {line: state.ready for line, state in rows.lines.items()}
    assert ready == {LINE: 2, (1, "send-email", "acme"): 1, (2, "send-email", ""): 1}


def test_a_fragile_run_has_its_seat_to_itself_until_it_leaves_or_gets_on() -> None:
    fragile = a_run(state="executing", holder="w1", interruptions=3)
    rows = applied(rows_with(a_seat()), fragile)
    seen = [rows.seats["w1"].alone]

    applied(rows, a_run(state="executing", holder="w1", interruptions=0))
    seen.append(rows.seats["w1"].alone)

    assert seen == ["run_1", None]
    assert rows.seats["w1"].executing == {"run_1": None}


# --- rolled back


@pytest.mark.parametrize(
    "changes",
    [
        [a_run()],
        [a_run(state="executing", holder="w1")],
        [a_run(state="executing", holder="w1", interruptions=3), a_run(state="completed")],
        [a_run(id="run_0", state="suspended", holder="w1"), a_run(id="run_0", state="ready", holder="w1")],
        [a_run(id="run_0", state="cancelled"), a_task(run_id="run_0", hash="open", state="cancelled")],
        [a_run(), a_task(), a_task(state="completed"), a_task(hash="b", state="running")],
        [a_task(run_id="run_0", hash="open", state="running"), a_task(run_id="run_0", hash="new")],
        [an_event(user_id="order-1")],
        [
            a_job(version="2.0.0"),
            a_job(id="new"),
            a_queue(limit=7),
            a_queue(name="new"),
            a_schedule(paused_at=NOW),
        ],
    ],
)
def test_a_batch_that_failed_leaves_no_trace(changes: list[Any]) -> None:
    rows = rows_with(a_seat())
    known = [
        a_run(id="run_0", state="executing", holder="w1"), a_task(run_id="run_0", hash="open"), a_job(), a_queue(),
        a_schedule(),
    ]  # fmt: skip
    applied(rows, *known).commit()
    before = everything(rows)

    applied(rows, *changes).rollback()

    assert everything(rows) == before


def everything(rows: Rows) -> object:
    """All that rows hold, line by line."""
    catalogs = rows.catalogs.items()
    return (
        rows.ready, dict(rows._runs), {run_id: dict(tasks) for run_id, tasks in rows._tasks.items()},
        dict(rows._loaded), dict(rows._fresh), list(rows._undo), list(rows._ended),
        {line: (list(state.executing), state.ready) for line, state in rows.lines.items()},
        {seat.worker: (list(seat.executing), seat.alone) for seat in rows.seats.values()},
        {no: (dict(catalog.jobs), dict(catalog.queues), dict(catalog.schedules)) for no, catalog in catalogs},
        {no: {name: [*catalog.subscriptions(name)] for name in catalog.event_names} for no, catalog in catalogs},
    )  # fmt: skip


# --- any commands at all


OPERATIONS = st.tuples(st.sampled_from(range(22)), st.integers(0, 7), st.integers(0, 3))
BATCHES = st.lists(st.tuples(st.lists(OPERATIONS, max_size=8), st.booleans() | st.just(False)), max_size=14)


@settings(max_examples=150, deadline=None)
@given(BATCHES)
def test_memory_agrees_with_the_store_whatever_is_asked_and_whatever_fails(
    batches: list[tuple[list[tuple[int, int, int]], bool]],
) -> None:
    world = World()
    for operations, fails in batches:
        world.now += 7 * SECOND
        if operations and operations[0][0] == 21:
            world.leave(f"w{1 + operations[0][1] % 2}")
        world.batch([command_of(world, *operation) for operation in operations], fails=fails)


def command_of(world: World, number: int, which: int, how: int) -> c.Command:
    """The command a few numbers stand for: about one of the stored runs, for one of a few keys."""
    executing = sorted(run.id for run in world.runs.values() if run.state == "executing")
    runs = executing if executing and 8 <= number <= 15 + 6 * (how % 2) else sorted(world.runs)
    run = world.runs[runs[which % len(runs)]] if runs else a_run(id="run_none", token=1)
    events = sorted(world.events)
    event_id = events[which % len(events)] if events else "evt_none"
    token = run.token - (how == 3)  # sometimes that of a lease that is over
    task = c.TaskName(f"hash-{how}", f"task_{run.id}_{how}", None, "task", f"key-{how}", 3)
    # Its key may be that of a task, as when the code has changed between two executions.
    nap = c.TaskName(f"hash-{how}", f"task_{run.id}_nap{how}", None, "wait", f"nap-{how}")
    wait = c.Wait(nap, (how - 1) * 9 * SECOND, None)
    open_tasks = [t for t in world.tasks.values() if t.run_id == run.id and t.state == "waiting"]
    due = open_tasks[how % len(open_tasks)] if open_tasks else a_task(run_id=run.id)
    world.now += 1
    new = f"{world.now}"
    about: Any = {
        "run_id": run.id,
        "token": token,
        "task": task,
        "attempt": max(1, how),
        "started_at": world.now,
    }
    match number:
        case 0 | 1:
            return c.SendEvent(1, f"evt_{new}", "go", f'{{"key":{which % 2}}}')
        case 2:
            return c.SendEvent(1, f"evt_{new}", "go", "{}", user_id=f"order-{which}")
        case 3:
            return c.SendEvent(
                1, f"evt_{new}", "go", "{}", user_id=f"later-{which}", deliver_after=how * 9 * SECOND
            )
        case 4:
            return c.DeliverEvent(1, event_id, f"run_{new}")
        case 5:
            return c.CancelEvent(1, event_id)
        case 6 | 7:
            return c.GrantRun(run.id, ("", *world.rows.seats)[how % 3])
        case 8:
            return c.BeginTask(**about)
        case 9 | 10:
            events_sent = (
                (c.SendEvent(1, f"evt_{new}", "go", "{}", user_id=f"from-{run.id}"),) if which == 0 else ()
            )
            return c.CompleteTask(**about, output=f'"{new}"', events=events_sent)
        case 11:
            retry = Retry(max_attempts=3, min_timeout_in_ms=1_000) if which % 2 else None
            return c.FailTask(**about, error='"oops"', retry=retry)
        case 12:
            return c.CloseTask(**about)
        case 13:
            return c.BeginWaits(
                run.id, token, (wait,), suspend=which != 1, open=(due.hash,) if which == 2 else ()
            )
        case 14:
            return c.FireTimer(due.run_id, due.hash)
        case 15:
            return (
                c.CompleteRun(run.id, token, f'"{new}"')
                if how
                else c.FailRun(run.id, token, "failed", '"oops"')
            )
        case 16:
            return c.CancelRun(1, run.id, "ann")
        case 17:
            return c.ReplayRun(1, run.id, f"run_{new}") if how % 2 else c.RetryRun(1, run.id)
        case 18:
            return c.ReleaseRun(run.id, token) if how % 2 else c.ResumeRun(run.id, token)
        case 19:
            return c.FireSchedule(1, "a", f"evt_{new}")
        case 20:
            job = a_job(id="b", version=f"{1 + how}.0.0", trigger=world.rows.catalog(1).jobs["b"].trigger)
            return c.Advertise(1, (job,), ())
        case _:
            return c.InterruptRun(run.id, token)
