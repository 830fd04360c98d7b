"""The storage port: what the platform needs of a store. Adapters load rows, write changes and answer scans; they
decide nothing. Every adapter passes the contract suite in `tests/storage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from zopio_trigger.engine.changes import Changes
from zopio_trigger.engine.rows import Key
from zopio_trigger.errors import StoreError
from zopio_trigger.model.records import (
    ApiKey,
    Attempt,
    Environment,
    Event,
    Job,
    Line,
    LogLine,
    Minute,
    Queue,
    Run,
    Schedule,
    Task,
)


class Stale(StoreError):
    """A row was not as the batch had seen it. Nothing was written; load again and decide again."""


class Boot(Struct, frozen=True):
    """What is read once at start: all definitions, and the runs that are neither suspended nor finished."""

    jobs: list[Job]
    schedules: list[Schedule]
    queues: list[Queue]
    ready: list[tuple[Line, int]]  # how many runs are ready in each line
    executing: list[tuple[str, int]]  # run id and token: their holders died with the last process


class Due(Struct, frozen=True):
    """What is due: waiting tasks and delayed events, and when the next one will be."""

    tasks: list[tuple[str, str]]  # run id, hash
    events: list[tuple[int, str]]  # environment, event id
    next_at: int | None  # the earliest instant after these; None when nothing else waits


class Horizon(Struct, frozen=True, kw_only=True):
    """The instants before which rows are kept no longer."""

    runs: int  # runs that ended before then
    events: int  # events whose last run ended before then, or which were settled before then without any
    records: int  # roll-ups and audits from before then


class RunQuery(Struct, frozen=True, kw_only=True):
    """Which runs to list, newest first."""

    env_no: int
    states: tuple[str, ...] = ()
    job: str | None = None
    event_id: str | None = None
    before: str | None = None  # cursor: runs older than this run id
    since: int | None = None  # created at or after this instant
    limit: int = 50


class EventName(Struct, frozen=True, array_like=True):
    """What lists of runs show of an event."""

    id: str  # ours
    user_id: str | None
    name: str

    @property
    def public_id(self) -> str:
        return self.user_id if self.user_id is not None else self.id


class Store(Protocol):
    """Durable rows. All methods may raise `StoreError`; none blocks the event loop."""

    address: str  # as given by the user, without secrets

    # --- lifecycle

    async def open(self) -> None:
        """Make or migrate the schema and take the store; raises `StoreLocked` when another process has it."""

    async def close(self) -> None:
        """Finish what is being written and let go."""

    # --- what the committer needs

    async def load(self, keys: Sequence[Key]) -> list[object]:
        """The values for the keys of `engine/rows.py`, in their order."""

    async def write(self, changes: Changes) -> None:
        """Write all or nothing, durably (flushed to disk when it returns).

        Raises:
            Stale: a row's stored revision is not the one before the written one, a guarded run moved on, or a
                unique id is taken. Nothing was written.
            Unstorable: a row holds what is no text (NUL, half of a surrogate pair) or no value of its column.
            StoreError: the disk is full, the file is gone, …. Nothing was acknowledged.
        """

    # --- what services scan

    async def boot(self) -> Boot: ...

    async def ready(self, line: Line, jobs: frozenset[str], limit: int) -> list[str]:
        """Ids of ready runs of these jobs in one line: by priority, then those that have begun (a run that goes on
        goes before a new one), then longest ready first."""

    async def due(self, now: int, limit: int) -> Due: ...

    async def prune(self, before: Horizon, limit: int) -> int:
        """Delete up to `limit` runs that are older than that, with all that hangs on them, and as many events, roll-ups
        and audits of each environment. Open runs, and events with a run, are never too old.

        Returns how many rows of these four kinds went; 0 when nothing was too old. Gives space back to the file
        system. For one caller at a time.
        """

    # --- what people and workers read

    async def run(self, env_no: int, run_id: str) -> Run | None: ...

    async def runs(self, query: RunQuery) -> list[Run]: ...

    async def event(self, env_no: int, any_id: str) -> Event | None:
        """An event by the sender's id or ours."""

    async def event_names(self, env_no: int, ids: Sequence[str]) -> list[EventName]:
        """What these events (our ids) are called, without their payloads; those that are gone are left out."""

    async def events(self, env_no: int, before: str | None, limit: int) -> list[Event]:
        """Events, newest first; `before` is our id."""

    async def beginnings(self, runs: Sequence[Run]) -> list[tuple[Event | None, list[Task]]]:
        """What an execution of each of these runs begins with: its event, and all its tasks."""

    async def tasks(self, run_id: str) -> list[Task]:
        """Every task of a run, in the order they were created."""

    async def open_tasks(self, run_ids: Sequence[str]) -> list[Task]:
        """The tasks of these runs that have not ended, in no particular order."""

    async def attempts(self, run_id: str) -> list[Attempt]: ...

    async def logs(self, run_id: str, after: tuple[int, int] | None, limit: int) -> list[LogLine]:
        """Log lines of a run in the order of writing, after `(token, number)`."""

    async def executing(self, line: Line) -> list[str]:
        """Ids of the runs that hold a slot of a line."""

    async def minutes(self, env_no: int, since: int, until: int) -> list[Minute]: ...

    # --- environments and their keys

    async def environments(self) -> list[Environment]: ...

    async def add_environment(self, slug: str, kind: str, now: int) -> Environment:
        """The environment of this slug, made when there is none."""

    async def add_key(self, key: ApiKey) -> None: ...

    async def key(self, digest: str) -> ApiKey | None: ...
