"""When schedules fire: intervals, catching up after a pause, both ends of time. Cron has a file of its own."""

from __future__ import annotations

import doctest
from bisect import bisect_right
from time import perf_counter
from typing import Any, Literal, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model import timetable
from zopio_trigger.model.durations import DAY_US, HOUR_US, LATEST_US, MINUTE_US, SECOND_US, instant_us
from zopio_trigger.model.timetable import (
    MOST_SKIPPED_COUNTED,
    CatchUp,
    Cron,
    Due,
    Interval,
    Timetable,
    cron,
    describe,
    due,
    interval,
    next_after,
    upcoming,
)

POLICIES: list[CatchUp] = ["one", "all", "none"]


def at(text: str) -> int:
    return instant_us(text, "test")


class TestRefusals:
    @pytest.mark.parametrize("seconds", [0, -1, 2_592_001, 10**400, True, 60.0, "60", None])
    def test_an_interval_takes_whole_seconds_up_to_thirty_days(self, seconds: Any) -> None:
        with pytest.raises(InvalidInput, match="interval must be"):
            interval(seconds)

    def test_an_interval_may_be_a_second_or_thirty_days(self) -> None:
        assert (interval(1).seconds, interval(2_592_000).seconds) == (1, 2_592_000)

    @pytest.mark.parametrize("instant", [-1, LATEST_US + 1, 10**40, -(10**40), 1.5, None, True])
    def test_instants_outside_1970_to_9999_are_refused(self, instant: Any) -> None:
        for made in (cron("* * * * *", "Pacific/Apia"), interval(60)):
            with pytest.raises(InvalidInput):
                next_after(made, instant)
            with pytest.raises(InvalidInput):
                upcoming(made, instant, 1)
            with pytest.raises(InvalidInput):
                due(made, since_us=instant, now_us=5, catch_up="one")
            with pytest.raises(InvalidInput):
                due(made, since_us=5, now_us=instant, catch_up="one")

    @pytest.mark.parametrize("timezone", ["UTC", "Pacific/Apia", "Pacific/Niue", "America/New_York"])
    @pytest.mark.parametrize("expression", ["* * * * *", "0 0 1 1 *", "0 0 29 2 *", "30 2 L 12 *"])
    def test_both_ends_of_time_are_quiet(self, expression: str, timezone: str) -> None:
        timetable = cron(expression, timezone)

        assert next_after(timetable, LATEST_US) is None
        assert upcoming(timetable, LATEST_US - 5 * 366 * DAY_US, 1000)
        first = next_after(timetable, 0)
        assert first is not None
        for policy in POLICIES:
            due(timetable, since_us=0, now_us=0, catch_up=policy)
            due(timetable, since_us=LATEST_US - DAY_US, now_us=LATEST_US, catch_up=policy)

    def test_a_policy_or_number_that_makes_no_sense_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="catch_up"):
            due(interval(1), since_us=0, now_us=0, catch_up=cast("CatchUp", "some"))
        with pytest.raises(InvalidInput, match="most"):
            due(interval(1), since_us=0, now_us=0, catch_up="all", most=0)
        with pytest.raises(InvalidInput, match="count"):
            upcoming(interval(1), 0, -1)
        with pytest.raises(InvalidInput, match="anchor"):
            interval(1, anchor_us=-1)


class TestInterval:
    def test_fires_first_one_interval_after_the_anchor(self) -> None:
        every_minute = interval(60, anchor_us=90 * SECOND_US)

        assert next_after(every_minute, 0) == 150 * SECOND_US
        assert upcoming(every_minute, 90 * SECOND_US, 2) == [150 * SECOND_US, 210 * SECOND_US]
        assert next_after(every_minute, 150 * SECOND_US) == 210 * SECOND_US

    def test_keeps_to_its_anchor_however_late_one_asks(self) -> None:
        every_minute = interval(60, anchor_us=7)

        assert next_after(every_minute, 1_000 * MINUTE_US + 6) == 1_000 * MINUTE_US + 7

    def test_ends_with_the_calendar(self) -> None:
        assert next_after(interval(1), LATEST_US) is None

    @given(
        seconds=st.integers(1, 100),
        anchor=st.integers(0, 300 * SECOND_US),
        since=st.integers(0, 600 * SECOND_US),
        length=st.integers(0, 600 * SECOND_US),
    )
    @settings(deadline=None)
    def test_agrees_with_counting_on_from_the_anchor(
        self, seconds: int, anchor: int, since: int, length: int
    ) -> None:
        now = since + length
        planned = [
            us
            for us in range(anchor + seconds * SECOND_US, now + 1, seconds * SECOND_US)
            if since < us <= now
        ]

        all_due = due(interval(seconds, anchor_us=anchor), since_us=since, now_us=now, catch_up="all")

        assert list(all_due.fire) == planned
        assert due(interval(seconds, anchor_us=anchor), since_us=since, now_us=now, catch_up="one") == Due(
            tuple(planned[-1:]), max(0, len(planned) - 1), False, all_due.next_at
        )


class TestCatchingUp:
    hourly = cron("0 * * * *")
    nine = at("2026-01-05T09:00:00Z")

    def due(self, catch_up: CatchUp, *, since: int, now: int, **more: int) -> Due:
        return due(self.hourly, since_us=since, now_us=now, catch_up=catch_up, **more)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_nothing_fires_before_the_first_planned_time(self, policy: CatchUp) -> None:
        outcome = self.due(policy, since=self.nine, now=self.nine + HOUR_US - 1)

        assert outcome == Due((), 0, False, self.nine + HOUR_US)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_a_time_that_is_due_right_now_fires_whatever_the_policy(self, policy: CatchUp) -> None:
        outcome = self.due(policy, since=self.nine - 5 * HOUR_US, now=self.nine, grace_us=0)

        assert outcome.fire[-1] == self.nine
        assert outcome.next_at == self.nine + HOUR_US

    def test_one_fires_the_latest_of_those_missed(self) -> None:
        outcome = self.due("one", since=self.nine - 5 * HOUR_US, now=self.nine + 59 * MINUTE_US)

        assert outcome == Due((self.nine,), 4, False, self.nine + HOUR_US)

    def test_all_fires_every_one_missed_oldest_first(self) -> None:
        outcome = self.due("all", since=self.nine - 2 * HOUR_US, now=self.nine + MINUTE_US)

        assert outcome.fire == (self.nine - HOUR_US, self.nine)
        assert outcome.skipped == 0

    def test_all_fires_the_latest_thousand(self) -> None:
        outcome = self.due("all", since=self.nine - 1_500 * HOUR_US, now=self.nine)

        assert len(outcome.fire) == 1_000
        assert outcome.fire[0] == self.nine - 999 * HOUR_US
        assert outcome.fire[-1] == self.nine
        assert outcome.skipped == 500

    def test_none_fires_what_is_less_than_the_grace_late(self) -> None:
        on_time = self.due("none", since=self.nine - 5 * HOUR_US, now=self.nine + MINUTE_US - 1)
        late = self.due("none", since=self.nine - 5 * HOUR_US, now=self.nine + MINUTE_US)

        assert (on_time.fire, on_time.skipped) == ((self.nine,), 4)
        assert (late.fire, late.skipped) == ((), 5)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_nothing_fires_twice_when_the_clock_went_back(self, policy: CatchUp) -> None:
        outcome = self.due(policy, since=self.nine, now=self.nine - 3 * HOUR_US)

        assert outcome == Due((), 0, False, self.nine + HOUR_US)

    def test_counting_the_skipped_stops_at_ten_thousand(self) -> None:
        exactly = due(interval(1), since_us=0, now_us=10_001 * SECOND_US, catch_up="one")
        beyond = due(interval(1), since_us=0, now_us=10_002 * SECOND_US, catch_up="one")

        assert (exactly.skipped, exactly.skipped_is_capped) == (MOST_SKIPPED_COUNTED, False)
        assert (beyond.skipped, beyond.skipped_is_capped) == (MOST_SKIPPED_COUNTED, True)

    @pytest.mark.parametrize(
        "timetable",
        [cron("* * * * *"), cron("* * * * *", "America/New_York"), cron("0 9 * * *", "Europe/Istanbul")],
        ids=describe,
    )
    def test_a_year_of_absence_is_settled_at_once(self, timetable: Timetable) -> None:
        now = at("2026-11-23T21:52:05Z")
        started = perf_counter()

        outcome = due(timetable, since_us=now - 365 * DAY_US, now_us=now, catch_up="one")

        # Takes a tenth of a millisecond; stepping through the 525,600 minutes takes seconds.
        assert perf_counter() - started < 0.25
        assert len(outcome.fire) == 1
        assert outcome.skipped == (364 if "09:00" in describe(timetable) else MOST_SKIPPED_COUNTED)

    @given(
        since=st.integers(0, 3 * DAY_US), length=st.integers(0, 3 * DAY_US), grace=st.integers(0, 2 * HOUR_US)
    )
    @settings(deadline=None)
    def test_each_policy_fires_a_part_of_what_the_next_one_fires(
        self, since: int, length: int, grace: int
    ) -> None:
        none, one, everything = (
            due(self.hourly, since_us=since, now_us=since + length, catch_up=policy, grace_us=grace)
            for policy in cast("tuple[Literal['none', 'one', 'all'], ...]", ("none", "one", "all"))
        )

        assert set(none.fire) <= set(one.fire) <= set(everything.fire)
        assert {len(it.fire) + it.skipped for it in (none, one)} == {len(everything.fire)}
        assert none.next_at == one.next_at == everything.next_at

    @given(steps=st.lists(st.integers(1, 3 * DAY_US), min_size=1, max_size=20))
    @settings(deadline=None)
    def test_asking_in_any_rhythm_fires_everything_exactly_once(self, steps: list[int]) -> None:
        timetable = cron("30 1,2 * * *", "America/New_York")
        since = start = now = at("2024-10-28T00:00:00Z")
        fired: list[int] = []
        for step in steps:
            now += step
            outcome = due(timetable, since_us=since, now_us=now, catch_up="all")
            fired += outcome.fire
            since = fired[-1] if fired else since

        planned = upcoming(timetable, start, 200)
        assert fired == planned[: bisect_right(planned, now)]


class TestDescribe:
    @pytest.mark.parametrize(
        ("timetable", "text"),
        [
            (cron("0 9 * * 1"), "At 09:00 on Monday"),
            (cron("* * * * *"), "Every minute"),
            (cron("0 0 21 * *"), "At 00:00 on the 21st day of every month"),
            (cron("0 0 11 * *"), "At 00:00 on the 11th day of every month"),
            (cron("0 0 22 * *"), "At 00:00 on the 22nd day of every month"),
            (interval(1), "Every second"),
            (interval(90), "Every 90 seconds"),
            (interval(300), "Every 5 minutes"),
            (interval(3600), "Every hour"),
            (interval(172_800), "Every 2 days"),
        ],
    )
    def test_says_it_in_english(self, timetable: Timetable, text: str) -> None:
        assert describe(timetable) == text


def test_a_timetable_survives_being_stored_as_json() -> None:
    for made in (cron("0 9 * * 1", "Europe/Istanbul"), interval(60, anchor_us=5)):
        stored = msgspec.json.encode(made)

        assert msgspec.json.decode(stored, type=Cron | Interval) == made


def test_the_examples_in_the_docs_run() -> None:
    assert doctest.testmod(timetable) == (0, 1)
