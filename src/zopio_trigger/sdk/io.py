"""`io`: everything a job does that is to be remembered. `IO` is for `async def` jobs; `SyncIO` is its twin."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from math import floor
from typing import Any, TypeVar, overload
from uuid import UUID

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.durations import duration_us, instant_us
from zopio_trigger.model.names import TaskKey, check_name, display_key
from zopio_trigger.model.retry import Retry
from zopio_trigger.sdk.calls import Calls, SentEvent, TaskOptions
from zopio_trigger.sdk.logger import Logger
from zopio_trigger.sdk.requests import event_request
from zopio_trigger.sdk.scope import CallSite

T = TypeVar("T")
Item = TypeVar("Item")
Duration = float | timedelta | Mapping[str, float]

_PLAIN = TaskOptions()


class IO:
    """The durable calls of one run, handed to an `async def` job.

    Every call takes a *key* first: a string, or a tuple of strings and whole numbers. It names the call within its
    surroundings (the job, or the task around it), so that a later execution of the run finds what an earlier one
    did. Using a key twice in one place raises `DuplicateTaskKey`.
    """

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def logger(self) -> Logger:
        """Writes lines that belong to the run."""
        return Logger(self._calls)

    @property
    def cancelled(self) -> bool:
        """True once the run has been cancelled."""
        return self._calls.is_cancelled

    @overload
    def run_task(
        self, key: TaskKey, function: Callable[..., Coroutine[Any, Any, T]], /, *args: Any,
        retry: Retry | Mapping[str, object] | None = None, timeout: float | timedelta | None = None,
        name: str | None = None, durable_begin: bool = False, overlap_ok: bool = False, **kwargs: Any,
    ) -> Coroutine[Any, Any, T]: ...  # fmt: skip
    @overload
    def run_task(
        self, key: TaskKey, function: Callable[..., T], /, *args: Any,
        retry: Retry | Mapping[str, object] | None = None, timeout: float | timedelta | None = None,
        name: str | None = None, durable_begin: bool = False, overlap_ok: bool = False, **kwargs: Any,
    ) -> Coroutine[Any, Any, T]: ...  # fmt: skip
    def run_task(
        self, key: TaskKey, function: Callable[..., Any], /, *args: Any,
        retry: Retry | Mapping[str, object] | None = None, timeout: float | timedelta | None = None,
        name: str | None = None, durable_begin: bool = False, overlap_ok: bool = False, **kwargs: Any,
    ) -> Coroutine[Any, Any, Any]:  # fmt: skip
        """Run `function(*args, **kwargs)` once and remember its result; a later execution gets it from memory.

        Parameters:
            key: names the task within the run.
            function: `async def`, or a plain function, which runs in a thread. It is run at least once; its result
                is recorded exactly once.
            retry: how often and when to try again: `Retry(...)`, or the mapping of the 2.x SDK
                (`{"maxAttempts": 3, "minTimeoutInMs": 1000, …}`). Without it the task is tried once.
            timeout: seconds or timedelta one attempt may take; default none. An attempt that takes longer has
                failed. A plain function cannot be stopped: it is abandoned, and its retry waits until it has
                returned unless `overlap_ok`.
            name: what to show instead of the key.
            durable_begin: record that the body starts before it does, and fail instead of running it a second
                time after a crash: at most once.

        Returns what the function returned, after a trip through JSON, in the type it is annotated with: the first
        execution sees exactly what later ones will.

        Raises:
            TaskFailed: the last attempt failed; carries the error. `TaskTimeout` when it took too long.
            DuplicateTaskKey: the key is used already in this place.
            InvalidInput: the result cannot be stored as JSON.

        Example:
            >>> user = await io.run_task("load-user", load_user, user_id, retry=Retry(max_attempts=3))
        """
        if not callable(function):
            raise _not_callable(key, function)
        if retry is None and timeout is None and name is None and not durable_begin and not overlap_ok:
            options = _PLAIN
        else:
            options = task_options(retry, timeout, name, durable_begin=durable_begin, overlap_ok=overlap_ok)
        return self._calls.run_task(key, function, args, kwargs, options, _site())

    def wait(
        self, key: TaskKey, duration: Duration | None = None, /, *, seconds: float | None = None,
        minutes: float | None = None, hours: float | None = None, days: float | None = None,
        until: datetime | str | None = None,
    ) -> Coroutine[Any, Any, None]:  # fmt: skip
        """Suspend the run for a time; costs no slot and survives restarts.

        Parameters:
            key: names this wait within the run.
            duration: seconds, a timedelta, or a mapping such as `{"seconds": 86400}`; or use the keywords.
            until: an aware datetime or ISO 8601 text instead of a length.

        The time counts from when the wait is first reached, at most ten years. Returns at once when it has passed in
        an earlier execution. Cancelling the await (`asyncio.timeout`) does not cancel the durable wait.

        Source: behaves as `io.wait` of `@trigger.dev/sdk` 2.3.19, and takes the seed's `{"seconds": n}` at its word.

        Example:
            >>> await io.wait("before-reminder", hours=24)
        """
        length, instant = _wait_of(duration, seconds, minutes, hours, days, until)
        return self._calls.wait(key, length, instant, _site())

    def wait_until(self, key: TaskKey, when: datetime | str, /) -> Coroutine[Any, Any, None]:
        """Suspend the run until an aware datetime (or ISO 8601 text with an offset)."""
        return self._calls.wait(key, None, instant_us(when, "the time of io.wait_until"), _site())

    async def send_event(
        self, key: TaskKey, name: str, payload: object = None, /, *, id: str | None = None, context: object = None,
        deliver_after: Duration | None = None, deliver_at: datetime | str | None = None,
    ) -> SentEvent:  # fmt: skip
        """Send an event exactly once: it is stored in the transaction that completes this task.

        Parameters as `send_event`; returns the event's id and name, also in later executions.
        """
        request = event_request(
            name, payload, id=id, context=context, deliver_after=deliver_after, deliver_at=deliver_at
        )
        return (await self._calls.send_events(key, [request], _site()))[0]

    async def send_events(self, key: TaskKey, events: Iterable[tuple[str, object]], /) -> list[SentEvent]:
        """Send several events, given as (name, payload), exactly once and all in one transaction."""
        requests = [event_request(name, payload) for name, payload in events]
        return await self._calls.send_events(key, requests, _site())

    async def cancel_event(self, key: TaskKey, event_id: str, /) -> None:
        """Stop a delayed event that is not delivered yet. Raises `TaskFailed` when it was delivered already."""
        await self._calls.run_task(key, _cancel_event, (self._calls, event_id), {}, _PLAIN, _site())

    async def random(
        self, key: TaskKey, /, *, min: float = 0.0, max: float = 1.0, round: bool = False
    ) -> float:
        """A random number from `min` up to `max`, the same in every execution. `round` makes it a whole one."""
        drawn: float = await self._calls.value(key, self._calls.make_random, _site())
        number = min + drawn * (max - min)
        return floor(number + 0.5) if round else number

    async def now(self, key: TaskKey, /) -> datetime:
        """The time at which this was first reached, the same in every execution; aware, in UTC."""
        return datetime.fromisoformat(await self._calls.value(key, self._calls.make_now, _site()))

    async def uuid(self, key: TaskKey, /) -> UUID:
        """A random UUID, the same in every execution."""
        return UUID(await self._calls.value(key, self._calls.make_uuid, _site()))

    async def parallel(
        self, key: TaskKey, items: Iterable[Item], function: Callable[[Item], Coroutine[Any, Any, T]], /, *,
        retry: Retry | Mapping[str, object] | None = None, timeout: float | timedelta | None = None,
        at_once: int | None = None,
    ) -> list[T]:  # fmt: skip
        """Run `function(item)` as one task for each item, side by side; the results come in the items' order.

        Parameters:
            key: the tasks' keys are `(key, 0)`, `(key, 1)`, ….
            at_once: how many tasks may be in progress; default all.

        The first task that fails for good raises its `TaskFailed` here and cancels the others.
        """
        site = _site()
        options = task_options(retry, timeout, None)
        if at_once is not None and at_once < 1:
            raise InvalidInput(f"at_once of io.parallel is {at_once}; give 1 or more")
        gate = asyncio.Semaphore(at_once) if at_once is not None else None
        parts = key if isinstance(key, tuple) else (key,)

        async def one(number: int, item: Item) -> T:
            async with gate or _OPEN:
                result: T = await self._calls.run_task((*parts, number), function, (item,), {}, options, site)
                return result

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(number, item)) for number, item in enumerate(items)]
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return [task.result() for task in tasks]

    async def first(self, key: TaskKey, /, *awaitables: Awaitable[T]) -> T:
        """The result of whichever ends first; every later execution gets the same one, and does not begin the others
        again. They are cancelled here, but the waits among them go on durably until the run ends."""
        site = _site()
        winner: int | None = self._calls.known_value(key)
        if winner is None:
            return await self._race(key, awaitables, site)
        await self._calls.value(key, lambda: winner, site)
        if winner >= len(awaitables):
            raise InvalidInput(
                f"number {winner} of io.first({display_key(key)!r}) has ended first, and now there are only "
                f"{len(awaitables)}; give it another key"
            )
        for number, awaitable in enumerate(awaitables):
            if number != winner:
                _drop(awaitable)
        return await awaitables[winner]

    async def _race(self, key: TaskKey, awaitables: tuple[Awaitable[T], ...], site: CallSite) -> T:
        tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            earliest = next(number for number, task in enumerate(tasks) if task in done)
            await self._calls.value(key, lambda: earliest, site)
            return await tasks[earliest]
        finally:
            for task in tasks:
                task.cancel()


def _drop(awaitable: Awaitable[object]) -> None:
    """Let go of something that will not be awaited."""
    if isinstance(awaitable, asyncio.Future):
        awaitable.cancel()
    elif inspect.iscoroutine(awaitable):
        awaitable.close()


class _OpenGate:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


_OPEN = _OpenGate()


async def _cancel_event(calls: Calls, event_id: str) -> None:
    await calls.link.cancel_event(event_id)


def _not_callable(key: TaskKey, function: object) -> InvalidInput:
    if inspect.iscoroutine(function):
        function.close()  # it was called too early and will never be awaited
    return InvalidInput(
        f"task {display_key(key)!r} was given a {type(function).__name__}; give it the function and its arguments: "
        "io.run_task(key, function, argument)"
    )


def task_options(
    retry: Retry | Mapping[str, object] | None, timeout: float | timedelta | None, name: str | None, *,
    durable_begin: bool = False, overlap_ok: bool = False,
) -> TaskOptions:  # fmt: skip
    """The options of a task, checked."""
    if durable_begin and retry is not None:
        raise InvalidInput("durable_begin means at most once, and retry means more; leave one of them out")
    if name is not None:
        check_name(name, "the name of a task")
    seconds = None if timeout is None else duration_us(timeout, what="the timeout of a task") / 1_000_000
    return TaskOptions(Retry.of(retry), seconds, name, durable_begin, overlap_ok)


def _wait_of(
    duration: Duration | None, seconds: float | None, minutes: float | None, hours: float | None,
    days: float | None, until: datetime | str | None,
) -> tuple[int | None, int | None]:  # fmt: skip
    """Length or instant of a wait, in microseconds."""
    if until is not None:
        return None, instant_us(until, "the end of io.wait")
    return duration_us(
        duration, seconds=seconds, minutes=minutes, hours=hours, days=days, what="io.wait"
    ), None


def _site() -> CallSite:
    """Where the user called: two frames up."""
    frame = sys._getframe(2)
    return frame.f_code, frame.f_lineno
