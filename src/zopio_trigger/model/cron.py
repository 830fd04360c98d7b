"""Cron expressions: the grammar, and which instants an expression names in a time zone.

The grammar and the matching of dates are cronsim's, which follows Debian's cron. The instants are worked out
here, a local day at a time, because stepping through local times (as cronsim does) answers with a time in the
past inside a repeated hour, loses times where clocks move by half an hour (Lord Howe), and is slow backwards.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime
from typing import Final, NamedTuple

from cronsim import CronSim, CronSimError

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.durations import HOUR_US, MINUTE_US
from zopio_trigger.model.zones import (
    LAST_DAY,
    Shown,
    Skipped,
    Stretch,
    day_of,
    local_day,
    utc_midnight,
    zone_named,
)

LONGEST_EXPRESSION: Final = 256  # characters; all sixty minutes as a list take 169

# Further ahead nothing can come: 29 February on a given weekday recurs within 40 years.
_DAYS_AHEAD: Final = 366 * 50
_END_US: Final = utc_midnight(LAST_DAY)

_START: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - CronSim wants one, but we never step it
_START_US: Final = 1_704_067_200_000_000

_CHARACTERS: Final = re.compile(r"[0-9A-Za-z*/,#\- \t]*", re.ASCII)
_FIELDS: Final = "minute hour day-of-month month day-of-week"
_TAKES: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, L (last day) or LW (last weekday)",
    "month": "1 to 12 or JAN to DEC",
    "day-of-week": "0 to 7 (both Sunday), SUN to SAT, 5L (last Friday) or MON#2 (second Monday)",
}
_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# cronsim writes "the 21th"; teens it writes right.
_ORDINAL: Final = re.compile(r"\b([2-9])([123])th\b")
_ENDINGS: Final = {"1": "st", "2": "nd", "3": "rd"}


class Hits(NamedTuple):
    """Planned instants in some span of time: the first, the last, how many."""

    first: int
    last: int
    number: int


class CronTimes:
    """The instants that an expression names in a zone, found in both directions without stepping to them.

    An expression whose minute or hour begins with `*` follows the clocks on the wall: what they skip does not
    fire, what they show twice fires twice. Any other names fixed times: one that is skipped fires at the
    instant at which the clocks go on (once for all skipped), one that is shown twice fires the first time.

    Parameters:
        expression: five fields, at most 256 ASCII characters.
        timezone: IANA name.

    Raises:
        InvalidInput: the expression is not understood or never fires, or the zone is unknown.

    Source: Debian's cron(8), on daylight saving time.
    """

    __slots__ = ("_follows_wall", "_matches_date", "_months", "_times", "_zone", "explanation")

    def __init__(self, expression: str, timezone: str) -> None:
        parsed = _parse(expression)
        self._zone = zone_named(timezone)
        self._months = parsed.months
        self._matches_date = parsed.match_day
        self._times = [
            hour * HOUR_US + minute * MINUTE_US
            for hour in sorted(parsed.hours)
            for minute in sorted(parsed.minutes)
        ]
        self._follows_wall = any(field.startswith("*") for field in expression.split()[:2])
        self.explanation = _ORDINAL.sub(lambda it: it[1] + it[2] + _ENDINGS[it[2]], parsed.explain())
        if self.first_after(_START_US) is None:
            raise InvalidInput(f"cron {expression!r} never fires: no date matches its days and months")

    def first_after(self, after: int) -> int | None:
        """The first instant after one; None when none comes within 50 years or by the end of year 9999."""
        if after >= _END_US:
            return None
        today = day_of(self._zone, after)
        for day in self._days_from(today - 1 if self._is_uneven(today) else today):
            if hits := self._on(day, after, _END_US):
                return min(hits.first, self._first_of_next_day(day, after, hits.first))
        return None

    def last_until(self, after: int, until: int) -> int | None:
        """The last instant after one and not later than another, or None."""
        until = min(until, _END_US)
        today = day_of(self._zone, until)
        start = today + 1 if self._is_uneven(today) else today
        for day in self._days_back(start, day_of(self._zone, after) - 1):
            if hits := self._on(day, after, until):
                return max(hits.last, self._last_of_previous_day(day, after, until, hits.last))
        return None

    def count(self, after: int, until: int, most: int) -> int:
        """How many instants come after one and not later than another; stops counting at `most`."""
        until = min(until, _END_US)
        total = 0
        last_day = day_of(self._zone, until) + 1
        for day in self._days_from(day_of(self._zone, after) - 1, last_day):
            if hits := self._on(day, after, until):
                total += hits.number
                if total >= most:
                    return most
        return total

    def _days_from(self, day: int, last_day: int | None = None) -> Iterator[int]:
        """The days that the expression names, from `day` on."""
        end = min(day + _DAYS_AHEAD, LAST_DAY) if last_day is None else last_day
        while day <= end:
            on = date.fromordinal(day)
            if on.month not in self._months:
                day += calendar.monthrange(on.year, on.month)[1] - on.day + 1
                continue
            if self._matches_date(on):
                yield day
            day += 1

    def _days_back(self, day: int, first_day: int) -> Iterator[int]:
        """The days that the expression names, from `day` backwards."""
        while day >= first_day:
            on = date.fromordinal(day)
            if on.month not in self._months:
                day -= on.day
                continue
            if self._matches_date(on):
                yield day
            day -= 1

    def _first_of_next_day(self, day: int, after: int, otherwise: int) -> int:
        """Where clocks go back over midnight, the next day begins, stops, and this one is shown again."""
        if not self._is_uneven(day) or not self._names(day + 1):
            return otherwise
        hits = self._on(day + 1, after, _END_US)
        return hits.first if hits else otherwise

    def _last_of_previous_day(self, day: int, after: int, until: int, otherwise: int) -> int:
        if not self._is_uneven(day) or not self._names(day - 1):
            return otherwise
        hits = self._on(day - 1, after, until)
        return hits.last if hits else otherwise

    def _is_uneven(self, day: int) -> bool:
        return len(local_day(self._zone, day)) > 1

    def _names(self, day: int) -> bool:
        on = date.fromordinal(day)
        return on.month in self._months and self._matches_date(on)

    def _on(self, day: int, after: int, until: int) -> Hits | None:
        """The hits on a day that the expression names."""
        stretches = local_day(self._zone, day)
        if len(stretches) == 1:
            return self._within(stretches[0], after, until)
        found = [hits for stretch in stretches if (hits := self._within(stretch, after, until))]
        if not found:
            return None
        return Hits(found[0].first, found[-1].last, sum(hits.number for hits in found))

    def _within(self, stretch: Stretch, after: int, until: int) -> Hits | None:
        if not isinstance(stretch, Shown):
            return self._after_skipping(stretch, after, until)
        if stretch.again and not self._follows_wall:
            return None
        midnight = stretch.midnight
        low = bisect_left(self._times, max(stretch.begin, after - midnight + 1))
        high = bisect_left(self._times, min(stretch.end, until - midnight + 1))
        if low >= high:
            return None
        return Hits(midnight + self._times[low], midnight + self._times[high - 1], high - low)

    def _after_skipping(self, skipped: Skipped, after: int, until: int) -> Hits | None:
        """The one hit for all fixed times that were skipped, unless its instant is named anyway."""
        resumes_at = skipped.resumes_at
        if self._follows_wall or not after < resumes_at <= until:
            return None
        low, high = bisect_left(self._times, skipped.begin), bisect_left(self._times, skipped.end)
        if low == high or self._shows(resumes_at):
            return None
        return Hits(resumes_at, resumes_at, 1)

    def _shows(self, instant: int) -> bool:
        day = day_of(self._zone, instant)
        return self._names(day) and any(
            self._within(stretch, instant - 1, instant)
            for stretch in local_day(self._zone, day)
            if isinstance(stretch, Shown)
        )


def _parse(expression: str) -> CronSim:
    _check_shape(expression)
    try:
        return CronSim(expression, _START)
    except CronSimError as error:
        raise InvalidInput(_reason(expression, str(error))) from error


def _check_shape(expression: str) -> None:
    """Refuse what is not five fields of ASCII; cronsim alone would take seconds and other scripts' blanks."""
    if len(expression) > LONGEST_EXPRESSION:
        raise InvalidInput(f"cron expression has {len(expression)} characters; at most {LONGEST_EXPRESSION}")
    fields = expression.split()
    if not fields:
        raise InvalidInput(f"cron expression is empty; write five fields: {_FIELDS}")
    if nickname := _NICKNAMES.get(expression.strip().lower()):
        raise InvalidInput(f"cron {expression!r} is not supported; write {nickname!r}")
    if not _CHARACTERS.fullmatch(expression):
        raise InvalidInput(
            f"cron {expression!r} has characters that mean nothing there; "
            "use ASCII digits, names of days and months, and * / , - # L W"
        )
    if len(fields) != 5:
        hint = " (for seconds there is interval)" if len(fields) == 6 else ""
        raise InvalidInput(f"cron {expression!r} has {len(fields)} fields; write five: {_FIELDS}{hint}")


def _reason(expression: str, error: str) -> str:
    field = error.removeprefix("Bad ")
    if field not in _TAKES:
        return f"cron {expression!r} is not understood: {error}"
    minute, hour, day, month, weekday = expression.split()
    if field == "day-of-month" and _is_understood(f"{minute} {hour} {day} * {weekday}"):
        return f"cron {expression!r} never fires: day {day} does not exist in month {month}"
    written = dict(zip(_FIELDS.split(), expression.split(), strict=True))[field]
    return f"cron {expression!r}: bad {field} {written!r}; it takes {_TAKES[field]}"


def _is_understood(expression: str) -> bool:
    try:
        CronSim(expression, _START)
    except CronSimError:
        return False
    return True
