"""A platform reached over HTTP, by its native API. Satisfies `ClientLink`.

What is safe to repeat is repeated when a connection is lost: reading, cancelling, and sending, because an event
always gets an id here and the first event with an id stands.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from zopio_trigger.model.clock import Clock, SystemClock
from zopio_trigger.model.commands import Receipt
from zopio_trigger.model.durations import SECOND_US, instant_us, to_datetime
from zopio_trigger.model.ids import Ids
from zopio_trigger.model.views import (
    EventView,
    JobView,
    LogView,
    ReceiptView,
    RunPage,
    RunView,
    ScheduleView,
)
from zopio_trigger.transport.background import Answer, Background
from zopio_trigger.transport.connection import Connection
from zopio_trigger.transport.ports import EventRequest
from zopio_trigger.transport.wire import CancelRun, Jobs, Lines, NewEvent, NewEvents, Receipts, Schedules

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
V = TypeVar("V")


class HttpLink:
    """An environment of a platform, over HTTP.

    Every method asks at once and returns an `Answer`: await it on any event loop, or call its `result()` where none
    runs. Failures are errors of `errors.py` with the server's words; `Unreachable` when there was no answer.

    Parameters:
        url: address of the platform, `http://host:port` or `https://host`.
        key: API key of the environment.
        clock, chance: for pauses between tries and for ids; the real ones unless a test hands in others.
        transport: what carries requests in place of the network, for tests.
    """

    def __init__(
        self, url: str, key: str, *, clock: Clock | None = None, chance: random.Random | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        clock = clock or SystemClock()
        chance = chance or random.SystemRandom()
        self._connection = Connection(url, key, clock=clock, chance=chance, transport=transport)
        self._background = Background("zopio-trigger-http")
        self._ids = Ids(clock, chance)

    def close(self) -> None:
        """Close all connections. Blocks for a moment; asking again opens new ones."""
        self._background.close(self._connection.close())

    # --- events -----------------------------------------------------------------------------------------------

    def send_event(self, event: EventRequest) -> Answer[Receipt]:
        """Send one event. When the answer gets lost it is asked for again, without sending twice."""
        return self._background.ask(self._send_one(event))

    def send_events(self, events: Sequence[EventRequest]) -> Answer[list[Receipt]]:
        """Send up to 1,000 events in one transaction; the receipts come in their order."""
        return self._background.ask(self._send_all(tuple(events)))

    def get_event(self, event_id: str) -> Answer[EventView]:
        return self._ask(EventView, "GET", _path("events", event_id))

    def cancel_event(self, event_id: str) -> Answer[EventView]:
        return self._ask(EventView, "POST", _path("events", event_id, "cancel"))

    # --- runs -------------------------------------------------------------------------------------------------

    def get_run(self, run_id: str) -> Answer[RunView]:
        return self._ask(RunView, "GET", _path("runs", run_id))

    def list_runs(
        self, *, status: Sequence[str] = (), job: str | None = None, event_id: str | None = None,
        since: int | None = None, cursor: str | None = None, limit: int = 50,
    ) -> Answer[RunPage]:  # fmt: skip
        query = {
            "status": ",".join(status) or None,
            "job": job,
            "eventId": event_id,
            "since": None if since is None else _moment(since),
            "cursor": cursor,
            "limit": str(limit),
        }
        return self._ask(RunPage, "GET", "runs", query=query)

    def get_logs(self, run_id: str, *, cursor: str | None = None, limit: int = 500) -> Answer[list[LogView]]:
        query = {"cursor": cursor, "limit": str(limit)}
        return self._ask_for(
            lambda found: found.lines, Lines, "GET", _path("runs", run_id, "logs"), query=query
        )

    def cancel_run(self, run_id: str, reason: str = "") -> Answer[RunView]:
        """End a run now. When the answer gets lost and it is asked again, it may say that the run has ended."""
        return self._ask(RunView, "POST", _path("runs", run_id, "cancel"), body=CancelRun(reason=reason))

    def replay_run(self, run_id: str) -> Answer[RunView]:
        return self._ask(RunView, "POST", _path("runs", run_id, "replay"), is_repeatable=False)

    def retry_run(self, run_id: str) -> Answer[RunView]:
        return self._ask(RunView, "POST", _path("runs", run_id, "retry"), is_repeatable=False)

    # --- definitions ------------------------------------------------------------------------------------------

    def list_jobs(self) -> Answer[list[JobView]]:
        return self._ask_for(lambda found: found.jobs, Jobs, "GET", "jobs")

    def list_schedules(self, *, upcoming: int = 1) -> Answer[list[ScheduleView]]:
        query = {"upcoming": str(upcoming)}
        return self._ask_for(lambda found: found.schedules, Schedules, "GET", "schedules", query=query)

    # --- below ------------------------------------------------------------------------------------------------

    def _ask(self, kind: type[T], method: str, path: str, **options: Any) -> Answer[T]:
        return self._ask_for(lambda found: found, kind, method, path, **options)

    def _ask_for(
        self, part: Callable[[T], V], kind: type[T], method: str, path: str, **options: Any
    ) -> Answer[V]:
        async def work() -> V:
            found, _ = await self._connection.ask(kind, method, path, **options)
            return part(found)

        return self._background.ask(work())

    async def _send_one(self, event: EventRequest) -> Receipt:
        body = _body(self._with_id(event))
        view, tries = await self._connection.ask(ReceiptView, "POST", "events", body=body)
        return await self._receipt(view, event, tries)

    async def _send_all(self, events: tuple[EventRequest, ...]) -> list[Receipt]:
        body = NewEvents(events=[_body(self._with_id(event)) for event in events])
        found, tries = await self._connection.ask(Receipts, "POST", "events/bulk", body=body)
        pairs = zip(found.receipts, events, strict=True)
        return [await self._receipt(view, event, tries) for view, event in pairs]

    def _with_id(self, event: EventRequest) -> EventRequest:
        return event if event.id is not None else replace(event, id=self._ids.new("evt"))

    async def _receipt(self, view: ReceiptView, asked: EventRequest, tries: int) -> Receipt:
        """The receipt; when the platform took a repeated request of ours for a duplicate, that of the first one."""
        is_own_echo = view.is_duplicate and tries > 1 and asked.id is None
        if not is_own_echo:
            return Receipt(
                view.id, view.name, view.runs, view.jobs, instant_us(view.created_at, "createdAt"),
                is_duplicate=view.is_duplicate, payload_differs=view.payload_differs,
            )  # fmt: skip
        event, _ = await self._connection.ask(EventView, "GET", _path("events", view.id))
        runs = tuple([run.id for run in event.runs])
        jobs = tuple([run.job for run in event.runs])
        return Receipt(view.id, view.name, runs, jobs, instant_us(view.created_at, "createdAt"))


def _path(*parts: str) -> str:
    return "/".join([_quoted(part) for part in parts])


def _quoted(part: str) -> str:
    """A segment of a path. Dots on their own would be taken for "here" and "above"."""
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe="")


def _body(event: EventRequest) -> NewEvent:
    return NewEvent(
        name=event.name,
        payload=Raw(event.payload.encode()),
        context=UNSET if event.context is None else Raw(event.context.encode()),
        id=_given(event.id),
        timestamp=_moment_given(event.timestamp),
        source=event.source,
        deliver_at=_moment_given(event.deliver_at),
        deliver_after=UNSET if event.deliver_after is None else event.deliver_after / SECOND_US,
        account_id=_given(event.account),
        is_test=event.is_test,
        job=event.job or UNSET,
        origin_run=_given(event.origin_run),
    )


def _given(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


def _moment_given(instant: int | None) -> str | UnsetType:
    return UNSET if instant is None else _moment(instant)


def _moment(instant: int) -> str:
    """An instant to the microsecond."""
    return to_datetime(instant).isoformat()
