"""What a batch writes: the last word on each row, one revision after the stored one."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.factories import (
    a_job,
    a_log_line,
    a_minute,
    a_queue,
    a_run,
    a_schedule,
    a_task,
    an_attempt,
    an_audit,
    an_event,
    changes_of,
)
from zopio_trigger.engine.changes import Changes
from zopio_trigger.engine.outcome import Guard
from zopio_trigger.model.records import Row

REVISED = [an_event(), a_run(), a_task(), a_job(), a_schedule(), a_queue()]
APPENDED = [an_attempt(), a_log_line(), an_audit()]


def kept(changes: Changes) -> list[Row]:
    """The rows that are written, of all kinds."""
    by_key = (changes.events, changes.runs, changes.tasks, changes.jobs, changes.schedules, changes.queues)
    rows: list[Row] = [row for rows in by_key for row in rows.values()]
    return [*rows, *changes.minutes.values(), *changes.attempts, *changes.logs, *changes.audits]


@pytest.mark.parametrize("row", REVISED, ids=lambda row: type(row).__name__)
@pytest.mark.parametrize("stored", [0, 1, 7])
def test_a_row_changed_many_times_moves_on_by_one_revision(row: Any, stored: int) -> None:
    changes = Changes()
    first = replace(row, revision=stored + 1)
    assert changes.add(first) is first

    seen: Any = first
    for _ in range(3):
        seen = changes.add(replace(seen, revision=seen.revision + 1))

    assert seen.revision == stored + 1
    assert kept(changes) == [seen]


def test_the_last_word_on_a_row_counts() -> None:
    changes = changes_of(
        a_run(state="ready"), a_run(state="executing", revision=2), a_run(state="completed", revision=2)
    )

    assert kept(changes) == [a_run(state="completed", revision=1)]


def test_rows_are_told_apart_by_their_keys() -> None:
    rows = [
        a_task(hash="a"), a_task(hash="b"), a_task(run_id="run_2", hash="a"), a_job(), a_job(env_no=2),
        a_job(id="other"), a_queue(), a_queue(env_no=2), a_schedule(), a_schedule(id="other"), a_run(),
        a_run(id="run_2"), an_event(), an_event(id="evt_2"),
    ]  # fmt: skip

    assert sorted(map(repr, kept(changes_of(*rows)))) == sorted(map(repr, rows))


def test_appended_rows_are_kept_in_their_order_however_often() -> None:
    lines = [a_log_line(number=2), a_log_line(number=1), a_log_line(number=2)]

    assert changes_of(*lines).logs == lines


def test_roll_ups_of_one_kind_are_added_up() -> None:
    changes = changes_of(
        a_minute(), a_minute(runs=2), a_minute(bucket=6), a_minute(state="failed"), a_minute(env_no=2)
    )

    assert [*changes.minutes.values()] == [
        a_minute(runs=3), a_minute(bucket=6), a_minute(state="failed"), a_minute(env_no=2),
    ]  # fmt: skip


def test_the_first_guard_of_a_run_stands() -> None:
    changes = changes_of(Guard("run_1", 4), Guard("run_1", 5), Guard("run_2", 1))

    assert [*changes.guards.values()] == [Guard("run_1", 4), Guard("run_2", 1)]


@pytest.mark.parametrize("row", [*REVISED, *APPENDED, a_minute()], ids=lambda row: type(row).__name__)
def test_a_batch_with_any_row_has_something_to_write(row: Row) -> None:
    assert changes_of(row)


def test_a_batch_with_guards_alone_has_nothing_to_write() -> None:
    assert not changes_of(Guard("run_1", 1))
    assert not Changes()
