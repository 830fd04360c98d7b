"""What starts a job, as users write it: `client.triggers.event(...)`, `.schedule(...)`, `.interval(...)`,
`.invoke()`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from zopio_trigger.errors import ConfigurationError, InvalidInput
from zopio_trigger.model.durations import duration_us
from zopio_trigger.model.names import check_name
from zopio_trigger.model.trigger import DEFAULT_SOURCE, EventTrigger, InvokeTrigger, ScheduleTrigger


class Triggers:
    """The triggers a job can have."""

    def event(
        self, name: str | list[str] | tuple[str, ...], *names: str, filter: Mapping[str, Any] | None = None,
        source: str = DEFAULT_SOURCE,
    ) -> EventTrigger:  # fmt: skip
        """Run for every event with this name (or one of these names) whose payload passes the filter.

        Parameters:
            name: exact, case-sensitive; 1 to 512 characters.
            filter: the event filter of the 2.x SDK, such as `{"plan": ["pro"], "age": [{"$gte": 18}]}`.
            source: only events sent with this source; the default is also what senders use by default.

        Source: `eventTrigger` of `@trigger.dev/sdk` 2.3.19.
        """
        from zopio_trigger.model import json
        from zopio_trigger.model.filters import compile_filter

        all_names = (name, *names) if isinstance(name, str) else (*name, *names)
        if not all_names:
            raise ConfigurationError("an event trigger needs at least one event name")
        if filter is not None:
            compile_filter(filter)
            json.encode(filter, what="filter")  # it is stored and sent as JSON
        return EventTrigger(
            tuple(check_name(one, "event name") for one in all_names),
            dict(filter) if filter else None,
            source,
        )

    def schedule(
        self, cron: str, *, tz: str = "UTC", catch_up: Literal["one", "all", "none"] = "one",
        overlap: Literal["allow", "skip", "queue"] = "allow",
    ) -> ScheduleTrigger:  # fmt: skip
        """Run at the times of a cron expression.

        Parameters:
            cron: five fields: minute, hour, day of month, month, day of week.
            tz: an IANA zone. A local time that a clock change skips fires right after it; one that comes twice fires
                once; wildcard hours fire in both.
            catch_up: after a time without a platform: fire the "one" latest missed time, "all" of them (at most
                1,000) or "none".
            overlap: while the last run has not ended: "allow" another beside it, "skip" this time, or "queue" it.
        """
        from zopio_trigger.model import timetable

        timetable.cron(cron, tz)
        _check_choice("catch_up", catch_up, ("one", "all", "none"))
        _check_choice("overlap", overlap, ("allow", "skip", "queue"))
        return ScheduleTrigger(cron=cron, timezone=tz, catch_up=catch_up, overlap=overlap)

    def interval(
        self, seconds: int | timedelta, *, catch_up: Literal["one", "all", "none"] = "one",
        overlap: Literal["allow", "skip", "queue"] = "allow",
    ) -> ScheduleTrigger:  # fmt: skip
        """Run every so many seconds, from 1 to 2,592,000 (30 days); first one interval after the definition."""
        from zopio_trigger.model import timetable

        length = duration_us(seconds, what="interval")
        if length % 1_000_000:
            raise InvalidInput(f"an interval is a whole number of seconds, not {seconds!r}")
        timetable.interval(length // 1_000_000)
        _check_choice("catch_up", catch_up, ("one", "all", "none"))
        _check_choice("overlap", overlap, ("allow", "skip", "queue"))
        return ScheduleTrigger(seconds=length // 1_000_000, catch_up=catch_up, overlap=overlap)

    def invoke(self) -> InvokeTrigger:
        """Run only when the job is invoked by its id."""
        return InvokeTrigger()


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{what} is {value!r}; choose one of {', '.join(map(repr, choices))}")
