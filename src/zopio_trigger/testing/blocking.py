"""`BlockingPlatform`: a `TestPlatform` for tests that are plain functions, with an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, Self, TypeVar

from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.names import TaskKey
from zopio_trigger.sdk.client import TriggerClient
from zopio_trigger.testing.platform import TestPlatform
from zopio_trigger.testing.run import RunSeen, TestRun
from zopio_trigger.testing.store import Moment

T = TypeVar("T")


class BlockingPlatform:
    """The real engine on SQLite in memory, for tests that are plain functions.

    Each call returns when nothing happens any more until the clock moves: after `send` a run has ended, or waits.
    Parameters and methods are those of `TestPlatform`.

    Example:
        >>> with BlockingPlatform(client) as platform:
        ...     run = platform.send("user.registered", {"email": "ada@example.com"})
        ...     platform.advance(days=30)
        ...     assert run.state == "completed"
    """

    def __init__(self, *clients: TriggerClient, **options: Any) -> None:
        self._platform = TestPlatform(*clients, **options)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._do(self._platform.ready())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._platform.close())
        finally:
            self._runner.close()

    @property
    def clock(self) -> ManualClock:
        return self._platform.clock

    @property
    def crashes(self) -> int:
        return self._platform.crashes

    @property
    def commits(self) -> int:
        return self._platform.commits

    def send(self, name: str, payload: object = None, **options: Any) -> BlockingRun:
        """Send an event that starts exactly one run, and return the run."""
        return BlockingRun(self._do, self._do(self._platform.send(name, payload, **options)))

    def send_to_all(self, name: str, payload: object = None, **options: Any) -> list[BlockingRun]:
        """Send an event and return the runs it started."""
        sent = self._do(self._platform.send_to_all(name, payload, **options))
        return [BlockingRun(self._do, run) for run in sent]

    def run(self, job: str | Callable[..., Any], payload: object = None, **options: Any) -> BlockingRun:
        """Run one job, whatever its trigger."""
        return BlockingRun(self._do, self._do(self._platform.run(job, payload, **options)))

    def runs(self, job: str | Callable[..., Any] | None = None) -> list[BlockingRun]:
        """The runs there are, oldest first."""
        return [BlockingRun(self._do, run) for run in self._do(self._platform.runs(job))]

    def advance(
        self, duration: float | timedelta | Mapping[str, float] | None = None, *, seconds: float | None = None,
        minutes: float | None = None, hours: float | None = None, days: float | None = None,
    ) -> None:  # fmt: skip
        """Move time forward."""
        self._do(self._platform.advance(duration, seconds=seconds, minutes=minutes, hours=hours, days=days))

    def serve(self, *clients: TriggerClient) -> None:
        """Go on with the jobs of these clients, as after a deployment."""
        self._do(self._platform.serve(*clients))

    def restart(self) -> None:
        """Stop in good order and start again on the same store."""
        self._do(self._platform.restart())

    def crash(self) -> None:
        """Kill the process now; a new one takes over."""

        async def crash() -> None:
            self._platform.crash()

        self._do(crash())

    def crash_before(self, key: TaskKey) -> None:
        """Let the process die right before the commit that completes this task."""
        self._platform.crash_before(key)

    def crash_after(self, key: TaskKey) -> None:
        """Let the process die right after the commit that completes this task."""
        self._platform.crash_after(key)

    def crash_at_commit(self, number: int, moment: Moment) -> None:
        """Let the process die right before or after the nth commit from now on."""
        self._platform.crash_at_commit(number, moment)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it, and go on until nothing happens any more: between two calls nothing can."""

        async def until_quiet() -> T:
            result = await work
            await self._platform.settle()
            return result

        return self._runner.run(until_quiet())


class BlockingRun(RunSeen):
    """A run on a `BlockingPlatform`; it always looks like it does now."""

    def __init__(self, do: Callable[[Coroutine[Any, Any, Any]], Any], run: TestRun) -> None:
        self.__dict__ = run.__dict__  # one run, seen through two faces
        self._do = do
        self._run = run

    def finished(self, timeout_seconds: float = 5.0) -> BlockingRun:
        """This run when it has ended; AssertionError when it waits for something that will not come by itself."""
        self._do(self._run.finished(timeout_seconds))
        return self

    def until_waiting(self, timeout_seconds: float = 5.0) -> BlockingRun:
        """This run when it waits; AssertionError when it has ended."""
        self._do(self._run.until_waiting(timeout_seconds))
        return self

    def fast_forward(self, timeout_seconds: float = 5.0) -> BlockingRun:
        """Move the clock from one thing that is due to the next until this run has ended."""
        self._do(self._run.fast_forward(timeout_seconds))
        return self

    def waiting_for(self) -> str:
        """Why it is not executing."""
        reason: str = self._do(self._run.waiting_for())
        return reason

    def cancel(self, reason: str = "") -> BlockingRun:
        """End it now."""
        self._do(self._run.cancel(reason))
        return self

    def replay(self) -> BlockingRun:
        """Start it again, as a new run of the same event, which is returned."""
        return BlockingRun(self._do, self._do(self._run.replay()))

    def retry(self) -> BlockingRun:
        """Continue it after a failure."""
        self._do(self._run.retry())
        return self
