"""The native API's words that are no views: what a client puts into a request, and the lists it gets back."""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType

from zopio_trigger.model.trigger import DEFAULT_SOURCE
from zopio_trigger.model.views import JobView, LogView, ReceiptView, ScheduleView, View


class Body(Struct, frozen=True, kw_only=True, rename="camel"):
    """Part of a request; fields it does not name are passed over, as 2.x did."""


class NewEvent(Body, frozen=True, kw_only=True):
    """An event to send."""

    name: str
    payload: Raw | UnsetType = UNSET  # any JSON; {} when there is none
    context: Raw | UnsetType = UNSET  # any JSON
    id: str | UnsetType = UNSET  # the sender's; the first event with an id stands
    timestamp: str | UnsetType = UNSET  # ISO 8601 with an offset
    source: str = DEFAULT_SOURCE
    deliver_at: str | UnsetType = UNSET  # ISO 8601 with an offset; wins over deliverAfter
    deliver_after: float | UnsetType = UNSET  # seconds
    account_id: str | UnsetType = UNSET
    is_test: bool = False
    job: str | UnsetType = UNSET  # go to this job alone, whatever it listens to
    origin_run: str | UnsetType = UNSET  # the run that sends it


class NewEvents(Body, frozen=True, kw_only=True):
    """Events to send in one transaction."""

    events: list[NewEvent]


class CancelRun(Body, frozen=True, kw_only=True):
    """Why a run is cancelled; kept with who did it."""

    reason: str = ""


class Receipts(View, frozen=True, kw_only=True):
    """Receipts in the order of their events."""

    receipts: list[ReceiptView]


class Lines(View, frozen=True, kw_only=True):
    """Log lines in the order of writing; the last one's `cursor` asks for those after it."""

    lines: list[LogView]


class Jobs(View, frozen=True, kw_only=True):
    """Jobs by id."""

    jobs: list[JobView]


class Schedules(View, frozen=True, kw_only=True):
    """Schedules by id."""

    schedules: list[ScheduleView]


class Fault(Struct, frozen=True):
    """Why a request failed. `error` is what the 2.x SDK shows; `message` says the same or more."""

    error: str
    message: str
    path: str | UnsetType = UNSET  # where in the request body, as a JSON path
