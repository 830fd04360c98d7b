"""Time zones: which names we take, and what the clocks on the wall of a zone show on one of its days.

A local day is a few stretches of time under one UTC offset each: one on nearly all days, more where daylight
saving time or a government moves the clocks. Days are numbered as by `date.toordinal`.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.durations import DAY_US, HOUR_US, SECOND_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)

# The last day to look at: a little short of what datetime can hold, because zones shift to both sides.
LAST_DAY: Final = date(9999, 12, 28).toordinal()

# No zone is further from UTC than 14 hours, so these hours around a UTC day hold the same day everywhere.
_REACH_US: Final = 16 * HOUR_US

_LONGEST_NAME: Final = 64
# Files of the zone database that are no zones, or mean another one on each machine.
_NOT_ZONES: Final = frozenset({"Factory", "localtime", "posixrules"})
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])0?(\d{1,2})(?::?00)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shown:
    """Local times that the clocks show, from `begin` to before `end` (microseconds since local midnight).

    The local time `t` is the instant `midnight + t`. `again`: clocks were set back, this is the second pass.
    """

    begin: int
    end: int
    midnight: int
    again: bool


@dataclass(frozen=True, slots=True)
class Skipped:
    """Local times that the clocks jump over; they go on at the instant `resumes_at`."""

    begin: int
    end: int
    resumes_at: int


Stretch = Shown | Skipped


@lru_cache(maxsize=1024)
def zone_named(name: str) -> zoneinfo.ZoneInfo:
    """Return the zone with this IANA name, from the system's database or else from the tzdata package.

    Raises:
        InvalidInput: there is none; the message names the nearest one.
    """
    if len(name) > _LONGEST_NAME:
        raise InvalidInput(f"time zone name has {len(name)} characters; write one like 'Europe/Istanbul'")
    # Membership, not just loading: a name must not be a path, macOS ignores case, `right/…` has leap seconds.
    if name not in _known_names():
        raise InvalidInput(f"unknown time zone {name!r}; {_suggestion(name)}")
    return zoneinfo.ZoneInfo(name)


def day_of(zone: zoneinfo.ZoneInfo, instant_us: int) -> int:
    """Return the number of the day that the clocks of the zone show at an instant."""
    return datetime.fromtimestamp(instant_us // SECOND_US, zone).toordinal()


def utc_midnight(day: int) -> int:
    """Return the instant at which a day begins in UTC."""
    return (day - _EPOCH_DAY) * DAY_US


@lru_cache(maxsize=16_384)
def local_day(zone: zoneinfo.ZoneInfo, day: int) -> tuple[Stretch, ...]:
    """Return the stretches of a local day in the order in which they happen.

    Cached, because all schedules of a zone ask for the same few days.
    """
    midnight, next_midnight = datetime.fromordinal(day), datetime.fromordinal(day + 1)
    offsets = {_local_offset(zone, local, fold) for local in (midnight, next_midnight) for fold in (0, 1)}
    # No zone changes twice within six days (checked from 1970 on), so equal ends mean an even day.
    if len(offsets) == 1:
        return (Shown(0, DAY_US, utc_midnight(day) - offsets.pop(), again=False),)
    return _uneven_day(zone, utc_midnight(day))


def _uneven_day(zone: zoneinfo.ZoneInfo, utc_midnight: int) -> tuple[Stretch, ...]:
    stretches: list[Stretch] = []
    reached = 0  # local time up to which the day is covered
    for start, until, offset in _offsets(zone, utc_midnight - _REACH_US, utc_midnight + DAY_US + _REACH_US):
        midnight = utc_midnight - offset
        begin, end = _within_day(start - midnight), _within_day(until - midnight)
        if begin > reached:
            stretches.append(Skipped(reached, begin, resumes_at=start))
            reached = begin
        if begin < min(end, reached):
            stretches.append(Shown(begin, min(end, reached), midnight, again=True))
        if end > reached:
            stretches.append(Shown(reached, end, midnight, again=False))
            reached = end
    return tuple(stretches)


def _within_day(local_us: int) -> int:
    return max(0, min(local_us, DAY_US))


def _offsets(zone: zoneinfo.ZoneInfo, start: int, until: int) -> list[tuple[int, int, int]]:
    """The spans (from, until, offset) between two instants in which the offset stays the same."""
    spans = []
    begin, offset = start, _offset_at(zone, start)
    for instant in range(start + HOUR_US, until + 1, HOUR_US):
        later = _offset_at(zone, instant)
        if later != offset:
            change = _change_between(zone, instant - HOUR_US, instant)
            spans.append((begin, change, offset))
            begin, offset = change, later
    spans.append((begin, until, offset))
    return spans


def _change_between(zone: zoneinfo.ZoneInfo, before: int, after: int) -> int:
    """The first instant with the offset of `after`, to the second."""
    old = _offset_at(zone, before)
    while after - before > SECOND_US:
        middle = (before + after) // (2 * SECOND_US) * SECOND_US
        if _offset_at(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _offset_at(zone: zoneinfo.ZoneInfo, instant_us: int) -> int:
    offset = (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // _MICROSECOND


def _local_offset(zone: zoneinfo.ZoneInfo, local: datetime, fold: int) -> int:
    offset = zone.utcoffset(local.replace(fold=fold))
    assert offset is not None
    return offset // _MICROSECOND


@lru_cache(maxsize=1)
def _known_names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _NOT_ZONES


def _suggestion(name: str) -> str:
    if at_offset := _zone_at_offset(name):
        return f"did you mean {at_offset!r} (its sign is inverted)? A city also knows daylight saving time"
    nearest = _nearest(name)
    return f"did you mean {nearest!r}?" if nearest else "write an IANA name such as 'Europe/Istanbul'"


def _zone_at_offset(name: str) -> str | None:
    """`Etc/GMT-3` for `UTC+3`: these names count westward, so the nearest spelling would be six hours off."""
    offset = _OFFSET.fullmatch(name)
    if offset is None:
        return None
    inverted = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{offset[2]}"
    return inverted if inverted in _known_names() else None


def _nearest(name: str) -> str | None:
    """The known name most like this one, ignoring case; `istanbul` is like the end of `Europe/Istanbul`."""
    wanted = name.strip().lower().replace(" ", "_")
    known = sorted(_known_names())
    spellings = {zone.rpartition("/")[2].lower(): zone for zone in known}
    spellings |= {zone.lower(): zone for zone in known}
    longer = [spelling for spelling in spellings if wanted and spelling.startswith(wanted)]
    alike = [min(longer, key=len)] if longer else difflib.get_close_matches(wanted, spellings, n=1)
    return spellings[alike[0]] if alike else None
