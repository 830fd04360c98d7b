"""What goes between a platform and those who use it: clients that ask, workers that execute.

A platform in the same process satisfies these protocols itself; `transport/http.py` satisfies `ClientLink` over the
network. Whoever takes one of them cannot tell the difference.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from zopio_trigger.model.commands import Command, Receipt
from zopio_trigger.model.records import Event, Job, Run, Schedule, Task
from zopio_trigger.model.views import EventView, JobView, LogView, RunPage, RunView, ScheduleView


class EventRequest(Struct, frozen=True, kw_only=True):
    """An event to send, checked and encoded by the client."""

    name: str
    payload: str
    id: str | None = None
    context: str | None = None
    source: str = "trigger.dev"
    timestamp: int | None = None
    deliver_at: int | None = None
    deliver_after: int | None = None  # microseconds
    is_test: bool = False
    account: str | None = None
    job: str = ""
    origin_run: str | None = None

    def derived(self, id: str, origin_run: str) -> EventRequest:
        """The same event as sent by a run; an id that the sender gave stands."""
        return replace(self, id=self.id or id, origin_run=origin_run)


class ClientLink(Protocol):
    """What a client asks of a platform, in the environment of its key. Failures are errors of `errors.py`."""

    def send_event(self, event: EventRequest) -> Awaitable[Receipt]:
        """Send one event. It is under way when this returns; the receipt comes when it is on disk."""

    def send_events(self, events: Sequence[EventRequest]) -> Awaitable[list[Receipt]]:
        """Send events in one transaction; the receipts come in their order."""

    def get_event(self, event_id: str) -> Awaitable[EventView]: ...

    def cancel_event(self, event_id: str) -> Awaitable[EventView]: ...

    def get_run(self, run_id: str) -> Awaitable[RunView]: ...

    def list_runs(
        self, *, status: Sequence[str] = (), job: str | None = None, event_id: str | None = None,
        since: int | None = None, cursor: str | None = None, limit: int = 50,
    ) -> Awaitable[RunPage]: ...  # fmt: skip

    def cancel_run(self, run_id: str, reason: str = "") -> Awaitable[RunView]: ...

    def replay_run(self, run_id: str) -> Awaitable[RunView]: ...

    def retry_run(self, run_id: str) -> Awaitable[RunView]: ...

    def get_logs(
        self, run_id: str, *, cursor: str | None = None, limit: int = 500
    ) -> Awaitable[list[LogView]]: ...

    def list_jobs(self) -> Awaitable[list[JobView]]: ...

    def list_schedules(self, *, upcoming: int = 1) -> Awaitable[list[ScheduleView]]: ...


class Inbox(Protocol):
    """What a platform tells a worker. Each call returns at once."""

    def start_run(self, run: Run, event: Event, tasks: Sequence[Task]) -> None:
        """Execute a run from the top under the token in its row; `tasks` are all that it has."""

    def resume(self, run: Run) -> None:
        """The run in your memory has a slot again."""

    def wake(self, task: Task) -> None:
        """A task of a run you hold went on by itself: its wait is over, or its next attempt is due."""

    def stop_run(self, run_id: str) -> None:
        """The run was cancelled; what it still writes is refused."""


class Roster(Struct, frozen=True, kw_only=True):
    """A worker as it presents itself."""

    worker: str
    slots: int
    jobs: tuple[Job, ...]
    schedules: tuple[Schedule, ...]


class WorkerLink(ClientLink, Protocol):
    """What a worker asks of a platform, beside what its jobs ask of it as clients."""

    env_no: int

    async def join(self, roster: Roster, inbox: Inbox) -> None:
        """Advertise jobs and ask for runs. Joining again replaces what was advertised (a reload)."""

    async def leave(self, worker: str) -> None:
        """Get no more runs. The worker gives back what it holds before it goes."""

    def drain(self, worker: str) -> None:
        """Get no new runs, but keep those that are held."""

    def submit(self, command: Command) -> Awaitable[Any]:
        """Ask for a command; the answer arrives when it is on disk."""

    def ride(self, command: Command) -> None:
        """Store this along with the next write; nobody waits for it."""
