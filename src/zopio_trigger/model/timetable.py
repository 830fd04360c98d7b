"""Timetables: when a schedule fires, and which planned times to make up for after a pause.

A timetable is a frozen value, cron or interval. All functions here are pure; instants are microseconds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, get_args

import msgspec

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.durations import LATEST_US, SECOND_US, check_instant

if TYPE_CHECKING:
    from zopio_trigger.model.cron import CronTimes

LONGEST_INTERVAL_SECONDS: Final = 2_592_000  # 30 days

# With catch_up="none": how late a planned time may be and still count as on time, not as missed. Long enough
# for a restart, short enough that nobody is surprised.
GRACE_US: Final = 60 * SECOND_US

MOST_CAUGHT_UP: Final = 1000
MOST_SKIPPED_COUNTED: Final = 10_000  # people are told "more than 10,000"; counting on has no use

_MOST_UPCOMING: Final = 1000

CatchUp: TypeAlias = Literal["one", "all", "none"]


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """Fires when the clocks of a time zone show certain times; make it with `cron`, which validates.

    How daylight saving time is treated: see `zopio_trigger.model.cron.CronTimes`.
    """

    expression: str
    timezone: str = "UTC"


class Interval(msgspec.Struct, frozen=True, tag="interval"):
    """Fires at `anchor_us` + n times `seconds`, n from 1 on; make it with `interval`, which validates."""

    seconds: int
    anchor_us: int = 0


Timetable: TypeAlias = Cron | Interval


class Due(msgspec.Struct, frozen=True):
    """What a schedule has to do now.

    Attributes:
        fire: planned times to fire, oldest first, µs.
        skipped: how many planned times were missed and are not fired; at most 10,000.
        skipped_is_capped: there were more than that.
        next_at: the next planned time after now, µs; None when there is none.
    """

    fire: tuple[int, ...]
    skipped: int
    skipped_is_capped: bool
    next_at: int | None


def cron(expression: str, timezone: str = "UTC") -> Cron:
    """Return a validated cron timetable.

    Parameters:
        expression: the five fields minute, hour, day-of-month, month, day-of-week; at most 256 ASCII
            characters. As in Debian: `*`, lists, ranges, steps, names (`MON`, `JAN`), and `L`, `LW`, `5L`,
            `MON#2`. When both kinds of day are restricted, either suffices.
        timezone: IANA name, default `UTC`.

    Raises:
        InvalidInput: the expression is not understood or never fires, or the zone is unknown.

    Source: crontab(5) of Debian, through cronsim.

    Example:
        >>> describe(cron("0 9 * * 1", "Europe/Istanbul"))
        'At 09:00 on Monday'
    """
    if not isinstance(expression, str):
        raise InvalidInput(f"cron expression must be a string such as '0 9 * * 1', not {_kind(expression)}")
    if not isinstance(timezone, str):
        raise InvalidInput(f"time zone must be an IANA name such as 'Europe/Istanbul', not {_kind(timezone)}")
    _cron_times(expression, timezone)
    return Cron(" ".join(expression.split()), timezone)


def interval(seconds: int, *, anchor_us: int = 0) -> Interval:
    """Return a validated interval timetable.

    Parameters:
        seconds: a whole number from 1 to 2_592_000 (30 days). Trigger.dev 2.x began at 20; jobs in Python may
            fire every second.
        anchor_us: the instant from which to count, normally when the schedule was defined: it fires for the
            first time one interval later. Default: the epoch.

    Raises:
        InvalidInput: anything else.
    """
    if type(seconds) is not int:
        raise InvalidInput(f"interval must be a whole number of seconds (int), not {_kind(seconds)}")
    if not 1 <= seconds <= LONGEST_INTERVAL_SECONDS:
        raise InvalidInput(
            f"interval must be 1 to {LONGEST_INTERVAL_SECONDS:,} seconds (30 days); for longer ones use cron"
        )
    return Interval(seconds, check_instant(anchor_us, "interval: anchor"))


def next_after(timetable: Timetable, instant_us: int) -> int | None:
    """Return the first planned time strictly after an instant.

    Parameters:
        timetable: a `Cron` or an `Interval`.
        instant_us: µs since the epoch, 1970 to 9999.

    Returns None when nothing comes before the end of the year 9999 (for cron: or within 50 years).

    Raises:
        InvalidInput: an instant out of range.
    """
    return _plan(timetable).first_after(check_instant(instant_us, "next_after"))


def upcoming(timetable: Timetable, after_us: int, count: int) -> list[int]:
    """Return the next planned times strictly after an instant, at most `count` (0 to 1,000), oldest first.

    Raises:
        InvalidInput: an instant or the count is out of range.
    """
    if not 0 <= count <= _MOST_UPCOMING:
        raise InvalidInput(f"upcoming: count must be 0 to {_MOST_UPCOMING:,}, not {count}")
    plan = _plan(timetable)
    times: list[int] = []
    last: int | None = check_instant(after_us, "upcoming")
    while len(times) < count and last is not None:
        if (last := plan.first_after(last)) is not None:
            times.append(last)
    return times


def describe(timetable: Timetable) -> str:
    """Say in English when a timetable fires: `At 09:00 on Monday`, `Every 90 seconds`. Names no time zone."""
    if isinstance(timetable, Cron):
        return _cron_times(timetable.expression, timetable.timezone).explanation
    return _describe_seconds(timetable.seconds)


def due(
    timetable: Timetable,
    *,
    since_us: int,
    now_us: int,
    catch_up: CatchUp,
    most: int = MOST_CAUGHT_UP,
    grace_us: int = GRACE_US,
) -> Due:
    """Decide which planned times after `since_us` and up to `now_us` fire now.

    Parameters:
        since_us: the latest of last fire, definition and unpause; what was planned until then is settled.
        now_us: the current instant. When it is before `since_us` (the clock went back) nothing fires.
        catch_up: what to do about several planned times, or a late one:
            `"one"` fires the latest, however late, and skips those before it;
            `"all"` fires all, or the latest `most` when there are more;
            `"none"` fires the latest when it is less than `grace_us` late, and skips everything else.
            A planned time that falls on `now_us` fires whatever the policy.
        most: at least 1, default 1,000.
        grace_us: µs, default 60 seconds.

    Raises:
        InvalidInput: an instant out of range, or an unknown policy.
    """
    if catch_up not in get_args(CatchUp):
        raise InvalidInput(f"catch_up must be 'one', 'all' or 'none', not {catch_up!r}")
    if most < 1:
        raise InvalidInput(f"due: most must be at least 1, not {most}")
    since, now = check_instant(since_us, "due: since"), check_instant(now_us, "due: now")
    plan = _plan(timetable)
    next_at = plan.first_after(max(since, now))
    latest = plan.last_until(since, now) if since < now else None
    if latest is None:
        return Due((), 0, skipped_is_capped=False, next_at=next_at)
    if catch_up == "all":
        fire = _latest(plan, since, latest, most)
    else:
        fire = (latest,) if catch_up == "one" or now - latest < max(grace_us, 1) else ()
    settled_until = fire[0] - 1 if fire else latest
    skipped = plan.count(since, settled_until, MOST_SKIPPED_COUNTED + 1)
    is_capped = skipped > MOST_SKIPPED_COUNTED
    return Due(fire, min(skipped, MOST_SKIPPED_COUNTED), is_capped, next_at)


class _Plan(Protocol):
    """The planned times of a timetable, found in both directions."""

    def first_after(self, after: int) -> int | None: ...

    def last_until(self, after: int, until: int) -> int | None: ...

    def count(self, after: int, until: int, most: int) -> int: ...


class _IntervalTimes:
    __slots__ = ("_anchor", "_length")

    def __init__(self, seconds: int, anchor: int) -> None:
        self._length = seconds * SECOND_US
        self._anchor = anchor

    def first_after(self, after: int) -> int | None:
        planned = self._anchor + (self._number_at(after) + 1) * self._length
        return planned if planned <= LATEST_US else None

    def last_until(self, after: int, until: int) -> int | None:
        planned = self._anchor + self._number_at(until) * self._length
        return planned if planned > max(after, self._anchor) else None

    def count(self, after: int, until: int, most: int) -> int:
        return min(most, max(0, self._number_at(until) - self._number_at(after)))

    def _number_at(self, instant: int) -> int:
        """How many planned times there are up to an instant; the anchor itself is none."""
        return max(0, (instant - self._anchor) // self._length)


def _plan(timetable: Timetable) -> _Plan:
    if isinstance(timetable, Cron):
        return _cron_times(timetable.expression, timetable.timezone)
    return _IntervalTimes(timetable.seconds, timetable.anchor_us)


@lru_cache(maxsize=4096)
def _cron_times(expression: str, timezone: str) -> CronTimes:
    """Cached, because parsing costs a hundred times more than asking."""
    # Imported here because it needs cronsim, which `import zopio_trigger` does without.
    from zopio_trigger.model.cron import CronTimes

    return CronTimes(expression, timezone)


def _latest(plan: _Plan, since: int, latest: int, most: int) -> tuple[int, ...]:
    """The latest planned times, oldest first."""
    times: list[int] = []
    last: int | None = latest
    while last is not None and len(times) < most:
        times.append(last)
        last = plan.last_until(since, last - 1)
    return tuple(reversed(times))


def _describe_seconds(seconds: int) -> str:
    for length, unit in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % length == 0:
            count = seconds // length
            return f"Every {unit}" if count == 1 else f"Every {count} {unit}s"
    raise AssertionError("every whole number is a multiple of one")


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"
