"""What starts a job: an event, a schedule, or being invoked."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

DEFAULT_SOURCE = "trigger.dev"  # what the 2.x SDK sends; kept so that filters on the source agree


class EventTrigger(Struct, frozen=True, tag="event"):
    """Runs for every event with one of these names whose payload passes the filter."""

    names: tuple[str, ...]
    filter: dict[str, Any] | None = None
    source: str = DEFAULT_SOURCE


class ScheduleTrigger(Struct, frozen=True, tag="schedule"):
    """Runs at the times of a timetable."""

    cron: str | None = None
    seconds: int | None = None
    timezone: str = "UTC"
    catch_up: Literal["one", "all", "none"] = "one"
    overlap: Literal["allow", "skip", "queue"] = "allow"


class InvokeTrigger(Struct, frozen=True, tag="invoke"):
    """Runs only when it is invoked by name."""


Trigger = EventTrigger | ScheduleTrigger | InvokeTrigger

_decoder: msgspec.json.Decoder[Trigger] = msgspec.json.Decoder(Trigger)


def trigger_of(text: str) -> Trigger:
    """Read a trigger back from a job's row."""
    return _decoder.decode(text)


def text_of(trigger: Trigger) -> str:
    """The JSON of a trigger, as a job's row holds it."""
    return msgspec.json.encode(trigger).decode()
