"""Lengths of time and instants: what is accepted, what is refused, how they are shown."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model import durations
from zopio_trigger.model.durations import (
    DAY_US,
    HOUR_US,
    LATEST_US,
    LONGEST_US,
    MINUTE_US,
    SECOND_US,
    ago,
    duration_us,
    humanize,
    instant_us,
    iso,
    parse_duration,
    to_datetime,
)

WHAT = "io.wait('a')"
NINE = datetime(2026, 1, 31, 9, tzinfo=timezone(timedelta(hours=3)))
NINE_US = 1_769_839_200 * SECOND_US


class TestDuration:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (0, 0),
            (-0.0, 0),
            (86_400, DAY_US),
            (0.25, 250_000),
            (0.1, 100_000),
            (1e-7, 0),
            (timedelta(days=1, microseconds=1), DAY_US + 1),
            ({"seconds": 86_400}, DAY_US),
            ({"hours": 1, "minutes": 30}, 90 * MINUTE_US),
            ({"days": 0.5}, DAY_US // 2),
            (315_360_000, LONGEST_US),
            ({"days": 3650}, LONGEST_US),
        ],
    )
    def test_accepts_seconds_timedeltas_and_mappings(self, value: object, expected: int) -> None:
        assert duration_us(value, what=WHAT) == expected

    def test_accepts_keywords_and_adds_them_up(self) -> None:
        assert duration_us(seconds=5, what=WHAT) == 5 * SECOND_US
        assert duration_us(days=1, hours=2, minutes=3, seconds=0.5, what=WHAT) == (
            DAY_US + 2 * HOUR_US + 3 * MINUTE_US + 500_000
        )
        assert duration_us(seconds=0, what=WHAT) == 0

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (-1, "negative"),
            (-0.001, "negative"),
            (timedelta(microseconds=-1), "negative"),
            ({"hours": 1, "minutes": -1}, "negative"),
            (float("nan"), "finite"),
            (float("inf"), "finite"),
            (1e300, "ten years"),
            pytest.param(10**5000, "ten years", id="5001 digits"),
            (315_360_001, "ten years.*not milliseconds"),
            ({"days": 3650, "seconds": 1}, "ten years"),
            (timedelta.max, "ten years"),
            (True, "not a length of time"),
            ("10m", "pass seconds as a number"),
            (Decimal(5), "type Decimal"),
            ([5], "type list"),
            ({}, "empty"),
            ({"second": 5}, "unknown unit 'second'; the units are seconds, minutes, hours, days"),
            ({5: 5}, "unknown unit 5"),
            ({"seconds": "5"}, "not a length of time"),
            ({"seconds": None}, "not a length of time"),
            (NINE, "not a length of time"),
        ],
    )
    def test_refuses_everything_else_and_says_why(self, value: object, reason: str) -> None:
        with pytest.raises(InvalidInput, match=reason) as refused:
            duration_us(value, what=WHAT)

        assert WHAT in str(refused.value)

    def test_refuses_none_and_two_forms(self) -> None:
        with pytest.raises(InvalidInput, match="no length of time given"):
            duration_us(what=WHAT)
        with pytest.raises(InvalidInput, match="given twice, as 5 and as seconds"):
            duration_us(5, seconds=5, what=WHAT)

    def test_an_error_message_is_short_whatever_was_passed(self) -> None:
        class Rude:
            def __repr__(self) -> str:
                raise RuntimeError("no")

        for value in ("x" * 10_000_000, Rude(), {"y" * 10_000_000: 1}):
            with pytest.raises(InvalidInput) as refused:
                duration_us(value, what=WHAT)
            assert len(str(refused.value)) < 300

    @given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3650)))
    @settings(deadline=None)
    def test_a_timedelta_is_exact(self, length: timedelta) -> None:
        assert timedelta(microseconds=duration_us(length, what=WHAT)) == length


class TestInstant:
    @pytest.mark.parametrize(
        "value",
        [
            NINE,
            NINE.astimezone(UTC),
            "2026-01-31T09:00:00+03:00",
            "2026-01-31T06:00:00Z",
            "2026-01-31t06:00:00.000z",
            "2026-01-31 06:00:00.000000000Z",
            "2026-01-31T00:30:00-05:30",
        ],
    )
    def test_accepts_aware_datetimes_and_rfc_3339(self, value: object) -> None:
        assert instant_us(value, "until") == NINE_US

    def test_cuts_what_is_finer_than_a_microsecond(self) -> None:
        assert instant_us("1970-01-01T00:00:00.123456789Z", "until") == 123_456

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (NINE.replace(tzinfo=None), "no time zone.*tzinfo=timezone.utc"),
            ("2026-01-31T09:00:00", "with an offset"),
            ("2026-01-31", "with an offset"),
            ("20260131T090000Z", "with an offset"),
            ("2026-W05-6T09:00:00Z", "with an offset"),
            ("2026-01-31T09:00Z", "with an offset"),
            ("\u0662\u0660\u0662\u0666-01-31T09:00:00Z", "with an offset"),
            ("2026-01-31T09:00:00Z\n", "with an offset"),
            ("tomorrow", "with an offset"),
            ("", "with an offset"),
            ("0000-01-01T00:00:00Z", "does not exist"),
            ("2026-02-30T00:00:00Z", "does not exist"),
            ("2026-01-31T24:00:01Z", "does not exist"),
            ("2026-01-31T23:59:60Z", "does not exist"),
            ("2026-01-31T09:00:00+25:00", "does not exist"),
            ("1969-12-31T23:59:59Z", "1970 to 9999"),
            ("1970-01-01T00:00:00+00:01", "1970 to 9999"),
            ("9999-12-31T23:59:59-00:01", "1970 to 9999"),
            (datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), "1970 to 9999"),
            (datetime.min.replace(tzinfo=timezone(timedelta(hours=5))), "1970 to 9999"),
            (NINE_US, "not an instant"),
            (1.5, "not an instant"),
            (None, "not an instant"),
            (NINE.date(), "not an instant"),
        ],
    )
    def test_refuses_everything_else_and_says_why(self, value: object, reason: str) -> None:
        with pytest.raises(InvalidInput, match=reason) as refused:
            instant_us(value, "until")

        assert str(refused.value).startswith("until: ")

    @given(
        st.datetimes(
            min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis wants naive bounds
            max_value=datetime(9999, 12, 30),  # noqa: DTZ001
            timezones=st.timezones(),
        )
    )
    @settings(deadline=None)
    def test_a_datetime_comes_back_as_the_same_instant(self, moment: datetime) -> None:
        assert to_datetime(instant_us(moment, "until")) == moment.astimezone(UTC)

    @given(st.integers(0, LATEST_US))
    @settings(deadline=None)
    def test_what_iso_writes_is_read_back_to_the_millisecond(self, us: int) -> None:
        assert instant_us(iso(us), "until") == us // 1000 * 1000

    def test_iso_writes_rfc_3339_with_milliseconds(self) -> None:
        assert iso(0) == "1970-01-01T00:00:00.000Z"
        assert iso(NINE_US + 7_999) == "2026-01-31T06:00:00.007Z"
        assert iso(LATEST_US) == "9999-12-31T23:59:59.999Z"

    @pytest.mark.parametrize("us", [-1, LATEST_US + 1, 10**30])
    def test_instants_outside_the_calendar_are_refused(self, us: int) -> None:
        with pytest.raises(InvalidInput):
            iso(us)
        with pytest.raises(InvalidInput):
            to_datetime(us)


class TestCommandLine:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("90", 90 * SECOND_US),
            ("0", 0),
            ("30s", 30 * SECOND_US),
            ("10m", 10 * MINUTE_US),
            ("2h", 2 * HOUR_US),
            ("1d", DAY_US),
            ("1h30m", 90 * MINUTE_US),
            ("1d2h3m4s", DAY_US + 2 * HOUR_US + 3 * MINUTE_US + 4 * SECOND_US),
            (" 1H30M ", 90 * MINUTE_US),
            ("3650d", LONGEST_US),
        ],
    )
    def test_reads_lengths_as_people_type_them(self, text: str, expected: int) -> None:
        assert parse_duration(text) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "m",
            "-5s",
            "1.5h",
            "10 m",
            "30m1h",
            "1m1m",
            "5w",
            "ten",
            "\u0661s",
            "3651d",
            pytest.param("9" * 5000, id="5000 digits"),
            "1e3",
        ],
    )
    def test_refuses_everything_else(self, text: str) -> None:
        with pytest.raises(InvalidInput, match=r"length of time|ten years"):
            parse_duration(text)


class TestForPeople:
    @pytest.mark.parametrize(
        ("us", "text"),
        [
            (0, "0 ms"),
            (1, "<1 ms"),
            (17_400, "17 ms"),
            (999_999, "999 ms"),
            (SECOND_US, "1 s"),
            (3_190_000, "3.1 s"),
            (9_999_999, "9.9 s"),
            (59_999_999, "59 s"),
            (2 * MINUTE_US, "2 m"),
            (125 * SECOND_US, "2 m 5 s"),
            (3 * HOUR_US + 12 * MINUTE_US + 59 * SECOND_US, "3 h 12 m"),
            (2 * DAY_US, "2 d"),
            (2 * DAY_US + 5 * HOUR_US, "2 d 5 h"),
            (-17_000, "-17 ms"),
        ],
    )
    def test_a_length_is_said_in_one_or_two_units(self, us: int, text: str) -> None:
        assert humanize(us) == text

    @pytest.mark.parametrize(
        ("distance", "text"),
        [
            (0, "now"),
            (999_999, "now"),
            (-999_999, "now"),
            (8 * SECOND_US, "8 s ago"),
            (125 * SECOND_US, "2 m ago"),
            (3 * HOUR_US, "3 h ago"),
            (6 * DAY_US, "6 d ago"),
            (-3 * HOUR_US, "in 3 h"),
        ],
    )
    def test_a_distance_is_said_in_its_largest_unit(self, distance: int, text: str) -> None:
        assert ago(NINE_US - distance, NINE_US) == text

    @given(st.integers(0, 100 * LONGEST_US))
    @settings(deadline=None)
    def test_saying_a_length_never_fails_and_stays_short(self, us: int) -> None:
        assert 0 < len(humanize(us)) < 20


ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())


class TestAnything:
    @given(ANYTHING)
    @settings(deadline=None)
    def test_is_a_length_in_range_or_refused_by_us(self, value: object) -> None:
        try:
            length = duration_us(value, what=WHAT)
        except InvalidInput:
            return
        assert 0 <= length <= LONGEST_US

    @given(ANYTHING)
    @settings(deadline=None)
    def test_is_an_instant_in_range_or_refused_by_us(self, value: object) -> None:
        try:
            instant = instant_us(value, WHAT)
        except InvalidInput:
            return
        assert 0 <= instant <= LATEST_US


def test_the_examples_in_the_docs_run() -> None:
    assert doctest.testmod(durations) == (0, 2)
