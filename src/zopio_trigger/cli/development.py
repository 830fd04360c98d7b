"""A `dev` that runs: starts everything, imports the app anew when it changes, and winds down when told to."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Final

import click
from msgspec import Struct

from zopio_trigger.cli.app import App, AppBroken, Loaded
from zopio_trigger.cli.banner import Banner, nearer_folder
from zopio_trigger.cli.narrator import Narrator
from zopio_trigger.cli.outcome import FAILED, INTERRUPTED, REFUSED, Failure
from zopio_trigger.cli.story import Story
from zopio_trigger.cli.terminal import Terminal
from zopio_trigger.cli.watching import changes_in
from zopio_trigger.cli.wording import clock, nearer, plural, started_by
from zopio_trigger.composition import System, open_store, settle_heap
from zopio_trigger.config import LOCAL_KEY
from zopio_trigger.errors import ConfigurationError, ZopioTriggerError
from zopio_trigger.model.clock import SystemClock
from zopio_trigger.model.durations import SECOND_US, humanize, iso
from zopio_trigger.model.records import Environment
from zopio_trigger.model.views import JobView, RunPage
from zopio_trigger.server.run import HttpServer
from zopio_trigger.transport.ports import ClientLink

MOST_WAITING: Final = 200  # waiting runs that are counted at the start
WIDTH_OF_NO_TERMINAL: Final = 200


class Settings(Struct, frozen=True, kw_only=True):
    """What `dev` was told."""

    host: str
    port: int
    store: str
    api_key: str
    slots: int
    retention: int | None  # microseconds; None keeps runs for ever
    reloads: bool
    drain_seconds: float
    opens_page: bool


class Development:
    """One `dev`."""

    def __init__(self, app: App, settings: Settings, terminal: Terminal) -> None:
        self._app = app
        self._settings = settings
        self._terminal = terminal
        self._clock = SystemClock()
        self._system = System(
            open_store(settings.store, self._clock), clock=self._clock, retention=settings.retention
        )
        self._server = HttpServer(self._system.platform, host=settings.host, port=settings.port)
        self._environment: Environment | None = None
        self._jobs: dict[str, JobView] = {}
        self._unserved: set[str] = set()  # jobs the store knows and the app does not have
        self._has_started = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Run until told to stop; returns the exit code."""
        watching = asyncio.create_task(self._reload_on_save())
        await self._clock.sleep(0)  # it watches now: a save that comes during the start is not missed
        try:
            loaded = self._load()
            if loaded is None and not self._settings.reloads:
                return FAILED
            self._heed_signals()
            await self._system.start()
            await self._run_started(loaded, watching)
        finally:
            watching.cancel()
            await self._server.stop()
            await self._system.stop()
        self._say(click.style("stopped", dim=True))
        return 0

    async def _run_started(self, loaded: Loaded | None, watching: asyncio.Task[None]) -> None:
        await self._start_server()
        self._environment = await self._system.environment_for(self._settings.api_key)
        waiting = await self._waiting()
        story = Story(started_by=lambda run: started_by(run, self._jobs))
        narrator = Narrator(self._system, story, self._terminal)
        if loaded is not None:
            await self._serve(loaded)
        self._say("\n".join(await self._banner(loaded, waiting)))
        narrator.begin()
        self._system.watch()
        settle_heap()
        self._has_started.set()
        await self._stopping.wait()
        watching.cancel()
        await self._drain()
        narrator.stop()

    # --- starting ---------------------------------------------------------------------------------------------------

    async def _start_server(self) -> None:
        try:
            await self._server.start()
        except ConfigurationError as error:
            raise Failure(str(error), REFUSED) from error
        if self._settings.opens_page:
            click.launch(self._server.url)

    async def _waiting(self) -> RunPage:
        """The runs that wait for a time, from before this start."""
        return await self._desk.list_runs(status=("suspended",), limit=MOST_WAITING)

    async def _banner(self, loaded: Loaded | None, waiting: RunPage) -> list[str]:
        return Banner(
            url=self._server.url,
            key_shown=_shown_key(self._settings.api_key),
            store=_shown_store(self._settings.store),
            app=self._app.name,
            jobs=list(self._jobs.values()),
            definitions=[] if loaded is None else loaded.shown_jobs,
            schedules=await self._desk.list_schedules(),
            waiting=waiting.runs,
            more_waiting=waiting.next_cursor is not None,
            watches=self._app.folder if self._settings.reloads else None,
            width=shutil.get_terminal_size((WIDTH_OF_NO_TERMINAL, 24)).columns,
        ).lines()

    @property
    def _desk(self) -> ClientLink:
        assert self._environment is not None, "used before the system was started"
        return self._system.platform.desk(self._environment.no)

    # --- the app ----------------------------------------------------------------------------------------------------

    def _load(self, changed: Iterable[Path] = ()) -> Loaded | None:
        """Import the app on this thread, where its first import was; None, with words, when it is broken."""
        try:
            return self._app.load(changed)
        except AppBroken as error:
            self._say(f"{click.style('error:', fg='red')} {error}")
            if error.details:
                self._say(error.details)
            if self._settings.reloads:
                self._say(click.style("waiting for the next save", dim=True))
            return None

    async def _serve(self, loaded: Loaded) -> None:
        """Execute what was loaded, in place of what was before."""
        assert self._environment is not None
        if self._system.workers:
            await self._system.reload(self._system.workers[0], loaded.clients)
        else:
            await self._system.add_worker(loaded.clients, self._environment, slots=self._settings.slots)
        known = await self._desk.list_jobs()
        self._jobs = {job.id: job for job in known if job.id in loaded.jobs}
        self._note_unserved({job.id for job in known} - self._jobs.keys())

    def _note_unserved(self, unserved: set[str]) -> None:
        """Say which jobs of earlier code still listen to their events. Nothing removes a job but an explicit word,
        and a job that was renamed is such a job."""
        if new := unserved - self._unserved:
            names = ", ".join(sorted(new))
            self._say(
                f"{click.style('note:', fg='yellow')} {self._app.name} has no job {names} any more; "
                "its runs wait until some code has it again"
            )
        self._unserved = unserved

    async def _reload_on_save(self) -> None:
        if not self._settings.reloads:
            return
        try:
            async for changed in changes_in(self._app.folder):
                await self._has_started.wait()
                await self._reload(changed)
        except OSError as error:
            folder = nearer_folder(self._app.folder)
            self._say(
                f"{click.style('note:', fg='yellow')} {folder} cannot be watched ({error}); reload is off"
            )

    async def _reload(self, changed: set[Path]) -> None:
        began_at = self._clock.monotonic()
        loaded = self._load(changed)
        if loaded is None:
            return
        try:
            await self._serve(loaded)
        except ZopioTriggerError as error:
            self._say(f"{click.style('error:', fg='red')} the new code is not served: {error}")
            return
        what = nearer(str(next(iter(changed)))) if len(changed) == 1 else plural(len(changed), "file")
        took = humanize(int((self._clock.monotonic() - began_at) * SECOND_US))
        jobs = plural(len(loaded.shown_jobs), "job")
        self._say(f"{self._now()} {click.style('↻', fg='cyan')} {what} changed, {jobs} reloaded in {took}")

    # --- stopping ---------------------------------------------------------------------------------------------------

    def _heed_signals(self) -> None:
        """The first Ctrl+C or SIGTERM drains, the second ends the process.

        Python's own handlers, and not the loop's: they are called even while user code blocks the loop.
        """
        loop = asyncio.get_running_loop()
        signals = 0

        def heed(number: int, frame: FrameType | None) -> None:
            nonlocal signals
            signals += 1
            if signals == 1:
                self._say(self._parting())
                loop.call_soon_threadsafe(self._stopping.set)
            else:
                self._say("stopped at once; what was running goes on at the next start")
                self._terminal.close()
                os._exit(INTERRUPTED)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, heed)

    def _parting(self) -> str:
        busy = sum(worker.busy for worker in self._system.workers)
        return f"finishing {plural(busy, 'run')}, press again to stop now" if busy else "stopping"

    async def _drain(self) -> None:
        left = await self._system.drain(self._settings.drain_seconds)
        if left:
            self._say(
                f"{plural(left, 'run')} did not finish in {self._settings.drain_seconds:g} s and will go on at the "
                "next start"
            )

    # --- saying -----------------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._terminal.say(text)

    def _now(self) -> str:
        return click.style(clock(iso(self._clock.now()), milliseconds=True), dim=True)


def _shown_key(key: str) -> str:
    if key == LOCAL_KEY:
        return f"{key} (development only)"
    prefix, _, secret = key.rpartition("_")
    return f"{prefix}_{secret[:4]}… (TRIGGER_API_KEY)"


def _shown_store(url: str) -> str:
    return f"sqlite {nearer(url.removeprefix('sqlite:///'))}" if url.startswith("sqlite:///") else url
