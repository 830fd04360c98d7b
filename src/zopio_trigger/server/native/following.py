"""The native API for watching runs as they happen: one run, or all of an environment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from zopio_trigger.errors import NotFound
from zopio_trigger.model.records import LogLine, Run
from zopio_trigger.model.states import is_final
from zopio_trigger.model.views import LogView, TaskView, View
from zopio_trigger.platform.news import Changed, News
from zopio_trigger.platform.platform import Platform
from zopio_trigger.platform.reads import MAX_LINES_A_PAGE, place_of
from zopio_trigger.platform.rendering import log_view, task_view
from zopio_trigger.server.answers import Reply
from zopio_trigger.server.calls import Call
from zopio_trigger.server.routes import Field, Route
from zopio_trigger.server.streams import Follower, Stream, Streams, frame

MAX_RUNS_KNOWN: Final = 10_000  # runs whose environment a follower of all runs remembers
HEARTBEAT: Final = b": still here\n\n"


class TaskNews(View, frozen=True, kw_only=True):
    """A task changed. Outputs are left out: ask for the run to see them."""

    run_id: str
    job: str
    task: TaskView


class LogNews(View, frozen=True, kw_only=True):
    """A job wrote a line."""

    run_id: str
    line: LogView


class Lost(View, frozen=True, kw_only=True):
    """The client lagged behind and missed this many pieces of news: look at the runs again."""

    dropped: int


class Following:
    """The handlers of the streams of one server."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def all_runs(self, call: Call) -> Reply:
        """Every change in the environment, from now on."""
        wanted = _InEnvironment(call.platform, call.env_no, call.word("job"))
        follower = Follower(clock=call.platform.clock, wants=wanted)
        return self._open(call.platform, follower, _tell_all(call.platform, follower, wanted))

    async def one_run(self, call: Call) -> Reply:
        """A run as it stands, then every change, until it has ended."""
        run_id = call.path[0]
        await call.platform.reads.run_row(call.env_no, run_id)  # 404 before the stream begins
        cursor = call.headers.get(b"last-event-id", b"").decode("latin-1") or call.word("cursor")
        if cursor is not None:
            place_of(cursor)
        follower = Follower(clock=call.platform.clock, wants=lambda news: _concerns(news, run_id))
        return self._open(call.platform, follower, _OneRun(call, run_id, follower, cursor).tell())

    def _open(self, platform: Platform, follower: Follower, frames: AsyncIterator[bytes]) -> Stream:
        self._streams.add(follower)
        unfollow = platform.follow(follower.hear)

        def done() -> None:
            unfollow()
            self._streams.remove(follower)

        return Stream(frames, follower=follower, done=done)

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "GET", "/api/v3/follow", self.all_runs, is_stream=True,
                about="Follow all runs of the environment: events `run`, `task`, `log`, and `resync` when the "
                "client lagged behind and missed some.",
                query=(Field("job", "only runs of this job"),),
            ),
            Route(
                "GET", "/api/v3/runs/{id}/stream", self.one_run, is_stream=True,
                about="Follow one run: `run` as it stands, its `log` lines so far, then every `run`, `task` and "
                "`log` change, and `end` when it has ended. The id of a `log` event is the line's cursor.",
                query=(Field("cursor", "only log lines after this one (or the header Last-Event-ID)"),),
            ),
        )  # fmt: skip


# --- all runs


class _InEnvironment:
    """Which news concern an environment. A log line names only its run, so runs that were heard of are remembered;
    those that executed before are in the platform's memory."""

    def __init__(self, platform: Platform, env_no: int, job: str | None) -> None:
        self._rows = platform.rows
        self._env_no = env_no
        self._job = job
        self._known: dict[str, bool] = {}

    def __call__(self, news: News) -> bool:
        if isinstance(news, Changed):
            return self._note(news.run)
        return any(self.has(line) for line in news.lines)

    def has(self, line: LogLine) -> bool:
        known = self._known.get(line.run_id)
        if known is not None:
            return known
        run = self._rows.remembered(line.run_id)
        return run is not None and self._note(run)

    def _note(self, run: Run) -> bool:
        is_wanted = run.env_no == self._env_no and self._job in (None, run.job)
        if len(self._known) >= MAX_RUNS_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[run.id] = is_wanted
        return is_wanted


async def _tell_all(platform: Platform, follower: Follower, wanted: _InEnvironment) -> AsyncIterator[bytes]:
    while not follower.is_closed:
        heard, dropped = await follower.read()
        if dropped:
            yield frame("resync", Lost(dropped=dropped))
        for news in heard:
            yield _frames_of(news, platform, wanted.has)
        if not heard and not dropped:
            yield HEARTBEAT


def _frames_of(news: News, platform: Platform, wants: Callable[[LogLine], bool]) -> bytes:
    if isinstance(news, Changed):
        return _change(news, platform)
    return b"".join([_line(line) for line in news.lines if wants(line)])


def _change(change: Changed, platform: Platform) -> bytes:
    run, task = change.run, change.task
    if task is None:
        return frame("run", platform.reads.brief(run))
    view = task_view(task, with_output=False)
    return frame("task", TaskNews(run_id=run.id, job=run.job, task=view))


def _line(line: LogLine) -> bytes:
    view = log_view(line)
    return frame("log", LogNews(run_id=line.run_id, line=view), cursor=view.cursor)


# --- one run


class _OneRun:
    """One run told to one client: as it stands, then every change."""

    def __init__(self, call: Call, run_id: str, follower: Follower, cursor: str | None) -> None:
        self._platform = call.platform
        self._env_no = call.env_no
        self._run_id = run_id
        self._follower = follower
        self._cursor = cursor
        self._told: set[str] = set()  # cursors of lines that were read back and may also be heard
        self._has_ended = False

    async def tell(self) -> AsyncIterator[bytes]:
        try:
            async for text in self._as_it_stands():
                yield text
            while not (self._has_ended or self._follower.is_closed):
                async for text in self._as_it_changes():
                    yield text
            if self._has_ended:
                yield frame("end", {})
        except NotFound:  # deleted meanwhile: it has ended for whoever watches
            yield frame("end", {})

    async def _as_it_stands(self) -> AsyncIterator[bytes]:
        """The whole run, and the lines that were not told yet."""
        view = await self._platform.reads.run(self._env_no, self._run_id)
        yield frame("run", view)
        while lines := await self._lines():
            self._told = {line.cursor for line in lines}
            self._cursor = lines[-1].cursor
            for line in lines:
                yield frame("log", LogNews(run_id=self._run_id, line=line), cursor=line.cursor)
        self._has_ended = is_final(view.status)

    async def _lines(self) -> list[LogView]:
        return await self._platform.reads.logs(
            self._env_no, self._run_id, cursor=self._cursor, limit=MAX_LINES_A_PAGE
        )

    async def _as_it_changes(self) -> AsyncIterator[bytes]:
        heard, dropped = await self._follower.read()
        if dropped:  # what is left is told again with what is stored
            yield frame("resync", Lost(dropped=dropped))
            async for text in self._as_it_stands():
                yield text
            return
        if not heard:
            yield HEARTBEAT
        for news in heard:
            yield _frames_of(news, self._platform, self._wants)
        if any(_is_end(news) for news in heard):
            yield frame("run", await self._platform.reads.run(self._env_no, self._run_id))  # with its output
            self._has_ended = True

    def _wants(self, line: LogLine) -> bool:
        cursor = f"{line.token}.{line.number}"
        if line.run_id != self._run_id or cursor in self._told:
            return False
        self._cursor = cursor
        return True


def _concerns(news: News, run_id: str) -> bool:
    if isinstance(news, Changed):
        return news.run.id == run_id
    return any(line.run_id == run_id for line in news.lines)


def _is_end(news: News) -> bool:
    return isinstance(news, Changed) and news.task is None and is_final(news.run.state)
