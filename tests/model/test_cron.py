"""Which instants cron expressions name in real time zones, and what is refused."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.durations import DAY_US, HOUR_US, MINUTE_US, SECOND_US, instant_us, iso
from zopio_trigger.model.timetable import Cron, cron, describe, due, next_after, upcoming


def at(text: str) -> int:
    return instant_us(text, "test")


def local_times(expression: str, timezone: str, after: str, count: int) -> list[str]:
    """The next planned times as the clocks of the zone show them, with the offset."""
    zone = ZoneInfo(timezone)
    return [
        datetime.fromtimestamp(us // SECOND_US, zone).isoformat(timespec="minutes")
        for us in upcoming(cron(expression, timezone), at(after), count)
    ]


class TestCron:
    def test_fires_at_the_times_of_the_zone(self) -> None:
        times = local_times("0 9 * * 1", "Europe/Istanbul", "2026-11-23T06:00:00Z", 2)

        assert times == ["2026-11-30T09:00+03:00", "2026-12-07T09:00+03:00"]

    def test_next_is_strictly_after_the_instant(self) -> None:
        hourly = cron("0 * * * *")

        assert next_after(hourly, at("2026-01-01T10:00:00Z")) == at("2026-01-01T11:00:00Z")
        assert next_after(hourly, at("2026-01-01T10:00:00Z") - 1) == at("2026-01-01T10:00:00Z")

    def test_either_kind_of_day_suffices_when_both_are_restricted(self) -> None:
        times = local_times("0 0 13 * FRI", "UTC", "2026-11-01T00:00:00Z", 3)

        assert times == ["2026-11-06T00:00+00:00", "2026-11-13T00:00+00:00", "2026-11-20T00:00+00:00"]

    def test_knows_last_days_and_numbered_weekdays(self) -> None:
        assert local_times("0 0 L 2 *", "UTC", "2027-01-01T00:00:00Z", 2) == [
            "2027-02-28T00:00+00:00",
            "2028-02-29T00:00+00:00",
        ]
        assert local_times("0 0 * * MON#2", "UTC", "2027-01-01T00:00:00Z", 1) == ["2027-01-11T00:00+00:00"]

    def test_finds_a_time_that_comes_once_in_forty_years(self) -> None:
        times = local_times("0 0 29 2 */7", "UTC", "2088-03-01T00:00:00Z", 1)

        assert times == ["2128-02-29T00:00+00:00"]

    def test_collapses_blanks_and_keeps_what_was_written(self) -> None:
        assert cron("  0\t9 * *   mon ") == Cron("0 9 * * mon", "UTC")


class TestDaylightSaving:
    def test_a_fixed_time_that_is_skipped_fires_when_the_clocks_go_on(self) -> None:
        times = local_times("30 2 * * *", "America/New_York", "2024-03-09T12:00:00Z", 2)

        assert times == ["2024-03-10T03:00-04:00", "2024-03-11T02:30-04:00"]

    def test_skipped_times_fire_once_together_and_with_the_one_planned_then(self) -> None:
        times = local_times("0,15,45 2,3 * * *", "America/New_York", "2024-03-09T12:00:00Z", 4)

        assert times == [
            "2024-03-10T03:00-04:00",
            "2024-03-10T03:15-04:00",
            "2024-03-10T03:45-04:00",
            "2024-03-11T02:00-04:00",
        ]

    def test_a_fixed_time_that_repeats_fires_the_first_time_only(self) -> None:
        times = local_times("30 1 * * *", "America/New_York", "2024-11-02T12:00:00Z", 2)

        assert times == ["2024-11-03T01:30-04:00", "2024-11-04T01:30-05:00"]

    def test_next_after_never_answers_with_the_past_in_a_repeated_hour(self) -> None:
        second_pass = at("2024-11-03T06:15:00Z")  # 01:15 in New York, for the second time

        assert next_after(cron("30 1 * * *", "America/New_York"), second_pass) == at("2024-11-04T06:30:00Z")

    def test_wildcard_hours_fire_in_both_passes(self) -> None:
        times = local_times("30 * * * *", "America/New_York", "2024-11-03T05:00:00Z", 3)

        assert times == ["2024-11-03T01:30-04:00", "2024-11-03T01:30-05:00", "2024-11-03T02:30-05:00"]

    def test_wildcard_hours_leave_out_what_the_clocks_skip(self) -> None:
        times = local_times("30 * * * *", "America/New_York", "2024-03-10T06:00:00Z", 2)

        assert times == ["2024-03-10T01:30-05:00", "2024-03-10T03:30-04:00"]

    def test_istanbul_kept_summer_time_in_2016_and_fires_at_nine_all_along(self) -> None:
        times = local_times("0 9 * * *", "Europe/Istanbul", "2015-11-07T12:00:00Z", 500)

        assert {time[11:16] for time in times} == {"09:00"}
        assert times[0].endswith("+02:00")
        assert times[-1].endswith("+03:00")

    def test_half_an_hour_at_lord_howe_is_repeated_and_nothing_is_lost(self) -> None:
        after = "2024-04-06T13:00:00Z"  # clocks go from 02:00+11:00 back to 01:30+10:30

        assert local_times("45 1 * * *", "Australia/Lord_Howe", after, 2) == [
            "2024-04-07T01:45+11:00",
            "2024-04-08T01:45+10:30",
        ]
        assert local_times("30 * * * *", "Australia/Lord_Howe", after, 4)[1:] == [
            "2024-04-07T01:30+11:00",
            "2024-04-07T01:30+10:30",
            "2024-04-07T02:30+10:30",
        ]
        assert local_times("0 */2 * * *", "Australia/Lord_Howe", after, 2) == [
            "2024-04-07T02:00+10:30",
            "2024-04-07T04:00+10:30",
        ]

    def test_half_an_hour_at_lord_howe_is_skipped(self) -> None:
        after = "2024-10-05T12:00:00Z"  # clocks go from 02:00+10:30 on to 02:30+11:00

        assert local_times("15 2 * * *", "Australia/Lord_Howe", after, 1) == ["2024-10-06T02:30+11:00"]
        assert local_times("0 2 * * *", "Australia/Lord_Howe", after, 1) == ["2024-10-06T02:30+11:00"]

    def test_the_day_that_samoa_skipped_fires_at_the_start_of_the_next(self) -> None:
        after = "2011-12-29T00:00:00Z"

        assert local_times("0 9 * * *", "Pacific/Apia", after, 3) == [
            "2011-12-29T09:00-10:00",
            "2011-12-31T00:00+14:00",
            "2011-12-31T09:00+14:00",
        ]
        assert local_times("0 0 * * *", "Pacific/Apia", after, 3) == [
            "2011-12-29T00:00-10:00",
            "2011-12-31T00:00+14:00",
            "2012-01-01T00:00+14:00",
        ]

    def test_a_midnight_that_does_not_exist_fires_at_one(self) -> None:
        times = local_times("0 0 * * *", "Africa/Cairo", "2024-04-25T12:00:00Z", 2)

        assert times == ["2024-04-26T01:00+03:00", "2024-04-27T00:00+03:00"]

    def test_clocks_set_back_over_midnight_repeat_the_end_of_the_day_before(self) -> None:
        # Until 2011 St John's went from 00:01 back to 23:01 of the day before.
        after = "2010-11-07T01:45:00Z"

        assert local_times("*/30 * * * *", "America/St_Johns", after, 4) == [
            "2010-11-06T23:30-02:30",
            "2010-11-07T00:00-02:30",
            "2010-11-06T23:30-03:30",
            "2010-11-07T00:00-03:30",
        ]

    def test_clocks_that_move_by_seconds_too_are_followed(self) -> None:
        # Liberia gave up its offset of -00:44:30 on 7 January 1972, at what would have been midnight.
        times = upcoming(cron("0 0 * * *", "Africa/Monrovia"), at("1972-01-06T12:00:00Z"), 2)

        assert times == [at("1972-01-07T00:44:30Z"), at("1972-01-08T00:00:00Z")]


ZONES_AND_MOMENTS = [  # around changes of the clocks, and a quiet day
    ("UTC", "2024-03-10T06:00:00Z"),
    ("Asia/Kathmandu", "2026-06-15T12:00:00Z"),
    ("Europe/Istanbul", "2016-03-27T00:30:00Z"),
    ("Europe/Istanbul", "2015-11-08T00:30:00Z"),
    ("America/New_York", "2024-03-10T06:00:00Z"),
    ("America/New_York", "2024-11-03T05:30:00Z"),
    ("Australia/Lord_Howe", "2024-04-06T14:45:00Z"),
    ("Australia/Lord_Howe", "2024-10-05T15:00:00Z"),
    ("Pacific/Apia", "2011-12-30T09:00:00Z"),
    ("America/St_Johns", "2010-11-07T02:20:00Z"),
    ("America/St_Johns", "2010-03-14T03:20:00Z"),
    ("Africa/Cairo", "2024-04-25T21:30:00Z"),
    ("Africa/Cairo", "2024-10-31T20:30:00Z"),
    ("America/Havana", "2024-11-03T04:30:00Z"),
]
EXPRESSIONS = [
    "* * * * *",
    "*/7 * * * *",
    "30 * * * *",
    "0 */2 * * *",
    "15,45 * * * 1",
    "*/30 1-3 * * *",
    "0 0 * * *",
    "30 2 * * *",
    "0,30 0-23 * * *",
    "59 23 * * *",
    "1,31 1,2,3 * * *",
    "0 12 L * *",
    "0 9 * * 1-5",
]


def planned_by_the_rules(expression: str, timezone: str, start: int, end: int) -> list[int]:
    """The planned times in (start, end], by walking every minute and applying the rules as they are written.

    The local times that match come from cronsim without a zone, so nothing here shares code with us.
    """
    zone = ZoneInfo(timezone)
    margin = 36 * HOUR_US  # more than any zone ever skipped
    minutes = range((start - margin) // MINUTE_US * MINUTE_US, end + margin, MINUTE_US)
    shown = [datetime.fromtimestamp(us // SECOND_US, zone).replace(tzinfo=None, fold=0) for us in minutes]
    wanted = set()
    for match in CronSim(expression, min(shown) - timedelta(minutes=1)):
        if match > max(shown):
            break
        wanted.add(match)
    follows_wall = any(field.startswith("*") for field in expression.split()[:2])
    if follows_wall:
        planned = {us for us, local in zip(minutes, shown, strict=True) if local in wanted}
    else:
        planned = set()
        first_shown = dict(reversed(list(zip(shown, minutes, strict=True))))
        for local in wanted:
            if local in first_shown:
                planned.add(first_shown[local])
            else:
                planned.add(next(us for us, now in zip(minutes, shown, strict=True) if now > local))
    return sorted(us for us in planned if start < us <= end)


class TestAgainstTheRules:
    @given(
        expression=st.sampled_from(EXPRESSIONS),
        zone_and_moment=st.sampled_from(ZONES_AND_MOMENTS),
        shift=st.integers(-3 * HOUR_US, 3 * HOUR_US),
        length=st.integers(0, DAY_US),
    )
    @settings(max_examples=25, deadline=None)
    def test_forward_backward_and_counting_agree_with_the_rules(
        self, expression: str, zone_and_moment: tuple[str, str], shift: int, length: int
    ) -> None:
        timezone, moment = zone_and_moment
        start = at(moment) + shift
        end = start + length
        timetable = cron(expression, timezone)

        expected = planned_by_the_rules(expression, timezone, start, end)

        forward = []
        last = next_after(timetable, start)
        while last is not None and last <= end:
            forward.append(last)
            last = next_after(timetable, last)
        assert forward == expected
        everything = due(timetable, since_us=start, now_us=end, catch_up="all", most=5000)
        assert list(everything.fire) == expected
        one = due(timetable, since_us=start, now_us=end, catch_up="one")
        assert len(one.fire) + one.skipped == len(expected)

    @pytest.mark.parametrize(
        ("expression", "timezone", "moment"),
        [
            ("*/30 * * * *", "America/St_Johns", "2010-11-07T02:00:00Z"),
            ("0,45 23,0 * * *", "America/St_Johns", "2010-11-07T02:00:00Z"),
            ("*/20 * 7 * *", "America/St_Johns", "2010-11-07T02:00:00Z"),
            ("*/20 * 6 * *", "America/St_Johns", "2010-11-07T02:00:00Z"),
            ("0 0,9 * * *", "Pacific/Apia", "2011-12-30T10:00:00Z"),
            ("0 9 30 12 *", "Pacific/Apia", "2011-12-30T10:00:00Z"),
            ("0 2,3 * * *", "America/New_York", "2024-03-10T07:00:00Z"),
        ],
    )
    def test_looking_back_and_counting_agree_with_stepping_forward(
        self, expression: str, timezone: str, moment: str
    ) -> None:
        timetable = cron(expression, timezone)
        middle = at(moment)
        # Every quarter of an hour around the change, and half a minute later: St John's repeats a first minute.
        instants = [
            quarter + late
            for quarter in range(middle - 2 * HOUR_US, middle + 2 * HOUR_US, 15 * MINUTE_US)
            for late in (0, 30 * SECOND_US, 90 * SECOND_US)
        ]
        planned = upcoming(timetable, middle - DAY_US, 200)

        for since in instants:
            for now in instants:
                expected = planned[bisect_right(planned, since) : bisect_right(planned, now)]
                one = due(timetable, since_us=since, now_us=now, catch_up="one")
                none = due(timetable, since_us=since, now_us=now, catch_up="none", grace_us=0)
                assert one.fire == tuple(expected[-1:])
                assert len(one.fire) + one.skipped == len(none.fire) + none.skipped == len(expected)

    @given(
        expression=st.sampled_from(EXPRESSIONS),
        timezone=st.sampled_from([zone for zone, _ in ZONES_AND_MOMENTS]),
        instant=st.integers(0, at("2200-01-01T00:00:00Z")),
    )
    @settings(max_examples=200, deadline=None)
    def test_stepping_forward_and_looking_back_meet(
        self, expression: str, timezone: str, instant: int
    ) -> None:
        timetable = cron(expression, timezone)

        following = next_after(timetable, instant)

        assert following is not None
        assert following > instant
        assert due(timetable, since_us=instant, now_us=following, catch_up="one").fire == (following,)
        assert due(timetable, since_us=instant, now_us=following - 1, catch_up="one").fire == ()


def works_or_is_refused(expression: str) -> None:
    try:
        timetable = cron(expression)
    except InvalidInput:
        return
    assert next_after(timetable, 0) is not None
    assert describe(timetable)


class TestRefusals:
    @pytest.mark.parametrize(
        ("expression", "reason"),
        [
            ("", "empty"),
            (" \t ", "empty"),
            ("* * * *", "has 4 fields; write five"),
            ("0 * * * * *", "for seconds there is interval"),
            ("@daily", "write '0 0 \\* \\* \\*'"),
            ("60 * * * *", "bad minute '60'; it takes 0 to 59"),
            ("0 24 * * *", "bad hour '24'"),
            ("0 0 32 * *", "bad day-of-month '32'"),
            ("0 0 1 13 *", "bad month '13'"),
            ("0 0 * * 8", "bad day-of-week '8'"),
            ("5-1 * * * *", "bad minute"),
            ("*/0 * * * *", "bad minute"),
            ("0 0 31 2 *", "never fires: day 31 does not exist in month 2"),
            ("0 0 30 FEB *", "never fires: day 30"),
            ("0 0 31 4,6,9,11 *", "never fires"),
            ("0 0 */40 * MON#2", "never fires"),  # the first of the month is never a second Monday
            ("\u0661 * * * *", "ASCII"),  # Arabic-Indic one
            ("\uff11 * * * *", "ASCII"),  # fullwidth one
            ("0\u30009 * * *", "ASCII"),  # ideographic space
            ("0 9 * * 1\x00", "ASCII"),
            ("0 9 * * 1; rm", "ASCII"),
            ("1," * 128 + "1 * * * *", "at most 256"),
        ],
    )
    def test_an_expression_that_makes_no_sense_is_refused_with_the_reason(
        self, expression: str, reason: str
    ) -> None:
        with pytest.raises(InvalidInput, match=reason):
            cron(expression)

    @pytest.mark.parametrize("value", [None, 5, b"* * * * *", ["*"] * 5])
    def test_an_expression_must_be_text(self, value: Any) -> None:
        with pytest.raises(InvalidInput, match="must be a string"):
            cron(value)
        with pytest.raises(InvalidInput, match="time zone must be"):
            cron("* * * * *", value)

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("Europe/Istambul", "did you mean 'Europe/Istanbul'"),
            ("istanbul", "did you mean 'Europe/Istanbul'"),
            ("europe/istanbul", "did you mean 'Europe/Istanbul'"),
            ("New York", "did you mean 'America/New_York'"),
            ("utc", "did you mean 'UTC'"),
            ("UTC+3", "Etc/GMT-3"),
            ("+03:00", "Etc/GMT-3"),
            ("GMT-5", "Etc/GMT\\+5"),
            ("UTC+99", "unknown time zone"),
            ("", "unknown time zone"),
            ("Europe", "unknown time zone"),
            ("localtime", "unknown time zone"),
            ("Factory", "unknown time zone"),
            ("right/Europe/Istanbul", "unknown time zone"),
            ("../../etc/passwd", "unknown time zone"),
            ("/usr/share/zoneinfo/UTC", "unknown time zone"),
            ("Europe/../Europe/Istanbul", "unknown time zone"),
            ("UTC\x00", "unknown time zone"),
            ("Z" * 10_000, "10000 characters"),
        ],
    )
    def test_an_unknown_zone_is_refused_and_the_nearest_named(self, name: str, hint: str) -> None:
        with pytest.raises(InvalidInput, match=hint):
            cron("* * * * *", name)

    @given(st.text(alphabet="0123456789*/,-#LW MONFEBSUN ", max_size=40))
    @settings(max_examples=200, deadline=None)
    def test_whatever_is_written_either_works_or_is_refused_by_us(self, expression: str) -> None:
        works_or_is_refused(expression)

    @given(st.lists(st.text(alphabet="0123456789*/,-#LW", min_size=1, max_size=6), min_size=5, max_size=5))
    @settings(max_examples=300, deadline=None)
    def test_whatever_fields_are_written_either_work_or_are_refused_by_us(self, fields: list[str]) -> None:
        works_or_is_refused(" ".join(fields))


def test_instants_outside_utc_days_belong_to_local_ones() -> None:
    monday = cron("30 0 * * 1", "Pacific/Apia")

    following = next_after(monday, at("2026-11-21T00:00:00Z"))

    assert following is not None
    assert iso(following) == "2026-11-22T11:30:00.000Z"
    assert datetime.fromtimestamp(following // SECOND_US, UTC).strftime("%A") == "Sunday"
