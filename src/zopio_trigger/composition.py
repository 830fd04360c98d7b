"""Builds a running system out of settings: the only place that knows all parts."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from zopio_trigger.config import LOCAL_KEY
from zopio_trigger.engine.effects import Changed, Logged, News
from zopio_trigger.errors import ConfigurationError, StoreLocked
from zopio_trigger.model.clock import Clock, SystemClock
from zopio_trigger.model.ids import Ids
from zopio_trigger.model.records import Environment
from zopio_trigger.model.states import is_final
from zopio_trigger.model.views import LogView, RunView, TaskView
from zopio_trigger.platform.keys import ensure_environment
from zopio_trigger.platform.platform import RETENTION, Desk, Platform
from zopio_trigger.platform.rendering import log_view, task_view
from zopio_trigger.sdk.client import TriggerClient
from zopio_trigger.sdk.job import JobDefinition
from zopio_trigger.storage.port import Store
from zopio_trigger.worker.watchdog import Watchdog
from zopio_trigger.worker.worker import MAX_RESIDENTS, SLOTS, Worker


def open_store(url: str, clock: Clock) -> Store:
    """The store an address names: `sqlite:///relative/path`, `sqlite:////absolute/path`, `sqlite:///:memory:`."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        from zopio_trigger.storage.sqlite.store import SQLiteStore

        path = url.removeprefix("sqlite:///")
        if not path or path == url:
            raise ConfigurationError(
                f"TRIGGER_STORE is {url!r}; write sqlite:///PATH, for example sqlite:///jobs.db"
            )
        return SQLiteStore(path if path == ":memory:" else Path(path).expanduser(), clock=clock)
    raise ConfigurationError(f"TRIGGER_STORE is {url!r}; this version knows sqlite:///PATH")


def holder_of(file: Path) -> str | None:
    """The process that has a SQLite store open, in words; None when it is free."""
    from zopio_trigger.storage.sqlite.lock import FileLock

    lock = FileLock(file)
    try:
        lock.take()
    except StoreLocked as error:
        return str(error).partition(" is in use by ")[2].partition("; ")[0]
    lock.release()
    return None


class Teller(Protocol):
    """Whoever is told what happens to runs."""

    def run(self, run: RunView) -> None:
        """A run is in some state."""

    def task(self, run_id: str, task: TaskView) -> None:
        """A task of a run changed."""

    def log(self, run_id: str, line: LogView) -> None:
        """A run wrote a line."""


def settle_heap() -> None:
    """Leave what a process has loaded at its start out of every garbage collection to come: it lives as long as the
    process. For those who own the process; a tenth of the time of a short job."""
    gc.collect()
    gc.freeze()


class System:
    """A platform and the workers in its process, started and stopped together.

    Parameters:
        store: where rows are kept.
        clock, chance: time and chance; the real ones unless a test hands in others.
        retention: microseconds finished runs are kept; default 30 days, None for ever.
    """

    def __init__(
        self, store: Store, *, clock: Clock | None = None, chance: random.Random | None = None,
        retention: int | None = RETENTION,
    ) -> None:  # fmt: skip
        self.clock = clock or SystemClock()
        self.random = chance or random.Random(random.SystemRandom().getrandbits(256))
        self.ids = Ids(self.clock, self.random)
        self.platform = Platform(store=store, clock=self.clock, ids=self.ids, retention=retention)
        self.workers: list[Worker] = []
        # Weak, because a client whose module was imported anew is kept only by runs that still execute in old code.
        self._bound: weakref.WeakSet[TriggerClient] = weakref.WeakSet()
        self._watchdog: Watchdog | None = None

    async def start(self) -> None:
        """Open the store and begin to keep time."""
        await self.platform.start()

    async def open(self) -> None:
        """Open the store to look at runs, or to change them by hand. Nothing fires and nothing is executed."""
        await self.platform.open()

    def watch(self) -> None:
        """Name, in the log, the function that blocks the event loop for more than a second."""
        self._watchdog = Watchdog(self.clock)
        self._watchdog.start()

    async def environment(self, slug: str = "dev", kind: str = "development") -> Environment:
        """The environment of this name, made when there is none."""
        return await self.platform.store.add_environment(slug, kind, self.clock.now())

    async def environment_for(self, api_key: str) -> Environment:
        """The environment this key opens; the key and it are made when they are new."""
        return await ensure_environment(self.platform.store, api_key, self.clock.now())

    async def add_worker(
        self, clients: Iterable[TriggerClient], environment: Environment, *, slots: int = SLOTS,
        max_residents: int = MAX_RESIDENTS,
    ) -> Worker:  # fmt: skip
        """Execute the jobs of these clients here; what the clients send goes to this platform."""
        clients = list(clients)
        desk = self.platform.desk(environment.no)
        self._bind(clients, desk)
        worker = Worker(
            link=desk, environment=environment, jobs=jobs_of(clients),
            clock=self.clock, ids=self.ids, random=self.random, slots=slots, max_residents=max_residents,
        )  # fmt: skip
        await worker.start()
        self.workers.append(worker)
        return worker

    async def reload(self, worker: Worker, clients: Iterable[TriggerClient]) -> None:
        """Execute the jobs of these clients, imported anew, in place of what the worker had. Clients of the old code
        stay bound: runs that still execute in it send events through them."""
        clients = list(clients)
        self._bind(clients, self.platform.desk(worker.environment.no))
        await worker.reload(jobs_of(clients))

    def tell(self, news: News, teller: Teller) -> None:
        """Say in views what the platform says in rows to those who `follow` it."""
        if isinstance(news, Logged):
            for line in news.lines:
                teller.log(line.run_id, log_view(line))
        elif news.task is None:
            teller.run(self.platform.reads.brief(news.run))
        else:
            teller.task(news.run.id, task_view(news.task))

    async def drain(self, timeout_seconds: float) -> int:
        """Let executing runs finish, take no new ones; returns how many were handed back after the time."""
        return sum(await asyncio.gather(*(worker.drain(timeout_seconds) for worker in self.workers)))

    async def stop(self) -> None:
        """Hand back what is executing, commit, close."""
        self._stop_watching()
        for worker in self.workers:
            await worker.stop()
        await self.platform.stop()
        self._unbind()

    def abandon(self) -> None:
        """Stop as a killed process would; only for tests and for the second Ctrl+C."""
        self._stop_watching()
        self.platform.abandon()
        for worker in self.workers:
            worker.abandon()
        self._unbind()

    def _bind(self, clients: list[TriggerClient], desk: Desk) -> None:
        for client in clients:
            client.bind(desk)
            self._bound.add(client)

    def _unbind(self) -> None:
        for client in list(self._bound):
            client.bind(None)
        self._bound.clear()

    def _stop_watching(self) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()


def jobs_of(clients: Iterable[TriggerClient]) -> dict[str, JobDefinition]:
    """The jobs of some clients, by id."""
    return {id: job for client in clients for id, job in client.jobs.items()}


class Embedded:
    """A platform inside this process, with a worker for some clients.

    Attributes:
        system: all of it.
        environment: where the runs are.
    """

    def __init__(self, system: System, environment: Environment) -> None:
        self.system = system
        self.environment = environment

    async def ended(self, run_id: str) -> RunView:
        """Return a run when it has ended. Raises `NotFound`."""
        platform, env_no = self.system.platform, self.environment.no
        ended = asyncio.Event()

        def look(news: News) -> None:
            if isinstance(news, Changed) and news.run.id == run_id and is_final(news.run.state):
                ended.set()

        stop_following = platform.follow(look)
        try:
            run = await platform.reads.run(env_no, run_id)
            if is_final(run.status):
                return run
            await ended.wait()
            return await platform.reads.run(env_no, run_id)
        finally:
            stop_following()


@asynccontextmanager
async def embedded(
    *clients: TriggerClient, store: str = "sqlite:///:memory:", clock: Clock | None = None
) -> AsyncIterator[Embedded]:
    """Run a platform and the jobs of these clients inside this process, for as long as the block lasts.

    Parameters:
        clients: whose jobs are executed; what they send goes to this platform.
        store: where runs are kept, as in `TRIGGER_STORE`. Default: in memory, gone at the end.
        clock: the real time unless a test hands in another.

    Example:
        >>> async with embedded(client) as platform:
        ...     receipt = await send_event("user.created", {"userId": "user_123"})
        ...     run = await platform.ended(receipt.runs[0])
    """
    clock = clock or SystemClock()
    system = System(open_store(store, clock), clock=clock)
    await system.start()
    try:
        environment = await system.environment_for(LOCAL_KEY)
        await system.add_worker(clients, environment)
        yield Embedded(system, environment)
    finally:
        await system.stop()
