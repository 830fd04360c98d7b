"""`TriggerClient`: where jobs are defined and events are sent from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from zopio_trigger.config import connection_of
from zopio_trigger.errors import ConfigurationError, TooLarge, ZopioTriggerError
from zopio_trigger.model.commands import Receipt
from zopio_trigger.model.names import check_name
from zopio_trigger.model.trigger import Trigger
from zopio_trigger.model.views import EventView, RunPage, RunView
from zopio_trigger.sdk.job import JobDefinition, JobFunction
from zopio_trigger.sdk.limit import Limit
from zopio_trigger.sdk.pending import Done, Pending
from zopio_trigger.sdk.requests import event_request
from zopio_trigger.sdk.scope import current
from zopio_trigger.sdk.triggers import Triggers
from zopio_trigger.transport.background import Answer
from zopio_trigger.transport.ports import ClientLink, EventRequest

if TYPE_CHECKING:
    from zopio_trigger.transport.http import HttpLink

F = TypeVar("F", bound=JobFunction)

INVOKED = "invoke"  # the name of events that go to one job directly, as in the 2.x SDK
MAX_EVENTS_AT_ONCE = 1_000  # in one transaction, as over HTTP

log = logging.getLogger("zopio_trigger")


class TriggerClient:
    """One application: its jobs, and its way to the platform.

    Parameters:
        id: names the application; 1 to 512 characters.
        api_key: key of the environment; default `TRIGGER_API_KEY`.
        api_url: the platform's address; default `TRIGGER_API_URL`, or the platform in this process, or for
            development keys `http://127.0.0.1:3030`.
    """

    def __init__(self, id: str, *, api_key: str | None = None, api_url: str | None = None) -> None:
        self.id = check_name(id, "client id")
        self.triggers = Triggers()
        self.jobs: dict[str, JobDefinition] = {}
        self._api_key = api_key
        self._api_url = api_url
        self._local: ClientLink | None = None
        self._local_loop: asyncio.AbstractEventLoop | None = None
        self._remote: HttpLink | None = None

    # --- jobs

    def job(
        self, *, id: str | None = None, name: str | None = None, version: str = "1.0.0", trigger: Trigger,
        schema: object = None, concurrency: int | Limit | None = None, priority: int = 0,
        on_success: Callable[..., Any] | None = None, on_failure: Callable[..., Any] | None = None,
    ) -> Callable[[F], F]:  # fmt: skip
        """Define the decorated function as a job. Parameters as `define_job`; the function itself is returned.

        Example:
            >>> @client.job(id="send-welcome-email", trigger=client.triggers.event(name="user.created"))
            ... async def send_welcome_email(payload, io):
            ...     await io.logger.info("Sending welcome email", {"userId": payload["userId"]})
        """

        def define(function: F) -> F:
            self.define_job(
                run=function, id=id, name=name, version=version, trigger=trigger, schema=schema,
                concurrency=concurrency, priority=priority, on_success=on_success, on_failure=on_failure,
            )  # fmt: skip
            return function

        return define

    def define_job(
        self, *, run: JobFunction, id: str | None = None, name: str | None = None, version: str = "1.0.0",
        trigger: Trigger, schema: object = None, concurrency: int | Limit | None = None, priority: int = 0,
        on_success: Callable[..., Any] | None = None, on_failure: Callable[..., Any] | None = None,
    ) -> JobDefinition:  # fmt: skip
        """Define a job.

        Parameters:
            run: `async def` or `def`, taking (payload, io) or (payload, io, ctx). A `def` runs in a thread.
            id: names the job for good; default the function's name. Lower-cased, spaces become dashes.
            name: for people; default the id.
            version: three numbers; the highest that any worker advertises owns the subscriptions.
            trigger: `client.triggers.event(...)`, `.schedule(...)`, `.interval(...)` or `.invoke()`.
            schema: type of the payload (pydantic model, dataclass, TypedDict, msgspec Struct, …); default the
                annotation of the function's first parameter. A payload that does not fit ends the run as
                invalid payload, with the JSON path of each error.
            concurrency: how many runs may execute at once, 1 to 100,000, or a `Limit` shared by several jobs or
                counted per key. Runs that wait count nothing. Default no limit.
            priority: -1,000 to 1,000; higher goes first within its queue. Default 0.
            on_success, on_failure: called with a notification (`ok`, `run`, `output`, `error`) and `io` after the
                run has ended, as a durable run of their own.

        Raises:
            ConfigurationError, InvalidInput: something about it is wrong; the message says what.
        """
        definition = JobDefinition(
            run, id=id, name=name, version=version, trigger=trigger, schema=schema, concurrency=concurrency,
            priority=priority, on_success=on_success, on_failure=on_failure,
        )  # fmt: skip
        for job in (definition, *definition.hooks.values()):
            self._attach(job)
        return definition

    def _attach(self, job: JobDefinition) -> None:
        known = self.jobs.get(job.id)
        if known is not None and known.source != job.source:
            raise ConfigurationError(
                f"job {job.id!r} is defined twice: at {known.source} and at {job.source}; give each an id of its own"
            )
        self.jobs[job.id] = job

    # --- events

    def send_event(
        self, name: str, payload: object = None, *, id: str | None = None, context: object = None,
        source: str = "trigger.dev", timestamp: datetime | str | None = None,
        deliver_at: datetime | str | None = None,
        deliver_after: float | timedelta | Mapping[str, float] | None = None, account_id: str | None = None,
        is_test: bool = False,
    ) -> Pending[Receipt]:  # fmt: skip
        """Send an event: it is under way when this returns, on disk when the returned receipt has been awaited.

        Parameters:
            name: exact name that jobs listen to; 1 to 512 characters.
            payload: anything JSON can carry, or a pydantic model, dataclass, msgspec Struct. Default null.
            id: yours, to make sending safe to repeat: the first event with an id in an environment stands, and a
                repetition starts nothing. Generated when left out; inside a run it follows from the run and the
                place, so that a second execution does not send twice.
            context: more JSON, handed to the job as `ctx.event.context`.
            source: jobs listen to "trigger.dev" unless they say otherwise.
            deliver_at, deliver_after: start the runs then (aware datetime) or after so long (seconds, timedelta,
                `{"hours": 2}`), at most ten years ahead.
            account_id: the end user it concerns.

        Where no event loop runs this blocks until the event is on disk, and the receipt is there at once.

        Raises:
            InvalidInput, TooLarge: at once; the message names the path in the payload.
            Unreachable, NotAuthorised, StoreError: when awaited. The failure is logged with the event's name.

        Example:
            >>> await send_event("user.created", {"userId": "user_123", "email": "user@example.com"})
        """
        request = event_request(
            name, payload, id=id, context=context, source=source, timestamp=timestamp, deliver_at=deliver_at,
            deliver_after=deliver_after, account_id=account_id, is_test=is_test,
        )  # fmt: skip
        return self._send(_within_run(request))

    async def send_events(self, events: Iterable[tuple[str, object] | Mapping[str, Any]]) -> list[Receipt]:
        """Send several events in one transaction: all are stored, or none.

        Parameters:
            events: at most 1,000, each (name, payload), or a mapping with the parameters of `send_event`:
                `{"name": "user.created", "payload": {…}, "id": "user_123"}`.
        """
        requests = [_request_of(event) for event in events]
        if len(requests) > MAX_EVENTS_AT_ONCE:
            raise TooLarge(
                f"{len(requests):,} events were given to send_events; send at most {MAX_EVENTS_AT_ONCE:,} at a time"
            )
        return await self._link().send_events([_within_run(request) for request in requests])

    def invoke(
        self, job: str, payload: object = None, *, id: str | None = None, context: object = None
    ) -> Pending[Receipt]:
        """Start one job by its id, whatever its trigger: an event that goes to that job alone.

        Parameters:
            job: id of a job that a worker has served.
            id: yours, to make it safe to repeat, as in `send_event`.

        Raises:
            NotFound: when awaited; no such job is known in the environment.
        """
        request = event_request(INVOKED, payload, id=id, context=context)
        return self._send(_within_run(replace(request, job=check_name(job, "job id"))))

    def _send(self, request: EventRequest) -> Pending[Receipt]:
        loop = _running_loop()
        try:
            asked = self._ask_to_send(request, loop)
            if loop is None:
                return Done(asked.result())
        except ZopioTriggerError as error:
            log.error("event %r was not sent: %s", request.name, error)
            raise
        future = asyncio.ensure_future(asked)
        future.add_done_callback(lambda done: _log_failure(done, request.name))
        return Pending(future)

    def _ask_to_send(
        self, request: EventRequest, loop: asyncio.AbstractEventLoop | None
    ) -> Answer[Receipt] | asyncio.Future[Receipt]:
        """Hand the event over: to the platform in this process, on its loop, or to one over HTTP."""
        if self._local is None:
            return self._platform_over_http().send_event(request)
        if loop is not None and loop is self._local_loop:
            return asyncio.ensure_future(self._local.send_event(request))
        assert self._local_loop is not None
        return Answer(asyncio.run_coroutine_threadsafe(_sent(self._local, request), self._local_loop))

    # --- asking

    async def get_event(self, event_id: str) -> EventView:
        """An event and the runs it started. Raises `NotFound`."""
        return await self._link().get_event(event_id)

    async def cancel_event(self, event_id: str) -> EventView:
        """Stop a delayed event. Raises `NotFound`, or `Conflict` when it was delivered already."""
        return await self._link().cancel_event(event_id)

    async def get_run(self, run_id: str) -> RunView:
        """A run with its tasks, and why it waits if it does. Raises `NotFound`."""
        return await self._link().get_run(run_id)

    async def list_runs(
        self,
        *,
        status: Iterable[str] = (),
        job: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:
        """Runs, newest first, at most 200 a page."""
        return await self._link().list_runs(status=tuple(status), job=job, limit=limit, cursor=cursor)

    async def cancel_run(self, run_id: str, reason: str = "") -> RunView:
        """End a run now. Async code gets `CancelledError` where it awaits; sync code stops at its next `io` call."""
        return await self._link().cancel_run(run_id, reason)

    async def replay_run(self, run_id: str) -> RunView:
        """Start a finished run again, as a new run of the same event."""
        return await self._link().replay_run(run_id)

    async def retry_run(self, run_id: str) -> RunView:
        """Continue a failed run: finished tasks keep their results, the failed one is tried again."""
        return await self._link().retry_run(run_id)

    # --- the way to the platform

    def bind(self, link: ClientLink | None) -> None:
        """Talk to the platform in this process from now on; None ends that. Called on the platform's loop."""
        self._local = link
        self._local_loop = asyncio.get_running_loop() if link is not None else None

    def _link(self) -> ClientLink:
        return self._local if self._local is not None else self._platform_over_http()

    def _platform_over_http(self) -> HttpLink:
        if self._remote is None:
            from zopio_trigger.transport.http import HttpLink

            self._remote = HttpLink(*connection_of(self._api_url, self._api_key))
        return self._remote


def _request_of(event: tuple[str, object] | Mapping[str, Any]) -> EventRequest:
    if isinstance(event, Mapping):
        return event_request(**event)
    name, payload = event
    return event_request(name, payload)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _sent(link: ClientLink, request: EventRequest) -> Receipt:
    return await link.send_event(request)


def _within_run(request: EventRequest) -> EventRequest:
    """An event that a run sends has an id that follows from the run and the place: sent again, it is the same."""
    scope = current.get()
    return request if scope is None else scope.execution.derive(request, scope)


def _log_failure(done: asyncio.Future[Receipt], name: str) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("event %r was not sent: %s", name, error)
