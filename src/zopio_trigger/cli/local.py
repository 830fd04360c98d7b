"""A store opened by the command itself, for when no server runs on it. Looking changes nothing; what is sent,
cancelled, replayed or retried takes its course when a server opens the store again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import UNSET

from zopio_trigger.cli.target import Teller
from zopio_trigger.composition import System, open_store
from zopio_trigger.config import LOCAL_KEY
from zopio_trigger.errors import Conflict, NotFound
from zopio_trigger.model.clock import SystemClock
from zopio_trigger.model.durations import duration_us, instant_us, iso
from zopio_trigger.model.names import parse_api_key
from zopio_trigger.model.views import EventView, JobView, LogView, ReceiptView, RunPage, RunView, ScheduleView
from zopio_trigger.transport.ports import ClientLink, EventRequest
from zopio_trigger.transport.wire import NewEvent

T = TypeVar("T")
PREFIX = "sqlite:///"


class Local:
    """A store without a server.

    Parameters:
        store: a path, or `sqlite:///PATH`.
        api_key: names the environment to look at; default the development one.
    """

    is_live = False

    def __init__(self, store: str, api_key: str | None) -> None:
        path = store.removeprefix(PREFIX)
        if not Path(path).expanduser().is_file():
            raise NotFound(f"there is no store at {path}; `zopio-trigger dev APP` makes one in .zopio/dev.db")
        self.shown = path
        self._slug = parse_api_key(api_key or LOCAL_KEY).environment
        self._clock = SystemClock()
        self._runner = asyncio.Runner()
        self._system = System(open_store(f"{PREFIX}{path}", self._clock), clock=self._clock)
        self._link: ClientLink | None = None

    def __enter__(self) -> Local:
        try:
            self._ask(self._open())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ask(self._system.stop())
        self._runner.close()

    async def _open(self) -> None:
        await self._system.open()
        environments = await self._system.platform.store.environments()
        found = [environment for environment in environments if environment.slug == self._slug]
        if not found:
            await self._system.stop()
            known = ", ".join(environment.slug for environment in environments) or "none"
            raise NotFound(f"{self.shown} has no environment {self._slug!r}; it has {known}")
        self._link = self._system.platform.desk(found[0].no)

    # --- events -----------------------------------------------------------------------------------------------------

    def send(self, event: NewEvent) -> ReceiptView:
        request = EventRequest(
            name=event.name,
            payload="{}" if event.payload is UNSET else bytes(event.payload).decode(),
            id=None if event.id is UNSET else event.id,
            context=None if event.context is UNSET else bytes(event.context).decode(),
            deliver_at=None if event.deliver_at is UNSET else instant_us(event.deliver_at, "--at"),
            deliver_after=None
            if event.deliver_after is UNSET
            else duration_us(event.deliver_after, what="--delay"),
        )
        return self._ask(self._send(request))

    async def _send(self, request: EventRequest) -> ReceiptView:
        receipt = await self._desk.send_event(request)
        return ReceiptView(
            id=receipt.id, name=receipt.name, created_at=iso(self._clock.now()), runs=receipt.runs, jobs=receipt.jobs,
            is_duplicate=receipt.is_duplicate, payload_differs=receipt.payload_differs,
        )  # fmt: skip

    def event(self, event_id: str) -> EventView:
        return self._ask(self._desk.get_event(event_id))

    # --- runs -------------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> RunView:
        return self._ask(self._desk.get_run(run_id))

    def runs(
        self, *, status: Sequence[str] = (), job: str | None = None, since: str | None = None, limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:  # fmt: skip
        instant = None if since is None else instant_us(since, "--since")
        return self._ask(
            self._desk.list_runs(status=status, job=job, since=instant, limit=limit, cursor=cursor)
        )

    def logs(self, run_id: str, cursor: str | None = None) -> list[LogView]:
        return self._ask(self._desk.get_logs(run_id, cursor=cursor))

    def cancel(self, run_id: str) -> RunView:
        return self._ask(self._desk.cancel_run(run_id))

    def replay(self, run_id: str) -> RunView:
        return self._ask(self._desk.replay_run(run_id))

    def retry(self, run_id: str) -> RunView:
        return self._ask(self._desk.retry_run(run_id))

    # --- definitions ------------------------------------------------------------------------------------------------

    def jobs(self) -> list[JobView]:
        return self._ask(self._desk.list_jobs())

    def schedules(self, upcoming: int = 1) -> list[ScheduleView]:
        return self._ask(self._desk.list_schedules(upcoming=upcoming))

    def follow(self, run_id: str | None, teller: Teller, *, within: float | None = None) -> Iterator[None]:
        raise Conflict(
            f"nothing happens in {self.shown} while no server runs on it; start one: zopio-trigger dev APP"
        )

    # --- asking -----------------------------------------------------------------------------------------------------

    @property
    def _desk(self) -> ClientLink:
        assert self._link is not None, "used outside its with block"
        return self._link

    def _ask(self, question: Awaitable[T]) -> T:
        return self._runner.run(_answer(question))


async def _answer(question: Awaitable[T]) -> T:
    return await question
