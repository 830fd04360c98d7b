"""`SyncIO`: the `io` of `def` jobs. The same calls as `IO`, not awaited; each blocks the job's thread until it has its
answer. A wait of more than a second gives the thread back: the function is left by an exception that `except
Exception` does not catch, and executed again later, finding its finished tasks in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload
from uuid import UUID

from zopio_trigger.model.names import TaskKey
from zopio_trigger.model.retry import Retry
from zopio_trigger.sdk.calls import SentEvent
from zopio_trigger.sdk.io import IO, Duration
from zopio_trigger.sdk.logger import Logger

T = TypeVar("T")
Item = TypeVar("Item")
Ask = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


class SyncIO:
    """The durable calls of one run, handed to a `def` job. See `IO` for what each one does."""

    __slots__ = ("_ask", "_io", "logger")

    def __init__(self, io: IO, ask: Ask) -> None:
        self._io = io
        self._ask = ask
        self.logger = SyncLogger(io.logger, ask)

    @property
    def cancelled(self) -> bool:
        """True once the run has been cancelled; look at it in long loops. The next `io` call raises then."""
        return self._io.cancelled

    @overload
    def run_task(
        self, key: TaskKey, function: Callable[..., Coroutine[Any, Any, T]], /, *args: Any,
        retry: Retry | Mapping[str, object] | None = None, timeout: float | timedelta | None = None,
        name: str | None = None, durable_begin: bool = False, overlap_ok: bool = False, **kwargs: Any,
    ) -> T: ...  # fmt: skip
    @overload
    def run_task(
        self, key: TaskKey, function: Callable[..., T], /, *args: Any,
        retry: Retry | Mapping[str, object] | None = None, timeout: float | timedelta | None = None,
        name: str | None = None, durable_begin: bool = False, overlap_ok: bool = False, **kwargs: Any,
    ) -> T: ...  # fmt: skip
    def run_task(
        self, key: TaskKey, function: Callable[..., Any], /, *args: Any,
        retry: Retry | Mapping[str, object] | None = None, timeout: float | timedelta | None = None,
        name: str | None = None, durable_begin: bool = False, overlap_ok: bool = False, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Run `function` once, on this thread, and remember its result. See `IO.run_task`."""
        return self._call(
            self._io.run_task, key, function, *args, retry=retry, timeout=timeout, name=name,
            durable_begin=durable_begin, overlap_ok=overlap_ok, **kwargs,
        )  # fmt: skip

    def wait(
        self, key: TaskKey, duration: Duration | None = None, /, *, seconds: float | None = None,
        minutes: float | None = None, hours: float | None = None, days: float | None = None,
        until: datetime | str | None = None,
    ) -> None:  # fmt: skip
        """Suspend the run for a time. See `IO.wait`."""
        self._call(
            self._io.wait,
            key,
            duration,
            seconds=seconds,
            minutes=minutes,
            hours=hours,
            days=days,
            until=until,
        )

    def wait_until(self, key: TaskKey, when: datetime | str, /) -> None:
        """Suspend the run until an aware datetime. See `IO.wait_until`."""
        self._call(self._io.wait_until, key, when)

    def send_event(
        self, key: TaskKey, name: str, payload: object = None, /, *, id: str | None = None, context: object = None,
        deliver_after: Duration | None = None, deliver_at: datetime | str | None = None,
    ) -> SentEvent:  # fmt: skip
        """Send an event exactly once. See `IO.send_event`."""
        sent: SentEvent = self._call(
            self._io.send_event, key, name, payload, id=id, context=context, deliver_after=deliver_after,
            deliver_at=deliver_at,
        )  # fmt: skip
        return sent

    def send_events(self, key: TaskKey, events: Iterable[tuple[str, object]], /) -> list[SentEvent]:
        """Send several events exactly once. See `IO.send_events`."""
        sent: list[SentEvent] = self._call(self._io.send_events, key, events)
        return sent

    def cancel_event(self, key: TaskKey, event_id: str, /) -> None:
        """Stop a delayed event. See `IO.cancel_event`."""
        self._call(self._io.cancel_event, key, event_id)

    def random(self, key: TaskKey, /, *, min: float = 0.0, max: float = 1.0, round: bool = False) -> float:
        """A random number, the same in every execution. See `IO.random`."""
        number: float = self._call(self._io.random, key, min=min, max=max, round=round)
        return number

    def now(self, key: TaskKey, /) -> datetime:
        """The time at which this was first reached. See `IO.now`."""
        moment: datetime = self._call(self._io.now, key)
        return moment

    def uuid(self, key: TaskKey, /) -> UUID:
        """A random UUID, the same in every execution. See `IO.uuid`."""
        made: UUID = self._call(self._io.uuid, key)
        return made

    def parallel(self, key: TaskKey, items: Iterable[Item], function: Callable[[Item], T], /) -> list[T]:
        """Run `function(item)` as one task for each item, one after another: a sync job has one thread. For tasks
        side by side write the job as `async def`."""
        parts = key if isinstance(key, tuple) else (key,)
        return [self.run_task((*parts, number), function, item) for number, item in enumerate(items)]

    def _call(self, method: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any) -> Any:
        return self._ask(lambda: method(*args, **kwargs))


class SyncLogger:
    """`io.logger` of a `def` job. See `Logger`."""

    __slots__ = ("_ask", "_logger")

    def __init__(self, logger: Logger, ask: Ask) -> None:
        self._logger = logger
        self._ask = ask

    def debug(self, message: object, data: Mapping[str, object] | None = None, /, **fields: object) -> None:
        self._write(self._logger.debug, message, data, fields)

    def info(self, message: object, data: Mapping[str, object] | None = None, /, **fields: object) -> None:
        self._write(self._logger.info, message, data, fields)

    def warn(self, message: object, data: Mapping[str, object] | None = None, /, **fields: object) -> None:
        self._write(self._logger.warn, message, data, fields)

    def error(self, message: object, data: Mapping[str, object] | None = None, /, **fields: object) -> None:
        self._write(self._logger.error, message, data, fields)

    warning = warn
    log = info

    def _write(
        self, method: Callable[..., object], message: object, data: Mapping[str, object] | None,
        fields: dict[str, object],
    ) -> None:  # fmt: skip
        async def write() -> None:
            method(message, data, **fields)

        self._ask(write)
