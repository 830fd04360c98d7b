"""Minute roll-ups: which minute, state and duration the end of a run counts for."""

from __future__ import annotations

import pytest

from tests.factories import NOW, a_minute, a_run
from zopio_trigger.engine import statistics

MS = 1_000
FIRST_MINUTE = NOW // 60_000_000


@pytest.mark.parametrize(
    ("took", "bucket"),
    [
        (0, 0), (999, 0), (1 * MS, 1), (2 * MS, 2), (3 * MS, 2), (4 * MS, 3), (1_000 * MS, 10), (1_024 * MS, 11),
        (365 * 86_400_000 * MS, 35),
    ],
)  # fmt: skip
def test_a_bucket_holds_runs_that_took_less_than_its_power_of_two(took: int, bucket: int) -> None:
    run = a_run(state="completed", started_at=NOW - took, finished_at=NOW)

    assert statistics.of(run) == a_minute(minute=FIRST_MINUTE, bucket=bucket)


@pytest.mark.parametrize(
    ("ended_at", "minute"), [(NOW, 0), (NOW + 59_999_999, 0), (NOW + 60_000_000, 1), (NOW - 1, -1)]
)
def test_a_run_counts_for_the_minute_in_which_it_ended(ended_at: int, minute: int) -> None:
    run = a_run(state="failed", started_at=ended_at, finished_at=ended_at)

    assert statistics.of(run) == a_minute(minute=FIRST_MINUTE + minute, state="failed", bucket=0)


def test_a_run_that_never_started_took_no_time() -> None:
    assert statistics.of(a_run(state="cancelled", finished_at=NOW)).bucket == 0


def test_a_clock_that_went_back_makes_no_negative_duration() -> None:
    assert statistics.of(a_run(state="completed", started_at=NOW + 9 * MS, finished_at=NOW)).bucket == 0
