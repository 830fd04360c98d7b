"""Lengths of time and instants: what callers may write for them, and how both are shown to people.

Inside, both are integer microseconds (an instant counts from the epoch, UTC). Nothing here looks at a clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from zopio_trigger.errors import InvalidInput

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

# Ten years of 365 days. Nobody waits longer on purpose; milliseconds taken for seconds do.
LONGEST_SECONDS: Final = 315_360_000
LONGEST_US: Final = LONGEST_SECONDS * SECOND_US

# 9999-12-31T23:59:59.999999Z, the last instant that datetime and RFC 3339 can write.
LATEST_US: Final = 253_402_300_800 * SECOND_US - 1

_UNITS_US: Final = {"seconds": SECOND_US, "minutes": MINUTE_US, "hours": HOUR_US, "days": DAY_US}
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive on purpose: arithmetic that cannot overflow
_MICROSECOND: Final = timedelta(microseconds=1)
_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_DURATION_TEXT: Final = re.compile(
    r"(?:(?P<days>\d{1,9})d)?(?:(?P<hours>\d{1,9})h)?(?:(?P<minutes>\d{1,9})m)?(?:(?P<seconds>\d{1,9})s)?",
    re.ASCII,
)
_NUMBER_TEXT: Final = re.compile(r"\d{1,9}", re.ASCII)


def duration_us(
    value: object = None,
    *,
    seconds: float | None = None,
    minutes: float | None = None,
    hours: float | None = None,
    days: float | None = None,
    what: str,
) -> int:
    """Read a length of time in any of the forms that waits and delays accept.

    Exactly one form is taken: `value`, or keywords (which add up: `hours=1, minutes=30`).

    Parameters:
        value: a number of seconds (int or finite float), a `timedelta`, or a mapping with one or more of
            `seconds`, `minutes`, `hours`, `days` (`{"seconds": 86400}`).
        seconds, minutes, hours, days: numbers, int or finite float.
        what: names the thing in error messages, such as `io.wait('before-reminder')`.

    Returns microseconds, from 0 to 315_360_000_000_000 (ten years); fractions are rounded to the nearest.

    Raises:
        InvalidInput: no form or two, a value that is not a length of time, negative, or over ten years.

    Example:
        >>> duration_us({"hours": 24}, what="io.wait('a')")
        86400000000
    """
    keywords = {"seconds": seconds, "minutes": minutes, "hours": hours, "days": days}
    parts = {unit: number for unit, number in keywords.items() if number is not None}
    if value is not None and parts:
        raise InvalidInput(
            f"{what}: the length is given twice, as {_shown(value)} and as {', '.join(parts)}; give one"
        )
    if value is None and not parts:
        raise InvalidInput(
            f"{what}: no length of time given; pass a number of seconds, a timedelta, "
            'a mapping such as {"hours": 24}, or seconds=, minutes=, hours=, days='
        )
    length = _sum_of(parts, what) if value is None else _length_of(value, what)
    return _in_range(length, what)


def instant_us(value: object, what: str) -> int:
    """Read an instant that a caller wrote.

    Parameters:
        value: an aware `datetime`, or a string in RFC 3339 with an offset (`2026-01-31T09:00:00+03:00`,
            `…Z`); digits beyond microseconds are cut.
        what: names the thing in error messages, such as `io.wait('a', until=...)`.

    Returns microseconds since the epoch, from 0 (1970) to the end of the year 9999, UTC.

    Raises:
        InvalidInput: another type, a datetime or string without an offset, no such date, out of that range.

    Source: RFC 3339, section 5.6.

    Example:
        >>> instant_us("2026-01-31T09:00:00+03:00", "until")
        1769839200000000
    """
    moment = _moment_of(value, what)
    offset = moment.utcoffset()
    if offset is None:
        raise InvalidInput(
            f"{what}: {_shown(value)} has no time zone, so it is no definite instant; write "
            "datetime(..., tzinfo=timezone.utc) or .astimezone(ZoneInfo('Europe/Istanbul'))"
        )
    # Subtracted as lengths: converting 9999-12-31T23:00-05:00 to UTC as a datetime would overflow.
    return check_instant((moment.replace(tzinfo=None) - _EPOCH - offset) // _MICROSECOND, what)


def check_instant(us: int, what: str) -> int:
    """Return `us` when it is an instant we can hold: 1970 to 9999, integer microseconds, UTC.

    Raises:
        InvalidInput: it is not an int or outside that range.
    """
    if type(us) is not int:
        raise InvalidInput(f"{what}: an instant is integer microseconds since the epoch, not {_shown(us)}")
    if not 0 <= us <= LATEST_US:
        raise InvalidInput(f"{what}: the instant is outside the years 1970 to 9999 (UTC); pass one inside")
    return us


def to_datetime(us: int) -> datetime:
    """Return the instant as an aware UTC datetime.

    Raises:
        InvalidInput: outside the years 1970 to 9999.
    """
    return _EPOCH.replace(tzinfo=UTC) + timedelta(microseconds=check_instant(us, "to_datetime"))


def iso(us: int) -> str:
    """Return the instant in RFC 3339, UTC, cut to milliseconds: `2026-01-31T06:00:00.000Z`.

    Raises:
        InvalidInput: outside the years 1970 to 9999.
    """
    seconds, rest = divmod(us, SECOND_US)
    return f"{_iso_second(seconds)}.{rest // 1000:03d}Z"


def parse_duration(text: str) -> int:
    """Read a length of time as typed on a command line, in microseconds.

    Parameters:
        text: whole numbers with the units d, h, m, s, largest first, each at most once (`10m`, `1h30m`), or a
            bare number of seconds (`90`); at most ten years.

    Raises:
        InvalidInput: anything else.
    """
    compact = text.strip().lower()
    if _NUMBER_TEXT.fullmatch(compact):
        compact += "s"
    match = _DURATION_TEXT.fullmatch(compact)
    if match is None or not compact:
        raise InvalidInput(f"{_shown(text)} is not a length of time; write it like 90, 30s, 10m, 1h30m or 2d")
    length = sum(int(number) * _UNITS_US[unit] for unit, number in match.groupdict().items() if number)
    return _in_range(length, _shown(text))


def humanize(us: int) -> str:
    """Say a length of time in one or two units, rounded down: `17 ms`, `3.1 s`, `3 h 12 m`, `2 d`."""
    if us < 0:
        return f"-{humanize(-us)}"
    if us < SECOND_US:
        return _humanize_below_second(us)
    if us < 10 * SECOND_US:
        tenths = us // (SECOND_US // 10)
        return f"{tenths // 10}.{tenths % 10} s" if tenths % 10 else f"{tenths // 10} s"
    if us < MINUTE_US:
        return f"{us // SECOND_US} s"
    if us < HOUR_US:
        return _two_units(us, MINUTE_US, "m", SECOND_US, "s")
    if us < DAY_US:
        return _two_units(us, HOUR_US, "h", MINUTE_US, "m")
    return _two_units(us, DAY_US, "d", HOUR_US, "h")


def ago(us_then: int, us_now: int) -> str:
    """Say how long ago an instant was, in its largest unit: `8 s ago`, `2 m ago`, `in 3 h`."""
    distance = abs(us_now - us_then)
    if distance < SECOND_US:
        return "now"
    text = _largest_unit(distance)
    return f"{text} ago" if us_then < us_now else f"in {text}"


def _length_of(value: object, what: str) -> int:
    if isinstance(value, timedelta):
        return value // _MICROSECOND
    if isinstance(value, Mapping):
        return _sum_of(_checked_units(value, what), what)
    return _scaled(value, SECOND_US, what)


def _checked_units(mapping: Mapping[object, object], what: str) -> dict[str, object]:
    parts: dict[str, object] = {}
    for unit, number in mapping.items():
        if not isinstance(unit, str) or unit not in _UNITS_US:
            raise InvalidInput(f"{what}: unknown unit {_shown(unit)}; the units are {', '.join(_UNITS_US)}")
        parts[unit] = number
    if not parts:
        raise InvalidInput(f'{what}: the length of time is empty; write for example {{"seconds": 60}}')
    return parts


def _sum_of(parts: Mapping[str, object], what: str) -> int:
    return sum(_scaled(number, _UNITS_US[unit], what, unit) for unit, number in parts.items())


def _scaled(number: object, unit_us: int, what: str, unit: str = "seconds") -> int:
    """A number of some unit in microseconds; a huge int is compared as an int, which no float could hold."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InvalidInput(
            f"{what}: {_shown(number)} is not a length of time; pass {unit} as a number, a timedelta, "
            'or a mapping such as {"hours": 24}'
        )
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidInput(f"{what}: {unit} is {number}; pass a finite number")
    if number < 0:
        raise InvalidInput(f"{what}: {unit} is negative; pass 0 or more")
    if number > LONGEST_SECONDS:
        raise _too_long(what)
    return round(number * unit_us)


def _in_range(length_us: int, what: str) -> int:
    if length_us < 0:
        raise InvalidInput(f"{what}: the length of time is negative; pass 0 or more")
    if length_us > LONGEST_US:
        raise _too_long(what)
    return length_us


def _too_long(what: str) -> InvalidInput:
    return InvalidInput(
        f"{what}: longer than ten years ({LONGEST_SECONDS:,} seconds); a bare number counts seconds, "
        "not milliseconds"
    )


def _moment_of(value: object, what: str) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise InvalidInput(
            f"{what}: {_shown(value)} is not an instant; pass an aware datetime or a string such as "
            "'2026-01-31T09:00:00+03:00'"
        )
    if not _RFC3339.fullmatch(value):
        raise InvalidInput(
            f"{what}: {_shown(value)} is not a date and time with an offset; "
            "write it like 2026-01-31T09:00:00Z or 2026-01-31T09:00:00+03:00"
        )
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise InvalidInput(
            f"{what}: {value!r} does not exist ({error}); pass a real date and time"
        ) from error


@lru_cache(maxsize=4096)
def _iso_second(seconds: int) -> str:
    """The text of a whole second; thousands of instants a second share a few of them."""
    check_instant(seconds * SECOND_US, "iso")
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def _humanize_below_second(us: int) -> str:
    return "<1 ms" if 0 < us < 1000 else f"{us // 1000} ms"


def _two_units(us: int, large: int, large_name: str, small: int, small_name: str) -> str:
    count, rest = divmod(us, large)
    smaller = rest // small
    return f"{count} {large_name} {smaller} {small_name}" if smaller else f"{count} {large_name}"


def _largest_unit(us: int) -> str:
    for unit, name in ((DAY_US, "d"), (HOUR_US, "h"), (MINUTE_US, "m")):
        if us >= unit:
            return f"{us // unit} {name}"
    return f"{us // SECOND_US} s"


def _shown(value: object) -> str:
    """A value for an error message: short, and safe even when its repr raises or is 10 MB."""
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge number"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:60]}…")
    if value is None or isinstance(value, int | float | datetime | timedelta):
        return repr(value)
    return f"a value of type {type(value).__name__}"
